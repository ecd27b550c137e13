"""Losses: CTC's companions against their equations, and what they do to a training step."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from asr.data import manifest
from asr.data.batches import BucketBatchSampler, SpeechDataset, batch_loader
from asr.errors import ConfigError
from asr.model.ctc_model import CTCModel
from asr.text import build_tokenizer
from asr.text.tokenizer import TokenizerConfig
from asr.training.crf import token_trigram
from asr.training.losses import LossConfig, consistency_losses, crf_terms, ctc_losses
from asr.training.module import SpeechModule
from asr.training.recipe import recipe_from
from tests.tones import tone_recipe


def random_log_probs(seed: int, batch: int = 2, frames: int = 5, size: int = 4) -> torch.Tensor:
    return torch.randn(batch, frames, size, generator=torch.Generator().manual_seed(seed)).log_softmax(2)


def test_consistency_equals_its_equation_written_out():
    first, second = random_log_probs(1), random_log_probs(2)
    found = consistency_losses(first, second, torch.tensor([5, 3]))
    for row, frames in enumerate((5, 3)):
        wanted = 0.0
        for t in range(frames):
            p, q = first[row, t].exp().tolist(), second[row, t].exp().tolist()
            wanted += 0.5 * sum(a * math.log(a / b) + b * math.log(b / a) for a, b in zip(p, q, strict=True))
        assert found[row].item() == pytest.approx(wanted, rel=1e-5)


def test_views_that_agree_cost_nothing():
    same = random_log_probs(3)
    assert consistency_losses(same, same, torch.tensor([5, 4])).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_each_view_moves_towards_the_other_as_it_stands():
    """The gradient of the divergence from a fixed target p with respect to logits z is softmax(z) - p, halved."""
    logits = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(4), requires_grad=True)
    target = random_log_probs(5, batch=1, frames=3)
    consistency_losses(logits.log_softmax(2), target, torch.tensor([3])).sum().backward()
    torch.testing.assert_close(logits.grad, 0.5 * (logits.softmax(2) - target.exp()).detach())


def test_padding_adds_nothing():
    first, second = random_log_probs(6), random_log_probs(7)
    wanted = consistency_losses(first[:, :3], second[:, :3], torch.tensor([3, 3]))
    torch.testing.assert_close(consistency_losses(first, second, torch.tensor([3, 3])), wanted)


@pytest.mark.parametrize("values", [{"intermediate": 1.0}, {"intermediate": -0.1}, {"consistency": -1.0}, {"crf": 1.1}])
def test_impossible_weights_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        LossConfig(**values)


@pytest.fixture
def step(tmp_path: Path) -> Callable[..., Tensor]:
    """The loss of a training step with these settings, on sentences of tones, two layers and no dropout."""
    values = tone_recipe(tmp_path)
    values["encoder"]["num_layers"] = 2
    first = recipe_from(values, "test")
    rows = manifest.read(first.data.train[0])
    torch.manual_seed(0)
    model = CTCModel(first.model, build_tokenizer(TokenizerConfig(), [row.text for row in rows])).train()
    (batch,) = batch_loader(
        BucketBatchSampler(SpeechDataset(rows, model.tokenizer, model.sample_rate), 20.0, shuffle=False)
    )

    def loss(masks: int = 0, **settings: float) -> Tensor:
        recipe = recipe_from(
            {**values, "loss": settings, "spec_augment": {"freq_masks": masks, "time_masks": 0}}, "test"
        )
        trigram = token_trigram([model.tokenizer.encode(row.text) for row in rows], model.tokenizer.vocab_size)
        return SpeechModule(recipe, model, trigram).loss(batch, (1, 0, 0, 0))

    loss.model, loss.batch = model, batch  # type: ignore[attr-defined]
    return loss


def test_views_without_masks_have_the_loss_of_one(step) -> None:
    torch.testing.assert_close(step(consistency=0.2), step())


def test_masked_views_differ_and_are_repeatable(step) -> None:
    loss = step(masks=2, consistency=1.0)
    torch.testing.assert_close(step(masks=2, consistency=1.0), loss)
    assert loss > step(masks=2, consistency=1e-9)


def test_intermediate_is_the_share_of_the_middle_layer(step) -> None:
    model, batch = step.model, step.batch
    (middle, _), num_frames = model.encoder.layer_outputs(*model.features(batch.waveforms, batch.num_samples))
    losses = ctc_losses(model.log_probs(middle), num_frames, batch.tokens, batch.num_tokens)
    below, last = losses.sum() / batch.num_tokens.sum(), step()
    assert below.item() != pytest.approx(last.item(), rel=1e-3)
    torch.testing.assert_close(step(intermediate=0.25), 0.75 * last + 0.25 * below)


def test_crf_adds_its_terms_to_ctc(step) -> None:
    model, batch = step.model, step.batch
    texts = [tokens[:count].tolist() for tokens, count in zip(batch.tokens, batch.num_tokens, strict=True)]
    trigram = token_trigram(texts, model.tokenizer.vocab_size)
    log_probs, num_frames = model(batch.waveforms, batch.num_samples)
    terms = crf_terms(log_probs, num_frames, batch.tokens, batch.num_tokens, trigram)
    torch.testing.assert_close(step(crf=0.3), step() + 0.3 * terms.sum() / batch.num_tokens.sum())
    assert 0 < step(crf=1.0) < step()
