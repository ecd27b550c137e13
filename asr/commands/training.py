"""What `asr train` and `asr lm train` share: their options, and a recipe checked or trained."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a YAML recipe")
    parser.add_argument("--output", help="folder of the run (default: the recipe's, else runs/<name>)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint, exactly")
    parser.add_argument("--check", action="store_true", help="check the recipe and its data, then stop")


OPTIONS = ("--output", "--resume", "--check", "--init-from", "--debug", "--help")


def join_overrides(words: Sequence[str]) -> list[str]:
    """The words of a command line; of a training's, `--key value` as `--key=value` where the key is a recipe's.

    argparse does not know these keys, and would take the value for the recipe.
    """
    commands = [word for word in words if not word.startswith("-")][:2]
    if commands[:1] != ["train"] and commands != ["lm", "train"]:
        return list(words)
    joined: list[str] = []
    waiting = False  # is the last word a key?
    for word in words:
        if waiting and not word.startswith("--"):
            joined[-1] += f"={word}"
            waiting = False
        else:
            joined.append(word)
            option = any(name.startswith(word) for name in OPTIONS)  # as argparse abbreviates
            waiting = word.startswith("--") and "=" not in word and not option
    return joined


def overrides(args: argparse.Namespace) -> list[str]:
    """What replaces values of the recipe."""
    return [*args.overrides, *(["--output", args.output] if args.output else [])]


def run(args: argparse.Namespace, recipe: Any, check: Callable[..., str], train: Callable[..., Any], made: str) -> int:
    """Check or train the recipe and say what was reached; made: what the result's `model` is."""
    if args.check:
        print(check(recipe))
        return 0
    result = train(recipe, resume=args.resume)
    if result is None:
        return 0  # a further process of a distributed training: the first one reports
    print(f"validation: {result.valid.summary()}")
    if result.test:
        print(f"test:       {result.test.summary()}")
    print(f"{made + ':':15} {result.model}\nlearning curve: {result.folder / 'learning_curve.png'}")
    return 0
