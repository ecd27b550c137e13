"""Sound files block by block, for recordings that are too long to hold: what `asr.audio.load` gives, in pieces."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soxr

from asr.audio.reader import Report
from asr.audio.sound_file import open_sound
from asr.errors import AudioError


def stream(
    path: Path | str,
    sample_rate: int,
    channel: int | None = None,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    track: int | None = None,
    report: Report | None = None,
) -> Iterator[np.ndarray]:
    """Blocks (S,) float32, mono, at `sample_rate`, of a file or a part of it; memory does not grow with the length.

    The arguments are those of `asr.audio.load.load_audio`, and it raises AudioError as that does; where a file is
    damaged in the middle, after the blocks before that.
    """
    with open_sound(path, track) as sound:
        yield from resampled(sound.blocks(channel, offset, duration, report), sound.sample_rate, sample_rate, str(path))


def resampled(blocks: Iterable[np.ndarray], from_rate: int, to_rate: int, name: str) -> Iterator[np.ndarray]:
    """Mono blocks at another rate, as if they were resampled in one. Raises AudioError where nothing comes out."""
    resampler = soxr.ResampleStream(from_rate, to_rate, 1, quality="HQ") if from_rate != to_rate else None
    samples_in = samples_out = 0
    for block in blocks:
        samples_in += len(block)
        if resampler:
            block = resampler.resample_chunk(block)
        samples_out += len(block)
        if len(block):
            yield block
    if resampler:
        block = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        samples_out += len(block)
        if len(block):
            yield block
    if not samples_in:
        raise AudioError(f"{name}: the file holds no audio samples")
    if not samples_out:
        raise AudioError(f"{name}: {samples_in} samples at {from_rate} Hz are too few to resample to {to_rate} Hz")
