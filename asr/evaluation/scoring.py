"""Word and character error rates: aligned by jiwer, counted over a corpus, and only then divided.

What is decided here. Texts are compared as they stand, case and punctuation included: normalise first. White space
only separates words. Characters include the single spaces between words, as in jiwer. An empty reference counts every
word of its hypothesis as an insertion and adds nothing to the reference's length. A rate over no reference words at
all is 0 without errors and infinite with them (jiwer gives the number of insertions).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jiwer import AlignmentChunk, CharacterOutput, WordOutput

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
    """The errors of all pairs together. 100,000 pairs take a few seconds.

    The total is the smallest possible; how it falls into kinds is one choice among equals. Raises ValueError where
    there are not as many hypotheses as references.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references and {len(hypotheses)} hypotheses: wanted a pair of each")
    if not references:
        return ErrorCounts()
    found = _process(references, hypotheses, unit)
    return ErrorCounts(found.hits, found.substitutions, found.deletions, found.insertions)


def distances(references: Sequence[str], hypotheses: Sequence[str]) -> np.ndarray:
    """(N,) the fewest errors of characters in each pair, white space being single spaces; in a fraction of the time."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    wanted, found = ([" ".join(text.split()) for text in texts] for texts in (references, hypotheses))
    return np.asarray(cpdist(wanted, found, scorer=Levenshtein.distance), np.int64)


Alignment = list[tuple[str | None, str | None]]
"""(reference, hypothesis) word by word: equal words are hits, different ones substitutions; None stands for the
reference at an insertion and for the hypothesis at a deletion."""


def align(reference: str, hypothesis: str, unit: Unit = "word") -> Alignment:
    """The words of both, side by side in their order."""
    return align_all([reference], [hypothesis], unit)[0]


def align_all(references: Sequence[str], hypotheses: Sequence[str], unit: Unit = "word") -> list[Alignment]:
    """The alignment of each pair. Raises ValueError where there are not as many hypotheses as references."""
    if not references:
        return []
    found = _process(references, hypotheses, unit)
    return [
        _pairs(wanted, hypothesis, chunks)
        for wanted, hypothesis, chunks in zip(found.references, found.hypotheses, found.alignments, strict=True)
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


def _process(references: Sequence[str], hypotheses: Sequence[str], unit: Unit) -> "WordOutput | CharacterOutput":
    import jiwer

    if unit not in ("word", "character"):
        raise ValueError(f"unit: found {unit!r}, wanted word or character")
    # jiwer's default for words knows the space alone and no tab, no line break: white space is made one space first.
    split = jiwer.ReduceToListOfListOfWords() if unit == "word" else jiwer.ReduceToListOfListOfChars()
    wanted, hypothesised = ([" ".join(text.split()) for text in texts] for texts in (references, hypotheses))
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    return process(wanted, hypothesised, split, split)
