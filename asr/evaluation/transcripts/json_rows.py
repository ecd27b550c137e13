"""JSON: an object on each line (NeMo's manifests and results), or one object for a recording (whisper's)."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.errors import DataError
from asr.evaluation.transcripts.rows import Row, each_row, lines_of, read_text


def read_jsonl(path: Path, hypotheses: bool) -> Iterator[Row]:
    """id, else audio_filepath with offset; text, for hypotheses pred_text before it. Raises DataError."""
    lines = ((f"line {i}", (i, line)) for i, line in enumerate(lines_of(path), start=1) if line.strip())

    def row(line: tuple[int, str]) -> Row:
        return _row(line[0], json.loads(line[1]), hypotheses)

    yield from each_row(path, lines, row, "a JSON object with id and text on each line")


def _row(number: int, row: object, hypotheses: bool) -> Row:
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
    speaker, duration = row.get("speaker"), row.get("duration")
    return Row(
        number, str(name), text,
        speaker if isinstance(speaker, str) and speaker else None,
        float(duration) if isinstance(duration, int | float) and 0 <= duration < math.inf else 0.0,
    )  # fmt: skip


def has_both(path: Path) -> bool:
    """Whether each row of a file that has been read as JSONL holds a reference beside its hypothesis."""
    rows = [json.loads(line) for line in lines_of(path) if line.strip()]
    return all("text" in row and "pred_text" in row for row in rows)


def read_whisper(path: Path, hypotheses: bool) -> Iterator[Row]:
    """The text of a recording, whose id is the file's name without its ending. Raises DataError."""
    values = whole_object(path)
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise DataError(f"{path}: wanted one JSON object with `text`, as whisper and asr transcribe write it")
    yield Row(1, path.stem, " ".join(values["text"].split()))


def whole_object(path: Path) -> Any:
    """What the file is as one JSON value; None where it is none."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError):
        return None


def is_whisper(path: Path) -> bool:
    """Whether the file is one object with a text and segments."""
    values = whole_object(path)
    return isinstance(values, dict) and "text" in values and not ({"id", "audio_filepath"} & values.keys())
