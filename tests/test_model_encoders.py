"""The contract of every encoder, and each recurrent cell against its published equations."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.model.encoders import ENCODERS, build_encoder
from asr.model.encoders.base import Encoder
from asr.model.encoders.recurrent import RecurrentConfig, RecurrentLayer, recur_packed, recur_reversed
from asr.model.features import frame_mask

CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
FEATURES = 12

SMALL = RecurrentConfig(num_layers=2, hidden_size=8, conv_channels=4)
VARIANTS = [
    replace(SMALL, cell=cell, bidirectional=both, subsampling=kind, subsampling_factor=factor)  # type: ignore[arg-type]
    for cell, both, (kind, factor) in product(
        CELLS, (True, False), (("conv", 1), ("conv", 2), ("conv", 4), ("stack", 3))
    )
] + [replace(SMALL, projection=5), replace(SMALL, layer_norm=False), replace(SMALL, weight_dropout=0.5)]


def name_of(config: RecurrentConfig) -> str:
    return f"{config.cell}-{config.bidirectional}-{config.subsampling}{config.subsampling_factor}"


def make(config: RecurrentConfig) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(config, FEATURES).eval()


def test_registry_names_are_the_configurations_names() -> None:
    assert set(ENCODERS) == {VARIANTS[0].name}


@pytest.mark.parametrize("config", VARIANTS, ids=name_of)
def test_alone_padded_and_anywhere_in_a_batch_are_equal(config: RecurrentConfig) -> None:
    encoder = make(config)
    lengths = torch.tensor([37, 5, 1, 22])
    features = torch.randn(4, 40, FEATURES)  # what lies beyond a length is noise: it must not matter
    with torch.no_grad():
        together, num_frames = encoder(features, lengths)
        assert num_frames.dtype == torch.int64
        assert num_frames.tolist() == encoder.output_frames(lengths).tolist()
        for i, length in enumerate(lengths):
            alone, count = encoder(features[i : i + 1, :length], lengths[i : i + 1])
            assert alone.shape == (1, int(count), encoder.output_size)
            torch.testing.assert_close(together[i, : num_frames[i]], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", VARIANTS, ids=name_of)
def test_gradients_do_not_come_from_padding(config: RecurrentConfig) -> None:
    encoder = make(config)
    features = torch.randn(2, 24, FEATURES, requires_grad=True)
    lengths = torch.tensor([24, 9])
    encoded, num_frames = encoder(features, lengths)
    encoded[frame_mask(num_frames, encoded.shape[1])].square().sum().backward()
    assert features.grad is not None
    assert features.grad[1, 9:].abs().max() == 0
    assert features.grad[1, :9].abs().max() > 0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_both_implementations_agree(cell: str, bidirectional: bool) -> None:
    config = replace(SMALL, cell=cell, bidirectional=bidirectional, dropout=0.0)  # type: ignore[arg-type]
    torch.manual_seed(0)
    layer = RecurrentLayer(config, FEATURES).train()
    x, lengths = torch.randn(3, 20, FEATURES), torch.tensor([20, 7, 13])
    mask = frame_mask(lengths, 20)
    results = []
    for way in (recur_packed, recur_reversed):
        layer.zero_grad()
        valid = way(layer.rnn, x, lengths, layer.weights())[mask]
        valid.square().sum().backward()
        results.append([valid, *(p.grad.clone() for p in layer.rnn.parameters() if p.grad is not None)])
    assert len(results[0]) == 1 + len(list(layer.rnn.parameters()))
    for packed, reversed_ in zip(*results, strict=True):
        torch.testing.assert_close(packed, reversed_, atol=1e-5, rtol=1e-4)


def step(cell: str, x: Tensor, h: Tensor, c: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """One step as the papers write it; gate order as torch stores it."""
    w_xh, w_hh, b_xh, b_hh = weights
    if cell == "lstm":  # Hochreiter and Schmidhuber, 1997, with Gers et al.'s forget gate
        i, f, g, o = (x @ w_xh.T + b_xh + h @ w_hh.T + b_hh).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if cell == "gru":  # Cho et al., 2014, reset gate after the matrix product
        (xr, xz, xn), (hr, hz, hn) = (x @ w_xh.T + b_xh).chunk(3), (h @ w_hh.T + b_hh).chunk(3)
        r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        n = (xn + r * hn).tanh()
        return (1 - z) * n + z * h, c
    f_ = torch.tanh if cell == "rnn_tanh" else torch.relu  # Elman, 1990: h_t = f(W_hh h_{t-1} + W_xh x_t + b)
    return f_(w_hh @ h + w_xh @ x + b_xh + b_hh), c


@pytest.mark.parametrize("cell", CELLS)
def test_cell_equals_its_equations(cell: str) -> None:
    config = replace(SMALL, cell=cell, dropout=0.0)  # type: ignore[arg-type]
    torch.manual_seed(0)
    layer = RecurrentLayer(config, FEATURES).double().eval()
    x, length = torch.randn(9, FEATURES, dtype=torch.float64), torch.tensor([9])
    with torch.no_grad():
        found = recur_reversed(layer.rnn, x[None], length, layer.weights())[0]
        for direction, order in ((0, range(9)), (1, reversed(range(9)))):
            h = c = torch.zeros(8, dtype=torch.float64)
            for t in order:
                h, c = step(cell, x[t], h, c, layer.weights()[4 * direction : 4 * direction + 4])
                torch.testing.assert_close(found[t, 8 * direction : 8 * direction + 8], h, atol=1e-12, rtol=0)


def test_weight_dropout_is_for_training_alone() -> None:
    layer = RecurrentLayer(replace(SMALL, weight_dropout=0.5), FEATURES)
    dropped = layer.train().weights()[1]
    assert 0 < (dropped == 0).float().mean() < 1
    assert (layer.eval().weights()[1] != 0).all()


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="subsampling_factor"):
        RecurrentConfig(subsampling_factor=3)
    with pytest.raises(ConfigError, match="dropout"):
        RecurrentConfig(dropout=1.5)
