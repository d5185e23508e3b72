"""From a connection snapshot to what was said on it.

The client's first bytes decide, and nothing else: a TLS record, the HTTP/2 preface, an HTTP/1 request line, or none
of them (`opening`). A PROXY header (haproxy's proxy-protocol.txt, versions 1 and 2) is passed over, and stays visible
as `opening`.

A connection caught in mid-stream is read only where its bytes begin at a border that shows itself: a ClientHello or an
HTTP/2 preface, which open a connection and nothing else, or an HTTP/1 request line. Answers to the latter are read only
where the server's first bytes are an answer that came after that request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from probewatch.model.connection import Connection, Half
from probewatch.model.exchange import Exchange
from probewatch.wire.errorpage import error_page
from probewatch.wire.http1 import KEPT_EXCHANGES, TLS_ANSWER, begins_request, is_cut, read_http1, read_lone_answer
from probewatch.wire.tls import KEPT_ALERTS, begins_tls, read_alert_answer, read_tls

if TYPE_CHECKING:
    from probewatch.wire.decrypt import Keylog

OPENING: Final = 64
"""Bytes kept of an opening or a banner."""
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""As in `http2`, which is imported only where it is needed."""
_PROXY2: Final = b"\r\n\r\n\x00\r\nQUIT\n"


def read_exchange(connection: Connection, keys: Keylog | None = None, *, most: int = KEPT_EXCHANGES) -> Exchange:
    """Read what was said on a connection, as far as the snapshot goes. Takes any bytes; never raises.

    With `keys`, TLS is decrypted where they fit (`Exchange.decrypted` says so); keys that do not fit change nothing.
    `most` is how many requests are read, of which more are only counted.
    """
    orig, resp = connection.orig, connection.resp
    start = proxy_header(orig.data)
    if connection.midstream and not (orig.data.startswith(PREFACE) or _is_client_hello(orig.data)):
        return _read_midstream(Exchange(connection=connection), most)
    opening = orig.data[:OPENING] if start else b""
    banner = _banner(orig, resp)
    if not start and begins_request(orig.data):
        # (As below, at less cost: nearly all connections that are read are these.)
        http, count = read_http1(orig, resp, most=most)
        if not (http and http[0].malformed == TLS_ANSWER):
            page = error_page(http, resp.data)
            return Exchange(connection=connection, http=http, requests=count, banner=banner, page=page)
    exchange = Exchange(connection=connection, banner=banner, opening=opening)
    if begins_tls(orig.data[start : start + 2]):
        exchange = replace(exchange, tls=read_tls(orig, resp, start=start))
        return exchange if keys is None else _decrypt(exchange, keys, start, most)
    if orig.data.startswith(PREFACE, start) or begins_request(orig.data[start:]):
        return read_clear(exchange, orig, resp, start, most=most)
    if not orig.data and (orig.packets == 0 or is_cut(orig)) and resp.data.startswith(b"HTTP/"):
        return replace(exchange, http=(read_lone_answer(resp),))  # the request was not captured
    return replace(exchange, opening=orig.data[:OPENING])


def _is_client_hello(data: bytes) -> bool:
    """Say whether the bytes begin with a ClientHello's record, which stands in clear only where a connection begins."""
    return begins_tls(data) and data[5:6] == b"\x01"


def read_clear(exchange: Exchange, orig: Half, resp: Half, start: int = 0, *, most: int = KEPT_EXCHANGES) -> Exchange:
    """Fill in what two halves say in clear (or as plaintext) from `start` on: HTTP/2 or HTTP/1."""
    if orig.data.startswith(PREFACE, start):
        from probewatch.wire.grpc import read_grpc
        from probewatch.wire.http2 import KEPT_STREAMS, exchanges, read_http2

        talk = read_http2(orig, resp, start=start, most=max(most, KEPT_STREAMS))
        tls = exchange.tls or read_alert_answer(resp)
        http, grpc = exchanges(talk, most), read_grpc(talk)
        exchange = replace(exchange, http=http, requests=talk.requests, grpc=grpc, tls=tls)
        if most == KEPT_EXCHANGES or http:
            return exchange
        return replace(exchange, calls=tuple(read_grpc(talk, number) for number in range(len(talk.streams))))
    http, count = read_http1(orig, resp, start=start, most=most)
    tls = exchange.tls
    if tls is None and http and http[0].malformed == TLS_ANSWER:
        tls = read_alert_answer(resp)
    return replace(exchange, http=http, requests=count, tls=tls, page=error_page(http, resp.data))


def _read_midstream(exchange: Exchange, most: int) -> Exchange:
    """Read a connection whose beginning was not seen, where its bytes leave no doubt."""
    orig, resp = exchange.connection.orig, exchange.connection.resp
    if not begins_request(orig.data) or b"\n" not in orig.data:
        return exchange
    asked, told = orig.first_data, resp.first_data
    in_step = told is None or (asked is not None and asked <= told and resp.data.startswith(b"HTTP/"))
    http, count = read_http1(orig, resp, answered=in_step, most=most)
    return replace(exchange, http=http, requests=count)


def _decrypt(exchange: Exchange, keys: Keylog, start: int, most: int) -> Exchange:
    from probewatch.wire.decrypt import decrypt, has_secret

    inside = decrypt(exchange.connection.orig, exchange.connection.resp, keys, start=start)
    if inside is None:
        return replace(
            exchange, keyed=has_secret(exchange.connection.orig, exchange.connection.resp, keys, start=start)
        )
    if exchange.tls is not None:
        facts = exchange.tls
        facts = replace(
            facts,
            alerts=(facts.alerts + inside.alerts)[:KEPT_ALERTS],
            chosen_alpn=facts.chosen_alpn or inside.chosen_alpn,
            certificate_names=facts.certificate_names or inside.certificate_names,
            certificate_expires_ns=facts.certificate_expires_ns
            if inside.certificate_expires_ns is None
            else inside.certificate_expires_ns,
            closed=inside.resp.fin,
        )
        exchange = replace(exchange, tls=facts)
    data = inside.orig.data
    if data.startswith(PREFACE) or begins_request(data):
        exchange = read_clear(exchange, inside.orig, inside.resp, most=most)
    return replace(exchange, keyed=True, decrypted=True)


def _banner(orig: Half, resp: Half) -> bytes:
    """Return what the server said before the client said anything."""
    told = resp.first_data
    asked = orig.first_data
    if told is None or (asked is None and (orig.packets == 0 or is_cut(orig))):
        return b""
    if asked is None:
        return resp.data[:OPENING]
    if told >= asked:
        return b""
    before = 0
    for arrival in resp.arrivals:
        if arrival.mark >= asked:
            break
        before = arrival.length
    return resp.data[: min(before, OPENING)]


def begins_proxy(data: bytes) -> bool:
    """Tell whether these first bytes are those of a PROXY header, whole or not."""
    return data.startswith((b"PROXY ", _PROXY2))


def proxy_header(data: bytes) -> int:
    """Return the length of a whole PROXY header at the beginning of a stream, 0 where there is none."""
    if data.startswith(b"PROXY "):
        end = data.find(b"\r\n", 0, 108)
        return end + 2 if end >= 0 else 0
    if data.startswith(_PROXY2) and len(data) >= 16 and data[12] >> 4 == 2:
        end = 16 + int.from_bytes(data[14:16])
        return end if end <= len(data) else 0
    return 0
