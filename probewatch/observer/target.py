"""One probed address: sorts what reaches it into kubelet attempts and the rest, and runs its lanes.

A target waits until it knows two things before it assigns anything: that a source is a kubelet (probes.sources), and
which probes to expect (a declared Pod, or a guess from the first attempts). With a node's address and a Pod known from
the start nothing waits.

This module is over 600 lines because waiting, planning and reading once more are steps of one state: the runs of an address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.decisions.versions import Pokes, keeps_ready, pokes, resets
from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler, PodSpec
from probewatch.model.timeline import UNDECLARED
from probewatch.model.units import SECOND
from probewatch.probes.inference import Guess, eras, guess
from probewatch.probes.lately import NOBODY, Lately
from probewatch.probes.runs import Run, as_known, fits

from .amended import AMENDED, reads_plainly, running
from .asking import asks, connects, with_a_loop
from .beginnings import ANNOUNCED_NS, announced, beginning
from .execs import guess_commands
from .histories import Step
from .implied import feed
from .lane import KEPT, Lane
from .ledger import Keep, Ledger
from .losses import Losses
from .queue import Queue
from .twins import OPEN, RATHER, strained, the_other_way_round, twins
from .tying import Ties, tie
from .typed import doubted, homes, supposed, typed

WAITING: Final = 2_000
"""Runs of one source kept until it is known who it is; then the last word is said with what there is."""
ASKED: Final = 16
"""Runs of one source after which it is asked whether they are what a spec declares."""
TIE_AFTER: Final = 16
"""Runs after which a manifest that tells no address is looked for, early; what is left open then is tried again at the end."""
GUESS_AFTER: Final = 200
"""Runs after which an undeclared target's probes are guessed."""
GUESS_FROM: Final = 8
"""Runs from which they are guessed where runs of too many targets wait."""
SHARED: Final = 12.0
"""What a reading must save that takes them for somebody else's: twice as much as any one attempt costs that is hard to explain."""
DOUBTFUL: Final = 8.0
"""What the readings of a declared lane cost when its plan is first held against them: one thing more than can happen by itself."""
FEW: Final = 6
"""Histories of a lane that is read again and again, to find what types its probes have."""
SUPPOSED: Final = 3
"""Histories of a lane that is looked at while its plan is a guess, and thrown away: its last word is not asked for."""


@dataclass(slots=True)
class Placed:
    """A lane with what it was planned from."""

    checker: str
    """Whose attempts: the node's name where it is known, else its address."""
    lane: Lane
    pod: PodSpec | None
    guesses: tuple[Guess, ...] = ()
    """What was guessed of its probes; of a Pod's, of those beside the declared ones, which are the last of the plan."""
    named_by: str | None = None
    signs: tuple[str, ...] = ()
    """Signs of a beginning that are no attempts."""
    notes: list[str] = field(default_factory=list)
    declared: tuple[Planned, ...] | None = None
    """The plan as declared, where the lane was replayed with what the wire shows."""
    ledger: Ledger = field(default_factory=lambda: Ledger(()))
    """What its steps came to that were let go."""
    weighed: list[Run] = field(default_factory=list)
    """The first runs of these, where numbers are measured by them."""
    noted: int = 0
    """Settled steps of it that were counted (`keeper`)."""
    open: int = 0
    """Steps that are not settled, likewise."""
    passed: int = 0
    """Losses that lie before what it was fed."""
    versioned: bool = False
    """Whether the lane knows the kubelet's version: where its address is known, its first attempts may not tell it."""
    guessed_from: int = 0
    """Runs that its guesses were made from."""
    untold: dict[int, int] = field(default_factory=dict)
    """Workers whose attempts may be those of another one that asks the same, and of which."""
    doubted: float = DOUBTFUL
    """Its plan is held against all that was seen where its readings cost more than this."""

    def takes(self, run: Run) -> bool:
        """Tell whether a run may be an attempt of one of its probes."""
        return any(fits(run, planned.spec) is not None for planned in self.lane.plan)

    @property
    def first_guessed(self) -> int:
        """The first worker that is guessed: all before it are declared."""
        return len(self.lane.plan) - len(self.guesses)

    def guess(self, worker: int) -> Guess | None:
        """Return what was guessed of a worker; None where it is declared."""
        return self.guesses[worker - self.first_guessed] if worker >= self.first_guessed else None


class Target:
    """Everything that reaches one address."""

    __slots__ = (
        "_closed", "_contexts", "_loose", "_plans", "_queue", "_quiet_ns", "_undecided", "_waiting", "address", "book", "commands",
        "first_seen_ns", "guests", "keep", "losses", "placed", "proven", "sees_execs", "strangers", "ties",
    )  # fmt: skip

    def __init__(
        self,
        address: str,
        book: AddressBook,
        guests: Sequence[PodSpec] = (),
        *,
        proven: bool = True,
        keep: Keep = Keep.WHOLE,
        losses: Losses | None = None,
        ties: Ties | None = None,
    ) -> None:
        self.address = address
        self.ties = ties or Ties()
        self.keep = keep
        self.losses = losses or Losses()
        self.proven = proven
        """Whether its attempts come from a proven kubelet; else only the clearest signs give a probe a type."""
        self.book = book
        self.guests = guests
        """Pods of other addresses with a probe that names this one as its host."""
        self.placed: list[Placed] = []
        self.strangers: list[Run] = []
        """Runs of others, and of a kubelet's address that fit no probe."""
        self.commands: list[Run] = []
        """Commands run in its containers that no probe declares."""
        self.sees_execs = False
        """Whether process events show exec probes here, so that they are to be expected."""
        self.first_seen_ns: int | None = None
        """When the target itself first appeared (announced its address, or sent anything)."""
        self._queue: Queue | None = None
        # (None, and no empty dict, where there is nothing: of very many targets most have none of these.)
        self._undecided: dict[str, list[Run]] | None = None
        self._waiting: dict[str, list[tuple[Run, Lately]]] = {}
        """Runs that wait for a plan, by checker: two kubelets that probe one address are two checkers."""
        self._loose: dict[str, Placed] | None = None
        """The lane of runs that no Pod's address explains, by checker."""
        self._contexts: dict[str, Context] = {}
        self._quiet_ns: int | None = None
        """When the latest run of a lane that is over by now was seen."""
        self._plans: dict[int, list[Planned]] | None = None
        self._closed = False
        """Its lanes were told, and let go."""

    @property
    def queue(self) -> Queue:
        """Connections that wait for their turn."""
        if self._queue is None:
            self._queue = Queue()
        return self._queue

    def ahead(self, now_ns: int) -> list[Run]:
        """Return the runs that are complete and wait in the queue; so are those that every probe declared for their port has given up."""

        def given_up(connection: Connection) -> bool:
            asked = (planned.spec for pod in self.declared(connection.start.ns) for planned in self._plan(pod))
            timeouts = [spec.timeout_s for spec in asked if spec.port == connection.server_port]
            return bool(timeouts) and now_ns - connection.start.ns > (max(timeouts) + 1) * SECOND

        return self.queue.ahead(given_up)

    def rest(self) -> None:
        """Let go of the queue, in which nothing waits: there may be very many targets."""
        self._queue = None

    @property
    def empty(self) -> bool:
        """Whether nothing is held that came here: it may be forgotten."""
        held = self.placed or self.strangers or self.commands or self._undecided or self._waiting
        return not held and (self._queue is None or self._queue.idle)

    # Who: runs of a source that is not decided wait here.

    def hold(self, run: Run) -> int:
        """Keep a run of a source that may yet turn out to be a kubelet; return how many are kept."""
        if self._undecided is None:
            self._undecided = {}
        held = self._undecided.setdefault(run.client, [])
        held.append(run)
        return len(held)

    def held(self, client: str, *, strangers: bool = False) -> list[Run]:
        """Take back the runs kept for a source, also those already taken for a stranger's where it was taken for one."""
        mine: list[Run] = []
        if strangers:
            mine = [run for run in self.strangers if run.client == client and run.form.kubelet]
            self.strangers = [run for run in self.strangers if run.client != client or not run.form.kubelet]
        return mine + (self._undecided.pop(client, []) if self._undecided else [])

    def undecided(self) -> Mapping[str, list[Run]]:
        """Return the runs kept, by source."""
        return self._undecided or {}

    # What: attempts of a kubelet.

    @property
    def has_kubelet(self) -> bool:
        """Whether a proven kubelet probes it."""
        return bool(self._closed or self.placed or self._waiting)

    def attempt(self, run: Run, elsewhere: Lately, context: Context) -> None:
        """Take a kubelet's run, in the order of starts."""
        if not run.form.kubelet:
            (self.commands if run.execs else self.strangers).append(run)
            self._crowd(run, context)
            return
        self._contexts[context.checker] = context
        placed = self._declared_for(run, context) or self._lane_for(run, context)
        if placed is None:
            waiting = self._waiting.setdefault(context.checker, [])
            waiting.append((run, elsewhere))
            early = len(waiting) == TIE_AFTER and self._tie([one for one, _ in waiting], early=True) is not None
            if early or len(waiting) >= GUESS_AFTER:
                self._plan_rest(context)
        else:
            self._feed(placed, run, elsewhere, context)

    def _crowd(self, run: Run, context: Context) -> None:
        """Note that a kubelet's address also sends what is no probe here."""
        for placed in self.placed:
            if placed.checker == context.checker:
                placed.lane.crowded.add(run.form.port)
                if run.tries and _was_served(run.tries[0][0].connection):
                    placed.lane.ran_before(run.form.port)

    @property
    def unplanned(self) -> int:
        """Runs that wait for a plan."""
        return sum(map(len, self._waiting.values())) if self._waiting else 0

    def _tie(self, runs: Sequence[Run], *, early: bool = False) -> tuple[PodSpec, str] | None:
        return tie(runs, self.ties.unplaced, self.ties, self.address, early=early)

    def look(self) -> None:
        """Note which manifest is wholly what waits here, before the last word is said anywhere."""
        for waiting in self._waiting.values():
            self._tie([run for run, _ in waiting], early=True)

    def plan_now(self) -> None:
        """Plan for the checkers of whom enough runs wait to guess from: they wait no longer."""
        for checker in [one for one, waiting in self._waiting.items() if len(waiting) >= GUESS_FROM]:
            self._plan_rest(self._contexts[checker])

    def waiting(self, *, claims: bool) -> dict[str, list[Run]]:
        """Return the runs that wait for a plan, by checker, and with `claims` those of sources that say they are kubelets."""
        held = self.undecided() if claims else {}
        claimed = {client: runs for client, runs in held.items() if all(run.form.version for run in runs)}
        return claimed | {checker: [run for run, _ in many] for checker, many in self._waiting.items()}

    def supposed(
        self,
        runs: Sequence[Run],
        checker: str,
        context: Context,
        before: Placed | None = None,
        ahead: Sequence[Run] = (),
    ) -> Placed | None:
        """Return a lane, to be looked at and not kept, for runs that wait for a plan; `before`, unfed, where its plan still fits.

        The plan is made with those `ahead` as well, which are not fed: they have not their turn yet.
        """
        known = sorted([*runs, *ahead], key=lambda run: run.start.ns)
        tied = self._tie(known)
        guesses = () if tied is not None else supposed(self._guess(known, context), known)
        if tied is None and not guesses:
            return None
        pod, named_by = tied if tied is not None else (None, None)
        plan = self._plan(pod) if pod is not None else homes(guesses)
        if before is not None and before.lane.plan == tuple(plan):
            before.guessed_from = len(runs)
            return before
        lane, signs = self._lane(plan, pod, runs, self._contexts.get(checker, context), kept=SUPPOSED)
        for run in runs:
            feed(lane, run, NOBODY, context.seen_until_ns)
        return Placed(checker, lane, pod, guesses, named_by, signs, guessed_from=len(runs) if guesses else 0)

    def _declared_for(self, run: Run, context: Context) -> Placed | None:
        """Return the lane of the Pod that is probed here at this time."""
        pod = self._pod_of(run)
        if pod is None:
            return None
        placed = self._lane_of(pod, context)
        if placed is None:
            return self._place(self._plan(pod), pod, (), pod.tied_by, [run], context)
        placed.checker = placed.checker or context.checker
        return placed

    def _pod_of(self, run: Run) -> PodSpec | None:
        """Return the Pod that is probed here at this time; of several (hostNetwork) the one whose probes fit."""
        pods = self.declared(run.start.ns)
        return next((pod for pod in pods if self.declares(run, pod) is not None), pods[0] if pods else None)

    def _lane_of(self, pod: PodSpec, context: Context) -> Placed | None:
        for placed in self.placed:
            # Who asked the runtime for a command is not known; one Pod has one kubelet.
            if placed.pod is pod and (placed.checker == context.checker or "" in (placed.checker, context.checker)):
                return placed
        return None

    def lane_of(self, run: Run, context: Context) -> Placed | None:
        """Return the lane that a kubelet's run will go to, if it was begun by now; nothing changes."""
        pod = self._pod_of(run)
        return self._lane_of(pod, context) if pod is not None else self._lane_for(run, context)

    def declared(self, ns: int) -> list[PodSpec]:
        """Return the Pods with probes that are sent to this address at that time: its own, then its guests."""
        own = self.book.pods_at(self.address, ns)
        return [pod for pod in (*own, *self.guests) if self._plan(pod)]

    def declares(self, run: Run, pod: PodSpec) -> float | None:
        """Return how well a run fits the best of a Pod's probes here; None where it fits none."""
        return min((fit for planned in self._plan(pod) if (fit := fits(run, planned.spec)) is not None), default=None)

    def _plan(self, pod: PodSpec) -> list[Planned]:
        """Return the probes of a Pod that its kubelet sends to this address."""
        if self._plans is None:
            self._plans = {}
        known = self._plans.get(id(pod))
        if known is None:
            own = (None, "", self.address) if self.address in pod.addresses or not pod.addresses else (self.address,)
            known = self._plans[id(pod)] = [
                Planned(spec, index)
                for index, container in enumerate(pod.containers)
                for spec in container.probes
                if (self.sees_execs if spec.handler is Handler.EXEC else spec.host in own)
            ]
        return known

    def _plan_rest(self, context: Context) -> None:
        """Plan for the runs of a checker that wait, from a manifest that tells no address, or from the runs themselves."""
        waiting = self._waiting.pop(context.checker, [])
        if not waiting:
            return
        if context.checker and "" in self._waiting:
            waiting = sorted([*waiting, *self._waiting.pop("")], key=lambda item: item[0].start.ns)
        runs = [run for run, _ in waiting]
        tied = self._tie(runs)
        if tied is not None:
            pod, named_by = tied
            placed = self._place(self._plan(pod), pod, (), named_by, runs, context)
        else:
            self.commands += [run for run in runs if run.execs]
            waiting = [item for item in waiting if not item[0].execs]
            runs = [run for run, _ in waiting]
            guesses = self._guess(runs, context)
            if not guesses:
                self.strangers += runs
                return
            guesses = self._typed(guesses, runs, context)
            placed = self._place(homes(guesses), None, guesses, None, runs, context)
            placed.guessed_from = len(runs)
        self._loose = (self._loose or {}) | {context.checker: placed}
        for run, elsewhere in waiting:
            self._feed(placed, run, elsewhere, context)

    def _guess(self, runs: Sequence[Run], context: Context) -> tuple[Guess, ...]:
        poked = context.version is None or pokes(context.version) is not Pokes.NOTHING
        return tuple(guess(runs, proven=self.proven, poked=poked))

    def _typed(self, guesses: tuple[Guess, ...], runs: Sequence[Run], context: Context) -> tuple[Guess, ...]:
        """Weigh what types the probes are that were guessed; of a checker that is not proven a kubelet nothing more is said."""
        lane, _ = self._lane(homes(guesses), None, runs, context, kept=FEW)
        return typed(guesses, runs, lane) if self.proven else doubted(guesses, runs, lane)

    def _place(
        self,
        plan: Sequence[Planned],
        pod: PodSpec | None,
        guesses: tuple[Guess, ...],
        named_by: str | None,
        runs: Sequence[Run],
        context: Context,
    ) -> Placed:
        lane, signs = self._lane(plan, pod, runs, context)
        versioned = context.version is not None
        placed = Placed(
            context.checker, lane, pod, guesses, named_by, signs, ledger=self._ledger(lane), versioned=versioned
        )
        placed.passed = self.losses.before(runs[0].start.ns) if runs else 0
        self.placed.append(placed)
        return placed

    def _ledger(self, lane: Lane) -> Ledger:
        return Ledger(lane.plan, self.keep, self.losses.all)

    def leave(self, run: Run) -> None:
        """Set aside a run that is nobody's attempt so far."""
        (self.commands if run.execs else self.strangers).append(run)

    def command_lanes(self, context: Context) -> list[tuple[Placed, list[Step]]]:
        """Make a lane of each command that was run as probes are, and that nobody declared; call it after `finish`."""
        out = []
        self._contexts[""] = context
        for found, runs in guess_commands(sorted(self.commands, key=lambda run: run.start.ns)):
            placed = self._place([Planned(found.spec, 0)], None, (found,), None, runs, context)
            for run in runs:
                self._feed(placed, replace(run, container=None), NOBODY, context)
            out.append((placed, [step for step in placed.lane.finish() if step.reading is not None]))
        return out

    def _lane(
        self, plan: Sequence[Planned], pod: PodSpec | None, runs: Sequence[Run], context: Context, kept: int = KEPT
    ) -> tuple[Lane, tuple[str, ...]]:
        version, context = context.version, self._there(runs, context)
        cost, signs = beginning(
            runs,
            pod,
            self.first_seen_ns,
            self._quiet_since_ns(runs, context),
            context.first_frame_ns,
            started=context.container_started,
        )
        if pod is None and len(eras(runs)) > 1:
            signs = ()  # What begins in one file says nothing of what another one shows.
        lane = Lane(
            plan,
            begin_cost=cost,
            begin_ns=context.first_frame_ns,
            appeared_ns=self.first_seen_ns if runs and announced(runs[0], self.first_seen_ns) else None,
            resets=None if version is None else resets(version),
            keeps_ready=version is None or keeps_ready(version),
            pokes=Pokes.WHATEVER_IS_NOT_READY if version is None else pokes(version),
            kept=kept,
        )
        for port in self._served(runs):
            lane.ran_before(port)
        return lane, signs

    def _served(self, runs: Sequence[Run]) -> set[int]:
        """Return the ports at which the rest of an older connection of the same client showed a program just before these runs."""
        if not runs:
            return set()
        first = runs[0]
        return {
            run.form.port
            for run in self.strangers
            if run.client == first.client
            and 0 <= first.start.ns - run.start.ns <= ANNOUNCED_NS
            and run.tries
            and _was_served(run.tries[0][0].connection)
        }

    def _there(self, runs: Sequence[Run], context: Context) -> Context:
        """Return a context as it was where these runs begin, which may lie in a file before."""
        if not runs or runs[0].start.ns >= context.first_frame_ns or not self.losses.begun_ns:
            return context
        begun = [ns for ns in self.losses.begun_ns if ns <= runs[0].start.ns]
        return replace(context, first_frame_ns=max(begun, default=self.losses.begun_ns[0]))

    def _quiet_since_ns(self, runs: Sequence[Run], context: Context) -> int:
        """Return since when nothing had reached this address when the first of these runs did."""
        first = runs[0].start.ns if runs else context.first_frame_ns
        return max(
            (ns for ns in (self._quiet_ns, context.first_frame_ns) if ns is not None and ns <= first), default=first
        )

    def _lane_for(self, run: Run, context: Context) -> Placed | None:
        """Return the lane of what no address declares, once it is planned; an unanswered resolution may belong to any lane."""
        mine = [placed for placed in self.placed if placed.checker == context.checker]
        if run.unresolved is not None and mine:
            return mine[-1]
        if run.execs and self._loose:
            return next(iter(self._loose.values()))
        return self._loose.get(context.checker) if self._loose else None

    def _feed(self, placed: Placed, run: Run, elsewhere: Lately, context: Context) -> None:
        if not placed.versioned and context.version is not None:
            placed.versioned = True
            version = context.version
            placed.lane.learn(resets=resets(version), keeps_ready=keeps_ready(version), pokes=pokes(version))
        seen_until_ns = context.seen_until_ns
        if self.losses.all:
            seen_until_ns = self.losses.seen_until(run.start.ns, seen_until_ns)
            placed.passed, hidden = self.losses.hides(placed.lane, placed.passed, run.start.ns)
            if hidden:
                placed.lane.interrupt()
        feed(placed.lane, run, elsewhere, seen_until_ns)
        self._quiet_ns = max(self._quiet_ns or 0, run.last_ns())

    def finish(self, context: Context) -> list[tuple[Placed, list[Step]]]:
        """Close all lanes; what a kubelet asked that no spec declares gets a lane of its own."""
        for checker in sorted(self._waiting, reverse=True):  # commands, whose checker is not known, with another's
            self._plan_rest(replace(self._contexts[checker], seen_until_ns=context.seen_until_ns))
        out = []
        for placed in self.placed:
            mine = replace(self._contexts[placed.checker], seen_until_ns=context.seen_until_ns, latest=context.latest)
            if not placed.ledger.accounts:
                self.reconsider(placed, mine, last=True)
            steps = placed.lane.finish()
            out.append((placed, [step for step in steps if step.reading is not None]))
            for run in (step.run for step in steps if step.reading is None):
                self.leave(run)
        for client in sorted({run.client for run in self.strangers} & context.kubelets):
            out += self._undeclared(client, context)
        return out

    def close(self) -> None:
        """Let its lanes go: what they came to has been told."""
        self._closed = self.has_kubelet
        self.placed, self._loose = [], None

    def _undeclared(self, client: str, context: Context) -> list[tuple[Placed, list[Step]]]:
        """Make a lane of what a proven kubelet asked and no spec, or no earlier guess, explains."""
        theirs = [run for run in self.strangers if run.client == client]
        asking = [run for run in theirs if asks(run)]
        runs = sorted([*asking, *connects(theirs)], key=lambda run: run.start.ns)
        guesses = tuple(guess(runs)) if runs else ()
        if not guesses:
            return []
        taken = {id(run) for run in runs}
        self.strangers = [run for run in self.strangers if id(run) not in taken]
        mine = replace(context, checker=client)
        declared = any(placed.pod is not None for placed in self.placed)
        placed = self._place(homes(guesses), None, guesses, None, runs, mine)
        if declared:
            placed.notes.append(UNDECLARED)
        for run in runs:
            self._feed(placed, run, NOBODY, mine)
        return [(placed, [step for step in placed.lane.finish() if step.reading is not None])]

    def reconsider(self, placed: Placed, context: Context | None = None, *, last: bool = False) -> bool:
        """Hold a lane's plan against all that was seen; tell whether it was replayed.

        That is before the first steps are let go, or at the end (`last`).
        """
        before = placed.lane
        steps = before.so_far()
        context = context or self._contexts[placed.checker]
        runs = [as_known(step.run, context.latest) for step in steps if not step.run.implied]
        if placed.pod is not None:
            self._amended(placed, runs, context, last=last)
        else:
            self._reconsidered(placed, runs, context)
        self._shared(placed, runs, context)
        self._tell_twins(placed, runs, context)
        placed.ledger = self._ledger(placed.lane)
        return placed.lane is not before

    def doubts(self, placed: Placed) -> bool:
        """Hold a declared lane's plan against what was seen so far, where that reads badly; tell whether it was replayed.

        Twice as badly as the last time: whoever watches is told soon that a spec is not the one that runs, at a bounded cost.
        """
        if placed.pod is None or placed.ledger.accounts or placed.lane.cost <= placed.doubted:
            return False
        placed.doubted = 2 * placed.lane.cost
        return self.reconsider(placed)

    def _reconsidered(self, placed: Placed, runs: Sequence[Run], context: Context) -> None:
        """Guess once more from all that was seen, and replay where the first guess does not hold."""
        if len(runs) <= (placed.guessed_from or GUESS_AFTER):
            return
        guesses = self._guess(runs, context)
        if guesses:
            guesses = self._typed(guesses, runs, context)
        if not guesses or [g.spec for g in guesses] == [g.spec for g in placed.guesses]:
            return
        placed.guesses = guesses
        self._replay(placed, homes(guesses), runs, context)

    def _amended(self, placed: Placed, runs: Sequence[Run], context: Context, *, last: bool) -> None:
        """Replay a lane with the probes that the wire shows, where it contradicts the declared ones; say so.

        Each time anew from the declared ones: a first look may have seen too little. Where none of them is sent, it is at `last`
        read as if nothing was declared: it may be another Pod.
        """
        assert placed.pod is not None
        changed = placed.declared is not None
        if not runs or not (changed or not reads_plainly(strained(placed.lane), len(runs))):
            return
        if _looped(placed.lane, runs):
            return  # (whose each connection is says nothing of how often a probe asks)
        asking = [run for run in runs if run.form.kubelet and not run.execs]
        guessed = self._guess(asking, context) if asking else ()
        alone = len(self.declared(runs[0].start.ns)) <= 1
        found = running(
            placed.lane,
            tuple(self._plan(placed.pod)),
            placed.pod,
            runs,
            [lambda: guessed, lambda: self._typed(guessed, asking, context) if guessed else ()],
            alone=alone,
            seen_until_ns=context.seen_until_ns or max(run.last_ns() for run in runs),
            begun=bool(placed.signs),
            holes=self.losses.behind([run.start.ns for run in runs]),
        )
        placed.notes = [note for note in placed.notes if AMENDED not in note] + list(found.notes)
        placed.guesses = found.beside
        placed.declared = found.said if found.differs else None
        plan: Sequence[Planned] = found.plan
        if found.foreign and guessed and alone:
            if not last:
                return
            placed.pod, placed.named_by, placed.declared = None, None, None
            placed.guesses, placed.notes = self._typed(guessed, asking, context), [UNDECLARED]
            plan = homes(placed.guesses)
        if tuple(plan) != placed.lane.plan:
            self._replay(placed, plan, runs, context)

    def _shared(self, placed: Placed, runs: Sequence[Run], context: Context) -> None:
        """Read once more what a tcpSocket probe shares with somebody's loop on its kubelet's node, where that is far cheaper so."""
        if shared := _looped(placed.lane, runs):
            self._rather(placed, placed.lane.plan, runs, context, SHARED, shared)

    def _tell_twins(self, placed: Placed, runs: Sequence[Run], context: Context) -> None:
        """Read probes that ask the same the other way round too, and keep what is likelier; note where neither is."""
        placed.untold.clear()
        for pair in twins(placed.lane.plan):
            owners = the_other_way_round(placed.lane.so_far(), pair)
            if not owners:
                continue
            before = replace(placed)
            self._replay(placed, before.lane.plan, runs, context, before.lane.shared, {**before.lane.owners, **owners})
            more = strained(placed.lane) - strained(before.lane)
            if more > -RATHER:
                placed.lane, placed.signs, placed.passed = before.lane, before.signs, before.passed
            if abs(more) < OPEN:
                one, other = pair
                placed.untold |= {one: other, other: one}

    def _rather(
        self,
        placed: Placed,
        plan: Sequence[Planned],
        runs: Sequence[Run],
        context: Context,
        saves: float,
        shared: frozenset[int] = frozenset(),
    ) -> bool:
        """Replay a lane in another way, and keep to that where it saves as much; tell whether it does."""
        before = replace(placed)
        self._replay(placed, plan, runs, context, shared)
        if placed.lane.cost + saves <= before.lane.cost:
            return True
        placed.lane, placed.signs, placed.passed = before.lane, before.signs, before.passed
        return False

    def _replay(
        self,
        placed: Placed,
        plan: Sequence[Planned],
        runs: Sequence[Run],
        context: Context,
        shared: frozenset[int] = frozenset(),
        owners: Mapping[Mark, int] | None = None,
    ) -> None:
        """Read all its runs once more, as attempts of these probes; of those that are named in `owners`, which is whose."""
        placed.lane, placed.signs = self._lane(plan, placed.pod, runs, context)
        placed.lane.shared, placed.lane.owners = shared, owners or {}
        placed.passed = self.losses.before(runs[0].start.ns) if runs else 0
        for run in runs:
            self._feed(placed, run, NOBODY, context)


def _looped(lane: Lane, runs: Sequence[Run]) -> frozenset[int]:
    """Return the ports of a lane's tcpSocket probes at which somebody else connects as they do, again and again."""
    ports = {planned.spec.port for planned in lane.plan if planned.spec.handler is Handler.TCP_SOCKET}
    return frozenset(port for port in ports if port is not None and with_a_loop(runs, port))


@dataclass(frozen=True, slots=True)
class Context:
    """What a target must know of the world around it."""

    checker: str = ""
    """Who probes: the node's name where it is known, else its address."""
    version: tuple[int, int] | None = None
    """The kubelet's version."""
    first_frame_ns: int = 0
    kubelets: frozenset[str] = frozenset()
    """Sources that are proven kubelets."""
    seen_until_ns: int | None = None
    """Where the capture ends, once that is known."""
    latest: Callable[[Connection], Connection] = lambda connection: connection
    """What is known by now of a connection."""
    container_started: bool = False
    """A process event shows that a container of the target began just before."""


def _was_served(connection: Connection) -> bool:
    """Tell whether a connection that began before the capture had a program at its other end."""
    resp = connection.resp
    return connection.midstream and resp.rst is None and (resp.length > 0 or connection.orig.fin_acked is not None)
