"""Captures in, from a path or an interface to frames, and out.

    errors.py       CaptureError: one sentence, where nothing at all could be read
    source.py       a path, FIFO or standard input as a stream of bytes; the window readers look through
    compression.py  gzip, bzip2, xz, zstd, unwrapped in bounded pieces
    formats.py      which format it is; what to say of those that are not read
    pcap.py         pcap, its nanosecond and modified relatives
    pcapng.py       pcapng: sections, interfaces, times, drops, comments, secrets
    linktypes.py    names of link types, FCS lengths
    tally.py        what is learnt on the way: CaptureInfo
    reader.py       Reader: one input;  open_all: several
    merge.py        merged: several inputs as one timeline;  merged_parts: in batches where the inputs are large
    steps.py        a clock that was set back;  strays.py: a frame whose time is wrong
    runs.py         records of large inputs, read many at once (numpy); wholesale.py: when;  sorting.py: batches put in order
    packets.py      packets that a program holds already (scapy's)
    live.py         frames of an interface as they pass, in any network namespace (netns.py)
    write.py        captures out: pcapng;  record.py: from an interface into a file

Whatever bytes come, the end is a frame, a note in `Reader.info()`, or a CaptureError; nothing is held without a limit.
"""

from probewatch.capture.errors import CaptureError
from probewatch.capture.linktypes import link_type_name
from probewatch.capture.merge import merged, merged_parts
from probewatch.capture.reader import Reader, open_all

__all__ = ["CaptureError", "Reader", "link_type_name", "merged", "merged_parts", "open_all"]
