"""What a HAProxy's pauses show of its thresholds: `rise` and `fall`.

Theory of operation. HAProxy waits `inter` after a check of a server that is fully up, `downinter` of one that is fully
down, and `fastinter` of one in doubt between the two (srv_getinter). So for the right `rise` and `fall` the pauses of
each of these three states are alike. Every pair up to MOST is tried on the results, and the pauses that are unlike
the usual one of their state are counted. The program's own defaults hold wherever they explain as much, and where
hardly more is explained than is left unexplained by everybody: a capture that lost checks proves nothing.

Limitations: which states share a pause cannot be told apart; of falls that are equally good the smallest is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from probewatch.model.units import MS

MOST: Final = 10
"""Largest threshold tried."""
LONGEST: Final = 2_000
"""Checks looked at, the first ones."""
PATCHY: Final = 0.1
"""Share of pauses that nothing explains, from which a capture has too many holes to show anything."""
BIN_NS: Final = 20 * MS
"""Pauses that differ less are alike."""


def shown_thresholds(
    results: Sequence[bool | None], pauses_ns: Sequence[int | None], usual: tuple[int, int]
) -> tuple[int | None, int | None]:
    """Return (rise, fall) as far as the pause after each check shows them; None where the `usual` one will do as well as another."""
    seen = [
        (result, None if pause is None else pause // BIN_NS)
        for result, pause in zip(results[:LONGEST], pauses_ns[:LONGEST], strict=False)
    ]
    if True not in results or False not in results:
        return None, None
    cost = {(rise, fall): _unlike(seen, rise, fall) for rise in range(1, MOST + 1) for fall in range(1, MOST + 1)}
    least = min(cost.values())
    best = [pair for pair, unlike in cost.items() if unlike == least]
    if least > PATCHY * len(seen) or (usual not in best and cost[usual] - least <= least // 2):
        return None, None
    rises = {rise for rise, _ in best}
    rise = usual[0] if usual[0] in rises else min(rises)
    falls = {fall for other, fall in best if other == rise}
    fall = usual[1] if usual[1] in falls else min(falls)
    return (
        None if rise == usual[0] and len(rises) > 1 else rise,
        None if fall == usual[1] and len(falls) > 1 else fall,
    )


def _unlike(seen: Sequence[tuple[bool | None, int | None]], rise: int, fall: int) -> int:
    """Count the pauses that are not the usual one of their state, as the server's health would be."""
    full = rise + fall - 1
    pauses: tuple[Counter[int], Counter[int], Counter[int]] = (Counter(), Counter(), Counter())
    health: int | None = None
    for result, pause in seen:
        if result is None:
            health = None
            continue
        if health is None:
            health = full if result else 0  # (mostly so, and the same for all that are compared)
        elif result:
            health = health + 1 if health + 1 < rise else full
        else:
            health = health - 1 if health > rise else 0
        if pause is not None:
            pauses[0 if health == 0 else 2 if health == full else 1][pause] += 1
    return sum(
        sum(state.values()) - max((times + state.get(pause + 1, 0) for pause, times in state.items()), default=0)
        for state in pauses
    )
