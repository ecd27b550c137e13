"""Reports of an evaluation: their figures, and a page that stands alone."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from asr.cli import main
from asr.data.manifest import Utterance
from asr.decoders import Hypothesis, Word
from asr.evaluation.evaluate import Evaluation
from asr.evaluation.html_report import html_report
from asr.evaluation.report import by_duration, by_speaker, calibration, details, out_of_vocabulary, side_by_side, worst
from asr.evaluation.scoring import align, count_errors


def hypothesis(text: str, confidence: float) -> Hypothesis:
    return Hypothesis((), text, 0.0, words=tuple(Word(word, 0.0, 0.1, confidence) for word in text.split()))


@pytest.fixture
def result(tmp_path: Path) -> Evaluation:
    references = ["THE CAT <SAT>", "A DOG", "ONE TWO THREE FOUR", "YES"]
    found = [
        hypothesis("THE CAT <SAT>", 0.95),
        hypothesis("A FOG", 0.55),
        hypothesis("ONE THREE FOUR FIVE", 0.95),
        hypothesis("YES", 0.95),
    ]
    rows = [
        Utterance(f"u{i}", str(tmp_path / f"a b{i}.wav"), seconds, text, speaker=speaker)
        for i, (text, seconds, speaker) in enumerate(zip(references, (1.5, 3.0, 20.0, 1.0), "XXYY", strict=True))
    ]
    return Evaluation(
        rows,
        references,
        found,
        "word",
        25.5,
        1.0,
        "none",
    )


def test_tables_add_up(result: Evaluation) -> None:
    assert [row[0:2] + row[-1:] for row in by_duration(result).rows] == [
        ("0-2 s", "0.00%", "2"), ("2-4 s", "50.00%", "1"), ("16 s or more", "50.00%", "1"),
    ]  # fmt: skip
    assert [row[0:2] for row in by_speaker(result).rows] == [("Y", "40.00%"), ("X", "20.00%")]
    assert worst(result) == [2, 1]
    assert result.sentence_error_rate == 0.5


def test_calibration_is_the_share_of_right_words(result: Evaluation) -> None:
    table = calibration(result)
    assert table.rows == [("0.5-0.6", "0.550", "0.500", "2"), ("0.9-1.0", "0.950", "0.875", "8")]
    assert table.note == "expected calibration error 0.070; finding wrong words: area under the ROC curve 0.688"


def test_words_outside_the_vocabulary_are_counted(result: Evaluation) -> None:
    table = out_of_vocabulary(result, {"THE", "CAT", "A", "ONE", "TWO", "THREE", "FOUR", "YES"})
    assert "20.00% of 10" in table.title and sorted(table.rows) == [("<SAT>", "1"), ("DOG", "1")]


def test_alignments_are_set_side_by_side() -> None:
    assert side_by_side(align("ONE TWO THREE FOUR", "ONE THREE FOUR FIVE")) == (
        "ONE two THREE FOUR ***\nONE *** THREE FOUR five"
    )


def test_the_text_report_has_it_all(result: Evaluation) -> None:
    text = details(result)
    for part in ("By duration", "By speaker", "DOG -> FOG", "Deletions", "Insertions", "Calibration", "u2: 50.00%"):
        assert part in text


def test_the_page_stands_alone_and_escapes(result: Evaluation, tmp_path: Path) -> None:
    page = html_report(result, "model <on> test", tmp_path / "reports")
    assert "http" not in page and "<link" not in page
    assert "<SAT>" not in page and "&lt;SAT&gt;" in page and "model &lt;on&gt; test" in page
    assert 'src="../a%20b0.wav"' in page
    assert page.count('<tr><td class="id">') == 4
    assert re.search(r'<span class="sub"><s>DOG</s> FOG</span>', page)


@pytest.mark.parametrize("name", ["take #1.wav", "why?.wav", "100 %25.wav", 'a "b" <c> & d.wav', "größer.wav"])
@pytest.mark.parametrize("offset", [0.0, 2.5])
def test_a_browser_finds_the_sound_whatever_its_name(
    result: Evaluation, tmp_path: Path, name: str, offset: float
) -> None:
    result.utterances[0] = replace(result.utterances[0], audio_filepath=str(tmp_path / "x" / name), offset=offset)
    page = html_report(result, "t", tmp_path / "reports")
    sources = [unescape(source) for source in re.findall(r'<audio [^>]*src="([^"]*)"', page)]
    links = {urlsplit(urljoin((tmp_path / "reports" / "page.html").as_uri(), source)) for source in sources}
    (found,) = [link for link in links if unquote(link.path) == str(tmp_path / "x" / name)]
    assert not found.query and found.fragment == ("t=2.5,4" if offset else "")


def test_another_systems_transcripts_have_the_same_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("u1", "THE CAT SAT", "THE CAT SAT", "X"), ("u2", "A DOG", "A <FOG> IS", "Y"), ("u3", "YES", "", "Y")]
    lines = [
        json.dumps({"id": name, "text": said, "pred_text": found, "speaker": speaker, "duration": 2.0}) + "\n"
        for name, said, found, speaker in rows
    ]
    path = tmp_path / "both.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    out = [str(tmp_path / name) for name in ("x.json", "x.html")]
    assert main(["score", str(path), str(path), "--details", "--json", out[0], "--html", out[1]]) == 0
    printed = capsys.readouterr().out
    assert "WER 50.00% (1 substitutions, 1 deletions, 1 insertions of 6 words)  CER" in printed
    assert "bootstrap over speakers" in printed and "By speaker" in printed and "By duration" in printed
    assert "Calibration" not in printed and "RTF" not in printed and "read as jsonl" in printed
    figures = json.loads(Path(out[0]).read_text(encoding="utf-8"))
    assert figures["reference_format"] == "jsonl" and figures["intervals"]["wer"] == [0.0, 1.0]
    page = Path(out[1]).read_text(encoding="utf-8")
    assert "<audio" not in page and "&lt;FOG&gt;" in page and ">speaker</button>" in page and ">confidence" not in page
    (tmp_path / "r.txt").write_text("A B\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "r.txt"), str(tmp_path / "r.txt"), "--html", out[1]]) == 0
    assert ">speaker</button>" not in Path(out[1]).read_text(encoding="utf-8")


def test_character_errors_are_the_same_in_both_ways(result: Evaluation) -> None:
    assert result.character_error_rate == result.characters.rate
    assert result.words == count_errors(result.references, result.texts)
