"""How a declared probe was carried out: from where, without gaps, gated as declared, and acted upon."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from probewatch.model.finding import Finding, Held
from probewatch.model.spec import PodSpec, ProbeType
from probewatch.model.timeline import Decision, DecisionKind, GapKind, Probe, Role
from probewatch.model.units import SECOND

from .names import evidence_of


def check_conduct(
    probe: Probe, pod: PodSpec, container: Sequence[Probe], subject: str, settled: Collection[str]
) -> list[Finding]:
    """Return what can be said of a probe whose fields hold.

    `container` are all probes of its container, `settled` the fields that the packets allow to be nothing else.
    """
    out = [_source(probe, pod, subject), *_gaps(probe, subject)]
    out += [
        finding for finding in (_decisions(probe, subject, settled), _retries(probe, subject)) if finding is not None
    ]
    if probe.type is not ProbeType.STARTUP:
        gate = next((other for other in container if other.type is ProbeType.STARTUP), None)
        if gate is not None:
            out += _gated(probe, gate, subject)
    return out


def _source(probe: Probe, pod: PodSpec, subject: str) -> Finding:
    """Compare the node that probes with the node that the Pod says it runs on."""
    checker = probe.checker
    count = f"{len(probe.attempts)} of {len(probe.attempts)} attempts"
    said = pod.node or pod.host_ip or ""
    seen = checker.node or checker.node_address or ""
    held, sentence = Held.INCONCLUSIVE, ""
    if pod.node and checker.node:
        same, other = pod.node == checker.node, pod.node != checker.node
    else:
        same, other = _same_address(pod.host_ip, checker.node_address)
    if not checker.address:
        sentence = "who asked the container runtime for a command leaves no trace"
    elif same:
        held, sentence = Held.PASS, f"{count} come from the hosting node {said} ({checker.address})"
    elif other:
        held, sentence = Held.FAIL, f"probed by {seen} ({checker.address}), but the Pod runs on {said}"
    elif not said:
        sentence = f"all come from {checker.address}; the spec does not say on which node the Pod runs (spec.nodeName, status.hostIP)"
    else:
        sentence = f"all come from {checker.address}; nothing says which node that is (--cluster or --node-ip would)"
    return Finding(
        held=held,
        probe=probe.id,
        subject=subject,
        field="source",
        sentence=sentence,
        expected=said,
        observed=seen or checker.address,
        source=pod.source if said else "",
        evidence=tuple(map(evidence_of, probe.attempts[:1])),
    )


def _same_address(host_ip: str | None, node_address: str | None) -> tuple[bool, bool]:
    """Return (the same, another one); neither where one is unknown or they are of two families, of which a node may have both."""
    if not host_ip or not node_address:
        return False, False
    if host_ip == node_address:
        return True, False
    return False, (":" in host_ip) == (":" in node_address)


def _gaps(probe: Probe, subject: str) -> list[Finding]:
    """Name attempts that were due and did not come, and why; without a reason nobody can say whether they were sent."""
    out = []
    for gap in probe.gaps:
        if gap.kind is not GapKind.UNEXPLAINED:
            continue
        seconds = (gap.end_ns - gap.start_ns) / SECOND
        around = [a for a in probe.attempts if a.start.ns in (gap.start_ns, gap.end_ns)]
        out.append(
            Finding(
                held=Held.INCONCLUSIVE,
                probe=probe.id,
                subject=subject,
                field="attempts",
                sentence=f"{gap.expected} due in {seconds:.1f} s did not come: not sent, or not captured",
                expected=f"{gap.expected} more attempt{'s' if gap.expected > 1 else ''}",
                observed="none",
                attempts=tuple(a.n for a in around),
                evidence=tuple(map(evidence_of, around)),
            )
        )
    return out


def _decisions(probe: Probe, subject: str, settled: Collection[str]) -> Finding | None:
    """Say whether the kubelet acted as the thresholds demand, as far as its acts left frames.

    A Restart or NotReady that nothing confirms rests on the declared failureThreshold alone: where the packets leave that open,
    whether it was made is as open.
    """
    if not probe.decisions:
        return None
    demanded = "as the thresholds demand"
    denied = [d for d in probe.decisions if d.confirmed is False and not _over_hole(probe, d)]
    shown = [d for d in probe.decisions if d.confirmed]
    open_ones = [
        d for d in probe.decisions if not d.confirmed and d.kind in _LOSSES and "failureThreshold" not in settled
    ]
    total = len(probe.decisions)
    attempts = {a.n: a for a in probe.attempts}

    def proof(some: Sequence[Decision]) -> tuple[tuple[int, ...], tuple[object, ...]]:
        numbers = tuple(d.attempt for d in some[:3])
        return numbers, tuple(evidence_of(attempts[n]) for n in numbers if n in attempts)

    if denied:
        held, chosen = Held.FAIL, denied
        sentence = (
            f"{len(denied)} of {total} decisions that the thresholds demand are contradicted: {denied[0].confirmed_by}"
        )
    elif shown and open_ones:
        held, chosen = Held.INCONCLUSIVE, open_ones
        sentence = (
            f"{len(shown)} of {total} decisions confirmed by what the kubelet did next; {_word(open_ones[0].kind)} at "
            f"#{open_ones[0].attempt} rests on the failureThreshold, which the packets leave open"
        )
    elif shown:
        held, chosen = Held.PASS, shown
        many = "decisions" if total > 1 else "decision"
        sentence = f"{total} {many} {demanded}, {len(shown)} confirmed by what the kubelet did next"
    else:
        held, chosen = Held.INCONCLUSIVE, list(probe.decisions)
        kinds = ", ".join(sorted({_word(d.kind) for d in probe.decisions}))
        sentence = f"{kinds} {demanded}, but nothing that the kubelet did next shows it"
    numbers, evidence = proof(chosen)
    return Finding(
        held=held,
        probe=probe.id,
        subject=subject,
        field="decisions",
        sentence=sentence,
        attempts=numbers,
        evidence=tuple(evidence),  # type: ignore[arg-type]
    )


_LOSSES = (DecisionKind.RESTART, DecisionKind.NOT_READY)


def _over_hole(probe: Probe, decision: Decision) -> bool:
    """Tell whether attempts are missing among those that were counted for a decision, or right behind it: it may have come sooner."""
    # (Attempts are numbered from 1: of the streak, the one before it and the one behind it.)
    around = [a.start.ns for a in probe.attempts if decision.attempt - decision.streak <= a.n <= decision.attempt + 1]
    unknown = (gap for gap in probe.gaps if gap.kind is GapKind.UNEXPLAINED)
    return bool(around) and any(gap.start_ns < around[-1] and around[0] < gap.end_ns for gap in unknown)


def _word(kind: DecisionKind) -> str:
    return {
        DecisionKind.READY: "Ready",
        DecisionKind.NOT_READY: "NotReady",
        DecisionKind.STARTED: "Started",
        DecisionKind.RESTART: "Restart",
    }.get(kind, kind.value)


def _retries(probe: Probe, subject: str) -> Finding | None:
    """Say that attempts were retried; the kubelet does that only after an answer's body broke (runProbeWithRetries)."""
    retried = [a for a in probe.attempts if any(leg.role is Role.RETRY for leg in a.legs)]
    if not retried:
        return None
    return Finding(
        held=Held.PASS,
        probe=probe.id,
        subject=subject,
        field="retries",
        sentence=f"{len(retried)} attempts were retried at once, each after a broken body, as the kubelet does",
        attempts=tuple(a.n for a in retried[:3]),
        evidence=tuple(map(evidence_of, retried[:3])),
    )


def _gated(probe: Probe, gate: Probe, subject: str) -> list[Finding]:
    """Check that nothing was sent while the startup probe had not succeeded."""
    out = []
    for decision in gate.decisions:
        if decision.kind is not DecisionKind.STARTED:
            continue
        before = max((d.ns for d in gate.decisions if d.ns < decision.ns), default=None)
        begun = min((a.start.ns for a in gate.attempts if before is None or a.start.ns > before), default=decision.ns)
        early = [a for a in probe.attempts if begun <= a.start.ns < decision.ns]
        out.append(
            Finding(
                held=Held.FAIL if early else Held.PASS,
                probe=probe.id,
                subject=subject,
                field="startup gate",
                sentence=f"{len(early)} attempts before the startup probe had succeeded"
                if early
                else "nothing was sent before the startup probe had succeeded",
                attempts=tuple(a.n for a in early[:3]),
                evidence=tuple(map(evidence_of, early[:3])),
            )
        )
    return out
