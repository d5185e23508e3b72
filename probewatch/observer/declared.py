"""What a series' checker was told, and what it therefore needs to say UP or DOWN.

Theory of operation. A configuration (`--haproxy-cfg`, `--check`) is tied to a series by the program, the target and what
is asked; where several fit, the one that says most of the target wins, then the one whose interval the series keeps.
Where those that are left decide alike, their numbers hold and their common name; where they do not, none is taken and a
note says so. Numbers that nothing declares are what the series' pace shows (`probes.learnt.learn`), else the program's
defaults (`decisions.risefall.RULES`); each keeps its source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from probewatch.decisions.risefall import AGENT_RULE, RULES, Rule, Thresholds
from probewatch.decisions.thresholds import shown_thresholds
from probewatch.model.check import BY_HAND, Asks, CheckSpec
from probewatch.model.units import SECOND
from probewatch.probes.ends import through
from probewatch.probes.replies import binds_ldap, greets_mysql
from probewatch.probes.rounds import asked_lengths
from probewatch.probes.shapes import What

from .survey import Named, asks_agent, keeps

SHOWN: Final = 3
"""Places named in one sentence."""
NUMBERS: Final = ("rise", "fall", "window", "begins", "interval_ns", "fast_ns", "down_ns", "timeout_ns")
TWICE: Final = "HAProxy counts each pass of {} twice ({}): half of rise is enough"
"""Two of its checks tell it of a success when the answer is read, and once more when nothing more is to be done."""
SHAPES: Final[dict[Asks, frozenset[What]]] = {
    Asks.CONNECT: frozenset({What.RESET, What.CLOSE}),
    Asks.TLS: frozenset({What.TLS}),
    # proto h2 begins with a preface, send-proxy with a line of its own
    Asks.HTTP: frozenset({What.HTTP, What.GRPC}),
    Asks.OTHER: frozenset({What.BYTES}),
}
"""How what a configuration asks looks on the wire."""


@dataclass(frozen=True, slots=True)
class Tied:
    """What is declared for one series."""

    spec: CheckSpec | None = None
    note: str = ""
    fitting: tuple[CheckSpec, ...] = ()
    """All that fit it, taken or not."""


def tie(named: Named, specs: Sequence[CheckSpec]) -> Tied:
    """Return the declared check that a series is; where `--check` and a configuration both speak, `--check` wins."""
    fitting = tuple(spec for spec in specs if spec.kind == named.kind and _fits(spec, named))
    by_hand = _one([spec for spec in fitting if spec.source == BY_HAND], named)
    written = _one([spec for spec in fitting if spec.source != BY_HAND], named)
    note = next((found for found in (by_hand, written) if isinstance(found, str)), "")
    both = [found for found in (by_hand, written) if isinstance(found, CheckSpec)]
    return Tied(_over(*both) if len(both) == 2 else both[0] if both else None, note, fitting)


def _one(fitting: Sequence[CheckSpec], named: Named) -> CheckSpec | str | None:
    """Return the one that says most of the target, or why none can be taken; None where there is none."""
    if not fitting:
        return None
    most = max(_says(spec) for spec in fitting)
    fitting = [spec for spec in fitting if _says(spec) == most]
    fitting = [spec for spec in fitting if keeps(spec, named.learnt)] or fitting
    first = fitting[0]
    if len({spec.numbers for spec in fitting}) > 1:
        places = ", ".join(spec.source for spec in fitting[:SHOWN])
        return f"several declared checks fit it and differ ({places}): none is taken"
    if len(fitting) == 1:
        return first
    alike = {
        name: value for name, value in first.declared.items() if all(s.declared.get(name) == value for s in fitting)
    }
    sources = " or ".join(dict.fromkeys(spec.source for spec in fitting[:SHOWN]))
    return replace(first, name="", source=sources, declared=alike)


def _over(by_hand: CheckSpec, written: CheckSpec) -> CheckSpec:
    """Return what a configuration says, with what `--check` says in its place."""
    said = {name: value for name in NUMBERS if (value := getattr(by_hand, name)) is not None}
    source = f"{by_hand.source}, else {written.source}"
    return replace(written, **said, source=source, declared={**written.declared, **by_hand.declared})


def _fits(spec: CheckSpec, named: Named) -> bool:
    shape = named.shape
    if spec.address not in (None, named.server) or spec.port not in (None, named.port):
        return False
    if spec.asks is not None and shape.what not in SHAPES[spec.asks]:
        return False
    if shape.what is not What.HTTP:
        return True
    return spec.method in ("", shape.method) and spec.path in ("", shape.target)


def _says(spec: CheckSpec) -> tuple[bool, bool]:
    return spec.address is not None, spec.port is not None


def thresholds_of(named: Named, results: Sequence[bool | None], spec: CheckSpec | None) -> Thresholds | None:
    """Return what the checker needs: declared, else shown by its pace, else its defaults; None where it decides nothing."""
    if asks_agent(named):
        return AGENT_RULE
    base = RULES.get(named.kind)
    if base is None:
        return None
    base = _shown_by_pace(base, named, results)
    if named.kind == "haproxy" and named.shape.what in (What.BYTES, What.CLOSE) and (check := _counted_twice(named)):
        base = replace(base, twice=True, note=TWICE.format(*check))
    if spec is None:
        return base
    said = {name: value for name in ("rise", "fall", "window") if (value := getattr(spec, name)) is not None}
    if base.rule is Rule.WINDOW:
        window = said.get("window", base.window)
        rise = min(said.get("rise", base.rise), window)
        said |= {"window": window, "rise": rise, "fall": window - rise + 1}
    all_of = {"rise", "window"} if base.rule is Rule.WINDOW else {"rise", "fall"}
    names = frozenset(name for name in ("rise", "fall", "window") if getattr(spec, name) is not None)
    if named.kind == "keepalived" and "fall" in names:
        said.pop("rise", None)
    return replace(
        base,
        **said,
        declared=names,
        inferred=base.inferred - names,
        begins=spec.begins,
        # Where all is declared, nothing is a guess.
        note="" if names >= all_of and not base.twice else base.note,
    )


def _counted_twice(named: Named) -> tuple[str, str] | None:
    """Return the check whose passes HAProxy counts twice, and the versions that were seen to; None where this is none."""
    if binds_ldap(named.shape.opening):
        return "an ldap-check", "2.6.12"
    if any(greets_mysql(exchange.connection.resp.data) for exchange in named.exchanges):
        return "a mysql-check", "2.6.12, 2.8.25"
    return None


def _shown_by_pace(base: Thresholds, named: Named, results: Sequence[bool | None]) -> Thresholds:
    learnt = named.learnt
    if named.kind == "keepalived":
        # HTTP_GET is up when it begins its list of URLs anew, one delay_loop after the success (check_http.c
        # http_connect_thread).
        urls = len(named.targets) or _sealed_urls(named)
        http = named.shape.what in (What.HTTP, What.TLS)
        retried = 2 if named.shape.what is What.CLOSE else 4
        base = replace(base, rise=max(urls, 1) + 1 if http else 1, fall=retried, lasting=http)
        if learnt.retries is not None:
            return replace(base, fall=learnt.retries + 1, inferred=frozenset({"fall"}))
        return base
    if named.kind == "haproxy" and learnt.pauses and learnt.exact:
        rise, fall = shown_thresholds(results, _pauses(named), (base.rise, base.fall))
        shown = frozenset(name for name, value in (("rise", rise), ("fall", fall)) if value is not None)
        return replace(base, rise=rise or base.rise, fall=fall or base.fall, inferred=shown)
    return base


def _sealed_urls(named: Named) -> int:
    """Count the URLs that are asked in turn inside TLS, as far as their lengths tell one from another."""
    asked = Counter(asked_lengths(exchange) for exchange in named.exchanges)
    del asked[()]
    return sum(times > 1 for times in asked.values())


def _pauses(named: Named) -> list[int | None]:
    """Return the pause after each check, None where it is not known when that ended."""
    out: list[int | None] = []
    for before, after in pairwise(exchange.connection for exchange in named.exchanges):
        end = through(before)
        if end is None and (waited := named.learnt.dial_ns or named.learnt.timeout_ns) is not None:
            end = before.start.ns + waited
        out.append(None if end is None else after.start.ns - end)
    return [*out, None]


def numbers_shown(thresholds: Thresholds | None) -> dict[str, tuple[int, str]]:
    """Return the numbers that decide, each with its source."""
    if thresholds is None:
        return {}
    if thresholds.rule is Rule.WINDOW:
        return {
            "threshold": (thresholds.rise, thresholds.source("rise")),
            "window": (thresholds.window, thresholds.source("window")),
        }
    return {name: (getattr(thresholds, name), thresholds.source(name)) for name in ("rise", "fall")}


def inferred_of(named: Named, thresholds: Thresholds | None) -> dict[str, Any]:
    """Return what the packets show of a series' numbers."""
    learnt = named.learnt
    out: dict[str, Any] = {
        "interval_s": round(learnt.interval_ns / SECOND, 3) if learnt.interval_ns else None,
        "interval_basis": str(named.track.pace.basis),
    }
    if learnt.timeout_ns is not None:
        out["timeout_s"] = round(learnt.timeout_ns / SECOND, 3)
    if thresholds is not None:
        out |= {name: getattr(thresholds, name) for name in ("rise", "fall") if name in thresholds.inferred}
    return out
