"""What a validation is judged by: rates in the right unit, ties broken by what still tells."""

import math

import pytest
import torch

from asr.text.tokenizer import BLANK, CharacterTokenizer
from asr.training.callbacks import Patience
from asr.training.ranking import error_rates, metric_of, rank


def test_a_rank_sorts_as_its_figures_do_the_first_counting_most() -> None:
    worse_first = [
        (math.inf, 1.0, 5.0),
        (1.0, 1.0, math.nan),
        (1.0, 1.0, 5.0),
        (1.0, 1.0, 4.99),
        (1.0, 0.9999, 9.0),
        (0.9999, 3.0, math.inf),
        (0.0, 0.1, 0.2),
        (0.0, 0.0, 0.1999),
    ]
    ranks = [rank(*figures) for figures in worse_first]
    assert ranks == sorted(set(ranks), reverse=True)
    assert all(math.isfinite(value) for value in ranks)


def test_patience_outlasts_a_beginning_with_nothing_but_blanks() -> None:
    """WER and then CER stand at 100 % while training does what it should."""
    patience = Patience(3)
    figures = [(1.0, 1.0, loss) for loss in (9.0, 7.0, 5.0, 4.0, 3.5)]
    figures += [(1.0, cer, 3.6) for cer in (0.99, 0.95, 0.9, 0.85)]
    figures += [(wer, 0.8, 3.6) for wer in (0.9, 0.7)]
    for item in figures:
        stop, _ = patience._evaluate_stopping_criteria(torch.tensor(rank(*item), dtype=torch.float64))
        assert not stop
    stops = []
    for item in [(0.7, 0.8, 3.6), (0.71, 0.8, 3.0), (0.7, 0.81, 3.0)]:
        stop, _ = patience._evaluate_stopping_criteria(torch.tensor(rank(*item), dtype=torch.float64))
        stops.append(stop)
    assert stops == [False, False, True]


@pytest.mark.parametrize(
    ("texts", "metric"),
    [
        (["A BAD CAB", "FACE"], "valid_wer"),
        (["SEVEN", "ONE"], "valid_wer"),
        (["안녕하세요 여러분", "감사합니다"], "valid_wer"),
        (["今天天气很好", "你好"], "valid_cer"),
        (["今天 天气 很 好", "你好"], "valid_wer"),
        (["ありがとうございます", "カタカナ"], "valid_cer"),
        (["วันนี้อากาศดีมาก ขอบคุณ"], "valid_cer"),
    ],
)
def test_languages_without_spaces_are_judged_by_characters(texts: list[str], metric: str) -> None:
    assert metric_of(CharacterTokenizer([BLANK, "A"]), texts) == metric


def test_rates_are_named_for_their_unit() -> None:
    assert error_rates("valid_wer", ["A BAD CAB"], ["A BAD CAP"]) == {"valid_wer": 1 / 3, "valid_cer": 1 / 9}
    assert list(error_rates("valid_cer", ["AB"], ["AC"]).items()) == [("valid_cer", 0.5), ("valid_wer", 1.0)]
    assert error_rates("valid_per", ["B AE D"], ["B AE T"]) == {"valid_per": 1 / 3}
