"""Probes of a kubelet that a service mesh answers in the application's place."""

from __future__ import annotations

from typing import Final

SIDECARS: Final[tuple[tuple[str, int | None, str], ...]] = (
    (
        "/app-health/",
        None,
        "Istio's agent answers this probe and asks the application itself, inside the pod: a failure may be the agent's",
    ),
    ("/healthz/ready", 15021, "Istio's proxy answers this probe, not the application"),
    ("/healthz/ready", 15020, "Istio's agent answers this probe, not the application"),
    ("/", 4191, "Linkerd's proxy answers this probe, not the application"),
)
"""(path begins so, at this port, what that means): probes of a kubelet that a mesh takes in the application's place.

Sources: istio pkg/kube/inject/app_probe.go FormatProberURL, injected sidecars' readinessProbe; linkerd2 proxy.ports.admin.
"""


def sidecar(path: str | None, port: int | None) -> str:
    """Say who answers a kubelet's probe in the application's place; empty where nothing speaks for that."""
    return next((says for begin, at, says in SIDECARS if (path or "").startswith(begin) and at in (None, port)), "")
