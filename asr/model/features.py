"""Waveforms to features: log-mel filterbank, MFCC or log power spectrogram, with deltas and CMVN.

They are computed inside the model, on its device, so that training and transcription cannot differ. Every frame of an
utterance is the same whether the utterance is alone or padded in a batch: frames are centred, and what lies outside the
recording is zero in both cases.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from asr.settings import require

LOG_FLOOR = 1e-10
"""Smallest power before the logarithm; librosa's `amin`. Digital silence becomes log(1e-10) = -23."""
MAX_RATE = 192_000  # Hz
MIN_SHIFT = 0.001  # seconds
MAX_WINDOW = 1 << 15  # samples
MAX_FILTERS = 512
"""Bounds of what a frame can take, in memory and time: settings may come with a stranger's model."""


@dataclass(frozen=True)
class FeatureConfig:
    """Settings of the features; stored in the model folder, never given to a later command.

    Raises ConfigError for values that make no features.
    """

    kind: Literal["fbank", "mfcc", "spectrogram"] = "fbank"
    sample_rate: int = 16_000  # Hz; every recording is resampled to it
    frame_length: float = 0.025  # seconds
    frame_shift: float = 0.010  # seconds
    num_filters: int = 80  # mel filters, of fbank and mfcc
    num_ceps: int = 40  # coefficients, of mfcc
    low_freq: float = 20.0  # Hz
    high_freq: float | None = None  # Hz; None is half the sample rate
    deltas: int = 0  # 1 appends the first difference, 2 the second as well
    cmvn: Literal["none", "utterance", "global"] = "utterance"

    def __post_init__(self) -> None:
        require("features", (0 < self.sample_rate <= MAX_RATE, "sample_rate", self.sample_rate, f"1 to {MAX_RATE} Hz"))
        nyquist = self.sample_rate / 2
        require(
            "features",
            (self.frame_shift >= max(MIN_SHIFT, 1 / self.sample_rate), "frame_shift", self.frame_shift,
             f"seconds, at least {MIN_SHIFT:g} and one sample"),
            (self.frame_shift <= self.frame_length, "frame_length", self.frame_length, "at least frame_shift"),
            (self.frame_length * self.sample_rate <= MAX_WINDOW, "frame_length", self.frame_length,
             f"seconds, at most {MAX_WINDOW} samples"),
            (0 <= self.low_freq < self.top_freq <= nyquist, "low_freq, high_freq",
             (self.low_freq, self.high_freq), f"0 <= low_freq < high_freq <= {nyquist:g}"),
            (0 < self.num_filters <= MAX_FILTERS, "num_filters", self.num_filters, f"1 to {MAX_FILTERS}"),
            (self.kind != "mfcc" or 0 < self.num_ceps <= self.num_filters, "num_ceps", self.num_ceps,
             "1 to num_filters"),
            (self.deltas in (0, 1, 2), "deltas", self.deltas, "0, 1 or 2"),
        )  # fmt: skip

    @property
    def top_freq(self) -> float:
        """High edge of the filterbank in Hz."""
        return self.sample_rate / 2 if self.high_freq is None else self.high_freq

    @property
    def window_samples(self) -> int:
        return round(self.frame_length * self.sample_rate)

    @property
    def shift_samples(self) -> int:
        return round(self.frame_shift * self.sample_rate)

    @property
    def fft_size(self) -> int:
        """The next power of two above the window."""
        return 1 << (self.window_samples - 1).bit_length()

    @property
    def base_size(self) -> int:
        """Features in a frame before deltas."""
        return {"fbank": self.num_filters, "mfcc": self.num_ceps, "spectrogram": self.fft_size // 2 + 1}[self.kind]

    @property
    def size(self) -> int:
        """F: features in a frame."""
        return self.base_size * (1 + self.deltas)


def mel_filters(config: FeatureConfig) -> Tensor:
    """Triangular filters on the HTK mel scale, mel(f) = 2595 log10(1 + f / 700), peaks of height 1.

    Returns (fft_size // 2 + 1, num_filters): librosa's to the last bit. (torchaudio's are in float32, up to 1e-5 off;
    to import librosa takes 3 s, torchaudio 0.07 s of every start.)
    """

    def mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    edges = torch.linspace(mel(config.low_freq), mel(config.top_freq), config.num_filters + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    bins = torch.linspace(0, config.sample_rate / 2, config.fft_size // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


def frame_mask(num_frames: Tensor, length: int) -> Tensor:
    """(B, length) bool: True on valid frames."""
    return torch.arange(length, device=num_frames.device) < num_frames[:, None]


class Features(nn.Module):
    """waveforms (B, S) float, num_samples (B,) -> features (B, T, F) float32, num_frames (B,).

    num_frames = num_samples // shift + 1, the frame t being centred on sample t * shift. Padded frames are 0.
    """

    window: Tensor
    filters: Tensor
    dct: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        # Derived from the configuration, so not stored with the weights.
        self.register_buffer("window", torch.hann_window(config.window_samples), persistent=False)
        if config.kind != "spectrogram":
            self.register_buffer("filters", mel_filters(config), persistent=False)
        if config.kind == "mfcc":
            from asr.torchaudio_import import torchaudio

            dct = torchaudio.functional.create_dct(config.num_ceps, config.num_filters, norm="ortho")
            self.register_buffer("dct", dct, persistent=False)
        if config.cmvn == "global":
            self.register_buffer("mean", torch.zeros(config.size))
            self.register_buffer("std", torch.ones(config.size))

    def num_frames(self, num_samples: Tensor) -> Tensor:
        return torch.div(num_samples, self.config.shift_samples, rounding_mode="floor") + 1

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        # Logarithms of small powers need float32, whatever the precision of the training.
        with torch.autocast(waveforms.device.type, enabled=False):
            features, num_frames = self.unnormalised(waveforms.float(), num_samples)
            return self.normalise(features, num_frames), num_frames

    def unnormalised(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Features before CMVN; what lies in padded frames is undefined."""
        config = self.config
        # What torchaudio's MelSpectrogram is around torch.stft costs as much as it saves: benchmarks/features.py.
        spectrum = torch.stft(
            waveforms, config.fft_size, config.shift_samples, config.window_samples, self.window,
            center=True, pad_mode="constant", return_complex=True,
        )  # fmt: skip
        features = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
        if config.kind != "spectrogram":
            features = features @ self.filters
        features = features.clamp(min=LOG_FLOOR).log()
        if config.kind == "mfcc":
            features = features @ self.dct
        num_frames = self.num_frames(num_samples)
        if config.deltas:
            features = _append_deltas(features, num_frames, config.deltas)
        return features, num_frames

    def normalise(self, features: Tensor, num_frames: Tensor) -> Tensor:
        """Cepstral (here: feature) mean and variance normalisation over valid frames; padding becomes 0."""
        mask = frame_mask(num_frames, features.shape[1])[:, :, None]
        if self.config.cmvn == "utterance":
            features = features.masked_fill(~mask, 0)
            count = num_frames[:, None, None]
            mean = features.sum(1, keepdim=True) / count
            variance = ((features - mean).masked_fill(~mask, 0).square()).sum(1, keepdim=True) / count
            features = (features - mean) / (variance + 1e-5).sqrt()
        elif self.config.cmvn == "global":
            features = (features - self.mean) / self.std
        return features.masked_fill(~mask, 0)


def _append_deltas(features: Tensor, num_frames: Tensor, order: int) -> Tensor:
    from asr.torchaudio_import import torchaudio

    # The differences repeat the last frame at the end of the recording: at the end of each, not of the batch.
    index = torch.arange(features.shape[1], device=features.device)[None].minimum(num_frames[:, None] - 1)

    def held(values: Tensor) -> Tensor:
        return values.gather(1, index[:, :, None].expand_as(values))

    parts = [features]
    for _ in range(order):
        delta = torchaudio.functional.compute_deltas(held(parts[-1]).transpose(1, 2), mode="replicate")
        parts.append(delta.transpose(1, 2))
    return torch.cat(parts, dim=2)


class GlobalStatistics:
    """Mean and standard deviation of each feature over a corpus, summed in float64 batch by batch."""

    def __init__(self, features: Features):
        self.features = features
        size = features.config.size
        self.count = 0
        self.total = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    @torch.no_grad()
    def add(self, waveforms: Tensor, num_samples: Tensor) -> None:
        """Count a batch: waveforms (B, S), num_samples (B,)."""
        values, num_frames = self.features.unnormalised(waveforms, num_samples)
        valid = values[frame_mask(num_frames, values.shape[1])].double().cpu()
        self.count += len(valid)
        self.total += valid.sum(0)
        self.squares += valid.square().sum(0)

    def store(self) -> None:
        """Write mean and standard deviation into the features' buffers."""
        mean = self.total / self.count
        variance = self.squares / self.count - mean.square()
        self.features.mean.copy_(mean)
        self.features.std.copy_(variance.clamp(min=1e-8).sqrt())
