"""Transcripts as txt, json, srt, vtt, tsv and ctm: a small class for each, which renders a whole file."""

import html
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asr.decoders import Word
from asr.files import replacing
from asr.transcription.transcript import Transcript

LINE_LENGTH = 42  # characters in a line of a subtitle (the BBC's and Netflix's guides say 37 to 42)
LINES = 2
CUE_SECONDS = 7.0  # longest
SHORTEST_CUE = 1.0  # seconds that a cue stays at least, where the next one leaves it room
PAUSE = 1.5  # seconds of silence that end a cue


class Writer(Protocol):
    """A format."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        """The text of the file; `name` says which recording it was."""
        ...


class TextWriter:
    """The words, a line for each segment."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        return "".join(f"{segment.text}\n" for segment in transcript.segments)


class JsonWriter:
    """whisper's keys: text, segments with id, start, end, text, words with word, start, end, probability."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        return json.dumps({"name": name, **transcript.to_dict()}, ensure_ascii=False, indent=2) + "\n"


class SrtWriter:
    """SubRip subtitles."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        return "".join(
            f"{number}\n{timestamp(cue.start, ',')} --> {timestamp(cue.end, ',')}\n{cue.text}\n\n"
            for number, cue in enumerate(cues(transcript), start=1)
        )


class VttWriter:
    """WebVTT subtitles (W3C), for the web's <track>."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        return "WEBVTT\n" + "".join(
            f"\n{timestamp(cue.start, '.')} --> {timestamp(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n"
            for cue in cues(transcript)
        )


class TsvWriter:
    """A table: start and end in milliseconds, text; a row for each segment."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        rows = [f"{_ms(item.start)}\t{_ms(item.end)}\t{item.text}\n" for item in transcript.segments]
        return "".join(["start\tend\ttext\n", *rows])


class CtmWriter:
    """NIST's time-marked conversation file, as sclite reads it: name, channel from 1 on, start, duration, word,
    confidence."""

    def __call__(self, transcript: Transcript, name: str) -> str:
        recording = "_".join(name.split())
        channel = 1 + (transcript.channel or 0)
        return "".join(
            f"{recording} {channel} {word.start:.3f} {word.end - word.start:.3f} {word.text} {word.confidence:.4f}\n"
            for word in transcript.words
        )


WRITERS: dict[str, Writer] = {
    "txt": TextWriter(),
    "json": JsonWriter(),
    "srt": SrtWriter(),
    "vtt": VttWriter(),
    "tsv": TsvWriter(),
    "ctm": CtmWriter(),
}
"""Format, which is also the file's ending -> writer."""


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, making its folder."""
    with replacing(path) as file:
        file.write(text)


# -------------------------------------------------------------------------------------------------------- subtitles


@dataclass(frozen=True)
class Cue:
    """One subtitle."""

    start: int  # milliseconds
    end: int  # milliseconds, after start and not after the next cue's start
    text: str  # lines


def cues(transcript: Transcript) -> list[Cue]:
    """Subtitles of at most two lines of 42 characters and 7 seconds, which do not overlap, in order of time.

    A single word that is longer than that is broken into lines.
    """
    groups = [group for segment in transcript.segments for group in _groups(segment.words)]
    found: list[Cue] = []
    for i, words in enumerate(groups):
        start = max(_ms(words[0].start), found[-1].end if found else 0)
        stay = max(_ms(words[-1].end), start + _ms(SHORTEST_CUE))
        room = _ms(groups[i + 1][0].start) if i + 1 < len(groups) else stay
        end = max(start + 1, min(stay, room, start + _ms(CUE_SECONDS)))
        found.append(Cue(start, end, "\n".join(_lines(words))))
    return found


def _groups(words: Sequence[Word]) -> Iterator[list[Word]]:
    """The words of each cue."""
    group: list[Word] = []
    for word in words:
        if group and (
            word.end - group[0].start > CUE_SECONDS
            or word.start - group[-1].end > PAUSE
            or len(_lines([*group, word])) > LINES
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _lines(words: Sequence[Word]) -> list[str]:
    return textwrap.wrap(" ".join(word.text for word in words), LINE_LENGTH, break_on_hyphens=False)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def timestamp(milliseconds: int, mark: str) -> str:
    """hh:mm:ss and milliseconds, with SubRip's comma or WebVTT's full stop before them."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{milliseconds:03}"
