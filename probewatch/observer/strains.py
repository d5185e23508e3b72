"""What a reading of a pod's attempts strains beyond its costs (`probes.costs`).

A lane is lenient, because it must carry on after anything. Four things that its costs let pass are counted here: a readiness
probe on the heels of another without a reason, a poke that is certain and did not come, ticks that are left out regularly, and
restarts faster than the kubelet's back-off allows. And what its costs count twice, or for what is not weighed, is taken off.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from probewatch.decisions.pod import Pod
from probewatch.decisions.turn import SUSPICIOUS, YOUNG
from probewatch.decisions.worker import Result
from probewatch.model.prediction import Manual, Reading
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import DecisionKind, Outcome, Trigger
from probewatch.model.units import SECOND
from probewatch.probes.costs import (
    DELAYED_ACK_NS,
    MISSED,
    MISSED_MOST,
    NEW_CONTAINER_DYING,
    NEW_CONTAINER_SUSPICIOUS,
    NEW_KUBELET,
    NEW_KUBELET_QUIET,
    POKE,
    POKE_ABSENT,
    POKE_DOUBLE,
    POKE_ENDED,
    POKED_NS,
    USUAL_OUTAGE_NS,
)
from probewatch.probes.judge import LEAD_NS

from .histories import Step
from .lane import FAILED_BEFORE

AT_ONCE: Final = 4.0
"""A readiness probe within milliseconds of another, for no reason: a pod sync would have had to fall into just that moment."""
WAITED: Final = 3.2
"""The same behind a long attempt, which any pod sync meanwhile waits for; but this Pod shows no other."""
NOTICED: Final = 2.5
"""The same where a container that was gone is there again: it is noticed once a second, as it was when its probe got its grid."""
ABSENT: Final = 2.5
"""The extra probe after NotReady did not come: it came in 110 of 111 cases (docs/how-it-knows.md, "What was measured")."""
IGNORED: Final = 1.5
"""A readiness probe that was not Ready was not poked, although a decision about another probe of its Pod made a pod sync."""
REGULAR: Final = 0.6
"""Share of the gaps that must leave out the same number of ticks to be a rhythm, which no outage has."""
DARK: Final = 2
"""Ticks left out in a row in which a container may have died."""
FEWEST: Final = 4
"""Gaps that a rhythm needs."""
DEAD_ALREADY: Final = NEW_CONTAINER_SUSPICIOUS - NEW_CONTAINER_DYING
"""A restart decided by one failure that a container which is gone would also cause: as rare as that it went by itself."""
HASTY: Final = 3.0
"""A third or later restart, soon after the one before, that did not wait: only a kubelet with another back-off makes it."""
BACK_OFF_NS: Final = 10 * SECOND
"""The first wait of CrashLoopBackOff (kuberuntime: 10 s, doubled each time)."""
BACK_OFF_MOST_NS: Final = 300 * SECOND
IMMEDIATE: Final = 2
"""Restarts before the first wait."""


def strains(steps: Sequence[Step]) -> list[float]:
    """Return for each step what its reading strains beyond its costs (`probes.costs`)."""
    out = [0.0] * len(steps)
    past, synced = _Past(), _synced(steps)
    for index, step in enumerate(steps):
        if step.reading is not None and not step.reading.redial:
            for strain in past.add(step, step.reading, synced=index <= synced):
                out[index] += strain
    _add_rhythms(steps, out)
    return out


class _Past:
    """What went before in a reading: each step strains by what its worker and its container did last."""

    def __init__(self) -> None:
        self._last: dict[int, Step] = {}
        """By worker."""
        self._lost_unseen: set[int] = set()
        """Workers whose readiness may have been lost unseen since the last success."""
        self._killed: dict[int, int] = {}
        """Container -> when its Restart was decided, until its successor is seen."""
        self._restarts: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """Container -> (killed, its successor seen)."""
        self._synced_late = False
        """Whether a pod sync for no known reason fell into a pause."""

    def add(self, step: Step, reading: Reading, *, synced: bool) -> Iterator[float]:
        """Yield what a step strains. `synced`: something later shows that the kubelet still syncs the Pod."""
        if reading.trigger is Trigger.MANUAL and reading.cost >= POKE:
            yield self._poked_for_nothing(step, reading)
        yield from self._not_poked(step, reading, synced=synced)
        if reading.reset == "kubelet":
            if not step.before.tickers[reading.worker].suspicious and _silence(step) > USUAL_OUTAGE_NS:
                # However long the period is that is tried: what is weighed is the period, and not how rare such a pause is with it.
                yield -min(max(reading.cost - NEW_KUBELET_QUIET, 0.0), NEW_KUBELET - NEW_KUBELET_QUIET)
            self._restarts.clear()  # The back-off is in the kubelet's memory (flowcontrol.NewBackOff): a new one begins at none.
        yield from self._restarted(step, step.before.plan[reading.worker].container)
        self._last[reading.worker] = step

    def _poked_for_nothing(self, step: Step, reading: Reading) -> float:
        """Return what a readiness probe out of turn strains: on the heels of another that nothing else explains."""
        pod, start, before = step.before, step.run.start.ns, self._last.get(reading.worker)
        ticker = pod.tickers[reading.worker]
        # A close that waits for its delayed acknowledgement holds the next attempt up (docs/how-it-knows.md, "What was measured").
        latest = POKED_NS + (DELAYED_ACK_NS if ticker.lingers else 0)
        if ticker.busy_until_ns is None or not -LEAD_NS <= start - ticker.busy_until_ns <= latest:
            self._synced_late = True
            return 0.0
        # The start of a container, or of a kubelet, is several syncs of its Pod within moments, and so are the silent ticks at one
        # that is away. A kill holds all syncs of the Pod up.
        container = pod.plan[reading.worker].container
        begun = pod.containers[container].begun or pod.new_kubelet
        if self._killed or (begun and ticker.runs < YOUNG) or _away(pod, container, start):
            # Where one poke came, the next is no surprise.
            return POKE_DOUBLE - POKE if before is not None and _poked(before) else 0.0
        # A poke during a long attempt waits for its end (manualTriggerCh), which is no coincidence in a Pod that is synced all the time.
        return _strange(step, before) if _short(before) or not self._synced_late else 0.0

    def _not_poked(self, step: Step, reading: Reading, *, synced: bool) -> Iterator[float]:
        """Yield what it strains that a poke did not come which was certain, or which another probe's decision made likely."""
        worker, before, ticker = reading.worker, self._last.get(reading.worker), step.before.tickers[reading.worker]
        # While ticks were left out the container may have died: then no probe takes Ready away, and none is poked for it.
        if step.verdict is not None and step.verdict.outcome is Outcome.SUCCESS:
            self._lost_unseen.discard(worker)
        elif reading.missed >= DARK:
            self._lost_unseen.add(worker)
        delayed = step.before.plan[worker].spec.initial_delay_s > 0 and not ticker.runs
        if self._killed or delayed or worker in self._lost_unseen:
            return
        if before is None or not before.run.tries or not step.run.tries:
            return
        poked_ns = ticker.poked_ns if step.before.resets is not None else None  # (None: of a version that is not known)
        if poked_ns is not None and not -LEAD_NS <= step.run.start.ns - poked_ns <= SECOND // 10:
            yield ABSENT if synced else -_absent(step)
        if _ignored(step):
            yield IGNORED

    def _restarted(self, step: Step, container: int) -> Iterator[float]:
        """Yield what the beginning of a container strains, and the decision to restart it."""
        if step.renewed and container in self._killed:
            self._restarts[container].append((self._killed.pop(container), step.run.start.ns))
            yield _hasty(self._restarts[container])
        if step.counted is not None and step.counted.decision is DecisionKind.RESTART and step.verdict is not None:
            self._killed[container] = step.verdict.end_ns
            if step.counted.streak == 1 and step.verdict.cause in SUSPICIOUS:
                yield DEAD_ALREADY


def _synced(steps: Sequence[Step]) -> int:
    """Return up to which step something later shows that the kubelet still syncs the Pod; -1 where nothing does.

    One that is being deleted is not synced (SyncTerminatingPod): no poke is missing there. It is liveness and startup that stop then,
    and no container begins; where readiness is all that is probed, that it succeeds again has to do.
    """
    kinds = [step.before.plan[step.reading.worker].spec.type if step.reading else None for step in steps]
    alone = set(kinds) <= {None, ProbeType.READINESS}
    for index in range(len(steps) - 1, -1, -1):
        reading, verdict = steps[index].reading, steps[index].verdict
        well = alone and verdict is not None and verdict.outcome is Outcome.SUCCESS
        other = kinds[index] is not ProbeType.READINESS
        if reading and (other or well or steps[index].renewed or reading.reset or reading.trigger is Trigger.MANUAL):
            return index
    return -1


def _absent(step: Step) -> float:
    """Return what a reading costs for a poke that did not come (`probes.assign`)."""
    assert step.reading is not None
    ended_ns = step.before.prediction(step.reading.worker).ended_ns
    paid = POKE_ENDED if ended_ns is not None and step.run.start.ns > ended_ns else POKE_ABSENT
    return min(paid, step.reading.cost)


def _strange(step: Step, before: Step | None) -> float:
    """Return what a readiness probe on the heels of the one before strains that has no reason."""
    assert step.reading is not None
    held, ticker = step.before.workers[step.reading.worker], step.before.tickers[step.reading.worker]
    strange = AT_ONCE if _short(before) else WAITED
    if step.reading.reset == "container" and ticker.suspicious:
        strange = NOTICED
    if held.cached is Result.NONE and held.last_result is Result.FAILURE:
        # (What the kubelet holds is not shown yet: failures before the capture would make it an ordinary poke.)
        strange = min(strange, max(0.0, FAILED_BEFORE - step.reading.cost))
    return strange


def _ignored(step: Step) -> bool:
    """Tell whether the pod sync that another probe's decision made should have poked this one, which was not Ready, and did not."""
    assert step.reading is not None
    pod, worker = step.before, step.reading.worker
    ticker = pod.tickers[worker]
    if ticker.stirred_ns is None or ticker.busy_until_ns is None or not ticker.runs or ticker.suspicious:
        return False
    if pod.resets is None or pod.manual(worker) is not Manual.POSSIBLE:
        return False
    return step.run.start.ns - max(ticker.stirred_ns, ticker.busy_until_ns) > SECOND // 10


def _silence(step: Step) -> int:
    """Return how long no attempt at the Pod had begun."""
    latest = max(
        (t.last_start_ns for t in step.before.tickers if t.last_start_ns is not None), default=step.run.start.ns
    )
    return step.run.start.ns - latest


def _away(pod: Pod, container: int, now_ns: int) -> bool:
    """Tell whether another container of the Pod leaves ticks out: what its workers find then makes syncs without a packet."""
    return any(
        planned.container != container
        and ticker.last_start_ns is not None
        and now_ns - ticker.last_start_ns > 3 * planned.spec.period_s * SECOND // 2
        for planned, ticker in zip(pod.plan, pod.tickers, strict=True)
    )


def _poked(step: Step) -> bool:
    """Tell whether an attempt was set off by a poke."""
    return step.reading is not None and step.reading.trigger is Trigger.MANUAL


def _short(step: Step | None) -> bool:
    """Tell whether an attempt was over within moments, so that nothing can have waited for its end."""
    return step is not None and step.verdict is not None and step.verdict.end_ns - step.run.start.ns <= SECOND // 10


def _hasty(restarts: Sequence[tuple[int, int]]) -> float:
    """Return the strain of the latest of a container's restarts, given as (killed, its successor seen).

    The kubelet looks at the instance that had exited before the one that it kills (kuberuntime doBackOff): a restart waits
    where that one ended less than the back-off ago, which is doubled by each.
    """
    if len(restarts) <= IMMEDIATE:
        return 0.0
    wait_ns = min(BACK_OFF_NS << len(restarts) - IMMEDIATE - 1, BACK_OFF_MOST_NS)
    (before, _), (killed, again) = restarts[-2:]
    return HASTY if killed - before < wait_ns - SECOND and again - killed < wait_ns // 2 else 0.0


def _add_rhythms(steps: Sequence[Step], out: list[float]) -> None:
    """Count ticks that a worker leaves out in a rhythm: an outage has none, whatever excuses it."""
    missed: dict[int, dict[int, int]] = defaultdict(dict)
    """Worker -> step -> ticks left out before it; with the first, of which nothing is known."""
    for index, step in enumerate(steps):
        if step.reading is not None and not step.reading.redial and step.run.tries:
            missed[step.reading.worker][index] = step.reading.missed
    for mine in missed.values():
        del mine[next(iter(mine))]
        if len(mine) < FEWEST:
            continue
        usual, times = Counter(mine.values()).most_common(1)[0]
        if usual and times >= REGULAR * len(mine):
            for index, left_out in mine.items():
                if left_out == usual:
                    out[index] += min(left_out * MISSED, MISSED_MOST)
