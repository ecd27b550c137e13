"""The LightningModule: loss, optimiser, schedule, metrics; and the DataModule.

`RunModule` and `RunDataModule` hold what the training of a language model (asr.training.recurrent_lm) shares.

Every random draw of a step (dropout, SpecAugment) is seeded by (seed, epoch, step, rank). So a run that is killed and
resumed computes the same losses as one that is not.
"""

import itertools
import math
import sys
import time
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.utils.data import DataLoader

from asr.data import draws
from asr.data.augment import SpecAugment
from asr.data.batches import Batch, BucketBatchSampler, SpeechDataset, batch_loader
from asr.decoders.greedy import GreedyDecoder
from asr.errors import ConfigError, DataError
from asr.model.ctc_model import CTCModel
from asr.training.checkpoints import KEY, SECONDS, Origin
from asr.training.losses import consistency_losses, crf_terms, ctc_losses
from asr.training.ranking import LEAST, error_rates, rank
from asr.training.recipe import OptimizerConfig, RecipeConfig, RunConfig, ScheduleConfig


class Validated(NamedTuple):
    """An utterance of the validation set, decoded greedily."""

    reference: str
    hypothesis: str
    loss: float  # of the whole utterance
    num_tokens: int


class Clock:
    """How long a run has been trained, validations included, in all processes that went on with it."""

    def __init__(self, before: float | None = 0.0):
        """before: seconds behind the checkpoint that is gone on from; None: it does not say."""
        self.before = before
        self.started: float | None = None

    def start(self) -> None:
        self.started = time.monotonic()

    def stop(self) -> None:
        self.before, self.started = self.seconds, None

    @property
    def seconds(self) -> float | None:
        if self.before is None or self.started is None:
            return self.before
        return self.before + time.monotonic() - self.started


class RunModule(pl.LightningModule):
    """What all trainings share: clipping that is logged, optimiser, schedule, validation gathered from all ranks.

    A validation logs `metric` and valid_rank (see asr.training.ranking), by which checkpoints are chosen, and training
    is stopped early; lower is better in both.
    """

    metric: str  # the figure by which a validation is judged first
    rate: ClassVar[str]  # name of what `trained` grows by in a second

    def __init__(self, recipe: RunConfig, model: nn.Module):
        super().__init__()
        self.run = recipe
        self.model = model
        self.trained = 0.0  # amount of data trained on by this process, padding left out
        self.validated: dict[Any, Any] = {}  # of this rank, by what names an example
        self.samples: list[tuple[str, str, str]] = []  # id, reference, hypothesis of the last validation
        self.origin: Origin  # what the checkpoints say that the run was begun with
        self.clock = Clock()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = vars(self.origin)
        checkpoint[SECONDS] = self.clock.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.clock = Clock(checkpoint.get(SECONDS))

    def on_train_end(self) -> None:
        self.clock.stop()

    def on_train_start(self) -> None:
        self.clock.start()
        # A checkpoint brings the rate of its last step along. With more epochs the schedule is another from here on.
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(schedule := config.scheduler, LambdaLR):
                for group, peak, share in zip(
                    schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
                ):
                    group["lr"] = peak * share(schedule.last_epoch)

    def step_seed(self, batch_idx: int) -> tuple[int, ...]:
        """What the random draws of a training step are seeded by."""
        return self.run.seed, self.current_epoch, batch_idx, self.global_rank

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning clips, and says nothing of what it clipped.
        norms = [p.grad.norm() for p in self.parameters() if p.grad is not None]
        self.log("gradient_norm", torch.stack(norms).norm())
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_validation_epoch_start(self) -> None:
        self.validated = {}

    def gathered(self) -> dict[Any, Any]:
        """What all ranks have validated; what two ranks have both seen counts once."""
        if self.trainer.world_size == 1:
            return self.validated
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, self.validated)
        return {name: row for part in parts for name, row in part.items()}

    def log_validation(self, values: dict[str, float], valid_rank: float) -> None:
        """Log what every rank has computed alike from what all have gathered; step a schedule that waits for it."""
        # As a tensor: of a number Lightning would keep half the digits.
        logged: dict[str, Any] = {**values, "valid_rank": torch.tensor(valid_rank, dtype=torch.float64)}
        if self.clock.seconds is not None:
            logged["training_seconds"] = self.clock.seconds
        self.log_dict(logged, rank_zero_only=False)
        plateau = self.lr_schedulers()
        if isinstance(plateau, ReduceLROnPlateau) and not self.trainer.sanity_checking:
            plateau.step(valid_rank)

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.run.optimizer, self.model)
        steps = total_steps(self.trainer, len(self.trainer.datamodule.sampler("train")))  # type: ignore[attr-defined]
        return {"optimizer": optimizer, "lr_scheduler": build_schedule(self.run.schedule, optimizer, steps)}


class SpeechModule(RunModule):
    """Trains a CTCModel. Logs train_loss, gradient_norm, audio_seconds; valid_loss, _rank, and the error rates."""

    rate = "audio_h_per_h"
    model: CTCModel
    validated: dict[str, Validated]  # by id

    def __init__(self, recipe: RecipeConfig, model: CTCModel, trigram: Tensor | None = None, metric: str = "valid_wer"):
        """trigram: of the training texts' tokens (`asr.training.crf.token_trigram`), where the loss is CTC-CRF.

        metric: as `asr.training.ranking.metric_of` chooses it.
        """
        super().__init__(recipe, model)
        self.recipe = recipe
        self.metric = metric
        self.trigram: Tensor | None
        self.register_buffer("trigram", trigram, persistent=False)
        self.spec_augment = SpecAugment(recipe.spec_augment)
        self.decode = GreedyDecoder(model.tokenizer, model.seconds_per_frame)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch, self.step_seed(batch_idx))
        self.trained += int(batch.num_samples.sum()) / self.model.sample_rate
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch.ids))
        self.log("audio_seconds", self.trained, batch_size=len(batch.ids))
        return loss

    def loss(self, batch: Batch, seed: tuple[int, ...]) -> Tensor:
        """The recipe's loss per token of a batch, with SpecAugment and dropout drawn from `seed` (see `step_seed`).

        Raises DataError naming the utterances where it is not finite.
        """
        config = self.recipe.loss
        torch.manual_seed(draws.torch_seed("dropout", *seed))
        features, num_frames = self.model.features(batch.waveforms, batch.num_samples)
        features, num_frames = features.repeat(config.views, 1, 1), num_frames.repeat(config.views)
        masks = torch.Generator().manual_seed(draws.torch_seed("masks", *seed))
        features = self.spec_augment(features, num_frames, masks)
        layers, num_frames = self.model.encoder.layer_outputs(features, num_frames)
        log_probs = self.model.log_probs(layers[-1])
        losses = self._losses(log_probs, num_frames, batch, config.crf)
        if config.intermediate:
            middle = self.model.log_probs(layers[(len(layers) - 1) // 2])
            below = self._losses(middle, num_frames, batch)
            losses = (1 - config.intermediate) * losses + config.intermediate * below
        if config.consistency:
            first, second = log_probs.chunk(2)
            losses = losses + config.consistency * consistency_losses(first, second, num_frames.chunk(2)[0])
        loss = losses.sum() / batch.num_tokens.sum().clamp(min=1)  # none, where nobody speaks
        if not torch.isfinite(loss):
            raise DataError(_explain_non_finite(losses, batch))
        return loss

    def _losses(self, log_probs: Tensor, num_frames: Tensor, batch: Batch, crf: float = 0.0) -> Tensor:
        """CTC of each utterance (B,), or CTC-CRF with the share `crf`.

        It is the mean of the utterance's views, which follow each other in log_probs (views * B, T, V).
        """
        views = len(log_probs) // len(batch.ids)
        rows = log_probs, num_frames, batch.tokens.repeat(views, 1), batch.num_tokens.repeat(views)
        losses: Tensor = ctc_losses(*rows)
        if crf:
            assert self.trigram is not None
            losses = losses + crf * crf_terms(*rows, self.trigram)
        return losses.reshape(views, -1).mean(dim=0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        log_probs, num_frames = self.model(batch.waveforms, batch.num_samples)
        losses = self._losses(log_probs, num_frames, batch, self.recipe.loss.crf).tolist()
        best = [hypotheses[0].text for hypotheses in self.decode(log_probs, num_frames)]
        rows = zip(batch.references, best, losses, batch.num_tokens.tolist(), strict=True)
        self.validated.update(zip(batch.ids, itertools.starmap(Validated, rows), strict=True))

    def on_validation_epoch_end(self) -> None:
        validated: dict[str, Validated] = self.gathered()
        rows = list(validated.values())
        rates = error_rates(self.metric, [row.reference for row in rows], [row.hypothesis for row in rows])
        # Infinite is the loss of a text that has no room in its frames: it was named at the start (rows.without_loss),
        # and has no part in the mean.
        finite = [row for row in rows if not math.isinf(row.loss)]
        loss = sum(row.loss for row in finite) / max(1, sum(row.num_tokens for row in finite))
        # CTC-CRF leaves to a language model what the greedy path then lacks: there the loss alone tells.
        valid_rank = rank(loss) if self.recipe.loss.crf else rank(*rates.values(), loss)
        self.log_validation({"valid_loss": loss, **rates}, valid_rank)
        self.samples = [(name, *validated[name][:2]) for name in sorted(validated)[: self.recipe.samples]]


def total_steps(trainer: pl.Trainer, batches: int) -> float:
    """Optimiser steps of the whole training, from the batches of an epoch on one rank; infinite where nothing ends it.

    Lightning's own estimate sets up the batches before it restores a checkpoint, and so at the wrong place.
    """
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    an_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
    epochs = trainer.max_epochs
    of_epochs = math.inf if epochs is None or epochs < 0 else an_epoch * max(epochs, 1)
    return min(of_epochs, math.inf if trainer.max_steps < 0 else trainer.max_steps)


def _explain_non_finite(losses: Tensor, batch: Batch) -> str:
    bad = [name for name, loss in zip(batch.ids, losses.tolist(), strict=True) if not math.isfinite(loss)]
    names = ", ".join(bad) if bad else "(only their sum) " + ", ".join(batch.ids)
    return (
        f"the loss is not finite for: {names}. Training stopped; the last checkpoint is kept. An infinite loss means "
        "too few frames for the text (see `asr info`); NaN means a learning rate that is too high or damaged audio"
    )


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser by its class name in torch.optim. Raises ConfigError for names and options that it has not."""
    cls = getattr(torch.optim, config.name, None)
    if not (isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)):
        raise ConfigError(f"optimizer.name: found {config.name}, wanted a class of torch.optim, e.g. AdamW, Adam, SGD")
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    try:
        return cls(groups, **{"lr": config.lr, **config.options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer: {config.name} does not take these options: {error}") from error


def build_schedule(config: ScheduleConfig, optimizer: torch.optim.Optimizer, steps: float) -> dict[str, Any]:
    """Lightning's description of the learning-rate schedule over so many optimiser steps.

    Raises ConfigError for a schedule over all steps where there is no end of them.
    """
    if config.name == "reduce_on_plateau":
        plateau = ReduceLROnPlateau(
            optimizer, factor=config.factor, patience=config.patience, threshold=LEAST, threshold_mode="abs"
        )
        # Stepped after each validation by the module: Lightning skips it in an epoch that was resumed midway. It only
        # keeps the state in its checkpoints.
        return {"scheduler": plateau, "monitor": "valid_rank", "frequency": sys.maxsize}
    if math.isinf(steps):
        raise ConfigError(
            f"schedule.name: found {config.name}, which goes over all steps, and a training without an end; wanted "
            "trainer.max_epochs, trainer.max_steps or the schedule reduce_on_plateau"
        )
    warmup = max(1, round(config.warmup * steps))

    def share_of_peak(step: int) -> float:
        if step < warmup:
            rise = (step + 1) / warmup
            return 0.5 * (1 - math.cos(math.pi * rise)) if config.name == "one_cycle" else rise
        if config.name == "constant":
            return 1.0
        fall = min(1.0, (step - warmup) / max(1, steps - warmup))
        return config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * fall))

    return {"scheduler": LambdaLR(optimizer, share_of_peak), "interval": "step"}


class RunDataModule(pl.LightningDataModule):
    """Training and validation batches, sharded by rank, of at most `max_batch` seconds (or tokens) after padding."""

    def __init__(self, datasets: dict[str, Any], max_batch: float, num_buckets: int, seed: int):
        """datasets: "train" and "valid", of the kind that a BucketBatchSampler takes."""
        super().__init__()
        self.datasets = datasets
        self.max_batch = max_batch
        self.num_buckets = num_buckets
        self.seed = seed

    def sampler(self, split: str) -> BucketBatchSampler:
        trainer = self.trainer
        dataset = self.datasets[split]
        return BucketBatchSampler(
            dataset,
            # What is too long is validated alone, never left out.
            self.max_batch if split == "train" else max(self.max_batch, dataset.seconds.max()),
            shuffle=split == "train",
            num_buckets=self.num_buckets,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            position=self._position if split == "train" else lambda: (0, 0),
        )

    def _position(self) -> tuple[int, int]:
        """The epoch, and the batches of it that a checkpoint in its middle has behind it."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        done = loop.epoch_loop.batch_progress.current.ready
        # At an epoch's end the count still stands at the full number.
        return self.trainer.current_epoch, done if done < loop.max_batches else 0

    def loader(self, sampler: BucketBatchSampler) -> DataLoader[Any]:
        """A loader of the sampler's batches."""
        raise NotImplementedError

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader(self.sampler("train"))

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(self.sampler("valid"))


class SpeechDataModule(RunDataModule):
    """The batches of a recipe."""

    def __init__(self, recipe: RecipeConfig, train: SpeechDataset, valid: SpeechDataset):
        data = recipe.data
        super().__init__({"train": train, "valid": valid}, data.max_batch_seconds, data.num_buckets, recipe.seed)
        self.num_workers = data.num_workers

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)

    def loader(self, sampler: BucketBatchSampler) -> DataLoader[Batch]:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return batch_loader(sampler, self.num_workers, pin_memory=on_gpu)
