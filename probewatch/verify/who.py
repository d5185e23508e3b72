"""Expectations of who probes: from which addresses, which node, which program."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from probewatch.model.expectation import Selector
from probewatch.model.finding import Finding, Held
from probewatch.model.timeline import Attempt, Checker

from .case import Case, counted
from .selecting import fit
from .untold import unseen


def sources(case: Case, allowed: Sequence[str]) -> Finding:
    """Hold the addresses that attempts come from against addresses and networks."""
    networks = [ipaddress.ip_network(text) for text in allowed]
    known: dict[str, bool] = {}
    wrong: list[Attempt] = []
    found: dict[str, None] = {}
    if not case.probe.checker.address:
        return case.unclear(
            "source", "who asked the container runtime for a command leaves no trace", f"only {', '.join(allowed)}", ""
        )
    for attempt in case.probe.attempts:
        clients = [leg.connection.client for leg in attempt.legs] or [case.probe.checker.address]
        for client in clients:
            if client not in known:
                known[client] = any(_inside(client, network) for network in networks)
            found[client] = None
        if not all(known[client] for client in clients):
            wrong.append(attempt)
    asked, observed = f"only {', '.join(allowed)}", ", ".join(found)
    if wrong:
        return case.failed("source", f"{counted(len(wrong), 'attempt')} came from elsewhere", asked, observed, wrong)
    if reason := unseen(case.timeline, case.probe):
        return case.unclear("source", reason, asked, observed)
    return case.passed("source", f"{counted(len(case.probe.attempts), 'attempt')} came from {observed}")


def checker(case: Case, kind: str) -> Finding:
    """Hold the program that probes against its name."""
    fits = fit(Selector(checker=kind), case.probe).fits
    observed = _told(case.probe.checker)
    if fits is None:
        return case.unclear("checker", "what the packets show of it does not tell which program it is", kind, observed)
    if not fits:
        return case.failed("checker", "another program probes", kind, observed, case.probe.attempts[:1])
    return case.passed("checker", observed)


def node(case: Case, wanted: str) -> Finding:
    """Hold the node whose kubelet probes against a name or an address, its own or the one that its probes come from."""
    program = checker(case, "kubelet")
    asked, who = f"the kubelet of {wanted}", case.probe.checker
    observed = _told(who)
    if program.held is Held.INCONCLUSIVE:
        return case.unclear("node", program.sentence, asked, observed)
    if program.held is Held.FAIL:
        return case.failed("node", program.sentence, asked, observed, case.probe.attempts[:1])
    address = _address(wanted)
    if (address or wanted) in (who.address, who.node, who.node_address):
        return case.passed("node", observed)
    if address is None and who.node is None:
        return case.unclear("node", "no name of its node is known: --cluster or --node-ip would tell", asked, observed)
    return case.failed("node", "another node probes", asked, observed, case.probe.attempts[:1])


def _told(who: Checker) -> str:
    """Return `kubelet 1.36 at 10.128.0.1, node node-a`."""
    named = f"{who.kind} {who.version}".rstrip() if who.kind != "unknown" else "an unknown checker"
    could = f", could be {' or '.join(who.could_be)}" if who.kind == "unknown" and who.could_be else ""
    where = f" at {who.address}" if who.address else ""
    return f"{named}{where}{could}" + (f", node {who.node}" if who.node else "")


def _address(text: str) -> str | None:
    """Return an address as timelines write it; None for a name."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _inside(client: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(client) in network
    except ValueError:
        return False
