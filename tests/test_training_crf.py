"""CTC-CRF against its definition: sums over all paths by brute force, finite differences, padding."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.training.crf import MAX_TOKENS, log_partition, log_prior, token_trigram
from asr.training.losses import crf_terms, ctc_losses

TEXTS = [[1, 2], [2, 1, 1], [1, 2, 2, 1], [2], [1, 1, 2], [2, 1]]
SIZE = 3


@pytest.fixture
def trigram() -> Tensor:
    return token_trigram(TEXTS, SIZE)


def random_log_probs(frames: int, batch: int = 1, size: int = SIZE, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, size, generator=generator, dtype=torch.float64).mul(2).log_softmax(-1)


def prior(trigram: Tensor, tokens: tuple[int, ...]) -> float:
    """P(tokens), written out."""
    places = [0, 0, *tokens, 0]
    return math.prod(float(trigram[tuple(places[i : i + 3])]) for i in range(len(tokens) + 1))


def summed(log_probs: Tensor, trigram: Tensor) -> dict[tuple[int, ...], float]:
    """String -> P(string) times the sum of its paths' probabilities, for log_probs (T, V)."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        tokens = tuple(token for token, _ in itertools.groupby(path) if token)
        value = math.exp(sum(float(log_probs[t, token]) for t, token in enumerate(path)))
        sums[tokens] = sums.get(tokens, 0.0) + value * prior(trigram, tokens)
    return sums


def test_every_context_of_the_trigram_sums_to_one(trigram):
    torch.testing.assert_close(trigram.sum(-1), torch.ones(SIZE, SIZE))
    assert (trigram > 0).all()


def test_the_trigram_has_learnt_from_the_texts():
    trigram = token_trigram([[1, 2, 3]] * 50 + [[3, 2, 1]], 4)
    assert trigram[1, 2, 3] > 0.9 and trigram[0, 0, 1] > 0.9 and trigram[2, 3, 0] > 0.9


def test_tokens_that_no_text_has_can_still_follow():
    trigram = token_trigram(TEXTS, SIZE + 2)
    assert (trigram > 0).all()
    torch.testing.assert_close(trigram.sum(-1), torch.ones(SIZE + 2, SIZE + 2))


def test_a_prior_is_the_product_of_its_trigrams(trigram):
    tokens = torch.tensor([[1, 2, 2], [2, 0, 0], [1, 1, 2]])
    found = log_prior(trigram, tokens, torch.tensor([3, 1, 0]))
    wanted = [math.log(prior(trigram, text)) for text in ((1, 2, 2), (2,), ())]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 5, 7])
def test_z_is_the_sum_over_all_paths(frames, trigram):
    log_probs = random_log_probs(frames)
    wanted = math.log(math.fsum(summed(log_probs[0], trigram).values()))
    assert log_partition(log_probs, torch.tensor([frames]), trigram).item() == pytest.approx(wanted, abs=1e-6)


def test_all_strings_together_are_certain(trigram):
    """p(tokens | audio) of CTC + crf_terms, summed over every string that five frames can hold."""
    log_probs = random_log_probs(5)
    strings = [tokens for tokens in summed(log_probs[0], trigram) if tokens]
    tokens = torch.zeros(len(strings), 5, dtype=torch.int64)
    for row, string in zip(tokens, strings, strict=True):
        row[: len(string)] = torch.tensor(string)
    lengths, frames = torch.tensor([len(string) for string in strings]), torch.full((len(strings),), 5)
    rows = log_probs.expand(len(strings), -1, -1)
    losses = ctc_losses(rows, frames, tokens, lengths) + crf_terms(rows, frames, tokens, lengths, trigram)
    nothing = summed(log_probs[0], trigram)[()] / math.fsum(summed(log_probs[0], trigram).values())
    assert (losses > 0).all()
    assert math.fsum((-losses).exp().tolist()) + nothing == pytest.approx(1, abs=1e-6)


def test_the_gradient_equals_finite_differences(trigram):
    log_probs = random_log_probs(6, batch=2).requires_grad_()
    num_frames = torch.tensor([6, 4])
    assert torch.autograd.gradcheck(lambda values: log_partition(values, num_frames, trigram.double()), log_probs)


def test_each_frame_holds_one_token(trigram):
    log_probs = random_log_probs(6, batch=2).requires_grad_()
    log_partition(log_probs, torch.tensor([6, 4]), trigram).sum().backward()
    assert log_probs.grad is not None
    torch.testing.assert_close(log_probs.grad[0].sum(-1), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(log_probs.grad[1].sum(-1), torch.tensor([1, 1, 1, 1, 0, 0], dtype=torch.float64))


def test_padding_changes_nothing(trigram):
    log_probs = random_log_probs(8, batch=2)
    alone = log_partition(log_probs[1:, :5], torch.tensor([5]), trigram)
    log_probs[1, 5:] = float("nan")  # whatever lies there
    padded = log_partition(log_probs.nan_to_num(-3.0), torch.tensor([8, 5]), trigram)[1:]
    torch.testing.assert_close(padded, alone)


def test_long_utterances_of_confident_frames_stay_finite(trigram):
    log_probs = (100 * random_log_probs(2000)).log_softmax(-1).float().requires_grad_()
    found = log_partition(log_probs, torch.tensor([2000]), trigram)
    found.sum().backward()
    assert torch.isfinite(found).all() and log_probs.grad is not None and torch.isfinite(log_probs.grad).all()


def test_mixed_precision_leaves_the_sums_alone(trigram):
    log_probs, num_frames = random_log_probs(50).float(), torch.tensor([50])
    wanted = log_partition(log_probs, num_frames, trigram)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(log_partition(log_probs, num_frames, trigram), wanted)


def test_too_many_tokens_are_refused():
    with pytest.raises(ConfigError, match=f"{MAX_TOKENS + 1} tokens, wanted at most {MAX_TOKENS}"):
        token_trigram(TEXTS, MAX_TOKENS + 1)
