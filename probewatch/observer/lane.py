"""One pod's timeline as it grows: runs in, assigned attempts and decisions out.

Theory of operation. Which worker sent an attempt is not written on it: a refused SYN carries no path, and identical
probes look alike for ever. So the lane carries several histories side by side. Each holds a `Pod` (what all its workers
remember and what they will do next), the steps that led there, and a cost: how far-fetched its readings were so far
(`probes.assign`). Every run is read in all ways the predictions allow; histories that arrive at the same state are one;
the cheapest are kept. As soon as all histories agree on the past it is settled, and told. With one probe, or probes
with different paths, there is never more than one history worth keeping.

Three histories stand at the beginning: the containers begin here, or the capture begins in mid-life (DESIGN section 6),
or the containers are old and their kubelet is new. What follows decides between them, and the signs of a beginning that
are not attempts come in as `begin_cost`.

Limitations: a history that was dropped does not come back; KEPT bounds the work for each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from probewatch.decisions.pod import Planned, Pod, begin
from probewatch.decisions.worker import Counted
from probewatch.model.prediction import Reading
from probewatch.model.spec import Handler
from probewatch.probes.assign import MISSED, is_frozen, readings_of
from probewatch.probes.forms import Ask
from probewatch.probes.judge import SECOND, Verdict
from probewatch.probes.runs import Run, closed_by_server, fits, free_ns, is_refused, verdict_of

KEPT: Final = 16
"""Histories carried on after each run."""
STRANGER: Final = 9.0
"""Cost of reading a run as nobody's attempt (a client's connection from the node's address)."""
SURE: Final = 1.0
"""Below this a reading of an attempt that names its sender leaves no room for a stranger."""
STRAY: Final = 1.6
"""The same for a connection that asked nothing where nothing but questions is expected: a dead dial from before the capture, mostly."""
DEAD_DIAL_NS: Final = 130_000_000_000
"""How long the kernel goes on with a dial (tcp_syn_retries 6: 127 s)."""
LAG: Final = 24
"""Steps after which the cheapest reading is believed, if others are still possible."""
RIVAL: Final = 2.0
"""Below this a run's form (`runs.fits`) leaves open whose it is, where it does so for several."""
WORSE: Final = 9.5
"""A history that costs this much more than the cheapest is given up."""
MID_LIFE: Final = 1.0
"""Cost of the history in which the capture begins in mid-life, against none for the beginning: signs shift it (`begin_cost`)."""

NEW_KUBELET: Final = 2.0
"""Cost of the history in which a kubelet, not a container, begins, above that of a beginning container."""
FAILED_BEFORE: Final = 1.0
"""Cost of a history in which a probe's state before the capture is assumed, to be borne out by what follows."""


class Step(NamedTuple):
    """One run, read in one way."""

    run: Run
    reading: Reading | None
    """None: nobody's attempt."""
    verdict: Verdict | None
    counted: Counted | None
    renewed: bool
    before: Pod


class _History(NamedTuple):
    pod: Pod
    cost: float
    fresh: bool
    past: _Link | None


_Candidate = tuple[float, _History, Reading | None]
"""What a history costs once it is carried on in this way (None: the run is nobody's attempt)."""


@dataclass(slots=True, eq=False)
class _Link:
    step: Step
    past: _Link | None
    """Cut off where it is settled, so that a history never holds more than what is open."""
    length: int


class Lane:
    """The workers of one pod as one checker's attempts show them."""

    def __init__(
        self,
        plan: Sequence[Planned],
        *,
        begin_cost: float = MID_LIFE,
        begin_ns: int = 0,
        appeared_ns: int | None = None,
        resets: bool | None = True,
        keeps_ready: bool = True,
        kept: int = KEPT,
    ) -> None:
        """Make a lane of which nothing was seen; `kept` histories are carried on, fewer where a guess will do."""
        self.plan = tuple(plan)
        self._kept = kept
        self._settled = 0
        self._spent = 0.0
        """What the cheapest history had cost when histories were last compared: they carry only what they cost more."""
        self._begin_cost = begin_cost
        self.begin_ns = begin_ns
        """Where the capture begins."""
        self._appeared_ns = appeared_ns
        """When the pod's address was announced, before any of its containers ran."""
        self._tried = False
        """Other numbers than those that are thought to run here are tried: no kubelet that got no CPU is to make them fit."""
        self._whole = begin_ns > 0
        """Nothing is missing since then."""
        self.crowded: set[int] = set()
        """Ports at which this checker's address also sends what is no probe: who was refused there may be anybody."""
        self.steps: list[Step] = []
        """Settled steps, oldest first, in the order they were settled; without those let go."""
        self.fresh: bool | None = None
        """Whether the containers' beginning is in the capture; None until settled."""

        self._resets, self._keeps_ready = resets, keeps_ready
        self._first_fresh: bool | None = None
        """Whether the beginning was in the capture, settled at an interruption."""
        self._histories = [
            _History(self._begin(fresh=True), max(0.0, begin_cost), fresh=True, past=None),
            _History(self._begin(fresh=False), max(0.0, -begin_cost), fresh=False, past=None),
            _History(
                self._begin(fresh=False, new_kubelet=True), max(0.0, begin_cost) + NEW_KUBELET, fresh=False, past=None
            ),
        ]

    def _begin(self, *, fresh: bool, new_kubelet: bool = False) -> Pod:
        return begin(
            self.plan,
            fresh_start=fresh,
            resets=self._resets,
            keeps_ready=self._keeps_ready,
            new_kubelet=new_kubelet,
            since_ns=self._appeared_ns if fresh else None,
        )

    def interrupt(self) -> None:
        """Forget all states: what happens next was not seen from here on, and is met in mid-life again."""
        best = min(self._histories, key=lambda history: history.cost)
        self._spent += best.cost
        if best.past is not None:
            self._tell(best, best.past.length)
            best.past.past = None
        if self._first_fresh is None:
            self._first_fresh = best.fresh
        self._histories = [_History(self._begin(fresh=False), 0.0, fresh=False, past=best.past)]
        self._whole = False

    def feed(self, run: Run, *, elsewhere: Sequence[int] = (), seen_until_ns: int | None = None) -> None:
        """Take the next run, in the order of starts; `elsewhere` are the starts of the checker's latest attempts at anybody."""
        fitting = [
            (worker, fit)
            for worker, planned in enumerate(self.plan)
            if run.container in (None, planned.container) and (fit := fits(run, planned.spec)) is not None
        ]
        if not fitting and run.form.ask is not Ask.NOTHING:
            self.crowded.add(run.form.port)
        refused, rivals = is_refused(run), sum(fit < RIVAL for _, fit in fitting) > 1
        candidates: list[_Candidate] = []
        floor = float("inf")
        for history in self._histories:
            pod, cost, sure = history.pod, history.cost, False
            for worker, fit in fitting:
                if not history.fresh and self._whole:
                    fit += MISSED * pod.unseen(worker, self.begin_ns, run.start.ns)
                for reading in readings_of(
                    run.start.ns, fit, pod.prediction(worker), elsewhere, refused=refused, rivals=rivals
                ):
                    if self._tried and is_frozen(reading):
                        continue
                    sure = sure or reading.cost < SURE
                    candidates.append((cost + reading.cost, history, reading))
                    if not reading.redial:
                        floor = min(floor, cost + reading.cost)
            if not (sure and run.form.version):  # else it says whose it is, and came when it was due
                stranger = cost + self._stranger(run, history)
                floor = min(floor, stranger)
                candidates.append((stranger, history, None))
        grown: dict[tuple[Pod, bool], _History] = {}
        verdicts: dict[int, Verdict] = {}
        for cost, history, taken in candidates:
            if cost - floor > WORSE:
                continue  # It would be given up below: what it leads to need not be worked out.
            if taken is None:
                link = _link(history, Step(run, None, None, None, renewed=False, before=history.pod))
                _keep(grown, _History(history.pod, cost, history.fresh, link))
                continue
            worker = taken.worker
            if worker not in verdicts:
                verdicts[worker] = verdict_of(run, self.plan[worker].spec, seen_until_ns)
            verdict = verdicts[worker]
            _keep(grown, _grow(history, run, taken, verdict))
            if not history.fresh and not taken.reset and not taken.redial:
                for pod in history.pod.guesses(worker, verdict.outcome):
                    guessed = _History(pod, history.cost + FAILED_BEFORE, history.fresh, history.past)
                    _keep(grown, _grow(guessed, run, taken, verdict))
        ranked = sorted(grown.values(), key=lambda history: history.cost)[: self._kept]
        floor = ranked[0].cost
        self._spent += floor
        self._histories = [_History(h.pod, h.cost - floor, h.fresh, h.past) for h in ranked if h.cost - floor <= WORSE]
        self._settle()

    def _stranger(self, run: Run, history: _History) -> float:
        """Return the cost of reading a run as nobody's attempt."""
        if not run.tries:
            return STRANGER
        form, connection = run.form, run.tries[0][0].connection
        if form.ask is Ask.NOTHING and form.port in self.crowded:
            return STRAY
        if any(p.spec.handler is Handler.TCP_SOCKET and p.spec.port == form.port for p in self.plan):
            return STRANGER
        if form.ask is Ask.CONNECT and not closed_by_server(connection):
            return STRAY
        unanswered = form.ask is Ask.NOTHING and connection.resp.rst is None and connection.icmp is None
        if unanswered and not history.fresh and run.start.ns - self.begin_ns < DEAD_DIAL_NS:
            return STRAY
        return STRANGER

    def so_far(self) -> list[Step]:
        """Return all its steps, as the cheapest history reads those that are not settled."""
        best = min(self._histories, key=lambda history: history.cost)
        return self.steps + self._open(best, best.past.length if best.past else 0)

    def let_go(self, number: int) -> list[Step]:
        """Give the oldest settled steps away."""
        gone = self.steps[:number]
        del self.steps[:number]
        return gone

    def finish(self) -> list[Step]:
        """Choose the cheapest history, and return all its steps."""
        best = min(self._histories, key=lambda history: history.cost)
        self._tell(best, best.past.length if best.past else 0)
        self.fresh = best.fresh if self._first_fresh is None else self._first_fresh
        return self.steps

    def outlook(self) -> tuple[int, list[Step]]:
        """Return how many steps are settled, and the cheapest history's steps since, which may yet be read in another way."""
        best = min(self._histories, key=lambda history: history.cost)
        found: list[Step] = []
        link = best.past
        while link is not None and link.length > self._settled:
            found.append(link.step)
            link = link.past
        return self._settled, found[::-1]

    def pod(self) -> Pod:
        """Return the state that the cheapest history has reached."""
        return min(self._histories, key=lambda history: history.cost).pod

    @property
    def cost(self) -> float:
        """How far-fetched the cheapest reading of everything is: about the negative logarithm of its likelihood."""
        return self._spent + min(history.cost for history in self._histories)

    @property
    def width(self) -> int:
        """How many histories are carried on."""
        return len(self._histories)

    def again(self, plan: Sequence[Planned]) -> Lane:
        """Return a new lane in the same circumstances, for the same workers with other numbers."""
        lane = Lane(
            plan,
            begin_cost=self._begin_cost,
            begin_ns=self.begin_ns,
            appeared_ns=self._appeared_ns,
            resets=self._resets,
            keeps_ready=self._keeps_ready,
        )
        lane._tried = True
        return lane

    def _settle(self) -> None:
        """Tell the steps that all histories share; what is older than LAG steps is settled by the cheapest one."""
        best = self._histories[0].past
        if best is None or best.length == self._settled:
            return
        if best.length - self._settled > 2 * LAG:
            kept = _ancestor(best, best.length - LAG)
            self._histories = [history for history in self._histories if _ancestor(history.past, kept.length) is kept]
        links = [history.past for history in self._histories]
        while any(link is not links[0] for link in links):
            links = [link.past if link is not None else None for link in links]
        if links[0] is not None and links[0].length > self._settled:
            self._tell(self._histories[0], links[0].length)
            links[0].past = None
            if self._first_fresh is None and len({history.fresh for history in self._histories}) == 1:
                self.fresh = self._histories[0].fresh

    def _tell(self, history: _History, until: int) -> None:
        self.steps += self._open(history, until)
        self._settled = max(self._settled, until)

    def _open(self, history: _History, until: int) -> list[Step]:
        """Return a history's steps that are not settled, up to this length."""
        steps: list[Step] = []
        link = history.past
        while link is not None and link.length > self._settled:
            if link.length <= until:
                steps.append(link.step)
            link = link.past
        steps.reverse()
        return steps


def _ancestor(link: _Link | None, length: int) -> _Link:
    """Return the link of this length in a history that is at least as long."""
    assert link is not None
    while link.length > length:
        assert link.past is not None
        link = link.past
    return link


def _keep(grown: dict[tuple[Pod, bool], _History], history: _History) -> None:
    """Keep the cheaper of two histories that reached the same state."""
    key = (history.pod, history.fresh)
    known = grown.get(key)
    if known is None or history.cost < known.cost:
        grown[key] = history


def _link(history: _History, step: Step) -> _Link:
    return _Link(step, history.past, (history.past.length if history.past else 0) + 1)


def _grow(history: _History, run: Run, reading: Reading, verdict: Verdict) -> _History:
    if reading.redial:
        return _redial(history, run, reading)
    applied = history.pod.apply(
        reading,
        run.start.ns,
        verdict.end_ns,
        verdict.outcome,
        verdict.cause,
        by_deadline=verdict.by_deadline,
        free_ns=free_ns(run, history.pod.plan[reading.worker].spec, verdict),
    )
    step = Step(run, reading, verdict, applied.counted, applied.renewed, history.pod)
    return _History(applied.pod, history.cost + reading.cost, history.fresh, _link(history, step))


def _redial(history: _History, run: Run, reading: Reading) -> _History:
    """Join a dial to the attempt in flight, whose deadline and count it shares."""
    link = history.past
    while link is not None and (
        link.step.reading is None or link.step.reading.worker != reading.worker or link.step.reading.redial
    ):
        link = link.past
    spec = history.pod.plan[reading.worker].spec
    if link is None:  # The attempt in flight was settled long ago: nothing a redial could belong to.
        return _History(
            history.pod,
            history.cost + STRANGER,
            history.fresh,
            _link(history, Step(run, None, None, None, False, history.pod)),
        )
    first = link.step
    verdict = verdict_of(run, spec, None, redial=True)
    left = first.run.start.ns + spec.timeout_s * SECOND
    if verdict.by_deadline or verdict.end_ns > left:
        verdict = replace(verdict, end_ns=left, end_mark=None)
    applied = history.pod.redial(
        reading, first.before.workers[reading.worker], verdict.end_ns, verdict.outcome, verdict.cause
    )
    step = Step(run, reading, verdict, applied.counted, renewed=False, before=history.pod)
    return _History(applied.pod, history.cost + reading.cost, history.fresh, _link(history, step))
