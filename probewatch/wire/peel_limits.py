"""Bounds of peeling: what a `Peeler` may remember, and how deep it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PIECE_COST: Final = 160
"""What a fragment's piece is charged beside its bytes, so that empty pieces are not free."""


@dataclass(frozen=True, slots=True)
class PeelLimits:
    """Bounds of peeling. On overflow the oldest is forgotten; nothing ever raises."""

    layers: int = 16
    """Headers in one packet, tags and tunnels included; a deeper packet is undecoded."""
    extension_headers: int = 16
    """Extension headers of one IPv6 packet."""
    labels: int = 16
    """Labels of one MPLS stack."""
    addresses: int = 65536
    """Address texts that are cached; then the cache starts anew."""
    lanes: int = 8192
    """Lanes that are cached; then the cache starts anew."""
    fragment_datagrams: int = 1024
    """Datagrams under reassembly; then the oldest is given up. What was given up a note counts."""
    fragment_bytes: int = 4 * 1024 * 1024
    """Bytes of all datagrams under reassembly (`PIECE_COST` a piece added); then the oldest is given up."""
    fragment_pieces: int = 1024
    """Pieces of one datagram; then it is given up."""
    fragment_age_ns: int = 30_000_000_000
    """Capture time after which an incomplete datagram is given up (Linux: net.ipv4.ipfrag_time)."""
