"""Moments as they are asked for: RFC 3339, or seconds after the first frame; and what cannot be."""

from __future__ import annotations

import re

from .model.units import SECOND


class InputError(ValueError):
    """What was asked for cannot be: a time, address or checker that is none, an unreadable key log. `str()` is one sentence."""


def span(since: str | int | None, until: str | int | None, base_ns: int) -> tuple[int | None, int | None]:
    """Return two moments in nanoseconds since 1970 (see `moment`); InputError where they are the wrong way round."""
    since_ns, until_ns = moment(since, base_ns), moment(until, base_ns)
    if since_ns is not None and until_ns is not None and since_ns > until_ns:
        raise InputError(f"--since {since} is later than --until {until}: nothing lies between them")
    return since_ns, until_ns


def moment(text: str | int | None, base_ns: int) -> int | None:
    """Return nanoseconds since 1970 for an RFC 3339 time or `+SECONDS` after `base_ns`.

    Raises:
        InputError: it is neither.
    """
    if text is None or isinstance(text, int):
        return text
    stripped = text.strip()
    if re.fullmatch(r"\+\d{1,10}(\.\d{1,9})?", stripped):
        whole, _, part = stripped[1:].partition(".")
        return base_ns + int(whole) * SECOND + int(part.ljust(9, "0") or 0)
    from .cluster.addresses import instant

    try:
        return instant(stripped)
    except ValueError:
        shown = text[:60].encode("unicode_escape", "backslashreplace").decode("ascii")
        raise InputError(
            f"'{shown}' is not a time: write it as 2026-11-22T20:10:00Z, or as +12.5, seconds after the first frame"
        ) from None
