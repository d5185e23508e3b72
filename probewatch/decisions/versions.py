"""What a kubelet does that others do not, by its version (major, minor), as pkg/kubelet/prober had it.

Only what its User-Agent tells is known: a backport, or a patch release that behaves otherwise, is not.
"""

from __future__ import annotations

from enum import IntEnum

Version = tuple[int, int]


def resets(version: Version) -> bool:
    """Say whether a manual trigger begins a new period: Ticker.Reset, not in 1.30.1, in 1.32.1.

    Its change (k8s#119089) was still under review when 1.31 was out, in August 2024.
    """
    return version >= (1, 32)


def keeps_ready(version: Version) -> bool:
    """Say whether a kubelet that restarts leaves containers Ready until it knows better (not in 1.34.2, in 1.35.2)."""
    return version >= (1, 35)


class Pokes(IntEnum):
    """What makes a kubelet run a readiness probe out of its turn (manualTriggerCh)."""

    NOTHING = 0
    """Up to 1.20 it has no such channel: all that a worker does it does at its ticks."""
    NEW_CONTAINERS = 1
    """Each sync of the Pod, as long as nothing is cached for the container (in 1.21.1, and still in 1.21.4)."""
    WHATEVER_IS_NOT_READY = 2
    """Each sync of the Pod, while the container is not Ready (not in 1.21.4, in 1.23.1)."""


def pokes(version: Version) -> Pokes:
    """Say what makes a readiness probe run out of its turn."""
    if version >= (1, 23):
        return Pokes.WHATEVER_IS_NOT_READY
    return Pokes.NEW_CONTAINERS if version >= (1, 21) else Pokes.NOTHING
