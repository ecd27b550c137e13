"""Whether two texts differ in what is said, or in how it is written."""

from collections.abc import Sequence

from asr.evaluation.scoring import ErrorCounts, count_errors
from asr.text.normalise import normalise

SCHEME = "basic"
SHARE = 1 / 3  # of the errors that writing has to explain, for it to be told


def hint(references: Sequence[str], hypotheses: Sequence[str], counted: ErrorCounts) -> str:
    """A line that says so where case, punctuation or Unicode's forms explain more than a third of the errors; or ""."""
    if not counted.errors:
        return ""
    # Equal texts stay equal: most need not be written anew to find that there is nothing to tell.
    differing = [pair for pair in zip(references, hypotheses, strict=True) if pair[0] != pair[1]]
    if counted.errors - _written(differing).errors <= SHARE * counted.errors:
        return ""
    plain = _written(list(zip(references, hypotheses, strict=True)))
    return (
        f"case, punctuation or Unicode form make {counted.errors - plain.errors} of the {counted.errors} errors: "
        f"with --text-scheme {SCHEME} the WER is {plain.rate:.2%}"
    )


def _written(pairs: Sequence[tuple[str, str]]) -> ErrorCounts:
    wanted, found = ([normalise(pair[side], SCHEME) for pair in pairs] for side in (0, 1))
    return count_errors(wanted, found)
