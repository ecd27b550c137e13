"""A test world that fits in the head: sentences whose letters are pure tones, one pitch a letter."""

from pathlib import Path

import numpy as np
import soundfile

from asr.data import manifest
from asr.data.manifest import Utterance

RATE = 8_000
LETTER = 0.12  # seconds
PITCHES = {letter: 300.0 + 250.0 * i for i, letter in enumerate("ABCDEFGHIJ")}  # Hz
SENTENCES = ("BAD CAB", "FACE A BEE", "DEAD BEEF", "HIDE A JADE")


def tone_waveform(text: str) -> np.ndarray:
    """Each letter a faded tone, a space silence; a little noise from a fixed seed."""
    time = np.arange(int(LETTER * RATE)) / RATE
    fade = np.hanning(len(time))
    parts = [0.4 * fade * np.sin(2 * np.pi * PITCHES[c] * time) if c in PITCHES else 0 * time for c in text]
    silence = np.zeros(RATE // 10)
    waveform = np.concatenate([silence, *parts, silence])
    return (waveform + 0.001 * np.random.default_rng(0).standard_normal(len(waveform))).astype(np.float32)


def write_tones(folder: Path, sentences: tuple[str, ...] = SENTENCES, name: str = "tones") -> Path:
    """WAV files and their manifest."""
    rows = []
    for i, text in enumerate(sentences):
        path = folder / f"{name}{i}.wav"
        waveform = tone_waveform(text)
        soundfile.write(path, waveform, RATE)
        rows.append(Utterance(path.stem, str(path), len(waveform) / RATE, text))
    manifest.write(folder / f"{name}.jsonl", rows)
    return folder / f"{name}.jsonl"


def tone_recipe(folder: Path) -> dict:
    """Values of a recipe that learns the four sentences exactly."""
    tones = str(write_tones(folder))
    return {
        "name": "tones",
        "output": str(folder / "run"),
        "data": {"train": [tones], "valid": [tones], "max_batch_seconds": 10.0, "augment": {"speed": [1.0]}},
        "features": {"sample_rate": RATE, "num_filters": 40},
        "encoder": {"num_layers": 1, "hidden_size": 64, "dropout": 0.0, "subsampling_factor": 2, "conv_channels": 8},
        "spec_augment": {"freq_masks": 0, "time_masks": 0},
        "optimizer": {"lr": 0.01},
        "trainer": {
            "max_epochs": 90,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "check_val_every_n_epoch": 10,
        },
    }


def brief_recipe(folder: Path, **trainer: object) -> dict:
    """Values of a recipe of that kind which trains in a moment and learns little: three epochs of two steps."""
    values = tone_recipe(folder)
    values["data"] |= {"max_batch_seconds": 3.6}
    values["encoder"] |= {"hidden_size": 8, "conv_channels": 2}
    values["trainer"] |= {"max_epochs": 3, "check_val_every_n_epoch": 1, "log_every_n_steps": 1, **trainer}
    return values
