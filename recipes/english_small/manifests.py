"""One training and one development manifest out of the corpora that README.md names: manifests.py DATA

DATA is the folder that `asr prepare` wrote below; DATA/english gets train.jsonl and dev.jsonl. Of LibriSpeech's
dev-clean eight speakers are for development and thirty-two train. Utterances that two corpora share count once.
non_speech.jsonl lists a stretch of each sound file below DATA/noise/train, and the music that music.py made.
"""

import argparse
import random
import sys
from pathlib import Path

from asr.audio.load import read_info
from asr.data import manifest
from asr.data.augment import sound_files
from asr.data.manifest import Utterance
from asr.errors import UserError

# Every fifth of dev-clean's forty, from the fourth on, but for two that the first passes had in training; and the three
# that the first passes kept out.
HELD_OUT = {"251", "2078", "2803", "2902", "3536", "5536", "6313", "8297"}
TRAIN = (
    "mini_librispeech/train-clean-5", "librispeech/dev-clean", "librispeech/train-clean-100", "speechocean762/train",
    "common_voice/train", "cathy/all", "ljspeech/all", "vctk/all", "an4/train-full", "untranscribed/train",
)  # fmt: skip
DEV = ("librispeech/dev-clean", "speechocean762/dev", "common_voice/dev")


def collect(data: Path, names: tuple[str, ...], held_out: bool) -> list[Utterance]:
    """The utterances of manifests, an id once. held_out: of dev-clean only these speakers, or all others."""
    rows: dict[str, Utterance] = {}
    for name in names:
        path = data / f"{name}.jsonl"
        if not path.exists():
            print(f"{path}: not there, goes without", file=sys.stderr)
            continue
        found = manifest.read(path)
        if name == "librispeech/dev-clean":
            found = [row for row in found if (row.speaker in HELD_OUT) == held_out]
        print(f"{name}: {len(found)} utterances, {sum(row.duration for row in found) / 3600:.2f} h")
        rows = {row.id: row for row in found} | rows
    return list(rows.values())


def non_speech(data: Path) -> list[Utterance]:
    """Music, and of each noise a stretch of 1.5 to 5 seconds: lengths as various as those of speech."""
    music = data / "music" / "train.jsonl"
    rows = manifest.read(music) if music.exists() else []
    random.seed("non-speech")
    for path in sound_files(data / "noise" / "train"):
        whole = read_info(path).duration
        length = round(min(whole, random.uniform(1.5, 5.0)), 2) - 0.01
        offset = round(random.uniform(0, whole - length), 2)
        rows.append(Utterance(f"{path.parent.name}-{path.stem}", str(path.resolve()), length, offset=offset))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    try:
        (args.data / "english").mkdir(parents=True, exist_ok=True)
        for split, names, held_out in (("train", TRAIN, False), ("dev", DEV, True)):
            rows = collect(args.data, names, held_out)
            manifest.write(args.data / "english" / f"{split}.jsonl", rows)
            print(f"{split}: {len(rows)} utterances, {sum(row.duration for row in rows) / 3600:.2f} h")
        rows = non_speech(args.data)
        if rows:
            manifest.write(args.data / "english" / "non_speech.jsonl", rows)
            print(f"non_speech: {len(rows)} stretches, {sum(row.duration for row in rows) / 3600:.2f} h")
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
