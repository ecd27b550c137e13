"""Hundreds of damaged files of all formats: an error or a sound, soon, and the same text by every decoder."""

import time
from pathlib import Path

import numpy as np
import pytest

from asr.audio.ffmpeg_program import FfmpegReader, has_ffmpeg
from asr.audio.files import open_file
from asr.audio.libsndfile import LibsndfileReader, NotReadable
from asr.audio.load import load_audio, resample
from asr.audio.pyav import AvReader, has_av
from asr.audio.reader import Notice
from asr.audio.sound_file import SoundFile
from asr.errors import AudioError
from asr.transcription.recogniser import Recogniser
from tests.damage import damaged, whole
from tests.tone_model import RATE, say, tone_model

COUNT = 400
SOON = 10.0  # seconds

needs_both = pytest.mark.skipif(not (has_av() and has_ffmpeg()), reason="PyAV or the ffmpeg program is missing")


def by(reader: type, path: Path) -> np.ndarray:
    notices: list[Notice] = []
    with open_file(path) as file:
        sound = SoundFile(path, reader(file, path))
        return resample(np.concatenate(list(sound.blocks(report=notices.append))), sound.sample_rate, RATE)


def speech() -> np.ndarray:
    return np.concatenate([say(text, 0.3, 0.3) for text in ("BAD CAB", "FACE", "HIDE A JADE", "BEE")])


@pytest.mark.filterwarnings("ignore")  # of the decoders
def test_damaged_files_give_a_sound_or_an_error_and_soon(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    read = 0
    for path in damaged(tmp_path, speech(), RATE, COUNT):
        started = time.perf_counter()
        notices: list[Notice] = []
        try:
            waveform = load_audio(path, RATE, report=notices.append)[0]
            assert np.isfinite(waveform).all(), path
            read += 1
        except AudioError as error:
            assert str(error).startswith(str(path))
        assert time.perf_counter() - started < SOON, path
    capfd.readouterr()  # some decoders write to the terminal
    assert read > COUNT * 0.4


@needs_both
def test_whole_files_have_the_same_text_by_every_decoder(tmp_path: Path) -> None:
    recogniser = Recogniser(tone_model())
    for path in whole(tmp_path, speech(), RATE):
        texts = {}
        for reader in (LibsndfileReader, AvReader, FfmpegReader):
            try:
                texts[reader.__name__] = recogniser.recognise([by(reader, path)])[0].text
            except (NotReadable, AudioError):
                continue
        assert len(texts) > 1, path
        assert set(texts.values()) == {"BAD CABFACEHIDE A JADEBEE"}, (path, texts)
