"""Files that are put together, without a copy, of pieces of another one: its headers corrected, its damage left out."""

import io
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import BinaryIO

Piece = bytes | tuple[int, int]
"""Bytes themselves, or where they are in the file: first byte and the one after the last."""

PART = 1 << 20  # bytes read at a time


class Pieces(io.RawIOBase):
    """Pieces of `file` in a row, as a file to read. `file` is not closed with it."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]):
        self.file = file
        self.pieces = pieces
        lengths = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces]
        self.starts = [0, *accumulate(lengths)]
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.starts[-1]}[whence]
        self.place = max(0, base + offset)
        return self.place

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        view = memoryview(buffer).cast("B")
        number, done = bisect_right(self.starts, self.place) - 1, 0
        while done < len(view) and number < len(self.pieces):
            piece, skip = self.pieces[number], self.place - self.starts[number]
            wanted = min(len(view) - done, self.starts[number + 1] - self.place)
            if isinstance(piece, bytes):
                data = piece[skip : skip + wanted]
            else:
                self.file.seek(piece[0] + skip)
                data = self.file.read(wanted)
            view[done : done + len(data)] = data
            done += len(data)
            self.place += len(data)
            if len(data) < wanted:
                break  # the file has become shorter
            number += 1
        return done


def size_of(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def read_at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def sound_start(file: BinaryIO) -> int:
    """Where the sound file begins: behind an ID3v2 tag, which players write before any format."""
    start = after_id3(read_at(file, 0, 10))
    return start if start < size_of(file) else 0


def find_all(file: BinaryIO, pattern: bytes) -> Iterator[int]:
    """Where the bytes of `pattern` are, from the beginning on."""
    place, kept = 0, b""
    while True:
        part = read_at(file, place, PART)
        if not part:
            return
        text, base = kept + part, place - len(kept)
        found = text.find(pattern)
        while found >= 0:
            yield base + found
            found = text.find(pattern, found + 1)
        kept = text[len(text) - len(pattern) + 1 :]
        place += len(part)


def after_id3(head: bytes) -> int:
    """Where what follows an ID3v2 tag at the beginning begins: 0 where there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
