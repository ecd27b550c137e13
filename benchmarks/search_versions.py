"""The compiled search as it stands beside the same of another commit: equal results, and how much slower or faster.

    python benchmarks/search_versions.py 328fe65 asr/models/english-small data/speechocean762/test.jsonl

Both get the same log-probabilities, with lexicon, language model and settings of the model folder, in turns, in one
thread; CPU time counts, since other processes may share the cores. The commit's asr/decoders/search.py must take and
give what the present one does.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

import asr.decoders.beam
from asr.data import manifest
from asr.data.batches import SpeechDataset
from asr.decoders import Hypothesis
from asr.decoders.search import search
from asr.decoders.settings import DecoderSettings, build_decoder
from asr.evaluation.emissions import emissions
from asr.model.ctc_model import CTCModel

PATH = "asr/decoders/search.py"


def search_of(commit: str, folder: Path) -> ModuleType:
    """That commit's module, from a file in `folder`."""
    file = folder / "other_search.py"
    file.write_bytes(subprocess.run(["git", "show", f"{commit}:{PATH}"], check=True, capture_output=True).stdout)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    sys.modules[file.stem] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("model")
    parser.add_argument("manifest")
    parser.add_argument("--utterances", type=int, default=200, help="so many of them, evenly spread")
    parser.add_argument("--beam-size", type=int, help="instead of the model folder's")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    model = CTCModel.load(arguments.model)
    rows = manifest.read(arguments.manifest)
    dataset = SpeechDataset(rows[:: max(1, len(rows) // arguments.utterances)], None, model.sample_rate)
    batches = [(log_probs, counts) for _, log_probs, counts in emissions(model, dataset)]
    decoder = build_decoder(
        model.tokenizer, model.seconds_per_frame, DecoderSettings.of(model.folder), n_best=5, threads=1
    )
    if arguments.beam_size:
        decoder = decoder.narrowed(arguments.beam_size)

    def decode(way: Callable) -> list[list[list[Hypothesis]]]:
        asr.decoders.beam.search = way  # type: ignore[attr-defined]
        return [decoder(log_probs, counts) for log_probs, counts in batches]

    seconds = sum(int(counts.sum()) for _, counts in batches) * model.seconds_per_frame
    with tempfile.TemporaryDirectory() as folder:
        searches = {"now": search, arguments.commit: search_of(arguments.commit, Path(folder)).search}
        results = {name: decode(way) for name, way in searches.items()}  # compiles
        times: dict[str, list[float]] = {name: [] for name in searches}
        for _ in range(arguments.repeats):
            for name, way in searches.items():
                started = time.process_time()
                decode(way)
                times[name].append(time.process_time() - started)
    now, then = (np.array(times[name]) for name in searches)
    equal = results["now"] == results[arguments.commit]
    print(f"{len(dataset)} utterances, {seconds:.0f} s: texts, scores and times {'equal' if equal else 'DIFFER'}")
    for name, took in times.items():
        print(
            f"{name:10} {min(took):6.2f} to {max(took):6.2f} s of CPU, {seconds / min(took):5.1f} s of audio a second"
        )
    ratios = now / then
    print(f"now / {arguments.commit}: {np.median(ratios):.3f} (median; {ratios.min():.3f} to {ratios.max():.3f})")


if __name__ == "__main__":
    main()
