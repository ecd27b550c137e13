"""How a model is decoded when nothing else is said: decoder.json in its folder, beside the language model it names."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.decoders import Decoder, get_decoder
from asr.decoders.confidence import NUM_WEIGHTS
from asr.errors import ConfigError, ModelError
from asr.model.checksums import forget
from asr.settings import build, parse_json, require
from asr.text.phones import FILE as LEXICON_FILE

if TYPE_CHECKING:
    from asr.text.tokenizer import Tokenizer

FILE = "decoder.json"
DECODER_LEXICON = "decoder_lexicon.txt"
LARGEST = 1e6  # of weights and scores
MAX_BEAM = 20_000  # prefixes: at 72 bytes for each of a frame, half a minute then takes 1.1 GB


@dataclass(frozen=True)
class DecoderSettings:
    """Greedy, unless there is something to search with or for, see `searches`."""

    lm: str = ""  # n-gram model: folder or file; none: no language model
    lexicon: str = ""  # words, with pronunciations for phones; none: the language model's
    lm_weight: float = 1.0  # times ln P of the words
    word_insertion_score: float = 0.0  # for each word; without a lexicon, for each token
    prior_weight: float = 0.0  # how much of each token's prior is taken off its log-probability
    unknown_score: float | None = -10.0  # for each word outside the lexicon; None: there are none
    beam_size: int = 64  # prefixes kept
    beam_size_token: int = 20  # likeliest tokens tried in each frame
    beam_threshold: float = 20.0  # how much worse than the best a prefix may be
    merge_threshold: float = 1.0  # how much worse than another with the same future
    rescoring_lm: str = ""  # recurrent language model that sorts the n-best list anew
    rescoring_weight: float = 0.5  # times its ln P
    rescoring_size: int = 32  # hypotheses that it is shown
    log_prior: tuple[float, ...] = ()  # ln of each token's share of all frames, as `asr lm tune` measured it
    confidence_weights: tuple[float, ...] = ()  # as `asr lm tune` fits them; none: posteriors over the beam
    min_confidence: float = 0.0  # mean over an utterance's words, below which nothing was said in it

    def __post_init__(self) -> None:
        def small(value: float) -> bool:
            return abs(value) <= LARGEST  # NaN is not

        scores = ("lm_weight", "word_insertion_score", "prior_weight", "unknown_score", "rescoring_weight")
        bad_priors = [value for value in self.log_prior if not -LARGEST <= value <= 0]
        require(
            "decoder",
            *(
                (small(value), name, value, f"a number from {-LARGEST:g} to {LARGEST:g}")
                for name in scores
                if (value := getattr(self, name)) is not None
            ),
            (1 <= self.beam_size <= MAX_BEAM, "beam_size", self.beam_size, f"1 to {MAX_BEAM}"),
            (self.beam_size_token >= 1, "beam_size_token", self.beam_size_token, "at least 1"),
            (self.beam_threshold > 0, "beam_threshold", self.beam_threshold, "more than 0"),
            (self.merge_threshold >= 0, "merge_threshold", self.merge_threshold, "0 or more"),
            (1 <= self.rescoring_size <= MAX_BEAM, "rescoring_size", self.rescoring_size, f"1 to {MAX_BEAM}"),
            (0 <= self.min_confidence <= 1, "min_confidence", self.min_confidence, "0 to 1"),
            (
                len(self.confidence_weights) in (0, NUM_WEIGHTS) and all(map(small, self.confidence_weights)),
                "confidence_weights",
                self.confidence_weights,
                f"{NUM_WEIGHTS} numbers, or none",
            ),
            (not bad_priors, "log_prior", (bad_priors or [0])[0], "logarithms of probabilities"),
        )

    @classmethod
    def of(cls, folder: Path | str | None) -> "DecoderSettings":
        """A model folder's decoder.json, the paths in it being the folder's; without file or folder, the defaults.

        The folder may come from a stranger: what it names must lie in it, links followed. Raises ModelError for a file
        that is damaged or names others.
        """
        if folder is None or not (path := Path(folder) / FILE).is_file():
            return cls()
        try:
            settings = build(cls, parse_json(path.read_text(encoding="utf-8-sig")), str(path))
        except (ValueError, ConfigError) as error:
            raise ModelError(f"{path}: not the settings of a decoder: {error}") from error
        named = {name: str(_within(path, name, value)) for name, value in settings._paths().items()}
        return build(cls, asdict(settings) | named, str(path))

    def with_lm(self, lm: str | os.PathLike[str] | None) -> "DecoderSettings":
        """With another language model, and its own words, for those of a lexicon it may not know; "none": without, and
        without what came with it; None: as it is."""
        if lm == "none":
            return replace(self, lm="", lexicon="", rescoring_lm="")
        return replace(self, lm=str(lm), lexicon="") if lm else self

    def searches(self, hotwords: Mapping[str, float] | None = None, n_best: int = 1) -> bool:
        """Whether decoding is a beam search: it has a language model, a lexicon or hotwords to search with, or more
        than one hypothesis to find, since greedy decoding has but one.

        With nothing to search with, the best of several hypotheses is the likeliest text over all its alignments, and
        may be another than the greedy one, that of the likeliest alignment.
        """
        return bool(self.lm or self.lexicon or hotwords or n_best > 1)

    def of_search(self) -> dict[str, Any]:
        """What asr.decoders.beam.BeamDecoder takes of them, by its names."""
        values = {name: value for name, value in asdict(self).items() if not name.startswith("rescoring_")}
        return values | {"lm": self.lm or None, "lexicon": self.lexicon or None}

    def save(self, folder: Path | str) -> None:
        """Write decoder.json, and copy into the folder what it names and what is not there yet."""
        folder = Path(folder)
        forget(folder)
        paths = {name: _brought(Path(value), folder) for name, value in self._paths().items()}
        (folder / FILE).write_text(json.dumps(asdict(self) | paths, indent=2) + "\n", encoding="utf-8")

    def _paths(self) -> dict[str, str]:
        """The files that are named."""
        return {name: value for name in ("lm", "lexicon", "rescoring_lm") if (value := getattr(self, name))}


USED = {".safetensors", ".json", ".txt", ".model", ".md"}
"""Of a language model's folder, what decoding needs: not the ARPA file, where there is lm.safetensors."""


def _within(file: Path, name: str, value: str) -> Path:
    """What the file calls `value`, in its folder. Raises ModelError where that leads elsewhere, or to a pipe."""
    folder, path = file.parent, file.parent / value
    try:
        inside = [path, *path.iterdir()] if path.is_dir() else [path]
        good = all(part.resolve().is_relative_to(folder.resolve()) for part in inside)
        odd = [part for part in inside if part.exists() and not (part.is_file() or part.is_dir())]
    except (OSError, ValueError, RuntimeError) as error:  # a zero byte, too long a name, a circle of links
        raise ModelError(f"{file}: {name}: found {value!r}, wanted a path in this folder: {error}") from error
    if not good:
        raise ModelError(
            f"{file}: {name}: found {value!r}, which leads out of the folder; a model names files of its own. Copy it "
            "there, or name it on the command line (--lm, --lexicon, --rescoring-lm)"
        )
    if odd:
        raise ModelError(f"{file}: {name}: found {value!r}, which is neither a file nor a folder")
    return path


def _brought(source: Path, folder: Path) -> str:
    """Copy a file or folder into the model folder; its path from there."""
    source, folder = source.resolve(), folder.resolve()
    if source.is_relative_to(folder):
        return str(source.relative_to(folder))
    # The folder's own lexicon.txt is the tokenizer's, and may have other words.
    target = folder / (DECODER_LEXICON if source.name == LEXICON_FILE else source.name)
    if source.is_dir():
        whole = not (source / "lm.safetensors").is_file()
        kept = [path for path in source.iterdir() if path.is_file() and (whole or path.suffix in USED)]
        target.mkdir(exist_ok=True)
        for path in kept:
            shutil.copyfile(path, target / path.name)
    else:
        shutil.copyfile(source, target)
    return target.name


def build_decoder(
    tokenizer: "Tokenizer",
    seconds_per_frame: float,
    settings: DecoderSettings,
    hotwords: Mapping[str, float] | None = None,
    *,
    n_best: int = 1,
    threads: int | None = None,
) -> Decoder:
    """The decoder of these settings: greedy, or a beam search, see `DecoderSettings.searches`.

    n_best: hypotheses wanted of each utterance, if it has as many. Raises ModelError, TextError and ConfigError as
    asr.decoders.beam does.
    """
    if not settings.searches(hotwords, n_best):
        return get_decoder("greedy", tokenizer, seconds_per_frame)
    listed = max(n_best, settings.rescoring_size) if settings.rescoring_lm else n_best
    beam = get_decoder(
        "beam", tokenizer, seconds_per_frame,
        hotwords=hotwords, n_best=listed, threads=threads, **settings.of_search(),
    )  # fmt: skip
    return _rescoring(beam, settings) if settings.rescoring_lm else beam


def _rescoring(decoder: Decoder, settings: DecoderSettings) -> Decoder:
    from asr.decoders.rescoring import RescoringDecoder
    from asr.lm.recurrent import RecurrentLM

    return RescoringDecoder(decoder, RecurrentLM.load(settings.rescoring_lm), settings.rescoring_weight)
