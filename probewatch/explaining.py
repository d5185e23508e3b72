"""`probewatch.explain`: single attempts as ladder diagrams, made by reading the captures a second time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

from .api import Analysis, Knowledge, PathText, Source, frame_filter, key_log, matching, open_inputs, read_twice
from .moments import InputError

if TYPE_CHECKING:
    from .model.ladder import Ladder
    from .model.timeline import Attempt, Probe, Timeline

MOST = 20
"""Failed attempts that are explained at once."""


def explain(
    paths: Source,
    *,
    probe: str | Sequence[str] = (),
    attempt: int | Sequence[int] = (),
    frame: int | None = None,
    failed: bool = False,
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    progress: Callable[[int, int | None], object] | None = None,
    **knowledge: Unpack[Knowledge],
) -> list[Ladder]:
    """Return attempts of the probes in saved captures as ladders, frame by frame.

    Args:
        paths: captures as `analyze` takes them; standard input is kept on disk meanwhile.
        probe: only attempts of these probes (selectors as `analyze` takes them).
        attempt: numbers of the attempts. Without one, and without `frame` and `failed`: the failure that began the worst
            that was decided (Restart, NotReady), else the first failure, else the last attempt.
        frame: the attempt that this frame belongs to (of any input).
        failed: every failed attempt, at most `MOST` of them.
        spec, cluster, node_ip, haproxy_cfg, check, keylog, filter, progress: as `analyze`.

    Raises:
        InputError: no attempt is like that, or a number means attempts of several probes.
        CaptureError, SpecError: as `analyze`; also where an input is a stream that cannot be read twice.
    """
    with Explanation(paths, filter=filter, progress=progress, **knowledge) as explanation:
        timeline = explanation.timeline
        numbers = [attempt] if isinstance(attempt, int) else list(attempt)
        selectors = [probe] if isinstance(probe, str) else list(probe)
        chosen = choose(timeline, probes=selectors, attempts=numbers, frame=frame, failed=failed)
        found = explanation.ladders(chosen[:MOST] if failed else chosen)
    return found if frame is None else holding(found, frame)


class Explanation:
    """Captures that are read twice: once for the timeline, and again for the frames of chosen attempts."""

    def __init__(
        self,
        paths: Source,
        *,
        keylog: PathText | None = None,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        **more: Any,
    ) -> None:
        """Read them for the first time; arguments and errors are those of `explain`, and others of `api.Analysis`."""
        if isinstance(paths, str | PathLike):
            paths = [paths]
        self._paths: Source = list(paths)
        self._keylog, self._filter = keylog, filter
        with ExitStack() as stack:
            self._stdin = read_twice(self._paths)
            if self._stdin is not None:
                stack.callback(self._stdin.close)
            analysis = Analysis(
                self._paths,
                keylog=keylog,
                filter=filter,
                stdin=self._stdin,
                **more,
            )
            self.book, self.base_ns = analysis.book, analysis.base_ns
            self.timeline: Timeline = analysis.whole()
            self._stack = stack.pop_all()

    def ladders(self, chosen: Iterable[tuple[Probe, Attempt]]) -> list[Ladder]:
        """Read them again and return the ladders of chosen attempts of `timeline`, in the order given.

        Raises:
            InputError: more are chosen than are made at once.
        """
        if self._stdin is not None:
            self._stdin.seek(0)
        return read_ladders(
            self.timeline, self._paths, chosen, keylog=self._keylog, filter=self._filter, stdin=self._stdin
        )

    def close(self) -> None:
        """Forget what was kept of standard input."""
        self._stack.close()

    def __enter__(self) -> Explanation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_ladders(
    timeline: Timeline,
    paths: Source,
    chosen: Iterable[tuple[Probe, Attempt]],
    *,
    keylog: PathText | None = None,
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    stdin: BinaryIO | None = None,
) -> list[Ladder]:
    """Read captures whose timeline is known once more, and return the ladders of chosen attempts, in the order given.

    `paths`, `keylog` and `filter` are those that the timeline was made with; `stdin` is what to read for `-`.

    Raises:
        InputError: more are chosen than are made at once.
        CaptureError: a capture cannot be read any more.
    """
    from .capture import merged
    from .observer.ladder import Ladders

    try:
        making = Ladders(timeline, chosen, key_log(keylog))
    except ValueError as error:
        raise InputError(str(error)) from error
    matches = frame_filter(filter)
    low, high = making.window()
    with ExitStack() as stack:
        readers = open_inputs(paths, stdin=stdin)
        for reader in readers:
            stack.callback(reader.close)
            reader.on_secret(making.add_secrets)
        for frame in merged(readers):
            if low <= frame.ns <= high:
                if matches is None or matches(frame):
                    making.feed(frame)
            elif frame.ns > high and not any(reader.live for reader in readers):
                break  # files come in the order of time
    return making.finish()


def choose(
    timeline: Timeline,
    *,
    probes: Sequence[str] = (),
    pods: Sequence[str] = (),
    attempts: Sequence[int] = (),
    frame: int | None = None,
    failed: bool = False,
    first: bool = False,
) -> list[tuple[Probe, Attempt]]:
    """Return the attempts that are meant, in the order of time; see `explain`.

    With `frame` these are all that may hold it: which of them does is known only after the second pass (`holding`).

    Raises:
        InputError: there is none, or a number means attempts of several probes.
    """
    from .decisions.outages import ENDS
    from .model.timeline import Outcome
    from .report.outline import ordered
    from .report.reasons import telling
    from .report.select import no_match, of_pod

    shown = matching(timeline, probes)
    if pods:
        named = [one for one in shown if any(of_pod(one, pod) for pod in pods)]
        if not named:
            raise InputError(no_match(shown, " ".join(f"--pod {pod}" for pod in pods)))
        shown = named
    if not any(one.attempts for one in shown):
        raise InputError("no probe was seen in this input: there is no attempt to explain")
    pairs = sorted(
        ((one, each) for one in shown for each in one.attempts), key=lambda pair: (pair[1].start.ns, pair[0].id)
    )
    if attempts:
        return _numbered(shown, attempts)
    if frame is not None:
        near = [pair for pair in pairs if _may_hold(pair[1], frame)]
        if not near:
            most = max((info.frames for info in timeline.captures), default=0)
            there = f": the last one is {most}" if frame > most else ""
            raise InputError(f"frame {frame} belongs to no attempt of a probe{there}")
        return near
    bad = [pair for pair in pairs if pair[1].outcome in (Outcome.FAILURE, Outcome.DISCARDED)]
    if failed or first:
        if not bad:
            raise InputError("no attempt failed: --attempt N shows one that did not")
        return bad if failed else bad[:1]
    judged = ordered(replace(timeline, probes=tuple(shown)))
    # Of probes that are equally badly off, the one that decided tells why: a restart takes readiness along.
    for one, _ in sorted(
        judged, key=lambda judged: (-judged[1].level, not any(d.kind in ENDS for d in judged[0].decisions))
    ):
        if one.decisions and (found := telling(one)) is not None:
            return [(one, found)]
    return bad[:1] or pairs[-1:]


def alike(
    chosen: Iterable[tuple[Probe, Attempt]],
) -> list[tuple[tuple[Probe, Attempt], list[Attempt]]]:
    """Return one attempt of each kind, with the later ones of its probe that ended in the same way for the same reason."""
    kinds: dict[tuple[object, ...], tuple[tuple[Probe, Attempt], list[Attempt]]] = {}
    for one, each in chosen:
        why = each.diagnosis.kind if each.diagnosis is not None else ""
        key = (one.id, each.outcome, each.cause, each.status, why)
        if key in kinds:
            kinds[key][1].append(each)
        else:
            kinds[key] = ((one, each), [])
    return list(kinds.values())


def holding(ladders: Iterable[Ladder], frame: int) -> list[Ladder]:
    """Return the ladders that a frame of this number belongs to; InputError where it is in none."""
    found = [
        ladder for ladder in ladders if any(seen.mark.number == frame for step in ladder.steps for seen in step.seen)
    ]
    if not found:
        raise InputError(f"frame {frame} belongs to no attempt of a probe")
    return found


def _numbered(shown: Sequence[Probe], attempts: Sequence[int]) -> list[tuple[Probe, Attempt]]:
    from .report import words
    from .report.numbers import count

    if len(shown) > 1:
        names = ", ".join(f"{one.id} ({words.kind(one)} {words.label(one)})" for one in shown[:10])
        more = " ..." if len(shown) > 10 else ""
        raise InputError(f"attempt {attempts[0]} of which probe? Say --probe with one of {names}{more}")
    (probe,) = shown
    known = {each.n: each for each in probe.attempts}
    for number in attempts:
        if number not in known:
            raise InputError(
                f"{probe.id} has no attempt {number}: it has {count(len(known), 'attempt')}, {min(known)} to {max(known)}"
            )
    return [(probe, known[number]) for number in attempts]


def _may_hold(attempt: Attempt, frame: int) -> bool:
    first, last = attempt.frames()
    spans = [(first, last), *((low, high) for leg in attempt.legs for _, low, high in leg.connection.frames)]
    return any(low <= frame <= high for low, high in spans)
