"""The JSON document, its schema, and NDJSON that folds to it."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import probewatch
from probewatch.decisions.outages import outages
from probewatch.model.timeline import Cause, Gap
from probewatch.report import document, html, ndjson, text, trace
from probewatch.report.html_strip import strip
from probewatch.report.numbers import percentile, rfc3339, seconds

S = 1_000_000_000


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return each line as an object."""
    return [json.loads(line) for line in text.splitlines()]


def test_document_fits_its_schema(timeline, name, validator) -> None:
    """Every timeline gives a document that the packaged schema accepts (a hostile one has impossible kinds, and nothing else wrong)."""
    errors = list(validator.iter_errors(document.document(timeline)))
    if name == "hostile":
        errors = [e for e in errors if e.absolute_path[-1] not in ("kind", "source")]
    assert errors == []


def test_streamed_json_is_the_document(timeline, collected) -> None:
    """What `-o json` writes piece by piece parses to the very document, is ASCII and ends with a newline."""
    text = collected(lambda out: document.write(timeline, out))
    assert json.loads(text) == document.document(timeline)
    assert text.isascii()
    assert text.endswith("}\n")


def test_json_holds_no_lone_surrogate(timeline, collected) -> None:
    """Every string of the document can be encoded as UTF-8: strict readers accept it."""
    json.dumps(json.loads(collected(lambda out: document.write(timeline, out))), ensure_ascii=False).encode("utf-8")


def test_one_attempt_is_one_line(made, collected) -> None:
    """An attempt stands on one line, so that grep and diff are useful."""
    text = collected(lambda out: document.write(made["flapping"](), out))
    assert sum(line.lstrip().startswith('{"n": ') for line in text.splitlines()) == 67


def test_ndjson_folds_to_the_document(timeline, collected) -> None:
    """The last revisions of all lines are the json document."""
    text = collected(lambda out: ndjson.lines(timeline, out))
    assert ndjson.fold(lines_of(text)) == document.document(timeline)


def test_fold_does_not_depend_on_the_order_of_lines(timeline, collected) -> None:
    """Only `rev` says which line is the later one."""
    shuffled = lines_of(collected(lambda out: ndjson.lines(timeline, out)))
    random.Random(7).shuffle(shuffled)
    assert ndjson.fold(shuffled) == document.document(timeline)


def test_every_line_has_its_head(timeline, collected) -> None:
    """Each line begins with event, id, rev and probe; the first one names the schema."""
    parsed = lines_of(collected(lambda out: ndjson.lines(timeline, out)))
    assert parsed[0] == {"event": "schema", "id": "schema", "rev": 1, "probe": None, "schema": "probewatch.timeline/1"}
    for line in parsed:
        assert list(line)[:4] == ["event", "id", "rev", "probe"]


def test_later_revision_replaces_earlier(made) -> None:
    """An attempt told twice, a probe that moved, an event withdrawn: the fold is as if only the last had been said."""
    timeline = made["restarting"]()
    probe = timeline.probes[1]
    parts: list[str] = []
    writer = ndjson.Writer(parts.append)
    writer.change("probe", "p1", 1, "p1", replace(timeline.probes[0], notes=("not yet known",)))
    writer.change("probe", "p7", 1, "p7", replace(probe, id="p7"))
    writer.change("event", "e9", 1, None, replace(timeline.events[0], evidence="a guess"))
    wrong = replace(probe.attempts[0], cause=Cause.CUT)
    writer.change("attempt", "a1", 1, "p7", wrong)
    writer.change("gap", "g1", 1, "p2", Gap(start_ns=0, end_ns=1, expected=9, reason="a guess"))
    for owner in timeline.probes:
        for n, attempt in enumerate(owner.attempts):
            writer.change("attempt", f"a1{owner.id}{n}" if owner.id != "p2" or n else "a1", 2, owner.id, attempt)
        for n, decision in enumerate(owner.decisions):
            writer.change("decision", f"d{owner.id}{n}", 1, owner.id, decision)
    writer.change("gap", "g1", 2, "p2", None)
    writer.change("gap", "g2", 1, "p2", probe.gaps[0])
    writer.end(timeline)
    assert ndjson.fold(lines_of("".join(parts))) == document.document(timeline)


def test_nothing_said_twice_at_the_end(made, collected) -> None:
    """What has been said and still holds is not repeated at the end of input."""
    parsed = lines_of(collected(lambda out: ndjson.lines(made["restarting"](), out)))
    keys = [(line["event"], line["id"]) for line in parsed]
    assert len(keys) == len(set(keys))


def test_schema_refuses_a_strange_field(made, validator) -> None:
    """The schema is no rubber stamp: a wrong type, a missing and an unknown field are refused."""
    good = document.document(made["flapping"]())
    for change in ({"n": "1"}, {"cause": "bad luck"}, {"surprise": 1}, {"start": "yesterday"}):
        bad = json.loads(json.dumps(good))
        bad["probes"][0]["attempts"][0] |= change
        assert not validator.is_valid(bad)
    bad = json.loads(json.dumps(good))
    del bad["probes"][0]["summary"]
    assert not validator.is_valid(bad)


def test_schema_knows_every_cause_and_kind(validator) -> None:
    """The enumerations of the schema are those of the model."""
    defs = validator.schema["$defs"]
    assert defs["attempt"]["properties"]["cause"]["enum"] == [cause.value for cause in Cause]


def test_summary_counts_and_percentiles(attempts, made) -> None:
    """Latency is exact, by nearest rank, over verdicts that a frame shows; a verdict by silence does not count."""
    wanted = attempts([(Cause.OK, ms * 1_000_000) for ms in range(1, 101)])
    silent = replace(wanted[-1], n=101, end_mark=None, end_ns=wanted[-1].start.ns + 10**10, cause=Cause.SLOW_ANSWER)
    summary = document.summary_object(replace(made["flapping"]().probes[0], attempts=(*wanted, silent), gaps=()))
    assert summary["latency_s"] == {"p50": 0.05, "p99": 0.099, "max": 0.1}
    assert summary["attempts"] == 101


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.integers(1, 100))
def test_percentile_is_nearest_rank(values: list[int], percent: int) -> None:
    """At least `percent` of the values do not exceed the result, and no smaller value has that."""
    ordered = sorted(values)
    result = percentile(ordered, percent)
    enough = math.ceil(percent * len(ordered) / 100)
    assert sum(v <= result for v in ordered) >= enough
    assert sum(v < result for v in ordered) < enough


@given(st.integers(-(10**22), 10**22))
def test_any_time_is_text_or_null(ns: int) -> None:
    """A time outside the calendar becomes null, never an exception; every other one keeps its nanoseconds."""
    text = rfc3339(ns)
    if text is None:
        assert not 0 <= ns < 253_402_300_800 * 10**9
    else:
        assert len(text) == 30
        assert int(text[20:29]) == ns % 10**9


@settings(max_examples=300)
@given(st.integers(0, 10**15))
def test_seconds_keep_their_nanoseconds(ns: int) -> None:
    """A duration survives the way through JSON to the nanosecond, with at most 9 decimals."""
    text = json.dumps(seconds(ns))
    assert round(float(text) * 10**9) == ns
    assert "e" in text or len(text.partition(".")[2]) <= 9


def test_verdicts_answer_in_one_screen(captures) -> None:
    """The worst first: who fails, since when, whether it is over, by what it was out of service, why, and what to look at."""
    folder = captures / "k136-liveness-restart"
    told = document.document(probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml"))["verdicts"]
    liveness, readiness = told
    assert (liveness["subject"], readiness["subject"]) == ("liveness lab/liveness-restart/app", "readiness lab/liveness-restart/app")
    assert [(one["level"], one["over"]) for one in told] == [("trouble", None), ("trouble", None)]
    assert (liveness["since"], liveness["attempt"]) == ("2026-11-22T20:19:36.682985000Z", 11)
    assert [one["name"] for one in liveness["causes"]] == ["says-unhealthy", "restart-loop"]
    assert [(one["by"], one["restarted_by"]) for one in readiness["out_of_service"]] == 4 * [("container", "liveness")]
    assert round(readiness["out_of_service_s"], 1) == 33.9
    assert "Ready since 2026-11-22T20:20:52.339952000Z" in readiness["now"]


@pytest.mark.parametrize("doubtful", [False, True])
def test_every_output_tells_what_is_doubtful(made, collected, doubtful: bool) -> None:
    """Where a new container is but a likeness, no output asserts it, nor that its Pod was out of service; else all do."""
    whole = made["restarting"]()
    ready, liveness = whole.probes
    back, (event, gap) = ready.attempts[20], whole.events
    rose = replace(ready.decisions[0], ns=back.end_ns, attempt=back.n, mark=back.start, since_ns=3 * S)
    ready = replace(ready, initial_state="Ready", decisions=(rose,))
    event = replace(event, ns=back.start.ns - S, doubtful=doubtful)
    timeline = replace(whole, probes=(ready, replace(liveness, decisions=())), events=(event, gap))
    told = document.document(timeline)
    assert [one["doubtful"] for one in told["events"] if one["kind"] == "container_started"] == [doubtful]
    assert [one["doubtful"] for one in told["events"] if one["kind"] == "capture_gap"] == [False]
    (verdict,) = [one for one in told["verdicts"] if one["probe"] == ready.id]
    assert [one["doubtful"] for one in verdict["out_of_service"]] == [doubtful]
    assert ("as it seems" in verdict["sentence"]) is doubtful
    lines = lines_of(collected(lambda out: ndjson.lines(timeline, out)))
    assert [one["doubtful"] for one in lines if one["event"] == "event" and one["kind"] == "container_started"] == [doubtful]
    assert ("perhaps container app started" in " ".join(collected(lambda out: text.write(timeline, out)).split())) is doubtful
    page = collected(lambda out: html.write(timeline, out))
    assert ("perhaps container app started" in page) is doubtful
    assert f"States: Ready, {'unknown' if doubtful else 'NotReady'}." in strip(ready, [event], 0, outages(ready, timeline)).says
    events = json.loads(collected(lambda out: trace.write(timeline, out)))["traceEvents"]
    assert [one["args"]["doubtful"] for one in events if one["name"] == "container_started"] == [doubtful]


def test_a_verdict_on_what_is_fine_asks_for_nothing(captures) -> None:
    """Where nothing is wrong there is no since, no cause and nothing to look at."""
    folder = captures / "tcp-ready"
    (one,) = document.document(probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml"))["verdicts"]
    assert (one["level"], one["since"], one["over"], one["now"], one["causes"], one["attempt"]) == ("fine", None, None, None, [], None)
