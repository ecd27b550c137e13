"""CTC prefix beam search, written to be read: the reference for the compiled search of `asr.decoders.search`.

A. Graves and N. Jaitly, "Towards end-to-end speech recognition with recurrent neural networks", ICML 2014, algorithm 1;
A. Hannun et al., "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Tokens = tuple[int, ...]
Words = tuple[str, ...]


class Prefix(NamedTuple):
    """What has been said so far, and how it is read."""

    tokens: Tokens = ()
    words: Words = ()
    spelt: Tokens = ()  # tokens of the word that is not complete yet


Beam = dict[Prefix, tuple[float, float]]
"""ln of the probability that a prefix ends in a blank, and that it ends in its last token."""


class Reading(NamedTuple):
    words: Words
    acoustic: float  # ln of the sum over all alignments, and over all spellings, of the words
    total: float


def prefix_beam_search(
    log_probs: np.ndarray,
    spellings: Mapping[str, Sequence[Tokens]],
    score_words: Callable[[Words, bool], float] = lambda words, end: 0.0,
    *,
    blank: int = 0,
    boundary: int | None = None,
    beam_size: int | None = None,
) -> list[Reading]:
    """Readings of log_probs (T, V), best first; exact without a beam size.

    spellings: each word's strings of tokens. score_words: what words add to the acoustic log-probability; the second
    argument tells whether the sentence ends with them. boundary: last token of spellings that the end of the utterance
    may leave out. The total is acoustic + score_words(words, True).
    """
    words_of: dict[Tokens, list[str]] = defaultdict(list)
    begun: set[Tokens] = set()  # tokens that words begin with
    for word, spelt in spellings.items():
        for tokens in spelt:
            words_of[tuple(tokens)].append(word)
            begun.update(tuple(tokens[:stop]) for stop in range(1, len(tokens)))
    beam: Beam = {Prefix(): (0.0, -math.inf)}
    for frame in np.asarray(log_probs, float):
        after: Beam = defaultdict(lambda: (-math.inf, -math.inf))

        def add(prefix: Prefix, in_blank: float, in_token: float, after: Beam = after) -> None:
            before = after[prefix]
            after[prefix] = (logadd(before[0], in_blank), logadd(before[1], in_token))

        for prefix, (in_blank, in_token) in beam.items():
            both = logadd(in_blank, in_token)
            add(prefix, both + frame[blank], -math.inf)
            if prefix.tokens:
                add(prefix, -math.inf, in_token + frame[prefix.tokens[-1]])
            for token in range(len(frame)):
                if token == blank:
                    continue
                again = bool(prefix.tokens) and token == prefix.tokens[-1]
                log_prob = (in_blank if again else both) + frame[token]
                tokens, so_far = (*prefix.tokens, token), (*prefix.spelt, token)
                if so_far in begun:
                    add(Prefix(tokens, prefix.words, so_far), -math.inf, log_prob)
                for word in words_of.get(so_far, ()):
                    add(Prefix(tokens, (*prefix.words, word)), -math.inf, log_prob)
        ranked = sorted(after, key=lambda prefix: -logadd(*after[prefix]) - score_words(prefix.words, False))
        beam = {prefix: after[prefix] for prefix in ranked[:beam_size]}
    found: dict[Words, float] = defaultdict(lambda: -math.inf)
    for prefix, sums in beam.items():
        if not prefix.spelt:
            found[prefix.words] = logadd(found[prefix.words], logadd(*sums))
        elif boundary is not None:
            for word in words_of.get((*prefix.spelt, boundary), ()):
                words = (*prefix.words, word)
                found[words] = logadd(found[words], logadd(*sums))
    readings = [Reading(words, acoustic, acoustic + score_words(words, True)) for words, acoustic in found.items()]
    return sorted((reading for reading in readings if reading.acoustic > -math.inf), key=lambda reading: -reading.total)


def logadd(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    return float(np.logaddexp(a, b))
