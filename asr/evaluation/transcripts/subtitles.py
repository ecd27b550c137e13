"""Subtitles (SRT, WebVTT): the text of all cues of a recording, whose id is the file's name without its ending."""

import re
from collections.abc import Iterator
from pathlib import Path

from asr.errors import DataError
from asr.evaluation.transcripts.rows import Row, lines_of

ARROW = re.compile(r"^\s*(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}\s+-->\s+(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}")
TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")


def read_subtitles(path: Path, hypotheses: bool) -> Iterator[Row]:
    """Raises DataError where there is no cue."""
    words, cues, within = [], 0, False
    for line in lines_of(path):
        if ARROW.match(line):
            cues, within = cues + 1, True
        elif not line.strip():
            within = False
        elif within:
            words += TAG.sub("", line).split()
    if not cues:
        raise DataError(f"{path}: no cues in it; wanted lines such as 00:00:01,000 --> 00:00:02,500")
    yield Row(1, path.stem, " ".join(words))


def is_subtitles(lines: list[str]) -> bool:
    return bool(lines) and (lines[0].startswith("WEBVTT") or any(ARROW.match(line) for line in lines[:2]))
