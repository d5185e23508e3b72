"""The laboratory: network namespaces as nodes and pods, a stand-in for the kubelet, servers that misbehave on purpose.

A side house for trying things out: only `cli` and the tests import it, and nothing of it looks at packets.

scenarios.py  what there is to see, as a table: pods, behaviours, faults, what a reader should find
network.py    the cluster's plan and its namespaces, in OpenShift's shape
namespaces.py named network namespaces, and netlink in them
kubelet.py    the process that starts containers, syncs pods and writes down what it did (truth.jsonl)
prober.py     the kubelet's probe workers: ticker, gates, thresholds
handlers.py   one execution of a probe: what the kubelet sends, and what it makes of the answer
dial.py       TCP connections as the kubelet opens and closes them
grpchealth.py the gRPC handler and its server: HTTP/2 by hand
containers.py one container's process, by runc or as a child in the pod's namespace
servers.py    the process in a container: servers that misbehave
faults.py     what goes wrong between node and pod, at its time
router.py     HAProxy as OpenShift's router, a Service that follows readiness, clients
run.py        one scenario from beginning to end
children.py   processes that end with whoever started them
state.py      what a run has made, written down so that it can be taken away, even after kill -9
"""
