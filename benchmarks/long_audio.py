"""Long recordings against their utterances one by one: WER both ways, and peak memory.

    python benchmarks/long_audio.py MODEL MANIFEST [--minutes 30 180]

Joins the manifest's utterances, in its order and over and over as needed, to one recording of each length (16-bit WAV
in a temporary folder), transcribes it in a process of its own, and scores it as one text. One by one means: the same
utterances, each transcribed alone, their texts joined and scored in the same way. Peak memory is the process's (Linux),
before it is after the model was loaded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile

from asr.api import load_model
from asr.audio.load import load_audio
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.evaluation.scoring import count_errors
from asr.transcription.passages import Passage
from asr.transcription.segmentation import Piece


def load(row: Utterance, rate: int) -> np.ndarray:
    return load_audio(row.audio_filepath, rate, offset=row.offset, duration=row.duration)[0]


def join(rows: list[Utterance], seconds: float, rate: int, path: Path) -> list[int]:
    """Write a recording of that length; returns which rows it is made of."""
    used: list[int] = []
    rows_again = cycle(range(len(rows)))
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        while file.frames < seconds * rate:
            used.append(next(rows_again))
            file.write(load(rows[used[-1]], rate))
    return used


def peak_memory() -> float:
    """MiB, of this process alone: getrusage would count what its parent had when it was started."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def transcribe(model: str, path: str) -> None:
    """In a process of its own: prints text, segments, seconds, and peak memory as JSON."""
    transcriber = load_model(model, device="cpu")
    before = peak_memory()
    started = time.perf_counter()
    found = transcriber.transcribe(path)
    took = time.perf_counter() - started
    result = {
        "text": found.text,
        "segments": len(found.segments),
        "audio": found.duration,
        "took": took,
        "before": before,
        "peak": peak_memory(),
    }
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("manifest", help="JSONL manifest with texts; or, with --only, the recording")
    parser.add_argument("--minutes", type=float, nargs="+", default=[30.0, 180.0])
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        return transcribe(args.model, args.manifest)
    rows = manifest.read(args.manifest)
    transcriber = load_model(args.model, device="cpu")
    rate = transcriber.model.sample_rate
    texts: dict[int, str] = {}
    print("| minutes | utterances | WER one by one | WER joined | difference | segments | peak MiB (before) | RTFx |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for minutes in args.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.wav"
            used = join(rows, minutes * 60, rate, path)
            words = [sys.executable, __file__, "--only", args.model, str(path)]
            long = json.loads(subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout)
        new = [i for i in dict.fromkeys(used) if i not in texts]
        alone = ((i, Passage((Piece(0.0, load(rows[i], rate)),))) for i in new)
        for i, sentences in transcriber.recogniser.of_passages(alone):
            texts[i] = " ".join(listed[0].text for _, listed in sentences)
        reference = " ".join(rows[i].text for i in used)
        one_by_one = count_errors([reference], [" ".join(texts[i] for i in used if texts[i])]).rate
        joined = count_errors([reference], [long["text"]]).rate
        print(f"| {minutes:g} | {len(used)} | {one_by_one:.2%} | {joined:.2%} | {100 * (joined - one_by_one):+.2f} | "
              f"{long['segments']} | {long['peak']:.0f} ({long['before']:.0f}) | "
              f"{long['audio'] / long['took']:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
