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
        self.printed = 0  # segments of the recording

    def wanted(self, recordings: list["Recording"], failures: list[str]) -> list["Recording"]:
        """Those that are to be transcribed; adds to the failures why others are not."""
        return recordings

    def begin(self, recording: "Recording", sound: "Sound", progress: "Progress") -> "Recognised":
        """What is known of the recording before it is read."""
        from asr.transcription.batch import Recognised

        return Recognised(sound)

    def take(self, recording: "Recording", found: "Recognised", progress: "Progress") -> list[str]:
        """What has been found so far; messages about what is wrong with it."""
        from asr.transcription.manifest_rows import render

        if self.name == "txt":
            self._print_more(recording, found, progress)
        elif found.ended and not found.problem:
            progress.print(render(self.name, found.transcript(), recording))
        return []

    def _print_more(self, recording: "Recording", found: "Recognised", progress: "Progress") -> None:
        texts = [segment.text for segment in found.segments(self.printed)]
        begins = not self.printed
        if progress.visible and sys.stdout.isatty():
            # The bar stands in the same terminal: what is printed has to end a line.
            if begins and found.ended and not found.problem:
                texts = texts or [""]
            lines = [f"{recording.label if begins and not i else ''}\t{text}\n" for i, text in enumerate(texts)]
            progress.print("".join(lines))
        elif texts or self.printed or (found.ended and not found.problem):
            before = f"{recording.label}\t" if begins else " " if texts else ""
            progress.print(before + " ".join(texts) + ("\n" if found.ended else ""))
        self.printed = 0 if found.ended else len(found.sentences)

    def kept(self) -> str:
        """What is there for those who interrupt the command."""
        return "interrupted"

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
        self.there = self.written = 0
        self.warned: set[str] = set()  # outputs of which was told that no part can be kept, or that it does not fit

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
                self.outputs.done(recording)
        if unknown := self.outputs.unknown:
            more = f" and {len(unknown) - 1} others" if len(unknown) > 1 else ""
            print(
                f"asr transcribe: {unknown[0]}{more}: there already, it is not known what of and with which settings; "
                "they stay as they are, --overwrite makes them anew",
                file=sys.stderr,
            )
        return found

    def begin(self, recording: "Recording", sound: "Sound", progress: "Progress") -> "Recognised":
        from asr.transcription.batch import Recognised

        found, problem = self.outputs.begin(recording, Recognised(sound), anew=self.overwrite)
        if problem:
            self._warn(recording, problem, progress)
        if found.passages:
            at = f"asr transcribe: {recording.label}: goes on at {_clock(found.reached)}\n"
            progress.print(at, sys.stderr)
        return found

    def take(self, recording: "Recording", found: "Recognised", progress: "Progress") -> list[str]:
        from asr.errors import ConfigError

        if found.problem:
            return []
        partial = self.outputs.partial(recording)
        if found.begun_anew:
            self._warn(recording, f"{partial}: made by another version of asr, or of what reads sound files; the "
                       "recording is begun anew", progress)  # fmt: skip
        try:
            if found.ended:
                formats = self.missing[recording.output]
                self.outputs.save(recording, found.transcript(), formats, self.overwrite)
                self.written += 1
            elif not self.outputs.keep(recording, found):
                self._warn(recording, f"{partial} is something else: what is done cannot be kept there", progress)
        except ConfigError as error:
            return [str(error)]
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise ConfigError(f"--output-dir: {error.filename} cannot be written: {error.strerror}") from error
            if found.ended:
                return [f"{recording.label}: {error.filename} cannot be written: the name is too long"]
        return []

    def _warn(self, recording: "Recording", problem: str, progress: "Progress") -> None:
        """Once for each recording."""
        if recording.output not in self.warned:
            progress.print(f"asr transcribe: warning: {recording.label}: {problem}\n", sys.stderr)
        self.warned.add(recording.output)

    def kept(self) -> str:
        done, total = self.written + self.there, len(self.missing) + self.there
        half = self.outputs.half
        part = f", and {half[0]} up to {_clock(half[1])}" if half else ""
        return f"interrupted: {done} of {total} recordings are done{part}; the same command goes on"

    def summarise(self, progress: "Progress", failed: int) -> None:
        print(f"{progress.summary()}; {self.there} were there already, {failed} failed", file=sys.stderr)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{int(seconds % 60):02}"


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
