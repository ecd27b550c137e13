"""From texts to a folder with an n-gram model: as ARPA and in binary, its lexicon, and build.json that tells how."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

from tqdm import tqdm

from asr.errors import ConfigError, TextError
from asr.lm import ngram
from asr.lm.arpa import FILE, write_arpa
from asr.lm.kenlm_binary import MAX_ORDER, write_binary
from asr.lm.language_model import FILE as DECODED
from asr.lm.language_model import LanguageModel
from asr.lm.ngram_model import SPECIAL, NGramModel
from asr.lm.sentences import Units, read_sentences, split
from asr.settings import require
from asr.text import phones
from asr.text.normalise import capitals

BINARY, REPORT = "lm.binary", "build.json"
progress = partial(tqdm, unit_scale=True, disable=None, leave=False)


@dataclass(frozen=True)
class BuildConfig:
    """What `asr lm build` is told."""

    texts: Sequence[str]
    output: str
    order: int = 3
    prune: Sequence[int] = (0,)  # for each order, the count up to which n-grams are dropped
    units: Units = "word"
    vocabulary: int | None = None  # at most so many words
    min_count: int = 1  # of a word in the vocabulary
    exclude: Sequence[str] = ()  # texts whose sentences must not be in the model
    lexicon: Sequence[str] = ()
    g2p: bool = False
    discount_fallback: Sequence[float] | None = None
    text_scheme: str = "none"

    def __post_init__(self) -> None:
        require(
            "",
            (1 <= self.order <= MAX_ORDER, "--order", self.order, f"1 to {MAX_ORDER}"),
            (self.vocabulary is None or self.vocabulary > 0, "--vocabulary", self.vocabulary, "1 or more"),
            (self.min_count > 0, "--min-count", self.min_count, "1 or more"),
            (len(self.prune) <= self.order, "--prune", list(self.prune), f"at most {self.order}, one an order"),
            (self.discount_fallback is None or len(self.discount_fallback) == 3, "--discount-fallback",
             self.discount_fallback, "three numbers, as 0.5 1 1.5"),
        )  # fmt: skip

    def command(self) -> str:
        """The command line that builds this."""
        words = ["asr", "lm", "build", *self.texts]
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if isinstance(value, list):
                value = tuple(value)
            if value != item.default:
                values = [] if value is True else value if isinstance(value, tuple) else [value]
                words += [f"--{item.name.replace('_', '-')}", *map(str, values)]
        return shlex.join(words)


@dataclass
class Source:
    """One text: what was in it, and how much was taken."""

    path: str
    sha256: str
    sentences: int = 0
    words: int = 0
    excluded: int = 0  # sentences left out


@dataclass
class BuildReport:
    """What build.json holds."""

    command: str
    sources: list[Source]
    excluded_sentences: int  # different sentences that must not be in the text
    excluded_found: int  # how many lines of the text were such
    order: int  # lower than was told where pruning left no longer n-grams
    prune: list[int]
    units: Units
    vocabulary: int  # words or characters; <unk>, <s>, </s> not counted
    ngrams: list[int]  # of each order
    lexicon: dict[str, int]  # how many words have pronunciations, guessed or none

    def describe(self) -> str:
        sentences, words = (sum(getattr(s, name) for s in self.sources) for name in ("sentences", "words"))
        lines = [
            f"{sentences} sentences, {words} words, vocabulary {self.vocabulary} {self.units}s",
            ", ".join(f"{order}-grams {count}" for order, count in enumerate(self.ngrams, start=1)),
        ]
        if self.excluded_sentences:
            lines.append(
                f"left out {self.excluded_found} lines of the texts; checked: none of the {self.excluded_sentences} "
                "excluded sentences is in the text"
            )
        if self.lexicon:
            lines.append("lexicon: " + ", ".join(f"{count} {what}" for what, count in self.lexicon.items()))
        return "\n".join(lines)


def build(config: BuildConfig) -> BuildReport:
    """Build the model and write its folder. Raises UserErrors for bad texts, settings and lexicons."""
    lexicon = phones.read_lexicons(config.lexicon)
    excluded = {key(s) for path in config.exclude for s in read_sentences(path, config.text_scheme)}
    sources = [Source(path, _sha256(path)) for path in config.texts]
    corpus = ngram.read_corpus(_sentences(config, sources, excluded), config.vocabulary, config.min_count)
    with tqdm(
        total=len(corpus.ids) * (config.order - 1), desc="counting", unit_scale=True, disable=None, leave=False
    ) as bar:
        counts = ngram.count(corpus, config.order, bar.update)
    fallback = config.discount_fallback
    if fallback is None and config.units == "character":
        fallback = ngram.FALLBACK  # an alphabet is too small to estimate them for single characters
    model = ngram.estimate(counts, config.prune, fallback)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(
        total=sum(model.counts), desc="writing", unit=" n-grams", unit_scale=True, disable=None, leave=False
    ) as bar:
        write_arpa(folder / FILE, model, bar.update)
    if model.order > 1:
        write_binary(folder / BINARY, model)
    LanguageModel.of(model).save(folder / DECODED)
    report = BuildReport(
        config.command(),
        sources,
        len(excluded),
        sum(source.excluded for source in sources),
        model.order,
        list(config.prune),
        config.units,
        model.size - len(SPECIAL),
        model.counts,
        _write_lexicon(folder / phones.FILE, model, lexicon, config) if config.units == "word" else {},
    )
    (folder / REPORT).write_text(json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def key(sentence: str) -> str:
    """The form in which sentences are compared with those to leave out: whatever their case."""
    return capitals(sentence)


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: the text cannot be read: {error.strerror}") from error


def _sentences(config: BuildConfig, sources: list[Source], excluded: set[str]) -> Iterator[list[str]]:
    """The sentences to count; the sources' figures grow on the way."""
    for source in sources:
        sentences = read_sentences(source.path, config.text_scheme)
        for sentence in tqdm(
            sentences, desc=source.path, unit=" sentences", unit_scale=True, disable=None, leave=False
        ):
            if excluded and key(sentence) in excluded:
                source.excluded += 1
                continue
            source.sentences += 1
            source.words += len(sentence.split())
            yield split(sentence, config.units)
    if not any(source.sentences for source in sources):
        excluded_found = sum(source.excluded for source in sources)
        why = f"all {excluded_found} are among the excluded" if excluded_found else "wanted one a line"
        raise TextError(f"{', '.join(config.texts)}: no sentences to count: {why}")


def _write_lexicon(path: Path, model: NGramModel, lexicon: phones.Lexicon, config: BuildConfig) -> dict[str, int]:
    """The vocabulary with its pronunciations; without any, the words alone. Returns how many words have which."""
    words = model.words[len(SPECIAL) :]
    if not lexicon and not config.g2p:
        path.write_text("".join(f"{word}\n" for word in sorted(words)), encoding="utf-8")
        return {"words": len(words)}
    missing = [word for word in words if capitals(word) not in lexicon]
    guessed = phones.guess(missing) if config.g2p and missing else {}
    entries = {word: lexicon.get(capitals(word)) or guessed.get(capitals(word), []) for word in words}
    phones.write_lexicon(path, entries)
    silent = sum(not pronunciations for pronunciations in entries.values())
    known, guesses = len(words) - len(missing), len(missing) - silent
    return {"words with a pronunciation": known, "with a guessed one": guesses, "left out without one": silent}
