"""Mixtures of n-gram models: weights fitted on held-out text, and one model that stands for the mixture."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from asr.errors import ConfigError, TextError
from asr.lm.ngram_model import BOS_ID, NEVER, SPECIAL, UNK_ID, Array, NGramModel, find, suffixes
from asr.lm.perplexity import encode_pieces

STEPS, ENOUGH = 200, 1e-6  # EM ends after so many steps, or when no weight changes by more


@dataclass
class Mixture:
    """Weights that sum to 1, and what they give on the held-out text."""

    weights: Array  # float64 (models,)
    perplexity: float  # of the mixture, over words that some model knows
    perplexities: list[float]  # of each model, over the words that it knows itself


def fit_weights(
    models: Sequence[NGramModel], sentences: Sequence[Sequence[str]], given: Sequence[float] | None = None
) -> Mixture:
    """Weights that maximise the likelihood of held-out sentences, by expectation maximisation; or measure given ones.

    A word outside a model's vocabulary has probability 0 there; words outside all are left out. Raises TextError where
    nothing is left, ConfigError for weights that do not fit.
    """
    weights = np.full(len(models), 1 / len(models)) if given is None else checked(given, len(models))
    columns = []
    for model in models:
        pieces = []
        for ids in encode_pieces(model, sentences):
            scores, _ = model.score_ids(ids)
            pieces.append(np.where(ids == UNK_ID, 0, 10**scores)[ids != BOS_ID])
        columns.append(np.concatenate(pieces) if pieces else np.empty(0))
    probs = np.stack(columns)
    if not probs.any():
        raise TextError("the held-out text has no word that the models know: take text of the kind to be recognised")
    alone = [float(np.exp(-np.log(p[p > 0]).mean())) if p.any() else float("inf") for p in probs]
    probs = probs[:, probs.any(axis=0)]
    for _ in range(STEPS if given is None else 0):
        shares = weights[:, None] * probs
        updated = (shares / shares.sum(axis=0)).mean(axis=1)
        done = np.abs(updated - weights).max() < ENOUGH
        weights = updated
        if done:
            break
    mixed = weights @ probs  # 0 where a model alone knows a word and has the weight 0
    return Mixture(weights, float(np.exp(-np.log(mixed[mixed > 0]).mean())), alone)


def checked(weights: Sequence[float] | Array, count: int) -> Array:
    """The weights with the sum 1. Raises ConfigError unless there are `count`, none negative and not all 0."""
    values = np.asarray(weights, float)
    if len(values) != count or not (values >= 0).all() or not values.sum() > 0:
        raise ConfigError(f"weights: found {values.tolist()}, wanted {count} numbers of 0 or more, one for each model")
    total: Array = values / values.sum()
    return total


def interpolate(models: Sequence[NGramModel], weights: Sequence[float] | Array) -> NGramModel:
    """One back-off model with the n-grams of all, each with the mixture's probability; back-off weights are computed
    anew. Only where no model has an n-gram does it differ from the mixture (it backs off as a whole).

    A word outside a model's vocabulary has probability 0 there. Raises ConfigError for weights that do not fit.
    """
    weights = checked(weights, len(models))
    words = list(dict.fromkeys([*SPECIAL, *(word for model in models for word in model.words)]))
    size = len(words)
    merged = NGramModel(words, [np.arange(size)], [], [])
    new_words = [np.array([merged.ids[word] for word in model.words]) for model in models]
    places = list(new_words)  # of each model's n-grams among the merged ones, for the last order done
    owners = [_owner(place, size) for place in places]
    all_owners = [owners]
    for order in range(1, max(model.order for model in models)):
        keys = []
        for model, place, new in zip(models, places, new_words, strict=True):
            contexts, last = np.divmod(model.keys[order] if order < model.order else np.empty(0, np.int64), model.size)
            keys.append(place[contexts] * size + new[last])
        merged.keys.append(reduce(np.union1d, keys))
        places = [find(merged.keys[order], key) for key in keys]
        all_owners.append([_owner(place, len(merged.keys[order])) for place in places])
    below = suffixes(merged.keys, size)
    scores = [np.full(size, -np.inf) for _ in models]
    for order, keys_of_order in enumerate(merged.keys):
        mixed = np.zeros(len(keys_of_order))
        contexts = keys_of_order // size
        for i, model in enumerate(models):
            if order:
                backoffs = _values(model.log_backoffs, order - 1, all_owners[order - 1][i], 0.0)
                backed_off = backoffs[contexts] + scores[i][below[order]]
            else:
                backed_off = scores[i]
            own = _values(model.log_probs, order, all_owners[order][i], np.nan)
            scores[i] = np.where(np.isnan(own), backed_off, own)
            mixed += weights[i] * 10.0 ** scores[i]
        merged.log_probs.append(np.log10(np.maximum(mixed, 10.0**NEVER)).astype(np.float32))
        merged.log_backoffs.append(np.zeros(len(mixed), np.float32))
    merged.renormalise()
    return merged


def _owner(places: Array, count: int) -> Array:
    """For each of `count` merged n-grams the index in the model whose n-grams stand at `places`, -1 for none."""
    owner = np.full(count, -1)
    owner[places] = np.arange(len(places))
    return owner


def _values(arrays: list[Array], order: int, owner: Array, missing: float) -> Array:
    """A model's values for the merged n-grams, `missing` for those that it has not."""
    if order >= len(arrays) or not len(arrays[order]):
        return np.full(len(owner), missing)
    return np.where(owner < 0, missing, arrays[order][owner]).astype(float)
