r"""One line of an haproxy.cfg into words, and its times into nanoseconds, as HAProxy reads them; pure functions.

Quoting is that of the configuration manual, section 2.2: a backslash takes the meaning from a blank, `#`, a quote and
itself and makes `\n`, `\r`, `\t`, `\xHH`; single quotes keep everything; in double quotes `$NAME`, `${NAME}` and
`${NAME-default}` stand for environment variables (section 2.3), of which only those are known that the file itself sets
(`setenv`, `presetenv` in `global`). Times are those of section 2.5: a whole number and us, ms, s, m, h or d.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from probewatch.model.units import DAY, HOUR, MINUTE, MS, SECOND, US

from .errors import plain, shown

MAX_WORDS: Final = 256
"""Words of one line (HAProxy itself takes 64)."""
MAX_LINE: Final = 65_536
"""Characters of one line (HAProxy itself takes 2048 bytes)."""
LONGEST_MS: Final = 2_147_483_647
"""HAProxy's timers are 31 bits of milliseconds."""

UNITS: Final = {"us": US, "ms": MS, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
"""Suffix -> nanoseconds."""

_TIME: Final = re.compile(r"(\d{1,18})(us|ms|s|m|h|d)?", re.ASCII)
_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z0-9_.]+)(?:\[\*\])?(?:-([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))", re.ASCII)
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}", re.ASCII)
_MEANT: Final = {"n": "\n", "r": "\r", "t": "\t", " ": " ", "#": "#", "\\": "\\", '"': '"', "'": "'", "$": "$"}
UNKNOWN: Final = "\ufffe"
"""Stands for the value of an environment variable that the file does not set; a noncharacter, that no configuration holds."""


def words(line: str, variables: Mapping[str, str]) -> list[str]:
    """Return the words of a line; a word that depends on an unknown environment variable holds UNKNOWN.

    Raises:
        ValueError: one phrase that says what is wrong with the line.
    """
    if len(line) > MAX_LINE:
        raise ValueError(f"the line is longer than {MAX_LINE} characters")
    out: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(line):
        char = line[at]
        at += 1
        if quote == "'" and char != "'":
            word = _add(word, char)
        elif char == "\\" and quote != "'":
            text, at = _escaped(line, at)
            word = _add(word, text)
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
            word = _add(word, "")
        elif char == "$" and quote == '"' and (found := _VARIABLE.match(line, at - 1)) is not None:
            at = found.end()
            name = found[1] or found[3]
            word = _add(word, variables.get(name) or (found[2] if found[2] is not None else UNKNOWN))
        elif not quote and char == "#":
            break
        elif not quote and char in " \t":
            out += ["".join(word)] if word is not None else []
            word = None
        else:
            word = _add(word, char)
        if len(out) > MAX_WORDS:
            raise ValueError(f"the line has more than {MAX_WORDS} words")
    if quote:
        raise ValueError(f"a quote ({quote}) is opened and never closed")
    return [*out, "".join(word)] if word is not None else out


def _add(word: list[str] | None, text: str) -> list[str]:
    word = word if word is not None else []
    word.append(text)
    return word


def _escaped(line: str, at: int) -> tuple[str, int]:
    """Return what a backslash before `at` makes, and where to go on."""
    following = line[at : at + 1]
    if following == "x" and (found := _HEX.match(line, at + 1)) is not None:
        return chr(int(found[0], 16)), at + 3
    if following in _MEANT and following:
        return _MEANT[following], at + 1
    return "\\", at


def time_of(text: str, what: str) -> int:
    """Return a time in nanoseconds; without a unit it is milliseconds, as everywhere in HAProxy's timers.

    Raises:
        ValueError: one phrase that names `what` and says what is wrong.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{what} {shown(text)} is no time: write a whole number and us, ms, s, m, h or d, as 5000ms or 5s"
        )
    ns = int(found[1]) * UNITS[found[2] or "ms"]
    if ns > LONGEST_MS * UNITS["ms"]:
        raise ValueError(f"{what} {plain(text)} is longer than HAProxy's timers go (24 days)")
    return ns


def number_of(text: str, what: str, *, least: int = 0, most: int = 2_147_483_647) -> int:
    """Return a whole number.

    Raises:
        ValueError: one phrase that names `what` and says what is wrong.
    """
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or not least <= int(text) <= most:
        limits = f"from {least} to {most}" if most < 2_147_483_647 else f"of at least {least}"
        raise ValueError(f"{what} {shown(text)} is not a whole number {limits}")
    return int(text)
