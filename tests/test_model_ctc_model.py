"""The model and its folder: exact under padding, whole after saving and loading, clear errors for broken folders."""

import copy
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from asr.cli import main
from asr.errors import ModelError
from asr.model.ctc_model import CTCModel, ModelConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig
from asr.text.tokenizer import CharacterTokenizer
from tests.tone_model import RATE, say, tone_model

CONFIG = ModelConfig(FeatureConfig(sample_rate=8_000, num_filters=20), RecurrentConfig(hidden_size=8, conv_channels=4))


def make(config: ModelConfig = CONFIG) -> CTCModel:
    torch.manual_seed(0)
    return CTCModel(config, CharacterTokenizer.build(["AB C"])).eval()


@torch.no_grad()
def test_log_probs_alone_padded_and_in_a_batch() -> None:
    model = make()
    waveforms = [0.1 * torch.randn(samples) for samples in (8_000, 900, 3_210)]
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    together, num_frames = model(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths)
    assert together.shape == (3, int(num_frames.max()), 5) and together.dtype == torch.float32
    assert num_frames.tolist() == model.output_frames(lengths).tolist()
    torch.testing.assert_close(together.exp().sum(-1), torch.ones(together.shape[:2]))
    for waveform, row, count in zip(waveforms, together, num_frames, strict=True):
        alone, _ = model(waveform[None], torch.tensor([len(waveform)]))
        torch.testing.assert_close(row[:count], alone[0], atol=1e-4, rtol=1e-3)


def test_seconds_per_frame() -> None:
    assert make().seconds_per_frame == pytest.approx(0.04)


@torch.no_grad()
@pytest.mark.parametrize("cmvn", ["utterance", "global"])
def test_saved_and_loaded_is_the_same(tmp_path: Path, cmvn: str) -> None:
    features = FeatureConfig(sample_rate=8_000, num_filters=20, cmvn=cmvn)  # type: ignore[arg-type]
    model = make(ModelConfig(features, CONFIG.encoder))
    if cmvn == "global":
        model.features.mean.fill_(3.0)
    model.save(tmp_path / "model", "# A card")
    again = CTCModel.load(tmp_path / "model")
    assert again.config == model.config and again.tokenizer.tokens == model.tokenizer.tokens
    waveform, length = torch.randn(1, 4_000), torch.tensor([4_000])
    torch.testing.assert_close(again(waveform, length), model(waveform, length), atol=0, rtol=0)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json", "model.safetensors", "tokens.txt", "README.md",
    }  # fmt: skip
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == "# A card"


def test_loads_without_lightning_and_without_unpickling(tmp_path: Path) -> None:
    make().save(tmp_path)
    code = (
        "import sys, pickle, asr\n"
        "class Never(pickle.Unpickler):\n"
        "    def __init__(self, *a, **k): raise AssertionError('unpickled')\n"
        "model = asr.load_model(sys.argv[1])\n"
        "import torch; torch.load = pickle.load = None\n"
        "pickle.Unpickler = Never\n"
        "asr.load_model(sys.argv[1])\n"
        "assert not [name for name in sys.modules if 'lightning' in name], 'lightning was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_half_precision_weights_load_as_float32(tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path)
    half = {name: value.half() for name, value in load_file(tmp_path / "model.safetensors").items()}
    save_file(half, tmp_path / "model.safetensors")
    again = CTCModel.load(tmp_path)
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(again.head.weight, model.head.weight, atol=1e-3, rtol=1e-3)


def break_folder(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"lacks config\.json"),
        ("model.safetensors", None, r"lacks model\.safetensors"),
        ("tokens.txt", None, r"lacks tokens\.txt"),
        ("config.json", b"{", "not a model configuration"),
        ("config.json", b"[]", "not a model configuration"),
        ("model.safetensors", b"\x80\x04junk", "cannot be loaded"),
        ("tokens.txt", b"A\nB\n", "wanted <blank>"),
        ("tokens.txt", b"<blank>\nA\n", "cannot be loaded"),
    ],
)
def test_broken_folders_say_what_is_wrong(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    make().save(tmp_path)
    break_folder(tmp_path, name, content)
    with pytest.raises(ModelError, match=message):
        CTCModel.load(tmp_path)


def test_unknown_format_and_settings(tmp_path: Path) -> None:
    make().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": 99}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"has format 99.*update asr"):
        CTCModel.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "colour": "red"}), encoding="utf-8")
    with pytest.raises(ModelError, match="colour: unknown key"):
        CTCModel.load(tmp_path)


def damaged(folder: Path, **changes: Any) -> Path:
    """A model folder whose config.json says something else of features or encoder."""
    make().save(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name, value in changes.items():
        section = next(part for part in (config["features"], config["encoder"], config["tokenizer"]) if name in part)
        section[name] = value
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 16_384}, r"weight_ih_l0: found the shape \[32, 20\], wanted \[65536, 20\]; .* more"),
        ({"hidden_size": 10**12}, "hidden_size: found 1000000000000, wanted 1 to 65536"),
        ({"hidden_size": 10**40}, "hidden_size"),
        ({"num_layers": 10**9}, "num_layers: found 1000000000, wanted 1 to 100"),
        ({"num_layers": 4}, "encoder.layers.3.rnn.weight_ih_l0: missing"),
        ({"num_layers": 2}, "encoder.layers.2.norm.bias: not in the network"),
        ({"conv_channels": 10**9}, "conv_channels: found 1000000000, wanted 1 to 4096"),
        ({"projection": 10**9}, "projection"),
        ({"subsampling": "stack", "subsampling_factor": 10**9}, "factor: found 1000000000, wanted 1 to 100"),
        ({"num_filters": 10**9}, "num_filters: found 1000000000, wanted 1 to 512"),
        ({"kind": "mfcc", "num_filters": 512, "num_ceps": 512}, "found the shape"),
        ({"sample_rate": 10**12}, "sample_rate: found 1000000000000, wanted 1 to 192000 Hz"),
        ({"frame_length": 1e9}, "frame_length: found 1000000000.0, wanted seconds, at most 32768 samples"),
        ({"frame_length": float("inf")}, "frame_length: found inf"),
        ({"frame_shift": float("nan")}, "frame_shift: found nan"),
        ({"frame_shift": 1e-9}, "frame_shift: found 1e-09"),
        ({"unknown": "drop"}, "tokenizer.unknown: found 'drop', wanted error or skip"),
    ],
)  # fmt: skip
def test_sizes_are_compared_before_memory_is_taken(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = damaged(tmp_path, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=message):
        CTCModel.load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_json_that_is_nested_too_deeply(tmp_path: Path) -> None:
    make().save(tmp_path)
    (tmp_path / "config.json").write_text('{"a":' * 100_000, encoding="utf-8")
    with pytest.raises(ModelError, match="not a model configuration.*nested too deeply"):
        CTCModel.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.fill_(float("nan")), "head.bias has values that are NaN or infinite"),
        (lambda value: value.fill_(float("inf")), "head.bias has values that are NaN or infinite"),
        (lambda value: value.long(), "head.bias: found I64, wanted F32, F16, BF16"),
        (lambda value: value[None], r"head.bias: found the shape \[1, 5\], wanted \[5\]"),
    ],
)
def test_weights_that_are_no_weights(tmp_path: Path, change: Callable[[Tensor], Tensor], message: str) -> None:
    make().save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["head.bias"] = change(weights["head.bias"])
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=message):
        CTCModel.load(tmp_path)


def test_weights_are_the_model_s_own(tmp_path: Path) -> None:
    """The file may be written anew while the model is in use."""
    model = make()
    model.save(tmp_path)
    loaded = CTCModel.load(tmp_path)
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1000:] = bytes(1000)
    (tmp_path / "model.safetensors").write_bytes(data)
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])


def test_an_output_that_is_no_number_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights that overflow: an empty text would look like silence."""
    broken = copy.deepcopy(tone_model())
    with torch.no_grad():
        broken.head.weight.fill_(3e38)
    broken.save(tmp_path / "model")
    soundfile.write(tmp_path / "a.wav", say("BAD CAB"), RATE)
    row = {"audio_filepath": "a.wav", "duration": 1.0, "text": "BAD CAB"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    folder, wav, rows = (str(tmp_path / name) for name in ("model", "a.wav", "a.jsonl"))
    for words in (["transcribe", "--model", folder, wav], ["evaluate", folder, rows],
                  ["align", wav, "BAD CAB", "--model", folder]):  # fmt: skip
        assert main(words) in (1, 2)
        assert "its output is not log-probabilities: found NaN" in capsys.readouterr().err


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        CTCModel.load(tmp_path / "none")
