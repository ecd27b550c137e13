"""Several speakers: cpWER, tcpWER and ORC-WER of cases that can be counted by hand, from every format."""

import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from asr.cli import main
from asr.errors import ConfigError, DataError
from asr.evaluation.scoring import ErrorCounts, count_errors
from asr.evaluation.speaker_measures import COLLAR, MEASURES, TIMED
from asr.evaluation.speakers import SpeakerErrors, count_speaker_errors
from asr.evaluation.transcripts.turns import Turn, read_turns

meeteval = pytest.importorskip("meeteval", reason="meeteval is not installed")

# recording, speaker, begin, end, words
REFERENCE = [
    ("m1", "Ann", 0.0, 2.0, "good morning everyone"),
    ("m1", "Bob", 2.0, 4.0, "hello Ann"),
    ("m1", "Ann", 5.0, 7.0, "shall we begin"),
    ("m2", "Bob", 0.0, 1.0, "yes"),
]
HYPOTHESIS = [
    ("m1", "1", 2.1, 4.0, "hello and"),  # a substitution
    ("m1", "2", 5.0, 7.0, "shall we begin"),
    ("m1", "2", 0.0, 2.0, "good morning"),  # a deletion; behind the other, though it is earlier
    ("m1", "3", 0.0, 0.5, "oh"),  # nobody
    ("m2", "1", 0.0, 1.0, "yes"),
]
Rows = list[tuple[str, str, float, float, str]]


def turns(rows: Rows, timed: bool = True) -> list[Turn]:
    return [Turn(name, who, text, *((begin, end) if timed else (None, None))) for name, who, begin, end, text in rows]


def written(path: Path, rows: Rows, pred: bool = False) -> Path:
    """The rows in the format of the path's ending."""
    if path.suffix == ".stm":
        text = "".join(f"{name} 1 {who} {begin} {end} <o,f0,male> {words}\n" for name, who, begin, end, words in rows)
        text = ";; made by hand\n" + text
    elif path.suffix == ".json":
        keys = ("session_id", "speaker", "start_time", "end_time", "words")
        values = [dict(zip(keys, row, strict=True)) for row in rows]
        text = json.dumps([{**value, "start_time": str(value["start_time"])} for value in values])  # as CHiME has them
    else:
        text = "".join(
            json.dumps({
                "audio_filepath": name, "speaker": who, "offset": begin, "duration": end - begin,
                **({"pred_text": words, "text": "not this"} if pred else {"text": words}),
            }) + "\n"
            for name, who, begin, end, words in rows
        )  # fmt: skip
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("timed", [True, False])
def test_cp_by_hand(timed: bool) -> None:
    hypothesis = HYPOTHESIS if timed else [HYPOTHESIS[i] for i in (0, 2, 1, 3, 4)]  # without times, in the file's order
    result = count_speaker_errors(turns(REFERENCE, timed), turns(hypothesis, timed))
    first, second = result.recordings
    assert (first.id, first.words) == ("m1", ErrorCounts(6, 1, 1, 1))
    assert (first.speakers, first.missed, first.false_alarms) == (2, 0, 1)
    assert set(first.assignment) == {("Ann", "2"), ("Bob", "1"), (None, "3")}
    assert (second.id, second.words, second.assignment) == ("m2", ErrorCounts(1), (("Bob", "1"),))
    assert result.total.words == ErrorCounts(7, 1, 1, 1) and result.collar is None
    assert result.describe().splitlines()[-1] == (
        "cpWER 33.33% (1 substitutions, 1 deletions, 1 insertions of 9 words); speakers: 3, 0 missed, 1 too many"
    )


def test_a_speaker_who_is_missed_has_all_words_deleted() -> None:
    result = count_speaker_errors(turns(REFERENCE[:3]), turns(HYPOTHESIS[:1]))
    assert result.total.words == ErrorCounts(1, 1, 6, 0) and result.total.missed == 1
    assert set(result.recordings[0].assignment) == {("Bob", "1"), ("Ann", None)}
    assert "Ann = nobody" in result.describe()


def test_cp_is_the_best_of_all_assignments() -> None:
    rng = random.Random(0)

    def side() -> list[Turn]:
        return [Turn("m", str(i), " ".join(rng.choices("abc", k=4)), None, None) for i in range(3)]

    for _ in range(20):
        reference, hypothesis = side(), side()
        wanted = [turn.text for turn in reference]
        best = min(count_errors(wanted, [turn.text for turn in p]).errors for p in itertools.permutations(hypothesis))
        assert count_speaker_errors(reference, hypothesis).total.words.errors == best


def test_a_word_further_away_than_the_collar_does_not_match() -> None:
    reference = turns([("m", "A", 0.0, 1.0, "yes"), ("m", "A", 60.0, 61.0, "no")])
    hypothesis = turns([("m", "1", 8.0, 9.0, "yes"), ("m", "1", 60.0, 61.0, "no")])

    def errors(measure: str, collar: float = 5.0) -> ErrorCounts:
        return count_speaker_errors(reference, hypothesis, measure, collar).total.words

    assert errors("cp") == ErrorCounts(2)
    assert errors("tcp") == ErrorCounts(1, 0, 1, 1)
    assert errors("tcp", 10) == ErrorCounts(2)
    assert errors("tcorc") == ErrorCounts(1, 0, 1, 1) and errors("orc") == ErrorCounts(2)


def test_orc_does_not_ask_who() -> None:
    streams = turns([("m", "x", 0.0, 2.0, "good morning everyone"), ("m", "y", 2.0, 4.0, "hello Ann"),
                     ("m", "y", 5.0, 7.0, "shall we begin")])  # fmt: skip
    result = count_speaker_errors(turns([("m", *row[1:]) for row in REFERENCE[:3]]), streams, "orc")
    assert result.total.words == ErrorCounts(8)
    assert result.describe().splitlines()[-1] == "ORC-WER " + ErrorCounts(8).describe("words")
    assert count_speaker_errors(turns([("m", *row[1:]) for row in REFERENCE[:3]]), streams).total.words.errors == 6


@pytest.mark.parametrize("reference", ["ref.stm", "ref.json", "ref.jsonl"])
@pytest.mark.parametrize("hypothesis", ["hyp.stm", "hyp.json", "hyp.jsonl"])
def test_every_format_on_both_sides(
    reference: str, hypothesis: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [written(tmp_path / reference, REFERENCE), written(tmp_path / hypothesis, HYPOTHESIS, pred=True)]
    figures: dict[str, Any] = {}
    for measure in ("cp", "tcp"):
        result = str(tmp_path / "result.json")
        assert main(["score", *map(str, paths), "--speakers", measure, "--json", result]) == 0
        assert capsys.readouterr().out.splitlines()[0].startswith("m1\t37.50% (1 substitutions, 1 deletions, 1 insert")
        figures = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
        assert (figures["wer"], figures["words"], figures["false_alarm_speakers"]) == (pytest.approx(3 / 9), 9, 1)
    assert (figures["measure"], figures["collar"], figures["text_scheme"]) == ("tcpWER", 5.0, "none")
    assert [one["id"] for one in figures["recordings"]] == ["m1", "m2"]
    assert ["Ann", "2"] in figures["recordings"][0]["assignment"]


def test_the_text_scheme_is_applied_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(written(tmp_path / "a.json", [("m", "A", 0.0, 1.0, "Well, well-known.")]))]
    paths.append(str(written(tmp_path / "b.json", [("m", "A", 0.0, 1.0, "well WELL known")])))
    assert main(["score", *paths, "--speakers"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("cpWER 150.00%")
    assert main(["score", *paths, "--speakers", "--text-scheme", "english"]) == 0
    assert "0 insertions of 3 words" in capsys.readouterr().out


def test_a_row_may_name_its_recording_and_have_no_times(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"recording": "m", "audio_filepath": "x", "speaker": 3, "text": "a"}\n', encoding="utf-8")
    assert read_turns(path) == [Turn("m", "3", "a", None, None)]


JSON_ROW = {"session_id": "m", "speaker": "A", "words": "a"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[1]", "segment 1: no object: 1"),
        ("a.json", "[", "no JSON, though it begins with ["),
        ("a.json", "[]", "no turns in it"),
        ("a.json", json.dumps([JSON_ROW, {"session_id": "m", "words": "a"}]), "segment 2: speaker is None"),
        ("a.json", json.dumps([{**JSON_ROW, "words": None}]), "segment 1: words is None"),
        ("a.json", json.dumps([{**JSON_ROW, "start_time": "soon"}]), "start_time is 'soon', wanted seconds"),
        ("a.json", json.dumps([{**JSON_ROW, "start_time": 2, "end_time": 1}]), "it ends at 1 s, before it begins at 2"),
        ("a.jsonl", '{"speaker": "A", "text": "a"}', "line 1: session_id or recording or audio_filepath is None"),
        ("a.jsonl", '{"speaker": "A"\n', "line 1: no JSON"),
        ("a.stm", "m 1 A 0 1 a\nm 1 A one 2 b\n", "not so on line 2"),
        ("a.stm", "m 1 A 0 1 {a / b}\n", "m-1-0.00: '{a / b}' has alternatives"),
        ("a.stm", "m 1 A 0 1 IGNORE_TIME_SEGMENT_IN_SCORING\n", "segments to be ignored"),
        ("a.rttm", "SPEAKER m 1 0 1 <NA> <NA> A <NA> <NA>\n", "(an RTTM tells who speaks, but not what)"),
        ("a.txt", "", "wanted turns with their speakers"),
        ("folder", None, "is a folder"),
        ("gone.stm", None, "gone.stm: cannot be read: No such file"),
    ],
)
def test_bad_input_is_one_message(
    name: str, content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(written(tmp_path / "good.stm", REFERENCE))
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    elif name == "folder":
        (tmp_path / name).mkdir()
    for words in ([str(tmp_path / name), good], [good, str(tmp_path / name)]):
        assert main(["score", *words, "--speakers"]) == 2
        err = capsys.readouterr().err
        assert message in err and str(tmp_path / name) in err and "Traceback" not in err


def test_both_sides_have_the_same_recordings() -> None:
    with pytest.raises(DataError, match=r"recordings 1 without a hypothesis: m2\. Each must be in both"):
        count_speaker_errors(turns(REFERENCE), turns(HYPOTHESIS[:4]))
    with pytest.raises(DataError, match="1 without a reference: m2"):
        count_speaker_errors(turns(REFERENCE[:3]), turns(HYPOTHESIS))
    silent = turns([*HYPOTHESIS[:4], ("m2", "1", 0.0, 1.0, "")])
    assert count_speaker_errors(turns(REFERENCE), silent).total.words == ErrorCounts(6, 1, 2, 1)


def test_a_collar_wants_times() -> None:
    with pytest.raises(DataError, match="the hypotheses have turns without times, in m1, m2: with a collar"):
        count_speaker_errors(turns(REFERENCE), turns(HYPOTHESIS, timed=False), "tcp")


def test_more_streams_than_meeteval_takes_are_a_message() -> None:
    many = turns([("m", str(i), 0.0, 1.0, "a") for i in range(12)])
    with pytest.raises(DataError, match="ORC-WER: Are you sure"):
        count_speaker_errors(many, many, "orc")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--speakers", "--collar", "5"], "--collar is for --speakers tcp or tcorc; found with --speakers cp"),
        (["--speakers", "tcp", "--collar", "-1"], "--collar: found -1, wanted seconds, 0 or more"),
        (["--speakers", "tcp", "--collar", "nan"], "--collar: found nan"),
        (["--speakers", "--html", "a.html"], "--html is for a WER of texts; found with --speakers cp"),
        (["--speakers", "--ref-format", "stm"], "--ref-format is for a WER of texts"),
        (["--speakers", "--tier", "words"], "--tier is for --times"),
        (["--collar", "5"], "--collar is for --speakers tcp or tcorc; found with words"),
    ],
)
def test_options_that_do_not_go_together(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(tmp_path / "a.stm", REFERENCE))
    assert main(["score", path, path, *words]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_measure_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "a", "b", "--speakers", "der"])
    assert "invalid choice: 'der'" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="found 'der', wanted one of cp, tcp, orc, tcorc"):
        count_speaker_errors(turns(REFERENCE), turns(HYPOTHESIS), "der")


def test_without_meeteval_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("meeteval", "meeteval.wer"):
        monkeypatch.setitem(sys.modules, name, None)
    path = str(written(tmp_path / "a.stm", REFERENCE))
    assert main(["score", path, path, "--speakers"]) == 2
    assert "asr score: --speakers needs meeteval" in (err := capsys.readouterr().err)
    assert "pip install 'asr[speakers]'" in err


def test_the_command_knows_what_the_module_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path / "a.stm", REFERENCE))
    for measure, name in MEASURES.items():
        assert main(["score", path, path, "--speakers", measure]) == 0
        collar = f" (collar {COLLAR:g} s)" if measure in TIMED else ""
        assert f"{name}{collar} 0.00%" in capsys.readouterr().out
    assert SpeakerErrors("cp", None, ()).total.words == ErrorCounts()
