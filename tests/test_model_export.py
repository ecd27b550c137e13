"""Exported models: PyTorch's log-probs for all networks, batches and lengths; folders that work as any other."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

import onnx

from asr.cli import main
from asr.data import manifest
from asr.errors import ModelError
from asr.evaluation.evaluate import evaluate
from asr.model.ctc_model import CTCModel, ModelConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.export import FEATURES_FILE, export
from asr.model.features import FeatureConfig
from asr.model.load import load_model_folder
from asr.model.onnx_model import FILE, OnnxModel
from asr.text.tokenizer import CharacterTokenizer
from asr.transcription.recogniser import Recogniser
from tests.tones import RATE, tone_waveform, write_tones

CONFIGS: dict[str, tuple[dict, dict]] = {
    "lstm": ({}, {}),
    "lstm, one direction, projected": ({}, {"bidirectional": False, "projection": 6, "subsampling_factor": 2}),
    "gru": ({"deltas": 2}, {"cell": "gru", "subsampling": "stack", "subsampling_factor": 3}),
    "gru, one direction": ({"cmvn": "none"}, {"cell": "gru", "bidirectional": False, "subsampling_factor": 1}),
    "rnn_tanh": ({"kind": "mfcc", "num_ceps": 13, "cmvn": "global"}, {"cell": "rnn_tanh", "layer_norm": False}),
    "rnn_relu": ({"kind": "spectrogram"}, {"cell": "rnn_relu", "subsampling": "stack", "subsampling_factor": 1}),
}


def make(features: dict, encoder: dict) -> CTCModel:
    torch.manual_seed(0)
    config = ModelConfig(
        FeatureConfig(**{"sample_rate": RATE, "num_filters": 20} | features),
        RecurrentConfig(**{"num_layers": 2, "hidden_size": 8, "conv_channels": 4} | encoder),
    )
    model = CTCModel(config, CharacterTokenizer.build(["ABCDE FGHIJ"]))
    if config.features.cmvn == "global":
        model.features.mean.uniform_(-1, 1)
        model.features.std.uniform_(1, 2)
    return model.eval()


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[CTCModel, Path]:
    """A model of each kind, and the folder of its export."""
    folder = tmp_path_factory.mktemp("pair")
    model = make(*CONFIGS[request.param])
    model.save(folder / "model")
    export(folder / "model", folder / "onnx")
    return model, folder / "onnx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, its export and its export in int8, and four recordings."""
    folder = tmp_path_factory.mktemp("export")
    make({}, {}).save(folder / "model", "# A card")
    (folder / "model" / "lm").mkdir()
    (folder / "model" / "lm" / "words.arpa").write_text("a language model", encoding="utf-8")
    assert main(["export", str(folder / "model"), "--output", str(folder / "onnx")]) == 0
    assert main(["export", str(folder / "model"), "--output", str(folder / "int8"), "--int8"]) == 0
    write_tones(folder)
    return folder


@torch.inference_mode()
def test_log_probs_are_pytorch_s(pair: tuple[CTCModel, Path]) -> None:
    model, exported = pair[0], load_model_folder(pair[1])
    assert isinstance(exported, OnnxModel)
    assert exported.seconds_per_frame == pytest.approx(model.seconds_per_frame)
    assert exported.sample_rate == RATE and exported.tokenizer.tokens == model.tokenizer.tokens
    for seconds in ([0.5], [0.004], [0.3, 1.1, 0.02], [0.9, 0.9, 0.7, 0.1, 0.35]):
        num_samples = torch.tensor([int(length * RATE) for length in seconds])
        waveforms = pad_sequence([0.2 * torch.randn(count) for count in num_samples], batch_first=True)
        wanted, num_frames = model(waveforms, num_samples)
        found, counts = exported(waveforms, num_samples)
        assert counts.tolist() == num_frames.tolist() == exported.output_frames(num_samples).tolist()
        assert found.dtype == torch.float32
        for i, count in enumerate(counts.tolist()):
            torch.testing.assert_close(found[i, :count], wanted[i, :count], atol=1e-4, rtol=0)
            alone, _ = exported(waveforms[i : i + 1, : num_samples[i]], num_samples[i : i + 1])
            torch.testing.assert_close(found[i, :count], alone[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_both_graphs_one_after_the_other_without_pytorch(pair: tuple[CTCModel, Path]) -> None:
    """To rounding: of the features of noise, in which no band is empty, the logarithms can be compared."""
    import onnxruntime

    model, folder = pair
    first, second = (onnxruntime.InferenceSession(folder / name) for name in (FEATURES_FILE, FILE))
    num_samples = torch.tensor([4_000, 9_100, 150])
    waveforms = pad_sequence([0.2 * torch.randn(count) for count in num_samples], batch_first=True)
    feed = {"waveforms": waveforms.numpy(), "num_samples": num_samples.numpy()}
    features, num_frames = first.run(["features", "num_frames"], feed)
    expected, counts = model.features(waveforms, num_samples)
    assert num_frames.tolist() == counts.tolist()
    torch.testing.assert_close(torch.from_numpy(features), expected, atol=2e-3, rtol=0)
    found, _ = second.run(None, {"features": features, "num_frames": num_frames})
    wanted, counts = model(waveforms, num_samples)
    for row, other, count in zip(found, wanted, counts, strict=True):
        torch.testing.assert_close(torch.from_numpy(row[:count]), other[:count], atol=1e-3, rtol=0)


@torch.inference_mode()
def test_empty_bands_and_silence_are_pytorch_s_too(folder: Path) -> None:
    """Where the logarithm is of rounding errors, equal features are the same features."""
    model, exported = load_model_folder(folder / "model"), load_model_folder(folder / "onnx")
    time = torch.arange(RATE) / RATE
    for waveform in (torch.zeros(RATE), 0.5 * torch.sin(2 * torch.pi * 440 * time)):
        wanted, _ = model(waveform[None], torch.tensor([RATE]))
        found, _ = exported(waveform[None], torch.tensor([RATE]))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_the_folder_is_whole(folder: Path) -> None:
    assert {path.name for path in (folder / "onnx").iterdir()} == {
        "config.json",
        FILE,
        FEATURES_FILE,
        "tokens.txt",
        "README.md",
        "lm",
    }
    assert (folder / "onnx" / "lm" / "words.arpa").is_file()
    card = (folder / "int8" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# A card") and "int8" in card
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"model", "onnx", "int8"}


def test_int8_quantises_the_lstm_and_the_head(folder: Path) -> None:
    nodes = onnx.load(folder / "int8" / FILE).graph.node
    assert [node.op_type for node in nodes if "LSTM" in node.op_type] == ["DynamicQuantizeLSTM"] * 4
    assert not [node for node in nodes if node.op_type in ("MatMul", "ConvInteger")]
    # Processors without VNNI instructions overflow where weights have all of eight bits: by 1.2, on these tones.
    waveforms = torch.from_numpy(tone_waveform("BAD CAB"))[None]
    num_samples = torch.tensor([waveforms.shape[1]])
    wanted, _ = load_model_folder(folder / "onnx")(waveforms, num_samples)
    found, _ = load_model_folder(folder / "int8")(waveforms, num_samples)
    assert 0 < (found - wanted).abs().max() < 0.1


@torch.inference_mode()
def test_int8_finds_in_an_utterance_what_it_finds_in_it_alone(folder: Path) -> None:
    """To the last bit, beside a louder one and padded too."""
    exported = load_model_folder(folder / "int8")
    num_samples = torch.tensor([9_000, 4_000, 7_301, 150])
    waveforms = pad_sequence(
        [loud * torch.randn(count) for count, loud in zip(num_samples, (0.1, 0.9, 0.01, 0.3), strict=True)],
        batch_first=True,
    )
    together, frames = exported(waveforms, num_samples)
    assert together.shape[1] == frames.max()
    for i, count in enumerate(num_samples.tolist()):
        alone, num_frames = exported(waveforms[i : i + 1, :count], num_samples[i : i + 1])
        assert num_frames[0] == frames[i]
        assert torch.equal(together[i, : frames[i]], alone[0])


def test_transcribes_and_evaluates_as_the_model_does(folder: Path) -> None:
    model, exported = load_model_folder(folder / "model"), load_model_folder(folder / "onnx")
    waveform = tone_waveform("BAD CAB")
    found, wanted = (Recogniser(either).recognise([waveform])[0] for either in (exported, model))
    assert found.text == wanted.text and found.score == pytest.approx(wanted.score, abs=1e-2)
    rows = manifest.read(folder / "tones.jsonl")
    results = [evaluate(either, rows) for either in (model, exported)]  # type: ignore[arg-type]
    assert results[0].words == results[1].words and results[0].characters == results[1].characters


def test_align_takes_an_exported_model(folder: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["align", str(folder / "tones0.wav"), "BAD CAB", "--model"]
    assert main([*words, str(folder / "model")]) == 0
    expected = capsys.readouterr().out
    assert main([*words, str(folder / "onnx")]) == 0
    assert capsys.readouterr().out == expected


def test_mistakes_are_one_message(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def message(*words: str) -> str:
        assert main(["export", *words]) == 2
        return capsys.readouterr().err

    assert "exists already" in message(str(folder / "model"), "--output", str(folder / "onnx"))
    assert "no such model folder" in message(str(tmp_path / "none"), "--output", str(tmp_path / "out"))
    make({}, {"cell": "gru"}).save(tmp_path / "gru")
    assert "lstm layers only; this model has gru" in message(
        str(tmp_path / "gru"), "--output", str(tmp_path / "out"), "--int8"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_missing_packages_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"{package}: pip install 'asr\[onnx\]'"):
        export(folder / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if package == "onnxruntime":
        with pytest.raises(ModelError, match=r"exported models need onnxruntime: pip install 'asr\[onnx\]'"):
            load_model_folder(folder / "onnx")
    else:
        load_model_folder(folder / "onnx")  # running needs onnxruntime alone


def test_broken_folders_say_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "onnx" / FILE).read_bytes()
    with pytest.raises(ModelError, match="no such model folder"):
        load_model_folder(tmp_path / "none")
    with pytest.raises(ModelError, match="run on the CPU, not on 'cuda'"):
        load_model_folder(folder / "onnx", "cuda")
    with pytest.raises(ModelError, match="device 'nonsense' cannot be used"):
        load_model_folder(folder / "model", "nonsense")
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model\.onnx: the model cannot be loaded"):
        load_model_folder(tmp_path)
    (tmp_path / FILE).write_bytes(whole)
    with pytest.raises(ModelError, match=r"tokens\.txt: the tokens cannot be read"):
        load_model_folder(tmp_path)
    (tmp_path / "tokens.txt").write_text("<blank>\nA\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"shape \(2, 11, 12\), wanted float32 \(2, 11, 2\), as tokens\.txt"):
        load_model_folder(tmp_path)
    other = onnx.load_from_string(whole)
    onnx.helper.set_model_props(other, {"asr.format": "99", "asr.tokenizer": json.dumps({})})
    onnx.save(other, tmp_path / FILE)
    with pytest.raises(ModelError, match="format 99, wanted 1"):
        load_model_folder(tmp_path)


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tokenizer", None, "its metadata lack 'asr.tokenizer'"),
        ("features", None, "its metadata lack 'asr.features'"),
        ("statistics", None, "its metadata lack 'asr.statistics'"),
        ("subsampling", None, "its metadata lack 'asr.subsampling'"),
        ("tokenizer", "{", "not the metadata of an exported model"),
        ("tokenizer", "[1]", "tokenizer of kind None"),
        ("tokenizer", NESTED, "nested too deeply"),
        ("features", "[]", "not the metadata of an exported model"),
        (
            "features",
            '{"sample_rate": 8000, "num_filters": 1000000000}',
            "num_filters: found 1000000000, wanted 1 to 5",
        ),
        ("features", '{"sample_rate": 8000, "frame_length": 1e300}', "frame_length: found 1e.300, wanted"),
        ("features", '{"sample_rate": 8000, "num_filters": 21}', "onnxruntime cannot run the model"),
        ("statistics", "[]", "not the metadata of an exported model"),
        ("statistics", '{"mean": [0], "std": "x"}', "not the metadata of an exported model"),
        ("subsampling", "four", "not the metadata of an exported model"),
        ("subsampling", "0", "subsampling: found 0, wanted 1 to 100"),
        ("subsampling", "2", "the model gave log-probs of .* the shape"),
    ],
)
def test_metadata_of_another_make(folder: Path, tmp_path: Path, key: str, value: str | None, message: str) -> None:
    shutil.copytree(folder / "onnx", tmp_path / "onnx")
    graph = onnx.load(folder / "onnx" / FILE)
    kept = {entry.key: entry.value for entry in graph.metadata_props if entry.key != f"asr.{key}"}
    onnx.helper.set_model_props(graph, kept if value is None else {**kept, f"asr.{key}": value})
    onnx.save(graph, tmp_path / "onnx" / FILE)
    with pytest.raises(ModelError, match=message):
        load_model_folder(tmp_path / "onnx")


def test_global_statistics_must_be_usable(tmp_path: Path) -> None:
    model = make({"cmvn": "global"}, {})
    model.features.std[3] = 0.0
    model.save(tmp_path / "model")
    with pytest.raises(ModelError, match="statistics: std has values"):
        export(tmp_path / "model", tmp_path / "onnx")


def graph_of(change: Callable[[Any], object], folder: Path, target: Path) -> Path:
    """The exported model with a changed graph."""
    shutil.copytree(folder / "onnx", target)
    graph = onnx.load(folder / "onnx" / FILE)
    change(graph.graph)
    onnx.save(graph, target / FILE)
    return target


def rename(graph: Any, old: str, new: str) -> None:
    """An input or output by another name."""
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def spoil(graph: Any) -> None:
    for weight in graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            weight.raw_data = np.full(tuple(weight.dims), np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: rename(graph, "num_frames", "counts"), "onnxruntime cannot run the model"),
        (lambda graph: rename(graph, "log_probs", "other"), "onnxruntime cannot run the model"),
        (spoil, "its output is not log-probabilities"),
    ],
)
def test_graphs_of_another_make(folder: Path, tmp_path: Path, change: Callable[[Any], object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model_folder(graph_of(change, folder, tmp_path / "onnx"))


def test_a_graph_reads_no_other_file(folder: Path, tmp_path: Path) -> None:
    """Weights may lie in files of their own; one that leads out of the folder is not opened."""
    (tmp_path / "secret").write_bytes(bytes(1 << 20))

    def outside(graph: Any) -> None:
        weight = max(graph.initializer, key=lambda item: len(item.raw_data))
        length = len(weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "../secret"), ("offset", "0"), ("length", str(length))):
            entry = weight.external_data.add()
            entry.key, entry.value = key, value

    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model_folder(graph_of(outside, folder, tmp_path / "onnx"))
