"""What reaches one target and waits for its turn: connections come in any order, and leave as runs in the order of their starts.

A connection's turn has come when nothing that began before it may still be handed out, and when nothing can change what came of it;
or when it has waited long enough. Where too many wait, the oldest go with what is known of them.

Whoever watches cannot wait for that: at a node's address one probe that hangs holds up those of all its hostNetwork Pods.
`ahead` tells what is known behind it, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from probewatch.model.connection import Connection, Unresolved
from probewatch.model.exchange import Exchange
from probewatch.probes.runs import Joiner, Run, attempt_start


@dataclass(slots=True, order=True)
class _Queued:
    """A connection that waits for its turn."""

    start_ns: int
    serial: int
    item: Exchange | Unresolved | Run = field(compare=False)


class Queue:
    """Connections of one target that wait, and the runs that may yet be joined."""

    __slots__ = ("_heap", "_joiners", "_queued", "_rests_until", "_serial")

    def __init__(self) -> None:
        self._heap: list[_Queued] = []
        self._queued: dict[int, _Queued] = {}
        """Queued connections by their id."""
        self._serial = 0
        self._joiners: dict[str, Joiner] = {}
        """By client; those where something waits."""
        self._rests_until = -1
        """The moment (ns) up to which none of them has anything to hand on."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap)

    def take(self, item: Exchange | Unresolved | Run) -> None:
        """Queue a connection, or a command that was run."""
        start = attempt_start(item) if isinstance(item, Exchange) else item.start
        self._serial += 1
        entry = _Queued(start.ns, self._serial, item)
        heappush(self._heap, entry)
        if isinstance(item, Exchange):
            self._queued[item.connection.id] = entry

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be handed on."""
        return not self._heap and not self._joiners

    def revise(self, connection: Connection, read: Callable[[], Exchange]) -> bool:
        """Replace a queued connection by its newer snapshot; return whether it is queued."""
        entry = self._queued.get(connection.id)
        if entry is not None:
            entry.item = read()
        return entry is not None

    def _pop(self) -> Exchange | Unresolved | Run:
        item = heappop(self._heap).item
        if isinstance(item, Exchange):
            self._queued.pop(item.connection.id, None)
        return item

    def release(self, now_ns: int, unripe_ns: int | None, patience_ns: int, most: int | None = None) -> list[Run]:
        """Return the runs that are complete and in order: nothing that began earlier is still open.

        After `patience_ns` whatever is known of a connection must do: the tracker has handed it out by then. So it must for
        the oldest where more than `most` wait.
        """
        out: list[Run] = []
        while self._heap:
            start, item = self._heap[0].start_ns, self._heap[0].item
            roomy = most is None or len(self._heap) <= most
            if (
                roomy
                and now_ns - start < patience_ns
                and ((unripe_ns is not None and unripe_ns < start) or not _over(item))
            ):
                break
            out += self._join(self._pop())
        # What is still open, or still queued, may be the follow-up of what was joined.
        until = min(
            [now_ns, *(entry.start_ns for entry in self._heap[:1]), *([] if unripe_ns is None else [unripe_ns])]
        )
        if until > self._rests_until:
            out += self._advance(until)
        return sorted(out, key=lambda run: run.start.ns)

    def _advance(self, until: int) -> list[Run]:
        """Return the runs that nothing can join after this moment."""
        out: list[Run] = []
        rests: list[int] = []
        for client, joiner in list(self._joiners.items()):
            out += joiner.advance(until)
            rests_until = joiner.rests_until
            if rests_until is None:
                del self._joiners[client]
            else:
                rests.append(rests_until)
        self._rests_until = min(rests, default=-1)
        return out

    def ahead(self, given_up: Callable[[Connection], bool]) -> list[Run]:
        """Return the complete runs that wait behind something that is still open, in order; they go on waiting.

        Complete is also what nothing ended, where `given_up` says that its checker did not wait so long.
        """
        known: list[Run] = []
        joined: dict[str, list[Exchange | Unresolved]] = {client: [] for client in self._joiners}
        for item in (entry.item for entry in sorted(self._heap)):
            if not _over(item) and not (isinstance(item, Exchange) and given_up(item.connection)):
                continue
            if isinstance(item, Run):
                known.append(item)
            else:
                client = item.client if isinstance(item, Unresolved) else item.connection.client
                joined.setdefault(client, []).append(item)
        for client, items in joined.items():
            known += (self._joiners.get(client) or Joiner()).outlook(items)
        return sorted(known, key=lambda run: run.start.ns)

    def drain(self) -> list[Run]:
        """Return everything left, in order."""
        out: list[Run] = []
        while self._heap:
            out += self._join(self._pop())
        for joiner in self._joiners.values():
            out += joiner.finish()
        return sorted(out, key=lambda run: run.start.ns)

    def _join(self, item: Exchange | Unresolved | Run) -> list[Run]:
        if isinstance(item, Run):
            return [item]
        client = item.client if isinstance(item, Unresolved) else item.connection.client
        joiner = self._joiners.get(client)
        if joiner is None:
            joiner = self._joiners[client] = Joiner()
        self._rests_until = -1
        return joiner.feed(item)


def _over(item: Exchange | Unresolved | Run) -> bool:
    """Tell whether nothing can change the verdict on a connection any more."""
    if not isinstance(item, Exchange):
        return True
    connection = item.connection
    orig, resp = connection.orig, connection.resp
    return (
        connection.final
        or any(mark is not None for mark in (orig.fin, orig.rst, resp.rst))
        or connection.icmp is not None
    )
