"""What is told of TLS beside an attempt's verdict: facts for each connection, an expired certificate, what the key log opened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from probewatch.model.exchange import Exchange
from probewatch.model.timeline import Attempt, TlsSummary
from probewatch.model.units import DAY, SECOND

_QUIET: Final = ("close_notify", "user_canceled")
"""Alerts of an ordinary end (RFC 8446 section 6.1)."""


def tls_summary(exchange: Exchange) -> TlsSummary | None:
    """Return the TLS facts of a connection, or None where it spoke no TLS."""
    facts = exchange.tls
    if facts is None:
        return None
    alert = next((each for each in facts.alerts if each.name not in _QUIET), None)
    return TlsSummary(
        version=facts.version,
        offered=facts.offered_version,
        sni=facts.sni,
        alpn=facts.chosen_alpn,
        alpn_offered=facts.alpn,
        names=facts.certificate_names,
        not_after_ns=facts.certificate_expires_ns,
        alert=alert.name if alert is not None else "",
        alert_by_checker=alert.by_client if alert is not None else None,
        decrypted=exchange.decrypted,
    )


def expired(attempts: Iterable[Attempt], *, kubelet: bool) -> list[str]:
    """Return a note where the server showed a certificate that had expired by then.

    It fails no probe of the kubelet, which verifies none (pkg/probe/http/http.go: InsecureSkipVerify).
    """
    for attempt in attempts:
        for leg in attempt.legs:
            tls = leg.tls
            if tls is None or tls.not_after_ns is None or tls.not_after_ns >= attempt.start.ns:
                continue
            days = (attempt.start.ns - tls.not_after_ns) // DAY
            day = datetime.fromtimestamp(tls.not_after_ns // SECOND, UTC).date().isoformat()
            ago = "less than a day" if days == 0 else f"{days} day{'s' if days > 1 else ''}"
            who = (
                "the kubelet verifies no certificate, so this fails no probe, but clients may refuse it"
                if kubelet
                else "packets do not show whether this checker cares"
            )
            name = f" of {tls.names[0]}" if tls.names else ""
            return [f"the server's certificate{name} expired on {day}, {ago} before attempt #{attempt.n}: {who}"]
    return []


@dataclass(slots=True)
class Sessions:
    """TLS sessions that were read with a key log at hand."""

    seen: int = 0
    """Those whose server answered the ClientHello."""
    opened: int = 0
    keyed: int = 0
    """Those that stayed closed although the key log has a secret of theirs."""

    def note(self, exchange: Exchange) -> None:
        """Count a connection."""
        if exchange.tls is not None and exchange.tls.server_hello is not None:
            self.seen += 1
            self.opened += exchange.decrypted
            self.keyed += exchange.keyed and not exchange.decrypted

    def said(self, log: str, secrets: int) -> list[str]:
        """Return a sentence or two on what a key log did not open; `secrets`: how many it holds."""
        sessions = f"{self.seen} TLS session{'s' if self.seen != 1 else ''}"
        if not secrets:
            return [f"{log} holds no TLS secret that can be used: TLS stays encrypted"]
        if not self.seen:
            return [f"{log} opens nothing: there is no TLS session in what was read"]
        out = []
        if not self.opened and not self.keyed:
            one = "does not fit the one TLS session" if self.seen == 1 else f"fits none of the {sessions}"
            out.append(f"{log} {one}: it belongs to others, and nothing was decrypted")
        elif self.opened + self.keyed < self.seen:
            out.append(f"{log} fits {self.opened + self.keyed} of {sessions}; the others stay encrypted")
        if self.keyed:
            out.append(
                f"{self.keyed} TLS session{'s' if self.keyed > 1 else ''} stayed encrypted although {log} has a secret "
                "of theirs: it is wrong, or the cipher suite is none of AES-GCM and ChaCha20-Poly1305"
            )
        return out
