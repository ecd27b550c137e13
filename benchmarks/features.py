"""Features and augmentation: ours against torchaudio's and librosa's ways, side by side; and what the imports cost.

    python benchmarks/features.py [--seconds 2 5 15] [--threads 1] [--repeats 21]

Each line is one step on noise of so many seconds at 16 kHz. The ways take turns; the ratio is the median of the pairs'
ratios, above 1 where ours is faster, beside the largest difference of the results. Times are CPU time, so that other
work on the machine disturbs them less. An import's time is that of a fresh process that has imported torch already.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import librosa
import numpy as np
import torch

from asr.audio.load import resample
from asr.data.augment import add_noise, add_room, change_speed
from asr.model.features import LOG_FLOOR, FeatureConfig, Features
from asr.torchaudio_import import torchaudio

RATE = 16_000
Way = Callable[[], np.ndarray]


def log_mel(waveform: np.ndarray) -> dict[str, Way]:
    ours, samples = Features(FeatureConfig()), torch.tensor([len(waveform)])
    transform = torchaudio.transforms.MelSpectrogram(
        RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80, f_min=20.0, pad_mode="constant"
    )

    def by_librosa() -> np.ndarray:
        power = librosa.feature.melspectrogram(
            y=waveform, sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80, fmin=20, htk=True, norm=None,
            pad_mode="constant",
        )  # fmt: skip
        return np.log(np.maximum(power, LOG_FLOOR)).T

    return {
        "ours": lambda: ours.unnormalised(torch.from_numpy(waveform)[None], samples)[0][0].numpy(),
        "torchaudio MelSpectrogram": lambda: transform(torch.from_numpy(waveform)).clamp(min=LOG_FLOOR).log().T.numpy(),
        "librosa melspectrogram": by_librosa,
    }


def resampling(waveform: np.ndarray) -> dict[str, Way]:
    return {
        "ours": lambda: resample(waveform, 44_100, RATE),
        "librosa.resample soxr_hq": lambda: librosa.resample(
            waveform, orig_sr=44_100, target_sr=RATE, res_type="soxr_hq", fix=False
        ),
    }


def speed(waveform: np.ndarray) -> dict[str, Way]:
    return {
        "ours": lambda: change_speed(waveform, 0.9),
        "librosa.resample soxr_hq": lambda: librosa.resample(
            waveform, orig_sr=0.9, target_sr=1.0, res_type="soxr_hq", fix=False
        ),
    }


def noise(waveform: np.ndarray) -> dict[str, Way]:
    other = waveform[::-1].copy()

    def by_numpy() -> np.ndarray:
        scale = np.sqrt(np.mean(waveform**2) / np.mean(other**2) / 10)
        return (waveform + scale * other).astype(np.float32)

    return {"ours (torchaudio add_noise)": lambda: add_noise(waveform, other, 10.0), "numpy": by_numpy}


def room(waveform: np.ndarray) -> dict[str, Way]:
    decay = np.exp(-np.arange(RATE // 2) / 2000)
    response = (np.random.default_rng(1).standard_normal(RATE // 2) * decay).astype(np.float32)
    response[0] = 10.0

    def by_torchaudio() -> np.ndarray:
        wet = torchaudio.functional.fftconvolve(torch.from_numpy(waveform), torch.from_numpy(response))[: len(waveform)]
        return (wet * (torch.from_numpy(waveform).square().mean() / wet.square().mean()).sqrt()).numpy()

    return {"ours": lambda: add_room(waveform, response), "torchaudio fftconvolve": by_torchaudio}


STEPS = {"log-mel": log_mel, "resample": resampling, "speed": speed, "noise": noise, "room": room}


def measure(ways: list[Way], repeats: int) -> list[list[float]]:
    """CPU seconds of each way in each turn, after one that is not counted."""
    turns = []
    for _ in range(repeats + 1):
        turn = []
        for way in ways:
            started = time.process_time()
            way()
            turn.append(time.process_time() - started)
        turns.append(turn)
    return turns[1:]


def import_seconds(statement: str) -> float:
    code = f"import time, torch, numpy; start = time.process_time(); {statement}; print(time.process_time() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(3)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 5.03, 15.0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=21)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchaudio", "librosa", "soxr", "numpy"))
    print(f"{versions}; {args.threads} threads")
    for seconds in args.seconds:
        waveform = (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE))).astype(np.float32)
        for name, make in STEPS.items():
            ways = make(waveform)
            turns = measure(list(ways.values()), args.repeats)
            results = [way() for way in ways.values()]
            own = statistics.median(turn[0] for turn in turns)
            print(f"{name}, {seconds:g} s: {next(iter(ways))} {1000 * own:.2f} ms", flush=True)
            for i, other in list(enumerate(ways))[1:]:
                ratio = statistics.median(turn[i] / turn[0] for turn in turns)
                print(f"    {other}: ratio {ratio:.2f}, difference {np.abs(results[i] - results[0]).max():.1e}")
    print("import, CPU seconds:")
    for statement in ("from asr.torchaudio_import import torchaudio", "import librosa; librosa.resample"):
        print(f"    {statement}: {import_seconds(statement):.2f}", flush=True)


if __name__ == "__main__":
    main()
