"""Word and character error rates: errors counted over a corpus, and only then divided.

What is decided here. Texts are compared as they stand, case and punctuation included: normalise first. White space
only separates words. Characters include the single spaces between words, as in jiwer. Errors are the fewest possible;
of the alignments that have so few, one with the most hits counts (so with the fewest substitutions), which gives
sclite's counts of each kind wherever sclite finds the fewest errors too. An empty reference counts every word of its
hypothesis as an insertion and adds nothing to the reference's length. A rate over no reference words at all is 0
without errors and infinite with them (jiwer gives the number of insertions).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from asr.evaluation.fewest_substitutions import align_with_most_hits

if TYPE_CHECKING:
    from jiwer import AlignmentChunk

Unit = Literal["word", "character"]


def rate(errors: int, length: int) -> float:
    """Errors over a reference's length; infinite where there are only errors."""
    if not length:
        return math.inf if errors else 0.0
    return errors / length


@dataclass(frozen=True)
class ErrorCounts:
    """What became of the reference's words (or characters, or phones). Counts of parts of a corpus add up."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def reference_length(self) -> int:
        """Words of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over reference words: 0.25 is 25 %; above 1 where there are many insertions."""
        return rate(self.errors, self.reference_length)

    def describe(self, units: str) -> str:
        """The rate with the counts behind it; `units` names what was counted."""
        return (
            f"{self.rate:.2%} ({self.substitutions} substitutions, {self.deletions} deletions, {self.insertions} "
            f"insertions of {self.reference_length} {units})"
        )

    def to_dict(self) -> dict[str, float | None]:
        """Figures for a JSON file, under the names that all of this project's reports use; an infinite rate is None."""
        return {
            "wer": finite(self.rate),
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "words": self.reference_length,
        }

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def finite(rate: float) -> float | None:
    """The rate, or None where it is infinite: JSON has no infinity."""
    return rate if math.isfinite(rate) else None


def count_errors(references: Sequence[str], hypotheses: Sequence[str], unit: Unit = "word") -> ErrorCounts:
    """The errors of all pairs together: 100,000 pairs take a second or two. Raises as `count_each`."""
    return ErrorCounts(*_counts(references, hypotheses, unit).sum(axis=0).tolist())


def count_each(references: Sequence[str], hypotheses: Sequence[str], unit: Unit = "word") -> list[ErrorCounts]:
    """The errors of each pair. Raises ValueError where there are not as many hypotheses as references."""
    return [ErrorCounts(*row) for row in _counts(references, hypotheses, unit).tolist()]


def _counts(references: Sequence[str], hypotheses: Sequence[str], unit: Unit) -> np.ndarray:
    """(N, 4) hits, substitutions, deletions and insertions.

    An error costs so much and a substitution one more, so that the smallest cost is that of the fewest errors and, of
    these, of the fewest substitutions. The lengths then tell the other kinds apart.
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    wanted, found = _units(references, unit), _units(hypotheses, unit)
    if len(wanted) != len(found):
        raise ValueError(f"{len(wanted)} references and {len(found)} hypotheses: wanted a pair of each")
    if not wanted:
        return np.zeros((0, 4), np.int64)
    lengths, others = (np.array([len(text) for text in texts], np.int64) for texts in (wanted, found))
    error = int(max(lengths.max(), others.max())) + 1  # more than all the substitutions
    pairs = (wanted, found) if unit == "character" else _coded(wanted, found)
    weights = {"weights": (error, error, error + 1)}
    costs = cpdist(*pairs, scorer=Levenshtein.distance, scorer_kwargs=weights, dtype=np.int64)
    errors, substitutions = np.divmod(np.asarray(costs, np.int64), error)
    deletions = (errors - substitutions + lengths - others) // 2
    insertions = errors - substitutions - deletions
    return np.stack([lengths - substitutions - deletions, substitutions, deletions, insertions], axis=1)


def distances(references: Sequence[str], hypotheses: Sequence[str]) -> np.ndarray:
    """(N,) the fewest errors of characters in each pair, white space being single spaces; faster than by kinds."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    pairs = _units(references, "character"), _units(hypotheses, "character")
    return np.asarray(cpdist(*pairs, scorer=Levenshtein.distance), np.int64)


def _units(texts: Sequence[str], unit: Unit) -> Sequence[Sequence[str]]:
    """Each text's words, or its characters with single spaces between the words."""
    if unit not in ("word", "character"):
        raise ValueError(f"unit: found {unit!r}, wanted word or character")
    words = [text.split() for text in texts]
    return words if unit == "word" else [" ".join(text) for text in words]


def _coded(*sides: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    """The same with a number for each unit: rapidfuzz compares hashes, and two words might share one."""
    numbers: dict[str, int] = {}
    return [[[numbers.setdefault(unit, len(numbers)) for unit in text] for text in texts] for texts in sides]


Alignment = list[tuple[str | None, str | None]]
"""(reference, hypothesis) word by word: equal words are hits, different ones substitutions; None stands for the
reference at an insertion and for the hypothesis at a deletion."""


def align(reference: str, hypothesis: str, unit: Unit = "word") -> Alignment:
    """The words of both, side by side in their order."""
    return align_all([reference], [hypothesis], unit)[0]


def align_all(references: Sequence[str], hypotheses: Sequence[str], unit: Unit = "word") -> list[Alignment]:
    """The alignment of each pair, with the errors of `count_each`. Raises as it does."""
    import jiwer

    counts = count_each(references, hypotheses, unit)
    if not counts:
        return []
    # jiwer's default for words knows the space alone and no tab, no line break: white space is made one space first.
    split = jiwer.ReduceToListOfListOfWords() if unit == "word" else jiwer.ReduceToListOfListOfChars()
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    left, right = ([" ".join(text.split()) for text in texts] for texts in (references, hypotheses))
    found = process(left, right, split, split)
    # jiwer's are of the fewest errors too, but of any kinds.
    return [
        alignment
        if count_alignment(alignment).hits == count.hits
        else align_with_most_hits(wanted, hypothesis, count.errors)
        for count, wanted, hypothesis, alignment in zip(
            counts,
            found.references,
            found.hypotheses,
            map(_pairs, found.references, found.hypotheses, found.alignments),
            strict=True,
        )
    ]


def _pairs(wanted: list[str], hypothesis: list[str], chunks: Sequence["AlignmentChunk"]) -> Alignment:
    pairs: Alignment = []
    for chunk in chunks:
        left = wanted[chunk.ref_start_idx : chunk.ref_end_idx]
        right = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        # Only one of the two can be empty, and else both are as long.
        length = max(len(left), len(right))
        nothing = [None] * length
        pairs += zip(left or nothing, right or nothing, strict=True)
    return pairs


def count_alignment(alignment: Alignment) -> ErrorCounts:
    """The errors of one alignment."""
    deletions = sum(hypothesis is None for _, hypothesis in alignment)
    insertions = sum(wanted is None for wanted, _ in alignment)
    hits = sum(wanted == hypothesis for wanted, hypothesis in alignment)
    return ErrorCounts(hits, len(alignment) - hits - deletions - insertions, deletions, insertions)
