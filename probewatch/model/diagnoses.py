"""The catalogue of diagnoses: below each cause the finer whys, what to check, what to do, and the kubelet's words for it.

Pure data, beside `model.catalogue`: rules (`probes.diagnose`, `probes.patterns`) choose a kind, this table says it, and
docs/causes.md is written from it. A kind may be added, none renamed. `rows` are the numbers of the symptoms that a
diagnosis covers, D01 to D50 in docs/causes.md. One table, and so over 600 lines: who adds a kind sees all the others.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from .spec import Handler
from .timeline import Cause


class Kind(StrEnum):
    """Names of diagnoses: slugs, and anchors in docs/causes.md."""

    NOTHING_LISTENS = "nothing-listens"
    LOCAL_ADDRESS = "local-address"
    SIDECAR_DOWN = "sidecar-down"
    STILL_STARTING = "still-starting"
    KILLED_WHILE_STARTING = "killed-while-starting"
    SYN_UNANSWERED = "syn-unanswered"
    WRONG_MAC = "wrong-mac"
    LOST_BEFORE_POD = "lost-before-pod"
    LISTEN_QUEUE_FULL = "listen-queue-full"
    SYN_ACK_LOST = "syn-ack-lost"
    SOURCE_PORTS = "source-ports"
    TUPLE_COLLISION = "tuple-collision"
    ONE_LOST_SYN = "one-lost-syn"
    NEW_CONNECTIONS_DROPPED = "new-connections-dropped"
    SOURCE_ADDRESS = "source-address"
    REJECTED = "rejected"
    ROUTE_CHANGED = "route-changed"
    GATEWAY_UNRESOLVED = "gateway-unresolved"
    NOBODY_AT_ADDRESS = "nobody-at-address"
    APPLICATION_SLOW = "application-slow"
    WORKER_HELD = "worker-held"
    NODE_STALLED = "node-stalled"
    LONG_ROUND_TRIP = "long-round-trip"
    BIG_SEGMENTS_LOST = "big-segments-lost"
    ANSWER_LOST = "answer-lost"
    REQUEST_LOST = "request-lost"
    TIMEOUT_OVER_PERIOD = "timeout-over-period"
    KUBELET_LATE = "kubelet-late"
    TICKS_DROPPED = "ticks-dropped"
    CLOSED_UNANSWERED = "closed-unanswered"
    RESET_BY_SERVER = "reset-by-server"
    BROKEN_BODY = "broken-body"
    NOT_HTTP = "not-http"
    BAD_HEADER = "bad-header"
    HTTPS_TO_HTTP = "https-to-http"
    HTTP_TO_HTTPS = "http-to-https"
    TLS_REFUSED = "tls-refused"
    HTTP2_REFUSED = "http2-refused"
    DUPLICATE_ADDRESS = "duplicate-address"
    SAYS_UNHEALTHY = "says-unhealthy"
    TURNED_AWAY = "turned-away"
    BEHIND_THE_PROXY = "behind-the-proxy"
    UNHEALTHY_TOGETHER = "unhealthy-together"
    MESH_HIDES_IT = "mesh-hides-it"
    REDIRECT_ELSEWHERE = "redirect-elsewhere"
    REDIRECT_FOLLOWED = "redirect-followed"
    REDIRECT_FAILED = "redirect-failed"
    GRPC_REFUSED = "grpc-refused"
    GRPC_OTHER_PROTOCOL = "grpc-other-protocol"
    GRPC_NO_HEALTH = "grpc-no-health"
    GRPC_UNHEALTHY = "grpc-unhealthy"
    EXEC_FAILED = "exec-failed"
    EXEC_ONE_STRING = "exec-one-string"
    EXEC_NOT_STARTED = "exec-not-started"
    EXEC_SLOW = "exec-slow"
    EXEC_KILLED = "exec-killed"
    POD_TERMINATING = "pod-terminating"
    RESTART_LOOP = "restart-loop"
    BEFORE_STARTUP = "before-startup"
    PORT_REUSED = "port-reused"
    NO_LOCAL_PORT = "no-local-port"
    SILENT_BY_DESIGN = "silent-by-design"
    POKED = "poked"
    RESET_AFTER_ANSWER = "reset-after-answer"
    CONNECT_CHECK = "connect-check"
    ONE_DIRECTION = "one-direction"
    LONG_HEADER = "long-header"


GATEWAY: Final = frozenset({502, 504})
"""Statuses that only a gateway gives (RFC 9110 sections 15.6.3 and 15.6.5), or who passes on what one gave."""
BACK_OFF: Final = "the kubelet's back-off (CrashLoopBackOff)"
"""What a loop's sentence says that its pauses fit, where they do."""


class Why(NamedTuple):
    """One diagnosis, for people."""

    rows: tuple[str, ...]
    causes: tuple[Cause, ...]
    """Causes that it is found below; the first is where docs/causes.md tells it."""
    sentence: str
    """What the packets show, where no rule has a better sentence with the numbers of the case."""
    sign: str
    """The rule in words: what must be on the wire for it, and what must not."""
    check: str
    advice: str
    says: tuple[str, ...] = ()
    harmless: bool = False


_SILENT: Final = ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", "i/o timeout")
_SLOW: Final = ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)",)
_REFUSED: Final = ("connect: connection refused",)
_GRPC: Final = ("timeout: failed to connect service",)

DIAGNOSES: Final[dict[Kind, Why]] = {
    Kind.NOTHING_LISTENS: Why(
        ("D01",),
        (Cause.REFUSED,),
        "The pod's kernel refused the connection: nothing listens on this port (or a firewall there answers with a reset).",
        "A RST is the only answer to the SYN.",
        "ss -lnt inside the pod (an image without ss: nsenter -t PID -n ss -lnt on the node): does the process run, on this port, on "
        "the pod's address (not only 127.0.0.1), in this family? Restarts, kubectl logs --previous, iptables-save -c.",
        "Where it never answered: correct the probe's port or the address that the application binds. Where it had answered: find why it "
        "stopped.",
        _REFUSED,
    ),
    Kind.LOCAL_ADDRESS: Why(
        ("D02",),
        (Cause.REFUSED,),
        "The refusal came over the node's own loopback interface: this address belongs to the node itself, no packet went to a pod.",
        "SYN and RST on a loopback interface (no link-layer address), or from an address to itself.",
        "ip route get ADDRESS on the node: does it say local? For a hostNetwork pod that is right.",
        "If the pod is not on hostNetwork, its address leaked to the node: clean up the CNI's addresses; else start what should listen.",
        _REFUSED,
    ),
    Kind.SIDECAR_DOWN: Why(
        ("D36",),
        (Cause.REFUSED,),
        "The service mesh's sidecar, which answers the probes of this pod, does not listen.",
        "Refused on the sidecar's probe port (15020, 15021; 4191).",
        "The sidecar's container: is it started, throttled, killed? Does the application's own port answer?",
        "Give the sidecar resources, and let the application wait for it (holdApplicationUntilProxyStarts).",
        _REFUSED,
    ),
    Kind.STILL_STARTING: Why(
        ("D23",),
        (Cause.REFUSED, Cause.STATUS, Cause.SLOW_ANSWER, Cause.NO_SYN_ANSWER, Cause.GRPC_CONNECT),
        "It fails only at the beginning of a container, and works from then on: the application was still starting.",
        "Failures from a container's beginning up to its first success, and none of that kind later.",
        "How long the start takes, against initialDelaySeconds + periodSeconds x failureThreshold.",
        "A startupProbe with room for the slowest start keeps liveness and readiness out of it.",
        ("connect: connection refused", "HTTP probe failed with statuscode: 5"),
        harmless=True,
    ),
    Kind.KILLED_WHILE_STARTING: Why(
        ("D23",),
        (
            Cause.REFUSED,
            Cause.STATUS,
            Cause.SLOW_ANSWER,
            Cause.CLOSED_BEFORE_ANSWER,
            Cause.RESET_BEFORE_ANSWER,
            Cause.GRPC_CONNECT,
            Cause.GRPC_NOT_SERVING,
        ),
        "The container was killed before it had ever answered, and one after it answered the same probe: the application was still "
        "starting.",
        "Failures from a container's beginning up to a Restart, no success between, and a success of a container after it.",
        "How long the start takes (the application's log), against initialDelaySeconds + failureThreshold x periodSeconds.",
        "A startupProbe whose failureThreshold x periodSeconds is well above the slowest start.",
        ("connect: connection refused", "HTTP probe failed with statuscode: 5"),
    ),
    Kind.SYN_UNANSWERED: Why(
        ("D05", "D06"),
        (Cause.NO_SYN_ANSWER,),
        "The SYN left and nothing came back.",
        "SYNs and no segment of the target; no second place shows whether they arrived.",
        "Capture inside the pod too (nsenter -t PID -n); if the SYN arrives there: ss -lnt (Recv-Q above Send-Q is a full listen queue), "
        "iptables-save -c, nft list ruleset.",
        "Not arrived: network policy, CNI or rp_filter between node and pod. Arrived, queue full: the application hangs and no longer "
        "accepts. Arrived, queue not full: a firewall inside the pod drops it.",
        _SILENT,
    ),
    Kind.WRONG_MAC: Why(
        ("D46",),
        (Cause.NO_SYN_ANSWER, Cause.GRPC_CONNECT),
        "The SYN was sent to a MAC address that is not the pod's, so the pod did not take it.",
        "Unanswered SYNs went to another link-layer address than those that were answered; or, on the node's interfaces, they went out on "
        "at least three that no answer ever came from: the bridge flooded them.",
        "On the node: ip neigh show ADDRESS, beside the MAC address of eth0 in the pod (nsenter -t PID -n ip link); kubectl get pods -A "
        "-o wide: does another pod have the same IP?",
        "ip neigh del ADDRESS dev DEVICE brings the pod back at once. Then find what left the entry: the CNI plugin (a permanent entry of "
        "a pod that is gone), or two pods with one IP.",
        _SILENT,
    ),
    Kind.ROUTE_CHANGED: Why(
        ("D48",),
        (Cause.NO_SYN_ANSWER, Cause.UNREACHABLE, Cause.GRPC_CONNECT),
        "The SYN left by another interface than those that were answered: the node's route to the pod changed, or the pod's "
        "interface is gone or down.",
        "No interface that shows these SYNs shows an answered attempt to the same address, of the same capture.",
        "On the node: ip route get PODIP (does it name the pod's interface?), ip link (is that there, and up?); crictl pods, and "
        "the log of the CNI plugin at these times.",
        "If the interface or the route does not come back by itself, delete the pod, so that the CNI sets up a new sandbox.",
        ("connect: no route to host", "connect: network is unreachable", *_SILENT),
    ),
    Kind.GATEWAY_UNRESOLVED: Why(
        ("D50",),
        (Cause.NO_SYN_ANSWER, Cause.GRPC_CONNECT),
        "The pod asks for the MAC address of its gateway (ARP or ND), and nobody answers: its answers cannot leave.",
        "Unanswered SYNs, and requests of the pod for another address that stay unanswered within the same seconds.",
        "ip route and ip neigh in the pod (nsenter -t PID -n). Where the gateway is 169.254.1.1 (Calico) the node answers for it: "
        "sysctl net.ipv4.conf.INTERFACE.proxy_arp on the node's end must be 1.",
        "Let the CNI set up the interface again: restart its agent on the node, or delete the pod.",
        _SILENT,
    ),
    Kind.LOST_BEFORE_POD: Why(
        ("D05",),
        (Cause.NO_SYN_ANSWER,),
        "The SYN was seen on its way and never at the pod's end.",
        "SYNs at one vantage point, and none at another that is further along on the same way.",
        "Network policies, the CNI's flows and rp_filter between the last place that shows the SYN and the next.",
        "Let the node's source address through to the pod.",
        _SILENT,
    ),
    Kind.LISTEN_QUEUE_FULL: Why(
        ("D06",),
        (Cause.NO_SYN_ANSWER,),
        "The SYN reached the pod, which stayed silent: the listen queue is full because the application no longer accepts.",
        "SYNs at the pod's end without answer; or unanswered right after connections that the target's kernel opened and the "
        "application never closed.",
        "ss -lnt inside the pod: Recv-Q above Send-Q is a full queue; and CLOSE-WAIT sockets that nobody closes.",
        "The application hangs: find where. A larger backlog only makes it fail later.",
        _SILENT,
    ),
    Kind.SYN_ACK_LOST: Why(
        ("D07",),
        (Cause.NO_SYN_ANSWER,),
        "The pod answered the SYN, and its answer never came back to the checker.",
        "SYN-ACKs, sent again and again, and no ACK.",
        "conntrack -S and -L, NOTRACK and NodePort rules for this source port, asymmetric routes, rp_filter; capture at the checker's end.",
        "Remove whatever drops the answer on its way back.",
        _SILENT,
    ),
    Kind.SOURCE_PORTS: Why(
        ("D07",),
        (Cause.NO_SYN_ANSWER,),
        "It fails exactly for source ports of one range.",
        "All attempts without a connection came from source ports of a range of which no attempt succeeded; at least 3 of them.",
        "sysctl net.ipv4.ip_local_port_range and ip_local_reserved_ports; NodePort (30000-32767) and NOTRACK rules on the node.",
        "Reserve the range (ip_local_reserved_ports) or remove the rule that takes it.",
        _SILENT,
    ),
    Kind.TUPLE_COLLISION: Why(
        ("D08",),
        (Cause.NO_SYN_ANSWER, Cause.RESET_BEFORE_ANSWER),
        "The SYN was answered by an ACK of another connection: the target still holds one of the same ports and addresses.",
        "The first answer to a SYN is an ACK without SYN, and the checker resets it.",
        "Whether this source port was used shortly before, perhaps to another port of the same pod (a mesh redirects both to one).",
        "Exclude the probe's port from the mesh's redirect, or update the mesh.",
        _SILENT,
    ),
    Kind.ONE_LOST_SYN: Why(
        ("D40",),
        (Cause.NO_SYN_ANSWER,),
        "A single SYN (or its answer) was lost, and the attempts around it are fine: with so short a timeout there is no second try.",
        "One attempt alone without connection, timeout not above the kernel's first retransmission (1 s), neighbours answered.",
        "Drops on the way (ip -s link, nstat): one is chance, many are not.",
        "timeoutSeconds: 2 or 3 leaves room for one retransmission.",
        _SILENT,
    ),
    Kind.NEW_CONNECTIONS_DROPPED: Why(
        ("D41",),
        (Cause.NO_SYN_ANSWER,),
        "SYNs to several pods of this node went unanswered at the same time.",
        "Unanswered SYNs at three targets or more in the same seconds, and no answered one.",
        "dmesg for nf_conntrack: table full; conntrack -C against nf_conntrack_max.",
        "Raise nf_conntrack_max, or find who opens so many connections.",
        _SILENT,
    ),
    Kind.SOURCE_ADDRESS: Why(
        ("D37",),
        (Cause.NO_SYN_ANSWER, Cause.UNREACHABLE, Cause.SLOW_ANSWER),
        "It fails exactly when it comes from another source address than usual.",
        "All failures without connection came from a source address of which no attempt succeeded, all successes from another.",
        "ip route get PODIP on the node: which src does it choose? A new address (VIP, 169.254.x) on the node?",
        "Fix the route's src, or give the extra address a smaller scope.",
        _SILENT,
    ),
    Kind.REJECTED: Why(
        ("D38",),
        (Cause.UNREACHABLE,),
        "A firewall or router rejected the SYN with an ICMP error.",
        "An ICMP or ICMPv6 error that quotes the SYN. Where the SYN is sent again behind it, it did not end the connect (over IPv6 "
        "one from the same node does not): the probe fails at its deadline.",
        "The sender of the ICMP error: its REJECT rules, network policies and routes.",
        "Allow the node to reach the pod there.",
        (
            "connect: no route to host",
            "connect: connection refused",
            "connect: network is unreachable",
            "connect: permission denied",
            *_SILENT,
        ),
    ),
    Kind.NOBODY_AT_ADDRESS: Why(
        ("D39",),
        (Cause.NEIGHBOUR_UNRESOLVED,),
        "Nobody answers for the pod's address on the link (ARP or ND): no SYN could leave.",
        "ARP or ND requests for the target that stay unanswered, and no SYN.",
        "Whether the pod's sandbox and interface still exist (crictl pods), and whether another pod has the address.",
        "If it does not come back by itself, delete the pod, so that the CNI sets up a new sandbox.",
        ("connect: no route to host", *_SILENT),
    ),
    Kind.APPLICATION_SLOW: Why(
        ("D09",),
        (Cause.SLOW_ANSWER,),
        "The pod's kernel acknowledged the request at once; the application did not answer in time.",
        "The request is acknowledged within 200 ms, and no byte of an answer comes before the deadline.",
        "The container's CPU throttling (cpu.stat), garbage collection, locks, a full thread pool, dependencies in the health handler.",
        "Make the health endpoint cheap, or give the container more CPU; a longer timeoutSeconds only hides it.",
        _SLOW,
    ),
    Kind.WORKER_HELD: Why(
        ("D09",),
        (Cause.SLOW_ANSWER,),
        "A connection on which nothing was asked held the server's only worker: the answers came when its client closed it.",
        "No answer while one connection to the same port stays open without a byte, and at least two answers within 200 ms of its end.",
        "How many workers or threads the server has, and whether one waits for a request on each connection (gunicorn's sync workers; a "
        "browser or load balancer that opens connections ahead).",
        "Let no idle connection hold a worker: an asynchronous or threaded worker class, more workers, a timeout for the request's header, "
        "or a proxy before it that hands on whole requests.",
        _SLOW,
    ),
    Kind.NODE_STALLED: Why(
        ("D10",),
        (Cause.SLOW_ANSWER, Cause.NO_SYN_ANSWER),
        "Even kernels answered late, at several pods at once: the node itself stalled.",
        "Handshakes or acknowledgments late by more than 200 ms, or retransmissions, at several targets within the same seconds.",
        "CPU steal, snapshots or migration of the virtual machine, softirq load at these times.",
        "It is the node or its hypervisor, not these pods.",
        _SILENT,
    ),
    Kind.LONG_ROUND_TRIP: Why(
        ("D10",),
        (Cause.SLOW_ANSWER, Cause.NO_SYN_ANSWER),
        "The way to the pod and back takes long; neither its kernel nor the node is late.",
        "Handshakes and acknowledgments late by more than 200 ms, at three attempts in a row, each by nearly the same time; or late "
        "at one pod while another pod of this node was answered at once.",
        "ping from the node to the pod: does each reply take as long? tc -s qdisc show on the interfaces between them (a bandwidth limit: "
        "kubernetes.io/ingress-bandwidth), ip -s link for drops and errors there, an overlay or VPN on the way.",
        "Remove what delays, or shapes, the way to this pod. Until then timeoutSeconds must be above two round trips (three with TLS).",
        _SILENT,
    ),
    Kind.BIG_SEGMENTS_LOST: Why(
        ("D15",),
        (Cause.SLOW_ANSWER, Cause.BODY_BROKEN),
        "Small segments pass, full-sized ones do not: an MTU or path MTU black hole.",
        "Full-sized segments of the answer are sent again and never acknowledged, while smaller ones are.",
        "ip link show at each hop: the smallest MTU against the pod's; whether ICMP 'fragmentation needed' is dropped.",
        "Set the pod network's MTU to what the path carries.",
        ("while awaiting headers", "while reading body"),
    ),
    Kind.ANSWER_LOST: Why(
        ("D05",),
        (Cause.SLOW_ANSWER,),
        "The target answered in time, and the checker never acknowledged it: the answer was lost on its way back.",
        "The answer is sent again and never acknowledged.",
        "Drops between the place of this capture and the checker; capture at the checker's end.",
        "Find what drops the answer: it is the network, not the application.",
        _SLOW,
    ),
    Kind.REQUEST_LOST: Why(
        ("D05",),
        (Cause.SLOW_ANSWER,),
        "The connection was established, but the request was never acknowledged: it was lost on its way.",
        "The request is sent again, and the target acknowledges nothing of it before the deadline.",
        "Drops between the place of this capture and the pod; capture at the pod's end.",
        "Find what drops it: established connections of this source are filtered, or full-sized segments do not pass (MTU).",
        _SLOW,
    ),
    Kind.TIMEOUT_OVER_PERIOD: Why(
        ("D28",),
        (Cause.SLOW_ANSWER, Cause.NO_SYN_ANSWER, Cause.BODY_BROKEN),
        "The timeout is longer than the period: attempts run back to back, one beginning when the one before ends.",
        "timeoutSeconds above periodSeconds, and attempts that last longer than the period and are followed by the next at once.",
        "timeoutSeconds against periodSeconds in the Pod.",
        "Keep timeoutSeconds below periodSeconds.",
        _SILENT,
    ),
    Kind.KUBELET_LATE: Why(
        ("D11",),
        (Cause.CLIENT_LATE,),
        "The answer was there and acknowledged before the deadline, and the checker noticed it only afterwards.",
        "A whole, acknowledged answer before the deadline, and the checker's close late after both.",
        "The node's CPU: load, throttling of the kubelet's slice, and whether all its probes are late.",
        "Reserve CPU for the kubelet (system-reserved, kube-reserved); fewer or slower probes.",
        _SLOW,
    ),
    Kind.TICKS_DROPPED: Why(
        ("D27",),
        (Cause.CLIENT_LATE,),
        "The checker missed attempts that were due, or made them late: it was overloaded or blocked.",
        "Attempts missing at most of the checker's pods in the same seconds; or missing right after the checker closed a connection a "
        "second and more after its whole answer; or ticks that ran late while later ones kept the schedule. No restart of the kubelet.",
        "The kubelet's log and CPU at these times.",
        "Give the kubelet CPU, or probe less.",
        (),
    ),
    Kind.CLOSED_UNANSWERED: Why(
        ("D12",),
        (Cause.CLOSED_BEFORE_ANSWER,),
        "The server took the connection and closed it without an answer.",
        "The server's FIN before a whole answer header.",
        "Which protocol the port speaks, and the application's log: a crash of a worker, a connection limit, a shutdown.",
        "Probe with the protocol that the port speaks.",
        ("EOF",),
    ),
    Kind.RESET_BY_SERVER: Why(
        ("D13",),
        (Cause.RESET_BEFORE_ANSWER,),
        "The connection was accepted and then reset before an answer.",
        "The target's RST after the handshake and before a whole answer header.",
        "A crash, a limit on connections, a sidecar that drops them while its application is away.",
        "The application's (or sidecar's) log at these times says why.",
        ("read: connection reset by peer",),
    ),
    Kind.BROKEN_BODY: Why(
        ("D14",),
        (Cause.BODY_BROKEN,),
        "The answer's header is fine but its body is incomplete: the kubelet discards the result, which counts neither way.",
        "A whole answer header, and a body that ends by RST, FIN or deadline before its length is reached; up to 3 connections at once.",
        "The handler: a wrong Content-Length, a stream that does not end, a crash while writing.",
        "Let the health endpoint send a short, complete body. As it is, a dead container is not restarted, and Ready never changes.",
        ("probe errored", "unexpected EOF", "while reading body"),
    ),
    Kind.NOT_HTTP: Why(
        (),
        (Cause.MALFORMED_ANSWER,),
        "What answers on this port is not HTTP.",
        "Bytes of the server that Go's client does not take for HTTP/1.",
        "Which program owns the port.",
        "Probe another port, or use tcpSocket, grpc or exec.",
        ("malformed HTTP response",),
    ),
    Kind.BAD_HEADER: Why(
        (),
        (Cause.MALFORMED_ANSWER,),
        "The server speaks HTTP, and Go's client refuses the header of its answer.",
        "A status line that is HTTP's, and behind it a header line, a Content-Length or a Transfer-Encoding that net/http does not accept.",
        "The whole header, as the server sends it: curl -v, or nc, as curl forgives more; and who wrote it: the application, its "
        "framework, a proxy.",
        "Correct the header that the server sends.",
        ("malformed MIME header", "unsupported transfer encoding", "Content-Length"),
    ),
    Kind.HTTPS_TO_HTTP: Why(
        ("D16",),
        (Cause.TLS_ON_PLAIN_HTTP, Cause.TLS_FAILED),
        "The probe speaks TLS, the server answers in plain text.",
        "A ClientHello, answered by bytes that are no TLS record.",
        "The port: curl http:// works?",
        "Remove scheme: HTTPS from the probe, or point it at the TLS port.",
        ("server gave HTTP response to HTTPS client", "first record does not look like a TLS handshake"),
    ),
    Kind.HTTP_TO_HTTPS: Why(
        ("D17",),
        (Cause.PLAIN_HTTP_ON_TLS, Cause.STATUS),
        "The probe speaks plain HTTP to a port that wants TLS.",
        "A plain request, answered by a TLS alert, or by the bare 400 that TLS servers send to plain HTTP.",
        "The port: curl -k https:// works?",
        "Set scheme: HTTPS on the probe.",
        ("HTTP probe failed with statuscode: 400", "EOF", "read: connection reset by peer"),
    ),
    Kind.TLS_REFUSED: Why(
        ("D18",),
        (Cause.TLS_ALERT, Cause.TLS_FAILED),
        "The server refused the TLS handshake.",
        "A ClientHello, and an alert or an end from the server before the handshake is complete.",
        "The alert's name: versions, ciphers, or a client certificate that the server requires; and the server's own log.",
        "The kubelet offers TLS 1.2 and 1.3 alone, names no server (SNI) where it probes an address, and has no client certificate: let "
        "the server take that, or probe another port.",
        ("remote error: tls:",),
    ),
    Kind.HTTP2_REFUSED: Why(
        ("D44",),
        (Cause.RESET_BEFORE_ANSWER, Cause.CLOSED_BEFORE_ANSWER, Cause.SLOW_ANSWER),
        "TLS chose HTTP/2 for this probe, and the server then ended it (GOAWAY or RST_STREAM).",
        "ALPN h2, and no answer: the server ended stream or connection. Needs keys to be sure.",
        "curl --http2 -k against the health path.",
        "Fix the server's HTTP/2 for this path, or take h2 out of its ALPN (DISABLE_HTTP2 on the kubelet is the last resort).",
        ("http2:",),
    ),
    Kind.DUPLICATE_ADDRESS: Why(
        ("D49",),
        (
            Cause.STATUS,
            Cause.SLOW_ANSWER,
            Cause.CLIENT_LATE,
            Cause.BODY_BROKEN,
            Cause.REFUSED,
            Cause.NO_SYN_ANSWER,
            Cause.RESET_BEFORE_ANSWER,
            Cause.CLOSED_BEFORE_ANSWER,
            Cause.MALFORMED_ANSWER,
            Cause.REDIRECT_LIMIT,
            Cause.PLAIN_HTTP_ON_TLS,
            Cause.TLS_ON_PLAIN_HTTP,
            Cause.TLS_ALERT,
            Cause.TLS_FAILED,
            Cause.GRPC_NOT_SERVING,
            Cause.GRPC_STATUS,
            Cause.GRPC_CONNECT,
        ),
        "Two pods (or another machine) answer for one address: it was given twice.",
        "Answers from two MAC addresses, first one, then the other, then the first again, with no router between (TTL 64, 128, 255).",
        "kubectl get pods -A -o wide: which pods have the address? ip neigh show ADDRESS on the node, and arping -D -I DEVICE "
        "ADDRESS there; crictl pods on the node for a sandbox that was left behind.",
        "Delete the pod (or the sandbox) that should not have it, and find why the CNI's address management gave it twice (a lost store of "
        "addresses, host-local's files deleted, overlapping pod networks of two nodes).",
        ("HTTP probe failed with statuscode: 5",),
    ),
    Kind.SAYS_UNHEALTHY: Why(
        (),
        (Cause.STATUS,),
        "The application answered in time and reports itself unhealthy.",
        "A whole answer in time with a status of 500 or more (or below 200).",
        "The application's own log at these times (kubectl logs; with --previous where it was restarted).",
        "Fix what it complains about.",
        ("HTTP probe failed with statuscode: 5",),
    ),
    Kind.TURNED_AWAY: Why(
        ("D21",),
        (Cause.STATUS,),
        "The server answered and turned the probe away.",
        "A whole answer in time with a status of 400 to 499.",
        "The path, whether it wants credentials, and which Host it expects: the kubelet sends ADDRESS:PORT.",
        "Probe a path open to everybody; set the Host header in httpHeaders if the server wants a name.",
        ("HTTP probe failed with statuscode: 4",),
    ),
    Kind.BEHIND_THE_PROXY: Why(
        (),
        (Cause.STATUS,),
        "A proxy answered for the application: it did not get an answer from what stands behind it.",
        "A status of 502 or 504; or a 503 in the words of HAProxy or Envoy for a backend that is away.",
        "Which container owns the port (nginx, HAProxy, Envoy, a sidecar), and its log: kubectl logs POD -c THAT names the backend that "
        "it could not reach.",
        "Look at what stands behind the proxy: is it up, on the port that the proxy asks, and fast enough for the proxy's timeout?",
        ("HTTP probe failed with statuscode: 5",),
    ),
    Kind.UNHEALTHY_TOGETHER: Why(
        ("D22",),
        (Cause.STATUS,),
        "Several pods said so in the same seconds: something they share is down.",
        "The same error status at most pods of the same port and path, beginning within one period.",
        "What the health handler asks: a database, a queue, another service.",
        "Take dependencies out of liveness; keep in readiness only those the pod cannot work without.",
        ("HTTP probe failed with statuscode: 5",),
    ),
    Kind.MESH_HIDES_IT: Why(
        ("D35",),
        (Cause.STATUS,),
        "Istio's agent answered 500 for the application: whatever went wrong behind it, the kubelet sees only that.",
        "Status 500 on port 15020 to a path below /app-health/.",
        "Capture inside the pod: the agent asks the application from 127.0.0.6 (or ::6).",
        "Look at that inner connection: refused, slow, or a bad status of the application.",
        ("HTTP probe failed with statuscode: 500",),
    ),
    Kind.REDIRECT_ELSEWHERE: Why(
        ("D19",),
        (Cause.OK_REDIRECT,),
        "A redirect to another host, which the kubelet does not follow: it counts as success, with a warning.",
        "A status of 300 to 399 whose Location (if any) is not on the probed host.",
        "Whether what stands behind the redirect is what should be probed.",
        "Probe a path that answers directly.",
        ("Probe terminated redirects",),
        harmless=True,
    ),
    Kind.REDIRECT_FOLLOWED: Why(
        ("D20",),
        (Cause.OK,),
        "The kubelet followed a redirect on the same host: two connections and one timeout for both.",
        "Several connections of one attempt joined by redirects, the last of which succeeds.",
        "",
        "Probe the final URL: one connection less that can fail.",
        harmless=True,
    ),
    Kind.REDIRECT_FAILED: Why(
        ("D20",),
        (Cause.REDIRECT_LIMIT, Cause.STATUS, Cause.REFUSED, Cause.SLOW_ANSWER),
        "The probe was redirected on the same host, and the last hop failed.",
        "Several connections of one attempt joined by redirects, the last of which fails; or more than 10.",
        "The Location of each hop, http to https in particular.",
        "Probe the final URL.",
        ("stopped after 10 redirects",),
    ),
    Kind.GRPC_REFUSED: Why(
        ("D30",),
        (Cause.GRPC_CONNECT,),
        "Nothing listens on the gRPC port; the kubelet dials again until its deadline and reports a timeout.",
        "A RST answers each SYN of a gRPC probe.",
        "ss -lnt inside the pod: port and address of the gRPC server.",
        "Start the server before the probe does, or correct the port.",
        _GRPC,
    ),
    Kind.GRPC_OTHER_PROTOCOL: Why(
        ("D31",),
        (Cause.GRPC_CONNECT,),
        "What answers on this port does not speak gRPC without TLS.",
        "The HTTP/2 preface is answered by HTTP/1, a TLS alert, or a close.",
        "Which program owns the port, and whether it wants TLS (the kubelet's gRPC probe has none).",
        "Serve the health service on a port without TLS.",
        _GRPC,
    ),
    Kind.GRPC_NO_HEALTH: Why(
        ("D32",),
        (Cause.GRPC_STATUS,),
        "The gRPC server has no such health service.",
        "The call ends with grpc-status 12 (unimplemented) or 5 (not found), or another error.",
        "Whether the server registers grpc.health.v1.Health, and under which service names.",
        "Register it, or correct the probe's service.",
        ("does not implement the grpc health protocol", "health rpc probe failed"),
    ),
    Kind.GRPC_UNHEALTHY: Why(
        ("D32",),
        (Cause.GRPC_NOT_SERVING,),
        "The gRPC health service answers that it is not serving.",
        "grpc-status 0 and a health state other than SERVING.",
        "The application's own log at these times.",
        "Ask the application why it set this service's health state.",
        ('service unhealthy (responded with "NOT_SERVING")',),
    ),
    Kind.EXEC_FAILED: Why(
        ("D43",),
        (Cause.EXEC_EXIT, Cause.EXEC_TIMEOUT, Cause.EXEC_NOT_FOUND),
        "The probe is a command inside the container: it sends no packets, and the network is not to blame.",
        "An exec probe.",
        "Run the command inside the container by hand; the container's CPU throttling.",
        "Fix the command, or give the container the CPU that it needs.",
        ("command timed out", "probe errored"),
    ),
    Kind.EXEC_ONE_STRING: Why(
        ("D43",),
        (Cause.EXEC_NOT_FOUND,),
        "The command is a single string with spaces: no shell splits it, so it is the name of one file, which does not exist.",
        "The runtime ends without starting the command, whose list has one argument with a blank in it.",
        "`command` of the probe: a list with one word in each item.",
        'Write ["cat", "/tmp/ready"]; ["sh", "-c", "..."] where it needs a pipe, a variable or a wildcard.',
        ("no such file or directory", "probe errored"),
    ),
    Kind.EXEC_NOT_STARTED: Why(
        ("D43",),
        (Cause.EXEC_NOT_FOUND,),
        "The command was never executed: the image does not contain it at this path, or it is not executable.",
        "The runtime ends without starting the command, or a shell ends with exit status 126 or 127.",
        "The path inside the image, its mode, and whether a script's first line names an interpreter that is there.",
        "Name a program that the image contains; an image without a shell has neither sh nor cat.",
        ("executable file not found in $PATH", "no such file or directory", "permission denied", "probe errored"),
    ),
    Kind.EXEC_SLOW: Why(
        ("D43",),
        (Cause.EXEC_TIMEOUT,),
        "The command ran until the deadline, and was killed.",
        "SIGKILL when timeoutSeconds were over; or it went on after them.",
        "How long it takes by hand in the container; container_cpu_cfs_throttled_periods_total of the container.",
        "Give it the CPU or the time it needs: starting a program in a throttled container takes long.",
        ("command timed out",),
    ),
    Kind.EXEC_KILLED: Why(
        ("D43",),
        (Cause.EXEC_EXIT,),
        "A signal ended the command before its time was over; with SIGKILL that is mostly the memory limit, shared with "
        "its container.",
        "The command is ended by a signal before start + timeoutSeconds.",
        "The kernel's log for an out-of-memory kill in this container's cgroup.",
        "A lighter command, or a higher memory limit.",
        ("command terminated by signal", "exit code 137"),
    ),
    Kind.POD_TERMINATING: Why(
        ("D24",),
        (Cause.REFUSED, Cause.RESET_BEFORE_ANSWER, Cause.NO_SYN_ANSWER, Cause.STATUS),
        "The pod was being deleted: liveness had stopped, and readiness fails until the end of the grace period.",
        "Liveness ends after a success, readiness goes on, and then fails.",
        "The pod's deletionTimestamp.",
        "Nothing: this is how a pod ends.",
        ("Unhealthy", "TerminatingPodProbeError"),
        harmless=True,
    ),
    Kind.RESTART_LOOP: Why(
        ("D45",),
        (Cause.STATUS, Cause.REFUSED, Cause.SLOW_ANSWER, Cause.NO_SYN_ANSWER, Cause.EXEC_EXIT),
        "The container is restarted again and again; after a while the kubelet waits longer before each start (CrashLoopBackOff).",
        "A container that began anew at least three times (twice where a pause of 9 s and more without any probe shows the kubelet's "
        "wait), each time less than ten minutes after its beginning. Or attempts that all fail, with three pauses or more "
        "between them that each last about twice as long as the one before.",
        "kubectl describe pod: Restart Count, Last State (its reason and exit code), BackOff events; kubectl logs --previous.",
        "If a probe has it restarted, fix the cause given for that probe. If it exits by itself, its last log lines say why. If it only "
        "needs longer to start, give it a startupProbe.",
        ("Back-off restarting failed container",),
    ),
    Kind.BEFORE_STARTUP: Why(
        ("D25",),
        (Cause.STATUS,),
        "After a restart this probe ran before the startup probe had succeeded: a regression of the kubelet (1.35 and newer).",
        "Attempts of readiness or liveness between the first startup attempt of a restarted container and its success.",
        "kubernetes/kubernetes issue 141155 against the kubelet's version.",
        "Update the kubelet.",
        (),
    ),
    Kind.PORT_REUSED: Why(
        ("D42",),
        (Cause.NO_SYN_ANSWER, Cause.RESET_BEFORE_ANSWER, Cause.OK),
        "The checker used a source port again to the same target within a minute, and the target still knew the old connection.",
        "The same source port to the same target less than 60 s after its last connection, and the SYN is answered by an ACK; or at "
        "least three times after the checker had closed first.",
        "net.ipv4.ip_local_port_range and the number of TIME-WAIT sockets on the node (ss -s).",
        "Widen the range, or let the server close first.",
        ("read: connection reset by peer", "i/o timeout"),
    ),
    Kind.NO_LOCAL_PORT: Why(
        ("D03",),
        (Cause.NO_SYN_ANSWER,),
        "No SYN left at the expected time, and source ports are used again as soon as they may be: the node has run out of them.",
        "Missing attempts, while source ports of this checker come again within a minute, or 60 s after it closed them.",
        "ss -s on the node: TIME-WAIT sockets to this target against ip_local_port_range; prohibit and blackhole routes.",
        "Widen the range, set tcp_tw_reuse=1, probe less, or let the server close first.",
        ("cannot assign requested address", "connect: permission denied", "connect: invalid argument"),
    ),
    Kind.SILENT_BY_DESIGN: Why(
        ("D04",),
        (Cause.OK,),
        "No attempt was due: the kubelet was waiting, by its own rules.",
        "Attempts missing where the kubelet's rules say that none is made (initial delay, on hold after a decision, its own restart).",
        "",
        "",
        harmless=True,
    ),
    Kind.POKED: Why(
        ("D26",),
        (Cause.OK,),
        "Extra readiness probes while the pod was not Ready: the kubelet asks once more at every change of the pod.",
        "Readiness attempts off the schedule, all of them while the container was not Ready.",
        "",
        "",
        harmless=True,
    ),
    Kind.RESET_AFTER_ANSWER: Why(
        ("D33",),
        (Cause.OK,),
        "The checker reset the connection after a whole answer: it had read what it wanted.",
        "The checker's own RST after a successful answer.",
        "",
        "",
        harmless=True,
    ),
    Kind.CONNECT_CHECK: Why(
        ("D34",),
        (Cause.OK,),
        "A load balancer's connect check, not the kubelet: it resets the connection as soon as the SYN is answered.",
        "SYN, SYN-ACK and RST without an ACK between them, at a steady pace.",
        "",
        "",
        harmless=True,
    ),
    Kind.ONE_DIRECTION: Why(
        ("D47",),
        (Cause.CUT,),
        "Only one direction was captured: what the other side sent passed here unseen.",
        "Connections of which one side sent nothing at all though the other answered it, three in a row at least.",
        "Where the capture was taken: a mirror (SPAN) port of one direction, one leg of an asymmetric route, or an interface that an eBPF "
        "data path bypasses one way (Cilium's lxc devices under host routing).",
        "Capture where both directions pass: on eth0 inside the pod (probewatch watch --netns, or nsenter -t PID -n tcpdump), or on all "
        "interfaces (-i any).",
    ),
    Kind.LONG_HEADER: Why(
        (),
        (Cause.CUT,),
        "The header is longer than what probewatch keeps: how it ended, and what came behind it, is not known.",
        "An HTTP/1 answer whose header did not end within what is kept of a server's stream, or an HTTP/2 header block beyond what is "
        "read of one (docs/limits.md). No capture shows more here.",
        "What the header holds (tshark -r FILE -q -z follow,tcp,ascii,N shows all of it): a cookie that grows, a debugging header, one "
        "that never ends.",
        "Let the health endpoint answer with a short header.",
    ),
}
"""Every kind has its entry (tested), and the entries stand in the order of their causes."""


_SPEAKERS: Final = (
    (
        ("Client.Timeout", "HTTP", "headers", "body", "http2:", "tls", "TLS", "redirect", "EOF"),
        frozenset({Handler.HTTP_GET}),
    ),
    (("timeout: ", "service", "grpc", "health rpc"), frozenset({Handler.GRPC})),
    (
        ("connect:", "i/o timeout", "connection reset by peer", "cannot assign"),
        frozenset({Handler.HTTP_GET, Handler.TCP_SOCKET}),
    ),
)
"""Parts of the kubelet's messages, and the handlers whose prober says such things (pkg/probe/{http,tcp,grpc}): gRPC reports
whatever went wrong with the connection as its own timeout."""


def spoken(says: tuple[str, ...], handler: Handler) -> tuple[str, ...]:
    """Return those of the kubelet's messages that a probe of this handler can bring about."""
    return tuple(
        text
        for text in says
        if all(handler in handlers for parts, handlers in _SPEAKERS if any(part in text for part in parts))
    )


LIVENESS_ADVICE: Final = "Do not let a liveness probe depend on other services: a restart does not fix those."
"""What to do besides where a liveness probe says that it is unhealthy."""

NEVER_LISTENED: Final = (
    "It never answered in this capture: correct the probe's port or the address that the application binds (0.0.0.0 or ::, not "
    "127.0.0.1); if it only needs longer to start, give it a startupProbe."
)
NEVER_LISTENED6: Final = (
    "It never answered in this capture: correct the probe's port or the address that the application binds (::, as the probe comes "
    "over IPv6, which neither 0.0.0.0 nor 127.0.0.1 takes); if it only needs longer to start, give it a startupProbe."
)
STOPPED_LISTENING: Final = (
    "It had answered before: find why it stopped (a crash, the end of the pod, a listener that was closed)."
)
KILLED_EARLY: Final = (
    "Give it longer before it is killed: a startupProbe whose failureThreshold x periodSeconds is above its slowest start. If it "
    "opens no port however long it runs, correct the probe's port or the address that the application binds (not 127.0.0.1)."
)
"""What to do about a port that nothing listens on, by what the other attempts at it show."""

HUNG_UP: Final = (
    "Find where the application hangs. The server dropped each request when the checker hung up, so it is not known how long an answer "
    "would have taken."
)
"""... and about a server that did not answer in time, and whose silence after that says nothing."""

REDIRECTED_TO_NOBODY: Final = (
    "The redirect names a port that nobody in the pod listens on, perhaps one of a Service or an ingress before it: let the application "
    "leave its health path out of the redirect, or redirect without scheme and port; or probe a path that answers directly."
)
FORWARDED_BESIDES: Final = (
    " Many frameworks do not redirect a request with X-Forwarded-Proto: https, which httpHeaders can set."
)
"""... and about a redirect within the pod to a port that is closed; from http to https besides."""

FORWARDED: Final = (
    "Leave the health path out of the redirect to https, or say that the request came over https: httpHeaders with "
    "X-Forwarded-Proto: https, which many frameworks go by; or probe the final URL."
)
"""... and about a redirect from http to https that ended badly."""

CLIENT_CERTIFICATE: Final = (
    "The server wants a client certificate (mutual TLS), and a kubelet never sends one: let it answer the health path without one, or "
    "probe a port that wants none, or use exec."
)
NO_COMMON_CIPHER: Final = (
    "Server and checker have no cipher suite, group or version in common, or the server has no certificate that fits: let it take what "
    "Go's client offers (TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM or ChaCha20). Some servers say so too where no server is named (SNI)."
)
OWN_REFUSAL: Final = (
    "A kubelet verifies no certificate, but refuses a version below TLS 1.2, a suite that it did not offer and a certificate that it "
    "cannot read: look at what the server chose (openssl s_client -connect ADDRESS:PORT)."
)
TLS_ADVICE: Final = {
    "unrecognized_name": "The server answers only who names it (SNI), and Go's client names no server where it connects to an address; a "
    "Host header does not change that. Give the server a default certificate, or probe a port without TLS, or use exec.",
    "protocol_version": "The server takes none of the TLS versions that the checker offered; a kubelet has TLS 1.2 and 1.3 and nothing "
    "older. Update the server, or correct its lowest and highest version.",
    "handshake_failure": NO_COMMON_CIPHER,
    "insufficient_security": NO_COMMON_CIPHER,
    "bad_certificate": CLIENT_CERTIFICATE,
    "certificate_required": CLIENT_CERTIFICATE,
    "no_application_protocol": "The server takes none of the protocols that the checker offers in ALPN (h2, http/1.1): it is not the "
    "HTTP server that the probe takes it for, or its ALPN list lacks http/1.1.",
    "internal_error": "The server failed by itself, often for want of a certificate to show: its log says why.",
}
"""What to do about a server's TLS alert, by its name in RFC 8446."""

HEADER_ADVICE: Final = (
    (
        "malformed MIME header",
        "Keep what is no header line out of the header, as a warning that a script prints before its answer (PHP: display_errors).",
    ),
    (
        "unsupported transfer encoding",
        "Send Transfer-Encoding: chunked and nothing else there, or a Content-Length: compression belongs into Content-Encoding.",
    ),
    (
        "message cannot contain multiple Content-Length",
        "Send one Content-Length: the application and a proxy may each have added one.",
    ),
)
"""What to do about a header that Go's client refuses, by how its error begins (net/textproto, net/http transfer.go)."""

STATUS_ADVICE: Final = {
    400: "Some servers answer 400 to plain HTTP on a TLS port (then set scheme: HTTPS), others to a Host header they do not know.",
    401: "The path wants credentials, which the kubelet does not send: probe one that does not, or set httpHeaders.",
    403: "The path is forbidden to the kubelet: probe one that is open to it, or set httpHeaders.",
    404: "The application does not know this path: check the probe's path and port, and the Host header that it expects.",
    405: "The path does not allow GET: probe one that does.",
    421: "The server expects another Host: set it in httpHeaders.",
    429: "The application limits requests: leave its health endpoint out of the limit.",
}
"""What to do about a status that says more than that the application feels unhealthy."""
