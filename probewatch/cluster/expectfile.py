"""An expectations file (`probewatch.expect/1`, YAML or JSON) into `model.expectation`; whatever is wrong ends in SpecError.

The file is read within the bounds of manifests (size, nesting, aliases; `source`, `yamltext`, `jsonstream`).
An error names the file, the path of the key, what was found, and what would be right.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
from msgspec import UnsetType

from probewatch.cluster.probe import port_number
from probewatch.model.expectation import (
    AT_LEAST_ONE,
    CHECKERS,
    DECIDED_BY,
    MOMENTS,
    STATES,
    Decided,
    Expectations,
    ExpectedDecision,
    LatencyBounds,
    Pace,
    ProbeExpectation,
    Range,
    Run,
    Selector,
)
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome
from probewatch.model.units import SECOND

from .addresses import ADDRESS_LIMIT, address_of
from .documents import read_documents
from .errors import NO_SUCH_KEY, FieldError, SpecError, join, shown, typed
from .expectform import (
    AFTER,
    CAUSE_RUN_PATTERN,
    CAUSES,
    HANDLERS,
    KINDS,
    MAX_COUNT,
    MAX_SECONDS,
    OUTCOMES,
    RUN_PATTERN,
    SCHEMA,
    TYPES,
    CountRange,
    DecidedForm,
    DecisionForm,
    ExpectForm,
    Form,
    LatencyForm,
    PaceForm,
    ProbeForm,
    SecondsRange,
    SelectorForm,
)
from .source import is_pipe

MAX_PROBES: Final = 1000
"""Entries of `probes`."""
MAX_STEPS: Final = 1000
"""Elements of a list of outcomes, decisions or sources."""

_RUN: Final = re.compile(RUN_PATTERN)
_CAUSE_RUN: Final = re.compile(CAUSE_RUN_PATTERN)

T = TypeVar("T")
V = TypeVar("V")


def read_expectations(path: str) -> Expectations:
    """Return what the file expects.

    Raises:
        SpecError: it cannot be read, is not YAML or JSON, or a key is wrong; the sentence names the key's path.
    """
    documents = []
    for document in read_documents(path, dump=False):
        if document.item is not None:
            raise SpecError(f"{path}: expected one mapping with `schema: {SCHEMA}`, got a list; {_WHERE}")
        documents.append(document)
        if len(documents) > 1:
            raise SpecError(f"{path}: holds more than one document; give each a file of its own")
    if not documents:
        raise SpecError(f"{path}: the file holds nothing; {_WHERE}")
    value = documents[0].value
    if not isinstance(value, dict):
        raise SpecError(f"{path}: expected one mapping with `schema: {SCHEMA}`, got {shown(value)}; {_WHERE}")
    if "schema" not in value and "kind" in value:
        raise SpecError(f"{path}: is a Kubernetes object, no expectations; give it as --spec")
    try:
        _known_format(value.get("schema", SCHEMA))
        return _expectations(typed(value, ExpectForm), "the expectations given" if is_pipe(path) else path)
    except FieldError as error:
        raise SpecError(f"{path}: {error}{_hint(error)}") from None


_WHERE: Final = "docs/expect.md describes the file"


def _known_format(named: object) -> None:
    """Refuse another format before its keys are read: a later one may have keys that this one does not know."""
    if named != SCHEMA:
        raise FieldError("schema", f"expected {SCHEMA}, got {shown(named)}")


def _hint(error: FieldError) -> str:
    """Return which keys there are where one is not known, the likeliest first."""
    if error.problem != NO_SUCH_KEY:
        return ""
    parent, _, wrong = error.field.rpartition(".")
    form: type[Form] = ExpectForm
    for key in _KEY.findall(parent):
        form = next((inner for name, inner in _INSIDE if name == key), form)
    known = _names(form)
    close = difflib.get_close_matches(wrong[:100], known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


_KEY: Final = re.compile(r"[A-Za-z]+")
_INSIDE: Final[tuple[tuple[str, type[Form]], ...]] = (
    ("probes", ProbeForm),
    ("probe", SelectorForm),
    *((key, DecisionForm) for key in ("decisions", "decisionsContain")),
    ("decided", DecidedForm),
    *((key, CountRange) for key in ("count", "attempts", "missed", "otherProbes", "otherConnections")),
    *((key, SecondsRange) for key in ("sinceStartSeconds", "sincePreviousSeconds", "seconds", "outOfServiceSeconds")),
    ("latencySeconds", LatencyForm),
    *((key, PaceForm) for key in ("periodSeconds", "timeoutSeconds")),
)
"""Key -> the form of what stands under it."""


def _names(form: type[Form]) -> list[str]:
    return [each.encode_name for each in msgspec.structs.fields(form)]


def _expectations(form: ExpectForm, source: str) -> Expectations:
    return Expectations(
        source=source,
        probes=_each(form.probes, "probes", _probe, MAX_PROBES),
        other_probes=_maybe(form.other_probes, "otherProbes", _counts),
        other_connections=_maybe(form.other_connections, "otherConnections", _counts),
    )


def _probe(form: ProbeForm, at: str) -> ProbeExpectation:
    def maybe(value: V | UnsetType, key: str, convert: Callable[[V, str], T]) -> T | None:
        return _maybe(value, join(at, key), convert)

    listed = partial(_each, limit=MAX_STEPS)
    made = ProbeExpectation(
        selector=_selector(form.probe, join(at, "probe")),
        count=maybe(form.count, "count", _counts) or AT_LEAST_ONE,
        attempts=maybe(form.attempts, "attempts", _counts),
        missed=maybe(form.missed, "missed", _counts),
        outcomes=maybe(form.outcomes, "outcomes", lambda v, key: listed(v, key, _run)),
        outcomes_contain=maybe(
            form.outcomes_contain, "outcomesContain", lambda v, key: _something(_filled(listed(v, key, _run), key), key)
        ),
        causes=maybe(form.causes, "causes", lambda v, key: listed(v, key, _cause)),
        causes_in_order=maybe(form.causes_in_order, "causesInOrder", lambda v, key: listed(v, key, _cause_run)),
        decisions=maybe(form.decisions, "decisions", lambda v, key: listed(v, key, _decision)),
        decisions_contain=maybe(
            form.decisions_contain, "decisionsContain", lambda v, key: _filled(listed(v, key, _decision), key)
        ),
        decided=maybe(form.decided, "decided", lambda v, key: _filled(listed(v, key, _decided), key)),
        never=maybe(form.never, "never", lambda v, key: _filled(listed(v, key, _kind), key)),
        ready_within=maybe(form.ready_within_seconds, "readyWithinSeconds", _ns),
        started_within=maybe(form.started_within_seconds, "startedWithinSeconds", _ns),
        out_of_service=maybe(form.out_of_service_seconds, "outOfServiceSeconds", _times),
        latency=maybe(form.latency_seconds, "latencySeconds", _latency),
        period=maybe(form.period_seconds, "periodSeconds", _pace),
        timeout=maybe(form.timeout_seconds, "timeoutSeconds", _pace),
        state=maybe(form.state, "state", lambda v, key: _one_of(v, STATES, key)),
        sources=maybe(form.source, "source", lambda v, key: _filled(listed(v, key, _source), key)),
        node=maybe(form.node, "node", _text),
    )
    if made.count.high == 0 and made != ProbeExpectation(selector=made.selector, count=made.count):
        raise FieldError(
            join(at, "count"), "expects no such probe: nothing else can be expected of it; leave out one of them"
        )
    kinds = DECIDED_BY.get(made.selector.type) if made.selector.type is not None else None
    for index, kind in enumerate(made.never or ()):
        if kinds is not None and kind not in kinds:
            who = " or a ".join(name.value for name, its in DECIDED_BY.items() if kind in its)
            by = f"a {who} probe does" if who else "no kubelet does"
            raise FieldError(join(at, f"never[{index}]"), f"a {made.selector.type} probe never decides {kind}: {by}")
    return made


def _selector(form: SelectorForm, at: str) -> Selector:
    def text(value: str | UnsetType, key: str) -> str | None:
        return _maybe(value, join(at, key), _text)

    kind = _maybe(form.type, join(at, "type"), lambda v, key: ProbeType(_one_of(v, TYPES, key)))
    handler = _maybe(form.handler, join(at, "handler"), lambda v, key: Handler(_one_of(v, HANDLERS, key)))
    made = Selector(
        type=kind,
        namespace=text(form.namespace, "namespace"),
        pod=text(form.pod, "pod"),
        container=text(form.container, "container"),
        handler=handler,
        address=_maybe(form.address, join(at, "address"), _address),
        port=_maybe(form.port, join(at, "port"), port_number),
        path=text(form.path, "path"),
        service=None if isinstance(form.service, UnsetType) else form.service,
        checker=_maybe(form.checker, join(at, "checker"), lambda v, key: _one_of(v, CHECKERS, key)),
        checker_address=_maybe(form.checker_address, join(at, "checkerAddress"), _address),
    )
    if not made.given():
        raise FieldError(at, f"is empty; give at least one of {', '.join(_names(SelectorForm))}")
    return made


def _decision(form: DecisionForm, at: str) -> ExpectedDecision:
    return ExpectedDecision(
        kind=_kind(form.kind, join(at, "kind")),
        since_start=_maybe(form.since_start_seconds, join(at, "sinceStartSeconds"), _times),
        since_previous=_maybe(form.since_previous_seconds, join(at, "sincePreviousSeconds"), _times),
    )


def _decided(form: DecidedForm, at: str) -> Decided:
    after = _one_of(form.after, AFTER, join(at, "after"))
    return Decided(
        kind=_kind(form.kind, join(at, "kind")),
        after=after if after in MOMENTS else DecisionKind(after),
        time=_times(form.seconds, join(at, "seconds")),
    )


def _latency(form: LatencyForm, at: str) -> LatencyBounds:
    made = LatencyBounds(
        p50=_maybe(form.p50, join(at, "p50"), _ns),
        p99=_maybe(form.p99, join(at, "p99"), _ns),
        max=_maybe(form.max, join(at, "max"), _ns),
    )
    if made == LatencyBounds():
        raise FieldError(at, f"is empty; give at least one of {', '.join(_names(LatencyForm))}")
    return made


def _pace(form: PaceForm, at: str) -> Pace:
    return Pace(_ns(form.value, join(at, "value")), _ns(form.within, join(at, "within")))


def _run(text: str, at: str) -> Run:
    if not _RUN.fullmatch(text):
        raise FieldError(
            at,
            f"expected one of {', '.join(OUTCOMES)}, alone or repeated as in failure*3, failure*2..5 or failure*1.., "
            f"got {shown(text)}",
        )
    return _repeated(text, at, Outcome)


def _cause_run(text: str, at: str) -> Run:
    if not _CAUSE_RUN.fullmatch(text):
        raise FieldError(
            at,
            f"expected a cause, alone or repeated as in refused*3, refused*2..5 or refused*1.., got {shown(text)}; "
            f"causes are {', '.join(CAUSES)}",
        )
    return _repeated(text, at, Cause)


def _repeated(text: str, at: str, kind: type[Outcome] | type[Cause]) -> Run:
    value, _, times = text.partition("*")
    low, dots, high = times.partition("..")
    if not times:
        return Run(kind(value))
    least = _number(low, at)
    most = (_number(high, at) if high else None) if dots else least
    _ordered(least, most, at, text)
    if most == 0:
        raise FieldError(at, f"expected a number of times above 0, got {shown(text)}")
    return Run(kind(value), least, most)


def _number(digits: str, at: str) -> int:
    if len(digits) > len(str(MAX_COUNT)):
        raise FieldError(at, f"expected a whole number up to {MAX_COUNT}, got {shown(digits)}")
    return _whole(int(digits), at)


def _whole(value: int, at: str) -> int:
    if not 0 <= value <= MAX_COUNT:
        raise FieldError(at, f"expected a whole number from 0 to {MAX_COUNT}, got {shown(value)}")
    return value


def _ns(value: float, at: str) -> int:
    """Return seconds as nanoseconds."""
    if not 0 <= value <= MAX_SECONDS:  # NaN too
        raise FieldError(at, f"expected seconds from 0 to {MAX_SECONDS}, got {shown(value)}")
    return round(value * SECOND)


def _counts(form: CountRange, at: str) -> Range:
    made = Range(_maybe(form.min, join(at, "min"), _whole), _maybe(form.max, join(at, "max"), _whole))
    return _range(made, at, form.min, form.max)


def _times(form: SecondsRange, at: str) -> Range:
    made = Range(_maybe(form.min, join(at, "min"), _ns), _maybe(form.max, join(at, "max"), _ns))
    return _range(made, at, form.min, form.max)


def _range(made: Range, at: str, low: object, high: object) -> Range:
    if made.low is None and made.high is None:
        raise FieldError(at, "is empty; give min, max or both")
    _ordered(made.low, made.high, at, f"{low}..{high}")
    return made


def _ordered(low: int | None, high: int | None, at: str, text: str) -> None:
    if low is not None and high is not None and low > high:
        raise FieldError(at, f"expected the smaller number first, got {shown(text)}")


def _one_of(word: str, words: Sequence[str], at: str) -> str:
    if word not in words:
        raise FieldError(at, f"expected one of {', '.join(words)}, got {shown(word)}")
    return word


def _kind(word: str, at: str) -> DecisionKind:
    return DecisionKind(_one_of(word, KINDS, at))


def _cause(word: str, at: str) -> Cause:
    return Cause(_one_of(word, CAUSES, at))


def _text(text: str, at: str) -> str:
    if not text:
        raise FieldError(at, "is empty; leave it out where anything will do")
    return text


def _address(text: str, at: str) -> str:
    address = address_of(text)
    if address is None:
        raise FieldError(at, f"expected an IPv4 or IPv6 address, got {shown(text)}")
    return address


def _source(text: str, at: str) -> str:
    """Return an address, or a network in CIDR form."""
    if "/" not in text:
        return _address(text, at)
    try:
        if len(text) <= ADDRESS_LIMIT:
            return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        pass
    raise FieldError(at, f"expected an address or a network as 10.128.0.0/14 or fd00::/64, got {shown(text)}")


def _maybe(value: V | UnsetType, at: str, convert: Callable[[V, str], T]) -> T | None:
    return None if isinstance(value, UnsetType) else convert(value, at)


def _each(values: Sequence[V], at: str, convert: Callable[[V, str], T], limit: int) -> tuple[T, ...]:
    if len(values) > limit:
        raise FieldError(at, f"expected at most {limit} elements, got {len(values)}")
    return tuple(convert(value, join(at, f"[{index}]")) for index, value in enumerate(values))


def _something(pattern: tuple[Run, ...], at: str) -> tuple[Run, ...]:
    if not any(run.low for run in pattern):
        raise FieldError(at, "may be no attempt at all, which always occurs; expect at least one")
    return pattern


def _filled(values: tuple[T, ...], at: str) -> tuple[T, ...]:
    if not values:
        raise FieldError(at, "is an empty list; leave it out where nothing is expected")
    return values
