"""What several test files share."""

import os
import signal
from pathlib import Path

import pytest

# Tests run tiny networks, and sub-processes beside each other: threads that spin while they wait would starve them.
# Before torch is imported, which reads both.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What runs in the background of a shell's script is started with SIGINT ignored, and hands that on: some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with copies of public corpora: $ASR_MIRROR, else ../shared/mirror beside the checkout."""
    folder = Path(os.environ.get("ASR_MIRROR", Path(__file__).parents[2] / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}: set ASR_MIRROR to a folder that holds them")
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the recogniser of tones, for tests that only read it."""
    from tests.tone_model import tone_model

    folder = tmp_path_factory.mktemp("model")
    tone_model().save(folder)
    return str(folder)
