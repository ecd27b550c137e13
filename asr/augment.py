"""Augmentation, in training only: of waveforms (speed, gain, noise, rooms) and of features (SpecAugment).

Every draw comes from a generator that is given, so that the same seed makes the same speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from asr import audio
from asr.errors import ConfigError, DataError

ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"}


def _check(*checks: tuple[bool, str, object, str]) -> None:
    for ok, name, found, wanted in checks:
        if not ok:
            raise ConfigError(f"{name}: found {found}, wanted {wanted}")


@dataclass(frozen=True)
class NoiseConfig:
    """Noise added to some utterances."""

    folder: str = ""  # sound files, sub-folders too; none: no noise
    probability: float = 0.5  # of an utterance to get noise
    snr_db: tuple[float, float] = (5.0, 25.0)  # speech power over noise power, drawn evenly

    def __post_init__(self) -> None:
        low, high = self.snr_db
        _check(
            (0 <= self.probability <= 1, "noise.probability", self.probability, "0 to 1"),
            (low <= high, "noise.snr_db", self.snr_db, "the lower first"),
        )


@dataclass(frozen=True)
class RoomConfig:
    """Room impulse responses that some utterances are heard through."""

    folder: str = ""  # sound files; none: no rooms
    probability: float = 0.3

    def __post_init__(self) -> None:
        _check((0 <= self.probability <= 1, "rooms.probability", self.probability, "0 to 1"))


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to training waveforms. Raises ConfigError for impossible values."""

    speed: list[float] = field(default_factory=lambda: [0.9, 1.0, 1.1])  # each as likely; Ko et al., 2015
    gain_db: float = 0.0  # louder or softer by up to this
    rooms: RoomConfig = field(default_factory=RoomConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)

    def __post_init__(self) -> None:
        good = bool(self.speed) and all(0.5 <= factor <= 2 for factor in self.speed)
        _check(
            (good, "augment.speed", self.speed, "a list of factors from 0.5 to 2; [1.0] changes nothing"),
            (self.gain_db >= 0, "augment.gain_db", self.gain_db, "0 or more decibels"),
        )


class Augmenter:
    """Waveforms (S,) float32 to other waveforms of the same text. Speed, then room, noise, gain."""

    def __init__(self, config: AugmentConfig, sample_rate: int):
        self.config = config
        self.sample_rate = sample_rate
        self.noises = _sound_files(config.noise.folder, "augment.noise.folder")
        self.rooms = _sound_files(config.rooms.folder, "augment.rooms.folder")
        # Folders of noise are small beside the speech; decoding them again for each utterance is not.
        self._load = lru_cache(maxsize=512)(self._decode)

    def draw_speed(self, rng: np.random.Generator) -> float:
        """One of the configured factors."""
        return float(self.config.speed[rng.integers(len(self.config.speed))])

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, speed: float | None = None) -> np.ndarray:
        """The augmented waveform, S / speed samples long; `speed` is drawn where it is not given."""
        waveform = change_speed(waveform, self.draw_speed(rng) if speed is None else speed)
        if self.rooms and rng.random() < self.config.rooms.probability:
            waveform = add_room(waveform, self._load(self.rooms[rng.integers(len(self.rooms))]))
        if self.noises and rng.random() < self.config.noise.probability:
            noise = _stretch(self._load(self.noises[rng.integers(len(self.noises))]), len(waveform), rng)
            waveform = add_noise(waveform, noise, rng.uniform(*self.config.noise.snr_db))
        if self.config.gain_db:
            waveform = waveform * np.float32(10 ** (rng.uniform(-self.config.gain_db, self.config.gain_db) / 20))
        return waveform

    def _decode(self, path: Path) -> np.ndarray:
        return audio.load(path, self.sample_rate)[0]


def _sound_files(folder: str, name: str) -> list[Path]:
    if not folder:
        return []
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in ENDINGS)
    if not files:
        raise DataError(f"{name}: no sound files below {folder}")
    return files


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Play (S,) `factor` times as fast, pitch and all: S / factor samples."""
    if factor == 1:
        return waveform
    # Medium quality passes 0 to 90 % of the band and costs half of high quality; nobody hears the augmented audio.
    return soxr.resample(waveform, factor, 1.0, quality="MQ").astype(np.float32, copy=False)


def add_room(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve (S,) with a room's impulse response (R,). The direct sound stays in place; length and power stay too."""
    size = 1 << (len(waveform) + len(response) - 2).bit_length()
    spectrum = np.fft.rfft(waveform, size) * np.fft.rfft(response, size)
    direct = int(np.abs(response).argmax())
    wet = np.fft.irfft(spectrum, size)[direct : direct + len(waveform)]
    power = np.mean(wet**2)
    return (wet * np.sqrt(np.mean(waveform**2) / power) if power else wet).astype(np.float32)


def add_noise(waveform: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise (S,) to speech (S,), scaled so that 10 log10(speech power / noise power) = snr_db."""
    speech_power, noise_power = np.mean(waveform**2), np.mean(noise**2)
    if not noise_power:
        return waveform
    scale = np.sqrt(speech_power / noise_power / 10 ** (snr_db / 10))
    return (waveform + scale * noise).astype(np.float32)


def _stretch(noise: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A stretch of the noise, which starts over where it is too short, from a random place."""
    start = int(rng.integers(len(noise)))
    return np.take(noise, np.arange(start, start + length), mode="wrap")


@dataclass(frozen=True)
class SpecAugmentConfig:
    """SpecAugment (Park et al., 2019). Counts of 0 turn it off. Raises ConfigError for impossible values."""

    freq_masks: int = 2
    freq_width: int = 20  # widest frequency mask, in features
    time_masks: int = 3
    time_width: int = 40  # widest time mask, in frames ...
    time_fraction: float = 0.08  # ... and as a share of the utterance

    def __post_init__(self) -> None:
        counts: Sequence[tuple[str, int]] = (
            ("freq_masks", self.freq_masks), ("freq_width", self.freq_width), ("time_masks", self.time_masks),
            ("time_width", self.time_width),
        )  # fmt: skip
        _check(
            *((value >= 0, f"spec_augment.{name}", value, "0 or more") for name, value in counts),
            (0 <= self.time_fraction <= 1, "spec_augment.time_fraction", self.time_fraction, "0 to 1"),
        )


class SpecAugment(nn.Module):
    """Masks stripes of frequency and stretches of time with 0, the mean of normalised features. In training only."""

    def __init__(self, config: SpecAugmentConfig):
        super().__init__()
        self.config = config

    def forward(self, features: Tensor, num_frames: Tensor, generator: torch.Generator) -> Tensor:
        """features (B, T, F), num_frames (B,), a CPU generator -> (B, T, F)."""
        if not self.training:
            return features
        batch, frames, size = features.shape
        config = self.config
        lengths = num_frames.cpu().float()[:, None]
        widest = (config.time_fraction * lengths).clamp(max=config.time_width)
        # Drawn on the CPU: every device masks alike.
        in_frequency = _masks(
            config.freq_masks, torch.full((batch, 1), float(min(config.freq_width, size))),
            torch.full((batch, 1), float(size)), size, generator,
        )  # fmt: skip
        in_time = _masks(config.time_masks, widest, lengths, frames, generator)
        masked = in_frequency[:, None, :] | in_time[:, :, None]
        return features.masked_fill(masked.to(features.device), 0)


def _masks(count: int, widest: Tensor, lengths: Tensor, total: int, generator: torch.Generator) -> Tensor:
    """(B, total) bool: `count` stripes each, of 0 to `widest` (B, 1) wide, anywhere within `lengths` (B, 1)."""
    shape = (len(lengths), count)
    width = (torch.rand(shape, generator=generator) * (widest + 1)).floor().minimum(widest.floor())
    start = (torch.rand(shape, generator=generator) * (lengths - width + 1)).floor()
    place = torch.arange(total)
    inside = (place >= start[..., None]) & (place < (start + width)[..., None])
    return inside.any(dim=1)
