"""Batches: padding, caching, buckets, shuffling by (seed, epoch), shards of equal length."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.audio.load import load_audio
from asr.data import batches
from asr.data.augment import AugmentConfig
from asr.data.batches import BucketBatchSampler, Item, SpeechDataset, batch_loader, by_length, collate
from asr.data.manifest import Utterance
from asr.errors import ConfigError, DataError
from asr.text import build_tokenizer
from asr.text.tokenizer import TokenizerConfig

RATE = 8_000
TOKENIZER = build_tokenizer(TokenizerConfig(), ["A B"])


def corpus(folder: Path, durations: list[float], **options) -> SpeechDataset:  # type: ignore[no-untyped-def]
    """Utterances of one file each, with its number in the samples."""
    rows = []
    for i, seconds in enumerate(durations):
        path = folder / f"{i}.wav"
        soundfile.write(path, np.full(round(seconds * RATE), (i + 1) / 1000, dtype=np.float32), RATE)
        rows.append(Utterance(str(i), str(path), seconds, "AB" if i % 2 else "A"))
    return SpeechDataset(rows, TOKENIZER, RATE, **options)


def sampler(dataset: SpeechDataset, **options) -> BucketBatchSampler:  # type: ignore[no-untyped-def]
    settings = {"shuffle": True, "num_buckets": 4, "seed": 7, **options}
    return BucketBatchSampler(dataset, settings.pop("max_batch_seconds", 6.0), **settings)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> SpeechDataset:
    durations = np.random.default_rng(0).uniform(0.3, 2.0, 57).round(2).tolist()
    return corpus(tmp_path_factory.mktemp("many"), durations)


def test_collate_pads_with_zeros(tmp_path: Path) -> None:
    dataset = corpus(tmp_path, [0.5, 0.25])
    batch = collate([dataset[Item(0, 0, 1.0)], dataset[Item(1, 0, 1.0)]])
    assert batch.ids == ["0", "1"]
    assert batch.waveforms.shape == (2, 4000) and batch.waveforms.dtype == torch.float32
    assert batch.num_samples.tolist() == [4000, 2000] and batch.num_samples.dtype == torch.int64
    assert batch.num_tokens.tolist() == [1, 2]
    assert batch.waveforms[1, 2000:].abs().max() == 0 and batch.tokens[0, 1] == 0
    assert batch.references == ["A", "AB"]


def test_every_utterance_once_and_batches_within_the_limit(many: SpeechDataset) -> None:
    batches = sampler(many).batches(epoch=0)
    assert sorted(item.row for batch in batches for item in batch) == list(range(57))
    for batch in batches:
        assert max(many.seconds[item.row] for item in batch) * len(batch) <= 6.0


def test_the_limit_holds_at_every_speed(tmp_path: Path, many: SpeechDataset) -> None:
    slow = SpeechDataset(many.utterances, TOKENIZER, RATE, augment=AugmentConfig(speed=[0.8, 1.0, 1.25]))
    for epoch in range(3):
        for batch in sampler(slow).batches(epoch):
            assert max(slow.seconds[item.row] / item.speed for item in batch) * len(batch) <= 6.0


def joining(folder: Path, join: float = 0.5) -> SpeechDataset:
    durations = np.random.default_rng(1).uniform(0.2, 1.0, 60).round(2).tolist() + [3.0]
    return corpus(folder, durations, augment=AugmentConfig(speed=[0.8, 1.0, 1.25], join=join))


def test_joined_utterances_come_once_in_an_epoch_and_are_no_longer_than_the_longest(tmp_path: Path) -> None:
    dataset = joining(tmp_path)
    for epoch in range(3):
        items = dataset.items(epoch)
        assert sorted(row for item in items for row in item.rows) == list(range(61))
        assert 10 < sum(bool(item.more) for item in items) < len(items)
        assert max(dataset.seconds[list(item.rows)].sum() for item in items) <= dataset.seconds.max()
    assert dataset.items(1) == dataset.items(1) != dataset.items(2)
    assert all(not item.more for item in joining(tmp_path, join=0.0).items(0))


def test_the_limit_of_a_batch_holds_for_joined_utterances(tmp_path: Path) -> None:
    dataset = joining(tmp_path)
    for batch in sampler(dataset).batches(0):
        whole = collate([dataset[item] for item in batch])
        assert whole.waveforms.numel() <= 6.01 * RATE
        for item, num_samples in zip(batch, whole.num_samples.tolist(), strict=True):
            assert num_samples == pytest.approx(dataset.seconds[list(item.rows)].sum() / item.speed * RATE, abs=10)


def test_a_joined_example_is_its_utterances_one_after_the_other(tmp_path: Path) -> None:
    dataset = joining(tmp_path)
    item = next(item for item in dataset.items(0) if len(item.more) == 2)
    alone = [dataset[Item(row, item.epoch, item.speed)] for row in item.rows]
    joined = dataset[item]
    assert joined.id == alone[0].id
    assert joined.reference == " ".join(example.reference for example in alone)
    assert TOKENIZER.decode(joined.tokens) == joined.reference
    np.testing.assert_array_equal(joined.waveform, np.concatenate([example.waveform for example in alone]))


def test_utterances_of_a_single_word_each_cannot_be_joined(many: SpeechDataset) -> None:
    spaceless = build_tokenizer(TokenizerConfig(), ["AB"])
    with pytest.raises(ConfigError, match=r"data\.augment\.join: .*' '.*set it to 0"):
        SpeechDataset(many.utterances, spaceless, RATE, augment=AugmentConfig(join=0.5))


def test_order_is_a_function_of_seed_and_epoch(many: SpeechDataset) -> None:
    assert sampler(many).batches(3) == sampler(many).batches(3)
    assert sampler(many).batches(3) != sampler(many).batches(4)
    assert sampler(many).batches(3) != sampler(many, seed=8).batches(3)


def test_number_of_batches_is_the_same_in_every_epoch(many: SpeechDataset) -> None:
    batches = sampler(many)
    assert {len(batches.batches(epoch)) for epoch in range(10)} == {len(batches)}


@pytest.mark.parametrize("world_size", [2, 3, 40])
def test_ranks_share_the_epoch_with_the_same_number_of_steps(many: SpeechDataset, world_size: int) -> None:
    shards = [list(sampler(many, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(shard) for shard in shards}) == 1
    assert len(shards[0]) == len(sampler(many, world_size=world_size))
    seen = [item.row for shard in shards for batch in shard for item in batch]
    assert set(seen) == set(range(57))


def test_a_resumed_epoch_starts_where_it_was(many: SpeechDataset) -> None:
    whole = list(sampler(many, position=lambda: (2, 0)))
    assert list(sampler(many, position=lambda: (2, 5))) == whole[5:]


def test_validation_is_in_order_the_largest_batch_first(many: SpeechDataset) -> None:
    batches = list(sampler(many, shuffle=False))
    longest = [max(many.seconds[item.row] for item in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_an_utterance_longer_than_a_batch_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1: 2\.0 s do not fit in a batch of 1 s"):
        sampler(corpus(tmp_path, [0.5, 2.0]), max_batch_seconds=1.0)


def test_decoded_audio_is_cached_where_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, too_large = corpus(tmp_path, [0.5], cache_gb=1e-3), corpus(tmp_path, [0.5], cache_gb=1e-9)
    calls = []
    load = load_audio

    def counted(*args, **options):  # type: ignore[no-untyped-def]
        calls.append(args)
        return load(*args, **options)

    monkeypatch.setattr(batches, "load_audio", counted)
    first = [dataset.load(0) for dataset in (fits, too_large)]
    again = [dataset.load(0) for dataset in (fits, too_large)]
    assert len(calls) == 3
    for a, b in zip(first, again, strict=True):
        np.testing.assert_allclose(a, b, atol=1 / 32767)


def test_augmentation_is_a_function_of_seed_epoch_and_utterance(tmp_path: Path) -> None:
    rows = corpus(tmp_path, [0.5, 0.6]).utterances
    config = AugmentConfig(speed=[0.9, 1.1], gain_db=6.0)
    a, b = (SpeechDataset(rows, TOKENIZER, RATE, augment=config, seed=3) for _ in range(2))
    a[a.items(0)[0]]  # what was asked before does not matter
    for epoch in (1, 2):
        assert a.items(epoch) == b.items(epoch)
        np.testing.assert_array_equal(a[a.items(epoch)[1]].waveform, b[b.items(epoch)[1]].waveform)
    assert not np.array_equal(a[Item(1, 1, 1.0)].waveform, a[Item(1, 2, 1.0)].waveform)


def test_offset_and_duration_choose_a_part(tmp_path: Path) -> None:
    ramp = np.linspace(0, 0.5, RATE, dtype=np.float32)
    soundfile.write(tmp_path / "ramp.wav", ramp, RATE, subtype="FLOAT")
    row = Utterance("part", str(tmp_path / "ramp.wav"), 0.25, "A", offset=0.5)
    np.testing.assert_allclose(SpeechDataset([row], TOKENIZER, RATE).load(0), ramp[4000:6000])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loader_gives_the_sampler_s_batches(many: SpeechDataset, num_workers: int) -> None:
    batches = sampler(many)
    ids = [batch.ids for batch in batch_loader(batches, num_workers)]
    assert ids == [[str(item.row) for item in batch] for batch in batches.batches(0)]


def test_impossible_settings_are_named() -> None:
    from asr.data.batches import DataConfig

    with pytest.raises(ConfigError, match="max_batch_seconds"):
        replace(DataConfig(), max_batch_seconds=0.0)


def test_by_length_keeps_the_limit_after_padding() -> None:
    lengths = [5, 1, 9, 3, 3, 8, 20, 1]
    batches = by_length(lengths, 10)
    assert sorted(i for batch in batches for i in batch) == list(range(8))
    assert all(len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 10 for batch in batches)
    assert len(batches) == 5
