"""What speech loses on its way: a telephone line, MP3. For augmentation, and for testing how robust a model is.

Waveforms are (S,) float32 and keep their length and their place in time.
"""

import io

import numpy as np
import soundfile

from asr.audio.load import resample

TELEPHONE_RATE = 8000  # Hz
TELEPHONE_BAND = (300.0, 3400.0)  # Hz
MP3_DELAY = 576 + 529  # samples by which LAME and a decoder together are late


def telephone(waveform: np.ndarray, sample_rate: int, band: tuple[float, float] = TELEPHONE_BAND) -> np.ndarray:
    """The band of a telephone line at 8 kHz, coded as there (mu-law, ITU-T G.711)."""
    from scipy.signal import butter, sosfiltfilt

    narrow = resample(waveform, sample_rate, TELEPHONE_RATE)
    sections = butter(4, band, "bandpass", fs=TELEPHONE_RATE, output="sos")
    filtered = sosfiltfilt(sections, narrow, padlen=min(100, len(narrow) - 1)) if len(narrow) else narrow
    coded = _through_file(filtered.astype(np.float32), TELEPHONE_RATE, format="WAV", subtype="ULAW")
    return _fit(resample(coded, TELEPHONE_RATE, sample_rate), len(waveform))


def mp3(waveform: np.ndarray, sample_rate: int, kbits: float = 32.0) -> np.ndarray:
    """Through MP3 at so many kbit/s (8 to 160), for rates of 16 to 24 kHz."""
    # What the codec holds back would be lost without samples that push it out.
    padded = np.concatenate([waveform, np.zeros(2 * MP3_DELAY, np.float32)])
    level = (160 - kbits) / (160 - 8)  # libsndfile's scale, from 160 (0) to 8 kbit/s (1) at these rates
    coded = _through_file(padded, sample_rate, format="MP3", bitrate_mode="CONSTANT", compression_level=level)
    return _fit(coded[MP3_DELAY:], len(waveform))


def _through_file(waveform: np.ndarray, rate: int, **options: object) -> np.ndarray:
    with io.BytesIO() as file:
        soundfile.write(file, waveform.clip(-1, 1), rate, **options)
        file.seek(0)
        heard: np.ndarray = soundfile.read(file, dtype="float32")[0]
        return heard


def _fit(waveform: np.ndarray, length: int) -> np.ndarray:
    """Cut or padded with zeros to this length: resampling may be a sample short."""
    return np.pad(waveform[:length], (0, max(0, length - len(waveform))))
