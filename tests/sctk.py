"""NIST's scoring toolkit, where it is installed."""

import shutil

import pytest


def sctk(name: str) -> list[str]:
    """How to call one of its programs; Debian's package sctk has them behind a program `sctk`. Skips without."""
    if shutil.which(name):
        return [name]
    if shutil.which("sctk"):
        return ["sctk", name]
    pytest.skip(f"{name} (Debian package sctk) is not installed")
