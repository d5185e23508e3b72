"""What no kubelet sent: held, for only the whole tells a check from traffic, and counted as traffic where it is too much.

Theory of operation. Runs of strangers stay with their targets, and `held` says how many there are. When there are too many, what is
no check so far (`survey.so_far`) is counted as traffic but for the latest quarter, which is looked at again with what comes next.
Checks stay, unless attempts are kept in brief: then there is a limit on them too, and beyond it the oldest go, with a note.
Where they stay what was said on their connections is packed (`model.packed`) as soon as there is much of it.

A connection is handed on when kubelets' probes have had their time, and others may wait for longer. So its end is read when it comes
(`revise`), and takes the place of what was known before (`settle`) ahead of any look at the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.packed import PackedExchange, Shelf
from probewatch.probes.forms import Ask, Form
from probewatch.probes.runs import Run
from probewatch.probes.sources import Standing

from .build import Latest
from .losses import Losses
from .others import Peer, Traffic
from .slim import in_short
from .survey import so_far
from .target import Target

STRANGERS: Final = 5_000
"""Runs held that no kubelet sent; beyond, the older ones are counted as traffic where they are no check so far."""
MOST_CHECKS: Final = 11_000
"""Of these, checks held where attempts are kept in brief; beyond, the oldest quarter is counted as traffic too."""


PACKED_AFTER: Final = 4_000
"""Of these, checks held whole where all of them stay; beyond, what was said on their connections is packed."""

ENDED_LATER: Final = 100_000
"""Connections whose end is kept that came after they were handed on; a quarter of MOST_CHECKS where attempts are kept in brief."""
FORMS: Final = 1_024
"""Different forms of these that are remembered, to be held once."""


def manner(form: Form) -> str:
    """Return how a request says who asks, which no checker changes from one check to the next; empty where it does not, or is cut."""
    if form.cut:
        return ""
    return form.user_agent or (form.host if form.ask is Ask.TLS else "")


class Strangers:
    """Counts the runs that no kubelet sent, and bounds them."""

    def __init__(
        self,
        book: AddressBook,
        targets: Mapping[str, Target],
        standing: Mapping[str, Standing],
        revisions: dict[int, Connection],
        latest: Latest,
        losses: Losses,
        *,
        brief: bool,
    ) -> None:
        self._book = book
        self._targets = targets
        self._standing = standing
        self._revisions = revisions
        self._latest = latest
        self._losses = losses
        self._brief = brief
        self.held = 0
        """Runs that targets hold."""
        self._most = STRANGERS
        self._shelf = Shelf()
        self._forms: dict[Form, Form] = {}
        """Each form of what is there, once."""
        self._ended: dict[int, Exchange] = {}
        """By id of the connection: what was said on it in all, where its end came after it had been handed on."""
        self._put = 0
        """Runs that are on the shelf, about: some may have been counted as traffic since."""
        self._checks = 0
        """Runs that were checks when that was looked at last."""
        self.let_go = 0
        """Checks counted as traffic because there were too many."""
        self.checks: set[Peer] = set()
        """Who checks whom, of the checkers that are named."""
        self.probed: dict[Peer, set[str]] | None = None
        """Whom kubelets probe, and how their probes say who asks (`manner`); None until that is known."""
        self.traffic = Traffic()

    def add(self, target: Target, run: Run) -> None:
        """Take a run."""
        target.strangers.append(run)
        self.held += 1
        if not self._brief and self.held - self._put > PACKED_AFTER:
            self._pack()

    def revise(self, connection: Connection, read: Callable[[], Exchange]) -> None:
        """Take what became of a connection that was handed on, where it has ended and no kubelet made it."""
        over = connection.final or connection.orig.closed is not None or connection.resp.closed is not None
        if not over or connection.question or self._standing.get(connection.client) is Standing.KUBELET:
            return
        if len(self._ended) >= (MOST_CHECKS // 4 if self._brief else ENDED_LATER):
            del self._ended[next(iter(self._ended))]
        self._ended[connection.id] = self._shelf.put(in_short(read()))

    def settle(self) -> None:
        """Put what was said on connections in all in the place of what was known of them when they were handed on.

        But a dial that nobody had answered then is what the run is: its client had given up when it got through.
        """
        if not self._ended:
            return
        for target in self._targets.values():
            for place, run in enumerate(target.strangers):
                if any(leg.connection.id in self._ended for _, leg in run.legs()):
                    tries = tuple(tuple(map(self._whole, hops)) for hops in run.tries)
                    target.strangers[place] = replace(run, tries=tries)

    def _whole(self, exchange: Exchange) -> Exchange:
        ended = self._ended.pop(exchange.connection.id, None)
        return exchange if ended is None or not exchange.connection.resp.packets else ended

    def _pack(self) -> None:
        """Put all that is held on the shelf."""
        for target in self._targets.values():
            for place, run in enumerate(target.strangers):
                if run.tries and not isinstance(run.tries[0][0], PackedExchange):
                    tries = tuple(tuple(self._shelf.put(one) for one in hops) for hops in run.tries)
                    if len(self._forms) >= FORMS:
                        self._forms.clear()
                    target.strangers[place] = replace(run, tries=tries, form=self._forms.setdefault(run.form, run.form))
        self._put = self.held

    def recount(self) -> None:
        """Count what targets hold anew: lanes have given some back."""
        self.held = sum(len(target.strangers) for target in self._targets.values())

    @property
    def loose(self) -> int:
        """How many of these are held whole and may go, for they were not known as checks when that was looked at last."""
        return max(0, self.held - max(self._put, self._checks))

    @property
    def full(self) -> bool:
        """Whether some must go."""
        return self.held > self._most

    def stray(self, run: Run) -> bool:
        """Tell whether a kubelet or a checker may have sent what no probe explains: a dial that outlived its attempt, a check out of step.

        A node's address also stands for clients whose addresses it translates (a NodePort): for all where it probes nothing,
        and where it probes for those that say who they are as none of its probes does.
        """
        silent = run.form.ask in (Ask.CONNECT, Ask.NOTHING)
        if silent and (run.client, run.server, run.form.port) in self.checks:
            return True
        if self._standing.get(run.client) is not Standing.KUBELET:
            return False
        if run.form.stale or not run.form.kubelet or self.probed is None:
            return run.form.stale or run.form.kubelet
        mine = self.probed.get((run.client, run.server, run.form.port))
        said = manner(run.form)
        return mine is not None and (not said or said in mine)

    def count(self, runs: Iterable[Run], now_ns: int) -> None:
        """Count runs as traffic."""
        for run in runs:
            until_ns = self._losses.seen_until(run.start.ns, now_ns)
            self.traffic.note(run, self._latest, now_ns if until_ns is None else until_ns, client=not self.stray(run))

    def relieve(self, kubelets: frozenset[str], now_ns: int, *, acks: bool = True) -> None:
        """Count what is no check so far as traffic and let it go; keep the latest quarter to look at it again."""
        self.settle()
        held = [run for target in self._targets.values() for run in target.strangers]
        found, kept = so_far(held, skip=kubelets, declared=self._book.checks, acks=acks)
        self.checks |= found
        # (By frame, not by time alone: many may carry one timestamp.)
        self._checks = sum(any(id(leg) in kept for _, leg in run.legs()) for run in held)
        begun = sorted(run.start for run in held)[len(held) * 3 // 4]
        self._part(lambda run: run.start >= begun or any(id(leg) in kept for _, leg in run.legs()), now_ns)
        if not self._brief:
            self._most = max(STRANGERS, 2 * self.held)  # (checks stay: no use in looking again at once)
            return
        if self.held > MOST_CHECKS:
            begun = sorted(run.start for target in self._targets.values() for run in target.strangers)[
                -(MOST_CHECKS * 3 // 4)
            ]
            self.let_go += self._part(lambda run: run.start >= begun, now_ns)
            self._checks = min(self._checks, self.held)
        self._most = max(STRANGERS, min(2 * self.held, max(MOST_CHECKS, self.held + STRANGERS // 2)))

    def _part(self, stays: Callable[[Run], bool], now_ns: int) -> int:
        """Keep the runs that stay, count the others as traffic; return how many these are."""
        before = self.held
        self.held = 0
        for target in self._targets.values():
            stay: list[Run] = []
            go: list[Run] = []
            for run in target.strangers:
                (stay if stays(run) else go).append(run)
            target.strangers = stay
            self.held += len(stay)
            self.count(go, now_ns)
            for run in go:
                for _, leg in run.legs():
                    self._revisions.pop(leg.connection.id, None)
                    self._ended.pop(leg.connection.id, None)
        return before - self.held

    def notes(self) -> list[str]:
        """Say what the limit on checks did."""
        if not self.let_go:
            return []
        said = (
            f"{self.let_go} connections that no kubelet made are counted as traffic, though some may be checks:"
            f" beyond {MOST_CHECKS} the oldest are let go; -o json keeps all"
        )
        return [said]
