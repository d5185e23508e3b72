"""Peeling as a whole: one way or the other, on any bytes, and beside other decoders."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw

from probewatch.capture.errors import CaptureError
from probewatch.capture.reader import Reader
from probewatch.model.frame import Frame
from probewatch.wire.packets import IcmpError, Neighbour, Other, Packet, Segment, Undecoded
from probewatch.wire.peel import Peeler

V4 = IP(src="10.0.0.1", dst="10.0.0.2")
V6 = IPv6(src="fd00::1", dst="fd00::2")
LINK = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
DATA = TCP(sport=40000, dport=8080, seq=99, flags="PA", options=[("NOP", 0), ("NOP", 0), ("Timestamp", (7, 8))])
SYN = TCP(sport=40000, dport=8080, seq=98, flags="S", options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0))])
OPTION = GeneveOptions(classid=0x0102, type=0x80, data=b"\0\1\0\2")

SAMPLES: list[tuple[int, bytes]] = [
    (link_type, bytes(packet))
    for link_type, packet in [
        *((1, LINK / ip / tcp / Raw(b"GET / HTTP/1.1\r\n\r\n")) for ip in (V4, V6) for tcp in (DATA, SYN)),
        *((101, ip / tcp / Raw(b"x" * 30)) for ip in (V4, V6) for tcp in (DATA, SYN)),
        *((1, LINK / Dot1Q(vlan=5) / Dot1Q(vlan=6) / ip / DATA) for ip in (V4, V6)),
        *((1, LINK / ip / UDP(dport=4789) / VXLAN(vni=7) / LINK / V4 / DATA / Raw(b"x" * 9)) for ip in (V4, V6)),
        *((1, LINK / ip / UDP(dport=6081) / GENEVE(vni=7, options=[OPTION]) / LINK / V6 / DATA) for ip in (V4, V6)),
        (1, LINK / V4 / UDP(dport=6081) / GENEVE(vni=7) / V6 / DATA),
        (1, LINK / V4 / UDP(dport=4754) / GRE() / V6 / DATA),
        (1, LINK / V4 / UDP(sport=53, dport=53) / Raw(b"x" * 40)),
        (1, LINK / V6 / UDP(sport=53, dport=53) / Raw(b"x" * 40)),
        (1, LINK / V4 / GRE(key_present=1, key=3) / V6 / DATA),
        (1, LINK / V4 / V4 / DATA),
        (1, LINK / V6 / IPv6ExtHdrHopByHop() / DATA),
        (1, LINK / V6 / IPv6ExtHdrFragment(m=1, id=3) / Raw(b"x" * 24)),
        (1, LINK / IP(flags="MF", proto=6) / Raw(b"x" * 24)),
        (1, LINK / V4 / ICMP(type=3, code=1) / V4 / DATA),
        (1, LINK / V6 / ICMPv6DestUnreach() / V6 / DATA),
        (1, LINK / ARP(psrc="10.0.0.1", pdst="10.0.0.2")),
        (1, LINK / IPv6(src="fd00::1", dst="fd00::2", hlim=255) / ICMPv6ND_NS() / ICMPv6NDOptSrcLLAddr()),
        (1, Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b", type=0x8847) / MPLS(s=1) / V4 / DATA),
    ]
]
SAMPLES += [(113, bytes(14) + b"\x08\x00" + SAMPLES[4][1]), (113, bytes(14) + b"\x86\xdd" + SAMPLES[6][1])]
SAMPLES += [(276, b"\x08\x00" + bytes(18) + SAMPLES[4][1]), (276, b"\x86\xdd" + bytes(18) + SAMPLES[6][1])]
SAMPLES += [(276, b"\x81\x00" + bytes(20) + b"\x08\x00" + SAMPLES[4][1]), (0, b"\x02\0\0\0" + SAMPLES[4][1])]
SAMPLES += [(239, b"\x02\0\0\0" + (4 + len(SAMPLES[4][1])).to_bytes(2, "little") + b"\x09\0" + SAMPLES[4][1])]
LINK_TYPES = [0, 1, 9, 12, 50, 51, 101, 104, 105, 108, 113, 166, 228, 229, 239, 276, 999]


def consistent(packet: Packet, frame: Frame) -> None:
    """Check what holds for every packet of every frame, however hostile."""
    assert packet.mark == (frame.ns, frame.file, frame.number)
    if isinstance(packet, Segment):
        assert len(packet.payload) <= packet.length
        assert 0 <= packet.ttl <= 255
    elif isinstance(packet, Undecoded):
        assert packet.layer
        assert packet.reason
        assert packet.offset >= 0
        assert packet.got >= 0
        assert packet.needed == 0 or packet.needed > packet.got
        if "reassembled" not in packet.reason:
            assert packet.offset + packet.got <= len(frame.data)


@st.composite
def damaged(draw: st.DrawFn) -> Frame:
    """Return a frame that was valid before some of its bytes were changed, and perhaps its end or its link type."""
    link_type, data = draw(st.sampled_from(SAMPLES))
    raw = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, min(len(raw) - 1, 120)))
        raw[at] = draw(st.one_of(st.sampled_from([0, 1, 4, 5, 6, 0x45, 0x60, 0xFF]), st.integers(0, 255)))
    if draw(st.integers(0, 9)) == 0:
        link_type = draw(st.sampled_from(LINK_TYPES))
    cut = bytes(raw[: draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))])
    original = draw(st.sampled_from([len(cut), len(raw), len(raw) + 4, 0]))
    return Frame(draw(st.integers(0, 3)), 0, 1, draw(st.integers(0, 1)), link_type, cut, original)


@settings(max_examples=600)
@given(st.lists(damaged(), min_size=1, max_size=6), st.booleans())
def test_fast_way_is_the_slow_way(frames: list[Frame], checksums: bool) -> None:
    """Damaged frames never raise, are told consistently, and the caches of the fast way change nothing."""
    fast, slow = Peeler(checksums=checksums), Peeler(checksums=checksums)
    for frame in frames:
        packet = fast.peel(frame)
        consistent(packet, frame)
        assert packet == slow._walk(frame)
        assert len(packet) == len(type(packet)._fields)


@settings(max_examples=200)
@given(st.sampled_from(LINK_TYPES), st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes(link_type: int, data: bytes, original: int) -> None:
    """Any bytes of any link type end in a packet."""
    frame = Frame(0, 0, 1, 0, link_type, data, original)
    consistent(Peeler().peel(frame), frame)


@pytest.mark.parametrize(("link_type", "data"), SAMPLES)
def test_every_cut(link_type: int, data: bytes) -> None:
    """A frame cut at any byte is what it is, or undecoded as cut; never something else."""
    whole = Peeler().peel(Frame(0, 0, 1, 0, link_type, data, len(data)))
    assert not isinstance(whole, Undecoded)
    for size in range(len(data)):
        frame = Frame(0, 0, 1, 0, link_type, data[:size], len(data))
        packet = Peeler().peel(frame)
        consistent(packet, frame)
        if isinstance(packet, Undecoded):
            assert packet.reason == "frame cut by the snapshot length"
        else:
            assert type(packet) is type(whole)


@pytest.mark.parametrize("ip", [V4, V6])
@pytest.mark.parametrize("tcp", [DATA, SYN])
@pytest.mark.parametrize(
    "wrap",
    [LINK, LINK / Dot1Q(vlan=5), LINK / V6 / UDP(dport=4789) / VXLAN(vni=7) / LINK, LINK / V4 / GRE()],
)
def test_scapy_agrees(wrap: ScapyPacket, ip: ScapyPacket, tcp: ScapyPacket) -> None:
    """What scapy reads of a packet is what is peeled of it."""
    raw = bytes(wrap / ip / tcp / Raw(b"payload"))
    peeler = Peeler(checksums=True)
    for number in (1, 2):
        segment = peeler.peel(Frame(5, 2, number, 0, 1, raw, len(raw)))
        assert isinstance(segment, Segment)
        read = Ether(raw)
        inner = read.getlayer(type(ip), nb=read.layers().count(type(ip)))
        assert inner is not None
        assert segment.mark == (5, 2, number)
        assert (segment.source, segment.destination) == (inner.src, inner.dst)
        assert (segment.source_port, segment.destination_port) == (inner[TCP].sport, inner[TCP].dport)
        assert (segment.seq, segment.ack, segment.flags) == (inner[TCP].seq, inner[TCP].ack, int(inner[TCP].flags))
        assert (segment.window, segment.payload, segment.length) == (inner[TCP].window, b"payload", 7)
        options = dict(option for option in inner[TCP].options if option[0] in ("Timestamp", "MSS"))
        assert (segment.tsval, segment.tsecr) == options["Timestamp"]
        assert segment.mss == options.get("MSS", 0)
        assert segment.checksum_ok is True


@pytest.mark.parametrize("ip", [V4, V6])
@pytest.mark.parametrize("payload", [b"", b"x", b"xy", b"\xff" * 1001])
def test_checksums(ip: ScapyPacket, payload: bytes) -> None:
    """A checksum is judged when asked for and all of it was captured: right, or wrong by a single bit."""
    raw = bytes(LINK / ip / DATA / Raw(payload))
    broken = raw[:-1] + bytes([raw[-1] ^ 1])
    for data, original, expected in ((raw, len(raw), True), (broken, len(raw), False)):
        segment = Peeler(checksums=True).peel(Frame(0, 0, 1, 0, 1, data, original))
        assert isinstance(segment, Segment)
        assert segment.checksum_ok is expected
        unasked = Peeler().peel(Frame(0, 0, 1, 0, 1, data, original))
        assert isinstance(unasked, Segment)
        assert unasked.checksum_ok is None
    if payload:
        cut = Peeler(checksums=True).peel(Frame(0, 0, 1, 0, 1, raw[:-1], len(raw)))
        assert isinstance(cut, Segment)
        assert cut.checksum_ok is None


def test_depth_is_bounded() -> None:
    """A packet of endless tunnels ends in a plain reason."""
    raw = bytes(V4) * 100
    packet = Peeler().peel(Frame(0, 0, 1, 0, 101, raw.replace(b"\x40\x00", b"\x40\x04"), len(raw)))
    assert isinstance(packet, Undecoded | Other)
    nested = b"".join(
        b"\x45\0" + (20 * (100 - at)).to_bytes(2, "big") + b"\0\1\0\0\x40\x04\0\0\x0a\0\0\1\x0a\0\0\2" for at in range(100)
    )
    packet = Peeler().peel(Frame(0, 0, 1, 0, 101, nested, len(nested)))
    assert isinstance(packet, Undecoded)
    assert packet.reason == "more than 16 layers"


def frames_of(path: Path) -> Iterator[Frame]:
    """Return the frames of a capture as far as it can be read."""
    with Reader(str(path), 0) as reader:
        yield from reader


FIELDS = (
    "frame.number", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len",
    "tcp.options.timestamp.tsval", "ip.src", "ipv6.src", "frame.protocols", "frame.cap_len",
)  # fmt: skip


@pytest.mark.oracle
def test_tshark_agrees(capture_file: Path, tshark: str) -> None:
    """Each frame of each capture that tshark reads as whole TCP is the same segment here, and no other frame is one."""
    command = [tshark, "-n", "-r", str(capture_file), "-T", "fields", "-E", "occurrence=l"]
    command += ["-o", "tcp.desegment_tcp_streams:FALSE", "-d", "udp.port==8472,vxlan"]
    for name in FIELDS:
        command += ["-e", name]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    rows = {int(line[0]): dict(zip(FIELDS, line, strict=True)) for line in lines}
    try:
        frames = list(frames_of(capture_file))
    except CaptureError:
        pytest.skip("nothing of this capture can be read")
    if frames and not rows:
        pytest.skip("tshark cannot read this capture")
    peeler = Peeler()
    for frame in frames:
        packet = peeler.peel(frame)
        consistent(packet, frame)
        row = rows.get(frame.number)
        if row is None:
            continue
        layers = row["frame.protocols"].split(":")
        if isinstance(packet, Segment):
            seen = (packet.source_port, packet.destination_port, packet.seq, packet.flags)
            flags = int(row["tcp.flags"], 16) & 0xFF
            ports = int(row["tcp.srcport"]), int(row["tcp.dstport"])
            assert seen == (*ports, int(row["tcp.seq_raw"]), flags), frame.number
            if int(row["frame.cap_len"]) == len(frame.data):  # else tshark takes another end of the frame for a checksum
                assert packet.length == int(row["tcp.len"]), frame.number
            assert packet.ack == int(row["tcp.ack_raw"] or 0)
            assert packet.tsval in (int(row["tcp.options.timestamp.tsval"] or -1), -1)
            assert packet.source in (row["ip.src"], row["ipv6.src"])
        elif isinstance(packet, IcmpError):
            assert packet.source_port == int(row["tcp.srcport"])
        elif isinstance(packet, Neighbour):
            assert "arp" in layers or "icmpv6" in layers
        elif isinstance(packet, Other):
            assert not row["tcp.flags"], frame.number
