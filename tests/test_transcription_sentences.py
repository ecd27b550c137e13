"""Where sentences end, by the decoder's scores and the pause together; and what is heard together."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from asr.decoders import Hypothesis
from asr.decoders.beam import BeamDecoder
from asr.lm import ngram
from asr.lm.arpa import write_arpa
from asr.transcription.recogniser import NEAR, NO_WORDS, Recogniser
from asr.transcription.segmentation import MAX_SECONDS, Piece
from asr.transcription.sentences import EVIDENCE, NEUTRAL, SURE, find_sentences, put_together
from tests.tone_model import RATE, say, tone_model

FRAME = 0.5  # seconds


def sentences(pauses: list[float], bonus: float = 0.0, seconds: float = 2 * FRAME) -> list[list[int]]:
    """Of pieces that earn `bonus` in a decoder's score for each of them that is not the first of a sentence."""

    def decode(log_probs: list[Tensor]) -> list[Hypothesis]:
        return [Hypothesis((), "", bonus * (len(part) // 2 - 1)) for part in log_probs]

    return find_sentences(decode, [torch.zeros(2, 1)] * len(pauses), pauses, seconds / 2)


def test_the_higher_score_decides_and_the_pause_tips_the_balance() -> None:
    for pause in (0.2, 0.5, 1.0):
        tipping = EVIDENCE * (pause - NEUTRAL)
        assert sentences([math.inf, pause], tipping + 0.1) == [[0, 1]]
        assert sentences([math.inf, pause], tipping - 0.1) == [[0], [1]]


def test_a_long_pause_always_ends_a_sentence_and_so_does_the_end_of_a_recording() -> None:
    assert sentences([math.inf, SURE - 0.01, SURE, math.inf, 0.5], bonus=1e6) == [[0, 1], [2], [3, 4]]


def test_sentences_may_take_many_pieces() -> None:
    assert sentences([math.inf, 0.5, 0.5, 2.0, 0.5, 0.5, 0.5], bonus=5.0) == [[0, 1, 2], [3, 4, 5, 6]]


def test_no_sentence_is_longer_than_the_limit() -> None:
    assert sentences([math.inf, 0.5, 0.5], bonus=1e6, seconds=MAX_SECONDS / 2) == [[0, 1], [2]]
    assert sentences([math.inf, 0.5, 0.5], bonus=1e6, seconds=MAX_SECONDS / 2 + 1) == [[0], [1], [2]]


def test_nothing_and_pieces_of_nothing() -> None:
    assert sentences([]) == put_together([], []) == []
    assert Recogniser(tone_model()).recognise([np.zeros(0, np.float32)]) == [NO_WORDS]


def test_the_nearest_are_put_together_first() -> None:
    half = MAX_SECONDS / 2
    assert put_together([half, half, half, half], [math.inf, 0.6, 0.4, 0.9]) == [[0], [1, 2], [3]]
    assert put_together([1.0, 1.0, 1.0, 1.0], [math.inf, 0.6, 0.4, 0.9]) == [[0, 1, 2, 3]]


def test_what_is_far_apart_or_too_long_is_not_put_together() -> None:
    assert put_together([1.0] * 4, [math.inf, 0.5, 0.8, 0.5], apart=0.8) == [[0, 1], [2, 3]]
    assert put_together([1.0] * 4, [math.inf, 0.5, math.inf, 0.5]) == [[0, 1], [2, 3]]
    assert put_together([0.4 * MAX_SECONDS] * 4, [math.inf, 0.6, 0.5, 0.7]) == [[0], [1, 2], [3]]


def test_random_groups_are_neighbours_in_order_and_no_two_could_be_joined() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        seconds = rng.uniform(0, 20, 30).tolist()
        pauses = rng.choice([0.0, 0.3, 0.5, 1.0, math.inf], 30).tolist()
        groups = put_together(seconds, pauses, apart=0.9)
        assert [i for group in groups for i in group] == list(range(30))
        lengths = [sum(seconds[i] for i in group) for group in groups]
        for group, before, length in zip(groups[1:], lengths, lengths[1:], strict=False):
            assert pauses[group[0]] >= 0.9 or before + length > MAX_SECONDS


@pytest.mark.parametrize("known, wanted", [(["BAD CAB"], ["BAD CAB", ""]), (["BAD", "CAB"], ["BAD", "CAB"])])
def test_the_language_model_knows_whether_a_sentence_has_ended(
    known: list[str], wanted: list[str], tmp_path: Path
) -> None:
    """The same sound, cut at the same pause."""
    corpus = ngram.read_corpus([text.split() for text in known * 20])
    write_arpa(tmp_path / "lm.arpa", ngram.estimate(ngram.count(corpus, 2), [0], ngram.FALLBACK))
    model = tone_model()
    decoder = BeamDecoder(model.tokenizer, model.seconds_per_frame, lm=tmp_path / "lm.arpa", lm_weight=2.0)
    first = say("BAD", 0.1, 0.25)
    second = Piece(len(first) / RATE, say("CAB", 0.25, 0.1), pause=NEUTRAL)
    found = [listed[0] for listed in Recogniser(model, decoder).of_pieces([Piece(0.0, first), second])]
    assert [hypothesis.text for hypothesis in found] == wanted
    starts = [word.start for hypothesis in found for word in hypothesis.words]
    # From the beginning of the piece that the sentence begins in.
    begins = second.start if wanted[0] == "BAD CAB" else 0.0
    assert starts == pytest.approx([0.1, begins + 0.25], abs=0.05)


def test_a_piece_is_heard_in_two_contexts_and_the_mean_is_taken() -> None:
    torch.manual_seed(0)
    model = copy.deepcopy(tone_model())
    for weight in model.parameters():  # so that what is heard depends on what is around it
        weight.data += 0.1 * torch.randn_like(weight)
    recogniser = Recogniser(model)
    first, second, third = say("BAD"), say("CAB"), say("AC")
    pieces = [Piece(0.0, first), Piece(2.0, second, pause=NEAR - 0.1), Piece(4.0, third, pause=NEAR)]
    near, wide = recogniser._log_probs([np.concatenate([first, second]), np.concatenate([first, second, third])])
    begins = round(len(first) / RATE / model.seconds_per_frame)
    log_probs = recogniser._log_probs_of_pieces(pieces)
    assert len(log_probs[0]) == begins and len(log_probs[1]) == len(near) - begins
    mean = torch.log_softmax((near + wide[: len(near)]) / 2, -1)[begins:]
    # The last frame may be rounded into the piece after it.
    assert torch.allclose(log_probs[1][:-1], mean[:-1], atol=1e-4)
    assert not torch.allclose(log_probs[1][:-1], near[begins:-1], atol=0.01)
    # A recording of one piece has but one context.
    assert torch.equal(recogniser._log_probs_of_pieces([Piece(0.0, first)])[0], recogniser._log_probs([first])[0])
