"""A clock that was set shows in tickers that all move by the same; nothing else that moves tickers is taken for it."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from probewatch.stepped import Flow, Start, settings

S = 1_000_000_000
MS = 1_000_000
Grids = dict[tuple[str, int], int]
"""Of workers by address and period (s): the phase of their ticks (ns)."""


def shown(
    rng: random.Random, before: Grids, after: Grids, at_ns: int, by_ns: int = 0, *, pause_ns: int = 0
) -> tuple[list[int], dict[Flow, list[Start]]]:
    """Return what a capture of 60 s shows of workers that tick on one grid until a moment and then on another, its clock set by so much."""
    ticks: list[tuple[int, int, str]] = []
    for grids, begin, end in ((before, 0, at_ns), (after, at_ns + pause_ns, 60 * S)):
        for (address, period), phase in grids.items():
            due = phase % (period * S)
            while due < end:
                if due >= begin:
                    late = 40 * MS if rng.random() < 0.05 else rng.randrange(MS)
                    ticks.append((due + late, due + late + (by_ns if due >= at_ns else 0), address))
                due += period * S
    times: list[int] = []
    flows: dict[Flow, list[Start]] = defaultdict(list)
    for _, ns, address in sorted(ticks):
        times += [ns, ns + MS]  # (its request, and an answer)
        flows["10.0.0.1", address, 8080].append(Start(len(times) - 1, ns))
    return times, flows


def workers(rng: random.Random, pods: int) -> Grids:
    """Return readiness and liveness workers of so many Pods."""
    return {(f"10.0.0.{pod + 10}", period): rng.randrange(period * S) for pod in range(pods) for period in (3, 5)}


@pytest.mark.parametrize("by_ms", [40, 470, 1_234, 47_000, -60, -300, -7_300])
def test_a_step_is_found(by_ms: int) -> None:
    """By how much, to the millisecond, in nearly every case; and never another one."""
    found = 0
    for seed in range(10):
        rng = random.Random(seed)
        grids = workers(rng, 3)
        times, flows = shown(rng, grids, grids, rng.randrange(20 * S, 40 * S), by_ms * MS)
        steps = settings(times, flows)
        found += len(steps) == 1
        assert all(abs(by_ns - by_ms * MS) < 5 * MS for _, by_ns in steps), seed
    assert found >= 8


@pytest.mark.parametrize("kind", ["nothing", "kubelet restart", "pause", "one Pod", "two of four Pods"])
def test_nothing_else_is_taken_for_one(kind: str) -> None:
    """Workers at new phases, all ticks missing for a while, one Pod's that moved together, and half of the node's."""
    for seed in range(60):
        rng = random.Random(seed)
        grids = workers(rng, 1 if kind == "one Pod" else 4)
        at_ns = rng.randrange(20 * S, 40 * S)
        moved = dict(grids)
        if kind == "kubelet restart":
            moved = workers(rng, 4)
        elif kind == "one Pod":
            moved = {worker: phase + 470 * MS for worker, phase in grids.items()}
        elif kind == "two of four Pods":
            moved = {worker: phase + 470 * MS * (worker[0] < "10.0.0.12") for worker, phase in grids.items()}
        assert settings(*shown(rng, grids, moved, at_ns, pause_ns=9 * S if kind == "pause" else 0)) == [], seed
