"""Training runs side by side: what differs in their recipes, what they took and reached; their learning curves.

    asr compare-runs runs/digits runs/digits-2
    asr compare-runs runs/cells-* --plot curves.png --json figures.json

A RUN is a folder that `asr train` or `asr lm train` wrote; it may still be training. Error rates of validations are
greedy, of each epoch's own weights; `dev at the end` and `test` are scores of the model that the run has left.
"""

import argparse

from asr.commands import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the learning curves over each other")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from asr.errors import ConfigError
    from asr.training.comparison import describe, labels, to_dict
    from asr.training.curves import draw_learning_curves
    from asr.training.results import Run

    options.check_output("--plot", args.plot)
    options.check_output("--json", args.json)
    runs = [Run.read(folder) for folder in dict.fromkeys(args.runs)]
    print(describe(runs))
    if args.plot:
        Path(args.plot).parent.mkdir(parents=True, exist_ok=True)
        try:
            draw_learning_curves(dict(zip(labels(runs), (run.metrics for run in runs), strict=True)), args.plot)
        except ValueError as error:  # an ending that no picture has
            raise ConfigError(f"--plot {args.plot}: cannot be written: {error}") from error
    options.write_json(args.json, to_dict(runs))
    return 0
