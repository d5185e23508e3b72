"""What a TLS conversation shows without its keys: hellos, clear alerts, the outsides of encrypted records.

Theory of operation. Each half is cut into records (RFC 8446 section 5.1, RFC 5246 section 6.2.1); the bodies of clear
handshake records are joined to handshake messages (section 4). In TLS 1.2 everything after a ChangeCipherSpec is
encrypted; in TLS 1.3 encrypted records carry type 23 outside and a ChangeCipherSpec means nothing (appendix D.4). The
server's half is read first, because its hello says which of the two rules holds. A HelloRetryRequest (section 4.1.3)
is no ServerHello.

`established` is the moment the client's Finished was sent: TLS 1.2, the first handshake record after its
ChangeCipherSpec; TLS 1.3, its first encrypted record after the ServerHello of the length of a Finished (53 or 69
bytes for SHA-256 or SHA-384), else its first that is no alert (19 bytes).

An answer that is no TLS is judged as Go's crypto/tls does (readRecordOrCCS): the first record must be an alert or a
handshake and its version below 16.0.

Limitations. Client certificates and padded records can make the 1.3 Finished hard to tell; then `established` is the
first encrypted record that is no alert. Encrypted alerts are not told apart here. Extension data is read for
versions, names, ALPN and JA3 only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from probewatch.model.connection import Half
from probewatch.model.exchange import TlsAlert, TlsFacts, TlsRecord
from probewatch.model.frame import Mark
from probewatch.wire.http1 import is_cut, read_answer
from probewatch.wire.x509 import read_certificate

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
CLIENT_HELLO, SERVER_HELLO, ENCRYPTED_EXTENSIONS, CERTIFICATE = 1, 2, 8, 11
TLS12, TLS13 = 0x0303, 0x0304

KEPT_RECORDS: Final = 64
"""Application-data records kept, both directions together."""
KEPT_ALERTS: Final = 8
MAX_RECORD: Final = (1 << 14) + 2048
"""Largest record body a sender may make (RFC 5246 section 6.2.3; RFC 8446 allows 256 bytes more than 2^14)."""
MAX_HANDSHAKE: Final = 1 << 16
"""Handshake bytes joined of each direction."""
MAX_MESSAGES: Final = 64
"""Clear handshake messages read of each direction; a handshake has less than ten."""
KEPT_NAMES: Final = 64
"""ALPN names kept."""

_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""Random of a HelloRetryRequest: SHA-256 of that name (RFC 8446 section 4.1.3)."""
ALERT_RECORD: Final = 19
"""Length of an encrypted alert's record in TLS 1.3."""
_FINISHED_RECORDS: Final = (4 + 32 + 17, 4 + 48 + 17)

VERSIONS: Final = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}


class Record(NamedTuple):
    """One TLS record, whole or the beginning of the one the data ends in."""

    type: int
    version: int
    start: int
    """Offset of its header in the stream."""
    length: int
    """Length field: of the body."""
    body: bytes
    """As far as it is there."""

    @property
    def end(self) -> int:
        """Offset after it."""
        return self.start + 5 + self.length

    @property
    def whole(self) -> bool:
        """Whether all of its body is there."""
        return len(self.body) == self.length


class ClientHello(NamedTuple):
    """A ClientHello (RFC 8446 section 4.1.2)."""

    version: int
    """legacy_version."""
    random: bytes
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    groups: tuple[int, ...]
    formats: tuple[int, ...]
    versions: tuple[int, ...]
    sni: str
    alpn: tuple[str, ...]

    @property
    def offered(self) -> int:
        """Highest version offered, GREASE apart."""
        return max((each for each in self.versions if not is_grease(each)), default=self.version)

    @property
    def ja3(self) -> str:
        """MD5 in hex over version, ciphers, extensions, groups and point formats, GREASE (RFC 8701) removed."""
        lists = (self.ciphers, self.extensions, self.groups, self.formats)
        parts = ["-".join(str(each) for each in values if not is_grease(each)) for values in lists]
        text = ",".join([str(self.version), *parts])
        import hashlib  # (takes longer to import than a small capture without TLS takes to read)

        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class ServerHello(NamedTuple):
    """A ServerHello (RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3)."""

    version: int
    """Negotiated: supported_versions where it is there, else legacy_version."""
    random: bytes
    cipher: int
    alpn: str
    retry: bool
    """It is a HelloRetryRequest."""


def is_grease(value: int) -> bool:
    """Say whether a two-byte value is one of RFC 8701's."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def begins_tls(data: bytes) -> bool:
    """Say whether a client's first bytes begin a TLS handshake."""
    return data[:2] == b"\x16\x03"


def records(data: bytes, start: int = 0) -> Iterator[Record]:
    """Cut a stream into records; ends where the data does, or at bytes that are no record."""
    at = start
    while at + 5 <= len(data):
        kind, version, length = struct.unpack_from("!BHH", data, at)
        if not CHANGE_CIPHER_SPEC <= kind <= HEARTBEAT or version >> 8 != 3 or length > MAX_RECORD:
            return
        yield Record(kind, version, at, length, data[at + 5 : at + 5 + length])
        at += 5 + length


class _Side:
    """One direction's records: its clear handshake messages, alerts and encrypted records."""

    __slots__ = ("alerts", "encrypted", "finished", "messages", "records")

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes, Mark | None]] = []
        self.alerts: list[TlsAlert] = []
        self.records: list[TlsRecord] = []
        self.finished: Mark | None = None
        """The first handshake record after its ChangeCipherSpec (TLS 1.2)."""
        self.encrypted = False


def _read_side(half: Half, start: int, *, by_client: bool, version: int) -> _Side:
    """Read one half. `version` is the negotiated one, 0 where it is not known (yet)."""
    side = _Side()
    joined = bytearray()
    done = 0
    for record in records(half.data, start):
        if record.type == CHANGE_CIPHER_SPEC:
            side.encrypted = side.encrypted or (version != TLS13 and joined[:1] != b"")
        elif record.type == HANDSHAKE and side.encrypted:
            if side.finished is None and record.whole:
                side.finished = half.reached(record.end)
        elif record.type == HANDSHAKE:
            base = len(joined)
            joined += record.body[: MAX_HANDSHAKE - base]
            while len(joined) - done >= 4 and len(side.messages) < MAX_MESSAGES:
                end = done + 4 + int.from_bytes(joined[done + 1 : done + 4])
                if end > len(joined):
                    break
                mark = half.reached(record.start + 5 + end - base)
                side.messages.append((joined[done], bytes(joined[done + 4 : end]), mark))
                if not by_client and joined[done] == SERVER_HELLO and version == 0:
                    hello = parse_server_hello(side.messages[-1][1])
                    version = hello.version if hello else 0
                done = end
        elif record.type == ALERT:
            mark = half.reached(record.end)
            if record.length == 2 and record.whole and mark and not side.encrypted and len(side.alerts) < KEPT_ALERTS:
                side.alerts.append(TlsAlert(mark, by_client, record.body[0], record.body[1]))
        elif record.type == APPLICATION_DATA and len(side.records) < KEPT_RECORDS and record.end <= half.length:
            # The capture may have cut it: then the frame it began in must do.
            mark = half.reached(record.end) or half.reached(record.start + 5)
            if mark is not None:
                side.records.append(TlsRecord(mark, by_client, record.length))
    return side


def read_tls(orig: Half, resp: Half, *, start: int = 0) -> TlsFacts:
    """Read the clear part of a TLS conversation; `start` is the offset of the client's first record. Never raises."""
    plain = _plain_answer(resp)
    server = _Side() if plain else _read_side(resp, 0, by_client=False, version=0)
    server_hello: ServerHello | None = None
    server_mark: Mark | None = None
    names: tuple[str, ...] = ()
    expires: int | None = None
    for kind, body, mark in server.messages:
        if kind == SERVER_HELLO and server_hello is None:
            hello = parse_server_hello(body)
            if hello and not hello.retry:
                server_hello, server_mark = hello, mark
        elif kind == CERTIFICATE and server_hello and server_hello.version < TLS13 and not names:
            names, expires = read_certificate(first_certificate(body, server_hello.version))
    version = server_hello.version if server_hello else 0
    client = _read_side(orig, start, by_client=True, version=version)
    client_hello: ClientHello | None = None
    client_mark: Mark | None = None
    for kind, body, mark in client.messages:
        if kind == CLIENT_HELLO:
            client_hello, client_mark = parse_client_hello(body), mark
            break
    return TlsFacts(
        client_hello=client_mark if client_hello else None,
        offered_version=version_name(client_hello.offered) if client_hello else "",
        sni=client_hello.sni if client_hello else "",
        alpn=client_hello.alpn if client_hello else (),
        ciphers=client_hello.ciphers if client_hello else (),
        extensions=client_hello.extensions if client_hello else (),
        ja3=client_hello.ja3 if client_hello else "",
        server_hello=server_mark,
        version=version_name(version) if version else "",
        chosen_alpn=server_hello.alpn if server_hello else "",
        established=_established(version, client, server_mark),
        alerts=tuple(sorted(client.alerts + server.alerts, key=lambda alert: alert.mark))[:KEPT_ALERTS],
        records=tuple(sorted(client.records + server.records, key=lambda record: record.mark))[:KEPT_RECORDS],
        plain_answer=plain,
        plain_status=read_answer(resp, 0, "GET").status if plain else None,
        certificate_names=names,
        certificate_expires_ns=expires,
    )


def read_hellos(orig: Half, resp: Half, *, start: int = 0) -> tuple[ClientHello | None, ServerHello | None]:
    """Return the first ClientHello and the ServerHello that is no HelloRetryRequest. Never raises."""
    server: ServerHello | None = None
    for kind, body, _ in _read_side(resp, 0, by_client=False, version=0).messages:
        hello = parse_server_hello(body) if kind == SERVER_HELLO else None
        if hello and not hello.retry:
            server = hello
            break
    for kind, body, _ in _read_side(orig, start, by_client=True, version=0).messages:
        if kind == CLIENT_HELLO:
            return parse_client_hello(body), server
    return None, server


def read_alert_answer(resp: Half) -> TlsFacts | None:
    """Read a server's TLS alert that answers a client who does not speak TLS; None where it sent none."""
    alerts = _read_side(resp, 0, by_client=False, version=0).alerts
    return TlsFacts(alerts=tuple(alerts)) if alerts else None


def version_name(version: int) -> str:
    """Name a protocol version: `TLS 1.3`; `0x7f1c` where it has no name."""
    return VERSIONS.get(version, f"0x{version:04x}")


def _established(version: int, client: _Side, server_hello: Mark | None) -> Mark | None:
    if server_hello is None:
        return None
    if version != TLS13:
        return client.finished
    later = [record for record in client.records if record.mark >= server_hello]
    for record in later:
        if record.length in _FINISHED_RECORDS:
            return record.mark
    return next((record.mark for record in later if record.length != ALERT_RECORD), None)


def _plain_answer(resp: Half) -> Mark | None:
    """Say when it was clear that the server's first bytes are no TLS record."""
    data = resp.data[:5]
    if not data:
        return None
    if data[0] not in (ALERT, HANDSHAKE) or (len(data) >= 2 and data[1] >= 0x10):
        # Go reads the five bytes of a record header before it judges; fewer only count where no more came.
        return resp.reached(5) if len(data) == 5 else (None if is_cut(resp) else resp.fin)
    return None


# Messages


class _Reader:
    """Bounds-checked reading of a handshake message: short reads give None once, then nothing."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        self.at += count
        if len(part) != count:
            raise _ShortError
        return part

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


class _ShortError(Exception):
    """A message ends before one of its fields does. Never leaves this module."""


def parse_client_hello(body: bytes) -> ClientHello | None:
    """Parse a ClientHello without its handshake header; None where it contradicts itself."""
    try:
        reader = _Reader(body)
        version = reader.number(2)
        random = reader.take(32)
        reader.vector(1)
        ciphers = _numbers(reader.vector(2))
        reader.vector(1)
        extensions = _extensions(reader)
        data = dict(extensions)
        versions = _numbers(_Reader(data[43]).vector(1)) if 43 in data else ()
        groups = _numbers(_Reader(data[10]).vector(2)) if 10 in data else ()
        formats = tuple(_Reader(data[11]).vector(1)) if 11 in data else ()
        return ClientHello(
            version,
            random,
            ciphers,
            tuple(kind for kind, _ in extensions),
            groups,
            formats,
            versions,
            _server_name(data.get(0, b"")),
            _alpn(data.get(16, b"")),
        )
    except _ShortError:
        return None


def parse_server_hello(body: bytes) -> ServerHello | None:
    """Parse a ServerHello without its handshake header; None where it contradicts itself."""
    try:
        reader = _Reader(body)
        version = reader.number(2)
        random = reader.take(32)
        reader.vector(1)
        cipher = reader.number(2)
        reader.take(1)
        data = dict(_extensions(reader))
        if 43 in data:
            version = _Reader(data[43]).number(2)
        alpn = _alpn(data.get(16, b""))
        return ServerHello(version, random, cipher, alpn[0] if alpn else "", random == _RETRY)
    except _ShortError:
        return None


def first_certificate(body: bytes, version: int) -> bytes:
    """Return the first certificate's DER of a Certificate message (RFC 5246 section 7.4.2, RFC 8446 section 4.4.2)."""
    try:
        reader = _Reader(body)
        if version == TLS13:
            reader.vector(1)  # certificate_request_context
        return _Reader(reader.vector(3)).vector(3)
    except _ShortError:
        return b""


def encrypted_alpn(body: bytes) -> str:
    """Return the protocol that a server chose, of an EncryptedExtensions message (RFC 8446 section 4.3.1); empty where none."""
    try:
        names = _alpn(dict(_extensions(_Reader(body))).get(16, b""))
    except _ShortError:
        return ""
    return names[0] if names else ""


def _extensions(reader: _Reader) -> list[tuple[int, bytes]]:
    if not reader.more:
        return []
    inner = _Reader(reader.vector(2))
    found = []
    while inner.more:
        kind = inner.number(2)
        found.append((kind, inner.vector(2)))
    return found


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])


def _server_name(data: bytes) -> str:
    """Read the host_name of a server_name extension (RFC 6066 section 3)."""
    if not data:
        return ""
    names = _Reader(_Reader(data).vector(2))
    kind = names.number(1)
    return names.vector(2).decode("latin-1") if kind == 0 else ""


def _alpn(data: bytes) -> tuple[str, ...]:
    """Read the names of an ALPN extension (RFC 7301 section 3.1)."""
    if not data:
        return ()
    names = _Reader(_Reader(data).vector(2))
    found: list[str] = []
    while names.more and len(found) < KEPT_NAMES:
        found.append(names.vector(1).decode("latin-1"))
    return tuple(found)
