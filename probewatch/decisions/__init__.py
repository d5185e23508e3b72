"""Attempts to decisions: state machines as tables.

`worker` is the kubelet's probe worker (worker.go doProbe), `pod` all workers of a pod with their tickers and what they will do next,
`risefall` the counters of other checkers. Pure; `probes` is not imported.
"""
