"""Every recipe loads, builds its network, and names what its header prepares; the digits are joined as they should be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import audio, manifest
from asr.config import load_recipe
from asr.encoders import build_encoder
from asr.experiment import build_trainer, quiet_lightning
from asr.manifest import Utterance

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recipe_builds(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(path, ["--trainer.devices", "1", "--trainer.strategy", "auto", "--trainer.accelerator", "cpu"])
    build_encoder(recipe.encoder, recipe.features.size)
    with quiet_lightning():
        build_trainer(recipe)
    commands = path.read_text()
    assert f"asr train recipes/{path.parent.name}/{path.name}" in commands
    assert f"runs/{recipe.name}/model" in commands or path.parent.name == "own_data"
    assert recipe.data.train and recipe.data.valid and recipe.data.test


@pytest.mark.parametrize("folder", [path for path in sorted(RECIPES.iterdir()) if path.is_dir()], ids=lambda p: p.name)
def test_recipe_has_a_readme(folder: Path) -> None:
    assert (folder / "README.md").is_file()


def test_digits_are_joined_within_speaker_and_split(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        rows = []
        for i, (speaker, word) in enumerate((s, w) for s in ("a", "b") for w in ("ONE", "TWO", "NINE")):
            path = tmp_path / f"{split}{i}.wav"
            soundfile.write(path, np.full(2_000, 0.1), 8_000)
            rows.append(Utterance(path.stem, str(path), 0.25, word, speaker=speaker))
        manifest.write(tmp_path / f"{split}.jsonl", rows)
    script = RECIPES / "digits" / "connect.py"
    for _ in range(2):
        subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
        rows = manifest.read(tmp_path / "test-connected.jsonl")
        assert len(rows) == 200
        first = [(row.text, row.duration) for row in rows]
    assert first == [(row.text, row.duration) for row in manifest.read(tmp_path / "test-connected.jsonl")]
    for row in rows:
        digits = len(row.text.split())
        assert 2 <= digits <= 7 and row.speaker in ("a", "b")
        assert 0.25 * digits - 0.01 <= row.duration <= 0.25 * digits + 0.3 * (digits - 1)
        assert audio.info(row.audio_filepath).duration == pytest.approx(row.duration)


def test_digits_without_manifests_say_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(RECIPES / "digits" / "connect.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "asr prepare fsdd" in done.stderr and "Traceback" not in done.stderr
