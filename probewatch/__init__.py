"""probewatch: see Kubernetes health probes as they really are.

`import probewatch` offers the Python API (`probewatch.api`); nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Analysis, InputError, analyze, document
    from .assertions import Inconclusive, expect
    from .capture import CaptureError
    from .cluster import SpecError
    from .model.timeline import Attempt, Cause, Decision, DecisionKind, Outcome, Probe, Timeline
    from .observer import Change
    from .recording import Recording, record

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Attempt",
    "CaptureError",
    "Cause",
    "Change",
    "Decision",
    "DecisionKind",
    "Inconclusive",
    "InputError",
    "Outcome",
    "Probe",
    "Recording",
    "SpecError",
    "Timeline",
    "__version__",
    "analyze",
    "document",
    "expect",
    "record",
]

_HOME = {
    "Analysis": "api",
    "InputError": "api",
    "analyze": "api",
    "document": "api",
    "Inconclusive": "assertions",
    "expect": "assertions",
    "CaptureError": "capture",
    "SpecError": "cluster",
    "Change": "observer",
    "Recording": "recording",
    "record": "recording",
} | dict.fromkeys(("Attempt", "Cause", "Decision", "DecisionKind", "Outcome", "Probe", "Timeline"), "model.timeline")


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
