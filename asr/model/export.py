"""A model as ONNX, for onnxruntime in any language: two graphs, one after the other.

    features.onnx  waveforms (B, S) float32, num_samples (B,) int64 -> features (B, T, F), num_frames (B,)
    model.onnx     features (B, T, F) float32, num_frames (B,) int64 -> log_probs (B, T', V), output_frames (B,)

B, S and T are free. The recurrent layers are those of the CPU path, the backward direction running over each utterance
reversed in its own length: padding never reaches a valid frame, and the log-probs are PyTorch's within 1e-4.

The features are a graph of their own because that cannot be said of them. In bands without sound, such as those above
the 4 kHz of a telephone call, the power is what rounding leaves of a Fourier transform in float32, and its logarithm
differs from one library to the next: log-probs were seen to differ by 3e-4 on speech and by 0.5 on calls upsampled to
16 kHz, and torch.stft is as far from a transform in float64. So OnnxModel takes the features from asr.model.features,
as every model here does, and features.onnx is for programs that have no PyTorch. There the transform is a convolution
with windowed cosines and sines: no less exact than ONNX's own STFT operator, and faster in onnxruntime.

What a caller needs to know is in the metadata of model.onnx (`asr.sample_rate`, ...) and, for reading, in config.json.
"""

import logging
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.onnx.symbolic_helper import parse_args

from asr.errors import ModelError
from asr.model.checksums import FILE as CHECKSUMS
from asr.model.ctc_model import CTCModel
from asr.model.features import Features
from asr.model.folder import find_model
from asr.model.onnx_model import FILE, OUTPUTS, OnnxModel, import_onnxruntime

TOLERANCE = 1e-4
"""Largest difference from PyTorch's log-probs that `export` accepts (without int8)."""
OPSET = 17
FEATURES_FILE = "features.onnx"


def export(folder: Path | str, output: Path | str, int8: bool = False) -> tuple[OnnxModel, float]:
    """Write the model of `folder` as an exported model folder; int8: with quantised weights.

    Returns it, loaded, and the largest difference of its log-probs from PyTorch's on random waveforms of several
    lengths. Raises ModelError where onnx or onnxruntime are missing, the output exists, the numbers differ, or int8 is
    asked of a model whose layers onnxruntime cannot quantise.
    """
    folder, output = find_model(folder), Path(output)
    onnx = _import_onnx()
    model = CTCModel.load(folder)
    cell = model.config.encoder.cell
    if int8 and cell != "lstm":
        raise ModelError(f"{folder}: onnxruntime quantises lstm layers only; this model has {cell}: leave out --int8")
    if output.exists():
        raise ModelError(f"{output}: exists already; remove it or choose another folder")
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent) as part:
        made = Path(part) / output.name
        # Whatever lies beside the weights stays with the model: tokens, lexicon, language model, card.
        shutil.copytree(folder, made, ignore=shutil.ignore_patterns("model.safetensors", CHECKSUMS))
        with (made / "README.md").open("a", encoding="utf-8") as card:
            card.write(f"\nExported to ONNX by `asr export`{', LSTM weights in int8' if int8 else ''}.\n")
        onnx.save(features_graph(model), made / FEATURES_FILE)
        network = network_graph(model)
        onnx.save(quantised(network) if int8 else network, made / FILE)
        exported = OnnxModel.load(made)
        difference = largest_difference(model, exported)
        if difference > TOLERANCE and not int8:
            raise ModelError(f"{folder}: its log-probs and those of the exported model differ by {difference:.1e}")
        made.rename(output)
    return exported, difference


class _Network(nn.Module):
    """The model from features on."""

    def __init__(self, model: CTCModel):
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.classify(features, num_frames)


def network_graph(model: CTCModel) -> Any:
    """features -> log_probs as an onnx.ModelProto, with its metadata."""
    example = (torch.randn(2, 40, model.config.features.size), torch.tensor([40, 23]))
    made = _trace(_Network(model), example, ["features", "num_frames"], OUTPUTS)
    for node in made.graph.node:
        if node.op_type in ("LSTM", "GRU", "RNN"):
            # Zero states are ONNX's default; those traced have the example's number of utterances.
            del node.input[5:]
    _remove_unused(made.graph)
    _import_onnx().helper.set_model_props(made, OnnxModel.metadata(model))
    _import_onnx().checker.check_model(made)
    return made


def features_graph(model: CTCModel) -> Any:
    """waveforms -> features as an onnx.ModelProto."""
    # Documented, but not in torch.onnx's __all__.
    from torch.onnx import register_custom_op_symbolic, unregister_custom_op_symbolic  # type: ignore[attr-defined]

    samples = model.config.features.shift_samples * 40
    example = (torch.randn(2, samples), torch.tensor([samples, samples // 2]))
    # ONNX has no complex numbers: here they are a last dimension of two.
    ways = {"aten::stft": _stft(model.features), "aten::real": _part(0), "aten::imag": _part(1)}
    ways["aten::_convolution"] = _deltas
    for name, way in ways.items():
        register_custom_op_symbolic(name, way, OPSET)
    try:
        return _trace(model.features, example, ["waveforms", "num_samples"], ["features", "num_frames"])
    finally:
        for name in ways:
            unregister_custom_op_symbolic(name, OPSET)


def _trace(module: nn.Module, example: tuple[Tensor, Tensor], inputs: list[str], outputs: list[str]) -> Any:
    """The module as an onnx.ModelProto whose first two dimensions are free."""
    free = {name: {0: "batch", 1: "time"} for name in (inputs[0], outputs[0])}
    free |= {name: {0: "batch"} for name in (inputs[1], outputs[1])}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter that takes this one's place freezes the length of recurrent layers.
        warnings.simplefilter("ignore")
        path = str(Path(folder) / FILE)
        torch.onnx.export(
            module.eval(), example, path, dynamo=False, opset_version=OPSET,
            input_names=inputs, output_names=outputs, dynamic_axes=free,
        )  # fmt: skip
        return _import_onnx().load(path)


def _stft(features: Features) -> Any:
    """torch.stft of these features' settings, the padding already done: (B, S) -> (B, bins, T, 2)."""
    size, bins = features.config.fft_size, features.config.fft_size // 2 + 1
    left = (size - len(features.window)) // 2  # torch puts a shorter window in the middle
    window = torch.zeros(size, dtype=torch.float64)
    window[left : left + len(features.window)] = features.window
    angle = 2 * torch.pi / size * torch.outer(torch.arange(bins), torch.arange(size)).double()
    kernel = torch.cat([window * angle.cos(), -window * angle.sin()])[:, None].float()

    def symbolic(g: Any, waveforms: Any, *settings: Any) -> Any:
        waveforms = g.op("Unsqueeze", waveforms, _constant(g, [1]))
        both = g.op("Conv", waveforms, _constant(g, kernel), strides_i=[features.config.shift_samples])
        return g.op("Transpose", g.op("Reshape", both, _constant(g, [0, 2, bins, -1])), perm_i=[0, 2, 3, 1])

    return symbolic


def _part(index: int) -> Any:
    return lambda g, spectrum: g.op("Gather", spectrum, _constant(g, index), axis_i=-1)


@parse_args("v", "v", "v", "is", "is", "is", "i", "is", "i", "i", "i", "i", "i")
def _deltas(g: Any, values: Any, kernels: Any, *settings: Any) -> Any:
    """torchaudio's deltas: a convolution whose groups are all utterances' features, all with one kernel.

    ONNX cannot say that the number of groups depends on the batch: the channels become a batch here.
    """
    kernel = g.op("Gather", kernels, _constant(g, [0]), axis_i=0)
    return g.op("Transpose", g.op("Conv", g.op("Transpose", values, perm_i=[1, 0, 2]), kernel), perm_i=[1, 0, 2])


def _constant(g: Any, value: Any) -> Any:
    return g.op("Constant", value_t=torch.as_tensor(value))


def _remove_unused(graph: Any) -> None:
    """Drop nodes and weights whose outputs nothing takes."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)


def quantised(network: Any) -> Any:
    """The network with int8 weights in its LSTM and linear layers; activations are quantised as they come.

    Of the eight bits seven are used: where a processor has no VNNI instructions, as before AVX-512, onnxruntime adds
    products in 16 bits, which eight-bit weights overflow. The convolutions stay in float32: they have few weights, and
    onnxruntime runs them slower in int8.
    """
    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        logging.disable(logging.WARNING)  # advice on graphs of other makes
        try:
            quantize_dynamic(
                network, path, op_types_to_quantize=["LSTM", "MatMul", "Gemm"],
                weight_type=QuantType.QInt8, reduce_range=True,
            )  # fmt: skip
        finally:
            logging.disable(logging.NOTSET)
        return _import_onnx().load(path)


@torch.inference_mode()
def largest_difference(model: CTCModel, exported: OnnxModel) -> float:
    """Largest absolute difference of the log-probs of valid frames, over several batches of noise."""
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for seconds in ([1.0], [0.1], [2.3, 0.5, 1.7], [3.0, 3.0]):
        num_samples = torch.tensor([int(length * model.sample_rate) for length in seconds])
        waveforms = 0.1 * torch.randn(len(seconds), int(num_samples.max()), generator=generator)
        wanted, num_frames = model(waveforms, num_samples)
        found, counts = exported(waveforms, num_samples)
        if counts.tolist() != num_frames.tolist() or found.shape != wanted.shape:
            raise ModelError(f"the exported model gives {counts.tolist()} frames, wanted {num_frames.tolist()}")
        for row, other, count in zip(wanted, found, counts, strict=True):
            largest = max(largest, float((row[:count] - other[:count]).abs().max()))
    return largest


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ModelError(f"exporting needs {error.name}: pip install 'asr[onnx]'") from error
    return onnx
