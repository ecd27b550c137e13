"""Train a recurrent language model from a recipe.

    asr lm train recipes/lm/train.yaml
    asr lm train recipes/lm/train.yaml --model.cell gru --optimizer.lr 2e-3 --trainer.max_epochs 20
    asr lm train recipes/lm/train.yaml --resume

Every value of the recipe can be overridden as --section.key VALUE; trainer.* are the arguments of lightning's Trainer.
Texts hold one sentence a line (.txt, .gz, .xz), or are manifests (.jsonl). The run's folder gets checkpoints, logs
(CSV, TensorBoard), the learning curve and the language model's folder.
"""

import argparse

from asr.commands import training

add_arguments = training.add_arguments


def run(args: argparse.Namespace) -> int:
    from asr.training.recipe import load_recipe_of
    from asr.training.recurrent_lm import RecurrentLMRecipe, check, train

    recipe = load_recipe_of(RecurrentLMRecipe, args.recipe, training.overrides(args))
    return training.run(args, recipe, check, train, "language model")
