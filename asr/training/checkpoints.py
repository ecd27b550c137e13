"""Checkpoints of a run: what it goes on from, what is averaged at its end, and whether a recipe still fits them.

last.ckpt is what `--resume` goes on from, previous.ckpt the one before, in case the last is damaged. Each says what the
run was begun with (`Origin`); the epoch*.ckpt hold the weights of the best validations.
"""

import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from asr.errors import ConfigError
from asr.settings import flat
from asr.training.recipe import RunConfig

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
KEY, SECONDS = "asr_origin", "asr_training_seconds"  # in a checkpoint, beside Lightning's own

# Settings that a resumed run may change: they leave its course as it is, or what they stand for is compared itself.
FREE = {
    "name", "output", "init_from", "early_stopping", "average_best", "checkpoint_steps", "samples", "tokenizer",
    "data.train", "data.valid", "data.test", "data.non_speech", "data.min_confidence", "data.exclude",
    "data.num_workers", "data.cache_gb",
}  # fmt: skip
# Of Lightning's arguments, those that decide the course.
BOUND = {
    "devices", "num_nodes", "accumulate_grad_batches", "limit_train_batches", "overfit_batches", "gradient_clip_val",
    "gradient_clip_algorithm",
}  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """What a run was begun with, as far as its course depends on it."""

    settings: dict[str, Any]  # dotted name -> value
    tokens: list[str]
    train: str  # digests of the examples
    valid: str


def origin_of(recipe: RunConfig, tokens: list[str], train: str, valid: str) -> Origin:
    """train, valid: digests of the examples, without the places that they are read from."""
    settings = dict(flat(asdict(recipe)))
    kept = {
        name: value
        for name, value in settings.items()
        if (name.removeprefix("trainer.") in BOUND if name.startswith("trainer.") else not _is_free(name))
    }
    return Origin(kept, list(tokens), train, valid)


def _is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


def refuse_changes(path: Path, begun: Origin, now: Origin) -> None:
    """Raise ConfigError listing what a run resumed from `path` would do otherwise than it was begun."""
    names = sorted(begun.settings.keys() | now.settings.keys())
    changes = [
        f"{name}: found {now.settings.get(name)!r}, wanted {begun.settings.get(name)!r}"
        for name in names
        if now.settings.get(name) != begun.settings.get(name)
    ]
    if now.tokens != begun.tokens:
        more, fewer = (sorted(set(a) - set(b)) for a, b in ((now.tokens, begun.tokens), (begun.tokens, now.tokens)))
        differing = "; ".join(
            f"{title}: {', '.join(map(repr, tokens[:10]))}{', ...' * (len(tokens) > 10)}"
            for title, tokens in (("new", more), ("missing", fewer))
            if tokens
        )
        changes.append(f"tokens: found others than the run was begun with ({differing or 'in another order'})")
    for split in ("train", "valid"):
        if getattr(now, split) != getattr(begun, split):
            changes.append(f"data.{split}: found other examples than the run was begun with")
    if changes:
        raise ConfigError(
            f"{path}: a run goes on as it was begun, and this recipe differs:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nTake these back, or begin another run (--output), from this one's model if you like (--init-from)"
        )


class Found(NamedTuple):
    """A checkpoint to go on from."""

    path: Path
    origin: Origin
    epoch: int  # whole epochs behind it
    step: int  # optimiser steps behind it


def is_begun(folder: Path) -> bool:
    """Are there checkpoints of a run in the folder?"""
    return any((folder / name).is_file() for name in (LAST, PREVIOUS))


def find(folder: Path) -> tuple[Found, str]:
    """The checkpoint to go on from, and what is wrong with a later one, if anything.

    Raises ConfigError where there is none, or none that can be read.
    """
    problems: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            state = read(path)
            return Found(path, Origin(**state[KEY]), state["epoch"], state["global_step"]), "; ".join(problems)
        except ConfigError as error:
            problems.append(str(error))
        except (KeyError, TypeError):
            problems.append(f"{path}: of another version of asr, which began runs otherwise")
    if not problems:
        raise ConfigError(f"{folder / LAST}: nothing to resume: no such checkpoint")
    raise ConfigError("; ".join(problems) + ": nothing to resume from: begin another run (--output)")


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's contents. Raises ConfigError where it is damaged: every byte is compared with its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad:
            raise zipfile.BadZipFile(f"{bad} does not have its checksum")
        contents: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive fails in as many ways as there are places in it
        raise ConfigError(f"{path}: the checkpoint is damaged: {error}") from error
    return contents


class LastCheckpoint(Checkpoint):
    """Keeps two checkpoints to resume from, made at each epoch's start, every `every_steps` steps, and at the end.

    Each is written beside its place and then moved there, so that a kill at any moment leaves a whole one. All of them
    are at places from where Lightning resumes exactly: an epoch's start, or after a step in its middle. (Of Lightning's
    class Checkpoint, so that it comes after callbacks that stop the training.)
    """

    def __init__(self, folder: Path, every_steps: int):
        self.folder = folder
        self.every_steps = every_steps

    def save(self, trainer: pl.Trainer) -> None:
        # What a checkpoint has behind it is not computed again: its log must be on the disk too.
        for logger in trainer.loggers:
            logger.save()
        part = self.folder / "last.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            if (self.folder / LAST).is_file():
                os.replace(self.folder / LAST, self.folder / PREVIOUS)
            os.replace(part, self.folder / LAST)
        trainer.strategy.barrier()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # At an epoch's end Lightning has not yet stepped the schedules that follow the validation. At the next one's
        # start it still counts the batches of the one before: resumed with that count it would skip the epoch, and
        # resumed with none, taken for the middle of an epoch, count one too many.
        epoch = trainer.fit_loop.epoch_loop
        epoch.batch_progress.reset_on_run()
        epoch.restarting = False
        self.save(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Not between an epoch's last step and its validation, from where Lightning does not resume exactly: the next
        # epoch's start follows at once. And not between the batches of one step, whose gradients would be lost.
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        ends = trainer.should_stop or trainer.global_step == trainer.max_steps
        if ends or trainer.global_step % self.every_steps == 0:
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Where training ends within an epoch, what was saved last is in that epoch still; Lightning by now takes it
        # for done, and would skip the rest of it.
        epoch = trainer.fit_loop.epoch_loop
        if epoch.batch_progress.is_last_batch:
            epoch.batch_progress.reset_on_run()
            self.save(trainer)


class BestCheckpoints(ModelCheckpoint):
    """The weights of the validations of lowest rank."""

    def __init__(self, folder: Path, metric: str, count: int):
        name = f"epoch{{epoch:03d}}-step{{step:06d}}-{metric.removeprefix('valid_')}{{{metric}:.4f}}"
        super().__init__(
            folder, name, monitor="valid_rank", save_top_k=count, save_weights_only=True,
            auto_insert_metric_name=False, enable_version_counter=False,
        )  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # By their names: the folder may have been moved. A file may be gone where a kill came after a later validation,
        # which is about to be computed again.
        assert self.dirpath is not None
        places = {str(Path(self.dirpath) / Path(path).name): rank for path, rank in state_dict["best_k_models"].items()}
        ranked = sorted((float(rank), path) for path, rank in places.items() if Path(path).is_file())
        kept = ranked[: self.save_top_k]
        self.best_k_models = {path: places[path] for _, path in kept}
        if kept:
            self.best_model_path = kept[0][1]
            self.best_model_score = places[self.best_model_path]
        if len(kept) == self.save_top_k:
            self.kth_best_model_path = kept[-1][1]
            self.kth_value = places[self.kth_best_model_path]
