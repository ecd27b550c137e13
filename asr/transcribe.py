"""Audio to text with a model folder."""

from pathlib import Path

import numpy as np
import torch

from asr import audio
from asr.decoders import Decoder, Hypothesis
from asr.decoders.greedy import GreedyDecoder
from asr.errors import ModelError
from asr.model import CTCModel


class Transcriber:
    """A model and a decoder, ready to turn recordings into text."""

    def __init__(self, model: CTCModel, decoder: Decoder | None = None):
        self.model = model.eval()
        self.decoder = decoder or GreedyDecoder(model.tokenizer, model.seconds_per_frame)

    @classmethod
    def load(cls, folder: Path | str, device: str = "cpu") -> "Transcriber":
        """From a model folder. Raises ModelError for folders and devices that cannot be used."""
        model = CTCModel.load(folder)
        try:
            return cls(model.to(device))
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used: {error}") from error

    def __call__(self, path: Path | str, channel: int | None = None) -> Hypothesis:
        """The best hypothesis for a sound file. Raises AudioError where it cannot be read."""
        waveform, _ = audio.load(path, self.model.sample_rate, channel=channel)
        return self.waveform(waveform)

    @torch.inference_mode()
    def waveform(self, waveform: np.ndarray) -> Hypothesis:
        """The best hypothesis for a waveform (S,) float32 at the model's sample rate."""
        samples = torch.from_numpy(waveform)[None].to(self.model.device)
        log_probs, num_frames = self.model(samples, torch.tensor([len(waveform)], device=samples.device))
        return self.decoder(log_probs, num_frames)[0][0]
