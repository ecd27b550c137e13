"""Every format, rate and shape of audio comes out as the same tone; damaged files and impossible wishes are named."""

import importlib.util
import shutil
import wave
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile

from asr.audio.ffmpeg_program import has_ffmpeg
from asr.audio.load import AudioInfo, load_audio, read_info, resample
from asr.errors import AudioError

RATE = 16_000
PITCH = 440.0  # Hz
LEVEL = 0.4

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed")
needs_ffmpeg = pytest.mark.skipif(not has_ffmpeg(), reason="no ffmpeg and ffprobe programs")


def tone(rate: int = RATE, seconds: float = 1.0, pitch: float = PITCH, level: float = LEVEL) -> np.ndarray:
    return (level * np.sin(2 * np.pi * pitch * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def pitch_and_level(waveform: np.ndarray, rate: int) -> tuple[float, float]:
    """Hz of the strongest component, and the amplitude of a pure tone: of the middle, where codecs have settled."""
    edge = len(waveform) // 10
    middle = waveform[edge : len(waveform) - edge]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return int(spectrum.argmax()) * rate / len(middle), float(np.sqrt(2 * np.mean(middle**2)))


def assert_is_tone(waveform: np.ndarray, rate: int, level: float = LEVEL, tolerance: float = 0.02) -> None:
    assert waveform.ndim == 1 and waveform.dtype == np.float32 and waveform.flags.writeable
    found_pitch, found_level = pitch_and_level(waveform, rate)
    assert found_pitch == pytest.approx(PITCH, abs=2.0)  # Hz; a bin is 1.25 wide
    assert found_level == pytest.approx(level, abs=tolerance)


def cut(path: Path, share: float = 0.6) -> Path:
    """The file without its end."""
    whole = path.read_bytes()
    short = path.with_name(f"cut-{path.name}")
    short.write_bytes(whole[: int(len(whole) * share)])
    return short


# ---------------------------------------------------------------------------------------------------------- resample


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(8_000, 16_000), (11_025, 16_000), (44_100, 16_000), (48_000, 16_000), (16_000, 8_000)]
)
def test_resampling_keeps_pitch_level_and_length(from_rate: int, to_rate: int) -> None:
    waveform = resample(tone(from_rate), from_rate, to_rate)
    assert abs(len(waveform) - to_rate) <= 1
    assert_is_tone(waveform, to_rate, tolerance=0.005)


def test_resampling_leaves_nothing_above_half_the_rate() -> None:
    """A tone of 6 kHz has no place at 8 kHz: it must vanish, not come back at 2 kHz."""
    waveform = resample(tone(16_000, pitch=6_000.0), 16_000, 8_000)
    assert np.abs(waveform[800:-800]).max() < 1e-3


def test_same_rate_is_the_same_array() -> None:
    waveform = tone()
    assert resample(waveform, RATE, RATE) is waveform


# ----------------------------------------------------------------------------------------------------------- formats

CONTAINERS = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST", "IRCAM", "SVX"]
CODINGS = [
    (container, coding)
    for container in CONTAINERS
    if container in soundfile.available_formats()
    for coding in soundfile.available_subtypes(container)
    if soundfile.check_format(container, coding)
    and not coding.startswith("DWVW")  # which libsndfile writes and cannot read
    and not (coding.startswith("MPEG") and (container, coding) != ("MP3", "MPEG_LAYER_III"))  # which it does not write
]
COARSE = {"PCM_S8", "PCM_U8", "VORBIS", "OPUS", "MPEG_LAYER_III", "GSM610", "IMA_ADPCM", "MS_ADPCM", "ULAW", "ALAW"}


@pytest.mark.parametrize(("container", "coding"), CODINGS)
def test_every_format_that_libsndfile_writes(tmp_path: Path, container: str, coding: str) -> None:
    # Codecs from before speech recognition are made for telephones.
    rate = 8_000 if coding.startswith(("G72", "NMS", "GSM", "DPCM")) else RATE
    path = tmp_path / f"tone.{container.lower()}"
    try:
        soundfile.write(path, tone(rate), rate, format=container, subtype=coding)
    except soundfile.LibsndfileError as error:
        pytest.skip(f"libsndfile does not write it: {error}")
    found = read_info(path)
    assert (found.sample_rate, found.num_channels) == (rate, 1)
    assert found.duration == pytest.approx(1.0, abs=0.1)  # coded in blocks
    waveform, loaded_rate = load_audio(path)
    assert (len(waveform), loaded_rate) == (found.num_samples, found.sample_rate)
    assert_is_tone(waveform[:rate], rate, tolerance=0.05 if coding in COARSE or rate == 8_000 else 0.005)
    part, _ = load_audio(path, offset=0.3, duration=0.2)
    first = round(0.3 * found.sample_rate)
    np.testing.assert_allclose(part, waveform[first : first + len(part)], atol=1e-4)
    assert len(part) == round(0.2 * found.sample_rate)
    resampled, _ = load_audio(path, 11_025)
    assert_is_tone(resampled[:11_025], 11_025, tolerance=0.05 if coding in COARSE or rate == 8_000 else 0.005)


def test_nist_sphere_written_by_hand(tmp_path: Path) -> None:
    """As the Linguistic Data Consortium ships it: big-endian samples behind a header of text."""
    samples = (tone() * 32767).astype(">i2")
    fields = ["channel_count -i 1", "sample_count -i 16000", "sample_rate -i 16000", "sample_n_bytes -i 2"]
    fields += ["sample_byte_format -s2 10", "sample_sig_bits -i 16", "sample_coding -s3 pcm", "end_head", ""]
    path = tmp_path / "tone.sph"
    path.write_bytes("\n".join(["NIST_1A", "   1024", *fields]).encode().ljust(1024) + samples.tobytes())
    assert read_info(path) == AudioInfo(16_000, 16_000, 1)
    assert_is_tone(*load_audio(path), tolerance=0.005)


def test_size_left_open_by_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    for size in (0xFFFFFFFF, 0x7FFFF000):  # as ffmpeg and sox write it
        content[40:44] = size.to_bytes(4, "little")
        path.write_bytes(content)
        assert len(load_audio(path)[0]) == read_info(path).num_samples == RATE


# ----------------------------------------------------------------------------------------------- channels, parts, rate


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    """The tone on the left, silence on the right."""
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(), np.zeros(RATE, np.float32)], axis=1), RATE, subtype="FLOAT")
    return path


def test_stereo_is_averaged_unless_a_channel_is_chosen(stereo: Path) -> None:
    assert read_info(stereo) == AudioInfo(RATE, RATE, 2)
    np.testing.assert_allclose(load_audio(stereo)[0], tone() / 2, atol=1e-7)
    np.testing.assert_array_equal(load_audio(stereo, channel=0)[0], tone())
    np.testing.assert_array_equal(load_audio(stereo, channel=1)[0], np.zeros(RATE))


@pytest.mark.parametrize("channel", [2, -1])
def test_channel_that_is_not_there(stereo: Path, channel: int) -> None:
    with pytest.raises(AudioError, match=rf"stereo.wav: has 2 channel\(s\), no channel {channel}"):
        load_audio(stereo, channel=channel)


def test_part_of_a_file(stereo: Path) -> None:
    part, rate = load_audio(stereo, offset=0.25, duration=0.5, channel=0)
    np.testing.assert_array_equal(part, tone()[4_000:12_000])
    assert rate == RATE
    np.testing.assert_array_equal(load_audio(stereo, offset=0.75, channel=0)[0], tone()[12_000:])
    part, rate = load_audio(stereo, 8_000, offset=0.25, duration=0.5)
    assert (len(part), rate) == (4_000, 8_000)


@pytest.mark.parametrize("offset", [0.5, 62.0])
def test_part_of_an_mp3_is_exact(tmp_path: Path, capfd: pytest.CaptureFixture, offset: float) -> None:
    """A frame needs bits of earlier ones."""
    path = tmp_path / "tone.mp3"
    soundfile.write(path, tone(seconds=64), RATE)
    whole = load_audio(path)[0]
    np.testing.assert_allclose(whole, soundfile.read(path)[0], atol=1e-4)  # read in one
    for first in (offset, offset + 0.111):
        part = load_audio(path, offset=first, duration=0.5)[0]
        np.testing.assert_allclose(part, whole[round(first * RATE) :][: len(part)], atol=1e-4)
    assert not capfd.readouterr().err  # nor does it spoil the terminal


def test_seeking_does_not_decode_what_comes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, tone(seconds=5), RATE)
    read, asked = soundfile.SoundFile.read, []

    def counting(self: soundfile.SoundFile, frames: int = -1, **settings: object) -> np.ndarray:
        asked.append(frames)
        return read(self, frames, **settings)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    load_audio(path, offset=4, duration=0.5)
    read_info(path)
    assert asked == [RATE // 2]


def test_lengths_may_be_rounded_but_not_wrong(stereo: Path) -> None:
    assert len(load_audio(stereo, offset=0.5, duration=0.6)[0]) == RATE // 2
    with pytest.raises(AudioError, match=r"stereo.wav: truncated: 2.50 s were expected, 1.00 s are there"):
        load_audio(stereo, offset=0.5, duration=2)
    with pytest.raises(AudioError, match=r"stereo.wav: lasts 1.00 s, so there is nothing at 3 s"):
        load_audio(stereo, offset=3)


@pytest.mark.parametrize(("offset", "duration"), [(-1, None), (float("nan"), None), (0, 0), (0, -1)])
def test_impossible_parts(stereo: Path, offset: float, duration: float | None) -> None:
    with pytest.raises(AudioError, match="stereo.wav: asked for"):
        load_audio(stereo, offset=offset, duration=duration)


# ------------------------------------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("read", [read_info, load_audio])
def test_files_that_are_none(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(AudioError, match="gone.wav: no such file"):
        read(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="is a folder, not a file"):
        read(tmp_path)
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(AudioError, match=r"empty.wav: the file is empty \(0 bytes\)"):
        read(path)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "opus", "m4a", "txt"])
@pytest.mark.parametrize("read", [read_info, load_audio])
def test_text_is_not_audio(tmp_path: Path, suffix: str, read) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"notes.{suffix}"
    path.write_text("These are words about a recording. " * 50, encoding="utf-8")
    with pytest.raises(AudioError, match=rf"notes\.{suffix}: (not audio|has no audio track|the file holds no audio)"):
        read(path)


@pytest.mark.parametrize("suffix", ["raw", "vox", "gsm", "au", "snd"])
@pytest.mark.parametrize("read", [read_info, load_audio])
def test_samples_without_a_header_are_not_guessed(tmp_path: Path, suffix: str, read) -> None:  # type: ignore[no-untyped-def]
    """libsndfile takes anything for audio if its name ends like this."""
    path = tmp_path / f"tone.{suffix}"
    path.write_bytes((tone() * 32767).astype("<i2").tobytes())
    with pytest.raises(AudioError, match=rf"tone\.{suffix}: no header says"):
        read(path)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU"])
@pytest.mark.parametrize("read", [read_info, load_audio])
def test_header_without_samples(tmp_path: Path, container: str, read) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"nothing.{container.lower()}"
    soundfile.write(path, np.zeros(0, np.float32), RATE, format=container)
    with pytest.raises(AudioError, match=r"nothing\..*no audio samples"):
        read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    waveform = tone()
    waveform[RATE // 2] = value
    path = tmp_path / "broken.wav"
    soundfile.write(path, waveform, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"broken.wav: holds samples that are NaN, infinite"):
        load_audio(path)
    assert len(load_audio(path, duration=0.4)[0]) == 6_400  # the part before is whole


@pytest.mark.parametrize(
    ("container", "coding"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("SVX", "PCM_16"),
        ("NIST", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
    ],
)
def test_files_that_were_cut_tell_at_once(tmp_path: Path, container: str, coding: str) -> None:
    path = tmp_path / f"tone.{container.lower()}"
    soundfile.write(path, tone(seconds=3), RATE, format=container, subtype=coding)
    short = cut(path)
    for read in (read_info, load_audio):
        with pytest.raises(AudioError, match=rf"cut-tone.{container.lower()}: truncated"):
            read(short)


@pytest.mark.parametrize("container", ["FLAC", "MP3"])
def test_files_that_were_cut_tell_when_read(tmp_path: Path, container: str, capfd: pytest.CaptureFixture) -> None:
    path = tmp_path / f"tone.{container.lower()}"
    soundfile.write(path, tone(seconds=3), RATE, format=container)
    with pytest.raises(AudioError, match=rf"cut-tone.{container.lower()}: (damaged audio|truncated)"):
        load_audio(cut(path))
    capfd.readouterr()  # libmpg123 writes warnings to the terminal


def test_wav_with_a_few_bytes_less_is_taken(tmp_path: Path) -> None:
    """Some recorders count the 44 bytes of the header."""
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((tone() * 32767).astype("<i2").tobytes())
    content = bytearray(path.read_bytes())
    content[40:44] = (2 * RATE + 44).to_bytes(4, "little")
    path.write_bytes(content)
    assert len(load_audio(path)[0]) == RATE


def test_too_short_to_resample(tmp_path: Path) -> None:
    path = tmp_path / "click.wav"
    soundfile.write(path, np.ones(1, np.float32), 48_000)
    assert len(load_audio(path)[0]) == 1
    with pytest.raises(AudioError, match=r"click.wav: 1 samples at 48000 Hz are too few"):
        load_audio(path, 8_000)


# --------------------------------------------------------------------------------------------------- PyAV and ffmpeg


def write_with_av(path: Path, codec: str, waveform: np.ndarray, rate: int, **options: str) -> Path:
    """waveform (S,) or (channels, S)."""
    import av

    waveform = np.atleast_2d(waveform)
    layout = {1: "mono", 2: "stereo"}[len(waveform)]
    with av.open(str(path), "w", options=options) as container:
        stream = cast(av.AudioStream, container.add_stream(codec, rate=rate, layout=layout))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(params=[pytest.param("av", marks=needs_av), pytest.param("ffmpeg", marks=needs_ffmpeg)])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Decode with PyAV, then with the ffmpeg program."""
    if request.param == "ffmpeg":
        monkeypatch.setattr("asr.audio.sound_file.has_av", lambda: False)
    return str(request.param)


@needs_av
@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("tone.m4a", "aac", 44_100),
        ("tone.mp4", "aac", RATE),
        ("tone.webm", "libopus", 48_000),
        ("tone.aac", "aac", RATE),
    ],
)
def test_what_libsndfile_does_not_read(tmp_path: Path, elsewhere: str, name: str, codec: str, rate: int) -> None:
    path = write_with_av(tmp_path / name, codec, tone(rate, seconds=2), rate)
    found = read_info(path)
    assert (found.sample_rate, found.num_channels) == (rate, 1)
    assert found.duration == pytest.approx(2.0, abs=0.15)  # encoders pad at both ends
    waveform, loaded_rate = load_audio(path)
    assert loaded_rate == rate
    assert_is_tone(waveform, rate)
    part, _ = load_audio(path, offset=0.5, duration=0.25)
    assert len(part) == rate // 4
    np.testing.assert_allclose(part, waveform[rate // 2 :][: len(part)], atol=1e-3)
    assert_is_tone(*load_audio(path, 8_000))


@needs_av
def test_stereo_m4a(tmp_path: Path, elsewhere: str) -> None:
    both = np.stack([tone(seconds=2), np.zeros(2 * RATE, np.float32)])
    path = write_with_av(tmp_path / "stereo.m4a", "aac", both, RATE)
    assert read_info(path).num_channels == 2
    assert_is_tone(*load_audio(path), level=LEVEL / 2)
    assert_is_tone(*load_audio(path, channel=0))
    assert np.abs(load_audio(path, channel=1)[0]).max() < 0.02


@needs_av
@pytest.mark.parametrize(("name", "codec"), [("tone.m4a", "aac"), ("tone.webm", "libopus")])
def test_cut_and_impossible_parts_elsewhere(tmp_path: Path, elsewhere: str, name: str, codec: str) -> None:
    path = write_with_av(tmp_path / name, codec, tone(48_000, seconds=3), 48_000, movflags="faststart")
    with pytest.raises(AudioError, match=rf"cut-{name}: (damaged audio|truncated)"):
        load_audio(cut(path))
    with pytest.raises(AudioError, match=rf"{name}: truncated: 9.00 s were expected"):
        load_audio(path, offset=1, duration=8)
    with pytest.raises(AudioError, match=rf"{name}: lasts 3.\d\d s, so there is nothing at 7 s"):
        load_audio(path, offset=7)


@needs_av
def test_mp3_without_its_tag_is_read_to_its_end(tmp_path: Path, elsewhere: str) -> None:
    """libsndfile guesses the length from the first frames: of this file, whose start is loud, it drops the rest."""
    rng = np.random.default_rng(0)
    waveform = np.concatenate([0.5 * rng.standard_normal(RATE).clip(-1, 1), np.zeros(9 * RATE)]).astype(np.float32)
    path = tmp_path / "tagless.mp3"
    soundfile.write(path, waveform, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    content = path.read_bytes()
    tag = max(content[:300].find(name) for name in (b"Xing", b"Info"))
    assert tag > 0
    frame = content.index(content[:2], 2)  # frames begin with the same sync word
    path.write_bytes(content[frame:])
    assert soundfile.info(path).duration < 9
    assert read_info(path).duration == pytest.approx(10, abs=0.2)
    assert len(load_audio(path)[0]) / RATE == pytest.approx(10, abs=0.2)


def test_neither_av_nor_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = tmp_path / "memo.m4a"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(500))
    for read in (read_info, load_audio):
        with pytest.raises(AudioError, match=r"memo.m4a: .* install PyAV .* or the ffmpeg program"):
            read(path)


def test_real_opus(mirror: Path) -> None:
    path = next((mirror / "speechocean762").rglob("*.opus"))
    waveform, rate = load_audio(path)
    assert read_info(path) == AudioInfo(rate, len(waveform), 1)
    np.testing.assert_allclose(load_audio(path, offset=0.5, duration=0.5)[0], waveform[8_000:16_000], atol=1e-4)
