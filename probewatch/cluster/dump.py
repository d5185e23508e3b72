"""Cluster dumps, as `oc` or `kubectl get nodes,hostsubnets,pods -A -o json` prints them: what `--cluster` reads.

With `replicasets,controllerrevisions` beside them the numbers of revisions are known, so that a rollback is.

The dump passes through a window, object by object; of a Pod only what `model.spec` names is kept, so 10 000 Pods need
some tens of MB.
The API server has checked these objects already: one that still cannot be used is noted and passed over, the others
count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from probewatch.model.book import NodeAddress
from probewatch.model.spec import PodSpec

from .addresses import time_ns
from .document import Document
from .documents import read_documents
from .errors import FieldError, SpecError, shown, typed
from .manifests import count_kind, described, passed_over, read_pod, source_of
from .nodes import host_subnet_addresses, node_addresses
from .schema import HostSubnet, Node, Revisioned
from .source import file_name
from .workloads import REVISIONS, number_of

MAX_NOTES: Final = 20
"""Sentences about single objects; what is beyond is counted."""

_WANTED: Final = "--cluster needs the output of `kubectl get nodes,pods -A -o json`"


Maker = tuple[str, str, str]
"""Namespace, kind and name of a ReplicaSet or ControllerRevision."""


@dataclass(frozen=True, slots=True)
class ClusterDump:
    """What a `--cluster` file holds."""

    source: str
    """File name."""
    nodes: tuple[NodeAddress, ...] = ()
    """Every address that a Node or HostSubnet declares, in the order of the file."""
    pods: tuple[PodSpec, ...] = ()
    revisions: Mapping[Maker, int] = field(default_factory=dict)
    """By what tells it, the number of a revision."""
    latest_ns: int | None = None
    """The latest moment of which it tells: it was taken then or later."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: what was passed over and why."""


def read_cluster(path: str) -> ClusterDump:
    """Return the nodes and Pods of a cluster dump (JSON or YAML, plain or gzip); SpecError where it cannot be read or has neither."""
    reader = _Reader(path)
    for document in read_documents(path, dump=True):
        reader.take(document)
    return reader.finish()


class _Reader:
    """Collect what the objects of one dump tell."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._name = file_name(path, "cluster")
        self._nodes: list[NodeAddress] = []
        self._pods: list[PodSpec] = []
        self._revisions: dict[Maker, int] = {}
        self._latest_ns: int | None = None
        self._others: Counter[str] = Counter()
        self._notes: list[str] = []
        self._unnoted = 0
        self._objects = 0
        self._useful = 0

    def take(self, document: Document) -> None:
        """Read one object; one that cannot be used is noted."""
        self._objects += 1
        value = document.value
        kind = _kind(document)
        if kind is None:
            self._note(document, "", FieldError("", f"expected a Kubernetes object with `kind`, got {shown(value)}"))
            return
        try:
            if kind == "Node":
                node = typed(value, Node)
                self._nodes += node_addresses(node)
                self._meet(_heartbeats(node))
            elif kind == "HostSubnet":
                self._nodes += host_subnet_addresses(typed(value, HostSubnet))
            elif kind == "Pod":
                pod = self._pod(document)
                self._pods.append(pod)
                self._meet(_moments(pod))
            elif kind in REVISIONS:
                self._revision(kind, typed(value, Revisioned))
                return
            else:
                count_kind(self._others, kind)
                return
            self._useful += 1
        except FieldError as error:
            self._note(document, kind, error)

    def finish(self) -> ClusterDump:
        """Return the whole; SpecError where nothing in it was a node or a Pod."""
        if not self._useful:
            if not self._objects:
                raise SpecError(f"{self._path}: holds no object; {_WANTED}")
            why = self._notes[0] if self._notes else passed_over(self._path, self._others)
            detail = f" ({why.removeprefix(self._name + ': ')})" if why else ""
            raise SpecError(f"{self._path}: holds no usable Node, HostSubnet or Pod{detail}; {_WANTED}")
        notes = list(self._notes)
        if self._unnoted:
            notes.append(f"{self._name}: {self._unnoted} more objects or probes could not be used")
        if others := passed_over(self._path, self._others):
            notes.append(others)
        nodes, pods = tuple(self._nodes), tuple(self._pods)
        return ClusterDump(self._name, nodes, pods, self._revisions, self._latest_ns, tuple(notes))

    def _revision(self, kind: str, made: Revisioned) -> None:
        metadata, number = made.metadata, number_of(kind, made)
        if metadata is not None and metadata.name and number is not None:
            self._revisions[metadata.namespace or "default", kind, metadata.name] = number

    def _meet(self, moments: Iterable[int]) -> None:
        """Know that it was taken no earlier than these."""
        self._latest_ns = max((*moments, self._latest_ns or 0)) or None

    def _pod(self, document: Document) -> PodSpec:
        def left_out(problem: FieldError) -> None:
            self._note(document, "Pod", problem, "the probe is left out")

        return read_pod(document, "Pod", source_of(self._path, document), "--cluster", left_out)

    def _note(self, document: Document, kind: str, problem: FieldError, consequence: str = "passed over") -> None:
        if len(self._notes) >= MAX_NOTES:
            self._unnoted += 1
            return
        who = described(document, kind) if kind else document.label
        self._notes.append(f"{self._name}: {who}: {problem}; {consequence}")


def _moments(pod: PodSpec) -> Iterable[int]:
    """Return the moments that had passed when a Pod was printed (its deletionTimestamp may be yet to come)."""
    yield from (ns for ns in (pod.created_ns, pod.started_ns) if ns is not None)
    for start in (start for container in pod.containers for start in container.starts):
        yield start.started_ns if start.finished_ns is None else start.finished_ns


def _heartbeats(node: Node) -> Iterable[int]:
    """Return when a node was heard of."""
    conditions = (node.status.conditions if node.status is not None else None) or ()
    for text in (one.last_heartbeat_time for one in conditions):
        with suppress(ValueError):
            if text and (ns := time_ns(text)) is not None:
                yield ns


def _kind(document: Document) -> str | None:
    """Return an object's kind; where neither it nor its List names one, by what only a Pod or a Node has."""
    value: Any = document.value
    if not isinstance(value, dict):
        return None
    kind = value.get("kind")
    if isinstance(kind, str) and kind:
        return kind
    if kind is None:
        if document.list_kind.endswith("List") and document.list_kind != "List":
            return document.list_kind.removesuffix("List")
        spec, status = value.get("spec"), value.get("status")
        if isinstance(spec, dict) and "containers" in spec:
            return "Pod"
        if isinstance(status, dict) and "nodeInfo" in status:
            return "Node"
    return None
