"""Which proxy passes requests on to a target, by the headers that it adds: so that its checks of it have a name, too.

Traefik and Caddy check by Go's plain client, which says nothing of them; but what they pass on for others says it. And what HAProxy
passes on for a client that asks in even steps is no check: whoever asks so, asks HAProxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from probewatch.model.exchange import Exchange, HttpExchange

from .runs import Run

FORWARDED: Final = frozenset({"x-forwarded-for", "forwarded", "via", "x-real-ip", "x-request-id"})
"""Header names of requests that a proxy passes on for somebody."""


def _caddy(http: HttpExchange) -> bool:
    return "Caddy" in (http.header("Via") or "").split()


def _traefik(http: HttpExchange) -> bool:
    return all(http.header(name) is not None for name in ("X-Forwarded-Server", "X-Forwarded-Port", "X-Real-Ip"))


ADDS: Final = {
    "caddy": (_caddy, "requests that it passes on say Via Caddy"),
    "traefik": (
        _traefik,
        "requests that it passes on carry Traefik's X-Forwarded-Server, X-Forwarded-Port and X-Real-Ip",
    ),
}
"""Kind -> (whether a request was passed on by it, what that is for people).

Sources: Caddy 2.11.7 and Traefik 3.7.15 on the wire (captures caddy-proxy and traefik-proxy); Apache adds
X-Forwarded-Server, too, but neither of the others.
"""


def proxy_of(exchanges: Iterable[Exchange]) -> str:
    """Return the one proxy that passed these on; empty where it is none of those known, or more than one."""
    found = {
        kind
        for exchange in exchanges
        for http in exchange.http
        if http.header("X-Forwarded-For") is not None
        for kind, (adds, _) in ADDS.items()
        if adds(http)
    }
    return found.pop() if len(found) == 1 else ""


def passed_on(names: Sequence[str], agent: str) -> bool:
    """Tell whether a request from a source that runs HAProxy is one that it passes on.

    It says so; or all names are in lower case (HTX), and there is a client's own User-Agent, which HAProxy's checks have only where
    they are told to.
    """
    lower = [name.lower() for name in names]
    return not FORWARDED.isdisjoint(lower) or (bool(agent) and lower == list(names))


def asks_through(run: Run) -> bool:
    """Tell whether a run of such a source is one."""
    http = run.tries[0][0].http[0] if run.tries and run.tries[0][0].http else None
    return http is not None and passed_on([name for name, _ in http.headers], http.header("User-Agent") or "")
