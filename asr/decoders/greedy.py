"""Best-path decoding (Graves et al., 2006, section 3.2): each frame's likeliest token, without repeats and blanks."""

import math

import numpy as np
from torch import Tensor

from asr.decoders import Decoder, Hypothesis, Word
from asr.text.tokenizer import Tokenizer


class GreedyDecoder(Decoder):
    """The single best path of each utterance, with word times and confidences.

    A token lasts from the first to the last frame of its run. A word lasts from its first token's start to its last
    token's end; its confidence is the geometric mean of its tokens' highest posteriors. The score is the path's
    log-probability.
    """

    def __init__(self, tokenizer: Tokenizer, seconds_per_frame: float):
        """seconds_per_frame: of the log-probs that will be decoded, so after subsampling."""
        self.tokenizer = tokenizer
        self.seconds_per_frame = seconds_per_frame

    def __repr__(self) -> str:
        return "greedy"

    def __call__(self, log_probs: Tensor, num_frames: Tensor) -> list[list[Hypothesis]]:
        """log_probs (B, T, V), num_frames (B,) -> one hypothesis for each utterance, in a list."""
        values, indices = log_probs.detach().max(dim=-1)
        best, path = values.float().cpu().numpy(), indices.cpu().numpy()
        return [[self._hypothesis(best[i, :count], path[i, :count])] for i, count in enumerate(num_frames.tolist())]

    def _hypothesis(self, best: np.ndarray, path: np.ndarray) -> Hypothesis:
        """best, path (T,): the log-probability and the token of each frame."""
        starts = np.flatnonzero(np.diff(path, prepend=-1))  # of the runs of equal tokens
        ends = np.append(starts, len(path))[1:]
        peaks = np.maximum.reduceat(best, starts)
        spoken = path[starts] != self.tokenizer.blank_id
        ids = path[starts][spoken].tolist()
        spans = list(zip(starts[spoken].tolist(), ends[spoken].tolist(), strict=True))
        peaks = peaks[spoken].astype(float)
        words = self.tokenizer.words(ids)
        return Hypothesis(
            tokens=tuple(ids),
            text=" ".join(word for word, _, _ in words),
            score=float(best.sum(dtype=float)),
            words=tuple(
                Word(
                    text=word,
                    start=spans[first][0] * self.seconds_per_frame,
                    end=spans[stop - 1][1] * self.seconds_per_frame,
                    confidence=math.exp(peaks[first:stop].mean()),
                )
                for word, first, stop in words
            ),
            spans=tuple(spans),
        )
