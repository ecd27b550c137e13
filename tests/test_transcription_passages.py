"""Passages of recordings: what is recognised together, and stands alone."""

import itertools
import math
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr.model.contract import AcousticModel
from asr.transcription.batch import Recognised, recognise_parts
from asr.transcription.passages import FIRST, LONGEST, PATIENCE, TAIL, Passage, in_passages
from asr.transcription.recogniser import Recogniser
from asr.transcription.segmentation import Piece
from asr.transcription.sound import Sound, Source, open_source
from asr.transcription.transcriber import Transcriber
from tests.tone_model import RATE, SYMBOLS, say, tone_model


def long_recording(seconds: float, seed: int) -> np.ndarray:
    """Words and pauses of all lengths, (S,)."""
    rng = np.random.default_rng(seed)
    parts, samples = [], 0.0
    while samples < seconds * RATE:
        text = "".join(rng.choice(list(SYMBOLS[1:]), rng.integers(2, 12)))
        parts.append(say(text, after=float(rng.choice([0.2, 0.6, 0.9, 1.5, 4.0], p=[0.3, 0.3, 0.2, 0.15, 0.05]))))
        samples += len(parts[-1])
    return np.concatenate(parts)


def pieces(seconds: list[float], pauses: list[float]) -> list[Piece]:
    starts = np.cumsum([0.0, *seconds[:-1]])
    return [
        Piece(start, np.zeros(round(length * 10), np.float32), pause)
        for start, length, pause in zip(starts, seconds, [math.inf, *pauses], strict=True)
    ]


def ends(seconds: list[float], pauses: list[float]) -> list[int]:
    """After how many pieces passages end."""
    return np.cumsum([len(passage.pieces) for passage in in_passages(pieces(seconds, pauses), 10)]).tolist()


def test_passages_end_at_long_pauses_and_grow() -> None:
    given = pieces([10.0] * 60, [1.3] * 59)
    found = list(in_passages(iter(given), sample_rate=10))
    assert [len(passage.pieces) for passage in found] == [3, 6, 12, 12, 12, 12, 3]  # of 30, 60, and then 120 seconds
    assert [passage.number for passage in found] == list(range(7))
    assert [passage.last for passage in found] == [False] * 6 + [True]
    assert not any(passage.whole for passage in found)
    for passage in found:
        assert [piece.pause for piece in passage.pieces] == [math.inf] + [1.3] * (len(passage.pieces) - 1)
    together = [piece for passage in found for piece in passage.pieces]
    for piece, before in zip(together, given, strict=True):  # nothing is lost, and nothing doubled
        assert piece.waveform is before.waveform and piece.start == before.start


def test_without_long_pauses_a_passage_ends_at_the_best() -> None:
    pauses = [0.6] * 29
    pauses[3] = 0.9  # after 40 seconds
    assert ends([10.0] * 30, pauses) == [4, 10, 22, 30]
    pauses[1] = 1.1  # too early
    assert ends([10.0] * 30, pauses) == [4, 10, 22, 30]
    pauses[4] = 1.2  # in time, and long enough to end it whatever comes
    assert ends([10.0] * 30, pauses)[0] == 5
    assert FIRST + PATIENCE == 60 and LONGEST == 120


def test_pieces_without_a_pause_end_passages_too() -> None:
    assert ends([300.0] * 3, [0.0, 0.0]) == [1, 2, 3]
    assert ends([20.0, 300.0, 1.0], [0.9, 0.0]) == [2 + 1]


def test_no_passage_is_too_short_to_stand_alone() -> None:
    assert ends([10.0] * 4, [2.0] * 3) == [4]
    assert ends([10.0] * 5, [2.0] * 4) == [3, 5]
    assert ends([30.0] + [TAIL - 0.1], [2.0]) == [2]
    assert ends([30.0] + [TAIL], [2.0]) == [1, 2]


def test_a_short_recording_is_one_passage_and_so_is_one_of_nothing() -> None:
    (passage,) = in_passages(pieces([20.0], []), sample_rate=10)
    assert passage.whole and passage.num_samples == 200
    (nothing,) = in_passages([], sample_rate=10)
    assert nothing.whole and nothing.pieces == () and nothing.num_samples == 0


def test_random_recordings_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        count = int(rng.integers(1, 80))
        given = pieces(
            rng.exponential(8, count).tolist(), rng.choice([0.0, 0.3, 0.8, 1.3, math.inf], count - 1).tolist()
        )
        found = list(in_passages(given, sample_rate=10))
        assert [id(p.waveform) for passage in found for p in passage.pieces] == [id(p.waveform) for p in given]
        assert [passage.last for passage in found] == [False] * (len(found) - 1) + [True]
        if len(found) > 1:
            assert all(passage.num_samples / 10 >= FIRST for passage in found[:-1])
            assert found[-1].num_samples / 10 >= TAIL


@pytest.fixture(scope="module")
def recordings() -> list[np.ndarray]:
    return [long_recording(seconds, seed) for seed, seconds in enumerate([200.0, 5.0, 95.0, 20.0])]


class Crowd:
    """The tone model, but for what it says of itself: its numbers change a little with all that is in a batch.

    Networks in eight bits do, since they scale a batch's values by the largest of them; others do by their rounding.
    """

    def __init__(self) -> None:
        self.model = tone_model()
        self.folder: Path | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def eval(self) -> AcousticModel:
        return self

    def __call__(self, waveforms: torch.Tensor, num_samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_probs, num_frames = self.model(waveforms, num_samples)
        crowd = torch.frac(num_samples.sum() / 1000.0) * 0.1
        return torch.log_softmax(log_probs * (1 - crowd), -1), num_frames


def test_a_recording_s_text_does_not_depend_on_what_is_beside_it(recordings: list[np.ndarray]) -> None:
    transcriber = Transcriber(tone_model(), batch_seconds=20)
    alone = [transcriber.transcribe(recording) for recording in recordings]
    assert all(len(transcript.text) > 5 for transcript in alone)
    for order in itertools.permutations(range(4)):
        together = transcriber.transcribe_batch([recordings[i] for i in order])
        for i, found in zip(order, together, strict=True):
            assert found.text == alone[i].text
            assert [word.start for word in found.words] == [word.start for word in alone[i].words]


def test_a_long_recording_is_the_same_to_the_last_digit(recordings: list[np.ndarray]) -> None:
    """Its batches are its own, whatever is before it and after it."""
    transcriber = Transcriber(Crowd())
    short = transcriber.transcribe(recordings[1])
    assert transcriber.transcribe_batch([recordings[1], recordings[3]])[0] != short  # the model does what it is for
    long = transcriber.transcribe(recordings[0])
    for order in itertools.permutations(range(4)):
        assert transcriber.transcribe_batch([recordings[i] for i in order])[order.index(0)] == long


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff"])
def test_a_recording_s_text_does_not_depend_on_how_it_comes(
    recordings: list[np.ndarray], tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"long.{ending}"
    samples = np.round(recordings[0] * 32767).astype(np.int16)
    soundfile.write(path, samples, RATE)
    transcriber = Transcriber(Crowd())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()
    with path.open("rb") as file:
        sources: list[Source] = [samples, torch.from_numpy(samples)[None], path, file, pipe]  # type: ignore[list-item]
        found = [transcriber.transcribe(source) for source in sources]
    writer.join()
    assert len(found[0].words) > 50 and all(transcript == found[0] for transcript in found)


def parts(recogniser: Recogniser, sound: Sound, before: Recognised | None = None) -> list[Recognised]:
    """What is known after each passage."""
    return [replace(found, sentences=[*found.sentences]) for found in recognise_parts(recogniser, [(sound, before)])]


def test_what_is_begun_goes_on_at_any_passage(recordings: list[np.ndarray]) -> None:
    recogniser = Recogniser(Crowd())
    sound = open_source(long_recording(400.0, 7), RATE)
    whole = parts(recogniser, sound)
    assert len(whole) > 3 and [found.ended for found in whole] == [False] * (len(whole) - 1) + [True]
    assert [found.passages for found in whole] == list(range(1, len(whole) + 1))
    assert [found.reached for found in whole] == sorted({found.reached for found in whole})
    assert whole[-1].reached == whole[-1].seconds
    for number in range(len(whole) - 1):
        assert whole[number].segments() == whole[-1].segments()[: len(whole[number].sentences)]
        begun = replace(whole[number], sentences=[*whole[number].sentences])
        assert parts(recogniser, sound, begun) == whole[number + 1 :]


@pytest.mark.parametrize(("passages", "later"), [(1, 0.01), (2, -1.0), (77, 0.0)])
def test_what_does_not_fit_the_recording_is_dropped(passages: int, later: float) -> None:
    """As of an asr that cuts in other places."""
    recogniser = Recogniser(tone_model())
    sound = open_source(long_recording(200.0, 0), RATE)
    whole = parts(recogniser, sound)
    begun = Recognised(sound, [*whole[1].sentences], passages, whole[min(passages, 2) - 1].reached + later)
    found = parts(recogniser, sound, begun)
    assert all(one.begun_anew for one in found)
    assert [replace(one, begun_anew=False) for one in found] == whole


def test_progress_adds_up_where_a_part_was_known(recordings: list[np.ndarray]) -> None:
    recogniser = Recogniser(tone_model())
    sound = open_source(recordings[0], RATE)
    seconds = len(recordings[0]) / RATE
    before = next(recognise_parts(recogniser, [(sound, None)]))
    for known, left in ((None, seconds), (before, seconds - before.reached)):
        told: list[tuple[float, float]] = []
        known = known and replace(known, sentences=[*known.sentences])
        list(recognise_parts(recogniser, [(sound, known)], lambda *both: told.append(both)))  # noqa: B023
        assert sum(fraction for fraction, _ in told) == pytest.approx(1)
        assert sum(done for _, done in told) == pytest.approx(left)


def test_short_recordings_are_recognised_in_pools_that_grow() -> None:
    recogniser = Recogniser(tone_model())
    pools = []
    of_pieces = recogniser.of_pieces
    recogniser.of_pieces = lambda pieces: pools.append(len(pieces)) or of_pieces(pieces)  # type: ignore[method-assign, func-returns-value]
    given = [(i, Passage((Piece(0.0, np.zeros(RATE * 10, np.float32)),))) for i in range(60)]
    taken: list[int] = []
    found = recogniser.of_passages(taken.append(item[0]) or item for item in given)  # type: ignore[func-returns-value]
    assert next(found) == (0, []) and taken == [0, 1, 2]  # not a recording more than is needed
    assert [tag for tag, _ in found] == list(range(1, 60))
    assert pools == [3, 6, 12, 24, 15]
