"""Where `asr transcribe` puts what it finds: into a terminal, or files; and the bar that shows how far it is."""

import argparse
import errno
import math
import sys
import time
from typing import TYPE_CHECKING, TextIO

from asr.commands import decoding

if TYPE_CHECKING:
    from asr.transcription.batch import Recognised
    from asr.transcription.inputs import Recording
    from asr.transcription.recogniser import Recogniser
    from asr.transcription.sound import Sound


class Terminal:
    """Transcripts are printed; text as it is found."""

    def __init__(self, name: str):
        self.name = name  # of the format
        self.printed = ""  # of the recording's text

    def wanted(self, recordings: list["Recording"], failures: list[str]) -> list["Recording"]:
        return recordings

    def begun(self, recording: "Recording", rate: int, strict: bool) -> tuple["Sound", "Recognised | None"]:
        from asr.transcription.batch import sound_of

        return sound_of(recording, rate, strict), None

    def take(self, recording: "Recording", found: "Recognised", progress: "Progress") -> list[str]:
        from asr.transcription.manifest_rows import render

        transcript = found.transcript()
        if self.name == "txt":
            self._print_more(recording.label, transcript.text, found.ended, progress)
        elif found.ended:
            progress.print(render(self.name, transcript, recording))
        return []

    def _print_more(self, label: str, text: str, ended: bool, progress: "Progress") -> None:
        more = text[len(self.printed) :]
        # Where the bar stands in the same terminal, what is printed has to end a line.
        line_by_line = progress.visible and sys.stdout.isatty()
        before = f"{label}\t" if not self.printed else "\t" if line_by_line else ""
        if more or ended:
            more = more.lstrip() if line_by_line else more
            progress.print(f"{before}{more}" + ("\n" if ended or line_by_line else ""))
        self.printed = "" if ended else text

    def summarise(self, progress: "Progress", failed: int) -> None:
        pass


class Files:
    """Transcripts are written into --output-dir, and what is there already is not."""

    def __init__(self, recogniser: "Recogniser", formats: list[str], args: argparse.Namespace):
        from asr.transcription.made_with import describe_model, describe_settings
        from asr.transcription.outputs import Outputs

        settings = decoding.settings(args, recogniser.model)
        made_with = describe_settings(settings, decoding.hotwords(args), args.precision)
        self.outputs = Outputs(args.output_dir, formats, describe_model(recogniser.model), made_with)
        self.overwrite = args.overwrite
        self.missing: dict[str, list[str]] = {}  # formats, of each recording that is to be transcribed
        self.there = 0
        self.warnings: list[str] = []

    def wanted(self, recordings: list["Recording"], failures: list[str]) -> list["Recording"]:
        from asr.errors import ConfigError

        found = []
        for recording in recordings:
            try:
                missing = list(self.outputs.formats) if self.overwrite else self.outputs.missing(recording)
            except ConfigError as error:
                failures.append(str(error))
                continue
            if missing:
                self.missing[recording.output] = missing
                found.append(recording)
            else:
                self.there += 1
        if self.outputs.unknown:
            print(
                f"asr transcribe: of the outputs of {self.outputs.unknown} recordings it is not known what they were "
                "made with; they stay as they are",
                file=sys.stderr,
            )
        return found

    def begun(self, recording: "Recording", rate: int, strict: bool) -> tuple["Sound", "Recognised | None"]:
        from asr.transcription.batch import Recognised, sound_of

        sound = sound_of(recording, rate, strict)
        if self.overwrite:
            return sound, None
        found, problem = self.outputs.begun(recording, Recognised(sound))
        if problem:
            print(f"asr transcribe: warning: {recording.label}: {problem}", file=sys.stderr)
        return sound, found

    def take(self, recording: "Recording", found: "Recognised", progress: "Progress") -> list[str]:
        from asr.errors import ConfigError

        try:
            if found.ended:
                self.outputs.save(recording, found.transcript(), self.missing[recording.output])
            else:
                self.outputs.keep(recording, found)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise ConfigError(f"--output-dir: {error.filename} cannot be written: {error.strerror}") from error
            if found.ended:
                return [f"{recording.label}: {error.filename} cannot be written: the name is too long"]
        return []

    def summarise(self, progress: "Progress", failed: int) -> None:
        print(f"{progress.summary()}; {self.there} were there already, {failed} failed", file=sys.stderr)


class Progress:
    """A bar with files done, hours of audio, speed and time left, on a terminal; and their sums."""

    def __init__(self, total: int):
        from tqdm import tqdm

        self.total = total
        self.files = self.seconds = 0.0
        self.started = time.perf_counter()
        form = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}, {remaining} left]"
        self.bar = tqdm(total=total, disable=None, leave=False, smoothing=0, bar_format=form)

    def __call__(self, files: float, seconds: float) -> None:
        self.files += files
        self.seconds += seconds
        self.bar.set_description_str(
            f"{math.floor(self.files + 1e-6)}/{self.total} files, {self._audio()}", refresh=False
        )
        self.bar.update(files)

    def _audio(self) -> str:
        speed = self.seconds / (time.perf_counter() - self.started)
        return f"{self.seconds / 3600:.2f} h of audio, {speed:.0f}x real time"

    @property
    def visible(self) -> bool:
        return not self.bar.disable

    def print(self, text: str, file: TextIO | None = None) -> None:
        with self.bar.external_write_mode():
            print(text, end="", flush=True, file=file)

    def summary(self) -> str:
        return f"{self.total} files, {self._audio()}"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
