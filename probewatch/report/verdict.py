"""What to think of a probe, in one sentence: the first thing a reader sees.

The verdict weighs what was decided before what merely failed: a probe that failed before its container was up is
fine, one that took a Ready pod out of service is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from ..decisions.holes import DOWN_STATES, UP_STATES, Hole, gaps
from ..decisions.outages import UP, By, Outage, container_events, downtime, outages, streak_began, without_readiness
from ..decisions.undecided import Undecided, undecided
from ..model.diagnoses import BACK_OFF, Kind
from ..model.finding import CLIENTS_REFUSED, CLIENTS_UNANSWERED, Finding, Held
from ..model.spec import ProbeType
from ..model.timeline import (
    NO_ADDRESS,
    UNDECLARED,
    UNSEEN,
    Cause,
    Decision,
    DecisionKind,
    EventKind,
    GapKind,
    Outcome,
    Probe,
    Timeline,
)
from ..model.units import SECOND
from . import words
from .escape import safe
from .failures import Parts, Tally, around, ended_behind, parted, while_ending, while_starting
from .numbers import count, duration, plain, share, span
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


NOTHING: Final = "which decided nothing"
SILENT: Final = 3
"""Attempts missing in a row that make a kubelet's silence worth a word in the verdict."""
_TURNED_AWAY = (CLIENTS_REFUSED, CLIENTS_UNANSWERED)
"""Fields of findings that matter more than what the probe itself sees: the Pod is Ready and the service is down."""


class _Case(NamedTuple):
    """What a verdict is made of, worked out once."""

    probe: Probe
    timeline: Timeline
    failed: Tally
    gone: Sequence[Outage]
    """When its target was out of service."""
    doubt: Sequence[Undecided]
    """When its state is not known, because so many attempts in a row may have changed it."""
    blind: Sequence[Hole]
    """When nothing was captured, between its attempts."""
    down_ns: int
    seen_ns: int

    def decided(self, kind: DecisionKind) -> int:
        """Return how often it decided this."""
        return sum(decision.kind is kind for decision in self.probe.decisions)


def judge(probe: Probe, timeline: Timeline) -> Verdict:
    """Return the verdict on one probe."""
    attempts = probe.attempts
    if not attempts:
        return Verdict(level=Level.UNCLEAR, sentence="no attempt in this capture")
    failed, discarded, unclear = Tally(probe), Tally(probe), Tally(probe)
    for one in attempts:  # (once: each attempt of a long capture is made again whenever it is looked at)
        if one.outcome is Outcome.FAILURE:
            failed.add(one)
        elif one.outcome is Outcome.DISCARDED:
            discarded.add(one)
        elif one.outcome is Outcome.INCONCLUSIVE and not one.streak:
            # (What a checker's own count took is told by what it decided: answers inside TLS that their sizes tell apart.)
            unclear.add(one)
    blind = [one for one in gaps(probe, timeline) if one.start_ns < attempts[-1].start.ns]
    away = downtime(probe, timeline)
    case = _Case(probe, timeline, failed, outages(probe, timeline), undecided(probe), blind, *away)
    level, sentence = _decided(case)
    if discarded:
        level, sentence = _thrown(case, discarded, level, sentence)
    since, near, doubt = _silent_since(probe), _near(probe), _not_known(case)
    level = max(level, Level.WARNING if since or near else Level.UNCLEAR if doubt else Level.FINE)
    sentence += doubt
    if len(unclear) * 2 > len(attempts):
        level, sentence = _blind(probe, unclear, level)
    if any(one.kind == Kind.NO_LOCAL_PORT for one in probe.diagnoses):
        level, sentence = Level.TROUBLE, _no_port(probe, sentence)
    sentence += near + _unprobed(probe) + since + _uncovered(case) + _deleted(case)
    if UNDECLARED in probe.notes and probe.target.pod is not None:
        level = max(level, Level.WARNING)
        sentence = f"{sentence}; the spec given for this address declares no such probe"
    causes: Counter[Cause] = Counter()
    if level >= Level.WARNING:
        causes = failed.causes + discarded.causes
    elif level is Level.UNCLEAR:
        causes = unclear.causes
    if any(finding.probe == probe.id and _turned_away(finding) for finding in timeline.findings):
        away_words = "clients are turned away while it is Ready (see findings)"
        sentence = f"{sentence}; {away_words}" if level is Level.TROUBLE else f"{away_words}; {sentence}"
        level = max(level, Level.WARNING)
    told = tuple(cause for cause, _ in causes.most_common())
    return Verdict(level=level, sentence=sentence, down_ns=case.down_ns, seen_ns=case.seen_ns, causes=told)


def _thrown(case: _Case, discarded: Tally, level: Level, sentence: str) -> tuple[Level, str]:
    """Say what the kubelet discarded, beside what the rest decided; where it discarded all, the state stays as it began."""
    probe, level = case.probe, max(level, Level.WARNING)
    total = len(probe.attempts)
    thrown = f"discarded by the kubelet: {discarded.why}"
    if len(discarded) < total:
        return level, f"{sentence}; {count(len(discarded), 'result')} {thrown}"
    sentence = f"{_of(total, total, 'result')} {thrown}"
    if probe.final_state in DOWN_STATES and probe.initial_state in (*DOWN_STATES, "unknown"):
        return Level.TROUBLE, f"never Ready: {sentence}"
    return level, sentence


def _no_port(probe: Probe, seen: str) -> str:
    """Say that attempts are missing because the node had no port for them; what was `seen` says less than that."""
    missing = count(sum(gap.expected for gap in probe.gaps), "attempt")
    why = "no source port left on the node, which the kubelet counts as failures"
    return f"{missing} missing: {why}; what was seen: {seen}"


def _blind(probe: Probe, unclear: Tally, level: Level) -> tuple[Level, str]:
    """Say of a probe most of whose results are not known what is: its state, where it failed often enough at the end."""
    blind = f"{_of(len(unclear), len(probe.attempts))} inconclusive: {unclear.why}"
    last = streak_began(probe, probe.attempts[-1].start.ns + 1)
    if last is None or probe.final_state not in DOWN_STATES:
        return max(level, Level.UNCLEAR), f"cannot tell: {blind}"
    streak = Tally(probe, (a for a in probe.attempts if a.start.ns >= last.start.ns))
    why = f"{count(len(streak), 'attempt')} in a row failed: {streak.why}"
    return Level.TROUBLE, f"{safe(probe.final_state)} at the end, {why}; before that not known: {blind}"


def _not_known(case: _Case) -> str:
    """Return for how long the state is not known, because so many attempts in a row may have changed it."""
    probe, doubt = case.probe, case.doubt
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


def _uncovered(case: _Case) -> str:
    """Return for how long the capture covers nothing between its attempts: a state before says nothing of one behind."""
    away = sum(one.end_ns - one.start_ns for one in case.blind)
    what = "a gap of" if len(case.blind) == 1 else f"{len(case.blind)} gaps, in all"
    return f"; the capture has {what} {span(away)}" if away >= SECOND else ""


def _deleted(case: _Case) -> str:
    """Return that the Pod was being deleted, where nothing else says so: its probes go on or stop by design."""
    ends = any(event.kind is EventKind.POD_TERMINATING for event in container_events(case.probe, case.timeline))
    last = case.probe.last_gap
    if not ends and last is not None and last.kind is GapKind.POD_DELETED:
        return f"; not probed in the last {span(last.end_ns - last.start_ns)}: {safe(last.reason)}"
    return "; the Pod was being deleted at the end" if ends and not case.decided(DecisionKind.NOT_READY) else ""


def _turned_away(finding: Finding) -> bool:
    return finding.held is Held.FAIL and finding.field in _TURNED_AWAY


def _decided(case: _Case) -> tuple[Level, str]:
    """Say what was decided, the gravest of it; where nothing was, what held."""
    probe, failed = case.probe, case.failed
    if case.decided(DecisionKind.RESTART):
        return _restarted(case)
    if case.gone:
        return _went_down(case)
    if probe.type is ProbeType.STARTUP:
        return _startup(probe, failed)
    rose = any(decision.kind in UP for decision in probe.decisions)
    if probe.final_state in DOWN_STATES and failed and not rose:
        known = probe.initial_state in (*DOWN_STATES, "unknown") and probe.initial_since_ns is None
        never = "never" if known else "not"
        word = "Ready" if probe.final_state == "NotReady" else "UP"
        return (
            Level.TROUBLE,
            f"{never} {word}{_loop(probe)}: {_of(len(failed), len(probe.attempts))} failed: {failed.why}",
        )
    return _held(case)


def _restarted(case: _Case) -> tuple[Level, str]:
    """Say of a probe that had its container restarted how often, why, and for how long nothing answered."""
    probe = case.probe
    parts = parted(probe, case.gone)
    away = _away(*killed_ns, about=True) if (killed_ns := without_readiness(probe, case.timeline)) else ""
    times = _times(case.decided(DecisionKind.RESTART))
    return (
        Level.TROUBLE,
        f"restarted {times}{_loop(probe)}: {parts.guilty.why}{away}{_also(parts, _little(probe))}",
    )


def _went_down(case: _Case) -> tuple[Level, str]:
    """Say of what was out of service how often, why and for how long; while its Pod ends that is as it should be."""
    probe, gone = case.probe, case.gone
    _, word = states(probe)
    down = f"{word} {_times(len(gone))}"
    end = ", and still so at the end" if gone[-1].end_ns is None else ""
    parts = parted(probe, gone)
    why = _what_took_it(gone, parts)
    ending = [e for e in container_events(probe, case.timeline) if e.kind is EventKind.POD_TERMINATING]
    if any(e.ns <= gone[0].start_ns for e in ending):
        return Level.FINE, f"{down} while the pod was terminating, as it should be: {why}"
    first = streak_began(probe, gone[0].start_ns)
    if end and first is not None and any(e.earliest_ns <= first.start.ns for e in ending):
        return Level.FINE, f"{down} when the pod was deleted, as it seems, and so to the end: {why}"
    also = _also(parts, _little(probe))
    if all(one.doubtful for one in gone):
        # Whether it was, and for how long, no frame shows.
        return Level.WARNING, f"{down}, as it seems: {why}{also}"
    about = any(one.by is not By.DECISION or one.began_in is not None or one.ended_in is not None for one in gone)
    away = _away(case.down_ns, case.seen_ns, about=about)
    least = "at least " if any(one.was for one in case.doubt) else ""
    return Level.TROUBLE, f"{word} {least}{_times(len(gone))}{_loop(probe)}{end}: {why}{away}{also}"


def _what_took_it(gone: Sequence[Outage], parts: Parts) -> str:
    """Return what took it out of service: what failed in a row, and what else did."""
    own = sum(one.by is By.DECISION for one in gone)
    if not own:
        return told(gone)
    why = parts.guilty.why or _unseen(gone)
    return why if own == len(gone) else f"{why} ({_times(own)}); {told(gone)} ({_times(len(gone) - own)})"


def _unseen(gone: Sequence[Outage]) -> str:
    """Return why nothing tells what took it out of service: no failure that did so was captured."""
    dark = any(one.began_in is not None and one.began_in.gap for one in gone)
    return "what failed was not captured" if dark else "on attempts whose outcome is not known"


def _away(down_ns: int, seen_ns: int, *, about: bool) -> str:
    if down_ns < NOTHING_NS:
        return ""  # (It ended with the capture.)
    return f"; out of service {'about ' if about else ''}{span(down_ns)} of {span(seen_ns)} ({share(down_ns, seen_ns)})"


def _also(parts: Parts, rest: str) -> str:
    """Return what else failed and why, but for what failed alike.

    `; also failed: 8 while out of service (refused)`, `; 1 more failure decided nothing (503): fewer than 3 in a row`.
    """
    text = f"; also failed: {len(parts.out)} while out of service ({parts.out.why})" if parts.out else ""
    if parts.rest and parts.rest.results.keys() - parts.guilty.results.keys() - parts.out.results.keys():
        reason = rest.removeprefix("and ")
        text += f"; {count(len(parts.rest), 'more failure')} decided nothing ({parts.rest.why})"
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


def _startup(probe: Probe, failed: Tally) -> tuple[Level, str]:
    started = [d for d in probe.decisions if d.kind is DecisionKind.STARTED]
    total = len(probe.attempts)
    if started:
        last = started[-1]
        before = sum(a.outcome is Outcome.FAILURE and a.end_ns <= last.ns for a in probe.attempts)
        times = "" if len(started) == 1 else f" {_times(len(started))}, the last"
        text = f"Started{times} {span(last.ns - probe.attempts[0].start.ns)} after the first attempt"
        return Level.FINE, text + (f"; {before} failed while it started: {failed.why}" if before else "")
    if failed:
        return Level.WARNING, f"never Started in this capture: {_of(len(failed), total)} failed: {failed.why}"
    return Level.FINE, _succeeded(probe)


def _held(case: _Case) -> tuple[Level, str]:
    """No state was lost: say since when it holds, and what nevertheless failed."""
    probe = case.probe
    rose = next((decision for decision in probe.decisions if decision.kind in UP), None)
    if rose is not None:
        return _came_up(case, rose)
    state = safe(probe.final_state) if probe.final_state not in ("unknown", "") else ""
    if state and probe.initial_since_ns is not None:
        return _since(probe, probe.initial_since_ns, case.failed)
    if not state:
        return _stateless(case)
    return _throughout(case, state)


def _came_up(case: _Case, rose: Decision) -> tuple[Level, str]:
    """Say when it came up, what is known of its state since, and what failed before and after."""
    probe, up = case.probe, safe(rose.after)
    starting, ending, unsettled, late = around(probe, case.timeline, case.blind)
    text = f"{up} {_after(rose.ns - probe.attempts[0].start.ns)}"
    # (Where nobody looked for a while it may have been lost and won again.)
    if not unsettled and not case.blind and not case.doubt:
        text += f" and {'was so when last probed' if _silent_since(probe) else f'stayed {up}'}"
    elif probe.final_state in (*UP_STATES, *DOWN_STATES):
        text += f" and {safe(probe.final_state)} at the end"
    if unsettled:
        text += f"; {_failed(unsettled)} right behind a gap in the capture, where the state is not known"
        text += f": {unsettled.why}" if not late else ""
    if late:
        few = f"{_of(len(late), len(probe.attempts))} failed later, {_little(probe)}"
        return Level.WARNING, f"{text}; {few}: {late.why}"
    if unsettled:
        return Level.WARNING, text
    earlier = _earlier(case, rose)
    if starting and earlier:
        text += f"; {_failed(starting)} before that, from the capture's beginning on ({starting.why}): "
        text += f"whether it was {up} earlier is not known"
    elif starting:
        text += f"; {_failed(starting)} while it started: {starting.why}"
    if ending:
        text += f"; {_failed(ending)} in its last moments: {ending.why}"
    return Level.WARNING if earlier else Level.FINE, text


def _earlier(case: _Case, rose: Decision) -> bool:
    """Tell whether it may have been Ready earlier: it came back from failures, and no beginning of a container explains them."""
    probe = case.probe
    events = container_events(probe, case.timeline)
    begun = any(e.kind is EventKind.CONTAINER_STARTED and not e.doubtful and e.ns <= rose.ns for e in events)
    return probe.type is ProbeType.READINESS and not begun and bool(while_starting(probe))


def _failed(tally: Tally) -> str:
    return f"{count(len(tally), 'attempt')} failed"


def _stateless(case: _Case) -> tuple[Level, str]:
    """Say of a probe of whose state nothing is known what came of its attempts."""
    failed, total = case.failed, len(case.probe.attempts)
    if not failed:
        return Level.FINE, _succeeded(case.probe)
    return (
        Level.TROUBLE if len(failed) == total else Level.WARNING,
        f"{_of(len(failed), total)} failed: {failed.why}",
    )


def _throughout(case: _Case, state: str) -> tuple[Level, str]:
    """Say of a state that was there from the beginning on when it held, and what failed meanwhile."""
    probe, failed, total = case.probe, case.failed, len(case.probe.attempts)
    when = "at the end" if case.doubt else "at the beginning and at the end" if case.blind else "throughout"
    if not failed:
        return Level.FINE, f"{state} {when}: {_succeeded(probe)}"
    ending = while_ending(probe, case.timeline)
    if all(a.n in ending for a in probe.attempts if a.outcome is Outcome.FAILURE):
        return Level.FINE, f"{state} {when}; {_failed(failed)} in its last moments: {failed.why}"
    text, why = f"{_of(len(failed), total)} failed", failed.why
    if len(failed) == total:
        return Level.TROUBLE, f"{text}: {why}"
    if (number := ended_behind(probe, case.timeline)) is not None:
        unknown = "nothing tells whether this probe had it killed: its failureThreshold is not known (--spec)"
        return Level.WARNING, f"{text}: {why}; its container ended after #{number}, and {unknown}"
    # (Where the number is but presumed, so is the state that hangs on it.)
    held = "" if words.presumed(probe) else f"{state} {when}: "
    return Level.WARNING, f"{held}{text}, {_little(probe)}: {why}"


def _since(probe: Probe, since_ns: int, failed: Tally) -> tuple[Level, str]:
    """Say since when a state is known that no decision shows: what failed before may have been the end of an outage."""
    late = sum(a.outcome is Outcome.FAILURE and a.start.ns > since_ns for a in probe.attempts)
    text = f"{safe(probe.final_state)} {_after(since_ns - probe.attempts[0].start.ns)} at the latest"
    if len(failed) > late:
        text += f"; unknown before that: {count(len(failed) - late, 'attempt')} failed"
    if late:
        text += f"; {count(late, 'attempt')} failed later, {_little(probe)}"
    return (Level.WARNING, f"{text}: {failed.why}") if failed else (Level.FINE, text)


def _little(probe: Probe) -> str:
    """Say of failures why they did not count, as the end of a clause; that they were too few needs a threshold that is known."""
    if words.presumed(probe):
        return "and nothing shows how many in a row it takes"
    needed = next((probe.thresholds[name][0] for name in ("failureThreshold", "fall") if name in probe.thresholds), 0)
    if needed == 1:
        return NOTHING
    return f"fewer than {needed} in a row" if needed else "too few in a row"


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
