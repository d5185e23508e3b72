"""Process events in the observer: which Pod and container a command ran in, and the probes that no spec declares.

Theory of operation. Runs come from `probes.execs`. A run is placed by what is the surest: its container id, where a
manifest's status names it; the Pod's uid in its cgroup; the addresses of its network namespace; last the one Pod of
which no address is known and that declares this very command. From there on it is an attempt like any other, in the
same lane as the Pod's attempts on the wire, so that a startup probe that is a command gates a readiness probe that is
an HTTP request.

Where no spec declares a command, the same command run in one container at whole seconds, by a runtime, without a
terminal, is a probe of unknown type; nothing proves that it is the kubelet's. What is run once is somebody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.process import ExecRun, ProcessEvent, ProcessKind
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import EventKind, TimelineEvent
from probewatch.model.units import MINUTE
from probewatch.probes.cadence import period_of
from probewatch.probes.execs import ExecJoiner, is_command
from probewatch.probes.inference import Guess
from probewatch.probes.patience import observed_timeout
from probewatch.probes.runs import Run, exec_run

FEWEST_RUNS: Final = 3
"""Runs of one command at whole seconds that make a probe nobody declared."""
MOST_EVENTS: Final = 4_096
"""Container starts and ends that are told."""
BEGINNING_NS: Final = MINUTE
"""First attempts this soon after a container's first process are the beginning's."""
SHORT_ID: Final = 12
"""Digits of a container id that are shown, as runtimes' own tools do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command ran."""

    address: str
    """Of the target; `container ID` where no address is known."""
    pod: PodSpec | None = None
    container: int | None = None
    """Its index in the Pod."""


class Execs:
    """Commands run in containers, as process events show them."""

    def __init__(self, book: AddressBook) -> None:
        self._book = book
        self._joiner = ExecJoiner()
        self._pods = {pod.uid: pod for pod in book.all_pods() if pod.uid}
        self._containers = {
            name: (pod, index)
            for pod in book.all_pods()
            for index, container in enumerate(pod.containers)
            for name in container.ids
        }
        self.host = ""
        """The node's host name."""
        self.lost = 0
        """How often events were lost."""
        self.events: list[TimelineEvent] = []
        """Containers that were seen to start and to end."""
        self._firsts: dict[int, tuple[str, Place]] = {}
        """First processes of containers by number."""

    def feed(self, event: ProcessEvent) -> list[Run]:
        """Take the next event, in time order; return the attempts that are complete by now."""
        self.host = event.host or self.host
        self.lost += event.lost
        if event.kind is ProcessKind.STARTED:
            self._container_started(event)
        elif event.kind is ProcessKind.EXIT and event.pid in self._firsts:
            self._container_ended(event)
        return self._placed(self._joiner.feed(event))

    def advance(self, now_ns: int) -> list[Run]:
        """Return the attempts that silence completes."""
        return self._placed(self._joiner.advance(now_ns))

    def finish(self) -> list[Run]:
        """Return what is left."""
        return self._placed(self._joiner.finish())

    def since(self) -> dict[str, int]:
        """Return the start of the oldest run that is still under way, by target address."""
        out: dict[str, int] = {}
        for run in self._joiner.under_way():
            address = self._place(run).address
            out[address] = min(out.get(address, run.start.ns), run.start.ns)
        return out

    def started_near(self, address: str, ns: int) -> bool:
        """Tell whether a container at an address was seen to start shortly before this moment."""
        return any(
            event.address == address
            and event.kind is EventKind.CONTAINER_STARTED
            and ns - BEGINNING_NS <= event.ns <= ns
            for event in self.events
        )

    def with_own(self, inferred: Sequence[TimelineEvent]) -> list[TimelineEvent]:
        """Return all events; of a beginning that attempts suggest and a process event shows, the latter."""
        shown = [event for event in self.events if event.kind is EventKind.CONTAINER_STARTED]
        left = [
            event
            for event in inferred
            if event.kind is not EventKind.CONTAINER_STARTED
            or not any(
                (event.address, event.container) == (one.address, one.container)
                and 0 <= event.ns - one.ns <= BEGINNING_NS
                for one in shown
            )
        ]
        return [*left, *self.events]

    def notes(self) -> list[str]:
        """Return what is to say of the events as such."""
        if not self.lost:
            return []
        times = f"{self.lost} time{'s' if self.lost > 1 else ''}"
        return [f"the kernel lost process events ({times}): runs of exec probes may be missing"]

    # --- where ---

    def _placed(self, done: Sequence[tuple[ExecRun, ...]]) -> list[Run]:
        out = []
        for tries in done:
            place = self._place(tries[-1])
            out.append(exec_run(tries, place.address, place.container))
        return out

    def _place(self, run: ExecRun) -> Place:
        known = self._containers.get(run.container)
        if known is not None:
            return _at(known[0], run.addresses, known[1], run.container)
        pod = self._pods.get(run.pod_uid) if run.pod_uid else None
        if pod is None:
            here = [pod for address in run.addresses for pod in self._book.pods_at(address, run.start.ns)]
            pod = here[0] if here else None
        if pod is None:
            fitting = [pod for pod in self._book.unplaced if _declares(pod, run)]
            pod = fitting[0] if len(fitting) == 1 and not run.addresses else None
        return _at(pod, run.addresses, _only(pod, run) if pod is not None else None, run.container)

    # --- containers ---

    def _container_started(self, event: ProcessEvent) -> None:
        place = self._place(_bare(event))
        self._firsts[event.pid] = (event.container, place)
        self._tell(event, place, EventKind.CONTAINER_STARTED, f"its first process began, frame {event.mark.number}")

    def _container_ended(self, event: ProcessEvent) -> None:
        _, place = self._firsts.pop(event.pid)
        how = f"signal {event.signal}" if event.signal else f"exit status {event.exit_code}"
        self._tell(
            event, place, EventKind.CONTAINER_EXITED, f"its first process ended, {how}, frame {event.mark.number}"
        )

    def _tell(self, event: ProcessEvent, place: Place, kind: EventKind, evidence: str) -> None:
        if len(self.events) >= MOST_EVENTS:
            return
        pod = place.pod
        self.events.append(
            TimelineEvent(
                ns=event.mark.ns,
                kind=kind,
                address=place.address,
                pod=f"{pod.namespace}/{pod.name}" if pod is not None and pod.name else None,
                container=pod.containers[place.container].name
                if pod is not None and place.container is not None
                else None,
                source="process-event",
                evidence=evidence,
            )
        )


def guess_commands(runs: Sequence[Run]) -> list[tuple[Guess, list[Run]]]:
    """Return the probes behind commands that no spec declares, each with its runs, given in the order of starts."""
    groups: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        last = run.execs[-1]
        if last.arguments and not last.terminal and last.parents:
            groups.setdefault((last.container, last.arguments), []).append(run)
    out = []
    for (_, command), mine in groups.items():
        period = period_of([run.start.ns for run in mine])
        if len(mine) < FEWEST_RUNS or period is None:
            continue
        timeout = observed_timeout(mine, Handler.EXEC)
        inferred = {"periodSeconds": period} | ({"timeoutSeconds": timeout} if timeout is not None else {})
        spec = ProbeSpec(
            type=ProbeType.UNKNOWN, handler=Handler.EXEC, command=command, period_s=period, timeout_s=timeout or 1
        )
        out.append(
            (Guess(spec=spec, reason="its command and its period are all that is known", inferred=inferred), mine)
        )
    return out


def _bare(event: ProcessEvent) -> ExecRun:
    return ExecRun(
        start=event.mark,
        command=event.mark,
        end=None,
        arguments=event.arguments,
        container=event.container,
        pod_uid=event.pod_uid,
        addresses=event.addresses,
    )


def _at(pod: PodSpec | None, addresses: Sequence[str], container: int | None, name: str) -> Place:
    """Return a place; the Pod's primary address is its target's, whatever family a run shows first."""
    if pod is not None and pod.addresses:
        return Place(pod.addresses[0], pod, container)
    if addresses:
        return Place(addresses[0], pod, container)
    return Place(f"container {name[:SHORT_ID]}" if name else "container", pod, container)


def _declares(pod: PodSpec, run: ExecRun) -> bool:
    return _only(pod, run) is not None or sum(_asks(spec, run) for c in pod.containers for spec in c.probes) > 1


def _only(pod: PodSpec, run: ExecRun) -> int | None:
    """Return the one container of a Pod that declares this command; None where none or several do."""
    fitting = [
        index for index, container in enumerate(pod.containers) if any(_asks(spec, run) for spec in container.probes)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _asks(spec: ProbeSpec, run: ExecRun) -> bool:
    return spec.handler is Handler.EXEC and is_command(spec.command, run.arguments)
