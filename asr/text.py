"""Text normalisation, and the Tokenizer that turns text into the model's output units and back."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from asr.errors import ConfigError, ModelError, TextError

BLANK = "<blank>"
SPACE = "<space>"  # how the space is written in tokens.txt

APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'", "\u00b4": "'"})

LATIN = {"Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "ß": "SS"}  # letters that do not decompose


def _none(text: str) -> str:
    return text


def _basic(text: str) -> str:
    """Any language: NFC, upper case, letters, marks, digits and apostrophes; all else becomes a space."""
    text = unicodedata.normalize("NFC", text).translate(APOSTROPHES).upper()
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return _tidy("".join(kept))


def _english(text: str) -> str:
    """English: A-Z, apostrophe, space. Accents are dropped (É -> E), `&` is AND, punctuation becomes a space.

    Raises TextError for digits and other scripts: how they are read aloud is not this function's to guess.
    """
    plain = unicodedata.normalize("NFKD", text.translate(APOSTROPHES)).upper().replace("&", " AND ")
    plain = "".join(LATIN.get(c, c) for c in plain if not unicodedata.combining(c))
    unknown = sorted({c for c in plain if unicodedata.category(c)[0] in "LN" and not "A" <= c <= "Z"})
    if unknown:
        raise TextError(f"{text!r}: no English letters: {' '.join(unknown)}; spell them as they are spoken")
    return _tidy(re.sub(r"[^A-Z' ]", " ", plain))


def _tidy(text: str) -> str:
    """Single spaces; apostrophes only where they belong to a word ('TIS, DON'T, BOYS'), not as quotation marks."""
    words = (re.sub(r"^'(.*)'$", r"\1", word) for word in text.split())
    return " ".join(word for word in words if word.strip("'"))


SCHEMES = {"none": _none, "basic": _basic, "english": _english}
"""Every way in which this project normalises text; a corpus names the one it uses."""


def normalise(text: str, scheme: str) -> str:
    """The text in one of SCHEMES.

    Raises ConfigError for a name that is not among them, TextError for text that the scheme cannot write.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"text scheme: found {scheme!r}, wanted one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme](text)


@dataclass(frozen=True)
class TokenizerConfig:
    """Output units of the model."""

    kind: Literal["characters", "subwords", "phones"] = "characters"
    size: int = 300  # subwords: how many, blank not counted
    lexicon: list[str] = field(default_factory=list)  # phones: pronunciation lexicons; the first that has a word wins
    g2p: bool = False  # phones: guess the pronunciation of words that no lexicon has (extra `g2p`)


class Tokenizer:
    """Text <-> token ids. Id 0 is the blank of CTC; `tokens` are the symbols by id."""

    kind = ""
    blank_id = 0

    def __init__(self, tokens: Sequence[str]):
        self.tokens = list(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        if not self.tokens or self.tokens[0] != BLANK or len(self.ids) != len(self.tokens):
            raise ModelError(f"tokens: wanted {BLANK} first and no token twice, found {self.tokens[:5]} ...")

    @property
    def vocab_size(self) -> int:
        """V: number of tokens, blank included."""
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Token ids. Raises TextError naming symbols that the tokenizer does not have."""
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids from which repeats and blanks are already gone."""
        return " ".join(word for word, _, _ in self.words(list(ids)))

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """Each word with its first and one past its last index into `ids`."""
        raise NotImplementedError

    def reference(self, text: str) -> str:
        """The text in the form in which hypotheses come: what they are scored against."""
        return " ".join(text.split())

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def save(self, folder: Path) -> None:
        """Write tokens.txt, one token a line, and whatever else `load_tokenizer` needs."""
        lines = [SPACE if token == " " else token for token in self.tokens]
        (folder / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


class CharacterTokenizer(Tokenizer):
    """A token for each character, the space included."""

    kind = "characters"

    def encode(self, text: str) -> list[int]:
        text = " ".join(text.split())
        unknown = sorted(set(text) - set(self.ids))
        if unknown:
            raise TextError(
                f"{text!r} has symbols outside the alphabet: {' '.join(unknown)} (the alphabet: "
                f"{''.join(self.tokens[1:])!r}); normalise the text, or train with it"
            )
        return [self.ids[c] for c in text]

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        text = "".join(self.tokens[i] if len(self.tokens[i]) == 1 else "\ufffd" for i in ids)
        return [(match[0], *match.span()) for match in re.finditer(r"[^ ]+", text)]


def build_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer of a training text.

    Raises TextError for words without a pronunciation (phones) or no text at all, ConfigError for settings that do not fit.
    """
    texts = [" ".join(text.split()) for text in texts]
    if not any(texts):
        raise TextError("the training manifests have no text to make tokens of")
    if config.kind == "characters":
        return CharacterTokenizer([BLANK, *sorted(set("".join(texts)))])
    if config.kind == "subwords":
        from asr.subwords import train_subwords

        return train_subwords(texts, config.size)
    from asr.phones import build_phones

    return build_phones([Path(path) for path in config.lexicon], texts, config.g2p)


def load_tokenizer(folder: Path, config: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a model folder. Raises ModelError where its files are missing or unknown."""
    try:
        lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / 'tokens.txt'}: the tokens cannot be read: {error}") from error
    tokens = [" " if line == SPACE else line for line in lines]
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind == "characters":
        return CharacterTokenizer(tokens)
    if kind == "subwords":
        from asr.subwords import load_subwords

        return load_subwords(folder, tokens)
    if kind == "phones":
        from asr.phones import load_phones

        return load_phones(folder, tokens, bool(config.get("g2p")))
    raise ModelError(f"{folder / 'config.json'}: tokenizer {json.dumps(config)}: wanted characters, subwords or phones")
