"""What a Transcriber takes: each way in which a waveform comes means what it means, and what is none is an error."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.errors import AudioError
from asr.transcription.sound import MAX_CHANNELS, open_source

RATE = 8_000


@pytest.fixture
def speech() -> np.ndarray:
    """(S,) float32 whose values PCM of 8 bits has."""
    return (np.random.default_rng(0).integers(-120, 120, 1000) / 128).astype(np.float32)


def read(source: object, sample_rate: object = None, channel: int | None = None) -> np.ndarray:
    return open_source(source, RATE, sample_rate, channel).waveform()  # type: ignore[arg-type]


def test_integers_are_pcm_and_unsigned_ones_have_their_zero_in_the_middle(speech: np.ndarray) -> None:
    for kind, full_scale, middle in (
        (np.int8, 2**7, 0),
        (np.uint8, 2**7, 2**7),
        (np.int16, 2**15, 0),
        (np.uint16, 2**15, 2**15),
        (np.int32, 2**31, 0),
    ):
        pcm = (speech.astype(float) * full_scale + middle).astype(kind)
        np.testing.assert_array_equal(read(pcm), speech)
        np.testing.assert_array_equal(read(np.stack([pcm, pcm], axis=1)), speech)


def test_an_8_bit_wav_s_bytes_are_what_soundfile_decodes(tmp_path: Path, speech: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", speech, RATE, subtype="PCM_U8")
    data = np.frombuffer((tmp_path / "a.wav").read_bytes()[-len(speech) :], np.uint8)
    np.testing.assert_array_equal(read(data), read(tmp_path / "a.wav"))


def test_floats_of_any_width(speech: np.ndarray) -> None:
    for kind in (np.float16, np.float32, np.float64):
        assert read(speech.astype(kind)).dtype == np.float32
        np.testing.assert_array_equal(read(speech.astype(kind)), speech)
    np.testing.assert_array_equal(read(torch.from_numpy(speech).bfloat16()), speech)


def test_channels_lie_along_the_shorter_axis(speech: np.ndarray) -> None:
    other = speech[::-1].copy()
    for pair in (np.stack([speech, other], axis=1), np.stack([speech, other])):
        np.testing.assert_array_equal(read(pair, channel=0), speech)
        np.testing.assert_array_equal(read(pair, channel=1), other)
        np.testing.assert_allclose(read(pair), (speech + other) / 2, atol=1e-7)
        with pytest.raises(AudioError, match=r"waveform: has 2 channel\(s\), no channel 2 \(the first is 0\)"):
            read(pair, channel=2)
    for mono in (speech[None], speech[:, None], torch.from_numpy(speech)[None]):
        np.testing.assert_array_equal(read(mono), speech)
        np.testing.assert_array_equal(read(mono, channel=0), speech)
    np.testing.assert_array_equal(read(np.full((1, 1), 0.5)), [0.5])


def test_tensors_also_where_they_have_gradients(speech: np.ndarray) -> None:
    np.testing.assert_array_equal(read(torch.from_numpy(speech).requires_grad_()), speech)
    np.testing.assert_array_equal(read((torch.from_numpy(speech) * 128 + 128).to(torch.uint8)), speech)


def test_whatever_numpy_makes_an_array_of(speech: np.ndarray) -> None:
    class Column:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return speech

    np.testing.assert_array_equal(read(Column()), speech)


def test_rates_of_any_type_of_number(speech: np.ndarray) -> None:
    for rate in (16_000, 16_000.0, np.int64(16_000), np.float32(16_000)):
        assert len(read(speech, rate)) == len(speech) / 2


@pytest.mark.parametrize("rate", [0, -16_000, 999, 10**7, 16_000.5, float("nan"), "16000", True])
def test_rates_that_are_none(rate: object, speech: np.ndarray) -> None:
    with pytest.raises(AudioError, match="waveform: found the sample rate .*, wanted whole Hz, 1000 to 1000000"):
        read(speech, rate)


NO_SOUND = np.zeros(5)
MISTAKES = [
    (["a.wav", "b.wav"], "found a list of 2, wanted one recording.* transcribe_batch takes several"),
    ([0.1, 0.2], "found a list of 2, wanted one recording. Give a waveform as an array"),
    ((torch.zeros(1, 100), 16_000), "found a tuple of 2, .* and its rate as sample_rate"),
    ([], "found a list of 0"),
    (b"RIFF", r"found bytes, .* io.BytesIO\(...\) makes a file of a sound file's bytes, np.frombuffer"),
    (None, "found NoneType, wanted a sound file's path, an open file, or a waveform"),
    ({"array": NO_SOUND}, "found dict, wanted a sound file's path"),
    (3, "found int, wanted a sound file's path"),
    (np.zeros(0, np.float32), r"found the shape \(0, 1\)"),
    (np.zeros((0, 2)), r"found the shape \(0, 2\)"),
    (np.float32(1.0), r"found the shape \(\)"),
    (np.zeros((2, 1, 100)), r"found the shape \(2, 1, 100\), wanted .* transcribe_batch takes several"),
    (np.zeros((MAX_CHANNELS + 1, 500)), r"found the shape \(65, 500\): wanted a waveform, of 64 channels or fewer"),
    (np.zeros((4, 4)), r"found the shape \(4, 4\), where samples and channels cannot be told apart"),
    (np.zeros(5, np.int64), r"found samples of type int64, wanted floats .*\.astype\(np.int16\)"),
    (torch.zeros(5, dtype=torch.int64), "found samples of type int64"),
    (np.zeros(5, bool), "found samples of type bool"),
    (np.zeros(5, complex), "found samples of type complex128"),
    (np.array(["a.wav", "b.wav"]), "found samples of type <U5"),
    (np.array([0.0, np.nan]), "holds samples that are NaN or infinite"),
    (np.array([0.0, np.inf]), "holds samples that are NaN or infinite"),
]


@pytest.mark.parametrize(("source", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_what_is_no_recording(source: object, message: str) -> None:
    with pytest.raises(AudioError, match=f"^waveform: {message}"):
        read(source)


def test_too_few_samples_to_resample() -> None:
    with pytest.raises(AudioError, match="waveform: 1 samples at 96000 Hz are too few to resample to 8000 Hz"):
        read(np.zeros(1, np.float32), 96_000)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    with pytest.raises(AudioError, match="gone.wav: no such file"):
        read(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="is a folder, not a file"):
        read(str(tmp_path))
    with pytest.raises(AudioError, match="text.wav"):
        read(tmp_path / "text.wav")
    with pytest.raises(AudioError, match=r"the open file: was opened as text; open it in binary mode"):
        read(io.StringIO("text"))
    with pytest.raises(AudioError, match="^the open file: "):
        read(io.BytesIO(b"nothing"))
