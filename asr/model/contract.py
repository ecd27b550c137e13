"""What every acoustic model is to those who transcribe, evaluate and align with it."""

from pathlib import Path
from typing import Protocol

from torch import Tensor, device

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
    def device(self) -> device:
        """Where waveforms are to be."""
        ...

    def eval(self) -> "AcousticModel":
        """The model itself, ready for use rather than for training."""
        ...

    def __call__(self, waveforms: Tensor, num_samples: Tensor, /) -> tuple[Tensor, Tensor]: ...
