"""Speech as it is spoken, from a microphone or a stream of raw samples: each utterance's text at the pause after it."""

import queue
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from asr.errors import AudioError
from asr.transcription.recogniser import Recogniser
from asr.transcription.transcript import Segment

CHUNK = 0.1  # seconds


def listen(recogniser: Recogniser, chunks: Iterable[np.ndarray]) -> Iterator[Segment]:
    """chunks (S,) float32 at the model's rate, in real time -> a segment whenever a pause has ended one.

    A bidirectional model needs the end of an utterance to recognise its beginning, so the utterance is the unit: its
    text comes when the pause after it has lasted long enough to be one (`asr.transcription.segmentation.LIVE_PAUSE`).
    """
    number = 0
    for piece in recogniser.segmenter(live=True).pieces(chunks):
        words = recogniser.recognise([piece.waveform])[0].words
        if words:
            yield Segment.of_words(number, words, piece.start)
            number += 1


def raw_samples(file: BinaryIO, sample_rate: int) -> Iterator[np.ndarray]:
    """Signed 16-bit little-endian mono samples of a stream, as they come: (S,) float32."""
    while data := file.read(2 * round(CHUNK * sample_rate)):
        yield np.frombuffer(data, dtype="<i2", count=len(data) // 2).astype(np.float32) / 32768


def microphone(sample_rate: int) -> Iterator[np.ndarray]:
    """The default microphone, without end: (S,) float32. Raises AudioError where there is none."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the PortAudio library is missing
        raise AudioError(
            f"the microphone cannot be opened: {error}. Install sounddevice (pip install 'asr[mic]'; on Linux also the "
            "package libportaudio2), or pipe raw samples: arecord -f S16_LE -r 16000 | asr transcribe --stream"
        ) from error
    chunks: queue.Queue[np.ndarray] = queue.Queue()
    options = {"channels": 1, "dtype": "float32", "blocksize": round(CHUNK * sample_rate)}
    try:
        with sounddevice.InputStream(sample_rate, callback=lambda data, *_: chunks.put(data[:, 0].copy()), **options):
            while True:
                yield chunks.get()
    except sounddevice.PortAudioError as error:
        raise AudioError(f"the microphone cannot be opened: {error}") from error
