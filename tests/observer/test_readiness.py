# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""When a Pod was Ready: what its probes show, and nothing that they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from make import NODE, POD, ns, spec

from probewatch.model.frame import Mark
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Gap,
    Outcome,
    Probe,
    Target,
    TimelineEvent,
)
from probewatch.observer.readiness import stretches, succeeding

END = 100.0
STATES = {DecisionKind.READY: ("NotReady", "Ready"), DecisionKind.NOT_READY: ("Ready", "NotReady"), DecisionKind.RESTART: ("Live", "Restart")}


def probe(results: str, *, decisions: Sequence[tuple[int, DecisionKind]] = (), kind: ProbeType = ProbeType.READINESS, container: str = "app",
          first: float = 0.0, threshold: int = 3, **how: Any) -> Probe:
    """Return a probe run once a second from `first`: `.` succeeded, `x` failed, `?` inconclusive, blank was not run; decisions by attempt number."""
    attempts: list[Attempt] = []
    streak, last = 0, ""
    for number, result in enumerate(results):
        if result == " ":
            continue
        streak, last = (streak + 1 if result == last else 1), result
        outcome = {".": Outcome.SUCCESS, "x": Outcome.FAILURE, "?": Outcome.INCONCLUSIVE}[result]
        attempts.append(Attempt(n=len(attempts) + 1, start=Mark(ns(first + number), 0, number + 1), end_ns=ns(first + number + 0.1), outcome=outcome, cause=Cause.OK,
                                streak=streak if result != "?" else 0, threshold={".": 1, "x": threshold, "?": 0}[result]))
    made = [Decision(ns=attempts[n - 1].end_ns, kind=kind_, before=STATES[kind_][0], after=STATES[kind_][1], attempt=n, mark=None, streak=1, threshold=1,
                     threshold_source="declared") for n, kind_ in decisions]
    return Probe(id="p1", checker=Checker(kind="kubelet", address=NODE), target=Target(address=POD, port=8080, namespace="lab", pod="web", container=container),
                 type=kind, type_source="declared", handler=Handler.HTTP_GET, spec=spec(), thresholds={"periodSeconds": (1, "declared")},
                 attempts=tuple(attempts), decisions=tuple(made), **how)


def event(at: float, kind: EventKind, *, address: str = POD, container: str | None = "app") -> TimelineEvent:
    """Return an event of the Pod."""
    return TimelineEvent(ns=ns(at), kind=kind, address=address, pod="lab/web" if address == POD else None, container=container)


def told(probes: Sequence[Probe], *events: TimelineEvent) -> list[tuple[float, float, str]]:
    """Return the stretches of a Pod in seconds, from all of its probes."""
    readiness = [one for one in probes if one.type is ProbeType.READINESS]
    return [(round((s.start_ns - ns(0)) / 1e9, 3), round((s.end_ns - ns(0)) / 1e9, 3), str(s.state)) for s in stretches(readiness, probes, events, ns(END))]


READY, NOT_READY, RESTART = DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.RESTART


def test_decisions_make_the_state() -> None:
    """A container that begins NotReady, gets Ready, loses it and gets it back is told so, each from the decision's moment."""
    one = probe("x..xxx.", decisions=[(2, READY), (6, NOT_READY), (7, READY)])
    assert told([one], event(0, EventKind.CONTAINER_STARTED)) == [(0, 1.1, "NotReady"), (1.1, 5.1, "Ready"), (5.1, 6.1, "NotReady"), (6.1, END, "Ready")]


def test_a_capture_begun_in_mid_life_knows_nothing_at_first() -> None:
    """Before its first evidence a state is unknown: the first success, the third failure, or what a decision shows of the time before it."""
    assert told([probe("...")]) == [(0.1, END, "Ready")]
    assert told([probe("xxxx")]) == [(2.1, END, "NotReady")]
    assert told([probe("xx")]) == []
    assert told([probe("xx", decisions=[(2, NOT_READY)])]) == [(0, 1.1, "Ready"), (1.1, END, "NotReady")]
    assert told([probe("???")]) == []


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    """Ready is the conjunction; one that is NotReady decides alone, one that is unknown leaves the Pod unknown."""
    app = probe(".....", container="app")
    proxy = probe("..xxx.", container="proxy", decisions=[(5, NOT_READY), (6, READY)])
    assert told([app, proxy]) == [(0.1, 4.1, "Ready"), (4.1, 5.1, "NotReady"), (5.1, END, "Ready")]
    late = probe("..", container="proxy", first=10)
    assert told([app, late]) == [(10.1, END, "Ready")]
    unknown = probe("??", container="proxy")
    assert told([app, unknown]) == []
    assert told([probe("xxx", container="app"), unknown]) == [(2.1, END, "NotReady")]


def test_what_a_dying_container_was_is_not_claimed() -> None:
    """Between a Restart and the new container the state is unknown; a crash is known only from the last success on; the new container begins NotReady."""
    one = probe("......  ..", decisions=[(7, READY)])
    started = event(8, EventKind.CONTAINER_STARTED)
    assert told([one], started) == [(0.1, 5.1, "Ready"), (8, 8.1, "NotReady"), (8.1, END, "Ready")]
    killed = probe("xxx", kind=ProbeType.LIVENESS, decisions=[(3, RESTART)])
    assert told([one, killed], started) == [(0.1, 2.1, "Ready"), (8, 8.1, "NotReady"), (8.1, END, "Ready")]
    other = probe("xxx", kind=ProbeType.LIVENESS, decisions=[(3, RESTART)], container="proxy")
    assert told([one, other], started) == told([one], started)
    assert told([probe("......"), killed]) == [(0.1, 2.1, "Ready")]


def test_silence_ends_knowledge() -> None:
    """Where attempts that were due did not come the state is unknown, and known again when they do."""
    one = probe("...          ...", gaps=(Gap(start_ns=ns(2), end_ns=ns(13), expected=10, reason=""),))
    assert told([one]) == [(0.1, 3, "Ready"), (13, END, "Ready")]
    few = probe("...  ...", gaps=(Gap(start_ns=ns(2), end_ns=ns(5), expected=2, reason=""),))
    assert told([few]) == [(0.1, END, "Ready")]


def test_holes_and_new_kubelets_need_new_evidence() -> None:
    """After a hole between files, and after a kubelet's restart, nothing holds that was known before."""
    one = probe("...       xxx", threshold=3)
    assert told([one], event(3, EventKind.CAPTURE_GAP, address="", container=None)) == [(0.1, 3, "Ready"), (12.1, END, "NotReady")]
    again = probe("...       ...")
    assert told([again], event(10, EventKind.KUBELET_RESTARTED, address=NODE, container=None)) == [(0.1, 10, "Ready"), (10.1, END, "Ready")]
    assert told([again], event(10, EventKind.KUBELET_RESTARTED, address="10.9.9.9", container=None)) == [(0.1, END, "Ready")]
    assert told([probe("...")], event(3, EventKind.CAPTURE_GAP, address="", container=None)) == [(0.1, 3, "Ready")]


def test_deletion_ends_it() -> None:
    """From a Pod's deletion on nothing is said: endpoints drop it, whatever its probes find."""
    assert told([probe("......")], event(3, EventKind.POD_TERMINATING, container=None)) == [(0.1, 3, "Ready")]


def test_without_readiness_success_stands_for_ready() -> None:
    """For a Pod without a readiness probe: from a success to the next attempt that is none; never NotReady."""
    one = probe("..x.", kind=ProbeType.LIVENESS)
    found = [(round((s.start_ns - ns(0)) / 1e9, 3), round((s.end_ns - ns(0)) / 1e9, 3), str(s.state)) for s in succeeding([one], [], ns(END))]
    assert found == [(0.1, 2, "Ready"), (3.1, END, "Ready")]
