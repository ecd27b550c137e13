"""Two processes on the CPU (gloo): equal steps, every utterance once an epoch, one set of weights, exact validation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from asr.training.callbacks import read_metrics
from tests.tones import tone_recipe, write_tones

SENTENCES = ("BAD CAB", "FACE A BEE", "DEAD BEEF", "HIDE A JADE", "A BAD IDEA")


def test_ddp_trains_and_validates_on_the_whole_corpus(tmp_path: Path) -> None:
    values = tone_recipe(tmp_path)
    tones = str(write_tones(tmp_path, SENTENCES, "five"))
    values["data"] = {**values["data"], "train": [tones], "valid": [tones], "max_batch_seconds": 2.0}
    values["trainer"] = {
        **values["trainer"],
        "max_epochs": 3,
        "check_val_every_n_epoch": 1,
        "log_every_n_steps": 1,
        "devices": 2,
        "strategy": "ddp",
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "asr", "train", str(tmp_path / "train.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    metrics = read_metrics(tmp_path / "run")
    # Five sentences, a batch each: three steps of two ranks, of which one batch is a repetition.
    assert max(metrics["train_loss"]) + 1 == 9
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["valid"]
    assert results["utterances"] == 5 and results["words"] == 13
    # What the ranks gathered is what one process finds alone with the same weights.
    assert min(metrics["valid_wer"].values()) >= results["wer"]
    assert done.stdout.count("model folder:") == 1, "only the first rank reports"
