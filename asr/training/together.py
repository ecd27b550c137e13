"""The processes of a training end together: what ends one of them ends all, at once, and is told once.

Otherwise the others wait for it in a collective operation, for half an hour or for ever, and neither an exception nor
Ctrl-C gets through to them. So each process has a thread that watches the processes that it has started, signals, and
the store through which torch's processes meet: the first to end writes there why.
"""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.trainer.states import TrainerStatus
from torch._C._distributed_c10d import TCPStore  # torch.distributed has it too, where type checkers do not see it

from asr.errors import ConfigError, UserError
from asr.training.checkpoints import LastCheckpoint, find, is_begun

ENDED, SEEN = "asr/ended", "asr/seen"  # keys of the store: why; how many processes beside the first know of it
PERIOD = 0.3  # seconds between looks
CONNECT = 10.0  # seconds that the store may take to answer
SEE = 5.0  # seconds in which the others read why
MEET = 30.0  # the same, where the processes may not have met yet
PATIENCE = 10.0  # seconds in which the main thread may still end the process itself, after a signal or an error
NOBODY = -1  # a machine that is none: nobody has told of it


class Ending(NamedTuple):
    """What ends the processes."""

    rank: int  # where it happened
    node: int  # the machine that has told of it
    code: int  # exit code
    message: str

    @property
    def is_interruption(self) -> bool:
        return self.code == 130

    @classmethod
    def of(cls, error: BaseException, trainer: pl.Trainer) -> "Ending":
        if isinstance(error, KeyboardInterrupt):
            code, message = 130, ""
        elif isinstance(error, UserError | OSError):
            code, message = 2, str(error)
        else:
            code, message = 1, f"{type(error).__name__}: {error}"
        return cls(trainer.global_rank, trainer.node_rank, code, message)


FIRST_GONE = Ending(0, NOBODY, 1, "has ended")


@contextmanager
def together(trainer: pl.Trainer, command: str) -> Iterator[None]:
    """What is to be around Trainer.fit. An interruption is told with what is kept of the training.

    command: what messages begin with.
    """
    handler = signal.getsignal(signal.SIGINT)
    watch = Watch(trainer, command) if _watchable(trainer) else None
    if watch:
        watch.begin()
        trainer.callbacks.append(_Teller(watch))  # type: ignore[attr-defined]
    try:
        yield
    except BaseException as error:
        if watch:
            watch.tell(error)
            watch.end_others()
        if not (isinstance(error, SystemExit) and trainer.state.status == TrainerStatus.INTERRUPTED):
            raise
        signal.signal(signal.SIGINT, handler)  # which Lightning has turned off
        if not trainer.is_global_zero:
            raise SystemExit(130) from None
        raise KeyboardInterrupt(what_is_kept(trainer)) from None
    finally:
        if watch:
            watch.stop()


@contextmanager
def before_they_meet(make_trainer: Callable[[], pl.Trainer]) -> Iterator[None]:
    """What is to be around all that a process does before `together`: the others may be waiting for it already."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # a Trainer that cannot be made, say, because of the same error
            _tell_who_wait(make_trainer(), error)
        raise


def what_is_kept(trainer: pl.Trainer) -> str:
    """Of an interrupted training; and how to go on."""
    folder = next(callback.folder for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint))
    if not is_begun(folder):
        return "interrupted before there was anything to keep"
    # As the disk has it: the interruption may have come in the middle of saving.
    try:
        found, _ = find(folder)
    except ConfigError as error:
        return f"interrupted; {error}"
    return (
        f"interrupted in epoch {trainer.current_epoch + 1}, after {trainer.global_step} steps; the checkpoint of "
        f"{found.step} steps is kept: the same command with --resume goes on from there"
    )


def _watchable(trainer: pl.Trainer) -> bool:
    """Several processes, of which each runs the whole command? (Those that are forked are ended by who forks them.)"""
    return trainer.world_size > 1 and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher)


def _environment(trainer: pl.Trainer) -> ClusterEnvironment:
    environment = trainer.strategy.cluster_environment  # type: ignore[attr-defined]
    assert isinstance(environment, ClusterEnvironment)
    return environment


def _listening(address: tuple[str, int]) -> bool:
    """Is there a store yet? torch would wait for it, and complain."""
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def _store(address: tuple[str, int], is_master: bool = False) -> TCPStore:
    return TCPStore(*address, is_master=is_master, wait_for_workers=False, timeout=timedelta(seconds=CONNECT))


def _first(store: TCPStore, ending: Ending) -> Ending:
    """What ended the processes first: this, if there was nothing before."""
    found: bytes = store.compare_set(ENDED, "", json.dumps(ending))
    return Ending(*json.loads(found))


def _wait_for_others(store: TCPStore, others: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while store.add(SEEN, 0) < others and time.monotonic() < until:
        time.sleep(PERIOD)


def _tell_who_wait(trainer: pl.Trainer, error: BaseException) -> None:
    environment = _environment(trainer)
    if not _watchable(trainer) or (trainer.num_nodes == 1 and not environment.creates_processes_externally):
        return  # the others are not started yet
    assert isinstance(trainer.strategy, DDPStrategy)
    trainer.strategy.set_world_ranks()
    address = environment.main_address, environment.main_port
    until = time.monotonic() + MEET
    while time.monotonic() < until:
        if _listening(address):
            store = _store(address)
            _first(store, Ending.of(error, trainer))
            if not trainer.is_global_zero:
                store.add(SEEN, 1)
            return
        if trainer.is_global_zero:  # which has to make the store
            store = _store(address, is_master=True)
            _first(store, Ending.of(error, trainer))
            _wait_for_others(store, trainer.world_size - 1, until - time.monotonic())
            return
        time.sleep(PERIOD)


class Watch:
    """One process's: ends it for what has ended another, and tells the others what ends this one."""

    def __init__(self, trainer: pl.Trainer, command: str):
        self.trainer = trainer
        self.command = command
        self.address = _environment(trainer).main_address, _environment(trainer).main_port
        self.store: TCPStore | None = None
        self.lost = 0  # looks at the store that have failed
        self.parent = os.getppid()
        self.children: list[subprocess.Popen[bytes]] = []  # taken from Lightning
        self.told: Ending | None = None  # what the main thread ends of
        self.deadline = math.inf  # when it has to have ended
        self.ending = threading.Lock()  # the thread that has it ends the process, and never gives it back
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.signals, self.signalled = os.pipe()

    def begin(self) -> None:
        for end in (self.signals, self.signalled):
            os.set_blocking(end, False)
        if threading.current_thread() is threading.main_thread():
            self.wakeup = signal.set_wakeup_fd(self.signalled, warn_on_full_buffer=False)
        self.thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
        for end in (self.signals, self.signalled):
            os.close(end)

    # ---------------------------------------------------------------------------------------------- main thread

    def tell(self, error: BaseException) -> None:
        """Write into the store what ends this process; does not return where it is what has ended another."""
        if self.told:
            return
        ending = Ending.of(error, self.trainer)
        if not self.ending.acquire(blocking=False):
            time.sleep(math.inf)  # the other thread is about to end the process
        self._take_children()
        try:
            cause = self._cause_of(ending)
        except RuntimeError:  # the store has gone with the first process
            cause = FIRST_GONE
        if cause != ending and not ending.is_interruption:
            self._leave(cause)
        self.told, self.deadline = ending, time.monotonic() + PATIENCE

    def _cause_of(self, ending: Ending) -> Ending:
        # What is no user's mistake may be that another process has gone, perhaps without a word.
        until = time.monotonic() + (2.0 if ending.code == 1 else 0.0)
        while True:
            store = self._connected()
            if store and store.check([ENDED]):
                return _first(store, ending)
            if ending.code == 1 and (gone := self._gone()):
                return _first(store, gone) if store else gone
            if time.monotonic() >= until:
                return _first(store, ending) if store else ending
            time.sleep(PERIOD)

    def end_others(self, gone: int = 0) -> None:
        """Give the others time to read what was told; the first process takes the store along.

        gone: how many of them are no more.
        """
        with suppress(RuntimeError):
            if self.store and self.trainer.is_global_zero:
                _wait_for_others(self.store, self.trainer.world_size - 1 - gone, SEE)
            elif self.store:
                self.store.add(SEEN, 1)
        until = time.monotonic() + SEE
        for child in self.children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, until - time.monotonic()))
            child.kill()

    # ------------------------------------------------------------------------------------------------- its own

    def _run(self) -> None:
        while not self.stopped.wait(PERIOD):
            with suppress(BlockingIOError):
                if {signal.SIGINT, signal.SIGTERM} & set(os.read(self.signals, 64)):
                    self.deadline = min(self.deadline, time.monotonic() + PATIENCE)
            late = time.monotonic() >= self.deadline
            ending = self.told if late else self._other()
            if late and not ending:
                ending = Ending(self.trainer.global_rank, self.trainer.node_rank, 130, "")
                with suppress(RuntimeError):
                    ending = _first(self.store, ending) if self.store else ending
            if not ending or (self.told and not late):
                continue
            if self.told or self.ending.acquire(blocking=False):
                self._leave(ending, own=late)

    def _other(self) -> Ending | None:
        """What has ended another process."""
        try:
            store = self._connected()
            if store and store.check([ENDED]):
                return _first(store, Ending(0, 0, 0, ""))
            gone = self._gone()
            return _first(store, gone) if store and gone else gone
        except RuntimeError:
            self.lost += 1
            return FIRST_GONE if self.lost > 1 else None

    def _connected(self) -> TCPStore | None:
        if not self.store and _listening(self.address):
            self.store = _store(self.address)
        return self.store

    def _gone(self) -> Ending | None:
        """One of the processes that this one has started, or the one that has started it, if it is no more."""
        for i, process in enumerate(self.children or self._lightnings(), start=1):
            if code := process.poll():
                rank = self.trainer.global_rank + i
                if code > 0:  # it has told why
                    return Ending(rank, self.trainer.node_rank, code, f"exit code {code}")
                return Ending(rank, NOBODY, 1, f"ended by {signal.Signals(-code).name}")
        if self.trainer.local_rank and os.getppid() != self.parent:
            return FIRST_GONE._replace(rank=self.trainer.global_rank - self.trainer.local_rank)
        return None

    def _lightnings(self) -> list["subprocess.Popen[bytes]"]:
        """The processes that Lightning has started on this machine for this one, and thinks to be in charge of."""
        children: list[subprocess.Popen[bytes]] = self.trainer.strategy.launcher.procs  # type: ignore[union-attr]
        return children

    def _take_children(self) -> None:
        # Lightning would kill them before they have read why; and this process, because one of them has ended.
        self.children += self._lightnings()
        self._lightnings().clear()

    def _leave(self, ending: Ending, own: bool = False) -> NoReturn:
        """End the process, whatever it is doing. own: what ends it happened to itself."""
        self._take_children()
        told_here = ending.node == self.trainer.node_rank and not own
        if ending.is_interruption:
            if self.trainer.is_global_zero:
                print(f"\n{self.command}: {what_is_kept(self.trainer)}", file=sys.stderr)
        elif not told_here and (own or self.trainer.local_rank == 0):
            print(f"{self.command}: rank {ending.rank}: {ending.message}", file=sys.stderr)
        self.end_others(gone=int(ending.node == NOBODY))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ending.code)


class _Teller(pl.Callback):
    """Tells as soon as an exception is there, before Lightning takes its processes apart; and hears SIGTERM."""

    def __init__(self, watch: Watch):
        self.watch = watch

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.watch.tell(exception)

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._interrupt_at_sigterm(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._interrupt_at_sigterm(trainer)

    def _interrupt_at_sigterm(self, trainer: pl.Trainer) -> None:
        # Lightning's handler would begin a collective operation in the middle of another one.
        if threading.current_thread() is threading.main_thread():
            environment = _environment(trainer)
            if not (isinstance(environment, SLURMEnvironment) and environment.auto_requeue):
                signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*args: Any) -> None:
    raise KeyboardInterrupt
