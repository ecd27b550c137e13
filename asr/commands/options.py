"""What several commands take and give: text schemes, manifests, files of results."""

import argparse
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import ConfigError, ManifestError
from asr.files import replacing
from asr.text.normalise import SCHEMES

if TYPE_CHECKING:
    from asr.data.manifest import Utterance
    from asr.evaluation.evaluate import Evaluation


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model, by default the one that comes with asr."""
    parser.add_argument(
        "--model", metavar="FOLDER", help="model folder, as `asr train` writes it, or the name of a model that comes "
        "with asr (default: english-small)",
    )  # fmt: skip


def add_text_scheme(parser: argparse.ArgumentParser, texts: str, *, of_model: bool = False) -> None:
    """texts: which are normalised; of_model: by default as the model's training texts were, which None stands for."""
    default = "as the model's training texts were" if of_model else "none"
    parser.add_argument(
        "--text-scheme", choices=SCHEMES, default=None if of_model else "none",
        help=f"how to normalise {texts} (default: {default})",
    )  # fmt: skip


def read_manifests(paths: Sequence[str]) -> "list[Utterance]":
    """Their utterances. Raises ManifestError for bad rows, and where there are none."""
    from asr.data import manifest

    rows = manifest.read_all(paths)
    if not rows:
        raise ManifestError(f"{', '.join(paths)}: no utterances; wanted one JSON object a line")
    return rows


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")


def add_report(parser: argparse.ArgumentParser) -> None:
    """What is made of an evaluation: --json, --html, --details."""
    add_json(parser)
    parser.add_argument("--html", metavar="FILE", help="write a page: tables, and each utterance aligned")
    parser.add_argument("--details", action="store_true", help="print the tables and the worst utterances too")


def check_report(args: argparse.Namespace) -> None:
    """As `check_output`, of these options."""
    for option in ("json", "html"):
        check_output(f"--{option}", getattr(args, option))


def report(
    args: argparse.Namespace,
    result: "Evaluation",
    title: str,
    more: Mapping[str, Any] | None = None,
    vocabulary: Collection[str] | None = None,
    embed_audio: bool = False,
) -> None:
    """Print the figures of an evaluation and write what these options ask for; more: for the JSON file, before them."""
    print(result.summary())
    print(result.describe_intervals())
    if args.details:
        from asr.evaluation.report import details

        print(f"\n{details(result, vocabulary)}")
    if args.html:
        from asr.evaluation.html_report import html_report

        write(args.html, html_report(result, title, Path(args.html).parent, vocabulary, embed_audio))
    write_json(args.json, {**(more or {}), **result.to_dict()})


def write_json(path: str | None, figures: Mapping[str, Any]) -> None:
    """Write what --json asks for, if it was given."""
    if path:
        write(path, json.dumps(figures, indent=2) + "\n")


def write(path: str, text: str) -> None:
    """Write a file, making its folder."""
    with replacing(path) as file:
        file.write(text)


def check_output(option: str, path: str | None, *, folder: bool = False) -> None:
    """Raise ConfigError where the file (or folder) that is to be made cannot be: before the work, not after it."""
    if not path:
        return
    wanted = Path(path).absolute()
    there = next(place for place in (wanted, *wanted.parents) if place.exists())
    kinds = ("a file", "a folder")
    if there == wanted and there.is_dir() != folder:
        raise ConfigError(f"{option}: {path} is {kinds[not folder]}; wanted the name of {kinds[folder]}")
    if there != wanted and not there.is_dir():
        raise ConfigError(f"{option}: {path} cannot be written: {there} is a file, not a folder")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"{option}: {path} cannot be written: permission denied")
