"""The rows of a run: what cannot be trained on, validated or scored is found before the start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data import manifest
from asr.data.batches import Item, collate
from asr.data.manifest import Utterance
from asr.errors import ConfigError, DataError, TextError
from asr.model.ctc_model import CTCModel
from asr.text import build_tokenizer
from asr.text.tokenizer import TokenizerConfig
from asr.training.curves import read_metrics
from asr.training.recipe import recipe_from
from asr.training.rows import Rows, split_usable
from asr.training.run import check, prepare, speech_module, train
from tests.tones import RATE, SENTENCES, brief_recipe, tone_recipe, tone_waveform, write_tones


def test_utterances_that_ctc_cannot_align_are_left_out_with_the_reason(tmp_path: Path) -> None:
    recipe = recipe_from(tone_recipe(tmp_path), "test")
    model = CTCModel(recipe.model, build_tokenizer(TokenizerConfig(), ["ABC"]))
    # 0.1 s are 11 feature frames and 6 after subsampling.
    rows = [
        Utterance("fits", "x", 0.1, "ABCABC"),
        Utterance("too long", "x", 0.1, "ABCABCA"),
        Utterance("repeats", "x", 0.1, "AABCAB"),
        Utterance("empty", "x", 0.1, ""),
        Utterance("endless", "x", 100.0, "A"),
    ]
    noise = [Utterance("noise", "x", 5.0), Utterance("long noise", "x", 200.0)]
    usable, excluded = split_usable(Rows(rows, [], [], noise), model, recipe.data)
    assert [row.id for row in usable] == ["fits", "noise"]
    reasons = {row.id: reason for row, reason in excluded}
    assert "6 frames" in reasons["too long"] and "needs 7" in reasons["too long"]
    assert "needs 7" in reasons["repeats"]
    assert reasons["empty"] == "no text; if nobody speaks in it, data.non_speech is where it belongs"
    assert "100.00 s" in reasons["endless"] and "200.00 s" in reasons["long noise"]
    with pytest.raises(DataError, match="no training utterance"):
        split_usable(Rows(rows[1:], [], [], noise), model, recipe.data)


def write_manifest(folder: Path, name: str, rows: list[Utterance]) -> str:
    manifest.write(folder / name, rows)
    return str(folder / name)


def test_a_validation_row_that_ctc_cannot_align_is_told_and_harms_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = brief_recipe(tmp_path)
    soundfile.write(tmp_path / "short.wav", tone_waveform("A")[: RATE // 10], RATE)
    row = Utterance("short", str(tmp_path / "short.wav"), 0.1, SENTENCES[0])
    values["data"]["valid"] += [write_manifest(tmp_path, "short.jsonl", [row])]
    values["average_best"] = 1
    result = train(recipe_from(values, "test"))
    assert result is not None and len(result.valid.ids) == 5
    assert "1 of 5 validation utterances are too short for their text" in capsys.readouterr().out
    excluded = (tmp_path / "run" / "excluded.tsv").read_text(encoding="utf-8")
    assert excluded == "short\tvalidation: no loss, errors counted: 6 frames for a text that needs 7\n"
    metrics = read_metrics(tmp_path / "run")
    losses, ranks = (list(metrics[name].values()) for name in ("valid_loss", "valid_rank"))
    assert all(0 < value < 20 for value in losses) and all(0 < value < 2 for value in ranks)
    # The network still emits nothing but blanks, and so the loss alone tells that the last epoch is the best.
    assert losses == sorted(losses, reverse=True) and set(metrics["valid_wer"].values()) == {1.0}
    assert [path.name[:8] for path in (tmp_path / "run" / "checkpoints").glob("epoch*")] == ["epoch002"]


def test_validation_rows_of_which_none_can_be_aligned(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path)
    row = Utterance("short", str(tmp_path / "tones0.wav"), 0.1, SENTENCES[0])
    values["data"]["valid"] = [write_manifest(tmp_path, "short.jsonl", [row])]
    with pytest.raises(DataError, match=r"no validation utterance can be aligned; the first: short: 6 frames"):
        check(recipe_from(values, "test"))


def test_recipes_without_manifests_say_which(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.train: no manifest"):
        train(recipe_from({**tone_recipe(tmp_path), "data": {}}, "test"))


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_the_start_looks_at_all_that_the_end_needs(tmp_path: Path, split: str) -> None:
    values = brief_recipe(tmp_path)
    good = manifest.read(write_tones(tmp_path, name=split))
    (tmp_path / "noise.wav").write_bytes(b"no sound")
    bad = [
        replace(good[0], audio_filepath=str(tmp_path / "gone.wav")),
        replace(good[1], audio_filepath=str(tmp_path / "noise.wav")),
        replace(good[2], offset=1.0),
        good[3],
    ]
    values["data"][split] = [write_manifest(tmp_path, f"{split}.jsonl", bad)]
    for function in (check, train):
        with pytest.raises(DataError) as caught:
            function(recipe_from(values, "test"))
        lines = str(caught.value).splitlines()
        assert lines[0] == "3 clips cannot be used:"
        assert lines[1].startswith(f"  data.{split}: {split}0: ") and "gone.wav: no such file" in lines[1]
        assert "noise.wav" in lines[2]
        assert "ends at 2.28 s, its file at 1.28 s" in lines[3]
    values["data"][split] = [write_manifest(tmp_path, "none.jsonl", [])]
    with pytest.raises(DataError, match=rf"data\.{split}: no utterances in .*none\.jsonl"):
        check(recipe_from(values, "test"))
    assert not (tmp_path / "run").exists()


def test_test_texts_that_phones_cannot_say_are_found_at_the_start(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path)
    (tmp_path / "words.dict").write_text("BAD  B AE D\nCAB  K AE B\n", encoding="utf-8")
    values["tokenizer"] = {"kind": "phones", "lexicon": [str(tmp_path / "words.dict")]}
    rows = manifest.read(values["data"]["train"][0])
    values["data"]["train"] = values["data"]["valid"] = [write_manifest(tmp_path, "bad_cab.jsonl", rows[:1])]
    assert "1 validation utterances, 0 test" in check(recipe_from(values, "test"))
    values["data"]["test"] = [write_manifest(tmp_path, "face.jsonl", rows[1:2])]
    with pytest.raises(TextError, match="no pronunciation of FACE, A, BEE"):
        check(recipe_from(values, "test"))


def test_where_nobody_speaks_nothing_is_learnt_to_be_said(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path)
    values["data"]["augment"] = {"join": 0.5}
    values["spec_augment"] = {"freq_masks": 0, "time_masks": 0}
    rng = np.random.default_rng(0)
    for i in range(2):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(size=RATE) * 0.1, RATE)
    rows = [Utterance(f"noise {i}", str(tmp_path / f"{i}.wav"), 1.0) for i in range(2)]
    values["data"]["non_speech"] = [write_manifest(tmp_path, "noise.jsonl", rows)]
    recipe = recipe_from(values, "test")
    run = prepare(recipe)
    assert [row.id for row in run.train_set.utterances][-2:] == ["noise 0", "noise 1"]
    assert run.train_set.tokens[-2:] == [[], []] and len(run.valid_set) == 4
    first, last = 0, len(run.train_set) - 1
    spoken = run.train_set[Item(first, 0, 1.0)]
    joined = [run.train_set[Item(last, 0, 1.0, (first,))], run.train_set[Item(first, 0, 1.0, (last, last - 1))]]
    assert all((example.tokens, example.reference) == (spoken.tokens, spoken.reference) for example in joined)
    module = speech_module(recipe, run)
    # Of noise alone the loss is -ln p(blanks), whatever the number of tokens that there are not.
    batch = collate([run.train_set[Item(last, 0, 1.0)]])
    log_probs, num_frames = module.model.eval()(batch.waveforms, batch.num_samples)
    blanks = -log_probs[0, : int(num_frames[0]), 0].sum()
    assert module.loss(batch, (0,)).item() == pytest.approx(blanks.item(), rel=1e-5)
    assert train(recipe) is not None


def predictions(folder: Path, *values: tuple[str, float | None]) -> str:
    """A manifest of the four sentences, each with what a recogniser wrote of it and how sure it was."""
    rows = manifest.read(write_tones(folder))
    changed = [replace(row, text="", pred_text=t, confidence=c) for row, (t, c) in zip(rows, values, strict=True)]
    return write_manifest(folder, "predicted.jsonl", changed)


def test_what_a_recogniser_was_sure_of_is_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = brief_recipe(tmp_path, max_epochs=1)
    guesses = predictions(tmp_path, ("BAD CAD", 0.9), ("FACE", 0.8999), ("BEEF", None), ("", 0.0))
    values["data"]["train"] += [guesses]
    recipe = recipe_from(values, "test")
    told = (
        "of 3 training utterances with `pred_text` and no `text`, 1 (0.00 h) are of confidence 0.9 and more, and "
        "taken; 2 are left out\n"
    )
    assert "5 training utterances, 0.00 h (3 left out)" in check(recipe) and capsys.readouterr().out == told
    run = prepare(recipe)
    assert run.train_set.references == [*SENTENCES, "BAD CAD"]
    assert train(recipe) is not None
    assert told in capsys.readouterr().out
    excluded = (tmp_path / "run" / "excluded.tsv").read_text(encoding="utf-8").splitlines()
    assert excluded == [
        "tones1#2\tpred_text of confidence 0.8999, wanted 0.9 (min_confidence)",
        "tones2#2\tpred_text of confidence unknown, wanted 0.9 (min_confidence)",
        "tones3#2\tno text; if nobody speaks in it, data.non_speech is where it belongs",
    ]
    assert f"checked by nobody: {told.strip()}." in (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    everything = recipe_from({**values, "data": values["data"] | {"min_confidence": 0.0}}, "test")
    assert prepare(everything).train_set.references == [*SENTENCES, "BAD CAD", "FACE", "BEEF"]


def test_what_a_recogniser_wrote_is_no_reference(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path)
    guesses = predictions(tmp_path, ("BAD CAD", 1.0), ("FACE", 1.0), ("BEEF", None), ("", 0.0))
    for split in ("valid", "test"):
        data = {**values["data"], split: [guesses]}
        with pytest.raises(DataError, match=rf"data\.{split}: 3 rows have `pred_text` and no `text`, tones0 \("):
            check(recipe_from({**values, "data": data}, "test"))


@pytest.mark.parametrize("kind", ["characters", "phones", "subwords"])
@pytest.mark.parametrize("crf", [0.0, 0.9])
def test_non_speech_is_trained_with_all_tokens_and_losses(
    tmp_path: Path, kind: str, crf: float, capsys: pytest.CaptureFixture[str]
) -> None:
    values = brief_recipe(tmp_path, max_epochs=1)
    hiss = 0.1 * np.random.default_rng(0).standard_normal(6 * RATE)
    rows = []
    for name, waveform in {"hiss": hiss[:RATE], "zeros": 0 * hiss[:RATE], "tick": hiss[:400], "long": hiss}.items():
        soundfile.write(tmp_path / f"{name}.wav", waveform, RATE)
        rows.append(Utterance(name, str(tmp_path / f"{name}.wav"), len(waveform) / RATE))
    values["data"] |= {"non_speech": [write_manifest(tmp_path, "nobody.jsonl", rows)], "max_duration": 3.0}
    values["data"]["augment"] |= {"noise": {"folder": str(tmp_path), "probability": 1.0}}
    (tmp_path / "words.dict").write_text(
        "BAD  B AE D\nCAB  K AE B\nFACE  F EY S\nA  AH\nBEE  B IY\nDEAD  D EH D\nBEEF  B IY F\nHIDE  HH AY D\n"
        "JADE  JH EY D\n", encoding="utf-8",
    )  # fmt: skip
    lexicon = [str(tmp_path / "words.dict")] if kind == "phones" else []
    values |= {"tokenizer": {"kind": kind, "size": 20, "lexicon": lexicon}, "loss": {"crf": crf}}
    recipe = recipe_from(values, "test")
    assert "6 training utterances, 0.00 h (2 without speech, 2 left out)" in check(recipe)
    result = train(recipe)
    assert result is not None and len(result.valid.ids) == 4
    assert "nobody.jsonl" in (result.model / "README.md").read_text(encoding="utf-8")
    assert "left out 2 of 8 training utterances" in capsys.readouterr().out
    excluded = (tmp_path / "run" / "excluded.tsv").read_text(encoding="utf-8")
    assert excluded == "tick\t0.05 s: not in 0.1 to 3 s\nlong\t6.00 s: not in 0.1 to 3 s\n"
    losses = read_metrics(tmp_path / "run")["train_loss"]
    assert all(0 < loss < 1e4 for loss in losses.values())


def test_what_has_a_text_is_speech(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path)
    values["data"]["non_speech"] = values["data"]["train"]
    with pytest.raises(DataError, match=r"data.non_speech: 4 rows have a text, .*first: '.*wanted none.*data.train"):
        check(recipe_from(values, "test"))


def test_texts_are_written_as_the_training_texts_are(tmp_path: Path) -> None:
    values = brief_recipe(tmp_path)
    rows = [replace(row, text=row.text.lower() + ".") for row in manifest.read(values["data"]["valid"][0])]
    values["data"]["valid"] = [write_manifest(tmp_path, "lower.jsonl", rows)]
    run = prepare(recipe_from(values, "test"))
    assert run.model.tokenizer.text_scheme == "english"
    assert [row.text for row in run.rows.valid] == [row.text.upper().rstrip(".") for row in rows]
    values["data"]["train"] = values["data"]["valid"]
    values["tokenizer"] = {"text_scheme": "english"}
    run = prepare(recipe_from(values, "test"))
    assert all(row.text.isupper() for row in run.rows.train) and run.model.tokenizer.text_scheme == "english"
    bad = [replace(rows[0], text="catch 22")]
    values["data"]["train"] = [write_manifest(tmp_path, "bad.jsonl", bad)]
    with pytest.raises(TextError, match=r"catch 22.*found '2'.*the scheme english takes"):
        prepare(recipe_from(values, "test"))
