"""Connections from segments: Playbook-like conversations, each in IPv4 and IPv6."""

from __future__ import annotations

import itertools
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from builder import EPOCH, MS, US, V4, V6, WIRE, Packet, S, conversation, feed, revisions, track
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.capture import CaptureError, Reader
from probewatch.model.connection import Connection
from probewatch.model.frame import Mark
from probewatch.wire.packets import ACK, FIN, RST, SYN, IcmpError, Segment
from probewatch.wire.peel import Peeler
from probewatch.wire.table import SLACK
from probewatch.wire.tcp import Limits, Tracker

BOTH = pytest.mark.parametrize("between", [V4, V6])
HELLO = "> S\n< SA\n> A\n"


def one(between: str, script: str, **options: object) -> Connection:
    """Return the only connection of a script."""
    (c,) = track(conversation(between, script, **options))  # type: ignore[arg-type]
    return c


# What Zeek says of whole conversations.


@BOTH
@pytest.mark.parametrize(
    ("script", "state", "history"),
    [
        ("> S", "S0", "S"),
        ("> S\n+1s > S seq=0\n+1s > S seq=0", "S0", "S"),
        (HELLO, "S1", "ShA"),
        (HELLO + "> PA 'x'\n< A\n< PA 'y'\n> A\n> FA\n< A\n< FA\n> A", "SF", "ShADadFf"),
        (HELLO + "> FA\n< FA\n> A", "SF", "ShAFf"),
        (HELLO + "> PA 'x'\n< FPA 'y'\n> FA\n< A", "SF", "ShADfFa"),
        (HELLO + "> FA\n< A", "S2", "ShAFa"),
        (HELLO + "< FA\n> A", "S3", "ShAf"),
        ("> S\n< RA ack=1 seq=0", "REJ", "Sr"),
        ("> S\n< SA\n> RA", "RSTO", "ShR"),
        ("> S\n< SA\n> PA 'GET'\n< PA 'OK'\n> RA", "RSTO", "ShDdR"),
        (HELLO + "> PA 'x'\n< RA", "RSTR", "ShADr"),
        (HELLO + "> FA\n< PA 'late'\n> R seq=2", "RSTO", "ShAFdR"),
        ("> S\n> R seq=1", "RSTOS0", "SR"),
        ("> S\n> FA", "SH", "SF"),
        ("< SA\n< FA", "SHR", "^hf"),
        ("< SA\n> R seq=1", "OTH", "^hR"),
        ("< SA\n< R seq=1", "RSTRH", "^hr"),
        ("> A\n< A", "OTH", "Aa"),
        ("> PA 'x'\n< PA 'y'\n> FA\n< FA", "SF", "DdFf"),
        (HELLO + "> FRA", "RSTO", "ShAI"),
        ("> SF", "SH", "Q"),
        (HELLO + "< A win=0\n< A win=0", "S1", "ShAaw"),
    ],
)
def test_zeeks_words(between: str, script: str, state: str, history: str) -> None:
    """State and history are those that Zeek logs for the same segments."""
    c = one(between, script)

    assert (c.state, c.history) == ("RSTO" if (script, state) == ("< SA\n> R seq=1", "OTH") else state, history)


@BOTH
def test_a_probe_in_full(between: str) -> None:
    """Every moment of an ordinary httpGet probe is in the value, with the frame that proves it."""
    c = one(
        between,
        """
        > S
        < SA mss=8960
        > A
        > PA 'GET /ready HTTP/1.1'
        < A
        +5ms < PA 'HTTP/1.1 '
        < PA '200 OK'
        > A
        < FA
        > FA
        < A
        """,
    )

    assert (c.client_port, c.server_port, c.id, c.rev, c.bare_ack, c.midstream, c.flipped) == (40000, 80, 0, 1, True, False, False)
    assert (c.start.number, c.end.number, c.frames) == (1, 11, ((0, 1, 11),))
    assert c.orig.data == b"GET /ready HTTP/1.1"
    assert c.resp.data == b"HTTP/1.1 200 OK"
    assert [(a.length, a.mark.number) for a in c.resp.arrivals] == [(9, 6), (15, 7)]
    assert c.resp.reached(10) == c.resp.arrivals[1].mark
    assert (c.resp.first_data, c.resp.reached(16)) == (c.resp.arrivals[0].mark, None)
    assert [m.number for m in c.orig.syns + c.resp.syns] == [1, 2]
    assert [m and m.number for m in (c.orig.first_ack, c.resp.first_ack, c.orig.fin, c.resp.fin)] == [3, 5, 10, 9]
    assert [m and m.number for m in (c.orig.fin_acked, c.resp.fin_acked, c.orig.last, c.resp.last)] == [11, 10, 10, 11]
    assert (c.orig.mss, c.resp.mss, c.orig.ttl, c.orig.packets, c.resp.packets) == (1460, 8960, 64, 5, 6)
    assert (c.orig.length, c.resp.length, c.orig.gap, c.resp.gap) == (19, 15, None, None)
    assert c.orig.mac == WIRE.source_mac


@BOTH
@pytest.mark.parametrize(
    ("script", "bare"),
    [
        (HELLO, True),
        ("> S\n< SA\n> PA 'x'", False),
        ("> S\n< SA\n> RA", False),
        ("> S\n< SA\n> FA", False),
        ("> S\n< SA\n> PA 'x'\n> A", False),
        ("> A\n< A", False),
        ("> S\n< RA seq=0", False),
    ],
)
def test_bare_ack(between: str, script: str, bare: bool) -> None:
    """Only an empty ACK as the client's first answer to the SYN-ACK is the bare one (HAProxy's checks never send it)."""
    c = one(between, script)

    assert c.bare_ack is bare
    if "SA" in script:
        assert c.orig.first_ack is not None
        assert c.orig.first_ack.number == 3


@BOTH
def test_a_refused_dial(between: str) -> None:
    """A RST in answer to the SYN: refused, with the RST's frame, and no acknowledged handshake."""
    c = one(between, "> S\n< RA seq=0 ack=1")

    assert c.resp.rst is not None
    assert (c.resp.rst.number, c.resp.rst_acks, c.resp.first_ack, c.orig.gap, c.orig.length) == (2, True, None, None, 0)


# Lives of one 4-tuple.


@BOTH
@pytest.mark.parametrize(
    "before",
    [HELLO + "> FA\n< FA\n> A", "> S\n< RA seq=0", HELLO + "> RA", "> S", HELLO, HELLO + "> PA 'x'\n< A", "> A\n< A"],
)
@pytest.mark.parametrize("pause", ["+10us", "+900ms", "+43s", "+200s"])
def test_reused_ports(between: str, before: str, pause: str) -> None:
    """A SYN with another number begins another connection, whenever and whatever the old one was."""
    old, new = track(conversation(between, f"{before}\n{pause} > S isn=777000\n< SA isn=888000\n> A\n> PA 'new'"))

    assert (old.id, new.id) == (0, 1)
    assert (new.state, new.history, new.orig.data) == ("S1", "ShAD", b"new")
    assert old.start.number == 1


@BOTH
@pytest.mark.parametrize("pause", ["+1s", "+36s", "+60s"])
def test_a_syn_sent_again_is_no_new_connection(between: str, pause: str) -> None:
    """A SYN with the same number belongs to its dial, however late."""
    c = one(between, f"> S\n+1s > S seq=0\n{pause} > S seq=0\n< SA\n> A\n> FA")

    assert (c.orig.retransmits, len(c.orig.syns), c.history, c.state) == (2, 3, "ShAF", "S2")


@BOTH
def test_challenge_ack_on_reused_ports(between: str) -> None:
    """The server's ACK for the old connection and the client's RST do not end the new dial: the same SYN is answered 12 ms later."""
    old, new = track(
        conversation(
            between,
            HELLO
            + """
            < FA
            > FA
            < A
            +29s > S isn=3487985387
            < A seq=2 ack=-3487984385
            > R seq=-3487984385
            +12ms > S seq=0
            < SA isn=900
            > A
            > PA 'x'
            """,
        )
    )

    assert old.state == "SF"
    assert (new.state, new.history, new.orig.data, new.resp.gap, new.orig.gap) == ("S1", "SaRhAD", b"x", None, None)
    assert new.orig.rst is None
    assert new.resp.first_ack is None
    assert new.orig.retransmits == 1


@BOTH
def test_challenged_and_refused(between: str) -> None:
    """The same, but the port is closed by now: refused."""
    c = one(between, "> S\n< A seq=900 ack=-700\n> R seq=-700\n+12ms > S seq=0\n< RA seq=0 ack=1")

    assert c.state == "REJ"


@BOTH
def test_late_frames_join(between: str) -> None:
    """Answers and RSTs long after the client's FIN or RST belong to its connection."""
    for end in ("> FA", "> RA"):
        late = "+25s < PA 'HTTP/1.1 200 OK'\n> R seq=5\n+30s < FA\n> R seq=5"
        c = one(between, HELLO + f"> PA 'GET'\n< A\n+1s {end}\n{late}")

        assert c.resp.data == b"HTTP/1.1 200 OK"
        assert c.rev > 1


@BOTH
def test_late_frames_of_a_closed_connection_are_absorbed(between: str) -> None:
    """After both FINs nothing late makes a connection of its own, for a minute and more."""
    tracker = Tracker()
    packets = conversation(between, HELLO + "> FA\n< FA\n> A\n+20s < FA seq=1\n+40s > A\n+60s < R")
    out = []
    for packet in packets:
        feed(tracker, [packet])
        out += tracker.take()
    out += tracker.finish()

    assert [(c.id, c.rev, c.final) for c in out if isinstance(c, Connection)] == [(0, 1, False)]
    assert tracker.stats.late == 3


@BOTH
def test_forgotten_connections_are_midstream(between: str) -> None:
    """What comes when even the memory is gone begins in the middle, as with Zeek."""
    first, second = track(conversation(between, HELLO + "> FA\n< FA\n> A\n+70s > A"))

    assert (first.state, second.midstream, second.state) == ("SF", True, "OTH")


@BOTH
def test_dead_dials_interleave(between: str) -> None:
    """SYNs of several dead dials go on for minutes and each finds its own; when the path is back each is answered."""
    packets: list[Packet] = []
    for dial in range(3):
        port = 40000 + 2 * dial
        again = "".join(f"+{pause}ms > S seq=0\n" for pause in (1000, 1000, 5000, 11_000, 19_500, 35_700))
        script = "> S\n" + again + "< SA\n> A\n> FA\n< FA\n> A"
        packets += conversation(between.replace("40000", str(port)), script, start=EPOCH + dial * 2 * S, isns=(1000 * dial, 9))
    packets.sort(key=lambda p: p.mark.ns)

    assert [(c.orig.retransmits, c.state, c.history) for c in track(packets)] == [(6, "SF", "ShAFf")] * 3


# Handing out.


def told(packets: list[Segment], until: int = 0, **options: object) -> list[tuple[int, int, str, bool]]:
    """Return (id, rev, state, final) of what was handed out."""
    return [(c.id, c.rev, c.state, c.final) for c in revisions(packets, until=until, **options) if isinstance(c, Connection)]  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize(
    ("script", "state"), [(HELLO + "> FA\n< FA\n> A", "SF"), ("> S\n< RA seq=0", "REJ"), ("> S\n< SA\n> RA", "RSTO")]
)
def test_over_is_told_at_once(between: str, script: str, state: str) -> None:
    """What is over is handed out within a tenth of a second, once."""
    assert told(conversation(between, script), until=100 * MS) == [(0, 1, state, False)]
    assert told(conversation(between, script), until=120 * S) == [(0, 1, state, False)]


@BOTH
def test_copies_and_last_acks_make_no_revision(between: str) -> None:
    """The last ACK, a second RST and the copies at other vantage points come within the pause before the first revision."""
    script = "> S\n< SA\n> A\n> PA 'x'\n< PA 'y'\n< FA\n> RA\n+10us > R\n+40ms < A"

    assert told(conversation(between, script), until=10 * S) == [(0, 1, "RSTO", False)]


@BOTH
def test_silence_is_told(between: str) -> None:
    """A dial nobody answers is handed out five seconds after its last frame, and again when more came."""
    packets = conversation(between, "> S\n+1s > S seq=0\n+9s > S seq=0")

    assert told(packets[:2], until=4900 * MS) == []
    assert told(packets, until=6 * S) == [(0, 1, "S0", False), (0, 2, "S0", False)]


@BOTH
def test_age_is_told(between: str) -> None:
    """A connection that never rests is handed out at 35 s, and then at its end."""
    script = HELLO + "+1s > PA 'x'\n< A\n" * 40 + "> FA\n< FA\n> A"

    assert told(conversation(between, script), until=10 * S) == [(0, 1, "S1", False), (0, 2, "SF", False)]


@BOTH
def test_an_end_after_a_revision_is_told_at_once(between: str) -> None:
    """A connection that was handed out for its age is handed out again a moment after its end, not when it has been quiet."""
    packets = conversation(between, HELLO + "+2500ms > FA\n< FA\n> A")
    ripe = {"limits": Limits(ripe_age_ns=2 * S)}
    assert told(packets, until=100 * MS, **ripe) == [(0, 1, "S1", False), (0, 2, "SF", False)]
    assert told(packets, until=60 * S, **ripe) == [(0, 1, "S1", False), (0, 2, "SF", False)]


@BOTH
def test_finish_tells_the_rest_as_final(between: str) -> None:
    """At the end comes what was not told, or has changed, and nothing twice."""
    tracker = Tracker()
    feed(tracker, conversation(between, HELLO))
    (c,) = tracker.finish()

    assert isinstance(c, Connection)
    assert (c.final, c.rev, c.state) == (True, 1, "S1")
    assert tracker.finish() == []


@BOTH
def test_idle_connections_leave(between: str) -> None:
    """An open connection that is silent for minutes leaves the table."""
    tracker = Tracker()
    feed(tracker, conversation(between, HELLO))
    tracker.advance(EPOCH + 301 * S)
    tracker.take()

    assert not tracker._table.lives
    assert not tracker._sides
    assert tracker._table.payload == 0


@BOTH
def test_unripe_since(between: str) -> None:
    """The earliest start of what is still to be told for an address, and None when all is told."""
    tracker = Tracker()
    server = "fd00::2" if between is V6 else "10.0.0.2"
    first = conversation(between, HELLO)
    second = conversation(between.replace("40000", "40002"), "> S\n< RA seq=0", start=EPOCH + S)
    feed(tracker, [*first, *second])

    assert tracker.unripe_since(server) == EPOCH + 100 * US
    assert tracker.unripe_since("192.0.2.1") is None
    tracker.advance(EPOCH + 6 * S)
    assert len(tracker.take()) == 2
    assert tracker.unripe_since(server) is None


def test_clock_steps_back() -> None:
    """Where the capture's clock steps back for good, deadlines go on with their length."""
    tracker = Tracker()
    feed(tracker, conversation(V4, "> S\n< RA seq=0", start=EPOCH))
    out: list[Connection] = []
    for i in range(100):
        feed(tracker, conversation(f"10.0.0.1:{41000 + i} > 10.0.0.2:80", "> S\n< RA seq=0", start=EPOCH - 3600 * S + i * 200 * MS))
        out += tracker.take()  # type: ignore[arg-type]

    assert len(out) > 60
    assert all(c.rev == 1 and c.state == "REJ" for c in out)


# Streams.


@BOTH
def test_wrapping_numbers(between: str) -> None:
    """Sequence numbers that wrap in the middle of the data change nothing."""
    script = HELLO + "> PA 'GET / HTTP/1.1'\n< PA 'HTTP/1.1 200 OK'\n> A\n< PA 'body'\n> FA\n< FA\n> A"
    c = one(between, script, isns=(2**32 - 3, 2**32 - 9))

    assert (c.orig.data, c.resp.data, c.state, c.history) == (b"GET / HTTP/1.1", b"HTTP/1.1 200 OKbody", "SF", "ShADdFf")
    assert (c.orig.retransmits, c.resp.retransmits, c.orig.gap, c.resp.gap) == (0, 0, None, None)


@BOTH
def test_fast_open(between: str) -> None:
    """Data in the SYN (RFC 7413) is the beginning of the stream."""
    c = one(between, "> S 'GET'\n< SA\n> PA ' /'")

    assert (c.orig.data, c.history, c.orig.retransmits) == (b"GET /", "ShD", 0)


@BOTH
def test_fin_with_data_rst_with_data(between: str) -> None:
    """Data of a FIN segment belongs to the stream; what a RST carries does not."""
    c = one(between, HELLO + "> PA 'q'\n< FPA 'answer'\n> RA 'why'")

    assert (c.resp.data, c.resp.length, c.orig.data) == (b"answer", 6, b"q")


@BOTH
def test_loss_in_the_capture(between: str) -> None:
    """Data that was acknowledged but not captured is a gap at its offset, a letter in the history, and never invented."""
    c = one(between, HELLO + "> PA 'x'\n< PA 'HTTP/1.1 200'\n< PA len=500 seq=1013 ack=2\n> A ack=1513")

    assert (c.resp.data, c.resp.gap, c.resp.length) == (b"HTTP/1.1 200", 12, 1512)
    assert c.history == "ShADdG".replace("G", "g")


@BOTH
def test_lost_requests_and_answers(between: str) -> None:
    """Where a whole direction's data is missing, its gap is at 0."""
    c = one(between, HELLO + "< A ack=100\n< PA 'ok' ack=100\n> A ack=3\n> FA seq=99\n< FA ack=101\n> A ack=4")

    assert (c.orig.gap, c.orig.data, c.resp.data, c.resp.gap, c.state) == (0, b"", b"ok", None, "SF")


@BOTH
def test_acknowledged_fin_that_was_not_captured(between: str) -> None:
    """One byte acknowledged beyond the data is a FIN, not a gap."""
    c = one(between, HELLO + "> PA 'x'\n< PA 'ok'\n> A ack=4")

    assert c.resp.gap is None


@BOTH
def test_snapshot_length(between: str) -> None:
    """A payload cut by the snapshot length ends the data at the cut."""
    c = one(between, HELLO + "> PA 'GET / HT' len=60\n< PA 'HTTP/1.1 200 OK' len=15\n> A")

    assert (c.orig.data, c.orig.gap, c.orig.length) == (b"GET / HT", 8, 60)
    assert (c.resp.data, c.resp.gap) == (b"HTTP/1.1 200 OK", None)


@BOTH
def test_late_captured_data_fills_the_hole(between: str) -> None:
    """Data that the capture shows just after its acknowledgment is no loss."""
    c = one(between, HELLO + "> PA 'x'\n> A ack=5\n< PA 'late' seq=1\n< FA seq=5")

    assert (c.resp.data, c.resp.gap) == (b"late", None)


@BOTH
def test_limits_of_data(between: str) -> None:
    """Bytes beyond the limit are counted, not kept, and the connection stays whole."""
    (c,) = track(conversation(between, HELLO + "> PA len=200\n< A\n" * 10), Limits(client_bytes=500))

    assert (len(c.orig.data), c.orig.length, c.orig.gap) == (500, 2000, None)


# Retransmissions, as tshark counts them.


@BOTH
@pytest.mark.parametrize(
    ("script", "client", "server"),
    [
        ("> S\n+1s > S seq=0\n+2s > S seq=0", 2, 0),
        ("> S\n< SA\n+1s < SA seq=0\n> A", 0, 1),
        (HELLO + "> PA 'abc'\n+200ms > PA 'abc' seq=1\n+400ms > PA 'abc' seq=1", 2, 0),
        (HELLO + "> PA 'abc'\n< A\n+40ms > PA 'abc' seq=1", 1, 0),
        (HELLO + "> FA\n+200ms > FA seq=1", 1, 0),
        (HELLO + "> PA 'abc'\n< A\n+15s > A seq=3\n+15s > A 'c' seq=3\n< A", 0, 0),
        (HELLO + "> PA 'abc'\n< A win=0\n+200ms > A 'd' seq=4\n< A ack=4 win=0\n+1s > PA 'de' seq=4\n< A", 0, 0),
        (HELLO + "< PA 'bbbb' seq=5\n+1ms < PA 'aaaa' seq=1\n> A", 0, 1),
        ("> S\n< SA\n+30ms > A\n< PA 'bbbb' seq=5\n+1ms < PA 'aaaa' seq=1\n> A", 0, 0),
        (HELLO + "< PA 'bbbb' seq=5\n+200ms < PA 'aaaa' seq=1\n> A", 0, 1),
    ],
)
def test_retransmissions(between: str, script: str, client: int, server: int) -> None:
    """SYN, FIN and data sent again count; keep-alives, window probes and overtaken segments do not."""
    c = one(between, script)

    assert (c.orig.retransmits, c.resp.retransmits) == (client, server)


@BOTH
def test_keep_alive_bytes_are_no_data(between: str) -> None:
    """A keep-alive's byte repeats an old one and never enters the stream, also where it is the first thing seen."""
    c = one(between, HELLO + "> PA 'abc'\n< A\n+15s > A 'Z' seq=3\n< A\n> PA 'de'")

    assert c.orig.data == b"abcde"


# Direction and beginnings.


@BOTH
@pytest.mark.parametrize(
    ("script", "history"), [("> PA 'x'\n< PA 'y'", "Dd"), ("< PA 'y'\n> A", "^dA"), ("< SA\n> A", "^hA"), ("< FA\n> RA", "^fR")]
)
def test_the_server_is_known_by_its_port(between: str, script: str, history: str) -> None:
    """Seen first in the middle, the low port is the server's, whoever speaks first."""
    c = one(between, script)

    assert (c.client_port, c.server_port, c.history) == (40000, 80, history)
    assert c.flipped is history.startswith("^")
    assert c.midstream is ("h" not in history)


def test_a_server_seen_before_is_one() -> None:
    """An endpoint that answered a SYN is the server of later midstream connections, whatever its port."""
    known = conversation("10.0.0.1:40000 > 10.0.0.2:50000", HELLO)
    later = conversation("10.0.0.3:40000 > 10.0.0.2:50000", "< PA 'y'\n> A", start=EPOCH + S)

    assert [c.server_port for c in track([*known, *later])] == [50000, 50000]
    assert track([*known, *later])[1].flipped


def test_a_port_that_repeats_is_the_servers() -> None:
    """Two strangers of the same endpoint: the endpoint is the server."""
    packets = [s for port in (50001, 50003) for s in conversation(f"10.0.0.1:{port} > 10.0.0.2:44444", "< PA 'y'\n> A")]

    assert track(packets)[1].server_port == 44444


@BOTH
def test_simultaneous_open(between: str) -> None:
    """Crossing SYNs (RFC 9293 section 3.5) are one connection."""
    c = one(between, "> S\n< S\n> SA seq=0\n< SA seq=0\n> A\n> PA 'x'")

    assert (c.state, c.orig.data) == ("S1", b"x")


@BOTH
def test_simultaneous_close(between: str) -> None:
    """Crossing FINs are a normal end."""
    c = one(between, HELLO + "> FA\n< FA ack=1\n> A\n< A ack=2")

    assert (c.state, c.history) == ("SF", "ShAFfa")
    assert c.orig.fin_acked is not None
    assert c.resp.fin_acked is not None


@BOTH
@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 1, 3), (2, 1, 0, 3), (2, 0, 1, 3), (1, 2, 0, 3), (3, 2, 1, 0)])
def test_a_handshake_captured_in_the_wrong_order(between: str, order: tuple[int, ...]) -> None:
    """Neighbouring frames in the wrong order are one connection, with its SYN and all its data."""
    right = conversation(between, HELLO + "> PA 'GET /'\n< PA 'ok'\n> A")
    wrong = [right[i] for i in order] + right[4:]
    c = track(wrong)[0]

    assert len(track(wrong)) == 1
    assert (c.client_port, c.midstream, c.orig.data, c.resp.data, c.orig.gap) == (40000, False, b"GET /", b"ok", None)
    assert len(c.orig.syns) == 1


@BOTH
def test_one_direction_only(between: str) -> None:
    """A capture of one direction gives that half, and the other's as far as acknowledgments tell."""
    whole = conversation(between, HELLO + "> PA 'GET /'\n< PA 'ok'\n> A\n> FA\n< FA\n> A")
    port = 40000
    (client,) = track([s for s in whole if s.source_port == port])
    (server,) = track([s for s in whole if s.source_port != port])

    assert (client.orig.data, client.resp.data, client.resp.packets, client.client_port) == (b"GET /", b"", 0, 40000)
    assert (server.resp.data, server.orig.packets, server.client_port, server.history) == (b"ok", 0, 40000, "^hdf")
    assert client.resp.gap == 0
    assert server.orig.gap == 0


# ICMP.


def error(between: str, number: int = 9, *, backwards: bool = False) -> IcmpError:
    """Return a host-unreachable error about a segment of the client."""
    s = conversation(between, "> S")[0]
    if backwards:
        s = s._replace(source=s.destination, destination=s.source, source_port=s.destination_port, destination_port=s.source_port)
    return IcmpError(
        Mark(EPOCH + MS, 0, number), WIRE, "192.0.2.1", *((6, 1) if ":" in s.source else (4, 3)), 1, s.source, s.destination,
        s.source_port, s.destination_port, s.seq, 0,
    )  # fmt: skip


@BOTH
def test_icmp_explains_the_dial(between: str) -> None:
    """The first error that quotes the client's segment is the connection's."""
    (c,) = track([*conversation(between, "> S"), error(between), error(between, 10)])

    assert c.icmp is not None
    assert (c.icmp.mark.number, c.icmp.reporter, c.state) == (9, "192.0.2.1", "S0")


@BOTH
def test_icmp_again(between: str) -> None:
    """An error behind a SYN that was sent again is kept beside the first; copies of one error are not."""
    first, second = conversation(between, "> S\n +1s > S seq=0")
    late = error(between, 12)._replace(mark=Mark(second.mark.ns + 1000, 0, 12))
    (c,) = track([first, error(between), error(between, 10), second, late, late._replace(mark=Mark(late.mark.ns + 1, 0, 13))])

    assert c.icmp is not None
    assert c.icmp.last is not None
    assert (c.icmp.mark.number, c.icmp.last.number) == (9, 12)


@BOTH
def test_icmp_of_others_is_counted(between: str) -> None:
    """Errors about the server's segments, or about nothing known, explain no dial."""
    tracker = Tracker()
    feed(tracker, [error(between), *conversation(between, "> S"), error(between, backwards=True)])
    (c,) = tracker.finish()

    assert isinstance(c, Connection)
    assert c.icmp is None
    assert (tracker.stats.icmp, tracker.stats.icmp_unknown) == (2, 2)


@BOTH
def test_a_syn_that_its_own_node_rejected_is_a_connection(between: str) -> None:
    """A packet filter that rejects in OUTPUT leaves no other frame: each SYN that is quoted counts, no copy, and no other's error."""
    s = conversation(between, "> S")[0]
    known = error(between)._replace(flags=s.flags, code=4 if ":" in s.source else 3)
    own = known._replace(reporter=known.source)
    again = own._replace(mark=Mark(own.mark.ns + 1_000 * MS, 0, 12))
    (c,) = track([own, own._replace(mark=Mark(own.mark.ns + 1, 0, 10)), again])
    assert isinstance(c, Connection)
    assert c.icmp is not None
    assert (c.client, c.server_port, c.state, len(c.orig.syns), c.icmp.mark.number) == (s.source, s.destination_port, "S0", 2, 9)
    assert track([known]) == []
    assert track([own._replace(flags=0x18)]) == []


@BOTH
def test_a_syn_that_never_left(between: str) -> None:
    """The client's own kernel says so of a SYN that is not here, once for each; another host's error does not."""
    tracker = Tracker()
    known = error(between)
    own = known._replace(reporter=known.source, code=3 if ":" in known.source else 1)
    feed(tracker, [known, own, own, own._replace(source_port=known.source_port + 1)])
    assert tracker.stats.unsent == {
        (known.source, known.destination, known.destination_port): {(known.source_port, known.seq), (known.source_port + 1, known.seq)}
    }
    tracker = Tracker()
    feed(tracker, [*conversation(between, "> S"), own])
    assert tracker.stats.unsent == {}


@BOTH
def test_a_refusal_shows_its_dial(between: str) -> None:
    """A RST with ACK and the number 0 answers a SYN and nothing else: who dialled whom is known without it. Another RST tells nothing."""
    _, refusal = conversation(between, "> S\n < RA")
    (c,) = track([refusal._replace(seq=0)])
    assert (c.client, c.client_port, c.midstream) == (refusal.destination, refusal.destination_port, False)
    assert c.resp.rst is not None
    (other,) = track([refusal._replace(seq=4711)])
    assert other.midstream


# Bounds.


def flood(count: int) -> list[Segment]:
    """Return SYNs of as many clients."""
    syn = conversation(V4, "> S")[0]
    return [
        syn._replace(source=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", seq=i, mark=Mark(EPOCH + 100 * MS + i * 1000, 0, i + 10))
        for i in range(count)
    ]


def test_a_syn_flood_is_bounded_and_spares_the_living() -> None:
    """Half-open connections leave first, counted and told; an established one survives."""
    limits = Limits(connections=100, stubs=50, servers=20)
    tracker = Tracker(limits)
    alive = conversation("10.9.9.9:40000 > 10.0.0.2:80", HELLO)
    feed(tracker, alive)
    out = []
    for s in flood(5000):
        tracker.segment(s)
        assert len(tracker._table.lives) <= 100
        out += tracker.take()

    assert tracker.stats.evicted == 4901
    assert len(out) == 4901
    assert all(isinstance(c, Connection) and c.state == "S0" and c.final for c in out)
    assert len(tracker._table.stubs) <= 50
    assert len(tracker._sides) <= 200
    assert len(tracker._table.heap) <= 2 * 100 + SLACK + 1
    assert any(life.client == "10.9.9.9" for life in tracker._table.lives.values())


def test_payload_is_bounded_together() -> None:
    """Connections that all hold data stay below the common bound."""
    tracker = Tracker(Limits(payload=100_000))
    for i in range(200):
        script = HELLO + "> PA len=5000\n> PA len=5000 seq=7001"
        feed(tracker, conversation(f"10.0.{i}.1:40000 > 10.0.0.2:80", script, start=EPOCH + i * MS))

        assert tracker._table.payload <= 100_000
    held = sum(side.stream.held for life in tracker._table.lives.values() for side in (life.orig, life.resp))
    assert held == tracker._table.payload
    assert tracker.stats.evicted


def test_marks_and_vantage_points_are_bounded() -> None:
    """SYNs sent for ever, from everywhere, leave a bounded list."""
    syn = conversation(V4, "> S")[0]
    packets = [syn._replace(mark=Mark(EPOCH + i * S, i, 1), ip_id=i + 1) for i in range(200)]
    (c,) = track(packets)

    assert len(c.orig.syns) == 32
    assert c.orig.retransmits == 199
    assert len(c.sightings) == 16


def test_heap_is_bounded_by_what_happens() -> None:
    """A busy connection leaves no trail of timers."""
    tracker = Tracker()
    feed(tracker, conversation(V4, HELLO))
    s = conversation(V4, HELLO + "> PA len=100")[-1]
    for i in range(20_000):
        tracker.segment(s._replace(seq=s.seq + 100 * i, mark=Mark(EPOCH + i * 10 * MS, 0, i), ip_id=i % 65000 + 1))
        if not i % 10:
            tracker.take()

    assert len(tracker._table.heap) <= 2


@st.composite
def arbitrary(draw: st.DrawFn) -> Segment:
    """Draw any segment between a few endpoints."""
    length = draw(st.sampled_from([0, 0, 1, 2, 100, 1448, 65535]))
    captured = min(length, draw(st.sampled_from([0, 1, 100, 65535])))
    a, b = draw(st.sampled_from([("a", "b"), ("b", "a"), ("a", "a")]))
    ports = draw(st.sampled_from([(1, 2), (2, 1), (1, 1)]))
    flags = st.one_of(st.integers(0, 63), st.sampled_from([SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK]))
    numbers = st.one_of(st.sampled_from([0, 1, 2, 100, 101, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))
    return Segment(
        Mark(draw(st.integers(0, 400)) * S // 10, draw(st.integers(0, 1)), draw(st.integers(1, 99))), WIRE, a, b, *ports,
        draw(numbers), draw(numbers), draw(flags), draw(st.sampled_from([0, 1, 65535])), bytes(captured), length, 64,
        draw(st.sampled_from([-1, 0, 1, 2])), draw(st.integers(-1, 2)), -1, 0, None,
    )  # fmt: skip


@given(st.lists(arbitrary(), max_size=80), st.integers(1, 4))
@settings(max_examples=400)
def test_arbitrary_segments(segments: list[Segment], most: int) -> None:
    """Nothing that can be decoded makes the tracker raise or leave its bounds, and every frame is accounted for."""
    limits = Limits(connections=most, payload=5000, client_bytes=300, server_bytes=400, arrivals=5, syns=2, stubs=2, servers=2)
    tracker = Tracker(limits)
    last: dict[int, Connection] = {}
    revs: Counter[int] = Counter()
    for s in segments:
        tracker.segment(s)
        for c in tracker.take():
            assert isinstance(c, Connection)
            assert c.rev == revs[c.id] + 1
            revs[c.id] += 1
            last[c.id] = c
        assert len(tracker._table.lives) <= most
        assert len(tracker._table.stubs) <= 2
        assert tracker._table.payload == sum(life.payload for life in tracker._table.lives.values())
    for c in tracker.finish():
        assert isinstance(c, Connection)
        last[c.id] = c

    assert sorted(last) == list(range(tracker.stats.connections))
    counted = sum(c.orig.packets + c.resp.packets for c in last.values())
    assert counted + tracker.stats.duplicates + tracker.stats.late == len(segments)
    for c in last.values():
        assert len(c.orig.data) <= (400 if c.flipped else 300)
        assert len(c.resp.data) <= 400
        assert len(c.orig.syns) <= 2
        assert c.orig.gap is None or c.orig.gap == len(c.orig.data)
    assert not tracker._sides
    assert tracker._table.payload == 0
    assert not tracker._table._waiting


@given(st.data())
@settings(max_examples=100)
def test_any_order_gives_true_bytes(data: st.DataObject) -> None:
    """Reordered, doubled and lost segments of a connection never yield a byte that was not sent, and whole captures yield all."""
    text = data.draw(st.binary(min_size=1, max_size=300))
    isn = data.draw(st.sampled_from([0, 2**32 - 50, 2**31]))
    head = conversation(V4, HELLO, isns=(isn, 7))
    model = conversation(V4, HELLO + "> PA 'x'", isns=(isn, 7))[-1]
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=8))})
    pieces = [
        model._replace(seq=(isn + 1 + a) & 0xFFFFFFFF, payload=text[a:b], length=b - a, ip_id=i + 10)
        for i, (a, b) in enumerate(itertools.pairwise(cuts))
    ]
    lose = data.draw(st.booleans())
    pieces += data.draw(st.lists(st.sampled_from(pieces), max_size=4))
    if lose:
        pieces = data.draw(st.lists(st.sampled_from(pieces), max_size=8))
    pieces = [p._replace(mark=Mark(EPOCH + (i + 10) * MS, 0, i + 4)) for i, p in enumerate(data.draw(st.permutations(pieces)))]
    (c,) = track([*head, *pieces])

    assert text.startswith(c.orig.data)
    if not lose:
        assert c.orig.data == text
        assert c.orig.gap is None


# Against tshark.


def tshark_streams(path: Path) -> tuple[int, int]:
    """Return how many TCP streams tshark sees in a capture, and how many retransmissions."""
    fields = ["-e", "tcp.stream", "-e", "tcp.analysis.retransmission"]
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp", "-T", "fields", *fields]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode and not run.stdout:
        pytest.skip("tshark does not read this form of compression")
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    return len({row[0] for row in rows}), sum(bool(row[1]) for row in rows)


@pytest.mark.oracle
def test_streams_and_retransmissions_as_tshark(capture_file: Path, tshark: str) -> None:
    """Where nothing was seen twice, connections and retransmissions are those of tshark."""
    assert tshark
    tracker, peeler = Tracker(), Peeler()
    packets: list[Segment] = []
    try:
        with Reader(str(capture_file), 0) as frames:
            packets = [p for p in map(peeler.peel, frames) if isinstance(p, Segment)]
    except CaptureError:
        pytest.skip("not a capture that can be read")
    head = capture_file.read_bytes()[:24]
    order = "little" if head[:2] in (b"\xd4\xc3", b"\x4d\x3c") else "big"
    if capture_file.suffix == ".pcap" and int.from_bytes(head[20:24], order) >> 16:
        pytest.skip("the link type declares a frame check sequence, which tshark takes for payload")
    times = [p.mark.ns for p in packets]
    if times != sorted(times):
        pytest.skip("not in the order of time")
    if any(len(p.payload) < p.length for p in packets):
        pytest.skip("cut by a snapshot length: tshark does not analyse such segments")
    connections = track(packets)
    feed(tracker, packets)
    if tracker.stats.duplicates:
        pytest.skip("frames were seen at several vantage points: tshark counts each")
    if not packets:
        pytest.skip("no TCP")

    assert (len(connections), sum(c.orig.retransmits + c.resp.retransmits for c in connections)) == tshark_streams(capture_file)
