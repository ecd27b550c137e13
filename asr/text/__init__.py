"""Text: its normalisation, and tokenizers of every kind, which are made and loaded here."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asr.errors import ModelError
from asr.text.normalise import narrowest_scheme
from asr.text.tokenizer import CharacterTokenizer, Tokenizer, TokenizerConfig


def build_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Make the tokenizer for these training texts. Raises TextError, for phones also where a word cannot be said."""
    texts = list(texts)
    tokenizer = _built(config, texts)
    tokenizer.text_scheme = config.text_scheme or narrowest_scheme(texts)
    return tokenizer


def _built(config: TokenizerConfig, texts: list[str]) -> Tokenizer:
    if config.kind == "subwords":
        from asr.text.subwords import SubwordTokenizer

        return SubwordTokenizer.build(texts, config.size, config.unknown)
    if config.kind == "phones":
        from asr.text.phones import PhoneTokenizer

        return PhoneTokenizer.build(texts, config.lexicon, g2p=config.g2p, unknown=config.unknown)
    return CharacterTokenizer.build(texts, config.unknown)


def load_tokenizer(folder: Path | str, config: dict[str, Any]) -> Tokenizer:
    """Read a saved tokenizer; `config` is its `to_config()`. Decoding then needs nothing but tokens.txt.

    Raises ModelError where a file is missing or damaged, or the configuration is of another make.
    """
    from asr.text.phones import PhoneTokenizer
    from asr.text.subwords import SubwordTokenizer

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
