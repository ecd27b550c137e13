"""Encoders. `asr.model.encoders.base.Encoder` is the contract, which `tests/test_model_encoders.py` checks.

A new one is one file with a configuration dataclass (its `name` the registry's key) and a module, and one line here.
"""

from asr.model.encoders.base import Encoder
from asr.model.encoders.recurrent import RecurrentConfig, RecurrentEncoder

ENCODERS: dict[str, type[RecurrentEncoder]] = {"recurrent": RecurrentEncoder}

EncoderConfig = RecurrentConfig
"""Any encoder's configuration; a union, told apart by `name`, once there are several."""


def build_encoder(config: EncoderConfig, input_size: int) -> Encoder:
    """The encoder that the configuration names, for features of `input_size`."""
    return ENCODERS[config.name](config, input_size)
