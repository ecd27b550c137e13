"""The contract of decoders, for each that is registered; and the greedy decoder's own."""

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from asr.decoders import DECODERS, Decoder, Hypothesis, Word, get_decoder
from asr.decoders.greedy import GreedyDecoder
from asr.decoders.settings import DecoderSettings, build_decoder
from asr.errors import ConfigError
from asr.text.phones import PhoneTokenizer
from asr.text.subwords import SubwordTokenizer
from asr.text.tokenizer import BLANK, CharacterTokenizer, Tokenizer

LETTERS = CharacterTokenizer([BLANK, " ", "A", "B", "C"])
SECONDS = 0.04  # of a frame
TOKENIZERS: dict[str, tuple[Tokenizer, str]] = {
    "characters": (LETTERS, "AB  CAA_A  B"),  # every symbol a frame; _ is the blank
    "subwords": (SubwordTokenizer([BLANK, "\u2581A", "B", "\u2581CA", "C"]), "\u2581A B C _ C \u2581CA \u2581CA B"),
    "phones": (PhoneTokenizer([BLANK, "HH", "AH", "L", "OW"]), "HH HH AH _ L L _ L OW"),
}
TEXTS = {"characters": "AB CAA B", "subwords": "ABCC CAB", "phones": "HH AH L L OW"}


def spelt(tokenizer: Tokenizer, symbols: Sequence[str], certainty: float = 0.99) -> Tensor:
    """(T, V) log-probs of a model that is this certain of one symbol, "_" for the blank, in each frame."""
    other = (1 - certainty) / (tokenizer.vocab_size - 1)
    probs = torch.full((len(symbols), tokenizer.vocab_size), other)
    for frame, symbol in enumerate(symbols):
        probs[frame, tokenizer.ids[BLANK if symbol == "_" else symbol]] = certainty
    return probs.log()


def random_log_probs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(-1)


def decode_one(decoder: Decoder, log_probs: Tensor) -> Hypothesis:
    """The best hypothesis for log_probs (T, V)."""
    return decoder(log_probs[None], torch.tensor([len(log_probs)]))[0][0]


@pytest.fixture(params=sorted(DECODERS))
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return get_decoder(request.param, LETTERS, SECONDS)


# ------------------------------------------------------------------------------------------------------ the contract


@pytest.mark.parametrize("name", sorted(DECODERS))
@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_what_the_model_is_sure_of_is_read(name: str, kind: str) -> None:
    tokenizer, symbols = TOKENIZERS[kind]
    frames = list(symbols) if kind == "characters" else symbols.split()
    best = decode_one(get_decoder(name, tokenizer, SECONDS), spelt(tokenizer, frames))
    assert best.text == TEXTS[kind]
    assert best.text == tokenizer.decode(best.tokens)
    assert best.text.split() == [word.text for word in best.words]


def test_hypotheses_are_well_formed_and_the_best_comes_first(decoder: Decoder) -> None:
    num_frames = [40, 31, 5, 1]
    results = decoder(random_log_probs(4, 40, 5), torch.tensor(num_frames))
    assert len(results) == 4
    for hypotheses, count in zip(results, num_frames, strict=True):
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores and scores == sorted(scores, reverse=True)
        assert all(math.isfinite(score) for score in scores)
        for hypothesis in hypotheses:
            assert all(type(token) is int and 0 < token < 5 for token in hypothesis.tokens)
            assert hypothesis.text == LETTERS.decode(hypothesis.tokens)
            assert hypothesis.text.split() == [word.text for word in hypothesis.words]
            assert 0 <= hypothesis.confidence <= 1
            edges = [frame for span in hypothesis.spans for frame in span]
            assert edges == sorted(edges) and all(0 <= frame <= count for frame in edges)
            assert len(hypothesis.spans) == len(hypothesis.tokens)
            assert all(first < stop for first, stop in hypothesis.spans)
            times = [time for word in hypothesis.words for time in (word.start, word.end)]
            assert times == sorted(times) and all(0 <= time <= count * SECONDS + 1e-9 for time in times)
            assert all(word.start < word.end and 0 <= word.confidence <= 1 for word in hypothesis.words)


def test_an_utterance_alone_padded_and_in_a_batch_reads_the_same(decoder: Decoder) -> None:
    log_probs, num_frames = random_log_probs(5, 60, 5), torch.tensor([60, 47, 30, 2, 13])
    together = decoder(log_probs, num_frames)
    for i, count in enumerate(num_frames.tolist()):
        assert decoder(log_probs[i : i + 1, :count], num_frames[i : i + 1]) == [together[i]]
    for rubbish in (0.0, 1e4, -torch.inf, torch.nan):
        padding = torch.arange(60)[None, :, None] >= num_frames[:, None, None]
        assert decoder(log_probs.masked_fill(padding, rubbish), num_frames) == together


@pytest.mark.parametrize("frames", [0, 1, 20])
def test_silence_is_the_empty_hypothesis(decoder: Decoder, frames: int) -> None:
    best = decode_one(decoder, spelt(LETTERS, "_" * frames))
    assert (best.text, best.tokens, best.words, best.spans) == ("", (), (), ())
    assert best.confidence == 1.0


def test_narrowed_weighted_and_listing_give_a_decoder_and_leave_the_first_as_it_is(decoder: Decoder) -> None:
    log_probs = spelt(LETTERS, "AB  CAA_A  B")
    before = decode_one(decoder, log_probs)
    for changed in (decoder.narrowed(1), decoder.weighted(0.5, 3.0, 0.0), decoder.listing(7)):
        assert isinstance(changed, Decoder) and changed.unit == decoder.unit == "token"
        assert decode_one(changed, log_probs).text == "AB CAA B"
    assert decode_one(decoder, log_probs) == before


def test_no_utterances_give_no_results(decoder: Decoder) -> None:
    assert decoder(torch.zeros(0, 7, 5), torch.zeros(0, dtype=torch.int64)) == []


def test_an_unknown_decoder_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no decoder 'gready'; there are: .*greedy"):
        get_decoder("gready", LETTERS, SECONDS)


def test_the_registry_is_cheap_to_import() -> None:
    code = "import sys, asr.decoders; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_than_one_hypothesis_makes_a_search_of_greedy_decoding() -> None:
    """And its best is the likeliest text, not the text of the likeliest alignment."""
    log_probs, one = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log(), torch.tensor([2])
    tokenizer = CharacterTokenizer([BLANK, "A"])
    greedy, listing = (build_decoder(tokenizer, SECONDS, DecoderSettings(), n_best=n) for n in (1, 2))
    assert [[h.text for h in found] for found in greedy(log_probs, one)] == [[""]]
    assert [[h.text for h in found] for found in listing(log_probs, one)] == [["A", ""]]


# ------------------------------------------------------------------------------------------------------------ greedy


@pytest.mark.parametrize("seed", range(5))
def test_greedy_takes_the_best_of_all_alignments(seed: int) -> None:
    log_probs = random_log_probs(6, 5, seed=seed)
    scores = {
        path: sum(log_probs[t, symbol].item() for t, symbol in enumerate(path))
        for path in itertools.product(range(5), repeat=6)
    }
    best = max(scores, key=scores.__getitem__)
    found = decode_one(GreedyDecoder(LETTERS, SECONDS), log_probs)
    assert found.tokens == tuple(symbol for symbol, _ in itertools.groupby(best) if symbol)
    assert found.score == pytest.approx(scores[best], abs=1e-6)


def test_a_blank_between_equal_tokens_keeps_both() -> None:
    decoder = GreedyDecoder(LETTERS, SECONDS)
    assert decode_one(decoder, spelt(LETTERS, "AAA")).text == "A"
    assert decode_one(decoder, spelt(LETTERS, "AA_A")).text == "AA"


def test_times_are_the_frames_of_the_words() -> None:
    #                                                         0123456789012
    best = decode_one(GreedyDecoder(LETTERS, 0.5), spelt(LETTERS, "__AAB_  _C_A_"))
    assert best.spans == ((2, 4), (4, 5), (6, 8), (9, 10), (11, 12))
    assert [(word.text, word.start, word.end) for word in best.words] == [("AB", 1.0, 2.5), ("CA", 4.5, 6.0)]


def test_confidence_is_the_geometric_mean_of_the_tokens_peaks() -> None:
    log_probs = torch.cat([spelt(LETTERS, "A", 0.5), spelt(LETTERS, "A", 0.8), spelt(LETTERS, "B", 0.9)])
    log_probs = torch.cat([log_probs, spelt(LETTERS, " ", 0.6), spelt(LETTERS, "C", 0.7)])
    best = decode_one(GreedyDecoder(LETTERS, SECONDS), log_probs)
    assert [word.confidence for word in best.words] == pytest.approx([math.sqrt(0.8 * 0.9), 0.7])
    assert best.confidence == pytest.approx((math.sqrt(0.72) + 0.7) / 2)
    assert best.score == pytest.approx(math.log(0.5 * 0.8 * 0.9 * 0.6 * 0.7))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_float_and_log_probs_with_gradients_will_do(dtype: torch.dtype) -> None:
    log_probs = spelt(LETTERS, "A_B C").to(dtype).requires_grad_()
    assert decode_one(GreedyDecoder(LETTERS, SECONDS), log_probs).text == "AB C"


def test_confidence_of_words_is_averaged() -> None:
    words = (Word("A", 0.0, 0.1, 0.5), Word("B", 0.1, 0.2, 1.0))
    assert Hypothesis((2, 3), "A B", -1.0, words).confidence == 0.75


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_greedy_reads_the_same_on_every_device() -> None:
    log_probs, num_frames = random_log_probs(4, 50, 5), torch.tensor([50, 20, 33, 1])
    decoder = GreedyDecoder(LETTERS, SECONDS)
    assert decoder(log_probs.cuda(), num_frames.cuda()) == decoder(log_probs, num_frames)
