"""`probewatch lab`: scenarios in network namespaces of this machine."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..api import observer
from ..model.spec import Handler
from ..moments import InputError
from .live import Ending, process_events, tap
from .options import Command
from .output import complain, manner, prepare_stdout
from .run import DONE, INTERRUPTED

if TYPE_CHECKING:
    from ..lab.run import Run
    from ..lab.scenarios import Scenario
    from ..report.paper import Paper

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
    from ..report.paper import Paper, Span

    prepare_stdout()
    paper = Paper(sys.stdout.write, **manner("never"))
    indent = max(len(name) for name in SCENARIOS) + 2
    for scenario in SCENARIOS.values():
        paper.filled(scenario.says, first=[Span(f"{scenario.name:<{indent}}")], indent=indent)
        if verbose:
            _details(paper, scenario, indent)
    return DONE


def _details(paper: Paper, scenario: Scenario, indent: int) -> None:
    from ..report.paper import Span

    lead = " " * indent
    paper.filled(scenario.shows, first=[Span(f"{lead}-> ")], indent=indent + 3)
    if scenario.rows:
        paper.filled(f"catalogue: {', '.join(scenario.rows)}", first=[Span(lead)], indent=indent)
    for pod in scenario.pods:
        for container in pod.containers:
            for line in container.probes.splitlines():
                paper.line(f"{lead}   {line}", cut=False)
    paper.line()


@lab.command("run", cls=Command)
@click.argument("name")
@click.option("--duration", metavar="SECONDS", type=click.FloatRange(1, _LONGEST_S), help="How long it runs.")
@click.option("-6", "--ipv6", is_flag=True, help="The pods' primary address is IPv6.")
@click.option(
    "--keep", metavar="FILE", help="Keep the packets as pcapng, and beside it the pod and the prober's record."
)
@click.option(
    "--color",
    "--colour",
    "colour",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="auto: on a terminal, unless NO_COLOR is set.",
)
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
    from ..capture.privilege import NOBODY
    from ..capture.save import Saver
    from ..lab.network import NODES
    from ..watching import Watch
    from .shows import LineShow, Selection

    known = observer(spec=[str(path) for path in run.manifests], brief=True, heard=False)
    commands = any(
        spec.handler is Handler.EXEC for pod in known.book.all_pods() for c in pod.containers for spec in c.probes
    )
    processes, blind = process_events(None, NOBODY) if commands else (None, "")
    feed = tap([run.interface], run.netns, "", processes)
    if blind:
        complain(f"lab: {blind}")
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
    """Put the Pods, and what the prober and the clients wrote down, beside the packets; say how to look at them again."""
    words = ["probewatch", "analyze", str(kept)]
    for file in (*run.manifests, run.record, run.clients):
        if file.exists():
            beside = kept.with_suffix(f".{file.name}")
            shutil.copy(file, beside)
            words += ["--spec", str(beside)] if file in run.manifests else []
    complain(f"lab: kept; to look again: {shlex.join(words)}")


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
@click.option("--all", "everything", is_flag=True, help="Also end runs that are being watched.")
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
        complain(f"run {run} is still going and was left alone: --all ends it too")
    if not removed:
        sys.stdout.write("nothing was left\n")
    return DONE
