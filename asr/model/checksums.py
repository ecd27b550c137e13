"""SHA256SUMS in a model folder: what a copy of it, fetched from elsewhere, is compared with when it is loaded.

The format is sha256sum's, so that `sha256sum -c SHA256SUMS` in the folder does the same. It is written for folders that
are published; others have none. It tells a damaged file, of which many look like good ones: a digit of a weight, a
letter of a lexicon. It does not tell who made the folder.
"""

import hashlib
import re
from pathlib import Path

from asr.errors import ModelError

FILE = "SHA256SUMS"
LEFT_OUT = {FILE, "README.md"}  # the card may be written on
LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\]+)")


def write_checksums(folder: Path) -> None:
    """Of all files that lie in the folder itself, but for its card."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in LEFT_OUT)
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    (folder / FILE).write_text("".join(lines), encoding="utf-8", newline="\n")


def forget(folder: Path) -> None:
    """Of a folder that has been changed on purpose."""
    (folder / FILE).unlink(missing_ok=True)


def verify(folder: Path) -> None:
    """Compare the folder's files with its SHA256SUMS, where it has one. ModelError names the first that differs."""
    path = folder / FILE
    if not path.is_file():
        return
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not (match := LINE.fullmatch(line)):
                raise ModelError(f"{path}:{number}: found {line[:100]!r}, wanted a checksum and a file's name")
            wanted, name = match.groups()
            if (folder / name).is_file() and _sha256(folder / name) == wanted:
                continue
            what = "it is not what" if (folder / name).is_file() else "no such file, and"
            raise ModelError(
                f"{folder / name}: {what} {FILE} beside it says: the copy is damaged or incomplete, fetch it again. If "
                f"you changed the model yourself, delete {FILE}"
            )
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: the checksums cannot be compared: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
