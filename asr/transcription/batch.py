"""Many recordings at once: reading in the background, batches across files, and no file that stops the others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from asr.audio.read_ahead import read_ahead
from asr.audio.reader import Notice, Report, summary
from asr.audio.stream import stream
from asr.decoders import Hypothesis
from asr.errors import AudioError, UserError
from asr.transcription.inputs import Recording
from asr.transcription.recogniser import Recogniser
from asr.transcription.segmentation import Piece
from asr.transcription.sound import Sound, header_seconds
from asr.transcription.transcript import Segment, Transcript

NO_SOUND = Piece(0.0, np.zeros(0, np.float32))

Progress = Callable[[float, float], object]
"""Is called with how much of a recording (0 to 1) and how many seconds of audio are newly done."""


def no_progress(fraction: float, seconds: float) -> None:
    """Tell nobody."""


@dataclass
class Recognised:
    """What was found in a recording."""

    sound: Sound
    sentences: list[tuple[float, list[Hypothesis]]] = field(default_factory=list)
    """Those with words: where the hypotheses' times count from, in seconds, and the hypotheses, best first."""
    seconds: float = 0.0  # of the whole recording
    problem: UserError | None = None  # why it could not be read
    warnings: tuple[str, ...] = ()

    def transcript(self) -> Transcript:
        """What the best hypotheses say."""
        segments = (
            Segment.of_words(number, listed[0].words, start) for number, (start, listed) in enumerate(self.sentences)
        )
        return Transcript(tuple(segments), self.seconds, self.sound.channel, self.warnings)


@dataclass(frozen=True)
class _Event:
    """A piece of a recording was read, or all of it."""

    sound: Sound
    start: float = 0.0  # of the piece, in seconds
    fraction: float = 0.0  # of the recording that the piece is; 0 where its length is not known
    seconds: float = 0.0  # of the piece; of the whole recording when it has ended
    ended: bool = False
    problem: UserError | None = None
    warnings: tuple[str, ...] = ()


def recognise_all(
    recogniser: Recogniser, sounds: Iterable[Sound], progress: Progress = no_progress, n_best: int = 1, workers: int = 2
) -> Iterator[Recognised]:
    """What is found in each recording, in the order given; n_best: hypotheses kept, of as many as the decoder lists.

    workers: threads that read files. Memory does not grow with the recordings' number or length.
    """
    events = read_ahead((_read(recogniser, sound) for sound in sounds), workers)
    sentences: list[tuple[float, list[Hypothesis]]] = []
    done = 0.0
    for event, listed in recogniser.n_best(events):
        if listed[0].words:
            sentences.append((event.start, listed[:n_best]))
        if not event.ended:
            done += event.fraction
            progress(event.fraction, event.seconds)
            continue
        progress(1 - done, 0.0)
        yield Recognised(event.sound, sentences, event.seconds, event.problem, event.warnings)
        sentences, done = [], 0.0


def transcribe_all(
    recogniser: Recogniser, recordings: Sequence[Recording], progress: Progress = no_progress, strict: bool = False
) -> Iterator[tuple[Recording, Transcript | str]]:
    """Each recording with its transcript, or with a message that says why there is none; in the order given.

    strict: damage is such a message, and not a warning in the transcript.
    """
    sounds = [_sound(recording, recogniser.model.sample_rate, strict) for recording in recordings]
    for recording, found in zip(recordings, recognise_all(recogniser, sounds, progress), strict=True):
        yield recording, recording.describe(str(found.problem)) if found.problem else found.transcript()


def _sound(recording: Recording, rate: int, strict: bool) -> Sound:
    path, channel, duration = recording.path, recording.channel, recording.duration

    def blocks(report: Report) -> Iterator[np.ndarray]:
        part = {"offset": recording.offset, "duration": duration, "track": recording.track}
        return stream(path, rate, channel, **part, report=None if strict else report)  # type: ignore[arg-type]

    return Sound(str(path), blocks, partial(header_seconds, path) if duration is None else lambda: duration, channel)


def _read(recogniser: Recogniser, sound: Sound) -> Iterator[tuple[_Event, Piece]]:
    """The recording's pieces and its end; never raises."""
    segmenter = recogniser.segmenter()
    notices: list[Notice] = []
    try:
        total = sound.seconds()
        for piece in segmenter.pieces(sound.blocks(notices.append)):
            seconds = len(piece.waveform) / recogniser.model.sample_rate
            yield _Event(sound, piece.start, seconds / total if total else 0.0, seconds), piece
        warnings = tuple(summary(notices))
        yield _Event(sound, seconds=segmenter.seconds, ended=True, warnings=warnings), NO_SOUND
    except UserError as error:
        yield _Event(sound, ended=True, problem=error), NO_SOUND
    except Exception as error:  # decoders meet all kinds of damage, and raise all kinds of errors
        problem = AudioError(f"{sound.name}: {error!r}")
        problem.__cause__ = error
        yield _Event(sound, ended=True, problem=problem), NO_SOUND
