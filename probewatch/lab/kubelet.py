"""A stand-in for the kubelet: starts containers, keeps their status, syncs pods, and writes down all that it does.

Runs as a process in the node's network namespace: `python -m probewatch.lab.kubelet PARENT CONFIG`.

Theory of operation: each pod has a thread, its pod worker. It looks at its containers once a second (PLEG's relist), soon
after it did something itself, and whenever a probe's cached result changed. A sync starts what does not run (after a
back-off), kills what its liveness or startup probe condemns, stores the status, and triggers the readiness worker of
every started container that is not Ready: the manual trigger of prober_manager.go UpdatePodStatus.
The record has the form of the `truth.jsonl` in captures/README.md.

It is no kubelet: there is no API server, no image, no volume; a sync takes no time, so what follows a decision follows
faster than in life. The worker's code is written after worker.go, see `prober`.
"""

from __future__ import annotations

import itertools
import json
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from probewatch.cluster import read_specs
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeType

from . import containers
from .children import begin
from .dial import Orphans
from .handlers import Site
from .prober import Status, Worker

RELIST_S: Final = 1.0
"""kubelet.go genericPlegRelistPeriod."""
SOON_S: Final = 0.15
"""Seconds from a sync that did something to the next look (pod_workers.go RequestPodRelist, since 1.36)."""
BACKOFF_S, MAX_BACKOFF_S, FORGET_S = 10.0, 300.0, 600.0
"""kubelet.go newCrashLoopBackOff."""
LEAST_GRACE_S: Final = 2
"""kuberuntime_container.go minimumGracePeriodInSeconds."""
END_S: Final = 1.5
"""Seconds that a pod's probes may still take when everything ends."""
OLD_S: Final = 86400.0
"""Uptime of a kubelet that has been running for long when a scenario begins."""


class Record:
    """The file of what was done, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def write(self, event: str, **more: Any) -> None:
        """Write one line."""
        line = json.dumps({"ev": event, "t": round(more.pop("t", time.time()), 6), **more}, sort_keys=True)
        with self._lock, suppress(OSError, ValueError):
            self._file.write(line + "\n")

    def number(self) -> int:
        """Return the next number of an execution."""
        with self._lock:
            return next(self._numbers)


class Container:
    """One container of a pod with its workers; `prober.Keeper` of each."""

    def __init__(self, pod: Pod, spec: ContainerSpec, plan: dict[str, Any]) -> None:
        self.pod, self.spec, self.plan = pod, spec, plan
        self.instance: containers.Container | None = None
        self.ident = ""
        self.restarts = -1
        self.workers: dict[ProbeType, Worker] = {}
        self.ready = False
        self.started = False
        self.kept = ("", False, False)
        """Instance, started, ready: what a kubelet that has restarted takes over until its own workers know (since 1.35)."""
        self._started_at = 0.0
        self._known: Status | None = None
        self._exited_at: float | None = None
        self._backoff_s, self._backed_off_at = 0.0, 0.0

    # --- for the workers ---

    def status(self) -> Status | None:
        """See `Keeper`."""
        return self._known

    def site(self) -> Site:
        """See `Keeper`."""
        return Site(self.pod.address, self.pod.kubelet.version, self.pod.kubelet.orphans, self._execute)

    def say(self, event: str, **more: Any) -> None:
        """See `Keeper`."""
        self.pod.say(event, container=self.spec.name, container_id=self.ident, **more)

    def number(self) -> int:
        """See `Keeper`."""
        return self.pod.kubelet.record.number()

    def changed(self, kind: ProbeType) -> None:
        """See `Keeper`: status_manager.go takes readiness and startup at once, then the pod is synced."""
        if kind is ProbeType.LIVENESS and self._cached(kind) != "Failure":
            return
        self.settle()
        self.pod.sync_soon(kind.value)

    def _execute(self, words: list[str], timeout_s: float) -> tuple[int, bytes]:
        instance = self.instance
        if instance is None:
            raise FileNotFoundError(2, "container not running")
        return instance.execute(words, timeout_s)

    # --- for the pod ---

    def _cached(self, kind: ProbeType) -> str | None:
        """Return what a worker found of this very instance."""
        worker = self.workers.get(kind)
        return None if worker is None else worker.result(self.ident)

    def condemned(self) -> str | None:
        """Return which probe wants it killed."""
        for kind in (ProbeType.LIVENESS, ProbeType.STARTUP):
            if self._cached(kind) == "Failure":
                return kind.value
        return None

    def settle(self) -> None:
        """Make its status of what its workers found (UpdatePodStatus)."""
        running = self.instance is not None and self.instance.exited() is None
        ident, started, ready = self.kept
        if ident != self.ident:
            started = ready = False
        self.started = running and self._has(ProbeType.STARTUP, kept=started)
        self.ready = self.started and self._has(ProbeType.READINESS, kept=ready)
        if self.ident:
            self._known = Status(self.ident, running, float(int(self._started_at)), self.started)

    def _has(self, kind: ProbeType, *, kept: bool) -> bool:
        """Say whether a probe has succeeded, or there is none."""
        result = self._cached(kind)
        return kind not in self.workers or (kept if result is None else result == "Success")

    def relisted(self) -> bool:
        """Notice that it has ended; say whether it has."""
        if self.instance is None:
            return False
        code = self.instance.exited()
        if code is None:
            return False
        self.say("container_died", exit=code)
        self.instance, self._exited_at = None, time.time()
        return True

    def wait_s(self) -> float:
        """Return the seconds that it has to wait until it may start (kuberuntime_manager.go doBackOff)."""
        if self._exited_at is None:
            return 0.0
        return max(0.0, self._exited_at + self._backoff_s - time.time()) if self._backoff_s else 0.0

    def start(self) -> None:
        """Start an instance."""
        now = time.time()
        if self._exited_at is not None:
            forgotten = now - self._backed_off_at > FORGET_S
            self._backoff_s = BACKOFF_S if not self._backoff_s or forgotten else min(2 * self._backoff_s, MAX_BACKOFF_S)
            self._backed_off_at = now
        self.restarts += 1
        self.ident = f"lab://{self.pod.name}-{self.spec.name}-{self.restarts}"
        self._started_at = now
        self.instance = self.pod.kubelet.run_container(self)
        self.say("container_started", restart_count=self.restarts, pid=self.instance.pid, t=now)

    def kill(self, why: str, grace_s: float) -> None:
        """End its instance; `_exited_at` is not touched: the status that the next sync sees is older than the kill."""
        instance = self.instance
        if instance is None:
            return
        self.say("kill_container", why=why, grace_s=grace_s)
        instance.stop(grace_s)
        self.say("container_died", exit=instance.exited())
        self.instance = None


class Pod:
    """One pod, its containers and its worker thread."""

    def __init__(self, kubelet: Kubelet, plan: dict[str, Any]) -> None:
        self.kubelet, self.plan = kubelet, plan
        self.manifest: PodSpec = read_specs(plan["yaml"])[0]
        self.name, self.namespace = self.manifest.name, self.manifest.namespace
        self.netns: str = plan["netns"]
        self.address = self.manifest.addresses[0]
        self.containers = [Container(self, spec, plan["containers"][spec.name]) for spec in self.manifest.containers]
        self._wishes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._told: bool | None = None
        self._deleting = False
        self._thread = threading.Thread(target=self._run, name=f"pod-{self.name}", daemon=True)

    def say(self, event: str, **more: Any) -> None:
        """Write a line of the record."""
        self.kubelet.record.write(event, ns=self.namespace, pod=self.name, **more)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def sync_soon(self, why: str) -> None:
        """Ask for a sync."""
        self._wishes.put(why)

    def make_workers(self, uptime_s: float) -> None:
        """Make a worker for each probe: startup, readiness, liveness (prober_manager.go AddPod)."""
        order = (ProbeType.STARTUP, ProbeType.READINESS, ProbeType.LIVENESS)
        for container in self.containers:
            specs = {spec.type: spec for spec in container.spec.probes}
            container.workers = {kind: Worker(container, specs[kind], uptime_s) for kind in order if kind in specs}
        for container in self.containers:
            for worker in container.workers.values():
                worker.start()

    def stop_workers(self, *kinds: ProbeType) -> None:
        """End workers of these types, all where none is given."""
        for container in self.containers:
            for kind, worker in container.workers.items():
                if kind in (kinds or tuple(ProbeType)):
                    worker.stop()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended."""
        self._thread.join(timeout_s)

    # --- the pod worker ---

    def _run(self) -> None:
        self.say("pod_added")
        self.make_workers(OLD_S)
        began = time.monotonic()
        delete_at = self.plan.get("delete_at_s")
        sync_every = self.plan.get("sync_every_s")
        next_list, next_sync, dirty = began, began + (sync_every or 0), 2
        while not self.kubelet.ended.is_set():  # `ended` is looked at once a second, and at each wish
            until = min(next_list, next_sync) if sync_every else next_list
            try:
                why = self._wishes.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                why = ""
            now = time.monotonic()
            if delete_at is not None and now - began >= delete_at:
                self._terminate()
                return
            if self.kubelet.down.is_set():
                next_list = now + SOON_S
                continue
            if now >= next_list:
                next_list = now + RELIST_S
                died = [container.relisted() for container in self.containers]
                if any(died) or dirty or any(container.instance is None for container in self.containers):
                    dirty = max(0, dirty - 1)
                    why = why or "relist"
            if sync_every and now >= next_sync:
                next_sync += sync_every
                why = why or "resync"
            if why and self._sync():
                next_list, dirty = time.monotonic() + SOON_S, 2
        self._end()

    def _end(self) -> None:
        """End everything: what is under way first, then its containers; they die with this thread (`children`)."""
        self.stop_workers()
        end = time.monotonic() + END_S
        for container in self.containers:
            for worker in container.workers.values():
                worker.join(max(0.0, end - time.monotonic()))
        for container in self.containers:
            if container.instance is not None:
                container.instance.stop(END_S)

    def _sync(self) -> bool:
        """See kubelet.go SyncPod; say whether it did something."""
        acted = False
        for container in self.containers:
            if container.instance is None:
                wait_s = container.wait_s()
                if wait_s:
                    self.say("backoff", container=container.spec.name, seconds=round(wait_s))
                else:
                    container.start()
                    acted = True
            elif (why := container.condemned()) is not None:
                container.kill(why, max(LEAST_GRACE_S, self.manifest.grace_s))
                acted = True
                if self.manifest.restart_policy != "Never" and not container.wait_s():
                    container.start()
        if acted:
            return True
        self._publish()
        for container in self.containers:
            worker = container.workers.get(ProbeType.READINESS)
            if worker is not None and container.started and not container.ready:
                worker.poke()
        return False

    def _publish(self) -> None:
        """Store the status and tell who follows readiness."""
        for container in self.containers:
            container.settle()
        ready = all(container.ready for container in self.containers) and not self._deleting
        if ready is not self._told:
            self._told = ready
            self.kubelet.tell_ready(self.name, ready)
        for container in self.containers:
            container.say("container_status", ready=container.ready, started=container.started, pod_ready=ready)

    def _terminate(self) -> None:
        """Delete the pod: kubelet.go SyncTerminatingPod. Readiness probes go on until its containers are gone."""
        self._deleting = True
        self.say("pod_deleted")
        self.stop_workers(ProbeType.LIVENESS, ProbeType.STARTUP)
        self._publish()
        self.kubelet.ended.wait(self.plan.get("pre_stop_s", 0))
        for container in self.containers:
            container.kill("deleted", self.manifest.grace_s)
        self.stop_workers()


class Kubelet:
    """One node's."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.version: str = config["version"]
        self.home = Path(config["home"])
        self.record = Record(Path(config["record"]))
        self.orphans = Orphans()
        self.ended = threading.Event()
        self.down = threading.Event()
        self._lock = threading.Lock()
        self._ready: dict[str, bool] = {}
        self.pods = [Pod(self, plan) for plan in config["pods"]]

    def run(self) -> None:
        """Run until SIGTERM, or until the time that the configuration gives."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ended.set())
        self.record.write("kubelet_started", generation=1, version=self.version)
        for pod in self.pods:
            pod.begin()
        restart = self.config.get("restart")
        if restart is not None and not self.ended.wait(restart["at_s"]):
            self._restart(restart["for_s"])
        self.ended.wait(max(0.0, self.config["until"] - time.time()))
        self.ended.set()
        for pod in self.pods:
            pod.sync_soon("")
            pod.join(3 * END_S)

    def _restart(self, for_s: float) -> None:
        """Be down for a while; then all workers are made anew and begin at random moments of their periods."""
        self.down.set()
        self.record.write("kubelet_stopped", generation=1)
        for pod in self.pods:
            pod.stop_workers()
            for container in pod.containers:
                container.kept = (container.ident, container.started, container.ready)
        self.ended.wait(for_s)
        self.record.write("kubelet_started", generation=1, version=self.version)
        for pod in self.pods:
            pod.make_workers(0.0)
        self.down.clear()

    def run_container(self, container: Container) -> containers.Container:
        """Start a container's process as its plan says."""
        pod, plan, run = container.pod, container.plan, self.config["run"]
        log = self.home / f"{pod.name}-{container.spec.name}.log"
        if "run" in plan:
            if containers.can_run():
                return containers.Ran(
                    f"{run}-{pod.name}-{container.spec.name}-{container.restarts}",
                    plan["run"],
                    pod.netns,
                    run,
                    self.home,
                )
            return containers.Plain(plan["run"], pod.netns, run)
        path = self.home / f"{pod.name}-{container.spec.name}.json"
        path.write_text(json.dumps({"address": pod.address, "began": time.time(), **plan}), encoding="utf-8")
        return containers.Served(path, pod.netns, run, log)

    def tell_ready(self, pod: str, ready: bool) -> None:
        """Write who is Ready into `ready.json`, as the API server would tell endpoints."""
        with self._lock:
            self._ready[pod] = ready
            path = self.home / "ready.json"
            path.with_suffix(".new").write_text(json.dumps(self._ready), encoding="utf-8")
            path.with_suffix(".new").replace(path)


def main(arguments: list[str]) -> None:
    """Run one, configured by a file."""
    flag, path = arguments
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    begin(flag, config["netns"])
    Kubelet(config).run()


if __name__ == "__main__":
    main(sys.argv[1:])
