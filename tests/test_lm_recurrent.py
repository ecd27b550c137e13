"""Recurrent language models: exact probabilities, folders, training that learns and resumes, generation."""

import gzip
import itertools
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from asr.cli import main
from asr.errors import ConfigError, DataError, ModelError, TextError
from asr.lm.generate import draw, generate
from asr.lm.recurrent import BOUNDARY, RecurrentLM, RecurrentLMConfig, frame_sentences
from asr.text.subwords import SubwordTokenizer
from asr.text.tokenizer import BLANK, CharacterTokenizer, Tokenizer
from asr.training.curves import read_metrics
from asr.training.recipe import load_recipe_of
from asr.training.recurrent_lm import RecurrentLMModule, RecurrentLMRecipe, SentenceDataset, check, train

CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
LETTERS = CharacterTokenizer([BLANK, " ", "A", "B", "C"])
TEXTS = ("AB C", "C", "", "CAB CAB BAC", "B A B A")
SENTENCES = (
    "THE CAT SAT ON THE MAT",
    "A BIRD IN THE HAND IS WORTH TWO IN THE BUSH",
    "NO NEWS IS GOOD NEWS",
    "BETTER LATE THAN NEVER",
)


def small(cell: str = "lstm", tokenizer: Tokenizer = LETTERS, **settings: Any) -> RecurrentLM:
    torch.manual_seed(0)
    settings = {"cell": cell, "embedding_size": 12, "hidden_size": 12, **settings}
    return RecurrentLM(RecurrentLMConfig(**settings), tokenizer).eval()


def by_hand(lm: RecurrentLM, text: str) -> float:
    """The log-probability of a sentence, fed token by token."""
    total, state = 0.0, None
    ids = [BOUNDARY, *lm.tokenizer.encode(text), BOUNDARY]
    with torch.inference_mode():
        for token, following in itertools.pairwise(ids):
            log_probs, state = lm(torch.tensor([[token]]), state)
            total += log_probs[0, 0, following].item()
    return total


# ------------------------------------------------------------------------------------------------------------- network


@pytest.mark.parametrize("cell", CELLS)
def test_fed_whole_or_token_by_token_it_says_the_same(cell: str) -> None:
    lm = small(cell)
    tokens = torch.tensor([[0, 2, 3, 1, 4, 4], [0, 4, 1, 1, 2, 3]])
    with torch.inference_mode():
        whole, last = lm(tokens)
        state, steps = None, []
        for step in range(tokens.shape[1]):
            log_probs, state = lm(tokens[:, step : step + 1], state)
            steps.append(log_probs)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole)
    torch.testing.assert_close(state, last)
    assert not torch.allclose(whole[0, 0], whole[0, 5]), "a network that does not look at its input"


@pytest.mark.parametrize("cell", CELLS)
def test_a_sentence_in_a_batch_scores_as_alone(cell: str) -> None:
    lm = small(cell)
    together = lm.score(TEXTS)
    assert together == pytest.approx([by_hand(lm, text) for text in TEXTS], abs=1e-5)
    assert lm.score(TEXTS, max_batch_tokens=1) == pytest.approx(together, abs=1e-5)
    assert lm.score([]) == []


def test_probabilities_of_all_sentences_add_up_to_one() -> None:
    lm = small(tokenizer=CharacterTokenizer([BLANK, "A", "B"]))
    with torch.no_grad():
        lm.head.bias[BOUNDARY] += 3.0  # short sentences, so that few are out of reach
    sentences = ["".join(letters) for length in range(9) for letters in itertools.product("AB", repeat=length)]
    with torch.inference_mode():
        # What is left is the probability of the beginnings that go on beyond eight letters.
        log_probs, _ = lm(frame_sentences([lm.tokenizer.encode(text) for text in sentences[-256:]])[0][:, :-1])
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(1))
    longer = sum(
        math.exp(score) * (1 - end) / end
        for score, end in zip(lm.score(sentences[-256:]), log_probs[:, -1, BOUNDARY].exp().tolist(), strict=True)
    )
    assert sum(map(math.exp, lm.score(sentences))) + longer == pytest.approx(1, abs=1e-5)
    assert longer < 0.1


def test_perplexity_is_per_word_and_per_token_with_sentence_ends() -> None:
    lm = small()
    found = lm.perplexity(TEXTS)
    log_prob = sum(by_hand(lm, text) for text in TEXTS)
    assert (found.sentences, found.words, found.tokens) == (5, 10, 23)
    assert found.log_prob == pytest.approx(log_prob, abs=1e-5)
    assert found.per_word == pytest.approx(math.exp(-log_prob / 15))
    assert found.per_token == pytest.approx(math.exp(-log_prob / 28))
    assert lm.perplexity(["AB  C "]).per_word == pytest.approx(lm.perplexity(["AB C"]).per_word)


def test_a_uniform_model_is_as_perplexed_as_it_has_tokens() -> None:
    lm = small()
    for parameter in lm.parameters():
        torch.nn.init.zeros_(parameter)
    assert lm.perplexity(TEXTS).per_token == pytest.approx(5)


def test_symbols_that_the_model_does_not_know_are_named() -> None:
    with pytest.raises(TextError, match="no token for 'Z'"):
        small().score(["ABC", "AZ"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedding_size": 8}, r"embedding_size: found 8, wanted hidden_size \(12\), or tie_weights: false"),
        ({"num_layers": 0}, "num_layers: found 0"),
        ({"dropout": 1.0}, "dropout: found 1.0"),
    ],
)
def test_settings_that_make_no_network(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**settings)


# -------------------------------------------------------------------------------------------------------------- folder


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_scores_the_same(cell: str, tied: bool, tmp_path: Path) -> None:
    lm = small(cell, tie_weights=tied, embedding_size=12 if tied else 8)
    lm.save(tmp_path, "a card")
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in tmp_path.iterdir())
    loaded = RecurrentLM.load(tmp_path)
    assert loaded.score(TEXTS) == lm.score(TEXTS)
    assert not loaded.training
    assert loaded.config == lm.config
    assert (loaded.head.weight is loaded.embedding.weight) is tied
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "a card"


def test_a_saved_model_of_subwords_encodes_the_same(tmp_path: Path) -> None:
    lm = small(tokenizer=SubwordTokenizer.build(SENTENCES, 40))
    lm.save(tmp_path)
    assert RecurrentLM.load(tmp_path).score(SENTENCES) == lm.score(SENTENCES)


def damage(folder: Path, name: str, text: str | None) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", None, "lacks config.json"),
        ("model.safetensors", None, "lacks model.safetensors"),
        ("config.json", "{", "not a model configuration"),
        ("config.json", "[]", "not a model configuration"),
        ("config.json", '{"format": 1, "encoder": {}, "tokenizer": {}}', "found kind None, wanted 'recurrent_lm'"),
        ("config.json", '{"format": 9, "kind": "recurrent_lm"}', "format 9"),
        ("config.json", '{"format": 1, "kind": "recurrent_lm"}', "tokenizer of kind None"),
        ("model.safetensors", "not tensors", "cannot be loaded"),
        ("tokens.txt", "<blank>\nA\n", "cannot be loaded"),
    ],
)
def test_a_damaged_folder_is_refused(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    small().save(tmp_path)
    damage(tmp_path, name, text)
    with pytest.raises(ModelError, match=message):
        RecurrentLM.load(tmp_path)


def test_loading_never_unpickles(tmp_path: Path) -> None:
    lm = small()
    lm.save(tmp_path)
    torch.save(lm.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        RecurrentLM.load(tmp_path)


# ---------------------------------------------------------------------------------------------------------- generation


def test_draws_follow_the_probabilities() -> None:
    log_probs = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(20_000, 4)
    random = torch.Generator().manual_seed(0)

    def shares(temperature: float, top_k: int) -> Tensor:
        return torch.bincount(draw(log_probs, temperature, top_k, random), minlength=4) / len(log_probs)

    torch.testing.assert_close(shares(1.0, 0), log_probs[0].exp(), atol=0.015, rtol=0)
    torch.testing.assert_close(shares(1.0, 2), torch.tensor([0.625, 0.375, 0, 0]), atol=0.015, rtol=0)
    squared = log_probs[0].exp() ** 2
    torch.testing.assert_close(shares(0.5, 0), squared / squared.sum(), atol=0.015, rtol=0)
    assert shares(0.0, 0).tolist() == [1, 0, 0, 0]


def test_sentences_begin_with_the_prompt_and_a_seed_repeats_them() -> None:
    lm = small()
    found = generate(lm, "CAB", count=8, max_tokens=6, seed=3)
    assert len(set(found)) > 1
    assert all(text.startswith("CAB") and len(text) <= 9 for text in found)
    assert generate(lm, "CAB", count=8, max_tokens=6, seed=3) == found
    assert generate(lm, "CAB", count=8, max_tokens=6, seed=4) != found
    with pytest.raises(ConfigError, match="temperature: found -1"):
        generate(lm, temperature=-1)


# ------------------------------------------------------------------------------------------------------------ training


def recipe_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """Values of a recipe that learns the four sentences exactly."""
    (folder / "text.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    text = str(folder / "text.txt")
    values = {
        "name": "sayings",
        "output": str(folder / "run"),
        "data": {"train": [text], "valid": [text], "max_batch_tokens": 220},
        "model": {"num_layers": 1, "embedding_size": 48, "hidden_size": 48, "dropout": 0.0},
        "optimizer": {"lr": 0.02, "weight_decay": 0.0},
        "trainer": {
            "max_epochs": 100,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "check_val_every_n_epoch": 50,
        },
    }
    return {**values, **changes}


def recipe_of(folder: Path, **changes: Any) -> RecurrentLMRecipe:
    (folder / "train.yaml").write_text(yaml.safe_dump(recipe_values(folder, **changes)), encoding="utf-8")
    return load_recipe_of(RecurrentLMRecipe, folder / "train.yaml")


@pytest.mark.parametrize("kind", ["characters", "subwords"])
def test_it_learns_four_sentences_by_heart(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(tmp_path, tokenizer={"kind": kind, "size": 60})
    result = train(recipe)
    assert result is not None
    lm = RecurrentLM.load(result.model)
    # Which of the four comes is four guesses a sentence; all that follows is known.
    least = math.exp(4 * math.log(4) / (sum(len(text.split()) for text in SENTENCES) + 4))
    assert lm.perplexity(SENTENCES).per_word == pytest.approx(least, abs=0.1)
    assert lm.perplexity(SENTENCES).per_word < lm.perplexity(["ON THE CAT", "THE LATE NEWS"]).per_word / 2
    assert {generate(lm, text.split()[0], temperature=0)[0] for text in SENTENCES} == set(SENTENCES)
    assert set(generate(lm, count=40, seed=1, temperature=0.5)) == set(SENTENCES)
    for name in ("recipe.yaml", "learning_curve.png", "results.json", "checkpoints/last.ckpt"):
        assert (result.folder / name).stat().st_size > 0, name
    values = json.loads((result.folder / "results.json").read_text(encoding="utf-8"))["valid"]
    assert values["per_word"] == pytest.approx(lm.perplexity(SENTENCES).per_word)
    logged = read_metrics(result.folder)
    assert min(logged["valid_perplexity"].values()) == pytest.approx(result.valid.per_word, rel=0.02)
    assert "perplexity per word" in (result.model / "README.md").read_text(encoding="utf-8")
    out = capsys.readouterr().out
    assert "valid_perplexity" in out and "valid_wer" not in out


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_stopped_and_resumed_gives_the_losses_of_an_uninterrupted_run(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "data": {**recipe_values(tmp_path)["data"], "max_tokens": 50, "max_batch_tokens": 51},
        "model": {"num_layers": 2, "embedding_size": 16, "hidden_size": 16, "dropout": 0.2},
        "checkpoint_steps": 2,  # an epoch has three: checkpoints after 0, 2, 3 (the epoch's start), 4, 6 steps
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1},
    }
    whole, stopped = (recipe_of(tmp_path, **changes, output=str(tmp_path / name)) for name in ("whole", "stopped"))
    train(whole)
    step = RecurrentLMModule.training_step

    def fail(self: RecurrentLMModule, *args: Any) -> Tensor:
        if self.global_step == stop:
            raise KeyError("power cut")
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RecurrentLMModule, "training_step", fail)
        with pytest.raises(KeyError, match="power cut"):
            train(stopped)
    assert not (stopped.folder / "model").exists()
    train(stopped, resume=True)
    expected, found = (read_metrics(recipe.folder) for recipe in (whole, stopped))
    assert len(expected["train_loss"]) == 9
    assert found["train_loss"] == expected["train_loss"]
    assert found["valid_perplexity"] == expected["valid_perplexity"]
    weights = [RecurrentLM.load(recipe.folder / "model").state_dict() for recipe in (whole, stopped)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=0)


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, trainer={**recipe_values(tmp_path)["trainer"], "max_epochs": 1})
    with pytest.raises(ConfigError, match="nothing to resume"):
        train(recipe, resume=True)
    (recipe.folder / "checkpoints").mkdir(parents=True)
    (recipe.folder / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(ConfigError, match="holds a run already"):
        train(recipe)


def test_texts_may_be_packed_or_manifests_and_held_out_sentences_stay_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gzip.open(tmp_path / "packed.txt.gz", "wt", encoding="utf-8") as file:
        file.write("no news is good news\nwait and see\n" + "long " * 30)
    row = {"audio_filepath": "a.wav", "duration": 1.0, "text": "NO NEWS IS GOOD NEWS"}
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    values = recipe_values(tmp_path)
    data = {
        **values["data"],
        "train": [str(tmp_path / "text.txt"), str(tmp_path / "packed.txt.gz")],
        "exclude": [str(tmp_path / "test.jsonl")],
        "text_scheme": "english",
        "max_tokens": 100,
    }
    recipe = recipe_of(tmp_path, data=data)
    report = check(recipe)
    assert "4 training sentences" in report and "4 validation sentences" in report
    printed = capsys.readouterr().out
    assert "left out 2 training sentences that are in" in printed
    assert "left out 1 training sentences of more than 100 tokens" in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"train": []}}, r"data\.train: no text"),
        ({"tokenizer": {"kind": "phones", "g2p": True}}, "found phones, wanted characters or subwords"),
        ({"data": {"max_tokens": 300, "max_batch_tokens": 200}}, r"more than max_tokens \(300\)"),
        ({"model": {"cel": "gru"}}, r"model\.cel: unknown key; did you mean cell"),
        ({"trainer": {"max_epoch": 3}}, r"trainer\.max_epoch: unknown key"),
    ],
)
def test_recipes_that_cannot_be_trained(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(recipe_of(tmp_path, **changes))


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"each has more than data\.max_tokens"):
        SentenceDataset(["ABC ABC"], LETTERS, max_tokens=3)
    recipe = recipe_of(tmp_path)
    Path(recipe.data.train[0]).write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.train: no sentence in"):
        train(recipe)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    with pytest.raises(DataError, match="learning rate is too high"):
        train(replace(recipe, optimizer=replace(recipe.optimizer, lr=1e38)))


def test_a_recipe_reads_back_as_it_was_written(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(asdict(recipe)), encoding="utf-8")
    assert load_recipe_of(RecurrentLMRecipe, tmp_path / "again.yaml") == recipe


def test_the_recipe_loads_and_says_how_to_run_it() -> None:
    path = Path(__file__).parents[1] / "recipes" / "lm" / "train.yaml"
    recipe = load_recipe_of(RecurrentLMRecipe, path)
    assert recipe.data.train and recipe.data.valid and recipe.data.test
    RecurrentLM(recipe.model, LETTERS)
    assert "asr lm train recipes/lm/train.yaml" in path.read_text(encoding="utf-8")
    assert f"runs/{recipe.name}/model" in path.read_text(encoding="utf-8")


def test_the_commands_train_measure_and_generate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(tmp_path)
    words = [str(tmp_path / "train.yaml"), "--output", str(tmp_path / "cli"), "--trainer.max_epochs", "1"]
    assert main(["lm", "train", *words, "--check"]) == 0
    assert "4 training sentences" in capsys.readouterr().out
    assert main(["lm", "train", *words, "--trainer.check_val_every_n_epoch", "1"]) == 0
    printed = capsys.readouterr().out
    assert "validation: perplexity" in printed
    folder = str(tmp_path / "cli" / "model")
    assert main(["lm", "perplexity", folder, recipe.data.train[0]]) == 0
    assert capsys.readouterr().out.strip() in printed
    assert main(["lm", "generate", folder, "--prompt", "THE CAT", "--count", "3", "--max-tokens", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.startswith("THE CAT") for line in lines)
    assert main(["lm", "train", *words, "--model.cel", "gru"]) == 2
    assert "did you mean cell" in capsys.readouterr().err
