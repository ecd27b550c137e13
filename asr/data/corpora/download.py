"""Downloads that resume and are verified, and unpacking that cannot write outside its folder."""

import errno
import hashlib
import http.client
import os
import re
import shutil
import stat
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asr.errors import CorpusError

if TYPE_CHECKING:
    from asr.data.corpora.base import Archive

CHUNK = 1 << 20  # bytes
RATIO = 100  # how many times an archive's size its members may have together; audio and text have far less
SMALL = 1 << 26  # bytes that they may have anyway
LONGEST_LINK = 4096  # bytes of the path that a symbolic link leads to
SHOWN = 200  # letters of a name, in messages
TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 5  # in a row that bring nothing
PAUSE = 1.0  # seconds before the second attempt; doubled each time


class _Broken(Exception):
    """The transfer stopped early, and trying again may help."""


def fetch(archive: "Archive", target_dir: Path, progress: bool = True, pause: float = PAUSE) -> Path:
    """Download to target_dir/<filename> and verify; returns that path. Does nothing if it is there already.

    What has come so far lies in <filename>.part, so a later call goes on where this one stopped (HTTP Range).
    Raises CorpusError: refused by the server, broken again and again, wrong size or checksum, no space.
    """
    target = target_dir / archive.filename
    if target.is_file():
        verify(target, archive, progress)
        return target
    target_dir.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    attempt = 0
    while True:
        before = _size(part)
        try:
            _transfer(archive, part, progress)
            break
        except _Broken as error:
            attempt = 0 if _size(part) > before else attempt + 1
            if attempt >= ATTEMPTS:
                raise CorpusError(
                    f"{archive.url}: {error}, {ATTEMPTS} times in a row. {_size(part):,} bytes are in {part}; "
                    "the same command goes on from there."
                ) from None
            wait = pause * 2**attempt
            if progress:
                print(f"{archive.filename}: {error}; trying again in {wait:.0f} s", file=sys.stderr)
            time.sleep(wait)
    try:
        verify(part, archive, progress)
    except CorpusError:
        part.unlink()  # going on from wrong bytes could never end well
        raise
    _validator_file(part).unlink(missing_ok=True)
    part.replace(target)
    return target


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _validator_file(part: Path) -> Path:
    """Holds the server's name for the version that .part is the beginning of (ETag or date)."""
    return part.with_name(part.name + ".version")


def _transfer(archive: "Archive", part: Path, progress: bool) -> None:
    """Bring `part` to its full length. Raises _Broken where it stopped early, CorpusError where trying is vain."""
    have = _size(part)
    request = urllib.request.Request(archive.url, headers={"User-Agent": "asr", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if _validator_file(part).exists():
            request.add_header("If-Range", _validator_file(part).read_text(encoding="ascii"))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            _receive(archive, part, response, have, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing lies beyond what we have: whole already, or of another version
            total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if total == str(have):
                return
            part.unlink()
            raise _Broken("the file on the server has changed") from None
        if error.code in (408, 429) or error.code >= 500:
            raise _Broken(f"the server answers {error.code} {error.reason}") from None
        raise CorpusError(f"{archive.url}: the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        if isinstance(error, OSError) and (error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)):
            raise CorpusError(f"{part}: cannot be written ({error.strerror})") from None
        raise _Broken(f"no connection, or a broken one ({getattr(error, 'reason', error)})") from None


def _receive(archive: "Archive", part: Path, response: Any, have: int, progress: bool) -> None:
    if response.status != 206 or not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        have = 0  # the server sends the whole file, not the rest of it
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    free = shutil.disk_usage(part.parent).free
    if length and int(length) > free:
        raise CorpusError(f"{archive.url}: {int(length):,} more bytes, but {part.parent} has room for {free:,}")
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    if version and not version.startswith("W/"):  # a weak ETag says nothing about bytes
        _validator_file(part).write_text(version, encoding="ascii")
    with part.open("ab" if have else "wb") as file, _bar(archive.filename, total, progress, have) as bar:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise _Broken(f"the connection broke after {_size(part):,} of {total:,} bytes")


def verify(path: Path, archive: "Archive", progress: bool = True) -> None:
    """Compare size and checksums with those that are known of `archive`. Raises CorpusError with both values."""
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        raise CorpusError(_differs(path, archive, "bytes", f"{size:,}", f"{archive.size:,}"))
    known = {"sha256": archive.sha256, "md5": archive.md5}
    hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind, wanted in known.items() if wanted}
    if not hashes:
        return
    with path.open("rb") as file, _bar(f"verifying {archive.filename}", size, progress) as bar:
        while chunk := file.read(CHUNK):
            for digest in hashes.values():
                digest.update(chunk)
            bar.update(len(chunk))
    for kind, digest in hashes.items():
        if digest.hexdigest() != known[kind]:
            raise CorpusError(_differs(path, archive, kind, digest.hexdigest(), str(known[kind])))


def _differs(path: Path, archive: "Archive", what: str, found: str, wanted: str) -> str:
    return (
        f"{path}: not what {archive.url} should be: {what} {found}, wanted {wanted}. Delete it and run the command "
        "again; if that ends the same way, the publisher has changed the file."
    )


@contextmanager
def _bar(label: str, total: int | None, progress: bool, initial: int = 0) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(
        total=total,
        initial=initial,
        desc=label,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=None if progress else True,  # None: no bar where the output is not a terminal
    ) as bar:
        yield bar


def unpack_once(path: Path, target: Path, progress: bool = True) -> None:
    """`unpack`, unless this archive (name, size and time) was unpacked into `target` before. Raises CorpusError."""
    state = path.stat()
    done = _done_mark(target, path.name)
    mark = f"{state.st_size} {state.st_mtime_ns}"
    if done.exists() and done.read_text(encoding="ascii") == mark:
        return
    unpack(path, target, progress)
    done.parent.mkdir(exist_ok=True)
    done.write_text(mark, encoding="ascii")


def is_unpacked(filename: str, target: Path) -> bool:
    """Whether an archive of this name was unpacked into `target`: then the archive itself may have been deleted."""
    return _done_mark(target, filename).exists()


def _done_mark(target: Path, filename: str) -> Path:
    return target / ".unpacked" / filename


def unpack(path: Path, target: Path, progress: bool = True) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into `target`.

    Only folders and files are made, with ordinary permissions: a hard link becomes a copy, and a symbolic one
    that stays inside is left out, for no corpus needs it. Raises CorpusError, with nothing written outside
    `target` and nothing left in it that was not there before, for members and links that would lead out of it, for
    devices and pipes, for more than the disk or any corpus holds, and for damaged archives.
    """
    target.mkdir(parents=True, exist_ok=True)
    into = _Target(path, target)
    try:
        with into:
            if tarfile.is_tarfile(path):
                _unpack_tar(path, into, progress)
            elif zipfile.is_zipfile(path):
                _unpack_zip(path, into, progress)
            else:
                raise CorpusError(f"{path}: neither a folder nor a tar or zip archive")
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise CorpusError(f"{path}: damaged or cut short ({error}); fetch it again") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be unpacked into {target} ({error})") from None


class _Target:
    """The folder that an archive is unpacked into. Left by an error, it takes back what it has made."""

    def __init__(self, archive: Path, folder: Path):
        self.archive, self.folder = archive, folder
        self.room = archive.stat().st_size * RATIO + SMALL  # bytes that the members may still have
        self.made: list[Path] = []  # files and folders, in the order in which they were made

    def __enter__(self) -> "_Target":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            return
        for path in reversed(self.made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()

    def inside(self, name: str, what: str = "") -> Path:
        """Where the member belongs. Raises CorpusError if that is not below the folder."""
        shown = name if len(name) <= SHOWN else name[:SHOWN] + "..."
        flat = os.path.normpath(name.replace("\\", "/"))
        if os.path.isabs(flat) or flat.split("/")[0] == ".." or re.match("[A-Za-z]:", flat) or "\0" in flat:
            raise CorpusError(
                f"{self.archive}: {what}{shown!r} would lie outside {self.folder}; the archive is not to be trusted"
            )
        place = self.folder / flat
        # `unpack` makes no links, but the folder may have held one before
        if not place.resolve().is_relative_to(self.folder.resolve()):
            raise CorpusError(f"{self.archive}: {place} leads out of {self.folder} by a link that was there before")
        return place

    def expect(self, size: int, name: str) -> None:
        """Raise CorpusError, before anything is written, where so many bytes are more than there can be."""
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise CorpusError(f"{self.archive}: {name!r} has {size:,} bytes, but {self.folder} has room for {free:,}")
        self.room -= size
        if size < 0 or self.room < 0:
            raise CorpusError(
                f"{self.archive}: {name!r} has {size:,} bytes, with which the members have more than {RATIO} times the "
                f"archive's {self.archive.stat().st_size:,}; it is damaged, or not to be trusted. If it is what it "
                "should be, unpack it by hand and give the folder as --source"
            )

    def make_folder(self, place: Path) -> None:
        if not place.is_dir():
            self.make_folder(place.parent)
            place.mkdir()
            self.made.append(place)

    def write(self, place: Path, content: IO[bytes], size: int) -> None:
        """A file of `size` bytes. Raises CorpusError where there are fewer or more."""
        self.make_folder(place.parent)
        if not place.exists():
            self.made.append(place)
        written = 0
        with place.open("wb") as file:
            while chunk := content.read(CHUNK):
                written += file.write(chunk)
                if written > size:
                    break
        if written != size:
            more = "more than " if written > size else f"{written} of "
            raise CorpusError(f"{self.archive}: damaged or cut short: {place.name} has {more}{size} bytes")


def _unpack_tar(path: Path, target: _Target, progress: bool) -> None:
    bar = _bar(f"unpacking {path.name}", path.stat().st_size, progress)
    with path.open("rb") as file, bar as shown, tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            shown.update(file.tell() - shown.n)
            place = target.inside(member.name)
            if member.issym():
                link = os.path.join(os.path.dirname(member.name), member.linkname)
                target.inside(link, f"link {member.name} to ")
            elif member.islnk():  # names an earlier member by its path in the archive
                twin = target.inside(member.linkname, f"link {member.name} to ")
                size = twin.stat().st_size
                target.expect(size, member.name)
                with twin.open("rb") as content:
                    target.write(place, content, size)
            elif member.isdir():
                target.make_folder(place)
            elif member.isreg():
                target.expect(member.size, member.name)
                found = archive.extractfile(member)
                assert found is not None  # a regular file has content
                target.write(place, found, member.size)
            else:
                raise CorpusError(f"{path}: member {member.name!r} is a device or pipe; not unpacked")


def _unpack_zip(path: Path, target: _Target, progress: bool) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:  # all sizes are known before the first byte is written
            target.expect(member.file_size, member.filename)
        total = sum(member.compress_size for member in members)
        with _bar(f"unpacking {path.name}", total, progress) as bar:
            for member in members:
                place = target.inside(member.filename)
                if stat.S_ISLNK(member.external_attr >> 16):
                    with archive.open(member) as content:
                        link = content.read(LONGEST_LINK + 1).decode("utf-8", "replace")
                    if len(link) > LONGEST_LINK:
                        raise CorpusError(
                            f"{path}: link {member.filename} to a path of {member.file_size:,} bytes; the archive is "
                            "not to be trusted"
                        )
                    target.inside(os.path.join(os.path.dirname(member.filename), link), f"link {member.filename} to ")
                elif member.is_dir():
                    target.make_folder(place)
                else:
                    with archive.open(member) as content:
                        target.write(place, content, member.file_size)
                bar.update(member.compress_size)
