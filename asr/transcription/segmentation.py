"""Long recordings in pieces: cut at pauses, and, where there are none, in overlapping windows joined as log-probs.

A pause is a stretch whose level stays low, measured against what was heard in the half minute around it. What is thrown
away has no contrast in it at all, so a wrong guess costs context, not words. `benchmarks/long_audio.py` measures what
the cutting costs. The detectors of WebRTC and Silero in place of the level cost more; so did long windows: a network
that normalises each utterance by itself wants pieces like those that it was trained on.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.errors import ConfigError

MAX_SECONDS = 30.0  # recordings up to this length are not cut; windows have it

HOP = 0.01  # seconds between measurements of the level
STEP = 1.0  # seconds of sound between decisions; however it comes, so that the same sound is cut in the same way
LIVE_STEP = 0.1  # the same of speech as it is spoken
SMOOTH = 5  # hops over which the level is averaged
QUIET = 0.1  # share of the time whose level counts as quiet
LOUD = 0.2  # seconds, the loudest, whose level counts as loud
THRESHOLD = 0.5  # of the way from the quiet to the loud level: below is a pause
DEPTH = 50.0  # dB below the loud level that count as quiet, however quiet it gets
CONTRAST = 6.0  # dB above the quiet level that speech reaches and a steady noise does not
SILENCE = -75.0  # dB of full scale: nothing is heard below it

PAUSE = 0.5  # seconds of a pause that is cut at
LIVE_PAUSE = 0.8  # seconds of one that ends an utterance as it is spoken
SHORT_PAUSE = 0.2  # seconds of one that is cut at only if there is no better one
EDGE = 1.0  # seconds of a long pause that stay beside speech
CLICK = 0.1  # seconds: what is shorter is not speech
LIMIT = 300.0  # seconds of a piece without any pause

OVERLAP = 4.0  # seconds that two windows share


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording."""

    start: float  # seconds from the recording's beginning
    waveform: np.ndarray  # (S,) float32
    pause: float = math.inf  # seconds of the pause that it was cut at from the piece before; inf: from none


class Segmenter:
    """Takes a recording block by block and gives it back in pieces; holds at most `LIMIT` seconds of it.

    A recording of up to `max_seconds` comes back whole. A longer one is cut at its pauses: at all of `PAUSE` seconds,
    or, if there is none within `max_seconds`, at the longest. What has no pause comes in one piece, see `windows`.
    With `live` a piece comes as soon as the pause after it has lasted `LIVE_PAUSE` seconds, at the latest after
    `max_seconds`. Stretches in which nothing rises above a steady noise are left out, but never of a whole recording.
    """

    def __init__(self, sample_rate: int, max_seconds: float = MAX_SECONDS, *, live: bool = False):
        if max_seconds < 2 * OVERLAP:
            raise ConfigError(f"max_seconds: found {max_seconds:g}, wanted at least {2 * OVERLAP:g}")
        self.sample_rate = sample_rate
        self.hop = round(HOP * sample_rate)  # samples
        self.max_hops = _hops(max_seconds)
        self.limit_hops = self.max_hops if live else max(self.max_hops, _hops(LIMIT))
        self.live = live
        self.step = _hops(LIVE_STEP if live else STEP) * self.hop  # samples
        self.received = self.given = 0  # samples
        self.pause = math.inf  # seconds of the one cut at last
        self.waveform = np.zeros(0, np.float32)  # not yet given
        self.levels = np.zeros(0)  # dB of full scale in each hop of `waveform`
        self.past = np.zeros(0)  # levels before that

    @property
    def seconds(self) -> float:
        """How much has been pushed."""
        return self.received / self.sample_rate

    def pieces(self, blocks: Iterable[np.ndarray]) -> Iterator[Piece]:
        """Push all blocks, and finish."""
        for block in blocks:
            yield from self.push(block)
        yield from self.finish()

    def push(self, block: np.ndarray) -> list[Piece]:
        """block (S,) float32 -> the pieces that are complete now."""
        ends = range(self.step - self.received % self.step, len(block), self.step)
        return [piece for part in np.split(block, ends) for piece in self._push(part)]

    def _push(self, block: np.ndarray) -> list[Piece]:
        self.received += len(block)
        self.waveform = np.concatenate([self.waveform, block])
        fresh = self.waveform[len(self.levels) * self.hop :]
        fresh = fresh[: len(fresh) // self.hop * self.hop].reshape(-1, self.hop)
        power = np.square(fresh, dtype=np.float64).mean(axis=1)
        self.levels = np.concatenate([self.levels, 10 * np.log10(np.maximum(power, 1e-10))])
        pieces: list[Piece] = []
        if self.received % self.step:
            return pieces
        while self.live or len(self.levels) > self.max_hops:
            cuts = self._cuts()
            if not cuts:
                break
            pieces += self._give(cuts)
        return pieces

    def finish(self) -> list[Piece]:
        """The pieces that are left, when the recording has ended."""
        if self.given == 0 and not self.live and len(self.levels) <= self.max_hops:
            whole = [Piece(0.0, self.waveform)] if len(self.waveform) else []
            self.waveform = self.waveform[:0]
            return whole
        pieces = self._give(self._at_pauses(ended=True))
        return pieces + self._give([(len(self.levels) + 1, math.inf)])  # and samples that fill no hop

    def _give(self, cuts: list[tuple[int, float]]) -> list[Piece]:
        """The pieces up to these hops, without those in which there is nothing; with each, seconds of pause there."""
        pieces, first = [], 0
        for cut, pause in cuts:
            rises = _rises(self.levels[first:cut])
            if rises:
                waveform = self.waveform[first * self.hop : cut * self.hop]
                pieces.append(Piece((self.given + first * self.hop) / self.sample_rate, waveform.copy(), self.pause))
            self.pause = pause if rises else math.inf
            first = cut
        self.past = np.concatenate([self.past, self.levels[:first]])[-self.max_hops :]
        self.waveform, self.levels = self.waveform[first * self.hop :], self.levels[first:]
        self.given += first * self.hop
        return pieces

    def _cuts(self) -> list[tuple[int, float]]:
        """Hops at which to cut now, and seconds of pause there; none if it is better to wait for more."""
        cuts = self._at_pauses(ended=self.live)
        if cuts or len(self.levels) < self.max_hops:
            return cuts
        runs = [(first, stop) for first, stop in self._pauses(SHORT_PAUSE) if first > 0 and stop < len(self.levels)]
        if runs:
            first, stop = max(runs, key=lambda run: run[1] - run[0])
            return [((first + stop) // 2, (stop - first) * HOP)]
        if len(self.levels) < self.limit_hops:
            return []
        half = len(self.levels) // 2
        return [(half + int(np.argmin(_smooth(self.levels, _hops(SHORT_PAUSE))[half:])), 0.0)]

    def _at_pauses(self, ended: bool) -> list[tuple[int, float]]:
        """Where to cut, and seconds of pause there. `ended`: a pause at the end of what there is need not be waited
        for; without it, speech may follow, or more of the pause. A long one is cut after its beginning in any case: it
        may last for hours, and what is put together with them is lost in them."""
        pauses = self._pauses(LIVE_PAUSE if self.live else PAUSE)
        if pauses and not ended:
            first, stop = pauses[-1]
            if first > 0 and stop == len(self.levels) and stop - first < 2 * _hops(EDGE):
                pauses.pop()
        return [(hop, (stop - first) * HOP) for first, stop in pauses for hop in self._cuts_of(first, stop)]

    def _cuts_of(self, first: int, stop: int) -> list[int]:
        """The hops at which a pause is cut: its middle, or, if it is long, `EDGE` from the speech on either side.

        Before the recording's first pause and after its last there may be no speech, and then nothing is cut off.
        """
        leading, trailing = first == 0, stop == len(self.levels)
        edge = _hops(EDGE)
        if stop - first < 2 * edge:
            return [] if leading or (trailing and not self.live) else [(first + stop) // 2]
        after_speech = [] if leading else [first + edge]
        before_speech = [] if trailing and not leading else [stop - edge]
        return after_speech + before_speech

    def _pauses(self, seconds: float) -> list[tuple[int, int]]:
        """The pauses of at least `seconds`: first hop, and the one after the last."""
        if not len(self.levels):
            return []
        levels = _smooth(np.concatenate([self.past, self.levels]), SMOOTH)
        recent = np.sort(levels[-max(self.max_hops, len(self.levels)) :])
        loud = recent[max(0, len(recent) - _hops(LOUD))]
        quiet = max(recent[int(QUIET * len(recent))], loud - DEPTH)
        threshold = quiet + THRESHOLD * (loud - quiet) if loud - quiet >= CONTRAST else SILENCE
        low = levels[len(self.past) :] < max(threshold, SILENCE)
        edges = np.flatnonzero(np.diff(low, prepend=False, append=False))
        runs = edges.reshape(-1, 2)
        return [(int(first), int(stop)) for first, stop in runs if stop - first >= _hops(seconds)]


def _rises(levels: np.ndarray) -> bool:
    """Whether anything rises above a steady noise or silence for longer than a click."""
    if not len(levels):
        return False
    levels = _smooth(levels, SMOOTH)
    return bool(np.count_nonzero(levels > max(np.quantile(levels, QUIET) + CONTRAST, SILENCE)) >= _hops(CLICK))


def _hops(seconds: float) -> int:
    return round(seconds / HOP)


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Moving average (T,) -> (T,)."""
    if len(values) <= width:
        return np.full(len(values), values.mean()) if len(values) else values
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


# ---------------------------------------------------------------------------------------------------------- windows


def windows(num_samples: int, max_samples: int, overlap: int) -> list[tuple[int, int]]:
    """First sample and the one after the last of windows of up to `max_samples`; neighbours share `overlap`."""
    shift = max_samples - overlap
    count = max(1, -(-(num_samples - overlap) // shift))
    return [(i * shift, min(i * shift + max_samples, num_samples)) for i in range(count)]


def join(parts: list[Tensor], shift: int, blank: int) -> Tensor:
    """Log-probs of windows, each (T_i, V), that begin `shift` frames after each other -> (T, V) of the whole.

    Near its edge a window lacks context, so the change from one to the next is in the middle half of what they share,
    and there at the frame that both are surest to be blank: no token lies across it.
    """
    joined, first = [], 0
    for i, part in enumerate(parts[:-1]):
        shared = len(part) - shift
        both = part[shift:, blank] + parts[i + 1][:shared, blank]
        change = shared // 4 + int(both[shared // 4 : max(shared - shared // 4, shared // 4 + 1)].argmax())
        joined.append(part[first : shift + change])
        first = change
    return torch.cat([*joined, parts[-1][first:]])
