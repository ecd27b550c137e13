"""Transcriber: what it takes, what it gives, batches, precisions; and streams of audio from files."""

import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

import asr
from asr.audio.ffmpeg_program import has_ffmpeg
from asr.audio.load import load_audio
from asr.audio.pyav import has_av
from asr.audio.stream import stream
from asr.decoders.beam import BeamDecoder
from asr.errors import AudioError, ConfigError, ModelError
from asr.model import folder as model_folder
from asr.transcription import sound
from asr.transcription.passages import Passage
from asr.transcription.recogniser import Recogniser
from asr.transcription.segmentation import Piece
from asr.transcription.sound import Source
from asr.transcription.transcriber import Transcriber
from asr.transcription.transcript import Transcript
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


def test_a_damaged_open_file_is_not_called_by_its_copy_s_name(transcriber: Transcriber) -> None:
    with pytest.raises(AudioError, match="^the open file: "):
        transcriber.transcribe(io.BytesIO(b"nothing"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux to list a process's open files")
def test_the_copy_of_an_open_file_is_closed_before_it_is_read(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows would not open it a second time."""

    def watched(path: Path | str, *settings: Any, **named: Any) -> Iterator[np.ndarray]:
        places = [os.path.realpath(place) for place in Path("/proc/self/fd").iterdir()]
        assert os.path.realpath(path) not in places
        return stream(path, *settings, **named)

    monkeypatch.setattr("asr.transcription.sound.stream", watched)
    file = io.BytesIO()
    soundfile.write(file, say("BAD CAB"), RATE, format="WAV")
    file.seek(0)
    assert transcriber.transcribe(file).text == "BAD CAB"


def test_one_waveform_however_it_lies(transcriber: Transcriber) -> None:
    speech = say("BAD CAB")
    for source in (speech, speech[None], speech[:, None], torch.from_numpy(speech)[None]):
        assert transcriber.transcribe(source).text == "BAD CAB"
    assert transcriber.transcribe((speech * 127 + 128).astype(np.uint8)).text == "BAD CAB"
    with pytest.raises(AudioError, match="found a list of 2, wanted one recording"):
        transcriber.transcribe([speech, speech])  # type: ignore[arg-type]


def test_a_batch_of_any_recordings_in_their_order(transcriber: Transcriber, tmp_path: Path) -> None:
    said = ["BAD CAB", "A", "FACE A BEE " * 40, "", "HIDE"]
    sources = [say(text.strip(), 0.6, 0.6) for text in said]
    soundfile.write(tmp_path / "a.wav", sources[0], RATE, subtype="FLOAT")
    file = io.BytesIO()
    soundfile.write(file, sources[4], RATE, format="WAV")
    file.seek(0)
    found = transcriber.transcribe_batch([tmp_path / "a.wav", *sources[1:4], file])
    assert [transcript.text for transcript in found] == [text.strip() for text in said]
    assert found[:4] == [transcriber.transcribe(source) for source in sources[:4]]
    assert transcriber.transcribe_batch(iter(sources[:2])) == found[:2]
    assert transcriber.transcribe_batch([]) == []
    slow = np.stack([soxr.resample(sources[0], RATE, 16_000), np.zeros(2 * len(sources[0]), np.float32)])
    (second,) = transcriber.transcribe_batch([slow], 16_000, 1)
    assert (second.text, second.channel) == ("", 1)


def test_a_recording_of_a_batch_that_cannot_be_read(transcriber: Transcriber, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    sources: list[Source] = [say("A"), tmp_path / "bad.wav", np.array([np.nan]), io.BytesIO(b"x"), say("BEE")]
    with pytest.raises(AudioError, match="bad.wav"):
        transcriber.transcribe_batch(sources)
    found = transcriber.transcribe_batch(sources, return_errors=True)
    assert [one.text if isinstance(one, Transcript) else type(one) for one in found] == [
        "A", AudioError, AudioError, AudioError, "BEE",
    ]  # fmt: skip
    assert str(found[2]).startswith("sources[2]: holds samples that are NaN")
    assert str(found[3]).startswith("sources[3]: ")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("a.wav", "found one recording, wanted a list of them"),
        (Path("a.wav"), "found one recording"),
        (io.BytesIO(), "found one recording"),
        (say("A"), "found ndarray, wanted a list of recordings; transcribe takes one"),
        (torch.zeros(2, 100), "found Tensor, wanted a list of recordings"),
        (None, "found NoneType, wanted a list of recordings"),
        ([say("A"), None], r"sources\[1\]: found NoneType, wanted a sound file's path"),
        ([say("A"), ["a.wav"]], r"sources\[1\]: found a list of 1"),
    ],
)
def test_what_is_no_batch(transcriber: Transcriber, sources: Any, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        transcriber.transcribe_batch(sources, return_errors=True)


def test_a_bug_in_a_decoder_of_sound_is_not_hidden(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("here")

    monkeypatch.setattr(sound, "stream", broken)
    with pytest.raises(AudioError, match=r"a.wav: ZeroDivisionError\('here'\)") as found:
        transcriber.transcribe(tmp_path / "a.wav")
    assert isinstance(found.value.__cause__, ZeroDivisionError)


def test_progress_rises_to_the_whole(transcriber: Transcriber, tmp_path: Path) -> None:
    long = np.tile(say("BAD CAB", 0.6, 0.7), 800)  # 29 minutes
    soundfile.write(tmp_path / "a.wav", long, RATE)
    for source in (long, tmp_path / "a.wav"):
        shares: list[float] = []
        transcriber.transcribe(source, on_progress=shares.append)
        assert len(shares) > 10 and shares == sorted(set(shares)) and shares[-1] == 1
        assert shares[0] < 0.02  # half a minute
    shares = []
    transcriber.transcribe_batch([say("A"), long, say("BEE")], on_progress=shares.append)
    assert shares == sorted(set(shares)) and shares[-1] == 1
    assert shares[0] == pytest.approx(1 / 3) and sum(1 / 3 < share < 2 / 3 for share in shares) > 10
    shares = []
    transcriber.hypotheses(io.BytesIO((tmp_path / "a.wav").read_bytes()), on_progress=shares.append)
    assert shares == [1.0]  # how long it is nobody knows before its end


def test_hypotheses_of_each_segment() -> None:
    decoder = BeamDecoder(tone_model().tokenizer, tone_model().seconds_per_frame, n_best=8)
    transcriber = Transcriber(tone_model(), decoder, n_best=3)
    long = np.concatenate([np.zeros(2 * RATE, np.float32)] + [say("BAD CAB", 0.6, 0.6), say("FACE", 0.6, 0.6)] * 12)
    segments = transcriber.transcribe(long).segments
    found = transcriber.hypotheses(long)
    assert [listed[0].text for listed in found] == [segment.text for segment in segments]
    for segment, listed in zip(segments, found, strict=True):
        assert len(listed) == 3 == len({hypothesis.text for hypothesis in listed})
        assert [hypothesis.score for hypothesis in listed] == sorted((h.score for h in listed), reverse=True)
        assert listed[0].words == segment.words
    assert segments[-1].start > 30
    for (greedy,) in Transcriber(tone_model()).hypotheses(long):
        assert greedy.spans[0][0] * 0.02 == pytest.approx(greedy.words[0].start, abs=0.0101)
        assert greedy.spans[-1][1] * 0.02 == pytest.approx(greedy.words[-1].end, abs=0.0101)
    assert [len(listed) for listed in Transcriber(tone_model(), decoder).hypotheses(say("BEE"))] == [1]
    assert transcriber.hypotheses(np.zeros(RATE, np.float32)) == []
    with pytest.raises(ConfigError, match="n_best: found 0, wanted at least 1"):
        Transcriber(tone_model(), decoder, n_best=0)


def test_log_probs_are_what_is_decoded(transcriber: Transcriber, tmp_path: Path) -> None:
    speech = say("BAD CAB")
    found = transcriber.log_probs(speech)
    assert found.dtype == np.float32 and found.shape[1] == 12
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
    hypothesis = transcriber.decoder(torch.from_numpy(found)[None], torch.tensor([len(found)]))[0][0]
    assert [hypothesis] == transcriber.hypotheses(speech)[0]
    soundfile.write(tmp_path / "a.wav", np.stack([speech, speech[::-1]], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(transcriber.log_probs(tmp_path / "a.wav", channel=0), found)
    long = np.tile(speech, 50)
    assert len(transcriber.log_probs(long)) == pytest.approx(len(long) / RATE / 0.02, abs=2)


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
    passages = [(text, Passage((Piece(0.0, say(text)),))) for text in wanted]
    for seconds in (0.01, 3.0, 120.0):
        found = list(Recogniser(tone_model(), batch_seconds=seconds).of_passages(passages))
        assert [listed[0].text for _, [(_, listed)] in found] == wanted == [tag for tag, _ in found]


def test_sentences_of_several_pieces_are_told_by_the_first_whatever_the_batches() -> None:
    wanted = ["A", "BAD CAB", "FACE", "BEE", "DEAD BEEF JADE", "HI"] * 5
    pauses = [math.inf, 0.3, 0.3, math.inf, 2.0, 0.3] * 5  # seconds before each
    pieces = [Piece(0.0, say(text), pause=pause) for text, pause in zip(wanted, pauses, strict=True)]
    for seconds in (0.01, 3.0, 120.0):
        found = Recogniser(tone_model(), batch_seconds=seconds).of_pieces(pieces)
        # No space is heard in the silence, so that words stay together where a sentence goes on.
        assert [listed[0].text for listed in found] == [
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
    with pytest.raises(ConfigError, match="batch_seconds: found 0, wanted more than 0"):
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
    if not has_ffmpeg() or not has_av():
        pytest.skip("needs ffmpeg and PyAV")
    soundfile.write(tmp_path / "a.wav", np.tile(say("BAD CAB", 0.5, 0.5), 20), RATE)
    path = tmp_path / "a.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "aac", path], check=True)
    if program == "ffmpeg":
        monkeypatch.setattr("asr.audio.sound_file.has_av", lambda: False)
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_transcribes(tmp_path: Path) -> None:
    """With threads of OpenMP's in the parent, which do not come along."""
    tone_model().save(tmp_path)
    code = (
        "import multiprocessing, sys, torch\n"
        "torch.set_num_threads(2)\n"
        "import asr\n"
        "from tests.tone_model import say\n"
        "model = asr.load_model(sys.argv[1])\n"
        "torch.randn(500, 500) @ torch.randn(500, 500)\n"
        "assert model.transcribe(say('BAD')).text == 'BAD'\n"
        "def work():\n"
        "    torch.randn(500, 500) @ torch.randn(500, 500)\n"
        "    assert model.transcribe(say('CAB')).text == 'CAB'\n"
        "process = multiprocessing.get_context('fork').Process(target=work)\n"
        "process.start()\n"
        "process.join(60)\n"
        "code = process.exitcode\n"
        "process.kill()\n"
        "sys.exit('hangs' if code is None else code)\n"
    )
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, env={**os.environ, "PYTHONPATH": root},
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
