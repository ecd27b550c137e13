"""The weights of a beam search, found on a development set: the network runs once, the search many times.

With the weights found, confidences are made to mean what they say, see `asr.evaluation.calibration`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from asr.data.batches import SpeechDataset
from asr.data.manifest import Utterance
from asr.decoders import Decoder, Hypothesis
from asr.decoders.confidence import confidences
from asr.decoders.settings import DecoderSettings, build_decoder
from asr.evaluation.calibration import choose_gate, expected_calibration_error, fit, judged, right_words
from asr.evaluation.emissions import emissions
from asr.evaluation.scoring import ErrorCounts, align_all, count_alignment, count_each, count_errors

if TYPE_CHECKING:
    from asr.lm.recurrent import RecurrentLM
    from asr.model.contract import AcousticModel

Point = tuple[float, ...]
STEPS = (0.4, 1.0, 0.3)  # first steps of lm_weight, word_insertion_score and prior_weight
RESCORING_STEPS = (0.2, 0.5, 0.4)  # of the first two and of rescoring_weight
HALVINGS = 3
FEWEST = 200  # words that confidences are fitted on
RAREST = 1e-5  # prior of tokens that the network never finds: no token is divided by 0


@dataclass(frozen=True)
class Tuned:
    """What was found, and what it is worth on the development set."""

    settings: DecoderSettings
    greedy: ErrorCounts | None  # None for a model of phones, which has no words without a lexicon
    best: ErrorCounts
    tried: dict[Point, ErrorCounts]  # (lm_weight, word_insertion_score, prior_weight) -> errors of the search with them
    calibration_errors: tuple[float, float]  # expected, of the beam's posteriors and of the fitted confidences


def tune(
    model: "AcousticModel",
    utterances: Sequence[Utterance],
    settings: DecoderSettings,
    progress: Callable[[Point, ErrorCounts], object] = lambda point, errors: None,
) -> Tuned:
    """Find lm_weight, word_insertion_score and prior_weight, and rescoring_weight for a recurrent language model.

    Then confidence_weights and min_confidence, if there are enough words. The search starts at the weights of
    `settings`; the prior is the mean of the network's outputs. With a recurrent model its weight and the first two are
    then found on n-best lists, which cost nothing to sort again. progress: called with the weights tried and their
    errors. Raises what asr.decoders.beam raises.
    """
    from asr.lm.recurrent import RecurrentLM

    # What can be wrong with the settings shows before the network runs.
    settings = replace(settings, confidence_weights=(), min_confidence=0.0)
    searching = replace(settings, rescoring_lm="", log_prior=(), prior_weight=0.0)
    decoder = build_decoder(model.tokenizer, model.seconds_per_frame, searching)
    rescorer = RecurrentLM.load(settings.rescoring_lm) if settings.rescoring_lm else None
    rows = [replace(row, text=model.tokenizer.normalise(row.text)) for row in utterances]
    dataset = SpeechDataset(rows, None, model.sample_rate)
    batches = [(rows, log_probs.cpu(), frames) for rows, log_probs, frames in emissions(model, dataset)]
    settings = replace(settings, log_prior=log_prior(batches))
    tried: dict[Point, ErrorCounts] = {}

    def weighted(point: Point) -> Decoder:
        lm_weight, word_insertion_score, prior_weight = point
        return decoder.weighted(lm_weight, word_insertion_score, prior_weight, log_prior=settings.log_prior)

    def errors(point: Point) -> int:
        decoded = _decode_all(weighted(point), batches)
        tried[point] = count_errors(dataset.references, [decoded[i][0].text for i in range(len(dataset))])
        progress(point, tried[point])
        return tried[point].errors

    start = (settings.lm_weight, settings.word_insertion_score, settings.prior_weight)
    point = pattern_search(errors, start, STEPS)
    settings = replace(settings, lm_weight=point[0], word_insertion_score=point[1], prior_weight=point[2])
    best = tried[point]
    if rescorer:
        settings, best = _tune_rescoring(weighted(point), rescorer, batches, dataset.references, settings)
    decoded = _decode_all(weighted(point), batches)
    settings, calibration = calibrated(settings, dataset.references, [decoded[i][0] for i in range(len(dataset))])
    greedy = None
    if model.tokenizer.kind != "phones":
        decoded = _decode_all(build_decoder(model.tokenizer, model.seconds_per_frame, DecoderSettings()), batches)
        greedy = count_errors(dataset.references, [decoded[i][0].text for i in range(len(dataset))])
    return Tuned(settings, greedy, best, tried, calibration)


def calibrated(
    settings: DecoderSettings, references: Sequence[str], hypotheses: Sequence[Hypothesis]
) -> tuple[DecoderSettings, tuple[float, float]]:
    """The settings with confidence_weights and min_confidence that fit, and the expected calibration errors before
    and after. With fewer than FEWEST words nothing is fitted."""
    alignments = align_all(references, [h.text for h in hypotheses])
    before, right = judged(alignments, hypotheses)
    error = expected_calibration_error(before, right)
    if len(right) < FEWEST:
        return settings, (error, error)
    usable = right_words(alignments, hypotheses)
    evidence = np.array([found for h, row in zip(hypotheses, usable, strict=True) if row for found in h.evidence])
    weights = fit(evidence, right)
    sure = [float(confidences(np.array(h.evidence), weights).mean()) if h.words else 1.0 for h in hypotheses]
    counts = [count_alignment(alignment) for alignment in alignments]
    gate = choose_gate(sure, [item.errors for item in counts], [item.reference_length for item in counts])
    after = expected_calibration_error(confidences(evidence, weights), right)
    return replace(settings, confidence_weights=weights, min_confidence=gate), (error, after)


def pattern_search(errors: Callable[[Point], int], start: Point, steps: Point, halvings: int = HALVINGS) -> Point:
    """The point with the fewest errors that steps from `start` lead to (Hooke and Jeeves, 1961).

    From the best point so far a step is tried in each direction of each coordinate; where none helps, the steps are
    halved. The first coordinate stays positive: it is a language model's weight.
    """
    found = {start: errors(start)}
    best = start
    for _ in range(halvings + 1):
        improved = True
        while improved:
            improved = False
            for axis, step in enumerate(steps):
                for sign in (1, -1):
                    point = tuple(round(value + sign * step, 4) if i == axis else value for i, value in enumerate(best))
                    if point[0] <= 0 or point in found:
                        continue
                    found[point] = errors(point)
                    if found[point] < found[best]:
                        best, improved = point, True
        steps = tuple(step / 2 for step in steps)
    return best


def log_prior(batches: Sequence[tuple[list[int], Tensor, Tensor]]) -> tuple[float, ...]:
    """ln of the mean probability that each token has over all frames of `emissions`."""
    frames = torch.cat([row[:count] for _, rows, counts in batches for row, count in zip(rows, counts, strict=True)])
    prior = frames.double().exp().mean(0).clamp_min(RAREST)
    return tuple(round(value, 4) for value in prior.log().tolist())


def _decode_all(decoder: Decoder, batches: Sequence[tuple[list[int], Tensor, Tensor]]) -> dict[int, list[Hypothesis]]:
    found: dict[int, list[Hypothesis]] = {}
    for rows, log_probs, frames in batches:
        found.update(zip(rows, decoder(log_probs, frames), strict=True))
    return found


def _tune_rescoring(
    decoder: Decoder,
    rescorer: "RecurrentLM",
    batches: Sequence[tuple[list[int], Tensor, Tensor]],
    references: list[str],
    settings: DecoderSettings,
) -> tuple[DecoderSettings, ErrorCounts]:
    decoded = _decode_all(decoder.listing(settings.rescoring_size), batches)
    lists = [decoded[i] for i in range(len(references))]
    texts = sorted({h.text for hypotheses in lists for h in hypotheses})
    scores = dict(zip(texts, rescorer.score(texts), strict=True))
    features = [
        np.array([(h.acoustic_score, h.lm_score, len(h.text.split()), scores[h.text]) for h in hypotheses])
        for hypotheses in lists
    ]
    of_each = [
        np.array([item.errors for item in count_each([reference] * len(hypotheses), [h.text for h in hypotheses])])
        for reference, hypotheses in zip(references, lists, strict=True)
    ]

    def errors(point: Point) -> int:
        weights = np.array([1.0, *point])
        return int(sum(counts[np.argmax(x @ weights)] for counts, x in zip(of_each, features, strict=True)))

    start = (settings.lm_weight, settings.word_insertion_score, 0.0)
    point = pattern_search(errors, start, RESCORING_STEPS)
    weights = np.array([1.0, *point])
    chosen = [h[int(np.argmax(x @ weights))].text for h, x in zip(lists, features, strict=True)]
    tuned = replace(settings, lm_weight=point[0], word_insertion_score=point[1], rescoring_weight=point[2])
    return tuned, count_errors(references, chosen)
