"""How findings call what they are about, and how declared values are written."""

from __future__ import annotations

from probewatch.model.finding import BY_DEFAULT, Evidence
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec
from probewatch.model.timeline import Attempt, Probe
from probewatch.probes.asked import declared_headers, header_text
from probewatch.probes.execs import command_line, command_text

UNITS = {"periodSeconds": " s", "timeoutSeconds": " s", "initialDelaySeconds": " s"}
"""Field -> what its number is followed by."""


def subject(pod: PodSpec, container: ContainerSpec, spec: ProbeSpec) -> str:
    """Return `readiness lab/web/app`."""
    return f"{spec.type.value} {pod.namespace}/{pod.name or '(unnamed)'}/{container.name}"


def of_pod(probe: Probe, pod: PodSpec) -> bool:
    """Tell whether a probe that was seen is one that this Pod declares."""
    target = probe.target
    named = target.pod == (pod.name or None) or (target.pod is None and bool(probe.spec_alike))
    given = pod.source in (probe.spec_source, *probe.spec_alike)
    return probe.spec is not None and given and named and target.namespace in (None, pod.namespace)


def subject_of(probe: Probe) -> str:
    """Return the same of a probe that was seen: `readiness lab/web/app`, `haproxy check 10.0.0.1:80/ready from 10.0.0.9`."""
    target = probe.target
    kind = probe.type.value if probe.type.value != "unknown" else "probe"
    by = ""
    if probe.checker.kind != "kubelet":
        kind = "check" if probe.checker.kind == "unknown" else f"{probe.checker.kind} check"
        by = f" from {probe.checker.address}" if probe.checker.address else ""
    port = "" if target.port is None else f":{target.port}"
    where = "/".join(part for part in (target.namespace, target.pod, target.container) if part and target.pod)
    host = f"[{target.address}]" if ":" in target.address and port else target.address
    return f"{kind} {where or host + port + probe.asked_path}{by}"


def declared_value(spec: ProbeSpec, field: str, address: str = "") -> int | str | None:
    """Return what a spec says of a field that `Measure` knows; None where it says nothing of it."""
    if field == "httpHeaders":
        return header_text(declared_headers(spec, address, spec.port or 0))
    values: dict[str, int | str | None] = {
        "type": spec.type.value,
        "handler": spec.handler.value,
        "port": None if spec.port is None else str(spec.port),
        "scheme": spec.scheme if spec.handler is Handler.HTTP_GET else None,
        "path": spec.path if spec.handler is Handler.HTTP_GET else None,
        "service": (spec.service or "(none)") if spec.handler is Handler.GRPC else None,
        # `$(NAME)` becomes what the container's environment holds, which nothing here tells.
        "command": command_line(spec.command)
        if spec.handler is Handler.EXEC and "$" not in "".join(spec.command)
        else None,
        "periodSeconds": spec.period_s,
        "timeoutSeconds": spec.timeout_s,
        "successThreshold": spec.success_threshold,
        "failureThreshold": spec.failure_threshold,
        "initialDelaySeconds": spec.initial_delay_s,
    }
    return values.get(field)


def origin(pod: PodSpec, spec: ProbeSpec, field: str) -> str:
    """Return where a declared value comes from: the manifest, or `default`."""
    numbers = ("periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold", "initialDelaySeconds")
    return BY_DEFAULT if field in numbers and spec.declared and field not in spec.declared else pod.source


def request(spec: ProbeSpec) -> str:
    """Return what a declared probe asks: `httpGet http :8080/ready`, `tcpSocket :5432`."""
    port = spec.port if spec.port is not None else spec.port_name or "?"
    return _request(spec.handler, port, spec.scheme, spec.path, spec.service, spec.command)


def request_of(probe: Probe) -> str:
    """Return what a seen probe asks, in the same form."""
    path = probe.asked_path if probe.path is not None else " (path encrypted)"
    return _request(probe.handler, probe.target.port, probe.scheme, path, probe.service, probe.command)


def _request(
    handler: Handler,
    port: int | str | None,
    scheme: str | None,
    path: str,
    service: str | None,
    command: tuple[str, ...],
) -> str:
    if handler is Handler.EXEC:
        return f"{handler.value} {command_text(command)}" if command else handler.value
    if handler is Handler.HTTP_GET:
        return f"{handler.value} {scheme} :{port}{path}"
    named = f" service {service}" if handler is Handler.GRPC and service else ""
    return f"{handler.value} :{port}{named}"


def evidence_of(attempt: Attempt) -> Evidence:
    """Return an attempt's frames."""
    return Evidence(attempt.file, *attempt.frames())


def numbers_of(probe: Probe, evidence: tuple[Evidence, ...]) -> tuple[int, ...]:
    """Return the numbers of the attempts that begin with these frames."""
    begins = {(item.file, item.first) for item in evidence}
    return tuple(a.n for a in probe.attempts if (a.start.file, a.start.number) in begins and not a.implied)
