"""`--check`: a checker's thresholds by hand, `haproxy:rise=2,fall=3,inter=5s`; pure functions.

What a program calls its numbers is what is written here, so that a line of its configuration can be copied: keepalived
counts `retry`, Varnish has a `window` and a `threshold`, Apache `hcpasses` and `hcfails`. `KEYS` says what each means.
`target=ADDRESS[:PORT]` and `port=PORT` restrict it to some checks; `[...]` around IPv6 where a port follows. With a
target it also names a series that nothing on the wire names (`observer.survey`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from probewatch.model.check import BY_HAND, CheckSpec
from probewatch.model.units import DAY, SECOND

from .addresses import address_of
from .errors import plain, shown
from .haproxywords import UNITS

MAX_CHECK: Final = 1_000
"""Characters of one `--check`."""
MOST_TIMES: Final = 1_000
"""Largest threshold (as `decisions.risefall.MOST`)."""


class Means(StrEnum):
    """What a key of `--check` sets."""

    RISE = "rise"
    FALL = "fall"
    RETRY = "retry"
    """So many failures after the first: fall is one more."""
    WINDOW = "window"
    INTERVAL = "interval_ns"
    FAST = "fast_ns"
    DOWN = "down_ns"
    TIMEOUT = "timeout_ns"


TIMES: Final = frozenset({Means.INTERVAL, Means.FAST, Means.DOWN, Means.TIMEOUT})

_THRESHOLDS: Final = {"healthy_threshold": Means.RISE, "unhealthy_threshold": Means.FALL}
_PACE: Final = {"interval": Means.INTERVAL, "timeout": Means.TIMEOUT}
_HASHICORP: Final = {"success_before_passing": Means.RISE, "failures_before_critical": Means.FALL, **_PACE}

KEYS: Final[dict[str, dict[str, Means]]] = {
    "haproxy": {"rise": Means.RISE, "fall": Means.FALL, "inter": Means.INTERVAL, "fastinter": Means.FAST,
                "downinter": Means.DOWN, "timeout": Means.TIMEOUT},
    "keepalived": {"retry": Means.RETRY, "delay_before_retry": Means.FAST, "delay_loop": Means.INTERVAL,
                   "connect_timeout": Means.TIMEOUT},
    "varnish": {"window": Means.WINDOW, "threshold": Means.RISE, **_PACE},
    "apache": {"hcpasses": Means.RISE, "hcfails": Means.FALL, "hcinterval": Means.INTERVAL, "timeout": Means.TIMEOUT},
    "monit": _PACE,
    "blackbox_exporter": _PACE,
    "traefik": _PACE,
    "envoy": {**_THRESHOLDS, **_PACE},
    "consul": _HASHICORP,
    "nomad": _HASHICORP,
    "dnsdist": {"rise": Means.RISE, "maxCheckFailures": Means.FALL, "checkInterval": Means.INTERVAL,
                "checkTimeout": Means.TIMEOUT},
    "nginx": {"passes": Means.RISE, "fails": Means.FALL, **_PACE},
    "aws_elb": {**_THRESHOLDS, **_PACE},
    "google": {**_THRESHOLDS, **_PACE},
    "azure": {"threshold": Means.FALL, **_PACE},
}  # fmt: skip
"""Checker -> its own words -> what they set. Who has only a pace flips with each check."""

EXAMPLE: Final = "haproxy:rise=2,fall=3,inter=5s"

_TIME: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(us|ms|s|m|h|d)", re.ASCII)


def parse_check(text: str) -> CheckSpec:
    """Return what `--check KIND:KEY=VALUE,...` says.

    Raises:
        ValueError: a plain sentence that says what is wrong and how to write it.
    """
    kind, colon, rest = text.partition(":")
    kind = kind.strip()
    if len(text) > MAX_CHECK or not colon or not rest.strip():
        raise ValueError(f"--check {shown(text)} declares nothing: write it as {EXAMPLE}")
    if kind not in KEYS:
        raise ValueError(f"--check {shown(kind)}: no such checker; there are {', '.join(KEYS)}")
    known = KEYS[kind]
    spec = CheckSpec(kind=kind, source=BY_HAND)
    declared: dict[str, Any] = {}
    said: dict[Means, int] = {}
    for part in rest.split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if key in declared or (key == "target" and spec.address is not None):
            raise ValueError(f"--check {kind}: {plain(key)} is said twice")
        if not equals or not value or key not in (*known, "target", "port"):
            raise ValueError(
                f"--check {kind}: {shown(part.strip())} is none of {', '.join(f'{name}=' for name in (*known, 'target', 'port'))}"
            )
        if key == "target":
            spec = _target(spec, value)
        elif key == "port":
            spec = replace(spec, port=_whole(value, f"--check {kind}: port", 1, 65_535))
        else:
            number = _number(kind, known[key], value, f"--check {kind}: {key}")
            timed = known[key] in TIMES
            declared[f"{key}_s" if timed else key] = number / SECOND if timed else number
            said[known[key]] = number
    if not declared:
        raise ValueError(f"--check {kind} names a target and no number: add {', '.join(f'{name}=' for name in known)}")
    if said.get(Means.RISE, 0) > said.get(Means.WINDOW, MOST_TIMES):
        raise ValueError(
            f"--check {kind}: threshold={said[Means.RISE]} can never be reached in a window of {said[Means.WINDOW]}"
        )
    return replace(spec, declared=declared, **_fields(said))


def _fields(said: dict[Means, int]) -> dict[str, Any]:
    """Return what is said as fields of a `CheckSpec`."""
    fields: dict[str, Any] = {means.value: number for means, number in said.items() if means is not Means.RETRY}
    if Means.RETRY in said:
        fields["fall"] = said[Means.RETRY] + 1
    return {name: max(number, 1) for name, number in fields.items()}


def _number(kind: str, means: Means, value: str, what: str) -> int:
    if means in TIMES:
        return _time(value, what)
    # A retry may be none; Consul and Nomad count 0 as 1.
    return _whole(value, what, 0 if means is Means.RETRY or kind in ("consul", "nomad") else 1, MOST_TIMES)


def _time(text: str, what: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        unit = (
            f": write the unit, {plain(text)}ms or {plain(text)}s"
            if text.isdecimal()
            else ": write it as 5s, 500ms or 1.5s"
        )
        raise ValueError(f"{what}={plain(text)} is no time{unit}")
    ns = int(found[1]) * UNITS[found[3]] + int((found[2] or "0").ljust(9, "0")) * UNITS[found[3]] // SECOND
    if not 0 < ns <= DAY:
        raise ValueError(f"{what}={plain(text)} is no time between two checks: more than 0 and at most a day")
    return ns


def _whole(text: str, what: str, least: int, most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        raise ValueError(f"{what}={plain(text)} is not a whole number from {least} to {most}")
    return int(text)


def _target(spec: CheckSpec, text: str) -> CheckSpec:
    """Read `10.0.0.1`, `10.0.0.1:80`, `fd00::1`, `[fd00::1]:80`."""
    bare, port = text, ""
    if (address := address_of(text)) is None:
        bare, _, port = text.rpartition(":")
        address = address_of(bare) if bare.startswith("[") or bare.count(":") == 0 else None
    if address is None:
        raise ValueError(
            f"--check {spec.kind}: target={plain(text)} is no address: write 10.0.0.1, 10.0.0.1:8080, fd00::1 or [fd00::1]:8080"
        )
    number = _whole(port, f"--check {spec.kind}: the port of target", 1, 65_535) if port else spec.port
    return replace(spec, address=address, port=number)
