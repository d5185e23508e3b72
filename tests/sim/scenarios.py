"""Scenarios for the simulator: by hand, and by seed."""

from __future__ import annotations

import random
from dataclasses import replace

from kubelet import ContainerSpec, Scenario
from prober import ProbeSpec
from server import OK, Answer, Listener, Phase, Way

BAD = Answer(status=503)
R, L, U = ProbeSpec("readiness"), ProbeSpec("liveness", path="/livez"), ProbeSpec("startup", path="/up", period=1, failure=30)


def one(*probes: ProbeSpec, listener: Listener = Listener(8080), **more: object) -> tuple[ContainerSpec, ...]:
    """One container."""
    return (ContainerSpec(probes, (listener,), **more),)  # type: ignore[arg-type]


def flap(*edges: float, path: str = "*", bad: Answer = BAD, **more: object) -> Listener:
    """Good first, then bad and good by turns."""
    phases = [Phase(0, OK)] + [Phase(edge, bad if number % 2 == 0 else OK, path) for number, edge in enumerate(edges)]
    return Listener(8080, tuple(phases), **more)  # type: ignore[arg-type]


def by_hand() -> list[Scenario]:
    """Return the scenarios that the reference measured and did not show, and some that bite."""
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
        Scenario("crash-loop-slow", 23, one(R, crashes=(21.3, 22.0, 8.0)), duration=100),
        Scenario("k132-kubelet-restart", 24, one(replace(R, period=3), replace(L, period=3)), version="1.32", kubelet_down=((25, 45),), duration=70),
        Scenario("k136-kubelet-restart", 25, one(replace(R, period=3), replace(L, period=3)), kubelet_down=((25, 45),), duration=70),
        Scenario("k136-kubelet-quick", 26, one(replace(R, period=5), replace(L, period=10)), kubelet_down=((25, 27.5),), duration=70),
        Scenario("terminating", 27, one(replace(R, period=1), replace(L, period=1)), deleted=17, pre_stop=9, duration=35),
        Scenario("terminating-slow", 28, one(replace(R, period=1, failure=2), replace(L, period=1), listener=flap(20), stops_after=6.0), deleted=17, pre_stop=3, duration=40),
        Scenario("initial-delay-all", 29, one(replace(U, delay=4), replace(R, delay=7), replace(L, delay=12, period=3))),
        Scenario("initial-delay-restart", 30, one(replace(R, delay=5), replace(L, delay=6, period=1), listener=flap(14, path="/livez", by_age=True)), duration=80),
        Scenario("p1-t5-hung", 31, one(replace(R, period=1, timeout=5), listener=flap(12, 32, bad=stall))),
        Scenario("p1-t5-hung-both", 32, one(replace(R, period=1, timeout=5), replace(L, period=1, timeout=5, failure=10), listener=flap(12, 32, bad=stall))),
        Scenario("failure-1", 33, one(replace(R, failure=1), replace(L, failure=1, period=5), listener=flap(12, 13.5, 20, 24.2, 37, 37.3))),
        Scenario("success-3", 34, one(replace(R, success=3, period=1), listener=flap(12, 16, 22, 25, 28, 29))),
        Scenario("two-containers", 35, (ContainerSpec((R, L), (flap(15, 22),)), ContainerSpec((replace(R, port=9090, period=3), replace(L, port=9090)), (
            Listener(9090, (Phase(0, OK), Phase(20, BAD, "/livez")), by_age=True),), name="side")), duration=70),
        Scenario("one-port-closed", 36, one(R, L, listener=Listener(8080, shuts=((14.3, 16.9), (30, 39)))), duration=70),
        Scenario("one-port-late", 37, one(R, replace(L, delay=2), listener=Listener(8080, opens=5.5)), duration=50),
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
        chance = random.Random(scenario.seed * 7919)
        cuts.append(replace(scenario, name=f"{scenario.name}-mid", cut_before=round(chance.uniform(8, scenario.duration * 0.6), 3)))
    return out + cuts
