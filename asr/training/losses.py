"""What training minimises: CTC (Graves et al., 2006), and two regularisers of it that leave the network as it is."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from asr.model.features import frame_mask
from asr.settings import require


@dataclass(frozen=True)
class LossConfig:
    """Terms beside CTC. Raises ConfigError for impossible values."""

    intermediate: float = 0.0  # share of CTC that the middle layer is given (Lee and Watanabe, 2021); 0: none
    consistency: float = 0.0  # weight of CR-CTC (Yao et al., 2025), whose paper has 0.2; 0: none

    def __post_init__(self) -> None:
        require(
            "loss",
            (0 <= self.intermediate < 1, "intermediate", self.intermediate, "0 to below 1"),
            (self.consistency >= 0, "consistency", self.consistency, "0 (one view of each utterance) or more"),
        )

    @property
    def views(self) -> int:
        """How many differently masked copies of an utterance a training step sees."""
        return 2 if self.consistency else 1


def ctc_losses(log_probs: Tensor, num_frames: Tensor, tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """-log p(tokens | audio) of each utterance: log_probs (B, T, V), tokens (B, N) -> (B,)."""
    return functional.ctc_loss(log_probs.transpose(0, 1), tokens, num_frames, num_tokens, blank=0, reduction="none")


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
