"""An attempt's connections, and what was said on connections that wait, in little room: whole again each time they are looked at.

Theory of operation. A connection and what hangs on it is some sixty objects, 3 kB. Nearly all that a checker's connections
say is the same each time, so they are kept as bytes (pickle), compressed with the first of them as dictionary: some 130 to 200
bytes each. Nothing is left out: whoever reads packed legs finds a sequence of equal legs, and an exchange that was put on a
`Shelf` is an exchange as before. Looking costs some thirty microseconds a connection, and nothing where it is looked at again
soon.

Limitations: the values that are made are equal, but not the same each time. An exchange on a shelf is not for
`dataclasses.replace`.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, SupportsIndex, overload

from .connection import Arrival, Connection, Half, IcmpNote, Sighting, Step
from .exchange import Exchange, GrpcFacts, HttpExchange, TlsAlert, TlsFacts, TlsRecord
from .frame import Mark
from .path import Placed
from .timeline import Leg, TlsSummary

AT_HAND: Final = 1_024
"""Exchanges of a shelf that are held whole: those of one series mostly, which is gone through again and again."""
_DATACLASSES: Final = (
    Leg, Connection, Half, IcmpNote, TlsSummary, Placed, Exchange, HttpExchange, TlsFacts, TlsAlert, TlsRecord, GrpcFacts,
)  # fmt: skip
_TUPLES: Final = (Mark, Arrival, Sighting, Step)
_NAMES: Final = tuple(tuple(one.name for one in fields(cls)) for cls in _DATACLASSES)

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


def _maker(cls: type, names: tuple[str, ...]) -> Callable[..., Any]:
    """Return what makes such a value of its fields in their order."""
    made: Callable[..., Any] = eval(  # noqa: S307  (as dataclasses makes `__init__`: nothing in it but the names of fields)
        f"lambda {', '.join(names)}: cls({', '.join(f'{name}={name}' for name in names)})", {"cls": cls}
    )
    return made


_MAKERS: Final = tuple(map(_maker, _DATACLASSES, _NAMES))


def _make(tag: int, *values: Any) -> Any:
    """Make a value again; what is packed names this function."""
    return _MAKERS[tag](*values)


def _reduced(tag: int) -> Callable[[Any], Reduced]:
    get = attrgetter(*_NAMES[tag])
    return lambda value: (_make, (tag, *get(value)))


_TABLE: Final[dict[type, Callable[[Any], Reduced]]] = {
    **{cls: _reduced(tag) for tag, cls in enumerate(_DATACLASSES)},
    **{cls: lambda value: (type(value), tuple(value)) for cls in _TUPLES},
}
"""How values are taken apart. (As pickle does it by itself, they would be made again field by field, by `__setattr__`.)"""


class _Pieces(list[bytes]):
    """What pickle writes, and where to: no file."""

    write = list[bytes].append


class Packer:
    """Makes bytes of values that are much alike, and values of such bytes."""

    __slots__ = ("_alike", "_last")

    def __init__(self) -> None:
        self._alike = b""
        """The first value, not compressed: the dictionary of all others."""
        self._last: tuple[bytes, Any] = b"", None
        """What was made last: most is looked at several times in a row."""

    def pack(self, value: object) -> bytes:
        """Return a value as bytes."""
        pieces = _Pieces()
        pickler = pickle.Pickler(pieces, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = _TABLE
        pickler.dump(value)
        plain = b"".join(pieces)
        self._alike = self._alike or plain
        pressed = zlib.compressobj(1, zdict=self._alike)
        return pressed.compress(plain) + pressed.flush()

    def unpack(self, data: bytes) -> Any:
        """Return an equal value."""
        if data is not self._last[0]:
            self._last = data, self._unpacked(data)
        return self._last[1]

    def _unpacked(self, data: bytes) -> Any:
        return pickle.loads(zlib.decompressobj(zdict=self._alike).decompress(data))  # noqa: S301  (our own bytes)


class PackedLegs(Sequence[Leg]):
    """Legs as bytes."""

    __slots__ = ("_data", "_packer")

    def __init__(self, legs: Sequence[Leg], packer: Packer) -> None:
        """Pack legs, with the packer of others that are like them."""
        self._packer = packer
        self._data = packer.pack(tuple(legs))

    def _legs(self) -> tuple[Leg, ...]:
        legs: tuple[Leg, ...] = self._packer.unpack(self._data)
        return legs

    def __len__(self) -> int:
        return len(self._legs())

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


class Shelf:
    """Where exchanges are kept as bytes; those that were looked at last are at hand whole."""

    def __init__(self) -> None:
        self._packer = Packer()
        self.legs = Packer()
        """For the legs that are made of them."""
        self._whole: dict[int, tuple[PackedExchange, Exchange]] = {}
        """By id, the oldest look first. (Each is held here together with its id, which nothing else can have meanwhile.)"""

    def put(self, exchange: Exchange) -> Exchange:
        """Return an exchange that takes little room in the place of this one."""
        return PackedExchange(self, self._packer.pack(exchange))

    def look(self, packed: PackedExchange, data: bytes) -> Exchange:
        """Return one whole."""
        known = self._whole.get(id(packed))
        if known is not None:
            return known[1]
        made: Exchange = self._packer.unpack(data)
        if len(self._whole) >= AT_HAND:
            del self._whole[next(iter(self._whole))]
        self._whole[id(packed)] = packed, made
        return made


class PackedExchange(Exchange):
    """An exchange on a shelf: its own fields stay empty, and are asked of the whole one."""

    __slots__ = ("_data", "shelf")
    shelf: Shelf

    def __init__(self, shelf: Shelf, data: bytes) -> None:
        """Take the place of what `Shelf.put` packed."""
        object.__setattr__(self, "shelf", shelf)  # (it is as frozen as any exchange)
        object.__setattr__(self, "_data", data)

    def __getattr__(self, name: str) -> Any:
        """Return a field, which is asked for here because its slot is empty."""
        if name not in Exchange.__slots__:
            raise AttributeError(name)
        return getattr(self.shelf.look(self, self._data), name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exchange) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))


_values: Final[Callable[[Exchange], tuple[Any, ...]]] = attrgetter(*Exchange.__slots__)
