"""What came of commands run in containers: runs out of process events, and verdicts as the kubelet counts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.model.frame import Mark
from probewatch.model.process import Asked, ExecRun, ProcessEvent, ProcessKind
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import MS, SECOND
from probewatch.probes.execs import ExecJoiner, command_text, is_command, judge_exec, patience_of

BASE = 1_795_379_060 * SECOND


def event(ms: int, kind: ProcessKind, pid: int = 0, **more: object) -> ProcessEvent:
    """Make an event so many milliseconds after BASE, its frame number the same."""
    return ProcessEvent(mark=Mark(BASE + ms * MS, 0, ms + 1), kind=kind, pid=pid, **more)  # type: ignore[arg-type]


def runtime(ms: int, pid: int, *command: str) -> ProcessEvent:
    """Make the start of a runtime."""
    return event(ms, ProcessKind.RUNTIME, pid, asked=Asked(container="c1", arguments=command), name="runc")


def whole(ms: int, *, code: int | None = 0, signal: int = 0, after: int = 40) -> list[ProcessEvent]:
    """Make the events of one run: the command begins 30 ms after its runtime."""
    return [
        runtime(ms, ms + 1, "cat", "/ok"),
        event(ms + 30, ProcessKind.EXEC, ms + 2, runtime=ms + 1, arguments=("cat", "/ok"), addresses=("10.0.0.1",)),
        event(ms + after, ProcessKind.EXIT, ms + 2, exit_code=code, signal=signal),
        event(ms + after + 1, ProcessKind.EXIT, ms + 1, exit_code=code, signal=signal),
    ]


def joined(events: list[ProcessEvent]) -> list[tuple[ExecRun, ...]]:
    """Return the attempts of a whole recording."""
    joiner = ExecJoiner()
    return [tries for one in events for tries in joiner.feed(one)] + joiner.finish()


def verdict_of(events: list[ProcessEvent], timeout_s: int = 1, until_s: int = 100) -> tuple[Outcome, Cause, float]:
    """Judge the only attempt of a recording; return its outcome, cause and seconds."""
    (tries,) = joined(events)
    verdict = judge_exec(tries, timeout_s * SECOND, BASE + until_s * SECOND)
    return verdict.outcome, verdict.cause, (verdict.end_ns - tries[0].start.ns) / SECOND


def test_exit_status_decides() -> None:
    """Exit status 0 is a success, any other a failure, at the command's end; the attempt begins with its runtime."""
    assert verdict_of(whole(0)) == (Outcome.SUCCESS, Cause.OK, 0.04)
    assert verdict_of(whole(0, code=3)) == (Outcome.FAILURE, Cause.EXEC_EXIT, 0.04)


@pytest.mark.parametrize("after", [1000, 1030, 1045])
def test_killed_at_its_deadline(after: int) -> None:
    """A command killed when its time was over is a timeout, and ended at start + timeoutSeconds, whoever's clock it was."""
    assert verdict_of(whole(0, code=None, signal=9, after=after)) == (Outcome.FAILURE, Cause.EXEC_TIMEOUT, 1.0)


def test_killed_before_its_deadline() -> None:
    """A command killed early was killed by something else: a failure with the signal's exit status, at that moment."""
    (tries,) = joined(whole(0, code=None, signal=9, after=400))
    verdict = judge_exec(tries, SECOND, None)
    assert (verdict.cause, verdict.status, verdict.end_mark) == (Cause.EXEC_EXIT, 137, tries[0].end)
    assert "out of memory" in verdict.detail


def test_start_that_fails_is_thrown_away() -> None:
    """A runtime that could not start the command is an error, repeated at once up to three times: one attempt, discarded."""
    events = [
        one
        for ms in (0, 40, 80)
        for one in (runtime(ms, ms + 1, "cat /ok"), event(ms + 35, ProcessKind.EXIT, ms + 1, exit_code=255))
    ]
    (tries,) = joined(events)
    verdict = judge_exec(tries, SECOND, None)
    assert len(tries) == 3
    assert (verdict.outcome, verdict.cause) == (Outcome.DISCARDED, Cause.EXEC_NOT_FOUND)
    assert '"cat /ok" could not be started' in verdict.detail
    assert "one string" in verdict.detail


def test_repetition_that_succeeds() -> None:
    """A repeated start that succeeds is the result of its attempt, whose start is the first one's."""
    failed = [runtime(0, 1, "cat", "/ok"), event(35, ProcessKind.EXIT, 1, exit_code=255)]
    (tries,) = joined([*failed, *whole(50, after=700)])
    assert (len(tries), tries[0].start.number) == (2, 1)
    assert judge_exec(tries, SECOND, None).outcome is Outcome.SUCCESS
    later = joined([*failed, *whole(600)])
    assert [len(one) for one in later] == [1, 1]


@pytest.mark.parametrize("code", [126, 127])
def test_shell_that_finds_nothing_is_a_failure(code: int) -> None:
    """Exit status 126 or 127 is a counted failure, cause exec-not-found."""
    assert verdict_of(whole(0, code=code))[:2] == (Outcome.FAILURE, Cause.EXEC_NOT_FOUND)


def test_detached_runtime() -> None:
    """A runtime that leaves (as containerd's does) ends nothing: the command's own end counts."""
    first, second, end, _ = whole(0, code=1, after=500)
    left = event(32, ProcessKind.EXIT, 1, exit_code=0)
    assert verdict_of([first, second, left, end]) == (Outcome.FAILURE, Cause.EXEC_EXIT, 0.5)


def test_detached_runtime_told_early() -> None:
    """Its end may be told before its command's beginning, which still is its command's."""
    first, second, end, _ = whole(0)
    left = event(29, ProcessKind.EXIT, 1, exit_code=0)
    ((run,),) = joined([first, left, second, end])
    assert (run.start.number, run.exit_code) == (1, 0)


def test_end_that_is_missing() -> None:
    """Without an end an attempt is inconclusive while it may still run, and a timeout once it was not killed in its time."""
    begun = whole(0)[:2]
    assert verdict_of(begun, until_s=1)[:2] == (Outcome.INCONCLUSIVE, Cause.CUT)
    assert verdict_of(begun, until_s=2) == (Outcome.FAILURE, Cause.EXEC_TIMEOUT, 1.0)
    lost = [*begun, event(50, ProcessKind.LOST, lost=1)]
    assert verdict_of(lost, until_s=2)[:2] == (Outcome.INCONCLUSIVE, Cause.CUT)


def test_patience() -> None:
    """The timeout is inferred from kills at whole seconds after the command's start, or its runtime's."""
    for after in (2000, 2031):
        assert patience_of(joined(whole(0, code=None, signal=9, after=after))[0][0])[0] == 2
    assert patience_of(joined(whole(0, code=None, signal=9, after=700))[0][0]) == (None, 0.0)
    assert patience_of(joined(whole(0, after=730))[0][0]) == (None, 0.7)


@pytest.mark.parametrize(
    ("declared", "seen", "same"),
    [
        (("cat", "/ok"), ("cat", "/ok"), True),
        (("cat", "/ok"), ("cat /ok",), False),
        (("cat", "$(DIR)/ok"), ("cat", "/data/ok"), True),
        (("cat", "$(DIR)/ok"), ("cat", "$(DIR)/ok"), True),
        (("cat", "$(DIR)/ok"), ("cat", "/data/no"), False),
        (("sh", "-c", "echo $HOME"), ("sh", "-c", "echo $HOME"), True),
        (("sh", "-c", "echo $$(X)"), ("sh", "-c", "echo $(X)"), True),
    ],
)
def test_declared_command(declared: tuple[str, ...], seen: tuple[str, ...], same: bool) -> None:
    """A command is the declared one where it is the same list, with `$(NAME)` replaced by anything."""
    assert is_command(declared, seen) is same


def test_list_and_string_look_different() -> None:
    """One string and a list of arguments are told apart as they are shown."""
    assert command_text(("cat /ok",)) == '["cat /ok"]'
    assert command_text(("cat", "/ok")) == '["cat", "/ok"]'


@given(
    st.lists(
        st.builds(
            event,
            st.integers(0, 50),
            st.sampled_from(list(ProcessKind)),
            st.integers(0, 3),
            runtime=st.integers(0, 3),
            asked=st.none() | st.builds(Asked, container=st.sampled_from("ab"), arguments=st.just(("x",))),
            exit_code=st.none() | st.integers(0, 255),
            signal=st.sampled_from([0, 9, 15]),
        ),
        max_size=30,
    )
)
def test_any_events_give_verdicts(events: list[ProcessEvent]) -> None:
    """Whatever order events come in, each attempt gets a verdict, and no more attempts come than processes began."""
    attempts = joined(sorted(events, key=lambda one: one.mark.ns))
    assert sum(len(tries) for tries in attempts) <= sum(
        one.kind in (ProcessKind.RUNTIME, ProcessKind.EXEC) for one in events
    )
    for tries in attempts:
        assert judge_exec(tries, SECOND, BASE).cause in Cause
