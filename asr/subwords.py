"""Subword tokens by sentencepiece's unigram model (Kudo, 2018)."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from asr.errors import ConfigError, ModelError, TextError
from asr.text import BLANK, Tokenizer

MARK = "\u2581"  # sentencepiece's sign for the space before a word
FILE = "sentencepiece.model"


class SubwordTokenizer(Tokenizer):
    """Pieces of words; a piece that starts a word begins with the mark of sentencepiece."""

    kind = "subwords"

    def __init__(self, tokens: Sequence[str], model: bytes):
        super().__init__(tokens)
        self.model = model
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        # Piece 0 of sentencepiece is "unknown": here that place is the blank's.
        self.unknown_id = self.processor.unk_id()

    def encode(self, text: str) -> list[int]:
        ids = self.processor.encode(" ".join(text.split()))
        if self.unknown_id in ids:
            known = {c for token in self.tokens[1:] for c in token} | {" "}
            raise TextError(f"{text!r} has symbols outside the alphabet: {' '.join(sorted(set(text) - known))}")
        return list(ids)

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        words: list[tuple[str, int, int]] = []
        for place, token in enumerate(self.tokens[i] for i in ids):
            if token.startswith(MARK) or not words:
                words.append((token.removeprefix(MARK), place, place + 1))
            else:
                words[-1] = (words[-1][0] + token, words[-1][1], place + 1)
        return [word for word in words if word[0]]

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / FILE).write_bytes(self.model)


def train_subwords(texts: Sequence[str], size: int) -> SubwordTokenizer:
    """Learn `size` pieces from the texts. Raises ConfigError where they hold fewer, or more symbols than that."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, vocab_size=size + 1, model_type="unigram",
            character_coverage=1.0, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, minloglevel=2,
            normalization_rule_name="identity", max_sentence_length=1 << 20,
        )  # fmt: skip
    except RuntimeError as error:
        fits = re.search(r"<= (\d+)", str(error))
        advice = f"; wanted at most {int(fits[1]) - 1}" if fits else f": {error}"
        raise ConfigError(f"tokenizer.size: {size} subwords do not fit this training text{advice}") from error
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(i) for i in range(1, processor.get_piece_size())]
    return SubwordTokenizer([BLANK, *pieces], model.getvalue())


def load_subwords(folder: Path, tokens: Sequence[str]) -> SubwordTokenizer:
    """From a model folder. Raises ModelError where sentencepiece.model is missing or damaged."""
    try:
        return SubwordTokenizer(tokens, (folder / FILE).read_bytes())
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{folder / FILE}: the subword model cannot be read: {error}") from error
