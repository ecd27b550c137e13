"""Make the sentences that `asr demo` shows the shipped model, with the synthesisers that make_corpus.py names:

python3 recipes/demo/make_sentences.py         # writes asr/demo_data/sentences and sentences.jsonl
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from make_corpus import GRID, SAMPLE_RATE, Voice, levelled, silence, synthesise, trim, write_opus

# Everyday sentences of our own, in voices made from recordings: synthesiser, its model, factor on its durations.
SENTENCES = (
    ("flite", "slt", 1.0, "the train leaves at half past seven in the morning"),
    ("flite", "rms", 1.0, "we are going to the beach with our friends"),
    ("flite", "awb", 1.1, "please close the window before you leave the room"),
    ("festival", "cmu_us_slt_arctic_hts", 1.0, "my sister wants to buy a new car"),
    ("flite", "kal16", 1.1, "i would like a cup of tea and some bread"),
    ("flite", "rms", 1.0, "it was raining when the children came home from school"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sentences of asr demo.")
    default = Path(__file__).resolve().parents[2] / "asr" / "demo_data"
    parser.add_argument("target", type=Path, nargs="?", default=default, help="default: %(default)s")
    target = parser.parse_args().target
    shutil.rmtree(target / "sentences", ignore_errors=True)
    (target / "sentences").mkdir()
    rows = []
    for number, (synthesiser, model, rate, text) in enumerate(SENTENCES, start=1):
        voice = Voice("sentences", f"{model}-{synthesiser}", synthesiser, model, pitch=1.0, rate=rate, tract=1.0)
        with tempfile.TemporaryDirectory() as name:
            waveform = trim(synthesise([(voice, text)], Path(name))[0])
            waveform = levelled(np.concatenate([silence(0.2), waveform, silence(0.2)]), -24)
            waveform = np.pad(waveform, (0, -len(waveform) % GRID))
            path = f"sentences/{number}-{voice.speaker}.opus"
            write_opus(waveform, target / path, Path(name))
        rows.append(
            {
                "id": f"sentence-{number}",
                "audio_filepath": path,
                "offset": 0.0,
                "duration": round(len(waveform) / SAMPLE_RATE, 2),
                "text": text.upper(),
                "speaker": voice.speaker,
            }
        )
    (target / "sentences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
