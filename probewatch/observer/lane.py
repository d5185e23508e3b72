"""One pod's timeline as it grows: runs in, assigned attempts and decisions out.

Theory of operation. Which worker sent an attempt is not written on it: a refused SYN carries no path, and identical
probes look alike for ever. So the lane carries several histories side by side. Each holds a `Pod` (what all its workers
remember and what they will do next), the steps that led there, and a cost: how far-fetched its readings were so far
(`probes.assign`). Every run is read in all ways the predictions allow; histories that arrive at the same state are one;
the cheapest are kept. As soon as all histories agree on the past it is settled, and told. With one probe, or probes
with different paths, there is never more than one history worth keeping.

Three histories stand at the beginning: the containers begin here, or the capture begins in mid-life (docs/design.md, section 6),
or the containers are old and their kubelet is new. What follows decides between them, and the signs of a beginning that
are not attempts come in as `begin_cost`. So several histories are carried on that differ in nothing but how their containers
began; an attempt that came when it was due is the same in all of them, and is taken in one go (`Lane._feed_due`).

Limitations: a history that was dropped does not come back; KEPT bounds the work for each run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from operator import itemgetter
from typing import Final

from probewatch.decisions.pod import Planned, Pod, begin
from probewatch.decisions.turn import Turn
from probewatch.decisions.versions import Pokes
from probewatch.model.connection import Connection
from probewatch.model.frame import Mark
from probewatch.model.prediction import Reading
from probewatch.model.spec import Handler
from probewatch.model.timeline import Outcome
from probewatch.model.units import SECOND
from probewatch.probes.assign import due_readings, readings_of
from probewatch.probes.costs import MISSED
from probewatch.probes.forms import Ask
from probewatch.probes.lately import NOBODY, Lately
from probewatch.probes.runs import Run, closed_by_server, is_refused, verdict_of
from probewatch.probes.stopped import is_frozen

from .histories import History, Judged, Look, Step, ancestor, cost_of, keep, linked
from .stride import Stride

KEPT: Final = 16
"""Histories carried on after each run, for each container: what is open of one goes with whatever is open of another, ..."""
MOST_KEPT: Final = 64
"""... up to this many."""
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
STOPPED: Final = 256
"""Attempts remembered that were read as late for want of CPU."""
RIVAL: Final = 2.0
"""Below this a run's form (`runs.fits`) leaves open whose it is, where it does so for several."""
WORSE: Final = 9.5
"""A history that costs this much more than the cheapest is given up."""
DOUBT: Final = 0.7
"""A history that costs no more than this above the cheapest may well turn out to be the one: what they disagree on is not shown yet."""
DOUBT_RESET: Final = 3.0
"""The same where the cheapest presumes a new container or kubelet, which the next attempts bear out or not."""
MID_LIFE: Final = 1.0
"""Cost of the history in which the capture begins in mid-life, against none for the beginning: signs shift it (`begin_cost`)."""
NEW_KUBELET: Final = 2.0
"""Cost of the history in which a kubelet, not a container, begins, above that of a beginning container."""
RAN_BEFORE: Final = 4.0
"""Cost of a beginning in the capture where a connection shows that its containers ran before."""
FINE_BEFORE: Final = 1.0
"""That all was well until the first attempt in mid-life, which failed: what follows tells it from what had failed before."""
FAILED_BEFORE: Final = 3.0
"""Cost of a history in which a streak before the capture is assumed: of all moments the capture began in one of that few."""
FAILED_TOGETHER: Final = 1.0
"""The same where another probe of the Pod is assumed to have failed before already: what is wrong with it shows to all that ask."""


_Candidate = tuple[float, History, Reading | None]
"""What a history costs once it is carried on in this way (None: the run is nobody's attempt)."""


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
        pokes: Pokes = Pokes.WHATEVER_IS_NOT_READY,
        kept: int = KEPT,
    ) -> None:
        """Make a lane of which nothing was seen; `kept` histories are carried on, fewer where a guess will do."""
        self.plan = tuple(plan)
        self._kept = min(MOST_KEPT, kept * max(1, len({planned.container for planned in self.plan})))
        self._kept_each = kept
        self._settled = 0
        self._spent = 0.0
        """What the cheapest history had cost when histories were last compared: they carry only what they cost more."""
        self._begin_cost = begin_cost
        self.begin_ns = begin_ns
        """Where the capture begins."""
        self._appeared_ns = appeared_ns
        """When the pod's address was announced, before any of its containers ran."""
        self.settles = True
        """Unlike a copy that looks further (`beyond`)."""
        self._tried = False
        """Other numbers than those that are thought to run here are tried: a kubelet that got no CPU is not to make them fit, ..."""
        self._stopped: set[int] = set()
        """... but where it makes these fit: starts of attempts that were read so (of a lane that is not tried: of steps let go)."""
        self._whole = begin_ns > 0
        """Nothing is missing since then."""
        self.crowded: set[int] = set()
        """Ports at which this checker's address also sends what is no probe: who was refused there may be anybody."""
        self.shared: frozenset[int] = frozenset()
        """Ports at which others connect from there as its tcpSocket probes do, and far more often than once."""
        self.owners: Mapping[Mark, int] = {}
        """Whose attempts runs are (by their starts), where more is known of that than each shows when it comes (`twins`)."""
        self.steps: list[Step] = []
        """Settled steps, oldest first, in the order they were settled; without those let go."""
        self.fresh: bool | None = None
        """Whether the containers' beginning is in the capture; None until settled."""
        self._resets, self._keeps_ready, self._pokes = resets, keeps_ready, pokes
        self._first_fresh: bool | None = None
        """Whether the beginning was in the capture, settled at an interruption."""
        self._histories = [
            History(self._begin(fresh=True), max(0.0, begin_cost), fresh=True, past=None),
            History(self._begin(fresh=False), max(0.0, -begin_cost), fresh=False, past=None),
            # (Of the signs that a container begins about half would come of a new kubelet as well: silence is one.)
            History(
                self._begin(fresh=False, new_kubelet=True),
                max(begin_cost, -begin_cost / 2) + NEW_KUBELET,
                fresh=False,
                past=None,
            ),
        ]

    def _begin(self, *, fresh: bool, new_kubelet: bool = False) -> Pod:
        return begin(
            self.plan,
            fresh_start=fresh,
            resets=self._resets,
            keeps_ready=self._keeps_ready,
            pokes=self._pokes,
            new_kubelet=new_kubelet,
            since_ns=self._appeared_ns if fresh else None,
        )

    def beyond(self) -> Lane:
        """Return a copy that may be fed with what is known already and has not its turn yet: nothing changes here."""
        lane = copy(self)
        lane.settles, lane.crowded = False, set(self.crowded)
        return lane

    def learn(self, *, resets: bool, keeps_ready: bool, pokes: Pokes) -> None:
        """Know what this kubelet's version does: every history goes on so, as it would had that been known from the start."""
        self._resets, self._keeps_ready, self._pokes = resets, keeps_ready, pokes
        self._histories = [
            history._replace(pod=replace(history.pod, resets=resets, keeps_ready=keeps_ready, pokes=pokes))
            for history in self._histories
        ]

    def ran_before(self, port: int) -> None:
        """Know that a program served this port before the capture began."""
        if all(planned.spec.port != port for planned in self.plan) or self._begin_cost >= RAN_BEFORE:
            return
        self._begin_cost += RAN_BEFORE
        doubted = [one._replace(cost=one.cost + RAN_BEFORE) if one.fresh else one for one in self._histories]
        self._carry_on(doubted)

    def interrupt(self) -> None:
        """Forget all states: what happens next was not seen from here on, and is met in mid-life again."""
        best = min(self._histories, key=cost_of)
        self._spent += best.cost
        if best.past is not None:
            self._tell(best, best.past.length)
            best.past.past = best.past.root = None
        if self._first_fresh is None:
            self._first_fresh = best.fresh
        self._histories = [
            History(self._begin(fresh=False, new_kubelet=new), NEW_KUBELET if new else 0.0, fresh=False, past=best.past)
            for new in (False, True)
        ]
        self._whole = False

    def feed(
        self,
        run: Run,
        *,
        elsewhere: Lately = NOBODY,
        seen_until_ns: int | None = None,
        look: Look | None = None,
    ) -> None:
        """Take the next run, in the order of starts; `elsewhere` are the starts of the checker's latest attempts at anybody.

        `look` is what is known of it already.
        """
        look = look or Look(run, self.plan, seen_until_ns, self.owners.get(run.start))
        fitting = look.fitting
        if not fitting and run.form.ask is not Ask.NOTHING:
            self.crowded.add(run.form.port)
        if len(fitting) == 1 and run.form.version and self._feed_due(look, *fitting[0]):
            return
        self._carry_on(self._grown(look, self._candidates(look, elsewhere)))

    def _candidates(self, look: Look, elsewhere: Lately) -> list[_Candidate]:
        """Return every way in which each history may go on with this run, but those that would be given up at once."""
        run, fitting = look.run, look.fitting
        start_ns, refused = run.start.ns, is_refused(run)
        rivals = len(fitting) > 1 and sum(fit < RIVAL for _, fit in fitting) > 1
        candidates: list[_Candidate] = []
        floor = float("inf")
        for history in self._histories:
            pod, cost, sure = history.pod, history.cost, False
            for worker, fit in fitting:
                readings = _due(pod, worker, start_ns, fit) if pod.is_steady(worker) else None
                if readings is None:
                    if not history.fresh and self._whole:
                        fit += MISSED * pod.unseen(worker, self.begin_ns, start_ns)
                    readings = readings_of(
                        start_ns, fit, pod.prediction(worker), elsewhere, refused=refused, rivals=rivals
                    )
                for reading in readings:
                    if self._tried and is_frozen(reading) and start_ns not in self._stopped:
                        continue
                    sure = sure or reading.cost < SURE
                    candidates.append((cost + reading.cost, history, reading))
                    if not reading.redial:
                        floor = min(floor, cost + reading.cost)
            if not (sure and run.form.version):  # else it says whose it is, and came when it was due
                stranger = cost + self._stranger(run, history)
                floor = min(floor, stranger)
                candidates.append((stranger, history, None))
        return [candidate for candidate in candidates if candidate[0] - floor <= WORSE]

    def _grown(self, look: Look, candidates: list[_Candidate]) -> list[History]:
        """Return the histories that these candidates lead to, of those that meet in one state the cheapest; more than are carried on.

        None becomes cheaper by growing: once enough cost no more than the next candidate, no other would be carried on.
        """
        run = look.run
        grown: dict[tuple[Pod, bool], History] = {}
        turns: list[Turn] = []
        for cost, history, taken in sorted(candidates, key=itemgetter(0)):
            if len(grown) >= self._kept and sorted(map(cost_of, grown.values()))[self._kept - 1] <= cost:
                break
            if taken is None:
                past = linked(history.past, Step(run, None, None, None, renewed=False, before=history.pod))
                keep(grown, History(history.pod, cost, history.fresh, past))
                continue
            worker = taken.worker
            known = look.judged(worker)
            keep(grown, _grow(history, run, taken, known, turns))
            if not history.fresh and not taken.reset and not taken.redial:
                for unseen, pod in enumerate(history.pod.guesses(worker, known.verdict.outcome)):
                    # (Behind a hole, or where one failure decides, as much may have failed unseen as not.)
                    fine = self._whole and not unseen and self.plan[worker].spec.failure_threshold > 1
                    fine = fine and known.verdict.outcome is Outcome.FAILURE
                    failed = FAILED_TOGETHER if history.pod.failed_before(worker) else FAILED_BEFORE
                    before = history.cost + (FINE_BEFORE if fine else failed)
                    guessed = History(pod, before, history.fresh, history.past)
                    keep(grown, _grow(guessed, run, taken, known, turns))
        return list(grown.values())

    def _carry_on(self, grown: list[History]) -> None:
        """Carry the cheapest of these histories on."""
        if len(grown) == 1:
            one = grown[0]
            self._spent += one.cost
            self._histories = [History(one.pod, 0.0, one.fresh, one.past)]
        else:
            ranked = sorted(grown, key=cost_of)[: self._kept]
            floor = ranked[0].cost
            self._spent += floor
            self._histories = [
                History(h.pod, h.cost - floor, h.fresh, h.past) for h in ranked if h.cost - floor <= WORSE
            ]
        self._settle()

    def _feed_due(self, look: Look, worker: int, fit: float) -> bool:
        """Take a run that in every history came when its steady worker was due, and changes nothing for others; tell whether it is one.

        Most are. There is one way to read it, the same in all histories, so all go on side by side: what comes of it is what
        `feed` would come to by weighing.
        """
        run = look.run
        grown: list[History] = []
        turn: Turn | None = None
        for history in self._histories:
            pod = history.pod
            if not pod.is_steady(worker):
                return False
            if (
                turn is None
                or turn.ticker is not pod.tickers[worker]
                or turn.worker is not pod.workers[worker]
                or turn.moves is not pod.moves
            ):
                readings = _due(pod, worker, run.start.ns, fit)
                if readings is None or len(readings) > 1 or readings[0].cost >= SURE:
                    return False
                reading = readings[0]
                known = look.judged(worker)
                verdict, times = known.verdict, (run.start.ns, known.free_ns)
                if turn is None or not turn.serves(reading, pod.workers[worker], pod.tickers[worker], pod.moves):
                    turn = pod.turn(worker, reading, times, verdict.outcome, verdict.cause, lingers=known.lingers)
                    if not turn.quiet:
                        return False
            step = Step(run, reading, verdict, turn.counted, renewed=False, before=pod)
            after = pod.after(turn, verdict.cause)
            grown.append(History(after, history.cost + reading.cost, history.fresh, linked(history.past, step)))
        if len(grown) > 1:
            kept: dict[tuple[Pod, bool], History] = {}
            for history in grown:
                keep(kept, history)
            grown = list(kept.values())
        self._carry_on(grown)
        return True

    def stride(self, looks: Sequence[Look], at: int, most: float) -> int:
        """Take at once what comes from `at` on and is even (`stride`), until the cost is beyond `most`; return how many runs that were.

        The costs, and what becomes of the pod, are those that `feed` would come to. `Step.before` is of before them all.
        """
        best = self._histories[0].past
        if best is None or best.step.run.unresolved is not None:
            return 0
        room = min(len(looks) - at, 2 * LAG - (best.length - self._settled))
        even = Stride([history.pod for history in self._histories])
        costs = [history.cost for history in self._histories]
        taken: list[list[Step]] = []
        while len(taken) < room and self._spent <= most:
            steps = even.take(looks[at + len(taken)])
            if steps is None:
                break
            taken.append(steps)
            more = steps[0].reading.cost if steps[0].reading is not None else 0.0
            grown = [cost + more for cost in costs]
            floor = min(grown)
            self._spent += floor
            costs = [cost - floor for cost in grown]
        if not taken:
            return 0
        kept: dict[tuple[Pod, bool], History] = {}
        for history, cost, pod, own in zip(self._histories, costs, even.pods(), zip(*taken, strict=True), strict=True):
            past = history.past
            for step in own:
                past = linked(past, step)
            keep(kept, History(pod, cost, history.fresh, past))
        self._histories = sorted(kept.values(), key=cost_of)
        self._settle()
        return len(taken)

    def _stranger(self, run: Run, history: History) -> float:
        """Return the cost of reading a run as nobody's attempt."""
        if not run.tries:
            return STRANGER
        form, connection = run.form, run.tries[0][0].connection
        if form.ask is Ask.NOTHING and form.port in self.crowded:
            return STRAY
        if any(p.spec.handler is Handler.TCP_SOCKET and p.spec.port == form.port for p in self.plan):
            return STRAY if form.ask is Ask.CONNECT and form.port in self.shared else STRANGER
        if self._dialled_here(connection):
            return STRANGER
        if form.ask is Ask.CONNECT and not closed_by_server(connection):
            return STRAY
        unanswered = form.ask is Ask.NOTHING and connection.resp.rst is None and connection.icmp is None
        if unanswered and not history.fresh and run.start.ns - self.begin_ns < DEAD_DIAL_NS:
            return STRAY
        return STRANGER

    def _dialled_here(self, connection: Connection) -> bool:
        """Tell whether a dial began in the capture, by its SYNs: a kernel waits longer each time, and never less (RFC 6298 section 5.5).

        One from before would have been silent since the capture begins, and its next pause would be as long.
        """
        syns = connection.orig.syns
        return self.begin_ns > 0 and len(syns) > 1 and syns[1].ns - syns[0].ns < syns[0].ns - self.begin_ns

    def so_far(self) -> list[Step]:
        """Return all its steps, as the cheapest history reads those that are not settled."""
        best = min(self._histories, key=cost_of)
        return self.steps + self._open(best, best.past.length if best.past else 0)

    def let_go(self, number: int) -> list[Step]:
        """Give the oldest settled steps away."""
        gone = self.steps[:number]
        del self.steps[:number]
        if len(self._stopped) < STOPPED:
            self._stopped |= _stopped(gone)
        return gone

    @property
    def open(self) -> int:
        """How many steps are not settled."""
        past = self._histories[0].past
        return 0 if past is None else past.length - self._settled

    def hurry(self, left: int) -> None:
        """Believe the cheapest reading of all steps but the latest ones."""
        self._settle(left, left)

    def finish(self) -> list[Step]:
        """Choose the cheapest history, and return all its steps."""
        best = min(self._histories, key=cost_of)
        self._tell(best, best.past.length if best.past else 0)
        self.fresh = best.fresh if self._first_fresh is None else self._first_fresh
        return self.steps

    def outlook(self) -> tuple[int, list[Step]]:
        """Return how many steps are settled, and the cheapest history's steps since, which may yet be read in another way."""
        best = min(self._histories, key=cost_of)
        found: list[Step] = []
        link = best.past
        while link is not None and link.length > self._settled:
            found.append(link.step)
            link = link.past
        return self._settled, found[::-1]

    def disputed(self) -> set[int]:
        """Return which steps (1 for the lane's first) decide something else in a history that is nearly as cheap as the cheapest."""
        ranked = sorted(self._histories, key=cost_of)
        found: set[int] = set()
        for rival in ranked[1:]:
            more = rival.cost - ranked[0].cost
            if more > DOUBT_RESET:
                break
            mine, other = ranked[0].past, rival.past
            while mine is not None and other is not None and mine is not other and mine.length > self._settled:
                reset = mine.step.reading is not None and mine.step.reading.reset
                if _decides(mine.step) != _decides(other.step) and (reset or more <= DOUBT):
                    found.add(mine.length)
                mine, other = mine.past, other.past
        return found

    def latest(self) -> Step | None:
        """Return the last step of the cheapest history; None where there is none, or it was let go."""
        best = min(self._histories, key=cost_of).past
        if best is not None and best.length > self._settled:
            return best.step
        return self.steps[-1] if self.steps else None

    def pod(self) -> Pod:
        """Return the state that the cheapest history has reached."""
        return min(self._histories, key=cost_of).pod

    @property
    def cost(self) -> float:
        """How far-fetched the cheapest reading of everything is: about the negative logarithm of its likelihood."""
        return self._spent + min(history.cost for history in self._histories)

    @property
    def width(self) -> int:
        """How many histories are carried on."""
        return len(self._histories)

    def again(self, plan: Sequence[Planned], *, from_ns: int | None = None) -> Lane:
        """Return a new lane in the same circumstances, for the same workers with other numbers.

        One that begins later (`from_ns`) does so in mid-life.
        """
        lane = Lane(
            plan,
            begin_cost=self._begin_cost if from_ns is None else max(self._begin_cost, RAN_BEFORE),
            begin_ns=self.begin_ns if from_ns is None else from_ns,
            appeared_ns=self._appeared_ns if from_ns is None else None,
            resets=self._resets,
            keeps_ready=self._keeps_ready,
            pokes=self._pokes,
            kept=self._kept_each,
        )
        lane._tried = True
        lane._stopped = self._stopped | _stopped(self.so_far())
        lane.shared, lane.owners = self.shared, self.owners
        return lane

    def _settle(self, most: int = 2 * LAG, left: int = LAG) -> None:
        """Tell the steps that all histories share; of more than `most` all but the latest ones are settled by the cheapest one."""
        best = self._histories[0].past
        if best is None or best.length == self._settled or not self.settles:
            return
        if best.length - self._settled > most:
            kept = ancestor(best, best.length - left)
            self._histories = [history for history in self._histories if ancestor(history.past, kept.length) is kept]
        links = heads = [history.past for history in self._histories if history.past is not None]
        if any(head.root is not heads[0].root for head in heads):
            return
        while any(link is not links[0] for link in links):
            links = [link.past for link in links if link.past is not None]
        common = links[0]
        self._tell(self._histories[0], common.length)
        common.past = common.root = None
        for head in heads:
            if head is not common:
                head.root = ancestor(head, common.length + 1).step
        if self._first_fresh is None and len({history.fresh for history in self._histories}) == 1:
            self.fresh = self._histories[0].fresh

    def _tell(self, history: History, until: int) -> None:
        self.steps += self._open(history, until)
        self._settled = max(self._settled, until)

    def _open(self, history: History, until: int) -> list[Step]:
        """Return a history's steps that are not settled, up to this length."""
        steps: list[Step] = []
        link = history.past
        while link is not None and link.length > self._settled:
            if link.length <= until:
                steps.append(link.step)
            link = link.past
        steps.reverse()
        return steps


def _stopped(steps: Sequence[Step]) -> set[int]:
    """Return the starts of attempts that were read as ticks which found their kubelet without CPU."""
    return {step.run.start.ns for step in steps if step.reading is not None and step.reading.stopped}


def _decides(step: Step) -> object:
    """Return what a step decides, and whose it is; None where it decides nothing."""
    if step.counted is None or step.counted.decision is None or step.reading is None:
        return None
    return step.reading.worker, step.counted.decision


def _due(pod: Pod, worker: int, start_ns: int, fit: float) -> list[Reading] | None:
    """Return the readings of an attempt that came when its steady worker's next tick was due; None where more is to be weighed.

    They are those of `readings_of`, but for a poke that would leave the same state behind and is less likely.
    """
    if pod.misses(worker, start_ns):
        return None
    ticker = pod.tickers[worker]
    period_ns = pod.plan[worker].spec.period_s * SECOND
    readings = due_readings(start_ns, worker, period_ns, ticker, pod.manual(worker))
    if readings is not None:
        if (
            len(readings) > 1
            and ticker.tick_ns is not None
            and not pod.tells_pokes(worker, start_ns - ticker.tick_ns - period_ns)
        ):
            del readings[1:]
        if fit:
            readings = [reading._replace(cost=reading.cost + fit) for reading in readings]
    return readings


def _grow(history: History, run: Run, reading: Reading, known: Judged, turns: list[Turn]) -> History:
    if reading.redial:
        return _redial(history, run, reading)
    verdict = known.verdict
    applied = history.pod.apply(
        reading,
        run.start.ns,
        verdict.end_ns,
        verdict.outcome,
        verdict.cause,
        lingers=known.lingers,
        free_ns=known.free_ns,
        turns=turns,
    )
    step = Step(run, reading, verdict, applied.counted, applied.renewed, history.pod)
    return History(applied.pod, history.cost + reading.cost, history.fresh, linked(history.past, step))


def _redial(history: History, run: Run, reading: Reading) -> History:
    """Join a dial to the attempt in flight, whose deadline and count it shares."""
    link = history.past
    while link is not None and (
        link.step.reading is None or link.step.reading.worker != reading.worker or link.step.reading.redial
    ):
        link = link.past
    spec = history.pod.plan[reading.worker].spec
    if link is None:  # The attempt in flight was settled long ago: nothing a redial could belong to.
        return History(
            history.pod,
            history.cost + STRANGER,
            history.fresh,
            linked(history.past, Step(run, None, None, None, False, history.pod)),
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
    return History(applied.pod, history.cost + reading.cost, history.fresh, linked(history.past, step))
