"""What to think of a probe, in one sentence: the first thing a reader sees.

The verdict weighs what was decided before what merely failed: a probe that failed before its container was up is
fine, one that took a Ready pod out of service is not.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple

from ..decisions.holes import DOWN_STATES, UP_STATES, gaps
from ..decisions.outages import (
    DOWN,
    UP,
    By,
    Outage,
    container_events,
    downtime,
    outages,
    streak_began,
    without_readiness,
)
from ..decisions.undecided import Undecided, undecided
from ..model.diagnoses import BACK_OFF, GATEWAY, Kind
from ..model.finding import CLIENTS_REFUSED, CLIENTS_UNANSWERED, Finding, Held
from ..model.spec import ProbeType
from ..model.timeline import (
    NO_ADDRESS,
    UNDECLARED,
    UNSEEN,
    Attempt,
    Cause,
    DecisionKind,
    EventKind,
    GapKind,
    Outcome,
    Probe,
    Timeline,
)
from . import words
from .escape import safe
from .numbers import SECOND, count, duration, plain, share, span
from .service import NOTHING_NS, states, told


class Level(IntEnum):
    """How much a probe wants to be looked at."""

    FINE = 0
    UNCLEAR = 1
    WARNING = 2
    TROUBLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to think of one probe."""

    level: Level
    sentence: str
    down_ns: int = 0
    """Time out of service after it had been in service (or of unknown beginning), as far as the capture shows it."""
    seen_ns: int = 0
    """From its first attempt to its last verdict."""
    causes: tuple[Cause, ...] = ()
    """What went wrong, the most frequent first; empty where nothing needs an explanation."""


ENDS: Final = (*DOWN, DecisionKind.RESTART)
"""Decisions that take something out of service."""


NOTHING: Final = "which decided nothing"
SILENT: Final = 3
"""Attempts missing in a row that make a kubelet's silence worth a word in the verdict."""
_TURNED_AWAY = (CLIENTS_REFUSED, CLIENTS_UNANSWERED)
"""Fields of findings that matter more than what the probe itself sees: the Pod is Ready and the service is down."""


def judge(probe: Probe, timeline: Timeline) -> Verdict:
    """Return the verdict on one probe."""
    attempts = probe.attempts
    if not attempts:
        return Verdict(level=Level.UNCLEAR, sentence="no attempt in this capture")
    failed, discarded, unclear = _Tally(probe), _Tally(probe), _Tally(probe)
    for one in attempts:  # (once: each attempt of a long capture is made again whenever it is looked at)
        if one.outcome is Outcome.FAILURE:
            failed.add(one)
        elif one.outcome is Outcome.DISCARDED:
            discarded.add(one)
        elif one.outcome is Outcome.INCONCLUSIVE and not one.streak:
            # (What a checker's own count took is told by what it decided: answers inside TLS that their sizes tell apart.)
            unclear.add(one)
    down_ns, seen_ns = downtime(probe, timeline)
    kinds = Counter(d.kind for d in probe.decisions)
    level, sentence = _decided(probe, timeline, kinds, failed, down_ns, seen_ns)
    if discarded:
        level = max(level, Level.WARNING)
        thrown = f"discarded by the kubelet: {_why(discarded)}"
        if len(discarded) == len(attempts):
            sentence = f"{_of(len(attempts), len(attempts), 'result')} {thrown}"
            if probe.final_state in DOWN_STATES and probe.initial_state in (*DOWN_STATES, "unknown"):
                level, sentence = Level.TROUBLE, f"never Ready: {sentence}"
        else:
            sentence = f"{sentence}; {count(len(discarded), 'result')} {thrown}"
    since = _silent_since(probe)
    near = _near(probe)
    level = max(level, Level.WARNING if since or near else Level.FINE)
    doubt = _not_known(probe, undecided(probe))
    level = max(level, Level.UNCLEAR if doubt else Level.FINE)
    sentence += doubt
    if len(unclear) * 2 > len(attempts):
        level, sentence = _blind(probe, unclear, level)
    if any(one.kind == Kind.NO_LOCAL_PORT for one in probe.diagnoses):
        missing = count(sum(gap.expected for gap in probe.gaps), "attempt")
        why = "no source port left on the node, which the kubelet counts as failures"
        sentence = f"{missing} missing: {why}; what was seen: {sentence}"
        level = Level.TROUBLE
    sentence += (
        near
        + _unprobed(probe)
        + since
        + _uncovered(probe, timeline)
        + _deleted(probe, timeline, gone=bool(kinds[DecisionKind.NOT_READY]))
    )
    if UNDECLARED in probe.notes and probe.target.pod is not None:
        level = max(level, Level.WARNING)
        sentence = f"{sentence}; the spec given for this address declares no such probe"
    told: Counter[Cause] = Counter()
    if level >= Level.WARNING:
        told = failed.causes + discarded.causes
    elif level is Level.UNCLEAR:
        told = unclear.causes
    causes = tuple(cause for cause, _ in told.most_common())
    if any(finding.probe == probe.id and _turned_away(finding) for finding in timeline.findings):
        away = "clients are turned away while it is Ready (see findings)"
        sentence = f"{sentence}; {away}" if level is Level.TROUBLE else f"{away}; {sentence}"
        level = max(level, Level.WARNING)
    return Verdict(level=level, sentence=sentence, down_ns=down_ns, seen_ns=seen_ns, causes=causes)


def _blind(probe: Probe, unclear: _Tally, level: Level) -> tuple[Level, str]:
    """Say of a probe most of whose results are not known what is: its state, where it failed often enough at the end."""
    blind = f"{_of(len(unclear), len(probe.attempts))} inconclusive: {_why(unclear)}"
    last = streak_began(probe, probe.attempts[-1].start.ns + 1)
    if last is None or probe.final_state not in DOWN_STATES:
        return max(level, Level.UNCLEAR), f"cannot tell: {blind}"
    streak = _Tally(probe, (a for a in probe.attempts if a.start.ns >= last.start.ns))
    why = f"{count(len(streak), 'attempt')} in a row failed: {_why(streak)}"
    return Level.TROUBLE, f"{safe(probe.final_state)} at the end, {why}; before that not known: {blind}"


def _not_known(probe: Probe, doubt: Sequence[Undecided]) -> str:
    """Return for how long the state is not known, because so many attempts in a row may have changed it."""
    if not doubt:
        return ""
    up, down = states(probe)
    last = probe.attempts[-1].end_ns
    away = span(sum((last if one.end_ns is None else one.end_ns) - one.start_ns for one in doubt))
    longest = max(doubt, key=lambda one: one.inconclusive + one.missing)
    unknown = [f"{n} {what}" for n, what in ((longest.inconclusive, "inconclusive"), (longest.missing, "missing")) if n]
    row = count(longest.row, "attempt") + (" in a row" if longest.row > 1 else "")
    name, state, result = ("failureThreshold", down, "failure") if longest.was else ("successThreshold", up, "success")
    needed = probe.thresholds.get(name, (1, ""))[0]
    takes = f"1 {result} makes" if needed == 1 else f"{needed} {result}{'es' if result == 'success' else 's'} make"
    times = "" if len(doubt) == 1 else f" {_times(len(doubt))}, in all"
    return f"; state not known{times} for {away}: of {row} {' and '.join(unknown)}, where {takes} it {state}"


def _near(probe: Probe) -> str:
    """Return that successes nearly timed out: the next may fail, and nothing but its latency tells before."""
    limit = words.timeout_ns(probe)
    slow = [one.latency_ns for one in probe.attempts if words.nearly_late(probe, one)]
    if not slow or probe.spec is None:
        return ""
    return f"; {count(len(slow), 'success', 'successes')} nearly timed out: at most {duration(max(slow))} of {plain(limit / SECOND)} s"


def _unprobed(probe: Probe) -> str:
    """Return for how long nobody looked because the kubelet did not: what the attempts say is silent on that."""
    away = [
        gap
        for gap in probe.gaps
        if gap.reason in (UNSEEN, NO_ADDRESS) or (gap.expected >= SILENT and gap.kind is GapKind.KUBELET_RESTARTED)
    ]
    if not away:
        return ""
    longest = max(gap.end_ns - gap.start_ns for gap in away)
    times = "" if len(away) == 1 else f" {_times(len(away))}, at most"
    return f"; not probed{times} for {span(longest)}: {safe(away[0].reason)}"


def _silent_since(probe: Probe) -> str:
    """Return for how long a probe was not seen at the end, where nothing says that it has to be silent: its state may have changed."""
    last = probe.last_gap
    if last is None or last.expected < SILENT or last.kind is not GapKind.UNEXPLAINED:
        return ""
    return f"; not probed in the last {span(last.end_ns - last.start_ns)}, so its present state is not known"


def _uncovered(probe: Probe, timeline: Timeline) -> str:
    """Return for how long the capture covers nothing between its attempts: a state before says nothing of one behind."""
    between = [one for one in gaps(probe, timeline) if one.start_ns < probe.attempts[-1].start.ns]
    away = sum(one.end_ns - one.start_ns for one in between)
    what = "a gap of" if len(between) == 1 else f"{len(between)} gaps, in all"
    return f"; the capture has {what} {span(away)}" if away >= SECOND else ""


def _deleted(probe: Probe, timeline: Timeline, *, gone: bool) -> str:
    """Return that the Pod was being deleted, where nothing else says so: its probes go on or stop by design."""
    ends = any(event.kind is EventKind.POD_TERMINATING for event in container_events(probe, timeline))
    last = probe.last_gap
    if not ends and last is not None and last.kind is GapKind.POD_DELETED:
        return f"; not probed in the last {span(last.end_ns - last.start_ns)}: {safe(last.reason)}"
    return "; the Pod was being deleted at the end" if ends and not gone else ""


def _turned_away(finding: Finding) -> bool:
    return finding.held is Held.FAIL and finding.field in _TURNED_AWAY


def _decided(
    probe: Probe, timeline: Timeline, kinds: Counter[DecisionKind], failed: _Tally, down_ns: int, seen_ns: int
) -> tuple[Level, str]:
    restarts = kinds[DecisionKind.RESTART]
    gone = outages(probe, timeline)
    if restarts:
        parts = _parted(probe, gone)
        away = _away(*killed_ns, about=True) if (killed_ns := without_readiness(probe, timeline)) else ""
        return (
            Level.TROUBLE,
            f"restarted {_times(restarts)}{_loop(probe)}: {_why(parts.guilty)}{away}{_also(parts, _little(probe))}",
        )
    if gone:
        return _went_down(probe, timeline, gone, down_ns, seen_ns)
    state = probe.final_state
    if probe.type is ProbeType.STARTUP:
        return _startup(probe, kinds, failed)
    if state in DOWN_STATES and failed and not kinds[DecisionKind.READY] and not kinds[DecisionKind.UP]:
        never = "never" if probe.initial_state in (*DOWN_STATES, "unknown") else "not"
        word = "Ready" if state == "NotReady" else "UP"
        return (
            Level.TROUBLE,
            f"{never} {word}{_loop(probe)}: {_of(len(failed), len(probe.attempts))} failed: {_why(failed)}",
        )
    return _held(probe, timeline, failed)


def _went_down(
    probe: Probe, timeline: Timeline, gone: Sequence[Outage], down_ns: int, seen_ns: int
) -> tuple[Level, str]:
    _, word = states(probe)
    end = ", and still so at the end" if gone[-1].end_ns is None else ""
    own = sum(one.by is By.DECISION for one in gone)
    parts = _parted(probe, gone)
    why = (_why(parts.guilty) or _unseen(gone)) if own else told(gone)
    if 0 < own < len(gone):
        why = f"{why} ({_times(own)}); {told(gone)} ({_times(len(gone) - own)})"
    ending = [e for e in container_events(probe, timeline) if e.kind is EventKind.POD_TERMINATING]
    if any(e.ns <= gone[0].start_ns for e in ending):
        return (
            Level.FINE,
            f"{word} {_times(len(gone))} while the pod was terminating, as it should be: {why}",
        )
    first = streak_began(probe, gone[0].start_ns)
    if end and first is not None and any(e.earliest_ns <= first.start.ns for e in ending):
        return Level.FINE, f"{word} {_times(len(gone))} when the pod was deleted, as it seems, and so to the end: {why}"
    unseen = any(one.began_in is not None or one.ended_in is not None for one in gone)
    away = _away(down_ns, seen_ns, about=own < len(gone) or unseen)
    if all(one.doubtful for one in gone):
        # Whether it was, and for how long, no frame shows.
        return Level.WARNING, f"{word} {_times(len(gone))}, as it seems: {why}{_also(parts, _little(probe))}"
    least = "at least " if any(one.was for one in undecided(probe)) else ""
    return (
        Level.TROUBLE,
        f"{word} {least}{_times(len(gone))}{_loop(probe)}{end}: {why}{away}{_also(parts, _little(probe))}",
    )


def _unseen(gone: Sequence[Outage]) -> str:
    """Return why nothing tells what took it out of service: no failure that did so was captured."""
    dark = any(one.began_in is not None and one.began_in.gap for one in gone)
    return "what failed was not captured" if dark else "on attempts whose outcome is not known"


def _away(down_ns: int, seen_ns: int, *, about: bool) -> str:
    if down_ns < NOTHING_NS:
        return ""  # (It ended with the capture.)
    return f"; out of service {'about ' if about else ''}{span(down_ns)} of {span(seen_ns)} ({share(down_ns, seen_ns)})"


class _Parts(NamedTuple):
    """Failed attempts of a probe that took its target out of service, by what they did to it."""

    guilty: _Tally
    """Those in a row that decided so, and those that kept it so."""
    out: _Tally
    """While something else had taken it out of service: a container that comes up fails like that."""
    before: _Tally
    """Before it was up for the first time."""
    rest: _Tally
    """Too few in a row."""


def _parted(probe: Probe, gone: Sequence[Outage]) -> _Parts:
    guilty, out, before, rest = parts = _Parts(*(_Tally(probe, ()) for _ in _Parts._fields))
    deciding = {d.attempt for d in probe.decisions if d.kind in ENDS}
    # (What was decided where outcomes are not known shows in the row that told it.)
    showing = {one.start_ns for one in gone if one.began_in is not None}
    ups = [d.ns for d in probe.decisions if d.kind in UP]
    first_up = min(ups, default=0) if probe.initial_state not in UP_STATES else 0
    left = deque(sorted(gone, key=lambda one: one.start_ns))
    run: list[tuple[Attempt, _Tally]] = []
    """Failures in a row, and where they belong unless the row decides."""
    for attempt in probe.attempts:
        if attempt.outcome is not Outcome.FAILURE:
            if attempt.outcome is Outcome.SUCCESS:
                _settle(run)
            continue
        start = attempt.start.ns
        while left and left[0].end_ns is not None and left[0].end_ns <= start:
            left.popleft()
        where = before if attempt.end_ns <= first_up else rest
        if left and left[0].start_ns <= start:
            where = guilty if left[0].by is By.DECISION else out
        run.append((attempt, where))
        if attempt.n in deciding or attempt.end_ns in showing:
            run = [(one, guilty) for one, _ in run]
            _settle(run)
    _settle(run)
    return parts


def _settle(run: list[tuple[Attempt, _Tally]]) -> None:
    for attempt, tally in run:
        tally.add(attempt)
    run.clear()


def _also(parts: _Parts, rest: str) -> str:
    """Return what else failed and why, but for what failed alike.

    `; also failed: 8 while out of service (refused)`, `; 1 more failure decided nothing (503): fewer than 3 in a row`.
    """
    text = f"; also failed: {len(parts.out)} while out of service ({_why(parts.out)})" if parts.out else ""
    if parts.rest and parts.rest.results.keys() - parts.guilty.results.keys() - parts.out.results.keys():
        reason = rest.removeprefix("and ")
        text += f"; {count(len(parts.rest), 'more failure')} decided nothing ({_why(parts.rest)})"
        text += f": {reason}" if reason != NOTHING else ""
    return text


def _loop(probe: Probe) -> str:
    killed = {d.attempt for d in probe.decisions if d.kind is DecisionKind.RESTART}
    young = next((one for one in probe.diagnoses if one.kind == Kind.KILLED_WHILE_STARTING), None)
    if young is not None and killed and killed <= set(young.attempts):
        return " before it was up"
    loop = next((one for one in probe.diagnoses if one.kind == Kind.RESTART_LOOP), None)
    if loop is None:
        return ""
    return " in a restart loop" + (" (CrashLoopBackOff)" if BACK_OFF in loop.sentence else "")


def _startup(probe: Probe, kinds: Counter[DecisionKind], failed: _Tally) -> tuple[Level, str]:
    started = [d for d in probe.decisions if d.kind is DecisionKind.STARTED]
    total = len(probe.attempts)
    if started:
        last = started[-1]
        before = sum(a.outcome is Outcome.FAILURE and a.end_ns <= last.ns for a in probe.attempts)
        times = "" if kinds[DecisionKind.STARTED] == 1 else f" {_times(kinds[DecisionKind.STARTED])}, the last"
        text = f"Started{times} {span(last.ns - probe.attempts[0].start.ns)} after the first attempt"
        return Level.FINE, text + (f"; {before} failed while it started: {_why(failed)}" if before else "")
    if failed:
        return Level.WARNING, f"never Started in this capture: {_of(len(failed), total)} failed: {_why(failed)}"
    return Level.FINE, _succeeded(probe)


def _held(probe: Probe, timeline: Timeline, failed: _Tally) -> tuple[Level, str]:
    """No state was lost: say since when it holds, and what nevertheless failed."""
    ups = [d for d in probe.decisions if d.kind in UP]
    total = len(probe.attempts)
    ending = _while_ending(probe, timeline)
    if ups:
        first = probe.attempts[0].start.ns
        starting = while_starting(probe)
        blind = [one for one in gaps(probe, timeline) if one.start_ns < probe.attempts[-1].start.ns]
        dark = [(one.end_ns, one.known_ns) for one in blind]
        bad = [a for a in probe.attempts if a.outcome is Outcome.FAILURE and a.n not in starting and a.n not in ending]
        unsettled = _Tally(probe, (a for a in bad if any(low <= a.start.ns < high for low, high in dark)))
        late = _Tally(probe, (a for a in bad if not any(low <= a.start.ns < high for low, high in dark)))
        text = f"{safe(ups[0].after)} {_after(ups[0].ns - first)}"
        # (Where nobody looked for a while it may have been lost and won again.)
        if not unsettled and not blind and not undecided(probe):
            text += f" and {'was so when last probed' if _silent_since(probe) else f'stayed {safe(ups[0].after)}'}"
        elif probe.final_state in (*UP_STATES, *DOWN_STATES):
            text += f" and {safe(probe.final_state)} at the end"
        if unsettled:
            failed_there = count(len(unsettled), "attempt")
            text += f"; {failed_there} failed right behind a gap in the capture, where the state is not known"
            text += f": {_why(unsettled)}" if not late else ""
        if late:
            few = f"{_of(len(late), len(probe.attempts))} failed later, {_little(probe)}"
            return Level.WARNING, f"{text}; {few}: {_why(late)}"
        if unsettled:
            return Level.WARNING, text
        begun = [
            e.ns for e in container_events(probe, timeline) if e.kind is EventKind.CONTAINER_STARTED and not e.doubtful
        ]
        outage = bool(starting) and probe.type is ProbeType.READINESS and min(begun, default=ups[0].ns + 1) > ups[0].ns
        for numbers, when in ((starting, "" if outage else "while it started"), (ending, "in its last moments")):
            some = _Tally(probe, (a for a in probe.attempts if a.outcome is Outcome.FAILURE and a.n in numbers))
            text += f"; {count(len(some), 'attempt')} failed {when}: {_why(some)}" if some and when else ""
            if some and not when:
                text += f"; {count(len(some), 'attempt')} failed before that, from the capture's beginning on ({_why(some)}): "
                text += f"whether it was {safe(ups[0].after)} earlier is not known"
        return Level.WARNING if outage else Level.FINE, text
    state = safe(probe.final_state) if probe.final_state not in ("unknown", "") else ""
    if state and probe.initial_since_ns is not None:
        return _since(probe, probe.initial_since_ns, failed)
    unseen = any(one.start_ns < probe.attempts[-1].start.ns for one in gaps(probe, timeline))
    when = "at the end" if undecided(probe) else "at the beginning and at the end" if unseen else "throughout"
    if not failed:
        return Level.FINE, f"{state} {when}: {_succeeded(probe)}" if state else _succeeded(probe)
    text, why = f"{_of(len(failed), total)} failed", _why(failed)
    if state and all(a.n in ending for a in probe.attempts if a.outcome is Outcome.FAILURE):
        last = f"{count(len(failed), 'attempt')} failed in its last moments"
        return Level.FINE, f"{state} {when}; {last}: {why}"
    if len(failed) == total:
        return Level.TROUBLE, f"{text}: {why}"
    if not state:
        return Level.WARNING, f"{text}: {why}"
    if (number := _ended_behind(probe, timeline)) is not None:
        unknown = "nothing tells whether this probe had it killed: its failureThreshold is not known (--spec)"
        by = f"its container ended after #{number}, and {unknown}"
        return Level.WARNING, f"{text}: {why}; {by}"
    # (Where the number is but presumed, so is the state that hangs on it.)
    held = "" if words.presumed(probe) else f"{state} {when}: "
    return Level.WARNING, f"{held}{text}, {_little(probe)}: {why}"


def _ended_behind(probe: Probe, timeline: Timeline) -> int | None:
    """Return the failure of an undeclared liveness probe behind which its container ended before it ran again; None where none is."""
    if probe.type is not ProbeType.LIVENESS or probe.spec is not None:
        return None
    begun = [e.ns for e in container_events(probe, timeline) if e.kind is EventKind.CONTAINER_STARTED]
    for before, after in pairwise(probe.attempts) if begun else ():
        if before.outcome is Outcome.FAILURE and any(before.end_ns < ns <= after.start.ns for ns in begun):
            return before.n
    return None


def _since(probe: Probe, since_ns: int, failed: _Tally) -> tuple[Level, str]:
    """Say since when a state is known that no decision shows: what failed before may have been the end of an outage."""
    late = sum(a.outcome is Outcome.FAILURE and a.start.ns > since_ns for a in probe.attempts)
    text = f"{safe(probe.final_state)} {_after(since_ns - probe.attempts[0].start.ns)} at the latest"
    if len(failed) > late:
        text += f"; unknown before that: {count(len(failed) - late, 'attempt')} failed"
    if late:
        text += f"; {count(late, 'attempt')} failed later, {_little(probe)}"
    return (Level.WARNING, f"{text}: {_why(failed)}") if failed else (Level.FINE, text)


def _little(probe: Probe) -> str:
    """Say of failures why they did not count, as the end of a clause; that they were too few needs a threshold that is known."""
    if words.presumed(probe):
        return "and nothing shows how many in a row it takes"
    needed = next((probe.thresholds[name][0] for name in ("failureThreshold", "fall") if name in probe.thresholds), 0)
    if needed == 1:
        return NOTHING
    return f"fewer than {needed} in a row" if needed else "too few in a row"


def while_starting(probe: Probe) -> set[int]:
    """Return the numbers of the attempts that failed right before a Ready, or before the first at all: a container comes up like that.

    Several successes may be needed in a row: fewer of them leave it starting.
    """
    starting: set[int] = set()
    run: list[int] = []
    rising = False
    first = probe.initial_state not in UP_STATES
    """Whether it was never up so far."""
    deciding = {d.attempt for d in probe.decisions if d.kind in UP}
    for attempt in probe.attempts:
        if attempt.n in deciding:
            starting.update(run)
            run, first = [], False
        elif attempt.outcome is Outcome.SUCCESS:
            rising = True
        else:
            run = [*(run if first or not rising else ()), attempt.n]
            rising = False
    return starting


def _while_ending(probe: Probe, timeline: Timeline) -> set[int]:
    """Return the numbers of the attempts since the Pod was being deleted: that they fail at last is how a Pod ends."""
    events = container_events(probe, timeline)
    ends = (event.earliest_ns for event in events if event.kind is EventKind.POD_TERMINATING)
    since = min(ends, default=None)
    return set() if since is None else {a.n for a in probe.attempts if a.start.ns >= since}


def _after(ns: int) -> str:
    return "at the first attempt" if ns < SECOND // 2 else f"{span(ns)} after the first attempt"


def _succeeded(probe: Probe) -> str:
    good = sum(a.outcome is Outcome.SUCCESS for a in probe.attempts)
    return f"{_of(good, len(probe.attempts))} succeeded"


def _of(some: int, total: int, what: str = "attempt") -> str:
    """Return `2 of 3 attempts`, `all 3 attempts` or `the only attempt`."""
    if some < total:
        return f"{some} of {count(total, what)}"
    return f"the only {what}" if total == 1 else f"all {count(total, what)}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


class _Tally:
    """Some attempts of a probe, counted: there may be very many of them."""

    def __init__(self, probe: Probe, attempts: Iterable[Attempt] = ()) -> None:
        self.results: Counter[str] = Counter()
        self.causes: Counter[Cause] = Counter()
        self.first: Attempt | None = None
        self._handler = probe.handler
        for attempt in attempts:
            self.add(attempt)

    def add(self, attempt: Attempt) -> None:
        self.first = self.first or attempt
        self.results[words.result(attempt, self._handler)] += 1
        self.causes[attempt.cause] += 1

    def __len__(self) -> int:
        return self.causes.total()


def _why(tally: _Tally) -> str:
    """Return the results in words: `503`, `28 no answer in time, 4 refused`."""
    counts, first = tally.results, tally.first
    if len(counts) == 1 and first is not None:
        word = next(iter(counts))
        who = "a gateway" if first.status in GATEWAY else "the application"
        return f"{who} answers {word}" if first.cause is Cause.STATUS and first.status is not None else word
    top = [words.counted(number, word) for word, number in counts.most_common(3)]
    return ", ".join(top) + (" and others" if len(counts) > 3 else "")
