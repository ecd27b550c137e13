"""Rescoring: the sum and the order that it must give; everything else about a hypothesis stays."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from asr.decoders import Decoder, Hypothesis, Word
from asr.decoders.greedy import GreedyDecoder
from asr.decoders.rescoring import RescoringDecoder
from asr.errors import TextError
from asr.lm.recurrent import RecurrentLM, RecurrentLMConfig
from asr.text.tokenizer import BLANK, CharacterTokenizer

LISTS = [
    [
        Hypothesis((1, 2), "TWO BEE", -1.0, (Word("TWO", 0.0, 0.1, 0.9),), ((0, 1), (1, 3))),
        Hypothesis((1, 3), "TO BE", -2.0, (Word("TO", 0.1, 0.2, 0.5),), ((0, 2), (2, 3))),
        Hypothesis((1,), "TO", -3.0),
    ],
    [Hypothesis((), "", -0.5), Hypothesis((1,), "TO", -0.75)],
]
LOG_PROBS = {"TWO BEE": -9.0, "TO BE": -3.0, "TO": -2.0, "": -8.0}


class Lists(Decoder):
    """A search that has found LISTS, with as many prefixes as it was narrowed to."""

    def __init__(self, beam_size: int | None = None) -> None:
        self.beam_size = beam_size

    def __call__(self, log_probs: Tensor, num_frames: Tensor) -> list[list[Hypothesis]]:
        return LISTS[: len(log_probs)]

    def narrowed(self, beam_size: int) -> "Lists":
        return Lists(beam_size)


class Table:
    """A language model as a table, which counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, texts: Sequence[str]) -> list[float]:
        self.asked += texts
        return [LOG_PROBS[text] for text in texts]


def rescore(weight: float, length_bonus: float = 0.0, batch: int = 2) -> list[list[Hypothesis]]:
    decoder = RescoringDecoder(Lists(), Table(), weight, length_bonus)
    return decoder(torch.zeros(batch, 4, 3), torch.full((batch,), 4))


def test_the_score_is_the_sum_and_the_best_comes_first() -> None:
    first, second = rescore(0.5)
    assert [(h.text, h.score) for h in first] == [("TO BE", -3.5), ("TO", -4.0), ("TWO BEE", -5.5)]
    assert [(h.text, h.score) for h in second] == [("TO", -1.75), ("", -4.5)]
    assert [h.lm_score for h in first] == [-3.0, -2.0, -9.0]


def test_the_length_bonus_counts_words() -> None:
    first, second = rescore(1.0, length_bonus=2.0)
    assert [(h.text, h.score) for h in first] == [("TO BE", -1.0), ("TO", -3.0), ("TWO BEE", -6.0)]
    assert [(h.text, h.score) for h in second] == [("TO", -0.75), ("", -8.5)]


def test_without_weight_nothing_moves() -> None:
    assert [[(h.text, h.score) for h in found] for found in rescore(0.0)] == [
        [(h.text, h.score) for h in found] for found in LISTS
    ]


def test_words_times_and_spans_stay_with_their_hypothesis() -> None:
    before = {h.text: h for h in LISTS[0]}
    for after in rescore(0.5)[0]:
        kept = before[after.text]
        assert (after.tokens, after.words, after.spans) == (kept.tokens, kept.words, kept.spans)


def test_an_utterance_s_neighbours_change_nothing() -> None:
    assert rescore(0.5, batch=1)[0] == rescore(0.5)[0]


def test_each_text_is_scored_once() -> None:
    lm = Table()
    RescoringDecoder(Lists(), lm, 1.0)(torch.zeros(2, 4, 3), torch.tensor([4, 4]))
    assert sorted(lm.asked) == sorted(LOG_PROBS)


def test_a_narrowed_search_is_not_rescored() -> None:
    """It finds where sentences end; the language model would double its time."""

    narrowed = RescoringDecoder(Lists(), Table(), 1.0).narrowed(64)
    assert isinstance(narrowed, Lists) and narrowed.beam_size == 64
    greedy = GreedyDecoder(CharacterTokenizer([BLANK, "A"]), 0.04)
    assert RescoringDecoder(greedy, Table(), 1.0).narrowed(64) is greedy


def test_a_language_model_of_another_case_is_an_error_that_names_the_symbols() -> None:
    lm = RecurrentLM(RecurrentLMConfig(embedding_size=4, hidden_size=4), CharacterTokenizer([BLANK, *" bewto"])).eval()
    with pytest.raises(TextError, match="'TO': the model has no token for 'O'.*LATIN CAPITAL LETTER O"):
        RescoringDecoder(Lists(), lm, 1.0)(torch.zeros(1, 4, 3), torch.tensor([4]))
