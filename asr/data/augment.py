"""Augmentation, in training only: of waveforms (speed, rooms, noise, codecs, gain) and of features (SpecAugment).

Every draw comes from a generator that is given, so that the same seed makes the same speech.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from asr.audio import codecs
from asr.audio.load import load_audio
from asr.errors import DataError
from asr.model.features import frame_mask
from asr.settings import require

ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}
SILENCE = 1e-12  # amplitude; below it, as in what resampling leaves of zeros, squares could underflow
KEPT_SECONDS = 3600.0  # of decoded noise, and of rooms, held in memory: 230 MB at 16 kHz


@dataclass(frozen=True)
class NoiseConfig:
    """Noise added to some utterances."""

    folder: str = ""  # sound files, sub-folders too; none: no noise
    probability: float = 0.5  # of an utterance to get noise
    snr_db: tuple[float, float] = (5.0, 25.0)  # speech power over noise power, drawn evenly

    def __post_init__(self) -> None:
        low, high = self.snr_db
        require(
            "data.augment.noise",
            (0 <= self.probability <= 1, "probability", self.probability, "0 to 1"),
            (-100 <= low <= high <= 100, "snr_db", self.snr_db, "-100 to 100 dB, the lower first"),
        )


@dataclass(frozen=True)
class RoomConfig:
    """Room impulse responses that some utterances are heard through."""

    folder: str = ""  # sound files, of which the first channel counts; none: no rooms
    probability: float = 0.3

    def __post_init__(self) -> None:
        require("data.augment.rooms", (0 <= self.probability <= 1, "probability", self.probability, "0 to 1"))


@dataclass(frozen=True)
class CodecConfig:
    """What some utterances go through after all else: a telephone's band of varying width, MP3 at 16 to 64 kbit/s."""

    telephone: float = 0.0  # probability
    mp3: float = 0.0  # probability; of those that no telephone was drawn for

    def __post_init__(self) -> None:
        require(
            "data.augment.codecs",
            (0 <= self.telephone <= 1, "telephone", self.telephone, "0 to 1"),
            (0 <= self.mp3 <= 1, "mp3", self.mp3, "0 to 1"),
        )


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to training waveforms. Raises ConfigError for impossible values."""

    speed: list[float] = field(default_factory=lambda: [0.9, 1.0, 1.1])  # each as likely; Ko et al., 2015
    gain_db: float = 0.0  # louder or softer by up to this
    rooms: RoomConfig = field(default_factory=RoomConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    codecs: CodecConfig = field(default_factory=CodecConfig)
    join: float = 0.0  # probability that another utterance follows in the same example: speakers take turns

    def __post_init__(self) -> None:
        good = bool(self.speed) and all(0.5 <= factor <= 2 for factor in self.speed)
        require(
            "data.augment",
            (good, "speed", self.speed, "a list of factors from 0.5 to 2; [1.0] changes nothing"),
            (0 <= self.gain_db <= 60, "gain_db", self.gain_db, "0 to 60 decibels"),
            (0 <= self.join < 1, "join", self.join, "0 to below 1"),
        )


class Augmenter:
    """Waveforms (S,) float32 to other waveforms of the same text. Speed, then room, noise, codec, gain.

    Levels may leave [-1, 1]: nothing is clipped, since nobody plays the result. Raises DataError for a folder without
    sound files, AudioError, when it is drawn, for a file that cannot be read.
    """

    def __init__(self, config: AugmentConfig, sample_rate: int):
        self.config = config
        self.sample_rate = sample_rate
        self.noises = _Sounds(config.noise.folder, "data.augment.noise.folder", sample_rate)
        # The microphones of an array hear the direct sound at different times: their mean would be a comb filter.
        self.rooms = _Sounds(config.rooms.folder, "data.augment.rooms.folder", sample_rate, channel=0)

    def draw_speed(self, rng: np.random.Generator) -> float:
        """One of the configured factors."""
        return float(self.config.speed[rng.integers(len(self.config.speed))])

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, speed: float | None = None) -> np.ndarray:
        """The augmented waveform, S / speed samples long; `speed` is drawn where it is not given."""
        waveform = change_speed(waveform, self.draw_speed(rng) if speed is None else speed)
        if self.rooms.files and rng.random() < self.config.rooms.probability:
            waveform = add_room(waveform, self.rooms.draw(rng))
        if self.noises.files and rng.random() < self.config.noise.probability:
            noise = stretch(self.noises.draw(rng), len(waveform), rng)
            waveform = add_noise(waveform, noise, rng.uniform(*self.config.noise.snr_db))
        waveform = self._through_codec(waveform, rng)
        if self.config.gain_db:
            waveform = waveform * np.float32(10 ** (rng.uniform(-self.config.gain_db, self.config.gain_db) / 20))
        return waveform

    def _through_codec(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # Without codecs nothing is drawn: what follows stays as it was.
        wanted = self.config.codecs
        if wanted.telephone and rng.random() < wanted.telephone:
            band = float(rng.uniform(150, 400)), float(rng.uniform(3000, 3700))
            return codecs.telephone(waveform, self.sample_rate, band)
        if wanted.mp3 and rng.random() < wanted.mp3:
            return codecs.mp3(waveform, self.sample_rate, kbits=float(rng.uniform(16, 64)))
        return waveform


def sound_files(folder: Path | str) -> list[Path]:
    """Those below a folder, sorted; links are followed: they are how one takes some kinds of noise and leaves others
    for testing."""
    walk = os.walk(folder, followlinks=True)
    paths = (Path(place) / name for place, _, names in walk for name in names)
    return sorted(path for path in paths if path.suffix.lower() in ENDINGS and path.is_file())


class _Sounds:
    """The sound files below a folder, decoded when first drawn and then kept, since decoding is slow."""

    def __init__(self, folder: str, name: str, sample_rate: int, channel: int | None = None):
        """name: of the setting that the folder comes from. No folder: no files."""
        self.files = sound_files(folder) if folder else []
        if folder and not self.files:
            found = "no sound files in it" if Path(folder).is_dir() else "no such folder"
            raise DataError(f"{name}: {folder}: {found}; wanted files ending in {', '.join(sorted(ENDINGS))}")
        self.sample_rate = sample_rate
        self.channel = channel
        self.kept: dict[Path, np.ndarray] = {}
        self.spare = KEPT_SECONDS * sample_rate  # samples that may still be kept

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        path = self.files[rng.integers(len(self.files))]
        if path in self.kept:
            return self.kept[path]
        waveform, _ = load_audio(path, self.sample_rate, channel=self.channel)
        if len(waveform) <= self.spare:
            self.kept[path] = waveform
            self.spare -= len(waveform)
        return waveform


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Play (S,) `factor` times as fast, pitch and all: S / factor samples."""
    if factor == 1:
        return waveform
    # librosa.resample makes the same of it by the same soxr in 1.2 times the time: benchmarks/features.py.
    played: np.ndarray = soxr.resample(waveform, factor, 1.0, quality="HQ").astype(np.float32, copy=False)
    return played


def add_room(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve (S,) with a room's impulse response (R,). The direct sound stays in place; length and power stay too."""
    # torchaudio's fftconvolve takes 5 to 8 times as long: its transform is as long as the result, not a power of two.
    size = 1 << (len(waveform) + len(response) - 2).bit_length()
    spectrum = np.fft.rfft(waveform, size) * np.fft.rfft(response, size)
    direct = int(np.abs(response).argmax())
    wet: np.ndarray = np.fft.irfft(spectrum, size)[direct : direct + len(waveform)]
    power = np.mean(wet**2)
    if not power:  # a silent response, or a silent utterance
        return waveform
    wet = wet * np.sqrt(np.mean(waveform**2) / power)
    return wet.astype(np.float32)


def add_noise(waveform: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise (S,) to speech (S,), scaled so that 10 log10(speech power / noise power) = snr_db."""
    from asr.torchaudio_import import torchaudio  # here, for transcribing imports this module too

    if np.abs(noise).max() < SILENCE:
        return waveform
    speech, level = torch.from_numpy(waveform), torch.tensor(snr_db)
    mixed: np.ndarray = torchaudio.functional.add_noise(speech, torch.from_numpy(noise), level).numpy()
    return mixed


def stretch(noise: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """`length` samples of the noise, from a random place, starting over at its end."""
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
        for name in ("freq_masks", "freq_width", "time_masks", "time_width"):
            require("spec_augment", (getattr(self, name) >= 0, name, getattr(self, name), "0 or more"))
        require("spec_augment", (0 <= self.time_fraction <= 1, "time_fraction", self.time_fraction, "0 to 1"))


class SpecAugment(nn.Module):
    """Masks stripes of frequency and stretches of time with 0, the mean of normalised features. In training only.

    Each utterance has its own masks. A mask is 0 to its greatest width wide, all widths as likely, and lies anywhere in
    the utterance as likely; masks may overlap.
    """

    def __init__(self, config: SpecAugmentConfig):
        super().__init__()
        self.config = config

    def forward(self, features: Tensor, num_frames: Tensor, generator: torch.Generator) -> Tensor:
        """features (B, T, F), num_frames (B,), a CPU generator -> (B, T, F). Padded frames are left as they are."""
        if not self.training:
            return features
        batch, frames, size = features.shape
        config = self.config
        lengths = num_frames.to(features.device, torch.float32)[:, None]
        sizes = torch.full_like(lengths, size)
        in_frequency = _masks(config.freq_masks, sizes.clamp(max=config.freq_width), sizes, size, generator)
        widest = (config.time_fraction * lengths).clamp(max=config.time_width)
        in_time = _masks(config.time_masks, widest, lengths, frames, generator)
        valid = frame_mask(num_frames.to(features.device), frames)[:, :, None]
        masked = (in_frequency[:, None, :] | in_time[:, :, None]) & valid
        return features.masked_fill(masked, 0)


def _masks(count: int, widest: Tensor, lengths: Tensor, total: int, generator: torch.Generator) -> Tensor:
    """(B, total) bool: `count` stripes each, of 0 to `widest` (B, 1) wide, anywhere within `lengths` (B, 1)."""
    # Drawn on the CPU and used where the features are: every device masks alike, and none has to send lengths back.
    draws = torch.rand((2, len(lengths), count), generator=generator).to(lengths.device)
    width = (draws[0] * (widest + 1)).floor().minimum(widest.floor())
    start = (draws[1] * (lengths - width + 1)).floor()
    place = torch.arange(total, device=lengths.device)
    inside = (place >= start[..., None]) & (place < (start + width)[..., None])
    return inside.any(dim=1)
