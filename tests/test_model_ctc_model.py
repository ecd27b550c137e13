"""The model and its folder: exact under padding, whole after saving and loading, clear errors for broken folders."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asr.errors import ModelError
from asr.model.ctc_model import CTCModel, ModelConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig
from asr.text.tokenizer import CharacterTokenizer

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
    from safetensors.torch import load_file, save_file

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


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        CTCModel.load(tmp_path / "none")
