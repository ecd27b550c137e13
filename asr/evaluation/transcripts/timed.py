"""NIST's formats with times: STM, segments of references; CTM, words of hypotheses.

    STM: file channel speaker begin end [<labels>] words
    CTM: file channel begin duration word [confidence]

https://github.com/usnistgov/SCTK/blob/master/doc/infmts.htm
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import DataError
from asr.evaluation.transcripts.rows import Row, lines_of, listed
from asr.evaluation.transcripts.trn import is_comment

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
STM = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\d+\.?\d*|\.\d+)\s+(\d+\.?\d*|\.\d+)(?:\s+(<[^>]*>))?(?:\s+(.*?))?\s*")
CTM = re.compile(r"(\S+)\s+(\S+)\s+(\d+\.?\d*|\.\d+)\s+(\d+\.?\d*|\.\d+)\s+(\S+)(?:\s+\S+)*\s*")


@dataclass(frozen=True)
class Segment:
    """What one speaker says in a stretch of a recording."""

    file: str
    channel: str
    speaker: str
    begin: float  # seconds
    end: float
    text: str

    @property
    def id(self) -> str:
        return f"{self.file}-{self.channel}-{self.begin:.2f}"


@dataclass(frozen=True)
class TimedWord:
    file: str
    channel: str
    middle: float  # seconds
    text: str


def read_segments(path: Path) -> list[Segment]:
    """All of an STM's, those to be ignored included. Raises DataError."""
    rows = [(number, _matched(STM, line)) for number, line in enumerate(lines_of(path), 1) if not is_comment(line)]
    _refuse(path, rows, "file channel speaker begin end words")
    return [
        Segment(file, channel, speaker, float(begin), float(end), text or "")
        for _, (file, channel, speaker, begin, end, _, text) in rows
    ]


def read_words(path: Path) -> list[TimedWord]:
    """A CTM's words in order of time. Raises DataError."""
    rows = [(number, _matched(CTM, line)) for number, line in enumerate(lines_of(path), 1) if not is_comment(line)]
    _refuse(path, rows, "file channel begin duration word")
    words = [
        TimedWord(file, channel, float(begin) + float(duration) / 2, word)
        for _, (file, channel, begin, duration, word) in rows
    ]
    return sorted(words, key=lambda word: (word.file, word.channel, word.middle))


def _matched(form: re.Pattern[str], line: str) -> tuple[str, ...]:
    match = form.fullmatch(line)
    return match.groups() if match else ()


def _refuse(path: Path, rows: Sequence[tuple[int, tuple[str, ...]]], form: str) -> None:
    if wrong := [f"line {number}" for number, fields in rows if not fields]:
        raise DataError(f"{path}: wanted `{form}` on each line, not so on {listed(wrong)}")


def read_stm(path: Path, hypotheses: bool) -> Iterator[Row]:
    """Its segments, without those to be ignored."""
    for number, segment in enumerate(read_segments(path), start=1):
        if segment.text != IGNORED:
            yield Row(number, segment.id, segment.text, segment.speaker, segment.end - segment.begin)


def read_ctm(path: Path, hypotheses: bool) -> Iterator[Row]:
    """The words of each recording; with several channels, of each channel."""
    texts: dict[tuple[str, str], list[str]] = {}
    for word in read_words(path):
        texts.setdefault((word.file, word.channel), []).append(word.text)
    several = len({file for file, _ in texts}) < len(texts)
    for number, ((file, channel), words) in enumerate(texts.items(), start=1):
        yield Row(number, f"{file}-{channel}" if several else file, " ".join(words))


def words_of_segments(segments: Sequence[Segment], words: Sequence[TimedWord]) -> list[tuple[Segment, str]]:
    """Each segment that counts with the words whose middle lies in it, or that lie nearest to it where none has them.

    Words within a segment to be ignored are left out. Names are compared without case. Raises DataError for words of a
    recording that has no segments.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for i, segment in enumerate(segments):
        places.setdefault(_where(segment), []).append(i)
    found: list[list[str]] = [[] for _ in segments]
    strange = sorted({f"{word.file} {word.channel}" for word in words if _where(word) not in places})
    if strange:
        raise DataError(f"the hypotheses have words of recordings (and channels) without references: {listed(strange)}")
    for word in words:
        found[min(places[_where(word)], key=_distance(segments, word.middle))].append(word.text)
    return [
        (segment, " ".join(texts)) for segment, texts in zip(segments, found, strict=True) if segment.text != IGNORED
    ]


def _where(item: Segment | TimedWord) -> tuple[str, str]:
    return item.file.lower(), item.channel.lower()


def _distance(segments: Sequence[Segment], middle: float) -> Callable[[int], float]:
    return lambda i: max(segments[i].begin - middle, middle - segments[i].end, 0.0)


def is_stm(lines: list[str]) -> bool:
    return bool(lines) and all(STM.fullmatch(line) for line in lines)


def is_ctm(lines: list[str]) -> bool:
    return bool(lines) and all(CTM.fullmatch(line) for line in lines)
