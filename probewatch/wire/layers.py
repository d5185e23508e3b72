"""What the layer decoders share: the names of the layers, the walk through one packet, and how a walk ends.

Theory of operation: peeling is a walk. `Walk` stands at the first byte of a layer; the decoder of that layer (one
function for each member of `Layer`, joined in a table in `peel`) reads the header, moves the walk behind it, and
returns either the next `Layer` or the finished `Packet`. A decoder never loops over layers itself, so the depth is
bounded in one place.

Two ends are kept apart, because snapshot lengths cut frames: `end` is where the captured bytes of the layer end,
`wire` where the layer ended on the wire. `at <= end <= len(data)` always holds; `end < wire` says that bytes are
missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from probewatch.model.frame import Frame, Mark
from probewatch.wire.addresses import AddressTexts, LaneBook
from probewatch.wire.fragments import Reassembly
from probewatch.wire.packets import Lane, Other, Packet, Undecoded

CUT: Final = "frame cut by the snapshot length"
ENDS: Final = "packet ends inside the header"
VXLAN_PORTS: Final = frozenset({4789, 8472})
"""UDP ports of VXLAN: IANA's, and the one Linux had before it (flannel and Cilium still use it)."""
GENEVE_PORTS: Final = frozenset({6081})
GRE_PORTS: Final = frozenset({4754})
"""UDP port of GRE in UDP (RFC 8086)."""


class Layer(IntEnum):
    """A protocol whose header a walk can stand at."""

    ETHERNET = 1
    LLC = 2
    VLAN = 3
    MPLS = 4
    PPPOE = 5
    PPP = 6
    CISCO_HDLC = 7
    VN_TAG = 8
    E_TAG = 9
    LOOPBACK = 10
    SLL = 11
    SLL2 = 12
    NFLOG = 13
    RAW = 14
    ARP = 15
    IPV4 = 16
    IPV6 = 17
    AUTHENTICATION = 18
    TCP = 19
    UDP = 20
    ICMP = 21
    ICMPV6 = 22
    GRE = 23
    IPV4_INSIDE = 24
    IPV6_INSIDE = 25
    I_TAG = 26
    FABRIC_PATH = 27


@dataclass(slots=True)
class Memory:
    """What a peeler remembers from frame to frame; every part is bounded."""

    texts: AddressTexts
    lanes: LaneBook
    fragments: Reassembly
    vxlan_ports: frozenset[int] = VXLAN_PORTS
    geneve_ports: frozenset[int] = GENEVE_PORTS
    extension_headers: int = 16
    labels: int = 16
    checksums: bool = False


class Walk:
    """Where the decoding of one packet stands, and what the layers behind it left.

    The defaults are those of the class, and not set anew for each frame: most layers are missing from most packets.
    """

    at: int = 0
    """Offset in `data` where the layer that comes next begins."""
    ifindex: int = -1
    packet_type: int = -1
    source_mac: bytes = b""
    destination_mac: bytes = b""
    vlan: int = -1
    tunnel: str = ""
    outer_source: str = ""
    guess: str = ""
    """What to call the packet if the layers after a mere guess (a tunnel by its UDP port) turn out to be nonsense."""
    version: int = 0
    """Of the innermost IP header so far, like all that follows; 0 before the first."""
    source: str = ""
    destination: str = ""
    raw_addresses: bytes = b""
    """Source and destination as they stand in the header: the beginning of the pseudo-header."""
    ttl: int = 0
    ip_id: int = -1
    routed: bool = False
    """A routing header still has segments left: the destination here is not the one that the checksum covers."""
    reassembled: bool = False
    """`data` is a datagram put together from fragments, no longer the frame."""
    fragment_protocol: int = -1
    """Next protocol of that datagram."""

    def __init__(self, memory: Memory, frame: Frame, mark: Mark) -> None:
        self.memory = memory
        self.frame = frame
        self.mark = mark
        self.data = frame.data
        self.end = len(frame.data)
        self.wire = max(frame.original_length, self.end)
        self.cut = self.wire > self.end
        """The captured bytes end before the packet did on the wire."""

    def lane(self) -> Lane:
        """Return how the packet travelled, one shared value for all packets that travelled alike."""
        return self.memory.lanes[
            self.frame.interface,
            self.ifindex,
            self.packet_type,
            self.source_mac,
            self.destination_mac,
            self.vlan,
            self.tunnel,
            self.outer_source,
        ]

    def enter(self, label: str) -> None:
        """Note that what follows travels inside a tunnel."""
        if self.tunnel:
            self.tunnel += "/" + label
        else:
            self.tunnel = label
            self.outer_source = self.source

    def short(self, layer: str, needed: int, at: int = -1) -> Undecoded:
        """Return the end of a walk whose packet ended before `needed` bytes of a header that begins `at`."""
        begin = self.at if at < 0 else at
        reason = CUT if self.cut and self.end == len(self.data) else ENDS
        return Undecoded(self.mark, layer, begin, needed, max(0, self.end - begin), reason + self._where())

    def fault(self, layer: str, reason: str, at: int = -1) -> Undecoded:
        """Return the end of a walk whose packet contradicts itself."""
        begin = self.at if at < 0 else at
        return Undecoded(self.mark, layer, begin, 0, max(0, self.end - begin), reason + self._where())

    def _where(self) -> str:
        return " (offset within the reassembled datagram)" if self.reassembled else ""

    def other(self, what: str) -> Other:
        """Return the end of a walk at something that probewatch does not follow."""
        return Other(self.mark, what)


Step = Layer | Packet
Decoder = Callable[[Walk], Step]
