"""Where a segment was last seen: what several vantage points together show of the way between checker and target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A segment that was lost or held up between two vantage points."""

    segment: str
    """`SYN`, `SYN-ACK`, `ACK`, `request`, `answer`, `FIN` or `RST`."""
    from_client: bool
    """Its direction: the checker's, else the target's."""
    seen: tuple[str, ...]
    """Names of the vantage points that showed it, in the order of its way."""
    missing: tuple[str, ...] = ()
    """Those further along that never did, or only when it was sent again; empty where it was held up, or not lost before the last."""
    delay_ns: int | None = None
    """How long it took from the first point to the last that showed it, clocks compared; None where it never came further."""
    flooded: bool = False
    """A SYN that a bridge sent out on all its interfaces: it knew none for the link-layer address."""
    sentence: str
    """`SYN-ACK left pod.pcap, reached veth3, never reached tun0`."""
