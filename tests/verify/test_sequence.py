"""Rows of outcomes against patterns of runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.model.expectation import Run
from probewatch.model.timeline import Outcome
from probewatch.verify.sequence import match, written

NAMES = {"s": Outcome.SUCCESS, "f": Outcome.FAILURE, "?": Outcome.INCONCLUSIVE}
S, F = Outcome.SUCCESS, Outcome.FAILURE


def row(letters: str) -> list[Outcome]:
    """Return an outcome for each letter."""
    return [NAMES[letter] for letter in letters]


@pytest.mark.parametrize(
    ("letters", "pattern", "reached", "wanted"),
    [
        ("sssfsfff", [Run(S, 1, None), Run(F, 3, 3)], 4, Run(F, 3, 3)),
        ("sssff", [Run(S, 1, None), Run(F, 3, 3)], 5, Run(F, 3, 3)),
        ("sssffff", [Run(S, 1, None), Run(F, 3, 3)], 6, None),
        ("ssss", [Run(S, 5, 5)], 4, Run(S, 5, 5)),
        ("ssssss", [Run(S, 5, 5)], 5, None),
        ("f", [], 0, None),
        ("", [Run(S)], 0, Run(S)),
    ],
)
def test_where_it_leaves_the_pattern(letters: str, pattern: list[Run], reached: int, wanted: Run | None) -> None:
    """A row that does not match is told with the first attempt that does not fit, and what would have."""
    found = match(row(letters), pattern)

    assert (found.whole, found.possible, found.reached, found.wanted) == (False, False, reached, wanted)


def test_inconclusive_is_perhaps() -> None:
    """An inconclusive attempt may be what the pattern wants; only `inconclusive` itself wants it for certain."""
    pattern = [Run(S, 2, 2), Run(F, 1, 1)]
    assert (match(row("s?f"), pattern).whole, match(row("s?f"), pattern).possible) == (False, True)
    assert match(row("?f?"), pattern).possible is False
    assert match(row("??"), [Run(Outcome.INCONCLUSIVE, 2, 2)]).whole


def test_written() -> None:
    """A row is written as runs; one with very many is cut, and says so."""
    assert written(row("sssf??")) == "success*3, failure, inconclusive*2"
    assert written([]) == "nothing"
    assert written(row("sf" * 10)).endswith("failure, and 8 more runs")


RUNS = st.lists(
    st.builds(
        lambda outcome, low, more: Run(outcome, low, None if more is None else max(1, low + more)),
        st.sampled_from([S, F]),
        st.integers(0, 3),
        st.none() | st.integers(0, 2),
    ),
    max_size=5,
)


@given(st.text(alphabet="sf?", max_size=9), RUNS, st.booleans())
def test_agrees_with_regular_expressions(letters: str, pattern: list[Run], anywhere: bool) -> None:
    """The walk finds what `re` finds for the same pattern, strictly and kindly, from end to end and anywhere."""
    kinds = {S: "s", F: "f"}
    strict = "".join(f"{kinds[run.value]}{{{run.low},{'' if run.high is None else run.high}}}" for run in pattern)
    kindly = re.sub("[sf]", lambda letter: f"[{letter[0]}?]", strict)
    search = re.search if anywhere else re.fullmatch

    found = match(row(letters), pattern, anywhere=anywhere)

    assert found.whole == bool(search(strict, letters))
    assert found.possible == bool(search(kindly, letters))
    assert 0 <= found.reached <= len(letters)
