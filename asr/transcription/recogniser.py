"""Audio to text with a model folder: recordings of any length, in memory that does not grow with it."""

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.audio.load import resample
from asr.audio.stream import stream
from asr.data.batches import by_length
from asr.decoders import Decoder, Hypothesis
from asr.decoders.greedy import GreedyDecoder
from asr.decoders.settings import DecoderSettings, build_decoder
from asr.errors import AudioError, ConfigError
from asr.model.contract import AcousticModel, log_probs_of
from asr.model.load import load_model_folder
from asr.transcription.segmentation import MAX_SECONDS, OVERLAP, Piece, Segmenter, join, windows
from asr.transcription.sentences import SURE, find_sentences, put_together
from asr.transcription.transcript import Segment, Transcript

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
POOL = 4  # batches whose audio is sorted by duration together
NEAR = 0.8  # seconds of a pause across which the network hears its near context; its wide one is `MAX_SECONDS`
QUICK_BEAM = 64  # prefixes kept where only the ends of sentences are looked for

NO_WORDS = Hypothesis((), "", 0.0)

T = TypeVar("T")


class Transcriber:
    """A model and a decoder (greedy by default), ready to turn recordings into text.

    precision: what the network computes in, features and log-probs excepted. batch_seconds: audio in a batch, padding
    included. Raises ConfigError for a precision that the device does not have.
    """

    def __init__(
        self,
        model: AcousticModel,
        decoder: Decoder | None = None,
        *,
        precision: Precision = "fp32",
        batch_seconds: float = 120.0,
    ):
        if batch_seconds <= 0:
            raise ConfigError(f"batch seconds: found {batch_seconds:g}, wanted more than 0")
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

    @classmethod
    def load(
        cls,
        model: Path | str | None = None,
        device: str = "cpu",
        *,
        lm: Path | str | None = None,
        precision: Precision = "fp32",
        batch_seconds: float = 120.0,
    ) -> "Transcriber":
        """A model folder, or a model that comes with asr, by name (default: english-small), and its decoder.

        lm: another language model than the folder's; "none": greedy. Raises ModelError for models and devices that
        cannot be used.
        """
        network = load_model_folder(model, device)
        settings = DecoderSettings.of(network.folder).with_lm(lm)
        decoder = build_decoder(network.tokenizer, network.seconds_per_frame, settings)
        return cls(network, decoder, precision=precision, batch_seconds=batch_seconds)

    def transcribe(
        self,
        source: Path | str | BinaryIO | np.ndarray,
        sample_rate: int | None = None,
        channel: int | None = None,
    ) -> Transcript:
        """A sound file's path, an open one, or a waveform (S,) or (S, channels) -> what is said in it.

        sample_rate: of a waveform in Hz, by default the model's. Channels are averaged unless one (0 is the first) is
        chosen. Raises AudioError where the source cannot be read.
        """
        if isinstance(source, (str, Path)):
            return self._transcribe(stream(source, self.model.sample_rate, channel), channel)
        if hasattr(source, "read"):
            # Formats differ in what they need of a file: all have it in one on the disk.
            # It is closed before it is read: Windows does not open a file twice.
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                copy = Path(folder) / "audio"
                with copy.open("wb") as file:
                    shutil.copyfileobj(source, file)
                try:
                    return self.transcribe(copy, channel=channel)
                except AudioError as error:
                    raise AudioError(str(error).replace(str(copy), "the open file")) from error
        waveform = as_mono(source, channel)
        waveform = resample(waveform, sample_rate or self.model.sample_rate, self.model.sample_rate)
        return self._transcribe([waveform], channel)

    def _transcribe(self, blocks: Iterable[np.ndarray], channel: int | None) -> Transcript:
        segmenter = self.segmenter()
        pieces = ((piece.start, piece) for piece in segmenter.pieces(blocks))
        segments: list[Segment] = []
        for start, hypothesis in self.hypotheses(pieces):
            if hypothesis.words:
                segments.append(Segment.of_words(len(segments), hypothesis.words, start))
        return Transcript(tuple(segments), segmenter.seconds, channel)

    def segmenter(self, live: bool = False) -> Segmenter:
        """What cuts a recording for this model."""
        return Segmenter(self.model.sample_rate, live=live)

    def hypotheses(self, items: Iterable[tuple[T, Piece]]) -> Iterator[tuple[T, Hypothesis]]:
        """A hypothesis for each piece of recordings, in the order given; each item is anything, and a piece.

        Items are taken a few batches ahead, and batched by duration. What goes on a sentence of the piece before is
        told there and has an empty hypothesis, as an empty waveform has.
        """
        pool: list[tuple[T, Piece]] = []
        samples, limit = 0, POOL * self.batch_seconds * self.model.sample_rate
        patience = POOL * MAX_SECONDS * self.model.sample_rate
        for item in items:
            # Not within a sentence, if that can be helped. A pool's end still narrows the wide context beside it, so
            # that a long recording's text may differ a little with what is transcribed before it.
            if samples >= limit and (item[1].pause >= SURE or samples >= limit + patience):
                yield from self._of_pool(pool)
                pool, samples = [], 0
            pool.append(item)
            samples += len(item[1].waveform)
        yield from self._of_pool(pool)

    def _of_pool(self, pool: list[tuple[T, Piece]]) -> Iterator[tuple[T, Hypothesis]]:
        return zip((tag for tag, _ in pool), self._sentences([piece for _, piece in pool]), strict=True)

    def recognise(self, waveforms: Sequence[np.ndarray]) -> list[Hypothesis]:
        """The best hypothesis of each waveform (S,) float32 at the model's rate; of an empty one an empty one.

        What is longer than `MAX_SECONDS` is heard in overlapping windows and decoded in one.
        """
        return self._sentences([Piece(0.0, waveform) for waveform in waveforms])

    def _sentences(self, pieces: Sequence[Piece]) -> list[Hypothesis]:
        """A hypothesis for each piece, with the times of its waveform; `NO_WORDS` for what goes on a sentence."""
        log_probs = self._log_probs_of_pieces(pieces)
        pauses = [piece.pause for piece in pieces]
        sentences = find_sentences(
            partial(self._best_hypotheses, self.quick), log_probs, pauses, self.model.seconds_per_frame
        )
        whole = [torch.cat([log_probs[i] for i in rows]) for rows in sentences]
        found = [NO_WORDS] * len(pieces)
        for rows, hypothesis in zip(sentences, self._best_hypotheses(self.decoder, whole), strict=True):
            found[rows[0]] = hypothesis
        return found

    def _log_probs_of_pieces(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """Log-probs (T, V) of each piece: the mean of what the network hears in its near and in its wide context."""
        rate = self.model.sample_rate
        seconds, pauses = [len(piece.waveform) / rate for piece in pieces], [piece.pause for piece in pieces]
        contexts = [[tuple(rows) for rows in put_together(seconds, pauses, apart)] for apart in (NEAR, math.inf)]
        groups = list(dict.fromkeys(rows for context in contexts for rows in context))
        waveforms = [np.concatenate([pieces[i].waveform for i in rows]) for rows in groups]
        log_probs = dict(zip(groups, self._windowed_log_probs(waveforms), strict=True))

        def split(rows: tuple[int, ...]) -> tuple[Tensor, ...]:
            """The log-probs of a group into those of each piece."""
            ends = np.cumsum([seconds[i] for i in rows])[:-1] / self.model.seconds_per_frame
            return torch.tensor_split(log_probs[rows], ends.round().astype(int).tolist())

        near, wide = ([part for rows in context for part in split(rows)] for context in contexts)
        return [_mean(*both) for both in zip(near, wide, strict=True)]

    def _windowed_log_probs(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """Each waveform's log-probs (T, V), none of an empty one; long ones heard in overlapping windows."""
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
    def _best_hypotheses(self, decoder: Decoder, log_probs: list[Tensor]) -> list[Hypothesis]:
        """The best hypothesis of each; an empty one where there are no frames."""
        found = [NO_WORDS] * len(log_probs)
        filled = [row for row, values in enumerate(log_probs) if len(values)]
        lengths = [len(log_probs[row]) for row in filled]
        for batch in by_length(lengths, self.batch_seconds / self.model.seconds_per_frame):
            rows = [filled[i] for i in batch]
            num_frames = torch.tensor([len(log_probs[row]) for row in rows])
            for row, best in zip(rows, decoder(_pad([log_probs[row] for row in rows]), num_frames), strict=True):
                found[row] = best[0]
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
            with torch.autocast(device.type, DTYPES[self.precision], enabled=self.precision != "fp32"):
                log_probs, num_frames = log_probs_of(self.model, batch, num_samples)
            for row, values, count in zip(rows, log_probs.cpu(), num_frames.tolist(), strict=True):
                found[row] = values[:count]
        return found


def as_mono(waveform: np.ndarray, channel: int | None = None) -> np.ndarray:
    """(S,) or (S, channels), of floats or integers, to (S,) float32 where full scale is 1. Raises AudioError."""
    array = np.asarray(waveform)
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(f"waveform: found the shape {array.shape}, wanted (samples,) or (samples, channels)")
    if array.ndim == 2 and channel is not None and not 0 <= channel < array.shape[1]:
        raise AudioError(f"waveform: has {array.shape[1]} channel(s), no channel {channel} (the first is 0)")
    scale = 1.0 / (np.iinfo(array.dtype).max + 1) if np.issubdtype(array.dtype, np.integer) else 1.0
    mono = array if array.ndim == 1 else array.mean(axis=1) if channel is None else array[:, channel]
    mono = np.ascontiguousarray(mono * scale, np.float32)
    if not np.isfinite(mono).all():
        raise AudioError("waveform: holds samples that are NaN or infinite")
    return mono


def _pad(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True)


def _mean(near: Tensor, wide: Tensor) -> Tensor:
    """Of two log-probs of a piece, (T, V) each; its end may be rounded to the next frame in one of them."""
    if torch.equal(near, wide):
        return near
    count = min(len(near), len(wide))
    return torch.cat([torch.log_softmax((near[:count] + wide[:count]) / 2, -1), near[count:]])
