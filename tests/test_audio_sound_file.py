"""What is in a file is heard, at its time, whatever its header says; what is lost is silence, and told."""

import os
import struct
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from asr.audio.ffmpeg_program import FfmpegReader, has_ffmpeg
from asr.audio.files import open_file
from asr.audio.load import load_audio, read_info
from asr.audio.pyav import AvReader, has_av
from asr.audio.reader import Notice, Placer, summary
from asr.audio.sound_file import SoundFile, open_sound
from asr.errors import AudioError

RATE = 16_000
SECONDS = 6

needs_av = pytest.mark.skipif(not has_av(), reason="PyAV is not installed")
needs_ffmpeg = pytest.mark.skipif(not has_ffmpeg(), reason="no ffmpeg and ffprobe programs")


def chirp(seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    """A tone that rises: each moment can be told from all others."""
    t = np.arange(round(rate * seconds)) / rate
    return (0.3 * np.sin(2 * np.pi * (300 * t + 50 * t * t))).astype(np.float32)


def assert_same(
    found: np.ndarray, wanted: np.ndarray, lost: Sequence[tuple[float, float]] = (), rate: int = RATE
) -> None:
    """The same sound at the same time, but for what is lost; coding noise and 50 ms more at its edges are allowed."""
    kept = np.ones(len(wanted), bool)
    for start, stop in [(0.0, 0.0), *lost, (len(found) / rate, len(wanted) / rate)]:
        kept[max(0, round((start - 0.05) * rate)) : round((stop + 0.05) * rate)] = False
    assert kept.mean() > 0.4
    found = np.pad(found, (0, max(0, len(wanted) - len(found))))[: len(wanted)]
    assert np.sqrt(np.mean((found - wanted)[kept] ** 2)) < 0.02


def assert_in_time(found: np.ndarray, wanted: np.ndarray, rate: int, places: Sequence[float], error: float) -> None:
    """What is to be heard at these seconds is heard there; containers may be off by `error` seconds."""
    for place in places:
        part = found[round(place * rate) :][: rate // 4]
        first = max(0, round((place - 0.5) * rate))
        scores = np.correlate(wanted[first : first + rate + len(part)], part, "valid")
        assert scores.max() > 0.9 * np.square(part).sum()
        assert (first + scores.argmax()) / rate == pytest.approx(place, abs=error)


def read(path: Path, **options: Any) -> tuple[np.ndarray, list[Notice]]:
    notices: list[Notice] = []
    return load_audio(path, report=notices.append, **options)[0], notices


def lost(notices: Sequence[Notice]) -> list[tuple[float, float]]:
    return [notice.lost for notice in notices if notice.lost and notice.lost[1] > notice.lost[0]]


def changed(path: Path, change: Callable[[bytearray], object]) -> Path:
    """A copy of a file, changed."""
    data = bytearray(path.read_bytes())
    result = change(data)
    copy = path.with_name(f"changed-{path.name}")
    copy.write_bytes(result if isinstance(result, bytes | bytearray) else data)
    return copy


def spoil(data: bytearray, count: int = 300, where: float = 0.5) -> None:
    """Random bytes in the middle."""
    first = int(len(data) * where)
    data[first : first + count] = np.random.default_rng(1).integers(0, 256, count, np.uint8).tobytes()


def write(path: Path, waveform: np.ndarray | None = None, **options: Any) -> Path:
    soundfile.write(path, chirp() if waveform is None else waveform, RATE, **options)
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write(tmp_path / "a.wav")


@pytest.fixture
def mp3(tmp_path: Path) -> Path:
    return write(tmp_path / "a.mp3", bitrate_mode="CONSTANT", compression_level=0.6)


def without_tag(data: bytes) -> bytes:
    """An MP3 without its first frame, which tells the length."""
    assert b"Info" in data[:200] or b"Xing" in data[:200]
    return data[data.index(data[:2], 2) :]


# ---------------------------------------------------------------------------------------------- lengths in WAV headers


@pytest.mark.parametrize("size", [0, 1_000, 2_000_000_000, 0x7FFFF000, 0xFFFFFFFF])
def test_wav_is_read_whatever_length_its_header_says(wav: Path, size: int) -> None:
    path = changed(wav, lambda data: data.__setitem__(slice(40, 44), size.to_bytes(4, "little")))
    waveform, notices = read(path)
    np.testing.assert_array_equal(waveform, load_audio(wav)[0])
    assert read_info(path, report=lambda notice: None).num_samples == len(waveform)
    surely = size in (1_000, 2_000_000_000)  # lengths that no program writes for "unknown"
    assert len(notices) == surely
    if surely:
        with pytest.raises(AudioError, match=f"header says {size / 2 / RATE:.2f} s, {SECONDS}.00 s are there"):
            load_audio(path)
    else:
        load_audio(path)


@pytest.mark.parametrize("size", [0, 1_000, 2_000_000_000, 0xFFFFFFFF])
def test_au_is_read_whatever_length_its_header_says(tmp_path: Path, size: int) -> None:
    whole = write(tmp_path / "a.au")
    path = changed(whole, lambda data: data.__setitem__(slice(8, 12), size.to_bytes(4, "big")))
    waveform, notices = read(path)
    np.testing.assert_array_equal(waveform, load_audio(whole)[0])
    assert len(notices) == (size in (1_000, 2_000_000_000))


def test_wav_with_a_chunk_after_an_odd_length_is_left_alone(wav: Path) -> None:
    data = wav.read_bytes()
    head, samples = bytearray(data[:44]), data[44:]
    head[40:44] = (len(samples) - 1).to_bytes(4, "little")
    for tail in (b"\0LIST\x04\0\0\0INFO", b"LIST\x04\0\0\0INFO", b"\0ID3\x04" + bytes(9000), b"\0TAG" + bytes(125)):
        path = wav.with_name("odd.wav")
        path.write_bytes(bytes(head) + samples[:-1] + tail)
        waveform, notices = read(path)
        assert len(waveform) == len(samples) // 2 - 1 and not notices


def test_cut_wav_is_read_to_its_end(wav: Path) -> None:
    path = changed(wav, lambda data: data[: 44 + 2 * RATE])
    waveform, notices = read(path)
    np.testing.assert_array_equal(waveform, load_audio(wav)[0][:RATE])
    assert summary(notices) == ["truncated: the header says 6.00 s, 1.00 s are there"]


def test_cut_caf_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.caf", format="CAF", subtype="PCM_16")
    assert not read(path)[1]
    waveform, notices = read(changed(path, lambda data: data[: len(data) // 2]))
    assert_same(waveform, chirp()[: len(waveform)])
    assert len(waveform) == pytest.approx(SECONDS / 2 * RATE, abs=RATE / 4)
    assert str(notices[0]).startswith("truncated: the header says ")


def test_joined_wav_files_are_read_one_after_the_other(wav: Path) -> None:
    path = changed(wav, lambda data: data + data)
    waveform, notices = read(path)
    np.testing.assert_array_equal(waveform, np.tile(load_audio(wav)[0], 2))
    assert not notices
    part = read(path, offset=SECONDS - 0.5, duration=1)[0]
    np.testing.assert_array_equal(part, waveform[-SECONDS * RATE - RATE // 2 :][:RATE])


@pytest.mark.parametrize("place", [0, 1])
def test_24_bits_in_4_bytes(tmp_path: Path, place: int) -> None:
    """In the upper three of them, as the standard has it, or in the lower ones."""
    values = np.round(chirp() * (2**23 - 1)).astype("<i4")
    samples = (values << 8 if place else values).tobytes()
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 4, 4, 24)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(samples)) + samples
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    np.testing.assert_allclose(load_audio(path)[0], chirp(), atol=1e-4)


@pytest.mark.parametrize(
    ("place", "size", "message"), [(24, 4, "says 0 Hz"), (22, 2, "0 channels"), (34, 2, "0 bits a sample")]
)
def test_wav_headers_that_no_recording_has(wav: Path, place: int, size: int, message: str) -> None:
    path = changed(wav, lambda data: data.__setitem__(slice(place, place + size), bytes(size)))
    for function in (read_info, load_audio):
        with pytest.raises(AudioError, match=f"changed-a.wav: not audio, or damaged: .*{message}"):
            function(path)


# ------------------------------------------------------------------------------------------------------------- FLAC


def unknown_length(data: bytearray) -> None:
    """A FLAC file as a program writes it into a pipe: the low 36 bits of bytes 21 to 25 are the number of samples."""
    data[21] &= 0xF0
    data[22:26] = bytes(4)


def test_flac_without_a_length(tmp_path: Path) -> None:
    path = changed(write(tmp_path / "a.flac"), unknown_length)
    assert soundfile.info(path).frames > 2**60
    assert read_info(path).duration == SECONDS
    np.testing.assert_allclose(load_audio(path)[0], chirp(), atol=1e-4)
    np.testing.assert_allclose(load_audio(path, offset=2, duration=1)[0], chirp()[2 * RATE : 3 * RATE], atol=1e-4)


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_flac_goes_on_after_damage(tmp_path: Path, length: str) -> None:
    path = write(tmp_path / "a.flac")
    path = path if length == "known" else changed(path, unknown_length)
    for change in (spoil, lambda data: spoil(data, 9_000), lambda data: data[:30_000] + data[35_000:]):
        bad = changed(path, change)  # type: ignore[arg-type]
        waveform, notices = read(bad)
        assert len(waveform) == SECONDS * RATE
        (stretch,) = lost(notices)
        assert 0.2 < stretch[1] - stretch[0] < 1.5
        assert_same(waveform, chirp(), [stretch])
        with pytest.raises(AudioError, match="damaged audio"):
            load_audio(bad)
        load_audio(bad, duration=1)  # what is before the damage


def test_cut_and_joined_flac(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac")
    cut = changed(path, lambda data: data[: len(data) // 2])
    waveform, notices = read(cut)
    assert 2 < len(waveform) / RATE < 4
    assert summary(notices) == [f"truncated: 6.00 s were expected, {len(waveform) / RATE:.2f} s are there"]
    joined = changed(path, lambda data: data + data)
    np.testing.assert_allclose(load_audio(joined)[0], np.tile(chirp(), 2), atol=1e-4)


# ------------------------------------------------------------------------------------------------------------- MP3


def test_joined_mp3_files_are_read_one_after_the_other(mp3: Path) -> None:
    path = changed(mp3, lambda data: data + b"ID3\x04\0\0\0\0\0\x0aTIT2\0\0\0\0\0\0" + data)
    waveform, notices = read(path)
    assert read_info(path).num_samples == len(waveform) == 2 * SECONDS * RATE
    assert_same(waveform, np.tile(chirp(), 2))
    assert not notices


def test_joined_mp3_files_of_different_rates(tmp_path: Path) -> None:
    write(tmp_path / "a.mp3")
    soundfile.write(tmp_path / "b.mp3", np.stack([chirp(3, 44_100)] * 2, axis=1), 44_100)
    (tmp_path / "c.mp3").write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    waveform, _ = read(tmp_path / "c.mp3")
    assert len(waveform) == pytest.approx(9 * RATE, abs=200)
    assert_same(waveform[: 6 * RATE], chirp())
    assert_same(waveform[6 * RATE :], chirp(3)[: len(waveform) - 6 * RATE])


def test_mp3_goes_on_after_damage(mp3: Path) -> None:
    for change, shortest in ((spoil, 0.03), (lambda data: data[:9_000] + data[12_000:], 0.3)):
        path = changed(mp3, change)  # type: ignore[arg-type]
        waveform, notices = read(path)
        assert len(waveform) == SECONDS * RATE
        (stretch,) = lost(notices)
        assert shortest < stretch[1] - stretch[0] < 1.5
        # Frames after those that are lost need bits of them: half a second at so few bits a second.
        assert_same(waveform, chirp(), [(stretch[0], stretch[1] + 0.5)])
        with pytest.raises(AudioError, match="damaged MP3 frames"):
            load_audio(path)


@pytest.mark.parametrize(
    ("tail", "loss"),
    [
        (b"TAG" + bytes(125), False),
        (b"LYRICSBEGININD0000210LYR00005hello000028LYRICS200TAG" + bytes(125), False),
        (b"APETAGEX\xd0\x07\0\0\x2a\0\0\0\1\0\0\0\0\0\0\xa0" + bytes(8) + b"\2\0\0\0\0\0\0\0A\0"
         b"APETAGEX\xd0\x07\0\0\x2a\0\0\0\1\0\0\0\0\0\0\x80" + bytes(8), False),
        (bytes(4_000), False),
        (b"<html><body>404 Not found</body></html>" * 20, True),
    ],
)  # fmt: skip
def test_what_is_behind_the_last_mp3_frame_loses_nothing(mp3: Path, tail: bytes, loss: bool) -> None:
    path = changed(mp3, lambda data: data + tail)
    waveform, notices = read(path)
    np.testing.assert_allclose(waveform, load_audio(mp3)[0], atol=1e-6)
    assert bool(notices) == loss


def test_cut_mp3_without_a_tag_says_so(mp3: Path) -> None:
    whole = changed(mp3, lambda data: without_tag(bytes(data)))
    length = read_info(whole).duration
    assert SECONDS <= length < SECONDS + 0.2
    noticed = 0
    for share in (0.31, 0.42, 0.53, 0.64, 0.75, 0.86):
        path = changed(whole, lambda data, share=share: data[: int(len(data) * share)])  # type: ignore[misc]
        waveform, notices = read(path)
        assert len(waveform) / RATE == pytest.approx(share * length, abs=0.15)
        noticed += bool(notices)
    assert noticed >= 5  # unless it is cut between two frames


@needs_av
def test_cut_mp2_says_so(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    path = mux(tmp_path / "a.mp2", [("mp2", chirp(), 0.0)])
    assert not read(path)[1]
    waveform, notices = read(changed(path, lambda data: data[: len(data) // 2 + 101]))
    assert len(waveform) == pytest.approx(SECONDS / 2 * RATE, abs=0.15 * RATE)
    assert "no whole MP2 frames" in str(notices[0])
    capfd.readouterr()  # libmpg123 writes to the terminal


# ------------------------------------------------------------------------------------------------ tags, other headers

ID3 = b"ID3\4\0\0\0\0\x17\x70" + bytes(23 * 128 + 0x70)


@pytest.mark.parametrize(
    ("form", "coding"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"),
     ("W64", "PCM_16"), ("NIST", "PCM_16"), ("MP3", "MPEG_LAYER_III")],
)  # fmt: skip
def test_a_players_tag_before_any_format(tmp_path: Path, form: str, coding: str) -> None:
    path = write(tmp_path / f"a.{form.lower()}", format=form, subtype=coding)
    waveform, _ = read(path)
    tagged, notices = read(changed(path, lambda data: ID3 + data))
    assert not notices
    np.testing.assert_array_equal(tagged, waveform)


@pytest.mark.parametrize(("form", "coding"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_a_download_with_its_http_header(tmp_path: Path, form: str, coding: str) -> None:
    path = write(tmp_path / "a.dat", format=form, subtype=coding)
    waveform, _ = read(path)
    header = b"HTTP/1.1 200 OK\r\n\r\n"
    found, notices = read(changed(path, lambda data: header + data))
    np.testing.assert_array_equal(found, waveform)
    assert [str(notice) for notice in notices] == [f"its first {len(header)} bytes are no sound"]


@needs_av
def test_flac_within_matroska_is_left_to_ffmpeg(tmp_path: Path) -> None:
    waveform, notices = read(mux(tmp_path / "a.mkv", [("flac", chirp(), 0.0)]))
    assert not notices
    assert_same(waveform, chirp())


def test_what_is_behind_a_sphere_file_is_no_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sph", format="NIST", subtype="PCM_16")
    tagged, notices = read(changed(path, lambda data: data + b"TAG" + bytes(125)))
    assert len(tagged) == SECONDS * RATE and not notices
    longer, notices = read(changed(path, lambda data: data + bytes(2 * RATE)))
    assert len(longer) == (SECONDS + 1) * RATE
    assert "the header says 6.00 s, 7.00 s are there" in str(notices[0])


# --------------------------------------------------------------------------------------------------------------- Ogg

OGG = [("ogg", "VORBIS"), ("opus", "OPUS")]


def noisy() -> np.ndarray:
    """Fills more pages."""
    return (chirp(12) + np.random.default_rng(0).normal(0, 0.005, 12 * RATE)).astype(np.float32)


@pytest.mark.parametrize(("ending", "coding"), OGG)
def test_chained_ogg_is_read_stream_by_stream(tmp_path: Path, ending: str, coding: str) -> None:
    path = write(tmp_path / f"a.{ending}", format="OGG", subtype=coding)
    chain = changed(path, lambda data: data * 3)
    waveform, notices = read(chain)
    assert read_info(chain).num_samples == len(waveform) == 3 * SECONDS * RATE
    assert_same(waveform, np.tile(chirp(), 3))
    assert not notices
    np.testing.assert_allclose(load_audio(chain, offset=7, duration=1)[0], waveform[7 * RATE : 8 * RATE], atol=1e-3)


@pytest.mark.parametrize(("ending", "coding"), OGG)
@pytest.mark.parametrize("missing", [False, True])
def test_ogg_goes_on_after_damage(tmp_path: Path, ending: str, coding: str, missing: bool) -> None:
    path = write(tmp_path / f"a.{ending}", noisy(), format="OGG", subtype=coding)
    middle = len(path.read_bytes()) // 2
    bad = changed(path, lambda data: data[:middle] + data[middle + 200 :] if missing else spoil(data, 200))
    waveform, notices = read(bad)
    assert len(waveform) == pytest.approx(12 * RATE, abs=200)
    (stretch,) = lost(notices)
    assert 0.5 < stretch[1] - stretch[0] < 6
    assert_same(waveform, noisy(), [(stretch[0], stretch[1] + 0.1)])
    with pytest.raises(AudioError, match="damaged or missing Ogg pages"):
        load_audio(bad)


def page(data: bytes | bytearray, number: int) -> int:
    """Where an Ogg page begins."""
    place = -1
    for _ in range(number + 1):
        place = data.index(b"OggS", place + 1)
    return place


@pytest.mark.parametrize(("ending", "coding"), OGG)
def test_ogg_whose_first_sound_is_damaged(tmp_path: Path, ending: str, coding: str) -> None:
    path = write(tmp_path / f"a.{ending}", noisy(), format="OGG", subtype=coding)
    place = page(path.read_bytes(), 2)
    bad = changed(path, lambda data: data[: place + 50] + bytes(9) + data[place + 59 :])
    waveform, notices = read(bad)
    assert len(waveform) == pytest.approx(12 * RATE, abs=200)
    (stretch,) = lost(notices)
    assert stretch[0] == 0 and 0.5 < stretch[1] < 6
    assert_same(waveform, noisy(), [(0, stretch[1] + 0.1)])


@pytest.mark.parametrize(("ending", "coding"), OGG)
def test_ogg_of_a_running_station_begins_with_what_it_has(tmp_path: Path, ending: str, coding: str) -> None:
    path = write(tmp_path / f"a.{ending}", noisy(), format="OGG", subtype=coding)
    recorded = changed(path, lambda data: data[: page(data, 2)] + data[page(data, 3) :])
    waveform, notices = read(recorded)
    assert not notices
    assert 6 * RATE < len(waveform) < 11.5 * RATE


@pytest.mark.parametrize(("ending", "coding"), OGG)
def test_cut_ogg_is_read_to_its_last_page(tmp_path: Path, ending: str, coding: str) -> None:
    path = write(tmp_path / f"a.{ending}", noisy(), format="OGG", subtype=coding)
    waveform, notices = read(changed(path, lambda data: data[: len(data) * 2 // 3]))
    assert 3 < len(waveform) / RATE < 9
    assert_same(waveform, noisy()[: len(waveform)])
    assert "truncated: the last Ogg page" in str(notices[0])


# ------------------------------------------------------------------------------------------------- which of the sound


def test_channels_in_opposite_phase_do_not_vanish(wav: Path) -> None:
    """Of the first half; in the second one the same channels say different things."""
    other = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    left = chirp()
    right = np.concatenate([-left[: 3 * RATE], other])
    soundfile.write(wav, np.stack([left, right], axis=1), RATE)
    waveform, notices = read(wav)
    assert_same(waveform[: 3 * RATE], left[: 3 * RATE])
    np.testing.assert_allclose(waveform[3 * RATE :], (left + right)[3 * RATE :] / 2, atol=1e-4)
    assert [notice.damage for notice in notices] == [False]
    assert "opposite phase" in str(notices[0])
    load_audio(wav)  # not an error


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_one_bad_sample_is_silence(wav: Path, value: float) -> None:
    waveform = chirp()
    waveform[2 * RATE] = value
    soundfile.write(wav, waveform, RATE, subtype="FLOAT")
    found, notices = read(wav)
    waveform[2 * RATE] = 0
    np.testing.assert_array_equal(found, waveform)
    assert summary(notices) == ["holds samples that are NaN, infinite or too large for a sound at 2.00 s"]


def test_nothing_but_bad_samples_is_an_error(wav: Path) -> None:
    soundfile.write(wav, np.full(RATE, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="nothing of it can be read"):
        read(wav)


# --------------------------------------------------------------------------------------- what FFmpeg reads, both ways


def mux(path: Path, tracks: Sequence[tuple[str, np.ndarray, float]], gap: tuple[float, float] | None = None) -> Path:
    """Sound tracks, each of a codec, a waveform at 16 kHz and the seconds at which it begins; without the packets
    between the seconds of `gap`, as recorders of conversations leave out pauses."""
    import av

    def seconds(packet: av.Packet) -> float:
        return float(cast(int, packet.dts) * packet.time_base)

    with av.open(str(path), "w") as container:
        packets: list[tuple[float, Any]] = []
        for codec, waveform, start in tracks:
            rate = 48_000 if codec == "libopus" else RATE
            stream = cast(av.AudioStream, container.add_stream(codec, rate=rate, layout="mono"))
            stream.codec_context.open()
            size = stream.codec_context.frame_size * RATE // rate
            resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
            for first in range(0, len(waveform), size):
                part = np.pad(waveform[first : first + size], (0, max(0, first + size - len(waveform))))
                frame = av.AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, round(start * RATE) + first, Fraction(1, RATE)
                for ready in resampler.resample(frame):
                    for packet in stream.encode(ready):
                        packets.append((seconds(packet), packet))
            packets += [(seconds(packet), packet) for packet in stream.encode(None)]
        for time, packet in sorted(packets, key=lambda item: item[0]):
            if not (gap and gap[0] <= time < gap[1]):
                container.mux(packet)
    return path


ROUTES = [pytest.param(AvReader, marks=needs_av), pytest.param(FfmpegReader, marks=needs_ffmpeg)]


def by_route(route: type, path: Path, track: int | None = None) -> tuple[np.ndarray, int, list[Notice]]:
    notices: list[Notice] = []
    with open_file(path) as file:
        sound = SoundFile(path, route(file, path, track))
        return np.concatenate(list(sound.blocks(report=notices.append))), sound.sample_rate, notices


@needs_av
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("name", "codec"), [("gap.webm", "libopus"), ("gap.mkv", "aac")])
def test_gaps_between_packets_are_silence(tmp_path: Path, route: type, name: str, codec: str) -> None:
    path = mux(tmp_path / name, [(codec, chirp(), 0.0)], gap=(2.0, 4.0))
    waveform, rate, notices = by_route(route, path)
    assert len(waveform) / rate == pytest.approx(SECONDS, abs=0.15)
    assert not waveform[round(2.2 * rate) : round(3.9 * rate)].any()
    assert_in_time(waveform, chirp(rate=rate), rate, (0.5, 1.5, 4.5, 5.5), 0.002)
    assert not notices


@needs_av
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("ending", ["mkv", "mp4", "webm", "caf"])
def test_a_players_tag_before_any_container(tmp_path: Path, route: type, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "caf":
        write(path)
    else:
        mux(path, [("libopus" if ending == "webm" else "aac", chirp(), 0.0)])
    waveform, rate, _ = by_route(route, path)
    tagged, _, notices = by_route(route, changed(path, lambda data: ID3 + data))
    assert not notices
    np.testing.assert_array_equal(tagged, waveform)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts"])
def test_sound_that_begins_late_keeps_its_time(tmp_path: Path, route: type, ending: str) -> None:
    path = mux(tmp_path / f"late.{ending}", [("aac", np.full(16 * 1024, 1e-3, np.float32), 0.0), ("aac", chirp(), 3.0)])
    waveform, rate, notices = by_route(route, path, 1)
    assert len(waveform) / rate == pytest.approx(SECONDS + 3, abs=0.15)
    assert not waveform[: round(2.8 * rate)].any()
    wanted = np.concatenate([np.zeros(3 * RATE, np.float32), chirp()])
    assert_in_time(waveform, wanted, rate, (3.5, 5, 8), 0.065)  # MPEG-TS does not tell the encoder's delay
    assert not lost(notices)


@needs_av
@pytest.mark.parametrize("route", ROUTES)
def test_other_tracks_may_last_longer(tmp_path: Path, route: type) -> None:
    for ending in ("mkv", "mp4"):
        path = mux(tmp_path / f"long.{ending}", [("aac", chirp(), 0.0), ("aac", chirp(9), 0.0)])
        waveform, rate, notices = by_route(route, path, 0)
        assert len(waveform) / rate == pytest.approx(SECONDS, abs=0.15)
        assert not notices


@needs_av
@pytest.mark.parametrize("route", ROUTES)
def test_damage_within_a_container_is_told_and_times_stay(tmp_path: Path, route: type) -> None:
    path = changed(mux(tmp_path / "a.m4a", [("aac", chirp(), 0.0)]), spoil)
    waveform, rate, notices = by_route(route, path)
    assert len(waveform) / rate == pytest.approx(SECONDS, abs=0.15)
    assert notices and all(notice.damage for notice in notices)
    stretches = [notice.lost for notice in notices if notice.lost]
    start, stop = min(a for a, _ in stretches), max(b for _, b in stretches)
    assert stop - start < 0.5
    assert_same(waveform, chirp(), [(start - 0.1, stop + 0.1)])


@needs_av
@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.mkv"])
def test_both_ways_give_the_same_samples(tmp_path: Path, name: str) -> None:
    path = mux(tmp_path / name, [("libopus" if name == "a.webm" else "aac", chirp(), 0.0)])
    first, second = by_route(AvReader, path), by_route(FfmpegReader, path)
    count = min(len(first[0]), len(second[0]))
    assert first[1] == second[1] and abs(len(first[0]) - len(second[0])) < 0.02 * first[1]
    np.testing.assert_allclose(first[0][:count], second[0][:count], atol=1e-3)


@needs_av
def test_the_main_track_is_read_unless_another_is_chosen(tmp_path: Path) -> None:
    import av

    silence = np.full(SECONDS * RATE, 1e-3, np.float32)
    path = mux(tmp_path / "film.mkv", [("aac", silence, 0.0), ("aac", chirp(), 0.0)])
    marked = tmp_path / "marked.mkv"
    with av.open(str(path)) as source, av.open(str(marked), "w") as target:
        streams = [target.add_stream_from_template(stream) for stream in source.streams.audio]
        streams[0].disposition, streams[1].disposition = 0, av.stream.Disposition.default  # type: ignore[assignment]
        streams[1].metadata["language"] = "deu"
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    waveform, notices = read(marked)
    assert_same(waveform, chirp())
    assert summary(notices) == ["2 sound tracks (0, 1 deu): track 1 is read"]
    load_audio(marked)  # not an error
    chosen, notices = read(marked, track=0)
    assert np.abs(chosen).max() < 0.05 and not notices
    with pytest.raises(AudioError, match=r"has 2 sound track\(s\), no track 2"):
        load_audio(marked, track=2)


@needs_av
def test_tags_in_any_coding(tmp_path: Path) -> None:
    path = mux(tmp_path / "a.m4a", [("aac", chirp(), 0.0)])
    import av

    tagged = tmp_path / "tagged.m4a"
    with av.open(str(path)) as source, av.open(str(tagged), "w") as target:
        target.metadata["title"] = "Muenchen"
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    latin = changed(tagged, lambda data: bytes(data).replace(b"Muenchen", b"M\xfcnchen!"))
    assert b"M\xfcnchen!" in latin.read_bytes()
    for route in (AvReader, FfmpegReader) if has_ffmpeg() else (AvReader,):
        assert_same(by_route(route, latin)[0], chirp())


# ------------------------------------------------------------------------------------------ files that name other files


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\nfile://{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{0}'\n",
        '<?xml version="1.0"?>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT6S">'
        "<Period><AdaptationSet><Representation id='0' mimeType='audio/wav' bandwidth='1'><BaseURL>file://{0}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>",
    ],
    ids=["hls", "ffconcat", "dash"],
)
def test_playlists_open_no_other_file(tmp_path: Path, wav: Path, route: type, playlist: str) -> None:
    for name in ("list.wav", "list.m3u8", "list.mp4"):
        path = tmp_path / name
        path.write_text(playlist.format(wav), encoding="utf-8")
        with pytest.raises(AudioError, match="not audio, or damaged"):
            by_route(route, path)
        with pytest.raises(AudioError):
            load_audio(path)


# -------------------------------------------------------------------------------------------- pipes, devices and names


def test_a_named_pipe_is_read(tmp_path: Path, wav: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(wav.read_bytes()))
    writer.start()
    np.testing.assert_array_equal(load_audio(pipe)[0], load_audio(wav)[0])
    writer.join()


def test_devices_are_no_files() -> None:
    with pytest.raises(AudioError, match="/dev/zero: is a device, not a file"):
        load_audio("/dev/zero")


@needs_av
@pytest.mark.parametrize("ending", ["wav", "m4a"])
def test_names_that_are_not_utf8(tmp_path: Path, ending: str, wav: Path) -> None:
    source = wav if ending == "wav" else mux(tmp_path / "a.m4a", [("aac", chirp(), 0.0)])
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller." + ending.encode()))
    path.write_bytes(source.read_bytes())
    assert_same(load_audio(path)[0], chirp())
    if ending == "m4a" and has_ffmpeg():
        assert_same(by_route(FfmpegReader, path)[0], chirp())


# ---------------------------------------------------------------------------------------------------------- time line


def test_frames_are_placed_by_their_stamps() -> None:
    notices: list[Notice] = []
    placer = Placer(1000, "lost")
    stamps = [0, 21, 39, 60, 500, 510, None, 100, 121]  # rounded; a gap; one too early; none; a step back
    places = [placer.put(stamp, 20, stamp == 500, notices.append) for stamp in stamps]
    assert places == [0, 20, 40, 60, 500, 520, 540, 560, 580]
    assert [notice.lost for notice in notices] == [(0.08, 0.5)]


def test_a_stretch_that_nobody_waits_for_is_not_filled() -> None:
    placer = Placer(1000, "lost")
    assert placer.put(0, 20, False, lambda notice: None) == 0
    assert placer.put(10**12, 20, False, lambda notice: None) == 20
    assert placer.put(10**12 + 20, 20, False, lambda notice: None) == 40


def test_notices_are_summed_up() -> None:
    notices = [Notice("lost", (float(i), i + 0.5)) for i in range(8)] + [Notice("lost", (7.25, 7.75)), Notice("cut")]
    assert summary(notices) == [
        "lost at 0.00 to 0.50 s, 1.00 to 1.50 s, 2.00 to 2.50 s, 3.00 to 3.50 s, 4.00 to 4.50 s and 3 other places "
        "(4.25 s together)",
        "cut",
    ]


def test_open_sound_tells_what_is_known(wav: Path) -> None:
    with open_sound(wav) as sound:
        assert (sound.sample_rate, sound.num_channels, sound.num_samples) == (RATE, 1, SECONDS * RATE)
        assert not sound.notices
