"""A recogniser that needs no training: a symbol is a pure tone, silence is the blank, the weights are set by hand.

The recurrent layer is a plain one without recurrence; each unit listens to one bin of the spectrum.
"""

from functools import cache

import numpy as np
import torch

from asr.model.ctc_model import CTCModel, ModelConfig
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig
from asr.text.tokenizer import BLANK, CharacterTokenizer

RATE = 8_000  # Hz
SYMBOL = 0.12  # seconds
SYMBOLS = " ABCDEFGHIJ"
PITCHES = {symbol: 312.5 + 250.0 * i for i, symbol in enumerate(SYMBOLS)}  # Hz, middles of bins
THRESHOLD = 4.0  # log power above which a symbol is heard


@cache
def tone_model() -> CTCModel:
    features = FeatureConfig(kind="spectrogram", sample_rate=RATE, cmvn="none")
    encoder = RecurrentConfig(
        cell="rnn_relu", num_layers=1, hidden_size=len(SYMBOLS), bidirectional=False, layer_norm=False, dropout=0.0,
        subsampling="stack", subsampling_factor=2,
    )  # fmt: skip
    model = CTCModel(ModelConfig(features, encoder), CharacterTokenizer([BLANK, *SYMBOLS]))
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        layer = model.encoder.layers[0].rnn  # type: ignore[index, union-attr]
        for unit, pitch in enumerate(PITCHES.values()):
            bin_of_pitch = round(pitch / RATE * features.fft_size)
            layer.weight_ih_l0[unit, [bin_of_pitch, bin_of_pitch + features.size]] = 0.5
            layer.bias_ih_l0[unit] = -THRESHOLD
            model.head.weight[1 + unit, unit] = 5.0
        model.head.bias[0] = 2.0
    return model.eval()


def say(text: str, before: float = 0.1, after: float = 0.1) -> np.ndarray:
    """(S,) float32 at RATE: the symbols, with seconds of silence around them."""
    time = np.arange(int(SYMBOL * RATE)) / RATE
    tones = [0.4 * np.hanning(len(time)) * np.sin(2 * np.pi * PITCHES[symbol] * time) for symbol in text]
    waveform = np.concatenate([np.zeros(round(before * RATE)), *tones, np.zeros(round(after * RATE))])
    noise = np.random.default_rng(len(waveform)).standard_normal(len(waveform))
    return (waveform + 0.0005 * noise).astype(np.float32)
