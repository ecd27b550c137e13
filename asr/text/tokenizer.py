"""Tokenizers: text to the ids that a model emits, and back. The contract, and characters.

Subwords are in `asr.text.subwords`, phones in `asr.text.phones`; `asr.text` makes and loads any of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from asr.errors import ConfigError, ModelError, TextError
from asr.text.normalise import SCHEMES, name_symbol, normalise, normalise_what_can_be

BLANK = "<blank>"
SPACE = "<space>"  # how a space is written in tokens.txt
SHOWN = 20  # bad texts that an error lists; the others are counted

T = TypeVar("T")


def each_of(texts: Iterable[tuple[str, str]], function: Callable[[str], T]) -> list[T]:
    """What a function makes of many texts, each with its name before it: (name, text).

    Raises TextError listing all of which it raises one.
    """
    found: list[T] = []
    problems: list[str] = []
    for name, text in texts:
        try:
            found.append(function(text))
        except TextError as error:
            problems.append(f"{name}: {error}")
    if problems:
        more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise TextError("\n".join(problems[:SHOWN] + more))
    return found


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
    text_scheme: str = ""  # how texts are written (asr.text.normalise); "": the narrowest that fits training's
    from_model: str = ""  # model folder or shipped model to take tokens and lexicon from, instead of making them

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"tokenizer.size: found {self.size}, wanted at least 1")
        if self.text_scheme not in ("", *SCHEMES):
            raise ConfigError(f"tokenizer.text_scheme: found {self.text_scheme!r}, wanted one of {', '.join(SCHEMES)}")
        if self.kind == "phones" and not (self.lexicon or self.g2p or self.from_model):
            raise ConfigError(
                "tokenizer.lexicon: found none, and phones need one: give files in the format of CMUdict or of Kaldi's "
                "lexicon.txt, or set tokenizer.g2p to true"
            )


class Tokenizer:
    """Text <-> ids. Index 0 of `tokens` is the CTC blank, which no text contains."""

    kind: ClassVar[str]
    blank_id: ClassVar[int] = 0

    def __init__(self, tokens: Sequence[str], unknown: str = "error", text_scheme: str = "none"):
        """tokens: `<blank>` first; text_scheme: of asr.text.normalise, that of the texts that were trained on.

        Raises ModelError for a list that cannot be an alphabet.
        """
        self.tokens = list(tokens)
        self.unknown = unknown
        self.text_scheme = text_scheme
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        if self.tokens[:1] != [BLANK] or "" in self.ids:
            raise ModelError(f"tokens: found {self.tokens[:3]} first, wanted {BLANK} and no empty ones")
        if text_scheme not in SCHEMES:
            raise ModelError(f"tokenizer.text_scheme: found {text_scheme!r}, wanted one of {', '.join(SCHEMES)}")
        if unknown not in ("error", "skip"):
            raise ModelError(f"tokenizer.unknown: found {unknown!r}, wanted error or skip")
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

    def encode_all(self, texts: Iterable[tuple[str, str]]) -> list[list[int]]:
        """The ids of many texts, each with its name before it: (name, text).

        Raises TextError listing all that cannot be encoded, so that they can be mended in one go.
        """
        return each_of(texts, self.encode)

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        """Each word of already collapsed ids, with the half-open range [first, last + 1) of ids that spell it."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """The text of already collapsed ids: no blanks, and repeats are meant."""
        return " ".join(word for word, _, _ in self.words(ids))

    def normalise(self, text: str, scheme: str | None = None) -> str:
        """A text in a scheme of asr.text.normalise; by default as the training texts were written, as far as it can be.

        Raises what asr.text.normalise.normalise does where a scheme is given.
        """
        return normalise_what_can_be(text, self.text_scheme) if scheme is None else normalise(text, scheme)

    def reference(self, text: str) -> str:
        """A text in the form in which hypotheses come out, so that the two can be compared."""
        return self.decode(self.encode(text))

    def to_config(self) -> dict[str, Any]:
        """What config.json keeps; `load_tokenizer` takes it back."""
        return {"kind": self.kind, "unknown": self.unknown, "text_scheme": self.text_scheme}

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


def read_tokens(folder: Path) -> list[str]:
    """The tokens of a folder's tokens.txt. Raises ModelError."""
    path = folder / "tokens.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: the tokens cannot be read: {error}") from error
    if "" in lines:
        raise ModelError(f"{path}:{lines.index('') + 1}: an empty line, wanted a token on each")
    return [" " if line == SPACE else line for line in lines]
