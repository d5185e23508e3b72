"""A scenario while it runs: its interface recorded into a pcapng file, and what probewatch makes of it as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from probewatch import api
from probewatch.capture.live import Live
from probewatch.capture.tally import MAX_FRAME
from probewatch.capture.write import Counts, PcapngWriter
from probewatch.cluster import build_book, read_specs
from probewatch.observer import Observer, Settings

from .run import Run

if TYPE_CHECKING:
    from probewatch.model.timeline import Timeline
    from probewatch.observer import Change

TURN_S: Final = 0.1
"""Seconds between two looks at the interface."""


def show(run: Run, path: Path, changed: Callable[[Change], None], said: Callable[[str], None]) -> Timeline:
    """Run a scenario to its end and return the timeline of its recording, which is at `path` then.

    Ctrl-C (KeyboardInterrupt) ends the scenario early; the timeline is of what was recorded until then.

    Args:
        run: is set up and not begun.
        path: the file to write.
        changed: is told of attempts and decisions as they become known.
        said: is told what the laboratory does, in sentences, from another thread.
    """
    observer = Observer(
        Settings(book=build_book([pod for manifest in run.manifests for pod in read_specs(str(manifest))]))
    )
    with Live(run.interface, netns=run.netns) as live, path.open("wb") as out:
        writer = PcapngWriter(out)
        writer.interface(run.interface, live.link_type, MAX_FRAME)
        begun_ns = time.time_ns()

        def turn() -> None:
            for frame in live.poll(TURN_S):
                writer.frame(frame)
                observer.feed(frame)
            observer.advance(time.time_ns() - int(TURN_S * 1e9))
            for change in observer.take():
                changed(change)

        try:
            run.begin(said)
            until = time.monotonic() + run.seconds
            while time.monotonic() < until:
                run.check()
                turn()
        except KeyboardInterrupt:
            said("interrupted: what was recorded until then is shown")
        run.stop()
        live.stop()
        for frame in live.drain():
            writer.frame(frame)
        counts = live.counts() or Counts(received=writer.frames, dropped=0)
        writer.statistics(0, begun_ns, time.time_ns(), counts)
    return api.analyze(path, spec=[str(manifest) for manifest in run.manifests])
