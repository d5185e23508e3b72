"""Which probe a selector means: yes, no, perhaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from probewatch.model.expectation import Selector
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Checker, Target
from probewatch.verify.names import subject_of
from probewatch.verify.selecting import fit, like


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({"type": ProbeType.READINESS, "pod": "web", "namespace": "lab", "container": "app"}, True),
        ({"type": ProbeType.LIVENESS}, False),
        ({"pod": "w*b", "port": 8080}, True),
        ({"pod": "other"}, False),
        ({"namespace": "shop", "pod": "web"}, False),
        ({"port": 80}, False),
        ({"path": "/ready"}, True),
        ({"path": "/"}, False),
        ({"service": "live"}, False),
        ({"handler": Handler.GRPC}, False),
        ({"address": "10.128.0.10", "checker": "kubelet", "checker_address": "10.128.0.1"}, True),
        ({"checker": "haproxy"}, False),
        ({"checker_address": "10.128.0.2"}, False),
    ],
)
def test_what_is_known(make: Any, selector: dict[str, Any], fits: bool) -> None:
    """Every property has to be the same."""
    assert fit(Selector(**selector), make().probes[0]).fits is fits


def test_what_is_not_known(make: Any) -> None:
    """A property that nobody knows of the probe makes it perhaps, unless another one says no."""
    known = make().probes[0]
    nameless = replace(known, type=ProbeType.UNKNOWN, target=Target(address="fd00::a", port=8080), path=None, spec=None)
    for selector, unknown in (
        ({"type": ProbeType.READINESS}, ("type",)),
        ({"pod": "web", "namespace": "lab"}, ("namespace", "pod")),
        ({"path": "/ready"}, ("path",)),
    ):
        found = fit(Selector(**selector), nameless)
        assert (found.fits, found.unknown) == (None, unknown)
    assert fit(Selector(pod="web", port=81), nameless).fits is False
    check = replace(nameless, checker=Checker(kind="haproxy", address="fd00::9"))
    assert fit(Selector(type=ProbeType.READINESS), check).fits is False
    stranger = replace(nameless, checker=Checker(kind="unknown", could_be=("kubelet", "haproxy"), address="fd00::9"))
    assert fit(Selector(checker="haproxy"), stranger).fits is None
    assert fit(Selector(checker="monit"), stranger).fits is False
    assert fit(Selector(type=ProbeType.READINESS), stranger).fits is None


@pytest.mark.parametrize(
    ("pattern", "name", "same"),
    [
        ("web", "web", True),
        ("web", "web-1", False),
        ("web-*", "web-1", True),
        ("*", "", True),
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "ac", False),
        ("ab*ba", "aba", False),
        ("*-app", "x-app", True),
        ("a*a*a", "aa", False),
        ("w?b", "web", False),
        ("[w]eb", "web", False),
    ],
)
def test_like(pattern: str, name: str, same: bool) -> None:
    """Only `*` means something else than itself."""
    assert like(pattern, name) is same


def test_subject(make: Any) -> None:
    """A probe is named by its Pod, or by its address where it has none; one that is no kubelet's with who checks."""
    probe = make().probes[0]
    assert subject_of(probe) == "readiness lab/web/app"
    nameless = replace(probe, target=Target(address="fd00::a", port=8080), type=ProbeType.UNKNOWN)
    assert subject_of(nameless) == "probe [fd00::a]:8080/ready"
    assert (
        subject_of(replace(nameless, checker=Checker(kind="haproxy", address="fd00::9")))
        == "haproxy check [fd00::a]:8080/ready from fd00::9"
    )
