"""Bits flipped in a model's files: what `python -m tests.flips` counts, in small."""

import os
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from asr.cli import main
from asr.decoders.settings import DecoderSettings
from asr.model.export import export
from tests.flips import try_flips
from tests.tone_model import RATE, say, tone_model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a language model and a lexicon, its export, and a recording."""
    folder = tmp_path_factory.mktemp("flips")
    (folder / "text.txt").write_text("BAD CAB\nCAB BAD\nDAB\nBAD DAB\nCAB\n", encoding="utf-8")
    assert main(["lm", "build", str(folder / "text.txt"), "--discount-fallback", "--output", str(folder / "lm")]) == 0
    tone_model().save(folder / "model")
    settings = DecoderSettings(
        lm=str(folder / "lm" / "lm.safetensors"), lexicon=str(folder / "lm" / "lexicon.txt"), log_prior=(-2.5,) * 12
    )
    settings.save(folder / "model")
    soundfile.write(folder / "a.wav", say("BAD CAB"), RATE)
    return folder


def count(world: Path, model: str, file: str, flips: int) -> Counter[str]:
    outcomes = try_flips(world / model, world / "a.wav", file, flips)
    assert not [outcome for outcome in outcomes if outcome.kind in ("traceback", "signal", "hang")]
    return Counter(outcome.kind for outcome in outcomes)


@pytest.mark.parametrize(
    "file",
    ["lm.safetensors", "decoder_lexicon.txt", "tokens.txt", "config.json", "decoder.json", "model.safetensors"],
)
def test_a_flipped_bit_is_an_error_or_a_text(world: Path, file: str) -> None:
    counts = count(world, "model", file, 30)
    assert counts["error"] and counts["error"] + counts["same text"] >= 20


def test_a_flipped_bit_in_an_exported_model(world: Path) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    export(world / "model", world / "onnx")
    assert count(world, "onnx", "model.onnx", 30)["error"]
