"""Damaged sound files by every route: an error or a sound, soon, in bounded memory; and the same text by all.

    python -m tests.damage_routes [--seeds 0 1 2 3 4] [--count N] [--keep FOLDER]

Three routes are what is installed: all, without PyAV, without the ffmpeg program. Three are one decoder each, whatever
the format. Each input is read by each route in a process of its own, which has ten seconds and 1.5 GB. Then come the
inputs of which routes have different texts; that one decoder reads a file and another does not is counted apart.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from asr.audio import sound_file
from asr.audio.ffmpeg_program import FfmpegReader
from asr.audio.files import open_file
from asr.audio.libsndfile import LibsndfileReader, NotReadable
from asr.audio.load import resample
from asr.audio.pyav import AvReader
from asr.audio.reader import Notice, summary
from asr.audio.sound_file import SoundFile, open_sound
from asr.errors import AudioError
from asr.transcription.recogniser import Recogniser
from tests.damage import damaged
from tests.forked import ENDED, Ended, in_a_fork
from tests.tone_model import RATE, say, tone_model

SOON = 10.0  # seconds
MOST = 1536  # MiB
OUTCOMES = ("text", "no text", "error", "traceback", "signal", "hang", "memory")

SPOKEN = "BAD CABFACEHIDE A JADEBEE"

Open = Callable[[Path], AbstractContextManager[SoundFile]]


def speech() -> np.ndarray:
    return np.concatenate([say(text, 0.3, 0.3) for text in ("BAD CAB", "FACE", "HIDE A JADE", "BEE")])


def by(reader: type) -> Open:
    """One decoder alone."""

    @contextmanager
    def opened(path: Path) -> Iterator[SoundFile]:
        with open_file(path) as file:
            try:
                sound = SoundFile(path, reader(file, path))
            except NotReadable as error:
                raise AudioError(f"{path}: not for libsndfile: {error}") from error
            yield sound

    return opened


def without(*hidden: str) -> Open:
    """Where something is not installed."""

    @contextmanager
    def opened(path: Path) -> Iterator[SoundFile]:
        with ExitStack() as stack:
            for name in hidden:
                stack.enter_context(mock.patch.object(sound_file, name, lambda: False))
            yield stack.enter_context(open_sound(path))

    return opened


DECODERS: dict[str, Open] = {
    "libsndfile": by(LibsndfileReader),
    "PyAV": by(AvReader),
    "ffmpeg": by(FfmpegReader),
}
INSTALLED: dict[str, Open] = {
    "all": without(),
    "without PyAV": without("has_av"),
    "without ffmpeg": without("has_ffmpeg"),
}
ROUTES = DECODERS | INSTALLED


def waveform_of(open_it: Open, path: Path, notices: list[Notice]) -> np.ndarray:
    """(S,) at RATE."""
    with open_it(path) as sound:
        blocks = list(sound.blocks(report=notices.append))
    if not blocks:
        raise AudioError(f"{path}: the file holds no audio samples")
    waveform = resample(np.concatenate(blocks), sound.sample_rate, RATE)
    assert np.isfinite(waveform).all()
    return waveform


def heard(open_it: Open, path: Path, recogniser: Recogniser) -> dict[str, object]:
    """What a route makes of a file: an error, or seconds, text and notices."""
    notices: list[Notice] = []
    try:
        waveform = waveform_of(open_it, path, notices)
    except AudioError as error:
        assert str(error).startswith(str(path)), f"an error that does not name the file: {error}"
        return {"error": str(error).removeprefix(f"{path}: ")}
    text = recogniser.recognise([waveform])[0].text
    return {"seconds": round(len(waveform) / RATE, 3), "text": text, "notices": summary(notices)}


def judged(open_it: Open, path: Path, recogniser: Recogniser, folder: Path) -> tuple[Ended, dict[str, object]]:
    """What a route makes of a file, in a process of its own."""
    ended = in_a_fork(lambda: json.dumps(heard(open_it, path, recogniser)), folder, SOON)
    return ended, json.loads(ended.detail) if ended.kind == ENDED else {"error": ended.detail}


def outcome(ended: Ended, found: dict[str, object]) -> str:
    """One of OUTCOMES."""
    if ended.kind != ENDED:
        return ended.kind
    if ended.mebibytes > MOST:
        return "memory"
    return "error" if "error" in found else "text" if found["text"] else "no text"


class Tally:
    """What came of all inputs."""

    def __init__(self) -> None:
        self.inputs = 0
        self.kinds: dict[str, Counter[str]] = {route: Counter() for route in ROUTES}
        self.slowest, self.largest = dict.fromkeys(ROUTES, 0.0), dict.fromkeys(ROUTES, 0)
        self.texts: Counter[str] = Counter()

    def add(self, path: Path, recogniser: Recogniser, folder: Path) -> dict[str, dict[str, object]]:
        """Read a file by all routes; print what is wrong. What each has found."""
        self.inputs += 1
        found: dict[str, dict[str, object]] = {}
        for route, open_it in ROUTES.items():
            ended, found[route] = judged(open_it, path, recogniser, folder)
            kind = outcome(ended, found[route])
            self.kinds[route][kind] += 1
            self.slowest[route] = max(self.slowest[route], ended.seconds)
            self.largest[route] = max(self.largest[route], ended.mebibytes)
            if kind not in OUTCOMES[:3]:
                print(path.name, route, kind, found[route], sep="\t", flush=True)
        for name, routes in (("decoders", DECODERS), ("installed", INSTALLED)):
            texts = [str(found[route]["text"]) for route in routes if "text" in found[route]]
            verdict = "texts differ" if len(set(texts)) > 1 else f"one text, of {len(texts)}" if texts else "errors"
            self.texts[f"{name}: {verdict}"] += 1
            if len(set(texts)) > 1:
                told = {route: found[route].get("text", found[route].get("error")) for route in routes}
                print(path.name, name, verdict, told, sep="\t", flush=True)
        return found

    def print(self) -> None:
        """As tables."""
        print(f"{self.inputs} inputs", *OUTCOMES, "slowest, s of CPU", "peak MiB", sep="\t")
        for route, kinds in self.kinds.items():
            row = [kinds[kind] for kind in OUTCOMES]
            print(route, *row, f"{self.slowest[route]:.1f}", self.largest[route], sep="\t")
        for name, count in sorted(self.texts.items()):
            print(name, count, sep="\t")


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)], metavar="N", help="default: 0 1 2 3 4")
    parser.add_argument("--count", type=int, metavar="N", help="inputs a seed, by chance (default: all)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the inputs stay, and what was found")
    args = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has no other threads
    recogniser, tally = Recogniser(tone_model()), Tally()
    recogniser.recognise([speech()])
    with tempfile.TemporaryDirectory() as temporary:
        for seed in args.seeds:
            folder = (args.keep or Path(temporary)) / f"seed{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "found.jsonl").open("w", encoding="utf-8") as log:
                for path in damaged(folder, speech(), RATE, seed, args.count):
                    found = tally.add(path, recogniser, folder)
                    log.write(json.dumps({"name": path.name, "found": found}) + "\n")
                    log.flush()
    tally.print()


if __name__ == "__main__":
    main()
