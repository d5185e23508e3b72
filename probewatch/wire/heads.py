"""Headers in front of IP, looked up whole: most frames of a capture begin with the same few.

`LinkHeads` maps the bytes of a link header, VLAN tags included, to what they lead to; `TunnelHeads` does the same for
the bytes between an outer and an inner IP header. Nothing is decoded here in another way than on the slow way: a head
that is not known yet is given to the decoders of `link` and `shims`, or learned from the walk through the whole
frame.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.frame import Frame, Mark
from probewatch.wire import link, shims
from probewatch.wire.layers import Decoder, Layer, Memory, Walk
from probewatch.wire.packets import Lane

Head = tuple[Lane, int, int]
"""The lane, the IP version (or one of the values below), and the offset where IP begins."""
EITHER: Final = 0
"""The first nibble of the packet tells the version."""
NO_FAST_WAY: Final = -1
LONGER: Final = -2
"""The head is longer than was looked up: look up again, up to the offset given."""

SIZES: Final[dict[int, int]] = {1: 14, 12: 0, 14: 0, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20}
"""Size of the link header of each link type that has a fast way."""
_DECODERS: Final[dict[Layer, Decoder]] = {
    Layer.ETHERNET: link.ethernet,
    Layer.SLL: link.sll,
    Layer.SLL2: link.sll2,
    Layer.VLAN: shims.vlan,
}
_VERSIONS: Final[dict[object, int]] = {Layer.IPV4: 4, Layer.IPV6: 6, Layer.RAW: EITHER}
_ADDRESSES: Final = {113: (slice(4, 6), 6), 276: (slice(11, 12), 12)}
"""Cooked header -> where it says how long its address is, and where the room for that begins."""
_ADDRESS: Final = 8
"""Bytes of that room."""
_TAG: Final = 4
_TAGS: Final = 3
_ETHERTYPES: Final = {b"\x08\x00": 4, b"\x86\xdd": 6}


class LinkHeads(dict[tuple[int, bytes], Head]):
    """Heads of one link type by interface and bytes; starts anew when full."""

    __slots__ = ("limit", "link_type", "memory", "size")

    def __init__(self, link_type: int, memory: Memory, limit: int) -> None:
        super().__init__()
        self.link_type, self.size, self.memory, self.limit = link_type, SIZES[link_type], memory, limit

    def __missing__(self, key: tuple[int, bytes]) -> Head:
        interface, head = key
        clean = interface, _clean(head, self.link_type)
        made = self.get(clean) if clean != key else None
        if made is None:
            made = self._decode(*clean)
        if len(self) >= self.limit - 1:
            self.clear()
        self[key] = self[clean] = made
        return made

    def _decode(self, interface: int, head: bytes) -> Head:
        walk = Walk(self.memory, Frame(0, 0, 0, interface, self.link_type, head, len(head)), Mark(0, 0, 0))
        step: object = link.LINKS[self.link_type]
        while isinstance(step, Layer) and step in _DECODERS:
            if step is Layer.VLAN and len(head) < walk.at + _TAG:
                version = LONGER if len(head) < self.size + _TAGS * _TAG else NO_FAST_WAY
                return walk.lane(), version, walk.at + _TAG
            step = _DECODERS[step](walk)
        return walk.lane(), _VERSIONS.get(step, NO_FAST_WAY), walk.at


def _clean(head: bytes, link_type: int) -> bytes:
    """Return a head without what stands in the room behind a cooked header's address.

    The kernel leaves there what was there before, so that one head in ten would be met for the first time.
    """
    place = _ADDRESSES.get(link_type)
    if place is None or len(head) < SIZES[link_type]:
        return head
    told, begin = place
    end = begin + min(int.from_bytes(head[told], "big"), _ADDRESS)
    return head[:end] + bytes(begin + _ADDRESS - end) + head[begin + _ADDRESS :]


def bridged(data: bytes, udp: int, *, geneve: bool) -> int:
    """Return where the inner IP header begins if Ethernet is inside the VXLAN or Geneve behind the UDP header, else 0."""
    if not geneve:
        return udp + 30
    return udp + 30 + (data[udp + 8] & 0x3F) * 4 if data[udp + 10 : udp + 12] == b"\x65\x58" else 0


class TunnelHeads(dict[tuple[object, ...], Head]):
    """Heads of VXLAN and Geneve by all that goes into a lane; starts anew when full."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def learn(self, key: tuple[object, ...], lane: Lane, inner: bytes, at: int) -> None:
        """Remember what a walk has found: `inner` is the EtherType of the inner Ethernet header, which ends `at`."""
        version = _ETHERTYPES.get(inner)
        if version is None or "/" in lane.tunnel:
            return
        if len(self) >= self.limit:
            self.clear()
        self[key] = (lane, version, at)
