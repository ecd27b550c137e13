"""Cutting at pauses, and joining windows where there are none."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from asr.errors import ConfigError
from asr.transcription import segmentation
from asr.transcription.recogniser import Recogniser
from asr.transcription.segmentation import Piece, Segmenter, join, windows
from tests.tone_model import RATE, say, tone_model


def pieces(waveform: np.ndarray, block: int = 5000, **options: object) -> list[Piece]:
    blocks = [waveform[first : first + block] for first in range(0, len(waveform), block)]
    return list(Segmenter(RATE, **options).pieces(blocks))  # type: ignore[arg-type]


def texts(found: list[Piece]) -> list[str]:
    return [hypothesis.text for hypothesis in Recogniser(tone_model()).recognise([piece.waveform for piece in found])]


def test_a_short_recording_comes_whole() -> None:
    for waveform in (say("BAD CAB", 10.0, 10.0), np.zeros(RATE, np.float32), np.zeros(1, np.float32)):
        (piece,) = pieces(waveform)
        assert piece.start == 0
        np.testing.assert_array_equal(piece.waveform, waveform)


def test_a_long_one_is_cut_in_the_pauses_whatever_the_blocks() -> None:
    wanted = ["BAD", "CAB", "FACE", "A BEE", "DEAD", "BEEF"] * 5
    waveform = np.concatenate([say(text, 0.5, 0.5) for text in wanted])
    for block in (800, 5000, len(waveform)):
        found = pieces(waveform, block)
        assert texts(found) == wanted
        for piece in found:
            first = round(piece.start * RATE)
            np.testing.assert_array_equal(piece.waveform, waveform[first : first + len(piece.waveform)])
    # Nothing is lost and nothing doubled between two cuts.
    np.testing.assert_array_equal(np.concatenate([piece.waveform for piece in found]), waveform)


def test_the_same_sound_is_cut_in_the_same_way_however_it_comes() -> None:
    """Also where its level changes, and with it what counts as a pause."""
    rng = np.random.default_rng(0)
    waveform = np.concatenate(
        [say("BAD CAB", *rng.uniform(0.05, 0.6, 2)) * np.float32(10 ** rng.uniform(-2, 0)) for _ in range(150)]
    )
    whole = [(piece.start, len(piece.waveform), piece.pause) for piece in pieces(waveform, len(waveform))]
    assert len(whole) > 20
    for block in (799, 5000, 100_003):
        assert [(piece.start, len(piece.waveform), piece.pause) for piece in pieces(waveform, block)] == whole


def test_long_silence_is_left_out_and_speech_keeps_an_edge_of_it() -> None:
    waveform = np.concatenate([say("BAD", 20.0, 20.0), say("CAB", 20.0, 40.0)])
    found = pieces(waveform)
    assert texts(found) == ["BAD", "CAB"]
    for piece in found:
        assert len(piece.waveform) / RATE < 0.5 + 2 * segmentation.EDGE + 0.5


@pytest.mark.parametrize("seconds", [29.0, 100.0, 350.0, 700.0])
@pytest.mark.parametrize("level", [0.0, 1e-3], ids=["digital", "noise"])
def test_a_pause_of_any_length_belongs_to_no_piece(seconds: float, level: float) -> None:
    """It must not wait for its end, nor come in one piece with the speech before it: words are found in nothing."""
    rng = np.random.default_rng(0)
    pause = (level * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    speech = say("BAD CAB", 0.3, 0.3)
    waveform = np.concatenate([speech, pause, speech, pause, speech])
    segmenter = Segmenter(RATE)
    found, longest = [], 0
    for first in range(0, len(waveform), RATE):
        found += segmenter.push(waveform[first : first + RATE])
        longest = max(longest, len(segmenter.waveform))
    found += segmenter.finish()
    assert texts(found) == ["BAD CAB"] * 3
    assert max(len(piece.waveform) for piece in found) / RATE < len(speech) / RATE + 2 * segmentation.EDGE + 0.5
    if level == 0:
        assert longest / RATE < segmentation.MAX_SECONDS + 2


@pytest.mark.parametrize("waveform", [np.zeros(60 * RATE, np.float32), say("", 60.0)], ids=["digital", "noise"])
def test_long_silence_alone_gives_at_most_a_noise_without_words(waveform: np.ndarray) -> None:
    assert "".join(texts(pieces(waveform))) == ""


def test_quiet_speech_after_loud_speech_is_kept() -> None:
    waveform = np.concatenate([say("BAD", 0.5, 0.5)] * 20 + [say("CAB", 0.5, 0.5) * 0.02] * 20)
    found = pieces(waveform)
    quiet = [piece for piece in found if piece.start > 20 * 1.36 - 0.1]
    assert len(quiet) >= 1
    assert sum(len(piece.waveform) for piece in quiet) / RATE > 20 * 1.36 - 1


def test_short_pauses_are_used_where_there_are_no_others() -> None:
    waveform = np.concatenate([say("BEEF", 0.13, 0.13)] * 80)
    found = pieces(waveform)
    assert len(found) > 1
    assert max(len(piece.waveform) for piece in found) <= 30.5 * RATE
    assert " ".join(texts(found)).replace(" ", "") == "BEEF" * 80


def test_without_any_pause_memory_is_bounded_and_windows_lose_nothing() -> None:
    words = "FACE A BEE DEAD BEEF HIDE A JADE "
    waveform = np.tile(say(words, 0, 0), 100)  # 6.6 minutes
    found = pieces(waveform, 50_000)
    assert len(found) == 2
    assert all(len(piece.waveform) <= (segmentation.LIMIT + 10) * RATE for piece in found)
    # The cut after five minutes may fall into a word; no letter is lost there either.
    assert "".join(texts(found)).replace(" ", "") == words.replace(" ", "") * 100


def test_live_gives_a_piece_as_soon_as_its_pause_has_lasted() -> None:
    segmenter = Segmenter(RATE, live=True)
    waveform = np.concatenate([say("BAD CAB", 1.0, 2.0), say("FACE", 0.0, 2.0)])
    ends = [1.0 + 7 * 0.12, 3.0 + 7 * 0.12 + 4 * 0.12]
    given: list[tuple[float, Piece]] = []
    for first in range(0, len(waveform), 400):
        given += [((first + 400) / RATE, piece) for piece in segmenter.push(waveform[first : first + 400])]
    assert texts([piece for _, piece in given]) == ["BAD CAB", "FACE"]
    for (time, _), end in zip(given, ends, strict=True):
        assert end + segmentation.LIVE_PAUSE - 0.1 < time < end + segmentation.LIVE_PAUSE + 0.2
    assert segmenter.finish() == []


def test_live_waits_no_longer_than_max_seconds_and_forgets_silence() -> None:
    segmenter = Segmenter(RATE, 10.0, live=True)
    found = []
    for _ in range(30):
        found += segmenter.push(say("ABCDEFGH", 0, 0))
        assert len(segmenter.waveform) <= 10.1 * RATE
    assert len(found) >= 2
    for _ in range(100):
        segmenter.push(say("", 1.0, 0))
        assert len(segmenter.waveform) <= 10.1 * RATE


def test_live_takes_blocks_shorter_than_its_measurements_and_an_empty_recording() -> None:
    waveform = say("BAD CAB", 0, 0)
    segmenter = Segmenter(RATE, live=True)
    found = [*segmenter.push(waveform[:3]), *segmenter.push(waveform[3:]), *segmenter.finish()]
    np.testing.assert_array_equal(np.concatenate([piece.waveform for piece in found]), waveform)
    assert Segmenter(RATE, live=True).finish() == []


def test_max_seconds_shorter_than_two_overlaps_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_seconds: found 5, wanted at least 8"):
        Segmenter(RATE, 5.0)


@pytest.mark.parametrize("num_samples", [1, 99, 100, 101, 160, 161, 1000])
def test_windows_cover_everything_and_overlap(num_samples: int) -> None:
    found = windows(num_samples, 100, 40)
    assert found[0][0] == 0 and found[-1][1] == num_samples
    assert all(stop - first <= 100 for first, stop in found)
    assert all(stop - second == 40 and second - first == 60 for (first, stop), (second, _) in pairwise(found))
    assert len(found) == 1 or found[-1][1] - found[-1][0] > 40


def test_join_takes_each_frame_once_from_the_window_that_has_context() -> None:
    # Frame t's log-prob of symbol 1 is t; at a window's edges it is spoilt.
    whole = torch.stack([torch.full((220,), -1.0), torch.arange(220.0)], dim=1)
    whole[85, 0] = -0.1  # the surest blank in the middle of what the first two windows share: 60..100
    parts = [whole[first:stop].clone() for first, stop in windows(220, 100, 40)]
    for before, after in pairwise(parts):
        before[-9:], after[:9] = -99.0, -99.0
    joined = join(parts, 60, blank=0)
    torch.testing.assert_close(joined, whole)
    parts[0][85:, 1] = -7.0
    torch.testing.assert_close(join(parts, 60, blank=0), whole)


def test_joined_windows_of_a_network_equal_it_in_one() -> None:
    """Where the network needs no more context than half the overlap, nothing at all changes."""
    waveform = np.tile(say("FACE A BEE DEAD BEEF ", 0, 0), 40)
    recogniser = Recogniser(tone_model())
    assert len(waveform) > 3 * segmentation.MAX_SECONDS * RATE
    (hypothesis,) = recogniser.recognise([waveform])
    with torch.inference_mode():
        log_probs, num_frames = tone_model()(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    whole = recogniser.decoder(log_probs, num_frames)[0][0]
    assert hypothesis.text == whole.text == " ".join(["FACE A BEE DEAD BEEF"] * 40)
    assert hypothesis.spans == whole.spans
