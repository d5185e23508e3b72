"""Units of time: all times and durations inside are whole nanoseconds; and how a duration is written where no `report` writes it."""

from __future__ import annotations

from typing import Final

US: Final = 1_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def off_by(ns: int, period: int) -> int:
    """Return how far a time is from the nearest multiple of a period, negative before it."""
    return (ns + period // 2) % period - period // 2


def decimal(ns: int, places: int = 9) -> str:
    """Return seconds with as many decimals as it takes, up to so many `places`: `2`, `2.35`, `-0.0013`; with 9 exactly."""
    whole, rest = divmod(round(abs(ns), places - 9), SECOND)
    return f"{'-' if ns < 0 else ''}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def briefly(ns: int) -> str:
    """Return a duration within a sentence: `2.50 s`, `42 ms`, `1.2 ms`."""
    if ns >= SECOND:
        return f"{ns / SECOND:.2f} s"
    return f"{ns / MS:.0f} ms" if ns >= 10 * MS else f"{ns / MS:.1f} ms"
