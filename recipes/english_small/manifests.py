"""One training and one development manifest out of the corpora that README.md names: manifests.py DATA

DATA is the folder that `asr prepare` wrote below; DATA/english gets train.jsonl and dev.jsonl. Of LibriSpeech's
dev-clean eight speakers are for development and thirty-two train. Utterances that two corpora share count once.
"""

import argparse
import sys
from pathlib import Path

from asr.data import manifest
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
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
