"""The table and the wide report: what a person reads, and what must never reach a terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.api import analyze
from probewatch.model.finding import CLIENTS_REFUSED, Finding, Held
from probewatch.model.timeline import Cause, Effects, EventKind, Outcome, ProbeType, TimelineEvent
from probewatch.report import html, text, words
from probewatch.report.escape import pad, quoting, safe, shorten, valid, width
from probewatch.report.live import Lines
from probewatch.report.paper import ASCII, UNICODE, Paper, Span, glyphs_for, wrap
from probewatch.report.sparkline import sparkline
from probewatch.report.verdict import Level, judge
from probewatch.report.words import endpoint

SGR = re.compile(r"\x1b\[[0-9;]*m")


def table(timeline, **options) -> str:
    """Return the report as one text."""
    parts: list[str] = []
    text.write(timeline, parts.append, **options)
    return "".join(parts)


def test_table_is_at_most_100_columns(timeline) -> None:
    """No line of the table is wider than 100 columns, whatever the names, in Unicode and in ASCII."""
    for glyphs in (UNICODE, ASCII):
        for line in table(timeline, glyphs=glyphs).splitlines():
            assert width(line) <= 100, line


@pytest.mark.parametrize("length", range(20, 60))
def test_a_capture_says_whether_it_is_complete(made, length: int) -> None:
    """However long the name of a capture is, its frames, time and completeness stay whole beside or below it."""
    whole = made["flapping"]()
    (info,) = whole.captures
    shown = table(replace(whole, captures=(replace(info, path="c" * length, frames=123_456),)))
    assert re.search(r"^c* +123456 frames, .* UTC, complete$", shown, flags=re.MULTILINE), shown[:300]


@pytest.mark.parametrize(
    ("field", "expected", "line"),
    [
        ("attempts", "at least 3 attempts", "????  web: at least 3 attempts: cut"),
        ("probe", "at least 1 probe", "????  web: at least 1 probe: cut"),
        ("periodSeconds", "3 s", "????  web: periodSeconds 3 s: cut"),
        ("path", "/path", "????  web: path /path: cut"),
    ],
)
def test_an_expectation_names_its_field_once(made, field: str, expected: str, line: str) -> None:
    """What is open is told in a sentence: field, expected value, reason; a value that names its field stands alone."""
    whole = made["flapping"]()
    found = Finding(held=Held.INCONCLUSIVE, subject="web", field=field, sentence="cut", expected=expected)
    assert line in table(replace(whole, findings=(found,))).splitlines()


def test_the_same_finding_of_many_is_told_once(made) -> None:
    """What three and more probes have in common is one finding with the numbers as a range; fewer, other reasons, and `wide` one each."""
    whole = made["flapping"]()
    waits = ("2.47", "0.033", "7.29")
    found = [
        Finding(held=Held.INCONCLUSIVE, subject=f"readiness lab/web-{n}", field="timeoutSeconds", expected="1 s",
                sentence=f"none from 10.0.0.{n} had to wait (the longest {waited} ms)".replace(f"10.0.0.{n}", "10.0.0.1"))
        for n, waited in enumerate(waits)
    ]  # fmt: skip
    other = replace(found[0], sentence="cut")
    passed = [Finding(held=Held.PASS, subject=one.subject, field="port", sentence="fine") for one in found]
    shown = table(replace(whole, findings=(*found, other, *passed)))
    assert "????  timeoutSeconds 1 s: none from 10.0.0.1 had to wait (the longest 0.033 to 7.29 ms)\n      of all 3\n" in shown
    assert "????  readiness lab/web-0: timeoutSeconds 1 s: cut" in shown
    assert "PASS  port\n      of all 3\n" in shown
    assert shown.count("????") == 2
    assert table(replace(whole, findings=tuple(found)), wide=True).count("????") == 3
    assert table(replace(whole, findings=tuple(found[:2]))).count("????") == 2


def test_no_spaces_at_line_ends(timeline) -> None:
    """Lines end with their last word."""
    assert not [line for line in table(timeline).splitlines() if line != line.rstrip()]


def test_hostile_text_is_written_out(made, evil) -> None:
    """Nothing from outside reaches the output raw: no control, no bidirectional override, no lone surrogate, no forged line."""
    for options in ({}, {"wide": True}, {"wide": True, "colour": True}):
        said = table(made["hostile"](), **options)
        said.encode("utf-8")
        plain = SGR.sub("", said) if options.get("colour") else said
        assert [c for c in plain if not c.isprintable() and c != "\n"] == []
        assert "\\x1b]0;owned\\x07" in plain
        assert "owned\n" not in plain
    assert not evil.isprintable()


def test_clients_are_told_in_one_line(made) -> None:
    """The line on clients has each number that is there, and says which are bounds; others who are refused are told so."""
    timeline = made["flapping"]()
    probe = timeline.probes[0]
    everything = Effects(first_client_after_ready_ns=400_000_000, last_new_client_after_not_ready_ns=1_900_000_000,
                         clients_while_not_ready=3, clients_refused_while_ready=4, clients_unanswered_while_ready=5)
    said = " ".join(table(replace(timeline, probes=(replace(probe, effects=everything),))).split())
    assert "clients first new connection 400 ms after Ready, last 1.900 s after NotReady, 3 while NotReady, 4 refused" in said
    assert "4 refused while Ready, 5 without an answer while Ready" in said
    said = " ".join(table(replace(timeline, probes=(replace(probe, effects=replace(everything, approximate=True)),))).split())
    assert "about 400 ms after Ready, last about 1.900 s after NotReady, at least 3 while NotReady, at least 4 refused" in said
    kept = replace(everything, kept_while_not_ready=2, last_kept_after_not_ready_ns=12_000_000_000)
    said = " ".join(table(replace(timeline, probes=(replace(probe, effects=kept),))).split())
    assert "5 without an answer while Ready, 2 kept connections used on, 12.0 s into NotReady" in said
    assert "  clients " not in table(replace(timeline, probes=(replace(probe, effects=Effects(clients_while_not_ready=0)),)))
    others = tuple(replace(other, refused=7, unanswered=2) for other in timeline.others)
    assert "client traffic, 7 refused, 2 unanswered" in table(replace(timeline, others=others))


def test_a_service_that_is_down_comes_first(made) -> None:
    """Where clients are turned away while the Pod is Ready, a probe that is fine is no longer told as fine; others are."""
    timeline = made["assorted"]()
    fine = next(probe for probe in timeline.probes if judge(probe, timeline).level is Level.FINE)
    finding = Finding(held=Held.FAIL, probe=fine.id, subject="readiness", field=CLIENTS_REFUSED, sentence="9 connections were refused")
    told = replace(timeline, findings=(finding,))
    verdict = judge(fine, told)
    assert verdict.level is Level.WARNING
    assert verdict.sentence.startswith("clients are turned away while it is Ready (see findings); ")
    assert verdict.causes == ()
    for probe in timeline.probes:
        if probe is not fine:
            assert judge(probe, told) == judge(probe, timeline)
    for other in (replace(finding, held=Held.INCONCLUSIVE), replace(finding, field="periodSeconds")):
        assert judge(fine, replace(timeline, findings=(other,))) == judge(fine, timeline)


def test_colour_only_on_demand(timeline) -> None:
    """Without `colour` there is no escape sequence; with it there are, and nothing else changes."""
    plain, coloured = table(timeline), table(timeline, colour=True)
    assert "\x1b" not in plain
    assert SGR.sub("", coloured) == plain


def test_ascii_fallback(made) -> None:
    """With ASCII marks a report of ASCII names is pure ASCII: an 8-bit terminal shows no garbage."""
    for name in ("flapping", "restarting", "assorted", "nothing"):
        assert table(made[name](), glyphs=ASCII).isascii()
        assert table(made[name](), glyphs=ASCII, wide=True).isascii()


@pytest.mark.parametrize(("encoding", "marks"), [
    ("utf-8", UNICODE), ("UTF-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII), ("no such thing", ASCII)])
def test_marks_follow_the_encoding(encoding, marks) -> None:
    """Unicode marks are used only where the output can hold them."""
    assert glyphs_for(encoding) is marks


def test_verdict_comes_first(made) -> None:
    """The second line of a probe says what to think of it: state lost, why, how long."""
    lines = table(made["flapping"]()).splitlines()
    assert lines[2].startswith("readiness  lab/http-flap-s1/app  GET http://10.128.0.10:8080/flap?block=5")
    assert lines[3] == "  NotReady 6 times: the application answers 503; out of service 18.0 s of 66.0 s (27 %)"


def test_every_decision_has_its_row(timeline, name) -> None:
    """A row stands for every decision, with its streak."""
    if name == "hostile":
        return
    said = table(timeline)
    for probe in timeline.probes:
        for decision in probe.decisions:
            assert re.search(rf"#{decision.attempt} .*{decision.streak}/{decision.threshold}  +{decision.after}\b", said)


def test_steady_runs_are_folded(made) -> None:
    """Forty attempts alike are one row and a count in the table; wide shows each."""
    steady = replace(made["restarting"](), probes=made["restarting"]().probes[:1])
    assert "39 more like this" in table(steady)
    assert "#20" not in table(steady)
    assert sum(bool(re.search(r"#\d+ +open", line)) for line in table(steady, wide=True).splitlines()) == 40


def test_many_changes_leave_the_table_readable(made) -> None:
    """A probe that changes a thousand times fills no screens: the middle is left out, and said to be."""
    timeline = made["flapping"]()
    probe = timeline.probes[0]
    bad = next(a for a in probe.attempts if a.outcome is Outcome.FAILURE)
    many = tuple(replace(bad, n=n + 1, status=500 + n % 11) for n in range(1000))
    said = table(replace(timeline, probes=(replace(probe, attempts=many, decisions=()),)))
    assert len(said.splitlines()) < 120
    assert "940 lines omitted; -o wide" in said


def test_long_sparkline_is_grouped(attempts) -> None:
    """More attempts than columns share marks, and a failure among successes is never hidden."""
    wanted = attempts([(Cause.REFUSED if n == 500 else Cause.OK, 1_000_000) for n in range(1000)])
    spans, each = sparkline(wanted, 10**9, 90, UNICODE)
    marks = "".join(span.text for span in spans)
    assert each == 12
    assert len(marks) <= 90
    assert marks.count("✗") == 1


def test_sparkline_heights_are_eighths_of_the_timeout(attempts) -> None:
    """The taller a mark, the nearer the answer was to the deadline."""
    wanted = attempts([(Cause.OK, eighth * 125_000_000 + 1) for eighth in range(8)])
    spans, _ = sparkline(wanted, 10**9, 90, UNICODE)
    assert "".join(span.text for span in spans) == "▁▂▃▄▅▆▇█"


def test_cause_and_advice_where_something_is_wrong(made) -> None:
    """A probe in trouble says what happened and what to try, with its own numbers; a fine one says neither."""
    said = table(made["restarting"]())
    live = said[said.index("liveness  shop/cart-7d9f/app  GET"):]
    live = " ".join(live.split())
    assert "cause application-slow: the pod's kernel acknowledged the requests at once; the answers came after 2.41 s" in live
    assert "timeoutSeconds: 3 would have waited for these answers. (docs/causes.md#application-slow)" in live
    ready = said[said.index("readiness  shop/cart-7d9f/app  TCP"):said.index("liveness  shop/cart-7d9f/app  GET")]
    assert "cause" not in ready
    assert "try" not in ready


def test_incomplete_input_is_said(made) -> None:
    """A capture that was cut is called INCOMPLETE, and where it was cut."""
    said = table(made["restarting"]())
    assert re.search(r"cart\.pcapng .*INCOMPLETE\n    The file is cut in the middle of frame 612", said)


def test_frames_name_their_file_where_there_are_several(made) -> None:
    """With more than one capture every proof says in which it is found."""
    said = table(made["restarting"]())
    assert "[1] frames 420-429" in said
    assert "[2] node-b.pcapng.zst" in said
    assert "[1]" not in table(made["flapping"]())


def test_default_is_named(made) -> None:
    """Numbers that the Pod spec leaves out are shown with where they come from."""
    assert "every 1 s, timeout 1 s, 1 success, 3 failures (flapping.yaml; default: timeout)" in table(made["flapping"]())


def test_what_is_supposed_is_not_called_the_default(captures: Path) -> None:
    """Where a failureThreshold above Kubernetes' default is supposed, the table says so, and the value is not `default`."""
    found = analyze(captures / "startup-probe" / "capture.pcap")
    startup, readiness = (next(p for p in found.probes if p.type is kind) for kind in (ProbeType.STARTUP, ProbeType.READINESS))
    failed = sum(one.outcome is Outcome.FAILURE for one in startup.attempts)
    value, source = startup.thresholds["failureThreshold"]
    assert (value > failed, source) == (True, "inferred")
    assert readiness.thresholds["failureThreshold"] == (3, "default")
    assert words.seen(startup) == f"every 1 s, assumed (default): timeout 1 s, 1 success, presumed: {value} failures"
    assert words.seen(readiness) == "every 2 s, assumed (default): timeout 1 s, 1 success, 3 failures"


def test_no_probes_helps(made) -> None:
    """A capture without probes says what was seen instead and what to try."""
    said = table(made["nothing"]())
    assert "no probes found" in said
    assert "425 connections of 2 clients" in said
    assert "--spec" in said
    assert "412 x  10.128.0.20 (lab/client) to 10.128.0.10:8080: client traffic" in said


def test_trouble_stands_first(made) -> None:
    """The overview and the details begin with what needs a look; probes of one container stay together."""
    said = table(made["assorted"]()).splitlines()
    assert said[2].startswith("6 probes: 1 in trouble")
    assert "haproxy check" in said[3]


def test_many_fine_probes_are_told_in_short(made) -> None:
    """Beyond six probes those that are fine have no rows, and the reader is told how to see them."""
    probe = made["restarting"]().probes[0]
    timeline = replace(made["nothing"](), probes=tuple(
        replace(probe, id=f"p{n}", target=replace(probe.target, pod=f"pod-{n}")) for n in range(1, 9)))
    assert "more like this" not in table(timeline)
    assert "--probe or -o wide shows every attempt" in table(timeline)
    assert "more like this" in table(replace(timeline, probes=timeline.probes[:3]))


@pytest.mark.parametrize(("kind", "begin"), [(ProbeType.READINESS, "readiness"), (ProbeType.UNKNOWN, "probe")])
def test_unknown_type_is_not_guessed(made, kind, begin) -> None:
    """A kubelet's probe of unknown type is a `probe`, nothing more."""
    timeline = made["flapping"]()
    said = table(replace(timeline, probes=(replace(timeline.probes[0], type=kind),)))
    assert said.splitlines()[2].startswith(f"{begin}  lab/")


def test_endpoints_of_both_families() -> None:
    """IPv6 addresses stand in brackets before a port."""
    assert endpoint("10.0.0.1", 80) == "10.0.0.1:80"
    assert endpoint("fd00::1", 80) == "[fd00::1]:80"
    assert endpoint("fd00::1", None) == "fd00::1"


@given(st.text())
def test_safe_is_printable_and_loses_nothing(raw: str) -> None:
    """Any text becomes printable and different texts stay different: the escapes can be read back."""
    shown = safe(raw)
    assert shown.isprintable()
    assert shown.encode("ascii", "backslashreplace").decode("unicode_escape", "surrogatepass") == raw


@given(st.text())
def test_quoting_leaves_escapes_and_nothing_else(raw: str) -> None:
    """What is in a sentence that quotes bytes already reaches no terminal raw either; its backslashes stay as they are."""
    said = quoting(raw)
    assert said.isprintable()
    assert said.replace("\\", "") == safe(raw.replace("\\", "")).replace("\\", "")
    assert quoting(r'"a\x01b\\"') == r'"a\x01b\\"'


@given(st.text(st.characters(codec=None, categories=["Cs", "Cc", "Lu", "Cf"])))
def test_safe_and_valid_take_lone_surrogates(raw: str) -> None:
    """Undecodable bytes of file names are shown as bytes, and JSON text can always be encoded."""
    assert safe(raw).isprintable()
    valid(raw).encode("utf-8")
    assert safe("a\udcffb") == valid("a\udcffb") == "a\\xffb"


@given(st.text(), st.integers(1, 40))
def test_shorten_keeps_its_width(raw: str, columns: int) -> None:
    """Shortened text fits, wide characters count two, and what fits is not touched."""
    shown = safe(raw)
    short = shorten(shown, columns)
    assert width(short) <= columns
    assert short == shown or short.endswith("…")
    assert width(pad(short, columns)) == columns


@given(st.text(st.sampled_from("ab 漢-"), max_size=200), st.integers(10, 60))
def test_wrap_loses_nothing(raw: str, columns: int) -> None:
    """A wrapped paragraph has the same letters in the same order, in lines that fit."""
    rows = wrap(raw, columns)
    assert "".join(rows).replace(" ", "") == raw.replace(" ", "")
    assert all(width(row) <= columns for row in rows)


def test_paper_is_the_last_guard() -> None:
    """Even text that nobody made safe is written out by `Paper`."""
    parts: list[str] = []
    Paper(parts.append, colour=True).line(Span("a\x1b[2Jb", "red"), "\nc")
    assert parts == ["\x1b[31ma\\x1b[2Jb\x1b[0m\\nc\n"]


def test_failures_of_a_start_are_no_warning(made, attempts) -> None:
    """What is refused right before the first Ready is a container coming up; what fails later is a warning; Ready anew means an outage."""
    timeline = made["restarting"]()
    probe = timeline.probes[0]
    ok, bad = (Cause.OK, 1_000_000), (Cause.REFUSED, 1_000_000)
    tries = attempts([bad, ok, ok, bad, bad, ok, ok])
    ready = [replace(probe.decisions[0], attempt=n, ns=tries[n - 1].end_ns) for n in (2, 6)]
    early = replace(probe, attempts=tries[:3], decisions=tuple(ready[:1]))
    begun = TimelineEvent(ns=tries[0].start.ns, kind=EventKind.CONTAINER_STARTED, address=early.target.address)
    fine = table(replace(timeline, probes=(early,), events=(begun,)))
    assert (
        "Ready 1.0 s after the first attempt and stayed Ready; 1 attempt failed while it started: refused"
        in " ".join(fine.split())
    )
    assert "cause" not in fine
    unknown = " ".join(table(replace(timeline, probes=(early,), events=())).split())
    assert "1 attempt failed before that, from the capture's beginning on (refused): whether it was Ready earlier is not known" in unknown
    again = table(replace(timeline, probes=(replace(probe, attempts=tries, decisions=tuple(ready)),), events=()))
    assert "NotReady once: its container ended" in " ".join(again.split())
    warned = table(replace(timeline, probes=(replace(probe, attempts=tries, decisions=tuple(ready[:1])),), events=()))
    assert "2 of 7 attempts failed later, too few in a row: " in " ".join(warned.split())


@pytest.mark.parametrize("maker", ["flapping", "restarting", "assorted"])
@pytest.mark.parametrize("columns", [None, 120, 80, 60, 44])
def test_lines_of_a_watch_fit_the_terminal(made, maker: str, columns: int | None) -> None:
    """No line is wider than the terminal, and none lacks time, probe, number, result or decision; in a pipe each is whole."""
    for probe in made[maker]().probes:
        out: list[str] = []
        lines = Lines(out.append, columns=columns)
        decided = {decision.attempt: decision for decision in probe.decisions}
        for one in probe.attempts:
            del out[:]
            lines.attempt(("", "", probe.id), probe, one, decided.get(one.n))
            said = " ".join("".join(out).split())
            facts = [words.kind(probe), f"#{one.n}", words.result(one, probe.handler)]
            facts += [decided[one.n].after] if one.n in decided else []
            facts += [str(one.frames()[0])] if columns is None and not one.implied else []
            assert all(safe(fact) in said for fact in facts)
            assert words.label(probe).replace(" ", "") in said.replace(" ", "")
            assert columns is None or max(width(line) for line in "".join(out).split("\n")) <= columns


def test_a_recording_is_as_long_wherever_it_is_told(made) -> None:
    """Where it is known when capturing began and ended, that is its length, in the table and on the page."""
    timeline = made["flapping"]()
    first = timeline.captures[0]
    longer = replace(first, began_ns=first.first_ns - 1_000_000_000, ended_ns=first.last_ns + 9_000_000_000)
    whole = replace(timeline, captures=(longer,))
    told = re.search(r"frames in (\S+ s), the first at", table(whole))
    assert told is not None
    parts: list[str] = []
    html.write(whole, parts.append)
    assert "".join(parts).count(f"frames in {told[1]}, the first at") == 1


@pytest.mark.parametrize(("kind", "said"), [
    ("haproxy", "2 s after each end, assumed (default): rise 2, fall 3"), ("apache", "2 s after each end, assumed: rise 2, fall 3"),
    ("envoy", "2 s after each end, assumed: rise 2, fall 3"),
])
def test_only_documented_numbers_are_called_defaults(made, kind: str, said: str) -> None:
    """What a program documents is its default; numbers that it does not document are only assumed."""
    (probe, *_) = made["flapping"]().probes
    check = replace(
        probe, spec=None, checker=replace(probe.checker, kind=kind), thresholds={"rise": (2, "default"), "fall": (3, "default")},
        inferred={"interval_s": 2.0, "interval_basis": "end"},
    )  # fmt: skip
    assert words.seen(check) == said


def test_a_start_that_needs_several_successes_is_no_warning(made, attempts) -> None:
    """With successThreshold 2 what failed before the first of them is the start too, with or without a success between."""
    timeline = made["restarting"]()
    probe = timeline.probes[0]
    ok, bad = (Cause.OK, 1_000_000), (Cause.REFUSED, 1_000_000)
    for course in ([bad, ok, ok, ok], [bad, ok, bad, ok, ok]):
        tries = attempts(course)
        ready = replace(probe.decisions[0], attempt=len(tries), ns=tries[-1].end_ns)
        one = replace(probe, attempts=tries, decisions=(ready,), initial_state="NotReady")
        begun = TimelineEvent(ns=tries[0].start.ns, kind=EventKind.CONTAINER_STARTED, address=one.target.address)
        shown = " ".join(table(replace(timeline, probes=(one,), events=(begun,))).split())
        assert "failed later" not in shown
        assert "failed while it started: refused" in shown
