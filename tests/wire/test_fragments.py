"""Reassembly of IP fragments: any cut and any order give the same datagram, and no input grows memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from probewatch.model.frame import Frame
from probewatch.model.units import SECOND
from probewatch.wire.fragments import Reassembly
from probewatch.wire.packets import Other, Segment, Undecoded
from probewatch.wire.peel import Peeler, PeelLimits
from probewatch.wire.peel_limits import PIECE_COST


def ip_fragments(payload: bytes, cuts: list[int], version: int) -> list[bytes]:
    """Return a TCP segment as IP fragments that begin at the given 8-byte units."""
    tcp = TCP(sport=40000, dport=8080, seq=9, ack=3, flags="PA") / Raw(payload)
    whole = IP(src="10.0.0.1", dst="10.0.0.2") / tcp if version == 4 else IPv6(src="fd00::1", dst="fd00::2") / tcp
    datagram = bytes(whole)[20 if version == 4 else 40 :]
    starts = sorted({0, *(cut for cut in cuts if cut * 8 < len(datagram))})
    packets = []
    for index, start in enumerate(starts):
        end = starts[index + 1] * 8 if index + 1 < len(starts) else len(datagram)
        piece, more = Raw(datagram[start * 8 : end]), end < len(datagram)
        if version == 4:
            flags = "MF" if more else 0
            packets.append(bytes(IP(src="10.0.0.1", dst="10.0.0.2", id=77, proto=6, frag=start, flags=flags) / piece))
        else:
            fragment = IPv6ExtHdrFragment(nh=6, offset=start, m=int(more), id=77)
            packets.append(bytes(IPv6(src="fd00::1", dst="fd00::2") / fragment / piece))
    return packets


def raw_frame(data: bytes, number: int, ns: int = 0, snap: int | None = None, interface: int = 0) -> Frame:
    """Return a frame without link header."""
    return Frame(ns, 0, number, interface, 101, data[:snap], len(data))


@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=60)
@given(data=st.data())
def test_any_cut_and_order_gives_the_same_segment(version: int, data: st.DataObject) -> None:
    """A segment cut anywhere, its fragments in any order and some of them twice, is the segment that was sent."""
    payload = data.draw(st.binary(min_size=1, max_size=300))
    cuts = data.draw(st.lists(st.integers(1, 40), max_size=8))
    pieces = ip_fragments(payload, cuts, version)
    order = data.draw(st.permutations(range(len(pieces))))
    again = data.draw(st.lists(st.sampled_from(order[:-1]), max_size=3)) if len(order) > 1 else []
    peeler = Peeler()
    sent = [*order[:-1], *again, order[-1]]
    packets = [peeler.peel(raw_frame(pieces[index], number)) for number, index in enumerate(sent, 1)]
    assert all(packet == Other(packet.mark, "fragment") for packet in packets[:-1])
    segment = packets[-1]
    assert isinstance(segment, Segment)
    assert (segment.payload, segment.length, segment.seq, segment.source_port) == (payload, len(payload), 9, 40000)
    assert segment.mark.number == len(sent)
    assert peeler.incomplete_datagrams == 0


@settings(max_examples=150)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 20)), max_size=30),
)
def test_overlaps_keep_the_first_bytes(units: int, pieces: list[tuple[int, int]]) -> None:
    """However fragments overlap, each byte is the one that came first: a naive byte map says the same."""
    total = units * 8
    store = Reassembly(PeelLimits())
    naive: dict[int, int] = {}
    last_known = False
    sent = [*pieces, (0, units)]
    for value, (start, length) in enumerate(sent):
        begin, end = start * 8, min((start + length) * 8, total)
        if begin >= end:
            continue
        more = end < total
        for at in range(begin, end):
            naive.setdefault(at, value)
        last_known = last_known or not more
        whole = store.add("key", 0, begin, end - begin, bytes([value]) * (end - begin), 6, more=more)
        if last_known and len(naive) == total:
            assert whole is not None
            assert whole.data == bytes(naive[at] for at in range(total))
            assert (len(store), store.held) == (0, 0)
            return
        assert whole is None
    pytest.fail("the last piece covers everything")


@pytest.mark.parametrize("version", [4, 6])
def test_snapshot_length_cuts_a_fragment(version: int) -> None:
    """Where a fragment was cut, the segment's payload ends, and its length is still the one on the wire."""
    payload = bytes(range(200))
    pieces = ip_fragments(payload, [10], version)
    header = 20 if version == 4 else 48
    peeler = Peeler()
    assert isinstance(peeler.peel(raw_frame(pieces[0], 1, snap=header + 60)), Other)
    segment = peeler.peel(raw_frame(pieces[1], 2))
    assert isinstance(segment, Segment)
    assert (segment.payload, segment.length) == (payload[:40], 200)


def test_too_short_datagram_names_the_reassembly() -> None:
    """A reassembled datagram too short for its header is undecoded, and the offset is said to be its own."""
    peeler = Peeler()
    first = bytes(IP(src="10.0.0.1", dst="10.0.0.2", id=1, proto=6, flags="MF") / Raw(bytes(8)))
    last = bytes(IP(src="10.0.0.1", dst="10.0.0.2", id=1, proto=6, frag=1) / Raw(bytes(4)))
    peeler.peel(raw_frame(first, 1))
    packet = peeler.peel(raw_frame(last, 2))
    assert isinstance(packet, Undecoded)
    assert (packet.layer, packet.offset, packet.needed, packet.got) == ("tcp", 0, 20, 12)
    assert "reassembled" in packet.reason


def test_fragments_of_two_vantage_points_do_not_mix() -> None:
    """The same datagram seen on two interfaces is reassembled on each, so that both sightings are told."""
    pieces = ip_fragments(bytes(100), [5], 4)
    peeler = Peeler()
    frames = [raw_frame(piece, number, interface=interface) for number, piece in enumerate(pieces) for interface in (0, 1)]
    kinds = [type(peeler.peel(frame)) for frame in frames]
    assert kinds == [Other, Other, Segment, Segment]


def test_fragments_age_by_capture_time() -> None:
    """After 30 s of capture time a datagram is given up; its id may then be used again."""
    old, new = ip_fragments(b"old" * 30, [5], 4), ip_fragments(b"new" * 30, [5], 4)
    peeler = Peeler()
    peeler.peel(raw_frame(old[0], 1, ns=0))
    assert peeler.peel(raw_frame(new[1], 2, ns=31 * SECOND)) == Other((31 * SECOND, 0, 2), "fragment")  # type: ignore[arg-type]
    assert peeler.incomplete_datagrams == 2
    segment = peeler.peel(raw_frame(new[0], 3, ns=32 * SECOND))
    assert isinstance(segment, Segment)
    assert segment.payload == b"new" * 30


def test_clock_that_steps_back_does_not_keep_fragments_alive() -> None:
    """A datagram from the future is given up like one from the past when its key comes again."""
    old, new = ip_fragments(b"old" * 30, [5], 4), ip_fragments(b"new" * 30, [5], 4)
    peeler = Peeler()
    peeler.peel(raw_frame(old[0], 1, ns=100 * SECOND))
    peeler.peel(raw_frame(new[0], 2, ns=0))
    segment = peeler.peel(raw_frame(new[1], 3, ns=0))
    assert isinstance(segment, Segment)
    assert segment.payload == b"new" * 30


def test_bomb_of_datagrams_is_bounded() -> None:
    """A flood of first fragments leaves no more than the limit of datagrams and bytes, whatever the flood."""
    limits = PeelLimits(fragment_datagrams=50, fragment_bytes=20_000)
    store = Reassembly(limits)
    for number in range(5_000):
        store.add(number, number, 0, 1480, bytes(1480), 6, more=True)
        assert len(store) <= 50
        assert store.held <= 20_000
    assert store.dropped >= 4_900


def test_bomb_of_pieces_is_bounded() -> None:
    """A datagram of many tiny or empty pieces is given up, and empty pieces are not free."""
    store = Reassembly(PeelLimits(fragment_pieces=10))
    for number in range(11):
        store.add("key", 0, number * 16, 8, b"", 6, more=True)
    assert (len(store), store.held, store.dropped) == (0, 0, 1)
    store = Reassembly(PeelLimits(fragment_bytes=10 * PIECE_COST))
    for number in range(11):
        store.add("key", 0, number * 16, 8, b"", 6, more=True)
    assert (len(store), store.held, store.dropped) == (0, 0, 1)


def test_beyond_the_end_counts_for_nothing() -> None:
    """Fragments behind the last one, empty ones, and those that end beyond 65535 never complete or extend anything."""
    store = Reassembly(PeelLimits())
    assert store.add("key", 0, 8, 8, b"b" * 8, 6, more=False) is None
    assert store.add("key", 0, 16, 8, b"c" * 8, 6, more=True) is None
    assert store.add("key", 0, 16, 8, b"c" * 8, 6, more=False) is None
    whole = store.add("key", 0, 0, 8, b"a" * 8, 6, more=True)
    assert whole is not None
    assert whole.data == b"a" * 8 + b"b" * 8
    peeler = Peeler()
    for packet in (
        IP(proto=6, frag=8191, flags="MF") / Raw(bytes(64)),
        IP(proto=6, frag=8191) / Raw(bytes(64)),
        IP(proto=6, flags="MF") / Raw(bytes(7)),
    ):
        assert isinstance(peeler.peel(raw_frame(bytes(packet), 1)), Other)
    assert peeler.incomplete_datagrams == 0


def test_length_that_is_no_multiple_of_8_is_rounded_down() -> None:
    """As in Linux, a fragment before the last counts with whole units only."""
    pieces = ip_fragments(bytes(range(100)), [10], 4)
    longer = bytearray(pieces[0] + b"???")
    longer[2:4] = len(longer).to_bytes(2, "big")
    peeler = Peeler()
    peeler.peel(raw_frame(bytes(longer), 1))
    segment = peeler.peel(raw_frame(pieces[1], 2))
    assert isinstance(segment, Segment)
    assert segment.payload == bytes(range(100))
