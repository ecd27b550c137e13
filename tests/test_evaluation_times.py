"""Errors of word times: exact on known shifts, from every format, and a message for each that cannot be read."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from asr.alignment.forced import AlignedWord, Alignment
from asr.alignment.writers import WRITERS
from asr.cli import main
from asr.decoders import Word
from asr.errors import DataError
from asr.evaluation.times import BoundaryErrors, compare_times
from asr.evaluation.transcripts.textgrid import Interval, read_intervals
from asr.evaluation.transcripts.word_times import SpokenWord, read_word_times
from asr.transcription.transcript import Segment, Transcript
from asr.transcription.writers import WRITERS as TRANSCRIPT_WRITERS

WORDS = [("good", 0.5, 0.8), ("morning", 0.8, 1.3), ("all", 1.5, 1.75)]


def spoken(words: list[tuple[str, float, float]]) -> list[SpokenWord]:
    return [SpokenWord(*word) for word in words]


def alignment(words: list[tuple[str, float, float]]) -> Alignment:
    return Alignment(tuple(AlignedWord(text, (Word(text, start, end, 1.0),)) for text, start, end in words), 2.0, 0.0)


def short_textgrid(words: list[tuple[str, float, float]]) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "2", "<exists>", "2"]
    lines += ['"TextTier"', '"clicks"', "0", "2", "1", "0.7", '"click"']
    lines += ['"IntervalTier"', '"words"', "0", "2", str(len(words))]
    for text, start, end in words:
        lines += [str(start), str(end), '"' + text.replace('"', '""') + '"']
    return "\n".join(lines) + "\n"


def test_errors_by_hand() -> None:
    errors = BoundaryErrors(np.array([0.010, -0.030, 0.060, -0.200]))
    assert errors.mean == pytest.approx(0.075) and errors.median == pytest.approx(0.045)
    assert errors.bias == pytest.approx(-0.040)
    assert [errors.within(tolerance) for tolerance in (0.02, 0.05, 0.1)] == [0.25, 0.5, 0.75]
    assert BoundaryErrors(np.array([0.52 - 0.5])).within(0.02) == 1  # 0.020000000000000018
    assert math.isnan(BoundaryErrors(np.zeros(0)).mean)


def test_a_known_shift_is_found() -> None:
    later = [(text, start + 0.03, end - 0.01) for text, start, end in WORDS]
    result = compare_times({"a": spoken(WORDS)}, {"b": spoken(later)})
    assert result.starts.errors == pytest.approx([0.03] * 3) and result.ends.errors == pytest.approx([-0.01] * 3)
    assert result.both.mean == pytest.approx(0.02) and result.both.bias == pytest.approx(0.01)
    assert (result.compared, result.reference_words, result.hypothesis_words) == (3, 3, 3)
    told, head, starts, *_ = result.describe().splitlines()
    assert told == "3 of 3 words compared, in 1 recordings"
    assert head.split() == ["ms", "median", "mean", "bias", "<=", "20", "ms", "<=", "50", "ms", "<=", "100", "ms"]
    assert starts.split() == ["starts", "30.0", "30.0", "+30.0", "0.0%", "100.0%", "100.0%"]


def test_words_that_differ_have_no_times_to_compare() -> None:
    found = [("good", 0.5, 0.8), ("evening", 0.0, 2.0), ("to", 1.4, 1.5), ("all", 1.6, 1.75)]
    result = compare_times({"a": spoken(WORDS)}, {"a": spoken(found)})
    assert (result.compared, result.reference_words, result.hypothesis_words) == (2, 3, 4)
    assert result.starts.errors == pytest.approx([0.0, 0.1]) and result.ends.errors == pytest.approx([0.0, 0.0])
    nothing = compare_times({"a": spoken(WORDS)}, {"a": []})
    assert nothing.compared == 0 and nothing.to_dict()["both"]["median_ms"] is None
    assert "nan" in nothing.describe()


def test_a_word_written_as_two_has_its_outer_boundaries_compared() -> None:
    reference = spoken([("Well-known,", 0.0, 1.0), ("--", 1.0, 1.2), ("yes.", 1.2, 1.5)])
    hypothesis = spoken([("WELL", 0.1, 0.5), ("KNOWN", 0.5, 1.2), ("YES", 1.2, 1.5)])
    result = compare_times({"a": reference}, {"a": hypothesis}, "english")
    assert result.compared == 3 and result.reference_words == 3
    assert result.starts.errors == pytest.approx([0.1, 0.0]) and result.ends.errors == pytest.approx([0.2, 0.0])


def test_recordings_belong_together_by_name_without_case() -> None:
    reference = {"One": spoken(WORDS), "two": spoken(WORDS[:1])}
    result = compare_times(reference, {"TWO": spoken(WORDS[:1]), "one": spoken(WORDS)})
    assert result.compared == 4 and result.recordings == 2 and result.both.mean == 0
    with pytest.raises(DataError, match="recordings 1 without a hypothesis: two; 1 without a reference: three"):
        compare_times(reference, {"one": [], "three": []})


# ------------------------------------------------------------------------------------------------------------ formats


def write(path: Path, words: list[tuple[str, float, float]]) -> Path:
    """The words in the format that the name tells."""
    kind = path.name.split(".", 1)[1]
    if kind == "short.TextGrid":
        text = short_textgrid(words)
    elif kind == "whisper.json":
        segment = Segment.of_words(0, [Word(*word, 1.0) for word in words])
        text = TRANSCRIPT_WRITERS["json"](Transcript((segment,), 2.0), "a")
    else:
        text = WRITERS[kind.lower()][1]("a", alignment(words))
    path.write_text(text, encoding="utf-8")
    return path


KINDS = ("a.TextGrid", "a.short.TextGrid", "a.ctm", "a.json", "a.whisper.json")


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_write_is_read(kind: str, tmp_path: Path) -> None:
    (words,) = read_word_times(write(tmp_path / kind, WORDS)).values()
    assert [word.text for word in words] == ["good", "morning", "all"]
    for word, (_, start, end) in zip(words, WORDS, strict=True):
        assert (word.start, word.end) == (pytest.approx(start), pytest.approx(end))


@pytest.mark.parametrize("reference", KINDS)
def test_the_command_on_every_pair_of_formats(
    reference: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = [(text, start + 0.06, end + 0.04) for text, start, end in WORDS]
    wanted = write(tmp_path / reference, WORDS)
    for kind in KINDS:
        (tmp_path / "hyp").mkdir(exist_ok=True)
        found = write(tmp_path / "hyp" / kind, later)
        out = tmp_path / "result.json"
        assert main(["score", str(wanted), str(found), "--times", "--json", str(out)]) == 0
        assert "3 of 3 words compared" in capsys.readouterr().out
        figures = json.loads(out.read_text(encoding="utf-8"))
        assert figures["starts"] == {
            "boundaries": 3, "mean_ms": 60, "median_ms": 60, "bias_ms": 60,
            "within_20_ms": 0, "within_50_ms": 0, "within_100_ms": 1,
        }  # fmt: skip
        assert (figures["ends"]["mean_ms"], figures["both"]["within_50_ms"], figures["words"]) == (40, 0.5, 3)


def test_a_folder_has_a_file_for_each_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref").mkdir()
    for name in ("a", "B"):
        write(tmp_path / "ref" / f"{name}.TextGrid", WORDS)
    (tmp_path / "ref" / "notes.txt").write_text("no times", encoding="utf-8")
    lines = [f"{name} 1 {start} {end - start:.3f} {text}\n" for name in ("b", "A") for text, start, end in WORDS]
    (tmp_path / "hyp.ctm").write_text("".join(lines), encoding="utf-8")
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "hyp.ctm"), "--times"]) == 0
    assert "6 of 6 words compared, in 2 recordings" in capsys.readouterr().out
    (tmp_path / "hyp.ctm").write_text("".join(lines[:3]), encoding="utf-8")
    assert main(["score", str(tmp_path / "ref"), str(tmp_path / "hyp.ctm"), "--times"]) == 2
    assert "1 without a hypothesis: a" in capsys.readouterr().err
    write(tmp_path / "ref" / "a.json", WORDS)
    with pytest.raises(DataError, match="the recording a occurs in another file"):
        read_word_times(tmp_path / "ref")


def test_channels_of_a_ctm_are_recordings(tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text("call A 0.5 0.25 yes 0.9\ncall B 0.1 0.2 no\n", encoding="utf-8")
    assert read_word_times(tmp_path / "a.ctm") == {
        "call-A": [SpokenWord("yes", 0.5, 0.75)],
        "call-B": [SpokenWord("no", 0.1, 0.1 + 0.2)],
    }


# ----------------------------------------------------------------------------------------------------------- TextGrid


def long_textgrid(*tiers: tuple[str, str]) -> str:
    """Tiers of one interval each: (name, label)."""
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 2 \ntiers? <exists> \n'
    items = [
        f'    item [{i}]:\n        class = "IntervalTier" \n        name = "{name}" \n        xmin = 0 \n'
        f"        xmax = 2 \n        intervals: size = 1 \n        intervals [1]:\n            xmin = 0.25 \n"
        f'            xmax = 1.5 \n            text = "{label}" \n'
        for i, (name, label) in enumerate(tiers, start=1)
    ]
    return f"{head}size = {len(tiers)} \nitem []: \n{''.join(items)}"


def test_praat_s_own_files_are_read(tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth is not installed")
    grid = parselmouth.TextGrid(0.0, 2.0, ["phones", "words"], [])
    for place in (0.5, 0.8, 1.3):
        parselmouth.praat.call(grid, "Insert boundary", 2, place)
    for number, label in ((2, 'say "A! <b>'), (3, "žluť 3 = 4")):
        parselmouth.praat.call(grid, "Set interval text", 2, number, label)
    for command in ("Save as text file", "Save as short text file"):
        path = tmp_path / "a.TextGrid"
        parselmouth.praat.call(grid, command, str(path))
        assert read_intervals(path) == [Interval(0.5, 0.8, 'say "A! <b>'), Interval(0.8, 1.3, "žluť 3 = 4")]
        path.write_bytes(path.read_bytes() if path.read_bytes()[:1] in b"\xfe\xff"
                         else path.read_text(encoding="utf-8").encode("utf-16"))  # fmt: skip
        assert len(read_intervals(path)) == 2


def test_the_tier_of_words_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"

    def text(*tiers: tuple[str, str], tier: str | None = None) -> str:
        path.write_text(long_textgrid(*tiers), encoding="utf-8")
        return read_intervals(path, tier)[0].text

    assert text(("tokens", "t"), ("Words", "w")) == "w"
    assert text(("ann - phones", "t"), ("ann - words", "w")) == "w"
    assert text(("anything", "w")) == "w"
    assert text(("tokens", "t"), ("Words", "w"), tier="tokens") == "t"
    for tiers, tier in (((("x", "t"), ("y", "w")), None), ((("a - words", "t"), ("b - words", "w")), None)):
        with pytest.raises(DataError, match="a single tier, or one called words. Choose one by --tier"):
            text(*tiers, tier=tier)
    with pytest.raises(DataError, match="found x, wanted one called words"):
        text(("x", "t"), tier="words")


@pytest.mark.parametrize("pause", ["", "sil", "SP", "<eps>", "<p:>", " "])
def test_pauses_are_no_words(pause: str, tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(long_textgrid(("words", pause)), encoding="utf-8")
    assert read_intervals(tmp_path / "a.TextGrid") == []


GRID = long_textgrid(("words", "hello"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.TextGrid", GRID[: GRID.index("text")], "ends where a string is wanted: no TextGrid, or a cut one"),
        ("a.TextGrid", GRID.replace("0.25", "soon"), 'a.TextGrid:18: found "hello", wanted a number'),
        ("a.TextGrid", GRID.replace("0.25", "1.75"), "an interval 'hello' from 1.75 to 1.5 s"),
        ("a.TextGrid", GRID.replace("IntervalTier", "Tier"), "a tier of the class 'Tier'"),
        ("a.TextGrid", GRID.replace('"TextGrid"', '"Pitch"'), "no TextGrid"),
        ("a.TextGrid", GRID.replace("<exists>", "<absent>"), "no tier of intervals in it"),
        ("a.TextGrid", "", "ends where a string is wanted"),
        ("a.TextGrid", b"\xff\xfe\x00", "not in UTF-16"),
        ("a.ctm", "a 1 0.5 0.2 yes\na 1 soon 0.2 no\n", "not so on line 2"),
        ("a.ctm", "a 1 * * <ALT_BEGIN>\na 1 0 1 b\na 1 * * <ALT>\na 1 0 1 c\na 1 * * <ALT_END>\n", "have no one time"),
        ("a.json", "[]", "wanted one JSON object"),
        ("a.json", '{"text": "hello"}', "neither words nor segments"),
        ("a.json", '{"segments": [{"start": 0, "end": 1}]}', "words: found None, wanted a list of objects"),
        ("a.json", '{"words": [{"word": "a", "start": 2, "end": 1}]}', "wanted word, start and end"),
        ("a.json", '{"words": [{"word": "a", "start": true, "end": 1}]}', "found word 1"),
        ("a.txt", "hello", "found the ending '.txt', wanted one of .textgrid, .ctm, .json"),
        ("gone.ctm", None, "gone.ctm: no such file or folder"),
        ("folder", None, "no words with times in this folder"),
    ],
)
def test_bad_input_is_one_message(
    name: str, content: str | bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, path = str(write(tmp_path / "good.json", WORDS)), tmp_path / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif content is not None:
        path.write_bytes(content)
    elif name == "folder":
        path.mkdir()
    for words in ([str(path), good], [good, str(path)]):
        assert main(["score", *words, "--times"]) == 2
        err = capsys.readouterr().err
        assert message in err and str(path) in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--times", "--collar", "5"], "--collar is for --speakers tcp or tcorc; found with --times"),
        (["--times", "--details"], "--details is for a WER of texts; found with --times"),
        (["--tier", "words"], "--tier is for --times; found with words"),
        (["--times", "--json", "good.json/x"], "--json: good.json/x cannot be written"),
    ],
)
def test_options_that_do_not_go_together(
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(Path("good.json"), WORDS)
    assert main(["score", str(path), str(path), *words]) == 2
    assert message in capsys.readouterr().err
