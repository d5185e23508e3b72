"""What the kubelet said beside what the wire shows: sayings joined to attempts and decisions, and the differences named.

Pure: a timeline and the sayings of files in, a timeline with `Attempt.said` and `Timeline.kubelet` out. First each file's
clock is set (`offset`), then each saying goes to the attempt it is about: the one with its port, else the nearest one with its outcome,
each attempt once for a file and a kind of saying. What is left over has a plain reason (an exec probe, another container, another Pod,
events put together, before or after the capture) or is a contradiction.

Limitations. The kubelet's events are rate limited by its own recorder: 25 for an object, then one in five minutes, and more than ten
alike within ten minutes become one (client-go tools/record/events_cache.go); so events that lack prove nothing, and a log at
verbosity 1 or more does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.said import RESULTS, Account, AccountFile, Beside, Clash, Difference, Offset, Saying, Utterance
from probewatch.model.spec import Handler, PodSpec
from probewatch.model.timeline import Attempt, Decision, DecisionKind, EventKind, Outcome, Probe, Timeline
from probewatch.model.units import MS, SECOND

from .offset import DECIDED, ENOUGH, agreed, dialled, estimate
from .utterance import Lane, Who, allows, excludes, exec_like, names

MOST_SAID: Final = 4
"""Sayings kept at one attempt: a log and events, an error told twice."""
MOST_DIFFERENCES: Final = 200
"""Differences told; more are alike."""
SHOWN: Final = 10
"""Attempts named in one difference."""

SLACK_NS: Final = 150 * MS
"""How far from a verdict a saying about it may be, beyond what its clock and its precision leave open."""
LOOP_NS: Final = 2 * SECOND
"""How long a decision may wait for the kubelet's loop."""
START_NS: Final = 5 * SECOND
"""How far from a container's start its worker's first value may be told."""
OF_CONTAINER: Final = (EventKind.CONTAINER_STARTED, EventKind.CONTAINER_EXITED, EventKind.POD_TERMINATING)
OF_KUBELET: Final = (EventKind.KUBELET_STOPPED, EventKind.KUBELET_RESTARTED, EventKind.CAPTURE_GAP)
"""What makes the kubelet tell a result that it told before."""
BURST: Final = 25
"""Events of one object that the kubelet's recorder lets through at once (client-go EventSourceObjectSpamFilter)."""


def account(timeline: Timeline, files: Sequence[AccountFile], pods: Sequence[PodSpec] = ()) -> Timeline:
    """Return the timeline with the kubelet's account. `pods` are the declared ones: they tell which probes are exec probes."""
    return _Join(timeline, files, pods).result()


class _Join:
    def __init__(self, timeline: Timeline, files: Sequence[AccountFile], pods: Sequence[PodSpec]) -> None:
        self.timeline = timeline
        self.files = files
        self.lanes = {probe.id: Lane(probe) for probe in timeline.probes}
        self.said: dict[tuple[str, int], list[Utterance]] = {}
        self.exec = {
            (pod.namespace, pod.name, container.name, spec.type)
            for pod in pods for container in pod.containers for spec in container.probes if spec.handler is Handler.EXEC
        }  # fmt: skip
        starts = [c.first_ns for c in timeline.captures if c.first_ns is not None]
        ends = [c.last_ns for c in timeline.captures if c.last_ns is not None]
        self.begin, self.end = min(starts, default=0), max(ends, default=0)
        self.joined = self.outside = self.unplaced = 0
        self.decisions: list[Beside] = []
        self.differences: dict[tuple[object, ...], Difference] = {}
        self.offsets: list[Offset] = []

    def result(self) -> Timeline:
        probes = self.timeline.probes
        whom = [Who(self.lanes.values(), file.said) for file in self.files]
        found = [estimate(file, probes, who) for file, who in zip(self.files, whom, strict=True)]
        self.offsets = agreed(self.files, found)
        for file, offset, who in zip(self.files, self.offsets, whom, strict=True):
            _File(self, file, offset, who).read()
        marked = {ident for ident, _ in self.said}
        probes = tuple(replace(p, attempts=self._marked(p)) if p.id in marked else p for p in self.timeline.probes)
        return replace(
            self.timeline,
            probes=probes,
            kubelet=Account(
                files=tuple(self.files), offsets=tuple(self.offsets), joined=self.joined, outside=self.outside, unplaced=self.unplaced,
                decisions=tuple(sorted(self.decisions, key=lambda beside: beside.ns)),
                differences=tuple(list(self.differences.values())[:MOST_DIFFERENCES]),
            ),
        )  # fmt: skip

    def _marked(self, probe: Probe) -> tuple[Attempt, ...]:
        return tuple(
            replace(a, said=tuple(said[:MOST_SAID])) if (said := self.said.get((probe.id, a.n))) else a
            for a in probe.attempts
        )

    def differ(
        self, clash: Clash, key: object, sentence: str, *, probe: str | None = None, attempt: int | None = None,
        ns: int | None = None, source: str = "",
    ) -> None:  # fmt: skip
        """Note a difference; one like it before only counts on."""
        before = self.differences.get((clash, key))
        if before is None:
            self.differences[clash, key] = Difference(
                clash=clash,
                sentence=sentence,
                probe=probe,
                attempts=() if attempt is None else (attempt,),
                ns=ns,
                source=source,
            )
            return
        attempts = before.attempts
        if attempt is not None and attempt not in attempts and len(attempts) < SHOWN:
            attempts = (*attempts, attempt)
        self.differences[clash, key] = replace(before, count=before.count + 1, attempts=attempts)


class _File:
    """One file's sayings laid beside the capture."""

    def __init__(self, join: _Join, file: AccountFile, offset: Offset, who: Who) -> None:
        self._join = join
        self._file = file
        self._offset = offset.ns
        self._slack = SLACK_NS + offset.within_ns
        self._sure = offset.pairs >= ENOUGH or bool(offset.taken_from)
        self._who = who
        self._taken: set[tuple[str, int, Saying]] = set()
        self._covered: dict[str, list[tuple[int, int]]] = {}
        """Probe -> stretches for which an aggregated event stands."""
        self._told: dict[str, int] = {}
        """Probe -> how many sayings about attempts of it."""
        self._matched: set[tuple[str, int]] = set()
        self._deciding: set[str] = set()
        """Probes of which it tells decisions."""

    def read(self) -> None:
        for said in sorted(self._file.said, key=lambda one: one.ns):
            at = said.ns - self._offset
            if at < self._join.begin - self._slack or at > self._join.end + self._slack + said.precision_ns:
                self._join.outside += 1
            elif said.saying in RESULTS:
                self._about_attempt(said, at)
            else:
                self._about_decision(said, at)
        for lane in self._join.lanes.values():
            self._unsaid(lane)
            if lane.probe.id in self._deciding and self._sure:
                self._undecided(lane)

    def _about_attempt(self, said: Utterance, at: int) -> None:
        fitting = self._who.fitting(said)
        best = self._nearest(said, at, fitting)
        if best is not None and not self._sure and not allows(said, best[1]):
            best = None
        if best is None:
            self._left_over(said, at, fitting)
            return
        lane, attempt = best
        ident = lane.probe.id
        self._taken.add((ident, attempt.n, said.saying))
        self._join.said.setdefault((ident, attempt.n), []).append(said)
        self._join.joined += 1
        self._told[ident] = self._told.get(ident, 0) + said.count
        if said.first_ns is not None or said.combined:
            self._aggregated(said, lane, at)
        if not names(said, lane.probe):
            target = lane.probe.target
            sentence = (
                f"the kubelet speaks of Pod {said.namespace}/{said.pod} at {target.address}, and what was given says that this is "
                f"{target.namespace}/{target.pod}: a log of another time, or a manifest of another Pod"
            )
            self._join.differ(
                Clash.POD, (ident, said.pod), sentence, probe=ident, attempt=attempt.n, ns=at, source=said.source
            )
        if not allows(said, attempt):
            sentence = f"the kubelet says {said.saying.value}, the wire shows {attempt.outcome.value}"
            self._join.differ(
                Clash.OUTCOME, (ident, said.saying, attempt.outcome), sentence, probe=ident, attempt=attempt.n, ns=at,
                source=said.source,
            )  # fmt: skip
        elif excludes(said, attempt):
            sentence = (
                f"the kubelet's text names another cause than the wire shows ({attempt.cause.value}): {said.text[:200]}"
            )
            self._join.differ(
                Clash.CAUSE, (ident, attempt.cause), sentence, probe=ident, attempt=attempt.n, ns=at, source=said.source
            )

    def _nearest(self, said: Utterance, at: int, lanes: Sequence[Lane]) -> tuple[Lane, Attempt] | None:
        """Return the attempt it is about: by port, else by outcome, else the one beside it in time."""
        low, high = at - self._slack, at + self._slack + self._vague(said)
        found: list[tuple[tuple[bool, bool, bool, int], Lane, Attempt]] = []
        for lane in lanes:
            for attempt in lane.between(low, high):
                if (lane.probe.id, attempt.n, said.saying) in self._taken:
                    continue
                mine = said.port is not None and dialled(attempt, said.port)
                if said.port is not None and not mine and attempt.legs:
                    continue
                distance = attempt.end_ns - low if self._vague(said) else abs(attempt.end_ns - at)
                found.append(((not mine, not allows(said, attempt), excludes(said, attempt), distance), lane, attempt))
        if not found:
            return None
        _, lane, attempt = min(found, key=lambda item: item[0])
        return lane, attempt

    @staticmethod
    def _vague(said: Utterance) -> int:
        """Return how much later than its time it may have been said, where that matters."""
        return said.precision_ns if said.precision_ns > MS else 0

    def _aggregated(self, said: Utterance, lane: Lane, at: int) -> None:
        """Hold the number that an event says against the attempts of its time."""
        first = (said.first_ns if said.first_ns is not None else said.ns) - self._offset
        span = (first - self._slack, at + said.precision_ns + self._slack)
        self._covered.setdefault(lane.probe.id, []).append(span)
        alike = sum(allows(said, a) and a.outcome is not Outcome.INCONCLUSIVE for a in lane.between(*span))
        if said.combined:
            sentence = "the kubelet's recorder put similar events together: their text is that of the last one only"
        elif first < self._join.begin - self._slack:
            sentence = f"an event stands for {said.count} that began before the capture"
        elif alike == said.count:
            return
        else:
            sentence = (
                f"an event says that it happened {said.count} times, the wire shows {alike} such attempts in its time"
            )
        self._join.differ(
            Clash.AGGREGATED,
            (lane.probe.id, said.combined, said.source),
            sentence,
            probe=lane.probe.id,
            ns=at,
            source=said.source,
        )

    def _left_over(self, said: Utterance, at: int, fitting: Sequence[Lane]) -> None:
        """Say why no attempt was found for it."""
        whom = (
            "/".join(part for part in (said.namespace, said.pod, said.container) if part)
            or "a Pod that it does not name"
        )
        kind = said.type.value if said.type is not None else "a"
        declared = any(
            said.pod is not None and (said.pod == pod or said.pod.startswith(f"{pod}-")) and said.type is type_
            and (said.container is None or said.container == container)
            for _, pod, container, type_ in self._join.exec
        )  # fmt: skip
        if declared or (not fitting and exec_like(said)):
            why = "is an exec probe" if declared else "seems to be an exec probe by its text"
            clash, sentence = Clash.EXEC, f"{kind} probe of {whom} {why}: it sends no packet"
        elif not self._who.pod(said):
            clash, sentence = Clash.OTHER_POD, f"{whom} is a Pod whose probes are not in the capture"
        elif not self._who.container(said):
            clash, sentence = Clash.OTHER_CONTAINER, f"{whom} is a container whose probes are not in the capture"
        elif said.event and said.count > 1:
            clash, sentence = (
                Clash.AGGREGATED,
                f"an event of {whom} stands for {said.count}; its last one is not in the capture",
            )
        elif not self._sure:
            self._join.unplaced += 1
            return
        else:
            clash = Clash.NO_ATTEMPT
            sentence = f"the kubelet says that {kind} probe of {whom} {_VERB[said.saying]}; the capture shows no attempt at that time"
        probe = fitting[0].probe.id if len(fitting) == 1 else None
        self._join.differ(clash, (whom, said.type, self._file.source), sentence, probe=probe, ns=at, source=said.source)

    def _unsaid(self, lane: Lane) -> None:
        """Note failures that the file does not mention although it covers their time and speaks of this probe."""
        ident, file = lane.probe.id, self._file
        decides = file.kind == "log" and ident in self._deciding  # (both are told at one verbosity)
        if not self._sure or not (self._told.get(ident) or decides) or file.first_ns is None or file.last_ns is None:
            return
        said = {(n, saying) for probe, n, saying in self._taken if probe == ident}
        low, high = file.first_ns - self._offset + self._slack, file.last_ns - self._offset - self._slack
        told = self._told.get(ident, 0)
        limited = file.kind == "events" and (told >= BURST or ident in self._covered)
        silent = "" if told else ", though it tells decisions of this probe (were lines left out of it?)"
        for attempt in lane.between(low, high):
            wanted = {Outcome.FAILURE: Saying.FAILED, Outcome.DISCARDED: Saying.ERRORED}.get(attempt.outcome)
            if wanted is None or (attempt.n, wanted) in said:
                continue
            if any(first <= attempt.end_ns <= last for first, last in self._covered.get(ident, ())):
                continue
            if limited:
                clash, sentence = (
                    Clash.AGGREGATED,
                    "failures without an event: the kubelet's recorder limits events (25 of an object, then 1 in 5 minutes)",
                )
            elif any(attempt.n == n for n, _ in said):
                continue  # it spoke of it, in other words: told as a difference of outcome
            else:
                clash, sentence = Clash.NOT_SAID, f"failed on the wire, and {file.source} does not mention it{silent}"
            self._join.differ(
                clash,
                (ident, "unsaid", file.source),
                sentence,
                probe=ident,
                attempt=attempt.n,
                ns=attempt.end_ns,
                source=file.source,
            )

    def _undecided(self, lane: Lane) -> None:
        """Note replayed decisions that a log does not tell although it tells others of this probe and covers the time."""
        probe, file = lane.probe, self._file
        if file.first_ns is None or file.last_ns is None:
            return
        low, high = file.first_ns - self._offset + self._slack, file.last_ns - self._offset - LOOP_NS
        for decision in probe.decisions:
            if low <= decision.ns <= high and (probe.id, decision.ns) not in self._matched:
                sentence = f"{decision.after} is replayed from the wire, and {file.source} does not tell it"
                self._join.differ(
                    Clash.DECISION, (probe.id, "untold", decision.kind, file.source), sentence, probe=probe.id,
                    attempt=decision.attempt, ns=decision.ns, source=file.source,
                )  # fmt: skip

    def _about_decision(self, said: Utterance, at: int) -> None:
        lanes = self._who.fitting(said)
        if said.saying is Saying.DECIDED:
            self._deciding.update(lane.probe.id for lane in lanes)
        found: list[tuple[int, Lane, Decision]] = []
        for lane in lanes:
            kind = said.type.value if said.type is not None else lane.probe.type.value
            wanted = DecisionKind.RESTART if said.saying is Saying.KILLING else DECIDED.get((kind, said.state))
            found += [
                (abs(d.ns - at), lane, d) for d in lane.probe.decisions
                if d.kind is wanted and at - LOOP_NS - self._slack <= d.ns <= at + self._slack + self._vague(said)
            ]  # fmt: skip
        if found:
            _, lane, decision = min(found, key=lambda item: item[0])
            self._matched.add((lane.probe.id, decision.ns))
            self._join.decisions.append(Beside(said=said, ns=at, probe=lane.probe.id, attempt=decision.attempt))
            return
        if said.saying is Saying.DECIDED and self._initial(said, at, lanes):
            self._join.decisions.append(
                Beside(said=said, ns=at, probe=lanes[0].probe.id if len(lanes) == 1 else None, initial=True)
            )
            return
        if not lanes:
            self._left_over(said, at, ())
            return
        self._join.decisions.append(Beside(said=said, ns=at, probe=lanes[0].probe.id if len(lanes) == 1 else None))
        if self._open(at, lanes):
            return
        if not self._sure:
            self._join.unplaced += 1
            return
        what = "restart" if said.saying is Saying.KILLING else said.state
        probe = lanes[0].probe.id if len(lanes) == 1 else None
        sentence = f"the kubelet decided {what}; replayed from the wire there is no such decision at that time"
        self._join.differ(
            Clash.DECISION, (probe, what, self._file.source), sentence, probe=probe, ns=at, source=said.source
        )

    def _initial(self, said: Utterance, at: int, lanes: Sequence[Lane]) -> bool:
        """Tell whether no attempt decides it: a new worker's first value, or that of a container that does not run.

        (worker.go newWorker and doProbe: a new container begins not ready, one that is not running is not ready; and after a
        kubelet's restart each result is new.)
        """
        return any(
            self._begins(said, at, lane)
            or (_state(lane.probe, at) == _STATES.get(said.state) and self._renewed(at, lane.probe.target.address))
            for lane in lanes
        )

    def _renewed(self, at: int, address: str) -> bool:
        """Tell whether a container or the kubelet began or ended then: only so the same result is told again (results.Manager.Set)."""
        return any(
            abs(e.ns - at) <= START_NS + self._slack
            for e in self._join.timeline.events
            if (e.kind in OF_CONTAINER and e.address == address) or e.kind in OF_KUBELET
        )

    def _begins(self, said: Utterance, at: int, lane: Lane) -> bool:
        if said.state not in ("not ready", "unhealthy"):
            return False
        address = lane.probe.target.address
        if lane.first is None or at <= lane.first.end_ns + self._slack:
            return True
        timeline = self._join.timeline
        starts = [e.ns for e in timeline.events if e.kind is EventKind.CONTAINER_STARTED and e.address == address]
        if any(abs(ns - at) <= START_NS for ns in starts):
            return True
        killed = max(
            (d.ns for p in timeline.probes if p.target.address == address for d in p.decisions
             if d.kind is DecisionKind.RESTART and d.ns <= at + self._slack), default=None,
        )  # fmt: skip
        return killed is not None and not any(killed < ns <= at for ns in starts)

    def _open(self, at: int, lanes: Sequence[Lane]) -> bool:
        """Tell whether the wire leaves open what was decided: the attempt before it is inconclusive."""
        for lane in lanes:
            before = lane.between(at - LOOP_NS, at + self._slack)
            if before and before[-1].outcome is Outcome.INCONCLUSIVE:
                return True
        return False


_STATES: Final = {"ready": "Ready", "not ready": "NotReady", "started": "Started"}


def _state(probe: Probe, at: int) -> str:
    """Return the replayed state at a moment."""
    before = [d for d in probe.decisions if d.ns <= at]
    return max(before, key=lambda d: d.ns).after if before else probe.initial_state


_VERB: Final = {
    Saying.FAILED: "failed",
    Saying.ERRORED: "met an error",
    Saying.WARNED: "succeeded with a warning",
    Saying.SUCCEEDED: "succeeded",
    Saying.DECIDED: "reached a decision",
    Saying.KILLING: "killed its container",
}
