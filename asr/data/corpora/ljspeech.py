"""LJ Speech: one woman reads seven books, 24 hours. Ito and Johnson, 2017.

metadata.csv has lines `name|text as printed|text with numbers and abbreviations written out`, of which the
last is taken; audio is wavs/<name>.wav. The publisher gives no split. Here the number at the end of the name
decides, so that any part of the corpus divides the same way: divisible by 20 is test, 10 more than that is
dev, all others are train. One reader: the figures say nothing about other voices.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import Archive, Corpus, read_lines
from asr.data.manifest import Utterance
from asr.errors import CorpusError

STEP = 20  # 5 % each for dev and test


def split_of(name: str) -> str:
    """train, dev or test, by the number that ends a name such as LJ001-0020. Raises ValueError for other names."""
    return {0: "test", STEP // 2: "dev"}.get(int(name.rpartition("-")[2]) % STEP, "train")


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train, dev, test or all."""
    metadata = root / "metadata.csv"
    for number, line in read_lines(metadata):
        name, *texts = line.split("|")
        if not texts or not name.rpartition("-")[2].isdigit():
            raise CorpusError(f"{metadata}:{number}: {line!r}, wanted LJ001-0001|text as printed|text written out")
        if split in ("all", split_of(name)):
            # some lines of some copies lack the written-out text, where it is the same
            text = texts[-1] or texts[0]
            yield Utterance(name, str(root / "wavs" / f"{name}.wav"), 0.0, text, speaker="LJ")


CORPUS = Corpus(
    name="ljspeech",
    title="LJ Speech 1.1",
    homepage="https://keithito.com/LJ-Speech-Dataset/",
    licence="public domain",
    archives=(
        Archive(
            "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",  # as torchaudio 2.11 has it
        ),
    ),
    splits=("train", "dev", "test"),
    extra_splits=("all",),
    root_marks=("wavs/LJ*-*.*",),
    utterances=utterances,
    text_scheme="english",
    notes="one reader. No official split: the number in the name decides (0 of 20 is test, 10 of 20 dev).",
)
