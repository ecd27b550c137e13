"""WAV files whose headers are wrong: what length, coding and parts they really have.

Programs that write to a pipe, or are killed, leave lengths of 0 or of two gigabytes; others count in 16 bits or write
24 bits into 4 bytes. The samples are there all the same. For each part, a header that says what is there.
"""

from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from asr.audio.pieces import Piece, after_id3, read_at, size_of
from asr.audio.reader import ROUNDING, Notice, check_header
from asr.errors import AudioError

Order = Literal["little", "big"]

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # codings
UNKNOWN_SIZE = 0x7FFF0000  # bytes or more are claimed by programs that wrote to a pipe and could not know
HEADER_SIZE = 64  # bytes; some recorders count the header too
LARGEST = 1 << 30  # bytes of samples behind one header
PROBE = 1 << 16  # bytes of samples that are looked at
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")  # that players append to any file


@dataclass(frozen=True)
class Part:
    """A whole WAV file within the file."""

    pieces: list[Piece]
    start: float  # seconds after the beginning of the recording


@dataclass(frozen=True)
class _Format:
    order: Order
    coding: int
    channels: int
    rate: int
    bytes_a_second: int
    align: int  # bytes of all channels' samples
    bits: int
    place: int  # of the chunk's content

    @property
    def steady(self) -> bool:
        """Whether each `align` bytes are a sample of each channel."""
        return self.coding in (PCM, FLOAT, EXTENSIBLE) and self.align > 0

    def seconds(self, size: int) -> float:
        each = self.align * self.rate if self.steady else self.bytes_a_second
        return size / each if each else 0.0


def parts(file: BinaryIO, name: object) -> tuple[list[Part], list[Notice]] | None:
    """The parts of a WAV file, one after the other; None where its header is right, or this is none.

    Raises AudioError for a header that no recording has.
    """
    size = size_of(file)
    place, found, notices = after_id3(read_at(file, 0, 10)), list[Part](), list[Notice]()
    right, seconds = True, 0.0
    while place < size:
        layout = _chunks(file, place, size)
        if layout is None:
            break
        form, data, claimed = layout
        check_header(name, form.rate, form.channels)
        if form.steady and not form.bits:
            raise AudioError(f"{name}: not audio, or damaged: the header says 0 bits a sample")
        there = _data_size(file, form, data, claimed, size)
        after = data + there + (there & 1)
        joined = read_at(file, after, 4) in (b"RIFF", b"RIFX") and _chunks(file, after, size) is not None
        padding = _padding(file, form, data, there)
        surely = 0 < claimed < UNKNOWN_SIZE  # not by a program that could not know
        if surely and abs(claimed - there) > HEADER_SIZE:
            announced, present = form.seconds(claimed), form.seconds(there)
            verb = "truncated" if claimed > there else "damaged header"
            notices.append(Notice(f"{verb}: the header says {announced:.2f} s, {present:.2f} s are there"))
        right = right and claimed == there and padding is None and not joined and there <= LARGEST
        found += _with_headers(file, form, place, data, there, padding, seconds)
        seconds += form.seconds(there)
        place = after if joined else size
    return None if right or not found else (found, notices)


def _chunks(file: BinaryIO, place: int, size: int) -> tuple[_Format, int, int] | None:
    """Of the WAV file at `place`: its format, where its samples begin, and how many bytes it says there are."""
    head = read_at(file, place, 12)
    if head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
        return None
    order: Order = "little" if head[:4] == b"RIFF" else "big"
    form, place = None, place + 12

    def number(value: bytes) -> int:
        return int.from_bytes(value, order)

    while place + 8 <= size:
        head = read_at(file, place, 8)
        length = number(head[4:])
        if head[:4] == b"data":
            return None if form is None else (form, place + 8, length)
        if head[:4] == b"fmt ":
            if length < 14:
                return None
            values = read_at(file, place + 8, min(length, 16)).ljust(16, b"\0")
            fields = zip((0, 2, 4, 8, 12, 14), (2, 4, 8, 12, 14, 16), strict=True)
            coding, channels, rate, speed, align, bits = (number(values[first:last]) for first, last in fields)
            form = _Format(order, coding, channels, rate, speed, align, bits, place + 8)
        place += 8 + length + (length & 1)
    return None


def _data_size(file: BinaryIO, form: _Format, data: int, claimed: int, size: int) -> int:
    """How many bytes of samples there are, whatever the header says."""
    if claimed > size - data:
        return size - data
    rest = size - (data + claimed)
    if rest <= 8 or form.seconds(rest) < ROUNDING or any(
        _begins_chunk(read_at(file, data + claimed + pad, 8), size - (data + claimed + pad)) for pad in (claimed & 1, 0)
    ):  # fmt: skip
        return claimed
    return size - data


def _begins_chunk(head: bytes, left: int) -> bool:
    """Whether this may be the next chunk, or a tag, `left` bytes before the file's end."""
    if head.startswith(TAGS) or head[:4] in (b"RIFF", b"RIFX"):
        return True
    printable = len(head) == 8 and all(32 <= byte < 127 for byte in head[:4])
    return printable and int.from_bytes(head[4:], "little") <= left - 8


def _padding(file: BinaryIO, form: _Format, data: int, there: int) -> str | None:
    """Where the fourth byte is in samples of 24 bits in 4 bytes: "low" or "high"; None: they are not such samples.

    By the standard the 24 bits are the upper ones; not all programs know. libsndfile takes them for samples of 3 bytes.
    """
    if form.coding != PCM or form.bits != 24 or form.align != form.channels * 4:
        return None
    samples = np.frombuffer(read_at(file, data, min(there, PROBE) // 4 * 4), np.uint8).reshape(-1, 4)
    samples = samples if form.order == "little" else samples[:, ::-1]
    extended = np.where(samples[:, 2] >= 128, 255, 0) == samples[:, 3]
    return "high" if samples[:, 0].any() and extended.all() else "low"


def _with_headers(
    file: BinaryIO, form: _Format, place: int, data: int, there: int, padding: str | None, seconds: float
) -> list[Part]:
    """The samples behind as many headers as they need: one cannot say more than four gigabytes."""

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, form.order)

    head = bytearray(read_at(file, place, data - place))
    if padding:
        bits = form.place - place + 14
        head[bits : bits + 2] = number(32, 2)
    # Moved on by a byte, each sample's upper three bytes are those that count; what is in the fourth is inaudible.
    late = b"\0" if padding == "high" and form.order == "little" else b""
    step = LARGEST // form.align * form.align if form.steady else max(there, 1)
    found = []
    for first in range(0, max(there, 1), step):
        length = min(step, there - first)
        head[4:8] = number(len(head) + length - 8, 4)
        head[-4:] = number(length, 4)
        pieces: list[Piece] = [bytes(head) + late, (data + first, data + first + length - len(late))]
        found.append(Part(pieces, seconds + form.seconds(first)))
    return found
