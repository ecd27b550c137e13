"""Files to read from any place: on a disk, or out of a pipe."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from asr.errors import AudioError
from asr.files import spool


@contextmanager
def open_file(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file, unbuffered. What comes out of a pipe is copied first: formats need to go back and forth.

    Raises AudioError where it is missing, empty, a folder or a device, or may not be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{path}: is a folder, not a file")
        if is_pipe(path):
            with spool() as folder:
                copy = os.path.join(folder, "audio")
                with open(path, "rb") as pipe, open(copy, "wb") as target:
                    shutil.copyfileobj(pipe, target)
                with open_file(copy) as file:
                    yield file
            return
        if not stat.S_ISREG(mode):
            raise AudioError(f"{path}: is a device, not a file")
        file = open(path, "rb", buffering=0)  # noqa: SIM115
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        raise AudioError(f"{path}: cannot be opened: {getattr(error, 'strerror', error)}") from error
    with file:
        if not file.seek(0, os.SEEK_END):
            raise AudioError(f"{path}: the file is empty (0 bytes)")
        yield file


def is_pipe(path: Path | str) -> bool:
    """Whether what is there can be read once, as of `<(command)` or /dev/stdin."""
    mode = os.stat(path).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
