"""What transcription gives: a Transcript of Segments of words, under the names that whisper's users know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from asr.decoders import Word


@dataclass(frozen=True)
class Segment:
    """A stretch between two pauses in which something was said. Times are seconds from the recording's beginning."""

    id: int  # 0 is the recording's first
    start: float
    end: float
    text: str
    words: tuple[Word, ...]

    @classmethod
    def of_words(cls, id: int, words: Sequence[Word], offset: float = 0.0) -> "Segment":
        """Words of a hypothesis, at least one, whose times start `offset` seconds into the recording."""
        moved = tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in words)
        return cls(id, moved[0].start, moved[-1].end, " ".join(word.text for word in moved), moved)

    def to_dict(self) -> dict[str, Any]:
        """whisper's keys; times to the millisecond."""
        return {
            "id": self.id,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "text": self.text,
            "words": [
                {
                    "word": word.text,
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                    "probability": round(word.confidence, 4),
                }
                for word in self.words
            ],
        }


@dataclass(frozen=True)
class Transcript:
    """All that was said in a recording, or in one of its channels."""

    segments: tuple[Segment, ...]  # in order of time, none of them empty
    duration: float  # seconds of audio
    channel: int | None = None  # the channel that was transcribed, from 0 on; None: the mean of all
    warnings: tuple[str, ...] = ()  # what of the recording could not be read, and other doubts

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for segment in self.segments for word in segment.words)

    def to_dict(self) -> dict[str, Any]:
        """What the JSON file holds."""
        channel = {} if self.channel is None else {"channel": self.channel}
        warnings = {"warnings": list(self.warnings)} if self.warnings else {}
        return {
            "text": self.text,
            "duration": round(self.duration, 3),
            **channel,
            **warnings,
            "segments": [segment.to_dict() for segment in self.segments],
        }
