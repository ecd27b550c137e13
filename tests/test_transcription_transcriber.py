"""Transcriber: what it takes, what it gives, batches, precisions; and streams of audio from files."""

import io
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

import asr
from asr.audio import sound_file
from asr.audio.load import load_audio
from asr.audio.stream import stream
from asr.errors import AudioError, ConfigError, ModelError
from asr.model import folder as model_folder
from asr.transcription.segmentation import Piece
from asr.transcription.transcriber import Transcriber
from tests.tone_model import RATE, SYMBOL, say, tone_model


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return Transcriber(tone_model())


def test_load_model_and_transcribe_a_file(tmp_path: Path) -> None:
    tone_model().save(tmp_path / "model")
    soundfile.write(tmp_path / "a.wav", say("FACE A BEE"), RATE)
    found = asr.load_model(tmp_path / "model").transcribe(tmp_path / "a.wav")
    assert found.text == "FACE A BEE"
    assert found.duration == pytest.approx(0.2 + 10 * SYMBOL, abs=1 / RATE)
    (segment,) = found.segments
    assert (segment.id, segment.text) == (0, "FACE A BEE")
    assert [word.text for word in segment.words] == ["FACE", "A", "BEE"]
    for word, first, stop in zip(segment.words, (0, 5, 7), (4, 6, 10), strict=True):
        assert word.start == pytest.approx(0.1 + first * SYMBOL, abs=SYMBOL / 2)
        assert word.end == pytest.approx(0.1 + stop * SYMBOL, abs=SYMBOL / 2)
        assert 0.9 < word.confidence <= 1


def test_arrays_of_any_rate_and_type_and_open_files(transcriber: Transcriber) -> None:
    speech = say("BAD CAB")
    fast = soxr.resample(speech, RATE, 44_100)
    other = np.random.default_rng(0).normal(0, 0.3, len(fast)).astype(np.float32)
    assert transcriber.transcribe(speech).text == "BAD CAB"
    assert transcriber.transcribe(fast, 44_100).text == "BAD CAB"
    assert transcriber.transcribe((fast * 32767).astype(np.int16), 44_100).text == "BAD CAB"
    assert transcriber.transcribe(np.stack([other, fast], axis=1), 44_100, channel=1).text == "BAD CAB"
    file = io.BytesIO()
    soundfile.write(file, np.stack([fast, other], axis=1), 44_100, format="FLAC")
    file.seek(0)
    found = transcriber.transcribe(file, channel=0)
    assert (found.text, found.channel) == ("BAD CAB", 0)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(0, np.float32), "found the shape"),
        (np.zeros((2, 2, 2)), "found the shape"),
        (np.array([0.0, np.nan]), "NaN"),
    ],
)
def test_arrays_that_are_no_waveforms(transcriber: Transcriber, waveform: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        transcriber.transcribe(waveform)


def test_channels_that_are_not_there(transcriber: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"2 channel\(s\), no channel 2"):
        transcriber.transcribe(np.zeros((100, 2), np.float32), channel=2)
    soundfile.write(tmp_path / "a.wav", say("A"), RATE)
    with pytest.raises(AudioError, match=r"a.wav: has 1 channel\(s\), no channel 1"):
        transcriber.transcribe(tmp_path / "a.wav", channel=1)


def test_a_damaged_open_file_is_not_called_by_its_copy_s_name(transcriber: Transcriber) -> None:
    with pytest.raises(AudioError, match="^the open file: "):
        transcriber.transcribe(io.BytesIO(b"nothing"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux to list a process's open files")
def test_the_copy_of_an_open_file_is_closed_before_it_is_read(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows would not open it a second time."""

    def watched(path: Path | str, *settings: Any) -> Iterator[np.ndarray]:
        places = [os.path.realpath(place) for place in Path("/proc/self/fd").iterdir()]
        assert os.path.realpath(path) not in places
        return stream(path, *settings)

    monkeypatch.setattr("asr.transcription.transcriber.stream", watched)
    file = io.BytesIO()
    soundfile.write(file, say("BAD CAB"), RATE, format="WAV")
    file.seek(0)
    assert transcriber.transcribe(file).text == "BAD CAB"


def test_a_long_recording_has_times_of_the_whole(transcriber: Transcriber) -> None:
    wanted = ["BAD CAB", "FACE A BEE", "DEAD BEEF", "HIDE"] * 8
    parts = [say(text, 0.6, 0.6) for text in wanted]
    found = transcriber.transcribe(np.concatenate(parts))
    assert [segment.text for segment in found.segments] == wanted
    assert [segment.id for segment in found.segments] == list(range(len(wanted)))
    begins = np.cumsum([0, *map(len, parts)]) / RATE
    for segment, begin in zip(found.segments, begins[:-1], strict=True):
        assert segment.start == pytest.approx(begin + 0.6, abs=0.1)
    assert found.duration == pytest.approx(begins[-1])


def test_batches_change_nothing_and_keep_the_order() -> None:
    wanted = ["A", "BAD CAB", "FACE", "BEE", "DEAD BEEF JADE", "HI"] * 5
    pieces = [(text, Piece(0.0, say(text))) for text in wanted]
    for seconds in (0.01, 3.0, 120.0):
        transcriber = Transcriber(tone_model(), batch_seconds=seconds)
        found = list(transcriber.hypotheses(pieces))
        assert [hypothesis.text for _, hypothesis in found] == wanted == [tag for tag, _ in found]


def test_sentences_of_several_pieces_are_told_by_the_first_whatever_the_batches() -> None:
    wanted = ["A", "BAD CAB", "FACE", "BEE", "DEAD BEEF JADE", "HI"] * 5
    pauses = [math.inf, 0.3, 0.3, math.inf, 2.0, 0.3] * 5  # seconds before each
    pieces = [(text, Piece(0.0, say(text), pause=pause)) for text, pause in zip(wanted, pauses, strict=True)]
    for seconds in (0.01, 3.0, 120.0):
        found = list(Transcriber(tone_model(), batch_seconds=seconds).hypotheses(pieces))
        assert [tag for tag, _ in found] == wanted
        # No space is heard in the silence, so that words stay together where a sentence goes on.
        assert [hypothesis.text for _, hypothesis in found] == [
            "ABAD CABFACE",
            "",
            "",
            "BEE",
            "DEAD BEEF JADEHI",
            "",
        ] * 5


def test_silence_and_single_samples_have_no_segments(transcriber: Transcriber) -> None:
    for waveform in (np.zeros(RATE, np.float32), np.full(1, 0.5, np.float32)):
        found = transcriber.transcribe(waveform)
        assert (found.text, found.segments, found.duration) == ("", (), len(waveform) / RATE)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision(precision: str) -> None:
    assert Transcriber(tone_model(), precision=precision).transcribe(say("BAD CAB")).text == "BAD CAB"  # type: ignore[arg-type]


def test_settings_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path / "none")
    with pytest.raises(ConfigError, match="batch seconds: found 0"):
        Transcriber(tone_model(), batch_seconds=0)
    with pytest.raises(ModelError, match="--model FOLDER"):
        asr.load_model()
    tone_model().save(tmp_path)
    with pytest.raises(ModelError, match="device 'abacus' cannot be used"):
        asr.load_model(tmp_path, device="abacus")


# ---------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_stream_is_what_load_gives(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (300_000, 2)), 44_100)
    for channel in (None, 1):
        blocks = list(stream(path, 16_000, channel))
        assert len(blocks) > 3
        whole, _ = load_audio(path, 16_000, channel=channel)
        np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-4)


@pytest.mark.parametrize("program", ["av", "ffmpeg"])
def test_a_stream_of_what_libsndfile_does_not_read(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not sound_file.has_ffmpeg() or not sound_file.has_av():
        pytest.skip("needs ffmpeg and PyAV")
    soundfile.write(tmp_path / "a.wav", np.tile(say("BAD CAB", 0.5, 0.5), 20), RATE)
    path = tmp_path / "a.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "aac", path], check=True)
    if program == "ffmpeg":
        monkeypatch.setattr(sound_file, "has_av", lambda: False)
    blocks = list(stream(path, RATE))
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks), load_audio(path, RATE)[0], atol=1e-4)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match="a.m4a"):
        list(stream(path, RATE))


def test_streams_end_with_an_error_where_the_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 400_000), 16_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 5000] = bytes(5000)
    path.write_bytes(data)
    blocks = stream(path, 16_000)
    assert len(next(blocks)) > 0
    with pytest.raises(AudioError, match="a.flac: (damaged|truncated)"):
        list(blocks)


def test_streams_refuse_impossible_rates_and_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "slow.wav", np.zeros(1000), 3)
    with pytest.raises(AudioError, match="the header says 3 Hz"):
        list(stream(tmp_path / "slow.wav", 16_000))
    soundfile.write(tmp_path / "nan.wav", np.full(1000, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="nan.wav: holds samples that are NaN"):
        list(stream(tmp_path / "nan.wav", RATE))
    soundfile.write(tmp_path / "one.wav", np.zeros(1), 96_000)
    with pytest.raises(AudioError, match="too few to resample"):
        list(stream(tmp_path / "one.wav", RATE))
