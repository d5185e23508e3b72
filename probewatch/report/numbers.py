"""Numbers and times for people and for JSON: the one place that decides how many digits."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..model.units import MS, SECOND

_YEAR_10000 = 253_402_300_800
"""Seconds from 1970 to the first moment RFC 3339 cannot write."""
_YEAR_0 = -62_167_219_200


def rfc3339(ns: int | None) -> str | None:
    """Return `2026-11-22T20:10:00.703335000Z`; None for None and for a time outside the years 0 to 9999, which RFC 3339 cannot write."""
    if ns is None:
        return None
    second, rest = divmod(ns, SECOND)
    if not _YEAR_0 <= second < _YEAR_10000:
        return None
    t = time.gmtime(second)
    return f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{rest:09d}Z"


def clock(ns: int) -> str:
    """Return `2026-11-22 20:10:00.703 UTC`, for people."""
    text = rfc3339(ns)
    return f"{text[:10]} {text[11:23]} UTC" if text else "a time outside the calendar"


def seconds(ns: int | None) -> float | None:
    """Return seconds with at most 9 decimals, for JSON."""
    return None if ns is None else round(ns / SECOND, 9)


def duration(ns: int) -> str:
    """Return a duration of an attempt, in ms below a second: `0.09 ms`, `1.3 ms`, `940 ms`, `1.000 s`, `75.1 s`."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns < 995_000:
        return f"{sign}{ns / MS:.2f} ms"
    if ns < 9_950_000:
        return f"{sign}{ns / MS:.1f} ms"
    if ns < 999_500_000:
        return f"{sign}{ns / MS:.0f} ms"
    if ns < 9_999_500_000:
        return f"{sign}{ns / SECOND:.3f} s"
    return sign + span(ns)


def span(ns: int) -> str:
    """Return a longer stretch of time: `25.9 s`, `3 min 5 s`, `2 h 14 min`, `3 d 2 h`."""
    if ns < 0:
        return "-" + span(-ns)
    if ns < 119_950_000_000:
        return f"{ns / SECOND:.1f} s"
    whole = (ns + SECOND // 2) // SECOND
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def relative(ns: int, base: int) -> str:
    """Return `+12.345`: seconds since `base`, to the millisecond."""
    milliseconds = (abs(ns - base) + 500_000) // MS
    return f"{'-' if ns < base and milliseconds else '+'}{milliseconds // 1000}.{milliseconds % 1000:03d}"


def plain(value: object) -> str:
    """Return a number without a useless fraction: 2, 2.5; anything else as text."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)


def share(part: int, whole: int) -> str:
    """Return `39 %`, `0.5 %`, `<0.1 %`."""
    if whole <= 0:
        return "0 %"
    percent = 100 * part / whole
    if percent and percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return `1 attempt`, `30 attempts`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the nearest-rank percentile of a sorted, non-empty sequence: the smallest value that `percent` of all do not exceed."""
    rank = (percent * len(ordered) + 99) // 100
    return ordered[max(1, rank) - 1]
