"""How far back a frame's loss reaches: the norm of its gradient by the recurrent state k frames earlier, as a picture.

    python recipes/cells/gradients.py runs/cells-an4-* --manifest data/an4/dev.jsonl --output gradients.png

The loss of frame T is -ln p(token) of the token that the best alignment of the text has begun there; the state is that
of the last recurrent layer's forward direction (of an LSTM: its output and its cell), which reaches frame T through the
recurrence alone. Each network is drawn untrained, as the run began, and as the run has left it, on the same frames with
the same tokens: the median over the frames. Dropout is off, as in use.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.alignment.forced import States, best_path, spell
from asr.audio.load import load_audio
from asr.data import manifest
from asr.errors import ConfigError, DataError, UserError
from asr.model.ctc_model import CTCModel
from asr.model.encoders.recurrent import RecurrentConfig, RecurrentEncoder, RecurrentLayer
from asr.training.recipe import load_recipe

State = tuple[Tensor, ...]  # (B, H) each: the output; of an LSTM the cell too


class Frame(NamedTuple):
    """A frame at which a token begins."""

    utterance: int
    time: int
    token: int


class Pass(NamedTuple):
    """An utterance in the last layer."""

    inputs: Tensor  # (T, D)
    states: State  # (T + 1, H) each, of the forward direction; the first is zero
    backward: Tensor  # (T, H'), the backward direction's outputs; H' is 0 in one direction


class Curves(NamedTuple):
    """Of a run: median norms (reach + 1,) before and after training."""

    run: str
    encoder: RecurrentConfig
    before: np.ndarray
    after: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders that `asr train` wrote")
    parser.add_argument("--manifest", required=True, help="utterances with their texts, not trained on")
    parser.add_argument("--output", required=True, type=Path, help="the picture")
    parser.add_argument("--reach", type=int, default=40, help="frames back (default: 40)")
    parser.add_argument("--frames", type=int, default=200, help="frames whose losses are taken (default: 200)")
    args = parser.parse_args()
    curves = []
    try:
        for run in args.runs:
            curves.append(of_run(run, args.manifest, args.reach, args.frames))
            print(f"{run.name}: {describe(curves[-1].before)} before training, {describe(curves[-1].after)} after it")
        draw(curves, args.output)
    except UserError as error:
        raise SystemExit(str(error)) from None


def of_run(run: Path, path: str, reach: int, count: int) -> Curves:
    """Raises UserError for a folder that is no such run, and a manifest without frames to take."""
    recipe = load_recipe(run / "recipe.yaml")
    if recipe.init_from:
        raise ConfigError(f"{run}: began from {recipe.init_from}: what it was before training cannot be made again")
    trained = CTCModel.load(run / "model")
    if not isinstance(trained.encoder, RecurrentEncoder):
        raise ConfigError(f"{run}: encoder.name: found {recipe.encoder.name}, wanted recurrent")
    torch.manual_seed(recipe.seed)  # as the run does before it makes its network
    fresh = CTCModel(trained.config, trained.tokenizer).eval()
    rows = manifest.read(path)
    waveforms = [
        load_audio(r.audio_filepath, trained.sample_rate, offset=r.offset, duration=r.duration)[0] for r in rows
    ]
    frames = choose(trained, waveforms, [row.text for row in rows], reach, count)
    if not frames:
        raise DataError(f"{path}: no token begins {reach} frames or more after an utterance's beginning: lower --reach")
    before, after = (np.median(norms(model, waveforms, frames, reach), axis=0) for model in (fresh, trained))
    return Curves(run.name, trained.config.encoder, before, after)


def choose(
    model: CTCModel, waveforms: Sequence[np.ndarray], texts: Sequence[str], reach: int, count: int
) -> list[Frame]:
    """Frames, at least `reach` after the first, at which the model's alignment of a text begins a token."""
    found = []
    for i, (waveform, text) in enumerate(zip(waveforms, texts, strict=True)):
        with torch.inference_mode():
            log_probs = model(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))[0][0].numpy()
        units = spell(model.tokenizer, model.tokenizer.normalise(text)) if text.split() else []
        if not units:
            continue
        states = States.of(units, model.tokenizer.blank_id)
        path, score = best_path(log_probs, states)
        if not np.isfinite(score):
            continue  # too short for its text
        begins = [t for t in range(reach, len(path)) if states.unit[path[t]] >= 0 and path[t] != path[t - 1]]
        found += [Frame(i, t, int(states.token[path[t]])) for t in begins]
    order = np.random.default_rng(0).permutation(len(found))[:count]
    return [found[i] for i in sorted(order)]


def norms(model: CTCModel, waveforms: Sequence[np.ndarray], frames: Sequence[Frame], reach: int) -> np.ndarray:
    """(R, reach + 1): for each of R frames the gradient's norm by the state k = 0, 1, ... frames earlier.

    waveforms: of the utterances. In float64, for what vanishes shall not underflow.
    """
    model = model.double()
    layer = model.encoder.layers[-1]
    passes = {i: run_last_layer(model, waveforms[i]) for i in {frame.utterance for frame in frames}}

    def at(back: int) -> State:
        """The states so many frames before each frame."""
        rows = [[part[f.time + 1 - back] for part in passes[f.utterance].states] for f in frames]
        return tuple(torch.stack(part) for part in zip(*rows, strict=True))

    # From the loss to the state of its own frame,
    state = leaves(at(0))
    beside = torch.stack([passes[f.utterance].backward[f.time] for f in frames])
    log_probs = model.log_probs(layer.norm(layer.projection(torch.cat([state[0], beside], dim=1)))[:, None])[:, 0]
    losses = -log_probs[torch.arange(len(frames)), torch.tensor([f.token for f in frames])]
    gradients = torch.autograd.grad(losses.sum(), state[:1])
    gradients = (*gradients, *(torch.zeros_like(part) for part in state[1:]))
    found = [norm(gradients)]
    # and from each state to the one before.
    for back in range(reach):
        state = leaves(at(back + 1))
        inputs = torch.stack([passes[f.utterance].inputs[f.time - back] for f in frames])
        gradients = torch.autograd.grad(step(layer, inputs, state), state, gradients)
        found.append(norm(gradients))
    return torch.stack(found, dim=1).numpy()


def run_last_layer(model: CTCModel, waveform: np.ndarray) -> Pass:
    """The last layer's inputs and states in an utterance (S,)."""
    encoder: RecurrentEncoder = model.encoder
    with torch.no_grad():
        features, num_frames = model.features(torch.from_numpy(waveform).double()[None], torch.tensor([len(waveform)]))
        x, num_frames = encoder.frontend(features.double(), num_frames)
        for layer in encoder.layers[:-1]:
            x = layer(x, num_frames)
        last: RecurrentLayer = encoder.layers[-1]
        size = last.rnn.hidden_size
        state = tuple(x.new_zeros(1, size) for _ in range(2 if last.config.cell == "lstm" else 1))
        states = [state]
        for t in range(x.shape[1]):
            states.append(step(last, x[:, t], states[-1]))
        both = last.rnn(x)[0][0]
    return Pass(x[0], tuple(torch.cat(part) for part in zip(*states, strict=True)), both[:, size:])


def step(layer: RecurrentLayer, inputs: Tensor, state: State) -> State:
    """One frame of the forward direction: inputs (B, D) and the state before it -> the state after it."""
    weights = layer.weights()[:4]
    if layer.config.cell == "lstm":
        return torch.lstm_cell(inputs, state, *weights)
    cell = {"gru": torch.gru_cell, "rnn_tanh": torch.rnn_tanh_cell, "rnn_relu": torch.rnn_relu_cell}[layer.config.cell]
    return (cell(inputs, state[0], *weights),)


def leaves(state: State) -> State:
    return tuple(part.detach().requires_grad_() for part in state)


def norm(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(gradients), dim=1).norm(dim=1).detach()


def describe(curve: np.ndarray) -> str:
    """After how many frames the norm is below a hundredth, or above a hundredfold, of what it is at the loss."""
    ratio = curve / curve[0]
    for what, there in (("a hundredth", ratio < 0.01), ("a hundredfold", ratio > 100)):
        if there.any():
            return f"{what} after {int(there.argmax())} frames"
    return f"{ratio[-1]:.2g} of it after {len(curve) - 1} frames"


def draw(curves: Sequence[Curves], picture: Path) -> None:
    """A colour for each kind of cell; broken lines where it goes in one direction."""
    from matplotlib.figure import Figure

    colours = {cell: f"C{i}" for i, cell in enumerate(("lstm", "gru", "rnn_tanh", "rnn_relu"))}
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, when in zip(panels, ("before", "after"), strict=True):
        for curve in curves:
            style = "-" if curve.encoder.bidirectional else "--"
            axes.semilogy(getattr(curve, when), style, color=colours[curve.encoder.cell], label=curve.run)
        axes.set(title=f"{when} training", xlabel="k, frames before T")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("norm of d loss(T) / d state(T - k)")
    panels[1].legend(fontsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
