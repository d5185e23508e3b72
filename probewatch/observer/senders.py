"""Who sends: what is known of each source, and the runs that wait at their targets until it is known.

A source is a kubelet's, or not, or it is not known yet (`probes.sources`). What it sent meanwhile waits; as soon as it is known the
runs go on as attempts, or to the strangers. Where too many wait it is decided with what there is.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.probes.diagnose import NO_MAC
from probewatch.probes.forms import Ask
from probewatch.probes.runs import Run
from probewatch.probes.sources import OUTGOING, Source, Standing, standing

from .strangers import Strangers
from .target import ASKED, WAITING, Target
from .tying import fitting_runs, on_tick, plausible, ticks

ODD: Final = 5
"""One in so many runs may not look like a kubelet's where all the others are what a manifest declares."""
MOST_UNDECIDED: Final = 6_000
"""Runs of all sources that wait until it is known who sent them; beyond, it is decided for the busiest with what there is."""
MOST_SOURCES: Final = 4_096
"""Sources, and targets, remembered of which nothing is held."""


class Senders:
    """Knows the sources, and sorts what they send."""

    def __init__(
        self,
        book: AddressBook,
        targets: Mapping[str, Target],
        known: dict[str, Standing],
        strangers: Strangers,
        attempt: Callable[[Target, Run], None],
    ) -> None:
        self._book = book
        self._targets = targets
        self._strangers = strangers
        self._attempt = attempt
        self.sources: dict[str, Source] = {}
        self._known = known
        self._kubelets: set[str] = set()
        """Sources that are known to be kubelets."""
        self._machines: dict[tuple[bytes, int], list[str]] = {}
        """Those of each machine, as its link-layer address and TTL show it, in order: there may be very many sources."""
        self._waiting: dict[str, Counter[str]] = {}
        """Source that is not decided -> target -> runs held there."""
        self.undecided = 0
        """How many these are."""
        self._most = MOST_SOURCES

    def standing(self, address: str) -> Standing:
        """Return what is known of a source."""
        return self._known.get(address, Standing.OPEN)

    def kubelets(self) -> frozenset[str]:
        """Return the addresses that are known to be kubelets'."""
        return frozenset(self._kubelets)

    def note(self, run: Run) -> Source:
        """Learn from a run about its source."""
        source = self.sources.get(run.client)
        if source is None:
            source = self.sources[run.client] = Source(run.client)
        before = source.mac, source.ttl
        source.note(run)
        if source.address in self._kubelets and before != (source.mac, source.ttl):
            self._machines[before].remove(source.address)
            self._place(source)
        return source

    def _place(self, source: Source) -> None:
        insort(self._machines.setdefault((source.mac, source.ttl), []), source.address)

    def sort(self, target: Target, run: Run, source: Source) -> bool:
        """Hand a run on as an attempt or a stranger's; return whether it waits instead."""
        if run.form.version and not source.declared and not target.has_kubelet:
            source.declared = any(target.declares(run, pod) == 0.0 for pod in target.declared(run.start.ns))
        known = self.standing(run.client)
        if self.asker(run) != run.client:
            known = Standing.KUBELET
        elif known is Standing.OPEN or (known is Standing.NOT_KUBELET and run.form.version):
            known = self._weigh(source, last_word=False)
        if known is Standing.KUBELET:
            self._attempt(target, run)
            return False
        if known is Standing.NOT_KUBELET:
            self._strangers.add(target, run)
            return False
        held = target.hold(run)
        self._waiting.setdefault(run.client, Counter())[run.server] += 1
        self.undecided += 1
        if held % ASKED == 0:
            self._match_declared(source)
            self._weigh(source, last_word=held >= WAITING)
        if self.undecided > MOST_UNDECIDED:
            self.decide(MOST_UNDECIDED // 2)
        return True

    def asker(self, run: Run) -> str:
        """Return who made a run: its client, or the kubelet of the node whose other address that is.

        That is so where both are one machine; and where a node's loopback interface shows what goes from an address to itself:
        the address is also the node's, and the kubelet gets no further.
        """
        mine = self.sources.get(run.client)
        if mine is None or not run.form.kubelet or self.standing(run.client) is Standing.KUBELET:
            return run.client
        itself = run.client == run.server and mine.mac == NO_MAC
        beside = sorted(self._kubelets) if itself else self._machines.get((mine.mac, mine.ttl), ())
        asks = (self.sources[address] for address in beside)
        here = (
            source.address
            for source in asks
            if run.server in source.targets
            and (source.packet_type == OUTGOING if itself else mine.same_machine(source))
        )
        return next(here, run.client)

    def decide(self, left: int) -> None:
        """Say the last word about the sources that most undecided runs come from, so that no more than so many are left."""
        for address in sorted(self._waiting, key=lambda address: -self._waiting[address].total()):
            self._match_declared(self.sources[address])
            self._weigh(self.sources[address], last_word=True)
            if self.undecided <= left:
                break

    def last_word(self) -> None:
        """Decide about the sources that are still open: a declared probe that matches proves one, else a claim nothing contradicts."""
        for address, source in list(self.sources.items()):
            if self.standing(address) is Standing.OPEN:
                self._match_declared(source)
        for final in (False, True):
            for address, source in list(self.sources.items()):
                if self.standing(address) is Standing.OPEN:
                    self._weigh(source, last_word=final)

    def _weigh(self, source: Source, *, last_word: bool) -> Standing:
        before = self.standing(source.address)
        said = last_word or before is Standing.NOT_KUBELET
        asked = self._waiting.get(source.address, ())
        rivalled = said and bool(asked) and all(self._targets[address].has_kubelet for address in asked)
        known = standing(source, self._book, last_word=said, rivalled=rivalled)
        if known in (Standing.OPEN, before):
            return known
        self._known[source.address] = known
        if known is Standing.KUBELET and source.address not in self._kubelets:
            self._kubelets.add(source.address)
            self._place(source)
        places = self._waiting.pop(source.address, Counter())
        self.undecided -= places.total()
        doubted = before is Standing.NOT_KUBELET
        for target in self._targets.values() if doubted else [self._targets[address] for address in places]:
            runs = target.held(source.address, strangers=doubted)
            if doubted:
                self._strangers.held -= len(runs)
            for run in runs:
                if known is Standing.KUBELET:
                    self._attempt(target, run)
                else:
                    self._strangers.add(target, run)
        return known

    def _match_declared(self, source: Source) -> None:
        for target in [self._targets[server] for server in self._waiting.get(source.address, ())]:
            runs = target.undecided().get(source.address, [])
            # One pod has one kubelet: where it is proven, whoever else connects is somebody else.
            odd = sum(not run.form.kubelet for run in runs)
            if not runs or target.has_kubelet:
                continue
            for pod in target.declared(runs[0].start.ns) or self._book.unplaced:
                fitting, specs = fitting_runs(runs, pod)
                # (A capture that lost frames here and there makes some of them look unlike what they were.)
                if odd > len(runs) // ODD:
                    # Something else on the same machine asks from the same address: then the cadence has to prove it.
                    source.declared = source.declared or on_tick(fitting, specs)
                    continue
                asked = any(run.form.ask is not Ask.NOTHING for run in fitting)
                # (What was refused, or only connects, says no more than its port: anybody may have sent it, but hardly as a ticker does.)
                telling = any(run.form.ask in (Ask.HTTP, Ask.TLS, Ask.GRPC) for run in fitting)
                known = bool(pod.addresses) or telling or ticks(fitting, specs)
                if fitting and known and (asked or len(fitting) + odd == len(runs)) and plausible(fitting, specs):
                    source.declared = True

    def forget(self) -> None:
        """Forget the sources of which nothing is held, where there are many."""
        if len(self.sources) <= MOST_SOURCES:
            return
        held = {run.client for target in self._targets.values() for run in target.strangers}
        for address in [one for one in self.sources if one not in held and one not in self._waiting]:
            if self.standing(address) is not Standing.KUBELET:
                del self.sources[address]
                self._known.pop(address, None)
        # (What is held stays: no use in looking again at once.)
        self._most = max(MOST_SOURCES, len(self.sources) * 5 // 4)

    @property
    def many(self) -> bool:
        """Whether there are so many sources that some may be forgotten."""
        return len(self.sources) > self._most

    def source(self, address: str) -> Source:
        """Return what is known of a source; nothing, where it was one of very many and was forgotten."""
        return self.sources.get(address) or Source(address)
