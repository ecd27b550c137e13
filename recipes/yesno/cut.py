"""Cut yesno's recordings at their pauses into single words: a manifest of offsets and durations, no audio.

    python recipes/yesno/cut.py data/yesno/train.jsonl data/yesno/train-words.jsonl

A recording is cut where its loudness falls so far below its loud parts that exactly as many stretches remain as it has
words; a recording for which no level does that is left out.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from asr.audio.load import load_audio
from asr.data import manifest
from asr.data.manifest import Utterance

FRAME = 0.01  # seconds
LEVELS = range(30, 9, -2)  # decibels below the loud parts, tried in this order
GAP = 0.10  # seconds of quiet that part two words
WORD = (0.15, 0.70)  # seconds, the shortest and the longest word
MARGIN = 0.05  # seconds kept on each side


def words(row: Utterance) -> list[Utterance]:
    """A row for each word, or none where the recording cannot be cut."""
    waveform, rate = load_audio(row.audio_filepath)
    size = int(FRAME * rate)
    power = np.square(waveform[: len(waveform) // size * size].reshape(-1, size)).mean(axis=1)
    level = 10 * np.log10(power + 1e-10)
    texts = row.text.split()
    for below in LEVELS:
        spans = stretches(np.flatnonzero(level > np.percentile(level, 98) - below))
        lengths = [stop - start for start, stop in spans]
        if len(spans) == len(texts) and min(lengths) >= WORD[0] and max(lengths) <= WORD[1]:
            return [
                replace(row, id=f"{row.id}-{i}", offset=max(0.0, start - MARGIN), duration=stop - start + 2 * MARGIN,
                        text=text)
                for i, ((start, stop), text) in enumerate(zip(spans, texts, strict=True))
            ]  # fmt: skip
    return []


def stretches(loud: np.ndarray) -> list[tuple[float, float]]:
    """Start and end in seconds of runs of loud frames, given by their numbers, that shorter quiet does not part."""
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > GAP / FRAME) + 1)
    spans = [(part[0] * FRAME, (part[-1] + 1) * FRAME) for part in parts if len(part)]
    return [(float(start), float(stop)) for start, stop in spans if stop - start > 5 * FRAME]  # not clicks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="manifest of recordings")
    parser.add_argument("target", type=Path, help="manifest of words to write")
    args = parser.parse_args()
    rows = manifest.read(args.source)
    cut = [words(row) for row in rows]
    manifest.write(args.target, [word for parts in cut for word in parts])
    print(f"{args.target}: {sum(map(len, cut))} words from {sum(map(bool, cut))} of {len(rows)} recordings")


if __name__ == "__main__":
    main()
