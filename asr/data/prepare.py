"""Make manifests of a public corpus, which is downloaded or read from a copy, or of a folder of your own recordings.

Writes <output>/<split>.jsonl, and <output>/<split>.skipped.tsv where utterances cannot be used, with the reasons.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asr.data.corpora import CORPORA, get
from asr.errors import AudioError, CorpusError, TextError

if TYPE_CHECKING:
    from asr.data.corpora.base import Corpus
    from asr.data.manifest import Utterance

THREADS = 8  # reading headers waits for the disk more than for the processor
SHOWN = 10  # skipped utterances printed; all of them are in <split>.skipped.tsv
SPLITS = ("train", "dev", "test")  # of a folder, in the order of --split


@dataclass(frozen=True)
class Skipped:
    """An utterance that cannot be used, and why."""

    id: str
    audio: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """What one split became. seconds: of audio, all together."""

    split: str
    manifest: Path
    utterances: int
    seconds: float
    speakers: int
    skipped: tuple[Skipped, ...]

    def __str__(self) -> str:
        line = (
            f"{self.split}: {self.utterances:,} utterances, {self.seconds / 3600:.2f} h, "
            f"{self.speakers:,} {'speaker' if self.speakers == 1 else 'speakers'} -> {self.manifest}"
        )
        if not self.skipped:
            return line
        lines = [f"{line} ({len(self.skipped):,} skipped: {_skipped_list(self.manifest)})"]
        lines += [f"  skipped {item.id}: {item.reason}" for item in self.skipped[:SHOWN]]
        if len(self.skipped) > SHOWN:
            lines.append(f"  ... and {len(self.skipped) - SHOWN:,} more")
        return "\n".join(lines)


def prepare(
    corpus_name: str,
    output_dir: Path | str | None = None,
    source: Path | str | None = None,
    splits: Sequence[str] | None = None,
    *,
    text_scheme: str | None = None,
    threads: int = THREADS,
    progress: bool = True,
    report: Callable[[str], None] = print,
) -> dict[str, Path]:
    """Write <output_dir>/<split>.jsonl for each split of a public corpus; returns split -> manifest.

    source: a folder or an archive that is already on disk; without it the corpus is downloaded into
    <output_dir>/download and unpacked into <output_dir>/corpus. output_dir: data/<corpus> by default.
    text_scheme: another than the corpus' own (see `asr.text.normalise`). Raises CorpusError, ConfigError for an
    unknown scheme.
    """
    corpus = get(corpus_name)
    output = Path(output_dir or Path("data") / corpus_name)
    if source is None:
        archives = corpus.needed(splits)
        size = sum(archive.size or 0 for archive in archives) / 1e9
        count = f"{len(archives)} archives" if len(archives) > 1 else "1 archive"
        report(
            f"{corpus.title} ({corpus.licence}): {count}{f', {size:.1f} GB,' if size else ''} from {corpus.homepage}"
        )
    root = find_source(corpus, output, None if source is None else Path(source), splits, progress)
    chosen = corpus.choose_splits(root, splits)
    scheme = text_scheme or corpus.scheme(root)
    manifests = {}
    for split in chosen:
        found = corpus.utterances(root, split)
        copies = output / "audio" if corpus.raw_sample_rate else None
        good, bad = measure(found, scheme, threads, split if progress else None, corpus.raw_sample_rate, copies)
        summary = write_split(output, split, good, bad)
        report(str(summary))
        manifests[split] = summary.manifest
    for name in corpus.keep:
        if (root / name).is_file():
            shutil.copyfile(root / name, output / Path(name).name)
    return manifests


def prepare_folder(
    folder: Path | str,
    output_dir: Path | str | None = None,
    *,
    transcripts: Path | str | None = None,
    audio_column: str | None = None,
    text_column: str | None = None,
    speaker_column: str | None = None,
    speaker_folders: bool = False,
    text_scheme: str = "basic",
    fractions: Sequence[float] | None = None,
    threads: int = THREADS,
    progress: bool = True,
    report: Callable[[str], None] = print,
) -> dict[str, Path]:
    """Write manifests for a user's own recordings; returns split -> manifest.

    Audio lies beside .txt files of the same stem, or is named in a table (`transcripts`, TSV or CSV). Without
    `fractions` (train, dev, test) there is one manifest, all.jsonl. output_dir: data/<name of the folder> by
    default. Raises CorpusError, ConfigError for an unknown scheme.
    """
    from asr.data.corpora import folder as reader

    folder = Path(folder)
    output = Path(output_dir or Path("data") / folder.resolve().name)
    table = Path(transcripts) if transcripts else None
    found = reader.utterances(folder, table, audio_column, text_column, speaker_column, speaker_folders)
    good, bad = measure(found, text_scheme, threads, "audio" if progress else None)
    parts = {"all": good}
    if fractions is not None and good:
        parts, grouping = reader.divide(good, dict(zip(SPLITS, fractions, strict=True)))
        report(f"divided by {grouping}")
    manifests: dict[str, Path] = {}
    for split, part in parts.items():
        # what was skipped belongs to no part: it is told once, with the first
        summary = write_split(output, split, part, bad if not manifests else ())
        report(str(summary))
        manifests[split] = summary.manifest
    return manifests


def find_source(
    corpus: "Corpus", output: Path, source: Path | None, splits: Sequence[str] | None, progress: bool = True
) -> Path:
    """The corpus' own folder: in `source` (folder or archive), or downloaded and unpacked below `output`.

    Raises CorpusError: no such source, not this corpus, no public address.
    """
    from asr.data.corpora.download import fetch, is_unpacked, unpack_once

    unpacked = output / "corpus"
    if source is None:
        for archive in corpus.needed(splits):
            if not is_unpacked(archive.filename, unpacked):
                unpack_once(fetch(archive, output / "download", progress), unpacked, progress)
        return corpus.find_root(unpacked)
    if source.is_file():
        unpack_once(source, unpacked, progress)
        return corpus.find_root(unpacked)
    if not source.is_dir():
        raise CorpusError(
            f"{corpus.name}: --source {source} is neither a folder nor a file. Wanted: the folder of {corpus.title} as "
            f"its publisher lays it out, with {' or '.join(corpus.root_marks)}, or its archive ({corpus.homepage})."
        )
    archives = [source / archive.filename for archive in corpus.archives]
    archives = [path for path in archives if path.is_file()]
    try:
        return corpus.find_root(source)
    except CorpusError:
        if not archives:
            raise
    for path in archives:  # a folder of the archives as they were downloaded
        unpack_once(path, unpacked, progress)
    return corpus.find_root(unpacked)


def measure(
    utterances: Iterable["Utterance"],
    scheme: str,
    threads: int = THREADS,
    label: str | None = None,
    raw_sample_rate: int | None = None,
    copies: Path | None = None,
) -> tuple[list["Utterance"], list[Skipped]]:
    """Find each utterance's audio, read its duration, normalise its text; returns the usable ones and the others.

    label: what the progress bar is called (None: no bar). Order is kept. raw_sample_rate, copies: headerless
    audio is copied as WAV into that folder, for nothing in a .raw file says how to read it. Raises ConfigError for an
    unknown scheme.
    """
    from tqdm import tqdm

    from asr.data.corpora.base import AudioFinder
    from asr.text.normalise import normalise

    normalise("", scheme)  # an unknown scheme is told once, not for each utterance
    utterances = list(utterances)
    work = partial(_measure_one, AudioFinder(), scheme, raw_sample_rate, copies)
    good: list[Utterance] = []
    bad: list[Skipped] = []
    with ThreadPoolExecutor(threads) as pool:
        # disable=None: no bar where the output is not a terminal
        bar = tqdm(total=len(utterances), desc=label, unit="utt", disable=True if label is None else None)
        with bar:
            try:
                for result in pool.map(work, utterances):
                    bar.update()
                    if isinstance(result, Skipped):
                        bad.append(result)
                    else:
                        good.append(result)
            except BaseException:
                pool.shutdown(cancel_futures=True)  # else Ctrl-C would wait for all the rest
                raise
    return good, bad


def _measure_one(
    find: Callable[[Path], Path | None],
    scheme: str,
    raw_sample_rate: int | None,
    copies: Path | None,
    utterance: "Utterance",
) -> "Utterance | Skipped":
    from asr.audio.load import read_info
    from asr.text.normalise import normalise

    published = Path(utterance.audio_filepath)
    path = find(published)
    try:
        if path is None:
            raise AudioError(f"no audio file {published.name}, nor one of another format beside it")
        text = normalise(utterance.text, scheme)
        if not text:
            left = f"nothing is left of the transcript {utterance.text!r}" if utterance.text else "no transcript"
            raise TextError(left)
        if path.suffix.lower() == ".raw" and raw_sample_rate and copies:
            path = _wav_copy(path, copies, raw_sample_rate)
        duration = read_info(path).duration
    except (AudioError, TextError) as error:
        return Skipped(utterance.id, str(path or published), " ".join(str(error).split()))
    return replace(utterance, audio_filepath=str(path.absolute()), duration=round(duration, 6), text=text)


def _wav_copy(path: Path, folder: Path, sample_rate: int) -> Path:
    """Write headerless 16-bit mono audio as <folder>/<stem>.wav. Raises AudioError."""
    import wave

    import numpy as np

    content = path.read_bytes()
    if not content or len(content) % 2:
        raise AudioError(f"{path}: {len(content)} bytes, which is not a number of 16-bit samples")
    # Nothing says which byte comes first, but neighbouring samples of sound are near each other in the right order.
    orders = [np.frombuffer(content, kind).astype(np.int64) for kind in ("<i2", ">i2")]
    samples = min(orders, key=lambda values: int(np.abs(np.diff(values)).sum()))
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{path.stem}.wav"
    with wave.open(str(copy), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return copy


def write_split(output: Path, split: str, good: Sequence["Utterance"], bad: Sequence[Skipped]) -> Summary:
    """Write <output>/<split>.jsonl, and <split>.skipped.tsv if something was. Raises CorpusError if nothing is left."""
    from asr.data import manifest

    if not good:
        reasons = "".join(f"\n  {item.id}: {item.reason}" for item in bad[:SHOWN])
        raise CorpusError(f"{split}: no utterance can be used, {len(bad):,} were skipped{reasons}")
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{split}.jsonl"
    manifest.write(path, good)
    skipped_list = _skipped_list(path)
    if bad:
        rows = [("id", "audio", "reason"), *((item.id, item.audio, item.reason) for item in bad)]
        skipped_list.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    else:
        skipped_list.unlink(missing_ok=True)
    speakers = {utterance.speaker for utterance in good if utterance.speaker is not None}
    seconds = sum(utterance.duration for utterance in good)
    return Summary(split, path, len(good), seconds, len(speakers), tuple(bad))


def _skipped_list(manifest: Path) -> Path:
    return manifest.with_suffix(".skipped.tsv")


def list_corpora() -> str:
    """The text of `asr prepare --list`."""
    lines = []
    for name in CORPORA:
        corpus = get(name)
        splits = ", ".join(corpus.splits)
        if corpus.extra_splits:
            splits += f"; by name only: {', '.join(corpus.extra_splits)}"
        lines += [f"{name}: {corpus.title}", f"  licence: {corpus.licence}", f"  from: {corpus.homepage}"]
        scheme = corpus.text_scheme if isinstance(corpus.text_scheme, str) else "by language"
        lines += [f"  splits: {splits}", f"  text scheme: {scheme}", f"  notes: {corpus.notes}"]
    lines.append("folder: your own recordings (asr prepare folder --help)")
    return "\n".join(lines)
