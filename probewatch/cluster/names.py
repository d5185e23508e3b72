"""Names of containers on a node: the kubelet's logs, what the runtime wrote down for itself, and crictl.

The kubelet makes `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` and `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/`
(pkg/kubelet/kuberuntime: logSymlink, BuildPodLogsDirectory). containerd and CRI-O put the names as annotations into the
`config.json` of each container, which is there before its first process (containerd internal/cri/annotations, CRI-O
internal/lib/sandbox). None of these needs the cluster, or a privilege to speak to the runtime.

In a debug container these files are not where they are on the node, but below the root of the node's first process.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CONTAINER_LOGS: Final = Path("/var/log/containers")
POD_LOGS: Final = Path("/var/log/pods")
NODE_ROOT: Final = "/proc/1/root"
"""The node's root where its processes are seen, and ours where they are not."""
BUNDLES: Final = (
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "/run/containers/storage/overlay-containers/{}/userdata/config.json",
)
"""Where containerd and CRI-O keep what a container is made of, by its id."""
_ANNOTATIONS: Final = (
    tuple(f"io.kubernetes.cri.{key}" for key in ("sandbox-namespace", "sandbox-name", "container-name", "sandbox-uid")),
    tuple(f"io.kubernetes.{key}" for key in ("pod.namespace", "pod.name", "container.name", "pod.uid")),
)
"""Of containerd and of CRI-O: namespace, Pod, container, uid."""
MOST_BUNDLE: Final = 1 << 20
"""Bytes of such a file that are read."""
_ID: Final = re.compile("[0-9a-f]{64}")
CRICTL_S: Final = 3.0
"""How long crictl may take for one answer: a runtime that hangs must not hold us up."""
MOST_NAMES: Final = 10_000
"""Containers whose names are read from one source."""

_LOG: Final = re.compile(r"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log")
_POD: Final = re.compile(r"(?P<namespace>[^_]+)_(?P<pod>[^_]+)_(?P<uid>[0-9a-f-]{32,36})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What is known by name of a container, or of a Pod."""

    namespace: str
    pod: str
    container: str = ""
    uid: str = ""
    source: str


def on_node(place: Path, roots: Sequence[str] = ("", NODE_ROOT)) -> Path | None:
    """Return where a directory of the node is seen from here; None where it is not."""
    for path in (Path(f"{root}{place}") for root in roots):
        with suppress(OSError):
            if path.is_dir():
                return path
    return None


def by_bundle(container: str, roots: Sequence[str] = ("", NODE_ROOT)) -> Name | None:
    """Return the names of a container as its runtime wrote them down; None where it did not, or that cannot be read."""
    if _ID.fullmatch(container) is None:
        return None
    for path in (root + bundle.format(container) for root in roots for bundle in BUNDLES):
        try:
            with Path(path).open("rb") as file:
                return read_bundle(file.read(MOST_BUNDLE), path)
        except OSError:
            continue
    return None


def read_bundle(text: bytes, source: str) -> Name | None:
    """Return the names in a container's `config.json`, the OCI runtime spec's."""
    try:
        said = json.loads(text)["annotations"]
        for keys in _ANNOTATIONS:
            namespace, pod, container, uid = (said.get(key, "") for key in keys)
            if namespace and pod and all(isinstance(one, str) for one in (namespace, pod, container, uid)):
                return Name(namespace=namespace, pod=pod, container=container, uid=uid, source=source)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def by_container_logs(place: Path | None = None) -> dict[str, Name]:
    """Return names by container id, as the kubelet's links to logs tell them."""
    place = place or on_node(CONTAINER_LOGS) or CONTAINER_LOGS
    out: dict[str, Name] = {}
    for found in (_LOG.fullmatch(name) for name in _entries(place)):
        if found is not None:
            out[found["id"]] = Name(
                namespace=found["namespace"], pod=found["pod"], container=found["container"], source=str(place)
            )
    return out


def by_pod_logs(place: Path | None = None) -> dict[str, Name]:
    """Return names by Pod uid, as the directories of logs tell them."""
    place = place or on_node(POD_LOGS) or POD_LOGS
    out: dict[str, Name] = {}
    for found in (_POD.fullmatch(name) for name in _entries(place)):
        if found is not None:
            out[found["uid"]] = Name(
                namespace=found["namespace"], pod=found["pod"], uid=found["uid"], source=str(place)
            )
    return out


def by_crictl() -> tuple[dict[str, Name], str]:
    """Return names by container id as the container runtime tells them, and why it does not: empty where it does."""
    program = shutil.which("crictl")
    if program is None:
        return {}, "crictl is not installed"
    try:
        done = subprocess.run(  # noqa: S603  (a fixed command line)
            [program, "ps", "-o", "json"], capture_output=True, timeout=CRICTL_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return {}, f"crictl did not answer in {CRICTL_S:g} s"
    except OSError as error:
        return {}, f"crictl cannot be run: {(error.strerror or str(error)).lower()}"
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return {}, f"crictl says: {said[-1][:200]}" if said else f"crictl ended with exit status {done.returncode}"
    return read_crictl(done.stdout)


def read_crictl(text: bytes) -> tuple[dict[str, Name], str]:
    """Return the names in what `crictl ps -o json` printed, and what is wrong with it."""
    try:
        found = json.loads(text)
        listed = found["containers"][:MOST_NAMES]
        return {name: said for each in listed for name, said in [_crictl_name(each)] if said is not None}, ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, "crictl's answer is none that is understood"


def _crictl_name(each: dict[str, Any]) -> tuple[str, Name | None]:
    labels = each.get("labels") or {}
    pod, namespace = labels.get("io.kubernetes.pod.name"), labels.get("io.kubernetes.pod.namespace")
    container = labels.get("io.kubernetes.container.name") or (each.get("metadata") or {}).get("name") or ""
    if not (isinstance(pod, str) and isinstance(namespace, str)):
        return str(each["id"]), None
    return str(each["id"]), Name(
        namespace=namespace,
        pod=pod,
        container=str(container),
        uid=str(labels.get("io.kubernetes.pod.uid") or ""),
        source="crictl",
    )


def _entries(place: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in place.iterdir())[:MOST_NAMES]
    except OSError:
        return []
