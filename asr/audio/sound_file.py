"""Sound files on a time line: blocks of mono samples, whoever decodes them.

libsndfile is asked first; what it does not read (m4a, mp4, webm and the like) goes through PyAV or, where that is not
installed, the ffmpeg program. What is damaged is silence, and told; see `asr.audio.reader`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr.audio.ffmpeg_program import FfmpegReader, has_ffmpeg
from asr.audio.files import open_file
from asr.audio.libsndfile import LibsndfileReader, NotReadable
from asr.audio.pyav import AvReader, has_av
from asr.audio.reader import ROUNDING, Notice, Reader, Report, shortened
from asr.errors import AudioError

BLOCK = 1 << 17  # samples of all channels together in a block, at most
LOUDEST = 2.0**33  # full scale is 1, or 2**31 where integers were written as floats: beyond it are no samples
CANCELLED = 0.1  # share of the power that unrelated channels keep when they are mixed; less is opposite phase

# Formats without a header, by their names' endings.
HEADERLESS = {".raw", ".pcm", ".vox", ".gsm", ".au", ".snd", ".ul", ".al"}


@dataclass(frozen=True)
class SoundFile:
    """An open sound file."""

    path: Path
    reader: Reader

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.reader.sample_rate

    @property
    def num_channels(self) -> int:
        return self.reader.num_channels

    @property
    def num_samples(self) -> int | None:
        """Of one channel; None where that is not known without decoding."""
        return self.reader.num_samples

    @property
    def notices(self) -> Sequence[Notice]:
        """What is known to be wrong without decoding."""
        return self.reader.notices

    def refuse(self, notice: Notice) -> None:
        """A report: raises AudioError for damage."""
        if notice.damage:
            raise AudioError(f"{self.path}: {notice}")

    def blocks(
        self,
        channel: int | None = None,
        offset: float = 0.0,
        duration: float | None = None,
        report: Report | None = None,
    ) -> Iterator[np.ndarray]:
        """The file, or `duration` seconds of it from `offset` on: blocks (S,) float32, mono.

        Channels are averaged unless one (0 is the first) is chosen. What is damaged is silence and reported; without
        `report` it is an error. Raises AudioError where the channel or the part is not there, or nothing can be read.
        """
        path, rate = self.path, self.sample_rate
        if not (math.isfinite(offset) and offset >= 0 and (duration is None or duration > 0)):
            raise AudioError(
                f"{path}: asked for {duration} s from {offset} s on; wanted more than 0 s, from 0 s or later"
            )
        if channel is not None and not 0 <= channel < self.num_channels:
            raise AudioError(f"{path}: has {self.num_channels} channel(s), no channel {channel} (the first is 0)")
        start = round(offset * rate)
        stop = None if duration is None else start + max(1, round(duration * rate))
        part = _Part(self, start, stop, report or self.refuse)
        return part.mono(channel)


class _Part:
    """A part of a sound file, while it is read."""

    def __init__(self, sound: SoundFile, start: int, stop: int | None, report: Report):
        self.sound, self.start, self.stop = sound, start, stop
        self.rate = sound.sample_rate
        self.size = max(1, min(self.rate, BLOCK // sound.num_channels))
        self.forward = report
        self.lost_until = 0.0  # seconds
        self.read = 0  # samples that were there
        self.told = False

    def report(self, notice: Notice) -> None:
        if notice.lost:
            start, stop = notice.lost
            if stop * self.rate < self.start or (self.stop is not None and start * self.rate >= self.stop):
                return
            self.lost_until = max(self.lost_until, stop)
        self.forward(notice)

    def mono(self, channel: int | None) -> Iterator[np.ndarray]:
        """Blocks (S,)."""
        for notice in self.sound.notices:
            self.report(notice)
        place = self.start
        for block in self._blocks():
            yield self._mixed(block, channel, place)
            place += len(block)
        wanted = self.sound.num_samples if self.stop is None else self.stop
        end = max(place, round(self.lost_until * self.rate))
        if place == self.start > 0:
            known, seconds = self.sound.num_samples, self.start / self.rate
            lasts = "" if known is None else f"lasts {known / self.rate:.2f} s, so "
            raise AudioError(f"{self.sound.path}: {lasts}there is nothing at {seconds:g} s")
        if place > self.start and not self.read:
            raise AudioError(f"{self.sound.path}: damaged audio: nothing of it can be read")
        if wanted is not None and place > self.start and (wanted - end) / self.rate > ROUNDING:
            self.report(shortened(wanted / self.rate, place / self.rate))

    def _blocks(self) -> Iterator[np.ndarray]:
        """(S, channels): a second each, from one full second to the next, however the reader gives them."""
        kept: list[np.ndarray] = []
        count, room = 0, self.size - self.start % self.size
        for samples in self._gapless():
            while len(samples):
                kept.append(samples[: room - count])
                count += len(kept[-1])
                samples = samples[len(kept[-1]) :]
                if count == room:
                    yield np.concatenate(kept)
                    kept, count, room = [], 0, self.size
        if kept:
            yield np.concatenate(kept)

    def _gapless(self) -> Iterator[np.ndarray]:
        """(S, channels): what there is from `start` to `stop`, with silence where there is nothing."""
        place = self.start
        with closing(self.sound.reader.chunks(self.start, self.stop, self.report)) as chunks:  # type: ignore[type-var]
            for first, samples in chunks:
                while first > place and (self.stop is None or place < self.stop):
                    count = min(first, self.stop or first, place + self.size) - place
                    yield np.zeros((count, samples.shape[1]), np.float32)
                    place += count
                samples = samples[max(0, place - first) : None if self.stop is None else max(0, self.stop - first)]
                if len(samples):
                    self.read += len(samples)
                    yield samples
                    place += len(samples)
                if self.stop is not None and place >= self.stop:
                    return

    def _mixed(self, block: np.ndarray, channel: int | None, place: int) -> np.ndarray:
        """(S, channels) from sample `place` on -> (S,)."""
        good = np.abs(block) < LOUDEST
        if not good.all():
            where = np.flatnonzero(~good.all(axis=1))
            first, last = ((place + int(sample)) / self.rate for sample in (where[0], where[-1]))
            self.read -= len(where)
            self.report(Notice("holds samples that are NaN, infinite or too large for a sound", (first, last)))
            block = np.where(good, block, np.float32(0))
        if channel is not None or block.shape[1] == 1:
            return np.ascontiguousarray(block[:, channel or 0])
        mixed: np.ndarray = block.mean(axis=1)
        powers = np.square(block).mean(axis=0)
        if np.square(mixed).mean() < CANCELLED / block.shape[1] * powers.mean():
            loudest = int(np.argmax(powers > powers.max() / 2))
            if not self.told:
                self.told = True
                problem = f"its channels cancel each other out (opposite phase), first at {place / self.rate:.2f} s"
                self.report(Notice(f"{problem}: channel {loudest} is read there", damage=False))
            return np.ascontiguousarray(block[:, loudest])
        return mixed


@contextmanager
def open_sound(path: Path | str, track: int | None = None) -> Iterator[SoundFile]:
    """Open a sound file; track: which of several sound tracks is read (0 is the first), by default the main one.

    Raises AudioError where it is missing, empty, not audio, or lacks the track.
    """
    path = Path(path)
    with open_file(path) as file:
        yield SoundFile(path, _reader(file, path, track))


def _reader(file: BinaryIO, path: Path, track: int | None) -> Reader:
    try:
        return LibsndfileReader(file, path, track)
    except NotReadable as error:
        try:
            if has_av():
                return AvReader(file, path, track)
            if has_ffmpeg():
                return FfmpegReader(file, path, track)
        except AudioError:
            if path.suffix.lower() not in HEADERLESS:
                raise
        if path.suffix.lower() in HEADERLESS:
            raise AudioError(
                f"{path}: no header says at which rate and in which coding the samples are. If it is audio, give it "
                "one: sox -t raw -r RATE -e signed -b 16 -c 1 IN out.wav"
            ) from error
        raise AudioError(
            f"{path}: not audio that libsndfile reads ({error}). For m4a, mp4, webm and the like install PyAV "
            "(pip install 'asr[av]') or the ffmpeg program"
        ) from error
