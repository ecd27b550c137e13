"""Mozilla Common Voice: sentences read by volunteers, in many languages. Ardila et al., LREC 2020.

The folder of one language in a release: train.tsv, dev.tsv, test.tsv, validated.tsv, other.tsv with columns
client_id (the speaker), path and sentence among others, and clips/. Sentences have case and punctuation: text
schemes `english`, `turkish` (Azerbaijani too) and, for other languages, `basic`.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from asr.data.corpora.base import Corpus, read_table
from asr.data.manifest import Utterance

SPLITS = ("train", "dev", "test")
MORE_SPLITS = ("validated", "other")
COLUMNS = ("client_id", "path", "sentence")
SCHEME = {"en": "english", "tr": "turkish", "az": "turkish"}
"""Of languages; `basic` of others."""


def present(root: Path) -> tuple[str, ...]:
    return tuple(split for split in SPLITS + MORE_SPLITS if (root / f"{split}.tsv").is_file())


def language(root: Path) -> str:
    """The language's code: of the locale column, else of a clip's name (common_voice_en_1.mp3), else the folder's."""
    for split in present(root):
        for _, row in read_table(root / f"{split}.tsv", COLUMNS):
            match = re.match(r"common_voice_(.+)_\d+", row["path"])
            return row.get("locale") or (match[1] if match else root.name)
    return root.name


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train, dev, test, validated or other."""
    for _, row in read_table(root / f"{split}.tsv", COLUMNS):
        # some releases write the name without an ending
        path = PurePosixPath(row["path"])
        speaker = row["client_id"] or None
        yield Utterance(path.stem, str(root / "clips" / path.name), 0.0, row["sentence"], speaker=speaker)


CORPUS = Corpus(
    name="common_voice",
    title="Mozilla Common Voice",
    homepage="https://commonvoice.mozilla.org/datasets",
    licence="CC0 1.0",
    splits=SPLITS,
    extra_splits=MORE_SPLITS,
    root_marks=tuple(f"{split}.tsv" for split in SPLITS + MORE_SPLITS),
    utterances=utterances,
    text_scheme=lambda root: SCHEME.get(language(root), "basic"),
    available=present,
    notes="any language: --source is the folder of one language in a release, or its archive. To be downloaded by "
    "hand, for its terms are accepted on its site. validated holds train, dev and test and more.",
)
