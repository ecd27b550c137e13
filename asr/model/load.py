"""Open a model folder: of `asr train` (model.safetensors), of `asr export` (model.onnx), or shipped."""

import os

import torch

from asr.errors import ModelError
from asr.model.checksums import verify
from asr.model.contract import AcousticModel
from asr.model.ctc_model import CTCModel
from asr.model.folder import find_model
from asr.model.onnx_model import FILE, OnnxModel


def load_model_folder(name: str | os.PathLike[str] | None = None, device: str = "cpu") -> AcousticModel:
    """A model ready to transcribe on that device; name: see `find_model`; device "auto": a GPU if there is one.

    Raises ModelError for folders and devices that cannot be used.
    """
    folder = find_model(name)
    verify(folder)
    if (folder / FILE).is_file() and not (folder / "model.safetensors").is_file():
        if device not in ("cpu", "auto"):
            raise ModelError(f"{folder}: exported models run on the CPU, not on {device!r}: use the model it came from")
        return OnnxModel.load(folder)
    model = CTCModel.load(folder)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used: {error}") from error
