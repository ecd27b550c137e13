"""Join single digits of one speaker to strings: <split>-connected.jsonl beside each manifest of prepared FSDD.

    python recipes/digits/connect.py data/fsdd

A string has 2 to 7 digits of one speaker and one split, with 0 to 0.3 s of silence between them. Which takes go where is
drawn from a fixed seed, so that everybody gets the same strings.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile

from asr import audio, manifest
from asr.errors import ManifestError
from asr.manifest import Utterance

RATE = 8_000  # Hz, the corpus's own
STRINGS = {"train": 900, "dev": 100, "test": 200}
LENGTHS = (2, 7)  # digits in a string
PAUSE = 0.3  # seconds, the longest


def connect(rows: list[Utterance], folder: Path, count: int, rng: np.random.Generator) -> list[Utterance]:
    """Write `count` FLAC files to the folder; return their rows."""
    by_speaker = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker or ""].append(row)
    speakers = sorted(by_speaker)
    folder.mkdir(parents=True, exist_ok=True)
    strings = []
    for i in range(count):
        speaker = speakers[i % len(speakers)]
        takes = by_speaker[speaker]
        chosen = [takes[k] for k in rng.integers(len(takes), size=rng.integers(LENGTHS[0], LENGTHS[1] + 1))]
        parts = []
        for take in chosen:
            parts += [audio.load(take.audio_filepath, RATE)[0], np.zeros(int(rng.uniform(0, PAUSE) * RATE), np.float32)]
        waveform = np.concatenate(parts[:-1])
        path = folder / f"{speaker}-{i:04d}.flac"
        soundfile.write(path, waveform, RATE)
        text = " ".join(take.text for take in chosen)
        strings.append(Utterance(path.stem, str(path), len(waveform) / RATE, text, speaker=speaker))
    return strings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of prepared FSDD, with train.jsonl, dev.jsonl, test.jsonl")
    folder = parser.parse_args().folder
    for number, (split, count) in enumerate(STRINGS.items()):
        try:
            rows = manifest.read(folder / f"{split}.jsonl")
        except ManifestError as error:
            parser.exit(2, f"connect.py: {error}\nrun `asr prepare fsdd` first\n")
        strings = connect(rows, folder / "connected" / split, count, np.random.default_rng(number))
        manifest.write(folder / f"{split}-connected.jsonl", strings)
        print(f"{split}-connected: {len(strings)} strings, {sum(row.duration for row in strings) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
