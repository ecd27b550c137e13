"""The folder of a trained network, acoustic or of language: config.json, tokens.txt, README.md beside the weights."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from asr.errors import ModelError
from asr.model.checksums import forget
from asr.settings import parse_json
from asr.text.tokenizer import Tokenizer

FORMAT = 1
"""Version of the folder; raised when an older reader would misread a newer folder."""

SHIPPED = Path(__file__).parents[1] / "models"
"""A folder for each model that comes with asr."""
DEFAULT = "english-small"
"""Which of them is used where none is named."""


class Kind(NamedTuple):
    """Which network the folder holds."""

    name: str
    command: str  # that writes such folders
    mark: str | None  # config.json's `kind`


def write_config(folder: Path, kind: Kind, config: dict[str, Any], tokenizer: Tokenizer, card: str) -> None:
    """Make the folder, with all but the weights; `card` becomes its README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    forget(folder)
    mark = {"kind": kind.mark} if kind.mark else {}
    config = {"format": FORMAT, **mark, **config, "tokenizer": tokenizer.to_config()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer.save(folder)
    (folder / "README.md").write_text(card or f"A {kind.name} made with {kind.command}.\n", encoding="utf-8")


def let_all_read(weights: Path | str) -> None:
    """Mend the mode of a file that safetensors wrote: it lets nobody but its owner read it."""
    Path(weights).chmod(0o644)


def read_config(folder: Path, kind: Kind) -> dict[str, Any]:
    """The settings in config.json, the tokenizer's under "tokenizer".

    Raises ModelError where the folder is missing, incomplete, damaged, of another kind or a format not known here.
    """
    if not folder.is_dir():
        found = "is a file, not a" if folder.exists() else "no such"
        raise ModelError(f"{folder}: {found} {kind.name} folder; it is what `{kind.command}` writes as RUN/model")
    missing = [name for name in ("config.json", "model.safetensors", "tokens.txt") if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder}: not a {kind.name} folder: it lacks {', '.join(missing)}")
    path = folder / "config.json"
    try:
        config: dict[str, Any] = parse_json(path.read_text(encoding="utf-8-sig"))
        mark, version = config.pop("kind", None), config.pop("format", None)
        config.setdefault("tokenizer", {})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{path}: not a model configuration: {error!r}") from error
    if mark != kind.mark:
        raise ModelError(f"{path}: found kind {mark!r}, wanted {kind.mark!r}: a folder that `{kind.command}` wrote")
    if version != FORMAT:
        raise ModelError(f"{folder}: the model has format {version}, this version of asr reads {FORMAT}: update asr")
    return config


def shipped_models() -> list[str]:
    """The names of the models that come with asr."""
    return sorted(path.name for path in SHIPPED.glob("*/"))


def find_model(name: str | os.PathLike[str] | None = None) -> Path:
    """A folder as it is; the name of a shipped model, or None for the default one, as that model's folder.

    Raises ModelError where there is neither a folder nor a model of that name.
    """
    folder = Path(name or SHIPPED / DEFAULT)
    if folder.exists():
        return folder
    if (SHIPPED / folder).is_dir():
        return SHIPPED / folder
    shipped = ", ".join(shipped_models()) or "none in this copy"
    if name:
        raise ModelError(
            f"{name}: no such model folder; it is what `asr train` writes as RUN/model. Models that come with asr, to "
            f"be named instead: {shipped}"
        )
    raise ModelError(
        f"no model was named, and the default, {DEFAULT}, is missing from this copy of asr: give --model FOLDER. "
        "`asr train RECIPE` makes one, `asr demo` a small one in about a minute"
    )
