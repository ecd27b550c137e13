"""When each word and character (phone) of a known text is said: CTC forced alignment.

    asr align recording.wav "THE TEXT THAT IS SPOKEN" --model runs/digits/model
    asr align recording.wav text.txt --model runs/digits/model --format textgrid json --output-dir aligned
    asr align recording.wav text.txt --model runs/digits/model --plot recording.png
    asr align data/fsdd/test.jsonl --model runs/digits/model --format textgrid --output-dir aligned

TEXT is a text file or the text itself; a manifest has its own. Prints the alignment, or writes a file for each
recording into --output-dir. Formats: textgrid (Praat: a tier of words, a tier of tokens), ctm (NIST), json. Times are
seconds from the recording's beginning, in a manifest from the utterance's. The text is brought into the form of the
model's training text, and comes out as it was given; a model of phones says words as its lexicon does, in the way that
fits best.

A manifest's utterance that cannot be aligned does not stop the others: it is reported at the end, the exit code is 1.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands import options

if TYPE_CHECKING:
    from asr.data.manifest import Utterance

FORMATS = ("textgrid", "ctm", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audio", help="audio file, or a manifest (.jsonl)")
    parser.add_argument("text", nargs="?", help="text file, or the text itself")
    options.add_model(parser)
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=["ctm"], help="formats (default: ctm)")
    parser.add_argument("--output-dir", metavar="DIR", help="write files here instead of printing")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw waveform, log-mel, emissions and words (one recording)"
    )
    options.add_text_scheme(parser, "the text before it is spelt", of_model=True)
    parser.add_argument("--device", default="cpu", help="torch device, e.g. cuda (default: cpu)")


def run(args: argparse.Namespace) -> int:
    from asr.alignment.forced import Aligner
    from asr.alignment.writers import WRITERS
    from asr.audio.load import load_audio
    from asr.errors import ConfigError, UserError
    from asr.model.load import load_model_folder
    from asr.transcription.writers import write

    if len(args.format) > 1 and not args.output_dir:
        raise ConfigError(f"--format {' '.join(args.format)}: several formats need --output-dir")
    options.check_output("--plot", args.plot)
    options.check_output("--output-dir", args.output_dir, folder=True)
    rows = _utterances(args)
    if args.plot and len(rows) > 1:
        raise ConfigError(f"--plot draws one recording, found {len(rows)} in {args.audio}")
    aligner = Aligner(load_model_folder(args.model, args.device))
    failures = []
    for row in rows:
        try:
            duration = row.duration or None
            waveform, rate = load_audio(
                row.audio_filepath, aligner.model.sample_rate, offset=row.offset, duration=duration
            )
            alignment = aligner.waveform(waveform, row.text, args.text_scheme)
        except UserError as error:
            if args.text is not None:
                raise
            failures.append(f"{row.id}: {error}")
            continue
        if alignment.warning:
            print(f"asr align: warning: {row.id}: {alignment.warning}", file=sys.stderr)
        for name in args.format:
            suffix, render = WRITERS[name]
            if args.output_dir:
                write(Path(args.output_dir) / (row.id.replace(os.sep, "_") + suffix), render(row.id, alignment))
            else:
                print(render(row.id, alignment), end="", flush=True)
        if args.plot:
            from asr.alignment.plot import plot

            model = aligner.model
            emissions = aligner.emissions(waveform)
            plot(args.plot, waveform, rate, emissions, model.tokenizer, model.seconds_per_frame, alignment)
    for failure in failures:
        print(f"asr align: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _utterances(args: argparse.Namespace) -> "list[Utterance]":
    from asr.data.manifest import Utterance
    from asr.errors import TextError

    is_manifest = args.audio.endswith((".jsonl", ".json"))
    if is_manifest != (args.text is None):
        problem = "a manifest has its own texts" if is_manifest else "its text is missing"
        raise TextError(f"{args.audio}: {problem}: asr align AUDIO TEXT, or a manifest (.jsonl) alone")
    if is_manifest:
        return options.read_manifests([args.audio])
    text = args.text
    if os.path.isfile(text):  # unlike Path's, never an error, however long the text
        try:
            text = Path(text).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise TextError(f"{text}: the text cannot be read: {error}") from error
    elif text.endswith(".txt"):
        raise TextError(f"{text}: no such text file")
    return [Utterance(Path(args.audio).stem, args.audio, duration=0.0, text=text)]
