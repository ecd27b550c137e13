"""The outputs of `asr transcribe --output-dir`: which are there, of what they were made, and what is half done.

Beside an output that is not there yet, of a long recording, is NAME.partial.json with the passages that are done.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from asr.decoders import Hypothesis, Word
from asr.errors import ConfigError
from asr.transcription.batch import Recognised
from asr.transcription.inputs import Recording
from asr.transcription.made_with import Origin, Stamp, differences, stamp
from asr.transcription.manifest_rows import render
from asr.transcription.recogniser import Sentence
from asr.transcription.record import Record
from asr.transcription.transcript import Transcript
from asr.transcription.writers import write

OFTEN = 64  # passages that are kept one by one; later a part of them, so that long recordings are not written for ever
MARK = '{"passages": '  # how NAME.partial.json begins, and hardly anything else of that name


class Outputs:
    """What lies in an output folder, and what is to be written there."""

    def __init__(self, folder: Path | str, formats: Sequence[str], model: str, settings: Mapping[str, Any]):
        """model, settings: as asr.transcription.made_with describes them."""
        self.folder = Path(folder)
        self.formats = formats
        self.made_with = model, settings
        self.record = Record(self.folder)
        self.unknown: list[Path] = []  # outputs of which the record does not say what they were made of
        self.read: dict[str, Stamp] = {}  # of recordings' files when they began to be read
        self.half: tuple[str, float] | None = None  # the recording of which a part is kept now, and seconds of it

    def path(self, recording: Recording, name: str) -> Path:
        """Of the output in a format."""
        return self.folder / f"{recording.output}.{name}"

    def missing(self, recording: Recording) -> list[str]:
        """The formats that are still to be written.

        Raises ConfigError where those that are there were made of another recording, or with other settings.
        """
        there = [name for name in self.formats if self.path(recording, name).exists()]
        for name in there:
            path = self.path(recording, name)
            before = self.record.origin(recording.output, name)
            if before is None:
                self.unknown.append(path)
            elif different := self._differences(before, recording):
                raise ConfigError(
                    f"{recording.label}: {path} is there, made {', and '.join(different)}: it stays as it is. To keep "
                    "both, name another --output-dir; --overwrite makes it anew"
                )
        return [name for name in self.formats if name not in there]

    def save(self, recording: Recording, transcript: Transcript, formats: Sequence[str], overwrite: bool) -> None:
        """Write the outputs, and in the record what they were made of.

        Without `overwrite` another process's stay. Raises OSError, and ConfigError as `missing` does.
        """
        origin = self._origin(recording)
        with self.record.alone() as tell:
            if not overwrite:
                missing = self.missing(recording)
                formats = [name for name in formats if name in missing]
            if old := [name for name in formats if self.path(recording, name).exists()]:
                tell(recording.output, old, None)
            for name in formats:
                write(self.path(recording, name), render(name, transcript, recording))
            tell(recording.output, formats, origin)
        self.done(recording)

    # ------------------------------------------------------------------------------------------- half a recording

    def partial(self, recording: Recording) -> Path:
        """Where what is done of a recording is kept."""
        return self.folder / f"{recording.output}.partial.json"

    def keep(self, recording: Recording, found: Recognised) -> bool:
        """Write what has been found so far, unless more of it is to come first; whether it can be. Raises OSError."""
        path = self.partial(recording)
        if path.exists() and not _is_partial(path):
            return False
        if found.passages % (1 + found.passages // OFTEN) == 0:
            sentences = [
                [start, [[word.text, word.start, word.end, word.confidence] for word in listed[0].words]]
                for start, listed in found.sentences
            ]
            done = {"passages": found.passages, "reached": found.reached, "sentences": sentences}
            write(path, json.dumps(done | {"origin": self._origin(recording).to_dict()}) + "\n")
            self.half = recording.label, found.reached
        return True

    def begin(self, recording: Recording, found: Recognised, anew: bool) -> tuple[Recognised, str]:
        """`found` with what `keep` has kept, if that is of the same recording and settings; or why it is not.

        anew: whatever has been kept.
        """
        with suppress(OSError):  # that it cannot be read is told when it is
            self.read[recording.output] = stamp(recording.path)
        path = self.partial(recording)
        if anew or not path.is_file() or not _is_partial(path):
            return found, ""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            different = self._differences(Origin.from_dict(values["origin"]), recording)
            sentences = [_sentence(start, words) for start, words in values["sentences"]]
            passages, reached = int(values["passages"]), float(values["reached"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return found, f"{path}: cannot be read, the recording is begun anew: {error!r}"
        if different:
            return found, f"{path}: made {', and '.join(different)}; the recording is begun anew"
        return replace(found, sentences=sentences, passages=passages, reached=reached), ""

    def done(self, recording: Recording) -> None:
        """Remove what was kept of it."""
        path = self.partial(recording)
        self.half = None
        with suppress(OSError):  # there is none, or its name would have been too long
            if _is_partial(path):
                path.unlink()

    # ----------------------------------------------------------------------------------------------------- origins

    def _origin(self, recording: Recording) -> Origin:
        return Origin.of(recording, self.read[recording.output], *self.made_with)

    def _differences(self, before: Origin, recording: Recording) -> list[str]:
        try:
            return differences(before, recording, *self.made_with)
        except OSError:  # the recording cannot be read: that is told when it is its turn
            return [f"of another recording, {before.path}"]


def _is_partial(path: Path) -> bool:
    """Whether `keep` wrote the file. Raises OSError where there is none."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def _sentence(start: float, words: Sequence[Sequence[Any]]) -> Sentence:
    found = tuple(Word(str(text), float(first), float(last), float(sure)) for text, first, last, sure in words)
    return float(start), [Hypothesis((), " ".join(word.text for word in found), 0.0, found)]
