"""What manifests hold, and everything suspicious in them; without manifests, what a model is.

    asr info data/yesno/train.jsonl data/yesno/test.jsonl --model runs/yesno/model
    asr info --model runs/yesno/model

Hours, speakers, durations, characters, the slowest and fastest talkers; missing files, empty texts, symbols outside a
model's alphabet, texts with too few frames for CTC, duplicates, speakers and sentences that two manifests share. Of a
model, by default the one that comes with asr: units, size and how it decodes; its README.md, the model card, says more.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.model.contract import AcousticModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="*", metavar="MANIFEST", help="JSONL manifests, one for each split")
    parser.add_argument(
        "--model", metavar="FOLDER", help="model folder, or the name of a model that comes with asr: check texts "
        "against its alphabet and frames",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from asr.data.manifest_report import report
    from asr.model.load import load_model_folder

    manifests = [Path(path) for path in args.manifests]
    if not manifests:
        print(describe(load_model_folder(args.model)))
    elif args.model:
        model = load_model_folder(args.model)
        print(report(manifests, model.tokenizer, model.seconds_per_frame))
    else:
        print(report(manifests))
    return 0


def describe(model: "AcousticModel") -> str:
    """A loaded model's facts, a line each: its folder, what it is made of, its size on disk, how it decodes."""
    from dataclasses import asdict

    from asr.decoders.settings import DecoderSettings
    from asr.model.ctc_model import CTCModel

    assert model.folder
    files = [path for path in model.folder.rglob("*") if path.is_file()]
    network = f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M" if isinstance(model, CTCModel) else "exported"
    settings = DecoderSettings.of(model.folder)
    searches = settings.searches()
    unused = {"log_prior"} if settings.rescoring_lm else {"log_prior", "rescoring_weight", "rescoring_size"}
    shown = {name: value for name, value in asdict(settings).items() if searches and value and name not in unused}
    return "\n".join(
        [
            f"folder      {model.folder}",
            f"units       {model.tokenizer.kind}, {model.tokenizer.vocab_size} with blank",
            f"parameters  {network}",
            f"audio       {model.sample_rate} Hz, {model.seconds_per_frame * 1000:g} ms a frame",
            f"on disk     {sum(path.stat().st_size for path in files) / 1e6:.1f} MB",
            f"decoding    {'beam search' if searches else 'greedy'}",
            *(f"  {name:20}  {value}" for name, value in shown.items()),
        ]
    )
