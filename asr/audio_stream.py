"""Sound files block by block, for recordings that are too long to hold: what `asr.audio.load` gives, in pieces."""

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr import audio
from asr.errors import AudioError

BLOCK = 1 << 17  # samples of all channels together in a block
RATES = (1_000, 1_000_000)  # Hz; others are damaged headers, and would be resampled to hours


def stream(path: Path | str, sample_rate: int, channel: int | None = None) -> Iterator[np.ndarray]:
    """Blocks (S,) float32, mono, at `sample_rate`, of the whole file; memory does not grow with its length.

    Channels are averaged unless one (0 is the first) is chosen. Raises AudioError as `asr.audio.load` does; where a
    file is damaged in the middle, after the blocks before that.
    """
    path = audio._existing(path)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(audio._open(path))
            rate, channels = file.samplerate, file.channels
            blocks = _blocks(path, file)
        except soundfile.LibsndfileError as error:
            rate, channels, seconds = (audio._probe_with_av if audio._has_av() else audio._probe_with_ffmpeg)(
                path, error
            )
            decode = _blocks_with_av(path) if audio._has_av() else _blocks_with_ffmpeg(path, channels)
            blocks = _checked(path, decode, rate, seconds)
        if channel is not None and not 0 <= channel < channels:
            raise AudioError(f"{path}: has {channels} channel(s), no channel {channel} (the first is 0)")
        if not RATES[0] <= rate <= RATES[1]:
            raise AudioError(f"{path}: the header says {rate} Hz, wanted {RATES[0]} to {RATES[1]}: it is damaged")
        yield from resampled((_mono(path, block, channel) for block in blocks), rate, sample_rate, str(path))


def resampled(blocks: Iterable[np.ndarray], from_rate: int, to_rate: int, name: str) -> Iterator[np.ndarray]:
    """Mono blocks at another rate, as if they were resampled in one. Raises AudioError where nothing comes out."""
    resampler = soxr.ResampleStream(from_rate, to_rate, 1, quality="HQ") if from_rate != to_rate else None
    samples_in = samples_out = 0
    for block in blocks:
        samples_in += len(block)
        if resampler:
            block = resampler.resample_chunk(block)
        samples_out += len(block)
        if len(block):
            yield block
    if resampler:
        block = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        samples_out += len(block)
        if len(block):
            yield block
    if not samples_in:
        raise AudioError(f"{name}: the file holds no audio samples")
    if not samples_out:
        raise AudioError(f"{name}: {samples_in} samples at {from_rate} Hz are too few to resample to {to_rate} Hz")


def _mono(path: Path, block: np.ndarray, channel: int | None) -> np.ndarray:
    """(S, channels) -> (S,). Raises AudioError for samples that are no numbers."""
    if not np.isfinite(block).all():
        raise AudioError(f"{path}: holds samples that are NaN or infinite: the file is damaged")
    if channel is None and block.shape[1] > 1:
        return block.mean(axis=1)
    return np.ascontiguousarray(block[:, channel or 0])


def _blocks(path: Path, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """What libsndfile decodes: (S, channels) float32."""
    frames = max(1, BLOCK // file.channels)
    read = 0
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{path}: damaged audio: {error}") from error
        if not len(block):
            break
        read += len(block)
        yield block
    audio._check_length(path, file.frames / file.samplerate, read / file.samplerate)


def _checked(path: Path, blocks: Iterable[np.ndarray], rate: int, seconds: float | None) -> Iterator[np.ndarray]:
    """The blocks; raises AudioError if they last less than the `seconds` that the header tells."""
    read = 0
    for block in blocks:
        read += len(block)
        yield block
    if seconds is not None:
        audio._check_length(path, seconds, read / rate)


def _blocks_with_av(path: Path) -> Iterator[np.ndarray]:
    """(S, channels) float32."""
    import av

    try:
        with av.open(str(path.absolute())) as container:
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    yield part.to_ndarray().T
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path}: damaged audio: {error}") from error


def _blocks_with_ffmpeg(path: Path, channels: int) -> Iterator[np.ndarray]:
    """(S, channels) float32."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", str(path.absolute()), "-map", "a:0"]
    # Messages go to a file: a pipe that nobody reads would fill and stop ffmpeg.
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen([*command, "-f", "f32le", "-"], stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        assert process.stdout
        try:
            while data := process.stdout.read(max(1, BLOCK // channels) * channels * 4):
                yield np.frombuffer(data, dtype="<f4").reshape(-1, channels)
        except GeneratorExit:  # nobody wants the rest
            process.kill()
            raise
        if process.wait():
            messages.seek(0)
            raise AudioError(f"{path}: damaged audio: {audio._last_line(messages.read().decode(errors='replace'))}")
