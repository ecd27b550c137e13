"""An exported model (asr/model/export.py), run by onnxruntime: `pip install 'asr[onnx]'`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.errors import ConfigError, ModelError
from asr.model.contract import log_probs_of
from asr.model.ctc_model import CTCModel
from asr.model.features import FeatureConfig, Features
from asr.settings import build, parse_json
from asr.text import load_tokenizer
from asr.text.tokenizer import Tokenizer

FILE = "model.onnx"
OUTPUTS = ["log_probs", "output_frames"]
SCALES_BATCHES = b"DynamicQuantize"  # how the names of such operators begin, in the file as it is
FORMAT = 1
"""Version of the graph's inputs, outputs and metadata."""


class OnnxModel:
    """waveforms (B, S) float32 at `sample_rate`, num_samples (B,) -> log_probs (B, T', V) float32, num_frames (B,).

    What a CTCModel is to those who transcribe and evaluate; on the CPU, without training. The features come from
    asr.model.features (asr/model/export.py says why), the rest from onnxruntime, on as many threads as torch was set to
    when the model was loaded.
    """

    def __init__(
        self, session: Any, tokenizer: Tokenizer, features: Features, subsampling: int, one_by_one: bool = False
    ):
        """session: onnxruntime.InferenceSession; subsampling: feature frames in a frame of log-probs.

        one_by_one: the graph scales what it computes with by the largest value of the whole batch, as one in int8
        does; each utterance is a batch then, so that what is found in it does not depend on the others. On one thread
        that takes 1.2 times as long for short utterances, 1.1 times for those of half a minute.
        """
        self.session = session
        self.tokenizer = tokenizer
        self.features = features
        self.subsampling = subsampling
        self.one_by_one = one_by_one
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

    @property
    def first_middle(self) -> float:
        """0, as of convolutions, which recipes train: the graph does not tell how it joins frames."""
        return 0.0

    def eval(self) -> "OnnxModel":
        """Nothing: there is no other mode."""
        return self

    def output_frames(self, num_samples: Tensor) -> Tensor:
        """Frames of log-probabilities for so many samples, without running the network."""
        return (self.features.num_frames(num_samples) + self.subsampling - 1) // self.subsampling

    def __call__(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("an exported model has the precision that it was exported in")
        if not self.one_by_one or len(waveforms) == 1:
            return self._run(waveforms, num_samples)
        counts = num_samples.tolist()
        alone = [self._run(waveforms[i : i + 1, :count], num_samples[i : i + 1]) for i, count in enumerate(counts)]
        log_probs = pad_sequence([values[0] for values, _ in alone], batch_first=True)
        return log_probs, torch.cat([frames for _, frames in alone])

    def _run(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        features, num_frames = self.features(waveforms, num_samples)
        try:
            found = self.session.run(OUTPUTS, {"features": features.numpy(), "num_frames": num_frames.numpy()})
            log_probs, frames = map(torch.from_numpy, found)
        except Exception as error:  # onnxruntime's own classes share no base but this
            raise ModelError(f"{self._name()}: onnxruntime cannot run the model: {error}") from error
        # Decoders are compiled, and look at no index: the graph must have given what it was exported to give.
        wanted = self.output_frames(num_samples)
        shape = (len(waveforms), int(wanted.max()), self.tokenizer.vocab_size)
        if log_probs.dtype != torch.float32 or log_probs.shape != shape:
            raise ModelError(
                f"{self._name()}: the model gave log-probs of the type {log_probs.dtype} and the shape "
                f"{tuple(log_probs.shape)}, wanted float32 {shape}, as tokens.txt and its metadata say"
            )
        if frames.tolist() != wanted.tolist():
            raise ModelError(f"{self._name()}: the model gave {frames.tolist()} frames, wanted {wanted.tolist()}")
        return log_probs, frames

    def _name(self) -> str:
        return str(self.folder / FILE) if self.folder else "the exported model"

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
        options.log_severity_level = 4  # nothing: what is wrong is in the exceptions
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # onnxruntime's own classes share no base but this
            raise ModelError(f"{path}: the model cannot be loaded: {error}") from error
        try:
            values = session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: its metadata are not text: {error}") from error
        if values.get("asr.format") != str(FORMAT):
            found = values.get("asr.format", "none")
            raise ModelError(f"{path}: format {found}, wanted {FORMAT}: export the model again with this asr")
        try:
            features = _features({name: values[f"asr.{name}"] for name in ("features", "statistics")}, path)
            subsampling, config = int(values["asr.subsampling"]), parse_json(values["asr.tokenizer"])
            if not 1 <= subsampling <= 100:
                raise ValueError(f"subsampling: found {subsampling}, wanted 1 to 100")
        except KeyError as error:
            raise ModelError(f"{path}: its metadata lack {error}: export the model again with this asr") from error
        except (ValueError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
            raise ModelError(f"{path}: not the metadata of an exported model: {error}") from error
        tokenizer = load_tokenizer(folder, config)
        model = cls(session, tokenizer, features, subsampling, one_by_one=SCALES_BATCHES in path.read_bytes())
        model.folder = Path(folder)
        model._probe()
        return model

    def _probe(self) -> None:
        """Two short utterances: a graph that cannot run, or that gives something else, is told at once."""
        num_samples = torch.tensor([40, 23]) * self.features.config.shift_samples
        log_probs_of(self, torch.zeros(2, int(num_samples[0])), num_samples)


def _features(values: dict[str, str], path: Path) -> Features:
    """Raises ConfigError, and ValueError, TypeError, AttributeError or RuntimeError, for what makes no features."""
    features = Features(build(FeatureConfig, parse_json(values["features"]), str(path)))
    statistics = {name: torch.tensor(value) for name, value in parse_json(values["statistics"]).items()}
    features.load_state_dict(statistics)
    for name, value in features.state_dict().items():
        if not value.isfinite().all() or (name == "std" and not (value > 0).all()):
            raise ValueError(f"statistics: {name} has values that are not finite, or not above 0")
    return features


def import_onnxruntime() -> Any:
    """The module onnxruntime; raises ModelError where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"exported models need {error.name}: pip install 'asr[onnx]'") from error
    return onnxruntime
