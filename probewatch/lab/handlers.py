"""One execution of a probe: what the kubelet sends, and what it makes of the answer.

A stand-in, written after pkg/probe/{http,tcp,exec} of kubelet 1.36 and after captures of the real one; it shares no code
with what probewatch reads packets with. gRPC is in `grpchealth`.

Unlike the real one: TLS is OpenSSL's, so the ClientHello is not Go's (it asks for the same: no server name, h2 or
http/1.1; a server that chooses h2 is not spoken to); `httpGet.host` must be an address.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from probewatch.cluster.golang import canonical_header, request_target
from probewatch.model.spec import Handler, ProbeSpec

from . import grpchealth
from .dial import Deadline, Orphans, Seen, close, dial, endpoint, go_words

BODY_BYTES: Final = 10 * 1024
"""Bytes of an answer's body that are read (pkg/probe/http/http.go maxRespBodyLength)."""
HOPS: Final = 10
"""Requests that redirects may cost (http.go RedirectChecker)."""
_LATE: Final = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


@dataclass(frozen=True, slots=True)
class Said:
    """What came of an execution, in the prober's own words."""

    result: str
    """`success`, `warning`, `failure` or `error`; an error is tried again at once and counts for nothing."""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a probe asks."""

    address: str
    """The pod's primary address."""
    version: str
    """Of the kubelet: `1.36`."""
    orphans: Orphans
    execute: Callable[[list[str], float], tuple[int, bytes]]
    """Runs a command in the container (`containers.Container.execute`)."""


def execute(spec: ProbeSpec, site: Site, seen: Seen) -> Said:
    """Run the handler of a probe once."""
    match spec.handler:
        case Handler.HTTP_GET:
            return http_get(spec, site, seen)
        case Handler.TCP_SOCKET:
            return tcp_socket(spec, site, seen)
        case Handler.GRPC:
            return Said(*grpchealth.check(spec, site.address, site.version, seen))
        case _:
            return exec_command(spec, site)


def tcp_socket(spec: ProbeSpec, site: Site, seen: Seen) -> Said:
    """Connect and close (pkg/probe/tcp/tcp.go DoTCPProbe)."""
    assert spec.port is not None
    host = spec.host or site.address
    try:
        sock = dial(host, spec.port, Deadline(spec.timeout_s), seen)
    except TimeoutError:
        return Said("failure", f"dial tcp {endpoint((host, spec.port))}: i/o timeout")
    except OSError as error:
        return Said("failure", f"dial tcp {endpoint((host, spec.port))}: connect: {go_words(error)}")
    close(sock)
    return Said("success")


# httpGet


class _Body(Exception):  # noqa: N818  (an event: the answer broke off after its head)
    pass


class _Stream(io.RawIOBase):
    """A socket's bytes, until a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline.left()
        if not left:
            raise TimeoutError
        self._sock.settimeout(left)
        try:
            read = self._sock.recv_into(buffer)
        except ssl.SSLEOFError:
            read = 0
        if not self._deadline.left():  # an answer that is noticed too late is none: the timer has ended the request
            raise TimeoutError
        return read

    def makefile(self, mode: str) -> io.BufferedReader:
        """Be what http.client takes for a socket."""
        del mode
        return io.BufferedReader(self, 4096)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str | None


def http_get(spec: ProbeSpec, site: Site, seen: Seen) -> Said:
    """GET, follow redirects on the same host, read up to 10 KiB (pkg/probe/http/http.go DoHTTPProbe)."""
    assert spec.port is not None
    host = spec.host or site.address
    url = first = f"{spec.scheme.lower()}://{endpoint((host, spec.port))}{request_target(spec.path)}"
    deadline = Deadline(spec.timeout_s)
    referer: str | None = None
    for hop in range(1, HOPS + 2):
        if hop > HOPS:
            return Said("failure", f'Get "{urlsplit(url).path}": stopped after {HOPS} redirects')
        try:
            answer = _get(spec, site, url, referer, deadline, seen)
        except _Body as error:
            return Said("error", str(error))
        except TimeoutError:
            return Said("failure", f'Get "{url}": {_LATE}')
        except ssl.SSLError as error:
            return Said("failure", f'Get "{url}": {_tls_words(error)}')
        except http.client.RemoteDisconnected:
            return Said("failure", f'Get "{url}": EOF')
        except http.client.HTTPException as error:
            return Said("failure", f'Get "{url}": net/http: HTTP/1.x transport connection broken: {error!r}')
        except OSError as error:
            return Said("failure", f'Get "{url}": {go_words(error)}')
        if answer.location is None:
            return _judged(answer.status)
        target = urljoin(url, answer.location)
        if urlsplit(target).hostname != urlsplit(first).hostname:
            return Said("warning", "Probe terminated redirects, Response body: ")
        url, referer = target, url
    raise AssertionError("the loop returns")


def _judged(status: int) -> Said:
    if 200 <= status < 300:
        return Said("success", "ok")
    if 300 <= status < 400:
        return Said("warning", "Probe terminated redirects, Response body: ")
    return Said("failure", f"HTTP probe failed with statuscode: {status}")


def _get(spec: ProbeSpec, site: Site, url: str, referer: str | None, deadline: Deadline, seen: Seen) -> _Answer:
    """Make one request on a connection of its own."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    sock = dial(parts.hostname, port, deadline, seen, site.orphans)
    try:
        if parts.scheme == "https":
            sock.settimeout(max(deadline.left(), 0.001))
            sock = _client_context().wrap_socket(sock)
        sock.settimeout(max(deadline.left(), 0.001))
        sock.sendall(_request(spec, site, parts.netloc, _target(url), referer))
        return _answer(sock, deadline)
    finally:
        if isinstance(sock, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                sock.settimeout(0)
                sock.unwrap()  # close_notify is sent, and not waited for
        close(sock)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _request(spec: ProbeSpec, site: Site, authority: str, target: str, referer: str | None) -> bytes:
    """Return the bytes of the request (request.go newProbeRequest, net/http Request.write).

    Host and User-Agent come first, then all others by name, Connection last; an empty Accept or User-Agent is left out.
    """
    given: dict[str, list[str]] = {}
    for name, value in spec.headers:
        given.setdefault(canonical_header(name), []).append(value)
    host = (given.pop("Host", None) or [authority])[0]
    agent = (given.pop("User-Agent", None) or [f"kube-probe/{site.version}"])[0]
    given.pop("Content-Length", None)
    if given.setdefault("Accept", ["*/*"]) == [""]:
        del given["Accept"]
    if referer is not None:
        given["Referer"] = [referer]
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", *([f"User-Agent: {agent}"] if agent else [])]
    lines += [f"{name}: {value}" for name in sorted(given) for value in given[name]]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _answer(sock: socket.socket, deadline: Deadline) -> _Answer:
    """Read head and body. An error in the head is the caller's, one in the body is `_Body`: the kubelet then tries again."""
    response = http.client.HTTPResponse(_Stream(sock, deadline), method="GET")  # type: ignore[arg-type]
    response.begin()
    try:
        _read_body(response)
    except TimeoutError:
        raise _Body("context deadline exceeded (Client.Timeout or context cancellation while reading body)") from None
    except (http.client.IncompleteRead, EOFError):
        raise _Body("unexpected EOF") from None
    except OSError as error:
        raise _Body(f"read: {go_words(error)}") from None
    redirected = response.status in (301, 302, 303, 307, 308)
    return _Answer(response.status, response.getheader("Location") if redirected else None)


def _read_body(response: http.client.HTTPResponse) -> None:
    read = 0
    while read < BODY_BYTES:
        piece = response.read(BODY_BYTES - read)
        if not piece:
            if response.length:  # less than Content-Length promised
                raise EOFError
            return
        read += len(piece)


def _client_context() -> ssl.SSLContext:
    """Return TLS as the kubelet asks for it: no certificate is checked, no name is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "EOF"
    reason = (error.reason or str(error)).lower().replace("_", " ")
    if "http request" in reason or "wrong version number" in reason:
        return "http: server gave HTTP response to HTTPS client"
    return f"remote error: tls: {reason.removeprefix('tlsv1 alert ').removeprefix('sslv3 alert ')}"


# exec


def exec_command(spec: ProbeSpec, site: Site) -> Said:
    """Run the command in the container (pkg/probe/exec/exec.go; a timeout is a failure since 1.20)."""
    begun = time.monotonic()
    try:
        status, output = site.execute(list(spec.command), spec.timeout_s)
    except subprocess.TimeoutExpired:
        took = time.monotonic() - begun
        return Said("failure", f'command timed out: "{" ".join(spec.command)}" timed out after {took:.0f}s')
    except OSError as error:
        return Said("failure", f"{spec.command[0]}: {go_words(error)}")
    return Said("failure" if status else "success", output[:BODY_BYTES].decode("utf-8", "replace"))
