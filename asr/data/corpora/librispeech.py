"""LibriSpeech (OpenSLR 12): 1,000 hours of English audio books. Panayotov et al., ICASSP 2015.

<split>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac, and beside them <speaker>-<chapter>.trans.txt
with a line for each: the name, then upper-case text of A-Z and apostrophe. An excerpt of the corpus may bring
its own division: where speakers_split.tsv (columns speaker, split) lies beside the split folders, train, dev
and test are the speakers it says, out of all the folders present.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import Archive, Corpus, read_pairs, read_table
from asr.data.manifest import Utterance
from asr.errors import CorpusError

OWN_SPLIT_LIST = "speakers_split.tsv"
OWN_SPLITS = ("train", "dev", "test")
ADDRESS = "https://www.openslr.org/resources/12/{}.tar.gz"

# bytes; md5 of the publisher's md5sum.txt; sha256 as torchaudio 2.11 has it
CHECKSUMS = {
    "train-clean-100": (
        6387309499,
        "2a93770f6d5c6c964bc36631d331a522",
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    ),
    "train-clean-360": (
        23049477885,
        "c0e676e450a7ff2f54aeade5171606fa",
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    ),
    "train-other-500": (
        30593501606,
        "d1a0fd59409feb2c614ce4d30c387708",
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    ),
    "dev-clean": (
        337926286,
        "42e2234ba48799c1f50f24a7926300a1",
        "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    ),
    "dev-other": (
        314305928,
        "c8d0bcc9cca99d4f8b62fcc847357931",
        "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    ),
    "test-clean": (
        346663984,
        "32fa31d27d2e1cad72775fee3f4849a9",
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    ),
    "test-other": (
        328757843,
        "fb5a50374b501bb3bac4815ee91d3135",
        "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    ),
}
SPLITS = tuple(CHECKSUMS)


def read_split_folder(folder: Path) -> Iterator[Utterance]:
    """Every utterance below one split's folder, speaker by speaker. Raises CorpusError."""
    lists = sorted(folder.glob("*/*/*.trans.txt"))
    if not lists:
        raise CorpusError(f"{folder}: no transcripts; wanted <speaker>/<chapter>/<speaker>-<chapter>.trans.txt")
    for transcripts in lists:
        for name, text in read_pairs(transcripts).items():
            speaker = name.split("-")[0]
            yield Utterance(name, str(transcripts.parent / f"{name}.flac"), 0.0, text, speaker=speaker)


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of an official split; or of train, dev, test, where the copy brings its own division by speaker."""
    if split not in OWN_SPLITS:
        yield from read_split_folder(root / split)
        return
    rows = read_table(root / OWN_SPLIT_LIST, ("speaker", "split"))
    chosen = {row["speaker"] for _, row in rows if row["split"] == split}
    for folder in official_splits(root):
        for utterance in read_split_folder(root / folder):
            if utterance.speaker in chosen:
                yield utterance


def official_splits(root: Path) -> tuple[str, ...]:
    return tuple(split for split in SPLITS if (root / split).is_dir())


def own_splits(root: Path) -> tuple[str, ...]:
    return OWN_SPLITS if (root / OWN_SPLIT_LIST).is_file() else ()


CORPUS = Corpus(
    name="librispeech",
    title="LibriSpeech (OpenSLR 12)",
    homepage="https://www.openslr.org/12/",
    licence="CC BY 4.0",
    archives=tuple(
        Archive(ADDRESS.format(split), (split,), md5, sha256, size) for split, (size, md5, sha256) in CHECKSUMS.items()
    ),
    splits=SPLITS,
    extra_splits=OWN_SPLITS,
    root_marks=tuple(f"{split}/*/*/*.trans.txt" for split in SPLITS),
    utterances=utterances,
    text_scheme="english",
    available=lambda root: official_splits(root) + own_splits(root),
    usual=lambda root: own_splits(root) or official_splits(root),
    notes="all of it is 60 GB to download: name the --splits you want. train, dev and test exist where an excerpt "
    "brings speakers_split.tsv.",
)
