"""Address resolution that nobody answers: dials that never become a SYN.

Theory of operation
-------------------
Before a node can send a SYN to a pod it must know the pod's link-layer address (ARP, RFC 826; Neighbour Discovery,
RFC 4861 section 7.2). While that is unknown Linux sends up to three multicast requests one second apart
(mcast_solicit, retrans_time), queues the SYN, and fails every waiting connect() with "no route to host" one second
after the last. The kubelet's dials, as its own record beside a capture shows them:

- the first dial after a failure starts a round: its request leaves within 0.2 ms of connect();
- a dial while a round is under way sends nothing of its own: it waits for the same answer and fails with the others;
- an answer releases the SYN of the oldest waiting dial within microseconds: its attempt began with the round's first
  request.

`Resolver` follows one round for each (asker, target). A round ends with its answer, with a SYN from asker to target,
with a request after its `SOLICITATIONS`th, or after a pause of `PAUSE`. If a SYN came, the round's first request belongs to
that connection (`claim`). Else it becomes an `Unresolved`, unless nobody can have waited long:

- confirmation of a known neighbour is unicast, or answered at once with no SYN behind it;
- one single request and then silence was answered where the capture does not look: unanswered it would have been sent
  again a second later.

Limitations
-----------
A multicast request is flooded to every port of a bridge, but the answer goes to the asker only. So on a port that the
target is not behind an answer is never seen, and only the last rule keeps such rounds out. How many dials waited in one
round is not on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from probewatch.model.connection import SOLICITATIONS, Unresolved
from probewatch.model.frame import Mark
from probewatch.model.units import MS
from probewatch.wire.packets import Neighbour

PAUSE: Final = 1_500 * MS
"""A request this long (ns) after the one before starts a new round: Linux leaves 1 s between the requests of one."""
SAME: Final = 50_000_000
"""Two requests within this are one, seen at several ports or vantage points."""
RELEASE: Final = 20_000_000
"""A SYN so soon after the answer was waiting for it."""
REACH: Final = 4_000_000_000
"""A SYN later than this after the first request did not wait for it: three requests and the last second."""
_EVERYBODY: Final = frozenset({"", "255.255.255.255", "ff02::1"})
"""Whom an announcement answers, beside its own address."""
_NOBODY: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104


@dataclass(slots=True)
class _Round:
    client: str
    server: str
    requests: list[Mark]
    touched: int
    """Clock at its last request or answer."""
    mac: bytes
    resolved: Mark | None = None

    def value(self) -> Unresolved:
        requests = self.requests
        return Unresolved(
            client=self.client,
            server=self.server,
            start=requests[0],
            end=requests[-1],
            requests=tuple(requests),
            resolved=self.resolved,
            mac=self.mac,
        )


class Resolver:
    """Follows rounds of requests; bounded by `rounds`."""

    __slots__ = ("_open", "done", "rounds")

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self._open: dict[tuple[str, str], _Round] = {}
        self.done: list[Unresolved] = []
        """Rounds that ended in vain; the owner takes and clears them."""

    def __len__(self) -> int:
        return len(self._open)

    def request(self, n: Neighbour, clock: int) -> None:
        """Take in a who-has or Neighbour Solicitation."""
        if n.asker in _NOBODY or n.asker == n.target or _unicast(n):
            return
        key = (n.asker, n.target)
        current = self._open.get(key)
        if current is not None:
            apart = n.mark.ns - current.requests[-1].ns
            if abs(apart) <= SAME:
                return
            if current.resolved is None and apart <= PAUSE and len(current.requests) < SOLICITATIONS:
                current.requests.append(n.mark)
                current.touched = clock
                return
            self._end(key, silent=apart > PAUSE)
        elif len(self._open) >= self.rounds:
            # Whether a single request was answered where nobody looks is not known before it should be sent again.
            self._end(next(iter(self._open)), silent=True)
        self._open[key] = _Round(n.asker, n.target, [n.mark], clock, n.mac)

    def reply(self, n: Neighbour, clock: int) -> None:
        """Take in an is-at or Neighbour Advertisement."""
        if not self._open:
            return
        current = self._open.get((n.asker, n.target))
        if current is not None:
            answered = [current]
        elif n.asker == n.target or n.asker in _EVERYBODY:
            answered = [r for r in self._open.values() if r.server == n.target]
        else:
            return
        for r in answered:
            if r.resolved is None:
                r.resolved = n.mark
                r.touched = clock

    def claim(self, client: str, server: str, ns: int) -> Mark | None:
        """Return the first request that a SYN seen at `ns` had to wait for, and end its round."""
        current = self._open.pop((client, server), None)
        if current is None:
            return None
        first, answer = current.requests[0], current.resolved
        if ns - first.ns > REACH or (answer is not None and ns - answer.ns > RELEASE):
            self._close(current, silent=True)
            return None
        return first

    def expire(self, clock: int) -> None:
        """End the rounds that fell silent."""
        for key in [k for k, r in self._open.items() if clock - r.touched > (PAUSE if r.resolved is None else RELEASE)]:
            self._end(key, silent=True)

    def finish(self) -> None:
        """End all: the capture ends before it could be seen what became of them."""
        for key in list(self._open):
            self._end(key)

    def earliest(self, server: str) -> int | None:
        """Return the start of the oldest round that asks for `server`, or None."""
        return min((r.requests[0].ns for r in self._open.values() if r.server == server), default=None)

    @property
    def servers(self) -> Iterable[str]:
        """Whom the rounds under way ask for."""
        return [server for _, server in self._open]

    def _end(self, key: tuple[str, str], *, silent: bool = False) -> None:
        self._close(self._open.pop(key), silent=silent)

    def _close(self, ended: _Round, *, silent: bool) -> None:
        if len(ended.requests) > 1 or (ended.resolved is None and not silent):
            self.done.append(ended.value())


def _unicast(n: Neighbour) -> bool:
    """Whether a request went to one station only: a routine confirmation (RFC 4861 section 7.3.1: unreachability detection)."""
    mac = n.lane.destination_mac
    return bool(mac) and not mac[0] & 1
