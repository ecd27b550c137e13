"""Augmentation: what each kind does to sound and features, and that a seed says all."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr.audio import codecs
from asr.audio.load import load_audio
from asr.data import augment
from asr.data.augment import (
    AugmentConfig,
    Augmenter,
    CodecConfig,
    NoiseConfig,
    RoomConfig,
    SpecAugment,
    SpecAugmentConfig,
    add_noise,
    add_room,
    change_speed,
    stretch,
)
from asr.errors import AudioError, ConfigError, DataError

RATE = 8_000
CLEAN = AugmentConfig(speed=[1.0])


def tone(pitch: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def white(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def power(waveform: np.ndarray) -> float:
    return float(np.mean(waveform.astype(np.float64) ** 2))


def pitch_of(waveform: np.ndarray) -> float:
    """Hz of the strongest frequency."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax()) * RATE / len(waveform)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder with two noises, one of them in a sub-folder, at another rate and in stereo; and one response."""
    (tmp_path / "noise" / "street").mkdir(parents=True)
    (tmp_path / "rooms").mkdir()
    soundfile.write(tmp_path / "noise" / "hiss.wav", white(0.5), RATE)
    soundfile.write(tmp_path / "noise" / "street" / "hum.flac", np.stack([tone(50), tone(60)], axis=1), 2 * RATE)
    (tmp_path / "noise" / "LICENCE.txt").write_text("free", encoding="utf-8")
    soundfile.write(tmp_path / "rooms" / "hall.wav", response(delay=40), RATE)
    return tmp_path


def response(delay: int) -> np.ndarray:
    """A direct sound after `delay` samples, and what follows it: a tail that dies away in a tenth of a second."""
    tail = 0.2 * np.random.default_rng(5).standard_normal(800) * np.exp(-np.arange(800) / 150)
    tail[0] = 1.0
    return np.concatenate([np.zeros(delay), tail]).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------- speed


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch_and_not_the_level(factor: float) -> None:
    fast = change_speed(tone(1000), factor)
    assert fast.dtype == np.float32
    assert abs(len(fast) - RATE / factor) <= 1
    assert pitch_of(fast) == pytest.approx(1000 * factor, abs=RATE / len(fast))  # within one bin
    middle = slice(len(fast) // 4, -len(fast) // 4)  # the ends ring
    assert power(fast[middle]) == pytest.approx(power(tone(1000)), rel=0.01)


def test_speed_of_one_changes_nothing() -> None:
    waveform = white(0.2)
    assert change_speed(waveform, 1.0) is waveform


def test_speeds_are_drawn_as_likely_each() -> None:
    rng = np.random.default_rng(1)
    augmenter = Augmenter(AugmentConfig(), RATE)
    factors, counts = np.unique([augmenter.draw_speed(rng) for _ in range(3000)], return_counts=True)
    assert factors.tolist() == [0.9, 1.0, 1.1]
    assert (abs(counts - 1000) < 110).all()  # four standard deviations of a third of 3000 draws


def test_a_speed_that_is_given_is_used() -> None:
    assert len(Augmenter(AugmentConfig(), RATE)(white(1.0), np.random.default_rng(0), speed=0.5)) == 2 * RATE


# ------------------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 7.5, 30.0])
def test_noise_has_the_wanted_snr(snr_db: float) -> None:
    speech = tone(440)
    noisy = add_noise(speech, white(1.0), snr_db)
    assert noisy.dtype == np.float32
    # float32 rounds the sum: of noise 30 dB below the speech, five digits are left.
    assert 10 * np.log10(power(speech) / power(noisy - speech)) == pytest.approx(snr_db, abs=1e-3)


@pytest.mark.parametrize(
    "speech, noise",
    [(tone(440), 0 * tone(440)), (tone(440), np.float32(1e-25) * white(1.0)), (0 * tone(440), white(1.0))],
)
def test_silence_has_no_snr_and_nothing_is_added(speech: np.ndarray, noise: np.ndarray) -> None:
    assert np.array_equal(add_noise(speech, noise, 10.0), speech)


@pytest.mark.parametrize("length", [1, 7, 10, 35])
def test_noise_is_cut_or_looped_from_a_random_place(length: int) -> None:
    noise = np.arange(10, dtype=np.float32)
    starts = set()
    for seed in range(100):
        part = stretch(noise, length, np.random.default_rng(seed))
        starts.add(part[0])
        assert np.array_equal(part, (part[0] + np.arange(length)) % 10)
    assert starts == set(range(10))


def test_noise_comes_with_its_probability_and_between_its_snrs(sounds: Path) -> None:
    noise = NoiseConfig(str(sounds / "noise"), probability=0.25, snr_db=(3.0, 12.0))
    augmenter = Augmenter(replace(CLEAN, noise=noise), RATE)
    rng, speech = np.random.default_rng(2), tone(440, 0.1)
    added = [power(augmenter(speech, rng) - speech) for _ in range(2000)]
    snrs = [10 * np.log10(power(speech) / value) for value in added if value]
    assert abs(len(snrs) / 2000 - 0.25) < 0.04  # four standard deviations
    assert min(snrs) > 2.99 and max(snrs) < 12.01
    assert np.mean(snrs) == pytest.approx(7.5, abs=0.5)


def test_noises_are_decoded_once_at_the_models_rate(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    augmenter = Augmenter(replace(CLEAN, noise=NoiseConfig(str(sounds / "noise"), probability=1.0)), RATE)
    loaded: list[Path] = []
    load = load_audio

    def counting(path: Path, *args: Any, **options: Any) -> tuple[np.ndarray, int]:
        loaded.append(path)
        return load(path, *args, **options)

    monkeypatch.setattr(augment, "load_audio", counting)
    rng = np.random.default_rng(0)
    for _ in range(30):
        augmenter(tone(440, 0.1), rng)
    assert sorted(path.name for path in loaded) == ["hiss.wav", "hum.flac"]
    hum = augmenter.noises.kept[sounds / "noise" / "street" / "hum.flac"]
    assert len(hum) == RATE // 2  # a second of samples at twice the rate


def test_what_does_not_fit_in_memory_is_decoded_again(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CLEAN, noise=NoiseConfig(str(sounds / "noise"), probability=1.0))
    kept = Augmenter(config, RATE)
    monkeypatch.setattr(augment, "KEPT_SECONDS", 0.6)  # both noises last 0.5 s
    short_of_memory = Augmenter(config, RATE)
    for seed in range(8):
        a, b = (each(tone(440, 0.1), np.random.default_rng(seed)) for each in (kept, short_of_memory))
        assert np.array_equal(a, b)
    assert (len(kept.noises.kept), len(short_of_memory.noises.kept)) == (2, 1)


# ------------------------------------------------------------------------------------------------------------- rooms


@pytest.mark.parametrize("delay", [0, 40, 900])
def test_the_direct_sound_stays_in_place_and_the_room_follows(delay: int) -> None:
    click = np.zeros(2000, dtype=np.float32)
    click[500] = 0.5
    wet = add_room(click, response(delay))
    assert wet.dtype == np.float32 and len(wet) == len(click)
    assert abs(wet).argmax() == 500
    assert power(wet) == pytest.approx(power(click), rel=1e-5)
    assert abs(wet[:500]).max() < 1e-6  # rounding of the Fourier transform
    assert abs(wet[501:700]).max() > 0.01


def test_a_room_is_a_convolution() -> None:
    speech, room = white(0.3, seed=1), response(delay=25)
    wet = add_room(speech, room)
    plain = np.convolve(speech.astype(np.float64), room)[25 : 25 + len(speech)]
    plain *= np.sqrt(power(speech) / power(plain))
    assert wet == pytest.approx(plain, abs=1e-6)  # float32 of values near 0.1


@pytest.mark.parametrize("waveform, room", [(0 * tone(440), response(3)), (tone(440), 0 * response(3))])
def test_silence_stays_and_a_silent_room_is_no_room(waveform: np.ndarray, room: np.ndarray) -> None:
    assert np.array_equal(add_room(waveform, room), waveform)


def test_rooms_come_with_their_probability(sounds: Path) -> None:
    augmenter = Augmenter(replace(CLEAN, rooms=RoomConfig(str(sounds / "rooms"), probability=0.3)), RATE)
    rng, speech = np.random.default_rng(3), white(0.05)
    changed = sum(not np.array_equal(augmenter(speech, rng), speech) for _ in range(1000))
    assert abs(changed / 1000 - 0.3) < 0.06


def test_of_an_array_of_microphones_the_first_is_used(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "array.wav", np.stack([response(0), np.roll(response(0), 9)], 1), RATE, subtype="FLOAT")
    augmenter = Augmenter(replace(CLEAN, rooms=RoomConfig(str(tmp_path), probability=1.0)), RATE)
    wet = augmenter(white(0.2), np.random.default_rng(0))
    assert np.array_equal(wet, add_room(white(0.2), response(0)))


# -------------------------------------------------------------------------------------------------------- all of them


def test_gain_is_even_in_decibels() -> None:
    augmenter = Augmenter(replace(CLEAN, gain_db=6.0), RATE)
    rng, speech = np.random.default_rng(4), tone(440, 0.05)
    gains = [10 * np.log10(power(augmenter(speech, rng)) / power(speech)) for _ in range(1000)]
    assert min(gains) >= -6.001 and max(gains) <= 6.001
    assert np.mean(gains) == pytest.approx(0, abs=0.45)  # four standard errors
    assert np.std(gains) == pytest.approx(12 / np.sqrt(12), rel=0.1)


def test_the_seed_says_all_and_the_input_is_left_alone(sounds: Path) -> None:
    config = AugmentConfig(
        gain_db=3.0,
        noise=NoiseConfig(str(sounds / "noise"), probability=0.7),
        rooms=RoomConfig(str(sounds / "rooms"), probability=0.7),
    )
    speech = white(0.5, seed=9)
    before = speech.copy()
    first = Augmenter(config, RATE)
    outputs = [first(speech, np.random.default_rng(seed)) for seed in range(20)]
    second = Augmenter(config, RATE)
    for seed in reversed(range(20)):  # in another order: nothing depends on what came before
        assert np.array_equal(second(speech, np.random.default_rng(seed)), outputs[seed])
    assert np.array_equal(speech, before)
    assert all(output.dtype == np.float32 and np.isfinite(output).all() for output in outputs)
    assert len({output.tobytes() for output in outputs}) > 15


def test_nothing_configured_changes_nothing() -> None:
    speech = white(0.1)
    assert Augmenter(CLEAN, RATE)(speech, np.random.default_rng(0)) is speech


def test_it_travels_to_worker_processes(sounds: Path) -> None:
    config = replace(CLEAN, noise=NoiseConfig(str(sounds / "noise"), probability=1.0))
    augmenter = Augmenter(config, RATE)
    here = augmenter(tone(440), np.random.default_rng(1))
    there = pickle.loads(pickle.dumps(augmenter))(tone(440), np.random.default_rng(1))
    assert np.array_equal(here, there)


def test_links_to_folders_are_followed(sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "kind").symlink_to(sounds / "noise", target_is_directory=True)
    speech = tone(440)
    linked, direct = (
        Augmenter(replace(CLEAN, noise=NoiseConfig(str(folder), probability=1.0)), RATE)
        for folder in (tmp_path / "chosen", sounds / "noise")
    )
    assert np.array_equal(linked(speech, np.random.default_rng(1)), direct(speech, np.random.default_rng(1)))


@pytest.mark.parametrize("section, config", [("noise", NoiseConfig), ("rooms", RoomConfig)])
def test_folders_without_sounds_are_refused(tmp_path: Path, section: str, config: type) -> None:
    missing = replace(CLEAN, **{section: config(str(tmp_path / "nowhere"))})
    with pytest.raises(DataError, match=f"data.augment.{section}.folder: .*nowhere: no such folder"):
        Augmenter(missing, RATE)
    (tmp_path / "notes.txt").write_text("no sound", encoding="utf-8")
    with pytest.raises(DataError, match="no sound files in it; wanted files ending in .*wav"):
        Augmenter(replace(CLEAN, **{section: config(str(tmp_path))}), RATE)


def test_a_damaged_noise_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF" + bytes(40))
    augmenter = Augmenter(replace(CLEAN, noise=NoiseConfig(str(tmp_path), probability=1.0)), RATE)
    with pytest.raises(AudioError, match="broken.wav"):
        augmenter(tone(440), np.random.default_rng(0))


NAN = float("nan")


@pytest.mark.parametrize(
    "config, values, field",
    [
        (AugmentConfig, {"speed": []}, "data.augment.speed"),
        (AugmentConfig, {"speed": [1.0, 0.0]}, "data.augment.speed"),
        (AugmentConfig, {"speed": [NAN]}, "data.augment.speed"),
        (AugmentConfig, {"gain_db": -1.0}, "data.augment.gain_db"),
        (AugmentConfig, {"gain_db": float("inf")}, "data.augment.gain_db"),
        (NoiseConfig, {"probability": 1.5}, "data.augment.noise.probability"),
        (NoiseConfig, {"snr_db": (20.0, 10.0)}, "data.augment.noise.snr_db"),
        (NoiseConfig, {"snr_db": (NAN, 10.0)}, "data.augment.noise.snr_db"),
        (RoomConfig, {"probability": -0.1}, "data.augment.rooms.probability"),
        (SpecAugmentConfig, {"freq_masks": -1}, "spec_augment.freq_masks"),
        (SpecAugmentConfig, {"freq_width": -1}, "spec_augment.freq_width"),
        (SpecAugmentConfig, {"time_masks": -1}, "spec_augment.time_masks"),
        (SpecAugmentConfig, {"time_width": -1}, "spec_augment.time_width"),
        (SpecAugmentConfig, {"time_fraction": 1.1}, "spec_augment.time_fraction"),
    ],
)
def test_impossible_values_name_the_field(config: Any, values: dict, field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: found .*, wanted "):
        config(**values)


def test_noises_and_rooms_of_the_mirror(mirror: Path) -> None:
    config = AugmentConfig(
        noise=NoiseConfig(str(mirror / "noise" / "ESC-10"), probability=1.0),
        rooms=RoomConfig(str(mirror / "noise" / "rirs"), probability=1.0),
    )
    augmenter = Augmenter(config, 16_000)
    assert (len(augmenter.noises.files), len(augmenter.rooms.files)) == (400, 4)
    rng = np.random.default_rng(0)
    for _ in range(5):
        augmented = augmenter(white(1.0), rng, speed=1.0)
        assert np.isfinite(augmented).all() and power(augmented) > power(white(1.0)) / 2


# ------------------------------------------------------------------------------------------------------- SpecAugment

FRAMES, SIZE = 200, 40


def masked(config: SpecAugmentConfig, lengths: list[int], seed: int = 0) -> torch.Tensor:
    """(B, T, F) bool: which of features that are all 1, padding too, SpecAugment has set to 0."""
    features = torch.ones(len(lengths), FRAMES, SIZE)
    output = SpecAugment(config)(features, torch.tensor(lengths), torch.Generator().manual_seed(seed))
    assert set(output.unique().tolist()) <= {0.0, 1.0}
    return output == 0


def stripes(line: torch.Tensor) -> list[tuple[int, int]]:
    """The [first, last + 1) of each run of True in (N,) bool."""
    edges = torch.diff(line.int(), prepend=torch.zeros(1), append=torch.zeros(1))
    return list(zip(edges.eq(1).nonzero()[:, 0].tolist(), edges.eq(-1).nonzero()[:, 0].tolist(), strict=True))


def test_time_masks_are_whole_frames_capped_by_each_utterances_length() -> None:
    config = SpecAugmentConfig(freq_masks=0, time_masks=1, time_width=30, time_fraction=0.2)
    lengths = [200, 150, 100, 20, 4] * 200
    mask = masked(config, lengths)
    assert torch.equal(mask.any(2), mask.all(2))  # all features of a frame, or none
    caps = torch.tensor(lengths).mul(0.2).clamp(max=30).floor().int()
    widths = mask.any(2).sum(1)
    assert (widths <= caps).all()
    for cap in (30, 20, 4, 0):  # every width up to the cap comes, the cap too
        assert widths[caps == cap].unique().tolist() == list(range(cap + 1))
    for line, length in zip(mask.any(2), lengths, strict=True):
        runs = stripes(line)
        assert len(runs) <= 1 and all(stop <= length for _, stop in runs)


def test_time_masks_lie_anywhere_up_to_both_ends() -> None:
    config = SpecAugmentConfig(freq_masks=0, time_masks=1, time_width=5, time_fraction=1.0)
    lines = masked(config, [50] * 1000).any(2)
    starts, stops = zip(*(run for line in lines for run in stripes(line)), strict=True)
    assert min(starts) == 0 and max(stops) == 50
    middle = lines.float().mean(0)[5:45]
    assert middle.min() > 0.5 * middle.max()


def test_frequency_masks_are_whole_stripes_over_valid_frames() -> None:
    config = SpecAugmentConfig(freq_masks=1, freq_width=8, time_masks=0)
    lengths = [200, 120, 1] * 300
    mask = masked(config, lengths)
    rows = mask[:, 0]
    for part, row, length in zip(mask, rows, lengths, strict=True):
        assert torch.equal(part[:length], row.expand(length, SIZE))
        assert len(stripes(row)) <= 1
    assert rows.sum(1).unique().tolist() == list(range(9))
    assert rows[:, 0].any() and rows[:, -1].any()


@pytest.mark.parametrize("config", [SpecAugmentConfig(), SpecAugmentConfig(5, 40, 5, 100, 1.0)])
def test_padding_is_never_touched(config: SpecAugmentConfig) -> None:
    lengths = [200, 130, 7, 1]
    mask = masked(config, lengths)
    for part, length in zip(mask, lengths, strict=True):
        assert not part[length:].any()


def test_several_masks_and_masks_wider_than_the_features() -> None:
    wide = SpecAugmentConfig(freq_masks=1, freq_width=1000, time_masks=0)
    assert masked(wide, [10] * 500)[:, 0].sum(1).max() == SIZE
    several = SpecAugmentConfig(freq_masks=0, time_masks=3, time_width=10, time_fraction=1.0)
    counts = [len(stripes(line)) for line in masked(several, [200] * 300).any(2)]
    assert max(counts) == 3 and np.mean(counts) > 2


def test_each_utterance_has_its_own_masks_and_a_seed_says_all() -> None:
    config = SpecAugmentConfig()
    first, again, other = (masked(config, [200] * 8, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({part.numpy().tobytes() for part in first}) == 8


def test_the_input_is_left_alone_and_kept_where_it_is_not_masked() -> None:
    features = torch.randn(3, FRAMES, SIZE)
    before = features.clone()
    output = SpecAugment(SpecAugmentConfig())(features, torch.tensor([200, 90, 30]), torch.Generator().manual_seed(0))
    assert torch.equal(features, before)
    assert torch.equal(output[output != 0], features[output != 0])
    assert (output == 0).any()


def test_only_in_training() -> None:
    features = torch.randn(2, FRAMES, SIZE)
    layer = SpecAugment(SpecAugmentConfig()).eval()
    assert layer(features, torch.tensor([200, 100]), torch.Generator()) is features


def test_no_masks_change_nothing() -> None:
    assert not masked(SpecAugmentConfig(freq_masks=0, time_masks=0), [200, 100]).any()
    assert not masked(SpecAugmentConfig(freq_width=0, time_width=0), [200, 100]).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_every_device_masks_alike() -> None:
    features, lengths = torch.randn(16, FRAMES, SIZE), torch.randint(1, FRAMES, (16,))
    outputs = [
        SpecAugment(SpecAugmentConfig())(features.to(device), lengths.to(device), torch.Generator().manual_seed(3))
        for device in ("cpu", "cuda")
    ]
    assert torch.equal(outputs[0], outputs[1].cpu())


CODEC_RATE = 16_000


def test_a_telephone_keeps_its_band_alone():
    """A tone within 300 to 3400 Hz stays; one above and one below go."""
    for hertz, kept in ((1000, True), (5000, False), (60, False)):
        tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(CODEC_RATE) / CODEC_RATE).astype(np.float32)
        found = codecs.telephone(tone, CODEC_RATE)
        assert found.shape == tone.shape and found.dtype == np.float32
        share = np.mean(found[1000:-1000] ** 2) / np.mean(tone**2)
        assert share > 0.9 if kept else share < 0.01, hertz


def test_codecs_leave_speech_in_its_place():
    """Noise that is on for half a second comes out on for the same half second."""
    burst = np.zeros(CODEC_RATE, np.float32)
    burst[4000:12000] = 0.1 * np.random.default_rng(0).standard_normal(8000)
    for coded in (codecs.telephone(burst, CODEC_RATE), codecs.mp3(burst, CODEC_RATE, 32.0)):
        assert len(coded) == len(burst)
        power = coded**2
        assert power[4000:12000].sum() > 0.95 * power.sum()


@pytest.mark.parametrize("length", [0, 1, 50])
def test_the_shortest_waveforms_go_through_codecs(length):
    waveform = np.full(length, 0.1, np.float32)
    assert len(codecs.telephone(waveform, CODEC_RATE)) == len(codecs.mp3(waveform, CODEC_RATE)) == length


def test_codecs_are_drawn_as_often_as_said():
    waveform = 0.1 * np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    augmenter = Augmenter(AugmentConfig(speed=[1.0], codecs=CodecConfig(telephone=0.3)), CODEC_RATE)
    changed = sum(not np.array_equal(augmenter(waveform, np.random.default_rng(i)), waveform) for i in range(300))
    assert 60 < changed < 120


def test_impossible_probabilities_of_codecs_are_refused():
    with pytest.raises(ConfigError, match="telephone"):
        CodecConfig(telephone=1.5)
