"""torchaudio imports beside any torch, and a failure that is not one of the two known ones is not hidden."""

import importlib
import sys
from types import ModuleType

import pytest
import torch

from asr import torchaudio_import


def test_transforms_and_kaldi_features_work() -> None:
    torchaudio = torchaudio_import.torchaudio
    waveform = torch.randn(1, 16_000)
    assert torchaudio.transforms.MelSpectrogram(16_000, n_mels=40)(waveform).shape[1] == 40
    assert importlib.import_module("torchaudio.compliance.kaldi").fbank(waveform).shape == (98, 23)


@pytest.mark.parametrize(
    "error",
    [OSError("libc10_cuda.so: cannot open shared object file"), RuntimeError("... different CUDA versions ...")],
)
def test_known_failures_are_retried_with_the_stub(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    real, calls = ModuleType("torchaudio"), []

    def imported(name: str) -> ModuleType:
        calls.append(name)
        if len(calls) == 1:
            raise error
        assert not sys.modules["torchaudio._extension"]._IS_TORCHAUDIO_EXT_AVAILABLE
        return real

    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torchaudio"}
    monkeypatch.setattr(importlib, "import_module", imported)
    try:
        assert torchaudio_import.import_torchaudio() is real
        assert len(calls) == 2
        with pytest.raises(RuntimeError, match="needs its compiled extension"):
            sys.modules["torchaudio._extension"].fail_if_no_align(len)()
    finally:
        sys.modules.pop("torchaudio._extension", None)
        sys.modules.update(kept)


@pytest.mark.parametrize("error", [ImportError("no torchaudio"), OSError("disk"), RuntimeError("other")])
def test_other_failures_are_raised(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def imported(name: str) -> ModuleType:
        raise error

    monkeypatch.setattr(importlib, "import_module", imported)
    with pytest.raises(type(error), match=str(error)):
        torchaudio_import.import_torchaudio()
