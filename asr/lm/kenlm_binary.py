"""KenLM's binary format: a trie with quantised values and compressed pointers, as `build_binary -q 8 -b 8 -a 22 trie`.

It is an eighth of the ARPA file's size and is mapped into memory instead of being read. Other decoders read it, as
flashlight-text and pyctcdecode. K. Heafield, "KenLM: faster and smaller language model queries", WMT 2011; pointers
after B. Raj and E. Whittaker, "Lossless compression of language model structure and word identifiers", ICASSP 2003;
equal-sized bins after M. Federico and N. Bertoldi, "How many bits are needed to store probabilities", WMT 2006.

The trie goes from the last word of an n-gram backwards: its parent is the n-gram without its first word.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from asr.errors import ConfigError
from asr.files import replacing
from asr.lm.ngram_model import UNK_ID, Array, NGramModel, suffixes

BITS = 8  # of a quantised probability, and of a back-off weight
POINTER_BITS = 22  # at most so many high bits of a pointer are kept apart
MAGIC = b"mmap lm http://kheafield.com/code format version 5\n"
MODEL_TYPE = 5  # a trie, quantised, with compressed pointers
QUANTISATION_VERSION, POINTER_VERSION, SEARCH_VERSION = 2, 0, 1
MAX_ORDER = 6  # as KenLM is compiled by default, in flashlight-text too
PIECE = 1 << 16  # records packed at a time; a multiple of 8, so that each piece ends with a whole byte


def write_binary(path: Path | str, model: NGramModel) -> None:
    """Write a model of order 2 to 6, whole or not at all. Raises ConfigError for other orders."""
    if not 2 <= model.order <= MAX_ORDER:
        raise ConfigError(f"order: found {model.order}, wanted 2 to {MAX_ORDER} for KenLM's binary format")
    hashes = [murmur_hash(word.encode()) for word in model.words]
    hashes[UNK_ID] = -1  # <unk> is word 0, and not among the hashes
    by_hash = sorted(range(model.size), key=hashes.__getitem__)
    with replacing(path, binary=True) as file:
        file.write(_header(model.counts))
        file.write(struct.pack("<Q", model.size - 1))
        file.write(np.array([hashes[i] for i in by_hash[1:]] + [0], np.uint64).tobytes())
        _write_trie(file, model, np.array(by_hash))
        file.write(b"".join(model.words[i].encode() + b"\0" for i in by_hash))


def murmur_hash(data: bytes) -> int:
    """MurmurHash64A (A. Appleby, public domain) with seed 0, by which KenLM finds words."""
    mask, factor = (1 << 64) - 1, 0xC6A4A7935BD1E995
    value = len(data) * factor & mask
    whole = len(data) & ~7
    for start in range(0, whole, 8):
        block = int.from_bytes(data[start : start + 8], "little") * factor & mask
        value = (value ^ (block ^ block >> 47) * factor & mask) * factor & mask
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * factor & mask
    value = (value ^ value >> 47) * factor & mask
    return value ^ value >> 47


def _header(counts: list[int]) -> bytes:
    """The magic line, values that show the byte order and float format, and the sizes."""
    magic = MAGIC.ljust(-(len(MAGIC) + 2) // 8 * -8, b"\0")
    sanity = struct.pack("<3f3IQ", 0.0, 1.0, -0.5, 1, 0xFFFFFFFF, 0, 1)
    sizes = struct.pack(f"<B3xfI?3xI{len(counts)}Q", len(counts), 1.5, MODEL_TYPE, True, SEARCH_VERSION, *counts)
    header = magic + sanity + sizes
    return header.ljust(-len(header) // 8 * -8, b"\0")


def _write_trie(file: IO[bytes], model: NGramModel, by_hash: Array) -> None:
    """The values to which the others are rounded, then each order's n-grams."""
    log_backoffs = [_mark_contexts(model, order) for order in range(model.order - 1)]
    zeros = np.array([-0.0, 0.0], "<f4")
    prob_bins = [_bins(probs, 1 << BITS) for probs in model.log_probs[1:]]
    backoff_bins = [_bins(weights[weights != 0], (1 << BITS) - len(zeros)) for weights in log_backoffs[1:]]
    file.write(struct.pack("<3B5x", QUANTISATION_VERSION, BITS, BITS))
    for probs, weights in zip(prob_bins[:-1], backoff_bins, strict=True):
        file.write(probs.tobytes() + zeros.tobytes() + weights.tobytes())
    file.write(prob_bins[-1].tobytes())

    for order, (ngrams, first_words, first_child) in enumerate(_levels(model, by_hash)):
        probs = model.log_probs[order][ngrams]
        if order == 0:
            unigrams = np.zeros(model.size + 2, [("prob", "<f4"), ("backoff", "<f4"), ("next", "<u8")])
            unigrams["prob"][: model.size] = probs
            unigrams["backoff"][: model.size] = log_backoffs[0][ngrams]
            unigrams["next"][: model.size + 1] = first_child
            file.write(unigrams.tobytes())
            continue
        fields = [(first_words, model.size.bit_length())]
        if order < model.order - 1:
            weights = log_backoffs[order][ngrams]
            nearest = _nearest(backoff_bins[order - 1], weights) + len(zeros)
            fields.append((np.where(weights == 0, ~np.signbit(weights), nearest), BITS))
        fields.append((_nearest(prob_bins[order - 1], probs), BITS))
        if order < model.order - 1:
            fields.append(_write_pointers(file, first_child))
        _write_packed(file, fields, len(ngrams) + 1)


def _levels(model: NGramModel, by_hash: Array) -> Iterator[tuple[Array, Array, Array]]:
    """For each order: its n-grams in the order in which the trie has them, their first words as KenLM's ids, and where
    the children of each begin in the next order, with the end of the last one's (empty for the longest).
    """
    below = suffixes(model.keys, model.size)
    ngrams, first_words = by_hash, _inverse(by_hash)
    places = first_words  # where each n-gram is in the trie
    for order in range(1, model.order):
        parents = places[below[order]]
        yield ngrams, first_words[ngrams], np.concatenate([[0], np.cumsum(np.bincount(parents, minlength=len(ngrams)))])
        first_words = first_words[model.keys[order] // model.size]
        ngrams = np.argsort(parents * model.size + first_words, kind="stable")
        places = _inverse(ngrams)
    yield ngrams, first_words[ngrams], np.empty(0, np.int64)


def _inverse(permutation: Array) -> Array:
    inverse = np.empty(len(permutation), np.int64)
    inverse[permutation] = np.arange(len(permutation))
    return inverse


def _mark_contexts(model: NGramModel, order: int) -> Array:
    """Back-off weights (order counts from 0) in which a zero is -0.0 unless a longer n-gram begins so: with it KenLM
    forgets words that cannot matter any more."""
    weights = model.log_backoffs[order]
    is_context = np.bincount(model.keys[order + 1] // model.size, minlength=len(weights)) > 0
    return np.where((weights == 0) & ~is_context, np.float32(-0.0), weights + np.float32(0))


def _bins(values: Array, count: int) -> Array:
    """Means of `count` bins that hold equally many of the sorted values: float32 (count,), not falling."""
    sums = np.concatenate([[0.0], np.cumsum(np.sort(values).astype(np.float64))])
    ends = len(values) * np.arange(count + 1) // count
    sizes = np.diff(ends)
    means = np.where(sizes > 0, np.diff(sums[ends]) / np.maximum(sizes, 1), -np.inf)
    return np.maximum.accumulate(means).astype("<f4")


def _nearest(centres: Array, values: Array) -> Array:
    """The index of the centre next to each value, the first of equal ones."""
    above = np.minimum(np.searchsorted(centres, values), len(centres) - 1)
    below = np.maximum(above - 1, 0)
    return np.where(values - centres[below] < centres[above] - values, below, above)


def _write_pointers(file: IO[bytes], pointers: Array) -> tuple[Array, int]:
    """Write the high bits of non-decreasing pointers: for each value of them the first pointer that has it or more.

    Returns the low bits, which stay with the n-grams, and how many they are.
    """
    largest = int(pointers[-1])
    bits = largest.bit_length()
    costs = [(largest >> (bits - kept)) * 64 - len(pointers) * kept for kept in range(min(bits, POINTER_BITS) + 1)]
    inline = bits - costs.index(min(costs))
    high = np.searchsorted(pointers >> inline, np.arange((largest >> inline) + 1)).astype("<u8")
    # Of 8 bytes, and some more, that the table begins at a multiple of 8.
    header = struct.pack("<BB", POINTER_VERSION, POINTER_BITS).ljust(-file.tell() % 8 + 8, b"\0")
    file.write((header + high.tobytes()).ljust(8 * (1 + len(high)) + 7, b"\0"))
    return pointers & ((1 << inline) - 1), inline


def _write_packed(file: IO[bytes], fields: list[tuple[Array, int]], count: int) -> None:
    """`count` records of fields of so many bits in a row, the lowest first; fields with fewer values end with zeros."""
    width = sum(bits for _, bits in fields)
    for start in range(0, count, PIECE):
        length = min(PIECE, count - start)
        piece = np.zeros((length, width), np.uint8)
        at = 0
        for values, bits in fields:
            part = values[start : start + length]
            piece[: len(part), at : at + bits] = part[:, None] >> np.arange(bits) & 1
            at += bits
        file.write(np.packbits(piece.reshape(-1), bitorder="little").tobytes())
    file.write(bytes(8))  # a reader takes 8 bytes at once
