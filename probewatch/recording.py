"""Record an interface while something happens, and hand back the timeline of it: what `probewatch.record` offers.

    with probewatch.record("veth0", "run.pcapng", netns="web", spec="pod.yaml") as recording:
        recording.wait_for(lambda timeline: any(len(probe.attempts) >= 3 for probe in timeline.probes), seconds=30)
    timeline = recording.timeline()

The recording is a file, and the timeline is that of the file: what a test saw can be opened in Wireshark afterwards, at
the same frame numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from . import api
from .api import PathText

if TYPE_CHECKING:
    from .model.timeline import Timeline

PAUSE_S: Final = 0.1
"""Seconds between two looks of `wait_for`, at least; as long as a look takes, if that is longer."""


class Recording:
    """One interface, recorded into a pcapng file until `stop`. A context manager."""

    def __init__(
        self,
        interface: str,
        path: PathText,
        *,
        netns: str | int | None = None,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        spec: PathText | Sequence[PathText] = (),
        cluster: PathText | Sequence[PathText] = (),
        node_ip: str | Sequence[str] = (),
        keylog: PathText | None = None,
    ) -> None:
        """Begin; see `record`."""
        from .capture.record import Recorder

        self._interpret = {"spec": spec, "cluster": cluster, "node_ip": node_ip, "keylog": keylog}
        self._recorder = Recorder(path, interface, netns=netns, filter=filter)

    @property
    def path(self) -> Path:
        """The file."""
        return self._recorder.path

    @property
    def interface(self) -> str:
        """The interface as it was given."""
        return self._recorder.interface

    @property
    def frames(self) -> int:
        """Frames recorded so far."""
        return self._recorder.frames

    def timeline(self, *, verify: bool = False) -> Timeline:
        """Return the timeline of what passed until now; an attempt under way is inconclusive, cause `cut`.

        With `verify` it has the findings of `probewatch.verify`: each declared probe held against what passed.

        Raises:
            SpecError, InputError: what was given to interpret packets with cannot be used.
        """
        self._recorder.catch_up()
        timeline = (api.verify if verify else api.analyze)(self.path, **self._interpret)  # type: ignore[arg-type]
        return replace(timeline, notes=(*timeline.notes, *self._recorder.notes))

    def wait_for(self, so: Callable[[Timeline], bool], seconds: float) -> Timeline:
        """Return the timeline as soon as `so` holds of it.

        Raises:
            TimeoutError: it did not within so many seconds; the sentence says what was seen.
        """
        from .report.conversation import seen_instead

        __tracebackhide__ = True
        end = time.monotonic() + seconds
        while True:
            begun = time.monotonic()
            timeline = self.timeline()
            if so(timeline):
                return timeline
            took = time.monotonic() - begun
            if time.monotonic() >= end:
                raise TimeoutError(
                    f"waited {seconds:g} s in vain on interface {self.interface}: "
                    f"{seen_instead(timeline)}, in {self.frames} frames of {self.path}"
                    + ("" if self.frames else "; `probewatch pods` names the interfaces of this node's pods")
                )
            time.sleep(min(max(PAUSE_S, took), max(0.0, end - time.monotonic())))

    def stop(self) -> None:
        """End it; what had passed is in the file. A second call does nothing.

        Raises:
            CaptureError: the file could not be written to its end.
        """
        self._recorder.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def record(
    interface: str,
    path: PathText,
    *,
    netns: str | int | None = None,
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    spec: PathText | Sequence[PathText] = (),
    cluster: PathText | Sequence[PathText] = (),
    node_ip: str | Sequence[str] = (),
    keylog: PathText | None = None,
) -> Recording:
    """Begin to record; when this returns, every frame that passes is captured.

    Args:
        interface: its name, or `any`.
        path: the pcapng file to write; it is overwritten.
        netns: the network namespace of the interface: a name under /run/netns, a path, or a process's number. The
            caller's own namespace never changes.
        filter: only frames that match this expression (pcap-filter(7)) are recorded; leave ARP and ICMP in.
        spec: as for `analyze`, for the timelines of this recording; so are `cluster`, `node_ip` and `keylog`.
        cluster: see `spec`.
        node_ip: see `spec`.
        keylog: see `spec`.

    Raises:
        CaptureError: interface or namespace do not exist, a capability is missing (CAP_NET_RAW; CAP_SYS_ADMIN for another
            namespace), the filter cannot be used, or the file cannot be written.
    """
    return Recording(
        interface, path, netns=netns, filter=filter, spec=spec, cluster=cluster, node_ip=node_ip, keylog=keylog
    )
