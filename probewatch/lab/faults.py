"""What goes wrong between node and pod, at its time, and is mended again.

Each kind is a row of `FAULTS`: a function that makes it and returns how to undo it. Packets are lost by rules of
iptables, arptables and ebtables in the namespaces of the run, never in the host's; addresses and sysctls are of those
namespaces too.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from probewatch.capture.netns import inside

from .namespaces import netlink
from .network import GATEWAY, NODAD, NODES, Cluster, Place, set_sysctls
from .state import LabError

Undo = Callable[[], None]
SECOND: Final = ("10.128.1.254", "fd01:0:0:1::fff")
"""The node's second addresses."""
PATIENCE_S: Final = 10.0
"""Seconds after which iptables is taken to hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong for a while."""

    kind: str
    at_s: float
    """Seconds from the beginning of the scenario."""
    for_s: float = 1e9
    port: int = 8080
    pod: int = 0
    """Which pod of the scenario, from 0."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where faults happen."""

    cluster: Cluster
    places: Sequence[Place]
    ipv6: bool
    kubelet: Callable[[int], None]
    """Sends the prober a signal."""

    def address(self, place: Place) -> str:
        """Return the pod's address of the family in use."""
        return place.address6 if self.ipv6 else place.address


def _rule(netns: str, program: str, *words: str) -> Undo:
    """Add a rule and return how to delete it."""
    if shutil.which(program) is None:
        raise LabError(f"this scenario needs {program}, which is not installed")

    def call(verb: str) -> None:
        wait = ("-w", "5") if program.startswith("ip") else ()
        done = inside(
            netns,
            lambda: subprocess.run(
                [program, *wait, verb, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
            ),
        )
        if done.returncode:
            raise LabError(f"{program} {verb} {' '.join(words)} did not work: {done.stderr.strip()}")

    call("-A")
    return lambda: call("-D")


def _iptables(scene: Scene) -> str:
    return "ip6tables" if scene.ipv6 else "iptables"


def drop_syn(scene: Scene, fault: Fault) -> Undo:
    """Drop SYNs in the pod: seen at its veth, answered by nothing."""
    netns = scene.cluster.netns(scene.places[fault.pod].name)
    return _rule(netns, _iptables(scene), "INPUT", "-p", "tcp", "--dport", str(fault.port), "--syn", "-j", "DROP")


def drop_before_pod(scene: Scene, fault: Fault) -> Undo:
    """Drop what is for the pod on the node's bridge: seen on tun0, not on the veth."""
    place = scene.places[fault.pod]
    protocol = "IPv6" if scene.ipv6 else "IPv4"
    more = ("--ip6-protocol", "tcp") if scene.ipv6 else ("--ip-protocol", "tcp")
    return _rule(
        scene.cluster.netns(NODES[0]), "ebtables", "OUTPUT", "-o", place.link, "-p", protocol, *more, "-j", "DROP"
    )


def lose_syn_ack(scene: Scene, fault: Fault) -> Undo:
    """Drop the pod's SYN-ACKs on the node; the veth still shows them."""
    netns = scene.cluster.netns(NODES[0])
    words = ("INPUT", "-p", "tcp", "--sport", str(fault.port), "--tcp-flags", "SYN,ACK", "SYN,ACK", "-j", "DROP")
    return _rule(netns, _iptables(scene), *words)


def reject(scene: Scene, fault: Fault) -> Undo:
    """Answer SYNs with ICMP `administratively prohibited`, as a firewall does."""
    netns = scene.cluster.netns(scene.places[fault.pod].name)
    how = "icmp6-adm-prohibited" if scene.ipv6 else "icmp-admin-prohibited"
    words = ("INPUT", "-p", "tcp", "--dport", str(fault.port), "-j", "REJECT", "--reject-with", how)
    return _rule(netns, _iptables(scene), *words)


def lose_big(scene: Scene, fault: Fault) -> Undo:
    """Lose big segments and say nothing: a path of small MTU, without the ICMP that would tell."""
    netns = scene.cluster.netns(NODES[0])
    words = ("INPUT", "-p", "tcp", "--sport", str(fault.port), "-m", "length", "--length", "600:65535", "-j", "DROP")
    return _rule(netns, _iptables(scene), *words)


def silence_neighbour(scene: Scene, fault: Fault) -> Undo:
    """Answer no ARP (IPv6: no neighbour solicitation), and let the node forget the pod."""
    from pyroute2.netlink.exceptions import NetlinkError

    place = scene.places[fault.pod]
    netns = scene.cluster.netns(place.name)
    if scene.ipv6:
        words = ("INPUT", "-p", "icmpv6", "--icmpv6-type", "neighbour-solicitation", "-j", "DROP")
        undo = _rule(netns, "ip6tables", *words)
    else:
        undo = _rule(netns, "arptables", "INPUT", "--opcode", "Request", "-j", "DROP")
    with netlink(scene.cluster.netns(NODES[0])) as ip, suppress(NetlinkError):
        ip.neigh("del", dst=scene.address(place), ifindex=ip.link_lookup(ifname=GATEWAY)[0])
    return undo


def steal_address(scene: Scene, fault: Fault) -> Undo:
    """Give the node the pod's address too: the kubelet then talks to itself over `lo`."""
    address, bits = scene.address(scene.places[fault.pod]), 128 if scene.ipv6 else 32
    netns = scene.cluster.netns(NODES[0])

    def change(verb: str) -> None:
        with netlink(netns) as ip:
            ip.addr(verb, index=ip.link_lookup(ifname="lo")[0], address=address, prefixlen=bits)

    change("add")
    return lambda: change("del")


def few_ports(scene: Scene, fault: Fault) -> Undo:
    """Leave the node four source ports; TIME_WAIT takes each for a minute, connect fails, no packet leaves."""
    del fault
    netns, name = scene.cluster.netns(NODES[0]), "net/ipv4/ip_local_port_range"
    before = inside(netns, lambda: (Path("/proc/sys") / name).read_text(encoding="ascii"))
    inside(netns, lambda: set_sysctls({name: "40000 40003"}))
    return lambda: inside(netns, lambda: set_sysctls({name: before}))


def reuse_ports(scene: Scene, fault: Fault) -> Undo:
    """Leave the node four source ports and let it reuse those in TIME_WAIT after a second: a port comes back soon."""
    fewer = few_ports(scene, fault)
    inside(scene.cluster.netns(NODES[0]), lambda: set_sysctls({"net/ipv4/tcp_tw_reuse": "1"}))
    return fewer


def second_address(cluster: Cluster) -> None:
    """Give the node's bridge the addresses that `other_source` asks from: they are the node's before anything happens."""
    with netlink(cluster.netns(NODES[0])) as ip:
        tunnel = ip.link_lookup(ifname=GATEWAY)[0]
        for address, bits in zip(SECOND, (32, 128), strict=True):
            ip.addr("add", index=tunnel, address=address, prefixlen=bits, flags=NODAD)


def other_source(scene: Scene, fault: Fault) -> Undo:
    """Let the node choose another of its addresses as source, which the pod's policy does not let in."""
    place = scene.places[fault.pod]
    source = SECOND[scene.ipv6]
    family, bits = (socket.AF_INET6, 128) if scene.ipv6 else (socket.AF_INET, 32)
    with netlink(scene.cluster.netns(NODES[0])) as ip:
        tunnel = ip.link_lookup(ifname=GATEWAY)[0]
        ip.route("add", family=family, dst=f"{scene.address(place)}/{bits}", oif=tunnel, prefsrc=source)
    unlock = _rule(scene.cluster.netns(place.name), _iptables(scene), "INPUT", "-p", "tcp", "-s", source, "-j", "DROP")

    def undo() -> None:
        with netlink(scene.cluster.netns(NODES[0])) as ip:
            ip.route("del", family=family, dst=f"{scene.address(place)}/{bits}", oif=tunnel)
        unlock()

    return undo


def freeze_kubelet(scene: Scene, fault: Fault) -> Undo:
    """Give the prober no CPU: answers wait for it."""
    del fault
    scene.kubelet(signal.SIGSTOP)
    return lambda: scene.kubelet(signal.SIGCONT)


def freeze_app(scene: Scene, fault: Fault) -> Undo:
    """Give the application no CPU: its kernel goes on to accept and acknowledge, nothing answers."""
    netns = Path("/run/netns") / scene.cluster.netns(scene.places[fault.pod].name)
    frozen = [
        process for process in scene.cluster.state.processes() if netns.exists() and _same_namespace(process.pid, netns)
    ]
    for process in frozen:
        process.kill(signal.SIGSTOP)

    def thaw() -> None:
        for process in frozen:
            process.kill(signal.SIGCONT)

    return thaw


def _same_namespace(pid: int, netns: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == netns.stat().st_ino
    except OSError:
        return False


FAULTS: Final[dict[str, tuple[Callable[[Scene, Fault], Undo], str]]] = {
    "drop-syn": (drop_syn, "the pod drops SYNs"),
    "drop-before-pod": (drop_before_pod, "the node's bridge loses what is for the pod"),
    "lose-syn-ack": (lose_syn_ack, "the node drops the pod's SYN-ACKs"),
    "reject": (reject, "a firewall rejects the probe with ICMP"),
    "lose-big": (lose_big, "segments over 600 bytes no longer reach the node"),
    "silence-neighbour": (silence_neighbour, "the pod no longer answers for its address"),
    "steal-address": (steal_address, "the pod's address is also on the node's lo"),
    "few-ports": (few_ports, "the node has four source ports left"),
    "reuse-ports": (reuse_ports, "the node has four source ports left, and takes them again after a second"),
    "other-source": (other_source, "the node sends from another of its addresses, which the pod does not let in"),
    "freeze-kubelet": (freeze_kubelet, "the prober gets no CPU"),
    "freeze-app": (freeze_app, "the application gets no CPU"),
}
"""Kind -> what makes it, and what to say when it begins."""


BEFORE: Final[dict[str, Callable[[Cluster], None]]] = {"other-source": second_address}
"""Kind -> what it takes to be there from the beginning."""


class Faults:
    """Makes and mends faults at their times, in a thread."""

    def __init__(self, scene: Scene, faults: Sequence[Fault], said: Callable[[str], None]) -> None:
        """Be ready; `said` is called with a sentence at each turn, from the thread."""
        self._scene, self._said = scene, said
        self._turns = sorted(
            [(fault.at_s, True, fault) for fault in faults]
            + [(fault.at_s + fault.for_s, False, fault) for fault in faults],
            key=lambda turn: turn[0],
        )
        self._undo: dict[Fault, Undo] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self.error: LabError | None = None
        """Why a fault could not be made."""

    def start(self) -> None:
        """Begin; the faults' times count from now."""
        self._thread.start()

    def stop(self) -> None:
        """End, and let nobody stay frozen: rules go with their namespaces, stopped processes would not end."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        for fault, undo in self._undo.items():
            if fault.kind.startswith("freeze"):
                undo()

    def _run(self) -> None:
        began = time.monotonic()
        for at_s, begins, fault in self._turns:
            if self._stop.wait(max(0.0, min(began + at_s - time.monotonic(), 1e6))):
                return
            try:
                if begins:
                    make, says = FAULTS[fault.kind]
                    self._undo[fault] = make(self._scene, fault)
                    self._said(f"from now on {says}")
                else:
                    self._undo.pop(fault)()
                    self._said("that has ended, all is well again")
            except LabError as error:
                self.error = error
                return
