"""A container that is restarted again and again is named, with how often and how long it was held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from probewatch.model.diagnoses import BACK_OFF, Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    BACKING_OFF,
    TO_THE_END,
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
from probewatch.model.units import SECOND as S
from probewatch.observer.together import held_back
from probewatch.probes.patterns import explain

BOTH = pytest.mark.parametrize("server", ["10.128.0.10", "fd10:244::10"])


def probe(
    kind: ProbeType, server: str, good: Sequence[float], bad: Sequence[float] = (), kills: Sequence[float] = (), until: float = 0
) -> Probe:
    """Return a probe with attempts at these seconds; each of `kills` is one that decided a Restart."""
    attempts = []
    for n, at in enumerate(sorted([*good, *bad]), 1):
        ok, start = at in good, Mark(round(at * S), 0, 10 * n)
        attempts.append(Attempt(n=n, start=start, end_ns=start.ns, end_mark=start, outcome=Outcome.SUCCESS if ok else Outcome.FAILURE,
                                cause=Cause.OK if ok else Cause.REFUSED))  # fmt: skip
    decisions = tuple(
        Decision(ns=a.end_ns, kind=DecisionKind.RESTART, before="Live", after="Restart", attempt=a.n, mark=a.start, streak=3, threshold=3,
                 threshold_source="declared")
        for a in attempts if a.start.ns / S in kills
    )  # fmt: skip
    gaps = (Gap(start_ns=attempts[-1].start.ns, end_ns=round(until * S), expected=9, reason="silent"),) if until else ()
    return Probe(id=kind.value, checker=Checker(kind="kubelet", address="10.128.0.1"), target=Target(address=server, port=80), type=kind,
                 type_source="declared", handler=Handler.HTTP_GET, attempts=tuple(attempts), decisions=decisions, gaps=gaps,
                 thresholds={"periodSeconds": (1, "declared")})  # fmt: skip


def found(begun: Sequence[float], *probes: Probe) -> list[tuple[str, Diagnosis]]:
    """Return the loops told, and by which probe."""
    address = probes[0].target.address
    events = [TimelineEvent(ns=round(at * S), kind=EventKind.CONTAINER_STARTED, address=address) for at in begun]
    told = explain(probes, events)
    return [(one.id, diagnosis) for one in told for diagnosis in one.diagnoses if diagnosis.kind == Kind.RESTART_LOOP]


@BOTH
def test_it_exits_by_itself(server: str) -> None:
    """A crash loop: no probe decides anything, the new containers come after growing pauses without an attempt."""
    good = [0, 1, 2, 4, 5, 6, 17, 18, 19, 40, 41]
    ((who, loop),) = found([0, 4, 17, 40], probe(ProbeType.READINESS, server, good, [3, 7, 20]))
    assert who == "readiness"
    assert loop.sentence == (
        "The container ended 3 times within 38.00 s, and ran again after 2.00 s, 11.00 s and 21.00 s. A pause of 21.00 s with 20.00 s "
        "in which it was not probed at all fits the kubelet's back-off (CrashLoopBackOff): 10 s at first, then twice as long each "
        "time, up to 5 min."
    )
    assert loop.says == ("Back-off restarting failed container",)
    assert loop.attempts == (5, 9, 13)  # the first that met each new container
    assert len(loop.evidence) == 3


@BOTH
def test_a_probe_has_it_restarted(server: str) -> None:
    """The probe that decides tells it, with the attempts that decided; the last pause may still last at the end."""
    ready = probe(ProbeType.READINESS, server, [*range(8), *range(9, 15)], until=40)
    live = probe(ProbeType.LIVENESS, server, [0, 1, 9.5], [6, 7, 8, 14.5], kills=[8, 14.5], until=40)
    ((who, loop),) = found([0, 9], ready, live)
    assert who == "liveness"
    assert loop.sentence.startswith(
        "The container ended twice within 6.50 s, and ran again after 1.00 s; no new one was seen in the 25.50 s after its last end. "
        "A pause of 25.50 s in which it was not probed at all fits the kubelet's back-off (CrashLoopBackOff)"
    )
    assert loop.attempts == (5, 7)


@BOTH
def test_pauses_that_grow_are_the_kubelets_wait(server: str) -> None:
    """Where each pause is about twice the one before, a slow end is no other reading, whether a readiness probe tells or not."""
    live = probe(ProbeType.LIVENESS, server, [0, 13, 36, 80], [2, 15, 38, 82], kills=[2, 15, 38, 82])
    ((who, loop),) = found([0, 13, 36, 80], live)
    assert who == "liveness"
    assert "after 11.00 s, 21.00 s and 42.00 s. Such growing pauses fit the kubelet's back-off (CrashLoopBackOff)" in loop.sentence
    assert "that long to end" not in loop.sentence


@BOTH
def test_what_ends_before_it_answers_is_held_back_too(server: str) -> None:
    """No new container is seen to begin where all attempts are refused: growing pauses between them tell; steady ones, or few, do not."""
    bad = [0, 0.1, 11.4, 11.5, 33, 33.1, 74, 74.1]
    ((who, loop),) = found([0], probe(ProbeType.READINESS, server, [], bad))
    assert who == "readiness"
    assert "nothing was probed for 11.30 s, 21.50 s, 40.90 s. Such growing pauses fit the kubelet's back-off" in loop.sentence
    assert loop.attempts == (3, 5, 7)
    for other in ([0, 11, 22, 33, 44, 55], [0, 11.4, 33], [0, 1, 2, 3, 4, 5], [0, 40, 60, 71]):
        assert found([0], probe(ProbeType.READINESS, server, [], other)) == []
    assert found([0], probe(ProbeType.READINESS, server, [33], [0, 11.4, 74])) == []


def test_a_pause_with_too_few_attempts_due_is_left_open() -> None:
    """A readiness probe each 10 s cannot tell 12 s without a container from a slow end: both are named."""
    ready = replace(probe(ProbeType.READINESS, "10.128.0.10", [0, 22, 32, 44], [3]), thresholds={"periodSeconds": (10, "declared")})
    live = probe(ProbeType.LIVENESS, "10.128.0.10", [0, 22, 44], [10, 32], kills=[10, 32])
    ((_, loop),) = found([0, 22, 44], ready, live)
    assert "or the container takes that long to end" in loop.sentence


def test_what_takes_long_to_end_is_told_apart() -> None:
    """Readiness that goes on through the pause shows a container that still ends; where none is asked, both are named."""
    live = probe(ProbeType.LIVENESS, "10.128.0.10", [0, 21], [3, 24, 45], kills=[3, 24, 45])
    ((_, loop),) = found([0, 20, 41], live)
    assert "or the container takes that long to end, which no readiness probe tells apart" in loop.sentence
    ready = probe(ProbeType.READINESS, "10.128.0.10", [*range(46)])
    ((_, loop),) = found([0, 20, 41], ready, live)
    told = "In none of these pauses did probes stop for as long as the kubelet's back-off (CrashLoopBackOff, 10 s at first) takes."
    assert loop.sentence.endswith(told)
    assert BACK_OFF not in loop.sentence  # (verdicts would name it as what it is)


@pytest.mark.parametrize(
    ("begun", "good"),
    [
        ([0], range(30)),  # one start
        ([0, 10, 20], range(30)),  # two restarts without a pause
        ([0, 700, 1400, 2100], range(2200)),  # each of them long after the one before
    ],
)
def test_a_few_restarts_are_no_loop(begun: Sequence[float], good: Sequence[float]) -> None:
    """Few restarts, and such that the kubelet has forgotten, are not called a loop."""
    assert found(begun, probe(ProbeType.READINESS, "10.128.0.10", list(good))) == []


@BOTH
@pytest.mark.parametrize(("bad", "until", "held"), [([3, 7, 20, 42], 60, True), ([3, 7, 20, 42], 400, False), ([3, 7, 20], 60, False)])
def test_silence_at_the_end_of_a_loop_is_the_back_off_first(server: str, bad: Sequence[float], until: float, held: bool) -> None:
    """Where restarts showed the back-off and the container has gone again, that is named before all else; not for longer than it lasts."""
    good = [0, 1, 2, 4, 5, 6, 17, 18, 19, 40, 41]
    ready = probe(ProbeType.READINESS, server, good, bad, until=until)
    ready = replace(ready, gaps=tuple(replace(gap, reason=TO_THE_END) for gap in ready.gaps))
    events = [TimelineEvent(ns=round(at * S), kind=EventKind.CONTAINER_STARTED, address=server) for at in (0, 4, 17, 40)]
    (told,) = held_back(explain([ready], events))
    assert told.gaps[-1].reason == (BACKING_OFF + TO_THE_END if held else TO_THE_END)
    (alone,) = held_back(explain([ready], events[:1]))
    assert alone.gaps[-1].reason == TO_THE_END
