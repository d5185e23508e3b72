"""Addresses as text, and lanes as shared values: the two small caches of the hot path.

A capture holds millions of frames but few addresses, so each text and each `Lane` is made once. Both caches are
dictionaries that fill themselves and start anew when they are full: that costs a few microseconds and needs no
bookkeeping for each hit.
"""

from __future__ import annotations

import struct

from probewatch.wire.packets import Lane

LaneKey = tuple[int, int, int, bytes, bytes, int, str, str]


def text_of(raw: bytes) -> str:
    """Write an address of 4 or 16 bytes as text: dotted decimal, or the canonical form of RFC 5952.

    IPv4-mapped addresses end in dotted decimal (RFC 5952 section 5), whatever the Python version.
    """
    if len(raw) == 4:
        a, b, c, d = raw
        return f"{a}.{b}.{c}.{d}"
    groups = struct.unpack("!8H", raw)
    if raw.startswith(b"\0" * 10 + b"\xff\xff"):
        return "::ffff:" + text_of(raw[12:])
    best_start, best_length, start = 0, 0, -1
    for index, group in enumerate((*groups, 1)):
        if group == 0 and index < 8:
            start = index if start < 0 else start
        elif start >= 0:
            if index - start > best_length:
                best_start, best_length = start, index - start
            start = -1
    if best_length < 2:
        return ":".join(f"{group:x}" for group in groups)
    left = ":".join(f"{group:x}" for group in groups[:best_start])
    right = ":".join(f"{group:x}" for group in groups[best_start + best_length :])
    return f"{left}::{right}"


class AddressTexts(dict[bytes, str]):
    """Texts of raw addresses: `texts[raw]`."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= self.limit:
            self.clear()
        made = self[raw] = text_of(raw)
        return made


class LaneBook(dict[LaneKey, Lane]):
    """Lanes by their fields: `lanes[interface, ifindex, ...]`."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __missing__(self, key: LaneKey) -> Lane:
        if len(self) >= self.limit:
            self.clear()
        made = self[key] = Lane(*key)
        return made
