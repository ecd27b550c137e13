"""Plain text, line by line; and Kaldi's `text`, `id words`."""

import re
from collections.abc import Iterator
from pathlib import Path

from asr.evaluation.transcripts.rows import Row, lines_of

ID = re.compile(r"^(?=.*\d).{2,}$")


def read_plain(path: Path, hypotheses: bool) -> Iterator[Row]:
    """A transcript on each line; ids are the lines' numbers, from "1"."""
    for number, line in enumerate(lines_of(path), start=1):
        yield Row(number, str(number), line.strip())


def read_kaldi(path: Path, hypotheses: bool) -> Iterator[Row]:
    """`id words`, a space or a tab between."""
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip():
            # A path may hold spaces: then a tab ends it.
            name, _, text = line.strip(" ").partition("\t") if "\t" in line else line.strip().partition(" ")
            yield Row(number, name, text.strip())


def is_kaldi(lines: list[str]) -> bool:
    """Whether the first fields are ids, that is, all different and with a digit, or end with a tab."""
    first = [line.split("\t" if "\t" in line else None, 1)[0] for line in lines]
    tabs = all("\t" in line for line in lines)
    return bool(lines) and len(set(first)) == len(first) and (tabs or all(ID.search(word) for word in first))
