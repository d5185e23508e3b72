"""A kubelet that got no CPU for a moment: its ticks run late, together, as soon as it goes on, and later ones are back on the grid.

Limitations: one late tick of a lone probe may be a new container's poke as well, where pokes do not move the grid (up to 1.31).
"""

from __future__ import annotations

from typing import Final

from probewatch.model.prediction import Prediction, Reading
from probewatch.model.timeline import Schedule, Trigger
from probewatch.model.units import MS, SECOND

from .lately import SHORT_NS, Lately

# Costs: about the negative logarithm of how often it happens.
FROZEN: Final = 3.5
"""A tick that ran late because the kubelet got no CPU: commoner, for a moment, than a new container that nothing else shows.
Whether the grid is the old one or a new one is what tells them apart."""
FROZEN_NS: Final = 4 * SECOND
"""Each so long it lasted costs one more, up to FROZEN_MOST: long stops are rarer."""
FROZEN_MOST: Final = 5.0
FROZEN_YOUNG: Final = 3.0
"""... more where its grid was never shown, by a second attempt: nearly anything would be late on that."""
FROZEN_SEEN: Final = 0.5
"""... where an attempt's late end shows it."""
BURST: Final = 4
"""... or so many attempts at others as soon as it ran again."""
IN_A_BURST: Final = 3.0
"""... which another reading would have it meet by chance."""
THAW_NS: Final = 60 * MS
"""All that waited runs this soon after the kubelet runs again."""


def late_tick(start: int, p: Prediction, anchor: int, elsewhere: Lately) -> Reading | None:
    """Read it as a tick that found the kubelet stopped: it runs as soon as that goes on, and later ones are back on the grid."""
    assert p.last_start_ns is not None
    # What waited is the first tick that found it stopped. (One that had waited itself may have come right before the next.)
    due = anchor + p.period_ns if p.kept else p.tick_behind(p.last_start_ns, anchor)
    seen = p.thawed_ns is not None and p.thawed_ns > p.last_start_ns and (p.lingers or start - p.thawed_ns <= THAW_NS)
    if start - due <= (0 if seen else SHORT_NS):
        return None
    silence = elsewhere.silence(start)
    if elsewhere and (silence is None or silence[0] > due + SHORT_NS or silence[1] < start - THAW_NS):
        return None  # It was at work meanwhile.
    seen = seen or in_a_burst(start, elsewhere)
    unseen = FROZEN + min((start - due) / FROZEN_NS, FROZEN_MOST) + (FROZEN_YOUNG if p.runs < 2 else 0.0)
    cost = FROZEN_SEEN if seen else unseen
    return Reading(p.worker, cost, Trigger.TICK, Schedule.LATE, missed=(start - due) // p.period_ns, stopped=True)


def in_a_burst(start: int, elsewhere: Lately) -> bool:
    """Tell whether it is of the moment in which a kubelet that had been silent towards everybody probed several at once.

    These are the ticks that had waited: a new kubelet's first ones are spread over the periods.
    """
    silence = elsewhere.silence(start)
    return (
        silence is not None
        and start - silence[1] <= THAW_NS
        and elsewhere.between(silence[1], silence[1] + THAW_NS) >= BURST
    )


def is_frozen(reading: Reading) -> bool:
    """Tell whether it supposes that the kubelet got no CPU, with nothing else to show for it."""
    return reading.stopped and reading.cost >= FROZEN
