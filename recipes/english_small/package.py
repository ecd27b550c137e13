"""Make the folder that ships with asr from a model folder that `asr lm tune` has given its language model.

    python recipes/english_small/package.py runs/english_small/model asr/models/english-small

Weights are stored in half precision, and one lexicon, the language model's, is both the decoder's and the network's. A
README.md that is in the output already, the model card, stays.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from asr.decoders.settings import DecoderSettings
from asr.lm.language_model import FILE as LM_FILE
from asr.model import CTCModel
from asr.phones import FILE as LEXICON_FILE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder with decoder.json and language model")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    card = args.output / "README.md"
    CTCModel.load(args.model).save(
        args.output, card.read_text(encoding="utf-8") if card.exists() else "", torch.float16
    )
    settings = DecoderSettings.load(args.model)
    lm = Path(settings.lm)
    shutil.copyfile(settings.lexicon or lm / LEXICON_FILE, args.output / LEXICON_FILE)
    replace(settings, lm=str(lm / LM_FILE), lexicon=str(args.output / LEXICON_FILE)).save(args.output)
    for path in sorted(args.output.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.3f} MB  {path.name}")
    print(f"{sum(path.stat().st_size for path in args.output.iterdir()) / 1e6:8.3f} MB")


if __name__ == "__main__":
    main()
