"""RECORD: a hidden file in an output folder that says, line by line, what its outputs were made of and with.

Lines are only ever added, by any number of processes; of an output the newest counts.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asr.files import adding
from asr.transcription.made_with import Origin

RECORD = ".asr-transcribe.jsonl"

Tell = Callable[[str, Sequence[str], Origin | None], None]
"""An output, formats of it, and what they are made of and with."""


class Record:
    """What is known of a folder's outputs. Lines that cannot be read, of a full disk say, count for nothing."""

    def __init__(self, folder: Path):
        self.path = folder / RECORD
        self.read = 0  # bytes
        self.origins: dict[tuple[str, str], Origin | None] = {}
        self.update()

    def origin(self, output: str, format: str) -> Origin | None:
        """What the output was made of and with; None: it is not known."""
        return self.origins.get((output, format))

    def update(self) -> None:
        """Read the lines that have been added since the last time, by others too."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.read)
                lines = file.read().split(b"\n")
        except OSError:  # there is none as yet
            return
        self.read += sum(len(line) + 1 for line in lines[:-1])
        for line in lines[:-1]:
            self._add(line)

    def _add(self, line: bytes) -> None:
        try:
            values: dict[str, Any] = json.loads(line)
            output, formats = values["output"], values["formats"]
            origin = Origin.from_dict(values["origin"]) if values["origin"] else None
            self.origins |= {(output, str(name)): origin for name in formats}
        except (ValueError, KeyError, TypeError):
            return

    @contextmanager
    def alone(self) -> Iterator[Tell]:
        """While outputs are written, by this process alone; all that others have told is known then.

        Gives what tells that these formats of an output were made so, or, with None, that it is not known how: before
        they are written over, since that may be interrupted.
        """
        with adding(self.path) as file:
            self.update()

            def tell(output: str, formats: Sequence[str], origin: Origin | None) -> None:
                line = {"output": output, "formats": list(formats), "origin": origin and origin.to_dict()}
                file.write(json.dumps(line) + "\n")
                file.flush()

            yield tell
