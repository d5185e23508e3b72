"""Steps of a lane into the values people see: attempts, decisions with what confirms them, gaps, events, probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from probewatch.decisions.worker import STATES, Counted, Result
from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.model.packed import PackedExchange, PackedLegs
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Attempt, Decision, DecisionKind, Gap, GapKind, Leg, Role, Trigger
from probewatch.model.units import MS, SECOND
from probewatch.probes.costs import LINGER_NS, POKED_NS
from probewatch.probes.diagnose import diagnose
from probewatch.probes.judge import Verdict
from probewatch.probes.runs import Run
from probewatch.wire.http1 import read_status_line

from .histories import Step
from .tls import tls_summary

Latest = Callable[[Connection], Connection]
"""Returns the newest revision of a connection."""


def leg(role: Role, exchange: Exchange, latest: Latest) -> Leg:
    """Measure one connection's phases."""
    c = latest(exchange.connection)
    answered = c.resp.syns[0] if c.resp.syns else None
    asked = c.orig.first_data
    http = exchange.http[0] if exchange.http else None
    tls = exchange.tls
    first = c.resp.first_data
    status = (
        http.status
        if http is not None
        else exchange.grpc.grpc_status
        if exchange.grpc is not None
        else tls.plain_status
        if tls is not None
        else None
    )
    return Leg(
        role=role,
        connection=c,
        status=status,
        connect_ns=answered.ns - c.start.ns if answered is not None and not c.midstream and c.question < 2 else None,
        tls_ns=tls.established.ns - tls.client_hello.ns
        if tls is not None and tls.established is not None and tls.client_hello is not None
        else None,
        first_byte_ns=max(0, first.ns - asked.ns) if first is not None and asked is not None else None,
        total_ns=c.end.ns - c.start.ns,
        tls=tls_summary(exchange),
    )


def attempt(number: int, step: Step, redials: Sequence[Step], latest: Latest) -> Attempt:
    """Make the attempt of a step and the dials that joined it."""
    run, reading = step.run, step.reading
    verdict, counted = step.verdict, step.counted
    assert reading is not None
    assert verdict is not None
    assert counted is not None
    legs = [leg(role, exchange, latest) for role, exchange in run.legs()]
    for redial in redials:
        legs += [leg(Role.REDIAL, exchange, latest) for _, exchange in redial.run.legs()]
        if redial.verdict is not None and redial.counted is not None:
            verdict, counted = redial.verdict, redial.counted
    late_ns = late_answer(run, verdict, latest)
    if late_ns is not None and verdict.status is None and run.tries and run.tries[-1][-1].tls is None:
        said = late_status(latest(run.tries[-1][-1].connection).resp.data)
        verdict = replace(verdict, status=said)
        if said is not None:
            legs[-1] = replace(legs[-1], status=said)
    made = Attempt(
        n=number,
        start=run.start,
        end_ns=verdict.end_ns,
        end_mark=verdict.end_mark,
        outcome=verdict.outcome,
        cause=verdict.cause,
        status=verdict.status,
        detail=verdict.detail,
        legs=tuple(legs),
        trigger=reading.trigger,
        schedule=reading.schedule,
        streak=counted.streak,
        threshold=counted.threshold,
        implied=run.implied,
        late_answer_ns=late_ns,
        unresolved=run.unresolved,
        execs=run.execs,
    )
    return diagnosed(made, [exchange for each in (step, *redials) for _, exchange in each.run.legs()])


def diagnosed(made: Attempt, exchanges: Sequence[Exchange]) -> Attempt:
    """Return the attempt with the diagnosis that its own evidence allows, in little room where its exchanges take little."""
    found = diagnose(made, exchanges)
    shelf = next((exchange.shelf for exchange in exchanges if isinstance(exchange, PackedExchange)), None)
    if shelf is not None:
        made = replace(made, legs=PackedLegs(made.legs, shelf.legs))
    return made if found is None else replace(made, diagnosis=found)


def judged_attempt(number: int, start: Mark, verdict: Verdict, legs: tuple[Leg, ...]) -> Attempt:
    """Make an attempt of what was judged, as yet without a place in any schedule or streak."""
    return Attempt(
        n=number,
        start=start,
        end_ns=verdict.end_ns,
        end_mark=verdict.end_mark,
        outcome=verdict.outcome,
        cause=verdict.cause,
        status=verdict.status,
        detail=verdict.detail,
        late_answer_ns=verdict.late_answer_ns,
        legs=legs,
    )


def late_answer(run: Run, verdict: Verdict, latest: Latest) -> int | None:
    """Return the true latency of an answer that came after the verdict, from the newest revision of its connection."""
    if verdict.late_answer_ns is not None or not run.tries or not verdict.by_deadline:
        return verdict.late_answer_ns
    connection = latest(run.tries[-1][-1].connection)
    first = connection.resp.first_data
    return first.ns - run.start.ns if first is not None and first.ns > verdict.end_ns else None


def late_status(data: bytes) -> int | None:
    """Return the final HTTP status that a late answer begins with; None where it is none, or not whole."""
    status = read_status_line(data[:12]) if data[12:13] in (b" ", b"\r", b"\n") else None
    return status if status is not None and status >= 200 else None


def decision(
    counted: Counted | None, made: Attempt, spec: ProbeSpec, source: str, since_ns: int | None
) -> Decision | None:
    """Make the decision of an attempt, unconfirmed."""
    if counted is None or counted.decision is None:
        return None
    kind = counted.decision
    after = {
        DecisionKind.READY: "Ready",
        DecisionKind.NOT_READY: "NotReady",
        DecisionKind.STARTED: "Started",
        DecisionKind.RESTART: "Restart",
    }[kind]
    before = {
        DecisionKind.READY: "NotReady",
        DecisionKind.NOT_READY: "Ready",
        DecisionKind.STARTED: "NotStarted",
        DecisionKind.RESTART: "Live" if spec.type is ProbeType.LIVENESS else "NotStarted",
    }[kind]
    mark = made.end_mark
    if mark is None:
        marks = [made.start, *(one.connection.end for one in made.legs)]
        earlier = [m for m in marks if m.ns <= made.end_ns]
        mark = max(earlier) if earlier else None
    return Decision(
        ns=made.end_ns,
        kind=kind,
        before=before,
        after=after,
        attempt=made.n,
        mark=mark,
        streak=counted.streak,
        threshold=counted.threshold,
        threshold_source=source,
        since_ns=made.end_ns - since_ns if since_ns is not None else None,
    )


def confirm(
    found: Decision,
    spec: ProbeSpec,
    following: Attempt | None,
    readiness: Attempt | None,
    seen_until_ns: int,
    *,
    free_ns: int,
    killing: bool = False,
    pokes: bool = True,
) -> Decision:
    """Say whether the wire shows that the kubelet acted on a decision (docs/how-it-knows.md, "Confirmed").

    `following` is the next attempt of the same probe, `readiness` the next attempt of the same container's readiness
    probe. The deciding attempt's worker could go on at `free_ns`. While the kubelet is `killing` the container, no pod sync
    comes that would set off an extra attempt; one that does not `pokes` never makes any.
    """
    if found.kind is DecisionKind.NOT_READY:
        if following is None:
            return found
        after = following.start.ns - found.ns
        if following.trigger is Trigger.MANUAL and following.start.ns <= free_ns + POKED_NS:
            first, last = following.frames()
            text = f"one extra readiness probe {max(after, 0) / MS:.1f} ms later, frames {first}-{last}"
            if following.implied:  # it left no frame: what shows it is the pace of those after it
                text = "the attempts after it are in step with it, and no longer with those before"
            return replace(found, confirmed=True, confirmed_by=text)
        if (
            following.trigger is Trigger.TICK
            and not following.implied
            and following.unresolved is None
            and after > POKED_NS
            and pokes
            and not killing
        ):
            return replace(found, confirmed=False, confirmed_by="no extra readiness probe followed")
        return found
    if found.kind is DecisionKind.STARTED and readiness is not None:
        after = readiness.start.ns - found.ns
        if 0 <= after <= POKED_NS:
            first, last = readiness.frames()
            return replace(
                found,
                confirmed=True,
                confirmed_by=f"first readiness probe {after / MS:.1f} ms later, frames {first}-{last}",
            )
    if found.kind is DecisionKind.RESTART:
        period = spec.period_s * SECOND
        if following is None and seen_until_ns - found.ns > 2 * period:
            text = f"silent from then on, {(seen_until_ns - found.ns) / SECOND:.1f} s to the end of the capture"
            return replace(found, confirmed=True, confirmed_by=text)
        if following is not None and following.start.ns - found.ns > 1.5 * period:
            text = f"silent for {(following.start.ns - found.ns) / SECOND:.1f} s, until there was a new container"
            return replace(found, confirmed=True, confirmed_by=text)
    return found


def released_ns(made: Attempt, *, by_deadline: bool) -> int:
    """Return when the worker of an attempt could go on at the latest: a close whose FIN is acknowledged late holds it up to a second."""
    closed = made.legs[-1].connection.orig if made.legs and by_deadline else None
    if closed is None:
        return made.end_ns + (LINGER_NS if by_deadline else 0)
    acked = closed.fin_acked
    return made.end_ns + LINGER_NS if acked is None or closed.fin is None else max(made.end_ns, acked.ns)


def expected_before(before: Attempt, made: Attempt, step: Step) -> int:
    """Return how many ticks passed without an attempt before one, its `step`, since the one `before`."""
    reading = step.reading
    if reading is None:
        return 0
    if reading.trigger not in (Trigger.MANUAL, Trigger.START):
        return reading.missed
    # Off the grid: count what the old grid led to expect until then.
    period = step.before.plan[reading.worker].spec.period_s * SECOND
    return max(0, (made.start.ns - max(before.start.ns, before.end_ns - period)) // period - 1)


UNKNOWN: Final = "nothing in the capture says why"
"""The reason of a gap that nothing explains."""


def gap(
    before: Attempt, made: Attempt, expected: int, kind: GapKind = GapKind.UNEXPLAINED, reason: str = UNKNOWN
) -> Gap:
    """Make the gap between two attempts."""
    return Gap(start_ns=before.start.ns, end_ns=made.start.ns, expected=expected, reason=reason, kind=kind)


def state_name(kind: ProbeType, cached: Result) -> str:
    """Name a cached value for people, `unknown` where there is none."""
    return STATES.get((kind, cached), "unknown")
