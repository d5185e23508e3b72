"""TCP headers: fields, options of all kinds, and cuts."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.model.frame import Frame
from probewatch.wire.packets import ACK, PSH, SYN, Segment, Undecoded
from probewatch.wire.peel import Peeler
from probewatch.wire.segments import options

STAMPS = b"\x01\x01\x08\x0a\x00\x00\x10\x00\x00\x00\x20\x00"


def ipv4_frame(tcp: bytes, captured: int | None = None, total: int | None = None) -> Frame:
    """Return a raw IPv4 frame around TCP bytes, cut to `captured` bytes of TCP."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp) if total is None else total, 7, 0, 64, 6, 0)
    data = header + b"\x0a\x00\x00\x01\x0a\x00\x00\x02" + tcp
    cut = data if captured is None else data[: 20 + captured]
    return Frame(5, 0, 1, 0, 101, cut, len(data))


def tcp_bytes(opts: bytes = b"", payload: bytes = b"", flags: int = ACK, offset: int | None = None) -> bytes:
    """Return a TCP header with options and payload."""
    words = 5 + len(opts) // 4 if offset is None else offset
    return struct.pack("!HHIIHHHH", 40000, 8080, 11, 22, words << 12 | flags, 500, 0, 0) + opts + payload


def test_fields() -> None:
    """Every field of the header arrives in the segment."""
    segment = Peeler().peel(ipv4_frame(tcp_bytes(STAMPS, b"hello", PSH | ACK)))
    assert isinstance(segment, Segment)
    assert segment.mark == (5, 0, 1)
    assert (segment.source, segment.destination) == ("10.0.0.1", "10.0.0.2")
    assert (segment.source_port, segment.destination_port, segment.seq, segment.ack) == (40000, 8080, 11, 22)
    assert (segment.flags, segment.window, segment.payload, segment.length) == (PSH | ACK, 500, b"hello", 5)
    assert (segment.ttl, segment.ip_id, segment.tsval, segment.tsecr, segment.mss) == (64, 7, 0x1000, 0x2000, 0)
    assert segment.checksum_ok is None


def test_syn_options() -> None:
    """A SYN tells its maximum segment size, wherever in the options it stands; an ACK does not."""
    opts = b"\x01\x04\x02\x01" + b"\x02\x04\x05\xb4" + STAMPS
    for flags, mss in ((SYN, 1460), (ACK, 0)):
        segment = Peeler().peel(ipv4_frame(tcp_bytes(opts, flags=flags)))
        assert isinstance(segment, Segment)
        assert (segment.mss, segment.tsval, segment.tsecr) == (mss, 0x1000, 0x2000)


@pytest.mark.parametrize(
    "opts",
    [
        b"\x08\x00\x01\x01",
        b"\x08\x01\x01\x01",
        b"\x02\xff\x05\xb4",
        b"\x01\x01\x01\x08",
        b"\x00\x02\x04\x05",
        b"\xfe\x04\x00\x00",
        b"\x08\x04\x00\x00",
    ],
)
def test_hostile_options_are_tolerated(opts: bytes) -> None:
    """An option length that cannot be leaves the segment whole, only without what follows the fault."""
    segment = Peeler().peel(ipv4_frame(tcp_bytes(opts, b"data", SYN)))
    assert isinstance(segment, Segment)
    assert (segment.payload, segment.tsval, segment.tsecr, segment.mss) == (b"data", -1, -1, 0)


@given(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 60))
def test_options_never_fail(opts: bytes, flags: int, end: int) -> None:
    """Any bytes as options give numbers in their ranges."""
    tsval, tsecr, mss = options(opts, 0, end, flags)
    assert -1 <= tsval < 1 << 32
    assert -1 <= tsecr < 1 << 32
    assert 0 <= mss < 1 << 16


def test_cut_inside_the_options() -> None:
    """A frame cut inside the options gives the segment with what is known, and its length on the wire."""
    whole = tcp_bytes(STAMPS, b"x" * 100)
    for captured in range(20, 32):
        segment = Peeler().peel(ipv4_frame(whole, captured))
        assert isinstance(segment, Segment)
        assert (segment.payload, segment.length, segment.seq) == (b"", 100, 11)
        assert segment.tsval == (0x1000 if captured >= 28 else -1)
        assert segment.tsecr == -1


def test_cut_inside_the_fixed_header() -> None:
    """A frame cut inside the first 20 bytes is undecoded, with the numbers of the cut."""
    for captured in range(20):
        packet = Peeler().peel(ipv4_frame(tcp_bytes(), captured))
        assert packet == Undecoded((5, 0, 1), "tcp", 20, 20, captured, "frame cut by the snapshot length")  # type: ignore[arg-type]


def test_impossible_header_lengths() -> None:
    """A data offset below 5, or beyond the datagram, is undecoded and says so."""
    for offset in range(5):
        packet = Peeler().peel(ipv4_frame(tcp_bytes(offset=offset)))
        assert isinstance(packet, Undecoded)
        assert packet.reason == f"header length {offset} is below 5"
    packet = Peeler().peel(ipv4_frame(tcp_bytes(payload=b"1234", offset=15)))
    assert isinstance(packet, Undecoded)
    assert packet.reason == "header length 15 is longer than the datagram"


def test_payload_is_bounded_by_ip_and_by_the_capture() -> None:
    """Padding behind the datagram is no payload; what the snapshot length cut off counts in the length."""
    padded = Peeler().peel(ipv4_frame(tcp_bytes(payload=b"abc" + bytes(9)), total=43))
    assert isinstance(padded, Segment)
    assert (padded.payload, padded.length) == (b"abc", 3)
    cut = Peeler().peel(ipv4_frame(tcp_bytes(payload=b"abcdef"), captured=23))
    assert isinstance(cut, Segment)
    assert (cut.payload, cut.length) == (b"abc", 6)
