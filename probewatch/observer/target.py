"""One probed address: sorts what reaches it into kubelet attempts and the rest, and runs its lanes.

A target waits until it knows two things before it assigns anything: that a source is a kubelet (probes.sources), and
which probes to expect (a declared Pod, or a guess from the first attempts). With a node's address and a Pod known from
the start nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection, Unresolved
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.model.prediction import Manual
from probewatch.model.spec import Handler, PodSpec, ProbeSpec
from probewatch.probes.cadence import SECOND, on_grid
from probewatch.probes.forms import Ask, Form
from probewatch.probes.inference import Guess, guess
from probewatch.probes.runs import Joiner, Run, attempt_start, fits

from .lane import MID_LIFE, Lane, Step

WAITING: Final = 2_000
"""Runs of one source kept until it is known who it is; then the last word is said with what there is."""
ASKED: Final = 16
"""Runs of one source after which it is asked whether they are what a spec declares."""
TIE_AFTER: Final = 16
"""Runs after which a manifest that tells no address is looked for, early; what is left open then is tried again at the end."""
GUESS_AFTER: Final = 200
"""Runs after which an undeclared target's probes are guessed."""
RESOLUTION_NS: Final = 1_070_000_000
"""The kernel gives a neighbour up this long after its last request (three requests, 1 s apart)."""


@dataclass(slots=True)
class Placed:
    """A lane with what it was planned from."""

    lane: Lane
    pod: PodSpec | None
    guesses: tuple[Guess, ...] = ()
    named_by: str | None = None
    signs: tuple[str, ...] = ()
    """Signs of a beginning that are no attempts."""


class Target:
    """Everything that reaches one address."""

    def __init__(self, address: str, book: AddressBook, guests: Sequence[PodSpec] = ()) -> None:
        self.address = address
        self.book = book
        self.guests = guests
        """Pods of other addresses with a probe that names this one as its host."""
        self.placed: list[Placed] = []
        self.strangers: list[Run] = []
        """Runs of others, and of a kubelet's address that fit no probe."""
        self.first_seen_ns: int | None = None
        """When the target itself first appeared (announced its address, or sent anything)."""
        self._heap: list[tuple[int, int, Exchange | Unresolved]] = []
        self._serial = 0
        self._joiners: dict[str, Joiner] = {}
        self._undecided: dict[str, list[Run]] = {}
        self._waiting: list[tuple[Run, Sequence[int]]] = []
        self._plans: dict[int, list[Planned]] = {}
        self._loose: Placed | None = None
        """The lane of runs that no Pod's address explains."""

    # In: connections in any order.

    def take(self, item: Exchange | Unresolved) -> None:
        """Queue a connection."""
        start = item.start if isinstance(item, Unresolved) else attempt_start(item)
        self._serial += 1
        heappush(self._heap, (start.ns, self._serial, item))

    def revise(self, connection: Connection, read: Callable[[Connection], Exchange]) -> None:
        """Replace a queued connection by its newer snapshot."""
        for index, (start, serial, item) in enumerate(self._heap):
            if isinstance(item, Exchange) and item.connection.id == connection.id:
                self._heap[index] = (start, serial, read(connection))
                return

    def release(self, now_ns: int, unripe_ns: int | None, patience_ns: int) -> list[Run]:
        """Return the runs that are complete and in order: nothing that began earlier is still open.

        After `patience_ns` whatever is known of a connection must do: the tracker has handed it out by then.
        """
        out: list[Run] = []
        while self._heap:
            start, _, item = self._heap[0]
            if now_ns - start < patience_ns and ((unripe_ns is not None and unripe_ns < start) or not _over(item)):
                break
            heappop(self._heap)
            out += self._join(item)
        # What is still open, or still queued, may be the follow-up of what was joined.
        until = min([now_ns, *(start for start, _, _ in self._heap[:1]), *([] if unripe_ns is None else [unripe_ns])])
        for joiner in self._joiners.values():
            out += joiner.advance(until)
        return sorted(out, key=lambda run: run.start.ns)

    def drain(self) -> list[Run]:
        """Return everything left, in order."""
        out: list[Run] = []
        while self._heap:
            out += self._join(heappop(self._heap)[2])
        for joiner in self._joiners.values():
            out += joiner.finish()
        return sorted(out, key=lambda run: run.start.ns)

    def _join(self, item: Exchange | Unresolved) -> list[Run]:
        client = item.client if isinstance(item, Unresolved) else item.connection.client
        joiner = self._joiners.get(client)
        if joiner is None:
            joiner = self._joiners[client] = Joiner()
        return joiner.feed(item)

    # Who: runs of a source that is not decided wait here.

    def hold(self, run: Run) -> int:
        """Keep a run of a source that may yet turn out to be a kubelet; return how many are kept."""
        held = self._undecided.setdefault(run.client, [])
        held.append(run)
        return len(held)

    def held(self, client: str) -> list[Run]:
        """Take back the runs kept for a source, also those already taken for a stranger's."""
        mine = [run for run in self.strangers if run.client == client and run.form.kubelet]
        if mine:
            self.strangers = [run for run in self.strangers if run.client != client or not run.form.kubelet]
        return mine + self._undecided.pop(client, [])

    def undecided(self) -> dict[str, list[Run]]:
        """Return the runs kept, by source."""
        return self._undecided

    # What: attempts of a kubelet.

    @property
    def has_kubelet(self) -> bool:
        """Whether a proven kubelet probes it."""
        return bool(self.placed or self._waiting)

    def attempt(self, run: Run, elsewhere: Sequence[int], context: Context) -> None:
        """Take a kubelet's run, in the order of starts."""
        if not run.form.kubelet:
            self.strangers.append(run)
            return
        placed = self._declared_for(run, context) or self._lane_for(run)
        if placed is None:
            self._waiting.append((run, elsewhere))
            enough = (
                len(self._waiting) == TIE_AFTER
                and tie([one for one, _ in self._waiting], self.book.unplaced) is not None
            )
            if enough or len(self._waiting) >= GUESS_AFTER:
                self.plan_rest(context)
        else:
            self._feed(placed, run, elsewhere, context)

    def _declared_for(self, run: Run, context: Context) -> Placed | None:
        """Return the lane of the Pod that is probed here at this time; of several (hostNetwork) the one whose probes fit."""
        pods = self.declared(run.start.ns)
        if not pods:
            return None
        pod = next((pod for pod in pods if self.declares(run, pod) is not None), pods[0])
        for placed in self.placed:
            if placed.pod is pod:
                return placed
        return self._place(
            self._plan(pod), pod, (), "status.podIP" if pod.declared_by == "--spec" else pod.declared_by, [run], context
        )

    def declared(self, ns: int) -> list[PodSpec]:
        """Return the Pods with probes that are sent to this address at that time: its own, then its guests."""
        own = self.book.pods_at(self.address, ns)
        return [pod for pod in (*own, *self.guests) if self._plan(pod)]

    def declares(self, run: Run, pod: PodSpec) -> float | None:
        """Return how well a run fits the best of a Pod's probes here; None where it fits none."""
        return min((fit for planned in self._plan(pod) if (fit := fits(run, planned.spec)) is not None), default=None)

    def _plan(self, pod: PodSpec) -> list[Planned]:
        """Return the probes of a Pod that its kubelet sends to this address."""
        known = self._plans.get(id(pod))
        if known is None:
            own = (None, "", self.address) if self.address in pod.addresses or not pod.addresses else (self.address,)
            known = self._plans[id(pod)] = [
                Planned(spec, index)
                for index, container in enumerate(pod.containers)
                for spec in container.probes
                if spec.handler is not Handler.EXEC and spec.host in own
            ]
        return known

    def plan_rest(self, context: Context) -> None:
        """Plan for the runs that wait, from a manifest that tells no address, or from the runs themselves."""
        if not self._waiting:
            return
        runs = [run for run, _ in self._waiting]
        tied = tie(runs, self.book.unplaced)
        if tied is not None:
            pod, named_by = tied
            placed = self._place(self._plan(pod), pod, (), named_by, runs, context)
        else:
            guesses = tuple(guess(runs))
            if not guesses:
                self.strangers += runs
                self._waiting = []
                return
            placed = self._place([Planned(g.spec, 0) for g in guesses], None, guesses, None, runs, context)
        self._loose = placed
        waiting, self._waiting = self._waiting, []
        for run, elsewhere in waiting:
            self._feed(placed, run, elsewhere, context)

    def _place(
        self,
        plan: list[Planned],
        pod: PodSpec | None,
        guesses: tuple[Guess, ...],
        named_by: str | None,
        runs: Sequence[Run],
        context: Context,
    ) -> Placed:
        version = context.version
        cost, signs = beginning(runs, pod, self.first_seen_ns, context)
        lane = Lane(
            plan,
            begin_cost=cost,
            begin_ns=context.first_frame_ns,
            resets=version is None or version >= (1, 31),
            keeps_ready=version is None or version >= (1, 35),
        )
        self.placed.append(Placed(lane, pod, guesses, named_by, signs))
        return self.placed[-1]

    def _lane_for(self, run: Run) -> Placed | None:
        """Return the lane of what no address declares, once it is planned."""
        if self._loose is not None and run.unresolved is not None and self.placed:
            return self.placed[-1]
        return self._loose

    def _feed(self, placed: Placed, run: Run, elsewhere: Sequence[int], context: Context) -> None:
        placed.lane.feed(run, elsewhere=elsewhere, seen_until_ns=context.seen_until_ns)
        if run.unresolved is not None:
            for implied in implied_runs(run, placed.lane):
                placed.lane.feed(implied, elsewhere=elsewhere, seen_until_ns=context.seen_until_ns)

    def finish(self, context: Context) -> list[tuple[Placed, list[Step]]]:
        """Close all lanes; runs that no probe of a lane explains get a lane of their own when they look like a probe."""
        self.plan_rest(context)
        out = []
        for placed in list(self.placed):
            steps = placed.lane.finish()
            out.append((placed, [step for step in steps if step.reading is not None]))
            self.strangers += [step.run for step in steps if step.reading is None]
        return out


@dataclass(slots=True)
class Context:
    """What a target must know of the world around it."""

    version: tuple[int, int] | None = None
    """The kubelet's version."""
    first_frame_ns: int = 0
    seen_until_ns: int | None = None
    """Where the capture ends, once that is known."""


def beginning(
    runs: Sequence[Run], pod: PodSpec | None, appeared_ns: int | None, context: Context
) -> tuple[float, tuple[str, ...]]:
    """Weigh the signs, other than attempts, of containers that begin here (negative) or began before; name those for."""
    cost = MID_LIFE
    signs: list[str] = []
    first = runs[0] if runs else None
    if first is None or not first.tries:
        return cost, ()
    connection = first.tries[0][0].connection
    if connection.neighbour is not None:
        cost -= 2.5
        signs.append("its address had to be resolved first")
    if appeared_ns is not None and first.start.ns - 60 * SECOND <= appeared_ns <= first.start.ns:
        cost -= 3.0
        signs.append("its address was announced just before")
    if first.form.ask is Ask.NOTHING and connection.resp.rst is not None:
        cost -= 1.2
    starts = [start.started_ns for container in (pod.containers if pod else ()) for start in container.starts]
    if starts:
        near = min(starts, key=lambda ns: abs(ns - first.start.ns))
        if near >= context.first_frame_ns - SECOND:
            cost -= 6.0
            signs.append("the Pod's status says so")
        elif all(ns < context.first_frame_ns - 60 * SECOND for ns in starts):
            cost += 6.0
    periods = [spec.period_s for container in (pod.containers if pod else ()) for spec in container.probes] or [10]
    silent = first.start.ns - context.first_frame_ns
    if silent > (max(periods) + 1) * SECOND:
        cost -= 3.0
        signs.append(f"nothing reached it in the first {silent / SECOND:.0f} s of the capture")
    return cost, tuple(signs)


def implied_runs(run: Run, lane: Lane) -> list[Run]:
    """Make the attempts that sent nothing because an address resolution was already failing (DESIGN section 6, implied attempts).

    Only ticks of a grid that is known and unbroken count: not after a decision that pokes the worker, for a poke moves
    the grid.
    """
    unresolved = run.unresolved
    assert unresolved is not None
    if unresolved.resolved is not None:
        return []
    until = unresolved.end.ns + RESOLUTION_NS
    out = []
    for prediction in lane.pod().predict():
        if prediction.tick_ns is None or prediction.last_start_ns is None or prediction.silence:
            continue
        if prediction.manual is Manual.UNSEEN:
            continue  # Perhaps this attempt took Ready away, and a poke that cannot be seen moved the grid.
        if prediction.poked_ns is not None:
            continue
        tick = prediction.tick_ns
        while tick <= max(run.start.ns + 50_000_000, prediction.last_start_ns + 50_000_000):
            tick += prediction.period_ns
        while tick < until:
            before = [mark for mark in unresolved.requests if mark.ns <= tick]
            mark = Mark(tick, before[-1].file, before[-1].number) if before else unresolved.start._replace(ns=tick)
            out.append(
                Run(
                    client=run.client,
                    server=run.server,
                    form=Form(Ask.NOTHING, 0, kubelet=True),
                    start=mark,
                    unresolved=unresolved,
                    implied=True,
                )
            )
            tick += prediction.period_ns
            if _would_decide(lane, prediction.worker, len(out)):
                break
    return sorted(out, key=lambda implied: implied.start.ns)


def _would_decide(lane: Lane, worker: int, more: int) -> bool:
    """Tell whether so many failures more reach a readiness threshold: the poke that follows breaks the grid."""
    pod = lane.pod()
    spec = pod.plan[worker].spec
    state = pod.workers[worker]
    run = state.result_run if state.last_result == "Failure" else 0
    return run < spec.failure_threshold <= run + more


def tie(runs: Sequence[Run], unplaced: Sequence[PodSpec]) -> tuple[PodSpec, str] | None:
    """Find the one manifest without an address whose probes are what these runs ask for; None where none, or two, fit."""
    best: list[tuple[float, PodSpec]] = []
    for pod in unplaced:
        specs = [spec for container in pod.containers for spec in container.probes]
        fitting = [run for run in runs if any((fit := fits(run, spec)) is not None and fit < 2 for spec in specs)]
        if fitting and plausible(fitting, specs):
            best.append((len(fitting) / len(runs), pod))
    if not best:
        return None
    best.sort(key=lambda entry: -entry[0])
    if len(best) > 1 and best[1][0] > best[0][0] - 0.1:
        return None
    telling = any(run.form.path for run in runs)
    return best[0][1], "port, handler and path" if telling else "port and handler"


def plausible(runs: Sequence[Run], specs: Sequence[ProbeSpec]) -> bool:
    """Tell whether the starts keep the period of one of these probes, where there are enough to say."""
    starts = [run.start.ns for run in runs]
    if len(starts) < 4:
        return True
    return on_grid(starts, [run.last_ns() for run in runs]) >= 0.5 or any(
        spec.period_s * SECOND > starts[-1] - starts[0] for spec in specs
    )


def _over(item: Exchange | Unresolved) -> bool:
    """Tell whether nothing can change the verdict on a connection any more."""
    if isinstance(item, Unresolved):
        return True
    connection = item.connection
    orig, resp = connection.orig, connection.resp
    return (
        connection.final
        or any(mark is not None for mark in (orig.fin, orig.rst, resp.rst))
        or connection.icmp is not None
    )
