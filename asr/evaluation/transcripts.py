"""Transcripts in the formats that scoring tools use, and the pairing of references with hypotheses.

text    a transcript on each line; the n-th line of one file belongs to the n-th of the other
kaldi   `id words`, a space or a tab between; so does `asr transcribe` print
trn     `words (id)`, as sclite reads; lines that begin with ;; are comments
jsonl   an object on each line: id (else audio_filepath, with offset), text; hypotheses in pred_text or text
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asr.errors import DataError

LISTED = 10  # ids or lines that one message lists; the others are counted


class Pair(NamedTuple):
    """A reference and the hypothesis for the same utterance."""

    id: str
    reference: str
    hypothesis: str


class Row(NamedTuple):
    """A transcript with its place in the file."""

    number: int
    id: str
    text: str


def detect_format(path: Path | str) -> str:
    """The format of a file of transcripts by its ending, else by what it holds. Raises DataError."""
    path = Path(path)
    by_ending = {".trn": "trn", ".jsonl": "jsonl", ".json": "jsonl"}
    if path.suffix.lower() in by_ending:
        return by_ending[path.suffix.lower()]
    lines = [line for line in _lines(path) if line.strip()]
    if lines and all(line.lstrip().startswith("{") for line in lines):
        return "jsonl"
    if lines and all(TRN.fullmatch(line) for line in lines if not line.startswith(";;")):
        return "trn"
    # Kaldi's files have no mark of their own: their first fields are ids, that is, all different and with a digit.
    first = [line.split("\t" if "\t" in line else None, 1)[0] for line in lines]
    tabs = all("\t" in line for line in lines)
    if lines and len(set(first)) == len(first) and (tabs or all(ID.search(word) for word in first)):
        return "kaldi"
    return "text"


def read_transcripts(path: Path | str, format: str | None = None, *, hypotheses: bool = False) -> dict[str, str]:
    """Transcripts by id, in the file's order; of plain text the ids are line numbers, from "1".

    format: one of FORMATS instead of the detected one. hypotheses: read pred_text of JSONL where it is. Raises
    DataError for files that cannot be read, rows of another shape and ids that occur twice, with their lines.
    """
    path = Path(path)
    format = format or detect_format(path)
    if format not in FORMATS:
        raise DataError(f"format: found {format!r}, wanted one of {', '.join(FORMATS)}")
    found: dict[str, str] = {}
    places: dict[str, int] = {}
    twice = []
    for row in FORMATS[format](path, hypotheses):
        if row.id in found:
            twice.append(f"{row.id} (lines {places[row.id]} and {row.number})")
        found[row.id] = row.text
        places[row.id] = row.number
    if twice:
        raise DataError(
            f"{path}: ids that occur twice: {_listed(twice)}. Each utterance has one line; read as {format}"
        )
    if not found:
        raise DataError(f"{path}: no transcripts in it; read as {format}")
    return found


def pair_transcripts(
    references: Path | str,
    hypotheses: Path | str,
    reference_format: str | None = None,
    hypothesis_format: str | None = None,
) -> list[Pair]:
    """References with their hypotheses, in the order of the references: by id, plain text line by line.

    Raises DataError where one file has utterances that the other lacks.
    """
    formats = (reference_format or detect_format(references), hypothesis_format or detect_format(hypotheses))
    wanted = read_transcripts(references, formats[0])
    found = read_transcripts(hypotheses, formats[1], hypotheses=True)
    both = f"{references} (read as {formats[0]}) and {hypotheses} (read as {formats[1]})"
    if formats.count("text") == 1:
        raise DataError(
            f"{both}: only one of them has ids. Give both as plain text or both with ids; or name the formats"
        )
    if formats == ("text", "text") and len(wanted) != len(found):
        raise DataError(
            f"{both}: {len(wanted)} lines and {len(found)} lines. They are paired line by line: an utterance without "
            "words is an empty line"
        )
    problems = []
    for ids, what in (
        ([name for name in wanted if name not in found], "without a hypothesis"),
        ([name for name in found if name not in wanted], "without a reference"),
    ):
        if ids:
            problems.append(f"{len(ids)} {what}: {_listed(ids)}")
    if problems:
        raise DataError(
            f"{both}: {'; '.join(problems)}. Each id must be in both; an utterance without words has its id alone"
        )
    return [Pair(name, text, found[name]) for name, text in wanted.items()]


# ---------------------------------------------------------------------------------------------------------- formats

TRN = re.compile(r"(?P<words>.*?)\s*\((?P<id>[^()\s]+)\)\s*")
ID = re.compile(r"^(?=.*\d).{2,}$")


def _read_text(path: Path, hypotheses: bool) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        yield Row(number, str(number), line.strip())


def _read_kaldi(path: Path, hypotheses: bool) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            # A path may hold spaces: then a tab ends it.
            name, _, text = line.strip(" ").partition("\t") if "\t" in line else line.strip().partition(" ")
            yield Row(number, name, text.strip())


def _read_trn(path: Path, hypotheses: bool) -> Iterator[Row]:
    wrong = []
    for number, line in enumerate(_lines(path), start=1):
        match = TRN.fullmatch(line)
        if not line.strip() or line.startswith(";;"):
            continue
        if match is None:
            wrong.append(f"line {number}: {line.strip()!r}")
        elif re.search(r"\{.*/.*\}", match["words"]):
            wrong.append(f"line {number}: {line.strip()!r} has alternatives, which are not supported")
        else:
            yield Row(number, match["id"], match["words"].strip())
    if wrong:
        raise DataError(f"{path}: wanted `words (id)` on each line, found {_listed(wrong)}")


def _read_jsonl(path: Path, hypotheses: bool) -> Iterator[Row]:
    wrong = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            yield _json_row(number, json.loads(line), hypotheses)
        except (ValueError, DataError) as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        raise DataError(f"{path}: wanted a JSON object with id and text on each line, found {_listed(wrong)}")


def _json_row(number: int, row: object, hypotheses: bool) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"no object: {row!r}")
    keys = ("pred_text", "text") if hypotheses else ("text",)
    text = next((row[key] for key in keys if key in row), None)
    if not isinstance(text, str):
        raise DataError(f"{' or '.join(keys)} is {text!r}")
    name = row.get("id")
    if name is None and "audio_filepath" in row:
        # Segments of one recording differ by where they begin.
        name = f"{row['audio_filepath']}@{row['offset']:g}" if row.get("offset") else row["audio_filepath"]
    if not isinstance(name, str | int) or name == "":
        raise DataError(f"id and audio_filepath are {name!r}")
    return Row(number, str(name), text)


FORMATS: dict[str, Callable[[Path, bool], Iterator[Row]]] = {
    "text": _read_text,
    "kaldi": _read_kaldi,
    "trn": _read_trn,
    "jsonl": _read_jsonl,
}


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not in UTF-8: {error}") from error
    # Not splitlines(): a text may hold other characters that it takes for line ends.
    return text.removesuffix("\n").split("\n") if text else []


def _listed(items: Sequence[str]) -> str:
    more = len(items) - LISTED
    return ", ".join(items[:LISTED]) + (f" and {more} more" if more > 0 else "")
