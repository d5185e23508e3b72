"""Small timelines made by hand; and the way to `mutations`, since importlib mode puts no directory on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from probewatch.model.connection import Connection, Half
from probewatch.model.frame import CaptureInfo, Mark
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Leg,
    Outcome,
    Probe,
    Role,
    Target,
    Timeline,
    TimelineEvent,
    Trigger,
)
from probewatch.model.units import SECOND as S

HERE = Path(__file__).resolve().parent
for place in (str(HERE), str(HERE.parent / "probes"), str(HERE.parent / "wire")):
    if place not in sys.path:
        sys.path.append(place)

BASE = 1_795_378_200 * S
LETTERS = {
    "s": (Outcome.SUCCESS, Cause.OK),
    "f": (Outcome.FAILURE, Cause.STATUS),
    "d": (Outcome.DISCARDED, Cause.BODY_BROKEN),
    "t": (Outcome.FAILURE, Cause.SLOW_ANSWER),
    "?": (Outcome.INCONCLUSIVE, Cause.ENCRYPTED),
    "c": (Outcome.INCONCLUSIVE, Cause.CUT),
}
"""One letter an attempt; t is a timeout, whose verdict is silence, c one that the end of the capture cut."""

Make = Callable[..., Timeline]


def attempts(
    letters: str, *, period: int = S, client: str = "10.128.0.1", took: int = S // 1000
) -> tuple[Attempt, ...]:
    """Return an attempt for each letter, a period apart, ten frames each."""
    made = []
    for index, letter in enumerate(letters):
        outcome, cause = LETTERS[letter]
        at = BASE + index * period
        end = at + (S if letter == "t" else took)
        connection = Connection(
            id=index,
            final=True,
            client=client,
            client_port=50000,
            server="10.128.0.10",
            server_port=8080,
            start=Mark(at, 0, index * 10 + 1),
            end=Mark(end, 0, index * 10 + 10),
            state="SF",
            history="ShADadFf",
            orig=Half(packets=5),
            resp=Half(packets=5),
            frames=((0, index * 10 + 1, index * 10 + 10),),
        )
        made.append(
            Attempt(
                n=index + 1,
                start=Mark(at, 0, index * 10 + 1),
                end_ns=end,
                end_mark=None if letter == "t" else Mark(end, 0, index * 10 + 8),
                outcome=outcome,
                cause=cause,
                trigger=Trigger.TICK,
                legs=(Leg(role=Role.FIRST, connection=connection),),
            )
        )
    return tuple(made)


def decided(row: Sequence[Attempt], **at: DecisionKind) -> tuple[Decision, ...]:
    """Return decisions, each at the end of an attempt: `decided(row, a1=READY, a8=NOT_READY)`."""
    return tuple(
        Decision(
            ns=row[int(n[1:]) - 1].end_ns,
            kind=kind,
            before="",
            after="",
            attempt=int(n[1:]),
            mark=None,
            streak=1,
            threshold=1,
            threshold_source="declared",
        )
        for n, kind in at.items()
    )


@pytest.fixture
def make() -> Make:
    """Return a maker of timelines with one probe."""

    def maker(
        letters: str = "sssss",
        *,
        start: bool = True,
        complete: bool = True,
        events: Sequence[TimelineEvent] = (),
        decisions: dict[str, DecisionKind] | None = None,
        client: str = "10.128.0.1",
        took: int = S // 1000,
        **more: Any,
    ) -> Timeline:
        row = attempts(letters, client=client, took=took)
        kind = more.pop("type", ProbeType.READINESS)
        fields: dict[str, Any] = {
            "id": "p1",
            "checker": Checker(kind="kubelet", address=client),
            "target": Target(address="10.128.0.10", port=8080, namespace="lab", pod="web", container="app"),
            "type": kind,
            "type_source": "declared",
            "handler": Handler.HTTP_GET,
            "path": "/ready",
            "final_state": "Ready",
            "attempts": row,
            "spec": ProbeSpec(type=kind, handler=Handler.HTTP_GET, port=8080),
            "thresholds": {
                "failureThreshold": (3, "default"),
                "successThreshold": (1, "default"),
                "periodSeconds": (1, "declared"),
            },
            "decisions": decided(row, **(decisions or {})),
        }
        begun = TimelineEvent(ns=BASE, kind=EventKind.CONTAINER_STARTED, address="10.128.0.10", container="app")
        info = CaptureInfo(
            path="a.pcap",
            format="pcap",
            frames=max(1, len(letters) * 10),
            first_ns=BASE,
            last_ns=row[-1].end_ns if row else BASE,
            complete=complete,
        )
        return Timeline(
            captures=(info,), probes=(Probe(**(fields | more)),), events=(*((begun,) if start else ()), *events)
        )

    return maker
