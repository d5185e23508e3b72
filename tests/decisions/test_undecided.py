"""When a readiness probe's state is not known: rows of attempts that may have decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probewatch.decisions.undecided import undecided
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    UNSEEN,
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    Gap,
    GapKind,
    Outcome,
    Probe,
    Target,
)
from probewatch.model.units import SECOND as S

OUTCOMES = {".": Outcome.SUCCESS, "x": Outcome.FAILURE, "?": Outcome.INCONCLUSIVE, "d": Outcome.DISCARDED}


def probe(marks: str, *, initial: str = "Ready", kind: GapKind = GapKind.UNEXPLAINED) -> Probe:
    """Return one attempt each second, which takes no time; `_` is one that is missing. Three failures make NotReady, one success Ready.

    `N` is the failure that decides.
    """
    attempts: list[Attempt] = []
    decisions: list[Decision] = []
    gaps: list[Gap] = []
    last, streak = "", 0
    for second, mark in enumerate(marks):
        if mark == "_":
            if marks[second - 1] != "_":
                length = len(marks[second:]) - len(marks[second:].lstrip("_"))
                gaps.append(Gap(start_ns=(second - 1) * S, end_ns=(second + length) * S, expected=length, reason=UNSEEN, kind=kind))
            last, streak = "", 0
            continue
        outcome = OUTCOMES["x" if mark == "N" else mark]
        counted = outcome in (Outcome.SUCCESS, Outcome.FAILURE)
        streak = 0 if not counted else streak + 1 if outcome == last else 1
        last = outcome
        start = Mark(second * S, 0, second + 1)
        attempts.append(Attempt(n=len(attempts) + 1, start=start, end_ns=start.ns, end_mark=start, outcome=outcome, cause=Cause.OK,
                                streak=streak, threshold=0 if not counted else 3 if outcome is Outcome.FAILURE else 1))
        if mark == "N":
            decisions.append(Decision(ns=start.ns, kind=DecisionKind.NOT_READY, before="Ready", after="NotReady", attempt=len(attempts),
                                      mark=start, streak=3, threshold=3, threshold_source="declared"))
    return Probe(id="p1", checker=Checker(kind="kubelet", address="192.0.2.1"), target=Target(address="192.0.2.10", port=80),
                 type=ProbeType.READINESS, type_source="declared", handler=Handler.HTTP_GET, initial_state=initial,
                 attempts=tuple(attempts), gaps=tuple(gaps), decisions=tuple(decisions),
                 thresholds={"failureThreshold": (3, "declared"), "successThreshold": (1, "default")})  # fmt: skip


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ("..???..", [(4, 5)]),  # as many as decide
        ("..??..", []),  # too few
        ("..x?x..", [(4, 5)]),  # with failures around
        ("..?.?.?..", []),  # a success between
        ("..?d?d?..", [(6, 7)]),  # what is discarded counts neither way
        ("..xxN..", []),  # what is known decides
        ("..xxN?xxx..", [(5, 8)]),  # one success would have made it Ready
        ("..xxN?", []),  # the end of the capture says nothing
        ("..????", [(4, None)]),  # up to the end
        ("..___..", [(4, 5)]),  # missing, and nothing says why
        ("..x__..", [(4, 5)]),
        ("..__..", []),
        ("..xxN_x..", []),  # what left no frame did not succeed
    ],
)
def test_rows_that_may_have_decided(marks: str, wanted: list[tuple[int, int | None]]) -> None:
    """The state is not known from the attempt on that may have completed a row until one that tells."""
    found = [(one.start_ns // S, None if one.end_ns is None else one.end_ns // S) for one in undecided(probe(marks))]
    assert found == wanted


def test_who_is_not_asked() -> None:
    """Nothing is said where the state was not known before, of attempts that were not due, and of other types of probe."""
    assert undecided(probe("???...", initial="unknown")) == []
    assert undecided(probe("..___..", kind=GapKind.ON_HOLD)) == []
    assert undecided(replace(probe("..???.."), type=ProbeType.LIVENESS)) == []


def test_what_is_told() -> None:
    """It says what the state was and is, and how many of how many attempts are not known."""
    (one,) = undecided(probe("..x??x.."))
    assert (one.was, one.then, one.row, one.inconclusive, one.missing) == (True, True, 4, 2, 0)
