"""Finding a decoder's weights, and keeping them in the model folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.cli import main
from asr.data.manifest import Utterance, write
from asr.decoders.beam import BeamDecoder
from asr.decoders.greedy import GreedyDecoder
from asr.decoders.rescoring import RescoringDecoder
from asr.decoders.settings import DecoderSettings, build_decoder
from asr.errors import ModelError
from asr.evaluation import tune as tuning
from asr.lm.recurrent import RecurrentLM, RecurrentLMConfig
from asr.model.ctc_model import CTCModel, ModelConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig
from asr.text.tokenizer import BLANK, CharacterTokenizer

LETTERS = CharacterTokenizer([BLANK, " ", "A", "B", "C"])


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(FeatureConfig(sample_rate=8000, num_filters=16), RecurrentConfig(hidden_size=8, num_layers=1))
    CTCModel(config, LETTERS).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for i, text in enumerate(["AB A", "CAB", "A B", "C"]):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(size=6000) * 0.1, 8000)
        rows.append(Utterance(str(i), str(tmp_path / f"{i}.wav"), 0.75, text))
    write(tmp_path / "dev.jsonl", rows)
    return tmp_path / "dev.jsonl"


@pytest.fixture
def lm_folder(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("AB A\nCAB\nA B\nC\nCAB AB\nA A\n", encoding="utf-8")
    assert main(["lm", "build", str(tmp_path / "text.txt"), "--order", "2", "--discount-fallback",
                 "--output", str(tmp_path / "lm")]) == 0  # fmt: skip
    return tmp_path / "lm"


def test_the_descent_finds_the_lowest_point_near_by() -> None:
    tried = []

    def errors(point: tuple[float, ...]) -> int:
        tried.append(point)
        return round(100 * ((point[0] - 1.35) ** 2 + (point[1] + 2.1) ** 2))

    best = tuning.pattern_search(errors, (0.5, 0.0), (0.4, 1.0))
    assert best == pytest.approx((1.35, -2.1), abs=0.1)
    assert len(tried) == len(set(tried)) < 60
    assert all(point[0] > 0 for point in tried)


def test_tuning_is_no_worse_than_where_it_began(
    model_folder: Path, manifest: Path, lm_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lm", "tune", str(model_folder), str(manifest), "--lm", str(lm_folder)]
    assert main([*command, "--dry-run"]) == 0
    assert not (model_folder / "decoder.json").exists()
    printed = capsys.readouterr().out
    assert "greedy: WER" in printed and "--lm-weight" in printed and "expected calibration error" in printed
    assert main(command) == 0
    saved = json.loads((model_folder / "decoder.json").read_text(encoding="utf-8"))
    assert saved["lm"] == "lm" and (model_folder / "lm" / "lm.safetensors").is_file()
    assert not (model_folder / "lm" / "lm.arpa").exists()
    settings = DecoderSettings.of(model_folder)
    assert sum(np.exp(settings.log_prior)) == pytest.approx(1.0, abs=1e-3)
    assert settings.lm == str(model_folder / "lm") and settings.lm_weight == saved["lm_weight"]
    assert isinstance(build_decoder(LETTERS, 0.04, settings), BeamDecoder)


def test_a_language_model_is_wanted(model_folder: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lm", "tune", str(model_folder), str(manifest)]) == 2
    assert "--lm: found none" in capsys.readouterr().err


def test_without_anything_to_search_with_decoding_is_greedy(model_folder: Path) -> None:
    assert isinstance(build_decoder(LETTERS, 0.04, DecoderSettings.of(model_folder)), GreedyDecoder)
    assert isinstance(build_decoder(LETTERS, 0.04, DecoderSettings(), {"AB": 2.0}), BeamDecoder)


def test_rescored_words_are_words(lm_folder: Path, tmp_path: Path) -> None:
    """Evaluation asks the decoder what it finds, since phones become words by a lexicon."""
    rescorer = RecurrentLM(RecurrentLMConfig(hidden_size=4, embedding_size=4, num_layers=1), LETTERS)
    rescorer.save(tmp_path / "rescorer")
    settings = DecoderSettings(lm=str(lm_folder), rescoring_lm=str(tmp_path / "rescorer"))
    decoder = build_decoder(LETTERS, 0.04, settings)
    assert isinstance(decoder, RescoringDecoder) and decoder.unit == "word"


def test_damaged_settings_are_reported(model_folder: Path) -> None:
    (model_folder / "decoder.json").write_text('{"lm_weigth": 1}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"(?s)decoder\.json.*did you mean lm_weight"):
        DecoderSettings.of(model_folder)
    (model_folder / "decoder.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"decoder\.json: not the settings of a decoder"):
        DecoderSettings.of(model_folder)
