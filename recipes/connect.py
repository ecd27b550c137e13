"""Join single words of one speaker to longer utterances, so that a network cannot learn sequences by heart.

    python recipes/connect.py data/fsdd/train.jsonl data/fsdd/train-connected.jsonl --count 900 --words 2 7

Rows of the manifest are drawn at random within a speaker and joined with 0 to `--pause` seconds between, in which the
first word's background goes on as noise; the audio is written as FLAC beside the new manifest. The draw has a fixed
seed, so that everybody gets the same utterances.
"""

import argparse
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.load import load_audio
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.errors import UserError


def connect(
    rows: list[Utterance], folder: Path, count: int, words: tuple[int, int], pause: float, rng: np.random.Generator
) -> list[Utterance]:
    """Write `count` FLAC files of so many words, least and most, to the folder; return their rows. pause: seconds."""
    by_speaker = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker or ""].append(row)
    speakers = sorted(by_speaker)
    folder.mkdir(parents=True, exist_ok=True)
    joined = []
    for i in range(count):
        speaker = speakers[i % len(speakers)]
        takes = by_speaker[speaker]
        chosen = [takes[k] for k in rng.integers(len(takes), size=rng.integers(words[0], words[1] + 1))]
        parts: list[np.ndarray] = []
        for take in chosen:
            waveform, rate = load_audio(take.audio_filepath, offset=take.offset, duration=take.duration)
            parts += [waveform, background(waveform, int(rng.uniform(0, pause) * rate), rng)]
        waveform = np.concatenate(parts[:-1])
        path = folder / f"{speaker}-{i:04d}.flac"
        soundfile.write(path, waveform, rate)
        text = " ".join(take.text for take in chosen)
        joined.append(Utterance(path.stem, str(path), len(waveform) / rate, text, speaker=speaker))
    return joined


def background(waveform: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """White noise (length,) as loud as the quietest tenth of the waveform: digital silence is like no recording."""
    frames = waveform[: len(waveform) // 80 * 80].reshape(-1, 80)
    level = np.quantile(np.sqrt(np.square(frames).mean(axis=1)), 0.1) if len(frames) else 0.0
    return (level * rng.standard_normal(length)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="manifest of single words")
    parser.add_argument("target", type=Path, help="manifest to write; its audio goes to the folder of the same name")
    parser.add_argument("--count", type=int, required=True, help="utterances to make")
    parser.add_argument("--words", type=int, nargs=2, default=(2, 7), metavar=("MIN", "MAX"), help="default: 2 7")
    parser.add_argument("--pause", type=float, default=0.3, help="longest pause in seconds (default: 0.3)")
    args = parser.parse_args()
    # Each target has its own draw, whatever else is made before it.
    rng = np.random.default_rng(zlib.crc32(args.target.stem.encode()))
    try:
        rows = manifest.read(args.source)
        joined = connect(rows, args.target.with_suffix(""), args.count, tuple(args.words), args.pause, rng)
    except UserError as error:
        parser.exit(2, f"connect.py: {error}\nrun `asr prepare` first\n")
    manifest.write(args.target, joined)
    print(f"{args.target}: {len(joined)} utterances, {sum(row.duration for row in joined) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
