"""How well an n-gram model predicts a text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from asr.errors import TextError
from asr.lm.ngram_model import BOS_ID, UNK_ID, Array, NGramModel

PIECE = 1 << 20  # words scored at a time


@dataclass
class Perplexity:
    """Sums over a text. A sentence's end counts as a prediction, as everywhere in the field, but not as a word."""

    units: str = "word"  # what `words` counts: character, for a model of characters
    sentences: int = 0
    words: int = 0
    oov: int = 0  # words outside the vocabulary
    log_prob: float = 0.0  # log10, of all words and sentence ends
    log_prob_oov: float = 0.0  # the part of it that falls on words outside the vocabulary
    hits: list[int] = field(default_factory=list)  # predictions by an n-gram of order 1, 2, ...

    @property
    def including_oov(self) -> float:
        """Per word and sentence end, a word outside the vocabulary having the probability of <unk>."""
        return float(10 ** (-self.log_prob / (self.words + self.sentences)))

    @property
    def excluding_oov(self) -> float:
        """Per known word and sentence end."""
        return float(10 ** (-(self.log_prob - self.log_prob_oov) / (self.words + self.sentences - self.oov)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "perplexity_excluding_oov": self.excluding_oov,
            "perplexity_including_oov": self.including_oov,
            **asdict(self),
        }

    def summary(self) -> str:
        predictions = self.words + self.sentences
        hits = ", ".join(f"{n}-grams {count / predictions:.1%}" for n, count in enumerate(self.hits, start=1))
        return (
            f"perplexity {self.excluding_oov:.2f} without unknown words, {self.including_oov:.2f} with them\n"
            f"{self.sentences} sentences, {self.words} {self.units}s, {self.oov} of them unknown "
            f"({self.oov / max(self.words, 1):.2%})\npredicted by {hits}"
        )


def encode_pieces(model: NGramModel, sentences: Iterable[Sequence[str]]) -> Iterator[Array]:
    """Sentences, each its words, as the model's ids with <s> and </s>, many in one array."""
    piece: list[int] = []
    for sentence in sentences:
        piece.extend(model.encode(sentence))
        if len(piece) >= PIECE:
            yield np.array(piece)
            piece = []
    if piece:
        yield np.array(piece)


def perplexity(model: NGramModel, sentences: Iterable[Sequence[str]]) -> Perplexity:
    """Score sentences, each its words. Raises TextError where there are none."""
    result = Perplexity(model.units, hits=[0] * model.order)
    hits = np.zeros(model.order + 1, np.int64)
    for ids in encode_pieces(model, sentences):
        scores, used = model.score_ids(ids)
        predicted = ids != BOS_ID
        result.sentences += int(np.count_nonzero(~predicted))
        result.words += int(2 * np.count_nonzero(predicted) - len(ids))
        result.oov += int(np.count_nonzero(ids == UNK_ID))
        result.log_prob += float(scores[predicted].sum())
        result.log_prob_oov += float(scores[ids == UNK_ID].sum())
        hits += np.bincount(used[predicted], minlength=model.order + 1)
    if not result.sentences:
        raise TextError("the texts have no sentences: there is nothing to measure the model on")
    result.hits = hits[1:].tolist()
    return result
