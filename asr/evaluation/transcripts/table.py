"""Tables with a header line: CSV, or TSV with tabs."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import DataError
from asr.evaluation.transcripts.rows import Row, read_text

IDS = ("id", "utt_id", "utt", "utterance", "utterance_id", "segment_id", "audio_filepath", "path", "file", "filename",
       "file_name", "audio", "name")  # fmt: skip
REFERENCES = ("text", "reference", "ref", "transcript", "transcription", "sentence", "target")
HYPOTHESES = ("pred_text", "hypothesis", "hyp", "prediction", "predicted", "pred", "recognised", "recognized", "output")


def read_table(path: Path, hypotheses: bool) -> Iterator[Row]:
    """By the columns' names; without a column of ids, rows are numbered from 1. Raises DataError."""
    rows = [row for row in _rows(path) if row]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    wanted = (*HYPOTHESES, *REFERENCES) if hypotheses else REFERENCES
    column = next((name for name in wanted if name in header), None)
    if column is None:
        raise DataError(
            f"{path}:1: no column of {'hypotheses' if hypotheses else 'references'}: found {', '.join(header)}, wanted "
            f"one of {', '.join(HYPOTHESES if hypotheses else REFERENCES)}"
        )
    text = header.index(column)
    name = next((header.index(name) for name in IDS if name in header), None)
    whole = name is None and {"start", "end"} <= {*header}  # the segments of one recording, as whisper writes them
    said = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(
                f"{path}: row {number}: found {len(row)} fields, wanted {len(header)}, as the header has: "
                f"{', '.join(row)[:100]}"
            )
        said.append(row[text].strip())
        if not whole:
            yield Row(number, str(number - 1) if name is None else row[name].strip(), said[-1])
    if whole:
        yield Row(1, path.stem, " ".join(said))


def is_table(first_line: str) -> bool:
    """Whether a line names columns of transcripts."""
    for separator in (",", "\t", ";"):
        names = {field.strip().strip('"').lower() for field in first_line.split(separator)}
        known = names & {*IDS, *REFERENCES, *HYPOTHESES, "start", "end"}
        if len(known) > 1 and names & {*REFERENCES, *HYPOTHESES}:
            return True
    return False


def _rows(path: Path) -> Sequence[list[str]]:
    text = read_text(path)
    first = text.split("\n", 1)[0]
    separator = max(",\t;", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=separator != "\t"))
    except csv.Error as error:
        raise DataError(f"{path}: not a table that can be read: {error}") from error
