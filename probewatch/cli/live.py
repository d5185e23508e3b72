"""What `watch` and `record` share: options that say what to capture, how it is opened, and how it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from ..model.units import SECOND
from ..moments import InputError
from .options import Argument, Option
from .output import complain

if TYPE_CHECKING:
    from ..capture.apart import ProcessEvents
    from ..capture.taps import Taps
    from ..cluster.node import NodeView
    from ..model.frame import HostLink
    from ..observer import Observer

RING_BYTES: Final = 64 << 20
"""Bytes of the kernel's ring of each interface."""
PATIENCE_S: Final = 3.0
"""Seconds that a write may take once the end was asked for."""
LOSS_S: Final = 1.0
"""Seconds between two notes of what is being lost, at least."""
BEHIND_S: Final = 5.0
"""Seconds of packets that wait to be worked out, of which a note is made, and again when they have doubled."""
REST: Final = 20_000
"""Packets that wait when the end was asked for, of which a note is made: a second's work, or of a flood of connections several."""


def duration_option(says: str) -> Callable[..., Any]:
    """Return the option that bounds the time."""
    return click.option("--duration", type=float, metavar="SECONDS", cls=Option, section="Input", help=says)


netns_option = click.option(
    "--netns",
    metavar="NAME|PID",
    cls=Option,
    section="Input",
    help="Network namespace to use instead of the current one: its name, its path, or a process in it.",
)

_OPTIONS: Final = (
    click.argument(
        "expression",
        nargs=-1,
        metavar="[FILTER]",
        cls=Argument,
        section="Input",
        help="Capture only frames that match this pcap filter, such as host 10.128.0.10. Do not exclude ARP and ICMP.",
    ),
    click.option(
        "-i",
        "--interface",
        "interfaces",
        multiple=True,
        metavar="IFACE",
        cls=Option,
        section="Input",
        help="An interface to capture on, instead of all of them. Repeatable.",
    ),
    netns_option,
    duration_option("Stop after this many seconds."),
    click.option(
        "-c", "--count", type=int, metavar="N", cls=Option, section="Input", help="Stop after this many frames."
    ),
)

user_option = click.option(
    "-Z",
    "--user",
    metavar="USER",
    default="nobody",
    show_default=True,
    cls=Option,
    section="Output",
    help="Once everything is open, switch to this user and drop all capabilities; root stays root.",
)


def live_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what to capture, and for how long."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_nothing(duration: float | None, count: int | None) -> None:
    """Raise InputError where a bound leaves nothing."""
    for name, value in (("--duration", duration), ("-c", count)):
        if value is not None and not value > 0:
            raise InputError(f"{name} {value:g} is not possible: give a number greater than 0")


def filter_of(words: Sequence[str]) -> str:
    """Return the filter that stands as arguments, as tcpdump takes it; InputError where these are a capture's name."""
    from ..capture.filters import Filter, FilterError

    try:
        Filter(expression := " ".join(words))
    except FilterError:
        file = next((word for word in words if Path(word).is_file()), None)
        if file is None:
            raise
        raise InputError(
            f"{file} is a file, and a filter was expected: probewatch analyze {file} reads a capture, "
            f"probewatch watch -r {file} one that grows"
        ) from None
    return expression


def step_down(user: str, *, quiet: bool) -> None:
    """Give up privileges, and say so."""
    from ..capture.privilege import drop

    said = drop(user)
    if said and not quiet:
        complain(said)


def process_events(netns: str | None, user: str) -> tuple[ProcessEvents | None, str]:
    """Begin to watch processes, which is to be done before all else; return (what tells them, why nothing does).

    A namespace that was asked for has packets; processes are the whole node's.
    """
    from ..capture.apart import ProcessEvents
    from ..capture.errors import CaptureError

    if netns is not None:
        return None, ""
    try:
        return ProcessEvents(user=user), ""
    except CaptureError as error:
        return None, f"exec probes are not seen: {error}"


def tap(interfaces: Sequence[str], netns: str | None, expression: str, processes: ProcessEvents | None = None) -> Taps:
    """Open what is to be captured; see `Taps` for what is raised."""
    from ..capture.bulk import Bulk
    from ..capture.kernel import EVERYTHING
    from ..capture.live import ANY, Live
    from ..capture.netns import inside
    from ..capture.proc import host_name
    from ..capture.taps import Taps
    from ..cluster.links import host_links, links

    where, bulk = place(netns), Bulk()
    taps = Taps(
        list(dict.fromkeys(interfaces)) or [ANY],
        lambda name: Live(name, netns=where, filter=expression or EVERYTHING, ring=RING_BYTES, bulk=bulk),
        where,
        processes=processes,
    )
    with suppress(OSError):
        taps.links = host_links(inside(where, links))
        taps.host = host_name()
    return taps


def place(netns: str | None) -> str | int | None:
    """Return a namespace as everything else takes it: a process by its number."""
    return int(netns) if netns is not None and netns.isdigit() else netns


class Around:
    """What the node shows of itself: its addresses, and the names of its pods as they come and go."""

    def __init__(self, known: Observer, netns: str | None, user: str) -> None:
        """Look once, with all privileges, and go on looking in a child; to be made before privileges are dropped."""
        from ..capture.netns import inside
        from ..cluster.links import of_pod
        from ..cluster.lookout import Lookout, Names
        from ..cluster.node import look

        where, book = place(netns), known.book
        self._known = known
        self._names = Names(replace(book, nodes=dict(book.nodes), pods=dict(book.pods)))
        self._lookout: Lookout | None = None
        self._taps: Taps | None = None
        self._links: dict[int, HostLink] = {}
        self._here: set[int] = set()
        """Interfaces that were there at the latest look."""
        self.why = ""
        """Why nothing, or not the node's, is known of it."""
        try:
            view = inside(where, lambda: look(book))
            self._take(view)
            if netns is None and of_pod(view.links):
                self.why = (
                    "this is a Pod's own network namespace: what is asked of other Pods does not pass here "
                    "(hostNetwork: true shows the node's)"
                )
            self._lookout = Lookout(self._names.book, where, user=user, known=view.names())
        except OSError as error:
            self.why = f"this node gives no names of pods: {(error.strerror or str(error)).lower()}"

    def _take(self, view: NodeView) -> None:
        from ..cluster.links import host_links

        self._known.meet(self._names.take(view, time.time_ns()))
        here = {link.index for link in view.links}
        for index in self._here - here:
            name = self._links[index].name if index in self._links else f"interface {index}"
            self._known.link_gone(index, name, time.time_ns())
        self._here = here
        self._links.update({link.index: link for link in host_links(view.links)})
        if self._taps is not None:
            self._taps.links = tuple(self._links.values())

    def name(self, taps: Taps) -> None:
        """Name the interfaces of these frames from now on."""
        self._taps = taps
        taps.links = tuple(({link.index: link for link in taps.links} | self._links).values())

    def look(self) -> None:
        """Take in what has changed."""
        view = self._lookout.news() if self._lookout is not None else None
        if view is not None:
            self._take(view)

    def close(self) -> None:
        """Stop looking."""
        if self._lookout is not None:
            self._lookout.close()


class Ending:
    """When it is over: Ctrl-C, SIGTERM, a terminal that went away (SIGHUP, unless nohup) or the end of its time.

    The first signal asks, the second ends at once. A write that nobody takes (a full pipe) is ended by the first, after
    PATIENCE_S; after SIGTERM or SIGHUP, whose sender will not ask twice, so is the summary.
    """

    def __init__(self, duration: float | None) -> None:
        self._duration = duration
        self._until: float | None = None
        self.begin()
        self.asked = False
        self._writes = 0
        self._writing = False
        self._stuck = 0
        self._terminated = False
        hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
        for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])):
            signal.signal(number, self._handle)
        signal.signal(signal.SIGALRM, self._alarm)

    def begin(self) -> None:
        """Count its time from now on: to be called when capturing begins, for a busy machine takes seconds to open everything."""
        self._until = None if self._duration is None else time.monotonic() + self._duration

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write to standard output inside."""
        self._writes += 1
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._terminated = number != signal.SIGINT
        if self._writing or self._terminated:
            self._stuck = self._writes
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def _alarm(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._writing and (self._terminated or self._writes == self._stuck):
            raise KeyboardInterrupt

    @property
    def come(self) -> bool:
        """Whether it is over."""
        return self.asked or (self._until is not None and time.monotonic() >= self._until)


class Losses:
    """Says what is being lost when it is, and no more than once in LOSS_S; and when what is shown is late."""

    def __init__(self, taps: Taps, *, wanted: bool) -> None:
        self.taps, self._wanted = taps, wanted
        self._dropped = self._events = 0
        self._due = time.monotonic() + LOSS_S
        self._late_s = BEHIND_S

    def look(self) -> None:
        """Compare with what was said before."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LOSS_S
        dropped, events = self.taps.counts().dropped, self.taps.events_lost
        if dropped > self._dropped and self._wanted:
            complain(
                f"the kernel lost {dropped - self._dropped} frames, {dropped} in all: attempts in this time may be misread"
            )
        if events > self._events and self._wanted:
            complain(f"the kernel lost process events ({events} times in all): exec probes in this time may be misread")
        self._dropped, self._events = dropped, events
        behind_s = self.taps.behind_ns / SECOND
        if behind_s >= self._late_s:
            self._late_s = 2 * behind_s
            if self._wanted:
                lost = "" if dropped else ", none are lost"
                complain(f"{behind_s:.0f} s behind: packets wait in memory{lost}")

    def end(self, what: str) -> None:
        """Say `what` comes first of all that waits, before the end: whoever asked for that would think that nobody heard."""
        if self._wanted and (rest := self.taps.rest()) >= REST:
            complain(f"{rest} packets wait in memory and are {what}")
