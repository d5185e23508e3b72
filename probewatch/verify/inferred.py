"""The spec behind the probes that were seen: for each field the value to write, how sure it is, and why.

Theory of operation. `Probe.measures` says what the packets allow each field to be, whatever was declared. Here that
becomes one value: the only one that is left; else the API server's default (pkg/apis/core/v1/defaults.go
SetDefaults_Probe) where it is among those left, else the nearest of these. Confidence says which of these it was, and
whether the value was read or concluded.

Packets name no container, and a container has at most one probe of each type. So the probes of an address are put into
one container where their types allow that, else into one for each port, and where that is not enough into more.

Limitations: probes that no kubelet can have sent, and exec probes, which send nothing, are not here. `httpGet.host` and
`tcpSocket.host` are not visible: to the packets the address that is dialled is the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from probewatch.model.finding import Evidence
from probewatch.model.measure import Measure
from probewatch.model.spec import DEFAULTS, Handler, ProbeType
from probewatch.model.timeline import DecisionKind, Outcome, Probe, Timeline
from probewatch.model.units import SECOND

from .fields import ORDER, sign, unclear
from .names import UNITS


class Confidence(StrEnum):
    """How sure a value is, the surest first."""

    READ = "read"
    """It stands in the packets: a request's path, a SYN's port."""
    SHOWN = "shown"
    """Only this value explains what the kubelet did: any other that was tried is at least fifty times less likely."""
    LIKELY = "likely"
    """It explains it best, and others are not excluded."""
    BOUNDED = "bounded"
    """The packets leave several values; the one written is the default where it is among them, else the nearest to it."""
    NOT_VISIBLE = "not visible"
    """The packets say nothing of it; the one written is the default, or stands in where there is none."""


TYPES: Final = (ProbeType.STARTUP, ProbeType.READINESS, ProbeType.LIVENESS)
"""In the order in which the kubelet creates their workers (prober_manager.go AddPod)."""
FEWEST: Final = 3
"""Attempts that a period needs to be shown: between two there is one pause, which another probe may have made."""
OPEN_TO_ALL: Final = ("periodSeconds", "timeoutSeconds")
"""What behaviour shows of every checker, and not only of a kubelet."""
STAND_IN: Final = "/"
"""Path written where none is visible."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredField:
    """One field of a probe's spec."""

    field: str
    """As in `Measure`: `periodSeconds`, `path`, `type`, `handler`."""
    value: int | str | Headers
    """What to write; numbers in whole seconds or attempts, `type` empty where it is unknown."""
    confidence: Confidence
    reason: str
    """One clause."""
    allowed: str = ""
    """What the packets leave, in words (`at most 5`); empty where they say nothing."""
    evidence: tuple[Evidence, ...] = ()
    """Frames of attempts that show it, the first few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredProbe:
    """One probe as its spec would read."""

    probe: Probe
    types: tuple[ProbeType, ...]
    """Types that it can have: one where that is known."""
    handler: Handler
    fields: tuple[InferredField, ...]
    """In the order of `fields.ORDER`."""

    def field(self, name: str) -> InferredField | None:
        """Return a field by its name; None where this handler has none of that name."""
        return next((one for one in self.fields if one.field == name), None)

    @property
    def proven(self) -> bool:
        """Whether a kubelet sends it for certain."""
        return self.probe.checker.kind == "kubelet"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredContainer:
    """Probes that one container can have: none of its known types twice."""

    name: str | None
    """As somebody declared it; None where nobody did."""
    probes: tuple[InferredProbe, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredPod:
    """What is probed at one address."""

    address: str
    name: str | None
    namespace: str | None
    containers: tuple[InferredContainer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """All that was inferred from a timeline."""

    pods: tuple[InferredPod, ...] = ()
    left_out: tuple[Probe, ...] = ()
    """Checks that no kubelet sends."""


def infer(timeline: Timeline) -> Inferred:
    """Return the specs of all probes of a timeline that was measured (`Settings.measure`) and that a kubelet may have sent."""
    mine = [p for p in timeline.probes if p.checker.kind == "kubelet" or "kubelet" in p.checker.could_be]
    pods: dict[tuple[str, str | None], list[InferredProbe]] = {}
    for probe in mine:
        pods.setdefault((probe.target.address, probe.target.pod), []).append(infer_probe(probe))
    return Inferred(
        pods=tuple(
            InferredPod(
                address=address,
                name=name,
                namespace=found[0].probe.target.namespace,
                containers=tuple(_containers(found)),
            )
            for (address, name), found in pods.items()
        ),
        left_out=tuple(probe for probe in timeline.probes if probe not in mine),
    )


def infer_probe(probe: Probe) -> InferredProbe:
    """Return one probe's spec."""
    measures = {measure.field: measure for measure in probe.measures}
    kind, types = _type(probe, measures.get("type"))
    made = {"type": kind}
    for field in ORDER:
        measure = measures.get(field)
        if field == "successThreshold" and ProbeType.READINESS not in types:
            continue  # the API server lets liveness and startup have no other than 1
        if field in DEFAULTS:
            made[field] = _number(probe, measure or Measure(field=field, number=True))
        elif field != "type" and (
            measure is not None or field == "handler" or (field == "port" and probe.handler is not Handler.EXEC)
        ):
            made[field] = _asked(probe, measure or Measure(field=field))
    return InferredProbe(
        probe=probe,
        types=types,
        handler=probe.handler,
        fields=tuple(_doubted(made[field], probe) for field in ORDER if field in made),
    )


def _doubted(field: InferredField, probe: Probe) -> InferredField:
    """Say less of what is concluded from how a kubelet acts where nothing proves that one does."""
    if field.confidence is not Confidence.SHOWN or field.field in OPEN_TO_ALL or probe.checker.kind == "kubelet":
        return field
    return replace(field, confidence=Confidence.LIKELY, reason=f"{field.reason}, if a kubelet sends it")


def _type(probe: Probe, measure: Measure | None) -> tuple[InferredField, tuple[ProbeType, ...]]:
    """Return the type, and all that it can be; a declared one is no sign."""
    said = probe.type_source.removeprefix("inferred: ").removeprefix("unknown: ")
    inferred = ProbeType.UNKNOWN if probe.type_source == "declared" else probe.type
    words = measure.words if measure is not None else ()
    allowed = measure.text() if measure is not None and measure.visible else ""
    evidence = measure.evidence if measure is not None else ()
    known, confidence, reason = ProbeType.UNKNOWN, Confidence.NOT_VISIBLE, said
    if len(words) == 1 and measure is not None:
        known, confidence = ProbeType(words[0]), Confidence.SHOWN
        reason = said if inferred is known else sign(measure)
    elif inferred is not ProbeType.UNKNOWN and (not words or inferred.value in words):
        known, confidence = inferred, Confidence.LIKELY
    elif measure is not None:
        reason = unclear(probe, measure, measure.text())
    types = (known,) if known is not ProbeType.UNKNOWN else tuple(t for t in TYPES if t.value in words)
    types = types or _imaginable(probe)
    value = known.value if known is not ProbeType.UNKNOWN else ""
    return InferredField(
        field="type", value=value, confidence=confidence, reason=reason, allowed=allowed, evidence=evidence
    ), types


def _imaginable(probe: Probe) -> tuple[ProbeType, ...]:
    """Return the types of a probe of which nothing is known: a startup probe's first success is its last attempt."""
    begun = any(attempt.outcome is Outcome.SUCCESS for attempt in probe.attempts[:-1])
    return tuple(kind for kind in TYPES if not (begun and kind is ProbeType.STARTUP))


def _number(probe: Probe, measure: Measure) -> InferredField:
    default = DEFAULTS[measure.field]
    allowed = measure.text(UNITS.get(measure.field, "")) if measure.visible else ""
    value, confidence = default, Confidence.NOT_VISIBLE
    if measure.pinned and measure.low is not None:
        value, confidence, reason = measure.low, Confidence.SHOWN, sign(measure)
        if measure.field == "periodSeconds" and len(probe.attempts) < FEWEST:
            confidence, reason = Confidence.LIKELY, f"only {len(probe.attempts)} attempts were seen, this far apart"
    elif measure.visible:
        value, confidence = _nearest(measure, default), Confidence.BOUNDED
        # (What it was read with may as well be what startup probes are mostly given.)
        survived = _survived(probe) + 1
        if measure.field == "failureThreshold" and survived > value and measure.allows(survived):
            # A startup probe that failed more often than by default, and whose container went on: with less it would
            # have had to be restarted unseen each time.
            value = survived
        chosen = "Kubernetes' default" if value == default else f"nearest to Kubernetes' default, {default}"
        why = f" ({measure.why})" if measure.why else ""
        chosen = f"one more than it failed in a row, {value - 1}" if value == survived > default else chosen
        reason = f"the packets allow {allowed}{why}; this is {chosen}"
    else:
        reason = unclear(probe, measure, measure.text())
    return InferredField(
        field=measure.field,
        value=value,
        confidence=confidence,
        reason=reason,
        allowed=allowed,
        evidence=measure.evidence,
    )


def _survived(probe: Probe) -> int:
    """Return how often in a row a probe failed, at most, before it succeeded, and its container was not restarted for it."""
    killed = {found.attempt for found in probe.decisions if found.kind is DecisionKind.RESTART}
    longest = row = 0
    for attempt in probe.attempts:
        if attempt.n in killed:
            row = 0
        elif attempt.outcome is Outcome.SUCCESS:
            longest, row = max(longest, row), 0
        elif attempt.outcome is Outcome.FAILURE:
            row += 1
    return longest


def _nearest(measure: Measure, default: int) -> int:
    """Return the allowed value that is nearest to a default."""
    least = max(default, measure.low if measure.low is not None else default)
    value = min(least, measure.high if measure.high is not None else least)
    step = 1 if measure.high is None or value < measure.high else -1
    for _ in measure.holes:
        value += step * (value in measure.holes)
    return value


def _asked(probe: Probe, measure: Measure) -> InferredField:
    """Return a field that says what to ask."""
    confidence, reason = Confidence.NOT_VISIBLE, measure.why or "no attempt shows it"
    if measure.pinned:
        confidence = Confidence.READ
    elif measure.words:
        confidence = Confidence.LIKELY
        reason = f"the most common of {measure.text()}"
    elif measure.beginnings:
        confidence = Confidence.BOUNDED
    value: int | str | Headers = (*measure.words, *measure.beginnings, "")[0]
    match measure.field:
        case "port":
            value = probe.target.port or 0
        case "handler":
            value = probe.handler.value
            if not measure.visible:
                reason += f"; {value} stands in"
        case "scheme":
            value = value or (probe.scheme or "HTTP").upper()
        case "path":
            value = value or STAND_IN
        case "service":
            value = (probe.service or "") if measure.words else ""
            reason += "" if value or not measure.pinned else ": none is asked for"
        case "httpHeaders":
            value = measure.pairs
            reason += "" if value or not measure.pinned else ": none but the kubelet's own"
    return InferredField(
        field=measure.field,
        value=value,
        confidence=confidence,
        reason=reason,
        allowed=measure.text() if measure.visible else "",
        evidence=measure.evidence,
    )


def _containers(probes: Sequence[InferredProbe]) -> Iterable[InferredContainer]:
    """Put the probes of one address into containers."""
    if _fit(probes):
        return [InferredContainer(name=_named(probes), probes=_apart(_ordered(probes)))]
    made: dict[tuple[str | None, int | None], list[list[InferredProbe]]] = {}
    for one in probes:
        target = one.probe.target
        rows = made.setdefault((target.container, None if target.container else target.port), [])
        room = next((row for row in rows if _fit([*row, one])), None)
        if room is None:
            rows.append([one])
        else:
            room.append(one)
    return [InferredContainer(name=_named(row), probes=_apart(_ordered(row))) for rows in made.values() for row in rows]


def _apart(probes: tuple[InferredProbe, ...]) -> tuple[InferredProbe, ...]:
    """Delay those probes of a container that began too late to have the delay of the first one (`probes.delays`)."""

    def clashes(one: InferredProbe) -> bool:
        return any(measure.field == "initialDelaySeconds" and measure.rivals for measure in one.probe.measures)

    apart = [one for one in probes if clashes(one)]
    if len(apart) < 2:
        return probes
    first = min(apart, key=lambda one: one.probe.attempts[0].start.ns)
    return tuple(_later(one, first) if one in apart and one is not first else one for one in probes)


def _later(one: InferredProbe, first: InferredProbe) -> InferredProbe:
    start, before = one.probe.attempts[0].start, first.probe.attempts[0].start
    known = one.field("initialDelaySeconds")
    if known is None or known.confidence is not Confidence.NOT_VISIBLE:
        return one
    than = f"{first.probe.type.value} ({first.handler.value} {first.probe.path or first.probe.target.port})"
    delayed = InferredField(
        field="initialDelaySeconds",
        value=(start.ns - before.ns) // SECOND,
        confidence=Confidence.BOUNDED,
        reason=f"its first attempt came {(start.ns - before.ns) / SECOND:.1f} s after that of {than}, whose delay is not known",
        allowed="about that much more than the other's",
        evidence=(Evidence(file=start.file, first=start.number, last=start.number),),
    )
    return replace(one, fields=tuple(delayed if field is known else field for field in one.fields))


def _fit(probes: Sequence[InferredProbe]) -> bool:
    """Tell whether one container can have all these probes."""
    known = [one.types[0] for one in probes if len(one.types) == 1]
    names = {one.probe.target.container for one in probes}
    return len(known) == len(set(known)) and len(probes) <= len(TYPES) and len(names) == 1


def _named(probes: Sequence[InferredProbe]) -> str | None:
    return probes[0].probe.target.container


def _ordered(probes: Sequence[InferredProbe]) -> tuple[InferredProbe, ...]:
    """Sort by type as the kubelet does, unknown ones last."""
    return tuple(sorted(probes, key=lambda one: TYPES.index(one.types[0]) if len(one.types) == 1 else len(TYPES)))
