"""SHA256SUMS: of a published folder no file that differs is loaded; a folder without it is as it always was."""

import shutil
import subprocess
from pathlib import Path

import pytest

from asr.decoders.settings import DecoderSettings
from asr.errors import ModelError
from asr.model.checksums import FILE, write_checksums
from asr.model.load import load_model_folder
from tests.tone_model import tone_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tone_model().save(tmp_path / "model")
    (tmp_path / "words.txt").write_text("BAD\nCAB\n", encoding="utf-8")
    DecoderSettings(lexicon=str(tmp_path / "words.txt")).save(tmp_path / "model")
    write_checksums(tmp_path / "model")
    return tmp_path / "model"


def test_a_whole_copy_is_loaded(folder: Path) -> None:
    load_model_folder(folder)
    (folder / "README.md").write_text("My notes.", encoding="utf-8")
    (folder / "extra.txt").write_text("Not of the model.", encoding="utf-8")
    load_model_folder(folder)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", FILE], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["words.txt", "tokens.txt", "config.json", "decoder.json", "model.safetensors"])
def test_every_damage_is_told(folder: Path, name: str) -> None:
    """A letter of a word, a digit of a weight: nothing else could tell."""
    whole = (folder / name).read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        (folder / name).write_bytes(changed)
        with pytest.raises(ModelError, match=rf"{name}: it is not what SHA256SUMS beside it says.*delete SHA256SUMS"):
            load_model_folder(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: no such file, and SHA256SUMS beside it says"):
        load_model_folder(folder)


@pytest.mark.parametrize("text", ["x", "0" * 64 + "  ../words.txt", "0" * 64 + "  /etc/passwd", "\0", b"\xff"])
def test_sums_of_another_make(folder: Path, text: str | bytes) -> None:
    (folder / FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError, match=FILE):
        load_model_folder(folder)


def test_who_changes_the_folder_on_purpose_takes_them_away(folder: Path) -> None:
    DecoderSettings(lm_weight=2.0).save(folder)
    assert not (folder / FILE).exists()
    write_checksums(folder)
    tone_model().save(folder)
    assert not (folder / FILE).exists()
    load_model_folder(folder)
