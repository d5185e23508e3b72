"""What is told of attempts that do not come, and of lines that read in another way later: `watch` as it goes."""

from __future__ import annotations

import io
import json
import struct

import pytest
from make import LIVENESS, NODE, NODE6, POD, POD6, READINESS, TCP, every, frames, ns, probes, spec

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.diagnoses import Kind
from probewatch.model.frame import Frame
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec
from probewatch.model.timeline import TO_THE_END_ALONE, GapKind
from probewatch.observer import Observer, Settings
from probewatch.report.document import document
from probewatch.report.live import Lines, _anew, _Said
from probewatch.report.moves import Moves
from probewatch.report.ndjson import Writer, fold
from probewatch.report.verdict import judge

BOTH = pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])


class Watched:
    """An observer that is looked at as `watch` does, each second."""

    def __init__(
        self, node: str, pods: dict[str, tuple[ProbeSpec, ...]], *, heard: bool = False, ends: dict[str, float] | None = None
    ) -> None:
        gone = ends or {}
        self.observer = Observer(Settings(heard=heard, book=AddressBook(
            nodes={node: (NodeAddress(address=node, node="node-a", source="--node-ip", rank=1),)},
            pods={address: (PodSpec(source="pod.yaml", addresses=(address,), namespace="shop", name=f"web-{number}",
                                    ended_ns=ns(gone[address]) if address in gone else None,
                                    containers=(ContainerSpec(name="app", probes=declared),)),)
                  for number, (address, declared) in enumerate(pods.items(), 1)})))  # fmt: skip
        self._out = io.StringIO()
        self.lines = Lines(self._out.write, columns=100)

    def see(self, *scripts: tuple[float, str, str], until: float) -> None:
        """Let these conversations pass, and time up to `until`."""
        coming = frames(*scripts)
        now = coming[0].ns if coming else self.observer._now_ns
        while now < ns(until):
            now += ns(1) - ns(0)
            while coming and coming[0].ns <= now:
                self.observer.feed(coming.pop(0))
            self.observer.advance(now)
            for one in self.observer.glimpse():
                self.lines.attempt(one.key, one.probe, one.attempt, one.decision, again=one.again)
            self.lines.reread()
            for late in self.observer.overdue(now):
                self.lines.overdue(late)

    @property
    def text(self) -> str:
        """Everything that was written, each gap one space."""
        return " ".join(self._out.getvalue().split())


@BOTH
def test_a_kubelet_that_is_down_is_told_once(node: str, pod: str) -> None:
    """When nothing came for longer than period and timeout, one line says what is overdue and since when, for all its probes."""
    how = {"client": node, "server": pod}
    both = (spec(period_s=2), spec(LIVENESS, period_s=2, path="/livez"))
    seen = Watched(node, {pod: both})
    seen.see(*probes(every(2, 10), **how), *probes(every(2, 10, 0.5), path="/livez", **how), until=20)
    assert "overdue" not in seen.text
    seen.see(until=60)
    assert seen.text.count("overdue") == 1
    assert "#11 overdue due at" in seen.text
    assert "(every 2 s); the last was #10 at" in seen.text
    assert f"The kubelet at {node} has probed nobody since: is it running" in seen.text


@BOTH
def test_what_is_overdue_and_then_comes_says_so_and_is_told_again_another_time(node: str, pod: str) -> None:
    """The attempt that ends a silence says how long it was; the next silence is another."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=2),)})
    seen.see(*probes(every(2, 5), **how), until=20)
    seen.see(*probes(every(2, 5, 28), **how), until=50)
    assert seen.text.count("overdue") == 2
    assert "the first in 20.0 s" in seen.text


@BOTH
def test_a_pod_that_alone_is_not_probed_is_told_apart_from_a_kubelet_that_is_down(node: str, pod: str) -> None:
    """Where the kubelet goes on with others, the silence is the Pod's, and the line says what to look at."""
    other = pod[:-1] + "9"
    seen = Watched(node, {pod: (spec(period_s=2),), other: (spec(period_s=2),)})
    seen.see(*probes(every(2, 5), client=node, server=pod), *probes(every(2, 15, 0.3), client=node, server=other), until=28)
    assert seen.text.count("overdue") == 1
    assert "Its kubelet probes others meanwhile" in seen.text


@BOTH
def test_what_speaks_for_a_cause_of_the_silence_is_told_first(node: str, pod: str) -> None:
    """That the container was restarted before, or was gone, and may wait to be started again; else what more it may be."""
    how = {"client": node, "server": pod}
    begun = [*probes([0.0, 0.001, *every(1, 4, 1.001)], **how), *probes([5.001], "refused", **how)]
    restarted = [*begun, *probes([5.2, 5.201, *every(1, 6, 6.201)], **how)]
    for script, said in (
        (restarted, "Its container was restarted at 20:10:05.200; if it ended again it may wait to be started again (CrashLoopBackOff"),
        (begun, "Its container was gone (refused) and may wait to be started again (CrashLoopBackOff"),
        (probes(every(1, 10), **how), "is the Pod still there? does the node's own firewall let its probes out"),
    ):
        seen = Watched(node, {pod: (spec(period_s=1),)})
        seen.see(*script, until=40)
        assert seen.text.count("overdue") == 1
        assert said in seen.text, seen.text
        assert "has probed nobody since: is it running" in seen.text


@BOTH
def test_silence_while_frames_were_lost_is_none(node: str, pod: str) -> None:
    """What was due in a loss may have come: it is waited for anew behind it, from its next tick on."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=1),)})
    seen.see(*probes(every(1, 10), **how), until=10)
    seen.observer.lost(ns(9.5), ns(24.2))
    seen.see(until=25)
    assert "overdue" not in seen.text
    seen.see(until=40)
    assert "#11 overdue due at 20:10:25.000 (every 1 s); the last was #10 at 20:10:09.000" in seen.text


@BOTH
def test_a_wrong_period_is_no_new_container(node: str, pod: str) -> None:
    """Of a plain Ready Pod without a manifest `Ready` is shown once: what a guess from two attempts makes of the third is not shown."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {})
    seen.see(*probes([0.0, 0.001, *every(1, 12, 1.001)], **how), until=16)
    assert seen.text.count(" Ready ") == 1
    assert "corrected" not in seen.text


@pytest.mark.parametrize(("state", "said"), [("Ready", "no change of state (Ready already)"), ("Restart", "no Restart")])
def test_a_decision_that_was_none_is_not_told_as_its_opposite(state: str, said: str) -> None:
    """A line that showed a decision too many is corrected without saying that the Pod was not Ready."""
    before = _Said("readiness shop/web/app", 3, state)
    assert _anew([(before, before._replace(state=""))]) == [f"readiness shop/web/app #3 above: {said}"]


@BOTH
@pytest.mark.parametrize("declared", [True, False])
def test_what_is_under_way_at_the_end_is_told_in_one_wording(node: str, pod: str, declared: bool) -> None:
    """Of an attempt that the end of watching cuts, the last line says what the table does: that nobody looked any longer."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=2, timeout_s=2),)} if declared else {})
    coming = frames(*probes(every(2, 6), **how), *probes([12.0], "hung", timeout=2, **how))
    for frame in [frame for frame in coming if frame.ns < ns(12.5)]:
        seen.observer.feed(frame)
        seen.observer.glimpse()
    seen.observer.settle()
    (shown,) = [one.attempt.detail for one in seen.observer.glimpse() if one.attempt.n == 7]
    (attempt,) = [one for one in seen.observer.finish().probes[0].attempts if one.n == 7]
    assert shown == attempt.detail == "the capture ends before the deadline"


@BOTH
def test_what_is_silent_by_design_is_not_overdue(node: str, pod: str) -> None:
    """A worker on hold, the readiness of a container that is being restarted, and a Pod that is known to have gone, are not waited for."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=2), spec(LIVENESS, period_s=2, path="/livez"))})
    script = [*probes(every(2, 9), **how), *probes(every(2, 5, 0.5), path="/livez", **how)]
    seen.see(*script, *probes(every(2, 3, 10.5), "503", path="/livez", **how), until=60)
    assert "Restart" in seen.text
    assert "overdue" not in seen.text
    gone = Watched(node, {pod: (spec(period_s=2),)}, ends={pod: 19})
    gone.see(*probes(every(2, 10), **how), until=60)
    assert "overdue" not in gone.text


@BOTH
def test_liveness_that_ends_while_readiness_goes_on_is_told_as_such(node: str, pod: str) -> None:
    """So it is while a Pod is being deleted: the line does not send anybody to look after the kubelet."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=2), spec(LIVENESS, period_s=2, path="/livez"))})
    seen.see(*probes(every(2, 20), **how), *probes(every(2, 8, 0.5), path="/livez", **how), until=40)
    assert seen.text.count("overdue") == 1
    assert "Other probes of its Pod continue: while a Pod is being deleted, liveness is silent." in seen.text


@BOTH
def test_without_a_manifest_it_is_told_from_what_is_supposed(node: str, pod: str) -> None:
    """An undeclared probe is waited for at the period that it kept, once it kept it for a while; before nothing is told."""
    how = {"client": node, "server": pod}
    for number, told in ((6, 0), (20, 1)):
        seen = Watched(node, {})
        seen.see(*probes(every(2, number), **how), until=number * 2 + 40)
        assert seen.text.count("overdue") == told


@BOTH
def test_slow_and_rare_attempts_are_not_overdue(node: str, pod: str) -> None:
    """A timeout longer than the period delays the next attempt, and what is still open has come."""
    how = {"client": node, "server": pod}
    slow = Watched(node, {pod: (spec(period_s=10, timeout_s=5),)})
    slow.see(*probes(every(10, 6), "hung", timeout=5, **how), until=58)
    assert "overdue" not in slow.text


@BOTH
def test_ndjson_tells_what_is_overdue_as_a_gap_and_takes_it_back(node: str, pod: str) -> None:
    """The line is a gap with an id of its own, once a silence; at the end the last revisions are the document all the same."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=2),)}, heard=True)
    out: list[str] = []
    writer = Writer(out.append)

    def told() -> None:
        for change in seen.observer.take():
            writer.change(change.kind, change.id, change.rev, change.probe, None if change.gone else change.value)

    seen.see(*probes(every(2, 60), **how), until=140)
    told()
    late = [line for line in map(json.loads, out) if "overdue" in line["id"]]
    assert [(line["event"], line["rev"], line["expected"]) for line in late] == [("gap", 1, 3)]
    assert late[0]["reason"] == "overdue: none came so far"
    seen.see(*probes(every(2, 5, 140), **how), until=150)
    timeline = seen.observer.finish()
    told()
    writer.end(timeline)
    lines = [json.loads(line) for line in out]
    assert [line["rev"] for line in lines if "overdue" in line["id"]] == [1, 2]
    assert fold(lines) == json.loads(json.dumps(document(timeline)))
    assert len(timeline.probes[0].gaps) == 1


@pytest.mark.parametrize("late", [13.2, 14.6])
@BOTH
def test_a_ready_that_is_as_likely_none_waits(node: str, pod: str, late: float) -> None:
    """Of a kubelet that froze, the late attempt may be a new container's: no `Ready` is shown, for what follows tells that it is none."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=1),)})
    seen.see(*probes([0, 0.001, *every(1, 11, 1.001), late, *every(1, 5, int(late) + 1.001)], **how), until=25)
    ready = [decision.attempt for decision in seen.observer.finish().probes[0].decisions]
    assert ready == [1]
    assert seen.text.count("Ready") == 1


def test_lines_that_read_in_another_way_later_are_named() -> None:
    """Where a plan is made anew, one line says which numbers above are which now; the last word agrees with the timeline's numbers."""
    seen = Watched(NODE, {})
    how = {"path": "/healthz"}
    script = [*probes([0.0, 0.001], **how), *probes(every(2, 20, 1.5), **how), *probes(every(2, 20, 0.7), **how)]
    seen.see(*sorted(script), until=60)
    timeline = seen.observer.finish()
    seen.lines.compare(timeline)
    assert "corrected" in seen.text
    for probe in timeline.probes:
        for attempt in probe.attempts:
            said = seen.lines._said[POD, attempt.start.ns]
            assert (said.who.split()[0], said.n) == (probe.type.value, attempt.n)
    assert READINESS.value in {probe.type.value for probe in timeline.probes}


def _on(index: int, frame: Frame) -> Frame:
    """Return a frame as the socket of all interfaces has it, at one of them."""
    data = frame.data[12:14] + struct.pack("!HIHBB8s", 0, index, 1, 4, 6, frame.data[6:12]) + frame.data[14:]
    return frame._replace(data=data, link_type=276, original_length=len(data))


@BOTH
def test_pods_that_were_deleted_are_no_sign_of_a_kubelet_without_cpu(node: str, pod: str) -> None:
    """Attempts at most Pods are missing to the end and another's are on time: its kubelet has CPU, and runs."""
    pods = [pod[:-1] + str(number) for number in range(4)]
    seen = Watched(node, {one: (spec(period_s=2),) for one in pods})
    times = [every(2, 8 if number else 30, number / 9) for number in range(4)]
    script = [one for at, when in zip(pods, times, strict=True) for one in probes(when, client=node, server=at)]
    seen.see(*sorted(script), until=60)
    gone = [probe for probe in seen.observer.finish().probes if probe.last_gap is not None]
    assert [probe.last_gap.reason for probe in gone if probe.last_gap] == [TO_THE_END_ALONE] * 3
    assert not [one for probe in gone for one in probe.diagnoses if one.kind == Kind.TICKS_DROPPED]


@BOTH
def test_what_the_node_said_of_a_pods_interface_stands_in_the_report(node: str, pod: str) -> None:
    """The gap to the end is the deleted Pod's, with its interface and when it was gone, and so says the verdict."""
    seen = Watched(node, {pod: (spec(period_s=2),)})
    for frame in frames(*probes(every(2, 8), client=node, server=pod)):
        seen.observer.feed(_on(7, frame))
    seen.observer.link_gone(7, "veth7f3c", ns(15.5))
    seen.see(until=60)
    assert "The Pod's interface veth7f3c has gone" in seen.text
    timeline = seen.observer.finish()
    (gap,) = timeline.probes[0].gaps
    assert gap.kind is GapKind.POD_DELETED
    assert gap.reason.startswith("the Pod's interface veth7f3c was gone 1.50 s after its last attempt")
    assert "veth7f3c" in judge(timeline.probes[0], timeline).sentence


@BOTH
def test_somebodys_connections_make_nothing_ready_again(node: str, pod: str) -> None:
    """A loop of plain connections from the node looks like a tcpSocket probe of one new container after another: Ready is told once."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(handler=TCP, period_s=3),)})
    loop = [5.4, 7.45, 9.5, 11.6, 13.65, 15.7, 17.8, 19.85]
    seen.see(*sorted([*probes([0.0, 0.001, *every(3, 10, 3.001)], "connected", **how), *probes(loop, "connected", **how)]), until=32)
    assert seen.text.count(" Ready ") == 1


def test_a_correction_of_many_lines_is_short() -> None:
    """Of many attempts with the same correction the first few are named, and how many more there are."""
    before = [_Said("readiness shop/web/app", n, "Ready") for n in range(1, 21)]
    (text,) = _anew([(one, one._replace(who="check shop/web:80", state="")) for one in before])
    assert text == "readiness shop/web/app #1-#20 above: check shop/web:80 #1-#20, no Ready at #1, #2, #3, #4 and 16 more"


@BOTH
def test_a_kubelet_that_asks_a_new_address_runs(node: str, pod: str) -> None:
    """Attempts at an address of which too little is known to wait for its next one show all the same that the kubelet runs."""
    other = pod[:-1] + "9"
    seen = Watched(node, {pod: (spec(period_s=2),)})
    seen.see(*probes(every(2, 5), client=node, server=pod), *probes(every(2, 8, 10.3), client=node, server=other), until=24)
    assert seen.text.count("overdue") == 1
    assert "Its kubelet probes others meanwhile" in seen.text


@BOTH
def test_a_pod_at_another_address_is_told(node: str, pod: str) -> None:
    """Once its own address is silent, what is asked the same elsewhere is said to be it; not before, and not where two Pods may be."""
    first, second, new = pod, pod[:-1] + "8", pod[:-1] + "9"
    for pods, count in (([first], 1), ([first, second], 0)):
        seen, moves, said = Watched(node, {one: (spec(period_s=2),) for one in pods}), Moves(), []
        script = [one for at in pods for one in probes(every(2, 5), client=node, server=at)]
        script += [*probes(every(2, 5, 10.3), client=node, server=new), *probes([10.2], path="/x", client=node, server=new)]
        for frame in frames(*script):
            seen.observer.feed(frame)
            said += [moves.note(one.probe, one.attempt.start.ns, one.prediction.period_ns) for one in seen.observer.glimpse()]
        told = [text for text in said if text]
        assert len(told) == len(moves.addresses) == count
        assert all(text.startswith("shop/web-1/app was not asked since 20:10:08.000; ") and "since 20:10:10.200" in text for text in told)


@BOTH
def test_the_end_of_a_pod_that_was_being_deleted_is_told_as_that(node: str, pod: str) -> None:
    """Once its liveness stopped before the rest, silence of the rest is its end: nobody is told to look for a crash loop."""
    how = {"client": node, "server": pod}
    seen = Watched(node, {pod: (spec(period_s=2), spec(LIVENESS, period_s=2, path="/livez"))})
    script = [*probes(every(2, 20), **how), *probes([40.0], "refused", **how), *probes(every(2, 8, 0.5), path="/livez", **how)]
    seen.see(*script, until=60)
    assert "Its liveness had stopped before the rest: the Pod was being deleted, and seems to be gone." in seen.text
    assert "CrashLoopBackOff" not in seen.text
