"""Connections to attempts to probes: what was a check, whose, and how it ended.

`forms` says what a connection asked and whether a kubelet asks so, `runs` joins retries and redirects, `judge` gives outcome and
cause, `assign` reads an attempt in the ways the workers' predictions allow, `sources` decides who is a kubelet, `cadence` and
`inference` find probes that no spec declares; `signatures` and `checkers` know everybody else. Pure; `decisions` is not imported:
`observer` carries predictions over as data.
"""
