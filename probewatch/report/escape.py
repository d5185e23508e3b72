"""What comes from the wire or a file is hostile: make it harmless for a terminal, and valid for JSON.

Paths, headers, reasons, pod and file names may hold anything. On a terminal an escape sequence could repaint the
screen or set its title, a right-to-left override could turn a line round, a newline could forge one. So text output
prints every character that Unicode does not call printable, every combining mark and every backslash as a Python
escape: nothing is lost and nothing is ambiguous.
"""

from __future__ import annotations

import unicodedata

_COMBINING = frozenset({"Mn", "Me"})


def safe(text: str) -> str:
    r"""Return `text` on one line without anything a terminal might obey: `\x1b`, `\n`, `\u202e`, `\\`.

    C0 and C1 controls, format characters (bidirectional controls, zero-width joiners, byte order marks), lone
    surrogates (a file name's undecodable byte 0xff is shown as `\xff`), unassigned and private characters, unusual
    spaces and combining marks are all written out.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_safe_character, text))


def _safe_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape (PEP 383): an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable() and unicodedata.category(character) not in _COMBINING:
        return character
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if named:
        return named
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoting(text: str) -> str:
    r"""Return a sentence of ours that quotes bytes as escapes already (`wire.header.quote`): `safe`, but backslashes stay single."""
    return "\\".join(map(safe, text.split("\\")))


def valid(text: str) -> str:
    r"""Return `text` without lone surrogates, for JSON: many readers reject them. An undecodable byte 0xff becomes `\xff`."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return "".join(_safe_character(c) if "\ud800" <= c <= "\udfff" else c for c in text)


def width(text: str) -> int:
    """Return how many columns `safe` text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, columns: int, mark: str = "…") -> str:
    """Return `text` in at most `columns` columns, `mark` at its end where something is missing."""
    if width(text) <= columns:
        return text
    room = columns - width(mark)
    kept: list[str] = []
    for character in text:
        room -= width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + mark


def pad(text: str, columns: int) -> str:
    """Return `text` with spaces behind it, `columns` wide; longer text stays as it is."""
    return text + " " * max(0, columns - width(text))


def printable(text: str) -> str:
    """Return `safe` text unchanged, and write out what somebody forgot to make safe."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _safe_character(c) for c in text)
