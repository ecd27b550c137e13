"""Subwords as output units: the unigram model of sentencepiece (Kudo, 2018, arXiv 1804.10959)."""

import io
import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import ModelError, TextError
from asr.text.tokenizer import BLANK, Tokenizer, read_tokens

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

MARK = "\u2581"  # sentencepiece's sign for the space before a word
FILE = "sentencepiece.model"

log = logging.getLogger(__name__)


class SubwordTokenizer(Tokenizer):
    """Pieces of words, frequent words whole. A piece with the mark in front begins a word."""

    kind = "subwords"

    def __init__(
        self,
        tokens: Sequence[str],
        unknown: str = "error",
        model: bytes | Path = b"",
        text_scheme: str = "none",
    ):
        """model: sentencepiece's, or the file to read it from when the first text is encoded."""
        super().__init__(tokens, unknown, text_scheme)
        self._model = model
        self._alphabet = {c for token in self.tokens[1:] for c in token} - {MARK} | {" "}

    @classmethod
    def build(cls, texts: Iterable[str], size: int, unknown: str = "error") -> "SubwordTokenizer":
        """Learn `size` subwords from the texts, or as many as there are: then the log says so.

        Raises TextError for texts without words, and for a size below the number of characters.
        """
        from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

        texts = [" ".join(text.split()) for text in texts]
        # A mark in the text itself would be taken for a space.
        symbols = set().union(*texts) - {" ", MARK}
        if not symbols:
            raise TextError("the training texts are empty: there is nothing to make tokens of")
        if size < len(symbols) + 1:
            raise TextError(
                f"tokenizer.size: found {size}, wanted at least {len(symbols) + 1}: each of the text's {len(symbols)} "
                "characters, and the mark of a word's beginning, is a subword"
            )
        model = io.BytesIO()
        SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=size + 1,  # sentencepiece counts its <unk>, whose place the blank takes
            hard_vocab_limit=False,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            character_coverage=1.0,
            normalization_rule_name="identity",  # asr.text.normalise does that, nothing else does
            max_sentence_length=1 << 20,  # bytes; the default leaves long texts out without a word
            num_threads=1,  # sums of floats in another order could choose other pieces
            minloglevel=2,
        )
        processor = SentencePieceProcessor(model_proto=model.getvalue())
        pieces = [processor.id_to_piece(i) for i in range(1, processor.get_piece_size())]
        if len(pieces) < size:
            log.warning("tokenizer.size: %d wanted, but the training text has no more than %d", size, len(pieces))
        return cls([BLANK, *pieces], unknown, model.getvalue())

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> "SubwordTokenizer":
        return cls(read_tokens(folder), model=folder / FILE, **settings)

    @cached_property
    def processor(self) -> "SentencePieceProcessor":
        """Raises ModelError where a model folder lacks its sentencepiece.model, or has another's."""
        from sentencepiece import SentencePieceProcessor

        source = self._model if isinstance(self._model, Path) else FILE
        try:
            processor = SentencePieceProcessor(model_proto=self.model)
        except RuntimeError as error:
            raise ModelError(f"{source}: not a model of sentencepiece: {error}") from error
        pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
        if pieces[1:] != self.tokens[1:]:
            raise ModelError(f"{source}: its pieces are not the tokens of tokens.txt beside it")
        return processor

    @property
    def model(self) -> bytes:
        """sentencepiece's model file."""
        if not isinstance(self._model, Path):
            return self._model
        try:
            return self._model.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{self._model}: cannot be read: {error.strerror}; without it no text can be encoded"
            ) from error

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.processor.encode(self._spelt(text, self._alphabet))
        return ids

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        for place, i in enumerate(ids):
            piece = self.tokens[i]
            if found and not piece.startswith(MARK):
                word, first, _ = found.pop()
                found.append((word + piece, first, place + 1))
            else:
                found.append((piece.removeprefix(MARK), place, place + 1))
        return [word for word in found if word[0]]  # a mark alone spells nothing

    def save(self, folder: Path | str) -> None:
        super().save(folder)
        (Path(folder) / FILE).write_bytes(self.model)
