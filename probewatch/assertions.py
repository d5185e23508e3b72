"""Assertions on a timeline, for tests: `expect(timeline).probe("readiness").period(10, within=0.05)`.

    from probewatch import analyze, expect

    readiness = expect(analyze("capture.pcap", spec="pod.yaml")).probe("readiness")
    readiness.ready_within(20).decisions(["ready"]).never("restart")

Each assertion returns its object, so that they can be chained, and raises AssertionError with the whole story: what was
expected and what happened, the attempts around it, file and frames, the command that shows them. Where the packets allow
both, it raises `Inconclusive`: a test must not pass on missing evidence. Nothing here needs pytest.

Tolerances are in seconds and always the caller's: no assertion has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, NoReturn, Self, TypeVar

from .model.timeline import (
    Attempt,
    Cause,
    Decision,
    DecisionKind,
    EventKind,
    Outcome,
    Probe,
    Schedule,
    Timeline,
    Trigger,
)
from .report import words
from .report.conversation import base_ns, conversation, seen_instead
from .report.document import latencies
from .report.escape import safe
from .report.numbers import SECOND, count, duration, percentile, relative
from .report.select import matches

E = TypeVar("E", bound=StrEnum)

_CAPTURE_START: Final = "start"
_FIRST_ATTEMPT: Final = "first attempt"
_FIRST_FAILURE: Final = "first failure"


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
        """
        __tracebackhide__ = True
        found = [probe for probe in self.timeline.probes if selector is None or matches(probe, selector)]
        if len(found) == 1:
            return ExpectedProbe(self.timeline, found[0])
        asked = "one probe" if selector is None else f"one probe '{safe(selector)}'"
        if not found:
            raise AssertionError(conversation(self.timeline, None, f"expected {asked}: {seen_instead(self.timeline)}"))
        there = ", ".join(f"{probe.id} ({words.kind(probe)} {words.label(probe)})" for probe in found[:10])
        raise AssertionError(conversation(self.timeline, None, f"expected {asked}, there are {len(found)}: {there}"))

    def no_probe(self, selector: str | None = None) -> Self:
        """Assert that no probe was seen that a selector means; None means any."""
        __tracebackhide__ = True
        for probe in self.timeline.probes:
            if selector is None or matches(probe, selector):
                text = f"expected no {'probe' if selector is None else safe(selector)}, there is {probe.id}"
                raise AssertionError(
                    conversation(self.timeline, probe, text, wrong={a.n: "" for a in probe.attempts[:1]})
                )
        _whole(self.timeline, None, f"that there is no {'probe' if selector is None else safe(selector)}")
        return self

    def complete(self) -> Self:
        """Assert that no capture was cut, corrupt, or lost frames: what was not seen did not happen."""
        __tracebackhide__ = True
        why = _losses(self.timeline)
        if why:
            raise AssertionError(conversation(self.timeline, None, f"expected whole captures: {why}"))
        return self


class ExpectedProbe:
    """Assertions on one probe. `value` is the probe itself."""

    def __init__(self, timeline: Timeline, probe: Probe) -> None:
        self.timeline = timeline
        self.value = probe
        self._attempts: Sequence[Attempt] = sorted(probe.attempts, key=lambda attempt: attempt.n)

    # --- what happened ---

    def outcomes(self, expected: Sequence[Outcome | str], *, first: int | None = None) -> Self:
        """Assert the outcomes of all attempts, or with `first` of those from that number on, as many as are given.

        `["success"] * 5 + ["failure"] * 3` is a short way to say a long one.
        """
        __tracebackhide__ = True
        return self._sequence(_members(Outcome, expected), lambda attempt: attempt.outcome, first)

    def causes(self, expected: Sequence[Cause | str], *, first: int | None = None) -> Self:
        """Assert the causes of all attempts, or with `first` of those from that number on, as many as are given."""
        __tracebackhide__ = True
        return self._sequence(_members(Cause, expected), lambda attempt: attempt.cause, first)

    def attempts(self, at_least: int = 1, at_most: int | None = None) -> Self:
        """Assert how many attempts were seen."""
        __tracebackhide__ = True
        seen = len(self._attempts)
        wanted = f"{at_least}" if at_least == at_most else f"at least {at_least}"
        wanted += f" and at most {at_most}" if at_most is not None and at_least != at_most else ""
        text = f"expected {wanted} attempts, there are {seen}"
        if seen < at_least:
            self._fail(text, missing=[(self._attempts[-1].n + 1 if seen else 1, "(expected: one more)")])
        if at_most is not None and seen > at_most:
            self._fail(text, wrong={a.n: "(expected: none)" for a in self._attempts[at_most : at_most + 1]})
        return self

    def decisions(self, expected: Sequence[DecisionKind | str]) -> Self:
        """Assert all decisions in their order: `["ready", "not_ready", "ready"]`."""
        __tracebackhide__ = True
        wanted, seen = _members(DecisionKind, expected), self._decided()
        for place, decision in enumerate(seen):
            if place >= len(wanted):
                text = f"expected {_listed(wanted)}, decided {decision.kind.value} as well at {self._at(decision.ns)}"
                self._fail(text, wrong={decision.attempt: "(expected: no decision)"})
            if decision.kind is not wanted[place]:
                text = f"expected decision {place + 1} to be {wanted[place].value}, was {decision.kind.value}"
                self._fail(
                    f"{text} at {self._at(decision.ns)}", wrong={decision.attempt: f"(expected: {wanted[place].value})"}
                )
        if len(seen) < len(wanted):
            rest = wanted[len(seen) :]
            last = self._attempts[-1] if self._attempts else None
            text = f"expected {_listed(rest)}{' after that' if seen else ''}, the capture ends without"
            self._fail(text, missing=[(last.n + 1 if last else 1, f"(expected: {_listed(rest)})")])
        self._seen_clearly(f"that there was no other decision than {_listed(wanted)}", set(DecisionKind) - set(wanted))
        self._seen_whole(f"that there was no other decision than {_listed(wanted)}")
        return self

    def never(self, *kinds: DecisionKind | str) -> Self:
        """Assert that none of these decisions was made: `never("restart")`."""
        __tracebackhide__ = True
        unwanted = _members(DecisionKind, kinds)
        for decision in self._decided():
            if decision.kind in unwanted:
                text = f"expected never {decision.kind.value}, happened at {self._at(decision.ns)}"
                self._fail(text, wrong={decision.attempt: f"(expected: no {decision.kind.value})"})
        self._seen_clearly(f"that it was never {_listed(unwanted)}", unwanted)
        self._seen_whole(f"that it was never {_listed(unwanted)}")
        return self

    def state(self, expected: str) -> Self:
        """Assert the state at the end: `Ready`, `NotReady`, `Started`, `NotStarted`, `Live`, `Restart`, `UP`, `DOWN`."""
        __tracebackhide__ = True
        if self.value.final_state == "unknown":
            self._unclear(f"whether it is {safe(expected)} at the end: no streak in this capture reached its threshold")
        down = self.value.final_state in ("NotReady", "NotStarted", "DOWN")
        since = max((decision.ns for decision in self.value.decisions), default=0)
        kinds = [DecisionKind.READY if down else DecisionKind.NOT_READY]
        self._seen_clearly(f"whether it is {safe(expected)} at the end", kinds, since)
        if self.value.final_state != expected:
            last = {a.n: f"(expected: {safe(expected)})" for a in self._attempts[-1:]}
            self._fail(f"expected {safe(expected)} at the end, was {safe(self.value.final_state)}", wrong=last)
        return self

    # --- when ---

    def ready_within(self, seconds: float) -> Self:
        """Assert that it became Ready (for others than the kubelet: UP) so soon after its container started.

        The start is the one that the timeline tells: declared, or what the packets show of it, which is its first probe
        at the latest.
        """
        __tracebackhide__ = True
        return self._started_then((DecisionKind.READY, DecisionKind.UP), "Ready", seconds)

    def started_within(self, seconds: float) -> Self:
        """Assert that its startup probe succeeded so soon after its container started (see `ready_within`)."""
        __tracebackhide__ = True
        return self._started_then((DecisionKind.STARTED,), "Started", seconds)

    def decided(self, kind: DecisionKind | str, between: tuple[float, float], *, after: str = _CAPTURE_START) -> Self:
        """Assert that a decision was made in a range of seconds (both ends belong to it) after a moment.

        Args:
            kind: the first such decision after that moment counts.
            between: `(20, 30.5)`.
            after: `start` (of the capture), `first attempt`, `first failure`, or a decision, the first of that kind.
        """
        __tracebackhide__ = True
        (wanted,) = _members(DecisionKind, [kind])
        since, words_ = self._moment(after)
        low, high = (round(value * SECOND) for value in between)
        span = f"{wanted.value} in +{between[0]:g}~+{between[1]:g} s after {words_}"
        found = next((d for d in self._decided() if d.kind is wanted and d.ns >= since), None)
        if found is None:
            self._ends_before(since + high, f"whether it is {span}")
            self._fail(f"expected {span}, never happened", missing=[(self._next(), f"(expected: {wanted.value})")])
        if not low <= found.ns - since <= high:
            due = [a for a in self._attempts if low <= a.end_ns - since <= high]
            wrong = {a.n: f"(expected: {wanted.value})" for a in due[-1:]} | {found.attempt: ""}
            self._fail(f"expected {span}, happened at {relative(found.ns, since)} s", wrong=wrong)
        return self

    def period(self, seconds: float, *, within: float) -> Self:
        """Assert that attempts begin `seconds` apart, give or take `within` seconds.

        What the kubelet sends beside its ticker (manual triggers) does not count; the next tick may be a period after the
        last tick or after that (worker.go run resets the ticker, older kubelets do not). Nor do steps over a restart of
        container or kubelet. An attempt that outlasts the period lets the ticker lose ticks: then a multiple is due.
        """
        __tracebackhide__ = True
        step, slack = round(seconds * SECOND), round(within * SECOND)
        measured = passed = 0
        since: list[
            Attempt
        ] = []  # the last tick, and manual runs after it: a kubelet may count the period anew from these
        busy_ns = 0  # until when the worker cannot have taken a tick
        for attempt in self._attempts:
            beside = attempt.trigger is Trigger.MANUAL or attempt.schedule is Schedule.EXTRA
            waited = attempt.trigger is Trigger.STORED_TICK or 0 <= attempt.start.ns - busy_ns <= slack
            if not since or attempt.trigger is Trigger.START or self._interrupted(since[-1], attempt):
                since, passed = [attempt], 0
            elif beside:
                since.append(attempt)
            elif waited:
                passed += 1
            else:
                measured += 1
                most = 1 + passed + max(0, busy_ns - since[0].start.ns) // step
                distances = [attempt.start.ns - other.start.ns for other in since]
                if all(abs(d - steps * step) > slack for d in distances for steps in range(1, most + 1)):
                    text = f"expected one attempt every {seconds:g} s (within {within:g} s)"
                    due = f"(expected: {relative(since[-1].start.ns + step, base_ns(self.timeline, self.value))})"
                    came = f"#{attempt.n} came {distances[-1] / SECOND:.3f} s after #{since[-1].n}"
                    self._fail(f"{text}, {came}", wrong={attempt.n: due})
                since, passed = [attempt], 0
            busy_ns = attempt.end_ns
        if not measured:
            self._unclear(f"whether its period is {seconds:g} s: {count(len(self._attempts), 'attempt')} show none")
        return self

    def timeout(self, seconds: float, *, within: float) -> Self:
        """Assert that the checker gave up `seconds` after the start of an attempt that was not answered.

        Measured where it is on the wire: from the first frame to the checker's own FIN or RST.
        """
        __tracebackhide__ = True
        measured = [(attempt, waited) for attempt in self._attempts if (waited := _gave_up(attempt)) is not None]
        for attempt, waited in measured:
            if abs(waited - round(seconds * SECOND)) > round(within * SECOND):
                text = f"expected the checker to give up after {seconds:g} s (within {within:g} s)"
                self._fail(
                    f"{text}, gave up after {waited / SECOND:.3f} s",
                    wrong={attempt.n: f"(expected: given up after {seconds:g} s)"},
                )
        if not measured:
            waited = max((a.latency_ns for a in self._attempts if a.outcome is Outcome.SUCCESS), default=0)
            if waited > round((seconds + within) * SECOND):
                slow = max((a for a in self._attempts if a.outcome is Outcome.SUCCESS), key=lambda a: a.latency_ns)
                text = f"expected a timeout of {seconds:g} s (within {within:g} s)"
                self._fail(
                    f"{text}, it waited {duration(waited)} for an answer", wrong={slow.n: "(expected: given up)"}
                )
            self._unclear(f"whether its timeout is {seconds:g} s: no attempt shows the checker giving up")
        return self

    def latency(self, *, max: float | None = None, p50: float | None = None, p99: float | None = None) -> Self:  # noqa: A002
        """Assert upper bounds in seconds on the time to a verdict of attempts that were answered, by nearest rank."""
        __tracebackhide__ = True
        known = latencies(self._attempts)
        if not known:
            self._unclear("how fast it is: no attempt was answered")
        for name, percent, bound in (("p50", 50, p50), ("p99", 99, p99), ("max", 100, max)):
            if bound is not None and percentile(known, percent) > round(bound * SECOND):
                slow = [a for a in self._attempts if a.latency_ns == known[-1]]
                text = f"expected a latency of at most {bound:g} s ({name}), was {duration(percentile(known, percent))}"
                self._fail(text, wrong={a.n: f"(expected: at most {bound:g} s)" for a in slow[:1]})
        return self

    # --- who ---

    def from_node(self, node: str) -> Self:
        """Assert that this node's kubelet probes: its name, its own address, or the address that its probes come from."""
        __tracebackhide__ = True
        checker = self.value.checker
        self.from_checker("kubelet")
        known = [name for name in (checker.address, checker.node, checker.node_address) if name]
        if _plain(node) not in known:
            if checker.node is None and not _is_address(node):
                self._unclear(
                    f"whether it comes from {safe(node)}: {words.who(checker)} has no known name (--cluster gives it)"
                )
            self._fail(f"expected the kubelet of {safe(node)}, is {words.who(checker)}", wrong=self._first())
        return self

    def from_checker(self, kind: str) -> Self:
        """Assert who probes: `kubelet`, `haproxy`, ..."""
        __tracebackhide__ = True
        checker = self.value.checker
        if checker.kind == "unknown" and kind in checker.could_be:
            self._unclear(f"whether {safe(kind)} probes: {words.who(checker)}")
        if checker.kind != kind:
            self._fail(f"expected {safe(kind)}, is {words.who(checker)}", wrong=self._first())
        return self

    # --- inside ---

    def _fail(
        self, sentence: str, *, wrong: dict[int, str] | None = None, missing: Sequence[tuple[int, str]] = ()
    ) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(conversation(self.timeline, self.value, sentence, wrong=wrong, missing=missing))

    def _unclear(self, what: str, wrong: dict[int, str] | None = None) -> NoReturn:
        __tracebackhide__ = True
        raise Inconclusive(conversation(self.timeline, self.value, f"cannot tell {what}", wrong=wrong))

    def _why_unclear(self) -> str:
        unclear = [a for a in self._attempts if a.outcome is Outcome.INCONCLUSIVE]
        causes = dict.fromkeys(words.result(a, self.value.handler) for a in unclear)
        return f"{count(len(unclear), 'attempt')} unclear ({', '.join(causes)})"

    def _seen_clearly(self, what: str, kinds: Iterable[DecisionKind], since_ns: int = 0) -> None:
        """Inconclusive where unclear attempts after a moment may have led to one of these decisions."""
        __tracebackhide__ = True
        threshold = self.value.thresholds.get("failureThreshold", (1, ""))[0]
        upwards = bool({DecisionKind.READY, DecisionKind.STARTED, DecisionKind.UP} & set(kinds))
        run: list[Attempt] = []
        for attempt in self._attempts:
            run = [] if attempt.outcome is Outcome.SUCCESS else [*run, attempt]
            unclear = [a for a in run if a.outcome is Outcome.INCONCLUSIVE and a.end_ns > since_ns]
            if unclear == [self._attempts[-1]] and unclear[0].cause is Cause.CUT:
                continue  # the capture ended before its verdict
            if unclear and (upwards or len(run) >= threshold):
                self._unclear(f"{what}: {self._why_unclear()}", {a.n: "" for a in unclear[:1]})

    def _seen_whole(self, what: str) -> None:
        __tracebackhide__ = True
        _whole(self.timeline, self.value, what)

    def _sequence(self, wanted: Sequence[E], of: Callable[[Attempt], E], first: int | None) -> Self:
        __tracebackhide__ = True
        seen = self._attempts if first is None else [a for a in self._attempts if a.n >= first][: len(wanted)]
        numbers = [a.n for a in seen] + [self._next() + more for more in range(max(0, len(wanted) - len(seen)))]
        wrong = {
            attempt.n: f"(expected: {value.value})"
            for attempt, value in zip(seen, wanted, strict=False)
            if of(attempt) is not value
        }
        clear = [a.n for a in seen if a.n in wrong and a.outcome is not Outcome.INCONCLUSIVE]
        if wrong and not clear:
            self._unclear(f"whether #{next(iter(wrong))} was as expected: {self._why_unclear()}", wrong)
        if wrong:
            number = clear[0]
            place = next(i for i, attempt in enumerate(seen) if attempt.n == number)
            attempt, more = seen[place], f" (and {count(len(wrong) - 1, 'other')})" if len(wrong) > 1 else ""
            result = words.result(attempt, self.value.handler)
            was = of(attempt).value + (f" ({result})" if result != of(attempt).value else "")
            self._fail(
                f"expected #{number} to be {wanted[place].value}, was {was} at {self._at(attempt.start.ns)}{more}",
                wrong=wrong,
            )
        if len(seen) < len(wanted):
            rest = [(n, f"(expected: {v.value})") for n, v in zip(numbers, wanted, strict=False)][len(seen) :]
            self._fail(f"expected {count(len(wanted), 'attempt')}, the capture has {len(seen)} of them", missing=rest)
        if len(seen) > len(wanted):
            extra = seen[len(wanted)]
            self._fail(
                f"expected {count(len(wanted), 'attempt')}, there are {len(seen)}",
                wrong={extra.n: "(expected: no more attempts)"},
            )
        return self

    def _started_then(self, kinds: tuple[DecisionKind, ...], state: str, seconds: float) -> Self:
        __tracebackhide__ = True
        limit = round(seconds * SECOND)
        found = next((d for d in self._decided() if d.kind in kinds), None)
        start = self._container_start()
        if start is None:
            if self.value.checker.kind == "kubelet" or not self._attempts:
                self._unclear(
                    f"whether it was {state} within {seconds:g} s of its start: the start is not in this capture"
                )
            start = self._attempts[0].start.ns
        text = f"expected {state} in +0~+{seconds:g} s after its start at {self._at(start)}"
        if found is None:
            self._ends_before(start + limit, f"whether it was {state} within {seconds:g} s of its start")
            self._fail(f"{text}, never happened", wrong={a.n: f"(expected: {state})" for a in self._by(start + limit)})
        if found.ns - start > limit:
            wrong = {a.n: f"(expected: {state})" for a in self._by(start + limit)} | {found.attempt: ""}
            self._fail(f"{text}, happened at {relative(found.ns, start)} s", wrong=wrong)
        return self

    def _container_start(self) -> int | None:
        """Return when the first container that the timeline shows starting behind this probe started."""
        target = self.value.target
        starts = [
            event.ns
            for event in self.timeline.events
            if event.kind is EventKind.CONTAINER_STARTED
            and event.address == target.address
            and (event.container is None or target.container is None or event.container == target.container)
        ]
        return min(starts, default=None)

    def _interrupted(self, before: Attempt, after: Attempt) -> bool:
        target, checker = self.value.target, self.value.checker
        concerned = ("", target.address, checker.address, checker.node_address)
        return any(
            event.address in concerned and before.start.ns < event.ns <= after.start.ns
            for event in self.timeline.events
        ) or any(
            d.kind is DecisionKind.RESTART and before.start.ns <= d.ns <= after.start.ns for d in self.value.decisions
        )

    def _decided(self) -> list[Decision]:
        return sorted(self.value.decisions, key=lambda decision: decision.ns)

    def _moment(self, after: str) -> tuple[int, str]:
        __tracebackhide__ = True
        if after == _CAPTURE_START:
            return base_ns(self.timeline, self.value), "the start of the capture"
        if after == _FIRST_ATTEMPT:
            first = next(iter(self._attempts), None)
        elif after == _FIRST_FAILURE:
            first = next((a for a in self._attempts if a.outcome is Outcome.FAILURE), None)
        else:
            (kind,) = _members(DecisionKind, [after], _CAPTURE_START, _FIRST_ATTEMPT, _FIRST_FAILURE)
            found = next((d for d in self._decided() if d.kind is kind), None)
            if found is None:
                self._fail(f"expected something after {kind.value}, which never happened")
            return found.ns, kind.value
        if first is None:
            self._fail(f"expected something after the {after}, which never happened")
        return first.start.ns, f"the {after}"

    def _ends_before(self, ns: int, what: str) -> None:
        """Inconclusive where the captures end before a moment that was to be waited for."""
        __tracebackhide__ = True
        last = max((c.last_ns for c in self.timeline.captures if c.last_ns is not None), default=ns)
        if last < ns:
            self._unclear(f"{what}: the capture ends at {self._at(last)}")

    def _by(self, ns: int) -> list[Attempt]:
        return [a for a in self._attempts if a.end_ns <= ns][-1:] or list(self._attempts[:1])

    def _first(self) -> dict[int, str]:
        return {attempt.n: "" for attempt in self._attempts[:1]}

    def _next(self) -> int:
        return self._attempts[-1].n + 1 if self._attempts else 1

    def _at(self, ns: int) -> str:
        return f"{relative(ns, base_ns(self.timeline, self.value))} s"


def _whole(timeline: Timeline, probe: Probe | None, what: str) -> None:
    """Inconclusive where something may have gone unseen."""
    __tracebackhide__ = True
    why = _losses(timeline)
    if why:
        raise Inconclusive(conversation(timeline, probe, f"cannot tell {what}: {why}"))


def _losses(timeline: Timeline) -> str:
    for info in timeline.captures:
        if not info.complete:
            return f"{safe(info.path)} breaks off" + (f" ({safe(info.notes[0])})" if info.notes else "")
        lost = sum(interface.drops or 0 for interface in info.interfaces)
        if lost:
            return f"{safe(info.path)} lost {count(lost, 'frame')}"
    if any(event.kind is EventKind.CAPTURE_GAP for event in timeline.events):
        return "for some time nothing was captured"
    return ""


def _gave_up(attempt: Attempt) -> int | None:
    """Return how long the checker waited before it closed a connection that had not answered; None where this cannot be seen."""
    if attempt.outcome is not Outcome.FAILURE or len(attempt.legs) != 1:
        return None
    connection = attempt.legs[0].connection
    closed = min((mark.ns for mark in (connection.orig.fin, connection.orig.rst) if mark is not None), default=None)
    server = [
        mark.ns for mark in (connection.resp.first_data, connection.resp.fin, connection.resp.rst) if mark is not None
    ]
    if closed is None or not connection.orig.length or any(ns <= closed for ns in server):
        return None
    return closed - attempt.start.ns


def _members(kind: type[E], given: Iterable[E | str], *also: str) -> list[E]:
    """Return the members that are meant.

    Raises:
        ValueError: one is none of them; the sentence lists those there are.
    """
    try:
        return [kind(value) for value in given]
    except ValueError as error:
        there = ", ".join([*also, *(member.value for member in kind)])
        raise ValueError(f"{error}: there are {there}") from None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _plain(text: str) -> str:
    """Return an address as timelines write it; a name as it is."""
    return str(ip_address(text)) if _is_address(text) else text


def _listed(kinds: Sequence[DecisionKind]) -> str:
    return ", ".join(kind.value for kind in kinds) or "no decision"
