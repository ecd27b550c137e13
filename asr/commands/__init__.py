"""One module for each sub-command: its help (the docstring), `add_arguments(parser)` and `run(args) -> exit code`."""

from asr.commands import (
    align,
    compare,
    compare_runs,
    demo,
    evaluate,
    export,
    info,
    lm,
    prepare,
    recipes,
    score,
    train,
    transcribe,
)  # fmt: skip

__all__ = [
    "align", "compare", "compare_runs", "demo", "evaluate", "export", "info", "lm", "prepare", "recipes", "score",
    "train", "transcribe",
]  # fmt: skip
