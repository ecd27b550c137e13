"""Dictionaries to dataclasses."""

from dataclasses import dataclass, field

import pytest

from asr.errors import ConfigError
from asr.settings import build


@dataclass(frozen=True)
class Inner:
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ConfigError(f"inner.size: found {self.size}, wanted 0 or more")


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    names: list[str] = field(default_factory=list)


def test_nested() -> None:
    assert build(Outer, {"inner": {"size": 2}, "names": ["a"]}, "x") == Outer(Inner(2), None, ["a"])


def test_unknown_key_inside_an_optional_section() -> None:
    with pytest.raises(ConfigError, match=r"maybe\.sise: unknown key; did you mean size"):
        build(Outer, {"maybe": {"sise": 1}}, "x")


def test_impossible_value_and_unknown_key_together() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Outer, {"inner": {"size": -1}, "other": 1}, "recipe.yaml")
    assert "recipe.yaml" in str(caught.value)
    assert "inner.size: found -1" in str(caught.value)
    assert "other: unknown key" in str(caught.value)
