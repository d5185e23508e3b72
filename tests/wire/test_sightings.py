"""Copies of one frame: other vantage points, double records, retransmissions."""

from __future__ import annotations

import pytest
from builder import EPOCH, MS, US, V4, V6, Packet, conversation, lane, track
from hypothesis import given
from hypothesis import strategies as st

from probewatch.wire.packets import Segment
from probewatch.wire.sightings import ECHO, GENERATION, RECORD, WINDOW, Recent, point, vantage

HERE, THERE = (0, 0, 1, -1, ""), (0, 0, 2, -1, "")
SIGNATURE = (1, 2, 16, 0, 77, 5, True)
NO_ID = (1, 2, 16, 0, 0, 5, True)
V6_ID = (1, 2, 16, 0, -1, 5, True)
BOTH = pytest.mark.parametrize("between", [V4, V6])

PROBE = """
    > S
    < SA
    > A
    > PA 'GET / HTTP/1.1'
    < PA 'HTTP/1.1 200 OK'
    < FA
    > FA
    < A
"""


def copied(segments: list[Segment], after: int, **changes: object) -> list[Packet]:
    """Return each segment and, `after` ns later, its copy on another lane or in another file."""
    out = []
    for number, s in enumerate(segments):
        out.append(s._replace(mark=s.mark._replace(number=2 * number + 1)))
        mark = s.mark._replace(ns=s.mark.ns + after, number=2 * number + 2)
        if "file" in changes:
            mark = mark._replace(file=changes["file"], number=number + 1)
        out.append(s._replace(mark=mark, lane=changes.get("lane", s.lane)))
    return out


@pytest.mark.parametrize(
    ("signature", "at", "after", "copy"),
    [
        (SIGNATURE, THERE, 0, True),
        (SIGNATURE, THERE, WINDOW, True),
        (SIGNATURE, THERE, -WINDOW, True),
        (SIGNATURE, THERE, WINDOW + 1, False),
        (SIGNATURE, HERE, RECORD, True),
        (SIGNATURE, HERE, RECORD + 1, False),
        (NO_ID, HERE, ECHO, True),
        (NO_ID, HERE, ECHO + 1, False),
        (V6_ID, HERE, ECHO, True),
        (V6_ID, HERE, 200 * MS, False),
        (V6_ID, THERE, 40 * MS, True),
    ],
)
def test_the_table(signature: tuple[int, ...], at: tuple[int, ...], after: int, copy: bool) -> None:
    """The copies are those of the table in the module."""
    recent = Recent()

    assert recent.is_copy(signature, EPOCH, HERE) is False
    assert recent.is_copy(signature, EPOCH + after, at) is copy


@pytest.mark.parametrize("field", range(7))
def test_every_field_counts(field: int) -> None:
    """A frame that differs in one field is another frame."""
    recent = Recent()
    other = list(SIGNATURE)
    other[field] = not other[field] if field == 6 else other[field] + 1
    recent.is_copy(SIGNATURE, EPOCH, HERE)

    assert recent.is_copy(tuple(other), EPOCH, THERE) is False


def test_a_retransmission_seen_at_two_points_is_one() -> None:
    """Sent twice and seen at two points each: two frames, two copies."""
    recent = Recent()
    copies = [recent.is_copy(V6_ID, ns, at) for ns in (EPOCH, EPOCH + 300 * MS) for at in (HERE, THERE)]

    assert copies == [False, True, False, True]


def test_memory_is_bounded_and_recent() -> None:
    """However many frames go by, the last ones are known and two generations are kept."""
    recent = Recent()
    for seq in range(10_000):
        recent.is_copy((seq, *SIGNATURE[1:]), EPOCH + seq, HERE)

    assert len(recent._new) + len(recent._old) <= 2 * GENERATION
    assert recent.is_copy((9_999 - GENERATION + 1, *SIGNATURE[1:]), EPOCH + 10_000, THERE) is True


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60 * MS), st.integers(0, 1)), max_size=60))
def test_points_of_one_frame_are_bounded(frames: list[tuple[int, int, int]]) -> None:
    """Any sequence of copies is judged, and remembers few points a frame."""
    recent = Recent()
    for seq, ns, where in frames:
        recent.is_copy((seq, *SIGNATURE[1:]), EPOCH + ns, (0, 0, where, -1, ""))

    assert all(len(points) <= 8 for _, points in recent._new.values())


@BOTH
@pytest.mark.parametrize(
    "other", [{"lane": lane(1)}, {"lane": lane(0, 7, 0)}, {"file": 1}, {"lane": lane(tunnel="vxlan 1", outer="192.0.2.1")}]
)
def test_two_vantage_points_are_one_connection(between: str, other: dict[str, object]) -> None:
    """A second interface, file or tunnel layer adds a sighting and changes nothing else."""
    plain = conversation(between, PROBE)
    (alone,) = track(plain)
    (both,) = track(copied(plain, 5 * US, **other))

    assert (both.state, both.history) == (alone.state, alone.history) == ("SF", "ShADdfFa")
    assert (both.orig.packets, both.resp.packets, both.orig.retransmits) == (4, 4, 0)
    assert both.orig.data == alone.orig.data
    assert sum(s.packets for s in both.sightings) == 16
    assert len(both.sightings) == (1 if "tunnel" in repr(other) and "vxlan" in repr(other) else 2)


def test_files_are_listed_with_their_frames() -> None:
    """`frames` has the first and last frame of each file."""
    (c,) = track(copied(conversation(V4, PROBE), 5 * US, file=3))

    assert c.frames == ((0, 1, 15), (3, 1, 8))
    assert [(s.file, s.packets, s.first, s.last) for s in c.sightings] == [(0, 8, 1, 15), (3, 8, 1, 8)]


def test_the_tunnel_is_known_from_any_sighting() -> None:
    """The node that sent the client's first frame is told even where the plain copy came first."""
    (c,) = track(copied(conversation(V4, PROBE), 5 * US, lane=lane(1, tunnel="vxlan 4097", outer="192.0.2.11")))

    assert (c.tunnel, c.outer_source) == ("vxlan 4097", "192.0.2.11")


@BOTH
def test_cooked_v1_has_no_interfaces_but_directions(between: str) -> None:
    """`-i any` without interface numbers: outgoing and incoming copies are two sightings of one frame."""
    out, into = lane(0, -1, 4), lane(0, -1, 0)
    packets: list[Packet] = []
    for number, s in enumerate(conversation(between, PROBE)):
        packets.append(s._replace(lane=out, mark=s.mark._replace(number=2 * number + 1)))
        packets.append(s._replace(lane=into, mark=s.mark._replace(ns=s.mark.ns + 4 * US, number=2 * number + 2)))
    (c,) = track(packets)

    assert (c.orig.packets, c.resp.packets, c.orig.retransmits + c.resp.retransmits) == (4, 4, 0)
    assert [s.packets for s in c.sightings] == [8, 8]


def test_vantage_of_cooked_v1() -> None:
    """On one interface of a cooked v1 capture the two directions have opposite packet types; elsewhere the type plays no part."""
    out, into = lane(0, -1, 4), lane(0, -1, 0)

    assert vantage(0, out, True) == vantage(0, into, False)
    assert vantage(0, out, False) == vantage(0, into, True)
    assert vantage(0, out, True) != vantage(0, into, True)
    assert vantage(0, lane(0, 3, 4), True) == vantage(0, lane(0, 3, 0), True)
    assert point(0, out) != point(0, into)


@BOTH
def test_records_written_twice(between: str) -> None:
    """Each record twice, same lane, same time: one connection without retransmissions."""
    packets = copied(conversation(between, PROBE), 0)
    (c,) = track(packets)

    assert (c.orig.packets, c.resp.packets, c.orig.retransmits, c.history) == (4, 4, 0, "ShADdfFa")
    assert c.sightings[0].packets == 16


@BOTH
def test_sent_again_is_no_copy(between: str) -> None:
    """On one lane the same segment 200 ms later is a retransmission, whatever its IP id."""
    (c,) = track(conversation(between, "> S\n< SA\n> A\n> PA 'xy' id=9 ts=3\n+200ms > PA 'xy' seq=1 id=9 ts=3\n< A"))

    assert (c.orig.packets, c.orig.retransmits, c.history) == (4, 1, "ShADTa")


def test_nat_is_not_undone() -> None:
    """Another address or port is another connection, however alike the rest."""
    before = conversation(V4, PROBE)
    after = [s._replace(destination="10.0.9.9") if s.destination == "10.0.0.2" else s._replace(source="10.0.9.9") for s in before]

    assert [c.server for c in track(sorted(before + after, key=lambda s: s.mark.ns))] == ["10.0.0.2", "10.0.9.9"]
