"""Every recipe loads, builds its network and says how to run it; their scripts cut and join as they should."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.load import read_info
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.model.encoders import build_encoder
from asr.training.recipe import load_recipe
from asr.training.run import build_trainer, quiet_lightning

RECIPES = Path(__file__).parents[1] / "recipes"
SPEECH = sorted(path for path in RECIPES.glob("*/*.yaml") if path.parent.name != "lm")


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recipe_builds(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(path, ["--trainer.devices", "1", "--trainer.strategy", "auto", "--trainer.accelerator", "cpu"])
    build_encoder(recipe.encoder, recipe.features.size)
    with quiet_lightning():
        build_trainer(recipe)
    commands = path.read_text(encoding="utf-8")
    assert f"asr train recipes/{path.parent.name}/{path.name}" in commands
    assert f"runs/{recipe.name}/model" in commands or path.parent.name == "own_data"
    assert recipe.data.train and recipe.data.valid
    # Several test sets, or one that is searched with a language model, are scored apart, once.
    assert recipe.data.test or "/test.jsonl" in commands or "/test-clean.jsonl" in commands


@pytest.mark.parametrize("folder", [path for path in RECIPES.iterdir() if path.is_dir()], ids=lambda path: path.name)
def test_recipe_has_a_readme(folder: Path) -> None:
    assert (folder / "README.md").is_file()


def run(script: str, *words: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(RECIPES / script), *map(str, words)], capture_output=True, encoding="utf-8", check=False
    )


def test_connected_words_are_one_speaker_s(tmp_path: Path) -> None:
    rows = []
    for i, (speaker, word) in enumerate((s, w) for s in ("a", "b") for w in ("ONE", "TWO", "NINE")):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, np.full(2_000, 0.1), 8_000)
        rows.append(Utterance(path.stem, str(path), 0.25, word, speaker=speaker))
    manifest.write(tmp_path / "words.jsonl", rows)
    made = []
    for _ in range(2):
        done = run("connect.py", tmp_path / "words.jsonl", tmp_path / "strings.jsonl", "--count", "40")
        assert done.returncode == 0, done.stderr
        made.append(manifest.read(tmp_path / "strings.jsonl"))
    assert made[0] == made[1] and len(made[0]) == 40
    for row in made[0]:
        digits = len(row.text.split())
        assert 2 <= digits <= 7 and row.speaker in ("a", "b")
        assert 0.25 * digits - 0.01 <= row.duration <= 0.25 * digits + 0.3 * (digits - 1)
        assert read_info(row.audio_filepath).duration == pytest.approx(row.duration)


def test_connect_without_a_manifest_says_what_to_do(tmp_path: Path) -> None:
    done = run("connect.py", tmp_path / "none.jsonl", tmp_path / "strings.jsonl", "--count", "4")
    assert done.returncode == 2
    assert "asr prepare" in done.stderr and "Traceback" not in done.stderr


def test_yesno_is_cut_at_its_pauses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hiss = 0.001 * rng.standard_normal(8_000 * 3)
    starts = (0.3, 1.0, 1.9)
    for start in starts:
        hiss[int(start * 8_000) : int((start + 0.4) * 8_000)] += 0.2 * rng.standard_normal(3_200)
    soundfile.write(tmp_path / "1_0_1.wav", hiss, 8_000)
    rows = [
        Utterance("fits", str(tmp_path / "1_0_1.wav"), 3.0, "YES NO YES"),
        Utterance("too many words", str(tmp_path / "1_0_1.wav"), 3.0, "YES NO YES YES"),
    ]
    manifest.write(tmp_path / "train.jsonl", rows)
    done = run("yesno/cut.py", tmp_path / "train.jsonl", tmp_path / "words.jsonl")
    assert "3 words from 1 of 2 recordings" in done.stdout
    words = manifest.read(tmp_path / "words.jsonl")
    assert [word.text for word in words] == ["YES", "NO", "YES"]
    for word, start in zip(words, starts, strict=True):
        assert word.offset == pytest.approx(start - 0.05, abs=0.03)
        assert word.duration == pytest.approx(0.5, abs=0.06)
