"""Live transcription: raw samples in, text at each pause; nothing waits for the end of the stream."""

import io
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asr.cli import main
from asr.errors import AudioError
from asr.transcription.live import listen, microphone, raw_samples
from asr.transcription.recogniser import Recogniser
from asr.transcription.transcript import Segment
from tests.tone_model import RATE, say, tone_model

TEXTS = ["BAD CAB", "FACE A BEE", "HIDE"]


def speech() -> np.ndarray:
    return np.concatenate([say(text, 0.6, 0.6) for text in TEXTS])


def pcm(waveform: np.ndarray) -> bytes:
    return (waveform * 32767).astype("<i2").tobytes()


def test_text_comes_when_its_pause_has_lasted() -> None:
    """Fed as a microphone would, 0.1 s after 0.1 s: at each text, how much has been heard?"""
    samples = 0

    def chunks() -> Iterator[np.ndarray]:
        nonlocal samples
        for chunk in raw_samples(io.BytesIO(pcm(speech())), RATE):
            samples += len(chunk)
            yield chunk

    found = []
    for segment in listen(Recogniser(tone_model()), chunks()):
        found.append(segment)
        assert samples / RATE < segment.end + 1.1
    assert [(segment.id, segment.text) for segment in found] == list(enumerate(TEXTS))


class Standard:
    """Standard input with these bytes."""

    def __init__(self, data: bytes):
        self.buffer = io.BytesIO(data)


def test_a_stream_of_another_rate_on_standard_input(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import soxr

    monkeypatch.setattr(sys, "stdin", Standard(pcm(soxr.resample(speech(), RATE, 22_050)) + b"\0"))
    assert main(["transcribe", "--model", model, "--stream", "--sample-rate", "22050"]) == 0
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in TEXTS)


def test_an_empty_stream_is_a_mistake(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdin", Standard(b""))
    assert main(["transcribe", "--model", model, "--stream"]) == 2
    assert "standard input: " in capsys.readouterr().err


class FakeInput:
    """sounddevice's InputStream, which calls back three times."""

    def __init__(self, rate, callback, channels, dtype, blocksize):  # type: ignore[no-untyped-def]
        assert (channels, dtype) == (1, "float32")
        for i in range(3):
            callback(np.full((blocksize, 1), i, np.float32), blocksize, None, None)

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def test_the_microphone_s_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.SimpleNamespace(InputStream=FakeInput, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    chunks = microphone(RATE)
    for i in range(3):
        np.testing.assert_array_equal(next(chunks), np.full(RATE // 10, i, np.float32))


def test_without_sounddevice_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match=r"asr\[mic\]"):
        next(microphone(RATE))


def test_live_takes_no_files(model: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["transcribe", "--model", model, "--stream", "a.wav"]) == 2
    assert "take no PATH" in capsys.readouterr().err


class Endless:
    """Standard input that never ends, and counts what is taken from it."""

    def __init__(self) -> None:
        self.taken = 0
        self.buffer = self

    def read(self, size: int) -> bytes:
        self.taken += size
        return bytes(size)


def test_a_sender_that_is_too_fast_has_to_wait(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Endless()
    counts: list[int] = []

    def slow(recogniser: Recogniser, chunks: Iterator[np.ndarray]) -> Iterator[Segment]:
        next(iter(chunks))
        while not counts or counts[-1] < sender.taken:
            counts.append(sender.taken)
            time.sleep(0.3)
        return iter(())

    monkeypatch.setattr(sys, "stdin", sender)
    monkeypatch.setattr("asr.commands.transcribe.AHEAD", 20.0)
    monkeypatch.setattr("asr.transcription.live.listen", slow)
    assert main(["transcribe", "--stream", "--sample-rate", "8000", "--model", model]) == 0
    assert 19 < counts[-1] / (2 * 8000) < 22
    sender.taken = 0
    counts.clear()
    monkeypatch.setattr("asr.commands.transcribe.AHEAD_SAMPLES", 40_000)
    assert main(["transcribe", "--stream", "--sample-rate", "8000", "--model", model]) == 0
    assert 4 < counts[-1] / (2 * 8000) < 7


@pytest.mark.parametrize("rate", ["0", "-1", "1000000000000"])
def test_rates_that_no_stream_has(model: str, rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", "--stream", "--sample-rate", rate, "--model", model]) == 2
    assert f"--sample-rate: found {rate}, wanted 1000 to 1000000 Hz" in capsys.readouterr().err
