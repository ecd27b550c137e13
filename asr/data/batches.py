"""Utterances to batches: decoded and cached audio, augmentation, duration-bucketed batches, the Lightning DataModule.

Every random choice (order, speed, noise) is a function of (seed, epoch, utterance), never of what happened before, so
that a resumed run sees exactly the batches that an uninterrupted one would have seen.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from asr.audio.load import load_audio
from asr.data import draws
from asr.data.augment import AugmentConfig, Augmenter
from asr.data.manifest import Utterance
from asr.errors import ConfigError, DataError, TextError
from asr.settings import require
from asr.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class DataConfig:
    """Which manifests, and how they become batches."""

    train: list[str] = field(default_factory=list)  # manifests (JSONL)
    valid: list[str] = field(default_factory=list)  # chooses checkpoints; never augmented
    test: list[str] = field(default_factory=list)  # scored once, after training
    non_speech: list[str] = field(default_factory=list)  # noise and music, without text: trained on as saying nothing
    min_confidence: float = 0.9  # of training rows with `pred_text` and no `text`; of less they are left out
    min_duration: float = 0.1  # seconds; shorter training utterances are left out
    max_duration: float = 20.0  # seconds; longer training utterances are left out
    max_batch_seconds: float = 120.0  # audio in a batch, padding included
    num_buckets: int = 20  # 1 mixes all durations in a batch; more waste less on padding
    num_workers: int = 0  # processes that prepare batches; 0 where decoded audio is cached and cores are few
    cache_gb: float = 2.0  # keep decoded training audio in memory if all of it fits in this many gigabytes
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        require(
            "data",
            (0 <= self.min_confidence <= 1, "min_confidence", self.min_confidence, "0 to 1"),
            (0 <= self.min_duration < self.max_duration, "min_duration, max_duration",
             (self.min_duration, self.max_duration), "0 <= min_duration < max_duration"),
            (self.max_batch_seconds > 0, "max_batch_seconds", self.max_batch_seconds, "positive seconds"),
            (self.num_buckets >= 1, "num_buckets", self.num_buckets, "at least 1"),
            (self.num_workers >= 0, "num_workers", self.num_workers, "0 or more"),
        )  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """Utterances side by side. B utterances, S samples in the longest, U tokens in the longest."""

    ids: list[str]
    waveforms: Tensor  # (B, S) float32, zero beyond num_samples
    num_samples: Tensor  # (B,) int64
    tokens: Tensor  # (B, U) int64, zero beyond num_tokens
    num_tokens: Tensor  # (B,) int64
    references: list[str]  # the text that hypotheses are scored against

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        return self._with_tensors(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Lightning's loader calls this where batches go to a GPU."""
        return self._with_tensors(Tensor.pin_memory)

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = {n: change(value) for n, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **changed)


class Item(NamedTuple):
    """What the sampler asks of the dataset: an utterance, as it is to sound in this epoch."""

    row: int  # of the dataset
    epoch: int
    speed: float
    more: tuple[int, ...] = ()  # rows that follow it in the same example

    @property
    def rows(self) -> tuple[int, ...]:
        return self.row, *self.more


class Example(NamedTuple):
    id: str  # of the first utterance in it
    waveform: np.ndarray
    tokens: list[int]
    reference: str


def named(row: Utterance) -> tuple[str, str]:
    """What the row is called in messages, and its text."""
    return f"{row.id} ({row.audio_filepath})", row.text


class SpeechDataset(Dataset[Example]):
    """Utterances with their audio decoded at the model's rate, augmented where an AugmentConfig is given.

    Without a tokenizer the examples have no tokens, and their reference is the manifest's text as it stands. Raises
    TextError where a text has symbols that the tokenizer does not.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        tokenizer: Tokenizer | None,
        sample_rate: int,
        *,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        cache_gb: float = 0.0,
    ):
        self.utterances = list(utterances)
        self.sample_rate = sample_rate
        self.seed = seed
        texts = [utterance.text for utterance in self.utterances]
        self.tokenizer = tokenizer
        self.tokens = tokenizer.encode_all(map(named, self.utterances)) if tokenizer else [[]] * len(texts)
        self.references = [tokenizer.reference(text) if tokenizer else text for text in texts]
        self.augmenter = Augmenter(augment, sample_rate) if augment else None
        if augment and augment.join:
            self._check_joinable(texts[:2])
        self.seconds = np.array([utterance.duration for utterance in self.utterances])
        # Cached audio is 16-bit: what nearly every corpus was published in, in half the memory.
        fits = self.seconds.sum() * sample_rate * 2 <= cache_gb * 1e9
        self.cache: dict[int, np.ndarray] | None = {} if fits else None

    def __len__(self) -> int:
        return len(self.utterances)

    def items(self, epoch: int) -> list[Item]:
        """Every utterance once, with the speed that it is played at in this epoch; some joined, see AugmentConfig."""
        if self.augmenter is None:
            return [Item(i, epoch, 1.0) for i in range(len(self))]
        rng = draws.generator("examples", self.seed, epoch)
        items = [Item(i, epoch, self.augmenter.draw_speed(rng)) for i in range(len(self))]
        return self._join(items, self.augmenter.config.join, rng) if self.augmenter.config.join else items

    def _check_joinable(self, texts: list[str]) -> None:
        try:
            if self.tokenizer:
                self.tokenizer.encode(" ".join(texts))
        except TextError as error:
            raise ConfigError(
                f"data.augment.join: {error}; no text has two words, so that none can follow another: set it to 0"
            ) from error

    def _join(self, items: list[Item], probability: float, rng: np.random.Generator) -> list[Item]:
        """Items in random order, some as followers of others, up to the length of the longest utterance."""
        longest, seconds = self.seconds.max(), 0.0
        joined: list[Item] = []
        for i in rng.permutation(len(items)).tolist():
            seconds += self.seconds[i]
            if joined and seconds <= longest and rng.random() < probability:
                joined[-1] = joined[-1]._replace(more=(*joined[-1].more, i))
            else:
                joined.append(items[i])
                seconds = self.seconds[i]
        return joined

    def __getitem__(self, item: Item) -> Example:
        waveform = np.concatenate([self._waveform(row, item) for row in item.rows])
        reference = _joined(self.references[row] for row in item.rows)
        tokens = self.tokens[item.row]
        if item.more and self.tokenizer:
            tokens = self.tokenizer.encode(_joined(self.utterances[row].text for row in item.rows))
        return Example(self.utterances[item.row].id, waveform, tokens, reference)

    def _waveform(self, row: int, item: Item) -> np.ndarray:
        waveform = self.load(row)
        if self.augmenter is None:
            return waveform
        return self.augmenter(waveform, draws.generator("waveform", self.seed, item.epoch, row), speed=item.speed)

    def load(self, index: int) -> np.ndarray:
        """The utterance's waveform (S,) float32 at the model's rate."""
        if self.cache is not None and index in self.cache:
            return self.cache[index].astype(np.float32) / 32767
        row = self.utterances[index]
        waveform, _ = load_audio(row.audio_filepath, self.sample_rate, offset=row.offset, duration=row.duration)
        if self.cache is None:
            return waveform
        self.cache[index] = np.round(waveform.clip(-1, 1) * 32767).astype(np.int16)
        return self.load(index)  # the first time as every other time


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples with zeros to a batch."""
    num_samples = [len(example.waveform) for example in examples]
    num_tokens = [len(example.tokens) for example in examples]
    waveforms = torch.zeros(len(examples), max(num_samples))
    tokens = torch.zeros(len(examples), max(num_tokens), dtype=torch.int64)
    for i, example in enumerate(examples):
        waveforms[i, : num_samples[i]] = torch.from_numpy(example.waveform)
        tokens[i, : num_tokens[i]] = torch.tensor(example.tokens, dtype=torch.int64)
    return Batch(
        ids=[example.id for example in examples],
        waveforms=waveforms,
        num_samples=torch.tensor(num_samples),
        tokens=tokens,
        num_tokens=torch.tensor(num_tokens),
        references=[example.reference for example in examples],
    )


def by_length(lengths: Sequence[int], limit: float) -> list[list[int]]:
    """Indices in batches of similar lengths, each at most `limit` long after padding, or one alone; longest first."""
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > limit:
            batches.append([])
        batches[-1].append(i)
    return batches


class BucketBatchSampler(Sampler[list[Item]]):
    """Batches of similar durations, at most `max_batch_seconds` after padding; the same number on every rank.

    An epoch's batches are a function of (seed, epoch). Where their number does not divide by the ranks, the first ones
    are given twice: validation counts an utterance once all the same, by its id. `position` tells, whenever the sampler
    is iterated, the epoch and how many of this rank's batches were already trained on (in a run resumed midway).

    Raises DataError where one utterance alone is longer than a batch may be.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        max_batch_seconds: float,
        *,
        shuffle: bool,
        num_buckets: int = 20,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        position: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ):
        longest = int(dataset.seconds.argmax())
        if dataset.seconds[longest] > max_batch_seconds:
            raise DataError(
                f"{dataset.utterances[longest].id}: {dataset.seconds[longest]:.1f} s do not fit in a batch of "
                f"{max_batch_seconds:g} s: raise data.max_batch_seconds or lower data.max_duration"
            )
        self.dataset = dataset
        self.max_batch_seconds = max_batch_seconds
        self.shuffle = shuffle
        self.num_buckets = num_buckets
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = position

    def seconds(self, item: Item) -> float:
        """How long the item is as it sounds."""
        return float(sum(self.dataset.seconds[row] for row in item.rows)) / item.speed

    def batches(self, epoch: int) -> list[list[Item]]:
        """All ranks' batches of the epoch, in order."""
        batches = self._cut(epoch)
        # Shuffling changes how many batches an epoch makes by a few; schedules and progress bars want one number. What
        # is cut here comes back in other epochs.
        wanted = len(batches) if epoch == 0 or not self.shuffle else self._batches_of_first_epoch
        wanted = math.ceil(wanted / self.world_size) * self.world_size
        return [batches[i % len(batches)] for i in range(wanted)]

    @cached_property
    def _batches_of_first_epoch(self) -> int:
        return len(self._cut(0))

    def _cut(self, epoch: int) -> list[list[Item]]:
        items = self.dataset.items(epoch)
        rng = draws.generator("order", self.seed, epoch)
        seconds = {item: self.seconds(item) for item in items}
        items.sort(key=seconds.__getitem__)
        if self.shuffle:
            # Order is random within a bucket, so that the same utterances do not meet every epoch.
            size = math.ceil(len(items) / self.num_buckets)
            for start in range(0, len(items), size):
                bucket = items[start : start + size]
                items[start : start + size] = [bucket[i] for i in rng.permutation(len(bucket))]
        batches: list[list[Item]] = []
        widest = 0.0
        for item in items:
            widest = max(widest, seconds[item])
            if not batches or widest * (len(batches[-1]) + 1) > self.max_batch_seconds:
                batches.append([])
                widest = seconds[item]
            batches[-1].append(item)
        if self.shuffle:
            return [batches[i] for i in rng.permutation(len(batches))]
        return batches[::-1]  # the largest first: too little memory shows at once

    def __iter__(self) -> Iterator[list[Item]]:
        epoch, done = self.position()
        return iter(self.batches(epoch)[self.rank :: self.world_size][done:])

    def __len__(self) -> int:
        return math.ceil(self._batches_of_first_epoch / self.world_size)


def batch_loader(sampler: BucketBatchSampler, num_workers: int = 0, pin_memory: bool = False) -> DataLoader[Any]:
    """A DataLoader of Batch over the sampler's dataset."""
    return DataLoader(
        sampler.dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
    )
