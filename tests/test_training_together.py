"""Two processes (DDP on gloo): whatever ends one ends the other at once, with one message; and signals end both."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from tests.tones import brief_recipe

LIMIT = 30  # seconds from what happens to the end of both

FAILING = """
# `asr`, one process of which fails somewhere, or is stuck; it writes down when it came there.
import os, signal, sys, time
from pathlib import Path
from asr.cli import main
from asr.errors import DataError
from asr.training.module import SpeechModule
import asr.training.run as run

RANK, PLACE, KIND = sys.argv[1:4]
STUCK = Path("stuck")

def rank():
    return os.environ.get("LOCAL_RANK", "0") if "NODE_RANK" not in os.environ or os.environ["NODE_RANK"] == "0" else "1"

def there(place):
    Path(f"{place}{rank()}").touch()
    if place != PLACE:
        return
    if rank() != RANK:
        if KIND == "stuck":  # as in a collective operation that does not end
            time.sleep(600)
        return
    Path("happened").touch()
    if KIND == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if KIND == "bug":
        raise KeyError("a bug")
    if KIND in ("data", "stuck"):
        raise DataError("bad data: row 3 of train.jsonl")

def wrapped(place, function):
    def call(*args, **kwargs):
        there(place)
        return function(*args, **kwargs)
    return call

run.prepare = wrapped("prepare", run.prepare)
SpeechModule.training_step = wrapped("step", SpeechModule.training_step)
SpeechModule.validation_step = wrapped("validation", SpeechModule.validation_step)
sys.exit(main(sys.argv[4:]))
"""


class Training:
    """`asr train` in two processes, of one machine or of two."""

    def __init__(self, folder: Path, rank: int, place: str, kind: str, machines: int = 1):
        self.folder = folder
        values = brief_recipe(folder, max_epochs=5000, strategy="ddp", devices=2 // machines, num_nodes=machines)
        values["trainer"]["check_val_every_n_epoch"] = 2
        (folder / "train.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        (folder / "failing.py").write_text(FAILING, encoding="utf-8")
        self.command = [sys.executable, "-m", "failing", str(rank), place, kind, "train", "train.yaml"]
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, handler: signal.Handlers = signal.SIG_DFL, **environment: str) -> None:
        """handler: what the processes find SIGINT set to."""
        places = os.pathsep.join([str(self.folder), str(Path(__file__).parents[1])])
        keep = {name: value for name, value in os.environ.items() if name != "PYTHONWARNDEFAULTENCODING"}
        with (self.folder / f"err{len(self.processes)}").open("w", encoding="utf-8") as err:
            self.processes.append(
                subprocess.Popen(
                    self.command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True,
                    env={**keep, "OMP_NUM_THREADS": "1", "PYTHONPATH": places, **environment}, encoding="utf-8",
                    preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
                )
            )  # fmt: skip

    def wait_for(self, *names: str) -> None:
        """Until files of these names are there."""
        until = time.monotonic() + 240
        while not all((self.folder / name).exists() for name in names):
            assert all(process.poll() is None for process in self.processes) or "happened" in names, self.told()
            assert time.monotonic() < until, self.told()
            time.sleep(0.05)

    def ended(self) -> list[int]:
        """Exit codes; both have LIMIT seconds."""
        until = time.monotonic() + LIMIT
        codes = [process.wait(max(0.1, until - time.monotonic())) for process in self.processes]
        for process in self.processes:
            with pytest.raises(ProcessLookupError):  # nothing is left of its session
                while time.monotonic() < until:
                    os.killpg(process.pid, 0)
                    time.sleep(0.1)
        return codes

    def told(self) -> list[str]:
        """Standard error of each, without what Lightning says of how the processes meet."""
        texts = [(self.folder / f"err{i}").read_text(encoding="utf-8") for i in range(len(self.processes))]
        return [
            re.sub(r"Initializing distributed: .*\n|---+\ndistributed_backend(.*\n)*?---+\n\n", "", text)
            for text in texts
        ]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Callable[..., Training]]:
    begun: list[Training] = []

    def begin(rank: int, place: str, kind: str, machines: int = 1) -> Training:
        begun.append(Training(tmp_path, rank, place, kind, machines))
        if machines == 1:
            begun[-1].start()
            return begun[-1]
        port = free_port()
        for node in range(machines):
            begun[-1].start(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, NODE_RANK=str(node))
        return begun[-1]

    yield begin
    for one in begun:
        for process in one.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()


@pytest.mark.parametrize(
    ("rank", "place", "kind"),
    [(1, "prepare", "data"), (1, "step", "stuck"), (0, "validation", "stuck")],
)
def test_bad_data_on_one_machine(training: Callable[..., Training], rank: int, place: str, kind: str) -> None:
    run = training(rank, place, kind)
    run.wait_for("happened")
    assert run.ended() == [2]
    assert run.told() == ["asr train: bad data: row 3 of train.jsonl\n"]


def test_a_bug_has_one_traceback(training: Callable[..., Training]) -> None:
    run = training(1, "validation", "bug")
    run.wait_for("happened")
    assert run.ended() == [1]
    (told,) = run.told()
    assert told.count("Traceback") == 1 and told.endswith("KeyError: 'a bug'\n")


def test_a_killed_process_is_told(training: Callable[..., Training]) -> None:
    run = training(1, "step", "killed")
    run.wait_for("happened")
    assert run.ended() == [1]
    assert run.told() == ["asr train: rank 1: ended by SIGKILL\n"]


def test_nothing_is_left_of_a_killed_first_process(training: Callable[..., Training]) -> None:
    run = training(0, "step", "killed")
    run.wait_for("happened")
    assert run.ended() == [-signal.SIGKILL]


@pytest.mark.parametrize(
    ("rank", "place", "kind"), [(0, "prepare", "data"), (1, "prepare", "data"), (1, "step", "stuck")]
)
def test_bad_data_on_one_of_two_machines(training: Callable[..., Training], rank: int, place: str, kind: str) -> None:
    run = training(rank, place, kind, machines=2)
    run.wait_for("happened")
    assert run.ended() == [2, 2]
    message = "bad data: row 3 of train.jsonl\n"
    assert [line for line in run.told()] == [
        f"asr train: {message}" if node == rank else f"asr train: rank {rank}: {message}" for node in (0, 1)
    ]


def session(pid: int) -> list[int]:
    """The processes of a session, the first of them first."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--sid", str(pid), "--sort", "pid"], capture_output=True, encoding="utf-8", check=True
    )
    return [int(word) for word in listed.stdout.split()]


@pytest.mark.parametrize("to", ["all", "first", "second"])
def test_ctrl_c_ends_both(training: Callable[..., Training], to: str) -> None:
    run = training(0, "nowhere", "none")
    run.wait_for("step0", "step1", "run/checkpoints/last.ckpt")
    first, second = session(run.processes[0].pid)
    for pid in {"all": [first, second], "first": [first], "second": [second]}[to]:
        os.kill(pid, signal.SIGINT)
    assert run.ended() == [130]
    (told,) = run.told()
    match = re.fullmatch(
        r"\nasr train: interrupted in epoch \d+, after \d+ steps; the checkpoint of (\d+) steps is kept: [^\n]*\n", told
    )
    assert match, told
    last = torch.load(run.folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == int(match[1])


def test_ctrl_c_ends_what_waits_for_another_machine(tmp_path: Path) -> None:
    run = Training(tmp_path, 0, "nowhere", "none", machines=2)
    run.start(MASTER_ADDR="127.0.0.1", MASTER_PORT=free_port(), NODE_RANK="0")
    until = time.monotonic() + 120
    while "Initializing distributed" not in (tmp_path / "err0").read_text(encoding="utf-8"):
        assert time.monotonic() < until and run.processes[0].poll() is None, run.told()
        time.sleep(0.1)
    run.processes[0].send_signal(signal.SIGINT)
    assert run.ended() == [130]
    assert run.told() == ["\nasr train: interrupted before there was anything to keep\n"]


def test_where_ctrl_c_is_ignored_training_goes_on_and_sigterm_ends_it(tmp_path: Path) -> None:
    """As a shell starts what is to run in the background of a script."""
    run = Training(tmp_path, 0, "nowhere", "none")
    run.start(signal.SIG_IGN)
    run.wait_for("step0", "step1", "run/checkpoints/last.ckpt")
    first, second = session(run.processes[0].pid)
    for pid in (first, second):
        os.kill(pid, signal.SIGINT)
    for name in ("step0", "step1"):
        (tmp_path / name).unlink()
    run.wait_for("step0", "step1")
    os.kill(first, signal.SIGTERM)
    assert run.ended() == [130]
    (told,) = run.told()
    assert told.startswith("\nasr train: interrupted in epoch ") and told.count("\n") == 2
