"""--resume: after every way in which a training can end it goes on as if it had not; what does not fit is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.data import manifest
from asr.errors import ConfigError, DataError
from asr.model.ctc_model import CTCModel
from asr.training.checkpoints import read
from asr.training.curves import read_metrics
from asr.training.module import SpeechModule
from asr.training.recipe import RecipeConfig, recipe_from
from asr.training.run import train
from tests.tones import brief_recipe, write_tones


def recipe(folder: Path, trainer: dict[str, Any] | None = None, **changes: Any) -> RecipeConfig:
    """Four epochs of four steps, in which everything that is random has a part."""
    values = brief_recipe(folder)
    values["data"] |= {"max_batch_seconds": 1.8, "augment": {"speed": [0.9, 1.0, 1.1], "gain_db": 3.0}}
    values["encoder"] |= {"dropout": 0.2}
    values["schedule"] = {"name": "constant", "warmup": 0.0}
    values["trainer"] |= {"max_epochs": 4, **(trainer or {})}
    return recipe_from({**values, **changes}, "test")


def state(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return found


def assert_same(folder: Path, other: Path) -> None:
    for name, value in state(other).items():
        torch.testing.assert_close(state(folder)[name], value, rtol=0, atol=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The folder of a run that was not interrupted, with so many batches in a step."""
    runs: dict[int, Path] = {}

    def find(accumulated: int) -> Path:
        if accumulated not in runs:
            folder = tmp_path_factory.mktemp("whole")
            train(recipe(folder, {"accumulate_grad_batches": accumulated}))
            runs[accumulated] = folder / "run"
        return runs[accumulated]

    return find


def broken_loss(calls: int) -> Callable[..., torch.Tensor]:
    """SpeechModule.loss, but for its n-th call."""
    left, whole_loss = iter(range(calls)), SpeechModule.loss

    def loss(self: SpeechModule, *args: Any, **options: Any) -> torch.Tensor:
        if next(left, None) == calls - 1:
            raise DataError("the loss is not finite")
        return whole_loss(self, *args, **options)

    return loss


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # How it ended first -> with what it goes on, of `recipe`'s arguments.
    "epochs": ({"trainer": {"max_epochs": 2}}, {}),
    "steps within an epoch": ({"trainer": {"max_epochs": -1, "max_steps": 6}}, {}),
    "steps within an epoch, then more": (
        {"trainer": {"max_epochs": -1, "max_steps": 6}},
        {"trainer": {"max_epochs": -1, "max_steps": 16}},
    ),
    "steps at an epoch's end": (
        {"trainer": {"max_epochs": -1, "max_steps": 8}},
        {"trainer": {"max_epochs": -1, "max_steps": 16}},
    ),
    "early stopping": ({"early_stopping": 1}, {"early_stopping": 9}),
    "early stopping within an epoch": (
        {"early_stopping": 2, "trainer": {"val_check_interval": 0.5}},
        {"early_stopping": 9, "trainer": {"val_check_interval": 0.5}},
    ),
    "time": ({"trainer": {"max_time": {"milliseconds": 1}}}, {}),
    "error": ({}, {}),
    "error, two batches in a step": (
        {"trainer": {"accumulate_grad_batches": 2}, "checkpoint_steps": 1},
        {"trainer": {"accumulate_grad_batches": 2}, "checkpoint_steps": 1},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_after_every_way_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Callable[[int], Path], way: str
) -> None:
    begin, go_on = WAYS[way]
    other = whole(2 if "two batches" in way else 1)
    with monkeypatch.context() as patch:
        if "early" in way:
            patch.setattr("asr.training.module.rank", lambda *figures: 1.0)
        if "error" in way:
            patch.setattr(SpeechModule, "loss", broken_loss(7))
            with pytest.raises(DataError):
                train(recipe(tmp_path, **begin))
        else:
            train(recipe(tmp_path, **begin))
    begun = read_metrics(tmp_path / "run")["train_loss"]
    assert 0 < len(begun) < len(read_metrics(other)["train_loss"])
    assert train(recipe(tmp_path, **go_on), resume=True) is not None
    resumed, uninterrupted = read_metrics(tmp_path / "run"), read_metrics(other)
    assert resumed["train_loss"] == uninterrupted["train_loss"]
    assert_same(tmp_path / "run", other)


def test_what_was_stopped_early_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.training.module.rank", lambda *figures: 1.0)
    train(recipe(tmp_path, early_stopping=1))
    before = read_metrics(tmp_path / "run")["train_loss"]
    assert len(before) == 8  # the second epoch was no better
    train(recipe(tmp_path, early_stopping=1), resume=True)
    assert read_metrics(tmp_path / "run")["train_loss"] == before


def test_a_schedule_goes_on_as_that_of_the_longer_training(tmp_path: Path) -> None:
    schedule = {"name": "warmup_cosine", "warmup": 0.0}
    rates = {}
    for name, epochs in (("short", [2, 4]), ("long", [4])):
        (tmp_path / name).mkdir()
        for i, count in enumerate(epochs):
            train(recipe(tmp_path / name, {"max_epochs": count}, schedule=schedule), resume=i > 0)
        rates[name] = read_metrics(tmp_path / name / "run")["lr-AdamW/pg1"]
    assert rates["short"][7] < 0.1 * rates["long"][7]
    assert [rates["short"][step] for step in range(8, 16)] == [rates["long"][step] for step in range(8, 16)]


def test_a_finished_run_is_scored_again_and_keeps_its_best_weights_in_a_moved_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ranks = iter(range(99))
    monkeypatch.setattr("asr.training.module.rank", lambda *figures: float(next(ranks)))  # the first is the best
    assert train(recipe(tmp_path, average_best=1)) is not None
    before = CTCModel.load(tmp_path / "run" / "model").state_dict()
    assert not torch.equal(before["head.bias"], state(tmp_path / "run")["model.head.bias"])
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    assert train(recipe(tmp_path, average_best=1, output=str(tmp_path / "elsewhere")), resume=True) is not None
    assert "nothing was left to train after 4 epochs, 16 steps" in capsys.readouterr().out
    after = CTCModel.load(tmp_path / "elsewhere" / "model").state_dict()
    for name, value in before.items():
        assert torch.equal(value, after[name])


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch; its manifest beside it."""
    folder = tmp_path_factory.mktemp("ended")
    train(recipe(folder, {"max_epochs": 1}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "seed: found 2, wanted 1"),
        ({"optimizer": {"lr": 0.02}}, "optimizer.lr: found 0.02, wanted 0.01"),
        ({"schedule": {"name": "one_cycle"}}, "schedule.name: found 'one_cycle', wanted 'constant'"),
        ({"features": {"sample_rate": 16_000}}, "features.sample_rate: found 16000, wanted 8000"),
        ({"encoder": {"hidden_size": 9}}, "encoder.hidden_size: found 9, wanted 8"),
        ({"encoder": {"cell": "gru"}}, "encoder.cell: found 'gru', wanted 'lstm'"),
        ({"trainer": {"accumulate_grad_batches": 2}}, "trainer.accumulate_grad_batches: found 2, wanted None"),
        (
            {"data": {"train": "letters", "valid": "letters"}},
            "tokens: found others than the run was begun with (new: 'G'; missing: 'J')",
        ),
        ({"data": {"train": "fewer"}}, "data.train: found other examples than the run was begun with"),
        ({"data": {"valid": "fewer"}}, "data.valid: found other examples than the run was begun with"),
        ({"trainer": {"max_epochs": 0}}, "trainer.max_epochs: found 0, wanted at least the 1 trained already"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_another_recipe_is_refused_before_anything_is_written(
    ended: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    same = write_tones(ended)
    manifest.write(ended / "fewer.jsonl", manifest.read(same)[:2] + manifest.read(same)[3:])
    write_tones(ended, ("BAD CAB", "FACE A BEE", "DEAD BEEF", "HIDE A GADE"), "letters")
    values = brief_recipe(ended)
    values["data"] |= {"max_batch_seconds": 1.8, "augment": {"speed": [0.9, 1.0, 1.1], "gain_db": 3.0}}
    values["encoder"] |= {"dropout": 0.2}
    values["schedule"] = {"name": "constant", "warmup": 0.0}
    values["trainer"] |= {"max_epochs": 4}
    for section, change in changes.items():
        if section == "data":
            change = {split: [str(ended / f"{name}.jsonl")] for split, name in change.items()}
        values[section] = {**values[section], **change} if isinstance(change, dict) else change
    before = contents(ended / "run")
    with pytest.raises(ConfigError) as caught:
        train(recipe_from(values, "test"), resume=True)
    assert message in str(caught.value)
    assert contents(ended / "run") == before


def test_data_that_has_moved_is_the_same_data(ended: Path, tmp_path: Path) -> None:
    shutil.copytree(ended, tmp_path / "moved")
    found = recipe(tmp_path / "moved", {"max_epochs": 1})
    assert found.data.train == [str(tmp_path / "moved" / "tones.jsonl")]
    assert train(found, resume=True) is not None


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "missing"])
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, whole: Callable[[int], Path], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    train(recipe(tmp_path, {"max_epochs": 2}, checkpoint_steps=1))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    whole_file = last.read_bytes()
    middle = len(whole_file) // 2
    damaged = {
        "flipped": whole_file[:middle] + bytes([whole_file[middle] ^ 1]) + whole_file[middle + 1 :],
        "cut": whole_file[:middle],
        "empty": b"",
    }
    last.unlink() if damage == "missing" else last.write_bytes(damaged[damage])
    train(recipe(tmp_path), resume=True)
    told = capsys.readouterr().err
    if damage != "missing":
        assert "last.ckpt: the checkpoint is damaged: " in told and "previous.ckpt, 7 steps" in told
    assert read_metrics(tmp_path / "run")["train_loss"] == read_metrics(whole(1))["train_loss"]
    assert_same(tmp_path / "run", whole(1))


def test_two_damaged_checkpoints_are_an_error(ended: Path, tmp_path: Path) -> None:
    shutil.copytree(ended, tmp_path / "copy")
    for name in ("last", "previous"):
        (tmp_path / "copy" / "run" / "checkpoints" / f"{name}.ckpt").write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"last\.ckpt: the checkpoint is damaged.*previous\.ckpt: .*begin another"):
        train(recipe(tmp_path / "copy"), resume=True)
    with pytest.raises(ConfigError, match="holds a run already"):
        train(recipe(tmp_path / "copy"))


def test_a_damaged_one_of_the_best_is_left_out_of_the_mean(
    ended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ended, tmp_path / "copy")
    (best,) = (tmp_path / "copy" / "run" / "checkpoints").glob("epoch*.ckpt")
    best.write_bytes(b"PK")
    assert train(recipe(tmp_path / "copy", {"max_epochs": 1}), resume=True) is not None
    assert f"{best}: the checkpoint is damaged" in capsys.readouterr().err
    results = json.loads((tmp_path / "copy" / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["valid"]["utterances"] == 4
