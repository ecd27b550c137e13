"""Recipes: defaults, overrides, and every mistake reported at once."""

from pathlib import Path

import pytest

from asr.commands.training import join_overrides
from asr.errors import ConfigError
from asr.training.recipe import RecipeConfig, load_recipe, to_yaml


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_defaults_and_name(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    recipe = load_recipe(recipe_file(tmp_path / "digits", "encoder: {hidden_size: 64}\noptimizer: {lr: 1e-3}"))
    assert recipe.name == "digits"
    assert recipe.folder == Path("runs/digits")
    assert recipe.encoder.hidden_size == 64
    assert recipe.encoder.num_layers == RecipeConfig().encoder.num_layers
    assert recipe.optimizer.lr == 0.001  # YAML 1.1 reads 1e-3 as a string


def test_overrides_by_dotted_key(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, "encoder: {hidden_size: 64, cell: gru}")
    words = ["--encoder.hidden_size", "32", "--trainer.max_epochs=3", "--data.train", "[a.jsonl, b.jsonl]"]
    recipe = load_recipe(path, words)
    assert (recipe.encoder.hidden_size, recipe.encoder.cell) == (32, "gru")
    assert recipe.trainer == {"max_epochs": 3}
    assert recipe.data.train == ["a.jsonl", "b.jsonl"]


def test_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, "encoder: {cell: rnn_relu}\ntrainer: {devices: 2}"))
    assert load_recipe(recipe_file(tmp_path, to_yaml(recipe))) == recipe


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    path = recipe_file(
        tmp_path,
        "encoder: {hiden_size: 64, num_layers: many}\nschedule: {name: cosine}\nbatch: 3\noptimizer: {lr: fast}",
    )
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert str(path) in message
    assert "encoder.hiden_size: unknown key; did you mean hidden_size?" in message
    assert "encoder.num_layers: found 'many'" in message
    assert "schedule.name: found 'cosine'" in message and "warmup_cosine" in message
    assert "batch: unknown key" in message
    assert "optimizer.lr: found 'fast'" in message


def test_recipes_are_utf_8_whatever_the_system_prefers(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_bytes("name: Übung\n".encode("utf-8-sig"))
    assert load_recipe(path).name == "Übung"
    path.write_bytes("name: Übung\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="train.yaml: not valid YAML in UTF-8"):
        load_recipe(path)


def test_unknown_trainer_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_epoch: unknown key"):
        load_recipe(recipe_file(tmp_path, "trainer: {max_epoch: 3}"))
    with pytest.raises(ConfigError, match=r"trainer\.callbacks: set by asr itself"):
        load_recipe(recipe_file(tmp_path, "trainer: {callbacks: []}"))


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("a: [", [], "not valid YAML"),
        ("- 1", [], "found list, wanted keys and values"),
        ("", ["--seed"], "--seed: no value"),
        ("", ["seed"], "wanted, e.g. --optimizer.lr"),
        ("", ["--seed", "[1"], "not valid YAML"),
        ("", ["--encoder.dropout", "2"], "encoder.dropout: found 2"),
        ("encoder: 3", [], "encoder"),
        ("seed: -1", [], "seed: found -1, wanted 0 to 4294967295"),
        ("name: ''", [], "name: found '', wanted a name"),
        ("average_best: 0", [], "average_best: found 0, wanted at least 1"),
        ("checkpoint_steps: 0", [], "checkpoint_steps: found 0, wanted at least 1"),
        ("trainer: {precision: bf16-true}", [], "trainer.precision: found 'bf16-true', wanted one of .*bf16-mixed"),
        ("trainer: {precision: 64-true}", [], "trainer.precision: found '64-true'"),
        ("trainer: {max_epochs: many}", [], "trainer.max_epochs: found 'many', wanted a number, or -1: no limit"),
        ("trainer: {max_steps: 1.5}", [], "trainer.max_steps: found 1.5"),
    ],
)
def test_mistakes_of_form(tmp_path: Path, text: str, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        load_recipe(recipe_file(tmp_path, text), words)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


def test_the_run_is_named_for_recipe_and_folder_however_the_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "birds").mkdir()
    for name in ("train", "own"):
        (tmp_path / "birds" / f"{name}.yaml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "birds")
    for path in ("own.yaml", "./own.yaml", tmp_path / "birds" / "own.yaml"):
        assert load_recipe(path).folder == Path("runs/birds-own")
    assert load_recipe("train.yaml").name == "birds"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("train --optimizer.lr 1e-3 own.yaml --seed -1", "train --optimizer.lr=1e-3 own.yaml --seed=-1"),
        ("lm train --model.cell gru own.yaml", "lm train --model.cell=gru own.yaml"),
        ("--debug train --check own.yaml --res --outp x", "--debug train --check own.yaml --res --outp x"),
        ("train --output x --init-from y own.yaml --name", "train --output x --init-from y own.yaml --name"),
        ("train own.yaml --a.b=c d --seed --x", "train own.yaml --a.b=c d --seed --x"),
        ("score --colour red a b", "score --colour red a b"),
    ],
)
def test_overrides_may_stand_before_the_recipe(line: str, wanted: str) -> None:
    assert join_overrides(line.split()) == wanted.split()
