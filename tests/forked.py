"""What is tried in a process of its own, forked from one that has everything imported: it may crash, or hang."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ENDED, TRACEBACK, SIGNAL, HANG = "ended", "traceback", "signal", "hang"


class Ended(NamedTuple):
    """How the process ended."""

    kind: str  # one of the four
    detail: str  # what the task returned, the exception, the name of the signal
    mebibytes: int  # its peak, and that of the programs that it ran
    seconds: float  # of CPU time, theirs too


def in_a_fork(task: Callable[[], str], folder: Path, limit: float) -> Ended:
    """Run the task; folder: for what it tells; limit: seconds of the clock after which it hangs."""
    told = folder / "told"
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # some decoders write to the terminal
            told.write_text(_tried(task), encoding="utf-8", errors="replace")
        finally:
            os._exit(0)
    stop, hangs = time.monotonic() + limit, False
    while True:
        pid, status, usage = os.wait4(child, 0 if hangs else os.WNOHANG)
        if pid:
            break
        if time.monotonic() > stop:
            os.kill(child, signal.SIGKILL)
            hangs = True
        time.sleep(0.005)
    spent = usage.ru_maxrss // 1024, usage.ru_utime + usage.ru_stime
    if hangs:
        return Ended(HANG, "", *spent)
    if os.WIFSIGNALED(status):
        return Ended(SIGNAL, signal.Signals(os.WTERMSIG(status)).name, *spent)
    if not told.exists():
        return Ended(TRACEBACK, "nothing told", *spent)
    kind, _, detail = told.read_text(encoding="utf-8").partition("\n")
    return Ended(kind, detail, *spent)


def _tried(task: Callable[[], str]) -> str:
    try:
        return f"{ENDED}\n{task()}"
    except BaseException as error:
        return f"{TRACEBACK}\n{type(error).__name__}: {error}"
