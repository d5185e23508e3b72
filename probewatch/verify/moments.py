"""Expectations of what was decided, and when: decisions in order, never, within a time of the start, state at the end.

**Start** is one thing here, whatever asks for it: of a kubelet's probe, each `container_started` event of its
container; of another checker's, its first attempt. A start that the packets show is the first sign of the container:
the container itself may be older, so that a time since the start is, strictly, a lower bound (it lacks what went before
the first packet, such as initialDelaySeconds). Every sentence says which it is.
A kubelet's probe whose container started before the capture has no start; what asks for it is inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.decisions.outages import By, Outage, container_events, input_end, outages
from probewatch.model.expectation import CAPTURE_START, DECIDED_BY, FIRST_ATTEMPT, Decided, ExpectedDecision, Range
from probewatch.model.finding import Finding
from probewatch.model.timeline import UNSEEN, Decision, DecisionKind, EventKind, Outcome, Probe, Timeline
from probewatch.model.units import SECOND

from .case import Case, bound, counted, seconds, stretch
from .untold import GAINS, NEXT, end_unseen, hidden, settled, unseen, untyped

_NO_START: Final = "the container's start is not in this capture"
_MOST_NAMED: Final = 12
"""Decisions named in one text."""


@dataclass(frozen=True, slots=True)
class Start:
    """When an instance of the container (or a checker) began, and how that is known."""

    ns: int
    known_by: str


def starts(timeline: Timeline, probe: Probe) -> list[Start]:
    """Return the starts that the timeline shows for a probe's container, in order."""
    if probe.checker.kind != "kubelet":
        return [Start(probe.attempts[0].start.ns, "its first attempt")] if probe.attempts else []
    return sorted(
        (
            Start(
                event.told_ns,
                "the container's start" + (" as the packets show it" if event.source == "inferred" else ""),
            )
            for event in container_events(probe, timeline)
            if event.kind is EventKind.CONTAINER_STARTED and not event.doubtful
        ),
        key=lambda start: start.ns,
    )


def decisions(case: Case, wanted: Sequence[ExpectedDecision]) -> Finding:
    """Hold all decisions, in order, against a list."""
    made = _in_order(case.probe)
    asked, observed = _expected(wanted), _observed(made, case)
    places = [_fits(case, made, index, item) for index, item in zip(range(len(made)), wanted, strict=False)]
    bad = next((index for index, (fits, _) in enumerate(places) if fits is False), None)
    if bad is not None:
        wrong, item = made[bad], wanted[bad]
        sentence = f"decision {bad + 1} is {wrong.kind.value} at #{wrong.attempt}: {places[bad][1]}"
        # One that was made unseen may have moved the others; but a time is what it is, and a stranger stays one.
        familiar = wrong.kind is not item.kind and any(wrong.kind is each.kind for each in wanted)
        reason = _overlooked(case, item.kind) if familiar else ""
        if reason:
            return case.unclear("decisions", f"{sentence}; but {reason}", asked, observed)
        return case.failed("decisions", sentence, asked, observed, at=wrong.attempt)
    if len(made) > len(wanted):
        extra = made[len(wanted)]
        sentence = f"{extra.kind.value} at #{extra.attempt} was not expected"
        return case.failed("decisions", sentence, asked, observed, at=extra.attempt)
    if len(made) < len(wanted):
        lacking = wanted[len(made)]
        reason = _missing(case, lacking.kind)
        if reason:
            return case.unclear("decisions", reason, asked, observed)
        return case.failed("decisions", f"no {lacking.kind.value} as decision {len(made) + 1}", asked, observed)
    unknown = next((why for fits, why in places if fits is None), "")
    reason = unknown or unseen(case.timeline, case.probe) or untyped(case.probe) or _changed_unseen(case.probe)
    if reason:
        return case.unclear("decisions", reason, asked, observed)
    return case.passed("decisions", observed)


def decisions_contain(case: Case, wanted: Sequence[ExpectedDecision]) -> Finding:
    """Look for decisions in this order; each is compared on its own, so the first that fits is as good as any."""
    made = _in_order(case.probe)
    asked, observed = _expected(wanted), _observed(made, case)
    for kindly in (False, True):
        place, found, reason = 0, 0, ""
        for item in wanted:
            while place < len(made):
                fits, why = _fits(case, made, place, item)
                place += 1
                if fits or (kindly and fits is None):
                    found, reason = found + 1, reason or ("" if fits else why)
                    break
            else:
                break
        if found == len(wanted):
            if reason:
                return case.unclear("decisionsContain", reason, asked, observed)
            return case.passed("decisionsContain", f"{asked}: they occur")
    lacking = wanted[found]
    if reason := _missing(case, lacking.kind):
        return case.unclear("decisionsContain", reason, asked, observed)
    after = f" after the first {found}" if found else ""
    return case.failed("decisionsContain", f"no {_expected([lacking])}{after}", asked, observed)


def decided(case: Case, wanted: Decided) -> Finding:
    """Hold the first decision of a kind after a moment against a time since that moment."""
    field = f"decided {wanted.kind.value}"
    moment, words, doubt = _moment(case, wanted.after)
    asked = f"{stretch(wanted.time)} after {words}"
    if moment is None:
        reason = doubt or unseen(case.timeline, case.probe)
        if reason:
            return case.unclear(field, reason, asked, f"{words} not seen")
        return case.failed(field, f"{words} never happened", asked, "never")
    # (A decision that is the moment itself is not after it.)
    made = next((d for d in _in_order(case.probe) if d.kind is wanted.kind and d.ns > moment), None)
    if made is not None:
        took = f"{seconds(made.ns - moment, wanted.time.low, wanted.time.high)} after {words}"
        late = wanted.time.high is not None and made.ns - moment > wanted.time.high
        if doubt and not late:  # (What began the time earlier makes it longer.)
            return case.unclear(field, f"{took}, or more: {doubt}", asked, took)
        if wanted.time.holds(made.ns - moment):
            return case.passed(field, took)
        reason = hidden(case.probe, wanted.kind, since_ns=moment, until_ns=made.ns)
        if reason and made.ns - moment > (wanted.time.low or 0):
            return case.unclear(field, f"{took}, or before: {reason}", asked, took)
        return case.failed(field, f"{wanted.kind.value} was decided {took}", asked, took, at=made.attempt)
    reason = _missing(case, wanted.kind)
    ended = max((info.last_ns or 0 for info in case.timeline.captures), default=0)
    if not reason and (wanted.time.high is None or ended - moment <= wanted.time.high):
        reason = f"the capture ends {seconds(max(0, ended - moment))} after {words}"
    if reason:
        return case.unclear(field, reason, asked, "not seen")
    return case.failed(field, f"no {wanted.kind.value} in {seconds(ended - moment)} after {words}", asked, "never")


def _moment(case: Case, after: str | DecisionKind) -> tuple[int | None, str, str]:
    """Return a moment that times are told from, its name, and why it may have come earlier; None where it did not come."""
    if isinstance(after, DecisionKind):
        found = next((d.ns for d in _in_order(case.probe) if d.kind is after), None)
        doubt = _missing(case, after) if found is None else hidden(case.probe, after, until_ns=found)
        return found, f"the first {after.value}", doubt
    if after == CAPTURE_START:
        first = min((info.first_ns for info in case.timeline.captures if info.first_ns is not None), default=None)
        return first, "the start of the capture", ""
    if after == FIRST_ATTEMPT:
        return next((a.start.ns for a in case.probe.attempts), None), f"the {after}", ""
    for attempt in settled(case.probe.attempts):
        if attempt.outcome is Outcome.FAILURE:
            return attempt.start.ns, f"the {after}", ""
        if attempt.outcome is Outcome.INCONCLUSIVE:
            failed = next((a.start.ns for a in case.probe.attempts if a.outcome is Outcome.FAILURE), None)
            return failed, f"the {after}", f"the outcome of #{attempt.n} is not known ({attempt.cause.value})"
    return None, f"the {after}", ""


def never(case: Case, kind: DecisionKind) -> Finding:
    """Hold that a decision does not occur; for `not_ready`, that Ready did not go with the container either."""
    field = f"never {kind.value}"
    if not can_decide(case.probe, kind):
        who = " or ".join(name.value for name, kinds in DECIDED_BY.items() if kind in kinds)
        by = f"a {who} probe" if who else "a checker that is no kubelet"
        sentence = f"{_kind_of(case.probe)} never decides {kind.value}: {by} does"
        return case.failed(field, sentence, "never", "nothing of the kind")
    made = [d for d in _in_order(case.probe) if d.kind is kind]
    if made:
        first = made[0]
        times = f"{len(made)} times, first" if len(made) > 1 else "once,"
        observed = f"{times} at #{first.attempt}, streak {first.streak} of {first.threshold}"
        return case.failed(field, f"{kind.value} was decided", "never", observed, at=first.attempt)
    dark = [gap for gap in case.probe.gaps if gap.reason == UNSEEN]
    gone = outages(case.probe, case.timeline) if kind is DecisionKind.NOT_READY else []
    lost = next((one for one in gone if one.by is not By.DECISION and not one.doubtful), None)
    if lost is not None and not any(gap.start_ns <= lost.start_ns <= gap.end_ns for gap in dark):
        ended, at = _ended_by(lost), _shown_at(case.probe, lost)
        return case.failed(field, f"Ready was lost with the container: {ended}", "never", f"lost before #{at}", at=at)
    if dark and kind in (DecisionKind.NOT_READY, DecisionKind.RESTART):
        away = f"no attempt for {seconds(dark[0].end_ns - dark[0].start_ns)}: {UNSEEN}"
        back = next((a.n for a in case.probe.attempts if a.start.ns >= dark[0].end_ns), None)
        return case.unclear(field, away, "never", "not seen", at=back)
    reason = unseen(case.timeline, case.probe)
    reason = reason or hidden(case.probe, kind) or _untold(case.probe, kind)
    if reason:
        return case.unclear(field, reason, "never", "not seen")
    return case.passed(field, f"never in {len(case.probe.attempts)} attempts")


def out_of_service(case: Case, wanted: Range) -> Finding:
    """Hold the time out of service in all, from the first time in service on, against a range."""
    field, asked, probe = "outOfServiceSeconds", stretch(wanted), case.probe
    loses, gains = (
        (DecisionKind.NOT_READY, "Ready") if can_decide(probe, DecisionKind.NOT_READY) else (DecisionKind.DOWN, "UP")
    )
    if not can_decide(probe, loses):
        return case.failed(field, f"{_kind_of(probe)} takes nothing out of service", asked, "nothing of the kind")
    if reason := untyped(probe):
        return case.unclear(field, reason, asked)
    out = outages(probe, case.timeline)
    last = input_end(case.timeline, 0)
    total = sum((last if one.end_ns is None else one.end_ns) - one.start_ns for one in out)
    # (Where an outage ended in a time that nothing shows, it may have ended as soon as that began.)
    sure = total - sum(
        max(0, (one.end_ns or last) - max(one.ended_in.start_ns, one.start_ns)) for one in out if one.ended_in
    )
    took = seconds(total, wanted.low, wanted.high)
    times = f", {counted(len(out), 'time')}" if out else ""
    longest = max(out, key=lambda one: (last if one.end_ns is None else one.end_ns) - one.start_ns, default=None)
    at = None if longest is None else _shown_at(probe, longest)
    if wanted.high is not None and sure > wanted.high:
        return case.failed(field, f"out of service for {took}{times}", asked, took, at=at)
    reason = unseen(case.timeline, probe) or _changed_unseen(probe)
    if not reason and probe.initial_state != gains and not any(_AFTER[d.kind] == gains for d in probe.decisions):
        reason = f"it was never seen {gains}"
    if not reason and out and out[-1].end_ns is None:
        reason = "it was still out of service when the capture ended"
    if not reason and any(one.began_in or one.ended_in for one in out):
        reason = "when it began or ended is not known: attempts are missing or their outcome is not known"
    if reason and not (wanted.low is not None and wanted.high is None and sure >= wanted.low):
        return case.unclear(field, reason, asked, f"{took}{times}", at=at)
    if wanted.holds(total):
        return case.passed(field, f"{took}{times}")
    return case.failed(field, f"out of service for {took}{times}", asked, took, at=at)


def _shown_at(probe: Probe, outage: Outage) -> int:
    """Return the attempt that decided an outage, or in front of which it showed."""
    decided = (d.attempt for d in probe.decisions if d.ns == outage.start_ns)
    later = (a.n for a in probe.attempts if a.start.ns >= outage.start_ns)
    return next(decided, None) or next(later, probe.attempts[-1].n)


def _ended_by(outage: Outage) -> str:
    """Say what ended the container that took Ready along."""
    if outage.by is By.KUBELET:
        return "its kubelet was restarted"
    return "it ended" if outage.restarted_by is None else f"restarted by the {outage.restarted_by.value} probe"


def ready_within(case: Case, limit: int) -> Finding:
    """Hold each start against the time until Ready, or UP for others than the kubelet."""
    if case.probe.checker.kind == "kubelet":
        return _within(case, "readyWithinSeconds", limit, DecisionKind.READY, "Ready")
    return _within(case, "readyWithinSeconds", limit, DecisionKind.UP, "UP")


def started_within(case: Case, limit: int) -> Finding:
    """Hold each start against the time until Started."""
    return _within(case, "startedWithinSeconds", limit, DecisionKind.STARTED, "Started")


def _within(case: Case, field: str, limit: int, kind: DecisionKind, word: str) -> Finding:
    asked = f"{word} within {bound(limit)}"
    if not can_decide(case.probe, kind):
        return case.failed(field, f"{_kind_of(case.probe)} never decides {kind.value}", asked, "nothing of the kind")
    if reason := untyped(case.probe):
        return case.unclear(field, reason, asked)
    begun = starts(case.timeline, case.probe)
    if not begun:
        return case.unclear(
            field, f"{_NO_START}: capture from before it", asked, f"{case.probe.initial_state} at first"
        )
    good: list[str] = []
    doubts: list[str] = []
    for index, start in enumerate(begun):
        until = begun[index + 1].ns if index + 1 < len(begun) else None
        made = next(
            (
                d
                for d in _in_order(case.probe)
                if d.kind is kind and d.ns >= start.ns and (until is None or d.ns < until)
            ),
            None,
        )
        if index == 0 and case.probe.initial_state == word:
            # (Who keeps no record of a start may have it in service from the beginning.)
            since = case.probe.initial_since_ns or start.ns
            if since - start.ns <= limit:
                good.append(f"since {start.known_by}")
            else:
                doubts.append(f"{word} {seconds(since - start.ns, limit)} after {start.known_by} at the latest")
            continue
        if made is not None:
            took = f"{seconds(made.ns - start.ns, limit)} after {start.known_by}"
            if made.ns - start.ns > limit:
                return case.failed(field, f"{word} came late", asked, took, at=made.attempt)
            good.append(took)
            continue
        reason, ended = _not_yet(case, kind, start, until, limit)
        if not reason:
            return case.failed(
                field, f"not {word} in {seconds(ended - start.ns, limit)}", asked, f"since {start.known_by}"
            )
        doubts.append(reason)
    if doubts:
        return case.unclear(field, doubts[0], asked)
    worst = f", the first {good[0]}" if len(good) > 1 else f" {good[0]}"
    return case.passed(field, f"{word}{f' {len(good)} times' if len(good) > 1 else ''}{worst}")


def state(case: Case, wanted: str) -> Finding:
    """Hold the state at the end of the capture against a name."""
    final = case.probe.final_state
    last = max((d.ns for d in case.probe.decisions), default=None)
    reason = end_unseen(case.timeline)
    if not reason and final in ("unknown", ""):
        first = case.probe.initial_state
        dark = hidden(case.probe, NEXT[first], since_ns=last) if first in NEXT else ""
        reason = untyped(case.probe) or dark or "no streak in this capture reached a threshold"
    if not reason and final in NEXT:
        reason = hidden(case.probe, NEXT[final], since_ns=last)
    if reason:
        return case.unclear("state", reason, wanted, final)
    # (Of who may be a kubelet or another checker both words are used.)
    if final == wanted or (case.probe.checker.kind == "unknown" and _SAME_STATE.get(final) == wanted):
        return case.passed("state", f"{final} at the end")
    latest = case.probe.attempts[-1].n if case.probe.attempts else None
    return case.failed("state", f"{final} at the end", wanted, final, at=latest)


_SAME_STATE: Final = {"Ready": "UP", "NotReady": "DOWN", "UP": "Ready", "DOWN": "NotReady"}


def _not_yet(case: Case, kind: DecisionKind, start: Start, until: int | None, limit: int) -> tuple[str, int]:
    """Return why a goal that was not reached settles nothing (empty where it does), and how far the capture shows."""
    if until is not None:
        ended, what = until, "a new container started"
    else:
        ended = max((info.last_ns or 0 for info in case.timeline.captures), default=0)
        what = "the capture ends"
    reason = unseen(case.timeline, case.probe) or hidden(case.probe, kind, since_ns=start.ns)
    if not reason and ended - start.ns <= limit:
        reason = f"{what} {seconds(max(0, ended - start.ns))} after {start.known_by}"
    return reason, ended


def _untold(probe: Probe, kind: DecisionKind) -> str:
    """Say that results which could have led to a decision led to something nobody knows, for want of the type."""
    fatal = Outcome.SUCCESS if kind in GAINS else Outcome.FAILURE
    return untyped(probe) if any(a.outcome is fatal for a in probe.attempts) else ""


def _missing(case: Case, kind: DecisionKind) -> str:
    """Return why a decision that was not seen may have been made all the same."""
    return untyped(case.probe) or unseen(case.timeline, case.probe) or _overlooked(case, kind)


def _overlooked(case: Case, kind: DecisionKind) -> str:
    """Return why a decision may have been made before the capture, or on attempts whose outcome is not known."""
    probe = case.probe
    if not can_decide(probe, kind):
        return ""
    if not starts(case.timeline, probe) and probe.initial_evidence and probe.initial_state in _REACHED_BY.get(kind, ()):
        return f"{probe.initial_state} already at the beginning of the capture ({probe.initial_evidence})"
    return hidden(probe, kind)


def _changed_unseen(probe: Probe) -> str:
    """Return why there may be decisions beside those that were seen: attempts whose outcome, or whose effect, is not known."""
    every = [kind for kind in DecisionKind if can_decide(probe, kind)]
    state, since = probe.initial_state, None
    for made in (*_in_order(probe), None):
        known = state not in ("unknown", "")
        for kind in ([NEXT[state]] if state in NEXT else []) if known else every:
            # (One that is seen a little later would have been no other.)
            if made is None or made.kind is not kind:
                reason = hidden(probe, kind, since_ns=since, until_ns=None if made is None else made.ns)
                if reason:
                    return reason
        if made is not None:
            state, since = _AFTER[made.kind], made.ns
    return ""


_AFTER: Final = {
    DecisionKind.READY: "Ready",
    DecisionKind.NOT_READY: "NotReady",
    DecisionKind.STARTED: "Started",
    DecisionKind.RESTART: "Live",
    DecisionKind.UP: "UP",
    DecisionKind.DOWN: "DOWN",
}
"""The state that a decision leads to: after a Restart, of the new container."""
_REACHED_BY: Final = {
    DecisionKind.READY: ("Ready",),
    DecisionKind.NOT_READY: ("NotReady",),
    DecisionKind.STARTED: ("Started",),
    DecisionKind.UP: ("UP",),
    DecisionKind.DOWN: ("DOWN",),
}


def can_decide(probe: Probe, kind: DecisionKind) -> bool:
    """Say whether a probe may ever make such a decision; one whose type is not known may make all that a kubelet makes."""
    known = DECIDED_BY.get(probe.type)
    if known is not None:
        return kind in known
    if probe.checker.kind != "kubelet":
        if probe.checker.kind == "unknown" and (not probe.checker.could_be or "kubelet" in probe.checker.could_be):
            return True
        return kind in (DecisionKind.UP, DecisionKind.DOWN)
    return kind not in (DecisionKind.UP, DecisionKind.DOWN)


def _kind_of(probe: Probe) -> str:
    return f"a {probe.type.value} probe" if probe.type in DECIDED_BY else f"a {probe.checker.kind} check"


def _in_order(probe: Probe) -> list[Decision]:
    return sorted(probe.decisions, key=lambda d: d.ns)


def _fits(case: Case, made: Sequence[Decision], index: int, item: ExpectedDecision) -> tuple[bool | None, str]:
    """Compare one decision with one expected: (fits, why not); None where its time cannot be told."""
    decision = made[index]
    if decision.kind is not item.kind:
        return False, f"expected {item.kind.value}"
    why = ""
    if item.since_start is not None:
        start = next((s for s in reversed(starts(case.timeline, case.probe)) if s.ns <= decision.ns), None)
        if start is None:
            why = _NO_START
        elif not item.since_start.holds(decision.ns - start.ns):
            took = seconds(decision.ns - start.ns, item.since_start.low, item.since_start.high)
            return False, f"{took} after {start.known_by}, expected {stretch(item.since_start)}"
    if item.since_previous is not None:
        if index == 0 and case.probe.checker.kind == "kubelet" and starts(case.timeline, case.probe):
            return False, "it is the first, and none was before it"
        if index == 0:
            why = why or f"no decision before {decision.kind.value} at #{decision.attempt} is in this capture"
        elif not item.since_previous.holds(since := since_previous(made, index)):
            took = seconds(since, item.since_previous.low, item.since_previous.high)
            before = "it was lost" if since != decision.ns - made[index - 1].ns else made[index - 1].kind.value
            return False, f"{took} after {before}, expected {stretch(item.since_previous)}"
    return (None, why) if why else (True, "")


def since_previous(made: Sequence[Decision], index: int) -> int:
    """Return how long (ns) after the decision before it one was made; where that had been lost meanwhile, after the loss.

    Ready is lost without a decision where the container ends.
    """
    decision, before = made[index], made[index - 1]
    if decision.kind is DecisionKind.READY is before.kind and decision.since_ns is not None:
        return decision.since_ns
    return decision.ns - before.ns


def _expected(wanted: Sequence[ExpectedDecision]) -> str:
    texts = []
    for item in wanted[:_MOST_NAMED]:
        times = []
        if item.since_start is not None:
            times.append(f"{stretch(item.since_start)} after the start")
        if item.since_previous is not None:
            times.append(f"{stretch(item.since_previous)} after the one before")
        texts.append(item.kind.value + (f" ({', '.join(times)})" if times else ""))
    more = f", and {len(wanted) - _MOST_NAMED} more" if len(wanted) > _MOST_NAMED else ""
    return (", ".join(texts) or "no decision") + more


def _observed(made: Sequence[Decision], case: Case) -> str:
    if not made:
        return "no decision"
    first = case.probe.attempts[0].start.ns if case.probe.attempts else made[0].ns
    texts = [f"{d.kind.value} +{(d.ns - first) / SECOND:.3f}" for d in made[:_MOST_NAMED]]
    more = f", and {len(made) - _MOST_NAMED} more" if len(made) > _MOST_NAMED else ""
    return f"{', '.join(texts)}{more} (seconds since the first attempt)"
