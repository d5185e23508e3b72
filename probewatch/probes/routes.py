"""Patterns over the links that attempts went by: another interface than before, two owners of one address, a gateway that is not there.

A pattern must not see shapes in noise: each wants attempts that went well by the same places to compare with, or frames that say
it themselves.

Limitations: what a route or an interface was changed to on the node no packet says; nor which of two pods should have an address.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from probewatch.model.diagnoses import Kind
from probewatch.model.rotated import rotated_sets
from probewatch.model.timeline import Attempt, Cause, Outcome
from probewatch.model.units import MS, SECOND

from .diagnose import NO_MAC, Found
from .places import Point, names, point_of
from .scene import Scene, connected, grouped, silent

FIRST_TTLS: Final = frozenset({64, 128, 255})
"""TTLs that kernels begin with: no router lies between."""
NEAR_NS: Final = 5 * SECOND
"""How near an attempt must be to a request for the gateway that nobody answers: kernels ask again and again."""
AT_ONCE_NS: Final = 10 * MS
"""How soon behind a SYN its kernel asks for where to send the SYN-ACK."""
WHICH_WAY: Final = (
    "In the pod (nsenter -t PID -n): ip route get NODEADDRESS, ip rule, ip addr. Is there a second network (Multus) whose routes, or whose "
    "default gateway, take in the node's address?"
)
FIRST_INTERFACE: Final = (
    "Let the pod answer the node by its first interface: take the node's address out of the second network's routes."
)
"""What to check and what to do where a pod's answers leave by another interface than the checker's SYNs arrive at."""
TESTED_NS: Final = SECOND
"""How long an address stays tentative behind its test, and may have been before it (RFC 4862 section 5.4; RFC 4861 section 10)."""
ALIKE: Final = 3
"""Letters that the names of a CNI's interfaces begin with alike (`veth12ab`, `cali34cd`): another one of them is a new pod's."""
_LOST: Final = frozenset({Cause.NO_SYN_ANSWER, Cause.UNREACHABLE, Cause.GRPC_CONNECT})


def rerouted(scene: Scene) -> None:
    """See SYNs that left by another interface than those that were answered (D48)."""
    sets = rotated_sets(scene.captures)
    for places in _by_address(scene):
        went: Counter[Point] = Counter()
        for _, a in _attempts(scene, places):
            if connected(a):
                went.update(point_of(sighting, sets) for sighting in a.legs[0].connection.sightings)
        if not went:
            continue
        named: dict[Point, str] = {}
        for place, a in _attempts(scene, places):
            c = a.legs[-1].connection
            left = [point_of(sighting, sets) for sighting in c.sightings]
            # (Elsewhere at one place of capture: another file may have covered another time.)
            elsewhere = bool(left) and went.keys().isdisjoint(left) and {at[0] for at in left} <= {at[0] for at in went}
            if not elsewhere or a.cause not in _LOST or c.resp.packets:
                continue
            named = named or names(scene.captures, [*went, *left])
            usual = [at for at, _ in went.most_common() if at[0] == left[0][0]]
            here, there = named.get(left[0], ""), named.get(usual[-1], "")
            if not here or not there or here[:ALIKE] == there[:ALIKE]:
                continue
            text = (
                f"The SYN left by {here}; those that were answered went by {there}: the node's route to the pod changed, or the "
                "pod's interface is gone or down."
            )
            if c.icmp is not None:
                text += f" (The ICMP error, {c.icmp.explain()}, is of {c.icmp.reporter}, where it went instead.)"
            scene.say(place, [a], Found(Kind.ROUTE_CHANGED, text))


def same_address(scene: Scene) -> None:
    """See one address answered for from two link-layer addresses in turn (D49)."""
    for places in _by_address(scene):
        if any(scene.probes[place].checker.kind != "kubelet" for place in places):
            continue  # (an address that moves between two machines is meant to)
        by_file: dict[int, list[tuple[int, bytes, int, Attempt]]] = defaultdict(list)
        for place, a in _attempts(scene, places):
            c = a.legs[0].connection
            if c.resp.packets and c.resp.mac not in (b"", NO_MAC) and c.resp.ttl in FIRST_TTLS:
                by_file[c.start.file].append((a.start.ns, c.resp.mac, place, a))
        for seen in by_file.values():
            seen.sort(key=lambda one: one[:1])
            macs = [mac for _, mac, _, _ in seen]
            if not _in_turn(macs):
                continue
            count = Counter(macs)
            told = ", ".join(f"{mac.hex(':')} ({number} attempts)" for mac, number in count.most_common(3))
            address = scene.probes[places[0]].target.address
            text = f"{address} is answered for from {len(count)} MAC addresses in turn, {told}: it was given twice."
            # Which of them the probe is meant for, the packets do not say; the failures are of those that fail.
            for place in places:
                bad = [a for _, _, at, a in seen if at == place and a.outcome is not Outcome.SUCCESS]
                mine = [a for _, _, at, a in seen if at == place]
                if bad:
                    scene.say(place, bad, Found(Kind.DUPLICATE_ADDRESS, text))
                elif mine:
                    scene.note(place, mine, Found(Kind.DUPLICATE_ADDRESS, text))


def gateway(scene: Scene) -> None:
    """See pods that ask in vain for who would take their answers (D50)."""
    for places in _by_address(scene):
        rounds = scene.heard.asked.get(scene.probes[places[0]].target.address, ())
        if not rounds:
            continue
        lost = [(place, a) for place in places for a in silent(scene, place)]
        syns = sorted(mark.ns for _, a in lost for leg in a.legs for mark in leg.connection.orig.syns)
        for server in dict.fromkeys(one.server for one in rounds):
            mine = [one for one in rounds if one.server == server]
            # (A pod asks for others too: it is the SYN-ACK that waits for this one where it is asked for right behind a SYN.)
            if not any(_follows(syns, one.start.ns) for one in mine):
                continue
            text = (
                f"The pod asks for {server} (ARP or ND), to which it hands what it sends, and nobody answers: its answers "
                "cannot leave."
            )
            before = {c.resp.mac for _, a in _attempts(scene, places) if (c := a.legs[0].connection).resp.packets}
            elsewhere = next((one.mac for one in mine if one.mac and one.mac not in before), b"")
            advice = check = ""
            if elsewhere and before - {b"", NO_MAC}:
                usual = min(before - {b"", NO_MAC})
                text = (
                    f"The pod asks for {server} (ARP or ND) in vain, and from another interface (MAC {elsewhere.hex(':')}) than its "
                    f"answers came by before ({usual.hex(':')}): its way back to the checker is not the way there."
                )
                check, advice = WHICH_WAY, FIRST_INTERFACE
            for place, a in lost:
                if any(one.start.ns - NEAR_NS <= a.end_ns and a.start.ns <= one.end.ns + NEAR_NS for one in mine):
                    scene.say(place, [a], Found(Kind.GATEWAY_UNRESOLVED, text, (), advice, check))


def tested(scene: Scene) -> None:
    """See addresses that nobody answered for because they were still being tested for duplicates (D39)."""
    for place, probe in enumerate(scene.probes):
        for a in probe.attempts if probe.target.address in scene.heard.tentative else ():
            if scene.kind(place, a) != Kind.NOBODY_AT_ADDRESS:
                continue
            for test in scene.heard.tentative[probe.target.address]:
                if a.start.ns <= test.ns + TESTED_NS and test.ns - TESTED_NS <= a.end_ns:
                    text = (
                        f"The pod's address was still tentative: the pod asked whether another has it (frame {test.number}, duplicate "
                        "address detection), and answers for it only a second later."
                    )
                    advice = (
                        "Nothing, if it is over with that. Else let the CNI wait for the address before it says that the pod's network is "
                        "there, or set it without the test (nodad)."
                    )
                    scene.say(place, [a], Found(Kind.NOBODY_AT_ADDRESS, text, advice=advice))
                    break


def _follows(syns: Sequence[int], ns: int) -> bool:
    """Tell whether a moment is right behind one of these, which are in order."""
    at = bisect_right(syns, ns)
    return at > 0 and ns - syns[at - 1] <= AT_ONCE_NS


def _in_turn(macs: list[bytes]) -> bool:
    """Tell whether one comes again after another one: a pod that was replaced does not come back."""
    gone: set[bytes] = set()
    for before, mac in pairwise(macs):
        if mac != before:
            gone.add(before)
            if mac in gone:
                return True
    return False


def _by_address(scene: Scene) -> Iterable[list[int]]:
    """Return the places of the probes of each address."""
    return grouped(scene, lambda probe: probe.target.address)


def _attempts(scene: Scene, places: list[int]) -> Iterator[tuple[int, Attempt]]:
    """Return their attempts that sent anything."""
    for place in places:
        for a in scene.probes[place].attempts:
            if a.legs:
                yield place, a
