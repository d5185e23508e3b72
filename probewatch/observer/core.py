"""Frames in, a Timeline out: carries what `wire` finds to the targets, and makes probes of what they found.

This module is over 600 lines because it is where all others meet: it holds their state, and each of them takes a few lines here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection, Unresolved
from probewatch.model.exchange import Exchange
from probewatch.model.frame import CaptureInfo, Interface, Mark
from probewatch.model.process import ProcessEvent
from probewatch.model.spec import PodSpec
from probewatch.model.timeline import Probe, Timeline
from probewatch.probes.inference import MOST_GUESSED
from probewatch.probes.lately import NOBODY
from probewatch.probes.oneway import qualified
from probewatch.probes.runs import Run
from probewatch.probes.scene import Heard
from probewatch.probes.sources import Standing

from .assemble import Assembler
from .checks import RESTARTS, CheckBuilder
from .effects import EffectsBuilder
from .elsewhere import Elsewhere
from .ending import with_ends
from .execs import Execs
from .front import End, Front, Questions, Turn
from .histories import Step
from .keeper import HELD, Keeper
from .kept import joined
from .lacking import Lacking, no_times, timeless, unlooked, untimed
from .ledger import Keep, Ledger
from .losses import Losses
from .others import Peer, periodic
from .overdue import LinkGone, Overdue, Silences
from .preview import Beyond, Glimpse, Preview
from .rollouts import blocked, find_rollouts
from .senders import MOST_SOURCES, Senders
from .settings import Settings
from .strangers import Strangers, manner
from .survey import single, survey
from .target import Context, Placed, Target
from .teller import Change, Teller
from .together import between_files, doubted, explained, merge_events, unseeable
from .tying import Ties
from .unmatched import alike, later_pods, shared_names, unmatched

MOST_WAITING: Final = 8_192
"""Connections of all targets that wait until nothing older at their target is open; beyond, the oldest go on without waiting."""
MOST_UNPLANNED: Final = 6_000
"""Attempts at all targets that wait until their probes are guessed; beyond, those of the targets with the most are guessed from these."""
MOST_FOLLOWED: Final = 10_000
"""Connections kept of an endpoint that is asked about."""
MOST_LINKS: Final = 10_000
"""Interfaces that have gone of which the name is remembered."""
IDLE_NS: Final = 1_000_000_000
"""How long nothing must be said on a connection that is held for nothing."""
MOST_TESTS: Final = 4
"""Tests for duplicates that are remembered of each address."""
MOST_ASKERS: Final = 4_096
"""Addresses of which it is remembered for whom they asked in vain ..."""
MOST_ROUNDS: Final = 64
"""... and so many times of each."""
KEPT_REVISIONS: Final = 200_000
"""Connections whose later revisions are remembered."""
BRIEF_REVISIONS: Final = 8_192
"""The same where attempts are kept in brief; the oldest is forgotten."""


class Observer(Front):
    """Turns frames into probes."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings())
        self.book = self.settings.book
        self._guests: dict[str, list[PodSpec]] = {}
        for pod in self.book.all_pods():
            for host in {spec.host for container in pod.containers for spec in container.probes if spec.host}:
                if host not in pod.addresses:
                    self._guests.setdefault(host, []).append(pod)
        self._targets: dict[str, Target] = {}
        self._losses = Losses()
        """Times of which not everything was captured: between files, and where the kernel lost frames."""
        self._ties = Ties(self.book.unplaced)
        self._busy: dict[str, None] = {}
        """Addresses with something still to be handed on, in the order in which they are told (a set has another in each run)."""
        self._revisions: dict[int, Connection] = {}
        self._appeared: dict[str, int] = {}
        self._recent: dict[str, Elsewhere] = {}
        self._contexts: dict[str, Context] = {}
        """By client, the latest."""
        self._teller = Teller(heard=self.settings.heard, early=self.settings.early)
        self._keep = Keep.STEPS if self.settings.measure else self.settings.keep
        self._keeper = Keeper(self._keep, self._targets, self._teller, self._revisions)
        standing: dict[str, Standing] = {}
        self._strangers = Strangers(
            self.book,
            self._targets,
            standing,
            self._revisions,
            self._latest,
            self._losses,
            brief=self._keep is Keep.BRIEF,
        )
        self._senders = Senders(self.book, self._targets, standing, self._strangers, self._attempt)
        self._preview = Preview()
        self._silences = Silences()
        self._lacking = Lacking()
        self._heard = Heard()
        self._ahead: dict[str, list[Mark]] = {}
        """By address, starts of the complete runs that wait behind what is still open, as of the latest look."""
        self._stirred: dict[str, None] = {}
        """Addresses with attempts that `glimpse` has not shown, in order likewise."""
        self._unplanned = 0
        """Attempts that wait at their targets until it is known which probes to expect."""
        self._most_unplanned = MOST_UNPLANNED
        self._most_held = HELD
        self._proxies: set[str] = set()
        """Sources that run HAProxy, and may pass on what others ask."""
        self._tied: set[int] = set()
        """Declared checks (by id) that fit something."""
        self._guessed: dict[str, None] = {}
        """Addresses of which as many probes were guessed as are at once."""
        self._links_gone: dict[int, LinkGone] = {}
        """Interfaces of this node that have gone, by their index."""
        self._seen_until_ns: int | None = None
        self._followed: dict[int, Connection] = {}
        self._pieces: dict[int, Connection] = {}
        """By the id of the first, the latest piece of a followed connection; those before are joined to the first."""
        self._execs: Execs | None = None
        """Commands run in containers; None while no process event was seen."""

    def meet(self, book: AddressBook) -> None:
        """Know from now on what this book knows: that of before, and who has come or gone at addresses since."""
        for mine, theirs in ((self.book.nodes, book.nodes), (self.book.pods, book.pods)):
            mine.update(theirs)  # type: ignore[arg-type]  # in place: all parts look into the same book
        self._preview.forget_names()

    def meet_host(self, interface: Interface) -> None:
        """Know the addresses of the machine that an interface belongs to, where the capture tells them."""
        if any(link.addresses for link in interface.links):
            self.meet(AddressBook(nodes=self.book.with_own(interface.host, interface.links)))

    def link_gone(self, index: int, name: str, ns: int) -> None:
        """Know that an interface of this node has gone, and when that was seen."""
        if len(self._links_gone) < MOST_LINKS:
            self._links_gone[index] = LinkGone(name, ns)

    def feed_process(self, event: ProcessEvent) -> None:
        """Take a process event, in time order among the frames; `feed` does so with those that are recorded as frames."""
        if self._execs is None:
            self._execs = Execs(self.book)
            for target in self._targets.values():
                target.sees_execs = True
        self._commands(self._execs.feed(event))
        self._now_ns = max(self._now_ns, event.mark.ns)

    def _commands(self, runs: Sequence[Run]) -> None:
        """Queue commands at their targets."""
        for run in runs:
            self._queue(run.server, run)

    def announced(self, address: str, ns: int) -> None:
        """Know that an address announced itself, or asked whether it is another's, for the first time."""
        self._appeared[address] = ns

    def tested(self, address: str, mark: Mark) -> None:
        """Know that an IPv6 address asked whether it is another's."""
        known = (
            self._heard.tentative.setdefault(address, [])
            if len(self._heard.tentative) < MOST_ASKERS
            else self._heard.tentative.get(address)
        )
        if known is not None:
            known[:] = [*known[-MOST_TESTS + 1 :], mark]

    def broken_off(self, last_ns: int) -> None:
        """Know that after this moment nothing was captured: what was open then is cut."""
        self._seen_until_ns = last_ns
        self._losses.begun_ns.append(self._first_ns or last_ns)

    def taken_up(self, last_ns: int, next_ns: int) -> None:
        """Know that nothing was captured between these moments: all states are unknown afterwards."""
        self._seen_until_ns = None
        self._losses.add((last_ns, next_ns), between=True)
        for target in self._targets.values():
            for placed in target.placed:
                placed.lane.interrupt()
                placed.passed = len(self._losses.all)

    def lost(self, begun_ns: int, ended_ns: int, clock: bool = False) -> None:
        """Take notice that frames between these moments were lost, or that the clock was set then.

        To be called once the frames up to then were fed.
        """
        self._losses.add((begun_ns, ended_ns), clock=clock)

    def turn(self, turn: Turn) -> None:
        """Take what frames came to, and hand on what silence completes."""
        now_ns = turn.now_ns
        self._take(turn)
        under_way: dict[str, int] = {}
        if self._execs is not None:
            self._commands(self._execs.advance(now_ns))
            under_way = self._execs.since()
        waiting = sum(len(self._targets[address].queue) for address in self._busy)
        most = None if waiting <= MOST_WAITING else MOST_WAITING // (2 * len(self._busy))
        for address in list(self._busy):
            target = self._targets[address]
            unripe_ns = turn.since(address)
            if address in under_way:
                unripe_ns = min(under_way[address], under_way[address] if unripe_ns is None else unripe_ns)
            runs = target.queue.release(now_ns, unripe_ns, self._patience_ns, most)
            for run in runs:
                self._run(target, run)
            if runs or (self.settings.early and self._more_ahead(target)):
                self._tell(target)
            if target.queue.idle:
                del self._busy[address]
                self._ahead.pop(address, None)
                target.rest()
        if self._keeper.full:
            self._keeper.let_go(self._tell)
            self._strangers.recount()
        if sum(self._held()) > self._most_held and self._keep is not Keep.STEPS:
            self._make_room()

    def followed(self) -> list[Connection]:
        """Return the connections of the followed endpoint, as they are known now."""
        return [self._followed_now(number, connection) for number, connection in self._followed.items()]

    def _followed_now(self, number: int, connection: Connection) -> Connection:
        """Return a followed connection as it is known now, with its latest piece."""
        piece = self._pieces.get(number)
        return self._latest(connection) if piece is None else joined(connection, self._latest(piece))

    def take(self) -> list[Change]:
        """Return what became known since the last call."""
        return self._teller.take()

    def glimpse(self) -> list[Glimpse]:
        """Return a proven kubelet's attempts since the last call as they read now; `take` tells them once that is certain."""
        assembler = Assembler(self.book, self._latest, self._now_ns, self._losses.all, self._losses.within)
        found: list[Glimpse] = []
        if not self.settings.early:
            self._stirred |= {address: None for address in self._busy if self._more_ahead(self._targets[address])}
        for address in self._stirred:
            target = self._targets[address]
            found += self._preview.look(target, assembler, self._senders.sources, self._context, self._beyond(target))
        self._stirred.clear()
        return sorted(found, key=lambda one: one.attempt.start.ns)

    def overdue(self, now_ns: int) -> list[Overdue]:
        """Return which attempts have become overdue, once each; `take` tells those of probes that it told of, until they come."""
        found = []
        lanes = (one for one in self._preview.waiting(self._targets) if one.address not in self._busy)
        heard = {self._context(client).checker: one.latest_ns for client, one in self._recent.items()}
        for one, late in self._silences.look(lanes, now_ns, self._untold, self._losses.all, self._links_gone, heard):
            pods = self.book.pods.get(one.address, ())
            if pods and not self.book.pods_at(one.address, now_ns):
                continue  # its Pod has gone
            lane = one.key[1] if one.number is None else one.number
            known = self._teller.overdue((one.address, lane, late.key[2]), late)
            found.append(replace(late, id=known))
        return found

    def under_way(self, address: str) -> bool:
        """Return whether something goes on at an address that is no attempt yet."""
        return address in self._busy or self._tracker.unripe_since(address) is not None

    def _untold(self, address: str) -> int | None:
        """Return for how long (ns) an attempt at an address may be under way without being told; None where one surely is."""
        if self._tracker.resolving(address):
            return None
        return 0 if self._tracker.unripe_since(address) is None else self._patience_ns

    def _more_ahead(self, target: Target) -> bool:
        """Tell whether more than before is complete at a target and waits behind what is still open."""
        ahead = [run.start for run in target.ahead(self._now_ns)] if len(target.queue) else []
        before, self._ahead[target.address] = self._ahead.get(target.address, []), ahead
        return not set(ahead) <= set(before)

    def _beyond(self, target: Target) -> Beyond:
        """Return what is complete at a target and waits, of kubelets and of whoever says to be one."""
        ahead = target.ahead(self._now_ns) if target.address in self._busy else []
        asked = [(run, self._senders.asker(run)) for run in ahead]
        return Beyond(
            target,
            [
                (run, self._context(asker))
                for run, asker in asked
                if run.execs or run.form.version or self._senders.standing(asker) is Standing.KUBELET
            ],
        )

    def _tell(self, target: Target) -> None:
        introduce = partial(self._introduce, target.address)
        beyond = self._beyond(target) if self.settings.early else Beyond(target)
        if self.settings.early:
            for (address, name), planned, placed in self._preview.lanes(target, self._context, beyond):
                if planned is None:
                    further = beyond.lane(placed, name, planned=False)
                    self._teller.lane(address, name, placed, self._latest, introduce, further)
                else:
                    self._teller.adopt(address, name, planned)
        for number, placed in enumerate(target.placed):
            if target.doubts(placed):
                self._teller.again(target.address, number)
            further = beyond.lane(placed, "", planned=True)
            self._teller.lane(target.address, number, placed, self._latest, introduce, further)
            self._keeper.note(placed)

    def _closed(self, placed: Placed, steps: Sequence[Step]) -> Ledger:
        """Enter the last steps of a lane into its ledger."""
        ledger = placed.ledger
        many = bool(ledger.accounts) and self._keep is Keep.WHOLE
        for step in steps:
            ledger.take(step, self._latest)
        ledger.close(self._latest)
        if many:
            for account in ledger.accounts.values():
                account.attempts.pack()
        return ledger

    def _introduce(self, address: str, placed: Placed) -> dict[int, Probe]:
        """Make a lane's probes from what is to be told of them: who, what and how, before their first attempts are told."""
        told = placed.lane.so_far() if self.settings.early else placed.lane.steps
        steps = [step for step in told if step.reading is not None]
        assembler = Assembler(self.book, self._latest, self._now_ns, self._losses.all, self._losses.within)
        ledger = self._closed(replace(placed, ledger=Ledger(placed.lane.plan, holes=self._losses.all)), steps)
        met = assembler.kubelet(address, placed, ledger, self._senders.source(ledger.asker), proven=True)
        return dict(zip(sorted(ledger.accounts), met, strict=True))

    def _take(self, turn: Turn) -> None:
        """Bring what a turn found to the targets."""
        self._now_ns, self._first_ns = turn.latest_ns, turn.first_ns
        for item in turn.found:
            if isinstance(item, Unresolved):
                self._note_asked(item)
                self._queue(item.server, item)
                continue
            connection = item.connection
            self._note_idle(connection)
            if connection.rev == 1:
                self._lacking.note(connection)
                if self.settings.endpoint is not None:
                    self._follow(connection)
            if isinstance(item, Exchange):
                self._queue(connection.server, item)
            elif isinstance(item, Questions):
                if connection.rev == 1:
                    self._target(connection.server)
                    self._busy[connection.server] = None
                else:
                    self._revise(connection)
                for exchange in item.asked:  # (nothing joins them, and no kubelet keeps a connection)
                    self._run(self._target(connection.server), single(exchange))
            else:
                self._revise(connection)
                queue = self._targets[connection.server].queue if connection.server in self._busy else None
                if queue is None or not queue.revise(connection, item.read):
                    self._strangers.revise(connection, item.read)

    def _note_asked(self, item: Unresolved) -> None:
        """Remember who asked for an address in vain; of each the latest few rounds, and the first."""
        known = (
            self._heard.asked.setdefault(item.client, [])
            if len(self._heard.asked) < MOST_ASKERS
            else self._heard.asked.get(item.client)
        )
        if known is not None and item.resolved is None:
            if len(known) >= MOST_ROUNDS:
                del known[1]
            known.append(item)

    def _note_idle(self, connection: Connection) -> None:
        """Remember a connection that its client held for a while and said nothing on; of each target the first and latest few."""
        orig, resp, idle = connection.orig, connection.resp, self._heard.idle
        if orig.length or resp.length or orig.closed is None or not orig.syns or orig.first_ack is None:
            return
        at = connection.server, connection.server_port
        if orig.closed.ns - connection.start.ns < IDLE_NS or (at not in idle and len(idle) >= MOST_ASKERS):
            return
        known = idle.setdefault(at, [])
        known[:] = [*(one for one in known if one.id != connection.id), connection]
        if len(known) > MOST_ROUNDS:
            del known[1]

    def _queue(self, server: str, item: Exchange | Unresolved | Run) -> None:
        self._busy[server] = None
        self._target(server).queue.take(item)

    def _revise(self, connection: Connection) -> None:
        """Remember what became of a connection that was handed on."""
        revisions = self._revisions
        if self._keep is Keep.BRIEF and len(revisions) >= BRIEF_REVISIONS and connection.id not in revisions:
            del revisions[next(iter(revisions))]
        if connection.id in revisions or len(revisions) < KEPT_REVISIONS:
            revisions[connection.id] = connection

    def _follow(self, connection: Connection) -> None:
        """Keep a connection of the endpoint that is asked about."""
        ends = ((connection.client, connection.client_port), (connection.server, connection.server_port))
        if self.settings.endpoint not in ends:
            return
        root = connection.piece_of
        if root in self._followed:
            self._followed[root] = self._followed_now(root, self._followed[root])
            self._pieces[root] = connection
        elif len(self._followed) < MOST_FOLLOWED:
            self._followed[connection.id] = connection

    def _target(self, address: str) -> Target:
        target = self._targets.get(address)
        if target is None:
            target = self._targets[address] = Target(
                address,
                self.book,
                self._guests.get(address, ()),
                keep=self._keep,
                losses=self._losses,
                ties=self._ties,
            )
            target.first_seen_ns = self._appeared.get(address)
            target.sees_execs = self._execs is not None
        return target

    # Runs.

    def _run(self, target: Target, run: Run) -> None:
        source = self._senders.note(run)
        if run.execs:
            self._attempt(target, run)
            return
        if self._senders.sort(target, run, source):
            self._stirred[target.address] = None
        if self._strangers.full:
            self._strangers.relieve(self._senders.kubelets(), self._now_ns, acks=not self._lacking.acks)
            self._sweep()
        elif self._senders.many:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the targets and sources of which nothing is held, where there are many."""
        if len(self._targets) > MOST_SOURCES:
            for address in [one for one, target in self._targets.items() if target.empty and one not in self._busy]:
                del self._targets[address]
                self._stirred.pop(address, None)
        self._senders.forget()
        for known in (self._recent, self._contexts):
            for address in [one for one in known if one not in self._senders.sources]:
                del known[address]

    def _attempt(self, target: Target, run: Run) -> None:
        self._stirred[target.address] = None
        context = self._context(self._senders.asker(run))
        if self._execs is not None and self._execs.started_near(target.address, run.start.ns):
            context = replace(context, container_started=True)
        before, unplanned = len(target.strangers), target.unplanned
        target.attempt(
            run,
            self._recent.setdefault(run.client, Elsewhere()).before(run.start.ns, (target.address, run.form.port)),
            context,
        )
        self._strangers.held += len(target.strangers) - before
        self._unplanned += target.unplanned - unplanned
        if self._unplanned > self._most_unplanned:
            self._plan(MOST_UNPLANNED // 2)

    def _plan(self, left: int) -> None:
        """Let the targets with the most attempts that wait for a plan make one, so that no more than so many are left."""
        for target in sorted(self._targets.values(), key=lambda target: -target.unplanned):
            before, unplanned = len(target.strangers), target.unplanned
            if self._unplanned <= left or not unplanned:
                break
            target.plan_now()
            self._strangers.held += len(target.strangers) - before
            self._unplanned += target.unplanned - unplanned
        # (Of many targets each may have too few to guess from: no use in looking again at once.)
        self._most_unplanned = max(MOST_UNPLANNED, self._unplanned + MOST_UNPLANNED // 2)

    def _held(self) -> tuple[int, int, int, int]:
        """Return how many runs are held whole that may go: who sent them is not known, or which probes to expect; strangers'; steps."""
        return self._senders.undecided, self._unplanned, self._strangers.loose, self._keeper.held

    def _make_room(self) -> None:
        """Let go of half of the kind of runs of which most are held whole."""
        undecided, unplanned, strangers, steps = self._held()
        most = max(undecided, unplanned, strangers, steps)
        if most == undecided:
            self._senders.decide(undecided // 2)
        elif most == unplanned:
            self._plan(unplanned // 2)
        elif most == strangers:
            self._strangers.relieve(self._senders.kubelets(), self._now_ns, acks=not self._lacking.acks)
            self._sweep()
        else:
            self._keeper.let_go(self._tell, hurry=True)
            self._strangers.recount()
        # (Some only turn from one kind into another, which is the next to go.)
        self._most_held = max(HELD, sum(self._held()) + HELD // 8)

    def _context(self, client: str) -> Context:
        source = self._senders.sources.get(client)
        version = source.version if source is not None else ""
        major, _, minor = version.partition(".")
        number = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
        node = self.book.node(client)
        checker = node.node if node is not None and node.node else client
        made = Context(
            checker=checker, version=number, first_frame_ns=self._first_ns or 0, seen_until_ns=self._seen_until_ns
        )
        known = self._contexts.get(client)
        if known == made:
            return known  # (each target keeps one)
        self._contexts[client] = made
        return made

    # The end.

    def settle(self) -> None:
        """Let everything end as it stands, since no frame comes any more: `finish` begins with it. A second call changes nothing."""
        self._settle(self.end())

    def _settle(self, end: End) -> None:
        self._seen_until_ns = end.turn.latest_ns
        self._take(end.turn)
        if self._execs is not None:
            self._commands(self._execs.finish())
        self._busy.update(dict.fromkeys(self._targets))
        for target in self._targets.values():
            for run in target.queue.drain():
                self._run(target, run)
            target.rest()
        self._senders.last_word()

    def finish(self, captures: Sequence[CaptureInfo] = ()) -> Timeline:
        """Close everything and return the timeline."""
        return self.conclude(self.end(), captures)

    def conclude(self, end: End, captures: Sequence[CaptureInfo] = ()) -> Timeline:
        """Return the timeline, once frames have come to their end."""
        self._settle(end)
        assembler = Assembler(
            self.book, self._latest, self._now_ns, self._losses.all, self._losses.within, self._links_gone
        )
        probes: list[Probe] = []
        kubelets = self._senders.kubelets()
        context = Context(
            first_frame_ns=self._first_ns or 0,
            kubelets=kubelets,
            seen_until_ns=self._seen_until_ns,
            latest=self._latest,
        )
        probed: dict[Peer, set[str]] = {}
        self._strangers.probed = probed
        for target in self._targets.values() if self.book.unplaced else ():
            target.look()
        for target in self._targets.values():
            probes += self._kubelet_probes(target, assembler, context, probed)
        probes += self._check_probes(kubelets, assembler)
        for target in self._targets.values():
            probes += self._unknown_probes(target, assembler, kubelets)
        probes.sort(
            key=lambda probe: (probe.attempts[0].start.ns, probe.target.address, probe.target.port or 0, probe.type)
        )
        probes = [probe if probe.id else replace(probe, id=self._teller.new_id()) for probe in probes]
        told = merge_events(assembler.events)
        if self._execs is not None:
            told = self._execs.with_own(told)
        probes, told = between_files(probes, captures, told)
        probes, told = doubted(probes, told)
        probes, happened = qualified(probes, sorted(told, key=lambda event: event.ns))
        probes = with_ends(probes, happened)
        traffic = self._strangers.traffic
        probes, later = later_pods(self.book, probes, captures)
        probes, shared = shared_names(self.book, probes)
        effects = EffectsBuilder(
            self.book, traffic.clients(), happened, self._now_ns, whole=traffic.whole, losses=self._losses
        )
        probes, findings = effects.apply(explained(probes, happened, captures, self._heard))
        rollouts = find_rollouts(probes, happened, self.book, self._now_ns)
        lacks = [
            *unlooked(captures, self._peeler.udp_ports, fed=end.turn.first_ns is not None),
            *self._lacking.notes(captures, declared=bool(self.book.all_pods())),
        ]
        if untimed(captures):
            # Counts and states all hang on time: what remains is what each attempt asked and was answered.
            lacks.insert(0, no_times(captures))
            probes, happened, rollouts, findings = [timeless(probe) for probe in probes], (), (), []
        timeline = Timeline(
            captures=tuple(captures),
            probes=tuple(probes),
            unseeable=unseeable(self.book, probes),
            others=tuple(traffic.result(self.book, kubelets)),
            events=happened,
            rollouts=rollouts,
            findings=(*blocked(rollouts, probes), *findings),
            notes=(*lacks, *later, *shared, *alike(probes), *self._notes(end, probes)),
            foremost=len(lacks),
            cut_frames=end.cut_frames,
        )
        return self._teller.finish(timeline)

    def _latest(self, connection: Connection) -> Connection:
        return connection if connection.question else self._revised(connection)

    def _revised(self, connection: Connection) -> Connection:
        """Return what is known now of a connection, or of that on which a question was asked."""
        return self._revisions.get(connection.id, connection)

    def _kubelet_probes(
        self, target: Target, assembler: Assembler, context: Context, probed: dict[Peer, set[str]]
    ) -> list[Probe]:
        """Build the probes of kubelets, and note in `probed` from where and where to they are, and how they say who asks."""
        out: list[Probe] = []
        for number, (placed, steps) in enumerate(target.finish(context)):
            ledger = self._closed(placed, steps)
            if len(placed.guesses) >= MOST_GUESSED:
                self._guessed[target.address] = None
            if ledger.clients:
                if self.settings.early:
                    self._teller.adopt(*self._preview.name(target.address, number, placed, {}), number)
                source = self._senders.source(ledger.asker)
                ids = [self._teller.id_of((target.address, number, worker)) for worker in range(len(placed.lane.plan))]
                made = assembler.kubelet(target.address, placed, ledger, source, proven=True, ids=ids)
                out += self._measured(made, placed, target.first_seen_ns)
                for account in ledger.accounts.values():
                    forms = [run.form for run in (account.first, account.spoken) if run is not None]
                    for peer in ((client, target.address, form.port) for client in ledger.clients for form in forms):
                        probed.setdefault(peer, set()).update(map(manner, forms))
        for placed, steps in target.command_lanes(context):
            ledger = self._closed(placed, steps)
            if ledger.clients:
                made = assembler.kubelet(target.address, placed, ledger, self._senders.sources[""], proven=False)
                out += self._measured(made, placed, target.first_seen_ns)
        target.close()
        return out

    def _measured(self, probes: list[Probe], placed: Placed, appeared_ns: int | None) -> list[Probe]:
        """Add to a lane's probes, in the order of their workers, what the packets allow their fields to be."""
        if not self.settings.measure:
            return probes
        from .measures import measures  # (only where it is asked for)

        hole = self._losses.all[0][0] if self._losses.all else None
        known = measures(placed, appeared_ns, hole, self._now_ns, self._latest)
        workers = sorted(placed.ledger.accounts)
        return [replace(probe, measures=known.get(worker, ())) for worker, probe in zip(workers, probes, strict=True)]

    def _check_probes(self, kubelets: frozenset[str], assembler: Assembler) -> list[Probe]:
        """Build the probes of checkers that a signature names; the rest stays with the targets' strangers."""
        self._strangers.settle()
        strangers = (run for target in self._targets.values() for run in target.strangers)
        named, left = survey(strangers, skip=kubelets, declared=self.book.checks, acks=not self._lacking.acks)
        for target in self._targets.values():
            target.strangers = []
        self._proxies = {one.client for one in named if one.kind == RESTARTS}
        for run in left:
            self._targets[run.server].strangers.append(run)
        self._strangers.checks = {(one.client, one.server, one.port) for one in named if one.kind != "unknown"}
        builder = CheckBuilder(
            self.book, self._latest, self._first_ns or 0, self._now_ns, self._losses.all, self._revised
        )
        out = builder.probes(named)
        assembler.events += builder.events
        self._tied |= builder.tied
        return out

    def _unknown_probes(self, target: Target, assembler: Assembler, kubelets: frozenset[str]) -> list[Probe]:
        """Build probes of checkers that nothing names; a kubelet-like form is read as a kubelet would act, without calling it one."""
        series, rest = periodic(target.strangers, kubelets, self._proxies)
        self._strangers.count(rest, self._now_ns)
        out: list[Probe] = []
        by_client: dict[str, list[Run]] = {}
        for one in series:
            if (
                all(run.form.kubelet for run in one.runs)
                and self._senders.standing(one.client) is not Standing.KUBELET
                and not self._is_pod(one.client)
            ):
                by_client.setdefault(one.client, []).extend(one.runs)
            else:
                out.append(assembler.unknown(one, self._senders.source(one.client)))
        told = len(assembler.events)
        for client, runs in by_client.items():
            lone = Target(target.address, AddressBook(), proven=False)
            lone.first_seen_ns = target.first_seen_ns
            for run in sorted(runs, key=lambda run: run.start.ns):
                lone.attempt(run, NOBODY, self._context(client))
            lanes = lone.finish(Context(first_frame_ns=self._first_ns or 0, seen_until_ns=self._seen_until_ns))
            self._strangers.count(lone.strangers, self._now_ns)  # (no probe explains them)
            for placed, steps in lanes:
                if len(placed.guesses) >= MOST_GUESSED:
                    self._guessed[target.address] = None
                if steps:
                    ledger = self._closed(placed, steps)
                    made = assembler.kubelet(target.address, placed, ledger, self._senders.source(client), proven=False)
                    out += self._measured(made, placed, target.first_seen_ns)
        if target.has_kubelet:
            # One Pod has one kubelet: what its containers did is read from that one's attempts, not from a stranger's.
            del assembler.events[told:]
        return out

    def _is_pod(self, address: str) -> bool:
        first_ns = self._senders.sources[address].first_ns
        return any(not pod.host_network for pod in self.book.pods_at(address, first_ns))

    def _notes(self, end: End, probes: Sequence[Probe]) -> list[str]:
        out = [*self.book.notes, *(self._execs.notes() if self._execs is not None else ()), *end.key_notes]
        out += self._strangers.notes()
        out += [
            f"{address} was asked for very many different things: no more than {MOST_GUESSED} at once are taken for probes, "
            "those that were asked for most; the others are counted as traffic"
            for address in self._guessed
        ]
        out += self._unsent(end)
        out += end.undecoded
        return [*out, *unmatched(self.book, probes, self._tied, self._unseen)]

    def _unsent(self, end: End) -> Iterator[str]:
        """Say of SYNs that never left where no address request tells of them, which would make them attempts."""
        for client, server, port, number in end.unsent:
            if all(one.server != server for one in self._heard.asked.get(client, ())):
                yield (
                    f"{number} SYN{'s' if number > 1 else ''} of {client} to {server}:{port} never left: its kernel gave "
                    f"{'them' if number > 1 else 'it'} up (ICMP host unreachable, to itself), for nobody answers for that address on the "
                    f"link; attempts that are missing there failed so (ip neigh show {server})"
                )

    @property
    def _unseen(self) -> str:
        """Why an exec probe was not seen."""
        if self._execs is None:
            return "it runs inside the container and sends no packet"
        return "it sends no packet, and none of the process events here is a run of its command"
