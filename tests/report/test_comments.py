"""Comments on frames, and names of addresses, for a capture that is opened in Wireshark."""

from __future__ import annotations

from probewatch.report.comments import comments, names


def test_no_text_of_ours_steers_a_terminal(made) -> None:
    """Whatever a Pod, a path or a node is called, comments and names are printable."""
    timeline = made["hostile"]()
    told = [text for texts in comments(timeline).values() for text in texts]
    told += [name for found in names(timeline).values() for name in found]
    assert told
    assert all(text.isprintable() for text in told)
