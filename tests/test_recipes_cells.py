"""The recipe `cells`: networks of one size, and gradients through time that equal finite differences."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from asr.cli import main
from asr.model.ctc_model import CTCModel
from asr.model.encoders.recurrent import RecurrentConfig, recur
from asr.text.tokenizer import BLANK, CharacterTokenizer
from asr.training.recipe import load_recipe, recipe_from
from asr.training.run import train
from tests.tones import RATE, brief_recipe, tone_waveform

CELLS = Path(__file__).parents[1] / "recipes" / "cells"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CELLS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sizes, gradients = script("sizes"), script("gradients")


@pytest.mark.parametrize("recipe", ["an4", "mini_librispeech"])
def test_all_cells_have_one_size(recipe: str) -> None:
    config = load_recipe(CELLS / f"{recipe}.yaml")
    wanted = sizes.count(config.encoder, config.features.size, sizes.TOKENS)
    variants = sizes.variants(config.encoder, config.features.size)
    assert {name: variant.hidden_size for name, variant in variants.items()} == {
        "lstm-both": 128, "lstm-one": 225, "gru-both": 156, "gru-one": 271,
        "rnn_tanh-both": 311, "rnn_tanh-one": 528, "rnn_relu-both": 311, "rnn_relu-one": 528,
    }  # fmt: skip
    for name, variant in variants.items():
        assert sizes.count(variant, config.features.size, sizes.TOKENS) == pytest.approx(wanted, rel=0.005)
        assert variant.cell == name.partition("-")[0] and variant.bidirectional == name.endswith("both")


def test_what_is_counted_is_the_network() -> None:
    config = recipe_from({"encoder": {"hidden_size": 8, "num_layers": 2}}, "test")
    tokenizer = CharacterTokenizer([BLANK, *" ABC"])
    parameters = sum(p.numel() for p in CTCModel(config.model, tokenizer).parameters())
    assert sizes.count(config.encoder, config.features.size, tokenizer.vocab_size) == parameters


def small_model(cell: str, bidirectional: bool, **changes: object) -> CTCModel:
    values = {"cell": cell, "bidirectional": bidirectional, "num_layers": 2, "hidden_size": 5, "conv_channels": 2}
    recipe = recipe_from({"features": {"sample_rate": RATE}, "encoder": {**values, **changes}}, "test")
    torch.manual_seed(7)
    return CTCModel(recipe.model, CharacterTokenizer([BLANK, *" ABC"])).eval()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("changes", [{}, {"projection": 3, "layer_norm": False}])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_gradients_equal_finite_differences(cell: str, bidirectional: bool, changes: dict) -> None:
    model, waveform = small_model(cell, bidirectional, **changes), tone_waveform("FACE A BEE")
    frame, reach = gradients.Frame(0, 20, 2), 4
    with torch.no_grad():
        model.encoder.layers[-1].rnn.weight_hh_l0.mul_(2)  # type: ignore[index, union-attr]
    found = gradients.norms(model, [waveform], [frame], reach)[0]
    model = model.double()
    layer: Any = model.encoder.layers[-1]  # type: ignore[index, union-attr]
    one = gradients.run_last_layer(model, waveform)

    # What runs frame by frame is the layer.
    whole = recur(layer.rnn, one.inputs[None], torch.tensor([len(one.inputs)]), layer.weights())[0]
    frame_by_frame = torch.cat([one.states[0][1:], one.backward], dim=1)
    torch.testing.assert_close(frame_by_frame, whole)

    def loss(back: int, state: torch.Tensor) -> float:
        """Of the frame, with the state `back` frames before it set."""
        parts = tuple(part[None] for part in state)
        for t in range(frame.time - back + 1, frame.time + 1):
            parts = gradients.step(layer, one.inputs[t][None], parts)
        output = torch.cat([parts[0], one.backward[frame.time][None]], dim=1)
        scores = model.head(layer.norm(layer.projection(output)))
        return -float(scores.log_softmax(dim=1)[0, frame.token])  # in float64, where log_probs ends in float32

    with torch.no_grad():
        for back in range(reach + 1):
            state = torch.stack([part[frame.time + 1 - back] for part in one.states])
            slopes = []
            for place in np.ndindex(*state.shape):
                change = torch.zeros_like(state)
                change[place] = 1e-5
                slopes.append((loss(back, state + change) - loss(back, state - change)) / 2e-5)
            if back == 0:  # the cell of that frame does nothing for its output any more
                slopes = slopes[: state.shape[1]]
            assert found[back] == pytest.approx(np.linalg.norm(slopes), rel=1e-4, abs=1e-9)
    assert found[reach] > 1e-3


def test_every_cell_trains_and_its_gradients_are_drawn(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path, max_epochs=1)
    base = RecurrentConfig(**values["encoder"])
    runs = []
    for name, config in sizes.variants(base, values["features"]["num_filters"], tokens=10).items():
        encoder = {n: getattr(config, n) for n in (*values["encoder"], "cell", "bidirectional")}
        result = train(recipe_from({**values, "encoder": encoder, "output": str(tmp_path / name)}, "test"))
        assert result is not None
        runs.append(str(result.folder))
    words = ["--manifest", values["data"]["valid"][0], "--output", str(tmp_path / "gradients.png"), "--reach", "8"]
    done = draw(*runs, *words)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8 and done.stdout.count("before training") == 8
    assert (tmp_path / "gradients.png").read_bytes().startswith(b"\x89PNG")
    assert main(["compare-runs", *runs, "--plot", str(tmp_path / "curves.png")]) == 0

    done = draw(*runs[:1], *words[:-1], "500")
    assert done.returncode == 1 and "no token begins 500 frames or more" in done.stderr
    recipe = yaml.safe_load((tmp_path / "lstm-both" / "recipe.yaml").read_bytes())
    recipe["init_from"] = f"{runs[1]}/model"
    (tmp_path / "lstm-both" / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    done = draw(*runs[:1], *words)
    assert done.returncode == 1 and "cannot be made again" in done.stderr
    assert "Traceback" not in done.stderr


def draw(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(CELLS / "gradients.py"), *words], capture_output=True, encoding="utf-8", check=False
    )


def test_a_vanishing_gradient_is_seen() -> None:
    model = small_model("rnn_tanh", False)
    with torch.no_grad():
        model.encoder.layers[-1].rnn.weight_hh_l0.mul_(0.1)  # type: ignore[index, union-attr]
    curve = gradients.norms(model, [tone_waveform("FACE A BEE")], [gradients.Frame(0, 20, 2)], 6)[0]
    assert curve[6] < 1e-4 * curve[0] and "a hundredth after" in gradients.describe(curve)
