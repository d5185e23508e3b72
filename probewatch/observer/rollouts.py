"""Probes by workload and revision: the new Pod that never turns Ready, the old one that serves until it does.

Theory of operation. A Pod's owner and revision come from the address book (`cluster.workloads`), its readiness from its
own probes: a Pod is Ready while all its declared readiness probes are (the kubelet's GeneratePodReadyCondition), and
not while a startup probe holds them back. A workload is told of where at least one of its Pods was probed.

Which revision is newer: the numbers tell that their controller gives them, also where an old template was rolled back to.
Without, one whose Pods are all being deleted or gone is older, and of the rest the one that last got a new Pod is the
newest. Where another one began later that is not certain (an old Pod may just have been replaced), and where a creation
is not known nothing is: then it is said so, and nothing is found fault with.

A revision may have no Pod that was probed: they are on other nodes, or wait for an image. What is seen of the others then
does not make the workload steady, nor a rollout complete.

Limitations. Only what is probed in this capture is judged: Pods of other nodes are counted as not seen. Readiness gates
and exec probes send no packets. The cluster dump is one moment: a Pod deleted after it looks silent, not terminating.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.catalogue import result
from probewatch.model.finding import Evidence, Finding, Held
from probewatch.model.rollout import Failing, PodState, Revision, RevisionPod, Rollout, RolloutState
from probewatch.model.spec import Handler, PodSpec, ProbeType, Workload
from probewatch.model.timeline import DecisionKind, EventKind, Outcome, Probe, TimelineEvent
from probewatch.model.units import SECOND

from .rollout_story import hidden, hidden_of, judge_rollout, judge_unseen, named, ready

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

UNSURE: Final = "; their Pods' ages leave open whether this is a rollback, or an old Pod was replaced{}"
TELLS: Final = {
    **dict.fromkeys(("Deployment", "Rollout"), " (replicasets in the dump tell)"),
    **dict.fromkeys(("StatefulSet", "DaemonSet"), " (controllerrevisions in the dump tell)"),
}
"""What numbers the revisions of a kind."""

Span = tuple[int, int]
"""From, to."""
_Key = tuple[str, str, str]
"""Namespace, kind and name of a workload."""


@dataclass(slots=True)
class _Pod:
    """One Pod with what was seen of it."""

    spec: PodSpec
    probes: list[Probe] = field(default_factory=list)
    ended_ns: int | None = None
    """When its probes showed that it was being deleted."""


def find_rollouts(
    probes: Sequence[Probe], events: Iterable[TimelineEvent], book: AddressBook, until_ns: int
) -> tuple[Rollout, ...]:
    """Return the workloads whose Pods were probed, the worst first. `until_ns`: when the capture ends."""
    known = [*book.all_pods(), *book.pending]
    if not any(pod.workload for pod in known):
        return ()
    ours = [probe for probe in probes if probe.checker.kind == "kubelet" and probe.target.pod and probe.attempts]
    begun_ns = min((probe.attempts[0].start.ns for probe in ours), default=until_ns)
    groups = _workloads([spec for spec in known if _there(spec, begun_ns, until_ns)])
    pods = [pod for group in groups.values() for pod in group]
    _give_probes(pods, ours)
    _give_ends(pods, events)
    told = [_rollout(key, group, until_ns) for key, group in groups.items() if any(pod.probes for pod in group)]
    return tuple(sorted(told, key=lambda one: (_WORST_FIRST.index(one.state), one.namespace, one.name, one.kind)))


def _workloads(known: Iterable[PodSpec]) -> dict[_Key, list[_Pod]]:
    """Return the Pods of each workload, each once: of one that several dumps tell of, as the later one has it."""
    groups: dict[_Key, dict[tuple[object, ...], _Pod]] = {}
    for spec in known:
        if spec.workload is not None:
            pods = groups.setdefault((spec.namespace, spec.workload.kind, spec.workload.name), {})
            mine = pods.setdefault((spec.uid,) if spec.uid else (spec.name, spec.addresses), _Pod(spec))
            # The later one knows of its deletion, and that its containers began.
            if spec.deleted_ns is not None or (mine.spec.waiting and not spec.waiting):
                mine.spec = spec
    return {key: [*pods.values()] for key, pods in groups.items()}


def _give_probes(pods: Iterable[_Pod], probes: Iterable[Probe]) -> None:
    """Give each Pod the probes that met it: by its uid where that is known, else by name and address."""
    places: dict[tuple[object, ...], _Pod] = {}
    for pod in pods:
        for address in pod.spec.addresses or ("",):
            places[pod.spec.namespace, pod.spec.name, address] = pod
            places[pod.spec.uid, address] = pod  # (a StatefulSet's Pods go by one name after another)
    for probe in probes:
        target = probe.target
        name = target.namespace or "", target.pod or ""
        met = places.get((target.uid, target.address)) if target.uid else None
        met = met or places.get((*name, target.address)) or places.get((*name, ""))
        if met is not None:
            met.probes.append(probe)


def _give_ends(pods: Sequence[_Pod], events: Iterable[TimelineEvent]) -> None:
    """Tell each Pod when its probes showed first that it was being deleted."""
    for event in events:
        if event.kind is EventKind.POD_TERMINATING and event.pod:
            for pod in pods:
                if _concerns(event, pod.spec):
                    pod.ended_ns = event.ns if pod.ended_ns is None else min(pod.ended_ns, event.ns)


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


def _concerns(event: TimelineEvent, pod: PodSpec) -> bool:
    """Tell whether an event is of this Pod, and not of another that had its name before."""
    mine = event.pod == f"{pod.namespace}/{pod.name}" and event.address in (pod.addresses or (event.address,))
    return mine and event.ns >= (pod.created_ns or 0)


def _rollout(key: _Key, pods: Sequence[_Pod], until_ns: int) -> Rollout:
    by_revision: dict[str, list[_Pod]] = {}
    for pod in pods:
        workload = pod.spec.workload or Workload(kind="", name="")
        by_revision.setdefault(workload.revision, []).append(pod)
    revisions, ordered, why = _ordered([_revision(name, mine, until_ns) for name, mine in by_revision.items()])
    while len(revisions) > 1 and not revisions[-1].seen and revisions[-1].leaving:
        revisions.insert(0, revisions.pop())  # (scaled down, and nothing of it is seen: it is no news)
    seen = [revision for revision in revisions if revision.seen]
    state, sentence = judge_rollout(seen, enough=_enough(by_revision[seen[-1].revision]))
    told = revisions
    if ordered and not revisions[-1].seen:
        state, sentence = judge_unseen(revisions[-1], seen)
        told = revisions[:-1]
    elif state in (RolloutState.STEADY, RolloutState.COMPLETE):
        beside = [one for one in revisions if not one.seen and not one.leaving and one.hidden]
        if beside:
            state = RolloutState.PROGRESSING if ordered else RolloutState.UNKNOWN
            sentence += "".join(f"; {named(one)}: {hidden_of(one)}" for one in beside)
            told = [one for one in revisions if one not in beside]
    namespace, kind, name = key
    return Rollout(
        namespace=namespace,
        kind=kind,
        name=name,
        state=state,
        ordered=ordered,
        revisions=tuple(revisions),
        sentence=f"{sentence}{hidden(told)}{why.format(TELLS.get(kind, ''))}",
    )


def _ordered(revisions: list[Revision]) -> tuple[list[Revision], bool, str]:
    """Return revisions, the oldest first, whether that is known, and what to say where it is not quite."""
    if len(revisions) == 1:
        return revisions, True, ""
    if all(revision.number is not None for revision in revisions):
        return sorted(revisions, key=lambda one: one.number or 0), True, ""
    if any(revision.created_ns is None for revision in revisions):
        return sorted(revisions, key=lambda one: (one.first_probe_ns is None, one.first_probe_ns or 0)), False, ""
    latest = sorted(revisions, key=lambda one: (not one.leaving, one.newest_ns or 0))
    staying = [one for one in latest if not one.leaving]
    sure = all(before.created_ns <= after.created_ns for before, after in pairwise(staying))  # type: ignore[operator]
    return latest, sure, "" if sure else UNSURE


def _revision(name: str, pods: Sequence[_Pod], until_ns: int) -> Revision:
    made = tuple(sorted((_pod(pod, until_ns) for pod in pods), key=lambda pod: pod.name))
    deciding = [probe for pod in pods for probe in pod.probes if probe.type in _DECIDING]
    failures: Counter[tuple[str, str]] = Counter(
        (probe.type.value, result(attempt, probe.handler))
        for probe in deciding
        for attempt in probe.attempts
        if attempt.outcome is Outcome.FAILURE
    )
    return Revision(
        revision=name,
        number=max((pod.spec.workload.number or 0 for pod in pods if pod.spec.workload), default=0) or None,
        created_ns=min((pod.created_ns for pod in made if pod.created_ns is not None), default=None),
        newest_ns=max((pod.created_ns for pod in made if pod.created_ns is not None), default=None),
        pods=made,
        first_probe_ns=min((probe.attempts[0].start.ns for pod in pods for probe in pod.probes), default=None),
        first_ready_ns=min((pod.first_ready_ns for pod in made if pod.first_ready_ns is not None), default=None),
        attempts=sum(len(probe.attempts) for probe in deciding),
        failures=tuple(Failing(type=kind, result=word, attempts=n) for (kind, word), n in failures.most_common()),
    )


def _pod(pod: _Pod, until_ns: int) -> RevisionPod:
    spec = pod.spec
    ends = [ns for ns in (spec.leaving_ns, pod.ended_ns) if ns is not None]
    spans = [(low, min([high, *ends])) for low, high in _ready_spans(pod, until_ns) if all(low < ns for ns in ends)]
    return RevisionPod(
        name=spec.name,
        address=next((probe.target.address for probe in pod.probes), next(iter(spec.addresses), None)),
        node=spec.node,
        state=_state(pod),
        probes=tuple(probe.id for probe in pod.probes),
        first_ready_ns=spans[0][0] if spans else None,
        last_ready_ns=spans[-1][1] if spans else None,
        created_ns=spec.created_ns if spec.created_ns is not None else spec.started_ns,
        deleted_ns=spec.deleted_ns,
        gone=spec.gone,
        waiting=spec.waiting,
    )


def _state(pod: _Pod) -> PodState:
    readiness = [probe for probe in pod.probes if probe.type is ProbeType.READINESS]
    if pod.ended_ns is not None or pod.spec.deleted_ns is not None:
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
