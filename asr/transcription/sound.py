"""What can be transcribed: sound files, open files and waveforms; each gives mono samples at the model's rate."""

import io
import math
import numbers
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, Union, cast

import numpy as np

from asr.audio.load import resample
from asr.audio.reader import RATES, Report
from asr.audio.sound_file import open_sound
from asr.audio.stream import stream
from asr.errors import AudioError
from asr.files import spool

if TYPE_CHECKING:
    from torch import Tensor

Source: TypeAlias = Union[str, "os.PathLike[str]", BinaryIO, np.ndarray, "Tensor"]
"""A sound file's path, a sound file opened in binary mode, or a waveform."""

MAX_CHANNELS = 64  # of a waveform; what has more along both axes is something else


@dataclass(frozen=True)
class Sound:
    """A recording that is to be read."""

    name: str  # for messages
    blocks: Callable[[Report], Iterator[np.ndarray]]
    """(S,) float32, mono, at the model's rate; damage is silence, and reported. Raises AudioError where nothing can be
    read."""
    seconds: Callable[[], float | None]
    """How long it is, as far as that is known before it is read."""
    channel: int | None = None  # None: the mean of all

    def waveform(self) -> np.ndarray:
        """All of it: (S,) float32."""
        return np.concatenate(list(self.blocks(lambda notice: None)))


def open_source(
    source: Source, rate: int, sample_rate: int | None = None, channel: int | None = None, name: str = ""
) -> Sound:
    """The recording, read at `rate` Hz.

    A waveform is (S,), (S, channels) as soundfile gives it, or (channels, S) as torchaudio does: samples lie along the
    longer axis. It holds floats of full scale 1, or PCM of 8 (signed, or unsigned around 128), 16 or 32 bits.
    sample_rate: of a waveform in Hz, by default `rate`; files say their own. Channels are averaged unless one (0 is the
    first) is chosen. name: what messages call an open file or a waveform.

    Raises AudioError for what is none of these.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return Sound(str(path), partial(_streamed, path, rate, channel), partial(header_seconds, path), channel)
    if hasattr(source, "read"):
        name = name or "the open file"
        if isinstance(source, io.TextIOBase):
            raise AudioError(f"{name}: was opened as text; open it in binary mode, as open(path, 'rb') does")
        return Sound(name, partial(_copied, cast(BinaryIO, source), rate, channel, name), lambda: None, channel)
    name = name or "waveform"
    waveform = _samples_first(_as_array(source, name), name)
    if channel is not None and not 0 <= channel < waveform.shape[1]:
        raise AudioError(f"{name}: has {waveform.shape[1]} channel(s), no channel {channel} (the first is 0)")
    from_rate = rate if sample_rate is None else _checked_rate(sample_rate, name)
    seconds = len(waveform) / from_rate
    return Sound(name, partial(_resampled, waveform, from_rate, rate, channel, name), lambda: seconds, channel)


def header_seconds(path: Path) -> float | None:
    """How long a file is, as far as that is known without decoding."""
    try:
        if not path.is_file():  # what is in a pipe can be read only once
            return None
        with open_sound(path) as sound:
            return None if sound.num_samples is None else sound.num_samples / sound.sample_rate
    except AudioError:
        return None


def _streamed(path: Path, rate: int, channel: int | None, report: Report) -> Iterator[np.ndarray]:
    return stream(path, rate, channel, report=report)


def _copied(file: BinaryIO, rate: int, channel: int | None, name: str, report: Report) -> Iterator[np.ndarray]:
    """Formats differ in what they need of a file: all have it in one on the disk."""
    # It is closed before it is read: Windows does not open a file twice.
    with spool() as folder:
        path = folder / "sound"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        try:
            yield from stream(path, rate, channel, report=report)
        except AudioError as error:
            raise AudioError(str(error).replace(str(path), name)) from error


# ---------------------------------------------------------------------------------------------------------- waveforms


def _as_array(source: Any, name: str) -> np.ndarray:
    """The waveform as an array of a type that samples have."""
    if isinstance(source, list | tuple):
        raise AudioError(
            f"{name}: found a {type(source).__name__} of {len(source)}, wanted one recording. Give a waveform as an "
            "array, and its rate as sample_rate; transcribe_batch takes several recordings"
        )
    if isinstance(source, bytes | bytearray | memoryview):
        raise AudioError(
            f"{name}: found {type(source).__name__}, wanted a path, an open file or an array: io.BytesIO(...) makes a "
            "file of a sound file's bytes, np.frombuffer(..., np.int16) an array of raw samples"
        )
    if hasattr(source, "detach"):  # a tensor
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    elif hasattr(source, "__array__"):
        source = np.asarray(source)
    if not isinstance(source, np.ndarray):
        raise AudioError(
            f"{name}: found {type(source).__name__}, wanted a sound file's path, an open file, or a waveform as an "
            "array or tensor"
        )
    if source.dtype.kind == "f" or source.dtype.kind in "iu" and source.dtype.itemsize <= 4:
        return source
    raise AudioError(
        f"{name}: found samples of type {source.dtype}, wanted floats of full scale 1, or integers of 8, 16 or 32 bits "
        "of which the largest is full scale (16-bit samples in wider integers: .astype(np.int16))"
    )


def _samples_first(array: np.ndarray, name: str) -> np.ndarray:
    """(S,), (S, channels) or (channels, S) -> (S, channels)."""
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.size:
        raise AudioError(
            f"{name}: found the shape {array.shape}, wanted (samples,), (samples, channels) or (channels, samples) "
            "with samples in it; transcribe_batch takes several recordings"
        )
    if min(array.shape) > MAX_CHANNELS:
        raise AudioError(
            f"{name}: found the shape {array.shape}: wanted a waveform, of {MAX_CHANNELS} channels or fewer"
        )
    if array.shape[0] == array.shape[1] > 1:
        raise AudioError(f"{name}: found the shape {array.shape}, where samples and channels cannot be told apart")
    return array.T if array.shape[0] < array.shape[1] else array


def _checked_rate(sample_rate: Any, name: str) -> int:
    low, high = RATES
    rate = float(sample_rate) if isinstance(sample_rate, numbers.Real) else math.nan
    if low <= rate <= high and rate.is_integer():
        return int(rate)
    raise AudioError(f"{name}: found the sample rate {sample_rate!r}, wanted whole Hz, {low} to {high}")


def _resampled(
    waveform: np.ndarray, from_rate: int, to_rate: int, channel: int | None, name: str, report: Report
) -> Iterator[np.ndarray]:
    """waveform (S, channels) -> one block (S,) float32."""
    mono = waveform.mean(axis=1) if channel is None else waveform[:, channel]
    if waveform.dtype.kind in "iu":
        full_scale = 2.0 ** (8 * waveform.dtype.itemsize - 1)
        middle = full_scale if waveform.dtype.kind == "u" else 0.0
        mono = (mono - middle) / full_scale
    mono = np.ascontiguousarray(mono, np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(f"{name}: holds samples that are NaN or infinite")
    resampled = resample(mono, from_rate, to_rate)
    if not len(resampled):
        raise AudioError(f"{name}: {len(mono)} samples at {from_rate} Hz are too few to resample to {to_rate} Hz")
    yield resampled
