"""decoder.json, which may come with a stranger's model: what it names lies in the folder, what it sets has bounds."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from asr.cli import main
from asr.decoders.settings import DecoderSettings
from asr.errors import ConfigError, ModelError
from tests.tone_model import tone_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder, and a file beside it that is none of its business."""
    tone_model().save(tmp_path / "model")
    (tmp_path / "secret").write_text("root:x:0:0\n", encoding="utf-8")
    return tmp_path / "model"


def settings(folder: Path, **values: Any) -> DecoderSettings:
    (folder / "decoder.json").write_text(json.dumps(values), encoding="utf-8")
    return DecoderSettings.of(folder)


@pytest.mark.parametrize("key", ["lm", "lexicon", "rescoring_lm"])
def test_nothing_outside_the_folder_is_opened(folder: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "lm").mkdir()
    (folder / "lm" / "lexicon.txt").symlink_to(folder.parent / "secret")
    for value in (str(folder.parent / "secret"), "../secret", "lm/../../secret", "link", "lm", ".."):
        with pytest.raises(ModelError, match=rf"decoder\.json: {key}: found '{value}', which leads out of the folder"):
            settings(folder, **{key: value})
    assert main(["info", "--model", str(folder)]) == 2
    assert "root:x" not in capsys.readouterr().err
    with pytest.raises(ModelError, match=rf"decoder\.json: {key}: found 'a.x00b', wanted a path"):
        settings(folder, **{key: "a\0b"})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_what_never_ends_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for key in ("lm", "lexicon"):
        with pytest.raises(ModelError, match=rf"{key}: found 'pipe', which is neither a file nor a folder"):
            settings(folder, **{key: "pipe"})


def test_paths_of_the_folder_are_the_folder_s(folder: Path) -> None:
    (folder / "lm").mkdir()
    (folder / "words.txt").write_text("BAD\n", encoding="utf-8")
    found = settings(folder, lm="lm", lexicon="./words.txt", rescoring_lm="gone")
    assert (found.lm, found.lexicon) == (str(folder / "lm"), str(folder / "words.txt"))
    assert found.rescoring_lm == str(folder / "gone")  # who opens it says that it is missing


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("lm_weight", "NaN", "lm_weight: found nan, wanted"),
        ("word_insertion_score", "-1e999", "word_insertion_score: found -inf, wanted"),
        ("prior_weight", "1e308", "prior_weight: found 1e.308, wanted"),
        ("unknown_score", "NaN", "unknown_score: found nan, wanted"),
        ("rescoring_weight", "Infinity", "rescoring_weight: found inf, wanted"),
        ("rescoring_size", "0", "rescoring_size: found 0, wanted 1 to"),
        ("beam_size", "1000000000000", "beam_size: found 1000000000000, wanted 1 to"),
        ("beam_size_token", "0", "beam_size_token: found 0, wanted at least 1"),
        ("beam_threshold", "NaN", "beam_threshold: found nan, wanted more than 0"),
        ("merge_threshold", "NaN", "merge_threshold: found nan, wanted 0 or more"),
        ("log_prior", "[-1, NaN]", "log_prior: found nan, wanted"),
        ("log_prior", "[-1, 5]", "log_prior: found 5.0, wanted"),
        ("lm_weight", "[" * 100_000, "nested too deeply"),
    ],
)
def test_impossible_values(folder: Path, key: str, text: str, message: str) -> None:
    (folder / "decoder.json").write_text(f'{{"{key}": {text}}}', encoding="utf-8")
    with pytest.raises(ModelError, match=rf"(?s)decoder\.json.*{message}"):
        DecoderSettings.of(folder)


def test_the_command_line_has_the_same_bounds() -> None:
    with pytest.raises(ConfigError, match=r"decoder\.lm_weight: found nan"):
        DecoderSettings(lm_weight=float("nan"))
    assert DecoderSettings(unknown_score=None, merge_threshold=float("inf"), log_prior=(-0.1, -2.5))


def test_another_language_model_brings_its_own_words() -> None:
    settings = DecoderSettings(lm="lm", lexicon="lexicon.txt", rescoring_lm="big")
    assert settings.with_lm("other") == DecoderSettings(lm="other", rescoring_lm="big")
    assert settings.with_lm(None) == settings and settings.with_lm("none") == DecoderSettings()


def test_a_decoders_lexicon_does_not_take_the_tokenizers_place(tmp_path: Path) -> None:
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "lexicon.txt").write_text("ONE W AH N\n", encoding="utf-8")
    model = tmp_path / "model"
    model.mkdir()
    (model / "lexicon.txt").write_text("TWO T UW\n", encoding="utf-8")
    DecoderSettings(lexicon=str(tmp_path / "lm" / "lexicon.txt")).save(model)
    assert (model / "lexicon.txt").read_text(encoding="utf-8") == "TWO T UW\n"
    found = DecoderSettings.of(model)
    assert Path(found.lexicon).name == "decoder_lexicon.txt"
    assert Path(found.lexicon).read_text(encoding="utf-8") == "ONE W AH N\n"
    found.save(model)  # as tuning again does
    assert DecoderSettings.of(model) == found
