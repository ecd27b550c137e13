"""The words that a beam search can find, spelt in the model's tokens, as the graph that `asr.decoders.search` walks.

Without a lexicon, each token is a word of its own: one graph serves both. Words outside the lexicon can be let in: any
string of tokens that could be a word, at the price of its tokens' frequencies among the lexicon's words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.compiled import compiled
from asr.decoders.search import Lexicon
from asr.text.subwords import MARK
from asr.text.tokenizer import Tokenizer

UNKNOWN = 0  # the label of words outside the lexicon


@dataclass(frozen=True)
class Spelling:
    """Which tokens words are spelt with; none where spelling is not writing, as with phones."""

    first: tuple[int, ...]  # those that words begin with
    later: tuple[int, ...]  # those that words go on with
    boundary: int | None  # the token between words, if there is one

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Spelling":
        if tokenizer.kind == "phones":
            return cls((), (), None)
        ids = range(1, tokenizer.vocab_size)
        if tokenizer.kind == "characters":
            boundary = tokenizer.ids.get(" ")
            letters = tuple(i for i in ids if i != boundary)
            return cls(letters, letters, boundary)
        begins = [token.startswith(MARK) for token in tokenizer.tokens]
        return cls(tuple(i for i in ids if begins[i]), tuple(i for i in ids if not begins[i]), None)


def build_graph(spellings: Sequence[tuple[int, Sequence[int]]], num_words: int) -> Lexicon:
    """spellings: (word, its tokens), words being numbers below num_words; a word may be there several times.

    Scores, look-ahead and the language model's numbers are 0 as yet. Raises ValueError for a word without tokens.
    """
    lengths = np.array([len(tokens) for _, tokens in spellings], np.int64)
    if not lengths.all():
        raise ValueError(f"word {spellings[int(np.argmin(lengths))][0]} has no tokens")
    longest = int(lengths.max(initial=0))
    table = np.full((len(spellings), longest), -1, np.int32)
    filled = np.arange(longest) < lengths[:, None]
    table[filled] = np.concatenate([np.asarray(tokens, np.int32) for _, tokens in spellings]) if spellings else []
    order = np.lexsort(table.T[::-1]) if longest else np.zeros(0, np.int64)
    table, lengths = table[order], lengths[order]
    words = np.array([word for word, _ in spellings], np.int64)[order]
    # Rows that begin alike share nodes. Nodes are numbered depth by depth, so that those of one depth, and with them
    # the arcs that lead there, are in the order of their parents; arc i leads to node i + 1.
    node = np.zeros(len(table), np.int64)  # of each row, at the depth reached
    differs = np.zeros(len(table), bool)
    differs[:1] = True
    final = np.zeros(len(table), np.int64)
    parents, tokens, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], 1
    for depth in range(longest):
        column = table[:, depth]
        differs[1:] |= column[1:] != column[:-1]
        first = differs & (column >= 0)
        parents.append(node[first])
        tokens.append(column[first])
        node = np.where(column >= 0, count + np.cumsum(first) - 1, node)
        count += int(first.sum())
        final = np.where(lengths == depth + 1, node, final)
    by_node = np.lexsort((words, final))
    starts = np.arange(count + 1)
    return Lexicon(
        arc_start=np.searchsorted(np.concatenate(parents), starts).astype(np.int32),
        arc_token=np.concatenate(tokens),
        arc_node=np.arange(1, count, dtype=np.int32),
        arc_score=np.zeros(count - 1, np.float32),
        label_start=np.searchsorted(final[by_node], starts).astype(np.int32),
        label=words[by_node].astype(np.int32),
        lookahead=np.zeros(count, np.float32),
        lm_label=np.zeros(num_words, np.int32),
    )


def add_unknown(graph: Lexicon, spelling: Spelling, frequencies: np.ndarray, score: float) -> Lexicon:
    """The graph with words of any letters, labelled UNKNOWN.

    frequencies (V,): what each token of such a word costs, ln P; score: what each such word costs besides.

    The new nodes are the last: one for what has been spelt so far and, where a boundary ends words, one behind it.
    """
    spelt = len(graph.arc_start) - 1
    complete = spelt if spelling.boundary is None else spelt + 1
    graph = _add_nodes(graph, complete + 1 - spelt)
    first, later = list(spelling.first), list(spelling.later)
    graph = _add_arcs(graph, 0, spelt, first, frequencies[first] + score)
    graph = _add_arcs(graph, spelt, spelt, later, frequencies[later])
    if spelling.boundary is not None:
        graph = _add_arcs(graph, spelt, complete, [spelling.boundary], np.zeros(1))
    return _add_label(graph, complete, UNKNOWN)


def _add_nodes(graph: Lexicon, count: int) -> Lexicon:
    """New nodes at the end, without arcs and labels."""
    return graph._replace(
        arc_start=np.pad(graph.arc_start, (0, count), mode="edge"),
        label_start=np.pad(graph.label_start, (0, count), mode="edge"),
        lookahead=np.pad(graph.lookahead, (0, count)),
    )


def _add_arcs(graph: Lexicon, source: int, target: int, tokens: Sequence[int], scores: np.ndarray) -> Lexicon:
    """New arcs from one node to another, behind those that the first has."""
    stop = graph.arc_start[source + 1]
    arc_start = graph.arc_start.copy()
    arc_start[source + 1 :] += len(tokens)
    return graph._replace(
        arc_start=arc_start,
        arc_token=np.insert(graph.arc_token, stop, tokens),
        arc_node=np.insert(graph.arc_node, stop, [target] * len(tokens)),
        arc_score=np.insert(graph.arc_score, stop, scores),
    )


def _add_label(graph: Lexicon, node: int, label: int) -> Lexicon:
    """The label of one more word that is complete at this node."""
    label_start = graph.label_start.copy()
    label_start[node + 1 :] += 1
    return graph._replace(label_start=label_start, label=np.insert(graph.label, graph.label_start[node + 1], label))


def look_ahead(graph: Lexicon, word_scores: np.ndarray) -> np.ndarray:
    """(N,) float32: for each node the best of the scores of the words that can still be reached; node 0: 0.

    word_scores (words,): what each word earns, whatever came before it.
    """
    best = _best_below(graph.arc_start, graph.arc_node, graph.label_start, word_scores[graph.label])
    best[0] = 0.0
    return best


@compiled
def _best_below(
    arc_start: np.ndarray, arc_node: np.ndarray, label_start: np.ndarray, label_score: np.ndarray
) -> np.ndarray:
    best = np.full(len(label_start) - 1, -np.inf, np.float32)
    for node in range(len(best) - 1, -1, -1):  # arcs lead to nodes of higher numbers, or back to the same
        for place in range(label_start[node], label_start[node + 1]):
            best[node] = max(best[node], label_score[place])
        for arc in range(arc_start[node], arc_start[node + 1]):
            best[node] = max(best[node], best[arc_node[arc]])
    return best
