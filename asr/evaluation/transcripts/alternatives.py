"""References that may be read in several ways, and the reading that fits a hypothesis best.

`{ a b / c / @ }` is one of its alternatives, @ being no word; `(uh)` is a word or none. As NIST's formats have them.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from asr.errors import DataError

PART = re.compile(r"\{|\}|/|\([^()\s]+\)|[^\s{}]+")
NONE = "@"


class Arc(NamedTuple):
    """A word from one place of a reference to a later one; an empty one is no word."""

    start: int
    word: str


def has_alternatives(text: str) -> bool:
    return "{" in text or bool(re.search(r"(?:^|\s)\([^()\s]+\)(?:\s|$)", text))


Read: TypeAlias = "tuple[str, Read] | None"
"""The words read so far, the last one first."""
Row: TypeAlias = list[tuple[int, Read]]
"""For each number of words of the hypothesis: the fewest errors, and the words of the reference on the way."""


def best_reading(text: str, hypothesis: str, write: Callable[[str], str] = str) -> str:
    """The reading of a reference that takes the fewest errors to get from a hypothesis, both as `write` writes them.

    Exact, by the edit distance between a lattice of words and a string. Raises DataError for braces that do not match.
    """
    arcs, last = _lattice(text, write)
    found = write(hypothesis).split()
    rows: list[Row] = [[(j, None) for j in range(len(found) + 1)]]
    for place in range(1, last + 1):
        ways = [_step(rows[arc.start], arc.word, found) for arc in arcs[place]]
        rows.append([min(column, key=lambda way: way[0]) for column in zip(*ways, strict=True)])
    words, read = [], rows[last][-1][1]
    while read:
        word, read = read
        words.append(word)
    return " ".join(reversed(words))


def _step(before: Row, word: str, found: list[str]) -> Row:
    """One arc further."""
    if not word:
        return before
    row: Row = []
    for j, (errors, read) in enumerate(before):
        ways: Row = [(errors + 1, (word, read))]  # deleted
        if j:
            errors, read = before[j - 1]
            ways.append((errors + (word != found[j - 1]), (word, read)))
            ways.append((row[j - 1][0] + 1, row[j - 1][1]))  # inserted
        row.append(min(ways, key=lambda way: way[0]))
    return row


def _lattice(text: str, write: Callable[[str], str]) -> tuple[dict[int, list[Arc]], int]:
    """The arcs into each place, each from an earlier one, and the last place."""
    arcs: dict[int, list[Arc]] = {}
    place = 0
    for options in _options(text):
        chains = [[word for part in option for word in write(part).split()] or [""] for option in options]
        # Alternatives meet in a place after all those within them.
        free, meeting = place + 1, place + 1 + sum(len(chain) - 1 for chain in chains)
        for chain in chains:
            places = [place, *range(free, free + len(chain) - 1), meeting]
            free += len(chain) - 1
            for (start, end), word in zip(pairwise(places), chain, strict=True):
                arcs.setdefault(end, []).append(Arc(start, word))
        place = meeting
    return arcs, place


def _options(text: str) -> Iterator[list[list[str]]]:
    """For each part of a reference the ways to read it, each a list of words."""
    options: list[list[str]] | None = None
    for part in PART.findall(text):
        if part == "{":
            if options is not None:
                raise DataError(f"{text!r}: alternatives within alternatives")
            options = [[]]
        elif part == "}":
            if options is None:
                raise DataError(f"{text!r}: found a }} without its {{")
            yield options
            options = None
        elif options is None:
            yield [[part[1:-1]], []] if part[0] == "(" and part[-1] == ")" and len(part) > 2 else [[part]]
        elif part == "/":
            options.append([])
        elif part != NONE:
            options[-1].append(part)
    if options is not None:
        raise DataError(f"{text!r}: found a {{ without its }}")
