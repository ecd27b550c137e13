"""What `asr transcribe` leaves: text as it is found, halves of long recordings, outputs that know their origin."""

import itertools
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr.cli import main
from asr.commands.transcribe import FORMATS
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.transcription import made_with
from asr.transcription.batch import Recognised
from asr.transcription.inputs import Recording
from asr.transcription.outputs import OFTEN, Outputs
from asr.transcription.recogniser import Recogniser
from asr.transcription.record import RECORD
from asr.transcription.sound import open_source
from tests.tone_model import RATE, say, tone_model
from tests.transcribing import long_file, outputs, python, started, write_recordings

MAIN = "import sys\nfrom asr.cli import main\nsys.exit(main(sys.argv[1:]))"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings, which is also the working folder."""
    monkeypatch.chdir(tmp_path)
    write_recordings()
    return tmp_path


# ------------------------------------------------------------------------------- what outputs were made of, and with


def changed_model(model: str) -> str:
    """Another one, in ./other."""
    shutil.copytree(model, "other")
    network = tone_model()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    try:
        with torch.no_grad():
            network.head.bias[0] += 0.01
        network.save("other")
    finally:
        network.load_state_dict(state)
    return "other"


def test_outputs_of_another_model_are_told_and_stay(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["transcribe", "in/a.wav", "in/x/a.wav", "--output-dir", "out"]
    assert main([*words, "--model", model]) == 0
    before = outputs("out")
    Path("out/x/a.txt").unlink()
    assert main([*words, "--model", changed_model(model)]) == 1
    err = capsys.readouterr().err
    assert f"in/a.wav: {Path('out/a.txt')} is there, made with another model, {Path(model).name}: it stays" in err
    assert "--output-dir; --overwrite makes it anew" in err and "0 were there already, 1 failed" in err
    assert outputs("out") == before  # the one that was not there is made
    assert main([*words, "--model", "other", "--overwrite"]) == 0
    assert main([*words, "--model", "other"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hotwords", "ACE"], "made with another --hotwords"),
        (["--hotwords", "BAD", "--beam-size", "9"], "made with another --beam-size (64 then, 9 now)"),
        (["--hotwords", "BAD", "--min-confidence", "0.1"], "made with another --min-confidence (0.0 then, 0.1 now)"),
        (["--hotwords", "BAD", "--lexicon", "words.txt"], "made with another --lexicon"),
        (["--hotwords", "BAD", "--precision", "bf16"], "made with another --precision (fp32 then, bf16 now)"),
        (["--hotwords", "BAD", "--channel", "0"], "made of another part, channel or track of it"),
    ],
)
def test_outputs_of_other_settings(
    model: str, inside: Path, options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    Path("words.txt").write_text("BAD\nCAB\n", encoding="utf-8")
    words = ["transcribe", "in/a.wav", "--output-dir", "out", "--model", model]
    assert main([*words, "--hotwords", "BAD"]) == 0
    assert main([*words, *options]) == 1
    assert message in capsys.readouterr().err
    assert main([*words, "--hotwords", "BAD"]) == 0


def test_outputs_of_another_recording_of_the_same_name(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["--output-dir", "out", "--model", model]
    assert main(["transcribe", "in/a.wav", *words]) == 0
    assert main(["transcribe", "in/x/a.wav", *words]) == 1
    err = capsys.readouterr().err
    assert f"made of another recording, {Path('in/a.wav').resolve()}" in err and outputs("out") == {"a.txt": "BAD\n"}
    soundfile.write("in/a.wav", say("DEAF"), RATE)
    assert main(["transcribe", "in/a.wav", *words]) == 1
    assert "made of the file as it was before" in capsys.readouterr().err
    # The same sound elsewhere, with another date, is the same recording.
    Path("in/a.wav").unlink()
    soundfile.write("in/y/a.wav", say("BAD"), RATE)
    assert main(["transcribe", "in/y/a.wav", *words]) == 0
    assert "1 were there already, 0 failed" in capsys.readouterr().err


def test_a_format_is_added_and_what_is_there_stays(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["transcribe", "in/a.wav", "--output-dir", "out", "--model", model, "--format", "txt"]
    assert main(words) == 0
    Path("out/a.txt").write_text("corrected", encoding="utf-8")
    assert main([*words, "srt"]) == 0
    assert set(outputs("out")) == {"a.txt", "a.srt"} and outputs("out")["a.txt"] == "corrected"


def test_outputs_without_a_record_are_told_once_and_stay(
    model: str, inside: Path, capsys: pytest.CaptureFixture
) -> None:
    """As older versions left them."""
    words = ["transcribe", "in", "--output-dir", "out", "--model", model]
    Path("out/x").mkdir(parents=True)
    for name in ("a", "x/a"):
        Path(f"out/{name}.txt").write_text("old", encoding="utf-8")
    (Path("out") / RECORD).write_bytes(
        b"\xff{\n{}\n[1]\n" + b'{"output": "a", "formats": ["txt"], "origin": {"path": 1}}\n'
    )
    assert main(words) == 0
    err = capsys.readouterr().err
    assert err.count("it is not known what of") == 1
    assert f"asr transcribe: {Path('out/a.txt')} and 1 others: there already, it is not known what of" in err
    assert "2 were there already, 0 failed" in err
    assert outputs("out") == {"a.txt": "old", "x/a.txt": "old", "x/b.txt": "FACE\n", "y/z/a.txt": "BEE\n"}
    assert main([*words, "--overwrite"]) == 0
    assert main(words) == 0
    assert "not known" not in capsys.readouterr().err


def test_each_format_has_its_own_origin(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["transcribe", "in/a.wav", "--output-dir", "out", "--model", model]
    assert main([*words, "--format", "txt"]) == 0
    assert main([*words, "--format", "srt", "--hotwords", "ACE"]) == 0
    assert main([*words, "--format", "srt", "txt"]) == 1
    assert f"{Path('out/a.srt')} is there, made with another --hotwords" in capsys.readouterr().err
    assert main([*words, "--format", "srt", "txt", "--hotwords", "ACE"]) == 1
    assert f"{Path('out/a.txt')} is there, made with another --hotwords" in capsys.readouterr().err
    assert main([*words, "--format", "txt"]) == 0


def test_what_was_half_written_over_is_of_unknown_origin(
    model: str, inside: Path, capsys: pytest.CaptureFixture
) -> None:
    """Neither of the former settings, nor surely of the new ones."""
    words = ["transcribe", "in/a.wav", "--output-dir", "out", "--model", model, "--format", "txt", "srt"]
    assert main(words) == 0
    code = (
        "import os, sys\n"
        "from asr.cli import main\n"
        "from asr.transcription import outputs\n"
        "write = outputs.write\n"
        "def killed(path, text):\n"
        "    write(path, text)\n"
        "    os.kill(os.getpid(), 9)\n"
        "outputs.write = killed\n"
        "main(sys.argv[1:])\n"
    )
    again = [*words, "--hotwords", "ACE", "--overwrite"]
    assert python(code, *again).returncode == -signal.SIGKILL
    assert main(words) == 0
    assert "out/a.txt and 1 others: there already, it is not known what of" in capsys.readouterr().err
    assert main(again) == 0
    assert main(again[:-1]) == 0
    assert "not known" not in capsys.readouterr().err


def test_what_another_process_wrote_meanwhile_stays(
    model: str, inside: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["transcribe", "in/a.wav", "--output-dir", "out", "--model", model]
    save = Outputs.save

    for other, code in (([], 0), (["--hotwords", "ACE"], 1)):
        shutil.rmtree("out", ignore_errors=True)

        def late(self: Outputs, *given: Any, other: list[str] = other) -> None:
            monkeypatch.setattr(Outputs, "save", save)
            assert main([*words, *other]) == 0
            Path("out/a.txt").write_text("theirs", encoding="utf-8")
            save(self, *given)

        monkeypatch.setattr(Outputs, "save", late)
        assert main(words) == code
        assert outputs("out") == {"a.txt": "theirs"}
        assert ("made with another --hotwords" in capsys.readouterr().err) == bool(code)


def test_a_file_that_grew_while_it_was_read_is_another_then(
    model: str, inside: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is still being recorded."""
    words = ["transcribe", "in/a.wav", "--output-dir", "out", "--model", model]
    save = Outputs.save

    def late(self: Outputs, *given: Any) -> None:
        soundfile.write("in/a.wav", say("BADE"), RATE)
        save(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Outputs, "save", late)
        assert main(words) == 0
    assert main(words) == 1
    assert "made of the file as it was before" in capsys.readouterr().err


def test_outputs_of_what_came_through_a_pipe(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["transcribe", "/dev/stdin", "--model", model, "--output-dir", "out"]
    for name, expected in (("in/a.wav", 0), ("in/a.wav", 0), ("in/x/a.wav", 1)):
        done = python(MAIN, *words, given=Path(name).read_bytes())
        assert done.returncode == expected
    assert "made of another recording, /dev/stdin: it stays" in done.stderr
    assert outputs("out") == {"stdin.txt": "BAD\n"}


def test_a_file_of_many_rows_is_looked_through_once(model: str, inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write("long.wav", np.concatenate([say("BAD")] * 20), RATE)
    length = 0.2 + 3 * 0.12
    manifest.write("rows.jsonl", [Utterance(f"u{i}", "long.wav", length, offset=i * length) for i in range(20)])
    made_with._digest_of_file.cache_clear()
    assert main(["transcribe", "rows.jsonl", "--model", model, "--output-dir", "out"]) == 0
    assert made_with._digest_of_file.cache_info().misses < 10
    assert made_with._digest_of_file.cache_info().hits >= 19


TWO = """
import sys
from pathlib import Path
from asr.transcription.inputs import Recording
from asr.transcription.outputs import OFTEN, Outputs
from asr.transcription.transcript import Segment, Transcript
from asr.decoders import Word
letter, times = sys.argv[1], int(sys.argv[2])
outputs = Outputs("out", ["txt", "json"], f"model {letter}", {"lm": letter})
recording = Recording(Path("in/a.wav"), "in/a.wav", "a")
outputs.begin(recording, None, anew=True)
word = Word(letter * 3000, 0.0, 1.0, 1.0)
transcript = Transcript((Segment(0, 0.0, 1.0, word.text, (word,)),), 1.0)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    outputs.save(recording, transcript, ["txt", "json"], overwrite=True)
"""


def test_two_writers_of_one_output(inside: Path) -> None:
    """Readers see the text of one of them, whole; in the end the record says whose it is."""
    whole = {f"{letter * 3000}\n" for letter in "AB"}
    writers = [started(TWO, letter, "150") for letter in "AB"]
    assert [writer.stdout.readline() for writer in writers if writer.stdout] == ["ready\n"] * 2
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    path, seen = Path("out/a.txt"), set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            seen.add(path.read_text(encoding="utf-8"))
            json.loads(Path("out/a.json").read_text(encoding="utf-8")) if Path("out/a.json").exists() else None
    for writer in writers:
        error = writer.communicate()[1]
        assert writer.returncode == 0, error
    assert seen <= whole and seen
    lines = [json.loads(line) for line in (Path("out") / RECORD).read_text(encoding="utf-8").splitlines()]
    assert len([line for line in lines if line["origin"]]) == 300
    text = path.read_text(encoding="utf-8")
    assert lines[-1]["origin"]["settings"] == {"lm": text[0]}
    assert set(outputs("out")) == {"a.txt", "a.json"}


# ---------------------------------------------------------------------------------------------- results as they come


INTERRUPTED = (
    "import itertools, os, sys\n"
    "from asr.cli import main\n"
    "from asr.transcription import outputs\n"
    "signal, number = int(sys.argv.pop()), itertools.count(1)\n"
    "keep = outputs.Outputs.keep\n"
    "def kept(*given):\n"
    "    good = keep(*given)\n"
    "    if next(number) == 2:\n"
    "        os.kill(os.getpid(), signal)\n"
    "    return good\n"
    "outputs.Outputs.keep = kept\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_long_recording_goes_on_where_it_was(model: str, inside: Path, number: int) -> None:
    long_file("long.wav")
    words = ["transcribe", "long.wav", "--model", model, "--format", "all"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", INTERRUPTED, *words, "--output-dir", "out", str(int(number))]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode in (-number, 128 + number), done.stderr
    assert set(outputs("out")) == {"long.partial.json"}
    assert json.loads(outputs("out")["long.partial.json"])["passages"] == 2
    seen = []

    def counted(self: Recogniser, waveforms: Sequence[np.ndarray]) -> list[torch.Tensor]:
        seen.append(sum(map(len, waveforms)) / RATE)
        return found(self, waveforms)

    found = Recogniser._log_probs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recogniser, "_log_probs", counted)
        assert main([*words, "--output-dir", "out"]) == 0
        again = sum(seen)
        seen.clear()
        assert main([*words, "--output-dir", "whole"]) == 0
    assert again < 0.9 * sum(seen)
    assert outputs("out") == outputs("whole") and len(outputs("out")) == len(FORMATS)


def interrupted(model: str, *words: str, number: int = signal.SIGKILL) -> None:
    """A process that is killed when long.wav is half done."""
    done = python(INTERRUPTED, "transcribe", "long.wav", "--model", model, "--output-dir", "out", *words, str(number))
    assert done.returncode in (-number, 128 + number), done.stderr
    assert set(outputs("out")) == {"long.partial.json"}


def test_who_interrupts_is_told_what_is_there(model: str, inside: Path) -> None:
    long_file("long.wav")
    words = ["in/a.wav", "long.wav", "in/x/a.wav", "--model", model, "--output-dir", "out"]
    done = python(INTERRUPTED, "transcribe", *words, str(int(signal.SIGINT)))
    assert done.returncode == 130
    at = json.loads(Path("out/long.partial.json").read_text(encoding="utf-8"))["reached"]
    place = f"0:{int(at // 60):02}:{int(at % 60):02}"
    last = (
        f"asr transcribe: interrupted: 1 of 3 recordings are done, and long.wav up to {place}; the same command goes on"
    )
    assert done.stderr.splitlines()[-1] == last
    again = python(MAIN, "transcribe", *words)
    assert again.returncode == 0 and f"asr transcribe: long.wav: goes on at {place}\n" in again.stderr
    assert set(outputs("out")) == {"in/a.txt", "long.txt", "in/x/a.txt"}


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (["--hotwords", "ACE"], "", "made with another --hotwords; the recording is begun anew"),
        (["--channel", "0"], "", "made of another part, channel or track of it; the recording is begun anew"),
        ([], "file", "made of the file as it was before; the recording is begun anew"),
        ([], "half", "cannot be read, the recording is begun anew"),
        ([], "reached", "made by another version of asr, or of what reads sound files; the recording is begun anew"),
    ],
)
def test_half_of_something_else_is_begun_anew(
    model: str, inside: Path, options: list[str], change: str, message: str, capsys: pytest.CaptureFixture
) -> None:
    long_file("long.wav")
    interrupted(model)
    partial = Path("out/long.partial.json")
    text = partial.read_text(encoding="utf-8")
    if change == "file":
        long_file("long.wav", seed=1)
    elif change == "half":
        partial.write_text(text[: len(text) // 2], encoding="utf-8")
    elif change == "reached":
        values = json.loads(text)
        partial.write_text(json.dumps(values | {"reached": values["reached"] + 0.5}), encoding="utf-8")
    words = ["transcribe", "long.wav", "--model", model, *options]
    assert main([*words, "--output-dir", "out"]) == 0
    err = capsys.readouterr().err
    assert f"warning: long.wav: {partial}: {message}" in err and err.count("begun anew") == 1
    assert main([*words, "--output-dir", "whole"]) == 0
    assert outputs("out") == outputs("whole")


def test_another_file_of_that_name_stays(model: str, inside: Path, capsys: pytest.CaptureFixture) -> None:
    """The json of long.partial.wav, say."""
    long_file("long.wav")
    soundfile.write("long.partial.wav", say("JADE"), RATE)
    words = ["transcribe", "long.partial.wav", "long.wav", "--model", model, "--output-dir", "out", "--format", "json"]
    assert main(words) == 0
    assert set(outputs("out")) == {"long.json", "long.partial.json"}
    assert json.loads(outputs("out")["long.partial.json"])["text"] == "JADE"
    assert "long.partial.json is something else: what is done cannot be kept there" in capsys.readouterr().err


def test_what_was_kept_goes_when_the_outputs_are_there(model: str, inside: Path) -> None:
    """Also where a process was killed between the two."""
    long_file("long.wav")
    interrupted(model)
    kept = Path("out/long.partial.json").read_text(encoding="utf-8")
    words = ["transcribe", "long.wav", "--model", model, "--output-dir", "out"]
    assert main(words) == 0
    Path("out/long.partial.json").write_text(kept, encoding="utf-8")
    assert main(words) == 0
    assert set(outputs("out")) == {"long.txt"}


def test_long_recordings_are_not_written_for_ever(inside: Path) -> None:
    """The file grows with the recording: it is written less often then, but never much is lost."""
    target = Outputs("out", ["txt"], "model", {})
    recording = Recording(Path("in/a.wav"), "in/a.wav", "a")
    found = Recognised(open_source(recording.path, RATE))
    target.begin(recording, found, anew=True)
    written: list[int] = []
    for passages in range(1, 1000):
        target.half, found.passages = None, passages
        assert target.keep(recording, found)
        written += [passages] if target.half else []
    assert written[:60] == list(range(1, 61)) and len(written) < 260
    assert all(after - before <= 2 * (1 + after / OFTEN) for before, after in itertools.pairwise(written))


def test_text_is_printed_as_it_is_found(model: str, inside: Path) -> None:
    long_file("long.wav")
    command = [sys.executable, "-m", "asr", "transcribe", "long.wav", "in/a.wav", "--model", model]
    code = (
        "import itertools, sys\n"
        "from asr.cli import main\n"
        "from asr.transcription import batch\n"
        "parts = batch.recognise_parts\n"
        "def told(*given):\n"
        "    for found in parts(*given):\n"
        "        yield found\n"
        "        sys.stdout.write('|')\n"
        "batch.recognise_parts = told\n"
        "main(sys.argv[1:])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, encoding="utf-8")
    shown = subprocess.run(
        [sys.executable, "-c", code, *command[3:]], env=environment, check=True, capture_output=True, text=True,
        encoding="utf-8",
    )  # fmt: skip
    parts = shown.stdout.split("|")
    assert len(parts) > 5 and all(parts[:4]) and parts[0].startswith("long.wav\t") and parts[-2] == "in/a.wav\tBAD\n"
    assert "".join(parts) == printed.stdout and printed.stdout.count("\n") == 2


@pytest.mark.parametrize("words", [["long.flac", "in/a.wav", "in/x/a.wav"], ["in/a.wav", "long.flac", "in/x/a.wav"]])
def test_what_fails_in_the_middle_harms_no_other_line(model: str, inside: Path, words: list[str]) -> None:
    long_file("long.flac")
    data = bytearray(Path("long.flac").read_bytes())
    place = len(data) * 4 // 5
    data[place : place + 5000] = bytes(5000)
    Path("long.flac").write_bytes(data)
    done = python(MAIN, "transcribe", *words, "--model", model, "--strict")
    assert done.returncode == 1 and "asr transcribe: long.flac: " in done.stderr
    lines = dict(line.split("\t") for line in done.stdout.splitlines())
    assert list(lines) == words
    assert (lines["in/a.wav"], lines["in/x/a.wav"]) == ("BAD", "CAB") and len(lines["long.flac"]) > 100


def test_a_terminal_shows_sentences_as_they_are_found(model: str, inside: Path) -> None:
    """Beside the bar, which stands in the same terminal."""
    long_file("long.wav")
    words = [sys.executable, "-m", "asr", "transcribe", "long.wav", "in/a.wav", "--model", model]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    piped = subprocess.run(words, env=environment, check=True, capture_output=True, text=True, encoding="utf-8")
    terminal, other = pty.openpty()
    termios.tcsetwinsize(other, (50, 200))
    with subprocess.Popen(words, env=environment, stdout=other, stderr=other, stdin=other) as job:
        os.close(other)
        shown = b""
        with suppress(OSError):  # the terminal is gone when the job is
            while block := os.read(terminal, 10_000):
                shown += block
        assert job.wait() == 0
    os.close(terminal)
    lines = [part for line in shown.decode().splitlines() for part in line.split("\r") if "\t" in part]
    sentences = [line.split("\t")[1] for line in lines]
    assert [line.split("\t")[0] for line in lines] == ["long.wav"] + [""] * (len(lines) - 2) + ["in/a.wav"]
    assert len(lines) > 20
    assert f"long.wav\t{' '.join(sentences[:-1])}\nin/a.wav\t{sentences[-1]}\n" == piped.stdout
    bars = re.findall(r"(\d+)%\|", shown.decode())
    assert len(set(bars)) > 3  # passages of a long recording move it


def test_sixty_clips_leave_what_is_done(model: str, inside: Path) -> None:
    for i in range(60):
        soundfile.write(f"in/clip{i:02}.wav", np.tile(say("FACADE"), 6), RATE)
    code = (
        "import itertools, os, signal, sys\n"
        "from asr.cli import main\n"
        "from asr.transcription.recogniser import Recogniser\n"
        "seconds, log_probs = [], Recogniser._log_probs\n"
        "def counted(self, waveforms):\n"
        "    seconds.append(sum(map(len, waveforms)) / 8000)\n"
        "    if sum(seconds) > 100:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return log_probs(self, waveforms)\n"
        "Recogniser._log_probs = counted\n"
        "main(sys.argv[1:])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    words = ["transcribe", "in", "--model", model, "--output-dir", "out"]
    subprocess.run([sys.executable, "-c", code, *words], env=environment, check=False)
    assert 5 <= len(outputs("out")) <= 25
