"""Whether confidences mean what they say, and the fitting of those that do."""

from collections.abc import Sequence

import numpy as np

from asr.decoders import Hypothesis
from asr.evaluation.scoring import Alignment

BINS = 10
RIDGE = 1e-3  # keeps weights finite where all words are right, or all wrong
STEPS = 50  # of Newton's method; a handful are enough
GATES = [round(0.05 * i, 2) for i in range(11)]  # least mean confidences that are tried
GATE_COST = 0.001  # of the words: what more of them may be wrong for nothing to be heard in noise


def right_words(alignments: Sequence[Alignment], hypotheses: Sequence[Hypothesis]) -> list[list[bool]]:
    """Of each hypothesis' words, whether they are right; none where normalisation has split or joined words."""
    found = []
    for alignment, hypothesis in zip(alignments, hypotheses, strict=True):
        matches = [wanted == word for wanted, word in alignment if word is not None]
        found.append(matches if len(matches) == len(hypothesis.words) else [])
    return found


def judged(alignments: Sequence[Alignment], hypotheses: Sequence[Hypothesis]) -> tuple[np.ndarray, np.ndarray]:
    """(W,) confidences of all words, and 1 where they are right, else 0; without those that cannot be judged."""
    right = right_words(alignments, hypotheses)
    sure = [word.confidence for h, row in zip(hypotheses, right, strict=True) if row for word in h.words]
    return np.array(sure, float), np.array([match for row in right for match in row], float)


def bins(confidences: np.ndarray, right: np.ndarray) -> list[tuple[float, float, float, int]]:
    """Of each tenth that has words: its lower edge, their mean confidence, the share that is right, their number."""
    place = np.minimum((confidences * BINS).astype(int), BINS - 1)
    return [
        (low / BINS, float(confidences[chosen].mean()), float(right[chosen].mean()), int(chosen.sum()))
        for low in range(BINS)
        if (chosen := place == low).any()
    ]


def expected_calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and share of right words over tenths (Guo et al., 2017); 0 without words."""
    return sum(abs(mean - share) * count for _, mean, share, count in bins(confidences, right)) / max(1, len(right))


def roc_auc(confidences: np.ndarray, right: np.ndarray) -> float:
    """The chance that a right word is surer than a wrong one, ties counting half; NaN where one of them is missing."""
    good, bad = confidences[right == 1], np.sort(confidences[right == 0])
    if not len(good) or not len(bad):
        return float("nan")
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.mean() / 2 / len(bad))


def fit(evidence: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    """Weights of `asr.decoders.confidence` under which what was right is likeliest: (W, 2), (W,) -> three numbers."""
    inputs = np.concatenate([evidence, np.ones((len(evidence), 1))], axis=1)
    weights = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (right - likely) - RIDGE * weights
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return tuple(round(float(weight), 4) for weight in weights)


def choose_gate(confidences: Sequence[float], errors: Sequence[int], deleted: Sequence[int]) -> float:
    """The largest of GATES that makes at most GATE_COST of the reference's words more wrong.

    Of each utterance: its hypothesis' mean confidence, its errors, and its errors where nothing were found, which are
    its reference's words.
    """
    sure, now, then = (np.array(values, float) for values in (confidences, errors, deleted))
    allowed = now.sum() + GATE_COST * then.sum()
    return max(gate for gate in GATES if np.where(sure < gate, then, now).sum() <= allowed)
