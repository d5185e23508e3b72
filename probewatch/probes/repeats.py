"""Checks that are tried again at once when they fail: Monit's `retry N`.

To the walk through a port's checks all tries are one check, which ends as its last try does; each keeps its connection,
and only the last counts.

Whether an answer was what it wants (Monit's `content`) is not known here, and less inside TLS, so any check right after
another is a further try, but where most have one: then two tests of one cycle ask alike.

Limitations: two tests that ask alike, and seldom come right after one another, are read as tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from probewatch.model.units import MS

from .checkers import Check, Track, tracks
from .shapes import Shape, What

AGAIN_NS: Final = 5 * MS
"""A further try begins no later than this after the end of the one before it."""
SELDOM: Final = 0.3
"""Share of checks up to which those that were answered and are followed at once are taken for tries."""
HIDDEN: Final = frozenset({What.TLS, What.HTTP})
"""What is asked where an answer may be another than what is wanted, and nobody sees it."""


def tried_again(checks: Sequence[Check]) -> list[bool]:
    """Tell, for each check in the order of their starts, whether the next one is a further try of it."""
    out = [_again(one, after) for one, after in pairwise(checks)] + [False] * bool(checks)
    answered = [number for number, again in enumerate(out) if again and not checks[number].failed]
    if len(answered) > SELDOM * len(checks):
        for number in answered:
            out[number] = False
    return out


def _again(one: Check, after: Check) -> bool:
    hidden = one.shape is not None and one.shape.what in HIDDEN
    alike = one.shape is None or after.shape is None or one.shape == after.shape
    return (one.failed or hidden) and alike and one.end is not None and 0 <= after.start - one.end <= AGAIN_NS


def tracks_of_tries(
    checks: Sequence[Check], clocks: frozenset[Shape], known: frozenset[Shape], loose: frozenset[Shape]
) -> list[Track]:
    """Return the series among checks of which some may be tried again at once."""
    again = tried_again(checks)
    tries: list[list[int]] = []
    for number in range(len(checks)):
        if number and again[number - 1]:
            tries[-1].append(number)
        else:
            tries.append([number])
    whole = []
    for mine in tries:
        last = checks[mine[-1]]
        shape = next((checks[one].shape for one in mine if checks[one].shape is not None), None)
        whole.append(last._replace(start=checks[mine[0]].start, shape=shape))
    found = tracks(whole, clocks, known, loose)
    for track in found:
        track.members = [one for member in track.members for one in tries[member]]
    return found
