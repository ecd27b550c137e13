"""The model card: the README.md of a model folder."""

import platform

from asr.evaluation.evaluate import Evaluation
from asr.model.ctc_model import CTCModel
from asr.training.recipe import RecipeConfig, to_yaml


def model_card(
    recipe: RecipeConfig, model: CTCModel, valid: Evaluation, test: Evaluation | None, count: int, seconds: float
) -> str:
    """Markdown: what the model is, what it was trained on, what it reaches, how to use and retrain it."""
    parameters = sum(p.numel() for p in model.parameters())
    rows = [("validation", valid)] + ([("test", test)] if test else [])
    name = "PER" if valid.unit == "phone" else "WER"
    table = "\n".join(
        f"| {split} | {scored.words.rate:.2%} | {scored.characters.rate:.2%} | {scored.words.errors} of "
        f"{scored.words.reference_length} {scored.unit}s | {len(scored.ids)} |"
        for split, scored in rows
    )
    return f"""# {recipe.name}

A {recipe.encoder.cell} CTC speech recogniser, {parameters / 1e6:.2f} M parameters, {model.tokenizer.kind} as output
units ({model.tokenizer.vocab_size} with blank), audio at {model.sample_rate} Hz.

Trained on {count} utterances, {seconds / 3600:.2f} h, from {", ".join(recipe.data.train)} (see the corpus's licence).
Greedy decoding, figures counted over the whole set; {platform.machine()}, Python {platform.python_version()}.

| split | {name} | CER | errors | utterances |
|---|---|---|---|---|
{table}

    asr transcribe --model THIS_FOLDER recording.wav
    asr evaluate THIS_FOLDER manifest.jsonl

It knows the kind of speech it was trained on; expect more errors on other accents, microphones and noise.

## Recipe

```yaml
{to_yaml(recipe)}```
"""
