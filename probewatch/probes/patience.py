"""How long a checker waits: timeoutSeconds as its own giving up, and its own waiting, show it.

The kubelet says nothing when a probe times out, but it acts: it closes a connection that has not answered exactly at
SYN + timeoutSeconds (WIRE.md section 4), a dial that is given up sends no further SYN, a readiness probe that times out
and loses Ready is followed by another at once, grpc-go dials again after a second only while time is left. Where every
answer comes quickly nothing of this happens, and any timeout would have done.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Final

from probewatch.model.exchange import Exchange
from probewatch.model.finding import Evidence
from probewatch.model.measure import Measure
from probewatch.model.spec import Handler

from .cadence import SECOND, period_of, whole_seconds
from .forms import Ask
from .runs import Run, frames_of

REDIAL_NS: Final = (780_000_000, 1_230_000_000)
"""grpc-go's first back-off: one second, give or take a fifth."""
AGREED: Final = 0.8
"""Share of the times it gave up that must agree before they pin the timeout."""
SHOWN: Final = 3
"""Attempts named as evidence."""
RESOLUTION_NS: Final = 3 * SECOND
"""An unanswered address resolution fails after three requests, a second apart."""
SLACK_NS: Final = 60_000_000
"""An answer this little after the deadline may still have been in time for the checker."""


def timeout_measure(runs: Sequence[Run], handler: Handler, seen_until_ns: int) -> Measure:
    """Return what these attempts of one probe allow its timeoutSeconds to be."""
    gave_up: dict[int, list[Run]] = {}
    low, low_runs, slowest = 1, list[Run](), 0.0
    high: int | None = None
    high_runs: list[Run] = []
    for run in runs:
        for _, exchange in run.legs():
            least, most = _dialled(exchange, handler, seen_until_ns)
            if most is not None:
                if least > low:
                    low, low_runs = least, [run]
                if high is None or most < high:
                    high, high_runs = most, [run]
                continue
            seconds, waited = _patience(exchange, handler)
            if seconds is not None:
                gave_up.setdefault(seconds, []).append(run)
            slowest = max(slowest, waited)
            if waited > low:
                low, low_runs = ceil(waited - SLACK_NS / SECOND), [run]
    if not gave_up:
        for seconds, times in _poked_after(runs).items():
            gave_up[seconds] = [run for run in runs if run.tries][:times]
    for run, gap in _redials(runs) if handler is Handler.GRPC else ():
        if gap - SLACK_NS > low * SECOND:
            low, low_runs = -(-(gap - SLACK_NS) // SECOND), [run]
    for run, gap in _overtaken(runs):
        if high is None or (gap + SLACK_NS) // SECOND < high:
            high, high_runs = max(1, (gap + SLACK_NS) // SECOND), [run]
    total = sum(map(len, gave_up.values()))
    if total:
        usual = max(gave_up, key=lambda seconds: len(gave_up[seconds]))
        if len(gave_up[usual]) >= AGREED * total and usual >= low:
            times = len(gave_up[usual])
            why = f"it gave up after {usual} s, {times} time{'s' if times > 1 else ''}"
            return Measure(
                field="timeoutSeconds", number=True, low=usual, high=usual, why=why, evidence=_frames(gave_up[usual])
            )
    if high is not None and high >= low:
        why = "a dial without an answer was over when the next attempt began, or before its next SYN was due"
        return Measure(
            field="timeoutSeconds",
            number=True,
            low=low if low > 1 or high == 1 else None,
            high=high,
            why=why,
            evidence=_frames(high_runs),
        )
    if low > 1:
        why = (
            f"it waited {slowest:.2f} s for an answer and took it" if slowest > 1 else "it dialled again after a second"
        )
        return Measure(field="timeoutSeconds", number=True, low=low, why=why, evidence=_frames(low_runs))
    why = f"no attempt had to wait long enough to show it (the longest {1000 * slowest:.3g} ms)" if slowest else ""
    return Measure(field="timeoutSeconds", number=True, why=why or "nothing that came shows it")


def _frames(runs: Sequence[Run]) -> tuple[Evidence, ...]:
    return tuple(frames_of(run) for run in runs[:SHOWN])


def _dialled(exchange: Exchange, handler: Handler, seen_until_ns: int) -> tuple[int, int | None]:
    """Return the least and the most whole seconds after which a tcpSocket dial that nobody answered was given up.

    The kernel sends the SYN again after one second, then after one more (Linux 6.x: linear at first) or two (RFC 6298);
    what was given up shows no SYN that was due. (0, None) where this is no such dial.
    """
    connection = exchange.connection
    silent = not connection.resp.syns and connection.resp.rst is None and connection.icmp is None
    if handler is not Handler.TCP_SOCKET or not silent or not connection.orig.syns:
        return 0, None
    sent = [mark.ns - connection.orig.syns[0].ns for mark in connection.orig.syns]
    last = sent[-1] - sent[-2] if len(sent) > 1 else SECOND
    steady = len(sent) == 1 or (len(sent) > 2 and last < 1.5 * (sent[-2] - sent[-3]))
    due = sent[-1] + (last if steady else 2 * last)
    if connection.orig.syns[0].ns + due + SECOND // 2 > seen_until_ns:
        return 0, None  # The capture ends before the next SYN was due.
    if len(sent) == 1:
        return 1, 1
    return sent[-1] // SECOND + 1, max(sent[-1] // SECOND + 1, due // SECOND)


def observed_timeout(runs: Sequence[Run], handler: Handler) -> int | None:
    """Return timeoutSeconds as the checker's own giving up shows it; None where it never gave up and never waited a second."""
    gave_up: Counter[int] = Counter()
    waited = 0.0
    for run in runs:
        for _, exchange in run.legs():
            seconds, bound = _patience(exchange, handler)
            if seconds is not None:
                gave_up[seconds] += 1
            waited = max(waited, bound)
    if not gave_up and handler is Handler.GRPC:
        gave_up = Counter(2 for _ in _redials(runs))
    if not gave_up:
        gave_up = _poked_after(runs)
    if gave_up:
        return max(gave_up.most_common(1)[0][0], 1)
    return ceil(waited) if waited > 1.0 else None


def _redials(runs: Sequence[Run]) -> list[tuple[Run, int]]:
    """Return refused dials that were dialled again, with the time between: grpc-go does so only while time is left."""
    out = []
    period = period_of([run.start.ns for run in runs])
    for run, following in itertools.pairwise(runs):
        gap = following.start.ns - run.start.ns
        refused = run.form.ask is Ask.NOTHING and following.form.ask in (Ask.NOTHING, Ask.GRPC)
        if refused and REDIAL_NS[0] <= gap <= REDIAL_NS[1] and period is not None and period > 1:
            out.append((run, gap))
    return out


def _overtaken(runs: Sequence[Run]) -> list[tuple[Run, int]]:
    """Return dials that nobody answered, with the time to the next attempt: a worker begins none before it gave up the last.

    An address that cannot be resolved ends a dial after three seconds, whatever the timeout.
    """
    out = []
    for run, following in itertools.pairwise(runs):
        gap = following.start.ns - run.start.ns
        if run.tries:
            connection = run.tries[-1][-1].connection
            silent = connection.resp.rst is None and connection.icmp is None and len(run.tries) == 1
            if silent and all(mark.ns > following.start.ns for mark in connection.resp.syns):
                out.append((run, gap))
        elif gap < RESOLUTION_NS:
            out.append((run, gap))
    return out


def _poked_after(runs: Sequence[Run]) -> Counter[int]:
    """Count whole seconds from an unanswered attempt to one off the grid: losing Ready pokes the prober at the deadline."""
    votes: Counter[int] = Counter()
    period = period_of([run.start.ns for run in runs])
    for run, following in itertools.pairwise(runs):
        gap = following.start.ns - run.start.ns
        seconds = whole_seconds(gap, 60_000_000)
        answer = run.tries[-1][-1].connection.resp if run.tries else None
        unanswered = (
            answer is not None and answer.rst is None and all(mark.ns >= following.start.ns for mark in answer.syns)
        )
        if unanswered and seconds is not None and period is not None and seconds < period:
            votes[seconds] += 1
    return votes


def _patience(exchange: Exchange, handler: Handler) -> tuple[int | None, float]:
    """Return (the timeout this connection shows, how long it waited for an answer that it took), either unknown."""
    connection = exchange.connection
    closes = [m for m in (connection.orig.fin, connection.orig.rst) if m is not None]
    closed = min(closes) if closes else None
    first = connection.resp.first_data
    start = connection.start.ns
    unanswered = closed is not None and (first is None or first.ns > closed.ns)
    if closed is not None and unanswered and connection.orig.length:
        waited = (closed.ns - start) / SECOND
        server = connection.resp.fin
        if round(waited) >= 1 and 0 <= waited - round(waited) <= 0.05 and (server is None or server.ns > closed.ns):
            return round(waited), 0.0
    if first is not None and (closed is None or first.ns <= closed.ns):
        return None, (first.ns - start) / SECOND
    if handler is Handler.TCP_SOCKET and not connection.resp.syns and len(connection.orig.syns) > 1:
        # The dial was given up before its next SYN was due.
        return ceil((connection.orig.syns[-1].ns - start) / SECOND), 0.0
    return None, 0.0
