"""A recipe: the configuration dataclasses that stand beside each class, composed; read from YAML and command line."""

import dataclasses
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from asr.data.augment import SpecAugmentConfig
from asr.data.batches import DataConfig
from asr.errors import ConfigError
from asr.model.ctc_model import ModelConfig
from asr.model.encoders import EncoderConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig
from asr.settings import build, require
from asr.text.tokenizer import TokenizerConfig
from asr.training.init_from import inherit
from asr.training.losses import LossConfig

PRECISIONS = (None, 32, "32", "32-true", "bf16", "bf16-mixed", 16, "16", "16-mixed")  # of Lightning's, those that work
MAX_EPOCHS = 30  # where a recipe says neither epochs nor steps


@dataclass(frozen=True)
class OptimizerConfig:
    """A class of torch.optim by name, and its arguments."""

    name: str = "AdamW"
    lr: float = 1e-3  # peak learning rate
    weight_decay: float = 0.01  # of weight matrices; biases and normalisation are never decayed
    options: dict[str, Any] = field(default_factory=dict)  # further arguments of the class, e.g. betas: [0.9, 0.98]


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate goes, over the optimiser steps of the whole training."""

    name: Literal["warmup_cosine", "one_cycle", "reduce_on_plateau", "constant"] = "warmup_cosine"
    warmup: float = 0.1  # share of all steps over which the rate rises (not reduce_on_plateau)
    final: float = 0.01  # last rate, as a share of the peak (warmup_cosine, one_cycle)
    factor: float = 0.5  # reduce_on_plateau: times this ...
    patience: int = 3  # ... after so many validations without a lower rank (asr.training.ranking)

    def __post_init__(self) -> None:
        require(
            "schedule",
            (0 <= self.warmup < 1, "warmup", self.warmup, "0 to below 1 (a share of all steps)"),
            (0 < self.factor < 1, "factor", self.factor, "between 0 and 1"),
        )


@dataclass(frozen=True)
class RunConfig:
    """What every training has, of a recogniser or of a language model."""

    name: str = "asr"
    output: str = ""  # folder of the run; default: runs/<name>
    seed: int = 1
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    early_stopping: int = 0  # stop after so many validations without a lower rank (asr.training.ranking); 0: never
    average_best: int = 5  # the model folder holds the mean of this many best checkpoints
    checkpoint_steps: int = 1000  # also checkpoint after so many steps within an epoch
    trainer: dict[str, Any] = field(default_factory=dict)  # any argument of lightning's Trainer

    def __post_init__(self) -> None:
        require(
            "",
            (bool(self.name.strip(". ")), "name", repr(self.name), "a name for the run"),
            (0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295"),
            (self.early_stopping >= 0, "early_stopping", self.early_stopping, "0 (never) or a number of validations"),
            (self.average_best >= 1, "average_best", self.average_best, "at least 1"),
            (self.checkpoint_steps >= 1, "checkpoint_steps", self.checkpoint_steps, "at least 1"),
        )  # fmt: skip

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return Path(self.output or f"runs/{self.name}")

    @property
    def checkpoints(self) -> Path:
        """The run's folder of checkpoints."""
        return self.folder / "checkpoints"

    @property
    def max_epochs(self) -> int:
        """Of the whole training; -1: as many as the steps take."""
        default = MAX_EPOCHS if self.trainer.get("max_steps") in (None, -1) else -1
        found = self.trainer.get("max_epochs")
        return default if found is None else found


@dataclass(frozen=True)
class RecipeConfig(RunConfig):
    """All that `asr train` needs to know; one YAML file."""

    # Model folder, or the name of a shipped model, whose weights to start from. Its tokens and lexicon, features,
    # encoder and decoder's settings come along, unless the recipe says otherwise; with other tokens the head starts
    # afresh.
    init_from: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    encoder: EncoderConfig = field(default_factory=RecurrentConfig)
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    samples: int = 3  # hypotheses shown in the log at each validation

    @property
    def model(self) -> ModelConfig:
        return ModelConfig(features=self.features, encoder=self.encoder)


Recipe = TypeVar("Recipe", bound=RunConfig)


Overrides = list[str] | Mapping[str, Any]
"""The words of a command line, `--section.key value`; or values by their dotted names."""


def load_recipe(path: str | os.PathLike[str], overrides: Overrides | None = None) -> RecipeConfig:
    """Read a YAML recipe of `asr train`, overriding its values; see `load_recipe_of`, and `asr.training.init_from`."""
    return recipe_from(_read(Path(path), overrides), str(path))


def load_recipe_of(kind: type[Recipe], path: str | os.PathLike[str], overrides: Overrides | None = None) -> Recipe:
    """Read a YAML recipe of that dataclass, overriding its values.

    Raises ConfigError listing all that is wrong: unreadable YAML, unknown keys, wrong types, impossible values.
    """
    return _checked(build(kind, _read(Path(path), overrides), str(path)), str(path))


def _read(path: Path, overrides: Overrides | None) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_bytes()) or {}
    except OSError as error:
        hint = "" if path.exists() else "; `asr recipes` lists and copies those that come with asr"
        raise ConfigError(f"{path}: the recipe cannot be read: {error.strerror}{hint}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML in UTF-8: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}, wanted keys and values")
    # The folder's name, however the path was written.
    names = [path.absolute().parent.name, "" if path.stem == "train" else path.stem]
    values.setdefault("name", "-".join(filter(None, names)))
    pairs = overrides.items() if isinstance(overrides, Mapping) else _parse_overrides(overrides or [])
    for key, value in pairs:
        _set(values, key, value)
    return values


def override(recipe: RecipeConfig, values: Mapping[str, Any]) -> RecipeConfig:
    """The recipe with other values, by dotted keys. Raises ConfigError, as `load_recipe` does."""
    changed = dataclasses.asdict(recipe)
    if "init_from" in values:
        # What is as it is by default was not said.
        default = dataclasses.asdict(RecipeConfig())
        for section in ("features", "encoder", "tokenizer"):
            changed[section] = {n: v for n, v in changed[section].items() if v != default[section][n]}
    for key, value in values.items():
        _set(changed, key, value)
    return recipe_from(changed, f"overrides of {recipe.name}")


def recipe_from(values: dict[str, Any], where: str) -> RecipeConfig:
    """The recipe of nested dictionaries; see `load_recipe`."""
    return _checked(build(RecipeConfig, inherit(values), where), where)


def to_yaml(recipe: RunConfig) -> str:
    """The resolved recipe, every default written out; it can be read again."""
    return yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False, allow_unicode=True)


def _parse_overrides(words: list[str]) -> list[tuple[str, Any]]:
    pairs = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"{word}: found a word where --section.key was wanted, e.g. --optimizer.lr 1e-3")
        key, equals, text = word[2:].partition("=")
        if not equals:
            if not rest:
                raise ConfigError(f"{word}: no value; wanted {word} VALUE")
            text = rest.pop(0)
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{word} {text}: the value is not valid YAML in UTF-8: {error}") from error
        pairs.append((key, value))
    return pairs


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.get(section)
        if not isinstance(inner, dict):
            inner = {}
        values[section] = inner = dict(inner)
        values = inner
    values[last] = value


def _checked(recipe: Recipe, where: str) -> Recipe:
    """The recipe. Raises ConfigError for arguments that the Trainer has not, or that are not the recipe's to give."""
    from pytorch_lightning import Trainer

    values = recipe.trainer
    known = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    ours = {"logger", "callbacks", "default_root_dir", "enable_checkpointing", "use_distributed_sampler"}
    problems = [f"trainer.{key}: unknown key; see the arguments of lightning's Trainer" for key in set(values) - known]
    problems += [f"trainer.{key}: set by asr itself" for key in set(values) & ours]
    if values.get("precision") not in PRECISIONS:
        # With weights in half precision neither features nor CTC can be computed.
        wanted = ", ".join(sorted({str(value) for value in PRECISIONS if value}))
        problems.append(f"trainer.precision: found {values['precision']!r}, wanted one of {wanted}")
    limits = {name: values.get(name) for name in ("max_epochs", "max_steps")}
    for name, value in limits.items():
        if not (value is None or (isinstance(value, int) and value >= -1)):
            problems.append(f"trainer.{name}: found {value!r}, wanted a number, or -1: no limit")
    if problems:
        raise ConfigError(f"{where}:\n" + "\n".join(f"  {problem}" for problem in sorted(problems)))
    return recipe
