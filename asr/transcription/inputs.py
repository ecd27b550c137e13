"""What `asr transcribe` is given: files, folders, globs, manifests, standard input; and how outputs are named."""

import glob
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from asr.audio.files import is_pipe
from asr.audio.load import read_info
from asr.data import manifest
from asr.data.corpora.base import AUDIO_ENDINGS
from asr.errors import AudioError, ConfigError

ENDINGS = {
    *AUDIO_ENDINGS,
    ".mkv",
    ".mov",
    ".wma",
    ".amr",
    ".caf",
    ".w64",
    ".rf64",
    ".m4b",
    ".3gp",
    ".mp2",
    ".ac3",
    ".mts",
} - {".raw"}
MANIFESTS = {".jsonl", ".json"}
STDIN = "-"


@dataclass(frozen=True)
class Recording:
    """A sound file, or the part or channel of one, that is to be transcribed."""

    path: Path
    label: str  # as printed
    name: str  # of its outputs: a relative path without ending
    channel: int | None = None  # None: the mean of all
    track: int | None = None  # of several sound tracks; None: the main one
    separate: bool = False  # whether other channels are transcribed beside it
    offset: float = 0.0  # seconds
    duration: float | None = None  # seconds; None: to the end
    speaker: str | None = None
    spooled: bool = False  # whether `path` is but a copy of what came out of a pipe

    @property
    def id(self) -> str:
        """In a manifest: that of the row that it came from, else its title."""
        return self.title if self.duration is None else self.label

    @property
    def title(self) -> str:
        """Its name as text, whatever bytes the file's name has."""
        return os.fsencode(self.name).decode(errors="replace")

    @property
    def output(self) -> str:
        """Like `name`, and different for each channel."""
        return f"{self.name}.channel{self.channel}" if self.separate else self.name

    def describe(self, problem: str) -> str:
        """What is wrong with its file, as it is told to the user."""
        if self.duration is not None:  # a manifest's: its label does not say where it is
            return f"{self.label}: {problem}"
        return problem.replace(str(self.path), self.label)


def find(
    inputs: Sequence[str], channel: int | Literal["separate"] | None, spool: Path, track: int | None = None
) -> tuple[list[Recording], list[str]]:
    """The recordings that the inputs name, each once, and messages about inputs that name none.

    An input is a sound file, a folder (searched with its sub-folders for files with the endings of sound files), a
    glob, a JSONL manifest, or "-": a sound file on standard input. That, and what comes out of named pipes, is copied
    into the folder `spool`. Outputs are named by the files' paths below the folder that all inputs share, or by the ids
    of a manifest.

    Raises ManifestError for bad manifests, ConfigError where outputs cannot be told apart.
    """
    problems: list[str] = []
    manifests = [name for name in inputs if Path(name).suffix.lower() in MANIFESTS]
    rows = manifest.read_all(manifests)
    if manifests and not rows:
        problems.append(f"{', '.join(manifests)}: no utterances; wanted one JSON object a line")
    recordings = [
        Recording(
            Path(row.audio_filepath),
            row.id,
            row.id.replace("/", "_"),
            offset=row.offset,
            duration=row.duration,
            speaker=row.speaker,
        )  # fmt: skip
        for row in rows
    ]
    files = [name for name in inputs if name not in manifests]
    found = [path for name in files if name != STDIN for path in _files(name, problems)]
    paths: dict[str, str] = {}
    for path in found:
        paths.setdefault(os.path.abspath(path), path)  # each once, as it was named first
    pipes = [path for path in paths.values() if _is_pipe(path)]
    recordings += _named([path for path in paths.values() if path not in pipes], files)
    recordings += [_copied(path, spool) for path in [*pipes, *([STDIN] if STDIN in files else [])]]
    recordings = [replace(recording, track=track) for recording in recordings]
    if channel == "separate":
        recordings = [one for recording in recordings for one in _channels(recording, problems)]
    elif channel is not None:
        recordings = [replace(recording, channel=channel) for recording in recordings]
    twice = [name for name, count in Counter(recording.output for recording in recordings).items() if count > 1]
    if twice:
        raise ConfigError(f"several recordings would be written as {twice[0]}: transcribe them in separate calls")
    return recordings, problems


def _files(name: str, problems: list[str]) -> Iterator[str]:
    if os.path.isdir(name):
        named = [
            os.path.join(folder, file)
            for folder, _, files in os.walk(name)
            for file in files
            if Path(file).suffix.lower() in ENDINGS and not file.startswith(".")
        ]
        found = [path for path in named if not os.path.exists(path) or os.path.isfile(path)]
        for path in sorted(set(named) - set(found)):  # nobody may ever write into a pipe that lies around
            problems.append(f"{path}: a pipe or device, not a file; give its name to read it")
        if not named:
            problems.append(
                f"{name}: no sound files in this folder; wanted files ending in {' '.join(sorted(ENDINGS))}"
            )
        yield from sorted(found)
    elif os.path.exists(name) or not glob.has_magic(name):
        yield name  # a missing file is reported when it is its turn
    else:
        found = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        if not found:
            problems.append(f"{name}: no file matches")
        yield from found


def _named(paths: Iterable[str], inputs: Sequence[str]) -> list[Recording]:
    """Recordings named by their paths below the inputs' common folder; with the ending where two differ in it alone."""
    paths = list(paths)
    if not paths:
        return []
    given = set(inputs)
    folders = [name for name in inputs if os.path.isdir(name)]
    within = tuple(os.path.join(folder, "") for folder in folders)
    folders += [os.path.dirname(path) for path in paths if path in given or not path.startswith(within or ("\0",))]
    root = os.path.commonpath([os.path.abspath(folder) for folder in folders])
    relative = [os.path.relpath(os.path.abspath(path), root) for path in paths]
    stems = Counter(os.path.splitext(path)[0] for path in relative)
    return [
        Recording(Path(path), path, name if stems[os.path.splitext(name)[0]] > 1 else os.path.splitext(name)[0])
        for path, name in zip(paths, relative, strict=True)
    ]


def _is_pipe(path: str) -> bool:
    return os.path.exists(path) and is_pipe(path)


def _copied(path: str, spool: Path) -> Recording:
    """What a pipe holds, which can be read only once, as a file."""
    name = "stdin" if path == STDIN else os.path.basename(path)
    copy = spool / str(len(os.listdir(spool)))
    with copy.open("wb") as file:
        if path == STDIN:
            shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            with open(path, "rb") as pipe:
                shutil.copyfileobj(pipe, file)
    return Recording(copy, path, name, spooled=True)


def _channels(recording: Recording, problems: list[str]) -> Iterator[Recording]:
    """The recording once for each of its channels."""
    try:
        count = read_info(recording.path, track=recording.track, report=lambda notice: None).num_channels
    except AudioError as error:
        problems.append(recording.describe(str(error)))
        return
    for channel in range(count):
        yield replace(recording, label=f"{recording.label} [channel {channel}]", channel=channel, separate=True)
