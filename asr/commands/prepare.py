"""Make manifests of a public corpus, which is downloaded or read from a copy, or of a folder of your own recordings.

    asr prepare --list
    asr prepare yesno
    asr prepare speechocean762 --source DIR_OR_ARCHIVE --output data/speechocean762
    asr prepare folder DIR --transcripts metadata.tsv --split 0.8/0.1/0.1

Writes <output>/<split>.jsonl, and <output>/<split>.skipped.tsv where utterances cannot be used, with the reasons.
"""

import argparse
from pathlib import Path

from asr.data.corpora import CORPORA
from asr.data.prepare import THREADS, list_corpora, prepare, prepare_folder
from asr.errors import CorpusError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="show the corpora with licence and splits, and exit")
    commands = parser.add_subparsers(dest="corpus", metavar="CORPUS", title="corpora")
    for name in CORPORA:
        command = commands.add_parser(name, help=f"download or read {name}")
        command.add_argument(
            "--source", type=Path, metavar="DIR_OR_ARCHIVE", help="a copy on disk, instead of downloading"
        )
        command.add_argument("--splits", nargs="+", metavar="SPLIT", help="only these (asr prepare --list names them)")
        _common_arguments(command, f"data/{name}", "the corpus' own")
    command = commands.add_parser(
        "folder",
        help="your own recordings, with transcripts in .txt files or a table",
        description=FOLDER_HELP,
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="where the recordings are")
    command.add_argument("--transcripts", type=Path, metavar="FILE", help="table (TSV or CSV with a header line)")
    for column in ("audio", "text", "speaker"):
        command.add_argument(f"--{column}-column", metavar="NAME", help="guessed from the header by default")
    command.add_argument("--speaker-folders", action="store_true", help="each folder directly in DIR is one speaker's")
    command.add_argument(
        "--split",
        type=_fractions,
        metavar="TRAIN/DEV/TEST",
        help="divide, such as 0.8/0.1/0.1: by speaker where known, else by sentence; always the same way",
    )
    _common_arguments(command, "data/<name of DIR>", "basic")


FOLDER_HELP = (
    "Without --transcripts, a metadata.tsv, metadata.csv, transcripts.tsv or transcripts.csv in DIR is taken, else "
    "each audio file's transcript is the .txt file of the same name beside it."
)


def _common_arguments(command: argparse.ArgumentParser, output: str, scheme: str) -> None:
    command.add_argument("--output", type=Path, metavar="DIR", help=f"where the manifests go (default: {output})")
    command.add_argument(
        "--text-scheme", metavar="NAME", help=f"none, case, basic, turkish or english (default: {scheme})"
    )
    command.add_argument("--threads", type=_positive, default=THREADS, help="that read audio (default: %(default)s)")
    # `asr prepare yesno --debug` is typed as often as `asr --debug prepare yesno`
    command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    command.add_argument("--quiet", action="store_true", help="no progress bars")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _fractions(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.replace(",", "/").split("/"))
    except ValueError:
        values = ()
    if len(values) != 3 or min(values, default=-1) < 0 or abs(sum(values) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted three fractions that sum to 1, such as 0.8/0.1/0.1")
    return values


def run(args: argparse.Namespace) -> int:
    if args.list:
        print(list_corpora())
        return 0
    if args.corpus is None:
        raise CorpusError(f"which corpus? One of {', '.join(CORPORA)}, or `folder DIR`; --list tells about them")
    progress = not args.quiet
    if args.corpus != "folder":
        prepare(
            args.corpus,
            args.output,
            args.source,
            args.splits,
            text_scheme=args.text_scheme,
            threads=args.threads,
            progress=progress,
        )
        return 0
    prepare_folder(
        args.folder,
        args.output,
        transcripts=args.transcripts,
        audio_column=args.audio_column,
        text_column=args.text_column,
        speaker_column=args.speaker_column,
        speaker_folders=args.speaker_folders,
        text_scheme=args.text_scheme or "basic",
        fractions=args.split,
        threads=args.threads,
        progress=progress,
    )
    return 0
