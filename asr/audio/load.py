"""Audio of any format, rate, bit depth and number of channels in; mono float32 at the wanted rate out.

Full scale is 1. With `asr.audio.stream`, which gives the same in blocks, the only place that decodes (by
`asr.audio.sound_file`) or resamples audio.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from asr.audio.reader import Report
from asr.audio.sound_file import open_sound
from asr.errors import AudioError


@dataclass(frozen=True)
class AudioInfo:
    """What is known of a file."""

    sample_rate: int  # Hz
    num_samples: int  # of one channel
    num_channels: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_samples / self.sample_rate


def read_info(path: Path | str, *, track: int | None = None, report: Report | None = None) -> AudioInfo:
    """How long a file is; it is decoded only where its structure does not tell (raw AAC, FLAC from a pipe).

    Raises AudioError where the file is missing, empty or not audio, and, without `report`, where it is known without
    decoding that it is damaged or shorter than its header says.
    """
    with open_sound(path, track) as sound:
        for notice in sound.notices:
            (report or sound.refuse)(notice)
        samples = sum(map(len, sound.blocks(report=report))) if sound.num_samples is None else sound.num_samples
        if not samples:
            raise AudioError(f"{path}: the file holds no audio samples")
        return AudioInfo(sound.sample_rate, samples, sound.num_channels)


def load_audio(
    path: Path | str,
    sample_rate: int | None = None,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
    track: int | None = None,
    report: Report | None = None,
) -> tuple[np.ndarray, int]:
    """Decode a file, or `duration` seconds of it from `offset` on: waveform (S,) float32, mono, and its rate in Hz.

    Channels are averaged unless one (0 is the first) is chosen; of several sound tracks the main one is read, unless
    one is chosen. With `sample_rate` the waveform is resampled to it. With `report`, which is given a notice of each
    damage, what cannot be read is silence. Raises AudioError naming the file where it is missing, empty, not audio, or
    lacks the channel, the track or the part asked for, and, without `report`, where it is truncated or damaged.
    """
    with open_sound(path, track) as sound:
        blocks, rate = list(sound.blocks(channel, offset, duration, report)), sound.sample_rate
    if not blocks:
        raise AudioError(f"{path}: the file holds no audio samples")
    waveform = np.concatenate(blocks)
    if sample_rate is None or sample_rate == rate:
        return waveform, rate
    resampled = resample(waveform, rate, sample_rate)
    if not len(resampled):
        raise AudioError(f"{path}: {len(waveform)} samples at {rate} Hz are too few to resample to {sample_rate} Hz")
    return resampled, sample_rate


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Waveform (S,) at another rate, band-limited: librosa's "soxr_hq", of soxr itself.

    To import librosa takes 3 s, which every transcription of a file at another rate would wait for.
    """
    if from_rate == to_rate:
        return waveform
    resampled: np.ndarray = soxr.resample(waveform, from_rate, to_rate, quality="HQ").astype(np.float32, copy=False)
    return resampled
