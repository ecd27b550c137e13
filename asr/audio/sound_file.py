"""Sound files in blocks of samples, whoever decodes them.

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
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from asr.errors import AudioError

BLOCK = 1 << 17  # samples of all channels together in a block
RATES = (1_000, 1_000_000)  # Hz; others are damaged headers, and would be resampled to hours
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

Blocks = Generator[np.ndarray, None, None]
"""(S, channels) float32."""


@dataclass(frozen=True)
class SoundFile:
    """An open sound file."""

    path: Path
    sample_rate: int  # Hz
    num_channels: int
    num_samples: int | None  # of one channel; None where the header does not tell
    decode: Callable[[int, int | None], tuple[int, Blocks]]
    """(first sample wanted, the one after the last) -> a sample not after the first, and the blocks from it on."""

    def blocks(
        self, channel: int | None = None, offset: float = 0.0, duration: float | None = None
    ) -> Iterator[np.ndarray]:
        """The file, or `duration` seconds of it from `offset` on: blocks (S,) float32, mono.

        Channels are averaged unless one (0 is the first) is chosen. Raises AudioError where the channel or the part is
        not there; where the file is damaged or shorter than its header says, after the blocks before that.
        """
        path, rate = self.path, self.sample_rate
        if not (math.isfinite(offset) and offset >= 0 and (duration is None or duration > 0)):
            raise AudioError(
                f"{path}: asked for {duration} s from {offset} s on; wanted more than 0 s, from 0 s or later"
            )
        if channel is not None and not 0 <= channel < self.num_channels:
            raise AudioError(f"{path}: has {self.num_channels} channel(s), no channel {channel} (the first is 0)")
        if not RATES[0] <= rate <= RATES[1]:
            raise AudioError(
                f"{path}: not audio, or damaged: the header says {rate} Hz, wanted {RATES[0]} to {RATES[1]}"
            )
        start = round(offset * rate)
        stop = None if duration is None else start + max(1, round(duration * rate))
        place, decoded = self.decode(start, stop)
        with closing(decoded):
            for block in decoded:
                part = block[max(0, start - place) : None if stop is None else stop - place]
                place += len(block)
                if len(part):
                    yield _mono(path, part, channel)
                if stop is not None and place >= stop:
                    return
        wanted = self.num_samples if stop is None else stop
        if wanted is not None and (wanted - place) / rate > ROUNDING:
            raise AudioError(f"{path}: truncated: {wanted / rate:.2f} s were expected, {place / rate:.2f} s are there")


def _mono(path: Path, block: np.ndarray, channel: int | None) -> np.ndarray:
    """(S, channels) -> (S,). Raises AudioError for samples that are no numbers."""
    if not np.isfinite(block).all():
        raise AudioError(f"{path}: holds samples that are NaN or infinite: the file is damaged")
    if channel is None and block.shape[1] > 1:
        return block.mean(axis=1)
    return np.ascontiguousarray(block[:, channel or 0])


@contextmanager
def open_sound(path: Path | str) -> Iterator[SoundFile]:
    """Open a sound file. Raises AudioError where it is missing, empty, shorter than its header says, or not audio."""
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_open(path))
            sound = SoundFile(path, file.samplerate, file.channels, file.frames, partial(_decode, path, file))
        except soundfile.LibsndfileError as error:
            sound = _open_elsewhere(path, error)
        yield sound


# ------------------------------------------------------------------------------------------------------- libsndfile


class _Sequential(soundfile.SoundFile):
    """soundfile seeks after each block, to where it is: libmpg123 complains of that on the terminal."""

    def seekable(self) -> bool:
        return False


def _open(path: Path) -> soundfile.SoundFile:
    """Open a file with libsndfile, whose LibsndfileError is raised where it cannot be; AudioError where it was cut."""
    try:
        file = _Sequential(path)
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


def _decode(path: Path, file: soundfile.SoundFile, start: int, stop: int | None) -> tuple[int, Blocks]:
    """See SoundFile.decode."""
    rate = file.samplerate
    if start >= file.frames > 0:
        raise AudioError(f"{path}: lasts {file.frames / rate:.2f} s, so there is nothing at {start / rate:g} s")
    if not soundfile.SoundFile.seekable(file) or (file.format == "MP3" and start < NO_SEEK * rate):
        begin = 0
    else:
        begin = max(0, start - round(MP3_LEAD * rate)) if file.format == "MP3" else start

    def blocks() -> Blocks:
        left = (file.frames if stop is None else stop) - begin
        try:
            if begin:
                file.seek(begin)
            while left > 0:
                block = file.read(min(left, max(1, BLOCK // file.channels)), dtype="float32", always_2d=True)
                if not len(block):
                    break
                left -= len(block)
                yield block
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{path}: damaged audio: {error}") from error

    return begin, blocks()


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
        claimed = int(found[1]) if found else 0
        return f"the header says {claimed} samples, {file.frames} are there" if claimed > file.frames else ""
    for claimed, there in TOO_SHORT.findall(file.extra_info):
        if int(there) + HEADER_SIZE < int(claimed) < UNKNOWN_SIZE:
            return f"the header says {claimed} bytes, {there} are there"
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


def has_av() -> bool:
    return importlib.util.find_spec("av") is not None


def has_ffmpeg() -> bool:
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


def _can_decode_elsewhere() -> bool:
    return has_av() or has_ffmpeg()


def _open_elsewhere(path: Path, error: Exception) -> SoundFile:
    """What libsndfile cannot read, for the reason `error`; always decoded from its beginning."""
    rate, channels, seconds = (_probe_with_av if has_av() else _probe_with_ffmpeg)(path, error)
    samples = None if seconds is None else round(seconds * rate)
    decode = partial(_decode_with_av, path) if has_av() else partial(_decode_with_ffmpeg, path, channels)
    return SoundFile(path, rate, channels, samples, lambda start, stop: (0, decode()))


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


def _decode_with_av(path: Path) -> Blocks:
    import av

    try:
        with av.open(str(path.absolute())) as container:
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    yield part.to_ndarray().T
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path}: damaged audio: {error}") from error


def _probe_with_ffmpeg(path: Path, error: Exception) -> tuple[int, int, float | None]:
    """Rate in Hz, channels, and seconds if the header tells them. Raises AudioError also where there is no ffmpeg."""
    if not has_ffmpeg():
        raise AudioError(
            f"{path}: not audio that libsndfile reads ({error}). For m4a, mp4, webm and the like install PyAV "
            "(pip install 'asr[av]') or the ffmpeg program"
        ) from error
    wanted = "stream=sample_rate,channels,duration:format=format_name,duration"
    command = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", wanted, "-of", "json"]
    command.append(str(path.absolute()))
    probe = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    found = json.loads(probe.stdout or "{}")
    if probe.returncode or not found.get("streams"):
        raise AudioError(f"{path}: not audio, or damaged: {_last_line(probe.stderr) or 'no audio track'}") from error
    stream, container = found["streams"][0], found["format"]
    seconds = stream.get("duration") or container.get("duration")
    known = container["format_name"].split(",")[0] in SAY_THEIR_LENGTH
    return int(stream["sample_rate"]), stream["channels"], float(seconds) if known and seconds else None


def _decode_with_ffmpeg(path: Path, channels: int) -> Blocks:
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
            raise AudioError(f"{path}: damaged audio: {_last_line(messages.read().decode(errors='replace'))}")


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
