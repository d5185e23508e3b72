# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""A kubelet as pkg/kubelet/prober has it, in simulated time: the source of truth that probewatch is held against.

What is modelled, after the kubelet's source and what was measured (docs/how-it-knows.md), never after probewatch: one worker for each probe with its ticker (one tick stored, Reset on a manual
run from 1.32 on), initial values, thresholds, on hold, gating, initialDelaySeconds from a startedAt cut to seconds; pod syncs from runtime
events (one relist a second), results, resyncs, one at a time, of which a complete kubelet's next waits for a relist after the last one
(`GetNewerThan`); UpdatePodStatus, which pokes the readiness worker of a started container that is not ready (from 1.23 on; never up to 1.20);
a sandbox before the first container; kills with the pod's or the probe's grace, restarts with back-off or never; sidecars, which start before and end
after the others; exec probes and probes of other hosts, which leave no packet; kubelet restarts with jitter; deletion by version, and a Pod that
takes the address of the one before; a wall clock that is set; a kubelet that gets no CPU; captures cut short, or taken at two places.

Not modelled: lifecycle hooks but a preStop pause, several pods, TLS that works.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from clock import MS, US, Process, S, Signal, Sim, Task, Wait
from prober import PROBERS, Node, ProbeSpec, Verdict
from server import Instance, Listener, Server, Way
from wire import EPOCH, Flow, Net
from worker import Worker


@dataclass(frozen=True)
class ContainerSpec:
    """One container: its probes, its program, and when it dies by itself (seconds of age, one for each instance)."""

    probes: tuple[ProbeSpec, ...]
    listeners: tuple[Listener, ...]
    name: str = "app"
    crashes: tuple[float, ...] = ()
    stops_after: float = 0.0
    """Seconds from SIGTERM to its end."""
    slow_start: float = 0.4
    """Seconds from the order to run to running."""
    sidecar: bool = False
    """A restartable init container."""
    ports: tuple[tuple[str, int], ...] = ()
    """Names of ports."""


@dataclass(frozen=True)
class Scenario:
    """Everything that a run depends on. Times are seconds."""

    name: str
    seed: int
    containers: tuple[ContainerSpec, ...]
    version: str = "1.36"
    duration: float = 60.0
    ways: tuple[Way, ...] = ()
    v6: bool = False
    new_kernel: bool = True
    added: float = 2.2
    full: bool = False
    """A complete kubelet (status lags, relist on demand), not the bare prober manager with a modelled runtime."""
    sync_every: float = 0.0
    """Extra pod syncs, as from changes of labels."""
    kubelet_down: tuple[tuple[float, float], ...] = ()
    busy: float = 0.01
    """Share of the runs of workers that begin late, up to `latest` ns."""
    latest: int = 20 * MS
    stops: tuple[tuple[float, float], ...] = ()
    """When the kubelet gets no CPU, from and until; its kernel goes on."""
    deleted: float | None = None
    pre_stop: float = 0.0
    cut_before: float | None = None
    cut_after: float | None = None
    pod_ip_known: bool = True
    restart_policy: str = "Always"
    kubelet_age: float = 1000.0
    """Seconds that the kubelet ran before the beginning."""
    grace: float = 30.0
    """The pod's terminationGracePeriodSeconds."""
    regression: bool = False
    """k8s#141155: a new container counts as started because the one before was (1.35 and newer)."""
    recreated: float | None = None
    """Seconds after a deleted pod is gone, after which another takes its name and address."""
    host_network: bool = False
    snaplen: int = 262144
    places: int = 1
    """Interfaces at which the capture was taken (`-i any`)."""
    step: tuple[float, float] | None = None
    """When the node's wall clock is set, and by how much."""


@dataclass
class Execution:
    """One run of a prober, and what it did."""

    number: int
    worker: str
    container: str
    start: int
    trigger: str
    due: int
    """When its worker was woken for it; what begins later was late."""
    flows: list[Flow] = field(default_factory=list)
    result: str | None = None
    end: int = 0
    output: str = ""


@dataclass
class Change:
    """A changed cached result."""

    at: int
    type: str
    container: str
    previous: str
    new: str
    made: bool
    streak: int = 0


@dataclass
class Status:
    """What the status manager holds of a container."""

    id: str = ""
    running: bool = False
    started_at: int = 0
    started: bool = False
    ready: bool = False


@dataclass
class Container:
    """A container of the pod in the runtime."""

    spec: ContainerSpec
    instance: Instance | None = None
    count: int = 0
    exited_at: int | None = None
    """When the last exited instance that a status shows ended."""
    backoff: float = 0.0
    uid: str = ""
    """Of its pod, where that is not the first."""
    seen: tuple[str, bool, int] | None = None
    """What the last relist saw: id, running, started at."""

    def look(self) -> bool:
        """Relist it; return whether something changed."""
        now = None if self.instance is None else (self.instance.id, self.instance.alive, self.instance.born)
        changed = now != self.seen
        self.seen = now
        return changed


class Kubelet:
    """One node with one pod. `run` plays a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.sim = sim = Sim(scenario.seed)
        self.net = Net(sim, v6=scenario.v6, new_kernel=scenario.new_kernel, host_network=scenario.host_network)
        self.server = Server(sim, self.net, scenario.ways)
        self.minor = int(scenario.version.split(".")[1].rstrip("+"))
        self.resets = self.minor >= 32
        self.keeps_ready = self.minor >= 35
        self.jitters = self.minor <= 20
        self.node = Node(sim, self.net, self.server, scenario.version, self._dialed, zombies=self.minor >= 32, lingers=self.minor >= 27)
        self.born = -int(scenario.kubelet_age * S)
        self.stops = tuple((int(since * S), int(until * S)) for since, until in scenario.stops)
        self.up = True
        self.containers = [Container(spec) for spec in scenario.containers]
        self.status: dict[str, Status] = {}
        self.results: dict[tuple[str, str], str] = {}
        self.workers: list[Worker] = []
        self.executions: list[Execution] = []
        self.changes: list[Change] = []
        self.starts: list[tuple[int, str]] = []
        self.truth: list[dict[str, Any]] = []
        self._number = 0
        self._running: dict[int, Execution] = {}
        self._work = Signal()
        self._due: set[str] = set()
        self._relist_phase = sim.random.randrange(S)
        self.terminating = False
        self.removed = False
        self._initialized = False
        self._sandbox = False
        self._looked = Signal()
        self._looked_at = 0
        """When the last relist was, and when the last sync was over."""
        self._synced_at = -1
        self._loops: list[Task] = []
        self._generation = 1

    # Truth.

    def log(self, ev: str, **more: Any) -> None:
        """Write one line of truth."""
        self.truth.append({"ev": ev, "t": round((EPOCH + self.sim.now) / S, 6), "ns": "lab", "pod": self.scenario.name, **more})

    def _dialed(self, number: int, flow: Flow, started: int) -> None:
        how = flow.dialed.value
        left, right = "[]" if self.net.v6 else ("", "")
        line: dict[str, Any] = {"id": number, "remote": f"{left}{self.net.pod}{right}:{flow.ports[1]}"}
        if how == "ok":
            line["local"] = f"{left}{self.net.node}{right}:{flow.ports[0]}"
        else:
            line["err"] = f"dial tcp: connect: {how}"
        self.log("conn", **line)
        self.truth[-1]["t"] = round((EPOCH + started) / S, 6)

    def wall(self, at: int) -> int:
        """Return what the node's clock shows at a moment."""
        step = self.scenario.step
        return at + int(step[1] * S) if step is not None and at >= int(step[0] * S) else at

    def set_result(self, worker: Worker, new: str, *, made: bool) -> None:
        """results_manager.Set: only a change is told."""
        key = (worker.id, worker.spec.type)
        previous = self.results.get(key, "none")
        if previous == new:
            return
        self.results[key] = new
        name = worker.container.spec.name
        self.log("result", type=worker.spec.type.capitalize(), container=name, container_id=worker.id, prev=previous, new=new, transition=True)
        self.changes.append(Change(self.sim.now, worker.spec.type, name, previous, new, made, worker.run_length))
        if worker.spec.type != "liveness" or new == "Failure":
            self.ask_sync("result")

    def execute(self, worker: Worker, trigger: str) -> Process:
        """Run the prober once."""
        self._number += 1
        run = Execution(self._number, worker.spec.type, worker.container.spec.name, self.sim.now, trigger, worker.due)
        self.executions.append(run)
        self._running[run.number] = run
        common = {"id": run.number, "type": worker.spec.type.capitalize(), "handler": worker.spec.handler, "container": run.container, "container_id": worker.id}
        self.log("probe_start", pod_ip=self.net.pod, trigger=trigger, **common)
        how = "elsewhere" if worker.spec.host else worker.spec.handler
        verdict: Verdict = yield from PROBERS[how](self.node, worker.spec, run.number)
        run.result, run.end, run.output = verdict.result, self.sim.now, verdict.output
        if verdict.result == "error":
            self.log("probe_end", result="failure", err=verdict.output, **common)
        else:
            self.log("probe_end", result=verdict.result, output=verdict.output, **common)
        return verdict

    # The sync loop.

    def ask_sync(self, why: str) -> None:
        """Queue a pod sync; one at a time, and one waits."""
        self._due.add(why)
        self._work.fire()

    def _sync_loop(self) -> Process:
        sim = self.sim
        while True:
            while not self._due:
                yield Wait(self._work)
            self._due.clear()
            yield sim.about(60 * US, 0.7, 2 * MS) if not self.scenario.full else sim.about(500 * US, 0.6, 3 * MS)
            while self.scenario.full and self._looked_at <= self._synced_at:
                yield Wait(self._looked)  # pod_workers.go: podCache.GetNewerThan(lastSyncTime)
            self._status()
            if self.terminating:
                yield from self._terminate()
                return
            acted = yield from self._act()
            self._synced_at = sim.now
            if acted and self.scenario.full and self.minor >= 36:
                sim.at(sim.now + sim.about(130 * MS, 0.5, S), self._relist)

    def _status(self) -> None:
        """Generate the pod status from what the last relist saw, and poke (UpdatePodStatus)."""
        for container in self.containers:
            name = container.spec.name
            old = self.status.get(name, Status())
            new = Status()
            if container.seen is not None:
                new.id, new.running, new.started_at = container.seen
            has_startup = any(p.type == "startup" for p in container.spec.probes)
            has_readiness = any(p.type == "readiness" for p in container.spec.probes)
            startup = self.results.get((new.id, "startup"))
            inherits = self.keeps_ready and old.started and (old.id == new.id or self.scenario.regression)
            new.started = new.running and (not has_startup or startup == "Success" or (startup is None and inherits))
            ready = self.results.get((new.id, "readiness"))
            new.ready = new.running and new.started and (not has_readiness or ready == "Success")
            # Up to 1.20 nothing pokes; up to 1.22 only as long as nothing is cached.
            pokes = self.minor >= 23 or (self.minor >= 21 and ready is None)
            if new.running and new.started and not new.ready and pokes:
                for worker in self.workers:
                    if worker.container is container and worker.spec.type == "readiness":
                        worker.trigger()
            self.status[name] = new

    def _act(self) -> Process:
        """computePodActions: kill what failed, start what is not running."""
        acted = False
        if self.scenario.full and not self._sandbox:
            yield self.sim.about(500 * MS, 0.5, 3 * S)
            self.net.noise()
        self._sandbox = True
        for container in self.containers:
            instance = container.instance
            seen = container.seen
            again = container.spec.sidecar or self.scenario.restart_policy == "Always"
            if instance is not None and instance.alive and seen is not None and seen[0] == instance.id:
                failed = [kind for kind in ("liveness", "startup") if self.results.get((instance.id, kind)) == "Failure"]
                if not failed:
                    continue
                acted = True
                older = container.exited_at
                self.log("kill_container", container=container.spec.name, why=failed[0])
                yield from self._kill(container, failed[0])
                if not self.scenario.full:
                    # The modelled runtime tells the status manager at once; containerd is asked at the next relist.
                    container.look()
                    self._status()
                if again:
                    yield from self._start(container, older)
            elif instance is None or (not instance.alive and seen is not None and seen[:2] == (instance.id, False) and again):
                acted |= yield from self._start(container, container.exited_at)
            if container.spec.sidecar and not self.status[container.spec.name].started and not self._initialized:
                return acted  # What comes next waits for it, once.
        self._initialized = True
        return acted

    def _kill(self, container: Container, why: str = "") -> Process:
        """killContainer: the probe's grace for its reason, else the pod's."""
        sim = self.sim
        instance = container.instance
        assert instance is not None
        yield sim.about(3 * MS, 0.5) if not self.scenario.full else sim.about(60 * MS, 0.4)
        own = next((probe.grace for probe in container.spec.probes if probe.type == why and probe.grace is not None), None)
        stop = min(container.spec.stops_after, max(2.0, self.scenario.grace if own is None else own))
        if stop:
            yield int(stop * S)
        if instance.alive:
            self._die(container, instance)

    def _die(self, container: Container, instance: Instance) -> None:
        self.server.die(instance)
        container.exited_at = self.sim.now
        self.log("container_died", container=container.spec.name, container_id=instance.id)

    def _start(self, container: Container, exited_at: int | None) -> Process:
        """doBackOff, then start."""
        sim = self.sim
        name = container.spec.name
        if exited_at is not None:
            if sim.now - exited_at < int(container.backoff * S):
                self.log("backoff", container=name, seconds=container.backoff)
                newest = (container.exited_at or exited_at) + int(container.backoff * S) - sim.now
                sim.at(sim.now + int(max(newest, S) * sim.random.uniform(1.0, 1.3)), lambda: self.up and self.ask_sync("back-off"))
                return False
            container.backoff = min(container.backoff * 2, 300.0) if container.backoff else 10.0
        yield sim.about(2 * MS, 0.5) if not self.scenario.full and container.count else int(container.spec.slow_start * S) if not container.count else sim.about(90 * MS, 0.3)
        container.count += 1
        instance = Instance(name, f"containerd://{name}{container.uid}-{container.count}", sim.now, container.spec.listeners)
        container.instance = instance
        self.server.instances = [one for one in self.server.instances if one.alive] + [instance]
        self.starts.append((sim.now, name))
        self.log("container_started", container=name, container_id=instance.id, restart_count=container.count - 1)
        if container.count <= len(container.spec.crashes):
            life = int(container.spec.crashes[container.count - 1] * S)
            sim.at(sim.now + life, lambda: self._crash(container, instance))
        return True

    def _crash(self, container: Container, instance: Instance) -> None:
        if instance.alive:
            self._die(container, instance)

    def _relist(self) -> None:
        """PLEG: look at the runtime, and sync where something changed."""
        if not self.up:
            return
        changes = [container.look() for container in self.containers]
        self._looked_at = self.sim.now
        self._looked.fire()
        if any(changes):
            self.ask_sync("pleg")

    def _relists(self) -> Process:
        yield self._relist_phase
        while True:
            self._relist()
            # A relist takes its time, so a real kubelet's drift; the modelled runtime's do not.
            yield S + (self.sim.about(3 * MS, 0.5) if self.scenario.full else 0)

    def _resyncs(self) -> Process:
        while True:
            yield int(self.sim.random.uniform(60, 90) * S)
            self.ask_sync("resync")

    def _pokes(self) -> Process:
        while True:
            yield int(self.scenario.sync_every * S)
            self.ask_sync("update")

    # Life.

    def _begin(self) -> None:
        """Start the loops of a kubelet that knows the pod."""
        if self.removed:
            return
        loops = [self._sync_loop(), self._relists(), self._resyncs()]
        if self.scenario.sync_every:
            loops.append(self._pokes())
        self._loops = [self.sim.spawn(loop, self.stops) for loop in loops]
        order = {"startup": 0, "readiness": 1, "liveness": 2}
        for container in self.containers:
            for spec in sorted(container.spec.probes, key=lambda spec: order[spec.type]):
                worker = Worker(self, container, spec)
                self.workers.append(worker)
                worker.task = self.sim.spawn(worker.run(), self.stops)
        self.ask_sync("add")

    def _stop(self) -> None:
        """Kill the kubelet process."""
        self.up = False
        self.log("kubelet_stopped")
        for loop in self._loops:
            loop.kill()
        for worker in self.workers:
            worker.stopped.fire()
            if worker.task is not None:
                worker.task.kill()
        for _, flow in self.node.flows:
            if flow.established:
                flow.close(0)
            flow.abandoned = True
        self.workers, self.results = [], {}
        self._due.clear()
        self._synced_at = -1

    def _start_kubelet(self) -> None:
        self.up = True
        self.born = self.sim.now
        self._generation += 1
        self.log("kubelet_started", generation=self._generation)
        self.sim.at(self.sim.now + self.sim.about(300 * MS, 0.3), self._begin)

    def _delete(self) -> None:
        self.terminating = True
        self.log("pod_delete")
        self.ask_sync("delete")

    def _terminate(self) -> Process:
        """SyncTerminatingPod, which no other sync of the pod interrupts, then removal."""
        sim = self.sim
        for worker in self.workers:
            goes_on = not 22 <= self.minor <= 24 if worker.spec.type == "readiness" else worker.container.spec.sidecar or self.minor <= 18
            if not goes_on:
                worker.stopped.fire()
        if self.scenario.pre_stop:
            yield int(self.scenario.pre_stop * S)
        for sidecars in (False, True):
            kills = []
            for container in self.containers:
                if container.spec.sidecar is sidecars and container.instance is not None and container.instance.alive:
                    self.log("kill_container", container=container.spec.name, why="pod deleted")
                    kills.append(sim.spawn(self._kill(container), self.stops))
            for kill in kills:
                yield Wait(kill.done)
        yield sim.about(3 * MS)
        self.removed = True
        for worker in self.workers:
            worker.stopped.fire()
        self.log("pod_removed")
        if self.scenario.recreated is not None:
            sim.at(sim.now + int(self.scenario.recreated * S), self._recreate)

    def _recreate(self) -> None:
        """Let another pod of the same name have the address (a StatefulSet's)."""
        for loop in self._loops:
            loop.kill()
        self.containers = [Container(spec, uid=container.uid + "n") for spec, container in zip(self.scenario.containers, self.containers, strict=True)]
        self.status, self.results, self.workers = {}, {}, []
        self.terminating = self.removed = self._initialized = self._sandbox = False
        self.server.instances = []
        self._due.clear()
        self._synced_at = -1
        self._add()

    def _add(self) -> None:
        self.log("pod_added")
        if not self.scenario.full:  # (The modelled runtime's namespaces are there before.)
            self.net.noise()
        self._begin()

    def run(self) -> Kubelet:
        """Play the scenario."""
        scenario, sim = self.scenario, self.sim
        self.truth.append({"ev": "kubelet_started", "generation": 1, "t": round(EPOCH / S, 6)})
        sim.at(int(scenario.added * S), self._add)
        for down, up in scenario.kubelet_down:
            sim.at(int(down * S), self._stop)
            sim.at(int(up * S), self._start_kubelet)
        if scenario.deleted is not None:
            sim.at(int(scenario.deleted * S), self._delete)
        sim.run(int(scenario.duration * S))
        for number, flow in self.node.flows:
            self._running[number].flows.append(flow)
        return self

    # Output.

    def manifest(self) -> dict[str, Any]:
        """Return the Pod."""
        names = {"readiness": "readinessProbe", "liveness": "livenessProbe", "startup": "startupProbe"}
        containers: list[dict[str, Any]] = []
        sidecars: list[dict[str, Any]] = []
        for container in self.scenario.containers:
            one: dict[str, Any] = {"name": container.name, "image": "registry.lab/app:1"}
            if container.ports:
                one["ports"] = [{"name": name, "containerPort": port} for name, port in container.ports]
            for spec in container.probes:
                one[names[spec.type]] = spec.manifest()
            if container.sidecar:
                one["restartPolicy"] = "Always"
            (sidecars if container.sidecar else containers).append(one)
        pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.scenario.name, "namespace": "lab"}, "spec": {"containers": containers}}
        if sidecars:
            pod["spec"]["initContainers"] = sidecars
        if self.scenario.host_network:
            pod["spec"]["hostNetwork"] = True
        if self.scenario.restart_policy != "Always":
            pod["spec"]["restartPolicy"] = self.scenario.restart_policy
        if self.scenario.pod_ip_known:
            pod["status"] = {"phase": "Running", "podIP": self.net.pod, "podIPs": [{"ip": self.net.pod}]}
        return pod

    def write(self, where: Path) -> None:
        """Write capture.pcap, pod.yaml and truth.jsonl."""
        where.mkdir(parents=True, exist_ok=True)
        cut = self.scenario.cut_before
        end = self.scenario.cut_after
        scenario = self.scenario
        (where / "capture.pcap").write_bytes(self.net.tape.pcap(0 if cut is None else int(cut * S), None if end is None else int(end * S),
                                                                snaplen=scenario.snaplen, places=scenario.places, wall=self.wall))
        (where / "pod.yaml").write_text(yaml.safe_dump(self.manifest(), sort_keys=False), encoding="utf-8")
        if any(way.kind == "arp" for way in self.scenario.ways):
            (where / "unseen").touch()
        with (where / "truth.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(line) + "\n" for line in self.truth)


def play(scenario: Scenario) -> Kubelet:
    """Run a scenario."""
    return Kubelet(scenario).run()


__all__: Sequence[str] = ["Change", "ContainerSpec", "Execution", "Kubelet", "Scenario", "play"]
