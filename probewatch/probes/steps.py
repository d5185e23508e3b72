"""Checks that make several connections, one after another: HAProxy's `tcp-check connect` and `http-check connect`.

Each connection is a series of its own, at one port or at several. That they are one check shows in their times: the next
connection begins as soon as the one before it has ended well, and where that one failed there is none.

Limitations: two checks of one pause that happen to begin together drift apart by milliseconds, and are taken for one
only where the capture is short.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from probewatch.model.units import MS

from .checkers import ENOUGH, Check, Pace, Track

STEP_NS: Final = 3 * MS
"""The next connection of a check begins no later than this after the one before it."""
FOLLOW: Final = 0.6
"""Share of a series that must follow another's checks; the rest are refused or unanswered ones that were dealt to the wrong one."""


def followed(first: Sequence[Check], then: Sequence[Check]) -> list[int | None]:
    """Return, for each check of `then`, the index of the check of `first` that it goes on from; None where there is none.

    `first` is in the order of its starts, and its checks do not overlap.
    """
    starts = [check.start for check in first]
    out: list[int | None] = []
    for check in then:
        at = bisect_right(starts, check.start) - 1
        end = first[at].end if at >= 0 else None
        out.append(at if end is not None and not first[at].failed and 0 <= check.start - end <= STEP_NS else None)
    return out


def goes_on(first: Sequence[Check], then: Sequence[Check]) -> bool:
    """Tell whether one series is the next connection of the other's checks."""
    follows = sum(at is not None for at in followed(first, then))
    return len(then) <= len(first) + ENOUGH and follows >= max(2 * ENOUGH, FOLLOW * len(then))


def joined(pace: Pace, first: Sequence[Check], then: Sequence[Check]) -> tuple[list[Check], Track]:
    """Return the checks as they were with their next connection, to measure their pauses."""
    checks = list(first)
    for number, at in enumerate(followed(first, then)):
        if at is not None:
            last = then[number]
            checks[at] = checks[at]._replace(end=last.end, failed=last.failed, waited=last.waited)
    return checks, Track(pace, list(range(len(checks))))


def settle(checks: Sequence[Check], found: Sequence[Track]) -> None:
    """Give what was dealt to the next connection of a check, and goes on from nothing, to the check's first connection."""
    for then in found:
        for first in found:
            before = [checks[index] for index in first.members]
            after = [checks[index] for index in then.members]
            if first is then or not goes_on(before, after):
                continue
            strays = [
                index
                for index, at in zip(then.members, followed(before, after), strict=True)
                if at is None and not _near(before, checks[index], first.pace.interval_ns // 2)
            ]
            first.members = sorted([*first.members, *strays])
            then.members = [index for index in then.members if index not in strays]


def _near(checks: Sequence[Check], check: Check, within_ns: int) -> bool:
    """Tell whether a series has a check of its own about then."""
    starts = [one.start for one in checks]
    at = bisect_right(starts, check.start)
    return any(abs(start - check.start) < within_ns for start in starts[max(at - 1, 0) : at + 1])
