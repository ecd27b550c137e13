"""The contract between those who decode sound files and those who use the sound.

A reader (`asr.audio.libsndfile`, `asr.audio.pyav`, `asr.audio.ffmpeg_program`) gives samples with their places on the
recording's time line. Where it has none, because of a pause in the transmission or damage, the time line has silence
(`asr.audio.sound_file`): what comes later keeps its time. What is wrong with a file is data, a list of notices, and
their user decides whether to go on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asr.errors import AudioError

RATES = (1_000, 1_000_000)  # Hz; others are damaged headers, and would be resampled to hours
CHANNELS = 1024  # more are a damaged header
ROUNDING = 0.25  # seconds by which compressed formats and other people's tools may misjudge a length
SHOWN = 5  # stretches that a message lists; the others are counted

Chunk = tuple[int, np.ndarray]
"""Place of its first sample on the time line, and samples (S, channels) float32."""


@dataclass(frozen=True)
class Notice:
    """Something about a recording that its user should know."""

    problem: str
    lost: tuple[float, float] | None = None  # seconds that could not be read, and are silence
    damage: bool = True  # whether something is lost; otherwise it is a choice that was made

    def __str__(self) -> str:
        return f"{self.problem} at {_stretch(*self.lost)}" if self.lost else self.problem


Report = Callable[[Notice], object]
"""What is done with a notice."""


class Reader(Protocol):
    """An open sound file."""

    sample_rate: int  # Hz
    num_channels: int
    num_samples: int | None  # of one channel, as far as that is known without decoding
    notices: list[Notice]  # what is known to be wrong without decoding

    def chunks(self, start: int, stop: int | None, report: Report) -> Iterator[Chunk]:
        """What there is from sample `start` to `stop` (None: to the end), in order, none of it twice.

        It may begin before `start`, and before 0, and end after `stop`. What turns out to be damaged is reported, and
        left out.
        """
        ...


def shortened(wanted: float, found: float) -> Notice:
    """A recording that ends too early; times in seconds."""
    return Notice(f"truncated: {wanted:.2f} s were expected, {found:.2f} s are there")


def check_header(name: object, sample_rate: int, num_channels: int) -> None:
    """Raises AudioError for what no recording has."""
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise AudioError(
            f"{name}: not audio, or damaged: the header says {sample_rate} Hz, wanted {RATES[0]} to {RATES[1]}"
        )
    if not 1 <= num_channels <= CHANNELS:
        raise AudioError(
            f"{name}: not audio, or damaged: the header says {num_channels} channels, wanted 1 to {CHANNELS}"
        )


def summary(notices: Sequence[Notice]) -> list[str]:
    """A line for each problem, however often it was met."""
    lines = []
    for problem in dict.fromkeys(notice.problem for notice in notices):
        same = [notice.lost for notice in notices if notice.problem == problem and notice.lost]
        stretches = _merged(same)
        where = ", ".join(_stretch(*stretch) for stretch in stretches[:SHOWN])
        more = f" and {len(stretches) - SHOWN} other places" if len(stretches) > SHOWN else ""
        seconds = sum(stop - start for start, stop in stretches)
        total = f" ({seconds:.2f} s together)" if len(stretches) > 1 else ""
        lines.append(f"{problem} at {where}{more}{total}" if same else problem)
    return lines


def _merged(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, stop in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _stretch(start: float, stop: float) -> str:
    return f"{start:.2f} s" if stop - start < 0.005 else f"{start:.2f} to {stop:.2f} s"


class Placer:
    """Places frames that have time stamps on a time line without gaps from rounding and without steps back.

    rate: samples a second. Stamps and results are samples.
    """

    # Seconds by which stamps may be off: recorders in browsers are not exact.
    # It is ffmpeg's own limit (aresample's min_hard_comp).
    JITTER = 0.1
    ROUNDED = 0.005  # seconds by which containers round stamps at most
    LONGEST = 3600.0  # seconds without a sample; a jump further ahead is another clock, not a pause
    DELAY = 1.0  # seconds before the beginning in which an encoder may have something to say

    def __init__(self, rate: int, problem: str):
        self.rate = rate
        self.problem = problem
        self.place = self.shift = 0
        self.begun = False

    def put(self, stamp: int | None, count: int, damaged: bool, report: Report) -> int:
        """Where `count` samples stamped so begin; damaged: whether frames before these could not be decoded.

        The first ones may begin before 0: those samples are the encoder's, and not part of the recording.
        """
        if not self.begun and stamp is not None and -self.DELAY * self.rate < stamp < 0:
            self.place = stamp
        self.begun = True
        gap = 0 if stamp is None else stamp + self.shift - self.place
        if gap > self.LONGEST * self.rate or gap < -self.JITTER * self.rate:
            self.shift -= gap  # recordings joined to one file: nothing is thrown away
            gap = 0
        # A frame that is known to be lost is missing, however short it is.
        start = self.place + (gap if gap > (self.ROUNDED if damaged else self.JITTER) * self.rate else 0)
        if damaged:
            report(Notice(self.problem, (self.place / self.rate, start / self.rate)))
        self.place = start + count
        return start


class Track(Protocol):
    """One of several sound tracks."""

    @property
    def default(self) -> bool: ...

    @property
    def title(self) -> str: ...


def choose_track(name: object, tracks: Sequence[Track], wanted: int | None) -> tuple[int, list[Notice]]:
    """Which of a file's sound tracks is read, from 0 on: the one wanted, or the one marked as default, or the first.

    Raises AudioError where there is none, or not the one wanted.
    """
    if not tracks:
        raise AudioError(f"{name}: has no audio track")
    if wanted is not None:
        if not 0 <= wanted < len(tracks):
            raise AudioError(f"{name}: has {len(tracks)} sound track(s), no track {wanted} (the first is 0)")
        return wanted, []
    chosen = next((number for number, track in enumerate(tracks) if track.default), 0)
    if len(tracks) == 1:
        return chosen, []
    listed = ", ".join(f"{number} {track.title}".strip() for number, track in enumerate(tracks))
    return chosen, [Notice(f"{len(tracks)} sound tracks ({listed}): track {chosen} is read", damage=False)]
