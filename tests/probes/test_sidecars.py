"""Who answers a kubelet's probe in the application's place: a mesh, by path and port."""

from __future__ import annotations

import pytest

from probewatch.probes.sidecars import sidecar


@pytest.mark.parametrize(
    ("path", "port", "who"),
    [
        ("/app-health/web/readyz", 15020, "Istio's agent"),
        ("/app-health/web/livez", 8080, "Istio's agent"),
        ("/healthz/ready", 15021, "Istio's proxy"),
        ("/healthz/ready", 15020, "Istio's agent"),
        ("/ready", 4191, "Linkerd's proxy"),
        ("/healthz/ready", 8080, ""),
        ("/ready", 8080, ""),
        ("/ready", 15021, ""),
        (None, 15021, ""),
        (None, None, ""),
    ],
)
def test_a_mesh_is_known_by_path_and_port(path: str | None, port: int | None, who: str) -> None:
    """Both have to be the mesh's: an application may well serve /healthz/ready, or be asked for /ready, at a port of its own."""
    said = sidecar(path, port)
    assert said.startswith(who)
    assert bool(said) is bool(who)
