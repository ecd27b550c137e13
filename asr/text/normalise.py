"""How transcripts are normalised. This is the one place where their text changes.

`SCHEMES` lists the ways; `asr prepare` applies one to every transcript, and the manifests then hold the text that is
trained on and scored.
"""

import re
import unicodedata
from collections.abc import Callable

from asr.errors import ConfigError, TextError

APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u02b9\u2032\uff07\u0060\u00b4", "'"))
"""What is typed for an apostrophe: curly quotes, modifier letters, primes, the grave and acute accents."""

LETTERS = str.maketrans(
    {"Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "\u1e9e": "SS", "&": " AND "}
)
"""Capitals that Unicode does not take apart into an English letter and a mark; and the one sign with one reading."""

SPOKEN = set("%@#*")  # Unicode calls them punctuation, but a reader says them aloud


def _none(text: str) -> str:
    return " ".join(text.split())


def _basic(text: str) -> str:
    text = "".join(c for c in text.translate(APOSTROPHES) if unicodedata.category(c) != "Cf")
    text = text.replace("ß", "\u1e9e").upper()  # upper() alone would write SS
    text = unicodedata.normalize("NFC", text)
    return _words("".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text))


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


def _is_english(c: str) -> bool:
    return "A" <= c <= "Z" or c.isspace() or (unicodedata.category(c)[0] == "P" and c not in SPOKEN)


def _words(text: str) -> str:
    """Single spaces; apostrophes that belong to a word (IT'S, 'TIS, BOYS'), not those used as quotation marks."""
    while (plain := re.sub(r"(?<!\w)'(\w[^']*(?:\w'\w[^']*)*)'(?!\w)", r" \1 ", text)) != text:
        text = plain  # quotations within quotations
    return " ".join(word for word in text.split() if word.strip("'"))


SCHEMES: dict[str, Callable[[str], str]] = {
    # The text as it is, but for white space: one space between words, none around.
    "none": _none,
    # Any language: NFC, upper case; letters with their marks, digits, and apostrophes that belong to words. Invisible
    # joiners go, all else is a space. Never fails, but signs as % are lost.
    "basic": _basic,
    # English as A-Z, apostrophe, space: upper case, accents taken off, "&" is AND, punctuation and hyphens are spaces,
    # quotation marks go. Digits, other signs and scripts raise TextError: nobody knows how they were read aloud.
    "english": _english,
}


def normalise(text: str, scheme: str) -> str:
    """The text in the form of a scheme of `SCHEMES`; doing it twice changes nothing more.

    Raises TextError for symbols that the scheme cannot write, ConfigError for an unknown scheme.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"text scheme: found {scheme!r}, wanted one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme](text)


def name_symbol(symbol: str) -> str:
    """'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE): for messages, since many symbols look alike or like nothing."""
    return f"{symbol!r} (U+{ord(symbol):04X} {unicodedata.name(symbol, 'without a name')})"
