"""What is kept of a connection once it was read."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from probewatch.model.connection import Connection, Half
from probewatch.model.exchange import Exchange

KEPT_ARRIVALS: Final = 16
"""Moments at which a stream grew that are kept once it has been read."""
OWN_ARRIVALS: Final = 256
"""The same of a protocol that is not read, where they are all that shows how often was asked (`probes.rounds`)."""
STATUS_BYTES: Final = 13
"""Bytes of a server's stream that are kept once it has been read: `HTTP/1.1 200` and the blank after it."""
OWN_BYTES: Final = 512
"""The same of a protocol that is not read: a greeting, and what follows a login (`probes.replies`)."""
SMALL: Final = 4_096
"""Bytes of a server's stream beyond which nobody asked for a sign of life."""


def slim_exchange(exchange: Exchange) -> Exchange:
    """Return an exchange whose connection is slim."""
    read = exchange.http or exchange.tls is not None or exchange.grpc is not None
    own = not read and exchange.connection.resp.length <= SMALL
    return Exchange(
        connection=slim(exchange.connection, *((OWN_BYTES, OWN_ARRIVALS) if own else ())),
        http=exchange.http,
        requests=exchange.requests,
        tls=exchange.tls,
        grpc=exchange.grpc,
        calls=exchange.calls,
        opening=exchange.opening,
        banner=exchange.banner,
        keyed=exchange.keyed,
        decrypted=exchange.decrypted,
        page=exchange.page,
    )


def in_short(exchange: Exchange) -> Exchange:
    """Return an exchange of several requests, none of which is a check, with the first of them only; the others are counted."""
    return replace(exchange, http=exchange.http[:1]) if len(exchange.http) > 1 else exchange


def slim(connection: Connection, kept: int = STATUS_BYTES, arrivals: int = KEPT_ARRIVALS) -> Connection:
    """Return a connection without its bytes: what was said on it has been read; only the first of a server's may yet be wanted."""
    one = connection
    # (Made whole and not by `replace`, which costs three times as much: this is done for each connection there is.)
    return Connection(
        id=one.id,
        rev=one.rev,
        final=one.final,
        client=one.client,
        client_port=one.client_port,
        server=one.server,
        server_port=one.server_port,
        start=one.start,
        end=one.end,
        state=one.state,
        history=one.history,
        orig=_without_bytes(one.orig, 0, arrivals),
        resp=_without_bytes(one.resp, kept, arrivals),
        bare_ack=one.bare_ack,
        midstream=one.midstream,
        flipped=one.flipped,
        icmp=one.icmp,
        neighbour=one.neighbour,
        held_ns=one.held_ns,
        frames=one.frames,
        sightings=one.sightings,
        tunnel=one.tunnel,
        outer_source=one.outer_source,
        piece_of=one.piece_of,
        question=one.question,
        answered=one.answered,
        read_until=one.read_until,
    )


def _without_bytes(half: Half, kept: int, arrivals: int) -> Half:
    if len(half.data) <= kept and len(half.arrivals) <= arrivals:
        return half
    return Half(
        packets=half.packets,
        retransmits=half.retransmits,
        data=half.data[:kept],
        length=half.length,
        acked=half.acked,
        arrivals=half.arrivals[:arrivals],
        gap=half.gap,
        shortened=half.shortened,
        syns=half.syns,
        first_ack=half.first_ack,
        fin=half.fin,
        fin_acked=half.fin_acked,
        rst=half.rst,
        rst_acks=half.rst_acks,
        last=half.last,
        used=half.used,
        ttl=half.ttl,
        mss=half.mss,
        mac=half.mac,
        to_mac=half.to_mac,
        packet_type=half.packet_type,
    )
