# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""What is declared for a checker, tied to its series: the numbers that then decide, and what the output says of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from make import ns
from test_checks import DOWN, UP, check, paused, told

import probewatch
from probewatch.cluster import parse_check, read_haproxy
from probewatch.model.book import AddressBook
from probewatch.model.check import CheckSpec
from probewatch.model.timeline import Outcome, Probe
from probewatch.observer.checks import CheckBuilder
from probewatch.observer.survey import survey
from probewatch.probes.runs import Run

OPENSHIFT = Path(__file__).parents[2] / "captures" / "hap-openshift"


def probes(runs: list[Run], specs: list[CheckSpec], *, first: float = 0.0) -> list[Probe]:
    """Return the probes of these runs."""
    ordered = sorted(runs, key=lambda run: run.start)
    named, _ = survey(ordered, declared=specs)
    builder = CheckBuilder(AddressBook(checks=tuple(specs)), lambda connection: connection, ns(first), ordered[-1].start.ns + 60 * 10**9)
    return [builder.probe(one) for one in named]


def configured(tmp_path, text: str) -> list[CheckSpec]:
    """Return what a configuration declares."""
    path = tmp_path / "lb.cfg"
    path.write_text(text)
    return read_haproxy(str(path))[0]


@pytest.mark.parametrize("server", ["10.0.0.2", "fd00::2"])
def test_declared_thresholds_decide(tmp_path, server: str) -> None:
    """Rise and fall of the server line are counted, and the output says where they stand; over IPv4 and IPv6."""
    client = "fd00::9" if ":" in server else "10.0.0.9"
    runs = paused(["haproxy"] * 6 + ["haproxy-503"] * 6 + ["haproxy"] * 6, 1.0, server=server, client=client)
    specs = configured(tmp_path, f"backend be\n option httpchk GET /healthz HTTP/1.1\n server s [{server}]:8080 check inter 1s rise 4 fall 5\n")
    probe, = probes(runs, specs)
    assert told(probe) == [(11, DOWN), (16, UP)]
    assert [(made.threshold, made.threshold_source) for made in probe.decisions] == [(5, "declared"), (4, "declared")]
    assert probe.thresholds == {"rise": (4, "declared"), "fall": (5, "declared")}
    assert probe.check is not None
    assert probe.check.declared["server"] == "be/s"
    assert probe.spec_source == "lb.cfg:3"


def test_what_is_not_declared_stays_default(tmp_path) -> None:
    """A line that says only `rise` leaves `fall` to HAProxy's default, and both are told apart."""
    specs = configured(tmp_path, "backend be\n server s 10.0.0.2:8080 check inter 1s rise 3\n")
    probe, = probes(paused(["l4"] * 6 + ["refused"] * 4 + ["l4"] * 4, 1.0), specs)
    assert probe.thresholds == {"rise": (3, "declared"), "fall": (3, "default")}
    assert [made.threshold_source for made in probe.decisions] == ["default", "declared"]


def test_expected_statuses_and_redirects(tmp_path) -> None:
    """`http-check expect ! status 503` makes a 503 no failure... of the configured kind: only what it names fails."""
    specs = configured(tmp_path, "backend be\n option httpchk GET /healthz\n http-check expect status 503\n server s 10.0.0.2:8080 check\n")
    probe, = probes(paused(["haproxy"] * 5 + ["haproxy-503"] * 5, 2.0), specs)
    assert [made.outcome for made in probe.attempts] == [Outcome.FAILURE] * 5 + [Outcome.SUCCESS] * 5


def test_a_declared_fastinter_is_no_reload(tmp_path) -> None:
    """A check that comes early after checks that all failed is a reload, unless the line says that it comes early then."""
    runs, at = [], 0.5
    for what, pause in [*[("haproxy", 3.0)] * 5, ("haproxy-503", 3.0), ("haproxy-503", 1.0), *[("haproxy", 3.0)] * 5]:
        runs.append(check(at, what))
        at += 0.003 + pause
    plain, = probes(runs, [])
    assert any("reloaded" in note for note in plain.notes)
    specs = configured(tmp_path, "backend be\n option httpchk GET /healthz\n server s 10.0.0.2:8080 check inter 3s fastinter 1s\n")
    told_of, = probes(runs, specs)
    assert not told_of.notes
    assert not told_of.decisions


def test_init_state(tmp_path) -> None:
    """`init-state fully-up` needs all of `fall` failures where the default needs one."""
    line = "backend be\n server s 10.0.0.2:8080 check inter 1s"
    runs = paused(["refused"] * 4 + ["l4"] * 5, 1.0, first=20.0)
    assert [told(probes(runs, configured(tmp_path, line + more))[0])[0] for more in ("", " init-state fully-up")] == [(1, DOWN), (3, DOWN)]
    down, = probes(runs, configured(tmp_path, line + " init-state fully-down"))
    assert (down.initial_state, told(down)) == ("DOWN", [(6, UP)])


def test_two_lines_for_one_address_are_told_by_their_interval(tmp_path) -> None:
    """The same server in two backends: the series that keeps a line's interval is that line's; equal lines share their numbers, not their name."""
    text = "backend {0}\n server s 10.0.0.2:8080 check inter {1} fall {2}\n"
    specs = configured(tmp_path, text.format("a", "1s", 2) + text.format("b", "5s", 4))
    slow, = probes(paused(["l4"] * 6 + ["refused"] * 5 + ["l4"] * 4, 5.0), specs)
    assert (slow.check.name, told(slow)[0]) == ("b/s", (10, DOWN))
    same = configured(tmp_path, text.format("a", "5s", 4) + text.format("b", "5s", 4))
    shared, = probes(paused(["l4"] * 8, 5.0), same)
    assert (shared.check.name, shared.spec_source, shared.check.fall) == ("", "lb.cfg:2 or lb.cfg:4", 4)
    unlike = configured(tmp_path, text.format("a", "5s", 4) + text.format("b", "5s", 2))
    neither, = probes(paused(["l4"] * 8, 5.0), unlike)
    assert neither.check is None
    assert neither.notes == ("several declared checks fit it and differ (lb.cfg:2, lb.cfg:4): none is taken",)


def test_another_request_or_port_is_another_check(tmp_path) -> None:
    """Method, path, port and kind of check have to be those of the line."""
    runs = paused(["haproxy"] * 6, 1.0)
    for line in (
        "option httpchk GET /other HTTP/1.1\n server s 10.0.0.2:8080 check", "option httpchk\n server s 10.0.0.2:8080 check", "server s 10.0.0.2:8080 check",
        "option httpchk GET /healthz\n server s 10.0.0.2:8080 check port 81", "option httpchk GET /healthz\n server s 10.0.0.3:8080 check",
    ):
        assert probes(runs, configured(tmp_path, f"backend be\n {line}\n"))[0].check is None, line


def test_a_varnish_window_by_hand() -> None:
    """5 and 3 go sick at the third failure, the assumed 8 and 3 only at the sixth; a target restricts it."""
    runs = paused(["varnish"] * 8 + ["refused"] * 7 + ["varnish"] * 4, 1.0)
    assert told(probes(runs, [])[0]) == [(14, DOWN), (18, UP)]
    probe, = probes(runs, [parse_check("varnish:window=5,threshold=3,target=10.0.0.2:8080")])
    assert told(probe) == [(11, DOWN), (18, UP)]
    assert probe.thresholds == {"threshold": (3, "declared"), "window": (5, "declared")}
    assert not probe.notes
    other, = probes(runs, [parse_check("varnish:window=5,threshold=3,target=10.0.0.3")])
    assert other.check is None


def test_keepalived_by_hand() -> None:
    """retry=0: the first failure counts."""
    runs, at = [], 0.5
    jitter = random.Random(5)
    for what, pause in [("fin", 2.0)] * 6 + [("refused", 1.0), ("refused", 1.0), ("refused", 2.0)] * 3 + [("fin", 2.0)] * 3:
        runs.append(check(at, what))
        at += 0.001 + pause + jitter.uniform(0.001, 0.003)
    assert told(probes(runs, [])[0])[0] == (9, DOWN)
    assert told(probes(runs, [parse_check("keepalived:retry=0,delay_before_retry=1s")])[0])[0] == (7, DOWN)


def test_by_hand_wins_over_a_configuration(tmp_path) -> None:
    """What `--check` says takes the place of the line's number, also without a target; the rest stays the line's."""
    specs = configured(tmp_path, "backend be\n server s 10.0.0.2:8080 check inter 1s rise 3 fall 4\n")
    probe, = probes(paused(["l4"] * 6 + ["refused"] * 6 + ["l4"] * 5, 1.0), [parse_check("haproxy:fall=2"), *specs])
    assert told(probe) == [(8, DOWN), (15, UP)]
    assert probe.spec_source == "--check, else lb.cfg:2"
    assert probe.check.declared == {"server": "be/s", "inter_s": 1.0, "rise": 3, "fall": 2}


def test_a_target_by_hand_names_what_nothing_names() -> None:
    """A plain connect at irregular pace is unknown; one `--check` with its target names it, unless two series fit or the interval does not."""
    jitter = random.Random(3)
    starts = [0.5]
    for _ in range(14):
        starts.append(starts[-1] + 2.05 + jitter.uniform(0.0, 0.04))
    runs = [check(at, "fin") for at in starts]
    assert probes(runs, [])[0].checker.kind == "unknown"
    for text, kind in {
        "blackbox_exporter:interval=2s,target=10.0.0.2:8080": "blackbox_exporter", "keepalived:retry=1,target=10.0.0.2": "keepalived",
        "blackbox_exporter:interval=5s,target=10.0.0.2": "unknown", "keepalived:retry=1": "unknown", "haproxy:rise=2,target=10.0.0.2": "unknown",
    }.items():
        probe, = probes(runs, [parse_check(text)])
        assert probe.checker.kind == kind, text
    both = probes([*runs, *[check(at + 0.7, "fin", client="10.0.0.8") for at in starts]], [parse_check("keepalived:retry=1,target=10.0.0.2")])
    assert [probe.checker.kind for probe in both] == ["unknown", "unknown"]
    skipped, _ = survey(runs, skip=frozenset({"10.0.0.9"}), declared=[parse_check("keepalived:retry=1,target=10.0.0.2")])
    assert not skipped, "a kubelet's attempts are never named after anybody else"


def test_a_real_router_with_its_configuration() -> None:
    """The project's own capture of a router: decisions are those of its log, JSON shows the line, an idle line is said."""
    timeline = probewatch.analyze(OPENSHIFT / "cap.pcap", haproxy_cfg=OPENSHIFT / "haproxy.cfg")
    plain = probewatch.analyze(OPENSHIFT / "cap.pcap")
    assert [probe.decisions for probe in timeline.probes] == [probe.decisions for probe in plain.probes]
    made = probewatch.document(timeline)["probes"][0]
    assert made["declared"] == {"server": "be_http:ns:app/pod:pod1:10.129.10.10:8080", "inter_s": 5, "timeout_check_s": 5}
    assert made["declared_in"] == "haproxy.cfg:19"
    by_hand = probewatch.analyze(OPENSHIFT / "cap.pcap", check=["haproxy:rise=1,fall=1,target=10.129.10.10", "apache:hcfails=1"])
    assert [len(probe.decisions) for probe in by_hand.probes] == [4, 0]
    assert [decision.threshold for decision in by_hand.probes[0].decisions] == [1, 1, 1, 1]
    assert by_hand.notes == ("no check in this capture fits what is declared for apache (--check)",)
