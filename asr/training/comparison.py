"""Runs side by side: what they differ in, what they took, and what they reached."""

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from asr.evaluation.report import Table
from asr.training.curves import ERROR_RATES, label_of
from asr.training.results import JUDGED, Best, Run

FEW = 4  # differing settings that fit beside the figures
OWN = {"name", "output"}  # settings that are each run's own


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each run the settings in which not all recipes agree; None where it has no such setting."""
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in OWN)
    differing = [name for name in names if any(run.settings.get(name) != runs[0].settings.get(name) for run in runs)]
    return [{name: run.settings.get(name) for name in differing} for run in runs]


def describe(runs: Sequence[Run]) -> str:
    """A table of figures; and what differs, in it or below it."""
    different = differences(runs)
    few = len(different[0]) <= FEW
    found = [figures(runs, different if few else None)]
    if not few:
        names = [(name, *(_shown(settings[name]) for settings in different)) for name in different[0]]
        header = ("what differs", *(run.name for run in runs))
        found.append(Table("Recipes", header, names, texts=tuple(range(len(header)))))
    return "\n\n".join(part.text() for part in found)


def figures(runs: Sequence[Run], different: Sequence[dict[str, Any]] | None = None) -> Table:
    """A row for each run; different: settings to tell there."""
    judged = [name for name in JUDGED if any(name in run.best for run in runs)]
    rows = [
        (
            run.name,
            *([", ".join(f"{name} {_shown(value)}" for name, value in different[i].items())] if different else []),
            "-" if run.parameters is None else f"{run.parameters:,}",
            str(run.epochs),
            f"{run.steps:,}",
            "-" if run.training_seconds is None else describe_seconds(run.training_seconds),
            *(_best(name, run.best.get(name)) for name in judged),
            _scores(run.valid),
            _scores(run.test),
        )
        for i, run in enumerate(runs)
    ]
    best = tuple(f"best {label_of(name)}" for name in judged)
    names = ("run", *(["what differs"] if different else []), "parameters", "epochs", "steps", "training")
    going = [run.name for run in runs if not run.ended]
    note = f"not ended yet (no results.json): {', '.join(going)}" if going else ""
    title = f"Runs, {len(runs)}; the best validations with their epochs"
    return Table(title, (*names, *best, "dev at the end", "test"), rows, note, texts=(0, 1) if different else (0,))


def labels(runs: Sequence[Run]) -> list[str]:
    """The runs' names for a legend: without the folders that all are in."""
    folders = [os.path.abspath(run.name) for run in runs]
    root = os.path.commonpath([os.path.dirname(folder) for folder in folders])
    return [os.path.relpath(folder, root) for folder in folders]


def to_dict(runs: Sequence[Run]) -> dict[str, Any]:
    """Figures for a JSON file."""
    left_out = {"settings", "metrics"}
    return {
        "runs": [
            {
                **{f.name: getattr(run, f.name) for f in fields(run) if f.name not in left_out},
                "best": {name: {"value": best.value, "epoch": best.epoch} for name, best in run.best.items()},
                "differs": different,
            }
            for run, different in zip(runs, differences(runs), strict=True)
        ]
    }


def describe_seconds(seconds: float) -> str:
    """As people say it: 45 s, 12 min, 3 h 05 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def _best(name: str, best: Best | None) -> str:
    if best is None:
        return "-"
    value = f"{best.value:.2%}" if name in ERROR_RATES else f"{best.value:.4g}"
    return f"{value} ({best.epoch})"


def _scores(scores: dict[str, Any] | None) -> str:
    """In a few words, of what results.json has of a recogniser or a language model."""
    if scores is None:
        return "-"
    if "per_word" in scores:
        return f"perplexity {scores['per_word']:.4g}"
    phones = scores.get("unit") == "phone"
    rates = {"PER" if phones else "WER": scores.get("wer"), "CER": None if phones else scores.get("cer")}
    return ", ".join(f"{name} {rate:.2%}" for name, rate in rates.items() if rate is not None) or "-"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "", {}) else str(value)
