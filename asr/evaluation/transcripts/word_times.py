"""When each word of a recording is said: TextGrid, CTM, and the JSON of `asr align`, `asr transcribe` and whisper."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from asr.errors import DataError
from asr.evaluation.transcripts.json_rows import whole_object
from asr.evaluation.transcripts.rows import listed
from asr.evaluation.transcripts.textgrid import read_intervals
from asr.evaluation.transcripts.timed import words_by_recording


@dataclass(frozen=True)
class SpokenWord:
    """A word, and when it is said; None where only those beside it tell."""

    text: str
    start: float | None  # seconds
    end: float | None


Recordings = dict[str, list[SpokenWord]]
"""The words of each recording, in order of time."""


def read_word_times(path: Path | str, tier: str | None = None) -> Recordings:
    """By recording: of a CTM as it names them, of other files by the file's name without its ending.

    path: a file, or a folder of them; tier: of TextGrids, see `read_intervals`. Raises DataError for files that cannot
    be read or have no words with times, and for recordings that occur twice.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Recordings]] = {
        ".textgrid": partial(_read_textgrid, tier=tier),
        ".ctm": _read_ctm,
        ".json": _read_json,
    }
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in readers and file.is_file())
        if not files:
            raise DataError(f"{path}: no words with times in this folder; wanted files ending in {', '.join(readers)}")
    elif not path.exists():
        raise DataError(f"{path}: no such file or folder")
    found: Recordings = {}
    for file in files:
        reader = readers.get(file.suffix.lower())
        if reader is None:
            raise DataError(f"{file}: found the ending {file.suffix!r}, wanted one of {', '.join(readers)}")
        for name, words in reader(file).items():
            if name in found:
                raise DataError(f"{file}: the recording {name} occurs in another file of {path} too")
            found[name] = words
    return found


def _read_textgrid(path: Path, tier: str | None) -> Recordings:
    return {path.stem: [SpokenWord(one.text, one.start, one.end) for one in read_intervals(path, tier)]}


def _read_ctm(path: Path) -> Recordings:
    """With several channels, each of them is a recording."""
    found = words_by_recording(path)
    for word in chain.from_iterable(found.values()):
        if word.text.startswith("{"):
            raise DataError(f"{path}: {word.file}: alternatives, {word.text}, have no one time: take one of them")
    return {
        name: [SpokenWord(word.text, word.begin, word.begin + word.duration) for word in words]
        for name, words in found.items()
    }


def _read_json(path: Path) -> Recordings:
    values = whole_object(path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: wanted one JSON object, as asr align, asr transcribe and whisper write it")
    words = list(_objects(path, values, "words"))
    if not words:
        segments = list(_objects(path, values, "segments"))
        if not segments and "segments" not in values and "words" not in values:
            raise DataError(f"{path}: neither words nor segments with words in it, so that nothing tells times")
        words = [word for segment in segments for word in _objects(path, segment, "words", needed=True)]
    found, wrong = [], []
    for number, word in enumerate(words, start=1):
        text, start, end = word.get("word"), _time(word.get("start")), _time(word.get("end"))
        if isinstance(text, str) and start is not None and end is not None and start <= end:
            found.append(SpokenWord(text.strip(), start, end))
        else:
            wrong.append(f"word {number}: {word}")
    if wrong:
        raise DataError(f"{path}: wanted word, start and end (seconds) of each word, found {listed(wrong)}")
    return {path.stem: sorted(found, key=lambda word: word.start or 0.0)}


def _objects(path: Path, values: dict[str, Any], key: str, needed: bool = False) -> Iterator[dict[str, Any]]:
    found = values.get(key, None if needed else [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{path}: {key}: found {str(found)[:60]}, wanted a list of objects (whisper: word timestamps)")
    yield from found


def _time(value: object) -> float | None:
    """Seconds; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return None
    return float(value)
