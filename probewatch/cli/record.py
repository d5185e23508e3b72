"""`probewatch record`: just what an analysis needs, as pcapng."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import click

from ..capture.errors import shown
from ..capture.save import MOST_FILES, Bounds, Saver
from ..capture.trim import Trimmer
from ..moments import InputError
from ..watching import Keep
from .live import Ending, Losses, filter_of, live_options, process_events, refuse_nothing, step_down, tap, user_option
from .options import Command, Option, quiet_option
from .output import complain
from .run import DONE, INCOMPLETE, INTERRUPTED

_UNITS: Final = {"": 1_000_000, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
DEFAULT_SIZE: Final = "1G"


@click.command(cls=Command)
@live_options
@click.option(
    "-w",
    "--write",
    "path",
    metavar="FILE",
    required=True,
    cls=Option,
    section="Output",
    help="Write here; - is standard output.",
)
@click.option(
    "-C",
    "--limit-size",
    "size",
    metavar="SIZE",
    default=DEFAULT_SIZE,
    show_default=True,
    cls=Option,
    section="Output",
    help="Size of a file: 100M, 2G; a bare number counts millions of bytes, as in tcpdump.",
)
@click.option(
    "-G",
    "--limit-time",
    "seconds",
    type=float,
    metavar="SECONDS",
    cls=Option,
    section="Output",
    help="Start a new file (or stop, without -W) after this many seconds.",
)
@click.option(
    "-W",
    "--files",
    type=int,
    default=1,
    metavar="N",
    cls=Option,
    section="Output",
    help="Keep a ring of N files (FILE-0, FILE-1, ...) and overwrite the oldest. Without it, recording stops when the file is full.",
)
@click.option(
    "--headers-only",
    is_flag=True,
    cls=Option,
    section="Output",
    help="Overwrite the bodies of HTTP messages; the analysis stays the same.",
)
@click.option(
    "--mask",
    is_flag=True,
    cls=Option,
    section="Output",
    help="Overwrite secrets in HTTP headers: Authorization, Cookie, tokens, keys.",
)
@user_option
@quiet_option
def record(
    expression: Sequence[str],
    interfaces: Sequence[str],
    netns: str | None,
    duration: float | None,
    count: int | None,
    path: str,
    size: str,
    seconds: float | None,
    files: int,
    headers_only: bool,
    mask: bool,
    user: str,
    quiet: bool,
) -> int:
    """Save what an analysis needs of all this node's pods see, as pcapng: no bulk transfers, no long payload.

    What it wrote analyses to the same timeline. Files are readable by their owner alone, and links are not followed.

    Exit status: 0 ended by Ctrl-C, SIGTERM or a bound; 2 usage or a missing capability; 3 something was lost (the notes say
    what); 130 interrupted twice, or while nobody read what it wrote.
    """
    refuse_nothing(duration, count)
    bounds, filtered = _bounds(size, seconds, files), filter_of(expression)
    if path == "-" and files > 1:
        raise InputError("standard output is one file: -W needs -w FILE")
    ending = Ending(duration)
    processes, blind = process_events(netns, user)
    feed = tap(interfaces, netns, filtered, processes)
    try:
        saver = Saver(path, lambda: feed.descriptions, bounds=bounds)
        keep = Keep(feed, saver, trim=Trimmer(headers_only=headers_only, mask=mask).trim, most=count)
        step_down(user, quiet=quiet)
        feed.begin()
        ending.begin()
        if blind and not quiet:
            complain(blind)
        if not quiet:
            goal = "standard output" if path == "-" else ", ".join(saver.paths[:3]) + (" ..." if files > 3 else "")
            complain(f"recording {shown(feed.path)} into {goal}")
        losses = Losses(feed, wanted=not quiet)
        while not (ending.come or keep.over):
            with ending.writing():
                keep.turn()
            losses.look()
        if ending.come:
            losses.end("written first")
        with ending.writing():
            info = keep.finish()
    except KeyboardInterrupt:
        if path != "-":  # (nobody may be reading what goes there)
            keep.finish()
        return INTERRUPTED
    finally:
        feed.close()
    if not quiet:
        over = f", {keep.overwritten} before them overwritten as asked (-W {files})" if keep.overwritten else ""
        lost = ", nothing lost" if info.complete else ""
        complain(
            f"{keep.frames - keep.overwritten} frames kept{over}{lost}"
            + (f": {'; '.join(info.notes)}" if info.notes else "")
        )
    return DONE if info.complete else INCOMPLETE


def _bounds(size: str, seconds: float | None, files: int) -> Bounds:
    found = re.fullmatch(r"(\d{1,9})([kKmMgG]?)", size)
    if found is None or not int(found[1]):
        raise InputError(f"--limit-size {size} is not a size: give it as 100M, 2G, or 100 for millions of bytes")
    if seconds is not None and not seconds > 0:
        raise InputError(f"--limit-time {seconds:g} is not possible: give a number greater than 0")
    if not 0 < files <= MOST_FILES:
        raise InputError(f"--files {files}: a ring has from 1 to {MOST_FILES} files")
    return Bounds(size=int(found[1]) * _UNITS[found[2].lower()], seconds=seconds, files=files)
