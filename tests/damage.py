"""Sound files that are damaged in every way that people meet."""

import io
import random
from pathlib import Path

import numpy as np
import soundfile


def damaged(folder: Path, waveform: np.ndarray, rate: int, count: int, seed: int = 0) -> list[Path]:
    """Write `count` files that cannot be read, or at least not as they were meant; every name begins with "bad"."""
    rng = random.Random(seed)
    paths = []
    for i in range(count):
        ending = rng.choice(["wav", "flac", "ogg", "mp3"])
        buffer = io.BytesIO()
        soundfile.write(buffer, waveform, rate, format=ending.upper())
        data = bytearray(buffer.getvalue())
        kind = KINDS[i % len(KINDS)]
        path = folder / f"bad{i:03}-{kind}.{ending}"
        if kind == "truncated":
            data = data[: rng.randrange(1, len(data))]
        elif kind == "random":
            data = bytearray(rng.randbytes(rng.randrange(1, 5000)))
        elif kind == "extension":
            path = path.with_suffix(rng.choice([".wav", ".m4a", ".sph", ".au", ".webm", ".opus", ".mp4"]))
            data = bytearray(b"These are words, not sounds.\n" * rng.randrange(1, 100))
        elif kind == "empty":
            data = bytearray()
        elif kind == "header":
            path = path.with_suffix(".wav")
            data = bytearray(b"RIFF\xf0\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0")
            data += b"data" + rng.choice([b"\xf0\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x40"]) + b"\0\1" * 99
        elif kind == "flipped":
            for _ in range(20):
                data[rng.randrange(min(200, len(data)))] = rng.randrange(256)
        else:
            path = path.with_suffix(".wav")
            buffer = io.BytesIO()
            if kind == "nan":
                soundfile.write(buffer, np.where(np.arange(len(waveform)) == 77, np.nan, waveform), rate,
                                format="WAV", subtype="FLOAT")  # fmt: skip
            elif kind == "sample":
                soundfile.write(buffer, np.ones(1), rate, format="WAV")
            else:
                soundfile.write(buffer, np.zeros((96_000, 8)), 96_000, format="WAV")
            data = bytearray(buffer.getvalue())
        path.write_bytes(data)
        paths.append(path)
    return paths


KINDS = ("truncated", "random", "extension", "empty", "header", "flipped", "nan", "sample", "channels")
