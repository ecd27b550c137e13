"""What an output was made of and with: whether another run would make the same."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr.decoders.settings import DecoderSettings
from asr.model.contract import AcousticModel
from asr.transcription.inputs import Recording

PATHS = ("lm", "lexicon", "rescoring_lm")  # settings that name files, which are known by what is in them


@dataclass(frozen=True)
class Origin:
    """Of one recording's outputs; JSON holds it as a dictionary."""

    path: str  # of the sound file
    size: int  # bytes
    time: int  # of its last change, in nanoseconds
    digest: str  # of what is in it
    part: tuple[float | int | None, ...]  # offset, duration, channel and track that were transcribed
    model: str  # its name, and a digest of its files
    settings: dict[str, Any]  # of decoder and network

    @classmethod
    def of(cls, recording: Recording, model: str, settings: Mapping[str, Any]) -> "Origin":
        """Raises OSError where the file cannot be read."""
        path = recording.path
        status = path.stat()
        part = (recording.offset, recording.duration, recording.channel, recording.track)
        return cls(str(path.resolve()), status.st_size, status.st_mtime_ns, digest(path), part, model, dict(settings))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Origin":
        """Raises KeyError and TypeError for what is none."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__} | {"part": tuple(values["part"])})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def differences(before: Origin, recording: Recording, model: str, settings: Mapping[str, Any]) -> list[str]:
    """How what was made differs from what would be; nothing where it would be the same. Raises OSError."""
    found = []
    status = recording.path.stat()
    same_file = (before.path, before.size, before.time) == (
        str(recording.path.resolve()), status.st_size, status.st_mtime_ns
    )  # fmt: skip
    if not same_file and before.digest != digest(recording.path):
        is_there = before.path == str(recording.path.resolve())
        found.append("of the file as it was before" if is_there else f"of another recording, {before.path}")
    if before.part != (recording.offset, recording.duration, recording.channel, recording.track):
        found.append("of another part, channel or track of it")
    if before.model != model:
        found.append(f"with another model, {before.model.split()[0]}")
    changed = sorted(name for name in {*before.settings, *settings} if before.settings.get(name) != settings.get(name))
    if changed:
        found.append("with another " + ", ".join(_change(name, before.settings, settings) for name in changed))
    return found


def _change(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    option = f"--{name.replace('_', '-')}"
    if isinstance(now.get(name), dict | list) or isinstance(before.get(name), dict | list) or name in PATHS:
        return option
    return f"{option} ({before.get(name)} then, {now.get(name)} now)"


def describe_model(model: AcousticModel) -> str:
    """Its folder's name and a digest of the files that it is made of."""
    if model.folder is None:
        return "unnamed"
    names = ("config.json", "tokens.txt", "model.safetensors", "model.onnx", "lexicon.txt", "sentencepiece.model")
    digests = [digest(path) for name in names if (path := model.folder / name).is_file()]
    return f"{model.folder.resolve().name} {hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"


def describe_settings(settings: DecoderSettings, hotwords: Mapping[str, float], precision: str) -> dict[str, Any]:
    """All that changes a text beside the model; of files what is in them."""
    values: dict[str, Any] = {name: value for name, value in asdict(settings).items() if name not in PATHS}
    values["log_prior"] = list(settings.log_prior)
    values["confidence_weights"] = list(settings.confidence_weights)
    files = {name: _digest_of_all(Path(value)) if (value := getattr(settings, name)) else "" for name in PATHS}
    return values | files | {"hotwords": dict(hotwords), "precision": precision}


def _digest_of_all(path: Path) -> str:
    paths = sorted(part for part in path.iterdir() if part.is_file()) if path.is_dir() else [path]
    return hashlib.sha256(" ".join(digest(part) for part in paths).encode()).hexdigest()[:16]


def digest(path: Path) -> str:
    """Of a file's bytes. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
