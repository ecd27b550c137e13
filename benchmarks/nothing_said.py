"""Words found where nobody speaks: minutes of coloured noise, of silence, and of what folders hold.

    python benchmarks/nothing_said.py --sounds data/noise/test data/music/test
    python benchmarks/nothing_said.py MODEL --sounds data/music/test --min-confidence 0

Each kind is one recording, made of the folder's files in order, again and again, up to --minutes; noise is at -30 dBFS.
All is transcribed as `asr transcribe` does it.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from asr.api import load_model
from asr.audio.load import load_audio
from asr.data.augment import sound_files
from asr.decoders.settings import DecoderSettings
from asr.errors import ConfigError, UserError
from asr.model.folder import find_model

RATE = 16_000  # Hz
LEVEL = 10 ** (-30 / 20)  # root mean square of the noises, of full scale
SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}  # amplitude falls with frequency to this power


def noise(slope: float, samples: int) -> np.ndarray:
    """Gaussian noise (S,) whose spectrum falls as frequency ** -slope, from 20 Hz on."""
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=samples))
    frequency = np.fft.rfftfreq(samples) * RATE
    shaped = np.fft.irfft(spectrum / np.maximum(frequency, 20) ** slope, samples)
    return (shaped * LEVEL / np.sqrt(np.mean(shaped**2))).astype(np.float32)


def sounds(folder: str, samples: int) -> np.ndarray:
    """The files of a folder and its sub-folders one after the other (S,). Raises ConfigError where there are none."""
    found = [load_audio(path, RATE)[0] for path in sound_files(folder)]
    if not found:
        raise ConfigError(f"--sounds: no sound files in {folder}")
    return np.resize(np.concatenate(found), samples)


def recordings(folders: Sequence[str], samples: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and waveforms (S,)."""
    yield "silence", np.zeros(samples, np.float32)
    for name, slope in SLOPES.items():
        yield f"{name} noise", noise(slope, samples)
    for folder in folders:
        yield folder, sounds(folder, samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="model folder (default: the one that comes with asr)")
    parser.add_argument("--sounds", nargs="+", default=[], metavar="FOLDER", help="sounds in which nobody speaks")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each kind (default: 10)")
    parser.add_argument("--min-confidence", type=float, help="in place of the model's")
    args = parser.parse_args()
    try:
        folder = find_model(args.model)
        settings = DecoderSettings.of(folder)
        if args.min_confidence is not None:
            settings = replace(settings, min_confidence=args.min_confidence)
        transcriber = load_model(folder, settings=settings, device="cpu")
        print(
            f"min_confidence {settings.min_confidence:g}\n\n| sound | words | a minute | such as |\n|---|---|---|---|"
        )
        for name, waveform in recordings(args.sounds, round(args.minutes * 60 * RATE)):
            text = transcriber.transcribe(waveform, sample_rate=RATE).text
            words = text.split()
            print(f"| {name} | {len(words)} | {len(words) / args.minutes:.1f} | {' '.join(words[:8])} |", flush=True)
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
