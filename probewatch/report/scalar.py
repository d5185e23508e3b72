"""Values as YAML scalars that mean just these values, whatever the text holds: the one way in which YAML is written.

What is not a plain word stands in double quotes with everything but printable ASCII escaped (YAML 1.2 section 5.7), so
nothing out of packets or manifests can be read as YAML, or be what a reader refuses (control characters).
"""

from __future__ import annotations

import re
from typing import Final

from .escape import valid

_BARE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\*[0-9]+(?:\.\.[0-9]*)?)?")
"""What needs no quotes: words, and runs of outcomes (`success*3..`)."""
_NOT_BARE: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_NAMED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def scalar(value: str | int) -> str:
    """Return a text or a whole number as YAML; a lone surrogate becomes its escape in words (see `escape.valid`)."""
    if isinstance(value, int):
        return str(value)
    if _BARE.fullmatch(value) and value.lower() not in _NOT_BARE:
        return str(value)
    return f'"{"".join(map(_escaped, valid(value)))}"'


def _escaped(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
