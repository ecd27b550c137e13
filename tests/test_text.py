"""Normalisation schemes, the character tokenizer, and what all tokenizers share."""

import random
import unicodedata
from pathlib import Path

import pytest

from asr.errors import ConfigError, ModelError, TextError
from asr.text import build_tokenizer, load_tokenizer
from asr.text.normalise import SCHEMES, capitals, narrowest_scheme, normalise, normalise_what_can_be
from asr.text.tokenizer import CharacterTokenizer, TokenizerConfig


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello, world!", "HELLO WORLD"),
        ("  a\t b\n", "A B"),
        ("It’s fine, isn`t it?", "IT'S FINE ISN'T IT"),
        ("Anne-Marie — well…", "ANNE MARIE WELL"),
        ("Café Brontë, Æsop; Ørsted: naïve", "CAFE BRONTE AESOP ORSTED NAIVE"),
        ("Straße ﬁn", "STRASSE FIN"),
        ("Salt & pepper", "SALT AND PEPPER"),
        ("co\u00adop zero\u200bwidth", "COOP ZEROWIDTH"),
        ("He said, 'Don't do it!' and left.", "HE SAID DON'T DO IT AND LEFT"),
        ("‘Hello’", "HELLO"),
        ("'one 'two' three'.", "ONE TWO THREE"),
        ("'Tis the boys' ball.", "TIS THE BOYS BALL"),  # looks like a quotation; nothing in the text tells
        ("'TIS THE BOYS' BALL", "'TIS THE BOYS' BALL"),  # published normalised: kept
        ("'Tis so.", "'TIS SO"),
        ("ROCK ' ROLL", "ROCK ROLL"),
        ("«Oui», „ja“ (no) [yes] and/or", "OUI JA NO YES AND OR"),
        ("", ""),
        (" - ", ""),
    ],
)
def test_english(text: str, wanted: str) -> None:
    assert normalise(text, "english") == wanted


@pytest.mark.parametrize(
    "text", ["7 days", "5 %", "100%", "a@b", "#1", "3½", "漢字", "Привет", "$", "1+1=2", "½", "🙂"]
)
def test_english_does_not_guess_how_signs_are_read(text: str) -> None:
    with pytest.raises(TextError, match=r"U\+[0-9A-F]{4}.*as they are spoken"):
        normalise(text, "english")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Äpfel, Straße — l’été!", "ÄPFEL STRA\u1e9eE L'ÉTÉ"),
        ("e\u0301", "É"),  # composed: one symbol, not two
        ("Зачем? 7-й", "ЗАЧЕМ 7 Й"),
        ("हिन्दी।", "हिन्दी"),
        ("'quoted' 5 %", "QUOTED 5"),
        ("漢字。", "漢字"),
        ("卡尔·马克思", "卡尔 马克思"),
        # Capitals in which no two letters become one, and none becomes two.
        ("straße STRASSE", "STRA\u1e9eE STRASSE"),
        ("ısı isi", "ıSı ISI"),
        ("საქართველო", "საქართველო"),  # Georgian text has no capitals
        ("\u1c97\u1c91\u1c98\u1c9a", "თბილ"),
        ("οδός, Όσος", "ΟΔΌΣ ΌΣΟΣ"),
        ("ŉ և", "ŉ և"),  # upper() would write two letters
        # Marks within words: Unicode's UAX 29.
        ("Col·legi col\u2027legi coŀlegi.", "COL·LEGI COL·LEGI COL·LEGI"),
        ("a · b ·c", "A B C"),
        ('צה״ל צה"ל', "צה״ל צה״ל"),
        ('"שלום" ״שלום״', "שלום שלום"),
        ("ג׳ירפה", "ג'ירפה"),
        ("Ի՞նչ, ո՛չ", "ԻՆՉ ՈՉ"),  # how it is said, not how it is spelt
    ],
)
def test_basic(text: str, wanted: str) -> None:
    assert normalise(text, "basic") == wanted


def test_turkish_capitals() -> None:
    assert normalise("Işık, iyi bir İstanbul'da.", "turkish") == "IŞIK İYİ BİR İSTANBUL'DA"
    assert normalise("i\u0307yi", "turkish") == "İYİ"  # as other programs write the small letter of İ


def test_capitals_can_be_told_apart() -> None:
    """No two small letters of today have one capital, but for Greek's two forms of sigma: a text loses no word."""
    old = range(0x1C80, 0x1C90)  # forms of Cyrillic letters in old manuscripts
    letters = [chr(c) for c in range(0x2E80) if unicodedata.category(chr(c)) == "Ll" and c not in old]
    letters = [c for c in letters if unicodedata.normalize("NFKC", c) == c and c != "ς"]
    found = {letter: capitals(letter) for letter in letters}
    assert len(found) > 1000 and len(set(found.values())) == len(found)
    assert all(len(capital) == 1 and capitals(capital) == capital for capital in found.values())
    assert capitals("ς") == capitals("σ") == "Σ"


def test_none_tidies_white_space_alone() -> None:
    assert normalise(" It's\t7,  &\u3000so. ", "none") == "It's 7, & so."


def test_ascii_is_written_as_all_other_text_is() -> None:
    """The short way of `basic` for ASCII gives what the long one does, which a letter at the end asks for."""
    rng = random.Random(3)
    ascii_symbols = [chr(i) for i in range(128)]
    for _ in range(3000):
        text = "".join(rng.choices(ascii_symbols, k=rng.randint(0, 12)) + rng.choices("ab '`-.", k=rng.randint(0, 12)))
        assert normalise(text, "basic") == normalise(f"{text} é", "basic").removesuffix("É").strip()


def test_normalising_twice_changes_nothing() -> None:
    rng = random.Random(1)
    some = "ab'’é &-.\u0301\u200bßı"
    for scheme in SCHEMES.keys() - {"whisper"}:  # which makes '.' of ".'.", and nothing of '.'
        symbols = some if scheme == "english" else some + 'Li\u0307İŀ·"״ל՞աΣς'
        for _ in range(2000):
            text = "".join(rng.choices(symbols, k=rng.randint(0, 14)))
            once = normalise(text, scheme)
            assert normalise(once, scheme) == once
            assert "  " not in once and once == once.strip()


def test_unknown_scheme() -> None:
    with pytest.raises(ConfigError, match="found 'latin', wanted one of none, case, basic, turkish, english, whisper"):
        normalise("a", "latin")


def test_librispeech_is_english_already(mirror: Path) -> None:
    lists = sorted((mirror / "LibriSpeech").rglob("*.trans.txt"))
    texts = [line.split(maxsplit=1)[1] for path in lists for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(texts) > 500
    assert [normalise(text, "english") for text in texts] == texts


# ------------------------------------------------------------------------------------------------------- tokenizers


@pytest.fixture
def letters() -> CharacterTokenizer:
    return CharacterTokenizer.build(["AB", "B  C "])


def test_characters_are_those_of_the_text_sorted(letters: CharacterTokenizer) -> None:
    assert letters.tokens == ["<blank>", " ", "A", "B", "C"]
    assert (letters.vocab_size, letters.blank_id) == (5, 0)
    assert build_tokenizer(TokenizerConfig(), ["ONE", "TWO"]).tokens == ["<blank>", *"ENOTW"]


def test_characters_there_and_back(letters: CharacterTokenizer) -> None:
    assert letters.encode(" AB  C\n") == [2, 3, 1, 4]
    assert letters.decode([2, 3, 1, 4]) == letters.reference(" AB  C\n") == "AB C"
    assert letters.encode("") == [] and letters.decode([]) == ""


def test_words_know_their_ids(letters: CharacterTokenizer) -> None:
    ids = [1, 2, 3, 1, 1, 4, 1]
    assert letters.words(ids) == [("AB", 1, 3), ("C", 5, 6)]
    assert letters.decode(ids) == "AB C"
    assert letters.words([1]) == letters.words([]) == []


def test_unknown_characters_are_named_or_skipped(letters: CharacterTokenizer) -> None:
    with pytest.raises(TextError, match=r"'A é': .*'é' \(U\+00E9 LATIN SMALL LETTER E WITH ACUTE\).*It knows A B C\."):
        letters.encode("A é")
    tokenizer = CharacterTokenizer(letters.tokens, unknown="skip")
    assert tokenizer.reference("xA x Bx") == "A B"


def test_all_bad_texts_are_told_at_once(letters: CharacterTokenizer) -> None:
    assert letters.encode_all([("one", "AB"), ("two", "")]) == [letters.encode("AB"), []]
    with pytest.raises(TextError) as caught:
        letters.encode_all((f"row {i}", "AB" if i % 2 else "É") for i in range(60))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21 and lines[1].startswith("row 2: 'É': the model has no token for 'É' (U+00C9")
    assert lines[20] == "... and 10 more"


def test_no_text_no_tokens() -> None:
    with pytest.raises(TextError, match="empty"):
        build_tokenizer(TokenizerConfig(), ["", " "])


def test_configuration_mistakes() -> None:
    with pytest.raises(ConfigError, match="tokenizer.size: found 0"):
        TokenizerConfig(kind="subwords", size=0)
    with pytest.raises(ConfigError, match="tokenizer.lexicon: found none"):
        TokenizerConfig(kind="phones")


def test_saved_and_loaded(letters: CharacterTokenizer, tmp_path: Path) -> None:
    letters.save(tmp_path)
    assert (tmp_path / "tokens.txt").read_text(encoding="utf-8") == "<blank>\n<space>\nA\nB\nC\n"
    loaded = load_tokenizer(tmp_path, letters.to_config())
    assert isinstance(loaded, CharacterTokenizer) and loaded.tokens == letters.tokens
    assert load_tokenizer(tmp_path, {"kind": "characters", "unknown": "skip"}).reference("Ax") == "A"


def test_odd_characters_survive_saving(tmp_path: Path) -> None:
    tokenizer = CharacterTokenizer.build(["<é\ufeff\u00ad漢>"])
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path, tokenizer.to_config()).tokens == tokenizer.tokens


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A\nB\n", "wanted <blank>"),
        (b"", "empty line"),
        (b"<blank>\nA\n\nB\n", "tokens.txt:3: an empty line"),
        (b"<blank>\nA\nA\n", "more than once: 'A'"),
        (b"<blank>\n\xff\n", "tokens.txt: the tokens cannot be read"),
        (None, "tokens.txt: the tokens cannot be read"),
    ],
)
def test_damaged_token_lists(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "tokens.txt").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(tmp_path, {"kind": "characters"})


@pytest.mark.parametrize("config", [{}, {"kind": "bytes"}, {"kind": "characters", "colour": 1}, None, {"kind": []}])
def test_configurations_of_another_make(letters: CharacterTokenizer, tmp_path: Path, config: dict) -> None:
    letters.save(tmp_path)
    with pytest.raises(ModelError, match=f"{tmp_path}: (tokenizer of kind|not the configuration)"):
        load_tokenizer(tmp_path, config)


@pytest.mark.parametrize(
    ("texts", "scheme"),
    [
        (["ONE TWO", "IT'S"], "english"),
        (["ONE 2"], "basic"),
        (["GRÜSSE AN MÜLLER"], "basic"),
        (["İYİ GÜNLER", "IŞIK"], "turkish"),
        (["one two"], "none"),
        (["ONE, TWO"], "none"),
        ([], "english"),
    ],
)
def test_the_scheme_that_texts_are_in(texts: list[str], scheme: str) -> None:
    assert narrowest_scheme(texts) == scheme
    assert all(normalise(text, scheme) == text for text in texts)


def test_words_that_a_scheme_cannot_write_stop_nothing() -> None:
    assert (
        normalise_what_can_be("In 1990 we paid $20, Zoë.", "english") == "IN NINETEEN NINETY WE PAID TWENTY DOLLARS ZOE"
    )
    assert normalise_what_can_be("— well-known", "english") == "WELL KNOWN"
    assert normalise_what_can_be("100 % sicher", "english") == "ONE HUNDRED PERCENT SICHER"


def test_a_model_knows_how_its_texts_were_written(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(TokenizerConfig(), ["ONE TWO"])
    assert tokenizer.text_scheme == "english" and tokenizer.normalise("One, two!") == "ONE TWO"
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path, tokenizer.to_config()).text_scheme == "english"
    assert load_tokenizer(tmp_path, {"kind": "characters"}).text_scheme == "none"  # of models made before
    assert build_tokenizer(TokenizerConfig(text_scheme="basic"), ["ONE TWO"]).text_scheme == "basic"
    with pytest.raises(ModelError, match=r"tokenizer.text_scheme: found 'latin', wanted one of none, case, basic"):
        load_tokenizer(tmp_path, {"kind": "characters", "text_scheme": "latin"})
    with pytest.raises(ConfigError, match=r"tokenizer.text_scheme: found 'latin', wanted one of"):
        TokenizerConfig(text_scheme="latin")
