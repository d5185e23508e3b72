"""What every cause means and what to do about it: one label, one sentence, one piece of advice (docs/design.md, section 7).

Pure data. The text report prints it under a probe that has trouble, and the documentation is written from it, so that
both say the same. Labels are what a table cell can hold; sentences say what the wire shows; advice says where to look
next.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .spec import Handler
from .timeline import Attempt, Cause


class Entry(NamedTuple):
    """One cause, for people."""

    label: str
    """A few words for a table cell: `refused`."""
    meaning: str
    """What happened, as far as packets can show it. One sentence."""
    advice: str
    """What to check or do. One sentence; empty where nothing is wrong."""


KUBELETS_EVENTS: Final = "the kubelet's events (kubectl describe pod)"
OWN_LOG: Final = "the checker's own log"
"""Where a result is told: by the kubelet, and by any other checker."""
CATALOGUE: Final[dict[Cause, Entry]] = {
    Cause.OK: Entry("ok", "The probe got the answer it wanted.", ""),
    Cause.OK_REDIRECT: Entry(
        "ok, redirected away",
        "The answer was a redirect that the kubelet does not follow (another host): it counts as success, with a ProbeWarning event.",
        "Probe a path that answers directly: a redirect says nothing about the health of what stands behind it.",
    ),
    Cause.STATUS: Entry(
        "bad status",
        "The application answered in time, with a status outside 200-399.",
        "Look at the application's own log at these times: it says why it calls itself unhealthy.",
    ),
    Cause.SLOW_ANSWER: Entry(
        "no answer in time",
        "The connection was established, but no answer came before the deadline.",
        "Look at the application's load, locks and CPU limit (throttling) at these times; a longer timeoutSeconds only hides it.",
    ),
    Cause.CLIENT_LATE: Entry(
        "answered, noticed late",
        "The answer was on the wire before the deadline, but the checker noticed it too late.",
        "Look at the node, not the pod: the kubelet was starved of CPU or blocked.",
    ),
    Cause.BODY_BROKEN: Entry(
        "body broken off",
        "The answer's header came, but its body stopped short, so the kubelet repeats the probe at once and then throws the result away.",
        "Let the health endpoint send a whole, short body: as it is, the kubelet learns nothing and keeps its last state.",
    ),
    Cause.REFUSED: Entry(
        "refused",
        "Nothing listens on this port: the pod's kernel refused the connection.",
        "Check that the process runs, and that it listens on this port and on the pod's address rather than only on 127.0.0.1.",
    ),
    Cause.NO_SYN_ANSWER: Entry(
        "no answer to SYN",
        "The connection request was never answered: it was dropped on the way, or the listener's queue was full.",
        "Check network policies and firewalls between node and pod, and whether the application still accepts connections "
        "(ss -lnt shows a full queue).",
    ),
    Cause.UNREACHABLE: Entry(
        "unreachable",
        "Something on the way answered the connection request with an ICMP error.",
        "The ICMP sender is the one to ask: a network policy, a firewall rule (REJECT) or a missing route there.",
    ),
    Cause.NEIGHBOUR_UNRESOLVED: Entry(
        "neighbour unresolved",
        "The node asked for the pod's link-layer address (ARP or ND) and nobody answered, so no connection could even begin.",
        "Check that the pod's sandbox and its interface still exist and that nothing filters ARP or ND between them.",
    ),
    Cause.RESET_BEFORE_ANSWER: Entry(
        "reset",
        "The connection was accepted and then reset before a whole answer came.",
        "Look for a crash, a full accept queue, or a proxy inside the pod that drops connections while its application is away.",
    ),
    Cause.CLOSED_BEFORE_ANSWER: Entry(
        "closed without answer",
        "The server closed the connection without answering.",
        "Check that this port speaks the protocol that is probed, and whether the application was shutting down.",
    ),
    Cause.MALFORMED_ANSWER: Entry(
        "malformed answer",
        "What came back is not an answer that Go's HTTP client accepts.",
        "Check that this port speaks HTTP/1.1; another protocol needs tcpSocket, grpc or exec.",
    ),
    Cause.REDIRECT_LIMIT: Entry(
        "too many redirects",
        "The answers redirect endlessly: the kubelet stops after 10.",
        "Probe a path that answers directly.",
    ),
    Cause.PLAIN_HTTP_ON_TLS: Entry(
        "plain HTTP on a TLS port",
        "The probe speaks plain HTTP to a port that wants TLS.",
        "Set scheme: HTTPS on the probe.",
    ),
    Cause.TLS_ON_PLAIN_HTTP: Entry(
        "TLS on a plain HTTP port",
        "The probe speaks TLS to a port that answers in plain text.",
        "Remove scheme: HTTPS from the probe, or point it at the TLS port.",
    ),
    Cause.TLS_ALERT: Entry(
        "TLS alert",
        "The server refused the TLS handshake with an alert.",
        "The kubelet offers TLS 1.2 and newer, no client certificate and no server name: check that the server asks for none of them.",
    ),
    Cause.TLS_FAILED: Entry(
        "TLS handshake failed",
        "The TLS handshake was not completed.",
        "Check the server's TLS settings and log; if it was merely slow, its CPU limit.",
    ),
    Cause.GRPC_NOT_SERVING: Entry(
        "NOT_SERVING",
        "The gRPC health service answered, with a state other than SERVING.",
        "Ask the application why it set this service's health state.",
    ),
    Cause.GRPC_STATUS: Entry(
        "gRPC error",
        "The health call ended with a gRPC error status.",
        "Check that the server registers grpc.health.v1.Health and knows the service name that the probe asks for.",
    ),
    Cause.GRPC_CONNECT: Entry(
        "no gRPC connection",
        "No HTTP/2 connection was established before the deadline; the kubelet redials until then, and reports a timeout even "
        "where it was refused.",
        "Check that a gRPC server without TLS listens on this port.",
    ),
    Cause.EXEC_EXIT: Entry(
        "exit status",
        "The command ended with an exit status other than 0.",
        "Run the command inside the container by hand.",
    ),
    Cause.EXEC_TIMEOUT: Entry(
        "command timed out",
        "The command did not end before the deadline.",
        "Look at the container's CPU limit: the command runs inside it.",
    ),
    Cause.EXEC_NOT_FOUND: Entry(
        "command not found",
        "The command could not be started, which the kubelet treats as an error and not as a failure, or its shell found "
        "nothing to run (exit status 126 or 127), which is a failure.",
        "Check that the image contains the command at this path, and that `command` is a list: one string with blanks is the "
        'name of one file, and pipes and variables need ["sh", "-c", "..."].',
    ),
    Cause.ENCRYPTED: Entry(
        "encrypted",
        "The answer is encrypted: packets show that one came in time, not which.",
        f"A bad status stands in {KUBELETS_EVENTS}, and curl -k https://ADDRESS:PORT/PATH on the node shows it; "
        "--keylog with the TLS secrets of one side reads it here.",
    ),
    Cause.CUT: Entry(
        "cut off",
        "The capture does not show how it ended.",
        "Capture whole frames (snapshot length 0) and for some seconds longer.",
    ),
}
"""Every value of `Cause` has its entry (tested)."""
BAD_ANSWER: Final = Entry(
    "bad answer",
    "The server answered in time, but not with what this check takes for healthy.",
    CATALOGUE[Cause.STATUS].advice,
)
"""`Cause.STATUS` of a check that speaks no HTTP."""


def entry(cause: Cause, handler: Handler) -> Entry:
    """Return the entry of a cause, in words that fit what was asked."""
    return BAD_ANSWER if cause is Cause.STATUS and handler is Handler.TCP_SOCKET else CATALOGUE[cause]


HALF_OPEN: Final = "SYN-ACK "
"""How the detail of an attempt begins that was answered and never knew: its result is not that nothing answered."""


def result(attempt: Attempt, handler: Handler) -> str:
    """Return what an attempt brought, in a word or three: `200`, `refused`, `no answer in time`."""
    if attempt.cause is Cause.OK or attempt.cause is Cause.OK_REDIRECT:
        if handler is Handler.HTTP_GET:
            return str(attempt.status) if attempt.status is not None else "ok"
        return {Handler.TCP_SOCKET: "open", Handler.GRPC: "SERVING", Handler.EXEC: "exit 0"}.get(handler, "ok")
    if attempt.cause is Cause.STATUS and attempt.status is not None:
        return str(attempt.status)
    if attempt.cause is Cause.EXEC_EXIT and attempt.status is not None:
        return f"exit {attempt.status}"
    if attempt.cause is Cause.NO_SYN_ANSWER and attempt.detail.startswith(HALF_OPEN):
        return "SYN-ACK lost"
    return entry(attempt.cause, handler).label


TIMEOUTS: Final[dict[str, str]] = {
    "haproxy": "timeout check",
    "keepalived": "connect_timeout",
    "varnish": ".timeout",
    "apache": "timeout=",
    "monit": "with timeout",
    "blackbox_exporter": "timeout",
    "dnsdist": "checkTimeout",
    "envoy": "timeout",
    "consul": "timeout",
    "nomad": "timeout",
    "traefik": "timeout",
    "caddy": "health_timeout",
    "aws_elb": "HealthCheckTimeoutSeconds",
    "google": "timeoutSec",
}
"""What each checker calls that which the kubelet calls timeoutSeconds: each program's own configuration manual."""


def in_words_of(kind: str, text: str) -> str:
    """Return an advice in the words of this kind of checker, which knows no field of a Pod."""
    if kind == "kubelet":
        return text
    return text.replace("timeoutSeconds", TIMEOUTS.get(kind, "timeout")).replace(KUBELETS_EVENTS, OWN_LOG)
