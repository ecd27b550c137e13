"""yesno (OpenSLR 1): one man says yes (ken) or no (lo) eight times a recording, in Hebrew; 60 recordings, 8 kHz.

The file name is the transcript: 1 is yes, 0 is no. Texts are YES and NO, the names that Kaldi's lexicon uses.
Split as Kaldi's recipe does: of the sorted names the first 31 are train and the rest test. `dev` is every
tenth of those 31, beginning with the fifth: three recordings, 24 words.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import Archive, Corpus, audio_by_stem
from asr.data.manifest import Utterance

OFFICIAL_TRAIN = 31  # recordings
DEV_FIRST, DEV_STEP = 4, 10


def split_of(position: int) -> str:
    """train, dev or test, by the place among the sorted names (0: the first)."""
    if position >= OFFICIAL_TRAIN:
        return "test"
    return "dev" if position % DEV_STEP == DEV_FIRST else "train"


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train, dev, test or train-full (Kaldi's train: train and dev together)."""
    names = {stem: name for stem, name in audio_by_stem(root).items() if re.fullmatch(r"[01](_[01])*", stem)}
    for position, stem in enumerate(sorted(names)):
        own = split_of(position)
        if split == own or (split == "train-full" and own != "test"):
            text = " ".join("YES" if digit == "1" else "NO" for digit in stem.split("_"))
            yield Utterance(stem, str(root / names[stem]), 0.0, text, speaker="yesno")


CORPUS = Corpus(
    name="yesno",
    title="yesno (OpenSLR 1)",
    homepage="https://www.openslr.org/1/",
    licence="CC0 1.0",
    archives=(
        Archive(
            "https://www.openslr.org/resources/1/waves_yesno.tar.gz",
            sha256="c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",  # as torchaudio 2.11 has it
        ),
    ),
    splits=("train", "dev", "test"),
    extra_splits=("train-full",),
    root_marks=("[01]_[01]_[01]_[01]_[01]_[01]_[01]_[01].*",),
    utterances=utterances,
    text_scheme="english",
    notes="sorted by name: the first 31 are train (three of them dev), the rest test, as in Kaldi's recipe.",
)
