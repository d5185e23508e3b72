"""A ring of files: each is a capture of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probewatch import analyze
from probewatch.api import observer
from probewatch.capture import Reader
from probewatch.capture.errors import CaptureError
from probewatch.capture.pcapng import UNENDED
from probewatch.capture.save import Bounds, Saver
from probewatch.model.frame import JOURNAL_ENTRY, Frame, HostLink, Interface, Loss, Mark
from probewatch.model.journal import journal_frame, process_event
from probewatch.model.process import ProcessEvent, ProcessKind
from probewatch.model.timeline import EventKind
from probewatch.model.units import SECOND
from probewatch.report.document import document


def test_each_file_of_a_ring_can_be_read_alone(tmp_path: Path) -> None:
    """Each says which file it went on from and that process events were watched, as of its own beginning.

    Events are no frames kept, and what was overwritten is counted.
    """
    anywhere = Interface(0, "any", 1, 0, links=(HostLink(7, "veth0", ("10.128.0.1", "fd01::1")),), host="node-a")
    saver = Saver(str(tmp_path / "ring.pcapng"), lambda: [anywhere], bounds=Bounds(size=1000, files=3))
    saver.frame(journal_frame(ProcessEvent(kind=ProcessKind.BEGAN, host="n", mark=Mark(SECOND, 0, 0))))
    for number in range(40):
        saver.frame(Frame((number + 2) * SECOND, 0, 0, 0, 1, bytes(100), 100))
    assert saver.finish([], 42 * SECOND) == []
    assert saver.frames == 40
    there = 0
    for path, before in zip(sorted(tmp_path.iterdir()), ("ring-2", "ring-0", "ring-1"), strict=True):
        with Reader(str(path), 0) as reader:
            frames = list(reader)
            info = reader.info()
        assert info.complete
        assert f"comment of the file: this recording went on from {before}.pcapng" in info.notes
        assert (info.interfaces[0].host, info.interfaces[0].links) == ("node-a", anywhere.links)
        packets = [frame for frame in frames if frame.link_type != JOURNAL_ENTRY]
        there += len(packets)
        (event,) = [process_event(frame) for frame in frames if frame.link_type == JOURNAL_ENTRY]
        assert event is not None
        assert (event.kind, event.host, event.mark.ns) == (ProcessKind.BEGAN, "n", packets[0].ns)
    assert saver.overwritten == 40 - there > 0


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_what_was_lost_is_known_when_it_is_read_again(name: str, captures: Path, tmp_path: Path) -> None:
    """Losses, the silence at the end and the machine's own addresses are in the file: it reads as it did while it was written."""
    spec, kept = captures / name / "pod.yaml", tmp_path / "kept.pcapng"
    with Reader(str(captures / name / "capture.pcap"), 0) as reader:
        frames = [frame._replace(number=number) for number, frame in enumerate(reader, 1)]
    begun, ended = frames[len(frames) // 3].ns + 1, frames[len(frames) // 2].ns - 1
    loss, end = Loss(begun, ended, 9), frames[-1].ns + 7 * SECOND
    own = Interface(0, "any", frames[0].link_type, 0, links=(HostLink(8, "tun0", ("10.128.0.1", "fd00:10:128::1")),), host="node-a")
    saver, known = Saver(str(kept), lambda: [own]), observer(spec=spec)
    known.meet_host(own)
    known.begin(frames[0].ns - 30 * SECOND)
    saver.began(frames[0].ns - 30 * SECOND)
    for frame in (frame for frame in frames if not begun <= frame.ns <= ended):
        if loss is not None and frame.ns > ended:
            known.lost(begun, ended)
            saver.lost(loss)
            loss = None
        known.feed(frame._replace(number=saver.frames + 1))
        saver.frame(frame)
    known.advance(end)
    assert saver.finish([], end) == []
    found, live = analyze(kept, spec=spec), known.finish()
    assert document(found)["probes"] == document(live)["probes"]
    assert found.events == live.events
    assert [(i.drops, i.drops_timed) for i in found.captures[0].interfaces] == [(9, 9)]
    assert EventKind.CAPTURE_GAP in {event.kind for event in found.events}
    assert {probe.checker.node for probe in found.probes if probe.checker.kind == "kubelet"} == {"node-a"}
    assert re.search(r"no traffic to it in the first 3\d s", found.probes[0].initial_evidence)
    assert found.probes[0].gaps[-1].end_ns > frames[-1].ns


@pytest.mark.parametrize("ended", [True, False])
def test_a_recording_that_was_cut_off_is_known_as_such(tmp_path: Path, ended: bool) -> None:
    """Without its end mark (it was killed, its disk was full) a recording is not called complete, alone or as it comes through a pipe."""
    path = tmp_path / "kept.pcapng"
    saver = Saver(str(path), lambda: [Interface(0, "any", 1, 0)])
    saver.began(SECOND)
    for number in range(3):
        saver.frame(Frame((number + 2) * SECOND, 0, 0, 0, 1, bytes(60), 60))
    saver.flush()
    cut = path.read_bytes()
    saver.finish([], 9 * SECOND)
    if not ended:
        path.write_bytes(cut)
    for following in (None, lambda: True):
        with path.open("rb") as stream, Reader("-", 0, stdin=stream, following=following) as reader:
            assert len(list(reader)) == 3
            info = reader.info()
        assert info.complete is ended
        assert info.notes[:1] == (() if ended else (UNENDED,))
    with Reader(str(path), 0, following=iter([True, True, True, False]).__next__) as reader:
        list(reader)
    assert reader.info().complete, "a file that may be written on is left where it stands"


def test_a_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    """A second recording into the same file would destroy the first: it is refused, and what the first wrote stays; afterwards it may."""
    path = tmp_path / "x.pcapng"
    first = Saver(str(path), list)
    before = path.read_bytes()
    with pytest.raises(CaptureError, match="is being written by another process"):
        Saver(str(path), list)
    assert path.read_bytes() == before
    first.finish([], 0)
    Saver(str(path), list).finish([], 0)
