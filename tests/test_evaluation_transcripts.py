"""Transcript formats: what is detected, what is read, and how references and hypotheses pair."""

import json
from pathlib import Path

import pytest

from asr.errors import DataError
from asr.evaluation.transcripts import FORMATS, Pair, detect_format, pair_transcripts, read_transcripts

WANTED = {"u1": "a b c", "u-2": "", "u3": "d"}
FILES = {
    "kaldi": "u1 a b c\nu-2\nu3\td\n",
    "trn": ";; made by hand\na b c (u1)\n(u-2)\nd (u3)\n",
    "jsonl": '{"id": "u1", "text": "a b c"}\n{"id": "u-2", "text": ""}\n{"id": "u3", "text": "d", "more": 1}\n',
}


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("format", FILES)
def test_formats_with_ids_are_detected_and_read(tmp_path: Path, format: str) -> None:
    path = write(tmp_path, "text", FILES[format])
    assert detect_format(path) == format
    assert read_transcripts(path) == read_transcripts(path, format) == WANTED


def test_endings_decide_before_the_content(tmp_path: Path) -> None:
    assert detect_format(write(tmp_path, "a.trn", "no id\n")) == "trn"
    assert detect_format(write(tmp_path, "a.JSONL", "no object\n")) == "jsonl"


def test_plain_text_has_line_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "text", "\ufeffa b\n\n  c\u2028d \n")
    assert detect_format(path) == "text"
    assert read_transcripts(path) == {"1": "a b", "2": "", "3": "c\u2028d"}


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("SEVEN ONE\nTWO\n", "text"),
        ("7 1\n2 8\n", "text"),  # single digits are words
        ("hello (he said)\nno (u2)\n", "text"),
        ("0_1_0 NO YES NO\n1_1_1 YES YES YES\n", "kaldi"),
        ("/x/my talk.wav\thello\n/x/b.wav\t\n", "kaldi"),  # as asr transcribe prints
        ("u1 a\nu1 b\n", "text"),  # the same twice is no id
        ("", "text"),
    ],
)
def test_detection_by_content(tmp_path: Path, content: str, format: str) -> None:
    assert detect_format(write(tmp_path, "some.txt", content)) == format


def test_the_format_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "hyp", "ann hello\nbob\n")
    assert read_transcripts(path) == {"1": "ann hello", "2": "bob"}
    assert read_transcripts(path, "kaldi") == {"ann": "hello", "bob": ""}
    with pytest.raises(DataError, match="format: found 'stm', wanted one of text, kaldi, trn, jsonl"):
        read_transcripts(path, "stm")


def test_a_path_with_spaces_ends_at_the_tab(tmp_path: Path) -> None:
    path = write(tmp_path, "out.tsv", "my talk 1.wav\thello you\nb.wav\t\n")
    assert read_transcripts(path) == {"my talk 1.wav": "hello you", "b.wav": ""}


def test_jsonl_of_manifests_and_results(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": "a.wav", "text": "one", "pred_text": "won"},
        {"audio_filepath": "a.wav", "offset": 2.5, "text": "two", "pred_text": ""},
        {"id": 7, "audio_filepath": "a.wav", "text": "three"},
    ]
    path = write(tmp_path, "out.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert read_transcripts(path) == {"a.wav": "one", "a.wav@2.5": "two", "7": "three"}
    assert read_transcripts(path, hypotheses=True) == {"a.wav": "won", "a.wav@2.5": "", "7": "three"}
    # one file holds both sides
    assert pair_transcripts(path, path)[:2] == [Pair("a.wav", "one", "won"), Pair("a.wav@2.5", "two", "")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.trn", "a (u1)\nb c\n", r"a.trn: wanted `words \(id\)` on each line, found line 2: 'b c'"),
        ("a.trn", "{ a / b } c (u1)\n", "line 1: .*alternatives"),
        ("a.jsonl", '{"id": "u"}\n', "line 1: text is None"),
        ("a.jsonl", '{"text": "a"}\n', "line 1: id and audio_filepath are None"),
        ("a.jsonl", '{"id": "u", "text": "a"}\n[1]\n{"id"\n', "line 2: no object.*line 3: Expecting"),
        ("a.jsonl", "x\n" * 30, "and 20 more"),
        ("a.trn", "a (u1)\nb (u1)\n", r"twice: u1 \(lines 1 and 2\)"),
        ("a", "", "no transcripts"),
        ("a.trn", ";; nothing\n", "no transcripts"),
    ],
)
def test_bad_rows_are_listed(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_transcripts(write(tmp_path, name, content))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.txt: cannot be read: No such file"):
        read_transcripts(tmp_path / "none.txt")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match="latin: not in UTF-8"):
        read_transcripts(tmp_path / "latin")


@pytest.mark.parametrize("reference", FILES)
@pytest.mark.parametrize("hypothesis", FILES)
def test_files_with_ids_pair_whatever_their_formats(tmp_path: Path, reference: str, hypothesis: str) -> None:
    left = write(tmp_path, "ref", FILES[reference])
    right = write(tmp_path, "hyp", FILES[hypothesis])
    assert pair_transcripts(left, right) == [Pair(name, text, text) for name, text in WANTED.items()]


def test_pairs_come_in_the_order_of_the_references(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.trn", "a (u1)\nb (u2)\n")
    right = write(tmp_path, "hyp.trn", "x (u2)\ny (u1)\n")
    assert pair_transcripts(left, right) == [Pair("u1", "a", "y"), Pair("u2", "b", "x")]


def test_plain_text_pairs_line_by_line(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.txt", "a\nb c\n\n")
    right = write(tmp_path, "hyp.txt", "a\n\nb")  # no line end at the end
    assert pair_transcripts(left, right) == [Pair("1", "a", "a"), Pair("2", "b c", ""), Pair("3", "", "b")]
    right = write(tmp_path, "hyp.txt", "a\nb c\n")
    with pytest.raises(DataError, match="ref.txt .*hyp.txt .*: 3 lines and 2 lines"):
        pair_transcripts(left, right)


def test_missing_and_extra_ids_are_listed(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.trn", "".join(f"a (u{k})\n" for k in range(20)))
    right = write(tmp_path, "hyp.trn", "a (u0)\na (x1)\n")
    message = r"19 without a hypothesis: u1, u2, .*u10 and 9 more; 1 without a reference: x1\. Each id must be in both"
    with pytest.raises(DataError, match=message):
        pair_transcripts(left, right)


def test_ids_do_not_pair_with_plain_text(tmp_path: Path) -> None:
    left = write(tmp_path, "ref.trn", "a (1)\n")
    right = write(tmp_path, "hyp.txt", "a\n")
    with pytest.raises(
        DataError, match=r"ref.trn \(read as trn\) and .*hyp.txt \(read as text\): only one of them has"
    ):
        pair_transcripts(left, right)
    right = write(tmp_path, "hyp.txt", "1 a\n")
    assert pair_transcripts(left, right, hypothesis_format="kaldi") == [Pair("1", "a", "a")]


def test_all_formats_are_tested() -> None:
    assert set(FORMATS) == {"text", *FILES}
