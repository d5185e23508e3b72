"""gRPC health checks inside HTTP/2: the messages of grpc.health.v1 and the trailers that end a call.

Sources: grpc/grpc doc/PROTOCOL-HTTP2.md (length-prefixed messages, Trailers-Only, percent-encoded grpc-message),
grpc/grpc-proto grpc/health/v1/health.proto (HealthCheckRequest.service is field 1, HealthCheckResponse.status is
field 1).

Limitations. Compressed messages are not opened: `service` and `serving` stay None.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.exchange import GrpcFacts
from probewatch.wire.http2 import Talk, is_grpc

HEALTH: Final = "/grpc.health.v1.Health/"
KEPT_TEXT: Final = 1024
"""Characters kept of a service name or a grpc-message."""


def read_grpc(talk: Talk, number: int = 0) -> GrpcFacts:
    """Say what a request of an HTTP/2 connection was, the first one by default, and its answer, in gRPC's terms. Never raises."""
    if number >= len(talk.streams):
        return GrpcFacts(
            preface=talk.preface,
            server_settings=talk.server_settings,
            plain_answer=talk.plain_answer,
            goaway=talk.goaway,
            unread=talk.unread,
        )
    stream = talk.streams[number]
    request, answer = stream.request, stream.answer
    path = request.header(":path")
    health = is_grpc(stream) and path.startswith(HEALTH)
    asked = message(bytes(request.data)) if health else None
    told = message(bytes(answer.data)) if health else None
    status = answer.header("grpc-status")
    return GrpcFacts(
        preface=talk.preface,
        server_settings=talk.server_settings,
        path=path,
        user_agent=request.header("user-agent"),
        service=None if asked is None else health_service(asked),
        request_start=request.header_start,
        request_end=request.end,
        http_status=answer.header(":status"),
        grpc_status=int(status) if status.isascii() and status.isdigit() and len(status) <= 9 else None,
        grpc_message=unescape(answer.header("grpc-message")),
        serving=None if told is None else health_status(told),
        answer_end=answer.end,
        plain_answer=talk.plain_answer,
        reset=answer.reset if answer.end is None else "",
        cancelled=request.reset_mark,
        goaway=talk.goaway,
        unread=talk.unread and answer.end is None,
    )


def message(data: bytes) -> bytes | None:
    """Return the first length-prefixed message; None where it is compressed or not whole."""
    if len(data) < 5 or data[0] != 0:
        return None
    length = int.from_bytes(data[1:5])
    return data[5 : 5 + length] if len(data) >= 5 + length else None


def health_service(body: bytes) -> str | None:
    """Return the service of a HealthCheckRequest, empty where it is absent; None where this is no such message."""
    fields = _fields(body)
    if fields is None:
        return None
    found = ""
    for number, value in fields:
        if number == 1:
            if not isinstance(value, bytes):
                return None
            found = value.decode("utf-8", "replace")[:KEPT_TEXT]
    return found


def health_status(body: bytes) -> int | None:
    """Return the status of a HealthCheckResponse, 0 where it is absent; None where this is no such message."""
    fields = _fields(body)
    if fields is None:
        return None
    found = 0
    for number, value in fields:
        if number == 1:
            if not isinstance(value, int):
                return None
            found = value
    return found


def _fields(body: bytes) -> list[tuple[int, int | bytes]] | None:
    """Cut a protobuf message into its fields, varints as numbers and the rest as bytes; None where it is none."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(body):
        key, at = _varint(body, at)
        value: int | bytes
        if key < 0 or key >> 3 == 0:
            return None
        if key & 7 == 0:
            value, at = _varint(body, at)
            if value < 0:
                return None
        else:
            width = {1: 8, 5: 4}.get(key & 7, -1)
            if key & 7 == 2:
                width, at = _varint(body, at)
            if width < 0 or at + width > len(body):
                return None
            value, at = body[at : at + width], at + width
        found.append((key >> 3, value))
    return found


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Read a base-128 varint of at most ten bytes; -1 where it is not whole."""
    value = 0
    for shift, byte in enumerate(body[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if not byte & 0x80:
            return value & (1 << 64) - 1, at + shift + 1
    return -1, at


def unescape(text: str) -> str:
    """Undo the percent-encoding of grpc-message; what is not an escape stays as it is."""
    text = text[: 3 * KEPT_TEXT]
    if "%" not in text:
        return text[:KEPT_TEXT]
    raw = text.encode("latin-1", "replace")
    out = bytearray()
    at = 0
    while at < len(raw):
        digits = raw[at + 1 : at + 3]
        if raw[at] == 37 and len(digits) == 2 and all(each in b"0123456789abcdefABCDEF" for each in digits):
            out.append(int(digits, 16))
            at += 3
        else:
            out.append(raw[at])
            at += 1
    return out.decode("utf-8", "replace")[:KEPT_TEXT]
