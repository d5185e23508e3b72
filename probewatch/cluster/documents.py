"""Every object of a file, whatever it is written in: JSON as a stream, YAML within bounds, Lists taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from .document import Document
from .errors import SpecError
from .jsonstream import JsonStream
from .source import MANIFESTS, MAX_DUMP_BYTES, MAX_SPEC_BYTES, TextSource

_JSON: Final = re.compile(r"""\s*(?:(?:\[\s*)?\{\s*["}]|\[\s*\])""")

_ENOUGH: Final = 256
"""Characters that show whether a text is JSON."""


def read_documents(path: str, *, dump: bool, like: Sequence[str] = MANIFESTS) -> Iterator[Document]:
    """Yield the objects of `path` in order, elements of Lists one by one; SpecError where it cannot be read or parsed.

    `dump` allows JSON of any practical length (a window of it is in memory at a time); a manifest is at most
    `MAX_SPEC_BYTES`. `like` is how such files are named.
    """
    with TextSource(path, MAX_DUMP_BYTES if dump else MAX_SPEC_BYTES, like=like) as source:
        line = 1
        head = source.read()
        while head and not head.strip():
            line += head.count("\n")
            head = source.read()
        while head and len(head) < _ENOUGH and (piece := source.read()):
            head += piece
        if not head:
            raise SpecError(f"{path}: the file is empty")
        if _JSON.match(head):
            yield from JsonStream(source, head, line).documents()
            return
        text = head + source.rest()
        from .mistaken import mistaken, templated
        from .yamltext import yaml_values  # PyYAML is imported only where YAML is read

        if what := mistaken(text):
            raise SpecError(f"{path}: {what}")
        values = enumerate(yaml_values(text, path), start=1)
        while True:
            try:
                number, value = next(values)
            except StopIteration:
                return
            except SpecError as error:
                raise SpecError(f"{error}{templated(text)}") from None
            if value is not None:
                yield from _elements(number, value)


def _elements(number: int, value: Any) -> Iterator[Document]:
    """Take a List, or a bare list, apart."""
    items, kind = value, ""
    if isinstance(value, dict):
        items, found = value.get("items"), value.get("kind")
        kind = found if isinstance(found, str) else ""
    if isinstance(items, list):
        for item, element in enumerate(items, start=1):
            yield Document(number, item, element, kind)
    else:
        yield Document(number, None, value)
