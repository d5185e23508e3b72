"""A probe's attempts as one line of marks: the taller, the nearer to the timeout; failures, discarded and inconclusive ones stand out."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.timeline import Attempt, Outcome
from .paper import Glyphs, Span

_RANK = {Outcome.SUCCESS: 0, Outcome.INCONCLUSIVE: 1, Outcome.DISCARDED: 2, Outcome.FAILURE: 3}
_STYLE = {Outcome.SUCCESS: "green", Outcome.INCONCLUSIVE: "yellow", Outcome.DISCARDED: "yellow", Outcome.FAILURE: "red"}


def sparkline(attempts: Sequence[Attempt], timeout_ns: int, columns: int, glyphs: Glyphs) -> tuple[list[Span], int]:
    """Return the marks, and how many attempts each stands for (the worst of them: failure, discarded, inconclusive, slowest).

    A bar's height is the latency in eighths of `timeout_ns`.
    """
    each = max(1, -(-len(attempts) // max(1, columns)))
    spans: list[Span] = []
    for begin in range(0, len(attempts), each):
        group = attempts[begin : begin + each]
        worst = max(group, key=lambda a: (_RANK[a.outcome], a.latency_ns))
        mark, style = _mark(worst, timeout_ns, glyphs), _STYLE[worst.outcome]
        if spans and spans[-1].style == style:
            spans[-1] = Span(spans[-1].text + mark, style)
        else:
            spans.append(Span(mark, style))
    return spans, each


def _mark(attempt: Attempt, timeout_ns: int, glyphs: Glyphs) -> str:
    match attempt.outcome:
        case Outcome.FAILURE:
            return glyphs.failure
        case Outcome.DISCARDED:
            return glyphs.discarded
        case Outcome.INCONCLUSIVE:
            return glyphs.inconclusive
        case _:
            steps = len(glyphs.bars)
            step = attempt.latency_ns * steps // timeout_ns if timeout_ns > 0 else 0
            return glyphs.bars[min(max(step, 0), steps - 1)]
