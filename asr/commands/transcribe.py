"""Audio files to text: one line for each, `path<TAB>text`.

    asr transcribe --model runs/digits/model recording.wav other.mp3

Any format, sample rate and number of channels. A file that cannot be read does not stop the others: it is reported at
the end, and the exit code is 1.
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio files")
    parser.add_argument("--model", required=True, metavar="FOLDER", help="model folder")
    parser.add_argument("--channel", type=int, help="use this channel (0 is the first) instead of the mean of all")
    parser.add_argument("--device", default="cpu", help="torch device, e.g. cuda (default: cpu)")


def run(args: argparse.Namespace) -> int:
    from asr.errors import AudioError
    from asr.transcribe import Transcriber

    transcriber = Transcriber.load(args.model, device=args.device)
    failures = []
    for path in args.files:
        try:
            print(f"{path}\t{transcriber(Path(path), channel=args.channel).text}", flush=True)
        except AudioError as error:
            failures.append(str(error))
    for failure in failures:
        print(f"asr transcribe: {failure}", file=sys.stderr)
    return 1 if failures else 0
