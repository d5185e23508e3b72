"""The table of signatures: each row names what it should, and nothing else is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from make import connection, exchange

import probewatch
from probewatch.probes.guesses import could_be
from probewatch.probes.shapes import Manner, Shape, What, late_reset, manner_of, shape_of
from probewatch.probes.signatures import NAMES, SIGNATURES, named_by, passes
from probewatch.wire.exchange import read_exchange

PING = "> PA '*1\\r\\n$4\\r\\nPING\\r\\n'\n < PA '+PONG\\r\\n'\n "
HANDSHAKE = "> S\n < SA\n > A\n"
UNACKED = "> S\n < SA\n"
CLIENT = "10.0.0.9"


def http(request: str, *, acked: bool = True, close: str = "> FA\n < FA\n > A") -> str:
    """Return the script of one request, answered 200."""
    text = request.replace("\r\n", "\\r\\n")
    return f"{HANDSHAKE if acked else UNACKED}> PA '{text}'\n < A\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n {close}"


def kind(script: str, between: str = f"{CLIENT}:40000 > 10.0.0.2:8080") -> str | None:
    """Return whom the table names for a series of such connections."""
    one = exchange(script, between)
    shape = shape_of(one)
    row = named_by(shape, manner_of([one])) if shape is not None else None
    return row.kind if row is not None else None


REQUESTS = [
    ("haproxy", "OPTIONS / HTTP/1.0\r\n\r\n", False),
    ("haproxy", "GET /healthz HTTP/1.0\r\n\r\n", False),
    ("haproxy", "GET /healthz HTTP/1.1\r\nhost: app.example.com\r\nuser-agent: lb-check/1.0\r\nconnection: close\r\n\r\n", False),
    ("keepalived", "GET /healthz HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.129.20.10:8080\r\n\r\n", True),
    ("varnish", "GET /healthz HTTP/1.1\r\nHost: 10.129.24.10\r\nConnection: close\r\n\r\n", True),
    ("monit", "GET / HTTP/1.1\r\nHost: a:80\r\nUser-Agent: Monit/5.33.0\r\nAccept: */*\r\nConnection: close\r\n\r\n", True),
    ("apache", "GET /healthz HTTP/1.0\r\nHost: 10.129.23.10:8080\r\n\r\n", True),
    ("apache", "OPTIONS * HTTP/1.0\r\nHost: 10.129.23.10:8080\r\n\r\n", True),
    ("apache", "GET /healthz HTTP/1.1\r\nHost: 10.129.23.10:8080\r\n\r\n", True),
    ("blackbox_exporter", "GET / HTTP/1.1\r\nHost: a:80\r\nUser-Agent: Blackbox Exporter/0.23.0\r\nConnection: close\r\n\r\n", True),
    ("envoy", "GET /healthz HTTP/1.1\r\nhost: app\r\nuser-agent: Envoy/HC\r\n\r\n", True),
    ("consul", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Consul Health Check\r\nAccept: text/plain, text/*, */*\r\n\r\n", True),
    ("aws_elb", "GET / HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n", True),
    ("google", "GET / HTTP/1.1\r\nHost: 10.0.0.2\r\nConnection: close\r\nUser-Agent: GoogleHC/1.0\r\n\r\n", True),
    ("azure", "HEAD / HTTP/1.1\r\nHost: a\r\nUser-Agent: Edge Health Probe\r\n\r\n", True),
    ("nomad", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Nomad/1.7.2 (go1.21)\r\nAccept-Encoding: gzip\r\n\r\n", True),
    ("knative", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Knative-Ingress-Probe\r\n\r\n", True),
    ("nginx", "GET / HTTP/1.0\r\nHost: a\r\nUser-Agent: nginx/1.25\r\nConnection: close\r\n\r\n", True),
    ("nagios", "GET /ng HTTP/1.0\r\nUser-Agent: check_http/v2.3.3 (monitoring-plugins 2.3.3)\r\nConnection: close\r\n\r\n", True),
    ("azure", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Load Balancer Agent\r\n\r\n", True),
    ("knative", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1/36\r\n\r\n", True),
    (None, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n", True),
    (None, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n", True),
    (None, "GET /metrics HTTP/1.1\r\nHost: a\r\nUser-Agent: Prometheus/2.42.0\r\nAccept: text/plain\r\n\r\n", True),
    (None, "GET /app/1 HTTP/1.1\r\nhost: a\r\nuser-agent: curl/7.88.1\r\naccept: */*\r\nx-forwarded-for: 10.0.0.7\r\n\r\n", True),
]
"""(kind, request, whether the third ACK comes by itself); the last is HAProxy's own proxied traffic."""


@pytest.mark.parametrize(("expected", "request_text", "acked"), REQUESTS)
@pytest.mark.parametrize("between", [f"{CLIENT}:40000 > 10.0.0.2:8080", "[fd00::9]:40000 > [fd00::2]:8080"])
def test_requests(expected: str | None, request_text: str, acked: bool, between: str) -> None:
    """Every checker's own request is named, over IPv4 and IPv6; a kubelet's, a scraper's, a person's and a proxy's is not."""
    assert kind(http(request_text, acked=acked), between) == expected


@pytest.mark.parametrize(("agent", "expected"), [("Blackbox Exporter/0.23.0", "blackbox_exporter"), ("curl/8.5.0", None)])
def test_a_request_that_keys_opened_names_its_checker(agent: str, expected: str | None) -> None:
    """Inside TLS a program says of itself what it says in clear."""
    shape = Shape(What.TLS, "GET", "/", "HTTP/1.1", ("Host", "User-Agent", "Accept"), agent)
    row = named_by(shape, Manner(5, 0.0, CLIENT))
    assert (row.kind if row is not None else None) == expected
    assert named_by(Shape(What.TLS), Manner(5, 0.0, CLIENT)) is None


@pytest.mark.parametrize("kept", [25, 48, 60])
def test_what_was_cut_may_have_been_sent(kept: int) -> None:
    """`Host and no other header` names nobody where the header's end was not captured, and it could be whoever has a name of his own."""
    request = "GET / HTTP/1.1\\r\\nHost: 10.129.22.10:8080\\r\\nUser-Agent: Monit/5.33.0\\r\\nAccept: */*\\r\\n\\r\\n"
    answer = "< A\n < PA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n > FA\n < FA\n > A"
    whole = connection(f"{HANDSHAKE}> PA '{request}'\n {answer}")
    one = read_exchange(replace(whole, orig=replace(whole.orig, data=whole.orig.data[:kept])))
    shape = shape_of(one)
    assert shape is not None
    assert named_by(shape, manner_of([one])) is None
    assert {"apache", "monit", "varnish", "kubelet"} <= {*could_be(shape, kubelet=True)}
    assert "keepalived" not in could_be(Shape(What.HTTP, "GET", "/", "HTTP/1.1", ("Host", "Accept"), agent="x", cut=True), kubelet=True)


def test_haproxys_spelling_with_a_bare_ack_is_no_check() -> None:
    """Lower-case headers alone do not make a check: HAProxy writes its users' requests in the same way."""
    assert kind(http("GET /healthz HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n", acked=True)) is None


@pytest.mark.parametrize(("expected", "script"), [
    ("haproxy", UNACKED + "> RA"),
    ("haproxy", UNACKED + "> PA '*1\\r\\n$4\\r\\nPING\\r\\n'\n < PA '+PONG\\r\\n'\n > RA"),
    ("monit", HANDSHAKE + PING + "> PA '*1\\r\\n$4\\r\\nQUIT\\r\\n'\n < PA '+OK\\r\\n'\n > FA\n < FA"),
    (None, HANDSHAKE + PING + "> FA\n < FA"),
    ("haproxy", HANDSHAKE + "< PA '220 hi\\r\\n'\n > PA 'HELO localhost\\r\\n'\n < PA '250 hi\\r\\n'\n > FA\n < FA"),
    ("keepalived", HANDSHAKE + "< PA '220 hi\\r\\n'\n > PA 'HELO smtpchecker.keepalived.org\\r\\n'\n < PA '250 hi\\r\\n'\n > FA\n < FA"),
    (None, HANDSHAKE + "< PA '220 hi\\r\\n'\n > PA 'HELO lb\\r\\n'\n < PA '250 hi\\r\\n'\n > FA\n < FA"),
    ("monit", HANDSHAKE + "< PA '220 hi\\r\\n'\n > PA 'EHLO localhost\\r\\n'\n < PA '250 hi\\r\\n'\n > FA\n < FA"),
    (None, HANDSHAKE + "> FA\n < FA\n > A"),
    (None, HANDSHAKE + "< PA '220 hi\\r\\n'\n > RA"),
    ("haproxy", HANDSHAKE + "< PA 'up ready 80%\\r\\n'\n < FA\n > RA"),
    ("haproxy", HANDSHAKE + "< PA 'down #no disk\\n'\n < FA\n > FA"),
    (None, HANDSHAKE + "< PA 'up and running\\r\\n'\n < FA\n > RA"),
])
def test_connects_and_other_protocols(expected: str | None, script: str) -> None:
    """A connect without the third ACK is HAProxy's; one that ends with FIN may be anybody's, also where a greeting makes it an RST."""
    assert kind(script) == expected


def test_what_shows_nothing_has_no_shape() -> None:
    """Refused and unanswered checks, and those whose SYN-ACK came after the checker had gone, may be anybody's."""
    assert shape_of(exchange("> S\n < RA")) is None
    assert shape_of(exchange("> S\n +1s > S seq=0")) is None
    late = exchange("> S\n +1100ms < SA\n > R")
    assert late_reset(late.connection)
    assert shape_of(late) is None
    assert shape_of(exchange(HANDSHAKE + "+3s > FA\n < A")) is None, "it waited for the server to speak"


def test_clouds_are_known_by_their_addresses() -> None:
    """Google's and Azure's probes come from documented addresses, whatever they ask."""
    close = Shape(What.CLOSE)
    for address, expected in (("35.191.3.4", "google"), ("2600:2d00:1:b029::7", "google"), ("168.63.129.16", "azure")):
        row = named_by(close, Manner(9, 0.0, address))
        assert row is not None
        assert row.kind == expected
    assert named_by(close, Manner(9, 0.0, "35.190.0.1")) is None
    assert named_by(close, Manner(9, 0.0, "not an address")) is None


def test_a_mesh_is_known_where_it_asks_itself() -> None:
    """Linkerd's mirror asks a gateway at 4191, Istio's agent its application from 127.0.0.6; a kubelet that asks the same stays one."""
    plain = http("GET /ready HTTP/1.1\r\nHost: a:4191\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
    kubelet = http("GET /ready HTTP/1.1\r\nHost: a:4191\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n")
    at, elsewhere = f"{CLIENT}:40000 > 10.0.0.2:4191", f"{CLIENT}:40000 > 10.0.0.2:8080"
    assert [kind(plain, at), kind(plain, elsewhere), kind(kubelet, at)] == ["linkerd", None, None]
    assert kind(kubelet, "127.0.0.6:40000 > 10.0.0.2:8080") == "istio"
    for path, port in (("/app-health/web/readyz", 15020), ("/healthz/ready", 15021)):
        asked = kubelet.replace("/ready", path, 1)
        assert kind(asked, f"{CLIENT}:40000 > 10.0.0.2:{port}") is None


def test_who_could_be_whom() -> None:
    """A program that says who it is could be nobody else; a kubelet only where the pace allows it."""
    assert could_be(Shape(What.HTTP, agent="curl/8.5.0"), kubelet=True) == ()
    assert could_be(Shape(What.HTTP, agent="kube-probe/1.29"), kubelet=False) == ()
    assert could_be(Shape(What.BYTES, agent="Blackbox Exporter/0.23.0"), kubelet=False) == ("blackbox_exporter",)
    assert "kubelet" not in could_be(Shape(What.CLOSE), kubelet=False)
    assert could_be(Shape(What.RESET), kubelet=True) == ("haproxy", "aws_elb")


def query(number: int, name: bytes = b"\x01a\x0croot-servers\x03net\x00") -> str:
    """Return the script of a DNS query over TCP."""
    message = number.to_bytes(2, "big") + b"\x01\x00\x00\x01" + bytes(6) + name + b"\x00\x01\x00\x01"
    said = "".join(f"\\x{byte:02x}" for byte in len(message).to_bytes(2, "big") + message)
    return HANDSHAKE + f"> PA '{said}'\n < A\n < PA '{said}'\n > FA\n < FA"


def test_dns_over_tcp() -> None:
    """Dnsdist's query has one shape whatever its id; another name's, or bytes that are no query, are nobody's."""
    assert kind(query(1)) == "dnsdist"
    assert shape_of(exchange(query(1))) == shape_of(exchange(query(0xBEEF)))
    assert kind(query(1, b"\x07example\x00")) is None
    assert kind(HANDSHAKE + "> PA 'DNS\\x01a\\x0croot'\n < PA 'x'\n > FA\n < FA") is None


CAPTURES = Path(__file__).parents[2] / "captures"


def test_the_captures_that_prove_rows_are_there_or_known() -> None:
    """A row's capture that lies in captures/ shows that checker; dnsdist's over IPv4 and IPv6, with the decisions of its log."""
    for row in SIGNATURES:
        if (CAPTURES / row.capture).is_dir() and row.capture:
            path = next((CAPTURES / row.capture).glob("cap.pcap*"))
            checkers = [probe.checker for probe in probewatch.analyze(path).probes]
            named = row.confidence >= NAMES
            assert row.kind in {kind for one in checkers for kind in ([one.kind] if named else one.could_be)}
    truth = json.loads((CAPTURES / "dnsdist-tcp" / "truth.json").read_text("utf-8"))
    found = probewatch.analyze(CAPTURES / "dnsdist-tcp" / "cap.pcap.gz", check="dnsdist:rise=2,maxCheckFailures=3")
    ends = {(probe.checker.address, probe.target.address) for probe in found.probes}
    assert ends == {(one["src"], one["dst"]) for one in truth["checkers"]}
    told = sorted((decision.ns / 1e9, decision.after) for probe in found.probes for decision in probe.decisions)
    first = min(probe.attempts[0].start.ns for probe in found.probes) / 1e9
    logged = sorted((one["t"], one["to"]) for one in truth["transitions"] if one["t"] > first + 1)
    assert [after for _, after in told] == [after for _, after in logged]
    assert all(abs(a - b) < 1.2 for (a, _), (b, _) in zip(told, logged, strict=True))


@pytest.mark.parametrize("checker", ["web", "web6", "db"])
def test_envoy_is_read_as_its_own_event_log_tells(checker: str) -> None:
    """Every check that Envoy logged is an attempt of that outcome, on kept connections and fresh ones; so are its decisions."""
    truth = json.loads((CAPTURES / "envoy" / "truth.json").read_text("utf-8"))
    one = next(one for one in truth["checkers"] if one["id"] == checker)
    target = f"[{one['dst']}]" if ":" in one["dst"] else one["dst"]
    numbers = ",".join(f"{name}={one[name]}" for name in ("healthy_threshold", "unhealthy_threshold"))
    found = probewatch.analyze(CAPTURES / "envoy" / "cap.pcap.gz", check=f"envoy:{numbers},target={target}:{one['dport']}")
    (probe,) = [probe for probe in found.probes if (probe.target.address, probe.target.port) == (one["dst"], one["dport"])]
    end = found.captures[0].last_ns / 1e9
    logged = [(entry["t_end"], entry["outcome"]) for entry in truth["checks"] if entry["checker"] == checker and entry["t_end"] < end]
    told = [(attempt.end_ns / 1e9, "pass" if attempt.outcome == "success" else "fail") for attempt in probe.attempts]
    assert [outcome for _, outcome in told] == [outcome for _, outcome in logged]
    assert all(abs(a - b) < 0.05 for (a, _), (b, _) in zip(told, logged, strict=True))
    decided = [(entry["t"], entry["to"]) for entry in truth["transitions"] if entry["checker"] == checker]
    assert [decision.after for decision in probe.decisions] == [to for _, to in decided]
    assert all(abs(decision.ns / 1e9 - t) < 0.05 for decision, (t, _) in zip(probe.decisions, decided, strict=True))
    assert probe.inferred["interval_s"] == pytest.approx(one["interval_s"], rel=0.01)


@pytest.mark.parametrize("capture", [
    "several", "beside", "envoy-settings", "haproxy-settings", "haproxy-reloads", "keepalived-settings", "traefik-proxy", "caddy-proxy",
])  # fmt: skip
def test_checkers_side_by_side_keep_apart(capture: str) -> None:
    """Whatever a checker's settings and company are: each by its name, at its interval, with the decisions of its log."""
    truth = json.loads((CAPTURES / capture / "truth.json").read_text("utf-8"))
    checks = []
    for one in truth["checkers"]:
        if one["check"] is not None:
            target = f"[{one['dst']}]" if ":" in one["dst"] else one["dst"]
            checks.append(f"{one['check']},target={target}:{one['dport']}")
    found = probewatch.analyze(CAPTURES / capture / "cap.pcap.xz", check=checks)
    for one in truth["checkers"]:
        (probe,) = [
            probe
            for probe in found.probes
            if (probe.checker.kind, probe.target.address, probe.target.port) == (one["kind"], one["dst"], one["dport"])
        ]
        assert probe.checker.address == one["src"]
        assert probe.inferred["interval_s"] == pytest.approx(one["interval_s"], rel=0.05)
        logged = [(entry["t"], entry["to"]) for entry in truth["transitions"] if entry["checker"] == one["id"]]
        if logged:
            told = [(decision.ns / 1e9, decision.after) for decision in probe.decisions]
            if one["kind"] == "haproxy":
                # Of `several` its first line is all that was kept of its log: that it came UP again, its pauses show.
                assert [after for _, after in told[len(logged) :]] == (["UP"] if capture == "several" else [])
                told = told[: len(logged)]
            assert [after for _, after in told] == [to for _, to in logged]
            assert all(abs(a - b) < 0.2 for (a, _), (b, _) in zip(told, logged, strict=True))


def test_caddy_is_seen_on_its_kept_connections() -> None:
    """Go's plain client names nobody; but each failure in Caddy's log is an attempt of an unknown checker, at Caddy's own pace."""
    truth = json.loads((CAPTURES / "caddy" / "truth.json").read_text("utf-8"))
    found = {probe.target.address: probe for probe in probewatch.analyze(CAPTURES / "caddy" / "cap.pcap.gz").probes}
    assert len(found) == len(truth["checkers"])
    for one in truth["checkers"]:
        probe = found[one["dst"]]
        assert (probe.checker.kind, "caddy" in probe.checker.could_be) == ("unknown", True)
        assert probe.inferred["interval_s"] == pytest.approx(one["interval_s"], rel=0.01)
        failed = [attempt.end_ns / 1e9 for attempt in probe.attempts if attempt.outcome == "failure"]
        logged = [entry["t"] for entry in truth["log"] if entry["server"].endswith(f":{one['dport']}") and entry["outcome"] == "fail"]
        assert all(any(abs(end - at) < 0.05 for end in failed) for at in logged)


def test_passes() -> None:
    """Each program's own idea of success: HAProxy takes a redirect, Varnish does not."""
    rows = {row.kind: row for row in SIGNATURES}
    assert passes(rows["haproxy"], 302)
    assert not passes(rows["haproxy"], 404)
    assert not passes(rows["varnish"], 302)
    assert passes(None, 200)


def test_every_row_says_where_it_comes_from() -> None:
    """No row without evidence for people and a source; a name that cannot be believed is not given."""
    for row in SIGNATURES:
        assert row.says
        assert row.source
        assert 0.0 < row.confidence < 1.0
    assert kind(http("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n")) is None
