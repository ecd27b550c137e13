"""What manifests hold, and everything suspicious in them: the text of `asr info`.

Each check is a function from tables (a manifest and its rows, each) to lines; `report` runs them all.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asr.audio.load import AudioInfo, read_info
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.errors import AudioError, TextError
from asr.text.normalise import name_symbol
from asr.text.tokenizer import ctc_frames

if TYPE_CHECKING:
    from asr.text.tokenizer import Tokenizer

EXTREMES = 5  # slowest and fastest talkers shown
SHOWN = 10  # items that a concern lists; the others are counted
EXAMPLES = 5  # of what two manifests share
BINS = 12  # of the histogram, at most
BAR = 40  # characters of its longest bar
QUOTED = 60  # characters of a text
SLACK = 0.1  # seconds that a row may reach beyond its file: people round durations


class Table(NamedTuple):
    """A manifest and its rows."""

    path: Path
    rows: list[Utterance]

    def name(self, row: Utterance) -> str:
        return f"{self.path}: {row.id}"


@dataclass(frozen=True)
class Summary:
    """What one manifest holds."""

    path: Path
    durations: list[float]  # seconds, of every row
    speakers: Counter[str]  # rows of each
    characters: Counter[str]
    num_words: int
    formats: Counter[tuple[int, int]]  # sound files by rate (Hz) and channels
    talkers: list[tuple[float, Utterance]]  # characters a second, slowest first; rows with text

    @property
    def seconds(self) -> float:
        return sum(self.durations)

    def __str__(self) -> str:
        if not self.durations:
            return f"{self.path}\n  no rows"
        unnamed = len(self.durations) - self.speakers.total()
        lines = [
            f"{self.path}",
            f"  utterances   {len(self.durations):,}, {hours(self.seconds)}",
            f"  speakers     {self._speakers()}" + (f"; {unnamed:,} rows name none" if unnamed else ""),
            f"  audio        {self._formats()}",
            f"  words        {self.num_words:,}",
            f"  characters   {self.characters.total():,} of {len(self.characters)} kinds: {self._characters()}",
            f"  durations    {min(self.durations):.2f} to {max(self.durations):.2f} s, "
            f"mean {statistics.fmean(self.durations):.2f}, median {statistics.median(self.durations):.2f}",
            *(f"    {line}" for line in histogram(self.durations)),
        ]
        for title, talkers in (
            ("slowest", self.talkers[:EXTREMES]),
            ("fastest", self.talkers[: -EXTREMES - 1 : -1]),
        ):
            lines += [f"  {title} talkers, characters a second"] if talkers else []
            lines += [f"    {rate:6.1f}  {row.id}  {quote(row.text)}" for rate, row in talkers]
        return "\n".join(lines)

    def _speakers(self) -> str:
        if not self.speakers:
            return "0"
        fewest, most = min(self.speakers.values()), max(self.speakers.values())
        each = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        return f"{len(self.speakers):,}, with {each} utterances each"

    def _formats(self) -> str:
        kinds = [f"{rate:,} Hz x {channels}: {n:,} files" for (rate, channels), n in self.formats.most_common()]
        return ", ".join(kinds) or "no file can be read"

    def _characters(self) -> str:
        # Only those that can be seen and told apart are written as they are.
        return " ".join(c if c.isprintable() and c != " " else repr(c) for c in sorted(self.characters))


@dataclass(frozen=True)
class Concern:
    """Something suspicious, and where it was seen."""

    title: str
    items: list[str]

    def __str__(self) -> str:
        more = [f"    ... and {len(self.items) - SHOWN:,} more"] if len(self.items) > SHOWN else []
        lines = [f"  {self.title}: {len(self.items):,}", *(f"    {item}" for item in self.items[:SHOWN]), *more]
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """One summary for each manifest, and the concerns over all of them."""

    summaries: list[Summary]
    concerns: list[Concern]

    def __str__(self) -> str:
        parts = [str(summary) for summary in self.summaries]
        if len(self.summaries) > 1:
            rows = sum(len(summary.durations) for summary in self.summaries)
            parts.append(f"together: {rows:,} utterances, {hours(sum(summary.seconds for summary in self.summaries))}")
        if self.concerns:
            parts.append("\n".join(["suspicious", *(str(concern) for concern in self.concerns)]))
        else:
            parts.append("nothing suspicious found")
        return "\n\n".join(parts)


def report(
    manifests: Sequence[Path | str], tokenizer: "Tokenizer | None" = None, seconds_per_frame: float = 0.04
) -> Report:
    """Read manifests and the headers of their sound files, and check all that can be checked without decoding.

    With a tokenizer its alphabet is checked too, and CTC's need of frames is that of its tokens, otherwise that of
    characters; `seconds_per_frame` is the time between two frames of the model's output. Raises ManifestError for
    manifests with bad rows.
    """
    tables = [Table(Path(path), manifest.read(path)) for path in manifests]
    headers = _headers(tables)
    units = f"{tokenizer.kind if tokenizer else 'characters'} at {seconds_per_frame:g} s a frame"
    checks: list[tuple[str, Iterable[str]]] = [
        ("missing sound files", _missing(tables, headers)),
        ("sound files that cannot be read", _unreadable(tables, headers)),
        ("rows that reach beyond their sound file's end", _beyond(tables, headers)),
        ("empty texts", _empty(tables)),
        ("symbols that the tokenizer does not know", _unknown(tables, tokenizer) if tokenizer else []),
        (f"too few frames for CTC ({units})", _too_short(tables, tokenizer, seconds_per_frame)),
        ("the same stretch of audio more than once", _same_audio(tables)),
        ("pairs of manifests with the same ids", _shared(tables, lambda row: row.id)),
        ("pairs of manifests with the same speakers", _shared(tables, lambda row: row.speaker)),
        ("pairs of manifests with the same sentences", _shared(tables, lambda row: _sentence(row.text))),
    ]
    concerns = [Concern(title, found) for title, items in checks if (found := list(items))]
    return Report([_summary(table, headers) for table in tables], concerns)


# ----------------------------------------------------------------------------------------------------------- reading

Headers = dict[str, AudioInfo | AudioError | None]  # None: there is no such file


def _headers(tables: list[Table]) -> Headers:
    found: Headers = {}
    for path in {row.audio_filepath for table in tables for row in table.rows}:
        try:
            found[path] = read_info(path) if Path(path).exists() else None
        except AudioError as error:
            found[path] = error
    return found


def _summary(table: Table, headers: Headers) -> Summary:
    rows = table.rows
    files = [headers[path] for path in {row.audio_filepath for row in rows}]
    talkers = [(len(row.text) / row.duration, row) for row in rows if row.text.strip()]
    return Summary(
        path=table.path,
        durations=[row.duration for row in rows],
        speakers=Counter(row.speaker for row in rows if row.speaker is not None),
        characters=Counter(c for row in rows for c in row.text),
        num_words=sum(len(row.text.split()) for row in rows),
        formats=Counter((file.sample_rate, file.num_channels) for file in files if isinstance(file, AudioInfo)),
        talkers=sorted(talkers, key=lambda talker: talker[0]),
    )


# ------------------------------------------------------------------------------------------------------------ checks


def _each(tables: list[Table]) -> Iterator[tuple[str, Utterance]]:
    """Every row with its name."""
    return ((table.name(row), row) for table in tables for row in table.rows)


def _missing(tables: list[Table], headers: Headers) -> Iterator[str]:
    return (f"{name}: {row.audio_filepath}" for name, row in _each(tables) if headers[row.audio_filepath] is None)


def _unreadable(tables: list[Table], headers: Headers) -> Iterator[str]:
    for name, row in _each(tables):
        if isinstance(error := headers[row.audio_filepath], AudioError):
            yield f"{name}: {error}"


def _beyond(tables: list[Table], headers: Headers) -> Iterator[str]:
    for name, row in _each(tables):
        header, end = headers[row.audio_filepath], row.offset + row.duration
        if isinstance(header, AudioInfo) and end > header.duration + SLACK:
            yield f"{name}: ends at {end:.2f} s, the file at {header.duration:.2f} s: {row.audio_filepath}"


def _empty(tables: list[Table]) -> Iterator[str]:
    return (name for name, row in _each(tables) if not (row.text.strip() or row.pred_text))


def _unknown(tables: list[Table], tokenizer: "Tokenizer") -> Iterator[str]:
    """A line for each symbol (of phones: each word), the most frequent first."""

    strict = copy(tokenizer)
    strict.unknown = "error"  # one that skips what it does not know would not tell
    phones = tokenizer.kind == "phones"
    seen: Counter[str] = Counter()
    first: dict[str, str] = {}
    for name, row in _each(tables):
        for unit in row.text.split() if phones else " ".join(row.text.split()):
            seen[unit] += 1
            first.setdefault(unit, name)
    for unit, count in seen.most_common():
        if not _knows(strict, unit):
            yield f"{unit if phones else name_symbol(unit)}: {count:,} times, first in {first[unit]}"


def _knows(tokenizer: "Tokenizer", unit: str) -> bool:
    if unit == " ":  # which is nothing to encode where it stands alone
        return tokenizer.kind != "characters" or " " in tokenizer.ids
    try:
        tokenizer.encode(unit)
    except TextError:
        return False
    return True


def _too_short(tables: list[Table], tokenizer: "Tokenizer | None", seconds_per_frame: float) -> Iterator[str]:
    """Rows with fewer frames than CTC needs for their labels."""
    for name, row in _each(tables):
        try:
            labels = tokenizer.encode(row.text) if tokenizer else list(" ".join(row.text.split()))
        except TextError:
            continue  # reported as unknown symbols
        needed = ctc_frames(labels)
        frames = math.ceil(row.duration / seconds_per_frame)
        if needed > frames:
            yield f"{name}: {row.duration:.2f} s are {frames} frames, {needed} are needed: {quote(row.text)}"


def _same_audio(tables: list[Table]) -> Iterator[str]:
    names = defaultdict(list)
    for name, row in _each(tables):
        names[row.audio_filepath, round(row.offset, 3), round(row.duration, 3)].append(name)
    for (path, offset, duration), same in names.items():
        if len(same) > 1:
            yield f"{path}, {offset:g} to {offset + duration:g} s: {' = '.join(same)}"


def _shared(tables: list[Table], key: Callable[[Utterance], str | None]) -> Iterator[str]:
    """A line for each two manifests that share keys; rows without one are passed over."""
    counts = [Counter(value for row in table.rows if (value := key(row))) for table in tables]
    for (table, mine), (other, theirs) in combinations(zip(tables, counts, strict=True), 2):
        shared = [value for value in mine if value in theirs]
        if shared:
            more = ", ..." if len(shared) > EXAMPLES else ""
            yield (
                f"{len(shared):,} in {table.path} and {other.path}, "
                f"in {sum(theirs[value] for value in shared):,} of the latter's {len(other.rows):,} rows: "
                f"{', '.join(quote(value) for value in shared[:EXAMPLES])}{more}"
            )


def _sentence(text: str) -> str:
    return " ".join(text.casefold().split())


# ------------------------------------------------------------------------------------------------------------ writing


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds / 60:.2f} min"


def quote(text: str) -> str:
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 3] + "...")


def histogram(values: Sequence[float]) -> list[str]:
    """A line for each bin, all equally wide (1, 2 or 5 times a power of ten): its range in seconds, count and bar."""
    width = _bin_width(max(values) - min(values))
    counts = Counter(math.floor(value / width) for value in values)
    digits = max(0, -math.floor(math.log10(width)))
    bins = range(min(counts), max(counts) + 1)
    ranges = [f"{place * width:.{digits}f} - {(place + 1) * width:.{digits}f} s" for place in bins]
    longest, most = max(map(len, ranges)), max(counts.values())
    lines = []
    for label, place in zip(ranges, bins, strict=True):
        bar = "#" * math.ceil(counts[place] / most * BAR)
        lines.append(f"{label:>{longest}} {counts[place]:>{len(f'{most:,}')},} {bar}".rstrip())
    return lines


def _bin_width(span: float) -> float:
    """The narrowest of 0.01, 0.02, 0.05, 0.1 ... seconds with which `span` takes at most BINS bins."""
    for power in range(-2, 12):
        for step in (1, 2, 5):
            if span / (step * 10**power) <= BINS - 1:
                return step * 10.0**power
    return span
