"""Language models: build them from text, measure them, make them smaller, mix them.

    asr lm build text.txt.xz train.jsonl --order 4 --prune 0 1 1 --exclude test.jsonl --lexicon cmudict.dict --output lm
    asr lm perplexity lm dev.jsonl
    asr lm tune runs/speechocean762-phones/model dev.jsonl --lm lm
    asr lm COMMAND --help

A text is one sentence a line, .txt, .gz or .xz, in the case and spelling of the acoustic model's transcripts; or a
JSONL manifest, whose transcripts are taken.
"""

import argparse

from asr.commands import lm_build, lm_generate, lm_interpolate, lm_perplexity, lm_prune, lm_train, lm_tune

SUBCOMMANDS = (
    ("build", "an n-gram model from text", lm_build),
    ("perplexity", "how well an n-gram model predicts a text", lm_perplexity),
    ("tune", "weights of a beam search, found on a development set", lm_tune),
    ("prune", "a smaller n-gram model", lm_prune),
    ("interpolate", "one n-gram model from several, weighted by held-out text", lm_interpolate),
    ("train", "a recurrent model from a recipe", lm_train),
    ("generate", "let a recurrent model write sentences", lm_generate),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    for name, help_line, module in SUBCOMMANDS:
        subparser = subparsers.add_parser(
            name, help=help_line, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.add_arguments(subparser)
        subparser.set_defaults(run_subcommand=module.run)


def run(args: argparse.Namespace) -> int:
    code: int = args.run_subcommand(args)
    return code
