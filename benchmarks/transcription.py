"""Transcribing a folder of short files: a plain loop against `asr transcribe`'s batches, in several precisions.

    python benchmarks/transcription.py MODEL MANIFEST [--files 500] [--threads 2] [--repeats 5]

The manifest's first utterances are written into a folder as 16-bit WAV. The plain loop reads one file, runs the network
on it and decodes greedily, then the next; the model is loaded once. All others are what `asr transcribe FOLDER` runs.
The ways take turns, so that all see the same machine; loading models is not counted. RTFx is seconds of audio per
second, the median of the repeats; the ratio is the median of each repeat's ratio to its plain loop, above 1 where
faster. bf16 and int8 may run without units for them: then they are slow, and this table shows it.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile
import torch

from asr.audio.load import load_audio
from asr.data import manifest
from asr.decoders.greedy import GreedyDecoder
from asr.errors import ConfigError
from asr.evaluation.scoring import count_errors
from asr.model.ctc_model import CTCModel
from asr.model.export import export
from asr.model.load import load_model_folder
from asr.transcription.batch import recognise_all, sound_of
from asr.transcription.inputs import find
from asr.transcription.recogniser import Recogniser

Way = Callable[[Path], list[str]]
"""A folder of files -> their texts in the order of their names."""


def plain(model: CTCModel) -> Way:
    decoder = GreedyDecoder(model.tokenizer, model.seconds_per_frame)

    @torch.inference_mode()
    def run(folder: Path) -> list[str]:
        texts = []
        for path in sorted(folder.iterdir()):
            waveform, _ = load_audio(path, model.sample_rate)
            log_probs, num_frames = model(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
            texts.append(decoder(log_probs, num_frames)[0][0].text)
        return texts

    return run


def batched(recogniser: Recogniser) -> Way:
    def run(folder: Path) -> list[str]:
        recordings, problems = find([str(folder)], None, folder)
        sounds = [sound_of(recording, recogniser.model.sample_rate) for recording in recordings]
        results = list(recognise_all(recogniser, sounds))
        failures = [str(found.problem) for found in results if found.problem]
        if problems or failures:
            raise RuntimeError(f"not all files were transcribed: {problems + failures}")
        return [found.transcript().text for found in results]

    return run


def all_ways(folder: Path, spool: Path) -> dict[str, Way]:
    model = CTCModel.load(folder)
    ways = {"plain loop": plain(model), "fp32": batched(Recogniser(model))}
    try:
        ways["bf16"] = batched(Recogniser(model, precision="bf16"))
    except ConfigError as error:
        print(f"bf16: {error}")
    for name, int8 in (("ONNX", False), ("ONNX int8", True)):
        export(folder, spool / name, int8=int8)
        ways[name] = batched(Recogniser(load_model_folder(spool / name)))
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = manifest.read(args.manifest)[: args.files]
    with tempfile.TemporaryDirectory() as name:
        folder, spool = Path(name) / "files", Path(name) / "exported"
        folder.mkdir()
        seconds = 0.0
        for i, row in enumerate(rows):
            waveform, rate = load_audio(row.audio_filepath, offset=row.offset, duration=row.duration)
            soundfile.write(folder / f"{i:06}.wav", waveform, rate, subtype="PCM_16")
            seconds += len(waveform) / rate
        ways = all_ways(args.model, spool)
        took: dict[str, list[float]] = {way: [] for way in ways}
        texts: dict[str, list[str]] = {}
        for repeat in range(-1, args.repeats):  # the first is to warm up
            for way, run in ways.items():
                started = time.perf_counter()
                texts[way] = run(folder)
                if repeat >= 0:
                    took[way].append(time.perf_counter() - started)
    tokenizer = CTCModel.load(args.model).tokenizer
    references = [tokenizer.reference(row.text) if tokenizer.kind == "phones" else row.text for row in rows]
    print(f"{len(rows)} files, {seconds:.0f} s of audio; {platform.machine()}, torch {torch.__version__}, "
          f"{args.threads} threads, {args.repeats} repeats")  # fmt: skip
    print("way | RTFx | against the plain loop | WER (PER for a model of phones)")
    for way, times in took.items():
        ratio = statistics.median(slow / own for slow, own in zip(took["plain loop"], times, strict=True))
        wer = count_errors(references, texts[way], unit="word").rate
        print(f"{way:10} | {seconds / statistics.median(times):6.0f} | {ratio:5.2f} | {wer:.2%}")


if __name__ == "__main__":
    main()
