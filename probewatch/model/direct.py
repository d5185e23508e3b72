"""Frozen values that are made by the million are filled as fast as any object.

A frozen dataclass sets each field by `object.__setattr__`, for its own `__setattr__` refuses; that is three quarters of what
making one with twenty fields costs, and a seventh of all the time that a capture of probes took. `direct` gives such a class an
`__init__` that is a twin's, with the same slots and nothing frozen, as long as the fields are set. The value is as frozen as
before from the moment its caller has it.

Limitations: for classes with slots, without `default_factory` and `__post_init__`; a test holds that it changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any, Final, TypeVar

T = TypeVar("T")


def direct(cls: type[T]) -> type[T]:
    """Give a frozen dataclass with slots an `__init__` that sets its fields directly; use it above `@dataclass`.

    Raises:
        TypeError: the class needs more than its fields set.
    """
    known = fields(cls)  # type: ignore[arg-type]
    if hasattr(cls, "__post_init__") or any(one.default_factory is not MISSING or not one.init for one in known):
        raise TypeError(f"{cls.__name__} needs more than its fields set")
    twin = type(cls.__name__, (), {"__slots__": cls.__slots__})  # type: ignore[attr-defined]
    names: dict[str, Any] = {"_become": object.__setattr__, "_twin": twin, "_cls": cls}
    arguments: list[str] = []
    for one in sorted(known, key=lambda one: bool(one.kw_only)):
        if one.kw_only and "*" not in arguments:
            arguments.append("*")
        if one.default is MISSING:
            arguments.append(one.name)
        else:
            names[f"_{one.name}"] = one.default
            arguments.append(f"{one.name}=_{one.name}")
    lines = [f"def __init__(self, {', '.join(arguments)}):", "_become(self, '__class__', _twin)"]
    lines += [f"self.{one.name} = {one.name}" for one in known]
    lines.append("self.__class__ = _cls")
    exec("\n ".join(lines), names)  # noqa: S102  (as dataclasses makes it: nothing in it but the names of fields)
    made = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    type.__setattr__(cls, "__init__", made)
    _FILL[cls] = tuple(cls.__dict__[one.name].__set__ for one in known)
    values = attrgetter(*(one.name for one in known))
    type.__setattr__(cls, "__reduce__", lambda self: (_remade, (cls, values(self))))
    return cls


_FILL: Final[dict[type[Any], tuple[Callable[[Any, Any], None], ...]]] = {}
"""How the fields of such a class are set, in their order."""


def _remade(cls: type[T], values: tuple[Any, ...]) -> T:
    """Make a value of its fields, as `pickle` asks for: a third of what it takes of a dataclass by itself."""
    made = object.__new__(cls)
    for fill, value in zip(_FILL[cls], values, strict=True):
        fill(made, value)
    return made
