"""Passages: what of a recording is recognised together, and by nothing outside it.

No context of the network, no sentence and no batch of a long recording reaches across a passage's end. So what is found
depends on the recording alone, to the last digit, not on what is transcribed beside it; and it can be told, and kept,
passage by passage. The first are short, that something is there to see soon.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from asr.transcription.segmentation import MAX_SECONDS, Piece
from asr.transcription.sentences import SURE

FIRST = 30.0  # seconds from which the first passage ends at the next pause of SURE
LONGEST = 120.0  # seconds of those that follow, each twice as long as the one before
PATIENCE = MAX_SECONDS  # seconds after which it ends at the longest of the pauses since
TAIL = 15.0  # seconds at least that a recording's last passage has: less has too little context to stand alone


@dataclass(frozen=True)
class Passage:
    """A stretch of a recording, in its pieces."""

    pieces: tuple[Piece, ...]  # the first has an infinite pause before it; there are none where nothing is heard
    number: int = 0  # of the recording's passages, from 0 on
    last: bool = True  # of the recording

    @property
    def whole(self) -> bool:
        """Whether it is all of the recording."""
        return self.last and not self.number

    @property
    def num_samples(self) -> int:
        return sum(len(piece.waveform) for piece in self.pieces)


def in_passages(pieces: Iterable[Piece], sample_rate: int) -> Iterator[Passage]:
    """The passages of a recording, at least one, which have its pieces in their order."""
    number, wanted = 0, FIRST
    complete: list[Piece] = []  # a passage, while less than TAIL is known to follow it
    begun: list[Piece] = []
    for piece in pieces:
        while cut := _cut(begun, piece.pause, wanted, sample_rate):
            if complete:
                yield _passage(complete, number, last=False)
                number += 1
            complete, begun = begun[:cut], begun[cut:]
            wanted = min(2 * wanted, LONGEST)
        begun.append(piece)
        if complete and _seconds(begun, sample_rate) >= TAIL:
            yield _passage(complete, number, last=False)
            complete, number = [], number + 1
    yield _passage(complete + begun, number, last=True)


def _cut(pieces: Sequence[Piece], pause: float, wanted: float, sample_rate: int) -> int:
    """After how many of the pieces a passage ends; 0: it goes on. pause: seconds of the one that follows them all."""
    seconds = _seconds(pieces, sample_rate)
    if seconds >= wanted and pause >= SURE:
        return len(pieces)
    if seconds < wanted + PATIENCE:
        return 0
    pauses = [*(piece.pause for piece in pieces[1:]), pause]
    enough = [count for count in range(1, len(pieces) + 1) if _seconds(pieces[:count], sample_rate) >= wanted]
    return max(enough, key=lambda count: pauses[count - 1])


def _passage(pieces: Sequence[Piece], number: int, last: bool) -> Passage:
    return Passage((*(replace(piece, pause=math.inf) for piece in pieces[:1]), *pieces[1:]), number, last)


def _seconds(pieces: Sequence[Piece], sample_rate: int) -> float:
    return sum(len(piece.waveform) for piece in pieces) / sample_rate
