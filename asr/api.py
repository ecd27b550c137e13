"""What `import asr` offers: the project's steps as functions that take names, paths and plain values.

Each imports what it needs when it is called, so that loading a model does not wait for the packages of training.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, Any, Union

from asr.errors import ConfigError, ManifestError

if TYPE_CHECKING:
    from asr.alignment.forced import Alignment
    from asr.data.manifest import Utterance
    from asr.decoders.settings import DecoderSettings
    from asr.evaluation.evaluate import Evaluation
    from asr.training.recipe import RecipeConfig
    from asr.training.run import Result
    from asr.transcription.recogniser import Precision
    from asr.transcription.sound import Source
    from asr.transcription.transcriber import Transcriber

PathOrName = Union[str, "PathLike[str]"]


def available_models() -> list[str]:
    """The names of the models that come with asr, for `load_model`."""
    from asr.model.folder import shipped_models

    return shipped_models()


def load_model(
    name_or_folder: PathOrName | None = None,
    *,
    device: str = "auto",
    lm: PathOrName | None = None,
    lexicon: PathOrName | None = None,
    hotwords: str | Iterable[str] | Mapping[str, float] | None = None,
    lm_weight: float | None = None,
    word_insertion_score: float | None = None,
    beam_size: int | None = None,
    n_best: int = 1,
    settings: "DecoderSettings | None" = None,
    precision: "Precision" = "fp32",
    batch_seconds: float = 120.0,
    threads: int | None = None,
) -> "Transcriber":
    """A model that transcribes: one that comes with asr, by name, or a folder of `asr train` or `asr export`.

    name_or_folder: by default english-small
    device: "cpu", "cuda", "cuda:1" and so on; "auto": a GPU if torch sees one, else the CPU
    lm: an n-gram language model, in place of the folder's: what `asr lm build` wrote, or an ARPA file; "none": without,
        and without lexicon
    lexicon: the words to find, one a line, with pronunciations for a model of phones
    hotwords: words and phrases to expect: a list of them, a mapping to bonuses, or a text as "ACME,NEW YORK:2.5"
    lm_weight: times ln P of the words under the language model
    word_insertion_score: added for each word
    beam_size: readings kept while searching
    n_best: hypotheses that the model's `hypotheses` gives
    settings: how to decode, in place of the folder's decoder.json; what is given beside them replaces their values
    precision: what the network computes in: "fp32", "bf16" or "fp16"
    batch_seconds: audio that is computed at once
    threads: utterances that are searched at once; by default one for each core

    Decoding is greedy unless there is a language model, a lexicon, hotwords, or more than one hypothesis to give: with
    `n_best` alone it becomes a beam search over the bare tokens, whose best text may differ from the greedy one.
    Raises ModelError, TextError and ConfigError for models, files, devices and values that cannot be used.
    """
    from asr.decoders.hotwords import as_hotwords
    from asr.decoders.settings import DecoderSettings, build_decoder
    from asr.model.load import load_model_folder
    from asr.settings import build, require
    from asr.transcription.transcriber import Transcriber

    require("", (n_best >= 1, "n_best", n_best, "at least 1"))
    weights = {"lm_weight": lm_weight, "word_insertion_score": word_insertion_score, "beam_size": beam_size}
    given = {name: value for name, value in weights.items() if value is not None}
    phrases = as_hotwords(hotwords or {})
    model = load_model_folder(name_or_folder, device)
    settings = (settings or DecoderSettings.of(model.folder)).with_lm(lm)
    files = {"lexicon": str(lexicon)} if lexicon else {}
    settings = build(DecoderSettings, asdict(settings) | files | given, "load_model")
    if given and not settings.searches(phrases, n_best):
        raise ConfigError(
            f"{', '.join(given)}: nothing to search with, the model decodes greedily: give lm, lexicon or hotwords"
        )
    decoder = build_decoder(model.tokenizer, model.seconds_per_frame, settings, phrases, n_best=n_best, threads=threads)
    return Transcriber(model, decoder, n_best=n_best, precision=precision, batch_seconds=batch_seconds)


def align(
    audio: "Source",
    text: str,
    model: "Transcriber | PathOrName | None" = None,
    sample_rate: int | None = None,
    channel: int | None = None,
    *,
    text_scheme: str | None = None,
    device: str = "auto",
) -> "Alignment":
    """When each word, and each character or phone, of a text is said in its recording.

    audio, sample_rate, channel: a recording, as `Transcriber` takes it
    text: any; text_scheme, one of asr.text.normalise.SCHEMES, is how it is spelt, by default as the model's training
        texts were. The words come out as they are given
    model: one that is loaded already, or what `load_model` takes, for `device`

    Raises AudioError for the recording, TextError for a text with symbols that the model lacks, DataError for one that
    does not fit into the recording.
    """
    from asr.alignment.forced import Aligner
    from asr.model.load import load_model_folder
    from asr.transcription.sound import open_source
    from asr.transcription.transcriber import Transcriber

    network = model.model if isinstance(model, Transcriber) else load_model_folder(model, device)
    sound = open_source(audio, network.sample_rate, sample_rate, channel)
    return Aligner(network).waveform(sound.waveform(), text, text_scheme)


def evaluate(
    model: "Transcriber | PathOrName | None",
    manifests: "PathOrName | Sequence[PathOrName] | Sequence[Utterance]",
    *,
    text_scheme: str | None = None,
    device: str = "auto",
    on_progress: Callable[[float], object] | None = None,
) -> "Evaluation":
    """Transcribe utterances and count the errors: word error rate and more.

    model: one that is loaded already, or what `load_model` takes, for `device`
    manifests: a JSONL manifest or several, or rows that `asr.data.manifest.read` gave
    text_scheme: how references and hypotheses are normalised before they are compared (asr.text.normalise.SCHEMES); by
        default as the model's training texts were
    on_progress: called with the share (0 to 1) that is done

    Raises ManifestError for manifests with bad rows or none, AudioError for files that cannot be read.
    """
    from asr.data import manifest
    from asr.data.manifest import Utterance
    from asr.evaluation.evaluate import evaluate
    from asr.transcription.transcriber import Transcriber

    items: list[Any] = [manifests] if isinstance(manifests, str | PathLike) else list(manifests)
    named = [item for item in items if not isinstance(item, Utterance)]
    if named and len(named) < len(items):
        raise ManifestError("evaluate: found both manifests and rows of them; wanted one or the other")
    rows: list[Utterance] = manifest.read_all(named) if named else items
    if not rows:
        raise ManifestError(f"{', '.join(map(str, items)) or 'evaluate'}: no utterances; wanted one JSON object a line")
    transcriber = model if isinstance(model, Transcriber) else load_model(model, device=device)
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(done / len(rows))

    with transcriber.recogniser.autocast():
        return evaluate(
            transcriber.model,
            rows,
            transcriber.decoder,
            text_scheme=text_scheme,
            max_batch_seconds=transcriber.recogniser.batch_seconds,
            progress=progress,
        )


def train(
    recipe: "PathOrName | RecipeConfig", overrides: Mapping[str, Any] | None = None, *, resume: bool = False
) -> "Result | None":
    """Train a recogniser; gives the run's folder, its model folder, and what was reached on validation and test set.

    recipe: a YAML file, or what `asr.training.recipe.load_recipe` made of one
    overrides: values by the names that the command line has, as {"optimizer.lr": 5e-4, "trainer.max_epochs": 40}
    resume: go on from the run's last checkpoint

    In a training on several devices all processes but the first get None. Raises ConfigError, ManifestError and
    DataError for recipes and data that cannot be trained.
    """
    from asr.training.recipe import RecipeConfig, load_recipe, override
    from asr.training.run import train

    values = overrides or {}
    read = override(recipe, values) if isinstance(recipe, RecipeConfig) else load_recipe(recipe, values)
    return train(read, resume=resume)
