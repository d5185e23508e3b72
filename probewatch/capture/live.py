"""Frames from an interface as they pass: libpcap through cypcap, in this or in another network namespace.

Theory of operation: the socket is opened in a thread that has entered the namespace (`netns.inside`); afterwards it can
be read from anywhere. The kernel filters (BPF) and fills a ring of RING_BYTES; it hands a block of the ring over when it
is full or HOLD_S old. libpcap's immediate mode would hand over each frame at once, but its ring then has places of the
snapshot length: 64 of them in 16 MiB, and a burst of a few hundred frames is lost, while blocks hold frames of any size
side by side. A probe's story can wait HOLD_S. From `begin` on, or the first call that asks for frames, a thread
empties the ring into memory (`backlog`), so that what it holds is not lost while we are busy.

With `bulk` frames of bulk transfers are left out by the kernel once they are known as such (`bulk`, `kernel`), and capturing
begins with `begin`: what comes before would fill the ring while nobody empties it.

Limitations: Linux only. Interface drops are read by libpcap from /sys, which shows the namespace in which it was
mounted, so they are not told of another namespace. An interface that is added later is seen by `any` only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from probewatch.capture.backlog import HOLD_S, Backlog, Chunk
from probewatch.capture.bulk import Bulk
from probewatch.capture.errors import CaptureError, printable
from probewatch.capture.filters import Filter
from probewatch.capture.linktypes import SLL2
from probewatch.capture.netns import inside, namespace_words
from probewatch.capture.tally import MAX_FRAME, Tally
from probewatch.capture.write import Counts
from probewatch.model.frame import CaptureInfo, Frame, Interface, Loss

RING_BYTES: Final = 16 << 20
"""Bytes of the kernel's ring: what may wait until it is fetched; more is lost and counted."""
TURN_S: Final = 0.2
"""Seconds that a call waits for frames."""
DRAIN_S: Final = 60.0
"""Seconds that fetching what the ring still holds may take."""

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
        """Begin to capture; what passes from now on is kept in the ring until it is fetched (with `bulk`: from `begin` on).

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
        self.gaps: list[Loss] = []
        """What was lost that should have come before the frames fetched last; whoever reads it empties it."""
        self._number = 0
        self._stop = threading.Event()
        self._ended = False
        self._backlog: Backlog | None = None
        if not interface or "\0" in interface or len(interface) > _LONGEST_NAME:
            raise CaptureError(self.path, "is not a possible interface name: `ip link` lists those there are")
        wanted = Filter(filter) if filter else None
        self._pcap: Any = inside(netns, lambda: _opened(interface, self.path, netns, ring))
        try:
            self._backlog = Backlog(self._pcap, bulk)
            self._link_type = self._backlog.link_type
            if wanted is not None:
                self._pcap.setfilter(wanted.program(self._link_type))
            self._pcap.setnonblock(True)
            if bulk is not None:
                self._backlog.hold()
            self._tally.interface(Interface(0, interface, self._link_type, MAX_FRAME))
        except BaseException as error:
            self.close()
            import cypcap

            if isinstance(error, cypcap.Error):  # (it goes away just now)
                raise CaptureError(self.path, _refusal(error, netns)) from None
            raise

    # --- frames ---

    def begin(self) -> None:
        """Begin to empty the ring; to be called once privileges are dropped. A second call does nothing."""
        if self._backlog is not None:
            self._backlog.start()

    def poll(self, timeout_s: float = TURN_S) -> list[Frame]:
        """Return the next frames, waiting so long for the first; none once the interface is gone."""
        if self._ended or self._backlog is None:
            return []
        self.begin()
        chunk = self._backlog.take(timeout_s)
        if chunk is not None:
            return self._made(self._backlog, chunk)
        if self._backlog.ended:
            self._ended = True
            self._tally.broken(self._backlog.why)
        return []

    def _made(self, backlog: Backlog, chunk: Chunk) -> list[Frame]:
        """Make frames of records."""
        if chunk.gap is not None:
            self.gaps.append(chunk.gap)
            self._tally.loss(chunk.gap)
        tally, new, file, link_type, number = self._tally, tuple.__new__, self._file, self._link_type, self._number
        frames: list[Frame] = []
        for ns, original, data in backlog.frames(chunk):
            number += 1
            if ns >= tally.latest:
                tally.latest = ns
            else:
                ns = tally.odd_time(ns, number)
            frames.append(new(Frame, (ns, file, number, 0, link_type, data, original)))  # (as in model.frame)
        self._number = tally.frames = number
        return frames

    @property
    def seen_ns(self) -> int:
        """The moment up to which all that was stamped and counted by the kernel has been fetched, by the system's clock."""
        return self._backlog.seen_ns if self._backlog is not None else 0

    @property
    def behind_ns(self) -> int:
        """How old the oldest of what waits in memory is; 0 where nothing waits."""
        return self._backlog.behind_ns if self._backlog is not None else 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until `stop` is called or the interface is gone."""
        while not self._stop.is_set() and not self._ended:
            yield from self.poll()
        yield from self.drain()

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are frames."""
        assert self._backlog is not None
        self._backlog.start()
        return self._backlog.fileno()

    def catch_up(self) -> int:
        """Wait until all that had passed when this was called is in memory; return how many frames that makes.

        The kernel counts a frame when it comes, so what was moved on is compared with that. On `any` and `lo` it counts
        frames that libpcap passes over, unless our filter leaves them out; there time tells (`Backlog.reached_ns`).
        """
        backlog, counts = self._backlog, self.counts()
        if backlog is None or self._ended:
            return self._number
        backlog.start()
        due = counts.received - counts.dropped if counts is not None else 1 << 62
        until_ns, begun = time.time_ns(), time.monotonic()

        def there() -> bool:
            return backlog.moved >= due or backlog.reached_ns >= until_ns

        backlog.catch_up(there, DRAIN_S)
        if not (there() or backlog.why):
            waited = time.monotonic() - begun
            self._tally.broken(f"what passed last could not be fetched within {waited:.0f} s")
        return backlog.moved

    @property
    def taken(self) -> int:
        """How many frames `poll` has given out."""
        return self._number

    def drain(self) -> Iterator[Frame]:
        """Yield what had passed when this was called."""
        moved = self.catch_up()
        while self._number < moved and (frames := self.poll(0)):
            yield from frames

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
        if self._pcap is None or self._backlog is None:
            return None
        import cypcap

        try:
            stat = self._pcap.stats()
        except cypcap.Error:
            return None
        before = self._backlog.before
        return Counts(
            received=stat.recv - before.received,
            dropped=stat.drop - before.dropped,
            interface_dropped=None if self._elsewhere else stat.ifdrop - (before.interface_dropped or 0),
        )

    def info(self) -> CaptureInfo:
        """Return what is known of it now."""
        counts = self.counts()
        if counts is not None:
            self._tally.lost[0] = counts.dropped + (counts.interface_dropped or 0)
        return self._tally.info()

    def close(self) -> None:
        """Stop capturing. What was not fetched is lost."""
        if self._pcap is None:
            return
        self.info()  # the last look at the counts
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None
        self._pcap.close()
        self._pcap = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
