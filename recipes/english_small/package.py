"""Make the folder that ships with asr from a model folder that `asr lm tune` has given its language model.

    python recipes/english_small/package.py runs/english_small/model asr/models/english-small

Weights are stored in half precision, and one lexicon, the language model's, is both the decoder's and the network's;
SHA256SUMS tells a damaged copy. A README.md that is in the output already, the model card, stays.
"""

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import torch

from asr.decoders.settings import DecoderSettings
from asr.errors import ModelError, UserError
from asr.lm.language_model import FILE as LM_FILE
from asr.model.checksums import write_checksums
from asr.model.ctc_model import CTCModel
from asr.text.phones import FILE as LEXICON_FILE


def package(model: Path, output: Path) -> None:
    """Raises ModelError for folders that cannot be used."""
    there = [path.name for path in sorted(output.glob("*")) if path.name != "README.md"]
    if there:
        raise ModelError(f"{output}: holds {', '.join(there)}; remove all but README.md, the model card")
    card = output / "README.md"
    network = CTCModel.load(model)
    settings = DecoderSettings.of(model)
    network.save(output, card.read_text(encoding="utf-8") if card.exists() else "", torch.float16)
    if settings.lm:
        _bring_language_model(network, settings, output)
    write_checksums(output)


def _bring_language_model(network: CTCModel, settings: DecoderSettings, output: Path) -> None:
    lexicon = Path(settings.lexicon or Path(settings.lm) / LEXICON_FILE)
    if network.tokenizer.kind == "phones" and lexicon.is_file():
        shutil.copyfile(lexicon, output / LEXICON_FILE)
        settings = replace(settings, lexicon=str(output / LEXICON_FILE))
    replace(settings, lm=str(Path(settings.lm) / LM_FILE)).save(output)


def sizes(folder: Path) -> str:
    """A line for each file, and their sum."""
    found = {path.name: path.stat().st_size / 1e6 for path in sorted(folder.iterdir())}
    return "\n".join(f"{size:8.2f} MB  {name}" for name, size in (found | {"in all": sum(found.values())}).items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder with decoder.json and language model")
    parser.add_argument("output", type=Path, help="folder to make; it holds nothing but, perhaps, README.md")
    args = parser.parse_args()
    try:
        package(args.model, args.output)
    except UserError as error:
        sys.exit(f"{error}")
    print(sizes(args.output))


if __name__ == "__main__":
    main()
