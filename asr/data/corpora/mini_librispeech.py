"""mini_librispeech (OpenSLR 31): five hours of LibriSpeech to train on and two to develop with; the same layout."""

from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import Archive, Corpus
from asr.data.corpora.librispeech import read_split_folder
from asr.data.manifest import Utterance

SPLITS = ("train-clean-5", "dev-clean-2")
ADDRESS = "https://www.openslr.org/resources/31/{}.tar.gz"


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train-clean-5 or dev-clean-2."""
    return read_split_folder(root / split)


CORPUS = Corpus(
    name="mini_librispeech",
    title="Mini LibriSpeech (OpenSLR 31)",
    homepage="https://www.openslr.org/31/",
    licence="CC BY 4.0",
    archives=(  # md5: the publisher's md5sum.txt
        Archive(
            ADDRESS.format("train-clean-5"),
            ("train-clean-5",),
            "5df7d4e78065366204ca6845bb08f490",
            size=332954390,
        ),
        Archive(
            ADDRESS.format("dev-clean-2"),
            ("dev-clean-2",),
            "6d7ab67ac6a1d2c993d050e16d61080d",
            size=126046265,
        ),
    ),
    splits=SPLITS,
    root_marks=tuple(f"{split}/*/*/*.trans.txt" for split in SPLITS),
    utterances=utterances,
    text_scheme="english",
    available=lambda root: tuple(split for split in SPLITS if (root / split).is_dir()),
    notes="its speakers are LibriSpeech's: dev-clean-2 is part of dev-clean, so the rest of dev-clean is no fresh test "
    "set for what was tuned on it.",
)
