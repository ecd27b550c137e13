"""What every corpus module shares: the description of a corpus, and reading the small lists that publishers use."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from asr.data.manifest import Utterance
from asr.errors import CorpusError

# Copies of a corpus are often re-encoded, so audio is looked for by stem with any of these endings, in this order.
AUDIO_ENDINGS = (".wav", ".flac", ".sph", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au",
                 ".m4a", ".mp4", ".aac", ".webm", ".raw")  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """One file to download. A checksum stands here only if the publisher, or a library that everybody uses, gives it.

    url: where it is. splits: the splits that need it (empty: all of them). md5, sha256: hexadecimal, lower
    case. size: bytes. name: the file name on disk where the url's last part would be a poor one.
    """

    url: str
    splits: tuple[str, ...] = ()
    md5: str | None = None
    sha256: str | None = None
    size: int | None = None
    name: str | None = None

    @property
    def filename(self) -> str:
        return self.name or PurePosixPath(unquote(urlsplit(self.url).path)).name


@dataclass(frozen=True)
class Corpus:
    """A public corpus: where it comes from, on what terms, and how its publisher lays it out.

    splits are prepared when none is asked for; extra_splits only by name. root_marks: glob patterns, relative
    to the corpus' own folder, of which one must match: this is how that folder is found inside a download or
    a copy. utterances(root, split) yields the text as published and durations of 0; `asr.data.prepare` measures
    and normalises. text_scheme names the scheme of `asr.text.normalise`; a function of the root where the
    language decides. available(root) narrows splits + extra_splits to those that this copy holds; usual(root)
    says which of them are prepared when none is asked for. raw_sample_rate: hertz of headerless 16-bit .raw
    audio, where a corpus has it. keep: files of the corpus that recipes need, a lexicon say, copied beside the
    manifests.
    """

    name: str
    title: str
    homepage: str
    licence: str
    splits: tuple[str, ...]
    root_marks: tuple[str, ...]
    utterances: Callable[[Path, str], Iterable[Utterance]]
    text_scheme: str | Callable[[Path], str]
    archives: tuple[Archive, ...] = ()
    extra_splits: tuple[str, ...] = ()
    available: Callable[[Path], tuple[str, ...]] | None = None
    usual: Callable[[Path], tuple[str, ...]] | None = None
    raw_sample_rate: int | None = None
    keep: tuple[str, ...] = ()
    notes: str = ""

    def scheme(self, root: Path) -> str:
        return self.text_scheme if isinstance(self.text_scheme, str) else self.text_scheme(root)

    def needed(self, splits: Iterable[str] | None) -> list[Archive]:
        """The archives that hold these splits (None: the usual ones). Raises CorpusError for an unknown split."""
        wanted = set(splits or self.splits)
        unknown = sorted(wanted - set(self.splits + self.extra_splits))
        if unknown:
            known = ", ".join(self.splits + self.extra_splits)
            raise CorpusError(f"{self.name}: no split {', '.join(unknown)}. The corpus has: {known}.")
        archives = [archive for archive in self.archives if not archive.splits or wanted & set(archive.splits)]
        if not archives:
            raise CorpusError(
                f"{self.name}: nothing to download for {', '.join(sorted(wanted))}. Get {self.title} from "
                f"{self.homepage} and give its folder or archive with --source."
            )
        return archives

    def choose_splits(self, root: Path, wanted: Iterable[str] | None) -> tuple[str, ...]:
        """The splits to prepare from `root`: those wanted, or all usual ones that are there. Raises CorpusError."""
        known = self.splits + self.extra_splits
        present = known if self.available is None else self.available(root)
        usual = self.splits if self.usual is None else self.usual(root)
        chosen = tuple(dict.fromkeys(wanted)) if wanted else tuple(split for split in usual if split in present)
        missing = [split for split in chosen if split not in present]
        if missing or not chosen:
            raise CorpusError(
                f"{self.name}: no split {', '.join(missing) or 'at all'} in {root}. "
                f"There: {', '.join(present) or 'none'}. The corpus has: {', '.join(known)}."
            )
        return chosen

    def find_root(self, folder: Path, depth: int = 3) -> Path:
        """The corpus' own folder: `folder` itself or one below it, `depth` levels at most.

        Raises CorpusError where there is none, or several on the same level.
        """
        level = [folder]
        for _ in range(depth + 1):
            found = [place for place in level if any(_matches(place, mark) for mark in self.root_marks)]
            if len(found) > 1:
                names = "\n  ".join(str(place) for place in found)
                raise CorpusError(f"{self.name}: several copies below {folder}; name one of them:\n  {names}")
            if found:
                return found[0]
            level = [child for place in level for child in _folders(place)]
        wanted = " or ".join(self.root_marks)
        raise CorpusError(
            f"{self.name}: {folder} does not hold the corpus: no {wanted} in it or below it. "
            f"Give the folder of {self.title} as its publisher lays it out, or its archive ({self.homepage})."
        )


def _matches(folder: Path, mark: str) -> bool:
    return any(True for _ in folder.glob(mark))


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir() and not e.name.startswith("."))
    except PermissionError:
        return []


@dataclass
class AudioFinder:
    """Finds audio by its published path or, where that is absent, by the same stem with another audio ending.

    Each folder is listed once only, so that a corpus of a million clips costs one listing.
    """

    _listings: dict[Path, dict[str, str]] = field(default_factory=dict)

    def __call__(self, path: Path) -> Path | None:
        if path.suffix.lower() in AUDIO_ENDINGS:
            if path.is_file():
                return path
            stem = path.stem
        else:
            stem = path.name
        name = self._listing(path.parent).get(stem)
        return path.parent / name if name else None

    def _listing(self, folder: Path) -> dict[str, str]:
        if folder not in self._listings:
            self._listings[folder] = audio_by_stem(folder)
        return self._listings[folder]


def audio_by_stem(folder: Path) -> dict[str, str]:
    """stem -> file name of the audio files in a folder (of several with one stem, the best ending); {} if absent."""
    if not folder.is_dir():
        return {}
    rank = {ending: position for position, ending in enumerate(AUDIO_ENDINGS)}
    found: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        stem, ending = os.path.splitext(name)
        if ending.lower() not in rank or name.startswith("."):
            continue
        if stem not in found or rank[ending.lower()] < rank[os.path.splitext(found[stem])[1].lower()]:
            found[stem] = name
    return found


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line without its end) of the lines that hold something. Raises CorpusError."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise CorpusError(f"{path}: not there, although the corpus has this file. Is the copy complete?") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_pairs(path: Path) -> dict[str, str]:
    """A Kaldi list: key, white space, the rest of the line. Raises CorpusError for a key without a value, or twice."""
    pairs: dict[str, str] = {}
    for number, line in read_lines(path):
        key, *rest = line.split(maxsplit=1)
        if not rest:
            raise CorpusError(f"{path}:{number}: {line!r} has a key and no value")
        if key in pairs:
            raise CorpusError(f"{path}:{number}: {key!r} stands here a second time")
        pairs[key] = rest[0].strip()
    return pairs


def table_reader(lines: Iterable[str], delimiter: str) -> Any:
    """A csv.reader. Tab-separated tables have no quoting: Common Voice's sentences may begin with a quotation mark."""
    if delimiter == "\t":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter)


def read_table(path: Path, columns: Iterable[str] = (), delimiter: str = "\t") -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a table with a header line.

    Raises CorpusError for a missing column or a row with another number of fields than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = table_reader(file, delimiter)
            header = [name.strip() for name in next(reader, [])]
            missing = [column for column in columns if column not in header]
            if missing:
                there = ", ".join(header) or "none"
                raise CorpusError(f"{path}: no column {', '.join(missing)}; its columns are: {there}")
            for row in reader:
                if row and len(row) != len(header):
                    raise CorpusError(f"{path}:{reader.line_num}: {len(row)} fields, but the header has {len(header)}")
                if row:
                    yield reader.line_num, dict(zip(header, row, strict=True))
    except FileNotFoundError:
        raise CorpusError(f"{path}: not there. Is the copy complete, and the name right?") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a table in UTF-8 text ({error})") from None
