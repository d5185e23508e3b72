"""Which of a kubelet's runs ask as its probes do, where no spec says what they should ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.probes.forms import Ask
from probewatch.probes.inference import ticking
from probewatch.probes.runs import Run

LOOP: Final = 6
"""Connections off every grid that are more than a probe's pokes and beginnings."""


def asks(run: Run) -> bool:
    """Tell whether a run says of itself that a kubelet sent it."""
    return bool(run.form.version) and not run.form.stale


def connects(runs: Sequence[Run]) -> list[Run]:
    """Return those that connect and close as a tcpSocket probe does, and come as a ticker does: nothing else of them tells."""
    of_port: dict[int, list[Run]] = {}
    for run in runs:
        of_port.setdefault(run.form.port, []).append(run)
    return [run for port, mine in of_port.items() for run in ticking(_open(mine, port))]


def with_a_loop(runs: Sequence[Run], port: int) -> bool:
    """Tell whether many connect at a port as a tcpSocket probe does, and not as a ticker does."""
    mine = _open(runs, port)
    return len(mine) - len(ticking(mine)) >= LOOP


def _open(runs: Sequence[Run], port: int) -> list[Run]:
    return [run for run in runs if run.form.port == port and run.form.ask is Ask.CONNECT and run.form.kubelet]
