"""TLS in clear: hellos, alerts, the outsides of records; and what a server says that does not speak TLS."""

from __future__ import annotations

import ssl
import struct
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.connection import Arrival, Half
from probewatch.model.frame import Mark
from probewatch.wire.tls import (
    KEPT_RECORDS,
    MAX_MESSAGES,
    _read_side,
    begins_tls,
    parse_client_hello,
    parse_server_hello,
    read_tls,
    records,
    version_name,
)
from probewatch.wire.x509 import read_certificate

KUBELET_CIPHERS = (
    0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0x1301, 0x1302, 0x1303,
)
KUBELET_EXTENSIONS = (11, 65281, 23, 18, 5, 10, 13, 50, 16, 43, 51)
GROUPS_132 = (0x001D, 0x0017, 0x0018, 0x0019)
GROUPS_136 = (0x11EC, 0x11EB, 0x11ED, *GROUPS_132)


def mark(number: int) -> Mark:
    """Return the moment of frame `number`: one a millisecond."""
    return Mark(number * 1_000_000, 0, number)


def half(*pieces: bytes, first: int = 1, step: int = 1, fin: bool = False) -> Half:
    """Make a half whose data came in these pieces, in frames numbered from `first` in steps of `step`."""
    arrivals, length, number = [], 0, first
    for piece in pieces:
        length += len(piece)
        arrivals.append(Arrival(length, mark(number)))
        number += step
    last = mark(number)
    return Half(
        packets=1, data=b"".join(pieces), length=length, arrivals=tuple(arrivals), last=last, fin=last if fin else None
    )


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    """Make a record."""
    return struct.pack("!BHH", kind, version, len(body)) + body


def vector(width: int, body: bytes) -> bytes:
    """Put a length before a vector."""
    return len(body).to_bytes(width) + body


def handshake(kind: int, body: bytes) -> bytes:
    """Make a handshake message."""
    return bytes((kind,)) + vector(3, body)


def client_hello(
    groups: tuple[int, ...] = GROUPS_136, *, sni: str = "", grease: bool = False, versions: tuple[int, ...] = (0x0304, 0x0303)
) -> bytes:
    """Make a ClientHello as Go's crypto/tls orders it."""
    data = {
        11: vector(1, b"\0"), 65281: b"\0", 5: b"\1\0\0\0\0", 10: vector(2, struct.pack(f"!{len(groups)}H", *groups)),
        16: vector(2, b"\2h2\x08http/1.1"), 43: vector(1, struct.pack(f"!{len(versions)}H", *versions)),
    }
    kinds: tuple[int, ...] = KUBELET_EXTENSIONS if versions else tuple(each for each in KUBELET_EXTENSIONS if each != 43)
    ciphers = KUBELET_CIPHERS
    if sni:
        kinds = (0, *kinds)
        data[0] = vector(2, b"\0" + vector(2, sni.encode()))
    if grease:
        kinds, ciphers = (0x1A1A, *kinds, 0xFAFA), (0x0A0A, *ciphers)
    extensions = b"".join(struct.pack("!H", kind) + vector(2, data.get(kind, b"")) for kind in kinds)
    suites = struct.pack(f"!{len(ciphers)}H", *ciphers)
    return handshake(1, b"\3\3" + bytes(32) + vector(1, bytes(32)) + vector(2, suites) + b"\1\0" + vector(2, extensions))


def server_hello(version: int = 0x0304, *, retry: bool = False, alpn: bytes = b"") -> bytes:
    """Make a ServerHello."""
    random = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c") if retry else bytes(32)
    extensions = struct.pack("!HHH", 43, 2, version) if version == 0x0304 else b""
    if alpn:
        extensions += struct.pack("!H", 16) + vector(2, vector(2, vector(1, alpn)))
    return handshake(2, struct.pack("!H", min(version, 0x0303)) + random + b"\0\x13\x01\0" + vector(2, extensions))


CCS = record(20, b"\1")


@pytest.mark.parametrize(
    ("groups", "ja3"),
    [(GROUPS_136, "60828da5b42313d165aae2938e651b72"), (GROUPS_132, "725adce2954b00db40fdbba678c7ead8")],
    ids=["1.36", "1.32"],
)
def test_kubelet_hello(groups: tuple[int, ...], ja3: str) -> None:
    """The kubelet's ClientHello is read: what it offers, in its order, and the JA3 known of it."""
    facts = read_tls(half(record(22, client_hello(groups), 0x0301)), Half())
    assert facts.client_hello == mark(1)
    assert (facts.offered_version, facts.sni, facts.alpn) == ("TLS 1.3", "", ("h2", "http/1.1"))
    assert facts.ciphers == KUBELET_CIPHERS
    assert facts.extensions == KUBELET_EXTENSIONS
    assert facts.ja3 == ja3
    assert (facts.server_hello, facts.version, facts.established) == (None, "", None)


def test_grease_is_no_part_of_ja3() -> None:
    """GREASE values (RFC 8701) change neither the JA3 nor the offered version."""
    plain = parse_client_hello(client_hello()[4:])
    greased = parse_client_hello(client_hello(grease=True, versions=(0x7A7A, 0x0304, 0x0303))[4:])
    assert plain is not None
    assert greased is not None
    assert greased.ja3 == plain.ja3
    assert greased.offered == 0x0304


def test_server_name() -> None:
    """The server name a client asks for is told."""
    assert read_tls(half(record(22, client_hello(sni="shop.example"))), Half()).sni == "shop.example"


def test_hello_over_records_and_segments() -> None:
    """A hello cut into records and segments is complete with its last byte."""
    hello = client_hello()
    data = record(22, hello[:3]) + record(22, hello[3:100]) + record(22, hello[100:])
    assert read_tls(half(data[:6], data[6:-1], data[-1:]), Half()).client_hello == mark(3)
    facts = read_tls(half(data[:6], data[6:-1]), Half())
    assert (facts.client_hello, facts.ja3) == (None, "")


def tls13(*, finished: int = 53) -> tuple[Half, Half]:
    """Make a TLS 1.3 conversation: hello, hello, flight, Finished, request, answer."""
    asked = half(record(22, client_hello(), 0x0301), CCS + record(23, bytes(finished)), record(23, bytes(125)), step=10)
    told = half(record(22, server_hello()) + CCS + record(23, bytes(23)) + record(23, bytes(53)), record(23, bytes(123)), first=6, step=20)
    return asked, told


@pytest.mark.parametrize("finished", [53, 69, 80])
def test_tls13(finished: int) -> None:
    """A TLS 1.3 conversation shows its version, the client's Finished, and its records in order."""
    facts = read_tls(*tls13(finished=finished))
    assert (facts.version, facts.server_hello, facts.established) == ("TLS 1.3", mark(6), mark(11))
    assert [(each.by_client, each.length) for each in facts.records] == [
        (False, 23), (False, 53), (True, finished), (True, 125), (False, 123),
    ]
    assert facts.alerts == ()
    assert facts.chosen_alpn == ""


def test_tls13_refused_by_the_client() -> None:
    """An encrypted alert in the place of the client's Finished establishes nothing."""
    told = tls13()[1]
    asked = half(record(22, client_hello()), CCS + record(23, bytes(19)), step=10)
    assert read_tls(asked, told).established is None


def test_hello_retry() -> None:
    """A HelloRetryRequest is no ServerHello, and the ChangeCipherSpec after it hides nothing."""
    told = half(record(22, server_hello(retry=True)) + CCS, record(22, server_hello()), first=2, step=2)
    asked = half(record(22, client_hello()), CCS + record(22, client_hello()), record(23, bytes(53)), step=2)
    facts = read_tls(asked, told)
    assert (facts.client_hello, facts.server_hello, facts.version, facts.established) == (mark(1), mark(4), "TLS 1.3", mark(5))
    assert read_tls(asked, half(record(22, server_hello(retry=True)))).version == ""


def test_tls12() -> None:
    """A TLS 1.2 conversation shows the chosen ALPN, and is established with the record after the client's ChangeCipherSpec."""
    told = half(record(22, server_hello(0x0303, alpn=b"h2") + handshake(14, b"")), CCS + record(22, bytes(40)), first=2, step=2)
    asked = half(record(22, client_hello()), record(22, handshake(16, bytes(33))) + CCS + record(22, bytes(40)), step=2)
    facts = read_tls(asked, told)
    assert (facts.version, facts.chosen_alpn, facts.established) == ("TLS 1.2", "h2", mark(3))
    started = half(record(22, client_hello()), record(22, handshake(16, bytes(33))))
    assert read_tls(started, told).established is None


def test_old_versions() -> None:
    """Versions below 1.2, and without the supported_versions extension, have their names."""
    facts = read_tls(half(record(22, client_hello(versions=()))), half(record(22, server_hello(0x0301)), first=2))
    assert (facts.offered_version, facts.version) == ("TLS 1.2", "TLS 1.0")
    assert version_name(0x7F1C) == "0x7f1c"


@pytest.mark.parametrize(("code", "name"), [(40, "handshake_failure"), (70, "protocol_version"), (48, "unknown_ca"), (3, "alert 3")])
def test_alert_in_clear(code: int, name: str) -> None:
    """An alert in clear has its RFC name, its side and its moment."""
    facts = read_tls(half(record(22, client_hello())), half(record(21, bytes((2, code))), first=2))
    assert [(each.name, each.by_client, each.level, each.mark) for each in facts.alerts] == [(name, False, 2, mark(2))]
    asked = half(record(22, client_hello()), record(21, bytes((2, code))), step=5)
    facts = read_tls(asked, half(record(22, server_hello()), first=2))
    assert [(each.name, each.by_client) for each in facts.alerts] == [(name, True)]


def test_encrypted_alert_is_not_read() -> None:
    """What follows a TLS 1.2 ChangeCipherSpec is never taken for an alert in clear."""
    told = half(record(22, server_hello(0x0303)), CCS + record(22, bytes(40)) + record(21, bytes(26)) + record(21, b"\2\x28"))
    assert read_tls(half(record(22, client_hello())), told).alerts == ()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", 400),
        (b"HTTP/1.0 503 x\r\n\r\n", 503),
        (b"SSH-2.0-x\r\n", None),
        (b"\x00\x00\x12\x04\x00\x00", None),
        (b"\x16\x99\x03\x00\x00\x00", None),
    ],
)
def test_plain_answer(answer: bytes, status: int | None) -> None:
    """An answer that Go refuses as `first record does not look like a TLS handshake` is plain, with its status if it is HTTP."""
    facts = read_tls(half(record(22, client_hello())), half(answer[:3], answer[3:5], answer[5:], first=5))
    assert (facts.plain_answer, facts.plain_status) == (mark(6), status)
    assert facts.version == ""


def test_short_plain_answer() -> None:
    """Fewer bytes than a record header are judged only once no more can come."""
    asked = half(record(22, client_hello()))
    assert read_tls(asked, half(b"-ER")).plain_answer is None
    assert read_tls(asked, half(b"-ER", first=5, fin=True)).plain_answer == mark(6)
    lost = replace(half(b"-ER", first=5, fin=True), gap=3, length=99)
    assert read_tls(asked, lost).plain_answer is None


def test_cut_record() -> None:
    """A record that the capture cut still shows its length, where the wire had all of it; one still on its way does not."""
    asked, told = tls13()
    cut = len(told.data) - 100
    short = replace(told, data=told.data[:cut], gap=cut, arrivals=(told.arrivals[0], Arrival(cut, told.arrivals[1].mark)))
    assert read_tls(asked, short).records == read_tls(asked, told).records
    coming = replace(short, length=cut, gap=None)
    assert len(read_tls(asked, coming).records) == 4


def test_records_are_bounded() -> None:
    """Of many records the first are kept, by time."""
    many = half(record(22, client_hello()), *[record(23, b"x" * 40)] * 200, step=2)
    facts = read_tls(many, half(record(22, server_hello()), *[record(23, b"y" * 50)] * 200, first=2, step=2))
    assert len(facts.records) == KEPT_RECORDS
    assert [each.mark.number for each in facts.records] == list(range(3, 3 + KEPT_RECORDS))


def test_messages_are_bounded() -> None:
    """A flood of handshake messages is not followed for long, and hides nothing that came before it."""
    flood = record(22, client_hello()) + record(22, handshake(0, b"") * 4000) * 4
    asked = half(*(flood[at : at + 20] for at in range(0, len(flood), 20)))
    assert len(_read_side(asked, 0, by_client=True, version=0).messages) == MAX_MESSAGES
    assert read_tls(asked, Half()).client_hello is not None


def test_no_record() -> None:
    """Cutting into records ends at bytes that are none, and at bodies no sender may make."""
    assert [each.length for each in records(record(23, b"x") + b"GET / HTTP/1.1")] == [1]
    assert list(records(b"\x17\x03\x03\xff\xff" + bytes(70000))) == []
    assert begins_tls(record(22, b""))
    assert not begins_tls(b"GET /")


def certificate(names: list[str], expires: datetime) -> bytes:
    """Make a self-signed certificate."""
    pytest.importorskip("cryptography", reason="certificates are made with cryptography, which is not installed")
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "o"), x509.NameAttribute(x509.NameOID.COMMON_NAME, "cn.example")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(each)) for each in ("10.128.0.10", "fd00::1")]
    made = x509.CertificateBuilder(name, name, key.public_key(), 5, datetime(2020, 1, 1, tzinfo=UTC), expires)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("year", [2030, 2077])
def test_certificate(year: int) -> None:
    """A TLS 1.2 server's certificate tells its names and its end, in both of RFC 5280's time forms."""
    expires = datetime(year, 5, 6, 7, 8, 9, tzinfo=UTC)
    der = certificate(["a.example", "cn.example", "b.example"], expires)
    message = handshake(11, vector(3, vector(3, der)))
    facts = read_tls(half(record(22, client_hello())), half(record(22, server_hello(0x0303) + message), first=2))
    assert facts.certificate_names == ("cn.example", "a.example", "b.example", "10.128.0.10", "fd00::1")
    assert facts.certificate_expires_ns == int(expires.timestamp()) * 1_000_000_000


def test_real_hello_of_openssl() -> None:
    """A hello that OpenSSL makes is read whole."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="shop.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    facts = read_tls(half(sent.read()), Half())
    assert (facts.sni, facts.alpn, facts.offered_version) == ("shop.example", ("http/1.1",), "TLS 1.3")


MESSAGES = st.sampled_from([
    client_hello(), server_hello(), server_hello(0x0303), server_hello(retry=True), handshake(11, bytes(9)), b"\1\xff\xff\xff",
])
RECORDS = st.builds(record, st.sampled_from([20, 21, 22, 22, 22, 23, 24]), MESSAGES | st.binary(max_size=40))


@settings(max_examples=300, deadline=None)
@given(st.lists(RECORDS | st.binary(max_size=6), max_size=6), st.lists(RECORDS | st.binary(max_size=6), max_size=6), st.data())
def test_takes_any_bytes(asked: list[bytes], told: list[bytes], data: st.DataObject) -> None:
    """No bytes raise, also where single bytes of good ones are changed."""
    sides = []
    for pieces in (asked, told):
        flat = bytearray(b"".join(pieces))
        for _ in range(data.draw(st.integers(0, 3)) if flat else 0):
            flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(st.integers(0, 255))
        sides.append(half(bytes(flat)))
    facts = read_tls(*sides)
    assert len(facts.records) <= KEPT_RECORDS
    parse_client_hello(sides[0].data)
    parse_server_hello(sides[1].data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_takes_any_certificate(junk: bytes, at: int, value: int) -> None:
    """No bytes raise in place of a certificate, also not those of a real one with one byte changed."""
    read_certificate(junk)
    der = bytearray(REAL)
    if der:
        der[at % len(der)] = value
    names, expires = read_certificate(bytes(der))
    assert len(names) <= 16
    assert expires is None or isinstance(expires, int)


try:
    REAL = certificate(["a.example"], datetime(2030, 1, 1, tzinfo=UTC))
except pytest.skip.Exception:
    REAL = b""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 2000), max_size=8))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    """However the bytes are cut into segments, the same is read."""
    asked, told = tls13()
    ends = sorted({cut for cut in cuts if cut < len(asked.data)} | {len(asked.data)})
    pieces = [asked.data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    facts, whole = read_tls(half(*pieces, first=7), told), read_tls(half(asked.data, first=7), told)
    assert sorted(each.length for each in facts.records) == sorted(each.length for each in whole.records)
    assert (facts.ja3, facts.version) == (whole.ja3, whole.version)
    assert facts.client_hello is not None
    assert facts.established is not None
    assert facts.client_hello <= facts.established
