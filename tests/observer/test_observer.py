# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Frames in, a timeline out: the same however they come, and no kubelet without a decisive sign.

Covers `observer`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from builder import MS, S
from hypothesis import given
from hypothesis import strategies as st
from make import (
    GRPC,
    HTTP,
    LIVENESS,
    NODE,
    NODE6,
    OPENED,
    POD,
    POD6,
    READINESS,
    TCP,
    UNKNOWN,
    edge,
    every,
    frames,
    kubelets,
    ns,
    probes,
    request,
    spec,
    timeline_of,
)
from truth import frames_of

from probewatch.cluster import build_book, read_specs
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.frame import Frame
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec
from probewatch.model.timeline import UNDECLARED, Cause, DecisionKind, EventKind, Outcome, Timeline
from probewatch.observer import Change, Observer, Settings, senders, typed
from probewatch.probes.inference import Guess
from probewatch.report import text
from probewatch.report.verdict import Level, judge

FLAP = [*probes([0, 0.001, 1.001, 2.001]), *probes([3.001, 4.001, 5.001, 5.003, 6.003], "503"), *probes([7.003, 8.003, 9.003])]
"""A container that begins, loses Ready, comes back."""
SIX = {"client": NODE6, "server": POD6}


def watch(*scripts: tuple[float, str, str], book: AddressBook | None = None, before: Sequence[Frame] = ()) -> Timeline:
    """Return the timeline of conversations; without a sign of their own they begin 20 s after the capture did."""
    return timeline_of([*(before or [edge()]), *frames(*scripts)], book)


def pod_of(*declared: ProbeSpec, address: str = POD, name: str = "web-1", **how: Any) -> PodSpec:
    """Return a Pod of one container."""
    return PodSpec(source=f"{name}.yaml", name=name, addresses=(address,), containers=(ContainerSpec(name="app", probes=declared),), **how)


def book_of(*pods: PodSpec, nodes: Sequence[str] = ()) -> AddressBook:
    """Return an address book."""
    return AddressBook(pods={address: (pod,) for pod in pods for address in pod.addresses},
                       nodes={address: (NodeAddress(address=address, node="node-a", source="--node-ip", rank=1),) for address in nodes})


def cooked(frame: Frame, here: str) -> Frame:
    """Return a frame as `any` shows it on the machine with this address: outgoing where it comes from there."""
    six = frame.data[12:14] == b"\x86\xdd"
    source = frame.data[22:38] if six else frame.data[26:30]
    way = 4 if source == ip_address(here).packed else 0
    loopback = source == (frame.data[38:54] if six else frame.data[30:34])
    data = struct.pack("!HHH8s", way, 772 if loopback else 1, 6, bytes(8) if loopback else frame.data[6:12]) + frame.data[12:]
    return frame._replace(link_type=113, data=data, original_length=len(data))


@pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])
def test_a_kubelet_that_reaches_only_itself(node: str, pod: str) -> None:
    """On the node what goes from the Pod's address to itself is its kubelet's, for the address is also the node's; in the Pod it is the Pod's."""
    asked = [
        *probes([0, 1, 2], client=node, server=pod), *probes([3, 4, 5], "refused", client=pod, server=pod),
        *probes([5.002, 6, 7], "refused", client=pod, server=pod), *probes([8, 9, 10], client=node, server=pod),
    ]  # fmt: skip
    declared = pod_of(spec(), address=pod)
    found = {}
    for here in (node, pod):
        observer = Observer(Settings(book=book_of(declared)))
        for one in frames(*asked):
            observer.feed(cooked(one, here))
        found[here] = [(probe.checker.kind, probe.checker.address, len(probe.attempts), [d.kind for d in probe.decisions])
                       for probe in observer.finish().probes]
    ((kind, address, attempts, decided),) = found[node]
    assert (kind, address, attempts) == ("kubelet", node, 12)
    assert DecisionKind.NOT_READY in decided
    assert [(kind, address, attempts) for kind, address, attempts, _ in found[pod] if kind == "kubelet"] == [("kubelet", node, 6)]


@pytest.mark.parametrize("sender", ["the node", "another machine", "what the node passes on"])
@pytest.mark.parametrize(("node", "other", "pod"), [(NODE, "10.128.1.254", POD), (NODE6, "fd00:10:128::fff", POD6)])
def test_another_address_of_the_same_node(node: str, other: str, pod: str, sender: str) -> None:
    """What the kubelet's machine sends itself from another address, as a kubelet does, is its kubelet's; what others send is not."""
    asked = [*probes([0, 1, 2, 3], client=node, server=pod), *probes([4, 5, 6], "unanswered", client=other, server=pod),
             *probes([7, 8, 9], client=node, server=pod)]  # fmt: skip
    observer = Observer(Settings(book=book_of(pod_of(spec(), address=pod))))
    for one in frames(*asked):
        data = bytearray(one.data)
        if ip_address(other).packed in one.data[:54]:
            if sender != "another machine":
                data[6:12] = b"\x02" + ip_address(node).packed[-5:].rjust(5, b"\0")
            if sender == "what the node passes on":
                data[21 if ":" in node else 22] = 63
        observer.feed(one._replace(data=bytes(data)))
    (probe,) = kubelets(observer.finish())
    assert (probe.checker.address, len(probe.attempts)) == (node, 10 if sender == "the node" else 7)


@pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])
def test_a_known_node_changes_no_decision(node: str, pod: str) -> None:
    """Where the node's address is known attempts count at once; the kubelet's version, told by later ones, counts all the same."""
    ways = {"client": node, "server": pod}
    late = [0.969, 1.973, 2.97, 3.972, 4.972, 8.084, 8.972, 9.973, 10.972, 11.972, 12.972, 13.972, 14.972, 15.969]
    stood_still = [*probes([0, 0.024], "refused", **ways), *probes(late, **ways)]
    said = []
    for nodes in ((), (node,)):
        (probe,) = kubelets(watch(*stood_still, book=book_of(pod_of(spec(), address=pod), nodes=nodes)))
        said.append(([(one.trigger, one.schedule) for one in probe.attempts], [(d.kind, d.attempt) for d in probe.decisions],
                     [gap.reason for gap in probe.gaps]))  # fmt: skip
    assert said[0] == said[1]
    assert [kind for kind, _ in said[0][1]] == [DecisionKind.READY]


# The same however it comes.


def test_time_that_passes_between_frames_changes_nothing(kubelet_scenario) -> None:
    """Live and offline are the same code: with time passing every 100 ms and everything taken at once, the timeline is the one of a single pass."""
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    recorded = frames_of(kubelet_scenario)
    offline, live = Observer(Settings(book=book)), Observer(Settings(book=book))
    for one in recorded:
        offline.feed(one)
    now = recorded[0].ns
    for one in recorded:
        while now + 100 * MS < one.ns:
            now += 100 * MS
            live.advance(now)
            live.take()
        live.feed(one)
    expected, got = offline.finish(), live.finish()
    assert [probe.attempts for probe in got.probes] == [probe.attempts for probe in expected.probes]
    assert got == expected


def test_a_probe_that_a_mesh_answers_says_so() -> None:
    """The same packets with Istio's path are still the kubelet's ; a note says who answers (the path of a real capture, overwritten)."""
    observer, plain = Observer(), Observer()
    for one in frames_of(Path(__file__).parents[2] / "captures" / "http-flap-s1"):
        plain.feed(one)
        observer.feed(one._replace(data=one.data.replace(b"/flap?block=5", b"/app-health/x")))
    before, after = plain.finish().probes, observer.finish().probes
    assert [probe.checker.kind for probe in after] == [probe.checker.kind for probe in before]
    assert [len(probe.decisions) for probe in after] == [len(probe.decisions) for probe in before]
    assert any("Istio's agent answers this probe" in note for note in after[0].notes)
    assert not any("Istio" in note for probe in before for note in probe.notes)


def test_changes_are_the_timeline(kubelet_scenario) -> None:
    """What was told as changes is what the timeline holds, each thing once under its last revision."""
    observer = Observer()
    changes: list[Change] = []
    for one in frames_of(kubelet_scenario):
        observer.feed(one)
        changes += observer.take()
    timeline = observer.finish()
    changes += observer.take()
    last = {(change.kind, change.id): change for change in sorted(changes, key=lambda change: change.rev)}
    told = {kind: [change.value for (what, _), change in last.items() if what == kind] for kind in ("probe", "attempt", "decision", "event", "gap", "other")}
    assert told["probe"] == list(timeline.probes)
    assert told["attempt"] == [attempt for probe in timeline.probes for attempt in probe.attempts]
    assert told["decision"] == [decision for probe in timeline.probes for decision in probe.decisions]
    assert told["event"] == list(timeline.events)
    assert told["other"] == list(timeline.others)


def test_attempts_are_told_before_the_end() -> None:
    """A long capture tells what has settled while it goes on, each attempt first with revision 1 and its own id."""
    observer = Observer(Settings(book=book_of(pod_of(spec()))))
    early: list[Change] = []
    for one in frames(*probes(every(1, 300))):
        observer.feed(one)
        early += observer.take()
    attempts = [change for change in early if change.kind == "attempt"]
    assert len(attempts) > 100
    assert {change.rev for change in attempts} == {1}
    assert len({change.id for change in attempts}) == len(attempts)
    assert observer.finish().probes[0].attempts[:50] == tuple(change.value for change in attempts[:50])


def test_undecided_runs_are_bounded(monkeypatch) -> None:
    """A source that nothing proves costs no more than WAITING runs: then the last word is said with what there is."""
    monkeypatch.setattr(senders, "WAITING", senders.ASKED)
    observer = Observer()
    for one in frames(*probes(every(1, 40), "connected")):
        observer.feed(one)
        assert sum(len(held) for target in observer._targets.values() for held in target.undecided().values()) <= senders.ASKED
    assert observer.finish().probes


def test_nothing_fed() -> None:
    """No frame, no probe."""
    assert Observer().finish().probes == ()


# Who is a kubelet.


@pytest.mark.parametrize("ends", [{}, SIX], ids=["v4", "v6"])
def test_a_story_from_packets_alone(ends) -> None:
    """A readiness probe that flaps, from its frames: kubelet by User-Agent and grid, type by its pokes, decisions with their attempts."""
    story = [*probes([0, 0.001, 1.001, 2.001], **ends), *probes([3.001, 4.001, 5.001, 5.003, 6.003], "503", **ends), *probes([7.003, 8.003, 9.003], **ends)]
    (probe,) = kubelets(watch(*story))
    assert (probe.type, probe.handler, probe.path, probe.target.address, probe.target.port) == (READINESS, HTTP, "/ready", ends.get("server", POD), 8080)
    assert probe.checker.version == "1.36"
    assert [decision.kind for decision in probe.decisions] == [DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.READY]
    assert probe.decisions[1].confirmed is True
    assert (probe.decisions[1].attempt, probe.decisions[1].streak) == (7, 3)
    assert probe.final_state == "Ready"


def test_declared_probe() -> None:
    """With a Pod its names, types and thresholds are the declared ones."""
    story = [*probes([0, 0.001, 1.001, 2.001]), *probes([3.001, 4.001, 5.001, 6.001, 7.001, 7.003], "503")]
    (probe,) = watch(*story, book=book_of(pod_of(spec(failure_threshold=5)))).probes
    assert (probe.target.pod, probe.target.container, probe.target.named_by, probe.type_source) == ("web-1", "app", "status.podIP", "declared")
    assert probe.thresholds["failureThreshold"][0] == 5
    assert [decision.kind for decision in probe.decisions] == [DecisionKind.READY, DecisionKind.NOT_READY]
    assert probe.decisions[1].streak == 5


def test_bare_connects_are_no_kubelets() -> None:
    """Form and cadence alone give an unknown checker that could be a kubelet (docs/design.md, section 6)."""
    (probe,) = watch(*probes(every(2, 10), "connected")).probes
    assert probe.checker.kind == "unknown"
    assert "kubelet" in probe.checker.could_be
    assert probe.type is UNKNOWN


def test_a_proven_kubelet_proves_its_other_probes() -> None:
    """The same source proven by an httpGet probe anywhere is the kubelet of a tcpSocket probe elsewhere."""
    found = kubelets(watch(*probes(every(1, 10)), *probes(every(2, 5, 0.3), "connected", server="10.128.0.11", port=5432)))
    assert [(probe.target.address, probe.handler) for probe in found] == [(POD, HTTP), ("10.128.0.11", TCP)]


@pytest.mark.parametrize("proof", ["node", "declared"])
def test_a_tcp_probe_by_node_address_or_manifest(proof) -> None:
    """A node's address, or a declared probe that matches in form and cadence, makes a bare connect a kubelet's."""
    book = book_of(nodes=[NODE]) if proof == "node" else book_of(pod_of(spec(handler=TCP, period_s=2)))
    (probe,) = watch(*probes(every(2, 10), "connected"), book=book).probes
    assert probe.checker.kind == "kubelet"
    assert probe.checker.node == ("node-a" if proof == "node" else None)


def test_a_manifest_proves_nobody_off_its_cadence() -> None:
    """A client that connects to a declared port at any time it likes is no kubelet."""
    times = [0, 1.37, 1.9, 4.61, 7.77, 8.4, 12.123, 15.98]
    assert kubelets(watch(*probes(times, "connected"), book=book_of(pod_of(spec(handler=TCP, period_s=2))))) == []


def test_one_pod_has_one_kubelet() -> None:
    """Another source that asks the same of the same pod is somebody else, once the kubelet is proven."""
    timeline = watch(*probes(every(1, 12)), *probes(every(1, 12, 0.4), "connected", client="10.128.0.77"), book=book_of(pod_of(spec(), spec(LIVENESS, handler=TCP))))
    assert {probe.checker.address for probe in kubelets(timeline)} == {NODE}


def test_a_forged_loop_is_no_kubelet() -> None:
    """A perfect forgery of the request, 5.1 s apart, is not a kubelet's; it is not lost either."""
    timeline = watch(*probes([5.1 * n for n in range(10)], client="10.128.0.20"))
    assert kubelets(timeline) == []
    assert timeline.probes or timeline.others


def test_another_pods_claim_is_no_kubelets() -> None:
    """A Pod of the cluster that says kube-probe on a perfect grid is a Pod."""
    assert kubelets(watch(*probes(every(1, 10), client="10.128.0.20"), book=book_of(pod_of(address="10.128.0.20", name="curl")))) == []


def test_scrapes_from_the_node_are_traffic() -> None:
    """What a node's own programs ask besides is no probe and disturbs none (`multi`)."""
    scrape = "> S\n < SA\n > A\n > PA 'GET /metrics HTTP/1.1\\r\\nHost: x\\r\\nUser-Agent: Prometheus/2.53\\r\\n\\r\\n'\n < A\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > A"
    other = [(at, f"{NODE}:{50_001 + round(at)} > {POD}:8080", scrape) for at in every(3, 4, 0.5)]
    timeline = watch(*FLAP, *other)
    assert len(kubelets(timeline)) == 1
    assert len(kubelets(timeline)[0].attempts) == len(FLAP)
    assert sum(one.connections for one in timeline.others) + sum(len(probe.attempts) for probe in timeline.probes if probe.checker.kind != "kubelet") == 4


def test_the_wrong_node_is_noted() -> None:
    """A Pod that says it runs elsewhere is probed all the same, and that is said."""
    book = book_of(pod_of(spec(), node="node-b"), nodes=[NODE])
    (probe,) = watch(*FLAP, book=book).probes
    assert any("node-a" in note and "node-b" in note for note in probe.notes)


# Stories through the whole way.


def test_restart_of_a_container() -> None:
    """Liveness fails three times: Restart, silence, a new container, which is an event."""
    story = [*probes([0, 0.001, *every(1, 5, 1.001)]), *probes([6.2, 6.3], "refused"), *probes([7.3, 8.3, 9.3, 10.3]),
             *probes([0.5, 1.5, 2.5], path="/live"), *probes([3.5, 4.5, 5.5], "503", path="/live"), *probes([8.5, 9.5, 10.5], path="/live")]
    timeline = watch(*story, book=book_of(pod_of(spec(), spec(LIVENESS, path="/live"))))
    readiness, liveness = sorted(timeline.probes, key=lambda probe: probe.type != "readiness")
    assert [decision.kind for decision in liveness.decisions] == [DecisionKind.RESTART]
    assert liveness.decisions[0].confirmed is True
    assert [decision.kind for decision in readiness.decisions] == [DecisionKind.READY, DecisionKind.READY]
    assert EventKind.CONTAINER_STARTED in {event.kind for event in timeline.events}
    assert sum(len(probe.attempts) for probe in timeline.probes) == len(story)


def test_restart_of_the_kubelet() -> None:
    """Silence towards everybody, then new phases: an event of the node, and a gap."""
    story = [*probes([0, 0.001, 3.001, 6.001, 9.001]), *probes([32.4, 32.402, 35.402, 38.402]), *probes([1, 4, 7, 10], path="/live"),
             *probes([33.9, 36.9, 39.9], path="/live")]
    timeline = watch(*story, book=book_of(pod_of(spec(period_s=3), spec(LIVENESS, period_s=3, path="/live"))))
    assert [event.kind for event in timeline.events].count(EventKind.KUBELET_RESTARTED) == 1
    assert sum(len(probe.attempts) for probe in timeline.probes) == len(story)


def test_mid_life() -> None:
    """A capture that begins among steady successes knows the state by its first streak, and decides nothing by it."""
    story = probes(every(1, 8))
    timeline = watch(*story, before=frames(*probes([-0.6], path="/other", server="10.128.0.99")), book=book_of(pod_of(spec())))
    (probe,) = [probe for probe in timeline.probes if probe.target.address == POD]
    assert probe.decisions == ()
    assert probe.initial_state == "Ready"
    assert "first streak" in probe.initial_evidence
    assert probe.initial_since_ns is None


@pytest.mark.parametrize("second", ["/healthz", "/live"])
def test_what_keeps_to_its_grid_reads_the_same_unweighed(monkeypatch, second: str) -> None:
    """Probes that always succeed at their times read alike as any type: that is not weighed, and the same comes of it."""
    story = [*probes(every(1, 12)), *probes(every(1, 12, 0.3), path=second)]
    before = frames(*probes([-0.6], path="/other", server="10.128.0.99"))
    plain, found = typed._on_their_grids, []
    monkeypatch.setattr(typed, "_on_their_grids", lambda *given: found.append(plain(*given)) or found[-1])
    short = watch(*story, before=before)
    assert found == [True]
    monkeypatch.setattr(typed, "_on_their_grids", lambda *_: False)
    weighed = watch(*story, before=before)
    assert {probe.path for probe in kubelets(short)} >= {"/ready", second}
    assert short == weighed


def test_mid_outage() -> None:
    """A capture that begins with a failure says since when the state is known, and not that nothing was wrong before."""
    story = [*probes([0], "503"), *probes(every(1, 8, 1))]
    timeline = watch(*story, before=frames(*probes([-0.6], path="/other", server="10.128.0.99")), book=book_of(pod_of(spec())))
    (probe,) = [probe for probe in timeline.probes if probe.target.address == POD]
    assert (probe.decisions, probe.initial_state, probe.initial_since_ns) == ((), "Ready", probe.attempts[1].end_ns)
    verdict = judge(probe, timeline)
    assert (verdict.level, "throughout" in verdict.sentence) == (Level.WARNING, False)
    assert verdict.sentence.startswith("Ready 1.0 s after the first attempt at the latest; unknown before that: 1 attempt failed")
    again = [*probes([0, 6], "503"), *probes([1, 2, 3, 4, 5, 7, 8])]
    later = watch(*again, before=frames(*probes([-0.6], path="/other", server="10.128.0.99")), book=book_of(pod_of(spec())))
    (probe,) = [probe for probe in later.probes if probe.target.address == POD]
    assert "1 attempt failed; 1 attempt failed later, fewer than 3 in a row: " in judge(probe, later).sentence


def test_cut_at_the_end() -> None:
    """An attempt still open at the end of the capture is inconclusive, cause cut."""
    *whole, last = FLAP
    story = [*whole, (last[0], last[1], f"{OPENED} > PA {request()}\n < A")]
    (probe,) = watch(*story, book=book_of(pod_of(spec()))).probes
    assert (probe.attempts[-1].outcome, probe.attempts[-1].cause) == (Outcome.INCONCLUSIVE, Cause.CUT)


def test_late_answer_reaches_its_attempt() -> None:
    """An answer long after the verdict is told with the attempt it belonged to, and moves no decision."""
    hung = probes([3.001], "hung")[0]
    late = (hung[0], hung[1], hung[2] + "\n +1460ms < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > R")
    (probe,) = watch(*probes([0, 0.001, 1.001, 2.001]), late, *probes([4.05, 5.001, 6.001]), book=book_of(pod_of(spec()))).probes
    made = probe.attempts[4]
    assert (made.outcome, made.cause, made.end_source) == (Outcome.FAILURE, Cause.SLOW_ANSWER, "deadline")
    assert made.late_answer_ns is not None
    assert made.late_answer_ns // (100 * MS) == 25


# Notes.


def test_exec_probes_are_noted() -> None:
    """What packets cannot show is said, not passed over."""
    timeline = watch(*FLAP, book=book_of(pod_of(spec(), ProbeSpec(type=LIVENESS, handler=Handler.EXEC, command=("true",)))))
    assert any("exec probe" in note for note in timeline.notes)


def test_a_pod_nobody_probed_is_noted() -> None:
    """A Pod whose probes match nothing is named."""
    timeline = watch(*FLAP, book=book_of(pod_of(spec()), pod_of(spec(handler=GRPC, port=9), address="10.128.0.50", name="idle-1")))
    assert any("idle-1" in note for note in timeline.notes)
    assert not any("web-1" in note for note in timeline.notes)


def test_ids_are_in_the_order_of_first_attempts() -> None:
    """p1, p2 ... by first attempt, and attempts are numbered from 1."""
    timeline = watch(*probes(every(2, 5, 0.7), path="/b", server="10.128.0.11"), *probes(every(2, 5)), *probes(every(2, 5, 0.2), path="/a", server="10.128.0.12"))
    assert [(probe.id, probe.target.address) for probe in timeline.probes] == [("p1", POD), ("p2", "10.128.0.12"), ("p3", "10.128.0.11")]
    assert all([attempt.n for attempt in probe.attempts] == list(range(1, len(probe.attempts) + 1)) for probe in timeline.probes)


# Hostile input.


@given(st.lists(st.tuples(st.integers(0, 40 * S), st.binary(max_size=90)), max_size=20), st.data())
def test_any_frames_end_in_a_timeline(noise, data) -> None:
    """Random frames, and good ones cut or with bytes changed, in any order of time: a timeline, never an exception."""
    made = [Frame(ns(0) + at, 0, 0, 0, 1, body, len(body)) for at, body in noise]
    for one in frames(*FLAP[:6]):
        body = bytearray(one.data[:data.draw(st.integers(0, len(one.data)))] if data.draw(st.booleans()) else one.data)
        if body and data.draw(st.booleans()):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        made.append(one._replace(data=bytes(body)))
    observer = Observer(Settings(book=book_of(pod_of(spec()))))
    for number, one in enumerate(data.draw(st.permutations(made)) if data.draw(st.booleans()) else sorted(made, key=lambda one: one.ns)):
        observer.feed(one._replace(number=number + 1))
    for probe in observer.finish().probes:
        assert probe.attempts


@pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])
def test_a_probe_that_was_poked_faster_than_its_period_is_one(node: str, pod: str) -> None:
    """Pokes before it was Ready may look like a shorter period: what it does while Ready tells, and it is no second probe."""
    who = {"client": node, "server": pod}
    script = [*probes([0, 0.01], "refused", **who), *probes([1.002, 1.847, 3.83, 5.833], "503", **who),
              *probes([7.83, 17.83, 27.833, 37.83], **who)]  # fmt: skip
    (found,) = kubelets(watch(*script))
    assert (found.type, found.inferred["periodSeconds"], len(found.attempts)) == (READINESS, 10, 10)
    assert [decision.attempt for decision in found.decisions] == [7]


def test_no_container_has_two_probes_of_one_type() -> None:
    """Where two ask the same and both could be readiness, one at most is called so."""
    spec_ = spec()
    guessed = [Guess(spec=spec_, reason="poked"), Guess(spec=spec_, reason="poked"), Guess(spec=spec(path="/other"), reason="poked")]
    assert [one.spec.type for one in typed._distinct(guessed)] == [READINESS, UNKNOWN, READINESS]


@pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])
def test_a_foreign_spec_for_the_same_address_is_named_with_the_verdict(node: str, pod: str) -> None:
    """A spec given for an address that declares none of its probes is told in the verdict and where it is read what was asked."""
    script = probes(every(2, 12), client=node, server=pod)
    found = watch(*script, book=book_of(pod_of(spec(path="/other"), address=pod), nodes=[node]))
    (probe,) = found.probes
    assert UNDECLARED in probe.notes
    told = judge(probe, found)
    assert (told.level, told.sentence.endswith("; the spec given for this address declares no such probe")) == (Level.WARNING, True)
    out: list[str] = []
    text.write(found, out.append)
    said = " ".join("".join(out).split())
    assert "asked not known: by status.podIP of what was given this address is default/web-1's, but that spec declares no such probe" in said
    assert f"note {UNDECLARED}" not in said
    fitting = watch(*script, book=book_of(pod_of(spec(period_s=2), address=pod), nodes=[node]))
    assert judge(fitting.probes[0], fitting).level is Level.FINE


@pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])
def test_one_poke_that_did_not_come_is_no_other_threshold(node: str, pod: str) -> None:
    """A readiness probe that may have lost Ready is not said to have kept it for that one reason."""
    how = {"client": node, "server": pod}
    script = [*probes(every(2, 8), **how), *probes(every(2, 6, 16), "503", **how), *probes(every(2, 6, 28), **how)]
    found = watch(*script, book=book_of(pod_of(spec(period_s=2), address=pod), nodes=[node]))
    (probe,) = found.probes
    assert [decision.kind for decision in probe.decisions].count(DecisionKind.NOT_READY) == 1
    assert not any("is not the one that runs here" in note for note in probe.notes)
