"""This node, looked at again whenever its links or addresses change, by a process of its own, while ours has no privileges.

Theory of operation: whose interface that is, and whose address, takes looks into other users' processes (`node.look`),
which the process that decodes packets must not be able to. So a child that is forked before privileges are dropped keeps
CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, listens to the kernel's link and address events (`links.LinkWatch`), looks, and
sends what it saw as JSON. A Pod's names come a little later than its links (the runtime makes the sandbox first), so it
looks again after a while. It sees no packet, and ends when we do.

Limitations: after privileges are dropped crictl is not asked (who may speak to the runtime is as good as root), and the
addresses of namespaces that no process is in are not seen: both take more than the child keeps. What crictl told at the
start is remembered; names of later containers are in files that the child may read (`names`). A Pod that lives shorter
than a look takes may stay without a name.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from probewatch.capture.child import Child
from probewatch.capture.netns import inside
from probewatch.capture.privilege import NOBODY, drop
from probewatch.cluster.links import LinkWatch
from probewatch.cluster.names import Name
from probewatch.cluster.node import THIS_NODE, NodeView, look
from probewatch.model.book import AddressBook
from probewatch.model.spec import PodSpec

NEEDED: Final = ("CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE")
"""What the child keeps, and why: see above."""
SETTLE_S: Final = 0.2
"""Seconds after a change before the look: links come in pairs, addresses behind them."""
AGAIN_S: Final = (2.0, 10.0)
"""Seconds after a change of further looks: for names that come late."""
TURN_BYTES: Final = 1 << 20
"""Bytes taken from the child at once."""
MOST_BYTES: Final = 16 << 20
"""Bytes of one view; what is longer is not looked at."""


@dataclass(slots=True)
class Names:
    """An address book that grows with each look: Pods that are gone keep their time."""

    book: AddressBook
    _met: dict[tuple[str, str, str | None], PodSpec] = field(default_factory=dict)

    def take(self, view: NodeView, now_ns: int) -> AddressBook:
        """Return the book with what a look shows: who has come at an address that was another's began now, who is gone ended now."""
        given = self.book
        shown = view.book(replace(given, pods=dict(given.pods)))
        here = {_key(pod): pod for pods in shown.pods.values() for pod in pods if pod.declared_by.startswith(THIS_NODE)}
        before = {address for pod in self._met.values() for address in pod.addresses}
        for key, pod in list(self._met.items()):
            if key not in here and pod.ended_ns is None:
                self._met[key] = replace(pod, ended_ns=now_ns)
        for key, pod in here.items():
            known = self._met.get(key)
            if known is None or known.ended_ns is not None:
                fresh = before.intersection(pod.addresses)
                self._met[key] = replace(pod, started_ns=now_ns) if fresh and known is None else pod
            elif known.addresses != pod.addresses or known.containers != pod.containers:
                self._met[key] = replace(pod, started_ns=known.started_ns)
        pods = dict(given.pods)
        for pod in sorted(self._met.values(), key=lambda pod: -(pod.started_ns or 0)):
            for address in pod.addresses:
                pods[address] = (*pods.get(address, ()), pod)
        return replace(shown, pods=pods)


def _key(pod: PodSpec) -> tuple[str, str, str | None]:
    return pod.namespace, pod.name, pod.uid


class Lookout:
    """What this node shows of itself, anew whenever it changed."""

    def __init__(
        self,
        book: AddressBook,
        netns: str | int | None = None,
        *,
        user: str = NOBODY,
        known: Mapping[str, Name] | None = None,
    ) -> None:
        """Begin; to be made before privileges are dropped and before threads are.

        Args:
            book: manifests, which name containers and Pods.
            netns: the namespace whose links are looked at; None is our own.
            user: whom the child becomes.
            known: names by container id that are known already.
        """
        names = dict(known or {})
        # (capabilities are a thread's own: `inside` makes one, and it drops there)
        self._child = Child(lambda out: inside(netns, lambda: _look_out(out, book, user, names)))
        self._socket = self._child.socket
        self._socket.setblocking(False)
        self._data = bytearray()

    def news(self) -> NodeView | None:
        """Return the latest view that came since the last call; None where none did."""
        with suppress(OSError):
            while data := self._socket.recv(TURN_BYTES):
                self._data += data
        *whole, rest = self._data.split(b"\n")
        self._data = bytearray() if len(rest) > MOST_BYTES else rest
        if not whole:
            return None
        return msgspec.json.decode(bytes(whole[-1]), type=NodeView)

    def close(self) -> None:
        """Stop looking; a second call does nothing."""
        self._child.end(0)


def _look_out(out: socket.socket, book: AddressBook, user: str, known: dict[str, Name]) -> None:
    watch = LinkWatch()
    drop(user, NEEDED)
    due: list[float] = []
    sent = b""
    while True:
        now = time.monotonic()
        wait = max(0.0, min(due) - now) if due else None
        heard: list[LinkWatch | socket.socket] = [watch, out]
        ready, _, _ = select.select(heard, [], [], wait)
        if out in ready:  # nothing is ever said to us: it is the end
            return
        now = time.monotonic()
        if watch in ready and watch.changed():
            due = [now + after for after in (SETTLE_S, *AGAIN_S)] if not due or min(due) > now + SETTLE_S else due
            continue
        if due and min(due) <= now:
            due = [moment for moment in due if moment > now]
            view = look(book, crictl=False, known=known)
            known = view.names()
            said = msgspec.json.encode(view)
            if said != sent:
                sent = said
                out.sendall(said + b"\n")
