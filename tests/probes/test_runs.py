# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Which connections are one execution of a probe: retries, redirects, and what only looks like them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builder import S
from hypothesis import given
from hypothesis import strategies as st
from make import (
    EXEC,
    GRPC,
    HTTP,
    LIVENESS,
    NODE,
    NODE6,
    OPENED,
    POD,
    POD6,
    READINESS,
    TCP,
    V4,
    answer,
    attempt,
    exchange,
    mark,
    ns,
    request,
    run,
    run_of,
    spec,
    unresolved,
)

from probewatch.model.connection import Unresolved
from probewatch.model.exchange import Exchange, GrpcFacts, TlsFacts
from probewatch.model.timeline import Cause, Outcome, Role
from probewatch.probes import runs as joining
from probewatch.probes.asked import asked
from probewatch.probes.inference import guess
from probewatch.probes.runs import (
    FOLLOW_NS,
    MAX_TRIES,
    Joiner,
    Run,
    attempt_start,
    fits,
    same_host,
    verdict_of,
)

UNTIL = ns(60)


def join(*items: Exchange | Unresolved) -> list[Run]:
    """Join connections in the order of their starts."""
    joiner = Joiner()
    out = [done for item in items for done in joiner.feed(item)]
    return out + joiner.finish()


def hop(at: float, location: str = "", *, path: str = "/ready", port: int = 8080, server: str = POD, referer: bool = True) -> Exchange:
    """Return one hop of a redirect chain; without `location` its end."""
    extra = "Referer: http://10.128.0.10:8080/ready\\r\\n" if referer else ""
    return attempt(at, "sent-away" if location else "ok", path=path, port=port, location=location, extra=extra, server=server,
                   client=NODE6 if ":" in server else NODE)


# Retries.


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_broken_body_is_tried_again_at_once(count) -> None:
    """Up to three connections in a row are one attempt, whose result is thrown away (runProbeWithRetries)."""
    (one,) = join(*[attempt(0.002 * number, "body") for number in range(count)])
    assert len(one.tries) == count
    assert [role for role, _ in one.legs()] == [Role.FIRST] + [Role.RETRY] * (count - 1)
    verdict = verdict_of(one, spec(), UNTIL)
    assert (verdict.outcome, verdict.cause) == (Outcome.DISCARDED, Cause.BODY_BROKEN)


def test_a_starved_node_tries_again_a_little_later() -> None:
    """Where the prober gets no CPU for a moment its next try leaves late, and is its next try all the same."""
    (one,) = join(attempt(0, "body"), attempt(0.09, "body"), attempt(0.2, "body"))
    assert len(one.tries) == 3


def test_the_last_try_counts() -> None:
    """A retry that gets its body makes the attempt a success."""
    (one,) = join(attempt(0, "body"), attempt(0.002, "ok"))
    assert verdict_of(one, spec(), UNTIL).outcome is Outcome.SUCCESS
    (two,) = join(attempt(0, "body"), attempt(0.002, "503"))
    assert verdict_of(two, spec(), UNTIL).cause is Cause.STATUS


def test_a_fourth_connection_is_another_attempt() -> None:
    """Three tries are all (maxProbeRetries)."""
    first, second = join(*[attempt(0.002 * number, "body") for number in range(4)])
    assert (len(first.tries), len(second.tries)) == (MAX_TRIES, 1)


@pytest.mark.parametrize("what", ["ok", "503", "refused", "reset", "hung", "connected"])
def test_nothing_else_is_tried_again(what) -> None:
    """A plain failure is no prober error: what follows it, however soon, is another attempt (pkg/kubelet/prober/prober.go runProbeWithRetries)."""
    first = attempt(0, what)
    assert [len(one.tries) for one in join(first, attempt(1.05 if what == "hung" else 0.002, what))] == [1, 1]


def test_not_joined_when_late() -> None:
    """A retry leaves within milliseconds; the next tick is no retry."""
    assert len(join(attempt(0, "body"), attempt(1, "body"))) == 2
    assert len(join(attempt(0, "body"), attempt(0.0006 + FOLLOW_NS / S + 0.001, "body"))) == 2


def test_not_joined_of_another_form() -> None:
    """A retry asks the same again: another path or port is another probe's attempt, and both are kept."""
    assert len(join(attempt(0, "body"), attempt(0.002, "body", path="/live"))) == 2
    assert len(join(attempt(0, "body"), attempt(0.002, "body", port=9090))) == 2
    assert len(join(attempt(0, "body"), attempt(0.002, "connected"))) == 2


def test_not_joined_while_the_first_is_open() -> None:
    """A second connection while the body still comes is another worker's, not a retry."""
    long = exchange("> S\n < SA\n > A\n > PA 'GET /ready HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'\n"
                    " < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nab'\n > A\n +30ms < RA")
    second = attempt(0.010, "body")
    assert len(join(long, second)) == 2


def test_a_refused_retry_belongs() -> None:
    """A retry that is refused asked nothing and still belongs to its attempt."""
    (one,) = join(attempt(0, "body"), attempt(0.002, "refused"))
    assert verdict_of(one, spec(), UNTIL).cause is Cause.REFUSED


# Redirects.


@pytest.mark.parametrize("server", [POD, POD6], ids=["v4", "v6"])
def test_redirect_on_the_same_host(server) -> None:
    """A relative Location is followed on a new connection; both are one attempt (`http-redirect-same`)."""
    (one,) = join(hop(0, "/next", server=server, referer=False), hop(0.002, path="/next", server=server))
    assert [role for role, _ in one.legs()] == [Role.FIRST, Role.REDIRECT]
    verdict = verdict_of(one, spec(), UNTIL)
    assert (verdict.outcome, verdict.cause) == (Outcome.SUCCESS, Cause.OK)
    assert verdict.detail == "200 OK after 1 redirect"


def test_redirect_to_another_port() -> None:
    """Same host, other port is followed too (`http-redirect-port`)."""
    (one,) = join(hop(0, f"http://{POD}:9090/next", referer=False), hop(0.002, port=9090, path="/next"))
    assert len(one.legs()) == 2
    assert one.form.port == 8080


def test_redirect_to_another_port_refused() -> None:
    """The last hop's fate is the attempt's."""
    (one,) = join(hop(0, f"http://{POD}:9090/next", referer=False), attempt(0.002, "refused", port=9090))
    assert verdict_of(one, spec(), UNTIL).cause is Cause.REFUSED


def test_redirect_to_another_host() -> None:
    """Another host is not followed: success with a warning, and what follows by chance is its own attempt."""
    one, two = join(hop(0, "http://other.example/", referer=False), attempt(0.002))
    verdict = verdict_of(one, spec(), UNTIL)
    assert (verdict.outcome, verdict.cause) == (Outcome.SUCCESS, Cause.OK_REDIRECT)
    assert len(two.legs()) == 1


def test_another_probe_of_the_moment_is_no_hop() -> None:
    """A hop says where it comes from and asks for what the Location names: two probes sent away together are two attempts, each with its own."""
    first, second = hop(0, "/ok", referer=False), hop(0.0009, "/ok", referer=False)
    runs = join(first, second, hop(0.0018, path="/ok"), hop(0.0027, path="/ok"))
    assert [[e.connection.start.ns for _, e in one.legs()] for one in runs] == [[ns(0), ns(0.0018)], [ns(0.0009), ns(0.0027)]]
    assert [len(one.legs()) for one in join(first, attempt(0.0018, "ok", path="/ok"))] == [1, 1]
    assert [len(one.legs()) for one in join(first, hop(0.0018, path="/other"))] == [1, 1]


@pytest.mark.parametrize(("location", "path"), [("next?a=b", "/v1/next?a=b"), ("?a", "/v1/ready?a"), ("/a b", "/a%20b"), (f"http://{POD}:8080", "/"), ("#x", "/v1/ready")])
def test_a_location_is_relative_to_the_hop_before(location, path) -> None:
    """A Location without scheme, host or path keeps those of the request it answers (RFC 3986 section 5)."""
    (one,) = join(hop(0, location, path="/v1/ready", referer=False), hop(0.002, path=path))
    assert [role for role, _ in one.legs()] == [Role.FIRST, Role.REDIRECT]


def test_redirect_loop() -> None:
    """Ten requests, then `stopped after 10 redirects`; the eleventh connection is the next attempt (`http-redirect-loop`)."""
    chain = [hop(0.002 * number, "/ready", referer=number > 0) for number in range(10)]
    one, two = join(*chain, hop(0.030, "/ready", referer=False))
    assert len(one.tries) == 1
    assert len(one.tries[0]) == 10
    verdict = verdict_of(one, spec(), UNTIL)
    assert (verdict.outcome, verdict.cause, verdict.detail) == (Outcome.FAILURE, Cause.REDIRECT_LIMIT, "stopped after 10 redirects")
    assert len(two.legs()) == 1


def test_redirect_without_its_next_hop() -> None:
    """A hop that is not in the capture leaves the attempt inconclusive."""
    verdict = verdict_of(join(hop(0, "/next", referer=False))[0], spec(), UNTIL)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, Cause.CUT)


def half(at: float, path: str, referer: str = "", server: str = POD) -> Exchange:
    """Return what a capture of the checker's direction has of a request and its close."""
    host, client = (f"[{server}]:8080", f"[{NODE6}]") if ":" in server else (f"{server}:8080", NODE)
    asked = request(path, host, extra=f"Referer: {referer}\\r\\n" if referer else "")
    return exchange(f"> S\n > A ack=1\n > PA {asked} ack=1\n > FA ack=60", f"{client}:{32_768 + 2 * round(at * 1000)} > {host}", at=at)


@pytest.mark.parametrize("server", [POD, POD6], ids=["v4", "v6"])
def test_a_hop_names_whom_it_comes_from(server) -> None:
    """Where no answer was captured, the Referer tells a redirect's hop from another attempt (net/http refererForURL)."""
    url = f"http://[{server}]:8080" if ":" in server else f"http://{server}:8080"
    chain = [half(0, "/ready?a", server=server), half(0.002, "/next", f"{url}/ready?a", server), half(0.004, "/last", f"{url}/next", server)]
    one, two = join(*chain, half(0.006, "/ready?a", server=server))
    assert [role for role, _ in one.legs()] == [Role.FIRST, Role.REDIRECT, Role.REDIRECT]
    assert len(two.legs()) == 1


@pytest.mark.parametrize("second", [
    half(0.002, "/next"), half(0.002, "/next", f"http://{POD}:8080/live"), half(0.002, "/next", f"http://{POD}:9090/ready"),
    half(0.002, "/next", "http://[oops/ready"), half(0.002, "/next", f"http://{POD}:99999/ready"), half(0.9, "/next", f"http://{POD}:8080/ready"),
], ids=["none", "another path", "another port", "no URL", "no port", "late"])
def test_no_hop_of_another(second) -> None:
    """A request that names nobody, or somebody else, or comes much later, is another attempt."""
    assert [len(one.legs()) for one in join(half(0, "/ready"), second)] == [1, 1]


def test_who_was_answered_sent_nobody() -> None:
    """A request that was answered otherwise than by a redirect is followed by nothing, whatever the next one says."""
    assert [len(one.legs()) for one in join(attempt(0), half(0.002, "/next", f"http://{POD}:8080/ready"))] == [1, 1]


def test_a_hop_between_may_be_missing() -> None:
    """The hop that a Location names may be lost: the next one comes from there."""
    (one,) = join(hop(0, "/a", referer=False), half(0.004, "/b", f"http://{POD}:8080/a"))
    assert [role for role, _ in one.legs()] == [Role.FIRST, Role.REDIRECT]


def test_a_hop_alone_belongs_to_whom_it_names() -> None:
    """A hop whose first request is not in the capture is an attempt of the probe that its Referer names, and no probe of its own."""
    (one,) = join(half(0, "/next", f"http://{POD}:8080/ready"))
    assert fits(one, spec()) == joining.ORPHANED
    assert fits(one, spec(path="/live")) is None
    declared = spec(path="/next", headers=(("Referer", "http://shop.example/"),))
    (other,) = join(half(0, "/next", "http://shop.example/"))
    assert fits(other, declared) == 0.0
    assert guess([one, *join(half(1, "/next", f"http://{POD}:8080/ready"))]) == []
    (path,) = (found for found in asked([one], HTTP) if found.field == "path")
    assert not path.visible


def test_redirects_share_one_deadline() -> None:
    """A chain whose last answer comes after the first SYN + timeoutSeconds failed (http.Client.Timeout)."""
    late = exchange("> S\n < SA\n > A\n > PA 'GET /next HTTP/1.1\\r\\nHost: x\\r\\nReferer: http://x/\\r\\nConnection: close\\r\\n\\r\\n'\n"
                    " +999ms < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > A\n > FA\n < FA\n > A", at=0.010)
    (one,) = join(hop(0, "/next", referer=False), late)
    assert len(one.legs()) == 2
    assert verdict_of(one, spec(), UNTIL).outcome is Outcome.FAILURE


@pytest.mark.parametrize(("location", "server", "same"), [
    ("/next", POD, True), ("next", POD, True), ("?a=b", POD, True), (f"http://{POD}/x", POD, True), (f"https://{POD}:8443/x", POD, True),
    (f"//{POD}/x", POD, True), ("http://10.128.0.11/x", POD, False), ("https://example.com/", POD, False), (f"http://[{POD6}]:8080/", POD6, True),
    ("http://[fd00::99]/", POD6, False), ("http://[oops/", POD, False),
])
def test_same_host(location, server, same) -> None:
    """RedirectChecker compares host names of URLs, not ports and schemes."""
    assert same_host(location, server) is same


@given(st.text(max_size=60))
def test_any_location_is_an_answer(text) -> None:
    """A Location is hostile: any text says yes or no."""
    assert same_host(text, POD) in (True, False)


# Giving up.


@pytest.mark.parametrize(("waited", "declared", "end"), [(1, 1, 1), (1, 2, 1), (1, 5, 1), (3, 5, 3), (3, 1, 1)])
def test_who_hangs_up_after_whole_seconds_had_that_deadline(waited, declared, end) -> None:
    """Where the checker's FIN comes sooner than the declared timeout, the attempt ended then: the FIN is a fact, the number is not."""
    verdict = verdict_of(run(0, "hung", timeout=waited), spec(timeout_s=declared), UNTIL)
    assert (verdict.outcome, verdict.cause, verdict.end_ns, verdict.by_deadline) == (Outcome.FAILURE, Cause.SLOW_ANSWER, ns(end), True)


# Joining in general.


def test_address_resolution_is_a_run_of_its_own() -> None:
    """A round of who-has in vain is an attempt without a connection; it fails by its deadline."""
    (one,) = join(unresolved(0))
    assert one.tries == ()
    verdict = verdict_of(one, spec(timeout_s=2), UNTIL)
    assert (verdict.outcome, verdict.cause, verdict.end_ns, verdict.end_mark) == (Outcome.FAILURE, Cause.NEIGHBOUR_UNRESOLVED, ns(2), None)


def test_attempt_starts_with_the_resolution_it_waited_for() -> None:
    """`start` is the first frame an attempt caused: who-has before its SYN, where there was one."""
    one = attempt(1)
    assert attempt_start(one) == one.connection.start
    waited = replace(one, connection=replace(one.connection, neighbour=mark(0.9)))
    assert attempt_start(waited) == mark(0.9)


def test_runs_are_handed_on_in_order_and_once() -> None:
    """Nothing is lost, doubled or overtaken, however retries of several probes interleave."""
    items = [attempt(0, "body"), attempt(0.001, "ok", path="/live"), attempt(0.002, "body"), attempt(0.004, "body"), attempt(1, "ok")]
    out = join(*items)
    assert [one.start.ns for one in out] == sorted(one.start.ns for one in out)
    assert sum(len(one.legs()) for one in out) == len(items)
    assert [len(one.tries) for one in out] == [3, 1, 1]


def test_a_run_is_complete_as_soon_as_nothing_can_join() -> None:
    """An ordinary attempt waits for nothing; a broken body waits for its retry, and not for ever."""
    joiner = Joiner()
    joiner.feed(attempt(0, "ok"))
    assert len(joiner.advance(ns(0.01))) == 1
    joiner.feed(attempt(1, "body"))
    assert joiner.advance(ns(1.01)) == []
    assert len(joiner.advance(ns(1.2))) == 1


def flood(count: int) -> list[Exchange]:
    """Return broken bodies of one instant, each on a port of its own, so that none is a retry of another."""
    one = attempt(0, "body")
    return [replace(one, connection=replace(one.connection, server_port=1 + number, id=number)) for number in range(count)]


def test_waiting_runs_are_bounded(monkeypatch) -> None:
    """A flood of broken bodies ends in runs, not in memory: the oldest is handed on."""
    monkeypatch.setattr(joining, "MAX_OPEN", 16)
    joiner = Joiner()
    done = [run for item in flood(40) for run in joiner.feed(item)]
    assert len(done) == 24
    assert len(joiner.finish()) == 16


def test_a_flood_of_broken_bodies_takes_no_longer_each(monkeypatch) -> None:
    """Each connection is held against a bounded number of waiting runs, so that a hostile capture cannot make the joiner crawl."""
    asked = 0

    def counting(*_: object) -> None:
        nonlocal asked
        asked += 1

    monkeypatch.setattr(joining, "_retries", counting)
    joiner = Joiner()
    for item in flood(600):
        joiner.feed(item)
    assert asked <= 600 * 128


# Does a run fit a probe?


def test_fits_by_port_and_path() -> None:
    """Port and path must be the probe's."""
    assert fits(run(0), spec()) == 0.0
    assert fits(run(0), spec(port=9090)) is None
    assert fits(run(0, agent=""), spec()) is None
    assert fits(run(0), spec(path="/live")) is None
    assert fits(run(0, path="/ready?x=1"), spec(path="/ready")) is None


def test_fits_by_handler() -> None:
    """What was asked excludes other handlers; exec never fits, nor does a port that no name resolves to."""
    assert fits(run(0), spec(handler=TCP)) is None
    assert fits(run(0), spec(handler=GRPC)) is None
    assert fits(run(0), spec(handler=EXEC)) is None
    assert fits(run(0), spec(port=None)) is None
    assert fits(run(0), spec(scheme="HTTPS")) is None
    assert fits(run(0, "connected"), spec(handler=TCP)) == 0.0


def test_fits_by_headers() -> None:
    """A declared User-Agent or Host must be seen; without one the kubelet's own must."""
    assert fits(run(0, agent="mine/1"), spec()) is None
    assert fits(run(0, agent="mine/1"), spec(headers=(("User-Agent", "mine/1"),))) == 0.0
    assert fits(run(0), spec(headers=(("user-agent", "mine/1"),))) is None
    assert fits(run(0), spec(headers=(("Host", "shop.example"),))) is None


END = "\\r\\n"


@pytest.mark.parametrize(("typed", "declared"), [("user-agent: mine/1", "User-Agent"), ("host: mine/1", "Host"), ("x-a: 1", "X-A")])
def test_fits_by_headers_as_typed(typed: str, declared: str) -> None:
    """Kubelets up to 1.26.1 send a header's name as it was typed, beside their own of that name (prober.go buildHeader, later request.go v1HeaderToHTTPHeader)."""
    old = run_of(exchange(OPENED + f"> PA {request(agent='kube-probe/1.25', extra=typed + END)}\n < PA {answer()}\n > FA\n < FA\n > A"))
    assert fits(old, spec(headers=((declared, typed.partition(": ")[2]),))) == 0.0
    assert fits(old, spec(headers=((declared, "other"),))) == (0.0 if declared == "X-A" else None)


@pytest.mark.parametrize("handler", [HTTP, TCP, GRPC])
@pytest.mark.parametrize("what", ["refused", "unanswered"])
def test_nothing_asked_fits_everything_on_its_port(handler, what) -> None:
    """A refused SYN carries no path: it fits each probe of its port nearly wholly."""
    fit = fits(run(0, what), spec(handler=handler))
    assert fit is not None
    assert 0 < fit < 1
    assert fits(run(0, what), spec(handler=handler, port=1)) is None


def test_an_unresolved_address_fits_everything() -> None:
    """Who-has shows not even a port."""
    (one,) = join(unresolved(0))
    assert fits(one, spec()) == fits(one, spec(handler=TCP, port=1)) == 0.0


def test_a_dead_dial_fits_http_better_than_a_short_silence() -> None:
    """A connection without a request is an httpGet's dead dial where it is old, and hardly an httpGet where it is not (captures/http-blackhole, port 36178)."""
    zombie = run_of(exchange("> S\n +1s > S seq=0\n < SA\n > A\n > FA\n < FA\n > A"))
    dead, short = fits(zombie, spec()), fits(run(0, "connected"), spec())
    assert dead is not None
    assert short is not None
    assert dead < 1 < short


def test_grpc_service_must_be_the_probes() -> None:
    """Another service name is another probe; an unanswered preface shows none and fits any."""
    def asks(service: str | None) -> Run:
        grpc = GrpcFacts(preface=mark(0), user_agent="kube-probe/1.36 grpc-go/1.81.1" if service is not None else "", service=service)
        return run_of(exchange("> S\n < SA\n > A\n > PA 'x'\n > FA\n < FA\n > A", V4, grpc=grpc, http=()))

    assert fits(asks("live"), spec(handler=GRPC, service="live")) == 0.0
    assert fits(asks("live"), spec(LIVENESS, handler=GRPC)) is None
    assert fits(asks(None), spec(READINESS, handler=GRPC, service="live")) == 0.0


def test_encrypted_request_fits_any_path() -> None:
    """TLS without keys shows no path."""
    tls = run_of(exchange("> S\n < SA\n > A\n > PA '\\x16\\x03\\x01'\n < A\n > FA\n < FA\n > A", tls=TlsFacts(client_hello=mark(0)), http=()))
    fit = fits(tls, spec(scheme="HTTPS", path="/anything"))
    assert fit is not None
    assert fit < 1
    assert fits(tls, spec(scheme="HTTP")) is None


def test_foreign_forms_fit_nothing() -> None:
    """What no kubelet sends fits no probe, port and path or not."""
    assert fits(run_of(exchange("> S\n < SA\n > RA")), spec(handler=TCP)) is None


@pytest.mark.parametrize(("timeout", "ended"), [(4, 4.0), (15, 10.0)])
def test_a_tls_handshake_has_a_limit_of_its_own(timeout: int, ended: float) -> None:
    """An unanswered ClientHello fails after ten seconds though timeoutSeconds is longer (apimachinery SetOldTransportDefaults); what comes then is the next attempt."""
    hello = exchange(OPENED + f"> PA '\\x16\\x03\\x01'\n < A\n +{ended}s > FA\n +40ms < A", tls=TlsFacts(client_hello=mark(0)), http=())
    verdict = verdict_of(run_of(hello), spec(scheme="HTTPS", timeout_s=timeout), UNTIL)
    assert (verdict.outcome, verdict.cause) == (Outcome.FAILURE, Cause.SLOW_ANSWER)
    assert abs(verdict.end_ns - ns(ended)) < 1_000_000


# What is known later.


def test_a_close_that_is_seen_later_counts() -> None:
    """A silence that was judged when its deadline came is judged by its close once that is known, and is no hole of the capture."""
    (known,) = join(attempt(0, "hung"))
    one = known.tries[0][0]
    early = replace(one.connection, orig=replace(one.connection.orig, fin=None, fin_acked=None))
    before = replace(known, tries=((replace(one, connection=early),),))
    assert verdict_of(before, spec(), UNTIL).cause is Cause.CUT
    after = joining.as_known(before, lambda _: one.connection)
    assert verdict_of(after, spec(), UNTIL).cause is Cause.SLOW_ANSWER
    assert joining.as_known(before, lambda connection: connection) is before
