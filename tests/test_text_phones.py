"""Lexicons in two formats, the phone tokenizer with and without them, and guessed pronunciations."""

import builtins
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr.errors import ModelError, TextError
from asr.text import build_tokenizer, load_tokenizer, phones
from asr.text.normalise import normalise
from asr.text.phones import PHONES, PhoneTokenizer, guess, read_lexicon, read_lexicons, write_lexicon
from asr.text.tokenizer import TokenizerConfig

CMUDICT = """;;; a comment
hello HH AH0 L OW1
hello(2) HH EH0 L OW1
world W ER1 L D
aalborg AO1 L B AO0 R G # place, danish
'em AH0 M
read R EH1 D
read(2) R IY1 D
read(3) R EH2 D
"""
KALDI = "<UNK>\tSPN\n!SIL SIL\nHELLO\tHH EH0 L OW1\nGOOSE\tG UW1 S\nGOOSE\tG UH0 S\n\n"


@pytest.fixture
def cmudict(tmp_path: Path) -> Path:
    path = tmp_path / "cmudict.dict"
    path.write_text(CMUDICT, encoding="utf-8")
    return path


@pytest.fixture
def kaldi(tmp_path: Path) -> Path:
    path = tmp_path / "kaldi.txt"
    path.write_text(KALDI, encoding="utf-8")
    return path


@pytest.fixture
def tokenizer(cmudict: Path, kaldi: Path) -> PhoneTokenizer:
    return PhoneTokenizer.build(["HELLO GOOSE"], [cmudict, kaldi])


def test_there_are_39_phones() -> None:
    assert len(set(PHONES)) == len(PHONES) == 39


def test_cmudict_format(cmudict: Path) -> None:
    lexicon = read_lexicon(cmudict)
    assert sorted(lexicon) == ["'EM", "AALBORG", "HELLO", "READ", "WORLD"]
    assert lexicon["HELLO"] == [("HH", "AH", "L", "OW"), ("HH", "EH", "L", "OW")]
    assert lexicon["AALBORG"] == [("AO", "L", "B", "AO", "R", "G")]
    assert lexicon["READ"] == [("R", "EH", "D"), ("R", "IY", "D")]  # the third differs from the first in stress alone


def test_kaldi_format(kaldi: Path) -> None:
    assert read_lexicon(kaldi) == {
        "HELLO": [("HH", "EH", "L", "OW")],
        "GOOSE": [("G", "UW", "S"), ("G", "UH", "S")],
    }


def test_the_first_lexicon_that_has_a_word_wins(cmudict: Path, kaldi: Path) -> None:
    assert read_lexicons([cmudict, kaldi])["HELLO"] == [("HH", "AH", "L", "OW"), ("HH", "EH", "L", "OW")]
    assert read_lexicons([kaldi, cmudict])["HELLO"] == [("HH", "EH", "L", "OW")]
    assert len(read_lexicons([kaldi, cmudict])) == 6


def test_written_and_read_again(cmudict: Path, kaldi: Path, tmp_path: Path) -> None:
    lexicon = read_lexicons([cmudict, kaldi])
    write_lexicon(tmp_path / "lexicon.txt", lexicon)
    assert read_lexicon(tmp_path / "lexicon.txt") == lexicon


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path) -> None:
    (tmp_path / "bom.txt").write_text("CAT K AE T\nDOG D AO G\n", encoding="utf-8-sig")
    assert sorted(read_lexicon(tmp_path / "bom.txt")) == ["CAT", "DOG"]


def test_words_are_found_whatever_their_case_and_form(tmp_path: Path) -> None:
    (tmp_path / "german.txt").write_text("Stra\u00dfe S\nMASSE A\nMa\u00dfe B\ne\u0301te\u0301 C\n", encoding="utf-8")
    tokenizer = PhoneTokenizer.build(["MASSE"], [tmp_path / "german.txt"])
    texts = ["straße", normalise("Straße", "basic"), "MASSE", normalise("Maße", "basic"), "\u00e9t\u00e9"]
    assert [tokenizer.reference(text) for text in texts] == ["S", "S", "A", "B", "C"]


def test_phones_may_have_digits_for_names(tmp_path: Path) -> None:
    """X-SAMPA writes eux as 2, oeuf as 9f."""
    (tmp_path / "french.txt").write_text("eux 2\noeuf 9 f\nun 9~\njeu Z 2\n", encoding="utf-8")
    assert read_lexicon(tmp_path / "french.txt")["OEUF"] == [("9", "f")]
    tokenizer = PhoneTokenizer.build(["EUX"], [tmp_path / "french.txt"])
    assert tokenizer.tokens == ["<blank>", "2", "9", "9~", "Z", "f"]


def test_a_model_s_lexicon_has_the_model_s_phones(tokenizer: PhoneTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / "lexicon.txt").write_text("HELLO HH EH L OW\nGOOSE G UU S\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"lexicon\.txt: found the phones UU, which are not among the model's tokens"):
        load_tokenizer(tmp_path, tokenizer.to_config()).encode("HELLO")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A 1.0 AH\n", "bad.txt:1: found 'A 1.0 AH'"),
        (b"A 1e-05 AH\n", "bad.txt:1: found 'A 1e-05 AH'"),
        (b"A AH\nB\n", "(?s)bad.txt:2: found 'B'.*Wanted a word and its phones"),
        (b"A 0.5 AH\n", "bad.txt:1: found 'A 0.5 AH'"),
        (b"".join(b"W%d\n" % k for k in range(30)), "(?s)bad.txt:20: .*and 10 more"),
        (b"\n;;; nothing\n", "has no words"),
        (b"D\xc9J\xc0 D EY\n", "not in UTF-8.*iconv"),
        (None, "cannot be read: No such file"),
    ],
)
def test_bad_lexicons(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TextError, match=message):
        read_lexicon(path)


def test_a_text_becomes_phones(tokenizer: PhoneTokenizer) -> None:
    assert tokenizer.tokens == ["<blank>", *PHONES]
    ids = tokenizer.encode("hello  GOOSE")
    assert tokenizer.reference("Hello goose") == tokenizer.decode(ids) == "HH AH L OW G UW S"
    assert tokenizer.words(ids)[:2] == [("HH", 0, 1), ("AH", 1, 2)]
    assert tokenizer.encode("") == [] and tokenizer.decode([]) == ""


def test_words_without_pronunciation_are_named_or_skipped(cmudict: Path) -> None:
    with pytest.raises(TextError, match="no pronunciation of ELEPHANT, TAI. Add them.*tokenizer.lexicon.*g2p.*skip"):
        PhoneTokenizer.build(["TAI ELEPHANT HELLO", "TAI"], [cmudict])
    tokenizer = PhoneTokenizer.build(["TAI HELLO"], [cmudict], unknown="skip")
    assert tokenizer.reference("WORLD TAI") == "W ER L D"
    with pytest.raises(TextError, match="no words that can be said"):
        PhoneTokenizer.build(["TAI"], [cmudict], unknown="skip")
    with pytest.raises(TextError, match="no words that can be said"):
        PhoneTokenizer.build([""], [cmudict])


def test_another_languages_phones(tmp_path: Path) -> None:
    path = tmp_path / "polish.txt"
    path.write_text("kot k o t\nnie ni e1\n", encoding="utf-8")
    tokenizer = build_tokenizer(TokenizerConfig(kind="phones", lexicon=[str(path)]), ["kot nie"])
    assert tokenizer.tokens == ["<blank>", "e1", "k", "ni", "o", "t"]
    with pytest.raises(TextError, match="English has not: e1 k ni o t.*g2p to false"):
        PhoneTokenizer.build(["kot"], [path], g2p=True)


def test_saved_and_loaded_without_the_lexicons(tokenizer: PhoneTokenizer, cmudict: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer.save(folder)
    cmudict.unlink()
    loaded = load_tokenizer(folder, tokenizer.to_config())
    assert loaded.reference("hello world") == "HH AH L OW W ER L D"  # WORLD was in no training text
    assert isinstance(loaded, PhoneTokenizer) and loaded.lexicon == tokenizer.lexicon
    assert loaded.to_config() == {"kind": "phones", "unknown": "error", "text_scheme": "none", "g2p": False}


def test_decoding_needs_tokens_alone(tokenizer: PhoneTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / "lexicon.txt").unlink()
    loaded = load_tokenizer(tmp_path, tokenizer.to_config())
    assert loaded.decode(tokenizer.encode("GOOSE")) == "G UW S"
    with pytest.raises(ModelError, match=r"no text can be turned into phones: .*lexicon.txt"):
        loaded.encode("GOOSE")


def test_real_lexicons(mirror: Path) -> None:
    started = time.process_time()
    cmudict = read_lexicon(mirror / "text" / "cmudict.dict")
    assert time.process_time() - started < 10  # about 0.5 s
    own = read_lexicon(mirror / "speechocean762" / "resource" / "lexicon.txt")
    assert len(cmudict) > 125_000 and len(own) > 2_500
    for lexicon in (cmudict, own):
        assert {phone for pronunciation in lexicon.values() for one in pronunciation for phone in one} == set(PHONES)
    lines = (mirror / "speechocean762" / "train" / "text").read_text(encoding="utf-8").splitlines()
    texts = [line.split(maxsplit=1)[1] for line in lines]
    tokenizer = PhoneTokenizer.build(texts, [mirror / "speechocean762" / "resource" / "lexicon.txt"])
    assert tokenizer.reference(texts[0]) == "W IY K AO L IH T B EH R"


# ---------------------------------------------------------------------------------------------------------- guessing


@pytest.fixture
def espeak() -> Iterator[None]:
    pytest.importorskip("phonemizer", reason="guessing needs the extra g2p")
    pytest.importorskip("espeakng_loader", reason="guessing needs the extra g2p")
    yield


@pytest.mark.usefixtures("espeak")
def test_words_are_guessed() -> None:
    assert guess(["HELLO", "GOOSE", "HURRY", "QUEST", "THIS", "BOTTLE"]) == {
        "HELLO": [("HH", "AH", "L", "OW")],
        "GOOSE": [("G", "UW", "S")],
        "HURRY": [("HH", "ER", "IY")],
        "QUEST": [("K", "W", "EH", "S", "T")],
        "THIS": [("DH", "IH", "S")],
        "BOTTLE": [("B", "AA", "T", "AH", "L")],
    }
    assert guess(["UTRECHT", "CROISSANT", "JALAPENO"]) == {  # sounds that English words have from other languages
        "UTRECHT": [("Y", "UW", "T", "R", "EH", "HH", "T")],
        "CROISSANT": [("K", "W", "AA", "S", "AA", "N")],
        "JALAPENO": [("HH", "AA", "L", "AH", "P", "EY", "N", "Y", "OW")],
    }
    assert guess(["'"]) == {} == guess([])


@pytest.mark.usefixtures("espeak")
def test_guessed_words_are_saved_with_the_model(kaldi: Path, tmp_path: Path) -> None:
    tokenizer = PhoneTokenizer.build(["HELLO QUEST"], [kaldi], g2p=True)
    assert tokenizer.reference("HELLO QUEST") == "HH EH L OW K W EH S T"  # the lexicon goes before the guess
    tokenizer.save(tmp_path)
    known = load_tokenizer(tmp_path, {"kind": "phones"})  # without g2p
    assert known.reference("QUEST") == "K W EH S T"
    with pytest.raises(TextError, match="no pronunciation of BOTTLE"):
        known.encode("BOTTLE")
    assert load_tokenizer(tmp_path, tokenizer.to_config()).reference("BOTTLE") == "B AA T AH L"


@pytest.mark.usefixtures("espeak")
def test_english_without_any_lexicon() -> None:
    tokenizer = build_tokenizer(TokenizerConfig(kind="phones", g2p=True), ["THIS QUEST"])
    assert tokenizer.reference("THIS QUEST") == "DH IH S K W EH S T"


@pytest.mark.usefixtures("espeak")
def test_guesses_are_near_cmudict(mirror: Path) -> None:
    from asr.evaluation.scoring import ErrorCounts, count_errors

    lexicon = read_lexicon(mirror / "text" / "cmudict.dict")
    words = [word for word in sorted(lexicon) if word.isalpha()][::100]
    guessed = guess(words)
    assert len(guessed) > 0.99 * len(words) > 1000
    errors = ErrorCounts()
    for word, (pronunciation,) in guessed.items():
        ways = [count_errors([" ".join(known)], [" ".join(pronunciation)]) for known in lexicon[word]]
        errors += min(ways, key=lambda counts: counts.rate)
    assert errors.rate < 0.12


def test_without_the_library_the_words_and_the_remedy_are_told(cmudict: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] in ("phonemizer", "espeakng_loader"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **options)

    phones._espeak.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        TextError,
        match=r"no pronunciation of TAI; .*espeakng_loader is wanted and not installed: pip install 'asr\[g2p\]'",
    ):
        PhoneTokenizer.build(["TAI"], [cmudict], g2p=True)
    assert PhoneTokenizer.build(["HELLO"], [cmudict], g2p=True).reference("HELLO") == "HH AH L OW"
