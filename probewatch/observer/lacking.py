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


FILTERED: Final = (
    "a filter left that out, as it seems, so what is not here proves nothing: capture again by address and port only, not by flags"
    " or lengths (docs/capture.md#filters)"
)
"""What it means that a kind of frame is missing throughout, and what to do."""


class Lacking:
    """Counts what connections have and lack."""

    __slots__ = ("_acked", "_cut", "_cut_at", "_headed", "_headless", "_mute", "_said", "_unacked", "_whole")

    def __init__(self) -> None:
        self._cut = 0
        """Connections whose client's first bytes were cut off in the middle of what it asked."""
        self._cut_at = (0, 0)
        """After how many bytes, at least and at most."""
        self._whole = 0
        """Connections of which all that the client asked is there."""
        self._mute = self._said = 0
        """Connections that exchanged data of which no byte is here, and those of which some is."""
        self._unacked = self._acked = 0
        """Connections without one bare ACK though there must have been some, and those that have one."""
        self._headless = self._headed = 0
        """Connections that asked something and of which neither SYN nor FIN nor RST is here, and those of which one is."""

    @property
    def data(self) -> bool:
        """Whether no data is here."""
        return self._mute >= FEWEST and not self._said

    @property
    def acks(self) -> bool:
        """Whether no bare ACK is here."""
        return self._unacked >= FEWEST and not self._acked

    @property
    def ends(self) -> bool:
        """Whether no connection begins or ends here, and not because these were open all the time: those show ACKs."""
        return self._headless >= FEWEST and not self._headed and not self._acked

    def note(self, connection: Connection) -> None:
        """Count a connection, once."""
        orig = connection.orig
        if orig.length and orig.gap is None:
            self._whole += 1
        elif orig.length and orig.gap is not None:
            low, high = self._cut_at if self._cut else (orig.gap, orig.gap)
            self._cut += 1
            self._cut_at = min(low, orig.gap), max(high, orig.gap)
        resp = connection.resp
        self._said += bool(orig.length or resp.length)
        self._mute += connection.asked_unseen and not orig.length and not resp.length
        self._acked += "a" in connection.history.lower()
        self._unacked += connection.acks_unseen or _answered_only(connection)
        bare = connection.midstream and orig.closed is None and resp.closed is None
        self._headless += bare and bool(orig.length or resp.length)
        self._headed += not bare

    def notes(self, captures: Sequence[CaptureInfo], *, declared: bool) -> list[str]:
        """Say what is missing and what to do, one sentence or two for each way in which it is; `declared`: manifests are given."""
        return [*self._snapshot(captures, declared=declared), *self._filtered()]

    def _filtered(self) -> list[str]:
        parts = [
            told
            for lacks, told in (
                (self.data, f"the data that {self._mute} connections exchanged"),
                (self.acks, f"every bare ACK ({self._unacked} connections must have had some)"),
                (self.ends, f"how {self._headless} connections began and ended"),
            )
            if lacks
        ]
        if not parts:
            return []
        missing = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        return [f"missing throughout: {missing}; {FILTERED}"]

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


def _answered_only(connection: Connection) -> bool:
    """Tell whether all that is here is a SYN and its SYN-ACK, once each: what is not sent again was acknowledged."""
    orig, resp = connection.orig, connection.resp
    return orig.packets == resp.packets == len(orig.syns) == len(resp.syns) == 1
