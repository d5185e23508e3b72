"""The kubelet's account laid beside the wire: every saying finds its attempt, every clock its offset, every difference its name."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import probewatch
from probewatch.model.said import EXPLAINED, AccountFile, Clash, Saying, Utterance
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Cause, Outcome
from probewatch.report.account import joined
from probewatch.verify.account import account
from probewatch.verify.utterance import excludes

HERE = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("kubelet_says", HERE / "kubelet_says.py")
assert _spec is not None
assert _spec.loader is not None
says = importlib.util.module_from_spec(_spec)
sys.modules["kubelet_says"] = says
_spec.loader.exec_module(says)

SKEWS = (0.0, 3.7, -0.25)


def capture_of(folder: Path) -> Path:
    """Return the scenario's capture."""
    return next(folder / name for name in ("capture.pcap", "tun0.pcap") if (folder / name).is_file())


def analysed(folder: Path, **more: object):
    """Return the timeline of a scenario with its declared Pods."""
    return probewatch.analyze(capture_of(folder), spec=sorted(folder.glob("pod*.yaml")), **more)


def test_clock_and_join_of_every_capture(kubelet_scenario, tmp_path) -> None:
    """A log with a skewed clock: the offset is found to 50 ms where anything fits, and nothing plain is left unexplained."""
    made = says.lines(kubelet_scenario, 3.7)
    if not made:
        pytest.skip("this kubelet said nothing of probes")
    log = tmp_path / "kubelet.log"
    log.write_bytes(says.text(made))
    found = analysed(kubelet_scenario, kubelet_log=log).kubelet
    assert found is not None
    (offset,) = found.offsets
    if offset.pairs:
        assert abs(offset.ns - 3_700_000_000) <= 50_000_000 or any(abs(r - 3_700_000_000) <= 50_000_000 for r in offset.rivals)
    hard = [one for one in found.differences if one.clash not in EXPLAINED]
    # a probe whose neighbour does not answer may be asked again off its grid, without a frame: only the log knows
    assert all(one.clash is Clash.NO_ATTEMPT and "http-arp-dead" in kubelet_scenario.name for one in hard), hard


@pytest.mark.parametrize("form", says.FORMS)
@pytest.mark.parametrize("skew", SKEWS)
def test_every_form_and_skew(captures, tmp_path, form, skew) -> None:
    """Each form of the log, each skew: all seven timeouts find their attempts, and the offset is right to 50 ms."""
    folder = captures / "http-timeout"
    log = tmp_path / "log"
    log.write_bytes(says.FORMS[form](says.lines(folder, skew)))
    timeline = analysed(folder, kubelet_log=log)
    assert timeline.kubelet is not None
    assert abs(timeline.kubelet.offsets[0].ns - skew * 1e9) <= 50_000_000
    (probe,) = timeline.probes
    assert [a.n for a in probe.attempts if a.said] == [a.n for a in probe.attempts if a.outcome is Outcome.FAILURE]
    assert all("context deadline exceeded" in a.said[0].text for a in probe.attempts if a.said)
    assert timeline.kubelet.differences == ()


def test_a_node_in_local_time(captures, tmp_path) -> None:
    """A log without a journal, written hours away: the zone is found, the seconds too."""
    folder = captures / "http-flap-s1"
    log = tmp_path / "log"
    log.write_bytes(says.text(says.lines(folder, 1.25), zone=5.5))
    found = analysed(folder, kubelet_log=log).kubelet
    assert found is not None
    assert abs(found.offsets[0].ns - (5.5 * 3600 + 1.25) * 1e9) <= 50_000_000


def test_the_committed_log_is_made_from_the_record(captures) -> None:
    """captures/http-timeout/kubelet.log and events.json are what the record makes of them, 3.7 s ahead."""
    folder = captures / "http-timeout"
    assert (folder / "kubelet.log").read_bytes() == says.text(says.lines(folder, 3.7))
    assert json.loads((folder / "events.json").read_text())["items"] == says.events(folder, 3.7, aggregate=True)


def test_events_tell_seconds(captures, tmp_path) -> None:
    """Events: the offset is told with what whole seconds leave open, and is right within that; all events are joined."""
    for scenario in ("http-timeout", "http-flap-s1", "tcp-flap"):
        folder = captures / scenario
        made = says.events(folder, 3.7)
        path = tmp_path / f"{scenario}.json"
        path.write_bytes(says.event_list(made))
        found = analysed(folder, events=path).kubelet
        assert found is not None
        (offset,) = found.offsets
        assert abs(offset.ns - 3_700_000_000) <= offset.within_ns
        assert found.joined == len(made)
        assert found.differences == ()


def test_aggregated_events(captures, tmp_path) -> None:
    """Events put together: their count is held against the attempts of their time, and a wrong one is named with its reason."""
    folder = captures / "http-timeout"
    made = says.events(folder, aggregate=True)
    assert [e["count"] for e in made] == [7]
    path = tmp_path / "events.json"
    path.write_bytes(says.event_list(made))
    found = analysed(folder, events=path).kubelet
    assert found is not None
    assert found.differences == ()
    made[0]["count"] = 4
    path.write_bytes(says.event_list(made))
    (one,) = analysed(folder, events=path).kubelet.differences
    assert one.clash is Clash.AGGREGATED
    assert one.sentence == "an event says that it happened 4 times, the wire shows 7 such attempts in its time"
    made[0]["message"] = "(combined from similar events): " + made[0]["message"]
    path.write_bytes(says.event_list(made))
    assert "put similar events together" in analysed(folder, events=path).kubelet.differences[0].sentence


def test_one_kubelet_has_one_clock(captures) -> None:
    """Events beside a log of the same kubelet: one aggregated event says too little of the clock, the log tells it."""
    folder = captures / "http-timeout"
    timeline = analysed(folder, kubelet_log=folder / "kubelet.log", events=folder / "events.json")
    log, events = timeline.kubelet.offsets
    assert (events.ns, events.taken_from) == (log.ns, "kubelet.log")
    assert timeline.kubelet.differences == ()
    alone = analysed(folder, events=folder / "events.json").kubelet
    assert abs(alone.offsets[0].ns - 3_700_000_000) <= 1_100_000_000
    assert alone.differences == ()


def test_a_clock_that_cannot_be_set_accuses_nobody(captures, tmp_path) -> None:
    """One saying that fits nothing is no contradiction: it may be the clock."""
    folder = captures / "tcp-ready"
    log = tmp_path / "log"
    keys = {"probeType": "Readiness", "pod": "lab/tcp-ready", "containerName": "app", "output": "dial tcp 10.128.0.10:8080: i/o timeout"}
    at = next(row["t"] for row in says.truth(folder) if row["ev"] == "probe_start") + 10
    log.write_bytes(says.text([says.Line(at, "Probe failed", keys)]))
    found = analysed(folder, kubelet_log=log).kubelet
    assert found.differences == ()
    assert found.unplaced == 1


def changed(folder: Path, tmp_path: Path, change):
    """Return the differences after a change of the log's lines."""
    log = tmp_path / "log"
    log.write_bytes(says.text(change(says.lines(folder))))
    found = analysed(folder, kubelet_log=log).kubelet
    assert found is not None
    return found.differences


def test_a_failure_that_is_not_said(captures, tmp_path) -> None:
    """A failure on the wire that the log leaves out although it covers the time is a contradiction, with its attempt."""
    made = changed(captures / "http-timeout", tmp_path, lambda lines: [x for n, x in enumerate(lines) if n != 4])
    assert [(one.clash, one.attempts) for one in made] == [(Clash.NOT_SAID, (8,))]


def test_a_saying_without_an_attempt(captures, tmp_path) -> None:
    """What is said of a time at which the capture shows no attempt is a contradiction."""
    def change(lines):
        failed = [x for x in lines if x.message == "Probe failed"]
        return [*lines, failed[0]._replace(t=failed[0].t + 30.9)]

    (one,) = changed(captures / "http-timeout", tmp_path, change)
    assert one.clash is Clash.NO_ATTEMPT
    assert "the capture shows no attempt at that time" in one.sentence


def test_another_outcome_and_another_cause(captures, tmp_path) -> None:
    """It says failed where the wire shows a success; it names a status that the wire does not show."""
    def outcome(lines):
        good = [x for x in lines if x.message == "Probe succeeded"]
        return [x for x in lines if x.message != "Probe succeeded"] + [
            good[20]._replace(message="Probe failed", keys=good[20].keys | {"output": "HTTP probe failed with statuscode: 500"})]

    folder = captures / "http-timeout"
    log = tmp_path / "log"
    log.write_bytes(says.text(outcome(says.lines(folder, verbose=True))))
    found = analysed(folder, kubelet_log=log).kubelet
    assert [one.clash for one in found.differences] == [Clash.OUTCOME]
    assert found.differences[0].sentence == "the kubelet says failed, the wire shows success"

    def cause(lines):
        other = {"output": "HTTP probe failed with statuscode: 500"}
        return [x._replace(keys=x.keys | other) if x.message == "Probe failed" and n == 6 else x for n, x in enumerate(lines)]

    (one,) = changed(captures / "http-timeout", tmp_path, cause)
    assert one.clash is Clash.CAUSE


def test_decisions_beside_the_replayed_ones(captures, tmp_path) -> None:
    """`SyncLoop (probe)` lines find the replayed decisions; one that lacks, and one that nothing explains, are named."""
    folder = captures / "http-flap-s1"
    log = tmp_path / "log"
    log.write_bytes(says.text(says.lines(folder, 2.0)))
    timeline = analysed(folder, kubelet_log=log)
    decided = {(b.probe, b.attempt) for b in timeline.kubelet.decisions if b.attempt is not None}
    assert decided == {(p.id, d.attempt) for p in timeline.probes for d in p.decisions}

    def without(lines):
        at = next(n for n, x in enumerate(lines) if x.keys.get("status") == "not ready" and n > 3)
        return lines[:at] + lines[at + 1 :]

    (one,) = changed(folder, tmp_path, without)
    assert (one.clash, one.sentence) == (Clash.DECISION, "NotReady is replayed from the wire, and log does not tell it")

    def more(lines):
        ready = [x for x in lines if x.keys.get("status") == "ready"]
        return [*lines, ready[2]._replace(t=ready[2].t + 3, keys=ready[2].keys | {"status": "not ready"})]

    (one,) = changed(folder, tmp_path, more)
    assert one.clash is Clash.DECISION
    assert "no such decision" in one.sentence


def test_a_log_that_contradicts_every_failure_is_laid_where_it_does(captures, tmp_path) -> None:
    """Texts of another cause at the very moments of the failures, beside decisions that fit: the clock is not moved away from them."""
    def change(lines):
        other = {"output": 'Get "http://10.128.0.10:8080/": dial tcp 10.128.0.10:8080: connect: connection refused'}
        return [x._replace(keys=x.keys | other) if x.message == "Probe failed" else x for x in lines]

    (one,) = changed(captures / "http-timeout", tmp_path, change)
    assert one.clash is Clash.CAUSE
    assert one.count == 7


def test_a_log_without_any_of_the_failures(captures, tmp_path) -> None:
    """A log that tells a probe's decisions and not one of its failures contradicts the wire."""
    (one,) = changed(captures / "http-timeout", tmp_path, lambda lines: [x for x in lines if x.message != "Probe failed"])
    assert one.clash is Clash.NOT_SAID
    assert one.attempts == (6, 7, 8, 9, 10, 11, 12)
    assert "though it tells decisions of this probe" in one.sentence


def test_another_name_for_the_same_address(captures, tmp_path) -> None:
    """A log that calls the Pod at the probed address by another name than the manifest does is told as such."""
    made = changed(captures / "http-timeout", tmp_path, lambda lines: [x._replace(keys=x.keys | {"pod": "lab/zzz"}) for x in lines])
    assert [one.clash for one in made] == [Clash.POD]
    assert "speaks of Pod lab/zzz at 10.128.0.10" in made[0].sentence
    assert "this is lab/http-timeout" in made[0].sentence


def test_a_decision_told_twice_is_no_container_s_start(captures, tmp_path) -> None:
    """`not ready` in the midst of an outage, where no container began or ended, is a decision that the wire does not show."""
    def change(lines):
        lost = [x for x in lines if x.keys.get("status") == "not ready"][-1]
        return [*lines, lost._replace(t=lost.t + 5.5)]

    (one,) = changed(captures / "http-timeout", tmp_path, change)
    assert one.clash is Clash.DECISION
    assert "the kubelet decided not ready" in one.sentence


def test_nothing_said_contradicts_nothing(captures, tmp_path) -> None:
    """A log that says nothing of probes is not called free of contradictions."""
    log = tmp_path / "log"
    log.write_bytes(b"")
    found = analysed(captures / "http-timeout", kubelet_log=log).kubelet
    assert joined(found) == "nothing in it is about probes, so nothing is compared"


def test_restarts_and_killing_events(captures, tmp_path) -> None:
    """The kubelet's Killing event stands beside the restart that was replayed."""
    folder = captures / "k136-liveness-restart"
    timeline = analysed(folder)
    liveness = next(p for p in timeline.probes if p.type is ProbeType.LIVENESS)
    events = [{"kind": "Event", "involvedObject": {"namespace": "lab", "name": "liveness-restart-labnode"}, "reason": "Killing",
               "message": "Container app failed liveness probe, will be restarted", "lastTimestamp": says._rfc(d.ns / 1e9)}
              for d in liveness.decisions]
    path = tmp_path / "events.json"
    path.write_bytes(says.event_list(events))
    found = analysed(folder, events=path).kubelet
    assert [b.attempt for b in found.decisions] == [d.attempt for d in liveness.decisions]
    assert found.differences == ()


def test_exec_other_container_other_pod(captures, tmp_path) -> None:
    """An exec probe, another container and another Pod explain themselves: no contradiction."""
    def change(lines):
        one = next(x for x in lines if x.message == "Probe failed")
        return [*lines,
                one._replace(t=one.t + 0.5, keys=one.keys | {"probeType": "Startup", "output": "cat: /tmp/healthy: No such file"}),
                one._replace(t=one.t + 0.6, keys=one.keys | {"containerName": "sidecar"}),
                one._replace(t=one.t + 0.7, keys=one.keys | {"pod": "lab/elsewhere", "output": "HTTP probe failed with statuscode: 500"})]

    made = changed(captures / "http-timeout", tmp_path, change)
    assert {one.clash for one in made} == {Clash.EXEC, Clash.OTHER_CONTAINER, Clash.OTHER_POD}


def test_ports_join_exactly(captures) -> None:
    """A text with the client's port goes to the attempt of that connection, whatever the clock says, and sets the clock."""
    timeline = analysed(captures / "http-flap-s1")
    (probe,) = timeline.probes
    failed = [a for a in probe.attempts if a.outcome is Outcome.FAILURE]
    attempt = failed[7]
    port = attempt.legs[0].connection.client_port
    said = Utterance(
        ns=attempt.end_ns + 120 * 10**9, precision_ns=1000, saying=Saying.FAILED, type=ProbeType.READINESS, namespace="lab",
        pod="http-flap-s1", container="app", text=f"read tcp 10.128.0.1:{port}->10.128.0.10:8080: broken", port=port, source="log:1")
    found = account(timeline, [AccountFile("log", "log", 1, (said,))])
    assert [a.n for a in found.probes[0].attempts if a.said] == [attempt.n]
    assert abs(found.kubelet.offsets[0].ns - 120 * 10**9) <= 50_000_000


def test_outside_the_capture(captures, tmp_path) -> None:
    """What was said before and after the capture is counted and is no contradiction."""
    def change(lines):
        one = next(x for x in lines if x.message == "Probe failed")
        return [*lines, one._replace(t=one.t - 300), one._replace(t=one.t + 300)]

    assert changed(captures / "http-timeout", tmp_path, change) == ()


@pytest.mark.parametrize(("text", "cause", "status", "wrong"), [
    ("HTTP probe failed with statuscode: 503", Cause.STATUS, 503, False),
    ("HTTP probe failed with statuscode: 500", Cause.STATUS, 503, True),
    ("dial tcp 10.0.0.1:80: connect: connection refused", Cause.REFUSED, None, False),
    ("dial tcp 10.0.0.1:80: connect: connection refused", Cause.STATUS, 503, True),
    ("dial tcp 10.0.0.1:80: i/o timeout", Cause.NO_SYN_ANSWER, None, False),
    ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", Cause.NEIGHBOUR_UNRESOLVED, None, False),
    ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", Cause.REFUSED, None, True),
    ("something new", Cause.REFUSED, None, False),
])  # fmt: skip
def test_texts_and_causes(captures, text, cause, status, wrong) -> None:
    """A text excludes what it cannot stand for, and nothing else; an unknown one excludes nothing."""
    attempt = replace(analysed(captures / "http-timeout").probes[0].attempts[5], cause=cause, status=status, outcome=Outcome.FAILURE)
    said = Utterance(ns=0, precision_ns=1000, saying=Saying.FAILED, type=None, text=text, source="x")
    assert excludes(said, attempt) is wrong


def test_json_and_ndjson_tell_the_same(captures, tmp_path) -> None:
    """The document has each attempt's sayings and the account; the last revisions of NDJSON are that document."""
    from probewatch.cli import main
    from probewatch.report.ndjson import fold

    folder = captures / "http-timeout"
    log = tmp_path / "log"
    log.write_bytes(says.text(says.lines(folder, 3.7)))
    printed = {}
    for form in ("json", "ndjson"):
        goal = tmp_path / form
        with goal.open("w", encoding="utf-8") as file, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", file)
            inputs = [str(folder / "capture.pcap"), "--spec", str(folder / "pod.yaml"), "--kubelet-log", str(log)]
            assert main(["analyze", *inputs, "-o", form]) == 0
        printed[form] = goal.read_text(encoding="utf-8")
    document = json.loads(printed["json"])
    assert fold(map(json.loads, printed["ndjson"].splitlines())) == document
    assert document["kubelet"]["joined"] == 7
    assert sum(len(a.get("kubelet", [])) for a in document["probes"][0]["attempts"]) == 7
    import jsonschema

    schema = json.loads((Path(probewatch.__file__).parent / "report" / "timeline.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)


def test_hostile_logs_stay_text(captures, tmp_path) -> None:
    """Escape codes and markup in a log reach neither terminal nor page."""
    from probewatch.report import html, text

    folder = captures / "http-timeout"
    evil = "\x1b[2J<script>alert(1)</script>\u202e"
    log = tmp_path / "log"
    log.write_bytes(says.klog_json([x._replace(keys=x.keys | {"output": evil, "containerName": "app"}) for x in says.lines(folder)]
                                   + [says.Line(1795378262.9, "Probe failed", {"pod": f"lab/{evil}", "probeType": "Readiness"})]))
    timeline = analysed(folder, kubelet_log=log)
    parts: list[str] = []
    html.write(timeline, parts.append)
    text.write(timeline, parts.append, wide=True)
    whole = "".join(parts)
    assert "\x1b" not in whole
    assert "\u202e" not in whole
    assert "<script" not in "".join(parts).split("</html>")[0]
