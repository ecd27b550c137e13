"""A smaller n-gram model: drop the n-grams that change it least (entropy pruning; Stolcke, 1998).

    asr lm prune mixed.arpa --threshold 1e-8 --output small.arpa

Each n-gram dropped raises the perplexity by less than this fraction. Kneser-Ney models take it badly: prune those by
count while building them (asr lm build --prune), and use this for interpolated ones. 1e-9 drops few, 1e-7 most.
"""

import argparse

from asr.commands import lm_files, options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="LM", help="ARPA file (.gz, .xz too), or a folder of asr lm build")
    parser.add_argument("--threshold", type=float, required=True, help="relative rise of the perplexity, e.g. 1e-8")
    lm_files.add_output(parser)


def run(args: argparse.Namespace) -> int:
    from asr.lm.prune import prune

    options.check_output("--output", args.output)
    model = lm_files.load(args.model)
    before = lm_files.size(args.model, model)
    pruned = prune(model, args.threshold)
    lm_files.save(args.output, pruned)
    print(f"before  {before}\nafter   {lm_files.size(args.output, pruned)}")
    return 0
