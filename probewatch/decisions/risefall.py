"""Rise and fall: how checkers that are not the kubelet turn results into UP and DOWN.

Theory of operation. Four rules cover them (HAProxy's src/check.c, the programs' manuals, and what their own
logs said beside the packets: docs/how-it-knows.md, "What was measured"):

* `counter`: HAProxy's health h in 0..rise+fall-1, UP while h >= rise. A pass adds one and jumps to the top once UP; a
  failure takes one while h > rise, else h is 0 and the server DOWN (`set_server_check_status`). A start or reload
  begins UP with h = rise: the first failure is DOWN.
* `streak`: so many results of one kind in a row (Apache hcpasses/hcfails, Consul, the clouds; Monit and blackbox with
  1 and 1).
* `window`: healthy while at least `threshold` of the last `window` checks passed (Varnish).
* Envoy's streak: it begins DOWN, its first check alone brings UP (`eager`), and a failure that the server itself
  answered (a status, NOT_SERVING) brings DOWN at once (`answered`): only refusals, timeouts and broken connections are
  counted up to `fall` (health_checker_base_impl.cc setUnhealthy, handleSuccess).
* `retry`: the first failure is repeated so many times before it counts, one success brings back (keepalived); a
  streak of 1 and retry + 1.

Where a capture begins in mid-life nobody knows the state. So a `Health` holds every state that is still possible; a
check moves them all. While both UP and DOWN are possible nothing is decided; when only one is left it is `settled`
(it tells the state and decides nothing), and from then on each change is a decision. A check of unknown outcome moves
every state both ways.

Limitations: HAProxy 3.5 begins UP with h = 0, so a pass and then a failure make it DOWN where 2.x stays UP;
`maint` and `drain` change the state without a check. Thresholds are hardly ever on the wire: see RULES
for whose default is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from probewatch.model.timeline import DecisionKind

MOST: Final = 1_000
"""Largest threshold or window kept: beyond that the number of possible states would be a burden and no program asks for it."""


class Rule(StrEnum):
    """How results are counted."""

    COUNTER = "counter"
    STREAK = "streak"
    WINDOW = "window"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a checker is taken to need. For a window, `rise` is the threshold and `window` its length."""

    rule: Rule
    rise: int
    fall: int
    window: int = 0
    declared: frozenset[str] = frozenset()
    """Which of `rise`, `fall`, `window` a configuration says."""
    inferred: frozenset[str] = frozenset()
    """Which of them packets show."""
    begins: int | None = None
    """HAProxy's health at its start, where a configuration says it; None: `rise`, just UP."""
    note: str = ""
    """What to tell people where the numbers are a guess."""
    guessed: bool = False
    """They are no defaults that the program documents, only likely."""
    announces: bool = False
    """Its first result is news to it, and a decision where the capture shows its beginning."""
    eager: bool = False
    """It begins DOWN, and its very first check brings UP whatever `rise` says."""
    answered: bool = False
    """A failure that the server answered brings DOWN whatever `fall` says."""
    twice: bool = False
    """Each pass counts for two (HAProxy's mysql-check and ldap-check: the answer does, and the end of the check)."""
    lasting: bool = False
    """While DOWN, a failure takes no pass back (keepalived goes on in its list of URLs where it was, check_http.c epilog)."""
    says_all: bool = False
    """Only what is said counts: a check of unknown outcome changes nothing."""

    def source(self, name: str) -> str:
        """Return where `rise`, `fall` or `window` comes from: `declared`, `inferred` or `default`."""
        # How many failures empty a window follows from both of its numbers.
        parts = {"rise", "window"} if self.rule is Rule.WINDOW and name == "fall" else {name}
        return "declared" if parts <= self.declared else "inferred" if parts <= self.inferred else "default"

    def bounded(self) -> Thresholds:
        """Return them within MOST."""
        return replace(
            self, rise=min(max(self.rise, 1), MOST), fall=min(max(self.fall, 1), MOST), window=min(self.window, MOST)
        )


RULES: Final[dict[str, Thresholds]] = {
    "haproxy": Thresholds(Rule.COUNTER, 2, 3),
    "keepalived": Thresholds(Rule.STREAK, 1, 2),
    "varnish": Thresholds(
        Rule.WINDOW, 3, 6, 8, note=".window 8 and .threshold 3 are Varnish's defaults: nothing on the wire shows them"
    ),
    "apache": Thresholds(
        Rule.STREAK,
        2,
        3,
        note="hcpasses 2 and hcfails 3 are assumed: nothing on the wire shows them (Apache's own defaults are 1 and 1)",
        guessed=True,
    ),
    "monit": Thresholds(Rule.STREAK, 1, 1, announces=True),
    "blackbox_exporter": Thresholds(Rule.STREAK, 1, 1),
    "envoy": Thresholds(
        Rule.STREAK,
        2,
        3,
        note="healthy_threshold 2 and unhealthy_threshold 3 are assumed: they have no default and nothing on the wire shows them",
        guessed=True,
        eager=True,
        answered=True,
    ),
    "consul": Thresholds(Rule.STREAK, 1, 1),
    "nomad": Thresholds(Rule.STREAK, 1, 1),
    "traefik": Thresholds(Rule.STREAK, 1, 1),
    "caddy": Thresholds(Rule.STREAK, 1, 1),
    "nginx": Thresholds(Rule.STREAK, 1, 1),
    "dnsdist": Thresholds(Rule.STREAK, 1, 1),
    "aws_elb": Thresholds(Rule.STREAK, 5, 2),
    "google": Thresholds(Rule.STREAK, 2, 2),
    "azure": Thresholds(Rule.STREAK, 1, 2),
}
"""Each program's documented defaults, but where they are `guessed`. A kind without a row takes no decisions here."""
AGENT_RULE: Final = Thresholds(
    Rule.STREAK,
    1,
    1,
    note="an agent-check: its answer alone says UP or DOWN, at once; HAProxy's own checks of that server stand beside it",
    says_all=True,
)
"""HAProxy's agent-check (configuration manual 5.2; its log counts `0/1 DOWN`)."""

Streak = tuple[bool, int]
"""(UP, results against it in a row)."""
Window = tuple[bool | None, ...]
"""Results, oldest first; None: not known."""
State = int | Streak | Window


@dataclass(frozen=True, slots=True)
class Health:
    """Everything a server's state may be."""

    thresholds: Thresholds
    states: frozenset[State]
    results: tuple[bool | None, ...] = ()
    """The last results of equal kind."""
    known: bool | None = None
    """The last state that was certain."""

    @property
    def up(self) -> bool | None:
        """UP, DOWN, or None while both are possible."""
        seen = {up for state in self.states for up in _up(state, self.thresholds)}
        return seen.pop() if len(seen) == 1 else None


@dataclass(frozen=True, slots=True)
class Judged:
    """What one check did."""

    health: Health
    streak: int
    threshold: int
    decision: DecisionKind | None = None
    settled: bool | None = None
    """UP or DOWN became known without a decision."""


def begin(thresholds: Thresholds, *, fresh: bool) -> Health:
    """Start counting: from the program's own start (`fresh`), or in mid-life, where every state is possible."""
    thresholds = thresholds.bounded()
    states: frozenset[State]
    if thresholds.rule is Rule.COUNTER:
        health = thresholds.rise if thresholds.begins is None else thresholds.begins
        states = frozenset({health}) if fresh else frozenset(range(thresholds.rise + thresholds.fall))
    elif thresholds.rule is Rule.STREAK:
        ups = [(True, n) for n in range(thresholds.fall)]
        downs = [(False, n) for n in range(thresholds.rise)]
        states = frozenset([*ups, *downs])
        if fresh and thresholds.eager:
            states = frozenset({(False, thresholds.rise - 1)})
        elif fresh and not thresholds.announces:
            states = frozenset({(True, 0)})
    else:
        states = frozenset({(None,) * thresholds.window})
    begun = Health(thresholds, states)
    return replace(begun, known=begun.up)


def count(health: Health, passed: bool | None, *, answered: bool = False) -> Judged:
    """Feed one check; None: its outcome is not known. `answered` says that the server itself told the failure."""
    t = health.thresholds
    if passed is None and t.says_all:
        return Judged(health, 0, 0)
    if answered and t.answered and passed is False:
        t = replace(t, fall=1)
    outcomes = (True, False) if passed is None else (passed,)
    if passed is None and t.rule is Rule.WINDOW:
        states = frozenset(_step(state, None, t) for state in health.states)
    else:
        states = frozenset(_step(state, outcome, t) for state in health.states for outcome in outcomes)
        if passed and t.twice:
            states = frozenset(_step(state, True, t) for state in states)
    run = (
        ()
        if passed is None
        else (*health.results, passed)[-MOST:]
        if health.results and health.results[-1] is passed
        else (passed,)
    )
    after = Health(health.thresholds, states, run, health.known)
    was, now = health.known, after.up
    after = replace(after, known=now if now is not None else was)
    needed = (-(-t.rise // 2) if t.twice else t.rise) if passed else t.fall
    if now is None or now is was:
        return Judged(after, len(run), needed)
    if was is None:
        return Judged(after, len(run), needed, settled=now)
    if t.eager:
        needed = min(needed, max(len(run), 1))  # its very first check was enough
    return Judged(after, len(run), needed, decision=DecisionKind.UP if now else DecisionKind.DOWN)


def pass_over(health: Health, presumed: Iterable[bool | None], unknown: int = 0) -> Health:
    """Count checks that nobody saw: some that are presumed to have come out so, then so many of which nothing is known.

    What they brought is told with the next one that was seen.
    """
    known = health.known
    for outcome in presumed:
        health = count(health, outcome).health
    for _ in range(unknown):
        before, health = health.states, count(health, None).health
        if health.states == before:
            break  # any state that can be reached is possible by now
    return replace(health, known=known)


def _up(state: State, t: Thresholds) -> tuple[bool, ...]:
    if isinstance(state, int):
        return (state >= t.rise,)
    if t.rule is Rule.STREAK:
        return (bool(state[0]),)
    good = sum(result is True for result in state)
    unknown = sum(result is None for result in state)
    return (True,) if good >= t.rise else (False,) if good + unknown < t.rise else (True, False)


def _step(state: State, passed: bool | None, t: Thresholds) -> State:
    if isinstance(state, int):
        if passed:
            return state + 1 if state + 1 < t.rise else t.rise + t.fall - 1
        return state - 1 if state > t.rise else 0
    if t.rule is Rule.WINDOW:
        return (*state[1:], passed)
    up, against = bool(state[0]), int(state[1] or 0)
    if passed is up:
        return (up, against if t.lasting and not up else 0)
    needed = t.fall if up else t.rise
    return (not up, 0) if against + 1 >= needed else (up, against + 1)
