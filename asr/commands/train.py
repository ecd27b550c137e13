"""Train a recogniser from a recipe.

    asr train recipes/digits/train.yaml
    asr train recipes/digits/train.yaml --optimizer.lr 5e-4 --trainer.max_epochs 40
    asr train recipes/digits/train.yaml --resume

Every value of the recipe can be overridden as --section.key VALUE; trainer.* are the arguments of lightning's Trainer
(devices, num_nodes, strategy, precision, max_epochs, accumulate_grad_batches, ...). The run's folder gets checkpoints,
logs (CSV, TensorBoard), the learning curve and the model folder.
"""

import argparse

from asr.commands import training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    training.add_arguments(parser)
    parser.add_argument("--init-from", metavar="MODEL", help="model folder, or name of a shipped model, to start from")


def run(args: argparse.Namespace) -> int:
    from asr.training.recipe import load_recipe

    init_from = ["--init_from", args.init_from] if args.init_from else []
    recipe = load_recipe(args.recipe, [*training.overrides(args), *init_from])

    from asr.training.run import check, train

    return training.run(args, recipe, check, train, "model folder")
