"""Two systems on the same references."""

import json
from dataclasses import dataclass
from pathlib import Path

from asr.errors import DataError
from asr.evaluation.scoring import ErrorCounts, align_all, count_alignment
from asr.evaluation.significance import MatchedPairs, PairedBootstrap, grouped, mapsswe, paired_bootstrap
from asr.evaluation.transcripts import detect_format, pair_transcripts
from asr.text.normalise import normalise

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """Errors of both systems, and how likely their difference is to be chance."""

    a: ErrorCounts
    b: ErrorCounts
    units: int  # what the bootstrap drew
    unit: str  # "speakers" or "utterances"
    bootstrap: PairedBootstrap
    matched_pairs: MatchedPairs

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

    Raises DataError where an utterance is missing somewhere, or the references are.
    """
    if references is None and detect_format(a) != "jsonl":
        raise DataError(f"{a}: only JSONL holds references beside hypotheses: give the references (--references)")
    pairs = [pair_transcripts(references or a, hypotheses) for hypotheses in (a, b)]
    wanted = [normalise(pair.reference, text_scheme) for pair in pairs[0]]
    hypotheses = [[normalise(pair.hypothesis, text_scheme) for pair in of_one] for of_one in pairs]
    counts = [[count_alignment(item) for item in align_all(wanted, texts)] for texts in hypotheses]
    speakers = _speakers(a)
    groups = [speakers.get(pair.id, pair.id) for pair in pairs[0]]
    errors_a, errors_b, lengths = grouped(
        groups,
        [item.errors for item in counts[0]],
        [item.errors for item in counts[1]],
        [item.reference_length for item in counts[0]],
    )
    return Comparison(
        sum(counts[0], ErrorCounts()),
        sum(counts[1], ErrorCounts()),
        len(lengths),
        "speakers" if speakers else "utterances",
        paired_bootstrap(errors_a, errors_b, lengths),
        mapsswe(wanted, *hypotheses),
    )


def _speakers(path: Path | str) -> dict[str, str]:
    """Speaker by utterance, where JSONL tells; empty where it does not for each."""
    if detect_format(path) != "jsonl":
        return {}
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    if not all(isinstance(row, dict) and row.get("speaker") and "id" in row for row in rows):
        return {}
    return {str(row["id"]): str(row["speaker"]) for row in rows}
