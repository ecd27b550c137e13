"""Models by name, the one that is used where none is named, and how a loaded model decodes."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import asr
from asr.cli import main
from asr.decoders.beam import BeamDecoder
from asr.decoders.greedy import GreedyDecoder
from asr.decoders.settings import DecoderSettings
from asr.errors import ModelError
from asr.model import folder as model_folder
from asr.model.ctc_model import CTCModel
from asr.model.folder import DEFAULT, SHIPPED, find_model
from asr.transcription.transcriber import Transcriber
from tests.tone_model import RATE, say, tone_model

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default model of tones, with a language model in which A is never said alone."""
    folder = tmp_path / "models" / DEFAULT
    tone_model().save(folder)
    (tmp_path / "text.txt").write_text("BAD CAB\nCAB BAD\nDAB\nBAD DAB\nCAB\n", encoding="utf-8")
    assert main(["lm", "build", str(tmp_path / "text.txt"), "--order", "2", "--discount-fallback",
                 "--output", str(tmp_path / "lm")]) == 0  # fmt: skip
    DecoderSettings(lm=str(tmp_path / "lm"), unknown_score=None).save(folder)
    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path / "models")
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "said.wav", say("BAD CAB"), RATE)
    return tmp_path / "said.wav"


def test_the_default_model_needs_no_name(shipped: Path, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["transcribe", str(recording)]) == 0
    assert capsys.readouterr().out == f"{recording}\tBAD CAB\n"
    assert main(["transcribe", str(recording), "--model", DEFAULT]) == 0
    assert capsys.readouterr().out == f"{recording}\tBAD CAB\n"


def test_transcribing_does_not_wait_for_packages_that_it_does_not_use(shipped: Path, recording: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom asr.cli import main\nfrom asr.model import folder\n"
        "folder.SHIPPED = Path(sys.argv[1])\nassert main(['transcribe', sys.argv[2]]) == 0\n"
        "unused = {'librosa', 'torchaudio', 'pytorch_lightning', 'matplotlib', 'jinja2', 'onnxruntime'}\n"
        "assert not unused & set(sys.modules), unused & set(sys.modules)\n"
    )
    words = [sys.executable, "-c", code, str(shipped.parent), str(recording)]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{recording}\tBAD CAB\n"


def test_a_loaded_model_decodes_as_its_folder_says(shipped: Path, tmp_path: Path) -> None:
    assert isinstance(asr.load_model().decoder, BeamDecoder)
    assert isinstance(asr.load_model(DEFAULT).decoder, BeamDecoder)
    assert isinstance(asr.load_model(lm="none").decoder, GreedyDecoder)
    shutil.copytree(tmp_path / "lm", tmp_path / "other")
    assert isinstance(asr.load_model(shipped, lm=tmp_path / "other").decoder, BeamDecoder)
    # Words outside the language model's are found without it, and not with it.
    assert asr.load_model(lm="none").transcribe(say("AC BAD")).text == "AC BAD"
    assert asr.load_model().transcribe(say("AC BAD")).text != "AC BAD"
    assert isinstance(Transcriber(tone_model()).decoder, GreedyDecoder)


def test_a_folder_of_that_name_comes_first(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model(DEFAULT) == shipped
    tone_model().save(DEFAULT)
    assert find_model(DEFAULT) == Path(DEFAULT)


def test_unknown_names_are_reported(
    shipped: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(recording), "--model", "english-tiny"]) == 2
    printed = capsys.readouterr().err
    assert "english-tiny: no such model folder; it is what `asr train` writes as RUN/model." in printed
    assert f"Models that come with asr, to be named instead: {DEFAULT}" in printed
    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path / "nothing")
    with pytest.raises(ModelError, match=f"{DEFAULT}, is missing from this copy of asr: give --model FOLDER"):
        asr.load_model()


def test_info_without_manifests_describes_a_model(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert f"folder      {shipped}\nunits       characters, " in printed
    assert f"decoding    beam search\n  lm                    {shipped / 'lm'}\n" in printed
    tone_model().save(tmp_path / "bare")
    assert main(["info", "--model", str(tmp_path / "bare")]) == 0
    assert capsys.readouterr().out.endswith("decoding    greedy\n")


def test_a_shipped_model_is_not_tuned_in_place(
    shipped: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text(f'{{"audio_filepath": "{recording}", "duration": 1.0, "text": "BAD CAB"}}\n', encoding="utf-8")
    before = (shipped / "decoder.json").read_bytes()
    assert main(["lm", "tune", DEFAULT, str(manifest)]) == 2
    assert "tune a copy of the folder" in capsys.readouterr().err
    assert main(["lm", "tune", DEFAULT, str(manifest), "--dry-run"]) == 0
    assert (shipped / "decoder.json").read_bytes() == before


def test_weights_in_half_precision(tmp_path: Path) -> None:
    model = tone_model()
    model.save(tmp_path / "whole")
    model.save(tmp_path / "half", dtype=torch.float16)
    whole, half = ((tmp_path / name / "model.safetensors").stat() for name in ("whole", "half"))
    assert half.st_size < 0.6 * whole.st_size and half.st_mode & 0o044 == 0o044
    again = CTCModel.load(tmp_path / "half")
    assert all(weight.dtype == torch.float32 for weight in again.parameters())
    waveform = torch.from_numpy(say("CAB"))[None]
    num_samples = torch.tensor([waveform.shape[1]])
    with torch.inference_mode():
        assert torch.allclose(again(waveform, num_samples)[0], model.eval()(waveform, num_samples)[0], atol=0.05)


def test_a_tuned_folder_is_packaged(shipped: Path, tmp_path: Path) -> None:
    """Whole without the folder it was made from, in half precision, readable by all; a card that is there stays."""
    script = runpy.run_path(str(RECIPES / "english_small" / "package.py"))
    target = tmp_path / "packaged"
    target.mkdir()
    (target / "README.md").write_text("the card", encoding="utf-8")
    script["package"](shipped, target)
    assert (target / "README.md").read_text(encoding="utf-8") == "the card"
    assert (target / "model.safetensors").stat().st_size < 0.6 * (shipped / "model.safetensors").stat().st_size
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in target.rglob("*"))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    assert script["sizes"](target).endswith(f"{size / 1e6:.2f} MB  in all")
    assert (target / "SHA256SUMS").is_file()
    shutil.rmtree(shipped)
    assert asr.load_model(target).transcribe(say("BAD CAB")).text == "BAD CAB"
    with pytest.raises(ModelError, match="packaged: holds SHA256SUMS, config.json, .*remove all but README.md"):
        script["package"](target, target)


@pytest.mark.skipif(not (SHIPPED / DEFAULT).is_dir(), reason="the default model is not in this copy of asr")
def test_the_shipped_model() -> None:
    """It loads, decodes with words, hears no speech in silence, and is small enough for a repository."""
    transcriber = asr.load_model()
    assert isinstance(transcriber.decoder, BeamDecoder) and transcriber.decoder.lm is not None
    assert transcriber.transcribe(np.zeros(3 * transcriber.model.sample_rate, np.float32)).text == ""
    assert sum(path.stat().st_size for path in (SHIPPED / DEFAULT).rglob("*")) <= 64e6
