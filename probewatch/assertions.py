"""Assertions on a timeline, for tests: `expect(timeline).probe("readiness").period(10, within=0.05)`.

    from probewatch import analyze, expect

    readiness = expect(analyze("capture.pcap", spec="pod.yaml")).probe("readiness")
    readiness.ready_within(20).decisions(["ready"]).never("not_ready")

Each assertion is a key of an expectations file (docs/expect.md) held against one probe by the same `verify.expect`; a finding
that fails is raised as AssertionError, one that the packets leave open as `Inconclusive`: a test must not pass on missing
evidence. Each returns its object, so that they can be chained. Nothing here needs pytest.

Tolerances are in seconds and always the caller's: no assertion has one of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from math import inf
from typing import Final, Literal, Self, TypeVar

from .model.expectation import (
    CAPTURE_START,
    CHECKERS,
    MOMENTS,
    STATES,
    Decided,
    ExpectedDecision,
    LatencyBounds,
    Pace,
    ProbeExpectation,
    Range,
    Selector,
)
from .model.finding import CLIENTS_LATE, CLIENTS_REFUSED, CLIENTS_UNANSWERED, Finding, Held
from .model.spec import ProbeType
from .model.timeline import Cause, DecisionKind, Outcome, Probe, Timeline
from .model.units import SECOND
from .report import words
from .report.conversation import conversation, of_no_probe, seen_instead
from .report.escape import safe
from .report.select import matches, may_mean
from .verify import claims, who
from .verify.case import Case
from .verify.expect import of_probe
from .verify.selecting import fit
from .verify.sequence import in_runs
from .verify.untold import incomplete, untyped

E = TypeVar("E", bound=StrEnum)

_SHOWN: Final = 10
"""Probes named in one sentence."""
_ANY: Final = Selector()
_TRAFFIC: Final = (CLIENTS_REFUSED, CLIENTS_UNANSWERED, CLIENTS_LATE)
"""Findings on clients: no spec demands anything of them."""
_VERIFY: Final = (
    "nothing was verified: take the timeline from probewatch.verify(..., spec=...), from"
    " probewatch_timeline(..., spec=..., verify=True) or from recording.timeline(verify=True)"
)


class Inconclusive(AssertionError):  # noqa: N818  (a verdict, as in `model.finding.Held`)
    """The packets allow both: it may have held and may not. The message says what is missing."""


def expect(timeline: Timeline) -> Expectations:
    """Return assertions on a timeline."""
    return Expectations(timeline)


class Expectations:
    """Assertions on a whole timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline

    def probe(self, selector: str | None = None) -> ExpectedProbe:
        """Return assertions on the one probe that a selector means; None means the only one there is.

        Args:
            selector: what `--probe` takes: `readiness`, a pod's name, `namespace/pod`, `type/pod`, `ADDRESS:PORT`, an id.

        Raises:
            AssertionError: no probe was seen that it means, or several were.
            Inconclusive: none was seen, but one that was may be meant, or one that sends no packet.
        """
        __tracebackhide__ = True
        found = self._meant(selector)
        if len(found) == 1:
            return ExpectedProbe(self.timeline, found[0])
        asked = "one probe" if selector is None else f"one probe '{safe(selector)}'"
        if not found and (reason := self._perhaps(selector)):
            raise Inconclusive(of_no_probe(self.timeline, f"cannot tell whether there is {asked}: {safe(reason)}"))
        if not found:
            raise AssertionError(of_no_probe(self.timeline, f"expected {asked}: {seen_instead(self.timeline)}"))
        there = ", ".join(f"{probe.id} ({words.kind(probe)} {words.label(probe)})" for probe in found[:_SHOWN])
        raise AssertionError(of_no_probe(self.timeline, f"expected {asked}, there are {len(found)}: {there}"))

    def no_probe(self, selector: str | None = None) -> Self:
        """Assert that no probe was seen that a selector means; None means any.

        Raises:
            ValueError: the selector is empty, the id of no probe, or all but a type's name.
        """
        __tracebackhide__ = True
        _spelt(selector)
        asked = "probe" if selector is None else safe(selector)
        for probe in self._meant(selector):
            case = Case(self.timeline, probe)
            _raise(case, case.failed("probe", f"expected no {asked}, there is {probe.id}", attempts=probe.attempts[:1]))
        if reason := self._perhaps(selector) or incomplete(self.timeline):
            raise Inconclusive(of_no_probe(self.timeline, f"cannot tell that there is no {asked}: {safe(reason)}"))
        return self

    def complete(self) -> Self:
        """Assert that no capture was cut, corrupt, or lost frames: what was not seen did not happen."""
        __tracebackhide__ = True
        if reason := incomplete(self.timeline):
            raise AssertionError(of_no_probe(self.timeline, f"expected whole captures: {safe(reason)}"))
        return self

    def _meant(self, selector: str | None) -> list[Probe]:
        return [probe for probe in self.timeline.probes if selector is None or matches(probe, selector)]

    def _perhaps(self, selector: str | None) -> str:
        """Say why there may be a probe that a selector means although none is known to be: no type known, or no packet."""
        for probe in self.timeline.probes:
            if untyped(probe) or probe.checker.kind == "unknown":
                types = (kind for kind in ProbeType if fit(Selector(type=kind), probe).fits is None)
                if selector is not None and any(matches(replace(probe, type=kind), selector) for kind in types):
                    return f"{probe.id} could be meant, but its type is not known: give the Pod with spec"
        for one in self.timeline.unseeable:
            if selector is None or may_mean(selector, one):
                return f"the {one.type} probe of {one.pod}/{one.container} is an exec probe, and sends no packet"
        return ""


class ExpectedProbe:
    """Assertions on one probe. `value` is the probe itself."""

    def __init__(self, timeline: Timeline, probe: Probe) -> None:
        self.timeline = timeline
        self.value = probe

    # --- what happened ---

    def outcomes(self, expected: Sequence[Outcome | str], *, first: int | None = None) -> Self:
        """Assert the outcomes of all attempts, or with `first` of those from that number on, as many as are given.

        `["success"] * 5 + ["failure"] * 3` is a short way to say a long one. What was still open when the capture ended
        is left out.
        """
        __tracebackhide__ = True
        wanted = _some(Outcome, expected, first)
        case = self._from(first, len(wanted))
        return self._settle([claims.outcomes(case, in_runs(wanted), part=first is not None)])

    def causes(self, expected: Sequence[Cause | str], *, first: int | None = None) -> Self:
        """Assert the causes of all attempts, or with `first` of those from that number on, as many as are given."""
        __tracebackhide__ = True
        wanted = _some(Cause, expected, first)
        case = self._from(first, len(wanted))
        return self._settle([claims.causes_in_order(case, in_runs(wanted), part=first is not None)])

    def attempts(self, at_least: int = 1, at_most: int | None = None) -> Self:
        """Assert how many attempts were seen."""
        __tracebackhide__ = True
        if at_least < 0 or (at_most is not None and at_most < at_least):
            raise ValueError(f"expected the smaller number first, and none below 0: {at_least}, {at_most}")
        return self._hold(ProbeExpectation(selector=_ANY, attempts=Range(at_least, at_most)))

    def decisions(self, expected: Sequence[DecisionKind | str]) -> Self:
        """Assert all decisions in their order: `["ready", "not_ready", "ready"]`."""
        __tracebackhide__ = True
        wanted = tuple(ExpectedDecision(kind=kind) for kind in _some(DecisionKind, expected))
        return self._hold(ProbeExpectation(selector=_ANY, decisions=wanted))

    def never(self, *kinds: DecisionKind | str) -> Self:
        """Assert that none of these decisions was made: `never("not_ready")`, of a liveness probe `never("restart")`.

        `never("not_ready")` also fails where the container ended, or was restarted, and took Ready along. What this type of
        probe never decides fails, with the type that does.

        Raises:
            ValueError: no decision is given, or there is none of that name.
        """
        __tracebackhide__ = True
        if not kinds:
            raise ValueError(f"never() needs a decision: there are {', '.join(DecisionKind)}")
        return self._hold(ProbeExpectation(selector=_ANY, never=tuple(_members(DecisionKind, kinds))))

    def state(self, expected: str) -> Self:
        """Assert the state at the end: `Ready`, `NotReady`, `Started`, `NotStarted`, `Live`, `Restart`, `UP`, `DOWN`.

        Raises:
            ValueError: there is no such state; the sentence lists those there are.
        """
        __tracebackhide__ = True
        if expected not in STATES:
            raise ValueError(f"{expected!r} is not a state: there are {', '.join(STATES)}")
        return self._hold(ProbeExpectation(selector=_ANY, state=expected))

    # --- when ---

    def ready_within(self, seconds: float) -> Self:
        """Assert that it became Ready (for others than the kubelet: UP) so soon after each start of its container.

        The start is the one that the timeline tells: declared, or what the packets show of it, which is its first probe
        at the latest.
        """
        __tracebackhide__ = True
        return self._hold(ProbeExpectation(selector=_ANY, ready_within=_ns(seconds)))

    def started_within(self, seconds: float) -> Self:
        """Assert that its startup probe succeeded so soon after each start of its container (see `ready_within`)."""
        __tracebackhide__ = True
        return self._hold(ProbeExpectation(selector=_ANY, started_within=_ns(seconds)))

    def out_of_service(self, max: float, *, at_least: float = 0) -> Self:  # noqa: A002
        """Assert for how many seconds it was out of service in all (both ends belong to the range), after it had been in service.

        From each NotReady (DOWN), or the end of a container that took Ready along, to the next Ready (UP).
        """
        __tracebackhide__ = True
        time = Range(_ns(at_least), _ns(max))
        if at_least > max:
            raise ValueError(f"expected the smaller number first: {at_least}, {max}")
        return self._hold(ProbeExpectation(selector=_ANY, out_of_service=time))

    def decided(self, kind: DecisionKind | str, between: tuple[float, float], *, after: str = CAPTURE_START) -> Self:
        """Assert that a decision was made in a range of seconds (both ends belong to it) after a moment.

        Args:
            kind: the first such decision after that moment counts; one that is the moment itself does not.
            between: `(20, 30.5)`.
            after: `start` (of the capture), `first attempt`, `first failure`, or a decision, the first of that kind.
        """
        __tracebackhide__ = True
        (wanted,) = _members(DecisionKind, [kind])
        since = after if after in MOMENTS else _members(DecisionKind, [after], *MOMENTS)[0]
        if not isinstance(between, tuple | list) or len(between) != 2:
            raise ValueError(f"between is a range of seconds, (20, 30.5), not {between!r}")
        time = Range(_ns(between[0]), _ns(between[1]))
        if between[0] > between[1]:
            raise ValueError(f"expected the smaller number first: {between!r}")
        return self._hold(ProbeExpectation(selector=_ANY, decided=(Decided(kind=wanted, after=since, time=time),)))

    def period(self, seconds: float, *, within: float) -> Self:
        """Assert that attempts begin `seconds` apart, give or take `within` seconds (see `verify.pace`).

        What the kubelet sends beside its ticker (manual triggers) does not count, nor do steps over a restart of
        container or kubelet, and what follows an attempt that outlasted the period.
        """
        __tracebackhide__ = True
        return self._hold(ProbeExpectation(selector=_ANY, period=Pace(_ns(seconds), _ns(within))))

    def timeout(self, seconds: float, *, within: float) -> Self:
        """Assert that the checker gave up `seconds` after the start of an attempt that was not answered.

        Measured where it is on the wire: from the first frame to the checker's own FIN or RST.
        """
        __tracebackhide__ = True
        return self._hold(ProbeExpectation(selector=_ANY, timeout=Pace(_ns(seconds), _ns(within))))

    def latency(self, *, max: float | None = None, p50: float | None = None, p99: float | None = None) -> Self:  # noqa: A002
        """Assert upper bounds in seconds on the time from an attempt's start to its verdict, by nearest rank.

        An attempt that nobody answered lasted at least until the checker gave up, and counts: the p50 that the table
        shows is of those that were answered.

        Raises:
            ValueError: there is no bound.
        """
        __tracebackhide__ = True
        if max is None and p50 is None and p99 is None:
            raise ValueError("latency() needs a bound: max, p50 or p99")
        bounds = [None if bound is None else _ns(bound) for bound in (max, p50, p99)]
        return self._hold(
            ProbeExpectation(selector=_ANY, latency=LatencyBounds(max=bounds[0], p50=bounds[1], p99=bounds[2]))
        )

    # --- who ---

    def from_node(self, node: str) -> Self:
        """Assert that this node's kubelet probes: its name, its own address, or the address that its probes come from."""
        __tracebackhide__ = True
        return self._hold(ProbeExpectation(selector=_ANY, node=node))

    def from_checker(self, kind: str) -> Self:
        """Assert who probes: `kubelet`, `haproxy`, ...

        Raises:
            ValueError: there is no such kind of checker.
        """
        __tracebackhide__ = True
        if kind not in CHECKERS:
            raise ValueError(f"{kind!r} is no checker: there are {', '.join(CHECKERS)}")
        return self._settle([who.checker(Case(self.timeline, self.value), kind)])

    # --- as declared ---

    def verified(self, *, inconclusive: Literal["ok", "fail"] = "ok") -> Self:
        """Assert that nothing the packets show contradicts what the spec declares of this probe, as `probewatch verify` does.

        Args:
            inconclusive: whether fields that the packets leave open are `ok`, as they are if this is left out (a healthy
                probe never shows its failureThreshold), or `fail`. Where all of them are open, nothing was verified, and
                it is inconclusive all the same.

        Raises:
            ValueError: the timeline was not verified; the sentence says how it is.
        """
        __tracebackhide__ = True
        if inconclusive not in ("ok", "fail"):
            raise ValueError(f"inconclusive is 'ok' or 'fail', not {inconclusive!r}")
        target = self.value.target
        container = f"{target.namespace}/{target.pod}/{target.container}"
        found = [
            finding
            for finding in self.timeline.findings
            if finding.probe == self.value.id or (finding.probe is None and finding.subject == container)
            if finding.field not in _TRAFFIC
        ]
        if not found:
            raise ValueError(_VERIFY)
        passed = any(finding.held is Held.PASS for finding in found)
        lenient = inconclusive == "ok" and passed
        return self._settle([each for each in found if not (lenient and each.held is Held.INCONCLUSIVE)])

    # --- inside ---

    def _hold(self, wanted: ProbeExpectation) -> Self:
        __tracebackhide__ = True
        return self._settle(of_probe(self.timeline, self.value, wanted))

    def _settle(self, findings: Sequence[Finding]) -> Self:
        """Raise the first that failed, else the first that is inconclusive."""
        __tracebackhide__ = True
        case = Case(self.timeline, self.value)
        for held in (Held.FAIL, Held.INCONCLUSIVE):
            for finding in findings:
                if finding.held is held:
                    _raise(case, finding)
        return self

    def _from(self, first: int | None, number: int) -> Case:
        """Return the case of so many attempts from a number on, or of all."""
        if first is None:
            return Case(self.timeline, self.value)
        if first < 1:
            raise ValueError(f"attempts are numbered from 1: first={first}")
        some = [attempt for attempt in self.value.attempts if attempt.n >= first][:number]
        return Case(self.timeline, replace(self.value, attempts=tuple(some)))


def _raise(case: Case, finding: Finding) -> None:
    __tracebackhide__ = True
    kind = Inconclusive if finding.held is Held.INCONCLUSIVE else AssertionError
    raise kind(conversation(case.timeline, case.probe, finding))


def _ns(seconds: float) -> int:
    """Return seconds as nanoseconds.

    Raises:
        ValueError: it is no number of seconds, or below 0.
    """
    __tracebackhide__ = True
    if not isinstance(seconds, int | float) or not 0 <= seconds < inf:
        raise ValueError(f"expected seconds, 0 or more, got {seconds!r}")
    return round(seconds * SECOND)


def _spelt(selector: str | None) -> None:
    """Refuse what can mean nothing, and would be found not to be there.

    Raises:
        ValueError: the selector is empty, an id, or nearly the name of a type.
    """
    __tracebackhide__ = True
    if selector is None:
        return
    if not selector:
        raise ValueError("the selector is empty; leave it out where any probe is meant")
    if re.fullmatch(r"p[0-9]+", selector):
        raise ValueError(
            f"{selector!r} is an id, which only a probe that was seen has; give a type, a Pod or an address"
        )
    kind, _, rest = selector.partition("/")
    types = [each.value for each in ProbeType if each is not ProbeType.UNKNOWN]
    close = get_close_matches(kind.lower(), types, n=1, cutoff=0.8)
    if close and kind not in types:
        raise ValueError(f"{selector!r} is no type of a probe: did you mean {close[0]}{'/' if rest else ''}{rest}?")


def _some(kind: type[E], given: Sequence[E | str], first: int | None = None) -> list[E]:
    """Return a list's members; with `first` there must be some.

    Raises:
        TypeError: it is one word and no list.
        ValueError: it is empty, or a member is unknown.
    """
    __tracebackhide__ = True
    if isinstance(given, str):
        raise TypeError(f"expected a list, got {given!r}: write [{given!r}]")
    if first is not None and not given:
        raise ValueError("expected at least one with first: nothing is always so")
    return _members(kind, given)


def _members(kind: type[E], given: Iterable[E | str], *also: str) -> list[E]:
    """Return the members that are meant.

    Raises:
        ValueError: one is none of them; the sentence lists those there are.
    """
    __tracebackhide__ = True
    try:
        return [kind(value) for value in given]
    except ValueError as error:
        there = ", ".join([*also, *(member.value for member in kind)])
        raise ValueError(f"{error}: there are {there}") from None
