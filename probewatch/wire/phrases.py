"""What was said on a connection, phrase by phrase, each with the frame in which it was whole: for a ladder diagram.

Theory of operation. `exchange` reads a connection for its meaning; here the same readers' results are told in the order of
the wire: an HTTP/1 request line and status line, the records and messages of a TLS handshake, the frames of HTTP/2, or
the first bytes of something else. With keys, what is inside TLS is told too, beside the records that carry it.

Limitations. The first 64 records of a kind and the first `PHRASES` phrases are told, the rest of a long talk is bytes.
A connection caught in mid-stream says what `exchange` can read of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from probewatch.model.connection import Connection, Half
from probewatch.model.exchange import ALERTS, Exchange, HttpExchange
from probewatch.model.frame import Mark
from probewatch.model.ladder import Phrase
from probewatch.wire import tls
from probewatch.wire.body import BODY_ENOUGH
from probewatch.wire.exchange import OPENING, PREFACE, proxy_header, read_exchange

if TYPE_CHECKING:
    from probewatch.wire.decrypt import Keylog, Opened

PHRASES: Final = 512
"""Phrases kept of one connection."""
BINARY: Final = 12
"""Bytes shown of what is no text."""
NAMES: Final = 2
"""Names of a certificate, and protocols offered, that one phrase lists."""

_MESSAGES: Final = {
    0: "HelloRequest",
    1: "ClientHello",
    2: "ServerHello",
    4: "NewSessionTicket",
    5: "EndOfEarlyData",
    8: "EncryptedExtensions",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
    22: "CertificateStatus",
    24: "KeyUpdate",
}
"""Handshake types of RFC 8446 appendix B.3 and RFC 5246 appendix A.4."""


def phrases(connection: Connection, keys: Keylog | None = None) -> tuple[list[Phrase], Exchange]:
    """Return what was said, in the order of time, and what `read_exchange` makes of it. Never raises."""
    exchange = read_exchange(connection, keys)
    orig, resp = connection.orig, connection.resp
    start = proxy_header(orig.data)
    found: list[Phrase] = []
    if start:
        found += _bytes(orig, start, by_client=True, lead="PROXY header ")
    if exchange.tls is not None and tls.begins_tls(orig.data[start : start + 2]):
        found += _tls(exchange, start, keys)
    else:
        found += clear(exchange, orig, resp, start)
    # Stable: within a frame as it was said; an alert ends what it stands beside.
    found.sort(key=lambda said: (said.mark, said.text.startswith("alert ")))
    return found[:PHRASES], exchange


def clear(exchange: Exchange, orig: Half, resp: Half, start: int, *, decrypted: bool = False) -> list[Phrase]:
    """Tell two halves in clear, or the plaintext of a TLS connection: HTTP/1, HTTP/2, or bytes."""
    if orig.data.startswith(PREFACE, start):
        from probewatch.wire.phrases_http2 import http2

        return http2(orig, resp, start, decrypted=decrypted)
    if exchange.http:
        return [said for http in exchange.http for said in _http(http, decrypted=decrypted)]
    found = list(_bytes(orig, len(orig.data), start, by_client=True)) if len(orig.data) > start else []
    if exchange.tls is not None:  # an alert that answers what is no TLS
        found += [Phrase(a.mark, a.by_client, f"TLS alert {a.name}", "tls") for a in exchange.tls.alerts]
    elif resp.data:
        found += _bytes(resp, len(resp.data), by_client=False)
    return found


def _bytes(half: Half, end: int, start: int = 0, *, by_client: bool, lead: str = "") -> Iterator[Phrase]:
    mark = half.reached(start + 1)
    if mark is not None:
        yield Phrase(mark, by_client, lead + _quoted(half.data[start : min(end, start + OPENING)]), "bytes")


def _quoted(data: bytes) -> str:
    """Return text as text, and what is none as the hexadecimal digits of its first bytes."""
    odd = sum(not (32 <= byte < 127 or byte in b"\r\n\t") for byte in data)
    if odd * 8 > len(data):
        return f"{data[:BINARY].hex(' ')}{' ...' if len(data) > BINARY else ''}"
    return f'"{data.decode("latin-1")}"'


def _http(http: HttpExchange, *, decrypted: bool) -> Iterator[Phrase]:
    """Tell one HTTP/1 exchange."""

    def say(mark: Mark | None, text: str, *, by_client: bool = False) -> Iterator[Phrase]:
        if mark is not None:
            yield Phrase(mark, by_client, text, "http", decrypted)

    if http.method:
        yield from say(
            http.request_end or http.request_start,
            f"{http.method} {http.target}" + ("" if http.request_end else " (not whole)"),
            by_client=True,
        )
    for status in http.interim:
        yield from say(http.first_byte, f"{status} (interim)")
    if http.status is not None:
        where = http.answer_header("Location") if 300 <= http.status <= 399 else None
        yield from say(
            http.header_end or http.first_byte,
            f"{http.status} {http.reason}".rstrip() + (f" to {where}" if where else ""),
        )
    if http.malformed:
        yield from say(http.fault or http.first_byte, http.malformed)
    if http.body_error:
        yield from say(http.fault, f"body broken off: {http.body_error}")
        return
    if http.read_enough is not None and http.read_enough != http.body_end:
        yield from say(http.read_enough, f"{BODY_ENOUGH >> 10} KiB of body")
    if http.body_end is not None and http.body_bytes:
        whole = http.body_end == http.header_end
        yield from say(
            http.body_end, f"{http.body_bytes} bytes of body" if whole else f"body whole, {http.body_bytes} bytes"
        )


# TLS


def _tls(exchange: Exchange, start: int, keys: Keylog | None) -> list[Phrase]:
    facts = exchange.tls
    assert facts is not None
    orig, resp = exchange.connection.orig, exchange.connection.resp
    inside = None
    if keys is not None:
        from probewatch.wire.decrypt import decrypt

        inside = decrypt(orig, resp, keys, start=start)
    opened: tuple[tuple[Opened, ...], tuple[Opened, ...]] = inside.opened if inside is not None else ((), ())
    found: list[Phrase] = []
    version = tls.TLS13 if facts.version == "TLS 1.3" else 0
    found += _records(orig, start, opened[0], version, facts.established, by_client=True)
    if facts.plain_answer is None:
        found += _records(resp, 0, opened[1], version, facts.established, by_client=False)
    else:
        line = resp.data[:OPENING].split(b"\n", 1)[0].rstrip(b"\r")
        found.append(Phrase(facts.plain_answer, False, f"in clear, {_quoted(line)}", "bytes"))
    if inside is not None:
        found += clear(exchange, inside.orig, inside.resp, 0, decrypted=True)
    return found


def _records(
    half: Half, start: int, opened: tuple[Opened, ...], version: int, established: Mark | None, *, by_client: bool
) -> Iterator[Phrase]:
    """Tell the records of one direction, as far as they can be read."""
    inside = {record.start: record for record in opened}
    messages = _Messages()
    sealed = False
    hidden = _Hidden(by_client)
    for count, record in enumerate(tls.records(half.data, start)):
        mark = half.reached(record.end) or half.reached(record.start + 5)
        if mark is None or count >= PHRASES:
            return
        inner = inside.get(record.start)
        kind, body = (record.type, record.body) if inner is None else (inner.type, inner.body)
        if inner is None and (kind == tls.APPLICATION_DATA or (sealed and kind != tls.CHANGE_CIPHER_SPEC)):
            yield from hidden.add(mark, record, _hidden(record, version, mark, established, by_client=by_client))
            continue
        yield from hidden.end()
        if kind == tls.CHANGE_CIPHER_SPEC:
            sealed = sealed or version != tls.TLS13
            yield Phrase(mark, by_client, "ChangeCipherSpec", "tls")
        elif kind == tls.HANDSHAKE:
            text = ", ".join(messages.read(body))
            yield Phrase(mark, by_client, text or "part of a handshake message", "tls", inner is not None)
        elif kind == tls.ALERT and len(body) >= 2:
            yield Phrase(mark, by_client, f"alert {ALERTS.get(body[1], body[1])}", "tls", inner is not None)
    yield from hidden.end()


def _hidden(record: tls.Record, version: int, mark: Mark, established: Mark | None, *, by_client: bool) -> str:
    """Name a record that nobody could open, as far as its outside tells."""
    if record.type == tls.HANDSHAKE or (by_client and version == tls.TLS13 and mark == established):
        return "Finished"
    if record.type == tls.ALERT:
        return "alert"
    if version == tls.TLS13 and record.length == tls.ALERT_RECORD:
        return "as long as an alert"
    return "handshake" if version == tls.TLS13 and (established is None or mark < established) else ""


class _Hidden:
    """Joins encrypted records of one frame and one kind to one phrase."""

    def __init__(self, by_client: bool) -> None:
        self._by_client = by_client
        self._held: tuple[Mark, str, int, int] | None = None
        """Frame, kind, records, bytes."""

    def add(self, mark: Mark, record: tls.Record, kind: str) -> Iterator[Phrase]:
        """Take a record; tell those before it if they are of another frame or kind."""
        held = self._held
        if held is not None and held[:2] != (mark, kind):
            yield from self.end()
        _, _, count, size = self._held or (mark, kind, 0, 0)
        self._held = (mark, kind, count + 1, size + record.length)

    def end(self) -> Iterator[Phrase]:
        """Tell what is held."""
        if self._held is not None:
            mark, kind, count, size = self._held
            many = f" in {count} records" if count > 1 else ""
            yield Phrase(mark, self._by_client, f"{size} bytes encrypted{many}" + (f" ({kind})" if kind else ""), "tls")
            self._held = None


class _Messages:
    """Handshake messages of one direction, joined from records."""

    def __init__(self) -> None:
        self._joined = bytearray()

    def read(self, body: bytes) -> list[str]:
        """Return the messages that are whole with these bytes."""
        self._joined += body[: tls.MAX_HANDSHAKE]
        found: list[str] = []
        while len(self._joined) >= 4:
            end = 4 + int.from_bytes(self._joined[1:4])
            if end > len(self._joined):
                break
            found.append(self._name(self._joined[0], bytes(self._joined[4:end])))
            del self._joined[:end]
        return found

    def _name(self, kind: int, body: bytes) -> str:
        name = _MESSAGES.get(kind, f"handshake message {kind}")
        if kind == tls.CLIENT_HELLO:
            client = tls.parse_client_hello(body)
            if client is not None:
                parts = [tls.version_name(client.offered)]
                parts += [f"ALPN {' '.join(client.alpn[:NAMES])}"] if client.alpn else []
                parts += [f"server name {client.sni}"] if client.sni else []
                return f"{name} {', '.join(parts)}"
        elif kind == tls.SERVER_HELLO:
            server = tls.parse_server_hello(body)
            if server is not None:
                name = "HelloRetryRequest" if server.retry else name
                return f"{name} {tls.version_name(server.version)}" + (f", ALPN {server.alpn}" if server.alpn else "")
        elif kind == tls.ENCRYPTED_EXTENSIONS:
            alpn = tls.encrypted_alpn(body)
            return name + (f" ALPN {alpn}" if alpn else "")
        return name
