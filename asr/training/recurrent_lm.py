"""Training of a recurrent language model: what `asr lm train` does, with the harness of `asr train`.

The run's folder holds recipe.yaml (resolved), checkpoints/, csv/ and tensorboard/ logs, learning_curve.png, model/ (the
language model's folder) and results.json.
"""

import hashlib
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asr.data import draws
from asr.data.batches import BucketBatchSampler, Item
from asr.errors import ConfigError, DataError
from asr.lm.recurrent import Perplexity, RecurrentLM, RecurrentLMConfig, frame_sentences, to_perplexity
from asr.lm.sentences import read_sentences
from asr.settings import require
from asr.text.tokenizer import Tokenizer, TokenizerConfig
from asr.training.checkpoints import origin_of
from asr.training.init_from import make_tokenizer
from asr.training.module import RunDataModule, RunModule
from asr.training.ranking import rank
from asr.training.recipe import RunConfig, to_yaml
from asr.training.results import write_results
from asr.training.run import (
    any_trainer,
    build_trainer,
    choose_weights,
    fit,
    go_on,
    kept,
    quiet_lightning,
    start,
    write_recipe,
)  # fmt: skip
from asr.training.together import before_they_meet


@dataclass(frozen=True)
class TextDataConfig:
    """Which texts, and how their sentences become batches."""

    train: list[str] = field(default_factory=list)  # .txt, .gz, .xz: a sentence a line; or manifests (.jsonl)
    valid: list[str] = field(default_factory=list)  # chooses checkpoints
    test: list[str] = field(default_factory=list)  # scored once, after training
    exclude: list[str] = field(default_factory=list)  # training sentences that are in these texts are left out
    text_scheme: str = "none"  # of asr.text.normalise.SCHEMES: how sentences are normalised; as the recogniser's were
    max_tokens: int = 200  # in a training sentence; longer ones are left out
    max_batch_tokens: int = 4000  # in a batch, padding included
    num_buckets: int = 20  # 1 mixes all lengths in a batch; more waste less on padding

    def __post_init__(self) -> None:
        require(
            "data",
            (self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1"),
            (self.max_batch_tokens > self.max_tokens, "max_batch_tokens", self.max_batch_tokens,
             f"more than max_tokens ({self.max_tokens})"),
            (self.num_buckets >= 1, "num_buckets", self.num_buckets, "at least 1"),
        )  # fmt: skip


@dataclass(frozen=True)
class RecurrentLMRecipe(RunConfig):
    """All that `asr lm train` needs to know; one YAML file."""

    name: str = "lm"
    data: TextDataConfig = field(default_factory=TextDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: RecurrentLMConfig = field(default_factory=RecurrentLMConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokenizer.kind == "phones":
            raise ConfigError("tokenizer.kind: found phones, wanted characters or subwords: texts are written in words")


class SentenceBatch(NamedTuple):
    """Sentences side by side. B sentences, U tokens in the longest."""

    rows: Tensor  # (B,) int64, which sentences of the dataset
    sentences: Tensor  # (B, U + 2) int64, see frame_sentences
    num_targets: Tensor  # (B,) int64, tokens to predict: the sentence's and its end


class SentenceDataset(Dataset[tuple[int, np.ndarray]]):
    """Sentences as ids, of the kind that a BucketBatchSampler takes.

    Raises TextError where a sentence has symbols that the tokenizer does not know, DataError where there is nothing.
    """

    def __init__(self, texts: Iterable[str], tokenizer: Tokenizer, max_tokens: int | None = None):
        """max_tokens: sentences with more are left out."""
        # One array: a list for each of a million sentences would take ten times the memory.
        ids: list[np.ndarray] = []
        words: list[int] = []
        self.num_long = 0
        for text in texts:
            encoded = np.array(tokenizer.encode(text), np.int32)
            if max_tokens is not None and len(encoded) > max_tokens:
                self.num_long += 1
            else:
                ids.append(encoded)
                words.append(len(text.split()))
        if not ids:
            raise DataError("no sentence can be used" + (": each has more than data.max_tokens" * bool(self.num_long)))
        self.ends = np.cumsum([len(sentence) for sentence in ids])
        self.ids = np.concatenate(ids)
        self.num_words = np.array(words)
        self.seconds = np.diff(self.ends, prepend=0) + 1.0  # the size by which the sampler packs: tokens to predict

    def __len__(self) -> int:
        return len(self.ends)

    def items(self, epoch: int) -> list[Item]:
        """Every sentence once."""
        return [Item(i, epoch, 1.0) for i in range(len(self))]

    def digest(self) -> str:
        """Of all sentences in their order."""
        return hashlib.sha256(self.ids.tobytes() + self.ends.tobytes()).hexdigest()

    def __getitem__(self, item: Item) -> tuple[int, np.ndarray]:
        start = self.ends[item.row - 1] if item.row else 0
        return item.row, self.ids[start : self.ends[item.row]]


def collate(examples: Sequence[tuple[int, np.ndarray]]) -> SentenceBatch:
    rows, sentences = zip(*examples, strict=True)
    return SentenceBatch(torch.tensor(rows), *frame_sentences(sentences))


class SentenceDataModule(RunDataModule):
    """The batches of a recipe."""

    def __init__(self, recipe: RecurrentLMRecipe, train: SentenceDataset, valid: SentenceDataset):
        data = recipe.data
        super().__init__({"train": train, "valid": valid}, data.max_batch_tokens, data.num_buckets, recipe.seed)

    def loader(self, sampler: BucketBatchSampler) -> DataLoader[SentenceBatch]:
        return DataLoader(sampler.dataset, batch_sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]


class RecurrentLMModule(RunModule):
    """Trains a RecurrentLM by cross-entropy. Logs train_loss, gradient_norm; valid_loss, _perplexity, _rank."""

    metric = "valid_perplexity"
    rate = "tokens_per_s"
    model: RecurrentLM
    validated: dict[int, tuple[float, int]]  # row -> log-probability, tokens predicted

    def training_step(self, batch: SentenceBatch, batch_idx: int) -> Tensor:
        torch.manual_seed(draws.torch_seed("dropout", *self.step_seed(batch_idx)))
        loss = self.loss(batch)
        self.trained += int(batch.num_targets.sum())
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch.rows))
        return loss

    def loss(self, batch: SentenceBatch) -> Tensor:
        """Negative log-probability per token, float32. Raises DataError where it is not finite."""
        log_probs = self.model.log_probs_of(batch.sentences, batch.num_targets)
        loss = -log_probs.sum() / batch.num_targets.sum()
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss is {loss.item()}: the learning rate is too high; train again with a lower optimizer.lr"
            )
        return loss.float()

    def validation_step(self, batch: SentenceBatch, batch_idx: int) -> None:
        log_probs = self.model.log_probs_of(batch.sentences, batch.num_targets)
        values = zip(log_probs.tolist(), batch.num_targets.tolist(), strict=True)
        self.validated.update(zip(batch.rows.tolist(), values, strict=True))

    def on_validation_epoch_end(self) -> None:
        validated: dict[int, tuple[float, int]] = self.gathered()
        num_words = self.trainer.datamodule.datasets["valid"].num_words  # type: ignore[attr-defined]
        log_prob = sum(value for value, _ in validated.values())
        loss = -log_prob / sum(tokens for _, tokens in validated.values())
        perplexity = to_perplexity(log_prob, sum(int(num_words[row]) + 1 for row in validated))
        self.log_validation({"valid_loss": loss, "valid_perplexity": perplexity}, rank(loss))


@dataclass(frozen=True)
class Result:
    """Where a run is, and what it reached."""

    folder: Path
    model: Path
    valid: Perplexity
    test: Perplexity | None


def train(recipe: RecurrentLMRecipe, resume: bool = False) -> Result | None:
    """Train the recipe; write the run's folder; return what was reached. On several devices: None but on the first.

    Raises ConfigError, TextError and DataError for recipes and texts that cannot be trained.
    """
    with before_they_meet(lambda: any_trainer(recipe)):
        found = start(recipe, resume)
        run = prepare(recipe)
        model = run.model
        module = RecurrentLMModule(recipe, model)
        module.origin = origin_of(recipe, model.tokenizer.tokens, run.train_set.digest(), run.valid_set.digest())
        if found:
            go_on(recipe, found, module.origin)
        write_recipe(recipe)
    trainer = fit(recipe, module, SentenceDataModule(recipe, run.train_set, run.valid_set), found)
    if not trainer.is_global_zero:
        return None
    folder = recipe.folder

    def write(valid: Perplexity | None = None, test: Perplexity | None = None) -> None:
        model.save(folder / "model", card(recipe, model, {"validation": valid, "test": test}, run.train_set))

    with kept(folder / "model"):
        valid = choose_weights(
            trainer, model, lambda: model.perplexity(run.valid_texts), lambda found: found.per_word, write
        )
        test = model.perplexity(run.test_texts) if run.test_texts else None
    write(valid, test)
    write_results(folder, trainer, valid.to_dict(), test.to_dict() if test else None)
    return Result(folder, folder / "model", valid, test)


def check(recipe: RecurrentLMRecipe) -> str:
    """Everything that `train` would look at before it trains, and one batch through the network; in a few lines.

    Raises what `train` would raise.
    """
    run = prepare(recipe)
    model, train_set = run.model, run.train_set
    sampler = SentenceDataModule(recipe, train_set, train_set).sampler("train")
    loss = RecurrentLMModule(recipe, model).loss(collate([train_set[item] for item in sampler.batches(0)[0]]))
    loss.backward()
    with quiet_lightning():
        build_trainer(recipe, RecurrentLMModule.metric)
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"{recipe.name}: {describe(train_set)}, {len(sampler)} batches an epoch; {len(run.valid_texts)} validation "
        f"sentences\n{parameters / 1e6:.2f} M parameters, {model.tokenizer.vocab_size} tokens; loss of a batch, "
        f"untrained: {loss.item():.2f}"
    )


@dataclass(frozen=True)
class Prepared:
    """What a training is made of."""

    model: RecurrentLM  # untrained
    train_set: SentenceDataset
    valid_texts: list[str]
    valid_set: SentenceDataset
    test_texts: list[str]


def prepare(recipe: RecurrentLMRecipe) -> Prepared:
    """Read and check all that the run needs, to its end; says how many sentences are left out."""
    data = recipe.data
    held_out = set(chain.from_iterable(read_sentences(path, data.text_scheme) for path in data.exclude))
    found = read_texts(data, "train")
    texts = [text for text in found if text not in held_out] if held_out else found
    model = RecurrentLM(recipe.model, make_tokenizer(recipe.tokenizer, texts))
    dataset = SentenceDataset(texts, model.tokenizer, data.max_tokens)
    say = rank_zero_only(print)
    if data.exclude:
        say(f"left out {len(found) - len(texts)} training sentences that are in {', '.join(data.exclude)}")
    if dataset.num_long:
        say(f"left out {dataset.num_long} training sentences of more than {data.max_tokens} tokens")
    valid_texts = read_texts(data, "valid")
    test_texts = read_texts(data, "test") if data.test else []
    for text in test_texts:
        model.tokenizer.encode(text)  # at the end it would be too late to find that it cannot be
    return Prepared(model, dataset, valid_texts, SentenceDataset(valid_texts, model.tokenizer), test_texts)


def read_texts(data: TextDataConfig, split: str) -> list[str]:
    """The sentences of all texts of a split. Raises ConfigError where none is named, DataError where none is found."""
    paths = getattr(data, split)
    if not paths:
        raise ConfigError(f"data.{split}: no text; wanted a list of files (.txt, .gz, .xz: a sentence a line; .jsonl)")
    texts = [text for path in paths for text in read_sentences(path, data.text_scheme)]
    if not texts:
        raise DataError(f"data.{split}: no sentence in {', '.join(paths)}")
    return texts


def describe(dataset: SentenceDataset) -> str:
    return f"{len(dataset)} training sentences, {dataset.num_words.sum()} words, {len(dataset.ids)} tokens"


def card(
    recipe: RecurrentLMRecipe, model: RecurrentLM, splits: dict[str, Perplexity | None], train_set: SentenceDataset
) -> str:
    """Markdown: what the model is, what it was trained on, what it reaches, how to use and retrain it.

    splits: the scores by the name of what was scored; None where it was not.
    """
    parameters = sum(p.numel() for p in model.parameters())
    table = "\n".join(
        f"| {split} | {found.per_word:.2f} | {found.per_token:.2f} | {found.sentences} | {found.words} |"
        for split, found in splits.items()
        if found
    )
    return f"""# {recipe.name}

A recurrent language model ({recipe.model.cell}), {parameters / 1e6:.2f} M parameters, {model.tokenizer.kind} as units
({model.tokenizer.vocab_size} with the sentence boundary).

Trained on {describe(train_set)}, from {", ".join(recipe.data.train)} (see the texts' licences);
{platform.machine()}, Python {platform.python_version()}.

| split | perplexity per word | per token | sentences | words |
|---|---|---|---|---|
{table}

Ends of sentences are counted among the words and the tokens.

    asr lm generate THIS_FOLDER --prompt "..."
    asr lm perplexity THIS_FOLDER TEXT

## Recipe

```yaml
{to_yaml(recipe)}```
"""
