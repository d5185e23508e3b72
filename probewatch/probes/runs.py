"""Connections that belong together: retries of an errored prober and redirects, joined to one run before it is known whose it is.

Theory of operation. A run is one or more tries; a try is one connection and the redirects it followed. The kubelet
tries again, at once and up to three times, only when the answer's body breaks (prober.go runProbeWithRetries,
maxProbeRetries); Go's client follows a redirect at once, on a new connection, when it stays on the same host (http.go
RedirectChecker), and says in its Referer whom it comes from, which tells a hop where the capture does not have the answer
that sent it. Both follow-ups leave within milliseconds of what caused them, so a run is handed on as soon as
nothing can join it any more. Redials of a gRPC probe come a second or more later and look like any first dial: they are
told by the worker that is still busy, not here.

Connections must come in the order of their starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from probewatch.model.connection import SOLICITATIONS, Connection, Unresolved
from probewatch.model.direct import direct
from probewatch.model.exchange import Exchange
from probewatch.model.finding import Evidence
from probewatch.model.frame import Mark
from probewatch.model.process import ExecRun
from probewatch.model.spec import Handler, ProbeSpec
from probewatch.model.timeline import Cause, Outcome, Role
from probewatch.model.units import MS, SECOND

from .execs import is_command, judge_exec
from .forms import Ask, Form, form_of
from .judge import LEAD_NS, REDIRECTS, Verdict, is_broken_body, judge, redirect_target

MAX_TRIES = 3
"""prober.go maxProbeRetries."""
MAX_HOPS = 10
"""http.go RedirectChecker: `stopped after 10 redirects`."""
FOLLOW_NS = 150 * MS
"""A follow-up leaves within a millisecond; the rest is room for a starved node (82 ms were seen on two busy cores)."""
AT_ONCE_NS = 8 * MS
"""A tick that waited runs within this of the attempt that delayed it."""
GIVEN_UP_NS = 1_024 * MS
"""The kernel fails every dial that waits so long after its last solicitation (retrans_time_ms is 1000; its timer adds 24 ms)."""
HANDSHAKE_NS = 10 * SECOND
"""net/http's TLSHandshakeTimeout (apimachinery SetOldTransportDefaults), from the connection on, however long timeoutSeconds is."""
BROKEN_OFF_NS = 60 * MS
"""A deadline is kept to this (0.1-0.8 ms is usual: docs/how-it-knows.md, "What was measured")."""
UNACKED = 3.0
"""How far a connection is from a tcpSocket probe's of which the handshake's last ACK was not seen."""
ORPHANED = 0.3
"""How far a redirect's hop is from the probe that its Referer names, where what that asked is not in the capture."""
MAX_OPEN = 64
"""Runs of one client at one target that wait for a follow-up; the oldest is handed on beyond that."""


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of some probe, not yet assigned."""

    client: str
    server: str
    form: Form
    """Of the first connection."""
    start: Mark
    tries: tuple[tuple[Exchange, ...], ...] = ()
    unresolved: Unresolved | None = None
    implied: bool = False
    execs: tuple[ExecRun, ...] = ()
    """The tries of an exec attempt, which has no connections."""
    container: int | None = None
    """Index of the container that it ran in, among its Pod's; None where that is not known (connections never tell)."""

    def legs(self) -> list[tuple[Role, Exchange]]:
        """Return its connections in order, each with its role."""
        out = []
        for number, hops in enumerate(self.tries):
            for hop, exchange in enumerate(hops):
                role = Role.REDIRECT if hop else Role.RETRY if number else Role.FIRST
                out.append((role, exchange))
        return out

    def last_ns(self) -> int:
        """Return the time of its last own frame that matters for a follow-up."""
        if self.execs:
            return self.execs[-1].last.ns
        if not self.tries:
            return self.start.ns
        connection = self.tries[-1][-1].connection
        marks = [
            m
            for m in (connection.orig.fin, connection.orig.fin_acked, connection.orig.rst, connection.resp.rst)
            if m is not None
        ]
        return max((m.ns for m in marks), default=connection.end.ns)


def as_known(run: Run, latest: Callable[[Connection], Connection]) -> Run:
    """Return a run with its connections as they are known by now: how a dial or a silence ended may be seen after it was judged."""
    if all(latest(exchange.connection) is exchange.connection for hops in run.tries for exchange in hops):
        return run
    return replace(
        run,
        tries=tuple(tuple(replace(one, connection=latest(one.connection)) for one in hops) for hops in run.tries),
    )


def at_once(before: Run, after: Run) -> bool:
    """Tell whether an attempt began when the one before, which took longer than any period can be short, had ended."""
    return after.start.ns - before.start.ns > SECOND and 0 <= after.start.ns - before.last_ns() <= AT_ONCE_NS


def is_refused(run: Run) -> bool:
    """Tell whether the target's kernel refused the connection: nothing listens."""
    if not run.tries or run.form.ask is not Ask.NOTHING:
        return False
    resp = run.tries[0][0].connection.resp
    return resp.rst is not None and not resp.syns


def free_ns(run: Run, spec: ProbeSpec, verdict: Verdict) -> int:
    """Return when a run's worker could run again at the earliest: once it has closed, which a busy node does some time after the answer.

    Where silence gave the verdict that is the deadline: a dial that outlives its probe (Go 1.23+) closes long after it. It
    runs out sooner than it is counted here where the SYN was late, which its close shows.
    """
    if not run.tries:
        return verdict.end_ns
    orig = run.tries[-1][-1].connection.orig
    close = orig.fin or orig.rst
    if verdict.by_deadline:
        return verdict.end_ns if close is None else min(close.ns, verdict.end_ns)
    if close is not None:
        return max(close.ns, verdict.end_ns)
    if verdict.cause is Cause.CUT and spec.handler is Handler.GRPC:
        # Where the capture ends, a dial that was refused may be repeated yet.
        return run.start.ns + spec.timeout_s * SECOND
    return verdict.end_ns


def lingers(run: Run, verdict: Verdict) -> bool:
    """Tell whether closing may have held a run's worker up to a second longer (SO_LINGER: pkg/probe/dialer_others.go ProbeDialer).

    So it may where silence gave the verdict; and where segments got lost, for a FIN may be lost as well, and is sent again
    until its acknowledgment arrives. That is mostly seen when the next attempt has begun, and too late to be looked at here.
    """
    if verdict.by_deadline or not run.tries:
        return verdict.by_deadline
    connection = run.tries[-1][-1].connection
    return connection.orig.fin is not None and bool(connection.orig.retransmits or connection.resp.retransmits)


def frames_of(run: Run) -> Evidence:
    """Return the frames of a run in its first file."""
    last = [e.connection.end.number for _, e in run.legs() if e.connection.end.file == run.start.file]
    last += [one.last.number for one in run.execs if one.last.file == run.start.file]
    return Evidence(run.start.file, run.start.number, max([run.start.number, *last]))


def _given_up(run: Run, timeout: int) -> int:
    """Return when a dial ended whose address nobody gave: at its deadline, or with "no route to host" as the kernel gave it up."""
    deadline, unresolved = run.start.ns + timeout, run.unresolved
    if unresolved is None or unresolved.resolved is not None or len(unresolved.requests) < SOLICITATIONS:
        return deadline
    return min(deadline, max(run.start.ns, unresolved.end.ns + GIVEN_UP_NS))


def verdict_of(run: Run, spec: ProbeSpec, seen_until_ns: int | None, *, redial: bool = False) -> Verdict:
    """Judge a whole run as an execution of this probe (runProbeWithRetries: the last try counts).

    The deadline of a `redial` (gRPC) is that of the first dial, which comes sooner.
    """
    timeout = spec.timeout_s * SECOND
    if run.execs:
        return judge_exec(run.execs, timeout, seen_until_ns)
    if not run.tries:
        ended = _given_up(run, timeout)
        soon = ", which the kernel gave up" if ended < run.start.ns + timeout else ""
        return Verdict(
            outcome=Outcome.FAILURE,
            cause=Cause.NEIGHBOUR_UNRESOLVED,
            end_ns=ended,
            detail=f"no answer to the address resolution of {run.server}{soon}",
        )
    verdict: Verdict | None = None
    allowed = timeout
    for hops in run.tries:
        first, last = hops[0], hops[-1]
        begun = attempt_start(first)
        if first.connection.start.ns > begun.ns + timeout:
            waited = (first.connection.start.ns - begun.ns) / SECOND
            verdict = Verdict(
                outcome=Outcome.FAILURE,
                cause=Cause.NEIGHBOUR_UNRESOLVED,
                end_ns=begun.ns + timeout,
                detail=f"address of {run.server} resolved after {waited:.2f} s, after the probe had given up",
            )
            continue
        allowed = _allowed(last, begun.ns, timeout)
        verdict = judge(
            last,
            spec.handler,
            allowed,
            scheme=_scheme(last, spec),
            seen_until_ns=seen_until_ns,
            start_ns=begun.ns,
        )
        if (
            verdict.cause is Cause.OK_REDIRECT
            and (target := redirect_target(last)) is not None
            and same_host(target, run.server)
        ):
            if len(hops) >= MAX_HOPS:
                verdict = replace(
                    verdict,
                    outcome=Outcome.FAILURE,
                    cause=Cause.REDIRECT_LIMIT,
                    detail=f"stopped after {MAX_HOPS} redirects",
                )
            else:
                verdict = replace(
                    verdict,
                    outcome=Outcome.INCONCLUSIVE,
                    cause=Cause.CUT,
                    detail=f"{verdict.detail}, the next hop is not in the capture",
                )
        elif len(hops) > 1 and verdict.outcome is not Outcome.INCONCLUSIVE:
            verdict = replace(
                verdict, detail=f"{verdict.detail} after {len(hops) - 1} redirect{'s' if len(hops) > 2 else ''}"
            )
    assert verdict is not None
    return verdict if redial else _broken_off(run, allowed, verdict)


def _allowed(exchange: Exchange, begun_ns: int, timeout: int) -> int:
    """Return how long an answer may take: a TLS handshake that the server does not answer has a limit of its own."""
    tls, connected = exchange.tls, exchange.connection.orig.first_ack
    if tls is None or tls.client_hello is None or tls.server_hello is not None or connected is None:
        return timeout
    return min(timeout, connected.ns + HANDSHAKE_NS - begun_ns)


def _broken_off(run: Run, timeout_ns: int, verdict: Verdict) -> Verdict:
    """Take back a timeout that its checker did not wait for: it was stopped, or an answer came that the capture does not have.

    One that gives up after another number of whole seconds has another timeoutSeconds than the one declared: its deadline was then.
    """
    if verdict.cause is not Cause.SLOW_ANSWER or not verdict.by_deadline:
        return verdict
    hops = run.tries[-1]
    begun = attempt_start(hops[0]).ns
    close = hops[-1].connection.orig.closed
    if close is None or close.ns > begun + timeout_ns - BROKEN_OFF_NS:
        return verdict
    waited = close.ns - begun
    if (seconds := gave_up_after(waited)) is not None:
        return replace(verdict, end_ns=begun + seconds * SECOND)
    return Verdict(
        outcome=Outcome.INCONCLUSIVE,
        cause=Cause.CUT,
        end_ns=close.ns,
        end_mark=close,
        detail=f"closed by the checker after {waited / SECOND:.2f} s: it was stopped, or the capture lost the answer",
    )


def gave_up_after(waited_ns: int) -> int | None:
    """Return the timeoutSeconds of who closed a connection then without an answer; None where no whole number of seconds had passed.

    What is over a moment too soon was broken off by something else: a timer runs out late, and starts just before the SYN.
    """
    seconds = (waited_ns + LEAD_NS) // SECOND
    return seconds if seconds and waited_ns - seconds * SECOND <= BROKEN_OFF_NS else None


def _scheme(exchange: Exchange, spec: ProbeSpec) -> str:
    if exchange.tls is not None and (exchange.decrypted or exchange.tls.client_hello is not None or not exchange.http):
        return "HTTPS"  # An alert alone may also answer plain HTTP.
    return "HTTP" if exchange.http else spec.scheme


def same_host(location: str, server: str) -> bool:
    """Tell whether a Location stays on the probe's host (RedirectChecker compares URL host names: the pod's address)."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        return False
    return host is None or host == server


def exec_run(tries: tuple[ExecRun, ...], server: str, container: int | None = None) -> Run:
    """Return an execution of a command as a run at a target; who asked the runtime for it is not known."""
    return Run(
        client="",
        server=server,
        form=Form(Ask.EXEC, 0, kubelet=not tries[-1].terminal),
        start=tries[0].start,
        execs=tries,
        container=container,
    )


class Joiner:
    """Joins the connections of one client to one target address."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: list[
            Run
        ] = []  # (No deque: there is one for each client of a target, and an empty one takes 600 bytes.)

    def feed(self, item: Exchange | Unresolved) -> list[Run]:
        """Take the next connection (or unanswered address resolution); return the runs that are complete by now."""
        start = item.start if isinstance(item, Unresolved) else attempt_start(item)
        done = self.advance(start.ns)
        self._take(item, start)
        while len(self._open) > MAX_OPEN:
            done.append(self._open.pop(0))
        return done

    def _take(self, item: Exchange | Unresolved, start: Mark) -> None:
        if isinstance(item, Unresolved):
            self._open.append(
                Run(
                    client=item.client,
                    server=item.server,
                    form=Form(Ask.NOTHING, 0, kubelet=True),
                    start=start,
                    unresolved=item,
                )
            )
        elif not self._join(item):
            connection = item.connection
            self._open.append(
                Run(
                    client=connection.client,
                    server=connection.server,
                    form=form_of(item),
                    start=start,
                    tries=((item,),),
                )
            )

    def outlook(self, items: Sequence[Exchange | Unresolved]) -> list[Run]:
        """Return the runs that are complete, whatever comes, once these were fed as well, which changes nothing here."""
        ahead = Joiner()
        ahead._open = list(self._open)
        for item in items:
            ahead._take(item, item.start if isinstance(item, Unresolved) else attempt_start(item))
        return [run for run in ahead._open if not _may_go_on(run)]

    def advance(self, now_ns: int) -> list[Run]:
        """Hand on, in the order of their starts, the runs that nothing can join after this moment."""
        done = []
        while self._open and (not _may_go_on(self._open[0]) or self._open[0].last_ns() + FOLLOW_NS < now_ns):
            done.append(self._open.pop(0))
        return done

    @property
    def rests_until(self) -> int | None:
        """The moment (ns) up to which `advance`, if it was called last, hands on nothing more; None where no run waits."""
        return self._open[0].last_ns() + FOLLOW_NS if self._open else None

    def finish(self) -> list[Run]:
        """Hand on what is left."""
        done = list(self._open)
        self._open.clear()
        return done

    def _join(self, exchange: Exchange) -> bool:
        """Join a connection to the run that it follows; of several, to the one that has waited for it longest."""
        connection = exchange.connection
        found: list[tuple[int, int, tuple[tuple[Exchange, ...], ...]]] = []
        for index, run in enumerate(self._open):
            if run.unresolved is not None or run.client != connection.client:
                continue
            # A hop may leave before the connection that caused it has seen its last FIN.
            if connection.start.ns - run.last_ns() >= FOLLOW_NS:
                continue
            if (since_ns := _redirects_to(run, exchange)) is not None:
                found.append((since_ns, index, (*run.tries[:-1], (*run.tries[-1], exchange))))
            elif (since_ns := _retries(run, exchange)) is not None:
                found.append((since_ns, index, (*run.tries, (exchange,))))
        if not found:
            return False
        _, index, tries = min(found, key=lambda one: one[:2])
        self._open[index] = replace(self._open[index], tries=tries)
        return True


def attempt_start(exchange: Exchange) -> Mark:
    """Return when an attempt began: with its SYN, or before that with the address resolution that the SYN waited for, seen or not."""
    connection = exchange.connection
    start, made_ns = connection.neighbour or connection.start, connection.start.ns - connection.held_ns
    return start._replace(ns=made_ns) if made_ns < start.ns else start


def _may_go_on(run: Run) -> bool:
    """Tell whether a retry or a redirect could still follow."""
    if not run.tries:
        return False
    last = run.tries[-1][-1]
    target = redirect_target(last)
    if target is not None and len(run.tries[-1]) < MAX_HOPS:
        return same_host(target, run.server)
    if _untold(last) and len(run.tries[-1]) < MAX_HOPS:
        return True
    return is_broken_body(last) and len(run.tries) < MAX_TRIES


def _redirects_to(run: Run, exchange: Exchange) -> int | None:
    """Return when a run was told to go where this connection, which began since, asks; None where it was not."""
    last = run.tries[-1][-1]
    target = redirect_target(last)
    if target is None and len(run.tries[-1]) < MAX_HOPS and _untold(last):
        return _comes_from(last, exchange)
    if target is None or len(run.tries[-1]) >= MAX_HOPS or not same_host(target, run.server):
        return None
    told = last.http[0].header_end or last.http[0].first_byte
    if told is None or exchange.connection.start.ns < told.ns:
        return None
    try:
        # Relative to the hop before, whose scheme, port and path it keeps where it names none.
        scheme = "https" if last.tls is not None else "http"
        host = f"[{run.server}]" if ":" in run.server else run.server
        base = f"{scheme}://{host}:{last.connection.server_port}{last.http[0].target or '/'}"
        parts = urlsplit(urljoin(base, target))
    except ValueError:
        return None
    if exchange.connection.server_port != _port(parts):
        return None
    if form_of(exchange).ask is Ask.CONNECT:
        return None  # It was closed without a request: a tcpSocket probe of the same moment.
    if exchange.http and exchange.http[0].request_end is not None:
        # (From https to http no Referer is sent: net/http refererForURL.)
        asked, bare = exchange.http[0], scheme == "https" and parts.scheme == "http"
        referer = refers_to(exchange)
        if referer is None and not bare:
            return None
        # The hop that the Location names may be missing from the capture: then this one comes from there.
        missing = referer is not None and _same_target(urlunsplit(("", "", *parts[2:4], "")), referer)
        if not _same_target(asked.target, parts) and not missing:
            return None
    return told.ns


def _untold(exchange: Exchange) -> bool:
    """Tell whether a request was answered, for all that the capture shows, by a redirect that it does not have."""
    http = exchange.http[0] if exchange.http else None
    if http is None or http.request_end is None:
        return False
    if http.status is not None:
        return http.status in REDIRECTS and http.lost and redirect_target(exchange) is None
    resp = exchange.connection.resp
    return resp.packets == 0 or resp.gap is not None


def refers_to(exchange: Exchange) -> SplitResult | None:
    """Return the URL that a connection's request says it comes from (net/http refererForURL); None where it says none."""
    said = exchange.http[0].header("Referer") if exchange.http else None
    try:
        return None if said is None else urlsplit(said)
    except ValueError:
        return None


def _comes_from(last: Exchange, exchange: Exchange) -> int | None:
    """Return when the request was made whose answer sent a checker here, by the word of the one that follows; None where it was another."""
    asked, referer = last.http[0], refers_to(exchange)
    if asked.request_end is None or exchange.connection.start.ns < asked.request_end.ns or referer is None:
        return None
    if _port(referer) != last.connection.server_port or not _same_target(asked.target, referer):
        return None
    return asked.request_end.ns


def _port(url: SplitResult) -> int | None:
    """Return the port of a URL."""
    try:
        return url.port or {"http": 80, "https": 443}.get(url.scheme)
    except ValueError:
        return None


def _same_target(asked: str, wanted: SplitResult) -> bool:
    """Tell whether a request's target is that of a URL, however either spells its characters."""
    path, _, query = asked.partition("?")
    return (unquote(path), query) == (unquote(wanted.path) or "/", wanted.query)


def _retries(run: Run, exchange: Exchange) -> int | None:
    """Return when the body broke that this connection, which began since, asks for again; None where it does not."""
    last = run.tries[-1][-1]
    if len(run.tries) >= MAX_TRIES or not is_broken_body(last):
        return None
    form = form_of(exchange)
    orig, resp = last.connection.orig, last.connection.resp
    ends = [mark.ns for mark in (orig.fin, orig.rst, resp.rst, resp.fin) if mark is not None]
    if not ends or exchange.connection.start.ns < min(ends):
        return None
    same = form.port == run.form.port and form.ask in (run.form.ask, Ask.NOTHING) and form.path in (run.form.path, None)
    return min(ends) if same else None


def fits(run: Run, spec: ProbeSpec) -> float | None:
    """Say how well a run's form agrees with a probe: None not at all, 0 wholly, more where something could not be seen."""
    form = run.form
    if run.execs or spec.handler is Handler.EXEC:
        if not run.execs or spec.handler is not Handler.EXEC or run.execs[-1].terminal:
            return None
        return 0.0 if is_command(spec.command, run.execs[-1].arguments) else None
    if spec.port is None:
        return None
    if run.unresolved is not None:
        return 0.0  # Nothing of the request can be seen, not even the port.
    if form.port != spec.port:
        return None
    if not form.kubelet:
        return UNACKED if form.unacked and spec.handler is Handler.TCP_SOCKET else None
    if form.ask is Ask.UNSEEN:
        return None if spec.handler is Handler.TCP_SOCKET else 0.1
    if spec.handler is Handler.HTTP_GET:
        return _fits_http(run, form, spec)
    if spec.handler is Handler.TCP_SOCKET:
        if form.ask is Ask.CONNECT:
            return 0.0
        return 0.2 if form.ask is Ask.NOTHING else None
    if form.ask is Ask.GRPC:
        return None if form.service is not None and form.service != spec.service else 0.0
    if form.ask is Ask.CONNECT:
        return 3.0
    return 0.2 if form.ask is Ask.NOTHING else None


def closed_by_server(connection: Connection) -> bool:
    """Tell whether the server ended a connection before its client did."""
    closed, own = connection.resp.closed, connection.orig.closed
    return closed is not None and (own is None or closed <= own)


def _fits_http(run: Run, form: Form, spec: ProbeSpec) -> float | None:
    if form.ask is Ask.NOTHING:
        return 0.2
    if form.ask is Ask.CONNECT:
        # A dead dial that came through after all closes without a request (Go 1.23+); else a client that was starved
        # or cut off at once.
        connection = run.tries[0][0].connection
        if len(connection.orig.syns) > 1 or run.start.ns + spec.timeout_s * SECOND <= connection.end.ns:
            return 0.1
        return 0.3 if closed_by_server(connection) else 5.0
    if form.ask is not (Ask.TLS if spec.scheme == "HTTPS" else Ask.HTTP):
        return None
    if form.path is None:
        return 0.1
    if form.partial:
        return 0.1 if spec.path.startswith(form.path) else None
    if form.path != spec.path:
        return ORPHANED if _orphaned(run, spec) else None
    wanted = {name.lower(): value for name, value in spec.headers}
    if "user-agent" in wanted:
        if (form.user_agent or not form.cut) and not _sent(run, "user-agent", wanted["user-agent"], form.user_agent):
            return None
    elif not form.version and (form.user_agent or not form.cut):
        return None  # (Varnish and Apache on a node ask without any)
    if "host" in wanted and form.host and not _sent(run, "host", wanted["host"], form.host):
        return None
    return 0.0


def is_hop(run: Run) -> bool:
    """Tell whether an attempt is but the rest of a redirected one, whose first request the capture does not have.

    No manifest can name its Pod's address in a Referer.
    """
    referer = refers_to(run.tries[0][0]) if run.tries else None
    return referer is not None and referer.hostname == run.server


def _orphaned(run: Run, spec: ProbeSpec) -> bool:
    """Tell whether an attempt is the hop that followed what a probe asks."""
    referer = refers_to(run.tries[0][0])
    return referer is not None and is_hop(run) and _port(referer) == spec.port and _same_target(spec.path, referer)


def _sent(run: Run, name: str, value: str, first: str) -> bool:
    """Tell whether a request said this of itself, `first` or later.

    Up to 1.26.1 names went out as typed: `host: x` then stands beside the kubelet's own `Host` (request.go v1HeaderToHTTPHeader).
    """
    if value == first:
        return True
    http = run.tries[0][0].http if run.tries else ()
    return bool(http) and any(said == value for key, said in http[0].headers if key.lower() == name)
