"""The loss that training uses against the definition of CTC: the sum over all alignments, by brute force."""

import itertools
import math
from collections import defaultdict

import torch

from asr.training.losses import ctc_losses

FRAMES, SYMBOLS = 6, 4  # the blank is symbol 0


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    """Graves et al., 2006: first merge repeats, then drop blanks."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def random_log_probs() -> torch.Tensor:
    """(T, V) float64."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(FRAMES, SYMBOLS, generator=generator, dtype=torch.float64).mul(2).log_softmax(-1)


def sums_over_alignments(log_probs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """The probability of every label sequence."""
    probs = log_probs.exp().tolist()
    sums: defaultdict[tuple[int, ...], list[float]] = defaultdict(list)
    for path in itertools.product(range(SYMBOLS), repeat=FRAMES):
        sums[collapse(path)].append(math.prod(probs[t][symbol] for t, symbol in enumerate(path)))
    assert sum(map(len, sums.values())) == 4096
    return {labels: math.fsum(parts) for labels, parts in sums.items()}


def losses_in_training(log_probs: torch.Tensor, labels: list[tuple[int, ...]]) -> list[float]:
    """The loss of each label sequence, none of them longer than the frames; all in one batch."""
    padded = torch.zeros(len(labels), FRAMES, dtype=torch.int64)
    for row, sequence in zip(padded, labels, strict=True):
        row[: len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
    lengths = torch.tensor([len(sequence) for sequence in labels])
    batch = log_probs.expand(len(labels), -1, -1)
    return ctc_losses(batch, torch.full((len(labels),), FRAMES), padded, lengths).tolist()


def test_every_label_sequence_has_the_loss_of_its_alignments() -> None:
    log_probs = random_log_probs()
    sums = sums_over_alignments(log_probs)
    assert abs(math.fsum(sums.values()) - 1) < 1e-12
    assert () in sums and (1, 1, 1) in sums and (1, 2, 3, 1, 2, 3) in sums
    for labels, loss in zip(sums, losses_in_training(log_probs, list(sums)), strict=True):
        assert abs(loss + math.log(sums[labels])) < 1e-12, labels


def test_labels_that_no_alignment_spells_have_an_infinite_loss() -> None:
    sums = sums_over_alignments(random_log_probs())
    impossible = [(1, 1, 1, 1), (1, 2, 2, 3, 3, 1)]  # a blank must part equal neighbours: 7 and 8 frames
    assert not sums.keys() & set(impossible)
    assert losses_in_training(random_log_probs(), impossible) == [math.inf, math.inf]
