"""Reading ahead: in order, only so far, with errors in their turn, and no thread left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from asr.audio.read_ahead import read_ahead


def counted(first: int, count: int, taken: list[int]) -> Iterator[int]:
    for i in range(first, first + count):
        taken.append(i)
        yield i


def settle(taken: list[int]) -> int:
    """How many items are taken when nothing moves any more."""
    while True:
        before = len(taken)
        time.sleep(0.05)
        if len(taken) == before:
            return before


def threads() -> int:
    return sum(thread.name.startswith("Thread-") and "fill" in thread.name for thread in threading.enumerate())


def test_items_come_in_the_sources_order() -> None:
    taken: list[int] = []
    sources = (counted(100 * i, 20, taken) for i in range(7))
    assert list(read_ahead(sources, workers=3, depth=2)) == [100 * i + j for i in range(7) for j in range(20)]
    assert list(read_ahead(iter([]))) == []


def test_only_so_many_are_read_ahead() -> None:
    taken: list[int] = []
    items = read_ahead((counted(100 * i, 50, taken) for i in range(9)), workers=2, depth=4)
    assert next(items) == 0
    # Of each of the two sources that run: what is in the queue, what waits to get in, and the one that was given.
    assert settle(taken) <= 2 * (4 + 1) + 1
    assert max(taken) < 200
    items.close()  # type: ignore[attr-defined]


def test_errors_come_in_their_turn_and_closing_ends_the_threads() -> None:
    def broken() -> Iterator[int]:
        yield 7
        raise ValueError("broken")

    items = read_ahead(iter([counted(0, 3, []), broken(), counted(9, 500, [])]), workers=3, depth=1)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 7]
    with pytest.raises(ValueError, match="broken"):
        next(items)
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() == 0
