"""The kubelet's log and events, in every form: what is read, what is passed over, what hostile files cannot do."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.cluster import SpecError, journal, read_events, read_kubelet_log
from probewatch.model.said import Saying
from probewatch.model.spec import ProbeType

NEAR = int(datetime(2026, 11, 22, 20, 10, tzinfo=UTC).timestamp()) * 10**9


def _says():
    """Load the maker of logs that stands beside the tests of the join."""
    path = Path(__file__).resolve().parent.parent / "verify" / "kubelet_says.py"
    spec = importlib.util.spec_from_file_location("kubelet_says", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kubelet_says"] = module
    spec.loader.exec_module(module)
    return module


says = _says()


def read(tmp_path, data: bytes, name: str = "kubelet.log"):
    """Return what a log of these bytes tells."""
    path = tmp_path / name
    path.write_bytes(data)
    return read_kubelet_log(str(path), NEAR)


@pytest.mark.parametrize("form", says.FORMS)
@pytest.mark.parametrize("scenario", ["http-timeout", "http-flap-s1", "startup-probe", "k136-liveness-restart", "http-ipv6"])
def test_every_form_tells_the_same(tmp_path, captures, scenario, form) -> None:
    """A log as text, as JSON, and as journalctl prints it in three ways says the same at the same times."""
    made = says.lines(captures / scenario, verbose=True)
    found = read(tmp_path, says.FORMS[form](made))
    assert found.notes == ()
    assert len(found.said) == len(made)
    for said, line in zip(found.said, made, strict=True):
        assert abs(said.ns - round(line.t * 1e9)) < 2_000
        assert f"{said.namespace}/{said.pod}" == line.keys["pod"]
        kind = line.keys.get("probeType", line.keys.get("probe", "")).lower()
        assert said.type is ProbeType(kind)
        assert said.text == line.keys.get("output", line.keys.get("err", ""))
        assert said.state == line.keys.get("status", "")
        assert said.container == line.keys.get("containerName")


def test_old_sentences(tmp_path, captures) -> None:
    """Before 1.20 the message was a sentence: type, Pod, container and output are read from it."""
    made = [line for line in says.lines(captures / "http-flap-s1") if line.message == "Probe failed"]
    found = read(tmp_path, says.old(made))
    assert [said.text for said in found.said] == [line.keys["output"] for line in made]
    assert {(said.pod, said.namespace, said.container, said.type) for said in found.said} == {
        ("http-flap-s1", "lab", "app", ProbeType.READINESS)}
    loop = 'I1122 20:10:01.000000    1 kubelet.go:1911] SyncLoop (container unhealthy): "web-1_shop(0aa)"\n'
    assert read(tmp_path, loop.encode()).said[0].saying is Saying.DECIDED


@pytest.mark.parametrize("form", ["text", "journal-json", "journal-export"])
def test_values_of_several_lines(tmp_path, form) -> None:
    """An output of several lines is put together again, also where the journal split it into entries of its own."""
    keys = {"probeType": "Liveness", "pod": "shop/web-1", "containerName": "app", "probeResult": "failure", "output": "first\nsecond\n"}
    last = {"probeType": "Liveness", "pod": "shop/web-1", "containerName": "app", "probeResult": "failure", "output": "one line"}
    made = [says.Line(NEAR / 1e9, "Probe failed", keys), says.Line(NEAR / 1e9 + 1, "Probe failed", last)]
    found = read(tmp_path, says.FORMS[form](made))
    assert [said.text for said in found.said] == ["first\nsecond", "one line"]
    assert found.said[0].pod == "web-1"


def test_openshift_s_names(tmp_path) -> None:
    """On OpenShift the process is called kubenswrapper: values of several lines are put together there too."""
    keys = {"probeType": "Liveness", "pod": "shop/web-1", "containerName": "app", "output": "first\nsecond"}
    data = says.journal_text([says.Line(NEAR / 1e9, "Probe failed", keys)]).replace(b"kubelet[", b"kubenswrapper[")
    assert [said.text for said in read(tmp_path, data).said] == ["first\nsecond"]


def test_local_time_beside_a_journal(tmp_path, captures) -> None:
    """A node in local time: the journal's own time tells the zone, to the quarter of an hour."""
    made = says.lines(captures / "http-flap-s1")
    for zone in (-7, 5.5, 12.75):
        found = read(tmp_path, says.journal_export(made, zone))
        assert abs(found.said[0].ns - round(made[0].t * 1e9)) < 2_000


@pytest.mark.parametrize(("line", "near", "year"), [
    ("I1231 23:59:59.900000", datetime(2027, 1, 1, tzinfo=UTC), 2026),
    ("I0101 00:00:00.100000", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 2027),
    ("I0229 12:00:00.000000", datetime(2028, 3, 1, tzinfo=UTC), 2028),
])
def test_the_year_is_the_capture_s(tmp_path, line, near, year) -> None:
    """Klog writes no year: the one nearest to the capture is taken, across new year too."""
    path = tmp_path / "log"
    path.write_text(f'{line}   1 prober.go:1] "Probe failed" probeType="Readiness" pod="a/b" output="x"\n', encoding="utf-8")
    found = read_kubelet_log(str(path), int(near.timestamp()) * 10**9)
    assert datetime.fromtimestamp(found.said[0].ns / 1e9, UTC).year == year


def test_ports_in_errors(tmp_path) -> None:
    """The client's port that an error names is kept, IPv4 and IPv6: it names one connection."""
    for address in ("10.244.1.1:41210->10.244.1.10:8080", "[fd00::1]:41210->[fd00::10]:8080"):
        head = 'I1122 20:10:01.000000 1 prober.go:1] "Probe failed" probeType="Liveness" pod="a/b" '
        line = f'{head}output="read tcp {address}: read: connection reset by peer"\n'
        assert read(tmp_path, line.encode()).said[0].port == 41210


def test_gzip_and_bad_files(tmp_path, captures) -> None:
    """Gzip is read; a capture, a folder, a broken gzip and nothing at all end in one sentence."""
    text = says.text(says.lines(captures / "http-timeout"))
    assert len(read(tmp_path, gzip.compress(text), "log.gz").said) == len(read(tmp_path, text).said)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(text)[:-20])
    for path, why in (
        (captures / "http-timeout" / "capture.pcap", "packet capture"), (tmp_path, "directory"), (tmp_path / "cut.gz", "cannot be read"),
        (tmp_path / "none", "no such file"), ("-", "standard input"),
    ):
        with pytest.raises(SpecError, match=why) as error:
            read_kubelet_log(str(path), NEAR)
        assert "\n" not in str(error.value)


def _entries(lines: list[str]) -> list[dict[str, str]]:
    return [{"__REALTIME_TIMESTAMP": "1795378250000000", "MESSAGE": line} for line in lines]


WRAPPED = {
    "UTF-16, as PowerShell writes it": lambda lines: "\r\n".join(lines).encode("utf-16"),
    "grep -n": lambda lines: "".join(f"{n}:{line}\n" for n, line in enumerate(lines, 1000)).encode(),
    "grep -H": lambda lines: "".join(f"kubelet.log:{line}\n" for line in lines).encode(),
    "coloured": lambda lines: "".join(f"\x1b[31m{line}\x1b[0m\n" for line in lines).encode(),
    "journalctl -o json-pretty": lambda lines: "".join(json.dumps(e, indent=8) + "\n" for e in _entries(lines)).encode(),
    "journalctl -o json-sse": lambda lines: "".join(f"data: {json.dumps(e)}\n\n" for e in _entries(lines)).encode(),
    "a JSON array": lambda lines: json.dumps(_entries(lines)).encode(),
}


@pytest.mark.parametrize("form", WRAPPED)
def test_what_a_log_is_wrapped_in_does_not_matter(tmp_path, captures, form) -> None:
    """A log that came through another encoding, grep, a terminal or another of journalctl's JSON forms says the same."""
    made = says.text(says.lines(captures / "http-timeout")).decode()
    plain = read(tmp_path, made.encode())
    found = read(tmp_path, WRAPPED[form](made.splitlines()), "wrapped")
    assert len(plain.said) > 5
    assert [(one.saying, one.pod, one.text) for one in found.said] == [(one.saying, one.pod, one.text) for one in plain.said]


def test_no_text_is_no_log(tmp_path) -> None:
    """Bytes that are no text are refused, in a sentence; an empty file has a note that says that it is empty."""
    with pytest.raises(SpecError, match="no text"):
        read(tmp_path, bytes(range(256)) * 4)
    assert read(tmp_path, b"").notes == ("kubelet.log: the file is empty",)


def test_a_directory_names_the_logs_in_it(tmp_path) -> None:
    """A must-gather's directory is no file: the files in it that are named like a kubelet's log are named."""
    place = tmp_path / "host_service_logs" / "masters"
    place.mkdir(parents=True)
    (place / "kubelet_service.log").write_text("")
    (place / "crio_service.log").write_text("")
    with pytest.raises(SpecError, match=r"it is a directory; give a file of it: \S*/masters/kubelet_service.log$"):
        read_kubelet_log(str(tmp_path), NEAR)
    with pytest.raises(SpecError, match=r"give a file \(none in it is named \*event\*.json or"):
        read_events(str(tmp_path))


def test_a_log_of_something_else_has_a_note(tmp_path) -> None:
    """No line of a kubelet, or none about probes: a note says which, nothing fails."""
    assert "no line of it is a kubelet's" in read(tmp_path, b"hello\nworld\n").notes[0]
    assert "none about probes" in read(tmp_path, b'I1122 20:10:01.000000 1 a.go:1] "Hello" x="y"\n').notes[0]


def test_endless_lines_are_cut(tmp_path) -> None:
    """A line, and a field of an export, longer than the bound is cut; what follows is read."""
    good = 'I1122 20:10:01.000000 1 prober.go:1] "Probe failed" probeType="Liveness" pod="a/b" output="x"\n'
    found = read(tmp_path, b"x" * (3 * journal.MAX_LINE) + b"\n" + good.encode())
    assert len(found.said) == 1
    size = 3 * journal.MAX_LINE
    entry = b"__CURSOR=1\nBLOB\n" + size.to_bytes(8, "little") + b"y" * size + b"\nMESSAGE=" + good.encode() + b"\n"
    assert len(read(tmp_path, entry).said) == 1


SEEDS = [
    b'I1122 20:10:01.000000 1 prober.go:1] "Probe failed" probeType="Liveness" pod="a/b" output="x\\u0000"\n',
    b'{"ts":1795378262936.245,"msg":"Probe failed","probeType":"Readiness","pod":{"name":"a"},"output":"x"}\n',
    b'{"__REALTIME_TIMESTAMP":"1795378262936245","MESSAGE":[73,49]}\n',
    b"__CURSOR=1\n__REALTIME_TIMESTAMP=1\nMESSAGE\n\x05\0\0\0\0\0\0\0hello\n\n",
    b'I1122 20:10:01.000000 1 prober.go:1] "Probe failed" output=<\n',
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.one_of(st.sampled_from(SEEDS), st.binary(max_size=40)), max_size=8).map(b"".join),
       cut=st.integers(0, 200), value=st.integers(0, 255))
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path, data, cut, value) -> None:
    """Whatever a log holds: it is read, or SpecError says why not."""
    changed = data[:cut] + bytes([value]) + data[cut:]
    refused = ""
    try:
        found = read(tmp_path, changed)
        assert found.records >= len(found.said)
    except SpecError as error:
        refused = str(error)
    assert "\n" not in refused


def event(**more):
    """Return one event as the API has it."""
    return {"kind": "Event", "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1", "fieldPath": "spec.containers{app}"},
            "reason": "Unhealthy", "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
            "firstTimestamp": "2026-11-22T20:10:00Z", "lastTimestamp": "2026-11-22T20:12:00Z", "count": 7, "eventTime": None} | more


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_events(tmp_path, form) -> None:
    """Core and events.k8s.io objects, aggregated and combined, of any type and of restarts; others are passed over."""
    items = [
        event(),
        event(message="(combined from similar events): Liveness probe failed: EOF"),
        event(message="Startup probe errored and resulted in unknown state: boom", count=1, lastTimestamp="2026-11-22T20:10:00Z"),
        event(message="Container app failed liveness probe, will be restarted", reason="Killing", involvedObject={"name": "web-1"}),
        event(message="Pulled image"),
        {"kind": "Event", "regarding": {"namespace": "shop", "name": "web-1"}, "note": "Readiness probe warning: moved",
         "eventTime": "2026-11-22T20:10:00.250000Z", "series": {"count": 3, "lastObservedTime": "2026-11-22T20:11:00.5Z"}},
        event(lastTimestamp="soon", firstTimestamp=None),
    ]
    path = tmp_path / "events"
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    if form == "yaml":
        import yaml

        path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    else:
        path.write_text(json.dumps(whole), encoding="utf-8")
    found = read_events(str(path))
    first, combined, errored, killing, new = found.said
    assert (first.count, first.text, first.container, first.event) == (7, "HTTP probe failed with statuscode: 503", "app", True)
    assert first.first_ns is not None
    assert first.ns - first.first_ns == 120 * 10**9
    assert combined.combined
    assert combined.type is ProbeType.LIVENESS
    assert (errored.saying, errored.text, errored.first_ns) == (Saying.ERRORED, "boom", None)
    assert (killing.saying, killing.container) == (Saying.KILLING, "app")
    assert (new.saying, new.precision_ns, new.count) == (Saying.WARNED, 1000, 3)
    assert "1 events have no time" in found.notes[0]


def test_what_is_no_list_of_events(tmp_path) -> None:
    """A dump of Pods given as events is refused with what is needed."""
    path = tmp_path / "pods.json"
    path.write_text('{"kind": "PodList", "items": [{"kind": "Pod"}]}', encoding="utf-8")
    with pytest.raises(SpecError, match=r"holds no event \(1 other objects\); --events needs"):
        read_events(str(path))


@pytest.mark.parametrize("text", ['{"kind": "List", "apiVersion": "v1", "items": []}', "kind: EventList\nitems: []\n"])
def test_an_empty_list_of_events_is_one(tmp_path, text: str) -> None:
    """Events expire: a list without one is read, and a note says so."""
    path = tmp_path / "events.json"
    path.write_text(text, encoding="utf-8")
    found = read_events(str(path))
    assert found.said == ()
    assert found.notes == ("events.json: an empty list: events expire, after an hour by default",)
