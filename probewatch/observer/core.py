"""Frames in, a Timeline out: carries what `wire` finds to the targets, and makes probes of what they found."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection, Unresolved
from probewatch.model.exchange import Exchange
from probewatch.model.frame import JOURNAL_ENTRY, Batch, CaptureInfo, Frame, Interface
from probewatch.model.journal import process_event
from probewatch.model.process import ProcessEvent
from probewatch.model.spec import PodSpec
from probewatch.model.timeline import Probe, Timeline
from probewatch.probes.cadence import SECOND
from probewatch.probes.runs import Run
from probewatch.probes.sources import Standing
from probewatch.wire.exchange import read_exchange
from probewatch.wire.packets import IcmpError, Neighbour, Segment, Undecoded
from probewatch.wire.peel import Peeler
from probewatch.wire.table import Limits
from probewatch.wire.tcp import Tracker

from .assemble import Assembler
from .checks import CheckBuilder
from .effects import EffectsBuilder
from .execs import Execs
from .keeper import Keeper
from .kept import KeptConnections
from .lane import Step
from .ledger import Keep, Ledger
from .losses import Losses
from .others import periodic
from .preview import Glimpse, Preview
from .rollouts import blocked, find_rollouts
from .senders import MOST_SOURCES, Senders
from .settings import Settings
from .slim import slim, slim_exchange
from .strangers import Strangers
from .survey import single, survey
from .target import Context, Placed, Target
from .teller import Change, Teller
from .tls import Sessions
from .together import explained, merge_events, unmatched

if TYPE_CHECKING:
    from probewatch.wire.decrypt import Keylog
    from probewatch.wire.fastpath import FastPath

DEFAULT_TIMEOUT_S: Final = 30
"""How long an unfinished connection is waited for where no spec says how patient its checker is."""
TURN_NS: Final = 100_000_000
"""Packet time between two looks at what has become complete."""
HOLE_NS: Final = 60 * SECOND
"""A new file that begins this long after everything before is another piece of time, not the next of a rotated set."""
MOST_WAITING: Final = 8_192
"""Connections of all targets that wait until nothing older at their target is open; beyond, the oldest go on without waiting."""
MOST_UNPLANNED: Final = 6_000
"""Attempts at all targets that wait until their probes are guessed; beyond, those of the targets with the most are guessed from these."""
KEPT_ADDRESSES: Final = 65_536
"""Addresses whose first announcement is remembered."""
RECENT: Final = 32
"""Starts of a checker's attempts kept to tell a kubelet's silence from a pod's."""
MOST_FOLLOWED: Final = 10_000
"""Connections kept of an endpoint that is asked about."""
KEPT_REVISIONS: Final = 200_000
"""Connections whose later revisions are remembered."""
BRIEF_REVISIONS: Final = 8_192
"""The same where attempts are kept in brief; the oldest is forgotten."""


class Observer:
    """Turns frames into probes."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.book = self.settings.book
        self._peeler = Peeler()
        self._guests: dict[str, list[PodSpec]] = {}
        for pod in self.book.all_pods():
            for host in {spec.host for container in pod.containers for spec in container.probes if spec.host}:
                if host not in pod.addresses:
                    self._guests.setdefault(host, []).append(pod)
        timeouts = [
            spec.timeout_s for pod in self.book.all_pods() for container in pod.containers for spec in container.probes
        ]
        ripe_ns = (max(timeouts, default=DEFAULT_TIMEOUT_S) + 1) * SECOND
        self._patience_ns = ripe_ns + SECOND
        self._tracker = Tracker(Limits(ripe_age_ns=ripe_ns))
        self._fast: FastPath | None = None
        self._kept = KeptConnections(self._tracker)
        self._targets: dict[str, Target] = {}
        self._files: set[int] = set()
        self._holes: list[tuple[int, int]] = []
        """Times of which not everything was captured: between files, and where the kernel lost frames."""
        self._losses = Losses()
        self._busy: set[str] = set()
        """Addresses with something still to be handed on."""
        self._revisions: dict[int, Connection] = {}
        self._appeared: dict[str, int] = {}
        self._recent: dict[str, deque[int]] = {}
        self._undecoded: dict[str, int] = {}
        self._teller = Teller(heard=self.settings.heard)
        self._keep = Keep.STEPS if self.settings.measure else self.settings.keep
        self._keeper = Keeper(self._keep, self._targets, self._teller, self._revisions)
        standing: dict[str, Standing] = {}
        self._strangers = Strangers(
            self.book, self._targets, standing, self._revisions, self._latest, brief=self._keep is Keep.BRIEF
        )
        self._senders = Senders(self.book, self._targets, standing, self._strangers, self._attempt)
        self._preview = Preview()
        self._stirred: set[str] = set()
        """Addresses with attempts that `glimpse` has not shown."""
        self._unplanned = 0
        """Attempts that wait at their targets until it is known which probes to expect."""
        self._most_unplanned = MOST_UNPLANNED
        self._tied: set[int] = set()
        """Declared checks (by id) that fit something."""
        self._turn_ns = 0
        self._now_ns = 0
        self._first_ns: int | None = None
        self._seen_until_ns: int | None = None
        self._keys: Keylog | None = None
        self._sessions = Sessions()
        self._carried = False
        self._followed: dict[int, Connection] = {}
        self._execs: Execs | None = None
        """Commands run in containers; None while no process event was seen."""
        if self.settings.keylog is not None:
            self.add_secrets(self.settings.keylog, carried=False)

    def add_secrets(self, text: bytes, *, carried: bool = True) -> None:
        """Take a key log, as a pcapng may carry one between its frames (`carried`): it opens what is read from now on."""
        from probewatch.wire.decrypt import Keylog  # (needs an extra, and only here)

        self._carried = self._carried or carried
        self._keys = self._keys or Keylog()
        self._keys.add(text)

    def meet(self, book: AddressBook) -> None:
        """Know from now on what this book knows: that of before, and who has come or gone at addresses since."""
        for mine, theirs in ((self.book.nodes, book.nodes), (self.book.pods, book.pods)):
            mine.update(theirs)  # type: ignore[arg-type]  # in place: all parts look into the same book
        self._preview.forget_names()

    def meet_host(self, interface: Interface) -> None:
        """Know the addresses of the machine that an interface belongs to, where the capture tells them."""
        if any(link.addresses for link in interface.links):
            self.meet(AddressBook(nodes=self.book.with_own(interface.host, interface.links)))

    def begin(self, ns: int) -> None:
        """Know that everything was captured from this moment on, although the first frame comes later."""
        self._first_ns = ns if self._first_ns is None else min(self._first_ns, ns)

    # Frames.

    def feed(self, frame: Frame) -> None:
        """Take the next frame, in time order."""
        packet = self._peeler.peel(frame)
        if isinstance(packet, Segment):
            self._tracker.segment(packet)
        elif isinstance(packet, Neighbour):
            self._neighbour(packet)
        elif isinstance(packet, IcmpError):
            self._tracker.icmp(packet)
        elif frame.link_type == JOURNAL_ENTRY:
            event = process_event(frame)
            if event is not None:
                self.feed_process(event)
        elif isinstance(packet, Undecoded):
            what = f"{packet.layer}: {packet.reason}"
            if what in self._undecoded or len(self._undecoded) < 32:
                self._undecoded[what] = self._undecoded.get(what, 0) + 1
        ns = frame.ns
        if frame.file not in self._files:
            self._files.add(frame.file)
            if len(self._files) > 1 and ns - self._now_ns > HOLE_NS:
                self._interrupt(self._now_ns, ns)
        if self._first_ns is None or ns < self._first_ns:
            self._first_ns = ns
        self._now_ns = max(self._now_ns, ns)
        if ns >= self._turn_ns or ns < self._turn_ns - 2 * TURN_NS or self._tracker.crowded:
            self.advance(ns)

    def skim(self, batch: Batch) -> None:
        """Take the next frames, decoding only those that tell something new: the same comes of it as of `feed`."""
        if self._fast is None:
            from probewatch.wire.fastpath import FastPath  # (imports numpy, which only large captures need)

            self._fast = FastPath(self._tracker)
        fast, feed = self._fast, self.feed
        fast.until = self._turn_ns
        for item in fast.through(batch):
            if isinstance(item, int):
                self.advance(item)
            else:
                self._now_ns = max(self._now_ns, fast.passed_ns)
                feed(item)
            fast.until = self._turn_ns
        self._now_ns = max(self._now_ns, batch.last_ns)

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
            self._target(run.server).queue.take(run)
            self._busy.add(run.server)

    def _interrupt(self, last_ns: int, next_ns: int) -> None:
        """Between two files nothing was captured: what was open then is cut, and all states are unknown afterwards."""
        self._seen_until_ns = last_ns
        self.advance(next_ns)
        self._seen_until_ns = None
        for target in self._targets.values():
            for placed in target.placed:
                placed.lane.interrupt()
        self._first_ns = next_ns
        self._holes.append((last_ns, next_ns))

    def lost(self, begun_ns: int, ended_ns: int) -> None:
        """Take notice that frames between these moments were lost; to be called once the frames up to then were fed."""
        whole, before = self._losses.add((begun_ns, ended_ns))
        if before is None:
            self._holes.append(whole)
        else:
            self._holes[self._holes.index(before)] = whole

    def _neighbour(self, message: Neighbour) -> None:
        self._tracker.neighbour(message)
        # Only what a new address does by itself counts: probing for a duplicate, or announcing itself. Routine
        # resolution does not.
        announces = message.asker in ("", "0.0.0.0", "::", message.target)  # noqa: S104
        if announces and message.target not in self._appeared and len(self._appeared) < KEPT_ADDRESSES:
            self._appeared[message.target] = message.mark.ns

    def advance(self, now_ns: int) -> None:
        """Let time pass: hand on what silence completes."""
        self._turn_ns = now_ns + TURN_NS
        self._now_ns = max(self._now_ns, now_ns)
        self._tracker.advance(now_ns)
        self._collect(self._tracker.take())
        under_way: dict[str, int] = {}
        if self._execs is not None:
            self._commands(self._execs.advance(now_ns))
            under_way = self._execs.since()
        waiting = sum(len(self._targets[address].queue) for address in self._busy)
        most = None if waiting <= MOST_WAITING else MOST_WAITING // (2 * len(self._busy))
        for address in list(self._busy):
            target = self._targets[address]
            unripe_ns = self._tracker.unripe_since(address)
            if address in under_way:
                unripe_ns = min(under_way[address], under_way[address] if unripe_ns is None else unripe_ns)
            runs = target.queue.release(now_ns, unripe_ns, self._patience_ns, most)
            for run in runs:
                self._run(target, run)
            if runs:
                self._tell(target)
            if target.queue.idle:
                self._busy.discard(address)
        if self._keeper.full:
            self._keeper.let_go(self._tell)
            self._strangers.recount()

    def followed(self) -> list[Connection]:
        """Return the connections of the followed endpoint, as they are known now."""
        return [self._latest(connection) for connection in self._followed.values()]

    def take(self) -> list[Change]:
        """Return what became known since the last call."""
        return self._teller.take()

    def glimpse(self) -> list[Glimpse]:
        """Return a proven kubelet's attempts since the last call as they read now; `take` tells them once that is certain."""
        assembler = Assembler(self.book, self._latest, self._now_ns, self._holes, self._losses.all)
        found: list[Glimpse] = []
        for address in self._stirred:
            found += self._preview.look(self._targets[address], assembler, self._senders.sources, self._context)
        self._stirred.clear()
        return sorted(found, key=lambda one: one.attempt.start.ns)

    def _tell(self, target: Target) -> None:
        for number, placed in enumerate(target.placed):
            self._teller.lane(target.address, number, placed, self._latest, partial(self._introduce, target.address))
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
        """Make a lane's probes from what is settled of them: who, what and how, before their first attempts are told."""
        steps = [step for step in placed.lane.steps if step.reading is not None]
        assembler = Assembler(self.book, self._latest, self._now_ns, self._holes, self._losses.all)
        ledger = self._closed(replace(placed, ledger=Ledger(placed.lane.plan, holes=self._holes)), steps)
        met = assembler.kubelet(address, placed, ledger, self._senders.sources[ledger.asker], proven=True)
        return dict(zip(sorted(ledger.accounts), met, strict=True))

    def _collect(self, items: Sequence[Connection | Unresolved]) -> None:
        for item in items:
            if isinstance(item, Connection) and item.rev > 1:
                asked = self._kept.more(item, self._keys)
                if asked is not None:
                    self._ask(item.server, asked)
                    continue
                self._revise(item)
                target = self._targets.get(item.server)
                if target is not None:
                    target.queue.revise(item, self._read)
                continue
            if self.settings.endpoint is not None and isinstance(item, Connection):
                self._follow(item)
            target = self._target(item.server)
            self._busy.add(item.server)
            if isinstance(item, Unresolved):
                target.queue.take(item)
            else:
                exchange = self._read(item)
                if self._keys is not None:
                    self._sessions.note(exchange)
                asked = self._kept.begin(item, exchange, self._keys)
                if asked is None:
                    target.queue.take(exchange)
                else:
                    self._ask(item.server, asked)

    def _ask(self, server: str, asked: Sequence[Exchange]) -> None:
        """Hand on the questions of a kept connection: nothing joins them, and no kubelet keeps one."""
        for exchange in asked:
            self._run(self._target(server), single(exchange))

    def _revise(self, connection: Connection) -> None:
        """Remember what became of a connection that was handed on."""
        revisions = self._revisions
        if self._keep is Keep.BRIEF and len(revisions) >= BRIEF_REVISIONS and connection.id not in revisions:
            del revisions[next(iter(revisions))]
        if connection.id in revisions or len(revisions) < KEPT_REVISIONS:
            revisions[connection.id] = slim(connection)

    def _follow(self, connection: Connection) -> None:
        """Keep a connection of the endpoint that is asked about."""
        ends = ((connection.client, connection.client_port), (connection.server, connection.server_port))
        if self.settings.endpoint in ends and len(self._followed) < MOST_FOLLOWED:
            self._followed[connection.id] = slim(connection)

    def _target(self, address: str) -> Target:
        target = self._targets.get(address)
        if target is None:
            target = self._targets[address] = Target(
                address,
                self.book,
                self._guests.get(address, ()),
                keep=self._keep,
                holes=self._holes,
                losses=self._losses,
            )
            target.first_seen_ns = self._appeared.get(address)
            target.sees_execs = self._execs is not None
        return target

    def _read(self, connection: Connection) -> Exchange:
        """Read what was said, and let go of the bytes: nobody above needs them."""
        return slim_exchange(read_exchange(connection, self._keys))

    # Runs.

    def _run(self, target: Target, run: Run) -> None:
        source = self._senders.note(run)
        if run.execs:
            self._attempt(target, run)
            return
        if self._senders.sort(target, run, source):
            self._stirred.add(target.address)
        if self._strangers.full:
            self._strangers.relieve(self._senders.kubelets(), self._now_ns)
            self._sweep()

    def _sweep(self) -> None:
        """Forget the targets and sources of which nothing is held, where there are many."""
        if len(self._targets) > MOST_SOURCES:
            for address in [one for one, target in self._targets.items() if target.empty and one not in self._busy]:
                del self._targets[address]
                self._stirred.discard(address)
        self._senders.forget()

    def _attempt(self, target: Target, run: Run) -> None:
        self._stirred.add(target.address)
        context = self._context(self._senders.asker(run))
        if self._execs is not None and self._execs.started_near(target.address, run.start.ns):
            context = replace(context, container_started=True)
        before, unplanned = len(target.strangers), target.unplanned
        target.attempt(run, self._elsewhere(run), context)
        self._strangers.held += len(target.strangers) - before
        self._unplanned += target.unplanned - unplanned
        if self._unplanned > self._most_unplanned:
            self._plan()

    def _plan(self) -> None:
        """Let the targets with the most attempts that wait for a plan make one, so that half as many are left."""
        for target in sorted(self._targets.values(), key=lambda target: -target.unplanned):
            before, unplanned = len(target.strangers), target.unplanned
            if self._unplanned <= MOST_UNPLANNED // 2 or not unplanned:
                break
            target.plan_now()
            self._strangers.held += len(target.strangers) - before
            self._unplanned += target.unplanned - unplanned
        # (Of many targets each may have too few to guess from: no use in looking again at once.)
        self._most_unplanned = max(MOST_UNPLANNED, self._unplanned + MOST_UNPLANNED // 2)

    def _elsewhere(self, run: Run) -> tuple[int, ...]:
        """Return the starts of a checker's latest attempts at anybody, before this one."""
        recent = self._recent.setdefault(run.client, deque(maxlen=RECENT))
        before = tuple(recent)
        recent.append(run.start.ns)
        return before

    def _context(self, client: str) -> Context:
        source = self._senders.sources.get(client)
        version = source.version if source is not None else ""
        major, _, minor = version.partition(".")
        number = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
        node = self.book.node(client)
        checker = node.node if node is not None and node.node else client
        return Context(
            checker=checker, version=number, first_frame_ns=self._first_ns or 0, seen_until_ns=self._seen_until_ns
        )

    # The end.

    def settle(self) -> None:
        """Let everything end as it stands, since no frame comes any more: `finish` begins with it. A second call changes nothing."""
        self._seen_until_ns = self._now_ns
        self._collect(self._tracker.finish())
        if self._execs is not None:
            self._commands(self._execs.finish())
        self._busy.update(self._targets)
        for target in self._targets.values():
            for run in target.queue.drain():
                self._run(target, run)
        self._senders.last_word()

    def finish(self, captures: Sequence[CaptureInfo] = ()) -> Timeline:
        """Close everything and return the timeline."""
        self.settle()
        assembler = Assembler(self.book, self._latest, self._now_ns, self._holes, self._losses.all)
        probes: list[Probe] = []
        kubelets = self._senders.kubelets()
        context = Context(first_frame_ns=self._first_ns or 0, kubelets=kubelets, seen_until_ns=self._seen_until_ns)
        for target in self._targets.values():
            probes += self._kubelet_probes(target, assembler, context)
        probes += self._check_probes(kubelets)
        for target in self._targets.values():
            probes += self._unknown_probes(target, assembler)
        probes.sort(
            key=lambda probe: (probe.attempts[0].start.ns, probe.target.address, probe.target.port or 0, probe.type)
        )
        probes = [probe if probe.id else replace(probe, id=self._teller.new_id()) for probe in probes]
        told = merge_events(assembler.events)
        if self._execs is not None:
            told = self._execs.with_own(told)
        happened = tuple(sorted(told, key=lambda event: event.ns))
        traffic = self._strangers.traffic
        effects = EffectsBuilder(self.book, traffic.clients(), happened, self._now_ns, whole=traffic.whole)
        probes, findings = effects.apply(explained(probes, happened, captures))
        rollouts = find_rollouts(probes, happened, self.book, self._now_ns)
        timeline = Timeline(
            captures=tuple(captures),
            probes=tuple(probes),
            others=tuple(traffic.result(self.book)),
            events=happened,
            rollouts=rollouts,
            findings=(*blocked(rollouts, probes), *findings),
            notes=tuple(self._notes(probes)),
        )
        return self._teller.finish(timeline)

    def _latest(self, connection: Connection) -> Connection:
        return connection if connection.question else self._revisions.get(connection.id, connection)

    def _kubelet_probes(self, target: Target, assembler: Assembler, context: Context) -> list[Probe]:
        out: list[Probe] = []
        for number, (placed, steps) in enumerate(target.finish(context)):
            ledger = self._closed(placed, steps)
            if ledger.clients:
                source = self._senders.sources[ledger.asker]
                ids = [self._teller.id_of((target.address, number, worker)) for worker in range(len(placed.lane.plan))]
                made = assembler.kubelet(target.address, placed, ledger, source, proven=True, ids=ids)
                out += self._measured(made, placed, target.first_seen_ns)
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

        hole = self._holes[0][0] if self._holes else None
        known = measures(placed, appeared_ns, hole, self._now_ns)
        workers = sorted(placed.ledger.accounts)
        return [replace(probe, measures=known.get(worker, ())) for worker, probe in zip(workers, probes, strict=True)]

    def _check_probes(self, kubelets: frozenset[str]) -> list[Probe]:
        """Build the probes of checkers that a signature names; the rest stays with the targets' strangers."""
        strangers = [run for target in self._targets.values() for run in target.strangers]
        named, left = survey(strangers, skip=kubelets, declared=self.book.checks)
        for target in self._targets.values():
            target.strangers = []
        for run in left:
            self._targets[run.server].strangers.append(run)
        self._strangers.checks = {(one.client, one.server, one.port) for one in named if one.kind != "unknown"}
        builder = CheckBuilder(self.book, self._latest, self._first_ns or 0, self._now_ns)
        out = [builder.probe(one) for one in named]
        self._tied |= builder.tied
        return out

    def _unknown_probes(self, target: Target, assembler: Assembler) -> list[Probe]:
        """Build probes of checkers that nothing names; a kubelet-like form is read as a kubelet would act, without calling it one."""
        series, rest = periodic(target.strangers)
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
                out.append(assembler.unknown(one, self._senders.sources[one.client]))
        told = len(assembler.events)
        for client, runs in by_client.items():
            lone = Target(target.address, AddressBook(), proven=False)
            lone.first_seen_ns = target.first_seen_ns
            for run in sorted(runs, key=lambda run: run.start.ns):
                lone.attempt(run, (), self._context(client))
            for placed, steps in lone.finish(
                Context(first_frame_ns=self._first_ns or 0, seen_until_ns=self._seen_until_ns)
            ):
                if steps:
                    ledger = self._closed(placed, steps)
                    made = assembler.kubelet(
                        target.address, placed, ledger, self._senders.sources[client], proven=False
                    )
                    out += self._measured(made, placed, target.first_seen_ns)
        if target.has_kubelet:
            # One Pod has one kubelet: what its containers did is read from that one's attempts, not from a stranger's.
            del assembler.events[told:]
        return out

    def _is_pod(self, address: str) -> bool:
        first_ns = self._senders.sources[address].first_ns
        return any(not pod.host_network for pod in self.book.pods_at(address, first_ns))

    def _key_notes(self, keys: Keylog) -> list[str]:
        """Say what the keys that were given could not do."""
        from probewatch.wire.decrypt import available

        log = "the key log" if not self._carried else "the key log in the capture"
        if self._carried and self.settings.keylog is not None:
            log = "the key log, with that in the capture,"
        return [*keys.notes, *(self._sessions.said(log, len(keys.secrets)) if available() else ())]

    def _notes(self, probes: Sequence[Probe]) -> list[str]:
        out = [*self.book.notes, *(self._execs.notes() if self._execs is not None else ())]
        if self._keys is not None:
            out += self._key_notes(self._keys)
        out += self._strangers.notes()
        for what, count in self._undecoded.items():
            out.append(f"{count} frame{'s' if count > 1 else ''} not decoded ({what})")
        return [*out, *unmatched(self.book, probes, self._tied, self._unseen)]

    @property
    def _unseen(self) -> str:
        """Why an exec probe was not seen."""
        if self._execs is None:
            return "it runs inside the container and sends no packet"
        return "it sends no packet, and none of the process events here is a run of its command"
