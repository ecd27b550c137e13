"""Beam search with lexicon, n-gram language model and hotwords: what the compiled search finds, as hypotheses."""

import copy
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from asr.cpus import usable_cpus
from asr.decoders import Decoder, Hypothesis, Word, confidence, vocabulary
from asr.decoders.hotwords import build_automaton
from asr.decoders.lexicon import UNKNOWN, Spelling, add_unknown, build_graph, look_ahead
from asr.decoders.search import NONE, Found, Lexicon, Settings, search
from asr.decoders.viterbi import align
from asr.decoders.vocabulary import Vocabulary
from asr.errors import ModelError
from asr.lm.automaton import EMPTY, step
from asr.lm.language_model import LanguageModel
from asr.lm.ngram_model import UNK_ID
from asr.settings import require
from asr.text.tokenizer import Tokenizer

UNLIKELY = 1e-3  # hypotheses of a smaller posterior do not count for confidences


class BeamDecoder(Decoder):
    """The likeliest texts under acoustic model, language model and lexicon together.

    score = ln P(tokens | audio), over all alignments, + lm_weight * ln P(words) + word_insertion_score * words + what
    hotwords earn. With a prior, P(token | frame) / P(token) ** prior_weight takes the place of P(token | frame): CTC
    hears blanks nearly everywhere, and what it is unsure of would be lost (Bourlard and Morgan, 1994; for CTC Miao et
    al., 2015). Without a lexicon, and without a language model of words to take one from, tokens are what is found,
    each counting as a word; a language model of characters then helps. A word's confidence is the posterior, over the
    final beam, of the hypotheses that have it in its place; with `confidence_weights`, what asr.decoders.confidence
    makes of that. Where the mean of the best hypothesis' confidences is below `min_confidence`, nothing is found.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        seconds_per_frame: float,
        *,
        lm: Path | str | LanguageModel | None = None,
        lexicon: Path | str | None = None,
        lm_weight: float = 1.0,
        word_insertion_score: float = 0.0,
        log_prior: Sequence[float] = (),
        prior_weight: float = 0.0,
        unknown_score: float | None = -10.0,
        beam_size: int = 64,
        beam_size_token: int = 20,
        beam_threshold: float = 20.0,
        merge_threshold: float = 1.0,
        confidence_weights: Sequence[float] = (),
        min_confidence: float = 0.0,
        hotwords: Mapping[str, float] | None = None,
        n_best: int = 1,
        threads: int | None = None,
    ):
        """
        lm: what LanguageModel.load takes
        lexicon: the words to find, a line each, with pronunciations for models of phones; by default the lexicon.txt
            beside the language model, else its vocabulary
        log_prior: ln P(token) of each token, the blank included
        unknown_score: what each word outside the lexicon costs, besides the language model's <unk> and the frequencies
            of its letters; None: there are no such words. Phones cannot spell them
        beam_size, beam_size_token, beam_threshold: prefixes kept, tokens tried in each frame, and how much worse than
            the best a prefix may be
        merge_threshold: how much worse a prefix may be than another that stands at the same place of lexicon, language
            model and hotwords: only words long past tell the two apart, for confidences and n-best lists
        hotwords: word or phrase -> bonus
        threads: utterances decoded at once; by default one for each core that the process may use

        Raises ModelError and TextError for language models, lexicons and hotwords that do not fit the model, and
        ConfigError for settings.
        """
        require(
            "decoder",
            (beam_size >= 1, "beam_size", beam_size, "at least 1"),
            (beam_size_token >= 1, "beam_size_token", beam_size_token, "at least 1"),
            (beam_threshold > 0, "beam_threshold", beam_threshold, "more than 0"),
            (merge_threshold >= 0, "merge_threshold", merge_threshold, "at least 0"),
            (n_best >= 1, "n_best", n_best, "at least 1"),
            (
                len(confidence_weights) in (0, confidence.NUM_WEIGHTS),
                "confidence_weights", confidence_weights, f"{confidence.NUM_WEIGHTS} numbers, or none",
            ),
            (0 <= min_confidence <= 1, "min_confidence", min_confidence, "0 to 1"),
            (
                len(log_prior) == tokenizer.vocab_size or not (log_prior or prior_weight),
                "log_prior", f"{len(log_prior)} values", f"{tokenizer.vocab_size}, as `asr lm tune` writes them",
            ),
        )  # fmt: skip
        self.tokenizer = tokenizer
        self.seconds_per_frame = seconds_per_frame
        self.n_best = n_best
        self.confidence_weights = tuple(confidence_weights)
        self.min_confidence = min_confidence
        self.log_prior = np.array(log_prior or np.zeros(tokenizer.vocab_size), np.float32)
        self.prior_weight = prior_weight
        self.threads = threads or usable_cpus()
        self.lm = lm if lm is None or isinstance(lm, LanguageModel) else LanguageModel.load(lm)
        hotwords = hotwords or {}
        words = vocabulary.choose(tokenizer, lexicon, self.lm, lm if isinstance(lm, Path | str) else None)
        words = vocabulary.with_phrases(words, hotwords, tokenizer)
        self.vocabulary = words
        self.unit = "word" if words.of_words else "token"
        self._hotwords = build_automaton(
            (vocabulary.labels_of(phrase, words, tokenizer), bonus) for phrase, bonus in hotwords.items()
        )
        self._graph = _build_graph(words, tokenizer, self.lm, unknown_score)
        self._settings = Settings(
            blank=tokenizer.blank_id,
            boundary=tokenizer.ids.get(" ", NONE) if words.of_words else NONE,
            end=LanguageModel.end_label if self.lm else NONE,
            lm_start=step(self.lm.automaton, 0, LanguageModel.start_label)[1] if self.lm else 0,
            hot_start=0 if words.of_words else step(self._hotwords, 0, tokenizer.ids.get(" ", NONE))[1],
            hot_end=NONE if words.of_words else tokenizer.ids.get(" ", NONE),
            beam_size=beam_size,
            beam_size_token=beam_size_token,
            beam_threshold=beam_threshold,
            merge_threshold=merge_threshold,
            lm_weight=lm_weight,
            word_insertion_score=word_insertion_score,
        )
        self._weigh()

    def narrowed(self, beam_size: int) -> "BeamDecoder":
        settings = self._settings._replace(beam_size=min(beam_size, self._settings.beam_size))
        return self._changed(_settings=settings, min_confidence=0.0)

    def __repr__(self) -> str:
        words = f"{len(self.vocabulary.spellings)} spellings of words" if self.vocabulary.of_words else "tokens"
        lm = f", language model of {len(self.lm.words)} words" if self.lm else ""
        return f"beam search for {words}{lm}, beam_size {self._settings.beam_size}"

    def weighted(
        self,
        lm_weight: float,
        word_insertion_score: float,
        prior_weight: float,
        *,
        log_prior: Sequence[float] | None = None,
    ) -> "BeamDecoder":
        other = self._changed(
            prior_weight=prior_weight,
            log_prior=self.log_prior if log_prior is None else np.array(log_prior, np.float32),
            _settings=self._settings._replace(lm_weight=lm_weight, word_insertion_score=word_insertion_score),
        )
        other._weigh()
        return other

    def listing(self, n_best: int) -> "BeamDecoder":
        return self._changed(n_best=n_best)

    def _changed(self, **attributes: Any) -> "BeamDecoder":
        """A copy with other attributes; what was loaded is shared."""
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    def __call__(self, log_probs: Tensor, num_frames: Tensor) -> list[list[Hypothesis]]:
        """log_probs (B, T, V), num_frames (B,) -> for each utterance its `n_best` hypotheses or fewer, best first."""
        values = log_probs.detach().float().cpu().numpy()
        utterances = [values[i, :count] for i, count in enumerate(num_frames.tolist())]
        if self.threads == 1 or len(utterances) == 1:
            return [self._search(frames) for frames in utterances]
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(self._search, utterances))

    def _weigh(self) -> None:
        """The look-ahead for these weights: what a word would earn at the beginning of all knowledge."""
        lm = self.lm.automaton if self.lm else EMPTY
        weights = self._settings
        alone = np.zeros(len(self.lm.words), np.float32) if self.lm else np.zeros(1, np.float32)
        unigrams = slice(lm.arc_start[0], lm.arc_start[1])
        alone[lm.arc_label[unigrams]] = lm.arc_score[unigrams]
        earned = weights.lm_weight * alone[self._graph.lm_label] + weights.word_insertion_score
        hot = slice(self._hotwords.arc_start[0], self._hotwords.arc_start[1])
        earned[self._hotwords.arc_label[hot]] += self._hotwords.arc_score[hot]
        self._graph = self._graph._replace(lookahead=look_ahead(self._graph, earned.astype(np.float32)))

    # ------------------------------------------------------------------------------------------------------ results

    def _search(self, frames: np.ndarray) -> list[Hypothesis]:
        """frames (T, V)."""
        blank = self.tokenizer.blank_id
        silent = self.prior_weight and (frames.argmax(axis=1) == blank).all()
        divided = np.ascontiguousarray(frames - self.prior_weight * self.log_prior, np.float32)
        nothing = Hypothesis((), "", float(divided[:, blank].sum()))
        if silent:
            # Nothing is heard; without its prior the blank would give way to the likeliest words of all.
            return [nothing]
        lm = self.lm.automaton if self.lm else EMPTY
        found = search(divided, self._graph, lm, self._hotwords, self._settings)
        hypotheses = self._hypotheses(frames, divided, self._readings(found))
        return hypotheses if hypotheses[0].confidence >= self.min_confidence else [nothing]

    def _readings(self, found: Found) -> list["_Reading"]:
        """What the beam holds, best first; ways to reach the same words are one reading."""
        rows = np.flatnonzero(found.complete)
        if not len(rows):  # the beam lost every complete word: what came before is better than nothing
            rows = np.arange(len(found.total))
        readings: dict[tuple[str, ...], _Reading] = {}
        for row in rows.tolist():
            length = found.num_tokens[row]
            reading = self._reading(found.tokens[row, :length].tolist(), found.labels[row, :length].tolist())
            reading.acoustic, reading.lm, reading.total = found.acoustic[row], found.lm[row], found.total[row]
            same = readings.setdefault(reading.words, reading)
            if same is not reading:
                same.acoustic = np.logaddexp(same.acoustic, reading.acoustic)
                same.total = np.logaddexp(same.total, reading.total)
        return sorted(readings.values(), key=lambda reading: -reading.total)

    def _reading(self, tokens: list[int], labels: list[int]) -> "_Reading":
        if not self.vocabulary.of_words:
            words = self.tokenizer.words(tokens)
            return _Reading(tokens, tuple(word for word, _, _ in words), [(first, stop) for _, first, stop in words])
        found, places, first = [], [], 0
        for place, label in enumerate(labels):
            if label == NONE:
                continue
            stop = place + 1
            if tokens[place] == self._settings.boundary and stop - first > 1:
                stop -= 1
            word = self.tokenizer.decode(tokens[first:stop]) if label == UNKNOWN else self.vocabulary.labels[label]
            if word:
                found.append(word)
                places.append((first, stop))
            first = place + 1
        return _Reading(tokens, tuple(found), places)

    def _hypotheses(self, frames: np.ndarray, divided: np.ndarray, readings: list["_Reading"]) -> list[Hypothesis]:
        """frames (T, V): the network's log-probs, and what the search found of them, the prior taken off."""
        totals = np.array([reading.total for reading in readings])
        posteriors = np.exp(totals - np.logaddexp.reduce(totals))
        rivals = [(r.words, p) for r, p in zip(readings, posteriors.tolist(), strict=True) if p > UNLIKELY]
        return [self._hypothesis(frames, divided, reading, rivals) for reading in readings[: self.n_best]]

    def _hypothesis(
        self,
        frames: np.ndarray,
        divided: np.ndarray,
        reading: "_Reading",
        rivals: Sequence[tuple[tuple[str, ...], float]],
    ) -> Hypothesis:
        spans = align(divided, np.array(reading.tokens, np.int32), self.tokenizer.blank_id).tolist()
        posteriors = np.zeros(len(reading.words))
        for words, posterior in rivals:
            for part in Levenshtein.opcodes(reading.words, words):
                if part.tag == "equal":
                    posteriors[part.src_start : part.src_end] += posterior
        # What the network gave each token where it gave it most.
        heard = np.array(
            [frames[first:stop, token].max() for token, (first, stop) in zip(reading.tokens, spans, strict=True)]
        )
        evidence = confidence.evidence(posteriors, [heard[first:stop].mean() for first, stop in reading.places])
        weights = self.confidence_weights
        sure = confidence.confidences(evidence, weights) if weights else np.minimum(posteriors, 1.0)
        return Hypothesis(
            tokens=tuple(reading.tokens),
            text=" ".join(reading.words),
            score=float(reading.total),
            acoustic_score=float(reading.acoustic),
            lm_score=float(reading.lm),
            words=tuple(
                Word(word, spans[first][0] * self.seconds_per_frame, spans[stop - 1][1] * self.seconds_per_frame, p)
                for word, (first, stop), p in zip(reading.words, reading.places, sure.tolist(), strict=True)
            ),
            evidence=tuple(map(tuple, evidence.tolist())),
            spans=tuple((first, stop) for first, stop in spans),
        )


class _Reading:
    """Words, and where their tokens are."""

    def __init__(self, tokens: list[int], words: tuple[str, ...], places: list[tuple[int, int]]):
        self.tokens, self.words, self.places = tokens, words, places
        self.acoustic = self.lm = self.total = 0.0


def _build_graph(
    words: Vocabulary, tokenizer: Tokenizer, lm: LanguageModel | None, unknown_score: float | None
) -> Lexicon:
    """What is to be found, spelt in tokens; without look-ahead as yet."""
    graph = build_graph(words.spellings, len(words.labels))
    spelling = Spelling.of(tokenizer)
    if words.of_words and spelling.first and unknown_score is not None:
        graph = add_unknown(graph, spelling, _token_frequencies(words, tokenizer.vocab_size), unknown_score)
    return graph._replace(lm_label=_lm_labels(words, lm)) if lm else graph


def _token_frequencies(words: Vocabulary, vocab_size: int) -> np.ndarray:
    """(V,) ln P of each token in the spellings of words; none is impossible."""
    counts = np.ones(vocab_size)
    np.add.at(counts, np.concatenate([tokens for _, tokens in words.spellings]), 1)
    log_frequencies: np.ndarray = np.log(counts / counts.sum())
    return log_frequencies


def _lm_labels(words: Vocabulary, lm: LanguageModel) -> np.ndarray:
    """(labels,) int32: the language model's number of each, <unk>'s if it has none. Raises ModelError if it has none
    of any."""
    numbers = [lm.ids.get(label, UNK_ID) for label in words.labels]
    if not any(numbers):
        raise ModelError(
            f"the language model knows none of the lexicon's words: it has {', '.join(lm.words[3:8])}, the "
            f"lexicon {', '.join(words.labels[1:6])}. Both must be written alike, capitals included"
        )
    return np.array(numbers, np.int32)
