"""Words and phrases that a user expects: found more easily, at a bonus.

Phrases are strings of labels: words where the decoder has a lexicon, else tokens. While a phrase is being heard, its
share of the bonus is given label by label, so that the search does not drop it before its end, and taken back if it
comes to nothing. That is the automaton of Aho and Corasick (1975), with weights, as a back-off automaton.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from asr.errors import ConfigError
from asr.lm.automaton import Automaton

DEFAULT_BONUS = 6.0
"""Natural logarithm: a phrase that is e^6 times less likely than what would be found otherwise is still found."""


def parse_hotwords(text: str) -> dict[str, float]:
    """`ACME,NEW YORK:2.5` -> each phrase and its bonus. Raises ConfigError."""
    return dict(_parse(item, f"hotwords: {text!r}") for item in text.split(",") if item.strip())


def read_hotwords(path: Path | str) -> dict[str, float]:
    """A file with a phrase a line, each with `:bonus` or without. Raises ConfigError naming file and line."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the hotwords cannot be read: {error}") from error
    return dict(_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip())


def as_hotwords(given: str | Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """What `parse_hotwords` takes, a list of such phrases, or phrases and their bonuses. Raises ConfigError."""
    if isinstance(given, str):
        return parse_hotwords(given)
    if isinstance(given, Mapping):
        given = [f"{phrase}:{bonus}" for phrase, bonus in given.items()]
    return dict(_parse(item, "hotwords") for item in given)


def _parse(item: str, where: str) -> tuple[str, float]:
    phrase, colon, bonus = item.rpartition(":") if ":" in item else (item, "", "")
    phrase = " ".join(phrase.split())
    try:
        value = float(bonus) if colon else DEFAULT_BONUS
    except ValueError:
        value = float("nan")
    if not phrase or not abs(value) < 1000:
        raise ConfigError(f"{where}: found {item.strip()!r}, wanted a word or phrase, or PHRASE:BONUS, as ACME:2.5")
    return phrase, value


def build_automaton(phrases: Iterable[tuple[Sequence[int], float]]) -> Automaton:
    """phrases: (labels, bonus). Reading a string of labels gives the sum of the bonuses of the phrases in it, where a
    phrase within another counts as well, once a label that no phrase has (-1) has been read at its end."""
    children: list[dict[int, int]] = [{}]
    bonus, promise = [0.0], [0.0]  # of each node: paid for good, and in advance
    for labels, value in phrases:
        node = 0
        for place, label in enumerate(labels, start=1):
            if label not in children[node]:
                children[node][label] = len(children)
                children.append({})
                bonus.append(0.0)
                promise.append(0.0)
            node = children[node][label]
            if place < len(labels):
                promise[node] = max(promise[node], value * place / len(labels))
        bonus[node] += value
    fallback = [0] * len(children)
    queue = deque(children[0].values())
    while queue:
        node = queue.popleft()
        bonus[node] += bonus[fallback[node]]  # phrases that end here and began later
        for label, child in children[node].items():
            queue.append(child)
            shorter = fallback[node]
            while shorter and label not in children[shorter]:
                shorter = fallback[shorter]
            fallback[child] = children[shorter].get(label, 0)
    arcs = [
        (node, label, bonus[child] + promise[child] - promise[node], child)
        for node in range(len(children))
        for label, child in sorted(children[node].items())
    ]
    starts = np.cumsum([0, *(len(nexts) for nexts in children)])
    return Automaton(
        starts.astype(np.int64),
        np.array([arc[1] for arc in arcs], np.int32),
        np.array([arc[2] for arc in arcs], np.float32),
        np.array([arc[3] for arc in arcs], np.int32),
        np.array([promise[fallback[node]] - promise[node] for node in range(len(children))], np.float32),
        np.array(fallback, np.int32),
    )
