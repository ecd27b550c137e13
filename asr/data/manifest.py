"""Manifests: one utterance a row, as JSON lines with the keys that NeMo uses."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr.errors import ManifestError

SHOWN = 20  # bad rows that an error lists; the others are counted


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of a sound file and what is said in it."""

    id: str
    audio_filepath: str
    duration: float  # seconds
    text: str = ""
    offset: float = 0.0  # seconds from the file's start
    speaker: str | None = None


def read(path: Path | str) -> list[Utterance]:
    """Rows of a manifest. Relative audio paths are taken from the manifest's folder; unknown keys are ignored.

    A row without an `id` gets the sound file's stem, made unique. Raises ManifestError listing every bad row.
    """
    path = Path(path)
    try:
        # Not splitlines: JSON may hold characters that Unicode counts among the line ends. A BOM is Windows' habit.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: the manifest cannot be read: {error}") from error
    rows: list[Utterance] = []
    problems: list[str] = []
    lines_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row, named = _parse(line, path.parent)
        except (ValueError, OverflowError) as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        if row.id in lines_of and named:
            problems.append(f"{path}:{number}: id {row.id!r} was given to line {lines_of[row.id]} already")
            continue
        row = _unique(row, lines_of)
        lines_of[row.id] = number
        rows.append(row)
    if problems:
        more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ManifestError("\n".join(problems[:SHOWN] + more))
    return rows


def read_all(paths: Iterable[Path | str]) -> list[Utterance]:
    """Rows of several manifests; an id that another manifest had before is made unique. Raises what `read` raises."""
    rows: list[Utterance] = []
    taken: dict[str, int] = {}
    for row in (row for path in paths for row in read(path)):
        row = _unique(row, taken)
        taken[row.id] = len(rows)
        rows.append(row)
    return rows


def _parse(line: str, folder: Path) -> tuple[Utterance, bool]:
    """The row, and whether it names its own id. Raises ValueError saying what is wrong."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}; wanted one object a line") from None
    if not isinstance(values, dict):
        raise ValueError(f"found {type(values).__name__}, wanted an object with audio_filepath, duration, text")
    audio = _value(values, "audio_filepath", str, None)
    if not audio:
        raise ValueError("audio_filepath is missing; wanted the path of a sound file")
    duration = _value(values, "duration", (int, float), None)
    if duration is None:
        raise ValueError("duration is missing; wanted seconds")
    offset = _value(values, "offset", (int, float), 0.0)
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"duration: found {duration}, wanted more than 0 seconds")
    if not (math.isfinite(offset) and offset >= 0):
        raise ValueError(f"offset: found {offset}, wanted 0 seconds or more")
    name = values.get("id")
    speaker = values.get("speaker")
    row = Utterance(
        id=Path(audio).stem if name is None else str(name),
        audio_filepath=str(folder / audio),
        duration=float(duration),
        text=_value(values, "text", str, ""),
        offset=float(offset),
        speaker=None if speaker is None else str(speaker),
    )
    return row, name is not None


def _value(values: dict[str, Any], key: str, kind: type | tuple[type, ...], default: Any) -> Any:
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key}: found {value!r}, wanted {'text' if kind is str else 'a number of seconds'}")
    return value


def _unique(row: Utterance, taken: dict[str, int]) -> Utterance:
    name, count = row.id, 1
    while name in taken:
        count += 1
        name = f"{row.id}#{count}"
    return row if name == row.id else replace(row, id=name)


def write(path: Path | str, utterances: Iterable[Utterance]) -> None:
    """Write a manifest, whole or not at all.

    Audio below the manifest's folder is written relative to it, so that the folder can be moved; other paths absolute.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(os.path.abspath(path.parent))
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for row in utterances:
            file.write(json.dumps(_values(row, folder), ensure_ascii=False) + "\n")
    os.replace(part, path)


def _values(row: Utterance, folder: Path) -> dict[str, Any]:
    audio = Path(os.path.abspath(row.audio_filepath))
    values: dict[str, Any] = {
        "id": row.id,
        "audio_filepath": str(audio.relative_to(folder) if audio.is_relative_to(folder) else audio),
        "offset": row.offset,
        "duration": row.duration,
        "text": row.text,
    }
    return values if row.speaker is None else {**values, "speaker": row.speaker}
