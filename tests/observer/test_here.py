"""What a diagnosis says where the place of the capture, the manifest or the moment of an answer is known.

Covers `probes.diagnose`, `probes.patterns`.
"""

from __future__ import annotations

import pytest
from make import HTTP, NODE, NODE6, OPENED, POD, POD6, TCP, answer, every, frames, probes, request, spec

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.catalogue import result
from probewatch.model.diagnoses import Kind
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec
from probewatch.model.timeline import Cause, Timeline
from probewatch.observer import Observer, Settings
from probewatch.report.verdict import Level, judge

BOTH = pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])


def _seen(
    node: str, pod: str, declared: ProbeSpec, *scripts: tuple[float, str, str], own: str = "", host_network: bool = False
) -> Timeline:
    owner = PodSpec(
        source="pod.yaml", addresses=(pod,), namespace="shop", name="web-1", host_network=host_network,
        containers=(ContainerSpec(name="app", probes=(declared,)),),
    )  # fmt: skip
    nodes = {node: (NodeAddress(address=node, node="node-a", source="--node-ip", rank=1),)}
    if own:
        nodes[own] = (NodeAddress(address=own, node="node-a", source="own interface eth0", rank=0),)
    seen = Observer(Settings(book=AddressBook(nodes=nodes, pods={pod: (owner,)})))
    for frame in frames(*scripts):
        seen.feed(frame)
    return seen.finish()


def _asked(node: str, pod: str, at: float, after: str, close: str) -> tuple[float, str, str]:
    """Return an attempt that is answered so long after its request, and closed by the checker then."""
    ends = [f"[{one}]" if ":" in one else one for one in (node, pod)]
    script = f"{OPENED} > PA {request(host=f'{ends[1]}:8080')}\n < A\n +{after} < PA {answer()}\n > A\n +{close} > FA\n < FA\n > A"
    return at, f"{ends[0]}:{40_000 + int(at)} > {ends[1]}:8080", script


@BOTH
def test_a_capture_at_the_address_needs_no_other(node: str, pod: str) -> None:
    """Inside the pod's namespace an unanswered SYN has arrived: the advice looks there, and does not ask for a capture there."""
    script = probes(every(2, 6), "unanswered", client=node, server=pod)
    for own, said in (("", "Capture inside the pod too"), (pod, "Here, in the network namespace that was captured")):
        (found,) = _seen(node, pod, spec(period_s=2), *script, own=own).probes[0].diagnoses
        assert found.kind == Kind.SYN_UNANSWERED
        assert found.check.startswith(said)
        assert ("arrived here" in found.sentence) == bool(own)


@BOTH
def test_a_closed_port_of_a_pod_on_the_nodes_network_is_no_leaked_address(node: str, pod: str) -> None:
    """With hostNetwork in the manifest a refusal over loopback is one of the process; without it, its address is looked at."""
    del pod
    script = probes(every(2, 6), "refused", client=node, server=node)
    for hosted, kind in ((True, Kind.NOTHING_LISTENS), (False, Kind.LOCAL_ADDRESS)):
        timeline = _seen(node, node, spec(handler=TCP, period_s=2), *script, host_network=hosted)
        assert [one.kind for one in timeline.probes[0].diagnoses] == [kind]


@BOTH
def test_an_answer_at_the_deadline_is_not_said_to_meet_a_closed_connection(node: str, pod: str) -> None:
    """Where the checker closed after the answer, a moment too late, the sentence says that either may be so."""
    for after, said in (("1000700us", "at the deadline itself"), ("1500ms", "when the checker had hung up")):
        close = "50us" if after == "1000700us" else "10ms"
        script = [_asked(node, pod, at, after, close) for at in every(3, 5)]
        if after == "1500ms":
            script = [(at, ends, text.replace("+1500ms < PA", "+1000ms > FA\n +500ms < PA")) for at, ends, text in script]
        (found,) = [one for one in _seen(node, pod, spec(period_s=3), *script).probes[0].diagnoses if one.kind == Kind.APPLICATION_SLOW]
        assert said in found.sentence, found.sentence


@BOTH
def test_a_success_just_before_the_deadline_is_a_warning(node: str, pod: str) -> None:
    """986 ms of 1 s are fine for the kubelet and no reason to look away; 500 ms are."""
    for after, level in (("986ms", Level.WARNING), ("500ms", Level.FINE)):
        timeline = _seen(node, pod, spec(period_s=3), *(_asked(node, pod, at, after, "100us") for at in every(3, 5)))
        verdict = judge(timeline.probes[0], timeline)
        assert verdict.level is level
        assert ("5 successes nearly timed out: at most 986 ms of 1 s" in verdict.sentence) == (level is Level.WARNING)


@BOTH
def test_answers_that_all_come_at_once_are_no_slow_endpoint(node: str, pod: str) -> None:
    """A process that was stopped answers everything in the moment it goes on: the advice looks for what stopped it."""
    script = [
        (at, ends, text.replace("+1s < PA", f"+1000ms > FA\n +{round(19_000 - at * 1000)}ms < PA"))
        for at, ends, text in (_asked(node, pod, at, "1s", "1ms") for at in every(3, 5))
    ]
    (found,) = [one for one in _seen(node, pod, spec(period_s=3), *script).probes[0].diagnoses if one.kind == Kind.APPLICATION_SLOW]
    assert found.advice.startswith("All late answers came in one moment")


@BOTH
def test_a_broken_body_behind_a_failure_is_no_fine_answer(node: str, pod: str) -> None:
    """A 503 whose body breaks off is discarded too, and its header is not called fine."""
    short = answer("503 Service Unavailable", "no", length=900)
    script = [
        (at, ends, text.replace(answer(), short)) for at, ends, text in (_asked(node, pod, at, "1ms", "1500ms") for at in every(3, 5))
    ]
    (found,) = [one for one in _seen(node, pod, spec(period_s=3), *script).probes[0].diagnoses if one.kind == Kind.BROKEN_BODY]
    assert found.sentence.startswith("The answer says 503, but its body is incomplete")


@BOTH
def test_an_answered_syn_is_not_called_unanswered(node: str, pod: str) -> None:
    """Where the pod's SYN-ACKs were seen and the checker never had one, the result is that, in the table and in its remark."""
    script = [(at, ends, "> S\n < SA\n +900ms < SA") for at, ends, _ in probes(every(3, 5), client=node, server=pod)]
    timeline = _seen(node, pod, spec(period_s=3), *script)
    assert {result(one, HTTP) for one in timeline.probes[0].attempts if one.cause is Cause.NO_SYN_ANSWER} == {"SYN-ACK lost"}
