"""Downloads from a server on this machine that breaks, refuses and changes; archives that are damaged or malicious."""

import hashlib
import http.server
import io
import random
import resource
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from asr.data.corpora.base import Archive
from asr.data.corpora.download import fetch, is_unpacked, unpack, unpack_once
from asr.errors import CorpusError

CONTENT = bytes(range(256)) * 2000  # 512 kB


@dataclass
class Site:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True
    length: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes sent of each answer before the connection drops
    answers: list[int] = field(default_factory=list)  # statuses given before any content
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.answers:
                self.send_error(state.answers.pop(0))
                return
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range", state.etag) == state.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(state.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(state.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            else:
                self.send_response(200)
            body = state.content[start:]
            self.send_header("ETag", state.etag)
            if state.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.break_after.pop(0)] if state.break_after else body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/corpus.tar.gz"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def archive(site: Site, **known: Any) -> Archive:
    return Archive(site.url, **known)


def get(site: Site, folder: Path, **known: Any) -> Path:
    return fetch(archive(site, **known), folder, progress=False, pause=0.001)


def test_downloads_and_verifies_once(site: Site, tmp_path: Path) -> None:
    known = {
        "md5": hashlib.md5(CONTENT).hexdigest(),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size": len(CONTENT),
    }
    path = get(site, tmp_path / "new", **known)
    assert path == tmp_path / "new" / "corpus.tar.gz"
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["corpus.tar.gz"]
    assert get(site, tmp_path / "new", **known) == path
    assert site.asked == [None]


def test_a_broken_connection_is_resumed_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.break_after = [100_000, 50_000]
    path = get(site, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert path.read_bytes() == CONTENT
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.break_after = [70_000, *[0] * 9]
    with pytest.raises(CorpusError, match=r"broke after 70,000 of 512,000 bytes.*goes on from there"):
        get(site, tmp_path)
    assert (tmp_path / "corpus.tar.gz.part").stat().st_size == 70_000
    site.break_after, site.asked = [], []
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == ["bytes=70000-"]


def test_a_whole_part_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz.part").write_bytes(CONTENT)
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == ["bytes=512000-"]


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz.part").write_bytes(CONTENT + b"more")
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_starts_anew_when_the_file_has_changed(site: Site, tmp_path: Path) -> None:
    site.break_after = [70_000, *[0] * 9]
    with pytest.raises(CorpusError):
        get(site, tmp_path)
    site.break_after, site.etag, site.content = [], '"two"', CONTENT[::-1]
    assert get(site, tmp_path).read_bytes() == CONTENT[::-1]


def test_starts_anew_where_the_server_knows_no_ranges(site: Site, tmp_path: Path) -> None:
    site.ranges, site.break_after = False, [1000]
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_works_without_a_length(site: Site, tmp_path: Path) -> None:
    site.length = False
    assert get(site, tmp_path, size=len(CONTENT)).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_wrong_checksum_names_both_and_leaves_nothing(site: Site, tmp_path: Path, kind: str) -> None:
    wanted = "0" * 64 if kind == "sha256" else "0" * 32
    found = hashlib.new(kind, CONTENT).hexdigest()
    with pytest.raises(CorpusError, match=f"{kind} {found}, wanted {wanted}"):
        get(site, tmp_path, **{kind: wanted})
    assert not list(tmp_path.glob("corpus.tar.gz*[!n]"))


def test_wrong_size(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"bytes 512,000, wanted 5"):
        get(site, tmp_path, size=5)


def test_a_spoiled_copy_is_noticed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz").write_bytes(b"spoiled")
    with pytest.raises(CorpusError, match="Delete it"):
        get(site, tmp_path, md5=hashlib.md5(CONTENT).hexdigest())


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.answers = [503, 429]
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_a_refusal_is_final(site: Site, tmp_path: Path) -> None:
    site.answers = [404]
    with pytest.raises(CorpusError, match="404"):
        get(site, tmp_path)
    assert len(site.asked) == 1


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="in a row"):
        fetch(Archive("http://127.0.0.1:1/x.zip"), tmp_path, progress=False, pause=0.0)


def test_progress_is_shown(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.answers = [503]
    fetch(archive(site), tmp_path, progress=True, pause=0.001)
    assert "503" in capsys.readouterr().err  # the bar itself is for terminals


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpacks_tar(tmp_path: Path, mode: str) -> None:
    path = tar(
        tmp_path / "a.tar",
        (member("corpus", tarfile.DIRTYPE), b""),
        (member("corpus/wav/1.wav", mode=0o6777), b"sound"),
        (member("corpus/copy.wav", tarfile.LNKTYPE, "corpus/wav/1.wav"), b""),
        (member("corpus/link.wav", tarfile.SYMTYPE, "wav/1.wav"), b""),
        mode=mode,
    )
    unpack(path, tmp_path / "out", progress=False)
    sound = tmp_path / "out" / "corpus" / "wav" / "1.wav"
    assert sound.read_bytes() == b"sound"
    assert not sound.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)
    assert (tmp_path / "out" / "corpus" / "copy.wav").read_bytes() == b"sound"
    assert not (tmp_path / "out" / "corpus" / "link.wav").exists()


def test_unpacks_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("corpus/", "")
        file.writestr("corpus/deep/er/1.wav", b"sound")
    unpack(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "corpus" / "deep" / "er" / "1.wav").read_bytes() == b"sound"


EVIL_NAMES = ["../evil", "/tmp/evil", "a/../../evil", "..", "C:/evil", "..\\evil", "a/b/../../../evil"]


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_tar_members_stay_inside(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "a.tar", (member(name), b"x"))
    with pytest.raises(CorpusError, match="outside"):
        unpack(path, tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.tar", "out"}


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_zip_members_stay_inside(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, b"x")
    with pytest.raises(CorpusError, match="outside"):
        unpack(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.zip", "out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd"])
def test_tar_links_stay_inside(tmp_path: Path, kind: bytes, target: str) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    path = tar(tmp_path / "a.tar", (member("a/link", kind, target), b""), (member("a/link/evil"), b"x"))
    with pytest.raises(CorpusError, match="outside"):
        unpack(path, tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.tar", "out", "secret"}


def test_a_chain_of_links_leads_nowhere(tmp_path: Path) -> None:
    # each link alone stays inside; followed one through the other they would climb out
    path = tar(
        tmp_path / "a.tar",
        (member("a/b/one", tarfile.SYMTYPE, ".."), b""),
        (member("two", tarfile.SYMTYPE, "a/b/one/.."), b""),
        (member("two/../evil"), b"x"),
    )
    unpack(path, tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.tar", "out", "out/evil"}


def test_zip_links_stay_inside(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "../../secret")
    with pytest.raises(CorpusError, match="outside"):
        unpack(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.zip", "out"}


@pytest.mark.parametrize("name", ["door/evil", "door/folder/"])
def test_a_link_that_was_there_before_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "door").symlink_to(tmp_path / "elsewhere")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, b"")
    with pytest.raises(CorpusError, match="link"):
        unpack(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_devices_are_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", (member("null", tarfile.CHRTYPE), b""))
    with pytest.raises(CorpusError, match="device"):
        unpack(path, tmp_path / "out", progress=False)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_cut_tar_is_told(tmp_path: Path, mode: str, kept: float) -> None:
    noise = b"".join(hashlib.sha256(bytes([k])).digest() for k in range(256)) * 4
    path = tar(tmp_path / "a.tar", (member("1.wav"), noise), (member("2.wav"), noise), mode=mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CorpusError, match="cut short|neither"):
        unpack(path, tmp_path / "out", progress=False)


def test_a_damaged_zip_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("1.wav", bytes(10_000))
    content = bytearray(path.read_bytes())
    content[40] ^= 255
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="damaged"):
        unpack(path, tmp_path / "out", progress=False)


def test_a_link_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """A symbolic link's target is the member's content, which may unpack to anything."""
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(info, b"x" * 50_000_000)
        file.writestr("filler", random.Random(0).randbytes(1_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorpusError, match="link link to a path of 50,000,000 bytes") as caught:
        unpack(path, tmp_path / "out", progress=False)
    assert len(str(caught.value)) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB


def test_a_sparse_terabyte_is_not_written(tmp_path: Path) -> None:
    info = member("huge.wav")
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "huge.wav",
        "GNU.sparse.realsize": str(1 << 40),
    }  # fmt: skip
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        content = b"1\n0\n1\n".ljust(512, b"\0") + b"x"  # a map of one stretch: its offset and its length
        info.size = len(content)
        file.addfile(member("first.wav"), io.BytesIO(b""))
        file.addfile(info, io.BytesIO(content))
    with pytest.raises(CorpusError, match=r"'huge\.wav' has 1,099,511,627,776 bytes"):
        unpack(path, tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.tar", "out"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path, kind: str) -> None:
    path, zeros = tmp_path / f"a.{kind}", bytes(80_000_000)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("first.wav", b"sound")
            file.writestr("zeros.wav", zeros)
    else:
        tar(path, (member("first.wav"), b"sound"), (member("zeros.wav"), zeros), mode="w:gz")
    with pytest.raises(CorpusError, match=r"'zeros\.wav' has 80,000,000 bytes, with which .* unpack it by hand"):
        unpack(path, tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {path.name, "out"}


def test_a_damaged_archive_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "mine").write_text("mine", encoding="utf-8")
    path = tar(tmp_path / "a.tar", (member("a/b/1.wav"), b"x"), (member("c/2.wav"), b"x"), (member("../evil"), b"x"))
    with pytest.raises(CorpusError, match="outside"):
        unpack(path, tmp_path / "out", progress=False)
    assert everything_below(tmp_path) == {"a.tar", "out", "out/a", "out/a/mine"}


def test_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("hello", encoding="utf-8")
    with pytest.raises(CorpusError, match="neither a folder nor a tar or zip"):
        unpack(tmp_path / "a.tar", tmp_path / "out", progress=False)


def test_unpacks_once(tmp_path: Path) -> None:
    path, out = tar(tmp_path / "a.tar", (member("1.wav"), b"one")), tmp_path / "out"
    assert not is_unpacked("a.tar", out)
    unpack_once(path, out, progress=False)
    assert is_unpacked("a.tar", out)
    (out / "1.wav").write_bytes(b"mine")
    unpack_once(path, out, progress=False)
    assert (out / "1.wav").read_bytes() == b"mine"
    tar(path, (member("1.wav"), b"another"))
    unpack_once(path, out, progress=False)
    assert (out / "1.wav").read_bytes() == b"another"
