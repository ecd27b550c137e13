"""Scores on NIST's own test data, and beside other scorers on random pairs.

The figures wanted are those that the tests of sclite and sc_stats expect (src/sclite/testdata/base*), with case folded
for each language, as those tests have it. `tests.ref` is scored with the option -D of sclite, where optional words are
correct if they are not said; here they are then neither errors nor words, so that the same errors are of fewer words.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from asr.evaluation.scoring import Alignment, ErrorCounts, align_all, count_each, count_errors
from asr.evaluation.significance import mapsswe, rate_interval
from asr.evaluation.transcripts import pair_transcripts
from tests.test_evaluation_scoring import errors_of_cheapest, random_pairs, sclite_counts

DATA = Path(__file__).parent / "sctk_data"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "scheme", "counts"),
    [
        ("csrnab.ref", "csrnab.hyp", "case", ErrorCounts(1263, 131, 12, 26)),
        ("csrnab1.ref", "csrnab1.hyp", "case", ErrorCounts(55, 8, 1, 1)),
        ("test.turkish.ref", "test.turkish.hyp", "turkish", ErrorCounts(7, 0, 7, 7)),
        ("test.ukranian.ref", "test.ukranian.hyp", "case", ErrorCounts(59, 7, 0, 2)),
        ("test.vietnamese.ref", "test.vietnamese.hyp", "case", ErrorCounts(624, 0, 136, 208)),
        ("tests.ref", "tests.hyp", "case", ErrorCounts(142, 76, 20, 40)),
        ("lvc_ref.stm", "lvc_hyp.ctm", "case", ErrorCounts(1013, 540, 226, 171)),
        ("lvc_refe.stm", "lvc_hyp.ctm", "case", ErrorCounts(957, 503, 212, 165)),
    ],
)
def test_counts_of_sclites_own_data(reference: str, hypothesis: str, scheme: str, counts: ErrorCounts) -> None:
    formats = ("stm", "ctm") if reference.endswith("stm") else ("trn", "trn")
    pairs = pair_transcripts(DATA / reference, DATA / hypothesis, *formats, text_scheme=scheme)
    assert count_errors([pair.reference for pair in pairs], [pair.hypothesis for pair in pairs]) == counts


def alignments(path: Path) -> list[Alignment]:
    """Of sclite's SGML. A fragment that counts as correct has its reference on both sides."""
    found = []
    for path_text in re.findall(r"<PATH [^\n]*>\n(.*?)\n</PATH>", path.read_text(encoding="utf-8"), re.DOTALL):
        words = re.findall(r'([CSDI]),(?:"([^"]*)")?,(?:"([^"]*)")?', path_text)
        found.append([(left or None, {"C": left, "D": None}.get(kind, right)) for kind, left, right in words])
    return found


def test_matched_pairs_on_sc_statss_own_data() -> None:
    a, b = (alignments(DATA / name) for name in ("file1.sgml", "file2.sgml"))
    found = mapsswe(a, b)
    assert (found.segments, round(found.mean, 3), round(found.z, 3)) == (3, 0.667, 2.0)
    turned = mapsswe(b, a)
    assert (turned.segments, round(turned.mean, 3), round(turned.z, 3)) == (3, -0.667, -2.0)


def test_2000_random_pairs_beside_other_scorers() -> None:
    """The same number of errors as jiwer, kaldialign and meeteval count in every pair, and of them the most hits."""
    jiwer, kaldialign = pytest.importorskip("jiwer"), pytest.importorskip("kaldialign")
    wer = pytest.importorskip("meeteval.wer")
    pairs = random_pairs(seed=6, number=1000, vocabulary=1000) + random_pairs(seed=7, number=1000, vocabulary=5)
    references, hypotheses = (list(side) for side in zip(*pairs, strict=True))
    ours = count_each(references, hypotheses)
    for (reference, hypothesis), counts in zip(pairs, ours, strict=True):
        by_jiwer = jiwer.process_words(reference, hypothesis)
        by_kaldi = kaldialign.edit_distance(reference.split(), hypothesis.split())
        by_meeteval = wer.siso_word_error_rate(reference, hypothesis)
        totals = [
            by_jiwer.substitutions + by_jiwer.deletions + by_jiwer.insertions,
            by_kaldi["total"],
            by_meeteval.errors,
        ]
        assert [counts.errors] * 3 == totals
        # Of the alignments with so few errors those with other kinds have more substitutions, and fewer hits.
        others = [by_jiwer.substitutions, by_kaldi["sub"], by_meeteval.substitutions]
        assert counts.substitutions <= min(others)


def test_2000_random_pairs_beside_sclite(tmp_path: Path) -> None:
    """Each kind of error as often as in sclite, wherever it counts as few errors: its weights can want more."""
    pairs = random_pairs(seed=8, number=1000, vocabulary=1000) + random_pairs(seed=9, number=1000, vocabulary=5)
    references, hypotheses = (list(side) for side in zip(*pairs, strict=True))
    more = 0
    for (reference, hypothesis), ours, theirs in zip(
        pairs, count_each(references, hypotheses), sclite_counts(pairs, tmp_path), strict=True
    ):
        if ours.errors == theirs.errors:
            assert ours == theirs
        else:
            more += 1
            assert ours.errors < theirs.errors <= errors_of_cheapest(reference.split(), hypothesis.split())[1]
    assert 0 < more < 40


def test_the_interval_is_that_of_kaldialigns_bootstrap() -> None:
    kaldialign = pytest.importorskip("kaldialign")
    pairs = random_pairs(seed=10, number=500, vocabulary=50)
    references, hypotheses = (list(side) for side in zip(*pairs, strict=True))
    counts = count_each(references, hypotheses)
    errors, lengths = (
        np.array([getattr(item, name) for item in counts], float) for name in ("errors", "reference_length")
    )
    ours = rate_interval(errors, lengths)
    theirs = kaldialign.bootstrap_wer_ci([text.split() for text in references], [text.split() for text in hypotheses])
    assert theirs["wer"] == pytest.approx(errors.sum() / lengths.sum(), abs=0.003)
    half = (ours.high - ours.low) / 2
    assert half == pytest.approx(theirs["ci95"], rel=0.05)
    assert ours.low == pytest.approx(theirs["ci95min"], abs=0.1 * half)
    assert ours.high == pytest.approx(theirs["ci95max"], abs=0.1 * half)


def test_alignments_project_back_and_kinds_fit_the_lengths() -> None:
    pairs = random_pairs(seed=11, number=500, vocabulary=4)
    references, hypotheses = (list(side) for side in zip(*pairs, strict=True))
    for reference, hypothesis, alignment, counts in zip(
        references, hypotheses, align_all(references, hypotheses), count_each(references, hypotheses), strict=True
    ):
        assert [word for word, _ in alignment if word is not None] == reference.split()
        assert [word for _, word in alignment if word is not None] == hypothesis.split()
        assert counts.substitutions + counts.deletions == len(reference.split()) - counts.hits
        assert counts.substitutions + counts.insertions == len(hypothesis.split()) - counts.hits
        assert sum(left == right for left, right in alignment) == counts.hits
        assert sum(left != right for left, right in alignment) == counts.errors
