"""Put IP fragments together again (RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5), within bounds.

Theory of operation: a datagram under reassembly is a sorted list of pieces that do not overlap. A new fragment gives
only the bytes that no earlier one gave ("keep first"), so duplicates add nothing. The datagram is whole when the last
fragment (more fragments = 0) has told the length and the pieces add up to it. Order does not matter.

A fragment that the snapshot length cut still counts with its length on the wire; the datagram then comes out shorter
than its `length`: its bytes end where the first missing byte would be.

Bounds, each with its behaviour: `fragment_datagrams` open datagrams and `fragment_bytes` held bytes (the oldest
datagram is given up), `fragment_pieces` pieces a datagram (that datagram is given up), `fragment_age_ns` by capture
time (given up). What was given up is counted in `dropped`.

Limitations: a receiver may differ where fragments overlap (Linux drops such datagrams; probewatch keeps the first
bytes). Fragments of one datagram that came in by different interfaces are not joined: they could be two copies of one
fragment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from probewatch.wire.peel_limits import PIECE_COST, PeelLimits


class Datagram(NamedTuple):
    """A reassembled datagram: what followed the IP header (IPv6: the fragment header)."""

    data: bytes
    """Shorter than `length` where the snapshot length cut one of the fragments."""
    length: int
    protocol: int
    """Next protocol by the fragment with offset 0."""


class _Piece(NamedTuple):
    start: int
    length: int
    data: bytes


@dataclass(slots=True)
class _Partial:
    born: int
    starts: list[int] = field(default_factory=list)
    pieces: list[_Piece] = field(default_factory=list)
    have: int = 0
    cost: int = 0
    total: int = -1
    protocol: int = -1


class Reassembly:
    """All datagrams of one peeler that are not whole yet."""

    def __init__(self, limits: PeelLimits) -> None:
        self._limits = limits
        self._partials: dict[Hashable, _Partial] = {}
        self.held = 0
        """Bytes held now, as `fragment_bytes` counts them."""
        self.dropped = 0
        """Datagrams that were given up incomplete."""

    def __len__(self) -> int:
        return len(self._partials)

    def add(
        self, key: Hashable, ns: int, start: int, length: int, data: bytes, protocol: int, *, more: bool
    ) -> Datagram | None:
        """Add a fragment that covers `length` bytes from `start`; return the datagram if that made it whole.

        `data` is what was captured of it, from its beginning. A fragment beyond the known length of its datagram is
        ignored.
        """
        self._expire(ns)
        partial = self._partials.get(key)
        if partial is None or abs(ns - partial.born) > self._limits.fragment_age_ns:
            self._drop(key)
            partial = self._partials[key] = _Partial(ns)
        end = start + length
        if not more and partial.total < 0 and (not partial.pieces or _end(partial.pieces[-1]) <= end):
            partial.total = end
        if partial.total >= 0 and end > partial.total:
            return None
        if start == 0 and partial.protocol < 0:
            partial.protocol = protocol
        before = partial.cost
        _fill(partial, start, end, data)
        self.held += partial.cost - before
        if partial.have == partial.total:
            del self._partials[key]
            self.held -= partial.cost
            return Datagram(_join(partial), partial.total, partial.protocol)
        if len(partial.pieces) > self._limits.fragment_pieces:
            self._drop(key)
        while self._partials and (
            self.held > self._limits.fragment_bytes or len(self._partials) > self._limits.fragment_datagrams
        ):
            self._drop(next(iter(self._partials)))
        return None

    def _expire(self, ns: int) -> None:
        oldest = ns - self._limits.fragment_age_ns
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if partial.born >= oldest:
                return
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        partial = self._partials.pop(key, None)
        if partial is not None:
            self.held -= partial.cost
            self.dropped += 1


def _end(piece: _Piece) -> int:
    return piece.start + piece.length


def _fill(partial: _Partial, start: int, end: int, data: bytes) -> None:
    """Put those bytes of a fragment into the partial datagram that it does not have yet."""
    index = max(0, bisect_right(partial.starts, start) - 1)
    fresh: list[tuple[int, _Piece]] = []
    at = start
    while at < end:
        if index < len(partial.pieces):
            following = partial.pieces[index]
            if _end(following) <= at:
                index += 1
                continue
            gap_end = min(end, following.start)
        else:
            following, gap_end = None, end
        if gap_end > at:
            fresh.append((index, _Piece(at, gap_end - at, data[at - start : gap_end - start])))
        if following is None:
            break
        at = max(at, _end(following))
        index += 1
    for place, piece in reversed(fresh):
        partial.starts.insert(place, piece.start)
        partial.pieces.insert(place, piece)
        partial.have += piece.length
        partial.cost += PIECE_COST + len(piece.data)


def _join(partial: _Partial) -> bytes:
    parts = []
    for piece in partial.pieces:
        parts.append(piece.data)
        if len(piece.data) < piece.length:
            break
    return b"".join(parts)
