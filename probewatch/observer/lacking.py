"""What a capture lacks by the way it was taken: kinds of frames that TCP must have sent, and what a snapshot length cut off.

Theory of operation. One connection may lack frames because the capture lost them. Where none of many connections has a kind of
frame that each of them must have had, a filter left it out; where nearly all requests end in the middle of their first segment,
a snapshot length cut them. So each connection is counted once, as it is first handed out, and nothing of it is kept. How one
connection is judged rests on its own frames alone (`probes.judge`); this says it once for all, with what to do, and which signs
(a handshake without its last ACK) mean nothing here.

Captures of one direction are another matter (`probes.oneway`): connections of which one side sent nothing count here only for
their handshakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.frame import CaptureInfo

FEWEST: Final = 3
"""So many connections that all lack the same are no loss of frames."""
NEARLY_ALL: Final = 0.9
"""Share of the requests that a snapshot length cuts where it is too short for them."""
LONGEST: Final = 2_048
"""A snapshot length above this (bytes) cuts no request that is seen to be cut."""


class Lacking:
    """Counts what connections have and lack."""

    __slots__ = ("_cut", "_cut_at", "_whole")

    def __init__(self) -> None:
        self._cut = 0
        """Connections whose client's first bytes were cut off in the middle of what it asked."""
        self._cut_at = (0, 0)
        """After how many bytes, at least and at most."""
        self._whole = 0
        """Connections of which all that the client asked is there."""

    def note(self, connection: Connection) -> None:
        """Count a connection, once."""
        orig = connection.orig
        if orig.length and orig.gap is None:
            self._whole += 1
        elif orig.length and orig.gap is not None:
            low, high = self._cut_at if self._cut else (orig.gap, orig.gap)
            self._cut += 1
            self._cut_at = min(low, orig.gap), max(high, orig.gap)

    def notes(self, captures: Sequence[CaptureInfo], *, declared: bool) -> list[str]:
        """Say what is missing and what to do, one sentence or two for each way in which it is; `declared`: manifests are given."""
        return [*self._snapshot(captures, declared=declared)]

    def _snapshot(self, captures: Sequence[CaptureInfo], *, declared: bool) -> list[str]:
        if self._cut < FEWEST or self._cut < NEARLY_ALL * (self._cut + self._whole):
            return []
        lengths = {interface.snaplen for info in captures for interface in info.interfaces}
        length = max(lengths, default=0)
        where = f" at {length} bytes" if len(lengths) == 1 and 0 < length <= LONGEST else ""
        low, high = self._cut_at
        left = f"only the first {high} bytes" if low == high else f"no more than the first {low} to {high} bytes"
        left = left if high else "nothing"
        spec = "" if declared else ", or give the probes' manifest (--spec)"
        told = f"{left} of what {self._cut} connections asked can be read, so who asks, and for what, is known in part"
        return [f"frames were cut{where} (snapshot length): {told}; capture whole frames (tcpdump -s 0){spec}"]
