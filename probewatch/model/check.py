"""What a checker that is not the kubelet was told to do: one line of its configuration, or one `--check`.

Pure values, made by `cluster` and tied to what is on the wire by `observer.declared`. Times are nanoseconds. A number
that is None was not written; the program's own default holds then, and the output says `default`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

BY_HAND: Final = "--check"
"""Source of what was declared on the command line."""


class Asks(StrEnum):
    """What a check sends, as its configuration tells it."""

    CONNECT = "connect"
    """Nothing: the connection is all."""
    TLS = "tls"
    """A handshake, and nothing readable inside."""
    HTTP = "http"
    OTHER = "other"
    """Something in a protocol of its own: redis-check, tcp-check send, a PROXY line ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One declared check."""

    kind: str
    """`checker.kind` of the program it configures."""
    source: str
    """Where it stands, for people: `haproxy.cfg:17`, or BY_HAND."""
    name: str = ""
    """Backend and server, `be/s1`; empty where nothing names it."""
    address: str | None = None
    """Target in inet_ntop's form; None: any."""
    port: int | None = None
    """None: any."""
    asks: Asks | None = None
    """None: anything."""
    method: str = ""
    path: str = ""
    """Request target; empty: any."""
    passes: tuple[tuple[int, int], ...] = ()
    """Status codes taken for success, ranges, inclusive; empty: the program's own choice."""
    rise: int | None = None
    """Passes until UP; for a window, how many of it must pass."""
    fall: int | None = None
    """Failures until DOWN."""
    window: int | None = None
    """Length of a sliding window."""
    begins: int | None = None
    """Health at the program's start: HAProxy's counter (`init-state`), or the passes a Varnish takes for granted."""
    interval_ns: int | None = None
    fast_ns: int | None = None
    """Interval while its state is in doubt: HAProxy's fastinter, keepalived's delay_before_retry."""
    down_ns: int | None = None
    """Interval while DOWN: HAProxy's downinter."""
    timeout_ns: int | None = None
    dial_ns: int | None = None
    """How long it waits for an answer to its SYN, where that is told apart."""
    declared: dict[str, Any] = field(default_factory=dict, compare=False)
    """As it was written, in the program's own words; times in seconds, their names ending in `_s`."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: what of this configuration packets cannot show."""

    @property
    def numbers(self) -> tuple[int | None, ...]:
        """Return all that decides about UP and DOWN: two specs with equal numbers say the same."""
        return (self.rise, self.fall, self.window, self.begins, self.interval_ns, self.fast_ns, self.down_ns)
