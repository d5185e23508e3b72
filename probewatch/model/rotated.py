"""Which inputs are files of one capture: `tcpdump -C`, `-G`, dumpcap's ring, or a file that was cut into pieces.

Theory of operation. Files of a rotated set were captured at the same interfaces, one after the other. So inputs that tell of the
same interfaces in the same form, no two of which cover one moment, are one set; where some do, several sets may have been given,
and those are one whose names differ in digits only and no two of which cover one moment.

Limitations: captures of two places that tell of no interface (pcap), taken one after the other, are taken for one set: nothing
tells them apart, and as they cover no moment together nothing is concluded from a comparison of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from .frame import CaptureInfo
from .units import MS

JITTER_NS: Final = 50 * MS
"""A file may begin so long before the end of the one before it: several queues of a network card."""
_DIGITS: Final = re.compile(r"\d+")


def rotated_sets(captures: Sequence[CaptureInfo]) -> tuple[int, ...]:
    """Return for each input the index of the earliest file of its set; its own where it stands alone."""
    heads = list(range(len(captures)))
    for form in _alike(range(len(captures)), [_form(info) for info in captures]):
        whole = _in_turn(form, captures)
        names = [_DIGITS.sub("", info.path) for info in captures]
        for files in [form] if whole else [part for part in _alike(form, names) if _in_turn(part, captures)]:
            begun = [(ns, file) for file in files if (ns := captures[file].first_ns) is not None]
            first = min(begun)[1] if begun else files[0]
            for file in files:
                heads[file] = first
    return tuple(heads)


def _form(info: CaptureInfo) -> Hashable:
    """Return what files of one set have in common."""
    links = tuple((i.index, i.name, i.link_type, i.host) for i in info.interfaces)
    return info.format.partition("+")[0], links


def _alike(files: Iterable[int], by: Sequence[Hashable]) -> list[list[int]]:
    """Return files in groups of those that are alike."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for file in files:
        found[by[file]].append(file)
    return [*found.values()]


def _in_turn(files: Sequence[int], captures: Sequence[CaptureInfo]) -> bool:
    """Tell whether each file began when the one before it had ended; one without frames is in nobody's way."""
    spans = [(captures[file].first_ns, captures[file].last_ns) for file in files]
    known = sorted((first, last) for first, last in spans if first is not None and last is not None)
    return all(last - JITTER_NS <= first for (_, last), (first, _) in pairwise(known))
