"""Perplexity of a language model on texts: lower is better; compare n-gram models with the same vocabulary only.

asr lm perplexity lm dev.jsonl
asr lm perplexity 3-gram.pruned.1e-7.arpa.gz dev.txt --json perplexity.json
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands import lm_files, options

if TYPE_CHECKING:
    from asr.lm import perplexity as ngram
    from asr.lm import recurrent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="LM", help="ARPA file (.gz, .xz too), or a folder of asr lm build or train")
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="texts or JSONL manifests, taken together")
    options.add_text_scheme(parser, "the texts")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    options.check_output("--json", args.json)
    result = measure_recurrent(args) if (Path(args.model) / "model.safetensors").is_file() else measure_ngram(args)
    print(result.summary())
    options.write_json(args.json, result.to_dict())
    return 0


def measure_ngram(args: argparse.Namespace) -> "ngram.Perplexity":
    from asr.lm.perplexity import perplexity

    model = lm_files.load(args.model)
    return perplexity(model, lm_files.read_for(model, args.texts, args.text_scheme))


def measure_recurrent(args: argparse.Namespace) -> "recurrent.Perplexity":
    from asr.lm.recurrent import RecurrentLM
    from asr.lm.sentences import read_sentences

    lm = RecurrentLM.load(args.model)
    return lm.perplexity([text for path in args.texts for text in read_sentences(path, args.text_scheme)])
