"""What several test files share."""

import os
from pathlib import Path

import pytest

# Tests run tiny networks, and sub-processes beside each other: threads that spin while they wait would starve them.
# Before torch is imported, which reads both.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with copies of public corpora: $ASR_MIRROR, else ../shared/mirror beside the checkout."""
    folder = Path(os.environ.get("ASR_MIRROR", Path(__file__).parents[2] / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}: set ASR_MIRROR to a folder that holds them")
    return folder
