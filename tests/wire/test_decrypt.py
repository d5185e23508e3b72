"""TLS with the keys of an NSS key log."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import hmac
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.connection import Arrival, Connection, Half
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.wire.decrypt import MISSING, Keylog, decrypt
from probewatch.wire.exchange import read_exchange

pytest.importorskip("cryptography", reason="decryption needs cryptography, which is not installed")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

PROBE = b"GET /ready HTTP/1.1\r\nHost: a:8443\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\n\r\nnot yet"


def mark(number: int) -> Mark:
    """Return the moment of frame `number`: one a millisecond."""
    return Mark(number * 1_000_000, 0, number)


class Talk(NamedTuple):
    """A conversation: its flights, who sent each, and its key log."""

    flights: list[tuple[bool, bytes]]
    keys: bytes

    def connection(self, cut: int | None = None) -> Connection:
        """Make the connection, its server's half cut by the capture at `cut`."""
        sides: dict[bool, tuple[bytearray, list[Arrival]]] = {True: (bytearray(), []), False: (bytearray(), [])}
        for number, (by_client, data) in enumerate(self.flights, 1):
            flat, arrivals = sides[by_client]
            flat += data
            arrivals.append(Arrival(len(flat), mark(number)))
        end = mark(len(self.flights) + 1)
        orig, resp = (
            Half(packets=3, data=bytes(flat), length=len(flat), arrivals=tuple(arrivals), fin=end, last=end)
            for flat, arrivals in (sides[True], sides[False])
        )
        if cut is not None:
            resp = replace(resp, data=resp.data[:cut], gap=cut)
        return Connection(
            id=0, client="10.0.0.1", client_port=40000, server="10.0.0.2", server_port=8443, start=mark(0), end=end, state="SF",
            history="", orig=orig, resp=resp,
        )

    def read(self, keys: bytes | None = None) -> Exchange:
        """Read it, with its own keys or with others."""
        return read_exchange(self.connection(), Keylog.parse(self.keys if keys is None else keys))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-signed certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 5, datetime(2020, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC))
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


def converse(certificate: Path, folder: Path, version: ssl.TLSVersion, ciphers: str = "") -> Talk:
    """Let OpenSSL talk to OpenSSL: handshake, request, answer, close_notify of both."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.verify_mode = ssl.CERT_NONE
    client_side.minimum_version = client_side.maximum_version = version
    server_side.set_alpn_protocols(["http/1.1"])
    client_side.set_alpn_protocols(["h2", "http/1.1"])
    if ciphers:
        client_side.set_ciphers(ciphers)
    keys = folder / "keys.log"
    client_side.keylog_filename = str(keys)
    from_client, to_server, from_server, to_client = (ssl.MemoryBIO() for _ in range(4))
    client = client_side.wrap_bio(to_client, from_client)
    server = server_side.wrap_bio(to_server, from_server, server_side=True)
    flights: list[tuple[bool, bytes]] = []

    def pump(act: Any) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            act()
        for by_client, sent, received in ((True, from_client, to_server), (False, from_server, to_client)):
            data = sent.read()
            if data:
                flights.append((by_client, data))
                received.write(data)

    for _ in range(3):
        pump(client.do_handshake)
        pump(server.do_handshake)
    pump(lambda: client.write(PROBE))
    pump(lambda: server.read(4096))
    pump(lambda: server.write(ANSWER[:20]))
    pump(lambda: server.write(ANSWER[20:]))
    pump(lambda: client.read(4096))
    pump(server.unwrap)
    return Talk(flights, keys.read_bytes())


SUITES = [
    (ssl.TLSVersion.TLSv1_3, ""),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
]


@pytest.mark.parametrize(("version", "ciphers"), SUITES)
def test_openssl(version: ssl.TLSVersion, ciphers: str, certificate: Path, tmp_path: Path) -> None:
    """What OpenSSL encrypted is read as if it were in clear, with the marks of the records that carried it."""
    talk = converse(certificate, tmp_path, version, ciphers)
    got = talk.read()
    assert got.decrypted
    assert [(each.target, each.status, each.reason, each.body_bytes) for each in got.http] == [("/ready", 503, "Service Unavailable", 7)]
    http = got.http[0]
    marks = (http.request_start, http.request_end, http.first_byte, http.header_end, http.body_end)
    assert None not in marks
    assert list(marks) == sorted(each for each in marks if each)
    assert http.first_byte != http.header_end, "two records, two moments"
    assert got.tls is not None
    assert got.tls.established is not None
    assert got.tls.alerts == (), "a close_notify is an ordinary end"
    assert (got.tls.certificate_names, got.tls.certificate_expires_ns) == (("a",), 2_524_608_000 * 10**9)
    assert got.tls.chosen_alpn == "http/1.1"


def test_cbc_stays_closed(certificate: Path, tmp_path: Path) -> None:
    """A suite that is not opened leaves the exchange as it is without keys."""
    talk = converse(certificate, tmp_path, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256")
    got = talk.read()
    assert got.keyed, "the log does have its secret"
    assert replace(got, keyed=False) == read_exchange(talk.connection())


def test_keys_that_do_not_fit(certificate: Path, tmp_path: Path) -> None:
    """Foreign keys, wrong keys and no keys change nothing."""
    (tmp_path / "b").mkdir()
    for version, ciphers in SUITES[:2]:
        talk = converse(certificate, tmp_path, version, ciphers)
        other = converse(certificate, tmp_path / "b", version, ciphers)
        plain = read_exchange(talk.connection())
        wrong = b"\n".join(line[:-8] + b"00000000" for line in talk.keys.split(b"\n") if line)
        for keys in (other.keys, b""):
            assert talk.read(keys) == plain
        assert replace(talk.read(wrong), keyed=False) == plain
        assert not plain.decrypted


def test_some_keys_are_missing(certificate: Path, tmp_path: Path) -> None:
    """TLS 1.3 opens without the handshake's secrets, and one side opens without the other's."""
    talk = converse(certificate, tmp_path, ssl.TLSVersion.TLSv1_3)
    lines = talk.keys.splitlines(keepends=True)
    traffic = b"".join(line for line in lines if b"TRAFFIC_SECRET_0" in line)
    assert talk.read(traffic).http[0].status == 503
    up = talk.read(b"".join(line for line in lines if line.startswith(b"CLIENT")))
    assert up.decrypted
    assert [(each.target, each.status, each.lost) for each in up.http] == [("/ready", None, True)]
    down = talk.read(b"".join(line for line in lines if line.startswith(b"SERVER")))
    assert (down.decrypted, down.http) == (True, ())
    assert not talk.read(b"".join(line for line in lines if b"HANDSHAKE" in line)).http


def test_cut_ciphertext(certificate: Path, tmp_path: Path) -> None:
    """Where the capture cut the ciphertext, the plaintext ends as lost, never as closed."""
    talk = converse(certificate, tmp_path, ssl.TLSVersion.TLSv1_3)
    keys = Keylog.parse(talk.keys)
    full = len(talk.connection().resp.data)
    for cut in range(0, full, 7):
        for each in read_exchange(talk.connection(cut), keys).http:
            assert each.malformed == ""
            assert each.body_error == ""
            assert each.lost or each.status == 503


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with SHA-256, for at most one block."""
    info = length.to_bytes(2) + bytes((6 + len(label),)) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\1", "sha256")[:length]


class Sealer:
    """Seals TLS 1.3 records by RFC 8446 section 5.2."""

    def __init__(self, secret: bytes, *, chacha: bool) -> None:
        self.chacha = chacha
        self.use(secret)

    def use(self, secret: bytes) -> None:
        """Begin with a new secret."""
        self.secret = secret
        key = expand(secret, b"key", 32 if self.chacha else 16)
        self.cipher = ChaCha20Poly1305(key) if self.chacha else AESGCM(key)
        self.iv = int.from_bytes(expand(secret, b"iv", 12))
        self.number = 0

    def seal(self, body: bytes, kind: int = 23, padding: int = 0) -> bytes:
        """Return a record."""
        inner = body + bytes((kind,)) + bytes(padding)
        aad = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        sealed = self.cipher.encrypt((self.iv ^ self.number).to_bytes(12), inner, aad)
        self.number += 1
        return aad + sealed


def handmade(*, chacha: bool = False) -> tuple[list[tuple[bool, bytes]], Sealer, Sealer, bytes]:
    """Make the handshake of a TLS 1.3 conversation: its flights, sealers for both sides, its key log."""
    random = hashlib.sha256(b"random").digest()
    names = (b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", b"SERVER_HANDSHAKE_TRAFFIC_SECRET", b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0")
    secrets = {name: hashlib.sha256(name).digest() for name in names}
    hello = b"\3\3" + random + b"\0" + b"\0\2\x13\1" + b"\1\0" + b"\0\7\0\x2b\0\3\2\3\4"
    answer = b"\3\3" + bytes(32) + b"\0" + (b"\x13\x03" if chacha else b"\x13\x01") + b"\0" + b"\0\6\0\x2b\0\2\3\4"
    up, down = (Sealer(secrets[name], chacha=chacha) for name in names[:2])
    finished = b"\x14\0\0\x20" + bytes(32)

    def clear(kind: int, body: bytes) -> bytes:
        message = bytes((kind,)) + len(body).to_bytes(3) + body
        return b"\x16\3\3" + len(message).to_bytes(2) + message

    flights = [
        (True, clear(1, hello)),
        (False, clear(2, answer) + b"\x14\3\3\0\1\1" + down.seal(b"\x08\0\0\2\0\0" + finished[:9], 22) + down.seal(finished[9:], 22)),
        (True, up.seal(finished, 22)),
    ]
    up.use(secrets[names[2]])
    down.use(secrets[names[3]])
    keys = b"".join(b"%s %s %s\r\n" % (name, random.hex().encode(), secret.hex().encode()) for name, secret in secrets.items())
    return flights, up, down, keys


@pytest.mark.parametrize("chacha", [False, True])
def test_tls13_suites_padding_and_tickets(chacha: bool) -> None:
    """Both other TLS 1.3 suites open; padding and session tickets are no data; a Finished may span records."""
    flights, up, down, keys = handmade(chacha=chacha)
    flights += [(True, up.seal(PROBE, padding=30)), (False, down.seal(b"\4\0\0\3abc", 22) + down.seal(b"") + down.seal(ANSWER))]
    got = Talk(flights, keys).read()
    assert [(each.target, each.status) for each in got.http] == [("/ready", 503)]
    assert (got.http[0].first_byte, got.http[0].body_end) == (mark(5), mark(5))


def test_key_update() -> None:
    """A KeyUpdate changes the key of its direction, each time; too many end the reading, not the program."""
    for updates, status in ((3, 503), (200, None)):
        flights, up, down, keys = handmade()
        flights.append((True, up.seal(PROBE)))
        for _ in range(updates):
            flights.append((False, down.seal(b"\x18\0\0\1\0", 22)))
            down.use(expand(down.secret, b"traffic upd", 32))
        flights.append((False, down.seal(ANSWER)))
        got = Talk(flights, keys).read().http[0]
        assert (got.status, got.lost) == (status, status is None)


def test_encrypted_alert() -> None:
    """A fatal alert inside the encryption is told; close_notify ends the data like a FIN."""
    flights, up, down, keys = handmade()
    refused = Talk([*flights, (True, up.seal(b"\2\x2a", 21))], keys).read()
    assert refused.tls is not None
    assert [(each.name, each.by_client) for each in refused.tls.alerts] == [("bad_certificate", True)]
    flights, up, down, keys = handmade()
    closed = [(True, up.seal(PROBE)), (False, down.seal(b"HTTP/1.0 200 OK\r\n\r\nhello")), (False, down.seal(b"\1\0", 21))]
    got = Talk(flights + closed, keys).read().http[0]
    assert (got.status, got.body_end) == (200, mark(6))


def test_damaged_record() -> None:
    """A record that does not verify ends the reading there: what was before it stays, the rest is lost."""
    flights, up, down, keys = handmade()
    first, second = down.seal(ANSWER[:-2]), bytearray(down.seal(ANSWER[-2:]))
    second[-1] ^= 1
    got = Talk([*flights, (True, up.seal(PROBE)), (False, first + bytes(second))], keys).read().http[0]
    assert (got.status, got.body_end, got.body_error, got.lost) == (503, None, "", True)


def test_http2_inside() -> None:
    """HTTP/2 inside TLS is read too."""
    from hpack import Encoder

    flights, up, down, keys = handmade()
    block = Encoder().encode([(":method", "GET"), (":scheme", "https"), (":path", "/ready"), (":authority", "a")])
    asked = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, len(block), 1, 5, 0, 0, 0, 1)) + block
    told = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\5\0\0\0\1\x89"
    got = Talk([*flights, (True, up.seal(asked)), (False, down.seal(told))], keys).read()
    assert [(each.version, each.target, each.status) for each in got.http] == [("HTTP/2", "/ready", 204)]


def test_keylog_forms() -> None:
    """Comments, unknown labels, CRLF and other case are taken; what is no key log line is counted."""
    random, secret = b"Ab" * 32, b"cD" * 48
    text = b"# comment\r\n\r\nCLIENT_RANDOM %s %s\r\nEXPORTER_SECRET %s %s\n" % (random, secret, random, secret)
    text += b"RSA 0123456789abcdef %s\n" % secret
    keys = Keylog.parse(text)
    assert keys.notes == ()
    assert keys.secret(b"CLIENT_RANDOM", bytes.fromhex("ab" * 32)) == bytes.fromhex("cd" * 48)
    assert len(keys.secrets) == 1
    bad = Keylog.parse(b"CLIENT_RANDOM xyz\nhello\nCLIENT_RANDOM %s zz\nCLIENT_RANDOM %s cd\n\xff\xfe\n" % (random, random))
    assert not bad.secrets
    assert bad.notes == ("Lines of the key log that are not in NSS form: 5.",)


def test_keylog_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key log beyond the limits is cut, and says so."""
    monkeypatch.setattr("probewatch.wire.decrypt.MAX_SECRETS", 2)
    text = b"".join(b"CLIENT_RANDOM %064x %s\n" % (at, b"00" * 48) for at in range(5))
    keys = Keylog.parse(text)
    assert len(keys.secrets) == 2
    assert keys.notes == ("Only the first 2 secrets of the key log were kept.",)
    monkeypatch.setattr("probewatch.wire.decrypt.MAX_KEYLOG", 300)
    assert len(Keylog.parse(text).secrets) == 1


def test_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package a plain sentence says so, and everything else works."""
    flights, up, down, keys = handmade()
    talk = Talk([*flights, (True, up.seal(PROBE)), (False, down.seal(ANSWER))], keys)
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert Keylog.parse(keys).notes == (MISSING,)
    assert replace(talk.read(), keyed=False) == read_exchange(talk.connection())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.data())
def test_takes_any_bytes(junk: bytes, data: st.DataObject) -> None:
    """No key log and no ciphertext raise."""
    Keylog.parse(junk)
    flights, up, down, keys = handmade()
    flights += [(True, up.seal(PROBE)), (False, down.seal(ANSWER) + down.seal(b"\x18\0\0\1\0" * 2, 22))]
    damaged = []
    for by_client, flight in flights:
        flat = bytearray(flight)
        if data.draw(st.booleans()):
            flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(st.integers(0, 255))
        damaged.append((by_client, bytes(flat)))
    text = bytearray(keys)
    if data.draw(st.booleans()):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    made = Talk(damaged, keys).connection()
    log = Keylog.parse(bytes(text))
    decrypt(made.orig, made.resp, log)
    read_exchange(made, log)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 900), max_size=8))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    """However the ciphertext is cut into segments, the same is read, and its moments are in order."""
    flights, up, down, keys = handmade()
    flights += [(True, up.seal(PROBE)), (False, down.seal(ANSWER[:30]) + down.seal(ANSWER[30:]))]
    whole = Talk(flights, keys).connection()
    data = whole.resp.data
    ends = sorted({cut for cut in cuts if cut < len(data)} | {len(data)})
    resp = replace(whole.resp, arrivals=tuple(Arrival(end, mark(9 + at)) for at, end in enumerate(ends)))
    got = read_exchange(replace(whole, resp=resp), Keylog.parse(keys)).http[0]
    assert (got.status, got.body_bytes) == (503, 7)
    assert got.first_byte is not None
    assert got.body_end is not None
    assert got.first_byte <= got.body_end
