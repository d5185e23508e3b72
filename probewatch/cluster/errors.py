"""The one error of manifests and cluster dumps, and how its sentence is made.

Converters raise `FieldError` with the path of the field inside its object; readers, who know the file and the document,
turn it into the `SpecError` that callers see. Values are quoted as JSON, shortened, with control characters escaped:
what comes out of a file never reaches a terminal raw.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

LONGEST_BITS: Final = 1_000
"""Of a number that is written out: Python refuses to write one of thousands of digits (sys.set_int_max_str_digits)."""
QUOTE_LIMIT: Final = 60
"""Characters of a foreign value shown in a message."""
LONGEST_INT: Final = 40
"""Digits of a whole number; beyond, it is read as a float, as Go does beyond 64 bits: Python refuses to read any number of them."""

_TYPE_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_EXPECTED: Final = re.compile(r"Expected `(?P<want>[^`]*)`(?:, got `(?P<got>[^`]*)`)?(?: - at (?P<at>.*))?$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`(?: - at (?P<at>.*))?$")
_UNKNOWN_KEY: Final = re.compile(
    r"Object contains unknown field `(?P<name>.*?)`(?: - at (?P<at>`\$[^`]*`))?$", re.DOTALL
)
NO_SUCH_KEY: Final = "is no key that is known here"
_STEP: Final = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")


class SpecError(Exception):
    """Say in one sentence which file, document and field cannot be used, why, and what to do."""


class FieldError(ValueError):
    """Name a field (a path as in `spec.containers[0].name`, empty for the object itself) and what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


def shown(value: object) -> str:
    """Return a value as a message may quote it: JSON scalars, shortened; collections by their kind."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        cut = value if len(value) <= QUOTE_LIMIT else value[: QUOTE_LIMIT - 1] + "…"
        quoted = json.dumps(cut, ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in quoted)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if (isinstance(value, float) and math.isinf(value)) or (
        isinstance(value, int) and value.bit_length() > LONGEST_BITS
    ):
        return "a number beyond all limits"  # (written out, or as infinity)
    text = str(value)
    return text if len(text) <= QUOTE_LIMIT else text[: QUOTE_LIMIT - 1] + "…"


def plain(text: str) -> str:
    """Return foreign text with everything unprintable escaped, for use inside a sentence."""
    return shown(text)[1:-1]


def join(prefix: str, field: str) -> str:
    """Join two field paths: `join("spec", "x")` is `spec.x`, `join("a", "[0]")` is `a[0]`."""
    if not prefix or not field:
        return prefix or field
    return prefix + field if field.startswith("[") else f"{prefix}.{field}"


def translate(error: Exception, value: object, prefix: str = "") -> FieldError:
    """Turn msgspec's words for a value of the wrong form into a `FieldError` under `prefix`."""
    text = str(error)
    if match := _MISSING.match(text):
        field = join(prefix, _path(match["at"]))
        return FieldError(join(field, match["name"]), "is missing")
    if match := _UNKNOWN_KEY.match(text):
        return FieldError(join(join(prefix, _path(match["at"])), plain(match["name"])), NO_SUCH_KEY)
    if match := _EXPECTED.match(text):
        words = [_TYPE_WORDS.get(word, word) for word in match["want"].split(" | ") if word != "null"]
        at = match["at"] or ""
        problem = f"expected {' or '.join(words)}"
        if "`key`" in at:
            problem += " as key"
        elif (found := _value_at(value, at)) is not _UNKNOWN:
            problem += f", got {shown(found)}"
        elif match["got"]:
            problem += f", got {_TYPE_WORDS.get(match['got'], match['got'])}"
        return FieldError(join(prefix, _path(at)), problem)
    return FieldError(prefix, plain(text))


def typed(value: object, form: type[T], prefix: str = "") -> T:
    """Return `value` (plain dicts and lists) as `form`; FieldError with the path where it does not fit."""
    try:
        return msgspec.convert(value, form)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise translate(error, value, prefix) from None


_UNKNOWN: Final = object()


def _path(at: str | None) -> str:
    """Turn msgspec's "`$.a[0].b`" into "a[0].b"."""
    if not at:
        return ""
    match = re.search(r"`(\$[^`]*)`", at)
    return match[1].removeprefix("$").removeprefix(".") if match else ""


def _value_at(value: object, at: str) -> object:
    """Walk to the value a msgspec path speaks of, or return `_UNKNOWN` where the path is not exact."""
    path = _path(at)
    walked = "." + path if path and not path.startswith("[") else path
    position = 0
    for step in _STEP.finditer(walked):
        if step.start() != position:
            return _UNKNOWN
        position = step.end()
        key = step[1]
        if key is not None:
            if not isinstance(value, dict) or key not in value:
                return _UNKNOWN
            value = value[key]
        else:
            index = int(step[2])
            if not isinstance(value, list | tuple) or index >= len(value):
                return _UNKNOWN
            value = value[index]
    return value if position == len(walked) else _UNKNOWN
