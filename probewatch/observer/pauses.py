"""What the pauses of a checker's series show besides its numbers: checks that are missing, and a new process that took over.

Theory of operation. A HAProxy that is reloaded begins anew at its own time: its first check of a server comes before the
last one of the old process allowed. One series that shows that is proof for all of the same source, also where a first
check came late; there, a pause that is none of the usual ones, across that moment, is enough.

Limitations: only where pauses are exact. A new process whose first check falls on the old one's beat is not seen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.check import CheckSpec
from probewatch.model.timeline import Attempt, Gap, GapKind
from probewatch.model.units import MS, SECOND
from probewatch.probes.checkers import LONGEST_NS
from probewatch.probes.ends import failed, through
from probewatch.probes.signatures import BY_PACE, Basis, Pacing

from .build import Latest, gap
from .survey import Named

NEAR_NS: Final = 40 * MS
"""Pauses that differ less are one."""
TOGETHER_NS: Final = 2 * SECOND
"""A new process begins to check all its servers within its interval and this."""
MISSED: Final = 1.7
"""Usual pauses in a row from which at least one check is missing."""
FEW: Final = 3
"""Intervals after which a check is still on the beat of one before it."""
STEADY: Final = 3
"""Failures in a row after which a server is down, and checked at one pause."""
SHARE: Final = frozenset({"caddy", "traefik"})
"""Whose check may go on a connection that they keep for what they pass on: it is told with that traffic, and not missing."""
UNEVEN: Final = SHARE | {kind for kind, beside in BY_PACE.items() if beside.pacing is Pacing.CYCLE}
"""Whose longer pause shows no missing check: in one cycle (Monit's) it is as long as all else that is checked there."""
PASSED_OVER: Final = "passed over, for more was said on their connection than is followed"
"""Why checks are missing where a checker keeps its connection for longer than it is read."""
STOPPED: Final = 2
"""Checks of one server that are missing, and of another that came meanwhile, from which the first may have been in maintenance."""
MAINTENANCE: Final = (
    "its HAProxy checked others meanwhile, and not this one: perhaps in maintenance (set server ... state maint)"
)
"""Why checks of one server are missing where those of another went on."""
MAINTAINS: Final = "haproxy"
"""Who leaves a server unchecked on request."""


class Rounds:
    """Whom each HAProxy checks, and when."""

    def __init__(self) -> None:
        self._starts: dict[str, list[tuple[str, int, list[int]]]] = {}
        """By its address."""

    def note(self, named: Named) -> None:
        """Take a series of one."""
        starts = [exchange.connection.start.ns for exchange in named.exchanges]
        self._starts.setdefault(named.client, []).append((named.server, named.port, starts))

    def told(self, named: Named, one: Gap) -> Gap:
        """Say of a gap that only this server was not checked meanwhile."""
        if one.kind is not GapKind.UNEXPLAINED or named.kind != MAINTAINS or one.expected < STOPPED:
            return one
        mine = (named.server, named.port)
        for server, port, starts in self._starts.get(named.client, ()):
            if (server, port) != mine and bisect_left(starts, one.end_ns) - bisect_left(
                starts, one.start_ns
            ) >= STOPPED:
                return replace(one, reason=MAINTENANCE)
        return one


def usual_pauses(named: Named, spec: CheckSpec | None) -> tuple[int, ...]:
    """Return the pauses that a series is known to make, its interval first."""
    told = (spec.fast_ns, spec.down_ns) if spec is not None else ()
    return tuple(ns for ns in (named.learnt.interval_ns, *named.learnt.pauses, *told) if ns is not None)


def pause_before(named: Named, index: int) -> int | None:
    """Return the pause before a check; None where it is not known when the one before it ended."""
    end = through(named.exchanges[index - 1].connection)
    return None if end is None else named.exchanges[index].connection.start.ns - end


def early(named: Named, index: int, usual: Sequence[int]) -> bool:
    """Tell whether a check came before the one before it allowed: a new process began."""
    pause, interval = pause_before(named, index), named.learnt.interval_ns
    if pause is None or not named.learnt.exact or interval is None or _in_doubt(named, index):
        return False
    if pause >= interval - max(3 * named.track.pace.spread_ns, NEAR_NS):
        return False
    return all(abs(pause - one) > NEAR_NS for one in usual) and not _goes_on(named, index, interval, usual)


def _goes_on(named: Named, index: int, interval: int, usual: Sequence[int]) -> bool:
    """Tell whether this check, or the next, is on the beat of the one before the one before it, and off that of the latter.

    Then the old process goes on, and the one in between is another's.
    """
    for number in (index, index + 1):
        if not 2 <= number < len(named.exchanges):
            continue
        pause, end = pause_before(named, number), through(named.exchanges[number - 2].connection)
        if end is None or (pause is not None and any(abs(pause - one) <= NEAR_NS for one in (0, *usual))):
            continue
        since = named.exchanges[number].connection.start.ns - end
        times = max(round(since / interval), 1)
        if times <= FEW and abs(since - times * interval) <= NEAR_NS:
            return True
    return False


def _in_doubt(named: Named, index: int) -> bool:
    """Tell whether the check before it ended otherwise than the one before that: fastinter may hold then, though seen only once."""
    if index < 2:
        return False
    before, latest = (failed(named.exchanges[at]) for at in (index - 2, index - 1))
    return before is not latest


def taken_over(named: Named, index: int, usual: Sequence[int], begun: Sequence[int]) -> bool:
    """Tell whether a check is a new process's first: one of `begun` lies in the pause before it, which is none of the usual."""
    if not named.learnt.exact or not usual:
        return False
    before, start = (named.exchanges[at].connection.start.ns for at in (index - 1, index))
    if not any(before < ns and start - usual[0] - TOGETHER_NS <= ns <= start + usual[0] for ns in begun):
        return False
    pause = pause_before(named, index)
    return pause is None or all(abs(pause - one) > NEAR_NS for one in usual)


def unsettled(results: Sequence[bool | None], number: int) -> bool:
    """Tell whether before this check its server was failing, and not for long: then other pauses than the usual ones may hold."""
    latest = results[max(number - STEADY, 0) : number]
    return latest[-1] is not True and (len(latest) < STEADY or any(result is not latest[-1] for result in latest))


def missing(
    named: Named,
    attempts: Sequence[Attempt],
    results: Sequence[bool | None],
    usual: Sequence[int],
    holes: Sequence[tuple[int, int]],
    revised: Latest,
) -> tuple[Gap, ...]:
    """Return the gaps of a series: where its checker was not in doubt, and paused for longer than it ever does.

    In a hole of the capture nothing is missing: nobody looked. `revised` knows the newest state of a connection by its id.
    """
    interval = named.learnt.interval_ns
    if interval is None or named.kind in UNEVEN:
        return ()
    clock = named.track.pace.basis is Basis.CLOCK
    steady = named.learnt.exact or clock
    out = []
    for number in range(1, len(attempts)):
        before, made = attempts[number - 1], attempts[number]
        pause = made.start.ns - (before.start.ns if clock else before.end_ns)
        longest = interval if clock else max(usual, default=interval)
        if not steady:
            longest *= 2
        if pause < MISSED * longest or (unsettled(results, number) and not clock):
            continue
        if any(before.start.ns <= hole < made.start.ns for hole, _ in holes):
            continue
        expected = max(1, round(pause / interval) - 1)
        if passed_over(named, number - 1, revised):
            out.append(gap(before, made, expected, GapKind.PASSED_OVER, PASSED_OVER))
        else:
            out.append(gap(before, made, expected))
    return tuple(out)


def passed_over(named: Named, index: int, revised: Latest) -> bool:
    """Tell whether more was said behind a check, on the connection that its checker keeps, than was read."""
    exchange = named.exchanges[index]
    c = exchange.connection
    if not c.question or (index + 1 < len(named.exchanges) and named.exchanges[index + 1].connection.id == c.id):
        return False
    latest = revised(c)
    if c.read_until is not None or latest.read_until is not None:
        return True
    # Rounds are read once, when their connection is first handed out.
    rounds = not exchange.http and exchange.grpc is None
    return rounds and latest.rev > c.rev and latest.end.ns - c.end.ns >= (named.learnt.interval_ns or LONGEST_NS) // 2
