"""A back-off n-gram model as a finite automaton: what the beam search walks through, one step for each word.

A state is a context that the model knows; an arc reads a word and leads to the longest context that the model knows
after it; where a state has no arc for a word, its back-off leads to the next shorter context (Mohri, Pereira and Riley,
2002, section 3.1). Hotwords (`asr.decoders.hotwords`) are such an automaton too: their back-off is Aho and Corasick's
failure function.
"""

from typing import NamedTuple

import numpy as np

from asr.compiled import compiled
from asr.lm.ngram_model import NGramModel, suffixes

LOG10 = float(np.log(10.0))
LARGEST = 1000.0
"""No score is further from 0: "never" (log10 -99) is -228."""
MAX_CONTEXT = 20  # words


class Automaton(NamedTuple):
    """S states, A arcs sorted by (state, label). State 0 is the empty context, whose back-off is itself."""

    arc_start: np.ndarray  # (S + 1,) int64: arcs of state s are arc_start[s] to arc_start[s + 1]
    arc_label: np.ndarray  # (A,) int32
    arc_score: np.ndarray  # (A,) float32, natural logarithm
    arc_next: np.ndarray  # (A,) int32
    backoff_score: np.ndarray  # (S,) float32, natural logarithm
    backoff_state: np.ndarray  # (S,) int32


EMPTY = Automaton(
    np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int32),
    np.zeros(1, np.float32), np.zeros(1, np.int32),
)  # fmt: skip
"""Reads everything at no cost: no language model, no hotwords."""


@compiled
def step(automaton: Automaton, state: int, label: int) -> tuple[float, int]:
    """Read a label: (score, next state). A label that no context knows costs nothing more and leads to state 0."""
    score = 0.0
    while True:
        low, high = automaton.arc_start[state], automaton.arc_start[state + 1]
        while low < high:
            middle = (low + high) // 2
            if automaton.arc_label[middle] < label:
                low = middle + 1
            else:
                high = middle
        if low < automaton.arc_start[state + 1] and automaton.arc_label[low] == label:
            return score + automaton.arc_score[low], automaton.arc_next[low]
        if state == 0:
            return score, 0
        score += automaton.backoff_score[state]
        state = automaton.backoff_state[state]


def find_mistake(automaton: Automaton, num_words: int) -> str:
    """Why `step` cannot walk through what was read from a file, with labels below num_words; "" where it can.

    The compiled code checks no index, and follows back-offs until it comes to state 0: with what is found good here it
    never leaves an array, and ends. Some requirements are stricter than that; each holds for what `from_model` makes.
    """
    starts, labels, _, targets, backoffs, fallbacks = automaton
    states, arcs = len(fallbacks), len(labels)
    lengths = {"arc_start": states + 1, "arc_score": arcs, "arc_next": arcs, "backoff_score": states}
    for name, length in lengths.items():
        if len(found := getattr(automaton, name)) != length or not states:
            return f"{name}: found {len(found)} values, wanted {length}, of {states} states and {arcs} arcs"
    if starts[0] != 0 or starts[-1] != arcs:
        return f"arc_start: found {starts[0]} first and {starts[-1]} last, wanted 0 first and {arcs} last"
    if len(places := np.flatnonzero(starts[1:] < starts[:-1])):
        return f"arc_start: falls at state {places[0]}, wanted values that never do"
    for name, values, lowest, highest in (
        ("arc_label", labels, 0, num_words - 1),
        ("arc_next", targets, 0, states - 1),
        ("arc_score", automaton.arc_score, -LARGEST, 0.01),  # rounding may leave a little more than 0
        ("backoff_score", backoffs, -LARGEST, LARGEST),
    ):
        if len(values) and not (values.min() >= lowest and values.max() <= highest):  # NaN is neither
            place = np.argmin((values >= lowest) & (values <= highest))
            return f"{name}: found {values[place]} at {place}, wanted {lowest:g} to {highest:g}"
    if starts[1] != num_words or not np.array_equal(labels[:num_words], np.arange(num_words)):
        return f"arc_label: state 0 has not an arc for every word, of which there are {num_words}"
    rising = np.diff(labels) > 0
    rising[starts[1:-1][(starts[1:-1] > 0) & (starts[1:-1] < arcs)] - 1] = True  # from one state to the next
    if not rising.all():
        return f"arc_label: not sorted at {np.argmin(rising) + 1}, wanted each state's labels in order, each once"
    if len(places := np.flatnonzero((fallbacks < 0) | (fallbacks >= np.maximum(np.arange(states), 1)))):
        wanted = "a state before it, a shorter context" if places[0] else "state 0"
        return f"backoff_state: found {fallbacks[places[0]]} at {places[0]}, wanted {wanted}"
    shorter = fallbacks
    for _ in range(MAX_CONTEXT):
        if not shorter.any():
            return ""
        shorter = fallbacks[shorter]
    return f"backoff_state: found a context of more than {MAX_CONTEXT} back-offs"


def from_model(model: NGramModel) -> Automaton:
    """The automaton that scores as the model does; labels are its word ids."""
    counts = np.array(model.counts)
    first_state = 1 + np.concatenate([[0], np.cumsum(counts)])  # of each order: state 0 has no words
    num_states = int(first_state[model.order - 1])
    # The arcs, in the order of (context, word), are the n-grams in the order of the model. An n-gram below the highest
    # order is a state as well, to which its arc leads; one of the highest leads to its suffix.
    contexts, words = zip(*(np.divmod(keys, model.size) for keys in model.keys), strict=True)
    states = [np.zeros_like(contexts[0])]
    states += [context + first for context, first in zip(contexts[1:], first_state, strict=False)]
    suffix = [np.zeros(counts[0] + 1, np.int64)]  # of the empty context and of single words
    suffix += [below + first for below, first in zip(suffixes(model.keys, model.size)[1:], first_state, strict=False)]
    suffix_of = np.concatenate(suffix)
    targets = np.arange(1, len(suffix_of))
    targets[num_states - 1 :] = suffix_of[num_states:]
    suffix_of = suffix_of[:num_states]
    starts = np.searchsorted(np.concatenate(states), np.arange(num_states + 1))
    backoff = np.concatenate([[0.0], *model.log_backoffs[:-1]]) * LOG10
    # A context that no n-gram continues, and that costs nothing to leave, is as good as its suffix.
    useful = (np.diff(starts) > 0) | (backoff != 0)
    useful[0] = True
    stands_for = np.arange(num_states)
    for _ in range(model.order):
        stands_for = np.where(useful[stands_for], stands_for, suffix_of[stands_for])
    number = np.cumsum(useful) - 1
    return Automaton(
        np.append(starts[:-1][useful], starts[-1]).astype(np.int64),
        np.concatenate(words).astype(np.int32),
        (np.concatenate(model.log_probs) * LOG10).astype(np.float32),
        number[stands_for[targets]].astype(np.int32),
        backoff[useful].astype(np.float32),
        number[stands_for[suffix_of[useful]]].astype(np.int32),
    )
