"""Frames of known flows, found among all frames of a batch at once.

Theory of operation: frames of one `peek.Shape` belong to the same flow if they have the same bits where its mask is set, and
their lengths and flags are those of a plain segment. So the heads of all frames are gathered from the buffer into rows, masked,
and looked up in the sorted table of what the flows of that shape look like: by a hash, and then bit by bit.

This is the only module of the core that needs `numpy`; it is imported with the first batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from probewatch.model.frame import Batch
from probewatch.wire.peek import PLAIN, Shape

if TYPE_CHECKING:
    from probewatch.model.frame import Ints

Words = NDArray[np.uint64]

_Number = TypeVar("_Number", np.int64, np.uint64)
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


def _with(have: NDArray[_Number], at: int, new: NDArray[_Number]) -> NDArray[_Number]:
    """Return an array with more put in (numpy.insert, which knows more cases, takes five times as long)."""
    return np.concatenate((have[:at], new, have[at:]))


class Kin:
    """Flows of one shape at one place, each with a number."""

    __slots__ = ("_columns", "_flows", "_hashes", "_known", "_looks", "_mask", "_width", "shape")

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
        self._hashes: Words = np.empty(0, np.uint64)
        self._flows: Ints = np.empty(0, np.int64)
        self._looks: list[Words] = [np.empty(0, np.uint64) for _ in self._columns]

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
        words = np.frombuffer(look, np.uint64)
        columns = [words[column : column + 1] for column, _, _ in self._columns]
        hashed = self._hashed(columns)
        at = int(self._hashes.searchsorted(hashed[0]))
        self._hashes = _with(self._hashes, at, hashed)
        self._flows = _with(self._flows, at, np.array([flow]))
        self._looks = [_with(have, at, new) for have, new in zip(self._looks, columns, strict=True)]

    def drop(self, look: bytes) -> None:
        """Forget a flow."""
        at = np.flatnonzero(self._flows == self._known.pop(look))
        self._hashes = np.delete(self._hashes, at)
        self._flows = np.delete(self._flows, at)
        self._looks = [np.delete(have, at) for have in self._looks]

    def _hashed(self, columns: list[Words]) -> Words:
        total = columns[0] * self._columns[0][2]
        for words, (_, _, factor) in zip(columns[1:], self._columns[1:], strict=True):
            total = (total ^ (total >> np.uint64(29))) + words * factor
        return total

    def find(self, batch: Batch, rows: Ints) -> tuple[Ints, Ints]:
        """Return (rows, flows) of those frames among some rows of a batch, in their order, that are plain segments of a flow."""
        width = self._width
        starts = batch.starts[rows]
        whole = starts <= len(batch.data) - width
        if not whole.all():
            rows, starts = rows[whole], starts[whole]
        if not len(rows):
            return rows, rows
        view: NDArray[Any] = np.ndarray((len(batch.data) - width + 1,), f"V{width}", batch.data, strides=(1,))
        heads = view[starts]
        words = heads.view(np.uint64).reshape(-1, width // _WORD)
        columns = [words[:, column] & mask for column, mask, _ in self._columns]
        hashed = self._hashed(columns)
        near = self._hashes.searchsorted(hashed)
        near[near == len(self._hashes)] = 0
        fits = self._hashes[near] == hashed
        for have, words_of in zip(self._looks, columns, strict=True):
            fits &= have[near] == words_of
        halves = heads.view(">u2").reshape(-1, width // 2)
        sizes = batch.sizes[rows]
        tcp = self.shape.tcp
        header = _HEADER[halves[:, (tcp + _AT_FLAGS) // 2]]
        fits &= header != _NEVER
        least = header.astype(np.int64) + tcp
        fits &= least <= sizes
        *outer, (at, more) = self.shape.ends
        end = halves[:, at // 2].astype(np.int64) + more
        fits &= least <= end
        if outer:
            fits &= end <= sizes
        for at, more in outer:
            fits &= halves[:, at // 2].astype(np.int64) + more == sizes
        found = np.flatnonzero(fits)
        return rows[found], self._flows[near[found]]
