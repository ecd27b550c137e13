"""Many recordings at once: reading in the background, batches across files, and no file that stops the others."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

from asr.audio.load import load_audio
from asr.audio.read_ahead import read_ahead
from asr.audio.stream import stream
from asr.errors import UserError
from asr.transcription.inputs import Recording
from asr.transcription.segmentation import Piece
from asr.transcription.transcriber import Transcriber
from asr.transcription.transcript import Segment, Transcript

NO_SOUND = Piece(0.0, np.zeros(0, np.float32))


@dataclass(frozen=True)
class _Event:
    """A piece of a recording was read, or all of it."""

    recording: Recording
    start: float = 0.0  # of the piece, in seconds
    fraction: float = 0.0  # of the recording that the piece is; 0 where the header does not tell the length
    seconds: float = 0.0  # of the piece; of the whole recording when it has ended
    ended: bool = False
    problem: str = ""


def transcribe_all(
    transcriber: Transcriber,
    recordings: Sequence[Recording],
    progress: Callable[[float, float], object] = lambda recordings, seconds: None,
    workers: int = 2,
) -> Iterator[tuple[Recording, Transcript | str]]:
    """Each recording with its transcript, or with a message that says why there is none; in the order given.

    progress: called with how much of a recording (0 to 1) and how many seconds of audio are newly done. workers:
    threads that read files. Memory does not grow with the recordings' number or length.
    """
    events = read_ahead((_read(transcriber, recording) for recording in recordings), workers)
    segments: list[Segment] = []
    done = 0.0
    for event, hypothesis in transcriber.hypotheses(events):
        if hypothesis.words:
            segments.append(Segment.of_words(len(segments), hypothesis.words, event.start))
        if not event.ended:
            done += event.fraction
            progress(event.fraction, event.seconds)
            continue
        progress(1 - done, 0.0)
        transcript = Transcript(tuple(segments), event.seconds, event.recording.channel)
        yield event.recording, event.problem or transcript
        segments, done = [], 0.0


def _read(transcriber: Transcriber, recording: Recording) -> Iterator[tuple[_Event, Piece]]:
    """The recording's pieces and its end; never raises."""
    rate = transcriber.model.sample_rate
    segmenter = transcriber.segmenter()
    try:
        if recording.duration is None:
            total = _length(recording)
            blocks = stream(recording.path, rate, recording.channel)
        else:
            total = recording.duration
            part = {"offset": recording.offset, "duration": recording.duration, "channel": recording.channel}
            blocks = iter([load_audio(recording.path, rate, **part)[0]])  # type: ignore[arg-type]
        for piece in segmenter.pieces(blocks):
            seconds = len(piece.waveform) / rate
            yield _Event(recording, piece.start, seconds / total if total else 0.0, seconds), piece
        yield _Event(recording, seconds=segmenter.seconds, ended=True), NO_SOUND
    except Exception as error:  # decoders meet all kinds of damage, and raise all kinds of errors
        message = str(error) if isinstance(error, UserError) else f"{recording.path}: {error!r}"
        yield _Event(recording, ended=True, problem=recording.describe(message)), NO_SOUND


def _length(recording: Recording) -> float | None:
    """Seconds, as far as the header tells, for the progress bar."""
    try:
        return soundfile.info(str(recording.path)).duration
    except (soundfile.LibsndfileError, TypeError):
        return None
