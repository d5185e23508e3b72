"""What the kubelet itself said of its probes, in its log and its events, and how that lies beside what the wire shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .spec import ProbeType


class Saying(StrEnum):
    """What a line or an event is about (pkg/kubelet/prober/prober.go probe, kubelet.go syncLoopIteration)."""

    FAILED = "failed"
    """`Readiness probe failed: ...`, log `Probe failed`."""
    ERRORED = "errored"
    """`Readiness probe errored ...`: the prober's error, after which the result is thrown away."""
    WARNED = "warned"
    """`Readiness probe warning: ...`: a success with a remark."""
    SUCCEEDED = "succeeded"
    """Log only, from verbosity 3 on."""
    DECIDED = "decided"
    """Log `SyncLoop (probe)`: a result that changed reached the kubelet's loop."""
    KILLING = "killing"
    """`Container app failed liveness probe, will be restarted`."""


RESULTS = (Saying.FAILED, Saying.ERRORED, Saying.WARNED, Saying.SUCCEEDED)
"""About one attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One line of the kubelet's log, or one event."""

    ns: int
    """When, by the clock that wrote it; of an aggregated event the last time."""
    precision_ns: int
    """How much later it may have been: a second for most events, a microsecond for a log."""
    saying: Saying
    type: ProbeType | None
    """None where it does not say."""
    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    text: str = ""
    """The probe's output, or the event's message."""
    state: str = ""
    """Of a decision: `ready`, `not ready`, `started`, `unhealthy`."""
    port: int | None = None
    """The client's port, where the text names it."""
    first_ns: int | None = None
    """Of an aggregated event: the first time."""
    count: int = 1
    """How often an event happened, as it says."""
    combined: bool = False
    """The event stands for several that were similar: its text is that of the last one only."""
    event: bool = False
    """An event, else a line of the log."""
    source: str
    """File name and place: `kubelet.log:12`, `events.json item 3`."""


@dataclass(frozen=True, slots=True)
class AccountFile:
    """What one file of the kubelet's told."""

    source: str
    kind: str
    """`log` or `events`."""
    records: int
    """Lines, journal entries or events read."""
    said: tuple[Utterance, ...]
    """Those about probes, in the order of the file."""
    first_ns: int | None = None
    """Of all records with a time, not only of those about probes."""
    last_ns: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """How far one file's clock is ahead of the capture's."""

    source: str
    ns: int
    within_ns: int
    """It may be off by as much."""
    pairs: int
    """Sayings that fit an attempt of the capture at this offset."""
    of: int
    """Sayings that were tried."""
    taken_from: str = ""
    """The file by which it is known, where that is another: a log and events of one kubelet have one clock."""
    rivals: tuple[int, ...] = ()
    """Other offsets that fit as many, in nanoseconds: the failures are alike and equally far apart."""


class Clash(StrEnum):
    """How the kubelet's account and the wire differ."""

    OUTCOME = "outcome"
    """It says that an attempt failed where the wire shows a success, or the reverse."""
    CAUSE = "cause"
    """Both say that it failed, and name causes that exclude each other."""
    NO_ATTEMPT = "no-attempt"
    """It speaks of an attempt, within the capture's time, that the capture does not show."""
    NOT_SAID = "not-said"
    """The wire shows a failure that it does not mention."""
    DECISION = "decision"
    """It decided where the replay did not, or did not where the replay did."""
    AGGREGATED = "aggregated"
    """Events were put together or left out: their number is not that of the attempts."""
    POD = "pod"
    """It calls the Pod at an address by another name than what was given."""
    EXEC = "exec"
    """An exec probe: it sends no packet."""
    OTHER_CONTAINER = "other-container"
    """A container of the Pod that the capture does not show."""
    OTHER_POD = "other-pod"
    """A Pod that the capture does not show."""


EXPLAINED = (Clash.AGGREGATED, Clash.EXEC, Clash.OTHER_CONTAINER, Clash.OTHER_POD)
"""Differences with a plain reason: no contradiction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the kubelet's account and the wire do not agree on."""

    clash: Clash
    sentence: str
    probe: str | None = None
    attempts: tuple[int, ...] = ()
    ns: int | None = None
    """By the capture's clock."""
    source: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A decision that the kubelet told, beside the one that was replayed."""

    said: Utterance
    ns: int
    """When, by the capture's clock."""
    probe: str | None = None
    attempt: int | None = None
    """The deciding attempt; None where the replay has no such decision."""
    initial: bool = False
    """No attempt decides it: the value that a new worker starts with, or that of a container that does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The kubelet's account of a capture."""

    files: tuple[AccountFile, ...]
    offsets: tuple[Offset, ...] = ()
    joined: int = 0
    """Sayings that belong to an attempt."""
    outside: int = 0
    """Sayings before the capture's first frame or after its last."""
    unplaced: int = 0
    """Sayings that fit nothing, in files of which too few fit to set the clock."""
    decisions: tuple[Beside, ...] = ()
    differences: tuple[Difference, ...] = field(default=())
