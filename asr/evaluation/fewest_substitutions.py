"""Of all alignments with the fewest errors, one with the most hits."""

from collections.abc import Sequence

import numpy as np

NONE = np.iinfo(np.int64).max // 2  # the cost of what is out of reach
DIAGONAL, DELETION, INSERTION = range(3)


def align_with_most_hits(
    wanted: Sequence[str], found: Sequence[str], errors: int
) -> list[tuple[str | None, str | None]]:
    """Reference and hypothesis unit by unit. errors: the fewest, which the caller knows.

    Levenshtein's recursion, a row of the table for each unit of the reference. With so few errors no path leaves the
    band from `deleted` diagonals below the main one to `inserted` above it: only the band is computed, so that long
    texts with few errors fit into memory.
    """
    more = len(found) - len(wanted)
    deleted, inserted = (errors - more) // 2, (errors + more) // 2
    numbers = {unit: i for i, unit in enumerate(dict.fromkeys([*wanted, *found]))}
    hypothesis = np.array([numbers[unit] for unit in found], np.int64)
    error = len(wanted) + 1  # more than all the substitutions, each of which costs one more
    band = np.arange(-deleted, inserted + 1)
    steps = error * band  # insertions along a row
    costs = np.where(band >= 0, steps, NONE)
    choices = np.full((len(wanted) + 1, len(band)), INSERTION, np.int8)
    for i, unit in enumerate(wanted, start=1):
        places = i + band  # units of the hypothesis that are behind
        there = (places >= 0) & (places <= len(found))
        same = np.zeros(len(band), bool)
        behind = there & (places > 0)
        same[behind] = hypothesis[places[behind] - 1] == numbers[unit]
        diagonal = np.where(behind, costs + np.where(same, 0, error + 1), NONE)
        deletion = np.append(costs[1:], NONE) + error
        best = np.where(there, np.minimum(diagonal, deletion), NONE)
        costs = np.minimum.accumulate(best - steps) + steps
        costs = np.where(there, np.minimum(costs, NONE), NONE)
        choices[i] = np.where(costs < best, INSERTION, np.where(diagonal <= deletion, DIAGONAL, DELETION))
    return _back(wanted, found, choices, deleted)


def _back(
    wanted: Sequence[str], found: Sequence[str], choices: np.ndarray, deleted: int
) -> list[tuple[str | None, str | None]]:
    pairs: list[tuple[str | None, str | None]] = []
    i, j = len(wanted), len(found)
    while i or j:
        choice = choices[i, j - i + deleted]
        i, j = i - (choice != INSERTION), j - (choice != DELETION)
        pairs.append((None if choice == INSERTION else wanted[i], None if choice == DELETION else found[j]))
    return pairs[::-1]
