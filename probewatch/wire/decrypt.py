"""TLS 1.2 and 1.3 application data with the keys of an NSS key log (SSLKEYLOGFILE, RFC 9850), as halves of plaintext.

Theory of operation. A key log names secrets by the client's random. In TLS 1.3 (RFC 8446 sections 5.2 and 7.3) each
direction starts with its handshake traffic secret, goes on with its application traffic secret after its Finished,
and with the next secret after each KeyUpdate. In TLS 1.2 (RFC 5246 section 6.3) the master secret makes the keys of
both directions, used after their ChangeCipherSpec. The application data of a direction becomes a `Half` whose
arrivals are the moments its records were whole; its `fin` is the close_notify, else the FIN. So the readers of clear
connections read it unchanged.

Of the encrypted handshake of TLS 1.3 the server's EncryptedExtensions and Certificate are read, for ALPN and the
certificate's names and end.

Every record is authenticated: keys that do not fit decrypt nothing, and then nothing is said (`decrypt` returns None).
Where a direction could not be read to its end, its `gap` is set and it has no FIN: what is missing is not known.

Suites: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305. Ciphers come from the package `cryptography`, imported when first
needed.

Limitations. No CBC or CCM suites, no renegotiation, no early data (its records are passed over), no RSA private keys.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from probewatch.model.connection import Arrival, Half
from probewatch.model.exchange import TlsAlert
from probewatch.model.frame import Mark
from probewatch.wire.tls import (
    ALERT,
    APPLICATION_DATA,
    CERTIFICATE,
    CHANGE_CIPHER_SPEC,
    ENCRYPTED_EXTENSIONS,
    HANDSHAKE,
    TLS12,
    TLS13,
    ClientHello,
    Record,
    ServerHello,
    encrypted_alpn,
    first_certificate,
    read_hellos,
    records,
)
from probewatch.wire.x509 import read_certificate

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MAX_KEYLOG: Final = 64 << 20
"""Bytes read of a key log."""
MAX_SECRETS: Final = 500_000
"""Secrets kept of a key log."""
MAX_UPDATES: Final = 32
"""Key updates followed in one direction."""
MAX_SKIPPED: Final = 64
"""Records passed over before the first that the keys open (early data)."""
MAX_JOINED: Final = 1 << 16
"""Handshake bytes joined of one direction."""
KEPT_ALERTS: Final = 8
KEPT_OPENED: Final = 256
"""Opened records of each direction that are told one by one."""

CLIENT_RANDOM: Final = b"CLIENT_RANDOM"
CLIENT_HANDSHAKE: Final = b"CLIENT_HANDSHAKE_TRAFFIC_SECRET"
SERVER_HANDSHAKE: Final = b"SERVER_HANDSHAKE_TRAFFIC_SECRET"
CLIENT_TRAFFIC: Final = b"CLIENT_TRAFFIC_SECRET_0"
SERVER_TRAFFIC: Final = b"SERVER_TRAFFIC_SECRET_0"
_LABELS: Final = {
    each: each for each in (CLIENT_RANDOM, CLIENT_HANDSHAKE, SERVER_HANDSHAKE, CLIENT_TRAFFIC, SERVER_TRAFFIC)
}
_SECRET_LENGTHS: Final = {CLIENT_RANDOM: (48,)}

MISSING: Final = "TLS stays encrypted: the package cryptography is not installed (it comes with probewatch[tls])."

_FINISHED, _KEY_UPDATE = 20, 24
_QUIET_ALERTS: Final = (0, 90)
"""close_notify and user_canceled: an ordinary end (RFC 8446 section 6.1)."""


class Suite(NamedTuple):
    """What a cipher suite means for the record layer."""

    key: int
    """Key length in bytes."""
    hash: str
    chacha: bool


_SUITES: Final = {
    0x1301: Suite(16, "sha256", False),
    0x1302: Suite(32, "sha384", False),
    0x1303: Suite(32, "sha256", True),
    **dict.fromkeys((0x009C, 0x009E, 0x00A2, 0xC02B, 0xC02D, 0xC02F, 0xC031), Suite(16, "sha256", False)),
    **dict.fromkeys((0x009D, 0x009F, 0x00A3, 0xC02C, 0xC02E, 0xC030, 0xC032), Suite(32, "sha384", False)),
    **dict.fromkeys((0xCCA8, 0xCCA9, 0xCCAA), Suite(32, "sha256", True)),
}
"""TLS 1.3 (RFC 8446 appendix B.4), AES-GCM (RFC 5288, RFC 5289), ChaCha20-Poly1305 (RFC 7905)."""


@dataclass(slots=True)
class Keylog:
    """The secrets of key logs, by label and client random; more may come while a capture is read (`add`)."""

    secrets: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    bad: int = 0
    """Lines that are not in NSS form."""
    cut: str = ""
    """Why not all secrets are here, in one sentence."""

    @classmethod
    def parse(cls, text: bytes) -> Keylog:
        """Read a key log; as `add`."""
        made = cls()
        made.add(text)
        return made

    def add(self, text: bytes) -> None:
        """Read lines of label, client random and secret in hex. Takes any bytes; never raises.

        Labels that are not needed are passed over, lines that are none are counted in `bad`.
        """
        found = self.secrets
        if len(text) > MAX_KEYLOG:
            self.cut = f"Only the first {MAX_KEYLOG >> 20} MiB of the key log were read."
        for line in text[:MAX_KEYLOG].split(b"\n"):
            words = line.split()
            if not words or words[0].startswith(b"#"):
                continue
            secret = _secret(words)
            if secret is None:
                self.bad += 1
            elif secret[0] in _LABELS:
                if len(found) >= MAX_SECRETS:
                    self.cut = f"Only the first {MAX_SECRETS} secrets of the key log were kept."
                    break
                label, random, value = secret
                found[_LABELS[label], random] = value

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one plain sentence each: what could not be used, and why."""
        said = [self.cut] if self.cut else []
        if self.bad:
            said.append(f"Lines of the key log that are not in NSS form: {self.bad}.")
        if not available():
            said.append(MISSING)
        return tuple(said)

    def secret(self, label: bytes, random: bytes) -> bytes | None:
        """Return a secret, or None."""
        return self.secrets.get((label, random))


def _secret(words: list[bytes]) -> tuple[bytes, bytes, bytes] | None:
    if len(words) != 3 or len(words[1]) != 64 or not 2 <= len(words[2]) <= 256:
        # `RSA <16 hex> <96 hex>` of old logs is in form, but of no use.
        return (words[0], b"", b"") if len(words) == 3 and words[0] == b"RSA" else None
    try:
        random, value = bytes.fromhex(words[1].decode("ascii")), bytes.fromhex(words[2].decode("ascii"))
    except ValueError:
        return None
    return None if len(value) not in _SECRET_LENGTHS.get(words[0], (len(value),)) else (words[0], random, value)


def available() -> bool:
    """Say whether the package that holds the ciphers is installed."""
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
    except ImportError:
        return False
    return True


class Opened(NamedTuple):
    """One record that was opened."""

    start: int
    """Offset of its header in the stream."""
    type: int
    """Content type inside."""
    body: bytes
    """Content; empty for application data, which is in the half."""


class Plaintext(NamedTuple):
    """What was inside a TLS connection."""

    orig: Half
    resp: Half
    alerts: tuple[TlsAlert, ...]
    """Encrypted alerts, those of an ordinary end left out."""
    chosen_alpn: str = ""
    """What the server said of these inside its encrypted handshake (TLS 1.3); empty where that could not be opened."""
    certificate_names: tuple[str, ...] = ()
    certificate_expires_ns: int | None = None
    opened: tuple[tuple[Opened, ...], tuple[Opened, ...]] = ((), ())
    """The records of the client and of the server, in order, the first `KEPT_OPENED` of each."""


def decrypt(orig: Half, resp: Half, keys: Keylog, *, start: int = 0) -> Plaintext | None:
    """Decrypt both halves of a TLS connection whose client's first record is at `start`.

    Returns None where no record could be opened: no fitting secret, an unknown suite, no `cryptography`. Never raises.
    """
    client, server = read_hellos(orig, resp, start=start)
    if client is None or server is None or server.cipher not in _SUITES or not available():
        return None
    random, suite = client.random, _SUITES[server.cipher]
    if server.version == TLS13:
        ours = [keys.secret(label, random) for label in (CLIENT_HANDSHAKE, CLIENT_TRAFFIC)]
        theirs = [keys.secret(label, random) for label in (SERVER_HANDSHAKE, SERVER_TRAFFIC)]
        up, down = _Opener13(suite, *ours), _Opener13(suite, *theirs)
        sides = _read(orig, start, up, by_client=True), _read(resp, 0, down, by_client=False)
    elif server.version == TLS12:
        master = keys.secret(CLIENT_RANDOM, random)
        if master is None:
            return None
        key_up, key_down, iv_up, iv_down = _key_block(suite, master, client, server)
        first, second = _Opener12(suite, key_up, iv_up), _Opener12(suite, key_down, iv_down)
        sides = _read(orig, start, first, by_client=True), _read(resp, 0, second, by_client=False)
    else:
        return None
    if not any(side.opened for side in sides):
        return None
    alerts = sorted(sides[0].alerts + sides[1].alerts, key=lambda alert: alert.mark)
    opened = tuple(sides[0].records), tuple(sides[1].records)
    plain = Plaintext(sides[0].half(orig), sides[1].half(resp), tuple(alerts[:KEPT_ALERTS]), opened=opened)
    if server.version != TLS13:
        return plain
    names, expires = read_certificate(first_certificate(down.messages.get(CERTIFICATE, b""), TLS13))
    return plain._replace(
        chosen_alpn=encrypted_alpn(down.messages.get(ENCRYPTED_EXTENSIONS, b"")),
        certificate_names=names,
        certificate_expires_ns=expires,
    )


def has_secret(orig: Half, resp: Half, keys: Keylog, *, start: int = 0) -> bool:
    """Say whether a key log has any secret of a connection, whether or not it opens it. Never raises."""
    client, _ = read_hellos(orig, resp, start=start)
    return client is not None and any(keys.secret(label, client.random) is not None for label in _LABELS)


class _Plain:
    """One direction's application data, while it is read."""

    __slots__ = ("alerts", "arrivals", "broken", "closed", "data", "opened", "records")

    def __init__(self) -> None:
        self.data = bytearray()
        self.arrivals: list[Arrival] = []
        self.alerts: list[TlsAlert] = []
        self.opened = 0
        """Records that were opened."""
        self.records: list[Opened] = []
        self.closed: Mark | None = None
        """close_notify."""
        self.broken = False
        """A record could not be opened."""

    def half(self, half: Half) -> Half:
        """Return the plaintext in the place of the ciphertext."""
        length = len(self.data)
        # A close_notify ends the data, whatever comes after it or was lost there.
        whole = self.closed is not None or not (self.broken or half.gap is not None or half.length > len(half.data))
        return replace(
            half,
            data=bytes(self.data),
            arrivals=tuple(self.arrivals),
            length=length if whole else length + 1,
            gap=None if whole else length,
            fin=(self.closed or half.fin) if whole else None,
            rst=half.rst if whole else None,
        )


def _read(half: Half, start: int, opener: _Opener, *, by_client: bool) -> _Plain:
    """Open the records of one half."""
    plain = _Plain()
    skipped = 0
    at = start
    for record in records(half.data, start):
        if not record.whole:
            return plain
        at = record.end
        if record.type == CHANGE_CIPHER_SPEC:
            opener.change()
            continue
        if not opener.covers(record):
            continue
        inner = opener.open(record)
        if inner is None:
            skipped += 1
            if plain.opened or skipped > MAX_SKIPPED:
                plain.broken = True
                return plain
            continue
        plain.opened += 1
        kind, body = inner
        if len(plain.records) < KEPT_OPENED:
            plain.records.append(Opened(record.start, kind, b"" if kind == APPLICATION_DATA else body))
        mark = half.reached(record.end)
        if mark is None:
            continue
        if kind == APPLICATION_DATA and body:
            plain.data += body
            plain.arrivals.append(Arrival(len(plain.data), mark))
        elif kind == ALERT and len(body) == 2:
            if body[1] == 0:
                plain.closed = mark
                return plain
            if body[1] not in _QUIET_ALERTS and len(plain.alerts) < KEPT_ALERTS:
                plain.alerts.append(TlsAlert(mark, by_client, body[0], body[1]))
    plain.broken = (skipped > 0 and not plain.opened) or len(half.data) - at >= 5
    return plain


# Record protection


class _Aead:
    """One key in one direction: its cipher, its nonce base and its record number."""

    __slots__ = ("cipher", "iv", "number")

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

        self.cipher: AESGCM | ChaCha20Poly1305 = ChaCha20Poly1305(key) if suite.chacha else AESGCM(key)
        self.iv = iv
        self.number = 0

    def nonce(self) -> bytes:
        """Return iv XOR record number (RFC 8446 section 5.3)."""
        return (int.from_bytes(self.iv) ^ self.number).to_bytes(len(self.iv))

    def open(self, nonce: bytes, data: bytes, aad: bytes) -> bytes | None:
        """Decrypt and verify; None where it does not fit. The record number moves only where it does."""
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = self.cipher.decrypt(nonce, data, aad)
        except (InvalidTag, ValueError):
            return None
        self.number += 1
        return plain


class _Opener:
    """Opens the records of one direction."""

    def change(self) -> None:
        """Take note of a ChangeCipherSpec."""

    def covers(self, record: Record) -> bool:
        """Say whether this record is encrypted."""
        raise NotImplementedError

    def open(self, record: Record) -> tuple[int, bytes] | None:
        """Return content type and content; None where the keys do not fit."""
        raise NotImplementedError


class _Opener12(_Opener):
    """TLS 1.2 (RFC 5246 section 6.2.3.3, RFC 5288 section 3, RFC 7905 section 2)."""

    __slots__ = ("aead", "begun", "chacha")

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self.aead = _Aead(suite, key, iv)
        self.chacha = suite.chacha
        self.begun = False

    def change(self) -> None:
        self.begun = True

    def covers(self, record: Record) -> bool:
        return self.begun and record.type in (ALERT, HANDSHAKE, APPLICATION_DATA)

    def open(self, record: Record) -> tuple[int, bytes] | None:
        explicit = 0 if self.chacha else 8
        size = record.length - explicit - 16
        if size < 0:
            return None
        nonce = self.aead.nonce() if self.chacha else self.aead.iv + record.body[:8]
        aad = self.aead.number.to_bytes(8) + bytes((record.type,)) + record.version.to_bytes(2) + size.to_bytes(2)
        body = self.aead.open(nonce, record.body[explicit:], aad)
        return None if body is None else (record.type, body)


class _Opener13(_Opener):
    """TLS 1.3 (RFC 8446 sections 5.2, 5.3 and 7.2)."""

    __slots__ = ("aead", "joined", "messages", "next", "secret", "suite", "updates")

    def __init__(self, suite: Suite, handshake: bytes | None, traffic: bytes | None) -> None:
        self.suite = suite
        self.next = traffic if handshake is not None else None
        self.secret = handshake if handshake is not None else traffic
        self.aead = self._key(self.secret)
        self.joined = bytearray()
        self.messages: dict[int, bytes] = {}
        """The first of each handshake message that is read later."""
        self.updates = 0

    def covers(self, record: Record) -> bool:
        return record.type == APPLICATION_DATA

    def open(self, record: Record) -> tuple[int, bytes] | None:
        if self.aead is None:
            return None
        aad = bytes((record.type,)) + record.version.to_bytes(2) + record.length.to_bytes(2)
        inner = self.aead.open(self.aead.nonce(), record.body, aad)
        if inner is None:
            return None
        inner = inner.rstrip(b"\0")
        if not inner:
            return None
        if inner[-1] == HANDSHAKE:
            self._follow(inner[:-1])
        return inner[-1], inner[:-1]

    def _follow(self, body: bytes) -> None:
        """Change keys where a handshake message says so."""
        self.joined += body[: MAX_JOINED - len(self.joined)]
        while len(self.joined) >= 4:
            end = 4 + int.from_bytes(self.joined[1:4])
            if end > len(self.joined):
                return
            kind = self.joined[0]
            if kind in (ENCRYPTED_EXTENSIONS, CERTIFICATE):
                self.messages.setdefault(kind, bytes(self.joined[4:end]))
            del self.joined[:end]
            if kind == _FINISHED and self.next is not None:
                self.secret, self.next = self.next, None
                self.aead = self._key(self.secret)
            elif kind == _FINISHED:
                self.aead = None  # the handshake's keys end here, and the log does not have the next
            elif kind == _KEY_UPDATE and self.secret is not None:
                self.updates += 1
                length = hashlib.new(self.suite.hash).digest_size
                self.secret = _expand_label(self.suite.hash, self.secret, b"traffic upd", length)
                self.aead = self._key(self.secret) if self.updates <= MAX_UPDATES else None

    def _key(self, secret: bytes | None) -> _Aead | None:
        if secret is None:
            return None
        key = _expand_label(self.suite.hash, secret, b"key", self.suite.key)
        return _Aead(self.suite, key, _expand_label(self.suite.hash, secret, b"iv", 12))


# Key derivation


def _expand_label(name: str, secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    full = b"tls13 " + label
    info = length.to_bytes(2) + bytes((len(full),)) + full + b"\0"
    kinds: dict[str, Callable[[], hashes.HashAlgorithm]] = {"sha256": hashes.SHA256, "sha384": hashes.SHA384}
    return HKDFExpand(kinds[name](), length, info).derive(secret)


def _key_block(
    suite: Suite, master: bytes, client: ClientHello, server: ServerHello
) -> tuple[bytes, bytes, bytes, bytes]:
    """Client key, server key, client IV, server IV (RFC 5246 sections 5 and 6.3)."""
    iv = 12 if suite.chacha else 4
    seed = b"key expansion" + server.random + client.random
    block, step = b"", seed
    while len(block) < 2 * (suite.key + iv):
        step = hmac.digest(master, step, suite.hash)
        block += hmac.digest(master, step + seed, suite.hash)
    key = suite.key
    return block[:key], block[key : 2 * key], block[2 * key : 2 * key + iv], block[2 * key + iv : 2 * (key + iv)]
