"""Where an evaluation's errors are: by speaker and duration, the worst utterances, the words that are confused."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from asr.evaluation.calibration import BINS, bins, expected_calibration_error, judged, roc_auc
from asr.evaluation.evaluate import Evaluation
from asr.evaluation.scoring import Alignment, ErrorCounts

SHOWN = 20  # rows of a table that could be long
DURATIONS = (0, 2, 4, 8, 16)  # seconds; edges of the classes
DURATION_NAMES = (*(f"{low}-{high} s" for low, high in pairwise(DURATIONS)), f"{DURATIONS[-1]} s or more")


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; what is not in the columns of text, the first as a rule, is a figure."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    texts: tuple[int, ...] = (0,)  # columns

    def text(self) -> str:
        """Aligned columns."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [self.title]
        for row in (self.header, *self.rows):
            cells = (
                cell.ljust(width) if i in self.texts else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])


def tables(result: Evaluation, vocabulary: Collection[str] | None = None) -> list[Table]:
    """All tables. vocabulary: words that the model could have learnt, for the share of those that it could not."""
    found = [by_duration(result)] if result.audio_seconds else []
    if any(result.speakers):
        found.append(by_speaker(result))
    found += confusions(result.alignments)
    if any(hypothesis.words for hypothesis in result.hypotheses):
        found.append(calibration(result))
    if vocabulary is not None:
        found.append(out_of_vocabulary(result, vocabulary))
    return found


def by_duration(result: Evaluation) -> Table:
    classes, name = duration_classes(result), DURATION_NAMES.__getitem__
    return _by(result, "By duration", "duration", classes, name, sort_by_name=True)


def duration_classes(result: Evaluation) -> list[int]:
    """Of each utterance, its place in DURATION_NAMES."""
    return [int(np.searchsorted(DURATIONS, row.duration, side="right")) - 1 for row in result.utterances]


def by_speaker(result: Evaluation) -> Table:
    return _by(result, "By speaker", "speaker", speaker_names(result), str)


def speaker_names(result: Evaluation) -> list[str]:
    """Of each utterance."""
    return [speaker or "unknown" for speaker in result.speakers]


def _by(
    result: Evaluation,
    title: str,
    name: str,
    groups: Sequence[Any],
    shown: Callable[[Any], str],
    sort_by_name: bool = False,
) -> Table:
    counts: dict[Any, ErrorCounts] = defaultdict(ErrorCounts)
    sizes = Counter(groups)
    for group, errors in zip(groups, result.by_utterance, strict=True):
        counts[group] += errors
    order = sorted(counts) if sort_by_name else sorted(counts, key=lambda group: -counts[group].rate)
    rate = "PER" if result.unit == "phone" else "WER"
    return Table(
        title,
        (name, rate, "sub", "del", "ins", f"{result.unit}s", "utterances"),
        [
            (
                shown(group),
                f"{counts[group].rate:.2%}",
                str(counts[group].substitutions),
                str(counts[group].deletions),
                str(counts[group].insertions),
                str(counts[group].reference_length),
                str(sizes[group]),
            )
            for group in order
        ],
    )


def confusions(alignments: Sequence[Alignment]) -> list[Table]:
    """The most frequent substitutions, deletions and insertions."""
    pairs = Counter(pair for alignment in alignments for pair in alignment if pair[0] != pair[1])
    kinds: dict[str, Counter[str]] = {"Substitutions": Counter(), "Deletions": Counter(), "Insertions": Counter()}
    for (wanted, found), count in pairs.items():
        if found is None:
            kinds["Deletions"][str(wanted)] = count
        elif wanted is None:
            kinds["Insertions"][found] = count
        else:
            kinds["Substitutions"][f"{wanted} -> {found}"] = count
    return [
        Table(
            f"{kind}: the most frequent of {len(counter)}",
            ("words", "times"),
            [(words, str(count)) for words, count in counter.most_common(SHOWN)],
        )
        for kind, counter in kinds.items()
        if counter
    ]


def calibration(result: Evaluation) -> Table:
    """How often words are right at each confidence."""
    judgement = judged(result.alignments, result.hypotheses)
    rows: list[tuple[str, ...]] = [
        (f"{low:.1f}-{low + 1 / BINS:.1f}", f"{mean:.3f}", f"{share:.3f}", str(count))
        for low, mean, share, count in bins(*judgement)
    ]
    header = ("confidence", "mean confidence", "share that is right", "words found")
    gap, area = expected_calibration_error(*judgement), roc_auc(*judgement)
    note = f"expected calibration error {gap:.3f}; finding wrong words: area under the ROC curve {area:.3f}"
    return Table("Calibration", header, rows, note)


def out_of_vocabulary(result: Evaluation, vocabulary: Collection[str]) -> Table:
    """Reference words outside the vocabulary, which a model may not have met."""
    unknown = Counter(word for text in result.references for word in text.split() if word not in vocabulary)
    total = sum(len(text.split()) for text in result.references)
    share = unknown.total() / max(total, 1)
    return Table(
        f"Words outside the vocabulary: {share:.2%} of {total}",
        ("word", "times"),
        [(word, str(count)) for word, count in unknown.most_common(SHOWN)],
    )


def worst(result: Evaluation, count: int = SHOWN) -> list[int]:
    """Utterances with the most errors, worst first."""
    order = sorted(range(len(result.ids)), key=lambda i: (-result.by_utterance[i].errors, i))
    return [i for i in order[:count] if result.by_utterance[i].errors]


def side_by_side(alignment: Alignment) -> str:
    """Two lines, reference above hypothesis; *** where one has no word, errors in the other's lower case."""
    columns = []
    for wanted, found in alignment:
        above, below = wanted or "***", found or "***"
        if wanted != found:
            above, below = (text.lower() if text != "***" else text for text in (above, below))
        width = max(len(above), len(below))
        columns.append((above.ljust(width), below.ljust(width)))
    return "\n".join(" ".join(row).rstrip() for row in zip(*columns, strict=True)) if columns else ""


def details(result: Evaluation, vocabulary: Collection[str] | None = None) -> str:
    """The whole report as text."""
    parts = [table.text() for table in tables(result, vocabulary)]
    for i in worst(result):
        errors = result.by_utterance[i].describe(result.unit + "s")
        parts.append(f"{result.ids[i]}: {errors}\n{side_by_side(result.alignments[i])}")
    return "\n\n".join(parts)
