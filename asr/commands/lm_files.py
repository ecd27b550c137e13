"""What the `asr lm` commands share: n-gram models and texts read and written with a progress bar."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.lm.ngram_model import NGramModel


def load(path: str) -> "NGramModel":
    """An ARPA file, or the one in a folder that `asr lm build` wrote."""
    from tqdm import tqdm

    from asr.lm.arpa import read_arpa

    with tqdm(desc=f"reading {path}", unit=" n-grams", unit_scale=True, disable=None, leave=False) as bar:
        return read_arpa(path, bar.update)


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="file to write: .safetensors opens at once in our decoder, .binary is KenLM's quantised format; else ARPA",
    )


def save(path: Path | str, model: "NGramModel") -> None:
    from tqdm import tqdm

    from asr.lm.arpa import write_arpa
    from asr.lm.kenlm_binary import write_binary

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".binary":
        write_binary(path, model)
        return
    if path.suffix == ".safetensors":
        from asr.lm.language_model import LanguageModel

        LanguageModel.of(model).save(path)
        return
    total = sum(model.counts)
    with tqdm(total=total, desc=f"writing {path}", unit=" n-grams", unit_scale=True, disable=None, leave=False) as bar:
        write_arpa(path, model, bar.update)


def read_for(model: "NGramModel", paths: Iterable[str], scheme: str) -> Iterator[list[str]]:
    """The sentences of texts in the symbols of a model: words or characters."""
    from tqdm import tqdm

    from asr.lm.sentences import read_sentences, split

    sentences = (sentence for path in paths for sentence in read_sentences(path, scheme))
    for sentence in tqdm(sentences, desc="reading text", unit=" sentences", disable=None, leave=False):
        yield split(sentence, model.units)


def size(path: Path | str, model: "NGramModel") -> str:
    """For reports: `lm.arpa: 12.3 MB, 1-grams 1000, 2-grams 20000`."""
    from asr.lm.arpa import arpa_file

    counts = ", ".join(f"{order}-grams {count}" for order, count in enumerate(model.counts, start=1))
    return f"{path}: {arpa_file(path).stat().st_size / 1e6:.1f} MB, {counts}"
