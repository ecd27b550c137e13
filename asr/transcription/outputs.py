"""The outputs of `asr transcribe --output-dir`: which are there, of what they were made, and what is half done.

The folder has a hidden file, RECORD, with a line of JSON for each recording whose outputs have been written; and beside
an output that is not there yet, of a long recording, NAME.partial.json with the passages that are done.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from asr.decoders import Hypothesis, Word
from asr.errors import ConfigError
from asr.transcription.batch import Recognised
from asr.transcription.inputs import Recording
from asr.transcription.made_with import Origin, differences
from asr.transcription.manifest_rows import render
from asr.transcription.recogniser import Sentence
from asr.transcription.transcript import Transcript
from asr.transcription.writers import write

RECORD = ".asr-transcribe.jsonl"


class Outputs:
    """What lies in an output folder, and what is to be written there."""

    def __init__(self, folder: Path | str, formats: Sequence[str], model: str, settings: Mapping[str, Any]):
        """model, settings: as asr.transcription.made_with describes them."""
        self.folder = Path(folder)
        self.formats = formats
        self.made_with = model, settings
        self.record = self._read_record()
        self.unknown = 0  # outputs of recordings that RECORD does not have

    def path(self, recording: Recording, name: str) -> Path:
        """Of the output in a format."""
        return self.folder / f"{recording.output}.{name}"

    def missing(self, recording: Recording) -> list[str]:
        """The formats that are still to be written.

        Raises ConfigError where those that are there were made of another recording, or with other settings.
        """
        missing = [name for name in self.formats if not self.path(recording, name).exists()]
        if len(missing) < len(self.formats):
            there = next(self.path(recording, name) for name in self.formats if name not in missing)
            before = self.record.get(recording.output)
            if before is None:
                self.unknown += 1
            elif different := self._differences(before, recording):
                raise ConfigError(
                    f"{recording.label}: {there} is there, made {', and '.join(different)}: it stays as it is. To keep "
                    "both, name another --output-dir; --overwrite makes it anew"
                )
        return missing

    def save(self, recording: Recording, transcript: Transcript, formats: Sequence[str]) -> None:
        """Write the outputs, and in RECORD what they were made of. Raises OSError."""
        for name in formats:
            write(self.path(recording, name), render(name, transcript, recording))
        origin = Origin.of(recording, *self.made_with)
        line = json.dumps({"output": recording.output, **origin.to_dict()})
        descriptor = os.open(self.folder / RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, f"{line}\n".encode())  # at once: other processes may add lines too
        finally:
            os.close(descriptor)
        with suppress(OSError):  # there is none, or its name would have been too long
            self._partial(recording).unlink()

    # ------------------------------------------------------------------------------------------- half a recording

    def keep(self, recording: Recording, found: Recognised) -> None:
        """Write what has been found so far. Raises OSError."""
        sentences = [
            [start, [[word.text, word.start, word.end, word.confidence] for word in listed[0].words]]
            for start, listed in found.sentences
        ]
        origin = Origin.of(recording, *self.made_with)
        done = {"passages": found.passages, "reached": found.reached, "sentences": sentences}
        values = done | {"origin": origin.to_dict()}
        write(self._partial(recording), json.dumps(values) + "\n")

    def begun(self, recording: Recording, found: Recognised) -> tuple[Recognised | None, str]:
        """`found` with what `keep` has kept, if that is of the same recording and settings; or why it is not."""
        path = self._partial(recording)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:  # there is none
            return None, ""
        try:
            values = json.loads(text)
            different = self._differences(Origin.from_dict(values["origin"]), recording)
            sentences = [_sentence(start, words) for start, words in values["sentences"]]
            passages, reached = int(values["passages"]), float(values["reached"])
        except (ValueError, KeyError, TypeError) as error:
            return None, f"{path}: cannot be read, the recording is begun anew: {error!r}"
        if different:
            return None, f"{path}: made {', and '.join(different)}; the recording is begun anew"
        return replace(found, sentences=sentences, passages=passages, reached=reached), ""

    def _partial(self, recording: Recording) -> Path:
        return self.folder / f"{recording.output}.partial.json"

    # ----------------------------------------------------------------------------------------------------- origins

    def _differences(self, before: Origin, recording: Recording) -> list[str]:
        try:
            return differences(before, recording, *self.made_with)
        except OSError:  # the recording cannot be read: that is told when it is its turn
            return [f"of another recording, {before.path}"]

    def _read_record(self) -> dict[str, Origin]:
        """The newest line of each output; lines that cannot be read, of a full disk say, count for nothing."""
        found: dict[str, Origin] = {}
        try:
            lines = (self.folder / RECORD).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return found
        for line in lines:
            try:
                values = json.loads(line)
                found[values["output"]] = Origin.from_dict(values)
            except (ValueError, KeyError, TypeError):
                continue
        return found


def _sentence(start: float, words: Sequence[Sequence[Any]]) -> Sentence:
    found = tuple(Word(str(text), float(first), float(last), float(sure)) for text, first, last, sure in words)
    return float(start), [Hypothesis((), " ".join(word.text for word in found), 0.0, found)]
