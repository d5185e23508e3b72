"""What the kubelet would have decided under other settings, from what was recorded.

Theory of operation. `container` puts a timeline's probes back together, `replay` feeds their recorded attempts to the
kubelet's own counting under the new settings, in the best and in the worst case of what is not known, and here the two
are laid beside what was decided. Where no probe of a container changes, best and worst case are the recording itself:
the same counting gives the same decisions, and `faithful` says so of every probe. Where the period changes, every place
at which its grid may begin is tried, and the best and the worst of all are kept.

Only attempts of probes whose type is known decide anything; checks of other checkers count by rise and fall and are left
out. successThreshold is 1 for liveness and startup by the API's own rule, so another one is applied to readiness only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from math import prod
from typing import Any, Final

from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Decision, DecisionKind, Probe, Timeline

from .bounds import Covering, Term, covering, terms
from .container import Container, containers
from .replay import Case, End, Trace, phases, replay

MOST_STEPS: Final = 2_000_000
"""Attempts counted for all phases of a container together; where all phases would need more, fewer are tried."""
INT32_MAX: Final = 2**31 - 1
"""Largest value of a setting: the API's numbers are int32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is asked for; None keeps what each probe has. The names are the Pod spec's, in seconds."""

    timeout_s: int | None = None
    period_s: int | None = None
    failure_threshold: int | None = None
    success_threshold: int | None = None
    initial_delay_s: int | None = None

    def __post_init__(self) -> None:
        """Refuse what the API server would refuse.

        Raises:
            ValueError: a value is out of range; one plain sentence.
        """
        for name, value in self.asked().items():
            least = 0 if name == "initialDelaySeconds" else 1
            if not least <= value <= INT32_MAX:
                raise ValueError(
                    f"{name} cannot be {value}: Kubernetes takes whole numbers from {least} to {INT32_MAX}"
                )

    def asked(self) -> dict[str, int]:
        """Return what is asked for by Kubernetes' own field names."""
        named = {field: getattr(self, attribute) for field, attribute in FIELDS.items()}
        return {field: value for field, value in named.items() if value is not None}

    def applied(self, spec: ProbeSpec) -> ProbeSpec:
        """Return a probe's numbers with what is asked for."""
        wanted: dict[str, Any] = {FIELDS[field]: value for field, value in self.asked().items()}
        if spec.type is not ProbeType.READINESS:
            wanted.pop("success_threshold", None)
        return replace(spec, **wanted)


FIELDS: Final = {
    "initialDelaySeconds": "initial_delay_s",
    "periodSeconds": "period_s",
    "timeoutSeconds": "timeout_s",
    "successThreshold": "success_threshold",
    "failureThreshold": "failure_threshold",
}
"""Kubernetes' own name -> attribute of `ProbeSpec` and `Settings`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One number of a probe."""

    field: str
    recorded: int
    source: str
    """Where the recorded one comes from: `declared`, `inferred` or `default`."""
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One probe under the settings asked for."""

    probe: Probe
    """As recorded."""
    settings: tuple[Setting, ...]
    changed: bool
    """Whether any number of a probe of its container differs."""
    faithful: bool
    """The recorded settings reproduce the recorded decisions; where they do not, nothing here is to be relied on."""
    best: Trace
    worst: Trace
    phases: int
    """Places tried for the beginning of its container's grids; 1 where no period changes."""
    untried: int
    """Places left out (MOST_STEPS)."""
    covering: Covering
    terms_recorded: tuple[Term, ...]
    terms: tuple[Term, ...]

    @property
    def exact(self) -> bool:
        """Whether best and worst case decide the same."""
        return told(self.best.decisions) == told(self.worst.decisions) and (
            self.best.known_until_ns == self.worst.known_until_ns
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """All probes under the settings asked for."""

    settings: Settings
    probes: tuple[Replayed, ...]
    left_out: tuple[Probe, ...]
    """Probes that are not replayed: of other checkers, or of unknown type."""


def told(decisions: Sequence[Decision]) -> list[tuple[DecisionKind, int]]:
    """Return what was decided when, as far as two replays can differ in it."""
    return [(decision.kind, decision.ns) for decision in decisions]


def whatif(timeline: Timeline, settings: Settings, chosen: Collection[str] | None = None) -> WhatIf:
    """Replay the probes of a timeline under other settings.

    Args:
        timeline: everything that was recorded (not a selection: states are known from what came before).
        settings: what is asked for.
        chosen: ids of the probes that get the new settings and are told; None is all. Others of the same containers are
            replayed with the recorded ones.
    """
    wanted = {probe.id for probe in timeline.probes} if chosen is None else set(chosen)
    made: dict[str, Replayed] = {}
    for container in containers(timeline):
        if any(probe.id in wanted for probe in container.probes):
            made |= {one.probe.id: one for one in _replayed(container, settings, wanted)}
    mine = [probe for probe in timeline.probes if probe.id in wanted]
    return WhatIf(
        settings=settings,
        probes=tuple(made[probe.id] for probe in mine if probe.id in made),
        left_out=tuple(probe for probe in mine if probe.id not in made),
    )


def _replayed(container: Container, settings: Settings, wanted: Collection[str]) -> list[Replayed]:
    specs = [
        settings.applied(spec) if probe.id in wanted else spec
        for probe, spec in zip(container.probes, container.specs, strict=True)
    ]
    changed = tuple(specs) != container.specs
    places = phases(container, specs)
    best, worst, tried = _extremes(container, specs, places) if changed else _recorded(container)
    return [
        Replayed(
            probe=probe,
            settings=_settings(probe, container.specs[index], specs[index]),
            changed=changed,
            faithful=container.faithful[index],
            best=best[index],
            worst=worst[index],
            phases=tried,
            untried=prod(places) - tried,
            covering=covering(probe),
            terms_recorded=terms(container.specs[index], container.specs),
            terms=terms(specs[index], specs),
        )
        for index, probe in enumerate(container.probes)
    ]


def _recorded(container: Container) -> tuple[list[Trace], list[Trace], int]:
    same = replay(container, container.specs, Case.BEST, [0] * len(container.specs))
    return same, same, 1


def _extremes(
    container: Container, specs: Sequence[ProbeSpec], places: Sequence[int]
) -> tuple[list[Trace], list[Trace], int]:
    """Return the best and the worst replay of all phases, and how many were tried."""
    steps = 2 * sum(len(probe.attempts) for probe in container.probes)
    most = max(1, MOST_STEPS // max(1, steps))
    every = -(-prod(places) // most)
    tried = list(islice(product(*map(range, places)), 0, None, every))
    best = min((replay(container, specs, Case.BEST, phase) for phase in tried), key=_badness)
    worst = max((replay(container, specs, Case.WORST, phase) for phase in tried), key=_badness)
    return best, worst, len(tried)


_RANK: Final = {End.OLD_RESTART: 0, End.TOO_LONG: 1, None: 1, End.NEW_RESTART: 2}
"""A restart that would not have been is good, one that only the replay has is bad."""


def _badness(traces: Sequence[Trace]) -> tuple[int, int, int, int, int]:
    """Order replays of a container: by a restart more or less, and how soon; then by restarts, time not Ready, decisions."""
    end, until = traces[0].end, traces[0].known_until_ns or 0
    return (
        _RANK[end],
        -until if end is End.NEW_RESTART else until,
        sum(d.kind is DecisionKind.RESTART for trace in traces for d in trace.decisions),
        sum(trace.unready_ns for trace in traces),
        sum(len(trace.decisions) for trace in traces),
    )


def _settings(probe: Probe, old: ProbeSpec, new: ProbeSpec) -> tuple[Setting, ...]:
    out = []
    for field, attribute in FIELDS.items():
        source = "declared" if field in old.declared else "default"
        if field in probe.thresholds:
            source = probe.thresholds[field][1]
        out.append(Setting(field, getattr(old, attribute), source, getattr(new, attribute)))
    return tuple(out)
