"""What a kubelet does that others do not, by its version (major, minor), as pkg/kubelet/prober had it.

Only what its User-Agent tells is known: a backport, or a patch release that behaves otherwise, is not.
"""

from __future__ import annotations

Version = tuple[int, int]


def resets(version: Version) -> bool:
    """Say whether a manual trigger begins a new period: Ticker.Reset, not in 1.30.1, in 1.32.1.

    Its change (k8s#119089) was still under review when 1.31 was out, in August 2024.
    """
    return version >= (1, 32)


def keeps_ready(version: Version) -> bool:
    """Say whether a kubelet that restarts leaves containers Ready until it knows better (not in 1.34.2, in 1.35.2)."""
    return version >= (1, 35)


def pokes(version: Version) -> bool:
    """Say whether each sync of a Pod pokes the readiness probes of what is not Ready (not in 1.21.4, in 1.23.1)."""
    return version >= (1, 23)
