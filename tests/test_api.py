"""The public face: what `import asr` gives, and the functions that take names, paths and plain values."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest
import soundfile

import asr
from asr.alignment.forced import Alignment
from asr.commands.demo import CORPUS
from asr.data import manifest
from asr.decoders import Decoder
from asr.decoders.beam import BeamDecoder
from asr.decoders.greedy import GreedyDecoder
from asr.decoders.hotwords import DEFAULT_BONUS
from asr.decoders.settings import DecoderSettings
from asr.errors import ConfigError, DataError, ManifestError, ModelError, TextError
from asr.evaluation.evaluate import Evaluation
from asr.model import folder as model_folder
from asr.training.run import Result
from tests.tone_model import RATE, say, tone_model

PUBLIC = {
    "load_model", "available_models", "Transcriber", "Transcript", "Segment", "Word", "align", "evaluate", "train",
    "UserError",
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tone_model().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "said.wav", say("BAD CAB"), RATE, subtype="FLOAT")
    return tmp_path / "said.wav"


# ---------------------------------------------------------------------------------------------------------- the names


def test_the_names_are_there_and_can_be_seen() -> None:
    assert set(asr.__all__) == PUBLIC | {"__version__"}
    assert set(dir(asr)) >= PUBLIC
    assert all(getattr(asr, name).__doc__ for name in PUBLIC)
    assert asr.load_model is asr.load_model
    namespace: dict[str, object] = {}
    exec("from asr import *", namespace)
    assert namespace.keys() >= PUBLIC


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'asr' has no attribute 'transcribe'"):
        asr.transcribe  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(asr, "Model")


def test_importing_asr_is_quick() -> None:
    """Nothing but the standard library, so that `asr --help` does not wait."""
    code = (
        "import sys, asr\n"
        "heavy = {'torch', 'numpy', 'soundfile', 'numba', 'pytorch_lightning'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "asr.UserError, asr.available_models()\n"
        "assert 'torch' not in sys.modules\n"
        "asr.load_model, asr.Word, asr.Transcript\n"
        "assert 'pytorch_lightning' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_types_are_seen(model: Path, recording: Path) -> None:
    """By mypy, which checks this file; at run time assert_type does nothing."""
    transcriber = assert_type(asr.load_model(model), asr.Transcriber)
    transcript = assert_type(transcriber.transcribe(recording), asr.Transcript)
    assert_type(transcript.segments, tuple[asr.Segment, ...])
    assert_type(transcript.words[0], asr.Word)
    assert_type(transcriber.transcribe_batch([recording]), list[asr.Transcript])
    assert_type(transcriber.transcribe_batch([recording], return_errors=True), list[asr.Transcript | asr.UserError])
    assert_type(transcriber.log_probs(recording), np.ndarray)
    assert_type(asr.align(recording, "BAD CAB", transcriber), Alignment)
    assert_type(asr.available_models(), list[str])
    if False:
        assert_type(asr.evaluate(model, recording), Evaluation)
        assert_type(asr.train("train.yaml"), Result | None)


# --------------------------------------------------------------------------------------------------------- load_model


def test_available_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path)
    assert asr.available_models() == []
    tone_model().save(tmp_path / "tones")
    tone_model().save(tmp_path / "a")
    assert asr.available_models() == ["a", "tones"]
    assert asr.load_model("tones").transcribe(say("BEE")).text == "BEE"


def test_a_model_says_what_it_is(model: Path) -> None:
    assert repr(asr.load_model(model, device="cpu")) == (
        "<Transcriber model: 12 characters with blank; 8000 Hz, 20 ms a frame; greedy; cpu, fp32>"
    )
    listing = asr.load_model(model, n_best=2, beam_size=7, precision="bf16", device="cpu")
    assert "; beam search for tokens, beam_size 7; cpu, bf16>" in repr(listing)
    assert repr(asr.Transcriber(tone_model())).startswith("<Transcriber CTCModel: 12 characters")


def test_decoding_as_it_is_asked_for(model: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("BAD\nCAB\nDAD\n", encoding="utf-8")
    assert isinstance(asr.load_model(model).decoder, GreedyDecoder)
    found = asr.load_model(
        model, lexicon=tmp_path / "words.txt", beam_size=9, lm_weight=2, word_insertion_score=0.5, threads=1
    ).decoder
    assert isinstance(found, BeamDecoder) and set(found.vocabulary.labels) >= {"BAD", "CAB", "DAD"}
    settings = found._settings
    assert (settings.beam_size, settings.lm_weight, settings.word_insertion_score) == (9, 2.0, 0.5)
    assert isinstance(settings.lm_weight, float) and found.threads == 1
    # The folder's own settings, unless there are others; what is named replaces theirs.
    DecoderSettings(lexicon=str(tmp_path / "words.txt"), beam_size=5).save(model)
    own = asr.load_model(model).decoder
    assert isinstance(own, BeamDecoder) and own._settings.beam_size == 5 and own.unit == "word"
    assert isinstance(asr.load_model(model, lm="none").decoder, GreedyDecoder)
    others = DecoderSettings(lexicon=str(tmp_path / "words.txt"), beam_threshold=3.0, beam_size=5)
    other = asr.load_model(model, settings=others, beam_size=6).decoder
    assert isinstance(other, BeamDecoder)
    assert (other._settings.beam_size, other._settings.beam_threshold) == (6, 3.0)


@pytest.mark.parametrize(
    "hotwords", ["CAB,BAD BEE:2.5", ["CAB", "BAD BEE:2.5"], {"CAB": DEFAULT_BONUS, "BAD BEE": 2.5}]
)
def test_hotwords_as_text_list_and_mapping(hotwords: object, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asr.decoders import settings

    taken: list[object] = []
    build = settings.build_decoder

    def build_decoder(*given: Any, **named: Any) -> Decoder:
        taken.append(given[3])
        return build(*given, **named)

    monkeypatch.setattr(settings, "build_decoder", build_decoder)
    assert isinstance(asr.load_model(model, hotwords=hotwords).decoder, BeamDecoder)  # type: ignore[arg-type]
    assert taken == [{"CAB": DEFAULT_BONUS, "BAD BEE": 2.5}]


MISTAKES: list[tuple[dict[str, object], type[asr.UserError], str]] = [
    ({"device": "abacus"}, ModelError, "device 'abacus' cannot be used"),
    ({"precision": "fp8"}, ConfigError, "precision: found 'fp8', wanted one of fp32, bf16, fp16"),
    ({"batch_seconds": 0}, ConfigError, "batch_seconds: found 0, wanted more than 0"),
    ({"n_best": 0}, ConfigError, "n_best: found 0, wanted at least 1"),
    ({"n_best": 2, "beam_size": 0}, ConfigError, "beam_size: found 0, wanted 1 to"),
    ({"n_best": 2, "beam_size": "big"}, ConfigError, "beam_size: found 'big'"),
    ({"beam_size": 9}, ConfigError, "beam_size: nothing to search with, the model decodes greedily"),
    ({"lm": "none", "lm_weight": 2.0}, ConfigError, "lm_weight: nothing to search with"),
    ({"lm": "nowhere"}, ModelError, "nowhere"),
    ({"lexicon": "nowhere"}, TextError, "nowhere"),
    ({"hotwords": "CAB:much"}, ConfigError, "found 'CAB:much', wanted a word or phrase"),
    ({"hotwords": {"": 1.0}}, ConfigError, "wanted a word or phrase"),
    ({"hotwords": {"CAB": float("nan")}}, ConfigError, "found 'CAB:nan'"),
    ({"hotwords": ["ZOO"]}, TextError, "'Z'"),
]


@pytest.mark.parametrize(("given", "kind", "message"), MISTAKES, ids=[str(given) for given, _, _ in MISTAKES])
def test_settings_that_cannot_be(given: dict, kind: type[asr.UserError], message: str, model: Path) -> None:
    with pytest.raises(kind, match=message):
        asr.load_model(model, **given)


def test_models_that_are_not_there() -> None:
    with pytest.raises(ModelError, match="nowhere: no such model folder"):
        asr.load_model("nowhere")


def test_the_device_is_chosen(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert asr.load_model(model).model.device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked: list[str] = []

    def to(model: torch.nn.Module, device: str) -> torch.nn.Module:
        asked.append(device)
        return model

    monkeypatch.setattr(torch.nn.Module, "to", to)
    asr.load_model(model)
    assert asked == ["cuda"]
    asr.load_model(model, device="cpu")
    assert asked == ["cuda", "cpu"]


# ------------------------------------------------------------------------------------------ align, evaluate and train


def test_align(model: Path, recording: Path) -> None:
    for loaded in (model, str(model), asr.load_model(model)):
        found = asr.align(recording, "BAD CAB", loaded)
        assert [word.text for word in found.words] == ["BAD", "CAB"]
        assert found == asr.align(say("BAD CAB"), "BAD CAB", loaded)
    stereo = np.stack([say("HIDE JA"), say("BAD CAB")])
    assert asr.align(stereo, "bad, cab!", model, RATE, 1, text_scheme="english").words[1].text == "cab!"
    with pytest.raises(TextError, match="'Z'"):
        asr.align(recording, "ZOO", model)
    with pytest.raises(DataError, match="does not fit into the recording"):
        asr.align(recording, "BAD CAB " * 20, model)
    with pytest.raises(asr.UserError, match="text scheme: found 'greek'"):
        asr.align(recording, "BAD", model, text_scheme="greek")
    with pytest.raises(asr.UserError, match="found a list of 1"):
        asr.align([recording], "BAD", model)  # type: ignore[arg-type]


def write_manifest(path: Path, *rows: tuple[str, str]) -> Path:
    lines = [json.dumps({"audio_filepath": name, "duration": 1.0, "text": text}) + "\n" for name, text in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_evaluate(model: Path, recording: Path, tmp_path: Path) -> None:
    first = write_manifest(tmp_path / "first.jsonl", ("said.wav", "BAD CAB"))
    second = write_manifest(tmp_path / "second.jsonl", ("said.wav", "bad bee"), ("said.wav", "cab"))
    shares: list[float] = []
    found = asr.evaluate(model, [first, second], text_scheme="basic", on_progress=shares.append)
    assert (found.words.errors, found.words.reference_length, shares[-1]) == (2, 5, 1.0)
    transcriber = asr.load_model(model)
    assert asr.evaluate(transcriber, str(first)).words.errors == 0
    assert asr.evaluate(transcriber, manifest.read(second)).words.errors == 4
    with pytest.raises(ManifestError, match="gone.jsonl"):
        asr.evaluate(model, tmp_path / "gone.jsonl")
    with pytest.raises(ManifestError, match="none.jsonl: no utterances"):
        asr.evaluate(model, write_manifest(tmp_path / "none.jsonl"))
    with pytest.raises(ManifestError, match="evaluate: no utterances"):
        asr.evaluate(model, [])
    with pytest.raises(ManifestError, match="both manifests and rows"):
        asr.evaluate(model, [first, *manifest.read(first)])  # type: ignore[arg-type]


def test_evaluate_computes_in_the_model_s_precision_and_decodes_as_it_does(
    model: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    rows = write_manifest(tmp_path / "rows.jsonl", ("said.wav", "BAD CAB"))
    (tmp_path / "words.txt").write_text("DAD\n", encoding="utf-8")
    settings = DecoderSettings(lexicon=str(tmp_path / "words.txt"), unknown_score=None)
    found = asr.evaluate(asr.load_model(model, settings=settings), rows)
    assert set(found.texts[0].split()) <= {"DAD"}
    transcriber = asr.load_model(model, precision="bf16")
    kinds: list[tuple[bool, torch.dtype]] = []
    network = transcriber.model
    assert isinstance(network, torch.nn.Module)
    network.register_forward_hook(
        lambda *_: kinds.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
    )
    asr.evaluate(transcriber, rows)
    assert kinds == [(True, torch.bfloat16)]


def small(tmp_path: Path) -> dict[str, object]:
    return {
        "data.train": [str(CORPUS / "dev.jsonl")],
        "data.valid": [str(CORPUS / "dev.jsonl")],
        "output": str(tmp_path / "run"),
        "encoder.hidden_size": 8,
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 1,
    }


def test_train(tmp_path: Path) -> None:
    found = asr.train(CORPUS / "train.yaml", small(tmp_path))
    assert found and found.folder == tmp_path / "run" and found.valid.words.reference_length > 0
    assert "hidden_size: 8" in (found.folder / "recipe.yaml").read_text(encoding="utf-8")
    assert asr.load_model(found.model).model.sample_rate == 16_000
    with pytest.raises(ConfigError, match="holds a run already"):
        asr.train(CORPUS / "train.yaml", small(tmp_path))
    again = asr.train(CORPUS / "train.yaml", small(tmp_path) | {"trainer.max_epochs": 2}, resume=True)
    assert again and again.folder == found.folder


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: asr.train("nowhere.yaml"), "nowhere.yaml: the recipe cannot be read"),
        (lambda: asr.train(CORPUS / "train.yaml"), "data.train: no manifest"),
        (lambda: asr.train(CORPUS / "train.yaml", {"optimizer.rate": 1}), "optimizer.rate: unknown key"),
        (lambda: asr.train(CORPUS / "train.yaml", {"encoder.num_layers": "two"}), "num_layers: found 'two'"),
        (lambda: asr.train(CORPUS / "train.yaml", {"trainer.epochs": 3}), "trainer.epochs: unknown key"),
        (lambda: asr.train(CORPUS / "train.yaml", resume=True), "nothing to resume"),
    ],
)
def test_trainings_that_cannot_be(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(asr.UserError, match=message):
        call()
    assert not list(tmp_path.iterdir())
