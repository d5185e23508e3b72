"""Where a capture begins: the signs, other than attempts, of containers that begin there, and of such as ran before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.spec import ContainerSpec, PodSpec
from probewatch.model.units import MINUTE, SECOND
from probewatch.probes.forms import Ask
from probewatch.probes.runs import Run

from .lane import MID_LIFE

ANNOUNCED_NS: Final = MINUTE
"""An announcement of an address this long before the first attempt belongs to the Pod that was then probed."""
ANSWERED_NS: Final = SECOND
"""A pod that has just come answers sooner for its address: Linux asks again after so long, as it does where the pod is dead."""


def announced(first: Run, appeared_ns: int | None) -> bool:
    """Tell whether the address was announced shortly before the first attempt."""
    return appeared_ns is not None and 0 <= first.start.ns - appeared_ns <= ANNOUNCED_NS


def beginning(
    runs: Sequence[Run],
    pod: PodSpec | None,
    appeared_ns: int | None,
    quiet_since_ns: int,
    first_frame_ns: int,
    *,
    started: bool = False,
) -> tuple[float, tuple[str, ...]]:
    """Weigh the signs, other than attempts, of containers that begin here (negative) or began before; name those for.

    Args:
        runs: the first attempts at an address.
        pod: whose they are, where that is known.
        appeared_ns: when the address first showed.
        quiet_since_ns: since when nothing had reached it.
        first_frame_ns: where the capture begins.
        started: whether a process event shows that one of its containers had just started.
    """
    cost = MID_LIFE
    signs: list[str] = []
    first = runs[0] if runs else None
    if first is None or not (first.tries or first.execs):
        return cost, ()
    connection = first.tries[0][0].connection if first.tries else None
    if started:
        cost -= 6.0
        signs.append("its first process was seen to begin")
    asked = connection.neighbour if connection is not None else None
    if asked is not None and connection is not None and connection.start.ns - asked.ns < ANSWERED_NS:
        cost -= 2.5
        signs.append("its address was resolved first")
    if announced(first, appeared_ns):
        cost -= 3.0
        signs.append("its address was announced just before")
    starts = [start.started_ns for container in (pod.containers if pod else ()) for start in container.starts]
    if starts:
        met = _met(pod.containers if pod else (), first.start.ns)
        if met is not None and met >= first_frame_ns - SECOND:
            cost -= 6.0
            signs.append("the Pod's status says so")
        elif all(ns < first_frame_ns - MINUTE for ns in starts):
            cost += 6.0
    periods = [spec.period_s for container in (pod.containers if pod else ()) for spec in container.probes] or [10]
    silent = first.start.ns - quiet_since_ns
    refused = connection is not None and first.form.ask is Ask.NOTHING and connection.resp.rst is not None
    if refused:
        # (Within a period an attempt comes wherever a capture begins.)
        cost -= 1.2 if signs or silent > min(periods) * SECOND else 0.6
    if silent > (max(periods) + 1) * SECOND:
        cost -= 3.0
        where = "in the first" if quiet_since_ns == first_frame_ns else "for"
        signs.append(f"no traffic to it {where} {silent // SECOND} s")
    return cost, tuple(signs)


def _met(containers: Sequence[ContainerSpec], now_ns: int) -> int | None:
    """Return the latest start, as a Pod's status has it, of an instance that an attempt met; None where none is known.

    What started later is another instance's. The status keeps whole seconds: within the second after a start it may still have been
    the instance before, if there was one.
    """
    met: list[int] = []
    for container in containers:
        starts = sorted(start.started_ns for start in container.starts)
        for before_it, started_ns in enumerate(starts):
            older = before_it or (container.restart_count or 0) - (len(starts) - 1 - before_it)
            if started_ns + (SECOND if older > 0 else 0) <= now_ns:
                met.append(started_ns)
    return max(met, default=None)
