"""grpc.health.v1 by hand: the kubelet's probe, and a server that says what it is told to.

HTTP/2 in clear text with prior knowledge (RFC 9113), headers by hpack, one call a connection. The client follows
pkg/probe/grpc/grpc.go and grpc-go: the dial blocks until the server's SETTINGS have come, and is tried again after
1.0 s, times 1.6, within one timeout; so a refused port is told as a timeout.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import hpack

from probewatch.model.spec import ProbeSpec

from .dial import Deadline, Seen, close, dial, endpoint

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
MAX_FRAME: Final = 1 << 14
"""Bytes of one frame's payload (SETTINGS_MAX_FRAME_SIZE, its default)."""
_BACKOFF_S, _FACTOR, _JITTER = 1.0, 1.6, 0.2
"""grpc-go backoff.DefaultConfig."""
_AGENT: Final = "kube-probe/{} grpc-go/1.79.3"
SERVING, NOT_SERVING = 1, 2
UNIMPLEMENTED, NOT_FOUND = 12, 5


class _Broken(Exception):  # noqa: N818  (an event: the peer does not speak HTTP/2, or is gone)
    pass


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _read(sock: socket.socket, number: int, deadline: Deadline) -> bytes:
    data = b""
    while len(data) < number:
        left = deadline.left()
        if not left:
            raise TimeoutError
        sock.settimeout(left)
        piece = sock.recv(number - len(data))
        if not piece:
            raise _Broken
        data += piece
    return data


def _frames(sock: socket.socket, deadline: Deadline) -> Iterator[tuple[int, int, bytes]]:
    """Yield (kind, flags, payload) until the peer is gone."""
    while True:
        head = _read(sock, 9, deadline)
        length = int.from_bytes(head[:3], "big")
        if length > MAX_FRAME or head[3] > 9:
            raise _Broken
        yield head[3], head[4], _read(sock, length, deadline)


# The kubelet's side.


def check(spec: ProbeSpec, address: str, version: str, seen: Seen) -> tuple[str, str]:
    """Return (`success` or `failure`, message) of one probe."""
    assert spec.port is not None
    deadline = Deadline(spec.timeout_s)
    where = endpoint((address, spec.port))
    sock = _connected(address, spec.port, deadline, seen)
    if sock is None:
        return (
            "failure",
            f'timeout: failed to connect service "{where}" within {spec.timeout_s}s: context deadline exceeded',
        )
    try:
        return _call(sock, spec, where, version, deadline)
    except TimeoutError:
        with suppress(OSError):  # the call is cancelled, then the connection ended
            sock.sendall(_frame(RST_STREAM, 0, 1, struct.pack(">I", 8)) + _goaway())
        return "failure", f"timeout: health rpc did not complete within {spec.timeout_s}s"
    except (OSError, _Broken):
        return (
            "failure",
            "error: health rpc probe failed: rpc error: code = Unavailable desc = error reading from server: EOF",
        )
    finally:
        close(sock)


def _connected(address: str, port: int, deadline: Deadline, seen: Seen) -> socket.socket | None:
    """Dial, again and again, until the server's SETTINGS have come."""
    wait = _BACKOFF_S
    while deadline.left():
        begun = time.monotonic()
        sock = None
        try:
            sock = dial(address, port, deadline, seen)
            if _greeted(sock, deadline):
                return sock
        except (OSError, _Broken):
            pass
        if sock is not None:
            close(sock)
        pause = begun + wait * random.uniform(1 - _JITTER, 1 + _JITTER) - time.monotonic()  # noqa: S311  (no secret)
        time.sleep(max(0.0, min(pause, deadline.left())))
        wait *= _FACTOR
    return None


def _greeted(sock: socket.socket, deadline: Deadline) -> bool:
    """Exchange SETTINGS; False where the server says something else."""
    sock.settimeout(max(deadline.left(), 0.001))
    sock.sendall(PREFACE)
    sock.sendall(_frame(SETTINGS, 0, 0))
    kind, _, _ = next(_frames(sock, deadline))
    if kind == SETTINGS:
        sock.sendall(_frame(SETTINGS, ACK, 0))
    return kind == SETTINGS


def _call(sock: socket.socket, spec: ProbeSpec, where: str, version: str, deadline: Deadline) -> tuple[str, str]:
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", where),
        ("content-type", "application/grpc"),
        ("user-agent", _AGENT.format(version)),
        ("te", "trailers"),
        ("grpc-timeout", f"{int(deadline.left() * 1e6)}u"),
    ]
    service = spec.service.encode()
    message = (b"\x0a" + bytes((len(service),)) + service) if service else b""
    sock.sendall(_frame(HEADERS, END_HEADERS, 1, hpack.Encoder().encode(headers)))
    sock.sendall(_frame(DATA, END_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message))
    decoder, told, status = hpack.Decoder(), 0, b""
    said: dict[str, str] = {}
    for kind, flags, payload in _frames(sock, deadline):
        if kind == PING and not flags & ACK:
            sock.sendall(_frame(PING, ACK, 0, payload))
        elif kind == DATA:
            status += payload
            told += len(payload)
            sock.sendall(
                _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", told))
                + _frame(PING, 0, 0, b"\x02\x04\x10\x10\x09\x0e\x07\x07")
            )
        elif kind == HEADERS:
            said |= {_text(name): _text(value) for name, value in decoder.decode(payload)}
            if flags & END_STREAM:
                break
        elif kind in (RST_STREAM, GOAWAY):
            raise _Broken
    sock.sendall(_goaway())
    return _judged(said, status)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _goaway() -> bytes:
    return _frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0))


def _judged(said: dict[str, str], message: bytes) -> tuple[str, str]:
    code = said.get("grpc-status", "2")
    if code == str(UNIMPLEMENTED):
        return "failure", (
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            + said.get("grpc-message", "")
        )
    if code != "0":
        return (
            "failure",
            f"error: health rpc probe failed: rpc error: code = {code} desc = {said.get('grpc-message', '')}",
        )
    if message[5:] == bytes((8, SERVING)):
        return "success", "service healthy"
    return "failure", 'service unhealthy (responded with "NOT_SERVING")'


# The server's side.


def answer(sock: socket.socket, status: int, grpc_status: int, patience_s: float) -> None:
    """Serve one connection: answer each call with a health status, or with an error where `grpc_status` is not 0.

    Raises:
        OSError: the client went away.
    """
    deadline = Deadline(patience_s)
    with suppress(_Broken):
        sock.sendall(_frame(SETTINGS, 0, 0))
        if _read(sock, len(PREFACE), deadline) != PREFACE:
            return
        encoder, decoder = hpack.Encoder(), hpack.Decoder()
        for kind, flags, payload in _frames(sock, deadline):
            if kind == SETTINGS and not flags & ACK:
                sock.sendall(_frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                sock.sendall(_frame(PING, ACK, 0, payload))
            elif kind == HEADERS:
                decoder.decode(payload)
            elif kind == DATA and flags & END_STREAM:
                trailers = [
                    ("grpc-status", str(grpc_status)),
                    ("grpc-message", "" if not grpc_status else "unknown service"),
                ]
                head = [(":status", "200"), ("content-type", "application/grpc")]
                if grpc_status:
                    sock.sendall(_frame(HEADERS, END_HEADERS | END_STREAM, 1, encoder.encode(head + trailers)))
                    continue
                message = bytes((0, 0, 0, 0, 2, 8, status))
                sock.sendall(
                    _frame(HEADERS, END_HEADERS, 1, encoder.encode(head))
                    + _frame(DATA, 0, 1, message)
                    + _frame(HEADERS, END_HEADERS | END_STREAM, 1, encoder.encode(trailers))
                )
            elif kind == GOAWAY:
                return
