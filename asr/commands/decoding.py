"""The decoding options that `asr transcribe`, `asr evaluate` and others share."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.decoders import Decoder
    from asr.decoders.settings import DecoderSettings
    from asr.model.contract import AcousticModel

SETTINGS = (
    ("lexicon", str, "FILE", "words to find, with pronunciations for a model of phones"),
    ("lm_weight", float, "W", "weight of the language model's log-probability"),
    ("word_insertion_score", float, "S", "added for each word: higher finds more, shorter words"),
    ("prior_weight", float, "W", "how much of each token's prior is taken off its log-probability: higher finds more"),
    ("unknown_score", float, "S", "added for each word outside the lexicon; `none`: find no such words"),
    ("beam_size", int, "N", "readings kept while searching: more is slower and finds more"),
    ("beam_size_token", int, "N", "likeliest tokens tried in each frame"),
    ("beam_threshold", float, "S", "drop readings so much worse than the best"),
    ("merge_threshold", float, "S", "drop readings so much worse than another that ends in the same words"),
    ("min_confidence", float, "P", "less sure of an utterance (0 to 1, mean of its words), it is taken for noise"),
    ("rescoring_lm", str, "FOLDER", "recurrent language model that sorts the best readings anew"),
    ("rescoring_weight", float, "W", "weight of its log-probability"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "decoding",
        "Greedy, unless there is a language model, a lexicon or hotwords: then a beam search. What is not given is "
        "taken from the model folder's decoder.json, which `asr lm tune` writes.",
    )
    group.add_argument(
        "--lm", metavar="PATH", help="n-gram model: a folder of `asr lm build` or an ARPA file; `none`: without"
    )
    group.add_argument("--hotwords", metavar="LIST", help="expected words and phrases: ACME,NEW YORK:2.5 (bonus)")
    group.add_argument("--hotwords-file", metavar="FILE", help="the same, one a line")
    for name, kind, metavar, help_line in SETTINGS:
        option = f"--{name.replace('_', '-')}"
        parse = _number_or_none if name == "unknown_score" else kind
        group.add_argument(option, type=parse, metavar=metavar, help=help_line)


def _number_or_none(text: str) -> "float | str":
    try:
        return text if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a number or none") from None


def settings(args: argparse.Namespace, model: "AcousticModel") -> "DecoderSettings":
    """What these options say, and for the rest the model folder."""
    from asr.decoders.settings import DecoderSettings

    given = {name: getattr(args, name) for name, *_ in SETTINGS if getattr(args, name) is not None}
    if given.get("unknown_score") == "none":
        given["unknown_score"] = None
    return replace(DecoderSettings.of(model.folder).with_lm(args.lm), **given)


def build(args: argparse.Namespace, model: "AcousticModel") -> "Decoder":
    """The decoder that these options ask for."""
    from asr.decoders.settings import build_decoder

    threads = getattr(args, "threads", None) or None
    return build_decoder(
        model.tokenizer, model.seconds_per_frame, settings(args, model), hotwords(args), threads=threads
    )


def hotwords(args: argparse.Namespace) -> dict[str, float]:
    """Those that these options name, and the bonus of each."""
    from asr.decoders.hotwords import parse_hotwords, read_hotwords

    found = parse_hotwords(args.hotwords) if args.hotwords else {}
    return found | (read_hotwords(args.hotwords_file) if args.hotwords_file else {})
