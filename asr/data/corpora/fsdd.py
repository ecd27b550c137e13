"""Free Spoken Digit Dataset: six speakers say each digit fifty times, 8 kHz. Jackson et al., 2018.

recordings/{digit}_{speaker}_{take}.wav. The publisher's split: takes 0 to 4 are test, all others train. `dev`
is takes 5 to 9 of that train, so the speakers are the same in all three splits, as the publisher means it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import Archive, Corpus, audio_by_stem
from asr.data.manifest import Utterance
from asr.errors import CorpusError

WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
TAKES = {"test": range(5), "dev": range(5, 10), "train": range(10, 10**9), "train-full": range(5, 10**9)}


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train, dev, test or train-full (the publisher's train: train and dev together)."""
    folder = root / "recordings"
    for stem, name in audio_by_stem(folder).items():
        match = re.fullmatch(r"(\d)_(\w+)_(\d+)", stem)
        if not match:
            raise CorpusError(f"{folder / name}: wanted a name like 7_jackson_32.wav: digit, speaker, take")
        digit, speaker, take = match.groups()
        if int(take) in TAKES[split]:
            yield Utterance(stem, str(folder / name), 0.0, WORDS[int(digit)], speaker=speaker)


CORPUS = Corpus(
    name="fsdd",
    title="Free Spoken Digit Dataset",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
    licence="CC BY-SA 4.0",
    archives=(
        Archive(
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
            name="free-spoken-digit-dataset-1.0.10.zip",
        ),
    ),
    splits=("train", "dev", "test"),
    extra_splits=("train-full",),
    root_marks=("recordings/[0-9]_*_*.*",),
    utterances=utterances,
    text_scheme="english",
    notes="test: takes 0-4 (official); dev: takes 5-9; train: the rest; train-full: takes 5 and up (official). "
    "The publisher gives no checksum.",
)
