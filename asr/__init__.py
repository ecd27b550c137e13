"""Speech recognition with a recurrent CTC acoustic model: train, transcribe, evaluate.

One folder for each step from audio to text: audio, text, model, data, lm, decoders, transcription, evaluation. What is
named here is for users, and described in docs/api.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.api import align, available_models, evaluate, load_model, train
    from asr.decoders import Word
    from asr.errors import UserError
    from asr.transcription.transcriber import Transcriber
    from asr.transcription.transcript import Segment, Transcript

__version__ = "0.1.0"
__all__ = [
    "Segment",
    "Transcriber",
    "Transcript",
    "UserError",
    "Word",
    "__version__",
    "align",
    "available_models",
    "evaluate",
    "load_model",
    "train",
]

_MODULES = {
    "Segment": "asr.transcription.transcript",
    "Transcriber": "asr.transcription.transcriber",
    "Transcript": "asr.transcription.transcript",
    "UserError": "asr.errors",
    "Word": "asr.decoders",
}


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds; `asr --help` should not wait for it.
    if name not in __all__:
        raise AttributeError(f"module 'asr' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES.get(name, "asr.api")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
