"""One n-gram model from several: a little text of the right kind beside much of another.

    asr lm interpolate lm-news lm-talks --heldout dev.jsonl --output mixed.arpa
    asr lm interpolate lm-news lm-talks --weights 0.3 0.7 --heldout dev.jsonl --output mixed.arpa

The weights are those under which the held-out text is most probable, unless given. The result has the n-grams of all
models with the mixture's probabilities, and is used as any other model; words that a model does not know have
probability 0 in it. The held-out text must be neither training nor test text.
"""

import argparse

from asr.commands import lm_files, options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="LM", help="ARPA files (.gz, .xz too), or folders of asr lm build")
    parser.add_argument("--heldout", nargs="+", required=True, metavar="TEXT", help="texts or JSONL manifests")
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help="one for each model (default: fitted)")
    lm_files.add_output(parser)
    options.add_text_scheme(parser, "the held-out text")


def run(args: argparse.Namespace) -> int:
    from asr.lm.interpolate import fit_weights, interpolate
    from asr.lm.perplexity import perplexity

    options.check_output("--output", args.output)
    models = [lm_files.load(path) for path in args.models]
    heldout = list(lm_files.read_for(models[0], args.heldout, args.text_scheme))
    mixture = fit_weights(models, heldout, args.weights)
    for path, weight, alone in zip(args.models, mixture.weights, mixture.perplexities, strict=True):
        print(f"weight {weight:.4f}  perplexity {alone:9.2f}  {path}")
    print(f"the mixture    perplexity {mixture.perplexity:9.2f}")
    merged = interpolate(models, mixture.weights)
    lm_files.save(args.output, merged)
    print(f"{lm_files.size(args.output, merged)}\n{perplexity(merged, heldout).summary()}")
    return 0
