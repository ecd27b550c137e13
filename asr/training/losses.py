"""What training minimises: CTC (Graves et al., 2006), CTC-CRF, and two regularisers that leave the network as it is."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from asr.model.features import frame_mask
from asr.settings import require
from asr.training.crf import log_partition, log_prior


@dataclass(frozen=True)
class LossConfig:
    """Terms beside CTC. Raises ConfigError for impossible values."""

    intermediate: float = 0.0  # share of CTC that the middle layer is given (Lee and Watanabe, 2021); 0: none
    consistency: float = 0.0  # weight of CR-CTC (Yao et al., 2025), whose paper has 0.2; 0: none
    crf: float = 0.0  # share of CTC-CRF (Xiang and Ou, 2019) in place of CTC, whose paper has 0.9; 0: none

    def __post_init__(self) -> None:
        require(
            "loss",
            (0 <= self.intermediate < 1, "intermediate", self.intermediate, "0 to below 1"),
            (self.consistency >= 0, "consistency", self.consistency, "0 (one view of each utterance) or more"),
            (0 <= self.crf <= 1, "crf", self.crf, "0 to 1"),
        )

    @property
    def views(self) -> int:
        """How many differently masked copies of an utterance a training step sees."""
        return 2 if self.consistency else 1


def ctc_losses(log_probs: Tensor, num_frames: Tensor, tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """-log p(tokens | audio) of each utterance: log_probs (B, T, V), tokens (B, N) -> (B,)."""
    return functional.ctc_loss(log_probs.transpose(0, 1), tokens, num_frames, num_tokens, blank=0, reduction="none")


def crf_terms(log_probs: Tensor, num_frames: Tensor, tokens: Tensor, num_tokens: Tensor, trigram: Tensor) -> Tensor:
    """What makes CTC's losses those of CTC-CRF: ln Z - ln P(tokens) of each utterance, (B,).

    The sum is -ln p(tokens | audio) with p normalised over all strings, so 0 or more. trigram (V, V, V): as
    `asr.training.crf.token_trigram` makes it.
    """
    return log_partition(log_probs, num_frames, trigram) - log_prior(trigram, tokens, num_tokens)


def consistency_losses(first: Tensor, second: Tensor, num_frames: Tensor) -> Tensor:
    """How far two views of the same utterances are from each other: log_probs (B, T, V) twice -> (B,).

    The mean of both Kullback-Leibler divergences, each with its target held fixed, summed over an utterance's frames
    (CR-CTC; Yao et al., 2025, equation 4).
    """
    frames = sum(
        functional.kl_div(view, target.detach(), reduction="none", log_target=True).sum(dim=2)
        for view, target in ((first, second), (second, first))
    )
    return 0.5 * (frames * frame_mask(num_frames, first.shape[1])).sum(dim=1)
