"""What reaches a target and is no proven probe: periodic checks, and the traffic beside them."""

from __future__ import annotations

import pytest
from make import NODE, NODE6, POD, POD6, run

from probewatch.observer.others import periodic


@pytest.mark.parametrize(("client", "server"), [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])
def test_refused_clients_are_no_check(client: str, server: str) -> None:
    """Refused connections at an even pace are a check where nothing else is asked there, and a client's where one asks unevenly."""
    refused = [run(20 + 2.2 * number, "refused", client=client, server=server) for number in range(5)]
    asked = [
        run(at, path="/shop", agent="Mozilla/5.0", client=client, server=server) for at in (0.3, 0.9, 4.1, 4.6, 9.9, 17.0)
    ]
    found, rest = periodic(refused)
    assert (len(found), rest) == (1, [])
    found, rest = periodic([*asked, *refused])
    assert (found, len(rest)) == ([], 11)
