"""Who may ask like that where no row of `signatures` names anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.exchange import Exchange

from .checkers import ENOUGH
from .learnt import MOSTLY
from .replies import DNS
from .shapes import Shape, What
from .signatures import GO_CLIENT, GO_CLIENTS, KUBE_PROBE, NAMES, NOT_CHECKS, SIGNATURES, named_agent

PERL_CLIENT: Final = "libwww-perl/"
"""Perl's HTTP client: ldirectord 4.12.0 asks by it, and so may any script."""
COULD_BE: Final[dict[What, tuple[str, ...]]] = {
    What.CLOSE: (
        "kubelet",
        "keepalived",
        "monit",
        "apache",
        "blackbox_exporter",
        "envoy",
        "consul",
        "traefik",
        "aws_elb",
        "google",
        "azure",
    ),
    What.RESET: ("haproxy", "aws_elb"),
    What.HTTP: ("kubelet", "varnish", "consul", "traefik", "nginx", "google", "azure"),
    What.TLS: ("kubelet", "haproxy", "envoy", "monit", "blackbox_exporter", "consul", "traefik", "caddy"),
    What.GRPC: ("kubelet", "consul", "envoy", "traefik"),
    What.BYTES: (),
}
"""Which checkers may ask like that, where nothing names one.

Nomad's TCP check is not among them: it leaves its connection open until Go's garbage collection closes it (client.go checkTCP).
"""


def could_be(shape: Shape, *, kubelet: bool, keeps: bool | None = None) -> tuple[str, ...]:
    """Return who may ask like this where no row names anybody; a program that says who it is could be nobody else.

    `keeps` says whether it reads an answer's body and keeps the connection, None where that is not known: Caddy does,
    Traefik and Linkerd hang up.
    """
    if shape.agent.startswith(NOT_CHECKS):
        return ()
    if shape.agent.startswith(KUBE_PROBE):
        return ("kubelet",) if kubelet else ()
    if (row := named_agent(shape.agent)) is not None:
        return (row.kind,)
    if shape.agent.startswith(GO_CLIENT):
        return ("traefik", "caddy", "linkerd") if keeps is None else ("caddy",) if keeps else ("traefik", "linkerd")
    if shape.agent.startswith(PERL_CLIENT):
        return ("ldirectord",)
    if shape.agent.startswith(GO_CLIENTS):
        return ("consul", "traefik", "blackbox_exporter")
    if shape.what is What.GRPC and shape.agent:
        return ()  # another language's client: those known are written in Go, or say who they are
    if shape.opening.startswith(DNS):
        return ("dnsdist", "monit", "blackbox_exporter")
    unread = _unread(shape) if shape.cut and not shape.agent else ()
    kinds = dict.fromkeys((*COULD_BE[shape.what], *unread))
    return tuple(kind for kind in kinds if kubelet or kind != "kubelet")


def _unread(shape: Shape) -> tuple[str, ...]:
    """Return whom the rest of a request may name that the capture cut: their rows agree with what is left."""
    return tuple(
        row.kind
        for row in SIGNATURES
        if row.confidence >= NAMES
        and (row.agent or row.names)
        and shape.what in row.what
        and row.version in ("", shape.version)
        and (not row.methods or shape.method in row.methods)
        and shape.target.startswith(row.target)
        and (row.names is None or row.names[: len(shape.names)] == shape.names)
    )


def keeps_connection(exchanges: Sequence[Exchange]) -> bool | None:
    """Tell whether a checker keeps its connection behind an answer with a body; None where nothing shows it."""
    told = [e for e in exchanges if e.http and e.http[0].body_bytes and e.http[0].body_end is not None]
    if any(exchange.connection.question > 1 for exchange in told):
        return True
    free = [
        e
        for e in told
        if not any(name.lower() == "connection" for name, _ in (*e.http[0].headers, *e.http[0].answer_headers))
    ]
    hung_up = [
        e
        for e in free
        if (closed := e.connection.orig.closed) and (gone := e.connection.resp.closed or closed) and closed <= gone
    ]
    return False if len(hung_up) >= ENOUGH and len(hung_up) >= MOSTLY * len(free) else None
