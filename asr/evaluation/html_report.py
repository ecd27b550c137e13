"""An evaluation as one HTML file, which needs no network: figures, plots, tables, and every utterance to hear."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from asr.evaluation import plots
from asr.evaluation.evaluate import Evaluation
from asr.evaluation.page_sound import PageSound
from asr.evaluation.report import tables
from asr.evaluation.scoring import Alignment

TEMPLATE = "report.html"
"""Beside this file, as are those that it includes. Whatever is put into them is escaped."""

EMBED_MEGABYTES = 50
"""Sound that is embedded in one page, at most; what comes after is linked."""

ROWS_AT_FIRST = 100
"""Utterances shown when the page opens, and at each wish for more: to lay out ten thousand takes half a minute."""


@dataclass(frozen=True)
class _Row:
    """An utterance on the page."""

    id: str
    speaker: str
    duration: float  # seconds
    errors: int
    rate: float
    confidence: float
    alignment: Alignment
    sound: str  # for the audio element's src; empty without sound


def html_report(
    result: Evaluation, title: str, folder: Path, vocabulary: Collection[str] | None = None, embed_audio: bool = False
) -> str:
    """The page. folder: where it will stand, from which the sound files are linked unless embedded."""
    rate = "PER" if result.unit == "phone" else "WER"
    figures = [(rate, result.words.rate, "wer")]
    figures += [] if result.unit == "phone" else [("CER", result.character_error_rate, "cer")]
    figures += [("Sentences with errors", result.sentence_error_rate, "ser")]
    has = {
        "speaker": any(result.speakers),
        "seconds": bool(result.audio_seconds),
        "confidence": any(hypothesis.words for hypothesis in result.hypotheses),
    }
    groups = [plots.rates_of_durations(result)] if has["seconds"] else []
    groups += [plots.rates_of_speakers(result)] if has["speaker"] else []
    return render(
        TEMPLATE,
        title=title,
        rate=rate,
        figures=[(name, value, result.intervals[key].describe()) for name, value, key in figures],
        result=result,
        words=result.words.describe(result.unit + "s"),
        rate_plots=[plot for plot in groups if len(plot.groups) > 1],
        reliability=plots.reliability(result) if has["confidence"] else [],
        histogram=plots.histogram(result),
        tables=tables(result, vocabulary),
        utterances=list(_rows(result, folder, embed_audio)),
        rows_at_first=ROWS_AT_FIRST,
        has=has,
    )


def render(template: str, *, title: str, **values: Any) -> str:
    """A page. title: may name files, which need not be called anything in UTF-8; the page is UTF-8."""
    environment = Environment(
        loader=PackageLoader("asr", "evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = title.encode(errors="surrogateescape").decode(errors="replace")
    return environment.get_template(template).render(title=shown, **values)


def _rows(result: Evaluation, folder: Path, embed_audio: bool) -> Iterator[_Row]:
    """The worst first."""
    sound = PageSound(result.utterances, folder, EMBED_MEGABYTES * 1_000_000 if embed_audio else 0)
    for i in sorted(range(len(result.ids)), key=lambda i: (-result.by_utterance[i].errors, i)):
        utterance, errors = result.utterances[i], result.by_utterance[i]
        yield _Row(
            id=utterance.id,
            speaker=utterance.speaker or "",
            duration=utterance.duration,
            errors=errors.errors,
            rate=errors.rate,
            confidence=result.hypotheses[i].confidence,
            alignment=result.alignments[i],
            sound=sound.source(utterance),
        )
