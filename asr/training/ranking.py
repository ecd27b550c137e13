"""What a validation is judged by: an error rate, in the unit that language and tokens have, and then the loss.

At the beginning of a training a CTC network emits nothing but blanks: every error rate stands at 100 % while the loss
falls. And in many languages a sentence is one word, whose error rate hardly moves.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from asr.evaluation.scoring import count_errors
from asr.text.tokenizer import Tokenizer

STEP = 1e-6  # what the whole range of a figure weighs in a rank, relative to that of the figure before it
LEAST = 1e-15  # by which a rank has to be lower to count as better: an error, or a thousandth of the loss

# Of Unicode's names of letters: the scripts whose words are not divided by spaces.
UNSPACED = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def rank(*figures: float) -> float:
    """One number, 0 to a little above 1, that sorts as the figures (0 or more) do; the first counts most.

    Never NaN: a figure that is NaN is as bad as an infinite one. It needs float64.
    """
    return sum(STEP**place * _squashed(figure) for place, figure in enumerate(figures))


def _squashed(figure: float) -> float:
    return figure / (1 + figure) if math.isfinite(figure) else 1.0


def metric_of(tokenizer: Tokenizer, references: Iterable[str]) -> str:
    """Which of `error_rates` counts most: valid_per for phones, valid_cer for texts without spaces, else valid_wer."""
    if tokenizer.kind == "phones":
        return "valid_per"
    return "valid_cer" if written_without_spaces(references) else "valid_wer"


def error_rates(metric: str, references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """The rates of a validation by their names in the logs, `metric` first. Phones have no words and characters."""
    words = count_errors(references, hypotheses, unit="word").rate
    if metric == "valid_per":
        return {metric: words}
    rates = {"valid_wer": words, "valid_cer": count_errors(references, hypotheses, unit="character").rate}
    return {metric: rates.pop(metric), **rates}


def written_without_spaces(texts: Iterable[str]) -> bool:
    """Are the texts in a script that does not divide words, as Chinese and Thai, and not divided all the same?"""
    symbols = Counter(c for text in texts for c in text)
    unspaced = sum(n for c, n in symbols.items() if unicodedata.name(c, "").startswith(UNSPACED))
    return unspaced > symbols.total() / 2 and symbols[" "] < symbols.total() / 10
