"""How sure the search is of a word: a logistic model of whether it is right, over what speaks for it.

The posterior over the final beam is near 1 for most words, right or wrong, since a beam's hypotheses are much alike;
what the network heard of a word's tokens adds to it. The weights are fitted on development speech by `asr lm tune`
(Platt scaling, with two inputs).
"""

from collections.abc import Sequence

import numpy as np

EDGE = 1e-4  # posteriors are kept this far from 0 and 1: of a beam they are no surer
NUM_WEIGHTS = 3  # of both inputs, and a bias


def evidence(posteriors: Sequence[float] | np.ndarray, heard: Sequence[float] | np.ndarray) -> np.ndarray:
    """(W, 2): log-odds of each word's posterior over the beam, and the mean of its tokens' log-posteriors."""
    inside = np.clip(np.asarray(posteriors, float), EDGE, 1 - EDGE)
    return np.stack([np.log(inside / (1 - inside)), np.asarray(heard, float)], axis=-1)


def confidences(found: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """(W,) probabilities of being right for the evidence (W, 2)."""
    values: np.ndarray = 1 / (1 + np.exp(-(found @ np.asarray(weights[:2]) + weights[2])))
    return values
