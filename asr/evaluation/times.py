"""How far the times of words are off: beginnings and ends of the words that both sides have.

Words are aligned as text, and those that are equal have their times compared; substituted, deleted and inserted ones
have none to compare. An error is hypothesis minus reference: above 0 is late.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from asr.errors import DataError
from asr.evaluation.scoring import align_all
from asr.evaluation.transcripts.rows import unpaired
from asr.evaluation.transcripts.word_times import SpokenWord
from asr.text.normalise import normalise_what_can_be

TOLERANCES = (0.020, 0.050, 0.100)  # seconds
ROUNDING = 1e-6  # seconds, of times written in decimals


@dataclass(frozen=True)
class BoundaryErrors:
    """Errors of boundaries in seconds (N,)."""

    errors: np.ndarray

    @property
    def mean(self) -> float:
        """Of their absolute values; nan of none, as all here."""
        return float(np.abs(self.errors).mean()) if len(self.errors) else np.nan

    @property
    def median(self) -> float:
        """Of their absolute values."""
        return float(np.median(np.abs(self.errors))) if len(self.errors) else np.nan

    @property
    def bias(self) -> float:
        """Their mean with sign: above 0 the hypothesis is late."""
        return float(self.errors.mean()) if len(self.errors) else np.nan

    def within(self, tolerance: float) -> float:
        """The share of errors of at most so many seconds."""
        return float((np.abs(self.errors) <= tolerance + ROUNDING).mean()) if len(self.errors) else np.nan

    def to_dict(self) -> dict[str, float | int | None]:
        """Figures for a JSON file, in milliseconds; None of no boundaries."""
        if not len(self.errors):
            shares: dict[str, float | int | None] = {
                f"within_{tolerance * 1000:g}_ms": None for tolerance in TOLERANCES
            }
            return {"boundaries": 0, "mean_ms": None, "median_ms": None, "bias_ms": None, **shares}
        times = {"mean_ms": self.mean, "median_ms": self.median, "bias_ms": self.bias}
        return {
            "boundaries": len(self.errors),
            **{name: round(value * 1000, 3) for name, value in times.items()},
            **{f"within_{tolerance * 1000:g}_ms": round(self.within(tolerance), 6) for tolerance in TOLERANCES},
        }


@dataclass(frozen=True)
class TimeErrors:
    """The errors of all recordings."""

    starts: BoundaryErrors
    ends: BoundaryErrors
    compared: int  # words that both sides have
    reference_words: int
    hypothesis_words: int
    recordings: int

    @property
    def both(self) -> BoundaryErrors:
        """Beginnings and ends."""
        return BoundaryErrors(np.concatenate([self.starts.errors, self.ends.errors]))

    @property
    def _kinds(self) -> dict[str, BoundaryErrors]:
        return {"starts": self.starts, "ends": self.ends, "both": self.both}

    def describe(self) -> str:
        """A table of the errors of boundaries."""
        shares = [f"<= {tolerance * 1000:g} ms" for tolerance in TOLERANCES]
        rows = [f"{'ms':8}{'median':>9}{'mean':>9}{'bias':>9}{''.join(f'{share:>11}' for share in shares)}"]
        for name, found in self._kinds.items():
            values = f"{found.median * 1000:9.1f}{found.mean * 1000:9.1f}{found.bias * 1000:+9.1f}"
            rows.append(f"{name:8}{values}{''.join(f'{found.within(tolerance):11.1%}' for tolerance in TOLERANCES)}")
        told = f"{self.compared} of {self.reference_words} words compared, in {self.recordings} recordings"
        return "\n".join([told, *rows])

    def to_dict(self) -> dict[str, Any]:
        """Figures for a JSON file."""
        counts = {
            "compared_words": self.compared,
            "words": self.reference_words,
            "hypothesis_words": self.hypothesis_words,
            "recordings": self.recordings,
        }
        return {**counts, **{name: found.to_dict() for name, found in self._kinds.items()}}


def compare_times(
    references: Mapping[str, Sequence[SpokenWord]],
    hypotheses: Mapping[str, Sequence[SpokenWord]],
    text_scheme: str = "none",
) -> TimeErrors:
    """Words of recordings by their names, which are compared without case; of one each, whatever they are called.

    A word that the text scheme makes several of has its beginning and end only, one that it takes away nothing. Raises
    DataError where one side has recordings that the other lacks.
    """
    write = partial(normalise_what_can_be, scheme=text_scheme)
    pairs = [(_written(wanted, write), _written(found, write)) for wanted, found in _paired(references, hypotheses)]
    texts = [(" ".join(word.text for word in wanted), " ".join(word.text for word in found)) for wanted, found in pairs]
    alignments = align_all([wanted for wanted, _ in texts], [found for _, found in texts])
    starts: list[float] = []
    ends: list[float] = []
    compared = 0
    for (wanted, found), alignment in zip(pairs, alignments, strict=True):
        left, right = iter(wanted), iter(found)
        for one, other in alignment:
            reference = None if one is None else next(left)
            hypothesis = None if other is None else next(right)
            if reference is None or hypothesis is None or one != other:
                continue
            compared += 1
            if reference.start is not None and hypothesis.start is not None:
                starts.append(hypothesis.start - reference.start)
            if reference.end is not None and hypothesis.end is not None:
                ends.append(hypothesis.end - reference.end)
    return TimeErrors(
        BoundaryErrors(np.array(starts)),
        BoundaryErrors(np.array(ends)),
        compared,
        sum(len(wanted) for wanted, _ in pairs),
        sum(len(found) for _, found in pairs),
        len(pairs),
    )


def _written(words: Sequence[SpokenWord], write: Callable[[str], str]) -> list[SpokenWord]:
    """The words in a text scheme: nobody knows where one ends that was written together with the next."""
    found = []
    for word in words:
        parts = write(word.text).split()
        for i, part in enumerate(parts):
            start = word.start if i == 0 else None
            found.append(SpokenWord(part, start, word.end if i == len(parts) - 1 else None))
    return found


def _paired(
    references: Mapping[str, Sequence[SpokenWord]], hypotheses: Mapping[str, Sequence[SpokenWord]]
) -> list[tuple[Sequence[SpokenWord], Sequence[SpokenWord]]]:
    if len(references) == len(hypotheses) == 1:
        return list(zip(references.values(), hypotheses.values(), strict=True))
    if problems := unpaired(list(references), list(hypotheses), key=str.casefold):
        raise DataError(f"recordings {problems}. Each must be in both")
    by_name = {name.casefold(): words for name, words in hypotheses.items()}
    return [(words, by_name[name.casefold()]) for name, words in references.items()]
