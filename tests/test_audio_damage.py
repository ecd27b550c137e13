"""Damaged files of all formats: an error or a sound, soon; what `python -m tests.damage_routes` counts, in small."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from asr.audio.ffmpeg_program import has_ffmpeg
from asr.audio.load import load_audio
from asr.audio.pyav import has_av
from asr.audio.reader import Notice
from asr.errors import AudioError
from asr.transcription.recogniser import Recogniser
from tests.damage import damaged, whole
from tests.damage_routes import DECODERS, INSTALLED, SOON, SPOKEN, heard, judged, speech
from tests.tone_model import RATE, tone_model

COUNT = 150  # of the more than 400

needs_both = pytest.mark.skipif(not (has_av() and has_ffmpeg()), reason="PyAV or the ffmpeg program is missing")


@pytest.mark.filterwarnings("ignore")  # of the decoders
def test_damaged_files_give_a_sound_or_an_error_and_soon(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    read = 0
    for path in damaged(tmp_path, speech(), RATE, count=COUNT):
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
def test_every_kind_of_damage_is_done_to_every_format(tmp_path: Path) -> None:
    paths = damaged(tmp_path, speech(), RATE)
    assert len(paths) == len({path.name for path in paths}) > 400
    assert all(path.is_file() for path in paths)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_routes_are_judged(tmp_path: Path) -> None:
    recogniser = Recogniser(tone_model())
    folder = tmp_path / "told"
    folder.mkdir()
    for path in damaged(tmp_path, speech(), RATE, seed=1, count=8):
        for open_it in INSTALLED.values():
            ended, found = judged(open_it, path, recogniser, folder)
            assert ended.kind == "ended" and ("error" in found or "text" in found), (path, ended)


@needs_both
def test_whole_files_have_the_same_text_by_every_decoder(tmp_path: Path) -> None:
    recogniser = Recogniser(tone_model())
    for path in whole(tmp_path, speech(), RATE):
        found = [heard(open_it, path, recogniser) for open_it in DECODERS.values()]
        texts = [one["text"] for one in found if "text" in one]
        assert len(texts) > 1, path
        assert set(texts) == {SPOKEN}, (path, texts)
