"""Perplexity of a language model on texts: lower is better; compare n-gram models with the same vocabulary only.

asr lm perplexity lm dev.jsonl
asr lm perplexity 3-gram.pruned.1e-7.arpa.gz dev.txt --json perplexity.json
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands import lm_files

if TYPE_CHECKING:
    from asr.lm import perplexity as ngram
    from asr.lm import recurrent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="LM", help="ARPA file (.gz, .xz too), or a folder of asr lm build or train")
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="texts or JSONL manifests, taken together")
    lm_files.add_text_scheme(parser)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    result = measure_recurrent(args) if (Path(args.model) / "model.safetensors").is_file() else measure_ngram(args)
    print(result.summary())
    if args.json:
        Path(args.json).write_text(json.dumps(result.to_dict(), indent=2) + "\n")
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
