"""`probewatch watch`: attempts and decisions as they happen, and at the end what `analyze` would say of the same packets."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Final, Protocol

import click

from ..api import frame_filter, observer
from ..capture.errors import shown
from ..capture.save import Saver
from ..moments import InputError
from ..watching import TURN_S, Watch
from .live import (
    Around,
    Ending,
    Losses,
    filter_of,
    live_options,
    process_events,
    refuse_nothing,
    step_down,
    tap,
    user_option,
)
from .options import Command, Knowledge, Option, knowledge_options, output_options, pod_option, probe_option
from .output import StdoutError, complain, prepare_stdout
from .run import BAD_INPUT, DONE, INCOMPLETE, INTERRUPTED
from .shows import ANALYZE, LineShow, NdjsonShow, ScreenShow, Selection, Show

if TYPE_CHECKING:
    from ..capture.follow import Follower
    from ..capture.taps import Taps
    from ..observer import Observer

NEWS_S: Final = 0.1
"""Seconds between two looks at what is new to show: looking costs less for many attempts at once."""


@click.command(cls=Command)
@live_options
@click.option(
    "-r",
    "--read",
    "path",
    metavar="FILE",
    cls=Option,
    section="Input",
    help="Follow a capture that grows instead; - is standard input: "
    "oc debug node/N -- tcpdump -U -i any -w - | probewatch watch -r -",
)
@knowledge_options
@probe_option("Show only this probe")
@pod_option("Show only this pod's probes")
@click.option(
    "--only",
    type=click.Choice(["failures", "decisions"]),
    cls=Option,
    section="Select",
    help="failures: everything but successes, and all decisions; decisions: only decisions.",
)
@click.option(
    "-w", "--write", "kept", metavar="FILE", cls=Option, section="Output", help="Also save the packets, as pcapng."
)
@click.option(
    "--screen",
    is_flag=True,
    cls=Option,
    section="Output",
    help="A live table on the terminal instead of lines, one row for each probe.",
)
@user_option
@output_options(
    "table",
    "ndjson",
    says="table: a line for each attempt, and a table at the end; ndjson: lines as in analyze.",
)
def watch(
    expression: Sequence[str],
    interfaces: Sequence[str],
    netns: str | None,
    duration: float | None,
    count: int | None,
    path: str | None,
    knowledge: Knowledge,
    probes: Sequence[str],
    pods: Sequence[str],
    only: str | None,
    kept: str | None,
    screen: bool,
    user: str,
    output: str,
    colour: str,
    quiet: bool,
) -> int:
    """Show probes as they happen: every attempt, streak and decision on this node, or in a capture that grows.

    Without an argument it sees all that this node's pods see, on all interfaces. Ctrl-C, SIGTERM or the end of its time
    end it with the table that `analyze` would print of the same packets.

    Exit status: 0 ended, whatever the probes did; 2 usage (also where --probe and --pod matched nothing), unreadable input
    or a missing capability; 3 something was lost (the notes say what); 130 interrupted twice, or while nobody read what it
    printed.
    """
    refuse_nothing(duration, count)
    if path is not None and (interfaces or netns):
        raise InputError("-r reads a capture: it cannot be combined with -i or --netns")
    chosen = Selection(probes, pods)
    if output == "ndjson" and (chosen or only):
        raise InputError("-o ndjson shows everything: --probe, --pod and --only work with the table only")
    if screen and (only or output == "ndjson" or not sys.stdout.isatty()):
        raise InputError(
            "--screen draws everything, on a terminal: it cannot be combined with a pipe, --only or -o ndjson"
        )
    prepare_stdout()
    filtered = filter_of(expression)
    told = output == "ndjson"
    known = observer(**knowledge.arguments(), brief=True, heard=told, early=told)
    ending = Ending(duration)
    blind = ""
    around: Around | None = None
    feed: Taps | Follower
    notes: Losses | _EndOfFile
    if path is None:
        processes, blind = process_events(netns, user)
        feed = tap(interfaces, netns, filtered, processes)
        around = Around(known, netns, user)
        around.name(feed)
        notes = Losses(feed, wanted=not quiet)
    else:
        feed = _follow(path, known, ending)
        notes = _EndOfFile(feed, wanted=not quiet)
    try:
        saver = None if kept is None else Saver(kept, lambda: feed.descriptions)
        watching = Watch(feed, known, matches=None if path is None else frame_filter(filtered), saver=saver, most=count)
        beside: list[_Beside] = [notes]
        if around is not None:
            beside.append(around)
        if saver is not None:
            beside.append(_Kept(saver, wanted=not quiet))
        if isinstance(notes, Losses):
            step_down(user, quiet=quiet)
            notes.taps.begin()
            ending.begin()
        for why in (blind, around.why if around is not None else ""):
            if why and not quiet:
                complain(why)
        for unknown in chosen.unknown(known.book) if not quiet else ():
            complain(unknown)
        if not quiet:
            complain(f"watching {shown(feed.path)}; Ctrl-C ends it with the summary")
        everything = ANALYZE if kept is None else f"probewatch analyze -o wide {quote(shown(kept))}"
        show: Show
        if screen:
            show = ScreenShow(known, chosen, colour, lambda: _account(watching), everything=everything)
        elif output == "ndjson":
            show = NdjsonShow(known, ending)
        else:
            show = LineShow(known, ending, chosen, only, colour, quiet=quiet, everything=everything)
        return _run(watching, show, ending, beside, chosen, kept)
    finally:
        if around is not None:
            around.close()
        feed.close()


class _Beside(Protocol):
    """Looked at between turns."""

    def look(self) -> None:
        """See what there is to say, or to learn."""


class _EndOfFile:
    """Says once that a file was read which may be finished, or whose name is another's: otherwise a user waits for what never comes."""

    def __init__(self, feed: Follower, *, wanted: bool) -> None:
        self._feed, self._wanted, self._gone = feed, wanted, "" if wanted else "(not wanted)"

    def look(self) -> None:
        """See whether it is there."""
        gone = self._feed.gone
        if gone and not self._gone:
            self._gone = gone
            complain(
                f"{shown(self._feed.path)} {gone}: what comes into the one that was opened is still shown, a new file of this name "
                "is not; to watch that, begin again"
            )
        if self._wanted and self._feed.finished:
            self._wanted = False
            complain(
                f"end of {shown(self._feed.path)}; waiting for more frames, Ctrl-C ends with the summary "
                "(for a finished capture: probewatch analyze)"
            )


class _Kept:
    """Says once that the file of the packets cannot be written any more: whoever relies on it must know at once."""

    def __init__(self, saver: Saver, *, wanted: bool) -> None:
        self._saver, self._wanted = saver, wanted

    def look(self) -> None:
        """See whether it is so."""
        if self._wanted and self._saver.broken:
            self._wanted = False
            complain(f"{self._saver.broken}; what passes from now on is watched, but not kept")


def _run(
    watching: Watch,
    show: Show,
    ending: Ending,
    beside: Sequence[_Beside],
    chosen: Selection,
    kept: str | None,
) -> int:
    try:
        due = 0.0
        while not (ending.come or watching.over):
            watching.turn()
            if (now := time.monotonic()) >= due:
                show.news(watching.now_ns)
                due = now + NEWS_S
            for one in beside:
                one.look()
        for one in beside if ending.come else ():
            if isinstance(one, Losses):
                one.end("worked out first; a second signal (Ctrl-C) ends it at once, without them")
        watching.settle()
        show.news(watching.now_ns)
        timeline = watching.finish()
        missing = chosen.missing(timeline) if chosen and timeline.probes else []
        for sentence in missing:
            complain(sentence)
        if missing and not any(map(chosen.takes, timeline.probes)):
            return BAD_INPUT
        show.end(timeline)
    except KeyboardInterrupt:
        return INTERRUPTED
    except StdoutError as error:
        if kept is not None:
            error.add_note(f"the packets until then are kept in {shown(kept)}")
        raise
    finally:
        show.close()
        watching.close()
    return DONE if timeline.complete else INCOMPLETE


def _account(watching: Watch) -> str:
    """Return what was seen and lost, in short."""
    dropped = watching.feed.counts().dropped
    return f"{watching.frames} frames, " + (f"{dropped} LOST" if dropped else "none lost")


def _follow(path: str, known: Observer, ending: Ending) -> Follower:
    """Open a capture that grows, and wait until its header has come."""
    from ..capture.follow import Follower

    feed = Follower(path)
    feed.on_secret(known.add_secrets)
    feed.on_interface(known.meet_host)
    feed.start()
    while not feed.ready(TURN_S):
        if ending.come:
            break
    return feed
