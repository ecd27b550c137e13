"""Phone tokens through a pronunciation lexicon: the 39 phones of CMUdict, or whatever phones the lexicon has.

Lexicons are text, a word and its phones on each line, as CMUdict (`WORD(2) P P`, `# comment`) and Kaldi write them.
Digits of stress are stripped. A word's first pronunciation is the one that is trained on.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.errors import ConfigError, ModelError, TextError
from asr.text import BLANK, Tokenizer

FILE = "lexicon.txt"
Lexicon = dict[str, list[tuple[str, ...]]]
"""Word (upper case) -> its pronunciations, the first the commonest."""

ARPABET = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
).split()


def read_lexicon(path: Path) -> Lexicon:
    """Read a lexicon. Raises ConfigError where it cannot be read, or naming the line that has a word without phones."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the lexicon cannot be read: {error}") from error
    lexicon: Lexicon = {}
    for number, line in enumerate(lines, start=1):
        if line.startswith(";;;"):
            continue
        word, *phones = line.split(" #")[0].split() or [""]
        if not word:
            continue
        if not phones:
            raise ConfigError(f"{path}:{number}: found {line!r}, wanted a word and its phones")
        word = re.sub(r"\(\d+\)$", "", word).upper()
        pronunciation = tuple(phone.rstrip("0123456789").upper() for phone in phones)
        known = lexicon.setdefault(word, [])
        if pronunciation not in known:
            known.append(pronunciation)
    return lexicon


class PhoneTokenizer(Tokenizer):
    """Phones without marks between words: decoding to words needs a lexicon, and greedy scoring counts phones."""

    kind = "phones"

    def __init__(self, tokens: Sequence[str], lexicon: Lexicon, g2p: bool = False):
        super().__init__(tokens)
        self.lexicon = lexicon
        self.g2p = g2p

    def pronounce(self, words: Iterable[str]) -> list[tuple[str, ...]]:
        """The first pronunciation of each word. Raises TextError naming the words that have none."""
        words = list(words)
        missing = sorted({word for word in words if word.upper() not in self.lexicon})
        if missing and self.g2p:
            from asr.g2p import pronounce

            self.lexicon.update({word.upper(): [phones] for word, phones in pronounce(missing).items()})
            missing = [word for word in missing if word.upper() not in self.lexicon]
        if missing:
            raise TextError(
                f"no pronunciation for: {', '.join(missing[:20])}{' ...' if len(missing) > 20 else ''}. Add them to a "
                "lexicon (tokenizer.lexicon), or guess them (tokenizer.g2p: true)"
            )
        return [self.lexicon[word.upper()][0] for word in words]

    def encode(self, text: str) -> list[int]:
        phones = [phone for pronunciation in self.pronounce(text.split()) for phone in pronunciation]
        unknown = sorted({phone for phone in phones if phone not in self.ids})
        if unknown:
            raise TextError(f"{text!r} is pronounced with phones that the model does not have: {' '.join(unknown)}")
        return [self.ids[phone] for phone in phones]

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        return [(self.tokens[i], place, place + 1) for place, i in enumerate(ids)]

    def reference(self, text: str) -> str:
        return self.decode(self.encode(text))

    def to_config(self) -> dict:
        return {"kind": self.kind, "g2p": self.g2p}

    def save(self, folder: Path) -> None:
        """Besides the tokens, the whole lexicon: what scores new text needs more words than training had."""
        super().save(folder)
        lines = [f"{word} {' '.join(phones)}\n" for word in sorted(self.lexicon) for phones in self.lexicon[word]]
        (folder / FILE).write_text("".join(lines), encoding="utf-8")


def build_phones(paths: Sequence[Path], texts: Iterable[str], g2p: bool) -> PhoneTokenizer:
    """Phones of the lexicons, checked against the texts.

    Raises ConfigError without a lexicon or g2p, TextError naming words of the texts that have no pronunciation.
    """
    if not paths and not g2p:
        raise ConfigError("tokenizer.lexicon: phones need at least one pronunciation lexicon, or g2p: true")
    lexicon: Lexicon = {}
    for path in paths:
        for word, pronunciations in read_lexicon(path).items():
            lexicon.setdefault(word, pronunciations)
    phones = {phone for pronunciations in lexicon.values() for p in pronunciations for phone in p}
    tokenizer = PhoneTokenizer([BLANK, *sorted(phones | (set(ARPABET) if g2p else set()))], lexicon, g2p)
    tokenizer.pronounce({word for text in texts for word in text.split()})
    return tokenizer


def load_phones(folder: Path, tokens: Sequence[str], g2p: bool = False) -> PhoneTokenizer:
    """From a model folder. Raises ModelError where its lexicon cannot be read."""
    try:
        return PhoneTokenizer(tokens, read_lexicon(folder / FILE), g2p)
    except ConfigError as error:
        raise ModelError(str(error)) from error
