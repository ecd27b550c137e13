"""Text: how transcripts are normalised, and tokenizers between text and the ids that a model emits.

This is the one place where transcripts change. `SCHEMES` lists the ways; `asr prepare` applies one to every transcript,
and the manifests then hold the text that is trained on and scored. A tokenizer maps that text to ids and back:
characters here, subwords in `asr.subwords`, phones in `asr.phones`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

from asr.errors import ConfigError, ModelError, TextError

# ---------------------------------------------------------------------------------------------------- normalisation

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


# ------------------------------------------------------------------------------------------------------- tokenizers

BLANK = "<blank>"
SPACE = "<space>"  # how a space is written in tokens.txt


def ctc_frames(labels: Sequence[object]) -> int:
    """Frames that CTC needs: one for each label, and one more between two equal ones (Graves et al., 2006)."""
    return len(labels) + sum(a == b for a, b in pairwise(labels))


@dataclass(frozen=True)
class TokenizerConfig:
    """The units that a model emits, and where they come from."""

    kind: Literal["characters", "subwords", "phones"] = "characters"
    size: int = 300  # subwords: how many, the blank not counted; fewer where the text has no more
    lexicon: list[str] = field(default_factory=list)  # phones: CMUdict or Kaldi files; the first that has a word wins
    g2p: bool = False  # phones: guess how English words outside the lexicons are said (pip install 'asr[g2p]')
    unknown: Literal["error", "skip"] = "error"  # what to do with symbols (phones: words) that have no token

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"tokenizer.size: found {self.size}, wanted at least 1")
        if self.kind == "phones" and not (self.lexicon or self.g2p):
            raise ConfigError(
                "tokenizer.lexicon: found none, and phones need one: give files in the format of CMUdict or of Kaldi's "
                "lexicon.txt, or set tokenizer.g2p to true"
            )


class Tokenizer:
    """Text <-> ids. Index 0 of `tokens` is the CTC blank, which no text contains."""

    kind: ClassVar[str]
    blank_id: ClassVar[int] = 0

    def __init__(self, tokens: Sequence[str], unknown: str = "error"):
        """tokens: `<blank>` first. Raises ModelError for a list that cannot be an alphabet."""
        self.tokens = list(tokens)
        self.unknown = unknown
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        if self.tokens[:1] != [BLANK] or "" in self.ids:
            raise ModelError(f"tokens: found {self.tokens[:3]} first, wanted {BLANK} and no empty ones")
        if len(self.ids) < len(self.tokens):
            twice = sorted({token for i, token in enumerate(self.tokens) if self.ids[token] != i})
            raise ModelError(f"tokens: found more than once: {', '.join(map(repr, twice))}")

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, the blank included."""
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises TextError naming what has no token, unless `unknown` is "skip"."""
        raise NotImplementedError

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """Each word of already collapsed ids, with the half-open range [first, last + 1) of ids that spell it."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """The text of already collapsed ids: no blanks, and repeats are meant."""
        return " ".join(word for word, _, _ in self.words(ids))

    def reference(self, text: str) -> str:
        """A text in the form in which hypotheses come out, so that the two can be compared."""
        return self.decode(self.encode(text))

    def to_config(self) -> dict[str, Any]:
        """What config.json keeps; `load_tokenizer` takes it back."""
        return {"kind": self.kind, "unknown": self.unknown}

    def save(self, folder: Path | str) -> None:
        """Write tokens.txt, one token a line in the order of their ids, and what else encoding needs."""
        lines = [SPACE if token == " " else token for token in self.tokens]
        (Path(folder) / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> "Tokenizer":
        """Read what `save` wrote; settings: `to_config()` without the kind. Raises ModelError."""
        return cls(read_tokens(folder), **settings)

    def _spelt(self, text: str, alphabet: Iterable[str]) -> str:
        """The text with single spaces and without the symbols outside `alphabet`. Raises TextError as `encode` does."""
        text = " ".join(text.split())
        unknown = set(text).difference(alphabet)
        if unknown and self.unknown == "error":
            raise TextError(
                f"{text!r}: the model has no token for {', '.join(map(name_symbol, sorted(unknown)))}. It knows "
                f"{' '.join(sorted(set(alphabet) - {' '}))}. Normalise the text as the training text was (asr prepare "
                "--text-scheme), or set tokenizer.unknown to skip"
            )
        return " ".join("".join(c for c in text if c not in unknown).split()) if unknown else text


class CharacterTokenizer(Tokenizer):
    """One token for each character, the space included."""

    kind = "characters"

    @classmethod
    def build(cls, texts: Iterable[str], unknown: str = "error") -> "CharacterTokenizer":
        """The characters of the texts, sorted. Raises TextError where there are none."""
        symbols = sorted(set().union(*(" ".join(text.split()) for text in texts)))
        if not symbols:
            raise TextError("the training texts are empty: there is nothing to make tokens of")
        return cls([BLANK, *symbols], unknown)

    def encode(self, text: str) -> list[int]:
        return [self.ids[c] for c in self._spelt(text, self.tokens[1:])]

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        found, first = [], 0
        spelt = [self.tokens[i] for i in ids]
        for place, token in enumerate([*spelt, " "]):
            if token == " ":
                if first < place:
                    found.append(("".join(spelt[first:place]), first, place))
                first = place + 1
        return found


def build_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Make the tokenizer for these training texts. Raises TextError, for phones also where a word cannot be said."""
    if config.kind == "subwords":
        from asr.subwords import SubwordTokenizer

        return SubwordTokenizer.build(texts, config.size, config.unknown)
    if config.kind == "phones":
        from asr.phones import PhoneTokenizer

        return PhoneTokenizer.build(texts, config.lexicon, g2p=config.g2p, unknown=config.unknown)
    return CharacterTokenizer.build(texts, config.unknown)


def load_tokenizer(folder: Path | str, config: dict[str, Any]) -> Tokenizer:
    """Read a saved tokenizer; `config` is its `to_config()`. Decoding then needs nothing but tokens.txt.

    Raises ModelError where a file is missing or damaged, or the configuration is of another make.
    """
    from asr.phones import PhoneTokenizer
    from asr.subwords import SubwordTokenizer

    kinds: dict[str, type[Tokenizer]] = {
        "characters": CharacterTokenizer,
        "subwords": SubwordTokenizer,
        "phones": PhoneTokenizer,
    }
    settings = dict(config) if isinstance(config, dict) else {}
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ModelError(f"{folder}: tokenizer of kind {kind!r}, wanted one of {', '.join(kinds)}")
    try:
        return kinds[kind].load(Path(folder), settings)
    except TypeError as error:
        raise ModelError(f"{folder}: not the configuration of a tokenizer of {kind}: {config}") from error


def read_tokens(folder: Path) -> list[str]:
    """The tokens of a folder's tokens.txt. Raises ModelError."""
    path = folder / "tokens.txt"
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: the tokens cannot be read: {error}") from error
    if "" in lines:
        raise ModelError(f"{path}:{lines.index('') + 1}: an empty line, wanted a token on each")
    return [" " if line == SPACE else line for line in lines]
