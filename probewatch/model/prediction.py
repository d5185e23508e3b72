"""What a worker is expected to do next: the data that closes the loop between `decisions` and `probes` (docs/design.md, section 3).

`decisions` makes Predictions, `observer` carries them, `probes` reads them to say whose attempt the next one is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .spec import ProbeSpec
from .timeline import Schedule, Trigger


class Silence(StrEnum):
    """Why a worker is expected to send nothing (worker.go doProbe, its guards in order)."""

    NONE = ""
    ON_HOLD = "on hold until there is a new container"
    GATED = "waiting for the startup probe"


class Manual(StrEnum):
    """Whether a run outside the grid may come (prober_manager.go UpdatePodStatus pokes the readiness worker)."""

    NEVER = "never"
    """Liveness and startup workers are never poked, and up to 1.20 none is."""
    READY = "ready"
    """Readiness, while Ready: nothing pokes it, short of a new container or a new kubelet."""
    POSSIBLE = "possible"
    """Readiness, while not Ready: every pod sync pokes it."""
    UNSEEN = "unseen"
    """Readiness of unknown state (a capture begun in mid-life)."""
    ANEW = "anew"
    """Readiness, not Ready or of unknown state, of a kubelet 1.21 or 1.22: only a new container pokes it."""


class Prediction(NamedTuple):
    """The next move of one worker (a NamedTuple, as `Reading` is, because one is made for every reading of every attempt)."""

    worker: int
    spec: ProbeSpec
    period_ns: int
    tick_ns: int | None = None
    """A moment on its grid (the last tick it ran at); None while the grid is not known."""
    last_start_ns: int | None = None
    busy_until_ns: int | None = None
    """When its last attempt had its verdict; a close that lingers may hold it up to a second more."""
    lingers: bool = False
    """That attempt ended by the deadline: closing may have taken up to a second (SO_LINGER)."""
    redials: bool = False
    """That attempt may still dial again until its deadline (gRPC's blocking dial)."""
    manual: Manual = Manual.NEVER
    poked_ns: int | None = None
    """A moment at which a poke is certain (Ready lost, startup succeeded); None where none is."""
    stirred_ns: int | None = None
    """A moment at which a pod sync was caused by a sibling: a poke is likely then."""
    silence: Silence = Silence.NONE
    dying: bool = False
    """Its container was told to die: a new one is to come."""
    suspicious: bool = False
    """The latest attempt at its container was refused, reset or unanswered: the container may have gone."""
    refused: bool = False
    """It was refused."""
    just_ready: bool = False
    """Its last attempt made the container Ready: one poke may still be waiting."""
    begun: bool = False
    """The capture shows the container's beginning."""
    gated_anew: bool = False
    """In a new container its startup probe would have to succeed first."""
    inherits: bool = False
    """... but a new container counts as started because the one before was (1.35 and newer do it by mistake, k8s#141155)."""
    out_of_turn: bool = False
    """It would be the first attempt at a new container, and readiness should have come before it."""
    echo_ns: int | None = None
    """When the latest attempt of its container's readiness probe ended (not for that probe itself)."""
    runs: int = 0
    """How often it ran since its container began (counted up to 3)."""
    thawed_ns: int | None = None
    """When the kubelet ran again after it had got no CPU, as the late end of one of the pod's attempts shows."""
    not_before_ns: int | None = None
    """Its first attempt at the container cannot come sooner (initialDelaySeconds, less the second that startedAt is cut by)."""
    renewed_ns: int | None = None
    """The same, if its container was replaced after it was last known to run."""
    heard_ns: int | None = None
    """When the latest attempt at the pod began, whosever it was."""
    container_ns: int | None = None
    """The same at its container."""
    grid_stays: bool | None = False
    """A manual run does not move the grid (up to 1.31); None where the version is not known."""
    heralded: bool = False
    """Its container has a readiness probe without a delay, which is poked, and so runs, as soon as the container does."""
    grid_unsure: bool = False
    """Its grid may be another: its version is not known, and it was only poked so far."""
    behind: bool = False
    """A new kubelet would not begin with it: its startup probe comes before it, or (1.35 and newer) needs no further success."""
    poked_anew: bool = True
    """A new container pokes its readiness probe at once: not up to 1.22, where mostly nothing shows on its grid."""
    overdue_ns: int | None = None
    """Its first attempt at the container should have come by then: another's shows since when that runs."""
    new_kubelet: bool = False
    """The capture shows the start of its kubelet."""
    ended_ns: int | None = None
    """From then on its container's liveness probe would have missed ticks: a pod that is deleted is probed for readiness alone, and
    nothing pokes that any more."""
    missing_ns: int | None = None
    """When another probe of its container is due that ran there before, where new containers are not poked (readiness only)."""
    alive_ns: int | None = None
    """When its container was last known to run, or was told to die."""
    kept: bool = False
    """Its last attempt may have been of an earlier tick than the one it came with (`decisions.turn.Ticker`)."""
    phase_ns: int | None = None
    """A moment on a grid that it had before, and would hardly meet again by chance (`decisions.turn.Ticker`)."""
    early_ns: int = 0
    """Its last attempt may have been over so much sooner than `busy_until_ns`: its SYN left late."""
    slow: int = 0
    """How slow its Pod's workers were to run their latest ticks (`decisions.turn.Ticker`)."""

    def due_ns(self) -> int | None:
        """Return when its next attempt is due: the next tick that is not its last attempt's; None where none is expected."""
        last = self.last_start_ns
        if self.silence is not Silence.NONE or last is None:
            return None
        return self.tick_behind(last, last if self.tick_ns is None else self.tick_ns)

    def tick_behind(self, last_ns: int, tick_ns: int) -> int:
        """Return the first tick behind an attempt, which was late or early by less than half a period, of a grid with this tick."""
        return tick_ns + max(0, -(-(last_ns + self.period_ns // 2 - tick_ns) // self.period_ns)) * self.period_ns


class Reading(NamedTuple):
    """One way to read an attempt: whose it is, why it came when it came, and how far-fetched that is."""

    worker: int
    cost: float
    """0 is just as predicted; each unit is about a factor e less likely."""
    trigger: Trigger
    schedule: Schedule
    reset: str = ""
    """What must have happened before it: `` nothing, `container` a new container, `kubelet` a new kubelet.

    `herald`: a new container too, whose poke found the status of the one before it (UpdatePodStatus pokes before SetPodStatus), so
    that it was counted as that one's.
    """
    missed: int = 0
    """Ticks of the grid that passed without an attempt."""
    redial: bool = False
    """It belongs to the worker's attempt in flight."""
    back_ns: int | None = None
    """Of a new kubelet: when it first probed anybody again."""
    stopped: bool = False
    """Of a tick: it found its kubelet without CPU, and ran as soon as that went on."""
