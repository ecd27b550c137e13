"""n-gram models from text: counting, and interpolated modified Kneser-Ney smoothing.

S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language modeling", TR-10-98, Harvard, 1998,
in the form in which K. Heafield et al., "Scalable modified Kneser-Ney language model estimation", ACL 2013 (lmplz),
estimate and prune.

The text is read once as a stream and kept as 4 bytes a word; n-grams are counted in pieces by sorting, and merged.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.errors import ConfigError, TextError
from asr.lm.ngram_model import BOS_ID, EOS_ID, NEVER, SPECIAL, UNK_ID, Array, NGramModel, find, suffixes

PIECE = 1 << 22  # words counted at a time
FALLBACK = (0.5, 1.0, 1.5)  # discounts where a text is too small to estimate them, as in lmplz


@dataclass
class Corpus:
    """A text as ids: `<s> a b </s> <s> c </s> ...`."""

    ids: Array  # int32 (T,)
    words: list[str]  # the vocabulary by falling frequency, after <unk>, <s>, </s>

    @property
    def num_sentences(self) -> int:
        return int(np.count_nonzero(self.ids == BOS_ID))

    @property
    def num_words(self) -> int:
        """Without sentence ends."""
        return len(self.ids) - 2 * self.num_sentences


def read_corpus(sentences: Iterable[Sequence[str]], vocabulary: int | None = None, min_count: int = 1) -> Corpus:
    """Sentences, each its words, as ids.

    Only the `vocabulary` most frequent words that occur `min_count` times stay; the others are <unk>, which is then
    counted as a word. Raises TextError where there is nothing, or a word has the form of <s>, </s> or <unk>.
    """
    lookup: defaultdict[str, int] = defaultdict()
    lookup.update({word: i for i, word in enumerate(SPECIAL)})
    lookup.default_factory = lookup.__len__
    pieces, piece = [], array("i")
    for number, sentence in enumerate(sentences, start=1):
        if any(word.startswith("<") for word in sentence) and (found := set(sentence).intersection(SPECIAL)):
            raise TextError(
                f"sentence {number} has the word {min(found)}, which language models keep for themselves: take it out"
            )
        piece.append(BOS_ID)
        piece.extend(map(lookup.__getitem__, sentence))
        piece.append(EOS_ID)
        if len(piece) >= PIECE:
            pieces.append(np.array(piece, np.int32))
            piece = array("i")
    ids = np.concatenate([*pieces, np.array(piece, np.int32)])
    if not len(ids):
        raise TextError("the texts have no sentences: there is nothing to count")
    words = list(lookup)
    counts = np.bincount(ids, minlength=len(words))
    ranked = sorted(range(len(SPECIAL), len(words)), key=lambda i: (-counts[i], words[i]))
    ranked = [i for i in ranked if counts[i] >= min_count][:vocabulary]
    new_ids = np.full(len(words), UNK_ID, np.int32)
    new_ids[[BOS_ID, EOS_ID, *ranked]] = [BOS_ID, EOS_ID, *range(len(SPECIAL), len(SPECIAL) + len(ranked))]
    return Corpus(new_ids[ids], [*SPECIAL, *(words[i] for i in ranked)])


@dataclass
class Counts:
    """How often each n-gram of each order occurs; all orders in the form of NGramModel."""

    words: list[str]
    keys: list[Array]  # int64 (N,)
    raw: list[Array]  # int64 (N,)


def count(corpus: Corpus, order: int, progress: Callable[[int], object] | None = None) -> Counts:
    """Count the n-grams of orders 1 .. `order`. progress: called with the words done, anew from order 2 on."""
    ids, size = corpus.ids, len(corpus.words)
    counts = Counts(corpus.words, [np.arange(size)], [np.bincount(ids, minlength=size)])
    nodes = ids  # the n-gram of the last order that ends at each word, -1 where the sentence is too short

    def pieces() -> Iterable[tuple[Array, Array]]:
        for start in range(1, len(ids), PIECE):
            words, contexts = ids[start : start + PIECE], nodes[start - 1 : start - 1 + PIECE]
            inside = np.flatnonzero((words != BOS_ID) & (contexts[: len(words)] >= 0))
            yield inside + start, contexts[inside].astype(np.int64) * size + words[inside]

    for _ in range(1, order):
        keys, raw = merge(np.unique(keys, return_counts=True) for _, keys in pieces())
        counts.keys.append(keys)
        counts.raw.append(raw)
        ending = np.full(len(ids), -1, np.int32)
        for start, (places, wanted) in zip(range(0, len(ids), PIECE), pieces(), strict=False):
            ending[places] = find(keys, wanted)
            if progress:
                progress(min(PIECE, len(ids) - start))
        nodes = ending
    return counts


def merge(tables: Iterable[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Sorted keys and their summed counts, from several such tables."""
    keys, counts = (np.concatenate(arrays) for arrays in zip(*tables, strict=True))
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts


def discounts(adjusted: Array, order: int, fallback: Sequence[float] | None = None) -> Array:
    """D_0 = 0, D_1, D_2, D_3+ of the n-grams of one order: Chen & Goodman (1998), equation 26.

    adjusted: their counts. Raises TextError where they cannot be estimated and there is no fallback.
    """
    n = np.bincount(np.minimum(adjusted, 5), minlength=6)
    if n[1:4].all():
        y = n[1] / (n[1] + 2 * n[2])
        found = np.array([j - (j + 1) * y * n[j + 1] / n[j] if j else 0.0 for j in range(4)])
        if (found >= 0).all() and (found <= np.arange(4)).all():
            return found
        why = f"the discounts would be {', '.join(f'{value:.3f}' for value in found[1:])}"
    else:
        seen = int(np.flatnonzero(n[1:4] == 0)[0]) + 1
        why = f"none has the count {seen}"
    if fallback is not None:
        return np.array([0.0, *fallback])
    raise TextError(
        f"the discounts of {order}-grams cannot be estimated: of {np.count_nonzero(adjusted)} {order}-grams, {why}. "
        "The text is too small or not natural (classes, repeated lines): give more text, or take fixed discounts with "
        f"--discount-fallback {' '.join(map(str, FALLBACK))}"
    )


def estimate(counts: Counts, prune: Sequence[int] = (0,), fallback: Sequence[float] | None = None) -> NGramModel:
    """Interpolated modified Kneser-Ney.

    prune: for each order, the count up to which n-grams are dropped, their mass going to the back-off; the last holds
    for all higher orders; unigrams are never dropped. fallback: D_1, D_2, D_3+ where they cannot be estimated.
    Raises ConfigError for impossible thresholds, TextError where discounts cannot be estimated.

    With a the count (highest order, and n-grams that begin with <s>) or the number of different words seen in front:
    p(w | h) = (a(h w) - D) / sum_v a(h v) + gamma(h) p(w | h without its first word), gamma(h) being what was taken.
    Unigrams are interpolated with the uniform distribution over all words but <s>.
    """
    order, size = len(counts.keys), len(counts.words)
    prune = [*prune, *[prune[-1]] * order][:order]
    if prune[0] != 0 or sorted(prune) != prune:
        raise ConfigError(
            f"prune: found {' '.join(map(str, prune))}, wanted 0 for unigrams and thresholds that do not fall with the "
            "order, for example 0 1 1"
        )
    below = suffixes(counts.keys, size)
    probs: Array = np.full(1, 1 / (size - 1))
    all_probs, all_backoffs, kept = [], [np.ones(1)], []
    from_start = np.zeros(1, bool)
    for level in range(order):
        contexts, words = np.divmod(counts.keys[level], size)
        from_start = words == BOS_ID if level == 0 else from_start[contexts]
        raw = counts.raw[level]
        if level + 1 < order:
            adjusted = np.bincount(below[level + 1], minlength=len(raw))
            adjusted = np.where(from_start, raw, adjusted) if level else adjusted
        else:
            adjusted = np.where(words == BOS_ID, 0, raw)
        keep = raw > prune[level] if level else np.ones(size, bool)
        taken = discounts(adjusted, level + 1, fallback)[np.minimum(adjusted, 3)]
        count_below = len(all_backoffs[-1])
        total = np.maximum(np.bincount(contexts, adjusted, count_below), 1)
        dropped = np.bincount(contexts, np.where(keep, taken, adjusted), count_below)
        is_context = np.bincount(contexts, minlength=count_below) > 0
        all_backoffs[-1] = backoffs = np.where(is_context, dropped / total, 1.0)
        shorter = probs[below[level]] if level else probs[0]
        probs = np.where(keep, adjusted - taken, 0) / total[contexts] + backoffs[contexts] * shorter
        all_probs.append(probs)
        all_backoffs.append(np.ones(len(probs)))
        kept.append(keep)
    all_probs[0][BOS_ID] = 0.0
    log_probs, log_backoffs = (
        [np.log10(np.maximum(values, 10.0**NEVER)).astype(np.float32) for values in arrays]
        for arrays in (all_probs, all_backoffs[1:])
    )
    return NGramModel(counts.words, counts.keys, log_probs, log_backoffs).keep(kept).trimmed()
