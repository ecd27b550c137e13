"""Phones as output units: pronunciation lexicons, the tokenizer over them, and a guess for words outside them.

English has the 39 phones of CMUdict (http://www.speech.cs.cmu.edu/cgi-bin/cmudict), without stress. A word is trained
with its first pronunciation; all of them are kept, for decoders that take a lexicon.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import ModelError, TextError
from asr.text.normalise import capitals, split_fields
from asr.text.tokenizer import BLANK, Tokenizer, read_tokens

if TYPE_CHECKING:
    from phonemizer.backend import EspeakBackend
    from phonemizer.separator import Separator

VOWELS = ["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"]
CONSONANTS = ["B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V"]
CONSONANTS += ["W", "Y", "Z", "ZH"]
PHONES = sorted(VOWELS + CONSONANTS)
STRESSED = {vowel + stress: vowel for vowel in VOWELS for stress in "012"}

Pronunciation = tuple[str, ...]
Lexicon = dict[str, list[Pronunciation]]
"""Word, in the capitals of asr.text.normalise -> its pronunciations, the one to train with first."""

FILE = "lexicon.txt"
PROBABILITY = re.compile(r"\d*\.\d+|\d+\.|\d+(\.\d+)?e-\d+")  # in Kaldi's lexiconp.txt; a digit alone is X-SAMPA's
VARIANT = re.compile(r"(?<=.)\(\d+\)$")  # CMUdict's mark of a further pronunciation
LISTED = 20  # mistakes that one message lists; the others are counted


def read_lexicon(path: Path | str) -> Lexicon:
    """Read a lexicon in the format of CMUdict or of Kaldi's lexicon.txt: a word, then its phones, on each line.

    Between them are spaces or tabs. Further pronunciations are `word(2)` (CMUdict) or the word again (Kaldi). ` #`
    and a `;;;` in front begin comments. Stress digits are stripped; entries that are no words, as `<UNK>` and `!SIL`,
    are left out. Raises TextError naming file and lines.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise TextError(f"{path}: the lexicon cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path}: the lexicon is not in UTF-8: {error}; convert it (iconv -f latin1 -t utf8)"
        ) from error
    lexicon: Lexicon = {}
    problems = []
    for number, line in enumerate(lines, start=1):
        word, *phones = split_fields(line.partition(" #")[0]) or [""]
        if not word or word.startswith((";;;", "#", "<", "!", "[")):
            continue
        if not phones or PROBABILITY.fullmatch(phones[0]):
            problems.append(f"{path}:{number}: found {line.strip()!r}")
            continue
        known = lexicon.setdefault(capitals(VARIANT.sub("", word)), [])
        pronunciation = tuple([STRESSED.get(phone, phone) for phone in phones])
        if pronunciation not in known:
            known.append(pronunciation)
    if problems:
        raise TextError(_listed(problems, "\n") + "\nWanted a word and its phones, without probabilities.")
    if not lexicon:
        raise TextError(f"{path}: the lexicon has no words")
    return lexicon


def read_lexicons(paths: Iterable[Path | str]) -> Lexicon:
    """Several lexicons as one: a word is said as the first that has it says. Raises TextError."""
    merged: Lexicon = {}
    for path in paths:
        merged = read_lexicon(path) | merged
    return merged


def write_lexicon(path: Path | str, lexicon: Lexicon) -> None:
    """Write in Kaldi's format, sorted by word; `read_lexicon` gives the same back."""
    lines = [f"{word}\t{' '.join(phones)}\n" for word in sorted(lexicon) for phones in lexicon[word]]
    Path(path).write_text("".join(lines), encoding="utf-8")


class PhoneTokenizer(Tokenizer):
    """One token for each phone. Phones do not tell where words end: each counts as a word of its own.

    The whole lexicon goes into the model folder (CMUdict: 3.4 MB), together with what was guessed: texts to score have
    words that the training text had not, and a decoder with a lexicon wants all pronunciations.
    """

    kind = "phones"

    def __init__(
        self,
        tokens: Sequence[str],
        unknown: str = "error",
        g2p: bool = False,
        lexicon: Lexicon | Path | None = None,
        text_scheme: str = "none",
    ):
        """lexicon: the words, or the file to read them from when the first text is encoded."""
        super().__init__(tokens, unknown, text_scheme)
        if not isinstance(g2p, bool):
            raise ModelError(f"tokenizer.g2p: found {g2p!r}, wanted true or false")
        self.g2p = g2p
        self._lexicon = lexicon

    @classmethod
    def build(
        cls, texts: Iterable[str], lexicons: Sequence[Path | str], g2p: bool = False, unknown: str = "error"
    ) -> "PhoneTokenizer":
        """A tokenizer that can say the texts.

        Its tokens are the 39 phones; a lexicon with others (another language's) gives its own, sorted. Raises TextError
        for bad lexicons, empty texts and, unless unknown is "skip", words without a pronunciation.
        """
        lexicon = read_lexicons(lexicons)
        phones = {phone for ways in lexicon.values() for way in ways for phone in way}
        foreign = sorted(phones.difference(PHONES))
        if foreign and g2p:
            raise TextError(
                f"the lexicon has phones that English has not: {_listed(foreign, ' ')}. Words can be guessed for "
                "English only: set tokenizer.g2p to false"
            )
        tokenizer = cls([BLANK, *(sorted(phones) if foreign else PHONES)], unknown, g2p, lexicon)
        if not tokenizer.pronounce(sorted({word for text in texts for word in text.split()})):
            raise TextError("the training texts hold no words that can be said")
        return tokenizer

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> "PhoneTokenizer":
        return cls(read_tokens(folder), lexicon=folder / FILE, **settings)

    @cached_property
    def lexicon(self) -> Lexicon:
        """Raises ModelError where a model folder lacks a readable lexicon.txt."""
        if not isinstance(self._lexicon, Path):
            return self._lexicon or {}
        try:
            lexicon = read_lexicon(self._lexicon)
        except TextError as error:
            raise ModelError(f"without the model's lexicon no text can be turned into phones: {error}") from error
        foreign = {phone for ways in lexicon.values() for way in ways for phone in way}.difference(self.tokens)
        if foreign:
            found = _listed(sorted(foreign), " ")
            raise ModelError(f"{self._lexicon}: found the phones {found}, which are not among the model's tokens")
        return lexicon

    def pronounce(self, words: Iterable[str]) -> list[Pronunciation]:
        """The first pronunciation of each word. Raises TextError naming those that have none, unless they are skipped.

        Guessed pronunciations join the lexicon.
        """
        words = [capitals(word) for word in words]
        missing = [word for word in dict.fromkeys(words) if word not in self.lexicon]
        if missing and self.g2p:
            self.lexicon.update(guess(missing))
            missing = [word for word in missing if word not in self.lexicon]
        if missing and self.unknown == "error":
            raise TextError(
                f"no pronunciation of {_listed(missing, ', ')}. Add them to a lexicon (tokenizer.lexicon takes "
                "several), have them guessed (tokenizer.g2p: true; pip install 'asr[g2p]') or leave them out "
                "(tokenizer.unknown: skip)"
            )
        return [self.lexicon[word][0] for word in words if word in self.lexicon]

    def encode(self, text: str) -> list[int]:
        return [self.ids[phone] for phones in self.pronounce(text.split()) for phone in phones]

    def words(self, ids: Sequence[int]) -> list[tuple[str, int, int]]:
        return [(self.tokens[i], place, place + 1) for place, i in enumerate(ids)]

    def to_config(self) -> dict[str, Any]:
        return super().to_config() | {"g2p": self.g2p}

    def save(self, folder: Path | str) -> None:
        super().save(folder)
        write_lexicon(Path(folder) / FILE, self.lexicon)


def _listed(items: Sequence[str], separator: str) -> str:
    more = len(items) - LISTED
    return separator.join(items[:LISTED]) + (f"{separator}and {more} more" if more > 0 else "")


# -------------------------------------------------------------------------------------------- words outside a lexicon

# espeak-ng's American phones (IPA) in CMUdict's. The flap is nearly always a t; the r-coloured vowels are two phones.
ESPEAK = {
    "iː": "IY", "i": "IY", "ɪ": "IH", "ᵻ": "IH", "eɪ": "EY", "ɛ": "EH", "æ": "AE", "aː": "AA", "ɑː": "AA", "ɑ": "AA",
    "ɔː": "AO", "ɔ": "AO", "oʊ": "OW", "oː": "OW", "o": "OW", "ʊ": "UH", "uː": "UW", "u": "UW", "ʌ": "AH", "ə": "AH",
    "ɐ": "AH", "ɚ": "ER", "ɜː": "ER", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "əl": "AH L", "n̩": "AH N", "iə": "IY AH",
    "aɪɚ": "AY ER", "aɪə": "AY AH", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R",
    "ʊɹ": "UH R", "p": "P", "b": "B", "t": "T", "ɾ": "T", "ʔ": "T", "d": "D", "tʃ": "CH", "dʒ": "JH", "k": "K",
    "x": "K", "ɡ": "G", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH",
    "m": "M", "n": "N", "ŋ": "NG", "l": "L", "ɬ": "L", "ɹ": "R", "r": "R", "w": "W", "j": "Y",
    "e": "EH", "ç": "HH", "nʲ": "N Y", "ɑ̃": "AA N", "ɔ̃": "AO N",  # in words from other languages: UTRECHT
}  # fmt: skip


def guess(words: Sequence[str]) -> Lexicon:
    """How English words are probably said, by espeak-ng through phonemizer; words it cannot say are left out.

    On 10,000 words of CMUdict, names included, a tenth of the phones differ and six words in ten are right. Raises
    TextError where the libraries are missing.
    """
    try:
        espeak, separator = _espeak()
    except ImportError as error:
        raise TextError(
            f"no pronunciation of {_listed(words, ', ')}; to guess it (tokenizer.g2p), {error.name} is wanted and not "
            "installed: pip install 'asr[g2p]'"
        ) from error
    spellings = espeak.phonemize([word.lower() for word in words], separator=separator, strip=True)
    found: Lexicon = {}
    for word, symbols in zip(words, spellings, strict=True):
        phones = " ".join(ESPEAK.get(symbol, "?") for symbol in symbols.split())
        # CMUdict writes HURRY as HH ER IY, where espeak-ng has another r after the r-coloured vowel.
        phones = re.sub(r"R R(?= |$)", "R", phones)
        if phones and "?" not in phones:
            found[capitals(word)] = [tuple(phones.split())]
    return found


@cache
def _espeak() -> "tuple[EspeakBackend, Separator]":
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper
    from phonemizer.separator import Separator

    # The library and its data come with the Python package: nothing need be installed on the system.
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend("en-us", language_switch="remove-flags"), Separator(phone=" ", word="\t")
