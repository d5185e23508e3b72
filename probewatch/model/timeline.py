"""The nouns of the output: attempts, probes, decisions, events and the timeline that holds them (docs/design.md, sections 2 and 6).

Times are integer nanoseconds since 1970 UTC, or None where unknown; `report` turns them into text.

This module is over 600 lines because a timeline is one value: its nouns name each other, and most lines say what a field means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from .check import CheckSpec
from .connection import Connection, Unresolved
from .diagnosis import Diagnosis
from .direct import direct
from .finding import Finding
from .frame import CaptureInfo, Mark
from .measure import Measure
from .path import Placed
from .process import ExecRun
from .rollout import Rollout
from .said import Account, Utterance
from .spec import Handler, ProbeSpec, ProbeType
from .units import SECOND


class Outcome(StrEnum):
    """Of an attempt, as the kubelet would count it."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARDED = "discarded"
    """The prober returned an error: the kubelet throws the result away (prober.go runProbeWithRetries)."""
    INCONCLUSIVE = "inconclusive"
    """The evidence is missing."""


class Cause(StrEnum):
    """Why an attempt ended so: the closed catalogue of docs/design.md, section 7."""

    OK = "ok"
    OK_REDIRECT = "ok-redirect"
    STATUS = "status"
    SLOW_ANSWER = "slow-answer"
    CLIENT_LATE = "client-late"
    BODY_BROKEN = "body-broken"
    REFUSED = "refused"
    NO_SYN_ANSWER = "no-syn-answer"
    UNREACHABLE = "unreachable"
    NEIGHBOUR_UNRESOLVED = "neighbour-unresolved"
    RESET_BEFORE_ANSWER = "reset-before-answer"
    CLOSED_BEFORE_ANSWER = "closed-before-answer"
    MALFORMED_ANSWER = "malformed-answer"
    REDIRECT_LIMIT = "redirect-limit"
    PLAIN_HTTP_ON_TLS = "plain-http-on-tls"
    TLS_ON_PLAIN_HTTP = "tls-on-plain-http"
    TLS_ALERT = "tls-alert"
    TLS_FAILED = "tls-failed"
    GRPC_NOT_SERVING = "grpc-not-serving"
    GRPC_STATUS = "grpc-status"
    GRPC_CONNECT = "grpc-connect"
    EXEC_EXIT = "exec-exit"
    EXEC_TIMEOUT = "exec-timeout"
    EXEC_NOT_FOUND = "exec-not-found"
    ENCRYPTED = "encrypted"
    CUT = "cut"


class Role(StrEnum):
    """Of a connection within its attempt."""

    FIRST = "first"
    RETRY = "retry"
    REDIRECT = "redirect"
    REDIAL = "redial"


_TRIES = (Role.FIRST, Role.RETRY)


class Trigger(StrEnum):
    """What made the kubelet's worker run (worker.go run): its ticker, a manual trigger, its start, a tick stored while it was busy."""

    TICK = "tick"
    MANUAL = "manual"
    START = "start"
    STORED_TICK = "stored-tick"
    UNKNOWN = "unknown"


class Schedule(StrEnum):
    """How an attempt's start compares with its probe's grid."""

    ON_TIME = "on-time"
    LATE = "late"
    EXTRA = "extra"


class DecisionKind(StrEnum):
    """A threshold reached."""

    READY = "ready"
    NOT_READY = "not_ready"
    STARTED = "started"
    RESTART = "restart"
    UP = "up"
    DOWN = "down"


class EventKind(StrEnum):
    """What else happened, that explains probes."""

    CONTAINER_STARTED = "container_started"
    CONTAINER_EXITED = "container_exited"
    KUBELET_STOPPED = "kubelet_stopped"
    KUBELET_RESTARTED = "kubelet_restarted"
    CHECKER_RESTARTED = "checker_restarted"
    POD_TERMINATING = "pod_terminating"
    CAPTURE_GAP = "capture_gap"


ONE_RESTART_NS: Final = 5 * SECOND
"""Restarts of one checker that its probes show within this are one, told at the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSummary:
    """What TLS showed on a connection; empty where it is not in clear and was not decrypted."""

    version: str = ""
    """Negotiated: `TLS 1.3`; empty where the server sent no ServerHello."""
    offered: str = ""
    """Highest version that the checker offered."""
    sni: str = ""
    """Server name that the checker asked for; the kubelet sends none to an address."""
    alpn: str = ""
    """Protocol that the server chose."""
    alpn_offered: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Of the server's certificate."""
    not_after_ns: int | None = None
    """When that certificate expires. Nobody verified it here."""
    alert: str = ""
    """First alert that is no ordinary end, by its name: `handshake_failure`."""
    alert_by_checker: bool | None = None
    """Who sent it: the checker, else the server; None where there is none."""
    decrypted: bool = False


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One connection of an attempt."""

    role: Role
    connection: Connection
    status: int | None = None
    connect_ns: int | None = None
    """SYN to the answer that established the connection."""
    tls_ns: int | None = None
    """ClientHello to the client's Finished."""
    first_byte_ns: int | None = None
    """Request sent (or, on a connection without one, established) to first byte of the answer."""
    total_ns: int = 0
    """First frame to last frame of the connection."""
    tls: TlsSummary | None = None
    died: tuple[Placed, ...] = ()
    """Segments that some vantage points showed and others did not, or late; only where several saw this way."""


class Brief(NamedTuple):
    """What is left of an attempt's connections where only little is kept (`model.attempts`)."""

    first: int
    """First frame of it in its first file."""
    last: int
    tries: int
    answered: bool
    """The target accepted one of its connections."""
    retransmits: int = 0


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a probe by a checker."""

    n: int
    """Number within its probe, from 1."""
    rev: int = 1
    start: Mark
    """First frame it caused (SYN, or ARP/ND request before it)."""
    end_ns: int
    """When the checker had its verdict."""
    end_mark: Mark | None = None
    """The frame that gave the verdict; None where silence gave it (`end_source` deadline)."""
    outcome: Outcome
    cause: Cause
    status: int | None = None
    """HTTP status, grpc-status, or a command's exit status, where one was seen."""
    detail: str = ""
    """One short phrase: `200 OK`, `connection refused`, `answer after 2.41 s`."""
    trigger: Trigger = Trigger.UNKNOWN
    schedule: Schedule = Schedule.ON_TIME
    streak: int = 0
    """Results of this kind in a row, this one included, as the kubelet counts (resultRun); 0 where not counted."""
    threshold: int = 0
    """The threshold that this streak works towards."""
    implied: bool = False
    """No frame of its own: a tick that fell while the neighbour was being resolved in vain (docs/design.md, section 6)."""
    late_answer_ns: int | None = None
    """From start to the first byte of an answer that came after the verdict."""
    legs: Sequence[Leg] = ()
    """Its connections: a tuple, or `model.packed.PackedLegs`."""
    unresolved: Unresolved | None = None
    """The ARP/ND round of an attempt without a SYN."""
    execs: tuple[ExecRun, ...] = ()
    """The command of an exec attempt, several where it could not be started and was tried again."""
    said: tuple[Utterance, ...] = ()
    """What the kubelet's log and events say of it, where they were given."""
    diagnosis: Diagnosis | None = None
    """The finer why below the cause; None where the cause says it all."""
    brief: Brief | None = None
    """Instead of its legs, where they were let go."""

    @property
    def end_source(self) -> str:
        """Return `frame` or `deadline`."""
        return "frame" if self.end_mark is not None else "deadline"

    @property
    def latency_ns(self) -> int:
        """Return the time from start to verdict."""
        return self.end_ns - self.start.ns

    @property
    def tries(self) -> int:
        """Return how often the checker asked, redirects and redials not counted."""
        return self.brief.tries if self.brief is not None else sum(leg.role in _TRIES for leg in self.legs)

    @property
    def answered(self) -> bool:
        """Return whether the target accepted one of its connections."""
        return self.brief.answered if self.brief is not None else any(leg.connection.resp.syns for leg in self.legs)

    @property
    def retransmits(self) -> int:
        """Return how many segments were sent again on its connections, by either side."""
        if self.brief is not None:
            return self.brief.retransmits
        return sum(leg.connection.orig.retransmits + leg.connection.resp.retransmits for leg in self.legs)

    @property
    def file(self) -> int:
        """Return the index of the input that shows its first frame."""
        return self.start.file

    def frames(self) -> tuple[int, int]:
        """Return (first, last) frame number in its first file."""
        if self.brief is not None:
            return self.brief.first, self.brief.last
        numbers = [self.start.number]
        for leg in self.legs:
            for file, first, last in leg.connection.frames:
                if file == self.start.file:
                    numbers += [first, last]
            # (An ICMP error is no frame of the connection that it ends.)
            note = leg.connection.icmp
            numbers += (
                [m.number for m in (note.mark, note.last) if m is not None and m.file == self.start.file]
                if note
                else []
            )
        if self.unresolved is not None:
            numbers += [m.number for m in self.unresolved.requests if m.file == self.start.file]
        numbers += [run.last.number for run in self.execs if run.last.file == self.start.file]
        if self.end_mark is not None and self.end_mark.file == self.start.file:
            numbers.append(self.end_mark.number)  # (an ICMP error belongs to no connection)
        return min(numbers), max(numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A threshold reached, and what the checker made of it."""

    ns: int
    """End of the deciding attempt."""
    kind: DecisionKind
    before: str
    """State before: `Ready`, `NotReady`, `Started`, `NotStarted`, `Live`, `UP`, `DOWN`."""
    after: str
    """State after: `Ready`, `NotReady`, `Started`, `Restart`, `UP`, `DOWN`."""
    attempt: int
    """Number of the deciding attempt."""
    mark: Mark | None
    """Last frame at or before the decision, None where there is none."""
    streak: int
    threshold: int
    threshold_source: str
    """`declared`, `inferred` or `default`."""
    confirmed: bool | None = None
    confirmed_by: str = ""
    since_ns: int | None = None
    """How long the state before had lasted; None where its beginning is not in the capture."""


NONE_PASSED: Final = "the filter lets none of the"
NONE_SHOWN: Final = "nothing lies in the time that is to be shown"
"""How notes begin that say why nothing was looked at."""
UNDECLARED: Final = "no spec that was given declares this probe"
"""Note at a probe of an address for which a spec was given that declares others."""
LATER: Final = "the Pod that was given for this address began only after this probe"
"""Note at a probe of an address that was given to a Pod which began later; a note of the timeline says when, and what fits."""


class GapKind(StrEnum):
    """Why attempts did not come."""

    ON_HOLD = "on_hold"
    """After a Restart or Started, until there is a new container."""
    STARTUP = "startup"
    """Gated: until the startup probe has succeeded."""
    INITIAL_DELAY = "initial_delay"
    CONTAINER_RESTARTED = "container_restarted"
    KUBELET_RESTARTED = "kubelet_restarted"
    POD_DELETED = "pod_deleted"
    """The Pod was being deleted."""
    UNRESOLVED = "unresolved"
    """They were made, and left no frame: the target's address could not be resolved."""
    PASSED_OVER = "passed_over"
    """They may have come: what was said on their connection was not followed any more."""
    OVERDUE = "overdue"
    """Live: none has come so far."""
    UNEXPLAINED = "unexplained"
    """Nothing in the capture says why."""


NOT_DUE: Final = {
    GapKind.ON_HOLD: "on hold",
    GapKind.STARTUP: "waiting for startup",
    GapKind.INITIAL_DELAY: "initial delay",
    GapKind.CONTAINER_RESTARTED: "container restart",
    GapKind.KUBELET_RESTARTED: "kubelet restart",
    GapKind.POD_DELETED: "Pod deleted",
}
"""Silences that the kubelet's rules ask for, each in short: no attempt was sent, and none was to be."""
UNSEEN: Final = (
    "its container or its kubelet was restarted, attempts failed on the node without a frame, or nothing was captured then (Restart "
    "Count and the Unhealthy events in kubectl describe pod tell)"
)
"""Why attempts are missing where everything that asked was silent, and then goes on at a new phase as if nothing had been."""
NO_ADDRESS: Final = (
    "the pod's address could not be resolved when the next one was made; attempts without an address leave no frame"
)
"""Why attempts are missing before one that waited for its neighbour's address."""
NO_CPU: Final = "the kubelet got no CPU, as the tick shows that ran late after them"
"""Why attempts are missing where the kubelet did not run: none was made."""
TO_THE_END: Final = (
    "its Pod is gone, its kubelet stopped, or attempts fail on the node without a frame (kubectl get pod and the Unhealthy events "
    "tell)"
)
"""Why attempts are missing up to the end of the capture, where nothing in it says so."""
TO_THE_END_ALONE: Final = (
    "its Pod is gone, or its attempts fail on the node without a frame: its kubelet probed others meanwhile (kubectl get pod and the "
    "Unhealthy events tell; if it is there: iptables OUTPUT and conntrack on the node, network policies, eBPF programs, routes)"
)
"""The same where the checker went on with others."""


BETWEEN_FILES: Final = "between two files, a time that may not have been captured"
"""Why attempts are missing whose time no file covers, though it is too short to be called a hole."""
BACKING_OFF: Final = "as it seems its container waits to be started again (CrashLoopBackOff, see restart-loop); else "
"""What is said before either where the container was restarted again and again, and had gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Attempts that the cadence led to expect and that did not come."""

    start_ns: int
    end_ns: int
    expected: int
    reason: str
    """In words, with what `kind` does not say."""
    kind: GapKind = GapKind.UNEXPLAINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Who probes."""

    kind: str
    """One of those that docs/json.md, "checker", lists for `kind`."""
    could_be: tuple[str, ...] = ()
    version: str = ""
    """From its User-Agent: `1.36`."""
    address: str
    pod: str | None = None
    """`namespace/name` of the Pod behind the address (a router, say), where known."""
    node: str | None = None
    node_address: str | None = None
    node_source: str | None = None
    confidence: float = 0.0
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is probed."""

    address: str
    port: int | None
    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    uid: str | None = None
    """The Pod's, where its manifest tells it."""
    named_by: str | None = None
    """`status.podIP`, `--cluster`, `port and path`, ... ; None where nothing names it."""
    shared: bool = False
    """Whether another address goes by the same name, of a manifest that tells none: its address belongs to the name."""
    host_network: bool = False
    """Its manifest says that it shares its node's network."""
    here: bool = False
    """Its address is one of the machine, or of the network namespace, that captured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch in which the Pod's state is known, and the connections that clients opened in it."""

    start_ns: int
    end_ns: int
    """When the state changed, or was no longer known."""
    state: str
    """`Ready` or `NotReady`; `UP` or `DOWN` of a checker with rise and fall."""
    connections: int = 0
    refused: int = 0
    """Of these, answered by a RST or an ICMP error."""
    unanswered: int = 0
    """Of these, those whose SYN nothing answered."""
    first_ns: int | None = None
    """From its start to the first of them; None where there is none."""
    last_ns: int | None = None
    """From its start to the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """How clients' new connections followed the readiness of the Pod: the same on each of its readiness probes.

    Clients are whoever is no kubelet, no recognised checker and no scraper. A number is None where the state it is
    about is not known at any time, a duration also where no client came.
    """

    first_client_after_ready_ns: int | None = None
    """From NotReady becoming Ready to the first new connection in that time; the shortest where that happened several times."""
    last_new_client_after_not_ready_ns: int | None = None
    """From Ready becoming NotReady to the last new connection in that time; the longest where that happened several times."""
    clients_while_not_ready: int | None = None
    """New connections."""
    clients_refused_while_ready: int | None = None
    """New connections that a RST or an ICMP error answered, at any port; those of unknown periodic checkers too."""
    clients_unanswered_while_ready: int | None = None
    """New connections whose SYN nothing answered."""
    kept_while_not_ready: int | None = None
    """Connections opened while Ready that their clients went on using for a second and more after it became NotReady.

    None where it did not."""
    last_kept_after_not_ready_ns: int | None = None
    """From Ready becoming NotReady to their last use in that time; the longest."""
    approximate: bool = False
    """Counts are least numbers, durations bounds: there were too many connections to keep each moment, or some may be their
    sender's own checks."""
    periods: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One configured check as seen on the wire, with its attempts."""

    id: str
    rev: int = 1
    checker: Checker
    target: Target
    type: ProbeType
    type_source: str
    """`declared`, or `inferred: REASON`, or `unknown: REASON`."""
    handler: Handler
    scheme: str | None = None
    host: str | None = None
    """Host header or httpGet.host where it is not the target itself."""
    path: str | None = None
    path_cut: bool = False
    """Whether `path` is but the beginning of what was asked for: the capture cut every request line."""
    proxy_header: bool = False
    """Whether its attempts begin with a PROXY header (haproxy's proxy-protocol.txt): `send-proxy`."""
    service: str | None = None
    command: tuple[str, ...] = ()
    """Of an exec probe."""
    spec: ProbeSpec | None = None
    """Declared spec; None where none fits."""
    spec_source: str | None = None
    """The manifest or the configuration it came from."""
    spec_alike: tuple[str, ...] = ()
    """Other manifests that declare just the same, where nothing tells which of them is meant: `target.pod` is None then."""
    check: CheckSpec | None = None
    """What a checker that is not the kubelet was told, where that is declared."""
    inferred: dict[str, Any] = field(default_factory=dict)
    """Kubernetes' own field names -> value (kubelet), or interval_s, ... (other checkers)."""
    thresholds: dict[str, tuple[int, str]] = field(default_factory=dict)
    """`timeoutSeconds`, `periodSeconds`, `successThreshold`, `failureThreshold` -> (value used, `declared|inferred|default`)."""
    initial_state: str = "unknown"
    """State at the first evidence: `unknown`, or `NotReady` ... where the beginning or the first streak tells."""
    initial_evidence: str = ""
    initial_since_ns: int | None = None
    """Since when that is known to hold, where other attempts came before what tells it; None where it holds from the first one on."""
    final_state: str = "unknown"
    attempts: Sequence[Attempt] = ()
    """In order: a tuple, or `model.attempts.Attempts` where the oldest are kept in brief."""
    gaps: tuple[Gap, ...] = ()
    decisions: tuple[Decision, ...] = ()
    effects: Effects | None = None
    measures: tuple[Measure, ...] = ()
    """What the packets allow its fields to be; only where that was asked for."""
    diagnoses: tuple[Diagnosis, ...] = ()
    """Those of its attempts gathered by kind, and what only many attempts together show; the most weighty first."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: another node probes than the Pod says, the capture began in mid-life, ..."""

    @property
    def asked_path(self) -> str:
        """The path as far as it is known, for readers: a cut one ends in an ellipsis."""
        return (self.path or "") + ("..." if self.path_cut else "")

    @property
    def never_asked(self) -> bool:
        """Whether nothing shows what it asks: no spec declares it and it never got a connection, so that `handler` but stands in."""
        if self.spec is not None or self.handler is not Handler.TCP_SOCKET or self.checker.kind != "kubelet":
            return False
        return bool(self.attempts) and not any(a.answered or a.outcome is Outcome.SUCCESS for a in self.attempts)

    @property
    def last_gap(self) -> Gap | None:
        """The gap from its last attempt to the end of the capture; None where there is none."""
        last = self.gaps[-1] if self.gaps else None
        return last if last is not None and last.start_ns >= self.attempts[-1].start.ns else None


class Unseeable(NamedTuple):
    """A declared probe of which no packet can tell: an exec probe, where none of its commands was seen."""

    type: ProbeType
    namespace: str
    pod: str
    """Its name, or that of the workload that makes it."""
    container: str
    workload: bool = False
    """`pod` only begins the Pod's name."""


ANSWERS_ONLY: Final = "only the server's direction was captured"
PORT_SCAN: Final = "one try at each of many ports, as a port scan makes"
"""What is said of connections that nobody can tell from probes, as all that was asked is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTraffic:
    """Connections that are no probe: who, to what, how many."""

    address: str
    target_address: str
    target_port: int
    connections: int
    refused: int = 0
    """Of these, answered by a RST or an ICMP error."""
    unanswered: int = 0
    """Of these, those whose SYN nothing answered."""
    what: str
    """`client traffic`, `Prometheus scrapes`, `keep-alive client`, ..."""
    name: str | None = None
    """Pod (`namespace/name`) or node behind the address, where known."""
    first_ns: int | None = None
    last_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """What else happened, that explains probes."""

    ns: int
    end_ns: int | None = None
    """When it was over; None where it is but a moment. Only a capture gap lasts."""
    by_ns: int | None = None
    """It had happened by then, well before it showed at `ns`: an initialDelaySeconds held a new container's first attempts back."""
    after_ns: int | None = None
    """It happened later than this, and no later than `ns`, at which it showed; None where `ns` is when it happened, as far as known."""
    kind: EventKind
    address: str
    """Target address (or node address for kubelet events); empty where it concerns the capture itself."""
    pod: str | None = None
    """`namespace/name`, where known: an address may have been another Pod's before."""
    container: str | None = None
    source: str = "inferred"
    """`declared`, `inferred` or `process-event`."""
    evidence: str = ""
    doubtful: bool = False
    """Silence and a new phase are all that shows it, and other things look the same: `evidence` says which."""

    @property
    def told_ns(self) -> int:
        """The time to tell it at: no later than that it happened."""
        return self.ns if self.by_ns is None else self.by_ns

    @property
    def earliest_ns(self) -> int:
        """The time from which on it may have happened."""
        return self.ns if self.after_ns is None else self.after_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything that was found."""

    captures: tuple[CaptureInfo, ...] = ()
    probes: tuple[Probe, ...] = ()
    beside: tuple[Probe, ...] = ()
    """Probes that are not shown: what they decided explains what befell the others of their container."""
    unseeable: tuple[Unseeable, ...] = ()
    """Declared probes that may run all the time and leave no packet."""
    others: tuple[OtherTraffic, ...] = ()
    events: tuple[TimelineEvent, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    """Workloads whose Pods were probed, the worst first; empty where no Pod is known to belong to one."""
    findings: tuple[Finding, ...] = ()
    kubelet: Account | None = None
    """What the kubelet's log and events say; None where none were given."""
    notes: tuple[str, ...] = ()
    """For the reader: specs that matched nothing, exec probes that packets cannot show, ..."""
    foremost: int = 0
    """So many of `notes`, the first, say what the way of capturing left out: all else is to be read with them in mind."""
    until_ns: int | None = None
    """Where what is shown ends; None where it is the end of the input."""
    cut_frames: int = 0
    """Frames of which the capture kept too little to read them (its snapshot length)."""

    @property
    def complete(self) -> bool:
        """Whether no input was cut or corrupt."""
        return all(info.complete for info in self.captures)
