"""Pods and Pod templates out of manifests: what `--spec` reads, and each Pod of `--cluster`.

A Pod comes with whatever its status tells (addresses, node, container starts); a workload (Deployment, CronJob ...)
gives its template, named after the workload, without an address. Fields that probewatch does not need are passed over
unread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.model.spec import ContainerSpec, ContainerStart, PodSpec, ProbeSpec

from .addresses import address_of, time_ns
from .document import Document
from .documents import read_documents
from .errors import FieldError, SpecError, join, plain, shown, typed
from .mistaken import unknown_keys
from .probe import PROBE_FIELDS, read_probe
from .schema import Container, ContainerState, ContainerStatus, ObjectMeta, Pod, PodSpecForm, PodStatus
from .source import file_name
from .workloads import workload_of

TEMPLATES: Final = {
    "Deployment": ("spec", "template"),
    "DeploymentConfig": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
}
"""Where each workload keeps its Pod template."""
_REVISIONS: Final = ("ReplicaSet", "ReplicationController")
"""Kinds that hold each revision of another workload's template."""

MAX_NOTES: Final = 20
"""Notes on fields that are not known; what is beyond is counted."""
MAX_KINDS: Final = 1000
"""Kinds counted apart from one another."""
KINDS_NAMED: Final = 8
"""Kinds listed in one sentence about what was passed over."""

OTHER_KINDS: Final = "of other kinds"

UNPROCESSED: Final = "Template"
"""OpenShift's Template: its objects have parameters (`${NAME}`) for values, so nothing in it can be read as it stands."""

_FINISHED: Final = ("Succeeded", "Failed")
_INITIALIZING: Final = "PodInitializing"
_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
_PROCESS: Final = "fill in a Template's parameters first: oc process -f TEMPLATE -o yaml > pods.yaml"
_MADE: Final = "give a Pod that it made: kubectl get pod NAME -o yaml > pod.yaml"
_WANTED: Final = "--spec needs a Pod or a workload that makes Pods"

OnProblem = Callable[[FieldError], None]
"""What to do with a probe that cannot be used: raise, or note it and go on without the probe."""


@dataclass(frozen=True, slots=True)
class SpecFile:
    """What a `--spec` file holds."""

    source: str
    specs: tuple[PodSpec, ...]
    notes: tuple[str, ...] = ()
    """One sentence about what was passed over, if anything was."""


def read_specs(path: str) -> list[PodSpec]:
    """Return the Pods and Pod templates of a manifest, YAML or JSON, in order; SpecError where there is none or one is wrong."""
    return list(load_specs(path).specs)


def load_specs(path: str) -> SpecFile:
    """Return the Pods and Pod templates of a manifest together with notes on what was passed over; errors as `read_specs`."""
    specs: list[PodSpec] = []
    others: Counter[str] = Counter()
    first: list[str] = []
    notes: list[str] = []
    makes = False
    for document in read_documents(path, dump=False):
        kind = kind_of(document, path)
        if kind in _REVISIONS and _scaled_down(document):
            count_kind(others, f"{kind} of 0 replicas")
        elif kind == "Pod" or kind in TEMPLATES:
            specs.append(_strictly(document, kind, path))
            notes += [f"{source_of(path, document)}: {said}" for said in _misspelt(document, kind)]
        else:
            count_kind(others, kind)
            makes = makes or _makes_pods(document)
            if len(first) < KINDS_NAMED:
                first.append(f"{document.label} is a {plain(kind)}")
    if not specs:
        wanted = _PROCESS if UNPROCESSED in others else _MADE if makes else _WANTED
        raise SpecError(f"{path}: {_nothing(first, others.total())}; {wanted}")
    note = passed_over(path, others)
    if note and UNPROCESSED in others:
        note += f"; {_PROCESS}"
    more = [f"{file_name(path)}: {len(notes) - MAX_NOTES} more fields are not known"] if len(notes) > MAX_NOTES else []
    return SpecFile(file_name(path), tuple(specs), (*notes[:MAX_NOTES], *more, *((note,) if note else ())))


def _scaled_down(document: Document) -> bool:
    """Tell whether an object is an earlier revision of another one's template, of which no Pod is left."""
    spec, metadata = document.value.get("spec"), document.value.get("metadata")
    owned = isinstance(metadata, dict) and bool(metadata.get("ownerReferences"))
    return owned and isinstance(spec, dict) and spec.get("replicas") == 0


def _misspelt(document: Document, kind: str) -> list[str]:
    """Return what is said of keys that Kubernetes does not know, in the containers of a Pod or a template."""
    raw, prefix = document.value, ""
    for step in (*TEMPLATES.get(kind, ()), "spec"):
        raw, prefix = raw[step], join(prefix, step)
    return list(unknown_keys(raw, prefix))


def _makes_pods(document: Document) -> bool:
    """Tell whether an object of a kind that is not known here makes Pods: it has a template, as Rollouts and VirtualMachines have."""
    spec = document.value.get("spec")
    return isinstance(spec, dict) and isinstance(spec.get("template"), dict)


def kind_of(document: Document, path: str) -> str:
    """Return an object's kind, by the List that holds it where it has none; SpecError where it is no Kubernetes object."""
    value = document.value
    if not isinstance(value, dict):
        raise SpecError(
            f"{path}: {document.label}: expected a Kubernetes object (a mapping with `kind`), got {shown(value)}"
        )
    kind = value.get("kind")
    if kind is None and document.list_kind.endswith("List"):
        kind = document.list_kind.removesuffix("List") or None
    if kind is None:
        raise SpecError(f"{path}: {document.label}: `kind` is missing; {_WANTED}")
    if not isinstance(kind, str):
        raise SpecError(f"{path}: {document.label}: kind: expected text, got {shown(kind)}")
    return kind


def described(document: Document, kind: str) -> str:
    """Return how messages name an object: `document 1 (Pod shop/web)`."""
    metadata = document.value.get("metadata") if isinstance(document.value, dict) else None
    names = []
    if isinstance(metadata, dict):
        names = [metadata.get("namespace"), metadata.get("name") or metadata.get("generateName")]
    name = "/".join(plain(part) for part in names if isinstance(part, str) and part)
    return f"{document.label} ({plain(kind)}{' ' + name if name else ''})"


def count_kind(kinds: Counter[str], kind: str) -> None:
    """Count an object that is passed over; beyond `MAX_KINDS` different kinds, only as one of the others."""
    kinds[kind if kind in kinds or len(kinds) < MAX_KINDS else OTHER_KINDS] += 1


def passed_over(path: str, kinds: Counter[str]) -> str | None:
    """Return the sentence about objects that hold nothing for probewatch, or None where there were none."""
    if not kinds:
        return None
    named = [(kind, count) for kind, count in kinds.most_common(KINDS_NAMED + 1) if kind != OTHER_KINDS][:KINDS_NAMED]
    listed = [f"{count} {plain(kind)}" for kind, count in named]
    if more := kinds.total() - sum(count for _, count in named):
        listed.append(f"{more} {OTHER_KINDS}")
    return f"{file_name(path)}: passed over {', '.join(listed)}"


def read_pod(document: Document, kind: str, source: str, declared_by: str, on_problem: OnProblem) -> PodSpec:
    """Return the Pod, or the workload's Pod template, in `document`; FieldError where it is not what the API server accepts.

    A probe that is wrong goes to `on_problem`; where that returns, the probe is left out.
    """
    raw, prefix = document.value, ""
    metadata = typed(raw.get("metadata") or {}, ObjectMeta, "metadata")
    for step in TEMPLATES.get(kind, ()):
        prefix = join(prefix, step)
        raw = raw.get(step)
        if not isinstance(raw, dict):
            raise FieldError(prefix, "is missing" if raw is None else f"expected a mapping, got {shown(raw)}")
    pod = typed(raw, Pod, prefix)
    template = pod.metadata or ObjectMeta()
    form = pod.spec or PodSpecForm()
    status = (pod.status if kind == "Pod" else None) or PodStatus()
    at = join(prefix, "spec")
    if not form.containers:
        raise FieldError(join(at, "containers"), "is missing; a Pod has at least one container")
    starts = _starts(status)
    containers = [
        _container(each, join(at, f"containers[{index}]"), starts, on_problem, init=False)
        for index, each in enumerate(form.containers)
    ]
    containers += [
        _container(each, join(at, f"initContainers[{index}]"), starts, on_problem, init=True)
        for index, each in enumerate(form.init_containers or ())
    ]
    grace = form.termination_grace_period_seconds
    if kind == "Pod":
        template = metadata
    return PodSpec(
        source=source,
        kind=kind,
        name=metadata.name or metadata.generate_name or "",
        namespace=metadata.namespace or "default",
        uid=metadata.uid if kind == "Pod" else None,
        addresses=_addresses(status),
        node=form.node_name or None,
        host_ip=_address(status.host_ip, "status.hostIP"),
        host_network=bool(form.host_network),
        restart_policy=_restart_policy(form.restart_policy, at),
        # The API server turns a negative grace period into 1 when it deletes the Pod.
        grace_s=30 if grace is None else grace if grace >= 0 else 1,
        containers=tuple(each for each in containers if each is not None),
        created_ns=_time(metadata.creation_timestamp, "metadata.creationTimestamp") if kind == "Pod" else None,
        started_ns=_time(status.start_time, "status.startTime"),
        deleted_ns=_time(metadata.deletion_timestamp, "metadata.deletionTimestamp") if kind == "Pod" else None,
        deletion_grace_s=metadata.deletion_grace_period_seconds if kind == "Pod" else None,
        ended_ns=_ended(status, starts),
        waiting=_waiting(status) if kind == "Pod" else "",
        labels=tuple((key, value or "") for key, value in (template.labels or {}).items()),
        workload=workload_of(metadata),
        declared_by=declared_by,
    )


def source_of(path: str, document: Document) -> str:
    """Return where a spec was read, for messages: `pod.yaml`, `pod.yaml document 2`, `cluster.json item 12`."""
    name = file_name(path)
    return name if document.document == 1 and document.item is None else f"{name} {document.label}"


def _strictly(document: Document, kind: str, path: str) -> PodSpec:
    def refuse(problem: FieldError) -> None:
        raise problem

    try:
        return read_pod(document, kind, source_of(path, document), "--spec", refuse)
    except FieldError as error:
        raise SpecError(f"{path}: {described(document, kind)}: {error}") from None


def _nothing(first: Sequence[str], count: int) -> str:
    """Say what a file without any Pod holds instead."""
    if not first:
        return "the file holds no object"
    return ", ".join(first) + (f", and {count - len(first)} more are no Pods either" if count > len(first) else "")


_Starts = dict[str, tuple[tuple[ContainerStart, ...], int | None, tuple[str, ...]]]


def _container(form: Container, at: str, starts: _Starts, on_problem: OnProblem, *, init: bool) -> ContainerSpec | None:
    """Return a container with its probes; None for an init container that ends before the others start."""
    sidecar = init and form.restart_policy == "Always"
    ports = tuple((port.name or "", port.container_port) for port in form.ports or ())
    for index, (_, number) in enumerate(ports):
        if not 1 <= number <= 65535:
            field = join(at, f"ports[{index}].containerPort")
            raise FieldError(field, f"expected a number from 1 to 65535, got {shown(number)}")
    written = {
        "startupProbe": form.startup_probe,
        "readinessProbe": form.readiness_probe,
        "livenessProbe": form.liveness_probe,
    }
    probes: list[ProbeSpec] = []
    for name, kind in PROBE_FIELDS.items():
        raw = written[name]
        if raw is None:
            continue
        field = join(at, name)
        if init and not sidecar:
            on_problem(FieldError(field, "is not allowed in an init container without restartPolicy: Always"))
            continue
        try:
            probes.append(read_probe(raw, kind, ports, field))
        except FieldError as error:
            on_problem(error)
    if init and not sidecar:
        return None
    seen, restarts, ids = starts.get(form.name, ((), None, ()))
    return ContainerSpec(
        name=form.name, ports=ports, probes=tuple(probes), sidecar=sidecar, starts=seen, restart_count=restarts, ids=ids
    )


def _restart_policy(policy: str | None, at: str) -> str:
    if policy and policy not in _RESTART_POLICIES:
        raise FieldError(
            join(at, "restartPolicy"), f"expected one of {', '.join(_RESTART_POLICIES)}, got {shown(policy)}"
        )
    return policy or "Always"


def _addresses(status: PodStatus) -> tuple[str, ...]:
    """Return the Pod's addresses, the primary (podIP) first, each once."""
    found = [_address(status.pod_ip, "status.podIP")]
    found += [_address(each.ip, f"status.podIPs[{index}].ip") for index, each in enumerate(status.pod_ips or ())]
    return tuple(dict.fromkeys(address for address in found if address))


def _address(text: str | None, field: str) -> str | None:
    if not text:
        return None
    address = address_of(text)
    if address is None:
        raise FieldError(field, f"expected an IPv4 or IPv6 address, got {shown(text)}")
    return address


def _time(text: str | None, field: str) -> int | None:
    if not text:
        return None
    try:
        return time_ns(text)
    except ValueError as error:
        raise FieldError(field, str(error)) from None


def _starts(status: PodStatus) -> _Starts:
    """Return by container the instances that its status declares, oldest first, and its restart count."""
    found: _Starts = {}
    lists: tuple[tuple[str, list[ContainerStatus] | None], ...] = (
        ("status.containerStatuses", status.container_statuses),
        ("status.initContainerStatuses", status.init_container_statuses),
    )
    for field, statuses in lists:
        for index, each in enumerate(statuses or ()):
            at = f"{field}[{index}]"
            instances = {
                start.started_ns: start
                for name, state in (("lastState", each.last_state), ("state", each.state))
                for start in _instances(state, f"{at}.{name}")
            }
            found[each.name] = (tuple(instances[ns] for ns in sorted(instances)), each.restart_count, _ids(each))
    return found


def _ids(status: ContainerStatus) -> tuple[str, ...]:
    """Return the ids of a container's instances, `containerd://ID` without its runtime."""
    ended = [state.terminated for state in (status.state, status.last_state) if state is not None and state.terminated]
    named = [status.container_id, *(each.container_id for each in ended)]
    return tuple(dict.fromkeys(text.rpartition("//")[2] for text in named if text))


def _instances(state: ContainerState | None, at: str) -> Iterable[ContainerStart]:
    if state is None:
        return
    if state.running is not None:
        started = _time(state.running.started_at, f"{at}.running.startedAt")
        if started is not None:
            yield ContainerStart(started_ns=started)
    if state.terminated is not None:
        started = _time(state.terminated.started_at, f"{at}.terminated.startedAt")
        finished = _time(state.terminated.finished_at, f"{at}.terminated.finishedAt")
        if started is not None:
            yield ContainerStart(started_ns=started, finished_ns=finished)


def _waiting(status: PodStatus) -> str:
    """Return what a Pod waits for none of whose containers has begun, in the words of `kubectl get pods`."""
    containers = status.container_statuses or ()
    if any(map(_begun, containers)):
        return ""
    for init in status.init_container_statuses or ():
        if (reason := _reason(init)) and reason != _INITIALIZING:
            return f"Init:{reason}"
    unplaced = [one for one in status.conditions or () if one.type == "PodScheduled" and one.status == "False"]
    said = [*map(_reason, containers), *(one.reason or "" for one in unplaced)]
    return next(filter(None, said), "")


def _begun(status: ContainerStatus) -> bool:
    states = [state for state in (status.state, status.last_state) if state is not None]
    return any(state.running is not None or state.terminated is not None for state in states)


def _reason(status: ContainerStatus) -> str:
    waits = status.state.waiting if status.state is not None else None
    return (waits.reason if waits is not None else None) or ""


def _ended(status: PodStatus, starts: _Starts) -> int | None:
    """Return when a finished Pod gave up its address: the end of its last container."""
    if status.phase not in _FINISHED:
        return None
    ends = [
        start.finished_ns for instances, _, _ in starts.values() for start in instances if start.finished_ns is not None
    ]
    return max(ends, default=None)
