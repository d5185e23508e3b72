"""The kubelet's own message for an attempt: what stands in its event, with the addresses and numbers of this one.

Sources: pkg/kubelet/prober/prober.go (`<Type> probe failed: <output>`), pkg/probe/{http,tcp,grpc,exec}, Go's net and net/http.
Where identical packets lead to one of two texts, the likelier is given.
"""

from __future__ import annotations

from ..model.connection import Connection
from ..model.spec import Handler
from ..model.timeline import Attempt, Cause, Leg, Outcome, Probe, Role
from ..model.units import SECOND
from .escape import printable, safe
from .words import endpoint

_NEW_WORDS = 33
_WAITING = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
_ALERTS = {
    "bad_record_mac": "bad record MAC",
    "certificate_revoked": "revoked certificate",
    "certificate_expired": "expired certificate",
    "certificate_unknown": "unknown certificate",
    "unknown_ca": "unknown certificate authority",
    "decode_error": "error decoding message",
    "decrypt_error": "error decrypting message",
    "protocol_version": "protocol version not supported",
    "insufficient_security": "insufficient security level",
    "unknown_psk_identity": "unknown PSK identity",
}
"""What Go calls alerts (crypto/tls alert.go) whose words are not those of their name in RFC 8446."""


def kubelet_says(probe: Probe, attempt: Attempt) -> str:
    """Return the event's message, safe for a terminal; empty where the kubelet says nothing (success), or we do not know what."""
    if probe.checker.kind != "kubelet":
        return ""
    name = probe.type.value.capitalize() if probe.type.value != "unknown" else "<Type>"
    if attempt.cause is Cause.OK_REDIRECT:
        return f"{name} probe warning: Probe terminated redirects, Response body: ..."
    text = _output(probe, attempt)
    if not text or attempt.outcome is Outcome.SUCCESS:
        return ""
    if attempt.outcome is not Outcome.DISCARDED:
        return f"{name} probe failed: {text}"
    # worded anew in 1.33 (prober.go); the result beside the error is the HTTP prober's: Failure
    state = " and resulted in failure state" if _minor(probe.checker.version) >= _NEW_WORDS else ""
    return f"{name} probe errored{state}: {text}"


def _minor(version: str) -> int:
    """Return the minor number of a kubelet's version, the latest there is where it is not known."""
    minor = version.partition(".")[2]
    return int(minor) if minor.isascii() and minor.isdigit() and len(minor) < 4 else 999


def _output(probe: Probe, attempt: Attempt) -> str:
    match probe.handler:
        case Handler.HTTP_GET:
            return _http(probe, attempt)
        case Handler.TCP_SOCKET if probe.never_asked and (dialled := _dial(probe, attempt)):
            where = endpoint(probe.target.address, probe.target.port)
            return f'{dialled}; or, for the same packets, Get "http://{where}/...": {dialled}'
        case Handler.TCP_SOCKET:
            return _dial(probe, attempt)
        case Handler.GRPC:
            return _grpc(probe, attempt)
        case _:
            return ""


def _http(probe: Probe, attempt: Attempt) -> str:
    if attempt.cause is Cause.STATUS:
        return f"HTTP probe failed with statuscode: {attempt.status}"
    where = endpoint(probe.target.address, probe.target.port)
    # after a redirect the URL is that of the last request
    redirected = any(leg.role is Role.REDIRECT for leg in attempt.legs)
    url = "..." if redirected else f"{(probe.scheme or 'http').lower()}://{where}{safe(probe.asked_path or '/')}"
    get = f'Get "{url}": '
    connection = attempt.legs[-1].connection if attempt.legs else None
    match attempt.cause:
        case Cause.SLOW_ANSWER if probe.scheme == "HTTPS" and _cut_short(probe, attempt):
            return f"{get}net/http: TLS handshake timeout"
        case Cause.SLOW_ANSWER | Cause.CLIENT_LATE:
            return get + _WAITING
        case Cause.NO_SYN_ANSWER:
            dialling = _WAITING.replace(
                "context deadline exceeded", f"dial tcp {_dialled(probe, attempt)}: i/o timeout"
            )
            return f"{get}{_WAITING}; or, for the same packets, {get}{dialling}"
        case Cause.CLOSED_BEFORE_ANSWER:
            return f"{get}EOF"
        case Cause.RESET_BEFORE_ANSWER if connection is not None and connection.resp.length:
            # within the header: what Go says depends on the byte at which it broke off
            return f"{get}net/http: HTTP/1.x transport connection broken: ..."
        case Cause.RESET_BEFORE_ANSWER if connection is not None:
            return get + _reset(connection)
        case Cause.TLS_FAILED if attempt.detail.startswith("the first record"):
            return f"{get}tls: first record does not look like a TLS handshake"
        case Cause.BODY_BROKEN if connection is not None:
            return _broken_body(connection, attempt)
        case Cause.MALFORMED_ANSWER:
            return get + _malformed(attempt.detail)
        case Cause.REDIRECT_LIMIT:
            return 'Get "...": stopped after 10 redirects'
        case Cause.TLS_ON_PLAIN_HTTP:
            return f"{get}http: server gave HTTP response to HTTPS client"
        case Cause.TLS_ALERT:
            return get + _alert(attempt.legs[-1] if attempt.legs else None)
        case Cause.REFUSED | Cause.UNREACHABLE | Cause.NEIGHBOUR_UNRESOLVED:
            return get + (
                _WAITING if attempt.end_mark is None and not _given_up(probe, attempt) else _dial(probe, attempt)
            )
        case _:
            return ""


def _malformed(detail: str) -> str:
    if detail.startswith("message cannot contain multiple"):
        detail = f"http: {detail}; got ..."
    # (The bytes in it are quoted as Go does already.)
    return f"net/http: HTTP/1.x transport connection broken: {printable(detail)}"


def _alert(leg: Leg | None) -> str:
    if leg is None or leg.tls is None or leg.tls.alert_by_checker:
        return "tls: ..."  # its own error, of which the alert is but the kind
    name = leg.tls.alert
    number = name.removeprefix("alert ")
    return f"remote error: tls: {f'alert({number})' if number != name else _ALERTS.get(name, name.replace('_', ' '))}"


def _broken_body(connection: Connection, attempt: Attempt) -> str:
    if connection.resp.rst is not None and connection.resp.fin is None:
        return _reset(connection)
    if connection.resp.fin is not None and connection.resp.fin.ns <= attempt.end_ns:
        return "unexpected EOF"
    if attempt.end_mark is not None:
        return ""  # it hung up by itself, and nothing here tells why
    return "context deadline exceeded (Client.Timeout or context cancellation while reading body)"


def _reset(connection: Connection) -> str:
    here = endpoint(connection.client, connection.client_port)
    there = endpoint(connection.server, connection.server_port)
    return f"read tcp {here}->{there}: read: connection reset by peer"


def _dial(probe: Probe, attempt: Attempt) -> str:
    dial = f"dial tcp {_dialled(probe, attempt)}: "
    match attempt.cause:
        case Cause.REFUSED:
            return f"{dial}connect: connection refused"
        case Cause.NO_SYN_ANSWER:
            return f"{dial}i/o timeout"
        case Cause.UNREACHABLE | Cause.NEIGHBOUR_UNRESOLVED:
            if attempt.end_mark is None and not _given_up(probe, attempt):
                return f"{dial}i/o timeout"
            notes = [leg.connection.icmp for leg in attempt.legs if leg.connection.icmp is not None]
            return f"{dial}connect: {notes[-1].error if notes else 'no route to host'}"
        case _:
            return ""


def _dialled(probe: Probe, attempt: Attempt) -> str:
    """Return where the last connection went to: a redirect may lead to another port."""
    if not attempt.legs:
        return endpoint(probe.target.address, probe.target.port)
    return endpoint(attempt.legs[-1].connection.server, attempt.legs[-1].connection.server_port)


def _given_up(probe: Probe, attempt: Attempt) -> bool:
    """Tell whether the kernel gave up the address before the kubelet's deadline."""
    return attempt.cause is Cause.NEIGHBOUR_UNRESOLVED and _cut_short(probe, attempt)


def _cut_short(probe: Probe, attempt: Attempt) -> bool:
    """Tell whether silence ended it before the kubelet's deadline."""
    return attempt.end_mark is None and attempt.end_ns - attempt.start.ns < _timeout_s(probe) * SECOND


def _timeout_s(probe: Probe) -> float:
    return probe.thresholds.get("timeoutSeconds", (1, ""))[0]


def _grpc(probe: Probe, attempt: Attempt) -> str:
    where = endpoint(probe.target.address, probe.target.port)
    timeout = _timeout_s(probe)
    match attempt.cause:
        case Cause.GRPC_NOT_SERVING:
            return f'service unhealthy (responded with "{safe(attempt.detail)}")'
        case Cause.GRPC_CONNECT | Cause.NO_SYN_ANSWER | Cause.REFUSED:
            return f'timeout: failed to connect service "{where}" within {timeout}s: context deadline exceeded'
        case Cause.SLOW_ANSWER:
            return f"timeout: health rpc did not complete within {timeout}s"
        case Cause.GRPC_STATUS if attempt.status == 12:
            return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ..."
        case Cause.GRPC_STATUS:
            return f"error: health rpc probe failed: {safe(attempt.detail)}"
        case _:
            return ""
