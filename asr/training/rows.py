"""The utterances of a run: which are trained on, validated and tested; and what is wrong with them, before the start.

Whatever a run needs at its end is looked at here, so that no training is spoilt by what could have been known.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from pytorch_lightning.utilities import rank_zero_only

from asr.audio.load import read_info
from asr.data import manifest
from asr.data.batches import DataConfig, SpeechDataset, named
from asr.data.manifest import Utterance
from asr.errors import AudioError, ConfigError, DataError
from asr.model.ctc_model import CTCModel
from asr.text.normalise import normalise
from asr.text.tokenizer import Tokenizer, ctc_frames, each_of

SHOWN = 20  # clips that an error lists; the others are counted
SLACK = 0.25  # seconds that a row may reach beyond its file: people round durations

Excluded = list[tuple[Utterance, str]]
"""Utterances and why each was left out."""


@dataclass(frozen=True)
class Rows:
    """The utterances of the three splits; those of data.test may be none, and so may data.non_speech."""

    train: list[Utterance]
    valid: list[Utterance]
    test: list[Utterance]
    non_speech: list[Utterance]

    def describe_predicted(self, data: DataConfig) -> str:
        """What became of the training rows whose text a recogniser wrote; empty where there are none."""
        found = [row for row in self.train if row.pred_text]
        kept = [row for row in found if row.text]
        if not found:
            return ""
        hours = sum(row.duration for row in kept) / 3600
        return (
            f"of {len(found)} training utterances with `pred_text` and no `text`, {len(kept)} ({hours:.2f} h) are of "
            f"confidence {data.min_confidence:g} and more, and taken; {len(found) - len(kept)} are left out"
        )


def read_rows(data: DataConfig) -> Rows:
    """The rows of all manifests. Raises ConfigError where a split names none, DataError where it holds no utterances.

    A training row without a text gets its `pred_text`, if that is of data.min_confidence.
    Every clip's header is read too: DataError lists those that are missing, cannot be read or end before their row.
    """
    rows = Rows(
        [_with_prediction(row, data) for row in _read(data.train, "train")],
        _read(data.valid, "valid"), _read(data.test, "test") if data.test else [],
        _read(data.non_speech, "non_speech") if data.non_speech else [],
    )  # fmt: skip
    for split in ("valid", "test"):
        if unread := [row for row in getattr(rows, split) if row.pred_text]:
            raise DataError(
                f"data.{split}: {len(unread)} rows have `pred_text` and no `text`, {unread[0].id} "
                f"({unread[0].audio_filepath}) first; wanted what was said: a recogniser's guess is no reference"
            )
    if spoken := [row for row in rows.non_speech if row.text]:
        raise DataError(
            f"data.non_speech: {len(spoken)} rows have a text, {spoken[0].id} ({spoken[0].audio_filepath}) first: "
            f"{spoken[0].text!r}; wanted none: what somebody says belongs to data.train"
        )
    _check_clips(rows)
    return rows


def _read(paths: list[str], split: str) -> list[Utterance]:
    if not paths:
        raise ConfigError(f"data.{split}: no manifest; wanted a list of JSONL files, as `asr prepare` writes them")
    rows = manifest.read_all(paths)
    if not rows:
        raise DataError(f"data.{split}: no utterances in {', '.join(paths)}; wanted one JSON object a line")
    return rows


def _with_prediction(row: Utterance, data: DataConfig) -> Utterance:
    sure = row.confidence or 0.0  # what nobody has said to be sure of is for those who take everything
    return replace(row, text=row.pred_text) if row.pred_text and sure >= data.min_confidence else row


@rank_zero_only
def _check_clips(rows: Rows) -> None:
    problems = [f"  data.{split}: {problem}" for split, found in vars(rows).items() for problem in _problems(found)]
    if problems:
        more = [f"  ... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise DataError("\n".join([f"{len(problems)} clips cannot be used:", *problems[:SHOWN], *more]))


def _problems(rows: list[Utterance]) -> Iterator[str]:
    """A line for each row whose clip is not there."""
    lengths: dict[str, float | AudioError] = {}  # seconds; a file may have many rows
    for row in rows:
        path = row.audio_filepath
        if path not in lengths:
            try:
                lengths[path] = read_info(path).duration
            except AudioError as error:
                lengths[path] = error
        length, end = lengths[path], row.offset + row.duration
        if isinstance(length, AudioError):
            yield f"{row.id}: {length}"
        elif end > length + SLACK:
            yield f"{row.id}: ends at {end:.2f} s, its file at {length:.2f} s: {path}"


def written(rows: Rows, scheme: str) -> Rows:
    """The training rows with their texts in a text scheme; "": as they are. Raises TextError listing those it fails."""
    if not scheme:
        return rows
    texts = each_of(map(named, rows.train), partial(normalise, scheme=scheme))
    return replace(rows, train=[replace(row, text=text) for row, text in zip(rows.train, texts, strict=True)])


def as_trained(rows: Rows, tokenizer: Tokenizer) -> Rows:
    """The validation and test rows with their texts written as those that are trained on."""

    def brought(some: list[Utterance]) -> list[Utterance]:
        return [replace(row, text=tokenizer.normalise(row.text)) for row in some]

    return replace(rows, valid=brought(rows.valid), test=brought(rows.test))


def split_usable(rows: Rows, model: CTCModel, data: DataConfig) -> tuple[list[Utterance], Excluded]:
    """Training rows, those without speech included, that can be trained on, and those that cannot with the reason.

    The tokens must fit into the frames at the fastest speed that augmentation plays. Raises DataError where nothing is
    left of the rows with speech.
    """
    fastest = max(data.augment.speed)
    usable, excluded = [], []
    for row, tokens in zip(rows.train, model.tokenizer.encode_all(map(named, rows.train)), strict=True):
        if reason := _wrong_duration(row, data):
            excluded.append((row, reason))
        elif row.pred_text and not row.text:
            sure = "unknown" if row.confidence is None else f"{row.confidence:g}"
            excluded.append((row, f"pred_text of confidence {sure}, wanted {data.min_confidence:g} (min_confidence)"))
        elif not tokens:
            excluded.append((row, "no text; if nobody speaks in it, data.non_speech is where it belongs"))
        elif reason := _too_short(row, tokens, model, fastest):
            excluded.append((row, reason))
        else:
            usable.append(row)
    if not usable:
        raise DataError(f"no training utterance can be used; the first: {excluded[0][0].id}: {excluded[0][1]}")
    for row in rows.non_speech:
        if reason := _wrong_duration(row, data):
            excluded.append((row, reason))
        else:
            usable.append(row)
    return usable, excluded


def _wrong_duration(row: Utterance, data: DataConfig) -> str:
    if data.min_duration <= row.duration <= data.max_duration:
        return ""
    return f"{row.duration:.2f} s: not in {data.min_duration:g} to {data.max_duration:g} s"


def without_loss(rows: list[Utterance], model: CTCModel) -> Excluded:
    """Validation rows that CTC cannot align, with the reason: they have no loss, but are decoded and scored.

    Raises DataError where there are no others.
    """
    encoded = model.tokenizer.encode_all(map(named, rows))
    found = [(row, _too_short(row, tokens, model)) for row, tokens in zip(rows, encoded, strict=True)]
    excluded = [(row, reason) for row, reason in found if reason]
    if len(excluded) == len(rows):
        raise DataError(f"no validation utterance can be aligned; the first: {excluded[0][0].id}: {excluded[0][1]}")
    return excluded


def _too_short(row: Utterance, tokens: list[int], model: CTCModel, speed: float = 1.0) -> str:
    """Why CTC cannot align the row; empty where it can."""
    samples = torch.tensor([int(row.duration / speed * model.sample_rate)])
    frames, needed = int(model.output_frames(samples)), ctc_frames(tokens)
    if frames >= needed:
        return ""
    at_speed = f" (at speed {speed:g})" if speed != 1 else ""
    return f"{frames} frames{at_speed} for a text that needs {needed}"


def check_references(rows: list[Utterance], model: CTCModel) -> None:
    """Raise the TextError that scoring these rows would: to be scored in phones, each word has to be sayable."""
    if model.tokenizer.kind == "phones":
        SpeechDataset(rows, model.tokenizer, model.sample_rate)
