"""New connections of one client to one port, and which of them may have come by way of endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.model.units import SECOND
from probewatch.probes.openings import Openings, Sum

from .lasting import Use
from .readiness import State, Stretch

SPREADING_NS: Final = 10 * SECOND
"""Until everybody has heard that a Pod is not Ready: the API, kube-proxy's or a router's next reload. Later is worth a word."""
PAUSE: Final = 3
"""Intervals without a connection, right before the Pod is Ready again, by which a regular series shows that it waits for that."""


@dataclass(frozen=True, slots=True)
class Stream:
    """New connections of one client to one port."""

    client: str
    server: str
    port: int
    openings: Openings
    icmp: str
    uses: tuple[Use, ...] = ()
    """Of connections that it keeps."""
    doubtful: Openings | None = None
    """Further ones of which it stays open whether they are its own checks."""
    interval_ns: int | None = None
    """Of a regular series of connections, which may be a check."""

    def follows(self, time: Sequence[Stretch]) -> bool:
        """Tell whether its connections may have come by way of endpoints."""
        if self.interval_ns is None:
            return True
        for stretch in time:
            if stretch.state is State.NOT_READY:
                last = self.openings.between(stretch.start_ns, stretch.end_ns).last
                used = [last_ns for first_ns, last_ns in self.uses if first_ns < stretch.end_ns]
                since_ns = max([stretch.start_ns, *used] if last is None else [last.ns, *used])
                if stretch.end_ns - since_ns >= PAUSE * self.interval_ns:
                    return True
        return False


def summed(streams: Iterable[Stream], time: Iterable[Stretch]) -> Sum:
    """Return what these clients opened in these stretches of time."""
    out = Sum()
    for stretch in time:
        for stream in streams:
            out.add(stream.openings.between(stretch.start_ns, stretch.end_ns))
            if stream.doubtful is not None and stream.doubtful.between(stretch.start_ns, stretch.end_ns).total:
                out.exact = False
    return out
