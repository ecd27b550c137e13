"""Train a recurrent language model from a recipe.

    asr lm train recipes/lm/train.yaml
    asr lm train recipes/lm/train.yaml --model.cell gru --optimizer.lr 2e-3 --trainer.max_epochs 20
    asr lm train recipes/lm/train.yaml --resume

Every value of the recipe can be overridden as --section.key VALUE; trainer.* are the arguments of lightning's Trainer.
Texts hold one sentence a line (.txt, .gz, .xz), or are manifests (.jsonl). The run's folder gets checkpoints, logs
(CSV, TensorBoard), the learning curve and the language model's folder.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a YAML recipe")
    parser.add_argument("--output", help="folder of the run (default: the recipe's, else runs/<name>)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint, exactly")
    parser.add_argument("--check", action="store_true", help="check the recipe and its texts, then stop")


def run(args: argparse.Namespace) -> int:
    from asr.config import load_recipe_of
    from asr.lm.recurrent_training import RecurrentLMRecipe, check, train

    overrides = [*args.overrides, *(["--output", args.output] if args.output else [])]
    recipe = load_recipe_of(RecurrentLMRecipe, args.recipe, overrides)
    if args.check:
        print(check(recipe))
        return 0
    result = train(recipe, resume=args.resume)
    if result is None:
        return 0  # a further process of a distributed training: the first one reports
    print(f"validation: {result.valid.describe()}")
    if result.test:
        print(f"test:       {result.test.describe()}")
    print(f"language model: {result.model}\nlearning curve: {result.folder / 'learning_curve.png'}")
    return 0
