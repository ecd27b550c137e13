"""`asr compare-runs`: what it reads of runs, what it prints and draws, and what is no run."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from asr.cli import main
from asr.model.ctc_model import CTCModel
from asr.training.comparison import describe_seconds, differences
from asr.training.curves import draw_learning_curves, epochs_of, read_metrics
from asr.training.recipe import recipe_from
from asr.training.results import Best, Run
from asr.training.run import train
from tests.tones import brief_recipe

HEADER = "epoch,step,train_loss,valid_loss,valid_wer,training_seconds"
LOGS = ["0,1,9.0,,,", "0,2,8.0,,,", "0,3,,4.0,1.0,10.5", "1,6,5.0,,,", "1,7,,2.0,0.75,21.0"]


def write_run(
    folder: Path, logs: list[list[str]], recipe: dict[str, Any], results: dict[str, Any] | None = None
) -> str:
    """A run's folder with these CSV logs, one after the other."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    for i, lines in enumerate(logs):
        (folder / "csv" / f"version_{i}").mkdir(parents=True)
        text = "".join(f"{line}\r\n" for line in [HEADER, *lines])
        (folder / "csv" / f"version_{i}" / "metrics.csv").write_bytes(text.encode())
    if results is not None:
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return str(folder)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Two runs of four steps an epoch: one ended, one going on in its second process."""
    recipe = {
        "name": "a",
        "output": "runs/a",
        "seed": 1,
        "encoder": {"cell": "lstm", "hidden_size": 128},
        "trainer": {},
    }
    scores = {"unit": "word", "wer": 0.5, "cer": 0.25}
    results = {
        "parameters": 1234567,
        "epochs": 2,
        "steps": 8,
        "training_seconds": 7500.0,
        "valid": scores,
        "test": None,
    }
    more = ["1,6,4.0,,,", "1,7,,2.0,0.5,31.0", "2,11,,3.0,0.5,40.0", "3,12,1.0"]
    other = {**recipe, "name": "b", "encoder": {"cell": "gru", "hidden_size": 156}, "trainer": {"devices": 2}}
    going = write_run(tmp_path / "b", [LOGS, more], other)
    with (tmp_path / "b" / "csv" / "version_1" / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("3,15,0.0")  # a line that is being written
    return [write_run(tmp_path / "a", [LOGS], recipe, results), going]


def test_a_run_is_read_as_it_stands(runs: list[str]) -> None:
    ended, going = map(Run.read, runs)
    assert ended.ended and (ended.parameters, ended.epochs, ended.steps, ended.training_seconds) == (
        1234567, 2, 8, 7500.0,
    )  # fmt: skip
    assert ended.best == {"valid_loss": Best(2.0, 2), "valid_wer": Best(0.75, 2)}
    # Of a resumed run the later log counts; what has no end yet does not.
    assert not going.ended and (going.parameters, going.epochs, going.steps, going.training_seconds) == (
        None, 4, 13, 40.0,
    )  # fmt: skip
    assert going.best == {"valid_loss": Best(2.0, 2), "valid_wer": Best(0.5, 2)}
    assert going.metrics["train_loss"] == {1: 9.0, 2: 8.0, 6: 4.0, 12: 1.0}
    assert differences([ended, going]) == [
        {"encoder.cell": "lstm", "encoder.hidden_size": 128, "trainer": {}, "trainer.devices": None},
        {"encoder.cell": "gru", "encoder.hidden_size": 156, "trainer": None, "trainer.devices": 2},
    ]


def test_epochs_are_counted_from_the_ends_of_epochs() -> None:
    metrics = {"epoch": {1: 0.0, 3: 0.0, 6: 1.0, 8: 2.0}, "train_loss": {1: 9.0}, "valid_loss": {3: 4.0}}
    assert epochs_of(metrics) == {1: 0.5, 3: 1.0, 6: 1.75, 8: 2.25}


def test_the_command_prints_draws_and_writes(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare-runs", "a", "b", "a", "--plot", "out/curves.png", "--json", "figures.json"]) == 0
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("Runs, 2;")
    cells = [re.split(r"  +", row.strip()) for row in (header, *rows)]
    assert cells[:3] == [
        ["run", "what differs", "parameters", "epochs", "steps", "training", "best dev loss", "best dev WER",
         "dev at the end", "test"],
        ["a", "encoder.cell lstm, encoder.hidden_size 128, trainer none, trainer.devices none", "1,234,567", "2", "8",
         "2 h 05 min", "2 (2)", "75.00% (2)", "WER 50.00%, CER 25.00%", "-"],
        ["b", "encoder.cell gru, encoder.hidden_size 156, trainer none, trainer.devices 2", "-", "4", "13", "40 s",
         "2 (2)", "50.00% (2)", "-", "-"],
    ]  # fmt: skip
    assert cells[3] == ["not ended yet (no results.json): b"]
    assert Path("out/curves.png").read_bytes().startswith(b"\x89PNG")
    first, second = json.loads(Path("figures.json").read_text(encoding="utf-8"))["runs"]
    assert first["name"] == "a" and first["best"]["valid_wer"] == {"value": 0.75, "epoch": 2}
    assert second["differs"]["encoder.cell"] == "gru" and second["test"] is None


def test_many_differences_have_a_table_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        write_run(tmp_path / name, [LOGS], {"name": name, **{f"setting{i}": value for i in range(5)}, "same": 3})
        for name, value in (("a", True), ("b", [1, "x"]))
    ]
    assert main(["compare-runs", *folders]) == 0
    figures, settings = capsys.readouterr().out.split("\n\n")
    assert "what differs" not in figures and "setting" not in figures
    lines = [line.split() for line in settings.splitlines()]
    assert lines[0] == ["Recipes"] and lines[1] == ["what", "differs", *folders]
    assert lines[2:] == [[f"setting{i}", "yes", "[1,", "x]"] for i in range(5)]


def test_one_line_a_run_and_one_panel_a_metric(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **options: drawn.append(figure))
    draw_learning_curves({name: Run.read(folder).metrics for name, folder in zip("ab", runs, strict=True)}, Path("x"))
    (figure,) = drawn
    assert [axes.get_ylabel() for axes in figure.axes] == ["training loss", "dev loss", "dev WER"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["a", "b"]
        assert [line.get_color() for line in axes.lines] == ["C0", "C1"]
    points = [np.asarray(line.get_xydata()).tolist() for line in figure.axes[1].lines]
    assert points == [[[1, 4], [2, 2]], [[1, 4], [2, 2], [3, 3]]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone"], "gone: no run: recipe.yaml cannot be read: "),
        (["empty"], "empty: no run: recipe.yaml cannot be read: "),
        (["begun"], "begun: no epoch has been trained and validated yet: there is nothing to compare"),
        (["first"], "first: no epoch has been trained and validated yet: there is nothing to compare"),
        (["damaged"], "version_0/metrics.csv:3: found '0,two,8.0,,,', wanted a step and numbers"),
        (["results"], "results.json: cannot be read: "),
        (["good", "--plot", "curves.txt"], "--plot curves.txt: cannot be written: "),
        (["good", "--plot", "good"], "--plot: good is a folder; wanted the name of a file"),
    ],
)
def test_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for name, logs in {"begun": [], "first": [LOGS[:2]], "good": [LOGS], "results": [LOGS]}.items():
        write_run(Path(name), logs, {"name": name})
    write_run(Path("damaged"), [[LOGS[0], "0,two,8.0,,,", LOGS[2]]], {})
    Path("results/results.json").write_text("{", encoding="utf-8")
    assert main(["compare-runs", "good", *words]) == 2
    assert message in capsys.readouterr().err


def test_what_a_training_took_is_in_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def results(**trainer: Any) -> dict[str, Any]:
        resume = (tmp_path / "run").exists()
        assert train(recipe_from(brief_recipe(tmp_path, **trainer), "test"), resume=resume) is not None
        found: dict[str, Any] = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
        return found

    first = results(max_epochs=2)
    size = sum(p.numel() for p in CTCModel.load(tmp_path / "run" / "model").parameters())
    assert (first["parameters"], first["epochs"], first["steps"]) == (size, 2, 4)
    assert first["training_seconds"] > 0
    more = results(max_epochs=4)
    assert (more["epochs"], more["steps"]) == (4, 8)
    # The log has the seconds unrounded: these epochs are shorter than the tenths that the results are told in.
    times = read_metrics(tmp_path / "run")["training_seconds"]
    assert sorted(times.values()) == [times[step] for step in (1, 3, 5, 7)] and times[1] > 0 and times[3] < times[5]
    assert first["training_seconds"] <= round(times[5], 1) and more["training_seconds"] >= round(times[7], 1)
    # Nothing is trained: the time stays.
    assert results(max_epochs=4)["training_seconds"] == pytest.approx(more["training_seconds"], abs=0.2)
    assert main(["compare-runs", str(tmp_path / "run")]) == 0
    assert f"{size:,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7170, "2 h 00 min"), (36000, "10 h 00 min")]
)
def test_seconds_as_people_say_them(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text
