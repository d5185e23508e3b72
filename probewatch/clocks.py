"""Clocks of captures, by what their packets show: those of one time that differ, and what hosts tell of one that was set.

Theory of operation. The frame of a connection request is known by its addresses, ports and initial sequence number, 32 bits
that come again by chance to nobody, and by its IP identification and TCP timestamp: a request that is sent again has new ones, and
is another frame. Where two files hold the same frames, each at the same distance in time, it is the clocks that differ, for no way
takes so long and varies so little. So before several files are read, each is looked into for requests, as far as `LOOKED` frames,
and the files that share `FEWEST` of them at one distance are told by the clock of the first of them. What differs by less than
`NEAR_NS` needs nothing: copies of a frame are known as such up to there (`wire.sightings`).

Limitations: a stream cannot be looked into. Clocks that drift by more than `NEAR_NS` while captured agree at the beginning only.
Which of two clocks is right nobody knows. Requests that the two files share later than `LOOKED` frames are not found. Those
with neither IP identification nor timestamp (IPv6 without RFC 7323) are not told from what is sent again, and prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median_low
from typing import TYPE_CHECKING, Final

from .model.units import MS, SECOND

if TYPE_CHECKING:
    from .capture.hosts import Stamp
    from .capture.reader import Reader
    from .model.frame import Frame
    from .wire.packets import Segment

LOOKED: Final = 60_000
"""Frames looked at of all files together."""
FEWEST: Final = 3
"""Frames of requests that two files must share."""
NEARLY_ALL: Final = 0.8
"""Share of them that must lie at one distance: a first SYN may have been lost at one place."""
NEAR_NS: Final = 50 * MS
"""Distances that differ by less are one."""

Request = tuple[str, int, str, int, int, int, int]
"""Source, its port, destination, its port, initial sequence number, IP identification, TCP timestamp."""


def align(readers: Sequence[Reader]) -> None:
    """Let readers tell their frames by one clock, where their files show that these differ (`shift_ns`)."""
    files = [reader for reader in readers if not reader.live]
    if len(files) < 2:
        return
    seen = [_requests(reader.path, LOOKED // len(files)) for reader in files]
    shifts: list[int | None] = [None] * len(files)
    for root in range(len(files)):
        if shifts[root] is not None:
            continue
        # One after the other, whatever is tied to a file that is tied already.
        shifts[root], waiting = 0, [root]
        while waiting:
            at = waiting.pop()
            for other, known in enumerate(shifts):
                if known is None and (distance := distance_of(seen[at], seen[other])) is not None:
                    shifts[other] = (shifts[at] or 0) - distance
                    waiting.append(other)
    for reader, shift in zip(files, shifts, strict=True):
        if shift is not None and abs(shift) >= NEAR_NS:
            reader.shift_ns = shift


def distance_of(one: dict[Request, int], other: dict[Request, int]) -> int | None:
    """Return by how much (ns) the requests of the other come later than the same of one; None where they share too few."""
    apart = [other[request] - ns for request, ns in one.items() if request in other]
    if len(apart) < FEWEST:
        return None
    middle = median_low(apart)
    near = sum(abs(ns - middle) < NEAR_NS for ns in apart)
    return middle if near >= NEARLY_ALL * len(apart) else None


def _requests(path: str, most: int) -> dict[Request, int]:
    """Return when each request was first seen among the first frames of a file."""
    from .capture.reader import Reader
    from .wire.packets import ACK, SYN, Segment
    from .wire.peel import Peeler

    peeler = Peeler()
    found: dict[Request, int] = {}
    with Reader(path, 0) as reader:
        for frame in reader:
            packet = peeler.peel(frame)
            if isinstance(packet, Segment) and packet.flags & (SYN | ACK) == SYN and not _nameless(packet):
                ends = packet.source, packet.source_port, packet.destination, packet.destination_port
                found.setdefault((*ends, packet.seq, packet.ip_id, packet.tsval), frame.ns)
            most -= 1
            if most <= 0:
                break
    return found


def _nameless(request: Segment) -> bool:
    """Tell whether a request looks the same when it is sent again."""
    return request.ip_id <= 0 and request.tsval <= 0


def stamps() -> Callable[[Frame], Stamp | None]:
    """Return what reads the clocks of hosts from their segments (`capture.hosts`)."""
    from .capture.hosts import Stamp
    from .wire.packets import SYN, Segment
    from .wire.peel import Peeler

    peel = Peeler().peel

    def stamp(frame: Frame) -> Stamp | None:
        s = peel(frame)
        if not isinstance(s, Segment) or s.tsval <= 0:
            return None
        ends = (s.source, s.destination)
        return Stamp(s.source, ends if s.flags & SYN else (*ends, s.source_port, s.destination_port), s.tsval)

    return stamp


def notes(shifts: Sequence[tuple[str, int]]) -> list[str]:
    """Say of captures whose times were moved, by path, by how much (ns), and how to do it for good."""
    return [
        f"clocks differ: {path} holds the same connections as another input {abs(by) / SECOND:.3f} s {'later' if by < 0 else 'earlier'}; "
        f"its times are told moved by {by / SECOND:+.6f} s (to do it for good: editcap -t {by / SECOND:.6f} {path} OUT)"
        for path, by in shifts
    ]
