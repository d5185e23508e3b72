"""A container's recorded life once more, its probes under other settings.

Theory of operation. Each recorded attempt is a sample of the server; `supposed` says what it would have brought under
another timeout. The samples are fed to the kubelet's own counting (`decisions.worker.count`), all workers of a
container in the order of time, twice: in the best case everything that is not known succeeds, in the worst case it
fails. A worker that is given more successes is never less ready, so the truth lies between the two.

* Period unchanged: each attempt is taken to have been made when it was. Exceptions: the extra probe that followed a
  NotReady is left out where that NotReady is, as is a poke while Ready; what a startup probe gates or a hold silences
  is not sent, and what it no longer does is unknown.
* Another period: ticks fall on a grid from a recorded attempt on. A tick close to a recorded attempt
  (`feed.NEAR`) takes its result; any other is unknown. Where the grid begins is not known under another period either, so
  every recorded attempt of the first period is tried (`phases`).
* Another initialDelaySeconds: attempts before it are dropped, ticks from it to the first recorded attempt are unknown.
  When the container started is known only within bounds, from the declared delay; in between both is possible.
* A restart ends the evidence: after one that only the replay has, nobody knows what the new container would have
  answered; after one that only the recording has, what answered was a new container. Restarts by the same attempt are
  the same. What comes from outside (a crash, a new kubelet, time not captured) happens as it did.

Limitations. The extra probe after a NotReady that only the replay has is not made up: it would come within milliseconds
of the failure, and would end that NotReady if it succeeded. Pokes by pod syncs that the recording had no reason to show
are not made up either. A grid that moves because an extra probe is left out is not followed while the period is the
recorded one. An attempt that outlasts a new period still counts as one tick. Another period is tried only from the first
recorded attempt of a stretch to one recorded period after its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from probewatch.decisions.worker import INITIAL, STATES, Result, Worker, count
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Attempt, Cause, Decision, DecisionKind, Outcome, Probe, Trigger
from probewatch.model.units import SECOND

from .container import Break, Container, Stretch, decided
from .feed import Feed, Slot, anchors
from .supposed import Supposed, suppose

MOST_UNSEEN: Final = 500_000
"""Unknown ticks of one replay; where more would be needed the replay ends."""
LAG_NS: Final = 2 * SECOND
"""The kubelet notices a new container this late at most (PLEG relists every second, then a pod sync)."""


class Case(StrEnum):
    """How what is not known is taken."""

    BEST = "best"
    WORST = "worst"


class End(StrEnum):
    """Why a replay ends before the recording does."""

    NEW_RESTART = "new-restart"
    """The container would have been restarted, and what the new one would have answered is not recorded."""
    OLD_RESTART = "old-restart"
    """It was restarted, and would not have been: what answered then was a new container."""
    TOO_LONG = "too-long"
    """More ticks without a recorded attempt than are followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one probe's worker would have decided in one case."""

    initial_state: str
    decisions: tuple[Decision, ...]
    """`attempt` is 0 where a tick that was not recorded decides."""
    final_state: str
    known_until_ns: int | None
    """Where the recording stops being evidence; None where it is to its end."""
    end: End | None
    unready_ns: int
    """Readiness: time not Ready, the start of a container included."""
    unknown: int
    """Results that had to be supposed."""


def phases(container: Container, specs: Sequence[ProbeSpec]) -> list[int]:
    """Return for each probe at how many places the grid of its new period may begin; 1 where the period stays."""
    return [
        max((len(anchors(container, stretch, index, spec)) for stretch in container.stretches), default=1) or 1
        for index, spec in enumerate(specs)
    ]


def replay(container: Container, specs: Sequence[ProbeSpec], case: Case, phase: Sequence[int]) -> list[Trace]:
    """Return what each probe of a container would have decided under `specs`; `phase` chooses where each grid begins."""
    run = _Run(container, tuple(specs), case, tuple(phase))
    run.play()
    return [run.trace(index) for index in range(len(container.probes))]


class _Run:
    """One replay of a container in one case."""

    def __init__(self, container: Container, specs: tuple[ProbeSpec, ...], case: Case, phase: tuple[int, ...]) -> None:
        self.c, self.specs, self.case, self.phase = container, specs, case, phase
        size = len(container.probes)
        self.recorded = [decided(probe) for probe in container.probes]
        self.workers = [Worker(spec.type) for spec in specs]
        self.decisions: list[list[Decision]] = [[] for _ in range(size)]
        self.initial = ["unknown"] * size
        self.unknown = [0] * size
        self.unready: list[int] = [0] * size
        self.unready_since: list[int | None] = [None] * size
        self.startup = next((n for n, spec in enumerate(specs) if spec.type is ProbeType.STARTUP), None)
        self.started = self.startup is None
        self.gate_ns: int | None = None
        """When the startup probe of this container succeeded in the recording."""
        self.was_ready = [_was_ready(container, index) for index in range(size)]
        self.known_until_ns: int | None = None
        self.end: End | None = None
        self.unseen = 0
        self.unchanged = specs == container.specs
        self.last_ns = 0

    def play(self) -> None:
        """Go through all stretches, or as far as the recording is evidence."""
        for number, stretch in enumerate(self.c.stretches):
            self._open(number, stretch)
            feeds = [self._feed(stretch, index) for index in range(len(self.specs))]
            self._stretch(stretch, feeds)
            if self.end is not None:
                return

    def _open(self, number: int, stretch: Stretch) -> None:
        for index, worker in enumerate(self.workers):
            opened = self.c.opened(number, index, worker)
            self.workers[index] = self._adapted(index, opened) if stretch.blank else opened
            self._ready(index, stretch.ns)
            if number == 0 and self.workers[index].cached is not Result.NONE and Break.CONTAINER in stretch.breaks:
                self.initial[index] = _state(self.specs[index], self.workers[index].cached)
        if Break.CONTAINER in stretch.breaks:
            self.started = self.startup is None
            self.gate_ns = None
        elif Break.HOLE in stretch.breaks:
            self.started, self.gate_ns = True, None
        if self.startup is not None:
            done = [
                a
                for a in stretch.attempts[self.startup]
                if self.recorded[self.startup].get(a.n) is DecisionKind.STARTED
            ]
            if done:
                self.gate_ns = done[0].end_ns
                self.started = False

    def _adapted(self, index: int, worker: Worker) -> Worker:
        """Return a memory from before the capture as it may be under the new settings."""
        old, new = self.c.specs[index], self.specs[index]
        if worker.last_result is not Result.FAILURE or not worker.result_run or old == new:
            return worker
        if new.timeout_s > old.timeout_s and self.case is Case.BEST:
            return replace(worker, result_run=0, last_result=Result.SUCCESS)
        unsure = worker.cached is Result.SUCCESS and worker.result_run >= new.failure_threshold
        return replace(worker, cached=Result.NONE) if unsure else worker

    def _feed(self, stretch: Stretch, index: int) -> Feed:
        old, new, mine = self.c.specs[index], self.specs[index], stretch.attempts[index]
        places = anchors(self.c, stretch, index, new)
        feed = Feed(mine, old, new, places[self.phase[index] % len(places)] if places else None)
        if feed.grid and any(self.recorded[index].get(a.n) is DecisionKind.STARTED for a in mine):
            feed.until_ns = stretch.end_ns + 1  # On hold in the recording from then on, and perhaps not here.
        if mine and new.initial_delay_s != old.initial_delay_s and Break.CONTAINER in stretch.breaks:
            self._delay(feed, stretch, index)
        return feed

    def _delay(self, feed: Feed, stretch: Stretch, index: int) -> None:
        """Apply another initialDelaySeconds: whole seconds since StartedAt, itself cut to whole seconds (doProbe)."""
        earliest, latest = self._birth(stretch)
        new = feed.new.initial_delay_s
        feed.sure_ns = latest + new * SECOND
        feed.possible_ns = max(earliest, earliest + (new - 1) * SECOND)
        first = feed.tick_ns if feed.tick_ns is not None else feed.mine[0].start.ns
        floor = feed.possible_ns
        if index != self.startup and self.gate_ns is not None:
            floor = max(floor, self.gate_ns)
        ticks = min(max(0, first - floor) // feed.period_ns, MOST_UNSEEN)
        if new < feed.old.initial_delay_s and ticks:
            feed.tick_ns = first - ticks * feed.period_ns
            feed.until_ns = max(feed.until_ns, feed.mine[0].start.ns)

    def _birth(self, stretch: Stretch) -> tuple[int, int]:
        """Return the earliest and the latest moment at which a stretch's container may have started."""
        latest, earliest = stretch.ns, None
        for index, many in enumerate(stretch.attempts):
            if many:
                old = self.c.specs[index]
                latest = min(latest, many[0].start.ns - max(0, old.initial_delay_s - 1) * SECOND)
                if self.startup in (None, index):
                    bound = many[0].start.ns - (old.initial_delay_s + old.period_s) * SECOND - LAG_NS
                    earliest = bound if earliest is None else max(earliest, bound)
        return min(latest if earliest is None else earliest, latest), latest

    def _stretch(self, stretch: Stretch, feeds: list[Feed]) -> None:
        killed = sorted(
            (a.end_ns, index, a.n)
            for index, many in enumerate(stretch.attempts)
            for a in many
            if self.recorded[index].get(a.n) is DecisionKind.RESTART
        )
        matched: set[tuple[int, int]] = set()
        while True:
            due = [(ns, index) for index, feed in enumerate(feeds) if (ns := feed.due()) is not None]
            now = min(due, default=None)
            missed = next((ns for ns, index, n in killed if (index, n) not in matched), None)
            if missed is not None and (now is None or now[0] >= missed):
                self._stop(missed, End.OLD_RESTART)
                return
            if now is None:
                return
            index = now[1]
            slot = feeds[index].take()
            if slot.attempt is None and self.workers[index].on_hold:
                feeds[index].tick_ns = None  # Nothing lifts the hold before the next container.
            if slot.ns < 0 or not self._sent(index, slot):
                continue
            before = len(self.decisions[index])
            end_ns = self._count(index, slot)
            made = self.decisions[index][-1].kind if len(self.decisions[index]) > before else None
            self._react(stretch, feeds, index, slot, end_ns, made)
            if made is DecisionKind.RESTART:
                place = (index, slot.attempt.n if slot.attempt is not None else 0)
                if self.recorded[index].get(place[1]) is not DecisionKind.RESTART:
                    self._stop(end_ns, End.NEW_RESTART)
                    return
                matched.add(place)
            if self.unseen > MOST_UNSEEN:
                self._stop(slot.ns, End.TOO_LONG)
                return

    def _sent(self, index: int, slot: Slot) -> bool:
        """Tell whether the kubelet would have sent this attempt (doProbe's guards, UpdatePodStatus' pokes)."""
        worker, attempt = self.workers[index], slot.attempt
        if self.unchanged:
            return True
        if worker.on_hold and not (attempt is not None and self._held_too(index, attempt)):
            return False
        if index != self.startup and not self.started and (attempt is None or self._gated(slot.ns)):
            return False
        if attempt is None or attempt.trigger is not Trigger.MANUAL or worker.type is not ProbeType.READINESS:
            return True
        if self.recorded[index].get(attempt.n - 1) is DecisionKind.NOT_READY:  # The extra probe of that decision.
            return any(d.kind is DecisionKind.NOT_READY and d.attempt == attempt.n - 1 for d in self.decisions[index])
        return worker.cached is not Result.SUCCESS or attempt.n in self.was_ready[index]

    def _held_too(self, index: int, attempt: Attempt) -> bool:
        """Tell whether the recorded worker was on hold as well: by the same attempt as the replayed one."""
        last = self.decisions[index][-1] if self.decisions[index] else None
        return last is not None and last.attempt < attempt.n and self.recorded[index].get(last.attempt) is last.kind

    def _gated(self, ns: int) -> bool:
        """Tell whether the recorded attempt had waited for the startup probe (1.35 may send before it: k8s#141155)."""
        return self.gate_ns is not None and ns >= self.gate_ns

    def _count(self, index: int, slot: Slot) -> int:
        """Count one attempt, and return when it ended."""
        spec, worker = self.specs[index], self.workers[index]
        outcome, end_ns = self._result(index, slot)
        if slot.maybe and outcome is not (Outcome.SUCCESS if self.case is Case.BEST else Outcome.FAILURE):
            return end_ns
        result = count(worker, outcome, spec)
        self.workers[index] = result.worker
        if self.initial[index] == "unknown" and result.settled is not None:
            self.initial[index] = _state(spec, result.settled)
        if result.decision is not None:
            before = _state(spec, worker.cached if worker.cached is not Result.NONE else INITIAL[spec.type])
            if self.initial[index] == "unknown":
                self.initial[index] = before
            attempt = slot.attempt
            self.decisions[index].append(
                Decision(
                    ns=end_ns,
                    kind=result.decision,
                    before=before,
                    after=_state(spec, result.worker.cached),
                    attempt=attempt.n if attempt is not None else 0,
                    mark=attempt.end_mark if attempt is not None else None,
                    streak=result.streak,
                    threshold=result.threshold,
                    threshold_source=_source(self.c.probes[index], self.c.specs[index], spec, result.decision),
                )
            )
        self._ready(index, end_ns)
        return end_ns

    def _result(self, index: int, slot: Slot) -> tuple[Outcome, int]:
        spec, attempt = self.specs[index], slot.attempt
        best = self.case is Case.BEST
        if attempt is None:
            self.unknown[index] += 1
            self.unseen += 1
            return (Outcome.SUCCESS, slot.ns) if best else (Outcome.FAILURE, slot.ns + spec.timeout_s * SECOND)
        if self.unchanged or (attempt.cause is Cause.CUT and attempt is self.c.probes[index].attempts[-1]):
            return attempt.outcome, attempt.end_ns  # What was open at the end of the capture is decided after it.
        old_ns, new_ns = self.c.specs[index].timeout_s * SECOND, spec.timeout_s * SECOND
        supposed: Supposed = suppose(attempt, self.c.probes[index], old_ns, new_ns)
        self.unknown[index] += not supposed.known
        outcome, end = (supposed.best, supposed.best_end_ns) if best else (supposed.worst, supposed.worst_end_ns)
        return outcome, end + slot.ns - attempt.start.ns

    def _react(
        self, stretch: Stretch, feeds: list[Feed], index: int, slot: Slot, end_ns: int, made: DecisionKind | None
    ) -> None:
        """Move grids, and let run what the recording had silenced."""
        feed, spec = feeds[index], self.specs[index]
        if feed.grid and self.c.resets and spec.type is ProbeType.READINESS:
            if made is DecisionKind.NOT_READY:
                feed.tick_ns = end_ns + feed.period_ns
            elif (
                slot.attempt is not None and slot.attempt.trigger is Trigger.MANUAL and slot.ns == slot.attempt.start.ns
            ):
                feed.tick_ns = slot.ns + feed.period_ns
        attempt = slot.attempt
        if index == self.startup:
            if made is DecisionKind.STARTED:
                self.started = True
                self._ungate(stretch, feeds, end_ns)
            elif attempt is not None and self.recorded[index].get(attempt.n) is DecisionKind.STARTED:
                feed.tick_ns, feed.until_ns = slot.ns + feed.period_ns, stretch.end_ns + 1

    def _ungate(self, stretch: Stretch, feeds: list[Feed], ns: int) -> None:
        """Let the others run unseen from an earlier Started to their first recorded attempts."""
        if self.gate_ns is None or ns >= self.gate_ns:
            return
        for index, feed in enumerate(feeds):
            mine = stretch.attempts[index]
            if index != self.startup and mine and mine[0].start.ns >= self.gate_ns:
                poked = self.specs[index].type is ProbeType.READINESS
                feed.tick_ns = ns if poked else ns + feed.period_ns
                feed.until_ns = max(feed.until_ns, mine[0].start.ns)

    def _stop(self, ns: int, end: End) -> None:
        self.known_until_ns, self.end = ns, end
        for decisions in self.decisions:
            decisions[:] = [d for d in decisions if d.ns <= ns]

    def _ready(self, index: int, ns: int) -> None:
        """Add up the time a readiness worker is known not to be Ready."""
        since = self.unready_since[index]
        if since is not None:
            self.unready[index] += max(0, ns - since)
        down = self.workers[index].cached is not Result.SUCCESS and self.specs[index].type is ProbeType.READINESS
        self.unready_since[index] = ns if down else None

    def trace(self, index: int) -> Trace:
        """Return what was found for one probe."""
        self._ready(index, self.known_until_ns or max(s.end_ns for s in self.c.stretches))
        return Trace(
            initial_state=self.initial[index],
            decisions=tuple(self.decisions[index]),
            final_state=_state(self.specs[index], self.workers[index].cached),
            known_until_ns=self.known_until_ns,
            end=self.end,
            unready_ns=self.unready[index],
            unknown=self.unknown[index],
        )


def _was_ready(container: Container, index: int) -> frozenset[int]:
    """Return the attempts before which the recorded worker was Ready."""
    out, recorded, ready = set(), decided(container.probes[index]), False
    for number, stretch in enumerate(container.stretches):
        if stretch.blank:
            ready = container.openings[number, index].cached is Result.SUCCESS
        elif Break.CONTAINER in stretch.breaks:
            ready = False
        for attempt in stretch.attempts[index]:
            if ready:
                out.add(attempt.n)
            if attempt.n in recorded:
                ready = recorded[attempt.n] is DecisionKind.READY
    return frozenset(out)


def _state(spec: ProbeSpec, cached: Result) -> str:
    return STATES.get((spec.type, cached), "unknown")


def _source(probe: Probe, old: ProbeSpec, new: ProbeSpec, kind: DecisionKind) -> str:
    """Say where the threshold of a decision comes from."""
    good = kind in (DecisionKind.READY, DecisionKind.STARTED)
    name = "successThreshold" if good else "failureThreshold"
    same = old.success_threshold == new.success_threshold if good else old.failure_threshold == new.failure_threshold
    return probe.thresholds[name][1] if same and name in probe.thresholds else "asked"
