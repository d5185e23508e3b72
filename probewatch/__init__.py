"""probewatch: see Kubernetes health probes as they really are.

`import probewatch` offers the Python API (`probewatch.api`); nothing heavy is imported before it is used.

The parts (docs/design.md):

    cli             the command line
    report          timelines as text, JSON, HTML and what CI reads
    observer        the one place where the parts meet: frames in, events out
    verify          a timeline against what was asked for
    decisions       attempts to decisions
    probes          connections to attempts to probes
    wire            frames to connections to exchanges
    cluster         manifests, dumps, logs and this node
    capture         captures in and out
    model           the nouns
    lab             scenarios in network namespaces, with a stand-in for the kubelet

And the modules beside them:

    ahead           captures read ahead: frames and connections in a process of their own, and what comes of them in
                    ours
    annotating      `analyze -w`: captures written anew as one pcapng
    api             what `import probewatch` offers: read captures and specs, get a `Timeline`
    asking          `probewatch.who`: what a connection was that an application logged
    assertions      assertions on a timeline, for tests: `expect(timeline).probe("readiness").period(10, within=0.05)`
    clocks          captures of one time whose clocks differ: the same connections in both show by how much
    explaining      `probewatch.explain`: single attempts as ladder diagrams, made by reading the captures a second
                    time
    feeding         captures, from their first frame to their end, into whatever takes frames
    joined          A file whose pieces were joined in another order than they were captured
    moments         moments as they are asked for: RFC 3339, or seconds after the first frame; and what cannot be
    pytest_plugin   what probewatch adds to pytest
    recording       record an interface while something happens, and hand back the timeline of it
    stepped         a file whose clock was set while it was captured: all tickers moved with it
    watching        frames as they come, into an observer (`Watch`) or into files (`Keep`)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Analysis, analyze, document, infer_spec, verify, whatif
    from .asking import who
    from .assertions import Inconclusive, expect
    from .capture import CaptureError
    from .cluster import SpecError
    from .explaining import explain
    from .model.finding import Evidence, Finding, Held, worst
    from .model.ladder import Ladder
    from .model.timeline import Attempt, Cause, Decision, DecisionKind, Outcome, Probe, Timeline
    from .moments import InputError
    from .observer import Change
    from .recording import Recording, record
    from .verify.inferred import Inferred
    from .verify.whatif import WhatIf

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Attempt",
    "CaptureError",
    "Cause",
    "Change",
    "Decision",
    "DecisionKind",
    "Evidence",
    "Finding",
    "Held",
    "Inconclusive",
    "Inferred",
    "InputError",
    "Ladder",
    "Outcome",
    "Probe",
    "Recording",
    "SpecError",
    "Timeline",
    "WhatIf",
    "__version__",
    "analyze",
    "document",
    "expect",
    "explain",
    "infer_spec",
    "record",
    "verify",
    "whatif",
    "who",
    "worst",
]

_HOME = (
    {
        "Analysis": "api",
        "InputError": "moments",
        "analyze": "api",
        "document": "api",
        "infer_spec": "api",
        "verify": "api",
        "whatif": "api",
        "Inferred": "verify.inferred",
        "WhatIf": "verify.whatif",
        "Inconclusive": "assertions",
        "expect": "assertions",
        "explain": "explaining",
        "who": "asking",
        "Ladder": "model.ladder",
        "Recording": "recording",
        "record": "recording",
        "CaptureError": "capture",
        "SpecError": "cluster",
        "Change": "observer",
    }
    | dict.fromkeys(("Evidence", "Finding", "Held", "worst"), "model.finding")
    | dict.fromkeys(("Attempt", "Cause", "Decision", "DecisionKind", "Outcome", "Probe", "Timeline"), "model.timeline")
)


class _Package(ModuleType):
    """`probewatch.verify` is the function; the import system would put the subpackage of that name in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """Return the names on offer."""
    return sorted(__all__)
