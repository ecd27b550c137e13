"""What manifests hold, and everything suspicious in them.

    asr info data/yesno/train.jsonl data/yesno/test.jsonl --model runs/yesno/model

Hours, speakers, durations, characters, the slowest and fastest talkers; missing files, empty texts, symbols outside a
model's alphabet, texts with too few frames for CTC, duplicates, speakers and sentences that two manifests share.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="JSONL manifests, one for each split")
    parser.add_argument("--model", metavar="FOLDER", help="also check texts against this model's alphabet and frames")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from asr.manifest_report import report

    if args.model:
        from asr.model_folder import load_model_folder

        model = load_model_folder(args.model)
        print(report([Path(path) for path in args.manifests], model.tokenizer, model.seconds_per_frame))
    else:
        print(report([Path(path) for path in args.manifests]))
    return 0
