"""The only place that decodes or resamples audio.

Any format, rate, bit depth and number of channels in; mono float32 in [-1, 1] at the wanted rate out. libsndfile reads
WAV, FLAC, OGG/Vorbis, Opus, MP3, AIFF, NIST SPHERE and more; m4a, mp4, webm and the like go through PyAV or, where that
is not installed, the ffmpeg program.
"""

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.errors import AudioError

LONGER_THAN_SAID = 1.0  # seconds; compressed formats round their length, so only more than this counts as truncated


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says."""

    sample_rate: int  # Hz
    num_samples: int  # of one channel
    num_channels: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_samples / self.sample_rate


def info(path: Path | str) -> AudioInfo:
    """Read a file's header without decoding the file. Raises AudioError where it is missing, empty or not audio."""
    path = _existing(path)
    try:
        header = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        waveform, rate = _decode_elsewhere(path, error)
        return AudioInfo(rate, *waveform.shape)
    if header.frames == 0:
        raise AudioError(f"{path}: the file holds no audio samples")
    return AudioInfo(header.samplerate, header.frames, header.channels)


def load(
    path: Path | str,
    sample_rate: int | None = None,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
) -> tuple[np.ndarray, int]:
    """Decode a file, or `duration` seconds of it from `offset` on: waveform (S,) float32, mono, and its rate in Hz.

    Channels are averaged unless one (0 is the first) is chosen. With `sample_rate` the waveform is resampled to it.
    Raises AudioError naming the file where it is missing, empty, truncated, damaged, not audio, or lacks the channel or
    the part asked for.
    """
    path = _existing(path)
    waveform, rate = _decode(path, offset, duration)
    if waveform.size == 0:
        raise AudioError(f"{path}: no audio samples from {offset:g} s on")
    if not np.isfinite(waveform).all():
        raise AudioError(f"{path}: holds samples that are NaN or infinite: the file is damaged")
    if channel is not None and not 0 <= channel < waveform.shape[1]:
        raise AudioError(f"{path}: has {waveform.shape[1]} channel(s), no channel {channel} (the first is 0)")
    mono = waveform.mean(axis=1) if channel is None else np.ascontiguousarray(waveform[:, channel])
    return (mono, rate) if sample_rate is None else (resample(mono, rate, sample_rate), sample_rate)


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Waveform (S,) at another rate, band-limited (soxr, high quality)."""
    if from_rate == to_rate:
        return waveform
    return soxr.resample(waveform, from_rate, to_rate, quality="HQ").astype(np.float32, copy=False)


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    return path


def _decode(path: Path, offset: float, duration: float | None) -> tuple[np.ndarray, int]:
    """(S, channels) float32 and the rate in Hz."""
    try:
        with soundfile.SoundFile(path) as file:
            return _read(path, file, offset, duration), file.samplerate
    except soundfile.LibsndfileError as error:
        waveform, rate = _decode_elsewhere(path, error)
    start = round(offset * rate)
    return waveform[start : None if duration is None else start + round(duration * rate)], rate


def _read(path: Path, file: soundfile.SoundFile, offset: float, duration: float | None) -> np.ndarray:
    rate = file.samplerate
    start = round(offset * rate)
    if start > file.frames:
        raise AudioError(f"{path}: lasts {file.frames / rate:.2f} s, so there is nothing at {offset:g} s")
    wanted = file.frames - start if duration is None else round(duration * rate)
    try:
        if start:
            file.seek(start)
        waveform = file.read(wanted, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: damaged audio: {error}") from error
    if wanted - len(waveform) > LONGER_THAN_SAID * rate or (duration is None and _cut_short(path, file)):
        said = f"{(start + wanted) / rate:.2f} s"
        raise AudioError(f"{path}: truncated: {said} were expected, {(start + len(waveform)) / rate:.2f} s are there")
    return waveform


def _cut_short(path: Path, file: soundfile.SoundFile) -> bool:
    """Whether a WAV file's header announces more bytes than the file has: libsndfile reads what is there, silently."""
    if file.format not in ("WAV", "WAVEX"):
        return False
    with path.open("rb") as raw:
        header = raw.read(4096)
    place = header.find(b"data")
    if place < 0 or place + 8 > len(header):
        return False
    said = int.from_bytes(header[place + 4 : place + 8], "little")
    # A program that wrote to a pipe could not know the size, and left the largest number or 0.
    return 0 < said < 0x7FFFFF00 and place + 8 + said > path.stat().st_size


def _decode_elsewhere(path: Path, error: Exception) -> tuple[np.ndarray, int]:
    """Decode what libsndfile cannot: (S, channels) float32 and the rate in Hz."""
    if importlib.util.find_spec("av"):
        return _decode_with_av(path)
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return _decode_with_ffmpeg(path)
    raise AudioError(
        f"{path}: not audio that libsndfile reads ({error}). For m4a, mp4, webm and the like install PyAV "
        "(pip install 'asr[av]') or the ffmpeg program"
    ) from error


def _decode_with_av(path: Path) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: has no audio track")
            resampler = av.AudioResampler(format="fltp")
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path}: not audio, or damaged: {error}") from error
    if not frames:
        raise AudioError(f"{path}: the file holds no audio samples")
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T, frames[0].sample_rate


def _decode_with_ffmpeg(path: Path) -> tuple[np.ndarray, int]:
    probe = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=sample_rate,channels"]
    found = subprocess.run([*probe, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=False)
    try:
        rate, channels = (int(number) for number in found.stdout.strip().split(",")[:2])
    except ValueError:
        raise AudioError(f"{path}: not audio, or damaged: {found.stderr.strip() or 'no audio track'}") from None
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "a:0", "-f", "f32le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=False)
    if decoded.returncode or not decoded.stdout:
        raise AudioError(f"{path}: damaged audio: {decoded.stderr.decode(errors='replace').strip()}")
    return np.frombuffer(decoded.stdout, dtype="<f4").reshape(-1, channels), rate
