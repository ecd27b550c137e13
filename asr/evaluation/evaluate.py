"""Transcribe a manifest and count the errors."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.data.manifest import Utterance
from asr.decoders import Decoder, Hypothesis
from asr.evaluation.scoring import (
    Alignment,
    ErrorCounts,
    align_all,
    count_each,
    count_errors,
    distances,
    finite,
    rate,
)
from asr.evaluation.significance import Interval, grouped, rate_interval
from asr.evaluation.transcripts import Pair

if TYPE_CHECKING:
    from asr.model.contract import AcousticModel


@dataclass(frozen=True)
class Evaluation:
    """Hypotheses for a set of utterances, and their error counts over the whole set."""

    utterances: list[Utterance]
    references: list[str]
    hypotheses: list[Hypothesis]
    unit: str  # what `words` counts: "word" or "phone"
    audio_seconds: float  # 0 where it is not known
    processing_seconds: float
    text_scheme: str  # how references and hypotheses were normalised before scoring

    @cached_property
    def words(self) -> ErrorCounts:
        """Errors of all words; of phones, for a model of phones."""
        return sum(self.by_utterance, ErrorCounts())

    @cached_property
    def characters(self) -> ErrorCounts:
        """Errors of all characters, by kind."""
        return count_errors(self.references, self.texts, unit="character")

    @property
    def character_error_rate(self) -> float:
        """CER, without the kinds of errors."""
        return rate(*(int(values.sum()) for values in self._characters))

    @cached_property
    def _characters(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each utterance the errors of characters, and the reference's length in them."""
        lengths = np.array([len(" ".join(text.split())) for text in self.references], np.int64)
        return distances(self.references, self.texts), lengths

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.utterances]

    @property
    def speakers(self) -> list[str | None]:
        return [row.speaker for row in self.utterances]

    @property
    def texts(self) -> list[str]:
        """The hypotheses'."""
        return [hypothesis.text for hypothesis in self.hypotheses]

    @property
    def rtf(self) -> float:
        """Real-time factor: processing time over audio time, decoding of files included."""
        return self.processing_seconds / self.audio_seconds if self.audio_seconds else 0.0

    @property
    def sentence_error_rate(self) -> float:
        """Share of utterances with an error."""
        wrong = sum(item.errors > 0 for item in self.by_utterance)
        return wrong / len(self.ids) if self.ids else 0.0

    @cached_property
    def alignments(self) -> list[Alignment]:
        """References and hypotheses word by word."""
        return align_all(self.references, self.texts)

    @cached_property
    def by_utterance(self) -> list[ErrorCounts]:
        """Word errors of each."""
        return count_each(self.references, self.texts)

    @property
    def interval_unit(self) -> str:
        """What the bootstrap draws: speakers where all are known, for their errors depend on each other."""
        return "speakers" if all(self.speakers) and len(set(self.speakers)) > 1 else "utterances"

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % confidence intervals of WER, CER and SER (Bisani and Ney, 2004)."""
        groups = self.speakers if self.interval_unit == "speakers" else self.ids
        columns: dict[str, tuple[Sequence[float], Sequence[float]]] = {
            "wer": ([item.errors for item in self.by_utterance], [item.reference_length for item in self.by_utterance]),
            "cer": (self._characters[0].tolist(), self._characters[1].tolist()),
            "ser": ([item.errors > 0 for item in self.by_utterance], [1] * len(self.ids)),
        }
        return {name: rate_interval(*grouped(groups, *counts)) for name, counts in columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """Figures for a JSON file."""
        return {
            "unit": self.unit,
            "text_scheme": self.text_scheme,
            **self.words.to_dict(),
            "cer": finite(self.character_error_rate),
            "ser": self.sentence_error_rate,
            "intervals": {name: [interval.low, interval.high] for name, interval in self.intervals.items()},
            "intervals_over": self.interval_unit,
            "utterances": len(self.ids),
            "audio_seconds": round(self.audio_seconds, 3),
            "rtf": round(self.rtf, 5),
        }

    def summary(self) -> str:
        """One line: rates with the counts behind them."""
        name = "PER" if self.unit == "phone" else "WER"
        cer = "" if self.unit == "phone" else f"CER {self.character_error_rate:.2%}  "
        hours = f", {self.audio_seconds / 3600:.2f} h" if self.audio_seconds else ""
        rtf = f", RTF {self.rtf:.4f}" if self.processing_seconds else ""
        return f"{name} {self.words.describe(self.unit + 's')}  {cer}{len(self.ids)} utterances{hours}{rtf}"

    def describe_intervals(self) -> str:
        """A line on how sure these rates are."""
        names = {"wer": "PER", "ser": "SER"} if self.unit == "phone" else {"wer": "WER", "cer": "CER", "ser": "SER"}
        intervals = ", ".join(f"{shown} {self.intervals[name].describe()}" for name, shown in names.items())
        return (
            f"SER {self.sentence_error_rate:.2%}; 95 % intervals (bootstrap over {self.interval_unit}): {intervals}; "
            f"text scheme {self.text_scheme}"
        )


def evaluate(
    model: "AcousticModel",
    utterances: Sequence[Utterance],
    decoder: Decoder | None = None,
    *,
    text_scheme: str | None = None,
    max_batch_seconds: float = 120.0,
    progress: Callable[[int], object] = lambda done: None,
) -> Evaluation:
    """Decode every utterance (greedily by default) and score it against its text; a phone model against its phones.

    text_scheme: one of asr.text.normalise.SCHEMES, by which references and hypotheses are written before they are
    compared; by default that of the model's training texts, as far as it can write the references. progress: called
    with the number of utterances just done. Raises AudioError for files that cannot be read, and for a phone
    model TextError where a word has no pronunciation.
    """
    # Here, for what others have found is scored without torch.
    from asr.data.batches import SpeechDataset
    from asr.decoders.greedy import GreedyDecoder
    from asr.evaluation.emissions import emissions

    decoder = decoder or GreedyDecoder(model.tokenizer, model.seconds_per_frame)
    # A search with a lexicon finds words, whatever the model's units.
    phones = model.tokenizer.kind == "phones" and decoder.unit != "word"
    write = partial(model.tokenizer.normalise, scheme=text_scheme)
    rows = [replace(row, text=write(row.text)) for row in utterances]
    # Words are scored as they stand: symbols that a model does not know are its errors.
    dataset = SpeechDataset(rows, model.tokenizer if phones else None, model.sample_rate)
    started = time.perf_counter()
    found: dict[int, Hypothesis] = {}
    for places, log_probs, num_frames in emissions(model, dataset, max_batch_seconds):
        found.update((place, lists[0]) for place, lists in zip(places, decoder(log_probs, num_frames), strict=True))
        progress(len(places))
    elapsed = time.perf_counter() - started
    hypotheses = [found[i] for i in range(len(dataset))]
    if not phones:  # whose names are no text
        hypotheses = [replace(hypothesis, text=write(hypothesis.text)) for hypothesis in hypotheses]
    references = dataset.references
    return Evaluation(
        utterances=list(utterances),
        references=references,
        hypotheses=hypotheses,
        unit="phone" if phones else "word",
        audio_seconds=float(dataset.seconds.sum()),
        processing_seconds=elapsed,
        text_scheme=model.tokenizer.text_scheme if text_scheme is None else text_scheme,
    )


def evaluate_pairs(pairs: Sequence[Pair], text_scheme: str) -> Evaluation:
    """Score the transcripts of another system; text_scheme: in which they are written already."""
    return Evaluation(
        utterances=[Utterance(pair.id, "", pair.duration, pair.reference, speaker=pair.speaker) for pair in pairs],
        references=[pair.reference for pair in pairs],
        hypotheses=[Hypothesis((), pair.hypothesis, 0.0) for pair in pairs],
        unit="word",
        audio_seconds=sum(pair.duration for pair in pairs),
        processing_seconds=0.0,
        text_scheme=text_scheme,
    )
