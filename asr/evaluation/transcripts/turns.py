"""What each of several speakers says in a recording: STM, SegLST (the JSON of CHiME and meeteval), JSONL.

    STM:    file channel speaker begin end [<labels>] words
    SegLST: [{"session_id": "m1", "speaker": "A", "start_time": 0.5, "end_time": 2.0, "words": "good morning"}, ...]
    JSONL:  {"session_id": "m1", "speaker": "A", "offset": 0.5, "duration": 1.5, "text": "good morning"}, one a line;
            without session_id, or recording, the audio_filepath names the recording

https://github.com/fgnt/meeteval#file-formats
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import DataError
from asr.evaluation.transcripts.alternatives import has_alternatives
from asr.evaluation.transcripts.json_rows import whole_object
from asr.evaluation.transcripts.rows import each_row, lines_of
from asr.evaluation.transcripts.timed import is_stm, read_segments
from asr.evaluation.transcripts.trn import is_comment

WANTED = "a recording, a speaker and words in each row"
RECORDING = ("session_id", "recording", "audio_filepath")


@dataclass(frozen=True)
class Turn:
    """What a speaker says without a pause to speak of, or at all."""

    recording: str
    speaker: str
    text: str
    start: float | None  # seconds; None where it is not told
    end: float | None


def read_turns(path: Path | str, hypotheses: bool = False) -> list[Turn]:
    """All turns, in the file's order.

    hypotheses: read pred_text of JSONL where it is. Raises DataError for files that cannot be read or that tell no
    speakers, with the places.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder; wanted a file with the turns of all recordings: STM, SegLST or JSONL")
    lines = [line for line in lines_of(path) if line.strip()]
    first = lines[0].lstrip() if lines else ""
    rttm = first.startswith("SPEAKER ") and "<NA>" in first  # which looks like an STM
    if path.suffix.lower() == ".stm":
        turns = _read_stm(path)
    elif first.startswith("["):
        turns = _read_seglst(path)
    elif first.startswith("{"):
        turns = _read_jsonl(path, hypotheses)
    elif not rttm and is_stm([line for line in lines if not is_comment(line)]):
        turns = _read_stm(path)
    else:
        why = " (an RTTM tells who speaks, but not what)" if rttm else ""
        raise DataError(
            f"{path}: found {first[:60]!r}, wanted turns with their speakers{why}: STM, SegLST (a JSON list of "
            "objects) or JSONL"
        )
    if not turns:
        raise DataError(f"{path}: no turns in it")
    return turns


def _read_stm(path: Path) -> list[Turn]:
    """An STM's file is the recording, in all its channels."""
    segments = read_segments(path)
    for segment in segments:
        place = f"{path}: {segment.id}"
        if segment.is_ignored:
            raise DataError(f"{place}: segments to be ignored are for words with times; take them out of both files")
        if has_alternatives(segment.text):
            raise DataError(f"{place}: {segment.text[:60]!r} has alternatives; with several speakers take one of them")
    return [Turn(one.file, one.speaker, one.text, one.begin, one.end) for one in segments]


def _read_seglst(path: Path) -> list[Turn]:
    rows = whole_object(path)
    if not isinstance(rows, list):
        raise DataError(f"{path}: no JSON, though it begins with [; wanted a list of objects, as SegLST has it")
    return each_row(path, ((f"segment {number}", row) for number, row in enumerate(rows, start=1)), _segment, WANTED)


def _read_jsonl(path: Path, hypotheses: bool) -> list[Turn]:
    lines = ((f"line {number}", line) for number, line in enumerate(lines_of(path), start=1) if line.strip())

    def turn(line: str) -> Turn:
        try:
            return _row(json.loads(line), hypotheses)
        except (ValueError, RecursionError) as error:
            raise DataError(f"no JSON: {error}") from error

    return each_row(path, lines, turn, WANTED)


def _segment(row: object) -> Turn:
    values = _object(row)
    start, end = (_seconds(values, key) for key in ("start_time", "end_time"))
    return _turn(values, "words", start, end)


def _row(row: object, hypotheses: bool) -> Turn:
    values = _object(row)
    start, duration = (_seconds(values, key) for key in ("offset", "duration"))
    end = None if start is None or duration is None else start + duration
    return _turn(values, "pred_text" if hypotheses and "pred_text" in values else "text", start, end)


def _turn(values: Mapping[str, Any], key: str, start: float | None, end: float | None) -> Turn:
    recording = next((values[name] for name in RECORDING if name in values), None)
    names = {" or ".join(RECORDING): recording, "speaker": values.get("speaker")}
    for what, name in names.items():
        if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
            raise DataError(f"{what} is {name!r}")
    text = values.get(key)
    if not isinstance(text, str):
        raise DataError(f"{key} is {text!r}")
    if start is not None and end is not None and end < start:
        raise DataError(f"it ends at {end:g} s, before it begins at {start:g} s")
    return Turn(str(recording), str(values["speaker"]), text, start, end)


def _object(row: object) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"no object: {str(row)[:60]}")
    return row


def _seconds(values: Mapping[str, Any], key: str) -> float | None:
    """A number, or one in quotes, as CHiME's files have it."""
    value = values.get(key)
    if value is None:
        return None
    try:
        seconds = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f"{key} is {value!r}, wanted seconds")
    return seconds
