"""Kubernetes objects out of JSON text of any length, one at a time.

`kubectl get ... -o json` prints one object whose `items` may hold 100 MB of Pods. This reader keeps a window of that
text: members of the outermost object are decoded one by one, the elements of `items` are handed out and forgotten.
Several JSON documents after one another (two commands' output in one file) are read as such, and so is a bare list.

Limitation: where `kind: PodList` follows `items`, elements without a kind of their own stay without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from .document import Document
from .errors import LONGEST_INT, SpecError, shown
from .source import TextSource

MAX_ITEM_CHARS: Final = 16 << 20
"""One object, ten times what etcd stores (1.5 MB); more is refused."""

_LONGEST_LITERAL: Final = len("-Infinity") + len("\\uD800\\uDC00")

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SEPARATOR: Final = re.compile(r"(?:[ \t\r\n]|---(?=[ \t\r\n{\[]|$))*")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class JsonStream:
    """Read the documents of one `TextSource` that holds JSON."""

    def __init__(self, source: TextSource, head: str = "", line: int = 1) -> None:
        self._source = source
        self._buffer = head
        self._at = 0
        self._line = line
        """Line of the buffer's first character, from 1."""
        self._column = 1
        self._decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)

    def documents(self) -> Iterator[Document]:
        """Yield every object: plain ones whole, the elements of Lists one by one; SpecError at the first that is malformed."""
        number = 0
        while True:
            self._skip(_SEPARATOR)
            first = self._look()
            if not first:
                return
            number += 1
            if first == "{":
                yield from self._object(number)
            elif first == "[":
                yield from self._elements(number, "")
            else:
                yield Document(number, None, self._value())

    def _object(self, number: int) -> Iterator[Document]:
        """Read an object's members; hand out the elements of a member `items` that is a list, keep the others."""
        members: dict[str, Any] = {}
        listed = False
        self._at += 1
        if self._next() == "}":
            self._at += 1
            yield Document(number, None, members)
            return
        while True:
            if self._next() != '"':
                self._malformed("expected a member name in double quotes")
            name = self._value()
            if self._next() != ":":
                self._malformed("expected ':' after a member name")
            self._at += 1
            if name == "items" and self._next() == "[":
                listed = True
                kind = members.get("kind")
                yield from self._elements(number, kind if isinstance(kind, str) else "")
            else:
                members[name] = self._value()
            following = self._next()
            self._at += 1
            if following == "}":
                break
            if following != ",":
                self._at -= 1
                self._malformed("expected ',' or '}'")
        if not listed:
            yield Document(number, None, members)

    def _elements(self, number: int, kind: str) -> Iterator[Document]:
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        item = 0
        while True:
            item += 1
            yield Document(number, item, self._value(), kind)
            following = self._next()
            self._at += 1
            if following == "]":
                return
            if following != ",":
                self._at -= 1
                self._malformed("expected ',' or ']'")

    def _value(self) -> Any:
        """Decode the value that comes next, widening the window until it is whole."""
        self._skip(_SPACE)
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._cut(error) and self._more():
                    continue
                self._at = min(error.pos, len(self._buffer))
                self._malformed(error.msg)
            except RecursionError:
                self._malformed("nested too deeply")
            except ValueError as error:
                self._malformed(str(error).split(";")[0])
            # A number at the very end of the window may go on behind it.
            if end == len(self._buffer) and self._more():
                continue
            if _SURROGATE.search(self._buffer, self._at, end):
                value = self._scrubbed(value)
            self._at = end
            return value

    def _cut(self, error: json.JSONDecodeError) -> bool:
        """Tell whether more text could mend this: the string or the literal at the window's end is not whole."""
        return error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - _LONGEST_LITERAL

    def _scrubbed(self, value: Any) -> Any:
        try:
            return _scrub(value)
        except RecursionError:
            self._malformed("nested too deeply")

    def _next(self) -> str:
        """Skip white space and return the character there (empty at the end of input)."""
        self._skip(_SPACE)
        return self._look()

    def _look(self) -> str:
        return self._buffer[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        """Move behind what the pattern allows; the window then holds at least "---" or reaches the end of input."""
        while True:
            match = pattern.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if len(self._buffer) - self._at > len("---") or not self._more():
                return

    def _drop(self, end: int) -> None:
        """Move the window's start to `end`, keeping count of lines."""
        gone = self._buffer[:end]
        newlines = gone.count("\n")
        if newlines:
            self._line += newlines
            self._column = end - gone.rfind("\n")
        else:
            self._column += end
        self._buffer = self._buffer[end:]
        self._at = 0

    def _more(self) -> bool:
        """Take more text into the window, as much as it holds; false, with nothing moved, at the end of input."""
        piece = self._source.read()
        if not piece:
            return False
        if self._at:
            self._drop(self._at)
        if len(self._buffer) > MAX_ITEM_CHARS:
            self._malformed(f"one value is longer than {MAX_ITEM_CHARS >> 20} MB", quoting=False)
        pieces, missing = [self._buffer], len(self._buffer)
        while piece:
            pieces.append(piece)
            missing -= len(piece)
            piece = self._source.read() if missing > 0 else ""
        self._buffer = "".join(pieces)
        return True

    def _malformed(self, reason: str, *, quoting: bool = True) -> NoReturn:
        before = self._buffer[: self._at]
        newlines = before.count("\n")
        line = self._line + newlines
        column = self._at - before.rfind("\n") if newlines else self._column + self._at
        got = self._look()
        seen = f", got {shown(got)}" if got else ", got the end of the file"
        where = f"{self._source.path}: line {line} column {column}"
        if not quoting:
            seen = ""
        if reason[1:3].islower():
            reason = reason[0].lower() + reason[1:]
        raise SpecError(f"{where}: not JSON: {reason}{seen}")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= LONGEST_INT else float(text)


def _scrub(value: Any) -> Any:
    """Replace lone surrogates by U+FFFD, as Go does."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_scrub(element) for element in value]
    if isinstance(value, dict):
        return {_scrub(key): _scrub(element) for key, element in value.items()}
    return value
