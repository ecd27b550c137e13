"""What the tests of `asr transcribe` share: recordings in the working folder, and what it makes of them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asr.transcription.record import RECORD
from tests.tone_model import RATE, say

TEXTS = {"in/a.wav": "BAD", "in/x/a.wav": "CAB", "in/x/b.flac": "FACE", "in/y/z/a.wav": "BEE"}


def write_recordings() -> None:
    for name, text in TEXTS.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(name, say(text), RATE)


def long_file(name: str, seconds: float = 400.0, seed: int = 0) -> None:
    """Words of eight letters, with pauses within sentences and between them."""
    rng = np.random.default_rng(seed)
    parts = [say("".join(rng.choice(list("ABCDEFGHIJ"), 8)), after=float(rng.choice([0.6, 1.5]))) for _ in range(400)]
    soundfile.write(name, np.concatenate(parts)[: round(seconds * RATE)], RATE)


def outputs(folder: str) -> dict[str, str]:
    """Path below the folder -> text, but for the record."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != RECORD
    }


def started(code: str, *words: str) -> "subprocess.Popen[str]":
    """Another process that runs the code with these words as its command line."""
    pipe = subprocess.PIPE
    return subprocess.Popen(**_process(code, *words), stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8")


def python(code: str, *words: str, given: bytes | None = None) -> "subprocess.CompletedProcess[str]":
    """The same when it has ended; given: on its standard input."""
    done = subprocess.run(**_process(code, *words), check=False, capture_output=True, input=given)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _process(code: str, *words: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return {"args": [sys.executable, "-c", code, *words], "env": environment}
