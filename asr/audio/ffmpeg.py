"""What PyAV and the ffmpeg program have in common: what of FFmpeg's formats is opened, and what is known of a track."""

from dataclasses import dataclass

# What is in a file decides, not its name. Left out are playlists (hls, dash, concat and others): they name other files,
# which a recording from a stranger must not open.
FORMATS = (
    "aac,ac3,adx,aea,aiff,amr,amrnb,amrwb,ape,asf,ast,au,avi,avr,caf,dsf,dts,dtshd,eac3,flac,flv,gxf,ircam,live_flv,"
    "loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nsv,nut,ogg,oma,qcp,rm,sox,swf,tak,truehd,tta,voc,w64,"
    "wav,wsaud,wtv,wv,xwma"
)
DAMAGE = "damaged audio"


@dataclass(frozen=True)
class Track:
    """A sound track, as its container describes it."""

    default: bool
    title: str
    rate: int  # Hz
    channels: int
    seconds: float | None  # as the header says


def announced_seconds(
    format_name: str, late: float, own: float | None, tag: str | None, whole: float | None, num_streams: int
) -> float | None:
    """When a track ends by its container's header, if that tells: pictures and subtitles may last longer.

    late: seconds from the container's to the track's beginning; own: the track's length; tag: Matroska's DURATION;
    whole: the length of all tracks. Of other formats FFmpeg guesses the length from the size.
    """
    name = format_name.split(",")[0]
    if name == "mov" and own is not None:
        return max(0.0, late) + own
    if name == "matroska":
        try:
            hours, minutes, seconds = (tag or "").split(":")
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        except ValueError:
            pass
    return whole if name in ("mov", "matroska", "asf") and num_streams == 1 else None
