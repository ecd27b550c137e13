"""Transcripts that may be read in several ways, and the readings of a reference and a hypothesis that fit best.

`{ a b / c / @ }` is one of its alternatives, and an alternative may have alternatives; `@` is no word; `(uh)` is a word
or none. What follows a semicolon is a tag and no part of the word, `word;tag;tag`, unless a backslash stands before it.
As NIST's formats have them: https://github.com/usnistgov/SCTK/blob/master/doc/infmts.htm
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from asr.errors import DataError

OUTSIDE = re.compile(r"[{}]|[^\s{}]+")
WITHIN = re.compile(r"[{}/]|(?:\\.|[^\s{}/])+")  # where a slash parts alternatives, unless a backslash stands before it
TAGS = re.compile(r"(?<!\\);(?:\\.|[^\s{}/])*")
NONE = "@"
ERROR = 1 << 20  # costs; the fewest errors come first, whatever the others
SUBSTITUTION = ERROR + 1  # of the readings with as many errors that with the most hits
LEFT_OUT = 2  # an optional word: rather another is found in its place, as sclite has it


def without_tags(text: str) -> str:
    return TAGS.sub("", text).replace("\\;", ";").strip()


def has_alternatives(text: str) -> bool:
    return "{" in text or bool(re.search(r"(?:^|\s)(?:\([^()\s]+\)|@)(?:\s|$)", text))


class Arc(NamedTuple):
    """A word between two places of a transcript; an empty one is no word."""

    start: int
    word: str
    cost: int = 0


Lattice: TypeAlias = list[list[Arc]]
"""The arcs into each place, which come from earlier ones. The first place has none, and the last is the end."""
Read: TypeAlias = "tuple[str, Read] | None"
"""The words read so far, the last one first."""


class Way(NamedTuple):
    """How a place of the reference and one of the hypothesis are reached."""

    cost: int
    reference: Read
    hypothesis: Read


def best_readings(wanted: Lattice, found: Lattice) -> tuple[str, str]:
    """The reading of a reference and that of a hypothesis with the fewest errors between them.

    Exact, by the edit distance between two lattices of words.
    """
    before = Way(0, None, None)
    ways: list[list[Way]] = []
    for i, into in enumerate(wanted):
        row: list[Way] = []
        for j, others in enumerate(found):
            row.append(min(_ways(ways, row, into, others), key=lambda way: way.cost) if i or j else before)
        ways.append(row)
    best = ways[-1][-1]
    return _words(best.reference), _words(best.hypothesis)


def _ways(ways: list[list[Way]], row: list[Way], into: list[Arc], others: list[Arc]) -> Iterator[Way]:
    """All last steps to a place of each: a word of both, of the reference alone, of the hypothesis alone."""
    place = len(row)
    for arc in into:
        for other in others:
            if arc.word and other.word:
                way = ways[arc.start][other.start]
                cost = way.cost + (0 if arc.word == other.word else SUBSTITUTION)
                yield Way(cost, (arc.word, way.reference), (other.word, way.hypothesis))
    for arc in into:
        way = ways[arc.start][place]
        if arc.word:
            yield Way(way.cost + ERROR, (arc.word, way.reference), way.hypothesis)
        else:
            yield way._replace(cost=way.cost + arc.cost)
    for other in others:
        way = row[other.start]
        if other.word:
            yield Way(way.cost + ERROR, way.reference, (other.word, way.hypothesis))
        else:
            yield way._replace(cost=way.cost + other.cost)


def _words(read: Read) -> str:
    words = []
    while read:
        word, read = read
        words.append(word)
    return " ".join(reversed(words))


def chain(text: str, write: Callable[[str], str] = str) -> Lattice:
    """The one reading of a text in which braces and parentheses mean nothing."""
    return [[], *([Arc(i, word)] for i, word in enumerate(write(text).split()))]


def lattice(text: str, write: Callable[[str], str] = str) -> Lattice:
    """All readings, with words as `write` writes them. Raises DataError for braces that do not match."""
    arcs: Lattice = [[]]
    parts = _Parts(text)
    _sequence(parts, 0, arcs, write)
    if parts.depth:
        raise DataError(f"{text!r}: found a {{ without its }}")
    return arcs


class _Parts:
    """The words and signs of a text one by one. A slash is a sign within braces alone: elsewhere words may have it."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def next(self) -> str:
        """The next one; "" at the end. Raises DataError for a } without its {."""
        match = (WITHIN if self.depth else OUTSIDE).search(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        self.depth += {"{": 1, "}": -1}.get(match[0], 0)
        if self.depth < 0:
            raise DataError(f"{self.text!r}: found a }} without its {{")
        return match[0]


def _sequence(parts: _Parts, place: int, arcs: Lattice, write: Callable[[str], str]) -> tuple[int, str]:
    """Add the words up to the end of an alternative; the place where it ends, and the sign behind it."""
    while (part := parts.next()) not in ("", "}", "/"):
        if part == "{":
            ends, sign = [], "/"
            while sign == "/":
                end, sign = _sequence(parts, place, arcs, write)
                ends.append(end)
            arcs.append([Arc(end, "") for end in dict.fromkeys(ends)])
            place = len(arcs) - 1
        elif part != NONE:
            optional = part[0] == "(" and part[-1] == ")" and len(part) > 2
            start = place
            for word in write(part[1:-1] if optional else part.replace("\\/", "/")).split():
                arcs.append([Arc(place, word)])
                place = len(arcs) - 1
            if optional:
                arcs.append([Arc(place, ""), Arc(start, "", LEFT_OUT)])
                place = len(arcs) - 1
    return place, part
