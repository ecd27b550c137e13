"""Smaller n-gram models: drop what changes the model least (A. Stolcke, "Entropy-based pruning of backoff language
models", DARPA Broadcast News Workshop, 1998).
"""

import numpy as np

from asr.errors import ConfigError
from asr.lm.ngram_model import BOS_ID, EOS_ID, TINY, NGramModel, suffixes


def prune(model: NGramModel, threshold: float) -> NGramModel:
    """The model without the n-grams whose loss raises its perplexity, as a fraction, by less than `threshold` each.

    The first and last words of n-grams that stay are kept too. Raises ConfigError for a negative threshold.

    Chelba et al. (2010) found that Kneser-Ney models suffer from this more than others, since their lower orders are no
    distributions of words: prefer count thresholds while building, and prune what has been interpolated.
    """
    if not threshold >= 0:
        raise ConfigError(f"threshold: found {threshold}, wanted 0 or more, for example 1e-8")
    below = suffixes(model.keys, model.size)
    history = 10.0 ** model.log_probs[0].astype(float)  # probability of the words of each n-gram
    history[BOS_ID] = history[EOS_ID]  # as many sentences begin as end
    losses = []
    for order in range(1, model.order):
        contexts = model.keys[order] // model.size
        log_p = model.log_probs[order].astype(float) * np.log(10)
        log_lower = model.log_probs[order - 1][below[order]].astype(float) * np.log(10)
        log_backoff = model.log_backoffs[order - 1][contexts].astype(float) * np.log(10)
        mass, lower = (np.maximum(left, TINY)[contexts] for left in model.left_over(order + 1, below[order]))
        new_backoff = np.log(mass + np.exp(log_p)) - np.log(lower + np.exp(log_lower))
        change = np.exp(log_p) * (log_lower + new_backoff - log_p) + mass * (new_backoff - log_backoff)  # equation 8
        losses.append(np.expm1(-history[contexts] * change))
        history = history[contexts] * np.exp(log_p)
    kept = [np.ones(count, bool) for count in model.counts]
    needed = np.zeros(model.counts[-1], bool)
    for order in range(model.order - 1, 0, -1):
        kept[order] = needed | (losses[order - 1] >= threshold)
        needed = np.zeros(model.counts[order - 1], bool)
        needed[model.keys[order][kept[order]] // model.size] = True
        needed[below[order][kept[order]]] = True
    pruned = model.keep(kept).trimmed()
    pruned.renormalise()
    return pruned
