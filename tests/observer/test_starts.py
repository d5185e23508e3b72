"""Containers that are killed before they are up: told as a start that was too slow only where a later one shows that it was.

Covers `probes.starts`.
"""

from __future__ import annotations

import pytest
from make import (
    HTTP,
    LIVENESS,
    NODE,
    NODE6,
    OPENED,
    POD,
    POD6,
    READINESS,
    STARTUP,
    answer,
    edge,
    every,
    frames,
    ns,
    probes,
    request,
    spec,
    timeline_of,
)

from probewatch.decisions.outages import By, outages
from probewatch.model.book import AddressBook
from probewatch.model.diagnoses import Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec
from probewatch.model.timeline import Cause, DecisionKind, Probe, Timeline
from probewatch.report.reasons import telling
from probewatch.report.verdict import judge

BOTH = pytest.mark.parametrize("family", [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])


def watch(server: str, scripts: list[tuple[float, str, str]], *declared: ProbeSpec) -> Timeline:
    """Return what conversations show; they begin 20 s after the capture did."""
    pod = PodSpec(source="web.yaml", name="web", addresses=(server,), containers=(ContainerSpec(name="app", probes=declared),))
    return timeline_of([edge(), *frames(*sorted(scripts))], AddressBook(pods={server: (pod,)}))


def told(probe: Probe) -> dict[str, Diagnosis]:
    """Return a probe's diagnoses by kind."""
    return {one.kind: one for one in probe.diagnoses}


@BOTH
def test_a_start_that_liveness_cuts_short(family: tuple[str, str]) -> None:
    """Refused until liveness kills it, twice, and answered at last: the port is right, the start needs more time, with the numbers."""
    client, server = family
    ends = {"client": client, "server": server}
    refused = probes([*every(2, 3), *every(2, 3, 8)], "refused", port=9000, **ends)
    asked = probes([*every(2, 3, 0.7), *every(2, 3, 8.7)], "refused", **ends)
    good = probes(every(2, 8, 16), port=9000, **ends) + probes(every(2, 8, 16.7), **ends)
    live, ready = spec(LIVENESS, port=9000, period_s=2), spec(period_s=2)
    whole = watch(server, [*refused, *asked, *good], ready, live)
    found = {probe.type: probe for probe in whole.probes}
    assert judge(found[LIVENESS], whole).sentence.startswith("restarted twice before it was up: refused")
    one = told(found[LIVENESS])[Kind.KILLED_WHILE_STARTING]
    assert Kind.NOTHING_LISTENS not in told(found[LIVENESS])
    assert one.attempts == (1, 2, 3, 4, 5, 6)
    assert "killed twice before it had ever answered" in one.sentence
    assert "at most 6 s (failureThreshold 3 x periodSeconds 2)" in one.sentence
    assert "startupProbe" in one.advice
    assert not one.harmless


@BOTH
def test_a_start_that_its_startup_probe_cuts_short(family: tuple[str, str]) -> None:
    """What is to be raised is the startup probe's own threshold."""
    client, server = family
    starts = [*every(3, 4), *every(3, 3, 15)]
    scripts = probes(starts, "refused", client=client, server=server) + probes([24], client=client, server=server)
    scripts += probes(every(3, 4, 24.003), path="/live", client=client, server=server)
    startup, live = spec(STARTUP, period_s=3, failure_threshold=4), spec(LIVENESS, HTTP, path="/live", period_s=3)
    found = {probe.type: probe for probe in watch(server, scripts, startup, live).probes}
    one = told(found[STARTUP])[Kind.KILLED_WHILE_STARTING]
    assert one.attempts == (1, 2, 3, 4)
    assert told(found[STARTUP])[Kind.STILL_STARTING].attempts == (5, 6, 7)
    assert one.advice.startswith("Raise the startup probe's failureThreshold")


@BOTH
def test_what_never_answers_may_be_the_wrong_port(family: tuple[str, str]) -> None:
    """Killed again and again, and no container ever answered: nothing shows that more time would help."""
    client, server = family
    scripts = probes([*every(2, 3), *every(2, 3, 8), *every(2, 3, 16)], "refused", client=client, server=server)
    (probe,) = watch(server, scripts, spec(LIVENESS, period_s=2)).probes
    assert Kind.KILLED_WHILE_STARTING not in told(probe)
    assert Kind.NOTHING_LISTENS in told(probe)


@BOTH
def test_what_had_answered_was_not_starting(family: tuple[str, str]) -> None:
    """A container that worked, stopped and is killed for it did not start too slowly, though the next one works too."""
    client, server = family
    ends = {"client": client, "server": server}
    scripts = probes([*every(2, 5), *every(2, 5, 20)], **ends) + probes(every(2, 3, 10), "refused", **ends)
    (probe,) = watch(server, scripts, spec(LIVENESS, period_s=2)).probes
    assert [d.kind for d in probe.decisions] == ["restart"]
    assert Kind.KILLED_WHILE_STARTING not in told(probe)


@BOTH
def test_a_successor_that_is_asked_on_the_old_grid(family: tuple[str, str]) -> None:
    """Killed, held back for 12 s, and poked by chance when a tick was due: the missing ticks show that it had ended.

    So it is Ready again at that attempt, was out of service until then, and the pause is one of the kubelet's back-off.
    """
    client, server = family
    ends = {"client": client, "server": server}
    ready = probes([*every(3, 4, 0.9), *every(3, 6, 24.9)], **ends) + probes([12.9], "refused", **ends)
    live = probes([*every(3, 3, 3)], port=9000, **ends) + probes(every(3, 1, 12), "503", port=9000, **ends)
    after = probes(every(3, 5, 27), port=9000, **ends)
    liveness = spec(LIVENESS, port=9000, period_s=3, failure_threshold=1, initial_delay_s=2)
    timeline = watch(server, [*ready, *live, *after], spec(period_s=3), liveness)
    found = {probe.type: probe for probe in timeline.probes}
    readiness = found[READINESS]
    assert [(d.kind, d.attempt) for d in readiness.decisions] == [(DecisionKind.READY, 1), (DecisionKind.READY, 6)]
    (gone,) = outages(readiness, timeline)
    assert (gone.by, gone.restarted_by) == (By.CONTAINER, LIVENESS)
    assert [(round(at / 1e9, 1)) for at in (gone.start_ns - ns(0), (gone.end_ns or 0) - ns(0))] == [12.0, 24.9]


ENDINGS = [
    pytest.param("< PA {ok}\n > A\n > FA\n < FA\n > A", Cause.OK, id="answered"),
    pytest.param("< FA\n > FA\n < A", Cause.CLOSED_BEFORE_ANSWER, id="closed"),
]


@BOTH
@pytest.mark.parametrize(("end", "cause"), ENDINGS)
def test_what_is_under_way_at_the_kill_shows_when_it_ended(family: tuple[str, str], end: str, cause: Cause) -> None:
    """An attempt that began before the Restart and was answered after it, or cut off by the process' end: it was there until then."""
    client, server = family
    ends = {"client": client, "server": server}
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    between = f"{f'[{client}]' if ':' in client else client}:41000 > {host}"
    slow = f"{OPENED}> PA {request('/ready', host)}\n < A\n +1600ms {end.replace('{ok}', answer())}"
    ready = [*probes([*every(3, 4, 0.9), *every(3, 6, 14.8)], **ends), (12.9, between, slow)]
    live = probes([*every(3, 3, 4), *every(3, 5, 16)], port=9000, **ends) + probes([13.0], "503", port=9000, **ends)
    liveness = spec(LIVENESS, port=9000, period_s=3, failure_threshold=1)
    timeline = watch(server, [*ready, *live], spec(period_s=3, timeout_s=2), liveness)
    found = {probe.type: probe for probe in timeline.probes}
    assert found[READINESS].attempts[4].cause is cause
    (gone,) = outages(found[READINESS], timeline)
    assert round((gone.start_ns - ns(0)) / 1e9, 1) == 14.5
    assert gone.restarted_by is LIVENESS


@BOTH
@pytest.mark.parametrize(("again", "dead"), [("refused", True), ("503", False)])
def test_what_was_asked_while_the_process_died(family: tuple[str, str], again: str, dead: bool) -> None:
    """Closed without an answer, then nothing of that container answers: it died in that moment; where it still answers it did not."""
    client, server = family
    ends = {"client": client, "server": server}
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    between = f"{f'[{client}]' if ':' in client else client}:41000 > {host}"
    closed = f"{OPENED}> PA {request('/ready', host)}\n < A\n +200ms < FA\n > FA\n < A"
    scripts = [*probes([*every(1, 10), *every(1, 8, 14.45)], **ends), (10.0, between, closed), *probes([11.0], again, **ends)]
    (probe,) = watch(server, scripts, spec()).probes
    (one,) = [each for each in probe.diagnoses if each.kind == Kind.CLOSED_UNANSWERED]
    assert one.attempts == (11,)
    assert ("because the container ended then" in one.sentence) is dead
    assert ("OOMKilled" in one.check) is dead


@BOTH
def test_the_failure_that_tells_is_at_the_containers_end(family: tuple[str, str]) -> None:
    """Not the start's harmless refusal, nor the shorter outage's: what failed when the container ended that was away longest."""
    client, server = family
    ends = {"client": client, "server": server}
    good = probes([*every(1, 6, 2), *every(1, 6, 9.4), *every(1, 6, 28.7)], **ends)
    bad = probes([0, 1, 8, 8.4, 15.4], "refused", **ends)
    (probe,) = watch(server, [*good, *bad], spec()).probes
    found = telling(probe)
    assert found is not None
    assert round((found.start.ns - ns(0)) / 1e9, 1) == 15.4
