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
from asr.lm.automaton import Automaton, find_mistake, from_model
from asr.lm.ngram_model import BOS_ID, EOS_ID, SPECIAL, NGramModel
from asr.model.folder import let_all_read
from asr.text.tokenizer import SPACE

FILE = "lm.safetensors"
WORDS = "words"  # the vocabulary, UTF-8, a line break after each
TYPES: dict[str, dict[str, type[np.generic]]] = {
    WORDS: {"U8": np.uint8},
    "arc_start": {"I64": np.int64},
    "arc_label": {"I32": np.int32},
    "arc_score": {"F16": np.float32, "F32": np.float32},
    "arc_next": {"I32": np.int32},
    "backoff_score": {"F16": np.float32, "F32": np.float32},
    "backoff_state": {"I32": np.int32},
}
"""What the file's arrays may be, and what they become in memory: the search is compiled for these types."""


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
            return cls._read(path)
        except (OSError, SafetensorError, ValueError) as error:  # UnicodeDecodeError is a ValueError
            raise ModelError(f"{path}: the language model cannot be read: {error}") from error

    @classmethod
    def _read(cls, path: Path) -> "LanguageModel":
        """Raises ValueError for what is no back-off model: the search does not look at what it walks through."""
        arrays = {}
        with safe_open(path, framework="numpy") as file:
            for name, types in TYPES.items():
                part = file.get_slice(name)
                kind, shape = part.get_dtype(), part.get_shape()
                if kind not in types or len(shape) != 1:
                    wanted = " or ".join(types)
                    raise ValueError(f"{name}: found {kind} of the shape {shape}, wanted {wanted} of one dimension")
                arrays[name] = file.get_tensor(name).astype(types[kind], copy=False)
        text = arrays.pop(WORDS).tobytes().decode()
        if not text.endswith("\n"):
            found = repr(text[-20:]) if text else "nothing"
            raise ValueError(f"{WORDS}: found {found} at the end, wanted a line break after each word")
        words = text.split("\n")[:-1]
        if tuple(words[: len(SPECIAL)]) != SPECIAL:
            raise ValueError(f"{WORDS}: found {', '.join(words[:3])} first, wanted {', '.join(SPECIAL)}")
        model = cls(words, Automaton(**arrays))
        if len(model.ids) < len(words):
            twice = next(word for i, word in enumerate(words) if model.ids[word] != i)
            raise ValueError(f"{WORDS}: found {twice!r} twice, wanted each once")
        if mistake := find_mistake(model.automaton, len(words)):
            raise ValueError(mistake)
        return model

    def save(self, path: Path | str) -> None:
        """Write the one file. Scores are kept in half precision: they are wrong by less than a thousandth."""
        arrays = self.automaton._asdict()
        scores = {name: arrays[name].astype(np.float16) for name in ("arc_score", "backoff_score")}
        words = np.frombuffer("".join(f"{word}\n" for word in self.words).encode(), np.uint8)
        save_file({WORDS: words, **(arrays | scores)}, path)
        let_all_read(path)
