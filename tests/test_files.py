"""Files that are whole or not there, whoever else writes them and whatever interrupts; folders that go afterwards."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from asr.files import SPOOL, adding, replacing, spool

WRITER = """
import sys
from asr.files import replacing
text = sys.argv[2] * 5000
for _ in range(200):
    with replacing(sys.argv[1]) as file:
        file.write(text)
"""
ADDER = """
import sys
from asr.files import adding
for number in range(300):
    with adding(sys.argv[1]) as file:
        file.write(f"{sys.argv[2]} {number} " + "x" * 5000 + "\\n")
"""
SPOOLER = """
import sys, time
from asr.files import spool
with spool() as folder:
    (folder / "copy").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


def python(code: str, *words: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **options)  # type: ignore[call-overload,no-any-return]


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    """None fails, and whoever reads sees the text of one of them, whole."""
    path = tmp_path / "a.txt"
    path.write_text("a" * 5000, encoding="utf-8")
    writers = [python(WRITER, str(path), letter) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(path.read_text(encoding="utf-8"))
    assert [writer.communicate()[1] for writer in writers] == [""] * 3
    assert seen <= {letter * 5000 for letter in "abc"} and len(seen) > 1
    assert os.listdir(tmp_path) == ["a.txt"]


def test_lines_that_several_processes_add(tmp_path: Path) -> None:
    """None is lost, and each is whole."""
    path = tmp_path / "new" / "lines.txt"
    adders = [python(ADDER, str(path), letter) for letter in "abc"]
    assert [adder.communicate()[1] for adder in adders] == [""] * 3
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(f"{letter} {number} {'x' * 5000}" for letter in "abc" for number in range(300))


def test_a_line_is_never_added_to_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("whole\nhal", encoding="utf-8")
    for line in ("ö\n", "next\n"):
        with adding(path) as file:
            file.write(line)
            file.flush()
            assert path.read_text(encoding="utf-8").endswith(line)
    assert path.read_text(encoding="utf-8") == "whole\nhal\nö\nnext\n"


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom asr.files import replacing\n"
        "with replacing(sys.argv[1]) as file:\n    file.write('x')\n    os.kill(os.getpid(), 9)"
    )
    writer = python(code, str(tmp_path / "a"))
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1
    with replacing(tmp_path / "a") as file:
        file.write("whole")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text(encoding="utf-8") == "whole"


def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path: Path) -> None:
    """As a limit of a file's size does: the system refuses to write on."""
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")
    code = (
        "import resource, sys\nfrom asr.files import replacing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n    with replacing(sys.argv[1]) as file:\n        file.write('x' * 100_000)\n"
        "except OSError as error:\n    print(error.errno, error.filename)"
    )
    out, error = python(code, str(tmp_path / "a.txt")).communicate()
    assert (out, error) == (f"{errno.EFBIG} {tmp_path / 'a.txt'}\n", "")
    assert os.listdir(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("file")
    with replacing(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text(encoding="utf-8") == "new"
    with replacing(os.devnull) as file:
        file.write("new")
    assert not Path(os.devnull).is_file()


def test_permissions_are_as_ever(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x", encoding="utf-8")
    with replacing(tmp_path / "a") as outer, replacing(tmp_path / "a") as inner:
        outer.write("1")
        inner.write("2")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "a").read_text(encoding="utf-8") == "1"  # the last to be whole


def test_spool_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, living = (python(SPOOLER, env={**os.environ, "TMPDIR": str(tmp_path)}) for _ in range(2))
    try:
        assert killed.stdout and living.stdout
        gone, kept = Path(killed.stdout.readline().strip()), Path(living.stdout.readline().strip())
        (tmp_path / f"{SPOOL}other").mkdir()  # of somebody who has not locked it yet
        killed.kill()
        killed.communicate()
        assert gone.exists()
        with spool() as folder:
            assert not gone.parent.exists() and (kept / "copy").exists() and not list(folder.iterdir())
        assert {path.name for path in tmp_path.iterdir()} == {kept.parent.name, f"{SPOOL}other"}
    finally:
        living.kill()
        living.communicate()
