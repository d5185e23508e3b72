"""Peel a frame: through link layer, tags, tunnels and IP down to a TCP segment, or to what it is instead.

Theory of operation: nearly all frames of a capture are TCP over plain IP behind Ethernet, a cooked header or nothing.
Those take the fast way: the link header is looked up whole in a small cache (it repeats), IP and TCP are read with
one `unpack_from`. Whatever is unusual in any field (options of IP, fragments, tags, tunnels, cut headers) takes the
walk of `layers`, which decodes the frame anew, header by header, by the table `DECODERS`. Both ways give the same
values: the fast way only leaves out what its conditions have excluded.

Limitations: nothing is decrypted (IPsec ESP, WireGuard, MACsec end as `Other`); Teredo, GTP, AYIYA, L2TP and other
tunnels over UDP are plain `udp`; header compression is not undone. Checksums are computed only when asked for,
because offload leaves them wrong at the sender's side, and nothing is dropped for them.
"""

from __future__ import annotations

import struct
from typing import Final

from probewatch.model.frame import Frame, Mark
from probewatch.wire import icmp, ip, link, neighbours, segments, shims, tunnels
from probewatch.wire.addresses import AddressTexts, LaneBook
from probewatch.wire.fragments import Reassembly
from probewatch.wire.heads import EITHER, LONGER, SIZES, LinkHeads, TunnelHeads, bridged
from probewatch.wire.layers import CUT, GENEVE_PORTS, GRE_PORTS, VXLAN_PORTS, Decoder, Layer, Memory, Walk
from probewatch.wire.link import LINKS
from probewatch.wire.packets import SYN, Other, Packet, Segment, Undecoded
from probewatch.wire.peel_limits import PeelLimits
from probewatch.wire.segments import ALIGNED_TIMESTAMPS

__all__ = ["DECODERS", "PeelLimits", "Peeler"]

DECODERS: Final[dict[Layer, Decoder]] = {
    Layer.ETHERNET: link.ethernet,
    Layer.LLC: link.llc,
    Layer.LOOPBACK: link.loopback,
    Layer.SLL: link.sll,
    Layer.SLL2: link.sll2,
    Layer.NFLOG: link.nflog,
    Layer.RAW: link.raw,
    Layer.VLAN: shims.vlan,
    Layer.VN_TAG: shims.vn_tag,
    Layer.E_TAG: shims.e_tag,
    Layer.I_TAG: shims.i_tag,
    Layer.FABRIC_PATH: shims.fabric_path,
    Layer.MPLS: shims.mpls,
    Layer.PPPOE: shims.pppoe,
    Layer.PPP: shims.ppp,
    Layer.CISCO_HDLC: shims.cisco_hdlc,
    Layer.ARP: neighbours.arp,
    Layer.IPV4: ip.ipv4,
    Layer.IPV6: ip.ipv6,
    Layer.AUTHENTICATION: ip.authentication,
    Layer.IPV4_INSIDE: tunnels.ipv4_inside,
    Layer.IPV6_INSIDE: tunnels.ipv6_inside,
    Layer.GRE: tunnels.gre,
    Layer.UDP: tunnels.udp,
    Layer.ICMP: icmp.icmp,
    Layer.ICMPV6: icmp.icmpv6,
    Layer.TCP: segments.tcp,
}
"""The decoder of each layer."""

_FEWEST_LAYERS: Final = 10
"""A packet of the fast way has fewer; with a smaller limit all take the slow way."""

# Version and header length, total length, id, fragment, TTL, protocol, addresses; then TCP up to the window.
_FAST4: Final = struct.Struct("!BxHHHBBxx4s4sHHIIHH4x").unpack_from
# Version, payload length, next header, hop limit, addresses; then TCP up to the window.
_FAST6: Final = struct.Struct("!BxxxHBB16s16sHHIIHH4x").unpack_from
_STAMPS: Final = struct.Struct("!II").unpack_from
_UNKNOWN: Final = ("gre", "ethertype-", "llc-", "snap-", "ip-proto-")
_new = tuple.__new__  # a NamedTuple made this way costs half of a call of its class


UDP_PORTS: Final = 64
"""Ports of which datagrams are counted."""


class Peeler:
    """Peels frames, one after the other; remembers only fragments under reassembly and a few cached values.

    `checksums` computes TCP checksums (`Segment.checksum_ok`). The port sets say which UDP ports carry VXLAN and
    Geneve.
    """

    __slots__ = (
        "_checksums",
        "_geneve_ports",
        "_heads",
        "_layers",
        "_memory",
        "_texts",
        "_tunnel_ports",
        "_tunnels",
        "udp_ports",
    )

    def __init__(
        self,
        limits: PeelLimits = PeelLimits(),  # noqa: B008  (frozen)
        *,
        checksums: bool = False,
        vxlan_ports: frozenset[int] = VXLAN_PORTS,
        geneve_ports: frozenset[int] = GENEVE_PORTS,
    ) -> None:
        self.udp_ports: dict[int, int] = {}
        """Datagrams by the port they go to, of the first ports that are met, tunnels left out."""
        self._texts = AddressTexts(limits.addresses)
        self._memory = Memory(
            self._texts,
            LaneBook(limits.lanes),
            Reassembly(limits),
            vxlan_ports,
            geneve_ports,
            limits.extension_headers,
            limits.labels,
            checksums,
        )
        self._layers = limits.layers
        self._checksums = checksums
        self._geneve_ports = geneve_ports
        self._tunnel_ports = vxlan_ports | geneve_ports
        fast = SIZES if limits.layers >= _FEWEST_LAYERS else ()
        self._heads = {number: LinkHeads(number, self._memory, limits.lanes) for number in fast}
        self._tunnels = TunnelHeads(limits.lanes)

    @property
    def incomplete_datagrams(self) -> int:
        """Fragmented datagrams that were given up incomplete so far, or still are."""
        fragments = self._memory.fragments
        return fragments.dropped + len(fragments)

    def peel(self, frame: Frame) -> Packet:  # noqa: C901  (one straight line: a call costs as much as a step)
        """Decode one frame; never raises.

        A fragment gives `Other("fragment")`, but the one that completes its datagram gives what the datagram holds.
        """
        ns, file, number, interface, link_type, data, _ = frame
        heads = self._heads.get(link_type)
        if heads is None:
            return self._walk(frame)
        lane, version, at = heads[interface, data[: heads.size]]
        size = len(data)
        while version == LONGER and size >= at:
            lane, version, at = heads[interface, data[:at]]
        if version == EITHER and size > at:
            version = data[at] >> 4
        head = at
        while True:
            if version == 4 and size >= at + 40:
                (
                    first, total, ip_id, fragment, ttl, protocol, source, destination,
                    sport, dport, seq, ack, bits, window,
                ) = _FAST4(data, at)  # fmt: skip
                if first != 0x45 or fragment & 0x3FFF:
                    return self._walk(frame)
                end = at + total
                at += 20
            elif version == 6 and size >= at + 60:
                first, total, protocol, ttl, source, destination, sport, dport, seq, ack, bits, window = _FAST6(
                    data, at
                )
                if first >> 4 != 6:
                    return self._walk(frame)
                at += 40
                end = at + total
                ip_id = -1
            else:
                return self._walk(frame)
            if protocol == 6:
                break
            if protocol != 17 or lane.tunnel:
                return self._walk(frame)
            if dport not in self._tunnel_ports:
                if end - at < 8 or dport in GRE_PORTS:
                    return self._walk(frame)
                if dport in self.udp_ports or len(self.udp_ports) < UDP_PORTS:
                    self.udp_ports[dport] = self.udp_ports.get(dport, 0) + 1
                return Other(_new(Mark, (ns, file, number)), "udp")
            # The key is all that goes into the lane, and all that the way to the inner IP header depends on.
            inner = bridged(data, at, geneve=dport in self._geneve_ports)
            key = (interface, link_type, data[:head], source, dport, data[at + 8 : inner])
            known = self._tunnels.get(key)
            if known is None or end != size or frame.original_length > size:
                packet = self._walk(frame)
                if inner and isinstance(packet, Segment):
                    self._tunnels.learn(key, packet.lane, data[inner - 2 : inner], inner)
                return packet
            lane, version, at = known
        header = bits >> 10 & 0x3C
        length = end - at - header
        start = at + header
        if header < 20 or length < 0 or start > size:
            return self._walk(frame)
        flags = bits & 0xFF
        tsval = tsecr = -1
        mss = 0
        if header > 20:
            if header > 28 and not flags & SYN and data.startswith(ALIGNED_TIMESTAMPS, at + 20):
                tsval, tsecr = _STAMPS(data, at + 24)
            else:
                tsval, tsecr, mss = segments.options(data, at + 20, start, flags)
        checksum_ok = None
        if self._checksums and start + length <= size:
            checksum_ok = segments.checksum_holds(data, at, start + length, source + destination)
        texts = self._texts
        return _new(
            Segment,
            (
                _new(Mark, (ns, file, number)),
                lane,
                texts[source],
                texts[destination],
                sport,
                dport,
                seq,
                ack,
                flags,
                window,
                data[start : start + length] if length else b"",
                length,
                ttl,
                ip_id,
                tsval,
                tsecr,
                mss,
                checksum_ok,
            ),
        )

    def _walk(self, frame: Frame) -> Packet:
        """Decode a frame header by header."""
        walk = Walk(self._memory, frame, Mark(frame.ns, frame.file, frame.number))
        layer = LINKS.get(frame.link_type)
        if layer is None:
            return link.unknown_link(walk)
        for _ in range(self._layers):
            step = DECODERS[layer](walk)
            if not isinstance(step, Layer):
                return _checked_guess(walk, step) if walk.guess else step
            layer = step
        return walk.fault(layer.name.lower(), f"more than {self._layers} layers")


def _checked_guess(walk: Walk, packet: Packet) -> Packet:
    """Take back a tunnel that was only guessed from its port, if what it holds makes no sense.

    A frame that was cut inside such a tunnel is not nonsense, but undecoded.
    """
    if isinstance(packet, Undecoded):
        return packet if packet.reason.startswith(CUT) else Other(walk.mark, walk.guess)
    if isinstance(packet, Other) and packet.what.startswith(_UNKNOWN):
        return Other(walk.mark, walk.guess)
    return packet
