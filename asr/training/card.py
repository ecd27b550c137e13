"""The model card: the README.md of a model folder."""

import platform

from asr.evaluation.evaluate import Evaluation
from asr.model.ctc_model import CTCModel
from asr.training.recipe import RecipeConfig, to_yaml


def model_card(
    recipe: RecipeConfig,
    model: CTCModel,
    splits: dict[str, Evaluation | None],
    count: int,
    seconds: float,
    predicted: str = "",
) -> str:
    """Markdown: what the model is, what it was trained on, what it reaches, how to use and retrain it.

    splits: the scores by the name of what was scored; None where it was not. count, seconds: of the training set;
    predicted: what is to be said of those whose texts a recogniser wrote.
    """
    parameters = sum(p.numel() for p in model.parameters())
    manifests = recipe.data.train + recipe.data.non_speech
    scores = {split: scored for split, scored in splits.items() if scored}
    note = predicted and f"Texts that a recogniser wrote, checked by nobody: {predicted}.\n"
    return f"""# {recipe.name}

A {recipe.encoder.cell} CTC speech recogniser, {parameters / 1e6:.2f} M parameters, {model.tokenizer.kind} as output
units ({model.tokenizer.vocab_size} with blank), audio at {model.sample_rate} Hz.

Trained on {count} utterances, {seconds / 3600:.2f} h, from {", ".join(manifests)} (see the corpus's licence).
{note}{_table(scores) if scores else "It has not been scored."}

    asr transcribe --model THIS_FOLDER recording.wav
    asr evaluate THIS_FOLDER manifest.jsonl

It knows the kind of speech it was trained on; expect more errors on other accents, microphones and noise.

## Recipe

```yaml
{to_yaml(recipe)}```
"""


def _table(scores: dict[str, Evaluation]) -> str:
    phones = any(scored.unit == "phone" for scored in scores.values())  # then there are no words and characters
    lines = ["| split | PER |" if phones else "| split | WER | CER |"]
    lines[0] += " errors | utterances |"
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    for split, scored in scores.items():
        rates = [scored.words.rate] if phones else [scored.words.rate, scored.characters.rate]
        lines.append(
            f"| {split} | {' | '.join(f'{rate:.2%}' for rate in rates)} | {scored.words.errors} of "
            f"{scored.words.reference_length} {scored.unit}s | {len(scored.ids)} |"
        )
    head = f"Greedy decoding, figures counted over the whole set; {platform.machine()}, Python "
    return "\n".join([f"{head}{platform.python_version()}.", "", *lines])
