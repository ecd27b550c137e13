"""How transcripts are normalised. This is the one place where their text changes.

`SCHEMES` lists the ways; `asr prepare` applies one to every transcript, and the manifests then hold the text that is
trained on and scored.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from asr.errors import ConfigError, TextError
from asr.text.numbers import spell_out

APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u02b9\u2032\uff07\u0060\u00b4\u05f3", "'"))
"""What is typed for an apostrophe: curly quotes, modifier letters, primes, the grave and acute accents, geresh."""

CAPITALS = str.maketrans({"ß": "\u1e9e"})  # upper() would write SS, another word
UNCHANGED = {"\u0131"}  # the Turkish i without dot: upper() would write I, as it does for i
GEORGIAN = range(0x10D0, 0x1100)  # has capitals in Unicode, and in no text
GEORGIAN_CAPITALS = range(0x1C90, 0x1CC0)

# Punctuation within words, after Unicode's UAX 29. Catalan's middle dot and Hebrew's gershayim are spelling; Armenian's
# stress, exclamation and question marks, which stand on a vowel, are not.
INNER = str.maketrans({"\u2027": "·", "\u0140": "l·", "\u013f": "L·", "՛": None, "՜": None, "՞": None})
GERSHAYIM = re.compile('(?<=[\u05d0-\u05ea])["“”״](?=[\u05d0-\u05ea])')
MIDDLE_DOT = re.compile(r"(?<=[^\W\d_])·(?=[^\W\d_])")

LETTERS = str.maketrans(
    {"Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "\u1e9e": "SS", "&": " AND "}
)
"""Capitals that Unicode does not take apart into an English letter and a mark; and the one sign with one reading."""

SPOKEN = set("%@#*")  # Unicode calls them punctuation, but a reader says them aloud


def _none(text: str) -> str:
    return " ".join(text.split())


def _basic(text: str) -> str:
    if text.isascii():  # the same in a tenth of the time
        return _words(re.sub("[^A-Z0-9']", " ", text.translate(APOSTROPHES).upper()))
    text = "".join(c for c in text.translate(APOSTROPHES) if unicodedata.category(c) != "Cf")
    text = capitals(text.translate(INNER))
    inner = {match.start() for match in GERSHAYIM.finditer(text)}
    # Chinese names have a middle dot too, where a pause is: letters that have capitals stand beside Catalan's.
    dots = (match.start() for match in MIDDLE_DOT.finditer(text))
    inner |= {place for place in dots if text[place - 1].isupper() and text[place + 1].isupper()}
    kept = {"'": "'", "·": "·"}
    return _words(
        "".join(
            kept.get(c, "\u05f4") if i in inner else c if c == "'" or unicodedata.category(c)[0] in "LMN" else " "
            for i, c in enumerate(text)
        )
    )


def _turkish(text: str) -> str:
    text = unicodedata.normalize("NFC", "".join(c for c in text if unicodedata.category(c) != "Cf"))
    text = re.sub("[i\u0131]\u0307+", "i", text)  # lower() of İ in other programs
    return _basic(text.replace("i", "İ").replace("\u0131", "I"))


def capitals(text: str) -> str:
    """The text in NFC and in capitals, of which no two letters share one, nor has one letter two.

    What has no such capital stays as it is. Words of a text and of a lexicon are compared in this form.
    """
    if text.isascii():
        return text.upper()
    # Once more at the end: i and a dot above it have no letter of their own, I and the dot have İ.
    return unicodedata.normalize("NFC", "".join(map(_capital, unicodedata.normalize("NFC", text))))


@cache
def _capital(c: str) -> str:
    if c in UNCHANGED or ord(c) in GEORGIAN:
        return c
    if ord(c) in GEORGIAN_CAPITALS:
        return c.lower()
    capital = c.translate(CAPITALS).upper()
    return capital if len(capital) == 1 else c


def _english(text: str) -> str:
    if re.fullmatch(r"[A-Z'\s]*", text):  # as LibriSpeech and others publish it: every apostrophe is meant
        return " ".join(word for word in text.split() if word.strip("'"))
    plain = unicodedata.normalize("NFKD", text.translate(APOSTROPHES)).upper().translate(LETTERS)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))
    wrong = sorted({c for c in plain if not _is_english(c)})
    if wrong:
        raise TextError(
            f"{text!r}: found {', '.join(map(name_symbol, wrong))}; the scheme english takes A-Z, apostrophe and "
            "punctuation. Write numbers and signs out as they are spoken, or choose the scheme basic"
        )
    return _words("".join(c if c == "'" or "A" <= c <= "Z" else " " for c in plain))


def _whisper(text: str) -> str:
    return " ".join(_whisper_normaliser()(text).split())


@cache
def _whisper_normaliser() -> Any:
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise ConfigError(
            "the text scheme whisper needs the package whisper-normalizer: pip install 'asr[whisper-normalizer]'"
        ) from error
    return EnglishTextNormalizer()


def _is_english(c: str) -> bool:
    return "A" <= c <= "Z" or c.isspace() or (unicodedata.category(c)[0] == "P" and c not in SPOKEN)


def _words(text: str) -> str:
    """Single spaces; apostrophes that belong to a word (IT'S, 'TIS, BOYS'), not those used as quotation marks."""
    if "'" not in text:
        return " ".join(text.split())
    while (plain := re.sub(r"(?<!\w)'(\w[^']*(?:\w'\w[^']*)*)'(?!\w)", r" \1 ", text)) != text:
        text = plain  # quotations within quotations
    return " ".join(word for word in text.split() if word.strip("'"))


SCHEMES: dict[str, Callable[[str], str]] = {
    # The text as it is, but for white space: one space between words, none around.
    "none": _none,
    # The same in NFC and in capitals: differences of case alone do not count, as in sclite.
    "case": lambda text: capitals(_none(text)),
    # Any language: NFC, capitals; letters with their marks, digits, and apostrophes, middle dots and gershayim that
    # belong to words. Invisible joiners go, all else is a space. Never fails, but signs as % are lost.
    "basic": _basic,
    # The same for Turkish and Azerbaijani: the capital of i is İ, that of ı is I.
    "turkish": _turkish,
    # English as A-Z, apostrophe, space: upper case, accents taken off, "&" is AND, punctuation and hyphens are spaces,
    # quotation marks go. Digits, other signs and scripts raise TextError: nobody knows how they were read aloud.
    "english": _english,
    # To compare English texts as whisper's authors do, by their code: lower case, numbers in digits, contractions and
    # abbreviations in full, American spelling, without fillers (uh, um) and what stands in brackets. Never fails.
    "whisper": _whisper,
}


def normalise(text: str, scheme: str) -> str:
    """The text in the form of a scheme of `SCHEMES`; doing it twice changes nothing more, but for whisper's.

    Raises TextError for symbols that the scheme cannot write, ConfigError for an unknown scheme.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"text scheme: found {scheme!r}, wanted one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme](text)


def normalise_what_can_be(text: str, scheme: str) -> str:
    """The same for texts that others have written, in `english` with numbers as they may have been read.

    Words that the scheme cannot write are brought into `basic`. In scores such a word is one that no model in that
    scheme can find, which is what it is.
    """
    try:
        return normalise(text, scheme)
    except TextError:
        words = (spell_out(text) if scheme == "english" else text).split()
        return " ".join(filter(None, (_word_that_can_be(word, scheme) for word in words)))


def _word_that_can_be(word: str, scheme: str) -> str:
    try:
        return normalise(word, scheme)
    except TextError:
        return normalise(word, "basic")


def narrowest_scheme(texts: Iterable[str]) -> str:
    """The scheme that writes these texts as they are, and the least beside them: by which they were normalised."""
    found = set(texts)
    turkish = any("İ" in text for text in found)  # the capital of no other language's i
    for scheme in ("english", "turkish" if turkish else "basic", "none"):
        if all(_unchanged(text, scheme) for text in found):
            return scheme
    return "none"


def _unchanged(text: str, scheme: str) -> bool:
    try:
        return normalise(text, scheme) == " ".join(text.split())
    except TextError:
        return False


def split_fields(line: str) -> list[str]:
    """What stands between the spaces and tabs of a line of a lexicon or language model.

    A word may hold other white space, which str.split would take for a separator: a no-break space, an ideographic one.
    """
    return line.split() if line.isascii() else [field for field in re.split("[ \t\r\n]", line) if field]


def name_symbol(symbol: str) -> str:
    """'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE): for messages, since many symbols look alike or like nothing."""
    return f"{symbol!r} (U+{ord(symbol):04X} {unicodedata.name(symbol, 'without a name')})"
