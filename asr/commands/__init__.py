"""One module for each sub-command: its help (the docstring), `add_arguments(parser)` and `run(args) -> exit code`."""

from asr.commands import demo, evaluate, info, score, train, transcribe

__all__ = ["demo", "evaluate", "info", "score", "train", "transcribe"]
