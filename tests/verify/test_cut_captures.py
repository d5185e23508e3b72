"""True specs against captures that begin, or end, in the middle of what happened: what is missing then is no fault of the spec.

Covers `verify` and `observer`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from probewatch.api import key_log, verified
from probewatch.cluster import build_book, read_specs
from probewatch.model.finding import Held
from probewatch.observer import Observer, Settings

sys.path.append(str(Path(__file__).resolve().parents[1] / "observer"))
from truth import frames_of

PARTS = ((0.37, 1.0), (0.2, 0.6))
"""Of a capture's time, from and until: without its beginning, and without its end as well."""


@pytest.mark.parametrize(("begin", "end"), PARTS)
def test_a_true_spec_never_fails_a_part_of_its_capture(kubelet_scenario: Path, begin: float, end: float) -> None:
    """Whatever part of a capture there is, what really ran is not called wrong."""
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    first, span = frames[0].ns, frames[-1].ns - frames[0].ns
    keys = kubelet_scenario / "keys.log"
    observer = Observer(Settings(book=book, measure=True, keylog=key_log(keys if keys.is_file() else None)))
    for frame in frames:
        if first + begin * span <= frame.ns <= first + end * span:
            observer.feed(frame)
    found = verified(observer.finish(), book).findings
    assert [(one.subject, one.field, one.sentence) for one in found if one.held is Held.FAIL] == []
