"""Prefix beam search over CTC log-probabilities, a lexicon and automata: the inner loop, compiled by numba.

Graves and Jaitly (2014), algorithm 1; Hannun et al. (2014), with words. A prefix is a string of tokens together with
the way it falls into words; its acoustic probability is the sum over all alignments, those that end in a blank apart
from those that end in its last token, since only the former let the same token follow anew. Prefixes are ranked by

    acoustic + lm_weight * ln P_LM(words) + word_insertion_score * words + hotwords + lookahead

where lookahead is the best that the unfinished word could still earn; it is replaced by what the finished word earns.
Everything is numbered: the reference that tests compare with, `asr.decoders.prefix_beam`, is the readable one. What is
compiled keeps to loops and single elements: each of numpy's functions in it would add to the wait of the first use.
"""

from typing import NamedTuple

import numpy as np

from asr.compiled import compiled
from asr.lm.automaton import Automaton, step

NONE = -1
PREFIX, PARENT, TOKEN, LABEL, NODE, LM_STATE, HOT_STATE = range(7)  # columns of candidates' numbers
ACOUSTIC, LM, EARNED, TOTAL = range(4)  # and of their scores


class Lexicon(NamedTuple):
    """Words as a graph over tokens. Node 0 is where words begin; N nodes, A arcs sorted by node, L labels by node.

    A word is complete, and the search back at node 0, when an arc enters a node with its label. Nodes may have arcs to
    themselves and several arcs of one token: that is how words outside the lexicon are spelt.
    """

    arc_start: np.ndarray  # (N + 1,) int32
    arc_token: np.ndarray  # (A,) int32
    arc_node: np.ndarray  # (A,) int32
    arc_score: np.ndarray  # (A,) float32, weighted log-probability of going on here
    label_start: np.ndarray  # (N + 1,) int32
    label: np.ndarray  # (L,) int32: words
    lookahead: np.ndarray  # (N,) float32, weighted
    lm_label: np.ndarray  # (words,) int32: the language model's number of each word


class Tree(NamedTuple):
    """Prefixes by number, 0 being the empty one; each knows its parent, its first child and its next sibling."""

    parent: np.ndarray
    child: np.ndarray
    sibling: np.ndarray
    depth: np.ndarray  # how many tokens it has
    token: np.ndarray  # the last
    label: np.ndarray  # the word that the last token completes, or NONE
    node: np.ndarray  # of the lexicon
    lm_state: np.ndarray
    hot_state: np.ndarray
    lm_score: np.ndarray  # ln P of the words so far, unweighted
    earned: np.ndarray  # all weighted scores but acoustic and lookahead
    slot: np.ndarray  # place in the beam, or NONE


class Settings(NamedTuple):
    blank: int
    boundary: int  # token that ends a word and need not be heard at the end of the utterance; NONE: there is none
    end: int  # the language model's end of sentence; NONE: it has none
    lm_start: int  # state of the language model at the beginning
    hot_start: int
    hot_end: int  # label that the hotwords read at the end of the utterance
    beam_size: int
    beam_size_token: int  # so many likeliest tokens of each frame are tried
    beam_threshold: float  # prefixes so much worse than the best are dropped
    merge_threshold: float  # and those so much worse than another with the same future
    lm_weight: float
    word_insertion_score: float

    def typed(self) -> "Settings":
        """The same, of the types declared: a 1 for a 1.0, or a number of numpy's, would have all compiled anew."""
        kinds = type(self).__annotations__.values()
        return Settings(*(kind(value) for kind, value in zip(kinds, self, strict=True)))


class Found(NamedTuple):
    """The last beam, best first: F ways to read the utterance, of at most U tokens."""

    tokens: np.ndarray  # (F, U) int32
    labels: np.ndarray  # (F, U) int32: the word that the token completes, or NONE
    num_tokens: np.ndarray  # (F,) int64
    acoustic: np.ndarray  # (F,) log-probability of the tokens
    lm: np.ndarray  # (F,) log-probability of the words
    total: np.ndarray  # (F,)
    complete: np.ndarray  # (F,) bool: ends with a word's end


@compiled
def _logadd(a: float, b: float) -> float:
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + np.log1p(np.exp(b - a))


@compiled
def _largest(values: np.ndarray, count: int, k: int) -> float:
    """The k-th largest of values[:count], which are put in another order (Hoare, 1961)."""
    low, high, want = 0, count - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if want <= j:
            high = j
        elif want >= i:
            low = i
        else:
            break
    return values[want]


def search(log_probs: np.ndarray, lexicon: Lexicon, lm: Automaton, hotwords: Automaton, s: Settings) -> Found:
    """log_probs (T, V) float32 -> what was found, never nothing."""
    s = s.typed()
    # Only prefixes that were once in the beam are kept, so that their number is known.
    tree = _new_tree(1 + len(log_probs) * s.beam_size)
    tree.lm_state[0], tree.hot_state[0] = s.lm_start, s.hot_start
    active, acoustic = _walk(log_probs, tree, lexicon, lm, hotwords, s)
    prefix, label, acoustic, lm_score, total, complete = _end(tree, active, acoustic, lexicon, lm, hotwords, s)
    order = np.argsort(-total, kind="stable")
    prefix, label = prefix[order], label[order]
    lengths = tree.depth[prefix].astype(np.int64)
    tokens, labels = np.full((2, len(order), lengths.max()), NONE, np.int32)
    _trace_back(tree, prefix, label, tokens, labels)
    return Found(tokens, labels, lengths, acoustic[order], lm_score[order], total[order], complete[order])


@compiled
def _walk(
    log_probs: np.ndarray, tree: Tree, lexicon: Lexicon, lm: Automaton, hotwords: Automaton, s: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Frame by frame from the empty prefix to the last beam: its prefixes (F,) and their log-probabilities (F,)."""
    num_frames, vocab_size = log_probs.shape
    beam = s.beam_size
    count = 1
    active = np.empty(beam, np.int32)
    p_blank, p_token = np.empty(beam), np.empty(beam)
    next_blank, next_token = np.empty(beam), np.empty(beam)
    active[0], p_blank[0], p_token[0], tree.slot[0], width = 0, 0.0, -np.inf, 0, 1

    # Candidates: ways to go on from the beam that are not in it, their numbers and their scores.
    room = beam * 8 + 64
    c_ids, c_scores = np.empty((room, 7), np.int32), np.empty((room, 4))
    order = np.empty(vocab_size)
    # Of beam and candidates together, what ranks them; made when it is first needed, and when more is needed.
    ranks, ranking = np.empty(0), np.empty(0)
    futures, places = np.empty((0, 4), np.int32), np.empty(0, np.int32)

    for t in range(num_frames):
        frame = log_probs[t]
        for v in range(vocab_size):
            order[v] = frame[v]
        cutoff = _largest(order, vocab_size, min(s.beam_size_token, vocab_size))
        best = -np.inf
        for i in range(width):
            prefix = active[i]
            whole = _logadd(p_blank[i], p_token[i])
            next_blank[i] = whole + frame[s.blank]
            next_token[i] = p_token[i] + frame[tree.token[prefix]] if tree.token[prefix] != NONE else -np.inf
            rank = _logadd(next_blank[i], next_token[i]) + tree.earned[prefix] + lexicon.lookahead[tree.node[prefix]]
            best = max(best, rank)
        # What leads to a prefix already in the beam is added once all of the beam has been seen: above, each prefix's
        # own staying has set its sums.
        num_candidates = 0
        for i in range(width):
            prefix = active[i]
            whole = _logadd(p_blank[i], p_token[i])
            for arc in range(lexicon.arc_start[tree.node[prefix]], lexicon.arc_start[tree.node[prefix] + 1]):
                token = lexicon.arc_token[arc]
                if frame[token] < cutoff:
                    continue
                acoustic = (p_blank[i] if token == tree.token[prefix] else whole) + frame[token]
                if acoustic == -np.inf:
                    continue
                entered = lexicon.arc_node[arc]
                goes_on = lexicon.arc_start[entered] < lexicon.arc_start[entered + 1]
                # First the word going on (NONE), then each word that ends here.
                first = lexicon.label_start[entered] - (1 if goes_on else 0)
                for place in range(first, lexicon.label_start[entered + 1]):
                    word = lexicon.label[place] if place >= lexicon.label_start[entered] else NONE
                    into = entered if word == NONE else 0
                    known = tree.child[prefix]
                    while known != NONE and (
                        tree.token[known] != token or tree.label[known] != word or tree.node[known] != into
                    ):
                        known = tree.sibling[known]
                    if known != NONE and tree.slot[known] != NONE:
                        j = tree.slot[known]
                        next_token[j] = _logadd(next_token[j], acoustic)
                        total = _logadd(next_blank[j], next_token[j]) + tree.earned[known] + lexicon.lookahead[into]
                        best = max(best, total)
                        continue
                    if num_candidates == room:
                        # Those that are already too bad make place; if there are few, there is more place.
                        kept = 0
                        for c in range(num_candidates):
                            if c_scores[c, TOTAL] >= best - s.beam_threshold:
                                _copy(c_ids, c_scores, c, c_ids, c_scores, kept)
                                kept += 1
                        num_candidates = kept
                        if kept > room // 2:
                            room *= 2
                            old_ids, old_scores = c_ids, c_scores
                            c_ids, c_scores = np.empty((room, 7), np.int32), np.empty((room, 4))
                            for c in range(kept):
                                _copy(old_ids, old_scores, c, c_ids, c_scores, c)
                    if known != NONE:
                        lm_score, gained = tree.lm_score[known], tree.earned[known]
                        in_lm, in_hot = tree.lm_state[known], tree.hot_state[known]
                    else:
                        lm_score, gained = tree.lm_score[prefix], tree.earned[prefix] + lexicon.arc_score[arc]
                        in_lm, in_hot = tree.lm_state[prefix], tree.hot_state[prefix]
                        if word != NONE:
                            new, in_lm = step(lm, in_lm, lexicon.lm_label[word])
                            hot, in_hot = step(hotwords, in_hot, word)
                            lm_score += new
                            gained += s.lm_weight * new + s.word_insertion_score + hot
                    total = acoustic + gained + lexicon.lookahead[into]
                    if total < best - s.beam_threshold:
                        continue
                    best = max(best, total)
                    ids, scores = c_ids[num_candidates], c_scores[num_candidates]
                    ids[PREFIX], ids[PARENT], ids[TOKEN], ids[LABEL], ids[NODE] = known, prefix, token, word, into
                    ids[LM_STATE], ids[HOT_STATE] = in_lm, in_hot
                    scores[ACOUSTIC], scores[LM], scores[EARNED], scores[TOTAL] = acoustic, lm_score, gained, total
                    num_candidates += 1
        # The best of both, beam and candidates.
        limit = best - s.beam_threshold
        if len(ranks) < beam + room:
            ranks, ranking = np.empty(beam + room), np.empty(beam + room)
            futures, places = np.empty((beam + room, 4), np.int32), np.empty(2 * (beam + room), np.int32)
        for i in range(width):
            prefix = active[i]
            n = tree.node[prefix]
            ranks[i] = _logadd(next_blank[i], next_token[i]) + tree.earned[prefix] + lexicon.lookahead[n]
            futures[i, 0], futures[i, 1], futures[i, 2] = n, tree.lm_state[prefix], tree.hot_state[prefix]
            futures[i, 3] = tree.token[prefix]
        for c in range(num_candidates):
            ids = c_ids[c]
            ranks[width + c] = c_scores[c, TOTAL]
            futures[width + c, 0], futures[width + c, 1] = ids[NODE], ids[LM_STATE]
            futures[width + c, 2], futures[width + c, 3] = ids[HOT_STATE], ids[TOKEN]
        if s.merge_threshold < np.inf:
            _merge(ranks, futures, width + num_candidates, limit, s.merge_threshold, places)
        ranked = 0
        for i in range(width + num_candidates):
            if ranks[i] >= limit:
                ranking[ranked] = ranks[i]
                ranked += 1
        if ranked > beam:
            limit = _largest(ranking, ranked, beam)
        kept = 0
        for i in range(width):
            prefix = active[i]
            tree.slot[prefix] = NONE
            if ranks[i] >= limit and kept < beam:
                active[kept], p_blank[kept], p_token[kept] = prefix, next_blank[i], next_token[i]
                tree.slot[prefix] = kept
                kept += 1
        for c in range(num_candidates):
            if ranks[width + c] < limit or kept == beam:
                continue
            ids, scores = c_ids[c], c_scores[c]
            prefix = ids[PREFIX]
            if prefix == NONE:
                prefix, above = count, ids[PARENT]
                count += 1
                tree.parent[prefix], tree.sibling[prefix], tree.child[above] = above, tree.child[above], prefix
                tree.depth[prefix] = tree.depth[above] + 1
                tree.token[prefix], tree.label[prefix], tree.node[prefix] = ids[TOKEN], ids[LABEL], ids[NODE]
                tree.lm_state[prefix], tree.hot_state[prefix] = ids[LM_STATE], ids[HOT_STATE]
                tree.lm_score[prefix], tree.earned[prefix] = scores[LM], scores[EARNED]
            active[kept], p_blank[kept], p_token[kept] = prefix, -np.inf, scores[ACOUSTIC]
            tree.slot[prefix] = kept
            kept += 1
        width = kept

    acoustics = np.empty(width)
    for i in range(width):
        acoustics[i] = _logadd(p_blank[i], p_token[i])
    return active[:width], acoustics


@compiled
def _merge(
    ranks: np.ndarray, futures: np.ndarray, count: int, limit: float, threshold: float, places: np.ndarray
) -> None:
    """Drop, by the rank of -inf, what is `threshold` behind another that stands at the same place of everything.

    Whatever is said from here on earns both the same, so that the one behind stays behind. places: of a hash table.
    """
    size = len(places)
    for place in range(size):
        places[place] = NONE
    for stage in range(2):  # first the leaders are found, then what is far behind them is dropped
        for i in range(count):
            if ranks[i] < limit:
                continue
            a, b, c, d = futures[i, 0], futures[i, 1], futures[i, 2], futures[i, 3]
            place = (((a * 31 + b) * 31 + c) * 31 + d) % size
            while True:
                leader = places[place]
                if leader == NONE or (
                    futures[leader, 0] == a
                    and futures[leader, 1] == b
                    and futures[leader, 2] == c
                    and futures[leader, 3] == d
                ):
                    break
                place = place + 1 if place + 1 < size else 0
            if stage == 0 and (leader == NONE or ranks[i] > ranks[leader]):
                places[place] = i
            elif stage == 1 and ranks[i] < ranks[leader] - threshold:
                ranks[i] = -np.inf


@compiled
def _copy(ids: np.ndarray, scores: np.ndarray, row: int, to_ids: np.ndarray, to_scores: np.ndarray, to: int) -> None:
    """A candidate, to another row."""
    for i in range(7):
        to_ids[to, i] = ids[row, i]
    for i in range(4):
        to_scores[to, i] = scores[row, i]


def _new_tree(capacity: int) -> Tree:
    return Tree(
        parent=np.full(capacity, NONE, np.int32),
        child=np.full(capacity, NONE, np.int32),
        sibling=np.full(capacity, NONE, np.int32),
        depth=np.zeros(capacity, np.int32),
        token=np.full(capacity, NONE, np.int32),
        label=np.full(capacity, NONE, np.int32),
        node=np.zeros(capacity, np.int32),
        lm_state=np.zeros(capacity, np.int32),
        hot_state=np.zeros(capacity, np.int32),
        lm_score=np.zeros(capacity),
        earned=np.zeros(capacity),
        slot=np.full(capacity, NONE, np.int32),
    )


@compiled
def _end(
    tree: Tree,
    active: np.ndarray,
    acoustics: np.ndarray,
    lexicon: Lexicon,
    lm: Automaton,
    hotwords: Automaton,
    s: Settings,
) -> tuple[np.ndarray, ...]:
    """The end of the utterance ends words, where their last token need not be heard; and the sentence.

    active, acoustics (width,): the beam's prefixes and their acoustic log-probabilities. Returns, for each way to end:
    the prefix, the word that the end completes, log-probabilities of tokens and words, the total, and if all is said.
    """
    results = 0
    for i in range(len(active)):
        n = tree.node[active[i]]
        results += 1
        for arc in range(lexicon.arc_start[n], lexicon.arc_start[n + 1]):
            results += lexicon.label_start[lexicon.arc_node[arc] + 1] - lexicon.label_start[lexicon.arc_node[arc]]
    f_prefix, f_label = np.empty(results, np.int32), np.empty(results, np.int32)
    f_acoustic, f_lm, f_total = np.empty(results), np.empty(results), np.empty(results)
    f_complete = np.empty(results, np.bool_)
    results = 0
    for i in range(len(active)):
        prefix = active[i]
        n = tree.node[prefix]
        acoustic = acoustics[i]
        first = lexicon.arc_start[n] if n > 0 and s.boundary != NONE else lexicon.arc_start[n + 1]
        for arc in range(first - 1, lexicon.arc_start[n + 1]):
            # Before the arcs, so to speak, the prefix as it stands.
            if arc >= first and lexicon.arc_token[arc] != s.boundary:
                continue
            entered = lexicon.arc_node[arc] if arc >= first else 0
            start = lexicon.label_start[entered] if arc >= first else -1
            stop = lexicon.label_start[entered + 1] if arc >= first else 0
            for place in range(start, stop):
                word = lexicon.label[place] if place >= 0 else NONE
                lm_score, hot, extra = 0.0, 0.0, 0.0
                state, hot_now = tree.lm_state[prefix], tree.hot_state[prefix]
                if word != NONE:
                    lm_score, state = step(lm, state, lexicon.lm_label[word])
                    hot, hot_now = step(hotwords, hot_now, word)
                    extra = s.word_insertion_score + lexicon.arc_score[arc]
                if s.end != NONE:
                    ended, state = step(lm, state, s.end)
                    lm_score += ended
                # A label that no hotword has takes back what unfinished ones were given.
                closed, hot_now = step(hotwords, hot_now, s.hot_end)
                refund, hot_now = step(hotwords, hot_now, NONE)
                f_prefix[results], f_label[results] = prefix, word
                f_acoustic[results], f_lm[results] = acoustic, tree.lm_score[prefix] + lm_score
                f_total[results] = (
                    acoustic + tree.earned[prefix] + s.lm_weight * lm_score + extra + hot + closed + refund
                )
                f_complete[results] = word != NONE or n == 0
                results += 1
    stop = results
    return f_prefix[:stop], f_label[:stop], f_acoustic[:stop], f_lm[:stop], f_total[:stop], f_complete[:stop]


@compiled
def _trace_back(
    tree: Tree, prefixes: np.ndarray, last_labels: np.ndarray, tokens: np.ndarray, labels: np.ndarray
) -> None:
    """Fill tokens and labels (F, U). last_labels (F,): words that the end of the utterance completes."""
    for r in range(len(prefixes)):
        prefix = prefixes[r]
        last = tree.depth[prefix] - 1
        for place in range(last, -1, -1):
            tokens[r, place], labels[r, place] = tree.token[prefix], tree.label[prefix]
            prefix = tree.parent[prefix]
        if last_labels[r] != NONE:
            labels[r, last] = last_labels[r]
