"""Is it chance? Confidence intervals of error rates, and tests of whether two systems differ."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.evaluation.scoring import Alignment

REPLICATIONS = 10_000
ALIKE = 0.1  # kinds of units among them, below which kinds are drawn
DRAWS = 20_000_000  # random numbers held at a time


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of the bootstrap's replications."""

    low: float
    high: float

    def describe(self) -> str:
        return f"[{self.low:.2%}, {self.high:.2%}]"


def grouped(groups: Sequence[Hashable], *columns: Sequence[float]) -> list[np.ndarray]:
    """Each column summed within groups (speakers, say), float64 (G,)."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    places = np.array([number[group] for group in groups], np.int64)
    return [np.bincount(places, np.asarray(column, float), len(number)) for column in columns]


def resampled(*columns: np.ndarray, replications: int = REPLICATIONS, seed: int = 0) -> np.ndarray:
    """Sums of each column over as many units as there are, drawn with replacement: float64 (replications, columns).

    M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
    columns: (N,) each, one value a unit, which is what errors depend within: an utterance or, better, a speaker.
    """
    table = np.stack(columns, axis=1)
    rng = np.random.default_rng(seed)
    kinds, counts = np.unique(table, axis=0, return_counts=True)
    if len(kinds) < ALIKE * len(table):
        # Units that are alike need not be told apart: how often each kind is drawn is multinomial.
        drawn = rng.multinomial(len(table), counts / len(table), replications)
        return np.asarray(drawn @ kinds)
    step = max(1, DRAWS // len(table))
    sums = []
    for start in range(0, replications, step):
        count = min(step, replications - start)
        drawn = rng.integers(0, len(table), (count, len(table)), np.int32)
        sums.append(np.stack([column[drawn].sum(axis=1) for column in table.T], axis=1))
    return np.concatenate(sums)


def rate_interval(errors: np.ndarray, lengths: np.ndarray, *, replications: int = REPLICATIONS) -> Interval:
    """Of summed errors over summed reference lengths, both (N,), one value a unit."""
    if not len(errors):
        return Interval(0.0, 0.0)
    sums = resampled(errors, lengths, replications=replications)
    return _middle(sums[:, 0] / np.maximum(sums[:, 1], 1))


def _middle(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class PairedBootstrap:
    """How much better B is than A over the same references."""

    difference: float  # WER of A minus WER of B: positive where B is better
    interval: Interval  # of the difference
    probability: float  # share of replications in which B is better; ties count half


def paired_bootstrap(
    errors_a: np.ndarray,
    errors_b: np.ndarray,
    lengths_a: np.ndarray,
    lengths_b: np.ndarray,
    *,
    replications: int = REPLICATIONS,
) -> PairedBootstrap:
    """Bisani and Ney (2004), section 4: both systems on the same replications. All (N,), one value a unit.

    Lengths are the references'. They differ where a reference with alternatives is read as fits each system best.
    """

    def difference(sums: np.ndarray) -> np.ndarray:
        return np.asarray(sums[..., 0] / np.maximum(sums[..., 2], 1) - sums[..., 1] / np.maximum(sums[..., 3], 1))

    columns = errors_a, errors_b, lengths_a, lengths_b
    differences = difference(resampled(*columns, replications=replications))
    return PairedBootstrap(
        float(difference(np.stack(columns, axis=1).sum(axis=0))),
        _middle(differences),
        float((differences > 0).mean() + (differences == 0).mean() / 2),
    )


@dataclass(frozen=True)
class MatchedPairs:
    """The matched-pairs sentence-segment word error test (MAPSSWE)."""

    segments: int  # with an error of A or of B
    mean: float  # errors of A minus errors of B, a segment
    z: float
    p: float  # two-tailed: how likely such a difference, or a greater, is between equal systems


def mapsswe(alignments_a: Sequence[Alignment], alignments_b: Sequence[Alignment]) -> MatchedPairs:
    """L. Gillick and S. J. Cox, "Some statistical issues in the comparison of speech recognition algorithms", 1989.

    Utterances fall into segments between which both systems have two words or more right, so that errors in one have
    no part in the next; the difference of errors is averaged over the segments in which there are any. alignments: of
    the same utterances in the same order. One whose reference is read in two ways is one segment.
    """
    differences: list[int] = []
    for alignment_a, alignment_b in zip(alignments_a, alignments_b, strict=True):
        errors_a, errors_b = _errors_by_place(alignment_a), _errors_by_place(alignment_b)
        if _reference(alignment_a) != _reference(alignment_b):
            errors_a, errors_b = [sum(errors_a)], [sum(errors_b)]
        differences += _segment_differences(errors_a, errors_b)
    values = np.array(differences, float)
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    mean = float(values.mean()) if len(values) else 0.0
    if not deviation:
        return MatchedPairs(len(values), mean, 0.0 if not mean else math.copysign(math.inf, mean), 0.0 if mean else 1.0)
    z = float(mean / (deviation / math.sqrt(len(values))))
    return MatchedPairs(len(values), mean, z, math.erfc(abs(z) / math.sqrt(2)))


def holm(p: Sequence[float]) -> list[float]:
    """Each p for as many tests as these: S. Holm, "A simple sequentially rejective multiple test procedure", 1979."""
    adjusted, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = adjusted[place] = max(least, min(1.0, (len(p) - rank) * p[place]))
    return adjusted


def _reference(alignment: Alignment) -> list[str]:
    return [wanted for wanted, _ in alignment if wanted is not None]


def _errors_by_place(alignment: Alignment) -> list[int]:
    """(2N + 1,) for N reference words: errors before, at, after ... each: insertions in the gaps, others at words."""
    places = [0]
    for wanted, found in alignment:
        if wanted is None:
            places[-1] += 1
        else:
            places += [int(wanted != found), 0]
    return places


GOOD_WORDS = 2
"""So many words in a row that both have right part two segments, as in sc_stats."""


def _segment_differences(errors_a: Sequence[int], errors_b: Sequence[int]) -> list[int]:
    """For each segment with an error, errors of A minus errors of B."""
    found: list[int] = []
    a = b = good = 0
    for place, (in_a, in_b) in enumerate(zip(errors_a, errors_b, strict=True)):
        if in_a or in_b:
            a, b, good = a + in_a, b + in_b, 0
        elif place % 2:
            good += 1
            if good == GOOD_WORDS and (a or b):
                found.append(a - b)
                a = b = 0
    return [*found, a - b] if a or b else found
