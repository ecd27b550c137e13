"""The decoding options that `asr transcribe`, `asr evaluate` and others share."""

import argparse
from typing import TYPE_CHECKING

from asr.decoders import DECODERS, get_decoder

if TYPE_CHECKING:
    from asr.decoders import Decoder
    from asr.model import CTCModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("decoding")
    group.add_argument("--decoder", choices=sorted(DECODERS), default="greedy", help="(default: greedy)")


def build(args: argparse.Namespace, model: "CTCModel") -> "Decoder":
    """The decoder that these options ask for."""
    return get_decoder(args.decoder, model.tokenizer, model.seconds_per_frame)
