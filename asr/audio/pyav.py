"""Sound files by FFmpeg's libraries, as PyAV brings them: m4a, mp4, webm, mkv, wma and the like."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from asr.audio.ffmpeg import DAMAGE, FORMATS, Track, announced_seconds
from asr.audio.pieces import Pieces, size_of, sound_start
from asr.audio.reader import Chunk, Notice, Placer, Report, check_header, choose_track
from asr.errors import AudioError

if TYPE_CHECKING:
    import av


def has_av() -> bool:
    return importlib.util.find_spec("av") is not None


class AvReader:
    """A reader. Raises AudioError for what FFmpeg does not read, or is not sound."""

    def __init__(self, file: BinaryIO, name: object, track: int | None = None):
        self.file, self.name = file, name
        self.notices: list[Notice]
        with self._open() as container:
            self.zero = max(0, container.start_time or 0) / 1_000_000  # seconds at which the first of all tracks begins
            tracks = [_track(container, stream, self.zero) for stream in container.streams.audio]
            self.number, self.notices = choose_track(name, tracks, track)
        chosen = tracks[self.number]
        if not chosen.rate:
            raise AudioError(f"{name}: its sound is in a coding that FFmpeg does not know, or damaged")
        check_header(name, chosen.rate, chosen.channels)
        self.sample_rate, self.num_channels = chosen.rate, chosen.channels
        self.num_samples = None if chosen.seconds is None else round(chosen.seconds * chosen.rate)

    def _open(self) -> "av.container.InputContainer":
        import av

        # Damage makes FFmpeg ask for places before the beginning; a plain file raises an error there.
        file = Pieces(self.file, [(sound_start(self.file), size_of(self.file))])
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        try:
            with _errors():
                return av.open(file, "r", options=options, metadata_errors="replace")
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", error)
            raise AudioError(f"{self.name}: not audio, or damaged: {reason}") from error

    def chunks(self, start: int, stop: int | None, report: Report) -> Iterator[Chunk]:
        """See `asr.audio.reader.Reader`. Always from the beginning: in many formats seeking is inexact."""
        placer, damaged = Placer(self.sample_rate, DAMAGE), False
        for frame in self._frames():
            if frame is None:
                damaged = True
                continue
            stamp = None
            if frame.pts is not None and frame.time_base is not None:
                stamp = round((float(frame.pts * frame.time_base) - self.zero) * self.sample_rate)
            place = placer.put(stamp, frame.samples, damaged, report)
            damaged = False
            yield place, frame.to_ndarray().reshape(-1, self.num_channels)
        if damaged:
            placer.put(None, 0, True, report)

    def _frames(self) -> "Iterator[av.AudioFrame | None]":
        """The frames as float32 of one rate; None for what cannot be decoded.

        Packed, not planar: PyAV looks for more planes than there are, and crashes, where there are eight or more.
        """
        import av

        shape: Any = None  # of the frame before
        with self._open() as container:
            stream = container.streams.audio[self.number]
            packets, own_layout = container.demux(stream), stream.layout
            ended = False
            while not ended:
                frames = []
                with _errors() as errors:
                    try:
                        packet = next(packets, None)
                        ended = packet is None
                        frames = packet.decode() if packet else []
                    except (av.FFmpegError, ValueError) as error:
                        errors.append((av.logging.ERROR, "", str(error)))
                # Damage between packets, and some within, is told in the log alone.
                if any(level <= av.logging.ERROR for level, *_ in errors):
                    yield None
                for frame in frames:
                    if shape != (frame.format.name, frame.layout.name, frame.rate):
                        # Rate and channels may change on the way, in television for example.
                        shape = (frame.format.name, frame.layout.name, frame.rate)
                        layout = frame.layout if frame.layout.nb_channels == self.num_channels else own_layout
                        resampler = av.AudioResampler("flt", layout, self.sample_rate)
                    try:
                        yield from resampler.resample(frame)
                    except (av.FFmpegError, ValueError):  # channels that damage has made
                        yield None


@contextmanager
def _errors() -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg logs in this thread: (level, who, message); level ERROR and worse."""
    import av.logging

    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture() as logs:
        yield logs


def _track(container: "av.container.InputContainer", stream: Any, zero: float) -> Track:
    import av

    def seconds(value: int | None) -> float | None:
        return float(value * stream.time_base) if value and stream.time_base else None

    tags = {key.upper(): value for key, value in stream.metadata.items()}
    late, own = (seconds(stream.start_time) or 0.0) - zero, seconds(stream.duration)
    whole = container.duration / av.time_base if container.duration else None
    return Track(
        default=bool(stream.disposition & av.stream.Disposition.default),
        title=" ".join(filter(None, [tags.get("LANGUAGE"), tags.get("TITLE")])),
        rate=stream.rate if stream.codec_context else 0,
        channels=stream.channels if stream.codec_context else 0,
        seconds=announced_seconds(
            container.format.name, late, own, tags.get("DURATION"), whole, len(container.streams)
        ),
    )
