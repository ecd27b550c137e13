"""Sentences of a long recording: at which of its pauses they end, and what the network hears together.

A pause alone does not tell: people hesitate within sentences, and take turns nearly without one. So what is said before
and after is decoded both apart and together, language model and all, and the higher score decides. The longer the
pause, the more apart is favoured.

What the network hears depends on what it hears together: with little speech it lacks context and has little to
normalise by, with much of it voices, loudness and rooms are mixed. So each piece is heard twice, within its near and
its wide context, and the mean of both is decoded. `benchmarks/long_audio.py` measures what all of it costs.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from asr.decoders import Hypothesis
from asr.transcription.segmentation import MAX_SECONDS

EVIDENCE = 10.0  # what each second of pause adds to the log-probability that a sentence has ended
NEUTRAL = 0.4  # seconds of a pause that speaks neither for it nor against
SURE = 1.2  # seconds of one that always ends a sentence

Decode = Callable[[list[Tensor]], list[Hypothesis]]
"""Log-probs, each (T, V) -> the best hypothesis of each."""


def find_sentences(
    decode: Decode, log_probs: Sequence[Tensor], pauses: Sequence[float], seconds_per_frame: float
) -> list[list[int]]:
    """Pieces (T_i, V) of recordings, in order, and seconds of pause before each -> which pieces make each sentence.

    No sentence of several pieces is longer than `MAX_SECONDS`. A pause of infinite length separates recordings.
    """
    seconds = [len(part) * seconds_per_frame for part in log_probs]
    asked = [i for i in range(1, len(seconds)) if pauses[i] < SURE and seconds[i - 1] + seconds[i] <= MAX_SECONDS]
    involved = sorted({row for i in asked for row in (i - 1, i)})
    apart = dict(zip(involved, decode([log_probs[row] for row in involved]), strict=True))
    together = decode([torch.cat([log_probs[i - 1], log_probs[i]]) for i in asked])
    going_on = {
        i
        for i, whole in zip(asked, together, strict=True)
        if whole.score > apart[i - 1].score + apart[i].score + EVIDENCE * (pauses[i] - NEUTRAL)
    }
    sentences: list[list[int]] = []
    for i, length in enumerate(seconds):
        if i in going_on and sum(seconds[row] for row in sentences[-1]) + length <= MAX_SECONDS:
            sentences[-1].append(i)
        else:
            sentences.append([i])
    return sentences


def put_together(seconds: Sequence[float], pauses: Sequence[float], apart: float = math.inf) -> list[list[int]]:
    """Neighbours in groups of up to `MAX_SECONDS`, the nearest first.

    seconds: of each; pauses: seconds before each. Those with a pause of `apart` or more between them stay apart.
    """
    groups = [[i] for i in range(len(seconds))]  # of each; members share theirs
    for i in sorted(range(1, len(seconds)), key=lambda i: pauses[i]):
        before, after = groups[i - 1], groups[i]
        if pauses[i] < apart and sum(seconds[row] for row in before + after) <= MAX_SECONDS:
            before += after
            for row in after:
                groups[row] = before
    return [group for i, group in enumerate(groups) if group[0] == i]
