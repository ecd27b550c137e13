"""Starting from another model: what comes along with its weights, unless the recipe says otherwise."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from asr.decoders.settings import FILE as DECODER_FILE
from asr.decoders.settings import DecoderSettings
from asr.errors import ConfigError
from asr.model.ctc_model import KIND, CTCModel
from asr.model.folder import find_model, read_config
from asr.text import build_tokenizer, load_tokenizer
from asr.text.tokenizer import Tokenizer, TokenizerConfig, read_tokens


def inherit(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's values, with those of the model named by its `init_from` where it is silent.

    These are the features, the encoder and the tokenizer. The tokens themselves come along too, unless the recipe says
    what to make others of. Raises ModelError where there is no such model.
    """
    name = values.get("init_from")
    sections = {section: values.get(section) or {} for section in ("features", "encoder", "tokenizer")}
    if not (name and isinstance(name, str)) or not all(isinstance(section, dict) for section in sections.values()):
        return values
    config = read_config(find_model(name), KIND)
    own = sections["tokenizer"]
    along = own.get("kind", config["tokenizer"].get("kind")) == config["tokenizer"].get("kind")
    tokens = {"from_model": name} if along and not own.keys() & {"size", "lexicon", "from_model"} else {}
    merged = {section: {**config.get(section, {}), **said} for section, said in sections.items()}
    return {**values, **merged, "tokenizer": {**merged["tokenizer"], **tokens}}


def make_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer for these training texts, or the one of the model that it is to be taken from.

    Raises TextError, and ModelError for a model that cannot be read.
    """
    if not config.from_model:
        return build_tokenizer(config, texts)
    folder = find_model(config.from_model)
    saved = read_config(folder, KIND)["tokenizer"]
    if saved.get("kind") != config.kind:
        raise ConfigError(
            f"tokenizer.kind: found {config.kind}, wanted {saved.get('kind')}: that of tokenizer.from_model ({folder})"
        )
    changes = {"unknown": config.unknown} | ({"g2p": config.g2p} if "g2p" in saved else {})
    return load_tokenizer(folder, {**saved, **changes})


def start_from(model: CTCModel, other: CTCModel) -> str:
    """Copy another model's weights; its head only where both have the same tokens: else a line says that it is fresh.

    Raises ConfigError where the networks differ in more than the head.
    """
    weights = other.state_dict()
    fresh = other.tokenizer.tokens != model.tokenizer.tokens
    if fresh:
        weights = {name: value for name, value in weights.items() if not name.startswith("head.")}
    own = model.state_dict()
    differing = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
    if differing or other.config.features != model.config.features:
        raise ConfigError(
            "init_from: that model has other features or another encoder than the recipe says: take these out of the "
            f"recipe, and the model's count (first difference: {differing[0] if differing else 'features'})"
        )
    missing = [name for name in own if name not in weights and not (fresh and name.startswith("head."))]
    if missing:
        raise ConfigError(f"init_from: that model lacks {missing[0]}, which the recipe's encoder has")
    with torch.no_grad():
        model.load_state_dict({**own, **weights})
    if not fresh:
        return ""
    return (
        f"init_from: the encoder comes from {other.folder}, the head starts afresh: {other.tokenizer.vocab_size} "
        f"{other.tokenizer.kind} there, {model.tokenizer.vocab_size} {model.tokenizer.kind} here"
    )


def bring_decoder(name: str, tokens: list[str], folder: Path) -> None:
    """Copy the decoder's settings, and what they name, from the model `name` into a folder; with other tokens nothing.

    Raises ModelError where they are damaged.
    """
    source = find_model(name)
    settings = DecoderSettings.of(source)
    if (source / DECODER_FILE).is_file() and read_tokens(source) == tokens:
        folder.mkdir(parents=True, exist_ok=True)
        settings.save(folder)
