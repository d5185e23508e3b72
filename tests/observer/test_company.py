# ruff: noqa: E501 (scripts of packets keep their line)
"""Whatever else asks the same pod, also from the kubelet's own address, is not taken for its probes, and hides none of them.

A node runs more than its kubelet: a router in the host's network, agents, somebody's loop of curl or nc.

Covers `observer.senders`, `observer.strangers`, `probes.sources`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from builder import EPOCH
from make import LIVENESS, NODE, NODE6, POD, POD6, TCP, every, frames, kubelets, probes, spec, timeline_of
from truth import frames_of

from probewatch.cluster import build_book, read_specs
from probewatch.model.book import AddressBook
from probewatch.model.frame import Frame
from probewatch.model.spec import ContainerSpec, PodSpec
from probewatch.model.timeline import Cause, Probe, Timeline

SERVING = (
    "grpc-flap", "http-flap-below", "http-flap-s1", "http-headers", "http-ipv6", "http-redirect-same", "http-timeout", "https-503",
    "https-on-http", "identical-probes", "initial-delay", "mid-http-flap-s1", "tcp-ready",
)  # fmt: skip
"""Scenarios whose pod accepts connections from its first attempt to the last."""
UNTOLD = {"https-503", "https-on-http", "identical-probes", "http-headers", "tcp-ready"}
"""Of these the source, or which probe is which, is not proven without a manifest."""
PAUSE_S, CHECK_S = 2.0, 0.053
"""A loop that sleeps, and what one turn of it takes."""
OTHERS_GET = "> S\n < SA\n > A\n > PA 'GET /healthz HTTP/1.1\\r\\nHost: {pod}\\r\\nUser-Agent: curl/8.5.0\\r\\nAccept: */*\\r\\n\\r\\n'\n < A\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > A\n > FA\n < FA\n > A"


def told(timeline: Timeline) -> list[tuple[object, ...]]:
    """Return what a timeline says of the kubelet's probes."""
    return [
        (probe.type, probe.target.port, probe.path, [(a.start.ns, a.outcome) for a in probe.attempts], [(d.kind, d.ns) for d in probe.decisions])
        for probe in kubelets(timeline)
    ]


def beside(given: Sequence[Frame], probe: Probe, what: str) -> list[Frame]:
    """Return frames with a loop's among them, from the kubelet's address to the probed port, from the first attempt on."""
    node, pod, port = probe.checker.address, probe.target.address, probe.target.port
    first = probe.attempts[0].start.ns
    assert node is not None
    assert port is not None
    turns = every(PAUSE_S + CHECK_S, int((given[-1].ns - first) / 1e9 / (PAUSE_S + CHECK_S)), 0.7)
    made = probes(turns, "connected", client=node, server=pod, port=port)
    if what == "curl":
        made = [(at, ends, OTHERS_GET.format(pod=pod)) for at, ends, _ in made]
    extra = [one._replace(ns=one.ns - EPOCH + first) for one in frames(*made)]
    both = sorted([*given, *extra], key=lambda one: one.ns)
    return [one._replace(number=number, interface=given[0].interface, file=given[0].file) for number, one in enumerate(both, 1)]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("what", ["nc", "curl"])
@pytest.mark.parametrize("name", SERVING)
def test_a_loop_on_the_node_changes_nothing(captures: Path, name: str, what: str, declared: bool) -> None:
    """Attempts, types and decisions of the kubelet's probes are the same with somebody's loop at the same port from the same address."""
    if not declared and name in UNTOLD:
        pytest.skip("nothing proves this kubelet without its manifest")
    paths = sorted((captures / name).glob("pod*.yaml")) if declared else []
    book = build_book([pod for path in paths for pod in read_specs(os.fspath(path))], [], [])
    given = frames_of(captures / name)
    alone = timeline_of(given, book)
    if what == "nc" and not declared and any(probe.handler is TCP for probe in kubelets(alone)):
        pytest.skip("the loop connects as its tcpSocket probe does, and nothing tells how often that comes")
    company = timeline_of(beside(given, kubelets(alone)[0], what), book)
    assert told(company) == told(alone)
    assert len(company.probes) > len(alone.probes), "the loop itself is told, as another's"


def pod_of(*declared: object) -> AddressBook:
    """Return a book of one Pod of one container."""
    pod = PodSpec(source="web.yaml", name="web-1", addresses=(POD,), containers=(ContainerSpec(name="app", probes=declared),))  # type: ignore[arg-type]
    return AddressBook(pods={POD: (pod,)})


def test_an_agent_that_pauses_is_no_undeclared_probe() -> None:
    """What connects every two seconds and a few milliseconds is no ticker of the kubelet's; what keeps whole seconds may be one."""
    lagging = [n * 2.004 for n in range(1, 12)]
    kubelet = probes(every(1, 25))
    for starts, expected in ((lagging, 1), (every(2, 11, 0.3), 2)):
        timeline = timeline_of(frames(*kubelet, *probes(starts, "connected", port=5432)), pod_of(spec()))
        assert len(kubelets(timeline)) == expected, starts


@pytest.mark.parametrize("known", [True, False])
def test_a_claim_beside_a_proven_kubelet_is_not_believed(known: bool) -> None:
    """Three perfect forgeries from elsewhere are too few to belie themselves: but one Pod has one kubelet."""
    forged = probes([3.3, 8.4, 13.5], client="10.128.9.9")
    timeline = timeline_of(frames(*probes(every(1, 20)), *forged), pod_of(spec()) if known else AddressBook())
    assert {probe.checker.address for probe in kubelets(timeline)} == {NODE}


def test_a_lone_claim_is_believed() -> None:
    """Where nobody else is proven, the same three are a kubelet's."""
    timeline = timeline_of(frames(*probes([3.3, 8.3, 13.3])), pod_of(spec(period_s=5)))
    assert len(kubelets(timeline)) == 1


def test_a_declared_probe_is_found_among_much_else() -> None:
    """A kubelet that nothing but its manifest proves is found beside three times as many connections of others from its address."""
    agent = "custom/2"
    declared = spec(headers=(("User-Agent", agent),), period_s=2)
    noise = [(at, f"{NODE}:{41_000 + n} > {POD}:8080", OTHERS_GET.format(pod=POD)) for n, at in enumerate(every(0.61, 60, 0.1))]
    timeline = timeline_of(frames(*probes(every(2, 20), agent=agent), *noise), pod_of(declared, spec(LIVENESS, TCP, port=9999)))
    (probe,) = kubelets(timeline)
    assert (probe.type, len(probe.attempts), probe.path) == ("readiness", 20, "/ready")


@pytest.mark.parametrize(("source", "server"), [("10.128.0.9", POD), ("fd00:10:128::9", POD6)], ids=["v4", "v6"])
def test_a_loop_may_wait_longer_than_the_kubelet(source: str, server: str) -> None:
    """A client gives up after 3 s where the kubelet's probes wait for 1 s: each close is in the capture, and so is told as that."""
    six = ":" in server
    host, client = (f"[{server}]", f"[{source}]") if six else (server, source)
    asks = OTHERS_GET.format(pod=f"{host}:8080")
    hung = asks.split("\n < A\n < PA", 1)[0] + "\n < A\n +3001ms > FA\n +40ms < A\n +800ms < PA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n > R"
    at, scripts = 0.3, []
    for number in range(30):
        late = number in (12, 20)
        scripts.append((at, f"{client}:{41_000 + number} > {host}:8080", hung if late else asks))
        at += 0.7 + (3.001 if late else 0.002)
    node = NODE6 if six else NODE
    pod = PodSpec(source="web.yaml", name="web", addresses=(server,), containers=(ContainerSpec(name="app", probes=(spec(),)),))
    given = frames(*sorted([*scripts, *probes(every(1, 30), client=node, server=server)]))
    (loop,) = [probe for probe in timeline_of(given, AddressBook(pods={server: (pod,)})).probes if probe.checker.kind != "kubelet"]
    assert [(a.n, a.cause, (a.late_answer_ns or 0) // 10**8) for a in loop.attempts if a.cause is not Cause.OK] == [
        (13, Cause.SLOW_ANSWER, 38),
        (21, Cause.SLOW_ANSWER, 38),
    ]
