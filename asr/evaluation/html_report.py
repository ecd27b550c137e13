"""An evaluation as one HTML file, which needs no network: figures, tables, and every utterance aligned and audible."""

import base64
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from asr.evaluation.evaluate import Evaluation
from asr.evaluation.report import tables
from asr.evaluation.scoring import Alignment

TEMPLATE = "report.html"
"""Beside this file. Whatever is put into it is escaped."""

EMBED_MEGABYTES = 50
"""Sound that is embedded in one page, at most; what comes after is linked."""


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
    sound: str | None  # the file itself in base64, or none: then it is linked
    path: str  # of the sound file, from the page's folder
    part: str  # of the file: "", or a media fragment


def html_report(
    result: Evaluation, title: str, folder: Path, vocabulary: Collection[str] | None = None, embed_audio: bool = False
) -> str:
    """The page. folder: where it will stand, from which the sound files are linked unless embedded."""
    rate = "PER" if result.unit == "phone" else "WER"
    figures = [(rate, result.words.rate, "wer")]
    figures += [] if result.unit == "phone" else [("CER", result.character_error_rate, "cer")]
    figures += [("Sentences with errors", result.sentence_error_rate, "ser")]
    environment = Environment(loader=PackageLoader("asr", "evaluation"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(TEMPLATE).render(
        title=title,
        rate=rate,
        figures=[(name, value, result.intervals[key].describe()) for name, value, key in figures],
        result=result,
        words=result.words.describe(result.unit + "s"),
        tables=tables(result, vocabulary),
        utterances=_rows(result, folder, embed_audio),
        has={
            "speaker": any(result.speakers),
            "seconds": bool(result.audio_seconds),
            "confidence": any(hypothesis.words for hypothesis in result.hypotheses),
            "sound": any(row.audio_filepath for row in result.utterances),
        },
    )


def _rows(result: Evaluation, folder: Path, embed_audio: bool) -> list[_Row]:
    """The worst first."""
    room = EMBED_MEGABYTES * 1_000_000 if embed_audio else 0
    rows = []
    for i in sorted(range(len(result.ids)), key=lambda i: (-result.by_utterance[i].errors, i)):
        utterance, errors = result.utterances[i], result.by_utterance[i]
        path = Path(utterance.audio_filepath)
        size = path.stat().st_size if room and utterance.audio_filepath else 0
        embedded = 0 < size <= room
        room -= size if embedded else 0
        end = utterance.offset + utterance.duration
        rows.append(
            _Row(
                id=utterance.id,
                speaker=utterance.speaker or "",
                duration=utterance.duration,
                errors=errors.errors,
                rate=min(errors.rate, 9.99),
                confidence=result.hypotheses[i].confidence,
                alignment=result.alignments[i],
                sound=base64.b64encode(path.read_bytes()).decode() if embedded else None,
                path=_from(folder, path) if utterance.audio_filepath else "",
                part=f"#t={utterance.offset:g},{end:g}" if utterance.offset else "",
            )
        )
    return rows


def _from(folder: Path, path: Path) -> str:
    """A file's path from a folder, as links have it."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
