"""The little that is read of a server certificate: whose it is and until when (RFC 5280), by a small DER walk.

Nothing is verified: the kubelet does not verify it either. A certificate that contradicts itself gives what was read
before.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Final

from probewatch.model.units import SECOND

KEPT_NAMES: Final = 16
"""Names kept of one certificate."""
NAME_LENGTH: Final = 255
"""Bytes kept of one name."""

_SEQUENCE, _OID, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x06, 0x17, 0x18
_COMMON_NAME: Final = b"\x55\x04\x03"
_ALT_NAME: Final = b"\x55\x1d\x11"
_DNS, _ADDRESS = 0x82, 0x87

_Parts = list[tuple[int, bytes]]


def read_certificate(der: bytes) -> tuple[tuple[str, ...], int | None]:
    """Return the subject's common name and the DNS and address names, and notAfter in ns since 1970. Never raises."""
    certificate = _inside(der, _SEQUENCE)
    body = _parts(_inside(certificate, _SEQUENCE))
    if body and body[0][0] == 0xA0:  # the version
        body = body[1:]
    if len(body) < 5:
        return (), None
    validity, subject = _parts(body[3][1]), _parts(body[4][1])
    names: list[str] = []
    for _, rdn in subject:
        for _, attribute in _parts(rdn):
            pair = _parts(attribute)
            if len(pair) == 2 and pair[0] == (_OID, _COMMON_NAME):
                names.append(_name(pair[1][1]))
    for tag, block in body[5:]:
        if tag == 0xA3:
            names += _alternative_names(block)
    expires = _time(*validity[1]) if len(validity) == 2 else None
    return tuple(dict.fromkeys(names))[:KEPT_NAMES], expires


def _alternative_names(block: bytes) -> list[str]:
    names: list[str] = []
    for _, extension in _parts(_inside(block, _SEQUENCE)):
        parts = _parts(extension)
        if len(parts) < 2 or parts[0] != (_OID, _ALT_NAME):
            continue
        for tag, value in _parts(_inside(parts[-1][1], _SEQUENCE)):
            if tag == _DNS:
                names.append(_name(value))
            elif tag == _ADDRESS and len(value) in (4, 16):
                names.append(str(ipaddress.ip_address(value)))
    return names


def _name(value: bytes) -> str:
    return value[:NAME_LENGTH].decode("utf-8", "replace")


def _inside(der: bytes, tag: int) -> bytes:
    """Return the content of the first element where it has this tag, else nothing."""
    parts = _parts(der, limit=1)
    return parts[0][1] if parts and parts[0][0] == tag else b""


def _parts(der: bytes, limit: int = 256) -> _Parts:
    """Cut a row of DER elements (X.690): tag and content of each, up to the first that does not fit."""
    found: _Parts = []
    at = 0
    while at + 2 <= len(der) and len(found) < limit:
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 3:
                break
            length = int.from_bytes(der[at : at + width])
            at += width
        if at + length > len(der):
            break
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _time(tag: int, value: bytes) -> int | None:
    """Read UTCTime or GeneralizedTime in the only forms RFC 5280 section 4.1.2.5 allows: to the second, in UTC."""
    text = value[:16].decode("latin-1")
    if tag == _UTC_TIME and len(text) == 13:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        return None
    if len(text) != 15 or not text[:14].isascii() or not text[:14].isdigit() or text[14] != "Z":
        return None
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    try:
        moment = datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * SECOND
