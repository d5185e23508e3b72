"""A probe's attempts in little room: the oldest ones in brief, without their connections; the oldest of those counted only.

Theory of operation. What differs from attempt to attempt is a handful of numbers: when, how long, which frames. The
rest (outcome, cause, detail, ...) is a form that repeats, and is kept once. A brief attempt is such a row of numbers
and the number of its form; it becomes an `Attempt` again each time it is looked at, with `brief` in the place of its
legs. So whoever reads attempts, reads these like any others.

Limitations: where more than FORMS different details are met, those of further attempts are let go. Of a diagnosis no
more is kept than its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from struct import Struct
from typing import Final, NamedTuple, SupportsIndex, overload

from .connection import Unresolved
from .diagnosis import Diagnosis
from .frame import Mark
from .packed import PackedLegs, Packer
from .timeline import Attempt, Brief, Cause, Outcome, Schedule, Trigger

FORMS: Final = 256
"""Different forms of a probe's attempts that are kept with what they say in detail."""

_ROW: Final = Struct("<qqIIIIIqI")
"""Start, latency (ns), frames: start, end, first, last; streak; late answer (ns, -1 where there is none); form."""


def start_of(attempt: Attempt) -> int:
    """Return when an attempt began (ns), to sort or to search by."""
    return attempt.start.ns


class _Form(NamedTuple):
    """What repeats from attempt to attempt."""

    outcome: Outcome
    cause: Cause
    status: int | None
    detail: str
    trigger: Trigger
    schedule: Schedule
    threshold: int
    implied: bool
    file: int
    end_file: int | None
    """None where silence gave the verdict."""
    tries: int
    answered: bool
    retransmits: int
    resolving: tuple[str, str] | None
    """Client and server of an address resolution that nobody answered."""
    diagnosis: Diagnosis | None

    def plain(self) -> _Form:
        """Return it without what may differ every time."""
        return self._replace(
            detail="", retransmits=min(self.retransmits, 1), status=self.status if self.cause is Cause.STATUS else None
        )


class Attempts(Sequence[Attempt]):
    """Attempts in the order of their numbers, which grow by one."""

    __slots__ = ("_forms", "_known", "_packed_to", "_packer", "_rows", "_whole", "forgotten")

    def __init__(self, whole: Iterable[Attempt] = ()) -> None:
        self._rows = bytearray()
        self._forms: list[_Form] = []
        self._known: dict[_Form, int] = {}
        self._whole = list(whole)
        self._packer = Packer()
        self._packed_to = 0
        """How many of these have their connections packed."""
        self.forgotten: dict[Outcome, int] = {}
        """Attempts before the first one here, by their outcome: all that is left of them."""

    @property
    def brief(self) -> int:
        """How many are kept in brief."""
        return len(self._rows) // _ROW.size

    @property
    def before(self) -> int:
        """How many came before the first one here."""
        return sum(self.forgotten.values())

    @property
    def whole(self) -> tuple[Attempt, ...]:
        """The latest, which are whole."""
        return tuple(self._whole)

    def renew(self, whole: Iterable[Attempt]) -> None:
        """Put these in the place of those that are whole."""
        self._whole = list(whole)
        self._packed_to = 0

    def append(self, attempt: Attempt) -> None:
        """Take the next one, whole."""
        self._whole.append(attempt)

    def shorten(self) -> int:
        """Keep all that are here in brief from now on; return how many more that makes."""
        for attempt in self._whole:
            self._rows += self._packed(attempt)
        more = len(self._whole)
        self._whole.clear()
        return more

    def pack(self) -> None:
        """Pack the connections of all that are here (`model.packed`): they take a tenth of the room, and are read as before."""
        for index in range(self._packed_to, len(self._whole)):
            attempt = self._whole[index]
            if attempt.legs:
                self._whole[index] = replace(attempt, legs=PackedLegs(attempt.legs, self._packer))
        self._packed_to = len(self._whole)

    def forget(self, number: int) -> None:
        """Count the oldest of those in brief only; they are here no longer."""
        for index in range(number):
            outcome = self._forms[_ROW.unpack_from(self._rows, index * _ROW.size)[8]].outcome
            self.forgotten[outcome] = self.forgotten.get(outcome, 0) + 1
        del self._rows[: number * _ROW.size]

    def result(self) -> Sequence[Attempt]:
        """Return them as a value: a tuple where all are whole."""
        return self if self._rows or self.forgotten else tuple(self._whole)

    def starts(self) -> list[int]:
        """Return when each began (ns)."""
        first = [row[0] for row in _ROW.iter_unpack(self._rows)]
        return first + [attempt.start.ns for attempt in self._whole]

    def __len__(self) -> int:
        return self.brief + len(self._whole)

    def __iter__(self) -> Iterator[Attempt]:
        number = self.before
        for row in _ROW.iter_unpack(self._rows):
            number += 1
            yield self._made(number, row)
        yield from self._whole

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Attempt: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[Attempt, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Attempt | tuple[Attempt, ...]:
        if isinstance(index, slice):
            return tuple(self._at(each) for each in range(*index.indices(len(self))))
        return self._at(range(len(self))[index])

    def _at(self, index: int) -> Attempt:
        brief = self.brief
        if index >= brief:
            return self._whole[index - brief]
        return self._made(self.before + index + 1, _ROW.unpack_from(self._rows, index * _ROW.size))

    def _packed(self, attempt: Attempt) -> bytes:
        mark, end = attempt.start, attempt.end_mark
        first, last = attempt.frames()
        known = attempt.diagnosis
        form = _Form(
            attempt.outcome,
            attempt.cause,
            attempt.status,
            attempt.detail,
            attempt.trigger,
            attempt.schedule,
            attempt.threshold,
            attempt.implied,
            mark.file,
            end.file if end is not None else None,
            attempt.tries,
            attempt.answered,
            attempt.retransmits,
            (attempt.unresolved.client, attempt.unresolved.server) if attempt.unresolved is not None else None,
            Diagnosis(kind=known.kind, rows=known.rows, sentence="", harmless=known.harmless)
            if known is not None
            else None,
        )
        number = self._known.get(form)
        if number is None and len(self._forms) >= FORMS:
            form = form.plain()
            number = self._known.get(form)
        if number is None:
            number = self._known[form] = len(self._forms)
            self._forms.append(form)
        late = attempt.late_answer_ns
        return _ROW.pack(
            mark.ns,
            attempt.end_ns - mark.ns,
            mark.number,
            end.number if end is not None else 0,
            first,
            last,
            attempt.streak,
            -1 if late is None else late,
            number,
        )

    def _made(self, number: int, row: tuple[int, ...]) -> Attempt:
        ns, latency, at, end, first, last, streak, late, index = row
        form = self._forms[index]
        start = Mark(ns, form.file, at)
        asked = form.resolving
        return Attempt(
            n=number,
            start=start,
            end_ns=ns + latency,
            end_mark=Mark(ns + latency, form.end_file, end) if form.end_file is not None else None,
            outcome=form.outcome,
            cause=form.cause,
            status=form.status,
            detail=form.detail,
            trigger=form.trigger,
            schedule=form.schedule,
            streak=streak,
            threshold=form.threshold,
            implied=form.implied,
            late_answer_ns=late if late >= 0 else None,
            unresolved=None
            if asked is None
            else Unresolved(client=asked[0], server=asked[1], start=start, end=start, requests=()),
            diagnosis=form.diagnosis,
            brief=Brief(first, last, form.tries, form.answered, form.retransmits),
        )
