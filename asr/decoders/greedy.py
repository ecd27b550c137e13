"""Best-path decoding (Graves et al., 2006, section 3.2): the likeliest token of each frame, repeats merged, blanks dropped."""

import math

import torch
from torch import Tensor

from asr.decoders import Hypothesis, Word
from asr.text import Tokenizer


class GreedyDecoder:
    """The single best path of each utterance, with word times and confidences.

    A token lasts from the first to the last frame of its run. A word lasts from its first token's start to its last
    token's end; its confidence is the geometric mean of its tokens' highest posteriors.
    """

    def __init__(self, tokenizer: Tokenizer, seconds_per_frame: float):
        self.tokenizer = tokenizer
        self.seconds_per_frame = seconds_per_frame

    def __call__(self, log_probs: Tensor, num_frames: Tensor) -> list[list[Hypothesis]]:
        """log_probs (B, T, V), num_frames (B,) -> one hypothesis for each utterance, in a list."""
        best, path = log_probs.max(dim=-1)
        best, path, num_frames = best.cpu(), path.cpu(), num_frames.cpu()
        return [
            [self._hypothesis(best[i, :count], path[i, :count])] for i, count in enumerate(num_frames.tolist())
        ]

    def _hypothesis(self, best: Tensor, path: Tensor) -> Hypothesis:
        """best, path (T,): the log-probability and the token of each frame."""
        tokens, counts = torch.unique_consecutive(path, return_counts=True)
        ends = counts.cumsum(0)
        spoken = tokens != self.tokenizer.blank_id
        ids = tokens[spoken].tolist()
        spans = list(zip((ends - counts)[spoken].tolist(), ends[spoken].tolist(), strict=True))
        peaks = [float(best[start:end].max()) for start, end in spans]
        words = self.tokenizer.words(ids)
        return Hypothesis(
            tokens=tuple(ids),
            text=" ".join(word for word, _, _ in words),
            score=float(best.sum()),
            words=tuple(
                Word(
                    text=word,
                    start=spans[first][0] * self.seconds_per_frame,
                    end=spans[stop - 1][1] * self.seconds_per_frame,
                    confidence=math.exp(sum(peaks[first:stop]) / (stop - first)),
                )
                for word, first, stop in words
            ),
        )
