"""Beam search: ours beside pyctcdecode and bare flashlight-text, on the same emissions, with the same language model.

    pip install flashlight-text pygtrie hypothesis && pip install --no-deps pyctcdecode   # it asks for an old numpy
    python benchmarks/decoding.py runs/speechocean762-characters/model data/speechocean762/dev.jsonl --lm lm

The model must be of characters, which all three can read. Each decoder gets log-probabilities and returns texts;
loading of models is not counted. One thread each, then ours with as many as there are cores.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from asr.data import manifest
from asr.data.batches import SpeechDataset
from asr.decoders.beam import BeamDecoder
from asr.evaluation.emissions import emissions
from asr.evaluation.scoring import count_errors
from asr.lm.arpa import read_arpa
from asr.model.ctc_model import CTCModel

Decode = Callable[[list[np.ndarray]], list[str]]


def ours(model: CTCModel, arguments: argparse.Namespace, threads: int) -> Decode:
    decoder = BeamDecoder(
        model.tokenizer,
        model.seconds_per_frame,
        lm=arguments.lm,
        lm_weight=arguments.lm_weight,
        word_insertion_score=arguments.word_insertion_score,
        unknown_score=None,
        beam_size=arguments.beam_size,
        beam_threshold=arguments.beam_threshold,
        threads=threads,
    )

    def decode(utterances: list[np.ndarray]) -> list[str]:
        counts = torch.tensor([len(frames) for frames in utterances])
        batch = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(frames) for frames in utterances], batch_first=True)
        return [found[0].text for found in decoder(batch, counts)]

    return decode


def bare_flashlight(model: CTCModel, arguments: argparse.Namespace) -> Decode:
    from flashlight.lib.text.decoder import (
        CriterionType,
        KenLM,
        LexiconDecoder,
        LexiconDecoderOptions,
        SmearingMode,
        Trie,
    )
    from flashlight.lib.text.dictionary import Dictionary

    tokens, space = model.tokenizer.tokens, model.tokenizer.ids[" "]
    words = [word for word in lm_words(arguments.lm) if set(word) <= set(tokens)]
    dictionary = Dictionary([*words, "<unk>"])
    dictionary.set_default_index(dictionary.get_index("<unk>"))
    lm = KenLM(str(Path(arguments.lm) / "lm.binary"), dictionary)
    trie = Trie(len(tokens), space)
    start = lm.start(False)
    for word in words:
        index = dictionary.get_index(word)
        trie.insert([*model.tokenizer.encode(word), space], index, lm.score(start, index)[1])
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(
        beam_size=arguments.beam_size,
        beam_size_token=20,
        beam_threshold=arguments.beam_threshold,
        # KenLM's log10 is not converted by flashlight.
        lm_weight=arguments.lm_weight * np.log(10),
        word_score=arguments.word_insertion_score,
        unk_score=-np.inf,
        sil_score=0.0,
        log_add=True,
        criterion_type=CriterionType.CTC,
    )
    decoder = LexiconDecoder(options, trie, lm, space, model.tokenizer.blank_id, len(words), [], False)
    # A word ends with the space behind it: the utterance gets a last frame that is one.
    last = np.full((1, len(tokens)), -1e4, np.float32)
    last[0, space] = 0.0

    def decode(utterances: list[np.ndarray]) -> list[str]:
        texts = []
        for frames in utterances:
            frames = np.ascontiguousarray(np.concatenate([frames, last]))
            results = decoder.decode(frames.ctypes.data, *frames.shape)
            found = results[0].words if results else []
            texts.append(" ".join(dictionary.get_entry(word) for word in found if word >= 0))
        return texts

    return decode


def pyctcdecode(model: CTCModel, arguments: argparse.Namespace) -> Decode:
    from pyctcdecode import build_ctcdecoder

    labels = ["", *model.tokenizer.tokens[1:]]
    decoder = build_ctcdecoder(
        labels,
        str(Path(arguments.lm) / "lm.arpa"),
        [word for word in lm_words(arguments.lm) if set(word) <= set(labels)],
        alpha=arguments.lm_weight,
        beta=arguments.word_insertion_score,
    )

    def decode(utterances: list[np.ndarray]) -> list[str]:
        return [
            decoder.decode(frames, beam_width=arguments.beam_size, beam_prune_logp=-arguments.beam_threshold)
            for frames in utterances
        ]

    return decode


def lm_words(folder: str) -> list[str]:
    return [word for word in read_arpa(Path(folder) / "lm.arpa").words if not word.startswith("<")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("manifest")
    parser.add_argument("--lm", required=True, help="folder of `asr lm build`")
    parser.add_argument("--lm-weight", type=float, default=0.8)
    parser.add_argument("--word-insertion-score", type=float, default=0.0)
    parser.add_argument("--beam-size", type=int, default=64)
    parser.add_argument("--beam-threshold", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    model = CTCModel.load(arguments.model)
    dataset = SpeechDataset(manifest.read(arguments.manifest), None, model.sample_rate)
    found: dict[int, np.ndarray] = {}
    for rows, log_probs, counts in emissions(model, dataset):
        found.update((row, log_probs[i, : counts[i]].numpy()) for i, row in enumerate(rows))
    utterances = [found[i] for i in range(len(dataset))]
    seconds = sum(map(len, utterances)) * model.seconds_per_frame
    decoders: dict[str, Callable[[], Decode]] = {
        "ours, 1 thread": lambda: ours(model, arguments, 1),
        "ours, all cores": lambda: ours(model, arguments, 0),
        "flashlight-text": lambda: bare_flashlight(model, arguments),
        "pyctcdecode": lambda: pyctcdecode(model, arguments),
    }
    print(f"{len(utterances)} utterances, {seconds:.0f} s, beam {arguments.beam_size}")
    results: dict[str, tuple[Decode, list[float]]] = {}
    for name, make in decoders.items():
        decode = make()
        decode(utterances[:2])  # compiles, fills caches
        results[name] = (decode, [])
    for _ in range(arguments.repeats):
        for decode, times in results.values():
            started = time.perf_counter()
            decode(utterances)
            times.append(time.perf_counter() - started)
    fastest = min(results["ours, 1 thread"][1])
    for name, (decode, times) in results.items():
        errors = count_errors(dataset.references, decode(utterances))
        rate = len(utterances) / min(times)
        print(f"{name:16} {rate:7.1f} utterances/s  {min(times) / fastest:5.2f} x our time  WER {errors.rate:.2%}")


if __name__ == "__main__":
    main()
