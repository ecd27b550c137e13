"""speechocean762: English sentences read by 250 speakers whose mother tongue is Mandarin, half of them children.

Zhang et al., "speechocean762: an open-source non-native English speech corpus for pronunciation assessment",
Interspeech 2021. Kaldi layout: train/ and test/ hold wav.scp, text, utt2spk, spk2age, spk2gender. The
speakers are halved officially; there is no development set, so `dev` is made of twelve of the training
speakers.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import Archive, Corpus, read_pairs
from asr.data.manifest import Utterance
from asr.errors import CorpusError

ADULT_FROM = 18  # years: the corpus has no speaker between 16 and 18
DEV_SPEAKERS_PER_GROUP = 3  # of each of the four groups: child and adult, female and male


def dev_speakers(root: Path) -> set[str]:
    """The twelve training speakers held out: of each group, ordered by age and then name, three evenly spaced ones.

    No chance is involved, so every copy of the corpus has the same `dev`. Raises CorpusError for a bad age or
    a speaker without one.
    """
    ages, genders = (read_pairs(root / "train" / name) for name in ("spk2age", "spk2gender"))
    groups: dict[tuple[bool, str], list[tuple[int, str]]] = {}
    for speaker, gender in genders.items():
        age = ages.get(speaker, "")
        if not age.isdigit():
            raise CorpusError(f"{root / 'train' / 'spk2age'}: speaker {speaker} has age {age!r}, wanted whole years")
        groups.setdefault((int(age) >= ADULT_FROM, gender), []).append((int(age), speaker))
    chosen = set()
    for group in groups.values():
        group.sort()
        count = min(DEV_SPEAKERS_PER_GROUP, len(group) // 2)  # a tiny copy keeps speakers to train on
        chosen |= {group[(2 * k + 1) * len(group) // (2 * count)][1] for k in range(count)}
    return chosen


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train, dev, test or train-full (the official train: train and dev together)."""
    part = root / ("test" if split == "test" else "train")
    held_out = dev_speakers(root) if split in ("train", "dev") else set()
    texts, speakers = read_pairs(part / "text"), read_pairs(part / "utt2spk")
    for name, path in read_pairs(part / "wav.scp").items():
        if name not in texts or name not in speakers:
            raise CorpusError(f"{part / 'wav.scp'}: utterance {name} is not in both of {part}/text and utt2spk")
        speaker = speakers[name]
        if split in ("test", "train-full") or (speaker in held_out) == (split == "dev"):
            yield Utterance(name, str(root / path), 0.0, texts[name], speaker=speaker)


CORPUS = Corpus(
    name="speechocean762",
    title="speechocean762 (OpenSLR 101)",
    homepage="https://www.openslr.org/101/",
    licence="free for commercial and non-commercial use",
    archives=(Archive("https://www.openslr.org/resources/101/speechocean762.tar.gz"),),
    splits=("train", "dev", "test"),
    extra_splits=("train-full",),
    keep=("resource/lexicon.txt",),
    root_marks=("train/wav.scp",),
    utterances=utterances,
    text_scheme="english",
    notes="dev: 12 of the 125 official training speakers (3 girls, 3 boys, 3 women, 3 men), the same everywhere; "
    "train-full is the official train. The publisher gives no checksum.",
)
