"""Train a spoken-digit recogniser in about a minute and let it transcribe voices that it has not heard.

Needs nothing but this package: its small corpus was made with free speech synthesisers. The figures therefore say that
the machinery works, not how well real speech is recognised.
"""

import argparse
import itertools
from pathlib import Path

SHOWN = 12  # references and hypotheses printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", help="folder of the run (default: runs/demo, or the first free runs/demo-N)")


def run(args: argparse.Namespace) -> int:
    output = args.output or next(path for path in _folders() if not Path(path).exists())
    print("Spoken digits by synthetic voices (espeak-ng, flite, festival); no person was recorded.", flush=True)

    from asr import manifest
    from asr.config import load_recipe
    from asr.experiment import train
    from asr.transcribe import Transcriber

    corpus = Path(__file__).parents[1] / "demo_data"
    manifests = {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")}
    words = ["--data.train", f"[{manifests['train']}]", "--data.valid", f"[{manifests['dev']}]"]
    recipe = load_recipe(corpus / "train.yaml", [*words, "--data.test", f"[{manifests['test']}]", "--output", output])
    for split in ("train", "dev", "test"):
        rows = manifest.read(manifests[split])
        voices = len({row.speaker for row in rows})
        minutes = sum(row.duration for row in rows) / 60
        print(f"  {split:5} {len(rows):4} strings of digits, {minutes:5.1f} minutes, {voices} voices")
    print("Training (about a minute on two cores) ...", flush=True)
    result = train(recipe)
    assert result and result.test

    print("\nVoices that were not in training:\n")
    tested = result.test
    step = max(1, len(tested.ids) // SHOWN)
    width = max(len(reference) for reference in tested.references[::step])
    print(f"  {'reference':{width}}  hypothesis")
    for reference, hypothesis in list(zip(tested.references, tested.hypotheses, strict=True))[::step]:
        print(f"  {reference:{width}}  {hypothesis.text}{'' if hypothesis.text == reference else '   <- differs'}")
    print(f"\nOn all of them: {tested.summary()}")
    print("These voices are synthetic: real speech is harder (see the README's table).\n")
    example = manifest.read(manifests["test"])[0].audio_filepath
    text = Transcriber.load(result.model)(example).text
    print(f"run:            {result.folder}\nmodel folder:   {result.model}")
    print(f"learning curve: {result.folder / 'learning_curve.png'}\n")
    print(f"Transcribe a file with it:\n  asr transcribe --model {result.model} {example}\n  -> {text}")
    return 0


def _folders() -> itertools.chain[str]:
    return itertools.chain(["runs/demo"], (f"runs/demo-{n}" for n in itertools.count(2)))
