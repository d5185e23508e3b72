"""What runs without privileges needs no file any more: all that it may import is there before."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "probewatch"
BUILT_IN = {"ascii", "latin-1", "utf-8", "utf-16"}
"""Encodings that Python knows without a module (PyUnicode_Decode)."""


def test_encodings_are_read_before() -> None:
    """Each encoding that the package names is imported with everything else: afterwards a file of Python's may not be readable."""
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"\.(?:en|de)code\(\"([a-z0-9_-]+)\"", path.read_text(encoding="utf-8"))
    }
    rare = sorted(f"encodings.{name}" for name in named - BUILT_IN)
    assert rare
    said = "import sys; from probewatch.capture.privilege import import_everything as read; read(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, timeout=60)
    assert set(rare) <= set(done.stdout.split())
