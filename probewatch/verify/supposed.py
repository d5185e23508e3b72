"""One recorded attempt under another timeout: what it would have brought, as far as the recording shows.

Theory of operation. The recording is a server that was sampled: at each attempt its true latency and its answer are
known, or they are not. timeoutSeconds covers dial, TLS, header, redirects and body of an httpGet probe
(http.Client.Timeout), the dial of a tcpSocket probe, dial and call of a grpc probe; it starts just before the SYN. So:

* an answer is known to have come after L (in time, or late: `late_answer_ns`): it counts as what it says where L is
  within the new timeout, else the attempt fails at the deadline;
* no answer came before the checker hung up: the latency is *censored*. A shorter timeout fails all the same; under a
  longer one nobody knows, since a server may give up its answer once the client is gone, so silence after that proves
  nothing. Best case: success, worst case: failure.

Where a body is concerned the kubelet's error case comes in (prober.go runProbeWithRetries): a header in time and a body
that is not is thrown away, and tried again at once. What a second try would have found is not recorded.

Limitations. A late HTTP answer is judged by its status line: that its body would have followed in time is assumed; where
a late redirect leads is not recorded, so its result is unknown. The first late byte of TLS or HTTP/2 is no answer yet.
An inconclusive attempt stays unknown under any timeout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probewatch.model.spec import Handler
from probewatch.model.timeline import Attempt, Cause, Outcome, Probe
from probewatch.probes.judge import REDIRECTS

ANSWERED: Final = frozenset({Cause.OK, Cause.OK_REDIRECT, Cause.STATUS, Cause.GRPC_NOT_SERVING, Cause.GRPC_STATUS})
"""Causes of attempts that the application answered in time: their latency is the application's."""


@dataclass(frozen=True, slots=True)
class Supposed:
    """What an attempt would have brought: the best and the worst that the recording allows, and when."""

    best: Outcome
    worst: Outcome
    best_end_ns: int
    worst_end_ns: int

    @property
    def known(self) -> bool:
        """Whether the recording leaves no choice."""
        return self.best is self.worst


def true_latency_ns(attempt: Attempt, probe: Probe) -> int | None:
    """Return the nanoseconds from the attempt's start to its answer, in time or late; None where no answer was seen."""
    if attempt.cause in ANSWERED and attempt.end_mark is not None:
        return attempt.latency_ns
    return _late_ns(attempt, probe)


def suppose(attempt: Attempt, probe: Probe, old_ns: int, new_ns: int) -> Supposed:
    """Return what a recorded attempt of `probe` would have brought, had its timeout been `new_ns` instead of `old_ns`."""
    start, end, deadline = attempt.start.ns, attempt.end_ns, attempt.start.ns + new_ns
    if attempt.outcome is Outcome.INCONCLUSIVE:
        return Supposed(Outcome.SUCCESS, Outcome.FAILURE, min(end, deadline), deadline)
    as_recorded = Supposed(attempt.outcome, attempt.outcome, end, end)
    if new_ns == old_ns:
        return as_recorded
    failed = Supposed(Outcome.FAILURE, Outcome.FAILURE, deadline, deadline)
    unknown = Supposed(Outcome.SUCCESS, Outcome.FAILURE, start + old_ns, deadline)
    longer = new_ns > old_ns
    if attempt.outcome is Outcome.DISCARDED:
        return _discarded(attempt, as_recorded, deadline, longer=longer)
    if attempt.cause is Cause.CLIENT_LATE:
        # The answer was there in time and the checker did not notice: what more or less patience does to that is open.
        return unknown if longer else Supposed(Outcome.SUCCESS, Outcome.FAILURE, deadline, deadline)
    if attempt.end_mark is not None:  # a frame gave the verdict
        if end <= deadline:
            return as_recorded
        return _too_slow(attempt, probe, failed)
    if not longer:
        return failed
    late = _late_ns(attempt, probe)
    if late is None:
        return unknown
    if late > new_ns:
        return failed
    came = start + late
    if probe.handler is Handler.TCP_SOCKET:
        return Supposed(Outcome.SUCCESS, Outcome.SUCCESS, came, came)
    if attempt.status is None or attempt.status in REDIRECTS:
        return Supposed(Outcome.SUCCESS, Outcome.FAILURE, came, deadline)
    outcome = Outcome.SUCCESS if 200 <= attempt.status < 400 else Outcome.FAILURE
    return Supposed(outcome, outcome, came, came)


def _late_ns(attempt: Attempt, probe: Probe) -> int | None:
    """Return when an answer came after the verdict, from the attempt's start: of TCP its SYN-ACK, of HTTP in clear its first byte."""
    if attempt.end_mark is not None or not attempt.legs:
        return None
    if probe.handler is Handler.TCP_SOCKET:
        connection = attempt.legs[-1].connection
        first = connection.resp.syns[0] if connection.resp.syns else None
        never_heard = first is not None and connection.orig.first_ack is None and first.ns <= attempt.end_ns
        return None if first is None or never_heard else first.ns - attempt.start.ns
    if probe.handler is Handler.HTTP_GET and probe.scheme != "HTTPS" and attempt.cause is Cause.SLOW_ANSWER:
        return attempt.late_answer_ns
    # The first late byte of a handshake (TLS, HTTP/2) is no answer yet, unless what was inside could be read.
    return attempt.late_answer_ns if attempt.status is not None and attempt.cause is Cause.SLOW_ANSWER else None


def _too_slow(attempt: Attempt, probe: Probe, failed: Supposed) -> Supposed:
    """Judge an answer that was whole only after the new deadline: a failure, unless its header was in time and its body was not."""
    if probe.handler is not Handler.HTTP_GET or attempt.cause not in ANSWERED or not attempt.legs:
        return failed
    first = attempt.legs[-1].connection.resp.first_data
    if probe.scheme != "HTTPS" and first is not None and first.ns > failed.worst_end_ns:
        return failed
    return Supposed(Outcome.DISCARDED, Outcome.FAILURE, failed.best_end_ns, failed.worst_end_ns)


def _discarded(attempt: Attempt, as_recorded: Supposed, deadline: int, *, longer: bool) -> Supposed:
    """Judge a broken or stalled body: each try has a deadline of its own, and a longer one may see the body's end."""
    if attempt.end_mark is not None and (longer or attempt.end_ns <= deadline):
        return as_recorded
    if not longer:
        return Supposed(Outcome.DISCARDED, Outcome.FAILURE, deadline, deadline)
    if attempt.status is not None and attempt.status >= 400:
        return Supposed(Outcome.DISCARDED, Outcome.FAILURE, attempt.end_ns, deadline)
    return Supposed(Outcome.SUCCESS, Outcome.DISCARDED, attempt.end_ns, deadline)
