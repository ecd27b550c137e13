"""Many recordings at once: reading in the background, batches across files, and no file that stops the others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from asr.audio.read_ahead import read_ahead
from asr.audio.reader import Notice, Report, summary
from asr.audio.stream import stream
from asr.errors import AudioError, UserError
from asr.transcription.inputs import Recording
from asr.transcription.passages import Passage, in_passages
from asr.transcription.recogniser import Recogniser, Sentence
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
    """What was found in a recording, or in its first passages."""

    sound: Sound
    sentences: list[Sentence] = field(default_factory=list)
    passages: int = 0  # of the recording that have been recognised
    reached: float = 0.0  # seconds of the recording at which the last of them ends
    seconds: float = 0.0  # of the whole recording, once it has ended
    problem: UserError | None = None  # why it could not be read
    warnings: tuple[str, ...] = ()
    ended: bool = False  # or more passages follow
    begun_anew: bool = False  # its passages are not what was found of it before: that was dropped

    def transcript(self) -> Transcript:
        """What the best hypotheses say."""
        return Transcript(tuple(self.segments()), self.seconds, self.sound.channel, self.warnings)

    def segments(self, first: int = 0) -> list[Segment]:
        """The sentences from that one on, as a transcript has them."""
        numbered = list(enumerate(self.sentences))[first:]
        return [Segment.of_words(number, listed[0].words, start) for number, (start, listed) in numbered]


@dataclass(frozen=True)
class _Event:
    """A passage of a recording was read, or it turned out that the recording cannot be."""

    recording: Recognised
    reached: float = 0.0  # seconds of the recording at which the passage ends
    fraction: float = 0.0  # of the recording that it is; 0 where the length is not known
    seconds: float = 0.0  # that it is
    ended: bool = True  # or more passages follow
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

    sounds: with each what was found in its first passages before, from where to go on; it is added to. What does not
    fit the recording as it is read now is dropped (`Recognised.begun_anew`).
    """
    begun = (_read(recogniser, before or Recognised(sound)) for sound, before in sounds)
    done = 0.0
    for event, sentences in recogniser.of_passages(read_ahead(begun, workers, depth=1)):
        found = event.recording
        found.sentences += [(start, listed[:n_best]) for start, listed in sentences]
        found.passages += 1
        found.reached = event.reached
        done += event.fraction
        progress(1 - done + event.fraction if event.ended else event.fraction, event.seconds)
        if event.ended:
            found.seconds, found.problem, found.warnings = event.reached, event.problem, event.warnings
            found.ended, done = True, 0.0
        yield found


def sound_of(recording: Recording, rate: int, strict: bool = False) -> Sound:
    """What is read of the recording, at `rate` Hz. strict: damage is an error, and not a warning."""
    path, channel, duration = recording.path, recording.channel, recording.duration

    def blocks(report: Report) -> Iterator[np.ndarray]:
        part = {"offset": recording.offset, "duration": duration, "track": recording.track}
        return stream(path, rate, channel, **part, report=None if strict else report)  # type: ignore[arg-type]

    return Sound(str(path), blocks, partial(header_seconds, path) if duration is None else lambda: duration, channel)


def _read(recogniser: Recogniser, found: Recognised) -> Iterator[tuple[_Event, Passage]]:
    """The passages of the recording that have not been recognised yet; never raises."""
    sound, known, known_seconds = found.sound, found.passages, found.reached
    notices: list[Notice] = []
    try:
        total = sound.seconds()
        rate = recogniser.model.sample_rate
        segmenter = recogniser.segmenter()
        before = 0.0  # seconds that were told as done
        for passage in in_passages(segmenter.pieces(sound.blocks(notices.append)), rate):
            last = passage.pieces[-1] if passage.pieces else NO_SOUND
            reached = segmenter.seconds if passage.last else last.start + len(last.waveform) / rate
            if passage.number < known:
                if passage.last or (passage.number == known - 1 and reached != known_seconds):
                    # Another version of asr, or of what reads sound files, cuts it in other places.
                    yield from _read(recogniser, _anew(found))
                    return
                continue
            seconds = reached - (before or known_seconds)
            fraction = (reached - before) / total if total else 0.0
            warnings = tuple(summary(notices)) if passage.last else ()
            yield _Event(found, reached, fraction, seconds, passage.last, warnings=warnings), passage
            before = reached
    except UserError as error:
        yield _Event(found, problem=error), Passage(())
    except Exception as error:  # decoders meet all kinds of damage, and raise all kinds of errors
        problem = AudioError(f"{sound.name}: {error!r}")
        problem.__cause__ = error
        yield _Event(found, problem=problem), Passage(())


def _anew(found: Recognised) -> Recognised:
    """The same, as long as nobody else has seen it, with nothing found."""
    found.sentences, found.passages, found.reached, found.begun_anew = [], 0, 0.0, True
    return found
