"""When each token of a hypothesis is said: its likeliest alignment with the frames (Viterbi)."""

import numpy as np

from asr.compiled import compiled


def align(log_probs: np.ndarray, tokens: np.ndarray, blank: int) -> np.ndarray:
    """log_probs (T, V), tokens (U,) int32 -> (U, 2) int64: each token's first frame, and the one after its last.

    States are blank, token, blank, token ... blank (Graves et al., 2006, section 4.1); the best of all paths through
    them. Raises ValueError where the tokens do not fit into the frames.
    """
    states = 2 * len(tokens) + 1
    came = np.zeros((len(log_probs), states), np.int8)
    spans = np.zeros((len(tokens), 2), np.int64)
    if len(tokens) and not _align(log_probs, tokens, blank, np.empty(states), np.empty(states), came, spans):
        raise ValueError("the tokens do not fit into the frames")
    return spans


@compiled
def _align(
    log_probs: np.ndarray,
    tokens: np.ndarray,
    blank: int,
    best: np.ndarray,
    before: np.ndarray,
    came: np.ndarray,
    spans: np.ndarray,
) -> bool:
    """Fill spans; False where the tokens do not fit.

    best, before (states,): scores of the paths to each state, in this frame and the one before. came (T, states): how
    many states back the best path was one frame earlier.
    """
    frames, states = came.shape
    for t in range(frames):
        before, best = best, before
        for state in range(states):
            token = tokens[state // 2] if state % 2 else blank
            if t == 0:
                score = 0.0 if state < 2 else -np.inf
            else:
                score = before[state]
                if state and before[state - 1] > score:
                    score, came[t, state] = before[state - 1], 1
                skips = state > 2 and state % 2 and token != tokens[state // 2 - 1]
                if skips and before[state - 2] > score:
                    score, came[t, state] = before[state - 2], 2
            best[state] = score + log_probs[t, token]
    state = states - 1 if best[states - 1] >= best[states - 2] else states - 2
    if best[state] == -np.inf:
        return False
    for t in range(frames - 1, -1, -1):
        if state % 2:
            token = state // 2
            spans[token, 0] = t
            spans[token, 1] = max(spans[token, 1], t + 1)
        state -= came[t, state]
    return True
