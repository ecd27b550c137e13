"""One training run, from recipe to model folder: what `asr train` does.

The run's folder holds recipe.yaml (resolved), excluded.tsv (utterances left out, and why), checkpoints/, csv/ and
tensorboard/ logs, learning_curve.png, model/ (the model folder) and results.json.
"""

import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import MPSAccelerator
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from asr.data.batches import BucketBatchSampler, SpeechDataset, batch_loader, collate
from asr.errors import ConfigError, UserError
from asr.evaluation.evaluate import Evaluation, evaluate
from asr.model.ctc_model import CTCModel
from asr.model.features import GlobalStatistics
from asr.model.folder import find_model
from asr.training.callbacks import EpochLines, LearningCurve, Patience, RunProgressBar, SampleHypotheses
from asr.training.card import model_card
from asr.training.checkpoints import (
    LAST,
    BestCheckpoints,
    Found,
    LastCheckpoint,
    Origin,
    find,
    is_begun,
    origin_of,
    read,
    refuse_changes,
)
from asr.training.crf import token_trigram
from asr.training.init_from import bring_decoder, make_tokenizer, start_from
from asr.training.losses import ctc_losses
from asr.training.module import RunDataModule, RunModule, SpeechDataModule, SpeechModule
from asr.training.ranking import error_rates, metric_of, rank
from asr.training.recipe import RecipeConfig, RunConfig, to_yaml
from asr.training.results import write_results
from asr.training.rows import (
    Excluded,
    Rows,
    as_trained,
    check_references,
    read_rows,
    split_usable,
    without_loss,
    written,
)
from asr.training.together import before_they_meet, together


@dataclass(frozen=True)
class Result:
    """Where a run is, and what it reached."""

    folder: Path
    model: Path
    valid: Evaluation
    test: Evaluation | None


def train(recipe: RecipeConfig, resume: bool = False) -> Result | None:
    """Train the recipe; write the run's folder; return what was reached. On several devices: None but on the first.

    Raises ConfigError and DataError for recipes and data that cannot be trained, before training where it can be known.
    """
    with before_they_meet(lambda: any_trainer(recipe)):
        found = start(recipe, resume)
        run = prepare(recipe)
        module = speech_module(recipe, run)
        if found:
            go_on(recipe, found, module.origin)
        _write_start(recipe, run)
        # Statistics that a network was trained with come along with it.
        if recipe.features.cmvn == "global" and not (found or recipe.init_from):
            measure_cmvn(run.model, run.train_set, recipe.data.max_batch_seconds)
    trainer = fit(recipe, module, SpeechDataModule(recipe, run.train_set, run.valid_set), found)
    if not trainer.is_global_zero:
        return None
    return finish(recipe, trainer, run, module.metric)


def fit(recipe: RunConfig, module: RunModule, batches: RunDataModule, found: Found | None) -> pl.Trainer:
    """Train the module, from the checkpoint found on; return the Trainer with which it was done."""
    with quiet_lightning():
        with before_they_meet(lambda: any_trainer(recipe)):
            trainer = build_trainer(recipe, module.metric)
        command = "asr train" if isinstance(recipe, RecipeConfig) else "asr lm train"
        with together(trainer, command):
            trainer.fit(module, batches, ckpt_path=recipe.checkpoints / LAST if found else None)
    if found and trainer.global_step == found.step and trainer.is_global_zero:
        print(
            f"nothing was left to train after {found.epoch} epochs, {found.step} steps; to go on, allow more of what "
            "ended it: trainer.max_epochs, max_steps or max_time, or early_stopping"
        )
    return trainer


@dataclass(frozen=True)
class Prepared:
    """What a training is made of."""

    model: CTCModel  # untrained
    rows: Rows
    train_set: SpeechDataset  # of the training rows that can be used
    valid_set: SpeechDataset
    excluded: Excluded  # training rows left out
    without_loss: Excluded  # validation rows that are only decoded


def prepare(recipe: RecipeConfig) -> Prepared:
    """Read and check all that the run needs, to its end. Raises UserErrors for what cannot be trained or scored."""
    data = recipe.data
    rows = read_rows(data)
    if predicted := rows.describe_predicted(data):
        rank_zero_only(print)(predicted)
    rows = written(rows, recipe.tokenizer.text_scheme)
    model = CTCModel(recipe.model, make_tokenizer(recipe.tokenizer, [row.text for row in rows.train]))
    rows = as_trained(rows, model.tokenizer)
    if recipe.init_from:
        told = start_from(model, CTCModel.load(find_model(recipe.init_from)))
        if told:
            rank_zero_only(print)(told)
    usable, excluded = split_usable(rows, model, data)
    check_references(rows.test, model)
    tokenizer, rate = model.tokenizer, model.sample_rate
    return Prepared(
        model, rows,
        SpeechDataset(usable, tokenizer, rate, augment=data.augment, seed=recipe.seed, cache_gb=data.cache_gb),
        SpeechDataset(rows.valid, tokenizer, rate, cache_gb=data.cache_gb),
        excluded, without_loss(rows.valid, model),
    )  # fmt: skip


def speech_module(recipe: RecipeConfig, run: Prepared) -> SpeechModule:
    """What trains the model, with the trigram of the training texts where the loss wants one. Raises ConfigError."""
    tokenizer = run.model.tokenizer
    trigram = token_trigram(run.train_set.tokens, tokenizer.vocab_size) if recipe.loss.crf else None
    module = SpeechModule(recipe, run.model, trigram, metric_of(tokenizer, run.valid_set.references))
    module.origin = origin_of(recipe, tokenizer.tokens, _digest(run.train_set), _digest(run.valid_set))
    return module


def _digest(dataset: SpeechDataset) -> str:
    """Of all that makes the examples, but for the places where their files are."""
    digest = hashlib.sha256()
    for row, tokens in zip(dataset.utterances, dataset.tokens, strict=True):
        digest.update(repr((row.id, row.offset, row.duration, tokens)).encode())
    return digest.hexdigest()


def start(recipe: RunConfig, resume: bool) -> Found | None:
    """Seed the run, and find the checkpoint that it resumes from.

    Raises ConfigError where there is none to resume from, or one that a fresh run would write over.
    """
    found = None
    if resume:
        found, problem = find(recipe.checkpoints)
        if problem:
            rank_zero_only(print)(f"{problem}; going on from {found.path}, {found.step} steps", file=sys.stderr)
    elif is_begun(recipe.checkpoints):
        raise ConfigError(
            f"{recipe.folder}: holds a run already: continue it with --resume, or choose another --output"
        )
    pl.seed_everything(recipe.seed, verbose=False)
    torch.set_float32_matmul_precision("high")  # TensorFloat-32 where a GPU has it
    return found


def go_on(recipe: RunConfig, found: Found, origin: Origin) -> None:
    """Make sure that the recipe goes on with what was begun, and that the checkpoint found is the last.

    Raises ConfigError, before anything is written.
    """
    refuse_changes(found.path, found.origin, origin)
    epochs = recipe.max_epochs
    if 0 <= epochs < found.epoch:
        raise ConfigError(f"trainer.max_epochs: found {epochs}, wanted at least the {found.epoch} trained already")
    if found.path.name != LAST:
        _replace(found.path, recipe.checkpoints / LAST)


_replace = rank_zero_only(os.replace)


def check(recipe: RecipeConfig) -> str:
    """Everything that `train` would look at before it trains, and one batch through the network; in a few lines.

    Raises what `train` would raise.
    """
    run = prepare(recipe)
    model, dataset = run.model, run.train_set
    sampler = BucketBatchSampler(dataset, recipe.data.max_batch_seconds, shuffle=True, seed=recipe.seed)
    batch = max(sampler.batches(0), key=lambda items: len(items) * max(map(sampler.seconds, items)))
    module = speech_module(recipe, run)
    loss = module.loss(collate([dataset[item] for item in batch]), seed=(recipe.seed,))
    loss.backward()
    with quiet_lightning():
        build_trainer(recipe, module.metric)
    hours = dataset.seconds.sum() / 3600
    silent = f"{dataset.tokens.count([])} without speech, " if run.rows.non_speech else ""
    unaligned = f" ({len(run.without_loss)} too short for their text)" if run.without_loss else ""
    return (
        f"{recipe.name}: {len(dataset)} training utterances, {hours:.2f} h ({silent}{len(run.excluded)} left out), "
        f"{len(sampler)} batches an epoch; {len(run.rows.valid)} validation utterances{unaligned}, "
        f"{len(run.rows.test)} test utterances\n"
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {model.tokenizer.vocab_size} tokens, "
        f"{model.seconds_per_frame * 1000:g} ms a frame; loss of the largest batch, untrained: {loss.item():.2f}"
    )


@rank_zero_only
def write_recipe(recipe: RunConfig) -> None:
    """Make the run's folder, with recipe.yaml in it."""
    recipe.folder.mkdir(parents=True, exist_ok=True)
    (recipe.folder / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")


@rank_zero_only
def _write_start(recipe: RecipeConfig, run: Prepared) -> None:
    """recipe.yaml and excluded.tsv."""
    write_recipe(recipe)
    path = recipe.folder / "excluded.tsv"
    lines = [f"{row.id}\t{reason}\n" for row, reason in run.excluded]
    lines += [f"{row.id}\tvalidation: no loss, errors counted: {reason}\n" for row, reason in run.without_loss]
    path.write_text("".join(lines), encoding="utf-8")
    if run.excluded:
        of = len(run.rows.train) + len(run.rows.non_speech)
        print(f"left out {len(run.excluded)} of {of} training utterances: {path} says why")
    if run.without_loss:
        print(
            f"{len(run.without_loss)} of {len(run.rows.valid)} validation utterances are too short for their text: "
            f"their errors are counted, their loss is not; {path} names them"
        )


def measure_cmvn(model: CTCModel, dataset: SpeechDataset, max_batch_seconds: float) -> None:
    """Store the corpus's feature mean and deviation in the model (cmvn: global)."""
    plain = SpeechDataset(dataset.utterances, model.tokenizer, model.sample_rate)
    sampler = BucketBatchSampler(plain, max_batch_seconds, shuffle=False)
    statistics = GlobalStatistics(model.features)
    for batch in batch_loader(sampler):
        statistics.add(batch.waveforms, batch.num_samples)
    statistics.store()


def build_trainer(recipe: RunConfig, metric: str = "valid_wer") -> pl.Trainer:
    """Lightning's Trainer with the recipe's own settings over this project's defaults; metric: see RunModule."""
    folder = recipe.folder
    callbacks: list[pl.Callback] = [
        BestCheckpoints(recipe.checkpoints, metric, recipe.average_best),
        LastCheckpoint(recipe.checkpoints, recipe.checkpoint_steps),
        LearningRateMonitor("step"),
        SampleHypotheses(),
        LearningCurve(folder),
    ]  # fmt: skip
    bar = recipe.trainer.get("enable_progress_bar", sys.stderr.isatty())
    callbacks.append(RunProgressBar() if bar else EpochLines())
    if recipe.early_stopping:
        callbacks.append(Patience(recipe.early_stopping))
    defaults: dict[str, Any] = {
        "max_epochs": recipe.max_epochs, "gradient_clip_val": 1.0, "log_every_n_steps": 10, "enable_progress_bar": bar,
    }  # fmt: skip
    if has_bfloat16(recipe.trainer.get("accelerator", "auto")):
        defaults["precision"] = "bf16-mixed"
    settings = {**defaults, **recipe.trainer}
    if isinstance(recipe, RecipeConfig) and settings.get("accelerator", "auto") == "auto":
        # On a Mac Lightning would choose the GPU also where torch has no CTC for it.
        settings["accelerator"] = "cpu" if MPSAccelerator.is_available() and not has_ctc("mps") else "auto"
    # A resumed run logs to csv/version_1 and so on: Lightning would begin the old file anew.
    loggers = [
        CSVLogger(folder, name="csv", flush_logs_every_n_steps=10),
        TensorBoardLogger(folder, name="tensorboard", version=""),
    ]
    try:
        return pl.Trainer(
            **settings, logger=loggers, callbacks=callbacks, default_root_dir=folder,
            use_distributed_sampler=False, enable_model_summary=False,
        )  # fmt: skip
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {error}") from error


def any_trainer(recipe: RunConfig) -> pl.Trainer:
    """The recipe's, or, where that cannot be made, one that knows of the other machines at least."""
    with quiet_lightning():
        try:
            return build_trainer(recipe)
        except ConfigError:
            nodes = recipe.trainer.get("num_nodes", 1)
            return pl.Trainer(accelerator="cpu", strategy="ddp", devices=1, num_nodes=nodes, logger=False)


def has_bfloat16(accelerator: object) -> bool:
    """Whether training runs on a GPU, and one that computes in bfloat16 (Nvidia's from 2020 on)."""
    wanted = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return wanted and torch.cuda.is_bf16_supported(including_emulation=False)


def has_ctc(device: str) -> bool:
    """Whether torch can compute CTC and its gradient there."""
    one = torch.ones(1, 1, dtype=torch.int64)
    try:
        log_probs = torch.zeros(1, 1, 2, device=device, requires_grad=True)
        ctc_losses(log_probs, one[0], one.to(device), one[0]).sum().backward()
    except NotImplementedError:
        return False
    return True


class quiet_lightning(warnings.catch_warnings):  # noqa: N801 - used like the context manager it extends
    """Silence messages of Lightning that tell a user of this program nothing to act on."""

    MESSAGES = (
        ".*does not have many workers.*",
        ".*GPU available but not used.*",  # the recipe says so, or this file
        ".*smaller than the logging interval.*",
        ".*LeafSpec.*is deprecated.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*Found .* module.* in eval mode.*",
        ".*Please add the following callbacks.*",  # a resumed run may do without early stopping, or a limit of time
        ".*when logging on epoch level in distributed setting.*",  # each rank has gathered all and logs the same
        ".*your dataloader is not resumable.*",  # BucketBatchSampler's `position` resumes it exactly
    )

    def __enter__(self) -> None:
        super().__enter__()
        for message in self.MESSAGES:
            warnings.filterwarnings("ignore", message)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def finish(recipe: RecipeConfig, trainer: pl.Trainer, run: Prepared, metric: str) -> Result:
    """Choose the weights, score the validation set and once the test set, write the model folder and results.json."""
    model, rows = run.model, run.rows
    if recipe.init_from:
        bring_decoder(recipe.init_from, model.tokenizer.tokens, recipe.folder / "model")
    with kept(recipe.folder / "model"):
        valid = choose_weights(
            trainer,
            model,
            lambda: evaluate(model, rows.valid),
            lambda scored: _rank_of(scored, recipe, metric),
            lambda: _save_model(recipe, run),
        )
        _save_model(recipe, run, valid)
        test = evaluate(model, rows.test) if rows.test else None
    _save_model(recipe, run, valid, test)
    write_results(recipe.folder, trainer, valid.to_dict(), test.to_dict() if test else None)
    return Result(recipe.folder, recipe.folder / "model", valid, test)


def _rank_of(scored: Evaluation, recipe: RecipeConfig, metric: str) -> float:
    """Lower is better. CTC-CRF is not to be judged greedily: there all are alike, and the mean of checkpoints stays."""
    return 0.0 if recipe.loss.crf else rank(*error_rates(metric, scored.references, scored.texts).values())


def _save_model(
    recipe: RecipeConfig, run: Prepared, valid: Evaluation | None = None, test: Evaluation | None = None
) -> None:
    """The model folder; its card tells what has been scored so far."""
    scores = {"validation": valid, "test": test}
    seconds = float(run.train_set.seconds.sum())
    predicted = run.rows.describe_predicted(recipe.data)
    card = model_card(recipe, run.model, scores, len(run.train_set), seconds, predicted)
    run.model.save(recipe.folder / "model", card)


Scored = TypeVar("Scored")


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Add to what stops the scoring that the training was not in vain."""
    try:
        yield
    except (UserError, KeyboardInterrupt) as error:
        raise type(error)(
            f"{str(error) or 'interrupted'}\nThe trained model is in {folder}; only its scores are missing. --resume "
            "computes them, or `asr evaluate`"
        ) from error


def choose_weights(
    trainer: pl.Trainer,
    model: torch.nn.Module,
    score: Callable[[], Scored],
    rank_of: Callable[[Scored], float],
    save: Callable[[], None],
) -> Scored:
    """Load the mean of the best checkpoints, or the best of them where its score ranks lower; return the score.

    The mean is saved before it is scored: scoring can fail, and shall not take a finished training with it.
    """
    checkpoint = trainer.checkpoint_callback
    assert isinstance(checkpoint, ModelCheckpoint)
    ranked = sorted(checkpoint.best_k_models, key=lambda path: float(checkpoint.best_k_models[path]))
    weights = [state for path in ranked if (state := _weights(Path(path)))]
    model.to(trainer.strategy.root_device).eval()
    if weights:
        model.load_state_dict(average(weights))
    save()
    scored = score()
    if len(weights) > 1:
        # A mean of networks far apart can be worse than the best of them: validation decides.
        averaged = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(weights[0])
        single = score()
        if rank_of(single) < rank_of(scored):
            return single
        model.load_state_dict(averaged)
    return scored


def _weights(path: Path) -> dict[str, torch.Tensor]:
    """The model's in a checkpoint; none, and a word about it, where that is damaged."""
    try:
        state = read(path)["state_dict"]
    except ConfigError as error:
        print(f"{error}; the mean is of the others", file=sys.stderr)
        return {}
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def average(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each weight over checkpoints."""
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
