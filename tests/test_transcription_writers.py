"""Formats: exact text on a small transcript, limits on large ones, and programs that read them."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from asr.decoders import Word
from asr.transcription.transcript import Segment, Transcript
from asr.transcription.writers import CUE_SECONDS, LINE_LENGTH, LINES, WRITERS, cues, write

TRANSCRIPT = Transcript(
    segments=(
        Segment.of_words(0, [Word("HELLO", 0.5, 1.0, 0.9), Word("<WORLD>", 1.25, 2.0, 0.75)]),
        Segment.of_words(1, [Word("AGAIN", 0.25, 0.75, 1.0)], offset=3600.0),
    ),
    duration=3602.0,
)


def test_text_json_and_tables() -> None:
    assert WRITERS["txt"](TRANSCRIPT, "a") == "HELLO <WORLD>\nAGAIN\n"
    assert WRITERS["tsv"](TRANSCRIPT, "a") == ("start\tend\ttext\n500\t2000\tHELLO <WORLD>\n3600250\t3600750\tAGAIN\n")
    found = json.loads(WRITERS["json"](TRANSCRIPT, "a"))
    assert found["text"] == "HELLO <WORLD> AGAIN" and found["duration"] == 3602.0
    assert found["segments"][1] == {
        "id": 1,
        "start": 3600.25,
        "end": 3600.75,
        "text": "AGAIN",
        "words": [{"word": "AGAIN", "start": 3600.25, "end": 3600.75, "probability": 1.0}],
    }


def test_subtitles() -> None:
    assert WRITERS["srt"](TRANSCRIPT, "a") == (
        "1\n00:00:00,500 --> 00:00:02,000\nHELLO <WORLD>\n\n2\n01:00:00,250 --> 01:00:01,250\nAGAIN\n\n"
    )
    assert WRITERS["vtt"](TRANSCRIPT, "a") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nHELLO &lt;WORLD&gt;\n\n01:00:00.250 --> 01:00:01.250\nAGAIN\n"
    )


def test_ctm_counts_channels_from_one_and_has_no_spaces_in_names() -> None:
    right = Transcript(TRANSCRIPT.segments[:1], 2.0, channel=1)
    assert WRITERS["ctm"](right, "my call") == (
        "my_call 2 0.500 0.500 HELLO 0.9000\nmy_call 2 1.250 0.750 <WORLD> 0.7500\n"
    )


def test_nothing_said() -> None:
    empty = Transcript((), 1.0)
    rendered = {name: writer(empty, "a") for name, writer in WRITERS.items()}
    assert json.loads(rendered.pop("json"))["segments"] == []
    assert rendered == {"txt": "", "srt": "", "vtt": "WEBVTT\n", "tsv": "start\tend\ttext\n", "ctm": ""}


def random_transcript(seed: int) -> Transcript:
    """Words of all lengths, some at once, some of no length, some far apart, some longer than a line or a cue."""
    rng = random.Random(seed)
    time, segments = 0.0, []
    for i in range(30):
        words = []
        for _ in range(rng.randint(1, 40)):
            length = rng.choice([0.0, 0.04, 0.3, 0.3, 0.3, 9.0])
            words.append(Word("W" * rng.choice([1, 3, 5, 8, 13, 50]), time, time + length, rng.random()))
            time += length + rng.choice([0.0, 0.0, 0.1, 3.0])
        segments.append(Segment.of_words(i, words))
    return Transcript(tuple(segments), time)


@pytest.mark.parametrize("seed", range(20))
def test_cues_keep_the_limits_and_lose_no_word(seed: int) -> None:
    transcript = random_transcript(seed)
    found = cues(transcript)
    for cue, following in zip(found, [*found[1:], None], strict=True):
        lines = cue.text.split("\n")
        assert all(len(line) <= LINE_LENGTH for line in lines)
        assert len(lines) <= LINES
        assert 0 < cue.end - cue.start <= CUE_SECONDS * 1000
        assert following is None or cue.end <= following.start
    assert "".join("".join(cue.text.split()) for cue in found) == "".join(word.text for word in transcript.words)


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sub" / "a.txt"
    write(path, "old")

    def fails(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", fails)
        write(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    write(path, "new")
    assert [(file.name, file.read_text(encoding="utf-8")) for file in path.parent.iterdir()] == [("a.txt", "new")]


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_ffmpeg_reads_the_subtitles(ending: str, tmp_path: Path) -> None:
    if not shutil.which("ffprobe"):
        pytest.skip("no ffprobe")
    transcript = random_transcript(0)
    path = tmp_path / f"a.{ending}"
    write(path, WRITERS[ending](transcript, "a"))
    command = ["ffprobe", "-v", "warning", "-show_entries", "packet=pts_time,duration_time", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == ""
    packets = json.loads(done.stdout)["packets"]
    read = [round(1000 * float(item[key])) for item in packets for key in ("pts_time", "duration_time")]
    assert read == [time for cue in cues(transcript) for time in (cue.start, cue.end - cue.start)]


def test_sclite_scores_the_ctm(tmp_path: Path) -> None:
    # Debian's package sctk hides its programs behind one named sctk.
    sclite = ["sclite"] if shutil.which("sclite") else ["sctk", "sclite"]
    if not shutil.which(sclite[0]):
        pytest.skip("no sclite (Debian package sctk)")
    (tmp_path / "hyp.ctm").write_text(WRITERS["ctm"](TRANSCRIPT, "call"), encoding="utf-8")
    (tmp_path / "ref.stm").write_text("call 1 speaker 0.0 4000.0 HELLO THERE AGAIN\n", encoding="utf-8")
    command = [*sclite, "-r", "ref.stm", "stm", "-h", "hyp.ctm", "ctm", "-o", "rsum", "stdout"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    total = next(line for line in done.stdout.splitlines() if "| Sum" in line)
    assert [int(word) for word in total.replace("|", " ").split()[1:8]] == [1, 3, 2, 1, 0, 0, 1]
