"""What Go does to a probe's path and header names before they reach the wire; pure functions.

The kubelet (pkg/probe/http/request.go formatURL) parses `httpGet.path` as a URL *reference* with net/url, puts its own
scheme and host over the result, prints it, and net/http sends `URL.RequestURI()`. A reference that does not parse is
taken as a literal path. So `?query` is sent as a query, a fragment is dropped, `http://other/x` and `//other/x` become
`/x`, and what may not stand in a path is percent-encoded, while escapes that were written stay as written. Header names
go through textproto.CanonicalMIMEHeaderKey (kubelet 1.26.7/1.27.7/1.28 and later, k8s#117182; before, as typed).

Limitations: a rootless reference with a scheme (`a:b`) makes Go refuse the request, so no packet ever shows it; it is
returned as written. Zone identifiers in the host of an absolute reference are not checked as Go does.
"""

from __future__ import annotations

import re
from typing import Final

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_AUTHORITY: Final = re.compile(
    r"""(?:(?:[A-Za-z0-9\-._:~!$&'()*+,;=@]|%[0-9A-Fa-f]{2})*@)?   # validUserinfo
        (?:\[[^\]%]*(?:%25[^\]]*)?\]                               # an IPv6 literal, perhaps with a zone
          |(?:[A-Za-z0-9\-._~!$&'()*+,;=<>"]|[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f])*)
        (?::[0-9]*)?$""",
    re.VERBOSE,
)
_UNRESERVED: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")
_PATH_LITERAL: Final = _UNRESERVED | frozenset(b"$&+,/:;=@")
"""Bytes that net/url's escape leaves alone in a path (shouldEscape, mode encodePath)."""
_PATH_WRITTEN: Final = _PATH_LITERAL | frozenset(b"!'()*[]%")
"""Bytes that a path may hold as written (validEncoded)."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def request_target(path: str) -> str:
    """Return the request target (path and query) that Go sends for `httpGet.path`; `""` becomes `/`.

    >>> request_target("/a b?x=1#frag"), request_target("healthz"), request_target("/%zz")
    ('/a%20b?x=1', '/healthz', '/%25zz')
    """
    parts = _parse_reference(path)
    if parts is None:
        return _rooted(_escape(path))
    target, query = parts
    if target is None:
        return path
    encoded = target.encode("utf-8", "surrogatepass")
    if not all(byte in _PATH_WRITTEN for byte in encoded):
        target = _escape_bytes(_unescape(encoded))
    return _rooted(target) + ("" if query is None else f"?{query}")


def canonical_header(name: str) -> str:
    """Return a header name as textproto.CanonicalMIMEHeaderKey writes it: `x-foo` is `X-Foo`; no token, no change."""
    if not _TOKEN.fullmatch(name):
        return name
    # The first letter and each letter after a hyphen go up, all others down; only ASCII can be left here.
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def _parse_reference(text: str) -> tuple[str | None, str | None] | None:
    """Split as url.Parse does: (path as written or None for an opaque URL, query or None); None where url.Parse fails."""
    rest, _, fragment = text.partition("#")
    if _CONTROL.search(rest) or _BAD_ESCAPE.search(fragment):
        return None
    if rest == "*":
        return "*", None
    scheme = _SCHEME.match(rest)
    if scheme:
        rest = rest[scheme.end() :]
    elif rest.startswith(":"):
        return None
    path, mark, query = rest.partition("?")
    if not path.startswith("/"):
        if scheme:
            return (None if path else ""), query if mark else None
        if ":" in path.partition("/")[0]:
            return None
    if path.startswith("//") and (scheme or not path.startswith("///")):
        authority, slash, path = path[2:].partition("/")
        if not _AUTHORITY.match(authority):
            return None
        path = slash + path
    if _BAD_ESCAPE.search(path):
        return None
    return path, query if mark else None


def _rooted(path: str) -> str:
    return path if path.startswith("/") else "/" + path


def _unescape(path: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode("ascii")), path)


def _escape(path: str) -> str:
    return _escape_bytes(path.encode("utf-8", "surrogatepass"))


def _escape_bytes(path: bytes) -> str:
    return "".join(chr(byte) if byte in _PATH_LITERAL else f"%{byte:02X}" for byte in path)
