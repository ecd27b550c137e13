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


# Rows rather than columns: what is asked of a prefix lies together, and a function takes one array.
TREE = np.dtype(
    [
        ("parent", np.int32),
        ("child", np.int32),  # the first
        ("sibling", np.int32),  # the next
        ("depth", np.int32),  # how many tokens it has
        ("token", np.int32),  # the last
        ("label", np.int32),  # the word that the last token completes, or NONE
        ("node", np.int32),  # of the lexicon
        ("lm_state", np.int32),
        ("hot_state", np.int32),
        ("slot", np.int32),  # place in the beam, or NONE
        ("lm_score", np.float64),  # ln P of the words so far, unweighted
        ("earned", np.float64),  # all weighted scores but acoustic and lookahead
    ],
    align=True,
)
"""Prefixes by number, 0 being the empty one."""

BEAM = np.dtype(
    [
        ("prefix", np.int32),
        ("p_blank", np.float64),  # log-probability of the alignments that end in a blank
        ("p_token", np.float64),  # and of those that end in the prefix's last token
        ("next_blank", np.float64),  # the same one frame on
        ("next_token", np.float64),
    ],
    align=True,
)
"""The prefixes that are kept."""

CANDIDATE = np.dtype(
    [
        ("prefix", np.int32),  # its number if it has one, or NONE
        ("parent", np.int32),
        ("token", np.int32),
        ("label", np.int32),
        ("node", np.int32),
        ("lm_state", np.int32),
        ("hot_state", np.int32),
        ("acoustic", np.float64),
        ("lm_score", np.float64),
        ("earned", np.float64),
        ("total", np.float64),
    ],
    align=True,
)
"""Ways to go on from the beam that are not in it."""

RIVAL = np.dtype(
    [
        ("rank", np.float64),  # total, or -inf
        ("node", np.int32),
        ("lm_state", np.int32),
        ("hot_state", np.int32),
        ("token", np.int32),
    ],
    align=True,
)
"""What the places of the next beam go by: those of the beam, then the candidates."""


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
    found: float = values[want]
    return found


def search(log_probs: np.ndarray, lexicon: Lexicon, lm: Automaton, hotwords: Automaton, s: Settings) -> Found:
    """log_probs (T, V) float32 -> what was found, never nothing."""
    s = s.typed()
    # Only prefixes that were once in the beam are kept, so that their number is known.
    tree = np.empty(1 + len(log_probs) * s.beam_size, TREE)
    tree[0] = (NONE, NONE, NONE, 0, NONE, NONE, 0, s.lm_start, s.hot_start, 0, 0.0, 0.0)
    active, acoustic = _walk(log_probs, tree, lexicon, lm, hotwords, s)
    prefix, label, acoustic, lm_score, total, complete = _end(tree, active, acoustic, lexicon, lm, hotwords, s)
    order = np.argsort(-total, kind="stable")
    prefix, label = prefix[order], label[order]
    lengths = tree["depth"][prefix].astype(np.int64)
    tokens, labels = np.full((2, len(order), lengths.max()), NONE, np.int32)
    _trace_back(tree, prefix, label, tokens, labels)
    return Found(tokens, labels, lengths, acoustic[order], lm_score[order], total[order], complete[order])


@compiled
def _walk(
    log_probs: np.ndarray, tree: np.ndarray, lexicon: Lexicon, lm: Automaton, hotwords: Automaton, s: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Frame by frame from the empty prefix to the last beam: its prefixes (F,) and their log-probabilities (F,)."""
    num_frames, vocab_size = log_probs.shape
    beam = np.empty(s.beam_size, BEAM)
    beam[0].prefix, beam[0].p_blank, beam[0].p_token = 0, 0.0, -np.inf
    width = num_prefixes = 1
    candidates = np.empty(8 * s.beam_size + 64, CANDIDATE)
    rivals = np.empty(s.beam_size + len(candidates), RIVAL)
    ranks, places = np.empty(len(rivals)), np.empty(2 * len(rivals), np.int32)
    sorted_frame = np.empty(vocab_size)
    for t in range(num_frames):
        frame = log_probs[t]
        cutoff = _cutoff(frame, s.beam_size_token, sorted_frame)
        # First each prefix's own staying sets its sums; then what else leads to it can be added to them.
        best = _stay(beam, width, frame, tree, lexicon.lookahead, s.blank)
        candidates, num_candidates, best = _go_on(
            beam, width, frame, cutoff, best, candidates, tree, lexicon, lm, hotwords, s
        )
        if len(rivals) < s.beam_size + len(candidates):
            rivals = np.empty(s.beam_size + len(candidates), RIVAL)
            ranks, places = np.empty(len(rivals)), np.empty(2 * len(rivals), np.int32)
        _rank(beam, width, candidates, num_candidates, tree, lexicon.lookahead, rivals)
        limit = best - s.beam_threshold
        if s.merge_threshold < np.inf:
            _merge(rivals, width + num_candidates, limit, s.merge_threshold, places)
        limit = _raised(limit, rivals, width + num_candidates, s.beam_size, ranks)
        kept = _keep(beam, width, rivals, limit, tree)
        width, num_prefixes = _enter(beam, width, kept, candidates, num_candidates, rivals, limit, tree, num_prefixes)
    acoustics, prefixes = np.empty(width), np.empty(width, np.int32)
    for i in range(width):
        prefixes[i], acoustics[i] = beam[i].prefix, _logadd(beam[i].p_blank, beam[i].p_token)
    return prefixes, acoustics


@compiled
def _cutoff(frame: np.ndarray, beam_size_token: int, room: np.ndarray) -> float:
    """The log-probability of the least likely token that is tried in this frame (V,). room (V,): to sort it in."""
    for v in range(len(frame)):
        room[v] = frame[v]
    return _largest(room, len(frame), min(beam_size_token, len(frame)))


@compiled
def _stay(
    beam: np.ndarray, width: int, frame: np.ndarray, tree: np.ndarray, lookahead: np.ndarray, blank: int
) -> float:
    """What each prefix is worth if this frame is a blank or its last token again; returns the best total."""
    best = -np.inf
    for i in range(width):
        row = beam[i]
        token = tree[row.prefix].token
        row.next_blank = _logadd(row.p_blank, row.p_token) + frame[blank]
        row.next_token = row.p_token + frame[token] if token != NONE else -np.inf
        best = max(best, _total(beam, i, tree, lookahead))
    return best


@compiled
def _total(beam: np.ndarray, i: int, tree: np.ndarray, lookahead: np.ndarray) -> float:
    """What ranks the prefix at this place of the beam, one frame on."""
    row, prefix = beam[i], tree[beam[i].prefix]
    total: float = _logadd(row.next_blank, row.next_token) + prefix.earned + lookahead[prefix.node]
    return total


@compiled
def _go_on(
    beam: np.ndarray,
    width: int,
    frame: np.ndarray,
    cutoff: float,
    best: float,
    candidates: np.ndarray,
    tree: np.ndarray,
    lexicon: Lexicon,
    lm: Automaton,
    hotwords: Automaton,
    s: Settings,
) -> tuple[np.ndarray, int, float]:
    """Each prefix with each token that may follow it in this frame: added to the beam's sums, or a candidate.

    Returns the candidates, in more room if it was needed, how many they are, and the best total.
    """
    count = 0
    for i in range(width):
        parent, before = beam[i].prefix, tree[beam[i].prefix]
        whole = _logadd(beam[i].p_blank, beam[i].p_token)
        for arc in range(lexicon.arc_start[before.node], lexicon.arc_start[before.node + 1]):
            token = lexicon.arc_token[arc]
            if frame[token] < cutoff:
                continue
            acoustic = (beam[i].p_blank if token == before.token else whole) + frame[token]
            if acoustic == -np.inf:
                continue
            entered = lexicon.arc_node[arc]
            goes_on = lexicon.arc_start[entered] < lexicon.arc_start[entered + 1]
            # First the word going on (NONE), then each word that ends here.
            first = lexicon.label_start[entered] - (1 if goes_on else 0)
            for place in range(first, lexicon.label_start[entered + 1]):
                word = lexicon.label[place] if place >= lexicon.label_start[entered] else NONE
                node = entered if word == NONE else 0
                known = _child(tree, parent, token, word, node)
                if known != NONE and tree[known].slot != NONE:
                    slot = tree[known].slot
                    beam[slot].next_token = _logadd(beam[slot].next_token, acoustic)
                    best = max(best, _total(beam, slot, tree, lexicon.lookahead))
                    continue
                if count == len(candidates):
                    candidates, count = _make_room(candidates, best - s.beam_threshold)
                new, source = candidates[count], tree[known] if known != NONE else before
                new.lm_state, new.hot_state = source.lm_state, source.hot_state
                new.lm_score, new.earned = source.lm_score, source.earned
                if known == NONE:
                    new.earned += lexicon.arc_score[arc]
                    if word != NONE:
                        _read_word(new, word, lexicon.lm_label[word], lm, hotwords, s)
                new.acoustic, new.total = acoustic, acoustic + new.earned + lexicon.lookahead[node]
                if new.total < best - s.beam_threshold:
                    continue
                best = max(best, new.total)
                new.prefix, new.parent, new.token, new.label, new.node = known, parent, token, word, node
                count += 1
    return candidates, count, best


@compiled
def _child(tree: np.ndarray, parent: int, token: int, label: int, node: int) -> int:
    """The number of the prefix that goes on from its parent in this way; NONE: it has none yet."""
    known: int = tree[parent].child
    while known != NONE and (tree[known].token != token or tree[known].label != label or tree[known].node != node):
        known = tree[known].sibling
    return known


@compiled
def _read_word(new: np.record, word: int, lm_label: int, lm: Automaton, hotwords: Automaton, s: Settings) -> None:
    """Language model and hotwords read the word that a candidate completes; it earns what they give."""
    lm_score, new.lm_state = step(lm, new.lm_state, lm_label)
    hot_score, new.hot_state = step(hotwords, new.hot_state, word)
    new.lm_score += lm_score
    new.earned += s.lm_weight * lm_score + s.word_insertion_score + hot_score


@compiled
def _make_room(candidates: np.ndarray, limit: float) -> tuple[np.ndarray, int]:
    """Those below the limit make place; if they are few, there is more place. Returns also how many are left."""
    kept = 0
    for c in range(len(candidates)):
        if candidates[c].total >= limit:
            candidates[kept] = candidates[c]
            kept += 1
    if kept <= len(candidates) // 2:
        return candidates, kept
    larger = np.empty(2 * len(candidates), CANDIDATE)
    for c in range(kept):
        larger[c] = candidates[c]
    return larger, kept


@compiled
def _rank(
    beam: np.ndarray,
    width: int,
    candidates: np.ndarray,
    num_candidates: int,
    tree: np.ndarray,
    lookahead: np.ndarray,
    rivals: np.ndarray,
) -> None:
    """Totals and futures of the beam and, behind it, of the candidates."""
    for i in range(width):
        rival, prefix = rivals[i], tree[beam[i].prefix]
        rival.rank, rival.token = _total(beam, i, tree, lookahead), prefix.token
        rival.node, rival.lm_state, rival.hot_state = prefix.node, prefix.lm_state, prefix.hot_state
    for c in range(num_candidates):
        rival, candidate = rivals[width + c], candidates[c]
        rival.rank, rival.token = candidate.total, candidate.token
        rival.node, rival.lm_state, rival.hot_state = candidate.node, candidate.lm_state, candidate.hot_state


@compiled
def _merge(rivals: np.ndarray, count: int, limit: float, threshold: float, places: np.ndarray) -> None:
    """Drop, by the rank of -inf, what is `threshold` behind another that stands at the same place of everything.

    Whatever is said from here on earns both the same, so that the one behind stays behind. places: of a hash table.
    """
    size = len(places)
    for place in range(size):
        places[place] = NONE
    for stage in range(2):  # first the leaders are found, then what is far behind them is dropped
        for i in range(count):
            own = rivals[i]
            if own.rank < limit:
                continue
            place = (((own.node * 31 + own.lm_state) * 31 + own.hot_state) * 31 + own.token) % size
            while True:
                leader = places[place]
                if leader == NONE:
                    break
                other = rivals[leader]
                if (
                    other.node == own.node
                    and other.lm_state == own.lm_state
                    and other.hot_state == own.hot_state
                    and other.token == own.token
                ):
                    break
                place = place + 1 if place + 1 < size else 0
            if stage == 0 and (leader == NONE or own.rank > rivals[leader].rank):
                places[place] = i
            elif stage == 1 and own.rank < rivals[leader].rank - threshold:
                own.rank = -np.inf


@compiled
def _raised(limit: float, rivals: np.ndarray, count: int, beam_size: int, ranks: np.ndarray) -> float:
    """The limit, or the rank that only `beam_size` of the rivals reach, ties apart."""
    ranked = 0
    for i in range(count):
        if rivals[i].rank >= limit:
            ranks[ranked] = rivals[i].rank
            ranked += 1
    return _largest(ranks, ranked, beam_size) if ranked > beam_size else limit


@compiled
def _keep(beam: np.ndarray, width: int, rivals: np.ndarray, limit: float, tree: np.ndarray) -> int:
    """Those of the beam that reach the limit move to its beginning, one frame on; returns how many they are."""
    kept = 0
    for i in range(width):
        old, prefix = beam[i], beam[i].prefix
        tree[prefix].slot = NONE
        if rivals[i].rank >= limit and kept < len(beam):
            new = beam[kept]
            new.prefix, new.p_blank, new.p_token = prefix, old.next_blank, old.next_token
            tree[prefix].slot = kept
            kept += 1
    return kept


@compiled
def _enter(
    beam: np.ndarray,
    width: int,
    kept: int,
    candidates: np.ndarray,
    num_candidates: int,
    rivals: np.ndarray,
    limit: float,
    tree: np.ndarray,
    num_prefixes: int,
) -> tuple[int, int]:
    """The candidates that reach the limit enter the beam behind those kept, and the tree if they are new to it.

    width: of the beam as it was ranked. Returns the beam's new width, and how many prefixes the tree has.
    """
    for c in range(num_candidates):
        if rivals[width + c].rank < limit or kept == len(beam):
            continue
        prefix = candidates[c].prefix
        if prefix == NONE:
            prefix = num_prefixes
            num_prefixes += 1
            _add(tree, prefix, candidates[c])
        new = beam[kept]
        new.prefix, new.p_blank, new.p_token = prefix, -np.inf, candidates[c].acoustic
        tree[prefix].slot = kept
        kept += 1
    return kept, num_prefixes


@compiled
def _add(tree: np.ndarray, prefix: int, candidate: np.record) -> None:
    """The candidate gets this number, and is its parent's first child."""
    new, parent = tree[prefix], tree[candidate.parent]
    new.parent, new.child, new.sibling, new.depth = candidate.parent, NONE, parent.child, parent.depth + 1
    parent.child = prefix
    new.token, new.label, new.node = candidate.token, candidate.label, candidate.node
    new.lm_state, new.hot_state = candidate.lm_state, candidate.hot_state
    new.lm_score, new.earned = candidate.lm_score, candidate.earned


@compiled
def _end(
    tree: np.ndarray,
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
        n = tree[active[i]].node
        results += 1
        for arc in range(lexicon.arc_start[n], lexicon.arc_start[n + 1]):
            results += lexicon.label_start[lexicon.arc_node[arc] + 1] - lexicon.label_start[lexicon.arc_node[arc]]
    f_prefix, f_label = np.empty(results, np.int32), np.empty(results, np.int32)
    f_acoustic, f_lm, f_total = np.empty(results), np.empty(results), np.empty(results)
    f_complete = np.empty(results, np.bool_)
    results = 0
    for i in range(len(active)):
        prefix = active[i]
        n = tree[prefix].node
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
                state, hot_now = tree[prefix].lm_state, tree[prefix].hot_state
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
                f_acoustic[results], f_lm[results] = acoustic, tree[prefix].lm_score + lm_score
                f_total[results] = (
                    acoustic + tree[prefix].earned + s.lm_weight * lm_score + extra + hot + closed + refund
                )
                f_complete[results] = word != NONE or n == 0
                results += 1
    stop = results
    return f_prefix[:stop], f_label[:stop], f_acoustic[:stop], f_lm[:stop], f_total[:stop], f_complete[:stop]


@compiled
def _trace_back(
    tree: np.ndarray, prefixes: np.ndarray, last_labels: np.ndarray, tokens: np.ndarray, labels: np.ndarray
) -> None:
    """Fill tokens and labels (F, U). last_labels (F,): words that the end of the utterance completes."""
    for r in range(len(prefixes)):
        prefix = prefixes[r]
        last = tree[prefix].depth - 1
        for place in range(last, -1, -1):
            tokens[r, place], labels[r, place] = tree[prefix].token, tree[prefix].label
            prefix = tree[prefix].parent
        if last_labels[r] != NONE:
            labels[r, last] = last_labels[r]
