"""Train a recogniser from a recipe.

    asr train recipes/digits/train.yaml
    asr train recipes/digits/train.yaml --optimizer.lr 5e-4 --trainer.max_epochs 40
    asr train recipes/digits/train.yaml --resume

Every value of the recipe can be overridden as --section.key VALUE; trainer.* are the arguments of lightning's Trainer
(devices, num_nodes, strategy, precision, max_epochs, accumulate_grad_batches, ...). The run's folder gets checkpoints,
logs (CSV, TensorBoard), the learning curve and the model folder.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a YAML recipe")
    parser.add_argument("--output", help="folder of the run (default: the recipe's, else runs/<name>)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint, exactly")
    parser.add_argument("--init-from", metavar="MODEL", help="model folder whose weights to start from")
    parser.add_argument("--check", action="store_true", help="check the recipe and its data, then stop")


def run(args: argparse.Namespace) -> int:
    from asr.config import load_recipe

    overrides = list(args.overrides)
    if args.output:
        overrides += ["--output", args.output]
    if args.init_from:
        overrides += ["--init_from", args.init_from]
    recipe = load_recipe(args.recipe, overrides)

    from asr.experiment import check, train

    if args.check:
        print(check(recipe))
        return 0
    result = train(recipe, resume=args.resume)
    if result is None:
        return 0  # a further process of a distributed training: the first one reports
    print(f"validation: {result.valid.summary()}")
    if result.test:
        print(f"test:       {result.test.summary()}")
    print(f"model folder:   {result.model}\nlearning curve: {result.folder / 'learning_curve.png'}")
    return 0
