"""Encoders: features (B, T, F), num_frames (B,) -> encoded (B, T', D), num_frames (B,).

The contract, which `tests/test_encoders.py` checks for every entry of ENCODERS:

- `output_size` is D; `subsampling` is how many feature frames one output frame stands for.
- `output_frames(num_frames)` is T' for T, in integers, without running the encoder.
- The valid frames of an utterance are the same alone, padded, and anywhere in a batch.

A new encoder is one file with a configuration dataclass (its `name` the registry's key) and a module, and one line here.
"""

from torch import nn

from asr.encoders.recurrent import RecurrentConfig, RecurrentEncoder

ENCODERS: dict[str, type[nn.Module]] = {"recurrent": RecurrentEncoder}

EncoderConfig = RecurrentConfig
"""Any encoder's configuration; a union, told apart by `name`, once there are several."""


def build_encoder(config: EncoderConfig, input_size: int) -> nn.Module:
    """The encoder that the configuration names, for features of `input_size`."""
    return ENCODERS[config.name](config, input_size)
