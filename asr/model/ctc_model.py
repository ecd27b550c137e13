"""CTCModel: waveforms -> features -> encoder -> head -> log-probabilities; and the model folder that holds it.

A model folder needs nothing but this module to load: `config.json`, `model.safetensors`, `tokens.txt` and the
tokenizer's own text files, beside a README.md (the model card). Loading never unpickles.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from asr.errors import ConfigError, ModelError
from asr.model.encoders import EncoderConfig, build_encoder
from asr.model.encoders.recurrent import RecurrentConfig
from asr.model.features import FeatureConfig, Features
from asr.model.folder import Kind, let_all_read, read_config, write_config
from asr.model.weights import read_weights
from asr.settings import build
from asr.text import load_tokenizer
from asr.text.tokenizer import Tokenizer

KIND = Kind("model", "asr train", None)


@dataclass(frozen=True)
class ModelConfig:
    """What the network is made of."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    encoder: EncoderConfig = field(default_factory=RecurrentConfig)


class CTCModel(nn.Module):
    """waveforms (B, S) float at `sample_rate`, num_samples (B,) -> log_probs (B, T', V) float32, num_frames (B,)."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer):
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.folder: Path | None = None  # where it was loaded from
        self.features = Features(config.features)
        self.encoder = build_encoder(config.encoder, config.features.size)
        self.head = nn.Linear(self.encoder.output_size, tokenizer.vocab_size)

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms that the model takes."""
        return self.config.features.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the log-probabilities."""
        return self.config.features.shift_samples * self.encoder.subsampling / self.sample_rate

    @property
    def first_middle(self) -> float:
        """Seconds from a recording's beginning to the middle of its first frame of log-probabilities."""
        return self.config.features.shift_samples * self.encoder.center / self.sample_rate

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def output_frames(self, num_samples: Tensor) -> Tensor:
        """Frames of log-probabilities for so many samples, without running the network."""
        return self.encoder.output_frames(self.features.num_frames(num_samples))

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        return self.classify(*self.features(waveforms, num_samples))

    def classify(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, T, F), num_frames (B,) -> log_probs (B, T', V) float32, num_frames (B,)."""
        encoded, num_frames = self.encoder(features, num_frames)
        return self.log_probs(encoded), num_frames

    def log_probs(self, encoded: Tensor) -> Tensor:
        """What the head says of a layer's output: (B, T', D) -> (B, T', V) float32."""
        scores: Tensor = self.head(encoded)
        return scores.float().log_softmax(dim=-1)

    def save(self, folder: Path | str, card: str = "", dtype: torch.dtype = torch.float32) -> None:
        """Write the model folder; `card` becomes its README.md. dtype: what the weights are stored in."""
        folder = Path(folder)
        write_config(folder, KIND, asdict(self.config), self.tokenizer, card)
        weights = {name: value.detach().cpu().to(dtype).contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        let_all_read(folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path | str) -> "CTCModel":
        """Read a model folder, ready to transcribe on the CPU.

        Raises ModelError where the folder is missing, incomplete, damaged, or of a format this version does not know.
        """
        folder = Path(folder)
        config = read_config(folder, KIND)
        tokenizer = load_tokenizer(folder, config.pop("tokenizer"))
        try:
            settings = build(ModelConfig, config, str(folder / "config.json"))
        except ConfigError as error:
            raise ModelError(f"{folder}: the model cannot be loaded: {error}") from error
        features = Features(settings.features)  # its buffers are computed from the settings, which bound their size
        with torch.device("meta"):
            model = cls(settings, tokenizer)
        model.features = features
        model.load_state_dict(read_weights(folder / "model.safetensors", model), assign=True)
        model.folder = folder
        return model.eval()
