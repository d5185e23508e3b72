"""Which probe a selector means: yes, no, or perhaps, where packets do not show what the selector asks for.

A probe whose type, Pod or path nobody knows must neither be taken for the one that is meant nor for another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from probewatch.model.expectation import Selector
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Probe


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a selector means a probe."""

    fits: bool | None
    """None is perhaps."""
    unknown: tuple[str, ...] = ()
    """What is not known of the probe: `type`, `pod` ..."""


def fit(selector: Selector, probe: Probe) -> Fit:
    """Compare all properties of a selector with a probe."""
    unknown = []
    for name, same in _compared(selector, probe):
        if same is False:
            return Fit(fits=False)
        if same is None:
            unknown.append(name)
    return Fit(None, tuple(unknown)) if unknown else Fit(fits=True)


def _compared(selector: Selector, probe: Probe) -> Iterator[tuple[str, bool | None]]:
    """Yield each property that is asked for, with whether it is so; None where it is not known."""
    target, checker = probe.target, probe.checker
    if selector.type is not None:
        yield "type", _same_type(selector.type, probe)
    for name, wanted, found in (
        ("namespace", selector.namespace, target.namespace),
        ("container", selector.container, target.container),
    ):
        if wanted is not None:
            yield name, None if found is None else wanted == found
    if selector.pod is not None:
        yield "pod", None if target.pod is None else like(selector.pod, target.pod)
    for name, asked, is_so in (
        ("address", selector.address, target.address),
        ("port", selector.port, target.port),
        ("handler", selector.handler, probe.handler),
        ("checkerAddress", selector.checker_address, checker.address),
    ):
        if asked is not None:
            yield name, asked == is_so
    if selector.path is not None:
        known = probe.path is not None or probe.handler is not Handler.HTTP_GET
        if known and probe.path is not None and probe.path_cut:
            yield "path", None if selector.path.startswith(probe.path) else False
        else:
            yield "path", selector.path == probe.path if known else None
    if selector.service is not None:
        known = probe.service is not None or probe.handler is not Handler.GRPC
        yield "service", selector.service == probe.service if known else None
    if selector.checker is not None:
        open_question = checker.kind == "unknown" and (not checker.could_be or selector.checker in checker.could_be)
        yield "checker", None if open_question and selector.checker != "unknown" else selector.checker == checker.kind


def _same_type(wanted: ProbeType, probe: Probe) -> bool | None:
    """Compare types; only what a kubelet sends has one."""
    if probe.type is not ProbeType.UNKNOWN:
        return probe.type is wanted
    could_be = probe.checker.could_be
    if probe.checker.kind == "kubelet" or (probe.checker.kind == "unknown" and (not could_be or "kubelet" in could_be)):
        return None
    return False


def like(pattern: str, name: str) -> bool:
    """Compare a name with a pattern in which `*` stands for any characters."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    *middle, last = others
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    place = len(first)
    for part in middle:
        found = name.find(part, place, len(name) - len(last))
        if found < 0:
            return False
        place = found + len(part)
    return True
