"""What the plots of an evaluation show: rates of groups with intervals, confidences, errors of the utterances."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

from asr.evaluation.calibration import BINS, bins, judged
from asr.evaluation.evaluate import Evaluation
from asr.evaluation.report import DURATION_NAMES, duration_classes, speaker_names
from asr.evaluation.scoring import ErrorCounts
from asr.evaluation.significance import Interval, rate_interval

SHOWN = 30  # groups in a plot: the worst
FEWEST_UNITS = 5  # that an interval is drawn from; of fewer the bootstrap's is far too narrow
REPLICATIONS = 1000  # of the bootstrap: enough for the eye
LARGEST_RATE = 2.0  # on an axis; what is beyond stands at its end
TICKS = 5  # on an axis, at most, beside 0


@dataclass(frozen=True)
class GroupRate:
    """The error rate of some of the utterances."""

    name: str
    rate: float
    interval: Interval | None
    utterances: int


@dataclass(frozen=True)
class RatePlot:
    """Error rates of groups, side by side."""

    title: str
    groups: list[GroupRate]
    note: str

    @cached_property
    def ticks(self) -> list[float]:
        """From 0 to the axis' end, at round rates."""
        rates = [group.interval.high if group.interval else group.rate for group in self.groups]
        return axis(min(LARGEST_RATE, max(*rates, *(group.rate for group in self.groups))))

    def place(self, rate: float) -> float:
        """On the axis, 0 to 1."""
        return min(1.0, rate / self.ticks[-1])


@dataclass(frozen=True)
class Reliability:
    """Words with about the same confidence."""

    name: str
    confidence: float  # mean
    right: float  # share
    words: int


@dataclass(frozen=True)
class Bar:
    """Utterances with about the same error rate."""

    name: str
    utterances: int


def axis(largest: float) -> list[float]:
    """0 and up to TICKS multiples of 1, 2 or 5 times a power of ten, the last at the largest value or above it."""
    power = 10.0 ** math.floor(math.log10(max(largest, 0.001) / TICKS))
    # A value at a tick is not beyond it, whatever the division's rounding.
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if largest <= step * TICKS * (1 + 1e-9))
    return [round(i * step, 6) for i in range(max(1, math.ceil(largest / step - 1e-9)) + 1)]


def rates_of_durations(result: Evaluation) -> RatePlot:
    """By the table's classes, the shortest first. The intervals are drawn as those of the whole set are."""
    classes = duration_classes(result)
    units: Sequence[Hashable] = result.speakers if result.interval_unit == "speakers" else range(len(classes))
    found = _rates(result, [DURATION_NAMES[place] for place in classes], units)
    note = f"bootstrap over {result.interval_unit}, where there are {FEWEST_UNITS} or more"
    return RatePlot("by duration", sorted(found, key=lambda group: DURATION_NAMES.index(group.name)), note)


def rates_of_speakers(result: Evaluation) -> RatePlot:
    """The worst first, and no more than SHOWN."""
    names = speaker_names(result)
    rates = {name: sum((e for _, e in counts), ErrorCounts()).rate for name, counts in _split(result, names).items()}
    worst = sorted(rates, key=lambda name: -rates[name])[:SHOWN]
    found = _rates(result, names, range(len(names)), worst)
    more = f". The worst {len(worst)}; {len(rates) - len(worst)} more are in the table" if len(rates) > SHOWN else ""
    return RatePlot("by speaker", found, f"bootstrap over utterances, where there are {FEWEST_UNITS} or more{more}")


def _rates(
    result: Evaluation, names: Sequence[str], units: Sequence[Hashable], wanted: Sequence[str] | None = None
) -> list[GroupRate]:
    """Of all groups, or of those wanted. names: each utterance's group; units: what the bootstrap draws within one."""
    found = []
    members = _split(result, names)
    for name in members if wanted is None else wanted:
        counts: dict[Hashable, ErrorCounts] = defaultdict(ErrorCounts)
        for place, errors in members[name]:
            counts[units[place]] += errors
        total = sum(counts.values(), ErrorCounts())
        found.append(GroupRate(name, total.rate, _interval(list(counts.values())), len(members[name])))
    return found


def _split(result: Evaluation, names: Sequence[str]) -> dict[str, list[tuple[int, ErrorCounts]]]:
    """Places and errors of each group's utterances."""
    members: dict[str, list[tuple[int, ErrorCounts]]] = defaultdict(list)
    for place, (name, errors) in enumerate(zip(names, result.by_utterance, strict=True)):
        members[name].append((place, errors))
    return members


def _interval(counts: Sequence[ErrorCounts]) -> Interval | None:
    import numpy as np

    if len(counts) < FEWEST_UNITS:
        return None
    errors, lengths = np.array([(c.errors, c.reference_length) for c in counts], float).T
    return rate_interval(errors, lengths, replications=REPLICATIONS)


def reliability(result: Evaluation) -> list[Reliability]:
    """By tenths of confidence."""
    return [
        Reliability(f"{low:.1f}-{low + 1 / BINS:.1f}", mean, share, count)
        for low, mean, share, count in bins(*judged(result.alignments, result.hypotheses))
    ]


def histogram(result: Evaluation) -> list[Bar]:
    """Utterances without errors, then by tenths of the error rate, a tenth's end belonging to it."""
    # In whole numbers: 3 errors of 10 words are 30 %, which 3 / 10 in floating point need not be.
    places = Counter(
        11 if e.errors > e.reference_length else -(-10 * e.errors // max(e.reference_length, 1))
        for e in result.by_utterance
    )
    names = ["0", *(f"{10 * i}" for i in range(1, 11)), ">100"]
    return [Bar(name, places[place]) for place, name in enumerate(names)]
