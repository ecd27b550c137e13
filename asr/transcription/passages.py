"""Passages: what of a recording is recognised together, and by nothing outside it.

No context of the network and no sentence reaches across a passage's end. So a recording's text depends on the recording
alone, not on what is transcribed beside it; and what is recognised can be told, and kept, passage by passage. The first
are short, that something is there to see soon.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from asr.transcription.segmentation import MAX_SECONDS, Piece
from asr.transcription.sentences import SURE

FIRST = 30.0  # seconds from which the first passage ends at the next pause of SURE
LONGEST = 120.0  # seconds of those that follow, each twice as long as the one before
PATIENCE = MAX_SECONDS  # seconds after which it ends at any pause


def in_passages(pieces: Iterable[Piece], sample_rate: int) -> Iterator[tuple[Piece, bool]]:
    """The pieces of a recording, each with whether it is the last of a passage that another follows.

    The first of each passage has a pause of infinite length before it, as the recording's own first has.
    """
    wanted, seconds = FIRST, 0.0
    before: Piece | None = None
    for piece in pieces:
        ended = seconds >= wanted and (piece.pause >= SURE or seconds >= wanted + PATIENCE)
        if before is not None:
            yield before, ended
        if ended:
            piece = replace(piece, pause=math.inf)
            wanted, seconds = min(2 * wanted, LONGEST), 0.0
        seconds += len(piece.waveform) / sample_rate
        before = piece
    if before is not None:
        yield before, False
