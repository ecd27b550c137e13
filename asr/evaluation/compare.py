"""Two systems on the same references."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import DataError
from asr.evaluation.scoring import ErrorCounts, align_all, count_alignment
from asr.evaluation.significance import MatchedPairs, PairedBootstrap, grouped, mapsswe, paired_bootstrap
from asr.evaluation.transcripts import detect_format, pair_transcripts, read_transcripts
from asr.evaluation.writing import hint
from asr.text.normalise import normalise

SIGNIFICANT = 0.05
FEWEST_UNITS = 5  # of the bootstrap, below which its interval means nothing
FEWEST_SEGMENTS = 30  # of the matched pairs, whose z is normal for many only


@dataclass(frozen=True)
class Comparison:
    """Errors of both systems, and how likely their difference is to be chance."""

    a: ErrorCounts
    b: ErrorCounts
    units: int  # what the bootstrap drew
    unit: str  # "speakers" or "utterances"
    bootstrap: PairedBootstrap
    matched_pairs: MatchedPairs
    hints: tuple[str, ...] = ()  # what the user may have overlooked

    def describe(self) -> str:
        """The figures, and a plain sentence."""
        test, drawn = self.matched_pairs, self.bootstrap
        return "\n".join(
            [
                f"A: WER {self.a.describe('words')}",
                f"B: WER {self.b.describe('words')}",
                f"A - B: {drawn.difference:+.2%} absolute, 95 % interval {drawn.interval.describe()}, B better in "
                f"{drawn.probability:.1%} of the replications (bootstrap over {self.units} {self.unit})",
                f"matched pairs: {test.segments} segments with errors, z = {test.z:.2f}, p = {test.p:.2g}",
                self.verdict(),
            ]
        )

    def verdict(self) -> str:
        if self.units < FEWEST_UNITS or self.matched_pairs.segments < FEWEST_SEGMENTS:
            return (
                f"Too little to tell: {self.units} {self.unit} and {self.matched_pairs.segments} segments with errors; "
                f"{FEWEST_UNITS} and {FEWEST_SEGMENTS} are the least."
            )
        if self.matched_pairs.p >= SIGNIFICANT or not self.bootstrap.difference:
            return "The difference may well be chance."
        better = "B" if self.bootstrap.difference > 0 else "A"
        if self.bootstrap.interval.low <= 0 <= self.bootstrap.interval.high:
            return f"{better} seems better, but other {self.unit} might say otherwise: the two tests disagree."
        return f"{better} is better: the difference is hardly chance."


def compare(
    a: Path | str, b: Path | str, references: Path | str | None = None, text_scheme: str = "none"
) -> Comparison:
    """The hypotheses of files A and B against the references, which by default stand in A beside its hypotheses.

    Raises DataError where an utterance is missing somewhere, or the references are, or where B has others than A.
    """
    if references is None and detect_format(a) != "jsonl":
        raise DataError(f"{a}: only JSONL holds references beside hypotheses: give the references (--references)")
    pairs = [pair_transcripts(references or a, hypotheses, text_scheme=text_scheme) for hypotheses in (a, b)]
    if references is None and detect_format(b) == "jsonl":
        _check_same(a, b, text_scheme)
    wanted = [pair.reference for pair in pairs[0]]
    hypotheses = [[pair.hypothesis for pair in of_one] for of_one in pairs]
    counts = [[count_alignment(item) for item in align_all(wanted, texts)] for texts in hypotheses]
    totals = [sum(of_one, ErrorCounts()) for of_one in counts]
    hints = [
        f"{path}: {told}"
        for path, texts, total in zip((a, b), hypotheses, totals, strict=True)
        if text_scheme == "none" and (told := hint(wanted, texts, total))
    ]
    speakers = _speakers(a)
    groups = [speakers.get(pair.id, pair.id) for pair in pairs[0]]
    errors_a, errors_b, lengths = grouped(
        groups,
        [item.errors for item in counts[0]],
        [item.errors for item in counts[1]],
        [item.reference_length for item in counts[0]],
    )
    return Comparison(
        totals[0],
        totals[1],
        len(lengths),
        "speakers" if speakers else "utterances",
        paired_bootstrap(errors_a, errors_b, lengths),
        mapsswe(wanted, *hypotheses),
        tuple(hints),
    )


def _check_same(a: Path | str, b: Path | str, text_scheme: str) -> None:
    """Raise DataError where B's own references, if it has any, are not A's."""
    rows_of_b = _rows(b)
    if not all("text" in row and "pred_text" in row for row in rows_of_b):
        return
    others = read_transcripts(b)
    for name, text in read_transcripts(a).items():
        other = others.get(name, text)
        if normalise(other, text_scheme) != normalise(text, text_scheme):
            raise DataError(
                f"{name}: the references differ: {text!r} in {a}, {other!r} in {b}. Systems are compared on the same "
                "references: score both with one set, or name it with --references"
            )


def _speakers(path: Path | str) -> dict[str, str]:
    """Speaker by utterance, where JSONL tells; empty where it does not for each."""
    if detect_format(path) != "jsonl":
        return {}
    rows = _rows(path)
    if not all(row.get("speaker") and "id" in row for row in rows):
        return {}
    return {str(row["id"]): str(row["speaker"]) for row in rows}


def _rows(path: Path | str) -> list[dict[str, Any]]:
    """Of JSONL that has been read as transcripts already."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
