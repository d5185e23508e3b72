"""How fast settings can be, and which timeout the observed latencies need.

Times are counted from the moment the application breaks, comes back, or the container starts, and bounded from both
sides (worker.go run and doProbe; kuberuntime_container.go killContainer; kubelet.go newCrashLoopBackOff):

* An application that breaks fails the next attempt at the earliest at once, at the latest one period later. From one
  failed attempt to the next is one period, or the timeout where attempts hang longer than that: one tick is stored and
  runs at once, the others are dropped. An attempt that hangs ends timeoutSeconds after its start.
* So `failureThreshold` failures take at least (N-1) periods, and at most one period, N-1 spacings and one timeout.
* What is told to die has the grace period (preStop included) before SIGKILL; the new container waits for the back-off
  after repeated restarts (0, then 10 s doubled up to 300 s); what it takes to start is its own affair.
* The first attempt at a new container comes from initialDelaySeconds - 1 s (its start is known in whole seconds) to
  initialDelaySeconds + periodSeconds; readiness is also poked at once.

Limitations. Milliseconds of scheduling, the close that may hold a worker up to 1 s (SO_LINGER) after an attempt that
hung, the 1 s in which the kubelet notices a new container, and the up to one period of jitter after a kubelet's own start
are not in the figures. Extra probes by pod syncs can only make a return to Ready quicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Attempt, Outcome, Probe
from probewatch.model.units import SECOND

from .supposed import true_latency_ns

MARGIN_PERCENT: Final = 20
"""Added to the slowest known latency before it is rounded up to whole seconds."""
DEFAULT_GRACE_S: Final = 30
"""terminationGracePeriodSeconds of a Pod that declares none."""
LONGEST_BACKOFF_S: Final = 300


@dataclass(frozen=True, slots=True)
class Term:
    """One stretch of time that the settings bound."""

    name: str
    """`detect`, `stop`, `backoff`, `first`, `recover`, `give-up`."""
    best_ns: int
    worst_ns: int
    meaning: str
    """One phrase: from what to what, and the sum that makes the worst case."""


@dataclass(frozen=True, slots=True)
class Covering:
    """What the observed latencies say of timeoutSeconds."""

    known: int
    """Attempts whose true latency is known, late answers included."""
    late: int
    """Of these, answers that came after the checker had hung up."""
    censored: int
    """Attempts that ended by silence, or unread, without any answer in the recording: no timeout is proven to be enough for them."""
    slowest_ns: int | None
    just_s: int | None
    """Smallest timeoutSeconds that every known latency is within."""
    margin_percent: int
    timeout_s: int | None
    """The same with the margin."""


def covering(probe: Probe) -> Covering:
    """Return the smallest timeout that covers the known latencies of a probe."""
    known = [latency for attempt in probe.attempts if (latency := true_latency_ns(attempt, probe)) is not None]
    late = sum(a.end_mark is None and true_latency_ns(a, probe) is not None for a in probe.attempts)
    censored = sum(_censored(a) and true_latency_ns(a, probe) is None for a in probe.attempts)
    slowest = max(known, default=None)
    return Covering(
        known=len(known),
        late=late,
        censored=censored,
        slowest_ns=slowest,
        just_s=None if slowest is None else _whole(slowest),
        margin_percent=MARGIN_PERCENT,
        timeout_s=None if slowest is None else _whole(slowest * (100 + MARGIN_PERCENT) // 100),
    )


def _censored(attempt: Attempt) -> bool:
    return attempt.end_mark is None or attempt.outcome is Outcome.INCONCLUSIVE


def _whole(ns: int) -> int:
    return max(1, -(-ns // SECOND))


def terms(spec: ProbeSpec, siblings: Sequence[ProbeSpec]) -> tuple[Term, ...]:
    """Return the bounds for one probe; `siblings` are the settings of all probes of its container."""
    period, timeout = spec.period_s, spec.timeout_s
    spacing = max(period, timeout)
    more = spec.failure_threshold - 1
    best, worst = more * period, period + more * spacing + timeout
    total = f"{period} + {more} x {spacing} + {timeout} s" if more else f"{period} + {timeout} s"
    first_best, first_worst = max(0, spec.initial_delay_s - 1), spec.initial_delay_s + period
    first = _term("first", first_best, first_worst, "from the container's start to the first attempt")
    if spec.type is ProbeType.STARTUP:
        given_up = _term(
            "give-up",
            first_best + best,
            first_worst + more * spacing + timeout,
            "from the container's start to the kill of one that never starts: initial delay + " + total,
        )
        return (first, given_up, *_restart(spec))
    if spec.type is ProbeType.READINESS:
        need = spec.success_threshold - 1
        return (
            _term("detect", best, worst, f"from breaking to NotReady: at worst {total}"),
            _term(
                "recover",
                need * period,
                period + need * spacing + timeout,
                "from working again to Ready; sooner where a pod sync brings an extra probe",
            ),
            first,
        )
    gated = any(one.type is ProbeType.STARTUP for one in siblings)
    after = "after Started, " if gated else ""
    return (
        _term("detect", best, worst, f"from breaking to the kill: at worst {total}"),
        *_restart(spec),
        _term("first", first_best, first_worst, f"{after}from the new container's start to its first attempt"),
    )


def _restart(spec: ProbeSpec) -> tuple[Term, ...]:
    grace = spec.grace_s if spec.grace_s is not None else DEFAULT_GRACE_S
    whose = "the probe's" if spec.grace_s is not None else "the Pod's, 30 s where it declares none"
    return (
        _term("stop", 0, grace, f"from the kill to the old container's end: terminationGracePeriodSeconds ({whose})"),
        _term(
            "backoff",
            0,
            LONGEST_BACKOFF_S,
            "until the new container starts: 0 at first, 10 s and doubled when it repeats",
        ),
    )


def _term(name: str, best_s: int, worst_s: int, meaning: str) -> Term:
    return Term(name, best_s * SECOND, worst_s * SECOND, meaning)
