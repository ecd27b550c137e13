"""ARPA files, the text format of n-gram models: log10 probability, words, log10 back-off weight on each line."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from lzma import LZMAError
from pathlib import Path

import numpy as np

from asr.errors import ModelError
from asr.files import replacing
from asr.lm.ngram_model import BOS, EOS, NEVER, SPECIAL, UNK, Array, NGramModel, find, suffixes
from asr.lm.sentences import open_text
from asr.text.normalise import split_fields

FILE = "lm.arpa"  # in a folder of `asr lm build`
PIECE = 1 << 18  # lines handled at a time
Progress = Callable[[int], object]


def arpa_file(path: Path | str) -> Path:
    """The file itself, or the one in a folder of `asr lm build`."""
    path = Path(path)
    return path / FILE if path.is_dir() else path


def write_arpa(path: Path | str, model: NGramModel, progress: Progress | None = None) -> None:
    """Write a model, whole or not at all. progress: called with the number of n-grams written."""
    words = np.array(model.words, object)
    with replacing(path) as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {order}={count}\n" for order, count in enumerate(model.counts, start=1))
        for order, count in enumerate(model.counts, start=1):
            file.write(f"\n\\{order}-grams:\n")
            for start in range(0, count, PIECE):
                stop = min(start + PIECE, count)
                texts = map(" ".join, words[model.ngrams(order, start, stop)].tolist())
                probs = model.log_probs[order - 1][start:stop].tolist()
                if order < model.order:
                    backoffs = model.log_backoffs[order - 1][start:stop].tolist()
                    lines = zip(probs, texts, backoffs, strict=True)
                    file.writelines(f"{prob:.7g}\t{text}\t{weight:.7g}\n" for prob, text, weight in lines)
                else:
                    file.writelines(f"{prob:.7g}\t{text}\n" for prob, text in zip(probs, texts, strict=True))
                if progress:
                    progress(stop - start)
        file.write("\n\\end\\\n")


def read_arpa(path: Path | str, progress: Progress | None = None) -> NGramModel:
    """Read an ARPA file, also one packed with gzip or xz or in a folder of `asr lm build`.

    n-grams whose first or last words are not n-grams themselves (SRILM's pruning leaves such) get these added with the
    probability that backing-off gives them, which changes nothing. progress: called with the number of n-grams read.
    Raises ModelError naming file and line.
    """
    path = arpa_file(path)
    try:
        with open_text(path) as file:
            return _Reader(path, file, progress or (lambda count: None)).read()
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path}: the language model is not text in UTF-8: {error}. Of a binary model, give the ARPA file instead"
        ) from error
    except (OSError, EOFError, LZMAError) as error:
        raise ModelError(f"{path}: the language model cannot be read: {error}") from error


class _Reader:
    """One pass over the lines, which are counted for messages."""

    def __init__(self, path: Path, lines: Iterator[str], progress: Progress):
        self.path, self.lines, self.progress = path, lines, progress
        self.number = 0  # of the line read last
        self.ids: dict[str, int] = {}

    def read(self) -> NGramModel:
        counts = self._header()
        tables = [self._section(order, count) for order, count in enumerate(counts, start=1)]
        if (line := self._next()) != "\\end\\":
            raise self._error(line, "\\end\\ after the last n-gram")
        _, log_probs, log_backoffs = tables[0]
        for word in (BOS, EOS):
            if word not in self.ids:
                raise ModelError(f"{self.path}: found no {word} among the 1-grams, which every sentence needs")
        if UNK not in self.ids:
            self.ids[UNK] = len(self.ids)
            tables[0] = (np.empty((0, 1)), np.append(log_probs, NEVER), np.append(log_backoffs, 0))
        return self._model(tables)

    def _next(self) -> str | None:
        """The next line that is not blank; None at the end of the file."""
        for line in self.lines:
            self.number += 1
            if line.strip():
                return line.strip()
        return None

    def _error(self, line: str | None, wanted: str) -> ModelError:
        found = "the file ends" if line is None else f"found {line[:80]!r}"
        return ModelError(f"{self.path}:{self.number}: {found}, wanted {wanted}. The ARPA file is damaged or cut off")

    def _header(self) -> list[int]:
        while (line := self._next()) != "\\data\\":
            if not line or self.number > 1000:
                raise ModelError(f"{self.path}:{self.number}: found no \\data\\ line; wanted a model in ARPA format")
        counts: list[int] = []
        while (line := self._next()) and line.startswith("ngram"):
            order, _, count = line.removeprefix("ngram").partition("=")
            if order.strip() != str(len(counts) + 1) or not count.strip().isdecimal():
                raise self._error(line, f"`ngram {len(counts) + 1}=COUNT`")
            counts.append(int(count))
        if not counts:
            raise self._error(line, "`ngram 1=COUNT`")
        self._section_line = line
        return counts

    def _section(self, order: int, count: int) -> tuple[Array, Array, Array]:
        """Word ids (count, order), log10 probabilities and back-off weights of the n-grams of one order."""
        line = self._section_line if order == 1 else self._next()
        if line != f"\\{order}-grams:":
            raise self._error(line, f"\\{order}-grams: here, as \\data\\ tells the counts")
        pieces = []
        for start in range(0, count, PIECE):
            wanted = min(PIECE, count - start)
            fields = [split_fields(line) for line in islice(self.lines, wanted)]
            with suppress(ValueError, KeyError):
                if len(fields) == wanted and {order + 1, order + 2}.issuperset(map(len, fields)):
                    pieces.append(self._parse(order, fields))
                    self.number += wanted
                    self.progress(wanted)
                    continue
            raise self._first_mistake(order, count, start, fields)
        if not pieces:
            return np.empty((0, order), np.int64), np.empty(0), np.empty(0)
        rows, probs, backoffs = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
        return rows, probs, backoffs

    def _parse(self, order: int, fields: list[list[str]]) -> tuple[Array, Array, Array]:
        """Raises ValueError or KeyError for a mistake in any line."""
        if order == 1:
            before, words = len(self.ids), [UNK if row[1] == "<UNK>" else row[1] for row in fields]
            self.ids.update(zip(words, range(before, before + len(words)), strict=True))
            if len(self.ids) < before + len(words):
                raise ValueError
            rows = np.empty((len(fields), 1), np.int32)  # never looked at: the ids are in order
        else:
            flat = (self.ids[word] for row in fields for word in row[1 : order + 1])
            rows = np.fromiter(flat, np.int32, len(fields) * order).reshape(-1, order)
        probs = np.fromiter((float(row[0]) for row in fields), np.float32, len(fields))
        backoffs = np.fromiter((float(row[-1]) if len(row) > order + 1 else 0 for row in fields), np.float32)
        # An impossible n-gram, as some tools write <s>: the custom is -99, with which sums stay finite.
        probs[np.isneginf(probs)], backoffs[np.isneginf(backoffs)] = NEVER, NEVER
        if not ((probs <= 0).all() and np.isfinite(probs).all() and np.isfinite(backoffs).all()):
            raise ValueError
        return rows, probs, backoffs

    def _first_mistake(self, order: int, count: int, start: int, fields: list[list[str]]) -> ModelError:
        """What is wrong with the first bad line of a piece, the last lines of which are missing if the file ends.

        start: how many n-grams of this order were read before.
        """
        known = set(list(self.ids)[:start] if order == 1 else self.ids)
        for row in fields:
            self.number += 1
            words = row[1 : order + 1]
            if len(row) not in (order + 1, order + 2):
                wanted = f"one of {count} lines: a log10 probability, {order} words, perhaps a log10 back-off weight"
                return self._error(" ".join(row), wanted)
            if wanted := self._mistake(order, row, [word for word in words if word not in known]):
                return self._error(" ".join(row), wanted)
            known.update(words)
        return self._error(None, f"{count} {order}-grams, as \\data\\ says")

    @staticmethod
    def _mistake(order: int, row: list[str], new: list[str]) -> str:
        """What was wanted in a line; "" where it is good. new: those of its words that are not among the 1-grams."""
        for field in (row[0], *row[order + 1 :]):
            try:
                value = float(field)
            except ValueError:
                return f"a number for {field!r}"
            if not math.isfinite(value) and value != -math.inf:
                return f"a finite number or -inf for {field!r}"
        if float(row[0]) > 0:
            return "a log10 probability of 0 or less in front"
        if order == 1 and not new:
            return f"each word once among the 1-grams, {row[1]!r} was there before"
        return f"words that are among the 1-grams, as {new[0]!r} is not" if order > 1 and new else ""

    def _model(self, tables: list[tuple[Array, Array, Array]]) -> NGramModel:
        """<unk>, <s>, </s> first, and everything sorted."""
        words = [*SPECIAL, *(word for word in self.ids if word not in SPECIAL)]
        size = len(words)
        old_ids = np.array([self.ids[word] for word in words])
        new_ids = np.empty(size, np.int64)
        new_ids[old_ids] = np.arange(size)
        _, probs, backoffs = tables[0]
        model = NGramModel(words, [np.arange(size)], [probs[old_ids]], [backoffs[old_ids]])
        rows = [new_ids[ids] for ids, _, _ in tables[1:]]
        if not _insert(model, rows, tables[1:]):
            model = NGramModel(words, model.keys[:1], model.log_probs[:1], model.log_backoffs[:1])
            _insert(model, *_completed(rows, tables[1:], size))
        for order, keys in enumerate(model.keys):
            if len(keys) > 1 and not np.diff(keys).all():
                place = int(np.flatnonzero(np.diff(keys) == 0)[0])
                twice = " ".join(words[i] for i in model.ngrams(order + 1, place, place + 1)[0])
                raise ModelError(f"{self.path}: found the {order + 1}-gram {twice!r} twice, wanted each once")
        below = suffixes(model.keys, size)
        for order in range(1, model.order):
            added = np.flatnonzero(np.isnan(model.log_probs[order]))
            backed_off = model.log_backoffs[order - 1][model.keys[order][added] // size]
            model.log_probs[order][added] = backed_off + model.log_probs[order - 1][below[order][added]]
        return model.trimmed()


def _insert(model: NGramModel, rows: list[Array], tables: list[tuple[Array, Array, Array]]) -> bool:
    """Fill in the orders from 2 on. False where an n-gram's first or last words are missing in the order below."""
    for ids, (_, probs, backoffs) in zip(rows, tables, strict=True):
        nodes = ids[:, 0]
        for column in range(1, ids.shape[1] - 1):
            nodes = find(model.keys[column], nodes * model.size + ids[:, column])
            if len(nodes) and nodes.min() < 0:
                return False
        keys = nodes * model.size + ids[:, -1]
        order = np.argsort(keys, kind="stable")
        model.keys.append(keys[order])
        model.log_probs.append(probs[order])
        model.log_backoffs.append(backoffs[order])
    return all((below >= 0).all() for below in suffixes(model.keys, model.size))


def _completed(
    rows: list[Array], tables: list[tuple[Array, Array, Array]], size: int
) -> tuple[list[Array], list[tuple[Array, Array, Array]]]:
    """With the n-grams that are missing as first or last words of others: probability NaN, back-off weight 0."""
    rows, tables = list(rows), list(tables)
    for order in range(len(rows) - 2, -1, -1):
        every = np.concatenate([rows[order], rows[order + 1][:, :-1], rows[order + 1][:, 1:]])
        ranks = every[:, 0]
        for column in range(1, every.shape[1]):
            _, ranks = np.unique(ranks * size + every[:, column], return_inverse=True)
        _, first = np.unique(ranks, return_index=True)
        added = first[first >= len(rows[order])]
        ids, probs, backoffs = tables[order]
        rows[order] = np.concatenate([rows[order], every[added]])
        tables[order] = (
            ids,
            np.append(probs, np.full(len(added), np.nan, np.float32)),
            np.append(backoffs, np.zeros(len(added), np.float32)),
        )
    return rows, tables
