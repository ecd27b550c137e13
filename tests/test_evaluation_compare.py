"""Confidence intervals and tests: against what is known in closed form, and against sctk."""

import json
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from asr.cli import main
from asr.errors import DataError
from asr.evaluation.compare import compare
from asr.evaluation.scoring import align_all, count_alignment, count_errors
from asr.evaluation.significance import grouped, holm, mapsswe, paired_bootstrap, rate_interval
from tests.sctk import sctk


def spoiled(texts: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """Words substituted, deleted and inserted at random."""
    found = []
    for text in texts:
        words = []
        for word in text.split():
            draw = rng.random() / share
            words += ["X"] if draw < 0.5 else [] if draw < 0.75 else [word, "Y"] if draw < 1 else [word]
        found.append(" ".join(words))
    return found


@pytest.fixture
def references() -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(list("ABCDEFGH"), rng.integers(3, 15))) for _ in range(300)]


def test_counts_of_alignments_add_up(references: list[str]) -> None:
    hypotheses = spoiled(references, 0.3, np.random.default_rng(1))
    total = sum((count_alignment(item).errors for item in align_all(references, hypotheses)), 0)
    assert total == count_errors(references, hypotheses).errors > 0


def test_the_interval_is_the_binomial_one_where_words_are_independent() -> None:
    rng = np.random.default_rng(2)
    errors = (rng.random(2000) < 0.2).astype(float)
    interval = rate_interval(errors, np.ones(2000))
    half = 1.96 * math.sqrt(errors.mean() * (1 - errors.mean()) / 2000)
    assert interval.low == pytest.approx(errors.mean() - half, abs=0.002)
    assert interval.high == pytest.approx(errors.mean() + half, abs=0.002)


def test_errors_that_come_in_groups_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    speakers = [f"s{i // 50}" for i in range(1000)]
    of_speaker = dict(zip(sorted(set(speakers)), rng.random(20), strict=True))
    errors = np.array([float(rng.random() < of_speaker[s]) for s in speakers])
    alone = rate_interval(errors, np.ones(1000))
    together = rate_interval(*grouped(speakers, errors.tolist(), [1.0] * 1000))
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_equal_systems_seldom_differ(references: list[str]) -> None:
    """By chance, in one case of twenty."""
    rng = np.random.default_rng(4)
    below = 0
    for _ in range(60):
        hypotheses = [spoiled(references, 0.3, rng) for _ in range(2)]
        alignments = [align_all(references, texts) for texts in hypotheses]
        below += mapsswe(*alignments).p < 0.05
    assert below <= 9
    assert mapsswe(alignments[0], alignments[0]).p == 1
    errors = [[count_alignment(item).errors for item in align_all(references, texts)] for texts in hypotheses]
    lengths = [len(text.split()) for text in references]
    drawn = paired_bootstrap(*map(np.array, (*errors, lengths, lengths)))
    assert drawn.interval.low < 0 < drawn.interval.high and 0.02 < drawn.probability < 0.98


def test_a_better_system_is_found_better(references: list[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for name, share in (("a", 0.3), ("b", 0.2)):
        rows = zip(references, spoiled(references, share, rng), strict=True)
        lines = [
            json.dumps({"id": f"u{i}", "text": wanted, "pred_text": found, "speaker": f"s{i % 30}"})
            for i, (wanted, found) in enumerate(rows)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    both = compare([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    (found,) = both.differences
    assert (found.units, found.unit) == (30, "speakers")
    assert found.matched_pairs.p < 0.001 and found.bootstrap.probability > 0.99
    assert found.bootstrap.difference == pytest.approx(both.systems[0].words.rate - both.systems[1].words.rate)
    assert found.verdict().startswith("B is better")
    (turned,) = compare([tmp_path / "b.jsonl", tmp_path / "a.jsonl"]).differences
    assert turned.matched_pairs.z == pytest.approx(-found.matched_pairs.z)
    assert turned.verdict().startswith("A is better")


def test_segments_are_parted_by_two_good_words() -> None:
    # A has errors at 1 and 3 (one good word between) and at 6 (two good words before it); B has none.
    wanted = ["A B C D E F G"]
    found = mapsswe(align_all(wanted, ["X B X D E X G"]), align_all(wanted, wanted))
    assert found.segments == 2
    assert found.mean == pytest.approx(1.5)


def test_references_are_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.trn").write_text("A B (u1)\n", encoding="utf-8")
    (tmp_path / "b.trn").write_text("A C (u1)\n", encoding="utf-8")
    with pytest.raises(DataError, match="give the references"):
        compare([tmp_path / "a.trn", tmp_path / "b.trn"])
    (tmp_path / "ref.trn").write_text("A C (u1)\n", encoding="utf-8")
    report = tmp_path / "c.json"
    command = ["compare", *(str(tmp_path / name) for name in ("a.trn", "b.trn")), "--json", str(report)]
    assert main([*command, "--references", str(tmp_path / "ref.trn")]) == 0
    assert re.search(r"A +\S+a\.trn +50\.00%", capsys.readouterr().out)
    assert json.loads(report.read_text(encoding="utf-8"))["systems"][0]["substitutions"] == 1
    (tmp_path / "b.trn").write_text("A C (u2)\n", encoding="utf-8")
    assert main([*command, "--references", str(tmp_path / "ref.trn")]) == 2


def test_equal_to_sctk(references: list[str], tmp_path: Path) -> None:
    """sclite breaks ties between alignments otherwise, so that a few segments differ."""
    sclite, sc_stats = sctk("sclite"), sctk("sc_stats")
    rng = np.random.default_rng(6)
    hypotheses = {"a": spoiled(references, 0.25, rng), "b": spoiled(references, 0.2, rng)}
    for name, texts in {"ref": references, **hypotheses}.items():
        lines = [f"{text} (spk{i % 10}_{i})" for i, text in enumerate(texts)]
        (tmp_path / f"{name}.trn").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in hypotheses:
        names = ["-r", "ref.trn", "trn", "-h", f"{name}.trn", "trn"]
        command = [*sclite, *names, "-i", "spu_id", "-o", "sgml", "-n", name]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    both = (tmp_path / "a.sgml").read_text(encoding="utf-8") + (tmp_path / "b.sgml").read_text(encoding="utf-8")
    command = [*sc_stats, "-p", "-t", "mapsswe", "-v", "-n", "-"]
    done = subprocess.run(command, cwd=tmp_path, input=both, encoding="utf-8", capture_output=True)
    theirs = re.search(r"# segs: (\d+)\).*\(mean: (\S+)\).*\(Z Stat: (\S+)\)", done.stdout)
    assert theirs
    ours = mapsswe(*(align_all(references, texts) for texts in hypotheses.values()))
    assert ours.segments == pytest.approx(int(theirs[1]), rel=0.02)
    assert ours.mean == pytest.approx(float(theirs[2]), abs=0.02)
    assert ours.z == pytest.approx(float(theirs[3]), abs=0.2)


def write_rows(path: Path, references: list[str], hypotheses: list[str], speakers: int = 10) -> Path:
    rows = [
        {"id": f"u{i}", "text": reference, "pred_text": hypothesis, "speaker": f"s{i % speakers}"}
        for i, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_texts(path: Path) -> list[str]:
    return [json.loads(line)["pred_text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_little_is_too_little_to_tell(references: list[str], tmp_path: Path) -> None:
    wrong = spoiled(references, 0.3, np.random.default_rng(1))
    for count, speakers, enough in ((2, 10, False), (300, 3, False), (300, 10, True)):
        few = references[:count]
        a = write_rows(tmp_path / "a.jsonl", few, few, speakers)
        b = write_rows(tmp_path / "b.jsonl", few, wrong[:count], speakers)
        (found,) = compare([a, b]).differences
        assert found.verdict().startswith("A is better" if enough else "Too little to tell")


def test_other_references_are_an_error(references: list[str], tmp_path: Path) -> None:
    a = write_rows(tmp_path / "a.jsonl", references, references)
    b = write_rows(tmp_path / "b.jsonl", [*references[:-1], "Z"], references)
    with pytest.raises(DataError, match=r"u299: the references differ: '.*' in .*a\.jsonl, 'Z' in .*b\.jsonl"):
        compare([a, b])
    assert compare([a, b], references=a).systems[0].words.errors == 0


def test_many_systems(references: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each beside each; p is adjusted for the number of pairs, as Holm does."""
    rng = np.random.default_rng(7)
    files = [
        write_rows(tmp_path / f"{name}.jsonl", references, spoiled(references, share, rng))
        for name, share in (("good", 0.1), ("bad", 0.3), ("bad2", 0.3))
    ]
    report = tmp_path / "report.json"
    page = tmp_path / "report.html"
    assert main(["compare", *map(str, files), "--json", str(report), "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    differing = sum(len(set(found)) > 1 for found in zip(*map(read_texts, files), strict=True))
    assert html.count('<td class="id">') == differing > 100
    assert html.count("</circle>") + html.count("<circle") == 3 and "adjusted for all pairs" in html
    out = capsys.readouterr().out
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert [item["hypotheses"] for item in figures["systems"]] == [str(file) for file in files]
    verdicts = {item["a"] + item["b"]: item["verdict"] for item in figures["differences"]}
    better = "A is better: the difference is hardly chance."
    assert verdicts == {"AB": better, "AC": better, "BC": "The difference may well be chance."}
    assert out.count("adjusted for all pairs") == 2 and "bad2.jsonl" in out
    for item in figures["differences"]:
        (alone,) = compare([files["ABC".index(item[key])] for key in "ab"]).differences
        assert alone.matched_pairs.p == pytest.approx(item["matched_pairs"]["p"])
        assert alone.bootstrap.interval.low == item["bootstrap"]["interval"]["low"]


def test_holm() -> None:
    """The example of Holm's method: the smallest p times 4, the next times 3, never less than one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_references_with_alternatives_are_read_for_each_system(tmp_path: Path) -> None:
    (tmp_path / "ref.trn").write_text("x { a / b c d } y (u1)\n", encoding="utf-8")
    (tmp_path / "a.trn").write_text("x a z (u1)\n", encoding="utf-8")
    (tmp_path / "b.trn").write_text("x b c d y (u1)\n", encoding="utf-8")
    found = compare([tmp_path / "a.trn", tmp_path / "b.trn"], tmp_path / "ref.trn")
    assert [system.words.reference_length for system in found.systems] == [3, 5]
    assert [system.words.errors for system in found.systems] == [1, 0]
    (difference,) = found.differences
    assert difference.bootstrap.difference == pytest.approx(1 / 3)
    assert (difference.matched_pairs.segments, difference.matched_pairs.mean) == (1, 1.0)


def test_errors_of_writing_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, found = ["The cat sat.", "It's one, two!"], ["THE CAT SAT", "IT'S ONE THREE"]
    (tmp_path / "ref.txt").write_text("\n".join(said) + "\n", encoding="utf-8")
    (tmp_path / "hyp.txt").write_text("\n".join(found) + "\n", encoding="utf-8")
    command = ["score", str(tmp_path / "ref.txt"), str(tmp_path / "hyp.txt")]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "WER 100.00%" in out
    assert "case, punctuation or Unicode form make 5 of the 6 errors: with --text-scheme basic the WER is 16.67%" in err
    assert main([*command, "--text-scheme", "basic"]) == 0
    out, err = capsys.readouterr()
    assert "WER 16.67%" in out and err == ""
    a = write_rows(tmp_path / "a.jsonl", said, found)
    assert main(["compare", str(a), str(a)]) == 0
    assert f"{a}: case, punctuation or Unicode form make 5 of the 6 errors" in capsys.readouterr().err


def test_units_that_are_alike_are_drawn_in_kinds() -> None:
    """The interval of many utterances is what drawing each would give."""
    rng = np.random.default_rng(4)
    errors, lengths = rng.integers(0, 3, 4000).astype(float), rng.integers(8, 11, 4000).astype(float)
    assert len(np.unique(np.stack([errors, lengths], axis=1), axis=0)) == 9
    fast = rate_interval(errors, lengths)
    # A little of each makes them all different, and nothing else.
    slow = rate_interval(errors + np.arange(4000) * 1e-9, lengths)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=3e-4)
    assert fast.low < errors.sum() / lengths.sum() < fast.high
