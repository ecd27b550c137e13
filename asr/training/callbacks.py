"""What a training run shows: the progress bar, sample hypotheses, the learning-curve picture."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger

from asr.training.curves import ERROR_RATES, draw_learning_curve, read_metrics
from asr.training.ranking import LEAST


class RunProgressBar(TQDMProgressBar):
    """Lightning's bar with the loss, what a validation is judged by, and the data trained on per time."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self._started: tuple[float, float] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self._started = (time.perf_counter(), _trained(trainer.lightning_module))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        shown = {"loss": metrics.get("train_loss")}
        name: str = pl_module.metric  # type: ignore[assignment]
        if name in metrics:
            value = float(metrics[name])  # type: ignore[arg-type]
            shown[name] = f"{value:.1%}" if name in ERROR_RATES else f"{value:.4g}"
        if self._started:
            clock, before = self._started
            passed = max(time.perf_counter() - clock, 1e-9)
            rate = (_trained(pl_module) - before) / passed * trainer.world_size
            shown[pl_module.rate] = f"{rate:.0f}"  # type: ignore[index]
        return shown


def _trained(module: pl.LightningModule) -> float:
    """What a RunModule has trained on; typed, where Lightning's hooks know of any module."""
    amount = module.trained
    assert isinstance(amount, float)
    return amount


class EpochLines(pl.Callback):
    """A line for each validation, where there is no terminal for a progress bar: logs stay readable."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        names = ("train_loss", "valid_loss", *ERROR_RATES, "valid_perplexity")
        values = "  ".join(f"{name} {float(metrics[name]):.4f}" for name in names if name in metrics)
        minutes = (time.monotonic() - self.started) / 60
        last = f"/{trainer.max_epochs}" if trainer.max_epochs != -1 else ""
        print(f"epoch {trainer.current_epoch + 1}{last}  {values}  {minutes:.1f} min", flush=True)


class Patience(EarlyStopping):
    """Stops training after so many validations without a lower rank; a resumed run is as patient as its recipe says."""

    def __init__(self, validations: int):
        super().__init__("valid_rank", patience=validations, min_delta=LEAST, check_finite=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # What was stopped stays so, unless the recipe has more patience now.
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class SampleHypotheses(pl.Callback):
    """Writes a few references and hypotheses after each validation: to TensorBoard and samples.txt."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        samples: list[tuple[str, str, str]] = pl_module.samples  # type: ignore[assignment]
        if trainer.sanity_checking or not trainer.is_global_zero or not samples:
            return
        lines = [f"{name}\n  reference   {ref}\n  hypothesis  {hyp}" for name, ref, hyp in samples]
        with (Path(trainer.default_root_dir) / "samples.txt").open("a", encoding="utf-8") as file:
            file.write(f"epoch {trainer.current_epoch}\n" + "\n".join(lines) + "\n\n")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                text = "\n\n".join(f"    {line}" for line in "\n".join(lines).split("\n"))
                logger.experiment.add_text("samples", text, trainer.global_step)


class LearningCurve(pl.Callback):
    """Draws losses and rates from the CSV log: at most twice a minute, and at the end."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.drawn = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and time.monotonic() - self.drawn > 30:
            self.draw()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.save()
            self.draw()

    def draw(self) -> None:
        draw_learning_curve(read_metrics(self.folder), self.folder / "learning_curve.png")
        self.drawn = time.monotonic()
