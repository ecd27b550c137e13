"""sclite's TRN: `words (id)`; {a / b / @} are alternatives, @ none, and (uh) a word that may be missing.

A speaker's name goes before the first hyphen of an id, else before the first underscore, as in sclite's `-i spu_id`.
https://github.com/usnistgov/SCTK/blob/master/doc/infmts.htm
"""

import re
from collections.abc import Iterator
from pathlib import Path

from asr.errors import DataError
from asr.evaluation.transcripts.alternatives import without_tags
from asr.evaluation.transcripts.rows import Row, lines_of, listed

TRN = re.compile(r"(?P<words>.*?)\s*\((?P<id>[^()\s]+)\)\s*")


def read_trn(path: Path, hypotheses: bool) -> Iterator[Row]:
    """Without tags; with speakers, where ids name them. Raises DataError for lines of another shape."""
    wrong = []
    for number, line in enumerate(lines_of(path), start=1):
        match = TRN.fullmatch(line)
        if is_comment(line):
            continue
        if match is None:
            wrong.append(f"line {number}: {line.strip()!r}")
        else:
            speaker, separator, _ = match["id"].partition("-" if "-" in match["id"] else "_")
            yield Row(number, match["id"], without_tags(match["words"]), speaker if speaker and separator else None)
    if wrong:
        raise DataError(f"{path}: wanted `words (id)` on each line, found {listed(wrong)}")


def is_comment(line: str) -> bool:
    """Whether a line of TRN, STM or CTM says nothing."""
    return not line.strip() or line.startswith(";;")


def is_trn(lines: list[str]) -> bool:
    return bool(lines) and all(TRN.fullmatch(line) for line in lines if not line.startswith(";;"))
