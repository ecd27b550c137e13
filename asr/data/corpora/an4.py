"""AN4, the "census" corpus of Carnegie Mellon, 1991: people spell out personal data; 948 train, 130 test utterances.

Acero, "Acoustical and environmental robustness in automatic speech recognition", 1993. Sphinx layout:
etc/an4_train.transcription and etc/an4_test.transcription with lines `<s> WORDS </s> (an251-fash-b)`, where
fash is the speaker, and audio below wav/ as NIST SPHERE or, in other editions, as headerless 16 kHz 16-bit
.raw. `dev` is every tenth training speaker of the sorted list, beginning with the fifth (7 of 74).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from asr.data.corpora.base import AUDIO_ENDINGS, Archive, Corpus, read_lines
from asr.data.manifest import Utterance
from asr.errors import CorpusError

DEV_FIRST, DEV_STEP = 4, 10  # among the sorted training speakers


def read_transcription(path: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of each line of a Sphinx transcription file; the marks <s> and </s> are optional."""
    for number, line in read_lines(path):
        match = re.fullmatch(r"\s*(?:<s>)?(.*?)(?:</s>)?\s*\(([^()\s]+)\)\s*", line)
        if not match:
            raise CorpusError(f"{path}:{number}: {line!r}, wanted `<s> WORDS </s> (name)`")
        yield match[2], match[1].strip()


def speaker_of(name: str) -> str:
    """The speaker's part of an utterance's name: fash of an251-fash-b."""
    parts = name.split("-")
    return parts[-2] if len(parts) > 2 else name


def audio_files(root: Path) -> dict[str, Path]:
    """name -> file, of all audio below wav/."""
    return {
        os.path.splitext(file)[0]: Path(folder, file)
        for folder, _, files in os.walk(root / "wav")
        for file in sorted(files)
        if os.path.splitext(file)[1].lower() in AUDIO_ENDINGS
    }


def utterances(root: Path, split: str) -> Iterator[Utterance]:
    """Utterances of train, dev, test or train-full (the official train: train and dev together)."""
    part = "test" if split == "test" else "train"
    texts = list(read_transcription(root / "etc" / f"an4_{part}.transcription"))
    speakers = sorted({speaker_of(name) for name, _ in texts})
    held_out = set(speakers[DEV_FIRST::DEV_STEP])
    files = audio_files(root)
    for name, text in texts:
        speaker = speaker_of(name)
        if split in ("test", "train-full") or (speaker in held_out) == (split == "dev"):
            path = files.get(name, root / "wav" / f"{name}.sph")
            yield Utterance(name, str(path), 0.0, text, speaker=speaker)


CORPUS = Corpus(
    name="an4",
    title="AN4 (CMU census database)",
    homepage="http://www.speech.cs.cmu.edu/databases/an4/",
    licence="none stated; Carnegie Mellon University offers it for free download",
    # NVIDIA's copy, which NeMo's tutorials use, of the publisher's file (homepage + "an4_sphere.tar.gz")
    archives=(Archive("https://dldata-public.s3.us-east-2.amazonaws.com/an4_sphere.tar.gz"),),
    splits=("train", "dev", "test"),
    extra_splits=("train-full",),
    root_marks=("etc/an4_train.transcription",),
    utterances=utterances,
    text_scheme="english",
    raw_sample_rate=16000,
    notes="dev: every tenth speaker of the official train; train-full is the official train. The publisher gives no "
    "checksum.",
)
