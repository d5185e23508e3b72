"""Attempts to decisions: state machines as tables.

`worker` is the kubelet's probe worker (worker.go doProbe), `pod` all workers of a pod with their tickers and what they will do next,
`risefall` the counters of other checkers. Pure; `probes` is not imported.

The modules, each by its first sentence:

    change     what an attempt changes in a pod, one thing after the other
    holes      times of which a probe's results are not known, and what is known of its state behind each
    index      what is known of each address of a timeline
    outages    out of service: when a probe's target was, and by what
    pod        all workers of one pod together: gating, holds, new containers, and what each worker does next
    risefall   rise and fall: how checkers that are not the kubelet turn results into UP and DOWN
    thresholds what a HAProxy's pauses show of its thresholds: `rise` and `fall`
    turn       what an attempt does to its own worker: to its streak (`worker`), and to its ticker
    undecided  when a readiness probe's state is not known
    versions   what a kubelet does that others do not, by its version (major, minor), as pkg/kubelet/prober had it
    worker     the kubelet's probe worker: how results become a streak, and a streak a decision
"""
