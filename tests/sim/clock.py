"""Simulated time: generators that sleep and wait, stepped by one heap of moments.

A process is a generator. It yields a number of nanoseconds to sleep, or `Wait(signals, until)` to go on when one of them fires (it
is sent that signal) or at a moment (it is sent None). Nothing here looks at a real clock, and chance comes from one seeded generator,
so a seed is a run.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

US = 1_000
MS = 1_000_000
S = 1_000_000_000

Process = Generator[Any, Any, Any]


class Signal:
    """Something that can happen. A latched one stays so: who waits later goes on at once."""

    def __init__(self, *, latched: bool = False) -> None:
        self.latched = latched
        self.fired = False
        self.value: Any = None
        self.waiting: list[tuple[Task, int]] = []

    def fire(self, value: Any = None) -> None:
        """Wake whoever waits."""
        self.value = value
        self.fired = True
        waiting, self.waiting = self.waiting, []
        for task, turn in waiting:
            if task.turn == turn:
                task.turn += 1
                task.sim.at(task.sim.now, lambda task=task: task.step(self))
        if not self.latched:
            self.fired = False


class Wait:
    """Wait for one of several signals, at most until a moment."""

    def __init__(self, *signals: Signal, until: int | None = None) -> None:
        self.signals, self.until = signals, until


class Task:
    """A running process."""

    def __init__(self, sim: Sim, process: Process, stops: Sequence[tuple[int, int]] = ()) -> None:
        self.sim, self.process, self.stops = sim, process, stops
        self.turn = 0
        self.done = Signal(latched=True)

    def kill(self) -> None:
        """End it where it stands."""
        if not self.done.fired:
            self.turn += 1
            self.process.close()
            self.done.fire()

    def step(self, sent: Any = None) -> None:
        """Run it to its next pause."""
        if self.done.fired:
            return
        for since, until in self.stops:
            if since <= self.sim.now < until:  # it gets no CPU: what it waited for has come, and waits for it
                self.sim.at(until + self.sim.about(300_000, 0.8, 5 * MS), lambda: self.step(sent))
                return
        try:
            asked = self.process.send(sent)
        except StopIteration as end:
            self.turn += 1
            self.done.fire(end.value)
            return
        turn = self.turn
        if isinstance(asked, int):
            self.sim.at(self.sim.now + max(asked, 0), lambda: self._wake(turn))
            return
        for signal in asked.signals:
            if signal.latched and signal.fired:
                self.turn += 1
                self.sim.at(self.sim.now, lambda signal=signal: self.step(signal))
                return
        for signal in asked.signals:
            signal.waiting.append((self, turn))
        if asked.until is not None:
            self.sim.at(asked.until, lambda: self._wake(turn))

    def _wake(self, turn: int) -> None:
        if self.turn == turn:
            self.turn += 1
            self.step(None)


class Sim:
    """The heap of moments."""

    def __init__(self, seed: int) -> None:
        self.now = 0
        self.random = random.Random(seed)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: int, call: Callable[[], None]) -> None:
        """Call something at a moment."""
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, call))

    def spawn(self, process: Process, stops: Sequence[tuple[int, int]] = ()) -> Task:
        """Start a process; `stops` is when it gets no CPU, from and until."""
        task = Task(self, process, stops)
        self.at(self.now, task.step)
        return task

    def run(self, until: int) -> None:
        """Let everything happen until a moment."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, call = heapq.heappop(self._heap)
            call()
        self.now = until

    def about(self, median: int, spread: float = 0.5, most: int | None = None) -> int:
        """Draw a log-normal duration: measured delays have a median and a long tail."""
        drawn = int(median * math.exp(self.random.gauss(0, spread)))
        return min(drawn, most) if most is not None else drawn
