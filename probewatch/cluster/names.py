"""Names of containers on a node: links under /var/log/containers, directories under /var/log/pods, and crictl.

The kubelet makes `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` and `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/`
(pkg/kubelet/kuberuntime: logSymlink, BuildPodLogsDirectory). Neither needs the cluster.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CONTAINER_LOGS: Final = Path("/var/log/containers")
POD_LOGS: Final = Path("/var/log/pods")
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


def by_container_logs(place: Path = CONTAINER_LOGS) -> dict[str, Name]:
    """Return names by container id, as the kubelet's links to logs tell them."""
    out: dict[str, Name] = {}
    for found in (_LOG.fullmatch(name) for name in _entries(place)):
        if found is not None:
            out[found["id"]] = Name(
                namespace=found["namespace"], pod=found["pod"], container=found["container"], source=str(place)
            )
    return out


def by_pod_logs(place: Path = POD_LOGS) -> dict[str, Name]:
    """Return names by Pod uid, as the directories of logs tell them."""
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
