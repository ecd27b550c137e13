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
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asr.errors import CorpusError

if TYPE_CHECKING:
    from asr.data.corpora.base import Archive

CHUNK = 1 << 20  # bytes
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
    `target`, for members and links that would lead out of it, for devices and pipes, and for damaged
    archives.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        if tarfile.is_tarfile(path):
            _unpack_tar(path, target, progress)
        elif zipfile.is_zipfile(path):
            _unpack_zip(path, target, progress)
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


def _unpack_tar(path: Path, target: Path, progress: bool) -> None:
    bar = _bar(f"unpacking {path.name}", path.stat().st_size, progress)
    with path.open("rb") as file, bar as shown, tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            shown.update(file.tell() - shown.n)
            place = _inside(path, target, member.name)
            if member.issym():
                link = os.path.join(os.path.dirname(member.name), member.linkname)
                _inside(path, target, link, f"link {member.name} to ")
            elif member.islnk():  # names an earlier member by its path in the archive
                twin = _inside(path, target, member.linkname, f"link {member.name} to ")
                with twin.open("rb") as content:
                    _write(place, path, content, twin.stat().st_size)
            elif member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                found = archive.extractfile(member)
                assert found is not None  # a regular file has content
                _write(place, path, found, member.size)
            else:
                raise CorpusError(f"{path}: member {member.name!r} is a device or pipe; not unpacked")


def _unpack_zip(path: Path, target: Path, progress: bool) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.compress_size for member in members)
        with _bar(f"unpacking {path.name}", total, progress) as bar:
            for member in members:
                place = _inside(path, target, member.filename)
                if stat.S_ISLNK(member.external_attr >> 16):
                    link = os.path.join(
                        os.path.dirname(member.filename), archive.read(member).decode("utf-8", "replace")
                    )
                    _inside(path, target, link, f"link {member.filename} to ")
                elif member.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                else:
                    with archive.open(member) as content:
                        _write(place, path, content, member.file_size)
                bar.update(member.compress_size)


def _inside(path: Path, target: Path, name: str, what: str = "") -> Path:
    """Where the member belongs. Raises CorpusError if that is not below `target`."""
    flat = os.path.normpath(name.replace("\\", "/"))
    if os.path.isabs(flat) or flat.split("/")[0] == ".." or re.match("[A-Za-z]:", flat) or "\0" in flat:
        raise CorpusError(f"{path}: {what}{name!r} would lie outside {target}; the archive is not to be trusted")
    place = target / flat
    # `unpack` makes no links, but the folder may have held one before
    if not place.resolve().is_relative_to(target.resolve()):
        raise CorpusError(f"{path}: {place} leads out of {target} by a link that was there before")
    return place


def _write(place: Path, path: Path, content: IO[bytes], size: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        shutil.copyfileobj(content, file, CHUNK)
    if place.stat().st_size != size:
        raise CorpusError(f"{path}: damaged or cut short: {place.name} has {place.stat().st_size} of {size} bytes")
