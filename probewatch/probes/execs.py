"""Exec probes: process events put together to runs of a command, and what came of each.

Theory of operation. One run is two or three events: the runtime is started (`runc exec`), the command is executed in
the container, one of them ends. A runtime that ends with an error before any command was executed could not start it:
the container runtime interface returns an error then, the kubelet's prober repeats it at once, up to three times
(prober.go maxProbeRetries), and throws the result away. So failed starts wait a moment for their repetition.

The verdict is pkg/probe/exec/exec.go's: exit status 0 is a success, any other a failure; a command that did not end in
`timeoutSeconds` is killed (SIGKILL) by the runtime and a failure. The runtime counts from the command's start, some
milliseconds after the kubelet's call, which is the attempt's start.

Limitations: before Kubernetes 1.20 timeouts of exec probes were not enforced; a command that goes on behind its
deadline is a failure here all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from probewatch.model.frame import Mark
from probewatch.model.process import SIGKILL, ExecRun, ProcessEvent, ProcessKind
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import MS, SECOND

from .cadence import whole_seconds
from .judge import Verdict

MAX_TRIES: Final = 3
"""prober.go maxProbeRetries."""
FOLLOW_NS: Final = 500 * MS
"""A repetition begins this soon after a failed start; a runtime takes some 30 ms to say so."""
EARLY_NS: Final = 50 * MS
"""A killed command may seem to end so long before its deadline: the event that dates its start came late."""
NOT_FOUND: Final[dict[int | None, str]] = {126: ": the shell cannot execute it", 127: ": the shell does not find it"}
"""What a shell exits with where it cannot execute, or not find, what it was told to run (POSIX 2.8.2)."""
MOST_OPEN: Final = 4_096
"""Runs under way that are remembered; the oldest is handed on unfinished beyond that."""
SHOWN: Final = 80
"""Characters of a command shown in a sentence."""


@dataclass(slots=True)
class _Open:
    """A run under way."""

    run: ExecRun
    runtime: int


@dataclass(slots=True)
class ExecJoiner:
    """Puts process events together to runs, in the order in which they end."""

    _open: list[_Open] = field(default_factory=list)
    _failed: list[tuple[ExecRun, ...]] = field(default_factory=list)
    """Starts that failed, waiting for their repetition."""

    def feed(self, event: ProcessEvent) -> list[tuple[ExecRun, ...]]:
        """Take the next event; return the attempts that are complete: the tries of each, mostly one."""
        done = self.advance(event.mark.ns)
        if event.kind is ProcessKind.LOST:
            for one in self._open:
                one.run = replace(one.run, lost=True)
        elif event.kind is ProcessKind.RUNTIME and event.asked is not None:
            self._open.append(_Open(_begun(event), event.pid))
        elif event.kind is ProcessKind.EXEC:
            self._executed(event)
        elif event.kind is ProcessKind.EXIT:
            done += self._ended(event)
        while len(self._open) > MOST_OPEN:
            done.append((self._open.pop(0).run,))
        return done

    def advance(self, now_ns: int) -> list[tuple[ExecRun, ...]]:
        """Return what nothing can follow any more."""
        done: list[tuple[ExecRun, ...]] = []
        waiting: list[tuple[ExecRun, ...]] = []
        for tries in self._failed:
            last = tries[-1]
            # One that began in time may end much later.
            repeated = any(
                one.run.container == last.container
                and one.run.arguments == last.arguments
                and 0 <= one.run.start.ns - last.last.ns < FOLLOW_NS
                for one in self._open
            )
            (waiting if repeated or last.last.ns + FOLLOW_NS >= now_ns else done).append(tries)
        self._failed = waiting
        return done

    def finish(self) -> list[tuple[ExecRun, ...]]:
        """Return what is left, unfinished as it is."""
        done = [*self._failed, *((one.run,) for one in self._open)]
        self._failed, self._open = [], []
        return sorted(done, key=lambda tries: tries[0].start.ns)

    def under_way(self) -> list[ExecRun]:
        """Return the runs that have not ended, or may be repeated yet."""
        return [one.run for one in self._open] + [tries[0] for tries in self._failed]

    def _executed(self, event: ProcessEvent) -> None:
        known = next((one for one in self._open if event.runtime and one.runtime == event.runtime), None)
        if known is None:
            self._open.append(_Open(_begun(event), event.runtime))
            return
        run = known.run
        known.run = replace(
            run,
            command=event.mark,
            pid=event.pid,
            # What the runtime was told: the command may have become another program since.
            arguments=run.arguments or event.arguments,
            pod_uid=event.pod_uid or run.pod_uid,
            addresses=event.addresses or run.addresses,
        )

    def _ended(self, event: ProcessEvent) -> list[tuple[ExecRun, ...]]:
        known = next((one for one in self._open if event.pid in (one.run.pid, one.runtime)), None)
        if known is None:
            return []
        run = known.run
        of_runtime = event.pid != run.pid
        if of_runtime and not event.signal and (event.exit_code == 0 or run.started):
            return []  # it was detached, and the command goes on; or the command's own end is yet to be told
        self._open.remove(known)
        run = replace(run, end=event.mark, exit_code=event.exit_code, signal=event.signal)
        return self._repeated(run)

    def _repeated(self, run: ExecRun) -> list[tuple[ExecRun, ...]]:
        """Join a run to the failed starts that it repeats; another failed start is kept for the next."""
        tries: tuple[ExecRun, ...] = (run,)
        for at, before in enumerate(self._failed):
            same = (before[-1].container, before[-1].arguments) == (run.container, run.arguments)
            if same and run.start.ns - before[-1].last.ns < FOLLOW_NS:
                del self._failed[at]
                tries = (*before, run)
                break
        if run.started or run.signal or len(tries) == MAX_TRIES:
            return [tries]
        self._failed.append(tries)
        return []


def _begun(event: ProcessEvent) -> ExecRun:
    asked = event.asked
    return ExecRun(
        start=event.mark,
        command=event.mark if event.kind is ProcessKind.EXEC else None,
        end=None,
        arguments=asked.arguments if asked is not None else event.arguments,
        container=asked.container if asked is not None else event.container,
        pod_uid=event.pod_uid,
        addresses=event.addresses,
        pid=event.pid if event.kind is ProcessKind.EXEC else 0,
        parents=(event.name, *event.parents) if event.kind is ProcessKind.RUNTIME else event.parents,
        terminal=asked.terminal if asked is not None else False,
    )


def judge_exec(tries: Sequence[ExecRun], timeout_ns: int, seen_until_ns: int | None) -> Verdict:
    """Judge an execution of an exec probe; the last try counts."""
    run = tries[-1]
    deadline = run.start.ns + timeout_ns
    if run.end is None:
        return _endless(run, deadline, seen_until_ns)
    if not run.started and not run.signal:
        return _not_started(run, run.end, len(tries))
    begun = run.command.ns if run.command is not None else run.start.ns
    lasted = f"after {(run.end.ns - begun) / SECOND:.2f} s"
    if run.signal == SIGKILL and run.end.ns >= deadline - EARLY_NS:
        return _timed_out(deadline, f"killed (SIGKILL) {lasted}")
    if run.end.ns > begun + timeout_ns + EARLY_NS:
        how = f"signal {run.signal}" if run.signal else f"exit status {run.exit_code}"
        return _timed_out(deadline, f"{how} {lasted}, after the probe had given up")
    if run.signal:
        why = ", not by its timeout: out of memory?" if run.signal == SIGKILL else ""
        return _exited(run.end, 128 + run.signal, Cause.EXEC_EXIT, f"killed by signal {run.signal} {lasted}{why}")
    if run.exit_code == 0:
        return _exited(run.end, 0, Cause.OK, "exit status 0")
    cause = Cause.EXEC_NOT_FOUND if run.exit_code in NOT_FOUND else Cause.EXEC_EXIT
    return _exited(run.end, run.exit_code, cause, f"exit status {run.exit_code}{NOT_FOUND.get(run.exit_code, '')}")


def _endless(run: ExecRun, deadline: int, seen_until_ns: int | None) -> Verdict:
    """Judge a command whose end is not in the recording: it outlasted its timeout, unless its end may be missing."""
    if run.lost:
        return _missing(run, "process events were lost")
    if seen_until_ns is None or seen_until_ns < deadline + EARLY_NS:
        return _missing(run, "the recording ends before the command does")
    return _timed_out(deadline, "the command did not end")


def _not_started(run: ExecRun, end: Mark, tries: int) -> Verdict:
    """Judge what the runtime could not start: the kubelet discards that."""
    detail = f"{_quoted(run.arguments)} could not be started"
    detail += f", {tries} tries" if tries > 1 else ""
    detail += ": one string, not a list of arguments" if one_string(run.arguments) else ""
    return Verdict(
        outcome=Outcome.DISCARDED,
        cause=Cause.EXEC_NOT_FOUND,
        end_ns=end.ns,
        end_mark=end,
        status=run.exit_code,
        detail=detail,
    )


def _timed_out(deadline: int, detail: str) -> Verdict:
    return Verdict(outcome=Outcome.FAILURE, cause=Cause.EXEC_TIMEOUT, end_ns=deadline, detail=detail)


def _exited(end: Mark, status: int | None, cause: Cause, detail: str) -> Verdict:
    outcome = Outcome.SUCCESS if cause is Cause.OK else Outcome.FAILURE
    return Verdict(outcome=outcome, cause=cause, end_ns=end.ns, end_mark=end, status=status, detail=detail)


def is_command(declared: Sequence[str], seen: Sequence[str]) -> bool:
    """Tell whether a command is the declared one, whose `$(NAME)` the kubelet replaces (ExpandContainerCommandOnlyStatic)."""
    if len(declared) != len(seen):
        return False
    return all(
        one == other if "$" not in one else re.fullmatch(_expanded(one), other, re.DOTALL) is not None
        for one, other in zip(declared, seen, strict=True)
    )


def _expanded(word: str) -> str:
    """Return a pattern for what a word becomes; a name that the container's environment does not hold stays as it is."""
    parts = re.split(r"(\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\))", word)
    return "".join(r"\$\$?" if part == "$$" else ".*" if part.startswith("$(") else re.escape(part) for part in parts)


def patience_of(run: ExecRun) -> tuple[int | None, float]:
    """Return (whole seconds after which a command was killed, seconds that it was let run), the former None where it ended itself."""
    if run.end is None or run.command is None:
        return None, 0.0
    if run.signal == SIGKILL:
        for begun in (run.command.ns, run.start.ns):  # the runtime counts from the one, or its caller from the other
            seconds = whole_seconds(run.end.ns - begun, EARLY_NS)
            if seconds is not None:
                return seconds, 0.0
        return None, 0.0
    return None, (run.end.ns - run.command.ns) / SECOND


def one_string(arguments: Sequence[str]) -> bool:
    """Tell whether a whole command line stands in one argument, which no shell takes apart."""
    return len(arguments) == 1 and len(arguments[0].split()) > 1


def command_line(arguments: Sequence[str]) -> str:
    """Return a command as YAML and JSON write it, so that one string and a list look different."""
    return json.dumps(list(arguments), ensure_ascii=False)


def command_text(arguments: Sequence[str]) -> str:
    """Return the same for people, cut where it is long."""
    text = command_line(arguments)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _quoted(arguments: Sequence[str]) -> str:
    word = arguments[0] if arguments else "the command"
    return json.dumps(word if len(word) <= SHOWN else word[: SHOWN - 3] + "...", ensure_ascii=False)


def _missing(run: ExecRun, detail: str) -> Verdict:
    return Verdict(outcome=Outcome.INCONCLUSIVE, cause=Cause.CUT, end_ns=run.last.ns, end_mark=run.last, detail=detail)
