"""How far-fetched each way to read an attempt is (`assign`), and how exact a kubelet keeps its moments.

A cost is about the negative logarithm of how often a thing happens. All stand here, for each means something only beside the others.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.units import MS

EARLY_NS: Final = 50 * MS
"""An attempt may look early by this: the one that set the grid was itself late."""
FIRST_EARLY_NS: Final = 100 * MS
"""... and its second attempt by this: the first falls into the rush in which containers start (65 ms was the worst where 38 pods
started at once on two cores)."""
STORED_EARLY_NS: Final = 6 * MS
LATE_NS: Final = 100 * MS
"""Latest start after a tick (47 ms was the worst of 9 900 on a loaded two-core node)."""
DUE_NS: Final = 10 * MS
"""A tick nearer to its grid than this is likelier (`lateness`) than that something happened."""
ON_TIME_NS: Final = 20 * MS
"""Within this of its tick an attempt is on time, else late."""
POKED_NS: Final = 30 * MS
"""A certain poke is followed by its attempt within this (4.2 ms was the worst, but for nodes that get little CPU)."""
STORED_NS: Final = 8 * MS
"""A stored tick runs this soon after the attempt that delayed it."""
LONG_NS: Final = 200 * MS
"""An attempt this long is likely to have had a tick fall into it, where another begins as soon as it is over."""
DELAYED_ACK_NS: Final = 60 * MS
"""A close waits for the acknowledgement of its FIN, which a delayed ACK holds back by about 41 ms."""
LINGER_NS: Final = 1_150 * MS
"""SO_LINGER of the prober's dialer is 1 s (dialer_others.go): a close whose FIN is not acknowledged holds its worker that long."""
REDIALS_NS: Final = ((700 * MS, 1_300 * MS), (1_200 * MS, 3_500 * MS))
"""grpc-go's back-off before the second and the third dial: base 1 s, times 1.6, jitter 20 %."""

OTHER_GRID: Final = 2.0
"""A tick of a grid that the pokes before did not show (kubelets up to 1.31, where no packet tells the version)."""
FIRST: Final = 1.0
"""First attempt of a worker: nothing is known of its grid."""
BEHIND: Final = 6.5
"""A tick further off than LATE_NS, up to BEHIND_NS, less what workers were slow of late: far-fetched on a node at ease."""
BEHIND_NS: Final = 400 * MS
BEFORE: Final = 0.8
"""Sooner than the grid that a few slow ticks have shown."""
SLOWEST: Final = 6
"""Where workers were slow all the time (SLOW_MOST) the next slow tick costs so much less of this."""
GROWN: Final = 3
"""A worker that ran so often at its container has a grid whose ticks were not all slow: nothing comes before these, on a node at ease."""
DELAYED_NS: Final = 150 * MS
"""A poke that waited runs by then, where its worker is slow."""
MISSED: Final = 1.0
"""A tick that left no attempt, each; up to MISSED_MOST."""
MISSED_MOST: Final = 4.0
MISSED_GONE: Final = 0.2
"""The same where the attempt before ended as if the container were gone."""
LATE_BY_NS: Final = 20 * MS
"""A start that is late costs one for each so long, ..."""
LATENESS_MOST: Final = 4.0
"""... and no more than this."""
POKE: Final = 1.5
"""A manual run with no visible reason, while not Ready."""
POKE_EXPECTED: Final = 0.0
POKE_DOUBLE: Final = 0.3
"""Two readiness probes on each other's heels at the beginning, of the container or of its kubelet."""
POKE_AGAIN: Final = 0.75
"""A second one soon after the beginning: the sync that sees the container run is followed by one that sees it Started ..."""
POKED_AGAIN_NS: Final = 1_200 * MS
"""... 0.2 to 1.1 s later (PLEG's relist is a second; docs/how-it-knows.md, "What was measured")."""
POKE_UNSEEN: Final = 2.5
"""A manual run in a state that the capture has not shown yet."""
POKE_WAITS: Final = 0.7
"""A tick that ran although a poke waited too: Go picks either."""
POKE_ABSENT: Final = 1.5
"""A certain poke that did not come."""
TICK_MOMENT_NS: Final = 3 * MS
AT_A_TICK: Final = 1.0
"""A poke for no known reason in the very moment of a tick: it would be one in hundreds that falls there."""
POKE_ENDED: Final = 0.3
"""... where the pod seems to be deleted."""
NEW_CONTAINER: Final = 5.0
"""Off the grid while Ready: there must be a new container."""
NEW_CONTAINER_SUSPICIOUS: Final = 2.0
NEW_CONTAINER_DYING: Final = 0.5
STARTUP_ANEW: Final = 0.1
"""A startup probe that had its container killed runs at the next one, and is the only one that does: each time again, however often."""
STARTUP_DONE: Final = 3.0
"""A startup probe met in mid-life, where it has mostly done its work."""
STARTUP_NEXT: Final = 0.5
"""The first attempt that is seen of a startup probe whose container was told to die: nothing else can come next, and only its grid is not
known."""
STARTUP_AGAIN: Final = 1.0
"""A startup probe's first attempt though its container had started."""
STARTUP_WOKEN: Final = 2.5
"""A startup probe on its old grid after it had succeeded. A restarted kubelet's phases are new: that they fall on the old ones is rarer."""
NEW_KUBELET: Final = 5.0
"""A new grid for everybody."""
NEW_KUBELET_QUIET: Final = 1.5
"""... after it was silent towards everybody for longer than a period."""
NEVER_PAUSED: Final = 11.0
"""Off the grid of a kubelet that never paused."""
REFUSED_AFTER: Final = 3.0
"""A kubelet that was away or got no CPU, although the port, which was open before, is closed now: containers outlive their
kubelet, so this one's would have died meanwhile too."""
SAME_PHASE_NS: Final = 20 * MS
OLD_PHASE: Final = 3.0
"""... and the worker's new phase would be its old one, which happens once in twenty-five at most."""
IN_STEP: Final = 2.0
"""A new container's poke that falls on the old grid: that began with a poke too, and pokes follow the kubelet's look at its
containers, once a second, from which a period of whole seconds moves away slowly."""
BACK_OFF: Final = 1.5
"""A container that went away and came back while nothing of it was seen, at an attempt that keeps the old grid."""
BACK_SOON: Final = 0.5
"""More than that where no more than one tick is missing: the less there is to explain."""
BACK_REFUSED: Final = 0.5
"""The same behind an attempt that was refused: it shows the container gone."""
BACK_DYING: Final = 0.7
"""A tick that is the first at the successor of a container that was told to die, where nothing pokes it."""
STOPS_NS: Final = 3_000 * MS
"""About how long it takes until the successor is noticed: most programs stop at once, ..."""
LIVES_ON_MOST: Final = 0.7
"""... and some take their time, so that another tick at the one that was told to die costs no more than this."""
AT_ONCE_ANEW: Final = 2.0
"""A successor within moments of the kill, which no program is quick enough for."""
BACK_MISSING: Final = 0.8
"""The same where another probe of the container missed a tick."""
LEAST_SHARE: Final = 0.05
REOPENED: Final = 2.0
"""A program that was told to die, and had closed its port, answers again: mostly it is its successor, where no poke shows that one."""
BUSY_NODE: Final = 16
"""With so many attempts elsewhere since a worker's last one, only they tell of a pause."""
USUAL_OUTAGE_NS: Final = 8_000 * MS
"""Silence up to this is more likely one container's than the kubelet's."""
SHORTEST_OUTAGE_NS: Final = 2_500 * MS
"""A kubelet hardly restarts faster than this, ..."""
NO_OUTAGE_NS: Final = 2_000 * MS
"""... and not faster than this."""
NEW_KUBELET_QUICK: Final = 7.0
OFF_GRID: Final = 9.0
"""Liveness or startup off their grid for no reason."""
AGAINST_SILENCE: Final = 6.0
STORED: Final = 0.3
STORED_TWICE: Final = 2.0
"""The last attempt was of a tick that had waited, and the tick that fell into the same moment waited for it."""
TOO_EARLY: Final = 1.0
"""Before its initialDelaySeconds have passed."""
TOO_LATE: Final = 1.5
"""The first attempt at a container comes later than another's, which is delayed more, allows."""
GATED_ANEW: Final = 3.0
"""First at a new container though its startup probe should come before it."""
INHERITED: Final = 1.5
"""... of a kubelet that does so by mistake (`Prediction.inherits`)."""
ECHO: Final = 1.0
"""A first attempt on the heels of its container's readiness probe: mostly that probe's own second."""
AT_THE_END: Final = 1.0
"""In the very moment in which its last attempt ended: closing that one and starting this one takes 0.3 ms, ..."""
AT_THE_END_NS: Final = 100_000
"""... and this much of it is missing only where the last one was late to send its SYN."""
HERALD: Final = 0.7
"""A new container's first poke runs before its status is stored: as often as not the worker is quicker than the sync that woke it."""
OUT_OF_TURN: Final = 2.5
"""Liveness before readiness at a new container."""
