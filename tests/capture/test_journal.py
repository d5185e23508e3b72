"""Process events on disk: journal entries in a pcapng, beside the packets.

Covers `model.journal`, `capture.write`, `capture.reader`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.capture.filters import Filter
from probewatch.capture.reader import Reader
from probewatch.capture.write import PcapngWriter
from probewatch.model.frame import JOURNAL_ENTRY, Frame, Mark
from probewatch.model.journal import encode, journal_frame, nanoseconds, process_event
from probewatch.model.process import Asked, ProcessEvent, ProcessKind

NS = 1_795_379_060_812_345_678

EVENTS = st.builds(
    ProcessEvent,
    mark=st.builds(Mark, st.integers(0, 2**62), st.just(0), st.just(0)),
    kind=st.sampled_from(list(ProcessKind)),
    pid=st.integers(0, 4_194_304),
    runtime=st.integers(0, 4_194_304),
    parents=st.lists(st.text(max_size=15), max_size=3).map(tuple),
    name=st.text(max_size=15),
    arguments=st.lists(st.text(max_size=40), max_size=4).map(tuple),
    asked=st.none() | st.builds(Asked, container=st.text(max_size=8), terminal=st.booleans()),
    container=st.text(max_size=64),
    addresses=st.lists(st.sampled_from(["10.0.0.1", "fd00::1"]), max_size=2).map(tuple),
    exit_code=st.none() | st.integers(0, 255),
    signal=st.integers(0, 64),
)


def packet(ns: int) -> Frame:
    """Make an Ethernet frame."""
    return Frame(ns, 0, 0, 0, 1, bytes(60), 60)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return a pcapng with a packet, an event and a packet."""
    path = tmp_path / "mixed.pcapng"
    told = ProcessEvent(mark=Mark(NS, 0, 0), kind=ProcessKind.EXEC, pid=77, arguments=("sh", "-c", "a\nb\x1b[2J"))
    with path.open("wb") as out:
        writer = PcapngWriter(out)
        writer.interface("veth0", 1, 262_144)
        for frame in (packet(NS - 5), journal_frame(told), packet(NS + 5)):
            writer.frame(frame)
        assert writer.frames == 3
    return path


def test_events_keep_their_place(mixed: Path) -> None:
    """An event takes a frame number of its own, to the nanosecond, and is no packet in the count of frames."""
    with Reader(str(mixed), 0) as reader:
        frames = list(reader)
    assert [(f.number, f.ns - NS, f.link_type) for f in frames] == [(1, -5, 1), (2, 0, JOURNAL_ENTRY), (3, 5, 1)]
    event = process_event(frames[1])
    assert event is not None
    assert (event.mark, event.pid, event.arguments[2]) == (Mark(NS, 0, 2), 77, "a\nb\x1b[2J")
    assert reader.info().frames == 2
    assert reader.info().notes == ("1 process event is recorded beside the packets",)


def test_filters_let_events_pass(mixed: Path) -> None:
    """An expression in pcap syntax speaks of packets: it never takes away an event."""
    wanted = Filter("tcp port 1")
    with Reader(str(mixed), 0) as reader:
        assert [frame.number for frame in reader if wanted.matches(frame)] == [2]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_opens_it(mixed: Path) -> None:
    """Wireshark numbers an event as we do, and shows what happened without a control character."""
    done = subprocess.run(
        ["tshark", "-r", str(mixed), "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info"],
        capture_output=True,
        check=True,
        text=True,
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[1][1].startswith('exec ["sh", "-c", "a')
    assert "\x1b" not in done.stdout


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_libpcap_opens_it(mixed: Path) -> None:
    """What reads with libpcap sees the packets and steps over the event."""
    done = subprocess.run(["tcpdump", "-n", "-r", str(mixed)], capture_output=True, check=True, text=True)
    assert len(done.stdout.splitlines()) == 2


@given(EVENTS)
def test_round_trip(event: ProcessEvent) -> None:
    """Every event, whatever a process calls itself, reads back as it was written."""
    frame = journal_frame(event)._replace(number=4)
    assert nanoseconds(frame.data) == event.mark.ns
    back = process_event(frame)
    assert back is not None
    assert back.mark == Mark(event.mark.ns, 0, 4)
    assert encode(back) == frame.data


@given(st.binary(max_size=200))
def test_any_entry_is_read_or_left(data: bytes) -> None:
    """Entries of other programs, and broken ones, are no events and no errors."""
    for body in (data, b"PROBEWATCH_EVENT=" + data, b'PROBEWATCH_EVENT={"mark":[' + data):
        frame = Frame(NS, 0, 1, 0, JOURNAL_ENTRY, body, len(body))
        nanoseconds(body)
        assert process_event(frame) is None or b"kind" in body
    assert process_event(Frame(NS, 0, 1, 0, JOURNAL_ENTRY, b"X=1\nPROBEWATCH_EVENT={}\n", 1)) is None
