"""An attempt's connections in little room: whole again each time they are looked at.

Theory of operation. A connection and what hangs on it is some sixty objects, 3 kB; the numbers and words in them fit into
400 bytes. So the legs of attempts that are settled are kept as such bytes, each value as the tuple of its fields behind the
number of its class, moments as distances from the first of them. Nothing is left out, and whoever reads the legs finds a
sequence of the same values. Looking costs some twenty microseconds a leg.

Limitations: only the classes below may hang on a leg; the values that are made are equal, but not the same each time.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, SupportsIndex, overload

from .connection import Arrival, Connection, Half, IcmpNote, Sighting, Step
from .frame import Mark
from .path import Placed
from .timeline import Leg, Role, TlsSummary

_PLAIN: Final = frozenset({int, str, bytes, bool, type(None), float})
_TUPLES: Final = (tuple, Arrival, Sighting, Step)
_DATACLASSES: Final = (Leg, Connection, Half, IcmpNote, TlsSummary, Placed)
_MARK: Final = len(_TUPLES) + len(_DATACLASSES)
_ROLE: Final = _MARK + 1


def _remake(cls: Any) -> Callable[[Sequence[Any]], Any]:
    names = [one.name for one in fields(cls)]
    return lambda values: cls(**dict(zip(names, values, strict=True)))


_mark: Final = Mark._make


_TAGS: Final = {cls: tag for tag, cls in enumerate((*_TUPLES, *_DATACLASSES))}
_FIELDS: Final = {cls: attrgetter(*(one.name for one in fields(cls))) for cls in _DATACLASSES}
_MAKE: Final[tuple[Callable[[Any], Any], ...]] = (
    tuple, Arrival._make, Sighting._make, Step._make, *map(_remake, _DATACLASSES),
)  # fmt: skip


def _flat(value: Any, ns: int, number: int) -> Any:
    """Return a value as plain tuples, moments counted from `ns` and frames from `number`."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is Mark:
        return _MARK, value[0] - ns, value[1], value[2] - number
    if kind is Role:
        return _ROLE, value.value
    get = _FIELDS.get(kind)
    return _TAGS[kind], *[_flat(one, ns, number) for one in (value if get is None else get(value))]


def _made(flat: Any, ns: int, number: int) -> Any:
    """Return what `_flat` made flat."""
    if type(flat) is not tuple:
        return flat
    tag = flat[0]
    if tag == _MARK:
        return _mark((flat[1] + ns, flat[2], flat[3] + number))
    if tag == _ROLE:
        return Role(flat[1])
    return _MAKE[tag]([_made(one, ns, number) if type(one) is tuple else one for one in flat[1:]])


class PackedLegs(Sequence[Leg]):
    """Legs as bytes."""

    __slots__ = ("_data", "_mark")

    def __init__(self, legs: Sequence[Leg], mark: Mark) -> None:
        """Pack legs; `mark` is a moment near them that is kept anyhow."""
        self._mark = mark
        self._data = zlib.compress(marshal.dumps([_flat(leg, mark.ns, mark.number) for leg in legs]), 1)

    def _flat(self) -> list[Any]:
        flat: list[Any] = marshal.loads(zlib.decompress(self._data))  # noqa: S302  (our own bytes)
        return flat

    def _legs(self) -> tuple[Leg, ...]:
        mark = self._mark
        return tuple(_made(flat, mark.ns, mark.number) for flat in self._flat())

    def __len__(self) -> int:
        return len(self._flat())

    def __bool__(self) -> bool:
        return True  # (no leg is nothing to pack)

    def __iter__(self) -> Iterator[Leg]:
        return iter(self._legs())

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Leg: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[Leg, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Leg | tuple[Leg, ...]:
        return self._legs()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple | PackedLegs) and self._legs() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._legs())
