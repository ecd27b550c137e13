"""Sound files by libsndfile: WAV, FLAC, OGG/Vorbis, Opus, MP3, AIFF, NIST SPHERE and more.

It goes by headers, reads the first of several joined streams, and stops at damage. So files whose structure can be read
without decoding are taken apart first (`asr.audio.riff`, `ogg`, `mpeg`): segments that are whole files, with times.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile
import soxr

from asr.audio import mpeg, ogg, riff
from asr.audio.pieces import Piece, Pieces, find_all, read_at, size_of, sound_start
from asr.audio.reader import ROUNDING, Chunk, Notice, Report, check_header, choose_track, shortened
from asr.errors import AudioError

BLOCK = 1 << 17  # samples of all channels together that are decoded at a time
UNKNOWN = 1 << 60  # samples or more: libsndfile's word for a length that the header does not tell
UNIT = 0.01  # seconds of the smallest stretch that may be lost
NEAR = 50  # such stretches after damage that are tried one by one
GROWTH = 1.5  # of the steps after that
FLAC = b"fLaC\0\0\0\x22"  # its mark, and the header of the first block
MATROSKA = b"\x1a\x45\xdf\xa3"
NEAR_BEGINNING = 1 << 16  # bytes among which a file may begin that has something else before it

# libsndfile's log of a header whose chunk of samples is larger than the file.
TOO_SHORT = re.compile(r"^ *(?:data|SSND|BODY|riff|Riff size|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
SPHERE_LENGTH = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)

NotReadable = soundfile.LibsndfileError


class _File(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after each block, to where it is: libmpg123 complains of that on the terminal."""

    def seekable(self) -> bool:
        return False

    _taken = 0  # samples

    @property
    def length(self) -> int | None:
        return self.frames if self.frames < UNKNOWN else None

    def move(self, sample: int) -> int:
        """Go to this sample if the format allows that; which one comes next."""
        if sample and super().seekable():
            self.seek(sample)
            self._taken = sample
        return self._taken

    def block(self, count: int) -> np.ndarray:
        """The next samples (S, channels) float32; none at the end. Raises LibsndfileError for damage."""
        count = count if self.length is None else min(count, self.length - self._taken)
        if count <= 0:
            return np.zeros((0, self.channels), np.float32)
        found: np.ndarray = self.read(count, dtype="float32", always_2d=True)
        self._taken += len(found)
        return found


@dataclass(frozen=True)
class Segment:
    """A stretch of the time line that is a file by itself."""

    open: Callable[[int], tuple[_File, int]]
    """(sample of it that is wanted) -> an open file, and which sample of the segment it begins with."""
    rate: int  # Hz
    channels: int
    samples: int | None
    start: float = 0.0  # seconds of the time line
    begin: float = 0.0  # seconds before which its samples are not part of the recording
    stop: float | None = None  # seconds from which they are not
    last: bool = False


class LibsndfileReader:
    """A reader. Raises NotReadable where libsndfile knows no such format, AudioError where the file is damaged."""

    def __init__(self, file: BinaryIO, name: object, track: int | None = None):
        self.name = name
        self.notices: list[Notice] = []
        self.segments = self._segments(file, track)
        self.segments[-1] = replace(self.segments[-1], last=True)
        first = self.segments[0]
        self.sample_rate, self.num_channels = first.rate, first.channels
        check_header(name, first.rate, first.channels)
        last = self.segments[-1]
        end = last.stop if last.stop is not None else None
        if end is None and last.samples is not None:
            end = last.start + last.samples / last.rate
        self.num_samples = None if end is None else round(end * first.rate)

    def chunks(self, start: int, stop: int | None, report: Report) -> Iterator[Chunk]:
        """See `asr.audio.reader.Reader`."""
        place = 0
        for number, segment in enumerate(self.segments):
            following = self.segments[number + 1].start if number + 1 < len(self.segments) else segment.stop
            if following is not None and following * self.sample_rate <= start:
                continue
            if stop is not None and segment.start * self.sample_rate >= stop:
                return
            for first, block in self._of_segment(segment, start, stop, report):
                skip = max(0, place - first)
                if skip < len(block):
                    yield first + skip, block[skip:]
                    place = first + len(block)
                if stop is not None and place >= stop:
                    break

    def _of_segment(self, segment: Segment, start: int, stop: int | None, report: Report) -> Iterator[Chunk]:
        """A segment as samples of the reader's rate and channels; where it has that rate, none after `stop`."""
        resampler = None
        if segment.rate != self.sample_rate:
            resampler = soxr.ResampleStream(segment.rate, self.sample_rate, self.num_channels, quality="HQ")
        begin = round(segment.begin * self.sample_rate)
        end = None if segment.stop is None else round(segment.stop * self.sample_rate)
        offset = round(segment.start * self.sample_rate)
        place, last = None, None
        wanted = max(0, round((start / self.sample_rate - segment.start) * segment.rate))
        if stop is not None and not resampler:
            last = stop - offset
        for first, block in _decode(segment, wanted, last, report):
            block = _with_channels(block, self.num_channels)
            if resampler:
                # Gaps within are rare and short: they close up.
                block = resampler.resample_chunk(block)
                place = round(first * self.sample_rate / segment.rate) if place is None else place
                first, place = place, place + len(block)
            first += offset
            skip, until = max(0, begin - first), len(block) if end is None else max(0, end - first)
            if len(block[skip:until]):
                yield first + skip, block[skip:until]
        if resampler and place is not None:
            block = resampler.resample_chunk(np.zeros((0, self.num_channels), np.float32), last=True)
            yield offset + place, block

    # ---------------------------------------------------------------------------------------------- taking it apart

    def _segments(self, file: BinaryIO, track: int | None) -> list[Segment]:
        head = read_at(file, 0, 4)
        if head == b"OggS":
            return self._ogg(file, track)
        try:
            segments = self._without_tracks(file)
        except NotReadable:
            segments = self._behind_others(file)
            if not segments:
                raise
        choose_track(self.name, [_OnlyTrack()], track)
        return segments

    def _without_tracks(self, file: BinaryIO) -> list[Segment]:
        wav = riff.parts(file, self.name)
        if wav:
            parts, notices = wav
            self.notices += notices
            return [self._whole(file, one.pieces, one.start) for one in parts]
        if mpeg.is_likely(file) or Path(str(self.name)).suffix.lower() == ".mp3":
            found = self._mp3(file)
            if found:
                return found
        if read_at(file, sound_start(file), 4) == b"fLaC":
            return self._flac(file)
        pieces = self._au(file) or self._caf(file)
        with _open(file, pieces) as sound:
            stop = self._sphere(file, sound) if sound.format == "NIST" else None
            self._check(sound)
        return [replace(self._whole(file, pieces), stop=stop)]

    def _behind_others(self, file: BinaryIO) -> list[Segment]:
        """A FLAC or Ogg file after bytes of something else, as downloads with their HTTP header are; else nothing."""
        head = read_at(file, 0, NEAR_BEGINNING)
        if head.startswith(MATROSKA) or head[4:8] == b"ftyp":
            return []  # they have FLAC's header within their own
        places = [place for mark in (FLAC, b"OggS\0\2") if (place := head.find(mark)) > 0]
        if not places:
            return []
        start = min(places)
        segments = self._flac(file) if head.startswith(FLAC, start) else self._ogg(file, None)
        self.notices.append(Notice(f"its first {start} bytes are no sound"))
        return segments

    def _au(self, file: BinaryIO) -> list[Piece] | None:
        """An AU file whose header says another length than it has, with one that says "until the end"."""
        head, size = read_at(file, 0, 24), size_of(file)
        if len(head) < 24 or head[:4] not in (b".snd", b"dns."):
            return None
        order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
        first, claimed = int.from_bytes(head[4:8], order), int.from_bytes(head[8:12], order)
        there = size - first
        if claimed in (there, 0xFFFFFFFF) or there <= 0:
            return None
        if 0 < claimed < riff.UNKNOWN_SIZE and abs(claimed - there) > riff.HEADER_SIZE:
            verb = "truncated" if claimed > there else "damaged header"
            self.notices.append(Notice(f"{verb}: the header says {claimed} bytes, {there} are there"))
        return [head[:8] + b"\xff\xff\xff\xff", (12, size)]

    def _caf(self, file: BinaryIO) -> list[Piece] | None:
        """A CAF file that was cut, which libsndfile refuses, with a header that says what is there."""
        start, size = sound_start(file), size_of(file)
        place = start + 8
        if read_at(file, start, 4) != b"caff":
            return None
        while place + 12 <= size:
            head = read_at(file, place, 12)
            length = int.from_bytes(head[4:], "big", signed=True)  # -1 of samples: until the end
            place += 12
            if head[:4] == b"data":
                there = size - place
                if length <= there or there <= 4:  # a number precedes the samples
                    return None
                self._cut(length, there)
                return [read_at(file, start, place - 8 - start) + there.to_bytes(8, "big"), (place, size)]
            if length < 0:
                return None
            place += length
        return None

    def _whole(self, file: BinaryIO, pieces: list[Piece] | None = None, start: float = 0.0) -> Segment:
        def open(sample: int) -> tuple[_File, int]:
            sound = _open(file, pieces)
            try:
                return sound, sound.move(sample)
            except BaseException:
                sound.close()
                raise

        with _open(file, pieces) as sound:
            return Segment(open, sound.samplerate, sound.channels, sound.length, start)

    def _flac(self, file: BinaryIO) -> list[Segment]:
        """FLAC files that were joined, one after the other."""
        places = list(find_all(file, FLAC))
        if len(places) < 2:
            start = places[0] if places else 0
            return [self._whole(file, [(start, size_of(file))] if start else None)]
        found: list[Segment] = []
        for start, stop in zip(places, [*places[1:], size_of(file)], strict=True):
            before = found[-1] if found else None
            if before and before.samples is None:
                break
            begin = before.start + (before.samples or 0) / before.rate if before else 0.0
            try:
                found.append(self._whole(file, [(start, stop)], begin))
            except NotReadable:
                continue  # those bytes were within a frame, or a picture
        return found

    def _mp3(self, file: BinaryIO) -> list[Segment]:
        taken = mpeg.parts(file)
        if taken is None:
            return []
        parts, notices = taken
        if parts or mpeg.is_likely(file):
            self.notices += notices
        if not parts:
            return []

        def open(part: mpeg.Part, sample: int) -> tuple[_File, int]:
            pieces, samples, first = part.open(sample)
            sound = _open(file, pieces)
            return sound, first + samples - sound.frames  # libmpg123 leaves out the decoder's delay

        found = [
            Segment(
                partial(open, part),
                part.header.rate,
                1 if part.header.kind[-1] else 2,
                len(part.run.places) * part.header.samples,
                part.start,
                part.begin,
                part.stop,
            )
            for part in parts
        ]
        found[0].open(0)[0].close()  # some builds of libsndfile know no MP3
        return found

    def _ogg(self, file: BinaryIO, track: int | None) -> list[Segment]:
        """Streams that follow each other, each in parts between gaps."""
        groups, tail = ogg.streams(file)
        cut = "truncated: the last Ogg page is not complete"
        if not groups:
            if tail and any(found for found in find_all(file, b"OggS")):
                raise AudioError(f"{self.name}: {cut}, and none before it holds sound")
            return [self._whole(file)]
        number, notices = choose_track(self.name, [_OnlyTrack()] * len(groups[0]), track)
        self.notices += notices
        found: list[Segment] = []
        begin = 0.0
        for group in groups:
            stream = group[min(number, len(group) - 1)]
            offset, end = stream.delay(file) if stream.cut else None, begin
            for part, pages in enumerate(stream.parts):
                try:
                    segment = self._whole(file, stream.pieces(file, part))
                except NotReadable:
                    if len(stream.parts) == 1 and len(groups) == 1:
                        raise
                    continue
                granules = [page.granule for page in pages if page.granule >= 0]
                if not segment.samples or not granules:
                    continue
                ticks = ogg.OPUS_RATE if stream.codec == b"OpusHead" else segment.rate
                start = granules[-1] / ticks - segment.samples / segment.rate
                offset = start if offset is None else offset
                start = begin + start - offset
                if part or stream.cut:
                    start = max(start, end)
                    self.notices.append(Notice("damaged or missing Ogg pages", (end, start)))
                found.append(replace(segment, start=start))
                end = start + segment.samples / segment.rate
            begin = end
        if not found:
            raise AudioError(f"{self.name}: the file holds no audio samples")
        if tail:
            self.notices.append(Notice(cut, (begin, begin)))
        return found

    def _sphere(self, file: BinaryIO, sound: _File) -> float | None:
        """Where a SPHERE file ends, in seconds, if other bytes follow: libsndfile goes by the file's size."""
        match = SPHERE_LENGTH.search(read_at(file, sound_start(file), 1024))
        if not match:
            return None
        claimed: float = int(match[1]) / sound.samplerate
        there: float = sound.frames / sound.samplerate
        if claimed > there:
            self.notices.append(shortened(claimed, there))
        elif claimed > 0 and there - claimed < ROUNDING:
            return claimed
        elif claimed > 0:
            problem = f"damaged header: the header says {claimed:.2f} s, {there:.2f} s are there"
            self.notices.append(Notice(problem))
        return None

    def _check(self, sound: _File) -> None:
        """What a header announces and the file does not hold: libsndfile reads what is there, silently."""
        for claimed, there in TOO_SHORT.findall(sound.extra_info):
            if int(claimed) < riff.UNKNOWN_SIZE:
                self._cut(int(claimed), int(there))

    def _cut(self, claimed: int, there: int) -> None:
        """Tell of bytes of samples that a header announces and the file does not hold."""
        if claimed > there + riff.HEADER_SIZE:
            self.notices.append(Notice(f"truncated: the header says {claimed} bytes, {there} are there"))


class _OnlyTrack:
    default, title = False, ""


def _open(file: BinaryIO, pieces: list[Piece] | None = None) -> _File:
    """Raises NotReadable."""
    if not pieces and (start := sound_start(file)):
        pieces = [(start, size_of(file))]
    if pieces:
        return _File(Pieces(file, pieces))
    file.seek(0)
    return _File(file.fileno(), closefd=False)


def _with_channels(block: np.ndarray, channels: int) -> np.ndarray:
    """What was recorded with another number of channels as if with this one."""
    if block.shape[1] == channels:
        return block
    return np.repeat(block.mean(axis=1, keepdims=True), channels, axis=1)


# ----------------------------------------------------------------------------------------------------------- decoding


def _decode(segment: Segment, start: int, stop: int | None, report: Report) -> Iterator[Chunk]:
    """Blocks from sample `start`, or somewhat before it, to `stop`, with their places in the segment; past damage."""
    wanted: int | None = start
    if segment.samples is not None and start >= segment.samples:
        return
    while wanted is not None:
        place = wanted
        try:
            for place, block in _read(segment, wanted, BLOCK // segment.channels, stop):
                yield place, block
                place += len(block)
            return
        except NotReadable as error:
            problem = f"damaged audio ({str(error).removeprefix('Error : ').strip(' .')})"
        # Small steps find where in the block the damage begins.
        first = place
        try:
            for place, block in _read(segment, first, _unit(segment), stop):
                yield place, block
                place += len(block)
            return
        except NotReadable:
            wanted = _next_readable(segment, place)
            after = next((sample for sample in (wanted, segment.samples) if sample is not None), place)
            if not (segment.last and wanted is None and segment.samples):  # its user sees that it is too short
                report(Notice(problem, (segment.start + place / segment.rate, segment.start + after / segment.rate)))
            if wanted is not None and stop is not None and wanted >= stop:
                return


def _read(segment: Segment, start: int, size: int, stop: int | None = None) -> Iterator[Chunk]:
    sound, place = segment.open(start)
    with sound:
        while stop is None or place < stop:
            block = sound.block(max(1, size if stop is None else min(size, stop - place)))
            if not len(block):
                return
            yield place, block
            place += len(block)


def _next_readable(segment: Segment, place: int) -> int | None:
    """The first sample after damage at `place` from which on there is sound again; None where there is no such."""
    unit = step = _unit(segment)
    bad, good, tries = place, place, 0
    while True:
        good = bad + step
        if segment.samples is not None and good >= segment.samples:
            good = segment.samples - unit
            if good <= bad or not _readable(segment, good):
                return None
            break
        if _readable(segment, good):
            break
        bad, tries = good, tries + 1
        step = step if tries < NEAR else round(step * GROWTH)
        if step > UNKNOWN:
            return None
    while good - bad > unit:
        middle = (bad + good) // 2
        bad, good = (bad, middle) if _readable(segment, middle) else (middle, good)
    return good


def _readable(segment: Segment, sample: int) -> bool:
    try:
        for place, block in _read(segment, sample, _unit(segment)):
            if place + len(block) > sample:
                return True
    except NotReadable:
        pass
    return False


def _unit(segment: Segment) -> int:
    return max(1, round(UNIT * segment.rate))
