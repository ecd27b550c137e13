"""Find how much to trust a language model: the weights of a beam search, on a development set.

    asr lm tune runs/speechocean762-phones/model data/speechocean762/dev.jsonl --lm lm
    asr lm tune MODEL dev.jsonl --lm lm --rescoring-lm runs/lm/model

The network runs once, the search with all weights that the descent tries: the language model's, the score of each
word, and how much of the tokens' prior, the mean of the network's outputs, is taken off them. Confidences are fitted
too, so that of the words of confidence 0.8 eight in ten are right; and how sure of an utterance the search has to be
on average (min_confidence), lest words be found in noise. The result is written into the model folder: the language
model, and decoder.json, which `asr transcribe` and `asr evaluate` then use by themselves (`--lm none` turns it off).
Never tune on what you test on.
"""

import argparse

from asr.commands import decoding, options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model folder")
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="JSONL manifests of the development set")
    parser.add_argument("--dry-run", action="store_true", help="print the result, leave the model folder as it is")
    parser.add_argument("--device", default="cpu", help="torch device, e.g. cuda (default: cpu)")
    decoding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from tqdm import tqdm

    from asr.errors import ConfigError
    from asr.evaluation.scoring import ErrorCounts
    from asr.evaluation.tune import Point, tune
    from asr.model.folder import SHIPPED
    from asr.model.load import load_model_folder

    model = load_model_folder(args.model, args.device)
    if not args.dry_run and model.folder and model.folder.resolve().is_relative_to(SHIPPED):
        raise ConfigError(f"{args.model}: belongs to asr and stays as it is: tune a copy of the folder, or --dry-run")
    settings = decoding.settings(args, model)
    if not settings.lm:
        raise ConfigError("--lm: found none; wanted the language model whose weight is to be found")
    utterances = options.read_manifests(args.manifests)
    with tqdm(unit="try", disable=None, leave=False) as bar:

        def show(point: Point, errors: ErrorCounts) -> None:
            bar.update()
            weights = f"lm-weight {point[0]:.2f}  word-insertion-score {point[1]:+.2f}  prior-weight {point[2]:.2f}"
            tqdm.write(f"{weights}  WER {errors.rate:.2%}")

        found = tune(model, utterances, settings, show)
    if found.greedy:
        print(f"greedy: WER {found.greedy.describe('words')}")
    print(f"tuned:  WER {found.best.describe('words')}")
    weights = f"--lm-weight {found.settings.lm_weight:g} --word-insertion-score {found.settings.word_insertion_score:g}"
    weights += f" --prior-weight {found.settings.prior_weight:g}"
    if found.settings.rescoring_lm:
        weights += f" --rescoring-weight {found.settings.rescoring_weight:g}"
    print(weights)
    before, after = found.calibration_errors
    print(f"confidences: expected calibration error {before:.3f}, fitted {after:.3f}")
    if not args.dry_run:
        found.settings.save(args.model)
        print(f"written to {Path(args.model) / 'decoder.json'}")
    return 0
