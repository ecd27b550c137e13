"""Open a model folder, be it of `asr train` (model.safetensors) or of `asr export` (model.onnx)."""

from pathlib import Path

from asr.errors import ModelError
from asr.model import CTCModel
from asr.onnx_model import FILE, OnnxModel

AcousticModel = CTCModel | OnnxModel
"""Called with waveforms (B, S), num_samples (B,); returns log_probs (B, T', V), num_frames (B,)."""


def load_model_folder(folder: Path | str, device: str = "cpu") -> AcousticModel:
    """A model ready to transcribe on that device. Raises ModelError for folders and devices that cannot be used."""
    folder = Path(folder)
    if (folder / FILE).is_file() and not (folder / "model.safetensors").is_file():
        if device != "cpu":
            raise ModelError(f"{folder}: exported models run on the CPU, not on {device!r}: use the model it came from")
        return OnnxModel.load(folder)
    model = CTCModel.load(folder)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used: {error}") from error
