"""`asr prepare`: public corpora and a user's own folder, to manifests."""

import argparse
import http.server
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import wave
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from asr.commands import prepare as command
from asr.data import corpora, manifest, prepare
from asr.data.corpora.base import Archive
from asr.data.corpora.folder import divide
from asr.data.manifest import Utterance
from asr.errors import CorpusError, UserError

RATE = 8000


def write_wav(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"\1\2\3\4" * int(seconds * RATE / 2))
    return path


def asr_prepare(*words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    root = tmp_path / "free-spoken-digit-dataset"
    for take in (0, 5, 10):
        for digit in range(3):
            write_wav(root / "recordings" / f"{digit}_theo_{take}.wav", 0.5 + digit)
    return root


# ------------------------------------------------------------------------------------------------- public corpora


def test_a_corpus_becomes_manifests(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert asr_prepare("fsdd", "--source", digits, "--output", output) == 0
    assert sorted(path.name for path in output.iterdir()) == ["dev.jsonl", "test.jsonl", "train.jsonl"]
    rows = manifest.read(output / "test.jsonl")
    assert [row.id for row in rows] == ["0_theo_0", "1_theo_0", "2_theo_0"]
    assert [row.text for row in rows] == ["ZERO", "ONE", "TWO"]
    assert [row.duration for row in rows] == [0.5, 1.5, 2.5]
    assert {row.speaker for row in rows} == {"theo"}
    assert Path(rows[0].audio_filepath) == digits / "recordings" / "0_theo_0.wav"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"train: 3 utterances, 0.00 h, 1 speaker -> {output / 'train.jsonl'}"
    assert len(lines) == 3


def test_chosen_splits(digits: Path, tmp_path: Path) -> None:
    found = prepare.prepare("fsdd", tmp_path / "out", digits, ["train-full"], report=lambda line: None)
    assert found == {"train-full": tmp_path / "out" / "train-full.jsonl"}
    assert len(manifest.read(found["train-full"])) == 6


@pytest.mark.parametrize("inside", ["archive", "folder of archives"])
def test_an_archive_as_the_source(digits: Path, tmp_path: Path, inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    store.mkdir()
    path = store / corpora.get("fsdd").archives[0].filename
    with tarfile.open(path, "w") as file:
        file.add(digits, digits.name)
    source = path if inside == "archive" else store
    found = prepare.prepare("fsdd", tmp_path / "out", source, report=lambda line: None)
    rows = manifest.read(found["test"])
    assert len(rows) == 3
    assert Path(rows[0].audio_filepath).is_relative_to(tmp_path / "out" / "corpus")


def test_downloads_what_is_needed(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "digits.tar.gz", "w:gz") as file:
        file.add(digits, digits.name)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        size = (tmp_path / "digits.tar.gz").stat().st_size
        archive = Archive(f"http://127.0.0.1:{server.server_port}/digits.tar.gz", size=size)
        corpus = replace(corpora.get("fsdd"), archives=(archive,))
        monkeypatch.setattr(prepare, "get", lambda name: corpus)
        printed: list[str] = []
        prepare.prepare("fsdd", tmp_path / "out", progress=False, report=printed.append)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert printed[0].startswith("Free Spoken Digit Dataset (CC BY-SA 4.0): 1 archive, 0.0 GB,")
    assert (tmp_path / "out" / "download" / "digits.tar.gz").is_file()
    # unpacked once, the archive is not needed again: neither the server nor its copy
    (tmp_path / "out" / "download" / "digits.tar.gz").unlink()
    assert prepare.prepare("fsdd", tmp_path / "out", progress=False, report=printed.append).keys() == {
        "train",
        "dev",
        "test",
    }


def test_bad_utterances_are_listed_and_the_rest_prepared(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (digits / "recordings" / "1_theo_0.wav").write_bytes(b"no sound")
    output = tmp_path / "out"
    assert asr_prepare("fsdd", "--source", digits, "--output", output) == 0
    printed = capsys.readouterr().out
    assert "test: 2 utterances" in printed and "(1 skipped:" in printed and "skipped 1_theo_0: " in printed
    listed = (output / "test.skipped.tsv").read_text(encoding="utf-8").splitlines()
    assert listed[0] == "id\taudio\treason" and listed[1].startswith("1_theo_0\t") and len(listed) == 2
    # put right, the list goes away
    write_wav(digits / "recordings" / "1_theo_0.wav")
    assert asr_prepare("fsdd", "--source", digits, "--output", output) == 0
    assert not (output / "test.skipped.tsv").exists()


def test_nothing_usable_is_an_error(digits: Path, tmp_path: Path) -> None:
    for path in (digits / "recordings").iterdir():
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match="train: no utterance can be used, 3 were skipped"):
        asr_prepare("fsdd", "--source", digits, "--output", tmp_path / "out")


def test_characters_outside_the_scheme_are_skipped_with_the_reason(tmp_path: Path) -> None:
    root = tmp_path / "en"
    rows = [
        "client_id\tpath\tsentence",
        "a\tcommon_voice_en_1.mp3\tIt’s fine, isn't it?",
        "a\tcommon_voice_en_2.mp3\t漢字",
    ]
    root.mkdir()
    (root / "train.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for number in (1, 2):
        write_wav(root / "clips" / f"common_voice_en_{number}.wav")
    printed: list[str] = []
    found = prepare.prepare("common_voice", tmp_path / "out", root, report=printed.append)
    assert [row.text for row in manifest.read(found["train"])] == ["IT'S FINE ISN'T IT"]
    assert "skipped common_voice_en_2: " in printed[0] and "漢" in printed[0]


def test_missing_audio_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("LJ001-0001|One.|One.\nLJ001-0002|Two.|Two.\n", encoding="utf-8")
    write_wav(tmp_path / "wavs" / "LJ001-0001.wav")
    printed: list[str] = []
    prepare.prepare("ljspeech", tmp_path / "out", tmp_path, ["all"], report=printed.append)
    assert "skipped LJ001-0002: no audio file LJ001-0002.wav, nor one of another format" in printed[0]


@pytest.mark.parametrize("order", ["<", ">"])
def test_headerless_audio_becomes_wav(tmp_path: Path, order: str) -> None:
    root = tmp_path / "an4"
    (root / "etc").mkdir(parents=True)
    (root / "wav").mkdir()
    (root / "etc" / "an4_train.transcription").write_text("<s> YES </s> (an1-a-b)\n", encoding="utf-8")
    samples = [int(9000 * ((k % 100) / 50 - 1)) for k in range(16000)]
    (root / "wav" / "an1-a-b.raw").write_bytes(struct.pack(f"{order}{len(samples)}h", *samples))
    found = prepare.prepare("an4", tmp_path / "out", root, ["train-full"], report=lambda line: None)
    (row,) = manifest.read(found["train-full"])
    assert (row.duration, row.text) == (1.0, "YES")
    with wave.open(row.audio_filepath) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        assert list(struct.unpack(f"<{len(samples)}h", file.readframes(16000))) == samples


def make_yesno(root: Path) -> Path:
    write_wav(root / "0_1_0_0_1_1_0_1.wav")
    return root


def test_missing_sources_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"--source .*nowhere is neither.*train/wav.scp.*openslr.org/101"):
        asr_prepare("speechocean762", "--source", tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="does not hold the corpus: no train/wav.scp"):
        asr_prepare("speechocean762", "--source", tmp_path)
    with pytest.raises(CorpusError, match="commonvoice.mozilla.org.*--source"):
        asr_prepare("common_voice", "--output", tmp_path / "out")
    with pytest.raises(CorpusError, match="speakers_split|nothing to download"):
        asr_prepare("librispeech", "--splits", "train", "--output", tmp_path / "out")
    with pytest.raises(CorpusError, match="which corpus?"):
        asr_prepare()
    with pytest.raises(UserError, match="greek.*none, case, basic, turkish, english"):
        asr_prepare("yesno", "--source", make_yesno(tmp_path / "yesno"), "--text-scheme", "greek")
    shutil.rmtree(tmp_path / "yesno")
    assert list(tmp_path.iterdir()) == []


def test_the_list_tells_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert asr_prepare("--list") == 0
    printed = capsys.readouterr().out
    for name in corpora.CORPORA:
        assert f"{name}: {corpora.get(name).title}\n  licence: {corpora.get(name).licence}" in printed


def test_importing_is_cheap() -> None:
    heavy = "{'torch', 'numpy', 'soundfile', 'librosa', 'tqdm'} & sys.modules.keys()"
    code = (
        "import sys, argparse, asr.commands.prepare; asr.commands.prepare.add_arguments(argparse.ArgumentParser()); "
        f"print({heavy})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8").stdout == "set()\n"


# ------------------------------------------------------------------------------------------------- own folders


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two folders of audio with transcripts beside them."""
    folder = tmp_path / "mine"
    for speaker in ("ann", "bob"):
        for number in range(2):
            write_wav(folder / speaker / f"{number}.wav", 1 + number)
            (folder / speaker / f"{number}.txt").write_text(f"Hello, {speaker} {'again' * number}!\n", encoding="utf-8")
    return folder


def test_texts_beside_the_audio(recordings: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert asr_prepare("folder", recordings, "--output", output, "--text-scheme", "english") == 0
    rows = manifest.read(output / "all.jsonl")
    assert [(row.id, row.text, row.duration, row.speaker) for row in rows] == [
        ("ann/0", "HELLO ANN", 1.0, None),
        ("ann/1", "HELLO ANN AGAIN", 2.0, None),
        ("bob/0", "HELLO BOB", 1.0, None),
        ("bob/1", "HELLO BOB AGAIN", 2.0, None),
    ]


def test_folders_as_speakers_and_text_as_it_stands(recordings: Path, tmp_path: Path) -> None:
    words = ["folder", recordings, "--output", tmp_path / "out", "--text-scheme", "none", "--speaker-folders"]
    assert asr_prepare(*words) == 0
    rows = manifest.read(tmp_path / "out" / "all.jsonl")
    assert [(row.speaker, row.text) for row in rows[1:3]] == [("ann", "Hello, ann again!"), ("bob", "Hello, bob !")]


def test_audio_without_a_transcript_is_skipped(recordings: Path, tmp_path: Path) -> None:
    (recordings / "ann" / "1.txt").unlink()
    printed: list[str] = []
    prepare.prepare_folder(recordings, tmp_path / "out", report=printed.append)
    assert printed[0].startswith("all: 3 utterances") and "skipped ann/1: " in printed[0]


def test_a_table_is_found_and_its_columns_guessed(recordings: Path, tmp_path: Path) -> None:
    (recordings / "metadata.csv").write_text(
        'path,"sentence",speaker\nann/0,"Yes, we ""can""",Ann\nbob/1.wav,No,\n', encoding="utf-8"
    )
    output = tmp_path / "out"
    assert asr_prepare("folder", recordings, "--output", output, "--text-scheme", "english") == 0
    rows = manifest.read(output / "all.jsonl")
    assert [(row.id, row.text, row.speaker) for row in rows] == [("ann/0", "YES WE CAN", "Ann"), ("bob/1", "NO", None)]


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_a_table_elsewhere_with_named_columns(recordings: Path, tmp_path: Path, delimiter: str) -> None:
    table = tmp_path / "list.txt"
    table.write_text(
        "".join(delimiter.join(row) + "\n" for row in (["Was", "Wo"], ["Ja", "ann/0.wav"])), encoding="utf-8"
    )
    words = ["folder", recordings, "--output", tmp_path / "out", "--transcripts", table]
    assert asr_prepare(*words, "--text-column", "Was", "--audio-column", "Wo") == 0
    assert [row.id for row in manifest.read(tmp_path / "out" / "all.jsonl")] == ["ann/0"]


def test_a_file_named_twice_gets_two_ids(recordings: Path, tmp_path: Path) -> None:
    (recordings / "metadata.tsv").write_text(
        "path\ttext\nann/0.wav\tYes\nann/0.wav\tYes\nann/1\tNo\n", encoding="utf-8"
    )
    assert asr_prepare("folder", recordings, "--output", tmp_path / "out") == 0
    assert [row.id for row in manifest.read(tmp_path / "out" / "all.jsonl")] == ["ann/0", "ann/0#2", "ann/1"]


def test_folder_mistakes_are_told(recordings: Path, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("Wo,Was\nann/0.wav,Ja\n", encoding="utf-8")
    for words, message in (
        (["--transcripts", table], "which column is the audio.*Wo, Was.*--audio-column"),
        (["--transcripts", table, "--audio-column", "wo"], "no column 'wo'.*Wo, Was"),
        (["--transcripts", tmp_path / "none.csv"], "none.csv: cannot be read"),
        (["--text-column", "Was"], "there is no table"),
    ):
        with pytest.raises(CorpusError, match=message):
            asr_prepare("folder", recordings, "--output", tmp_path / "out", *words)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no audio in it or below it"):
        asr_prepare("folder", tmp_path / "empty", "--output", tmp_path / "out")
    with pytest.raises(CorpusError, match="not a folder"):
        asr_prepare("folder", tmp_path / "absent", "--output", tmp_path / "out")


@pytest.mark.parametrize("text", ["0.8/0.1", "0.8/0.1/0.2", "a/b/c", "1.2/-0.1/-0.1"])
def test_wrong_fractions_are_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asr_prepare("folder", "x", "--split", text)
    assert "three fractions that sum to 1" in capsys.readouterr().err


def utterances(speakers: int, each: int, sentences: int = 10**9) -> list[Utterance]:
    return [
        Utterance(
            f"{s}-{k}",
            "a.wav",
            2.0,
            f"SENTENCE {(s * each + k) % sentences}",
            speaker=f"s{s}" if speakers > 1 else None,
        )
        for s in range(speakers)
        for k in range(each)
    ]


def test_divided_by_speaker() -> None:
    found, kind = divide(utterances(30, 4), {"train": 0.8, "dev": 0.1, "test": 0.1})
    assert kind == "speaker (30 of them)"
    assert {split: len(part) for split, part in found.items()} == {"train": 96, "dev": 12, "test": 12}
    homes = {split: {row.speaker for row in part} for split, part in found.items()}
    assert sum(len(home) for home in homes.values()) == 30


def test_divided_by_sentence() -> None:
    found, kind = divide(utterances(1, 300, sentences=100), {"train": 0.5, "dev": 0.25, "test": 0.25})
    assert kind.startswith("sentence")
    counts = Counter(split for split, part in found.items() for _ in {row.text for row in part})
    assert counts == {"train": 50, "dev": 25, "test": 25}


def test_the_division_does_not_depend_on_the_order() -> None:
    rows = utterances(30, 2)
    fractions = {"train": 0.6, "dev": 0.2, "test": 0.2}
    one, _ = divide(rows, fractions)
    two, _ = divide(rows[::-1], fractions)
    assert {split: {row.id for row in part} for split, part in one.items()} == {
        split: {row.id for row in part} for split, part in two.items()
    }


def test_every_split_gets_something() -> None:
    rows = [replace(row, duration=1000.0 if row.speaker == "s0" else 0.1) for row in utterances(3, 1)]
    found, _ = divide(rows, {"train": 0.98, "dev": 0.01, "test": 0.01})
    assert all(found.values())
    assert divide(rows, {"train": 0.9, "dev": 0.1, "test": 0.0})[0].keys() == {"train", "dev"}
    with pytest.raises(CorpusError, match="2 different speakers or sentences cannot be divided into train, dev, test"):
        divide(rows[:2], {"train": 0.8, "dev": 0.1, "test": 0.1})


# ------------------------------------------------------------------------------------------------- the mirror


def test_mirror_yesno(mirror: Path, tmp_path: Path) -> None:
    found = prepare.prepare("yesno", tmp_path, mirror / "waves_yesno", report=lambda line: None)
    rows = [row for path in found.values() for row in manifest.read(path)]
    assert len(rows) == 60 and all(3 < row.duration < 10 for row in rows)


def test_mirror_cathy(mirror: Path, tmp_path: Path) -> None:
    printed: list[str] = []
    fractions = (0.8, 0.1, 0.1)
    found = prepare.prepare_folder(
        mirror / "cathy", tmp_path, text_scheme="english", fractions=fractions, report=printed.append
    )
    parts = {split: manifest.read(path) for split, path in found.items()}
    assert sum(len(part) for part in parts.values()) == 1620
    sentences = [{row.text for row in part} for part in parts.values()]
    assert len(set.union(*sentences)) == sum(len(part) for part in sentences)
