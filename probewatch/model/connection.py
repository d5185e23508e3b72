"""One TCP connection as the frames show it: what `wire` hands to `probes`. Frozen snapshots, revised while frames still come."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from .direct import direct
from .frame import Mark
from .units import SECOND

QUIET_NS: Final = 5 * SECOND
"""Silence after which a connection that is not over is handed out as it stands."""
SOLICITATIONS: Final = 3
"""Requests of one address resolution before the kernel gives it up: neigh/default/mcast_solicit."""


_CONTROL: Final = frozenset("SHAFR")
"""Letters of a history for SYN, SYN-ACK, bare ACK, FIN and RST."""


class Arrival(NamedTuple):
    """The contiguous stream reached this length at this moment."""

    length: int
    """Bytes of the stream, from its beginning, that had been seen without a gap."""
    mark: Mark


class Step(NamedTuple):
    """The first sighting of one kind of segment at one vantage point."""

    letter: str
    """Of Zeek's history: S, h, A, D, d, F, f, R, r (upper case from the originator)."""
    ns: int
    number: int
    """Of the frame."""
    times: int
    """How many such frames were seen there; only SYN, SYN-ACK, FIN and RST are counted on, the rest is 1."""


class Sighting(NamedTuple):
    """One vantage point at which frames of a connection were seen."""

    file: int
    interface: int
    ifindex: int
    """-1 where the link type does not tell."""
    packets: int
    first: int
    """Number of the first frame seen there."""
    last: int
    steps: tuple[Step, ...] = ()
    """What was seen there, in the order seen; only where several vantage points saw the connection, or nobody answered."""
    side: bool = False
    """Of a cooked v1 capture, which names no interface: which of two sides (`wire.sightings.vantage`)."""


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One direction of a connection."""

    packets: int = 0
    retransmits: int = 0
    """Segments (SYN, FIN and data) sent again, as far as the capture shows."""
    data: bytes = b""
    """The stream from its first byte, without gaps, up to a limit (`wire.tcp.Limits`)."""
    length: int = 0
    """Highest stream offset seen, whether kept or not."""
    acked: int = 0
    """Stream offset up to which the peer acknowledged it, as far as its acknowledgments were seen."""
    arrivals: tuple[Arrival, ...] = ()
    """Growth of the contiguous stream within `data`, oldest first."""
    gap: int | None = None
    """Offset of the first byte that the capture lost for good (or a snapshot length cut); None where `data` is whole up to its limit."""
    shortened: bool = False
    """The snapshot length alone made the gap: the stream ends at `length` as far as anything tells, and all of it was on the wire."""
    syns: tuple[Mark, ...] = ()
    """SYN (client) or SYN-ACK (server) frames, each retransmission too, bounded."""
    first_ack: Mark | None = None
    """Its first acknowledgement after the handshake's SYNs. For the client: when the connection was established."""
    fin: Mark | None = None
    """Its first FIN."""
    fin_acked: Mark | None = None
    rst: Mark | None = None
    """Its first RST."""
    rst_acks: bool = False
    """Whether that RST carried ACK."""
    last: Mark | None = None
    """Its last frame."""
    used: Mark | None = None
    """Its last segment with new data, captured or not; of a connection whose end alone is followed, its last one before the end."""
    ttl: int = -1
    mss: int = 0
    mac: bytes = b""
    """Link-layer source address of its first frame, where the link tells one."""
    to_mac: bytes = b""
    """Link-layer destination of that frame (no cooked header tells it)."""
    packet_type: int = -1
    """Cooked packet type of its first frame (4 outgoing, 0 to us), -1 unless cooked."""

    @property
    def first_data(self) -> Mark | None:
        """When its first payload byte was seen."""
        return self.arrivals[0].mark if self.arrivals else None

    @property
    def closed(self) -> Mark | None:
        """When it said that nothing more comes: its first FIN or RST."""
        return min((mark for mark in (self.fin, self.rst) if mark is not None), default=None)

    def reached(self, length: int) -> Mark | None:
        """Return when the contiguous stream had grown to `length` bytes; None where it never did."""
        at = bisect_left(self.arrivals, (length,))
        return self.arrivals[at].mark if at < len(self.arrivals) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpNote:
    """An ICMP or ICMPv6 error that answered a segment of the client."""

    mark: Mark
    reporter: str
    version: int
    type: int
    code: int
    last: Mark | None = None
    """The latest error of this connection, where the SYN was sent again after the first one and met another."""

    @property
    def error(self) -> str:
        """What connect(2) fails with, in Go's words.

        Linux: net/ipv4/icmp.c icmp_err_convert, net/ipv6/icmp.c tab_unreach and icmpv6_err_convert.
        """
        errors = _ERRORS4 if self.version == 4 else _ERRORS6
        return errors.get((self.type, self.code), "no route to host")

    def ended(self, syns: Sequence[Mark], until_ns: int) -> Mark | None:
        """Return the error that ended a connect up to `until_ns`; None where the SYN was sent again after it: that one went on.

        Linux ends a connect by an error only where its socket is not in use at that moment (net/ipv4/tcp_ipv4.c tcp_v4_err,
        net/ipv6/tcp_ipv6.c tcp_v6_err: sock_owned_by_user). One that comes from the same node while connect(2) still sends
        the SYN is but remembered, and the SYN is sent again a second later.
        """
        mark = self.mark if self.last is None or self.last.ns > until_ns else self.last
        return None if any(syn.ns > mark.ns for syn in syns) else mark

    def explain(self) -> str:
        """Name it as RFC 792 / RFC 4443 / RFC 1812 do, in lower case."""
        names = _ICMP4 if self.version == 4 else _ICMP6
        return names.get((self.type, self.code), f"icmp type {self.type} code {self.code}")


_UNUSED = 100
"""Bytes of the MSS that a full-sized segment may leave unused."""
_USUAL_MSS = 1460
_ICMP4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "administratively prohibited",
    (11, 0): "TTL exceeded",
}
_ICMP6 = {
    (1, 0): "no route to destination",
    (1, 1): "administratively prohibited",
    (1, 2): "beyond scope of source address",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address failed policy",
    (1, 6): "reject route",
    (2, 0): "packet too big",
    (3, 0): "hop limit exceeded",
}


_ERRORS4 = {
    (3, 0): "network is unreachable",
    (3, 2): "protocol not available",
    (3, 3): "connection refused",
    (3, 5): "operation not supported",
    (3, 6): "network is unreachable",
    (3, 7): "host is down",
    (3, 8): "machine is not on the network",
    (3, 9): "network is unreachable",
    (3, 11): "network is unreachable",
}
_ERRORS6 = {
    (1, 0): "network is unreachable",
    (1, 1): "permission denied",
    (1, 4): "connection refused",
    (1, 5): "permission denied",
    (1, 6): "permission denied",
}


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One TCP connection. `client` is the originator, the one that sent the SYN (or is taken for it; see `flipped`)."""

    id: int
    """Number in the order of first frames, from 0: tshark's tcp.stream where nothing is de-duplicated."""
    rev: int = 1
    final: bool = False
    """No later revision will come."""
    client: str
    client_port: int
    server: str
    server_port: int
    start: Mark
    """First frame."""
    end: Mark
    """Last frame so far."""
    state: str
    """Zeek's conn_state: S0 S1 S2 S3 SF REJ RSTO RSTR RSTOS0 RSTRH SH SHR OTH."""
    history: str
    """Zeek's history letters, upper case for the originator."""
    orig: Half
    """The client's direction, in Zeek's word."""
    resp: Half
    """The server's direction."""
    bare_ack: bool = False
    """The client completed the handshake with an ACK without data, FIN or RST (HAProxy's checks do not)."""
    midstream: bool = False
    """The capture shows no SYN or SYN-ACK of it: it began before."""
    flipped: bool = False
    """Direction decided by a heuristic (well-known or repeated server port), not by a SYN: Zeek's `^`."""
    icmp: IcmpNote | None = None
    """First ICMP error that quoted a segment of the client."""
    neighbour: Mark | None = None
    """First ARP or ND request that waited for the server's address just before the SYN; the attempt began there."""
    held_ns: int = 0
    """How long the SYN had waited on the client's node before it left, by the client's TCP timestamps (RFC 7323)."""
    frames: tuple[tuple[int, int, int], ...] = ()
    """(file, first frame, last frame) for each file it was seen in, in the order seen."""
    sightings: tuple[Sighting, ...] = ()
    """More than one where several vantage points saw it."""
    tunnel: str = ""
    outer_source: str = ""
    """Outer source address where a tunnel carried the client's first frame: the node that sent it."""
    piece_of: int | None = None
    """The id of the connection of which this is a later piece, where one that is kept is followed in pieces (`wire.table.Table.part`)."""
    question: int = 0
    """0: this is the whole connection. Else only its n-th question, from 1, and the answer to that: one check of a checker
    that keeps its connection (`probes.questions`). Of all but the first the handshake is none of theirs."""
    answered: Mark | None = None
    """When the answer to that question was whole; None where it never was, and of a whole connection."""
    read_until: Mark | None = None
    """Up to here it was read: more was said later, and passed over (`wire.table.Limits`). None where nothing was."""

    @property
    def full_size(self) -> int:
        """Bytes from which on a segment counts as full-sized: the smaller MSS, but for TCP options and an encapsulation."""
        return min((size for size in (self.orig.mss, self.resp.mss) if size), default=_USUAL_MSS) - _UNUSED

    @property
    def asked_unseen(self) -> bool:
        """Whether the client said something of which the capture has no byte: acknowledgments tell of it, or its own FIN does."""
        return self.orig.packets > 0 and self.orig.gap == 0

    @property
    def acks_unseen(self) -> bool:
        """Whether the capture has not one bare ACK of it, though both sides closed: the later of two FINs is acknowledged by nothing else.

        So a missing acknowledgment says nothing here.
        """
        orig, resp = self.orig, self.resp
        closed = orig.fin is not None and resp.fin is not None and orig.rst is None and resp.rst is None
        return closed and "a" not in self.history.lower()

    @property
    def only_data(self) -> bool:
        """Whether the capture has data of it and nothing else: neither how it began and ended nor one bare ACK.

        When somebody hung up, or took note of what the other said, is not known then. (One that was open all the time has ACKs.)
        """
        return self.history != "" and not _CONTROL.intersection(self.history.upper())

    @property
    def question_lost(self) -> bool:
        """Whether the capture lost all that the client asked: acknowledgments or its FIN tell of it, or an answer does.

        Where a snapshot length cut it, the client's segments are there and the answer is cut as well.
        """
        orig = self.orig
        return orig.packets > 0 and not orig.data and orig.gap == 0 and (orig.length == 0 or bool(self.resp.data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """An address resolution that nobody answered: the connection that wanted it never came to be."""

    client: str
    """Who asked."""
    server: str
    """The address asked for."""
    start: Mark
    """First request."""
    end: Mark
    """Last request of this round."""
    requests: tuple[Mark, ...]
    resolved: Mark | None = None
    """The answer that came after all (the round ends there); None where none came."""
    mac: bytes = b""
    """Link-layer address of who asked; empty where the request does not tell it."""
