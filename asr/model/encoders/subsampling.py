"""Fewer frames before the recurrent layers: strided convolutions, or stacking.

Both keep the contract of padding: what lies beyond an utterance's end is zero at the input of every convolution, as the
convolution's own padding is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.model.features import frame_mask


def ceil_div(num_frames: Tensor, factor: int) -> Tensor:
    return torch.div(num_frames + factor - 1, factor, rounding_mode="floor")


class ConvSubsampling(nn.Module):
    """3x3 convolutions over time and frequency, after Deep Speech 2 (Amodei et al., 2015).

    They are centred on the first of the frames that they join.

    features (B, T, F), num_frames (B,) -> (B, ceil(T / factor), output_size), num_frames (B,). Each of log2(factor)
    convolutions has stride 2 in both directions; factor 1 has one that strides in frequency alone.
    """

    def __init__(self, input_size: int, factor: int, channels: int):
        super().__init__()
        time_strides = {1: [1], 2: [2], 4: [2, 2]}[factor]
        self.convolutions = nn.ModuleList()
        size = input_size
        for i, stride in enumerate(time_strides):
            self.convolutions.append(nn.Conv2d(1 if i == 0 else channels, channels, 3, (stride, 2), padding=1))
            size = (size + 1) // 2
        self.time_strides = time_strides
        self.center = 0.0
        self.output_size = channels * size

    def output_frames(self, num_frames: Tensor) -> Tensor:
        for stride in self.time_strides:
            num_frames = ceil_div(num_frames, stride)
        return num_frames

    def forward(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        x = (features * frame_mask(num_frames, features.shape[1])[:, :, None])[:, None]
        for convolution, stride in zip(self.convolutions, self.time_strides, strict=True):
            x = functional.relu(convolution(x))
            num_frames = ceil_div(num_frames, stride)
            x = x * frame_mask(num_frames, x.shape[2])[:, None, :, None]
        return x.transpose(1, 2).flatten(2), num_frames


class FrameStacking(nn.Module):
    """`factor` neighbouring frames side by side: (B, T, F) -> (B, ceil(T / factor), factor * F); the cheapest way."""

    def __init__(self, input_size: int, factor: int):
        super().__init__()
        self.factor = factor
        self.center = (factor - 1) / 2
        self.output_size = input_size * factor

    def output_frames(self, num_frames: Tensor) -> Tensor:
        return ceil_div(num_frames, self.factor)

    def forward(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        batch, frames, _ = features.shape
        x = features * frame_mask(num_frames, frames)[:, :, None]
        x = functional.pad(x, (0, 0, 0, -frames % self.factor))
        return x.reshape(batch, -1, self.output_size), self.output_frames(num_frames)
