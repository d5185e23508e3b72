"""Manifests, cluster dumps and node addresses, turned into `model.spec` and `model.book`: the one place that knows the Kubernetes API.

    --spec FILE    -> manifests  a Pod or a workload's template -> PodSpec        (wrong in any field: SpecError)
    --cluster FILE -> dump       Nodes, HostSubnets, Pods -> NodeAddress, PodSpec (a wrong object: a note)
    --node-ip      -> addresses  [NAME=]ADDR -> NodeAddress
    --haproxy-cfg  -> haproxycfg  servers that HAProxy checks -> CheckSpec     (a wrong line: SpecError)
    --check        -> checktext  a checker's thresholds by hand -> CheckSpec
    all of these   -> book       -> AddressBook
    --expect FILE  -> expectfile -> Expectations              (wrong in any key: SpecError)
    --kubelet-log  -> klog       -> AccountFile                 (a line that is none of it: passed over)
    --events FILE  -> events     -> AccountFile                 (a wrong object: a note)

Below them, from the file up:
    source      bytes to text: gzip, UTF-16, limits        yamltext    YAML events to values, bounded
    jsonstream  JSON of any length through a window        documents   which of the two; Lists taken apart
    schema      the fields of the API that are read        probe       one probe: checks, defaults, port names
    expectform  the keys of an expectations file
    nodes       what a Node says of its own addresses      golang      net/url and header names as Go has them
    dumps       several dumps together: what is gone
    workloads     whose Pod it is, and of which revision     errors      SpecError, FieldError, and their sentences
    haproxywords  a line into words, times                     journal    messages out of logs and journals
    document      one object with its place in the file

And:

    checkup   what this machine lets probewatch do
    links     links, addresses and the namespaces behind veth pairs, as netlink tells them (rtnetlink(7)), in the
              namespace of the calling thread
    lookout   this node, looked at again whenever its links or addresses change, by a process of its own, while ours
              has no privileges
    mistaken  what a text is that was given for objects of Kubernetes and is none
"""

from .addresses import parse_node_ip
from .book import build_book
from .checktext import parse_check
from .dump import ClusterDump, read_cluster
from .errors import SpecError
from .events import read_events
from .expectfile import read_expectations
from .haproxycfg import read_haproxy
from .klog import read_kubelet_log
from .manifests import SpecFile, load_specs, read_specs

__all__ = [
    "ClusterDump",
    "SpecError",
    "SpecFile",
    "build_book",
    "load_specs",
    "parse_check",
    "parse_node_ip",
    "read_cluster",
    "read_events",
    "read_expectations",
    "read_haproxy",
    "read_kubelet_log",
    "read_specs",
]
