"""What every encoder is."""

from torch import Tensor, nn


class Encoder(nn.Module):
    """features (B, T, F), num_frames (B,) int64 -> encoded (B, T', D), num_frames (B,) int64.

    The valid frames of an utterance are the same alone, padded, and anywhere in a batch.
    """

    output_size: int
    """D."""
    subsampling: int
    """How many feature frames one output frame stands for."""
    center: float
    """How many feature frames its middle lies behind the first of them."""

    def output_frames(self, num_frames: Tensor) -> Tensor:
        """T' for T, (B,) int64, without running the encoder."""
        raise NotImplementedError

    def layer_outputs(self, features: Tensor, num_frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """What each layer makes of the features, the last layer last: (B, T', D) of each, num_frames (B,)."""
        raise NotImplementedError

    def forward(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        outputs, num_frames = self.layer_outputs(features, num_frames)
        return outputs[-1], num_frames
