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
    """Those further along that never did; empty where it was only held up."""
    delay_ns: int | None = None
    """How long it took from the first of `seen` to the last, clocks compared; None where it was lost."""
    sentence: str
    """`SYN-ACK left pod.pcap, reached veth3, never reached tun0`."""
