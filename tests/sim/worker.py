"""One probe's worker as worker.go has it: ticker, guards in order, thresholds, hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clock import MS, US, Process, S, Signal, Task, Wait
from prober import ProbeSpec, Verdict
from wire import EPOCH

if TYPE_CHECKING:
    from kubelet import Container, Kubelet


class Worker:
    """worker.go."""

    def __init__(self, kubelet: Kubelet, container: Container, spec: ProbeSpec) -> None:
        self.kubelet, self.container, self.spec = kubelet, container, spec
        self.poke = False
        self.poked = Signal()
        self.stopped = Signal(latched=True)
        self.tick = False
        self.ticked = Signal()
        self.epoch = 0
        self.id = ""
        self.on_hold = False
        self.last = "Success"
        self.run_length = 0
        self.due = 0
        self.task: Task | None = None

    @property
    def initial(self) -> str:
        """Return newWorker's initialValue."""
        return {"readiness": "Failure", "liveness": "Success", "startup": "Unknown"}[self.spec.type]

    def trigger(self) -> None:
        """ManualTriggerCh holds one."""
        self.poke = True
        self.poked.fire()

    def _start_ticker(self) -> None:
        self.epoch += 1
        self.tick = False
        epoch, sim, base, period = self.epoch, self.kubelet.sim, self.kubelet.sim.now, self.spec.period * S

        def beat(number: int) -> None:
            if epoch != self.epoch or self.stopped.fired:
                return
            self.tick = True
            self.ticked.fire()
            sim.at(base + (number + 1) * period, lambda: beat(number + 1))

        sim.at(base + period, lambda: beat(1))

    def run(self) -> Process:
        """worker.go:run."""
        kubelet, sim = self.kubelet, self.kubelet.sim
        if kubelet.jitters or self.spec.period * S > sim.now - kubelet.born:
            fired = yield Wait(self.stopped, until=sim.now + int(sim.random.random() * self.spec.period * S))
            if fired is not None:
                return
        self._start_ticker()
        trigger = "first"
        self.due = sim.now
        while True:
            more = yield from self.probe(trigger)
            if not more:
                return
            while not (self.tick or self.poke or self.stopped.fired):
                yield Wait(self.ticked, self.poked, self.stopped)
            if self.stopped.fired and (not (self.tick or self.poke) or sim.random.random() < 0.5):
                return  # (Go's select picks any that is ready.)
            if self.tick and (not self.poke or sim.random.random() < 0.5):
                self.tick = False
                trigger = "tick"
            else:
                self.poke = False
                trigger = "manual"
                if kubelet.resets:
                    self._start_ticker()
            self.due = sim.now
            late = sim.random.random() <= kubelet.scenario.busy
            yield sim.random.randrange(kubelet.scenario.latest) if late else sim.about(60 * US, 0.8, 4 * MS)

    def probe(self, trigger: str) -> Process:
        """worker.go:doProbe; return whether to go on."""
        kubelet, spec = self.kubelet, self.spec
        status = kubelet.status.get(self.container.spec.name)
        if status is None or not status.id:
            return True
        if status.id != self.id:
            kubelet.results.pop((self.id, spec.type), None)
            self.id = status.id
            if not (kubelet.keeps_ready and status.started_at < kubelet.born - 10 * S):
                kubelet.set_result(self, self.initial, made=False)
            self.on_hold = False
        if self.on_hold:
            return True
        if not status.running:
            kubelet.set_result(self, "Failure", made=False)
            return self.container.spec.sidecar or kubelet.scenario.restart_policy != "Never"
        if (EPOCH + kubelet.sim.now - (EPOCH + status.started_at) // S * S) // S < spec.delay:
            return True
        if status.started == (spec.type == "startup"):
            return True
        verdict = Verdict("error")
        for _ in range(3):
            verdict = yield from kubelet.execute(self, trigger)
            if verdict.result != "error":
                break
        if verdict.result == "error":
            return True
        result = "Failure" if verdict.result == "failure" else "Success"
        if result == self.last:
            self.run_length += 1
        else:
            self.last, self.run_length = result, 1
        if self.run_length < (spec.failure if result == "Failure" else spec.success):
            return True
        kubelet.set_result(self, result, made=True)
        if (spec.type == "liveness" and result == "Failure") or (spec.type == "startup" and (result == "Failure" or kubelet.minor >= 32)):
            self.on_hold = True
            self.run_length = 0
        return True
