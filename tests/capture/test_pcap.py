"""pcap and its relatives."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.capture import CaptureError
from probewatch.capture.tally import MAX_FRAME

THREE = [(1_700_000_000, 7, b"abcd"), (1_700_000_001, 999_999, b""), (1_700_000_002, 0, b"x" * 60)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "extra", "name", "scale"),
    [
        (0xA1B2C3D4, 0, "pcap", 1000),
        (0xA1B23C4D, 0, "pcap-ns", 1),
        (0xA1B2CD34, 8, "pcap-modified", 1000),
        (0xA1B2CD34, 12, "pcap-modified", 1000),
        (0xA1B2C3D4, 4, "pcap-nokia", 1000),
        (0xA1B2C3D4, 8, "pcap-modified", 1000),
    ],
)
def test_relatives(make, read, order, magic, extra, name, scale):
    """Every relative is told by its magic number or its first records, in both byte orders, and read exactly."""
    frames, info = read(make.pcap(THREE, order, magic, extra))
    assert [(f.ns, f.number, f.data) for f in frames] == [
        (s * 10**9 + fraction * scale, n, d) for n, (s, fraction, d) in enumerate(THREE, 1)
    ]
    assert (info.format, info.frames, info.complete, info.notes) == (name, 3, True, ())
    assert (info.first_ns, info.last_ns) == (frames[0].ns, frames[-1].ns)
    assert info.link_types == ("EN10MB",)
    assert info.interfaces[0].snaplen == 262144


def test_standard_wins_over_its_relatives(make, read):
    """A damaged second record does not turn a standard file into a relative."""
    data = make.pcap(THREE[:1]) + struct.pack("<IIII", 1, 2_000_000_000, 0xFFFFFF, 7) + bytes(500)
    frames, info = read(data)
    assert (len(frames), info.format, info.complete) == (1, "pcap", False)


def test_header_only_is_an_empty_capture(make, read):
    """A file header without records is a whole capture of nothing."""
    frames, info = read(make.pcap_header())
    assert frames == []
    assert (info.complete, info.frames, info.first_ns, info.last_ns, info.notes) == (True, 0, None, None, ())


def test_cut_anywhere(make, read):
    """Cut at every byte, a file gives the frames whole before it, and says that it is cut unless it ends between two."""
    whole = make.pcap(THREE)
    ends = list(itertools.accumulate([24, *(16 + len(d) for _, _, d in THREE)]))
    for cut in range(4, len(whole)):
        if cut < 24:
            with pytest.raises(CaptureError, match="cut in its file header"):
                read(whole[:cut])
            continue
        frames, info = read(whole[:cut])
        assert len(frames) == sum(end <= cut for end in ends[1:])
        assert info.frames == len(frames)
        assert info.complete == (cut in ends)
        assert bool(info.notes) == (not info.complete)


@pytest.mark.parametrize("claimed", [MAX_FRAME + 1, 300_000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_absurd_length_stops(make, read, claimed):
    """A record that claims more than a frame can have is corrupt: reading stops there and says where."""
    data = make.pcap(THREE[:2]) + struct.pack("<IIII", 1_700_000_001, 0, claimed, claimed) + bytes(400_000)
    frames, info = read(data)
    assert len(frames) == 2
    assert not info.complete
    assert "frame 3 at byte 60" in info.notes[0]
    assert str(claimed) in info.notes[0]


def test_largest_frame_is_read(make, read):
    """A frame of exactly the limit is one."""
    frames, info = read(make.pcap([(1, 0, bytes(MAX_FRAME)), (2, 0, b"z")]))
    assert [len(f.data) for f in frames] == [MAX_FRAME, 1]
    assert info.complete


def test_original_length(make, read):
    """The length on the wire is handed on as the file tells it, larger (cut by the snaplen) or smaller (a lie)."""
    data = make.pcap_header(snaplen=0) + make.record(1, 0, b"abcd", 1500) + make.record(2, 0, b"abcd", 2)
    frames, info = read(data)
    assert [(len(f.data), f.original_length) for f in frames] == [(4, 1500), (4, 2)]
    assert info.interfaces[0].snaplen == 0
    assert info.complete


@pytest.mark.parametrize(("bits", "octets"), [(0, 0), (1, 2), (2, 4), (4, 4)])
def test_fcs_bits(make, read, bits, octets):
    """A declared frame check sequence is no part of the frame, neither of its data nor of its length on the wire."""
    head = make.pcap_header(link=1 | 0x04000000 | bits << 28)
    whole, cut = bytes(range(60)) + b"CRCS", bytes(range(60))
    frames, info = read(head + make.record(1, 0, whole) + make.record(2, 0, cut[:40], 64) + make.record(3, 0, cut, 61))
    assert [(f.data, f.original_length) for f in frames] == [
        (whole[: 64 - octets], 64 - octets),
        (cut[:40], 64 - octets),
        (cut[: 61 - octets], 61 - octets),
    ]
    assert info.link_types == ("EN10MB",)


def test_reserved_bits_are_no_link_type(make, read):
    """Without the bit that says so there is no FCS length, and reserved bits are ignored."""
    frames, info = read(make.pcap_header(link=0x43000065) + make.record(1, 0, b"abcdefgh"))
    assert frames[0].data == b"abcdefgh"
    assert frames[0].link_type == 101
    assert info.link_types == ("RAW",)


def test_concatenated_files(make, read):
    """Where a second pcap file was appended reading stops and says so: its header is not a frame."""
    for second in (make.pcap(THREE), make.pcap(THREE, ">"), make.pcap(THREE, "<", 0xA1B23C4D)):
        first = make.pcap(THREE)
        frames, info = read(first + second)
        assert len(frames) == 3
        assert not info.complete
        assert f"second pcap file begins at byte {len(first)}" in info.notes[0]


def test_old_versions_swap_lengths(make, read):
    """Before version 2.3 the two lengths stood the other way round; in 2.3 the larger is the one on the wire."""
    for version in [(2, 1), (2, 2), (2, 3), (543, 0)]:
        data = make.pcap_header(version=version) + struct.pack("<IIII", 5, 6, 1500, 4) + b"abcd"
        frames, info = read(data)
        assert [(f.data, f.original_length) for f in frames] == [(b"abcd", 1500)]
        assert info.complete


def test_unknown_version_is_read_with_a_note(make, read):
    """A version nobody knows is read as 2.4 and noted."""
    frames, info = read(make.pcap_header(version=(9, 9)) + make.record(1, 0, b"a"))
    assert len(frames) == 1
    assert "version 9.9" in info.notes[0]
    assert info.complete


def test_out_of_order_is_noted(make, read):
    """The reader keeps the order of the file and tells how far frames are out of time order."""
    frames, info = read(make.pcap([(10, 0, b"a"), (12, 0, b"b"), (11, 500_000, b"c"), (12, 0, b"d"), (9, 0, b"e")]))
    assert [f.data for f in frames] == [b"a", b"b", b"c", b"d", b"e"]
    assert info.notes == ("2 frames are out of time order, the first of them frame 3, by up to 3 s",)
    assert (info.first_ns, info.last_ns) == (9 * 10**9, 12 * 10**9)


def test_a_few_microseconds_out_of_order_are_not_worth_a_note(make, read):
    """Several queues of one card hand frames over like that; nothing is read from less than a millisecond, so nobody is told."""
    times = [(10, 0), (10, 999), (10, 0), (11, 0)]
    assert read(make.pcap([(s, us, b"a") for s, us in times]))[1].notes == ()
    assert read(make.pcap([(s, us * 2, b"a") for s, us in times]))[1].notes == ("frame 3 is out of time order, by 0.001998 s",)


def test_info_at_any_time(make, tmp_path):
    """What is known of the frames handed out so far can be asked between any two."""
    from probewatch.capture import Reader

    path = tmp_path / "a.pcap"
    path.write_bytes(make.pcap(THREE))
    with Reader(str(path), 3) as reader:
        assert reader.info().frames == 0
        for n, frame in enumerate(reader, 1):
            info = reader.info()
            assert (info.frames, info.last_ns) == (n, frame.ns)
            assert frame.file == 3
        assert reader.size == reader.position == path.stat().st_size
        assert reader.info().path == str(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frames=st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 999_999), st.binary(max_size=80)), min_size=3, max_size=12
    ),
    order=st.sampled_from("<>"),
    magic=st.sampled_from([0xA1B2C3D4, 0xA1B23C4D]),
)
def test_round_trip(make, read, frames, order, magic):
    """Any frames written as pcap are read back: bytes, times as exact integers, numbers."""
    scale = 1 if magic == 0xA1B23C4D else 1000
    got, info = read(make.pcap(frames, order, magic))
    assert [(f.ns, f.data) for f in got] == [(s * 10**9 + u * scale, d) for s, u, d in frames]
    assert [f.number for f in got] == list(range(1, len(frames) + 1))
    assert info.complete
    assert info.first_ns == min(f.ns for f in got)
    assert info.last_ns == max(f.ns for f in got)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_ends_well(make, read, data):
    """Changed, cut or lengthened anywhere, a file ends in frames and a note or in a CaptureError, nothing else."""
    raw = bytearray(make.pcap(THREE, *data.draw(st.sampled_from([("<", 0xA1B2C3D4), (">", 0xA1B23C4D), ("<", 0xA1B2CD34)]))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] + data.draw(st.binary(max_size=40))
    try:
        frames, info = read(bytes(raw))
    except CaptureError:
        return
    assert info.frames == len(frames)
    assert sum(len(f.data) for f in frames) <= len(raw)
    assert info.complete or info.notes
