"""Audio to text: one line for each file, or text, JSON, subtitles, tables and CTM into a folder.

    asr transcribe recording.wav talk.m4a
    asr transcribe calls/ --output-dir transcripts --format txt json srt
    asr transcribe 'calls/**/*.mp3' test.jsonl --output-dir transcripts --format all
    asr transcribe --model runs/digits/model pin.wav
    asr transcribe unlabelled/ --format jsonl > labelled.jsonl
    ffmpeg -i film.mkv -f wav - | asr transcribe - --format srt
    arecord -f S16_LE -r 16000 | asr transcribe --stream

PATH is a sound file of any format, rate and length, a folder (searched with its sub-folders), a glob in quotation
marks, a JSONL manifest, or - for a sound file on standard input.

With --output-dir each file's transcript has its name and the format's ending, in the same sub-folders. What is there
already, made of the same recording with the same model and settings, is skipped, so that the same command goes on after
an interruption: in the middle of a long recording too, of which NAME.partial.json has what is done. What was made
otherwise (the folder's .asr-transcribe.jsonl tells) stays as it is and is reported at the end, with exit code 1; so is
a file that cannot be read. In one that is damaged or ends too early, what can be read is transcribed, with a warning
that says which seconds are lost; --strict takes it for an error.

Recordings of more than half a minute are cut at pauses. --mic and --stream print each utterance at the pause after it,
not word by word: the network is bidirectional, it needs an utterance's end to recognise its beginning.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asr.commands import decoding, options

if TYPE_CHECKING:
    from asr.transcription.recogniser import Recogniser

AHEAD = 600.0  # seconds of a stream that may be read before they are heard
AHEAD_SAMPLES = 25_000_000  # of it: 100 MB
FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm")
MANIFEST = "jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="sound files, folders, globs, manifests, or -")
    options.add_model(parser)
    parser.add_argument("--output-dir", metavar="FOLDER", help="write files there instead of printing")
    parser.add_argument(
        "--format", nargs="+", choices=(*FORMATS, "all", MANIFEST), default=["txt"], metavar="FORMAT",
        help=f"{', '.join(FORMATS)}, several of them, or all (default: txt; printed as path<TAB>text); jsonl: a "
        "manifest to train on",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="transcribe from the beginning what has outputs already, whatever they were made of",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--channel", type=int, metavar="N", help="use this channel (0 is the first), not the mean of all"
    )
    which.add_argument(
        "--channels", choices=["separate"], help="one transcript for each channel, as of telephone calls"
    )

    parser.add_argument("--track", type=int, metavar="N", help="of several sound tracks, as films have, read this one")
    parser.add_argument(
        "--strict", action="store_true", help="a damaged or truncated file is an error (default: a warning)"
    )

    live = parser.add_argument_group("live").add_mutually_exclusive_group()
    live.add_argument("--mic", action="store_true", help="listen to the microphone (pip install 'asr[mic]')")
    live.add_argument("--stream", action="store_true", help="read raw signed 16-bit mono samples from standard input")
    parser.add_argument("--sample-rate", type=int, default=16_000, metavar="HZ", help="of --stream (default: 16000)")

    speed = parser.add_argument_group("speed")
    speed.add_argument("--device", default="cpu", help="torch device, e.g. cuda (default: cpu)")
    speed.add_argument("--threads", type=int, metavar="N", help="CPU threads of the network (default: all cores)")
    speed.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="(default: fp32)")
    speed.add_argument("--batch-seconds", type=float, default=120.0, help="audio in a batch (default: 120)")
    decoding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from asr.audio.reader import RATES
    from asr.errors import ConfigError

    formats = list(dict.fromkeys(one for name in args.format for one in (FORMATS if name == "all" else [name])))
    live = args.mic or args.stream
    if bool(args.paths) == live:
        raise ConfigError("nothing to transcribe: give a PATH, --mic or --stream" if not live else
                          "--mic and --stream take no PATH")  # fmt: skip
    if len(formats) > 1 and not args.output_dir:
        raise ConfigError(f"--format {' '.join(formats)}: several formats need --output-dir FOLDER")
    if MANIFEST in formats:
        _check_manifest(args)
    low, high = RATES
    if not low <= args.sample_rate <= high:
        raise ConfigError(f"--sample-rate: found {args.sample_rate}, wanted {low} to {high} Hz")
    if args.threads is not None and args.threads < 1:
        raise ConfigError(f"--threads: found {args.threads}, wanted at least 1")
    options.check_output("--output-dir", args.output_dir, folder=True)
    recogniser = _load(args)
    return _listen(recogniser, args) if live else _transcribe(recogniser, formats, args)


def _check_manifest(args: argparse.Namespace) -> None:
    """Raise ConfigError where rows of a manifest could not say what was transcribed."""
    from asr.audio.files import is_pipe
    from asr.errors import ConfigError

    for option in ("mic", "stream", "channel", "channels", "track"):
        if getattr(args, option) is not None and getattr(args, option) is not False:
            raise ConfigError(f"--format jsonl: a manifest's rows have no place for what --{option} chooses")
    for path in args.paths:
        if path == "-" or (os.path.exists(path) and is_pipe(path)):
            raise ConfigError(f"--format jsonl: a manifest names sound files, and {path} is a pipe")


def _load(args: argparse.Namespace) -> "Recogniser":
    import torch

    from asr.model.load import load_model_folder
    from asr.transcription.recogniser import Recogniser

    if args.threads:
        torch.set_num_threads(args.threads)
    model = load_model_folder(args.model, args.device)
    return Recogniser(model, decoding.build(args, model), precision=args.precision, batch_seconds=args.batch_seconds)


def _listen(recogniser: "Recogniser", args: argparse.Namespace) -> int:
    from asr.audio.read_ahead import read_ahead
    from asr.audio.stream import resampled
    from asr.transcription.live import CHUNK, listen, microphone, raw_samples

    rate = recogniser.model.sample_rate
    if args.mic:
        chunks = microphone(rate)
        print("Listening; Ctrl-C ends.", file=sys.stderr)
    else:
        # Read without delay while the model computes: a sender with a small buffer would lose samples. One that sends
        # faster than is heard has to wait in the end: what was sent is held in memory.
        depth = round(min(AHEAD, AHEAD_SAMPLES / args.sample_rate) / CHUNK)
        sent = read_ahead([raw_samples(sys.stdin.buffer, args.sample_rate)], depth=depth)
        chunks = resampled(sent, args.sample_rate, rate, "standard input")
    for segment in listen(recogniser, chunks):
        print(segment.text, flush=True)
    return 0


def _transcribe(recogniser: "Recogniser", formats: list[str], args: argparse.Namespace) -> int:
    from asr.commands.transcribe_targets import Files, Progress, Terminal
    from asr.files import spool
    from asr.transcription.batch import recognise_parts, sound_of
    from asr.transcription.inputs import find

    with _ended_by_term(), spool() as folder:
        recordings, failures = find(args.paths, args.channels or args.channel, folder, args.track)
        target = Files(recogniser, formats, args) if args.output_dir else Terminal(formats[0])
        recordings = target.wanted(recordings, failures)
        with Progress(len(recordings)) as progress:
            rate = recogniser.model.sample_rate
            sounds = ((sound_of(recording, rate, args.strict), recording) for recording in recordings)
            begun = ((sound, target.begin(recording, sound, progress)) for sound, recording in sounds)
            waiting = iter(recordings)
            recording = next(waiting, None)
            try:
                for found in recognise_parts(recogniser, begun, progress):
                    assert recording is not None
                    failures += target.take(recording, found, progress)
                    if found.ended:
                        failures += [recording.describe(str(found.problem))] if found.problem else []
                        for warning in found.warnings:
                            progress.print(f"asr transcribe: warning: {recording.label}: {warning}\n", sys.stderr)
                        recording = next(waiting, None)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(target.kept()) from None
    for failure in failures:
        print(f"asr transcribe: {failure}", file=sys.stderr)
    target.summarise(progress, len(failures))
    return 1 if failures else 0


@contextlib.contextmanager
def _ended_by_term() -> Iterator[None]:
    """SIGTERM ends the command as an exception does, so that what it has spooled goes too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
