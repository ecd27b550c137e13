"""Praat's TextGrid, long and short: the intervals of one tier.

Praat reads free-standing numbers, quoted strings and <flags>, and nothing else: what else the long form has is there
for people. https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asr.errors import DataError
from asr.evaluation.transcripts.rows import listed, read_text

WORD_TIERS = {"words", "word"}
PAUSES = {"", "sil", "sp", "<eps>", "<sil>", "<p:>", "#"}
"""What aligners write where nobody speaks."""

TOKEN = re.compile(
    r'"(?P<string>(?:[^"]|"")*)"|(?<!\S)(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)'
    r"|(?<!\S)<(?P<flag>exists|absent)>(?!\S)|(?<!\S)![^\n]*"
)


class Interval(NamedTuple):
    """A label, and where it holds."""

    start: float  # seconds
    end: float
    text: str


def read_intervals(path: Path, tier: str | None = None) -> list[Interval]:
    """The intervals of a tier that have something said in them, in order of time.

    tier: its name; by default one that is called words (or "NAME - words", as MFA names them), or else the only one.
    Raises DataError for a file that is no TextGrid or is cut, and where the tier is not clear.
    """
    tiers = list(_tiers(path))
    intervals = tiers[_chosen(path, [name for name, _ in tiers], tier)][1]
    if wrong := next((one for one in intervals if not 0 <= one.start <= one.end), None):
        raise DataError(f"{path}: an interval {wrong.text!r} from {wrong.start:g} to {wrong.end:g} s")
    return sorted(one for one in intervals if one.text.strip().lower() not in PAUSES)


def _chosen(path: Path, names: Sequence[str], tier: str | None) -> int:
    """The number of the tier."""
    if not names:
        raise DataError(f"{path}: no tier of intervals in it")
    if tier is None:
        found = [i for i, name in enumerate(names) if name.rpartition(" - ")[2].strip().lower() in WORD_TIERS]
        found = found or list(range(len(names)))
        wanted = "a single tier, or one called words"
    else:
        found = [i for i, name in enumerate(names) if name == tier]
        wanted = f"one called {tier}"
    if len(found) != 1:
        raise DataError(f"{path}: tiers of intervals: found {listed(names)}, wanted {wanted}. Choose one by --tier")
    return found[0]


def _tiers(path: Path) -> Iterator[tuple[str, list[Interval]]]:
    """The name and the intervals of each tier that has intervals."""
    text = _text(path)
    reader = _Reader(path, text)
    if not reader.string().startswith("ooTextFile") or reader.string() != "TextGrid":
        raise DataError(f"{path}: no TextGrid: wanted one in Praat's text format")
    reader.number(), reader.number()  # where it begins and ends
    if reader.next("flag") == "absent":
        return
    for _ in range(reader.count()):
        kind, name = reader.string(), reader.string()
        reader.number(), reader.number()
        if kind == "IntervalTier":
            yield name, [Interval(reader.number(), reader.number(), reader.string()) for _ in range(reader.count())]
        elif kind == "TextTier":
            for _ in range(reader.count()):
                reader.number(), reader.string()
        else:
            raise DataError(f"{path}: a tier of the class {kind!r}, wanted IntervalTier or TextTier")


def _text(path: Path) -> str:
    """Praat writes UTF-16 where a label asks for it. Raises DataError."""
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
            return data.decode("utf-16")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not in UTF-16: {error}") from error
    return read_text(path)


class _Reader:
    """The values of a file, one after the other. Raises DataError, with the line, where another kind stands there."""

    def __init__(self, path: Path, text: str):
        self.path, self.text = path, text
        self.matches = (match for match in TOKEN.finditer(text) if match.lastgroup)

    def next(self, kind: str) -> str:
        match = next(self.matches, None)
        if match is None:
            raise DataError(f"{self.path}: ends where a {kind} is wanted: no TextGrid, or a cut one")
        if match.lastgroup != kind:
            line = self.text.count("\n", 0, match.start()) + 1
            raise DataError(f"{self.path}:{line}: found {match[0][:50]}, wanted a {kind}, as TextGrids have it there")
        return match[kind]

    def string(self) -> str:
        return self.next("string").replace('""', '"')

    def number(self) -> float:
        return float(self.next("number"))

    def count(self) -> int:
        return int(self.number())
