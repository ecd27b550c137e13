"""Training: learns exact transcripts; resumes exactly after a kill; stops with names at a loss that is not finite."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch import nn

from asr.audio.load import load_audio
from asr.data import manifest
from asr.data.batches import BucketBatchSampler, SpeechDataset, batch_loader
from asr.errors import AudioError, ConfigError, DataError
from asr.evaluation.evaluate import evaluate
from asr.model.ctc_model import CTCModel
from asr.text import build_tokenizer
from asr.text.tokenizer import TokenizerConfig
from asr.training.curves import read_metrics
from asr.training.init_from import start_from
from asr.training.module import SpeechModule, build_optimizer, build_schedule, total_steps
from asr.training.recipe import OptimizerConfig, ScheduleConfig, recipe_from
from asr.training.run import average, build_trainer, has_bfloat16, has_ctc, quiet_lightning, train
from tests.tones import SENTENCES, brief_recipe, tone_recipe


def merged(values: dict, **changes: dict) -> dict:
    """`values` with single settings of its sections replaced."""
    return {**values, **{name: {**values.get(name, {}), **change} for name, change in changes.items()}}


def test_learns_four_sentences_exactly_and_leaves_a_whole_run(tmp_path: Path) -> None:
    recipe = recipe_from(tone_recipe(tmp_path), "test")
    result = train(recipe)
    assert result is not None
    assert result.valid.words.errors == 0
    model = CTCModel.load(result.model)
    rows = manifest.read(recipe.data.train[0])
    assert [h.text for h in evaluate(model, rows).hypotheses] == list(SENTENCES)
    for name in ("recipe.yaml", "learning_curve.png", "samples.txt", "results.json", "checkpoints/last.ckpt"):
        assert (result.folder / name).stat().st_size > 0, name
    assert list((result.folder / "tensorboard").glob("events*"))
    assert json.loads((result.folder / "results.json").read_text(encoding="utf-8"))["valid"]["wer"] == 0
    assert "WER" in (result.model / "README.md").read_text(encoding="utf-8")
    assert read_metrics(result.folder)["gradient_norm"]
    with pytest.raises(ConfigError, match="--resume"):
        train(recipe)


def test_global_cmvn_is_measured_on_the_training_set_and_stored(tmp_path: Path) -> None:
    values = merged(tone_recipe(tmp_path), features={"cmvn": "global"}, trainer={"max_epochs": 1})
    values["trainer"]["check_val_every_n_epoch"] = 1
    recipe = recipe_from(values, "test")
    result = train(recipe)
    assert result is not None
    features = CTCModel.load(result.model).features
    rows = manifest.read(recipe.data.train[0])
    frames = []
    for row in rows:
        waveform = torch.from_numpy(load_audio(row.audio_filepath)[0])[None]
        frames.append(features(waveform, torch.tensor([waveform.shape[1]]))[0][0])
    together = torch.cat(frames)
    torch.testing.assert_close(together.mean(0), torch.zeros(40), atol=1e-3, rtol=0)
    torch.testing.assert_close(together.std(0), torch.ones(40), atol=1e-2, rtol=0)


RUN = """
import sys
from asr.training.recipe import load_recipe
from asr.training.run import train
train(load_recipe(sys.argv[1]), resume=len(sys.argv) > 2)
"""


def run(recipe: Path, *words: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with recipe.with_suffix(".log").open("w", encoding="utf-8") as log:
        return subprocess.Popen([sys.executable, "-c", RUN, str(recipe), *words], env=environment, stderr=log)


@pytest.mark.parametrize("schedule", ["warmup_cosine", "reduce_on_plateau"])
def test_killed_and_resumed_gives_the_losses_of_an_uninterrupted_run(tmp_path: Path, schedule: str) -> None:
    values = merged(
        tone_recipe(tmp_path),
        data={"max_batch_seconds": 1.8, "augment": {"speed": [0.9, 1.0, 1.1], "gain_db": 3.0}},
        encoder={"dropout": 0.2},
        spec_augment={"freq_masks": 1, "freq_width": 5},
        schedule={"name": schedule, "patience": 0},
        trainer={"max_epochs": 8, "check_val_every_n_epoch": 1, "log_every_n_steps": 1},
    )
    values["checkpoint_steps"] = 3  # an epoch has four: the kill falls anywhere
    recipes = {}
    for name in ("whole", "killed"):
        recipes[name] = tmp_path / f"{name}.yaml"
        recipes[name].write_text(yaml.safe_dump({**values, "output": str(tmp_path / name)}), encoding="utf-8")
    process = run(recipes["killed"])
    last = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not (last.is_file() and torch.load(last, weights_only=True)["global_step"] >= 9):
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "killed.log").read_text(
            encoding="utf-8"
        )
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    at_kill = read_metrics(tmp_path / "killed").get("train_loss", {})
    for name, process in (("killed", run(recipes["killed"], "resume")), ("whole", run(recipes["whole"]))):
        assert process.wait() == 0, (tmp_path / f"{name}.log").read_text(encoding="utf-8")
    assert len(at_kill) < 32
    whole, killed = (read_metrics(tmp_path / name) for name in ("whole", "killed"))
    assert len(whole["train_loss"]) == 32
    for name in ("train_loss", "lr-AdamW/pg1", "valid_wer"):
        assert {**whole[name], **killed[name]} == whole[name], name
    # Every step is in the logs, but perhaps for the one that was just done when the last checkpoint was written.
    assert len(set(range(32)) - set(killed["train_loss"])) <= 1
    weights = [CTCModel.load(tmp_path / name / "model").state_dict() for name in ("whole", "killed")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=0)


def steps_and_rates(folder: Path) -> tuple[int, list[float]]:
    """How many optimiser steps a run took, and the learning rates that it went through, relative to the peak."""
    steps = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    rates = read_metrics(folder)["lr-AdamW/pg1"]
    return steps, list(dict.fromkeys(round(rates[step] / 0.01, 4) for step in sorted(rates)))


def test_max_steps_ends_the_training_and_its_schedule(tmp_path: Path) -> None:
    # Four batches an epoch: the training ends in the second.
    values = merged(tone_recipe(tmp_path), data={"max_batch_seconds": 1.8}, schedule={"warmup": 0.4, "final": 0.0})
    values["trainer"] |= {"max_steps": 5, "log_every_n_steps": 1, "check_val_every_n_epoch": 1}
    assert train(recipe_from(values, "test"))
    assert steps_and_rates(tmp_path / "run") == (5, [0.5, 1.0, 0.75, 0.25])


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    values = merged(tone_recipe(tmp_path), data={"max_batch_seconds": 1.8}, schedule={"warmup": 0.25, "final": 0.0})
    values["trainer"] |= {"max_epochs": 2, "accumulate_grad_batches": 2, "log_every_n_steps": 1}
    values["trainer"] |= {"check_val_every_n_epoch": 1}
    assert train(recipe_from(values, "test"))
    assert steps_and_rates(tmp_path / "run") == (4, [1.0, 0.75, 0.25])


@pytest.mark.parametrize(
    ("lr", "patience", "validations"),
    [(0.0, 2, 3), (0.0, 0, 5), (1e-4, 2, 5)],
    ids=["nothing gets better", "nor is anything to stop for that", "the loss gets better"],
)
def test_early_stopping_counts_validations_that_are_no_better(
    tmp_path: Path, lr: float, patience: int, validations: int
) -> None:
    values = {**merged(tone_recipe(tmp_path), optimizer={"lr": lr}), "early_stopping": patience}
    values["trainer"] |= {"max_epochs": 5, "check_val_every_n_epoch": 1}
    assert train(recipe_from(values, "test"))
    assert list(read_metrics(tmp_path / "run")["valid_wer"].values()) == [1.0] * validations


def test_resume_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to resume"):
        train(recipe_from(tone_recipe(tmp_path), "test"), resume=True)


def test_a_loss_that_is_not_finite_names_the_utterances(tmp_path: Path) -> None:
    recipe = recipe_from(tone_recipe(tmp_path), "test")
    rows = manifest.read(recipe.data.train[0])
    model = CTCModel(recipe.model, build_tokenizer(TokenizerConfig(), [row.text for row in rows]))
    dataset = SpeechDataset(rows, model.tokenizer, model.sample_rate)
    (batch,) = batch_loader(BucketBatchSampler(dataset, 20.0, shuffle=False))
    batch.waveforms[batch.ids.index("tones2")] = float("nan")
    module = SpeechModule(recipe, model)
    with pytest.raises(DataError, match=r"not finite for: tones2\. .*checkpoint is kept"):
        module.loss(batch, seed=(1, 2))


def test_a_mac_trains_on_its_cpu_where_its_gpu_lacks_ctc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_ctc("cpu") and not has_ctc("meta")  # meta: a device without CTC that every torch has
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    # Not what it asks torch: it remembers the answer, in this process as in a test before.
    monkeypatch.setattr("lightning_fabric.accelerators.mps.MPSAccelerator.is_available", staticmethod(lambda: True))
    values = tone_recipe(tmp_path)
    found = {}
    for wanted in ({}, {"accelerator": "auto"}, {"accelerator": "mps"}):
        for able in (False, True):
            monkeypatch.setattr("asr.training.run.has_ctc", lambda device, able=able: able)
            recipe = recipe_from({**values, "trainer": wanted}, "test")
            with quiet_lightning():
                found[wanted.get("accelerator"), able] = build_trainer(recipe).accelerator.name()
    assert found == {
        (None, False): "cpu", ("auto", False): "cpu", ("mps", False): "mps",
        (None, True): "mps", ("auto", True): "mps", ("mps", True): "mps",
    }  # fmt: skip


def test_optimizers_by_name_decay_matrices_alone() -> None:
    model = nn.Linear(3, 2)
    optimizer = build_optimizer(OptimizerConfig("SGD", 0.1, 0.3, {"momentum": 0.9}), model)
    assert isinstance(optimizer, torch.optim.SGD)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert [group["params"][0].ndim for group in optimizer.param_groups] == [2, 1]
    with pytest.raises(ConfigError, match="found Adamm"):
        build_optimizer(OptimizerConfig("Adamm"), model)
    with pytest.raises(ConfigError, match="does not take these options"):
        build_optimizer(OptimizerConfig("SGD", options={"betas": [0.9, 0.9]}), model)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("warmup_cosine", {0: 0.1, 9: 1.0, 10: 1.0, 55: 0.505, 100: 0.01}),
        ("one_cycle", {9: 1.0, 4: 0.5, 100: 0.01}),
        ("constant", {0: 0.1, 9: 1.0, 100: 1.0}),
    ],
)
def test_schedules(name: str, rates: dict[int, float]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    config = ScheduleConfig(name, warmup=0.1, final=0.01)  # type: ignore[arg-type]
    scheduler = build_schedule(config, optimizer, steps=100)["scheduler"]
    seen = {}
    for step in range(101):
        seen[step] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
    assert {step: seen[step] for step in rates} == pytest.approx(rates)


def test_average_is_the_mean_of_each_weight() -> None:
    states = [{"w": torch.tensor([1.0, 3.0])}, {"w": torch.tensor([2.0, 5.0])}]
    assert average(states)["w"].tolist() == [1.5, 4.0]


def test_start_from_another_model_keeps_the_encoder_and_a_fitting_head(tmp_path: Path) -> None:
    recipe = recipe_from(tone_recipe(tmp_path), "test")
    old = CTCModel(recipe.model, build_tokenizer(TokenizerConfig(), ["ABC"]))
    same, other = (CTCModel(recipe.model, build_tokenizer(TokenizerConfig(), [text])) for text in ("ABC", "ABCD"))
    fresh_head = other.head.weight.clone()
    start_from(same, old)
    start_from(other, old)
    assert torch.equal(same.head.weight, old.head.weight)
    assert torch.equal(other.head.weight, fresh_head)
    for name, value in other.encoder.state_dict().items():
        assert torch.equal(value, old.encoder.state_dict()[name])
    narrow = recipe_from(merged(tone_recipe(tmp_path), encoder={"hidden_size": 32}), "test")
    with pytest.raises(ConfigError, match="another encoder"):
        start_from(CTCModel(narrow.model, old.tokenizer), old)


@pytest.mark.parametrize("error", [AudioError("the disk is gone"), KeyboardInterrupt()])
def test_a_trained_model_is_kept_where_its_scoring_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr("asr.training.run.evaluate", fail)
    recipe = recipe_from(brief_recipe(tmp_path, max_epochs=1), "test")
    with pytest.raises(
        type(error), match=r"(the disk is gone|interrupted)\nThe trained model is in .*/run/model; .*--resume"
    ):
        train(recipe)
    assert CTCModel.load(tmp_path / "run" / "model").tokenizer.vocab_size > 1
    monkeypatch.undo()
    result = train(recipe, resume=True)
    assert result is not None and len(result.valid.ids) == 4


def test_a_schedule_ends_with_whatever_ends_the_training() -> None:
    def steps(batches: int = 10, **settings: object) -> float:
        trainer = {"limit_train_batches": 1.0, "accumulate_grad_batches": 1, "max_epochs": -1, "max_steps": -1}
        return total_steps(SimpleNamespace(**(trainer | settings)), batches)  # type: ignore[arg-type]

    assert steps(max_epochs=3) == 30
    assert steps(max_epochs=3, accumulate_grad_batches=4) == 9
    assert steps(max_steps=100) == 100
    assert steps(max_epochs=3, max_steps=100) == 30
    assert steps(max_epochs=30, max_steps=100) == 100
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    build_schedule(ScheduleConfig("reduce_on_plateau"), optimizer, steps())
    with pytest.raises(ConfigError, match=r"a training without an end; wanted trainer\.max_epochs, trainer\.max_steps"):
        build_schedule(ScheduleConfig("constant"), optimizer, steps())


def test_bfloat16_is_for_gpus_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for gpu, able in ((True, True), (True, False), (False, False)):
        monkeypatch.setattr("torch.cuda.is_available", lambda gpu=gpu: gpu)
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation, able=able: able)
        found[gpu, able] = [name for name in ("auto", "gpu", "cuda", "cpu", "mps") if has_bfloat16(name)]
    assert found == {(True, True): ["auto", "gpu", "cuda"], (True, False): [], (False, False): []}


def test_interrupted_by_the_keyboard_it_says_what_is_kept(tmp_path: Path) -> None:
    values = merged(brief_recipe(tmp_path, max_epochs=3000), data={"num_workers": 2})
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "asr", "train", str(tmp_path / "train.yaml")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONWARNDEFAULTENCODING"},
    )  # fmt: skip
    assert process.stdout is not None
    assert any(line.startswith("epoch 2/") for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to its workers too
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    pattern = r"\nasr train: interrupted in epoch \d+, after \d+ steps; the checkpoint of (\d+) steps is kept: [^\n]*\n"
    match = re.fullmatch(pattern, told)
    assert match, told
    # last.ckpt, or previous.ckpt where the interruption came while the last took its place.
    folder = tmp_path / "run" / "checkpoints"
    kept = next(folder / name for name in ("last.ckpt", "previous.ckpt") if (folder / name).is_file())
    assert torch.load(kept, weights_only=True)["global_step"] == int(match[1])
