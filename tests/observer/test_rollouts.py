# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Probes by workload and revision: who is new, who serves, and nothing that the packets do not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builder import S
from make import EXEC, LIVENESS, NODE, NODE6, READINESS, STARTUP, edge, every, frames, ns, probes, spec, timeline_of

import probewatch
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.finding import Held
from probewatch.model.rollout import PodState, Rollout, RolloutState
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec, Workload
from probewatch.model.timeline import Timeline
from probewatch.observer import Observer, Settings

OLD, NEW = "5c4b", "7d9f"
HOUR = 3600


@pytest.fixture(params=[("10.128.0.", NODE), ("fd00:10:128::", NODE6)], ids=["ipv4", "ipv6"], autouse=True)
def network(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Run everything in both families: (what addresses begin with, the node's)."""
    global PREFIX, KUBELET
    PREFIX, KUBELET = request.param
    return PREFIX, KUBELET


PREFIX, KUBELET = "10.128.0.", NODE


def pod(number: int, revision: str, *declared: ProbeSpec, made: float | None = None, kind: str = "Deployment", **more: Any) -> PodSpec:
    """Return the Pod `web-REVISION-NUMBER`, made `made` seconds after the test's beginning (the old ones an hour before)."""
    if made is None:
        made = -HOUR if revision == OLD else -1
    known: dict[str, Any] = {"workload": Workload(kind=kind, name="web", revision=revision), "created_ns": ns(made),
                             "name": f"web-{revision}-{number}", "addresses": (f"{PREFIX}{number}",)}
    return PodSpec(source=f"cluster.json item {number}", namespace="shop", declared_by="--cluster",
                   containers=(ContainerSpec(name="app", probes=declared or (spec(),)),), **(known | more))


def asks(number: int, starts: Sequence[float], what: str = "ok", **how: Any) -> list[tuple[float, str, str]]:
    """Return the probes of Pod NUMBER."""
    return probes(starts, what, client=KUBELET, server=f"{PREFIX}{number}", **how)


def watch(pods: Sequence[PodSpec], *scripts: list[tuple[float, str, str]]) -> Timeline:
    """Return the timeline; the capture begins 20 s before the first probe."""
    book = AddressBook(pods={address: (each,) for each in pods for address in each.addresses},
                       nodes={KUBELET: (NodeAddress(address=KUBELET, node="node-a", source="--node-ip", rank=1),)})
    return timeline_of([edge(), *frames(*[each for script in scripts for each in script])], book)


def only(timeline: Timeline) -> Rollout:
    """Return the one workload."""
    (one,) = timeline.rollouts
    return one


def test_blocked() -> None:
    """The new revision never turns Ready while the old one serves: one sentence says both, and a finding has the frames."""
    timeline = watch([pod(12, NEW), pod(10, OLD), pod(11, OLD)], asks(10, every(1, 9, 0.2)), asks(11, every(1, 9, 0.4)), asks(12, every(1, 8, 1), "503"))
    one = only(timeline)
    assert (one.state, one.kind, one.namespace, one.name, one.ordered) == (RolloutState.BLOCKED, "Deployment", "shop", "web", True)
    assert one.sentence == f"revision {NEW} never turned Ready: readiness fails with 503; revision {OLD} keeps serving (2 of 2 Ready)"
    assert [(each.revision, each.seen, each.first_ready_ns is None) for each in one.revisions] == [(OLD, 2, False), (NEW, 1, True)]
    (finding,) = timeline.findings
    probe = next(each for each in timeline.probes if each.id == finding.probe)
    assert (finding.held, finding.subject, finding.field, finding.attempts) == (Held.FAIL, "Deployment shop/web", "rollout", (1, 2, 3))
    assert probe.target.pod == "web-7d9f-12"
    assert [(each.first, each.last) for each in finding.evidence] == [probe.attempts[n - 1].frames() for n in finding.attempts]
    assert finding.observed == "0 of 1 Ready, 8 of 8 attempts failed"


def test_not_blocked_before_its_threshold() -> None:
    """Two failures of three are a start, not a verdict: no finding."""
    timeline = watch([pod(10, OLD), pod(12, NEW)], asks(10, every(1, 9, 0.2)), asks(12, [7, 8], "503"))
    assert only(timeline).state is RolloutState.PROGRESSING
    assert only(timeline).sentence.startswith(f"revision {NEW} is not Ready yet: readiness fails with 503; ")
    assert timeline.findings == ()


def test_complete() -> None:
    """The old one serves until the new one does, then it goes."""
    pods = [pod(10, OLD, deleted_ns=ns(40)), pod(12, NEW)]
    timeline = watch(pods, asks(10, every(1, 9, 0.2)), asks(12, [1, 2, 3], "refused"), asks(12, every(1, 8, 4)))
    one = only(timeline)
    assert one.state is RolloutState.COMPLETE
    assert one.sentence == f"revision {NEW} turned Ready 3.0 s after its first probe (1 of 1 Ready); revision {OLD} kept serving until then (1 terminating)"
    assert timeline.findings == ()


def test_a_hole_between() -> None:
    """Where the old one was gone before the new one was Ready, the sentence says for how long."""
    timeline = watch([pod(10, OLD), pod(12, NEW)], asks(10, every(1, 5, 0.2)), asks(12, [1, 2, 3, 4, 5, 6, 7, 8], "refused"), asks(12, every(1, 8, 9)))
    one = only(timeline)
    assert one.state is RolloutState.COMPLETE
    assert one.revisions[0].pods[0].state is PodState.SILENT
    assert one.sentence.endswith(f"; revision {OLD} was last Ready 4.8 s before that (1 no longer probed)")


def test_both_serve() -> None:
    """While both serve the rollout is under way."""
    timeline = watch([pod(10, OLD), pod(12, NEW)], asks(10, every(1, 9, 0.2)), asks(12, every(1, 8, 1)))
    assert only(timeline).state is RolloutState.PROGRESSING
    assert f"revision {OLD} keeps serving (1 of 1 Ready)" in only(timeline).sentence


def test_nobody_serves() -> None:
    """No Pod Ready, old or new: unavailable, and the finding of a blocked rollout is not made."""
    timeline = watch([pod(10, OLD), pod(12, NEW)], asks(10, every(1, 9, 0.2), "refused"), asks(12, every(1, 8, 1), "503"))
    assert only(timeline).state is RolloutState.UNAVAILABLE
    assert only(timeline).sentence.endswith("(0 of 1 Ready); no older one that was probed is Ready")
    assert timeline.findings == ()


def test_one_revision() -> None:
    """One revision: steady where all are Ready, degraded where some are not, unavailable where none is; Pods of other nodes are counted."""
    good, bad = asks(10, every(1, 9, 0.2)), asks(12, every(1, 8, 1), "503")
    steady = only(watch([pod(10, OLD), pod(12, OLD)], good))
    assert (steady.state, steady.sentence) == (RolloutState.STEADY, f"revision {OLD}: 1 of 1 Ready; 1 more pod is not seen in this capture")
    degraded = only(watch([pod(10, OLD), pod(12, OLD)], good, bad))
    assert (degraded.state, degraded.sentence) == (RolloutState.DEGRADED, f"revision {OLD}: 1 of 2 Ready: readiness fails with 503")
    assert only(watch([pod(12, OLD)], bad)).state is RolloutState.UNAVAILABLE


def test_startup_holds_back() -> None:
    """A Pod that never passes its startup probe is not Ready, and what its startup probe brings is the reason."""
    declared = (spec(STARTUP, path="/start"), spec(READINESS))
    timeline = watch([pod(10, OLD), pod(12, NEW, *declared)], asks(10, every(1, 9, 0.2)), asks(12, every(1, 8, 1), "503", path="/start"))
    assert only(timeline).state is RolloutState.BLOCKED
    assert "never turned Ready: startup fails with 503" in only(timeline).sentence


def test_what_packets_cannot_tell() -> None:
    """An exec probe beside, or a Pod without any readiness probe: its state is unknown, and so is the rollout's."""
    hidden = ContainerSpec(name="helper", probes=(spec(READINESS, EXEC, port=None),))
    shown = pod(12, NEW)
    timeline = watch([replace(shown, containers=(*shown.containers, hidden))], asks(12, every(1, 8, 1)))
    assert only(timeline).state is RolloutState.UNKNOWN
    assert only(timeline).revisions[0].first_ready_ns is None
    assert only(timeline).revisions[0].pods[0].state is PodState.UNKNOWN


def test_order_unknown() -> None:
    """Without creation times nobody knows who is new: told as such, and no finding."""
    timeline = watch([pod(10, OLD, created_ns=None), pod(12, NEW, created_ns=None)], asks(10, every(1, 9, 0.2)), asks(12, every(1, 8, 1), "503"))
    assert only(timeline).ordered is False
    assert timeline.findings == ()


def test_numbers_of_a_deploymentconfig() -> None:
    """ReplicationControllers are ordered by their number, not as text, whatever their Pods' ages."""
    pods = [pod(at, str(number), workload=Workload(kind="DeploymentConfig", name="web", revision=str(number), number=number), made=made)
            for at, number, made in ((10, 9, -1), (12, 10, -HOUR))]
    timeline = watch(pods, asks(10, every(1, 9, 0.2)), asks(12, every(1, 8, 1), "503"))
    assert [each.revision for each in only(timeline).revisions] == ["9", "10"]
    assert only(timeline).state is RolloutState.BLOCKED


def test_rolled_back() -> None:
    """A newer revision whose Pods are all being deleted is the one that goes."""
    timeline = watch([pod(10, OLD), pod(12, NEW, deleted_ns=ns(60))], asks(10, every(1, 9, 0.2)), asks(12, every(1, 8, 1), "503"))
    assert [each.revision for each in only(timeline).revisions] == [NEW, OLD]
    assert only(timeline).state is RolloutState.COMPLETE
    assert timeline.findings == ()


def test_what_is_being_deleted_serves_nobody() -> None:
    """Its readiness probe goes on and succeeds (Recreate, a long grace period): it is out of the endpoints from its deletion on."""
    pods = [pod(10, OLD, deleted_ns=ns(35), deletion_grace_s=30), pod(12, NEW)]
    one = only(watch(pods, asks(10, every(1, 20, 0.2)), asks(12, [8, 9, 10], "refused"), asks(12, every(1, 8, 11))))
    assert one.sentence.endswith(f"; revision {OLD} was last Ready 6.0 s before that (1 terminating)")


def test_rolled_back_by_number() -> None:
    """The higher number is the newer revision, whatever its Pods' ages: what an old template was rolled back to serves, and the other one beside it."""
    back = [pod(10, OLD), pod(11, OLD, made=5), pod(12, NEW)]
    numbers = {OLD: 3, NEW: 2}
    pods = [replace(each, workload=replace(each.workload, number=numbers[each.workload.revision])) for each in back if each.workload]
    scripts = asks(10, every(1, 19, 0.2)), asks(11, every(1, 12, 6.4)), asks(12, every(1, 19, 0.6))
    one = only(watch(pods, *scripts))
    assert ([(each.revision, each.number) for each in one.revisions], one.ordered) == ([(NEW, 2), (OLD, 3)], True)
    assert (one.state, one.sentence) == (RolloutState.PROGRESSING, f"revision {OLD} is Ready since its first probe (2 of 2 Ready); revision {NEW} keeps serving (1 of 1 Ready)")
    # Without numbers the latest Pod tells, and that it is not certain; a finding needs certainty.
    guessed = only(watch(back, *scripts))
    assert ([each.revision for each in guessed.revisions], guessed.ordered) == ([NEW, OLD], False)
    assert guessed.sentence == f"{one.sentence}; their Pods' ages leave open whether this is a rollback, or an old Pod was replaced (replicasets in the dump tell)"
    failing = asks(10, every(1, 19, 0.2), "503"), asks(11, every(1, 12, 6.4), "503"), scripts[2]
    assert (only(watch(back, *failing)).state, watch(back, *failing).findings) == (RolloutState.BLOCKED, ())
    assert len(watch(pods, *failing).findings) == 1


def test_gone_from_a_later_dump() -> None:
    """A Pod that is no longer probed and that a later dump lacks: its revision is the older one, and it is told."""
    pods = [pod(10, OLD), pod(12, NEW, gone=True)]
    one = only(watch(pods, asks(10, every(1, 19, 0.2)), asks(12, every(1, 5, 0.6))))
    assert [each.revision for each in one.revisions] == [NEW, OLD]
    assert (one.state, one.ordered) == (RolloutState.COMPLETE, True)
    assert one.sentence.endswith(f"revision {NEW} served beside it (1 no longer probed, gone from a later dump)")
    # One that goes on is not gone yet: that dump was taken after the capture.
    one = only(watch(pods, asks(10, every(1, 19, 0.2)), asks(12, every(1, 19, 0.6))))
    assert ([each.revision for each in one.revisions], one.state) == ([OLD, NEW], RolloutState.PROGRESSING)


@pytest.mark.parametrize(("waiting", "said"), [("ImagePullBackOff", " (waiting: ImagePullBackOff, so it is never probed)"), ("", "")])
def test_a_new_revision_that_is_not_probed_is_not_steady(waiting: str, said: str) -> None:
    """Its one Pod waits for its image, or is on another node: the old one that serves is not all there is."""
    pods = [pod(10, OLD), pod(12, NEW, waiting=waiting)]
    one = only(watch(pods, asks(10, every(1, 9, 0.2))))
    assert (one.state, [(each.revision, each.seen) for each in one.revisions]) == (RolloutState.PROGRESSING, [(OLD, 1), (NEW, 0)])
    assert one.sentence == f"revision {NEW}: 1 pod not seen in this capture{said}; revision {OLD} keeps serving (1 of 1 Ready)"
    down = only(watch(pods, asks(10, every(1, 9, 0.2), "503")))
    assert (down.state, down.sentence) == (RolloutState.UNKNOWN, f"revision {NEW}: 1 pod not seen in this capture{said}; revision {OLD}: 1 NotReady")


def test_old_pods_on_other_nodes_are_not_gone() -> None:
    """The new revision is Ready where it is probed; old Pods that are not seen here, and not being deleted, are still there."""
    scripts = asks(12, [1, 2, 3], "refused"), asks(12, every(1, 8, 4))
    one = only(watch([pod(10, OLD), pod(11, OLD), pod(12, NEW), pod(13, NEW)], *scripts))
    assert one.state is RolloutState.PROGRESSING
    assert one.sentence == f"revision {NEW}: 1 of 1 Ready; revision {OLD}: 2 pods not seen in this capture; 1 more pod is not seen in this capture"
    assert only(watch([pod(10, OLD, created_ns=None), pod(12, NEW)], *scripts)).state is RolloutState.UNKNOWN
    leaves = only(watch([pod(10, OLD, deleted_ns=ns(60)), pod(12, NEW)], *scripts))
    assert (leaves.state, leaves.sentence) == (RolloutState.STEADY, f"revision {NEW}: 1 of 1 Ready; 1 more pod is not seen in this capture")


def test_what_waits_beside_what_is_probed() -> None:
    """Pods of a revision that was probed and that wait are told with their reason."""
    pods = [pod(10, OLD), pod(11, OLD, waiting="Unschedulable"), pod(12, OLD)]
    one = only(watch(pods, asks(10, every(1, 9, 0.2))))
    assert one.sentence == f"revision {OLD}: 1 of 1 Ready; 2 more pods are not seen in this capture (1 of them waiting: Unschedulable)"


def test_a_new_pod_without_an_address_counts() -> None:
    """One that no node takes has no address, and is in no capture: its workload is not steady for that."""
    book = AddressBook(pods={f"{PREFIX}10": (pod(10, OLD),)}, pending=(pod(12, NEW, addresses=(), waiting="Unschedulable"),),
                       nodes={KUBELET: (NodeAddress(address=KUBELET, node="node-a", source="--node-ip", rank=1),)})
    observer = Observer(Settings(book=book))
    for one in frames(*asks(10, every(1, 9, 0.2))):
        observer.feed(one)
    assert only(observer.finish()).sentence.startswith(f"revision {NEW}: 1 pod not seen in this capture (waiting: Unschedulable, so it is never probed); ")


def test_pods_of_one_name() -> None:
    """A StatefulSet's new Pod has the old one's name: what befell that one, and its deletion, is not the new one's."""
    declared = spec(), spec(LIVENESS, path="/live")
    of = {revision: Workload(kind="StatefulSet", name="db", revision=revision) for revision in (OLD, NEW)}
    old = pod(10, OLD, *declared, name="db-0", workload=of[OLD], uid="u1")
    new = pod(12, NEW, *declared, name="db-0", workload=of[NEW], uid="u2", made=22)
    ends = [*asks(10, every(1, 22, 0.2)), *asks(10, every(1, 9, 0.5), path="/live")]
    timeline = watch([old, new], ends, asks(12, every(1, 12, 24.2)), asks(12, every(1, 12, 24.5), path="/live"))
    assert [event.kind.value for event in timeline.events].count("pod_terminating") == 1
    assert [(each.revision, [one.state.value for one in each.pods], [len(one.probes) for one in each.pods]) for each in only(timeline).revisions] == [(OLD, ["terminating"], [2]), (NEW, ["Ready"], [2])]


def test_two_dumps_before_and_after_an_address() -> None:
    """A Pod that waited in one dump and has an address in the other is one Pod."""
    book = AddressBook(pods={f"{PREFIX}10": (pod(10, OLD, uid="u1"),)}, pending=(pod(10, OLD, uid="u1", addresses=(), waiting="ContainerCreating"),),
                       nodes={KUBELET: (NodeAddress(address=KUBELET, node="node-a", source="--node-ip", rank=1),)})
    observer = Observer(Settings(book=book))
    for one in frames(*asks(10, every(1, 9, 0.2))):
        observer.feed(one)
    assert only(observer.finish()).sentence == f"revision {OLD}: 1 of 1 Ready"


def test_a_revision_that_is_leaving_unseen_is_no_news() -> None:
    """A newer revision none of whose Pods was probed, and all of which are being deleted, changes nothing."""
    pods = [pod(10, OLD), pod(12, NEW, deleted_ns=ns(60))]
    one = only(watch(pods, asks(10, every(1, 9, 0.2))))
    assert [each.revision for each in one.revisions] == [NEW, OLD]
    assert one.state is RolloutState.STEADY


def test_two_dumps_one_pod() -> None:
    """A Pod that two dumps name is one Pod, and the dump that knows of its deletion is believed."""
    book = AddressBook(pods={f"{PREFIX}10": (pod(10, OLD), pod(10, OLD, deleted_ns=ns(60))), f"{PREFIX}12": (pod(12, NEW),)},
                       nodes={KUBELET: (NodeAddress(address=KUBELET, node="node-a", source="--node-ip", rank=1),)})
    observer = Observer(Settings(book=book))
    for one in frames(*asks(10, every(1, 9, 0.2)), *asks(12, every(1, 8, 1))):
        observer.feed(one)
    one = only(observer.finish())
    assert [(each.revision, len(each.pods), each.pods[0].state) for each in one.revisions] == [(OLD, 1, PodState.TERMINATING), (NEW, 1, PodState.READY)]


def test_pods_of_other_times_do_not_count() -> None:
    """Pods that ended before the capture or were made after it are not among those not seen."""
    pods = [pod(10, OLD), pod(13, OLD, ended_ns=ns(-HOUR)), pod(14, NEW, made=HOUR)]
    assert only(watch(pods, asks(10, every(1, 9, 0.2)))).sentence == f"revision {OLD}: 1 of 1 Ready"


def test_without_owners_there_are_none() -> None:
    """Pods on their own, and checks of others than the kubelet, make no rollout."""
    assert watch([pod(10, OLD, workload=None)], asks(10, every(1, 9, 0.2))).rollouts == ()
    stranger = probes(every(1, 9, 0.2), client=f"{PREFIX}99", server=f"{PREFIX}10", agent="curl/8")
    assert watch([pod(10, OLD)], stranger).rollouts == ()


def test_the_capture(captures) -> None:
    """The real capture: of two Deployments one is blocked, the other complete, as the run was set up."""
    timeline = probewatch.analyze(captures / "rollout" / "capture.pcap", cluster=captures / "rollout" / "cluster.json")
    told = [(one.name, one.state.value, [(each.revision, each.seen, each.count(PodState.READY)) for each in one.revisions]) for one in timeline.rollouts]
    assert told == [("web", "blocked", [("5c4b9d7f86", 2, 2), ("7d9f6c5b44", 1, 0)]), ("api", "complete", [("6b8d5f7c9d", 1, 0), ("84c9bb6d5f", 1, 1)])]
    assert [each.sentence for each in timeline.findings] == [timeline.rollouts[0].sentence]
    ready = timeline.rollouts[1].revisions[1]
    assert ready.first_probe_ns is not None
    assert ready.first_ready_ns is not None
    assert ready.first_ready_ns - ready.first_probe_ns > 6 * S, "listening after 2 s, answering 503 for four more"
