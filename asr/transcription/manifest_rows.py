"""A transcript as rows of a manifest, which training takes: NeMo's `pred_text`, and how sure the search was of it."""

import os
from collections.abc import Sequence

from asr.data import manifest
from asr.data.manifest import Utterance
from asr.transcription.inputs import Recording
from asr.transcription.segmentation import MAX_SECONDS
from asr.transcription.transcript import Segment, Transcript
from asr.transcription.writers import WRITERS

MANIFEST = "jsonl"  # the format's name, and its files' ending
MARGIN = 0.3  # seconds around a segment: its first and last word's tokens lie within their sounds


def render(name: str, transcript: Transcript, recording: Recording) -> str:
    """The text of the output in a format: one of WRITERS, or MANIFEST."""
    return manifest_rows(transcript, recording) if name == MANIFEST else WRITERS[name](transcript, recording.title)


def manifest_rows(transcript: Transcript, recording: Recording) -> str:
    """JSON lines: id, audio_filepath, offset, duration, pred_text, confidence; and speaker, where one is known.

    A recording that was not cut is one row, whatever was found in it; a longer one has a row for each segment. A row's
    confidence is the mean of its words'; 0 where there are none.
    """
    if transcript.duration <= MAX_SECONDS:
        return _line(recording, "", 0.0, transcript.duration, transcript.segments)
    lines, before = [], 0.0
    for segment, following in zip(transcript.segments, [*transcript.segments[1:], None], strict=True):
        after = following.start if following else transcript.duration
        start = max(before, segment.start - MARGIN)
        end = min(segment.end + MARGIN, (segment.end + after) / 2 if following else after)
        lines.append(_line(recording, f"-{segment.id:04d}", start, end, [segment]))
        before = (segment.end + after) / 2
    return "".join(lines)


def _line(recording: Recording, number: str, start: float, end: float, segments: Sequence[Segment]) -> str:
    words = [word for segment in segments for word in segment.words]
    row = Utterance(
        manifest.as_name(recording.id, number),
        os.path.abspath(recording.path),
        round(end - start, 3),
        offset=round(recording.offset + start, 3),
        speaker=recording.speaker,
        pred_text=" ".join(word.text for word in words),
        confidence=round(sum(word.confidence for word in words) / len(words), 4) if words else 0.0,
    )
    return manifest.to_line(row)
