"""Unanswered ARP and Neighbour Discovery."""

from __future__ import annotations

import pytest
from builder import EPOCH, MS, US, Packet, S, arp, conversation, lane, revisions, track
from hypothesis import given
from hypothesis import strategies as st

from probewatch.model.connection import Connection, Unresolved
from probewatch.wire.tcp import Limits, Tracker

PAIRS = pytest.mark.parametrize(("node", "pod"), [("10.128.0.1", "10.128.0.10"), ("fd00::1", "fd00::10")])


def solicited(node: str) -> bytes:
    """Return the destination of a request: broadcast for ARP, solicited-node multicast for ND."""
    return b"\x33\x33\xff\0\0\x10" if ":" in node else b"\xff" * 6


def asks(node: str, pod: str, *seconds: float) -> list[Packet]:
    """Return requests at these times."""
    return [arp(node, pod, round(at * S), to=solicited(node), number=i + 1) for i, at in enumerate(seconds)]


def dial(node: str, pod: str, at: int, port: int = 40000) -> list[Packet]:
    """Return a successful tcpSocket probe from `at` ns on."""
    between = f"[{node}]:{port} > [{pod}]:80"
    return list(conversation(between, "> S\n< SA\n> A\n> FA\n< FA\n> A", start=EPOCH + at, number=100))


def rounds(values: list[Connection | Unresolved]) -> list[Unresolved]:
    """Keep what was never resolved."""
    return [v for v in values if isinstance(v, Unresolved)]


@PAIRS
def test_three_requests_and_silence(node: str, pod: str) -> None:
    """A round of three requests without an answer is one value with its requests, handed out soon after."""
    (value,) = rounds(revisions(asks(node, pod, 0, 1.01, 2.03), until=2 * S))

    assert (value.client, value.server, value.resolved) == (node, pod, None)
    assert [m.number for m in value.requests] == [1, 2, 3]
    assert (value.start.ns, value.end.ns) == (EPOCH, EPOCH + 2_030 * MS)


@PAIRS
def test_rounds_follow_each_other(node: str, pod: str) -> None:
    """The next dial starts a round of its own, after a pause or after a third request."""
    values = rounds(revisions(asks(node, pod, 0, 1, 2, 4, 5, 6, 7, 8, 9), until=2 * S))

    assert [[(m.ns - EPOCH) // S for m in v.requests] for v in values] == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]


@PAIRS
def test_a_syn_behind_its_answer_waited_for_the_address_too(node: str, pod: str) -> None:
    """Where timestamps of two CPUs put the SYN-ACK before its SYN, the resolution is still that connection's, not the next one's."""
    syn, answer, *rest = dial(node, pod, 2 * MS)
    late = [answer._replace(mark=answer.mark._replace(ns=syn.mark.ns - 12 * US)), syn, *rest]
    packets = [*asks(node, pod, 0), arp(node, pod, MS, reply=True), *late, *dial(node, pod, 5 * MS, port=40002)]
    first, second = revisions(sorted(packets, key=lambda p: p.mark.ns), until=S)

    assert isinstance(first, Connection)
    assert isinstance(second, Connection)
    assert (first.client, first.client_port, first.history[:3]) == (node, 40000, "^hS")
    assert first.neighbour is not None
    assert first.neighbour.number == 1
    assert second.neighbour is None


@PAIRS
def test_the_attempt_begins_with_the_first_request(node: str, pod: str) -> None:
    """Where the answer releases a SYN, the connection knows when it began to wait."""
    packets = [*asks(node, pod, 0, 1.004), arp(node, pod, 1_004 * MS + 28 * US, reply=True), *dial(node, pod, 1_004 * MS)]
    packets.sort(key=lambda p: p.mark.ns)
    values = revisions(packets, until=S)

    (c,) = values
    assert isinstance(c, Connection)
    assert c.neighbour is not None
    assert (c.neighbour.ns, c.neighbour.number, c.start.ns - EPOCH) == (EPOCH, 1, 1_004 * MS + 100 * US)


@PAIRS
def test_first_contact(node: str, pod: str) -> None:
    """Asked, answered and dialled within microseconds: the attempt began with the request."""
    packets = [*asks(node, pod, 0), arp(node, pod, 18 * US, reply=True), *dial(node, pod, 0)]
    (c,) = track(packets)

    assert c.neighbour is not None
    assert c.neighbour.ns == EPOCH


@PAIRS
def test_only_the_oldest_dial_is_known_to_have_waited(node: str, pod: str) -> None:
    """One answer may release several SYNs; when the later ones were dialled is not on the wire."""
    packets = [*asks(node, pod, 0, 1), arp(node, pod, S + 1000, reply=True), *dial(node, pod, S), *dial(node, pod, S + 10 * US, port=40002)]
    first, second = track(packets)

    assert first.neighbour is not None
    assert second.neighbour is None


@PAIRS
def test_routine_confirmation_is_none(node: str, pod: str) -> None:
    """A unicast request, or one answered at once with no SYN behind, is neither a beginning nor a failure."""
    unicast = arp(node, pod, 0, to=b"\x02\0\0\0\0\x10")
    asked, answered = arp(node, pod, S, to=solicited(node)), arp(node, pod, S + 20 * US, reply=True)
    values = revisions([unicast, asked, answered, *dial(node, pod, 1_500 * MS)], until=6 * S)

    (c,) = values
    assert isinstance(c, Connection)
    assert c.neighbour is None


@PAIRS
def test_answered_out_of_sight(node: str, pod: str) -> None:
    """One flooded request and no second: the answer went where the capture does not look."""
    assert revisions(asks(node, pod, 0), until=6 * S) == []


@PAIRS
def test_the_end_of_the_capture_leaves_a_round_open(node: str, pod: str) -> None:
    """A single request at the very end may be the first of three: it is told."""
    tracker = Tracker()
    for n in asks(node, pod, 0):
        tracker.neighbour(n)  # type: ignore[arg-type]
    (value,) = tracker.finish()

    assert isinstance(value, Unresolved)
    assert len(value.requests) == 1


@PAIRS
def test_a_late_answer_that_nobody_waited_for(node: str, pod: str) -> None:
    """An answer to the third request with no SYN behind it: the round failed all the same, and says when it was resolved."""
    packets = [*asks(node, pod, 0, 1, 2), arp(node, pod, 2_500 * MS, reply=True)]
    (value,) = rounds(revisions(packets, until=S))

    assert value.resolved is not None
    assert value.resolved.ns == EPOCH + 2_500 * MS


@PAIRS
def test_an_announcement_answers_everybody(node: str, pod: str) -> None:
    """A gratuitous answer (a pod that comes up) ends the rounds for it."""
    announcement = arp(pod, pod, 1_200 * MS, reply=True)
    (value,) = rounds(revisions([*asks(node, pod, 0, 1), announcement], until=S))

    assert value.resolved is not None


@PAIRS
def test_flooded_copies_are_one_request(node: str, pod: str) -> None:
    """The copies of a multicast request on all ports of a bridge count once."""
    copies: list[Packet] = [
        n._replace(lane=lane(0, index, 4), mark=n.mark._replace(ns=n.mark.ns + index))
        for n in asks(node, pod, 0, 1, 2)
        for index in range(5)
    ]
    (value,) = rounds(revisions(copies, until=2 * S))

    assert len(value.requests) == 3


@PAIRS
def test_probes_of_the_own_address_are_none(node: str, pod: str) -> None:
    """Duplicate address probes and announcements ask for nobody."""
    nobody = "::" if ":" in node else "0.0.0.0"

    assert revisions(asks(nobody, pod, 0, 1, 2) + asks(pod, pod, 3, 4), until=6 * S) == []


@PAIRS
def test_open_rounds_hold_back(node: str, pod: str) -> None:
    """`unripe_since` counts rounds until they are handed out."""
    tracker = Tracker()
    for n in asks(node, pod, 0, 1, 2):
        tracker.neighbour(n)  # type: ignore[arg-type]
    assert tracker.unripe_since(pod) == EPOCH
    assert tracker.unripe_since(node) is None
    tracker.advance(EPOCH + 4 * S)
    assert len(tracker.take()) == 1

    assert tracker.unripe_since(pod) is None


def test_rounds_are_bounded() -> None:
    """A scan of addresses fills no memory; the oldest rounds end first."""
    tracker = Tracker(Limits(rounds=10))
    for i in range(1000):
        tracker.neighbour(arp("10.0.0.1", f"10.1.{i // 250}.{i % 250}", i))

    assert len(tracker._resolver) == 10
    assert tracker.unripe_since("10.1.3.240") is not None
    assert tracker.unripe_since("10.1.3.239") is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 8000), st.booleans()), max_size=60))
def test_any_messages(messages: list[tuple[str, str, int, bool]]) -> None:
    """Any sequence of requests and answers, also back in time, ends in values with requests in them."""
    tracker = Tracker()
    values = []
    for asker, target, at, reply in messages:
        tracker.neighbour(arp(asker, target, at * MS, reply=reply))
        values += tracker.take()
    values += tracker.finish()

    assert all(isinstance(v, Unresolved) and v.requests[0] == v.start and v.requests[-1] == v.end and len(v.requests) <= 3 for v in values)
    assert len(tracker._resolver) == 0
