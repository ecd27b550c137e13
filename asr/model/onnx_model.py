"""An exported model (asr/model/export.py), run by onnxruntime: `pip install 'asr[onnx]'`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model.ctc_model import CTCModel
from asr.model.features import FeatureConfig, Features
from asr.settings import build
from asr.text import load_tokenizer
from asr.text.tokenizer import Tokenizer

FILE = "model.onnx"
FORMAT = 1
"""Version of the graph's inputs, outputs and metadata."""


class OnnxModel:
    """waveforms (B, S) float32 at `sample_rate`, num_samples (B,) -> log_probs (B, T', V) float32, num_frames (B,).

    What a CTCModel is to those who transcribe and evaluate; on the CPU, without training. The features come from
    asr.model.features (asr/model/export.py says why), the rest from onnxruntime, on as many threads as torch was set to
    when the model was loaded.
    """

    def __init__(self, session: Any, tokenizer: Tokenizer, features: Features, subsampling: int):
        """session: onnxruntime.InferenceSession; subsampling: feature frames in a frame of log-probs."""
        self.session = session
        self.tokenizer = tokenizer
        self.features = features
        self.subsampling = subsampling
        self.device = torch.device("cpu")
        self.folder: Path | None = None  # where it was loaded from

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms that the model takes."""
        return self.features.config.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the log-probabilities."""
        return self.features.config.shift_samples * self.subsampling / self.sample_rate

    def eval(self) -> "OnnxModel":
        """Nothing: there is no other mode."""
        return self

    def output_frames(self, num_samples: Tensor) -> Tensor:
        """Frames of log-probabilities for so many samples, without running the network."""
        return (self.features.num_frames(num_samples) + self.subsampling - 1) // self.subsampling

    def __call__(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("an exported model has the precision that it was exported in")
        features, num_frames = self.features(waveforms, num_samples)
        found = self.session.run(None, {"features": features.numpy(), "num_frames": num_frames.numpy()})
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])

    @staticmethod
    def metadata(model: CTCModel) -> dict[str, str]:
        """What `load` needs to know, to be written into the graph; some of it twice, for other programs to read."""
        values = {
            "format": FORMAT,
            "sample_rate": model.sample_rate,
            "seconds_per_frame": model.seconds_per_frame,
            "subsampling": model.encoder.subsampling,
            "tokenizer": json.dumps(model.tokenizer.to_config()),
            "features": json.dumps(asdict(model.config.features)),
            "statistics": json.dumps({name: value.tolist() for name, value in model.features.state_dict().items()}),
        }
        return {f"asr.{name}": str(value) for name, value in values.items()}

    @classmethod
    def load(cls, folder: Path | str) -> "OnnxModel":
        """Read the folder that `asr export` wrote.

        Raises ModelError where onnxruntime is missing, or the folder is damaged or of another make.
        """
        onnxruntime = import_onnxruntime()
        path = Path(folder) / FILE
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors alone
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes share no base but this
            raise ModelError(f"{path}: the model cannot be loaded: {error}") from error
        values = session.get_modelmeta().custom_metadata_map
        if values.get("asr.format") != str(FORMAT):
            found = values.get("asr.format", "none")
            raise ModelError(f"{path}: format {found}, wanted {FORMAT}: export the model again with this asr")
        tokenizer = load_tokenizer(folder, json.loads(values["asr.tokenizer"]))
        if (outputs := session.get_outputs()[0].shape[2]) != tokenizer.vocab_size:
            raise ModelError(f"{folder}: tokens.txt has {tokenizer.vocab_size} tokens, the model has {outputs}")
        features = Features(build(FeatureConfig, json.loads(values["asr.features"]), str(path)))
        statistics = json.loads(values["asr.statistics"])
        features.load_state_dict({name: torch.tensor(value) for name, value in statistics.items()})
        model = cls(session, tokenizer, features, int(values["asr.subsampling"]))
        model.folder = Path(folder)
        return model


def import_onnxruntime() -> Any:
    """The module onnxruntime; raises ModelError where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"exported models need {error.name}: pip install 'asr[onnx]'") from error
    return onnxruntime
