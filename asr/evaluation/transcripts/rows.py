"""What every reader of transcripts gives, and how they read lines and tell mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asr.errors import DataError

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
