"""The language model's one file of arrays, which may come from a stranger: the compiled search walks through it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from asr.decoders.beam import BeamDecoder
from asr.decoders.settings import DecoderSettings, build_decoder
from asr.errors import ModelError
from asr.lm.language_model import LanguageModel
from asr.lm.ngram import FALLBACK, count, estimate, read_corpus
from asr.text.tokenizer import BLANK, CharacterTokenizer

TEXT = ["BAD CAB", "CAB BAD", "A BAD CAB", "DAB", "BAD DAB A", "CAB A BAD CAB"]
Arrays = dict[str, np.ndarray]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    model = estimate(count(read_corpus(text.split() for text in TEXT), 3), fallback=FALLBACK)
    LanguageModel.of(model).save(tmp_path / "lm.safetensors")
    return tmp_path / "lm.safetensors"


def change(file: Path, how: Callable[[Arrays], object]) -> Path:
    arrays = load_file(file)
    how(arrays)
    save_file(arrays, file)
    return file


def put(name: str, place: int, value: float) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(place, value)


def cast(name: str, dtype: type) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: arrays[name].astype(dtype)})


def spell(old: bytes, new: bytes) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update(words=np.frombuffer(arrays["words"].tobytes().replace(old, new), np.uint8))


def cut(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: arrays[name][:-1]})


def long_chain(arrays: Arrays, states: int) -> None:
    """States without arcs, each of which falls back on the one before: every step of a search would be that long."""
    old = len(arrays["backoff_state"])
    arrays["arc_start"] = np.append(arrays["arc_start"], np.full(states, arrays["arc_start"][-1]))
    arrays["backoff_state"] = np.append(arrays["backoff_state"], np.arange(old - 1, old + states - 1, dtype=np.int32))
    arrays["backoff_score"] = np.append(arrays["backoff_score"], np.zeros(states, np.float16))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda arrays: arrays.pop("arc_next"), "arc_next"),
        (cast("arc_label", np.int64), "arc_label: found I64 .*, wanted I32"),
        (cast("arc_start", np.int32), "arc_start: found I32 .*, wanted I64"),
        (cast("arc_score", np.int16), "arc_score: found I16 .*, wanted F16 or F32"),
        (lambda arrays: arrays.update(arc_next=arrays["arc_next"][None]), r"arc_next: found I32 of the shape \[1, "),
        (cut("arc_label"), "arc_score: found .* values, wanted"),
        (cut("backoff_score"), "backoff_score: found .* values, wanted"),
        (cut("arc_start"), "arc_start: found .* values, wanted"),
        (lambda arrays: arrays.update(arc_start=arrays["arc_start"][:0]), "arc_start: found 0 values"),
        (put("arc_start", 0, 1), "arc_start: found .*wanted 0 first"),
        (put("arc_start", -1, 1 << 40), "arc_start: found .* last"),
        (put("arc_start", 3, 1 << 40), "arc_start: .*falls"),
        (put("arc_start", 3, -1), "arc_start: .*falls"),
        (put("arc_label", 1, 1 << 30), "arc_label: found 1073741824 at 1, wanted 0 to 6"),
        (put("arc_label", 1, 0), "state 0 .*every word"),
        (put("arc_label", -1, 1 << 30), "arc_label: found 1073741824 .*, wanted 0 to 6"),
        (put("arc_label", -1, -1), "arc_label: found -1 .*, wanted 0 to 6"),
        (put("arc_label", 8, 6), "arc_label: .*sorted"),
        (put("arc_next", 5, 1 << 30), "arc_next: found 1073741824 .*wanted 0 to"),
        (put("arc_next", 5, -7), "arc_next: found -7 .*wanted 0 to"),
        (put("backoff_state", 5, -1), "backoff_state: found -1"),
        (put("backoff_state", 5, 7), "backoff_state: found 7 .*a shorter context"),
        (put("backoff_state", 0, 1), "backoff_state: found 1 .*state 0"),
        (lambda arrays: long_chain(arrays, 30), "backoff_state: found a context of more than 20 back-offs"),
        (put("arc_score", 9, np.nan), "arc_score: found nan"),
        (put("arc_score", 9, -np.inf), "arc_score: found -inf"),
        (put("arc_score", 9, 50.0), "arc_score: found 50.0"),
        (put("backoff_score", 2, np.nan), "backoff_score: found nan"),
        (put("backoff_score", 2, np.inf), "backoff_score: found inf"),
        (spell(b"<s>", b"<t>"), "words: found <unk>, <t>, </s> first"),
        (spell(b"BAD\n", b"BADE"), "arc_label: found 6 at 6, wanted 0 to 5"),
        (spell(b"BAD\n", b"B\nD\n"), "every word"),
        (spell(b"BAD\n", b"CAB\n"), "words: .*'CAB' twice"),
        (spell(b"BAD", b"\xff\xfe\xfd"), "utf-8"),
        (lambda arrays: arrays.update(words=arrays["words"][:0]), "words: found nothing"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_walked_through_are_refused(
    file: Path, how: Callable[[Arrays], object], message: str
) -> None:
    with pytest.raises(ModelError, match=f"lm.safetensors: .*{message}"):
        LanguageModel.load(change(file, how))


def test_what_was_saved_is_taken_back(file: Path) -> None:
    model = LanguageModel.load(file)
    assert model.words[:3] == ["<unk>", "<s>", "</s>"] and set(model.words[3:]) == {"A", "BAD", "CAB", "DAB"}
    decoder = build_decoder(CharacterTokenizer([BLANK, *" ABCD"]), 0.04, DecoderSettings(lm=str(file)))
    assert isinstance(decoder, BeamDecoder)
    assert LanguageModel.load(change(file, cast("arc_score", np.float32))).words == model.words
