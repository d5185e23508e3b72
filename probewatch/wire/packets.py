"""What peeling a frame can yield: the values between the link layer and the connection tracker.

NamedTuples, because one is made for every frame. Addresses are text (`10.0.0.1`, `fd00::1`), made once per address and
cached.
"""

from __future__ import annotations

from typing import NamedTuple

from probewatch.model.frame import Mark

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


class Lane(NamedTuple):
    """How a frame travelled: the vantage point, and the marks the link layer left on it."""

    interface: int
    """Interface index within its file (pcapng), else 0."""
    ifindex: int
    """Interface index inside a cooked v2 header; -1 elsewhere."""
    packet_type: int
    """Cooked packet type: 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 outgoing; -1 elsewhere."""
    source_mac: bytes
    """Link-layer source address; empty where the link has none (or the cooked header does not tell)."""
    destination_mac: bytes
    vlan: int
    """Innermost VLAN id, -1 without a tag."""
    tunnel: str
    """`` for none, else `vxlan 4097`, `geneve 12`, `gre`, `gretap`, `ipip`, `ip6ip6`, ... (outermost first, joined by `/`)."""
    outer_source: str
    """Outer source address of the outermost tunnel; empty without one."""


class Segment(NamedTuple):
    """One decoded TCP segment (RFC 9293)."""

    mark: Mark
    lane: Lane
    source: str
    destination: str
    source_port: int
    destination_port: int
    seq: int
    ack: int
    """Acknowledgment number; meaningful when flags has ACK."""
    flags: int
    """The low byte of the flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32."""
    window: int
    payload: bytes
    """Captured payload: shorter than `length` where the frame was cut by the snapshot length."""
    length: int
    """Payload length on the wire, by the IP header (or by the frame, where TSO left a zero total length)."""
    ttl: int
    """TTL or hop limit of the innermost IP header."""
    ip_id: int
    """IPv4 identification; -1 for IPv6."""
    tsval: int
    """TCP timestamp value, -1 without the option."""
    tsecr: int
    mss: int
    """MSS option (SYN only), 0 without."""
    checksum_ok: bool | None
    """None where it was not computed (fragment, cut frame, or not asked for)."""


class IcmpError(NamedTuple):
    """An ICMP (RFC 792) or ICMPv6 (RFC 4443) error about a TCP segment that it quotes."""

    mark: Mark
    lane: Lane
    reporter: str
    """Who sent it."""
    version: int
    """4 or 6."""
    type: int
    code: int
    source: str
    """Quoted: the sender of the segment the error is about."""
    destination: str
    source_port: int
    destination_port: int
    seq: int
    """Quoted sequence number, -1 where the quote is too short."""
    mtu: int
    """Next-hop MTU of `fragmentation needed` / `packet too big`, else 0."""
    flags: int = -1
    """Quoted flags, as those of `Segment`, -1 where the quote is too short."""


class Neighbour(NamedTuple):
    """An ARP (RFC 826) or Neighbour Discovery (RFC 4861) message."""

    mark: Mark
    lane: Lane
    request: bool
    """True for who-has / Neighbour Solicitation, False for is-at / Neighbour Advertisement (gratuitous ones too)."""
    asker: str
    """Request: the sender's protocol address (`` or `0.0.0.0` / `::` for a duplicate address probe). Reply: whom it answers."""
    target: str
    """The address asked for, or answered for."""
    mac: bytes
    """Reply: the hardware address of the target. Request: that of the asker."""


class Other(NamedTuple):
    """A whole packet that is nothing probewatch follows: counted, not kept."""

    mark: Mark
    what: str
    """`udp`, `icmp`, `arp`, `stp`, `fragment` (kept for reassembly), `ip-proto-89`, `ethertype-0x88cc`, ..."""


class Undecoded(NamedTuple):
    """A packet that ended before a header did, or contradicts itself. Layers below the fault were good."""

    mark: Mark
    layer: str
    """`ethernet`, `ipv4`, `tcp`, `vxlan`, ..."""
    offset: int
    """Offset in the frame where the layer begins."""
    needed: int
    """Bytes the layer needs; 0 where the fault is not a length."""
    got: int
    reason: str
    """One short phrase: `frame cut by the snapshot length`, `header length 3 is below 5`, `link type 147 is not known`."""


Packet = Segment | IcmpError | Neighbour | Other | Undecoded
