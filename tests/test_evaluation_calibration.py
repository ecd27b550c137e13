"""Confidences that mean what they say: measured, and fitted."""

import math

import numpy as np
import pytest

from asr.decoders import Hypothesis, Word
from asr.decoders.confidence import confidences, evidence
from asr.decoders.settings import DecoderSettings
from asr.errors import ConfigError
from asr.evaluation.calibration import (
    bins,
    choose_gate,
    expected_calibration_error,
    fit,
    judged,
    right_words,
    roc_auc,
)
from asr.evaluation.scoring import align_all
from asr.evaluation.tune import calibrated


def heard(text: str, *sure: float) -> Hypothesis:
    found = evidence(sure, np.log(sure))
    words = tuple(Word(word, i, i + 1, p) for i, (word, p) in enumerate(zip(text.split(), sure, strict=True)))
    return Hypothesis((), text, 0.0, words=words, evidence=tuple(map(tuple, found.tolist())))


def test_the_expected_error_is_the_mean_gap_over_words() -> None:
    sure, right = np.array([0.91, 0.93, 0.97, 0.5, 1.0, 0.0]), np.array([1, 0, 1, 0, 1, 0], float)
    assert [row[0] for row in bins(sure, right)] == [0.0, 0.5, 0.9]
    assert expected_calibration_error(sure, right) == pytest.approx((0 + 0.5 + 4 * abs(3.81 / 4 - 3 / 4)) / 6)
    assert expected_calibration_error(np.array([]), np.array([])) == 0


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    sure, right = rng.integers(0, 8, 60) / 8, rng.integers(0, 2, 60).astype(float)
    pairs = [(a > b) + (a == b) / 2 for a in sure[right == 1] for b in sure[right == 0]]
    assert roc_auc(sure, right) == pytest.approx(np.mean(pairs))
    assert roc_auc(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.0, 1.0])) == 1
    assert math.isnan(roc_auc(np.array([0.3]), np.array([1.0])))


def test_the_fit_finds_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    found = evidence(rng.uniform(0, 1, 100_000), -rng.exponential(1, 100_000))
    true = (0.3, 0.5, 1.2)
    right = (rng.uniform(size=len(found)) < confidences(found, true)).astype(float)
    assert fit(found, right) == pytest.approx(true, abs=0.04)
    assert expected_calibration_error(confidences(found, fit(found, right)), right) < 0.01


def test_words_that_are_all_right_have_finite_weights() -> None:
    found = evidence(np.full(300, 0.9), np.full(300, -0.1))
    assert confidences(found, fit(found, np.ones(300))).min() > 0.95


def test_hypotheses_whose_words_normalisation_has_changed_are_not_judged() -> None:
    hypotheses = [heard("A B", 0.9, 0.8), heard("C-D", 0.7)]
    alignments = align_all(["A C", "C D"], ["A B", "C D"])
    assert right_words(alignments, hypotheses) == [[True, False], []]
    sure, right = judged(alignments, hypotheses)
    assert sure.tolist() == [0.9, 0.8] and right.tolist() == [1, 0]


def test_the_gate_costs_a_word_in_a_thousand() -> None:
    sure, errors, words = [0.12, 0.22, 0.32, 0.9], [3, 1, 2, 10], [3, 2, 1000, 500]
    assert choose_gate(sure, errors, words) == 0.3  # the first costs nothing, the second one word, the third 998
    assert choose_gate([0.01, 0.9], [0, 0], [5, 5]) == 0.0


def test_confidences_are_fitted_where_there_are_enough_words() -> None:
    rng = np.random.default_rng(0)
    references, hypotheses = [], []
    for _ in range(200):
        sure = rng.uniform(0.9, 1, 5)  # much too sure: half of the words are wrong
        words = ["YES" if good else "NO" for good in rng.uniform(size=5) < 0.5]
        references.append("YES " * 4 + "YES")
        hypotheses.append(heard(" ".join(words), *sure))
    settings, (before, after) = calibrated(DecoderSettings(), references, hypotheses)
    assert len(settings.confidence_weights) == 3 and before > 0.4 and after < 0.05
    few = calibrated(DecoderSettings(), references[:9], hypotheses[:9])
    assert few[0] == DecoderSettings() and few[1][0] == few[1][1]


def test_settings_of_confidences_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"confidence_weights: found \(1.0,\), wanted 3 numbers"):
        DecoderSettings(confidence_weights=(1.0,))
    with pytest.raises(ConfigError, match="confidence_weights"):
        DecoderSettings(confidence_weights=(1.0, math.nan, 0.0))
    with pytest.raises(ConfigError, match="min_confidence: found 1.5, wanted 0 to 1"):
        DecoderSettings(min_confidence=1.5)
