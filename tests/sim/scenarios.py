# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""Scenarios for the simulator: by hand, and by seed."""

from __future__ import annotations

import random
from dataclasses import replace

from kubelet import ContainerSpec, Scenario
from prober import ProbeSpec
from server import OK, Answer, Listener, Phase, Way

BAD = Answer(status=503)
R, L, U = ProbeSpec("readiness"), ProbeSpec("liveness", path="/livez"), ProbeSpec("startup", path="/up", period=1, failure=30)

PLAIN = Listener(8080)


def one(*probes: ProbeSpec, listener: Listener = PLAIN, **more: object) -> tuple[ContainerSpec, ...]:
    """One container."""
    return (ContainerSpec(probes, (listener,), **more),)  # type: ignore[arg-type]


def flap(*edges: float, path: str = "*", bad: Answer = BAD, **more: object) -> Listener:
    """Good first, then bad and good by turns."""
    phases = [Phase(0, OK)] + [Phase(edge, bad if number % 2 == 0 else OK, path) for number, edge in enumerate(edges)]
    return Listener(8080, tuple(phases), **more)  # type: ignore[arg-type]


def by_hand() -> list[Scenario]:
    """Return scenarios that were measured on real kubelets and are not among the captures, and some that bite."""
    t3 = replace(R, timeout=3)
    tcp = replace(R, handler="tcpSocket")
    tcp_live = replace(L, handler="tcpSocket", period=3)
    stall = Answer("stall")
    out = [
        Scenario("http-timeout-t3", 1, one(t3, listener=flap(12, 30, bad=stall))),
        Scenario("http-slow-t3", 2, one(t3, listener=flap(12, 30, bad=Answer(delay_s=4.2)))),
        Scenario("tcp-blackhole-t4", 3, one(replace(tcp, timeout=4, period=5)), ways=(Way(12.5, 34.5, "drop"),)),
        Scenario("http-blackhole-t1", 4, one(R, listener=flap()), ways=(Way(12.5, 34.5, "drop"),)),
        Scenario("http-blackhole-t1-old", 5, one(R), ways=(Way(12.5, 34.5, "drop"),), version="1.29", new_kernel=False),
        Scenario("http-blackhole-both", 6, one(R, replace(L, period=3)), ways=(Way(12.5, 17.5, "drop"), Way(30, 33, "drop"))),
        Scenario("http-ack-blackhole", 7, one(R), ways=(Way(12.5, 34.5, "deaf"),)),
        Scenario("http-ack-blackhole-t3", 8, one(replace(t3, period=3)), ways=(Way(12.5, 34.5, "deaf"),)),
        Scenario("accept-no-answer-t3", 9, one(t3, tcp_live, listener=Listener(8080, flavour="hang"))),
        Scenario("backlog-full", 10, one(replace(R, period=1), listener=Listener(8080, flavour="hang")), ways=(Way(8, 80, "drop"),)),
        Scenario("startup-fail", 11, one(replace(U, failure=5), R, L, listener=Listener(8080, opens=900)), duration=80),
        Scenario("startup-fail-then-ok", 12, one(replace(U, failure=6, period=2), R, L, listener=flap(19, path="*", bad=OK))),
        Scenario("identical-probes-fail", 13, one(R, replace(L, path="/ready", failure=5), listener=flap(15, 26, 40, 55)), duration=70),
        Scenario("identical-three", 14, one(replace(U, path="/ready", period=2), R, replace(L, path="/ready"), listener=Listener(8080, opens=4.0))),
        Scenario("identical-three-fail", 15, one(replace(U, path="/ready", period=2), R, replace(L, path="/ready"), listener=flap(24, 31)), duration=80),
        Scenario("http-redirect-port", 16, (ContainerSpec((R,), (Listener(8080, (Phase(0, Answer("redirect-port", port=9090)),)), Listener(9090))),)),
        Scenario("http-redirect-port-closed", 17, (ContainerSpec((R,), (Listener(8080, (Phase(0, Answer("redirect-port", port=9090)),)), Listener(9090, shuts=((15, 25),)))),)),
        Scenario("http-big503", 18, one(R, listener=Listener(8080, (Phase(0, OK), Phase(10, Answer("big", 503)), Phase(20, Answer("big")))))),
        Scenario("http-dribble", 19, one(R, listener=Listener(8080, (Phase(0, Answer("dribble")),)))),
        Scenario("http10", 20, one(R, listener=Listener(8080, (Phase(0, Answer("http10")), Phase(20, Answer("http10", 503, size=900)))))),
        Scenario("crash-below", 21, one(R, replace(L, period=1, delay=3), listener=flap(17.6, path="/livez", by_age=False), crashes=(17.0,)), duration=50),
        Scenario("crash-loop", 22, one(R, replace(L, period=3), crashes=(5.0, 5.0, 5.0, 5.0)), duration=100),
        Scenario("crash-once", 23, one(R, crashes=(21.3,)), duration=60),
        # Silence of twenty seconds, in its back-off, as a kubelet's would be: but liveness keeps its grid.
        Scenario("crash-in-back-off", 98, one(replace(R, success=3), replace(L, period=3), crashes=(14.2, 13.1)), version="1.33", duration=90),
        Scenario("k132-kubelet-restart", 24, one(replace(R, period=3), replace(L, period=3)), version="1.32", kubelet_down=((25, 45),), duration=70),
        Scenario("k136-kubelet-restart", 25, one(replace(R, period=3), replace(L, period=3)), kubelet_down=((25, 45),), duration=70),
        Scenario("k136-kubelet-quick", 26, one(replace(R, period=5), replace(L, period=10)), kubelet_down=((25, 27.5),), duration=70),
        Scenario("terminating", 27, one(replace(R, period=1), replace(L, period=1)), deleted=17, pre_stop=9, duration=35),
        Scenario("terminating-slow", 28, one(replace(R, period=1, failure=2), replace(L, period=1), listener=flap(20), stops_after=6.0), deleted=17, pre_stop=3, duration=40),
        Scenario("initial-delay-all", 29, one(replace(U, delay=4), replace(R, delay=7), replace(L, delay=12, period=3))),
        Scenario("initial-delay-restart", 30, one(replace(R, delay=5), replace(L, delay=6, period=1), listener=flap(14, path="/livez", by_age=True)), duration=80),
        Scenario("p1-t5-hung", 31, one(replace(R, period=1, timeout=5), listener=flap(12, 32, bad=stall))),
        Scenario("p1-t5-hung-both", 32, one(replace(R, period=1, timeout=5), replace(L, period=1, timeout=5, failure=10), listener=flap(12, 32, bad=stall))),
        Scenario("failure-1", 33, one(replace(R, failure=1), replace(L, failure=1, period=5), listener=flap(12, 13.5, 20, 24.2, 37, 37.3)), full=True),
        Scenario("success-3", 34, one(replace(R, success=3, period=1), listener=flap(12, 16, 22, 25, 28, 29))),
        Scenario("two-containers", 35, (ContainerSpec((R, L), (flap(15, 22),)), ContainerSpec((replace(R, port=9090, period=3), replace(L, port=9090)), (
            Listener(9090, (Phase(0, OK), Phase(20, BAD, "/livez")), by_age=True),), name="side")), duration=70),
        Scenario("one-port-closed", 36, one(R, L, listener=Listener(8080, shuts=((14.3, 16.9), (30, 39)))), duration=70),
        Scenario("one-port-late", 37, one(R, replace(L, delay=2), listener=Listener(8080, opens=5.5)), duration=50),
        Scenario("identical-other-timeouts", 53, one(replace(R, period=1, timeout=5), replace(L, path="/ready", period=1, timeout=3, failure=9), listener=flap(12.5, 12.9, bad=Answer(delay_s=4))),
                 version="1.24", duration=40),
        Scenario("three-handlers", 38, (ContainerSpec((replace(U, handler="tcpSocket"), replace(R, handler="grpc", port=9000), L),
                                                      (flap(22, 33, path="/livez"), Listener(9000, (Phase(0, OK), Phase(14, Answer("not-serving")), Phase(20, OK)), flavour="grpc"))),)),
        Scenario("sync-while-not-ready", 39, one(replace(R, period=10), listener=Listener(8080, (Phase(0, BAD), Phase(25, OK), Phase(60, BAD)))), sync_every=2.7, duration=110),
        Scenario("sync-old", 40, one(replace(R, period=10), listener=Listener(8080, (Phase(0, BAD), Phase(25, OK), Phase(60, BAD)))), sync_every=2.7, duration=110, version="1.30"),
        Scenario("tcp-both", 41, one(tcp, replace(tcp_live, period=2), listener=Listener(8080, shuts=((17, 20.5), (33, 45)))), duration=75),
        Scenario("grpc-slow", 42, one(replace(R, handler="grpc", port=9000), listener=Listener(9000, (Phase(0, OK), Phase(12, Answer(delay_s=2.5)), Phase(26, OK)), flavour="grpc"))),
        Scenario("grpc-refused-t3", 43, one(replace(R, handler="grpc", port=9000, timeout=3, period=5), listener=Listener(9000, flavour="grpc", shuts=((12, 31),)))),
        Scenario("arp-dead", 44, one(R), ways=(Way(12.5, 30, "arp"),)),
        Scenario("icmp", 45, one(R, L), ways=(Way(12.5, 20, "icmp"),)),
        Scenario("banner", 46, one(tcp, listener=Listener(8080, flavour="banner"))),
        Scenario("stall-body", 47, one(replace(R, period=5), listener=flap(12, 30, bad=Answer("stall-body")))),
        Scenario("reset-body-both", 48, one(R, L, listener=flap(12, 30, bad=Answer("reset-body")))),
        Scenario("https-on-http", 49, one(replace(R, scheme="HTTPS"))),
        Scenario("liveness-restart-full", 50, one(R, replace(L, period=1, delay=3), listener=flap(13, path="/livez", by_age=True, opens=0.8)), full=True, duration=110),
        Scenario("liveness-slow-stop", 51, one(replace(R, period=1), replace(L, period=1), listener=flap(15, path="/livez", by_age=True), stops_after=5.0), duration=70),
        Scenario("identical-restart", 52, one(replace(R, period=1), replace(L, period=1, path="/ready"), listener=flap(13, by_age=True)), full=True, duration=60),
    ]
    cuts = []
    for scenario in out:
        if scenario.name.startswith("identical"):
            continue  # Undecidable: in mid-life nothing tells readiness from liveness where both are the same in every field.
        chance = random.Random(scenario.seed * 7919)
        cuts.append(replace(scenario, name=f"{scenario.name}-mid", cut_before=round(chance.uniform(8, scenario.duration * 0.6), 3)))
    return out + cuts


HTTP_KINDS = ("status", "status", "status", "stall", "delay", "reset-head", "reset-body", "close-body", "reset-now", "close-now", "close-head", "big", "chunked",
              "dribble", "continue", "http10", "redirect-same", "redirect-other", "redirect-loop", "garbage", "stall-body")


def by_seed(seed: int) -> Scenario:
    """Draw a scenario."""
    chance = random.Random(seed)
    version = chance.choice(("1.36", "1.36", "1.36", "1.35", "1.32", "1.32", "1.34", "1.30", "1.29"))
    duration = float(chance.randint(40, 110))
    count = 1 if chance.random() < 0.85 else 2
    containers = [_container(chance, duration, 8080 + 1010 * number, "app" if number == 0 else "side") for number in range(count)]
    ways = []
    for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2))):
        since = round(chance.uniform(8, duration), 2)
        ways.append(Way(since, round(since + chance.choice((0.5, 2.0, 6.0, 15.0, 30.0)) * chance.uniform(0.7, 1.3), 2), chance.choice(("drop", "drop", "icmp", "arp", "deaf"))))
    probes = [p for c in containers for p in c.probes]
    if len(probes) > 1 or probes[0].timeout > 1 or probes[0].handler != "httpGet":
        # Undecidable: dials that wait for a neighbour leave no SYN, and all that still wait send theirs in the same microsecond when it answers.
        ways = [replace(way, kind="drop") if way.kind == "arp" else way for way in ways]
    ways.sort(key=lambda way: way.since)
    if len(ways) == 2 and ways[1].since < ways[0].until + 3:
        ways.pop()
    more: dict[str, object] = {}
    if chance.random() < 0.1:
        down = round(chance.uniform(15, duration * 0.6), 2)
        more["kubelet_down"] = ((down, round(down + chance.choice((1.5, 8.0, 20.0)), 2)),)
    elif chance.random() < 0.1:
        more["deleted"], more["pre_stop"] = round(chance.uniform(15, duration * 0.8), 2), chance.choice((0.0, 3.0, 9.0))
    if chance.random() < 0.1:
        more["sync_every"] = round(chance.uniform(1.5, 7), 2)
    identical = any(len({(p.handler, p.port, p.path) for p in c.probes if p.handler != "grpc"}) < sum(p.handler != "grpc" for p in c.probes) for c in containers)
    if chance.random() < 0.2 and not identical:
        more["cut_before"] = round(chance.uniform(6, duration * 0.6), 3)
    if chance.random() < 0.2:
        more["cut_after"] = round(chance.uniform(duration * 0.7, duration), 3)
    return Scenario(f"seed-{seed}", seed, tuple(containers), version=version, duration=duration, ways=tuple(ways), v6=chance.random() < 0.3,
                    new_kernel=chance.random() < 0.7, added=round(chance.uniform(1, 3), 3), full=chance.random() < 0.5, **more)  # type: ignore[arg-type]


def _container(chance: random.Random, duration: float, port: int, name: str) -> ContainerSpec:
    types = [kind for kind, share in (("startup", 0.25), ("readiness", 0.85), ("liveness", 0.6)) if chance.random() < share] or ["readiness"]
    same = chance.random() < 0.12
    path = "/healthz" if same else ""
    period = chance.choice((1, 2, 2, 3, 5, 10))
    probes = []
    for kind in types:
        handler = chance.choice(("httpGet",) * 6 + ("tcpSocket",) * 2 + ("grpc",)) if not same else "httpGet"
        slow = chance.random() < 0.35 and not same
        probes.append(ProbeSpec(kind, handler, port + 1000 if handler == "grpc" else port, path or {"startup": "/up", "readiness": "/ready", "liveness": "/livez"}[kind],
                                period=period if same else chance.choice((1, 2, 2, 3, 5, 10)), timeout=chance.choice((2, 3, 5)) if slow else 1,
                                success=chance.choice((1, 1, 2, 3)) if kind == "readiness" else 1,
                                failure=chance.choice((10, 30)) if kind == "startup" else chance.choice((1, 2, 3, 3, 3, 5)),
                                delay=0 if same else chance.choice((0, 0, 0, 2, 5, 12)), service=kind if handler == "grpc" and chance.random() < 0.5 else ""))
    paths = [p.path for p in probes if p.handler == "httpGet"] or ["*"]
    by_age = chance.random() < 0.3
    phases = [Phase(0, OK)]
    at = chance.uniform(6, 20)
    while at < duration and chance.random() < 0.8:
        phases.append(Phase(round(at, 2), _answer(chance), chance.choice(("*", chance.choice(paths)))))
        at += chance.choice((0.6, 3.0, 8.0, 20.0)) * chance.uniform(0.6, 1.4)
        if chance.random() < 0.75:
            phases.append(Phase(round(at, 2), OK))
            at += chance.choice((1.0, 5.0, 20.0)) * chance.uniform(0.6, 1.4)
    shuts = []
    if chance.random() < 0.2:
        since = chance.uniform(5, duration)
        shuts.append((round(since, 2), round(since + chance.choice((1, 5, 15)), 2)))
    listeners = [Listener(port, tuple(phases), opens=chance.choice((0.0, 0.0, 0.0, 0.8, 4.5)), shuts=tuple(shuts), by_age=by_age, flavour=chance.choice(("go", "python", "nginx")))]
    if any(p.handler == "grpc" for p in probes):
        edges = [Phase(0, OK)]
        at = chance.uniform(8, 25)
        while at < duration and chance.random() < 0.7:
            edges.append(Phase(round(at, 2), chance.choice((Answer("not-serving"), Answer("unknown-service"), Answer(delay_s=2.4), Answer("stall")))))
            at += chance.uniform(1, 15)
            edges.append(Phase(round(at, 2), OK))
            at += chance.uniform(3, 20)
        listeners.append(Listener(port + 1000, tuple(edges), shuts=tuple(shuts), flavour="grpc"))
    crashes: tuple[float, ...] = ()
    if chance.random() < 0.15:
        crashes = tuple(round(chance.uniform(2, 30), 2) for _ in range(chance.randint(1, 3)))
        if types == ["readiness"]:
            # Undecidable: a container that waits in back-off and a kubelet that is down leave the same silence; only a liveness phase tells them apart.
            crashes = crashes[:1]
    return ContainerSpec(tuple(probes), tuple(listeners), name=name, crashes=crashes, stops_after=chance.choice((0.0, 0.0, 0.0, 2.0, 5.0)), slow_start=chance.choice((0.4, 1.5)))


def _answer(chance: random.Random) -> Answer:
    kind = chance.choice(HTTP_KINDS)
    if kind == "status":
        return Answer(status=chance.choice((503, 500, 404, 204, 503)))
    if kind == "delay":
        return Answer(delay_s=round(chance.choice((0.4, 1.5, 2.5, 6.0)) * chance.uniform(0.9, 1.3), 2))
    if kind in ("big", "chunked", "http10"):
        return Answer(kind, chance.choice((200, 503)))
    return Answer(kind)


SEEDS = (*range(80), 94, 101, 663, 672)
"""The seeds that the tests run."""


VERSIONS = ("1.17", "1.19", "1.20", "1.21", "1.22", "1.24", "1.25", "1.26", "1.27+", "1.28", "1.30", "1.30", "1.32", "1.33", "1.34", "1.35", "1.36", "1.36")


def by_wide_seed(seed: int) -> Scenario:
    """Draw a scenario of what `by_seed` does not draw: other versions, sidecars, policies, requests, places, clocks."""
    chance = random.Random(seed + 1_000_003)
    drawn = by_seed(seed + 100_000)
    version = chance.choice(VERSIONS)
    minor = int(version.split(".")[1].rstrip("+"))
    containers = [_widened(one, chance, minor) for one in drawn.containers]
    alike = any(_alike(one) for one in containers)
    if alike and minor < 23:
        version, minor = "1.25", 25  # Undecidable: without pokes nothing tells probes that ask the same apart.
    if minor >= 28 and chance.random() < 0.15:
        listener = Listener(7070, flap(round(chance.uniform(15, 40), 1), round(chance.uniform(41, 60), 1), path="/livez").answers)
        probes = tuple(replace(p, port=7070, period=chance.choice((1, 2, 5))) for p in (U, R, L) if chance.random() < 0.6) or (replace(R, port=7070),)
        containers.insert(0, ContainerSpec(probes, (listener,), name="mesh", sidecar=True, stops_after=chance.choice((0.0, 2.0))))
    more: dict[str, object] = {"version": version, "new_kernel": minor >= 28 and drawn.new_kernel, "regression": minor >= 35 and chance.random() < 0.6}
    if chance.random() < 0.15:
        more["kubelet_age"] = chance.choice((0.0, 1.0, 4.0))
    if chance.random() < 0.12:
        more["restart_policy"] = "Never"
    if drawn.deleted is not None and chance.random() < 0.5:
        more["recreated"] = round(chance.uniform(0.3, 5), 2)
        more["duration"] = drawn.duration + 30
    if chance.random() < 0.12 and not alike:
        more["host_network"] = True
        more["ways"] = tuple(way for way in drawn.ways if way.kind != "arp")
    place = chance.random()
    if place < 0.12:
        more["snaplen"] = 96 if not drawn.v6 else 116
        # Undecidable: what is cut off says whether a body came whole, and where a redirect leads.
        containers = [replace(one, listeners=tuple(replace(listener, answers=tuple(
            phase for phase in listener.answers if "body" not in phase.answer.kind and "redirect" not in phase.answer.kind)) for listener in one.listeners))
            for one in containers]
    elif place < 0.24 and not more.get("host_network"):
        more["places"] = 2
    elif place < 0.34 and drawn.cut_before is None and drawn.cut_after is None:
        more["step"] = (round(chance.uniform(10, drawn.duration - 5), 3), chance.choice((-30.0, -2.0, -0.4, 0.3, 1.7, 45.0, 3600.0)))
    more["grace"] = chance.choice((30.0, 30.0, 1.0))
    return replace(drawn, name=f"wide-{seed}", seed=seed, containers=tuple(containers), **more)  # type: ignore[arg-type]


def _alike(container: ContainerSpec) -> bool:
    """Tell whether probes of a container ask the same."""
    asked = [(p.handler, p.port, p.path * (p.handler == "httpGet"), p.service) for p in container.probes if not p.unseen]
    return len(set(asked)) < len(asked)


def _widened(container: ContainerSpec, chance: random.Random, minor: int) -> ContainerSpec:
    probes = []
    named = chance.random() < 0.15
    for probe in container.probes:
        made = probe
        if made.handler == "grpc" and minor < 24:
            made = replace(made, handler="tcpSocket")
        hidden = chance.random()
        if hidden < 0.08:
            made = replace(made, handler="exec", port=container.listeners[0].port)
        elif hidden < 0.11 and made.handler == "httpGet":
            made = replace(made, host="10.99.0.1")
        if made.handler == "httpGet" and chance.random() < 0.2:
            made = replace(made, headers=chance.choice(((("Host", "shop.example"),), (("User-Agent", "checker/1.0"),), (("X-Probe", "a"), ("X-Probe", "b")), (("Accept", ""),),
                                                        (("User-Agent", ""), ("Accept", "text/plain")), (("Host", "h"), ("Authorization", "Bearer x")))))
        if named and made.handler in ("httpGet", "tcpSocket") and made.port == container.listeners[0].port:
            made = replace(made, port_name="web")
        if made.type != "readiness" and minor >= 25 and chance.random() < 0.25:
            made = replace(made, grace=chance.choice((1, 5)))
        if chance.random() < 0.15:
            made = replace(made, period=chance.choice((4, 7, 15, 30)))
        if chance.random() < 0.1:
            made = replace(made, timeout=chance.choice((4, 10)))
        if chance.random() < 0.1:
            made = replace(made, delay=chance.choice((1, 8, 20)))
        probes.append(made)
    if all(probe.unseen for probe in probes):
        free = [one for one in (R, L, U) if one.type not in {probe.type for probe in probes}]
        if free:
            probes.append(replace(free[0], port=container.listeners[0].port))
        else:
            probes[-1] = replace(probes[-1], handler="tcpSocket", host="")
    order = {"startup": 0, "readiness": 1, "liveness": 2}
    port = container.listeners[0].port
    return replace(container, probes=tuple(sorted(probes, key=lambda p: order[p.type])), ports=(("web", port),) if named else (),
                   stops_after=chance.choice((container.stops_after, 8.0)))


WIDE_SEEDS = (1, 3, 5, 7, 9, 10, 20, 25, 30, 31, 35, 67, 97, 101, 112, 118, 119, 121, 127, 131, 135, 149, 162, 174, 177, 220, 224, 225, 231, 234, 249, 259, 288, 292, 303, 311,
              318, 332, 353, 383, 398)
"""Of these: what was read wrongly once, and of everything else that is drawn something."""


LAB_VERSIONS = ("1.20", "1.21", "1.22", "1.23", "1.24", "1.26", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36")
FAULTS = (Answer(status=503), Answer(status=503), Answer(status=500), Answer("stall"), Answer("close-now"), Answer("reset-now"), Answer("reset-body"), Answer("reset-head"),
          Answer(delay_s=2.5))


def by_lab_seed(seed: int) -> Scenario:
    """Draw what somebody would set up in a laboratory: a complete kubelet, one thing that goes wrong and comes right again, settings at their edges."""
    chance = random.Random(seed + 2_000_003)
    version = chance.choice(LAB_VERSIONS)
    minor = int(version.split(".")[1])
    duration = float(chance.choice((60, 90, 150)))
    containers = [_laboratory(chance, duration, 8080, "app", minor)]
    if chance.random() < 0.2:
        containers.append(_laboratory(chance, duration, 9090, "side", minor))
    more: dict[str, object] = {}
    what = chance.random()
    if what < 0.12:
        down = round(chance.uniform(20, duration * 0.5), 2)
        more["kubelet_down"] = ((down, round(down + chance.choice((4.0, 12.0, 20.0)), 2)),)
    elif what < 0.22:
        more["deleted"], more["pre_stop"] = round(chance.uniform(15, duration * 0.7), 2), chance.choice((0.0, 5.0, 9.0))
    elif what < 0.3:
        more["sync_every"] = round(chance.uniform(1.5, 7), 2)
    elif what < 0.4:
        since = round(chance.uniform(10, duration * 0.6), 1)
        more["ways"] = (Way(since, round(since + chance.choice((3.0, 12.0, 22.0)), 1), chance.choice(("drop", "icmp"))),)
    if chance.random() < 0.15 and not any(_alike(one) for one in containers):
        more["cut_before"] = round(chance.uniform(8, duration * 0.5), 3)
    if chance.random() < 0.1:
        more["restart_policy"] = "Never"
    if chance.random() < 0.2:
        more["kubelet_age"] = chance.choice((0.5, 3.0))
    return Scenario(f"lab-{seed}", seed, tuple(containers), version=version, duration=duration, v6=chance.random() < 0.2, new_kernel=True, full=chance.random() < 0.7,
                    added=round(chance.uniform(1, 3), 3), host_network=not more.get("cut_before") and chance.random() < 0.08, **more)  # type: ignore[arg-type]


def _laboratory(chance: random.Random, duration: float, port: int, name: str, minor: int) -> ContainerSpec:
    """Draw a container: mostly one or two probes, of which one is put to the test."""
    types = chance.choice((("readiness",), ("readiness",), ("readiness", "liveness"), ("readiness", "liveness"), ("liveness",), ("startup", "readiness", "liveness"),
                           ("startup", "liveness"), ("startup", "readiness")))
    same = chance.random() < 0.25 and minor >= 23
    handler = chance.choice(("httpGet",) * 5 + ("tcpSocket",) * 2 + (("grpc",) if minor >= 24 else ()))
    period = chance.choice((1, 1, 2, 2, 3, 5, 10))
    probes = []
    for kind in types:
        mine = handler if same or chance.random() < 0.7 else "httpGet"
        path = "/healthz" if same else {"startup": "/up", "readiness": "/ready", "liveness": "/livez"}[kind]
        probe = ProbeSpec(kind, mine, port + 1000 if mine == "grpc" else port, path, period=period if same or chance.random() < 0.5 else chance.choice((1, 2, 3, 5, 10)),
                          timeout=chance.choice((1, 1, 1, 2, 3, 5)), success=chance.choice((1, 1, 1, 2, 3)) if kind == "readiness" else 1,
                          failure=chance.choice((5, 30)) if kind == "startup" else chance.choice((1, 2, 3, 3, 5)), delay=0 if same else chance.choice((0, 0, 0, 1, 3, 10, 35)),
                          service=kind if mine == "grpc" and not same and chance.random() < 0.6 else "")
        if mine == "httpGet" and chance.random() < 0.15:
            probe = replace(probe, headers=chance.choice(((("Host", "shop.example"),), (("X-Probe", "a"), ("X-Probe", "b")), (("User-Agent", "checker/1.0"),), (("Accept", ""),))))
        if mine != "grpc" and chance.random() < 0.15:
            probe = replace(probe, port_name="web")
        if kind != "readiness" and minor >= 25 and chance.random() < 0.25:
            probe = replace(probe, grace=chance.choice((1, 5)))
        if chance.random() < 0.06 and len(types) > 1:
            probe = replace(probe, handler="exec", port=port)
        probes.append(probe)
    if all(probe.unseen for probe in probes):
        probes[0] = replace(probes[0], handler="httpGet")
    bad = chance.choice(FAULTS)
    by_age = chance.random() < 0.6 and "liveness" in types
    path = chance.choice(("*", "*", next((p.path for p in probes if p.handler == "httpGet"), "*")))
    since = round(chance.uniform(6, 14) if by_age else chance.uniform(10, duration * 0.5), 1)
    phases = (Phase(0, OK), Phase(since, bad, path), *(() if by_age and chance.random() < 0.7 else (Phase(since + chance.choice((4.0, 9.0, 16.0)), OK),)))
    opens = chance.choice((0.0, 0.0, 0.5, 4.0, 900.0 if "startup" in types and chance.random() < 0.3 else 0.0))
    shuts = ((since, since + chance.choice((3.0, 11.0))),) if chance.random() < 0.2 else ()
    listeners = [Listener(port, phases, opens=opens, shuts=shuts, by_age=by_age, flavour=chance.choice(("go", "python", "nginx")))]
    if any(p.handler == "grpc" for p in probes):
        down = chance.choice((Answer("not-serving"), Answer("not-serving"), Answer("unknown-service"), Answer("stall")))
        listeners.append(Listener(port + 1000, (Phase(0, OK), Phase(since, down), Phase(since + 9, OK)), opens=opens, shuts=shuts, by_age=by_age, flavour="grpc"))
    crashes = tuple(round(chance.uniform(3, 25), 1) for _ in range(chance.randint(1, 4))) if chance.random() < 0.15 else ()
    return ContainerSpec(tuple(probes), tuple(listeners), name=name, crashes=crashes, stops_after=chance.choice((0.0, 0.0, 0.0, 1.0, 3.0)), slow_start=chance.choice((0.3, 0.8)),
                         ports=(("web", port),))


LAB_SEEDS = (*range(30), 48, 54, 135, 6051)
"""Of these: the first, and what was read wrongly once."""


def by_stopped_seed(seed: int) -> Scenario:
    """Draw a laboratory whose kubelet gets no CPU now and then, for a moment or for seconds."""
    chance = random.Random(seed + 3_000_003)
    drawn = by_lab_seed(seed + 500_000)
    at, stops = chance.uniform(6, 20), []
    while at < drawn.duration - 3 and len(stops) < 3:
        long = chance.choice((0.15, 0.4, 1.0, 2.0, 4.0)) * chance.uniform(0.7, 1.4)
        stops.append((round(at, 3), round(at + long, 3)))
        at += long + chance.uniform(3, 30)
    return replace(drawn, name=f"stopped-{seed}", seed=seed, stops=tuple(stops), kubelet_down=(), deleted=None)


STOPPED_SEEDS = (2, 3, 6, 14, 15, 16, 20, 23, 24, 41, 44, 49, 52, 54, 56, 59, 62, 64, 68, 71, 76, 84, 88, 89, 94, 97, 99, 109, 110, 115)
"""Of these: what was read wrongly once."""
