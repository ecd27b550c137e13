"""The recipes that come with asr: list them, or copy them to where you work.

    asr recipes
    asr recipes digits yesno

The first prints what there is; the second makes recipes/digits and recipes/yesno, each with a README.md that tells how
to run it and what it reaches. What is there already is not overwritten.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", help="recipes to copy (default: list all)")
    parser.add_argument("--output", default="recipes", metavar="DIR", help="folder to copy into (default: recipes)")


def run(args: argparse.Namespace) -> int:
    from asr.training import shipped

    if args.name:
        for folder in shipped.copy(args.name, Path(args.output)):
            print(f"{folder}: its README.md tells how to run it")
        return 0
    titles = shipped.titles()
    width = max(map(len, titles))
    for name, title in titles.items():
        print(f"{name:{width}}  {title}")
    print("\nTo have one here: asr recipes NAME")
    return 0
