"""Frames of known flows, found among all frames of a batch at once.

Theory of operation: frames of one `peek.Shape` belong to the same flow if they have the same bits where its mask is set, and
their lengths and flags are those of a plain segment. So the heads of all frames are gathered from the buffer into rows, masked,
and looked up in the sorted table of what the flows of that shape look like: by a hash, and then bit by bit.

This is the only module of the core that needs `numpy`; it is imported with the first batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probewatch.model.frame import Batch
from probewatch.wire.peek import PLAIN, Shape

if TYPE_CHECKING:
    from probewatch.model.frame import Ints

Words = NDArray[np.uint64]

_NEVER: Final = 255
_AT_FLAGS: Final = 12
"""Where data offset and flags stand in a TCP header."""
_HEADER: Final = np.full(1 << 16, _NEVER, np.uint8)
"""Data offset and flags, as a number -> bytes of the TCP header where they are those of a plain segment; else more than there can be."""
for _bits, _size in PLAIN.items():
    _HEADER[int.from_bytes(_bits, "big")] = _size
_FACTOR: Final = 0x9E3779B97F4A7C15
"""Odd, and without a pattern in its bits: 2**64 divided by the golden ratio."""
_WORD: Final = 8
_SHIFT: Final = np.uint64(29)


class Heads(NamedTuple):
    """What the heads of some frames of a batch say, read once for all flows of a shape."""

    rows: Ints
    """Which frames of the batch."""
    plain: NDArray[np.bool_]
    """Whether each is a plain segment."""
    hashed: Words
    columns: list[Words]
    """The words of their heads where the mask is set, as it leaves them."""


class Kin:
    """Flows of one shape at one place, each with a number."""

    __slots__ = ("_columns", "_flows", "_hashes", "_known", "_looks", "_mask", "_stale", "_width", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        mask = shape.mask
        self._mask = int.from_bytes(mask, "big")
        words = np.frombuffer(mask, np.uint64)
        self._columns = [
            (column, words[column], np.uint64((_FACTOR * (2 * column + 1)) % (1 << 64) | 1))
            for column in range(len(words))
            if words[column]
        ]
        self._width = len(mask) + _WORD * (-(-(shape.tcp + _AT_FLAGS + 2 - len(mask)) // _WORD))
        self._known: dict[bytes, int] = {}
        self._stale = True
        """Whether flows came or went since the table was sorted: by hash, ..."""
        self._hashes: Words = np.empty(0, np.uint64)
        """... these, ..."""
        self._looks: list[Words] = []
        """... the words of what they look like, ..."""
        self._flows: Ints = np.empty(0, np.int64)
        """... and their numbers."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, look: bytes) -> bool:
        return look in self._known

    def look(self, data: bytes) -> bytes:
        """Return what all frames of a flow have in common, from one of them."""
        size = len(self.shape.mask)
        return (int.from_bytes(data[:size].ljust(size, b"\0"), "big") & self._mask).to_bytes(size, "big")

    def add(self, look: bytes, flow: int) -> None:
        """Know one more flow."""
        self._known[look] = flow
        self._stale = True

    def drop(self, look: bytes) -> None:
        """Forget a flow."""
        del self._known[look]
        self._stale = True

    def _words(self, looks: bytes) -> list[Words]:
        """Return the words, where the mask is set, of one or more looks."""
        words = np.frombuffer(looks, np.uint64).reshape(-1, len(self.shape.mask) // _WORD)
        return [words[:, column] for column, _, _ in self._columns]

    def _hashed(self, columns: list[Words]) -> Words:
        total = columns[0] * self._columns[0][2]
        for words, (_, _, factor) in zip(columns[1:], self._columns[1:], strict=True):
            total ^= total >> _SHIFT
            total += words * factor
        return total

    def heads(self, batch: Batch, rows: Ints) -> Heads:
        """Read the heads of some rows of a batch."""
        width = self._width
        starts = batch.starts[rows]
        room = max(len(batch.data) - width + 1, 0)
        whole = starts < room
        if not whole.all():
            rows, starts = rows[whole], starts[whole]
        view: NDArray[Any] = np.ndarray((room,), f"V{width}", batch.data, strides=(1,))
        heads = view[starts]
        halves = heads.view(">u2").reshape(-1, width // 2)
        sizes = batch.sizes[rows]
        tcp = self.shape.tcp
        header = _HEADER[halves[:, (tcp + _AT_FLAGS) // 2]]
        plain = header != _NEVER
        least = header.astype(np.int64) + tcp
        plain &= least <= sizes
        *outer, (at, more) = self.shape.ends
        end = halves[:, at // 2].astype(np.int64) + more
        plain &= least <= end
        if outer:
            plain &= end <= sizes
        for at, more in outer:
            plain &= halves[:, at // 2].astype(np.int64) + more == sizes
        words = heads.view(np.uint64).reshape(-1, width // _WORD)
        columns = [words[:, column] & mask for column, mask, _ in self._columns]
        return Heads(rows, plain, self._hashed(columns), columns)

    def find(self, heads: Heads) -> tuple[Ints, Ints]:
        """Return (rows, flows) of those frames that are of a flow, in their order."""
        if self._stale:
            self._sort()
        near = self._hashes.searchsorted(heads.hashed)
        near[near == len(self._hashes)] = 0
        fits = self._hashes[near] == heads.hashed
        fits &= heads.plain
        for have, words in zip(self._looks, heads.columns, strict=True):
            fits &= have[near] == words
        return heads.rows[fits], self._flows[near[fits]]

    def same(self, heads: Heads, look: bytes) -> Ints:
        """Return the rows of the frames that look so, in their order."""
        columns = self._words(look)
        hits = np.flatnonzero((heads.hashed == self._hashed(columns)) & heads.plain)
        for words, word in zip(heads.columns, columns, strict=True):
            hits = hits[words[hits] == word]
        return heads.rows[hits]

    def _sort(self) -> None:
        columns = self._words(b"".join(self._known))
        hashes = self._hashed(columns)
        order = hashes.argsort()
        self._hashes, self._looks = hashes[order], [words[order] for words in columns]
        self._flows = np.fromiter(self._known.values(), np.int64, len(self._known))[order]
        self._stale = False
