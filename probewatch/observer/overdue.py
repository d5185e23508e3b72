"""Attempts that are overdue while time passes: what a kubelet that is down does not send is the only sign of it.

Theory of operation. Each worker's next attempt is due at a tick of its grid (`Prediction.due_ns`), unless it is expected to be
silent, its container was told to die, or it has not run in a new one yet (initialDelaySeconds). It is overdue once its timeout is
over, or, where something is open at its address, even an attempt that nobody answered would have been told, and MARGIN or half
a period more has passed: a kubelet under load is late by less. Each silence is told once. Where the checker has probed nobody
since then it may be down; that, too, is told once, whatever else of it becomes overdue later. What was due when frames were lost
may have come: the wait begins anew behind that.

Limitations. A container that waits to be started again (CrashLoopBackOff), a Pod that was deleted, a kubelet that is down and a
firewall on its node look alike as long as nothing comes; what speaks for one of them is told: that the container was restarted
before, or was gone, or that the interface of the Pod is gone. Of a Pod whose end the address book knows nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from probewatch.model.prediction import Prediction
from probewatch.model.units import SECOND, briefly

from .lane import Lane
from .losses import Interval
from .target import Placed

MARGIN: Final = 1 * SECOND
"""What an attempt may be late, at least, beyond the moment at which it would have been told."""
LINGERS: Final = 1 * SECOND
"""How long closing may take beyond the timeout (SO_LINGER)."""
EVERY: Final = SECOND
"""Packet time between two looks."""

Key = tuple[str, str, int]
"""Which probe, as `preview.Glimpse` has it."""


class LinkGone(NamedTuple):
    """An interface of this node that has gone."""

    name: str
    ns: int
    """When that was seen."""


class Waiting(NamedTuple):
    """A lane whose workers may be overdue."""

    key: tuple[str, str]
    address: str
    number: int | None
    """Its place among the target's lanes; None where it is only supposed."""
    placed: Placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """An attempt that should have come."""

    key: Key
    id: str
    """Under which the probe was told; empty where it was not."""
    checker: str
    last_ns: int
    """When the attempt before it began."""
    due_ns: int
    now_ns: int
    period_ns: int
    refused: bool
    """The attempt before it was refused: its container may have ended."""
    restarted_ns: int | None
    """When the first attempt at its latest container came, if that is not the first of the capture."""
    gone: str
    """The interface over which its Pod was reached, if that has gone; else empty."""
    beside: bool
    """Other probes of its Pod go on."""
    alone: bool
    """The checker has probed nobody since it was due."""
    again: bool
    """... which was told before."""

    @property
    def expected(self) -> int:
        """Return how many attempts were due by now."""
        return 1 + (self.now_ns - self.due_ns) // self.period_ns


class Silences:
    """Tells each silence once."""

    def __init__(self) -> None:
        self._told: dict[Key, int] = {}
        """Probe -> its last attempt before the silence that was told."""
        self._down: dict[str, int] = {}
        """Checker -> its last attempt at anybody before the silence that was told."""
        self._look_ns = 0

    def look(
        self,
        lanes: Iterable[Waiting],
        now_ns: int,
        untold: Callable[[str], int | None],
        losses: Sequence[Interval] = (),
        links: Mapping[int, LinkGone] = MappingProxyType({}),
        elsewhere: Mapping[str, int] = MappingProxyType({}),
    ) -> list[tuple[Waiting, Overdue]]:
        """Return what has become overdue.

        `untold` says how long an attempt at an address may be under way, None where one is; `losses` are when frames were lost,
        `links` the interfaces that have gone, by their index, `elsewhere` when each checker's latest attempt at anybody began.
        """
        if now_ns < self._look_ns:
            return []
        self._look_ns = now_ns + EVERY
        heard = dict(elsewhere)
        late: list[tuple[Waiting, Prediction, int]] = []
        known = list(lanes)
        for one in known:
            last = _heard(one.placed.lane)
            heard[one.placed.checker] = max(heard.get(one.placed.checker, 0), last)
            late += [(one, *found) for found in _late(one, now_ns, untold, losses)]
        self._forget({one.key for one in known})
        out = []
        for one, prediction, due_ns in late:
            key, last_ns = (*one.key, prediction.worker), prediction.last_start_ns
            assert last_ns is not None
            if self._told.get(key) == last_ns:
                continue
            self._told[key] = last_ns
            checker = one.placed.checker
            alone = heard[checker] < due_ns
            again = alone and self._down.get(checker) == heard[checker]
            if alone:
                self._down[checker] = heard[checker]
            out.append(
                (
                    one,
                    Overdue(
                        key=key,
                        id="",
                        checker=checker,
                        last_ns=last_ns,
                        due_ns=due_ns,
                        now_ns=now_ns,
                        period_ns=prediction.period_ns,
                        refused=prediction.refused,
                        restarted_ns=_restarted(one.placed.lane, prediction.worker),
                        gone=link_gone(one.placed.lane, links).name,
                        beside=_heard(one.placed.lane) > due_ns,
                        alone=alone,
                        again=again,
                    ),
                )
            )
        return out

    def _forget(self, known: set[tuple[str, str]]) -> None:
        """Forget lanes that are no more."""
        if len(self._told) > 2 * len(known) + 1024:
            self._told = {key: ns for key, ns in self._told.items() if key[:2] in known}


def _heard(lane: Lane) -> int:
    return max((ticker.last_start_ns or 0 for ticker in lane.pod().tickers), default=0)


def _restarted(lane: Lane, worker: int) -> int | None:
    """Return when a worker's latest container was first probed, if another was before it."""
    steps = [step for step in lane.so_far() if step.reading is not None]
    own = [lane.plan[step.reading.worker].container == lane.plan[worker].container for step in steps if step.reading]
    return max(
        (step.run.start.ns for step, mine in zip(steps[1:], own[1:], strict=True) if mine and step.renewed),
        default=None,
    )


def link_gone(lane: Lane, links: Mapping[int, LinkGone]) -> LinkGone:
    """Return the interface that the latest attempt passed, and that has gone; without a name where none has."""
    latest = lane.latest()
    if latest is None or not links:
        return LinkGone("", 0)
    passed = {one.ifindex for _, exchange in latest.run.legs() for one in exchange.connection.sightings}
    return next((links[index] for index in sorted(passed & links.keys())), LinkGone("", 0))


def gone_since(lane: Lane, links: Mapping[int, LinkGone], last_ns: int) -> str:
    """Say that the interface which a lane's attempts passed has gone since the last of them; empty where none has."""
    gone = link_gone(lane, links)
    when = briefly(max(0, gone.ns - last_ns))
    what = f"the Pod's interface {gone.name} was gone {when} after its last attempt: it was deleted, or its network taken down"
    return what if gone.name else ""


def _late(
    one: Waiting, now_ns: int, untold: Callable[[str], int | None], losses: Sequence[Interval]
) -> list[tuple[Prediction, int]]:
    """Return the workers that are overdue, with when they were due."""
    found = []
    pod = one.placed.lane.pod()
    for worker, (planned, ticker) in enumerate(zip(pod.plan, pod.tickers, strict=True)):
        period_ns = planned.spec.period_s * SECOND
        slack_ns = planned.spec.timeout_s * SECOND + LINGERS + max(MARGIN, period_ns // 2)
        last_ns = ticker.last_start_ns
        if last_ns is None or now_ns - last_ns <= period_ns + slack_ns:
            continue  # (what a prediction costs is for the few)
        under_way = untold(one.address)
        if under_way is None:
            return []
        slack_ns = max(slack_ns, under_way + max(MARGIN, period_ns // 2))
        prediction = pod.prediction(worker)
        due_ns = prediction.due_ns()
        if due_ns is None or not prediction.runs or prediction.dying:
            continue
        for begun_ns, ended_ns in losses:
            if begun_ns <= due_ns + slack_ns and due_ns <= ended_ns:
                due_ns += ((ended_ns - due_ns) // period_ns + 1) * period_ns
        if now_ns - due_ns > slack_ns:
            found.append((prediction, due_ns))
    return found
