"""Subwords: there and back, sizes that the text cannot give, and loading from the model folder."""

import logging
from pathlib import Path

import pytest

from asr.errors import ModelError, TextError
from asr.text import build_tokenizer, load_tokenizer
from asr.text.subwords import SubwordTokenizer
from asr.text.tokenizer import Tokenizer, TokenizerConfig

TEXTS = ["THE CAT SAT ON THE MAT", "THE RAT SAT THERE", "THAT CAT AND THIS RAT", "CATS AND RATS"] * 3


@pytest.fixture
def subwords() -> Tokenizer:
    return build_tokenizer(TokenizerConfig(kind="subwords", size=17), TEXTS)


def test_frequent_words_become_pieces(subwords: Tokenizer) -> None:
    assert subwords.vocab_size == 18
    assert subwords.tokens[0] == "<blank>"
    assert "▁THE" in subwords.tokens
    assert "<unk>" not in subwords.tokens
    assert len(subwords.encode("THE")) == 1


def test_there_and_back(subwords: Tokenizer) -> None:
    for text in [*TEXTS, " A  MAD\tDOD ".replace("O", "I"), ""]:
        ids = subwords.encode(text)
        assert 0 not in ids
        assert subwords.decode(ids) == subwords.reference(text) == " ".join(text.split())


def test_words_know_their_ids(subwords: Tokenizer) -> None:
    ids = subwords.encode("CATS SAT")
    (first, start, middle), (second, again, end) = subwords.words(ids)
    assert (first, second, start, middle, end) == ("CATS", "SAT", 0, again, len(ids))
    mark, letter = subwords.ids["▁"], subwords.ids["A"]
    # what a network may emit: no mark in front, or nothing after one
    assert subwords.words([letter, mark, mark, letter, mark]) == [("A", 0, 1), ("A", 2, 4)]


def test_the_same_texts_give_the_same_pieces(subwords: Tokenizer) -> None:
    assert SubwordTokenizer.build(TEXTS, 17).tokens == subwords.tokens


def test_too_little_text_gives_fewer_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tokenizer = SubwordTokenizer.build(TEXTS, 5000)
    assert 17 < tokenizer.vocab_size < 100
    assert (
        f"tokenizer.size: 5000 wanted, but the training text has no more than {tokenizer.vocab_size - 1}" in caplog.text
    )
    assert tokenizer.reference(TEXTS[0]) == TEXTS[0]


def test_too_small_a_size_is_an_error() -> None:
    with pytest.raises(TextError, match="tokenizer.size: found 4, wanted at least 5: each of the text's 4 characters"):
        SubwordTokenizer.build(["AB CD"], 4)
    assert SubwordTokenizer.build(["AB CD"], 5).vocab_size == 6
    with pytest.raises(TextError, match="empty"):
        SubwordTokenizer.build(["", " "], 10)


def test_unknown_characters_are_named_or_skipped(subwords: Tokenizer) -> None:
    with pytest.raises(TextError, match=r"'THE FOX': .*'F' \(U\+0046 LATIN CAPITAL LETTER F\), 'X'"):
        subwords.encode("THE FOX")
    assert SubwordTokenizer.build(TEXTS, 17, unknown="skip").reference("X THE XCAT") == "THE CAT"


def test_long_texts_are_not_left_out() -> None:
    tokenizer = SubwordTokenizer.build([" ".join(["AB"] * 5000) + " Z"], 4)
    assert tokenizer.reference("Z") == "Z"


def test_saved_and_loaded(subwords: Tokenizer, tmp_path: Path) -> None:
    subwords.save(tmp_path)
    loaded = load_tokenizer(tmp_path, subwords.to_config())
    assert loaded.tokens == subwords.tokens
    assert [loaded.encode(text) for text in TEXTS] == [subwords.encode(text) for text in TEXTS]
    loaded.save(tmp_path / "..")  # and saved again from there
    assert (tmp_path.parent / "sentencepiece.model").read_bytes() == (tmp_path / "sentencepiece.model").read_bytes()


def test_decoding_needs_tokens_alone(subwords: Tokenizer, tmp_path: Path) -> None:
    subwords.save(tmp_path)
    ids = subwords.encode("CATS SAT")
    model = tmp_path / "sentencepiece.model"
    model.unlink()
    loaded = load_tokenizer(tmp_path, subwords.to_config())
    assert loaded.decode(ids) == "CATS SAT"
    with pytest.raises(ModelError, match=r"sentencepiece.model: cannot be read: .*no text can be encoded"):
        loaded.encode("CATS")
    model.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a model of sentencepiece"):
        load_tokenizer(tmp_path, subwords.to_config()).encode("CATS")


def test_another_models_pieces_are_noticed(subwords: Tokenizer, tmp_path: Path) -> None:
    subwords.save(tmp_path)
    other = SubwordTokenizer.build(TEXTS, 16)
    (tmp_path / "sentencepiece.model").write_bytes(other.model)
    with pytest.raises(ModelError, match="not the tokens of tokens.txt"):
        load_tokenizer(tmp_path, subwords.to_config()).encode("CATS")
