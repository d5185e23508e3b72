"""Lets the tests here share `mutations`: importlib mode puts no directory on the path."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for place in (str(HERE), str(HERE.parent / "probes"), str(HERE.parent / "wire")):
    if place not in sys.path:
        sys.path.append(place)
