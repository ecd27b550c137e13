"""results.json: what a run has reached, and what that took; and all that a run's folder tells when it is read again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from asr.errors import DataError
from asr.files import replacing
from asr.settings import flat, parse_json
from asr.training.curves import ERROR_RATES, Metrics, read_metrics

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from asr.training.module import RunModule

JUDGED = ("valid_loss", *ERROR_RATES, "valid_perplexity")
"""Metrics of which the best validation is told."""


def write_results(folder: Path, trainer: "pl.Trainer", valid: dict[str, Any], test: dict[str, Any] | None) -> None:
    """Write results.json into the run's folder; trainer: with which a RunModule was trained; valid, test: scores."""
    module: RunModule = trainer.lightning_module  # type: ignore[assignment]
    seconds = module.clock.seconds
    values = {
        "parameters": sum(p.numel() for p in module.model.parameters()),
        "epochs": trainer.fit_loop.epoch_progress.current.ready,  # that were begun
        "steps": trainer.global_step,
        "training_seconds": None if seconds is None else round(seconds, 1),  # but for what a kill has lost
        "valid": valid,
        "test": test,
    }
    with replacing(folder / "results.json") as file:
        file.write(json.dumps(values, indent=2) + "\n")


@dataclass(frozen=True)
class Best:
    """The lowest value of a metric, and the epoch, from 1 on, at whose validation it was."""

    value: float
    epoch: int


@dataclass(frozen=True)
class Run:
    """A run as its folder tells of it; None is what that does not tell."""

    name: str  # the folder, as it was given
    settings: dict[str, Any]  # of its recipe, by dotted names
    metrics: Metrics
    ended: bool  # is there a results.json?
    parameters: int | None
    epochs: int  # begun
    steps: int
    training_seconds: float | None
    best: dict[str, Best]  # of those of JUDGED that it has logged
    valid: dict[str, Any] | None  # scores, as results.json has them
    test: dict[str, Any] | None

    @classmethod
    def read(cls, folder: Path | str) -> "Run":
        """Raises DataError for a folder that holds no run, one that has logged nothing yet, or a damaged one."""
        path = Path(folder)
        try:
            recipe = yaml.safe_load((path / "recipe.yaml").read_bytes())
        except (OSError, yaml.YAMLError) as error:
            raise DataError(
                f"{folder}: no run: recipe.yaml cannot be read: {error}; wanted a folder that `asr train` wrote"
            ) from error
        if not isinstance(recipe, dict):
            raise DataError(f"{path / 'recipe.yaml'}: found {type(recipe).__name__}, wanted a recipe")
        metrics = read_metrics(path)
        best = {name: _best(metrics, name) for name in JUDGED if metrics.get(name) and metrics.get("epoch")}
        if not best:
            raise DataError(f"{folder}: no epoch has been trained and validated yet: there is nothing to compare")
        ended = (path / "results.json").is_file()
        results = _object(path / "results.json") if ended else {}
        times = metrics.get("training_seconds", {})
        return cls(
            name=str(folder),
            settings=dict(flat(recipe)),
            metrics=metrics,
            ended=ended,
            parameters=results.get("parameters"),
            epochs=results.get("epochs", 1 + int(max(metrics["epoch"].values()))),
            steps=results.get("steps", 1 + max(max(points) for points in metrics.values())),
            training_seconds=results.get("training_seconds", times[max(times)] if times else None),
            best=best,
            valid=results.get("valid"),
            test=results.get("test"),
        )


def _best(metrics: Metrics, name: str) -> Best:
    step, value = min(sorted(metrics[name].items()), key=lambda point: point[1])
    return Best(value, 1 + int(metrics["epoch"][step]))  # Lightning logs the epoch beside everything


def _object(path: Path) -> dict[str, Any]:
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: found {type(values).__name__}, wanted an object")
    return values
