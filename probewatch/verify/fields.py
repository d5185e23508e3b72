"""Declared fields against what the packets allow them to be (`Probe.measures`).

A value that the packets exclude fails; one that is the only one left passes; one of several is inconclusive, with what
is left and why no more can be said. So no change of a spec that these packets would show can pass, and none that they
would not show can fail.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.finding import Finding, Held
from probewatch.model.measure import Measure
from probewatch.model.spec import PodSpec, ProbeType
from probewatch.model.timeline import Outcome, Probe

from .names import UNITS, declared_value, numbers_of, origin

ORDER: Final = (
    "port",
    "handler",
    "scheme",
    "path",
    "service",
    "command",
    "httpHeaders",
    "type",
    "periodSeconds",
    "timeoutSeconds",
    "failureThreshold",
    "successThreshold",
    "initialDelaySeconds",
)
"""Fields as findings list them."""


def check_fields(probe: Probe, pod: PodSpec, subject: str) -> list[Finding]:
    """Return a finding for each field of a declared probe whose attempts were seen."""
    spec = probe.spec
    assert spec is not None
    out = []
    for measure in sorted(probe.measures, key=lambda m: ORDER.index(m.field)):
        value = declared_value(spec, measure.field, probe.target.address)
        if value is None or (measure.field == "successThreshold" and spec.type is not ProbeType.READINESS):
            continue  # the API server lets liveness and startup have no other successThreshold than 1
        out.append(_finding(probe, pod, subject, measure, value))
    return out


def _finding(probe: Probe, pod: PodSpec, subject: str, measure: Measure, value: int | str) -> Finding:
    spec = probe.spec
    assert spec is not None
    unit = UNITS.get(measure.field, "")
    said, seen = f"{value}{unit}", measure.text(unit)
    held, sentence, field = Held.INCONCLUSIVE, "", measure.field
    if not measure.allows(value):
        held, sentence = Held.FAIL, _contradiction(probe, measure, value, said, seen)
        if measure.field != "initialDelaySeconds":  # whose rivals are other probes
            field = " or ".join([measure.field, *measure.rivals])
    elif clashes(measure, value):
        held = Held.FAIL
        both = f"{spec.type.value} and {' and '.join(measure.rivals)}"
        sentence = f"the first attempts of {both} contradict each other if both delays are as declared"
        seen = measure.why
    elif measure.pinned:
        held, sentence = Held.PASS, f"{said}: {sign(measure)}"
    else:
        sentence = unclear(probe, measure, seen)
    evidence = measure.evidence[:3]
    return Finding(
        held=held,
        probe=probe.id,
        subject=subject,
        field=field,
        sentence=sentence,
        expected=said,
        observed=seen if measure.visible or held is Held.FAIL else "",
        source=origin(pod, spec, measure.field),
        attempts=numbers_of(probe, evidence),
        evidence=evidence,
    )


def clashes(measure: Measure, value: int | str) -> bool:
    """Tell whether a delay, though allowed by itself, contradicts those of its container's other probes: the rivals."""
    return measure.field == "initialDelaySeconds" and bool(measure.rivals) and measure.allows(value)


def sign(measure: Measure) -> str:
    """Return the sign that pins a field, as a clause."""
    return measure.why or {
        "periodSeconds": "the attempts come at this pace",
        "failureThreshold": "what followed the failures shows it",
        "successThreshold": "what followed the successes shows it",
        "type": "only this type acts so",
    }.get(measure.field, "seen")


def _contradiction(probe: Probe, measure: Measure, value: int | str, said: str, seen: str) -> str:
    """Say what speaks against a declared value."""
    if measure.rivals and measure.field != "initialDelaySeconds":
        return (
            f"declared {said} does not explain these attempts; {measure.field} {seen} would,"
            f" and so would another {' or '.join(measure.rivals)}"
        )
    match measure.field:
        case "periodSeconds":
            if measure.low is None and measure.high is None:
                return f"the attempts do not keep a pace of {said}"
            return f"the attempts come every {seen}, not every {said}"
        case "timeoutSeconds":
            return f"{measure.why}: that is not a timeout of {said}"
        case "failureThreshold":
            act = "loses Ready" if probe.type is ProbeType.READINESS else "has its container restarted"
            return f"it {act} after {seen} failures, not after {said}"
        case "successThreshold":
            return f"it becomes Ready after {seen} successes, not after {said}"
        case "type":
            return f"it acts as a {seen} probe does, and not as a {said} probe"
        case "initialDelaySeconds":
            late = isinstance(value, int) and measure.low is not None and value < measure.low
            return f"{measure.why}: too {'late' if late else 'early'} for a delay of {said}"
        case _:
            return f"declared {said}, seen {seen}"


def unclear(probe: Probe, measure: Measure, seen: str) -> str:
    """Say why a declared value can neither be confirmed nor denied."""
    if measure.field == "initialDelaySeconds" and measure.visible:
        return f"the packets allow {seen} ({measure.why})"
    if measure.why and not measure.visible:
        return measure.why
    if measure.beginnings and not measure.words:
        return f"the capture cut the request line; what it kept agrees ({seen})"
    left = f"the packets allow {seen}" if measure.visible else ""
    counts = {outcome: sum(a.outcome is outcome for a in probe.attempts) for outcome in Outcome}
    match measure.field:
        case "type":
            why = (
                "nothing here tells a readiness from a liveness probe: none ran off its schedule, and none fell silent"
            )
            return why if "readiness" in seen or not measure.visible else left
        case "periodSeconds":
            return left or "too few attempts show a rhythm"
        case "failureThreshold" | "successThreshold" if counts[Outcome.INCONCLUSIVE] == len(probe.attempts):
            return "the outcome of no attempt is known"
        case "failureThreshold" if not counts[Outcome.FAILURE]:
            return "no attempt failed"
        case "failureThreshold" | "successThreshold" if counts[Outcome.INCONCLUSIVE] and not counts[Outcome.SUCCESS]:
            others = counts[Outcome.FAILURE]
            return f"{others} failed, and how the other {len(probe.attempts) - others} attempts ended is not known"
        case "failureThreshold" if not counts[Outcome.SUCCESS]:
            return "it never succeeded, so its failures changed nothing"
        case "successThreshold" if not counts[Outcome.SUCCESS]:
            return "no attempt succeeded"
        case "successThreshold" if not counts[Outcome.FAILURE]:
            return "no attempt failed, so nothing shows when it had become Ready"
        case _:
            return left or "no packet shows what the kubelet made of it"
