"""What every reader of transcripts gives, and how they read lines and tell mistakes."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from asr.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

LISTED = 10  # ids or lines that one message lists; the others are counted


class Row(NamedTuple):
    """A transcript with its place in the file."""

    number: int
    id: str
    text: str
    speaker: str | None = None
    duration: float = 0.0  # seconds; 0 where it is not told


def read_text(path: Path) -> str:
    """All of a file. Raises DataError where it cannot be read, or is not in UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not in UTF-8: {error}") from error


def lines_of(path: Path) -> list[str]:
    """Its lines. Raises DataError as `read_text` does."""
    text = read_text(path)
    # Not splitlines(): a text may hold other characters that it takes for line ends.
    return text.removesuffix("\n").split("\n") if text else []


def listed(items: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(items) - LISTED
    return ", ".join(items[:LISTED]) + (f" and {more} more" if more > 0 else "")


def unpaired(wanted: Sequence[str], found: Sequence[str], key: Callable[[str], str] = str) -> str:
    """Which names of references have no hypothesis, and the other way round; "" of none. key: what is compared."""
    left, right = ({key(name) for name in names} for names in (wanted, found))
    sides = (
        ([name for name in wanted if key(name) not in right], "without a hypothesis"),
        ([name for name in found if key(name) not in left], "without a reference"),
    )
    return "; ".join(f"{len(names)} {what}: {listed(names)}" for names, what in sides if names)


def each_row(path: Path, rows: Iterable[tuple[str, T]], read: Callable[[T], R], wanted: str) -> list[R]:
    """What is read of all rows, each with its place before it. Raises DataError naming the places that cannot be."""
    found, wrong = [], []
    for place, row in rows:
        try:
            found.append(read(row))
        except (ValueError, RecursionError, DataError) as error:
            wrong.append(f"{place}: {error}")
    if wrong:
        raise DataError(f"{path}: wanted {wanted}, found {listed(wrong)}")
    return found
