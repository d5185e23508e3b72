"""pcapng: sections, interfaces, times, drops, comments, secrets, damage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.capture import CaptureError, Reader
from probewatch.capture.tally import MAX_FRAME, MAX_NOTES, MAX_NS
from probewatch.model.frame import Loss


def test_sections_interfaces_and_link_types(make, read):
    """Each section has its byte order and its own interface numbers; in the input every interface is unique."""
    raw = (
        make.section("<")
        + make.interface("<", 1, 96, [(2, b"eth0\0")])
        + make.interface("<", 276, 0, [(3, b"any of them")])
        + make.packet(1_000_001, b"one", 1, "<", 60)
        + make.section(">")
        + make.interface(">", 101, 0, [(2, b"tun0"), (3, b"not this")])
        + make.packet(2_000_002, b"two", 0, ">")
    )
    frames, info = read(raw)
    assert [(f.ns, f.number, f.interface, f.link_type, f.data, f.original_length) for f in frames] == [
        (1_000_001_000, 1, 1, 276, b"one", 60),
        (2_000_002_000, 2, 2, 101, b"two", 3),
    ]
    assert [(i.index, i.name, i.link_type, i.snaplen, i.drops) for i in info.interfaces] == [
        (0, "eth0", 1, 96, None),
        (1, "any of them", 276, 0, None),
        (2, "tun0", 101, 0, None),
    ]
    assert info.link_types == ("EN10MB", "LINUX_SLL2", "RAW")
    assert (info.format, info.complete, info.notes) == ("pcapng", True, ())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ticks=st.integers(0, 2**64 - 1),
    resolution=st.integers(0, 255),
    offset=st.integers(-(2**33), 2**33),
    order=st.sampled_from("<>"),
)
def test_times_are_exact(make, read, ticks, resolution, offset, order):
    """Every if_tsresol, decimal or binary, and if_tsoffset gives the exact time, floored to a nanosecond."""
    per_second = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    exact = ticks * 10**9 // per_second + offset * 10**9
    pairs = [(9, bytes([resolution])), (14, struct.pack(order + "q", offset))]
    frames, info = read(make.section(order) + make.interface(order, pairs=pairs) + make.packet(ticks, b"", order=order))
    assert frames[0].ns == min(max(exact, 0), MAX_NS)
    assert info.first_ns == info.last_ns == frames[0].ns
    assert bool(info.notes) == (not 0 <= exact <= MAX_NS)


def test_simple_and_obsolete_packets(make, read):
    """Simple Packet Blocks are cut by the snaplen and take the latest time; obsolete Packet Blocks tell losses."""
    raw = (
        make.section()
        + make.interface(snaplen=8, pairs=[(9, b"\x09")])
        + make.block("<", 3, struct.pack("<I", 3) + b"abc")
        + make.block("<", 2, struct.pack("<HHIIII", 0, 5, 1, 2, 6, 9) + b"obsole")
        + make.block("<", 2, struct.pack("<HHIIII", 0, 0xFFFF, 1, 3, 1, 1) + b"x")
        + make.block("<", 3, struct.pack("<I", 100) + b"cutcutcu")
    )
    frames, info = read(raw)
    assert [(f.ns, f.number, f.data, f.original_length) for f in frames] == [
        (0, 1, b"abc", 3),
        (2**32 + 2, 2, b"obsole", 9),
        (2**32 + 3, 3, b"x", 1),
        (2**32 + 3, 4, b"cutcutcu", 100),
    ]
    assert info.interfaces[0].drops == 5
    assert sum("no time" in note for note in info.notes) == 1
    assert info.complete


def test_drops(make, read):
    """Losses that interface statistics count are told by interface; the last block of an interface counts."""
    def statistics(number: int, *pairs: tuple[int, int]) -> bytes:
        body = struct.pack("<III", number, 0, 0)
        return make.block("<", 5, body + make.options("<", [(c, struct.pack("<Q", v)) for c, v in pairs]))

    raw = (
        make.section()
        + make.interface(pairs=[(2, b"eth0")]) + make.interface() + make.interface()
        + statistics(0, (4, 100), (5, 1)) + statistics(0, (4, 200), (5, 2), (7, 40)) + statistics(1, (5, 0))
        + statistics(7, (5, 9)) + make.block("<", 5, b"")
        + make.packet(1, b"a", 2, pairs=[(4, struct.pack("<Q", 3))]) + make.packet(1, b"a", 2, pairs=[(4, struct.pack("<Q", 4))])
    )  # fmt: skip
    _, info = read(raw)
    assert [i.drops for i in info.interfaces] == [42, 0, 7]
    assert info.notes == (
        "the capturing program lost 42 frames on interface 0 (eth0)",
        "the capturing program lost 7 frames on interface 2",
    )


def test_when_frames_were_lost(make, tmp_path):
    """Losses lie between two statistics that differ, and between a frame that counts some and the one before it at its interface."""
    def statistics(low: int, lost: int) -> bytes:
        return make.block("<", 5, struct.pack("<III", 0, 0, low) + make.options("<", [(7, struct.pack("<Q", lost))]))

    path = tmp_path / "a.pcapng"
    path.write_bytes(
        make.section() + make.interface(pairs=[(9, b"\x09")]) + make.interface(pairs=[(9, b"\x09")])
        + make.packet(10, b"a") + statistics(20, 0) + statistics(30, 7) + make.packet(40, b"b", 1) + make.packet(45, b"c")
        + make.packet(50, b"d", 1, pairs=[(4, struct.pack("<Q", 3))]) + statistics(60, 9)
    )  # fmt: skip
    told: list[Loss] = []
    with Reader(str(path), 0) as reader:
        reader.on_loss(told.append)
        assert [f.data for f in reader] == [b"a", b"b", b"c", b"d"]
        assert [(i.drops, i.drops_timed) for i in reader.info().interfaces] == [(9, 9), (3, 3)]
    assert told == [Loss(20, 30, 7, 0), Loss(40, 50, 3, 1), Loss(30, 60, 2, 0)]


def test_where_a_capture_ended(make, tmp_path):
    """The end that statistics tell counts where all frames are there that they say were handed out, and not of a part of a capture."""
    def ended(low: int, frames: int) -> bytes:
        said = [(3, struct.pack("<II", 0, low)), (8, struct.pack("<Q", frames))]
        return make.block("<", 5, struct.pack("<III", 0, 0, low) + make.options("<", said))

    for frames, wanted in ((2, 90), (3, None)):
        path = tmp_path / f"{frames}.pcapng"
        path.write_bytes(
            make.section() + make.interface(pairs=[(9, b"\x09")]) + make.packet(10, b"a") + make.packet(20, b"b") + ended(90, frames)
        )
        with Reader(str(path), 0) as reader:
            assert len(list(reader)) == 2
            assert reader.info().ended_ns == wanted


def test_comments(make, tmp_path):
    """Comments of the file and its interfaces are notes, those of frames stand with their number; all made harmless."""
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        make.section(pairs=[(1, b"made\nby \x1b[31mhand"), (4, b"editor")])
        + make.interface(pairs=[(2, b"eth0"), (1, "größe".encode())])
        + make.packet(1, b"a")
        + make.packet(2, b"bc", pairs=[(1, b"first"), (1, b"second \xff")])
    )
    with Reader(str(path), 0) as reader:
        assert [f.data for f in reader] == [b"a", b"bc"]
        assert reader.comments == [(2, "first"), (2, "second \ufffd")]
        assert reader.info().notes == (
            "comment of the file: made by \\x1b[31mhand",
            "comment of interface 0 (eth0): größe",
            "1 frame carries comments",
        )


def test_secrets(make, tmp_path):
    """TLS key logs are kept as they are, other secrets are not."""
    log = b"CLIENT_RANDOM 00 11\n"
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        make.section()
        + make.block("<", 10, struct.pack("<II", 0x544C534B, len(log)) + log)
        + make.block("<", 10, struct.pack("<II", 0x57474B4C, 4) + b"wire")
        + make.block("<", 10, struct.pack("<II", 0x544C534B, 0xFFFFFFFF) + b"more")
    )
    with Reader(str(path), 0) as reader:
        assert list(reader) == []
        assert reader.secrets == [log, b"more"]


@pytest.mark.parametrize(
    ("flags", "fcslen", "octets"), [(None, None, 0), (None, 32, 4), (None, 4, 4), (None, 16, 2), (2 << 5, 32, 2), (4 << 5, None, 4)]
)
def test_fcs(make, read, flags, fcslen, octets):
    """A declared FCS is taken off; a frame's own flags win over its interface."""
    pairs = [] if fcslen is None else [(13, bytes([fcslen]))]
    own = [] if flags is None else [(2, struct.pack("<I", flags))]
    raw = make.section() + make.interface(pairs=pairs) + make.packet(1, bytes(64), pairs=own)
    frames, _ = read(raw + make.packet(1, bytes(10), original=64, pairs=own))
    assert [(len(f.data), f.original_length) for f in frames] == [(64 - octets, 64 - octets), (10, 64 - octets)]


def test_unknown_blocks_are_stepped_over(make, read):
    """Blocks that carry no frames are skipped; journal entries and custom blocks take a number, as in Wireshark, and are noted."""
    raw = make.section() + make.block("<", 0x0ABC, b"whatever") + make.interface() + make.block("<", 4, b"")
    raw += make.packet(1, b"a") + make.block("<", 9, b"__REALTIME_TIMESTAMP=1\n") + make.packet(2, b"b")
    raw += make.block("<", 0xBAD, bytes(8)) + make.block("<", 0x40000BAD, bytes(8)) + make.packet(3, b"c")
    frames, info = read(raw)
    assert [(f.number, f.data) for f in frames] == [(1, b"a"), (3, b"b"), (6, b"c")]
    assert info.frames == 3
    assert info.complete
    assert "journal" in info.notes[0]


BROKEN = {
    "length 0": (lambda _: struct.pack("<II", 6, 0) + bytes(40), "too few"),
    "length odd": (lambda _: struct.pack("<II", 6, 33) + bytes(40), "no multiple of 4"),
    "length huge": (lambda _: struct.pack("<II", 6, 0xFFFFFFF0) + bytes(40), "more than the 16777216"),
    "trailer": (lambda m: m.packet(9, b"abcd")[:-4] + b"\x20\0\0\0", "another length"),
    "interface": (lambda m: m.packet(9, b"abcd", 77), "interface 77"),
    "captured": (lambda m: m.packet(9, b"abcd").replace(b"\4\0\0\0\4\0\0\0", b"\5\0\0\0\4\0\0\0"), "claims 5 bytes"),
    "too short": (lambda m: m.block("<", 6, bytes(16)), "too few"),
    "simple too short": (lambda m: m.block("<", 3, b""), "too few"),
    "too large": (lambda m: m.packet(9, bytes(MAX_FRAME + 1)), f"more than the {MAX_FRAME}"),
    "byte order": (lambda m: m.section().replace(b"\x4d\x3c", b"\x4d\x3d"), "byte-order magic"),
    "section length": (lambda m: m.section()[:4] + b"\x08\0\0\0" + m.section()[8:], "too few"),
    "section version": (lambda m: m.section(version=(2, 0)), "version 2.0"),
    "section trailer": (lambda m: m.section()[:-4] + bytes(4), "another length"),
    "interface short": (lambda m: m.block("<", 1, b"1234"), "too short"),
    "cut": (lambda m: m.packet(9, b"abcd")[:-1], "cut in the block"),
    "cut early": (lambda _: b"\x06\0\0\0\x20", "cut in the block"),
    "cut in the head": (lambda m: m.packet(9, b"abcd")[:20], "cut in the block"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damage_keeps_what_was_whole(make, read, name):
    """At each kind of damage reading stops, keeps the frame before it and names the place in one sentence."""
    build, words = BROKEN[name]
    before = make.section() + make.interface() + make.packet(1, b"whole")
    frames, info = read(before + build(make))
    assert [f.data for f in frames] == [b"whole"]
    assert not info.complete
    assert words in info.notes[0]
    assert "the frame before it was read" in info.notes[0]


@pytest.mark.parametrize(
    "name", ["byte order", "section length", "section version", "section trailer"]
)
def test_broken_first_section_is_refused(make, refused, name):
    """Where already the first section header is broken nothing can be read."""
    assert BROKEN[name][1] in refused(BROKEN[name][0](make))


def test_cut_anywhere(make, read):
    """Cut at every byte, a file gives the frames whole before it, and says that it is cut unless it ends between two."""
    parts = [make.section(), make.interface(pairs=[(2, b"eth0")]), make.packet(1, b"abc"), make.block("<", 3, b"\0\0\0\0"),
             make.section(">"), make.interface(">"), make.packet(1, b"", order=">")]  # fmt: skip
    whole = b"".join(parts)
    ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    carry = [ends[2], ends[3], ends[6]]
    for cut in range(4, len(whole) + 1):
        if cut < ends[0]:
            with pytest.raises(CaptureError, match="cut or corrupt in its first block"):
                read(whole[:cut])
            continue
        frames, info = read(whole[:cut])
        assert len(frames) == info.frames == sum(end <= cut for end in carry)
        assert info.complete == (cut in ends)


def test_notes_are_bounded(make, read):
    """A file of nothing but comments cannot fill the memory with notes."""
    _, info = read(make.section() + make.interface(pairs=[(1, b"c" * 5000)]) * 1000)
    assert len(info.notes) == MAX_NOTES + 1
    assert info.notes[-1] == f"and {1000 - MAX_NOTES} more notes"
    assert max(map(len, info.notes)) < 600


def test_broken_options_do_not_lose_the_frame(make, read):
    """Options that overrun their block are left out; the frame before them stands."""
    head = make.section() + make.interface()
    body = struct.pack("<IIIII", 0, 0, 7, 4, 4) + b"abcd\1\0\xff\xff"
    frames, info = read(head + make.block("<", 6, body) + make.block("<", 6, body + bytes(8)))
    assert [f.data for f in frames] == [b"abcd", b"abcd"]
    assert info.complete
    assert "broken options" in info.notes[0]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_ends_well(make, read, data):
    """Changed, cut or lengthened anywhere, a file ends in frames and a note or in a CaptureError, nothing else."""
    order = data.draw(st.sampled_from("<>"))
    raw = bytearray(
        make.section(order, [(1, b"hello")])
        + make.interface(order, 1, 64, [(2, b"eth0"), (9, b"\x09"), (13, b"\x20"), (14, bytes(8))])
        + make.packet(10**18, b"abcdef", 0, order, 9, [(1, b"note"), (2, bytes(4)), (4, bytes(8))])
        + make.block(order, 3, struct.pack(order + "I", 5) + b"hello")
        + make.block(order, 2, struct.pack(order + "HHIIII", 0, 1, 1, 2, 6, 9) + b"obsole")
        + make.block(order, 5, struct.pack(order + "III", 0, 0, 0) + make.options(order, [(5, bytes(8))]))
        + make.block(order, 10, struct.pack(order + "II", 0x544C534B, 4) + b"keys")
        + make.packet(10**18 + 1, b"abcdef", 0, order)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] + data.draw(st.binary(max_size=40))
    try:
        frames, info = read(bytes(raw))
    except CaptureError:
        return
    assert info.frames == len(frames)
    assert sum(len(f.data) for f in frames) <= len(raw)
    assert all(0 <= f.interface < len(info.interfaces) and 0 <= f.ns <= MAX_NS for f in frames)
    assert info.complete or info.notes
