"""Manifests: what is written comes back, NeMo's rows are taken, and every bad row is named with its line."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from asr.data import manifest
from asr.data.manifest import Utterance
from asr.errors import ManifestError

PREDICTED = {"audio_filepath": "a.wav", "duration": 1, "pred_text": "a"}


def rows(path: Path, *values: Any) -> Path:
    """A manifest of values as JSON; text is a line as it stands."""
    lines = [value if isinstance(value, str) else json.dumps(value) for value in values]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        manifest.read(path)
    return str(caught.value).splitlines()


def test_written_rows_come_back(tmp_path: Path) -> None:
    utterances = [
        Utterance("a", str(tmp_path / "wav" / "a.wav"), 1.5, "it's a test", 0.25, "Zoë"),
        Utterance("b", "/elsewhere/b.flac", 2.0),
        # Unicode counts these characters among the line ends, JSON does not.
        Utterance("c", str(tmp_path / "c\u2028.opus"), 0.1, 'na\u0085me "quoted"\n\tline \u2029 \x1c'),
    ]
    manifest.write(tmp_path / "train.jsonl", utterances)
    assert manifest.read(tmp_path / "train.jsonl") == utterances
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_rows_that_a_recogniser_wrote(tmp_path: Path) -> None:
    path = rows(
        tmp_path / "all.jsonl",
        PREDICTED | {"confidence": 0.5}, PREDICTED, PREDICTED | {"text": "b", "confidence": "high"},
        {**PREDICTED, "pred_text": None, "confidence": None}, {**PREDICTED, "pred_text": "", "confidence": 0},
    )  # fmt: skip
    read = manifest.read(path)
    found = [(row.text, row.pred_text, row.confidence) for row in read]
    assert found == [("", "a", 0.5), ("", "a", None), ("b", "", None), ("", "", None), ("", "", None)]
    manifest.write(tmp_path / "again.jsonl", read)
    assert manifest.read(tmp_path / "again.jsonl") == read


def test_audio_below_the_folder_is_written_relative_so_that_it_can_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    manifest.write("data/all.jsonl", [Utterance("a", "data/wav/a.wav", 1.0), Utterance("b", "other/b.wav", 1.0)])
    written = [
        json.loads(line)["audio_filepath"]
        for line in (tmp_path / "data" / "all.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert written == ["wav/a.wav", str(tmp_path / "other" / "b.wav")]
    (tmp_path / "data").rename(tmp_path / "moved")
    read = [row.audio_filepath for row in manifest.read("moved/all.jsonl")]
    assert read == ["moved/wav/a.wav", str(tmp_path / "other" / "b.wav")]


def test_write_makes_the_folder_and_leaves_the_old_manifest_if_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "train.jsonl"
    manifest.write(path, [Utterance("a", "a.wav", 1.0)])
    before = path.read_bytes()

    def failing():  # type: ignore[no-untyped-def]
        yield Utterance("b", "b.wav", 1.0)
        raise RuntimeError("the corpus ends here")

    with pytest.raises(RuntimeError):
        manifest.write(path, failing())
    assert path.read_bytes() == before


def test_rows_as_nemo_writes_them(tmp_path: Path) -> None:
    """No ids, unknown keys, nulls, whole numbers, blank lines, a byte order mark."""
    path = rows(
        tmp_path / "nemo.jsonl",
        {"audio_filepath": "a.wav", "duration": 3, "text": "yes", "lang": "en", "taskname": "asr"},
        "",
        {"audio_filepath": "/b/a.wav", "duration": 1.5, "text": None, "offset": None, "speaker": None},
        {"audio_filepath": "sub/a.wav", "duration": 1.5, "speaker": 7},
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert manifest.read(path) == [
        Utterance("a", str(tmp_path / "a.wav"), 3.0, "yes"),
        Utterance("a#2", "/b/a.wav", 1.5),
        Utterance("a#3", str(tmp_path / "sub" / "a.wav"), 1.5, speaker="7"),
    ]


def test_made_up_ids_do_not_collide_with_given_ones(tmp_path: Path) -> None:
    path = rows(
        tmp_path / "m.jsonl",
        {"audio_filepath": "a.wav", "duration": 1, "id": "a#2"},
        {"audio_filepath": "a.wav", "duration": 1},
        {"audio_filepath": "a.wav", "duration": 1, "offset": 1},
    )
    assert [row.id for row in manifest.read(path)] == ["a#2", "a", "a#3"]


def test_ids_are_made_in_linear_time(tmp_path: Path) -> None:
    """Rows of one long file, or of x/audio.wav, y/audio.wav; 100,000 of them once took half an hour."""
    row = json.dumps({"audio_filepath": "audio.wav", "duration": 1})
    path = tmp_path / "m.jsonl"
    path.write_text((row + "\n") * 20_000, encoding="utf-8")
    started = time.process_time()
    read = manifest.read_all([path, path])
    assert time.process_time() - started < 10  # the squares take minutes
    assert len({row.id for row in read}) == 40_000
    assert [row.id for row in read[:3]] == ["audio", "audio#2", "audio#3"]


def test_a_file_s_name_may_be_odd(tmp_path: Path) -> None:
    """What a file may be called, a manifest may hold; the id made of it is one line of text."""
    names = ["a\nb.wav", os.fsdecode(b"\xff\xfe.wav"), "\u2028.wav", "x" * 251 + ".wav"]
    manifest.write(
        tmp_path / "m.jsonl", [Utterance(f"x{i}", str(tmp_path / name), 1.0) for i, name in enumerate(names)]
    )
    assert [row.audio_filepath for row in manifest.read(tmp_path / "m.jsonl")] == [str(tmp_path / n) for n in names]
    bare = rows(tmp_path / "bare.jsonl", *(json.dumps({"audio_filepath": name, "duration": 1}) for name in names))
    assert [row.id for row in manifest.read(bare)] == ["a_b", "__", "_", "x" * 251]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "found list, wanted an object"),
        ({"duration": 1}, "audio_filepath is missing"),
        ({"audio_filepath": "", "duration": 1}, "audio_filepath is missing"),
        ({"audio_filepath": 3, "duration": 1}, "audio_filepath: found 3, wanted text"),
        ({"audio_filepath": "a.wav"}, "duration is missing; wanted seconds"),
        ({"audio_filepath": "a.wav", "duration": None}, "duration is missing; wanted seconds"),
        ({"audio_filepath": "a.wav", "duration": "2"}, "duration: found '2', wanted a number of seconds"),
        ({"audio_filepath": "a.wav", "duration": True}, "duration: found True, wanted a number of seconds"),
        ({"audio_filepath": "a.wav", "duration": 0}, "duration: found 0, wanted more than 0 seconds"),
        ({"audio_filepath": "a.wav", "duration": -2.5}, "duration: found -2.5, wanted more than 0 seconds"),
        ('{"audio_filepath": "a.wav", "duration": NaN}', "duration: found nan, wanted more than 0 seconds"),
        ('{"audio_filepath": "a.wav", "duration": 1' + "0" * 400 + "}", "duration: found 1000"),
        ({"audio_filepath": "a.wav", "duration": 1, "offset": -1}, "offset: found -1, wanted 0 seconds or more"),
        (PREDICTED | {"confidence": 1.5}, "confidence: found 1.5, wanted 0 to 1"),
        (PREDICTED | {"confidence": "1"}, "confidence: found '1', wanted 0 to 1"),
        (PREDICTED | {"confidence": True}, "confidence: found True, wanted 0 to 1"),
        (PREDICTED | {"pred_text": ["a"]}, "pred_text: found ['a'], wanted text"),
        ({"audio_filepath": "a.wav", "duration": 1, "offset": "0"}, "offset: found '0', wanted a number of seconds"),
        ({"audio_filepath": "a.wav", "duration": 1, "text": ["a"]}, "text: found ['a'], wanted text"),
        (
            {"audio_filepath": "a.wav", "duration": 1e308},
            "duration: found 1e+308, wanted more than 0 seconds, and no more",
        ),
        ({"audio_filepath": "a.wav", "duration": 1, "offset": 1e308}, "offset: found 1e+308, wanted"),
        ('{"a":' * 100_000, "nested too deeply"),
        (
            {"audio_filepath": "a\0.wav", "duration": 1},
            "audio_filepath: found 'a\\x00.wav', which no file can be called",
        ),
        (
            '{"audio_filepath": "\\ud800", "duration": 1}',
            "audio_filepath: found '\\ud800', which no file can be called",
        ),
        ('{"audio_filepath": "a.wav", "duration": 1, "text": "\\ud800"}', "text: found '\\ud800', wanted text without"),
        ({"audio_filepath": "a.wav", "duration": 1, "id": "a\0"}, "id: found 'a\\x00', wanted a name"),
        ({"audio_filepath": "a.wav", "duration": 1, "id": "a\nb"}, "id: found 'a\\nb', wanted a name"),
        ({"audio_filepath": "a.wav", "duration": 1, "id": "a\u2028b"}, "id: found 'a\\u2028b', wanted a name"),
        ({"audio_filepath": "a.wav", "duration": 1, "id": ""}, "id: found '', wanted a name"),
        ({"audio_filepath": "a.wav", "duration": 1, "id": "x" * 300}, "xxx..., wanted a name: 1 to 255 bytes"),
        ({"audio_filepath": "a.wav", "duration": 1, "id": {"a": 1}}, "id: found {'a': 1}, wanted a name"),
        ('{"audio_filepath": "a.wav", "duration": 1, "id": "\\ud800"}', "id: found '\\ud800', wanted a name"),
        ({"audio_filepath": "a.wav", "duration": 1, "speaker": "a\tb"}, "speaker: found 'a\\tb', wanted a name"),
    ],
)
def test_bad_row(tmp_path: Path, value: Any, message: str) -> None:
    path = rows(tmp_path / "m.jsonl", {"audio_filepath": "good.wav", "duration": 1}, value)
    (line,) = problems(path)
    assert line.startswith(f"{path}:2: ") and message in line


def test_all_bad_rows_are_listed_the_first_twenty_in_full(tmp_path: Path) -> None:
    good = {"audio_filepath": "a.wav", "duration": 1}
    assert problems(rows(tmp_path / "few.jsonl", "{", good, "[]")) == [
        f"{tmp_path}/few.jsonl:1: not JSON: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1); wanted one object a line",
        f"{tmp_path}/few.jsonl:3: found list, wanted an object with audio_filepath, duration, text",
    ]
    lines = problems(rows(tmp_path / "many.jsonl", *["[]"] * 33))
    assert len(lines) == 21 and lines[19].startswith(f"{tmp_path}/many.jsonl:20: ") and lines[20] == "... and 13 more"


def test_an_id_given_twice(tmp_path: Path) -> None:
    row = {"audio_filepath": "a.wav", "duration": 1, "id": "x"}
    path = rows(tmp_path / "m.jsonl", row, "", row)
    assert problems(path) == [f"{path}:3: id 'x' was given to line 1 already"]


def test_manifest_that_is_none(tmp_path: Path) -> None:
    assert "gone.jsonl: the manifest cannot be read" in problems(tmp_path / "gone.jsonl")[0]
    assert "the manifest cannot be read" in problems(tmp_path)[0]
    (tmp_path / "sound.jsonl").write_bytes(b"RIFF\xff\xfe\x00\x80")
    assert "sound.jsonl: the manifest cannot be read" in problems(tmp_path / "sound.jsonl")[0]


def test_empty_manifest(tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.jsonl", [])
    assert manifest.read(tmp_path / "m.jsonl") == []


def test_read_all_keeps_ids_apart(tmp_path: Path) -> None:
    one = rows(tmp_path / "one.jsonl", {"audio_filepath": "a.wav", "duration": 1, "id": "x"})
    two = rows(tmp_path / "two.jsonl", {"audio_filepath": "b.wav", "duration": 1, "id": "x"})
    assert [(row.id, Path(row.audio_filepath).name) for row in manifest.read_all([one, two])] == [
        ("x", "a.wav"),
        ("x#2", "b.wav"),
    ]
