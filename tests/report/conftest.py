"""Timelines made by hand, in the shapes that the reports must tell well: v4 and v6, good, bad, hostile, empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from probewatch.model.connection import Connection, Half, IcmpNote, Sighting, Unresolved
from probewatch.model.finding import Evidence, Finding, Held
from probewatch.model.frame import CaptureInfo, Interface, Mark
from probewatch.model.rollout import Failing, PodState, Revision, RevisionPod, Rollout, RolloutState
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    Effects,
    EventKind,
    Gap,
    Leg,
    OtherTraffic,
    Outcome,
    Probe,
    Role,
    Schedule,
    Target,
    Timeline,
    TimelineEvent,
    TlsSummary,
    Trigger,
)
from probewatch.model.units import MS
from probewatch.model.units import SECOND as S
from probewatch.probes.diagnose import diagnose
from probewatch.probes.patterns import explain

BASE = 1_795_378_200_703_335_000
"""2026-11-22 20:10:00.703335 UTC."""


CAPTURE = CaptureInfo(
    path="flapping.pcap", format="pcap", link_types=("EN10MB",), interfaces=(Interface(0, "", 1, 262144),), frames=701,
    first_ns=BASE, last_ns=BASE + 66 * S + 200 * MS)

HTTP_SPEC = ProbeSpec(
    type=ProbeType.READINESS, handler=Handler.HTTP_GET, port=8080, path="/flap?block=5", period_s=1, timeout_s=1,
    declared={"httpGet": {"path": "/flap?block=5", "port": 8080}, "periodSeconds": 1, "failureThreshold": 3, "successThreshold": 1})

LIVE_SPEC = ProbeSpec(
    type=ProbeType.LIVENESS, handler=Handler.HTTP_GET, port=8080, path="/healthz", initial_delay_s=5,
    declared={"httpGet": {"path": "/healthz", "port": "http"}, "initialDelaySeconds": 5})


def connection(at: int, number: int, client: str, server: str, port: int, *, history: str = "ShADadFf", state: str = "SF",
               last: int | None = None, icmp: IcmpNote | None = None, file: int = 0, length: int = MS) -> Connection:
    """Return a finished connection that begins at frame `number`."""
    end = last if last is not None else number + 9
    return Connection(
        id=number, final=True, client=client, client_port=50000 + number, server=server, server_port=port,
        start=Mark(at, file, number), end=Mark(at + length, file, end), state=state, history=history,
        orig=Half(packets=5, retransmits=0, length=110, acked=110), resp=Half(packets=5), icmp=icmp, frames=((file, number, end),),
        sightings=(Sighting(file, 0, -1, 10, number, end),))


def attempt(n: int, at: int, number: int, cause: Cause = Cause.OK, *, took: int = MS + 300_000, client: str = "10.128.0.1",
            server: str = "10.128.0.10", port: int = 8080, status: int | None = 200, detail: str = "200 OK", streak: int = 1,
            threshold: int = 1, outcome: Outcome | None = None, late: int | None = None, deadline: bool = False,
            **more: object) -> Attempt:
    """Return an attempt of one connection."""
    if outcome is None:
        outcome = Outcome.SUCCESS if cause in (Cause.OK, Cause.OK_REDIRECT) else Outcome.FAILURE
    made = connection(at, number, client, server, port, length=took)
    leg = Leg(role=Role.FIRST, connection=made, status=status, connect_ns=40_000,
              first_byte_ns=None if deadline or status is None else took - 100_000,
              total_ns=took)
    return Attempt(
        n=n, start=Mark(at, 0, number), end_ns=at + took, end_mark=None if deadline else Mark(at + took, 0, number + 7),
        outcome=outcome, cause=cause, status=status, detail=detail, trigger=Trigger.TICK, streak=streak, threshold=threshold,
        late_answer_ns=late, legs=(leg,), **more)  # type: ignore[arg-type]


def flapping(client: str = "10.128.0.1", server: str = "10.128.0.10") -> Timeline:
    """Return 67 attempts of a readiness probe that flaps in blocks of five, as the kubelet counts them."""
    attempts: list[Attempt] = []
    decisions: list[Decision] = []
    ready, since = False, None
    for i in range(67):
        bad = i // 5 % 2 == 1
        at = BASE + i * S
        streak = i % 5 + 1
        attempts.append(attempt(
            i + 1, at, 10 + i * 10, Cause.STATUS if bad else Cause.OK, status=503 if bad else 200, client=client, server=server,
            took=MS + i % 7 * 300_000, detail="503 Service Unavailable" if bad else "200 OK", streak=streak, threshold=3 if bad else 1))
        mark = attempts[-1].end_mark
        end = attempts[-1].end_ns
        if (bad and streak == 3) or (not bad and streak == 1):
            decisions.append(Decision(
                ns=end, kind=DecisionKind.NOT_READY if bad else DecisionKind.READY, before="Ready" if bad else "NotReady",
                after="NotReady" if bad else "Ready", attempt=i + 1, mark=mark, streak=streak, threshold=3 if bad else 1,
                threshold_source="declared", confirmed=True if bad else None,
                confirmed_by="one extra readiness probe 0.8 ms later, frames 98-117" if bad else "",
                since_ns=None if since is None else end - since))
            ready, since = not bad, end
    probe = Probe(
        id="p1",
        checker=Checker(kind="kubelet", version="1.36", address=client, node="node-a", node_address="192.168.10.11",
                        node_source="HostSubnet in --cluster", confidence=0.99,
                        evidence=("User-Agent kube-probe/1.36", "TTL 64: not routed")),
        target=Target(address=server, port=8080, namespace="lab", pod="http-flap-s1", container="app", named_by="status.podIP"),
        type=ProbeType.READINESS, type_source="declared", handler=Handler.HTTP_GET, scheme="HTTP", path="/flap?block=5",
        spec=HTTP_SPEC, spec_source="flapping.yaml", inferred={"periodSeconds": 1, "timeoutSeconds": 1},
        thresholds={"timeoutSeconds": (1, "default"), "periodSeconds": (1, "declared"), "successThreshold": (1, "declared"),
                    "failureThreshold": (3, "declared")},
        initial_state="NotReady", initial_evidence="a doubled first readiness probe", final_state="NotReady" if not ready else "Ready",
        attempts=tuple(attempts), decisions=tuple(decisions),
        effects=Effects(first_client_after_ready_ns=400 * MS, clients_while_not_ready=3))
    others = (
        OtherTraffic(address="10.128.0.20", target_address=server, target_port=8080, connections=412, what="client traffic",
                     name="lab/client", first_ns=BASE + S, last_ns=BASE + 60 * S),
        OtherTraffic(address="10.128.0.21", target_address=server, target_port=8080, connections=13, what="keep-alive client"),
    )
    findings = (
        Finding(held=Held.FAIL, probe="p1", subject="readiness lab/http-flap-s1/app", field="periodSeconds",
                sentence="attempts came at half the pace", expected="one attempt every 2 s", observed="every 1.000 s from #3 on",
                source="flapping.yaml", attempts=(3, 4), evidence=(Evidence(0, 30, 37), Evidence(0, 40, 47))),
        Finding(held=Held.INCONCLUSIVE, subject="liveness lab/http-flap-s1/app", field="initialDelaySeconds",
                sentence="the container's start is not in this capture (--cluster would tell)", evidence=(Evidence(0, 1, 1),)),
        Finding(held=Held.PASS, probe="p1", subject="readiness lab/http-flap-s1/app", field="source",
                sentence="67 of 67 attempts came from the hosting node (10.128.0.1)"),
    )
    return Timeline(captures=(CAPTURE,), probes=(probe,), others=others, findings=findings,
                    notes=("cart.yaml fits no target in these captures.",))


def restarting() -> Timeline:
    """Return a liveness probe that restarts its container for slow answers, with a steady readiness probe beside it, on IPv6."""
    target = Target(address="fd10:244::10", port=8080, namespace="shop", pod="cart-7d9f", container="app", named_by="port and path")
    checker = Checker(kind="kubelet", version="1.36", address="fd10:244::1", confidence=0.95, evidence=("User-Agent kube-probe/1.36",))
    live: list[Attempt] = []
    for i in range(12):
        slow = i in (6, 7, 8)
        live.append(attempt(
            i + 1, BASE + 31_150 * MS + i * 10 * S, 300 + i * 20, Cause.SLOW_ANSWER if slow else Cause.OK, deadline=slow,
            client="fd10:244::1", server="fd10:244::10", status=None if slow else 200, took=S if slow else 2 * MS,
            detail="no answer in 1.000 s" if slow else "200 OK", streak=i - 5 if slow else 1, threshold=3 if slow else 1,
            late=2_410 * MS + (i - 6) * 10 * MS if slow else None))
    dead = live[8]
    liveness = Probe(
        id="p2", checker=checker, target=target, type=ProbeType.LIVENESS, type_source="declared", handler=Handler.HTTP_GET,
        scheme="HTTP", path="/healthz", spec=LIVE_SPEC, spec_source="cart.yaml", inferred={"periodSeconds": 10},
        thresholds={"timeoutSeconds": (1, "default"), "failureThreshold": (3, "default")}, final_state="Live", attempts=tuple(live),
        decisions=(Decision(
            ns=dead.end_ns, kind=DecisionKind.RESTART, before="Live", after="Restart", attempt=9, mark=Mark(dead.end_ns, 0, 466),
            streak=3, threshold=3, threshold_source="default", confirmed=True,
            confirmed_by="silent until a new container 21.2 s later"),),
        gaps=(Gap(start_ns=dead.end_ns, end_ns=dead.end_ns + 21 * S, expected=2, reason="the container was being replaced"),),
        notes=("another node (fd10:244:1::1) probes than the Pod says (node-b).",))
    ready = Probe(
        id="p1", checker=checker, target=target, type=ProbeType.READINESS, type_source="declared", handler=Handler.TCP_SOCKET,
        inferred={"periodSeconds": 10}, final_state="Ready",
        attempts=tuple(attempt(i + 1, BASE + i * 3 * S, 20 + i * 3, client="fd10:244::1", server="fd10:244::10", status=None,
                               detail="connected", took=90_000 + i * 1000) for i in range(40)),
        decisions=(Decision(ns=BASE + 90_000, kind=DecisionKind.READY, before="NotReady", after="Ready", attempt=1,
                            mark=Mark(BASE + 90_000, 0, 22), streak=1, threshold=1, threshold_source="default"),))
    events = (
        TimelineEvent(ns=dead.end_ns + 20 * S, kind=EventKind.CONTAINER_STARTED, address="fd10:244::10", container="app",
                      evidence="refused, then a doubled first readiness probe"),
        TimelineEvent(ns=BASE + 5 * S, kind=EventKind.CAPTURE_GAP, address="fd10:244::99", evidence="sequence numbers jump"),
    )
    cut = replace(CAPTURE, path="cart.pcapng", format="pcapng", complete=False, frames=611,
                  notes=("The file is cut in the middle of frame 612: 40 of 66 bytes are there.",))
    old = Revision(revision="5c4b9d7f86", created_ns=BASE - 3600 * S, first_probe_ns=BASE, first_ready_ns=BASE, attempts=40, pods=(
        RevisionPod(name="cart-5c4b", address="fd10:244::10", node="node-b", state=PodState.READY, probes=("p1",), first_ready_ns=BASE,
                    last_ready_ns=BASE + 120 * S),
        RevisionPod(name="cart-5c4c", address=None, state=PodState.UNKNOWN, waiting="ImagePullBackOff")))
    new = Revision(revision="7d9f", created_ns=BASE - S, first_probe_ns=BASE, attempts=12, failures=(
        Failing(type="readiness", result="503", attempts=9), Failing(type="readiness", result="refused", attempts=3)), pods=(
        RevisionPod(name="cart-7d9f", address="fd10:244::11", state=PodState.NOT_READY, probes=("p2",), deleted_ns=BASE + 60 * S),))
    rollouts = (
        Rollout(namespace="shop", kind="Deployment", name="cart", state=RolloutState.BLOCKED, ordered=True, revisions=(old, new),
                sentence="revision 7d9f never turned Ready: readiness fails: 503 (9), refused (3); "
                         "revision 5c4b9d7f86 keeps serving (1 of 1 Ready)"),
        Rollout(namespace="shop", kind="StatefulSet", name="db", state=RolloutState.STEADY, ordered=True, revisions=(old,),
                sentence="steady"),
        Rollout(namespace="shop", kind="Job", name="j", state=RolloutState.UNKNOWN, ordered=True, sentence="unknown",
                revisions=(replace(new, revision=""),)))
    second = replace(CAPTURE, path="node-b.pcapng.zst", format="pcapng+zstd", frames=20, first_ns=BASE + S, last_ns=BASE + 9 * S)
    return Timeline(captures=(cut, second), probes=(ready, liveness), events=events, rollouts=rollouts)


TLS = (
    TlsSummary(version="TLS 1.2", offered="TLS 1.3", sni="web.example", alpn="http/1.1", alpn_offered=("h2", "http/1.1"),
               names=("web.example", "*.example"), not_after_ns=BASE - 24 * 3600 * S),
    TlsSummary(version="TLS 1.3", offered="TLS 1.3", alpn_offered=("h2", "http/1.1"), not_after_ns=BASE + 24 * 3600 * S, decrypted=True),
    TlsSummary(offered="TLS 1.3", alert="protocol_version", alert_by_checker=False),
)


def over_tls(one: Attempt, tls: TlsSummary) -> Attempt:
    """Return the attempt with these facts on its connections."""
    return replace(one, legs=tuple(replace(leg, tls=tls) for leg in one.legs))


def assorted() -> Timeline:
    """Return one probe for each odd outcome: discarded, inconclusive, implied, ICMP, redirect, gRPC, another checker."""
    kubelet = Checker(kind="kubelet", address="10.128.0.1", confidence=0.8, evidence=("form and cadence",))
    body = attempt(1, BASE, 1, Cause.BODY_BROKEN, outcome=Outcome.DISCARDED, detail="unexpected EOF", streak=0, threshold=0)
    again = tuple(replace(body.legs[0], role=Role.RETRY) for _ in range(2))
    broken = [replace(body, n=i + 1, legs=body.legs + again, start=Mark(BASE + i * S, 0, 1 + i)) for i in range(5)]
    icmp = IcmpNote(mark=Mark(BASE + S, 0, 50), reporter="10.128.0.10", version=4, type=3, code=13)
    far = attempt(2, BASE + S, 49, Cause.UNREACHABLE, status=None, detail="ICMP administratively prohibited", streak=1, threshold=3)
    far = replace(far, legs=(replace(far.legs[0], connection=connection(
        BASE + S, 49, "10.128.0.1", "10.128.0.11", 5432, state="S0", history="S", last=49, icmp=icmp)),))
    mark = Mark(BASE + 2 * S, 0, 60)
    nobody = Attempt(n=3, start=mark, end_ns=mark.ns + S, outcome=Outcome.FAILURE, cause=Cause.NEIGHBOUR_UNRESOLVED,
                     detail="nobody answers ARP", streak=2, threshold=3,
                     unresolved=Unresolved(client="10.128.0.1", server="10.128.0.11", start=mark, end=mark, requests=(mark,)))
    implied = replace(nobody, n=4, start=Mark(mark.ns + S, 0, 60), end_ns=mark.ns + 2 * S, implied=True, unresolved=None, streak=3)
    probes = (
        Probe(id="p1", checker=kubelet, target=Target(address="10.128.0.10", port=8080), type=ProbeType.LIVENESS,
              type_source="inferred: silent after a restart", handler=Handler.HTTP_GET, scheme="HTTP", path="/live",
              attempts=tuple(broken), thresholds={"timeoutSeconds": (1, "default"), "failureThreshold": (3, "default")}),
        Probe(id="p2", checker=kubelet, target=Target(address="10.128.0.11", port=5432, pod="db", namespace="shop"),
              type=ProbeType.UNKNOWN, type_source="unknown: nothing tells", handler=Handler.TCP_SOCKET,
              attempts=(attempt(1, BASE, 40, status=None, detail="connected"), far, nobody, implied),
              inferred={"periodSeconds": 1}),
        Probe(id="p3", checker=kubelet, target=Target(address="10.128.0.12", port=8443), type=ProbeType.READINESS, type_source="unknown",
              handler=Handler.HTTP_GET, scheme="HTTPS",
              attempts=tuple(over_tls(attempt(i + 1, BASE + i * S, 100 + i, Cause.ENCRYPTED, outcome=Outcome.INCONCLUSIVE, status=None,
                                              detail="", streak=0, threshold=0), tls) for i, tls in enumerate(TLS))),
        Probe(id="p4", checker=kubelet, target=Target(address="10.128.0.13", port=9000), type=ProbeType.STARTUP, type_source="unknown",
              handler=Handler.GRPC, service="live", initial_state="NotStarted", final_state="Started",
              attempts=(attempt(1, BASE, 200, Cause.GRPC_CONNECT, status=None, detail="refused", streak=1, threshold=30,
                                deadline=True, took=S),
                        attempt(2, BASE + 2 * S, 210, Cause.GRPC_NOT_SERVING, status=0, detail="NOT_SERVING", streak=2, threshold=30),
                        attempt(3, BASE + 4 * S, 220, status=0, detail="SERVING", schedule=Schedule.EXTRA)),
              decisions=(Decision(ns=BASE + 4 * S + MS, kind=DecisionKind.STARTED, before="NotStarted", after="Started", attempt=3,
                                  mark=None, streak=1, threshold=1, threshold_source="declared", confirmed=True,
                                  confirmed_by="the first readiness probe in the same millisecond"),)),
        Probe(id="p10", checker=Checker(kind="haproxy", address="10.128.0.21", confidence=0.97, evidence=("SYN, SYN-ACK, RST",)),
              target=Target(address="10.128.0.14", port=8080), type=ProbeType.UNKNOWN, type_source="unknown", handler=Handler.TCP_SOCKET,
              inferred={"interval_s": 5.0, "interval_basis": "end", "timeout_s": 5, "rise": 2, "fall": 3}, initial_state="UP",
              final_state="DOWN",
              attempts=tuple(attempt(i + 1, BASE + i * 5 * S, 300 + i * 3, Cause.OK if i < 2 else Cause.REFUSED, status=None,
                                     took=80_000, detail="connected" if i < 2 else "connection refused",
                                     streak=i + 1 if i < 2 else i - 1, threshold=2 if i < 2 else 3) for i in range(6)),
              decisions=(Decision(ns=BASE + 20 * S + 80_000, kind=DecisionKind.DOWN, before="UP", after="DOWN", attempt=5,
                                  mark=Mark(BASE + 20 * S, 0, 313), streak=3, threshold=3, threshold_source="inferred",
                                  confirmed=False, confirmed_by="it still sends clients there"),)),
        Probe(id="p11", checker=Checker(kind="unknown", address="10.128.0.22", could_be=("kubelet", "keepalived")),
              target=Target(address="10.128.0.14", port=81), type=ProbeType.UNKNOWN, type_source="unknown", handler=Handler.HTTP_GET,
              scheme="HTTP", path="/r", host="example.org",
              attempts=tuple(attempt(i + 1, BASE + i * S, 400 + i, Cause.OK_REDIRECT, status=302, detail="302 Found") for i in range(30))),
    )
    return Timeline(captures=(replace(CAPTURE, path="odd.pcap"),), probes=probes)


EVIL = "\x1b]0;owned\x07\x1b[2J\n\r\t\u202egnp\u2066\u200b\x9b31m\x00\udcff\ud800\\x1b e\u0301"


def hostile() -> Timeline:
    """Return a timeline in which every text from outside holds what must not reach a terminal."""
    probe = flapping().probes[0]
    spec = replace(HTTP_SPEC, declared={EVIL: [EVIL, {"x": EVIL}], "inf": float("inf")}, command=(EVIL,))
    worse = TlsSummary(version=EVIL, offered=EVIL, sni=EVIL, alpn=EVIL, alpn_offered=(EVIL,), names=(EVIL,), alert=EVIL,
                       not_after_ns=-(1 << 80))
    bad = tuple(over_tls(replace(a, detail=EVIL), worse) for a in probe.attempts[:12])
    pods = (RevisionPod(name=EVIL, address=EVIL, node=EVIL, state=PodState.READY, probes=("p1",)),
            RevisionPod(name=EVIL, address=None, state=PodState.UNKNOWN, waiting=EVIL))
    rollouts = tuple(Rollout(namespace=EVIL, kind=EVIL, name=EVIL, state=state, ordered=False, sentence=EVIL, revisions=(
        Revision(revision=EVIL, pods=pods, failures=(Failing(type="readiness", result=EVIL, attempts=1),)),)) for state in RolloutState)
    one = replace(
        probe, checker=replace(probe.checker, version=EVIL, address=EVIL, node=EVIL, node_source=EVIL, evidence=(EVIL, "x" * 300),
                               could_be=(EVIL,)),
        target=Target(address=EVIL, port=1, namespace=EVIL, pod=EVIL, container=EVIL, named_by=EVIL), path="/" + EVIL, host=EVIL,
        scheme=EVIL, spec=spec, spec_source=EVIL, inferred={EVIL: EVIL, "periodSeconds": EVIL}, thresholds={EVIL: (1, EVIL)},
        initial_state=EVIL, initial_evidence=EVIL, final_state=EVIL, attempts=bad, notes=(EVIL,),
        decisions=tuple(replace(d, before=EVIL, after=EVIL, confirmed_by=EVIL) for d in probe.decisions[:2]),
        gaps=(Gap(start_ns=BASE, end_ns=BASE + S, expected=1, reason=EVIL),))
    others = [replace(one, id=f"p{n}", handler=handler, service=EVIL, checker=replace(one.checker, kind=kind))
              for n, (handler, kind) in enumerate(((Handler.GRPC, "unknown"), (Handler.EXEC, EVIL)), 2)]
    return Timeline(
        captures=(replace(CAPTURE, path=EVIL, format=EVIL, link_types=(EVIL,), notes=(EVIL,), interfaces=(Interface(0, EVIL, 1, 0),)),),
        probes=(one, *others),
        others=(OtherTraffic(address=EVIL, target_address=EVIL, target_port=1, connections=1, what=EVIL, name=EVIL),),
        events=(TimelineEvent(ns=BASE, kind=EventKind.CONTAINER_STARTED, address=EVIL, container=EVIL, source=EVIL, evidence=EVIL),),
        findings=(Finding(held=Held.FAIL, probe="p1", subject=EVIL, field=EVIL, sentence=EVIL, expected=EVIL, observed=EVIL,
                          source=EVIL, attempts=(1,)),),
        rollouts=rollouts, notes=(EVIL,))


def nothing() -> Timeline:
    """Return what a capture of mere clients gives."""
    return Timeline(captures=(replace(CAPTURE, path="clients.pcap"),), others=flapping().others)


MADE: dict[str, Callable[[], Timeline]] = {
    "flapping": flapping, "flapping6": lambda: flapping("fd10:244::1", "fd10:244::10"), "restarting": restarting,
    "assorted": assorted, "hostile": hostile, "nothing": nothing, "empty": Timeline,
}


@pytest.fixture(params=sorted(MADE))
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each timeline in turn."""
    return str(request.param)


@pytest.fixture
def timeline(name: str) -> Timeline:
    """Return each timeline in turn."""
    return MADE[name]()


def diagnosed(timeline: Timeline) -> Timeline:
    """Return the timeline with the diagnoses that its attempts' own evidence allows."""
    probes = [
        replace(probe, attempts=tuple(replace(a, diagnosis=a.diagnosis or diagnose(a, ())) for a in probe.attempts))
        for probe in timeline.probes
    ]
    return replace(timeline, probes=tuple(explain(probes, timeline.events)))


@pytest.fixture
def made() -> dict[str, Callable[[], Timeline]]:
    """Return all makers by name; what they make is diagnosed."""
    return {name: lambda make=make: diagnosed(make()) for name, make in MADE.items()}


@pytest.fixture
def evil() -> str:
    """Return a text that must never reach a terminal raw."""
    return EVIL


@pytest.fixture
def collected() -> Callable[[Callable[[Callable[[str], object]], object]], str]:
    """Return a function that calls a writer and returns what it wrote."""

    def run(writer: Callable[[Callable[[str], object]], object]) -> str:
        parts: list[str] = []
        writer(parts.append)
        return "".join(parts)

    return run


@pytest.fixture
def attempts() -> Callable[[Sequence[tuple[Cause, int]]], tuple[Attempt, ...]]:
    """Return a maker of attempts, one a second, from (cause, nanoseconds taken)."""

    def run(wanted: Sequence[tuple[Cause, int]]) -> tuple[Attempt, ...]:
        return tuple(attempt(i + 1, BASE + i * S, 10 * i + 1, cause, took=took) for i, (cause, took) in enumerate(wanted))

    return run
