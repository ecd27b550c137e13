"""The only place that decodes or resamples audio.

Any format, rate, bit depth and number of channels in; mono float32 at the wanted rate out, where full scale is 1.
libsndfile reads WAV, FLAC, OGG/Vorbis, Opus, MP3, AIFF, NIST SPHERE and more; m4a, mp4, webm and the like go through
PyAV or, where that is not installed, the ffmpeg program.

A file that holds less than its header says was cut, in a download for example: it gives an error, not a shorter
waveform. Formats that say nothing of their length (raw AAC, IRCAM, an MP3 without its first tag) cannot be checked.
"""

import importlib.util
import json
import math
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.errors import AudioError

ROUNDING = 0.25  # seconds by which compressed formats and other people's tools may misjudge a length
MP3_LEAD = 1.0  # seconds of MP3 to decode before a part: libmpg123's first frames after seeking are silent
NO_SEEK = 60.0  # seconds of MP3 that are decoded rather than skipped: seeking is noisy, on the terminal, and inexact
PAGE = 1 << 16  # bytes: no Ogg page is longer

# libsndfile's log of a header whose chunk of samples is larger than the file.
TOO_SHORT = re.compile(r"^ *(?:data|SSND|BODY|riff|Riff size|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
HEADER_SIZE = 64  # bytes; some recorders count the header too
UNKNOWN_SIZE = 0x7FFF0000  # bytes or more are said by programs that wrote to a pipe and could not know
SPHERE_LENGTH = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
SAY_THEIR_LENGTH = {"mov", "matroska", "asf"}  # ffmpeg's names; of other formats it guesses the length from the size


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
    """Read a file's header; it is decoded only where that does not tell the length (raw AAC, MP3 without its tag).

    Raises AudioError where the file is missing, empty, shorter than its header says, or not audio.
    """
    path = _existing(path)
    try:
        with _open(path) as file:
            found = AudioInfo(file.samplerate, file.frames, file.channels)
    except soundfile.LibsndfileError as error:
        found = _info_elsewhere(path, error)
    if found.num_samples == 0:
        raise AudioError(f"{path}: the file holds no audio samples")
    return found


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
    if not (math.isfinite(offset) and offset >= 0 and (duration is None or duration > 0)):
        raise AudioError(f"{path}: asked for {duration} s from {offset} s on; wanted more than 0 s, from 0 s or later")
    try:
        with _open(path) as file:
            waveform, rate = _read(path, file, offset, duration), file.samplerate
    except soundfile.LibsndfileError as error:
        waveform, rate = _decode_elsewhere(path, error, offset, duration)
    if waveform.size == 0:
        raise AudioError(f"{path}: no audio samples from {offset:g} s on")
    if not np.isfinite(waveform).all():
        raise AudioError(f"{path}: holds samples that are NaN or infinite: the file is damaged")
    channels = waveform.shape[1]
    if channel is not None and not 0 <= channel < channels:
        raise AudioError(f"{path}: has {channels} channel(s), no channel {channel} (the first is 0)")
    if channel is None and channels > 1:
        mono = waveform.mean(axis=1)
    else:
        mono = np.ascontiguousarray(waveform[:, channel or 0])
    if sample_rate is None or sample_rate == rate:
        return mono, rate
    mono = resample(mono, rate, sample_rate)
    if not len(mono):
        raise AudioError(f"{path}: {len(waveform)} samples at {rate} Hz are too few to resample to {sample_rate} Hz")
    return mono, sample_rate


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


# ------------------------------------------------------------------------------------------------------- libsndfile


def _open(path: Path) -> soundfile.SoundFile:
    """Open a file with libsndfile, whose LibsndfileError is raised where it cannot be; AudioError where it was cut."""
    try:
        file = soundfile.SoundFile(path)
    except TypeError:  # soundfile wants to be told the rate of a .raw file
        file = None
    # libsndfile takes any bytes for samples if the file's name ends in .au, .gsm or .vox.
    if file is None or file.format == "RAW":
        raise AudioError(
            f"{path}: no header says at which rate and in which coding the samples are. If it is audio, give it one: "
            "sox -t raw -r RATE -e signed -b 16 -c 1 IN out.wav"
        )
    problem = _cut_short(path, file)
    if problem:
        file.close()
        raise AudioError(f"{path}: truncated: {problem}. Copy or download the file again")
    if file.format == "MP3" and _can_decode_elsewhere() and not _says_length(path):
        file.close()
        raise soundfile.LibsndfileError(0, "its length can only be guessed: ")
    return file


def _read(path: Path, file: soundfile.SoundFile, offset: float, duration: float | None) -> np.ndarray:
    """(S, channels) float32."""
    rate = file.samplerate
    start = round(offset * rate)
    if start >= file.frames > 0:
        raise AudioError(f"{path}: lasts {file.frames / rate:.2f} s, so there is nothing at {offset:g} s")
    wanted = file.frames - start if duration is None else max(1, round(duration * rate))
    if not file.seekable() or (file.format == "MP3" and offset < NO_SEEK):
        lead = start
    else:
        lead = round(MP3_LEAD * rate) if file.format == "MP3" else 0
    try:
        if start > lead:
            file.seek(start - lead)
        waveform = file.read(lead + wanted, dtype="float32", always_2d=True)[lead:]
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: damaged audio: {error}") from error
    _check_length(path, (start + wanted) / rate, (start + len(waveform)) / rate)
    return waveform


def _check_length(path: Path, wanted: float, there: float) -> None:
    """Seconds. Raises AudioError."""
    if wanted - there > ROUNDING:
        raise AudioError(f"{path}: truncated: {wanted:.2f} s were expected, {there:.2f} s are there")


def _cut_short(path: Path, file: soundfile.SoundFile) -> str:
    """Says so if the header announces more than the file holds: libsndfile would read what is there, silently."""
    if file.format == "OGG":
        with path.open("rb") as raw:
            raw.seek(max(0, path.stat().st_size - PAGE))
            page = raw.read()
        page = page[max(0, page.rfind(b"OggS")) :]
        # A page's header is 27 bytes (RFC 3533), the last of which counts the segments whose lengths follow.
        lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
        whole = len(page) > 26 and len(page) >= 27 + page[26] + sum(lengths)
        return "" if whole else "the last Ogg page is not complete"
    if file.format == "NIST":
        with path.open("rb") as raw:
            found = SPHERE_LENGTH.search(raw.read(1024))
        said = int(found[1]) if found else 0
        return f"the header says {said} samples, {file.frames} are there" if said > file.frames else ""
    for said, there in TOO_SHORT.findall(file.extra_info):
        if int(there) + HEADER_SIZE < int(said) < UNKNOWN_SIZE:
            return f"the header says {said} bytes, {there} are there"
    return ""


def _says_length(path: Path) -> bool:
    """Whether an MP3 file's first frame is the tag that tells its length; else libsndfile guesses, and stops there."""
    with path.open("rb") as raw:
        head = raw.read(10)
        if head.startswith(b"ID3"):  # its length is in four bytes of seven bits
            raw.seek(10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
        else:
            raw.seek(0)
        frame = raw.read(4096)
    return any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))


# --------------------------------------------------------------------------------------------------- PyAV and ffmpeg


def _has_av() -> bool:
    return importlib.util.find_spec("av") is not None


def _has_ffmpeg() -> bool:
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


def _can_decode_elsewhere() -> bool:
    return _has_av() or _has_ffmpeg()


def _info_elsewhere(path: Path, error: Exception) -> AudioInfo:
    rate, channels, seconds = (_probe_with_av if _has_av() else _probe_with_ffmpeg)(path, error)
    if seconds is not None:
        return AudioInfo(rate, round(seconds * rate), channels)
    waveform, rate = _decode_elsewhere(path, error, 0.0, None)
    return AudioInfo(rate, len(waveform), channels)


def _decode_elsewhere(path: Path, error: Exception, offset: float, duration: float | None) -> tuple[np.ndarray, int]:
    """Decode what libsndfile cannot, for the reason `error`: (S, channels) float32 and the rate in Hz."""
    rate, channels, seconds = (_probe_with_av if _has_av() else _probe_with_ffmpeg)(path, error)
    end = math.inf if duration is None else offset + duration
    waveform = _decode_with_av(path, end) if _has_av() else _decode_with_ffmpeg(path, channels, end)
    there = len(waveform) / rate
    if duration is not None:
        _check_length(path, end, there)
    elif seconds is not None:
        _check_length(path, seconds, there)
    start = round(offset * rate)
    return waveform[start : None if duration is None else start + max(1, round(duration * rate))], rate


def _probe_with_av(path: Path, error: Exception) -> tuple[int, int, float | None]:
    """Rate in Hz, channels, and seconds if the header tells them."""
    import av

    try:
        with av.open(str(path.absolute())) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: has no audio track")
            stream = container.streams.audio[0]
            seconds = None
            if container.format.name.split(",")[0] in SAY_THEIR_LENGTH:
                if stream.duration and stream.time_base:
                    seconds = float(stream.duration * stream.time_base)
                elif container.duration:
                    seconds = container.duration / av.time_base
            return stream.rate, stream.channels, seconds
    except (av.FFmpegError, ValueError) as reason:
        raise AudioError(f"{path}: not audio, or damaged: {getattr(reason, 'strerror', reason)}") from error


def _decode_with_av(path: Path, end: float) -> np.ndarray:
    """(S, channels) float32, up to `end` seconds or a little more."""
    import av

    blocks, seconds = [], 0.0
    try:
        with av.open(str(path.absolute())) as container:
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                blocks += [part.to_ndarray() for part in resampler.resample(frame)]
                seconds += frame.samples / frame.sample_rate
                if seconds >= end:
                    break
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path}: damaged audio after {seconds:.2f} s: {error}") from error
    if not blocks:
        raise AudioError(f"{path}: the file holds no audio samples")
    return np.concatenate(blocks, axis=1).T


def _probe_with_ffmpeg(path: Path, error: Exception) -> tuple[int, int, float | None]:
    """Rate in Hz, channels, and seconds if the header tells them. Raises AudioError also where there is no ffmpeg."""
    if not _has_ffmpeg():
        raise AudioError(
            f"{path}: not audio that libsndfile reads ({error}). For m4a, mp4, webm and the like install PyAV "
            "(pip install 'asr[av]') or the ffmpeg program"
        ) from error
    wanted = "stream=sample_rate,channels,duration:format=format_name,duration"
    command = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", wanted, "-of", "json"]
    probe = subprocess.run([*command, str(path.absolute())], capture_output=True, text=True, check=False)
    found = json.loads(probe.stdout or "{}")
    if probe.returncode or not found.get("streams"):
        raise AudioError(f"{path}: not audio, or damaged: {_last_line(probe.stderr) or 'no audio track'}") from error
    stream, container = found["streams"][0], found["format"]
    seconds = stream.get("duration") or container.get("duration")
    known = container["format_name"].split(",")[0] in SAY_THEIR_LENGTH
    return int(stream["sample_rate"]), stream["channels"], float(seconds) if known and seconds else None


def _decode_with_ffmpeg(path: Path, channels: int, end: float) -> np.ndarray:
    """(S, channels) float32, up to `end` seconds or a little more."""
    # A second more than needed: ffmpeg counts from the first time stamp, which need not be 0.
    until = [] if math.isinf(end) else ["-t", f"{end + 1:.3f}"]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", str(path.absolute()), "-map", "a:0", *until]
    decoded = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, check=False)
    if decoded.returncode or not decoded.stdout:
        raise AudioError(f"{path}: damaged audio: {_last_line(decoded.stderr.decode(errors='replace'))}")
    return np.frombuffer(bytearray(decoded.stdout), dtype="<f4").reshape(-1, channels)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
