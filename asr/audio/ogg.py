"""Ogg files page by page (RFC 3533): where they are damaged, and where one of several joined ones begins.

Internet radio sends a new stream for every title, and libsndfile reads the first; of a file with a gap it may read
nothing at all. Each page has a number, a checksum and the time at which it ends. So a stream is taken apart where pages
are missing, and each part, behind the stream's headers, is a file by itself whose last page tells when it is heard.
"""

import zlib
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from asr.audio.pieces import PART, Piece, read_at, size_of

CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")  # what a sound stream's first packet begins with
OPUS_RATE = 48_000  # Hz, of all time stamps
SKIP = 10  # byte of the head of Opus that begins the number of samples to leave out
LONGEST = 27 + 255 + 255 * 255  # bytes of a page
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

CONTINUED, FIRST, LAST = 1, 2, 4  # flags


class Page(NamedTuple):
    """Where a page is, and what its header says."""

    start: int  # byte
    stop: int
    flags: int
    granule: int  # samples at its end; -1: no packet ends in it
    stream: int
    number: int
    packets: int  # that end in it
    body: int  # byte


@dataclass
class Stream:
    """One sound stream: its headers, and its pages in parts without a gap."""

    codec: bytes
    packets: int  # of headers
    headers: list[Page]
    parts: list[list[Page]] = field(default_factory=list)
    cut: bool = False  # whether damage is where its first pages of sound were

    def delay(self, file: BinaryIO) -> float:
        """Seconds at its beginning that are the encoder's, as far as its time stamps count them."""
        if self.codec != b"OpusHead":
            return 0.0
        return int.from_bytes(read_at(file, self.headers[0].body + SKIP, 2), "little") / OPUS_RATE

    def pieces(self, file: BinaryIO, part: int) -> list[Piece]:
        """A part of it as a file. In one that is not its beginning, no samples at the beginning are the encoder's."""
        pages = [*self.headers, *self.parts[part]]
        pieces: list[Piece] = []
        for page in pages:
            if pieces and isinstance(pieces[-1], tuple) and pieces[-1][1] == page.start:
                pieces[-1] = (pieces[-1][0], page.stop)
            else:
                pieces.append((page.start, page.stop))
        if (part or self.cut) and self.codec == b"OpusHead":
            first = self.headers[0]
            head = bytearray(read_at(file, first.start, first.stop - first.start))
            skip = first.body - first.start + SKIP
            head[skip : skip + 2] = b"\0\0"
            head[22:26] = _checksum(head).to_bytes(4, "little")
            rest = pieces[0][1]
            assert isinstance(rest, int)
            pieces[0:1] = [bytes(head), (first.stop, rest)]
        return pieces


def streams(file: BinaryIO) -> tuple[list[list[Stream]], int]:
    """The groups of sound streams that follow each other, in each the tracks; and bytes at the end that are no page."""
    groups: list[list[Stream]] = []
    pages, tail = _pages(file)
    open_streams: dict[int, Stream] = {}
    last: dict[int, Page] = {}
    beginning, end = False, 0
    for page in pages:
        gap, end = page.start - end, page.stop
        if page.flags & FIRST:
            if not beginning:  # all streams of a group begin before any goes on
                groups.append([])
                open_streams = {}
            beginning = True
            start = read_at(file, page.body, 80)
            codec = next((codec for codec in CODECS if start.startswith(codec)), None)
            if codec:
                open_streams[page.stream] = Stream(codec, _header_packets(codec, start), [page])
                groups[-1].append(open_streams[page.stream])
                last[page.stream] = page
            continue
        beginning = False
        stream = open_streams.get(page.stream)
        if stream is None:
            continue
        missing = page.number != last[page.stream].number + 1
        last[page.stream] = page
        if not stream.parts and not missing and sum(one.packets for one in stream.headers) < stream.packets:
            stream.headers.append(page)
            continue
        if missing or not stream.parts:
            # Recordings of a running station lack pages there too, and nothing is between those that they have.
            stream.cut = stream.cut or (missing and gap > 0 and not stream.parts)
            stream.parts.append([])
        stream.parts[-1].append(page)
    return [group for streams in groups if (group := [stream for stream in streams if stream.parts])], tail


def _header_packets(codec: bytes, packet: bytes) -> int:
    """How many packets a stream's headers have, which the first one may tell. Sound begins on a page of its own."""
    if codec == b"\x7fFLAC":
        return 1 + int.from_bytes(packet[7:9], "big")
    if codec == b"Speex   ":
        return 2 + int.from_bytes(packet[68:72], "little")
    return 2 if codec == b"OpusHead" else 3


def _pages(file: BinaryIO) -> tuple[list[Page], int]:
    """All pages whose checksum is right, and how many bytes after the last one are none."""
    size = size_of(file)
    found: list[Page] = []
    place, base, block = 0, 0, b""
    while place + 27 <= size:
        first = place - base
        if len(block) - first < LONGEST and base + len(block) < size:
            base, first = place, 0
            block = read_at(file, base, PART)
        if block[first : first + 4] != b"OggS":
            next_one = block.find(b"OggS", first + 1)
            place = base + (next_one if next_one >= 0 else max(first + 1, len(block) - 3))
            continue
        count = block[first + 26]
        head = block[first : first + 27 + count]
        length = len(head) + sum(head[27:])
        data = block[first : first + length]
        if len(data) < length or _checksum(data) != int.from_bytes(head[22:26], "little"):
            place += 4
            continue
        granule = int.from_bytes(head[6:14], "little", signed=True)
        stream, number = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        packets = sum(size < 255 for size in head[27:])
        found.append(Page(place, place + length, head[5], granule, stream, number, packets, place + len(head)))
        place += length
    return found, size - (found[-1].stop if found else 0)


def _checksum(page: bytes | bytearray) -> int:
    """Ogg's, which is zlib's with the bits of each byte, and of the sum, in the other order, and without inversion."""
    data = (bytes(page[:22]) + b"\0\0\0\0" + bytes(page[26:])).translate(REVERSED)
    return int(f"{zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
