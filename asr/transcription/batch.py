"""Many recordings at once: reading in the background, batches across files, and no file that stops the others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from asr.audio.read_ahead import read_ahead
from asr.audio.reader import Notice, Report, summary
from asr.audio.stream import stream
from asr.decoders import Hypothesis
from asr.errors import AudioError, UserError
from asr.transcription.inputs import Recording
from asr.transcription.passages import in_passages
from asr.transcription.recogniser import Recogniser
from asr.transcription.segmentation import Piece
from asr.transcription.sound import Sound, header_seconds
from asr.transcription.transcript import Segment, Transcript

NO_SOUND = Piece(0.0, np.zeros(0, np.float32))

Progress = Callable[[float, float], object]
"""Is called with how much of a recording (0 to 1) and how many seconds of audio are newly done."""


def no_progress(fraction: float, seconds: float) -> None:
    """Tell nobody."""


Sentence = tuple[float, list[Hypothesis]]
"""One with words: where the hypotheses' times count from, in seconds, and the hypotheses, best first."""


@dataclass
class Recognised:
    """What was found in a recording, or in its first passages."""

    sound: Sound
    sentences: list[Sentence] = field(default_factory=list)
    pieces: int = 0  # of the recording that have been recognised
    seconds: float = 0.0  # of the whole recording
    problem: UserError | None = None  # why it could not be read
    warnings: tuple[str, ...] = ()
    ended: bool = False  # or more passages follow

    def transcript(self) -> Transcript:
        """What the best hypotheses say."""
        segments = (
            Segment.of_words(number, listed[0].words, start) for number, (start, listed) in enumerate(self.sentences)
        )
        return Transcript(tuple(segments), self.seconds, self.sound.channel, self.warnings)


@dataclass(frozen=True)
class _Event:
    """A piece of a recording was read, or all of it."""

    recording: Recognised
    start: float = 0.0  # of the piece, in seconds
    fraction: float = 0.0  # of the recording that the piece is; 0 where its length is not known
    seconds: float = 0.0  # of the piece; of the whole recording when it has ended
    passage_ended: bool = False  # and another follows
    ended: bool = False
    problem: UserError | None = None
    warnings: tuple[str, ...] = ()


def recognise_all(
    recogniser: Recogniser, sounds: Iterable[Sound], progress: Progress = no_progress, n_best: int = 1, workers: int = 2
) -> Iterator[Recognised]:
    """What is found in each recording, in the order given; n_best: hypotheses kept, of as many as the decoder lists.

    workers: threads that read files. Memory does not grow with the recordings' number or length.
    """
    parts = recognise_parts(recogniser, ((sound, None) for sound in sounds), progress, n_best, workers)
    return (found for found in parts if found.ended)


def recognise_parts(
    recogniser: Recogniser,
    sounds: Iterable[tuple[Sound, Recognised | None]],
    progress: Progress = no_progress,
    n_best: int = 1,
    workers: int = 2,
) -> Iterator[Recognised]:
    """The same after each passage of a recording too: the one object of each, with what has been added to it.

    sounds: with each what was found in its first passages before, from where to go on; it is added to.
    """
    begun = (_read(recogniser, before or Recognised(sound)) for sound, before in sounds)
    done = 0.0
    for event, listed in recogniser.n_best(read_ahead(begun, workers)):
        found = event.recording
        if listed[0].words:
            found.sentences.append((event.start, listed[:n_best]))
        if not event.ended:
            found.pieces += 1
            done += event.fraction
            progress(event.fraction, event.seconds)
            if event.passage_ended:
                yield found
            continue
        progress(1 - done, 0.0)
        found.seconds, found.problem, found.warnings = event.seconds, event.problem, event.warnings
        found.ended = True
        yield found
        done = 0.0


def sound_of(recording: Recording, rate: int, strict: bool = False) -> Sound:
    """What is read of the recording, at `rate` Hz. strict: damage is an error, and not a warning."""
    path, channel, duration = recording.path, recording.channel, recording.duration

    def blocks(report: Report) -> Iterator[np.ndarray]:
        part = {"offset": recording.offset, "duration": duration, "track": recording.track}
        return stream(path, rate, channel, **part, report=None if strict else report)  # type: ignore[arg-type]

    return Sound(str(path), blocks, partial(header_seconds, path) if duration is None else lambda: duration, channel)


def _read(recogniser: Recogniser, found: Recognised) -> Iterator[tuple[_Event, Piece]]:
    """The pieces of the recording that have not been recognised yet, and its end; never raises."""
    sound, known = found.sound, found.pieces
    segmenter = recogniser.segmenter()
    rate = recogniser.model.sample_rate
    notices: list[Notice] = []
    skipped = 0.0  # seconds
    try:
        total = sound.seconds()
        pieces = in_passages(segmenter.pieces(sound.blocks(notices.append)), rate)
        for number, (piece, passage_ended) in enumerate(pieces):
            seconds = len(piece.waveform) / rate
            if number < known:
                skipped += seconds
                continue
            fraction = (seconds + skipped) / total if total else 0.0
            skipped = 0.0
            yield _Event(found, piece.start, fraction, seconds, passage_ended), piece
        warnings = tuple(summary(notices))
        yield _Event(found, seconds=segmenter.seconds, ended=True, warnings=warnings), NO_SOUND
    except UserError as error:
        yield _Event(found, ended=True, problem=error), NO_SOUND
    except Exception as error:  # decoders meet all kinds of damage, and raise all kinds of errors
        problem = AudioError(f"{sound.name}: {error!r}")
        problem.__cause__ = error
        yield _Event(found, ended=True, problem=problem), NO_SOUND
