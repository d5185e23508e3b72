"""Changes of a Pod spec, one field at a time: what verify must notice where the packets show it, and must not where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

KEYS = {"readiness": "readinessProbe", "liveness": "livenessProbe", "startup": "startupProbe"}
HANDLERS = ("httpGet", "tcpSocket", "grpc")
DEFAULTS = {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1, "initialDelaySeconds": 0}

Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Mutation:
    """A manifest that differs from the true one in one field of one probe."""

    type: str
    """Of the probe that was changed, as the true spec has it."""
    field: str
    change: str
    manifest: dict[str, Any]


def mutations(manifest: dict[str, Any]) -> Iterator[Mutation]:
    """Return every change of every probe of a Pod's manifest that packets could show."""
    for index, container in enumerate(manifest["spec"]["containers"]):
        for kind, key in KEYS.items():
            handler = next((name for name in HANDLERS if name in container.get(key, {})), None)
            if handler is not None:
                yield from _numbers(manifest, index, kind, key)
                yield from _request(manifest, index, kind, key, handler)
                yield from _types(manifest, index, kind, key)


def _altered(manifest: dict[str, Any], index: int, key: str, change: Change) -> dict[str, Any]:
    made = deepcopy(manifest)
    change(made["spec"]["containers"][index][key])
    return made


def _numbers(manifest: dict[str, Any], index: int, kind: str, key: str) -> Iterator[Mutation]:
    probe = manifest["spec"]["containers"][index][key]
    for field, default in DEFAULTS.items():
        if field == "successThreshold" and kind != "readiness":
            continue  # the API server takes no other than 1
        value = probe.get(field, default)
        others = {
            "periodSeconds": (value * 2, value + 1), "timeoutSeconds": (value + 1, value + 4),
            "failureThreshold": (value + 1, max(1, value - 1)), "successThreshold": (value + 1, value + 9),
            "initialDelaySeconds": (value + 2, value + 40, max(0, value - 8)),
        }[field]
        for other in sorted({*others} - {value}):
            made = _altered(manifest, index, key, lambda spec, field=field, other=other: spec.update({field: other}))
            yield Mutation(kind, field, f"{value} -> {other}", made)


def _request(manifest: dict[str, Any], index: int, kind: str, key: str, handler: str) -> Iterator[Mutation]:
    asked = manifest["spec"]["containers"][index][key][handler]
    port = asked["port"]
    other_port = port + 1 if isinstance(port, int) else 9_999
    changes: list[tuple[str, str, Change]] = [
        ("port", f"{port} -> {other_port}", lambda spec: spec[handler].update(port=other_port)),
    ]
    if handler == "httpGet":
        path, scheme = asked.get("path", "/"), asked.get("scheme", "HTTP")
        flipped = "HTTP" if scheme == "HTTPS" else "HTTPS"
        more = [*asked.get("httpHeaders", []), {"name": "X-More", "value": "1"}]
        changes += [
            ("path", f"{path} -> {path}x", lambda spec: spec[handler].update(path=path + "x")),
            ("scheme", f"{scheme} -> {flipped}", lambda spec: spec[handler].update(scheme=flipped)),
            ("httpHeaders", "+ X-More: 1", lambda spec: spec[handler].update(httpHeaders=more)),
        ]
    if handler == "grpc":
        changes.append(("service", "other", lambda spec: spec[handler].update(service="other.v1")))
    new = "httpGet" if handler == "tcpSocket" else "tcpSocket"
    body = {"port": port, "path": "/"} if new == "httpGet" else {"port": port}

    def swap(spec: dict[str, Any]) -> None:
        del spec[handler]
        spec[new] = body

    changes.append(("handler", f"{handler} -> {new}", swap))
    for field, change, apply in changes:
        yield Mutation(kind, field, change, _altered(manifest, index, key, apply))


def _types(manifest: dict[str, Any], index: int, kind: str, key: str) -> Iterator[Mutation]:
    """Give the probe another type; one that has that type already takes its place."""
    for other, other_key in KEYS.items():
        if other == kind:
            continue
        made = deepcopy(manifest)
        container = made["spec"]["containers"][index]
        moved, there = container.pop(key), container.pop(other_key, None)
        for name, probe in ((other, moved), (kind, there)):
            if probe is not None:
                if name != "readiness":
                    probe.pop("successThreshold", None)
                container[KEYS[name]] = probe
        yield Mutation(kind, "type", f"{kind} -> {other}", made)
