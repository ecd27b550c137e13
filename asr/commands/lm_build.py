"""An n-gram model from text: counts, and interpolated modified Kneser-Ney smoothing (Chen & Goodman, 1998).

    asr lm build text.txt.xz train.jsonl --order 4 --prune 0 1 1 --exclude test.jsonl --lexicon cmudict.dict --output lm
    asr lm build train.jsonl --units character --order 6 --output char-lm

The texts must be in the case and spelling of the acoustic model's transcripts; --text-scheme puts them there. --prune
0 1 1 drops 2-grams and longer ones that occur once, 0 0 1 only 3-grams and longer ones. The output folder gets
lm.arpa; lm.safetensors, the same as the decoder opens it at once; lm.binary, the same for other tools in KenLM's
quantised format; lexicon.txt for the decoder; and build.json, which tells how all was made.

Keep what you test on out of the text: --exclude takes manifests or texts whose sentences must not be in it.
"""

import argparse

from asr.commands import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="texts (.txt, .gz, .xz) or JSONL manifests")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--order", type=int, default=3, metavar="N", help="length of the longest n-grams (default: 3)")
    parser.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=[0],
        metavar="COUNT",
        help="for each order, drop n-grams that occur so often or less; the last holds for higher orders (default: 0)",
    )
    parser.add_argument(
        "--units", choices=("word", "character"), default="word", help="what the model predicts (default: word)"
    )
    cut = parser.add_mutually_exclusive_group()
    cut.add_argument("--vocabulary", type=int, metavar="N", help="keep the N most frequent words; others are <unk>")
    cut.add_argument("--min-count", type=int, default=1, metavar="K", help="keep words that occur K times")
    parser.add_argument(
        "--exclude", nargs="+", default=[], metavar="TEXT", help="leave out every sentence of these texts or manifests"
    )
    parser.add_argument(
        "--lexicon", nargs="+", default=[], metavar="FILE", help="pronunciations, CMUdict's or Kaldi's format"
    )
    parser.add_argument("--g2p", action="store_true", help="guess how English words outside the lexicon are said")
    parser.add_argument(
        "--discount-fallback",
        type=float,
        nargs="*",
        metavar="D",
        help="three discounts for orders in which the text is too small to estimate them (default: 0.5 1 1.5)",
    )
    options.add_text_scheme(parser, "the texts")


def run(args: argparse.Namespace) -> int:
    from dataclasses import fields

    from asr.lm.build import BuildConfig, build
    from asr.lm.ngram import FALLBACK

    options.check_output("--output", args.output, folder=True)
    if args.discount_fallback == []:
        args.discount_fallback = FALLBACK
    report = build(BuildConfig(**{item.name: getattr(args, item.name) for item in fields(BuildConfig)}))
    print(report.describe())
    return 0
