"""Sound files by the ffmpeg program, where PyAV is not installed."""

import json
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from asr.audio.ffmpeg import DAMAGE, FORMATS, Track, announced_seconds
from asr.audio.pieces import sound_start
from asr.audio.reader import Chunk, Notice, Placer, Report, check_header, choose_track
from asr.errors import AudioError

SAFE = ["-format_whitelist", FORMATS, "-protocol_whitelist", "file,subfile"]
FRAME = re.compile(rb"\[Parsed_ashowinfo_\d+ @ \w+\] \[info\] n:\s*\d+ pts:\s*(-?\d+|NOPTS) .*nb_samples:\s*(\d+)")
ERROR = re.compile(rb"\] \[(?:error|fatal|panic)\] (?!.*non monotonically)(.*)|^\[(?:error|fatal|panic)\] (.*)")


def has_ffmpeg() -> bool:
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


class FfmpegReader:
    """A reader. Raises AudioError for what FFmpeg does not read, or is not sound."""

    def __init__(self, file: BinaryIO, name: object, track: int | None = None):
        self.path, self.name = f"file:{Path(file.name).absolute()}", name
        if start := sound_start(file):
            self.path = f"subfile,,start,{start},end,0,,:{self.path}"
        self.notices: list[Notice]
        found = self._probe()
        streams = [stream for stream in found["streams"] if stream.get("codec_type") == "audio"]
        self.zero = max(0.0, float(found["format"].get("start_time", 0)))
        tracks = [_track(found, stream, self.zero) for stream in streams]
        self.number, self.notices = choose_track(name, tracks, track)
        chosen = tracks[self.number]
        check_header(name, chosen.rate, chosen.channels)
        self.start = float(streams[self.number].get("start_time", 0)) - self.zero  # seconds
        self.sample_rate, self.num_channels = chosen.rate, chosen.channels
        self.num_samples = None if chosen.seconds is None else round(chosen.seconds * chosen.rate)

    def _probe(self) -> dict[str, Any]:
        entries = (
            "stream=codec_type,sample_rate,channels,duration,start_time:stream_disposition=default:"
            "stream_tags=language,title,duration:format=format_name,duration,start_time"
        )
        command = ["ffprobe", "-v", "error", *SAFE, "-show_entries", entries, "-of", "json", self.path]
        probe = subprocess.run(command, capture_output=True, check=False)
        try:
            found: dict[str, Any] = json.loads(probe.stdout.decode(errors="replace"), strict=False)
        except ValueError:
            found = {}
        if probe.returncode or "format" not in found:
            lines = probe.stderr.decode(errors="replace").strip().splitlines() or ["not a format that ffmpeg reads"]
            raise AudioError(f"{self.name}: not audio, or damaged: {lines[-1].removeprefix(self.path + ': ')}")
        return found

    def chunks(self, start: int, stop: int | None, report: Report) -> Iterator[Chunk]:
        """See `asr.audio.reader.Reader`. Always from the beginning: in many formats seeking is inexact."""
        filters = f"aformat=sample_fmts=flt:sample_rates={self.sample_rate},ashowinfo"
        command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "level+info", "-copyts", *SAFE]
        command += ["-i", self.path, "-map", f"0:a:{self.number}", "-af", filters, "-ac", str(self.num_channels)]
        placer, damaged, none = Placer(self.sample_rate, DAMAGE), False, True
        begin: int | None = None  # the first stamp
        frames: queue.SimpleQueue[tuple[int | None, int] | bytes | None] = queue.SimpleQueue()
        with subprocess.Popen(
            [*command, "-f", "f32le", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout and process.stderr
            # What it says of each frame comes on standard error, before the frame itself on standard output.
            listener = threading.Thread(target=_read_log, args=(process.stderr, frames), daemon=True)
            listener.start()
            last = b""
            try:
                while (frame := frames.get()) is not None:
                    if isinstance(frame, bytes):
                        last, damaged = frame, True
                        continue
                    stamp, count = frame
                    data = process.stdout.read(count * self.num_channels * 4)
                    samples = np.frombuffer(data, "<f4", len(data) // 4 // self.num_channels * self.num_channels)
                    block = samples.reshape(-1, self.num_channels)
                    if stamp is not None:
                        # Of some formats (MPEG-TS) it counts from the track's beginning, whatever it is told.
                        stamp -= round(self.zero * self.sample_rate)
                        begin = stamp if begin is None else begin
                        late = abs(begin - self.start * self.sample_rate) > Placer.JITTER * self.sample_rate
                        stamp += (round(self.start * self.sample_rate) - begin) if late else 0
                    place = placer.put(stamp, len(block), damaged, report)
                    damaged, none = False, none and not len(block)
                    yield place, block
            except BaseException:  # GeneratorExit too: nobody wants the rest
                process.kill()
                raise
            finally:
                listener.join()  # its pipe must not be closed beneath it
        if none and last:
            raise AudioError(f"{self.name}: damaged audio: {last.decode(errors='replace').strip()}")
        if damaged:
            placer.put(None, 0, True, report)


def _read_log(log: IO[bytes], frames: "queue.SimpleQueue[tuple[int | None, int] | bytes | None]") -> None:
    """Frames (time stamp and number of samples) and errors, in order; None at the end."""
    with log:
        for line in log:
            if found := FRAME.search(line):
                frames.put((None if found[1] == b"NOPTS" else int(found[1]), int(found[2])))
            elif error := ERROR.search(line):
                frames.put(error[1] or error[2] or b"")
    frames.put(None)


def _track(found: dict[str, Any], stream: dict[str, Any], zero: float) -> Track:
    def seconds(value: str | None) -> float | None:
        return float(value) if value else None

    tags = {key.upper(): value for key, value in stream.get("tags", {}).items()}
    form, late = found["format"], (seconds(stream.get("start_time")) or 0.0) - zero
    own, whole, name = seconds(stream.get("duration")), seconds(form.get("duration")), form.get("format_name", "")
    return Track(
        default=bool(stream.get("disposition", {}).get("default")),
        title=" ".join(filter(None, [tags.get("LANGUAGE"), tags.get("TITLE")])),
        rate=int(stream.get("sample_rate", 0)),
        channels=int(stream.get("channels", 0)),
        seconds=announced_seconds(name, late, own, tags.get("DURATION"), whole, len(found["streams"])),
    )
