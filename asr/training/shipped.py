"""The recipes that come with asr: what there is, and copies of them to work with."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from asr.errors import ConfigError

_INSTALLED, _CHECKOUT = (Path(__file__).parents[above] / "recipes" for above in (1, 2))
RECIPES = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
"""A folder for each recipe (recipes/ of the repository, which a wheel holds within the package), and shared scripts."""


def titles() -> dict[str, str]:
    """Each recipe's name, and the heading of its README."""
    pages = {path.parent.name: path for path in sorted(RECIPES.glob("*/README.md"))}
    return {
        name: path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for name, path in pages.items()
    }


def copy(names: Sequence[str], output: Path) -> list[Path]:
    """Copy recipes into the folder `output`, with the scripts that they share; gives the folders made.

    What is there already is never changed: raises ConfigError, before anything is copied, for a recipe that has its
    folder there, and for an unknown name.
    """
    known = titles()
    for name in names:
        if name not in known:
            raise ConfigError(f"{name}: no such recipe; there are {', '.join(known)}")
        if (output / name).exists():
            raise ConfigError(f"{output / name}: exists already; remove it, or choose another folder with --output")
    made = [Path(shutil.copytree(RECIPES / name, output / name, ignore=_compiled)) for name in dict.fromkeys(names)]
    for script in RECIPES.glob("*.py"):
        if not (output / script.name).exists():
            shutil.copy(script, output)
    return made


_compiled = shutil.ignore_patterns("__pycache__")
