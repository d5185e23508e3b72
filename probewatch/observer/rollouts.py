"""Probes by workload and revision: the new Pod that never turns Ready, the old one that serves until it does.

Theory of operation. A Pod's owner and revision come from the address book (`cluster.workloads`), its readiness from its
own probes: a Pod is Ready while all its declared readiness probes are (the kubelet's GeneratePodReadyCondition), and
not while a startup probe holds them back. A workload is told of where at least one of its Pods was probed.

Which revision is newer: one whose Pods are all being deleted is older; the rest go by the creation of their first Pod,
those of a DeploymentConfig by their number. Where a creation is not known the order is not either, and nothing is
found fault with.

Limitations. Only what is probed in this capture is judged: Pods of other nodes are counted as not seen. Readiness gates
and exec probes send no packets. The cluster dump is one moment: a Pod deleted after it looks silent, not terminating.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.catalogue import result
from probewatch.model.finding import Evidence, Finding, Held
from probewatch.model.rollout import Failing, PodState, Revision, RevisionPod, Rollout, RolloutState
from probewatch.model.spec import Handler, PodSpec, ProbeType, Workload
from probewatch.model.timeline import DecisionKind, EventKind, Outcome, Probe, TimelineEvent
from probewatch.probes.cadence import SECOND

from .rollout_story import judge_rollout, named, ready

SHOWN: Final = 3
"""Attempts that a finding names."""
_WORST_FIRST: Final = (
    RolloutState.UNAVAILABLE,
    RolloutState.BLOCKED,
    RolloutState.DEGRADED,
    RolloutState.PROGRESSING,
    RolloutState.UNKNOWN,
    RolloutState.COMPLETE,
    RolloutState.STEADY,
)
_DECIDING: Final = (ProbeType.READINESS, ProbeType.STARTUP)
"""Probes that decide whether a container is Ready."""
_UNREADY: Final = ("NotStarted", "Restart")
"""States of a startup probe that hold readiness back."""

Span = tuple[int, int]
"""From, to."""
_Key = tuple[str, str, str]
"""Namespace, kind and name of a workload."""


@dataclass(slots=True)
class _Pod:
    """One Pod with what was seen of it."""

    spec: PodSpec
    probes: list[Probe] = field(default_factory=list)


def find_rollouts(
    probes: Sequence[Probe], events: Iterable[TimelineEvent], book: AddressBook, until_ns: int
) -> tuple[Rollout, ...]:
    """Return the workloads whose Pods were probed, the worst first. `until_ns`: when the capture ends."""
    known = book.all_pods()
    if not any(pod.workload for pod in known):
        return ()
    ours = [probe for probe in probes if probe.checker.kind == "kubelet" and probe.target.pod and probe.attempts]
    begun_ns = min((probe.attempts[0].start.ns for probe in ours), default=until_ns)
    groups: dict[_Key, dict[tuple[str, tuple[str, ...]], _Pod]] = {}
    for spec in known:
        if spec.workload is not None and _there(spec, begun_ns, until_ns):
            pods = groups.setdefault((spec.namespace, spec.workload.kind, spec.workload.name), {})
            mine = pods.setdefault((spec.name, spec.addresses), _Pod(spec))
            if spec.deleted_ns is not None:  # several dumps may tell of one Pod: the later one knows of its deletion
                mine.spec = spec
    places = {
        (pod.spec.namespace, pod.spec.name, address): pod
        for pods in groups.values()
        for pod in pods.values()
        for address in pod.spec.addresses or ("",)
    }
    for probe in ours:
        target = probe.target
        name = target.namespace or "", target.pod or ""
        met = places.get((*name, target.address)) or places.get((*name, ""))
        if met is not None:
            met.probes.append(probe)
    ending = {event.pod for event in events if event.kind is EventKind.POD_TERMINATING and event.pod}
    told = [
        _rollout(key, [*pods.values()], ending, until_ns)
        for key, pods in groups.items()
        if any(pod.probes for pod in pods.values())
    ]
    return tuple(sorted(told, key=lambda one: (_WORST_FIRST.index(one.state), one.namespace, one.name, one.kind)))


def blocked(rollouts: Iterable[Rollout], probes: Sequence[Probe]) -> tuple[Finding, ...]:
    """Return a finding for each new revision that never turned Ready while an old one serves."""
    by_id = {probe.id: probe for probe in probes}
    return tuple(_finding(one, by_id) for one in rollouts if one.state is RolloutState.BLOCKED and one.ordered)


def _finding(one: Rollout, by_id: dict[str, Probe]) -> Finding:
    new = one.revisions[-1]
    failing = [by_id[ident] for pod in new.pods for ident in pod.probes if by_id[ident].type in _DECIDING]
    probe = max(failing, key=lambda probe: sum(a.outcome is Outcome.FAILURE for a in probe.attempts))
    shown = list(islice((made for made in probe.attempts if made.outcome is Outcome.FAILURE), SHOWN))
    failed = sum(each.attempts for each in new.failures)
    return Finding(
        held=Held.FAIL,
        probe=probe.id,
        subject=f"{one.kind} {one.namespace}/{one.name}",
        field="rollout",
        sentence=one.sentence,
        expected=f"{named(new)} Ready",
        observed=f"{ready(new)}, {failed} of {new.attempts} attempts failed",
        source=probe.spec_source or "",
        attempts=tuple(attempt.n for attempt in shown),
        evidence=tuple(Evidence(attempt.file, *attempt.frames()) for attempt in shown),
    )


def _there(pod: PodSpec, begun_ns: int, until_ns: int) -> bool:
    """Tell whether a Pod may have lived while the capture ran."""
    ends = [end for end in (pod.deleted_ns, pod.ended_ns) if end is not None]
    return all(end + SECOND >= begun_ns for end in ends) and (pod.created_ns or 0) <= until_ns


def _rollout(key: _Key, pods: Sequence[_Pod], ending: set[str], until_ns: int) -> Rollout:
    by_revision: dict[str, list[_Pod]] = {}
    for pod in pods:
        workload = pod.spec.workload or Workload(kind="", name="")
        by_revision.setdefault(workload.revision, []).append(pod)
    revisions = [_revision(name, mine, ending, until_ns) for name, mine in by_revision.items()]
    ordered = len(revisions) == 1 or all(revision.created_ns is not None for revision in revisions)
    numbered = key[1] == "DeploymentConfig" and all(revision.revision.isdecimal() for revision in revisions)
    if numbered:
        revisions.sort(key=lambda revision: int(revision.revision))
    elif ordered:
        revisions.sort(key=lambda revision: (not _leaving(revision), revision.created_ns or 0))
    else:
        revisions.sort(key=lambda revision: (revision.first_probe_ns is None, revision.first_probe_ns or 0))
    seen = [revision for revision in revisions if revision.seen]
    state, sentence = judge_rollout(seen, enough=_enough(by_revision[seen[-1].revision]))
    unseen = sum(len(revision.pods) - revision.seen for revision in revisions)
    if unseen:
        sentence += f"; {unseen} more {'pod is' if unseen == 1 else 'pods are'} not seen in this capture"
    namespace, kind, name = key
    return Rollout(
        namespace=namespace,
        kind=kind,
        name=name,
        state=state,
        ordered=ordered or numbered,
        revisions=tuple(revisions),
        sentence=sentence,
    )


def _leaving(revision: Revision) -> bool:
    return all(pod.deleted_ns is not None for pod in revision.pods)


def _revision(name: str, pods: Sequence[_Pod], ending: set[str], until_ns: int) -> Revision:
    made = tuple(sorted((_pod(pod, ending, until_ns) for pod in pods), key=lambda pod: pod.name))
    deciding = [probe for pod in pods for probe in pod.probes if probe.type in _DECIDING]
    failures: Counter[tuple[str, str]] = Counter(
        (probe.type.value, result(attempt, probe.handler))
        for probe in deciding
        for attempt in probe.attempts
        if attempt.outcome is Outcome.FAILURE
    )
    return Revision(
        revision=name,
        created_ns=min((pod.created_ns for pod in made if pod.created_ns is not None), default=None),
        pods=made,
        first_probe_ns=min((probe.attempts[0].start.ns for pod in pods for probe in pod.probes), default=None),
        first_ready_ns=min((pod.first_ready_ns for pod in made if pod.first_ready_ns is not None), default=None),
        attempts=sum(len(probe.attempts) for probe in deciding),
        failures=tuple(Failing(type=kind, result=word, attempts=n) for (kind, word), n in failures.most_common()),
    )


def _pod(pod: _Pod, ending: set[str], until_ns: int) -> RevisionPod:
    spec = pod.spec
    spans = _ready_spans(pod, until_ns)
    return RevisionPod(
        name=spec.name,
        address=next((probe.target.address for probe in pod.probes), next(iter(spec.addresses), None)),
        node=spec.node,
        state=_state(pod, f"{spec.namespace}/{spec.name}" in ending),
        probes=tuple(probe.id for probe in pod.probes),
        first_ready_ns=spans[0][0] if spans else None,
        last_ready_ns=spans[-1][1] if spans else None,
        created_ns=spec.created_ns if spec.created_ns is not None else spec.started_ns,
        deleted_ns=spec.deleted_ns,
    )


def _state(pod: _Pod, ending: bool) -> PodState:
    readiness = [probe for probe in pod.probes if probe.type is ProbeType.READINESS]
    if ending or pod.spec.deleted_ns is not None:
        return PodState.TERMINATING
    if readiness and all(probe.last_gap is not None for probe in readiness):
        return PodState.SILENT
    held = any(probe.type is ProbeType.STARTUP and probe.final_state in _UNREADY for probe in pod.probes)
    if held or any(probe.final_state == "NotReady" for probe in readiness):
        return PodState.NOT_READY
    known = {probe.target.container for probe in readiness if probe.final_state == "Ready"}
    return PodState.READY if readiness and _asking(pod.spec) <= known else PodState.UNKNOWN


def _asking(spec: PodSpec) -> set[str | None]:
    """Return the containers whose readiness counts."""
    return {each.name for each in spec.containers if any(one.type is ProbeType.READINESS for one in each.probes)}


def _ready_spans(pod: _Pod, until_ns: int) -> list[Span]:
    """Return when all readiness probes that were seen had the Pod Ready; none where a declared one was not seen."""
    readiness = [probe for probe in pod.probes if probe.type is ProbeType.READINESS]
    seen = {probe.target.container for probe in readiness}
    exec_only = {
        each.name
        for each in pod.spec.containers
        if any(one.type is ProbeType.READINESS and one.handler is Handler.EXEC for one in each.probes)
    }
    if not readiness or (_asking(pod.spec) - seen) | exec_only:
        return []
    spans = _spans(readiness[0], until_ns)
    for probe in readiness[1:]:
        others = _spans(probe, until_ns)
        both = [(max(a, c), min(b, d)) for a, b in spans for c, d in others]
        spans = sorted(span for span in both if span[0] <= span[1])
    return spans


def _spans(probe: Probe, until_ns: int) -> list[Span]:
    since = probe.attempts[0].start.ns if probe.initial_state == "Ready" else None
    out: list[Span] = []
    for decision in sorted(probe.decisions, key=lambda decision: decision.ns):
        if decision.kind is DecisionKind.READY:
            since = decision.ns if since is None else since
        elif decision.kind is DecisionKind.NOT_READY and since is not None:
            out.append((since, decision.ns))
            since = None
    if since is not None:
        ended = probe.last_gap is not None or probe.final_state != "Ready"
        out.append((since, probe.attempts[-1].end_ns if ended else max(since, until_ns)))
    return out


def _enough(pods: Iterable[_Pod]) -> bool:
    """Tell whether a probe of these Pods failed as often in a row as its failureThreshold says, up to its last attempt."""
    for pod in pods:
        for probe in pod.probes:
            least = probe.thresholds.get("failureThreshold", (3, ""))[0]
            last = probe.attempts[-least:]
            whole = len(last) == least and all(attempt.outcome is Outcome.FAILURE for attempt in last)
            if probe.type in _DECIDING and whole:
                return True
    return False
