"""A user's own recordings: audio beside .txt files, or named in a table (TSV or CSV with a header line)."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from asr.data.corpora.base import AUDIO_ENDINGS, audio_by_stem, read_table, table_reader
from asr.data.manifest import Utterance
from asr.errors import CorpusError

TABLES = ("metadata.tsv", "metadata.csv", "transcripts.tsv", "transcripts.csv")
# guesses, in order of preference; compared without regard to case
COLUMNS = {
    "audio": (
        "audio_filepath",
        "audio",
        "path",
        "file",
        "file_name",
        "filename",
        "audio_path",
        "wav",
        "clip",
    ),
    "text": ("text", "sentence", "transcript", "transcription", "normalized_text"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk"),
}


def utterances(
    folder: Path,
    table: Path | None = None,
    audio_column: str | None = None,
    text_column: str | None = None,
    speaker_column: str | None = None,
    speaker_folders: bool = False,
) -> Iterator[Utterance]:
    """Utterances of a folder, text as it stands, durations 0. Ids are the audio's path below `folder`, less ending.

    table: relative audio paths in it start from `folder`, else from the table's own folder. speaker_folders:
    the first folder of each path names the speaker, where no column does. Raises CorpusError.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: not a folder")
    if table is None:
        table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if table is None and (audio_column or text_column or speaker_column):
        raise CorpusError(f"{folder}: a column was named, but there is no table; give it with --transcripts FILE")
    if table is None:
        found = _beside_texts(folder)
    else:
        found = _from_table(folder, table, {"audio": audio_column, "text": text_column, "speaker": speaker_column})
    counts: Counter[str] = Counter()
    for path, text, speaker in found:
        name = _relative(path, folder)
        if speaker_folders and speaker is None and "/" in name:
            speaker = name.split("/")[0]
        own = os.path.splitext(name)[0] if path.suffix.lower() in AUDIO_ENDINGS else name
        counts[own] += 1  # a table may name a file twice, but a manifest wants each id once
        yield Utterance(f"{own}#{counts[own]}" if counts[own] > 1 else own, str(path), 0.0, text, speaker=speaker)


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.name


def _beside_texts(folder: Path) -> Iterator[tuple[Path, str, str | None]]:
    count = 0
    for place, folders, _ in os.walk(folder):
        folders.sort()
        for stem, name in audio_by_stem(Path(place)).items():
            transcript = Path(place, stem + ".txt")
            count += 1
            # without a transcript: kept, so that it is listed among the skipped
            text = ""
            if transcript.is_file():
                try:
                    text = " ".join(transcript.read_text(encoding="utf-8-sig").split())
                except UnicodeDecodeError:
                    raise CorpusError(f"{transcript}: not UTF-8 text; save it as UTF-8") from None
            yield Path(place, name), text, None
    if not count:
        raise CorpusError(
            f"{folder}: no audio in it or below it. Wanted NAME.wav (or {', '.join(AUDIO_ENDINGS[1:])}) with NAME.txt "
            f"beside it, or a table such as {TABLES[0]}, or --transcripts FILE"
        )


def _from_table(folder: Path, table: Path, named: Mapping[str, str | None]) -> Iterator[tuple[Path, str, str | None]]:
    delimiter, header = _header(table)
    columns = {role: _column(table, header, role, name) for role, name in named.items()}
    audio, text, speaker = columns["audio"], columns["text"], columns["speaker"]
    assert audio and text
    for _, row in read_table(table, (audio, text), delimiter):
        name = Path(row[audio].strip())
        path = folder / name
        if not path.parent.is_dir() and (table.parent / name).parent.is_dir():
            path = table.parent / name
        yield path, row[text], (row[speaker].strip() or None) if speaker else None


def _header(table: Path) -> tuple[str, list[str]]:
    """The delimiter (tab, comma, semicolon or bar: whichever is most frequent there) and the header's columns."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline().rstrip("\r\n")
    except OSError as error:
        raise CorpusError(f"{table}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{table}: not UTF-8 text; save it as UTF-8") from None
    delimiter = max("\t,;|", key=line.count)
    header: list[str] = next(table_reader([line], delimiter), [])
    return delimiter, [name.strip() for name in header]


def _column(table: Path, header: Sequence[str], role: str, name: str | None) -> str | None:
    """The column that plays the role: the one named, else a guess. A table need not name speakers."""
    there = ", ".join(header) or "none"
    if name is not None:
        if name not in header:
            raise CorpusError(f"{table}: no column {name!r} (--{role}-column); its columns are: {there}")
        return name
    known = {column.lower(): column for column in reversed(header)}
    for guess in COLUMNS[role]:
        if guess in known:
            return known[guess]
    if role == "speaker":
        return None
    raise CorpusError(
        f"{table}: which column is the {role}? Its header line has: {there}. Name it with --{role}-column, or call it "
        f"{COLUMNS[role][0]!r}"
    )


def divide(utterances: Sequence[Utterance], fractions: Mapping[str, float]) -> tuple[dict[str, list[Utterance]], str]:
    """Divide by hours into splits of these fractions; also returns what was kept together, in words.

    A speaker's utterances stay together if every utterance has one and there are at least as many speakers as
    splits; else all readings of a sentence do. The same utterances divide the same way each time: groups are
    taken in the order of a hash of their name, each by the split that lacks most. Raises CorpusError: too few
    groups.
    """
    wanted = {split: fraction for split, fraction in fractions.items() if fraction > 0}
    speakers = {utterance.speaker for utterance in utterances}
    key: Callable[[Utterance], str]
    if None not in speakers and len(speakers) >= len(wanted):
        key, kind = (lambda utterance: str(utterance.speaker)), f"speaker ({len(speakers)} of them)"
    else:
        key, kind = (lambda utterance: utterance.text), "sentence (not by speaker: too few are known)"
    groups: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        groups[key(utterance)].append(utterance)
    if len(groups) < len(wanted):
        raise CorpusError(f"{len(groups)} different speakers or sentences cannot be divided into {', '.join(wanted)}")
    hours = dict.fromkeys(wanted, 0.0)
    total = sum(utterance.duration for utterance in utterances)
    home: dict[str, str] = {}
    for position, name in enumerate(sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())):
        empty = [split for split in wanted if split not in home.values()]
        # when only as many groups are left as splits are empty, those come first
        choice = empty if empty and len(groups) - position <= len(empty) else list(wanted)
        home[name] = max(choice, key=lambda split: wanted[split] - hours[split] / total)
        hours[home[name]] += sum(utterance.duration for utterance in groups[name])
    parts: dict[str, list[Utterance]] = {split: [] for split in wanted}
    for utterance in utterances:
        parts[home[key(utterance)]].append(utterance)
    return parts, kind
