"""Frames from an interface as they pass: libpcap through cypcap, in this or in another network namespace.

Theory of operation: the socket is opened in a thread that has entered the namespace (`netns.inside`); afterwards it can
be read from anywhere. The kernel filters (BPF) and fills a ring of RING_BYTES; it hands a block of the ring over when it
is full or HOLD_S old. libpcap's immediate mode would hand over each frame at once, but its ring then has places of the
snapshot length: 64 of them in 16 MiB, and a burst of a few hundred frames is lost, while blocks hold frames of any size
side by side. A probe's story can wait HOLD_S.

cypcap 0.6 reads a nanosecond as if it were a microsecond (`Pkthdr.ts`), so frames go through libpcap's own dumper into a
file in memory, whose records carry the time as the kernel gave it.

With `bulk` frames of bulk transfers are left out by the kernel once they are known as such (`bulk`, `kernel`).

Limitations: Linux only. Interface drops are read by libpcap from /sys, which shows the namespace in which it was
mounted, so they are not told of another namespace. An interface that is added later is seen by `any` only.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from probewatch.capture.bulk import Bulk
from probewatch.capture.errors import CaptureError, printable
from probewatch.capture.filters import Filter
from probewatch.capture.kernel import KernelFilter
from probewatch.capture.linktypes import LINK_TYPE_MASK, SLL2
from probewatch.capture.netns import inside, namespace_words
from probewatch.capture.pcap import FILE_HEADER, NANOSECOND
from probewatch.capture.tally import MAX_FRAME, Tally
from probewatch.capture.write import Counts
from probewatch.model.frame import CaptureInfo, Frame, Interface

RING_BYTES: Final = 16 << 20
"""Bytes of the kernel's ring: what may wait until it is fetched; more is lost and counted."""
HOLD_S: Final = 0.05
"""Seconds that the kernel may hold back a block of the ring that is not full."""
BATCH: Final = 256
"""Frames fetched at once."""
SCRATCH_BYTES: Final = 4 << 20
"""Bytes after which the file in memory is begun anew."""
TURN_S: Final = 0.2
"""Seconds between two looks at whether to stop."""
QUIET_S: Final = 0.5
"""Seconds without a frame after which the ring is taken for empty where libpcap's counts cannot tell."""
DRAIN_S: Final = 2.0
"""Seconds after which fetching what the ring still holds ends, even if frames keep coming."""

ANY: Final = "any"
"""libpcap's device of all interfaces."""
_LONGEST_NAME: Final = 100


class Live:
    """Frames of one interface, from the moment it is made. A context manager; use from one thread at a time."""

    def __init__(
        self,
        interface: str = ANY,
        *,
        netns: str | int | None = None,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        file: int = 0,
        ring: int = RING_BYTES,
        bulk: Bulk | None = None,
    ) -> None:
        """Begin to capture; what passes from now on is kept in the ring until it is fetched.

        Args:
            interface: its name, or `any`.
            netns: a name under /run/netns, a path, or a process's number; None is the caller's own namespace.
            filter: pcap-filter(7); run by the kernel.
            file: `Frame.file` of all its frames.
            ring: bytes of the kernel's ring.
            bulk: what knows the bulk transfers, and learns of them from these frames; they are then left out.

        Raises:
            CaptureError: interface or namespace do not exist, a capability is missing, the filter cannot be used.
        """
        self.interface = interface
        self.path = f"interface {printable(interface)}" + (f" in {namespace_words(netns)}" if netns is not None else "")
        self._file, self._elsewhere = file, netns is not None
        self._tally = Tally(self.path)
        self._tally.format = "live"
        self._number = 0
        self._stop = threading.Event()
        self._ended = False
        self._scratch = -1
        self._bulk = bulk
        self._kernel: KernelFilter | None = None
        if not interface or "\0" in interface or len(interface) > _LONGEST_NAME:
            raise CaptureError(self.path, "has no name that an interface can have: `ip link` lists those there are")
        wanted = Filter(filter) if filter else None
        self._pcap: Any = inside(netns, lambda: _opened(interface, self.path, netns, ring))
        try:
            self._scratch = os.memfd_create("probewatch", os.MFD_CLOEXEC)
            self._dumper: Any = None
            self._begin_scratch()
            magic, *_, link_type = struct.unpack("=IHHiIII", os.pread(self._scratch, FILE_HEADER, 0))
            self._scale = 1 if magic == NANOSECOND else 1000
            self._link_type: int = link_type & LINK_TYPE_MASK
            if wanted is not None:
                self._pcap.setfilter(wanted.program(self._link_type))
            self._pcap.setnonblock(True)
            if bulk is not None:
                self._kernel = KernelFilter(self._pcap.get_selectable_fd())
            self._tally.interfaces.append(Interface(0, interface, self._link_type, MAX_FRAME))
        except BaseException:
            self.close()
            raise

    # --- frames ---

    def poll(self, timeout_s: float = TURN_S) -> list[Frame]:
        """Return the next frames, at most BATCH, waiting so long for the first; none once the interface is gone."""
        if self._ended or self._pcap is None:
            return []
        import cypcap

        select.select([self._pcap.get_selectable_fd()], [], [], max(timeout_s, 0.0))
        try:
            self._pcap.dispatch(BATCH, self._dumper.dump)
            self._dumper.flush()
        except cypcap.Error as error:
            # The interface was deleted or went down: what was captured stands.
            self._ended = True
            self._tally.broken(f"the capture ended: {printable(str(error.args[-1])).lower()}")
        frames = self._fetch()
        if self._kernel is not None and self._bulk is not None and self._bulk.note(frames) and not self._ended:
            self._kernel.leave_out(self._bulk.left_out.values())
        return frames

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until `stop` is called or the interface is gone."""
        while not self._stop.is_set() and not self._ended:
            yield from self.poll()
        yield from self.drain()

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are frames."""
        descriptor: int = self._pcap.get_selectable_fd()
        return descriptor

    def drain(self) -> Iterator[Frame]:
        """Yield what had passed when this was called.

        The kernel counts a frame when it comes, so what was fetched is compared with that. On `any` and `lo` it counts
        frames that libpcap passes over; there QUIET_S decides. DRAIN_S is the end in any case.
        """
        counts = self.counts()
        due = counts.received - counts.dropped if counts is not None else None
        begun = heard = time.monotonic()
        while not self._ended and (due is None or self._number < due):
            frames = self.poll(HOLD_S)
            yield from frames
            now = time.monotonic()
            heard = now if frames else heard
            if now - heard > QUIET_S or now - begun > DRAIN_S:
                return

    def stop(self) -> None:
        """Let iteration end; may be called from any thread."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    @property
    def ended(self) -> bool:
        """Whether the interface is gone, so that no frame will come."""
        return self._ended

    # --- the account ---

    @property
    def link_type(self) -> int:
        """LINKTYPE_ value of its frames."""
        return self._link_type

    def counts(self) -> Counts | None:
        """Return what was received and lost so far; None where libpcap cannot say."""
        if self._pcap is None:
            return None
        import cypcap

        try:
            stat = self._pcap.stats()
        except cypcap.Error:
            return None
        return Counts(received=stat.recv, dropped=stat.drop, interface_dropped=None if self._elsewhere else stat.ifdrop)

    def info(self) -> CaptureInfo:
        """Return what is known of it now."""
        counts = self.counts()
        if counts is not None:
            self._tally.lost[0] = counts.dropped + (counts.interface_dropped or 0)
        return self._tally.info()

    def close(self) -> None:
        """Stop capturing. What was not fetched is lost."""
        if self._pcap is not None:
            self.info()  # the last look at the counts
            self._pcap.close()
            self._pcap = None
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
        dumper = getattr(self, "_dumper", None)
        if dumper is not None:
            dumper.close()
            self._dumper = None
        if self._scratch >= 0:
            os.close(self._scratch)
            self._scratch = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- from libpcap's records to frames ---

    def _begin_scratch(self) -> None:
        """Empty the file in memory; the dumper writes a file header first."""
        if self._dumper is not None:
            self._dumper.close()
        self._dumper = self._pcap.dump_open(f"/proc/self/fd/{self._scratch}")
        self._dumper.flush()
        self._read_to = FILE_HEADER

    def _fetch(self) -> list[Frame]:
        """Return the frames behind what was read, all of them whole: the dumper was flushed."""
        size = os.fstat(self._scratch).st_size
        data = os.pread(self._scratch, size - self._read_to, self._read_to) if size > self._read_to else b""
        frames: list[Frame] = []
        tally, pos, end = self._tally, 0, len(data)
        while end - pos >= 16:
            seconds, fraction, captured, original = struct.unpack_from("=IIII", data, pos)
            pos += 16
            self._number = tally.frames = self._number + 1
            ns = seconds * 1_000_000_000 + fraction * self._scale
            if ns >= tally.latest:
                tally.latest = ns
            else:
                ns = tally.odd_time(ns, self._number)
            frames.append(Frame(ns, self._file, self._number, 0, self._link_type, data[pos : pos + captured], original))
            pos += captured
        self._read_to += end
        if self._read_to > SCRATCH_BYTES and not self._ended:
            self._begin_scratch()
        return frames


def _opened(interface: str, path: str, netns: str | int | None, ring: int) -> Any:
    """Return an active capture; runs in the namespace of the interface."""
    import cypcap

    pcap = None
    try:
        pcap = cypcap.create(interface)
        pcap.set_pre_config(snaplen=MAX_FRAME, promisc=False, timeout=HOLD_S, buffer_size=ring)
        with suppress(cypcap.Error):  # microseconds then; the dumper's file header says so
            pcap.set_pre_config(tstamp_precision=cypcap.TstampPrecision.NANO)
        pcap.activate()
        if interface == ANY and SLL2 in {int(kind) for kind in pcap.list_datalinks()}:
            pcap.set_datalink(SLL2)
    except cypcap.Error as error:
        if pcap is not None:
            pcap.close()
        raise CaptureError(path, _refusal(error, netns)) from None
    return pcap


def _refusal(error: Any, netns: str | int | None) -> str:
    """Say why libpcap does not capture there, and what to do."""
    import cypcap

    where = f"ip -n {printable(netns)} link" if isinstance(netns, str) and "/" not in netns else "ip link"
    code = getattr(error, "code", None)
    if code in (cypcap.ErrorCode.PERM_DENIED, cypcap.ErrorCode.PROMISC_PERM_DENIED):
        return "cannot be captured from: this needs the capability CAP_NET_RAW (run it as root)"
    if code == cypcap.ErrorCode.NO_SUCH_DEVICE:
        return f"does not exist: `{where}` lists those there are"
    if code == cypcap.ErrorCode.IFACE_NOT_UP:
        return f"is down, so nothing passes it: `{where.removesuffix(' link')} link set dev NAME up`"
    return f"cannot be captured from: {printable(str(error.args[-1] if error.args else error))}"
