"""Make the demo's spoken digits with the free speech synthesisers of Debian (12, "bookworm"):

    sudo apt-get install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts \\
        sox opus-tools python3-numpy
    python3 recipes/demo/make_corpus.py            # writes asr/demo_data (about two minutes)

Each voice reads its strings of one to six digits into one Opus file; train.jsonl, dev.jsonl and test.jsonl
say where in it each string lies. With the same package versions the same bytes come out every time.

No voice is in two splits. A "voice" is the person (or the eSpeak variant) and not the setting: all of
"rms-flite-1", "rms-flite-2" ... are the voice "rms", whose recordings Flite's `rms` was made from.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
SAMPLE_RATE = 16000
BITRATE = 20  # kbit/s, the average of a variable rate
GRID = 320  # samples (20 ms, an Opus frame): every utterance starts and ends on this grid
STRINGS_PER_VOICE = 10
STRINGS_PER_TRAINING_VOICE = 12


@dataclass(frozen=True)
class Voice:
    """One way of one synthesiser to speak; `speaker` begins with the voice that no two splits share."""

    split: str
    speaker: str
    synthesiser: str
    model: str
    pitch: float  # eSpeak: 0-99; others: factor on the model's own
    rate: float  # eSpeak: words a minute; others: factor on the durations
    tract: float  # played this much faster: formants, pitch and pace move together


# eSpeak NG: split, variant (its voice), accent, pitch, words a minute. A variant is a set of formants, and
# some have the same: f2 and f5; f4 and aunty; Hugo, michel, miguel, anika and Diogo. No two splits share
# such a set, nor relatives by name (klatt, klatt2; edward, edward2). "en-gb" is missing: espeak-ng 1.51
# ignores the variant there; "en" is the same accent. Variants that whisper or play a robot are left out.
ESPEAK = """
train f1        en-us          50 140   train f1        en             62 160
train f3        en-us          45 130   train f3        en-029         55 155
train belinda   en-us          60 150   train belinda   en-gb-x-rp     50 135
train m1        en-us          45 140   train m1        en-gb-scotland 55 155
train m3        en-us          40 145   train m3        en-gb-x-gbclan 50 130
train m5        en-us-nyc      45 150   train m6        en             55 140
train m6        en-us          40 160   train klatt     en-us          50 135
train klatt2    en             45 150   train klatt3    en-us-nyc      55 140
train klatt4    en-gb-x-gbcwmd 50 150   train adam      en-us          40 130
train adam      en-gb-x-rp     50 155   train Hugo      en             50 145
train announcer en-us          50 145   train Denis     en-us          50 140
train michel    en-us          45 150   train benjamin  en-us          55 155
train miguel    en-us-nyc      50 135   train Gene      en-us          45 155
train benjamin  en-gb-scotland 45 135   train anika     en-us          55 130
train croak     en-us          50 145   train sandro    en-us          45 140
train linda     en-us          50 150   train john      en             45 145
train pablo     en-us          50 140   train steph     en-gb-x-rp     50 140
dev   f4        en-us          50 145   dev   paul      en-us          45 140
dev   grandma   en             50 150   dev   m4        en-us          50 135
test  f2        en-us          50 140   test  f2        en-gb-scotland 60 155
test  m2        en             45 145   test  edward    en-us          50 150
test  david     en-gb-x-rp     45 140   test  Alex      en-us          50 145
test  victor    en-us-nyc      50 135
"""

# Flite and Festival: split, voice, synthesiser, its model; factors: pitch, durations, tract. Flite's rms
# keeps its pitch, and Festival's slt both pitch and pace, whatever they are told.
RECORDED = """
train kal flite    kal16                 1.00 1.25 1.00
train kal flite    kal16                 1.20 1.50 1.08
train kal flite    kal16                 0.95 1.19 0.93
train kal flite    kal16                 1.35 1.38 1.16
train kal flite    kal16                 0.90 1.12 0.86
train kal festival kal_diphone           1.00 1.26 1.00
train kal festival kal_diphone           1.20 1.15 1.06
train slt flite    slt                   1.00 1.21 1.00
train slt flite    slt                   0.90 1.38 0.92
train slt flite    slt                   1.10 1.26 1.08
train slt flite    slt                   0.75 1.15 0.86
train slt flite    slt                   0.65 1.03 0.80
train slt flite    slt                   0.80 1.15 0.83
train slt festival cmu_us_slt_arctic_hts 1.00 1.00 1.00
train slt festival cmu_us_slt_arctic_hts 1.00 1.00 0.90
train slt festival cmu_us_slt_arctic_hts 1.00 1.00 0.82
train awb flite    awb                   1.00 1.16 1.00
train awb flite    awb                   0.85 1.31 1.07
train awb flite    awb                   1.15 1.05 0.93
train awb flite    awb                   0.80 1.21 0.87
train awb flite    awb                   1.00 1.37 1.15
dev   ked festival ked_diphone           1.00 1.26 1.00
dev   ked festival ked_diphone           1.15 1.15 1.05
test  rms flite    rms                   1.00 1.10 1.00
test  rms flite    rms                   1.00 1.26 1.05
test  rms flite    rms                   1.00 1.04 0.97
"""


def voices() -> list[Voice]:
    """All voices, in the order of the tables."""
    rows = [
        (split, variant, "espeak", f"{accent}+{variant}", pitch, rate, "1")
        for split, variant, accent, pitch, rate in zip(*[iter(ESPEAK.split())] * 5, strict=True)
    ]
    rows += zip(*[iter(RECORDED.split())] * 7, strict=True)
    found: list[Voice] = []
    for split, voice, synthesiser, model, pitch, rate, tract in rows:
        stem = f"{voice.lower()}-{synthesiser}-"
        number = 1 + sum(earlier.speaker.startswith(stem) for earlier in found)
        manner = float(pitch), float(rate), float(tract)
        found.append(Voice(split, f"{stem}{number}", synthesiser, model, *manner))
    return found


def strings(count: int, rng: random.Random, taken: set[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """`count` strings of 1 to 6 digits, lengths and digits equally often; those of 4 and more not in `taken`.

    Digits are dealt from shuffled packs of three of each, so that a digit may follow itself but none is rare.
    """
    lengths = [1 + number % 6 for number in range(count)]
    rng.shuffle(lengths)
    pack: list[int] = []
    dealt = []
    for length in lengths:
        if len(pack) < length:
            pack += rng.sample(range(10), 30, counts=[3] * 10)
        while length >= 4 and tuple(pack[:length]) in taken:
            rng.shuffle(pack)
        dealt.append(tuple(pack[:length]))
        taken.add(dealt[-1])
        del pack[:length]
    return dealt


def phrases(string: tuple[int, ...], rng: random.Random) -> list[str]:
    """The string as texts to be spoken in one breath each; a comma keeps the voice up before the next one."""
    text = WORDS[string[0]].lower()
    for digit in string[1:]:
        text += (", " if rng.random() < 0.35 else " ") + WORDS[digit].lower()
    return [phrase + "," for phrase in text.split(", ")[:-1]] + [text.split(", ")[-1]]


def varied(voice: Voice, rng: random.Random) -> Voice:
    """The voice as it speaks one string: nobody speaks twice in the same way."""
    return replace(
        voice,
        pitch=voice.pitch * rng.uniform(0.88, 1.12),
        rate=voice.rate * rng.uniform(0.88, 1.12),
        tract=voice.tract * rng.uniform(0.95, 1.05),
    )


def synthesise(spoken: list[tuple[Voice, str]], folder: Path) -> list[np.ndarray]:
    """Each text as a waveform (S,) float32 at SAMPLE_RATE; all of one model; `folder` is temporary."""
    festival = [f"(voice_{spoken[0][0].model})"]
    for number, (voice, text) in enumerate(spoken):
        file = folder / f"{number}.wav"
        if voice.synthesiser == "espeak":
            manner = ["-p", round(voice.pitch), "-s", round(voice.rate), "-a", 50]  # louder, some clip
            command("espeak-ng", "-v", voice.model, *manner, "-w", file, text)
        elif voice.synthesiser == "flite":
            manner = ["--setf", f"f0_shift={voice.pitch:.3f}", "--setf", f"duration_stretch={voice.rate:.3f}"]
            command("flite", "-voice", voice.model, *manner, "-t", text, "-o", file)
        else:  # loading Festival takes a second: one run for all; its diphone voices speak at 105 Hz
            hertz = f"(target_f0_mean {105 * voice.pitch:.1f}) (target_f0_std 14)"
            festival += [
                f"(set! int_lr_params '({hertz} (model_f0_mean 170) (model_f0_std 34)))",
                f"(Parameter.set 'Duration_Stretch {voice.rate:.3f})",
                f'(utt.save.wave (SynthText "{text}") "{file}" \'riff)',
            ]
    if len(festival) > 1:
        (folder / "script.scm").write_text("\n".join(festival), encoding="utf-8")
        command("festival", "-b", folder / "script.scm")
    raw = ["-D", "-r", SAMPLE_RATE, "-c", 1, "-t", "f32", "-"]  # -D: no dither, which would be random
    waveforms = []
    for number, (voice, _) in enumerate(spoken):
        samples = command("sox", folder / f"{number}.wav", *raw, "speed", voice.tract)
        waveforms.append(np.frombuffer(samples, "<f4"))
    return waveforms


def command(*arguments: object) -> bytes:
    """Run a program and return what it prints; a failure shows what it said."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}\nfailed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def trim(waveform: np.ndarray, margin: float = 0.03) -> np.ndarray:
    """Without the silence (50 dB below the loudest 10 ms) at both ends, of which `margin` seconds stay."""
    step = SAMPLE_RATE // 100
    whole = waveform[: len(waveform) // step * step].astype(np.float64)
    energy = np.square(whole).reshape(-1, step).sum(axis=1)
    if not len(energy) or energy.max() < 1e-4:
        sys.exit(f"a synthesiser was silent: {len(waveform)} samples, energy {energy.max(initial=0):.1e}")
    loud = np.flatnonzero(energy > energy.max() * 1e-5)
    keep = round(margin * SAMPLE_RATE)
    return waveform[max(0, loud[0] * step - keep) : (loud[-1] + 1) * step + keep]


def levelled(waveform: np.ndarray, decibels: float) -> np.ndarray:
    """At this root mean square (dB to full scale), but no sample beyond 0.7: the codec overshoots."""
    gain = 10 ** (decibels / 20) / np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))
    return waveform * min(gain, 0.7 / np.abs(waveform).max())


def speak(voice: Voice, spoken: list[tuple[int, ...]], target: Path) -> list[dict[str, object]]:
    """Write the strings as one Opus file below `target`; return their manifest rows."""
    rng = random.Random(voice.speaker)
    plan = [(varied(voice, rng), phrases(string, rng)) for string in spoken]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        waveforms = iter(synthesise([(way, text) for way, texts in plan for text in texts], folder))
        rows: list[dict[str, object]] = []
        pieces: list[np.ndarray] = []
        start = 0
        for number, (string, (_, texts)) in enumerate(zip(spoken, plan, strict=True), start=1):
            parts = [silence(rng.uniform(0.1, 0.3))]
            for _ in texts:
                parts += [trim(next(waveforms)), silence(rng.uniform(0.05, 0.35))]
            parts[-1] = silence(rng.uniform(0.1, 0.3))
            utterance = levelled(np.concatenate(parts), rng.uniform(-28, -20))
            utterance = np.pad(utterance, (0, -len(utterance) % GRID))
            rows.append(
                {
                    "id": f"{voice.speaker}-{number:02d}",
                    "audio_filepath": f"{voice.split}/{voice.speaker}.opus",
                    "offset": round(start / SAMPLE_RATE, 2),
                    "duration": round(len(utterance) / SAMPLE_RATE, 2),
                    "text": " ".join(WORDS[digit] for digit in string),
                    "speaker": voice.speaker,
                }
            )
            pieces.append(utterance)
            start += len(utterance)
        write_opus(np.concatenate(pieces), target / voice.split / f"{voice.speaker}.opus", folder)
    return rows


def write_opus(waveform: np.ndarray, path: Path, folder: Path) -> None:
    """(S,) at SAMPLE_RATE; `folder` is temporary."""
    with wave.open(str(folder / "all.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((waveform * 32767).round().astype("<i2").tobytes())
    settings = ["--bitrate", BITRATE, "--framesize", 60, "--serial", 1]  # else the serial is random
    command("opusenc", "--quiet", *settings, folder / "all.wav", path)


def silence(seconds: float) -> np.ndarray:
    """Zeros."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo's corpus of spoken digits.")
    default = Path(__file__).resolve().parents[2] / "asr" / "demo_data"
    parser.add_argument("target", type=Path, nargs="?", default=default, help="default: %(default)s")
    target = parser.parse_args().target
    programs = ("espeak-ng", "flite", "festival", "sox", "opusenc")
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}; the first lines of this script name the packages")
    variants = command("espeak-ng", "--voices=variant").decode().split()
    espeak = [voice.model for voice in voices() if voice.synthesiser == "espeak"]
    unknown = [model for model in espeak if f"!v/{model.split('+')[1]}" not in variants]
    if unknown:  # espeak-ng would silently speak with its own voice
        sys.exit(f"this espeak-ng does not have the variants of {', '.join(unknown)}")
    rng = random.Random(2)
    taken: set[tuple[int, ...]] = set()
    for split in ("test", "dev", "train"):
        shutil.rmtree(target / split, ignore_errors=True)
        (target / split).mkdir(parents=True)
        speakers = [voice for voice in voices() if voice.split == split]
        each = STRINGS_PER_TRAINING_VOICE if split == "train" else STRINGS_PER_VOICE
        dealt = strings(each * len(speakers), rng, taken)
        shares = [dealt[number * each : (number + 1) * each] for number in range(len(speakers))]
        with ThreadPoolExecutor(2) as pool:
            spoken = pool.map(speak, speakers, shares, [target] * len(speakers))
            rows = [row for of_voice in spoken for row in of_voice]
        (target / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        size = sum(file.stat().st_size for file in (target / split).iterdir())
        minutes = sum(float(str(row["duration"])) for row in rows) / 60
        print(f"{split}: {len(speakers)} voices, {len(rows)} strings, {minutes:.1f} minutes, {size:,} bytes")


if __name__ == "__main__":
    main()
