"""Learning curves: what runs have logged, and pictures of it, of one run or of several laid over each other."""

import csv
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from asr.errors import DataError

Metrics = dict[str, dict[int, float]]
"""Metric -> step, from 0 on -> value."""

ERROR_RATES = ("valid_wer", "valid_cer", "valid_per")
"""Names of those that a validation may log."""

PANELS = {
    "loss per token": ("train_loss", "valid_loss"),
    "error rate": ERROR_RATES,
    "perplexity per word": ("valid_perplexity",),
}
"""Axis label -> metrics of one run drawn on it."""

LINES = ("-", "--", ":")  # of runs, where there are more than colours


def read_metrics(folder: Path) -> Metrics:
    """From the CSV logs of a run and of its resumptions, the later ones counting. Raises DataError for damaged ones.

    A run may be logging meanwhile: of a last line only what has its end counts.
    """
    metrics: Metrics = {}
    versions = (path for path in (folder / "csv").glob("version_*/metrics.csv") if path.parent.name[8:].isdecimal())
    for path in sorted(versions, key=lambda path: int(path.parent.name[8:])):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        for number, row in enumerate(csv.DictReader(line for line in lines if line.endswith("\n")), start=2):
            try:
                step = int(row["step"])
                values = {name: float(value) for name, value in row.items() if value}
            except (KeyError, TypeError, ValueError):
                found = ",".join(map(str, row.values()))
                raise DataError(f"{path}:{number}: found {found!r}, wanted a step and numbers") from None
            for name, value in values.items():
                metrics.setdefault(name, {})[step] = value
    return metrics


def epochs_of(metrics: Metrics) -> dict[int, float]:
    """Step -> epochs behind it, of each step that anything was logged at."""
    # At an epoch's end, where validations are logged, this is exactly the steps of an epoch; elsewhere it is less.
    steps_per_epoch = max(((step + 1) / (epoch + 1) for step, epoch in metrics.get("epoch", {}).items()), default=1.0)
    return {step: (step + 1) / steps_per_epoch for points in metrics.values() for step in points}


def draw_learning_curve(metrics: Metrics, picture: Path) -> None:
    """A panel over epochs for each of PANELS that has been logged: losses; error rates or perplexity."""
    panels = {label: {name.replace("_", " "): (metrics, name) for name in names} for label, names in PANELS.items()}
    _draw(panels, picture)


def draw_learning_curves(runs: Mapping[str, Metrics], picture: Path) -> None:
    """A panel over epochs for each metric of PANELS that any run has logged, with a line for each run."""
    names = [name for names in PANELS.values() for name in names]
    _draw({label_of(name): {run: (metrics, name) for run, metrics in runs.items()} for name in names}, picture)


def label_of(name: str) -> str:
    """What a metric is called on an axis or above a column."""
    if name in ERROR_RATES:
        return f"dev {name.removeprefix('valid_').upper()}"
    return name.replace("valid", "dev").replace("train", "training").replace("_", " ")


def _draw(panels: Mapping[str, Mapping[str, tuple[Metrics, str]]], picture: Path) -> None:
    """Axis label -> label of a line -> what has been logged, and which metric of it."""
    from matplotlib.figure import Figure

    found = [label for label, lines in panels.items() if any(metrics.get(name) for metrics, name in lines.values())]
    found = found or list(panels)[:1]
    figure = Figure(figsize=(5 * len(found), 4), layout="constrained")
    for axes, label in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        looks = cycle((style, f"C{colour}") for style in LINES for colour in range(10))
        for (line, (metrics, name)), (style, colour) in zip(panels[label].items(), looks, strict=False):
            if points := sorted(metrics.get(name, {}).items()):
                behind = epochs_of(metrics)
                epochs, values = [behind[step] for step, _ in points], [value for _, value in points]
                axes.plot(epochs, values, style, color=colour, label=line)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
        if axes.lines:
            axes.legend()
    figure.savefig(picture, dpi=110)
