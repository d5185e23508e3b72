"""The caches of whole heads: bounded, and never more than a short cut."""

from __future__ import annotations

from probewatch.model.frame import Frame
from probewatch.wire.heads import LONGER, NO_FAST_WAY, TunnelHeads
from probewatch.wire.packets import Lane, Segment
from probewatch.wire.peel import Peeler, PeelLimits

IPV4 = bytes.fromhex("450000280007000040060000 0a000001 0a000002".replace(" ", ""))
TCP = bytes.fromhex("9c401f90 00000063 00000000 50100100 00000000".replace(" ", ""))
LANE = Lane(0, -1, -1, b"", b"", -1, "vxlan 1", "192.0.2.1")


def test_heads_stay_within_their_limit() -> None:
    """Frames of any number of hardware addresses leave at most the limit in the cache, and all are right."""
    peeler = Peeler(PeelLimits(lanes=8))
    for number in range(100):
        mac = number.to_bytes(6, "big")
        data = bytes(6) + mac + b"\x08\x00" + IPV4 + TCP
        segment = peeler.peel(Frame(0, 0, 1, 0, 1, data, len(data)))
        assert isinstance(segment, Segment)
        assert segment.lane.source_mac == mac
        assert len(peeler._heads[1]) <= 8
        assert len(peeler._memory.lanes) <= 8


def test_what_stands_behind_an_address_makes_no_new_head() -> None:
    """Bytes behind the address of a cooked header are not decoded again, and go into nothing; those of the address do."""
    for link_type, before, behind in ((113, "000000010006", "0800"), (276, "080000000000000300010006", "")):
        peeler, decoded = Peeler(), set[int]()
        for number in range(100):
            address = bytes((2, 0, 0, 0, 0, number % 2)) + number.to_bytes(2, "big")
            data = bytes.fromhex(before) + address + bytes.fromhex(behind) + IPV4 + TCP
            segment = peeler.peel(Frame(0, 0, 1, 0, link_type, data, len(data)))
            assert isinstance(segment, Segment)
            assert segment.lane.source_mac == address[:6]
            decoded.update(map(id, peeler._heads[link_type].values()))
        assert len(decoded) == 2
        for size in (0, 7, 8, 20):
            sized = bytearray(bytes.fromhex(before))
            sized[-1 if link_type == 276 else 5] = size
            for last in range(4):
                data = bytes(sized) + bytes(6) + bytes((9, last)) + bytes.fromhex(behind) + IPV4 + TCP
                segment = peeler.peel(Frame(0, 0, 1, 0, link_type, data, len(data)))
                assert isinstance(segment, Segment)
                assert segment.lane.source_mac == (bytes(6) + bytes((9, last)))[: min(size, 8)]


def test_tunnel_heads_stay_within_their_limit() -> None:
    """The same of tunnels; a nested tunnel or an inner tag is not learned."""
    heads = TunnelHeads(8)
    for number in range(100):
        heads.learn((number,), LANE, b"\x08\x00", 50)
        assert len(heads) <= 8
        assert heads[number,] == (LANE, 4, 50)
    heads.learn(("nested",), LANE._replace(tunnel="vxlan 1/gre"), b"\x08\x00", 50)
    heads.learn(("tagged",), LANE, b"\x81\x00", 50)
    assert ("nested",) not in heads
    assert ("tagged",) not in heads


def test_tags_make_heads_longer_but_not_endless() -> None:
    """Three VLAN tags still have a fast way; more do not, so that a frame of tags is no work and no memory."""
    heads = Peeler()._heads[1]
    head = bytes(12)
    for tags in range(5):
        data = head + b"\x81\x00\x00\x05" * tags
        version = heads[0, data + b"\x81\x00"][1]
        assert version == (LONGER if tags < 3 else NO_FAST_WAY)
        assert heads[0, data + b"\x08\x00"][1] == 4
        assert heads[0, data + b"\x86\xdd"][1] == 6


def test_few_layers_take_the_slow_way() -> None:
    """A limit of layers that a plain packet reaches is held: the fast way does not go around it."""
    data = bytes(12) + b"\x08\x00" + IPV4 + TCP
    frame = Frame(0, 0, 1, 0, 1, data, len(data))
    assert isinstance(Peeler(PeelLimits(layers=3)).peel(frame), Segment)
    assert not isinstance(Peeler(PeelLimits(layers=2)).peel(frame), Segment)
