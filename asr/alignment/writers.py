"""Alignments as TextGrid (Praat), CTM (NIST) and JSON."""

import json
from collections.abc import Callable, Sequence

from asr.alignment.forced import AlignedWord, Alignment
from asr.decoders import Word


def to_textgrid(name: str, alignment: Alignment) -> str:
    """Praat's TextGrid, long form: a tier `words` and a tier `tokens`, with empty intervals where nothing is said.

    https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
    """
    tiers = [_tier(1, "words", alignment.words, alignment), _tier(2, "tokens", alignment.tokens, alignment)]
    head = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_time(alignment.duration)}",
    ]
    return "\n".join([*head, "tiers? <exists>", "size = 2", "item []:", *tiers]) + "\n"


def _tier(number: int, name: str, marks: Sequence[AlignedWord | Word], alignment: Alignment) -> str:
    intervals: list[tuple[str, str, str]] = []
    done = _time(0)
    for text, start, end in [*((mark.text, mark.start, mark.end) for mark in marks), ("", alignment.duration, 0)]:
        if _time(start) != done:
            intervals.append((done, _time(start), ""))
        if text:
            intervals.append((_time(start), done := _time(end), text))
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f'        name = "{name}"',
        "        xmin = 0",
        f"        xmax = {_time(alignment.duration)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for i, (start_time, end_time, text) in enumerate(intervals, start=1):
        quoted = text.replace('"', '""')
        lines += [f"        intervals [{i}]:", f"            xmin = {start_time}", f"            xmax = {end_time}"]
        lines += [f'            text = "{quoted}"']
    return "\n".join(lines)


def _time(seconds: float) -> str:
    # Fine enough that no sample at any rate makes an empty interval, which Praat refuses.
    return f"{seconds:.6f}"


def to_ctm(name: str, alignment: Alignment) -> str:
    """NIST's CTM as sclite reads it: recording, channel, begin and duration in seconds, word, confidence."""
    recording = "_".join(name.split())
    return "".join(
        f"{recording} 1 {word.start:.3f} {word.end - word.start:.3f} {word.text} {word.confidence:.4f}\n"
        for word in alignment.words
    )


def to_json(name: str, alignment: Alignment) -> str:
    """One object: id, duration, score (log-probability), words with start, end, probability and their tokens."""
    words = [
        {**_values("word", word), "tokens": [_values("token", t) for t in word.tokens]} for word in alignment.words
    ]
    values = {"id": name, "duration": round(alignment.duration, 4), "score": round(alignment.score, 4), "words": words}
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def _values(kind: str, mark: AlignedWord | Word) -> dict[str, str | float]:
    probability = round(mark.confidence, 4)
    return {kind: mark.text, "start": round(mark.start, 4), "end": round(mark.end, 4), "probability": probability}


WRITERS: dict[str, tuple[str, Callable[[str, Alignment], str]]] = {
    "textgrid": (".TextGrid", to_textgrid),
    "ctm": (".ctm", to_ctm),
    "json": (".json", to_json),
}
"""Format -> suffix of its files, and what makes the text from a recording's name and its alignment."""
