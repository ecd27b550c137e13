"""Rescoring of n-best lists: a second opinion by a language model too slow, or too long of memory, for the search.

score = score of the search + weight * log P(text) + length_bonus * words, with P the language model's probability of
the whole sentence (log-linear interpolation, as in Mikolov et al., 2010).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from asr.decoders import Decoder, Hypothesis


class SentenceScorer(Protocol):
    """A language model that scores whole sentences, as asr.lm.recurrent.RecurrentLM does."""

    def score(self, texts: Sequence[str]) -> list[float]:
        """The natural log-probability of each text as a sentence, its end included."""
        ...


class RescoringDecoder(Decoder):
    """The hypotheses of another decoder, re-sorted; their words, times and confidences stay as they are.

    `lm_score` becomes this language model's log-probability, unweighted, so that other weights can be tried without
    scoring again.
    """

    def __init__(self, base: Decoder, lm: SentenceScorer, weight: float, length_bonus: float = 0.0):
        """base: a decoder that gives n-best lists; with one hypothesis each there is nothing to choose from.

        length_bonus: added for each word, against a language model's liking for short sentences.
        """
        self.base = base
        self.unit = base.unit
        self.lm = lm
        self.weight = weight
        self.length_bonus = length_bonus

    def __repr__(self) -> str:
        return f"{self.base}, rescored"

    def __call__(self, log_probs: Tensor, num_frames: Tensor) -> list[list[Hypothesis]]:
        """log_probs (B, T, V), num_frames (B,) -> for each utterance its hypotheses, best first.

        Raises TextError where a hypothesis has symbols that the language model does not know, as one of another case.
        """
        found = self.base(log_probs, num_frames)
        texts = sorted({hypothesis.text for hypotheses in found for hypothesis in hypotheses})
        scores = dict(zip(texts, self.lm.score(texts), strict=True))
        return [self._sorted([self._rescored(h, scores[h.text]) for h in hypotheses]) for hypotheses in found]

    def narrowed(self, beam_size: int) -> Decoder:
        return self.base.narrowed(beam_size)  # what is to be quick has no second opinion

    def weighted(
        self,
        lm_weight: float,
        word_insertion_score: float,
        prior_weight: float,
        *,
        log_prior: Sequence[float] | None = None,
    ) -> "RescoringDecoder":
        base = self.base.weighted(lm_weight, word_insertion_score, prior_weight, log_prior=log_prior)
        return RescoringDecoder(base, self.lm, self.weight, self.length_bonus)

    def listing(self, n_best: int) -> "RescoringDecoder":
        return RescoringDecoder(self.base.listing(n_best), self.lm, self.weight, self.length_bonus)

    def _rescored(self, hypothesis: Hypothesis, lm_score: float) -> Hypothesis:
        bonus = self.weight * lm_score + self.length_bonus * len(hypothesis.text.split())
        return replace(hypothesis, score=hypothesis.score + bonus, lm_score=lm_score)

    @staticmethod
    def _sorted(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        return sorted(hypotheses, key=lambda hypothesis: hypothesis.score, reverse=True)
