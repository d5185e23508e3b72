"""The catalogue of causes: closed, whole, and fit for a table cell."""

from __future__ import annotations

from probewatch.model.catalogue import CATALOGUE
from probewatch.model.timeline import Cause


def test_every_cause_is_explained() -> None:
    """Each cause has a label, a sentence, and advice unless nothing is wrong; none is left over."""
    assert set(CATALOGUE) == set(Cause)
    for cause, entry in CATALOGUE.items():
        assert 0 < len(entry.label) <= 24, cause
        assert entry.meaning.endswith("."), cause
        assert (cause is Cause.OK) == (entry.advice == ""), cause
        assert entry.advice == "" or entry.advice.rstrip(")").endswith("."), cause


def test_labels_tell_causes_apart() -> None:
    """No two causes have the same label: a table shows only that."""
    assert len({entry.label for entry in CATALOGUE.values()}) == len(CATALOGUE)
