"""Speech recognition with a recurrent CTC acoustic model: train, transcribe, evaluate.

One folder for each step from audio to text: audio, text, model, data, lm, decoders, transcription, evaluation.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_model"]  # noqa: F822 - by __getattr__


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds; `asr --help` should not wait for it.
    if name == "load_model":
        from asr.transcription.transcriber import Transcriber

        return Transcriber.load
    raise AttributeError(f"module 'asr' has no attribute {name!r}")
