"""Whether two texts differ in what is said, or in how it is written."""

from collections.abc import Sequence

from asr.evaluation.scoring import ErrorCounts, count_errors
from asr.text.normalise import normalise

SHARE = 1 / 3  # of the errors that writing has to explain, for it to be told


def hint(references: Sequence[str], hypotheses: Sequence[str], counted: ErrorCounts) -> str:
    """A line that says so where case, punctuation or Unicode's forms explain more than a third of the errors; or ""."""
    if not counted.errors:
        return ""
    scheme = "basic"
    wanted, found = ([normalise(text, scheme) for text in texts] for texts in (references, hypotheses))
    plain = count_errors(wanted, found)
    if counted.errors - plain.errors <= SHARE * counted.errors:
        return ""
    return (
        f"case, punctuation or Unicode form make {counted.errors - plain.errors} of the {counted.errors} errors: "
        f"with --text-scheme {scheme} the WER is {plain.rate:.2%}"
    )
