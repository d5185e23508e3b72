"""The keys of an expectations file as msgspec forms, and its JSON Schema, which is made from them.

Descriptions stand here once: the schema and docs/expect.md are both made from them.
What the types cannot say (names of a closed list, numbers in range, `failure*3`) is checked in `expectfile`, where the
sentence about it can name what would be right; the schema says it by `enum`, `pattern` and `minimum`.
A key that is there but empty (null) is refused: whoever wrote it expects something.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from probewatch.model.expectation import CAPTURE_START, CHECKERS, MOMENTS, STATES
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome

SCHEMA: Final = "probewatch.expect/1"

TYPES: Final = tuple(kind.value for kind in ProbeType if kind is not ProbeType.UNKNOWN)
HANDLERS: Final = tuple(handler.value for handler in Handler)
OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
CAUSES: Final = tuple(cause.value for cause in Cause)
KINDS: Final = tuple(kind.value for kind in DecisionKind)

RUN_PATTERN: Final = rf"^({'|'.join(OUTCOMES)})(\*[0-9]+(\.\.[0-9]*)?)?$"
CAUSE_RUN_PATTERN: Final = rf"^({'|'.join(CAUSES)})(\*[0-9]+(\.\.[0-9]*)?)?$"
AFTER: Final = (*MOMENTS, *KINDS)

MAX_SECONDS: Final = 1_000_000_000
"""The longest time that may be expected (31 years)."""
MAX_COUNT: Final = 1_000_000_000
"""The largest number that may be expected."""


def _key(text: str, **more: Any) -> Any:
    return Meta(description=text, extra_json_schema=more or None)


_SECONDS: Final = {"minimum": 0, "maximum": MAX_SECONDS}
_COUNT: Final = {"minimum": 0, "maximum": MAX_COUNT}

RunText = Annotated[str, Meta(extra_json_schema={"pattern": RUN_PATTERN})]
CauseRunText = Annotated[str, Meta(extra_json_schema={"pattern": CAUSE_RUN_PATTERN})]
CauseText = Annotated[str, Meta(extra_json_schema={"enum": list(CAUSES)})]
KindText = Annotated[str, Meta(extra_json_schema={"enum": list(KINDS)})]


class Form(Struct, rename="camel", forbid_unknown_fields=True):
    """What all forms share: names as Kubernetes writes them, no other keys."""


class CountRange(Form):
    """A number of things, both ends included; an end that is left out is open."""

    min: Annotated[int, _key("At least so many.", **_COUNT)] | UnsetType = UNSET
    max: Annotated[int, _key("At most so many.", **_COUNT)] | UnsetType = UNSET


class SecondsRange(Form):
    """A time in seconds, both ends included; an end that is left out is open."""

    min: Annotated[float, _key("At least so long.", **_SECONDS)] | UnsetType = UNSET
    max: Annotated[float, _key("At most so long.", **_SECONDS)] | UnsetType = UNSET


class SelectorForm(Form):
    """Which probes are meant: those with all of these properties. At least one is needed."""

    type: Annotated[str, _key("Type of the probe.", enum=list(TYPES))] | UnsetType = UNSET
    namespace: Annotated[str, _key("Namespace of the Pod.")] | UnsetType = UNSET
    pod: Annotated[str, _key("Name of the Pod; `*` stands for any characters: `web-*`.")] | UnsetType = UNSET
    container: Annotated[str, _key("Name of the container.")] | UnsetType = UNSET
    handler: Annotated[str, _key("How it asks.", enum=list(HANDLERS))] | UnsetType = UNSET
    address: Annotated[str, _key("IPv4 or IPv6 address that is probed.")] | UnsetType = UNSET
    port: Annotated[int, _key("Port that is probed.", minimum=1, maximum=65535)] | UnsetType = UNSET
    path: Annotated[str, _key("Path and query of an httpGet probe, letter for letter.")] | UnsetType = UNSET
    service: Annotated[str, _key("`grpc.service` of a grpc probe.")] | UnsetType = UNSET
    checker: (
        Annotated[str, _key("Who probes, as `checker.kind` in the JSON document.", enum=list(CHECKERS))] | UnsetType
    ) = UNSET
    checker_address: Annotated[str, _key("IPv4 or IPv6 address that probes.")] | UnsetType = UNSET


class DecisionForm(Form):
    """One decision, and when it was made."""

    kind: Annotated[str, _key("What was decided.", enum=list(KINDS))]
    since_start_seconds: (
        Annotated[
            SecondsRange,
            _key(
                "Time since the container instance started, as the packets show it; for a checker other than the "
                "kubelet, since its first attempt."
            ),
        ]
        | UnsetType
    ) = UNSET
    since_previous_seconds: (
        Annotated[
            SecondsRange,
            _key(
                "Time since this probe's decision before it, whatever that was; where its container ended meanwhile and Ready "
                "with it, since then. A first decision has none before it."
            ),
        ]
        | UnsetType
    ) = UNSET


class DecidedForm(Form):
    """The first decision of a kind after a moment, and how long after it."""

    kind: Annotated[str, _key("What was decided.", enum=list(KINDS))]
    seconds: Annotated[SecondsRange, _key("Time since that moment.")]
    after: Annotated[
        str,
        _key(
            "The moment: `start` (of the capture, as where this is left out), `first attempt`, `first failure` (the "
            "beginning of that attempt), or a decision (the first of that kind; what counts comes after it).",
            enum=list(AFTER),
        ),
    ] = CAPTURE_START


class LatencyForm(Form):
    """Upper bounds of the time from the start of an attempt to its verdict, in seconds. At least one is needed.

    An attempt that nobody answered counts with the time until the checker gave up, as a lower bound. (The p50 in the
    table is of those that were answered.)
    """

    p50: Annotated[float, _key("Half of the attempts took no longer.", **_SECONDS)] | UnsetType = UNSET
    p99: Annotated[float, _key("99 % of the attempts took no longer.", **_SECONDS)] | UnsetType = UNSET
    max: Annotated[float, _key("No attempt took longer.", **_SECONDS)] | UnsetType = UNSET


class PaceForm(Form):
    """A time in seconds, and how far from it another may be."""

    value: Annotated[float, _key("The time.", **_SECONDS)]
    within: Annotated[float, _key("Tolerance on both sides.", **_SECONDS)]


class ProbeForm(Form):
    """Expectations of the probes that `probe` selects, of each one on its own."""

    probe: Annotated[SelectorForm, _key("Which probes are meant.")]
    count: (
        Annotated[CountRange, _key("How many probes `probe` selects; at least 1 where this is left out.")] | UnsetType
    ) = UNSET
    attempts: Annotated[CountRange, _key("Number of attempts in the capture.")] | UnsetType = UNSET
    missed: (
        Annotated[CountRange, _key("Number of attempts that the cadence led to expect and that did not come.")]
        | UnsetType
    ) = UNSET
    outcomes: (
        Annotated[
            list[RunText],
            _key(
                "Outcomes of all attempts in order. `success` is one, `failure*3` three, `success*2..5` two to five, "
                "`success*1..` one or more. An attempt still open when the capture ends is left out."
            ),
        ]
        | UnsetType
    ) = UNSET
    outcomes_contain: (
        Annotated[list[RunText], _key("Outcomes that occur in a row, somewhere; written as in `outcomes`.")] | UnsetType
    ) = UNSET
    causes: Annotated[list[CauseText], _key("Causes that may occur; each attempt has one of them.")] | UnsetType = UNSET
    causes_in_order: (
        Annotated[list[CauseRunText], _key("Causes of all attempts in order; written as in `outcomes`: `refused*3..`.")]
        | UnsetType
    ) = UNSET
    decisions: Annotated[list[DecisionForm], _key("All decisions, in order.")] | UnsetType = UNSET
    decisions_contain: (
        Annotated[
            list[DecisionForm], _key("Decisions that occur in this order; others may be before, between and after.")
        ]
        | UnsetType
    ) = UNSET
    decided: (
        Annotated[list[DecidedForm], _key("Decisions, each within a time of a moment; others may come.")] | UnsetType
    ) = UNSET
    never: (
        Annotated[
            list[KindText],
            _key(
                "Decisions that do not occur, each one that this type of probe can make; `not_ready` also where Ready went with a "
                "container that ended."
            ),
        ]
        | UnsetType
    ) = UNSET
    ready_within_seconds: (
        Annotated[
            float,
            _key(
                "Ready (UP, for a checker other than the kubelet) within this time of each start of the container, as "
                "the packets show it (see `sinceStartSeconds`).",
                **_SECONDS,
            ),
        ]
        | UnsetType
    ) = UNSET
    started_within_seconds: (
        Annotated[float, _key("Started (startup probe) within this time, measured as above.", **_SECONDS)] | UnsetType
    ) = UNSET
    out_of_service_seconds: (
        Annotated[
            SecondsRange,
            _key(
                "Time out of service in all, after it had been Ready (UP) for the first time: from each NotReady (DOWN), or "
                "the end of the container, to the next Ready."
            ),
        ]
        | UnsetType
    ) = UNSET
    latency_seconds: Annotated[LatencyForm, _key("How long attempts take at most.")] | UnsetType = UNSET
    period_seconds: (
        Annotated[
            PaceForm,
            _key("Time from each tick to the next. Extra attempts and stretches of missing ones are left out."),
        ]
        | UnsetType
    ) = UNSET
    timeout_seconds: (
        Annotated[
            PaceForm,
            _key(
                "Time from the start of an attempt that is not answered to the checker giving up, wherever that shows."
            ),
        ]
        | UnsetType
    ) = UNSET
    state: Annotated[str, _key("State at the end of the capture.", enum=list(STATES))] | UnsetType = UNSET
    source: (
        Annotated[list[str], _key("Addresses or networks (`10.128.0.0/14`) that every attempt comes from.")] | UnsetType
    ) = UNSET
    node: (
        Annotated[
            str,
            _key("Node whose kubelet probes: its name, its address, or the address that its probes come from."),
        ]
        | UnsetType
    ) = UNSET


class ExpectForm(Form):
    """What only the user knows of probes: expectations that `probewatch verify --expect` holds a capture against."""

    schema: Annotated[str, _key("Name and version of this format.", const=SCHEMA)]
    probes: Annotated[list[ProbeForm], _key("Expectations, probe by probe.")]
    other_probes: Annotated[CountRange, _key("Number of probes that no `probe` of this file selects.")] | UnsetType = (
        UNSET
    )
    other_connections: (
        Annotated[CountRange, _key("Number of connections to probed targets that are no probes.")] | UnsetType
    ) = UNSET


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the format; `expect.schema.json` beside this module is its text."""
    made = msgspec.json.schema(ExpectForm)
    names = {form: re.sub(r"(?<!^)(?=[A-Z])", "_", form.removesuffix("Form")).lower() for form in made["$defs"]}
    definitions = {name: _renamed(made["$defs"][form], names) for form, name in names.items()}
    for definition in definitions.values():
        definition.pop("title", None)
        definition["description"] = " ".join(definition["description"].split())
    top = definitions.pop("expect")
    for name in ("selector", "count_range", "seconds_range", "latency"):
        definitions[name]["minProperties"] = 1
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:probewatch:expect:1",
        **top,
        "title": SCHEMA,
        "$defs": definitions,
    }


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            form = value["$ref"].rsplit("/", 1)[1]
            return {**value, "$ref": f"#/$defs/{names[form]}"}
        return {key: _renamed(inner, names) for key, inner in value.items()}
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value
