"""Whose an address was: of several Pods the one that had it at that time."""

from __future__ import annotations

import pytest

from probewatch.model.book import AddressBook
from probewatch.model.spec import PodSpec
from probewatch.model.units import SECOND as S


def pod(name: str, created_s: int | None, address: str, **more: object) -> PodSpec:
    """Return a Pod that was created then."""
    created = None if created_s is None else created_s * S
    return PodSpec(source=f"{name}.yaml", name=name, addresses=(address,), created_ns=created, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["10.128.0.10", "fd00::10"])
def test_an_address_is_one_pods_at_a_time(address: str) -> None:
    """Pods that came one after the other, none of them known to have ended: from its creation on the address is the newer one's."""
    first, second = pod("a", 100, address), pod("a", 200, address)
    book = AddressBook(pods={address: (first, second)})
    assert [book.pods_at(address, at * S) for at in (150, 199, 250)] == [[first], [second], [second]]  # (times are whole seconds)
    assert (book.was_replaced(first, 150 * S), book.was_replaced(first, 250 * S)) == (False, True)
    assert not book.was_replaced(second, 250 * S)
    assert not book.was_replaced(None, 250 * S)


def test_pods_of_the_nodes_network_share_its_address() -> None:
    """Of these none replaces another, nor does one whose age is not known give way."""
    shared = tuple(pod(name, at, "10.0.0.1", host_network=True) for name, at in (("a", 100), ("b", 200)))
    assert AddressBook(pods={"10.0.0.1": shared}).pods_at("10.0.0.1", 300 * S) == list(shared)
    old, new = pod("a", None, "10.0.0.2"), pod("b", 200, "10.0.0.2")
    assert AddressBook(pods={"10.0.0.2": (old, new)}).pods_at("10.0.0.2", 300 * S) == [old, new]


def test_a_pod_that_ended_was_not_replaced_by_nobody() -> None:
    """Only another Pod at its address replaces one."""
    gone = pod("a", 100, "10.0.0.3", deleted_ns=150 * S)
    assert not AddressBook(pods={"10.0.0.3": (gone,)}).was_replaced(gone, 300 * S)
