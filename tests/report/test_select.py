"""What of a timeline is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probewatch import analyze
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import EventKind, OtherTraffic, TimelineEvent
from probewatch.model.units import SECOND as S
from probewatch.report.select import matches, select
from probewatch.report.verdict import judge


def test_nothing_asked_is_everything(timeline) -> None:
    """Without a wish the timeline is returned as it is."""
    assert select(timeline) is timeline


def test_since_keeps_the_state_before(made) -> None:
    """A stretch that begins while NotReady says so, though the decision lies before it."""
    timeline = made["flapping"]()
    base = timeline.captures[0].first_ns
    shown = select(timeline, since_ns=base + 8 * S, until_ns=base + 12 * S)
    probe = shown.probes[0]
    assert [a.n for a in probe.attempts] == [9, 10, 11, 12, 13]
    assert probe.initial_state == "NotReady"
    assert probe.initial_evidence == "decided at #8, before what is shown"
    assert [d.attempt for d in probe.decisions] == [11]
    assert probe.final_state == "Ready"
    assert "between +8.000 and +12.000" in shown.notes[-1]


def test_bounds_are_inclusive(made) -> None:
    """An attempt that begins at the very nanosecond is shown, one a nanosecond beside is not."""
    timeline = made["flapping"]()
    start = timeline.probes[0].attempts[5].start.ns
    assert [a.n for a in select(timeline, since_ns=start, until_ns=start).probes[0].attempts] == [6]
    assert select(timeline, since_ns=start + 1, until_ns=start + 2).probes == ()


def test_rollouts_stay_with_their_probes(made) -> None:
    """A rollout is shown, whole, where one of its probes is; the others are left out with theirs."""
    timeline = made["restarting"]()
    assert [one.name for one in select(timeline, probes=["p2"]).rollouts] == ["cart", "j"]
    assert select(timeline, probes=["p1"]).rollouts[0] == timeline.rollouts[0]
    assert select(timeline, until_ns=1).rollouts == ()


def test_gaps_and_others_are_kept_where_they_touch(made) -> None:
    """A gap is shown if it reaches into the stretch; other traffic of unknown time always is."""
    timeline = made["restarting"]()
    gap = timeline.probes[1].gaps[0]
    assert select(timeline, since_ns=gap.end_ns - 1, until_ns=gap.end_ns + S).probes[0].gaps == (gap,)
    others = made["flapping"]().others
    assert select(made["flapping"](), until_ns=1).others == (others[1],)


@pytest.mark.parametrize("selector", [
    "p2", "liveness", "cart-7d9f", "shop/cart-7d9f", "liveness/cart-7d9f", "liveness/shop/cart-7d9f", "fd10:244::10",
    "[fd10:244::10]:8080", "cart-7d9f/app", "shop/cart-7d9f/app"])
def test_every_way_to_name_a_probe(made, selector) -> None:
    """A probe is found by id, type, pod, type/pod, namespace/pod, container and address."""
    assert matches(made["restarting"]().probes[1], selector)


@pytest.mark.parametrize("selector", ["p1", "readiness", "cart", "readiness/cart-7d9f", "", "p", "None", "shop"])
def test_what_does_not_name_it(made, selector) -> None:
    """A part of a name is not enough, nor another probe's."""
    assert not matches(made["restarting"]().probes[1], selector)


def test_selected_probes_only(made) -> None:
    """Several selectors add up."""
    timeline = made["assorted"]()
    assert [p.id for p in select(timeline, probes=["p10", "startup"]).probes] == ["p4", "p10"]


def test_findings_go_with_their_probes(made) -> None:
    """Findings of probes that are not shown are not shown either; those of no probe always are."""
    timeline = made["flapping"]()
    assert {finding.probe for finding in timeline.findings} == {"p1", None}
    assert select(timeline, probes=["p1"]).findings == timeline.findings
    assert {finding.probe for finding in select(timeline, probes=["p9"]).findings} == {None}


def test_what_happened_elsewhere_is_left_out(made) -> None:
    """With a probe goes what happened at its Pod and on its node, and who else talks to it; what befell other Pods does not."""
    timeline = made["restarting"]()
    probe = timeline.probes[0]
    mine = TimelineEvent(ns=0, kind=EventKind.CONTAINER_STARTED, address=probe.target.address)
    node = replace(mine, kind=EventKind.KUBELET_RESTARTED, address=probe.checker.address)
    gap = replace(mine, kind=EventKind.CAPTURE_GAP, address="")
    other = OtherTraffic(address="10.128.0.20", target_address=probe.target.address, target_port=80, connections=1, what="client traffic")
    events = mine, node, gap, replace(mine, address="10.9.9.9")
    away = replace(timeline, events=events, others=(other, replace(other, target_address="10.9.9.9")))
    shown = select(away, probes=[probe.id])
    assert shown.events == (mine, node, gap)
    assert shown.others == (other,)
    assert select(away) == away


def test_what_another_probe_decided_still_explains(captures) -> None:
    """Who looks at readiness alone is told all the same that the liveness probe had the container restarted, and not that it just ended."""
    folder = captures / "k136-liveness-restart"
    timeline = analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    readiness = next(probe for probe in timeline.probes if probe.type is ProbeType.READINESS)
    shown = select(timeline, probes=["readiness"])
    assert shown.probes == (readiness,)
    assert "its container was restarted by the liveness probe" in judge(readiness, timeline).sentence
    assert judge(readiness, shown).sentence == judge(readiness, timeline).sentence
