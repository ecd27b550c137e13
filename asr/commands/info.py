"""What manifests hold, and everything suspicious in them; without manifests, what a model is.

    asr info data/yesno/train.jsonl data/yesno/test.jsonl --model runs/yesno/model
    asr info --model runs/yesno/model

Hours, speakers, durations, characters, the slowest and fastest talkers; missing files, empty texts, symbols outside a
model's alphabet, texts with too few frames for CTC, duplicates, speakers and sentences that two manifests share. Of a
model, by default the one that comes with asr: units, size and how it decodes; its README.md, the model card, says more.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="*", metavar="MANIFEST", help="JSONL manifests, one for each split")
    parser.add_argument(
        "--model", metavar="FOLDER", help="model folder, or the name of a model that comes with asr: check texts "
        "against its alphabet and frames",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from asr.data.manifest_report import report
    from asr.model.load import describe, load_model_folder

    manifests = [Path(path) for path in args.manifests]
    if not manifests:
        print(describe(load_model_folder(args.model)))
    elif args.model:
        model = load_model_folder(args.model)
        print(report(manifests, model.tokenizer, model.seconds_per_frame))
    else:
        print(report(manifests))
    return 0
