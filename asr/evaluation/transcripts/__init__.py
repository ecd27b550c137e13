"""Transcripts in the formats that people have them in, and the pairing of references with hypotheses.

text      a transcript on each line; the n-th line of one file belongs to the n-th of the other
kaldi     `id words`, a space or a tab between; so does `asr transcribe` print
trn       `words (id)`, as sclite reads: may have alternatives, {a / b / @}, and optional words, (uh)
stm       `file channel speaker begin end <labels> words`, sclite's segments
ctm       `file channel begin duration word`; against an STM aligned by time
jsonl     an object on each line: id (else audio_filepath, with offset), text; hypotheses in pred_text or text
whisper   one JSON object with the text of a recording, as whisper and `asr transcribe` write it
table     CSV or TSV with a header line that names the columns
subtitles SRT or WebVTT: the text of a recording
folder    a folder of such files or of .txt, one for each recording

A new format is one file with a reader and a test for its looks, and one line in FORMATS and `detect_format`.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from asr.errors import DataError
from asr.evaluation.transcripts.alternatives import best_readings, chain, has_alternatives, lattice
from asr.evaluation.transcripts.json_rows import is_whisper, read_jsonl, read_whisper
from asr.evaluation.transcripts.plain import is_kaldi, read_kaldi, read_plain
from asr.evaluation.transcripts.rows import Row, lines_of, listed, unpaired
from asr.evaluation.transcripts.subtitles import is_subtitles, read_subtitles
from asr.evaluation.transcripts.table import is_table, read_table
from asr.evaluation.transcripts.timed import (
    is_ctm,
    is_stm,
    read_ctm,
    read_segments,
    read_stm,
    read_words,
    words_of_segments,
)
from asr.evaluation.transcripts.trn import is_comment, is_trn, read_trn
from asr.text.normalise import normalise_what_can_be


class Pair(NamedTuple):
    """A reference and the hypothesis for the same utterance."""

    id: str
    reference: str
    hypothesis: str
    speaker: str | None = None
    duration: float = 0.0  # seconds; 0 where it is not told


def read_folder(path: Path, hypotheses: bool) -> Iterator[Row]:
    """The text of each file, whose name without its ending is the id. Raises DataError."""
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in OF_RECORDINGS and file.is_file())
    if not files:
        raise DataError(f"{path}: no transcripts in this folder; wanted files ending in {', '.join(OF_RECORDINGS)}")
    for number, file in enumerate(files, start=1):
        text = " ".join(row.text for row in OF_RECORDINGS[file.suffix.lower()](file, hypotheses))
        yield Row(number, file.stem, " ".join(text.split()))


Reader = Callable[[Path, bool], Iterator[Row]]
"""A path, and whether it holds hypotheses -> its transcripts. Raises DataError."""

OF_RECORDINGS: dict[str, Reader] = {
    ".txt": read_plain,
    ".json": read_whisper,
    ".srt": read_subtitles,
    ".vtt": read_subtitles,
}

FORMATS: dict[str, Reader] = {
    "text": read_plain,
    "kaldi": read_kaldi,
    "trn": read_trn,
    "stm": read_stm,
    "ctm": read_ctm,
    "jsonl": read_jsonl,
    "whisper": read_whisper,
    "table": read_table,
    "subtitles": read_subtitles,
    "folder": read_folder,
}

ENDINGS = {
    ".trn": "trn", ".stm": "stm", ".ctm": "ctm", ".jsonl": "jsonl", ".csv": "table", ".srt": "subtitles",
    ".vtt": "subtitles",
}  # fmt: skip

WITH_ALTERNATIVES = {"trn", "stm", "ctm"}
WHOLE = {"whisper", "subtitles", "table"}  # that may hold one transcript, of a recording


def detect_format(path: Path | str) -> str:
    """The format of transcripts by the ending, else by what they look like. Raises DataError."""
    path = Path(path)
    if path.is_dir():
        return "folder"
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    lines = [line for line in lines_of(path) if line.strip()]
    if path.suffix.lower() == ".json" or (lines and lines[0].lstrip().startswith("{")):
        if is_whisper(path):
            return "whisper"
        if path.suffix.lower() == ".json" or all(line.lstrip().startswith("{") for line in lines):
            return "jsonl"
    said = [line for line in lines if not is_comment(line)]
    looks = (
        ("subtitles", is_subtitles(lines)),
        ("trn", is_trn(lines)),
        ("stm", is_stm(said)),
        ("ctm", is_ctm(said)),
        ("table", bool(lines) and is_table(lines[0])),
        ("kaldi", is_kaldi(lines)),
    )
    return next((name for name, so in looks if so), "text")


def read_transcripts(path: Path | str, format: str | None = None, *, hypotheses: bool = False) -> dict[str, str]:
    """Transcripts by id, in the file's order; of plain text the ids are line numbers, from "1".

    format, hypotheses, errors: as of `read_rows`.
    """
    return {name: row.text for name, row in read_rows(path, format, hypotheses=hypotheses).items()}


def read_rows(path: Path | str, format: str | None = None, *, hypotheses: bool = False) -> dict[str, Row]:
    """The same, with what else is told of each.

    format: one of FORMATS instead of the detected one. hypotheses: read pred_text of JSONL where it is. Raises
    DataError for files that cannot be read, rows of another shape and ids that occur twice, with their lines.
    """
    path = Path(path)
    format = format or detect_format(path)
    if format not in FORMATS:
        raise DataError(f"format: found {format!r}, wanted one of {', '.join(FORMATS)}")
    if path.is_dir() != (format == "folder"):
        raise DataError(f"{path}: is {'a folder' if path.is_dir() else 'no folder'}; read as {format}")
    found: dict[str, Row] = {}
    twice = []
    for row in FORMATS[format](path, hypotheses):
        if row.id in found:
            twice.append(f"{row.id} (lines {found[row.id].number} and {row.number})")
        found[row.id] = row
    if twice:
        raise DataError(f"{path}: ids that occur twice: {listed(twice)}. Each utterance has one line; read as {format}")
    if not found:
        raise DataError(f"{path}: no transcripts in it; read as {format}")
    return found


def pair_transcripts(
    references: Path | str,
    hypotheses: Path | str,
    reference_format: str | None = None,
    hypothesis_format: str | None = None,
    text_scheme: str = "none",
) -> list[Pair]:
    """References with their hypotheses in a text scheme, in the order of the references.

    They belong together by id, without regard to case, a CTM's words and an STM's segments by time, plain text line by
    line, and of one recording each the one to the other. Of alternatives the readings are taken that fit each other
    best. Raises DataError where one file has utterances that the other lacks.
    """
    formats = (reference_format or detect_format(references), hypothesis_format or detect_format(hypotheses))
    write = partial(normalise_what_can_be, scheme=text_scheme)
    if formats == ("stm", "ctm"):
        segments = words_of_segments(read_segments(Path(references)), read_words(Path(hypotheses)))
        pairs = [
            Pair(segment.id, segment.text, text, segment.speaker, segment.end - segment.begin)
            for segment, text in segments
        ]
    else:
        pairs = _paired(references, hypotheses, formats)
    return [
        pair._replace(reference=reference, hypothesis=hypothesis)
        for pair in pairs
        for reference, hypothesis in [_readings((pair.reference, pair.hypothesis), formats, write)]
    ]


def _readings(texts: tuple[str, str], formats: tuple[str, str], write: Callable[[str], str]) -> tuple[str, str]:
    """The reference and the hypothesis as they are compared."""
    several = [
        format in WITH_ALTERNATIVES and has_alternatives(text) for text, format in zip(texts, formats, strict=True)
    ]
    if not any(several):
        return write(texts[0]), write(texts[1])
    wanted, found = ((lattice if so else chain)(text, write) for text, so in zip(texts, several, strict=True))
    return best_readings(wanted, found)


def _paired(references: Path | str, hypotheses: Path | str, formats: tuple[str, str]) -> list[Pair]:
    wanted = read_rows(references, formats[0])
    found = read_rows(hypotheses, formats[1], hypotheses=True)
    both = f"{references} (read as {formats[0]}) and {hypotheses} (read as {formats[1]})"
    whole = [
        " ".join(row.text for row in rows.values())
        for rows, format in zip((wanted, found), formats, strict=True)
        if format == "text" or len(rows) == 1
    ]
    if WHOLE & {*formats} and len(whole) == 2:  # of one recording, whatever they call it
        return [Pair(Path(references).stem, whole[0], whole[1])]
    if formats.count("text") == 1:
        raise DataError(
            f"{both}: only one of them has ids. Give both as plain text or both with ids; or name the formats"
        )
    if formats == ("text", "text") and len(wanted) != len(found):
        raise DataError(
            f"{both}: {len(wanted)} lines and {len(found)} lines. They are paired line by line: an utterance without "
            "words is an empty line"
        )
    found = _renamed(found, wanted)
    if problems := unpaired(list(wanted), list(found)):
        raise DataError(f"{both}: {problems}. Each id must be in both; an utterance without words has its id alone")
    # Of what is told of an utterance on either side, the reference's goes before.
    return [
        Pair(name, row.text, other.text, row.speaker or other.speaker, row.duration or other.duration)
        for name, row in wanted.items()
        for other in [found[name]]
    ]


def _renamed(found: dict[str, Row], wanted: Collection[str]) -> dict[str, Row]:
    """With the ids of `wanted` that differ in case alone, where that is clear."""
    by_case: dict[str, list[str]] = {}
    for name in wanted:
        by_case.setdefault(name.casefold(), []).append(name)
    cases = [name.casefold() for name in found]
    clear = len(set(cases)) == len(cases)

    def rename(name: str) -> str:
        others = by_case.get(name.casefold(), [])
        return others[0] if clear and name not in wanted and len(others) == 1 else name

    return {rename(name): row for name, row in found.items()}
