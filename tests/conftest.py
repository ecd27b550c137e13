"""What several test files share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with copies of public corpora: $ASR_MIRROR, else ../shared/mirror beside the checkout."""
    folder = Path(os.environ.get("ASR_MIRROR", Path(__file__).parents[2] / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}: set ASR_MIRROR to a folder that holds them")
    return folder
