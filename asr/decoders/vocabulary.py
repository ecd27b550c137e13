"""The labels that a beam search finds, and how they are spelt in tokens: the words of a lexicon, or the tokens."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr.decoders.lexicon import UNKNOWN
from asr.errors import ModelError, TextError
from asr.lm.language_model import LanguageModel
from asr.text.normalise import split_fields
from asr.text.phones import FILE as LEXICON_FILE
from asr.text.phones import STRESSED, PhoneTokenizer, Pronunciation, read_lexicon
from asr.text.tokenizer import SPACE, Tokenizer

SHOWN = 5  # examples in a message


@dataclass(frozen=True)
class Vocabulary:
    """Labels by number, each spelt in one way or in several."""

    labels: list[str]  # words, of which number UNKNOWN stands for all others; or tokens, written as language models do
    spellings: list[tuple[int, tuple[int, ...]]]  # (label, tokens)
    of_words: bool

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self.labels)}


def choose(
    tokenizer: Tokenizer, lexicon: Path | str | None, lm: LanguageModel | None, lm_path: Path | str | None
) -> Vocabulary:
    """The words of the lexicon; else those of the lexicon beside the language model; else the language model's own.
    Without a lexicon and a language model of words: the tokens.

    Raises TextError and ModelError as the functions below do.
    """
    if lexicon:
        return of_lexicon(lexicon, tokenizer)
    if lm is None or lm.of_characters:
        return of_tokens(tokenizer)
    beside = Path(lm_path) / LEXICON_FILE if lm_path else None
    if beside and beside.is_file() and _has_spellings(beside, tokenizer):
        return of_lexicon(beside, tokenizer)
    return of_words(lm.words, tokenizer)


def of_tokens(tokenizer: Tokenizer) -> Vocabulary:
    """Without a lexicon each token is a label, the blank excepted."""
    labels = [SPACE if token == " " else token for token in tokenizer.tokens]
    return Vocabulary(labels, [(i, (i,)) for i in range(len(labels)) if i != tokenizer.blank_id], of_words=False)


def of_lexicon(path: Path | str, tokenizer: Tokenizer) -> Vocabulary:
    """The words of a file: a word on each line, for models of phones with its pronunciation (see asr.text.phones).

    What follows the word is not read for models that spell. Raises TextError naming file and line where a word has
    symbols that the model lacks.
    """
    path, tokenizer = Path(path), _strict(tokenizer)
    if isinstance(tokenizer, PhoneTokenizer):
        lexicon = read_lexicon(path)
        foreign = {phone for ways in lexicon.values() for way in ways for phone in way} - set(tokenizer.tokens)
        if foreign:
            raise TextError(_unknown_phone(path, sorted(foreign), tokenizer))
        return _of_pronunciations(lexicon.items(), tokenizer)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"{path}: the lexicon cannot be read: {error}") from error
    spelt: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(lines, start=1):
        if fields := split_fields(line):
            try:
                spelt[fields[0]] = _spell(fields[0], tokenizer)
            except TextError as error:
                raise TextError(f"{path}:{number}: {error}") from None
    if not spelt:
        raise TextError(f"{path}: the lexicon has no words")
    return _numbered((word, [tokens]) for word, tokens in spelt.items())


def of_words(words: Iterable[str], tokenizer: Tokenizer) -> Vocabulary:
    """Those of a language model's words that the model can spell, or that its lexicon has.

    Raises ModelError where it can spell none, which is so when one has capitals and the other has not.
    """
    words = [word for word in words if not word.startswith("<")]
    if isinstance(tokenizer, PhoneTokenizer):
        found = _of_pronunciations(
            ((word, tokenizer.lexicon[word]) for word in words if word in tokenizer.lexicon), tokenizer
        )
    else:
        alphabet = {c for token in tokenizer.tokens[1:] for c in token}
        found = _numbered((word, [_spell(word, tokenizer)]) for word in words if alphabet.issuperset(word))
    if not found.spellings:
        known = sorted(tokenizer.lexicon)[:SHOWN] if isinstance(tokenizer, PhoneTokenizer) else tokenizer.tokens[1:]
        raise ModelError(
            f"the model can spell none of the language model's {len(words)} words, as {', '.join(words[:SHOWN])}: it "
            f"knows {' '.join(known)}. Both must be written alike, capitals included: build the language model from "
            "text normalised as the training text was (asr lm build --text-scheme), or for phones give --lexicon"
        )
    return found


def with_phrases(vocabulary: Vocabulary, phrases: Iterable[str], tokenizer: Tokenizer) -> Vocabulary:
    """The vocabulary with the words of these phrases too, if it is one of words. Raises TextError."""
    if not vocabulary.of_words:
        return vocabulary
    return with_words(vocabulary, [word for phrase in phrases for word in phrase.split()], tokenizer)


def labels_of(phrase: str, vocabulary: Vocabulary, tokenizer: Tokenizer) -> list[int]:
    """A phrase as labels; as tokens, it has a space on either side, so that it is no part of other words."""
    if vocabulary.of_words:
        return [vocabulary.numbers[word] for word in phrase.split()]
    space = [tokenizer.ids[" "]] if " " in tokenizer.ids else []
    return [*space, *tokenizer.encode(phrase), *space]


def with_words(vocabulary: Vocabulary, words: Sequence[str], tokenizer: Tokenizer) -> Vocabulary:
    """The vocabulary with these words too. Raises TextError where one cannot be spelt."""
    tokenizer = _strict(tokenizer)
    new = [word for word in dict.fromkeys(words) if word not in vocabulary.numbers]
    if isinstance(tokenizer, PhoneTokenizer):
        ways = [[pronunciation] for pronunciation in tokenizer.pronounce(new)]
        added = _of_pronunciations(zip(new, ways, strict=True), tokenizer)
    else:
        added = _numbered((word, [_spell(word, tokenizer)]) for word in new)
    shift = len(vocabulary.labels) - 1
    return Vocabulary(
        vocabulary.labels + added.labels[1:],
        vocabulary.spellings + [(label + shift, tokens) for label, tokens in added.spellings],
        of_words=True,
    )


def _strict(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without "skip": a word that a decoder is to find is spelt whole or not at all."""
    strict = copy.copy(tokenizer)
    strict.unknown = "error"
    return strict


def _has_spellings(lexicon: Path, tokenizer: Tokenizer) -> bool:
    """Whether a language model's lexicon.txt has what the tokenizer needs: pronunciations for phones, else words."""
    if tokenizer.kind != "phones":
        return True
    with lexicon.open(encoding="utf-8-sig") as file:
        return len(file.readline().split()) > 1


def _spell(word: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Characters end a word with the space after it."""
    space = [tokenizer.ids[" "]] if " " in tokenizer.ids else []
    return (*tokenizer.encode(word), *space)


def _of_pronunciations(lexicon: Iterable[tuple[str, Sequence[Pronunciation]]], tokenizer: Tokenizer) -> Vocabulary:
    return _numbered((word, [tuple(tokenizer.ids[phone] for phone in way) for way in ways]) for word, ways in lexicon)


def _numbered(spelt: Iterable[tuple[str, Sequence[tuple[int, ...]]]]) -> Vocabulary:
    labels, spellings = [""], []
    assert UNKNOWN == 0
    for word, ways in spelt:
        spellings += [(len(labels), way) for way in dict.fromkeys(ways)]
        labels.append(word)
    return Vocabulary(labels, spellings, of_words=True)


def _phones(line: str) -> list[str]:
    return [STRESSED.get(phone, phone) for phone in split_fields(line)[1:]]


def _unknown_phone(path: Path, foreign: list[str], tokenizer: Tokenizer) -> str:
    """The message for a lexicon with phones that the model lacks, naming the first line that has one."""
    lines = enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1)
    number, line = next((number, line) for number, line in lines if set(foreign) & set(_phones(line)))
    return (
        f"{path}:{number}: found the phones {' '.join(foreign[:SHOWN])} in {line.strip()!r}; the model knows "
        f"{' '.join(tokenizer.tokens[1:])}"
    )
