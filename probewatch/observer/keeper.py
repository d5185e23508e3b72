"""Decides what is let go, and when: so many steps are held whole, so many attempts in brief, whatever the length of the capture.

When there are too many, the oldest steps of the longest lanes are entered in their ledgers, and all that hangs on them
goes. Before the first of a lane's go its plan is held against all that was seen, for later nothing is left to replay.
Where numbers are measured, only lanes of more than twice the runs that are weighed are shortened, and those runs are kept.

Steps are one of four kinds of runs that are held with everything that was read on their connections; the others wait until it is
known who sent them, or which probes to expect, or are strangers'. Each has a limit of its own, and HELD is that of all together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from probewatch.model.connection import Connection
from probewatch.probes.runs import as_known

from .ledger import Keep
from .target import Placed, Target
from .teller import Teller
from .weigh import WEIGHED

WHOLE: Final = 4_000
"""Steps of all lanes that are held with everything that was read on them; the oldest are entered in the ledgers."""
FEWEST: Final = 4
"""Of these each lane keeps so many, however many lanes there are."""
HELD: Final = 6_000
"""Runs of all kinds held whole; beyond, the kind of which most are held gives half of them away."""
OPEN: Final = 8
"""Of these, steps of one lane that are not settled, which are held in any case."""
BRIEF: Final = 500_000
"""Attempts kept in brief; beyond, the oldest of the probes with the most are only counted."""


class Keeper:
    """Lets go of what is settled."""

    def __init__(
        self, keep: Keep, targets: dict[str, Target], teller: Teller, revisions: dict[int, Connection]
    ) -> None:
        self._keep = keep
        self._targets = targets
        self._teller = teller
        self._revisions = revisions
        self._whole = 0
        """Settled steps of all lanes."""
        self._open = 0
        """Their other steps."""
        self._brief = 0
        """Attempts in brief."""
        self._long = False
        """Whether a lane has far more steps than are weighed."""

    def note(self, placed: Placed) -> None:
        """Count a lane's steps."""
        lane = placed.lane
        self._whole += len(lane.steps) - placed.noted
        placed.noted = len(lane.steps)
        self._long = self._long or placed.noted > 2 * WEIGHED
        self._open += lane.open - placed.open
        placed.open = lane.open

    @property
    def held(self) -> int:
        """How many steps there are."""
        return self._whole + self._open

    @property
    def full(self) -> bool:
        """Whether something must go."""
        return self._long if self._keep is Keep.STEPS else self._whole > WHOLE

    def _latest(self, connection: Connection) -> Connection:
        return self._revisions.get(connection.id, connection)

    def let_go(self, tell: Callable[[Target], None], *, hurry: bool = False) -> None:
        """Enter the oldest steps of the longest lanes into their ledgers, so that half as many are left.

        `tell` tells anew what was replayed. With `hurry` steps that could yet be read in another way go too, as they read best now.
        """
        lanes = [
            (target, number, placed) for target in self._targets.values() for number, placed in enumerate(target.placed)
        ]
        most = min(self.held, WHOLE) if hurry else WHOLE
        share = WEIGHED if self._keep is Keep.STEPS else max(FEWEST, most // (2 * len(lanes)))
        self._long = False
        for target, number, placed in lanes:
            if hurry and placed.open > (left := max(OPEN, share // 2)):
                placed.lane.hurry(left)
                tell(target)
            if placed.noted <= share:
                continue
            if not placed.ledger.accounts and target.reconsider(placed):
                self._teller.again(target.address, number)
                tell(target)
            if placed.noted > share:
                self._enter(target, number, placed, placed.noted - share)
        if self._brief > BRIEF:
            self._forget()

    def _enter(self, target: Target, number: int, placed: Placed, many: int) -> None:
        """Enter a lane's oldest steps into its ledger."""
        ledger, address = placed.ledger, target.address
        for step in placed.lane.let_go(many):
            if self._keep is Keep.STEPS and len(placed.weighed) < WEIGHED and not step.run.implied:
                placed.weighed.append(as_known(step.run, self._latest))
            if step.reading is None:
                target.leave(step.run)
            elif (done := ledger.take(step, self._latest)) is not None:
                worker, made = done
                self._teller.last_word((address, number, worker), made)
                for leg in made.legs:
                    self._revisions.pop(leg.connection.id, None)
        placed.noted -= many
        self._whole -= many
        self._teller.let_go(address, number, many)
        for worker, account in ledger.accounts.items():
            key = address, number, worker
            self._teller.leave_out(key, "d", account.drafts.left_out)
            self._teller.leave_out(key, "g", account.gaps.left_out)
            if self._keep is Keep.BRIEF:
                self._brief += account.attempts.shorten()
            else:
                account.attempts.pack()

    def _forget(self) -> None:
        """Count the oldest attempts in brief only, of the probes that have the most."""
        there = [
            account.attempts
            for target in self._targets.values()
            for placed in target.placed
            for account in placed.ledger.accounts.values()
        ]
        share = BRIEF // (2 * len(there))
        for attempts in there:
            if (more := attempts.brief - share) > 0:
                attempts.forget(more)
                self._brief -= more
