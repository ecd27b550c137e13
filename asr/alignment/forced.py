"""CTC forced alignment: when each word and token of a known text is said.

Of all paths through the frames that spell the text, the likeliest is found exactly (Viterbi over the states of Graves
et al., 2006, section 4.1: blank, token, blank, token ... blank). For a model of phones a word may be said in each of
the ways that the model's lexicon has; the best path chooses.

CTC marks a token on few frames, often one, late in the sound, and gives the others to the blank. Three things undo
most of that where times are read off:

- The probabilities are divided by the tokens' priors, the means of the network's outputs over the recording (Huang et
  al., 2024, arXiv 2406.02560, who train with them too): the blank, likely everywhere, then leaves frames to the tokens.
- A frame lies around its middle, as the windows of the features do, and does not begin there.
- What is left to the blank between two tokens belongs half to each, up to half a frame.

They bring the median error of word boundaries from 27 to 15 ms where a synthesiser tells the times, from 50 to 30 ms on
read speech against another aligner's (`benchmarks/alignment.py`; english-small). Which pronunciation is said, and how
likely the text is, the undivided probabilities tell.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.audio.load import load_audio
from asr.compiled import compiled
from asr.decoders import Word
from asr.errors import DataError, TextError
from asr.text.normalise import capitals
from asr.text.tokenizer import Tokenizer, ctc_frames

if TYPE_CHECKING:
    from asr.model.contract import AcousticModel

DOUBTFUL = 3.0
"""Nats a token: of 111 development utterances english-small has 2.3 at most for their own texts (half below 0.4), and
3.6 at least for another's (half above 7.1)."""

RAREST = 1e-3  # prior of tokens that the recording hardly has: they are divided by no less

Spelling = tuple[int, ...]
"""Ids of the tokens that spell a word in one way."""


@dataclass(frozen=True)
class Unit:
    """A stretch of text that is spelled in one of several ways; `word` is None for what lies between words."""

    word: str | None
    spellings: Sequence[Spelling]


@dataclass(frozen=True)
class AlignedWord:
    """A word, and when each of its tokens is said."""

    text: str
    tokens: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Seconds."""
        return self.tokens[0].start

    @property
    def end(self) -> float:
        """Seconds."""
        return self.tokens[-1].end

    @property
    def confidence(self) -> float:
        """0 to 1: the geometric mean of its tokens' highest posteriors, as of a decoder's words."""
        return math.prod(token.confidence for token in self.tokens) ** (1 / len(self.tokens))


@dataclass(frozen=True)
class Alignment:
    """A text on the time axis of its recording: words and tokens in order, without overlaps, all within `duration`."""

    words: tuple[AlignedWord, ...]
    duration: float  # seconds
    score: float  # log-probability of the best path
    doubt: float = 0.0  # how much less likely than what the model hears by itself, in nats a token

    @property
    def warning(self) -> str:
        """That the text is hardly what is said, where that is so; else ""."""
        if self.doubt <= DOUBTFUL:
            return ""
        longest = max(self.words, key=lambda word: word.end - word.start)
        return (
            f"the text hardly fits what is heard: it costs {self.doubt:.1f} nats a token, the right one seldom more "
            f"than {DOUBTFUL - 1:g}; the longest word, {longest.text}, takes {longest.end - longest.start:.1f} s. Is "
            "it the text of this recording?"
        )

    @property
    def tokens(self) -> tuple[Word, ...]:
        """Those of the words; a token between words, such as a space, is not among them."""
        return tuple(token for word in self.words for token in word.tokens)


class Aligner:
    """A model, ready to align recordings with their texts."""

    def __init__(self, model: "AcousticModel"):
        self.model = model.eval()

    def __call__(
        self,
        path: Path | str,
        text: str,
        offset: float = 0.0,
        duration: float | None = None,
        text_scheme: str | None = None,
    ) -> Alignment:
        """Align a sound file, or `duration` seconds of it from `offset` on; times count from there.

        Raises AudioError for a file that cannot be read, TextError and DataError as `align` does.
        """
        waveform, _ = load_audio(path, self.model.sample_rate, offset=offset, duration=duration)
        return self.waveform(waveform, text, text_scheme)

    def waveform(self, waveform: np.ndarray, text: str, text_scheme: str | None = None) -> Alignment:
        """Align a waveform (S,) float32 at the model's sample rate.

        text_scheme: of asr.text.normalise, in which the text is spelt; by default that of the model's training texts.
        The alignment has the words as they are given.
        """
        tokenizer = self.model.tokenizer
        write = partial(tokenizer.normalise, scheme=text_scheme)
        seconds = len(waveform) / self.model.sample_rate
        model = self.model
        emissions = self.emissions(waveform)
        found = align(emissions, tokenizer, write(text), model.seconds_per_frame, seconds, model.first_middle)
        return as_given(found, text, write)

    def emissions(self, waveform: np.ndarray) -> np.ndarray:
        """Waveform (S,) -> log_probs (T, V) float32; a long one in the windows in which it would be transcribed."""
        import torch

        from asr.model.contract import log_probs_of
        from asr.transcription.segmentation import MAX_SECONDS, OVERLAP, join, windows

        model = self.model
        per_frame = round(model.seconds_per_frame * model.sample_rate)
        size, overlap = (round(s * model.sample_rate) // per_frame * per_frame for s in (MAX_SECONDS, OVERLAP))
        parts = []
        with torch.inference_mode():
            for first, stop in windows(len(waveform), size, overlap):
                part = torch.from_numpy(waveform[first:stop])[None].to(model.device)
                num_samples = torch.tensor([stop - first], device=part.device)
                parts.append(log_probs_of(model, part, num_samples)[0][0].cpu())
        return join(parts, (size - overlap) // per_frame, model.tokenizer.blank_id).numpy()


def align(
    log_probs: np.ndarray,
    tokenizer: Tokenizer,
    text: str,
    seconds_per_frame: float,
    duration: float,
    middle: float = 0.0,
) -> Alignment:
    """log_probs (T, V) of a recording of `duration` seconds, and its text -> when each word is said.

    middle: seconds from the recording's beginning to the middle of the first frame

    Raises TextError where the text is empty, has symbols outside the alphabet or a word without pronunciation (even
    where the tokenizer would skip them: an alignment leaves out nothing), DataError where it does not fit the frames.
    """
    units = spell(tokenizer, text)
    states = States.of(units, tokenizer.blank_id)
    path, score = best_path(log_probs, states)
    if score == -math.inf:
        shortest = [min(unit.spellings, key=lambda spelling: len(spelling)) for unit in units]
        need = ctc_frames(list(chain.from_iterable(shortest)))
        raise DataError(
            f"the text does not fit into the recording: {text[:60]!r} needs {need} frames of {seconds_per_frame:g} s "
            f"or more, found {len(log_probs)} ({duration:g} s). Is it the text of this recording?"
        )
    tokens, owners = states.spoken(path)
    said = [replace(unit, spellings=[tuple(tokens[owners == i].tolist())]) for i, unit in enumerate(units)]
    states = States.of(said, tokenizer.blank_id)
    path, _ = best_path(log_probs - log_prior(log_probs), states)
    spans = states.spans(path)
    limit = max(duration, (len(log_probs) - 1) * seconds_per_frame + middle)
    edges = np.clip(share_blanks(spans, len(log_probs)) * seconds_per_frame + middle, 0.0, limit)
    words: dict[int, list[Word]] = {}
    for token, owner, (first, stop), (start, end) in zip(
        tokens.tolist(), owners.tolist(), spans.tolist(), edges.tolist(), strict=True
    ):
        peak = min(1.0, math.exp(float(log_probs[first:stop, token].max())))
        words.setdefault(owner, []).append(Word(tokenizer.tokens[token], start, end, peak))
    return Alignment(
        words=tuple(AlignedWord(word, tuple(words[i])) for i, unit in enumerate(units) if (word := unit.word)),
        duration=limit,
        score=score,
        doubt=(float(log_probs.max(axis=1).sum(dtype=float)) - score) / len(tokens),
    )


def log_prior(log_probs: np.ndarray) -> np.ndarray:
    """log_probs (T, V) -> the logarithm of each token's share of the recording (V,) float64; RAREST at least."""
    shares = np.exp(log_probs).mean(axis=0, dtype=float)
    logarithms: np.ndarray = np.log(np.maximum(shares, RAREST))
    return logarithms


def share_blanks(spans: np.ndarray, frames: int) -> np.ndarray:
    """(N, 2) the first frame of each of N tokens and the one after its last -> where they begin and end, in frames
    from the middle of the first one: half of the blanks between two tokens to each, up to half a frame."""
    blanks = np.diff(spans.reshape(-1), prepend=0, append=frames)[::2]  # (N + 1,) before, between and after the tokens
    more = np.minimum(blanks / 2, 0.5)
    edges: np.ndarray = spans - 0.5 + np.stack([-more[:-1], more[1:]], axis=1)
    return edges


def as_given(alignment: Alignment, text: str, write: Callable[[str], str]) -> Alignment:
    """The alignment of what `write` made of the text, with the text's own words: of Well-known, WELL and KNOWN in one.

    Where the text was not written word by word, the alignment stays as it is.
    """
    given = [(word, write(word).split()) for word in text.split()]
    if [part for _, parts in given for part in parts] != [word.text for word in alignment.words]:
        return alignment
    left = iter(alignment.words)
    words = (
        AlignedWord(word, tuple(token for part in islice(left, len(parts)) for token in part.tokens))
        for word, parts in given
        if parts
    )
    return replace(alignment, words=tuple(words))


def spell(tokenizer: Tokenizer, text: str) -> list[Unit]:
    """The text as units; for phones each word in all its pronunciations. Raises TextError as `align` does."""
    from asr.text.phones import PhoneTokenizer

    lexicon = tokenizer.lexicon if isinstance(tokenizer, PhoneTokenizer) else {}  # read once, not by each copy
    strict = copy.copy(tokenizer)
    strict.unknown = "error"
    units: list[Unit] = []
    if isinstance(strict, PhoneTokenizer):
        strict.pronounce(text.split())
        for word in text.split():
            spellings = [tuple(strict.ids.get(phone, -1) for phone in phones) for phones in lexicon[capitals(word)]]
            if not (known := [spelling for spelling in spellings if -1 not in spelling]):
                raise TextError(f"{word}: the model's lexicon says it with phones that the model does not have")
            units.append(Unit(word, known))
    else:
        ids, done = strict.encode(text), 0
        for word, first, stop in strict.words(ids):
            if done < first:
                units.append(Unit(None, [tuple(ids[done:first])]))
            units.append(Unit(word, [tuple(ids[first:stop])]))
            done = stop
    if not units:
        raise TextError("the text to align is empty")
    return units


@dataclass(frozen=True)
class States:
    """The S states of the alignment, of which each frame is in one. State S, never reached, stands for none."""

    token: np.ndarray  # (S,) int64: what a state emits
    unit: np.ndarray  # (S,) int64: whose token it is; -1 for the blank
    before: np.ndarray  # (S, P) int64: the states that may precede each, itself first, filled up with S
    initial: np.ndarray  # int64: where a path may begin
    final: np.ndarray  # int64: where it may end

    @classmethod
    def of(cls, units: Sequence[Unit], blank: int) -> "States":
        """A blank may lie before, between and after all tokens, and must between two equal ones."""
        token, owner, before = [blank], [-1], [[0]]

        def add(emits: int, unit: int, after: Sequence[int]) -> int:
            token.append(emits)
            owner.append(unit)
            before.append([len(before), *after])
            return len(before) - 1

        pause, initial = 0, [0]
        ends: list[int] = []  # where the unit before may end
        for i, unit in enumerate(units):
            spelled: list[int] = []
            for spelling in unit.spellings:
                left = ends
                for place, emits in enumerate(spelling):
                    gap = add(blank, -1, left) if place else pause
                    state = add(emits, i, [gap, *(other for other in left if token[other] != emits)])
                    initial += [state] if i == place == 0 else []
                    left = [state]
                spelled += left
            ends = spelled
            pause = add(blank, -1, ends)
        count = len(before)
        width = max(map(len, before))
        table = np.full((count, width), count)
        for state, others in enumerate(before):
            table[state, : len(others)] = others
        return cls(np.array(token), np.array(owner), table, np.array(initial), np.array([pause, *ends]))

    def spoken(self, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A path (T,) -> the N tokens that it emits (N,), in order, and the unit that each belongs to (N,)."""
        states = path[self._firsts(path)]
        return self.token[states], self.unit[states]

    def spans(self, path: np.ndarray) -> np.ndarray:
        """A path (T,) -> the first frame of each token that it emits, and the one after its last (N, 2) int64."""
        firsts = self._firsts(path)
        stops = np.append(np.flatnonzero(np.diff(path)) + 1, len(path))
        return np.stack([firsts, stops[np.searchsorted(stops, firsts, side="right")]], axis=1)

    def _firsts(self, path: np.ndarray) -> np.ndarray:
        return np.flatnonzero((np.diff(path, prepend=-1) != 0) & (self.unit[path] >= 0))


def best_path(log_probs: np.ndarray, states: States) -> tuple[np.ndarray, float]:
    """log_probs (T, V) -> the likeliest path's state on each frame (T,), and its log-probability (-inf: there is none).

    Exact, in float64; of equally likely paths, one. Only every K-th frame's scores are kept, and the decisions between
    computed again on the way back: with K = sqrt(8 T) the memory is about 6 S sqrt(T) bytes in place of S T, so that
    an hour of speech (90,000 frames, 100,000 states) needs 200 MB.
    """
    frames, count = len(log_probs), len(states.token)
    if not frames:
        return np.zeros(0, np.int64), -math.inf
    best = np.full(count + 1, -np.inf)
    best[states.initial] = log_probs[0, states.token[states.initial]]
    stride = math.isqrt(8 * frames) + 1
    choices = np.zeros((stride, count), np.int8)  # of each state: which of those before it the best path came from
    kept = []  # the scores of frames 0, K, 2K, ...
    for frame in range(frames):
        if frame:
            best = _advance(best, log_probs[frame], states.token, states.before, choices[0])
        if frame % stride == 0:
            kept.append(best)
    path = np.zeros(frames, np.int64)
    path[-1] = states.final[best[states.final].argmax()]
    score = float(best[path[-1]])
    for block in reversed(range(len(kept))):
        first, best = block * stride, kept.pop()
        stop = min(first + stride, frames - 1)
        for frame in range(first + 1, stop + 1):
            best = _advance(best, log_probs[frame], states.token, states.before, choices[frame - first - 1])
        for frame in range(stop, first, -1):
            path[frame - 1] = states.before[path[frame], choices[frame - first - 1, path[frame]]]
    return path, score


@compiled
def _advance(
    best: np.ndarray, frame: np.ndarray, token: np.ndarray, before: np.ndarray, choice: np.ndarray
) -> np.ndarray:
    """The scores (S + 1,) one frame on, where the emissions are frame (V,); fills choice (S,)."""
    after = np.full(len(best), -np.inf)
    for state in range(len(token)):
        highest, chosen = best[state], 0
        for k in range(1, before.shape[1]):
            score = best[before[state, k]]
            if score > highest:
                highest, chosen = score, k
        after[state] = highest + frame[token[state]]
        choice[state] = chosen
    return after
