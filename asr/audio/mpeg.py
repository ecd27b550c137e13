"""MP3 files frame by frame: how long they are, where they are damaged, and where one of several joined ones begins.

Decoders go by the tag in the first frame (Xing's, LAME's) or guess, and neither helps with files that were cut, joined
or damaged. Each frame's header tells its length, so that what is no frame is found by going from one to the next.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from asr.audio.pieces import Piece, after_id3, read_at, size_of
from asr.audio.reader import ROUNDING, Notice, shortened

RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG 1
KBITS = {  # by MPEG 1 or not, and layer
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
SYNC = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")  # what a frame may begin with
SURE = 3  # frames in a row that are no accident
DECODER_DELAY = 529  # samples by which every decoder is late
LEAD = 1.0  # seconds to decode before what is wanted: the first frames need bits of those before
BLOCK = 1 << 20  # bytes read at a time
TAIL = 1 << 16  # bytes among which the end of lyrics may be
SMALL = 1441  # bytes of the longest frame: recordings of streams begin within one

Kind = tuple[int, int, int, bool]
"""Version, layer, rate, mono: the same in all frames of a recording."""


class Header(NamedTuple):
    """What a frame's first four bytes tell."""

    kind: Kind
    rate: int  # Hz
    samples: int  # of each channel
    length: int  # bytes

    @property
    def tag_place(self) -> int:
        """Where Xing's tag is in a frame: behind what layer III keeps there for the channels."""
        version, _, _, mono = self.kind
        return 4 + ((17 if mono else 32) if version == 3 else (9 if mono else 17))


@dataclass
class Run:
    """Frames without a break between them."""

    first: int  # number of its first frame within its recording, lost ones included
    places: "array[int]" = field(default_factory=lambda: array("Q"))  # bytes at which they begin
    stop: int = 0  # where the last one ends


@dataclass
class Recording:
    """An MP3 file, or one of those that were joined."""

    header: Header
    start: float  # seconds at which it begins
    frames: int | None = None  # as its tag says
    delay: int = 0  # samples at its beginning that are the encoder's
    padding: int = 0  # samples at its end that are the encoder's
    runs: list[Run] = field(default_factory=list)
    count: int = 0  # frames, lost ones included

    @property
    def stop(self) -> float:
        """Seconds."""
        padding = self.padding if self.frames in (None, self.count) else 0
        return self.start + max(0, self.count * self.header.samples - self.delay - padding) / self.header.rate

    def seconds(self, frame: int) -> float:
        """When a frame is heard."""
        return self.start + max(0, frame * self.header.samples - self.delay) / self.header.rate

    def add(self, place: int, length: int, lost: int) -> None:
        """A frame, after `lost` bytes that are none."""
        if self.runs and lost:
            run = self.runs[-1]
            mean = (run.stop - run.places[0]) / len(run.places)
            self.count += max(1, round(lost / mean))
        if lost or not self.runs:
            self.runs.append(Run(self.count))
        self.runs[-1].places.append(place)
        self.runs[-1].stop = place + length
        self.count += 1

    def close(self) -> Iterator[Notice]:
        """What was lost of it."""
        if self.frames is not None and self.frames > self.count and len(self.runs) == 2:
            self.runs[1].first += (
                self.frames - self.count
            )  # bytes may have been lost, not changed: the tag knows better
            self.count = self.frames
        for before, after in zip(self.runs, self.runs[1:], strict=False):
            lost = self.seconds(before.first + len(before.places)), self.seconds(after.first)
            yield Notice(f"damaged MP{self.header.kind[1]} frames", lost)
        announced = self.seconds(self.frames or 0)
        if announced - self.seconds(self.count) > ROUNDING:
            yield shortened(announced, self.seconds(self.count))


@dataclass(frozen=True)
class Part:
    """A run of frames, and when it is heard."""

    header: Header
    run: Run
    start: float  # seconds at which its first frame is heard
    begin: float  # seconds at which its recording begins: what is before is the encoder's
    stop: float  # seconds at which its recording ends

    def open(self, sample: int) -> tuple[list[Piece], int, int]:
        """(sample of the run that is wanted) -> a file, the samples in it, and the first one's number in the run."""
        places, stop, samples = self.run.places, self.run.stop, self.header.samples
        lead = round(LEAD * self.header.rate / samples)
        first = max(0, min(sample // samples, len(places) - 1) - lead)
        count = len(places) - first
        tag = _make_tag(self.header, count)
        return [tag, (places[first], stop)], count * samples, first * samples


def is_likely(file: BinaryIO) -> bool:
    """Whether a file begins as MP3 files do."""
    scanner = _Scanner(file)
    return scanner.chain(scanner.after_tags(0)) >= SURE


def parts(file: BinaryIO) -> tuple[list[Part], list[Notice]] | None:
    """The runs of frames of an MP3 file, none of MP1 and MP2, and what is damaged; None where there are no frames."""
    recordings, notices = _recordings(_Scanner(file))
    found = [
        Part(
            recording.header,
            run,
            recording.start + (run.first * recording.header.samples - recording.delay) / recording.header.rate,
            recording.start,
            recording.stop,
        )
        for recording in recordings
        for run in recording.runs
    ]
    if not found:
        return None
    if any(part.header.kind[1] != 3 for part in found):
        return [], notices  # layers I and II have no tag that tells libmpg123 how many frames follow
    return found, notices


def _recordings(scanner: "_Scanner") -> tuple[list[Recording], list[Notice]]:
    recordings: list[Recording] = []
    notices: list[Notice] = []
    recording: Recording | None = None
    place, lost, zero = scanner.after_tags(0), 0, True
    while place < scanner.size:
        header = scanner.header(place)
        kind = recording.header.kind if recording else None
        if not header or not scanner.fits(place, header, kind if not lost else None):
            after = scanner.after_tags(place)
            if after == place:
                after = scanner.next_frame(place + 1, kind)
                lost += after - place
                zero = zero and scanner.is_zero(place, after)
            place = after
            continue
        tag = _read_tag(scanner, place, header)
        if tag or recording is None or header.kind != kind:
            start = 0.0
            if recording:
                notices += recording.close()
                start = recording.stop
            if lost > (0 if recording else SMALL) and not zero:
                notices.append(Notice(f"{lost} bytes that are no MP3", (start, start)))
            frames, delay, padding = tag or (None, 0, 0)
            recording = Recording(header, start, frames, delay, padding)
            recordings.append(recording)
            lost, zero = 0, True
        if not tag:
            recording.add(place, header.length, lost)
            lost, zero = 0, True
        place += header.length
    if recording:
        notices += recording.close()
        if lost and not (zero and lost < TAIL):
            problem = f"its last {lost} bytes are no whole MP{recording.header.kind[1]} frames"
            notices.append(Notice(problem, (recording.stop, recording.stop)))
    return recordings, notices


class _Scanner:
    """A file's bytes, seen as frames."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.size = size_of(file)
        self.base, self.block = 0, b""
        self.known: dict[tuple[bytes, bool], Header | None] = {}

    def bytes_at(self, place: int, count: int) -> bytes:
        first = place - self.base
        if first < 0 or first + count > len(self.block):
            self.base, self.block, first = place, read_at(self.file, place, max(BLOCK, count)), 0
        return self.block[first : first + count]

    def header(self, place: int) -> Header | None:
        head = self.bytes_at(place, 4)
        if len(head) < 4:
            return None
        key = head[:3], head[3] >= 0xC0
        if key not in self.known:
            self.known[key] = _parse(*key)
        return self.known[key]

    def fits(self, place: int, header: Header, kind: Kind | None) -> bool:
        """Whether a frame goes on those of this kind, or is the first of several of another."""
        if header.kind == kind:
            return place + header.length <= self.size
        return self.chain(place) >= SURE

    def chain(self, place: int) -> int:
        """How many frames of one kind follow each other from here on, up to `SURE`; the file's end counts for them."""
        kind = None
        for count in range(SURE):
            if place == self.size and count:
                return SURE
            header = self.header(place)
            if header is None or header.kind != (kind or header.kind) or place + header.length > self.size:
                return count
            kind, place = header.kind, place + header.length
        return SURE

    def next_frame(self, place: int, kind: Kind | None) -> int:
        """Where a frame of this kind that another follows, or the first of several of another kind, or a tag is."""
        while self.size - place >= 3:
            block = self.bytes_at(place, min(BLOCK, self.size - place))
            for match in SYNC.finditer(block):
                header = self.header(place + match.start())
                if header and self.chain(place + match.start()) >= (2 if header.kind == kind else SURE):
                    return place + match.start()
            place += max(1, len(block) - 2)
        return self.size

    def is_zero(self, place: int, stop: int) -> bool:
        return stop - place <= TAIL and not any(self.bytes_at(place, stop - place))

    def after_tags(self, place: int) -> int:
        """Where what players write between and behind recordings ends, if some of it is here."""
        while True:
            head, begin = self.bytes_at(place, 32), place
            if head[:3] == b"ID3":
                place += after_id3(head)
            elif head[:3] == b"TAG" and self.size - place <= 128:
                place = self.size
            elif head[:8] == b"APETAGEX" and len(head) == 32:
                has_header = bool(head[23] & 0x20)
                place += 32 + (int.from_bytes(head[12:16], "little") if has_header else 0)
            elif head[:11] == b"LYRICSBEGIN":
                text = self.bytes_at(place, min(TAIL, self.size - place))
                ends = [found + 9 for word in (b"LYRICSEND", b"LYRICS200") if (found := text.find(word)) >= 0]
                place += min(ends, default=0)
            if place == begin or place > self.size:
                return begin


def _parse(head: bytes, mono: bool) -> Header | None:
    if head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hertz = RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbits = KBITS[version == 3, layer][bits]
    samples = 384 if layer == 1 else 1152 if layer == 2 or version == 3 else 576
    length = (12_000 * kbits // hertz + padding) * 4 if layer == 1 else samples // 8 * kbits * 1000 // hertz + padding
    return Header((version, layer, rate, mono), hertz, samples, length)


def _read_tag(scanner: _Scanner, place: int, header: Header) -> tuple[int | None, int, int] | None:
    """Of a frame that is a tag: frames that follow, if it says so, and samples of the encoder's before and after."""
    frame = scanner.bytes_at(place, header.length)
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big"), 0, 0
    tag = frame[header.tag_place :]
    if tag[:4] not in (b"Xing", b"Info"):
        return None
    flags = tag[7] if len(tag) > 7 else 0
    frames = int.from_bytes(tag[8:12], "big") if flags & 1 else None
    encoder = tag[8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit) :]
    if not encoder[:4].strip(b"\0") or len(encoder) < 24:
        return frames, 0, 0
    both = int.from_bytes(encoder[21:24], "big")
    return frames, (both >> 12) + DECODER_DELAY, max(0, (both & 0xFFF) - DECODER_DELAY)


def _make_tag(header: Header, frames: int) -> bytes:
    """A frame that tells how many follow: without it libmpg123 guesses, and libsndfile stops there."""
    version, layer, rate, mono = header.kind
    kbits = KBITS[version == 3, layer]
    sync = bytes([0xFF, 0xE0 | version << 3 | (4 - layer) << 1 | 1])
    for bits in range(1, len(kbits)):
        head = sync + bytes([bits << 4 | rate << 2])
        found = _parse(head, mono)
        tag = b"Info" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
        if found and found.length >= header.tag_place + len(tag):
            frame = head + (b"\xc0" if mono else b"\x00")
            return (frame.ljust(header.tag_place, b"\0") + tag).ljust(found.length, b"\0")
    raise AssertionError("no frame is long enough")  # the longest have hundreds of bytes
