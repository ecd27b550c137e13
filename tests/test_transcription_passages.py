"""Passages of recordings: what is recognised together, and stands alone."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.transcription.batch import Recognised, recognise_parts
from asr.transcription.passages import FIRST, LONGEST, PATIENCE, in_passages
from asr.transcription.recogniser import Recogniser
from asr.transcription.segmentation import Piece
from asr.transcription.sound import Source, open_source
from asr.transcription.transcriber import Transcriber
from asr.transcription.transcript import Transcript
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


def test_passages_end_at_long_pauses_and_grow() -> None:
    given = pieces([10.0] * 60, [1.3] * 59)
    found = list(in_passages(given, sample_rate=10))
    ends = [i for i, (_, ended) in enumerate(found, start=1) if ended]
    assert ends == [3, 9, 21, 33, 45, 57]  # of 30, 60, and then 120 seconds
    assert [i for i, (piece, _) in enumerate(found) if piece.pause == math.inf] == [0, *ends]
    for (piece, _), before in zip(found, given, strict=True):  # nothing is lost
        assert piece.waveform is before.waveform and piece.start == before.start


def test_short_pauses_end_a_passage_when_patience_does() -> None:
    found = list(in_passages(pieces([10.0] * 30, [0.6] * 29), sample_rate=10))
    assert [i for i, (_, ended) in enumerate(found, start=1) if ended] == [6, 15]
    assert FIRST + PATIENCE == 60 and LONGEST == 120
    assert not any(ended for _, ended in in_passages(pieces([20.0], []), sample_rate=10))
    assert list(in_passages([], sample_rate=10)) == []


@pytest.fixture(scope="module")
def recordings() -> list[np.ndarray]:
    return [long_recording(seconds, seed) for seed, seconds in enumerate([200.0, 5.0, 95.0, 20.0])]


def test_a_recording_s_text_does_not_depend_on_what_is_beside_it(recordings: list[np.ndarray]) -> None:
    transcriber = Transcriber(tone_model(), batch_seconds=20)
    alone = [transcriber.transcribe(recording) for recording in recordings]
    assert all(len(transcript.text) > 5 for transcript in alone)
    for order in itertools.permutations(range(4)):
        together = transcriber.transcribe_batch([recordings[i] for i in order])
        for i, found in zip(order, together, strict=True):
            assert found.text == alone[i].text
            assert [word.start for word in found.words] == [word.start for word in alone[i].words]


def test_a_recording_s_text_does_not_depend_on_how_it_comes(recordings: list[np.ndarray], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", recordings[0], RATE, subtype="FLOAT")
    transcriber = Transcriber(tone_model())
    with (tmp_path / "long.wav").open("rb") as file:
        sources: list[Source] = [recordings[0], tmp_path / "long.wav", file]  # type: ignore[list-item]
        assert len({transcriber.transcribe(source).text for source in sources}) == 1


def test_what_is_begun_goes_on_at_any_passage(recordings: list[np.ndarray]) -> None:
    recogniser = Recogniser(tone_model())
    sound = open_source(recordings[0], RATE)

    def parts(before: Recognised | None = None) -> list[tuple[int, Transcript, bool]]:
        return [
            (found.pieces, found.transcript(), found.ended) for found in recognise_parts(recogniser, [(sound, before)])
        ]

    whole = parts()
    assert len(whole) > 2 and [ended for *_, ended in whole] == [False] * (len(whole) - 1) + [True]
    assert [len(transcript.words) for _, transcript, _ in whole] == sorted(len(t.words) for _, t, _ in whole)
    for number in range(len(whole) - 1):
        found = itertools.islice(recognise_parts(recogniser, [(sound, None)]), number, number + 1)
        (before,) = found
        assert before.pieces == whole[number][0]
        assert parts(Recognised(sound, list(before.sentences), before.pieces)) == whole[number + 1 :]


def test_progress_adds_up_where_a_part_was_known(recordings: list[np.ndarray]) -> None:
    recogniser = Recogniser(tone_model())
    sound = open_source(recordings[0], RATE)
    before = next(recognise_parts(recogniser, [(sound, None)]))
    told: list[tuple[float, float]] = []
    known = Recognised(sound, list(before.sentences), before.pieces)
    list(recognise_parts(recogniser, [(sound, known)], lambda fraction, seconds: told.append((fraction, seconds))))
    assert sum(fraction for fraction, _ in told) == pytest.approx(1)
    assert sum(seconds for _, seconds in told) < len(recordings[0]) / RATE - FIRST / 2
