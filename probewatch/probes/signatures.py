"""Who asks like that? One table of the checkers that are not the kubelet: how each asks and closes, and how we know.

Theory of operation. A row of `SIGNATURES` names a checker where everything it states about a series' `Shape` and
`Manner` (`probes.shapes`) holds; the first row that fits wins, so decisive rows stand before weak ones. A row also
says how that checker paces itself (`pause`: from the end of a check to the start of the next; `clock`: from start to
start), and which answers it takes for good, because that belongs to the program and not to the packets.

What separates them (measured; each row names its source, and says where it has no capture): HAProxy's
checks send no third handshake ACK on its own and spell header names in lower case; keepalived, monit, blackbox and
the clouds say who they are; Varnish sends `Host` and `Connection` and nothing else, Apache nothing but `Host`.

Limitations: a plain connect that ends with FIN is the same from everybody (keepalived, monit, Apache, blackbox, nc):
no row names it, and `probes.checkers` looks at the pace and at what else its source sends. User-Agents can be forged;
a row that rests on one alone says so by its confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from probewatch.model.units import MS

from .replies import DNS
from .shapes import AGENT, OPENING, Manner, Shape, What


class Basis(StrEnum):
    """From where a checker counts its interval."""

    PAUSE = "end"
    """From the end of a check: the period grows by the check's duration."""
    CLOCK = "start"
    """From start to start, whatever came of the check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One row."""

    kind: str
    """`checker.kind` of the output."""
    agent: str = ""
    """Its User-Agent begins so."""
    what: tuple[What, ...] = (What.HTTP,)
    names: tuple[str, ...] | None = None
    """Its header names, exactly, and so no others: only a header that was captured whole shows that. None: does not matter."""
    lower: bool | None = None
    """All header names in lower case."""
    version: str = ""
    methods: tuple[str, ...] = ()
    target: str = ""
    """Its request target begins so."""
    opening: bytes = b""
    """Its first bytes begin so; beyond those that a shape keeps, those of the longest that one of its checks said."""
    unacked: bool | None = None
    """The third handshake ACK comes with data or RST only."""
    networks: tuple[str, ...] = ()
    """Its source is in one of these."""
    port: int | None = None
    """It asks at this port."""
    basis: Basis = Basis.PAUSE
    passes: tuple[tuple[int, int], ...] = ((200, 399),)
    """Status codes it takes for success where nothing else was configured: ranges, inclusive."""
    rotates: bool = False
    """One check asks several targets in turn, one at a time."""
    tick_ns: int = 0
    """It looks only so often whether a check is due, so that each comes up to this late; 0: a timer of its own."""
    adds: bool = False
    """Chance may make its pauses longer than its interval, never shorter."""
    ending: bytes = b""
    """What it says in all ends so."""
    confidence: float = 0.9
    says: str
    """The evidence, for people."""
    source: str
    """How we know."""
    capture: str = ""
    """The capture that proves it; empty: not proven by one."""


OK200: Final = ((200, 200),)
OK2XX: Final = ((200, 299),)
GOOGLE: Final = ("35.191.0.0/16", "130.211.0.0/22", "2600:2d00:1:b029::/64", "2600:2d00:1:1::/64")
AZURE: Final = ("168.63.129.16/32",)
GO_CLIENT: Final = "Go-http-client/"
"""Go's HTTP client where a program sets no User-Agent."""
GO_CLIENTS: Final = (GO_CLIENT, "grpc-go/")
"""The same, and its gRPC client."""
KUBE_PROBE: Final = "kube-probe/"
"""A kubelet's, but for the slash form `kube-probe/1/36`, which is Knative's."""
ANY: Final = tuple(What)

SIGNATURES: Final[tuple[Signature, ...]] = (
    Signature(
        kind="envoy",
        agent="Envoy/HC",
        what=(What.HTTP, What.TLS, What.GRPC),
        passes=OK200,
        adds=True,  # interval_jitter, interval_jitter_percent
        says="User-Agent Envoy/HC",
        source="Envoy 1.40 on the wire: HTTP/1, HTTP/2 and gRPC, on kept connections and on fresh ones",
        capture="envoy",
    ),
    Signature(
        kind="keepalived",
        agent="KeepAliveClient",
        passes=OK2XX,
        rotates=True,
        confidence=0.95,
        says="User-Agent KeepAliveClient",
        source="keepalived check_http.c",
        capture="keepalived",
    ),
    Signature(
        kind="monit",
        agent="Monit/",
        confidence=0.95,
        says="User-Agent Monit",
        source="Monit 5.33.0 on the wire",
        capture="several",
    ),
    Signature(
        kind="blackbox_exporter",
        agent="Blackbox Exporter/",
        basis=Basis.CLOCK,
        passes=OK2XX,
        confidence=0.95,
        says="User-Agent Blackbox Exporter",
        source="blackbox_exporter 0.23.0 on the wire",
        capture="blackbox-prometheus",
    ),
    Signature(
        kind="consul",
        agent="Consul Health Check",
        passes=((200, 299), (429, 429)),  # 429 is a warning, and a service that warns stays in service
        says="User-Agent Consul Health Check",
        source="consul agent/checks/check.go CheckHTTP: a fresh connection each, the interval begins when a check has ended",
    ),
    Signature(
        kind="nomad",
        agent="Nomad/",
        says="User-Agent Nomad",
        source="nomad client/serviceregistration/checks/client.go checkHTTP (any status below 400 passes; kept connections), "
        "client/allocrunner/checks_hook.go (the interval begins when a check has ended)",
    ),
    Signature(
        kind="aws_elb",
        agent="ELB-HealthChecker/",
        basis=Basis.CLOCK,
        passes=OK200,
        says="User-Agent ELB-HealthChecker",
        source="AWS documentation, target group health checks",
    ),
    Signature(
        kind="google",
        agent="GoogleHC/",
        basis=Basis.CLOCK,
        passes=OK200,
        says="User-Agent GoogleHC",
        source="Google Cloud health check documentation",
    ),
    Signature(
        kind="google",
        what=ANY,
        networks=GOOGLE,
        basis=Basis.CLOCK,
        passes=OK200,
        says="source in Google's health check ranges",
        source="Google Cloud firewall documentation",
    ),
    Signature(
        kind="azure",
        agent="Edge Health Probe",
        basis=Basis.CLOCK,
        passes=OK200,
        says="User-Agent Edge Health Probe, Azure Front Door's",
        source="Azure Front Door documentation, health probes",
    ),
    Signature(
        kind="azure",
        agent="Load Balancer Agent",
        basis=Basis.CLOCK,
        passes=OK200,
        confidence=0.7,
        says="User-Agent Load Balancer Agent",
        source="unconfirmed; Azure documents the source address, not the User-Agent",
    ),
    Signature(
        kind="azure",
        what=ANY,
        networks=AZURE,
        basis=Basis.CLOCK,
        passes=OK200,
        says="source 168.63.129.16, Azure's health probe address",
        source="Azure Load Balancer documentation",
    ),
    Signature(
        kind="knative",
        agent=KUBE_PROBE,
        basis=Basis.CLOCK,
        confidence=0.8,
        says="User-Agent kube-probe in slash form",
        source="knative serving pkg/queue/health/probe.go",
    ),
    Signature(
        kind="knative",
        agent="Knative-",
        basis=Basis.CLOCK,
        says="User-Agent of a Knative prober",
        source="knative.dev/networking header.go",
    ),
    Signature(
        kind="istio",
        what=ANY,
        networks=("127.0.0.6/32", "::6/128"),
        basis=Basis.CLOCK,
        confidence=0.8,
        says="source 127.0.0.6: Istio's agent repeats the kubelet's probe inside the pod",
        source="istio pilot-agent status/server.go UpstreamLocalAddressIPv4",
    ),
    Signature(
        kind="nginx",
        agent="nginx",
        confidence=0.6,
        says="User-Agent nginx",
        source="nginx documentation, ngx_http_upstream_hc_module",
    ),
    Signature(
        kind="nagios",
        agent="check_http/v",
        confidence=0.9,
        says="User-Agent check_http, a plugin of Nagios and Icinga",
        source="monitoring-plugins 2.3.3 asked so; 4xx is a warning and 5xx critical (check_http --help)",
    ),
    Signature(
        kind="haproxy",
        lower=True,
        unacked=True,
        confidence=0.97,
        says="lower-case header names; no third handshake ACK of its own",
        source="HAProxy 2.6, 2.8, 3.5-dev on the wire",
        capture="several",
    ),
    Signature(
        kind="haproxy",
        names=(),
        version="HTTP/1.0",
        unacked=True,
        confidence=0.97,
        says="a request line and no header; no third handshake ACK of its own",
        source="HAProxy 2.6, 2.8 on the wire",
        capture="several",
    ),
    Signature(
        kind="haproxy",
        what=(What.RESET,),
        unacked=True,
        confidence=0.97,
        says="SYN, SYN-ACK, RST: a connect check without the third handshake ACK",
        source="HAProxy 2.6, 2.8 on the wire",
        capture="hap-openshift",
    ),
    Signature(
        kind="haproxy",
        what=(What.TLS,),
        unacked=True,
        confidence=0.93,
        says="ClientHello in the third handshake packet",
        source="HAProxy 2.6 on the wire",
        capture="hap-ssl",
    ),
    Signature(
        kind="haproxy",
        what=(What.BYTES,),
        unacked=True,
        confidence=0.93,
        says="request in the third handshake packet",
        source="HAProxy 2.6 on the wire: redis-check, pgsql-check, tcp-check, send-proxy",
        capture="tcp-services",
    ),
    Signature(
        kind="haproxy",
        what=(What.GRPC, What.HTTP),
        unacked=True,
        confidence=0.9,
        says="request in the third handshake packet",
        source="HAProxy 2.6 on the wire: proto h2, http-check send",
        capture="hap-get11",
    ),
    Signature(
        kind="haproxy",
        what=(What.CLOSE,),
        opening=AGENT,
        confidence=0.8,
        says="the server answers in the words of HAProxy's agent-check",
        source="HAProxy 2.6 on the wire, configuration manual 5.2 agent-check",
        capture="beside",
    ),
    Signature(
        kind="haproxy",
        what=(What.BYTES,),
        opening=b"HELO localho",
        confidence=0.6,
        says="HELO localhost and QUIT: option smtpchk",
        source="HAProxy 2.6 on the wire",
        capture="tcp-services",
    ),
    Signature(
        kind="keepalived",
        what=(What.BYTES,),
        opening=b"HELO smtpche",
        confidence=0.85,
        says="HELO smtpchecker.keepalived.org and QUIT: SMTP_CHECK",
        source="keepalived 2.2.7 on the wire",
        capture="beside",
    ),
    Signature(
        kind="monit",
        what=(What.BYTES,),
        opening=b"EHLO localhost\r\n",  # (Perl's Net::SMTP, and so ldirectord, says localhost.localdomain)
        confidence=0.7,
        says="EHLO localhost and QUIT: Monit's protocol smtp",
        source="Monit 5.33.0 on the wire",
        capture="tcp-services",
    ),
    Signature(
        kind="monit",
        what=(What.BYTES,),
        opening=b"*1\r\n$4\r\nPING",
        ending=b"QUIT\r\n",
        unacked=False,
        confidence=0.7,
        says="PING and QUIT: Monit's protocol redis",
        source="Monit 5.33.0 on the wire",
        capture="tcp-services",
    ),
    Signature(
        kind="monit",
        what=(What.BYTES,),
        opening=b"\x00\x00\x00!\x00\x03\x00\x00user",
        confidence=0.7,
        says="startup as user root: Monit's protocol pgsql",
        source="Monit 5.33.0 on the wire",
        capture="tcp-services",
    ),
    Signature(
        kind="monit",
        what=(What.BYTES,),
        opening=b"\x80\x0a\0\0\0\0\0\0\0\0\0\0",
        confidence=0.7,
        says="binary NOOP: Monit's protocol memcache",
        source="Monit 5.33.0 on the wire",
        capture="tcp-services",
    ),
    Signature(
        kind="varnish",
        names=("Host", "Connection"),
        version="HTTP/1.1",
        passes=OK200,
        confidence=0.85,
        says="Host and Connection: close and no other header",
        source="Varnish 7.1 on the wire, cache_backend_probe.c",
        capture="several",
    ),
    Signature(
        kind="apache",
        names=("Host",),
        methods=("GET", "HEAD", "OPTIONS"),
        tick_ns=100 * MS,  # AP_WD_TM_SLICE, mod_watchdog.h
        confidence=0.85,
        says="Host and no other header",
        source="Apache 2.4.71 mod_proxy_hcheck on the wire",
        capture="several",
    ),
    Signature(
        kind="dnsdist",
        what=(What.BYTES,),
        opening=DNS + b"\x01a\x0croot-s",
        confidence=0.85,
        says="a DNS query for a.root-servers.net over TCP",
        source="dnsdist 1.7.3 on the wire (tcpOnly; its usual checks are UDP, which is not read)",
        capture="dnsdist-tcp",
    ),
    Signature(
        kind="linkerd",
        agent=GO_CLIENT,
        target="/ready",
        port=4191,
        basis=Basis.CLOCK,
        passes=OK200,
        confidence=0.6,
        says="GET /ready at 4191 by Go's plain client: a Linkerd service mirror asks a gateway so",
        source="linkerd2 multicluster values gateway.probe, service-mirror probe_worker.go",
    ),
    Signature(
        kind="traefik",
        agent=GO_CLIENT,
        names=("Host", "User-Agent", "Accept-Encoding"),
        basis=Basis.CLOCK,
        confidence=0.3,
        says="Go's plain client, regular",
        source="traefik pkg/healthcheck/healthcheck.go, and Traefik 3.7.15 asked so (a ticker; nothing of its own in the request; it "
        "keeps a connection only where the answer has no body)",
    ),
    Signature(
        kind="caddy",
        agent=GO_CLIENT,
        basis=Basis.CLOCK,
        confidence=0.3,
        says="Go's plain client, regular, on a kept connection",
        source="Caddy 2.11.7 on the wire (nothing of its own in the request)",
        capture="caddy",
    ),
)
"""First fit wins."""


class Pacing(StrEnum):
    """What shows that one more series of a source belongs to a checker that it is known to run."""

    TIMER = "its exact pause"
    CLOCK = "its clock"
    CYCLE = "its cycle: one check right after another"
    TICKS = "its loop: whole ticks after another check"


@dataclass(frozen=True, slots=True)
class Beside:
    """How a checker's checks that look like anybody's are known beside others of the same source that name it."""

    pacing: Pacing
    what: tuple[What, ...] = (What.CLOSE, What.TLS)
    listens: bool | None = None
    """Whether it waits for the server to speak where it says nothing itself; None: as it is configured."""
    capture: str = ""
    """The capture that proves it."""


BY_PACE: Final[dict[str, Beside]] = {
    "keepalived": Beside(Pacing.TIMER, (What.CLOSE, What.TLS, What.BYTES), listens=False, capture="beside"),
    "envoy": Beside(Pacing.TIMER, (What.CLOSE, What.TLS, What.BYTES), capture="beside"),
    "haproxy": Beside(Pacing.TIMER, (What.BYTES, What.RESET, What.CLOSE), listens=True, capture="beside"),
    "monit": Beside(Pacing.CYCLE, (What.CLOSE, What.TLS, What.BYTES), capture="beside"),
    "apache": Beside(Pacing.TICKS, listens=False, capture="beside"),
    "dnsdist": Beside(Pacing.CYCLE, (What.BYTES,), capture="beside"),
    "traefik": Beside(Pacing.CLOCK, (What.CLOSE, What.TLS, What.BYTES), capture="traefik-proxy"),
    "caddy": Beside(Pacing.CLOCK, (What.TLS,), capture="caddy-proxy"),
    "blackbox_exporter": Beside(Pacing.CLOCK, (What.CLOSE, What.TLS, What.BYTES, What.GRPC), capture="beside"),
}
"""Checkers of which some checks (a plain connect, a TLS handshake, bytes as they were configured) only pace and source name.

HAProxy's other checks are known by themselves; where the server speaks first (smtpchk, mysql-check, tcp-check expect), and on
all but the last connection of a check that makes several, they send the third ACK, too.
"""

NAMES: Final = 0.5
"""Confidence from which a row names a checker."""

SCRAPES: Final = ("Prometheus/", "kube-lifecycle/")
"""Periodic and no check: User-Agents of scrapes and of the kubelet's lifecycle hooks."""
METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""What a check asks by."""
NOT_CHECKS: Final = ("Prometheus/", "kube-lifecycle/", "curl/", "Wget/", "python-requests/", "Python-urllib/")
"""User-Agents of programs that may ask periodically and are no checkers with a signature: scrapes, hooks, people's loops."""

_NETWORKS: Final[dict[str, IPv4Network | IPv6Network]] = {
    text: ip_network(text) for row in SIGNATURES for text in row.networks
}


def named_agent(agent: str) -> Signature | None:
    """Return the row whose User-Agent this is, whatever else it asks; None where it is nobody's."""
    return next(
        (
            row
            for row in SIGNATURES
            if row.agent
            and row.confidence >= NAMES
            and agent.startswith(row.agent)
            and row.agent != KUBE_PROBE
            and not row.target
        ),
        None,
    )


def named_by(shape: Shape, manner: Manner) -> Signature | None:
    """Return the row that names this series, or None; a row below NAMES is known, but says too little to name anybody."""
    return next((row for row in SIGNATURES if row.confidence >= NAMES and _fits(row, shape, manner)), None)


def ticks_by(shape: Shape, manner: Manner) -> bool:
    """Tell whether whoever may ask like this paces itself by a clock; rows that name nobody count, too."""
    row = next((row for row in SIGNATURES if _fits(row, shape, manner)), None)
    return row is not None and row.basis is Basis.CLOCK


def _fits(row: Signature, shape: Shape, manner: Manner) -> bool:
    # A request that keys opened is like one in clear.
    what = {shape.what, What.HTTP} if shape.what is What.TLS and shape.method else {shape.what}
    if what.isdisjoint(row.what) or not shape.agent.startswith(row.agent) or not shape.target.startswith(row.target):
        return False
    if row.agent == KUBE_PROBE and not _slash_form(shape.agent):
        return False
    if row.names is not None and (row.names != shape.names or shape.cut):
        return False
    if row.lower is not None and (not shape.names or row.lower != all(name == name.lower() for name in shape.names)):
        return False
    if row.version and row.version != shape.version:
        return False
    if row.methods and shape.method not in row.methods:
        return False
    if not shape.opening.startswith(row.opening[:OPENING]) or row.port not in (None, manner.port):
        return False
    if not manner.said.endswith(row.ending):
        return False
    if len(row.opening) > OPENING and not manner.said.startswith(row.opening):
        return False
    if row.unacked is not None and row.unacked != (manner.unacked > 0.5):
        return False
    return not row.networks or _inside(manner.client, row.networks)


def _slash_form(agent: str) -> bool:
    parts = agent.split("/")
    return len(parts) == 3 and all(part.rstrip("+").isdigit() for part in parts[1:])


def _inside(address: str, networks: Sequence[str]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in _NETWORKS[text] for text in networks)


def passes(row: Signature | None, status: int) -> bool:
    """Tell whether a checker takes this status for success, as it does where nothing else was configured."""
    ranges = row.passes if row is not None else ((200, 399),)
    return any(low <= status <= high for low, high in ranges)
