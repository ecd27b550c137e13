"""An n-gram model as decoders load it: one file of arrays that opens at once, or an ARPA file."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from asr.errors import ModelError
from asr.lm.arpa import FILE as ARPA_FILE
from asr.lm.arpa import read_arpa
from asr.lm.automaton import Automaton, from_model
from asr.lm.ngram_model import BOS_ID, EOS_ID, NGramModel
from asr.model.folder import let_all_read
from asr.text.tokenizer import SPACE

FILE = "lm.safetensors"
WORDS = "words"  # the vocabulary, UTF-8, a line break after each


@dataclass(frozen=True)
class LanguageModel:
    """Words by number (<unk>, <s>, </s> first), and the automaton over these numbers."""

    words: list[str]
    automaton: Automaton

    start_label = BOS_ID
    end_label = EOS_ID

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @property
    def of_characters(self) -> bool:
        """Whether it predicts characters, not words."""
        return SPACE in self.ids

    @classmethod
    def of(cls, model: NGramModel) -> "LanguageModel":
        return cls(model.words, from_model(model))

    @classmethod
    def load(cls, path: Path | str) -> "LanguageModel":
        """From a folder that `asr lm build` wrote, from its lm.safetensors, or from any ARPA file.

        Raises ModelError where there is none or it is damaged.
        """
        path = Path(path)
        if path.is_dir():
            found = [path / name for name in (FILE, ARPA_FILE) if (path / name).is_file()]
            if not found:
                raise ModelError(f"{path}: found neither {FILE} nor {ARPA_FILE}, one of which `asr lm build` writes")
            path = found[0]
        if path.suffix != ".safetensors":
            return cls.of(read_arpa(path))
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in (WORDS, *Automaton._fields)}
            words = arrays.pop(WORDS).tobytes().decode().split("\n")[:-1]
        except (OSError, SafetensorError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: the language model cannot be read: {error}") from error
        scores = {name: arrays[name].astype(np.float32) for name in ("arc_score", "backoff_score")}
        return cls(words, Automaton(**(arrays | scores)))

    def save(self, path: Path | str) -> None:
        """Write the one file. Scores are kept in half precision: they are wrong by less than a thousandth."""
        arrays = self.automaton._asdict()
        scores = {name: arrays[name].astype(np.float16) for name in ("arc_score", "backoff_score")}
        words = np.frombuffer("".join(f"{word}\n" for word in self.words).encode(), np.uint8)
        save_file({WORDS: words, **(arrays | scores)}, path)
        let_all_read(path)
