"""What was said on a connection, as far as it is in clear (or keys were given): HTTP/1, TLS, HTTP/2 with gRPC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .connection import Connection
from .direct import direct
from .frame import Mark


class ErrorPage(Enum):
    """What an error page says that its status does not."""

    WANTS_TLS = "wants TLS"
    """A TLS server's answer to plain HTTP."""
    NO_BACKEND = "no backend"
    """A proxy's, where what stands behind it is away."""


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """One HTTP/1.x request and the answer to it, as Go's net/http client would take it (or an HTTP/2 one, see `version`)."""

    method: str = ""
    target: str = ""
    """Request target as sent: path and query."""
    version: str = ""
    """Of the request: `HTTP/1.1`, `HTTP/1.0`, `HTTP/2`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers in wire order, names spelled as sent."""
    request_start: Mark | None = None
    request_end: Mark | None = None
    """When the last byte of the request's header was seen; None where the request is not whole."""
    status: int | None = None
    """Final status (1xx before it are in `interim`); None where no whole answer header was seen."""
    reason: str = ""
    answer_version: str = ""
    answer_headers: tuple[tuple[str, str], ...] = ()
    interim: tuple[int, ...] = ()
    first_byte: Mark | None = None
    """First byte of the answer (interim ones too)."""
    header_end: Mark | None = None
    """When the final answer's header was complete."""
    body_end: Mark | None = None
    """When the body was complete by its own framing (or by FIN where it has none); None where it never was."""
    body_bytes: int = 0
    """Body bytes seen (after chunk decoding is not attempted: bytes on the wire after the header)."""
    read_enough: Mark | None = None
    """When 10 KiB (kubelet's maxRespBodyLength) of body had been seen; None where the body is shorter."""
    malformed: str = ""
    """Why the answer is not HTTP as Go reads it; empty where it is (or where nothing came)."""
    body_error: str = ""
    """Why the body after a good header cannot be read to its end, in Go's words where Go has some: `unexpected EOF`,
    `connection reset by peer`, `malformed chunked encoding`; empty where it can, or where it just is not all there
    yet."""
    fault: Mark | None = None
    """When the evidence for `malformed` or `body_error` had been seen."""
    lost: bool = False
    """The capture lost or cut bytes that this reading would need: what is missing is not known to be missing on the wire.

    A request that is missing altogether has no method, and what came of it is read all the same.
    """
    unread: bool = False
    """The answer's header is longer than what is kept of it here (docs/limits.md): it is not the capture that lost its end."""

    def header(self, name: str) -> str | None:
        """Return a request header's first value, or None."""
        return _find(self.headers, name)

    def answer_header(self, name: str) -> str | None:
        """Return an answer header's first value, or None."""
        return _find(self.answer_headers, name)


def _find(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class TlsAlert:
    """A TLS alert (RFC 8446 section 6), in clear or decrypted."""

    mark: Mark
    by_client: bool
    level: int
    """1 warning, 2 fatal."""
    description: int

    @property
    def name(self) -> str:
        """Its name in RFC 8446 (or RFC 5246), else `alert N`."""
        return ALERTS.get(self.description, f"alert {self.description}")


ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


@dataclass(frozen=True, slots=True)
class TlsRecord:
    """The clear outside of an encrypted application-data record (content type 23)."""

    mark: Mark
    by_client: bool
    length: int
    """Length field of the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """A TLS conversation as far as its clear part shows."""

    client_hello: Mark | None = None
    """When the ClientHello was complete; None where it is not whole in the capture."""
    offered_version: str = ""
    """Highest version the client offers: `TLS 1.3` ..."""
    sni: str = ""
    alpn: tuple[str, ...] = ()
    """Offered by the client."""
    ciphers: tuple[int, ...] = ()
    extensions: tuple[int, ...] = ()
    ja3: str = ""
    server_hello: Mark | None = None
    version: str = ""
    """Negotiated; empty without a ServerHello."""
    chosen_alpn: str = ""
    """In clear in TLS 1.2; in TLS 1.3 only where its handshake was decrypted."""
    established: Mark | None = None
    """When the client had sent its Finished (as far as record types show it)."""
    alerts: tuple[TlsAlert, ...] = ()
    records: tuple[TlsRecord, ...] = ()
    """Application-data records, the first 64."""
    plain_answer: Mark | None = None
    """The server answered the ClientHello with bytes that are no TLS record."""
    plain_status: int | None = None
    """That answer's HTTP status, where it is HTTP."""
    certificate_names: tuple[str, ...] = ()
    """Of the server's certificate, likewise: common name, DNS and address names."""
    certificate_expires_ns: int | None = None
    """Its notAfter."""
    closed: Mark | None = None
    """The end of what the server says: its close_notify, or else its FIN. None where keys did not open it."""


SERVING = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
"""HealthCheckResponse.ServingStatus (grpc/health/v1/health.proto)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcFacts:
    """An HTTP/2 connection in clear with prior knowledge, as gRPC uses it."""

    preface: Mark | None = None
    """The client's 24-byte connection preface."""
    server_settings: Mark | None = None
    path: str = ""
    """`:path` of the first request, `/grpc.health.v1.Health/Check` for a health check."""
    user_agent: str = ""
    service: str | None = None
    """Name in the HealthCheckRequest; None where no request message was seen, empty for the server's overall health."""
    request_start: Mark | None = None
    request_end: Mark | None = None
    http_status: str = ""
    """`:status` of the answer."""
    grpc_status: int | None = None
    grpc_message: str = ""
    serving: int | None = None
    """HealthCheckResponse.status, as in `SERVING`."""
    answer_end: Mark | None = None
    """When the trailers (end of the answer's stream) were seen."""
    plain_answer: str = ""
    """First line of an answer that is not HTTP/2 (an HTTP/1 server, say)."""
    reset: str = ""
    """Error code name of the server's RST_STREAM on the first request's stream."""
    goaway: str = ""
    """Error code name of the server's GOAWAY, where it sent one with an error."""
    cancelled: Mark | None = None
    """The client's RST_STREAM on the first request's stream: grpc-go sends it when the call's deadline has passed."""
    unread: bool = False
    """A header block is longer than what is read of one here (docs/limits.md), and so nothing behind it was read."""


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A connection and what was said on it."""

    connection: Connection
    http: tuple[HttpExchange, ...] = ()
    """In order; more than one on a keep-alive connection (bounded)."""
    requests: int = 0
    """Requests seen in all, also those beyond what `http` keeps."""
    tls: TlsFacts | None = None
    grpc: GrpcFacts | None = None
    """Of the first request."""
    calls: tuple[GrpcFacts, ...] = ()
    """Of every gRPC call, in order; only where the questions of a kept connection were asked for (`read_exchange`)."""
    opening: bytes = b""
    """First bytes (at most 64) the client sent when they are none of the above: `*1\\r\\n$4\\r\\nPING`, `PROXY TCP4 ...`."""
    banner: bytes = b""
    """First bytes (at most 64) the server sent before any byte of the client."""
    keyed: bool = False
    """The key log has a secret of it, whether or not that opens it."""
    decrypted: bool = False
    """`http` and `grpc` were read inside TLS with keys that were given."""
    page: ErrorPage | None = None
    """What the error page of the first answer says of its server, where it is one of those that are known."""
