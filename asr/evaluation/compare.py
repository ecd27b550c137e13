"""Two systems or more on the same references."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from asr.errors import DataError
from asr.evaluation.evaluate import Evaluation, evaluate_pairs
from asr.evaluation.report import Table
from asr.evaluation.significance import MatchedPairs, PairedBootstrap, grouped, holm, mapsswe, paired_bootstrap
from asr.evaluation.transcripts import detect_format, pair_transcripts, read_transcripts
from asr.evaluation.transcripts.json_rows import has_both
from asr.evaluation.writing import hint
from asr.text.normalise import normalise_what_can_be

SIGNIFICANT = 0.05
FEWEST_UNITS = 5  # of the bootstrap, below which its interval means nothing
FEWEST_SEGMENTS = 30  # of the matched pairs, whose z is normal for many only


@dataclass(frozen=True)
class Difference:
    """How likely the difference between two of the systems is to be chance."""

    a: str  # their letters
    b: str
    units: int  # what the bootstrap drew
    unit: str  # "speakers" or "utterances"
    bootstrap: PairedBootstrap
    matched_pairs: MatchedPairs
    p: float  # of the matched pairs, adjusted for the number of pairs of systems

    def verdict(self) -> str:
        """A plain sentence."""
        if self.units < FEWEST_UNITS or self.matched_pairs.segments < FEWEST_SEGMENTS:
            return (
                f"Too little to tell: {self.units} {self.unit} and {self.matched_pairs.segments} segments with errors; "
                f"{FEWEST_UNITS} and {FEWEST_SEGMENTS} are the least."
            )
        if self.p >= SIGNIFICANT or not self.bootstrap.difference:
            return "The difference may well be chance."
        better = self.b if self.bootstrap.difference > 0 else self.a
        if self.bootstrap.interval.low <= 0 <= self.bootstrap.interval.high:
            return f"{better} seems better, but other {self.unit} might say otherwise: the two tests disagree."
        return f"{better} is better: the difference is hardly chance."

    def describe(self) -> str:
        test, drawn = self.matched_pairs, self.bootstrap
        adjusted = "" if self.p == test.p else f", adjusted for all pairs {_probability(self.p)}"
        return (
            f"{self.a} - {self.b}: {drawn.difference:+.2%} absolute, 95 % interval {drawn.interval.describe()}, "
            f"{self.b} better in {drawn.probability:.1%} of the replications (bootstrap over {self.units} "
            f"{self.unit})\n"
            f"  matched pairs: {test.segments} segments with errors, z = {test.z:.2f}, "
            f"{_probability(test.p)}{adjusted}\n"
            f"  {self.verdict()}"
        )


@dataclass(frozen=True)
class Comparison:
    """Systems, by letters from A in the order in which they were given, and each pair of them."""

    names: tuple[str, ...]  # of their files
    systems: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    hints: tuple[str, ...] = ()  # what the user may have overlooked

    @property
    def letters(self) -> list[str]:
        return letters(len(self.names))

    def table(self) -> Table:
        rows = [
            (
                letter,
                name,
                f"{system.words.rate:.2%}",
                system.intervals["wer"].describe(),
                *map(str, (system.words.substitutions, system.words.deletions, system.words.insertions)),
                str(system.words.reference_length),
            )
            for letter, name, system in zip(self.letters, self.names, self.systems, strict=True)
        ]
        unit = self.systems[0].interval_unit
        header = ("system", "hypotheses", "WER", "95 % interval", "sub", "del", "ins", "words")
        return Table("Systems", header, rows, f"intervals: bootstrap over {unit}", texts=(0, 1))

    def describe(self) -> str:
        """The figures of each, and plain sentences on each pair."""
        return "\n\n".join([self.table().text(), *(difference.describe() for difference in self.differences)])

    def to_dict(self) -> dict[str, Any]:
        """Figures for a JSON file."""
        systems = zip(self.letters, self.names, self.systems, strict=True)
        return {
            "systems": [{"system": a, "hypotheses": name, **system.to_dict()} for a, name, system in systems],
            "differences": [{**asdict(item), "verdict": item.verdict()} for item in self.differences],
        }


def _probability(p: float) -> str:
    return f"p = {p:.2g}" if p else "p < 1e-300"  # which has no number here


def letters(count: int) -> list[str]:
    """A to Z, then AA, AB and so on."""
    return [(ascii_uppercase[i // 26 - 1] if i >= 26 else "") + ascii_uppercase[i % 26] for i in range(count)]


def compare(files: Sequence[Path | str], references: Path | str | None = None, text_scheme: str = "none") -> Comparison:
    """The hypotheses of all files against the references, which by default stand in the first beside its hypotheses.

    Raises DataError where an utterance is missing somewhere, or the references are, or where a file has others.
    """
    first = files[0]
    if references is None and detect_format(first) != "jsonl":
        raise DataError(f"{first}: only JSONL holds references beside hypotheses: give the references (--references)")
    paired = [pair_transcripts(references or first, file, text_scheme=text_scheme) for file in files]
    if references is None:
        _check_same(first, files[1:], text_scheme)
    known = {pair.id: pair.speaker for pairs in reversed(paired) for pair in pairs if pair.speaker}
    systems = [
        evaluate_pairs([pair._replace(speaker=known.get(pair.id)) for pair in pairs], text_scheme) for pairs in paired
    ]
    return Comparison(
        tuple(map(str, files)), tuple(systems), tuple(_differences(systems)), tuple(_hints(files, systems, text_scheme))
    )


def _differences(systems: Sequence[Evaluation]) -> list[Difference]:
    names = letters(len(systems))
    unit = systems[0].interval_unit
    groups = systems[0].speakers if unit == "speakers" else systems[0].ids
    columns = [
        grouped(
            groups,
            [item.errors for item in system.by_utterance],
            [item.reference_length for item in system.by_utterance],
        )
        for system in systems
    ]
    pairs = list(combinations(range(len(systems)), 2))
    tests = [mapsswe(systems[i].alignments, systems[j].alignments) for i, j in pairs]
    return [
        Difference(
            names[i],
            names[j],
            len(columns[i][0]),
            unit,
            paired_bootstrap(columns[i][0], columns[j][0], columns[i][1], columns[j][1]),
            test,
            p,
        )
        for (i, j), test, p in zip(pairs, tests, holm([test.p for test in tests]), strict=True)
    ]


def _hints(files: Sequence[Path | str], systems: Sequence[Evaluation], text_scheme: str) -> list[str]:
    if text_scheme != "none":
        return []
    told = [hint(system.references, system.texts, system.words) for system in systems]
    return [f"{file}: {line}" for file, line in zip(files, told, strict=True) if line]


def _check_same(first: Path | str, files: Sequence[Path | str], text_scheme: str) -> None:
    """Raise DataError where a file's own references, if it has any, are not the first's."""
    write = partial(normalise_what_can_be, scheme=text_scheme)
    wanted = read_transcripts(first)
    for file in files:
        if detect_format(file) != "jsonl" or not has_both(Path(file)):
            continue
        others = read_transcripts(file)
        for name, text in wanted.items():
            other = others.get(name, text)
            if other != text and write(other) != write(text):
                raise DataError(
                    f"{name}: the references differ: {text!r} in {first}, {other!r} in {file}. Systems are compared on "
                    "the same references: score all with one set, or name it with --references"
                )
