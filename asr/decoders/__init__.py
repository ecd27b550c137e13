"""Decoders: log-probabilities to hypotheses.

`Decoder` is the contract, which `tests/test_decoders.py` checks for every entry of DECODERS. A new decoder is one file
and one line there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from asr.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from asr.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Word:
    """A word (phone, for a model of phones) and when it is spoken, from the utterance's beginning on."""

    text: str
    start: float  # seconds
    end: float  # seconds
    confidence: float  # 0 to 1


@dataclass(frozen=True)
class Hypothesis:
    """One way to read an utterance."""

    tokens: tuple[int, ...]  # blanks and repeats removed
    text: str
    score: float  # log-probability, or the decoder's total score
    words: tuple[Word, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()  # of each token: its first frame, and the one after its last
    acoustic_score: float = 0.0  # log-probability of the tokens alone, where `score` has more in it
    lm_score: float = 0.0  # log-probability under the language model, unweighted
    evidence: tuple[tuple[float, ...], ...] = ()  # of each word: what speaks for it, see asr.decoders.confidence

    @property
    def confidence(self) -> float:
        """Mean of the words' confidences; 1 where nothing was heard."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 1.0


class Decoder:
    """log_probs (B, T, V) float, num_frames (B,) int64 -> for each utterance its hypotheses, the best first.

    The list is never empty. What lies beyond an utterance's frames has no influence, nor have its neighbours in the
    batch. A decoder that has no beam, weights or n-best list stays as it is where others of them are asked for.
    """

    unit: Literal["token", "word"] = "token"
    """What a hypothesis is made of: words of a lexicon, or the model's own tokens."""

    def __call__(self, log_probs: "Tensor", num_frames: "Tensor") -> list[list[Hypothesis]]:
        raise NotImplementedError

    def narrowed(self, beam_size: int) -> "Decoder":
        """The same decoder with at most so many prefixes kept, and nothing done twice: faster, and less exact."""
        return self

    def weighted(
        self,
        lm_weight: float,
        word_insertion_score: float,
        prior_weight: float,
        *,
        log_prior: Sequence[float] | None = None,
    ) -> "Decoder":
        """The same decoder with other weights, and with another ln P(token) of each token where it is given."""
        return self

    def listing(self, n_best: int) -> "Decoder":
        """The same decoder with more or fewer hypotheses returned."""
        return self


DECODERS: dict[str, str] = {
    "greedy": "asr.decoders.greedy:GreedyDecoder",
    "beam": "asr.decoders.beam:BeamDecoder",
}
"""Name -> module and class, which is made with (tokenizer, seconds_per_frame, **options); imported when asked for."""


def get_decoder(name: str, tokenizer: "Tokenizer", seconds_per_frame: float, **options: Any) -> Decoder:
    """The decoder of that name. Raises ConfigError, with the names there are, for another."""
    from importlib import import_module

    if name not in DECODERS:
        raise ConfigError(f"no decoder {name!r}; there are: {', '.join(DECODERS)}")
    module, cls = DECODERS[name].split(":")
    decoder: Decoder = getattr(import_module(module), cls)(tokenizer, seconds_per_frame, **options)
    return decoder
