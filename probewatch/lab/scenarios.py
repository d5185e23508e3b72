"""What there is to see, as data: each scenario has pods with probes and behaviours, faults, and what a reader should find.

`rows` are the rows of the catalogue of causes in docs/causes.md that a scenario makes real. A scenario is begun by
`probewatch lab run NAME`, over IPv4 or IPv6.

It is over 600 lines: a table with an entry for each scenario, in the order of `lab list`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .faults import Fault
from .network import GATEWAY

Serves = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """One container: its probes as YAML, and what runs in it."""

    probes: str
    name: str = "app"
    serves: tuple[Serves, ...] = ()
    """Servers of its process (see `servers`)."""
    crash_s: float | None = None
    """When its process dies of itself, in seconds from its start."""
    run: tuple[str, ...] = ()
    """Instead of servers: a command in a real container, by runc and busybox where they are."""
    ports: tuple[int, ...] = (8080,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """One pod."""

    containers: tuple[ContainerPlan, ...]
    name: str = "web"
    delete_at_s: float | None = None
    pre_stop_s: float = 0.0
    sync_every_s: float | None = None
    """How often it is synced although nothing happens (in life about once a minute)."""
    grace_s: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A router, Services and clients beside the probes."""

    up_delay_s: float = 0.5
    """From Ready to the Service's endpoints and the proxies of all nodes."""
    down_delay_s: float = 2.0
    wrong_target_port: int = 9090
    """Of the second Service; nothing listens there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing to see."""

    name: str
    says: str
    """What happens, one sentence."""
    shows: str
    """What a reader should find, one sentence."""
    pods: tuple[PodPlan, ...]
    seconds: float = 20.0
    faults: tuple[Fault, ...] = ()
    rows: tuple[str, ...] = ()
    traffic: Traffic | None = None
    kubelet_restart: tuple[float, float] | None = None
    """When the kubelet goes, and for how long, in seconds."""
    interface: str = ""
    """Where it is recorded on the node; empty for the first pod's veth."""
    tls: bool = False


def _probe(kind: str, handler: str, **more: int) -> str:
    """Return one probe of a container as YAML; every second, where nothing else is said."""
    numbers = {"periodSeconds": 1, **more}
    return f"{kind}Probe:\n  {handler}\n" + "".join(f"  {name}: {value}\n" for name, value in numbers.items())


_READY: Final = "httpGet: {path: /ready, port: 8080}"
_HTTPS: Final = "httpGet: {path: /ready, port: 8080, scheme: HTTPS}"
_TCP: Final = "tcpSocket: {port: 8080}"
_GRPC: Final = "grpc: {port: 8080}"


def _pod(probes: str, *serves: Serves, crash_s: float | None = None, **more: Any) -> tuple[PodPlan, ...]:
    return (PodPlan(containers=(ContainerPlan(probes=probes, serves=serves, crash_s=crash_s),), **more),)


def _serve(behaviour: str, **more: Any) -> Serves:
    return {"behaviour": behaviour, "port": 8080, **more}


def _simple(name: str, says: str, shows: str, probes: str, *serves: Serves, **more: Any) -> Scenario:
    return Scenario(name=name, says=says, shows=shows, pods=_pod(probes, *serves), **more)


CLUSTER: Final = Scenario(
    name="cluster",
    says="A small cluster to look around in: a flapping pod, one that is well, one that crashes, a router, Services, a client.",
    shows="What you look for.",
    pods=(
        *_pod(_probe("readiness", _READY), _serve("alternating", ready=12, unready=10), name="web-1"),
        *_pod(
            _probe("readiness", _READY, periodSeconds=2)
            + _probe("liveness", "httpGet: {path: /livez, port: 8080}", periodSeconds=2),
            _serve("ready"),
            name="web-2",
        ),
        *_pod(
            _probe("readiness", _TCP) + _probe("liveness", "httpGet: {path: /livez, port: 8080}"),
            _serve("aging", well=20),
            name="crashy",
        ),
    ),
    seconds=3600,
    traffic=Traffic(),
    interface="any",
)
"""What `probewatch lab up` builds; it lasts an hour."""

_ALL: Final = (
    _simple(
        "flapping",
        "/ready answers 200 five times, then 503 five times, and so on.",
        "NotReady at the third 503, with one extra probe at once; Ready again at the next 200.",
        _probe("readiness", _READY),
        _serve("alternating"),
    ),
    _simple(
        "ready",
        "Everything is well: readiness and liveness are answered at once.",
        "Two probes that succeed, and nothing else.",
        _probe("readiness", _READY) + _probe("liveness", "httpGet: {path: /livez, port: 8080}", periodSeconds=2),
        _serve("ready"),
        seconds=10,
    ),
    _simple(
        "slow-answer",
        "Requests 4 to 9 are answered after 2.5 s; the timeout is 1 s.",
        "Attempts without an answer in 1 s, although one comes later; NotReady; then well again.",
        _probe("readiness", _READY),
        _serve("slow", delay_s=2.5, first=4, last=9),
        rows=("D09",),
    ),
    _simple(
        "slower-than-period",
        "Every answer takes 1.5 s; the period is 1 s and the timeout 3 s.",
        "Attempts that succeed back to back, each begun when the one before has ended.",
        _probe("readiness", _READY, timeoutSeconds=3),
        _serve("slow", delay_s=1.5),
        rows=("D28",),
    ),
    _simple(
        "silent",
        "The server accepts and never answers; a tcpSocket liveness probe of the same port is content.",
        "Readiness fails with slow-answer, liveness succeeds: the kernel accepts for a process that hangs.",
        _probe("readiness", _READY) + _probe("liveness", _TCP, periodSeconds=2),
        _serve("silent"),
        rows=("D09",),
    ),
    _simple(
        "frozen-app",
        "The application gets no CPU from 5 s to 12 s.",
        "Its kernel goes on to acknowledge; no answer within the timeout, NotReady, then Ready.",
        _probe("readiness", _READY),
        _serve("ready"),
        faults=(Fault(kind="freeze-app", at_s=5, for_s=7),),
        rows=("D09",),
    ),
    _simple(
        "full-queue",
        "The application listens and never accepts; its queue holds two.",
        "The first attempts succeed, then nobody answers SYNs.",
        _probe("readiness", _TCP),
        _serve("full-queue"),
        rows=("D06",),
    ),
    _simple(
        "refused-at-start",
        "Nothing listens for the first 4 s.",
        "Refused attempts, then Ready; a startupProbe would say so.",
        _probe("readiness", _TCP),
        _serve("ready", opens_s=4.0),
        rows=("D01", "D23"),
    ),
    _simple(
        "wrong-port",
        "The application listens on 8081, the probe asks 8080.",
        "Every attempt is refused; never Ready.",
        _probe("readiness", _READY),
        {"behaviour": "ready", "port": 8081},
        rows=("D01",),
    ),
    _simple(
        "port-closes",
        "The port closes at 6 s and opens again at 12 s.",
        "Ready, refused, NotReady, Ready.",
        _probe("readiness", _READY),
        _serve("ready", closes_s=6.0),
        _serve("ready", opens_s=12.0),
        rows=("D01",),
    ),
    _simple(
        "dropped-syn",
        "The pod drops SYNs from 5 s to 14 s; the timeout is 3 s.",
        "SYNs repeated each second without an answer; afterwards the SYNs of given-up dials are completed and closed.",
        _probe("readiness", _READY, timeoutSeconds=3, periodSeconds=3),
        _serve("ready"),
        seconds=24,
        faults=(Fault(kind="drop-syn", at_s=5, for_s=9),),
        rows=("D06",),
    ),
    _simple(
        "lost-syn",
        "One SYN is lost; the timeout is 1 s, as long as TCP waits before it repeats a SYN.",
        "One failed attempt between good ones, no decision.",
        _probe("readiness", _TCP, periodSeconds=2),
        _serve("ready"),
        faults=(Fault(kind="drop-syn", at_s=7, for_s=1.9),),
        rows=("D40",),
    ),
    _simple(
        "lost-before-pod",
        "The node's bridge loses what is for the pod from 5 s to 10 s; recorded on all of the node's interfaces.",
        "SYNs seen on tun0 that no veth shows.",
        _probe("readiness", _TCP),
        _serve("ready"),
        faults=(Fault(kind="drop-before-pod", at_s=5, for_s=5),),
        interface="any",
        rows=("D05",),
    ),
    _simple(
        "lost-syn-ack",
        "The node drops the pod's SYN-ACKs from 5 s to 11 s; the timeout is 3 s.",
        "SYN and SYN-ACK both repeated, no ACK.",
        _probe("readiness", _TCP, timeoutSeconds=3, periodSeconds=3),
        _serve("ready"),
        faults=(Fault(kind="lose-syn-ack", at_s=5, for_s=6),),
        rows=("D07",),
    ),
    _simple(
        "firewall",
        "A firewall rejects the probe from 5 s to 11 s with ICMP.",
        "Attempts answered by ICMP administratively prohibited.",
        _probe("readiness", _READY),
        _serve("ready"),
        faults=(Fault(kind="reject", at_s=5, for_s=6),),
        rows=("D38",),
    ),
    _simple(
        "arp-dead",
        "The pod answers no ARP (IPv6: no neighbour solicitation) from 5 s to 13 s.",
        "Only requests for its address, no SYN; NotReady all the same.",
        _probe("readiness", _READY),
        _serve("ready"),
        faults=(Fault(kind="silence-neighbour", at_s=5, for_s=8),),
        rows=("D39",),
    ),
    _simple(
        "mtu-black-hole",
        "Segments over 600 bytes never reach the node; the answer has 3 kB.",
        "Big segments repeated and never acknowledged; the body times out, so nothing counts.",
        _probe("readiness", _READY, periodSeconds=4),
        _serve("big-body", size=3000),
        faults=(Fault(kind="lose-big", at_s=6),),
        rows=("D15",),
    ),
    _simple(
        "own-address",
        "The pod's address is also on the node's lo from 4 s to 10 s; recorded on all interfaces.",
        "Refused over lo, from the address to itself, and nothing on the veth; NotReady.",
        _probe("readiness", _READY),
        _serve("ready"),
        faults=(Fault(kind="steal-address", at_s=4, for_s=6),),
        interface="any",
        rows=("D02",),
    ),
    _simple(
        "no-ports-left",
        "The node has four source ports from 3 s on; after a tcpSocket probe TIME_WAIT keeps its port for a minute.",
        "Expected readiness attempts that are missing, told as no-local-port, while liveness, where the server closes first, goes on. "
        "What the kubelet decides then (NotReady) no packet shows.",
        _probe("readiness", _TCP) + _probe("liveness", "httpGet: {path: /livez, port: 8081}"),
        _serve("ready"),
        {"behaviour": "ready", "port": 8081},
        faults=(Fault(kind="few-ports", at_s=3),),
        rows=("D03",),
    ),
    _simple(
        "ports-come-back",
        "The node has four source ports from 3 s on and takes those in TIME_WAIT again after a second.",
        "The same source port several times within a minute, and every attempt succeeds.",
        _probe("readiness", _TCP),
        _serve("ready"),
        faults=(Fault(kind="reuse-ports", at_s=3),),
        rows=("D42",),
    ),
    _simple(
        "other-source",
        "From 5 s to 11 s the node probes from another of its addresses, which the pod does not let in.",
        "SYNs without an answer, all from an address of the node that the others did not come from; NotReady.",
        _probe("readiness", _READY),
        _serve("ready"),
        faults=(Fault(kind="other-source", at_s=5, for_s=6),),
        rows=("D37",),
    ),
    _simple(
        "frozen-kubelet",
        "The prober gets no CPU from 6.5 s and from 12 s, for 2.5 s each, while the server takes 0.6 s to answer.",
        "A gap in the attempts; an answer in time that is noticed too late.",
        _probe("readiness", _READY),
        _serve("slow", delay_s=0.6),
        # half a period apart: one of them falls into an attempt
        faults=(Fault(kind="freeze-kubelet", at_s=6.5, for_s=2.5), Fault(kind="freeze-kubelet", at_s=12, for_s=2.5)),
        rows=("D11", "D27"),
    ),
    _simple(
        "closed-early",
        "The server ends each connection without a byte.",
        "closed-before-answer at every attempt.",
        _probe("readiness", _READY),
        _serve("closing"),
        seconds=10,
        rows=("D12",),
    ),
    _simple(
        "reset",
        "The server resets each connection once the request has come.",
        "reset-before-answer at every attempt.",
        _probe("readiness", _READY),
        _serve("resetting"),
        seconds=10,
        rows=("D13",),
    ),
    _simple(
        "reset-in-body",
        "The server resets each connection in the middle of the body.",
        "Three connections for each tick, and nothing counts: never Ready, never NotReady.",
        _probe("readiness", _READY, periodSeconds=2),
        _serve("resetting", when="body"),
        seconds=10,
        rows=("D14",),
    ),
    _simple(
        "short-body",
        "Each body ends before its Content-Length.",
        "Three connections for each tick, result thrown away.",
        _probe("readiness", _READY, periodSeconds=2),
        _serve("broken-body"),
        seconds=10,
        rows=("D14",),
    ),
    _simple(
        "stalled-body",
        "Each body stalls after 100 of 1000 bytes.",
        "Three timeouts in a row for each tick, result thrown away.",
        _probe("readiness", _READY, periodSeconds=5),
        _serve("broken-body", stalls=True),
        rows=("D14",),
    ),
    _simple(
        "big-body",
        "Each answer has 60 kB; the kubelet reads 10 kB and closes.",
        "RST from the node after the answer, and success.",
        _probe("readiness", _READY),
        _serve("big-body"),
        seconds=10,
        rows=("D33",),
    ),
    _simple(
        "banner",
        "The server speaks first, the tcpSocket probe does not listen.",
        "RST from the node, and success.",
        _probe("readiness", _TCP),
        _serve("banner"),
        seconds=10,
        rows=("D33",),
    ),
    _simple(
        "redirect",
        "/ready redirects to /final on the same host.",
        "Two connections for each attempt, success.",
        _probe("readiness", _READY),
        _serve("redirecting"),
        seconds=10,
        rows=("D20",),
    ),
    _simple(
        "redirect-to-500",
        "/ready redirects to /final on the same host, which answers 500.",
        "Two connections for each attempt; the last hop's status fails it.",
        _probe("readiness", _READY),
        _serve("redirecting", status=500),
        seconds=10,
        rows=("D20",),
    ),
    _simple(
        "redirect-loop",
        "/ready redirects to itself.",
        "Ten connections for each attempt, then redirect-limit.",
        _probe("readiness", _READY, periodSeconds=2),
        _serve("redirecting", to="/ready"),
        seconds=10,
    ),
    _simple(
        "redirect-elsewhere",
        "/ready redirects to another host, which the kubelet does not follow.",
        "A warning that counts as success.",
        _probe("readiness", _READY),
        _serve("redirecting", to="http://login.example.com/"),
        seconds=10,
        rows=("D19",),
    ),
    _simple(
        "unauthorized",
        "The health path wants authorization.",
        "401 at every attempt; never Ready.",
        _probe("readiness", _READY),
        _serve("picky"),
        seconds=10,
        rows=("D21",),
    ),
    _simple(
        "https",
        "HTTPS with a self-signed certificate.",
        "A handshake that succeeds; the answer is encrypted.",
        _probe("readiness", _HTTPS),
        _serve("tls"),
        seconds=10,
        tls=True,
    ),
    _simple(
        "https-on-http",
        "scheme HTTPS, but the server speaks plain HTTP and answers 400.",
        "tls-on-plain-http at every attempt.",
        _probe("readiness", _HTTPS),
        _serve("plain"),
        seconds=10,
        rows=("D16",),
    ),
    _simple(
        "http-on-https",
        "scheme HTTP, but the server speaks TLS.",
        "The bare 400 of a TLS server at every attempt, told as http-to-https.",
        _probe("readiness", _READY),
        _serve("tls"),
        seconds=10,
        tls=True,
        rows=("D17",),
    ),
    _simple(
        "client-certificate",
        "The server wants a client certificate; the kubelet has none.",
        "A TLS alert at every attempt.",
        _probe("readiness", _HTTPS),
        _serve("tls", client_certificate=True),
        seconds=10,
        tls=True,
        rows=("D18",),
    ),
    _simple(
        "grpc-flapping",
        "gRPC: NOT_SERVING at calls 6 to 11, SERVING at all others.",
        "Ready, NotReady, Ready.",
        _probe("readiness", _GRPC, timeoutSeconds=2),
        _serve("grpc", sick_from=6, well_from=12),
        rows=("D32",),
    ),
    _simple(
        "grpc-unimplemented",
        "gRPC: the server has no health service.",
        "grpc-status 12 at every attempt.",
        _probe("readiness", _GRPC),
        _serve("grpc", grpc_status=12),
        seconds=10,
        rows=("D32",),
    ),
    _simple(
        "grpc-refused",
        "gRPC: nothing listens; the client dials again within one attempt.",
        "SYN and RST about a second apart, told as a timeout.",
        _probe("readiness", _GRPC, timeoutSeconds=3, periodSeconds=4),
        {"behaviour": "grpc", "port": 8081},
        rows=("D30",),
    ),
    _simple(
        "grpc-on-http",
        "gRPC, but the server speaks HTTP/1.",
        "The preface answered by HTTP/1, told as a timeout.",
        _probe("readiness", _GRPC, timeoutSeconds=2, periodSeconds=3),
        _serve("plain"),
        rows=("D31",),
    ),
    _simple(
        "liveness-restart",
        "Each process answers 503 from its sixth request on; liveness restarts it.",
        "Restart at the third 503, silence of liveness until the new container, refused, then well; later restarts wait.",
        _probe("liveness", "httpGet: {path: /livez, port: 8080}") + _probe("readiness", _TCP, periodSeconds=2),
        _serve("aging", well=5),
        seconds=40,
    ),
    _simple(
        "startup",
        "503 for the first 5 s, then 200; liveness and readiness wait for the startup probe.",
        "Startup fails, then Started, and the first readiness attempt in the same millisecond.",
        _probe("startup", "httpGet: {path: /started, port: 8080}", failureThreshold=30)
        + _probe("readiness", _READY)
        + _probe("liveness", "httpGet: {path: /livez, port: 8080}", periodSeconds=2),
        _serve("starting", after_s=5.0),
    ),
    Scenario(
        name="shared-dependency",
        says="Two pods answer 503 to liveness from 6 s to 12 s, because what both depend on is down.",
        shows="The same answer of both pods in the same seconds, and both are restarted.",
        pods=tuple(
            PodPlan(
                name=name,
                containers=(
                    ContainerPlan(
                        probes=_probe("liveness", "httpGet: {path: /livez, port: 8080}"),
                        serves=(_serve("sick", from_s=6.0, to_s=12.0),),
                    ),
                ),
            )
            for name in ("web-1", "web-2")
        ),
        interface=GATEWAY,
        rows=("D22",),
    ),
    Scenario(
        name="sidecar-late",
        says="The sidecar's readiness port opens 6 s after the application's.",
        shows="Two readiness probes: the application's succeeds, the sidecar's is refused; the pod is Ready with the later.",
        pods=(
            PodPlan(
                containers=(
                    ContainerPlan(probes=_probe("readiness", _READY), serves=(_serve("ready"),)),
                    ContainerPlan(
                        name="istio-proxy",
                        probes=_probe("readiness", "httpGet: {path: /healthz/ready, port: 15021}"),
                        serves=({"behaviour": "ready", "port": 15021, "opens_s": 6.0},),
                        ports=(15021,),
                    ),
                )
            ),
        ),
        rows=("D36",),
    ),
    Scenario(
        name="sidecar-asks-for-it",
        says="A sidecar answers the probe in the application's place; the application does not listen until 6 s.",
        shows="500 from port 15020; the refused connection is on the pod's own lo.",
        pods=(
            PodPlan(
                containers=(
                    ContainerPlan(
                        probes=_probe("readiness", "httpGet: {path: /app-health/app/readyz, port: 15020}"),
                        serves=({"behaviour": "rewriting", "port": 15020}, _serve("ready", opens_s=6.0)),
                        ports=(8080, 15020),
                    ),
                )
            ),
        ),
        rows=("D35",),
    ),
    Scenario(
        name="crash",
        says="The process dies 6 s after each start and is started again, the second time after 10 s.",
        shows="Refused attempts, a container that started again, Ready each time.",
        pods=_pod(_probe("readiness", _READY), _serve("ready"), crash_s=6.0),
        seconds=40,
    ),
    Scenario(
        name="terminating",
        says="The pod is deleted at 8 s; its preStop hook takes 5 s.",
        shows="Liveness ends at once, readiness goes on until the container is gone.",
        pods=_pod(
            _probe("readiness", _READY) + _probe("liveness", "httpGet: {path: /livez, port: 8080}"),
            _serve("ready"),
            delete_at_s=8.0,
            pre_stop_s=5.0,
        ),
        rows=("D24",),
    ),
    Scenario(
        name="manual",
        says="The period is 10 s, but the pod is synced every 2 s; it is not ready for the first 7 s.",
        shows="Attempts every 2 s until Ready, every 10 s afterwards.",
        pods=_pod(_probe("readiness", _READY, periodSeconds=10), _serve("starting", after_s=7.0), sync_every_s=2.0),
        seconds=40,
        rows=("D26",),
    ),
    Scenario(
        name="initial-delay",
        says="initialDelaySeconds is 5 for readiness, 9 for liveness.",
        shows="Silence by design, then both.",
        pods=_pod(
            _probe("readiness", _READY, initialDelaySeconds=5)
            + _probe("liveness", "httpGet: {path: /livez, port: 8080}", initialDelaySeconds=9),
            _serve("ready"),
        ),
        rows=("D04",),
    ),
    Scenario(
        name="kubelet-restart",
        says="The kubelet is down from 8 s to 14 s; the containers run on.",
        shows="A gap in all probes, then new phases.",
        pods=_pod(
            _probe("readiness", _READY, periodSeconds=2)
            + _probe("liveness", "httpGet: {path: /livez, port: 8080}", periodSeconds=2),
            _serve("ready"),
        ),
        seconds=24,
        kubelet_restart=(8.0, 6.0),
        rows=("D04",),
    ),
    Scenario(
        name="exec",
        says="Exec probes: a file appears after 4 s and goes after 10 s; liveness is one string where `sh -c` was meant.",
        shows="Nothing on the wire; process events show commands and exit statuses.",
        pods=(
            PodPlan(
                containers=(
                    ContainerPlan(
                        probes=_probe("readiness", "exec: {command: [test, -e, /tmp/ready]}")
                        + _probe("liveness", 'exec: {command: ["true && true"]}', periodSeconds=2, failureThreshold=9),
                        run=(
                            "sh",
                            "-c",
                            "rm -f /tmp/ready; sleep 4; touch /tmp/ready; sleep 6; rm /tmp/ready; sleep 600",
                        ),
                        ports=(),
                    ),
                )
            ),
        ),
        interface="any",
        rows=("D43",),
    ),
    Scenario(
        name="traffic",
        says="A Service follows readiness late, a second one has the wrong targetPort, a router checks; /ready turns 503 for about 10 s.",
        shows="Clients that come while NotReady, clients refused while Ready, HAProxy's checks told apart.",
        pods=(
            *_pod(_probe("readiness", _READY), _serve("alternating", ready=12, unready=10)),
            *_pod(_probe("readiness", _READY, periodSeconds=5), _serve("ready"), name="web-2"),
        ),
        seconds=40,
        traffic=Traffic(),
        rows=("D34",),
    ),
)

SCENARIOS: Final = {scenario.name: scenario for scenario in _ALL}
"""By name, in the order in which they are listed."""
