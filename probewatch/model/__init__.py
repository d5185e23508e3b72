"""The nouns, as frozen values that everybody imports and that import nothing of ours.

`frame` what was captured; `connection` one TCP connection as the frames show it; `exchange` what was said on it; `spec` what a
Pod asked for; `book` who an address is; `prediction` what a worker will do next; `timeline` attempts, probes, decisions, events;
`catalogue` the words for every cause.
"""
