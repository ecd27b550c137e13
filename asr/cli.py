"""The command line, `asr COMMAND`: the parser of all commands, exit codes, and messages in place of tracebacks.

Only the argument parser is built here; each command imports what it needs when it runs, so that help answers at once.
A user's mistake (asr.errors.UserError), or a file that the system will not read or write, prints its message and exits
2; `--debug` shows the traceback.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from asr import __version__, commands
from asr.commands.training import join_overrides
from asr.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asr",
        description="Speech recognition with a recurrent CTC acoustic model.",
        epilog="First steps: `asr demo` trains and tests a small recogniser in about a minute.",
    )
    parser.add_argument("--version", action="version", version=f"asr {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_line, module in (
        ("prepare", "make manifests of a public corpus or of your own folder", commands.prepare),
        ("info", "what manifests hold, and everything suspicious in them; what a model is", commands.info),
        ("recipes", "list or copy the recipes that come with asr", commands.recipes),
        ("train", "train a recogniser from a recipe", commands.train),
        ("transcribe", "audio files to text", commands.transcribe),
        ("evaluate", "word error rate of a model on manifests", commands.evaluate),
        ("align", "when each word of a known text is said", commands.align),
        ("score", "word error rate of given hypotheses", commands.score),
        ("compare", "is one set of hypotheses better than another?", commands.compare),
        ("compare-runs", "trainings side by side, and their learning curves", commands.compare_runs),
        ("lm", "build, measure, prune and mix language models", commands.lm),
        ("export", "a model as ONNX, also in int8", commands.export),
        ("demo", "train and test a spoken-digit recogniser in about a minute", commands.demo),
    ):
        subparser = subparsers.add_parser(
            name, help=help_line, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        # Both `asr --debug train` and `asr train --debug` are typed.
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default the process's own; return the exit code."""
    if argv is None:
        _use_utf8()
    parser = build_parser()
    args, rest = parser.parse_known_args(join_overrides(sys.argv[1:] if argv is None else argv))
    if rest and "train" not in (args.command, getattr(args, "subcommand", None)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = rest
    name = " ".join(["asr", args.command, *filter(None, [getattr(args, "subcommand", None)])])
    try:
        code: int = args.run(args)
        return code
    except KeyboardInterrupt as stop:
        print(f"\n{name}: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output, `head` say, has seen enough.
        sys.stderr.close()
        return 0
    except (UserError, OSError) as error:
        if args.debug:
            raise
        # The system's: a full disk, a folder that may not be written.
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
        print(f"{name}: {reason}", file=sys.stderr)
        return 2


def _use_utf8() -> None:
    """Whatever the system's locale: names of files may have any letter, and what goes to a pipe or file is UTF-8."""
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        # Names of files are settled when Python starts: start it again. Processes that it starts do the same.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is not UTF-8 is printed as the bytes that it is.
        if not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        else:
            utf8 = sys.stdout.encoding.lower() == "utf-8"
            sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "replace")


if __name__ == "__main__":
    sys.exit(main())
