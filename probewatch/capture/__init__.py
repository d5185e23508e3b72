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
    steps.py        a clock that was set back;  hosts.py: one that was set by what packets show;  strays.py: a frame whose time is wrong
    runs.py         records of large inputs, read many at once (numpy); wholesale.py: when;  sorting.py: batches put in order
    packets.py      packets that a program holds already (scapy's)
    live.py         frames of an interface as they pass, in any network namespace (netns.py)
    write.py        captures out: pcapng;  record.py: from an interface into a file

Whatever bytes come, the end is a frame, a note in `Reader.info()`, or a CaptureError; nothing is held without a limit.

And:

    apart      process events, read by a process of their own, which keeps the privileges that this takes while ours
               gives up all
    backlog    what passed a live interface and waits in our memory
    bulk       which connections are bulk transfers
    child      a forked child that talks with us over one socket, and ends when we do, of whatever cause
    fifo       what is said while a FIFO waits for its other end
    filters    filters in pcap syntax (pcap-filter(7)), compiled and run by libpcap, on frames of any of our inputs
    follow     A capture that grows, a file or a stream, read by a thread so that time goes on while nothing comes
    kernel     the kernel's filter of a live capture
    output     files that are written: only for their owner's eyes, and never through somebody else's link
    privilege  give privileges up, once everything that needs them is open
    proc       what /proc tells of a process
    processes  process events of this node
    runtimes   command lines of OCI runtimes: what `runc`, `crun` and their like were told to run in which container
    save       frames that are kept while they are watched: one pcapng file, or a ring of them
    spool      inputs that are read twice: standard input is kept in a file without a name; other streams are refused
    taps       several live interfaces as one capture in the order of time, and what it says of how far time has come
    trim       payload that an analysis does not need, cut away; and secrets in HTTP headers, overwritten
"""

from probewatch.capture.errors import CaptureError
from probewatch.capture.linktypes import link_type_name
from probewatch.capture.merge import merged, merged_parts
from probewatch.capture.reader import Reader, open_all

__all__ = ["CaptureError", "Reader", "link_type_name", "merged", "merged_parts", "open_all"]
