"""Whether what the kubelet said can be about an attempt: the Pod, the type, the outcome, and the cause that its text names.

The texts are Go's and the kubelet's own (KUBELET.md section 6.2); one text stands for several causes, since the kubelet does
not know them apart: silence is `context deadline exceeded` whether the SYN, the ARP request or the answer was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from probewatch.model.said import RESULTS, Said, Saying
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


def allows(said: Said, attempt: Attempt) -> bool:
    """Tell whether the attempt ended as it was said to have."""
    return attempt.outcome in _OUTCOMES.get(said.saying, ())


def excludes(said: Said, attempt: Attempt) -> bool:
    """Tell whether the text names a cause that the wire excludes: another status, a refusal where there was an answer."""
    if said.saying is not Saying.FAILED or attempt.outcome is not Outcome.FAILURE:
        return False
    status = _STATUS.search(said.text)
    if status is not None and attempt.status is not None and attempt.cause is Cause.STATUS:
        return int(status[1]) != attempt.status
    known = next((causes for pattern, causes in _TEXTS if pattern.search(said.text)), None)
    return known is not None and attempt.cause not in known


def exec_like(said: Said) -> bool:
    """Tell whether the text is none that a network probe gives: what a command wrote, or an error of the container runtime."""
    return said.saying in RESULTS and bool(said.text) and _NETWORK.search(said.text) is None


class Who:
    """Which probes of the capture a saying may be about."""

    def __init__(self, probes: Iterable[Probe], said: Sequence[Said]) -> None:
        self._probes = [p for p in probes if p.checker.kind in ("kubelet", "unknown")]
        self._addresses: dict[str, set[str]] = {}
        """Pod -> addresses that texts about it name."""
        known = {p.target.address for p in self._probes}
        for one in said:
            if one.pod is not None:
                named = {address for address in known if _names(one.text, address)}
                self._addresses.setdefault(one.pod, set()).update(named)
        self._alone = len(known) == 1 and len(self._addresses) == 1

    def pod(self, said: Said) -> list[Probe]:
        """Return the probes of the Pod that it names."""
        return [probe for probe in self._probes if self._same_pod(said, probe)]

    def container(self, said: Said) -> list[Probe]:
        """Return those of the container that it names."""
        return [
            probe for probe in self.pod(said)
            if said.container is None or probe.target.container in (None, said.container)
        ]  # fmt: skip

    def fitting(self, said: Said) -> list[Probe]:
        """Return those of the type that it names, network probes only."""
        return [
            probe for probe in self.container(said)
            if (said.type is None or probe.type in (said.type, ProbeType.UNKNOWN)) and probe.handler is not Handler.EXEC
        ]  # fmt: skip

    def _same_pod(self, said: Said, probe: Probe) -> bool:
        target = probe.target
        if said.pod is None:
            return True
        named = self._addresses.get(said.pod)
        if named:
            return target.address in named
        if target.pod is not None:
            here = target.namespace is None or said.namespace is None or target.namespace == said.namespace
            # a static Pod has the node's name behind its own, a workload's Pod a hash
            return here and (said.pod == target.pod or said.pod.startswith(f"{target.pod}-"))
        return self._alone


def _names(text: str, address: str) -> bool:
    """Tell whether a text names an address and not only a longer one that begins alike."""
    at = text.find(address)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(address) : at + len(address) + 1]
        if not (before.isalnum() or before == ".") and not (after.isalnum() or after == "."):
            return True
        at = text.find(address, at + 1)
    return False
