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

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.frame import CaptureInfo
from probewatch.model.timeline import NONE_PASSED, Cause, Outcome, Probe
from probewatch.model.units import SECOND

FEWEST: Final = 3
"""So many connections that all lack the same are no loss of frames."""
NEARLY_ALL: Final = 0.9
"""Share of the requests that a snapshot length cuts where it is too short for them."""
LONGEST: Final = 2_048
"""A snapshot length above this (bytes) cuts no request that is seen to be cut."""


WHOLE_NS: Final = SECOND
UNTIMED_NS: Final = 1_500
"""Frames that follow each other as close as this on average, all of them, have no times of their own (text2pcap adds 1 µs to each)."""
FEWEST_FRAMES: Final = 20
NO_TIMES: Final = "its frames have no times: whether the answer came in time is not known"
NEARLY_ALL_UDP: Final = 0.8


FILTERED: Final = (
    "a filter left that out, as it seems, so what is not here proves nothing: capture again by address and port only, not by flags"
    " or lengths (docs/capture.md#filters)"
)
"""What it means that a kind of frame is missing throughout, and what to do."""


class Lacking:
    """Counts what connections have and lack."""

    __slots__ = (
        "_acked",
        "_cut",
        "_cut_at",
        "_headed",
        "_headless",
        "_mute",
        "_said",
        "_unacked",
        "_whole",
        "_whole_s",
    )

    def __init__(self) -> None:
        self._cut = 0
        """Connections whose client's first bytes were cut off in the middle of what it asked."""
        self._cut_at = (0, 0)
        """After how many bytes, at least and at most."""
        self._whole_s: bool | None = None
        """Whether all connections begin and end on whole seconds; None where there is none."""
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
        on_second = not connection.start.ns % WHOLE_NS and not connection.end.ns % WHOLE_NS
        self._whole_s = on_second if self._whole_s is None else self._whole_s and on_second
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
        return [*self._times(captures), *self._snapshot(captures, declared=declared), *self._filtered()]

    def _times(self, captures: Sequence[CaptureInfo]) -> list[str]:
        if untimed(captures) or not self._whole_s:
            return []
        return [
            "the times of frames are whole seconds: latencies, and what happened first within a second, are not known"
        ]

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


def untimed(captures: Sequence[CaptureInfo]) -> bool:
    """Tell whether frames have no times of their own: all are equal, or a microsecond apart."""
    frames = sum(info.frames for info in captures)
    spans = [
        info.last_ns - info.first_ns for info in captures if info.first_ns is not None and info.last_ns is not None
    ]
    return frames >= FEWEST_FRAMES and sum(spans) <= UNTIMED_NS * frames


def timeless(probe: Probe) -> Probe:
    """Return a probe without what hangs on time: decisions, states, gaps, what was inferred, and outcomes: an answer may have come late."""
    known = tuple(
        attempt
        if attempt.cause is Cause.REFUSED
        else replace(attempt, outcome=Outcome.INCONCLUSIVE, cause=Cause.CUT, diagnosis=None, detail=NO_TIMES, streak=0)
        for attempt in probe.attempts
    )
    return replace(
        probe, attempts=known, decisions=(), gaps=(), inferred={}, initial_state="unknown", initial_evidence="", final_state="unknown",
        effects=None, diagnoses=(), notes=(),
    )  # fmt: skip


def no_times(captures: Sequence[CaptureInfo]) -> str:
    """Say that frames have no times of their own, and what to do."""
    frames = sum(info.frames for info in captures)
    return (
        f"the {frames} frames have no times of their own: all are equal or a microsecond apart, as text2pcap writes them; periods, "
        "timeouts and decisions are not known, and no latency is: take the capture itself (tcpdump -w), or give text2pcap the times (-t)"
    )


def unlooked(captures: Sequence[CaptureInfo], udp: Mapping[int, int], *, fed: bool) -> list[str]:
    """Say why nothing was looked at: a filter lets nothing pass, or nearly all is UDP to one port (`udp`: frames by port)."""
    frames = sum(info.frames for info in captures)
    if frames and not fed:
        return [f"{NONE_PASSED} {frames} frames pass: check its addresses and ports, or leave it out"]
    port, count = max(udp.items(), key=lambda item: item[1], default=(0, 0))
    if count < FEWEST_FRAMES or count < NEARLY_ALL_UDP * frames:
        return []
    told = (
        f"{count} of {frames} frames are UDP to port {port}: as it seems a tunnel (VXLAN, Geneve) on a port of its own"
    )
    where = "at the pod's own interface or the tunnel's (vxlan.calico, flannel.1, genev_sys_6081)"
    return [f"{told}, and what is in it is not read: capture where it is unpacked, {where}"]
