"""Values that are filled directly are what they would be otherwise: frozen, comparable, and refused where they were refused."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from probewatch.model.connection import Half
from probewatch.model.direct import direct


@dataclass(frozen=True, slots=True)
class Plain:
    """A value as `dataclass` makes it."""

    first: int
    second: str = "b"
    third: int = field(default=3, kw_only=True)


@direct
@dataclass(frozen=True, slots=True)
class Direct:
    """The same, filled directly."""

    first: int
    second: str = "b"
    third: int = field(default=3, kw_only=True)


def test_it_takes_the_arguments_that_it_took() -> None:
    """Order, defaults and keywords are those that `dataclass` gives."""

    def shape(kind: type) -> list[tuple[str, object, object]]:
        parameters = list(inspect.signature(kind.__init__).parameters.values())
        return [(one.name, one.default, one.kind) for one in parameters]

    assert shape(Direct) == shape(Plain)
    assert (Direct(1, "x", third=4).first, Direct(1).second, Direct(1).third) == (1, "b", 3)
    with pytest.raises(TypeError):
        Direct()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Direct(1, "x", 4)  # type: ignore[misc]


def test_it_is_as_frozen_as_before() -> None:
    """From the moment its caller has it, no field can be set, and it is of its own class."""
    value = Direct(1)

    assert type(value) is Direct
    with pytest.raises(FrozenInstanceError):
        value.first = 2  # type: ignore[misc]
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        value.other = 2  # type: ignore[attr-defined]


def test_it_is_compared_replaced_copied_and_pickled_as_before() -> None:
    """Equality, hash, `replace`, `copy` and `pickle` do what they do with a dataclass."""
    value = Half(packets=3, data=b"x")

    assert value == Half(packets=3, data=b"x") != Half(packets=4, data=b"x")
    assert hash(value) == hash(Half(packets=3, data=b"x"))
    assert replace(value, packets=5) == Half(packets=5, data=b"x")
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    assert repr(Direct(1)) == "Direct(first=1, second='b', third=3)"


def test_a_class_that_needs_more_is_refused() -> None:
    """Where more is to be done than to set the fields, the class is refused when it is made, not wrong later."""

    @dataclass(frozen=True, slots=True)
    class Made:
        several: list[int] = field(default_factory=list)

    with pytest.raises(TypeError, match="Made needs more"):
        direct(Made)
