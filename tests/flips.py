"""A model folder with one bit flipped, many times over: a clear error, or the text as before; never a signal.

    python -m tests.flips MODEL RECORDING [--flips 300] [--files lm.safetensors lexicon.txt ...] [--seed 0]

Each flip is tried in a process of its own, forked from one that has everything imported and compiled. Of a file longer
than 8 KiB every second flip falls into its first 4 KiB, where headers are. "other text" is a value that is as possible
as the one before: a weight in decoder.json, a letter in lexicon.txt; only a checksum could tell.
"""

import argparse
import collections
import random
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.forked import ENDED, in_a_fork

HEADER = 4096  # bytes
OUTCOMES = ("error", "same text", "other text", "traceback", "signal", "hang")


class Outcome(NamedTuple):
    """What came of one flip."""

    kind: str  # one of OUTCOMES
    place: int  # of the byte
    bit: int
    detail: str  # the message, the text, the name of the signal
    mebibytes: int  # the process's peak


def flip(data: bytes, rng: random.Random) -> tuple[bytes, int, int]:
    """The data with one bit changed; which byte, and which bit."""
    headed = len(data) > 2 * HEADER and rng.random() < 0.5
    place, bit = rng.randrange(HEADER if headed else len(data)), rng.randrange(8)
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed), place, bit


def try_flips(model: Path, recording: Path, file: str, count: int, seed: int = 0, limit: float = 60.0) -> list[Outcome]:
    """Flip `file` of the model folder `count` times; transcribe the recording with what that makes.

    limit: seconds after which it hangs. The folder stays as it is.
    """
    import asr

    wanted = asr.load_model(model).transcribe(recording).text
    rng = random.Random(f"{seed} {file}")
    whole = (model / file).read_bytes()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model"
        shutil.copytree(model, copy)
        for _ in range(count):
            changed, place, bit = flip(whole, rng)
            (copy / file).write_bytes(changed)
            ended = in_a_fork(lambda: _transcribe(copy, recording, wanted), Path(folder), limit)
            kind, _, detail = ended.detail.partition("\n") if ended.kind == ENDED else (ended.kind, "", ended.detail)
            found.append(Outcome(kind, place, bit, detail, ended.mebibytes))
    return found


def _transcribe(model: Path, recording: Path, wanted: str) -> str:
    """Kind and detail."""
    import asr
    from asr.errors import UserError

    try:
        text = asr.load_model(model).transcribe(recording).text
    except UserError as error:
        return f"error\n{error}"
    return f"same text\n{text}" if text == wanted else f"other text\n{text}"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--flips", type=int, default=300, metavar="N", help="of each file (default: 300)")
    parser.add_argument("--files", nargs="+", metavar="NAME", help="default: all of the folder but its README.md")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has no other threads
    names = args.files or sorted(p.name for p in args.model.iterdir() if p.is_file() and p.name != "README.md")
    print("file", *OUTCOMES, "peak MiB", sep="\t")
    for name in names:
        outcomes = try_flips(args.model, args.recording, name, args.flips, args.seed)
        counts = collections.Counter(outcome.kind for outcome in outcomes)
        print(name, *(counts[kind] for kind in OUTCOMES), max(o.mebibytes for o in outcomes), sep="\t", flush=True)
        for outcome in outcomes:
            if outcome.kind not in ("error", "same text"):
                print(f"  byte {outcome.place} bit {outcome.bit}: {outcome.kind}: {outcome.detail[:200]}", flush=True)


if __name__ == "__main__":
    main()
