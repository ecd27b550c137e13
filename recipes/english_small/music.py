"""Music in which nobody sings, for training (data.non_speech) and testing: music.py SOUNDFONT OUTPUT [--split train]

    pip install music21 tinysoundfont soundfile
    python recipes/english_small/music.py TimGM6mb.sf2 data/music/train --split train --minutes 30
    python recipes/english_small/music.py TimGM6mb.sf2 data/music/test --split test --minutes 10

Scores that come with music21, played by a General MIDI soundfont (TimGM6mb.sf2 lies in the package pretty_midi) on
instruments drawn by chance, half of the pieces with drums. The splits share neither composers nor instruments. OUTPUT
gets WAV files of 4 to 15 seconds; their manifest, OUTPUT.jsonl, lies beside it.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import music21
import numpy as np
import soundfile
import tinysoundfont
from tqdm import tqdm

from asr.data import manifest
from asr.data.manifest import Utterance

RATE = 16000  # samples a second
COMPOSERS = {
    "train": ("bach", "airdsAirs", "oneills1850", "haydn", "corelli", "handel", "monteverdi", "schubert"),
    "test": ("mozart", "joplin", "beethoven", "ryansMammoth", "chopin"),
}
DRUMS = 9  # General MIDI's channel, counted from 0
VOICES = {52, 53, 54}  # programs that imitate singers


def programs(split: str) -> list[int]:
    """Of the 112 programs that are instruments, every fourth is for testing."""
    return [i for i in range(112) if i not in VOICES and (i % 4 == 3) == (split == "test")]


Notes = list[tuple[float, float, int, int]]  # start and end in quarters, MIDI pitch, part


def notes_of(path: Path) -> Notes:
    """The notes of a score."""
    score = music21.converter.parse(path)
    parts = list(getattr(score, "parts", None) or [score])[:8]
    found = []
    for number, part in enumerate(parts):
        for note in part.flatten().notes:
            start = float(note.offset)
            found += [(start, start + float(note.quarterLength), pitch.midi, number) for pitch in note.pitches]
    return sorted(found)


def play(soundfont: str, notes: Notes, chosen: list[int], seconds: float, tempo: float, drums: bool) -> np.ndarray:
    """The notes from the first one on, (S,) mono. tempo: quarters a minute."""
    synth = tinysoundfont.Synth(gain=-6, samplerate=RATE)
    sfid = synth.sfload(soundfont)
    channels = [channel for channel in range(12) if channel != DRUMS]
    for part in range(8):
        synth.program_select(channels[part], sfid, 0, chosen[part % len(chosen)])
    synth.program_select(DRUMS, sfid, 128, 0, is_drums=True)
    first = notes[0][0]
    events = []
    for start, end, pitch, part in notes:
        on, off = ((value - first) * 60 / tempo for value in (start, end))
        if on < seconds:
            events += [(on, 1, channels[part], pitch), (off, 0, channels[part], pitch)]
    if drums:
        for beat in range(int(seconds * tempo / 30)):
            events.append((beat * 30 / tempo, 1, DRUMS, (36, 42, 38, 42)[beat % 4]))
    sound, now = [], 0
    for at, on, channel, pitch in sorted(events):
        if (block := round(at * RATE) - now) > 0:
            sound.append(np.frombuffer(synth.generate(block), np.float32).reshape(-1, 2).mean(1))
            now += block
        if on:
            synth.noteon(channel, pitch, random.randint(60, 120))
        else:
            synth.noteoff(channel, pitch)
    return np.concatenate(sound)[: round(seconds * RATE)]


def excerpts(split: str) -> Iterator[tuple[str, Notes]]:
    """Parts of scores without end, in random order."""
    scores = {name: music21.corpus.getComposer(name) for name in COMPOSERS[split]}
    while True:
        composer = random.choice(list(scores))
        path = random.choice(scores[composer])
        try:
            notes = notes_of(path)
        except Exception:  # music21 cannot read all of its own scores
            continue
        if len(notes) > 20:
            begin = random.randrange(max(1, len(notes) - 60))
            yield f"{composer}-{Path(path).stem}", notes[begin:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("soundfont")
    parser.add_argument("output", type=Path)
    parser.add_argument("--split", choices=COMPOSERS, default="train")
    parser.add_argument("--minutes", type=float, default=30)
    args = parser.parse_args()
    random.seed(f"music {args.split}")
    args.output.mkdir(parents=True, exist_ok=True)
    rows: list[Utterance] = []
    bar = tqdm(total=args.minutes * 60, unit="s", disable=None)
    for name, notes in excerpts(args.split):
        chosen = random.sample(programs(args.split), 4)
        seconds = random.uniform(4, 15)
        sound = play(args.soundfont, notes, chosen, seconds, random.uniform(80, 150), random.random() < 0.5)
        if len(sound) < RATE or not sound.any():
            continue
        sound = sound * random.uniform(0.05, 0.7) / np.abs(sound).max()
        path = args.output / f"{len(rows):04}-{name}.wav"
        soundfile.write(path, sound, RATE, subtype="PCM_16")
        rows.append(Utterance(path.stem, str(path.resolve()), len(sound) / RATE, ""))
        bar.update(len(sound) / RATE)
        if sum(row.duration for row in rows) >= args.minutes * 60:
            break
    manifest.write(args.output.with_suffix(".jsonl"), rows)


if __name__ == "__main__":
    main()
