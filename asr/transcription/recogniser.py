"""Pieces of recordings to hypotheses: network and decoder, over batches, windows and sentences."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.data.batches import by_length
from asr.decoders import Decoder, Hypothesis
from asr.decoders.greedy import GreedyDecoder
from asr.errors import ConfigError
from asr.model.contract import AcousticModel, log_probs_of
from asr.settings import require
from asr.transcription.passages import Passage
from asr.transcription.segmentation import MAX_SECONDS, OVERLAP, Piece, Segmenter, join, windows
from asr.transcription.sentences import find_sentences, put_together

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FIRST_POOL = 30.0  # seconds of short recordings that are recognised first; twice as many each time after that
POOL = 4  # batches whose audio is sorted by duration together, at most
NEAR = 0.8  # seconds of a pause across which the network hears its near context; its wide one is `MAX_SECONDS`
QUICK_BEAM = 64  # prefixes kept where only the ends of sentences are looked for

NO_WORDS = Hypothesis((), "", 0.0)

if hasattr(os, "register_at_fork"):
    # OpenMP's threads do not come along into a forked process, which would wait for them for ever.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

Sentence = tuple[float, list[Hypothesis]]
"""One with words: where the hypotheses' times count from, in seconds, and the hypotheses, best first."""

T = TypeVar("T")


class Recogniser:
    """A model and a decoder (greedy by default), ready to turn pieces of recordings into hypotheses.

    precision: what the network computes in, features and log-probs excepted. batch_seconds: audio in a batch, padding
    included. Raises ConfigError for a precision that there is not, or that the device does not have.
    """

    def __init__(
        self,
        model: AcousticModel,
        decoder: Decoder | None = None,
        *,
        precision: Precision = "fp32",
        batch_seconds: float = 120.0,
    ):
        require(
            "",
            (batch_seconds > 0, "batch_seconds", batch_seconds, "more than 0"),
            (precision in DTYPES, "precision", repr(precision), f"one of {', '.join(get_args(Precision))}"),
        )
        # oneDNN keeps what it compiles for each shape of a batch, a thousand of them: a gigabyte after hours of audio.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
        self.model = model.eval()
        self.decoder = decoder or GreedyDecoder(model.tokenizer, model.seconds_per_frame)
        self.quick = self.decoder.narrowed(QUICK_BEAM)
        self.precision = precision
        self.batch_seconds = batch_seconds
        if precision != "fp32":
            try:
                self._log_probs([np.zeros(model.sample_rate, np.float32)])
            except RuntimeError as error:
                raise ConfigError(f"precision {precision} cannot be used on {model.device}: {error}") from error

    def autocast(self) -> torch.autocast:
        """Within it the network computes in the precision asked for."""
        return torch.autocast(self.model.device.type, DTYPES[self.precision], enabled=self.precision != "fp32")

    def segmenter(self, live: bool = False) -> Segmenter:
        """What cuts a recording for this model."""
        return Segmenter(self.model.sample_rate, live=live)

    def of_passages(self, items: Iterable[tuple[T, Passage]]) -> Iterator[tuple[T, list[Sentence]]]:
        """The sentences of each passage of recordings, in the order given; each item is anything, and a passage.

        Recordings of one passage are taken a few batches ahead, and batched by duration. A passage of a longer one has
        batches of its own: a network in low precision may tell who else was in a batch, and what goes on after an
        interruption has other neighbours than it had before.
        """
        pool: list[tuple[T, Passage]] = []
        rate = self.model.sample_rate
        samples, most = 0, POOL * self.batch_seconds * rate
        limit = min(FIRST_POOL * rate, most)
        for item in items:
            if not item[1].whole:
                yield from self._of_pool(pool)
                yield from self._of_pool([item])
                pool, samples = [], 0
                continue
            pool.append(item)
            samples += item[1].num_samples
            if samples >= limit:
                yield from self._of_pool(pool)
                pool, samples, limit = [], 0, min(2 * limit, most)
        yield from self._of_pool(pool)

    def _of_pool(self, pool: list[tuple[T, Passage]]) -> Iterator[tuple[T, list[Sentence]]]:
        listed = iter(self.of_pieces([piece for _, passage in pool for piece in passage.pieces]))
        for tag, passage in pool:
            sentences = [(piece.start, next(listed)) for piece in passage.pieces]
            yield tag, [(start, hypotheses) for start, hypotheses in sentences if hypotheses[0].words]

    def recognise(self, waveforms: Sequence[np.ndarray]) -> list[Hypothesis]:
        """The best hypothesis of each waveform (S,) float32 at the model's rate; of an empty one an empty one.

        What is longer than `MAX_SECONDS` is heard in overlapping windows and decoded in one.
        """
        return [listed[0] for listed in self.of_pieces([Piece(0.0, waveform) for waveform in waveforms])]

    def of_pieces(self, pieces: Sequence[Piece]) -> list[list[Hypothesis]]:
        """Hypotheses for each piece, best first, with the times of its waveform.

        What goes on a sentence of the piece before is told there and has `NO_WORDS`, as an empty waveform has.
        """
        log_probs = self._log_probs_of_pieces(pieces)
        pauses = [piece.pause for piece in pieces]

        def quick(log_probs: list[Tensor]) -> list[Hypothesis]:
            return [listed[0] for listed in self._decode(self.quick, log_probs)]

        sentences = find_sentences(quick, log_probs, pauses, self.model.seconds_per_frame)
        whole = [torch.cat([log_probs[i] for i in rows]) for rows in sentences]
        found = [[NO_WORDS]] * len(pieces)
        for rows, listed in zip(sentences, self._decode(self.decoder, whole), strict=True):
            found[rows[0]] = listed
        return found

    def _log_probs_of_pieces(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """Log-probs (T, V) of each piece: the mean of what the network hears in its near and in its wide context."""
        rate = self.model.sample_rate
        seconds, pauses = [len(piece.waveform) / rate for piece in pieces], [piece.pause for piece in pieces]
        contexts = [[tuple(rows) for rows in put_together(seconds, pauses, apart)] for apart in (NEAR, math.inf)]
        groups = list(dict.fromkeys(rows for context in contexts for rows in context))
        waveforms = [np.concatenate([pieces[i].waveform for i in rows]) for rows in groups]
        log_probs = dict(zip(groups, self.log_probs(waveforms), strict=True))

        def split(rows: tuple[int, ...]) -> tuple[Tensor, ...]:
            """The log-probs of a group into those of each piece."""
            ends = np.cumsum([seconds[i] for i in rows])[:-1] / self.model.seconds_per_frame
            return torch.tensor_split(log_probs[rows], ends.round().astype(int).tolist())

        near, wide = ([part for rows in context for part in split(rows)] for context in contexts)
        return [_mean(*both) for both in zip(near, wide, strict=True)]

    def log_probs(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """Log-probs (T, V) of each waveform (S,) float32 at the model's rate, on the CPU; none of an empty one.

        What is longer than `MAX_SECONDS` goes through the network in overlapping windows.
        """
        rate = self.model.sample_rate
        per_frame = round(self.model.seconds_per_frame * rate)
        size, overlap = (round(seconds * rate) // per_frame * per_frame for seconds in (MAX_SECONDS, OVERLAP))
        parts = [
            (i, waveform[first:stop])
            for i, waveform in enumerate(waveforms)
            for first, stop in windows(len(waveform), size, overlap)
            if len(waveform)
        ]
        found: list[list[Tensor]] = [[] for _ in waveforms]
        for (i, _), log_probs in zip(parts, self._log_probs([part for _, part in parts]), strict=True):
            found[i].append(log_probs)
        shift, blank = (size - overlap) // per_frame, self.model.tokenizer.blank_id
        return [join(some, shift, blank) if some else torch.empty(0, self.model.tokenizer.vocab_size) for some in found]

    @torch.inference_mode()
    def _decode(self, decoder: Decoder, log_probs: list[Tensor]) -> list[list[Hypothesis]]:
        """The hypotheses of each; an empty one where there are no frames."""
        found = [[NO_WORDS]] * len(log_probs)
        filled = [row for row, values in enumerate(log_probs) if len(values)]
        lengths = [len(log_probs[row]) for row in filled]
        for batch in by_length(lengths, self.batch_seconds / self.model.seconds_per_frame):
            rows = [filled[i] for i in batch]
            num_frames = torch.tensor([len(log_probs[row]) for row in rows])
            for row, listed in zip(rows, decoder(_pad([log_probs[row] for row in rows]), num_frames), strict=True):
                found[row] = listed
        return found

    @torch.inference_mode()
    def _log_probs(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """Each waveform's log-probs (T, V) on the CPU."""
        found: list[Tensor] = [torch.empty(0)] * len(waveforms)
        device = self.model.device
        lengths = [len(waveform) for waveform in waveforms]
        for rows in by_length(lengths, self.batch_seconds * self.model.sample_rate):
            batch = _pad([torch.from_numpy(waveforms[row]) for row in rows]).to(device)
            num_samples = torch.tensor([lengths[row] for row in rows], device=device)
            with self.autocast():
                log_probs, num_frames = log_probs_of(self.model, batch, num_samples)
            for row, values, count in zip(rows, log_probs.cpu(), num_frames.tolist(), strict=True):
                found[row] = values[:count]
        return found


def _pad(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True)


def _mean(near: Tensor, wide: Tensor) -> Tensor:
    """Of two log-probs of a piece, (T, V) each; its end may be rounded to the next frame in one of them."""
    if torch.equal(near, wide):
        return near
    count = min(len(near), len(wide))
    return torch.cat([torch.log_softmax((near[:count] + wide[:count]) / 2, -1), near[count:]])
