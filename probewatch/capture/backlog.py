"""What passed a live interface and waits in our memory: a thread empties the kernel's ring as it fills, whatever we are busy with.

Theory of operation: working out an attempt takes far longer than its frames take to pass, and the kernel throws away what
finds its ring full. So a thread does nothing but move frames on: it waits for a block, lets libpcap dump it into a file
in memory (half a microsecond a frame), and puts the records aside as they are. They become frames when they are taken.
A burst of minutes can wait so; it is late then, and not lost.

cypcap 0.6 reads a nanosecond as if it were a microsecond (`Pkthdr.ts`), so frames go through libpcap's own dumper, whose
records carry the time as the kernel gave it.

How far time has come is proven by counting: a look whose count of frames is the kernel's has seen all that had passed. A ring
that looks empty proves less, for the kernel holds back a block that is not full, until a timer of its own says so; on a
machine with too few processors that takes as long as it takes.

What is a bulk transfer is found here too (`bulk`), at once: whoever takes the frames may be far behind.

Limitations: beyond BACKLOG_BYTES nothing more is moved on; the kernel's ring fills, and the kernel counts what is lost.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from probewatch.capture.bulk import LARGE, Bulk
from probewatch.capture.errors import printable
from probewatch.capture.kernel import KernelFilter
from probewatch.capture.linktypes import LINK_TYPE_MASK
from probewatch.capture.pcap import FILE_HEADER, NANOSECOND
from probewatch.capture.write import Counts
from probewatch.model.frame import Loss
from probewatch.model.units import SECOND

BACKLOG_BYTES: Final = 128 << 20
"""Bytes of frames that wait in memory until they are worked out."""
TAKEN: Final = 2048
"""Frames that are moved on at once."""
SCRATCH_BYTES: Final = 4 << 20
"""Bytes after which the file in memory is begun anew."""
TURN_S: Final = 0.1
"""Seconds between two looks at whether to stop, and at how far time has come."""
HOLD_S: Final = 0.05
"""Seconds that the kernel may hold back a block of the ring that is not full."""
HELD_NS: Final = int(4 * HOLD_S * SECOND)
"""How much later an empty ring shows that all had passed, where counts cannot: two turns of the kernel's timer, and as much again."""
STALLED_NS: Final = 2 * SECOND
"""The same where counts can, but say for so long that something is held back: libpcap passed it over."""
RECORD: Final = struct.Struct("=IIII")
"""Seconds, fraction, captured and original length: what stands in front of each frame."""


class Chunk(NamedTuple):
    """Frames that were moved on together."""

    data: bytes
    """Records of a pcap file in this machine's byte order."""
    frames: int
    seen_ns: int
    """The moment up to which all that was stamped and counted had been moved on."""
    gap: Loss | None
    """What the kernel lost since the chunk before, and between which moments."""


class Backlog:
    """Moves on what an active capture of libpcap holds, from `start` to `close`."""

    def __init__(self, pcap: Any, bulk: Bulk | None = None, *, most: int = BACKLOG_BYTES) -> None:
        """Make it ready; nothing runs yet. What is bulk is left out with `bulk`.

        Raises:
            OSError: there is no memory for the file.
        """
        self._pcap, self._bulk, self._most = pcap, bulk, most
        self._kernel: KernelFilter | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._begun = threading.Event()
        self._turn = threading.Condition()
        self._chunks: deque[Chunk] = deque()
        self.waiting = 0
        """Bytes that wait."""
        self.moved = 0
        """Frames moved on so far."""
        self.seen_ns = 0
        """The moment up to which everything has been taken."""
        self.why = ""
        """Why nothing more comes, once that is so."""
        self._error: BaseException | None = None
        self.before = Counts(received=0, dropped=0, interface_dropped=0)
        """What the kernel had counted when capturing began."""
        self.reached_ns = 0
        """The moment up to which everything has been moved on."""
        self._dropped = 0
        self._looked_ns = time.time_ns()
        self._gap: Loss | None = None
        self._dumper: Any = None
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._scratch = os.memfd_create("probewatch", os.MFD_CLOEXEC)
        self._begin_scratch()
        magic, *_, link_type = struct.unpack("=IHHiIII", os.pread(self._scratch, FILE_HEADER, 0))
        self._scale = 1 if magic == NANOSECOND else 1000
        self.link_type: int = link_type & LINK_TYPE_MASK
        """LINKTYPE_ value of its frames."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when frames wait, or nothing more will come."""
        return self._bell

    def hold(self) -> None:
        """Let nothing into the ring until `start`: a bulk transfer would fill it at once, and push out what is waited for.

        Raises:
            OSError: the kernel does not tell the filter.
        """
        self._kernel = KernelFilter(self._pcap.get_selectable_fd())

    def start(self) -> None:
        """Begin to move frames on: what passes after this is seen. A second call does nothing."""
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._run, name="probewatch-ring", daemon=True)
            self._thread.start()
            self._begun.wait()

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more: all was taken, and the interface is gone."""
        return bool(self.why) and not self._chunks

    def take(self, timeout_s: float) -> Chunk | None:
        """Return what waits longest, waiting so long for it; None where nothing came.

        Raises:
            BaseException: what the thread met.
        """
        if not self._chunks:
            select.select([self._bell], [], [], max(timeout_s, 0.0))
        with self._turn:
            if not self._chunks:
                if self._error is not None:
                    raise self._error
                self.seen_ns = self.reached_ns
                return None
            chunk = self._chunks.popleft()
            self.waiting -= len(chunk.data)
            self.seen_ns = chunk.seen_ns
            if not self._chunks and not self.why:
                os.eventfd_read(self._bell)
            self._turn.notify_all()
        return chunk

    def frames(self, chunk: Chunk) -> Iterator[tuple[int, int, bytes]]:
        """Yield time (ns), length on the wire and bytes of each frame."""
        data, pos, scale = chunk.data, 0, self._scale
        for _ in range(chunk.frames):
            seconds, fraction, captured, original = RECORD.unpack_from(data, pos)
            pos += RECORD.size + captured
            yield seconds * SECOND + fraction * scale, original, data[pos - captured : pos]

    @property
    def behind_ns(self) -> int:
        """How old the oldest of what waits is, by the clock; 0 where nothing waits."""
        with self._turn:
            return max(0, time.time_ns() - self._chunks[0].seen_ns) if self._chunks else 0

    def catch_up(self, due: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `due` says that all has been moved on, however much that is: it lay in the ring before."""
        with self._turn:
            self._most += 1 << 62
            self._turn.notify_all()
            self._turn.wait_for(lambda: due() or bool(self.why), timeout=timeout_s)
            self._most -= 1 << 62

    def close(self) -> None:
        """Stop; a second call does nothing."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
        if self._dumper is not None:
            self._dumper.close()
            self._dumper = None
        for descriptor in (self._scratch, self._bell):
            if descriptor >= 0:
                os.close(descriptor)
        self._scratch = self._bell = -1

    # --- the thread ---

    def _run(self) -> None:
        try:
            if self._kernel is not None and not (why := self._forget()):
                self._kernel.leave_out(())
            elif self._kernel is not None:
                self._end(why)
            self._begun.set()
            while not self._closing and not self.why:
                self._move()
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            self._end("the capture ended: it failed", error)
            self._begun.set()

    def _forget(self) -> str:
        """Let go of what came into the ring before it was held; return why nothing will come, empty where it may."""
        forgotten, until = 0, time.monotonic_ns() + HELD_NS
        while True:
            why = self._dispatch()
            forgotten += self._walk(self._fetch(), None)[0]  # (of bulk nothing is learnt: the filter begins anew)
            stat = self._stats()
            if why or stat is None:
                return why or "the capture ended: the kernel counts nothing any more"
            if forgotten == stat.recv - stat.drop or time.monotonic_ns() > until:
                break
            select.select([self._pcap.get_selectable_fd()], [], [], HOLD_S)
        self.before = Counts(received=stat.recv, dropped=stat.drop, interface_dropped=stat.ifdrop)
        self._dropped, self._looked_ns = stat.drop, time.time_ns()
        return ""

    def _dispatch(self) -> str:
        """Let libpcap dump what the ring holds; return why nothing more will come, empty where it may.

        An interface that is deleted ends so at any moment; what was captured stands. One that only goes down does not: nothing
        passes it meanwhile, and capturing goes on when it is up again.
        """
        import cypcap

        try:
            self._pcap.dispatch(TAKEN, self._dumper.dump)
        except cypcap.Error as error:
            return f"the capture ended: {printable(str(error.args[-1])).lower()}"
        finally:
            self._dumper.flush()
        return ""

    def _stats(self) -> Any:
        """Return what the kernel counted; None where it tells nothing."""
        import cypcap

        try:
            return self._pcap.stats()
        except cypcap.Error:
            return None

    def _end(self, why: str, error: BaseException | None = None) -> None:
        with self._turn:
            self.why, self._error = why, error
            os.eventfd_write(self._bell, 1)
            self._turn.notify_all()

    def _move(self) -> None:
        """Move on what has come, or let a turn pass."""
        select.select([self._pcap.get_selectable_fd()], [], [], TURN_S)
        with self._turn:
            self._turn.wait_for(lambda: self.waiting < self._most or self._closing)
        looked_ns = time.time_ns()
        why = self._dispatch()
        data = self._fetch()
        frames, latest_ns = self._walk(data, self._bulk)
        counted = self._count(looked_ns)
        if self._kernel is not None and counted == self.moved + frames:
            seen_ns = looked_ns
        else:
            seen_ns = latest_ns if frames else min(self.reached_ns, looked_ns)
            if frames < TAKEN:
                seen_ns = max(seen_ns, looked_ns - (HELD_NS if self._kernel is None else STALLED_NS))
        with self._turn:
            if frames:
                if not self._chunks:
                    os.eventfd_write(self._bell, 1)
                self._chunks.append(Chunk(data, frames, seen_ns, self._gap))
                self._gap = None
                self.waiting += len(data)
                self.moved += frames
            self.reached_ns = seen_ns
            self._turn.notify_all()
        if why:
            self._end(why)

    def _begin_scratch(self) -> None:
        """Empty the file in memory; the dumper writes a file header first."""
        if self._dumper is not None:
            self._dumper.close()
        self._dumper = self._pcap.dump_open(f"/proc/self/fd/{self._scratch}")
        self._dumper.flush()
        self._read_to = FILE_HEADER

    def _fetch(self) -> bytes:
        """Return the records behind what was read, all of them whole: the dumper was flushed."""
        size = os.fstat(self._scratch).st_size
        data = os.pread(self._scratch, size - self._read_to, self._read_to) if size > self._read_to else b""
        self._read_to += len(data)
        if self._read_to > SCRATCH_BYTES:
            self._begin_scratch()
        return data

    def _walk(self, data: bytes, bulk: Bulk | None) -> tuple[int, int]:
        """Look at each record once, for what is bulk where that is to be learnt; return how many there are, and the latest time (ns)."""
        pos, end, frames, latest = 0, len(data), 0, (0, 0)
        link_type, unpack, header = self.link_type, RECORD.unpack_from, RECORD.size
        changed = False
        while end - pos >= header:
            seconds, fraction, captured, original = unpack(data, pos)
            pos += header + captured
            frames += 1
            latest = max(latest, (seconds, fraction))
            if bulk is not None and (original >= LARGE or bulk.left_out):
                changed = bulk.note(link_type, data[pos - captured : pos], original) or changed
        if changed and bulk is not None and self._kernel is not None:
            self._kernel.leave_out(bulk.left_out.values())
        return frames, latest[0] * SECOND + latest[1] * self._scale

    def _count(self, looked_ns: int) -> int | None:
        """Return how many frames the kernel has put into the ring; note those it lost since the last look, and between which moments."""
        if (stat := self._stats()) is None:
            return None
        dropped = stat.drop
        if dropped > self._dropped:
            begun_ns, before = (self._gap.begun_ns, self._gap.frames) if self._gap is not None else (self._looked_ns, 0)
            self._gap = Loss(begun_ns, looked_ns, before + dropped - self._dropped)
        self._dropped, self._looked_ns = dropped, looked_ns
        return int(stat.recv - self.before.received - (dropped - self.before.dropped))
