"""`probewatch lab`: scenarios in network namespaces of this machine."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..api import observer
from ..moments import InputError
from .live import Ending, tap
from .options import Command
from .output import complain, prepare_stdout
from .run import DONE, INTERRUPTED

if TYPE_CHECKING:
    from ..lab.run import Run
    from ..lab.scenarios import Scenario

_LONGEST_S: Final = 3600
"""Seconds that a scenario may last."""


@click.group(short_help="Try it: scenarios in network namespaces.")
def lab() -> None:
    """Try it: a node and pods that misbehave in network namespaces, and a stand-in for the kubelet. Needs root.

    Nothing is made or changed in this machine's own network namespace.
    """


@lab.command("list", cls=Command)
@click.option("-v", "--verbose", is_flag=True, help="Also what a reader should see, and the pods' probes.")
def list_(verbose: bool) -> int:
    """List the scenarios."""
    from ..lab.scenarios import SCENARIOS

    prepare_stdout()
    longest = max(len(name) for name in SCENARIOS)
    for scenario in SCENARIOS.values():
        sys.stdout.write(f"{scenario.name:<{longest}}  {scenario.says}\n")
        if verbose:
            for line in _details(scenario):
                sys.stdout.write(f"{'':<{longest}}  {line}\n")
    return DONE


def _details(scenario: Scenario) -> list[str]:
    lines = [f"-> {scenario.shows}"]
    if scenario.rows:
        lines.append(f"catalogue: {', '.join(scenario.rows)}")
    for pod in scenario.pods:
        for container in pod.containers:
            lines += [f"   {line}" for line in container.probes.splitlines()]
    return [*lines, ""]


@lab.command("run", cls=Command)
@click.argument("name")
@click.option("--duration", metavar="SECONDS", type=click.FloatRange(1, _LONGEST_S), help="How long it runs.")
@click.option("-6", "--ipv6", is_flag=True, help="The pods' primary address is IPv6.")
@click.option(
    "--keep", metavar="FILE", help="Keep the packets as pcapng, and beside it the pod and the prober's record."
)
@click.option("--colour", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the output.")
def run_(name: str, duration: float | None, ipv6: bool, keep: str | None, colour: str) -> int:
    """Run scenario NAME: what probewatch sees as it happens, and the summary.

    Exit status: 0 done; 2 it cannot be run here; 130 interrupted (what was recorded is shown).
    """
    from ..lab.run import Run
    from ..lab.state import LabError

    scenario = _scenario(name)
    prepare_stdout()
    ending = Ending(None)
    signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGINT))  # a terminal that went away
    try:
        with Run(scenario, seconds=duration, ipv6=ipv6) as run:
            with ending.writing():
                sys.stdout.write(f"{scenario.name}: {scenario.says}\n-> {scenario.shows}\n\n")
            _watched(run, keep, colour, ending)
            if keep is not None:
                _copy(run, Path(keep))
    except LabError as error:
        raise InputError(str(error)) from None
    return INTERRUPTED if ending.asked else DONE


def _scenario(name: str) -> Scenario:
    from ..lab.scenarios import SCENARIOS

    if name not in SCENARIOS:
        raise InputError(f"there is no scenario {name}: `probewatch lab list` names them")
    return SCENARIOS[name]


def _watched(run: Run, keep: str | None, colour: str, ending: Ending) -> None:
    """Run it, and show what `watch` shows of its interface, to its end or until somebody asks for that."""
    from ..capture.save import Saver
    from ..lab.network import NODES
    from ..watching import Watch
    from .shows import LineShow, Selection

    known = observer(spec=[str(path) for path in run.manifests], brief=True, heard=False)
    feed = tap([run.interface], run.netns, "")
    feed.host = NODES[0]
    for interface in feed.descriptions:
        known.meet_host(interface)
    try:
        watching = Watch(feed, known, saver=None if keep is None else Saver(keep, lambda: feed.descriptions))
        show = LineShow(known, ending, Selection(), None, colour)
        try:
            feed.begin()
            run.begin(lambda sentence: complain(f"lab: {sentence}"))
            until = time.monotonic() + run.seconds
            while not (ending.asked or watching.over or time.monotonic() >= until):
                run.check()
                watching.turn()
                show.news(watching.now_ns)
            run.stop()
            watching.settle()
            show.news(watching.now_ns)
            show.end(watching.finish())
        finally:
            watching.close()
    finally:
        feed.close()


def _copy(run: Run, kept: Path) -> None:
    """Put the Pods, and what the prober and the clients wrote down, beside the packets."""
    for file in (*run.manifests, run.record, run.clients):
        if file.exists():
            shutil.copy(file, kept.with_suffix(f".{file.name}"))


@lab.command("up", cls=Command)
@click.option("--duration", metavar="SECONDS", type=click.FloatRange(1, 24 * _LONGEST_S), help="How long it lasts.")
@click.option("-6", "--ipv6", is_flag=True, help="The pods' primary addresses are IPv6.")
def up_(duration: float | None, ipv6: bool) -> int:
    """Build a small cluster and leave it running: pods, a second node, a router, Services and a client."""
    from ..lab.run import Run
    from ..lab.scenarios import CLUSTER
    from ..lab.state import LabError

    prepare_stdout()
    try:
        run = Run(CLUSTER, seconds=duration, ipv6=ipv6)
        try:
            run.begin(detached=True)
            run.release()
        except BaseException:
            run.close()
            raise
    except LabError as error:
        raise InputError(str(error)) from None
    for line in run.tour():
        sys.stdout.write(line + "\n")
    return DONE


@lab.command("down", cls=Command)
@click.argument("numbers", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="End also runs that somebody is watching.")
def down_(numbers: tuple[str, ...], everything: bool) -> int:
    """Remove everything that the laboratory has left: of `lab up`, and of runs that were killed; or only of these RUNs."""
    from ..lab.network import require_privileges
    from ..lab.run import down
    from ..lab.state import LabError

    prepare_stdout()
    try:
        require_privileges()
    except LabError as error:
        raise InputError(str(error)) from None
    removed, living = down(numbers, also_living=everything)
    for what in removed:
        sys.stdout.write(f"removed {what}\n")
    for run in living:
        complain(f"run {run} goes on and was left alone: --all ends it too")
    if not removed:
        sys.stdout.write("nothing was left\n")
    return DONE
