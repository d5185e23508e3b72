"""One probe that hangs hides no other: what is complete is shown while older connections of its address are still open."""

from __future__ import annotations

import json

import pytest
from make import LIVENESS, NODE, NODE6, OPENED, answer, every, frames, ns, probes, request, spec

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.frame import Frame
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec
from probewatch.observer import Observer, Settings
from probewatch.report.document import document
from probewatch.report.ndjson import Writer, fold

NODES = pytest.mark.parametrize("node", [NODE, NODE6])
HOW = pytest.mark.parametrize("declared", [True, False])


def _book(node: str, *, declared: bool) -> AddressBook:
    """Return a node with two hostNetwork Pods, one of which hangs for 20 s."""
    pods = {
        "slow": (spec(LIVENESS, port=7001, period_s=25, timeout_s=20, path="/healthz"),),
        "dns": (spec(port=7002, period_s=2), spec(LIVENESS, port=7002, period_s=3, path="/livez", failure_threshold=9)),
    }

    def made(name: str, probes: tuple[ProbeSpec, ...]) -> PodSpec:
        return PodSpec(
            source="pod.yaml", addresses=(node,), namespace="shop", name=name, host_network=True,
            containers=(ContainerSpec(name="app", probes=probes),),
        )  # fmt: skip

    return AddressBook(
        nodes={node: (NodeAddress(address=node, node="node-a", source="--node-ip", rank=1),)},
        pods={node: tuple(made(*one) for one in pods.items())} if declared else {},
    )


def _frames(node: str) -> list[Frame]:
    how = {"client": node, "server": node}
    return frames(*sorted([
        *probes(every(2, 4, 0.3), port=7002, **how), *probes(every(2, 14, 8.3), "503", port=7002, **how),
        *probes(every(3, 3, 0.7), port=7002, path="/livez", **how), *probes(every(3, 8, 9.7), "503", port=7002, path="/livez", **how),
        *probes([1.1], "hung", port=7001, path="/healthz", timeout=20, **how),
    ]))  # fmt: skip


def _observer(node: str, *, declared: bool, early: bool = False) -> Observer:
    return Observer(Settings(heard=early, early=early, book=_book(node, declared=declared)))


@HOW
@NODES
def test_what_is_complete_is_shown_within_a_second_whatever_hangs_at_its_address(node: str, declared: bool) -> None:
    """The attempts of the other Pod are shown once each, as soon as they have their outcome, and the decision with them."""
    seen = _observer(node, declared=declared)
    coming, now, late, shown, ready = _frames(node), ns(0), {}, [], {}
    while now < ns(60):
        now += ns(0.1) - ns(0)
        while coming and coming[0].ns <= now:
            seen.feed(coming.pop(0))
        seen.advance(now)
        for one in seen.glimpse():
            if one.probe.target.port == 7002 and not one.again:
                late[one.attempt.start.ns] = now - one.attempt.end_ns
                shown.append(one.attempt.start.ns)
            if one.decision is not None:
                ready.setdefault((one.probe.target.port, one.decision.after), now)
    assert len(shown) == len(set(shown)) == 29
    assert max(late.values()) < ns(1) - ns(0)
    if declared:
        assert ready[7002, "NotReady"] < ns(14)  # three failures from +8.3 on, while the other hangs until +21.1


@HOW
@NODES
def test_looking_ahead_changes_nothing(node: str, declared: bool) -> None:
    """The timeline is the same, looked at or not, told early or at the end; and the lines of NDJSON come to the same document."""
    plain, looked, early = (_observer(node, declared=declared, early=one) for one in (False, False, True))
    out: list[str] = []
    writer = Writer(out.append)

    def told() -> None:
        for change in early.take():
            writer.change(change.kind, change.id, change.rev, change.probe, None if change.gone else change.value)

    for frame in _frames(node):
        for one in (plain, looked, early):
            one.feed(frame)
        looked.glimpse()
        told()
    timelines = [one.finish() for one in (plain, looked, early)]
    told()
    writer.end(timelines[2])
    lines = [json.loads(line) for line in out]
    without_ids = [
        [(probe.type, probe.target, tuple(probe.attempts), probe.decisions) for probe in timeline.probes] for timeline in timelines
    ]
    assert document(timelines[0]) == document(timelines[1])
    assert without_ids[0] == without_ids[2]
    assert fold(lines) == json.loads(json.dumps(document(timelines[2])))
    hung = next(probe.id for probe in timelines[2].probes if probe.target.port == 7001)
    again = {line["probe"] for line in lines if line["event"] == "attempt" and line["rev"] > 1}
    assert not declared or again <= {hung}  # (whose close comes later)


@NODES
def test_a_hop_that_hangs_is_waited_for(node: str) -> None:
    """A redirect whose next hop is still open is not shown as one whose hop is missing."""
    how = {"client": node, "server": node}
    seen = _observer(node, declared=True)
    host = f"[{node}]" if ":" in node else node
    away = answer("302 Found", "", "Location: /slow\\r\\n")
    hop = f"""
        {OPENED}
        > PA {request(host=f"{host}:7002")}
        < A
        < PA {away}
        > FA
        < FA
        > A
    """
    first = (8.3, f"{host}:45001 > {host}:7002", hop)
    for frame in frames(*probes(every(2, 4, 0.3), port=7002, **how), first, *probes([8.31], "hung", port=7002, path="/slow", **how)):
        if frame.ns < ns(8.9):
            seen.feed(frame)
    seen.advance(ns(8.9))
    assert [one.attempt.cause.value for one in seen.glimpse() if one.attempt.start.ns > ns(8)] == []


@NODES
def test_a_failure_that_silence_shows_is_shown_a_second_after_its_timeout(node: str) -> None:
    """Unanswered SYNs of a Pod with a timeout of 1 s are not held for another Pod's timeout of 20 s; what comes of them is the same."""
    seen = _observer(node, declared=True)
    how = {"client": node, "server": node, "port": 7002}
    coming = frames(*probes(every(2, 4, 0.3), **how), *probes([8.3], "unanswered", **how))
    now, told = ns(0), {}
    while now < ns(40):
        now += ns(0.1) - ns(0)
        while coming and coming[0].ns <= now:
            seen.feed(coming.pop(0))
        seen.advance(now)
        for one in seen.glimpse():
            assert one.attempt.start.ns not in told
            told[one.attempt.start.ns] = now
    assert len(told) == 5
    assert told[max(told)] - max(told) <= ns(6) - ns(0)  # (5 s of silence, after which a connection is looked at)
