"""YAML manifests into plain values, within bounds, and as Kubernetes means them.

Only PyYAML's parser is used (libyaml where it is built in); its events are composed here, without recursion, because
PyYAML's own composer recurses, expands every alias without limit, turns times into dates and keeps the last of two
equal keys. Here:

- an alias shares its anchor's value; what it would expand to is counted, and a file that expands beyond `MAX_NODES` is
refused
- at most `MAX_DEPTH` levels; an alias inside its own anchor is refused
- plain scalars are null, bool, int, float or text as sigs.k8s.io/yaml has them: no dates, no base-60 numbers
- keys become text, as in JSON; a key written twice in one mapping is refused, as `kubectl apply` does; `<<` merges
- no tags but those of JSON's types
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from .errors import LONGEST_INT, SpecError, plain, shown

MAX_NODES: Final = 2_000_000
"""Values in one file, aliases counted with all they stand for (a `kubectl get pods -o yaml` of 64 MB has about as many)."""
MAX_DEPTH: Final = 100
"""Levels of nesting; a Pod has about ten."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {
    word: value
    for value, words in ((True, "true yes on"), (False, "false no off"))
    for lower in words.split()
    for word in (lower, lower.capitalize(), lower.upper())
}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)", re.ASCII)
_INT_BASED: Final = re.compile(r"([-+]?)0(?:x([0-9a-fA-F_]+)|o?([0-7_]+)|b([01_]+))", re.ASCII)
_FLOAT: Final = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", re.ASCII
)
_SPECIAL: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_TAG: Final = "tag:yaml.org,2002:"
_NO_KEY: Final = object()
_MERGE: Final = object()


def yaml_values(text: str, path: str) -> Iterator[Any]:
    """Yield the value of every document (None for an empty one); SpecError with line and column where it is not YAML."""
    try:
        yield from _Composer(path).documents(text)
    except yaml.MarkedYAMLError as error:
        raise SpecError(_marked(error, text, path)) from None
    except yaml.reader.ReaderError as error:
        raise SpecError(f"{path}: not YAML: {plain(str(error.reason))} at character {error.position}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise SpecError(f"{path}: not YAML: {plain(str(error))}") from None


def plain_scalar(text: str) -> Any:
    """Return what an unquoted scalar means: None, bool, int, float or the text itself."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) <= LONGEST_INT:
        if _INT.fullmatch(text):
            return int(text.replace("_", ""))
        if based := _INT_BASED.fullmatch(text):
            sign, *digits = based.groups()
            for base, found in zip((16, 8, 2), digits, strict=True):
                if found and found.strip("_"):
                    number = int(found.replace("_", ""), base)
                    return -number if sign == "-" else number
    if _FLOAT.fullmatch(text) or _INT.fullmatch(text):
        return float(text.replace("_", ""))
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special[1] is None else float(f"{special[1]}inf")
    return text


class _Frame:
    """One open sequence or mapping."""

    __slots__ = ("anchor", "before", "key", "mapping", "merged", "sequence")

    def __init__(self, anchor: str | None, before: int, *, is_mapping: bool) -> None:
        self.anchor = anchor
        self.before = before
        """Nodes counted before this one: what it holds is the difference at its end."""
        self.mapping: dict[str, Any] | None = {} if is_mapping else None
        self.sequence: list[Any] = []
        self.key: Any = _NO_KEY
        self.merged: list[dict[str, Any]] = []


class _Composer:
    """Turn events into values; one per file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes = 0
        self._aliased = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._root: Any = None

    def documents(self, text: str) -> Iterator[Any]:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.ScalarEvent):
                self._count(1, event)
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._root = {}, None
            elif isinstance(event, yaml.DocumentEndEvent):
                self._anchors = {}
                yield self._root

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes <= MAX_NODES:
            return
        if self._aliased > self._nodes // 2:
            raise self._refused(
                event, f"its aliases stand for more than {MAX_NODES} values; write them out, or fewer of them"
            )
        raise self._refused(event, f"more than {MAX_NODES} values; give only what is needed, or JSON (`-o json`)")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame and frame.mapping is not None and frame.key is _NO_KEY:
            if event.value == "<<" and event.implicit[0] and not event.tag:
                frame.key = _MERGE
                return
            if event.anchor:
                self._anchors[event.anchor] = (event.value, 1)
            self._key(frame, event.value, event)
            return
        value = self._meaning(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, event)

    def _meaning(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag
        if tag is None:
            return plain_scalar(event.value) if event.implicit[0] else event.value
        kind = tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
        if kind in ("str", "!"):
            return event.value
        meant = plain_scalar(event.value)
        if kind == "float" and isinstance(meant, int) and not isinstance(meant, bool):
            return float(meant)
        if {"int": int, "float": float, "bool": bool, "null": type(None)}.get(kind) is type(meant):
            return meant
        raise self._refused(event, f"the tag {shown(tag)} cannot be used here; write a plain value")

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._count(1, event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _TAG + ("map" if is_mapping else "seq")):
            raise self._refused(event, f"the tag {shown(event.tag)} cannot be used here; write a plain value")
        if len(self._stack) >= MAX_DEPTH:
            raise self._refused(event, f"nested deeper than {MAX_DEPTH} levels")
        frame = self._stack[-1] if self._stack else None
        if frame and frame.mapping is not None and frame.key is _NO_KEY:
            raise self._refused(event, "a mapping or list cannot be a key")
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._stack.append(_Frame(event.anchor, self._nodes - 1, is_mapping=is_mapping))

    def _close(self, event: yaml.Event) -> None:
        frame = self._stack.pop()
        value: Any = frame.sequence
        if frame.mapping is not None:
            value = frame.mapping
            if frame.merged:
                value = {}
                for merged in reversed(frame.merged):
                    value.update(merged)
                value.update(frame.mapping)
        if frame.anchor:
            self._anchors[frame.anchor] = (value, self._nodes - frame.before)
        self._put(value, event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        frame = self._stack[-1] if self._stack else None
        name = event.anchor or ""
        if name not in self._anchors:
            inside = any(open_frame.anchor == name for open_frame in self._stack)
            why = "stands inside its own anchor" if inside else "has no anchor before it"
            raise self._refused(event, f"the alias *{plain(name)} {why}")
        value, nodes = self._anchors[name]
        self._aliased += nodes
        self._count(nodes, event)
        if frame and frame.mapping is not None and frame.key is _NO_KEY:
            if not isinstance(value, str):
                raise self._refused(event, f"the alias *{plain(name)} as a key is not text")
            self._key(frame, value, event)
            return
        self._put(value, event)

    def _key(self, frame: _Frame, key: str, event: yaml.Event) -> None:
        if frame.mapping is not None and key in frame.mapping:
            raise self._refused(event, f"{shown(key)} is written twice in one mapping; keep one")
        frame.key = key

    def _put(self, value: Any, event: yaml.Event) -> None:
        """Give a finished value to the collection that is open, or to the document."""
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        if frame.mapping is None:
            frame.sequence.append(value)
            return
        if frame.key is _MERGE:
            parts = value if isinstance(value, list) else [value]
            if not all(isinstance(part, dict) for part in parts):
                raise self._refused(event, "<< merges mappings only")
            frame.merged += parts
        else:
            frame.mapping[frame.key] = value
        frame.key = _NO_KEY

    def _refused(self, event: yaml.Event, problem: str) -> SpecError:
        mark = event.start_mark
        where = f": line {mark.line + 1} column {mark.column + 1}" if mark else ""
        return SpecError(f"{self._path}{where}: {problem}")


def _marked(error: yaml.MarkedYAMLError, text: str, path: str) -> str:
    mark = error.problem_mark or error.context_mark
    problem = plain(str(error.problem or error.context or "malformed"))
    if mark is None:
        return f"{path}: not YAML: {problem}"
    if error.context and error.problem:
        problem += f" ({plain(str(error.context))})"
    line = _line(text, mark.line)
    if "\t" in line[: mark.column + 1]:
        problem += "; there is a tab in this line: indent with spaces"
    return f"{path}: line {mark.line + 1} column {mark.column + 1}: not YAML: {problem}"


def _line(text: str, number: int) -> str:
    """Return a line's first characters without splitting the whole text."""
    start = 0
    for _ in range(number):
        start = text.find("\n", start) + 1
        if not start:
            return ""
    return text[start : start + 200].partition("\n")[0]
