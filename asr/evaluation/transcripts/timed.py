"""NIST's formats with times: STM, segments of references; CTM, words of hypotheses.

    STM: file channel speaker begin end [<labels>] words
    CTM: file channel begin duration word [confidence]

In a CTM the words <ALT_BEGIN>, <ALT> and <ALT_END>, with * for both times, stand around and between alternatives.
https://github.com/usnistgov/SCTK/blob/master/doc/infmts.htm
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from asr.errors import DataError
from asr.evaluation.transcripts.alternatives import without_tags
from asr.evaluation.transcripts.rows import Row, lines_of, listed
from asr.evaluation.transcripts.trn import is_comment

IGNORED = "IGNORETIMESEGMENTINSCORING"  # with or without _ between the words
STM = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\d+\.?\d*|\.\d+)\s+(\d+\.?\d*|\.\d+)(?:\s+(<[^>]*>))?(?:\s+(.*?))?\s*")
CTM = re.compile(
    r"(?P<file>\S+)\s+(?P<channel>\S+)\s+"
    r"(?:(?P<begin>\d+\.?\d*|\.\d+)\s+(?P<duration>\d+\.?\d*|\.\d+)\s+(?P<word>\S+)"
    r"|\*\s+\*\s+(?P<sign><ALT_BEGIN>|<ALT>|<ALT_END>))(?:\s+\S+)*\s*"
)
SIGNS = {"<ALT_BEGIN>": "{", "<ALT>": "/", "<ALT_END>": "}"}


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

    @property
    def is_ignored(self) -> bool:
        """Whether it does not count, nor what is found in it."""
        return self.text.upper().replace("_", "") == IGNORED


@dataclass(frozen=True)
class TimedWord:
    """A word, or alternatives."""

    file: str
    channel: str
    begin: float  # seconds; of alternatives, those of the word whose middle is last
    duration: float
    text: str

    @property
    def middle(self) -> float:
        """Seconds."""
        return self.begin + self.duration / 2


def read_segments(path: Path) -> list[Segment]:
    """All of an STM's, those to be ignored included. Raises DataError."""
    rows = [(number, _matched(STM, line)) for number, line in enumerate(lines_of(path), 1) if not is_comment(line)]
    _refuse(path, rows, "file channel speaker begin end words")
    return [
        Segment(file, channel, speaker, float(begin), float(end), without_tags(text or ""))
        for _, (file, channel, speaker, begin, end, _, text) in rows
    ]


def read_words(path: Path) -> list[TimedWord]:
    """A CTM's words in order of time. Raises DataError."""
    rows = [(number, _matched(CTM, line)) for number, line in enumerate(lines_of(path), 1) if not is_comment(line)]
    _refuse(path, rows, "file channel begin duration word")
    words: list[TimedWord] = []
    parts: list[str] = []  # of alternatives that have begun, or of a word
    heard: list[TimedWord] = []  # the words among them
    for number, (file, channel, begin, duration, word, sign) in rows:
        if (sign == "<ALT_BEGIN>") != (not parts) and sign:
            raise DataError(f"{path}:{number}: found {sign} where none of that kind can be")
        if word:
            heard.append(TimedWord(file, channel, float(begin), float(duration), without_tags(word)))
        parts.append(SIGNS[sign] if sign else heard[-1].text)
        if sign == "<ALT_END>" or parts[0] != "{":
            if not heard:
                raise DataError(f"{path}:{number}: alternatives without a word, so that nothing tells their time")
            last = max(heard, key=lambda one: one.middle)
            words.append(replace(last, text=" ".join(filter(None, parts))))
            parts, heard = [], []
    if parts:
        raise DataError(f"{path}: found <ALT_BEGIN> without its <ALT_END>")
    return sorted(words, key=lambda word: (word.file, word.channel, word.middle))


def words_by_recording(path: Path) -> dict[str, list[TimedWord]]:
    """A CTM's words of each recording; with several channels, of each channel. Raises DataError."""
    words = read_words(path)
    several = len({word.file for word in words}) < len({(word.file, word.channel) for word in words})
    found: dict[str, list[TimedWord]] = {}
    for word in words:
        found.setdefault(f"{word.file}-{word.channel}" if several else word.file, []).append(word)
    return found


def _matched(form: re.Pattern[str], line: str) -> tuple[str, ...]:
    match = form.fullmatch(line)
    return match.groups() if match else ()


def _refuse(path: Path, rows: Sequence[tuple[int, tuple[str, ...]]], form: str) -> None:
    if wrong := [f"line {number}" for number, fields in rows if not fields]:
        raise DataError(f"{path}: wanted `{form}` on each line, not so on {listed(wrong)}")


def read_stm(path: Path, hypotheses: bool) -> Iterator[Row]:
    """Its segments, without those to be ignored."""
    for number, segment in enumerate(read_segments(path), start=1):
        if not segment.is_ignored:
            yield Row(number, segment.id, segment.text, segment.speaker, segment.end - segment.begin)


def read_ctm(path: Path, hypotheses: bool) -> Iterator[Row]:
    """The text of each recording; with several channels, of each channel."""
    for number, (name, words) in enumerate(words_by_recording(path).items(), start=1):
        yield Row(number, name, " ".join(word.text for word in words))


def words_of_segments(segments: Sequence[Segment], words: Sequence[TimedWord]) -> list[tuple[Segment, str]]:
    """Each segment that counts, with its words: of the segments of a recording's channel the first that ends after the
    middle of a word has it, else the last, as in sclite.

    Words within a segment to be ignored are left out. Names are compared without case. Raises DataError for words of a
    recording that has no segments.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for i, segment in enumerate(segments):
        places.setdefault(_where(segment), []).append(i)
    strange = sorted({f"{word.file} {word.channel}" for word in words if _where(word) not in places})
    if strange:
        raise DataError(f"the hypotheses have words of recordings (and channels) without references: {listed(strange)}")
    # Segments may overlap: the first that ends later is found among the latest ends so far, which only grow.
    ends = {where: list(accumulate((segments[i].end for i in found), max)) for where, found in places.items()}
    texts: list[list[str]] = [[] for _ in segments]
    for word in words:
        where = _where(word)
        place = min(bisect_right(ends[where], word.middle), len(places[where]) - 1)
        texts[places[where][place]].append(word.text)
    return [
        (segment, " ".join(found)) for segment, found in zip(segments, texts, strict=True) if not segment.is_ignored
    ]


def _where(item: Segment | TimedWord) -> tuple[str, str]:
    return item.file.lower(), item.channel.lower()


def is_stm(lines: list[str]) -> bool:
    return bool(lines) and all(STM.fullmatch(line) for line in lines)


def is_ctm(lines: list[str]) -> bool:
    return bool(lines) and all(CTM.fullmatch(line) for line in lines)
