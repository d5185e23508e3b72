"""Containers that are killed before they are up: told as a start that was too slow only where a later one shows that it was."""

from __future__ import annotations

import pytest
from make import HTTP, LIVENESS, NODE, NODE6, POD, POD6, STARTUP, every, frames, ns, probes, spec

from probewatch.model.book import AddressBook
from probewatch.model.diagnoses import Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.frame import Frame
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec
from probewatch.model.timeline import Probe, Timeline
from probewatch.observer import Observer, Settings

BOTH = pytest.mark.parametrize("family", [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])


def watch(server: str, scripts: list[tuple[float, str, str]], *declared: ProbeSpec) -> Timeline:
    """Return what conversations show; they begin 20 s after the capture did."""
    pod = PodSpec(source="web.yaml", name="web", addresses=(server,), containers=(ContainerSpec(name="app", probes=declared),))
    observer = Observer(Settings(book=AddressBook(pods={server: (pod,)})))
    observer.feed(Frame(ns(-20), 0, 0, 0, 1, b"\xff" * 12 + b"\x88\xcc" + bytes(46), 60))
    for one in frames(*sorted(scripts)):
        observer.feed(one)
    return observer.finish()


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
    found = {probe.type: probe for probe in watch(server, [*refused, *asked, *good], ready, live).probes}
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
