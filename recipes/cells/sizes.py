"""Hidden sizes with which all cells, in one and both directions, have as many parameters as a recipe's network.

    python recipes/cells/sizes.py recipes/cells/an4.yaml
    python recipes/cells/sizes.py recipes/cells/an4.yaml --commands | sh

Prints a table, or the commands that train the eight. Parameters are counted by making the networks, without memory.
"""

import argparse
from dataclasses import replace

import torch

from asr.errors import ConfigError
from asr.model.encoders.recurrent import LARGEST, RecurrentConfig, RecurrentEncoder
from asr.training.recipe import load_recipe

CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
TOKENS = 29  # 26 letters, space, apostrophe and the blank; a few more or less hardly change a size


def count(config: RecurrentConfig, features: int, tokens: int) -> int:
    """Parameters of the encoder and of the layer that gives the tokens' scores."""
    with torch.device("meta"):
        encoder = RecurrentEncoder(config, features)
    return sum(p.numel() for p in encoder.parameters()) + (encoder.output_size + 1) * tokens


def fitting_size(config: RecurrentConfig, wanted: int, features: int, tokens: int) -> int:
    """The hidden size with which the network is nearest to `wanted` parameters."""

    def found(size: int) -> int:
        return count(replace(config, hidden_size=size), features, tokens)

    low, high = 1, 2
    while found(high) < wanted and high < LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if found(middle) <= wanted else (low, middle)
    return min(low, high, key=lambda size: abs(found(size) - wanted))


def variants(config: RecurrentConfig, features: int, tokens: int = TOKENS) -> dict[str, RecurrentConfig]:
    """By name, each cell in both directions and in one, with as many parameters as the given network."""
    wanted = count(config, features, tokens)
    made = {}
    for cell in CELLS:
        for bidirectional in (True, False):
            other = replace(config, cell=cell, bidirectional=bidirectional)
            size = fitting_size(other, wanted, features, tokens)
            made[f"{cell}-{'both' if bidirectional else 'one'}"] = replace(other, hidden_size=size)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="whose network the others shall be as large as")
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"with the blank (default: {TOKENS})")
    parser.add_argument("--commands", action="store_true", help="print the commands that train them")
    args = parser.parse_args()
    try:
        recipe = load_recipe(args.recipe)
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    if not isinstance(recipe.encoder, RecurrentConfig):
        raise SystemExit(f"{args.recipe}: encoder.name: found {recipe.encoder.name}, wanted recurrent")
    features = recipe.features.size
    for name, config in variants(recipe.encoder, features, args.tokens).items():
        if args.commands:
            run = f"{recipe.name}-{name}"
            print(
                f"asr train {args.recipe} --encoder.cell {config.cell} --encoder.hidden_size {config.hidden_size} "
                f"--encoder.bidirectional {str(config.bidirectional).lower()} --name {run} --output runs/{run}"
            )
        else:
            print(f"{name:14} hidden_size {config.hidden_size:5}  {count(config, features, args.tokens):,} parameters")


if __name__ == "__main__":
    main()
