"""The process in a container: servers that misbehave on purpose, one small class each.

Runs in the pod's network namespace: `python -m probewatch.lab.servers PARENT NETNS CONFIG`. The configuration is a list of
servers, `{"behaviour": NAME, "port": 8080, ...}` with the fields of the class of that name in `BEHAVIOURS`, and with:

    opens_s, closes_s   when the port begins and ceases to listen, in seconds from the container's start

and for the process `crash_s`, when it dies of itself (status 1), `ignores_term`, and `began`, the container's start as its
kubelet has it: on a busy machine this process comes up seconds later, and all its times count from there.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final

from .children import begin

PATIENCE_S: Final = 20.0
"""Seconds after which a connection is given up."""
MAX_REQUEST: Final = 16 << 10
"""Bytes of a request's head that are read."""
_READ_S: Final = 0.2
"""Seconds that a client has to read what it was sent before a reset throws it away."""
_HANDSHAKE: Final = b"\x16"
"""What a TLS connection begins with."""
_REASONS: Final = {200: "OK", 204: "No Content", 301: "Moved Permanently", 302: "Found", 400: "Bad Request", 404: "Not Found",
                   401: "Unauthorized", 500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


def response(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Return an HTTP/1.1 answer; `length` is what Content-Length claims."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Said')}", "Content-Type: text/plain", *headers]
    lines += [f"Content-Length: {len(body) if length is None else length}", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def reset(sock: socket.socket) -> None:
    """End a connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _request(sock: socket.socket) -> str:
    """Return the head of a request; what came until then if the client ends."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < MAX_REQUEST:
        piece = sock.recv(4096)
        if not piece:
            break
        data += piece
    return data.decode("latin-1")


def _path(request: str) -> str:
    words = request.split(" ", 2)
    return words[1] if len(words) > 1 else ""


@dataclass
class Server:
    """Ready for ever: answers every request with `status`."""

    port: int
    status: int = 200
    backlog: ClassVar[int] = 64
    served: itertools.count[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def accepted(self, sock: socket.socket) -> None:
        """Serve one connection."""
        request = _request(sock)
        if request:
            self.answer(sock, next(self.served), _path(request))

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """Answer the request of this number, from 1."""
        del number, path
        sock.sendall(response(self.status, b"ok\n"))


@dataclass
class Alternating(Server):
    """/ready: so many requests ready, as many not, and so on; any other path is well."""

    ready: int = 5
    unready: int = 5

    def accepted(self, sock: socket.socket) -> None:
        """Count only requests for /ready."""
        path = _path(_request(sock))
        number = next(self.served) if path.startswith("/ready") else 1
        sock.sendall(response(200 if (number - 1) % (self.ready + self.unready) < self.ready else 503, b"ok\n"))


@dataclass
class Aging(Server):
    """Well for so many requests of a process, then 503 until it is restarted."""

    well: int = 5

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del path
        sock.sendall(response(200 if number <= self.well else 503, b"ok\n"))


@dataclass
class Starting(Server):
    """503 until so many seconds after the container's start, then 200."""

    after_s: float = 5.0
    began: float = 0.0

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del number, path
        sock.sendall(response(200 if time.monotonic() - self.began >= self.after_s else 503, b"ok\n"))


@dataclass
class Sick(Server):
    """503 from `from_s` to `to_s` after the container's start, as where something that it depends on is away."""

    from_s: float = 5.0
    to_s: float = 10.0
    began: float = 0.0

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del number, path
        age = time.monotonic() - self.began
        sock.sendall(response(503 if self.from_s <= age < self.to_s else 200, b"ok\n"))


@dataclass
class Rewriting(Server):
    """Istio's agent: asks the application over `lo`, from 127.0.0.6 (or ::6), and answers 500 where that fails."""

    application: int = 8080

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del number, path
        status = 500
        source, target = ("::6", "::1") if sock.family == socket.AF_INET6 else ("127.0.0.6", "127.0.0.1")
        with suppress(OSError), socket.socket(sock.family) as inner:
            inner.settimeout(1.0)
            inner.bind((source, 0))
            inner.connect((target, self.application))
            inner.sendall(b"GET /ready HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            status = 200 if b" 200 " in inner.recv(4096) else 500
        sock.sendall(response(status, b"app\n"))


@dataclass
class Slow(Server):
    """Answers requests `first` to `last` after so many seconds, others at once."""

    delay_s: float = 2.5
    first: int = 1
    last: int = 1 << 30

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del path
        if self.first <= number <= self.last:
            time.sleep(self.delay_s)
        sock.sendall(response(self.status, b"ok\n"))


@dataclass
class Silent(Server):
    """Accepts, reads, never answers."""

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """Wait until the client goes."""
        del number, path
        while sock.recv(4096):
            pass


@dataclass
class FullQueue(Server):
    """Listens and never accepts: after `backlog` + 1 connections the kernel drops SYNs."""

    backlog: ClassVar[int] = 1


@dataclass
class Resetting(Server):
    """RST: `accept`, at once; `request`, when the request has come; `body`, in the middle of the answer's body."""

    when: str = "request"

    def accepted(self, sock: socket.socket) -> None:
        """See the class."""
        if self.when != "accept":
            _request(sock)
        if self.when == "body":
            sock.sendall(response(200, b"x" * 100, length=1000))
            time.sleep(_READ_S)
        reset(sock)


@dataclass
class Closing(Server):
    """FIN without a byte of answer."""

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""


@dataclass
class BrokenBody(Server):
    """A body that ends before its Content-Length, or that stalls."""

    stalls: bool = False

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del number, path
        sock.sendall(response(200, b"x" * 100, length=1000))
        while self.stalls and sock.recv(4096):
            pass


@dataclass
class BigBody(Server):
    """A body of so many bytes."""

    size: int = 60_000

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del number, path
        sock.sendall(response(self.status, b"x" * self.size))


@dataclass
class Redirecting(Server):
    """Sends every path but /final to `to`, a path or another host's URL; /final is answered with `status`."""

    to: str = "/final"

    def answer(self, sock: socket.socket, number: int, path: str) -> None:
        """See the class."""
        del number
        sock.sendall(response(self.status, b"ok\n") if path == "/final" else response(302, b"", f"Location: {self.to}"))


@dataclass
class Picky(Server):
    """401 to whoever does not send the header that it wants."""

    wants: str = "authorization:"

    def accepted(self, sock: socket.socket) -> None:
        """See the class."""
        sock.sendall(response(200 if self.wants in _request(sock).lower() else 401, b"no\n"))


@dataclass
class Banner(Server):
    """Speaks first, as mail servers do."""

    def accepted(self, sock: socket.socket) -> None:
        """See the class."""
        sock.sendall(b"220 mail.lab ready\r\n")
        sock.recv(4096)


@dataclass
class Tls(Server):
    """HTTPS; with `client_certificate` it wants one, which no kubelet has. Plain HTTP is answered as Go's and nginx' servers do."""

    certificate: str = ""
    """A file with certificate and key."""
    client_certificate: bool = False

    def accepted(self, sock: socket.socket) -> None:
        """See the class."""
        if sock.recv(1, socket.MSG_PEEK) != _HANDSHAKE:
            _request(sock)
            sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        context.set_alpn_protocols(["http/1.1"])
        if self.client_certificate:
            context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that its alert can be read
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificate)
        with context.wrap_socket(sock, server_side=True) as opened:
            super().accepted(opened)


@dataclass
class Plain(Server):
    """HTTP that answers what is no HTTP with 400, as Go's and nginx's do."""

    def accepted(self, sock: socket.socket) -> None:
        """See the class."""
        first = sock.recv(MAX_REQUEST)
        sock.sendall(
            response(200 if first.startswith(b"GET ") else 400, b"Client sent an HTTPS request to an HTTP server\n")
        )


@dataclass
class Grpc(Server):
    """grpc.health.v1: SERVING; NOT_SERVING from call `sick_from` on until before `well_from`; or always `grpc_status`."""

    grpc_status: int = 0
    sick_from: int = 1 << 30
    well_from: int = 1 << 30

    def accepted(self, sock: socket.socket) -> None:
        """See the class."""
        from .grpchealth import NOT_SERVING, SERVING, answer

        number = next(self.served)
        sick = self.sick_from <= number < self.well_from
        answer(sock, NOT_SERVING if sick else SERVING, self.grpc_status, PATIENCE_S)


BEHAVIOURS: Final[dict[str, type[Server]]] = {
    "ready": Server,
    "alternating": Alternating,
    "aging": Aging,
    "starting": Starting,
    "sick": Sick,
    "rewriting": Rewriting,
    "slow": Slow,
    "silent": Silent,
    "full-queue": FullQueue,
    "resetting": Resetting,
    "closing": Closing,
    "broken-body": BrokenBody,
    "big-body": BigBody,
    "redirecting": Redirecting,
    "picky": Picky,
    "banner": Banner,
    "tls": Tls,
    "plain": Plain,
    "grpc": Grpc,
}


def _left(began: float, seconds: float) -> float:
    """Return the seconds until a moment of a container that began then (`time.monotonic`)."""
    return max(0.0, began + seconds - time.monotonic())


def serve(server: Server, address: str, began: float, opens_s: float, closes_s: float | None) -> None:
    """Listen from `opens_s` on, and until `closes_s`; each connection has a thread."""
    time.sleep(_left(began, opens_s))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    everywhere = "::" if ":" in address else "0.0.0.0"  # noqa: S104  (in a namespace of its own)
    listener = socket.create_server((everywhere, server.port), family=family, backlog=server.backlog)
    if closes_s is not None:
        timer = threading.Timer(_left(began, closes_s), lambda: listener.shutdown(socket.SHUT_RDWR))
        timer.daemon = True
        timer.start()
    while not isinstance(server, FullQueue):
        try:
            sock, _ = listener.accept()
        except OSError:  # closed
            listener.close()
            return
        threading.Thread(target=_serve_one, args=(server.accepted, sock), daemon=True).start()
    threading.Event().wait()


def _serve_one(accepted: Callable[[socket.socket], None], sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.settimeout(PATIENCE_S)
        accepted(sock)


def _crash() -> None:
    os._exit(1)


def _made(said: dict[str, Any], began: float) -> Server:
    kind = BEHAVIOURS[said["behaviour"]]
    names = {one.name for one in fields(kind)}
    return kind(**{name: value for name, value in {**said, "began": began}.items() if name in names})


def main(arguments: list[str]) -> None:
    """Serve what a file says until SIGTERM."""
    flag, netns, path = arguments
    begin(flag, netns)
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    if config.get("ignores_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    began = time.monotonic() - max(0.0, time.time() - config["began"])
    if "crash_s" in config:
        timer = threading.Timer(_left(began, config["crash_s"]), _crash)
        timer.daemon = True
        timer.start()
    for said in config["serves"]:
        arguments_of = (_made(said, began), config["address"], began, said.get("opens_s", 0.0), said.get("closes_s"))
        threading.Thread(target=serve, args=arguments_of, daemon=True).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
