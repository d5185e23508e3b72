"""JSON as all of it is written: ASCII, valid whatever a name or a header held, one object a line or indented."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .escape import valid

Json = dict[str, Any]


def valid_value(value: Any) -> Any:
    """Return a JSON value with every string (keys too) made `valid`. What JSON does not know becomes text."""
    if isinstance(value, str):
        return valid(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # JSON has no infinity and no NaN
    if isinstance(value, dict):
        return valid_object(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [valid_value(item) for item in value]
    return valid(str(value))


def valid_object(made: Json) -> Json:
    """Return an object with all in it made `valid_value`."""
    return {valid(str(key)): valid_value(item) for key, item in made.items()}


def encode(value: Any, separators: tuple[str, str] = (", ", ": ")) -> str:
    """Return a value on one line, without its end."""
    return json.dumps(valid_value(value), separators=separators)


def write(made: Json, out: Callable[[str], object]) -> None:
    """Write a whole document, indented."""
    out(json.dumps(valid_object(made), indent=2) + "\n")
