"""How long a checker waits: timeoutSeconds as its own giving up, and its own waiting, show it.

The kubelet says nothing when a probe times out, but it acts: it closes a connection that has not answered exactly at
SYN + timeoutSeconds (docs/how-it-knows.md, "What was measured"), a dial that is given up sends no
further SYN, a readiness probe that times out
and loses Ready is followed by another at once, grpc-go dials again after a second only while time is left. Where every
answer comes quickly nothing of this happens, and any timeout would have done.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from math import ceil
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.measure import Measure
from probewatch.model.spec import Handler
from probewatch.model.units import MS, SECOND

from .cadence import period_of
from .execs import patience_of
from .forms import Ask, form_of
from .judge import LINGERED_NS
from .runs import HANDSHAKE_NS, Run, attempt_start, frames_of, gave_up_after

REDIAL_NS: Final = (780 * MS, 1_230 * MS)
"""grpc-go's first back-off: one second, give or take a fifth."""
AGREED: Final = 0.8
"""Share of the times it gave up that must agree before they pin the timeout."""
SHOWN: Final = 3
"""Attempts named as evidence."""
MISSED: Final = 1.3
"""Periods without an attempt beside which it is not sure that all of an attempt was captured."""
RESOLUTION_NS: Final = 3 * SECOND
"""An unanswered address resolution fails after three requests, a second apart."""
PROMPT_NS: Final = 15 * MS
"""A probe that is poked at a deadline starts this soon after it (4.2 ms was the worst: docs/how-it-knows.md, "What was measured")."""
OWN_LIMITS: Final = {Ask.TLS: HANDSHAKE_NS // SECOND, Ask.GRPC: 20}
"""Seconds after which Go gives up by itself, whatever the timeout: net/http's TLS handshake, grpc-go's first settings."""
SLACK_NS: Final = 60 * MS
"""An answer this little after the deadline may still have been in time for the checker."""


def timeout_measure(runs: Sequence[Run], handler: Handler, seen_until_ns: int, *, alone: bool = True) -> Measure:
    """Return what these attempts of one probe allow its timeoutSeconds to be.

    Args:
        runs: its attempts in order.
        handler: what it asks.
        seen_until_ns: until when the capture is whole.
        alone: whether no other probe is sent to its port. A dial that nobody answers names nobody: with company it is
            no evidence of whose patience ended.
    """
    shown = _Shown()
    unsure = _beside_holes(runs)
    dials: list[tuple[int, int, Run]] = []
    for run in runs:
        for command in run.execs[-1:]:
            shown.waited(*patience_of(command), run)
        for begun_ns, exchange in _timed(run):
            least, most = _dialled(exchange, handler, seen_until_ns) if alone else (0, None)
            if most is not None:
                dials.append((least, most, run))
            elif not _unheard(exchange, handler):
                # A dial that nobody answered shows no more than that; where it names nobody, not even that.
                shown.waited(*_patience(exchange, handler, begun_ns), run)
    for least, most, run in _believed(dials, unsure):
        shown.at_least(least, run)
        if run.start.ns not in unsure:
            shown.at_most(most, run)
    if alone and handler is Handler.GRPC:
        for run, gap in _redials(runs):
            shown.at_least(-(-(gap - SLACK_NS) // SECOND), run)
    elif alone and not shown.gave_up:
        shown.gave_up = _poked_after(runs)
    for run, gap in _overtaken(runs) if alone else ():
        shown.at_most(max(1, (gap + SLACK_NS) // SECOND), run)
    return shown.measure()


class _Shown:
    """The bounds of a timeout in whole seconds as attempts show them, and whose attempts."""

    def __init__(self) -> None:
        self.gave_up: dict[int, list[Run]] = {}
        """Attempts by the seconds after which the checker itself ended them."""
        self._low, self._low_runs = 1, list[Run]()
        self._high: int | None = None
        self._high_runs: list[Run] = []
        self._slowest = 0.0

    def at_least(self, seconds: int, run: Run) -> None:
        """Take in that the timeout is no less than this."""
        if seconds > self._low:
            self._low, self._low_runs = seconds, [run]

    def at_most(self, seconds: int, run: Run) -> None:
        """Take in that the timeout is no more than this."""
        if self._high is None or seconds < self._high:
            self._high, self._high_runs = seconds, [run]

    def waited(self, gave_up: int | None, waited: float, run: Run) -> None:
        """Take in after how many seconds it gave up (None: it did not), and how long it waited for what it took."""
        if gave_up is not None:
            self.gave_up.setdefault(gave_up, []).append(run)
        self._slowest = max(self._slowest, waited)
        self.at_least(ceil(waited - SLACK_NS / SECOND), run)

    def measure(self) -> Measure:
        """Return what all of that leaves open."""
        low, high = self._low, self._high
        if usual := self._agreed():
            times = len(self.gave_up[usual])
            why = f"it gave up after {usual} s, {times} time{'s' if times > 1 else ''}"
            return _measure(usual, usual, why, self.gave_up[usual])
        if high is not None and high >= low:
            why = "a dial without an answer was over when the next attempt began, or before its next SYN was due"
            return _measure(low if low > 1 or high == 1 else None, high, why, self._high_runs)
        if low > 1:
            waited = f"it waited {self._slowest:.2f} s for an answer and took it"
            return _measure(
                low,
                None,
                waited if self._slowest > 1 else "its SYN was sent again when a second had passed",
                self._low_runs,
            )
        if self._slowest:
            why = f"no attempt had to wait long enough to show it (the longest {1000 * self._slowest:.3g} ms)"
            return _measure(None, None, why, ())
        return _measure(None, None, "no answer shows it", ())

    def _agreed(self) -> int | None:
        """Return the seconds after which nearly all were given up, where there are such and no longer wait speaks against it."""
        if not self.gave_up:
            return None
        usual = max(self.gave_up, key=lambda seconds: len(self.gave_up[seconds]))
        agreed = len(self.gave_up[usual]) >= AGREED * sum(map(len, self.gave_up.values()))
        return usual if agreed and usual >= self._low else None


def _measure(low: int | None, high: int | None, why: str, shown_by: Sequence[Run]) -> Measure:
    evidence = tuple(frames_of(run) for run in shown_by[:SHOWN])
    return Measure(field="timeoutSeconds", number=True, low=low, high=high, why=why, evidence=evidence)


def _timed(run: Run) -> list[tuple[int, Exchange]]:
    """Return a run's connections, each with the moment from which the deadline of its try counts.

    All redirects of a try share one deadline (http.Client.Timeout), a retry has its own, and where the address had to
    be resolved first the deadline counts from that.
    """
    return [(attempt_start(hops[0]).ns, exchange) for hops in run.tries for exchange in hops]


def _dialled(exchange: Exchange, handler: Handler, seen_until_ns: int) -> tuple[int, int | None]:
    """Return the least and the most whole seconds after which a tcpSocket dial that nobody answered was given up.

    The kernel sends the SYN again after one second, then after one more (Linux 6.x: linear at first) or two (RFC 6298);
    what was given up shows no SYN that was due. (0, None) where this is no such dial.
    """
    connection = exchange.connection
    if not _unheard(exchange, handler) or not connection.orig.syns:
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


def _believed(dials: Sequence[tuple[int, int, Run]], unsure: Collection[int]) -> list[tuple[int, int, Run]]:
    """Leave out the few dials that gainsay the others: a SYN is due again in the very millisecond in which a deadline falls.

    Whether the kernel's timer or the close comes first is chance there, and a SYN may be missing from the capture.
    """
    limit = min((most for _, most, run in dials if run.start.ns not in unsure), default=None)
    if limit is None:
        return list(dials)
    longer = sum(least > limit for least, _, _ in dials)
    shorter = sum(most <= limit for _, most, _ in dials)
    return [one for one in dials if (one[1] > limit if longer > shorter else one[0] <= limit)]


def _unheard(exchange: Exchange, handler: Handler) -> bool:
    """Tell whether this is a tcpSocket dial that nobody answered."""
    connection = exchange.connection
    silent = not connection.resp.syns and connection.resp.rst is None and connection.icmp is None
    return handler is Handler.TCP_SOCKET and silent


def may_have_waited(run: Run, handler: Handler, timeout_s: int) -> bool:
    """Tell whether a checker that waits so long may have been the one of this run.

    Not if it gave up after another number of seconds, or took an answer (or still dialled) later than that.
    """
    for begun_ns, exchange in _timed(run):
        if _unheard(exchange, handler):
            syns = exchange.connection.orig.syns
            gave_up, waited = None, (syns[-1].ns - begun_ns) / SECOND if syns else 0.0
        else:
            gave_up, waited = _patience(exchange, handler, begun_ns)
        if (gave_up is not None and gave_up != timeout_s) or waited - SLACK_NS / SECOND > timeout_s:
            return False
    return True


def observed_timeout(runs: Sequence[Run], handler: Handler) -> int | None:
    """Return timeoutSeconds as the checker's own giving up shows it; None where it never gave up and never waited a second."""
    waits = Waits(handler)
    for run in runs:
        waits.note(run)
    return waits.timeout([run.start.ns for run in runs])


class Waits:
    """What the attempts of one probe show of its timeout, taken in one by one, in order."""

    __slots__ = ("_before", "_gave_up", "_handler", "_poked", "_redialled", "_waited")

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._gave_up: dict[int, int] = {}
        self._waited = 0.0
        self._before: Run | None = None
        self._redialled = 0
        self._poked: dict[int, int] = {}

    def note(self, run: Run) -> None:
        """Take the next attempt into account."""
        for command in run.execs[-1:]:
            seconds, bound = patience_of(command)
            if seconds is not None:
                self._gave_up[seconds] = self._gave_up.get(seconds, 0) + 1
            self._waited = max(self._waited, bound)
        for begun_ns, exchange in _timed(run):
            seconds, bound = _patience(exchange, self._handler, begun_ns)
            if seconds is not None:
                self._gave_up[seconds] = self._gave_up.get(seconds, 0) + 1
            self._waited = max(self._waited, bound)
        before, self._before = self._before, run
        if before is None:
            return
        if self._handler is Handler.GRPC:
            self._redialled += _redialled(before, run)
        elif (seconds := _poked(before, run)) is not None:
            self._poked[seconds] = self._poked.get(seconds, 0) + 1

    def timeout(self, starts: Sequence[int]) -> int | None:
        """Return timeoutSeconds; `starts` are those of the attempts."""
        gave_up = self._gave_up
        if not gave_up and (self._redialled or self._poked):
            period = period_of(starts)
            if self._redialled and period is not None and period > 1:
                gave_up = {2: self._redialled}
            elif period is not None:
                gave_up = {seconds: times for seconds, times in self._poked.items() if seconds < period}
        if gave_up:
            return max(Counter(gave_up).most_common(1)[0][0], 1)
        return ceil(self._waited) if self._waited > 1.0 else None


def _redials(runs: Sequence[Run]) -> list[tuple[Run, int]]:
    """Return refused dials that were dialled again, with the time between: grpc-go does so only while time is left."""
    out = []
    period = period_of([run.start.ns for run in runs])
    for run, following in itertools.pairwise(runs):
        if _redialled(run, following) and period is not None and period > 1:
            out.append((run, following.start.ns - run.start.ns))
    return out


def _redialled(run: Run, following: Run) -> bool:
    refused = run.form.ask is Ask.NOTHING and following.form.ask in (Ask.NOTHING, Ask.GRPC)
    return refused and REDIAL_NS[0] <= following.start.ns - run.start.ns <= REDIAL_NS[1]


def _overtaken(runs: Sequence[Run]) -> list[tuple[Run, int]]:
    """Return dials that nobody answered, with the time to the next attempt: a worker begins none before it gave up the last.

    An address that cannot be resolved ends a dial after three seconds, whatever the timeout.
    """
    out = []
    unsure = _beside_holes(runs)
    for run, following in itertools.pairwise(runs):
        gap = following.start.ns - run.start.ns
        if run.start.ns in unsure:
            continue
        if run.tries:
            connection = run.tries[-1][-1].connection
            silent = _unanswered(connection) and len(run.tries) == 1
            if silent and all(mark.ns > following.start.ns for mark in connection.resp.syns):
                out.append((run, gap))
        elif gap < RESOLUTION_NS and not run.execs:
            out.append((run, gap))
    return out


def _beside_holes(runs: Sequence[Run]) -> set[int]:
    """Return the starts within a period of a longer pause: where attempts are missing, SYNs of those beside may be missing as well."""
    starts = [run.start.ns for run in runs]
    period_ns = (period_of(starts) or 0) * SECOND
    long = [pair for pair in itertools.pairwise(starts) if period_ns and pair[1] - pair[0] > MISSED * period_ns]
    return {start for start in starts if any(-period_ns < start - end < period_ns for pause in long for end in pause)}


def _poked_after(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """Return unanswered attempts by the whole seconds to one off the grid: losing Ready pokes the prober at the deadline.

    Never before it, and within milliseconds after it: a poke at another moment has another reason.
    """
    votes: dict[int, list[Run]] = {}
    period = period_of([run.start.ns for run in runs])
    unsure = _beside_holes(runs)
    for run, following in itertools.pairwise(runs):
        seconds = _poked(run, following) if run.start.ns not in unsure else None
        if seconds is not None and period is not None and seconds < period:
            votes.setdefault(seconds, []).append(run)
    return votes


def _poked(run: Run, following: Run) -> int | None:
    """Return after how many whole seconds an unanswered attempt was followed by another; None where it was answered, or not then."""
    gap = following.start.ns - run.start.ns
    seconds = gap // SECOND
    if seconds <= 0 or gap - seconds * SECOND > PROMPT_NS or len(run.tries) != 1 or len(run.tries[0]) != 1:
        return None
    connection = run.tries[0][0].connection
    unanswered = _unanswered(connection) and all(mark.ns >= following.start.ns for mark in connection.resp.syns)
    return seconds if unanswered else None


def _unanswered(connection: Connection) -> bool:
    """Tell whether nothing shows that a dial was turned down, or connected by an answer that the capture does not have."""
    refused = connection.resp.rst is not None or connection.icmp is not None
    return not refused and (bool(connection.resp.syns) or connection.orig.first_ack is None)


def given_up(connection: Connection) -> int | None:
    """Return when a checker closed a connection that had not answered what it asked; None where it did not."""
    closed = connection.orig.closed
    server = (connection.resp.first_data, connection.resp.fin, connection.resp.rst)
    if closed is None or not connection.orig.length or any(m is not None and m.ns <= closed.ns for m in server):
        return None
    return closed.ns


def _left(exchange: Exchange) -> int | None:
    """Return when a checker hung up on an HTTP answer that had begun and did not end; None where it did not.

    The deadline is one for header and body. Of an answer that is not all here it is known to have waited for more where it
    stayed on behind the last that came: who has it whole closes at once.
    """
    http, connection = exchange.http[0] if exchange.http else None, exchange.connection
    closed, resp = connection.orig.closed, connection.resp
    if http is None or closed is None or connection.only_data or http.malformed or http.first_byte is None:
        return None
    if any(mark is not None and mark <= closed for mark in (resp.fin, resp.rst)) or http.first_byte > closed:
        return None
    if http.lost:
        stayed = http.unread and resp.used is not None and closed.ns - resp.used.ns > LINGERED_NS
        return closed.ns if stayed else None
    whole = min((mark for mark in (http.body_end, http.read_enough) if mark is not None), default=None)
    return None if http.header_end is not None and whole is not None and whole <= closed else closed.ns


def _refused_late(connection: Connection) -> bool:
    """Tell whether the kernel turned the answer to a dial down, for nobody waited for it any more: a RST without ACK, before any ACK."""
    orig = connection.orig
    return orig.rst is not None and not orig.rst_acks and orig.first_ack is None and orig.fin is None


def _taken(connection: Connection) -> bool:
    """Tell whether a checker is seen to have taken what came: it acknowledged that, or closed after it.

    A RST without ACK is the kernel's, for a socket that its checker had closed before (its FIN may be lost).
    """
    orig = connection.orig
    return connection.resp.acked > 0 or orig.fin is not None or (orig.rst is not None and orig.rst_acks)


def _patience(exchange: Exchange, handler: Handler, start: int) -> tuple[int | None, float]:
    """Return (the timeout this connection shows, how long it waited for an answer that it took), either unknown.

    `start` is when the deadline began to count.
    """
    connection = exchange.connection
    closed = connection.orig.closed
    first = connection.resp.first_data
    grpc = exchange.grpc
    if (
        grpc is not None
        and grpc.cancelled is not None
        and (grpc.answer_end is None or grpc.answer_end.ns > grpc.cancelled.ns)
    ):
        # (grpc-go cancels the call when its deadline has passed; the server has sent its settings long before.)
        seconds = gave_up_after(grpc.cancelled.ns - start)
        if seconds is not None:
            return seconds, 0.0
    if (end := given_up(connection) or _left(exchange)) is not None:
        seconds = gave_up_after(end - start)
        if seconds is not None:
            if first is None and OWN_LIMITS.get(form_of(exchange).ask) == seconds:
                return None, float(seconds)
            return seconds, 0.0
    if handler is Handler.TCP_SOCKET:
        answered = connection.resp.syns[0].ns - start if connection.resp.syns else 0
        if answered > 0 and not _refused_late(connection):
            return None, answered / SECOND
    elif connection.only_data:
        pass  # (whether somebody still waited for that answer is not in the capture)
    elif _left(exchange) is not None:
        pass  # (nothing came whole that it could have taken)
    elif first is not None and connection.orig.length and (closed is None or first.ns <= closed.ns):
        return None, (first.ns - start) / SECOND if _taken(connection) else 0.0
    if _unheard(exchange, handler) and len(connection.orig.syns) > 1:
        # The dial was given up before its next SYN was due.
        return ceil((connection.orig.syns[-1].ns - start) / SECOND), 0.0
    return None, 0.0
