"""Two processes on the CPU (gloo): equal steps, every utterance once an epoch, one set of weights, exact validation."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from asr.data import manifest
from asr.data.batches import BucketBatchSampler, SpeechDataset, batch_loader
from asr.evaluation.evaluate import evaluate
from asr.model.ctc_model import CTCModel
from asr.training.losses import ctc_losses
from tests.tones import tone_recipe, write_tones

SENTENCES = ("BAD CAB", "FACE A BEE", "DEAD BEEF", "HIDE A JADE", "A BAD IDEA")

RECORDER = """
# `asr`, writing down what each rank trains on and what it logs of a validation.
import json, sys
from asr.cli import main
from asr.training.module import SpeechModule

def record(module, **values):
    with open(f"rank{module.global_rank}.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"epoch": module.current_epoch, **values}) + chr(10))

class Recorded(SpeechModule):
    def training_step(self, batch, batch_idx):
        record(self, trained=batch.ids)
        return super().training_step(batch, batch_idx)

    def log_validation(self, values, valid_rank):
        if not self.trainer.sanity_checking:
            weights = sum(float(value.double().sum()) for value in self.model.parameters())
            record(self, validated=len(self.validated), weights=weights, rank=valid_rank, values=values)
        super().log_validation(values, valid_rank)

import asr.training.run
asr.training.run.SpeechModule = Recorded
sys.exit(main(sys.argv[1:]))
"""


def test_ddp_trains_and_validates_on_the_whole_corpus(tmp_path: Path) -> None:
    values = tone_recipe(tmp_path)
    tones = write_tones(tmp_path, SENTENCES, "five")
    values["data"] |= {"train": [str(tones)], "valid": [str(tones)], "max_batch_seconds": 2.0}
    values["trainer"] |= {"max_epochs": 3, "check_val_every_n_epoch": 1, "devices": 2, "strategy": "ddp"}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "recorder.py").write_text(RECORDER, encoding="utf-8")
    places = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "recorder", "train", "train.yaml"], cwd=tmp_path, encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places}, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model folder:") == 1, "only the first rank reports"
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["valid"]
    assert results["utterances"] == 5 and results["words"] == 13

    texts = [(tmp_path / f"rank{rank}.jsonl").read_text(encoding="utf-8") for rank in (0, 1)]
    ranks = [[json.loads(line) for line in text.splitlines()] for text in texts]
    for epoch in range(3):
        shards = [[row["trained"] for row in rank if row["epoch"] == epoch and "trained" in row] for rank in ranks]
        # Five sentences, a batch each: three steps of two ranks, of which one batch is a repetition.
        assert [len(shard) for shard in shards] == [3, 3]
        counts = Counter(name for shard in shards for batch in shard for name in batch)
        assert sorted(counts.values()) == [1, 1, 1, 1, 2] and sorted(counts) == [f"five{i}" for i in range(5)]

    validations = [[row for row in rank if "values" in row] for rank in ranks]
    assert [len(rank) for rank in validations] == [3, 3]
    for one, two in zip(*validations, strict=True):
        assert (one["validated"], two["validated"]) == (3, 3)
        assert [one[name] for name in ("weights", "rank", "values")] == [
            two[name] for name in ("weights", "rank", "values")
        ]
    # What the ranks gathered is what one process finds alone with the same weights.
    assert validations[0][-1]["values"] == pytest.approx(validated_alone(tmp_path / "run", tones), rel=1e-5)


def validated_alone(run: Path, tones: Path) -> dict[str, Any]:
    """What a validation logs, with the weights that the training ended with."""
    model = CTCModel.load(run / "model")
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    rows = manifest.read(tones)
    (batch,) = batch_loader(
        BucketBatchSampler(SpeechDataset(rows, model.tokenizer, model.sample_rate), 20.0, shuffle=False)
    )
    with torch.inference_mode():
        log_probs, num_frames = model(batch.waveforms, batch.num_samples)
    losses = ctc_losses(log_probs, num_frames, batch.tokens, batch.num_tokens)
    scored = evaluate(model, rows)
    return {
        "valid_loss": float(losses.sum() / batch.num_tokens.sum()),
        "valid_wer": scored.words.rate,
        "valid_cer": scored.characters.rate,
    }
