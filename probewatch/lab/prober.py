"""The kubelet's probe workers: one thread for each container and type, as in pkg/kubelet/prober/worker.go of 1.36.

Theory of operation: `Worker.run` is worker.go's loop, `Worker.probe` its doProbe with the same guards in the same order, and
`Worker._count` its thresholds. The ticker keeps one tick that nobody waited for, so a probe that lasts longer than its
period is followed by the next one at once; a manual trigger runs the probe and begins a new period. What the worker
needs to know of its container it asks of a `Keeper` (kubelet.py), and tells it what it found.

Nothing here is shared with `probewatch.decisions`: what this prober decided is the truth that probewatch is held against.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, Protocol

from probewatch.model.spec import ProbeSpec, ProbeType

from .handlers import Said, Site, execute

RETRIES: Final = 3
"""Executions of a probe that errs (prober.go maxProbeRetries)."""
LATE_S: Final = 0.1
"""A tick that runs later than this after it was due is written down: the stand-in got no CPU, and may be read otherwise than it meant."""
RESTART_GRACE_S: Final = 10.0
"""A container that is older than its kubelet by more than this begins without a result (kubeletRestartGracePeriod, since 1.35)."""
INITIAL: Final = {ProbeType.READINESS: "Failure", ProbeType.LIVENESS: "Success", ProbeType.STARTUP: "UNKNOWN"}
"""worker.go newWorker."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the kubelet knows of a container."""

    ident: str
    running: bool
    started_at: float
    """Seconds since 1970, without their fraction (status_manager.go normalizeStatus)."""
    started: bool


class Keeper(Protocol):
    """Whoever keeps a worker's container."""

    def status(self) -> Status | None:
        """Return what is known of it; None before its first status."""

    def site(self) -> Site:
        """Return where to ask."""

    def changed(self, kind: ProbeType) -> None:
        """Take notice that the worker's cached result is another."""

    def say(self, event: str, **more: Any) -> None:
        """Write a line of the record."""

    def number(self) -> int:
        """Return the number of the next execution."""


class Worker:
    """Probes one container with one probe."""

    def __init__(self, keeper: Keeper, spec: ProbeSpec, uptime_s: float) -> None:
        """Be ready to start; a kubelet younger than the period lets its workers begin at random moments of it."""
        self._keeper, self.spec = keeper, spec
        self.type: str = spec.type.value.capitalize()
        self.cached: str | None = None
        """What the results manager holds: `Success`, `Failure`, `UNKNOWN`; None for nothing yet."""
        self._ident: str | None = None
        self._last, self._run = "Success", 0
        self._on_hold = False
        self._jitter_s = random.uniform(0, spec.period_s) if spec.period_s > uptime_s else 0.0  # noqa: S311
        self._born = time.time() - uptime_s
        self._turn = threading.Condition()
        self._stopped = self._poked = False
        self._next = self._over = 0.0
        self._trigger = "tick"
        self._thread = threading.Thread(target=self.run, name=f"{self.type}-worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let it end after the probe that is under way."""
        with self._turn:
            self._stopped = True
            self._turn.notify()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout_s)

    def result(self, ident: str) -> str | None:
        """Return what the results manager holds for an instance of the container; None for nothing."""
        return self.cached if self._ident == ident else None

    def poke(self) -> None:
        """Trigger a run by hand (manualTriggerCh: one is kept)."""
        with self._turn:
            self._poked = True
            self._turn.notify()

    def run(self) -> None:
        """See worker.go run."""
        with self._turn:
            self._turn.wait_for(lambda: self._stopped, self._jitter_s)
            if self._stopped:
                return
        self._next = time.monotonic() + self.spec.period_s
        while self.probe():
            self._over = time.monotonic()
            if not self._wait():
                break

    def _wait(self) -> bool:
        """Wait for a tick or a trigger; False to end."""
        with self._turn:
            self._turn.wait_for(lambda: self._stopped or self._poked, max(0.0, self._next - time.monotonic()))
            if self._stopped:
                return False
            now = time.monotonic()
            if now >= self._next:  # one tick is kept, those behind it are lost
                if now - max(self._next, self._over) > LATE_S:
                    self._keeper.say("late", type=self.type, seconds=round(now - self._next, 3))
                self._next += self.spec.period_s * (1 + (now - self._next) // self.spec.period_s)
                self._trigger = "tick"
            else:
                self._poked = False
                self._next = now + self.spec.period_s
                self._trigger = "manual"
            return True

    def probe(self) -> bool:
        """Do what doProbe does, guard by guard; False once the worker has nothing more to do."""
        status = self._keeper.status()
        if status is None:
            return self._skip("noStatus")
        if status.ident != self._ident:
            self._ident, self.cached = status.ident, None  # results are kept by container id
            if status.started_at > self._born - RESTART_GRACE_S:
                self._set(INITIAL[self.spec.type])
            self._on_hold = False
        if self._on_hold:
            return True
        if not status.running:
            self._set("Failure")
            return True
        if int(time.time() - status.started_at) < self.spec.initial_delay_s:
            return self._skip("initialDelay")
        if status.started is (self.spec.type is ProbeType.STARTUP):
            return self._skip("started" if status.started else "notStarted")
        said = self._executed()
        if said is not None:
            self._count("Failure" if said.result == "failure" else "Success")
        return True

    def _skip(self, why: str) -> bool:
        self._keeper.say("skip", type=self.type, why=why)
        return True

    def _executed(self) -> Said | None:
        """Run the handler, up to three times while it errs; None where it erred to the end: the result is thrown away."""
        said = Said("error")
        for _ in range(RETRIES):
            number = self._keeper.number()
            site = self._keeper.site()
            begun = time.time()
            self._keeper.say(
                "probe_start",
                id=number,
                type=self.type,
                handler=self.spec.handler.value,
                pod_ip=site.address,
                trigger=self._trigger,
                t=begun,
            )
            said = execute(self.spec, site, lambda line, number=number: self._keeper.say("conn", id=number, **line))  # type: ignore[misc]
            line: dict[str, Any] = {"result": said.result, "output": said.output}
            if said.result == "error":
                line = {"result": "unknown", "err": said.output}
            ended = time.time()
            self._keeper.say(
                "probe_end",
                id=number,
                type=self.type,
                handler=self.spec.handler.value,
                dur_us=int((ended - begun) * 1e6),
                t=ended,
                **line,
            )
            if said.result != "error":
                return said
        return None

    def _count(self, result: str) -> None:
        """Count a result, and act on it where its streak has reached the threshold."""
        self._run = self._run + 1 if result == self._last else 1
        self._last = result
        spec = self.spec
        self._keeper.say(
            "count",
            type=self.type,
            result=result,
            run=self._run,
            failureThreshold=spec.failure_threshold,
            successThreshold=spec.success_threshold,
        )
        if self._run < (spec.failure_threshold if result == "Failure" else spec.success_threshold):
            return
        on_hold = spec.type is ProbeType.STARTUP or (spec.type is ProbeType.LIVENESS and result == "Failure")
        if on_hold:
            self._on_hold, self._run = True, 0
        self._set(result)

    def _set(self, result: str) -> None:
        before, self.cached = self.cached, result
        self._keeper.say("result", type=self.type, prev=before or "none", new=result, transition=before != result)
        if before != result:
            self._keeper.changed(self.spec.type)
