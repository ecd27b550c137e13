"""Find, open and describe a model folder: of `asr train` (model.safetensors), `asr export` (model.onnx), or shipped."""

from dataclasses import asdict
from pathlib import Path

from asr.decoders.settings import DecoderSettings
from asr.errors import ModelError
from asr.model.ctc_model import CTCModel
from asr.model.folder import find_model
from asr.model.onnx_model import FILE, OnnxModel

AcousticModel = CTCModel | OnnxModel
"""Called with waveforms (B, S), num_samples (B,); returns log_probs (B, T', V), num_frames (B,)."""


def load_model_folder(name: Path | str | None = None, device: str = "cpu") -> AcousticModel:
    """A model ready to transcribe on that device; name: see `find_model`.

    Raises ModelError for folders and devices that cannot be used.
    """
    folder = find_model(name)
    if (folder / FILE).is_file() and not (folder / "model.safetensors").is_file():
        if device != "cpu":
            raise ModelError(f"{folder}: exported models run on the CPU, not on {device!r}: use the model it came from")
        return OnnxModel.load(folder)
    model = CTCModel.load(folder)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used: {error}") from error


def describe(model: AcousticModel) -> str:
    """A loaded model's facts, a line each: its folder, what it is made of, its size on disk, how it decodes."""
    assert model.folder
    files = [path for path in model.folder.rglob("*") if path.is_file()]
    network = (
        "exported" if isinstance(model, OnnxModel) else f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M"
    )
    settings = DecoderSettings.of(model)
    searches = settings.lm or settings.lexicon
    unused = {"log_prior"} if settings.rescoring_lm else {"log_prior", "rescoring_weight", "rescoring_size"}
    shown = {name: value for name, value in asdict(settings).items() if searches and value and name not in unused}
    return "\n".join(
        [
            f"folder      {model.folder}",
            f"units       {model.tokenizer.kind}, {model.tokenizer.vocab_size} with blank",
            f"parameters  {network}",
            f"audio       {model.sample_rate} Hz, {model.seconds_per_frame * 1000:g} ms a frame",
            f"on disk     {sum(path.stat().st_size for path in files) / 1e6:.1f} MB",
            f"decoding    {'beam search' if searches else 'greedy'}",
            *(f"  {name:20}  {value}" for name, value in shown.items()),
        ]
    )
