"""Recurrent encoder: subsampling, then layers of LSTM, GRU or plain RNN, in one or both directions.

h_t = f(W_hh h_{t-1} + W_xh x_t + b), with f the cell's own function: tanh or relu (Elman, 1990), the LSTM's gates
(Hochreiter and Schmidhuber, 1997) or the GRU's (Cho et al., 2014). The backward direction of an utterance starts at its
own last frame, never in the padding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.model.encoders.base import Encoder
from asr.model.encoders.subsampling import ConvSubsampling, FrameStacking
from asr.model.features import frame_mask
from asr.settings import require

LARGEST = 1 << 16  # units of a layer


@dataclass(frozen=True)
class RecurrentConfig:
    """Settings of the recurrent encoder. Raises ConfigError for values that make no network."""

    name: Literal["recurrent"] = "recurrent"
    cell: Literal["lstm", "gru", "rnn_tanh", "rnn_relu"] = "lstm"
    num_layers: int = 3
    hidden_size: int = 320  # per direction
    bidirectional: bool = True
    dropout: float = 0.2  # after every layer
    weight_dropout: float = 0.0  # of the recurrent weights (DropConnect; Merity et al., 2017)
    layer_norm: bool = True  # after every layer
    projection: int = 0  # linear layer of this size between recurrent layers; 0: none
    subsampling: Literal["conv", "stack"] = "conv"
    subsampling_factor: int = 4  # feature frames in an output frame: conv 1, 2, 4; stack any
    conv_channels: int = 32

    def __post_init__(self) -> None:
        conv = self.subsampling == "conv"
        require(
            "encoder",
            (1 <= self.num_layers <= 100, "num_layers", self.num_layers, "1 to 100"),
            (1 <= self.hidden_size <= LARGEST, "hidden_size", self.hidden_size, f"1 to {LARGEST}"),
            (0 <= self.dropout < 1, "dropout", self.dropout, "0 to below 1"),
            (0 <= self.weight_dropout < 1, "weight_dropout", self.weight_dropout, "0 to below 1"),
            (0 <= self.projection <= LARGEST, "projection", self.projection, f"0 (none) or a size up to {LARGEST}"),
            (not conv or self.subsampling_factor in (1, 2, 4), "subsampling_factor", self.subsampling_factor,
             "1, 2 or 4 with convolutions"),
            (1 <= self.subsampling_factor <= 100, "subsampling_factor", self.subsampling_factor, "1 to 100"),
            (not conv or 1 <= self.conv_channels <= 4096, "conv_channels", self.conv_channels, "1 to 4096"),
        )  # fmt: skip


class RecurrentEncoder(Encoder):
    """Subsampling and recurrent layers; see Encoder for the shapes."""

    def __init__(self, config: RecurrentConfig, input_size: int):
        super().__init__()
        self.subsampling = config.subsampling_factor
        self.frontend: ConvSubsampling | FrameStacking
        if config.subsampling == "conv":
            self.frontend = ConvSubsampling(input_size, config.subsampling_factor, config.conv_channels)
        else:
            self.frontend = FrameStacking(input_size, config.subsampling_factor)
        self.center = self.frontend.center
        size = self.frontend.output_size
        self.layers = nn.ModuleList()
        for _ in range(config.num_layers):
            layer = RecurrentLayer(config, size)
            self.layers.append(layer)
            size = layer.output_size
        self.output_size = size

    def output_frames(self, num_frames: Tensor) -> Tensor:
        return self.frontend.output_frames(num_frames)

    def layer_outputs(self, features: Tensor, num_frames: Tensor) -> tuple[list[Tensor], Tensor]:
        x, num_frames = self.frontend(features, num_frames)
        outputs = []
        for layer in self.layers:
            x = layer(x, num_frames)
            outputs.append(x)
        return outputs, num_frames


class RecurrentLayer(nn.Module):
    """One recurrent layer with what follows it: projection, layer normalisation, dropout."""

    def __init__(self, config: RecurrentConfig, input_size: int):
        super().__init__()
        self.config = config
        cells = {"lstm": nn.LSTM, "gru": nn.GRU}
        options = {} if config.cell in cells else {"nonlinearity": config.cell.removeprefix("rnn_")}
        make = cells.get(config.cell, nn.RNN)
        self.rnn = make(input_size, config.hidden_size, batch_first=True, bidirectional=config.bidirectional, **options)
        size = config.hidden_size * (2 if config.bidirectional else 1)
        self.projection = nn.Linear(size, config.projection) if config.projection else nn.Identity()
        self.output_size = config.projection or size
        self.norm = nn.LayerNorm(self.output_size) if config.layer_norm else nn.Identity()
        if config.cell == "lstm":
            self._open_forget_gates()

    def _open_forget_gates(self) -> None:
        # A forget gate that starts open lets gradients through time (Jozefowicz et al., 2015).
        hidden = self.config.hidden_size
        for name, bias in self.rnn.named_parameters():
            if name.startswith("bias_ih"):
                nn.init.constant_(bias[hidden : 2 * hidden], 1.0)

    def forward(self, x: Tensor, num_frames: Tensor) -> Tensor:
        x = self.norm(self.projection(recur(self.rnn, x, num_frames, self.weights())))
        return functional.dropout(x, self.config.dropout, self.training)

    def weights(self) -> list[Tensor]:
        """W_xh, W_hh, b_xh, b_hh of each direction; in training with some recurrent weights dropped."""
        weights = [weight for direction in self.rnn.all_weights for weight in direction]
        if self.training and self.config.weight_dropout:
            for i in range(1, len(weights), 4):
                weights[i] = functional.dropout(weights[i], self.config.weight_dropout)
        return weights


def recur(rnn: nn.RNNBase, x: Tensor, num_frames: Tensor, weights: list[Tensor]) -> Tensor:
    """Run a single recurrent layer exactly, by the faster way of the device: x (B, T, D) -> (B, T, D').

    `benchmarks/recurrent.py` measures both. Packing lets cuDNN run both directions at once; on a CPU it leaves the
    fused kernels, and reversing each utterance is faster.
    """
    if x.is_cuda:
        return recur_packed(rnn, x, num_frames, weights)
    return recur_reversed(rnn, x, num_frames, weights)


def recur_packed(rnn: nn.RNNBase, x: Tensor, num_frames: Tensor, weights: list[Tensor]) -> Tensor:
    """Both directions in one call over a PackedSequence, which holds no padding."""
    packed = pack_padded_sequence(x, num_frames.cpu(), batch_first=True, enforce_sorted=False)
    sizes = packed.batch_sizes
    state = _zero_state(rnn, int(sizes[0]), 2 if rnn.bidirectional else 1, packed.data)
    args = (packed.data, sizes, state, weights, True, 1, 0.0, rnn.training, rnn.bidirectional)
    data = _function(rnn)(*args)[0]
    packed = packed._replace(data=data)
    return pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0]


def recur_reversed(rnn: nn.RNNBase, x: Tensor, num_frames: Tensor, weights: list[Tensor]) -> Tensor:
    """The backward direction as a forward pass over each utterance reversed within its own length."""
    forward = _one_direction(rnn, x, weights[:4])
    if not rnn.bidirectional:
        return forward
    time = torch.arange(x.shape[1], device=x.device)
    reverse = torch.where(frame_mask(num_frames, x.shape[1]), num_frames[:, None] - 1 - time, time)[:, :, None]
    backward = _one_direction(rnn, x.gather(1, reverse.expand_as(x)), weights[4:])
    return torch.cat([forward, backward.gather(1, reverse.expand_as(backward))], dim=2)


def _one_direction(rnn: nn.RNNBase, x: Tensor, weights: list[Tensor]) -> Tensor:
    # Outside LSTM the CPU has no bfloat16 kernels.
    lower = x.device.type != "cpu" or rnn.mode == "LSTM"
    with torch.autocast(x.device.type, enabled=lower and torch.is_autocast_enabled(x.device.type)):
        if x.dtype == torch.bfloat16 and not lower:
            x = x.float()
        state = _zero_state(rnn, len(x), 1, x)
        return _function(rnn)(x, state, weights, True, 1, 0.0, rnn.training, False, True)[0]


def _function(rnn: nn.RNNBase) -> Callable[..., tuple[Tensor, ...]]:
    """torch.lstm, gru, rnn_tanh or rnn_relu: the module's function, which takes one direction's weights or both's."""
    function: Callable[..., tuple[Tensor, ...]] = getattr(torch, rnn.mode.lower())
    return function


def _zero_state(rnn: nn.RNNBase, batch: int, directions: int, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    zeros = torch.zeros(directions, batch, rnn.hidden_size, dtype=dtype, device=x.device)
    return (zeros, zeros) if rnn.mode == "LSTM" else zeros
