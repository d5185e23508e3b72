"""What the page of an error says of the server that wrote it: some servers give a reason that their status does not.

Only whole sentences that one program is known to write are looked for, within the first `LOOKED_AT` bytes of the answer.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.exchange import ErrorPage, HttpExchange

LOOKED_AT: Final = 2_048
_PAGES: Final = {
    400: (
        (b"The plain HTTP request was sent to HTTPS port", ErrorPage.WANTS_TLS),  # nginx
        (b"speaking plain HTTP to an SSL-enabled server port", ErrorPage.WANTS_TLS),  # Apache httpd
        (b"This combination of host and port requires TLS", ErrorPage.WANTS_TLS),  # Tomcat
        (b"Client sent an HTTP request to an HTTPS server", ErrorPage.WANTS_TLS),  # Go
    ),
    503: (
        (b"No server is available to handle this request", ErrorPage.NO_BACKEND),  # HAProxy
        (b"no healthy upstream", ErrorPage.NO_BACKEND),  # Envoy, as the next one
        (b"upstream connect error or disconnect/reset before headers", ErrorPage.NO_BACKEND),
    ),
}


def error_page(http: tuple[HttpExchange, ...], data: bytes) -> ErrorPage | None:
    """Return what the first answer's page says, where that is known; `data` is what the server sent."""
    pages = _PAGES.get(http[0].status or 0) if http else None
    if pages is None:
        return None
    said = data[:LOOKED_AT]
    return next((page for words, page in pages if words in said), None)
