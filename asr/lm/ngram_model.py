"""A back-off n-gram model in memory, as a trie of sorted numpy arrays that scores whole texts at once.

The n-grams of one order are sorted by (context, last word). The context is the index of the first n - 1 words among
the n-grams of the order below, and key = context * V + word, with V the size of the vocabulary. A look-up is then a
binary search, and the same arrays serve estimation, perplexity, pruning and interpolation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from asr.text.tokenizer import SPACE

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
UNK_ID, BOS_ID, EOS_ID = 0, 1, 2
SPECIAL = (UNK, BOS, EOS)
NEVER = -99.0  # log10 probability of <s>, which is given and never predicted (ARPA's custom)
TINY = 1e-9  # below it, the mass left to backing-off is rounding

Array = np.ndarray


def find(keys: Array, wanted: Array) -> Array:
    """Where each wanted key stands in the sorted `keys`, -1 where it does not: int64 of the shape of `wanted`."""
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(wanted)  # searching in order reads memory in order: several times faster
    places = np.minimum(np.searchsorted(keys, wanted[order]), len(keys) - 1)
    found = np.empty(len(wanted), np.int64)
    found[order] = np.where(keys[places] == wanted[order], places, -1)
    return found


def suffixes(keys: Sequence[Array], size: int) -> list[Array]:
    """For each order, where each n-gram without its first word stands in the order below (-1: nowhere).

    Unigrams have no suffix: the first array is empty.
    """
    found = [np.empty(0, np.int64)]
    for order in range(1, len(keys)):
        contexts, words = np.divmod(keys[order], size)
        if order == 1:
            found.append(words)
            continue
        above = found[order - 1][contexts]
        found.append(np.where(above < 0, -1, find(keys[order - 1], above * size + words)))
    return found


@dataclass
class NGramModel:
    """p(w | h) = the stored probability of h w, else backoff(h) p(w | h without its first word).

    All lists have one entry an order. Every n-gram's first and last n - 1 words are n-grams too.
    """

    words: list[str]  # V of them; <unk>, <s>, </s> first
    keys: list[Array]  # int64 (N,), sorted; unigrams: 0 .. V - 1
    log_probs: list[Array]  # float32 (N,), log10
    log_backoffs: list[Array]  # float32 (N,), log10; the highest order's are 0 and mean nothing

    @property
    def units(self) -> Literal["word", "character"]:
        """What it predicts; only models of characters know `<space>`."""
        return "character" if SPACE in self.ids else "word"

    @property
    def order(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> int:
        return len(self.words)

    @property
    def counts(self) -> list[int]:
        return [len(keys) for keys in self.keys]

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, sentence: Sequence[str]) -> list[int]:
        """<s>, the words, </s> as ids; a word outside the vocabulary is <unk>."""
        return [BOS_ID, *(self.ids.get(word, UNK_ID) for word in sentence), EOS_ID]

    def score_ids(self, ids: Array) -> tuple[Array, Array]:
        """ids: int (T,), sentences with their <s> and </s> in a row. Returns for each the log10 probability given the
        words of its sentence before it, float64 (T,), and the order of the n-gram that gave it, int64 (T,).

        For <s> the values mean nothing.
        """
        ids = np.asarray(ids, np.int64)
        scores = self.log_probs[0][ids].astype(np.float64)
        used = np.ones(len(ids), np.int64)
        nodes = ids  # of the n-gram of the last order that ends here, -1 where there is none
        for order in range(1, self.order):
            contexts = np.concatenate([[-1], nodes[:-1]])
            contexts[ids == BOS_ID] = -1
            known = contexts >= 0
            nodes = np.full(len(ids), -1)
            nodes[known] = find(self.keys[order], contexts[known] * self.size + ids[known])
            scores[known] += self.log_backoffs[order - 1][contexts[known]]
            hit = nodes >= 0
            scores[hit] = self.log_probs[order][nodes[hit]]
            used[hit] = order + 1
        return scores, used

    def score(self, sentence: Sequence[str]) -> float:
        """log10 probability of a sentence, its end included."""
        return float(self.score_ids(np.array(self.encode(sentence)))[0][1:].sum())

    def ngrams(self, order: int, start: int = 0, stop: int | None = None) -> Array:
        """The word ids of the n-grams [start, stop) of an order (1 is unigrams): int64 (N, order)."""
        rows = np.arange(*slice(start, stop).indices(len(self.keys[order - 1])))
        columns = []
        for level in range(order - 1, 0, -1):
            rows, words = np.divmod(self.keys[level][rows], self.size)
            columns.append(words)
        return np.stack([rows, *columns[::-1]], axis=1)

    def keep(self, kept: Sequence[Array]) -> "NGramModel":
        """The model with those n-grams alone; kept: bool (N,) for each order. Back-off weights stay as they were.

        The first and last n - 1 words of a kept n-gram must be kept.
        """
        keys = [self.keys[0]]
        for order in range(1, self.order):
            contexts, words = np.divmod(self.keys[order][kept[order]], self.size)
            keys.append((np.cumsum(kept[order - 1]) - 1)[contexts] * self.size + words)
        return NGramModel(
            self.words,
            keys,
            [values[mask] for values, mask in zip(self.log_probs, kept, strict=True)],
            [values[mask] for values, mask in zip(self.log_backoffs, kept, strict=True)],
        )

    def trimmed(self) -> "NGramModel":
        """The model without highest orders that have no n-grams, nor weights to back off from the highest."""
        order = max(i + 1 for i, count in enumerate(self.counts) if count)
        log_backoffs = [*self.log_backoffs[: order - 1], np.zeros(len(self.keys[order - 1]), np.float32)]
        return NGramModel(self.words, self.keys[:order], self.log_probs[:order], log_backoffs)

    def left_over(self, order: int, below: Array) -> tuple[Array, Array]:
        """1 - sum p(w | h) and 1 - sum p(w | h without its first word), over the words w that follow h in n-grams of
        this order: float64, one for each n-gram h of the order below.

        below: for each n-gram of this order its place in the order below, without the first word.
        """
        contexts = self.keys[order - 1] // self.size
        longer, shorter = 10.0 ** self.log_probs[order - 1].astype(float), 10.0 ** self.log_probs[order - 2][below]
        count = len(self.keys[order - 2])
        return 1 - np.bincount(contexts, longer, count), 1 - np.bincount(contexts, shorter.astype(float), count)

    def renormalise(self) -> None:
        """Give each context the back-off weight with which its probabilities sum to 1 (Katz, 1987), in place."""
        below = suffixes(self.keys, self.size)
        for order in range(2, self.order + 1):
            mass, lower = self.left_over(order, below[order - 1])
            weights = np.log10(np.maximum(mass, TINY) / np.maximum(lower, TINY))
            is_context = np.bincount(self.keys[order - 1] // self.size, minlength=len(mass)) > 0
            self.log_backoffs[order - 2] = np.where(is_context, weights, 0).astype(np.float32)
