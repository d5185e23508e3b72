"""Patterns over attempts that got no connection: which source ports, which addresses, after what, and who else.

A pattern must not see shapes in noise: each states how many attempts it wants, and what must speak against chance.

Limitations: only probes are looked at. What other connections of a node did meanwhile is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from heapq import merge
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.diagnoses import DIAGNOSES, Kind
from probewatch.model.frame import Mark
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Outcome,
)
from probewatch.model.units import MINUTE, SECOND, briefly

from .diagnose import PROMPT_NS, Found, challenged
from .places import at_pod
from .scene import (
    SILENT,
    Scene,
    by_checker,
    by_target,
    connected,
    runs,
    silent,
    together,
)

NODE_PORTS: Final = (30_000, 32_767)
"""Ports of Services of type NodePort (kube-apiserver --service-node-port-range)."""
EPHEMERAL: Final = 28_232
"""Ports in Linux' usual range of source ports, 32768-60999."""
CHANCE: Final = 1e-3
"""Source ports that fall into one range by chance more often than this prove nothing."""
AGAIN: Final = 3
"""Source ports that come again so often within a minute do not do so by chance."""
FEWEST: Final = 3
"""Pods that must fall silent together before it is the node: two may share something else."""
OFTEN: Final = 3
"""Single attempts of a probe whose SYNs were lost, from which on it is no chance."""
TIME_WAIT_NS: Final = MINUTE
"""How long Linux keeps the port of a connection that it closed first (TCP_TIMEWAIT_LEN)."""


def on_the_way(scene: Scene) -> None:
    """See between which vantage points a segment was lost (D05, D06, D07)."""
    for place, probe in enumerate(scene.probes):
        for a in probe.attempts:
            died = next(
                (one for leg in reversed(a.legs) for one in leg.died if one.missing or one.delay_ns is None), None
            )
            if died is None or a.outcome is Outcome.SUCCESS:
                continue
            own = scene.found[place].get(a.n)
            if own is not None and own.kind == Kind.BIG_SEGMENTS_LOST:
                continue
            kinds = _LOST_BEFORE if a.cause in (Cause.NO_SYN_ANSWER, Cause.GRPC_CONNECT) else _LOST_AFTER
            kind = kinds.get(died.segment)
            if kind is None or (not died.missing and scene.kind(place, a) not in SILENT):
                continue
            if died.missing:
                scene.say(place, [a], Found(kind, f"{died.sentence}."))
            elif at_pod(died):
                scene.say(place, [a], Found(Kind.LISTEN_QUEUE_FULL, f"{died.sentence}.", (Kind.SYN_UNANSWERED,)))
            elif died.flooded:
                text = f"{died.sentence}: the bridge knows no interface for the MAC address that it was sent to."
                scene.say(place, [a], Found(Kind.WRONG_MAC, text, (Kind.SYN_UNANSWERED,)))
            else:
                text = f"{died.sentence}: it was dropped behind that, or the pod did not answer."
                scene.say(place, [a], Found(Kind.SYN_UNANSWERED, text, (Kind.LISTEN_QUEUE_FULL, Kind.LOST_BEFORE_POD)))


_LOST_BEFORE: Final = {"SYN": Kind.LOST_BEFORE_POD, "SYN-ACK": Kind.SYN_ACK_LOST, "ACK": Kind.LOST_BEFORE_POD}
"""Which segment was lost -> what that means for an attempt without connection."""
_LOST_AFTER: Final = {"ACK": Kind.REQUEST_LOST, "request": Kind.REQUEST_LOST, "answer": Kind.ANSWER_LOST}
"""The same for an attempt that got one."""


def wrong_mac(scene: Scene) -> None:
    """See SYNs that left for another link-layer address than those of the same target that were answered (D46)."""
    lost = [(place, a) for place in range(len(scene.probes)) for a in silent(scene, place) if a.legs]
    ways = {_way(a) for _, a in lost}
    answered: dict[tuple[str, str, int], set[bytes]] = defaultdict(set)
    for probe in scene.probes if ways else ():
        for a in probe.attempts:
            if a.legs and connected(a) and (way := _way(a)) in ways and a.legs[0].connection.orig.to_mac:
                answered[way].add(a.legs[0].connection.orig.to_mac)
    for place, a in lost:
        mac, good = a.legs[0].connection.orig.to_mac, answered.get(_way(a))
        if mac and good and mac not in good:
            usual = ", ".join(one.hex(":") for one in sorted(good)[:2])
            text = f"The SYN was sent to the MAC address {mac.hex(':')}; those that were answered went to {usual}."
            scene.say(place, [a], Found(Kind.WRONG_MAC, text))


def _way(attempt: Attempt) -> tuple[str, str, int]:
    """Return between whom an attempt went, and which input saw it first: a frame's link-layer addresses are of one link."""
    connection = attempt.legs[0].connection
    return connection.client, connection.server, connection.start.file


def source_ports(scene: Scene) -> None:
    """See failures that belong to source ports of one range (D07)."""
    for places in by_checker(scene):
        failed = [(place, a) for place in places for a in silent(scene, place)]
        ports = sorted(a.legs[0].connection.client_port for _, a in failed if a.legs)
        if len(ports) < 3:
            continue
        good = [a.legs[0].connection.client_port for p in places for a in scene.probes[p].attempts if connected(a)]
        if len(good) < 5:
            continue
        low, high = ports[0], ports[-1]
        named = NODE_PORTS[0] <= low and high <= NODE_PORTS[1]
        if named:
            low, high = NODE_PORTS
        if any(low <= port <= high for port in good):
            continue
        share = (high - low + 1) / EPHEMERAL
        by_chance = share ** len(ports) if named else len(ports) * share ** (len(ports) - 1)
        # Source ports of one target follow each other: a single stretch of failures proves no range, unless it is a known one.
        several = any(len(runs(scene.probes[p].attempts, {a.n for q, a in failed if q == p})) > 1 for p in places)
        if by_chance > CHANCE or not (named or several):
            continue
        what = "the NodePort range" if named else "one range"
        text = (
            f"All {len(ports)} attempts without connection came from source ports {ports[0]}-{ports[-1]} ({what}); "
            f"the {len(good)} others were answered."
        )
        for place in places:
            scene.say(place, [a for p, a in failed if p == place], Found(Kind.SOURCE_PORTS, text))


def source_address(scene: Scene) -> None:
    """See failures that belong to another source address than the successes (D37)."""
    for places in by_target(scene):
        failed: dict[str, list[tuple[int, Attempt]]] = defaultdict(list)
        # A dial that was given up may be answered when the way is open again: that says nothing of its time.
        given_up: set[tuple[int, int]] = set()
        for place in places:
            for a in silent(scene, place):
                failed[a.legs[0].connection.client].append((place, a))
                given_up.add((place, a.n))
        if not failed:
            continue
        good = {
            a.legs[0].connection.client
            for place in places
            for a in scene.probes[place].attempts
            if connected(a) and (place, a.n) not in given_up
        }
        for client, those in failed.items():
            if client in good or not good or len(those) < 2:
                continue
            usual = ", ".join(sorted(good)[:2])
            text = f"The {len(those)} attempts from {client} got no connection; those from {usual} did."
            for place in places:
                scene.say(place, [a for p, a in those if p == place], Found(Kind.SOURCE_ADDRESS, text))


def queue_full(scene: Scene) -> None:
    """See silence right after connections that the application never took or closed (D06)."""
    for places in by_target(scene):
        dead = {place: {a.n for a in silent(scene, place)} for place in places}
        if not any(dead.values()):
            continue
        mine = sorted(
            ((a.start.ns, place, a) for place in places for a in scene.probes[place].attempts if a.legs),
            key=lambda t: t[0],
        )
        left_open: list[Attempt] = []
        for _, place, a in mine:
            if a.n in dead[place]:
                still = [one for one in left_open if _waits(one, a)]
                if still:
                    later = "had not taken yet" if any(map(_taken, still)) else "never closed"
                    text = (
                        f"The SYN is not answered any more after {len(still)} connection{'s' if len(still) > 1 else ''} that "
                        f"the pod's kernel opened and the application {later}: it no longer accepts, and its listen queue is full."
                    )
                    scene.say(place, [a], Found(Kind.LISTEN_QUEUE_FULL, text))
            elif connected(a):
                orig, resp = a.legs[-1].connection.orig, a.legs[-1].connection.resp
                given_up = orig.fin is not None and (orig.rst is None or orig.rst > orig.fin)
                taken = _taken(a)
                if resp.packets and given_up and (taken is None or taken.ns > a.end_ns + SECOND):
                    left_open.append(a)
                else:
                    left_open = []


def _waits(attempt: Attempt, behind: Attempt) -> bool:
    """Tell whether the application had not taken an attempt's connection when a later one's SYN went unanswered."""
    taken, reset = _taken(attempt), attempt.legs[-1].connection.resp.rst
    # The application's end resets what it never took: then it is that end which answers nobody.
    return (taken is None or taken.ns > behind.start.ns) and (reset is None or reset.ns > behind.end_ns)


def _taken(attempt: Attempt) -> Mark | None:
    """Return when the application first did anything on an attempt's last connection: answered, closed or ended it."""
    resp = attempt.legs[-1].connection.resp
    return min((mark for mark in (resp.first_data, resp.fin, resp.rst) if mark is not None), default=None)


def one_lost(scene: Scene) -> None:
    """See attempts without connection among good ones, each too short for a second SYN: one, or so many that it is no chance (D40)."""
    for place, probe in enumerate(scene.probes):
        chosen = {a.n for a in silent(scene, place) if a.latency_ns <= SECOND + SECOND // 20}
        where = {a.n: at for at, a in enumerate(probe.attempts)}
        between: list[list[Attempt]] = []
        for lost in runs(probe.attempts, chosen):
            at, behind = where[lost[0].n], where[lost[-1].n] + 1
            around = [*probe.attempts[max(0, at - 1) : at], *probe.attempts[behind : behind + 1]]
            if len(around) == 2 and all(map(connected, around)):
                between.append(list(lost))
        alone = [lost for lost in between if len(lost) == 1]
        struck, text = alone, ""
        if len(alone) >= OFTEN:
            struck = [lost for lost in between if len(lost) < OFTEN]
            number = sum(map(len, struck))
            text = (
                f"The SYNs (or their answers) of {number} of {len(probe.attempts)} attempts were lost, one here and one there: "
                "the way to the pod loses packets."
            )
        for lost in struck:
            scene.say(place, lost, Found(Kind.ONE_LOST_SYN, text))


def node_wide(scene: Scene) -> None:
    """See several targets of one checker fall silent in the same seconds (D41, D10)."""
    for places in by_checker(scene):
        places = [place for place in places if scene.probes[place].checker.kind == "kubelet"]
        for kinds, kind, others in (
            ({Kind.SYN_UNANSWERED}, Kind.NEW_CONNECTIONS_DROPPED, (Kind.NODE_STALLED, Kind.LOST_BEFORE_POD)),
            ({Kind.NODE_STALLED, Kind.REQUEST_LOST}, Kind.NODE_STALLED, ()),
        ):
            lost = [
                (a.start.ns, place, a)
                for place in places
                for a in scene.probes[place].attempts
                if scene.kind(place, a) in kinds
            ]
            for group in together(sorted(lost, key=lambda t: t[0])):
                struck = {scene.probes[place].target.address for _, place, _ in group}
                begun, over = group[0][0], max(a.end_ns for _, _, a in group)
                tried = {
                    scene.probes[place].target.address
                    for place in places
                    for a in scene.probes[place].attempts
                    if begun <= a.start.ns <= over and connected(a) and scene.kind(place, a) not in kinds
                }
                if len(struck) < FEWEST or tried:
                    continue
                within = briefly(max(over - begun, SECOND))
                text = (
                    f"{len(struck)} pods of this node fell silent within the same {within}: {DIAGNOSES[kind].sentence}"
                )
                for place in places:
                    scene.say(place, [a for _, p, a in group if p == place], Found(kind, text, others))


def late_handshakes(scene: Scene) -> None:
    """See kernels of several pods answer late in the same seconds (D10)."""
    for places in by_checker(scene):
        late = sorted(
            (
                (a.start.ns, place, a)
                for place in places
                for a in scene.probes[place].attempts
                if a.outcome is Outcome.FAILURE
                and a.legs
                and (a.legs[0].connect_ns or 0) > PROMPT_NS
                and len(a.legs[0].connection.orig.syns) == 1
            ),
            key=lambda t: t[0],
        )
        for group in together(late):
            struck = {scene.probes[place].target.address for _, place, _ in group}
            if len(struck) < 2 or any(scene.probes[place].checker.kind != "kubelet" for _, place, _ in group):
                continue
            slowest = briefly(max(a.legs[0].connect_ns or 0 for _, _, a in group))
            text = (
                f"The kernels of {len(struck)} pods took up to {slowest} to answer a SYN in the same seconds: "
                "the node itself stalled."
            )
            for place in places:
                scene.say(place, [a for _, p, a in group if p == place], Found(Kind.NODE_STALLED, text))


def port_reused(scene: Scene) -> None:
    """See a source port that came again to the same target too soon, and was not taken for a new connection (D42)."""
    last: dict[tuple[object, ...], tuple[int, bool]] = {}
    again: dict[int, list[Attempt]] = defaultdict(list)

    def tries(place: int) -> Iterator[tuple[int, int, Attempt, Connection]]:
        for a in scene.probes[place].attempts:
            for leg in a.legs:
                yield leg.connection.start.ns, place, a, leg.connection

    kubelets = [place for place, probe in enumerate(scene.probes) if probe.checker.kind == "kubelet"]
    # (One connection of each probe at a time: they are many, and may be packed.)
    for ns, place, a, connection in merge(*map(tries, kubelets), key=lambda t: t[0]):
        while last and ns - last[oldest := next(iter(last))][0] >= TIME_WAIT_NS:
            del last[oldest]
        key = connection.client, connection.client_port, connection.server, connection.server_port
        before, first = last.pop(key, (-(1 << 62), False))
        if 0 <= ns - before < TIME_WAIT_NS:
            if challenged(connection):
                text = (
                    f"Source port {connection.client_port} came again to the same target {briefly(ns - before)} after its last "
                    "use, and the SYN was not taken for a new connection at once."
                )
                if a.outcome is Outcome.SUCCESS:
                    scene.note(place, [a], Found(Kind.PORT_REUSED, text))
                else:
                    scene.say(place, [a], Found(Kind.PORT_REUSED, text))
            elif first:
                again[place].append(a)
        orig, resp = connection.orig, connection.resp
        last[key] = connection.end.ns, orig.fin is not None and (resp.fin is None or orig.fin < resp.fin)
    for place, attempts in again.items():
        if len(attempts) >= AGAIN:
            text = (
                f"Source ports come again to the same target within a minute ({len(attempts)} times) after the checker closed "
                "first: the node takes them out of TIME-WAIT, because it has few."
            )
            scene.note(place, attempts, Found(Kind.PORT_REUSED, text))


def arrived(scene: Scene) -> None:
    """See SYNs that nothing answered where the address itself was captured: they arrived, and no other capture is needed (D06)."""
    for place, probe in enumerate(scene.probes):
        lost = [a for a in probe.attempts if probe.target.here and scene.kind(place, a) == Kind.SYN_UNANSWERED]
        if lost:
            scene.say(
                place,
                lost,
                Found(
                    Kind.SYN_UNANSWERED,
                    "The SYN arrived here, where its address is, and nothing answered it.",
                    (Kind.LISTEN_QUEUE_FULL,),
                    "A full queue: the application hangs and no longer accepts. Else let the node's source address through what drops it.",
                    "Here, in the network namespace that was captured: ss -lnt (Recv-Q above Send-Q is a full listen queue), iptables-save "
                    "-c, nft list ruleset, the network policy as the CNI has it at this interface, rp_filter.",
                ),
            )


def hosted(scene: Scene) -> None:
    """See refusals over loopback of a Pod that its manifest puts on the node's network: nothing else is wrong with its address (D01)."""
    for place, probe in enumerate(scene.probes):
        mine = [a for a in probe.attempts if probe.target.host_network and scene.kind(place, a) == Kind.LOCAL_ADDRESS]
        if mine:
            scene.say(
                place,
                mine,
                Found(
                    Kind.NOTHING_LISTENS,
                    "The node's kernel refused the connection: nothing listens on this port of the node (hostNetwork).",
                    check="ss -lntp on the node: does the process run, on this port, on this address (not only 127.0.0.1), in this family? "
                    "Does another process hold the port? Restarts, kubectl logs --previous.",
                ),
            )
