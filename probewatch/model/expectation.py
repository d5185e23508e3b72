"""What only the user knows of probes, beyond the Pod spec: the values of an expectations file (`probewatch.expect/1`).

Times are integer nanoseconds; None where nothing is expected. `cluster.expectfile` reads them, `verify.expect` holds a
timeline against them, `verify.learn` makes them from a good timeline, `report.expectation` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from .spec import Handler, ProbeType
from .timeline import Cause, DecisionKind, Outcome


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included; None is open."""

    low: int | None = None
    high: int | None = None

    def holds(self, value: int) -> bool:
        """Say whether a value lies inside."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


AT_LEAST_ONE = Range(1)
CHECKERS: Final = (
    "kubelet", "haproxy", "keepalived", "envoy", "varnish", "apache", "monit", "dnsdist", "consul", "nomad", "traefik", "caddy",
    "nginx", "nagios", "blackbox_exporter", "aws_elb", "google", "azure", "istio", "linkerd", "knative", "unknown",
)  # fmt: skip
"""What a checker's kind may be."""
STATES: Final = ("Ready", "NotReady", "Started", "NotStarted", "Live", "Restart", "UP", "DOWN")
"""What a probe's state may be at the end."""


DECIDED_BY: Final = {
    ProbeType.READINESS: (DecisionKind.READY, DecisionKind.NOT_READY),
    ProbeType.LIVENESS: (DecisionKind.RESTART,),
    ProbeType.STARTUP: (DecisionKind.STARTED, DecisionKind.RESTART),
}
"""What each type of probe can decide (worker.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which probes are meant: those with all of these properties; None is any."""

    type: ProbeType | None = None
    namespace: str | None = None
    pod: str | None = None
    """`*` stands for any characters: a Deployment's Pods have names that nobody knows before."""
    container: str | None = None
    handler: Handler | None = None
    address: str | None = None
    """Of the target."""
    port: int | None = None
    path: str | None = None
    service: str | None = None
    """grpc.service."""
    checker: str | None = None
    """`kubelet`, `haproxy`, ..."""
    checker_address: str | None = None

    @property
    def words(self) -> str:
        """Name it as findings name a probe: `readiness lab/web/app :8080 /ready`."""
        owner = "/".join(part for part in (self.namespace, self.pod, self.container) if part)
        where = f":{self.port}" if self.port is not None else ""
        parts = (self.type, self.handler, owner, self.address, where, self.path, self.service)
        by = (self.checker, self.checker_address)
        text = " ".join(part for part in parts if part)
        who = " ".join(part for part in by if part)
        return f"{text or 'any probe'}{f' from {who}' if who else ''}"

    def given(self) -> dict[str, str | int]:
        """Return the properties that are set."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Run:
    """Attempts in a row with one outcome, or one cause: `low` to `high` of them, None is any number more."""

    value: Outcome | Cause
    low: int = 1
    high: int | None = 1

    @property
    def text(self) -> str:
        """Write it as in the file: `success`, `failure*3`, `success*2..5`, `success*1..`."""
        if self.low == self.high:
            return self.value.value if self.low == 1 else f"{self.value.value}*{self.low}"
        return f"{self.value.value}*{self.low}..{'' if self.high is None else self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedDecision:
    """One decision, and when."""

    kind: DecisionKind
    since_start: Range | None = None
    """Nanoseconds since the start of the container instance."""
    since_previous: Range | None = None
    """Nanoseconds since the probe's decision before this one."""


CAPTURE_START: Final = "start"
FIRST_ATTEMPT: Final = "first attempt"
FIRST_FAILURE: Final = "first failure"
MOMENTS: Final = (CAPTURE_START, FIRST_ATTEMPT, FIRST_FAILURE)
"""Moments that times may be told from, besides decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The first decision of a kind after a moment comes within a time of it."""

    kind: DecisionKind
    after: str | DecisionKind = CAPTURE_START
    """One of `MOMENTS`, or the first decision of a kind."""
    time: Range
    """Nanoseconds since that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyBounds:
    """Upper bounds of the time from an attempt's start to its verdict, nanoseconds."""

    p50: int | None = None
    p99: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """A time: `value` give or take `within`, nanoseconds."""

    value: int
    within: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeExpectation:
    """What is expected of the probes that a selector names, of each on its own."""

    selector: Selector
    count: Range = AT_LEAST_ONE
    """How many probes it names."""
    attempts: Range | None = None
    missed: Range | None = None
    outcomes: tuple[Run, ...] | None = None
    """All attempts, from the first to the last."""
    outcomes_contain: tuple[Run, ...] | None = None
    """Somewhere, in a row."""
    causes: tuple[Cause, ...] | None = None
    """No attempt has another."""
    causes_in_order: tuple[Run, ...] | None = None
    """All attempts, from the first to the last."""
    decisions: tuple[ExpectedDecision, ...] | None = None
    """All decisions, in order."""
    decisions_contain: tuple[ExpectedDecision, ...] | None = None
    """In this order, others may stand between them."""
    decided: tuple[Decided, ...] | None = None
    never: tuple[DecisionKind, ...] | None = None
    ready_within: int | None = None
    """Nanoseconds from each start of the container."""
    started_within: int | None = None
    out_of_service: Range | None = None
    """Nanoseconds out of service in all, once it had been in service."""
    latency: LatencyBounds | None = None
    period: Pace | None = None
    """From tick to tick."""
    timeout: Pace | None = None
    """From the start of an attempt to the checker giving up."""
    state: str | None = None
    """At the end: `Ready`, `NotReady`, `Live`, `Started`, `NotStarted`, `UP`, `DOWN`."""
    sources: tuple[str, ...] | None = None
    """Addresses or networks (CIDR) that attempts may come from."""
    node: str | None = None
    """Whose kubelet probes: a node's name, its address, or the address that its probes come from."""
    note: str = ""
    """What whoever made it has to say of it: one line a thought; written as comments, never checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """A whole file."""

    source: str = ""
    """The file's name, for findings."""
    probes: tuple[ProbeExpectation, ...] = ()
    other_probes: Range | None = None
    """Probes that no selector names."""
    other_connections: Range | None = None
    """Connections to what is probed that are no probes."""
