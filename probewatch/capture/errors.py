"""What goes wrong with an input, each as one plain sentence."""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 512
"""Characters of foreign text (a comment, a name, a path) that go into one sentence."""


CRLF: Final = "was sent as text, each LF made CR LF on the way: send it again as binary (ftp `binary`, kubectl exec without `-t`, scp)"
"""What happened to a capture in which each LF stands behind a CR."""


class CaptureError(Exception):
    """Nothing at all could be read from an input.

    `str()` is one sentence: what, where, and what to do. `path` is the input as the user gave it.
    An input that breaks off later raises nothing: `CaptureInfo.complete` and `.notes` tell it.
    """

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"{shown(path)} {sentence}")
        self.path = path


class DamageError(Exception):
    """An input breaks off here; everything before it stands. Never leaves `probewatch.capture`."""


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """`text` on one line, without anything that could steer a terminal, and not longer than `limit`."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    if cut.isprintable():
        return cut
    cut = " ".join(part for part in cut.replace("\t", " ").splitlines() if part.strip())
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii", "replace") for c in cut
    )


def shown(path: str) -> str:
    """`path` as error messages name it: `-` is standard input."""
    return "standard input" if path == "-" else printable(path)
