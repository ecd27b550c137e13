"""A comparison of systems as one HTML file, which needs no network."""

from dataclasses import dataclass

from asr.evaluation.compare import Comparison
from asr.evaluation.html_report import ROWS_AT_FIRST, render
from asr.evaluation.plots import GroupRate, RatePlot
from asr.evaluation.report import Table, by_speaker
from asr.evaluation.scoring import Alignment


@dataclass(frozen=True)
class _Row:
    """An utterance that not all systems have alike."""

    id: str
    speaker: str
    errors: list[int]  # of each system
    alignments: list[Alignment]


def compare_page(comparison: Comparison) -> str:
    """The page: rates with intervals, speakers, tests of each pair, and each utterance that systems have otherwise."""
    systems = comparison.systems
    groups = [
        GroupRate(f"{letter} {name}", system.words.rate, system.intervals["wer"], len(system.ids))
        for letter, name, system in zip(comparison.letters, comparison.names, systems, strict=True)
    ]
    return render(
        "compare.html",
        title=" and ".join(comparison.names),
        rate="WER",
        comparison=comparison,
        plot=RatePlot("of each system", groups, f"bootstrap over {systems[0].interval_unit}"),
        tables=[comparison.table(), *([_speakers(comparison)] if any(systems[0].speakers) else [])],
        utterances=_rows(comparison),
        rows_at_first=ROWS_AT_FIRST,
    )


def _speakers(comparison: Comparison) -> Table:
    """WER of each speaker by each system, in the order of the first one's table."""
    rates = [{row[0]: row[1] for row in by_speaker(system).rows} for system in comparison.systems]
    header = ("speaker", *(f"{letter} WER" for letter in comparison.letters))
    return Table("By speaker", header, [(name, *(of_one[name] for of_one in rates)) for name in rates[0]])


def _rows(comparison: Comparison) -> list[_Row]:
    """Those in which the numbers of errors differ most go before."""
    systems = comparison.systems
    texts = [system.texts for system in systems]
    rows = [
        _Row(
            utterance.id,
            utterance.speaker or "",
            [system.by_utterance[i].errors for system in systems],
            [system.alignments[i] for system in systems],
        )
        for i, utterance in enumerate(systems[0].utterances)
        if len({found[i] for found in texts}) > 1
    ]
    return sorted(rows, key=lambda row: min(row.errors) - max(row.errors))
