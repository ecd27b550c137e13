"""Plain dictionaries to configuration dataclasses, with every mistake reported at once."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args

from asr.errors import ConfigError

T = TypeVar("T")


def parse_json(text: str) -> Any:
    """What json.loads gives. Raises ValueError alone, also where the text is nested deeper than Python can go."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply to be read") from None


def require(section: str, *checks: tuple[bool, str, object, str]) -> None:
    """Raise ConfigError for the first check that fails: (is it good, setting, value found, what is wanted).

    section: what the setting's name is prefixed with; "" where it stands for itself, as `--order` does.
    """
    for good, setting, found, wanted in checks:
        if not good:
            raise ConfigError(f"{section}{'.' * bool(section)}{setting}: found {found}, wanted {wanted}")


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested dictionaries as dotted names and values; an empty one is a value."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def build(cls: type[T], values: dict[str, Any], where: str) -> T:
    """Make the dataclass `cls`, nested ones included, from `values`.

    Raises ConfigError listing every unknown key (with the nearest known one), wrong type and impossible value; `where`
    names the source of the values.
    """
    from pydantic import TypeAdapter, ValidationError

    unknown = list(_unknown_keys(cls, values, ()))
    try:
        result = TypeAdapter(cls).validate_python(values)
    except ConfigError as error:
        problems = [*unknown, str(error)]
    except ValidationError as error:
        problems = unknown + [
            f"{'.'.join(str(part) for part in item['loc'])}: found {item['input']!r:.200}: {item['msg']}"
            for item in error.errors()
        ]
    else:
        problems = unknown
        if not problems:
            return result
    raise ConfigError(f"{where}:\n" + "\n".join(f"  {problem}" for problem in problems))


def _unknown_keys(cls: Any, values: Any, path: tuple[str, ...]):  # type: ignore[no-untyped-def]
    """A line for each key that no dataclass on its path has."""
    if not (is_dataclass(cls) and isinstance(values, dict)):
        return
    known = {item.name: item.type for item in fields(cls)}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
            yield f"{'.'.join((*path, str(key)))}: unknown key; {hint}"
        else:
            inner = next((part for part in (known[key], *get_args(known[key])) if is_dataclass(part)), None)
            yield from _unknown_keys(inner, value, (*path, key))
