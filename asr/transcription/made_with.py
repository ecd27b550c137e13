"""What an output was made of and with: whether another run would make the same."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from asr.decoders.settings import DecoderSettings
from asr.model.contract import AcousticModel
from asr.transcription.inputs import Recording

PATHS = ("lm", "lexicon", "rescoring_lm")  # settings that name files, which are known by what is in them
TABLES = ("log_prior", "confidence_weights", "hotwords")  # and those that hold much
DIGESTS = {*PATHS, *TABLES}


Stamp = tuple[int, int]
"""A file's size in bytes, and the time of its last change in nanoseconds."""


@dataclass(frozen=True)
class Origin:
    """Of one recording's outputs; JSON holds it as a dictionary."""

    path: str  # of the sound file; of what was read out of a pipe, the pipe's
    size: int  # bytes
    time: int  # of its last change, in nanoseconds
    digest: str  # of what is in it; none where it has changed since it was read
    part: tuple[float | int | None, ...]  # offset, duration, channel and track that were transcribed
    model: str  # its name, and a digest of its files
    settings: dict[str, Any]  # of decoder and network

    @classmethod
    def of(cls, recording: Recording, read: Stamp, model: str, settings: Mapping[str, Any]) -> "Origin":
        """read: what the file was when it began to be read. Raises OSError where it is gone."""
        same = stamp(recording.path) == read
        return cls(_path(recording), *read, digest(recording.path) if same else "", _part(recording), model,
                   dict(settings))  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Origin":
        """Raises KeyError and TypeError for what is none."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__} | {"part": tuple(values["part"])})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def differences(before: Origin, recording: Recording, model: str, settings: Mapping[str, Any]) -> list[str]:
    """How what was made differs from what would be; nothing where it would be the same. Raises OSError."""
    found = []
    is_there = before.path == _path(recording)
    same_file = is_there and (before.size, before.time) == stamp(recording.path) and not recording.spooled
    if not same_file and before.digest != digest(recording.path):
        changed_file = is_there and not recording.spooled
        found.append("of the file as it was before" if changed_file else f"of another recording, {before.path}")
    if before.part != _part(recording):
        found.append("of another part, channel or track of it")
    if before.model != model:
        found.append(f"with another model, {before.model.rpartition(' ')[0]}")
    changed = sorted(name for name in {*before.settings, *settings} if before.settings.get(name) != settings.get(name))
    if changed:
        found.append("with another " + ", ".join(_change(name, before.settings, settings) for name in changed))
    return found


def _path(recording: Recording) -> str:
    return recording.label if recording.spooled else str(recording.path.resolve())


def _part(recording: Recording) -> tuple[float | int | None, ...]:
    return recording.offset, recording.duration, recording.channel, recording.track


def _change(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    option = f"--{name.replace('_', '-')}"
    return option if name in DIGESTS else f"{option} ({before.get(name)} then, {now.get(name)} now)"


def describe_model(model: AcousticModel) -> str:
    """Its folder's name and a digest of the files that it is made of."""
    if model.folder is None:
        return "unnamed"
    names = ("config.json", "tokens.txt", "model.safetensors", "model.onnx", "lexicon.txt", "sentencepiece.model")
    digests = [digest(path) for name in names if (path := model.folder / name).is_file()]
    return f"{model.folder.resolve().name} {_digest_of(' '.join(digests))}"


def describe_settings(settings: DecoderSettings, hotwords: Mapping[str, float], precision: str) -> dict[str, Any]:
    """All that changes a text beside the model; of files, and of what is long, digests."""
    values = asdict(settings) | {"hotwords": dict(hotwords), "precision": precision}
    digests = {name: _digest_of_all(Path(values[name])) if values[name] else "" for name in PATHS}
    digests |= {name: _digest_of(json.dumps(values[name], sort_keys=True)) if values[name] else "" for name in TABLES}
    return values | digests


def _digest_of_all(path: Path) -> str:
    paths = sorted(part for part in path.iterdir() if part.is_file()) if path.is_dir() else [path]
    return _digest_of(" ".join(digest(part) for part in paths))


def stamp(path: Path) -> Stamp:
    """Raises OSError where there is no file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def digest(path: Path) -> str:
    """Of a file's bytes. Raises OSError where it cannot be read."""
    return _digest_of_file(path, stamp(path))


@lru_cache(maxsize=1024)  # a manifest may have thousands of rows of one long file
def _digest_of_file(path: Path, read: Stamp) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
