"""Sound files that are damaged in every way that people meet.

`python -m tests.damage_routes` reads them all, by every decoder.
"""

import io
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.ffmpeg_program import has_ffmpeg

LIBSNDFILE = {  # ending: format and coding
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "sph": ("NIST", "PCM_16"),
    "ima.wav": ("WAV", "IMA_ADPCM"),
    "float.wav": ("WAV", "FLOAT"),
}
FFMPEG = {  # ending: options
    "m4a": ["-c:a", "aac"],
    "mp4": ["-c:a", "aac", "-movflags", "faststart"],
    "webm": ["-c:a", "libopus"],
    "mkv": ["-c:a", "aac"],
    "wma": [],
    "aac": ["-c:a", "aac"],
    "mts": ["-c:a", "aac"],
    "ac3": [],
    "mp2": ["-ar", "16000"],
}


def whole(folder: Path, waveform: np.ndarray, rate: int) -> list[Path]:
    """The waveform in every format at hand."""
    paths = []
    for ending, (form, coding) in LIBSNDFILE.items():
        paths.append(folder / f"whole.{ending}")
        soundfile.write(paths[-1], waveform, rate, format=form, subtype=coding)
    for ending, options in FFMPEG.items() if has_ffmpeg() else ():
        paths.append(folder / f"whole.{ending}")
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(folder / "whole.wav"), *options, str(paths[-1])]
        subprocess.run(command, check=True)
    return paths


def damaged(folder: Path, waveform: np.ndarray, rate: int, seed: int = 0, count: int | None = None) -> list[Path]:
    """Write files that cannot be read, or at least not as they were meant; every name begins with "bad".

    Each kind of damage to each format; with `count`, so many of them by chance.
    """
    rng = random.Random(seed)
    sources = {}
    for path in whole(folder, waveform, rate):
        sources[path.name.removeprefix("whole.")] = path.read_bytes()
        path.unlink()
    cases = [(kind, ending) for kind in KINDS for ending in sources] + [(kind, "wav") for kind in WITHOUT_SOURCE]
    paths: list[Path] = []
    for kind, ending in cases if count is None else rng.sample(cases, count):
        data = bytearray(sources[ending])
        made = (KINDS | WITHOUT_SOURCE)[kind](rng, data, waveform, rate)
        name = f"bad{len(paths):03}-{kind}-of-{ending.replace('.', '-')}"
        ending, content = made if isinstance(made, tuple) else (ending, data if made is None else made)
        paths.append(folder / f"{name}.{ending}")
        paths[-1].write_bytes(content)
    return paths


HTML = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1>\n</body></html>\n" * 20

Made = bytes | bytearray | tuple[str, bytes | bytearray] | None
"""The bytes, or an ending and the bytes; None: they were changed in place."""


def _truncated(rng: random.Random, data: bytearray, *_: object) -> Made:
    return data[: rng.randrange(1, len(data))]


def _removed(rng: random.Random, data: bytearray, *_: object) -> Made:
    first = rng.randrange(len(data))
    return data[:first] + data[first + rng.randrange(1, 3000) :]


def _inserted(rng: random.Random, data: bytearray, *_: object) -> Made:
    first = rng.randrange(len(data))
    return data[:first] + rng.randbytes(rng.randrange(1, 3000)) + data[first:]


def _overwritten(rng: random.Random, data: bytearray, *_: object) -> Made:
    first, length = rng.randrange(len(data)), rng.choice([1, 30, 300, 3000])
    length = min(length, len(data) - first)
    data[first : first + length] = rng.choice([bytes(length), rng.randbytes(length)])
    return None


def _behind(rng: random.Random, data: bytearray, *_: object) -> Made:
    return data + rng.choice([HTML, b"TAG" + bytes(125), bytes(5000), rng.randbytes(2000)])


def _before(rng: random.Random, data: bytearray, *_: object) -> Made:
    return rng.choice([b"ID3\x04\0\0\0\0\x01\x0a", b"HTTP/1.1 200 OK\r\n\r\n", rng.randbytes(500)]) + data


def _doubled(rng: random.Random, data: bytearray, *_: object) -> Made:
    return data + data


def _picture_before(rng: random.Random, data: bytearray, *_: object) -> Made:
    """An ID3 tag with a picture, in front of any format."""
    picture = b"\0image/png\0\3\0" + rng.randbytes(3000)
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame + data


def _tags_behind(rng: random.Random, data: bytearray, *_: object) -> Made:
    """APE's tag and the first ID3."""
    item = b"\4\0\0\0\0\0\0\0Title\0call"
    fields = [number.to_bytes(4, "little") for number in (2000, 32 + len(item), 1)]
    header, footer = (b"APETAGEX" + b"".join(fields) + flags + bytes(8) for flags in (b"\0\0\0\xa0", b"\0\0\0\x80"))
    return data + header + item + footer + b"TAG" + b"call".ljust(125, b"\0")


def _preallocated(rng: random.Random, data: bytearray, *_: object) -> Made:
    """A download that stopped in a file made as long as it was to be."""
    there = rng.randrange(len(data) // 3, len(data))
    return data[:there] + bytes(len(data) - there)


def _lost_piece(rng: random.Random, data: bytearray, *_: object) -> Made:
    """A piece of a torrent that nobody had."""
    first, length = len(data) * rng.randrange(1, 7) // 8, len(data) // 8
    return data[:first] + bytes(length) + data[first + length :]


def _error_page(*_: object) -> Made:
    return HTML


def _headless(rng: random.Random, data: bytearray, *_: object) -> Made:
    return data[min(4096, len(data) // 2) :]


def _text_mode(rng: random.Random, data: bytearray, *_: object) -> Made:
    """Sent by FTP as if it were text."""
    return data.replace(b"\n", b"\r\n")


def _mangled(rng: random.Random, data: bytearray, *_: object) -> Made:
    """Read as UTF-8 and written again."""
    return data.decode("utf-8", "replace").encode()


def _odd(rng: random.Random, data: bytearray, *_: object) -> Made:
    return data[: rng.randrange(len(data) // 2, len(data)) | 1]


def _one_byte(rng: random.Random, data: bytearray, *_: object) -> Made:
    return data[:1]


def _renamed(rng: random.Random, data: bytearray, *_: object) -> Made:
    return rng.choice(["wav", "mp3", "m4a", "ogg", "flac", "dat"]), data


def _rate(rng: random.Random, data: bytearray, waveform: np.ndarray, rate: int) -> Made:
    """Another rate where the header has it as a number or as text; elsewhere a byte of the header that it may be in."""
    wrong = rng.choice([4000, 11_025, 22_050, 48_000, 96_000])
    codes: list[Callable[[int], bytes]] = [
        lambda value: value.to_bytes(4, "little"),
        lambda value: value.to_bytes(4, "big"),
        lambda value: str(value).encode(),
        lambda value: np.float64(value).byteswap().tobytes(),
        lambda value: (value << 4).to_bytes(3, "big"),  # FLAC
    ]
    for code in codes:
        place = data.find(code(rate), 0, 1024)
        if place >= 0:
            data[place : place + len(code(rate))] = code(wrong)[-len(code(rate)) :].ljust(len(code(rate)), b" ")
            return None
    data[rng.randrange(min(100, len(data)))] ^= 1 << rng.randrange(8)
    return None


def _random(rng: random.Random, *_: object) -> Made:
    return rng.randbytes(rng.randrange(1, 5000))


def _extension(rng: random.Random, *_: object) -> Made:
    ending = rng.choice(["wav", "m4a", "sph", "au", "webm", "opus", "mp4"])
    return ending, b"These are words, not sounds.\n" * rng.randrange(1, 100)


def _empty(*_: object) -> Made:
    return b""


def _header(rng: random.Random, *_: object) -> Made:
    data = b"RIFF\xf0\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0"
    sizes = [b"\xf0\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x40", bytes(4), b"\0\x94\x35\x77", b"\x01\0\0\0"]
    return "wav", data + b"data" + rng.choice(sizes) + b"\0\1" * 99


def _flipped(rng: random.Random, data: bytearray, *_: object) -> Made:
    for _spot in range(20):
        data[rng.randrange(min(200, len(data)))] = rng.randrange(256)
    return None


def _sparks(rng: random.Random, data: bytearray, *_: object) -> Made:
    for _spot in range(len(data) // 500):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return None


def _playlist(rng: random.Random, *_: object) -> Made:
    lists = ["#EXTM3U\n#EXTINF:6,\n/etc/passwd\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '/etc/passwd'\n"]
    return rng.choice(["wav", "m4a", "mp3"]), rng.choice(lists).encode()


def _sound(coding: str, make: Callable[[np.ndarray], np.ndarray], rate: int | None = None) -> Callable[..., Made]:
    def made(rng: random.Random, data: bytearray, waveform: np.ndarray, own_rate: int) -> Made:
        buffer = io.BytesIO()
        soundfile.write(buffer, make(waveform), rate or own_rate, format="WAV", subtype=coding)
        return "wav", buffer.getvalue()

    return made


KINDS: dict[str, Callable[..., Made]] = {
    "truncated": _truncated,
    "removed": _removed,
    "inserted": _inserted,
    "overwritten": _overwritten,
    "behind": _behind,
    "before": _before,
    "flipped": _flipped,
    "sparks": _sparks,
    "doubled": _doubled,
    "picture-before": _picture_before,
    "tags-behind": _tags_behind,
    "preallocated": _preallocated,
    "lost-piece": _lost_piece,
    "error-page": _error_page,
    "headless": _headless,
    "text-mode": _text_mode,
    "mangled": _mangled,
    "odd": _odd,
    "one-byte": _one_byte,
    "renamed": _renamed,
    "rate": _rate,
}
"""What is done to a file, of each format."""

WITHOUT_SOURCE: dict[str, Callable[..., Made]] = {
    "random": _random,
    "extension": _extension,
    "empty": _empty,
    "header": _header,
    "playlist": _playlist,
    "nan": _sound("FLOAT", lambda waveform: np.where(np.arange(len(waveform)) == 77, np.nan, waveform)),
    "huge": _sound("FLOAT", lambda waveform: np.where(np.arange(len(waveform)) == 77, 1e38, waveform)),
    "sample": _sound("PCM_16", lambda waveform: np.ones(1)),
    "channels": _sound("PCM_16", lambda waveform: np.zeros((96_000, 8)), 96_000),
    "opposite": _sound("PCM_16", lambda waveform: np.stack([waveform, -waveform], axis=1)),
}
"""Files that are made as they are."""
