"""Filters in pcap syntax (pcap-filter(7)), compiled and run by libpcap, on frames of any of our inputs.

One expression is compiled once for each link type it meets. As everywhere in pcap syntax it sees the outermost
headers only: behind a VLAN tag or a tunnel an address is matched only where the expression says so (`vlan and host
...`), and `tcp[13]` is IPv4.
"""

from __future__ import annotations

from typing import Any, Final

from probewatch.capture.errors import CaptureError, printable
from probewatch.capture.linktypes import link_type_name
from probewatch.model.frame import JOURNAL_ENTRY, Frame

_SNAPLEN: Final = 262_144
"""A matching frame is never cut by the program: only its verdict is used."""

_LONGEST: Final = 0xFFFFFFFF
"""pcap_pkthdr.len has 32 bits."""

_DLT: Final = {100: 11, 101: 12, 102: 15, 103: 16, 106: 19}
"""Where LINKTYPE_, the number in files, differs from DLT_, libpcap's own, on Linux (pcap-common.c)."""

_USUAL: Final = (1, 276, 113, 101, 127)
"""Link types on which an expression is tried before the first frame: Ethernet, cooked, raw IP, 802.11."""


class FilterError(CaptureError):
    """An expression that libpcap does not understand."""

    def __init__(self, expression: str, reason: str, link_type: str = "") -> None:
        where = f" on frames of link type {link_type}" if link_type else ""
        super().__init__("filter", f"'{printable(expression)}' cannot be used{where}: {printable(reason)}")
        self.reason = reason


class Filter:
    """Says which frames match an expression."""

    def __init__(self, expression: str) -> None:
        """Compile.

        Raises:
            FilterError: no usual link type can make sense of the expression.
        """
        self.expression = expression
        self._programs: dict[int, Any] = {}
        self._header: Any = None
        first: FilterError | None = None
        for link_type in _USUAL:
            try:
                self.program(link_type)
            except FilterError as error:
                first = first or error
            else:
                return
        assert first is not None
        raise FilterError(expression, first.reason) from first

    def matches(self, frame: Frame) -> bool:
        """Return whether a frame matches; a process event, of which no expression speaks, always does.

        Raises:
            FilterError: the expression has no meaning on this frame's link type (`vlan` on raw IP).
        """
        if frame.link_type == JOURNAL_ENTRY:
            return True
        program = self._programs.get(frame.link_type)
        if program is None:
            program = self.program(frame.link_type)
        header = self._header
        header.caplen = len(frame.data)
        header.len = min(frame.original_length, _LONGEST)
        return bool(program.offline_filter(header, frame.data))

    def program(self, link_type: int) -> Any:
        """Return libpcap's program for frames of this link type, compiled once.

        Raises:
            FilterError: the expression has no meaning there.
        """
        import cypcap

        try:
            program = cypcap.compile(
                _DLT.get(link_type, link_type), _SNAPLEN, self.expression, True, cypcap.NETMASK_UNKNOWN
            )
        except (cypcap.Error, ValueError, OverflowError) as error:
            reason = str(error.args[-1]) if error.args else str(error)
            raise FilterError(self.expression, reason, link_type_name(link_type)) from error
        self._header = cypcap.Pkthdr()
        self._programs[link_type] = program
        return program
