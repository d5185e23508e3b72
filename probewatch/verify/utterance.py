"""Whether what the kubelet said can be about an attempt: the Pod, the type, the outcome, and the cause that its text names.

The texts are Go's and the kubelet's own (Go's net and net/http, pkg/probe); one text stands for several causes, since the kubelet does
not know them apart: silence is `context deadline exceeded` whether the SYN, the ARP request or the answer was lost.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from probewatch.model.said import RESULTS, Saying, Utterance
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Attempt, Cause, Outcome, Probe

_SILENCE: Final = frozenset({
    Cause.SLOW_ANSWER, Cause.NO_SYN_ANSWER, Cause.NEIGHBOUR_UNRESOLVED, Cause.UNREACHABLE, Cause.GRPC_CONNECT, Cause.CLIENT_LATE,
    Cause.TLS_FAILED, Cause.TLS_ON_PLAIN_HTTP, Cause.BODY_BROKEN, Cause.EXEC_TIMEOUT, Cause.REDIRECT_LIMIT, Cause.GRPC_STATUS,
    Cause.CLOSED_BEFORE_ANSWER, Cause.RESET_BEFORE_ANSWER,
})  # fmt: skip
_TEXTS: Final[tuple[tuple[re.Pattern[str], frozenset[Cause]], ...]] = (
    (re.compile(r"connection refused"), frozenset({Cause.REFUSED, Cause.GRPC_CONNECT, Cause.UNREACHABLE})),
    (re.compile(r"no route to host|host is unreachable|network is unreachable"),
     frozenset({Cause.UNREACHABLE, Cause.NEIGHBOUR_UNRESOLVED, Cause.NO_SYN_ANSWER})),
    (re.compile(r"context deadline exceeded|i/o timeout|Client\.Timeout|TLS handshake timeout|timed out|^timeout: "), _SILENCE),
    (re.compile(r"statuscode: \d"), frozenset({Cause.STATUS, Cause.TLS_ON_PLAIN_HTTP, Cause.PLAIN_HTTP_ON_TLS})),
    (re.compile(r"connection reset by peer"),
     frozenset({Cause.RESET_BEFORE_ANSWER, Cause.BODY_BROKEN, Cause.CLOSED_BEFORE_ANSWER, Cause.MALFORMED_ANSWER, Cause.PLAIN_HTTP_ON_TLS,
                Cause.TLS_FAILED})),
    (re.compile(r"stopped after 10 redirects"), frozenset({Cause.REDIRECT_LIMIT})),
    (re.compile(r"server gave HTTP response to HTTPS client|does not look like a TLS handshake"),
     frozenset({Cause.TLS_ON_PLAIN_HTTP, Cause.TLS_FAILED})),
)  # fmt: skip
"""Text -> the causes it can stand for; a text that is not here stands for any."""

_STATUS: Final = re.compile(r"statuscode: (\d{3})")
_NETWORK: Final = re.compile(
    r'Get "|dial tcp|HTTP probe failed|statuscode|service unhealthy|timeout: (?:failed to connect|health rpc)|'
    r"error: (?:health rpc|failed to connect|this server does not implement)|Client\.Timeout|deadline exceeded|EOF|"
    r"Probe terminated redirects|connection re"
)
_OUTCOMES: Final = {
    Saying.FAILED: (Outcome.FAILURE, Outcome.INCONCLUSIVE),
    Saying.ERRORED: (Outcome.DISCARDED, Outcome.INCONCLUSIVE),
    Saying.SUCCEEDED: (Outcome.SUCCESS, Outcome.INCONCLUSIVE),
    Saying.WARNED: (Outcome.SUCCESS, Outcome.INCONCLUSIVE),
}


def allows(said: Utterance, attempt: Attempt) -> bool:
    """Tell whether the attempt ended as it was said to have."""
    return attempt.outcome in _OUTCOMES.get(said.saying, ())


def excludes(said: Utterance, attempt: Attempt) -> bool:
    """Tell whether the text names a cause that the wire excludes: another status, a refusal where there was an answer."""
    if said.saying is not Saying.FAILED or attempt.outcome is not Outcome.FAILURE:
        return False
    status = _STATUS.search(said.text)
    if status is not None and attempt.status is not None and attempt.cause is Cause.STATUS:
        return int(status[1]) != attempt.status
    known = next((causes for pattern, causes in _TEXTS if pattern.search(said.text)), None)
    return known is not None and attempt.cause not in known


def exec_like(said: Utterance) -> bool:
    """Tell whether the text is none that a network probe gives: what a command wrote, or an error of the container runtime."""
    return said.saying in RESULTS and bool(said.text) and _NETWORK.search(said.text) is None


def names(said: Utterance, probe: Probe) -> bool:
    """Tell whether it calls the Pod as the probe's is called, as far as either has a name."""
    pod = probe.target.pod
    # a static Pod has the node's name behind its own, a workload's Pod a hash
    return said.pod is None or pod is None or said.pod == pod or said.pod.startswith(f"{pod}-")


class Lane:
    """The attempts of one probe in the order of their verdicts."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self._attempts = sorted(probe.attempts, key=lambda a: a.end_ns)
        self._ends = [a.end_ns for a in self._attempts]

    def between(self, low: int, high: int) -> list[Attempt]:
        """Return those whose verdict came in this time, both ends included."""
        return self._attempts[bisect_left(self._ends, low) : bisect_right(self._ends, high)]

    @property
    def first(self) -> Attempt | None:
        """The first of them."""
        return self._attempts[0] if self._attempts else None


class Who:
    """Which probes of the capture a saying may be about."""

    def __init__(self, lanes: Iterable[Lane], said: Sequence[Utterance]) -> None:
        self._lanes = [lane for lane in lanes if lane.probe.checker.kind in ("kubelet", "unknown")]
        self._addresses: dict[str, set[str]] = {}
        """Pod -> addresses that texts about it name."""
        known = {lane.probe.target.address for lane in self._lanes}
        for one in said:
            if one.pod is not None:
                self._addresses.setdefault(one.pod, set()).update(_named(one.text) & known)
        self._alone = len(known) == 1 and len(self._addresses) == 1
        self._found: dict[tuple[object, ...], list[Lane]] = {}

    def pod(self, said: Utterance) -> list[Lane]:
        """Return the probes of the Pod that it names."""
        key = (said.namespace, said.pod)
        if key not in self._found:
            here = [lane for lane in self._lanes if self._same_pod(said, lane.probe)]
            # (a node's address has many Pods)
            self._found[key] = [lane for lane in here if names(said, lane.probe)] or here
        return self._found[key]

    def container(self, said: Utterance) -> list[Lane]:
        """Return those of the container that it names."""
        return [
            lane for lane in self.pod(said)
            if said.container is None or lane.probe.target.container in (None, said.container)
        ]  # fmt: skip

    def fitting(self, said: Utterance) -> list[Lane]:
        """Return those of the type that it names, network probes only."""
        key = (said.namespace, said.pod, said.container, said.type)
        if key not in self._found:
            self._found[key] = [
                lane for lane in self.container(said)
                if (said.type is None or lane.probe.type in (said.type, ProbeType.UNKNOWN))
                and lane.probe.handler is not Handler.EXEC
            ]  # fmt: skip
        return self._found[key]

    def _same_pod(self, said: Utterance, probe: Probe) -> bool:
        target = probe.target
        if said.pod is None:
            return True
        named = self._addresses.get(said.pod)
        if named:
            return target.address in named
        if target.pod is not None:
            here = target.namespace is None or said.namespace is None or target.namespace == said.namespace
            return here and names(said, probe)
        return self._alone


_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{3,}")


def _named(text: str) -> set[str]:
    """Return what may be an address in a text, with and without a port behind it."""
    found = set(_ADDRESS.findall(text))
    return found | {one.rpartition(":")[0] for one in found}
