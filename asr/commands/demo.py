"""Let the model that comes with asr transcribe a few sentences; then train a recogniser of spoken digits, and try it.

Needs nothing but this package: sentences and digits were made with free speech synthesisers. The figures therefore say
that the machinery works, not how well real speech is recognised. Training takes about a minute on two cores.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "demo_data"
SHOWN = 12  # references and hypotheses printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", help="folder of the run (default: runs/demo, or the first free runs/demo-N)")


def run(args: argparse.Namespace) -> int:
    output = args.output or next(path for path in _folders() if not Path(path).exists())
    _transcribe_sentences()
    _train_digits(output)
    return 0


def _transcribe_sentences() -> None:
    from asr.api import load_model
    from asr.data import manifest
    from asr.evaluation.scoring import count_errors
    from asr.model.folder import DEFAULT, SHIPPED

    if not (SHIPPED / DEFAULT).is_dir():
        print(f"The model {DEFAULT} is missing from this copy of asr: its part of the demo is left out.\n")
        return
    print(f"1. Sentences by synthetic voices (flite, festival), as the model {DEFAULT} understands them:\n", flush=True)
    rows = manifest.read(CORPUS / "sentences.jsonl")
    transcriber = load_model()
    texts = [transcriber.transcribe(row.audio_filepath).text for row in rows]
    _print_pairs([row.text for row in rows], texts)
    print(f"\nWER {count_errors([row.text for row in rows], texts).describe('words')}")
    print(f"Transcribe a file with it:\n  asr transcribe {rows[0].audio_filepath}\n")


def _print_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    width = max(len(reference) for reference in references)
    print(f"  {'reference':{width}}  hypothesis")
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        print(f"  {reference:{width}}  {hypothesis}{'' if hypothesis == reference else '   <- differs'}")


def _train_digits(output: str) -> None:
    from asr.api import load_model
    from asr.data import manifest
    from asr.training.recipe import load_recipe
    from asr.training.run import train

    print("2. Spoken digits by synthetic voices (espeak-ng, flite, festival); no person was recorded.", flush=True)
    manifests = {split: str(CORPUS / f"{split}.jsonl") for split in ("train", "dev", "test")}
    words = ["--data.train", f"[{manifests['train']}]", "--data.valid", f"[{manifests['dev']}]"]
    recipe = load_recipe(CORPUS / "train.yaml", [*words, "--data.test", f"[{manifests['test']}]", "--output", output])
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
    _print_pairs(tested.references[::step], [hypothesis.text for hypothesis in tested.hypotheses[::step]])
    print(f"\nOn all of them: {tested.summary()}")
    print("These voices are synthetic: real speech is harder (see the README's table).\n")
    example = manifest.read(manifests["test"])[0].audio_filepath
    text = load_model(result.model).transcribe(example).text
    print(f"run:            {result.folder}\nmodel folder:   {result.model}")
    print(f"learning curve: {result.folder / 'learning_curve.png'}\n")
    print(f"Transcribe a file with it:\n  asr transcribe --model {result.model} {example}\n  -> {text}")


def _folders() -> itertools.chain[str]:
    return itertools.chain(["runs/demo"], (f"runs/demo-{n}" for n in itertools.count(2)))
