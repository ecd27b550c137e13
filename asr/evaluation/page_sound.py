"""Where a page finds an utterance's sound: a link to its file, or the sound itself as a data URI."""

import base64
import io
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from asr.data.manifest import Utterance
from asr.errors import AudioError

MEDIA_TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg",
    ".m4a": "audio/mp4", ".mp4": "audio/mp4", ".webm": "audio/webm",
}  # fmt: skip
"""Of files that browsers play."""

ROUNDING = 0.02  # seconds: by so much a manifest's duration may differ from that of the whole file


class PageSound:
    """Sounds of utterances for a page that will stand in a folder; the first, up to `room` bytes, are embedded."""

    def __init__(self, utterances: Sequence[Utterance], folder: Path, room: int) -> None:
        self.folder = folder.resolve()
        self.room = room
        self.sharing = Counter(row.audio_filepath for row in utterances)
        self.link = cache(self._link)  # many segments have the same file

    def source(self, row: Utterance) -> str:
        """For an audio element's src; empty where the utterance has no sound."""
        if not row.audio_filepath:
            return ""
        if self.room > 0 and (found := _read(row)):
            self.room -= len(found[1])  # below 0 it is full: thousands need not be read to find one that fits
            if self.room >= 0:
                return f"data:{found[0]};base64,{base64.b64encode(found[1]).decode()}"
        segment = row.offset or self.sharing[row.audio_filepath] > 1
        part = f"#t={_seconds(row.offset)},{_seconds(row.offset + row.duration)}" if segment else ""
        return self.link(row.audio_filepath) + part

    def _link(self, path: str) -> str:
        """The file from the page's folder; absolute where no relative path leads to it (another drive of Windows)."""
        file = Path(path).resolve()
        try:
            relative = Path(os.path.relpath(file, self.folder))
        except ValueError:
            return file.as_uri()
        return quote(os.fsencode(relative.as_posix()))  # the name's own bytes, which need not be UTF-8


def _read(row: Utterance) -> tuple[str, bytes] | None:
    """Media type and bytes: the file itself where it is the utterance and can be played, else the utterance as FLAC."""
    import numpy as np
    import soundfile

    from asr.audio.load import load_audio, read_info

    path = Path(row.audio_filepath)
    kind = MEDIA_TYPES.get(path.suffix.lower())
    try:
        if kind and not row.offset and abs(read_info(path).duration - row.duration) <= ROUNDING:
            return kind, path.read_bytes()
        waveform, rate = load_audio(path, offset=row.offset, duration=row.duration)
    except (AudioError, OSError):  # a link to it can do no harm
        return None
    flac = io.BytesIO()
    soundfile.write(flac, np.clip(waveform, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return "audio/flac", flac.getvalue()


def _seconds(value: float) -> str:
    """To the millisecond, without an exponent, which media fragments do not know."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
