"""Starting from a model: what comes along with its weights, and what the recipe decides otherwise."""

from pathlib import Path

import pytest
import torch

from asr.decoders.settings import DecoderSettings
from asr.errors import ConfigError, ModelError
from asr.model.ctc_model import CTCModel
from asr.training.init_from import start_from
from asr.training.recipe import RecipeConfig, load_recipe, override, recipe_from, to_yaml
from asr.training.run import check, prepare, train
from tests.tone_model import tone_model
from tests.tones import brief_recipe, write_tones


@pytest.fixture(scope="module")
def donor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that knows more letters than the texts, with a decoder of its own."""
    folder = tmp_path_factory.mktemp("donor")
    tone_model().save(folder / "model")
    (folder / "words.txt").write_text("BAD\nCAB\n", encoding="utf-8")
    DecoderSettings(lexicon=str(folder / "words.txt"), beam_size=7).save(folder / "model")
    return folder / "model"


def plain(folder: Path, donor: Path | str, **sections: dict) -> dict:
    """Values of a recipe that names nothing but data and a model to start from."""
    values = brief_recipe(folder)
    kept = {name: values[name] for name in ("name", "output", "data", "trainer")}
    kept["data"]["train"] = [str(write_tones(folder, ("BAD CAB", "FACE A BEE"), "two"))]
    kept["data"]["valid"] = kept["data"]["train"]
    return {**kept, "init_from": str(donor), **sections}


def test_all_of_a_model_comes_along(tmp_path: Path, donor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_from({**plain(tmp_path, donor), "optimizer": {"name": "SGD", "lr": 0.0}}, "test")
    given = CTCModel.load(donor)
    assert recipe.model == given.config
    result = train(recipe)
    assert result is not None
    made = CTCModel.load(result.model)
    assert made.config == given.config and made.tokenizer.tokens == given.tokenizer.tokens
    for name, value in given.state_dict().items():
        torch.testing.assert_close(made.state_dict()[name], value)
    settings = DecoderSettings.of(result.model)
    assert settings.beam_size == 7 and Path(settings.lexicon) == result.model / "words.txt"
    assert "afresh" not in capsys.readouterr().out
    # The resolved recipe says all of it.
    again = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert again == recipe and to_yaml(again) == to_yaml(recipe)


def test_the_recipe_decides_what_it_names(tmp_path: Path, donor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = CTCModel.load(donor)
    recipe = recipe_from(plain(tmp_path, donor, encoder={"dropout": 0.5}, tokenizer={"unknown": "skip"}), "test")
    assert recipe.encoder.dropout == 0.5 and recipe.encoder.cell == given.config.encoder.cell
    run = prepare(recipe)
    assert run.model.tokenizer.tokens == given.tokenizer.tokens and run.model.tokenizer.unknown == "skip"
    assert torch.equal(run.model.head.weight, given.head.weight)
    assert not capsys.readouterr().out
    recipe = recipe_from(plain(tmp_path, donor, tokenizer={"from_model": ""}), "test")
    run = prepare(recipe)
    assert set(run.model.tokenizer.tokens[1:]) == set("BAD CABFACE A BEE")
    assert torch.equal(run.model.encoder.state_dict()["layers.0.rnn.weight_ih_l0"],
                       given.encoder.state_dict()["layers.0.rnn.weight_ih_l0"])  # fmt: skip
    told = capsys.readouterr().out
    assert told == (
        f"init_from: the encoder comes from {donor}, the head starts afresh: 12 characters there, 8 characters here\n"
    )
    result = train(recipe)
    assert result is not None and not (result.model / "decoder.json").exists()


def test_what_does_not_fit_is_refused(tmp_path: Path, donor: Path) -> None:
    for sections, message in (
        ({"encoder": {"num_layers": 2}}, "that model lacks encoder.layers.1"),
        ({"encoder": {"subsampling_factor": 1}}, "another encoder"),
        ({"features": {"frame_shift": 0.02}}, "other features"),
    ):
        with pytest.raises(ConfigError, match=message):
            prepare(recipe_from(plain(tmp_path, donor, **sections), "test"))
    with pytest.raises(ConfigError, match="tokenizer.kind: found subwords, wanted characters"):
        wrong = {"kind": "subwords", "from_model": str(donor)}
        prepare(recipe_from(plain(tmp_path, donor, tokenizer=wrong), "test"))
    with pytest.raises(ModelError, match="nowhere: no such model folder"):
        recipe_from(plain(tmp_path, "nowhere"), "test")


def test_a_shipped_model_by_its_name(tmp_path: Path) -> None:
    told = check(recipe_from(plain(tmp_path, "english-small"), "test"))
    assert "2 training utterances" in told and " 40 tokens, 40 ms a frame" in told


def test_overrides_of_a_recipe_that_was_read_inherit_too(tmp_path: Path, donor: Path) -> None:
    recipe = recipe_from({**plain(tmp_path, ""), "encoder": {"dropout": 0.5}}, "test")
    changed = override(recipe, {"init_from": str(donor)})
    given = CTCModel.load(donor).config
    assert changed.features == given.features
    assert changed.encoder.dropout == 0.5 and changed.encoder.hidden_size == given.encoder.hidden_size
    assert changed.tokenizer.from_model == str(donor)
    assert recipe.encoder.hidden_size == RecipeConfig().encoder.hidden_size


def test_statistics_of_features_come_along_too(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path, max_epochs=1)
    values["features"] |= {"cmvn": "global"}
    result = train(recipe_from(values, "test"))
    assert result is not None
    other = plain(tmp_path, result.model)
    other |= {"output": str(tmp_path / "second"), "optimizer": {"name": "SGD", "lr": 0.0}}
    second = train(recipe_from(other, "test"))
    assert second is not None
    means = [CTCModel.load(folder).features.mean for folder in (result.model, second.model)]
    torch.testing.assert_close(*means)


def test_start_from_needs_the_same_shapes(tmp_path: Path) -> None:
    recipe = recipe_from(brief_recipe(tmp_path), "test")
    model = prepare(recipe).model
    wider = recipe_from({**brief_recipe(tmp_path), "encoder": {"hidden_size": 9}}, "test")
    with pytest.raises(ConfigError, match="another encoder"):
        start_from(prepare(wider).model, model)
