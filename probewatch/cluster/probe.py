"""One probe of a container: checked as the API server checks it, defaulted as it defaults it, resolved as the kubelet resolves it.

Sources: pkg/apis/core/validation/validation.go (validateProbe, validateHandler, validateLivenessProbe ...),
pkg/apis/core/v1/defaults.go (SetDefaults_Probe, SetDefaults_HTTPGetAction), pkg/probe/util.go (ResolveContainerPort).

Two things are taken more kindly than the API server takes them: a scheme in small letters, and a port number in quotes
(which the kubelet would use: "maybe it was an int stored as string").
"""

from __future__ import annotations

import re
from typing import Any, Final

from probewatch.model.spec import Handler, ProbeSpec, ProbeType

from .addresses import address_of
from .errors import FieldError, join, shown, typed
from .golang import canonical_header, request_target
from .schema import HTTPGetAction, Probe

MAX_INT32: Final = (1 << 31) - 1
MAX_PATH: Final = 1 << 16
"""Characters of httpGet.path; servers take 8 KB or so."""
MAX_PROBE_DEPTH: Final = 20
"""Levels of nesting in a probe; v1.Probe has four."""

PROBE_FIELDS: Final = {
    "startupProbe": ProbeType.STARTUP,
    "readinessProbe": ProbeType.READINESS,
    "livenessProbe": ProbeType.LIVENESS,
}
"""In the order in which the kubelet creates their workers (prober_manager.go AddPod)."""

_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?")
"""IsValidPortName: 15 characters at most, a letter among them."""
HEADER_NAME: Final = re.compile(r"[-A-Za-z0-9]+")
"""IsHTTPHeaderName."""

Ports = tuple[tuple[str, int], ...]


def read_probe(raw: dict[str, Any], kind: ProbeType, ports: Ports, field: str) -> ProbeSpec:
    """Return the probe written as `raw` at `field`; FieldError where the API server would refuse it.

    `ports` are the container's own (name, number) pairs: a port name is looked up there and nowhere else.
    """
    _bounded(raw, field)
    form = typed(raw, Probe, field)
    handler = _handler(raw, field)
    values: dict[str, Any] = {
        "initial_delay_s": _seconds(form.initial_delay_seconds, 0, join(field, "initialDelaySeconds")),
        "period_s": _seconds(form.period_seconds, 10, join(field, "periodSeconds")),
        "timeout_s": _seconds(form.timeout_seconds, 1, join(field, "timeoutSeconds")),
        "success_threshold": _seconds(form.success_threshold, 1, join(field, "successThreshold")),
        "failure_threshold": _seconds(form.failure_threshold, 3, join(field, "failureThreshold")),
        "grace_s": _grace(form.termination_grace_period_seconds, kind, join(field, "terminationGracePeriodSeconds")),
    }
    if kind is not ProbeType.READINESS and values["success_threshold"] != 1:
        raise FieldError(
            join(field, "successThreshold"),
            f"must be 1 for a {kind} probe, got {values['success_threshold']}; leave it out",
        )
    at = join(field, handler)
    if form.http_get is not None:
        values |= _http(form.http_get, ports, at)
    elif form.tcp_socket is not None:
        values["port"], values["port_name"] = _port(form.tcp_socket.port, ports, join(at, "port"))
        values["host"] = _host(form.tcp_socket.host)
    elif form.grpc is not None:
        values["port"] = port_number(form.grpc.port, join(at, "port"))
        values["service"] = form.grpc.service or ""
    elif form.exec is not None:
        if not form.exec.command:
            raise FieldError(join(at, "command"), "is missing; name the program to run")
        values["command"] = tuple(form.exec.command)
    return ProbeSpec(type=kind, handler=handler, declared=raw, **values)


def _handler(raw: dict[str, Any], field: str) -> Handler:
    found = [handler for handler in Handler if raw.get(handler) is not None]
    if not found:
        raise FieldError(field, f"has no handler; give it one of {', '.join(Handler)}")
    if len(found) > 1:
        raise FieldError(field, f"has {len(found)} handlers ({', '.join(found)}); keep one")
    return found[0]


def _http(action: HTTPGetAction, ports: Ports, at: str) -> dict[str, Any]:
    scheme = (action.scheme or "HTTP").upper()
    if scheme not in ("HTTP", "HTTPS"):
        raise FieldError(join(at, "scheme"), f"expected HTTP or HTTPS, got {shown(action.scheme)}")
    headers = []
    for index, header in enumerate(action.http_headers or ()):
        if not HEADER_NAME.fullmatch(header.name):
            name = join(at, f"httpHeaders[{index}].name")
            raise FieldError(name, f"expected a header name of letters, digits and '-', got {shown(header.name)}")
        headers.append((canonical_header(header.name), header.value or ""))
    if len(action.path or "") > MAX_PATH:
        raise FieldError(join(at, "path"), f"expected at most {MAX_PATH} characters, got {len(action.path or '')}")
    port, port_name = _port(action.port, ports, join(at, "port"))
    return {
        "port": port,
        "port_name": port_name,
        "scheme": scheme,
        "host": _host(action.host),
        "path": request_target(action.path or "/"),
        "headers": tuple(headers),
    }


def _port(port: int | str, ports: Ports, field: str) -> tuple[int | None, str | None]:
    """Return (number, name); the number is None where the container has no port of that name."""
    if isinstance(port, int):
        return port_number(port, field), None
    named = next((number for name, number in ports if name and name == port), None)
    if named is not None:
        return named, port
    if re.fullmatch(r"[+-]?[0-9]{1,18}", port):
        return port_number(int(port), field), port
    if not _PORT_NAME.fullmatch(port):
        raise FieldError(field, f"expected a number from 1 to 65535 or the name of a container port, got {shown(port)}")
    return None, port


def port_number(port: int, field: str) -> int:
    """Return the number of a port; FieldError where it is none."""
    if not 1 <= port <= 65535:
        raise FieldError(field, f"expected a number from 1 to 65535, got {shown(port)}")
    return port


def _seconds(value: int | None, default: int, field: str) -> int:
    """Return a whole number of seconds or attempts; 0 and absent mean the default."""
    if value is not None and not 0 <= value <= MAX_INT32:
        raise FieldError(field, f"expected a whole number from 0 to {MAX_INT32}, got {shown(value)}")
    return value or default


def _grace(value: int | None, kind: ProbeType, field: str) -> int | None:
    if value is None:
        return None
    if kind is ProbeType.READINESS:
        raise FieldError(field, "is not allowed in a readiness probe, which never kills; leave it out")
    if not 1 <= value <= MAX_INT32:
        raise FieldError(field, f"expected a whole number from 1 to {MAX_INT32}, got {shown(value)}")
    return value


def _host(host: str | None) -> str | None:
    return (address_of(host) or host) if host else None


def _bounded(raw: dict[str, Any], field: str) -> None:
    """Refuse a probe nested so deep that printing it again could fail."""
    level: list[Any] = [raw]
    for _ in range(MAX_PROBE_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise FieldError(field, f"is nested deeper than {MAX_PROBE_DEPTH} levels")
