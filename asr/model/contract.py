"""What every acoustic model is to those who transcribe, evaluate and align with it."""

from pathlib import Path
from typing import Protocol

from torch import Tensor, device

from asr.errors import ModelError
from asr.text.tokenizer import Tokenizer


class AcousticModel(Protocol):
    """waveforms (B, S) float32 at `sample_rate`, num_samples (B,) -> log_probs (B, T', V) float32, num_frames (B,)."""

    tokenizer: Tokenizer
    folder: Path | None
    """Where it was loaded from; None for a model that was made in memory."""

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms that the model takes."""
        ...

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the log-probabilities."""
        ...

    @property
    def first_middle(self) -> float:
        """Seconds from a recording's beginning to the middle of its first frame of log-probabilities."""
        ...

    @property
    def device(self) -> device:
        """Where waveforms are to be."""
        ...

    def eval(self) -> "AcousticModel":
        """The model itself, ready for use rather than for training."""
        ...

    def __call__(self, waveforms: Tensor, num_samples: Tensor, /) -> tuple[Tensor, Tensor]: ...


def log_probs_of(model: AcousticModel, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
    """What the model gives, for those who decode or align it.

    Raises ModelError where values are not logarithms of probabilities: NaN would be an empty text without a word.
    """
    log_probs, num_frames = model(waveforms, num_samples)
    if not (log_probs <= 1e-3).all():  # NaN is not; rounding may leave a little more than 0
        raise ModelError(
            f"{model.folder or 'the model'}: its output is not log-probabilities: found NaN or values above 0. Its "
            "weights are damaged, or too large for the precision that it runs in (--precision fp32 is the widest)"
        )
    return log_probs, num_frames
