"""A picture of an alignment: waveform with its words, mel spectrogram, emissions with the aligned tokens."""

from pathlib import Path

import numpy as np

from asr.alignment.forced import Alignment
from asr.text.tokenizer import Tokenizer

INCHES_PER_SECOND = 2.0
WIDTH = (8.0, 60.0)  # inches: readable when short, possible when long
BLUE, RED = "#1f5fa8", "#c0392b"
WINDOW, SHIFT = 0.025, 0.010  # seconds, of the spectrogram
MEL_FILTERS = 80
RANGE_DB = 70.0  # of the spectrogram's colours, down from the loudest


def plot(
    path: Path | str,
    waveform: np.ndarray,
    sample_rate: int,
    log_probs: np.ndarray,
    tokenizer: Tokenizer,
    seconds_per_frame: float,
    alignment: Alignment,
) -> None:
    """Write the picture, in the format that the path's suffix names (png, svg, pdf).

    waveform (S,) at `sample_rate` Hz, log_probs (T, V) a frame around every multiple of `seconds_per_frame`. Of the
    emissions only the tokens of the text are shown, in the order of their first use, so that the alignment runs
    downwards. Raises ConfigError for a format that matplotlib does not know, or a path that cannot be written.
    """
    import librosa.display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from asr.errors import ConfigError

    width = float(np.clip(INCHES_PER_SECOND * alignment.duration + 1, *WIDTH))
    figure = Figure(figsize=(width, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[1, 1.4, 1.8])
    librosa.display.waveshow(waveform, sr=sample_rate, ax=top, axis=None, color="0.35", linewidth=0.5)
    loudest = float(np.abs(waveform).max()) or 1.0
    top.set(ylim=(-1.1 * loudest, 1.9 * loudest), yticks=[], ylabel="waveform")
    librosa.display.specshow(
        _mel_decibels(waveform, sample_rate), sr=sample_rate, hop_length=round(SHIFT * sample_rate),
        x_axis="s", y_axis="mel", fmax=sample_rate / 2, ax=middle, cmap="magma",
    )  # fmt: skip
    middle.set(ylabel="Hz", xlabel="")
    shown = list(dict.fromkeys([tokenizer.blank_id, *(tokenizer.ids[token.text] for token in alignment.tokens)]))
    bottom.imshow(
        np.exp(log_probs[:, shown]).T, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest",
        extent=(-seconds_per_frame / 2, (len(log_probs) - 0.5) * seconds_per_frame, len(shown) - 0.5, -0.5),
    )  # fmt: skip
    bottom.set_yticks(range(len(shown)), ["blank" if i == tokenizer.blank_id else tokenizer.tokens[i] for i in shown])
    bottom.set(ylabel="posterior", xlabel="seconds", xlim=(0, alignment.duration))
    for i, word in enumerate(alignment.words):
        for axes, color in ((top, BLUE), (middle, "white"), (bottom, BLUE)):
            axes.axvline(word.start, color=color, linewidth=0.9)
            axes.axvline(word.end, color=color, linewidth=0.9, linestyle=":")
        top.axvspan(word.start, word.end, color=BLUE, alpha=0.12, linewidth=0)
        # In two rows, so that the names of short words do not run into each other.
        height = (1.7, 1.35)[i % 2] * loudest
        top.text((word.start + word.end) / 2, height, word.text, ha="center", va="center", color=BLUE, fontsize=9)
    for token in alignment.tokens:
        row = shown.index(tokenizer.ids[token.text])
        bottom.plot([token.start, token.end], [row, row], color=RED, linewidth=2, solid_capstyle="butt")
    try:
        figure.savefig(path, dpi=110)
    except (ValueError, OSError) as error:
        raise ConfigError(f"--plot {path}: cannot be written: {error}") from error


def _mel_decibels(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Waveform (S,) -> (MEL_FILTERS, T) in dB below the loudest, for the eye: whatever features the model takes."""
    import librosa

    window = round(WINDOW * sample_rate)
    power = librosa.feature.melspectrogram(
        y=librosa.util.fix_length(waveform, size=max(window, len(waveform))), sr=sample_rate,
        n_fft=window, hop_length=round(SHIFT * sample_rate), n_mels=MEL_FILTERS,
    )  # fmt: skip
    decibels: np.ndarray = librosa.power_to_db(power, ref=np.max, top_db=RANGE_DB)
    return decibels
