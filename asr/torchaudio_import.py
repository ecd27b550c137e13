"""torchaudio, also where its compiled extension does not fit the torch at hand.

torchaudio's wheel is built for one version of CUDA. Beside a CPU-only torch its import fails with `OSError:
libc10_cuda.so`, beside a torch for another CUDA with a RuntimeError. What this project uses of it (transforms,
functional, compliance.kaldi) is plain Python and needs no extension, so for these two failures, and no others, it is
imported with `torchaudio._extension` replaced by one that says "not available".

    from asr.torchaudio_import import torchaudio
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

KNOWN_FAILURES = ((OSError, "libc10_cuda"), (OSError, "libcudart"), (RuntimeError, "CUDA version"))


def _is_known(error: BaseException | None) -> bool:
    """Whether the error, or the one that it was raised from, is one of the known failures."""
    if error is None:
        return False
    known = any(isinstance(error, kind) and words in str(error) for kind, words in KNOWN_FAILURES)
    return known or _is_known(error.__cause__)


def _needs_extension(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the real extension module puts around functions that call compiled code."""

    def unavailable(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"torchaudio's {function.__name__} needs its compiled extension, which does not fit this torch"
        )

    return unavailable


def _extension_stub() -> ModuleType:
    stub = ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    stub._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    stub._IS_RIR_AVAILABLE = False  # type: ignore[attr-defined]
    stub.fail_if_no_align = _needs_extension  # type: ignore[attr-defined]
    stub.fail_if_no_rir = _needs_extension  # type: ignore[attr-defined]
    return stub


def import_torchaudio() -> ModuleType:
    """torchaudio, with the stub where its extension cannot be loaded. Other failures are raised as they are."""
    try:
        return importlib.import_module("torchaudio")
    except Exception as error:
        if not _is_known(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
    sys.modules["torchaudio._extension"] = _extension_stub()
    return importlib.import_module("torchaudio")


torchaudio = import_torchaudio()
