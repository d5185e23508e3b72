"""HTTP/2 and gRPC frame by frame, for a ladder diagram: see `phrases`.

Names are those of RFC 9113 section 6; header blocks are told by what matters of them (`:path`, `:status`, `grpc-status`),
health messages by service and status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from probewatch.model.connection import Half
from probewatch.model.exchange import SERVING
from probewatch.model.ladder import Phrase
from probewatch.wire import grpc
from probewatch.wire.http2 import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Block,
    Frame,
    Unread,
    error_name,
    frames,
    table_of,
    walk,
)  # fmt: skip

KEPT: Final = 256
"""Frames told of one direction."""

_NAMES: Final = {
    DATA: "DATA",
    HEADERS: "HEADERS",
    PRIORITY: "PRIORITY",
    RST_STREAM: "RST_STREAM",
    SETTINGS: "SETTINGS",
    PUSH_PROMISE: "PUSH_PROMISE",
    PING: "PING",
    GOAWAY: "GOAWAY",
    WINDOW_UPDATE: "WINDOW_UPDATE",
    CONTINUATION: "CONTINUATION",
}
_ACK: Final = 0x1

STATUS: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""Codes of gRPC (grpc/grpc doc/statuscodes.md), by number."""


def http2(orig: Half, resp: Half, start: int, *, decrypted: bool) -> list[Phrase]:
    """Tell both directions of a connection whose client sent the preface at `start`."""
    asked, answered = frames(orig.data, start + len(PREFACE)), frames(resp.data, 0)
    found: list[Phrase] = []
    mark = orig.reached(start + len(PREFACE))
    if mark is not None:
        found.append(Phrase(mark, True, "HTTP/2 preface", "http2", decrypted))
    health: set[int] = set()
    found += _tell(orig, asked, answered, health, by_client=True, decrypted=decrypted)
    found += _tell(resp, answered, asked, health, by_client=False, decrypted=decrypted)
    return found


def _tell(
    half: Half, mine: list[Frame], theirs: list[Frame], health: set[int], *, by_client: bool, decrypted: bool
) -> Iterator[Phrase]:
    for item in walk(mine, table_of(theirs))[:KEPT]:
        mark = half.reached(item.end)
        if mark is None:
            return
        here = item.stream in health
        if isinstance(item, Unread):
            yield Phrase(mark, by_client, "HEADERS longer than are read", "http2", decrypted)
            return
        text = _block(item, health) if isinstance(item, Block) else _frame(item, in_health=here, by_client=by_client)
        yield Phrase(mark, by_client, text, "http2", decrypted)


def _block(block: Block, health: set[int]) -> str:
    fields = dict(reversed(block.headers))  # the first of a name counts
    if ":path" in fields:
        if fields[":path"].startswith(grpc.HEALTH):
            health.add(block.stream)
        return f"HEADERS {fields.get(':method', '')} {fields[':path']}"
    parts = [fields[":status"]] if ":status" in fields else []
    if "grpc-status" in fields:
        code = fields["grpc-status"]
        name = (
            STATUS[int(code)] if code.isascii() and code.isdigit() and len(code) < 3 and int(code) < len(STATUS) else ""
        )
        parts.append(f"grpc-status {code} {name}".rstrip())
        if fields.get("grpc-message"):
            parts.append(f'"{grpc.unescape(fields["grpc-message"])}"')
    return f"HEADERS {', '.join(parts)}".rstrip()


def _frame(frame: Frame, *, in_health: bool, by_client: bool) -> str:
    name = _NAMES.get(frame.type, f"frame type {frame.type}")
    if frame.type in (SETTINGS, PING):
        return name + (" ack" if frame.flags & _ACK else "")
    if frame.type == RST_STREAM and len(frame.payload) == 4:
        return f"{name} {error_name(int.from_bytes(frame.payload))}"
    if frame.type == GOAWAY and len(frame.payload) >= 8:
        return f"{name} {error_name(int.from_bytes(frame.payload[4:8]))}"
    if frame.type != DATA:
        return name
    message = grpc.message(frame.payload) if in_health else None
    if message is not None and by_client:
        service = grpc.health_service(message)
        if service is not None:
            return f"{name} check {f'service {service}' if service else 'of the whole server'}"
    elif message is not None:
        status = grpc.health_status(message)
        if status is not None:
            return f"{name} {SERVING.get(status, f'status {status}')}"
    return f"{name} {len(frame.payload)} bytes"
