"""The committed demo corpus (asr/demo_data) is complete, sane and honest about who is heard where."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

FOLDER = Path(__file__).parents[1] / "asr" / "demo_data"
SPLITS = ("train", "dev", "test")
DIGITS = {"ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"}
SAMPLE_RATE = 16000


def rows(split: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def voice(speaker: str) -> str:
    """rms of rms-flite-2: the person or eSpeak variant; klatt and klatt2 are relatives, f1 and f2 are not."""
    name = speaker.split("-")[0]
    return name.rstrip("0123456789") if len(name) > 2 else name


def test_the_corpus_is_small_enough_to_be_committed() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 4_000_000


@pytest.mark.parametrize("split", SPLITS)
def test_manifest_rows_are_complete(split: str) -> None:
    for row in rows(split):
        assert list(row) == ["id", "audio_filepath", "offset", "duration", "text", "speaker"]
        assert row["audio_filepath"] == f"{split}/{row['speaker']}.opus"
        assert set(row["text"].split(" ")) <= DIGITS and 1 <= len(row["text"].split(" ")) <= 6


@pytest.mark.parametrize("split", SPLITS)
def test_every_digit_is_equally_often_said(split: str) -> None:
    counts = Counter(word for row in rows(split) for word in row["text"].split())
    assert set(counts) == DIGITS
    assert max(counts.values()) - min(counts.values()) <= 3


def test_ids_are_unique_and_long_strings_too() -> None:
    everything = [row for split in SPLITS for row in rows(split)]
    assert len({row["id"] for row in everything}) == len(everything)
    long = [row["text"] for row in everything if len(row["text"].split()) >= 4]
    assert len(set(long)) == len(long)


def test_no_voice_is_in_two_splits() -> None:
    voices_of = {split: {voice(row["speaker"]) for row in rows(split)} for split in SPLITS}
    assert min(len(voices) for voices in voices_of.values()) >= 5
    assert not voices_of["train"] & voices_of["dev"]
    assert not voices_of["train"] & voices_of["test"]
    assert not voices_of["dev"] & voices_of["test"]


def test_no_file_is_unused_and_no_recording_is_twice() -> None:
    listed = {FOLDER / row["audio_filepath"] for split in (*SPLITS, "sentences") for row in rows(split)}
    assert listed == set(FOLDER.rglob("*.opus"))
    assert len({file.read_bytes() for file in listed}) == len(listed)


def test_the_sentences_are_what_their_manifest_says() -> None:
    found = rows("sentences")
    assert 4 <= len(found) <= 6 and len({row["text"] for row in found}) == len(found)
    for row in found:
        info = soundfile.info(FOLDER / row["audio_filepath"])
        assert info.duration == pytest.approx(row["duration"], abs=0.01)
        assert 5 <= len(row["text"].split()) <= 12 and row["text"].isupper()


@pytest.mark.parametrize("split", SPLITS)
def test_utterances_fill_their_files_and_are_loud_enough(split: str) -> None:
    files: dict[str, list[dict]] = {}
    for row in rows(split):
        files.setdefault(row["audio_filepath"], []).append(row)
    for path, utterances in files.items():
        waveform, sample_rate = soundfile.read(FOLDER / path, dtype="float32")
        assert sample_rate == SAMPLE_RATE
        assert waveform.ndim == 1
        assert np.abs(waveform).max() < 0.9  # the codec clips nothing
        end = 0
        for row in utterances:  # end to end, without gap or overlap, to the sample
            start = round(row["offset"] * SAMPLE_RATE)
            assert start == end
            end = start + round(row["duration"] * SAMPLE_RATE)
            level = 10 * np.log10(np.mean(np.square(waveform[start:end])))
            assert -32 < level < -18, (row["id"], level)
            seconds_per_digit = row["duration"] / len(row["text"].split())
            assert 0.25 < seconds_per_digit < 1.8, (row["id"], seconds_per_digit)
        assert end == len(waveform)


def test_reading_from_an_offset_gives_the_same_samples() -> None:
    """A seek into Opus starts the decoder anew some frames earlier: equal to the rounding of 16 bits."""
    row = rows("test")[5]
    start, frames = (round(row[key] * SAMPLE_RATE) for key in ("offset", "duration"))
    whole, _ = soundfile.read(FOLDER / row["audio_filepath"], dtype="float32")
    part, _ = soundfile.read(FOLDER / row["audio_filepath"], start=start, frames=frames, dtype="float32")
    assert part.shape == (frames,)
    np.testing.assert_allclose(part, whole[start : start + frames], atol=2**-14)
