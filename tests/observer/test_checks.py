"""Checkers that are not the kubelet, from packets to probes: who, how often, what came of it, and UP and DOWN."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from make import exchange as exchange_of
from make import mark, ns, run_of

from probewatch.model.book import AddressBook
from probewatch.model.catalogue import CATALOGUE, in_words_of
from probewatch.model.exchange import Exchange, TlsFacts, TlsRecord
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Probe
from probewatch.observer.checks import CheckBuilder
from probewatch.observer.readiness import State, serving
from probewatch.observer.sealed import _lengths, hides, hung
from probewatch.observer.survey import survey
from probewatch.probes.judge import Verdict
from probewatch.probes.runs import Run
from probewatch.probes.signatures import Basis

CHECKER, SERVER = "10.0.0.9", "10.0.0.2"
UP, DOWN = DecisionKind.UP, DecisionKind.DOWN
ASK = "> PA 'GET /healthz HTTP/1.1\\r\\nhost: app\\r\\nconnection: close\\r\\n\\r\\n'"
VARNISH = "> PA 'GET /healthz HTTP/1.1\\r\\nHost: 10.0.0.2\\r\\nConnection: close\\r\\n\\r\\n'"
SCRIPTS = {
    "l4": "> S\n < SA\n > RA",
    "haproxy": f"> S\n < SA\n {ASK}\n < A\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 900\\r\\n\\r\\nok'\n > RA",
    "haproxy-503": f"> S\n < SA\n {ASK}\n < A\n < PA 'HTTP/1.1 503 No\\r\\nContent-Length: 2\\r\\n\\r\\nno'\n > RA",
    "varnish": f"> S\n < SA\n > A\n {VARNISH}\n < A\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n < FA\n > FA\n < A",
    "apache": "> S\n < SA\n > A\n > PA 'GET /a HTTP/1.0\\r\\nHost: a\\r\\n\\r\\n'\n < A\n < FPA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n"
              " > FA\n < A",
    "proxied": "> S\n < SA\n > A\n > PA 'GET /app HTTP/1.1\\r\\nhost: a\\r\\nx-forwarded-for: 10.0.0.7\\r\\n\\r\\n'\n < A\n"
               " < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > FA\n < FA\n > A",
    "loop": "> S\n < SA\n > A\n > PA 'GET /app HTTP/1.1\\r\\nhost: a\\r\\nuser-agent: curl/8\\r\\naccept: */*\\r\\n\\r\\n'\n < A\n"
            " < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > RA",
    "fin": "> S\n < SA\n > A\n > FA\n < FA\n > A",
    "refused": "> S\n < RA",
    "silent": "> S",
    "late": "> S\n +1100ms < SA\n > R",
    "envoy": "> S\n < SA\n > A\n > PA 'GET /e HTTP/1.1\\r\\nhost: e\\r\\nuser-agent: Envoy/HC\\r\\n\\r\\n'\n < A\n"
             " < FPA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n > FA\n < A",
    "keepalived": "> S\n < SA\n > A\n > PA 'GET /k HTTP/1.0\\r\\nUser-Agent: KeepAliveClient\\r\\nHost: a:80\\r\\n\\r\\n'\n < A\n"
                  " < FPA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n > FA\n < A",
    "acked-reset": "> S\n < SA\n > A\n > RA",
    "ping": "> S\n < SA\n > PA 'PING\\r\\n'\n < A\n < PA 'PONG\\r\\n'\n > RA",
    "ping-hung": "> S\n < SA\n > PA 'PING\\r\\n'\n < A\n +999500us > RA",
    "agent-up": "> S\n < SA\n > A\n < PA 'up 50%\\n'\n < FA\n > FA\n < A",
    "agent-weight": "> S\n < SA\n > A\n < PA '50%\\n'\n < FA\n > FA\n < A",
    "agent-drain": "> S\n < SA\n > A\n < PA 'drain\\n'\n < FA\n > FA\n < A",
    "agent-down": "> S\n < SA\n > A\n < PA 'down\\n'\n < FA\n > FA\n < A",
    "agent-sent-up": "> S\n < SA\n > PA 'PING\\r\\n'\n < A\n < PA 'up\\n'\n < FA\n > FA\n < A",
    "agent-sent-down": "> S\n < SA\n > PA 'PING\\r\\n'\n < A\n < PA 'down\\n'\n < FA\n > FA\n < A",
    "monit": "> S\n < SA\n > A\n > PA 'GET / HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: Monit/5.33.0\\r\\nConnection: close\\r\\n\\r\\n'\n"
             " < A\n < FPA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > FA\n < A",
    "monit-503": "> S\n < SA\n > A\n > PA 'GET / HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: Monit/5.33.0\\r\\nConnection: close\\r\\n\\r\\n'\n"
                 " < A\n < FPA 'HTTP/1.1 503 No\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > FA\n < A",
    "hung": f"> S\n < SA\n {ASK}\n < A\n +999500us > RA",
}
TOOK = {"silent": 1.0, "late": 1.0, "hung": 1.0, "ping-hung": 1.0}
"""How long the checker was busy with it, else a millisecond."""


def check(at: float, what: str, *, client: str = CHECKER, server: str = SERVER, port: int = 8080) -> Run:
    """Return one check."""
    sport = 32_768 + round(at * 1000) % 28_000
    ends = f"[{client}]:{sport} > [{server}]:{port}" if ":" in client else f"{client}:{sport} > {server}:{port}"
    return run_of(exchange_of(SCRIPTS[what], ends, at=at))


def paused(whats: Iterable[str], pause: float, *, first: float = 0.5, seed: int = 1, **how: str) -> list[Run]:
    """Return checks that pause from the end of each to the start of the next, a few milliseconds late as daemons are."""
    jitter = random.Random(seed)
    out, at = [], first
    for what in whats:
        out.append(check(at, what, **how))  # type: ignore[arg-type]
        at += TOOK.get(what, 0.001) + pause + jitter.uniform(0.001, 0.004)
    return out


def probes(runs: Sequence[Run], *, first: float = 0.0) -> tuple[list[Probe], list[Run]]:
    """Return the probes of these runs, and what is left of them."""
    ordered = sorted(runs, key=lambda run: run.start)
    named, left = survey(ordered)
    end = ordered[-1].start.ns + 60 * 10**9 if ordered else 0
    builder = CheckBuilder(AddressBook(), lambda connection: connection, ns(first), end)
    return [builder.probe(one) for one in named], left


def only(runs: Sequence[Run], **how: float) -> Probe:
    """Return the one probe of these runs."""
    found, _ = probes(runs, **how)  # type: ignore[arg-type]
    assert len(found) == 1, [(probe.checker.kind, len(probe.attempts)) for probe in found]
    return found[0]


def told(probe: Probe) -> list[tuple[int, DecisionKind]]:
    """Return the decisions, each with the number of its attempt."""
    return [(found.attempt, found.kind) for found in probe.decisions]


def test_haproxy_goes_down_at_the_third_failure_and_up_at_the_second_pass() -> None:
    """Default rise 2 and fall 3, counted on a connect check that was refused in between; the log's own moments."""
    probe = only(paused(["l4"] * 6 + ["refused"] * 5 + ["l4"] * 4, 1.0))
    assert probe.checker.kind == "haproxy"
    assert told(probe) == [(9, DOWN), (13, UP)]
    assert probe.decisions[0].ns == probe.attempts[8].end_ns
    assert probe.inferred["interval_basis"] == "end"
    assert abs(probe.inferred["interval_s"] - 1.0) < 0.01
    assert probe.thresholds == {"rise": (2, "default"), "fall": (3, "default")}
    assert probe.decisions[0].before == "UP"


def test_a_status_that_may_be_wanted_is_said_to_count_as_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 401 is the usual answer its checker may want just that (http-check expect status 401): the note says what it is counted as."""
    monkeypatch.setitem(SCRIPTS, "haproxy-401", SCRIPTS["haproxy-503"].replace("503 No", "401 No"))
    (note,) = only(paused(["haproxy-401"] * 6, 2.0)).notes
    assert note == "most of its answers are 401, counted as failure: whether that is the status it wants is not on the wire"
    assert not only(paused(["haproxy-503"] * 6, 2.0)).notes
    assert not only(paused(["haproxy-401"] * 3 + ["haproxy"] * 4, 2.0)).notes


def test_what_failed_from_the_first_check_on_may_have_been_up_before() -> None:
    """Three failures at the beginning of a capture leave DOWN alone, from the third on: they may have brought it."""
    probe = only(paused(["haproxy-503"] * 6, 2.0))
    assert (probe.initial_state, probe.initial_since_ns) == ("DOWN", probe.attempts[2].end_ns)
    assert told(probe) == []


def test_the_kubelets_events_are_no_other_checkers() -> None:
    """Who is no kubelet leaves no event: of an encrypted answer its own log is named."""
    advice = CATALOGUE[Cause.ENCRYPTED].advice
    assert "kubectl" in in_words_of("kubelet", advice)
    assert "kubectl" not in in_words_of("haproxy", advice)


def test_ipv6() -> None:
    """The same over IPv6."""
    probe = only(paused(["haproxy"] * 6, 1.0, client="fd00::9", server="fd00::2"))
    assert probe.checker.kind == "haproxy"
    assert probe.path == "/healthz"


def test_an_answers_header_is_enough() -> None:
    """HAProxy resets as soon as it has read the status: the body it did not wait for is no failure."""
    probe = only(paused(["haproxy"] * 5, 2.0))
    assert {made.outcome for made in probe.attempts} == {Outcome.SUCCESS}


def test_timeouts_lengthen_the_period_and_show_themselves() -> None:
    """Pause and timeout are told apart, by the checker's own reset and, where it sends none, by the gap."""
    probe = only(paused(["haproxy"] * 5 + ["hung"] * 3 + ["haproxy"] * 3, 2.0))
    assert abs(probe.inferred["timeout_s"] - 1.0) < 0.02
    assert abs(probe.inferred["interval_s"] - 2.0) < 0.02
    silent = only(paused(["l4"] * 5 + ["silent"] * 4 + ["l4"] * 3, 2.0))
    assert abs(silent.inferred["timeout_s"] - 1.0) < 0.02
    assert told(silent) == [(8, DOWN), (11, UP)]
    assert silent.attempts[5].cause is Cause.NO_SYN_ANSWER


def test_a_syn_is_waited_for_no_longer_than_the_pace_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `timeout check` 1.5 s an unanswered SYN still lasts `inter` only: DOWN is told when HAProxy 2.6.12 logged it."""
    runs, at = [], 0.5
    monkeypatch.setitem(SCRIPTS, "hung-1500", SCRIPTS["hung"].replace("999500", "1499500"))
    good, hung = ("haproxy", 0.001), ("hung-1500", 1.5)
    whats = [*[good] * 5, *[hung] * 2, *[good] * 5, *[("silent", 1.0)] * 4, *[good] * 3]
    for what, took in whats:
        runs.append(check(at, what))
        at += took + 1.002
    probe = only(runs)
    assert told(probe) == [(15, DOWN), (18, UP)]
    third = probe.attempts[14]
    assert (third.end_ns - third.start.ns) / 1e9 == pytest.approx(1.0, abs=0.03)
    assert probe.inferred["timeout_s"] == pytest.approx(1.5, abs=0.01)
    # Once alone nothing of the pace shows it: HAProxy's rule does.
    once = only([one for one in runs if not runs[12].start.ns < one.start.ns < runs[16].start.ns])
    lone = next(made for made in once.attempts if made.cause is Cause.NO_SYN_ANSWER)
    assert (lone.end_ns - lone.start.ns) / 1e9 == pytest.approx(1.0, abs=0.03)


def test_a_syn_that_is_answered_at_its_second_try_shows_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect check that left when its late SYN-ACK came waited for nothing: connect_timeout 3 of keepalived shows by its steps."""
    monkeypatch.setitem(SCRIPTS, "second", "> S\n +1s < SA\n > A\n > FA\n < FA\n > A")
    runs, at = [], 0.5
    good, bad, silent = ("fin", 2.001), ("refused", 1.001), ("silent", 4.001)
    twice = [bad, ("refused", 2.001), *[good] * 4]
    for what, step in [*[good] * 6, *twice, *twice, silent, ("silent", 5.001), silent, ("second", 3.001), *[good] * 4]:
        runs.append(check(at, what))
        at += step
    probe = only(runs)
    assert probe.inferred["timeout_s"] == pytest.approx(3.0, abs=0.02)
    assert [round((made.end_ns - made.start.ns) / 1e9, 1) for made in probe.attempts if made.cause is Cause.NO_SYN_ANSWER] == [3.0] * 3


def test_what_a_programs_other_checks_show_is_likelier_than_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """blackbox_exporter ticks, so that silence shows no timeout: that of its other module, 1.5 s, is taken, and not the interval of 2 s."""
    ask = "> PA 'GET / HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: Blackbox Exporter/0.23.0\\r\\nConnection: close\\r\\n\\r\\n'\n < A\n"
    answered = "< FPA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > FA\n < A"
    monkeypatch.setitem(SCRIPTS, "bb", f"> S\n < SA\n > A\n {ask} {answered}")
    monkeypatch.setitem(SCRIPTS, "bb-hung", f"> S\n < SA\n > A\n {ask} +1499ms > FA\n < A")
    web = [check(0.5 + 2 * number, "bb-hung" if 8 <= number < 12 else "bb") for number in range(20)]
    tcp = [check(1.1 + 2 * number, "silent" if 8 <= number < 12 else "fin", port=9000) for number in range(20)]
    for beside, ended in ((web, 1.5), ([one for number, one in enumerate(web) if not 8 <= number < 12], 2.0)):
        named, _ = survey(sorted([*beside, *tcp], key=lambda run: run.start))
        made = CheckBuilder(AddressBook(), lambda connection: connection, ns(0), ns(60)).probes(named)
        found = next(one for one in made if one.target.port == 9000)
        silent = [(one.end_ns - one.start.ns) / 1e9 for one in found.attempts if one.cause is Cause.NO_SYN_ANSWER]
        assert (found.checker.kind, silent) == ("blackbox_exporter", [pytest.approx(ended, abs=0.05)] * 4)


def test_a_pass_of_an_ldap_check_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """HAProxy 2.6.12 logs `1/2 DOWN` and `3/3 UP` for one pass of an ldap-check: UP comes with the first."""
    bind = r"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\x00\x80\x00"
    bound = r"0\x0c\x02\x01\x01a\x07\x0a\x01\x00\x04\x00\x04\x00"
    monkeypatch.setitem(SCRIPTS, "ldap", f"> S\n < SA\n > PA '{bind}'\n < A\n < PA '{bound}'\n > RA")
    probe = only(paused(["ldap"] * 6 + ["refused"] * 5 + ["ldap"] * 4, 1.0))
    assert told(probe) == [(9, DOWN), (12, UP)]
    assert any("ldap-check" in note for note in probe.notes)


def test_a_pass_of_a_mysql_check_without_a_user_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """It only listens, so that the other checks of its HAProxy name it; UP comes with the first pass (2.6.12 logs `1/2 DOWN`, `3/3 UP`)."""
    greeting = r"\x0a\x00\x00\x00\x0a8.0.33\x00"
    monkeypatch.setitem(SCRIPTS, "mysql", f"> S\n < SA\n > A\n +5ms < PA '{greeting}'\n > RA")
    monkeypatch.setitem(TOOK, "mysql", 0.006)
    listens = paused(["mysql"] * 6 + ["refused"] * 5 + ["mysql"] * 4, 1.0, port=3306)
    beside = paused(["haproxy"] * 8, 2.0, first=0.7)
    (probe,) = (one for one in probes([*listens, *beside])[0] if one.target.port == 3306)
    assert (probe.checker.kind, told(probe)) == ("haproxy", [(9, DOWN), (12, UP)])


def test_perls_words_are_not_monits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`EHLO localhost` is Monit's; `EHLO localhost.localdomain` is Net::SMTP's (ldirectord 4.12.0 asks so) and names nobody."""
    for host, kinds in (("localhost", ["monit"]), ("localhost.localdomain", [])):
        said = ("< PA '220 x\\r\\n'", "> A", f"> PA 'EHLO {host}\\r\\n'", "< PA '250 x\\r\\n'", "> PA 'QUIT\\r\\n'")
        talk = "\n".join(["> S", "< SA", "> A", *said, "> FA", "< FA", "> A"])
        monkeypatch.setitem(SCRIPTS, "smtp", talk)
        assert [one.checker.kind for one in probes(paused(["smtp"] * 8, 2.0))[0]] == kinds


def test_a_syn_ack_after_the_checker_has_gone_is_a_failure() -> None:
    """The kernel's bare RST to a late SYN-ACK is not HAProxy's RST of a passed connect check."""
    probe = only(paused(["l4"] * 5 + ["late"] + ["l4"] * 3, 1.0))
    assert [made.outcome for made in probe.attempts].count(Outcome.FAILURE) == 1


def test_reload_begins_up_again() -> None:
    """A check that comes early belongs to a new process, whose first failure is DOWN at once; DOWN then follows DOWN."""
    old = paused(["haproxy"] * 5 + ["haproxy-503"] * 4, 2.0)
    new = paused(["haproxy-503"] * 3 + ["haproxy"] * 3, 2.0, first=(old[-1].start.ns - ns(0)) / 1e9 + 0.9)
    probe = only([*old, *new])
    assert told(probe) == [(8, DOWN), (10, DOWN), (14, UP)]
    assert any("reloaded" in note for note in probe.notes)


def test_fall_is_learnt_from_the_longer_pause_of_a_server_that_is_down() -> None:
    """With fastinter and downinter the pace itself shows the thresholds."""
    runs, at = [], 0.5
    failing = [("haproxy-503", 1.0)] * 3 + [("haproxy-503", 5.0)] * 4
    for what, pause in [("haproxy", 3.0)] * 6 + failing + [("haproxy", 1.0)] + [("haproxy", 3.0)] * 4:
        runs.append(check(at, what))
        at += 0.003 + pause
    probe = only(runs)
    assert probe.inferred["fall"] == 4
    assert told(probe) == [(10, DOWN), (15, UP)]


def test_one_shorter_pause_each_way_is_doubt_and_no_reload() -> None:
    """With fall 2 and rise 2, fastinter shows once after a first failure and once after a first pass (2.6.12): nothing was reloaded."""
    runs, at = [], 0.5
    whats = [("l4", 3.0)] * 6 + [("refused", 0.7)] + [("refused", 3.0)] * 3 + [("l4", 0.701)] + [("l4", 3.0)] * 5
    for what, pause in whats:
        runs.append(check(at, what))
        at += 0.001 + pause
    probe = only(runs)
    assert (probe.inferred["fall"], probe.inferred["rise"]) == (2, 2)
    assert told(probe) == [(8, DOWN), (12, UP)]
    assert not any("reloaded" in note for note in probe.notes)


def test_a_shorter_pause_seen_once_in_doubt_is_no_reload() -> None:
    """Of a capture that begins while a server is DOWN, fastinter may be seen once, after the first pass: nothing was reloaded."""
    runs, at = [], 0.5
    for what, pause in [("refused", 3.0)] * 5 + [("l4", 0.7)] + [("l4", 3.0)] * 8:
        runs.append(check(at, what))
        at += 0.001 + pause
    probe = only(runs)
    assert (told(probe), probe.initial_state) == ([(7, UP)], "DOWN")
    assert not any("reloaded" in note for note in probe.notes)


def test_a_checker_that_is_known_may_pause_in_many_ways() -> None:
    """HAProxy's fastinter, downinter and timeouts leave its usual pause in the minority: it stays one series of HAProxy's."""
    runs, at = [], 0.5
    down = [("haproxy-503", 0.5)] + [("haproxy-503", 3.0)] * 4 + [("haproxy", 0.5)] * 2
    for what, pause in [*[("haproxy", 2.5)] * 5, *down, *[("haproxy", 2.5)] * 4, *down, *[("haproxy", 2.5)] * 4, *down, ("haproxy", 2.5)]:
        runs.append(check(at, what))
        at += 0.003 + pause
    probe = only(runs)
    assert (probe.checker.kind, len(probe.attempts)) == ("haproxy", len(runs))
    assert probe.thresholds == {"rise": (3, "inferred"), "fall": (2, "inferred")}


@pytest.mark.parametrize("port", [9001, 9002])
@pytest.mark.parametrize(("client", "server"), [(CHECKER, SERVER), ("fd00::9", "fd00::2")])
def test_a_check_of_two_connections_is_counted_once(port: int, client: str, server: str) -> None:
    """HAProxy connects to one port and then to another (or the same): the check passes where both do, and its decisions are told once."""
    runs, at = [], 0.5
    ends = {"client": client, "server": server}
    for first, then in [("acked-reset", "ping")] * 9 + [("acked-reset", "ping-hung")] * 4 + [("acked-reset", "ping")] * 4 + [
        ("refused", "")
    ] * 4 + [("acked-reset", "ping")] * 3:
        runs.append(check(at, first, port=9001, **ends))  # type: ignore[arg-type]
        if then:
            runs.append(check(at + 0.0007, then, port=port, **ends))  # type: ignore[arg-type]
        at += 2.001 + TOOK.get(then, 0.001)
    found, _ = probes(runs)
    one, other = sorted(found, key=lambda probe: len(probe.attempts), reverse=True)
    assert {probe.checker.kind for probe in found} == {"haproxy"}
    assert (len(one.attempts), len(other.attempts)) == (24, 20)
    assert told(one) == [(12, DOWN), (15, UP), (20, DOWN), (23, UP)]
    assert one.decisions[0].ns > one.attempts[11].end_ns, "it ends with its second connection"
    assert one.attempts[11].detail == f"its next connection, to port {port}, failed: request acknowledged, no answer"
    assert told(other) == []
    assert f"port {port}" in " ".join(one.notes)
    assert abs(one.inferred["interval_s"] - 2.0) < 0.02


def test_an_agents_word_is_its_decision() -> None:
    """HAProxy's agent says down and up at once; a weight alone and an agent that is not there change nothing (2.6.12)."""
    script = ["agent-up"] * 5 + ["agent-down"] * 3 + ["agent-weight"] * 2 + ["agent-up"] * 3 + ["refused"] * 3 + ["agent-up"] * 2
    probe = only(paused(script, 2.0))
    assert probe.checker.kind == "haproxy"
    assert told(probe) == [(6, DOWN), (11, UP)]
    assert probe.attempts[5].detail == "the agent says down"


def test_an_agent_that_hangs_is_no_answer_and_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """HAProxy 2.6.12 logs `Layer7 timeout` and leaves the server as it is: a failure that lasts to its close, and no check is missing."""
    monkeypatch.setitem(SCRIPTS, "agent-hung", "> S\n < SA\n > A\n +999ms > RA")
    monkeypatch.setitem(TOOK, "agent-hung", 1.0)
    probe = only(paused(["agent-up"] * 6 + ["agent-hung"] * 4 + ["agent-up"] * 4, 1.0))
    assert [(made.cause, (made.end_ns - made.start.ns) // 10**8) for made in probe.attempts[6:10]] == [(Cause.SLOW_ANSWER, 9)] * 4
    assert (told(probe), probe.final_state, probe.gaps) == ([], "UP", ())


def test_random_pauses_that_cluster_by_chance_have_the_middle_of_all() -> None:
    """`spread-checks 20` with `inter 4s`, as HAProxy 2.6.12 paused: half of them lie near 4.4 s, and the interval is 4 s all the same."""
    seen = [4.01, 4.42, 4.39, 4.55, 4.55, 4.12, 4.78, 4.36, 3.71, 3.03, 4.13]
    seen += [4.79, 3.54, 3.30, 3.55, 4.07, 4.77, 3.64, 3.80, 4.69, 4.45, 3.33]
    runs, at = [], 0.5
    for pause in seen:
        runs.append(check(at, "l4"))
        at += pause
    assert only(runs).inferred["interval_s"] == pytest.approx(4.0, rel=0.03)


def test_a_clock_shows_where_checks_take_longer() -> None:
    """Starts on one grid, whatever the checks took, are a clock's (blackbox_exporter 0.23.0): one series, at its period."""
    (named,), _ = survey([check(0.5 + 2.0 * n, "ping-hung" if 6 <= n < 12 else "ping") for n in range(24)])
    assert (named.track.pace.basis, len(named.exchanges)) == (Basis.CLOCK, 24)
    assert named.learnt.interval_ns == 2 * 10**9


def from_machine(run: Run, mac: bytes) -> Run:
    """Return the same check from an interface with this address."""
    (made,) = [one for _, one in run.legs()]
    return run_of(replace(made, connection=replace(made.connection, orig=replace(made.connection.orig, mac=mac))))


@pytest.mark.parametrize(("mac", "kind"), [(b"\2\0\0\0\0\1", "keepalived"), (b"\2\0\0\0\0\2", "unknown")])
def test_two_addresses_of_one_interface_are_one_machines(mac: bytes, kind: str) -> None:
    """A plain connect over IPv6 has the name of what its machine asks over IPv4; one of another machine has none."""
    over4 = [from_machine(run, b"\2\0\0\0\0\1") for run in paused(["keepalived"] * 6, 2.0)]
    over6 = [from_machine(run, mac) for run in paused(["fin"] * 6, 1.5, first=0.9, client="fd00::9", server="fd00::2")]
    found, _ = probes([*over4, *over6])
    assert {probe.checker.address: probe.checker.kind for probe in found} == {CHECKER: "keepalived", "fd00::9": kind}


def test_monits_further_tries_are_one_check() -> None:
    """With `retry 3` Monit tries again at once: a failure that a further try mends is none, and all tries are of one series (5.33.0)."""
    runs, at = [], 6.0
    cycles = [["monit"]] * 5 + [["monit-503", "monit"]] * 2 + [["monit-503"] * 3] * 3 + [["monit"]] * 4
    for tries in cycles:
        for what in tries:
            runs.append(check(at, what))
            at += 0.0015
        at += 4.0
    probe = only(runs)
    assert (probe.checker.kind, len(probe.attempts)) == ("monit", len(runs))
    assert told(probe) == [(1, UP), (12, DOWN), (19, UP)]
    assert probe.inferred["interval_s"] == 4.0


def test_an_answer_that_is_asked_for_again_at_once_was_not_the_right_one() -> None:
    """Monit's `content` with `retry 2`: a page of 200 that is asked for again at once, and is the same again, is a failure (5.33.0)."""
    runs, at = [], 6.0
    for tries in [["monit"]] * 6 + [["monit", "monit"]] * 3 + [["monit"]] * 5:
        for what in tries:
            runs.append(check(at, what))
            at += 0.0015
        at += 4.0
    probe = only(runs)
    assert (probe.checker.kind, len(probe.attempts)) == ("monit", len(runs))
    assert told(probe) == [(1, UP), (8, DOWN), (13, UP)]
    assert probe.attempts[7].detail == "200 OK, not the answer that it wants: the same as to the try before"


def test_rise_is_learnt_from_the_shorter_pauses_of_a_server_in_doubt() -> None:
    """With fastinter, the pauses are short until the pass that brings UP: three of them, where two are the default (2.6.12)."""
    runs, at = [], 0.5
    once = [("haproxy", 3.0)] * 5 + [("haproxy-503", 1.0)] + [("haproxy-503", 3.0)] * 3 + [("haproxy", 1.0)] * 2
    for what, pause in [*once, *once, *[("haproxy", 3.0)] * 4]:
        runs.append(check(at, what))
        at += 0.003 + pause
    probe = only(runs)
    assert (probe.inferred["fall"], probe.inferred["rise"]) == (2, 3)
    assert told(probe) == [(7, DOWN), (12, UP), (18, DOWN), (23, UP)]


def test_a_watchdogs_ticks_do_not_count_to_its_interval() -> None:
    """Apache looks ten times a second whether a check is due: its hcinterval is the shortest pause and not the usual one."""
    late = random.Random(7)
    runs, at = [], 0.5
    for _ in range(40):
        runs.append(check(at, "apache"))
        at += 0.001 + 1.0 + late.uniform(0.0, 0.1)
    probe = only(runs)
    assert probe.checker.kind == "apache"
    assert 1.0 <= probe.inferred["interval_s"] <= 1.02


def test_users_of_a_proxy_are_no_checks() -> None:
    """Requests that HAProxy passes on stay traffic, also while their server refuses them beside the checks."""
    traffic = [check(0.21 + 0.43 * number, "proxied") for number in range(12)]
    traffic += [check(5.63 + 0.43 * number, "refused") for number in range(6)]
    found, left = probes([*paused(["haproxy"] * 5 + ["refused"] * 3 + ["haproxy"] * 3, 1.0), *traffic])
    assert [probe.checker.kind for probe in found] == ["haproxy"]
    assert len(found[0].attempts) == 11
    assert told(found[0]) == [(8, DOWN), (10, UP)]
    assert len(left) == len(traffic)


@pytest.mark.parametrize(("client", "server"), [(CHECKER, SERVER), ("fd00::9", "fd00::2")])
def test_who_asks_through_a_proxy_in_even_steps_is_no_check(client: str, server: str) -> None:
    """A loop behind HAProxy, a little faster while it is refused: the checks keep to their own beat, and no new process is seen."""
    ends = {"client": client, "server": server}
    checks = paused(["haproxy"] * 6 + ["refused"] * 3 + ["haproxy"] * 3, 3.0, **ends)
    loop = [check(0.3 + 1.024 * number, "loop", **ends) for number in range(17)]
    loop += [check(17.71 + 1.001 * number, "refused", **ends) for number in range(9)]
    loop += [check(27.6 + 1.024 * number, "loop", **ends) for number in range(6)]
    found, left = probes([*checks, *loop])
    assert [probe.checker.kind for probe in found] == ["haproxy"]
    assert [attempt.start.ns for attempt in found[0].attempts] == [run.start.ns for run in checks]
    assert (told(found[0]), found[0].gaps, found[0].notes) == ([(9, DOWN), (11, UP)], (), ())
    assert len(left) == len(loop)


def test_a_first_check_that_is_refused_is_on_the_beat() -> None:
    """Beside refused connections of clients the one that stands a pause before the next check is the first check; UP is known later."""
    checks = paused(["refused"] + ["l4"] * 8, 5.0)
    traffic = [check(at, "refused") for at in (0.9, 2.2, 3.3, 4.1)] + [check(6.1 + 0.83 * n, "proxied") for n in range(14)]
    found, left = probes([*checks, *traffic])
    assert [attempt.start.ns for attempt in found[0].attempts] == [run.start.ns for run in checks]
    assert (found[0].initial_state, found[0].initial_since_ns) == ("UP", found[0].attempts[2].end_ns)
    ready = [one.start_ns for one in serving(found[0], (), ns(60)) if one.state is State.READY]
    assert ready == [found[0].initial_since_ns]
    assert len(left) == len(traffic)


def test_two_routers_from_one_address_are_two_series() -> None:
    """The same check, source and period at two phases: each series has its own attempts and decisions."""
    first = paused(["l4"] * 8 + ["refused"] * 4 + ["l4"] * 4, 5.0, seed=1)
    second = paused(["l4"] * 8 + ["refused"] * 4 + ["l4"] * 4, 5.0, first=2.3, seed=2)
    found, left = probes([*first, *second])
    assert [len(probe.attempts) for probe in found] == [16, 16]
    assert [told(probe) for probe in found] == [[(11, DOWN), (14, UP)]] * 2
    assert not left


def test_a_capture_begun_in_mid_life_decides_nothing_at_first() -> None:
    """A DOWN server at the beginning of a capture was down before: its state is told, not decided."""
    probe = only(paused(["refused"] * 4 + ["l4"] * 6, 1.0))
    assert told(probe) == [(6, UP)]
    assert probe.initial_state == "DOWN"


def test_a_silent_check_may_have_begun_before_the_capture() -> None:
    """The pause follows the end of a check: where the first one seen was in vain, one that is not seen may have lasted as long."""
    probe = only(paused(["hung"] * 5 + ["haproxy"] * 12, 1.0, first=1.6))
    assert told(probe)[:1] == [(7, UP)]
    assert (probe.initial_state, probe.decisions[0].before) == ("DOWN", "DOWN")
    late = only(paused(["hung"] * 5 + ["haproxy"] * 12, 1.0, first=2.6))
    assert told(late)[0][1] is DOWN, "nothing of it reaches back before the capture"


def test_the_first_failure_after_a_visible_start_is_down() -> None:
    """Where the capture shows that nobody checked before, HAProxy begins UP and one failure is enough."""
    probe = only(paused(["refused"] * 2 + ["l4"] * 6, 1.0, first=20.0))
    assert told(probe) == [(1, DOWN), (4, UP)]
    assert probe.initial_state == "UP"


def test_varnish_counts_in_a_window() -> None:
    """Eight checks, three must pass: sick at the sixth failure; the numbers are Varnish's defaults and said to be so."""
    probe = only(paused(["varnish"] * 9 + ["refused"] * 8 + ["varnish"] * 4, 1.0))
    assert probe.checker.kind == "varnish"
    assert told(probe) == [(15, DOWN), (20, UP)]
    assert probe.thresholds["window"] == (8, "default")
    assert any("defaults" in note for note in probe.notes)


def test_keepalived_is_known_by_its_retries() -> None:
    """A plain connect check is anybody's, until its first failure is repeated at another exact pause before the usual one returns."""
    runs, at = [], 0.5
    plan = [("fin", 3.0)] * 8 + [("refused", 1.0), ("refused", 3.0)] * 4 + [("fin", 3.0)] * 4
    for what, pause in plan:
        runs.append(check(at, what))
        at += pause + 0.004
    probe = only(runs)
    assert probe.checker.kind == "keepalived"
    assert told(probe) == [(10, DOWN), (17, UP)]
    assert probe.thresholds["fall"] == (2, "inferred")


def test_plain_connects_stay_unknown() -> None:
    """A loop of nc is periodic and nothing names it: unknown, without decisions; at whole seconds a kubelet may be behind it."""
    jitter = random.Random(3)
    starts = [0.5]
    for _ in range(14):
        starts.append(starts[-1] + 2.05 + jitter.uniform(0.0, 0.04))
    probe = only([check(at, "fin") for at in starts])
    assert probe.checker.kind == "unknown"
    assert "kubelet" not in probe.checker.could_be
    assert "keepalived" in probe.checker.could_be
    assert not probe.decisions
    found, left = probes([check(0.5 + 2.0 * number, "fin") for number in range(12)])
    assert not found
    assert len(left) == 12


def test_translated_checks_decide_once() -> None:
    """Seen on both sides of address translation the same checks are two series, of which only the outer one decides."""
    whats = ["haproxy"] * 6 + ["refused"] * 4 + ["haproxy"] * 4
    inner = []
    outer = paused(whats, 1.0, server="10.0.1.100")
    for what, run in zip(whats, outer, strict=True):
        inner.append(run_of(exchange_of(SCRIPTS[what], f"10.0.2.1:{run.tries[0][0].connection.client_port} > 10.0.2.10:8080",
                                        at=(run.start.ns - ns(0)) / 1e9 + 0.00002)))
    slow = [run_of(exchange_of(SCRIPTS[what].replace("< SA", "+200us < SA").replace("< RA", "+400us < RA"),
                               f"{CHECKER}:{run.tries[0][0].connection.client_port} > 10.0.1.100:8080", at=(run.start.ns - ns(0)) / 1e9))
            for what, run in zip(whats, outer, strict=True)]
    found, _ = probes([*slow, *inner])
    by_address = {probe.target.address: probe for probe in found}
    assert len(by_address["10.0.1.100"].decisions) == 2
    assert not by_address["10.0.2.10"].decisions
    assert any("address translation" in note for note in by_address["10.0.2.10"].notes)
    assert (by_address["10.0.2.10"].initial_state, by_address["10.0.2.10"].final_state) == ("unknown", "unknown")


def test_nothing_in_nothing_out() -> None:
    """No runs, a few runs, and runs too frequent to be checks make no probe."""
    assert probes([]) == ([], [])
    few = [check(1.0 + number, "l4") for number in range(3)]
    assert probes(few)[0] == []
    many = [check(1.0 + 0.01 * number, "haproxy") for number in range(300)]
    found, left = probes(many)
    assert not found
    assert len(left) == 300


def sealed(script: str, *records: tuple[float, bool, int]) -> Exchange:
    """Return a connection over TLS with these encrypted records: seconds after its SYN, whether the client's, length."""
    marks = tuple(TlsRecord(mark(at, 100 + number), by_client, length) for number, (at, by_client, length) in enumerate(records))
    return exchange_of("> S\n < SA\n > A\n > PA '\\x16\\x03\\x01'\n < A\n" + script, tls=TlsFacts(records=marks), http=())


def test_only_what_follows_the_request_tells_encrypted_answers_apart() -> None:
    """An ECDSA handshake is now a byte longer and now shorter: its records come before the client's first, and count for nothing."""
    one = sealed("+1s > RA", (0.001, False, 96), (0.002, True, 69), (0.0021, True, 120), (0.003, False, 250), (0.004, False, 87))
    assert _lengths(one) == {250, 87}


def test_silence_inside_tls_is_no_answer_in_time() -> None:
    """A checker that hung up long after the last record, and not on the server's word, got no answer; a quick end leaves it open."""
    verdict = Verdict(outcome=Outcome.INCONCLUSIVE, cause=Cause.ENCRYPTED, end_ns=ns(1))
    tickets = [(0.001, False, 96), (0.002, True, 69), (0.0021, True, 120), (0.003, False, 250)]
    assert hung(sealed("+999ms > RA", *tickets), verdict).cause is Cause.SLOW_ANSWER
    assert hung(sealed("+5ms > RA", *tickets), verdict) is verdict
    assert hung(sealed("+999ms < FA\n > FA\n < A", *tickets), verdict) is verdict


def test_checks_on_a_connection_that_is_kept_inside_tls_are_hidden() -> None:
    """What is asked on it later is not seen, so nobody is to be called DOWN by the connections that are."""
    asked = [(0.002, True, 69), (0.0021, True, 120), (0.003, False, 87)]
    assert not hides(sealed("+9s > RA", *asked), ns(2) - ns(0))
    assert hides(sealed("+9s > RA", *asked, (2.002, True, 120), (2.003, False, 87)), ns(2) - ns(0))


def test_checks_inside_tls_on_a_connection_that_is_kept_are_no_kubelets() -> None:
    """Questions every 2 s on one TLS connection (Caddy 2.6.2): checks of nobody known, for a kubelet keeps no connection."""
    asked = [(0.1 + 2 * number, True, 116) for number in range(8)]
    told = [(0.101 + 2 * number, False, 93) for number in range(8)]
    tls = TlsFacts(
        established=mark(0.05, 50), version="TLS 1.2", records=tuple(
            TlsRecord(mark(at, 100 + number), by_client, length)
            for number, (at, by_client, length) in enumerate(sorted([*asked, *told]))
        )
    )
    script = "> S\n < SA\n > A\n > PA '\\x16\\x03\\x01'\n < A\n < PA '\\x16'\n +16s > FA\n < FA\n > A"
    kept = exchange_of(script, "10.0.0.9:40000 > 10.0.0.2:8443", tls=tls, http=())
    (named,), left = survey([run_of(kept)])
    assert (named.kind, len(named.exchanges), left) == ("unknown", 8, [])


def inside(at: float, size: int, more: int = 0) -> Run:
    """Return a check inside TLS 1.3 that looks like anybody's: its answer is one record of this size, and another where there is `more`."""
    marks = [(0.001, False, 96), (0.002, True, 69), (0.0021, True, 120), (0.004, False, size), (0.0041, False, more)]
    records = tuple(TlsRecord(mark=mark(at + when), by_client=mine, length=length) for when, mine, length in marks if length)
    ends = f"{CHECKER}:{32_768 + round(at * 1000) % 28_000} > {SERVER}:8443"
    script = "> S\n < SA\n > A\n > PA '\\x16\\x03\\x01'\n < A\n < PA '\\x16'\n +5ms > FA\n < FA\n > A"
    hello, done = mark(at + 0.0005), mark(at + 0.002)
    tls = TlsFacts(client_hello=hello, server_hello=hello, established=done, records=records, version="TLS 1.3")
    return run_of(exchange_of(script, ends, at=at, tls=tls, http=()))


def test_a_wrong_answer_inside_tls_is_told_by_the_server() -> None:
    """Envoy is DOWN at the first answer of another size: its server told it, and only what breaks the connection is counted (1.40)."""
    sealed_ones = [inside(10.0 + 2.006 * n, 95 if 12 <= n < 16 else 87) for n in range(24)]
    named = paused(["envoy"] * 12, 3.0, first=10.7)
    found, _ = probes([*sealed_ones, *named])
    (probe,) = [one for one in found if one.target.port == 8443]
    assert probe.checker.kind == "envoy"
    assert told(probe) == [(1, UP), (13, DOWN), (18, UP)]


@pytest.mark.parametrize("split", [(), (2, 4, 9, 20)])
def test_answers_inside_tls_that_are_all_alike_tell_nothing(split: tuple[int, ...]) -> None:
    """A server that answers 400 each time looks like one that answers 200 each time; now and then an answer comes in two records."""
    sealed_ones = [inside(10.0 + 2.006 * n, *((150, 95) if n in split else (242,))) for n in range(24)]
    found, _ = probes([*sealed_ones, *paused(["envoy"] * 12, 3.0, first=10.7)])
    (probe,) = [one for one in found if one.target.port == 8443]
    assert {attempt.outcome for attempt in probe.attempts} == {Outcome.INCONCLUSIVE}
    assert (told(probe), probe.final_state) == ([], "unknown")


def test_advice_names_the_checkers_own_setting() -> None:
    """A SYN that is not answered: HAProxy has a timeout check, and no timeoutSeconds."""
    probe = only(paused(["l4"] * 5 + ["silent"] * 4 + ["l4"] * 3, 2.0))
    advice = [attempt.diagnosis.advice for attempt in probe.attempts if attempt.diagnosis is not None]
    assert advice
    assert all("timeoutSeconds" not in text for text in advice)
    assert in_words_of("keepalived", "timeoutSeconds: 2") == "connect_timeout: 2"
    assert in_words_of("kubelet", "timeoutSeconds: 2") == "timeoutSeconds: 2"
    assert in_words_of("unknown", "a longer timeoutSeconds") == "a longer timeout"


def test_an_agent_that_says_drain_is_told() -> None:
    """HAProxy then sends no new connections, though the server is not DOWN: no decision, and a note of when."""
    probe = only(paused(["agent-up"] * 6 + ["agent-drain"] * 3 + ["agent-up"] * 3, 2.0))
    assert (told(probe), probe.final_state) == ([], "UP")
    assert [note for note in probe.notes if "drain" in note and "3 times, #7 to #9" in note]
    assert not any("drain" in note for note in only(paused(["agent-up"] * 9, 2.0)).notes)


def test_an_agent_that_is_said_a_word_first_decides_as_any_agent_does() -> None:
    """HAProxy's agent-send: what the agent answers is all, and where it is silent nothing changes."""
    probe = only(paused(["agent-sent-up"] * 6 + ["ping-hung"] * 2 + ["agent-sent-down"] * 3 + ["agent-sent-up"] * 3, 2.0))
    assert (probe.checker.kind, told(probe)) == ("haproxy", [(9, DOWN), (12, UP)])


@pytest.mark.parametrize("seed", range(4))
def test_random_pauses_of_several_kinds_are_one_checkers(seed: int) -> None:
    """HAProxy with spread-checks 40 and a pause for each state: one series at its interval, and no number is read from its pauses."""
    jitter = random.Random(seed)
    runs, at = [], 0.5
    whats = [("haproxy", 2.0)] * 30 + [("haproxy-503", 0.4)] * 2 + [("haproxy-503", 6.0)] * 5 + [("haproxy", 0.4)] + [("haproxy", 2.0)] * 30
    for what, pause in whats:
        runs.append(check(at, what))
        at += 0.003 + pause * jitter.uniform(0.6, 1.4)
    probe = only(runs)
    assert (probe.checker.kind, len(probe.attempts)) == ("haproxy", len(runs))
    assert probe.inferred["interval_s"] == pytest.approx(2.0, rel=0.05)
    assert probe.thresholds == {"rise": (2, "default"), "fall": (3, "default")}
    assert not any("reloaded" in note for note in probe.notes)
