"""Reading ahead in threads while the model computes."""

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def read_ahead(sources: Iterable[Iterator[T]], workers: int = 2, depth: int = 8) -> Iterator[T]:
    """The items of all sources, one source after the other.

    The source in turn and the next ones, `workers` in all, run in threads, each up to `depth` items ahead (0: any
    number). What a source raises is raised here, in its turn.
    """
    waiting = iter(sources)
    stop = threading.Event()
    running: deque[queue.Queue[Any]] = deque()

    def fill(source: Iterator[T], items: "queue.Queue[Any]") -> None:
        def put(item: object) -> None:
            while not stop.is_set():
                with suppress(queue.Full):
                    items.put(item, timeout=0.1)
                    return

        try:
            for item in source:
                put((item, None))
                if stop.is_set():
                    return
            put(_END)
        except BaseException as error:
            put((None, error))

    def start() -> None:
        for source in waiting:
            running.append(queue.Queue(depth))
            threading.Thread(target=fill, args=(source, running[-1]), daemon=True).start()
            return

    try:
        for _ in range(workers):
            start()
        while running:
            while (found := running[0].get()) is not _END:
                item, error = found
                if error:
                    raise error
                yield item
            running.popleft()
            start()
    finally:
        stop.set()
