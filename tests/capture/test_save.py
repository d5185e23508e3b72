"""A ring of files: each is a capture of its own."""

from __future__ import annotations

from pathlib import Path

from probewatch.capture import Reader
from probewatch.capture.save import Bounds, Saver
from probewatch.model.frame import JOURNAL_ENTRY, Frame, Interface, Mark
from probewatch.model.journal import journal_frame, process_event
from probewatch.model.process import ProcessEvent, ProcessKind

SECOND = 1_000_000_000


def test_each_file_of_a_ring_can_be_read_alone(tmp_path: Path) -> None:
    """Each says which file it went on from and that process events were watched, as of its own beginning; events are no frames kept."""
    anywhere = Interface(0, "any", 1, 0, links=((7, "veth0"),))
    saver = Saver(str(tmp_path / "ring.pcapng"), lambda: [anywhere], bounds=Bounds(size=1000, files=3))
    saver.frame(journal_frame(ProcessEvent(kind=ProcessKind.BEGAN, host="n", mark=Mark(SECOND, 0, 0))))
    for number in range(40):
        saver.frame(Frame((number + 2) * SECOND, 0, 0, 0, 1, bytes(100), 100))
    assert saver.finish([]) == []
    assert saver.frames == 40
    for path, before in zip(sorted(tmp_path.iterdir()), ("ring-2", "ring-0", "ring-1"), strict=True):
        with Reader(str(path), 0) as reader:
            frames = list(reader)
            info = reader.info()
        assert info.complete
        assert f"comment of the file: this recording went on from {before}.pcapng" in info.notes
        assert info.interfaces[0].link(7) == "veth0"
        packets = [frame for frame in frames if frame.link_type != JOURNAL_ENTRY]
        (event,) = [process_event(frame) for frame in frames if frame.link_type == JOURNAL_ENTRY]
        assert event is not None
        assert (event.kind, event.host, event.mark.ns) == (ProcessKind.BEGAN, "n", packets[0].ns)
