"""Features: equal to librosa's and torchaudio's, the same alone and padded, normalised over valid frames alone."""

import librosa
import numpy as np
import pytest
import torch

from asr.errors import ConfigError
from asr.model.features import FeatureConfig, Features, GlobalStatistics, mel_filters
from asr.torchaudio_import import torchaudio

RATE = 16_000


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def features_of(config: FeatureConfig, *waveforms: torch.Tensor) -> list[torch.Tensor]:
    """Valid features of each waveform, all in one batch."""
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    batch = torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True)
    values, num_frames = Features(config)(batch, lengths)
    assert values.shape == (len(waveforms), int(num_frames.max()), config.size)
    return [row[:count] for row, count in zip(values, num_frames, strict=True)]


def test_log_mel_equals_librosa() -> None:
    waveform = noise(RATE)
    (ours,) = features_of(FeatureConfig(cmvn="none"), waveform)
    theirs = librosa.feature.melspectrogram(
        y=waveform.numpy(), sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80, fmin=20, fmax=8000,
        htk=True, norm=None, pad_mode="constant",
    )  # fmt: skip
    # Two FFTs in float32 differ in the last digits; 1e-4 in the logarithm is 0.01 % of the power.
    np.testing.assert_allclose(ours.numpy(), np.log(np.maximum(theirs, 1e-10)).T, atol=1e-4)


def test_log_mel_equals_torchaudio() -> None:
    waveform = noise(RATE)
    (ours,) = features_of(FeatureConfig(cmvn="none"), waveform)
    transform = torchaudio.transforms.MelSpectrogram(
        RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80, f_min=20.0, pad_mode="constant"
    )
    torch.testing.assert_close(ours, transform(waveform).clamp(min=1e-10).log().T, atol=1e-4, rtol=0)


def test_mel_filters_equal_librosa() -> None:
    theirs = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=80, fmin=20, fmax=8000, htk=True, norm=None)
    np.testing.assert_allclose(mel_filters(FeatureConfig()).numpy(), theirs.T, atol=1e-5)


def test_mfcc_equals_librosa() -> None:
    waveform = noise(RATE)
    (ours,) = features_of(FeatureConfig(kind="mfcc", num_ceps=20, cmvn="none"), waveform)
    (log_mel,) = features_of(FeatureConfig(cmvn="none"), waveform)
    theirs = librosa.feature.mfcc(S=log_mel.numpy().T, n_mfcc=20, norm="ortho")
    np.testing.assert_allclose(ours.numpy(), theirs.T, atol=1e-3)


def test_deltas_equal_librosa() -> None:
    waveform = noise(RATE)
    (ours,) = features_of(FeatureConfig(deltas=1, cmvn="none"), waveform)
    static, delta = ours[:, :80].numpy(), ours[:, 80:].numpy()
    np.testing.assert_allclose(delta, librosa.feature.delta(static.T, width=5, mode="nearest").T, atol=1e-4)


@pytest.mark.parametrize("kind", ["fbank", "mfcc", "spectrogram"])
@pytest.mark.parametrize("deltas", [0, 2])
@pytest.mark.parametrize("cmvn", ["none", "utterance", "global"])
def test_padding_changes_nothing(kind: str, deltas: int, cmvn: str) -> None:
    config = FeatureConfig(kind=kind, deltas=deltas, cmvn=cmvn)  # type: ignore[arg-type]
    waveforms = [noise(samples, seed) for seed, samples in enumerate([8_000, 123, 4_321, 160])]
    together = features_of(config, *waveforms)
    for waveform, row in zip(waveforms, together, strict=True):
        (alone,) = features_of(config, waveform)
        torch.testing.assert_close(row, alone, atol=2e-4, rtol=1e-4)


def test_padded_frames_are_zero() -> None:
    values, num_frames = Features(FeatureConfig())(torch.ones(2, 3200), torch.tensor([3200, 800]))
    assert num_frames.tolist() == [21, 6]
    assert values[1, 6:].abs().max() == 0


def test_utterance_cmvn_has_mean_0_and_deviation_1() -> None:
    for row in features_of(FeatureConfig(), noise(RATE), noise(5000, 1)):
        torch.testing.assert_close(row.mean(0), torch.zeros(80), atol=1e-4, rtol=0)
        torch.testing.assert_close(row.std(0, unbiased=False), torch.ones(80), atol=1e-3, rtol=0)


def test_global_cmvn_normalises_the_corpus_and_is_stored() -> None:
    config = FeatureConfig(cmvn="global")
    features = Features(config)
    waveforms, lengths = torch.stack([noise(RATE, 1), noise(RATE, 2)]), torch.tensor([RATE, 9_000])
    statistics = GlobalStatistics(features)
    statistics.add(waveforms, lengths)
    statistics.store()
    values, num_frames = features(waveforms, lengths)
    valid = torch.cat([values[0], values[1, : num_frames[1]]])
    torch.testing.assert_close(valid.mean(0), torch.zeros(80), atol=1e-3, rtol=0)
    torch.testing.assert_close(valid.std(0, unbiased=False), torch.ones(80), atol=1e-3, rtol=0)
    assert set(features.state_dict()) == {"mean", "std"}


def test_silence_is_finite() -> None:
    (row,) = features_of(FeatureConfig(), torch.zeros(RATE))
    assert torch.isfinite(row).all()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"high_freq": 9000.0}, "high_freq"),
        ({"deltas": 3}, "deltas"),
        ({"kind": "mfcc", "num_ceps": 100}, "num_ceps"),
        ({"frame_length": 0.001}, "frame_length"),
    ],
)
def test_impossible_settings_are_named(settings: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        FeatureConfig(**settings)
