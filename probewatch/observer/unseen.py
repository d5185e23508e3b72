"""What came of a checker's checks that the capture lost, wholly or but for their outcome, as far as the others show it.

Theory of operation. A lost check moved its checker's counter all the same, so it is counted: as what it must have been,
else as either (`decisions.risefall` then holds both). Two things show what it was. The pause after it, where this
checker pauses otherwise after a failure than after a pass (HAProxy's fastinter, keepalived's delay_before_retry). And
the checks before and after it, where both came out alike and those that were seen between such two nearly always did,
too: of a server that fails now and then this says nothing.

A pause that is longer than usual may be of a setting that is not known while a server fails (Envoy's unhealthy_edge_interval):
then checks are missing only where the capture has lost something of others of the series.

Limitations: of more than FEW checks lost in a row nothing is presumed. A decision that a wholly lost check brought is told
at the next one that was seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from probewatch.model.connection import Connection
from probewatch.model.timeline import Cause
from probewatch.model.units import MS
from probewatch.probes.judge import Verdict
from probewatch.probes.signatures import Basis

from .pauses import MISSED, NEAR_NS, UNEVEN, unsettled
from .survey import Named

FEW: Final = 2
"""Checks lost in a row of which something is presumed."""
LIKELY: Final = 5
"""So many times as often must checks between two alike have come out as those two as not, before another is presumed to."""
BEFOREHAND: Final = 5
"""So many that did are taken for seen."""
OFTEN: Final = 3
"""Checks of one outcome from which a pause that none of them made is not theirs."""
COMMON: Final = 4
"""Pauses after one kind of outcome that are tried, the commonest."""
LATE_NS: Final = 10 * MS
"""How much later than its pause says each of several checks in a row may be."""


class Step(NamedTuple):
    """What goes into a checker's counter for one check that was seen."""

    before: tuple[bool | None, ...]
    """Checks that are not in the capture, just before it, as what they are presumed to have been."""
    result: bool | None
    lost: bool = False
    """The capture lost its outcome; `result` is what the others show."""
    like: int = -1
    """Which check it is presumed to have been like."""
    unknown: int = 0
    """How many more are not in the capture just before it: too many in a row to presume anything of them."""


def steps_of(
    named: Named,
    verdicts: Sequence[Verdict],
    results: Sequence[bool | None],
    ends: Sequence[int],
    usual: Sequence[int],
    begun: Container[int],
) -> list[Step]:
    """Return what is counted for each check of a series. Where a new process has `begun`, none is missing before its first."""
    # (A check that the capture's end cut is none that was lost.)
    last = max((number for number, result in enumerate(results) if result is not None), default=0)
    lost = [
        one is None and v.cause is Cause.CUT and at < last
        for at, (one, v) in enumerate(zip(results, verdicts, strict=True))
    ]
    patchy = any(lost) or any(_torn(exchange.connection) for exchange in named.exchanges)
    missed = [
        _missed(named, number, results, ends, usual)
        if number and number not in begun and (patchy or not unsettled(results, number))
        else 0
        for number in range(len(results))
    ]
    if not any(lost) and not any(missed):
        return [Step((), result) for result in results]
    # One row of all that the checker did: (result, which check, its outcome is lost).
    row: list[tuple[bool | None, int, bool]] = []
    for number, result in enumerate(results):
        row += [(None, -1, True)] * min(missed[number], FEW + 1)
        row.append((result, number, lost[number]))
    told = _by_neighbours(row)
    starts = [exchange.connection.start.ns for exchange in named.exchanges]
    pauses = _Pauses(starts, results, ends, missed) if named.track.pace.basis is Basis.PAUSE else None
    out: list[Step] = []
    before: list[bool | None] = []
    for at, (result, number, _) in enumerate(row):
        if number < 0:
            before.append(told.get(at, (None, -1))[0])
            continue
        shown, like = told.get(at, (result, -1))
        if lost[number] and pauses is not None and (paused := pauses.own(number)) is not None:
            shown, like = paused, -1
        unknown = missed[number] if missed[number] > FEW else 0
        if unknown:
            before = []
        elif (
            pauses is not None
            and missed[number] == 1
            and (paused := pauses.missing(number, named.learnt.timeout_ns or 0)) is not None
        ):
            before = [paused]
        out.append(Step(tuple(before), shown, lost=lost[number], like=like, unknown=unknown))
        before = []
    return out


def unseen_notes(steps: Sequence[Step]) -> list[str]:
    """Say of how many checks the capture lost what came of them, and as what they are counted."""
    lost = [step for step in steps if step.lost]
    number = len(lost) + sum(len(step.before) + step.unknown for step in steps)
    if not number:
        return []
    presumed = sum(one is not None for step in steps for one in step.before)
    presumed += sum(step.result is not None for step in lost)
    checks = f"{number} check{'s' if number > 1 else ''}"
    shown = (
        "counted as the checks around it, or the pause after it, show"
        if presumed == 1
        else "counted as the checks around them, or the pauses after them, show"
    )
    how = [f"{presumed} {'is' if presumed == 1 else 'are'} {shown}"] if presumed else []
    if number > presumed:
        how.append(f"{number - presumed} may have passed or failed")
    return [f"what came of {checks} is not in the capture: {', '.join(how)}"]


def _missed(
    named: Named, number: int, results: Sequence[bool | None], ends: Sequence[int], usual: Sequence[int]
) -> int:
    """Return how many checks should have come before this one and are not in the capture."""
    interval = named.learnt.interval_ns
    if interval is None or named.kind in UNEVEN:
        return 0
    starts = [named.exchanges[at].connection.start.ns for at in (number - 1, number)]
    if named.track.pace.basis is Basis.CLOCK:
        step = starts[1] - starts[0]
        times = round(step / interval)
        on_time = abs(step - times * interval) <= max(3 * named.track.pace.spread_ns, NEAR_NS)
        return max(times - 1, 0) if on_time else 0
    pause = starts[1] - ends[number - 1]
    timeout = named.learnt.timeout_ns or 0
    # Of a check whose close the capture lost it is not known how long it waited.
    waits = (0, timeout) if results[number - 1] is None else (0,)
    pauses = [(pause - wait) for wait in waits]
    if any(abs(one - known) <= NEAR_NS for one in pauses for known in usual):
        return 0
    if named.learnt.exact:
        two = {first + then + took for first in usual for then in usual for took in (0, timeout)}
        if any(abs(one - both) <= NEAR_NS for one in pauses for both in two):
            return 1
        times = round(pause / interval)
        if times > 1 and abs(pause - times * interval) <= NEAR_NS + times * LATE_NS:
            return times - 1
    longest = max(usual, default=interval) * (1 if named.learnt.exact else 2)
    return max(round(pause / interval) - 1, 1) if pause >= MISSED * longest + timeout else 0


def _by_neighbours(row: Sequence[tuple[bool | None, int, bool]]) -> dict[int, tuple[bool, int]]:
    """Return what lost checks are presumed to have been, and like which other one, by their places in the row."""
    between: Counter[tuple[bool, bool]] = Counter()
    for (one, _, _), (middle, _, _), (other, _, _) in zip(row, row[1:], row[2:], strict=False):
        if one is not None and one is other and middle is not None:
            between[one, middle is one] += 1
    out: dict[int, tuple[bool, int]] = {}
    known = [at for at, (_, _, lost) in enumerate(row) if not lost]
    for first, then in pairwise(known):
        result, number, _ = row[first]
        if not 1 < then - first <= FEW + 1 or result is None or result is not row[then][0]:
            continue
        if between[result, True] + BEFOREHAND >= LIKELY * between[result, False]:
            out |= dict.fromkeys(range(first + 1, then), (result, number))
    return out


def _torn(connection: Connection) -> bool:
    """Tell whether the capture lost a part of a connection."""
    orig, resp = connection.orig, connection.resp
    return orig.gap is not None or resp.gap is not None or not orig.syns


class _Pauses:
    """How long this checker paused after checks of each outcome, by the outcome of the one before."""

    def __init__(
        self, starts: Sequence[int], results: Sequence[bool | None], ends: Sequence[int], missed: Sequence[int]
    ) -> None:
        self._starts, self._results, self._ends, self._missed = starts, results, ends, missed
        self._seen: dict[tuple[bool | None, bool], Counter[int]] = defaultdict(Counter)
        for at in range(1, len(results) - 1):
            before, result = results[at - 1], results[at]
            if result is not None and not missed[at] and not missed[at + 1]:
                self._seen[before, result][(starts[at + 1] - ends[at]) // NEAR_NS] += 1

    def own(self, number: int) -> bool | None:
        """Return what a check must have been by the pause after it."""
        if not 0 < number < len(self._results) - 1 or self._missed[number] or self._missed[number + 1]:
            return None
        then = self._starts[number + 1]
        # (Where its close is lost, nobody knows when it ended: it may have waited until its timeout.)
        pauses = [then - end for end in (self._ends[number], self._starts[number])]
        return self._only(self._results[number - 1], lambda seen: any(_near(seen, pause) for pause in pauses))

    def missing(self, number: int, timeout_ns: int) -> bool | None:
        """Return what the one check between this one and the one before must have been: its own pause is part of the time between."""
        before = self._results[number - 1]
        if number < 2 or before is None or self._missed[number - 1]:
            return None
        gap = self._starts[number] - self._ends[number - 1]
        first = [
            one * NEAR_NS + NEAR_NS // 2 for one, _ in self._seen[self._results[number - 2], before].most_common(COMMON)
        ]
        rests = [gap - pause - took for pause in first for took in (0, timeout_ns)]
        return self._only(before, lambda seen: any(_near(seen, rest) for rest in rests))

    def _only(self, before: bool | None, fits: Callable[[Counter[int]], bool]) -> bool | None:
        """Return the outcome after which pauses that fit were seen, where the other was seen often enough, and never with one."""
        passed, failed = (self._seen[before, result] for result in (True, False))
        good, bad = fits(passed), fits(failed)
        if before is None or good is bad or (failed if good else passed).total() < OFTEN:
            return None
        return good


def _near(seen: Counter[int], pause: int) -> bool:
    return any(seen[pause // NEAR_NS + one] for one in (-1, 0, 1))
