# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Each capture is diagnosed as what it shows, and as nothing else; and so are conversations written for what no capture shows.

Covers `probes.diagnose`, `probes.patterns`, `model.diagnoses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builder import S
from make import (
    LIVENESS,
    NODE,
    NODE6,
    OPENED,
    POD,
    POD6,
    READINESS,
    STARTUP,
    answer,
    connection,
    edge,
    every,
    exchange,
    frames,
    ns,
    probes,
    request,
    script_of,
    spec,
    timeline_of,
)  # fmt: skip

import probewatch
from probewatch.model.book import AddressBook
from probewatch.model.diagnoses import DIAGNOSES, Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.exchange import GrpcFacts, TlsFacts
from probewatch.model.frame import Frame, Mark
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.symptoms import SYMPTOMS
from probewatch.model.timeline import (
    UNSEEN,
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Gap,
    Outcome,
    Probe,
    Role,
    Target,
    Timeline,
    TimelineEvent,
    TlsSummary,
)  # fmt: skip
from probewatch.observer import Observer, Settings
from probewatch.observer.build import judged_attempt, leg
from probewatch.probes.diagnose import RULES, diagnose
from probewatch.probes.judge import Verdict, judge
from probewatch.probes.patterns import explain
from probewatch.report.verdict import judge as judge_probe
from probewatch.report.words import label
from probewatch.report.words import request as words_of

SHOWN: dict[str, set[Kind]] = {
    "accept-no-answer": {Kind.APPLICATION_SLOW},
    "grpc-flap": {Kind.GRPC_UNHEALTHY, Kind.RESET_AFTER_ANSWER},
    "grpc-on-http": {Kind.GRPC_OTHER_PROTOCOL},
    "grpc-refused": {Kind.GRPC_REFUSED},
    "http-404": {Kind.TURNED_AWAY},
    "http-arp-dead": {Kind.NOBODY_AT_ADDRESS},
    "http-big-body": {Kind.RESET_AFTER_ANSWER},
    "http-blackhole": {Kind.SYN_UNANSWERED},
    "http-close-body": {Kind.BROKEN_BODY},
    "http-fast-manual": {Kind.STILL_STARTING, Kind.POKED},
    "http-flap-below": {Kind.SAYS_UNHEALTHY},
    "http-flap-s1": {Kind.SAYS_UNHEALTHY},
    "http-flap-s2": {Kind.SAYS_UNHEALTHY},
    "http-icmp-reject": {Kind.REJECTED},
    "http-redirect-loop": {Kind.REDIRECT_FAILED},
    "http-redirect-other": {Kind.REDIRECT_ELSEWHERE},
    "http-redirect-same": {Kind.REDIRECT_FOLLOWED},
    "http-reset-body": {Kind.BROKEN_BODY},
    "http-reset-head": {Kind.RESET_BY_SERVER},
    "http-timeout": {Kind.APPLICATION_SLOW},
    "https-503": {Kind.SAYS_UNHEALTHY},
    "https-flap": {Kind.SAYS_UNHEALTHY},
    "https-tls12": {Kind.RESET_AFTER_ANSWER},
    "https-on-http": {Kind.HTTPS_TO_HTTP},
    "https-on-http-garbage": {Kind.HTTPS_TO_HTTP},
    "https-suites": {Kind.SAYS_UNHEALTHY, Kind.TLS_REFUSED},
    "k120-restart": {Kind.APPLICATION_SLOW, Kind.STILL_STARTING},
    "k120-three-types": {Kind.APPLICATION_SLOW, Kind.STILL_STARTING, Kind.REDIRECT_ELSEWHERE, Kind.SILENT_BY_DESIGN},
    "k136-http-flap-s1": {Kind.SAYS_UNHEALTHY, Kind.STILL_STARTING, Kind.POKED},
    "k136-liveness-restart": {Kind.SAYS_UNHEALTHY, Kind.RESTART_LOOP, Kind.STILL_STARTING, Kind.POKED, Kind.SILENT_BY_DESIGN},
    "k136-startup-probe": {Kind.STILL_STARTING},
    "initial-delay": {Kind.SILENT_BY_DESIGN},
    "kubelet-restart": {Kind.POKED, Kind.SILENT_BY_DESIGN},
    "listen-queue": {Kind.LISTEN_QUEUE_FULL},
    "liveness-restart": {Kind.SAYS_UNHEALTHY, Kind.RESTART_LOOP, Kind.POKED, Kind.SILENT_BY_DESIGN},
    "mid-http-flap-s1": {Kind.SAYS_UNHEALTHY},
    "mid-k136-liveness-restart": {Kind.SAYS_UNHEALTHY, Kind.RESTART_LOOP, Kind.STILL_STARTING, Kind.POKED, Kind.SILENT_BY_DESIGN},
    "mtu-black-hole": {Kind.BIG_SEGMENTS_LOST},
    "ready-but-down": {Kind.SAYS_UNHEALTHY, Kind.STILL_STARTING},
    "ready-but-down6": {Kind.SAYS_UNHEALTHY, Kind.STILL_STARTING},
    "rollout": {Kind.SAYS_UNHEALTHY, Kind.STILL_STARTING},
    "startup-probe": {Kind.STILL_STARTING},
    "tcp-blackhole": {Kind.SYN_UNANSWERED},
    "tcp-flap": {Kind.NOTHING_LISTENS, Kind.STILL_STARTING},
    "tcp-wrong-port": {Kind.NOTHING_LISTENS},
    "terminating": {Kind.POD_TERMINATING},
}
"""What each capture of a kubelet shows; one that is not named shows nothing to diagnose."""
ELSEWHERE = {"multi"}
"""Captures of several pods, tested below for themselves or not at all."""


def of_folder(folder: Path, *names: str) -> Timeline:
    """Analyze captures with what lies beside them."""
    keys = folder / "keys.log"
    return probewatch.analyze(
        [folder / name for name in names], spec=sorted(folder.glob("pod*.yaml")), keylog=keys if keys.exists() else None
    )


def kinds(probes: Sequence[Probe]) -> set[str]:
    """Return the kinds of all diagnoses of kubelets' probes."""
    return {one.kind for probe in probes if probe.checker.kind == "kubelet" for one in probe.diagnoses}


def test_each_capture_is_diagnosed_as_what_it_shows(kubelet_scenario: Path) -> None:
    """Exactly the diagnoses of the table, for every attempt that failed; a probe's diagnoses are those of its attempts, and no others' numbers."""
    name = kubelet_scenario.name
    if name in ELSEWHERE or not (kubelet_scenario / "capture.pcap").exists():
        pytest.skip("several pods")
    timeline = of_folder(kubelet_scenario, "capture.pcap")
    assert kinds(timeline.probes) == SHOWN.get(name, set())
    for probe in timeline.probes:
        numbers = {a.n: a for a in probe.attempts}
        for one in probe.diagnoses:
            assert one.rows == DIAGNOSES[Kind(one.kind)].rows or one.kind in (Kind.STILL_STARTING, Kind.UNHEALTHY_TOGETHER)
            assert set(one.rows) <= set(SYMPTOMS)
            assert set(one.attempts) <= set(numbers)
            assert len(one.evidence) == min(len(one.attempts), 8)
        for a in probe.attempts:
            if a.diagnosis is not None:
                assert a.n in next(one for one in probe.diagnoses if one.kind == a.diagnosis.kind).attempts


@pytest.mark.parametrize("name", ["listen-queue", "mtu-black-hole"])
def test_captures_of_the_stand_in(captures: Path, name: str) -> None:
    """The laboratory's captures with a stand-in for the kubelet show what their names say, and nothing else."""
    assert kinds(of_folder(captures / name, "capture.pcap").probes) == SHOWN[name]


def test_three_places_tell_where_it_died(captures: Path) -> None:
    """With bridge, veth and pod's end at hand each lost segment is placed between two of them, at the attempts whose packets were dropped there."""
    timeline = of_folder(captures / "three-places", "node.pcapng", "pod.pcapng")
    (probe,) = timeline.probes
    died = {(one.segment, one.seen, one.missing[:1]) for a in probe.attempts for x in a.legs for one in x.died if a.outcome is not Outcome.SUCCESS}
    assert died == {
        ("SYN-ACK", ("eth0", "veth3"), ("tun0",)),
        ("SYN", ("tun0",), ("veth3",)),
        ("answer", ("eth0", "veth3"), ("tun0",)),
    }
    assert kinds([probe]) == {Kind.SYN_ACK_LOST, Kind.LOST_BEFORE_POD, Kind.ANSWER_LOST}
    assert any(one.sentence == "SYN left tun0, never reached veth3." for one in probe.diagnoses)
    for a in probe.attempts:
        assert (a.diagnosis is None) == (a.outcome is Outcome.SUCCESS)


def test_fewer_places_say_less(captures: Path) -> None:
    """Without the pod's end the same packets leave open whether the answer was ever given; nothing is invented."""
    (probe,) = of_folder(captures / "three-places", "pod.pcapng").probes
    assert not any(x.died for a in probe.attempts for x in a.legs)


def test_good_ways_are_not_blamed(captures: Path) -> None:
    """Two vantage points that see everything place no loss."""
    timeline = of_folder(captures / "tcp-ready", "tun0.pcap", "capture.pcap")
    assert not any(x.died for probe in timeline.probes for a in probe.attempts for x in a.legs)


# Conversations.


FOUR, SIX = (NODE, "10.128.0.{}"), (NODE6, "fd00:10:128::{}")
BOTH = pytest.mark.parametrize("family", [FOUR, SIX], ids=["v4", "v6"])


def pod(address: str, *declared: ProbeSpec, name: str = "web") -> PodSpec:
    """Return a Pod of one container."""
    return PodSpec(source=f"{name}.yaml", name=name, addresses=(address,), containers=(ContainerSpec(name="app", probes=declared),))


def book(*pods: PodSpec) -> AddressBook:
    """Return what declares these Pods."""
    return AddressBook(pods={one.addresses[0]: (one,) for one in pods})


def watch(*scripts: tuple[float, str, str], known: AddressBook) -> list[Probe]:
    """Return the probes that conversations show; they begin 20 s after the capture did."""
    return list(timeline_of([edge(), *frames(*scripts)], known).probes)


def ends(family: tuple[str, str], sport: int, port: int = 8080, last: int = 10, client: str = "") -> str:
    """Return `client:sport > server:port`."""
    source, server = client or family[0], family[1].format(last)
    return f"[{source}]:{sport} > [{server}]:{port}" if ":" in server else f"{source}:{sport} > {server}:{port}"


def conversations(family: tuple[str, str], script: str, count: int = 4, *, port: int = 8080, path: str = "/ready", good: int = 4) -> tuple[list[tuple[float, str, str]], AddressBook]:
    """Return good attempts and then others after a script, once in 10 s, and the Pod that declares them."""
    server = family[1].format(10)
    asks = request(path, f"[{server}]:{port}" if ":" in server else f"{server}:{port}")
    out = probes(every(10, good), client=family[0], server=server, port=port, path=path)
    out += [(at, ends(family, 50_001 + 2 * n, port), script.replace("{request}", asks)) for n, at in enumerate(every(10, count, 10.0 * good))]
    out += probes([10.0 * (good + count)], client=family[0], server=server, port=port, path=path)
    return out, book(pod(server, spec(path=path, port=port, period_s=10)))


ASKED = OPENED + "> PA {request}\n < A\n "
AWAY = answer("302 Found", "", "Location: http://example.com/\\r\\n")
ON = answer("302 Found", "", "Location: /x\\r\\n")
CLOSES = "\n > A\n < FA\n > FA\n < A"
ONE: dict[str, tuple[str, Kind, dict[str, Any]]] = {
    "refused": ("> S\n < RA", Kind.NOTHING_LISTENS, {}),
    "sidecar": ("> S\n < RA", Kind.SIDECAR_DOWN, {"port": 15021, "path": "/healthz/ready"}),
    "syn": ("> S", Kind.SYN_UNANSWERED, {}),
    "syn-ack": ("> S\n < SA\n +1s < SA\n > R", Kind.SYN_ACK_LOST, {}),
    "syn-ack late": ("> S\n +1.2s < SA\n > R", Kind.NODE_STALLED, {}),
    "first syn lost": ("> S\n +1.0s > S seq=0\n +200us < SA\n > R", Kind.SYN_UNANSWERED, {}),
    "syn-ack comes late": ("> S\n < SA\n +1.02s > S seq=0\n < SA seq=0\n > A\n > FA\n < FA\n > A", Kind.SYN_ACK_LOST, {}),
    "challenge": ("> S\n < A seq=777777 ack=888888\n > R seq=888888", Kind.TUPLE_COLLISION, {}),
    "slow": (ASKED + "+999ms > FA\n +40ms < A", Kind.APPLICATION_SLOW, {}),
    "request lost": (OPENED + "> PA {request}\n +200ms > PA seq=1 {request}\n +400ms > PA seq=1 {request}\n +400ms > FA", Kind.REQUEST_LOST, {}),
    "request late": (OPENED + "> PA {request}\n +200ms > PA seq=1 {request}\n +400ms > PA seq=1 {request}\n +100us < A\n +399ms > FA\n < A", Kind.REQUEST_LOST, {}),
    "late kernel": (OPENED + "> PA {request}\n +600ms < A\n +399ms > FA\n < A", Kind.NODE_STALLED, {}),
    "asked late": (OPENED + "+900ms > PA {request}\n < A\n +90ms > FA\n < A", Kind.KUBELET_LATE, {}),
    "noticed late": (ASKED + f"+100ms < PA {answer()}\n > A\n +1.5s > FA\n < FA\n > A", Kind.KUBELET_LATE, {}),
    "answer lost": (ASKED + f"< PA {answer()}\n +200ms < PA seq=1 {answer()}\n +400ms < PA seq=1 {answer()}\n +402ms > FA ack=1\n < A", Kind.ANSWER_LOST, {}),
    "big answer lost": (ASKED + f"< PA {answer(body='x' * 1400)}\n +200ms < PA seq=1 {answer(body='x' * 1400)}\n +802ms > FA ack=1\n < A", Kind.BIG_SEGMENTS_LOST, {}),
    "closed": (ASKED + "< FA\n > FA\n < A", Kind.CLOSED_UNANSWERED, {}),
    "reset": (ASKED + "< RA", Kind.RESET_BY_SERVER, {}),
    "ssh": (ASKED + f"< PA 'SSH-2.0-OpenSSH_9.2\\r\\n'{CLOSES}", Kind.NOT_HTTP, {}),
    "403": (ASKED + f"< PA {answer('403 Forbidden')}{CLOSES}", Kind.TURNED_AWAY, {}),
    "bare 400": (ASKED + "< PA 'HTTP/1.0 400 Bad Request\\r\\n\\r\\nClient sent an HTTP request to an HTTPS server.\\n'" + CLOSES, Kind.HTTP_TO_HTTPS, {}),
    "alert": (ASKED + "< PA '\\x15\\x03\\x01\\x00\\x02\\x02\\x46'" + CLOSES, Kind.HTTP_TO_HTTPS, {}),
    "500": (ASKED + f"< PA {answer('500 Internal Server Error')}{CLOSES}", Kind.SAYS_UNHEALTHY, {}),
    "masked": (ASKED + f"< PA {answer('500 Internal Server Error')}{CLOSES}", Kind.MESH_HIDES_IT, {"port": 15020, "path": "/app-health/app/readyz"}),
    "502": (ASKED + f"< PA {answer('502 Bad Gateway')}{CLOSES}", Kind.BEHIND_THE_PROXY, {}),
    "504": (ASKED + f"+900ms < PA {answer('504 Gateway Time-out')}{CLOSES}", Kind.BEHIND_THE_PROXY, {}),
    "503 of a proxy": (ASKED + f"< PA {answer('503 Service Unavailable', 'No server is available to handle this request.')}{CLOSES}", Kind.BEHIND_THE_PROXY, {}),
    "503 with a page": (ASKED + f"< PA {answer('503 Service Unavailable', 'The database is not available.')}{CLOSES}", Kind.SAYS_UNHEALTHY, {}),
    "400 of a TLS port": (ASKED + f"< PA {answer('400 Bad Request', 'The plain HTTP request was sent to HTTPS port')}{CLOSES}", Kind.HTTP_TO_HTTPS, {}),
    "400 with a page": (ASKED + f"< PA {answer('400 Bad Request', 'Invalid Host header')}{CLOSES}", Kind.TURNED_AWAY, {}),
    "elsewhere": (ASKED + f"< PA {AWAY}{CLOSES}", Kind.REDIRECT_ELSEWHERE, {}),
    "body": (ASKED + f"< PA {answer(length=900)}\n > A\n < RA", Kind.BROKEN_BODY, {}),
    "rst after answer": (ASKED + f"< PA {answer()}\n > RA", Kind.RESET_AFTER_ANSWER, {}),
}


@BOTH
@pytest.mark.parametrize("what", ONE)
def test_one_connection_has_one_diagnosis(family: tuple[str, str], what: str) -> None:
    """Each conversation is diagnosed as the one kind of its row, at each attempt, and the good ones before it as nothing."""
    script, kind, how = ONE[what]
    scripts, known = conversations(family, script, **how)
    (probe,) = watch(*scripts, known=known)
    assert kinds([probe]) == {kind}
    told = [a.n for a in probe.attempts if a.diagnosis is not None]
    assert told == [5, 6, 7, 8]
    assert probe.diagnoses[0].attempts == (5, 6, 7, 8)


def alone(family: tuple[str, str], *scripts: str, good_at: Sequence[int] = (), scheme: str = "HTTP", timeout_s: int = 1) -> Probe:
    """Return a probe whose attempts follow these scripts, once in 10 s; at the places of `good_at` one succeeds instead."""
    server = family[1].format(10)
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    known = book(pod(server, spec(period_s=10, scheme=scheme, timeout_s=timeout_s)))
    out = [(10.0 * n, ends(family, 50_001 + 2 * n), script_of("ok", host=host) if n in good_at else one.replace("{request}", request("/ready", host))) for n, one in enumerate(scripts)]
    (probe,) = watch(*out, known=known)
    return probe


@BOTH
def test_what_a_port_spoke_before_is_not_doubted(family: tuple[str, str]) -> None:
    """A close without an answer may be a TLS server's; not where the same port has answered in clear."""
    closed = ASKED + "< FA\n > FA\n < A"
    (never,) = alone(family, *[closed] * 4).diagnoses
    assert never.equally == (Kind.HTTP_TO_HTTPS,)
    (spoke,) = alone(family, *[closed] * 4, good_at=(0,)).diagnoses
    assert spoke.equally == ()
    assert "at these times" in spoke.advice
    assert never.advice != spoke.advice


@BOTH
def test_advice_on_a_closed_port_goes_by_what_it_did_before(family: tuple[str, str]) -> None:
    """A port that never opened may be the wrong one; one that had answered has stopped."""
    refused = "> S\n < RA"
    (never,) = alone(family, *[refused] * 4).diagnoses
    (stopped,) = alone(family, *[refused] * 5, good_at=(0, 1)).diagnoses
    assert never.kind == stopped.kind == Kind.NOTHING_LISTENS
    assert never.advice.startswith("It never answered")
    assert stopped.advice.startswith("It had answered before")


@BOTH
def test_a_server_that_drops_the_request_with_the_checker_tells_no_time(family: tuple[str, str]) -> None:
    """Silence after the checker hung up says that nothing would have come only where the server kept the connection."""
    kept = ASKED + "+999ms > FA\n +40ms < A"
    dropped = ASKED + "+999ms > FA\n +1ms < FA\n > A"
    (one,) = alone(family, *[kept] * 4).diagnoses
    assert "would not have helped" in one.advice
    (other,) = alone(family, *[dropped] * 4).diagnoses
    assert "not known how long" in other.advice


@BOTH
def test_the_target_of_a_redirect_is_told(family: tuple[str, str]) -> None:
    """A redirect to https on the same host, where nothing listens: the sentence says where to, the advice how to leave it out."""
    server = family[1].format(10)
    host = f"[{server}]" if ":" in server else server
    away = ASKED + f"< PA {answer('301 Moved Permanently', '', f'Location: https://{host}/ready' + chr(92) + 'r' + chr(92) + 'n')}{CLOSES}"
    hop = "> S\n < RA"
    known = book(pod(server, spec(period_s=10)))
    asks = request("/ready", f"{host}:8080")
    out = [(10.0 * n, ends(family, 50_001 + 2 * n), away.replace("{request}", asks)) for n in range(4)]
    out += [(10.0 * n + 0.002, ends(family, 50_002 + 2 * n, 443), hop) for n in range(4)]
    found = [one for probe in watch(*sorted(out), known=known) for one in probe.diagnoses]
    assert [one.kind for one in found] == [Kind.REDIRECT_FAILED]
    assert f"https://{host}/ready" in found[0].sentence
    assert "X-Forwarded-Proto" in found[0].advice
    assert "nobody in the pod listens" in found[0].advice


@BOTH
def test_the_protocol_in_the_place_of_http_is_named(family: tuple[str, str]) -> None:
    """HTTP/2 in clear and SSH are called by their names, with what to do about a gRPC server."""
    settings = ASKED + "< PA '\\x00\\x00\\x06\\x04\\x00\\x00\\x00\\x00\\x00\\x00\\x04\\x00\\x10\\x00\\x00'" + CLOSES
    (one,) = alone(family, *[settings] * 3).diagnoses
    assert one.kind == Kind.NOT_HTTP
    assert "HTTP/2" in one.sentence
    assert "grpc probe" in one.advice
    (ssh,) = alone(family, *[ASKED + f"< PA 'SSH-2.0-OpenSSH_9.2\\r\\n'{CLOSES}"] * 3).diagnoses
    assert "SSH" in ssh.sentence


@BOTH
@pytest.mark.parametrize(
    ("header", "fault", "advice"),
    [
        ("PHP Warning  Undefined variable\\r\\n", "missing colon", "display_errors"),
        ("Content-Length: 3\\r\\n", "multiple Content-Length", "one Content-Length"),
        ("Transfer-Encoding: gzip, chunked\\r\\n", "unsupported transfer encoding", "Content-Encoding"),
    ],
)
def test_http_with_a_bad_header_is_not_another_protocol(family: tuple[str, str], header: str, fault: str, advice: str) -> None:
    """An answer whose first line is HTTP's is told as that, with what Go's client refuses in it and what to do about just that."""
    (one,) = alone(family, *[ASKED + f"< PA {answer(headers=header)}{CLOSES}"] * 3).diagnoses
    assert one.kind == Kind.BAD_HEADER
    assert fault in one.sentence
    assert advice in one.advice


@pytest.mark.parametrize(
    ("summary", "advice"),
    [
        (TlsSummary(alert="unrecognized_name"), "SNI"),
        (TlsSummary(alert="protocol_version"), "TLS 1.2 and 1.3"),
        (TlsSummary(alert="certificate_required", version="TLS 1.3"), "client certificate"),
        (TlsSummary(alert="handshake_failure"), "cipher suite"),
        (TlsSummary(alert="handshake_failure", version="TLS 1.2"), "client certificate"),
        (TlsSummary(alert="protocol_version", version="TLS 1.0", alert_by_checker=True), "verifies no certificate"),
    ],
)
def test_advice_on_a_tls_alert_goes_by_the_alert(summary: TlsSummary, advice: str) -> None:
    """Each alert has its own reasons: a client certificate is spoken of only where the server may want one."""
    one = exchange(OPENED + "> PA 'hello'\n < PA 'x'\n > FA")
    first = replace(leg(Role.FIRST, one, lambda connection: connection), tls=summary)
    ended = Verdict(outcome=Outcome.FAILURE, cause=Cause.TLS_ALERT, end_ns=one.connection.end.ns)
    found = diagnose(judged_attempt(1, one.connection.start, ended, (first,)), ())
    assert found is not None
    assert found.kind == Kind.TLS_REFUSED
    assert advice in found.advice
    assert ("client certificate" in found.advice) == (advice == "client certificate")


@BOTH
def test_what_listens_on_ipv4_alone_is_no_advice_for_ipv6(family: tuple[str, str]) -> None:
    """A closed port that is probed over IPv6 may be open on 0.0.0.0: that is said, and 0.0.0.0 is not named as right."""
    (one,) = alone(family, *["> S\n < RA"] * 3).diagnoses
    assert ("neither 0.0.0.0" in one.advice) == (":" in family[1])


@BOTH
def test_a_slow_way_is_no_node_that_stood_still(family: tuple[str, str]) -> None:
    """Late by the same again and again is a round trip; late by this and that is not told from a stall, and no more is late once."""
    trip = "> S\n +{}ms < SA\n > A\n > PA {{request}}\n +{}ms > FA\n +{}ms < A"
    (one,) = alone(family, *[trip.format(600, 399, 200)] * 4).diagnoses
    assert one.kind == Kind.LONG_ROUND_TRIP
    assert "600 ms" in one.sentence
    (other,) = alone(family, *[trip.format(600 - 180 * n, 399 + 180 * n, 400 * n) for n in range(3)]).diagnoses
    assert other.kind == Kind.NODE_STALLED
    (once,) = alone(family, *[trip.format(600, 399, 200)] * 4, good_at=(0, 1, 3)).diagnoses
    assert once.kind == Kind.NODE_STALLED
    assert once.equally == (Kind.LONG_ROUND_TRIP,)


@BOTH
@pytest.mark.parametrize(("at", "kind"), [(0.3, Kind.LONG_ROUND_TRIP), (0.001, Kind.NODE_STALLED), (1.3, Kind.NODE_STALLED)])
def test_a_kernel_that_answers_meanwhile_acquits_the_node(family: tuple[str, str], at: float, kind: Kind) -> None:
    """One pod's kernel is late and another's answers at once in the middle of it: the node goes on. Before and after it says nothing."""
    late, good = family[1].format(10), family[1].format(11)
    known = book(pod(late, spec(period_s=10)), pod(good, spec(period_s=10)))
    stall = OPENED + f"> PA {request('/ready', f'[{late}]:8080' if ':' in late else f'{late}:8080')}\n +600ms < A\n +399ms > FA\n < A"
    scripts = [*probes(every(10, 4), client=family[0], server=late), (40.0, ends(family, 50_001), stall)]
    found = watch(*scripts, *probes(every(10, 5, at), client=family[0], server=good), known=known)
    assert kinds(found) == {kind}


@BOTH
def test_a_small_request_that_is_lost_blames_neither_mtu_nor_node(family: tuple[str, str]) -> None:
    """A request of some hundred bytes is no full-sized segment; the node stood still only where nobody was answered meanwhile."""
    lost = OPENED + "> PA {request}\n +300ms > PA {request} seq=1\n +600ms > PA {request} seq=1\n +99ms > FA"
    (one,) = alone(family, *[lost] * 3).diagnoses
    assert one.kind == Kind.REQUEST_LOST
    assert "MTU" not in one.advice
    assert one.equally == (Kind.NODE_STALLED,)


@BOTH
@pytest.mark.parametrize(("closes", "asks", "kind"), [(29.5, False, Kind.WORKER_HELD), (27.0, False, Kind.APPLICATION_SLOW), (29.5, True, Kind.APPLICATION_SLOW)])
def test_an_idle_connection_that_holds_the_only_worker(family: tuple[str, str], closes: float, asks: bool, kind: Kind) -> None:
    """Answers that all come when a client closes a connection on which it asked nothing waited for it: not for another's end, nor another's question."""
    server = family[1].format(10)
    known = book(pod(server, spec(period_s=10)))
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    asked = request("/ready", host)
    late = [(at, ends(family, 50_001 + int(at)), OPENED + f"> PA {asked}\n < A\n +999ms > FA\n +{29.51 - at - 1.0002:.4f}s < PA {answer()}\n > R") for at in (10.0, 20.0)]
    said = "> PA 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'\n < A\n" if asks else ""
    other = (5.0, ends(family, 41_000, client=family[1].format(99)), f"{OPENED} {said} +{closes - 5:.1f}s > FA\n < FA\n > A")
    found = watch(*probes([-20, -10, 0, 30, 40], client=family[0], server=server), *late, other, known=known)
    assert kinds(found) == {kind}


@BOTH
def test_a_port_that_resets_every_plain_request(family: tuple[str, str]) -> None:
    """Where each request is reset at once and none was ever answered, a sidecar that wants mutual TLS is named; not where one was, or late."""
    reset = OPENED + "> PA {request}\n < RA"
    (always,) = alone(family, *[reset] * 4).diagnoses
    assert always.kind == Kind.RESET_BY_SERVER
    assert "none was ever answered" in always.sentence
    assert "mutual TLS" in always.advice
    for others in (alone(family, *[reset] * 4, good_at=(0,)), alone(family, *[OPENED + "> PA {request}\n < A\n +300ms < RA"] * 4)):
        assert "mutual TLS" not in others.diagnoses[0].advice


@BOTH
@pytest.mark.parametrize(("later", "kind"), [(38.0, Kind.LISTEN_QUEUE_FULL), (1.3, Kind.SYN_UNANSWERED)])
def test_a_listen_queue_that_drains_later_was_full(family: tuple[str, str], later: float, kind: Kind) -> None:
    """Requests that the application answers long after their SYNs' successors went unanswered waited in a full queue; a slow answer before those did not."""
    waits = OPENED + f"> PA {{request}}\n < A\n +999ms > FA\n < A\n +{later:.1f}s < PA {answer()}\n > R"
    probe = alone(family, OPENED, waits, *["> S"] * 4, good_at=(0, 5))
    assert kinds([probe]) == {Kind.APPLICATION_SLOW, kind}


@BOTH
def test_a_port_that_wants_the_proxy_protocol(family: tuple[str, str]) -> None:
    """Checks that are ended without an answer want a PROXY header where those of another check that begin with one are answered."""
    client, server = family[1].format(99), family[1].format(10)
    asks = "GET /healthz HTTP/1.0\\r\\n\\r\\n"
    plain = f"> S\n < SA\n > PA '{asks}'\n < A\n < FA\n > RA"
    proxied = f"> S\n < SA\n > PA 'PROXY {'TCP6' if ':' in client else 'TCP4'} {client} {server} 40000 8080\\r\\n{asks}'\n < A\n < PA {answer()}\n > RA"
    scripts = [(at + 2 * n, ends(family, sport + 2 * n, client=client), script) for at, sport, script in ((0.0, 41_000, plain), (0.7, 51_000, proxied)) for n in range(12)]
    first, second = sorted(watch(*scripts, known=AddressBook()), key=lambda probe: probe.proxy_header)
    assert (first.proxy_header, second.proxy_header) == (False, True)
    assert "began with a PROXY header were answered" in first.diagnoses[0].sentence
    assert label(first) != label(second)
    assert words_of(first) != words_of(second)


def test_every_rule_speaks_of_its_cause() -> None:
    """A cause's rules and the catalogue agree: every kind stands below a cause that has rules, or is a pattern's."""
    assert set(RULES) == set(Cause) - {Cause.ENCRYPTED}
    for kind, why in DIAGNOSES.items():
        assert why.causes[0] in {*RULES, Cause.CUT}, kind
        assert set(why.rows) <= set(SYMPTOMS), kind
        assert why.sentence.endswith("."), kind
        assert why.sign, kind
        assert why.harmless or why.advice, kind
    assert list(DIAGNOSES) == list(Kind)[: len(DIAGNOSES)] or set(DIAGNOSES) == set(Kind)
    assert set(SYMPTOMS) - {row for why in DIAGNOSES.values() for row in why.rows} == {"D29"}


# Patterns.


@BOTH
def test_syns_lost_here_and_there_are_no_chance(family: tuple[str, str]) -> None:
    """Three single ones say that the way loses packets, how often, and have those that fell together by chance with them."""
    server = family[1].format(10)
    good = [*every(10, 2), *every(10, 2, 30), *every(10, 2, 60), *every(10, 2, 100)]
    lost = [(at, ends(family, 33_000 + 200 * int(at)), "> S") for at in (20.0, 50.0, 80.0, 90.0, 120.0)]
    (probe,) = watch(*probes([*good, 130], client=family[0], server=server), *lost, known=book(pod(server, spec(period_s=10))))
    (found,) = probe.diagnoses
    assert found.kind == Kind.ONE_LOST_SYN
    assert found.sentence.startswith("The SYNs (or their answers) of 5 of 14 attempts were lost")


@BOTH
def test_one_lost_syn(family: tuple[str, str]) -> None:
    """A single SYN without answer at a timeout of 1 s, its neighbours fine; two in a row, or a longer timeout, are no mere loss."""
    server = family[1].format(10)
    good = [*every(10, 4), *every(10, 4, 50)]
    known = book(pod(server, spec(period_s=10)))
    one = watch(*probes(good, client=family[0], server=server), (40, ends(family, 50_001), "> S"), known=known)
    assert kinds(one) == {Kind.ONE_LOST_SYN}
    two = watch(*probes(good[:-1], client=family[0], server=server), *((at, ends(family, 50_001 + int(at)), "> S") for at in (40.0, 80.0, 90.0)), known=known)
    assert kinds(two) == {Kind.ONE_LOST_SYN, Kind.SYN_UNANSWERED}
    patient = book(pod(server, spec(period_s=10, timeout_s=3)))
    long = watch(*probes(good, client=family[0], server=server), (40, ends(family, 50_001), "> S\n +1s > S seq=0\n +1s > S seq=0"), known=patient)
    assert kinds(long) == {Kind.SYN_UNANSWERED}


@BOTH
def test_source_ports_of_the_nodeport_range(family: tuple[str, str]) -> None:
    """Unanswered SYN-ACKs only for source ports of the NodePort range; a good one of that range, or other ports, acquit it."""
    server = family[1].format(10)
    known = book(pod(server, spec(period_s=10)))
    script = script_of("ok", host=f"[{server}]:8080" if ":" in server else f"{server}:8080")
    bad = "> S\n < SA\n +1s < SA seq=0\n > R"

    def shown(lost: Sequence[int], also: int = 40_000) -> set[str]:
        out = [(10.0 * n, ends(family, 41_000 + 2 * n), script) for n in range(12)]
        for place, sport in zip((2, 5, 9), lost, strict=True):
            out[place] = (10.0 * place, ends(family, sport), bad)
        out[7] = (70.0, ends(family, also), script)
        return kinds(watch(*out, known=known))

    assert shown((30_100, 31_200, 32_300)) == {Kind.SOURCE_PORTS}
    assert Kind.SOURCE_PORTS not in shown((30_100, 31_200, 32_300), also=30_500)
    assert Kind.SOURCE_PORTS not in shown((30_100, 41_003, 52_300))


@BOTH
def test_source_address(family: tuple[str, str]) -> None:
    """Attempts from another address of the node than usual get no answer, the usual ones do; the address is named."""
    server = family[1].format(10)
    other = family[1].format(2)
    known = replace(book(pod(server, spec(period_s=10))))
    good = probes(every(10, 6), client=family[0], server=server)
    late = "> S\n +8s > S seq=0\n < SA\n > A\n > FA\n < FA\n > A"  # (a dial that was given up goes on, and gets through once the way is open)
    lost = [(at, ends(family, 50_001 + int(at), client=other), late if at == 90 else "> S") for at in every(10, 4, 60)]
    found = [one for probe in watch(*good, *lost, known=known) for one in probe.diagnoses]
    assert [one.kind for one in found] == [Kind.SOURCE_ADDRESS]
    assert other in found[0].sentence


def observed(made: Sequence[Frame], known: AddressBook) -> list[Diagnosis]:
    """Return the diagnoses of frames, in the order of their times."""
    numbered = [one._replace(number=number) for number, one in enumerate(sorted(made, key=lambda frame: frame.ns), 1)]
    return [one for probe in timeline_of([edge(), *numbered], known).probes for one in probe.diagnoses]


@BOTH
def test_a_wrong_mac_address(family: tuple[str, str]) -> None:
    """SYNs that nobody answers, and that went to another MAC address than those that were answered, are told so, with both."""
    scripts, known = conversations(family, "> S", 2)
    made = frames(*scripts)
    lost = [one._replace(data=b"\x02\0\0\0\xbe\xef" + one.data[6:]) if ns(39) < one.ns < ns(59) else one for one in made]
    (found,) = observed(lost, known)
    usual = ":".join(f"{byte:02x}" for byte in made[0].data[:6])
    assert found.kind == Kind.WRONG_MAC
    assert found.sentence == f"The SYN was sent to the MAC address 02:00:00:00:be:ef; those that were answered went to {usual}."
    assert [one.kind for one in observed(made, known)] == [Kind.SYN_UNANSWERED]


@BOTH
def test_a_flooded_syn(family: tuple[str, str]) -> None:
    """Where frames tell no MAC address, a SYN on three interfaces and more that no answer ever passed was flooded: its MAC address is not known."""
    scripts, known = conversations(family, "> S", 2)

    def shown(others: int) -> str:
        out = []
        for one in frames(*scripts):
            lost = ns(39) < one.ns < ns(59)
            out += [one._replace(interface=at, ns=one.ns + at) for at in range(2 + others * lost)]
        (found,) = observed(out, known)
        return found.kind

    assert [shown(others) for others in (0, 1, 3, 7)] == [Kind.SYN_UNANSWERED, Kind.SYN_UNANSWERED, Kind.WRONG_MAC, Kind.WRONG_MAC]


@BOTH
def test_pods_of_a_node_fall_silent_together(family: tuple[str, str]) -> None:
    """Three pods whose SYNs go unanswered in the same seconds are the node's trouble; where another pod is answered meanwhile they are not."""

    def shown(*struck: int) -> set[str]:
        scripts: list[tuple[float, str, str]] = []
        pods = []
        for last in (11, 12, 13, 14):
            server = family[1].format(last)
            pods.append(pod(server, spec(period_s=10), name=f"web-{last}"))
            lost = every(10, 3, 40 + last / 100) if last in struck else []
            starts = [at for at in every(10, 10, last / 100) if at not in lost]
            scripts += probes([at for at in starts if not any(abs(at - x) < 1 for x in lost)], client=family[0], server=server)
            scripts += [(at, ends(family, 50_001 + int(at), last=last), "> S") for at in lost]
        return kinds(watch(*scripts, known=book(*pods)))

    assert shown(11, 12, 13, 14) == {Kind.NEW_CONNECTIONS_DROPPED}
    assert shown(11, 12, 13) == {Kind.SYN_UNANSWERED}
    assert shown(12) == {Kind.SYN_UNANSWERED}


@BOTH
def test_pods_that_are_unhealthy_together(family: tuple[str, str]) -> None:
    """Replicas that begin to answer 503 in the same seconds share a dependency; one alone says that it is unhealthy."""

    def shown(*struck: int) -> set[str]:
        scripts: list[tuple[float, str, str]] = []
        pods = []
        for last in (11, 12, 13):
            server = family[1].format(last)
            pods.append(pod(server, spec(period_s=10), name=f"web-{last}"))
            bad = every(10, 3, 40 + last / 100) if last in struck else []
            scripts += probes(bad, "503", client=family[0], server=server)
            scripts += probes([at for at in every(10, 10, last / 100) if not any(abs(at - x) < 1 for x in bad)], client=family[0], server=server)
        return kinds(watch(*scripts, known=book(*pods)))

    assert shown(11, 12, 13) == {Kind.UNHEALTHY_TOGETHER}
    assert shown(12) == {Kind.SAYS_UNHEALTHY}


@BOTH
def test_timeout_over_period(family: tuple[str, str]) -> None:
    """A timeout of 3 s and a period of 1 s, and a server that hangs: attempts back to back."""
    server = family[1].format(10)
    known = book(pod(server, spec(period_s=1, timeout_s=3)))
    hung = probes([5, 8.045, 11.09, 14.135], "hung", client=family[0], server=server, timeout=3)
    found = kinds(watch(*probes(every(1, 5), client=family[0], server=server), *hung, known=known))
    assert found == {Kind.TIMEOUT_OVER_PERIOD, Kind.APPLICATION_SLOW}


@BOTH
def test_missing_attempts_at_two_pods(family: tuple[str, str]) -> None:
    """Ticks that come at no pod for a while are the checker's; at one pod alone, or at a few of many, they are not."""

    def shown(*struck: int, of: Sequence[int] = (11, 12, 13)) -> set[str]:
        scripts: list[tuple[float, str, str]] = []
        pods = []
        for last in of:
            server = family[1].format(last)
            pods.append(pod(server, spec(period_s=2), name=f"web-{last}"))
            starts = every(2, 30, last / 100)
            scripts += probes([at for at in starts if not (last in struck and 19 < at < 31)], client=family[0], server=server)
        return kinds(watch(*scripts, known=book(*pods)))

    assert Kind.TICKS_DROPPED in shown(11, 12)
    assert Kind.TICKS_DROPPED not in shown(12)
    assert Kind.TICKS_DROPPED not in shown(11, 12, of=range(11, 16))


@BOTH
def test_the_last_moments_of_a_pod_are_no_warning(family: tuple[str, str]) -> None:
    """A pod that is deleted answers through its preStop hook and then refuses: that is how it ends, and nothing to look at."""
    server = family[1].format(10)
    known = book(pod(server, spec(), spec(LIVENESS, path="/live")))
    ready, live = probes(every(1, 14), client=family[0], server=server), probes(every(1, 7, 0.4), client=family[0], server=server, path="/live")
    gone = [(at, ends(family, 51_000 + n), "> S\n < RA") for n, at in enumerate((14.0, 15.0))]
    timeline = timeline_of(frames(*sorted([*ready, *live, *gone])), known)
    verdicts = {probe.type.value: judge_probe(probe, timeline) for probe in timeline.probes}
    assert "2 attempts failed in its last moments: refused; the Pod was being deleted" in verdicts["readiness"].sentence
    assert verdicts["readiness"].level == verdicts["liveness"].level == 0


@BOTH
def test_a_start_that_is_too_slow_for_its_startup_probe(family: tuple[str, str]) -> None:
    """Startup, readiness and liveness ask the same, and nothing ever listens: however often it is killed, that is the startup probe."""
    server = family[1].format(10)
    known = book(pod(server, spec(STARTUP, failure_threshold=5), spec(), spec(LIVENESS)))
    # (The first restart is at once, the next ones wait 10, 20 and 40 s: CrashLoopBackOff.)
    starts = [begun + at for begun in (0, 5, 20, 45, 90) for at in every(1, 5)]
    (probe,) = watch(*[(at, ends(family, 50_000 + n), "> S\n < RA") for n, at in enumerate(starts)], known=known)
    assert (probe.type, len(probe.decisions), {d.kind for d in probe.decisions}) == (STARTUP, 5, {DecisionKind.RESTART})
    assert "startupProbe" in probe.diagnoses[0].advice


@BOTH
def test_silence_of_a_lone_probe_and_a_new_phase_prove_nothing(family: tuple[str, str]) -> None:
    """A container's restart, a kubelet's, and attempts that failed before a frame left the node look the same: none is asserted.

    A refusal before the silence shows that the container had ended.
    """
    server = family[1].format(10)
    known = book(pod(server, spec(period_s=2)))
    before, after = every(2, 8), every(2, 8, 21.7)
    observer = Observer(Settings(book=known))
    for one in frames(*probes([*before, *after], client=family[0], server=server)):
        observer.feed(one)
    timeline = observer.finish()
    (probe,) = timeline.probes
    assert [gap.reason for gap in probe.gaps] == [UNSEEN]
    (event,) = [e for e in timeline.events if e.ns > ns(15)]
    assert event.doubtful
    assert "look the same" in event.evidence
    verdict = judge_probe(probe, timeline)
    assert "kubectl describe pod" in verdict.sentence
    assert "out of service" not in verdict.sentence

    scripts = [*probes(before, client=family[0], server=server), (16.0, ends(family, 50_003), "> S\n < RA"), *probes(after, client=family[0], server=server)]
    (shown,) = watch(*scripts, known=known)
    assert UNSEEN not in [gap.reason for gap in shown.gaps]


@BOTH
def test_the_end_of_a_pod_whose_probes_are_alike(family: tuple[str, str]) -> None:
    """Readiness and liveness ask the same, the pod is deleted without a preStop hook: only one of them goes on, and is refused.

    It is readiness, which nobody pokes any more when it becomes NotReady; no Restart is made of it.
    """
    server = family[1].format(10)
    known = book(pod(server, spec(), spec(LIVENESS)))
    begin = [(at, ends(family, 50_000 + n), "> S\n < RA") for n, at in enumerate((0.0, 0.005))]
    ready = probes([0.997, *every(1, 7, 1.999)], client=family[0], server=server)
    live = probes([0.798, *every(1, 6, 1.793)], client=family[0], server=server)
    gone = [(at, ends(family, 51_000 + n), "> S\n < RA") for n, at in enumerate((9.028, *every(1, 6, 9.996)))]
    found = watch(*sorted([*begin, *ready, *live, *gone]), known=known)
    assert [(probe.type.value, [d.kind.value for d in probe.decisions]) for probe in found] == [("readiness", ["ready", "not_ready"]), ("liveness", [])]
    assert kinds(found) <= {Kind.POD_TERMINATING, Kind.STILL_STARTING, Kind.POKED, Kind.SILENT_BY_DESIGN}


@BOTH
def test_an_attempt_under_way_at_the_end_changes_no_state(family: tuple[str, str]) -> None:
    """A pod that never was Ready is NotReady where the capture ends, though one more attempt had begun by then."""
    server = family[1].format(10)
    known = book(pod(server, spec(period_s=2)))
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    begun = [(8.0, ends(family, 50_001), (OPENED + "> PA {request}\n < A").replace("{request}", request("/ready", host)))]
    (probe,) = watch(*probes(every(2, 4), "503", client=family[0], server=server), *begun, known=known)
    assert (probe.attempts[-1].outcome, probe.final_state) == (Outcome.INCONCLUSIVE, "NotReady")


@BOTH
def test_a_late_answer_in_two_segments_is_not_asked_for_again(family: tuple[str, str]) -> None:
    """Header and body are written apart, as many servers do, and the header comes when the checker has hung up: its RST takes the body.

    That is no body that broke off: the tick that was kept meanwhile is an attempt of its own, and both fail.
    """
    server = family[1].format(10)
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    known = book(pod(server, spec(LIVENESS)))
    late = (ASKED + f"+999ms > FA\n +41ms < A\n +300ms < PA {answer(length=15)}\n > R").replace("{request}", request("/ready", host))
    good = probes(every(1, 5), client=family[0], server=server)
    hung = [(at, ends(family, 50_001 + n), late) for n, at in enumerate((5.0, 6.045, 7.09))]
    (probe,) = watch(*good, *hung, known=known)
    assert [a.cause for a in probe.attempts[5:]] == [Cause.SLOW_ANSWER] * 3
    assert [len(a.legs) for a in probe.attempts[5:]] == [1, 1, 1]
    assert [d.kind for d in probe.decisions] == [DecisionKind.RESTART]


@BOTH
def test_a_close_that_got_lost_holds_the_next_attempt_up(family: tuple[str, str]) -> None:
    """Where segments are lost the kubelet's close waits up to a second for its FIN: the tick kept meanwhile runs late, and off the grid.

    No new container is made of it. On a way without losses an attempt off the grid while Ready is one.
    """
    server = family[1].format(10)
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    known = book(pod(server, spec(timeout_s=3)))
    talk = f"< SA\n > A\n > PA {request('/ready', host)}\n < A\n < PA {answer()}\n < FA\n > FA\n < A"
    lossy = f"> S\n +1.02s > S seq=0\n {talk}"

    def shown(late: list[float], script: str, grid: float) -> list[str]:
        scripts = [(at, ends(family, 50_001 + 2 * n), script) for n, at in enumerate(late)]
        good = probes([*every(1, 5), *every(1, 6, grid)], client=family[0], server=server)
        timeline = timeline_of([edge(), *frames(*sorted([*good, *scripts]))], known)
        assert len(timeline.probes[0].attempts) == 11 + len(late)
        return [e.kind.value for e in timeline.events if e.ns > ns(1)]

    assert shown([5.0, 6.23, 7.66, 9.3, 10.75], lossy, 12.0) == []
    assert shown([5.0], f"> S\n {talk}", 6.35) == ["container_started"]


@BOTH
def test_port_reused(family: tuple[str, str]) -> None:
    """The same source port within a minute, and a SYN that draws an ACK: the target still knows the old connection."""
    server = family[1].format(10)
    known = book(pod(server, spec(period_s=10)))
    script = script_of("ok", host=f"[{server}]:8080" if ":" in server else f"{server}:8080")
    out = [(10.0 * n, ends(family, 41_000 + 2 * n), script) for n in range(6)]
    out[4] = (40.0, ends(family, 41_002), "> S isn=900000\n < A seq=777777 ack=888888\n > R seq=888888")
    assert kinds(watch(*out, known=known)) == {Kind.PORT_REUSED}


# What packets of the tests' making cannot show in a line.


def made(cause: Cause, outcome: Outcome = Outcome.FAILURE, *, n: int = 1, at: float = 0.0, **more: Any) -> Attempt:
    """Return an attempt without connections."""
    return Attempt(n=n, start=Mark(ns(at), 0, n), end_ns=ns(at) + S, outcome=outcome, cause=cause, **more)


@pytest.mark.parametrize("cause", [Cause.EXEC_EXIT, Cause.EXEC_TIMEOUT, Cause.EXEC_NOT_FOUND])
def test_exec(cause: Cause) -> None:
    """An exec probe that fails is no matter of the network."""
    found = diagnose(made(cause), ())
    assert found is not None
    assert (found.kind, found.rows) == (Kind.EXEC_FAILED, ("D43",))


@pytest.mark.parametrize("said", [{"goaway": "PROTOCOL_ERROR"}, {"reset": "INTERNAL_ERROR"}])
def test_http2_that_the_server_ends(said: dict[str, str]) -> None:
    """HTTP/2 inside TLS that the server ended says with which frame; a reset without it is a reset."""
    one = exchange(OPENED + "> PA 'x'\n < A\n < RA", tls=TlsFacts(chosen_alpn="h2"), grpc=GrpcFacts(**said), http=())
    failed = judged_attempt(1, one.connection.start, Verdict(outcome=Outcome.FAILURE, cause=Cause.RESET_BEFORE_ANSWER, end_ns=ns(1)), (leg(Role.FIRST, one, lambda c: c),))
    found = diagnose(failed, (one,))
    assert found is not None
    assert found.kind == Kind.HTTP2_REFUSED
    assert next(iter(said.values())) in found.sentence
    plain = diagnose(failed, (replace(one, grpc=None),))
    assert plain is not None
    assert plain.kind == Kind.RESET_BY_SERVER


def test_redirect_into_a_failure() -> None:
    """Several hops of one attempt, the last of which fails, are told as a redirect that failed."""
    first = exchange(ASKED.replace("{request}", request()) + f"< PA {ON}{CLOSES}")
    last = exchange("> S\n < RA", at=0.01)
    failed = judged_attempt(
        1, first.connection.start, judge(last, Handler.HTTP_GET, S),
        (leg(Role.FIRST, first, lambda c: c), leg(Role.REDIRECT, last, lambda c: c)))  # fmt: skip
    found = diagnose(failed, (first, last))
    assert found is not None
    assert found.kind == Kind.REDIRECT_FAILED
    assert found.sentence.endswith(", which failed: refused.")
    answered = diagnose(replace(failed, cause=Cause.STATUS, status=503), (first, last))
    assert answered is not None
    assert answered.sentence.endswith(", which answered 503.")


def test_an_address_of_the_node_itself() -> None:
    """A refusal from an address to itself went over loopback: no pod was asked."""
    one = exchange("> S\n < RA", f"{NODE}:40000 > {NODE}:8080")
    refused = judged_attempt(1, one.connection.start, judge(one, Handler.TCP_SOCKET, S), (leg(Role.FIRST, one, lambda c: c),))
    found = diagnose(refused, (one,))
    assert found is not None
    assert found.kind == Kind.LOCAL_ADDRESS


def base(kind: ProbeType, version: str, *attempts: Attempt, **more: Any) -> Probe:
    """Return a kubelet's probe of attempts made by hand."""
    return Probe(
        id=str(kind), checker=Checker(kind="kubelet", version=version, address=NODE), target=Target(address=POD, port=8080, container="app"),
        type=kind, type_source="declared", handler=Handler.HTTP_GET, attempts=attempts, **more)  # fmt: skip


@pytest.mark.parametrize(("version", "seen"), [("1.36", True), ("1.35", True), ("1.34", False)])
def test_before_startup(version: str, seen: bool) -> None:
    """Readiness between a restarted container's first startup attempt and its success is the kubelet's regression, from 1.35 on."""
    begun = [TimelineEvent(ns=ns(at), kind=EventKind.CONTAINER_STARTED, address=POD, container="app") for at in (0, 50)]
    started = [
        Decision(ns=ns(at), kind=DecisionKind.STARTED, before="NotStarted", after="Started", attempt=n, mark=None, streak=1, threshold=1, threshold_source="default")
        for n, at in ((2, 11), (4, 61))
    ]
    startup = base(STARTUP, version, *(made(Cause.OK, Outcome.SUCCESS, n=n, at=at) for n, at in enumerate((0, 10, 50, 60), 1)), decisions=tuple(started))
    ready = base(READINESS, version, *(made(Cause.OK, Outcome.SUCCESS, n=n, at=at) for n, at in enumerate((12, 22, 55, 65), 1)))
    found = explain([startup, ready], begun)
    assert [one.attempts for one in found[1].diagnoses if one.kind == Kind.BEFORE_STARTUP] == ([(3,)] if seen else [])


def test_no_local_port() -> None:
    """Missing attempts, while source ports come again to the same target as soon as TIME-WAIT ends."""

    def asked(n: int, at: float, server: str = POD) -> Attempt:
        one = exchange(OPENED + "> FA\n < A\n < FA\n > A", f"{NODE}:{40_000 + n % 3} > {server}:8080", at=at)
        return replace(made(Cause.OK, Outcome.SUCCESS, n=n + 1, at=at), legs=(leg(Role.FIRST, one, lambda c: c),))

    attempts = [asked(n, at) for n, at in enumerate((0.0, 1.0, 2.0, 61.0, 62.0, 63.0))]
    gap = Gap(start_ns=ns(3), end_ns=ns(61), expected=50, reason="nothing in the capture says why")
    (probe,) = explain([base(READINESS, "1.36", *attempts, gaps=(gap,))], ())
    assert [one.kind for one in probe.diagnoses] == [Kind.NO_LOCAL_PORT]
    (probe,) = explain([base(READINESS, "1.36", *attempts[:3], gaps=(gap,))], ())
    assert probe.diagnoses == ()
    away = replace(base(READINESS, "1.36", *(asked(n, 60.0 + n, "10.128.0.99") for n in range(3))), target=Target(address="10.128.0.99", port=8080))
    probe, _ = explain([base(READINESS, "1.36", *attempts[:3], gaps=(gap,)), away], ())
    assert probe.diagnoses == (), "at another target a port may come again at any time"


def test_connection_made_for_the_tests_is_none() -> None:
    """A connection that ended well has no diagnosis, and costs none."""
    assert connection(OPENED + "> FA\n < A\n < FA\n > A").orig.rst is None
    assert diagnose(made(Cause.OK, Outcome.SUCCESS), ()) is None
    assert POD6 != POD


@BOTH
def test_what_fails_from_a_deletion_on_is_no_outage(family: tuple[str, str]) -> None:
    """Readiness fails between the last liveness attempt and the first that is missing: the Pod may have been deleted by then, and no more is said.

    Failures that began while liveness was still asked are no deletion's.
    """
    server = family[1].format(10)
    known = book(pod(server, spec(failure_threshold=1), spec(LIVENESS, path="/live", period_s=3)))
    live = probes(every(3, 6, 0.4), client=family[0], server=server, path="/live")
    for first, ordinary in ((16, True), (14, False)):
        good = probes(every(1, first), client=family[0], server=server)
        bad = probes(every(1, 26 - first, float(first)), "503", client=family[0], server=server)
        timeline = timeline_of(frames(*sorted([*live, *good, *bad])), known)
        (ready,) = [judge_probe(probe, timeline) for probe in timeline.probes if probe.type is READINESS]
        assert (ready.level == 0) is ordinary
        assert ("when the pod was deleted, as it seems" in ready.sentence) is ordinary


@BOTH
def test_one_late_answer_of_several_is_no_advice_for_a_longer_timeout(family: tuple[str, str]) -> None:
    """Of four attempts that timed out one was answered a little later, to three no answer came: that is said, and who hangs is to be found.

    Where most were answered late, how long a timeout would have waited for these stands.
    """
    late = OPENED + "> PA {request}\n < A\n +1000ms > FA\n +50ms < A\n +300ms < PA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n > R"
    none = OPENED + "> PA {request}\n < A\n +1000ms > FA\n +50ms < A"
    server = family[1].format(10)
    host = f"[{server}]:8080" if ":" in server else f"{server}:8080"

    def told(*scripts: str) -> Diagnosis:
        hung = [(at, ends(family, 50_001 + 2 * n), script.replace("{request}", request("/ready", host))) for n, (at, script) in enumerate(zip(every(10, 4, 60), scripts, strict=True))]
        good = probes([*every(10, 6), *every(10, 6, 100)], client=family[0], server=server)
        (probe,) = watch(*good, *hung, known=book(pod(server, spec(period_s=10, failure_threshold=9))))
        (one,) = probe.diagnoses
        return one

    few = told(none, late, none, none)
    assert "1 of 4 answers came after all, after 1.35 s, when the checker had hung up; no answer to the other 3 was seen." in few.sentence
    assert "timeoutSeconds" not in few.advice
    most = told(late, late, none, late)
    assert "no answer to the other was seen" in most.sentence
    assert "timeoutSeconds: 2 would have waited for 3 of these 4 answers" in most.advice
