"""Files that are whole or not there, files that only grow, and folders for the time being; whatever interrupts."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows has other locks
    fcntl = None  # type: ignore[assignment]

SPOOL = "asr-spool-"
LOCK = "lock"


@contextlib.contextmanager
def replacing(path: Path | str, binary: bool = False) -> Iterator[IO[Any]]:
    """A file that takes the place of `path` once all of it is written, in UTF-8 unless binary; makes its folder.

    Any number of processes may write the same path: readers see one writer's file, whole. An error, of a full disk say,
    leaves what was there before and nothing else; an OSError then names `path`. What a killed process leaves beside it
    is written over the next time.
    """
    named, path = path, Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    text: dict[str, Any] = {} if binary else {"encoding": "utf-8", "newline": "\n"}
    mode = "wb" if binary else "w"
    if path.exists() and not path.is_file():  # a pipe or device, as /dev/stdout, is written as it is
        with path.open(mode, **text) as file:
            yield file
        return
    part, descriptor = _part(path)
    try:
        with os.fdopen(descriptor, mode, **text) as file:
            # All that follows while it is locked, so that no other writer takes it for a killed one's.
            try:
                yield file
                file.flush()
                if fcntl:
                    os.replace(part, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink()
                raise
        if not fcntl:  # Windows moves no open file
            os.replace(part, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(part)):
            raise OSError(error.errno, os.strerror(error.errno), str(named)) from error
        raise


@contextlib.contextmanager
def adding(path: Path | str) -> Iterator[IO[str]]:
    """A file to add whole lines to, in UTF-8; makes it and its folder. Other processes that do the same wait meanwhile.

    What is added after `flush` is there for all to read, whatever happens then. A line that a full disk or a killed
    process left half written is ended first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        if fcntl:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        if not _ends_a_line(path):
            file.write("\n")
        yield file


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _part(path: Path) -> tuple[Path, int]:
    """Where the file is written first, and its descriptor: empty, and locked until it is closed."""
    # Short, however long the file's name is; the same next time, so that nothing is left of a killed process.
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    part = path.with_name(f".{digest}.part")
    if fcntl:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        if _locked(descriptor) and _is_at(descriptor, part):
            os.ftruncate(descriptor, 0)
            return part, descriptor
        os.close(descriptor)
    # Another process is writing the same path now: a name of our own.
    descriptor, name = tempfile.mkstemp(prefix=f".{digest}.", suffix=".part", dir=path.parent)
    os.chmod(name, 0o666 & ~_umask())
    if fcntl:
        _locked(descriptor)
    return Path(name), descriptor


def _locked(descriptor: int) -> bool:
    """Whether the file is ours now. The lock goes with the process, however that ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still at that path: who had it before may have moved it between our two steps."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def spool() -> Iterator[Path]:
    """A folder for the time being. Those that killed processes left behind are removed first."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=SPOOL, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if not fcntl:
            yield folder
            return
        with (folder / LOCK).open("wb") as lock:
            _locked(lock.fileno())
            lock.write(b"of the process that uses this folder\n")
            lock.flush()  # an empty one is not locked yet
            (folder / "files").mkdir()
            yield folder / "files"


def _sweep() -> None:
    """Remove the spool folders of this user whose processes are gone, and their locks with them."""
    if not fcntl:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{SPOOL}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("rb+") as lock:
                if _locked(lock.fileno()) and lock.read(1):
                    shutil.rmtree(folder, ignore_errors=True)
