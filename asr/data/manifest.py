"""Manifests: one utterance a row, as JSON lines with the keys that NeMo uses."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr.errors import ManifestError
from asr.files import replacing
from asr.settings import parse_json

SHOWN = 20  # bad rows that an error lists; the others are counted
LONGEST = 1e7  # seconds: four months
LONGEST_NAME = 255  # bytes, as of files
ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # no part of a name
HALVES = re.compile(r"[\ud800-\udfff]")  # of surrogate pairs: JSON may hold them, UTF-8 not


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of a sound file and what is said in it."""

    id: str
    audio_filepath: str
    duration: float  # seconds
    text: str = ""
    offset: float = 0.0  # seconds from the file's start
    speaker: str | None = None
    pred_text: str = ""  # what a recogniser wrote, in a row without `text`
    confidence: float | None = None  # how sure it was of that, 0 to 1


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
    names = _Names()
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
        row = names.unique(row)
        lines_of[row.id] = number
        rows.append(row)
    if problems:
        more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ManifestError("\n".join(problems[:SHOWN] + more))
    return rows


def read_all(paths: Iterable[Path | str]) -> list[Utterance]:
    """Rows of several manifests; an id that another manifest had before is made unique. Raises what `read` raises."""
    names = _Names()
    return [names.unique(row) for path in paths for row in read(path)]


def _parse(line: str, folder: Path) -> tuple[Utterance, bool]:
    """The row, and whether it names its own id. Raises ValueError saying what is wrong."""
    try:
        values = parse_json(line)
    except ValueError as error:
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
    if not 0 < duration <= LONGEST:  # NaN is not
        raise ValueError(
            f"duration: found {_short(duration)}, wanted more than 0 seconds, and no more than {LONGEST:g}"
        )
    if not 0 <= offset <= LONGEST:
        raise ValueError(f"offset: found {_short(offset)}, wanted 0 seconds or more, and no more than {LONGEST:g}")
    try:
        os.fsencode(audio)
    except UnicodeEncodeError:
        raise ValueError(f"audio_filepath: found {_short(audio)}, which no file can be called") from None
    if "\0" in audio:
        raise ValueError(f"audio_filepath: found {_short(audio)}, which no file can be called")
    text = _value(values, "text", str, "")
    if HALVES.search(text):
        raise ValueError(f"text: found {_short(text)}, wanted text without halves of surrogate pairs")
    pred_text, confidence = ("", None) if text.strip() else _prediction(values)
    name = _name(values, "id")
    row = Utterance(
        id=ODD.sub("_", Path(audio).stem) if name is None else name,
        audio_filepath=str(folder / audio),
        duration=float(duration),
        text=text,
        offset=float(offset),
        speaker=_name(values, "speaker"),
        pred_text=pred_text,
        confidence=confidence,
    )
    return row, name is not None


def _prediction(values: dict[str, Any]) -> tuple[str, float | None]:
    """What a recogniser wrote, and how sure it was of that."""
    text = _value(values, "pred_text", str, "")
    if HALVES.search(text):
        raise ValueError(f"pred_text: found {_short(text)}, wanted text without halves of surrogate pairs")
    confidence = values.get("confidence")
    if not text or confidence is None:
        return text, None
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise ValueError(f"confidence: found {_short(confidence)}, wanted 0 to 1")
    return text, float(confidence)


def _name(values: dict[str, Any], key: str) -> str | None:
    """A name, which goes into tables, lines of TRN and names of files: so it is one line of text, and not too long."""
    value = values.get(key)
    if value is None:
        return None
    name = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if not name or ODD.search(name) or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"{key}: found {_short(value)}, wanted a name: 1 to {LONGEST_NAME} bytes of text without control "
            "characters and line breaks"
        )
    return name


def _short(value: object) -> str:
    """For messages: a row may hold anything, of any length."""
    try:
        shown = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number that is too large"
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _value(values: dict[str, Any], key: str, kind: type | tuple[type, ...], default: Any) -> Any:
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key}: found {_short(value)}, wanted {'text' if kind is str else 'a number of seconds'}")
    return value


def as_name(text: str, number: str = "") -> str:
    """An id made of a text, shortened at its beginning if it has to be, and what follows it."""
    kept = ODD.sub("_", text).encode()[-(LONGEST_NAME - len(number.encode())) :]
    return kept.decode(errors="ignore") + number


class _Names:
    """Ids that were given, and how often each was asked for: however many rows ask for one, each is told at once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}

    def unique(self, row: Utterance) -> Utterance:
        """The row with its id, or with the next of id#2, id#3 ... that is free."""
        name = row.id
        while name in self.taken:
            count = self.counts[row.id] = self.counts.get(row.id, 1) + 1
            name = f"{row.id}#{count}"
        self.taken.add(name)
        return row if name == row.id else replace(row, id=name)


def write(path: Path | str, utterances: Iterable[Utterance]) -> None:
    """Write a manifest, whole or not at all.

    Audio below the manifest's folder is written relative to it, so that the folder can be moved; other paths absolute.
    """
    path = Path(path)
    folder = Path(os.path.abspath(path.parent))
    with replacing(path) as file:
        for row in utterances:
            audio = Path(os.path.abspath(row.audio_filepath))
            place = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
            file.write(to_line(replace(row, audio_filepath=str(place))))


def to_line(row: Utterance) -> str:
    """A line of a manifest, its end included; the audio's path as it stands."""
    values: dict[str, Any] = {
        "id": row.id,
        "audio_filepath": row.audio_filepath,
        "offset": row.offset,
        "duration": row.duration,
    }
    if row.text or not (row.pred_text or row.confidence is not None):
        values["text"] = row.text
    else:
        values |= {"pred_text": row.pred_text, "confidence": row.confidence}
    if row.speaker is not None:
        values["speaker"] = row.speaker
    line = json.dumps(values, ensure_ascii=False)
    return (json.dumps(values) if HALVES.search(line) else line) + "\n"  # halves: of a file's name that is not UTF-8
