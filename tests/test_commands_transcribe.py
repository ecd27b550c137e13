"""`asr transcribe` over many inputs: what it finds, names, skips and survives."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli import main
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.model import folder as model_folder
from asr.transcription.record import RECORD
from tests.damage import damaged
from tests.tone_model import RATE, say
from tests.transcribing import outputs, write_recordings


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings, which is also the working folder."""
    monkeypatch.chdir(tmp_path)
    write_recordings()
    Path("in/x/notes.txt").write_text("no sound", encoding="utf-8")
    Path("in/x/._b.flac").write_bytes(b"what macOS leaves behind")
    return tmp_path


def test_prints_path_and_text_in_order(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["transcribe", "in/y/z/a.wav", "in", "in/a.wav", "--model", model]) == 0
    assert capsys.readouterr().out == ("in/y/z/a.wav\tBEE\nin/a.wav\tBAD\nin/x/a.wav\tCAB\nin/x/b.flac\tFACE\n")


def test_a_folder_is_mirrored_and_formats_stand_side_by_side(model: str, inside: Path) -> None:
    assert main(["transcribe", "in", "--model", model, "--output-dir", "out", "--format", "txt", "srt", "json"]) == 0
    found = outputs("out")
    stems = {"a": "BAD", "x/a": "CAB", "x/b": "FACE", "y/z/a": "BEE"}
    assert set(found) == {f"{stem}.{ending}" for stem in stems for ending in ("txt", "srt", "json")}
    for stem, text in stems.items():
        assert found[f"{stem}.txt"] == f"{text}\n"
        assert json.loads(found[f"{stem}.json"])["text"] == text
        assert found[f"{stem}.srt"].startswith("1\n00:00:00,")


def test_all_formats(model: str, inside: Path) -> None:
    assert main(["transcribe", "in/a.wav", "--model", model, "--output-dir", "out", "--format", "all"]) == 0
    assert set(outputs("out")) == {f"a.{ending}" for ending in ("txt", "json", "srt", "vtt", "tsv", "ctm")}


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["in/a.wav", "in/x/a.wav"], {"a", "x/a"}),
        (["in/x", "in/y"], {"x/a", "x/b", "y/z/a"}),
        (["in/x/*"], {"a", "b"}),
        (["in/**/a.wav"], {"a", "x/a", "y/z/a"}),
    ],
)
def test_outputs_of_equal_stems_do_not_meet(model: str, inside: Path, inputs: list[str], names: set[str]) -> None:
    expected = 1 if inputs == ["in/x/*"] else 0  # notes.txt was asked for
    assert main(["transcribe", *inputs, "--model", model, "--output-dir", "out"]) == expected
    assert set(outputs("out")) == {f"{name}.txt" for name in names}


def test_files_that_differ_in_their_ending_alone_keep_it(model: str, inside: Path) -> None:
    soundfile.write("in/x/b.wav", say("JADE"), RATE)
    assert main(["transcribe", "in/x", "--model", model, "--output-dir", "out"]) == 0
    assert outputs("out") == {"a.txt": "CAB\n", "b.flac.txt": "FACE\n", "b.wav.txt": "JADE\n"}


def test_rows_of_a_manifest(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    soundfile.write("long.wav", np.concatenate([say("BAD"), say("CAB"), say("BEE")]), RATE)
    length = 0.2 + 3 * 0.12
    rows = [Utterance(f"u/{i}", "long.wav", length, offset=i * length) for i in (2, 0)]
    manifest.write("rows.jsonl", rows)
    assert main(["transcribe", "rows.jsonl", "--model", model]) == 0
    assert capsys.readouterr().out == "u/2\tBEE\nu/0\tBAD\n"
    assert main(["transcribe", "rows.jsonl", "in/a.wav", "--model", model, "--output-dir", "out"]) == 0
    assert outputs("out") == {"u_2.txt": "BEE\n", "u_0.txt": "BAD\n", "a.txt": "BAD\n"}


def test_a_manifest_to_train_on(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    soundfile.write("two.wav", np.concatenate([say("BAD"), say("CAB")]), RATE)
    soundfile.write("in/nobody.wav", say(""), RATE)
    length = 0.2 + 3 * 0.12
    row = Utterance("u/1", "two.wav", length, "what was said before", length, speaker="Zoë")
    manifest.write("rows.jsonl", [row])
    words = ["transcribe", "in", "rows.jsonl", "--model", model, "--format", "jsonl"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    Path("found.jsonl").write_text(printed, encoding="utf-8")
    found = {row.id: row for row in manifest.read("found.jsonl")}
    texts = {"u/1": "CAB", "a": "BAD", "nobody": "", "x/a": "CAB", "x/b": "FACE", "y/z/a": "BEE"}
    assert {name: row.pred_text for name, row in found.items()} == texts
    assert not any(row.text for row in found.values())
    assert found["u/1"] == Utterance(
        "u/1", str(inside / "two.wav"), length, offset=length, speaker="Zoë", pred_text="CAB",
        confidence=found["u/1"].confidence,
    )  # fmt: skip
    assert all(0.5 < (row.confidence or 0) <= 1 for name, row in found.items() if name != "nobody")
    assert json.loads(printed.splitlines()[2])["confidence"] == 0.0
    assert main([*words, "txt", "--output-dir", "out"]) == 0
    written = outputs("out")
    assert "".join(written[f"{name}.jsonl"] for name in ("u_1", "a", "nobody", "x/a", "x/b", "y/z/a")) == printed
    assert written["x/a.txt"] == "CAB\n"


def test_a_long_recording_has_a_row_for_each_segment(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    said = ["BAD", "CAB", "FACE", "BEE", "JADE", "HIDE"]
    sound = np.concatenate([say(text, before=0.1, after=9.0 if i else 1.5) for i, text in enumerate(said)])
    soundfile.write("long.wav", sound, RATE)
    manifest.write("rows.jsonl", [Utterance("u", "long.wav", len(sound) / RATE - 0.05, offset=0.05)])
    assert main(["transcribe", "rows.jsonl", "--model", model, "--format", "jsonl"]) == 0
    Path("found.jsonl").write_text(capsys.readouterr().out, encoding="utf-8")
    rows = manifest.read("found.jsonl")
    assert " ".join(row.pred_text for row in rows) == " ".join(said) and len(rows) > 3
    assert [row.id for row in rows] == [f"u-{i:04d}" for i in range(len(rows))]
    for row, following in zip(rows, rows[1:], strict=False):
        assert row.offset + row.duration <= following.offset
    # Each row has its own words, and the sounds of them wholly.
    assert main(["transcribe", "found.jsonl", "--model", model]) == 0
    assert capsys.readouterr().out == "".join(f"{row.id}\t{row.pred_text}\n" for row in rows)


def test_standard_input(
    model: str, inside: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("in/x/b.flac").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Standard", (), {"buffer": file}))
        assert main(["transcribe", "-", "--model", model, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "FACE"


def test_channels_of_a_telephone_call(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    soundfile.write("call.wav", np.stack([say("FACE"), say("DEAD")], axis=1), RATE)
    assert main(["transcribe", "call.wav", "--model", model, "--channels", "separate"]) == 0
    assert capsys.readouterr().out == "call.wav [channel 0]\tFACE\ncall.wav [channel 1]\tDEAD\n"
    words = ["transcribe", "call.wav", "--model", model, "--channels", "separate", "--output-dir", "out"]
    assert main([*words, "--format", "ctm"]) == 0
    found = outputs("out")
    assert found["call.channel0.ctm"].startswith("call 1 0.") and "FACE" in found["call.channel0.ctm"]
    assert found["call.channel1.ctm"].startswith("call 2 0.") and "DEAD" in found["call.channel1.ctm"]
    assert main(["transcribe", "in/a.wav", "call.wav", "--model", model, "--channel", "1"]) == 1
    out, err = capsys.readouterr()
    assert out == "call.wav\tDEAD\n" and "in/a.wav: has 1 channel(s), no channel 1" in err


def test_what_is_there_is_skipped_unless_overwritten(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["transcribe", "in", "--model", model, "--output-dir", "out"]
    assert main(words) == 0
    Path("out/x/a.txt").write_text("mine", encoding="utf-8")
    Path("out/a.txt").unlink()
    assert main(words) == 0
    assert capsys.readouterr().err.splitlines()[-1].endswith("; 3 were there already, 0 failed")
    assert outputs("out") == {"a.txt": "BAD\n", "x/a.txt": "mine", "x/b.txt": "FACE\n", "y/z/a.txt": "BEE\n"}
    assert main([*words, "--overwrite"]) == 0
    assert outputs("out")["x/a.txt"] == "CAB\n"


def test_a_killed_job_goes_on_where_it_was(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    count, written = 30, 9
    for i in range(count):
        soundfile.write(f"in/file{i:02}.wav", say("ABCDEFGHIJ"[i % 10] * (1 + i // 10)), RATE)
    words = ["transcribe", "in/file*.wav", "--model", model, "--output-dir", "out", "--batch-seconds", "1"]
    code = (
        "import itertools, os, signal, sys\n"
        "from asr.cli import main\n"
        "written, replace, calls = int(sys.argv.pop()), os.replace, itertools.count(1)\n"
        "def half(part, path):\n"
        "    if str(path).endswith('.txt') and next(calls) > written:\n"
        "        os.truncate(part, 1)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(part, path)\n"
        "os.replace = half\n"
        "main(sys.argv[1:])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, *words, str(written)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.txt")}
    assert len(before) == written
    assert main(words) == 0
    assert f"{written} were there already, 0 failed" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert outputs("out") == {f"file{i:02}.txt": "ABCDEFGHIJ"[i % 10] * (1 + i // 10) + "\n" for i in range(count)}


def test_what_is_lost_is_told_and_strict_refuses(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    data = Path("in/a.wav").read_bytes()
    Path("in/a.wav").write_bytes(data[:-400])
    assert main(["transcribe", "in/a.wav", "in/x/b.flac", "--model", model]) == 0
    out, err = capsys.readouterr()
    assert out == "in/a.wav\tBAD\nin/x/b.flac\tFACE\n"
    assert err == "asr transcribe: warning: in/a.wav: truncated: the header says 0.56 s, 0.54 s are there\n"
    words = ["transcribe", "in/a.wav", "in/x/b.flac", "--model", model, "--strict", "--output-dir", "out"]
    assert main(words) == 1
    assert "asr transcribe: in/a.wav: truncated" in capsys.readouterr().err
    assert outputs("out") == {"x/b.txt": "FACE\n"}
    assert main([*words[:-3], "--output-dir", "out", "--format", "json"]) == 0
    assert json.loads(Path("out/a.json").read_text(encoding="utf-8"))["warnings"] == [
        "truncated: the header says 0.56 s, 0.54 s are there"
    ]


def test_a_track_that_is_not_there(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["transcribe", "in/a.wav", "--model", model, "--track", "0"]) == 0
    assert main(["transcribe", "in/a.wav", "--model", model, "--track", "1"]) == 1
    assert "in/a.wav: has 1 sound track(s), no track 1 (the first is 0)" in capsys.readouterr().err


def feed(pipe: str, data: bytes) -> threading.Thread:
    """Write into a named pipe as soon as somebody reads it."""
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: Path(pipe).write_bytes(data))
    writer.start()
    return writer


@pytest.mark.parametrize("options", [[], ["--channels", "separate"]])
def test_named_pipes(model: str, inside: Path, capsys: pytest.CaptureFixture, options: list[str]) -> None:
    writer = feed("pipe.wav", Path("in/a.wav").read_bytes())
    assert main(["transcribe", "in/x/b.flac", "pipe.wav", "--model", model, *options]) == 0
    writer.join()
    channel = " [channel 0]" if options else ""
    assert capsys.readouterr().out == f"in/x/b.flac{channel}\tFACE\npipe.wav{channel}\tBAD\n"


def test_what_a_shell_calls_a_file(model: str, inside: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    words = [sys.executable, "-m", "asr", "transcribe", "/dev/stdin", "--model", model, "--output-dir", "out"]
    done = subprocess.run(words, input=Path("in/a.wav").read_bytes(), env=environment, check=False)
    assert done.returncode == 0
    assert outputs("out") == {"stdin.txt": "BAD\n"}


def test_a_pipe_in_a_folder_is_not_waited_for(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    os.mkfifo("in/x/pipe.wav")
    assert main(["transcribe", "in/x", "--model", model]) == 1
    out, err = capsys.readouterr()
    assert out == "in/x/a.wav\tCAB\nin/x/b.flac\tFACE\n"
    assert "in/x/pipe.wav: a pipe or device, not a file" in err


def test_names_that_are_not_utf8(model: str, inside: Path, capfdbinary: pytest.CaptureFixture) -> None:
    name = os.fsdecode(b"in/M\xfcller.wav")
    Path("in/a.wav").rename(name)
    assert main(["transcribe", name, "--model", model, "--output-dir", "out", "--format", "all"]) == 0
    assert {os.fsencode(path) for path in os.listdir("out") if path != RECORD} == {
        b"M\xfcller." + ending for ending in (b"txt", b"json", b"srt", b"vtt", b"tsv", b"ctm")
    }
    assert json.loads(Path("out", os.fsdecode(b"M\xfcller.json")).read_text(encoding="utf-8"))["name"] == "M\ufffdller"


def test_long_names_end_nothing(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    for length in (246, 251):
        soundfile.write(f"in/x/{'n' * length}.wav", say("JADE"), RATE)
    assert main(["transcribe", "in/x", "--model", model, "--output-dir", "out", "--format", "json"]) == 1
    assert set(outputs("out")) == {"a.json", "b.json", f"{'n' * 246}.json"}
    assert f"{'n' * 251}.json cannot be written: the name is too long" in capsys.readouterr().err


def test_one_file_by_two_names_is_read_once(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["transcribe", "./in/a.wav", "in/a.wav", str(inside / "in/a.wav"), "--model", model]) == 0
    assert capsys.readouterr().out == "./in/a.wav\tBAD\n"


def test_a_terminated_job_leaves_no_spool(model: str, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    code = "import sys\nfrom asr.cli import main\nmain(sys.argv[1:])"
    command = [sys.executable, "-c", code, "transcribe", "-", "--model", model]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(tmp_path / "spool")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as job:  # it waits for more
        while not list((tmp_path / "spool").glob("asr-spool-*/files/*")) and job.poll() is None:
            time.sleep(0.1)
        job.terminate()
        assert job.wait(60) == 128 + signal.SIGTERM
    assert not list((tmp_path / "spool").glob("asr-spool-*"))


def test_damaged_files_stop_nothing(model: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    bad = damaged(tmp_path, np.tile(say("BAD CAB"), 2), RATE, count=45)
    good = {f"{tmp_path}/good{i}.wav": text for i, text in enumerate(["FACE", "A BEE", "JADE"])}
    for name, text in good.items():
        soundfile.write(name, say(text), RATE)
    soundfile.write(tmp_path / "good9.wav", np.tile(say("HIDE").repeat(12)[:, None], (1, 8)), 96_000)
    named = [str(path) for path in bad if path.suffix == ".dat"]  # which a folder does not take for sound
    assert main(["transcribe", str(tmp_path), *named, "missing.wav", "no*where", "--model", model]) == 1
    out, err = capfd.readouterr()
    found = dict(line.split("\t") for line in out.splitlines())
    assert {name: found[name] for name in good} == good
    assert found[f"{tmp_path}/good9.wav"] == "HIDE"
    assert "Traceback" not in err
    for name in ["missing.wav", "no*where", *map(str, bad)]:
        assert (name in found) != (f"asr transcribe: {name}" in err), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to transcribe"),
        (["a.wav", "--format", "srt", "json"], "need --output-dir"),
        (["a.wav", "--threads", "0"], "--threads: found 0"),
        (["a.wav", "--batch-seconds", "0"], "batch_seconds: found 0"),
        (["-", "--format", "jsonl"], "a manifest names sound files, and - is a pipe"),
        (["in/a.wav", "--format", "jsonl", "--channel", "0"], "no place for what --channel chooses"),
        (["--stream", "--format", "jsonl"], "no place for what --stream chooses"),
        (["rows.jsonl"], "rows.jsonl: the manifest cannot be read"),
    ],
)
def test_mistakes(model: str, inside: Path, words: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["transcribe", "--model", model, *words]) == 2
    assert message in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["transcribe", "in/a.wav", "--model", model, "--output-dir", "in/x/notes.txt"]) == 2
    assert "notes.txt is a file; wanted the name of a folder" in capsys.readouterr().err


def test_without_a_model_the_error_says_how_to_get_one(
    inside: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_folder, "SHIPPED", inside / "none")
    assert main(["transcribe", "in/a.wav"]) == 2
    assert "asr demo" in capsys.readouterr().err
