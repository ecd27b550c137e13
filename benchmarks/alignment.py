"""How far forced alignment is off: errors of word boundaries where their times are known.

    pip install pocketsphinx==5.1.1
    python benchmarks/alignment.py --digits data/fsdd/test.jsonl --sentences data/librispeech/test-clean.jsonl

--digits: rows of single words, trimmed as FSDD's are: six of a speaker, joined with pauses of 0.15 to 0.6 s (real
    voices; the trimming is the reference, so silence left in it counts)
--sentences: of texts of at most 18 words, spoken by espeak-ng in eight voices, which tells when each phone begins; and
    of the recordings themselves, aligned by pocketsphinx, whose triphone HMMs have frames of 10 ms (real voices; not
    the truth, but of another make)

Each is measured with the parts of asr/alignment/forced.py that make times off, one by one and together.
"""

import argparse
import ctypes
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from asr.alignment.forced import Aligner, States, align, best_path, log_prior, share_blanks, spell
from asr.audio.load import load_audio
from asr.data import manifest
from asr.data.manifest import Utterance
from asr.errors import ConfigError, TextError
from asr.evaluation.times import BoundaryErrors
from asr.model.load import load_model_folder

RATE = 16_000  # Hz
VOICES = (
    "gmw/en-US", "gmw/en", "gmw/en-GB-scotland", "gmw/en-US+f2", "gmw/en-US+m3", "gmw/en+f4", "gmw/en-GB-x-rp",
    "gmw/en-US+m7",
)  # fmt: skip
SPEEDS = (140, 160, 180)  # words a minute
LONGEST = 18  # words of a sentence
PARTS = {
    "the network's best path": (False, False, False),
    "+ frames centred": (True, False, False),
    "+ frames centred, blanks shared": (True, True, False),
    "+ frames centred, priors": (True, False, True),
}


@dataclass(frozen=True)
class Known:
    """A recording whose words' times are known."""

    waveform: np.ndarray  # (S,) float32 at RATE
    words: tuple[str, ...]
    times: np.ndarray  # (W, 2) seconds


def joined(rows: Sequence[Utterance], count: int, rng: random.Random) -> Iterator[Known]:
    """Recordings of six words of one speaker each."""
    by_speaker: dict[str, list[Utterance]] = {}
    for row in rows:
        by_speaker.setdefault(row.speaker or "", []).append(row)
    speakers = sorted(by_speaker)
    for i in range(count):
        parts, words, times = [np.zeros(0)], [], []
        for row in rng.sample(by_speaker[speakers[i % len(speakers)]], 6):
            sound, _ = load_audio(row.audio_filepath, RATE, offset=row.offset, duration=row.duration or None)
            pause = np.zeros(round(rng.uniform(0.15, 0.6) * RATE))
            begin = sum(map(len, parts)) + len(pause)
            parts += [pause, 0.3 * sound / max(1e-6, np.abs(sound).max())]
            words.append(row.text)
            times.append((begin / RATE, (begin + len(sound)) / RATE))
        waveform = np.concatenate([*parts, np.zeros(round(0.3 * RATE))])
        noise = 3e-4 * np.random.default_rng(i).normal(size=len(waveform))  # digital silence is nobody's recording
        yield Known((waveform + noise).astype(np.float32), tuple(words), np.array(times))


class Espeak:
    """espeak-ng, which reports when each phone begins: speak_lib.h, events of the type 7."""

    class Event(ctypes.Structure):
        _fields_ = [
            ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
            ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
            ("user_data", ctypes.c_void_p), ("string", ctypes.c_char * 8),
        ]  # fmt: skip

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise ConfigError("espeakng-loader is not installed: pip install 'asr[g2p]'") from error
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        synchronous, phone_events = 2, 1
        data = espeakng_loader.get_data_path().encode()
        self.rate = self.library.espeak_Initialize(synchronous, 0, data, phone_events)
        self.parts: list[np.ndarray] = []
        self.phones: list[tuple[int, int, bool]] = []  # place in the text, from 1 on; sample; whether it is a pause
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(self.Event))
        self.callback = kind(self._collect)  # kept: the library holds no reference
        self.library.espeak_SetSynthCallback(self.callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type:
            if events[i].type == 7:
                pause = events[i].string.startswith(b"_")
                self.phones.append((events[i].text_position, events[i].sample, pause))
            i += 1
        return 0

    def __call__(self, text: str, voice: str, speed: int) -> Known | None:
        """None where it reads words together, so that not each has phones of its own."""
        self.parts, self.phones = [], []
        if self.library.espeak_SetVoiceByName(voice.encode()):
            raise ConfigError(f"espeak-ng has no voice {voice}")
        self.library.espeak_SetParameter(1, speed, 0)
        data = text.lower().encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        self.library.espeak_Synchronize()
        waveform = np.concatenate(self.parts).astype(np.float32) / 32768
        spans: dict[int, tuple[int, int]] = {}
        stops = [sample for _, sample, _ in self.phones[1:]] + [len(waveform)]
        for (place, sample, pause), stop in zip(self.phones, stops, strict=True):
            if not pause:
                spans[place] = (spans.get(place, (sample, 0))[0], stop)
        places = [match.start() + 1 for match in re.finditer(r"\S+", text)]
        if not all(place in spans for place in places):
            return None
        times = np.array([spans[place] for place in places]) / self.rate
        return Known(soxr.resample(waveform, self.rate, RATE), tuple(text.split()), times)


def spoken(texts: Sequence[str]) -> Iterator[Known]:
    espeak = Espeak()
    for i, text in enumerate(texts):
        if known := espeak(text, VOICES[i % len(VOICES)], SPEEDS[i % len(SPEEDS)]):
            yield known


def aligned_by_pocketsphinx(rows: Sequence[Utterance]) -> Iterator[Known]:
    """Those that it can align: words that its lexicon lacks, and texts that do not fit, are left out."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ConfigError("pocketsphinx is not installed: pip install pocketsphinx==5.1.1") from error
    decoder = Decoder(lm=None, loglevel="FATAL")

    def decode(data: bytes) -> None:
        decoder.start_utt()
        decoder.process_raw(data, full_utt=True)
        decoder.end_utt()

    for row in rows:
        waveform, _ = load_audio(row.audio_filepath, RATE, offset=row.offset, duration=row.duration or None)
        data = (np.clip(waveform, -1, 1) * 32767).astype(np.int16).tobytes()
        try:
            decoder.set_align_text(row.text.lower())
            decode(data)
            decoder.set_alignment()
            decode(data)
            found = list(decoder.get_alignment())
        except RuntimeError:
            continue
        # Pauses and noises are <sil>, [SPEECH] and the like; WORD(2) is the second pronunciation.
        words = [one for one in found if not one.name.startswith(("<", "["))]
        if [re.sub(r"\(\d+\)$", "", one.name).upper() for one in words] == row.text.upper().split():
            times = np.array([(one.start, one.start + one.duration) for one in words]) / 100
            yield Known(waveform, tuple(row.text.split()), times)


def boundaries(
    log_probs: np.ndarray, aligner: Aligner, known: Known, centred: bool, shared: bool, priors: bool
) -> np.ndarray:
    """(W, 2) seconds, with some of the parts of asr.alignment.forced.align."""
    tokenizer, frame = aligner.model.tokenizer, aligner.model.seconds_per_frame
    states = States.of(spell(tokenizer, " ".join(known.words)), tokenizer.blank_id)
    path, _ = best_path(log_probs - log_prior(log_probs) if priors else log_probs, states)
    spans, (_, owners) = states.spans(path), states.spoken(path)
    edges = share_blanks(spans, len(log_probs)) if shared else spans - 0.5
    edges = edges * frame + (aligner.model.first_middle if centred else frame / 2)
    words = [np.flatnonzero(owners == i) for i in range(len(known.words))]
    return np.clip([(edges[at[0], 0], edges[at[-1], 1]) for at in words], 0, len(known.waveform) / RATE)


def measure(name: str, items: Iterator[Known], aligner: Aligner) -> None:
    """Print a table of errors."""
    errors: dict[str, list[np.ndarray]] = {}
    recordings = 0
    for known in items:
        log_probs = aligner.emissions(known.waveform)
        text = " ".join(known.words)
        try:
            found = align(
                log_probs, aligner.model.tokenizer, text, aligner.model.seconds_per_frame,
                len(known.waveform) / RATE, aligner.model.first_middle,
            )  # fmt: skip
        except TextError:  # a word that the model cannot spell
            continue
        recordings += 1
        for part, switches in PARTS.items():
            times = boundaries(log_probs, aligner, known, *switches)
            errors.setdefault(part, []).append(times - known.times)
        times = np.array([(word.start, word.end) for word in found.words])
        errors.setdefault("all, as asr align", []).append(times - known.times)
    if not recordings:
        print(f"{name}: no recordings")
        return
    count = sum(map(len, next(iter(errors.values()))))
    print(f"\n{name}: {count} words in {recordings} recordings; ms\n")
    print("| | starts: median | mean | bias | ends: median | mean | bias | both: median | mean | within 50 ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for part, found_errors in errors.items():
        both = np.concatenate(found_errors)
        cells = []
        for side in (BoundaryErrors(both[:, 0]), BoundaryErrors(both[:, 1])):
            cells += [f"{side.median * 1000:.0f}", f"{side.mean * 1000:.0f}", f"{side.bias * 1000:+.0f}"]
        total = BoundaryErrors(both.ravel())
        cells += [f"{total.median * 1000:.0f}", f"{total.mean * 1000:.0f}", f"{total.within(0.05):.0%}"]
        print(f"| {part} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="model folder (default: the one that comes with asr)")
    parser.add_argument("--digits", metavar="MANIFEST", help="rows of single words")
    parser.add_argument("--sentences", metavar="MANIFEST", help="rows of sentences")
    parser.add_argument("--count", type=int, default=100, help="recordings of each kind (default: 100)")
    args = parser.parse_args()
    aligner = Aligner(load_model_folder(args.model, "cpu"))
    rng = random.Random(0)
    if args.digits:
        measure("digits, joined", joined(manifest.read(args.digits), args.count, rng), aligner)
    if args.sentences:
        rows = manifest.read(args.sentences)
        rng.shuffle(rows)
        short = [row for row in rows if len(row.text.split()) <= LONGEST][: args.count]
        measure("espeak-ng", spoken([row.text for row in short]), aligner)
        measure("speech, aligned by pocketsphinx", aligned_by_pocketsphinx(rows[: args.count]), aligner)


if __name__ == "__main__":
    main()
